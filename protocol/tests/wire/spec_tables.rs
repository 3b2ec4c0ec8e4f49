//! The tables of SPEC.md and the registries in code, in both directions.

use sotto_protocol::error_code::{Blame, ErrorCode};
use sotto_protocol::frame::{Item, Verb};
use sotto_protocol::id;
use sotto_protocol::limits;
use sotto_protocol::right::{Need, Rights};
use sotto_protocol::size_class::SizeClass;

use crate::samples::{self, Wire};
use crate::spec::table;

/// Columns of a table, without separators in numbers.
fn columns<const N: usize>(heading: &str) -> Vec<[String; N]> {
    let cells = |row: Vec<String>| core::array::from_fn(|place| row[place].replace(',', ""));
    table(heading).into_iter().map(cells).collect()
}

#[test]
fn identifiers() {
    macro_rules! lengths {
        ($($name:ident),*) => { [$([stringify!($name).to_owned(), id::$name::LEN.to_string()]),*] };
    }
    let code = lengths![
        LogId,
        PublicKey,
        RelayIdentity,
        Signature,
        Mac,
        RetryId,
        Commitment,
        HeldDigest,
        ChainValue,
        Stamp,
        Tag
    ];
    assert_eq!(columns::<2>("Identifiers"), code);
    let source = include_str!("../../src/id.rs");
    assert_eq!(source.matches("\nfixed_bytes!(").count(), code.len());
}

#[test]
fn rights() {
    let code = Rights::TABLE.map(|(right, name)| [right.bits().to_string(), name.to_owned()]);
    assert_eq!(columns::<2>("Rights"), code);
    let all = Rights::TABLE
        .iter()
        .fold(Rights::NONE, |all, (right, _)| all | *right);
    assert_eq!(all, Rights::ALL);
}

#[test]
fn size_classes() {
    let code = SizeClass::ALL.map(|class| [format!("{class:?}"), class.bytes().to_string()]);
    assert_eq!(columns::<2>("Size classes"), code);
}

#[test]
fn errors() {
    let blame = |code: ErrorCode| match code.blame() {
        Blame::Malformed => "malformed",
        Blame::NotAllowed => "not allowed",
        Blame::Busy => "busy",
        Blame::Internal => "internal",
    };
    let code: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let name = code.name().to_owned();
            [code.number().to_string(), name, blame(*code).to_owned()]
        })
        .collect();
    assert_eq!(columns::<3>("Errors"), code);
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
    }
}

/// Every field of a refusal stands with the codes that it goes with, as the samples show it.
#[test]
fn fields_of_refusals() {
    let rows = table("Errors");
    for sample in samples::all() {
        let Wire::FromRelay(item) = &sample.value else {
            continue;
        };
        let sotto_protocol::frame::FromRelay::Refused(refused) = item else {
            continue;
        };
        let refusal = &refused.refusal;
        let row = rows.iter().find(|row| row[1] == refusal.code.name());
        let present = [
            ("fence", refusal.fence.is_some()),
            ("version", refusal.version.is_some()),
            ("bits", refusal.bits.is_some()),
            ("retry_after_ms", refusal.retry_after_ms.is_some()),
            ("incident", refusal.incident.is_some()),
        ];
        let fields: Vec<_> = present
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(row.unwrap()[4], fields.join(" "), "{}", sample.name);
    }
}

/// Every constant of the module stands in the table and the other way round.
#[test]
fn all_limits() {
    let source = include_str!("../../src/limits.rs");
    let names: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .map(|rest| rest.split(':').next().unwrap().to_owned())
        .collect();
    let rows = columns::<3>("Limits");
    let listed: Vec<_> = rows.iter().map(|[name, ..]| name.clone()).collect();
    assert_eq!(listed, names);
    for [name, value, reason] in rows {
        assert_eq!(value, limit(&name), "{name}");
        assert!(!reason.is_empty(), "{name}");
    }
}

fn limit(name: &str) -> String {
    macro_rules! values {
        ($($name:ident)*) => {
            match name {
                $(stringify!($name) => limits::$name.to_string(),)*
                _ => panic!("{name} is not in the list of this test"),
            }
        };
    }
    values! {
        SEALED_BYTES_MAX HELD_BYTES_MAX PAD_BYTES_MAX RUN_BYTES_MAX ITEM_ENTRIES_MAX ITEMS_MAX APPEND_BYTES_MAX
        APPEND_ENTRIES_MAX NEW_ENTRY_FRAME_BYTES_MAX ENTRY_FRAME_BYTES_MAX GRANT_BYTES_MAX
        REQUEST_BYTES_MAX ANSWER_BYTES_MAX MESSAGE_BYTES_MAX NOISE_MESSAGE_BYTES_MAX
        NOISE_PAYLOAD_BYTES_MAX PAGE_ENTRIES_MAX PAGE_BYTES_MAX CBOR_DEPTH_MAX GRANTS_ACTIVE_MAX
        GRANTS_MAX ADMITTED_MAX JOIN_ADMITTED_MAX PROOFS_MAX OPEN_LOGS_MAX CREDIT_MAX REQUESTS_IN_FLIGHT_MAX PINS_LAST PIN_DAYS
        PIN_FENCED_SPACING HOLD_MS_MAX LEASE_MS_MAX RETRY_IDS_PER_LOG_MAX RETRY_IDS_FOR_MANAGE
        RETRY_IDS_FOR_CLAIM TTL_DAYS_MAX
        TTL_FENCED_DAYS_DEFAULT WORK_BITS_MAX TICKET_BYTES_MAX POSITION_STEP
    }
}

