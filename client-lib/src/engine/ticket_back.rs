//! A ticket in a backup: whoever comes back with the words waits on in its place, and finds the answer
//! of a letter. SPEC.md, "Backup".
//!
//! How it begins is in `come_back`. Two devices may then have the keys of one KeyPackage. So the one that came back takes from the Welcome
//! only which conversation it is and its secret, and comes in as anybody does who comes back: in place
//! of its own leaf. No ratchet is ever used on both.

use sotto_protocol::chain::genesis;
use x25519_dalek::StaticSecret;

use super::knocking::Outcome;
use super::saved::{self, WayBack};
use super::{Engine, internal};
use crate::error::Result;
use crate::mls::{Group, LeafId, PackageKeys};
use crate::people::{BackupLine, TicketLine};
use crate::seal::letter::WelcomeBody;
use crate::vault::Key;

impl Engine {
    /// Our ticket lies in the queue: from here on it is in the backup.
    pub(super) fn keep_ticket(&mut self) -> Result<()> {
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        let asking = knocking.asking.as_ref();
        let Some((asking, place)) = asking.and_then(|one| Some((one, one.place_kept()?))) else {
            return Ok(());
        };
        let Some(trusts) = self.badging.trusted_first() else {
            return Ok(());
        };
        let keys = PackageKeys::of(&knocking.package())?;
        let line = TicketLine {
            own: knocking.own,
            init: *keys.init,
            leaf: *keys.leaf,
            name: self.saved.name.clone(),
            seed: self.saved.seed,
            inbox: knocking.inbox,
            owner: *asking.owner_key(),
            place,
            queue: knocking.door,
            relay: self.saved.relay.clone(),
            reply: knocking.reply,
            suite: self.saved.suite,
            letter: asking.is_letter(),
            manage: self.saved.manage,
            trusts,
            package: keys.package,
        };
        self.put_ticket(&line)
    }

    pub(super) fn put_ticket(&mut self, line: &TicketLine) -> Result<()> {
        let value = sotto_protocol::cbor::encode(line)
            .map_err(|_| internal("a line of a backup cannot be encoded"))?;
        self.out
            .store
            .put(Key::new(self.space, saved::TICKET), value);
        self.out.backup = true;
        Ok(())
    }

    /// It was answered or taken back, or is gone.
    pub(super) fn drop_ticket(&mut self) {
        self.drop_beside(saved::TICKET);
        self.out.backup = true;
    }

    /// The answer to a ticket that one came back to.
    pub(super) fn come_in_after(
        &mut self,
        welcome: &WelcomeBody<'_>,
        group: &Group,
        by: LeafId,
    ) -> Result<()> {
        let member = *group.member_key(welcome.log.as_bytes())?;
        self.saved.founder = by;
        self.saved.log = welcome.log;
        self.saved.chain = Some(genesis(&welcome.log));
        self.saved.secrets = vec![welcome.secret.clone()];
        self.saved.suite = group.suite();
        self.saved.way_back = Some(WayBack {
            member,
            seq: welcome.seq,
        });
        self.set_outcome(Outcome::Yes);
        self.put_line(&BackupLine {
            log: welcome.log,
            seq: welcome.seq,
            door: None,
            name: self.saved.name.clone(),
            seed: self.saved.seed,
            keeps: None,
            relay: self.saved.relay.clone(),
            manage: self.saved.manage,
            member,
            trusts: self.badging.trusted_first(),
            founder: by,
            secrets: self.saved.secrets.clone(),
        })
    }

    /// The inbox is gone, so the answer was read; now into the conversation that it named.
    pub(super) fn begin_the_way_back(&mut self) {
        let Some(way) = &self.saved.way_back else {
            return;
        };
        let member = StaticSecret::from(way.member);
        self.joining.get_or_insert_default();
        self.session.open(self.saved.log, vec![member]);
    }
}
