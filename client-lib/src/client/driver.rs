//! The loop that runs one conversation: a socket, a vault, an app and a clock around the engine.
//!
//! Whatever an input led to is on the disk before any of it is sent or shown; inputs that wait
//! together are stored together, in one sync. Events wait for the app without a loss: while some
//! wait, nothing more is read from the socket.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backup::Changed;
use super::clock::Clock;
use super::conversation::{Ask, Seat};
use super::on_disk;
use crate::attachment::ATTACHMENTS_WANTED_MAX;
use crate::content::MessageId;
use crate::engine::{Command, Effects, Engine, Event, Reply, Transfer};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{WorkDone, WorkOrder};
use crate::transport::{Backoff, Dial, Line, Pending};
use crate::vault::{Batch, Key, SharedVault, Vault};

/// Messages or commands whose batches share one sync of the disk.
const GATHER_MAX: usize = 64;
/// Bytes of messages that are gathered: beyond that the sync is the smaller part.
const GATHER_BYTES_MAX: usize = 4 << 20;
/// Bytes of messages that may wait for a slow line before it is given up: several full appends.
const OUTGOING_BYTES_MAX: usize = 32 << 20;
/// How long the messages of one input may take to be handed to the system: a full append over a
/// line of 16 KiB a second. A relay that reads nothing is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(180);
/// Calls that may wait for attachments at once: as many as may be wanted, with some to spare.
const FETCHING_MAX: usize = 2 * ATTACHMENTS_WANTED_MAX;
/// How long what was sealed before everything was erased may take to be handed to the system.
pub(super) const LAST_WORD_MAX: Duration = Duration::from_millis(300);
/// Tries of a proof of work between two looks at whether it is still wanted.
const WORK_TRIES: u32 = 1 << 16;

pub(super) struct Driver {
    pub(super) engine: Engine,
    /// What beginning led to; its batch stands on the disk already.
    pub(super) effects: Effects,
    pub(super) seat: Seat,
    pub(super) vault: SharedVault,
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) clock: Clock,
    /// Told when what a backup holds has changed.
    pub(super) backup: Changed,
    /// Told when there is something for another conversation.
    pub(super) carry: Arc<Notify>,
    pub(super) stop: CancellationToken,
    /// Set before `stop` where nothing of it all is to be left.
    pub(super) vanish: CancellationToken,
    /// Told then whether everything on the disk is erased.
    pub(super) erased: watch::Receiver<Option<bool>>,
}

/// What ended a wait.
enum Woken {
    Asked(Option<Ask>),
    Dialed(Result<Box<dyn Line>>),
    Sent(Result<Box<dyn Line>>),
    Received(Result<Option<Vec<u8>>>),
    Worked(Option<WorkDone>),
    Due,
    EventTaken,
    Stop,
}

type Answers = Vec<(oneshot::Sender<Result<Reply>>, Result<Reply>)>;

/// Everything that changes while a conversation runs.
struct Run {
    /// The connection, while nothing is being sent.
    line: Option<Box<dyn Line>>,
    /// Messages being sent, with the connection; commands are served meanwhile.
    sending: Option<Pending<'static, Result<Box<dyn Line>>>>,
    outgoing: VecDeque<Vec<u8>>,
    /// An attempt to connect goes on while commands are served.
    dialing: Option<Pending<'static, Result<Box<dyn Line>>>>,
    dial_at: Instant,
    up_since: Instant,
    backoff: Backoff,
    /// The relay said when to come back.
    hint_ms: Option<u32>,
    events: VecDeque<Event>,
    /// Who waits for an attachment to be here.
    fetching: Vec<(MessageId, oneshot::Sender<Result<()>>)>,
    /// Taken from the app and not looked at yet.
    put_back: Option<Ask>,
    wake_at: Option<u64>,
    work: JoinSet<Option<WorkDone>>,
    /// Work is bound to its connection and ends with it.
    work_wanted: CancellationToken,
    /// The vault refused: nothing more may be shown or sent.
    is_broken: bool,
}

