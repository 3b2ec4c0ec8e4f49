//! Every verb.

use sotto_protocol::frame::{
    Append, Claim, Create, Credit, Delete, Describe, Follow, Grant, Grants, Hold, Item, Lane,
    LeaseCondition, NewEntry, NewGrants, Open, Policy, Position, Proof, Read, Release, Renew,
    Request, Take, Trim, Unfollow, Verb, Withdraw,
};
use sotto_protocol::id::Mac;
use sotto_protocol::right::Rights;

use super::{DAY, key, log, new_entry, retry};

pub(super) fn all() -> Vec<(String, Request<'static>)> {
    let verbs = making()
        .into_iter()
        .chain(appending())
        .chain(reading())
        .chain(claiming())
        .chain(managing());
    (1_u64..)
        .zip(verbs)
        .map(|(id, (variant, verb))| {
            let name = match variant {
                "" => verb.name().to_owned(),
                _ => format!("{}, {variant}", verb.name()),
            };
            let pad = None;
            (name, Request { verb, id, pad })
        })
        .chain([("describe, padded".to_owned(), padded())])
        .collect()
}

fn padded() -> Request<'static> {
    Request {
        verb: Verb::Describe(Describe { log: log() }),
        id: 0x51,
        pad: Some(vec![0; 0x20].into()),
    }
}

pub(super) fn grant() -> Grant {
    Grant {
        key: key(0x71),
        ends: None,
        rate: None,
        work: None,
        rights: Rights::READ | Rights::APPEND | Rights::FENCE,
        until_seq: None,
    }
}

pub(super) fn full_grant() -> Grant {
    Grant {
        key: key(0x72),
        ends: None,
        rate: Some(60),
        work: Some(16),
        rights: Rights::ALL,
        until_seq: Some(1_000_000),
    }
}

/// May append only with the end of an owner's entry.
fn ending_grant() -> Grant {
    Grant {
        key: key(0x79),
        ends: Some(key(0x77)),
        rate: Some(60),
        work: Some(16),
        rights: Rights::APPEND,
        until_seq: None,
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        ttl_days: 30,
        bytes_max: 1 << 30,
        admit_rights: Rights::READ | Rights::APPEND | Rights::FENCE | Rights::PIN,
        ttl_fenced_days: 60,
    }
}

fn proof() -> Proof {
    Proof {
        key: key(0x71),
        mac: Mac::new([0x73; 32]),
    }
}

fn making() -> Vec<(&'static str, Verb<'static>)> {
    let create = Create {
        day: DAY,
        root: key(0x74),
        work: None,
        proof: Mac::new([0x73; 32]),
        retry: retry(),
        grants: vec![full_grant()],
        policy: policy(),
        ticket: None,
    };
    let full = Create {
        work: Some(123_456),
        grants: vec![full_grant(), grant()],
        ticket: Some(vec![0x75; 24].into()),
        ..create.clone()
    };
    let open = Open {
        log: log(),
        proofs: vec![proof()],
    };
    let many = Open {
        log: log(),
        proofs: vec![proof(); 4],
    };
    vec![
        ("", Verb::Create(create)),
        ("work, ticket", Verb::Create(full)),
        ("", Verb::Open(open)),
        ("four proofs", Verb::Open(many)),
    ]
}

fn item() -> Item<'static> {
    Item {
        log: log(),
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: vec![new_entry()],
    }
}

fn append(items: Vec<Item<'static>>) -> Append<'static> {
    Append {
        day: DAY,
        work: None,
        items,
        retry: retry(),
    }
}

fn appending() -> Vec<(&'static str, Verb<'static>)> {
    let full_entry = NewEntry {
        held: Some(vec![0x76; 40].into()),
        owner: Some(key(0x77)),
        last_resort: true,
        ..new_entry()
    };
    let full_item = Item {
        pin: true,
        lease: Some(LeaseCondition {
            end: true,
            seq: 5,
            lease: 0x0000_0002_89ab_cdef,
        }),
        admit: Some(key(0x78)),
        fence: Some(12),
        grants: Some(NewGrants {
            cut: true,
            list: vec![full_grant(), grant()],
            version: 4,
        }),
        entries: vec![full_entry],
        ..item()
    };
    let lease_only = Item {
        lease: Some(LeaseCondition {
            end: false,
            seq: 5,
            lease: 0x0000_0002_89ab_cdef,
        }),
        entries: Vec::new(),
        ..item()
    };
    let full = Append {
        work: Some(u64::MAX),
        ..append(vec![full_item])
    };
    vec![
        ("", Verb::Append(append(vec![item()]))),
        ("every field", Verb::Append(full)),
        ("lease alone", Verb::Append(append(vec![lease_only]))),
    ]
}

fn reading() -> Vec<(&'static str, Verb<'static>)> {
    vec![
        (
            "",
            Verb::Read(Read {
                log: log(),
                lane: Lane::All,
                after: 0,
                entries_max: 1024,
            }),
        ),
        (
            "fenced",
            Verb::Read(Read {
                log: log(),
                lane: Lane::Fenced,
                after: 255,
                entries_max: 1,
            }),
        ),
        (
            "",
            Verb::Follow(Follow {
                log: log(),
                lane: Lane::All,
                after: 65_536,
                credit: 256,
            }),
        ),
        (
            "fenced",
            Verb::Follow(Follow {
                log: log(),
                lane: Lane::Fenced,
                after: 1 << 32,
                credit: 0,
            }),
        ),
        (
            "",
            Verb::Credit(Credit {
                log: log(),
                more: 128,
            }),
        ),
        ("", Verb::Unfollow(Unfollow { log: log() })),
    ]
}

fn claiming() -> Vec<(&'static str, Verb<'static>)> {
    let lease = 0x0000_0002_89ab_cdef;
    vec![
        (
            "",
            Verb::Trim(Trim {
                to: 41,
                day: DAY,
                log: log(),
                retry: retry(),
            }),
        ),
        (
            "",
            Verb::Claim(Claim {
                ms: 120_000,
                day: DAY,
                log: log(),
                seq: 5,
                retry: retry(),
            }),
        ),
        (
            "",
            Verb::Renew(Renew {
                ms: 60_000,
                log: log(),
                seq: 5,
                lease,
            }),
        ),
        (
            "",
            Verb::Release(Release {
                log: log(),
                seq: 5,
                lease,
            }),
        ),
        (
            "",
            Verb::Position(Position {
                log: log(),
                seq: 5,
                proof: proof(),
            }),
        ),
        (
            "",
            Verb::Withdraw(Withdraw {
                day: DAY,
                log: log(),
                seq: 5,
                proof: proof(),
                retry: retry(),
            }),
        ),
        (
            "",
            Verb::Take(Take {
                day: DAY,
                log: log(),
                retry: retry(),
            }),
        ),
    ]
}

fn managing() -> Vec<(&'static str, Verb<'static>)> {
    let grants = |cut, list| {
        Verb::Grants(Grants {
            day: DAY,
            log: log(),
            new: NewGrants {
                cut,
                list,
                version: 1,
            },
            retry: retry(),
        })
    };
    vec![
        ("", grants(false, vec![full_grant()])),
        ("cut", grants(true, vec![full_grant(), grant()])),
        ("ends", grants(false, vec![full_grant(), ending_grant()])),
        (
            "",
            Verb::Hold(Hold {
                ms: 10_000,
                log: log(),
            }),
        ),
        ("", Verb::Describe(Describe { log: log() })),
        (
            "",
            Verb::Delete(Delete {
                day: DAY,
                log: log(),
                retry: retry(),
            }),
        ),
    ]
}
