//! What an operator may set: keys, defaults, and a refusal that says what to do.
//!
//! Every key with its default and reason stands in `deploy/sotto.toml`; a test keeps both equal. An
//! unknown key or a missing file stops the process: a relay never guesses what it may do.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::limits::{TTL_DAYS_MAX, WORK_BITS_MAX};
use subtle::{Choice, ConstantTimeEq};

use crate::limits::{LOG_BYTES_MIN, LogLimits};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such file, or it can't be read.
    #[error("the settings file {} could not be read; deploy/sotto.toml is one to start from", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, has an unknown key, lacks `create`, or a value is of the wrong kind.
    #[error("the settings file {} is wrong: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, key and what was expected.
        message: String,
    },
    /// A value that is not allowed.
    #[error("`{key}` {problem}")]
    Value {
        /// The key, with its table.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
}

/// Who may create logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CreateRule {
    /// Who does a proof of work of `create_work_bits`.
    Work,
    /// Who brings one of the tickets of `create_tickets_sha256`.
    Ticket,
    /// Anyone, as often as the rates allow. For trying out on one's own machine.
    DangerousOpen,
}

/// All settings of a relay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who may create logs; the one key without a default.
    pub create: CreateRule,
    /// Leading zero bits that `create = "work"` asks.
    #[serde(default = "default::create_work_bits")]
    pub create_work_bits: u8,
    /// SHA-256 of each ticket that `create = "ticket"` accepts, in hexadecimal.
    #[serde(default)]
    pub create_tickets_sha256: Vec<TicketDigest>,
    /// Where the relay keeps its store and keys.
    #[serde(default = "default::folder")]
    pub folder: PathBuf,
    /// The identity's file; relative to `folder`.
    #[serde(default = "default::identity_file")]
    pub identity_file: PathBuf,
    /// Where WebSocket connections are accepted; TLS ends before it.
    #[serde(default = "default::listen")]
    pub listen: SocketAddr,
    /// The address that people get, such as `wss://relay.example`; empty: `ws://` and `listen`.
    #[serde(default)]
    pub public_address: String,
    /// Bytes of the store kept in memory.
    #[serde(default = "default::cache_bytes")]
    pub cache_bytes: u64,
    /// Connections.
    #[serde(default)]
    pub connections: ConnectionSettings,
    /// Logs.
    #[serde(default)]
    pub logs: LogSettings,
    /// The operator's own server.
    #[serde(default)]
    pub admin: AdminSettings,
    /// What the relay says about itself.
    #[serde(default)]
    pub output: OutputSettings,
}

/// What connections may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionSettings {
    /// Connections at once.
    pub connections_max: usize,
    /// How long the connection handshake may take.
    pub handshake_timeout_ms: u64,
    /// How long a peer may take none of what the relay writes.
    pub write_timeout_ms: u64,
    /// How long a connection may be silent before it is pinged; twice as long, and it is closed.
    pub ping_interval_ms: u64,
    /// How long promised answers may take when the relay stops.
    pub shutdown_timeout_ms: u64,
    /// Requests a connection may make each second, on average.
    pub requests_per_second: u32,
    /// Requests a connection may make at once after a rest.
    pub requests_burst: u32,
    /// Bytes a connection may send each second, on average.
    pub bytes_per_second: u32,
    /// Bytes a connection may send at once after a rest.
    pub bytes_burst: u32,
}

/// What logs may hold; see [`LogLimits`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Logs in all.
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

/// The operator's own server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Where: a loopback address.
    pub listen: SocketAddr,
}

/// What the relay says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSettings {
    /// The least level that is written.
    pub level: Level,
    /// How lines look.
    pub format: Format,
}

/// The least level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Bugs and failing disks.
    Error,
    /// And what may need an operator.
    Warn,
    /// And start, stop, listening.
    Info,
    /// And each connection, without a name.
    Debug,
    /// And each frame, type and length only.
    Trace,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The SHA-256 of a ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketDigest([u8; 32]);

impl fmt::Debug for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[set]")
    }
}

impl TicketDigest {
    /// Of a ticket as it stands in the request.
    #[must_use]
    pub fn of(ticket: &[u8]) -> Self {
        Self(Sha256::digest(ticket).into())
    }
}

impl Serialize for TicketDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TicketDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(&text, &mut digest)
            .map_err(|_| serde::de::Error::custom("a ticket's digest is 64 hexadecimal digits"))?;
        Ok(Self(digest))
    }
}

mod default {
    use super::{Ipv4Addr, PathBuf, SocketAddr};

    pub(super) const fn create_work_bits() -> u8 {
        20
    }

    pub(super) const fn cache_bytes() -> u64 {
        128 << 20
    }

    pub(super) fn folder() -> PathBuf {
        PathBuf::from("/var/lib/sotto")
    }

    pub(super) fn identity_file() -> PathBuf {
        PathBuf::from("identity")
    }

    pub(super) const fn listen() -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8440)
    }
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            handshake_timeout_ms: 10_000,
            write_timeout_ms: 20_000,
            ping_interval_ms: 45_000,
            shutdown_timeout_ms: 10_000,
            requests_per_second: 50,
            requests_burst: 500,
            bytes_per_second: 524_288,
            bytes_burst: 8_388_608,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        let limits = LogLimits::default();
        Self {
            logs_max: limits.logs_max,
            log_bytes_max: limits.log_bytes_max,
            ttl_days_max: limits.ttl_days_max,
            ttl_fenced_days_max: limits.ttl_fenced_days_max,
            appends_per_minute: limits.appends_per_minute,
        }
    }
}

