//! One visit to a relay for one log, on a connection of its own that ends with it: what a backup and
//! a desk's card need. Conversations have drivers instead.

use sotto_protocol::frame::{Answer, Entry, Lane, Opened, Page, Read};
use sotto_protocol::id::{LogId, RelayIdentity};
use tokio::time::sleep_until;
use x25519_dalek::StaticSecret;

use super::clock::Clock;
use super::on_disk;
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;
use crate::log::{Ask, Denied, Session, SessionEvent};
use crate::transport::{Dial, Line};

/// Tries of a proof of work between two looks at whether the visit goes on.
const WORK_TRIES: u32 = 1 << 20;
/// Entries of one page; as many as a relay gives.
const PAGE: u32 = 1_024;
/// Entries read at most: more than a log of its size holds.
const ENTRIES_MAX: usize = 4_096;

pub(super) struct Errand {
    line: Box<dyn Line>,
    session: Session,
    clock: Clock,
}

/// What the relay refused, and may have done before all the same.
pub(super) type Outcome = core::result::Result<Answer<'static>, Denied>;

impl Errand {
    /// Connects. Dropping it hangs up.
    pub(super) async fn begin(dialer: &dyn Dial, clock: &Clock, to: &RelayAddress) -> Result<Self> {
        Self::with(Session::new(*to.identity()), dialer, clock, to).await
    }

    /// Connects to whatever relay answers at a URL (for `wss://` TLS vouches for its host). Whoever
    /// does this must check [`Errand::relay`] by what they read.
    pub(super) async fn begin_anywhere(
        dialer: &dyn Dial,
        clock: &Clock,
        url: String,
    ) -> Result<Self> {
        let session = Session::learning();
        let identity = session.identity();
        let to = RelayAddress { url, identity };
        Self::with(session, dialer, clock, &to).await
    }

    async fn with(
        mut session: Session,
        dialer: &dyn Dial,
        clock: &Clock,
        to: &RelayAddress,
    ) -> Result<Self> {
        let line = dialer.dial(to).await?;
        session.connected(clock.now());
        Ok(Self {
            line,
            session,
            clock: clock.clone(),
        })
    }

    /// The identity of the relay that answered, once it did.
    pub(super) const fn relay(&self) -> RelayIdentity {
        self.session.identity()
    }

    /// Today, by the relay once it has greeted.
    pub(super) fn today(&self) -> u32 {
        self.session.today(self.clock.now())
    }

    async fn event(&mut self) -> Result<SessionEvent> {
        loop {
            while let Some(message) = self.session.poll_output() {
                self.line.send(message).await?;
            }
            match self.session.poll_event() {
                Some(SessionEvent::WorkNeeded(mut order)) => loop {
                    let tried = on_disk(move || Ok(order.run_some(WORK_TRIES))).await?;
                    match tried {
                        Ok(done) => {
                            self.session.worked(&done);
                            break;
                        }
                        Err(rest) => order = rest,
                    }
                },
                Some(event) => return Ok(event),
                None => self.wait().await?,
            }
        }
    }

    async fn wait(&mut self) -> Result<()> {
        // Outputs that follow from what was just done come first.
        if let Some(message) = self.session.poll_output() {
            return self.line.send(message).await;
        }
        let due = self
            .session
            .next_deadline()
            .map(|at| self.clock.instant(at));
        let due = async {
            match due {
                Some(at) => sleep_until(at).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            received = self.line.receive() => {
                let gone = || Error::new(ErrorKind::Unreachable, "the relay hung up");
                let message = received?.ok_or_else(gone)?;
                self.session.received(&message, self.clock.now())?;
            }
            () = due => self.session.tick(self.clock.now())?,
        }
        Ok(())
    }

    /// Opens a log, or hears that this key opens nothing.
    pub(super) async fn open(&mut self, log: LogId, key: StaticSecret) -> Result<Option<Opened>> {
        self.session.open(log, vec![key]);
        loop {
            match self.event().await? {
                SessionEvent::Opened { opened, .. } => return Ok(Some(opened)),
                SessionEvent::OpenRefused { .. } => return Ok(None),
                _ => {}
            }
        }
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Outcome> {
        let asked = self.session.ask(ask);
        loop {
            if let SessionEvent::Answered { token, result } = self.event().await?
                && token == asked
            {
                return Ok(result);
            }
        }
    }

    /// Every entry of an open log.
    pub(super) async fn read(&mut self, log: LogId) -> Result<Vec<Entry<'static>>> {
        let mut pages = Pages::default();
        loop {
            let ask = Ask::Read(Read {
                log,
                lane: Lane::All,
                after: pages.after,
                entries_max: pages.wanted(),
            });
            let Ok(Answer::Page(page)) = self.ask(ask).await? else {
                return Err(Error::new(ErrorKind::Refused, "a log could not be read"));
            };
            if !pages.take(page) {
                return Ok(pages.entries);
            }
        }
    }
}

/// What was read of a log so far.
#[derive(Default)]
struct Pages {
    entries: Vec<Entry<'static>>,
    /// Where the last of them stands.
    after: u64,
}

impl Pages {
    /// How many entries the next page may have.
    fn wanted(&self) -> u32 {
        let room = ENTRIES_MAX.saturating_sub(self.entries.len());
        u32::try_from(room).map_or(PAGE, |room| room.min(PAGE))
    }

    /// Takes a page, which has no more entries than were asked for; whether another is to be read.
    fn take(&mut self, page: Page<'static>) -> bool {
        let last = page.entries.last().map_or(self.after, |entry| entry.seq);
        let goes_on = page.more && last > self.after;
        self.after = last;
        self.entries.extend(page.entries);
        goes_on && self.entries.len() < ENTRIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use sotto_protocol::id::{ChainValue, Commitment, Stamp};

    use super::*;

    /// So many entries behind a place, and word that there are more.
    fn page(after: u64, entries: u32) -> Page<'static> {
        let places = after + 1..=after + u64::from(entries);
        let entries = places.map(|seq| Entry {
            day: 20_000,
            seq,
            held: None,
            fence: None,
            stamp: Stamp::new([0; 20]),
            before: ChainValue::new([0; 32]),
            sealed: Vec::new().into(),
            claimed: false,
            commitment: Commitment::new([0; 32]),
        });
        Page {
            more: true,
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_log_without_an_end_is_read_up_to_its_limit_and_not_one_entry_more() {
        // Also where the pages of a relay do not come out even.
        for most in [PAGE, 1_000, 1] {
            let mut pages = Pages::default();
            while pages.take(page(pages.after, most.min(pages.wanted()))) {
                assert!(pages.entries.len() < ENTRIES_MAX);
            }
            assert_eq!(pages.entries.len(), ENTRIES_MAX);
        }
    }
}
