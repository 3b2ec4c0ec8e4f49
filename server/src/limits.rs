//! Limits that only the relay's own memory and disk depend on, each with its reason. The wire's
//! stand in `sotto_protocol::limits`.

use std::time::Duration;

use sotto_protocol::limits::{APPEND_BYTES_MAX, TTL_DAYS_MAX};

/// Changes that wait for the writer. Past it callers hear *busy*: a longer queue would only make
/// everybody wait longer than their patience.
pub const CHANGES_QUEUED_MAX: usize = 4_096;
/// Bytes of all changes that wait for the writer: thirty of the largest appends.
pub const CHANGE_BYTES_QUEUED_MAX: usize = 30 * APPEND_BYTES_MAX;
/// Changes that one batch applies: past 256 a group gains nothing and only delays the first.
pub const GROUP_CHANGES_MAX: usize = 512;
/// Bytes that one batch applies, so that a group is written within a moment on a slow disk.
pub const GROUP_BYTES_MAX: usize = 2 * APPEND_BYTES_MAX;
/// What a *busy* writer tells callers: a group takes a few milliseconds.
pub const BUSY_RETRY_MS: u32 = 250;
/// What a full disk tells callers: an operator has to act, which takes minutes.
pub const FULL_RETRY_MS: u32 = 30_000;
/// Heads kept in memory. One takes about 1 KiB without grants, 60 bytes for each grant.
pub const HEADS_CACHED_MAX: usize = 16_384;
/// Bytes of encoded pushes kept for live followers of all logs.
pub const RECENT_BYTES_MAX: usize = 64 << 20;
/// Bytes of encoded pushes kept for one log: two of the largest runs.
pub const RECENT_BYTES_PER_LOG_MAX: usize = 2 << 20;
/// Bytes of pushes that one follow is given at once: one of the largest entries, or many small ones.
/// A peer that takes nothing holds them until the write timeout, and so do ten thousand such peers.
pub const PUSH_BYTES_PER_TURN: usize = 64 << 10;
/// Live leases of one log: supporters on duty at once.
pub const LEASES_PER_LOG_MAX: usize = 1_024;
/// Pairs of log and grant whose rate is counted in one minute.
pub const RATES_COUNTED_MAX: usize = 1 << 18;
/// Entries one upkeep step removes or seals again, so that people's changes get in between.
pub const UPKEEP_ENTRIES_MAX: usize = 256;
/// Bytes one upkeep step reads.
pub const UPKEEP_BYTES_MAX: usize = 4 << 20;
/// Entries before one's own that `position` counts; a longer queue is answered with this figure.
pub const POSITION_COUNTED_MAX: usize = 10_000;
/// How often retention is looked after: a deleted log's key is gone at once, a day's key within
/// this time after midnight.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How long trimmed, taken and withdrawn entries may stay readable by their log key before the log
/// is sealed again. With [`SWEEP_INTERVAL`] and the work itself this stays within a day (P8).
pub const REKEY_AFTER: Duration = Duration::from_secs(12 * 3_600);
/// The least a log's quota may be: one full append of the smallest use.
pub const LOG_BYTES_MIN: u64 = 16 << 10;

/// What an operator may set for the logs. Every field can only make the wire's limits stricter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Logs in all: each keeps a key and an id in memory and in the key file (about 300 bytes).
    pub logs_max: usize,
    /// The most that a log's policy may ask for, in sealed bytes.
    pub log_bytes_max: u64,
    /// The longest life of an ordinary entry that a policy may ask for.
    pub ttl_days_max: u16,
    /// The longest promised life of a fenced entry that a policy may ask for.
    pub ttl_fenced_days_max: u16,
    /// Appends a minute with one grant on one log, where the grant does not say less.
    pub appends_per_minute: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            logs_max: 1_000_000,
            log_bytes_max: 256 << 20,
            ttl_days_max: TTL_DAYS_MAX,
            ttl_fenced_days_max: TTL_DAYS_MAX,
            appends_per_minute: 6_000,
        }
    }
}
