//! What the tests of Sotto stand on: a relay in memory and a peer that speaks bytes.

pub mod peer;
pub mod relay;
pub mod store;
