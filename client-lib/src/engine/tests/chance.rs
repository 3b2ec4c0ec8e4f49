//! Random members, spoils, orders and restarts: however it goes, all end in one epoch.

use super::spoiling::{Falsely, spoil_commit, spoil_join};
use super::*;
use crate::mls::spoil;

/// Rolls of the same dice for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }
}

const NAMES: [&str; 6] = ["Ann", "Ben", "Cay", "Dan", "Eve", "Fay"];
const NEWCOMERS: [&str; 4] = ["Hal", "Ivy", "Jon", "Kim"];

fn walk(room: &mut Room, dice: &mut Dice, steps: usize) {
    for _ in 0..steps {
        let index = dice.roll(room.devices.len());
        room.step(index);
        if dice.roll(4) == 0 {
            let now = room.now;
            let device = &mut room.devices[index];
            if device.is_online {
                device.restart(now);
            }
        }
    }
}

/// Whether this device knows the present epoch, as a spoiler must.
fn is_up_to_date(room: &Room, name: &str) -> bool {
    let device = room.of(name);
    let engine = &device.engine;
    let has_read = engine.saved.seq == room.log.entries.len() as u64;
    has_read && engine.joining.is_none() && engine.group.is_some() && device.is_online
}

fn one_run(seed: u64) {
    let mut dice = Dice(seed);
    let mut room = Room::new(&NAMES);
    let mut newcomers = NEWCOMERS.to_vec();
    let mut spoilers = vec!["Fay", "Eve"];
    for n in 0..8 {
        match dice.roll(5) {
            0 => {
                if let Some(name) = spoilers.last().copied() {
                    let index = room.index(name);
                    room.step(index);
                    if is_up_to_date(&room, name) {
                        spoilers.pop();
                        let how = match dice.roll(3) {
                            0 => spoil::How::Tag,
                            _ => spoil::How::Paths(vec![0]),
                        };
                        spoil_commit(&mut room, name, how);
                    }
                }
            }
            1 => {
                let index = room.index("Ben");
                room.step(index);
                if is_up_to_date(&room, "Ben") {
                    spoil_join(&mut room, "Ben", 100 + n, Falsely::Psk);
                }
            }
            2 => {
                // Whoever has the link hands it out, unless on the way back in.
                let link = room.of("Ann").engine.link();
                if let (Some(link), Some(name)) = (link, newcomers.pop()) {
                    room.join_by(name, &link);
                }
            }
            3 => room.engine("Cay").want(saved::Intent::Update),
            _ => room.say("Dan", "on it goes"),
        }
        let steps = dice.roll(20);
        walk(&mut room, &mut dice, steps);
    }
    room.settle();
    disputes::noise(&mut room, 17);
    room.settle();
    // Who lost too many races waits, is taken in or goes on alone.
    for _ in 0..3 {
        room.now = room.now.plus_ms(46_000);
        room.settle();
    }
    let names: Vec<_> = room
        .devices
        .iter()
        .filter(|device| device.is_online && !device.engine.is_over())
        .map(|device| device.name)
        .collect();
    for one in &room.devices {
        let is_told = one.engine.standing() == Standing::ShutOut;
        assert!(!one.is_online || !one.engine.is_over() || is_told);
    }
    room.assert_one_epoch(&names);
}

#[test]
fn however_it_goes_everybody_ends_in_one_epoch() {
    for seed in 0..24 {
        let run = std::panic::catch_unwind(|| one_run(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}
