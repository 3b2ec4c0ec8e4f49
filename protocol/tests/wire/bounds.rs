//! Every limit of a request at its edge, and the largest items against the limits on bytes.

use sotto_protocol::cbor::{self, DecodeError};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Described, Done, Entry, FromRelay, Grant, Item, NewEntry, NewGrants, Page,
    Request, Verb,
};
use sotto_protocol::id::{HeldDigest, PublicKey};
use sotto_protocol::limits;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;

use crate::samples::{self, Wire};

fn sample(name: &str) -> Request<'static> {
    let samples = samples::all().into_iter();
    let mut found = samples.filter_map(|sample| match sample.value {
        Wire::Request(request) if sample.name == name => Some(request),
        _ => None,
    });
    found.next().unwrap()
}

/// The sample with its verb changed.
fn with(name: &str, change: impl FnOnce(&mut Verb<'static>)) -> Result<(), ErrorCode> {
    let mut request = sample(name);
    change(&mut request.verb);
    request.check_bounds()
}

macro_rules! change {
    ($name:literal, $variant:ident, |$inner:ident| $change:expr) => {
        with($name, |verb| match verb {
            Verb::$variant($inner) => $change,
            other => panic!("{} is not it", other.name()),
        })
    };
}

fn grants(count: usize) -> Vec<Grant> {
    let grant = |place: usize| {
        let mut key = [0xff; 32];
        key[..8].copy_from_slice(&place.to_be_bytes());
        Grant {
            key: PublicKey::new(key),
            ends: None,
            rate: Some(u32::MAX),
            work: Some(limits::WORK_BITS_MAX),
            rights: Rights::ALL,
            until_seq: None,
        }
    };
    (0..count).map(grant).collect()
}

/// The longest grants there are.
fn cut_grants(count: usize) -> Vec<Grant> {
    let mut list = grants(count);
    for grant in &mut list {
        grant.ends = Some(grant.key);
        grant.rights = Rights::APPEND;
        grant.until_seq = Some(u64::MAX);
    }
    list
}

fn largest_entry(length: usize, held: usize) -> NewEntry<'static> {
    let Verb::Append(append) = sample("append, every field").verb else {
        panic!("not an append");
    };
    let entry = append.items[0].entries[0].clone();
    NewEntry {
        sealed: vec![0; length].into(),
        held: (held > 0).then(|| vec![0; held].into()),
        ..entry
    }
}

#[test]
fn every_sample_is_within_bounds() {
    for sample in samples::all() {
        if let Wire::Request(request) = sample.value {
            assert_eq!(request.check_bounds(), Ok(()), "{}", sample.name);
        }
    }
}

#[test]
fn numbers_are_refused_one_past_their_limit() {
    let edge = |fits: Result<(), ErrorCode>, over: Result<(), ErrorCode>| {
        assert_eq!(fits, Ok(()));
        assert_eq!(over, Err(ErrorCode::TooLarge));
    };
    let page = u32::try_from(limits::PAGE_ENTRIES_MAX).unwrap();
    let read = |count| change!("read", Read, |read| read.entries_max = count);
    edge(read(page), read(page + 1));
    edge(read(1), read(0));
    let follow = |credit| change!("follow", Follow, |follow| follow.credit = credit);
    edge(follow(limits::CREDIT_MAX), follow(limits::CREDIT_MAX + 1));
    let credit = |more| change!("credit", Credit, |credit| credit.more = more);
    edge(credit(limits::CREDIT_MAX), credit(limits::CREDIT_MAX + 1));
    edge(credit(1), credit(0));
    let claim = |ms| change!("claim", Claim, |claim| claim.ms = ms);
    edge(claim(limits::LEASE_MS_MAX), claim(limits::LEASE_MS_MAX + 1));
    let renew = |ms| change!("renew", Renew, |renew| renew.ms = ms);
    edge(renew(limits::LEASE_MS_MAX), renew(limits::LEASE_MS_MAX + 1));
    edge(renew(1), renew(0));
    let hold = |ms| change!("hold", Hold, |hold| hold.ms = ms);
    edge(hold(limits::HOLD_MS_MAX), hold(limits::HOLD_MS_MAX + 1));
    let days = |days| change!("create", Create, |create| create.policy.ttl_days = days);
    edge(days(limits::TTL_DAYS_MAX), days(limits::TTL_DAYS_MAX + 1));
    edge(days(1), days(0));
    let work = |bits| {
        change!("create", Create, |create| create.grants[0].work =
            Some(bits))
    };
    edge(work(limits::WORK_BITS_MAX), work(limits::WORK_BITS_MAX + 1));
}

