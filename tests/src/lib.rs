//! What the tests of Sotto stand on: a relay in memory, a peer that speaks bytes, and people.

pub mod device;
pub mod dice;
pub mod peer;
pub mod queue;
pub mod relay;
pub mod store;
pub mod world;
