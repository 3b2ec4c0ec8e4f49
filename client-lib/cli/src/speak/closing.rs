//! The end of a demo or a replay: the search through everything that lies about.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sotto_client::Link;

use super::cast::Cast;
use super::count::Counts;
use super::search::{Found, Haystack, Needles, Planted};
use crate::output::{Failure, Output};

/// What the clients log on the way, at every level; a search goes through it at the end.
const LOG_FILTER: &str = "sotto_client=trace,sotto_protocol=trace,sotto=trace";

/// Searches for what was said, while the relay runs and after it stopped.
pub(crate) struct Closing {
    needles: Arc<Needles>,
    haystack: Haystack,
    output: Output,
}

/// What a search gave.
pub(crate) struct Searched {
    found: Found,
    control_found: bool,
}

impl Closing {
    /// Makes everything ready that was spoken, every name, and the secrets of these links.
    pub(crate) fn new(
        cast: &Cast,
        links: &[Link],
        haystack: Haystack,
        output: &Output,
    ) -> Result<Self, Failure> {
        let said = cast.ledger.all();
        Self::of(
            said.iter().map(|said| said.text.as_str()),
            cast.people.iter().map(|person| person.name.as_str()),
            links,
            (haystack, output),
        )
    }

    /// The same for these sentences and names.
    pub(crate) fn of<'a>(
        sentences: impl Iterator<Item = &'a str>,
        names: impl Iterator<Item = &'a str>,
        links: &[Link],
        (haystack, output): (Haystack, &Output),
    ) -> Result<Self, Failure> {
        Ok(Self {
            needles: Arc::new(Needles::new(sentences, names, links)?),
            haystack,
            output: output.clone(),
        })
    }

    /// How many different sentences are looked for.
    pub(crate) fn sentences(&self) -> u64 {
        self.needles.sentences()
    }

    /// One pass. The control text is planted before and removed behind it.
    pub(crate) async fn search(&self, when: &'static str) -> Result<Searched, Failure> {
        let (needles, haystack) = (Arc::clone(&self.needles), self.haystack.clone());
        let searching = tokio::task::spawn_blocking(move || {
            let planted = Planted::plant(&needles, &haystack)?;
            let bar = bytes_bar(haystack.bytes()?);
            let found = haystack.search(&needles, &|read| bar.inc(read))?;
            bar.finish_and_clear();
            let control_found = planted.all_found(&found);
            Ok::<_, std::io::Error>(Searched {
                found,
                control_found,
            })
        });
        let searched = searching
            .await
            .map_err(|_| Failure::could_not_run("the search was broken off"))??;
        self.tell(when, &searched);
        Ok(searched)
    }

    fn tell(&self, when: &str, searched: &Searched) {
        let found = &searched.found;
        self.output.object(&json!({
            "type": "search", "when": when, "files": found.files, "bytes": found.bytes,
            "control_found": searched.control_found, "sentences_on_disk": found.sentences(),
            "names_on_disk": found.names(), "secrets_on_disk": found.secrets(),
        }));
        self.output.words(&format!(
            "  {when}: {} files, {:.1} MB: control text {}; sentences {}, names {}, link secrets {}",
            found.files,
            megabytes(found.bytes),
            if searched.control_found { "found" } else { "NOT FOUND" },
            found.sentences(),
            found.names(),
            found.secrets(),
        ));
    }
}

impl Searched {
    /// How much was found that should be nowhere.
    pub(crate) fn hits(&self) -> u64 {
        self.found.sentences() + self.found.names() + self.found.secrets()
    }

    /// Whether the search works.
    pub(crate) const fn control_found(&self) -> bool {
        self.control_found
    }

    /// Adds this search to the summary.
    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.control_found &= self.control_found;
        counts.sentences_on_disk = counts.sentences_on_disk.max(self.found.sentences());
        counts.names_on_disk = counts.names_on_disk.max(self.found.names());
        counts.secrets_on_disk = counts.secrets_on_disk.max(self.found.secrets());
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "shown with one digit behind the point"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn bytes_bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("  searching {bar:40} {bytes}/{total_bytes}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A bar on stderr that follows how much of so many lines was said; gone when the work is done.
pub(crate) async fn progress<T>(cast: &Cast, lines: usize, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new(u64::try_from(lines).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("  said {bar:40} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut pulse = cast.pulse();
    let following = async {
        while pulse.changed().await.is_ok() {
            bar.set_position(u64::try_from(cast.ledger.count()).unwrap_or(u64::MAX));
        }
        core::future::pending().await
    };
    let done = tokio::select! {
        done = work => done,
        never = following => never,
    };
    bar.finish_and_clear();
    done
}

/// From now on everything that this process logs goes into a file.
pub(crate) fn log_to_file(path: &Path) -> Result<(), Failure> {
    let file = Mutex::new(File::create(path)?);
    tracing_subscriber::fmt()
        .with_env_filter(LOG_FILTER)
        .with_writer(file)
        .with_ansi(false)
        .try_init()
        .map_err(|_| Failure::could_not_run("the log of the clients could not be caught"))
}
