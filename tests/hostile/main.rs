//! The relay against peers that speak bytes: every stage, every limit, every way to be a bad guest.

mod crowd;
mod delivery;
mod edge;
mod edge_client;
mod framing;
mod handshake;
mod limit;
mod lost;
mod metric;
mod queue;
mod refusal;
mod shutdown;
mod transport;