impl Run {
    fn new(stop: &CancellationToken) -> Self {
        Self {
            line: None,
            sending: None,
            outgoing: VecDeque::new(),
            dialing: None,
            dial_at: Instant::now(),
            up_since: Instant::now(),
            backoff: Backoff::new(),
            hint_ms: None,
            events: VecDeque::new(),
            fetching: Vec::new(),
            put_back: None,
            wake_at: None,
            work: JoinSet::new(),
            work_wanted: stop.child_token(),
            is_broken: false,
        }
    }

    const fn is_connected(&self) -> bool {
        self.line.is_some() || self.sending.is_some()
    }

    /// Whether everything that was let out has reached the app and the line.
    fn is_quiet(&self) -> bool {
        self.events.is_empty() && self.outgoing.is_empty() && self.sending.is_none()
    }

    fn hang_up(&mut self, stop: &CancellationToken) {
        if self.is_connected() {
            self.backoff.held(self.up_since.elapsed());
        }
        self.line = None;
        self.sending = None;
        self.outgoing.clear();
        self.dialing = None;
        self.work_wanted.cancel();
        self.work_wanted = stop.child_token();
        self.dial_at = Instant::now() + self.backoff.next(self.hint_ms.take());
    }

    /// Begins to send what waits.
    fn begin_sending(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        let Some(mut line) = self.line.take() else {
            return;
        };
        let messages = core::mem::take(&mut self.outgoing);
        let send = async move {
            for message in messages {
                line.send(message).await?;
            }
            Ok(line)
        };
        self.sending = Some(Box::pin(async move {
            timeout(SEND_TIMEOUT, send).await.map_err(|late| {
                Error::new(ErrorKind::Unreachable, "the relay reads nothing").because(late)
            })?
        }));
    }

    /// Tells those who wait for an attachment what became of it.
    fn tell_fetching(&mut self, event: &Event) {
        let (of, outcome) = match event {
            Event::Attachment {
                id,
                transfer: Transfer::Here,
            } => (id, Ok(())),
            Event::Attachment {
                id,
                transfer: Transfer::Failed(kind),
            } => (id, Err(Error::new(*kind, "the attachment does not come"))),
            _ => return,
        };
        for (_, answer) in self.fetching.extract_if(.., |(id, _)| id == of) {
            // Who gave up waiting may ask again.
            let _ = answer.send(outcome.clone());
        }
    }

    /// Does work where it stops nobody, until the connection ends.
    fn work(&mut self, order: WorkOrder) {
        let wanted = self.work_wanted.clone();
        self.work.spawn_blocking(move || {
            let mut left = order;
            while !wanted.is_cancelled() {
                match left.run_some(WORK_TRIES) {
                    Ok(done) => return Some(done),
                    Err(order) => left = order,
                }
            }
            None
        });
    }
}

impl Driver {
    pub(super) async fn run(self) {
        let (vanish, unread) = (self.vanish.clone(), self.seat.unread.clone());
        self.run_to_the_end().await;
        if vanish.is_cancelled() {
            // An app that stopped in the middle of taking one keeps the others from nobody.
            let _ = timeout(LAST_WORD_MAX, unread.forget()).await;
        }
    }

