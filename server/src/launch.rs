//! From settings to a relay that listens: files, ports and signals, in the one place that knows them.
//!
//! Both binaries start the relay here, so there is one relay and not two that look alike.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sotto_protocol::id::RelayIdentity;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::identity::{Identity, IdentityError, relay_address};
use crate::log::{LogParts, Logs, StartError};
use crate::metrics::Metrics;
use crate::server::{Parts, ServeError, Server};
use crate::store::{Folder, FolderError, SledOptions};

/// Why a relay could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The folder could not be made.
    #[error("the folder {} could not be made", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The data folder can't be used.
    #[error("the data folder {} can't be used", path.display())]
    Data {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: FolderError,
    },
    /// The logs refused.
    #[error(transparent)]
    Logs(#[from] StartError),
    /// A port could not be had.
    #[error("nothing could listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Signals could not be waited for.
    #[error("signals could not be waited for")]
    Signals(#[source] io::Error),
    /// The relay could not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What the operator set.
    pub settings: Settings,
    /// Whether to make an identity, where there is none.
    pub init: bool,
}

/// A relay that has its ports, its store and its identity, and waits to run.
#[derive(Debug)]
pub struct Launched {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the operator's server listens.
    pub admin: Option<SocketAddr>,
    /// What links pin.
    pub identity: RelayIdentity,
    /// The address that people paste.
    pub address: String,
    /// What it counts.
    pub metrics: Metrics,
    server: Server,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
    tasks: TaskTracker,
    stop_logs: CancellationToken,
}

impl Launch {
    /// Opens store and ports. Nobody is served yet.
    ///
    /// # Errors
    /// [`LaunchError`]; what was opened is closed again.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened; an identity that was made stays.
    pub async fn launch(self) -> Result<Launched, LaunchError> {
        let Self { settings, init } = self;
        let identity = identity(&settings, init)?;
        let public = identity.public();
        let listener = bind(settings.listen).await?;
        let admin_listener = if settings.admin.enabled {
            Some(bind(settings.admin.listen).await?)
        } else {
            None
        };
        let listen = listener.local_addr().unwrap_or(settings.listen);
        let admin = admin_listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let base = if settings.public_address.is_empty() {
            format!("ws://{listen}")
        } else {
            settings.public_address.clone()
        };

        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = Metrics::new();
        let (tasks, stop_logs) = (TaskTracker::new(), CancellationToken::new());
        let folder = open(&settings).await?;
        let parts = LogParts {
            store: folder.store,
            keys: folder.keys,
            clock: Arc::clone(&clock),
            limits: settings.logs.limits(),
        };
        let logs = Logs::start(parts, &tasks, stop_logs.clone()).await?;
        let server = Server::new(Parts {
            settings,
            identity,
            logs,
            clock,
            metrics: metrics.clone(),
        })?;
        Ok(Launched {
            listen,
            admin,
            identity: public,
            address: relay_address(&base, &public),
            metrics,
            server,
            listener,
            admin_listener,
            tasks,
            stop_logs,
        })
    }
}

impl Launched {
    /// Serves until `shutdown`, then stops in order: connections, logs and their store, the
    /// operator's server.
    ///
    /// # Errors
    /// [`LaunchError::Serve`].
    ///
    /// # Cancel safety
    /// Dropping the future stops serving at once; what was acknowledged is safe.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), LaunchError> {
        let stop_admin = CancellationToken::new();
        if let Some(listener) = self.admin_listener {
            let serving = admin::serve(
                listener,
                self.metrics,
                self.server.readiness(),
                stop_admin.clone(),
            );
            self.tasks.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(cause = %error.kind(), "the operator's server ended");
                }
            });
        }
        let served = self.server.run(self.listener, shutdown).await;
        self.stop_logs.cancel();
        stop_admin.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(served?)
    }
}

/// Cancels the token at SIGINT or SIGTERM.
///
/// # Errors
/// [`LaunchError::Signals`] if the system does not let us wait for them.
pub fn stop_at_signals(
    shutdown: CancellationToken,
    tasks: &TaskTracker,
) -> Result<(), LaunchError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(LaunchError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(LaunchError::Signals)?;
    tasks.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

fn identity(settings: &Settings, init: bool) -> Result<Identity, LaunchError> {
    let path = settings.identity_path();
    if !init {
        return Ok(Identity::load(&path)?);
    }
    std::fs::create_dir_all(&settings.folder).map_err(|source| LaunchError::Folder {
        path: settings.folder.clone(),
        source,
    })?;
    Ok(Identity::create(&path)?)
}

/// Opens the data folder on a thread of its own: recovery reads the whole store.
async fn open(settings: &Settings) -> Result<Folder, LaunchError> {
    let path = settings.folder.clone();
    let options = SledOptions {
        cache_bytes: settings.cache_bytes,
        ..SledOptions::default()
    };
    let refused = |path, source| LaunchError::Data { path, source };
    let opening = tokio::task::spawn_blocking(move || Folder::open(&path, options));
    match opening.await {
        Ok(opened) => opened.map_err(|source| refused(settings.folder.clone(), source)),
        // The engine panicked, which is how it meets some kinds of damage.
        Err(_) => Err(refused(
            settings.folder.clone(),
            FolderError::Damaged { source: None },
        )),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, LaunchError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| LaunchError::Listen { address, source })
}
