//! Attachments at the terminal: `/attach` and `/save`, and how far they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sotto_client::{Attachment, Conversation, MessageId, NewAttachment, Transfer};

use crate::output::Output;
use crate::screen::shown;

/// Media types by the end of a name; what is not here is bytes.
const TYPES: [(&str, &str); 10] = [
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("m4a", "audio/mp4"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg; codecs=opus"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain; charset=utf-8"),
    ("wav", "audio/wav"),
];

/// A file being written; what became of it, in words.
type Saving = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// The attachments that were seen, by number, and what is on its way.
#[derive(Default)]
pub(crate) struct Attachments {
    seen: Vec<(MessageId, String)>,
    bars: BTreeMap<MessageId, ProgressBar>,
    saving: Option<Saving>,
}

impl Attachments {
    /// What to show of a message's attachment, and its number for `/save`.
    pub(crate) fn note(&mut self, id: MessageId, attachment: &Attachment) -> (usize, String) {
        let known = self.seen.iter().position(|(seen, _)| *seen == id);
        let at = known.unwrap_or_else(|| {
            self.seen.push((id, attachment.name.clone()));
            self.seen.len() - 1
        });
        let number = at + 1;
        let words = format!(
            "[{} ({}, {} bytes): /save {number} PATH]",
            shown(&attachment.name),
            shown(&attachment.media_type),
            attachment.bytes
        );
        (number, words)
    }

    /// Begins to save the attachment with this number; one at a time.
    pub(crate) fn save(&mut self, conversation: &Conversation, rest: &str) -> Result<(), String> {
        if self.saving.is_some() {
            return Err("Another one is being saved.".to_owned());
        }
        let (number, path) = rest.split_once(' ').unwrap_or((rest, ""));
        let chosen = number.parse::<usize>().ok();
        let (id, name) = chosen
            .and_then(|number| self.seen.get(number.checked_sub(1)?))
            .ok_or("Which? Say /save with the number that stands beside it.")?
            .clone();
        // An attachment's name is one part of a path, so this is a file in this folder.
        let path = PathBuf::from(if path.trim().is_empty() {
            &name
        } else {
            path.trim()
        });
        let conversation = conversation.clone();
        self.saving = Some(Box::pin(
            async move { save(&conversation, id, &path).await },
        ));
        Ok(())
    }

    /// What became of the file that is being written; waits for ever if none is. Cancel safe.
    pub(crate) async fn saved(&mut self) -> Result<String, String> {
        let outcome = match &mut self.saving {
            Some(saving) => saving.await,
            None => core::future::pending().await,
        };
        self.saving = None;
        outcome
    }

    /// How a transfer fares: a bar for people, a line for programs.
    pub(crate) fn told(&mut self, id: MessageId, transfer: Transfer, output: &Output) {
        let (state, progress) = match transfer {
            Transfer::Sending { done, of } => ("sending", Some((done, of))),
            Transfer::Fetching { done, of } => ("fetching", Some((done, of))),
            Transfer::Here => ("here", None),
            _ => ("failed", None),
        };
        let number = self.seen.iter().position(|(seen, _)| *seen == id);
        let number: Value = number.map_or(Value::Null, |at| json!(at + 1));
        let (done, of) = progress.unzip();
        output.object(&json!({
            "type": "attachment", "state": state, "number": number, "done": done, "of": of,
        }));
        match progress {
            Some((done, of)) if done < of && output.is_for_people() => {
                let bar = self.bars.entry(id).or_insert_with(|| bar(of));
                bar.set_position(done.into());
            }
            _ => self.end(id),
        }
    }

    fn end(&mut self, id: MessageId) {
        if let Some(bar) = self.bars.remove(&id) {
            bar.finish_and_clear();
        }
    }
}

/// Takes a file in, with what is said of it behind two dashes.
pub(crate) async fn attach(conversation: &Conversation, what: &str) -> Result<MessageId, String> {
    let (path, text) = what.split_once(" -- ").unwrap_or((what, ""));
    let path = Path::new(path.trim_end());
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or("Which file? Say /attach with its path.")?;
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|error| format!("not attached: {error}"))?;
    let text = text.trim().to_owned();
    if text.is_empty() && media_type(name).starts_with("image/") {
        return Err(
            "What does the picture show? Not everybody here may see it: /attach FILE -- WORDS"
                .into(),
        );
    }
    let what = NewAttachment {
        text,
        ..NewAttachment::new(name, media_type(name))
    };
    conversation
        .attach(what, file)
        .await
        .map_err(|error| format!("not attached: {error}"))
}

async fn save(conversation: &Conversation, id: MessageId, path: &Path) -> Result<String, String> {
    let mut options = tokio::fs::File::options();
    // What is there already is not overwritten.
    let file = options.write(true).create_new(true).open(path).await;
    let mut file = file.map_err(|error| format!("not saved: {error}"))?;
    match conversation.fetch(id, &mut file).await {
        Ok(bytes) => Ok(format!("saved: {bytes} bytes in {}", path.display())),
        Err(error) => {
            drop(file);
            let left = tokio::fs::remove_file(path).await.err();
            let left = left.map_or_else(String::new, |_| "; an unfinished file is left".into());
            Err(format!("not saved: {error}{left}"))
        }
    }
}

fn media_type(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_lowercase());
    let known = TYPES.iter().find(|(of, _)| end.as_deref() == Some(of));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

fn bar(parts: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:40} {percent:>3} %");
    ProgressBar::new(parts.into())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_ends_in() {
        assert_eq!(media_type("note.OGG"), "audio/ogg");
        assert_eq!(media_type("a.b.png"), "image/png");
        assert_eq!(media_type("ogg"), "application/octet-stream");
    }
}
