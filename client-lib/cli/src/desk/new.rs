//! `sotto desk new`: a team's room, and the desk that is run from it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use sotto_client::error::ErrorKind;
use sotto_client::{
    Admission, BadHours, Confidentiality, DeskPlan, Event, Hours, OrganisationKey, Resource,
    RoomOptions, Suite,
};
use tokio::time::timeout;

use crate::arguments::DeskNewArgs;
use crate::chat;
use crate::device;
use crate::output::{Done, Failure, Output};

/// Days for which a card is believed.
const CARD_DAYS: u16 = 90;

/// Founds the room and the desk, and prints both addresses.
pub(crate) async fn run(arguments: DeskNewArgs, output: &Output) -> Result<Done, Failure> {
    let plan = plan_of(&arguments)?;
    let organisation = organisation(&arguments.organisation)?;
    let mut options = RoomOptions::new(arguments.relay.clone(), arguments.name.clone());
    options.admission = Admission::Approval;
    if arguments.classic {
        options.suite = Suite::Classic;
    }
    let client = device::open(&arguments.device).await?;
    let team = client.found(options).await?;
    device::until_in(&team, arguments.device.patience()).await?;
    team.found_desk(organisation, plan).await?;
    let standing = async {
        while let Some(event) = team.next_event().await {
            match event {
                Event::DeskReady => return Ok(()),
                Event::DeskRefused => return Err(taken()),
                event => {
                    if let Some(words) = chat::words_of(&event) {
                        output.note(words);
                    }
                }
            }
        }
        Ok(())
    };
    timeout(arguments.device.patience(), standing)
        .await
        .map_err(|_| {
            Failure::unreachable("the desk's card did not reach the relay in time").then(
                "The desk is kept here, and its card goes out with the next `sotto desk duty`",
            )
        })??;
    let address = team
        .desk_address()
        .await?
        .ok_or_else(|| Failure::could_not_run("the desk has no address"))?;
    let link = team
        .link()
        .await?
        .ok_or_else(|| Failure::could_not_run("the team's room has no link"))?;
    client.close().await;
    let (words, address) = (address.words().to_string(), address.to_string());
    output.object(&json!({
        "type": "desk", "address": address, "words": words, "team": link.to_string(),
    }));
    output.words(&format!(
        "The desk stands. Whoever has this address can ask; put it where people look for help:\n\n\
         {address}\n\nOn paper these words and the relay's name say the same:\n\n{words}\n"
    ));
    output.words(&format!(
        "Supporters knock with this link, and you let them in with /admit in `sotto chat`. Whoever \
         is in the team can read what seekers write to the desk:\n\n{link}\n"
    ));
    output.words(&format!(
        "{} holds the organisation's key. Keep a copy where nobody else reads it.",
        arguments.organisation.display()
    ));
    let duty = arguments.device.command("desk duty");
    output.words(&format!(
        "Come on duty with: {duty} --name {}",
        arguments.name
    ));
    Ok(Done::new())
}

/// The card's log is there, and not ours.
fn taken() -> Failure {
    let what = "this desk stands on the relay already, and is run from another device";
    Failure::from(sotto_client::Error::new(ErrorKind::Refused, what))
        .then("Say another --number, or another organisation's key")
}

/// Open on every day, all day.
pub(crate) fn always(zone: &str) -> Result<Hours, BadHours> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    days.into_iter().try_fold(Hours::new(zone)?, |hours, day| {
        hours.weekly(format!("{day} 00:00-24:00").parse()?)
    })
}

fn plan_of(arguments: &DeskNewArgs) -> Result<DeskPlan, Failure> {
    let not_hours = |bad: BadHours| {
        Failure::usage(
            bad.to_string(),
            "Say --zone Europe/Berlin, and --hours \"mon 18:00-22:00\" for each slot of a week",
        )
    };
    let mut hours = if arguments.hours.is_empty() {
        always(&arguments.zone)
    } else {
        Hours::new(&arguments.zone)
    }
    .map_err(not_hours)?;
    for slot in &arguments.hours {
        hours = hours
            .weekly(slot.parse().map_err(not_hours)?)
            .map_err(not_hours)?;
    }
    let resources = arguments.resource.iter().map(|text| {
        let (name, how) = text.split_once('=').ok_or_else(|| {
            Failure::usage(
                "a resource has a name and a way to reach it",
                "Say --resource \"Crisis line=116 123\"",
            )
        })?;
        Ok(Resource {
            how: how.trim().to_owned(),
            name: name.trim().to_owned(),
        })
    });
    Ok(DeskPlan {
        desk: arguments.number,
        name: arguments.desk.clone(),
        topics: arguments.topic.clone(),
        languages: arguments.language.clone(),
        been_there: arguments.been_there.clone(),
        hours,
        capacity: arguments.capacity,
        chats_each: arguments.chats_each,
        minutes: arguments.minutes,
        confidentiality: Confidentiality {
            words: arguments.confidentiality.clone(),
            version: 1,
        },
        resources: resources.collect::<Result<_, Failure>>()?,
        days: CARD_DAYS,
    })
}

/// The organisation's key from its file, or a new one in a new file, for its owner only.
fn organisation(path: &Path) -> Result<OrganisationKey, Failure> {
    if path.exists() {
        let text = std::fs::read_to_string(path)?;
        return text.parse().map_err(|_| {
            Failure::usage(
                "this file holds no organisation's key",
                "Name another one with --organisation; a new file gets a new key",
            )
        });
    }
    let organisation = OrganisationKey::random()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(organisation.secret_text().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(organisation)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_organisations_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("organisation");
        let made = organisation(&path).unwrap();
        let again = organisation(&path).unwrap();
        assert_eq!(again.secret_text(), made.secret_text());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "nothing").unwrap();
        assert!(organisation(&path).is_err());
    }
}