#[test]
fn counts_and_lengths_are_refused_one_past_their_limit() {
    let edge = |fits: Result<(), ErrorCode>, over: Result<(), ErrorCode>| {
        assert_eq!(fits, Ok(()));
        assert_eq!(over, Err(ErrorCode::TooLarge));
    };
    let proofs = |count| {
        change!("open", Open, |open| open.proofs =
            vec![open.proofs[0].clone(); count])
    };
    edge(proofs(limits::PROOFS_MAX), proofs(limits::PROOFS_MAX + 1));
    edge(proofs(1), proofs(0));
    let ticket = |length: usize| {
        change!("create", Create, |create| create.ticket =
            Some(vec![0; length].into()))
    };
    edge(
        ticket(limits::TICKET_BYTES_MAX),
        ticket(limits::TICKET_BYTES_MAX + 1),
    );
    let list = |list| change!("grants", Grants, |verb| verb.new.list = list);
    let (active, all) = (limits::GRANTS_ACTIVE_MAX, limits::GRANTS_MAX);
    edge(list(grants(active)), list(grants(active + 1)));
    edge(list(cut_grants(all)), list(cut_grants(all + 1)));
    let items = |count| {
        change!("append", Append, |append| append.items =
            vec![append.items[0].clone(); count])
    };
    edge(items(limits::ITEMS_MAX), items(limits::ITEMS_MAX + 1));
    edge(items(1), items(0));
    let entries = |length, held, count| {
        change!("append", Append, |append| {
            append.items[0].entries = vec![largest_entry(length, held); count];
        })
    };
    let run = limits::ITEM_ENTRIES_MAX;
    edge(entries(1024, 0, run), entries(1024, 0, run + 1));
    let large = limits::RUN_BYTES_MAX / limits::SEALED_BYTES_MAX;
    edge(entries(65_536, 0, large), entries(65_536, 0, large + 1));
    edge(
        entries(1024, limits::HELD_BYTES_MAX, 1),
        entries(1024, limits::HELD_BYTES_MAX + 1, 1),
    );
    let padded = |length: usize| {
        let mut request = sample("describe");
        request.pad = Some(vec![0; length].into());
        request.check_bounds()
    };
    edge(
        padded(limits::PAD_BYTES_MAX),
        padded(limits::PAD_BYTES_MAX + 1),
    );
    edge(padded(1), padded(0));
    for class in SizeClass::ALL {
        assert_eq!(entries(class.bytes(), 0, 1), Ok(()));
        for other in [class.bytes() - 1, class.bytes() + 1] {
            assert_eq!(entries(other, 0, 1), Err(ErrorCode::BadRequest));
        }
    }
}

