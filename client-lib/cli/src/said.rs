//! What happened, in plain words, one line each: for a terminal, and for who has it read aloud. Nothing is
//! told by colour or by where it stands.

use sotto_client::{
    Badge, BadgeState, Event, LeafId, NO_RANGE_TEXT, Place, SAFE_TRIES_MAX, Safety, Standing,
    Undone, Unsaid,
};

use crate::screen::shown;

pub(crate) const IS_A_TEAM: &str = "This is the team of a desk, and its keys are here: you can come on \
                                    duty with `sotto desk duty`.";

/// A badge in words, always with what it is worth.
pub(crate) fn of_a_badge(badge: &Badge) -> String {
    let of = &badge.attributes;
    let mut said = shown(&of.role);
    for (what, list) in [
        ("trained in", &of.training),
        ("speaks", &of.languages),
        ("has been there:", &of.been_there),
    ] {
        if !list.is_empty() {
            said.push_str(&format!("; {what} {}", shown(&list.join(", "))));
        }
    }
    let worth = match badge.state {
        BadgeState::Valid => "the badge is valid",
        BadgeState::Expired => "but the badge is out of date",
        BadgeState::Revoked => "but the badge was taken back",
        _ => "whether the badge was taken back cannot be checked now",
    };
    format!("{said}; {worth}")
}

/// What is said behind a name.
const fn of_safety(safety: Safety) -> &'static str {
    match safety {
        Safety::Agreed => "agreed on a safe word with you",
        Safety::Verified => "gave the safe word: it is they",
        Safety::Unverified { wrong: 0 } => {
            "came back, and is UNVERIFIED until they give the safe word. Tell them nothing that only \
             they should know; they do not see this"
        }
        Safety::Unverified { wrong } if wrong < SAFE_TRIES_MAX => {
            "gave a WRONG safe word, and stays unverified. They do not see this"
        }
        _ => {
            "gave three WRONG safe words; no further one is looked at until you say /allow-safe-word. \
             They do not see this"
        }
    }
}

/// What is said of somebody: who, and what stands behind their name.
pub(crate) fn of_somebody(event: &Event) -> Option<(LeafId, String)> {
    let (leaf, what) = match event {
        Event::Leaving { leaf } => (leaf, "is leaving"),
        Event::Unheard { leaf, .. } => (
            leaf,
            "was not heard for a day: away, or the relay keeps it back",
        ),
        Event::Away { leaf } => (leaf, "is away; they may come back at any time"),
        Event::Back { leaf } => (leaf, "is here again"),
        Event::Safety { leaf, safety } => (leaf, of_safety(*safety)),
        Event::Left { leaf } => (leaf, "left"),
        Event::Removed { leaf, .. } => (leaf, "was removed"),
        Event::Returned { leaf } => (leaf, "came back from a device that had lost its state"),
        Event::RulesChanged { by } => (by, "changed who may do what here"),
        Event::Undone { by } => (by, "wrote a change that nobody could open; it is undone"),
        Event::Reacted { by, emoji, .. } if emoji.0.is_empty() => (by, "takes a reaction back"),
        Event::Reacted { by, emoji, .. } => {
            return Some((*by, format!("reacts with {}", shown(&emoji.0))));
        }
        _ => return None,
    };
    Some((*leaf, what.to_owned()))
}

/// What became of a ticket: for programs, and in words.
pub(crate) const fn of_a_ticket(event: &Event) -> Option<(&'static str, &'static str)> {
    Some(match event {
        Event::Knocked => ("queued", "You are in the queue."),
        Event::DeskFull => (
            "desk_full",
            "As many wait as can be answered. It is tried again every minute; you can also leave a \
             letter with `sotto desk letter`.",
        ),
        Event::Unanswered => (
            "unanswered",
            "Nobody could answer in time, and your place is gone. That has nothing to do with you. \
             Please ask again, or leave a letter: it is answered when somebody is there.",
        ),
        Event::DeskClosed => (
            "desk_closed",
            "The desk has closed for now, and your place is given back. That has nothing to do with you. \
             You can leave a letter with `sotto desk letter`, or ask again when it opens.",
        ),
        Event::Refused => (
            "desk_changed",
            "The desk takes nothing with the card that was read. Please ask again, or leave a letter.",
        ),
        Event::PutOff {
            what: Undone::Inbox,
            ..
        } => (
            "put_off",
            "The relay makes no inbox for the answer for now; it is asked again, and your ticket \
             goes out then.",
        ),
        _ => return None,
    })
}

/// The place, as the relay told it.
pub(crate) fn of_a_place(place: Place) -> String {
    let stands = stands(place);
    match place.wait {
        _ if place.is_taken => stands,
        Some(wait) => format!("{stands} The wait by what was so lately: {wait}."),
        None => format!("{stands} How long it takes, {NO_RANGE_TEXT}."),
    }
}

