//! `sotto desk stats`: what a funder is told.

use serde_json::{Value, json};
use sotto_client::{Conversation, Count, DeskDate, DeskNumbers, Division, Period};

use super::arguments::StatsArgs;
use crate::chat;
use crate::device;
use crate::output::{Done, Failure, Output};

pub(crate) async fn run(arguments: StatsArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let asked = async {
        let room = team(&client, arguments.room, output).await?;
        let by = arguments.by.map(Division::from);
        Ok::<_, Failure>(room.numbers(by).await?)
    };
    let numbers = asked.await;
    client.close().await;
    show(&numbers?, output);
    Ok(Done::new())
}

/// The team's room with this number, or the only one.
pub(super) async fn team(
    client: &sotto_client::Client,
    number: Option<usize>,
    output: &Output,
) -> Result<Conversation, Failure> {
    if number.is_some() {
        return chat::choose(client, number, output).await;
    }
    chat::team_of(client).await?.ok_or_else(|| {
        Failure::usage(
            "no room of this device is the team of a desk",
            "Say it on the device that `sotto desk new` was said on",
        )
    })
}

fn show(numbers: &DeskNumbers, output: &Output) {
    for period in &numbers.periods {
        output.object(&as_json(period));
        for line in lines(period) {
            output.words(&line);
        }
    }
    let until = numbers.open_until.map(date);
    output.object(&json!({"type": "open", "by": by(numbers.by), "until": until}));
    let until = until.unwrap_or_else(|| "a day that is known once the relay is reached".into());
    output.words(&format!(
        "The {} that is not over ends on {until}; its numbers are told then. There are no totals: with \
         one, what is fewer than 5 could be told.",
        by(numbers.by)
    ));
}

const fn by(division: Division) -> &'static str {
    match division {
        Division::Day => "day",
        Division::Week => "week",
        Division::Month => "month",
    }
}

/// As people write a day.
pub(super) fn date(day: u32) -> String {
    DeskDate::of_days(day).map_or_else(String::new, |date| date.to_string())
}

/// A number, or up to four fewer than there were, or that it is fewer than five.
fn shown(count: Count) -> Value {
    count
        .number()
        .map_or_else(|| json!(count.to_string()), |number| json!(number))
}

fn as_json(period: &Period) -> Value {
    let helped = period.helped;
    let again = period.again.map(|again| {
        json!({"yes": shown(again.yes), "maybe": shown(again.maybe), "no": shown(again.no)})
    });
    json!({
        "type": "period",
        "from": date(period.from),
        "until": date(period.until),
        "answered": shown(period.answered),
        "letters": shown(period.letters),
        "left": shown(period.left),
        "calls": shown(period.calls),
        "helped": {
            "yes": shown(helped.yes), "partly": shown(helped.partly), "no": shown(helped.no),
        },
        "again": again,
        "early": period.early.map(shown),
    })
}

fn lines(period: &Period) -> Vec<String> {
    let Period {
        answered,
        letters,
        left,
        calls,
        helped,
        ..
    } = period;
    let mut lines = vec![
        if period.from == period.until {
            date(period.from)
        } else {
            format!("{} to {}", date(period.from), date(period.until))
        },
        format!(
            "  answered: {answered}; letters answered: {letters}; left before an answer: {left}"
        ),
        format!("  called into chats: {calls}"),
        format!(
            "  it helped: {}; partly: {}; not: {}",
            helped.yes, helped.partly, helped.no
        ),
    ];
    if let Some(again) = period.again {
        lines.push(format!(
            "  would come again: {}; maybe: {}; not: {}",
            again.yes, again.maybe, again.no
        ));
    }
    if let Some(early) = period.early {
        lines.push(format!("  of them left early: {early}"));
    }
    lines
}
