//! The wire against `SPEC.md` and `vectors/`: whatever could drift is compared in both directions.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has found what it looks for"
)]

mod borrow;
mod bounds;
mod clients;
mod complete;
mod draw;
mod files;
mod hostile;
mod json;
mod near;
mod noise;
mod properties;
mod recipes;
mod samples;
mod spec;
mod spec_cddl;
mod spec_tables;
mod vectors;
