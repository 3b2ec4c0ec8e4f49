//! Every limit of the wire in one place, each with its reason. SPEC: "Limits".
//!
//! A relay may be configured stricter than this, never looser. Limits that only the relay's own
//! memory or disk depend on stand in `sotto_server::limits`.

/// The largest sealed entry: one size class K64. Larger payloads are runs of entries.
pub const SEALED_BYTES_MAX: usize = 65_536;
/// The largest held part: a KeyPackage (hybrid: 2.7 KB) and an inbox address fit twice over.
pub const HELD_BYTES_MAX: usize = 8_192;
/// The longest padding of a request: what one without a held part lacks.
pub const PAD_BYTES_MAX: usize = HELD_BYTES_MAX;
/// The largest run of adjacent entries in one append: a payload of 1 MiB and what sealing adds to
/// each of its parts. The largest Commit seen is hybrid, at 500 members with a
/// thinned tree is about 571 KiB.
pub const RUN_BYTES_MAX: usize = (1 << 20) + SEALED_BYTES_MAX;
/// Entries of one item: a run of the smallest class that reaches [`RUN_BYTES_MAX`].
pub const ITEM_ENTRIES_MAX: usize = RUN_BYTES_MAX / 1024;
/// Items of one append: a rotation is two (Commit and snapshot), a yes at a door two (Commit and
/// letter); the rest is room.
pub const ITEMS_MAX: usize = 16;
/// Sealed and held bytes of one append: two full runs (a large Commit and a snapshot).
pub const APPEND_BYTES_MAX: usize = 2 * RUN_BYTES_MAX + (1 << 16);
/// Entries of one append, all items together: [`APPEND_BYTES_MAX`] in the smallest class.
pub const APPEND_ENTRIES_MAX: usize = APPEND_BYTES_MAX / 1024;
/// CBOR around one new entry's sealed and held bytes: keys, owner and commitment are 119 bytes.
pub const NEW_ENTRY_FRAME_BYTES_MAX: usize = 128;
/// CBOR around one entry's sealed bytes in a page: keys, stamp, chain value, commitment and digest
/// of the held part are 211 bytes.
pub const ENTRY_FRAME_BYTES_MAX: usize = 224;
/// CBOR of one grant: the key and every optional field are 122 bytes.
pub const GRANT_BYTES_MAX: usize = 128;
/// The largest CBOR item a client may send: one full append in the smallest class, a full list of
/// grants, and 4 KiB for the frames of [`ITEMS_MAX`] items.
pub const REQUEST_BYTES_MAX: usize = APPEND_BYTES_MAX
    + APPEND_ENTRIES_MAX * NEW_ENTRY_FRAME_BYTES_MAX
    + GRANTS_MAX * GRANT_BYTES_MAX
    + (1 << 12);
/// The largest CBOR item a relay may send: `PAGE_BYTES_MAX`, the frames of
/// `PAGE_ENTRIES_MAX` entries, and 1 KiB.
pub const ANSWER_BYTES_MAX: usize =
    PAGE_BYTES_MAX + PAGE_ENTRIES_MAX * ENTRY_FRAME_BYTES_MAX + (1 << 10);
