//! What an office counts of what its team says, and what of it can ever be seen.

use std::collections::BTreeMap;

use super::duty::{LOOK, founder, founding, give, hear, minutes, on_duty, page, ticket, waiting};
use super::*;
use crate::content::{ContentBody, GONE_MAX, Taken};
use crate::desk::{
    Again, AuditFault, AuditHead, AuditRecord, AuditWhat, Count, Division, Exported, Helped,
    KEPT_DAYS, Period, RECORDS_MAX, Rated, Rating,
};
use crate::engine::aside::Before;
use crate::engine::dispute::Dispute;
use crate::engine::heads::HEADS_MAX;
use crate::engine::numbers::{CALLS_KNOWN_MAX, SEEN_MAX};
use crate::mls::{Author, Facts};

/// NOON is on a Tuesday.
const TODAY: u32 = 19_675;

const fn day(count: u64) -> Now {
    minutes(count * 24 * 60)
}

/// The office of a desk, which has read its log to the end, on the first day of its numbers.
fn office() -> Engine {
    let mut ann = founder();
    ann.found_desk(founding(50)).unwrap();
    let office = ann.beside.office.as_mut().unwrap();
    office.roots = [None, None, None];
    office.card_due = false;
    ann.head = Some(ann.saved.seq);
    ann.close_periods(NOON).unwrap();
    ann
}

fn taken(ann: &mut Engine, seq: u64, letter: bool, on: u32) {
    let wait = None;
    ann.count_taken(&Taken { seq, wait, letter }, on).unwrap();
}

fn rated(ann: &mut Engine, seq: u64, helped: Helped) {
    let rating = Rating {
        again: Again::Yes,
        early: false,
        helped,
    };
    ann.count_rated(&[Rated { seq, rating }], TODAY).unwrap();
}

fn exports(ann: &mut Engine, by: Division, now: Now) -> Vec<Period> {
    ann.export(Exported::Numbers, Some(by), now).unwrap();
    ann.numbers()
}

fn numbers_of(period: &Period) -> [Option<u64>; 4] {
    let Period {
        answered,
        letters,
        left,
        calls,
        ..
    } = period;
    [answered, letters, left, calls].map(|count| count.number())
}

#[test]
fn each_place_of_a_queue_counts_once_and_as_what_became_of_it() {
    let mut ann = office();
    for seq in 1..=8 {
        // Two who were at it, and one who says it again.
        for _ in 0..3 {
            taken(&mut ann, seq, false, TODAY);
        }
    }
    // Places in the letters are others.
    for seq in 1..=6 {
        taken(&mut ann, seq, true, TODAY);
    }
    // One who was answered is not gone, and who was gone and is answered after all did not leave.
    ann.count_gone(&[1, 2, 20, 21, 22, 23, 24, 25], TODAY)
        .unwrap();
    ann.count_gone(&[20, 21], TODAY).unwrap();
    taken(&mut ann, 25, false, TODAY);
    for seq in 30..37 {
        rated(&mut ann, seq, Helped::Yes);
        rated(&mut ann, seq, Helped::No);
    }
    for call in [1, 2, 2, 3, 1, 4] {
        let id = MessageId::new([call; 16]);
        ann.count_call(id, TODAY).unwrap();
    }
    let exact = ann.counted_exactly()[&TODAY];
    let counted = [exact.answered, exact.letters, exact.left, exact.calls];
    assert_eq!(counted, [9, 6, 5, 4]);
    let [period] = exports(&mut ann, Division::Day, day(1))[..] else {
        panic!("one day is over")
    };
    assert_eq!(numbers_of(&period), [Some(5), Some(5), Some(5), None]);
    assert_eq!(period.helped.yes.number(), Some(5));
    assert_eq!(period.helped.no.to_string(), "fewer than 5");
}