    async fn run_to_the_end(mut self) {
        let mut run = Run::new(&self.stop);
        let first = core::mem::take(&mut self.effects);
        self.let_out(&mut run, first).await;
        while !(run.is_broken || self.engine.is_over() && run.is_quiet()) {
            match self.wait(&mut run).await {
                Woken::Stop if self.vanish.is_cancelled() => break,
                Woken::Stop | Woken::Asked(None) => {
                    // What was being sent may still go; it is kept anyway.
                    let mut line = run.line.take();
                    if let Some(sending) = run.sending.take() {
                        let sent = timeout(Duration::from_secs(2), sending).await;
                        line = sent.ok().and_then(Result::ok);
                    }
                    if let Some(line) = line.filter(|_| self.engine.has_said_away()) {
                        // Heard or not, as below.
                        let _ = timeout(LAST_WORD_MAX, hear_out(line)).await;
                    }
                    return;
                }
                Woken::EventTaken => {}
                woken => self.woken(&mut run, woken).await,
            }
        }
        if self.vanish.is_cancelled() {
            return self.vanish(run).await;
        }
        run.fetching.clear();
        // No more events come. Texts of a conversation that is over can still be asked for.
        self.seat.events = mpsc::channel(1).0;
        while let Some(Some(ask)) = self.stop.run_until_cancelled(self.seat.asks.recv()).await {
            self.answer_only(ask);
        }
    }

    /// Forgets everything, and then hands over what was sealed by then, if the line stands and takes it
    /// at once. Nobody waits for it. It goes out only once the disk holds no state that could seal
    /// something else with the same keys.
    async fn vanish(mut self, run: Run) {
        let Run {
            line,
            sending,
            mut outgoing,
            ..
        } = run;
        if line.is_some() || sending.is_some() {
            // The answer to a letter is found by who comes back with words.
            let stays = self.engine.is_letter() && self.backup.is_kept();
            if !stays {
                outgoing.extend(self.engine.last_word(self.clock.now()));
            }
        }
        let mut erased = self.erased.clone();
        drop(self);
        let told = erased.wait_for(Option::is_some).await.map(|told| *told);
        if !matches!(told, Ok(Some(true))) {
            return;
        }
        let say = async move {
            let mut line = match (sending, line) {
                (Some(sending), _) => sending.await?,
                (None, Some(line)) => line,
                (None, None) => return Ok::<_, Error>(()),
            };
            for message in outgoing {
                line.send(message).await?;
            }
            hear_out(line).await;
            Ok(())
        };
        // Said or not: everything else is gone.
        let _ = timeout(LAST_WORD_MAX, say).await;
    }

