//! What the relay counts: totals and gauges without a label that names a log, a key or a person.
//!
//! Each relay has a registry of its own, so that two in one process (a test, a demonstration) do not
//! add up. Everything that is declared here is counted somewhere: a test walks the list.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use sotto_protocol::error_code::ErrorCode;

const METADATA: Metadata<'static> = Metadata::new("sotto", Level::INFO, None);

macro_rules! declare {
    (
        counters { $($(#[doc = $counter_doc:literal])+ $counter:ident = $counter_name:literal;)* }
        gauges { $($(#[doc = $gauge_doc:literal])+ $gauge:ident = $gauge_name:literal;)* }
    ) => {
        /// Handles of all metrics but those by error code.
        struct Handles {
            $($counter: Counter,)*
            $($gauge: Gauge,)*
        }

        impl Handles {
            fn register(recorder: &PrometheusRecorder) -> Self {
                Self {
                    $($counter: {
                        recorder.describe_counter(
                            $counter_name.into(), None, concat!($($counter_doc),+).trim().into(),
                        );
                        recorder.register_counter(&Key::from_static_name($counter_name), &METADATA)
                    },)*
                    $($gauge: {
                        recorder.describe_gauge(
                            $gauge_name.into(), None, concat!($($gauge_doc),+).trim().into(),
                        );
                        recorder.register_gauge(&Key::from_static_name($gauge_name), &METADATA)
                    },)*
                }
            }
        }

        /// The name of every declared metric.
        pub const NAMES: &[&str] = &[$($counter_name,)* $($gauge_name,)* REFUSALS];

        impl Metrics {
            $(
                $(#[doc = $counter_doc])+
                pub fn $counter(&self) -> &Counter {
                    &self.inner.handles.$counter
                }
            )*
            $(
                $(#[doc = $gauge_doc])+
                pub fn $gauge(&self) -> &Gauge {
                    &self.inner.handles.$gauge
                }
            )*
        }
    };
}

/// Refusals, by error code.
const REFUSALS: &str = "sotto_refusals_total";

declare! {
    counters {
        /// Connections accepted.
        connections_accepted = "sotto_connections_accepted_total";
        /// Connections closed at once because there were too many.
        connections_turned_away = "sotto_connections_turned_away_total";
        /// Connection handshakes that came to their end.
        handshakes_done = "sotto_handshakes_done_total";
        /// Connection handshakes that failed or took too long.
        handshakes_failed = "sotto_handshakes_failed_total";
        /// Connections closed because the peer sent what is not of this protocol.
        connections_malformed = "sotto_connections_malformed_total";
        /// Connections closed because the peer took nothing for the write timeout, or was silent.
        connections_stalled = "sotto_connections_stalled_total";
        /// Requests received.
        requests = "sotto_requests_total";
        /// Waits because a connection used up its rate.
        rate_waits = "sotto_rate_waits_total";
        /// X25519 agreements made to check a proof.
        proof_agreements = "sotto_proof_agreements_total";
        /// MACs computed to check a proof.
        proof_macs = "sotto_proof_macs_total";
        /// Entries pushed to followers.
        pushes = "sotto_pushes_total";
        /// Follows that ended because the grant was cut or the log deleted.
        follows_ended = "sotto_follows_ended_total";
        /// Bytes received in messages.
        bytes_received = "sotto_bytes_received_total";
        /// Bytes sent in messages.
        bytes_sent = "sotto_bytes_sent_total";
    }
    gauges {
        /// Connections open now.
        connections_open = "sotto_connections_open_count";
        /// Whether the relay takes new entries: 0 when the store is full or it is stopping.
        ready = "sotto_ready";
        /// Whether nothing is erased until the operator confirms the clock: 1 then.
        clock_in_doubt = "sotto_clock_in_doubt";
    }
}

/// What one relay counts; clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    handles: Handles,
    recorder: Arc<PrometheusRecorder>,
    rendering: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A new registry with everything at 0.
    #[must_use]
    pub fn new() -> Self {
        let recorder = Arc::new(PrometheusBuilder::new().build_recorder());
        let handles = Handles::register(&recorder);
        recorder.describe_counter(
            REFUSALS.into(),
            None,
            "Requests refused, by error code.".into(),
        );
        let rendering = recorder.handle();
        Self {
            inner: Arc::new(Inner {
                handles,
                recorder,
                rendering,
            }),
        }
    }

    /// Counts a refusal by its code.
    pub fn refusal(&self, code: ErrorCode) {
        let labels = vec![metrics::Label::from_static_parts("code", code.name())];
        let key = Key::from_parts(REFUSALS, labels);
        self.inner
            .recorder
            .register_counter(&key, &METADATA)
            .increment(1);
    }

    /// The registry, so that the process's other metrics can be counted in it too.
    #[must_use]
    pub fn recorder(&self) -> Arc<PrometheusRecorder> {
        Arc::clone(&self.inner.recorder)
    }

    /// All metrics in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.inner.rendering.run_upkeep();
        self.inner.rendering.render()
    }

    /// The value of a counter or gauge without labels; for tests and the demonstration.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.render().lines().find_map(|line| {
            let (found, value) = line.split_once(' ')?;
            (found == name).then(|| value.parse().ok()).flatten()
        })
    }
}

/// Raises a gauge for as long as it lives.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Raises `gauge` by one.
    #[must_use]
    pub fn raise(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_and_two_relays_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.requests().increment(3);
        one.refusal(ErrorCode::Refused);
        assert_eq!(one.value("sotto_requests_total"), Some(3.0));
        assert_eq!(other.value("sotto_requests_total"), Some(0.0));
        let text = one.render();
        assert!(text.contains("sotto_refusals_total{code=\"refused\"} 1"));
        for name in NAMES {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }

    #[test]
    fn a_guard_lowers_what_it_raised() {
        let metrics = Metrics::new();
        let guard = GaugeGuard::raise(metrics.connections_open());
        assert_eq!(metrics.value("sotto_connections_open_count"), Some(1.0));
        drop(guard);
        assert_eq!(metrics.value("sotto_connections_open_count"), Some(0.0));
    }
}
