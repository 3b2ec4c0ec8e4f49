//! A relay in this process: memory for a network, memory for a store, a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::id::RelayIdentity;
use sotto_server::admin::Readiness;
use sotto_server::clock::{Clock, ManualClock};
use sotto_server::config::{CreateRule, Settings};
use sotto_server::identity::Identity;
use sotto_server::limits::LogLimits;
use sotto_server::listener::{MemoryConnector, in_memory};
use sotto_server::log::{LogParts, Logs};
use sotto_server::metrics::Metrics;
use sotto_server::retention::Keys;
use sotto_server::server::{Parts, ServeError, Server};
use sotto_server::store::{MemoryStore, Store};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peer::Peer;

/// The day on which tests begin.
pub const DAY: u32 = 20_000;
/// Longer than the relay waits for anything.
const UNTIL_MAX: Duration = Duration::from_secs(300);
/// Shorter than every deadline of the relay.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a test may want to be different.
#[derive(Debug)]
pub struct TestRelay {
    /// What the operator set.
    pub settings: Settings,
    /// The engine.
    pub store: Arc<dyn Store>,
    /// The keys that entries are sealed under.
    pub keys: Arc<Keys>,
    /// Who it is; without, somebody new.
    pub identity: Option<Identity>,
    /// The clock.
    pub clock: Arc<ManualClock>,
}

impl Default for TestRelay {
    fn default() -> Self {
        Self {
            settings: Settings::new(CreateRule::DangerousOpen),
            store: Arc::new(MemoryStore::new()),
            keys: Arc::new(Keys::in_memory()),
            identity: None,
            clock: Arc::new(ManualClock::at_day(DAY)),
        }
    }
}

/// A relay that runs.
#[derive(Debug)]
pub struct RunningRelay {
    /// What links pin.
    pub identity: RelayIdentity,
    /// What it counts.
    pub metrics: Metrics,
    /// What its operator hears.
    pub readiness: Readiness,
    /// Its logs, past all connections.
    pub logs: Logs,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Connects to it.
    pub connector: MemoryConnector,
    /// Stops it.
    pub shutdown: CancellationToken,
    running: JoinSet<Result<(), ServeError>>,
    tasks: TaskTracker,
    stop_logs: CancellationToken,
}

impl TestRelay {
    /// Starts it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> RunningRelay {
        let (tasks, stop_logs) = (TaskTracker::new(), CancellationToken::new());
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let parts = LogParts {
            store: self.store,
            keys: self.keys,
            clock: Arc::clone(&clock),
            limits: LogLimits::default(),
        };
        let logs = Logs::start(parts, &tasks, stop_logs.clone())
            .await
            .expect("logs");
        let metrics = Metrics::new();
        let server = Server::new(Parts {
            settings: self.settings,
            identity: self
                .identity
                .unwrap_or_else(|| Identity::generate().expect("an identity")),
            logs: logs.clone(),
            clock,
            metrics: metrics.clone(),
        })
        .expect("a server");
        let identity = server.identity();
        let readiness = server.readiness();
        let (connector, listener) = in_memory();
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(server.run(listener, shutdown.clone()));
        RunningRelay {
            identity,
            metrics,
            readiness,
            logs,
            clock: self.clock,
            connector,
            shutdown,
            running,
            tasks,
            stop_logs,
        }
    }
}

impl RunningRelay {
    /// A line to the relay.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn line(&self) -> DuplexStream {
        self.connector.connect().await.expect("a line")
    }

    /// A peer after its handshake.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn peer(&self) -> Peer<DuplexStream> {
        Peer::connect(self.line().await, &self.identity).await
    }

    /// Waits until a counter or gauge has this value; for tests on paused time, which passes only
    /// when nobody has anything left to do.
    ///
    /// # Panics
    /// If that takes longer than any deadline of the relay.
    pub async fn until(&self, metric: &str, value: f64) {
        self.until_within(UNTIL_MAX, metric, value).await;
    }

    /// The same, where only something that happens at once will do and no deadline.
    ///
    /// # Panics
    /// If it does not happen at once.
    pub async fn at_once(&self, metric: &str, value: f64) {
        self.until_within(AT_ONCE, metric, value).await;
    }

    async fn until_within(&self, most: Duration, metric: &str, value: f64) {
        let started = tokio::time::Instant::now();
        while self.metrics.value(metric) != Some(value) {
            let is = self.metrics.value(metric);
            assert!(started.elapsed() < most, "{metric} is {is:?}, not {value}");
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }

    /// Stops the relay and waits for its end.
    ///
    /// # Panics
    /// If it ended with an error.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.expect("no panic").expect("served");
        }
        self.stop_logs.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
