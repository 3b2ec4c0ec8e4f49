//! The way back into a conversation from a backup, for the client that reads one. SPEC.md, "Backup".

use sotto_protocol::id::{LogId, RelayIdentity};

use super::begin::{new_saved, new_space};
use super::door::Door;
use super::saved::{self, Stage, WayBack};
use super::{Effects, Engine};
use crate::error::Result;
use crate::people::BackupLine;
use crate::people::safe::SafeMaster;
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
}
