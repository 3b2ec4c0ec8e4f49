//! `sotto badge`: an organisation vouches for who supports, one conversation at a time.
//!
//! What goes from one to the other is a file of one line, which may be mailed.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sotto_client::{
    Badge, BadgeAttributes, BadgeBatch, BadgeList, BadgeRequests, BadgeState, Command,
    Conversation, Event, Issued, NotIssued, OrganisationKey, RevokedList, week_end,
};
use tokio::time::timeout;

use crate::arguments::{
    BadgeCheckArgs, BadgeImportArgs, BadgeIssueArgs, BadgeRequestArgs, BadgeRevokeArgs,
    BadgeShowArgs,
};
use crate::chat::{choose, name_of};
use crate::device;
use crate::output::{Done, Failure, Output};
use crate::said::of_a_badge;

/// A file is read so far and no further: twice the longest of these texts.
const FILE_BYTES_MAX: u64 = 400_000;
/// A batch that is issued late in a week would be of little use in that week.
const DAYS_AT_LEAST: u32 = 3;
/// Nothing more comes if nothing came for so long on a line that stands.
const QUIET: Duration = Duration::from_secs(2);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Makes keys on this device, and a file that asks for badges for them.
pub(crate) async fn request(arguments: BadgeRequestArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let requests = client.ask_for_badges(arguments.count.into()).await;
    client.close().await;
    let requests = requests?;
    write(&arguments.file, &requests.to_string())?;
    let count = requests.keys().len();
    output.words(&format!(
        "{count} badges are asked for in {}. Give the file to the organisation; it holds no secret.",
        arguments.file.display()
    ));
    Ok(count_of("asked", count))
}

/// Signs a badge for each key that was asked for.
pub(crate) fn issue(arguments: &BadgeIssueArgs, output: &Output) -> Result<Done, Failure> {
    let requests: BadgeRequests = read(&arguments.requests)?;
    let list = list_of(&text_of(&arguments.list)?)?;
    let key = match &arguments.organisation {
        path if arguments.new_organisation => new_key(path)?,
        path => read(path)?,
    };
    let of = BadgeAttributes {
        role: arguments.role.clone(),
        training: arguments.training.clone(),
        languages: arguments.language.clone(),
        been_there: arguments.been_there.clone(),
    };
    let now_ms = now_ms();
    let today = u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX);
    let day = week_end(today.saturating_add(DAYS_AT_LEAST));
    let batch = requests
        .issue(&key, &of, &list, (day, now_ms))
        .map_err(not_issued)?;
    write(&arguments.badges, &batch.to_string())?;
    let (organisation, count) = (key.id().to_string(), batch.issued().count());
    output.object(&json!({"type": "organisation", "organisation": organisation}));
    output.words(&format!(
        "{count} badges are in {}. Give it to who asked, and keep a copy: without it they cannot be \
         taken back.\nThe organisation, for all who shall believe them:\n\n{organisation}\n",
        arguments.badges.display()
    ));
    Ok(count_of("issued", count))
}

/// Takes in what the organisation issued.
pub(crate) async fn import(arguments: BadgeImportArgs, output: &Output) -> Result<Done, Failure> {
    let batch: BadgeBatch = read(&arguments.badges)?;
    let client = device::open(&arguments.device).await?;
    let imported = client.import_badges(&batch).await;
    let kept = client.badges().await;
    client.close().await;
    let imported = imported?;
    if imported == 0 {
        return Err(Failure::usage(
            "none of these badges was asked for on this device, or they are here already",
            "See that it is the answer to this device's file",
        ));
    }
    output.words(&format!(
        "{imported} badges came in; {} are here now.",
        kept.held
    ));
    let mut done = count_of("imported", imported);
    done.insert("held".into(), json!(kept.held));
    Ok(done)
}

/// Shows a badge in a conversation.
pub(crate) async fn show(arguments: BadgeShowArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let conversation = choose(&client, arguments.number, output).await?;
    conversation
        .command(Command::Trust(arguments.organisation))
        .await?;
    let shown = client
        .show_badge(&conversation, &arguments.organisation)
        .await;
    if let Err(error) = shown {
        client.close().await;
        return Err(error.into());
    }
    // Without a line it is shown with the next `sotto chat`.
    let is_seen = async {
        loop {
            let members = conversation.members().await?;
            if members.iter().any(|one| one.is_me && one.badge.is_some()) {
                return Ok::<_, Failure>(());
            }
            if conversation.next_event().await.is_none() {
                return Ok(());
            }
        }
    };
    let seen = timeout(arguments.device.patience(), is_seen).await;
    let kept = client.badges().await;
    client.close().await;
    let is_shown = seen.is_ok();
    let words = match seen {
        Ok(outcome) => {
            outcome?;
            "The badge is shown to all who are here, and to whoever comes later."
        }
        Err(_) => "The badge is shown once the relay is reached: with the next `sotto chat`.",
    };
    output.words(words);
    let mut done = Done::new();
    done.insert("shown".into(), json!(is_shown));
    done.insert("held".into(), json!(kept.held));
    Ok(done)
}