    /// Waits for whatever comes first. Each branch is cancel safe, or is kept in `run`.
    async fn wait(&mut self, run: &mut Run) -> Woken {
        if let Some(ask) = run.put_back.take() {
            return Woken::Asked(Some(ask));
        }
        run.begin_sending();
        if !run.is_connected() && run.dialing.is_none() && !self.engine.is_over() {
            run.dialing = Some(self.dial(run.dial_at));
        }
        let (stop, clock) = (&self.stop, &self.clock);
        let wake_at = run.wake_at.map(|at| clock.instant(at));
        let has_room = run.events.is_empty();
        let line = &mut run.line;
        let receive = async {
            match line {
                Some(line) => line.receive().await,
                None => core::future::pending().await,
            }
        };
        let due = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => Woken::Stop,
            permit = self.seat.events.reserve(), if !has_room => {
                match (permit, run.events.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    // No app listens any more; the log keeps what it would have been told.
                    _ => run.events.clear(),
                }
                Woken::EventTaken
            }
            ask = self.seat.asks.recv() => Woken::Asked(ask),
            dialed = or_never(&mut run.dialing) => Woken::Dialed(dialed),
            sent = or_never(&mut run.sending) => Woken::Sent(sent),
            received = receive, if has_room => Woken::Received(received),
            Some(done) = run.work.join_next() => Woken::Worked(done.ok().flatten()),
            () = due => Woken::Due,
        }
    }

    fn dial(&self, at: Instant) -> Pending<'static, Result<Box<dyn Line>>> {
        let (dialer, address) = (Arc::clone(&self.dialer), self.engine.relay().clone());
        Box::pin(async move {
            sleep_until(at).await;
            dialer.dial(&address).await
        })
    }

    async fn woken(&mut self, run: &mut Run, woken: Woken) {
        let now = self.clock.now();
        let effects = match woken {
            Woken::Asked(Some(Ask::Do(command, answer))) => {
                let (effects, answers) = self.obey(run, Ask::Do(command, answer));
                self.let_out(run, effects).await;
                for (answer, reply) in answers {
                    // An app that gave up waiting still has its command done.
                    let _ = answer.send(if run.is_broken { Err(broken()) } else { reply });
                }
                return;
            }
            Woken::Asked(Some(Ask::Look(look))) => {
                look(&self.engine, self.clock.now());
                return;
            }
            Woken::Asked(Some(Ask::Fetch(id, answer))) => {
                self.fetch(run, id, answer).await;
                return;
            }
            Woken::Dialed(Ok(line)) => {
                run.dialing = None;
                run.line = Some(line);
                run.up_since = Instant::now();
                self.engine.connected(now)
            }
            Woken::Dialed(Err(error)) => {
                tracing::debug!(kind = error.kind().name(), "the relay was not reached");
                run.hang_up(&self.stop);
                self.engine.not_reached(error.kind(), now)
            }
            Woken::Sent(Ok(line)) => {
                run.sending = None;
                run.line = Some(line);
                return;
            }
            Woken::Received(Ok(Some(message))) => self.received(run, &message),
            Woken::Received(Ok(None) | Err(_)) | Woken::Sent(Err(_)) => {
                run.hang_up(&self.stop);
                self.engine.disconnected(now)
            }
            Woken::Worked(Some(done)) => self.engine.worked(&done, now),
            Woken::Due => self.engine.tick(now),
            Woken::Worked(None) | Woken::EventTaken | Woken::Stop | Woken::Asked(None) => return,
        };
        self.let_out(run, effects).await;
    }

    /// Wants an attachment here, and answers when it is.
    async fn fetch(&mut self, run: &mut Run, id: MessageId, answer: oneshot::Sender<Result<()>>) {
        run.fetching.retain(|(_, answer)| !answer.is_closed());
        let now = self.clock.now();
        let (reply, effects) = self.engine.command(Command::Fetch(id), now);
        let at_once = match reply {
            Err(error) => Some(Err(error)),
            Ok(_) if self.engine.has_attachment(&id) => Some(Ok(())),
            Ok(_) if run.fetching.len() >= FETCHING_MAX => Some(Err(Error::new(
                ErrorKind::TooLarge,
                "too many wait for attachments",
            ))),
            Ok(_) => None,
        };
        match at_once {
            Some(outcome) => {
                // As above.
                let _ = answer.send(outcome);
            }
            None => run.fetching.push((id, answer)),
        }
        self.let_out(run, effects).await;
    }

    /// A message and those that came with it, as one batch.
    fn received(&mut self, run: &mut Run, first: &[u8]) -> Effects {
        let now = self.clock.now();
        let mut bytes = first.len();
        let mut effects = self.engine.received(first, now);
        for _ in 1..GATHER_MAX {
            if effects.hang_up || bytes >= GATHER_BYTES_MAX {
                break;
            }
            let Some(line) = &mut run.line else { break };
            match line.receive().now_or_never() {
                Some(Ok(Some(message))) => {
                    bytes = bytes.saturating_add(message.len());
                    merge(&mut effects, self.engine.received(&message, now));
                }
                Some(Ok(None) | Err(_)) => {
                    effects.hang_up = true;
                }
                None => break,
            }
        }
        effects
    }

    /// A command and those that wait behind it, as one batch. A look waits until what was done
    /// before it stands on the disk.
    fn obey(&mut self, run: &mut Run, first: Ask) -> (Effects, Answers) {
        let now = self.clock.now();
        let (mut effects, mut answers) = (Effects::default(), Answers::new());
        let mut next = Some(first);
        while let Some(ask) = next.take() {
            let Ask::Do(command, answer) = ask else {
                run.put_back = Some(ask);
                break;
            };
            let (reply, later) = self.engine.command(command, now);
            merge(&mut effects, later);
            answers.push((answer, reply));
            if effects.hang_up || answers.len() == GATHER_MAX {
                break;
            }
            next = self.seat.asks.try_recv().ok();
        }
        (effects, answers)
    }

    /// The disk first, then the relay, then the app.
    async fn let_out(&mut self, run: &mut Run, mut effects: Effects) {
        loop {
            if !effects.store.is_empty() {
                let (vault, batch) = (self.vault.clone(), core::mem::take(&mut effects.store));
                let write = move || vault.with(|vault| write(vault, &batch, effects.scrub));
                if let Err(error) = on_disk(write).await {
                    if self.vanish.is_cancelled() {
                        // It goes out only if the vault is gone, and with it whatever could use a key
                        // twice.
                        run.outgoing.append(&mut effects.send.into());
                        run.is_broken = true;
                        return;
                    }
                    tracing::error!(
                        kind = error.kind().name(),
                        "the vault could not be written; a conversation stops"
                    );
                    run.is_broken = true;
                    run.hang_up(&self.stop);
                    return;
                }
            }
            if core::mem::take(&mut effects.backup) {
                self.backup.tell();
            }
            if core::mem::take(&mut effects.carry) {
                self.carry.notify_one();
            }
            let now = self.engine.standing();
            self.seat.standing.send_if_modified(|known| {
                let is_new = *known != now;
                *known = now;
                is_new
            });
            run.wake_at = effects.wake_at;
            run.hint_ms = effects.reconnect_after_ms.or(run.hint_ms);
            effects
                .events
                .iter()
                .for_each(|event| run.tell_fetching(event));
            run.events.append(&mut effects.events.into());
            effects.work.drain(..).for_each(|order| run.work(order));
            if !run.is_connected() {
                return;
            }
            run.outgoing.append(&mut effects.send.into());
            let waiting: usize = run.outgoing.iter().map(Vec::len).sum();
            if effects.hang_up || waiting > OUTGOING_BYTES_MAX {
                run.hang_up(&self.stop);
                effects = self.engine.disconnected(self.clock.now());
            } else if effects.wants.is_empty() {
                return;
            } else {
                effects = self.load(effects.wants).await;
            }
        }
    }

    /// Reads what the engine asked for.
    async fn load(&mut self, wants: Vec<Key>) -> Effects {
        let vault = self.vault.clone();
        let read = move || {
            vault.with(|vault| {
                let values: Result<Vec<_>> = wants.iter().map(|key| vault.get(key)).collect();
                values
            })
        };
        let values = on_disk(read).await.unwrap_or_else(|error| {
            tracing::error!(kind = error.kind().name(), "the vault could not be read");
            vec![None]
        });
        self.engine.loaded(values, self.clock.now())
    }

    fn answer_only(&mut self, ask: Ask) {
        match ask {
            Ask::Look(look) => look(&self.engine, self.clock.now()),
            Ask::Fetch(id, answer) => {
                let is_here = self.engine.has_attachment(&id);
                // As above: nobody may be waiting.
                let _ = answer.send(if is_here { Ok(()) } else { Err(broken()) });
            }
            Ask::Do(command, answer) => {
                let (reply, _) = self.engine.command(command, self.clock.now());
                // As above: nobody may be waiting.
                let _ = answer.send(reply.and(Err(broken())));
            }
        }
    }
}

