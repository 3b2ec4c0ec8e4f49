//! Every answer, refusal and notice.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Claimed, Created, Described, Done, Ended, Followed, FromRelay, Granted, Held, ItemDone,
    Notice, Opened, Page, Placed, Refusal, Refused, Taken,
};
use sotto_protocol::id::Tag;
use sotto_protocol::right::Rights;

use super::requests::{full_grant, grant, policy};
use super::{DAY, chain, entry, full_entry};

pub(super) fn all() -> Vec<(String, FromRelay<'static>)> {
    let done = answers().into_iter().map(|(name, answer)| {
        let item = FromRelay::Done(Done { id: 9, answer });
        (format!("done, {name}"), item)
    });
    let refused = ErrorCode::ALL.iter().map(|code| {
        let refusal = refusal(*code);
        let item = FromRelay::Refused(Refused { id: 9, refusal });
        (format!("refused, {}", code.name()), item)
    });
    let notices = [
        (
            "notice, ended".to_owned(),
            Notice::Ended(Ended {
                tag: Tag::new([0x65; 8]),
            }),
        ),
        ("notice, restarting".to_owned(), Notice::Restarting(2_500)),
    ];
    let notices = notices.map(|(name, notice)| (name, FromRelay::Notice(notice)));
    done.chain(refused).chain(notices).collect()
}

/// The refusal with the fields that SPEC.md says go with the code.
fn refusal(code: ErrorCode) -> Refusal {
    let bare = Refusal::of(code);
    let busy = Refusal {
        retry_after_ms: Some(1_500),
        ..bare
    };
    match code {
        ErrorCode::FenceConflict => Refusal {
            item: Some(0),
            fence: Some(13),
            ..bare
        },
        ErrorCode::GrantsConflict => Refusal {
            version: Some(5),
            ..bare
        },
        ErrorCode::WorkNeeded => Refusal {
            bits: Some(18),
            ..bare
        },
        ErrorCode::LeaseLost => Refusal {
            item: Some(15),
            ..bare
        },
        ErrorCode::Claimed | ErrorCode::Busy | ErrorCode::FenceHeld | ErrorCode::StoreFull => busy,
        ErrorCode::Internal => Refusal {
            incident: Some(0x0123_4567_89ab_cdef),
            ..bare
        },
        _ => bare,
    }
}

fn answers() -> Vec<(&'static str, Answer<'static>)> {
    let mut all = log_answers();
    all.extend(entry_answers());
    all.push(("ok", Answer::Ok));
    all
}

fn log_answers() -> Vec<(&'static str, Answer<'static>)> {
    let opened = |pins| {
        Answer::Opened(Opened {
            day: DAY,
            tag: Tag::new([0x65; 8]),
            head: 300,
            pins,
            chain: chain(),
            fence: 12,
            first: 2,
            rights: Rights::READ | Rights::APPEND,
            version: 4,
        })
    };
    vec![
        ("created", Answer::Created(Created { chain: chain() })),
        ("opened", opened(vec![17, 290])),
        ("opened, no pins", opened(Vec::new())),
        (
            "appended",
            Answer::Appended(vec![
                ItemDone {
                    day: DAY,
                    seq: 301,
                    chain: chain(),
                    fence: 13,
                },
                ItemDone {
                    day: DAY,
                    seq: 1,
                    chain: chain(),
                    fence: 0,
                },
            ]),
        ),
        (
            "followed",
            Answer::Followed(Followed {
                tag: Tag::new([0x65; 8]),
            }),
        ),
        ("granted", Answer::Granted(Granted { version: 5 })),
        (
            "held",
            Answer::Held(Held {
                ms: 10_000,
                fence: 13,
            }),
        ),
        (
            "described",
            Answer::Described(Described {
                bytes: 307_200,
                grants: vec![grant(), full_grant()],
                policy: policy(),
                entries: 300,
                version: 5,
            }),
        ),
    ]
}

fn entry_answers() -> Vec<(&'static str, Answer<'static>)> {
    let claimed = |held: Option<Vec<u8>>| {
        Answer::Claimed(Claimed {
            ms: 120_000,
            held: held.map(Into::into),
            lease: 0x0000_0002_89ab_cdef,
        })
    };
    vec![
        (
            "page",
            Answer::Page(Page {
                more: true,
                entries: vec![entry(7), full_entry(8, true)],
            }),
        ),
        (
            "page, empty",
            Answer::Page(Page {
                more: false,
                entries: Vec::new(),
            }),
        ),
        ("claimed", claimed(Some(vec![0x76; 40]))),
        ("claimed, renewed", claimed(None)),
        (
            "placed",
            Answer::Placed(Placed {
                ahead: 10,
                claimed: false,
            }),
        ),
        (
            "taken",
            Answer::Taken(Taken {
                entry: entry(2),
                last_resort: false,
            }),
        ),
        (
            "taken, last resort",
            Answer::Taken(Taken {
                entry: entry(2),
                last_resort: true,
            }),
        ),
    ]
}