#[test]
fn an_append_is_refused_one_entry_past_what_all_its_items_may_hold() {
    let spread = |mut left: usize, length: usize, each: usize| {
        change!("append", Append, |append| {
            let first = append.items[0].clone();
            append.items.clear();
            while left > 0 {
                let count = left.min(each);
                left -= count;
                append.items.push(Item {
                    entries: vec![largest_entry(length, 0); count],
                    ..first.clone()
                });
            }
        })
    };
    let (all, each) = (limits::APPEND_ENTRIES_MAX, limits::ITEM_ENTRIES_MAX);
    assert_eq!(spread(all, 1024, each), Ok(()));
    assert_eq!(spread(all + 1, 1024, each), Err(ErrorCode::TooLarge));
    let all = limits::APPEND_BYTES_MAX / limits::SEALED_BYTES_MAX;
    let each = limits::RUN_BYTES_MAX / limits::SEALED_BYTES_MAX;
    assert_eq!(spread(all, 65_536, each), Ok(()));
    assert_eq!(spread(all + 1, 65_536, each), Err(ErrorCode::TooLarge));
}

#[test]
fn an_item_may_be_as_deep_as_the_limit_and_no_deeper() {
    let nested = |levels: usize| {
        let mut bytes = vec![0x81; levels];
        bytes.push(0x00);
        cbor::check(&bytes)
    };
    // The number within is a level too.
    assert_eq!(nested(limits::CBOR_DEPTH_MAX - 1), Ok(()));
    assert_eq!(nested(limits::CBOR_DEPTH_MAX), Err(DecodeError::Depth));
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let bad = Err(ErrorCode::BadRequest);
    let unfenced = |change: fn(&mut Item<'static>)| {
        change!("append, every field", Append, |append| {
            append.items[0].fence = None;
            change(&mut append.items[0]);
        })
    };
    assert_eq!(unfenced(|item| item.grants = None), bad);
    assert_eq!(unfenced(|item| item.admit = None), bad);
    let both = unfenced(|item| {
        item.grants = None;
        item.admit = None;
    });
    assert_eq!(both, Ok(()));
    let empty = |change: fn(&mut Item<'static>)| {
        change!("append, lease alone", Append, |append| change(
            &mut append.items[0]
        ))
    };
    assert_eq!(empty(|item| item.lease = None), bad);
    assert_eq!(empty(|item| item.fence = Some(0)), bad);
    assert_eq!(empty(|item| item.pin = true), bad);
    let admits = change!("create", Create, |create| {
        create.policy.admit_rights = Rights::MANAGE;
    });
    assert_eq!(admits, bad);
    let twice = change!("create", Create, |create| {
        create.grants.push(create.grants[0].clone());
    });
    assert_eq!(twice, bad);
    let idle = change!("create", Create, |create| {
        create.grants[0].rights = Rights::NONE;
    });
    assert_eq!(idle, bad);
    let bound = |rights| {
        change!("create", Create, |create| {
            create.grants[0].ends = Some(PublicKey::new([1; 32]));
            create.grants[0].rights = rights;
        })
    };
    assert_eq!(bound(Rights::APPEND), Ok(()));
    for (right, _) in Rights::TABLE {
        if right != Rights::APPEND {
            assert_eq!((bound(right), bound(Rights::APPEND | right)), (bad, bad));
        }
    }
}

/// The largest append in the smallest class, with everything that can stand around its bytes.
#[test]
fn the_largest_append_fits_a_request() {
    let Verb::Append(append) = sample("append, every field").verb else {
        panic!("not an append");
    };
    let held = limits::APPEND_BYTES_MAX - limits::APPEND_ENTRIES_MAX * 1024;
    assert_eq!(held, 0, "the classes divide the limit");
    let mut left = limits::APPEND_ENTRIES_MAX;
    let items = (0..limits::ITEMS_MAX).map(|place| {
        let rest = left - (limits::ITEMS_MAX - 1 - place);
        let count = rest.min(limits::ITEM_ENTRIES_MAX);
        left -= count;
        let grants = NewGrants {
            cut: true,
            list: cut_grants(if place < 2 {
                limits::GRANTS_ACTIVE_MAX
            } else {
                0
            }),
            version: u64::MAX,
        };
        Item {
            fence: Some(u64::MAX),
            grants: Some(grants),
            entries: vec![largest_entry(1024, 0); count],
            ..append.items[0].clone()
        }
    });
    let items: Vec<_> = items.collect();
    let entries: usize = items.iter().map(|item| item.entries.len()).sum();
    assert_eq!(entries, limits::APPEND_ENTRIES_MAX);
    let verb = Verb::Append(Append { items, ..append });
    let request = Request {
        verb,
        id: u64::MAX,
        pad: None,
    };
    assert_eq!(request.check_bounds(), Ok(()));
    let length = cbor::encode(&request).unwrap().len();
    assert!(length <= limits::REQUEST_BYTES_MAX, "{length}");
}

