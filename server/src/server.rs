//! The relay as a whole: accepts connections until told to stop, then lets them finish.
//!
//! It knows of no signal, file or port: those are the launcher's.

use std::sync::Arc;

use sotto_protocol::id::RelayIdentity;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Readiness, StoreState};
use crate::clock::Clock;
use crate::config::Settings;
use crate::connection;
use crate::connection::limits::{LARGE_MESSAGES_MAX, PAGES_ALL_MAX};
use crate::identity::{DayKeys, Identity, IdentityError};
use crate::listener::Listener;
use crate::log::{Logs, Retention};
use crate::metrics::Metrics;

/// Why a relay could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no key of the day.
    #[error("the key of the day could not be made")]
    Identity(#[from] IdentityError),
}

/// What a relay is made of.
#[derive(Debug)]
pub struct Parts {
    /// What the operator set.
    pub settings: Settings,
    /// Who the relay is.
    pub identity: Identity,
    /// What it serves.
    pub logs: Logs,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub metrics: Metrics,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Relay {
    settings: Settings,
    logs: Logs,
    days: DayKeys,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    large: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Relay {
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) const fn days(&self) -> &DayKeys {
        &self.days
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Bounds the large messages in memory.
    pub(crate) fn large_slots(&self) -> Arc<Semaphore> {
        Arc::clone(&self.large)
    }

    /// Bounds the pages in memory.
    pub(crate) fn page_slots(&self) -> Arc<Semaphore> {
        Arc::clone(&self.pages)
    }

    /// Cancelled when the relay stops.
    pub(crate) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}

/// A relay that is ready to run.
#[derive(Debug)]
pub struct Server {
    relay: Arc<Relay>,
}

impl Server {
    /// Puts a relay together.
    ///
    /// # Errors
    /// [`ServeError::Identity`] if no key of the day can be drawn.
    pub fn new(parts: Parts) -> Result<Self, ServeError> {
        let days = DayKeys::new(parts.identity, Arc::clone(&parts.clock))?;
        Ok(Self {
            relay: Arc::new(Relay {
                settings: parts.settings,
                logs: parts.logs,
                days,
                clock: parts.clock,
                metrics: parts.metrics,
                large: Arc::new(Semaphore::new(LARGE_MESSAGES_MAX)),
                pages: Arc::new(Semaphore::new(PAGES_ALL_MAX)),
                stopping: CancellationToken::new(),
            }),
        })
    }

    /// What links pin.
    #[must_use]
    pub fn identity(&self) -> RelayIdentity {
        self.relay.days.identity()
    }

    /// What the operator's server tells of this relay.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let logs = self.relay.logs.clone();
        let state = move || StoreState {
            has_room: logs.has_room(),
            is_clock_in_doubt: matches!(logs.retention(), Retention::ClockJumped { .. }),
        };
        Readiness::new(state, self.relay.stopping.clone())
    }

    /// Serves connections until `shutdown`; then accepts no more, tells every client when to come
    /// back, writes the answers that were promised, and returns once all connections are closed, or
    /// the settings' `shutdown_timeout_ms` is over. The logs go on; they are stopped by who started
    /// them, after this.
    ///
    /// # Errors
    /// None so far; what one connection does never ends the others.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting at once; connections that stand end without a word.
    pub async fn run<L: Listener>(
        self,
        mut listener: L,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let connections = TaskTracker::new();
        // Ends what has not ended by itself in time, or when this future is dropped.
        let cut = CancellationToken::new();
        let cut_on_drop = cut.clone().drop_guard();
        let places = Arc::new(Semaphore::new(
            self.relay.settings.connections.connections_max,
        ));
        self.relay.metrics.ready().set(1.0);
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Some(io) = accepted else {
                break;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.relay.metrics.connections_turned_away().increment(1);
                continue;
            };
            let relay = Arc::clone(&self.relay);
            let cut = cut.clone();
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = connection::serve(relay, io) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
        connections.close();
        tokio::select! {
            () = shutdown.cancelled() => {}
            // The listener has ended by itself: those who are here may stay.
            () = connections.wait() => {}
        }
        drop(listener);
        self.relay.stopping.cancel();
        self.relay.metrics.ready().set(0.0);
        let within = self.relay.settings.connections.shutdown_timeout();
        if timeout(within, connections.wait()).await.is_err() {
            tracing::warn!(count = connections.len(), "connections did not end in time");
            drop(cut_on_drop);
            connections.wait().await;
        }
        Ok(())
    }
}
