//! `sotto desk card`: what a desk says of itself, how it stands now, and its address as a link, as a
//! QR code and as words for a poster.

use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use sotto_client::{BadWords, Card, Choice, DeskAddress, DeskState, DeskWords, NearWords};
use tokio::time::timeout;

use super::qr::Qr;
use crate::arguments::CardArgs;
use crate::device;
use crate::output::{Done, Failure, Output};

/// Reads a card and shows it.
pub(crate) async fn show(arguments: CardArgs, output: &Output) -> Result<Done, Failure> {
    // What was typed wrong is told before a folder is opened.
    let wanted = Wanted::of(&arguments)?;
    let client = device::open(&arguments.device).await?;
    let visiting = async {
        match &wanted {
            Wanted::Address(address) => client.visit(address).await,
            Wanted::Words(words, host) => client.visit_by_words(words, host).await,
        }
    };
    let visit = timeout(arguments.device.patience(), visiting).await;
    client.close().await;
    let visit = visit.map_err(|_| Failure::unreachable("the relay was not reached in time"))??;
    let (card, address, now_ms) = (visit.card(), visit.address(), now_ms());
    let qr = Qr::of(&address.to_string())?;
    if let Some(path) = &arguments.png {
        write_png(path, &qr)?;
    }
    output.object(&as_object(card, address, now_ms));
    output.words(&as_words(card, address, now_ms));
    if output.is_for_people() {
        output.words(&qr.for_terminal());
    }
    if let Some(path) = &arguments.png {
        let path = path.to_string_lossy();
        output.words(&format!("The code is a picture in {path}."));
    }
    let mut done = Done::new();
    done.insert("state".into(), json!(card.state(now_ms).name()));
    Ok(done)
}

/// Which desk is meant.
enum Wanted {
    Address(DeskAddress),
    Words(DeskWords, String),
}

impl Wanted {
    fn of(arguments: &CardArgs) -> Result<Self, Failure> {
        match (&arguments.address, &arguments.words, &arguments.host) {
            (Some(address), None, None) => Ok(Self::Address(address.parse().map_err(|_| {
                Failure::usage(
                    "this is not a complete address of a desk",
                    "Copy it again, from sotto-desk: to its last character",
                )
            })?)),
            (None, Some(words), Some(host)) => {
                let words = words.parse().map_err(|bad| not_words(&bad))?;
                Ok(Self::Words(words, host.clone()))
            }
            _ => Err(Failure::usage(
                "no desk is named",
                "Say --address ADDRESS, or --words \"EIGHT WORDS\" with --host HOST, as the poster \
                 has them",
            )),
        }
    }
}

fn not_words(bad: &BadWords) -> Failure {
    let named = |words: &[NearWords]| {
        let named = words.iter().map(|word| match word.near.first() {
            Some(near) => format!("word {} may be \"{near}\"", word.place),
            None => format!("word {} is none of the list", word.place),
        });
        named.collect::<Vec<_>>().join(", ")
    };
    let next = match bad {
        BadWords::Unknown(words) | BadWords::Mixed(words) if !words.is_empty() => named(words),
        _ => "Type the eight words again as the poster has them".to_owned(),
    };
    Failure::usage(bad.to_string(), next)
}

pub(super) fn now_ms() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person asks how the desk stands now"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn write_png(path: &Path, qr: &Qr) -> Result<(), Failure> {
    let picture = qr.png()?;
    std::fs::write(path, picture).map_err(|error| {
        Failure::usage(
            format!("the picture cannot be written: {error}"),
            "Name another file with --png",
        )
    })
}

fn choices(state: DeskState) -> Vec<&'static str> {
    let name = |choice: &Choice| match choice {
        Choice::Ask => "ask",
        Choice::Letter => "letter",
        Choice::OtherDesk => "other_desk",
        Choice::Resources => "resources",
        _ => "other",
    };
    state.choices().iter().map(name).collect()
}

fn as_object(card: &Card, address: &DeskAddress, now_ms: u64) -> Value {
    let (hours, state) = (card.hours(), card.state(now_ms));
    let texts = |all: Vec<String>| json!(all);
    let resources: Vec<_> = card
        .resources()
        .iter()
        .map(|one| json!({"name": one.name, "how": one.how}))
        .collect();
    let (until_ms, opens_ms) = match state {
        DeskState::Open { until_ms } => (until_ms, None),
        DeskState::EndsSoon { until_ms } => (Some(until_ms), None),
        DeskState::Closed { opens_ms } => (None, opens_ms),
        _ => (None, None),
    };
    json!({
        "type": "card",
        "name": card.name(),
        "number": card.number(),
        "state": state.name(),
        "says": card.says(state, now_ms),
        "until_ms": until_ms,
        "opens_ms": opens_ms,
        "choices": choices(state),
        "topics": card.topics(),
        "languages": card.languages(),
        "been_there": card.been_there(),
        "zone": hours.zone_name(),
        "weekly": texts(hours.slots().iter().map(ToString::to_string).collect()),
        "closed": texts(hours.closed().iter().map(ToString::to_string).collect()),
        "extra": texts(hours.openings().iter().map(ToString::to_string).collect()),
        "capacity": card.capacity(),
        "chats_each": card.chats_each(),
        "minutes": card.minutes(),
        "confidentiality": {
            "version": card.confidentiality().version,
            "words": card.confidentiality().words,
        },
        "resources": resources,
        "address": address.to_string(),
        "words": address.words().to_string(),
        "host": address.relay().url(),
    })
}

