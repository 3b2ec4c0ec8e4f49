//! Keys from a secret, by HKDF (RFC 5869) with SHA-256. SPEC.md, "Secrets", "Attachments", "Backup".

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What keys are drawn from: a secret, extracted under a salt that says what it is for.
pub(crate) struct Source(Hkdf<Sha256>);

impl Source {
    pub(crate) fn new(salt: &[u8], secret: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), secret))
    }

    /// `HKDF-Expand(PRK, label || of, 32)`.
    pub(crate) fn key(&self, label: &[u8], of: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        #[expect(
            clippy::expect_used,
            reason = "32 bytes are far below the 8,160 that HKDF-SHA-256 can give"
        )]
        self.0
            .expand_multi_info(&[label, of], out.as_mut())
            .expect("32 bytes");
        out
    }
}
