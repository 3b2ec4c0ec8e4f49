//! Seeded worlds: several clients, a relay, and everything that breaks between them. What must hold
//! is checked once all has come to rest, on the way and at the end.
//!
//! Same seed, same run, but for what the SDK and the relay draw from the system: keys and ids (and
//! with them the order of leaves), how waits are spread, and the order in which the runtime looks at
//! several things that are ready at once. The dice, the clocks, the network and the disks are the
//! test's own.
//!
//! `SOTTO_SIMULATION_SEEDS=1000` runs so many seeds, `SOTTO_SIMULATION_FIRST=17` begins there, and
//! `SOTTO_SIMULATION_STEPS=240` makes each run longer.

mod actor;
mod checks;
mod world;

use std::collections::BTreeMap;

use world::World;

/// Seeds in an ordinary run of the tests; two cores take about forty-five seconds.
const SEEDS: u64 = 200;
/// Things that happen in an ordinary run.
const STEPS: u64 = 140;
/// What must have happened in a hundred ordinary runs at least, about half of what does; a world in
/// which nothing happens keeps every promise.
const FLOORS: [(&str, u64); 13] = [
    ("said", 700),
    ("shown to others", 800),
    ("joined", 450),
    ("removed", 10),
    ("left", 8),
    ("rotated", 140),
    ("rules changed", 18),
    ("edited or reacted", 90),
    ("crashes", 300),
    ("relay killed", 30),
    ("relay restarted", 30),
    ("lines cut", 400),
    ("commits failed", 120),
];

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings but its environment"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn live(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut world = World::new(seed).await;
    for step in 1..=setting("SOTTO_SIMULATION_STEPS").unwrap_or(STEPS) {
        world.step().await;
        if step % 70 == 0 {
            world.settle().await;
            world.check();
        }
    }
    if seed % 16 < 2 {
        for _ in 0..60 {
            world.pass(3_600_000).await;
            world.settle().await;
        }
        world.check();
    }
    let happened = world.happened();
    world.stop().await;
    happened
}

fn run_seeds(part: u64) {
    let first = setting("SOTTO_SIMULATION_FIRST").unwrap_or(0);
    let count = setting("SOTTO_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let mut happened = BTreeMap::<_, u64>::new();
    let seeds = (first..first + count).filter(|seed| seed % 2 == part);
    for seed in seeds.clone() {
        // Shown when the test fails.
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        for (what, count) in runtime.block_on(live(seed)) {
            *happened.entry(what).or_default() += count;
        }
    }
    let hundreds = u64::try_from(seeds.count() / 100).expect("a count");
    for (what, floor) in FLOORS {
        let count = happened.get(what).copied().unwrap_or_default();
        assert!(count >= floor * hundreds, "{what}: {count} times only");
    }
}

#[test]
fn honest_worlds_lose_nothing_double_nothing_and_raise_no_alarm() {
    run_seeds(0);
}

#[test]
fn nor_do_the_odd_ones() {
    run_seeds(1);
}