fn as_words(card: &Card, address: &DeskAddress, now_ms: u64) -> String {
    let state = card.state(now_ms);
    let mut text = format!("{}: {}\n", card.name(), card.says(state, now_ms));
    list(&mut text, "topics", card.topics());
    list(&mut text, "languages", card.languages());
    list(&mut text, "been there", card.been_there());
    opening_hours(&mut text, card);
    if let Some(minutes) = card.minutes() {
        line(
            &mut text,
            "a chat takes",
            &format!("{minutes} minutes at most"),
        );
    }
    let terms = card.confidentiality();
    let _ = write!(text, "\nConfidentiality (version {}):\n", terms.version);
    for words in terms.words.lines() {
        let _ = writeln!(text, "  {words}");
    }
    if !card.resources().is_empty() {
        text.push_str("\nIn a crisis, also without this desk:\n");
        for one in card.resources() {
            let _ = writeln!(text, "  {}: {}", one.name, one.how);
        }
    }
    let _ = write!(
        text,
        "\nThe desk's address, for everybody:\n\n{address}\n\nOn a poster, with {}:\n\n    {}\n",
        address.relay().url(),
        address.words(),
    );
    text
}

fn opening_hours(text: &mut String, card: &Card) {
    let hours = card.hours();
    let slots: Vec<_> = hours.slots().iter().map(ToString::to_string).collect();
    let closed: Vec<_> = hours.closed().iter().map(ToString::to_string).collect();
    let extra: Vec<_> = hours.openings().iter().map(ToString::to_string).collect();
    list(text, &format!("open ({})", hours.zone_name()), &slots);
    list(text, "but not on", &closed);
    list(text, "also on", &extra);
}

fn list(text: &mut String, what: &str, all: &[String]) {
    if !all.is_empty() {
        line(text, what, &all.join(", "));
    }
}

fn line(text: &mut String, what: &str, said: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "  {what}: {said}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30, a Monday, 18:00 at Greenwich.
    const EVENING: u64 = (20_787 * 24 + 18) * 3_600_000;

    /// The card and the address of the golden vectors.
    fn both() -> (Card, DeskAddress) {
        let text = include_str!("../../../../protocol/vectors/desk.json");
        let all: Vec<Value> = serde_json::from_str(text).unwrap();
        let named = |name: &str| all.iter().find(|one| one["name"] == name).unwrap();
        let card = hex::decode(named("card")["hex"].as_str().unwrap()).unwrap();
        let card = sotto_protocol::cbor::decode(&card).unwrap();
        (
            card,
            named("address")["text"].as_str().unwrap().parse().unwrap(),
        )
    }

    #[test]
    fn everything_that_a_card_says_is_shown_to_people_and_to_programs() {
        let (card, address) = both();
        let words = as_words(&card, &address, EVENING);
        for said in [
            "Night line: open; ends at 22:00 (Europe/Berlin)",
            "topics: grief, bullying",
            "languages: de, en",
            "been there: lost a brother",
            "open (Europe/Berlin): mon 18:00-22:00, sat 22:00-02:00",
            "but not on: 2026-12-28",
            "also on: 2026-12-24 10:00-12:00",
            "45 minutes at most",
            "  Unless a life is in danger.",
            "Emergency: 112",
            &address.to_string(),
            &address.words().to_string(),
            "wss://relay.example/",
        ] {
            assert!(words.contains(said), "{said} is not in {words}");
        }
        let object = as_object(&card, &address, EVENING);
        assert_eq!(object["state"], "open");
        assert_eq!(object["until_ms"], EVENING + 3 * 3_600_000);
        assert_eq!(object["choices"][0], "ask");
        assert_eq!(object["weekly"][1], "sat 22:00-02:00");
        assert_eq!(object["minutes"], 45);
        assert_eq!(object["resources"][0]["how"], "112");
        assert_eq!(object["words"], address.words().to_string());
    }

    #[test]
    fn a_closed_desk_says_when_it_opens_and_what_one_can_do() {
        let (card, address) = both();
        let object = as_object(&card, &address, EVENING + 4 * 3_600_000);
        assert_eq!(object["state"], "closed");
        assert_eq!(
            object["says"],
            "closed; opens on Saturday at 22:00 (Europe/Berlin)"
        );
        assert_eq!(
            object["choices"],
            json!(["letter", "other_desk", "resources"])
        );
        assert_eq!(object["until_ms"], Value::Null);
    }

    #[test]
    fn a_desk_is_named_by_its_address_or_by_words_and_a_host() {
        let (_, address) = both();
        let named = |address: Option<&str>, words: Option<&str>, host: Option<&str>| {
            use clap::Parser;
            let mut line = vec!["sotto", "desk", "card"];
            for (option, value) in [("--address", address), ("--words", words), ("--host", host)] {
                if let Some(value) = value {
                    line.extend([option, value]);
                }
            }
            let cli = crate::arguments::Cli::try_parse_from(line).unwrap();
            let crate::arguments::Command::Desk { command } = cli.command else {
                panic!("a desk")
            };
            let crate::arguments::DeskCommand::Card(arguments) = command else {
                panic!("a card")
            };
            Wanted::of(&arguments)
                .map(drop)
                .map_err(|no| no.to_string())
        };
        let (text, words) = (address.to_string(), address.words().to_string());
        let host = Some("relay.example");
        assert_eq!(named(Some(&text), None, None), Ok(()));
        assert_eq!(named(None, Some(&words), host), Ok(()));
        assert!(named(None, None, None).is_err());
        assert!(named(Some("sotto-desk:1:AA"), None, None).is_err());
        let first = words.split(' ').next().unwrap();
        let slip = words.replacen(first, &format!("{first}x"), 1);
        let refused = named(None, Some(&slip), host).unwrap_err();
        assert!(
            refused.contains(&format!("word 1 may be \"{first}\"")),
            "{refused}"
        );
    }
}
