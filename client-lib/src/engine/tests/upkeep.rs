//! What happens without anybody asking, on a clock that is driven.

use super::*;

const HOUR_MS: u64 = 3_600_000;

impl Room {
    /// Time passes, an hour at a time.
    fn pass_hours(&mut self, hours: u64) {
        self.pass(hours, HOUR_MS);
    }

    /// Time passes, eight hours at a time.
    pub(super) fn pass_days(&mut self, days: u64) {
        self.pass(3 * days, 8 * HOUR_MS);
    }

    fn pass(&mut self, steps: u64, step_ms: u64) {
        for _ in 0..steps {
            self.now = self.now.plus_ms(step_ms);
            for index in 0..self.devices.len() {
                let device = &mut self.devices[index];
                if device.is_online {
                    let effects = device.engine.tick(self.now);
                    device.events.extend(effects.events);
                }
            }
            self.settle();
        }
    }
}

#[test]
fn keys_are_renewed_before_the_first_message_after_a_day_and_weekly_in_silence() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let epoch = room.epoch("Ann");
    room.say("Ben", "at once");
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch, "not twice on one day");
    room.pass_hours(25);
    let epoch = room.epoch("Ann");
    room.say("Ben", "a day later");
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch + 1);
    assert!(room.texts("Ann").contains(&"a day later".to_owned()));
    let epoch = room.epoch("Ann");
    room.pass_hours(24 * 10);
    assert!(room.epoch("Ann") >= epoch + 2, "both renewed theirs");
    assert!(
        !room.has("Ann", |event| *event == Event::Rotated),
        "renewing keys is no rotation"
    );
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn silence_of_all_others_is_told_within_the_day_and_not_while_they_live() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.pass_hours(24 * 5);
    for name in ["Ann", "Ben", "Cay"] {
        assert!(
            !room.has(name, |event| matches!(event, Event::Silence { .. })),
            "{name}"
        );
    }
    // The relay keeps from Ann what the others say.
    room.go_offline("Ben", true);
    room.go_offline("Cay", true);
    room.pass_hours(27);
    assert!(room.has("Ann", |event| matches!(event, Event::Silence { .. })));
}

#[test]
fn a_secret_second_manage_key_is_found_and_replaced() {
    use sotto_protocol::frame::{Described, Grant, Policy};
    let mut room = Room::new(&["Ann", "Ben"]);
    let engine = room.engine("Ann");
    let own = begin::grant(&engine.manage_key(), begin::MANAGE_RIGHTS);
    let hidden = Grant {
        key: PublicKey::new([9; 32]),
        ..own
    };
    let mut described = Described {
        bytes: 0,
        grants: vec![own],
        policy: Policy {
            ttl_days: 1,
            bytes_max: 1,
            admit_rights: begin::MEMBER_RIGHTS,
            ttl_fenced_days: 1,
        },
        entries: 0,
        version: 7,
    };
    engine.described(&Answer::Described(described.clone()));
    assert!(engine.saved.intents.is_empty(), "nothing is hidden");
    described.grants.push(hidden);
    engine.described(&Answer::Described(described.clone()));
    assert!(
        engine.saved.intents.is_empty(),
        "its Commit may be on the way"
    );
    engine.described(&Answer::Described(described));
    room.settle();
    assert!(room.has("Ann", |event| *event == Event::HiddenManager { count: 1 }));
    assert!(room.has("Ben", |event| *event == Event::Rotated));
}