#[test]
fn nothing_is_told_of_a_period_before_it_is_over_and_read_and_nothing_new_afterwards() {
    let mut ann = office();
    for seq in 1..=9 {
        taken(&mut ann, seq, false, TODAY);
    }
    assert!(exports(&mut ann, Division::Day, NOON).is_empty());
    // The day is over, and something of it may not be read yet.
    ann.head = Some(ann.saved.seq + 1);
    assert!(exports(&mut ann, Division::Day, day(1)).is_empty());
    taken(&mut ann, 10, false, TODAY);
    ann.head = Some(ann.saved.seq);
    let first = exports(&mut ann, Division::Day, day(1));
    assert_eq!(numbers_of(&first[0])[0], Some(10));
    assert!(ann.counted_exactly().is_empty(), "no exact count is left");
    // What comes late is of the first day that is open.
    taken(&mut ann, 11, false, TODAY);
    for seq in 12..=15 {
        taken(&mut ann, seq, false, TODAY + 1);
    }
    // A word on somebody who was counted yesterday changes nothing today.
    taken(&mut ann, 1, false, TODAY + 1);
    let all = exports(&mut ann, Division::Day, day(2));
    assert_eq!(all[0], first[0]);
    let firsts: Vec<_> = all.iter().map(|one| numbers_of(one)[0]).collect();
    assert_eq!(firsts, [Some(10), Some(5)]);
}

/// Whoever asks for days, weeks and months in any order has each day in one statement only.
#[test]
fn however_the_days_are_divided_each_is_told_in_one_period_only() {
    let mut dice = 7_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % sides
    };
    let mut ann = office();
    let (mut at, mut told) = (0, Vec::new());
    while at < 200 {
        at += roll(12);
        let by =
            [Division::Day, Division::Week, Division::Month][usize::try_from(roll(3)).unwrap()];
        let all = exports(&mut ann, by, day(at));
        assert_eq!(all[..told.len()], told, "what was told stays");
        told = all;
    }
    let mut next = TODAY;
    for period in &told {
        assert_eq!(period.from, next);
        assert!(period.until >= period.from);
        next = period.until + 1;
    }
    assert!(u64::from(next - TODAY) <= at, "no day that is not over");
    assert!(told.len() > 10);
}

#[test]
fn numbers_and_records_are_kept_over_a_restart_and_for_400_days() {
    let mut ann = office();
    for seq in 1..=5 {
        taken(&mut ann, seq, false, TODAY);
    }
    exports(&mut ann, Division::Day, day(1));
    taken(&mut ann, 6, false, TODAY + 1);
    // All rows as the vault has them.
    let mut again = office();
    let mut rows = BTreeMap::new();
    let written = core::mem::take(&mut ann.out.store.puts);
    for (key, value) in written {
        rows.insert(key.name, value);
    }
    again.beside = Default::default();
    again.saved.log = ann.saved.log;
    for row in rows {
        again.beside.load(&row).unwrap();
    }
    again.begin_with_desk().unwrap();
    assert_eq!(again.numbers(), ann.numbers());
    assert_eq!(again.audit(), ann.audit());
    // A place that was counted is known to be.
    taken(&mut again, 6, false, TODAY + 1);
    for seq in 7..=10 {
        taken(&mut again, seq, false, TODAY + 1);
    }
    let all = exports(&mut again, Division::Day, day(2));
    assert_eq!(numbers_of(&all[1])[0], Some(5));
    let last = u64::from(KEPT_DAYS) + 1;
    let all = exports(&mut again, Division::Month, day(last));
    assert_eq!(all[0].from, TODAY, "written down on the day after");
    let all = exports(&mut again, Division::Month, day(last + 1));
    assert_eq!(all[0].from, TODAY + 1);
    again.audit().unwrap().check().unwrap();
}

#[test]
fn as_many_records_and_places_as_the_limits_are_kept_and_not_one_more() {
    let mut ann = office();
    for _ in 0..RECORDS_MAX {
        ann.write_down_gone(1).unwrap();
    }
    let first = |ann: &Engine| ann.audit().unwrap().records[0].number;
    assert_eq!(first(&ann), 1);
    ann.write_down_gone(1).unwrap();
    assert_eq!(first(&ann), 2);
    assert_eq!(ann.audit().unwrap().records.len(), RECORDS_MAX);
    ann.audit().unwrap().check().unwrap();
    let most = u64::try_from(SEEN_MAX).unwrap();
    for seq in 1..=most {
        taken(&mut ann, seq, false, TODAY);
    }
    let answered = |ann: &Engine| ann.counted_exactly()[&TODAY].answered;
    taken(&mut ann, 1, false, TODAY);
    assert_eq!(answered(&ann), most);
    // One more, and the lowest counts no more, instead of twice.
    taken(&mut ann, most + 1, false, TODAY);
    taken(&mut ann, 1, false, TODAY);
    assert_eq!(answered(&ann), most + 1);
}