impl LogSettings {
    /// As the logs want them.
    #[must_use]
    pub const fn limits(&self) -> LogLimits {
        LogLimits {
            logs_max: self.logs_max,
            log_bytes_max: self.log_bytes_max,
            ttl_days_max: self.ttl_days_max,
            ttl_fenced_days_max: self.ttl_fenced_days_max,
            appends_per_minute: self.appends_per_minute,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, problem| Err(ConfigError::Value { key, problem });
        let is_day = |days: u16| (1..=TTL_DAYS_MAX).contains(&days);
        if !is_day(self.ttl_days_max) {
            return refuse("logs.ttl_days_max", "is not from 1 to 400");
        }
        if !is_day(self.ttl_fenced_days_max) {
            return refuse("logs.ttl_fenced_days_max", "is not from 1 to 400");
        }
        if self.log_bytes_max < LOG_BYTES_MIN {
            return refuse(
                "logs.log_bytes_max",
                "is too little for any log; 16384 is the least",
            );
        }
        if self.logs_max == 0 || self.appends_per_minute == 0 {
            return refuse(
                "logs.logs_max",
                "or `logs.appends_per_minute` is 0, so nothing could be said",
            );
        }
        Ok(())
    }
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8441),
        }
    }
}

impl Default for OutputSettings {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: Format::Text,
        }
    }
}

impl Settings {
    /// Defaults, with the one key that has none.
    #[must_use]
    pub fn new(create: CreateRule) -> Self {
        Self {
            create,
            create_work_bits: default::create_work_bits(),
            create_tickets_sha256: Vec::new(),
            folder: default::folder(),
            identity_file: default::identity_file(),
            listen: default::listen(),
            public_address: String::new(),
            cache_bytes: default::cache_bytes(),
            connections: ConnectionSettings::default(),
            logs: LogSettings::default(),
            admin: AdminSettings::default(),
            output: OutputSettings::default(),
        }
    }

    /// Reads and checks a settings file.
    ///
    /// # Errors
    /// [`ConfigError`], with a sentence that says what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses and checks; `path` is only for the message.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] and [`ConfigError::Value`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let settings: Self = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether every value is allowed.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |wrong: bool, key, problem| {
            if wrong {
                Err(ConfigError::Value { key, problem })
            } else {
                Ok(())
            }
        };
        refuse(
            self.create_work_bits > WORK_BITS_MAX,
            "create_work_bits",
            "is more than a phone can do; 28 is the most, 20 takes about a second",
        )?;
        refuse(
            self.create == CreateRule::Ticket && self.create_tickets_sha256.is_empty(),
            "create_tickets_sha256",
            "lists no ticket, so nobody could create a log; add the SHA-256 of one",
        )?;
        refuse(
            self.admin.enabled && !self.admin.listen.ip().is_loopback(),
            "admin.listen",
            "is not a loopback address; whoever reaches it sees the relay's load",
        )?;
        self.connections.check()?;
        self.logs.check()
    }

    /// The identity's file.
    #[must_use]
    pub fn identity_path(&self) -> PathBuf {
        self.folder.join(&self.identity_file)
    }

    /// Whether `ticket` is one of the operator's; every listed one is compared.
    #[must_use]
    pub fn accepts_ticket(&self, ticket: &[u8]) -> bool {
        let digest = TicketDigest::of(ticket);
        self.create_tickets_sha256
            .iter()
            .fold(Choice::from(0), |found, listed| {
                found | listed.0.ct_eq(&digest.0)
            })
            .into()
    }
}

impl ConnectionSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let all = [
            ("connections.connections_max", self.connections_max == 0),
            (
                "connections.handshake_timeout_ms",
                self.handshake_timeout_ms == 0,
            ),
            ("connections.write_timeout_ms", self.write_timeout_ms == 0),
            ("connections.ping_interval_ms", self.ping_interval_ms == 0),
            (
                "connections.shutdown_timeout_ms",
                self.shutdown_timeout_ms == 0,
            ),
            (
                "connections.requests_per_second",
                self.requests_per_second == 0,
            ),
            ("connections.requests_burst", self.requests_burst == 0),
            ("connections.bytes_per_second", self.bytes_per_second == 0),
        ];
        if let Some((key, _)) = all.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Value {
                key,
                problem: "is 0, so the relay could do nothing; leave it out for the default",
            });
        }
        let message_max = sotto_protocol::limits::MESSAGE_BYTES_MAX;
        if usize::try_from(self.bytes_burst).is_ok_and(|burst| burst < message_max) {
            return Err(ConfigError::Value {
                key: "connections.bytes_burst",
                problem: "is less than the largest message, which could then never be sent",
            });
        }
        Ok(())
    }

    /// [`Self::handshake_timeout_ms`].
    #[must_use]
    pub const fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// [`Self::write_timeout_ms`].
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    /// [`Self::ping_interval_ms`].
    #[must_use]
    pub const fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    /// [`Self::shutdown_timeout_ms`].
    #[must_use]
    pub const fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.shutdown_timeout_ms)
    }
}

#[cfg(test)]
mod tests;