#[test]
fn frames_around_entries_and_grants_are_as_long_as_the_limits_say() {
    let (sealed, held) = (limits::SEALED_BYTES_MAX, limits::HELD_BYTES_MAX);
    let bare = cbor::encode(&largest_entry(sealed, held)).unwrap().len();
    let grant = cbor::encode(&cut_grants(1)[0]).unwrap().len();
    let entry = cbor::encode(&full_entry(sealed)).unwrap().len();
    let reasons = crate::spec::table("Limits");
    for (name, bytes, limit) in [
        (
            "NEW_ENTRY_FRAME_BYTES_MAX",
            bare - sealed - held,
            limits::NEW_ENTRY_FRAME_BYTES_MAX,
        ),
        (
            "ENTRY_FRAME_BYTES_MAX",
            entry - sealed,
            limits::ENTRY_FRAME_BYTES_MAX,
        ),
        ("GRANT_BYTES_MAX", grant, limits::GRANT_BYTES_MAX),
    ] {
        assert!(bytes <= limit, "{name}");
        let row = reasons.iter().find(|row| row[0] == name).unwrap();
        assert!(
            row[2].ends_with(&format!(" are {bytes} bytes")),
            "{name}: {bytes}"
        );
    }
}

fn full_entry(length: usize) -> Entry<'static> {
    let page = samples::all()
        .into_iter()
        .find_map(|sample| match sample.value {
            Wire::FromRelay(FromRelay::Done(Done {
                answer: Answer::Page(page),
                ..
            })) if !page.entries.is_empty() => Some(page),
            _ => None,
        });
    Entry {
        day: u32::MAX,
        seq: u64::MAX,
        held: Some(HeldDigest::new([0; 32])),
        fence: Some(u64::MAX),
        claimed: true,
        sealed: vec![0; length].into(),
        ..page.unwrap().entries.remove(0)
    }
}

#[test]
fn the_largest_answers_fit() {
    let answer = |answer| {
        let done = Done {
            id: u64::MAX,
            answer,
        };
        cbor::encode(&FromRelay::Done(done)).unwrap().len()
    };
    let mut entries = vec![full_entry(1024); limits::PAGE_ENTRIES_MAX - 1];
    entries.push(full_entry(limits::SEALED_BYTES_MAX));
    let page = answer(Answer::Page(Page {
        more: true,
        entries,
    }));
    assert!(page <= limits::ANSWER_BYTES_MAX, "{page}");
    let described = samples::all()
        .into_iter()
        .find_map(|sample| match sample.value {
            Wire::FromRelay(FromRelay::Done(Done {
                answer: Answer::Described(described),
                ..
            })) => Some(described),
            _ => None,
        });
    let described = answer(Answer::Described(Described {
        grants: cut_grants(limits::GRANTS_MAX),
        ..described.unwrap()
    }));
    assert!(described <= limits::ANSWER_BYTES_MAX, "{described}");
}

/// A full item as Noise messages in a frame.
#[test]
fn the_largest_items_fit_a_message() {
    for length in [limits::REQUEST_BYTES_MAX, limits::ANSWER_BYTES_MAX] {
        let messages = length.div_ceil(limits::NOISE_PAYLOAD_BYTES_MAX);
        let frame = length + messages * 16 + 16;
        assert!(frame <= limits::MESSAGE_BYTES_MAX);
    }
}
