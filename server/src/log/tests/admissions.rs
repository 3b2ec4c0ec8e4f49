//! Keys that fenced items admit, and what a flood of them does to those who are in.

use sotto_protocol::frame::{NewGrants, Refusal};
use sotto_protocol::limits::{ADMITTED_MAX, GRANTS_ACTIVE_MAX, JOIN_ADMITTED_MAX};

use super::verbs::code;
use super::*;

/// May find its way in, as whoever has a link.
const JOIN: u8 = 4;
/// The key that the members of the present epoch have, admitted by a join.
const PRESENT: u8 = 5;
const MANAGER: u8 = 2;

fn join_rights() -> Rights {
    Rights::PEEK | Rights::APPEND | Rights::FENCE
}

struct Flooded {
    bench: Bench,
    log: LogId,
    fence: u64,
    drawn: u64,
}

impl Flooded {
    async fn new() -> Self {
        let mut bench = Bench::new().await;
        let grants = vec![grant(MANAGER, Rights::ALL), grant(JOIN, join_rights())];
        let log = bench.create(1, grants).await;
        let mut flooded = Self {
            bench,
            log,
            fence: 0,
            drawn: 0,
        };
        flooded.admit(key(PRESENT), JOIN).await.unwrap();
        flooded
    }

    async fn admit(&mut self, admitted: PublicKey, by: u8) -> Result<(), Refusal> {
        let item = Item {
            admit: Some(admitted),
            ..fenced(self.log, 1, self.fence)
        };
        self.bench.append(vec![item], &[by]).await?;
        self.fence += 1;
        Ok(())
    }

    /// Admits keys that nobody has until it is refused; answers how many went through.
    async fn flood(&mut self, by: u8) -> usize {
        for count in 0.. {
            self.drawn += 1;
            let mut bytes = [0xee; 32];
            bytes[..8].copy_from_slice(&self.drawn.to_be_bytes());
            if let Err(refusal) = self.admit(PublicKey::new(bytes), by).await {
                assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
                return count;
            }
            assert!(count < GRANTS_ACTIVE_MAX, "there is no end of it");
        }
        0
    }

    async fn is_in(&self, by: u8) -> bool {
        self.bench.logs.open(&self.log, &keys(&[by])).await.is_ok()
    }
}

#[tokio::test]
async fn a_link_holder_who_floods_pushes_nobody_out_and_members_go_on() {
    let mut flooded = Flooded::new().await;
    assert_eq!(flooded.flood(JOIN).await, JOIN_ADMITTED_MAX - 1);
    assert!(flooded.is_in(PRESENT).await, "the members' key is gone");
    // A Commit of a member, and words.
    flooded.admit(key(6), PRESENT).await.unwrap();
    assert!(flooded.is_in(6).await);
    let log = flooded.log;
    flooded
        .bench
        .append(vec![item(log, 1)], &[6])
        .await
        .unwrap();
    // Who puts a KeyPackage into the log admits nobody.
    flooded
        .bench
        .append(vec![item(log, 1)], &[JOIN])
        .await
        .unwrap();
}

#[tokio::test]
async fn one_who_has_a_members_key_and_floods_leaves_the_present_key_and_the_managers() {
    let mut flooded = Flooded::new().await;
    flooded.flood(JOIN).await;
    assert_eq!(
        flooded.flood(PRESENT).await,
        ADMITTED_MAX - JOIN_ADMITTED_MAX
    );
    assert!(flooded.is_in(PRESENT).await);
    // A facilitator's Commit, and then a rotation that ends it.
    flooded.admit(key(6), MANAGER).await.unwrap();
    let version = flooded
        .bench
        .logs
        .describe(&flooded.log, &keys(&[MANAGER]))
        .await
        .unwrap()
        .version;
    let rotation = Item {
        grants: Some(NewGrants {
            cut: true,
            list: vec![grant(MANAGER, Rights::ALL), grant(7, Rights::FENCE)],
            version,
        }),
        ..fenced(flooded.log, 1, flooded.fence)
    };
    flooded
        .bench
        .append(vec![rotation], &[MANAGER])
        .await
        .unwrap();
    flooded.fence += 1;
    flooded.admit(key(8), 7).await.unwrap();
}

#[tokio::test]
async fn the_oldest_admitted_key_goes_when_a_list_is_full_and_days_make_room_for_joins() {
    let mut flooded = Flooded::new().await;
    flooded.flood(JOIN).await;
    let mut admitted = JOIN_ADMITTED_MAX;
    while admitted < GRANTS_ACTIVE_MAX {
        assert!(flooded.is_in(PRESENT).await, "after {admitted}");
        for _ in 0..2 {
            flooded.bench.clock.advance(crate::clock::DAY);
            flooded.bench.logs.sweep().await.unwrap();
        }
        admitted += flooded.flood(JOIN).await;
    }
    assert!(!flooded.is_in(PRESENT).await, "the oldest");
    assert!(flooded.is_in(MANAGER).await && flooded.is_in(JOIN).await);
    let log = flooded.log;
    let described = flooded.bench.logs.describe(&log, &keys(&[MANAGER])).await;
    assert_eq!(described.unwrap().grants.len(), GRANTS_ACTIVE_MAX);
}

#[tokio::test]
async fn what_came_by_an_old_link_takes_no_room_from_those_who_come_by_the_new_one() {
    let mut bench = Bench::new().await;
    let small = Policy {
        bytes_max: 64 << 10,
        ..policy()
    };
    let manager = grant(MANAGER, Rights::ALL);
    let grants = vec![manager.clone(), grant(JOIN, join_rights())];
    let log = bench.create_with(1, grants, small).await;
    // Fenced or not, an eighth is all there is.
    for fence in 0..4 {
        let items = vec![fenced(log, 1, fence), item(log, 1)];
        bench.append(items, &[JOIN]).await.unwrap();
    }
    let refused = bench.append(vec![item(log, 1)], &[JOIN]).await;
    assert_eq!(code(refused), ErrorCode::QuotaExceeded);
    bench
        .set_grants(log, true, vec![manager, grant(9, join_rights())], 1)
        .await
        .unwrap();
    for fence in 4..8 {
        let items = vec![fenced(log, 1, fence), item(log, 1)];
        bench.append(items, &[9]).await.unwrap();
    }
    let refused = bench.append(vec![item(log, 1)], &[9]).await;
    assert_eq!(code(refused), ErrorCode::QuotaExceeded);
    // Nor does room come back where nothing of the new link's went.
    bench.trim(log, 8).await.unwrap();
    let refused = bench.append(vec![item(log, 1)], &[9]).await;
    assert_eq!(code(refused), ErrorCode::QuotaExceeded);
}
