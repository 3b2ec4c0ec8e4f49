//! Leases on entries and on the fence, by the monotonic clock. Pure.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Refusal;
use sotto_protocol::id::PublicKey;
use sotto_protocol::limits::{HOLD_MS_MAX, LEASE_MS_MAX};

use super::state::{Head, Lease, Now};
use crate::limits::LEASES_PER_LOG_MAX;

/// A lease's number grows by 1 to 2^26: supporters may share a grant, so the number is also what
/// keeps one from speaking for another. 2^53 is left after 2^27 claims, so that clients in any
/// language can count.
const NUMBER_STEP_MASK: u64 = (1 << 26) - 1;

/// Gives a lease on an entry that is there.
pub(crate) fn claim(
    head: &mut Head,
    seq: u64,
    ms: u32,
    holder: PublicKey,
    now: &Now,
) -> Result<Lease, Refusal> {
    head.leases.retain(|lease| lease.left_ms(now) > 0);
    if let Some(live) = head.live_lease(seq, now) {
        return Err(Refusal {
            retry_after_ms: Some(clip(live.left_ms(now))),
            ..Refusal::of(ErrorCode::Claimed)
        });
    }
    if head.leases.len() >= LEASES_PER_LOG_MAX {
        return Err(Refusal::of(ErrorCode::QuotaExceeded));
    }
    head.lease += 1 + (now.random & NUMBER_STEP_MASK);
    let ms = u64::from(ms.min(LEASE_MS_MAX));
    let lease = Lease {
        ms,
        run: now.run,
        seq,
        until: end(ms, now),
        holder,
        number: head.lease,
    };
    head.leases.push(lease);
    Ok(lease)
}

/// Whether the lease is live and the caller's.
pub(crate) fn check(
    head: &Head,
    seq: u64,
    number: u64,
    keys: &[PublicKey],
    now: &Now,
) -> Result<(), Refusal> {
    let own = head
        .live_lease(seq, now)
        .is_some_and(|lease| lease.number == number && keys.contains(&lease.holder));
    if own {
        Ok(())
    } else {
        Err(Refusal::of(ErrorCode::LeaseLost))
    }
}

/// Lets a live lease last from now on for `ms`, and says how long that is.
pub(crate) fn renew(
    head: &mut Head,
    seq: u64,
    number: u64,
    ms: u32,
    keys: &[PublicKey],
    now: &Now,
) -> Result<u32, Refusal> {
    check(head, seq, number, keys, now)?;
    let ms = ms.min(LEASE_MS_MAX);
    for lease in head.leases.iter_mut().filter(|lease| lease.seq == seq) {
        lease.ms = u64::from(ms);
        lease.run = now.run;
        lease.until = end(u64::from(ms), now);
    }
    Ok(ms)
}

/// When a lease of so many milliseconds ends that begins now. What passed of this millisecond is not
/// taken from it: too long is safe where too short would give the entry to two people.
const fn end(ms: u64, now: &Now) -> u64 {
    now.mono_ms.saturating_add(ms).saturating_add(1)
}

/// Gives a lease back.
pub(crate) fn release(
    head: &mut Head,
    seq: u64,
    number: u64,
    keys: &[PublicKey],
    now: &Now,
) -> Result<(), Refusal> {
    check(head, seq, number, keys, now)?;
    head.leases.retain(|lease| lease.seq != seq);
    Ok(())
}

/// Reserves the fence for `manage`, or lets go with 0; says for how long.
///
/// The reservation is void after a restart: at most ten seconds are lost, and a restart takes
/// about as long.
pub(crate) fn hold(head: &mut Head, ms: u32, now: &Now) -> u32 {
    let ms = ms.min(HOLD_MS_MAX);
    head.run = now.run;
    head.hold = now.mono_ms.saturating_add(u64::from(ms));
    ms
}

/// How long the fence is still reserved.
pub(crate) fn hold_left_ms(head: &Head, now: &Now) -> u32 {
    if head.run == now.run {
        clip(head.hold.saturating_sub(now.mono_ms))
    } else {
        0
    }
}

fn clip(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}