/// The largest WebSocket message either side accepts: `REQUEST_BYTES_MAX` with one byte in 1,024 and
/// 1 KiB more: room for the Noise tags and the outer frame. It holds before the bound of `NoiseFrame`
/// does.
pub const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX + REQUEST_BYTES_MAX / 1_024 + 1_024;
/// The longest Noise message (The Noise Protocol Framework, section 3).
pub const NOISE_MESSAGE_BYTES_MAX: usize = 65_535;
/// A Noise transport message without its 16-byte tag.
pub const NOISE_PAYLOAD_BYTES_MAX: usize = NOISE_MESSAGE_BYTES_MAX - 16;
/// Entries of one page of `read`.
pub const PAGE_ENTRIES_MAX: usize = 1_024;
/// Sealed bytes of one page of `read`: room for a full run, so that a page always moves on.
pub const PAGE_BYTES_MAX: usize = RUN_BYTES_MAX + SEALED_BYTES_MAX;
/// CBOR nesting: the deepest frame (an append with a grant in an item) needs 9.
pub const CBOR_DEPTH_MAX: usize = 12;
/// Grants that are not cut: members' key, join key, personal keys of 500 members, facilitators.
pub const GRANTS_ACTIVE_MAX: usize = 1_024;
/// Grants in all: the active ones and 1,024 old member grants of those who are away.
pub const GRANTS_MAX: usize = 2_048;
/// Admitted grants of today and yesterday, past which only `manage` admits: a flood of admissions
/// does not reach the key that the members had before it.
pub const ADMITTED_MAX: usize = 768;
/// Those of them that join keys admitted, past which join keys admit no more: half, so that who
/// has a link cannot use up what members need. An evening's joins fit several times over.
pub const JOIN_ADMITTED_MAX: usize = 384;
/// Grants proved in one `open`: a reader's, an appender's, a manager's and a spare.
pub const PROOFS_MAX: usize = 4;
/// Logs one connection may have open: a conversation, its door, inboxes and attachments; the SDK
/// uses one connection per conversation.
pub const OPEN_LOGS_MAX: usize = 64;
/// Entries a client may allow ahead for one followed log.
pub const CREDIT_MAX: u32 = 4_096;
/// Unanswered requests of one connection.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// Pins kept: the last ones and the newest of each of the last days.
pub const PINS_LAST: usize = 4;
/// Days whose newest pin is kept, see [`PINS_LAST`].
pub const PIN_DAYS: usize = 8;
/// Fenced items that must lie between two pins, so that one holder cannot evict the others' pins
/// in a second. A `manage` key may pin at any time.
pub const PIN_FENCED_SPACING: u64 = 16;
/// How long `hold` may reserve the fence.
pub const HOLD_MS_MAX: u32 = 10_000;
/// The longest lease on an entry before it must be renewed.
pub const LEASE_MS_MAX: u32 = 120_000;
/// Retry ids a log remembers, each for a day; past it appends are refused, never applied twice.
pub const RETRY_IDS_PER_LOG_MAX: u32 = 65_536;
/// The last of them that only changes under `manage` use: whoever uses up the others cannot keep the
/// grants from being changed, so that they are shut out.
pub const RETRY_IDS_FOR_MANAGE: u32 = 4_096;
/// Those before them that only changes under `claim` or `manage` use: who may append to a queue
/// cannot keep supporters from claiming what waits there.
pub const RETRY_IDS_FOR_CLAIM: u32 = 4_096;
/// The longest life of an ordinary entry.
pub const TTL_DAYS_MAX: u16 = 400;
/// How long fenced entries live at least: who was away longer knocks.
pub const TTL_FENCED_DAYS_DEFAULT: u16 = 60;
/// Bits of work a log or relay may ask; 2^28 hashes are minutes on a phone.
pub const WORK_BITS_MAX: u8 = 28;
/// An operator's ticket for `create`.
pub const TICKET_BYTES_MAX: usize = 128;
/// `position` answers in steps of this many entries once the place is past the first step.
pub const POSITION_STEP: u64 = 5;

const _: () = {
    assert!(RUN_BYTES_MAX.is_multiple_of(SEALED_BYTES_MAX));
    assert!(APPEND_BYTES_MAX < REQUEST_BYTES_MAX);
    assert!(REQUEST_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!(ANSWER_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!(GRANTS_ACTIVE_MAX < GRANTS_MAX);
    assert!(ADMITTED_MAX < GRANTS_ACTIVE_MAX && 2 * JOIN_ADMITTED_MAX <= ADMITTED_MAX);
    assert!(PAGE_BYTES_MAX >= RUN_BYTES_MAX);
    assert!(GRANTS_MAX * GRANT_BYTES_MAX + (1 << 10) < ANSWER_BYTES_MAX);
};