/// Reads on until the line ends. A system that closes a connection with something unread may take back
/// what was just sent.
async fn hear_out(mut line: Box<dyn Line>) {
    while let Ok(Some(_)) = line.receive().await {}
}

/// A future that may not be there.
async fn or_never<T>(future: &mut Option<Pending<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => core::future::pending().await,
    }
}

pub(super) fn write(vault: &mut dyn Vault, batch: &Batch, scrub: bool) -> Result<()> {
    vault.apply(batch)?;
    if scrub && vault.scrub().is_err() {
        // The batch stands; the vault tries again by itself.
        tracing::warn!("the vault's journal could not be emptied yet");
    }
    Ok(())
}

/// Adds what a later input led to.
fn merge(effects: &mut Effects, later: Effects) {
    effects.store.then(later.store);
    effects.scrub |= later.scrub;
    effects.backup |= later.backup;
    effects.carry |= later.carry;
    effects.send.extend(later.send);
    effects.events.extend(later.events);
    effects.wants.extend(later.wants);
    effects.work.extend(later.work);
    effects.wake_at = later.wake_at;
    effects.reconnect_after_ms = later.reconnect_after_ms.or(effects.reconnect_after_ms);
    effects.hang_up |= later.hang_up;
}

fn broken() -> Error {
    Error::new(ErrorKind::Closed, "this conversation no longer runs")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::super::backup::BackupStanding;
    use super::super::clock::Wall;
    use super::super::conversation;
    use super::*;
    use crate::link::RelayAddress;
    use crate::vault::MemoryVault;

    /// Reaches nobody.
    #[derive(Debug)]
    struct Nowhere;

    impl Dial for Nowhere {
        fn dial<'a>(&'a self, _: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
            Box::pin(core::future::pending())
        }
    }

    /// Drives Ben's engine, at the time of the room that it comes from.
    fn driver() -> (Driver, MessageId) {
        let (engine, id) = Engine::without_an_attachment();
        let vault = SharedVault::new(MemoryVault::new());
        let (_, seat) = conversation::pair(&engine, vault.clone(), &CancellationToken::new());
        let noon = Duration::from_millis(1_700_000_000_000);
        let driver = Driver {
            engine,
            effects: Effects::default(),
            seat,
            vault,
            dialer: Arc::new(Nowhere),
            clock: Clock::start(Wall(Arc::new(move || UNIX_EPOCH + noon))),
            backup: Changed::new(watch::channel(BackupStanding::Absent).1),
            carry: Arc::default(),
            stop: CancellationToken::new(),
            vanish: CancellationToken::new(),
            erased: watch::channel(None).1,
        };
        (driver, id)
    }

    #[tokio::test]
    async fn a_line_is_given_up_with_one_byte_more_than_may_wait_for_it() {
        for (more, is_kept) in [(0, true), (1, false)] {
            let (mut driver, _) = driver();
            let mut run = Run::new(&driver.stop);
            run.sending = Some(Box::pin(core::future::pending()));
            run.outgoing.push_back(vec![0; OUTGOING_BYTES_MAX - 10]);
            let effects = Effects {
                send: vec![vec![0; 10 + more]],
                ..Effects::default()
            };
            driver.let_out(&mut run, effects).await;
            assert_eq!(run.is_connected(), is_kept);
            assert_eq!(run.outgoing.len(), if is_kept { 2 } else { 0 });
        }
    }

    #[tokio::test]
    async fn as_many_calls_as_the_limit_wait_for_attachments_and_not_one_more() {
        let (mut driver, id) = driver();
        let mut run = Run::new(&driver.stop);
        let mut waiting = Vec::new();
        for _ in 0..FETCHING_MAX {
            let (answer, answered) = oneshot::channel();
            driver.fetch(&mut run, id, answer).await;
            waiting.push(answered);
        }
        let mut answers = waiting.iter_mut().map(oneshot::Receiver::try_recv);
        assert!(answers.all(|answer| matches!(answer, Err(TryRecvError::Empty))));
        let (answer, answered) = oneshot::channel();
        driver.fetch(&mut run, id, answer).await;
        let refused = answered.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooLarge);
        // Who gives up waiting makes room for another.
        waiting.pop();
        let (answer, mut answered) = oneshot::channel();
        driver.fetch(&mut run, id, answer).await;
        assert!(matches!(answered.try_recv(), Err(TryRecvError::Empty)));
    }
}
