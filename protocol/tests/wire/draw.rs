//! Arbitrary values of every frame, drawn from arbitrary bytes: proptest then shrinks the bytes.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Bytes, Claim, Claimed, Create, Created, Credit, Delete, Describe, Described,
    Done, Ended, Entry, Follow, Followed, Frame, FromRelay, Grant, Granted, Grants, Greeting, Held,
    Hold, Item, ItemDone, Lane, LeaseCondition, NewEntry, NewGrants, Notice, Open, Opened, Page,
    Placed, Policy, Position, Proof, Push, Read, Refusal, Refused, Release, Renew, Request, Take,
    Taken, Trim, Unfollow, Verb, Withdraw,
};
use sotto_protocol::right::Rights;

use crate::samples::Wire;

/// Bytes to draw from; zeros once they are used up.
pub(crate) struct Draw<'a>(pub(crate) &'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Any number, the edges of CBOR's lengths among them more often than chance would.
    fn u64(&mut self) -> u64 {
        let edges = [
            0,
            23,
            24,
            0xff,
            0x100,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            1 << 32,
        ];
        match self.below(3) {
            0 => u64::from(self.byte()),
            1 => edges[usize::from(self.below(9))],
            _ => u64::from_be_bytes(self.bytes()),
        }
    }

    fn u32(&mut self) -> u32 {
        self.u64().try_into().unwrap_or(u32::MAX)
    }

    fn u16(&mut self) -> u16 {
        self.u64().try_into().unwrap_or(u16::MAX)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    fn id<const N: usize, T: From<[u8; N]>>(&mut self) -> T {
        self.bytes::<N>().into()
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| draw(self))
    }

    fn several<T>(&mut self, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(4);
        (0..count).map(|_| draw(self)).collect()
    }

    fn blob(&mut self) -> Bytes<'static> {
        let length = self.below(40);
        let bytes: Vec<_> = (0..length).map(|_| self.byte()).collect();
        bytes.into()
    }

    fn rights(&mut self) -> Rights {
        Rights::from_bits(self.u16() & Rights::ALL.bits()).unwrap()
    }

    fn lane(&mut self) -> Lane {
        if self.flag() { Lane::All } else { Lane::Fenced }
    }

    fn grant(&mut self) -> Grant {
        Grant {
            key: self.id(),
            ends: self.maybe(Self::id),
            rate: self.maybe(Self::u32),
            work: self.maybe(Self::byte),
            rights: self.rights(),
            until_seq: self.maybe(Self::u64),
        }
    }

    fn policy(&mut self) -> Policy {
        Policy {
            ttl_days: self.u16(),
            bytes_max: self.u64(),
            admit_rights: self.rights(),
            ttl_fenced_days: self.u16(),
        }
    }

    fn new_grants(&mut self) -> NewGrants {
        NewGrants {
            cut: self.flag(),
            list: self.several(Self::grant),
            version: self.u64(),
        }
    }

    fn proof(&mut self) -> Proof {
        Proof {
            key: self.id(),
            mac: self.id(),
        }
    }

    fn new_entry(&mut self) -> NewEntry<'static> {
        NewEntry {
            held: self.maybe(Self::blob),
            owner: self.maybe(Self::id),
            sealed: self.blob(),
            last_resort: self.flag(),
            commitment: self.id(),
        }
    }

    fn entry(&mut self) -> Entry<'static> {
        Entry {
            day: self.u32(),
            seq: self.u64(),
            held: self.maybe(Self::id),
            fence: self.maybe(Self::u64),
            stamp: self.id(),
            before: self.id(),
            sealed: self.blob(),
            claimed: self.flag(),
            commitment: self.id(),
        }
    }

    fn lease(&mut self) -> LeaseCondition {
        LeaseCondition {
            end: self.flag(),
            seq: self.u64(),
            lease: self.u64(),
        }
    }

    fn item(&mut self) -> Item<'static> {
        Item {
            log: self.id(),
            pin: self.flag(),
            lease: self.maybe(Self::lease),
            admit: self.maybe(Self::id),
            fence: self.maybe(Self::u64),
            grants: self.maybe(Self::new_grants),
            entries: self.several(Self::new_entry),
        }
    }

    fn create(&mut self) -> Create<'static> {
        Create {
            day: self.u32(),
            root: self.id(),
            work: self.maybe(Self::u64),
            proof: self.id(),
            retry: self.id(),
            grants: self.several(Self::grant),
            policy: self.policy(),
            ticket: self.maybe(Self::blob),
        }
    }

    fn append(&mut self) -> Append<'static> {
        Append {
            day: self.u32(),
            work: self.maybe(Self::u64),
            items: self.several(Self::item),
            retry: self.id(),
        }
    }

    fn verb(&mut self) -> Verb<'static> {
        match self.below(18) {
            0 => Verb::Create(self.create()),
            1 => Verb::Open(Open {
                log: self.id(),
                proofs: self.several(Self::proof),
            }),
            2 => Verb::Append(self.append()),
            3 => Verb::Read(Read {
                log: self.id(),
                lane: self.lane(),
                after: self.u64(),
                entries_max: self.u32(),
            }),
            4 => Verb::Follow(Follow {
                log: self.id(),
                lane: self.lane(),
                after: self.u64(),
                credit: self.u32(),
            }),
            5 => Verb::Credit(Credit {
                log: self.id(),
                more: self.u32(),
            }),
            6 => Verb::Unfollow(Unfollow { log: self.id() }),
            _ => self.changing_verb(),
        }
    }

    fn changing_verb(&mut self) -> Verb<'static> {
        let (day, log, retry, seq) = (self.u32(), self.id(), self.id(), self.u64());
        match self.below(11) {
            0 => Verb::Trim(Trim {
                to: seq,
                day,
                log,
                retry,
            }),
            1 => Verb::Claim(Claim {
                ms: self.u32(),
                day,
                log,
                seq,
                retry,
            }),
            2 => Verb::Renew(Renew {
                ms: self.u32(),
                log,
                seq,
                lease: self.u64(),
            }),
            3 => Verb::Release(Release {
                log,
                seq,
                lease: self.u64(),
            }),
            4 => Verb::Position(Position {
                log,
                seq,
                proof: self.proof(),
            }),
            5 => Verb::Withdraw(Withdraw {
                day,
                log,
                seq,
                proof: self.proof(),
                retry,
            }),
            6 => Verb::Take(Take { day, log, retry }),
            7 => Verb::Grants(Grants {
                day,
                log,
                new: self.new_grants(),
                retry,
            }),
            8 => Verb::Hold(Hold {
                ms: self.u32(),
                log,
            }),
            9 => Verb::Describe(Describe { log }),
            _ => Verb::Delete(Delete { day, log, retry }),
        }
    }

    fn opened(&mut self) -> Opened {
        Opened {
            day: self.u32(),
            tag: self.id(),
            head: self.u64(),
            pins: self.several(Self::u64),
            chain: self.id(),
            fence: self.u64(),
            first: self.u64(),
            rights: self.rights(),
            version: self.u64(),
        }
    }

    fn item_done(&mut self) -> ItemDone {
        ItemDone {
            day: self.u32(),
            seq: self.u64(),
            chain: self.id(),
            fence: self.u64(),
        }
    }

    fn answer(&mut self) -> Answer<'static> {
        match self.below(12) {
            0 => Answer::Created(Created { chain: self.id() }),
            1 => Answer::Opened(self.opened()),
            2 => Answer::Appended(self.several(Self::item_done)),
            3 => Answer::Page(Page {
                more: self.flag(),
                entries: self.several(Self::entry),
            }),
            4 => Answer::Followed(Followed { tag: self.id() }),
            5 => Answer::Claimed(Claimed {
                ms: self.u32(),
                held: self.maybe(Self::blob),
                lease: self.u64(),
            }),
            6 => Answer::Placed(Placed {
                ahead: self.u64(),
                claimed: self.flag(),
            }),
            7 => Answer::Taken(Taken {
                entry: self.entry(),
                last_resort: self.flag(),
            }),
            8 => Answer::Granted(Granted {
                version: self.u64(),
            }),
            9 => Answer::Held(Held {
                ms: self.u32(),
                fence: self.u64(),
            }),
            10 => Answer::Described(Described {
                bytes: self.u64(),
                grants: self.several(Self::grant),
                policy: self.policy(),
                entries: self.u64(),
                version: self.u64(),
            }),
            _ => Answer::Ok,
        }
    }

    fn refusal(&mut self) -> Refusal {
        let codes = ErrorCode::ALL;
        Refusal {
            code: codes[usize::from(self.byte()) % codes.len()],
            bits: self.maybe(Self::byte),
            item: self.maybe(Self::u16),
            fence: self.maybe(Self::u64),
            version: self.maybe(Self::u64),
            incident: self.maybe(Self::u64),
            retry_after_ms: self.maybe(Self::u32),
        }
    }

    fn item_of_relay(&mut self) -> FromRelay<'static> {
        match self.below(4) {
            0 | 1 => FromRelay::Done(Done {
                id: self.u64(),
                answer: self.answer(),
            }),
            2 => FromRelay::Refused(Refused {
                id: self.u64(),
                refusal: self.refusal(),
            }),
            _ if self.flag() => FromRelay::Notice(Notice::Restarting(self.u32())),
            _ => FromRelay::Notice(Notice::Ended(Ended { tag: self.id() })),
        }
    }

    fn frame(&mut self) -> Frame<'static> {
        match self.below(3) {
            0 => Frame::Greeting(Greeting {
                day: self.u32(),
                key: self.id(),
                identity: self.id(),
                signature: self.id(),
            }),
            1 => Frame::Noise(self.blob()),
            _ => Frame::Push(Push {
                tag: self.id(),
                entry: self.entry(),
            }),
        }
    }

    /// Any top-level item.
    pub(crate) fn wire(&mut self) -> Wire<'static> {
        match self.below(8) {
            0 => Wire::Frame(self.frame()),
            1..=4 => {
                let verb = self.verb();
                let id = self.u64();
                let pad = self.maybe(Self::blob);
                Wire::Request(Request { verb, id, pad })
            }
            _ => Wire::FromRelay(self.item_of_relay()),
        }
    }
}
