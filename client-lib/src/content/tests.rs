use super::*;
use crate::attachment::{ATTACHMENT_NAME_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};

fn said(text: &str) -> Content {
    Content {
        id: MessageId::new([1; 16]),
        body: ContentBody::Text(text.into()),
        count: 0,
        minute: 1,
    }
}

fn attach(name: &str) -> Attach {
    Attach {
        to: None,
        log: LogId::new([7; 32]),
        name: name.into(),
        text: String::new(),
        media_type: "audio/ogg".into(),
        bytes: 5,
        digest: [8; 32],
        secret: AttachmentSecret::new([9; 32]),
    }
}

fn call(asks: &str) -> ContentBody {
    let relay = crate::link::RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: sotto_protocol::id::RelayIdentity::new([1; 32]),
    };
    let door = DoorLink {
        door: LogId::new([2; 32]),
        knock: [3; 32],
        relay,
        suite: crate::mls::Suite::Classic,
        founder: LeafId::new([4; 32]),
        sealing: PublicKey::new([5; 32]),
    };
    let asks = asks.to_owned();
    ContentBody::Call(Box::new(Call { asks, door }))
}

#[test]
fn what_somebody_is_called_for_is_one_plain_line() {
    assert!(call("a supervisor, please").is_within_limits());
    for odd in ["", " ", "a\nb", "a\u{202e}b"] {
        assert!(!call(odd).is_within_limits(), "{odd:?}");
    }
}

#[test]
fn an_attachment_that_names_a_path_or_is_too_long_is_not_listened_to() {
    let fits = |attach: Attach| ContentBody::Attach(Box::new(attach)).is_within_limits();
    assert!(fits(attach("note.ogg")));
    assert!(!fits(attach("../note.ogg")));
    let bytes = ATTACHMENT_BYTES_MAX + 1;
    assert!(!fits(Attach {
        bytes,
        ..attach("a")
    }));
    let media_type = "a\nb".to_owned();
    assert!(!fits(Attach {
        media_type,
        ..attach("a")
    }));
}

#[test]
fn a_body_may_be_as_long_as_its_limits_and_no_longer() {
    let id = MessageId::new([1; 16]);
    let x = |count: usize| "x".repeat(count);
    let line = |name: String| RosterLine {
        leaf: LeafId::new([2; 32]),
        name,
        manage: PublicKey::new([6; 32]),
    };
    let of_attach = |change: &dyn Fn(&mut Attach)| {
        let mut attach = attach("a");
        change(&mut attach);
        ContentBody::Attach(Box::new(attach))
    };
    let manage = PublicKey::new([6; 32]);
    let told = |count: usize, words: String| {
        let line = RetoldLine {
            name: "Ben".into(),
            words,
            minute: 1,
        };
        ContentBody::Retold(vec![line; count])
    };
    let edges: [(usize, &dyn Fn(usize) -> ContentBody); 14] = [
        (TEXT_BYTES_MAX, &|count| ContentBody::Text(x(count))),
        (TEXT_BYTES_MAX, &|count| ContentBody::Edit {
            of: id,
            text: x(count),
        }),
        (TEXT_BYTES_MAX, &|count| ContentBody::Reply {
            to: id,
            text: x(count),
        }),
        (TEXT_BYTES_MAX, &|count| {
            of_attach(&|attach| attach.text = x(count))
        }),
        (NAME_BYTES_MAX, &|count| ContentBody::Hello {
            name: x(count),
            manage,
        }),
        (NAME_BYTES_MAX, &|count| {
            ContentBody::Roster(vec![line(x(count))])
        }),
        (ROSTER_MAX, &|count| {
            ContentBody::Roster((0..count).map(|_| line(x(1))).collect())
        }),
        (REACTION_BYTES_MAX, &|count| ContentBody::React {
            to: id,
            emoji: x(count),
        }),
        (RECEIPTS_MAX, &|count| ContentBody::Receipt(vec![id; count])),
        (ATTACHMENT_NAME_BYTES_MAX, &|count| {
            of_attach(&|attach| attach.name = x(count))
        }),
        (MEDIA_TYPE_BYTES_MAX, &|count| {
            of_attach(&|attach| attach.media_type = x(count))
        }),
        (RETOLD_LINES_MAX, &|count| told(count, String::new())),
        (RETOLD_BYTES_MAX, &|count| told(1, x(count))),
        (CALL_BYTES_MAX, &|count| call(&x(count))),
    ];
    assert_edges(&edges);
}

/// Each body at its most, and one past it.
fn assert_edges(edges: &[(usize, &dyn Fn(usize) -> ContentBody)]) {
    for (number, (most, body)) in edges.iter().enumerate() {
        assert!(body(*most).is_within_limits(), "case {number} at its edge");
        assert!(!body(most + 1).is_within_limits(), "case {number} past it");
    }
}

