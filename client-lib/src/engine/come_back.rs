//! The way back into a conversation from a backup, for the client that reads one. SPEC.md, "Backup".

use sotto_protocol::id::{LogId, PublicKey, RelayIdentity};

use super::asking::Asking;
use super::begin::{new_saved, new_space};
use super::beside::Mark;
use super::door::Door;
use super::knocking::{Knocking, Outcome};
use super::saved::{self, ByteString, Stage, WayBack};
use super::{Effects, Engine};
use crate::error::Result;
use crate::mls::PackageKeys;
use crate::people::safe::SafeMaster;
use crate::people::{BackupLine, SafeTry, TicketLine};
use crate::time::Now;

impl Engine {
    /// The relay's identity and the log's id.
    pub(crate) const fn place_of_log(&self) -> (RelayIdentity, LogId) {
        (self.saved.relay.identity, self.saved.log)
    }

    /// The name of the line in the conversation's space.
    pub(crate) const LINE: &[u8] = saved::LINE;

    /// Comes in again from a backup, in place of our own leaf; where the keys in it open nothing any
    /// more and a door is known, by a knock.
    pub(crate) fn come_back(
        line: BackupLine,
        safe: &SafeMaster,
        now: Now,
    ) -> Result<(Self, Effects)> {
        let mut saved = new_saved(line.relay.clone(), line.log, &line.name)?;
        saved.seed = line.seed;
        saved.manage = line.manage;
        saved.founder = line.founder;
        saved.secrets.clone_from(&line.secrets);
        saved.door.clone_from(&line.door);
        saved.stage = Stage::Joining;
        saved.begun_ms = now.wall_ms;
        saved.way_back = Some(WayBack {
            member: line.member,
            seq: line.seq,
        });
        let mut engine = Self::assemble(new_space()?, saved);
        engine.gives_safe_word(safe.given(&line.log));
        if let (Some(door), Some(keys)) = (&line.door, &line.keeps) {
            engine.beside.door = Some(Door::of(door, keys));
            engine.keep_door()?;
        }
        if let Some(organisation) = line.trusts {
            engine.trust(organisation)?;
        }
        // Until we are in, the backup goes on holding what it held.
        engine.put_line(&line)?;
        engine.start()?;
        engine.say_hello(now)?;
        let effects = engine.finish(now);
        Ok((engine, effects))
    }

    /// The name of a ticket's line in its space.
    pub(crate) const TICKET: &[u8] = saved::TICKET;

    /// Waits on with a ticket, in its place, for an answer that may be there already.
    pub(crate) fn come_back_to_ticket(line: TicketLine, now: Now) -> Result<(Self, Effects)> {
        // Which log it is, the Welcome tells.
        let nowhere = LogId::new([0; 32]);
        let mut saved = new_saved(line.relay.clone(), nowhere, &line.name)?;
        saved.seed = line.seed;
        saved.manage = line.manage;
        saved.suite = line.suite;
        saved.stage = Stage::Joining;
        let keys = PackageKeys {
            package: line.package.clone(),
            init: line.init.into(),
            leaf: line.leaf.into(),
        };
        let values = keys.values(line.suite)?.into_iter();
        let mut engine = Self::assemble(new_space()?, saved);
        engine.beside.knocking = Some(Knocking {
            door: line.queue,
            // What it was sealed with is not needed any more.
            knock: [0; 32],
            append: [0; 32],
            sealing: PublicKey::new([0; 32]),
            inbox: line.inbox,
            root: None,
            own: line.own,
            reply: line.reply,
            package: ByteString(Vec::new()),
            values: values
                .map(|(key, value)| (ByteString(key), ByteString(value)))
                .collect(),
            was: None,
            badge: None,
            asking: Some(Asking::at(line.owner, line.place, line.letter)),
            is_sent: true,
            is_back: true,
            mark: Mark::start(&line.inbox),
            outcome: Outcome::Open,
        });
        engine.keep_knocking()?;
        engine.put_ticket(&line)?;
        engine.trust(line.trusts)?;
        // In a chat that is only about to begin none was agreed.
        engine.gives_safe_word(SafeTry::NONE);
        engine.begin(now)
    }
}
