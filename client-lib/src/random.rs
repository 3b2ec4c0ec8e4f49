//! Randomness from the operating system (or the browser), in one place.

/// The system gave no randomness; nothing may go on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub(crate) struct NoRandomness;

/// Fresh random bytes.
pub(crate) fn array<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Fresh random bytes for all of `bytes`.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}
