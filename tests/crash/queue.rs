//! A queue over a relay that is killed while claims, answers and withdrawals are unanswered: every
//! ticket has one holder, is answered once or withdrawn, and those who wait keep their places.

use std::collections::BTreeMap;
use std::time::Duration;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Refusal, Verb, Withdraw};
use sotto_protocol::proof::Purpose;
use sotto_tests::peer::{Heard, Peer, retry};
use sotto_tests::queue::{HeldPart, Queue, Ticket, claim, letters, open_inbox};
use tokio::net::TcpStream;

use crate::process::RelayProcess;
use crate::{ROUNDS, environment};

type Line = Peer<TcpStream>;

/// Rounds where nobody says otherwise, each of two kills.
const ROUNDS_DEFAULT: usize = 4;
/// Who claims, all of them everything at once.
const CLAIMERS: usize = 10;
/// Tickets of a round.
const TICKETS: usize = 6;
/// No lease lapses in a test.
const LEASE_MS: u32 = 120_000;

async fn connect(relay: &RelayProcess) -> Line {
    let line = TcpStream::connect(relay.listen).await.unwrap();
    Peer::connect(line, relay.address.identity()).await
}

/// Starts the next relay where the killed one was.
fn start_again(relay: RelayProcess, folder: &std::path::Path) -> RelayProcess {
    RelayProcess::start(folder, relay.kill())
}

/// What one asked for, and what it heard of it.
struct Asked {
    verb: Verb<'static>,
    answer: Option<Result<Answer<'static>, Refusal>>,
}

/// One who asks for several things and does not wait.
struct Impatient {
    line: Line,
    asked: Vec<(u64, Asked)>,
}

impl Impatient {
    const fn new(line: Line) -> Self {
        Self {
            line,
            asked: Vec::new(),
        }
    }

    async fn ask(&mut self, verb: Verb<'static>) {
        let id = self.line.ask(verb.clone()).await;
        let answer = None;
        self.asked.push((id, Asked { verb, answer }));
    }

    /// Takes in what the relay said before it was killed.
    async fn drain(&mut self) {
        loop {
            let (id, heard) = match self.line.hear().await {
                Heard::Done(id, answer) => (id, Ok(answer)),
                Heard::Refused(id, refusal) => (id, Err(refusal)),
                Heard::Closed(..) | Heard::Gone => return,
                other => panic!("not an answer: {other:?}"),
            };
            let mut asked = self.asked.iter_mut();
            let (_, asked) = asked.find(|(asked, _)| *asked == id).unwrap();
            asked.answer = Some(heard);
        }
    }

    /// Asks again for everything on a new line. What was granted is granted with the same words; of
    /// the rest nothing was known.
    async fn repeat(&mut self, line: Line) -> Vec<Result<Answer<'static>, Refusal>> {
        self.line = line;
        let mut all = Vec::new();
        for (_, asked) in std::mem::take(&mut self.asked) {
            let again = self.line.call(asked.verb).await;
            if let Some(Ok(first)) = asked.answer {
                assert_eq!(again.as_ref(), Ok(&first), "a repeat of what was granted");
            }
            all.push(again);
        }
        all
    }

    fn unanswered(&self) -> usize {
        let asked = self.asked.iter();
        asked.filter(|(_, asked)| asked.answer.is_none()).count()
    }
}

/// A relay that is killed, and what has to hold over it.
struct Desk {
    relay: RelayProcess,
    folder: tempfile::TempDir,
    queue: Queue,
    /// Never claimed, oldest first: half of them stand before all others.
    waiting: Vec<Ticket>,
    unanswered: usize,
    withdrawn: usize,
    answered: usize,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
        let mut seeker = connect(&relay).await;
        let queue = Queue::create(&mut seeker).await;
        let mut waiting = Vec::new();
        for _ in 0..2 {
            waiting.push(queue.ask(&mut seeker).await);
        }
        Self {
            relay,
            folder,
            queue,
            waiting,
            unanswered: 0,
            withdrawn: 0,
            answered: 0,
        }
    }

    async fn supporter(&self) -> Line {
        let mut line = connect(&self.relay).await;
        let opened = line.open_log(&self.queue.id(), &self.queue.claims).await;
        opened.unwrap();
        line
    }

    /// SIGKILL at this moment, and the next relay.
    async fn kill(mut self, after: Duration, asking: &mut [Impatient]) -> Self {
        tokio::time::sleep(after).await;
        self.relay = start_again(self.relay, self.folder.path());
        for one in asking {
            one.drain().await;
            self.unanswered += one.unanswered();
        }
        self
    }

    /// Those who were never claimed stand where they stood.
    async fn check_places(&self) {
        let mut seeker = connect(&self.relay).await;
        for (place, ticket) in self.waiting.iter().enumerate() {
            let placed = self.queue.place(&mut seeker, ticket).await.unwrap();
            assert_eq!((placed.ahead, placed.claimed), (place as u64, false));
        }
    }
}

