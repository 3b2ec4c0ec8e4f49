//! A town on a clock that is driven: a relay and those around it in one process, on tokio's paused
//! time. When nobody has anything left to do, time passes at once to the next moment at which somebody
//! has; so twenty minutes take as long as their work does.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sotto_client::error::{Error, ErrorKind, Result};
use sotto_client::transport::{Dial, Line, Pending, line_over};
use sotto_client::{Client, ClientOptions, RelayAddress};
use sotto_server::cli::dev_settings;
use sotto_server::clock::{Clock, SystemClock};
use sotto_server::identity::{Identity, relay_address};
use sotto_server::limits::LogLimits;
use sotto_server::listener::{MemoryConnector, in_memory};
use sotto_server::log::{LogParts, Logs};
use sotto_server::metrics::Metrics;
use sotto_server::retention::Keys;
use sotto_server::server::{Parts, ServeError, Server};
use sotto_server::store::{MemoryStore, Store};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::output::Failure;

/// A day in seconds.
const DAY_S: u64 = 86_400;

/// Runs something on driven time, in a thread of its own: the time of everything else goes on.
pub(super) async fn driven<T, F>(play: impl FnOnce() -> F + Send + 'static) -> Told<T>
where
    T: Send + 'static,
    F: Future<Output = Told<T>>,
{
    let done = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        runtime.block_on(play())
    });
    let ended = done.await;
    ended.map_err(|_| Failure::could_not_run("the bench ended in the middle"))?
}

/// What a part of a bench gives.
type Told<T> = core::result::Result<T, Failure>;

/// The relay's clocks, and everybody's time of day: noon of today, and what passed since.
#[derive(Clone, Copy, Debug)]
struct TownClock {
    start: Instant,
    noon: Duration,
}

impl TownClock {
    fn at_noon() -> Self {
        let today = u64::from(SystemClock::new().day());
        Self {
            start: Instant::now(),
            noon: Duration::from_secs(today * DAY_S + DAY_S / 2),
        }
    }
}

impl Clock for TownClock {
    fn wall(&self) -> Duration {
        self.noon + self.start.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A relay on a store in memory, and nobody else yet.
pub(super) struct Town {
    address: RelayAddress,
    clock: TownClock,
    connector: MemoryConnector,
    _running: JoinSet<core::result::Result<(), ServeError>>,
}

fn not_started(error: &impl ToString) -> Failure {
    let why = error.to_string();
    Failure::could_not_run(format!("the relay did not start: {why}"))
}

impl Town {
    /// Starts it, at noon.
    pub(super) async fn start() -> Told<Self> {
        let clock = TownClock::at_noon();
        let shared: Arc<dyn Clock> = Arc::new(clock);
        let parts = LogParts {
            store: Arc::new(MemoryStore::new()) as Arc<dyn Store>,
            keys: Arc::new(Keys::in_memory()),
            clock: Arc::clone(&shared),
            limits: LogLimits::default(),
        };
        let logs = Logs::start(parts, &TaskTracker::new(), CancellationToken::new()).await;
        let identity = Identity::generate().map_err(|error| not_started(&error))?;
        let address = relay_address("ws://localhost", &identity.public());
        let server = Server::new(Parts {
            // Its folder is never looked at: it keeps nothing there.
            settings: dev_settings(std::env::temp_dir(), 0),
            identity,
            logs: logs.map_err(|error| not_started(&error))?,
            clock: shared,
            metrics: Metrics::new(),
        });
        let server = server.map_err(|error| not_started(&error))?;
        let (connector, listener) = in_memory();
        let mut running = JoinSet::new();
        running.spawn(server.run(listener, CancellationToken::new()));
        let address = address.parse();
        Ok(Self {
            address: address.map_err(|error| not_started(&error))?,
            clock,
            connector,
            _running: running,
        })
    }

    pub(super) const fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// Milliseconds since 1970-01-01 by everybody's clock.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.wall().as_millis()).unwrap_or(u64::MAX)
    }

    /// Somebody with a device that forgets everything at its end, and the wire it is on.
    pub(super) async fn somebody(&self) -> Told<(Client, Wire)> {
        let wire = Wire {
            connector: self.connector.clone(),
            state: Arc::default(),
        };
        let clock = self.clock;
        let options = ClientOptions::memory()
            .dialer(Arc::new(wire.clone()))
            .wall_clock(move || SystemTime::UNIX_EPOCH + clock.wall());
        Ok((Client::open(options).await?, wire))
    }
}

/// One device's way to the relay, which can be cut.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    connector: MemoryConnector,
    state: Arc<Mutex<WireState>>,
}

#[derive(Debug, Default)]
struct WireState {
    is_down: bool,
    /// Of the lines that are up.
    cut: CancellationToken,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks every line, and lets none be made until it is [mended](Wire::mend).
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.is_down = true;
        core::mem::take(&mut state.cut).cancel();
    }

    pub(super) fn mend(&self) {
        self.state().is_down = false;
    }

    async fn connect(&self) -> Result<Box<dyn Line>> {
        let refused = |error: io::Error| {
            Error::new(ErrorKind::Unreachable, "the relay cannot be reached").because(error)
        };
        let (is_down, cut) = {
            let state = self.state();
            (state.is_down, state.cut.clone())
        };
        if is_down {
            return Err(refused(io::ErrorKind::NotConnected.into()));
        }
        let stream = self.connector.connect().await.map_err(refused)?;
        let line = line_over(stream).await?;
        Ok(Box::new(CutLine { line, cut }))
    }
}

impl Dial for Wire {
    fn dial<'a>(&'a self, _address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        Box::pin(self.connect())
    }
}

struct CutLine {
    line: Box<dyn Line>,
    cut: CancellationToken,
}

impl Line for CutLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async {
            let sent = self.cut.run_until_cancelled(self.line.send(message)).await;
            sent.unwrap_or_else(|| Err(Error::new(ErrorKind::Unreachable, "the line is cut")))
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async {
            let received = self.cut.run_until_cancelled(self.line.receive()).await;
            received.unwrap_or(Ok(None))
        })
    }
}
