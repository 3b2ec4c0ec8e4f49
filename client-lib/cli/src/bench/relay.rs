//! The relay of a bench, which can be killed: a process over the disk, or one in this process over
//! the memory engine, whose end is as sudden but for what the engine has taken in.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sotto_client::{BadAddress, RelayAddress};
use sotto_server::cli::dev_settings;
use sotto_server::clock::{Clock, SystemClock};
use sotto_server::identity::{Identity, relay_address};
use sotto_server::limits::LogLimits;
use sotto_server::log::{LogParts, Logs};
use sotto_server::metrics::Metrics;
use sotto_server::retention::Keys;
use sotto_server::server::{Parts, ServeError, Server};
use sotto_server::store::{MemoryStore, Store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arguments::Engine;
use crate::demo::RelayProcess;
use crate::output::Failure;

/// A relay that listens.
pub(super) enum Relay {
    Process(Box<RelayProcess>),
    Memory(Box<MemoryRelay>),
}

impl Relay {
    /// Starts one on a free port; what it keeps and says goes into folders within `folder`.
    pub(super) async fn start(engine: Engine, folder: &Path) -> Result<Self, Failure> {
        let make = |name: &str| -> Result<PathBuf, Failure> {
            let path = folder.join(name);
            std::fs::create_dir(&path)?;
            Ok(path)
        };
        let relay = make("relay")?;
        match engine {
            Engine::Sled => {
                let process = RelayProcess::start(&relay, &make("output")?).await?;
                Ok(Self::Process(Box::new(process)))
            }
            Engine::Memory => Ok(Self::Memory(Box::new(MemoryRelay::start(relay).await?))),
        }
    }

    pub(super) fn address(&self) -> &RelayAddress {
        match self {
            Self::Process(relay) => relay.address(),
            Self::Memory(relay) => &relay.address,
        }
    }

    /// It is gone when this returns, and answered nothing more.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        match self {
            Self::Process(relay) => relay.kill().await,
            Self::Memory(relay) => {
                relay.kill().await;
                Ok(())
            }
        }
    }

    /// Starts another one where it was.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        match self {
            Self::Process(relay) => relay.restart().await,
            Self::Memory(relay) => relay.run().await,
        }
    }

    /// Ends it; whether it ended well.
    pub(super) async fn stop(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Process(relay) => relay.stop().await,
            Self::Memory(relay) => {
                relay.kill().await;
                Ok(true)
            }
        }
    }
}

/// A relay in this process.
pub(super) struct MemoryRelay {
    folder: PathBuf,
    address: RelayAddress,
    port: u16,
    store: Arc<MemoryStore>,
    keys: Arc<Keys>,
    clock: Arc<SystemClock>,
    running: JoinSet<Result<(), ServeError>>,
    tasks: TaskTracker,
    stop_logs: CancellationToken,
}

fn not_started(error: &impl ToString) -> Failure {
    let why = error.to_string();
    Failure::could_not_run(format!("the relay did not start: {why}"))
}

impl MemoryRelay {
    async fn start(folder: PathBuf) -> Result<Self, Failure> {
        // Whatever is free now stays free for a moment.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = free.local_addr()?.port();
        drop(free);
        let identity = Identity::create(&identity_file(&folder));
        let identity = identity.map_err(|error| not_started(&error))?.public();
        let address = relay_address(&format!("ws://127.0.0.1:{port}"), &identity);
        let mut relay = Self {
            folder,
            address: address
                .parse()
                .map_err(|bad: BadAddress| not_started(&bad))?,
            port,
            store: Arc::new(MemoryStore::new()),
            keys: Arc::new(Keys::in_memory()),
            clock: Arc::new(SystemClock::new()),
            running: JoinSet::new(),
            tasks: TaskTracker::new(),
            stop_logs: CancellationToken::new(),
        };
        relay.run().await?;
        Ok(relay)
    }

    async fn run(&mut self) -> Result<(), Failure> {
        self.tasks = TaskTracker::new();
        self.stop_logs = CancellationToken::new();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let parts = LogParts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&clock),
            limits: LogLimits::default(),
        };
        let logs = Logs::start(parts, &self.tasks, self.stop_logs.clone()).await;
        let identity = Identity::load(&identity_file(&self.folder));
        let server = Server::new(Parts {
            settings: dev_settings(self.folder.clone(), self.port),
            identity: identity.map_err(|error| not_started(&error))?,
            logs: logs.map_err(|error| not_started(&error))?,
            clock,
            metrics: Metrics::new(),
        });
        let server = server.map_err(|error| not_started(&error))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        self.running
            .spawn(server.run(listener, CancellationToken::new()));
        Ok(())
    }

    async fn kill(&mut self) {
        self.running.shutdown().await;
        self.stop_logs.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn identity_file(folder: &Path) -> PathBuf {
    folder.join("identity")
}
