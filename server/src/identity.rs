//! Who the relay is: the Ed25519 identity that links pin, with the X25519 key it signs each day.
//!
//! The identity lives in one file that only its owner may read; a day key lives in memory only, so
//! that a relay that was stopped cannot be made to open what was said to it. Nothing here prints a
//! secret. SPEC: "Connection".

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use sotto_protocol::frame::{Frame, Greeting};
use sotto_protocol::id::{PublicKey, RelayIdentity};
use sotto_protocol::{cbor, proof};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::clock::Clock;

/// Hexadecimal digits of a secret key, without the line end.
const FILE_DIGITS: usize = 64;
/// Only the owner may read or write.
const FILE_MODE: u32 = 0o600;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No file, and nobody asked to make one.
    #[error("there is no identity file at {}; `run --init` makes one", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `--init` never replaces an identity: every link would be dead.
    #[error("an identity file stands at {} already", path.display())]
    Exists {
        /// Where it stands.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("the identity file {} must be readable by its owner only (chmod 600)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("the identity file {} does not hold {FILE_DIGITS} hexadecimal digits", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The disk did not do it.
    #[error("the identity file {} could not be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Randomness,
    /// The greeting is not of this protocol: a bug.
    #[error("the greeting could not be encoded")]
    Greeting,
}

/// The relay's long-lived key.
pub struct Identity {
    signing: SigningKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// A new identity that is stored nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|_| IdentityError::Randomness)?;
        Ok(Self {
            signing: SigningKey::from_bytes(&secret),
        })
    }

    /// Makes a new identity and stores it; an existing file is never replaced.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] for an existing file, [`IdentityError::Io`] if it can't be written.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::generate()?;
        let io_error = |source: io::Error| {
            let path = path.to_path_buf();
            if source.kind() == io::ErrorKind::AlreadyExists {
                IdentityError::Exists { path }
            } else {
                IdentityError::Io { path, source }
            }
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)
            .map_err(io_error)?;
        let digits = Zeroizing::new(hex::encode(identity.signing.as_bytes()));
        writeln!(file, "{}", digits.as_str()).map_err(io_error)?;
        file.sync_all().map_err(io_error)?;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            // Without this a power cut may take the new name with it, and every link with the name.
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io_error)?;
        }
        Ok(identity)
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// Every [`IdentityError`] but [`IdentityError::Exists`].
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let io_error = |source: io::Error| {
            let path = path.to_path_buf();
            if source.kind() == io::ErrorKind::NotFound {
                IdentityError::Missing { path }
            } else {
                IdentityError::Io { path, source }
            }
        };
        let malformed = || IdentityError::Malformed {
            path: path.to_path_buf(),
        };
        let mut file = fs::File::open(path).map_err(io_error)?;
        let mode = file.metadata().map_err(io_error)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed {
                path: path.to_path_buf(),
            });
        }
        let mut text = Zeroizing::new(String::new());
        (&mut file)
            .take(FILE_DIGITS as u64 + 2)
            .read_to_string(&mut text)
            .map_err(io_error)?;
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_end(), secret.as_mut()).map_err(|_| malformed())?;
        Ok(Self {
            signing: SigningKey::from_bytes(&secret),
        })
    }

    /// What links pin.
    #[must_use]
    pub fn public(&self) -> RelayIdentity {
        RelayIdentity::new(self.signing.verifying_key().to_bytes())
    }
}

/// The address that people paste: `base/#` and the identity in base64url without padding.
///
/// The identity stands behind `#` so that no browser, proxy or server log ever gets it as part of a
/// request.
#[must_use]
pub fn relay_address(base: &str, identity: &RelayIdentity) -> String {
    let base = base.trim_end_matches('/');
    format!("{base}/#{}", URL_SAFE_NO_PAD.encode(identity.as_bytes()))
}

/// The X25519 key of one day, with the greeting that carries it.
pub struct DayKey {
    secret: StaticSecret,
    greeting: Greeting,
    frame: bytes::Bytes,
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayKey")
            .field("day", &self.greeting.day)
            .finish_non_exhaustive()
    }
}

