//! Measures the store on a real disk: synced appends a second, bytes on disk, and how long opening
//! takes, before and after the remembered answers expire and after everything was trimmed.
//!
//! ```sh
//! cargo run --release -p sotto-tests --example store_figures -- /var/tmp/figures 1000000
//! ```
//!
//! The folder must not exist; it is left behind. Everything runs in this process, through the same
//! [`Logs`] as the relay's, with entries of 1 KiB and one append for each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::frame::{Append, Create, Item, Trim};
use sotto_protocol::id::{LogId, Mac, PublicKey, RetryId};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::clock::{Clock, DAY, ManualClock};
use sotto_server::limits::LogLimits;
use sotto_server::log::{Caller, Change, LogParts, Logs};
use sotto_server::store::{Folder, SledOptions};
use sotto_tests::peer::{TestLog, entry, random};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Entries of one log: fewer than the retry ids that a log remembers.
const ENTRIES_PER_LOG: usize = 50_000;

fn key() -> PublicKey {
    PublicKey::new([7; 32])
}

/// The logs of a folder, and what it takes to stop them.
struct Running {
    logs: Logs,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Running {
    async fn start(folder: &Path, clock: &Arc<ManualClock>) -> Self {
        let folder = Folder::open(folder, SledOptions::default()).expect("a folder");
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let parts = LogParts {
            store: folder.store,
            keys: folder.keys,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            limits: LogLimits {
                appends_per_minute: u32::MAX,
                ..LogLimits::default()
            },
        };
        let logs = Logs::start(parts, &tasks, shutdown.clone()).await;
        Self {
            logs: logs.expect("logs"),
            tasks,
            shutdown,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn create(&self, day: u32) -> LogId {
        let root = PublicKey::new(random());
        let mut policy = TestLog::policy();
        policy.bytes_max = LogLimits::default().log_bytes_max;
        policy.ttl_days = 60;
        let create = Create {
            day,
            root,
            work: None,
            proof: Mac::new([0; 32]),
            retry: RetryId::new(random()),
            grants: vec![sotto_protocol::frame::Grant {
                key: key(),
                ends: None,
                rate: None,
                work: None,
                rights: Rights::ALL,
                until_seq: None,
            }],
            policy,
            ticket: None,
        };
        let created = self.logs.change(Change::Create(create)).await;
        created.expect("created");
        LogId::of_root(&root)
    }

    /// Appends `count` entries, one by one in groups that are handed over together.
    async fn append(&self, log: LogId, day: u32, count: usize, group: usize) {
        let mut left = count;
        while left > 0 {
            let now = group.min(left);
            left -= now;
            let answers = (0..now).map(|_| self.logs.change(append(log, day)));
            for answer in futures_util::future::join_all(answers).await {
                answer.expect("appended");
            }
        }
    }
}

fn caller() -> Caller {
    Caller { keys: vec![key()] }
}

fn append(log: LogId, day: u32) -> Change {
    let item = Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: vec![entry("x", SizeClass::K1)],
    };
    Change::Append {
        append: Append {
            day,
            work: None,
            items: vec![item],
            retry: RetryId::new(random()),
        },
        callers: vec![caller()],
        work_bits: 0,
    }
}

/// Bytes of all files but the ballast, as the file system counts blocks.
fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|file| {
            let file = file.expect("a file");
            let about = file.metadata().expect("its length");
            if about.is_dir() {
                disk_bytes(&file.path())
            } else if file.file_name() == "ballast" {
                0
            } else {
                about.blocks() * 512
            }
        })
        .sum()
}

fn told(folder: &Path, what: &str, entries: usize) {
    let bytes = disk_bytes(folder);
    let each = bytes as f64 / entries as f64;
    println!(
        "{what}: {:.1} MB on disk, {each:.0} bytes for each of {entries} entries",
        bytes as f64 / 1e6
    );
}

async fn reopen(folder: &Path, clock: &Arc<ManualClock>, running: Running, what: &str) -> Running {
    let began = Instant::now();
    running.stop().await;
    let closed = began.elapsed();
    let began = Instant::now();
    let running = Running::start(folder, clock).await;
    println!(
        "{what}: closed in {:.2} s, opened and verified in {:.2} s",
        closed.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    running
}

async fn pass_days(running: &Running, clock: &ManualClock, days: u32) {
    for _ in 0..4 * days {
        clock.advance(DAY / 4);
        running.logs.sweep().await.expect("swept");
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder that does not exist");
    let folder = Path::new(&folder);
    assert!(!folder.exists(), "the folder exists");
    let entries: usize = arguments
        .next()
        .map_or(100_000, |count| count.parse().expect("a number"));
    let clock = Arc::new(ManualClock::at_day(20_000));
    let running = Running::start(folder, &clock).await;
    running.logs.sweep().await.expect("swept");

    let mut done = 0;
    let mut logs = Vec::new();
    let log = running.create(clock.day()).await;
    logs.push(log);
    for (group, count) in [(1, 2_000), (64, 8_000), (256, 16_000)] {
        let began = Instant::now();
        running.append(log, clock.day(), count, group).await;
        let each = count as f64 / began.elapsed().as_secs_f64();
        println!("groups of {group}: {each:.0} synced appends a second");
        done += count;
        told(folder, "so far", done);
    }
    while done < entries {
        let log = running.create(clock.day()).await;
        logs.push(log);
        let count = ENTRIES_PER_LOG.min(entries - done);
        running.append(log, clock.day(), count, 256).await;
        done += count;
    }
    told(folder, "filled", done);
    let running = reopen(folder, &clock, running, "filled").await;
    told(folder, "filled, opened again", done);

    let began = Instant::now();
    pass_days(&running, &clock, 3).await;
    let seconds = began.elapsed().as_secs_f64();
    told(folder, "remembered answers expired", done);
    println!("three days of sweeps took {seconds:.1} s");
    let running = reopen(folder, &clock, running, "answers expired").await;

    let began = Instant::now();
    for log in &logs {
        let trim = Trim {
            to: u64::MAX >> 11,
            day: clock.day(),
            log: *log,
            retry: RetryId::new(random()),
        };
        let trimmed = running.logs.change(Change::Trim(trim, caller())).await;
        trimmed.expect("trimmed");
    }
    clock.advance(Duration::from_secs(600));
    running.logs.sweep().await.expect("swept");
    let seconds = began.elapsed().as_secs_f64();
    told(folder, "trimmed", done);
    println!("trimming everything took {seconds:.1} s");
    let running = reopen(folder, &clock, running, "trimmed").await;
    told(folder, "trimmed, opened again", done);
    running.stop().await;
}