#[test]
fn only_the_office_has_numbers_and_each_time_they_are_taken_out_is_written_down_and_said() {
    let mut ben = on_duty();
    let refused = ben.export(Exported::Numbers, None, NOON);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    taken(&mut ben, 1, false, TODAY);
    assert!(ben.counted_exactly().is_empty() && ben.audit().is_none());
    let mut ann = office();
    exports(&mut ann, Division::Week, NOON);
    ann.export(Exported::Audit, None, NOON).unwrap();
    let audit = ann.audit().unwrap();
    let whats: Vec<_> = audit.records.iter().map(|record| record.what).collect();
    let all = [Exported::Numbers, Exported::Audit].map(AuditWhat::Exported);
    assert_eq!(whats, all);
    let said = ann
        .outbox
        .values()
        .filter_map(|one| match one.content.body {
            ContentBody::Audited(head) => Some(head),
            _ => None,
        });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), 2);
    assert_eq!(said[1], audit.head);
    audit.check().unwrap();
    audit.agrees_with(&said).unwrap();
}

#[test]
fn who_leaves_the_team_is_written_down_as_a_number() {
    let mut ann = office();
    let gone = LeafId::new([0x77; 32]);
    let leaves = vec![ann.key.id(), gone];
    let epoch = ann.group.as_ref().unwrap().epoch();
    ann.beside.office.as_mut().unwrap().team = office::Team::new(epoch.wrapping_sub(1), leaves);
    ann.look_at_team().unwrap();
    // Somebody who is no facilitator let them go, which may be undone.
    let facts = Facts {
        author: Author::Member(LeafId::new([0x78; 32])),
        added: Vec::new(),
        removed: Vec::new(),
        left: vec![gone],
        policy: None,
        newest_day: 0,
        psks: Vec::new(),
        strange: false,
        path: [0; 32],
        aad: Vec::new(),
    };
    let policy = ann.policy.clone().unwrap();
    let leaves = [ann.key.id(), gone];
    let dispute = Dispute::of(2, &facts, b"", &leaves, &policy).unwrap();
    ann.disputes.took(Some((dispute, Before::Here)));
    ann.write_down_who_is_gone().unwrap();
    assert!(ann.audit().is_none(), "it is written only once it stands");
    ann.disputes.took(None);
    ann.write_down_who_is_gone().unwrap();
    ann.write_down_who_is_gone().unwrap();
    let audit = ann.audit().unwrap();
    assert_eq!(audit.records[0].what, AuditWhat::Gone(1));
    assert_eq!(audit.records.len(), 1);
}

/// A desk's records, some of each kind.
fn records() -> crate::desk::AuditExport {
    let mut ann = office();
    for seq in 1..=7 {
        taken(&mut ann, seq, false, TODAY);
    }
    ann.write_down_gone(2).unwrap();
    exports(&mut ann, Division::Day, day(3));
    ann.export(Exported::Audit, None, day(4)).unwrap();
    ann.audit().unwrap()
}

