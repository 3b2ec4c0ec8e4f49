//! Random members, spoils, orders and restarts: however it goes, all end in one epoch.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// How often what happened in all runs.
#[derive(Debug, Default)]
struct Happened {
    spoiled: usize,
    joins_spoiled: usize,
    newcomers: usize,
    renewals: usize,
    words: usize,
    restarts: usize,
    /// Commits that somebody went back from, and Commits behind which somebody came in again.
    undone: usize,
    returned: usize,
    /// Fenced entries beside those of the founding.
    commits: u64,
}

impl Happened {
    /// What a run has led to.
    fn note(&mut self, room: &Room, fence: u64) {
        self.commits += room.log.fence - fence;
        for event in room.devices.iter().flat_map(|device| &device.events) {
            self.undone += usize::from(matches!(event, Event::Undone { .. }));
            self.returned += usize::from(matches!(event, Event::Returned { .. }));
        }
    }

    /// About half of what happens in 24 runs: where next to nothing happens, all end in one epoch
    /// anyway.
    fn assert_enough(&self) {
        let floors = [
            (self.spoiled, 12),
            (self.joins_spoiled, 15),
            (self.newcomers, 20),
            (self.renewals, 18),
            (self.words, 16),
            (self.restarts, 200),
            (self.undone, 80),
            (self.returned, 25),
        ];
        let enough = floors.iter().all(|(count, floor)| count >= floor);
        assert!(enough && self.commits >= 150, "{self:?}");
    }
}

fn walk(room: &mut Room, dice: &mut Dice, steps: usize, happened: &mut Happened) {
    for _ in 0..steps {
        let index = dice.roll(room.devices.len());
        room.step(index);
        if dice.roll(4) == 0 {
            let now = room.now;
            let device = &mut room.devices[index];
            if device.is_online {
                device.restart(now);
                happened.restarts += usize::from(device.is_fresh);
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

fn one_run(seed: u64, happened: &mut Happened) {
    let mut dice = Dice(seed);
    let mut room = Room::new(&NAMES);
    let fence = room.log.fence;
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
                        happened.spoiled += 1;
                    }
                }
            }
            1 => {
                let index = room.index("Ben");
                room.step(index);
                if is_up_to_date(&room, "Ben") {
                    spoil_join(&mut room, "Ben", 100 + n, Falsely::Psk);
                    happened.joins_spoiled += 1;
                }
            }
            2 => {
                // Whoever has the link hands it out, unless on the way back in.
                let link = room.of("Ann").engine.link();
                if let (Some(link), Some(name)) = (link, newcomers.pop()) {
                    room.join_by(name, &link);
                    happened.newcomers += 1;
                }
            }
            3 => {
                room.engine("Cay").want(saved::Intent::Update);
                happened.renewals += 1;
            }
            _ => {
                room.say("Dan", "on it goes");
                happened.words += 1;
            }
        }
        let steps = dice.roll(20);
        walk(&mut room, &mut dice, steps, happened);
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
    happened.note(&room, fence);
}

#[test]
fn however_it_goes_everybody_ends_in_one_epoch() {
    let mut happened = Happened::default();
    for seed in 0..24 {
        let run = AssertUnwindSafe(|| one_run(seed, &mut happened));
        assert!(catch_unwind(run).is_ok(), "seed {seed}");
    }
    happened.assert_enough();
}