/// Believes an organisation in a conversation, hears what it took back, and shows all badges.
pub(crate) async fn check(arguments: BadgeCheckArgs, output: &Output) -> Result<Done, Failure> {
    let revoked: Option<RevokedList> = arguments.revoked.as_deref().map(read).transpose()?;
    let client = device::open(&arguments.device).await?;
    let conversation = choose(&client, arguments.number, output).await?;
    conversation
        .command(Command::Trust(arguments.organisation))
        .await?;
    if let Some(list) = revoked {
        conversation
            .command(Command::HearRevoked(Box::new(list)))
            .await?;
    }
    // What others showed comes with the line.
    let caught_up = timeout(arguments.device.patience(), catch_up(&conversation)).await;
    let members = conversation.members().await?;
    client.close().await;
    if caught_up.is_err() {
        output.note("The relay is not reached; this is what was known before.");
    }
    let mut count = 0_usize;
    for member in &members {
        let Some(badge) = &member.badge else { continue };
        count += 1;
        let name = name_of(member);
        let mut line = as_object(badge);
        if let Some(line) = line.as_object_mut() {
            line.insert("type".into(), json!("badge"));
            line.insert("name".into(), json!(name));
            line.insert("mine".into(), json!(member.is_me));
        }
        output.object(&line);
        output.words(&format!("{name}: {}", of_a_badge(badge)));
    }
    if count == 0 {
        output.words("Nobody here has shown a badge of this organisation.");
    }
    Ok(count_of("badges", count))
}

/// Reads what was said meanwhile, until nothing more comes for a moment.
async fn catch_up(conversation: &Conversation) {
    let mut is_online = false;
    loop {
        match timeout(QUIET, conversation.next_event()).await {
            Ok(Some(Event::Online(online))) => is_online = online,
            Ok(Some(_)) => {}
            Err(_) if !is_online => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// Writes the next list of what the organisation took back.
pub(crate) fn revoke(arguments: &BadgeRevokeArgs, output: &Output) -> Result<Done, Failure> {
    let key: OrganisationKey = read(&arguments.organisation)?;
    let last: Option<RevokedList> = match arguments.list.exists() {
        true => Some(read(&arguments.list)?),
        false => None,
    };
    if last
        .as_ref()
        .is_some_and(|last| !last.is_signed_by(&key.id()))
    {
        return Err(Failure::usage(
            "this list is another organisation's",
            "Name the list of this one, or a file that is not there yet",
        ));
    }
    let mut more: Vec<Issued> = Vec::new();
    for path in &arguments.badges {
        more.extend(read::<BadgeBatch>(path)?.issued());
    }
    let list = RevokedList::next(&key, last.as_ref(), more, now_ms()).map_err(not_issued)?;
    write(&arguments.list, &list.to_string())?;
    output.words(&format!(
        "{} badges are on the list in {}. Bring it to those who talk with your supporters at least \
         once a day, also if nothing is new: who hears nothing for longer cannot check.",
        list.count(),
        arguments.list.display()
    ));
    Ok(count_of("revoked", list.count()))
}

/// A badge for programs.
pub(crate) fn as_object(badge: &Badge) -> Value {
    let of = &badge.attributes;
    json!({
        "state": word_of(badge.state), "role": of.role, "training": of.training,
        "languages": of.languages, "been_there": of.been_there,
    })
}

const fn word_of(state: BadgeState) -> &'static str {
    match state {
        BadgeState::Valid => "valid",
        BadgeState::Expired => "expired",
        BadgeState::Revoked => "taken_back",
        _ => "cannot_be_checked",
    }
}

/// What badges may say, a line each: `role listener`, `training …`, `language en`, `been-there …`.
fn list_of(text: &str) -> Result<BadgeList, Failure> {
    let mut list = BadgeList::default();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (kind, what) = line.split_once(' ').unwrap_or((line, ""));
        let into = match kind {
            "role" => &mut list.roles,
            "training" => &mut list.training,
            "language" => &mut list.languages,
            "been-there" => &mut list.been_there,
            _ => {
                return Err(Failure::usage(
                    "a line of the list is of no kind that a badge has",
                    "Begin each with role, training, language or been-there",
                ));
            }
        };
        into.push(what.trim().to_owned());
    }
    Ok(list)
}

fn not_issued(error: NotIssued) -> Failure {
    Failure::usage(error.to_string(), "Change what was given, or the list")
}

fn count_of(name: &str, count: usize) -> Done {
    let mut done = Done::new();
    done.insert(name.into(), json!(count));
    done
}

#[expect(
    clippy::disallowed_methods,
    reason = "what an organisation signs is of its own clock"
)]
fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let unread = |error: &std::io::Error| {
        Failure::usage(
            format!("{} cannot be read: {error}", path.display()),
            "Name a file that is there",
        )
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| unread(&error))?;
    let mut some = file.take(FILE_BYTES_MAX);
    some.read_to_string(&mut text)
        .map_err(|error| unread(&error))?;
    Ok(text)
}

fn read<T: FromStr>(path: &Path) -> Result<T, Failure> {
    text_of(path)?.parse().map_err(|_| {
        Failure::usage(
            format!(
                "{} is not the file that belongs here, or not whole",
                path.display()
            ),
            "See which file goes where with `sotto badge --help`",
        )
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(fs::write(path, format!("{text}\n"))?)
}

/// A fresh key in a file of its own, which must not be there yet.
fn new_key(path: &PathBuf) -> Result<OrganisationKey, Failure> {
    let key = OrganisationKey::random()?;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key.secret_text().as_bytes())?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_what_a_badge_may_say_and_nothing_else() {
        let list =
            list_of("# of 2026\nrole listener\n\nlanguage en\nbeen-there lost a child\n").unwrap();
        assert_eq!(
            (list.roles, list.languages),
            (vec!["listener".into()], vec!["en".into()])
        );
        assert_eq!(list.been_there, ["lost a child"]);
        assert!(list_of("name Ann").is_err());
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = new_key(&path).unwrap();
        assert_eq!(read::<OrganisationKey>(&path).unwrap().id(), key.id());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(new_key(&path).is_err());
    }
}
