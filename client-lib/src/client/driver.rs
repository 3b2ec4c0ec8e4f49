//! The loop that runs one conversation: a socket, a vault, an app and a clock around the engine.
//!
//! Whatever an input led to is on the disk before any of it is sent or shown. Events wait for the
//! app without a loss: while some wait, nothing more is read from the socket.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::conversation::{Ask, Seat};
use super::on_disk;
use crate::engine::{Effects, Engine, Event};
use crate::error::Result;
use crate::transport::{Backoff, Dial, Line, Pending};
use crate::vault::SharedVault;

pub(super) struct Driver {
    pub(super) engine: Engine,
    /// What beginning led to; its batch stands on the disk already.
    pub(super) effects: Effects,
    pub(super) seat: Seat,
    pub(super) vault: SharedVault,
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// What ended a wait.
enum Woken {
    Asked(Option<Ask>),
    Dialed(Result<Box<dyn Line>>),
    Received(Result<Option<Vec<u8>>>),
    Due,
    EventTaken,
    Stop,
}

/// Everything that changes while a conversation runs.
struct Run {
    line: Option<Box<dyn Line>>,
    /// An attempt to connect goes on while commands are served.
    dialing: Option<Pending<'static, Result<Box<dyn Line>>>>,
    events: VecDeque<Event>,
    wake_at: Option<u64>,
    dial_at: tokio::time::Instant,
    backoff: Backoff,
    /// The vault refused: nothing more may be shown or sent.
    is_broken: bool,
}

impl Driver {
    pub(super) async fn run(mut self) {
        let mut run = Run {
            line: None,
            dialing: None,
            events: VecDeque::new(),
            wake_at: None,
            dial_at: tokio::time::Instant::now(),
            backoff: Backoff::new(),
            is_broken: false,
        };
        let first = core::mem::take(&mut self.effects);
        self.let_out(&mut run, first).await;
        while !run.is_broken && !(self.engine.is_over() && run.events.is_empty()) {
            match self.wait(&mut run).await {
                Woken::Stop | Woken::Asked(None) => return,
                Woken::EventTaken => {}
                woken => self.woken(&mut run, woken).await,
            }
        }
        // Texts of a conversation that is over can still be asked for.
        while let Some(Some(ask)) = self.stop.run_until_cancelled(self.seat.asks.recv()).await {
            self.answer_only(ask);
        }
    }

    /// Waits for whatever comes first. Each branch is cancel safe, or is begun anew.
    async fn wait(&mut self, run: &mut Run) -> Woken {
        if run.line.is_none() && run.dialing.is_none() && !self.engine.is_over() {
            run.dialing = Some(self.dial(run.dial_at));
        }
        let (stop, clock) = (&self.stop, &self.clock);
        let wake_at = run.wake_at.map(|at| clock.instant(at));
        let has_room = run.events.is_empty();
        let (line, dialing) = (&mut run.line, &mut run.dialing);
        let dial = async {
            match dialing {
                Some(dialing) => dialing.await,
                None => core::future::pending().await,
            }
        };
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
            dialed = dial => Woken::Dialed(dialed),
            received = receive, if has_room => Woken::Received(received),
            () = due => Woken::Due,
        }
    }

    fn dial(&self, at: tokio::time::Instant) -> Pending<'static, Result<Box<dyn Line>>> {
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
                let (reply, effects) = self.engine.command(command, now);
                self.let_out(run, effects).await;
                // An app that gave up waiting still has its command done.
                let _ = answer.send(if run.is_broken { Err(broken()) } else { reply });
                return;
            }
            Woken::Asked(Some(Ask::Look(look))) => {
                look(&self.engine);
                return;
            }
            Woken::Dialed(Ok(line)) => {
                run.dialing = None;
                run.line = Some(line);
                self.engine.connected(now)
            }
            Woken::Dialed(Err(error)) => {
                tracing::debug!(kind = error.kind().name(), "the relay was not reached");
                self.hang_up(run);
                return;
            }
            Woken::Received(Ok(Some(message))) => {
                run.backoff.succeeded();
                self.engine.received(&message, now)
            }
            Woken::Received(Ok(None) | Err(_)) => {
                self.hang_up(run);
                self.engine.disconnected(now)
            }
            Woken::Due => self.engine.tick(now),
            Woken::EventTaken | Woken::Stop | Woken::Asked(None) => return,
        };
        self.let_out(run, effects).await;
    }

    /// The disk first, then the relay, then the app.
    async fn let_out(&mut self, run: &mut Run, mut effects: Effects) {
        loop {
            if !effects.store.is_empty() {
                let (vault, batch) = (self.vault.clone(), core::mem::take(&mut effects.store));
                if let Err(error) = on_disk(move || vault.with(|vault| vault.apply(&batch))).await {
                    tracing::error!(
                        kind = error.kind().name(),
                        "the vault could not be written; a conversation stops"
                    );
                    run.is_broken = true;
                    run.line = None;
                    return;
                }
            }
            run.wake_at = effects.wake_at;
            run.events.append(&mut effects.events.into());
            let sent = self.send(run, effects.send).await;
            if sent && !effects.hang_up {
                return;
            }
            if run.line.is_none() {
                return;
            }
            self.hang_up(run);
            effects = self.engine.disconnected(self.clock.now());
        }
    }

    async fn send(&self, run: &mut Run, messages: Vec<Vec<u8>>) -> bool {
        for message in messages {
            let Some(line) = &mut run.line else {
                return true;
            };
            if line.send(message).await.is_err() {
                return false;
            }
        }
        true
    }

    fn hang_up(&self, run: &mut Run) {
        run.line = None;
        run.dialing = None;
        run.dial_at = tokio::time::Instant::now() + run.backoff.next();
    }

    fn answer_only(&mut self, ask: Ask) {
        match ask {
            Ask::Look(look) => look(&self.engine),
            Ask::Do(command, answer) => {
                let (reply, _) = self.engine.command(command, self.clock.now());
                // As above: nobody may be waiting.
                let _ = answer.send(reply.and(Err(broken())));
            }
        }
    }
}

fn broken() -> crate::error::Error {
    crate::error::Error::new(
        crate::error::ErrorKind::Closed,
        "this conversation no longer runs",
    )
}