impl DayKey {
    fn generate(identity: &Identity, day: u32) -> Result<Self, IdentityError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| IdentityError::Randomness)?;
        let secret = StaticSecret::from(*bytes);
        let key: PublicKey = proof::public_key(&secret);
        let greeting = Greeting {
            day,
            key,
            identity: identity.public(),
            signature: proof::sign_day(&identity.signing, day, &key),
        };
        let frame = cbor::encode(&Frame::Greeting(greeting.clone()))
            .map_err(|_| IdentityError::Greeting)?
            .into();
        Ok(Self {
            secret,
            greeting,
            frame,
        })
    }

    /// The secret half, for Noise and for grant proofs.
    #[must_use]
    pub const fn secret(&self) -> &StaticSecret {
        &self.secret
    }

    /// What the relay says first on every connection.
    #[must_use]
    pub const fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The encoded greeting, shared by all connections of the day.
    #[must_use]
    pub fn frame(&self) -> bytes::Bytes {
        self.frame.clone()
    }
}

/// The key of the day, made anew when the day changes.
#[derive(Debug)]
pub struct DayKeys {
    identity: Identity,
    clock: Arc<dyn Clock>,
    current: Mutex<Arc<DayKey>>,
}

impl DayKeys {
    /// Draws today's key.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`] if the system has none.
    pub fn new(identity: Identity, clock: Arc<dyn Clock>) -> Result<Self, IdentityError> {
        let current = Mutex::new(Arc::new(DayKey::generate(&identity, clock.day())?));
        Ok(Self {
            identity,
            clock,
            current,
        })
    }

    /// Today's key. Connections keep the one they were greeted with.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`] if a new one is due and the system has no randomness.
    pub fn today(&self) -> Result<Arc<DayKey>, IdentityError> {
        let day = self.clock.day();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.greeting.day != day {
            *current = Arc::new(DayKey::generate(&self.identity, day)?);
        }
        Ok(Arc::clone(&current))
    }

    /// What links pin.
    #[must_use]
    pub fn identity(&self) -> RelayIdentity {
        self.identity.public()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        assert!(matches!(
            Identity::load(&path),
            Err(IdentityError::Missing { .. })
        ));
        let made = Identity::create(&path).unwrap();
        assert_eq!(Identity::load(&path).unwrap().public(), made.public());
        assert!(matches!(
            Identity::create(&path),
            Err(IdentityError::Exists { .. })
        ));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
    }

    #[test]
    fn an_identity_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Identity::load(&path),
            Err(IdentityError::Exposed { .. })
        ));
    }

    #[test]
    fn a_damaged_identity_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"z".repeat(64)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(FILE_MODE)).unwrap();
            assert!(
                matches!(Identity::load(&path), Err(IdentityError::Malformed { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = Identity::generate().unwrap();
        let public = hex::encode(identity.public().as_bytes());
        let key = DayKey::generate(&identity, 20_000).unwrap();
        let shown = format!("{identity:?} {key:?}");
        assert_eq!(shown, "Identity(…) DayKey { day: 20000, .. }");
        assert!(!shown.contains(&public));
    }

    #[test]
    fn a_day_key_is_drawn_anew_at_every_start_and_every_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::create(&path).unwrap();
        let clock = Arc::new(crate::clock::ManualClock::at_day(20_000));
        let start = || DayKeys::new(Identity::load(&path).unwrap(), clock.clone()).unwrap();
        let (first, second) = (start(), start());
        let key = |keys: &DayKeys| keys.today().unwrap().secret().to_bytes();
        assert_eq!(key(&first), key(&first), "one a day while it runs");
        assert_ne!(
            key(&first),
            key(&second),
            "nothing of it is kept over a stop"
        );
        let before = key(&first);
        clock.advance(std::time::Duration::from_secs(86_400));
        assert_ne!(key(&first), before);
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "only the identity is written down");
    }

    #[test]
    fn an_address_carries_the_identity_behind_the_hash() {
        let address = relay_address("ws://127.0.0.1:1/", &RelayIdentity::new([0; 32]));
        assert_eq!(address, format!("ws://127.0.0.1:1/#{}", "A".repeat(43)));
    }
}