fn stands(place: Place) -> String {
    match (place.is_taken, place.ahead) {
        (true, _) => "Somebody has taken your ticket and is about to answer.".to_owned(),
        (false, 0) => "You are next.".to_owned(),
        (false, 1) => "One is before you.".to_owned(),
        (false, ahead @ 2..5) => format!("{ahead} are before you."),
        (false, ahead) => format!("About {ahead} are before you."),
    }
}

/// What is said when the chat is over for us.
pub(crate) const fn last_words(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Standing(Standing::TurnedAway) => "You were not let in. You may knock again.",
        Event::Standing(Standing::Removed) => "You were removed.",
        Event::Standing(Standing::ShutOut) => {
            "Our keys open nothing here any more; ask for a new link."
        }
        Event::Standing(Standing::Left) => "You left; nothing of it is kept here.",
        _ => return None,
    })
}

/// What is said of an event that names nobody.
pub(crate) const fn words_of(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Knocked => "You knocked. Somebody inside must say yes.",
        Event::Rotated => "The secret was renewed; old links open nothing.",
        Event::NotYetRotated => "Not yet rotated: who left still has the old secret.",
        Event::NoFacilitator => "The last facilitator left: nobody can remove anybody any more.",
        Event::Doubt(_) | Event::Fork { .. } => {
            "WARNING: the relay did what an honest one does not."
        }
        Event::HiddenManager { .. } => {
            "WARNING: somebody kept a key to the log; all keys are renewed."
        }
        Event::Silence { .. } => {
            "Nobody was heard for a day: all are away, or the relay keeps it back."
        }
        Event::Expired => {
            "You were away for long: some of what was said is no longer kept anywhere but with those who read it."
        }
        Event::NotAdded => {
            "Somebody was not added: their inbox is gone, full or empty. Ask them for a new link."
        }
        Event::Refused => "The relay does not let us in: our key opens nothing.",
        Event::PutOff { what, .. } => match what {
            Undone::Door => {
                "The relay makes no door for now, so that nobody can knock; it is asked again."
            }
            Undone::Inbox => {
                "The relay makes no inbox for the answer for now; it is asked again, and what you ask waits here."
            }
            Undone::Claim => "The relay gives out no ticket for now; it is asked again.",
            _ => "The relay does not do what this desk needs for now; it is asked again.",
        },
        Event::DeskReady => IS_A_TEAM,
        Event::Ticket(_) => "Somebody waits at the desk; `sotto desk duty` shows who.",
        Event::NotTaken => "Somebody else answers this one, or they are gone.",
        Event::DeskFull => {
            "The desk takes no more tickets for now; it is tried again every minute."
        }
        Event::Unanswered => "Nobody could answer in time, and the place at the desk is gone.",
        Event::DeskRefused => {
            "The relay does not let us run this desk: another office has its number, or somebody made its log before us."
        }
        Event::OtherDesk { .. } => {
            "WARNING: a facilitator says keys of another desk. They count for nothing here; compare the desk's address with the poster."
        }
        Event::AuditRewritten { .. } => {
            "WARNING: the desk's office signed other records than before. Ask the office; `sotto desk audit --check` compares what it kept."
        }
        Event::FalseSnapshot { .. } => {
            "WARNING: somebody left a false starting point for newcomers; it is put right."
        }
        Event::ClockOff { days: 0 } => "The dates of this device and of the relay agree again.",
        Event::ClockOff { .. } => {
            "The dates of this device and of the relay differ: one of the two is wrong."
        }
        Event::InvitationLost { .. } => {
            "Somebody added you to a conversation by an old link of yours; give them a new one."
        }
        Event::LinkSpoiled => {
            "WARNING: somebody uses the link to disturb; it ends, ask whom it went to"
        }
        Event::Standing(Standing::Paused) => {
            "This program is too old for the conversation and waits."
        }
        Event::Deleted { .. } => "a message was taken back",
        Event::Unsaid(what) => of_the_unsaid(*what),
        _ => return None,
    })
}

/// What the relay would not take, and what that means here.
const fn of_the_unsaid(what: Unsaid) -> &'static str {
    match what {
        Unsaid::Stop => {
            "The relay did not take your stop, and nobody heard it: the talk goes on. Say /stop again; if that is \
             refused too, you can leave."
        }
        Unsaid::GoOn => "The relay did not take it: as the others see it, you still stop the talk.",
        Unsaid::Floor => "The relay did not take it: it is the same person's turn as before.",
        Unsaid::Agreement => "The relay did not take what you proposed; nobody has read it.",
        Unsaid::Agree(_) => {
            "The relay did not take that you agree: as the others see it, you have not."
        }
        Unsaid::End => {
            "The relay did not take when the talk ends; the others know of no other end than before."
        }
        Unsaid::Decision(_) => {
            "The relay did not take what you decided on a draft; whoever wrote it still waits."
        }
        Unsaid::Call => "The relay did not take that you ask for somebody; nobody was asked.",
        Unsaid::SafeWord => "The relay did not take the safe word; nobody was told of it.",
        Unsaid::Reaction(_) => "The relay did not take a reaction of yours.",
        _ => "The relay did not take a change to a message of yours; others read it as it was.",
    }
}