fn verb(name: &str) -> Verb<'static> {
    let samples = samples::all().into_iter();
    let mut found = samples.filter_map(|sample| match sample.value {
        Wire::Request(request) if sample.name == name => Some(request.verb),
        _ => None,
    });
    found.next().unwrap()
}

fn item(change: impl FnOnce(&mut Item<'static>)) -> Need {
    let Verb::Append(append) = verb("append, every field") else {
        panic!("not an append");
    };
    let mut item = Item {
        pin: false,
        admit: None,
        fence: None,
        lease: None,
        grants: None,
        ..append.items[0].clone()
    };
    change(&mut item);
    item.need()
}

#[test]
fn verb_by_right() {
    let Verb::Append(full) = verb("append, every field") else {
        panic!("not an append");
    };
    let full = &full.items[0];
    let lease = |item: &mut Item<'static>| item.lease.clone_from(&full.lease);
    let fence = |item: &mut Item<'static>| item.fence = full.fence;
    let mut code = vec![
        ("create", verb("create").need()),
        ("open", verb("open").need()),
        ("append, item", item(|_| ())),
        ("append, item pinned", item(|item| item.pin = true)),
        ("append, item with lease", item(lease)),
        (
            "append, item with lease and without entries",
            item(|item| {
                lease(item);
                item.entries.clear();
            }),
        ),
        ("append, item fenced", item(fence)),
        (
            "append, item fenced, pinned",
            item(|item| {
                fence(item);
                item.pin = true;
            }),
        ),
        (
            "append, item fenced, admitting",
            item(|item| {
                fence(item);
                item.admit = full.admit;
            }),
        ),
        (
            "append, item fenced, with grants",
            item(|item| {
                fence(item);
                item.grants.clone_from(&full.grants);
            }),
        ),
        (
            "append, item fenced, with lease",
            item(|item| {
                fence(item);
                lease(item);
            }),
        ),
        ("read, lane all", verb("read").need()),
        ("read, lane fenced", verb("read, fenced").need()),
        ("follow, lane all", verb("follow").need()),
        ("follow, lane fenced", verb("follow, fenced").need()),
    ];
    let others = [
        "credit", "unfollow", "trim", "claim", "renew", "release", "position", "withdraw", "take",
        "grants", "hold", "describe", "delete",
    ];
    code.extend(others.map(|name| (name, verb(name).need())));
    let code: Vec<_> = code
        .into_iter()
        .map(|(name, need)| vec![name.to_owned(), need.to_string()])
        .collect();
    assert_eq!(table("Verb by right"), code);
    assert_eq!(verb("append").need(), Need::EachItem);
}

/// Every verb of the code stands in the table of needs and in that of answers, and no other.
#[test]
fn every_verb_is_in_both_tables() {
    let mut code: Vec<_> = samples::all()
        .into_iter()
        .filter_map(|sample| match sample.value {
            Wire::Request(request) => Some(request.verb.name().to_owned()),
            _ => None,
        })
        .collect();
    code.sort();
    code.dedup();
    let verbs = |heading: &str| {
        let rows = table(heading).into_iter();
        let names = rows.map(|row| row[0].clone());
        let of = |name: String| match heading {
            "Answers" => name.split(", ").map(str::to_owned).collect::<Vec<_>>(),
            _ => name.split(',').take(1).map(str::to_owned).collect(),
        };
        let mut names: Vec<_> = names.flat_map(of).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(verbs("Verb by right"), code);
    assert_eq!(verbs("Answers"), code);
}

#[test]
fn proofs_have_the_labels_of_the_code() {
    let source = include_str!("../../src/proof.rs");
    for [label, ..] in columns::<3>("Grant proofs") {
        assert!(source.contains(&format!("b\"{label}\"")), "{label}");
    }
}

/// What a right allows is met by it and not by the others.
#[test]
fn needs_are_met_by_their_rights_only() {
    for sample in samples::all() {
        let Wire::Request(request) = sample.value else {
            continue;
        };
        let need = request.verb.need();
        for (right, _) in Rights::TABLE {
            let met = match need {
                Need::Any(any) => any.contains(right),
                Need::All(all) => all == right,
                _ => false,
            };
            assert_eq!(need.is_met_by(right), met, "{}", sample.name);
        }
        assert!(!need.is_met_by(Rights::NONE));
    }
}
