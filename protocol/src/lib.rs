//! The wire of Sotto: what a client and a relay say to each other, byte by byte.
//!
//! This crate holds types and pure functions only: it performs no I/O, reads no clock and draws no
//! randomness. `protocol/SPEC.md` is normative; where this code and that text differ, one of them
//! is wrong and a test should say which.
//!
//! | module | SPEC section |
//! |---|---|
//! | [`cbor`] | Encoding: deterministic CBOR (RFC 8949, section 4.2), strictly |
//! | [`frame`] | Frames, verbs and answers |
//! | [`id`] | Identifiers and other fixed-length byte strings |
//! | [`right`] | Rights and the table of verb by right |
//! | [`limits`] | Every limit of the wire, each with its reason |
//! | [`size_class`] | Size classes and padding |
//! | [`chain`] | The hash chain of a log |
//! | [`proof`] | Day keys, grant proofs and proof of work |
//! | [`channel`] | How items travel in Noise transport messages |
//! | [`error_code`] | Error codes, sorted by blame |

pub mod cbor;
pub mod chain;
pub mod channel;
pub mod error_code;
pub mod frame;
pub mod id;
pub mod limits;
pub mod proof;
pub mod right;
pub mod size_class;

/// The WebSocket sub-protocol that both sides must name (RFC 6455, section 1.9).
pub const SUB_PROTOCOL: &str = "sotto.v1";
