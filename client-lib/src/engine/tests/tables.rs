//! A table of SPEC.md against the code that makes the logs.

use sotto_protocol::frame::Policy;
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

#[path = "../../../../protocol/tests/wire/spec.rs"]
#[expect(dead_code, reason = "the CDDL is the matter of the tests of the wire")]
mod spec;

use super::saved::RootKey;
use super::*;
use crate::desk::CardKeys;
use crate::engine::{door, inbox, office};
use crate::link::RelayAddress;
use crate::people::backup::{BackupKeys, Master};

const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn row(name: &str, keys: &[&str], grants: &[Grant], policy: &Policy) -> Vec<String> {
    assert_eq!(keys.len(), grants.len(), "{name}");
    let grants: Vec<_> = keys
        .iter()
        .zip(grants)
        .map(|(key, grant)| {
            assert_eq!((grant.work, grant.until_seq), (None, None), "{name}");
            let rate = grant.rate.map(|rate| format!(", rate {rate}"));
            let ends = grant.ends.map_or("", |_| ", ends the ticket");
            let rate = rate.unwrap_or_default();
            format!("{key} {}{rate}{ends}", grant.rights.bits())
        })
        .collect();
    vec![
        name.to_owned(),
        grants.join("; "),
        policy.ttl_days.to_string(),
        policy.ttl_fenced_days.to_string(),
        policy.bytes_max.to_string(),
        policy.admit_rights.bits().to_string(),
    ]
}

fn root() -> RootKey {
    RootKey {
        key: [3; 32],
        retry: RetryId::new([4; 16]),
        day: 0,
    }
}

/// Of the logs that are made beside conversations.
fn rows_of_people_and_desks() -> Vec<Vec<String>> {
    let [own, other] = &KEYS;
    let owner = StaticSecret::from(*other);
    let root = root();
    let backup = Master::new([7; 32]).keys();
    let mut code = Vec::new();
    code.push(row(
        "backup",
        &["keeper key"],
        &backup.grants(),
        &BackupKeys::policy(),
    ));
    let card = crate::desk::tests::keys();
    code.push(row(
        "card",
        &["read key", "manage key"],
        &card.grants(public_key(&owner)),
        &CardKeys::policy(),
    ));
    assert_eq!(card.grants(public_key(&owner))[1].key, public_key(&owner));
    for (name, log) in office::new_queues(&root, &[*own, *other, [3; 32]], 50) {
        code.push(row(
            name,
            &["manage key", "claim key", "append key"],
            &log.grants,
            &log.policy,
        ));
    }
    code
}

#[test]
fn logs_have_the_grants_and_policies_of_the_specification() {
    let root = root();
    let [own, other] = &KEYS;
    let (read, owner) = (StaticSecret::from(*own), StaticSecret::from(*other));
    let relay = RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    };
    let (founding, _) = Engine::found(RoomOptions::new(relay, "Ann"), NOON).unwrap();
    let logs = [
        (
            "conversation",
            vec!["manage key", "member key", "join key"],
            founding.new_log().unwrap(),
        ),
        (
            "door",
            vec!["keeper key", "knock key"],
            door::new_door(&root, own, other),
        ),
        (
            "inbox",
            vec!["owner key", "append key"],
            knocking::new_inbox(&root, own, other, None),
        ),
        (
            "inbox of a ticket",
            vec!["owner key", "append key"],
            knocking::new_inbox(&root, own, other, Some(PublicKey::new([9; 32]))),
        ),
        (
            "standing inbox",
            vec!["owner key", "append key"],
            inbox::new_tray(&root, own, other),
        ),
        (
            "pool",
            vec!["owner key", "take key"],
            pool::new_pool(&root, own, other),
        ),
        (
            "attachment",
            vec!["read key", "owner key"],
            uploading::new_log_for(&root, &read, &owner),
        ),
    ];
    let mut code: Vec<_> = logs
        .iter()
        .map(|(name, keys, log)| row(name, keys, &log.grants, &log.policy))
        .collect();
    code.extend(rows_of_people_and_desks());
    let mut rows = spec::table("Logs that clients make");
    for row in &mut rows {
        row[4] = row[4].replace(',', "");
    }
    assert_eq!(rows, code);
}
