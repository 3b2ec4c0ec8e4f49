//! Lines that are cut anywhere: every entry once and in order, every append once, no doubt.

use sotto_client::log::{Cursor, Keeps, NewLog};
use sotto_protocol::frame::Lane;
use sotto_protocol::id::RetryId;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_tests::dice::Dice;
use sotto_tests::peer::{TestLog, entry, retry, text_of};
use sotto_tests::relay::{DAY, TestRelay};

use crate::client::{Client, item};

fn numbered(number: u64) -> RetryId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RetryId::new(bytes)
}

const WORDS: u64 = 30;

async fn run(seed: u64) {
    let relay = TestRelay::default().start().await;
    let mut client = Client::new(&relay, seed);
    let mut dice = Dice::new(seed);
    let log = TestLog::default();
    let id = log.id();
    client.session.create(NewLog {
        root: log.root.clone(),
        grants: vec![TestLog::grant(&log.key, Rights::ALL)],
        policy: TestLog::policy(),
        ticket: None,
        retry: retry(),
        day: DAY,
    });
    client.session.open(id, vec![log.key.clone()]);
    client.connect().await;
    client.settle().await;
    client.cursors.insert(
        id,
        Cursor {
            day: DAY,
            ..Cursor::start(&id)
        },
    );

    let mut outbox = std::collections::BTreeMap::new();
    let mut said = 0;
    while said < WORDS || !outbox.is_empty() {
        let is_new = dice.roll(4) == 0 || said == 0;
        if is_new {
            let crashed = seed.wrapping_add(said);
            client.crash(crashed);
            client.session.open(id, vec![log.key.clone()]);
            let stored = client.cursors[&id];
            client
                .session
                .follow(id, Lane::All, stored, Keeps::Days(30));
            client.answers.clear();
        } else {
            client.cut();
        }
        // After a crash everything unanswered is asked again, as a durable outbox would.
        let again: Vec<u64> = outbox.keys().copied().filter(|_| is_new).collect();
        let new: Vec<u64> = (said..WORDS.min(said + dice.roll(5))).collect();
        said += new.len() as u64;
        for number in again.into_iter().chain(new) {
            let text = number.to_string();
            let items = vec![item(id, vec![entry(&text, SizeClass::K1)])];
            let token = client.session.append(items, numbered(number), DAY);
            outbox.insert(number, token);
        }
        client.connect().await;
        let length = usize::try_from(dice.roll(60)).expect("small");
        client.carry(length).await;
        outbox.retain(|_, token| {
            let answered = client.answers.remove(token);
            assert!(answered.as_ref().is_none_or(Result::is_ok), "{answered:?}");
            answered.is_none()
        });
    }
    client.cut();
    client.connect().await;
    client.settle().await;

    let seqs: Vec<u64> = client.entries.iter().map(|(_, entry)| entry.seq).collect();
    assert_eq!(seqs, (1..=WORDS).collect::<Vec<_>>(), "seed {seed}");
    let mut texts: Vec<u64> = client
        .entries
        .iter()
        .map(|(_, entry)| text_of(entry).parse().expect("a number"))
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, (0..WORDS).collect::<Vec<_>>(), "seed {seed}");
    assert_eq!(client.doubts, [], "seed {seed}");
    drop(client);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_cut_anywhere_lose_nothing_double_nothing_and_raise_no_doubt() {
    for seed in 0..40 {
        run(seed).await;
    }
}
