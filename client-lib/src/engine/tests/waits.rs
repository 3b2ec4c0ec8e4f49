//! What the team says of tickets that are answered, and what the office makes of it.

use super::duty::{
    LOOK, always, founder, founding, give, hear, minutes, on_duty, page, ticket, waiting,
};
use super::*;
use crate::content::{ContentBody, Taken, TakenWait};
use crate::engine::waits::CLAIMS_KEPT_MAX;
use crate::vault::Key;

/// What was last said of a ticket.
fn said(engine: &Engine) -> Option<Taken> {
    let mut newest = engine.outbox.values().rev();
    newest.find_map(|one| match one.content.body {
        ContentBody::Taken(taken) => Some(taken),
        _ => None,
    })
}

#[test]
fn who_saw_a_ticket_come_says_how_long_it_waited_and_nobody_else_does() {
    let mut ann = on_duty();
    ann.finish(NOON);
    hear(
        &mut ann,
        LOOK,
        page(vec![waiting(1, ticket())], false),
        NOON,
    );
    for seq in [2, 3] {
        give(&mut ann, seq, ticket());
    }
    let id = |seq| TicketId {
        is_letter: false,
        seq,
    };
    let wait = |ann: &mut Engine, seq| {
        ann.ticket_is_ours(id(seq), minutes(3)).unwrap();
        let taken = said(ann).unwrap();
        assert_eq!((taken.seq, taken.letter), (seq, false));
        taken.wait
    };
    // There before she came, as far as she knows for hours.
    assert!(wait(&mut ann, 1).is_none());
    let two_ahead = wait(&mut ann, 3).unwrap();
    assert_eq!((two_ahead.ahead, two_ahead.seconds), (2, 180));
    // As exactly as the relay tells a place: seven free ones count as five.
    for seq in 5..=11 {
        give(&mut ann, seq, ticket());
    }
    assert_eq!(wait(&mut ann, 11).unwrap().ahead, 5);
    // While there is no line nobody is seen to come.
    ann.disconnected(minutes(4));
    ann.is_online = true;
    give(&mut ann, 12, ticket());
    assert!(wait(&mut ann, 12).is_none());
    // Whom somebody else answers is shown as claimed at once.
    let taken = Taken {
        seq: 2,
        wait: None,
        letter: false,
    };
    ann.taken_said(taken, 0, minutes(4)).unwrap();
    let shown = ann.tickets(minutes(4));
    assert_eq!((shown[0].id.seq, shown[0].is_claimed), (2, true));
    assert!(!shown[1].is_claimed);
}

/// A claim every two minutes: since the 28th last there were 27 such times.
const EACH: u64 = 27 * 120_000 / 28;

/// The office of a desk that stands.
fn office() -> Engine {
    let mut ann = founder();
    ann.found_desk(founding(50)).unwrap();
    let office = ann.beside.office.as_mut().unwrap();
    office.roots = [None, None, None];
    office.card_due = false;
    office.plan.hours = always();
    ann
}

/// A ticket that waited so many minutes behind two others is answered now.
fn answered(ann: &mut Engine, seq: u64, waited: u32, now: Now) {
    let taken = Taken {
        seq,
        wait: Some(TakenWait {
            ahead: 2,
            seconds: 60 * waited,
        }),
        letter: false,
    };
    ann.taken_said(taken, now.wall_ms / 60_000, now).unwrap();
}

/// Whether the card is to tell the pace, and which; as if it then stood.
fn tells(ann: &mut Engine, now: Now) -> Option<Option<u64>> {
    ann.tell_pace(now).unwrap();
    let office = ann.beside.office.as_mut().unwrap();
    let is_due = core::mem::take(&mut office.card_due);
    is_due.then(|| office.pace.map(|pace| pace.each))
}

#[test]
fn the_card_tells_the_pace_every_two_minutes_while_people_are_answered_and_then_every_five() {
    let mut ann = office();
    // Too few to say anything of.
    answered(&mut ann, 1, 6, minutes(0));
    assert_eq!(tells(&mut ann, minutes(0)), None);
    for seq in 2..=40 {
        answered(&mut ann, seq, 6, minutes(2 * seq));
    }
    assert_eq!(tells(&mut ann, minutes(80)), Some(Some(EACH)));
    answered(&mut ann, 41, 6, minutes(81));
    assert_eq!(tells(&mut ann, minutes(81)), None);
    assert_eq!(ann.wake_pace(minutes(81)), Some(minutes(82).steady_ms));
    assert!(matches!(tells(&mut ann, minutes(82)), Some(Some(_))));
    // Nobody is answered any more: slower and slower.
    assert_eq!(tells(&mut ann, minutes(84)), None);
    assert_eq!(ann.wake_pace(minutes(84)), Some(minutes(87).steady_ms));
    assert!(matches!(tells(&mut ann, minutes(87)), Some(Some(each)) if each > EACH));
    // And after long nothing is said, once.
    assert_eq!(tells(&mut ann, minutes(300)), Some(None));
    assert_eq!(tells(&mut ann, minutes(310)), None);
    assert_eq!(ann.wake_pace(minutes(310)), None);
}

#[test]
fn a_note_of_a_time_when_the_office_was_away_counts_for_its_own() {
    let mut ann = office();
    for seq in 1..=40 {
        answered(&mut ann, seq, 6, minutes(2 * seq));
    }
    assert_eq!(tells(&mut ann, minutes(80)), Some(Some(EACH)));
    let mut late = office();
    for seq in 1..=40 {
        let taken = Taken {
            seq,
            wait: Some(TakenWait {
                ahead: 2,
                seconds: 360,
            }),
            letter: false,
        };
        let minute = minutes(2 * seq).wall_ms / 60_000;
        late.taken_said(taken, minute, minutes(80)).unwrap();
    }
    // A note tells its minute.
    let each = tells(&mut late, minutes(80)).flatten().unwrap();
    assert!(each.abs_diff(EACH) <= 60_000 / 28 + 1, "{each}");
}

#[test]
fn the_office_keeps_as_many_claims_as_the_limit_one_of_each_ticket_and_over_a_restart() {
    let mut ann = office();
    let many = u64::try_from(CLAIMS_KEPT_MAX).unwrap();
    for seq in 1..=many + 1 {
        answered(&mut ann, seq, 1, minutes(seq));
    }
    answered(&mut ann, many, 1, minutes(many + 2));
    let kept = |ann: &Engine| ann.beside.past.seqs();
    let all: Vec<_> = (2..many).chain([many + 1, many]).collect();
    assert_eq!(kept(&ann), all);
    // A letter, and a ticket that nobody saw come, say nothing of waits.
    for (letter, wait) in [
        (
            true,
            Some(TakenWait {
                ahead: 0,
                seconds: 1,
            }),
        ),
        (false, None),
    ] {
        let taken = Taken {
            seq: 9_999,
            wait,
            letter,
        };
        ann.taken_said(taken, 0, minutes(300)).unwrap();
    }
    assert_eq!(kept(&ann), all);
    let name = Key::new(ann.space, saved::PAST.to_vec());
    let mut rows = ann.out.store.puts.iter().rev();
    let row = rows.find(|(key, _)| *key == name).unwrap().1.clone();
    let mut again = office();
    again.beside.load(&(saved::PAST.to_vec(), row)).unwrap();
    assert_eq!(kept(&again), all);
}
