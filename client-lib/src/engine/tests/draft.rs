//! Words that somebody else reads first: said once they are released, once, and never before.

use super::*;
use crate::content::{ContentBody, Draft, Release};
use crate::engine::draft::{DRAFTS_MAX, OPEN_DRAFTS_MAX};
use crate::engine::sending::OUTBOX_MAX;

/// Tia's chat with Sam, and the side-room in which Lea reads what she writes.
struct Two {
    chat: Room,
    side: Room,
}

impl Two {
    fn new() -> Self {
        let mut chat = Room::new(&["Tia", "Sam"]);
        let side = Room::new(&["Tia", "Lea"]);
        let space = side.of("Tia").engine.space;
        chat.command("Tia", Command::ReviewIn(space));
        Self { chat, side }
    }

    /// Tia's client hands on what there is; the process may end before it is noted.
    fn carry(&mut self, is_noted: bool) {
        for is_draft in [true, false] {
            let (chat, side) = (&mut self.chat, &mut self.side);
            let (from, to) = if is_draft { (chat, side) } else { (side, chat) };
            assert_ne!(from.of("Tia").engine.space, to.of("Tia").engine.space);
            for carried in from.of("Tia").engine.to_carry() {
                let carried = Box::new(carried);
                to.command("Tia", Command::Carry(carried.clone()));
                if is_noted {
                    let is_taken = true;
                    from.command("Tia", Command::HandedOn { carried, is_taken });
                }
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.chat.settle();
        self.side.settle();
    }

    fn restart(&mut self) {
        for room in [&mut self.chat, &mut self.side] {
            let now = room.now;
            room.device("Tia").restart(now);
            room.settle();
        }
    }

    /// What Lea has to read.
    fn waits(&self) -> Vec<(MessageId, String)> {
        let open = self.side.of("Lea").engine.open_drafts().into_iter();
        open.map(|draft| (draft.id, draft.text)).collect()
    }

    fn release(&mut self, of: MessageId, text: Option<&str>) {
        let text = text.map(ToOwned::to_owned);
        self.side.command("Lea", Command::ReleaseDraft { of, text });
        self.side.settle();
    }
}

fn refused(room: &mut Room, name: &str, command: Command) -> ErrorKind {
    let now = room.now;
    let (reply, effects) = room.engine(name).command(command, now);
    room.device(name).take(effects);
    reply.unwrap_err().kind()
}

#[test]
fn words_go_out_once_somebody_else_releases_them_and_not_before() {
    let mut two = Two::new();
    two.chat.say("Tia", "Pull yourself together.");
    two.settle();
    two.carry(true);
    assert!(two.chat.texts("Sam").is_empty());
    let [(id, text)] = two.waits().try_into().unwrap();
    assert_eq!(text, "Pull yourself together.");
    let told = |event: &Event| matches!(event, Event::Draft { text, .. } if text.0 == "Pull yourself together.");
    assert!(two.side.has("Lea", told));
    // Not by her own word, whatever her device says in the side-room.
    let own = Command::ReleaseDraft { of: id, text: None };
    assert_eq!(refused(&mut two.side, "Tia", own), ErrorKind::Invalid);
    let own = ContentBody::Release(Box::new(Release { of: id, text: None }));
    let now = two.side.now;
    two.side.engine("Tia").queue(own, now).unwrap();
    two.settle();
    two.carry(true);
    assert!(two.chat.texts("Sam").is_empty() && two.waits().len() == 1);
    // Until then it is shown as unsent.
    assert_eq!(two.chat.of("Tia").engine.unsent().len(), 1);
    two.release(id, Some("That sounds hard."));
    two.carry(true);
    assert_eq!(two.chat.texts("Sam"), ["That sounds hard."]);
    assert!(two.chat.of("Tia").engine.unsent().is_empty() && two.waits().is_empty());
    two.chat.say("Tia", "I am here.");
    two.carry(true);
    let [(id, _)] = two.waits().try_into().unwrap();
    two.release(id, None);
    two.carry(true);
    assert_eq!(two.chat.texts("Sam"), ["That sounds hard.", "I am here."]);
}

#[test]
fn they_are_said_once_whenever_the_process_ends() {
    let mut two = Two::new();
    two.chat.say("Tia", "hello");
    for _ in 0..2 {
        two.carry(false);
        two.restart();
    }
    two.carry(true);
    let [(id, _)] = two.waits().try_into().unwrap();
    two.release(id, None);
    two.restart();
    for _ in 0..2 {
        two.carry(false);
        two.restart();
    }
    two.carry(true);
    two.carry(true);
    assert_eq!(two.chat.texts("Sam"), ["hello"]);
    assert!(two.waits().is_empty() && two.side.of("Tia").engine.to_carry().is_empty());
    // Nor can a decided draft be decided, or come, once more.
    two.side
        .engine("Lea")
        .queue(
            ContentBody::Release(Box::new(Release { of: id, text: None })),
            NOON,
        )
        .unwrap();
    let again = Draft {
        id,
        text: "hello".into(),
    };
    two.side
        .engine("Tia")
        .queue(ContentBody::Draft(Box::new(again)), NOON)
        .unwrap();
    two.settle();
    two.carry(true);
    assert!(two.waits().is_empty());
    assert_eq!(two.chat.texts("Sam"), ["hello"]);
}

#[test]
fn what_is_sent_back_does_not_go_out_and_the_first_word_counts() {
    let mut two = Two::new();
    two.chat.say("Tia", "I know how you feel.");
    two.carry(true);
    let [(of, _)] = two.waits().try_into().unwrap();
    let note = "Do you?".to_owned();
    two.side.command("Lea", Command::SendDraftBack { of, note });
    two.side.settle();
    let late = ContentBody::Release(Box::new(Release { of, text: None }));
    two.side.engine("Lea").queue(late, NOON).unwrap();
    two.settle();
    two.carry(true);
    let told = |event: &Event| matches!(event, Event::DraftSentBack { id, note } if *id == of && note.0 == "Do you?");
    assert!(two.chat.has("Tia", told) && !two.chat.has("Sam", told));
    assert!(two.chat.texts("Sam").is_empty());
    assert!(two.chat.of("Tia").engine.unsent().is_empty());
}

#[test]
fn nothing_else_that_is_words_passes_a_reviewer() {
    let mut two = Two::new();
    two.chat.say("Sam", "hello");
    two.settle();
    let to = two
        .chat
        .of("Tia")
        .engine
        .index
        .keys()
        .next()
        .copied()
        .unwrap();
    let text = || "words".to_owned();
    let reply = Command::Send {
        text: text(),
        reply_to: Some(to),
    };
    let edit = Command::Edit {
        of: to,
        text: text(),
    };
    let attach = Command::Attach(Attaching::Begin(NewAttachment {
        name: "a.txt".into(),
        media_type: "text/plain".into(),
        text: text(),
        reply_to: None,
    }));
    for command in [reply, edit, attach] {
        assert_eq!(
            refused(&mut two.chat, "Tia", command),
            ErrorKind::NotAllowed
        );
    }
    two.restart();
    let again = Command::Send {
        text: text(),
        reply_to: Some(to),
    };
    assert_eq!(refused(&mut two.chat, "Tia", again), ErrorKind::NotAllowed);
}

/// `name`'s device says so many drafts, whatever it may; answers how many Lea's keeps.
fn say_drafts(side: &mut Room, name: &str, count: usize) -> usize {
    for _ in 0..count {
        let id = MessageId::random().unwrap();
        let text = String::new();
        let draft = ContentBody::Draft(Box::new(Draft { id, text }));
        side.engine(name).queue(draft, NOON).unwrap();
    }
    side.settle();
    side.of("Lea").engine.open_drafts().len()
}

#[test]
fn nobodys_drafts_keep_out_anothers() {
    let mut side = Room::new(&["Tia", "Lea", "Mae"]);
    assert_eq!(say_drafts(&mut side, "Mae", DRAFTS_MAX), DRAFTS_MAX);
    assert_eq!(say_drafts(&mut side, "Mae", 1), DRAFTS_MAX);
    assert_eq!(say_drafts(&mut side, "Tia", 1), DRAFTS_MAX + 1);
}

#[test]
fn a_readers_device_keeps_so_many_drafts_and_not_one_more() {
    let mut side = Room::new(&["Tia", "Lea", "Mae", "Nia", "Oda", "Pia"]);
    for name in ["Tia", "Mae", "Nia"] {
        say_drafts(&mut side, name, DRAFTS_MAX);
    }
    let kept = say_drafts(&mut side, "Oda", DRAFTS_MAX);
    assert_eq!(kept, OPEN_DRAFTS_MAX);
    assert_eq!(say_drafts(&mut side, "Pia", 1), OPEN_DRAFTS_MAX);
}

#[test]
fn a_draft_that_the_side_rooms_relay_refuses_is_given_back() {
    let mut two = Two::new();
    two.chat.say("Tia", "hello");
    for carried in two.chat.of("Tia").engine.to_carry() {
        two.side.command("Tia", Command::Carry(Box::new(carried)));
        unsaid::refuse_next(&mut two.side, "Tia");
    }
    two.settle();
    two.carry(true);
    let failed = |event: &Event| matches!(event, Event::Delivery { state, .. } if *state == Delivery::Failed);
    assert!(two.chat.has("Tia", failed));
    assert!(two.chat.of("Tia").engine.unsent().is_empty() && two.waits().is_empty());
}

#[test]
fn drafts_of_two_chats_fill_one_side_room_no_further() {
    let mut two = Two::new();
    let mut other = Room::new(&["Tia", "Sam"]);
    let space = two.side.of("Tia").engine.space;
    other.command("Tia", Command::ReviewIn(space));
    for _ in 0..DRAFTS_MAX {
        two.chat.say("Tia", "one more");
    }
    two.carry(true);
    assert_eq!(two.waits().len(), DRAFTS_MAX);
    other.say("Tia", "past it");
    let carried = other.of("Tia").engine.to_carry().remove(0);
    let carry = Command::Carry(Box::new(carried));
    assert_eq!(refused(&mut two.side, "Tia", carry), ErrorKind::TooLarge);
}

#[test]
fn as_many_drafts_as_the_limit_wait_and_one_more_is_refused() {
    let mut two = Two::new();
    for _ in 0..DRAFTS_MAX {
        two.chat.say("Tia", "one more");
    }
    let send = Command::Send {
        text: "past it".into(),
        reply_to: None,
    };
    assert_eq!(refused(&mut two.chat, "Tia", send), ErrorKind::TooLarge);
    // Where no reviewer can be reached any more they are given back.
    let carried = two.chat.of("Tia").engine.to_carry().remove(0);
    let carried = Box::new(carried);
    let is_taken = false;
    two.chat
        .command("Tia", Command::HandedOn { carried, is_taken });
    let failed = |event: &Event| {
        matches!(
            event,
            Event::Delivery {
                state: Delivery::Failed,
                ..
            }
        )
    };
    assert!(two.chat.has("Tia", failed));
    two.chat.say("Tia", "there is room again");
}

/// Without a line everything that is released waits.
#[test]
fn a_draft_is_refused_where_its_words_would_find_no_room() {
    let mut two = Two::new();
    two.chat.go_offline("Tia", true);
    let tia = two.chat.engine("Tia");
    while tia.outbox.len() < OUTBOX_MAX - 1 {
        tia.queue(ContentBody::Alive, NOON).unwrap();
    }
    two.chat.say("Tia", "the last one");
    let send = Command::Send {
        text: "past it".into(),
        reply_to: None,
    };
    assert_eq!(refused(&mut two.chat, "Tia", send), ErrorKind::TooLarge);
    let tia = two.chat.engine("Tia");
    assert!(
        tia.queue(ContentBody::Alive, NOON).is_err(),
        "its place is kept"
    );
    two.carry(true);
    let [(id, _)] = two.waits().try_into().unwrap();
    two.release(id, None);
    two.carry(true);
    assert_eq!(two.chat.of("Tia").engine.outbox.len(), OUTBOX_MAX);
}
