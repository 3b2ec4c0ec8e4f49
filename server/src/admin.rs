//! The operator's own server on loopback: is it alive, may it take work, what does it count.
//!
//! It must never say anything about one log, key or peer.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What the store says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever tells it tells all of it"
)]
pub struct StoreState {
    /// New entries are taken.
    pub has_room: bool,
    /// Nothing is erased until the operator confirms the clock.
    pub is_clock_in_doubt: bool,
}

/// Whether the relay takes new work, and what its operator has to know besides; clones are one.
#[derive(Clone)]
pub struct Readiness {
    store: Arc<dyn Fn() -> StoreState + Send + Sync>,
    stopping: CancellationToken,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

impl Readiness {
    /// Asks the store each time; `stopping` is cancelled when the relay stops.
    pub fn new(
        store: impl Fn() -> StoreState + Send + Sync + 'static,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            store: Arc::new(store),
            stopping,
        }
    }

    /// Why the relay takes no new work, if it does not.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.stopping.is_cancelled() {
            Some("stopping")
        } else if (self.store)().has_room {
            None
        } else {
            Some("store full: new entries are refused, reading goes on")
        }
    }

    /// What the operator has to do although people are served.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        (self.store)()
            .is_clock_in_doubt
            .then_some("the clock is in doubt: nothing is erased until `sotto-relay confirm-clock`")
    }

    /// Sets the gauges that say the same.
    pub fn show(&self, metrics: &Metrics) {
        let number = |is: bool| if is { 1.0 } else { 0.0 };
        metrics.ready().set(number(self.problem().is_none()));
        metrics
            .clock_in_doubt()
            .set(number(self.warning().is_some()));
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Metrics,
    readiness: Readiness,
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `shutdown`.
///
/// # Errors
/// `PermissionDenied` for a listener that is not on loopback, or what the system said.
///
/// # Cancel safety
/// Dropping the future closes the listener and all its connections.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> io::Result<()> {
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the operator's server listens on loopback only",
        ));
    }
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Shown { metrics, readiness });
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let (status, first) = match shown.readiness.problem() {
        None => (StatusCode::OK, "ready"),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
    };
    let lines = [Some(first), shown.readiness.warning()];
    let body: String = lines
        .into_iter()
        .flatten()
        .map(|line| format!("{line}\n"))
        .collect();
    (status, body).into_response()
}

async fn render(State(shown): State<Shown>) -> Response {
    shown.readiness.show(&shown.metrics);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, shown.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readyz_says_when_the_store_is_full_the_clock_in_doubt_or_the_relay_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(AtomicBool::new(true));
        let doubt = Arc::new(AtomicBool::new(false));
        let stopping = CancellationToken::new();
        let asked = (Arc::clone(&room), Arc::clone(&doubt));
        let state = move || StoreState {
            has_room: asked.0.load(Ordering::Relaxed),
            is_clock_in_doubt: asked.1.load(Ordering::Relaxed),
        };
        let readiness = Readiness::new(state, stopping.clone());
        let shutdown = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener, Metrics::new(), readiness, shutdown.clone()));

        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.contains("sotto_ready 1"));
        room.store(false, Ordering::Relaxed);
        let full = get(address, "/readyz").await;
        assert!(full.starts_with("HTTP/1.1 503") && full.contains("store full"));
        assert!(get(address, "/metrics").await.contains("sotto_ready 0"));
        room.store(true, Ordering::Relaxed);
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200") && !ready.contains("clock"));
        // People are served all the same: no balancer must take the relay out for it.
        doubt.store(true, Ordering::Relaxed);
        let warned = get(address, "/readyz").await;
        assert!(warned.starts_with("HTTP/1.1 200") && warned.contains("confirm-clock"));
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains("sotto_ready 1") && metrics.contains("sotto_clock_in_doubt 1"));
        stopping.cancel();
        assert!(get(address, "/readyz").await.contains("stopping"));

        shutdown.cancel();
        tasks.join_next().await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn anything_but_loopback_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let state = || StoreState {
            has_room: true,
            is_clock_in_doubt: false,
        };
        let readiness = Readiness::new(state, shutdown.clone());
        let refused = serve(listener, Metrics::new(), readiness, shutdown).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