#[test]
fn the_first_record_that_does_not_hold_is_named() {
    let good = records();
    good.check().unwrap();
    let count = good.records.len();
    assert!(count > 5);
    let changes: [fn(&mut AuditRecord); 3] = [
        |record| record.day += 1,
        |record| record.what = AuditWhat::Gone(9),
        |record| record.desk = 1,
    ];
    for at in 0..count {
        let number = good.records[at].number;
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad.records[at]);
            assert_eq!(bad.check(), Err(AuditFault::Record(number)));
        }
        // One that is left out is missing; of the first nobody can tell but by the start.
        let mut bad = good.clone();
        bad.records.remove(at);
        if at > 0 {
            assert_eq!(bad.check(), Err(AuditFault::Record(number)));
        }
        // One count in a period, up by five.
        if let AuditWhat::Period(mut period) = good.records[at].what {
            period.answered = Count::of(10);
            let mut bad = good.clone();
            bad.records[at].what = AuditWhat::Period(period);
            assert_eq!(bad.check(), Err(AuditFault::Record(number)));
        }
    }
    // Another desk's, or signed by nobody.
    let mut bad = good.clone();
    bad.desk = 1;
    assert_eq!(bad.check(), Err(AuditFault::Record(1)));
    let mut bad = good.clone();
    bad.head.signature = sotto_protocol::id::Signature::new([0; 64]);
    assert_eq!(bad.check(), Err(AuditFault::Head));
    bad.records.clear();
    assert_eq!(bad.check(), Err(AuditFault::Head));
    // A chain that was written anew holds, and is not the one that the team heard of.
    let mut ann = office();
    let other = records();
    let heard = [good.head];
    good.agrees_with(&heard).unwrap();
    assert!(other.agrees_with(&heard).is_err(), "another organisation's");
    ann.write_down_gone(1).unwrap();
    let short = ann.audit().unwrap();
    let rewritten = AuditFault::Rewritten(good.head.number);
    assert_eq!(short.agrees_with(&heard), Err(rewritten));
}

/// What the office says in the room as it takes something out on this day.
fn head_on(ann: &mut Engine, count: u64) -> AuditHead {
    ann.export(Exported::Audit, None, day(count)).unwrap();
    ann.audit().unwrap().head
}

#[test]
fn members_keep_what_the_office_signed_and_are_told_of_a_chain_that_goes_back() {
    let mut ann = office();
    let me = ann.key.id();
    let most = u64::try_from(HEADS_MAX).unwrap();
    let mut heads = Vec::new();
    for count in 0..most {
        // One a week, and then many on one day.
        let count = (count * 7).min(5 * 7);
        heads.push(head_on(&mut ann, count));
        let today = TODAY + u32::try_from(count).unwrap();
        ann.audited_said(me, heads[heads.len() - 1], today).unwrap();
    }
    assert_eq!(ann.audit_heads(), heads);
    let last = head_on(&mut ann, 36);
    ann.audited_said(me, last, TODAY + 36).unwrap();
    // Of those on one day the last but the newest one goes, and none of the weeks before.
    let mut left = heads.clone();
    left.pop();
    left.push(last);
    let kept = ann.audit_heads();
    assert_eq!(kept.len(), HEADS_MAX);
    assert_eq!((&kept[..6], kept[HEADS_MAX - 1]), (&heads[..6], last));
    assert!(kept == left || kept.len() == left.len());
    // However often it takes something out later.
    for count in 37..400 {
        let head = head_on(&mut ann, count);
        let today = TODAY + u32::try_from(count).unwrap();
        ann.audited_said(me, head, today).unwrap();
    }
    assert_eq!(ann.audit_heads()[0], heads[0]);
    let early = |head: &AuditHead| head.day() <= TODAY + 35;
    assert!(ann.audit_heads().iter().filter(|head| early(head)).count() >= 3);
    // Twice is once; unsigned is nothing.
    let kept = ann.audit_heads();
    ann.audited_said(me, heads[0], TODAY + 400).unwrap();
    let mut forged = heads[5];
    forged.number += 1_000;
    ann.audited_said(me, forged, TODAY + 400).unwrap();
    assert_eq!(ann.audit_heads(), kept);
    let rewritten = Event::AuditRewritten { by: me };
    assert!(!ann.finish(day(400)).events.contains(&rewritten));
    // The same office, from an older copy of its state.
    let office = ann.beside.office.as_ref().unwrap().organisation();
    let mut behind = ann.audit().unwrap().records[7];
    behind.day += 1;
    let behind = AuditHead::sign(&office, &behind);
    ann.audited_said(me, behind, TODAY + 400).unwrap();
    assert!(ann.finish(day(400)).events.contains(&rewritten));
}