#[test]
fn who_may_speak_and_an_agreement_may_be_as_long_as_their_limits_and_no_longer() {
    let id = MessageId::new([1; 16]);
    let x = |count: usize| "x".repeat(count);
    let agreement = |text: String| {
        ContentBody::Agreement(Box::new(Proposed {
            text,
            told: Some(id),
            follow_up: None,
        }))
    };
    assert_edges(&[
        (AGREEMENT_BYTES_MAX, &|count| agreement(x(count))),
        (ROSTER_MAX, &|count| {
            ContentBody::Floor(FloorSaid {
                turn: None,
                frozen: true,
                stopped: vec![LeafId::new([2; 32]); count],
            })
        }),
    ]);
    let text = |count: usize| Some(x(count));
    assert_edges(&[
        (DRAFT_BYTES_MAX, &|count| {
            let text = x(count);
            ContentBody::Draft(Box::new(Draft { id, text }))
        }),
        (DRAFT_BYTES_MAX, &|count| {
            let text = text(count);
            ContentBody::Release(Box::new(Release { of: id, text }))
        }),
        (DRAFT_BYTES_MAX, &|count| {
            let note = x(count);
            ContentBody::SendBack(Box::new(SendBack { of: id, note }))
        }),
    ]);
    for odd in [
        "",
        " ",
        "a\u{202e}b",
        "a\u{61c}b",
        "a\u{200b}b",
        "a\rb",
        "a\u{8}b",
    ] {
        assert!(!agreement(odd.into()).is_within_limits(), "{odd:?}");
    }
    assert!(agreement("We greet\n\teach other.".into()).is_within_limits());
}

#[test]
fn nothing_that_is_not_seen_or_turns_text_is_in_a_name_and_what_joins_letters_and_emoji_may_be() {
    for c in [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{206f}',
        '\u{3164}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{fffb}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e007f}',
    ] {
        assert!(!name_is_fit(&format!("A{c}nn")), "{:x}", u32::from(c));
    }
    for name in [
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "\u{645}\u{6cc}\u{200c}\u{6a9}",
        "\u{1f469}\u{200d}\u{1f680}",
        "\u{2764}\u{fe0f}",
    ] {
        assert!(name_is_fit(name), "{name}");
    }
}

#[test]
fn every_kind_survives_the_wire() {
    let id = MessageId::new([1; 16]);
    let leaf = LeafId::new([2; 32]);
    let bodies = [
        ContentBody::Alive,
        ContentBody::Edit {
            of: id,
            text: "a".into(),
        },
        ContentBody::Hello {
            name: "Ann".into(),
            manage: PublicKey::new([6; 32]),
        },
        ContentBody::React {
            to: id,
            emoji: "💛".into(),
        },
        ContentBody::Reply {
            to: id,
            text: "b".into(),
        },
        ContentBody::Text(String::new()),
        ContentBody::Delete(id),
        ContentBody::Roster(vec![RosterLine {
            leaf,
            name: "Ben".into(),
            manage: PublicKey::new([6; 32]),
        }]),
        ContentBody::Typing,
        ContentBody::Attach(Box::new(attach("note.ogg"))),
        ContentBody::Receipt(vec![id]),
        ContentBody::Retold(vec![RetoldLine {
            name: "Ben".into(),
            words: "c".into(),
            minute: 2,
        }]),
        call("a supervisor"),
        ContentBody::Taken(Taken {
            seq: 7,
            wait: Some(TakenWait {
                ahead: 2,
                seconds: 300,
            }),
            letter: false,
        }),
    ];
    let key = LeafKey::from_seed(&[3; 32]);
    let log = LogId::new([4; 32]);
    let place = Place {
        log: &log,
        epoch: 5,
        author: key.id(),
    };
    for body in bodies {
        let content = Content { body, ..said("") };
        let (spoken, commitment) = speak(place, &key, &content).unwrap();
        assert_eq!(listen(place, &spoken, &commitment), Ok(content));
    }
}

#[test]
fn words_cannot_be_put_into_another_mouth_place_or_commitment() {
    let key = LeafKey::from_seed(&[3; 32]);
    let other = LeafKey::from_seed(&[4; 32]);
    let (log, elsewhere) = (LogId::new([4; 32]), LogId::new([5; 32]));
    let place = Place {
        log: &log,
        epoch: 5,
        author: key.id(),
    };
    let (spoken, commitment) = speak(place, &key, &said("x")).unwrap();
    assert_eq!(
        listen(
            Place {
                author: other.id(),
                ..place
            },
            &spoken,
            &commitment
        ),
        Err(Unproven)
    );
    assert_eq!(
        listen(Place { epoch: 6, ..place }, &spoken, &commitment),
        Err(Unproven)
    );
    assert_eq!(
        listen(
            Place {
                log: &elsewhere,
                ..place
            },
            &spoken,
            &commitment
        ),
        Err(Unproven)
    );
    assert_eq!(
        listen(place, &spoken, &Commitment::new([0; 32])),
        Err(Unproven)
    );
    let (forged, commitment) = speak(place, &other, &said("x")).unwrap();
    assert_eq!(listen(place, &forged, &commitment), Err(Unproven));
}

#[test]
fn a_name_is_short_and_plain() {
    assert!(name_is_fit("Ann 🌻"));
    assert!(!name_is_fit(" "));
    assert!(!name_is_fit("a\u{202e}b"));
    assert!(!name_is_fit("a\nb"));
    assert!(!name_is_fit(&"a".repeat(65)));
}