/// All claim all tickets; the relay dies on the way. Answers who has which, with the lease.
async fn claim_all(
    mut desk: Desk,
    tickets: &[Ticket],
    after: Duration,
) -> (Desk, BTreeMap<u64, (usize, u64, HeldPart)>) {
    let mut asking = Vec::new();
    for _ in 0..CLAIMERS {
        asking.push(Impatient::new(desk.supporter().await));
    }
    for one in &mut asking {
        for ticket in tickets {
            let day = one.line.day();
            let verb = claim(day, desk.queue.id(), ticket.seq, LEASE_MS, retry());
            one.ask(verb).await;
        }
    }
    desk = desk.kill(after, &mut asking).await;
    let mut holders = BTreeMap::new();
    for (who, one) in asking.iter_mut().enumerate() {
        let answers = one.repeat(desk.supporter().await).await;
        for (ticket, answer) in tickets.iter().zip(answers) {
            match answer {
                Ok(Answer::Claimed(claimed)) => {
                    let held = claimed.held.expect("the held part");
                    let held = HeldPart::read(held.as_slice()).unwrap();
                    let lease = (who, claimed.lease, held);
                    let double = holders.insert(ticket.seq, lease);
                    assert!(double.is_none(), "a ticket with two holders");
                }
                Err(refusal) => assert_eq!(refusal.code, ErrorCode::Claimed),
                Ok(other) => panic!("not the answer to a claim: {other:?}"),
            }
        }
    }
    assert_eq!(holders.len(), tickets.len(), "every ticket has a holder");
    (desk, holders)
}

/// Every holder answers, every second seeker leaves at the same moment, and one who has the held
/// parts without the leases tries all of them; the relay dies on the way.
async fn answer_all(
    mut desk: Desk,
    tickets: &[Ticket],
    holders: &BTreeMap<u64, (usize, u64, HeldPart)>,
    after: Duration,
) -> Desk {
    let mut asking = Vec::new();
    for ticket in tickets {
        let (_, lease, held) = &holders[&ticket.seq];
        for (text, lease) in [("stolen", lease - 1), ("an answer", *lease)] {
            let mut line = desk.supporter().await;
            open_inbox(&mut line, held).await.unwrap();
            let answer = desk
                .queue
                .answer(&line, (ticket.seq, lease), &held.inbox, text);
            let mut one = Impatient::new(line);
            one.ask(Verb::Append(answer)).await;
            asking.push(one);
        }
        let line = connect(&desk.relay).await;
        let mut one = Impatient::new(line);
        if ticket.seq % 2 == 0 {
            one.ask(withdraw(&one.line, &desk.queue, ticket)).await;
        }
        asking.push(one);
    }
    desk = desk.kill(after, &mut asking).await;
    for (ticket, asked) in tickets.iter().zip(asking.chunks_mut(3)) {
        let (_, _, held) = &holders[&ticket.seq];
        let mut outcomes = Vec::new();
        for one in asked {
            let mut line = desk.supporter().await;
            open_inbox(&mut line, held).await.unwrap();
            // The proof of an owner is of one connection.
            for (_, asked) in &mut one.asked {
                if let Verb::Withdraw(asked) = &mut asked.verb {
                    asked.proof = line.prove(&ticket.owner, Purpose::Own, &asked.log);
                }
            }
            outcomes.push(one.repeat(line).await.pop());
        }
        let code = |outcome: &Option<Result<Answer<'_>, Refusal>>| match outcome {
            Some(Err(refusal)) => Some(refusal.code),
            _ => None,
        };
        assert_eq!(code(&outcomes[0]), Some(ErrorCode::LeaseLost));
        let left = matches!(outcomes[2], Some(Ok(_)));
        let mut seeker = connect(&desk.relay).await;
        let letters = letters(&mut seeker, ticket).await;
        if left {
            assert_eq!(code(&outcomes[1]), Some(ErrorCode::LeaseLost));
            assert!(letters.is_empty(), "an answer to one who had left");
            desk.withdrawn += 1;
        } else {
            assert_eq!(code(&outcomes[1]), None, "an answer of the holder");
            assert_eq!(letters, ["an answer"]);
            desk.answered += 1;
        }
        let gone = desk.queue.place(&mut seeker, ticket).await;
        assert_eq!(gone.unwrap_err().code, ErrorCode::Refused);
    }
    desk
}

fn withdraw(line: &Line, queue: &Queue, ticket: &Ticket) -> Verb<'static> {
    Verb::Withdraw(Withdraw {
        day: line.day(),
        log: queue.id(),
        seq: ticket.seq,
        proof: line.prove(&ticket.owner, Purpose::Own, &queue.id()),
        retry: retry(),
    })
}

#[tokio::test]
async fn no_kill_makes_two_holders_two_answers_or_a_lost_place() {
    let rounds = environment(ROUNDS)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS_DEFAULT);
    let mut desk = Desk::new().await;
    for round in 0..rounds {
        let mut seeker = connect(&desk.relay).await;
        let mut tickets = Vec::new();
        for _ in 0..TICKETS {
            tickets.push(desk.queue.ask(&mut seeker).await);
        }
        // How far the relay gets is the machine's business; that it is cut off is ours.
        let after = Duration::from_millis((round as u64 * 7) % 23);
        let (next, holders) = claim_all(desk, &tickets, after).await;
        let after = Duration::from_millis((round as u64 * 5) % 11);
        desk = answer_all(next, &tickets, &holders, after).await;
        desk.check_places().await;
        if round % 2 == 1 {
            let ticket = desk.queue.ask(&mut connect(&desk.relay).await).await;
            if desk.waiting.len() < 4 {
                desk.waiting.push(ticket);
            }
        }
    }
    assert_eq!(desk.answered + desk.withdrawn, rounds * TICKETS);
    assert!(desk.unanswered > 0, "no kill met an unanswered request");
    desk.relay.kill();
}