#[test]
fn a_record_that_the_team_was_told_of_is_missed_until_its_time_is_over() {
    let mut ann = office();
    let told = head_on(&mut ann, 1);
    for count in 2..6 {
        head_on(&mut ann, count);
    }
    let whole = ann.audit().unwrap();
    whole.agrees_with(&[told]).unwrap();
    let at = whole
        .records
        .iter()
        .position(|one| one.number == told.number());
    // A beginning that is cut off is a chain that holds.
    let mut cut = whole;
    cut.records.drain(..=at.unwrap());
    cut.check().unwrap();
    assert_eq!(
        cut.agrees_with(&[told]),
        Err(AuditFault::LeftOut(told.number()))
    );
    // The day of the end is signed as well.
    let mut later = cut.clone();
    later.head.day += KEPT_DAYS;
    assert_eq!(later.check(), Err(AuditFault::Head));
    // Once its time is over, nobody misses it.
    let kept = u64::from(KEPT_DAYS);
    for (count, is_kept) in [(1 + kept, true), (2 + kept, false)] {
        head_on(&mut ann, count);
        let export = ann.audit().unwrap();
        let is_there = export.records.iter().any(|one| one.number == told.number());
        assert_eq!(is_there, is_kept);
        export.agrees_with(&[told]).unwrap();
    }
    // No day goes back, whatever the office's clock shows.
    head_on(&mut ann, 300);
    let export = ann.audit().unwrap();
    assert!(export.records.is_sorted_by_key(|one| one.day));
}

fn gone_said(ann: &Engine) -> Vec<Vec<u64>> {
    let all = ann.outbox.values();
    let said = all.filter_map(|one| match &one.content.body {
        ContentBody::Gone(seqs) => Some(seqs.clone()),
        _ => None,
    });
    said.collect()
}

/// On duty, and so many wait; at the second look these are there.
fn looked_again(ann: &mut Engine, count: u64, there: &[Entry<'static>]) {
    ann.finish(NOON);
    let all: Vec<_> = (1..=count).map(|seq| waiting(seq, ticket())).collect();
    hear(ann, LOOK, page(all, false), NOON);
    ann.finish(minutes(1));
    hear(ann, LOOK, page(there.to_vec(), false), minutes(1));
}

#[test]
fn who_went_unanswered_is_said_by_one_device_after_a_while_and_who_was_answered_never() {
    let mut ann = on_duty();
    let claimed = Entry {
        claimed: true,
        ..waiting(4, ticket())
    };
    looked_again(&mut ann, 5, &[claimed]);
    // The fourth is answered, and gone at the next look.
    ann.finish(minutes(2));
    hear(&mut ann, LOOK, page(Vec::new(), false), minutes(2));
    assert!(gone_said(&ann).is_empty());
    // Somebody else says one of them, and answered another.
    ann.is_said(&[1]);
    let (wait, letter) = (None, false);
    ann.taken_said(
        Taken {
            seq: 2,
            wait,
            letter,
        },
        0,
        minutes(2),
    )
    .unwrap();
    let at = ann.wake_gone(minutes(2)).unwrap();
    assert!((minutes(2).steady_ms..=minutes(7).steady_ms).contains(&at));
    ann.finish(minutes(1));
    assert!(gone_said(&ann).is_empty());
    ann.finish(minutes(8));
    assert_eq!(gone_said(&ann), [vec![3, 5]]);
    ann.finish(minutes(20));
    assert_eq!(gone_said(&ann).len(), 1);
}

#[test]
fn as_many_as_the_limit_are_said_to_be_gone_at_once() {
    let most = u64::try_from(GONE_MAX).unwrap();
    let mut ann = on_duty();
    ann.went(&(1..=most + 1).collect::<Vec<_>>(), NOON);
    ann.finish(minutes(8));
    let said = gone_said(&ann);
    assert_eq!(said, [(1..=most).collect::<Vec<_>>()]);
    assert!(ContentBody::Gone(vec![1; GONE_MAX]).is_within_limits());
    assert!(!ContentBody::Gone(vec![1; GONE_MAX + 1]).is_within_limits());
    assert!(!ContentBody::Gone(Vec::new()).is_within_limits());
}

/// A ticket that comes between two looks, and goes before the second one, was not seen to be gone.
#[test]
fn a_ticket_that_we_claim_ourselves_is_never_said_to_be_gone() {
    let mut ann = on_duty();
    ann.finish(NOON);
    hear(&mut ann, LOOK, page(Vec::new(), false), NOON);
    give(&mut ann, 1, ticket());
    let id = ann.tickets(NOON)[0].id;
    ann.ticket_is_ours(id, NOON).unwrap();
    ann.finish(minutes(1));
    hear(&mut ann, LOOK, page(Vec::new(), false), minutes(1));
    ann.finish(minutes(9));
    assert!(gone_said(&ann).is_empty());
}

#[test]
fn places_are_known_for_as_long_as_a_letter_lies_and_no_longer() {
    let mut ann = office();
    taken(&mut ann, 1, true, TODAY);
    exports(&mut ann, Division::Day, day(1));
    let known = |ann: &mut Engine, at: u64| {
        exports(ann, Division::Day, day(at));
        ann.places_known()
    };
    assert_eq!(known(&mut ann, 32), 1);
    assert_eq!(known(&mut ann, 33), 0);
    // It is gone for good: whoever says it again is not counted.
    taken(&mut ann, 1, true, TODAY + 33);
    assert!(ann.counted_exactly().is_empty());
}

/// What is closed or forgotten is so for good.
#[test]
fn a_relay_whose_date_is_ahead_closes_no_period_and_forgets_no_record() {
    let mut ann = office();
    taken(&mut ann, 1, false, TODAY);
    exports(&mut ann, Division::Day, NOON);
    ann.session.greeted_on(TODAY + KEPT_DAYS + 100);
    ann.close_periods(NOON).unwrap();
    exports(&mut ann, Division::Day, NOON);
    let records = ann.audit().unwrap().records;
    assert_eq!(records[0].number, 1, "the first one is still there");
    assert!(ann.open_period().1.unwrap() <= TODAY + 1);
}

/// Else one member ends the counting for good.
#[test]
fn places_that_are_nobodys_yet_push_nobody_out() {
    let mut ann = office();
    ann.beside.numbers.queue_goes_to(false, 10);
    for from in (0..9).map(|round| u64::MAX - 256 * (round + 1)) {
        let seqs: Vec<_> = (from..from + 256).collect();
        ann.count_gone(&seqs, TODAY).unwrap();
    }
    for seq in 1..=5 {
        taken(&mut ann, seq, false, TODAY);
    }
    let [period] = exports(&mut ann, Division::Day, day(1))[..] else {
        panic!("one day is over")
    };
    assert_eq!(numbers_of(&period), [Some(5), None, None, None]);
}

/// An office that was off the line while thousands asked knows how far the queues go by now before it reads
/// what was said of them, and one that is on the line hears it again.
#[test]
fn an_office_knows_how_far_the_queues_go_before_it_judges_a_place() {
    let mut ann = office();
    let queues: Vec<_> = ann.queues().into_iter().map(|(log, _)| log).collect();
    assert_eq!(ann.session.others_before(&ann.saved.log), queues);
    ann.beside.numbers.queue_goes_to(false, 0);
    let half = u64::try_from(SEEN_MAX / 2).unwrap();
    taken(&mut ann, half, false, TODAY);
    ann.ask_how_far_queues_go(NOON);
    assert_eq!(ann.queues_asked_ms(), None);
    taken(&mut ann, half + 1, false, TODAY);
    for (ms, asked) in [(0, 0), (59_999, 0), (60_000, 60_000)] {
        ann.ask_how_far_queues_go(NOON.plus_ms(ms));
        let asked_ms = ann.queues_asked_ms().unwrap();
        assert_eq!(asked_ms, NOON.steady_ms + asked);
    }
    ann.beside.numbers.queue_goes_to(false, half + 1);
    ann.ask_how_far_queues_go(minutes(60));
    assert_eq!(ann.queues_asked_ms(), Some(NOON.steady_ms + 60_000));
}

#[test]
fn a_call_that_is_said_again_counts_once_for_as_many_calls_as_the_limit() {
    let mut ann = office();
    let mut call = |number: u8| {
        ann.count_call(MessageId::new([number; 16]), TODAY).unwrap();
        ann.counted_exactly()[&TODAY].calls
    };
    let most = u8::try_from(CALLS_KNOWN_MAX).unwrap();
    for number in 1..=most {
        assert_eq!(call(number), u64::from(number));
    }
    assert_eq!(call(1), u64::from(most));
    assert_eq!(call(most + 1), u64::from(most) + 1);
    assert_eq!(call(1), u64::from(most) + 2, "it is known no more");
}
