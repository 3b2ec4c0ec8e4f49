//! Safe words: what members agreed on, and whether who came back has given it. SPEC.md, "Safe word".
//!
//! Who comes back is told nothing of it: the same is said whether one was agreed or not, and nothing is
//! answered. What is decided here is shown to the others' apps only.

use serde::{Deserialize, Serialize};

use super::{Command, Engine, Event, Reply, saved};
use crate::content::{ContentBody, ROSTER_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Author, Facts, Group, LeafId};
use crate::people::{SafeCheck, SafeTry};
use crate::seal::Return;
use crate::time::Now;
use crate::vault::{Key, Row};

/// Wrong safe words of one member until no further one is looked at: enough for slips of a finger, and
/// nothing for who guesses.
pub const SAFE_TRIES_MAX: u8 = 3;

/// What a member's safe word says of who sits there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Safety {
    /// One was agreed, and they were here all the time since.
    Agreed,
    /// They came back, and gave it.
    Verified,
    /// They came back, and did not give it (yet). Tell nobody anything that only they should know; they
    /// are not told that they are unverified.
    Unverified {
        /// Wrong ones that they gave, of [`SAFE_TRIES_MAX`]; then no further one is looked at, until
        /// [`Conversation::allow_safe_word`](crate::Conversation::allow_safe_word).
        wrong: u8,
    },
}

/// A member with whom a safe word was agreed; also once they are out, as they may come back by a knock,
/// and leaving shall not make anybody forget that they have to give it.
#[derive(Clone, Serialize, Deserialize)]
struct Agreed {
    leaf: LeafId,
    check: SafeCheck,
    safety: Safety,
}

/// What a conversation keeps of safe words, in one row.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    agreed: Vec<Agreed>,
    /// Ours, to be said again to those who come later.
    own: Option<SafeCheck>,
    /// Somebody came who was nobody here before, and did not hear it.
    is_due: bool,
    /// What we give once we are back.
    gives: Option<SafeTry>,
}

/// The safe words of a conversation.
#[derive(Default)]
pub(super) struct Safe {
    kept: Kept,
    is_changed: bool,
    /// Whose knock we answered with the Commit that is being dealt with, and which leaf was theirs.
    answered: Vec<(LeafId, LeafId)>,
}

impl core::fmt::Debug for Safe {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Safe(…)")
    }
}

impl Safe {
    /// Takes a row of the vault if it is this.
    pub(super) fn load(&mut self, (name, value): &Row) -> Result<bool> {
        if name != saved::SAFE {
            return Ok(false);
        }
        self.kept = saved::decode(value)?;
        Ok(true)
    }

    /// What is known of a member.
    pub(super) fn of(&self, leaf: &LeafId) -> Option<Safety> {
        let mut agreed = self.kept.agreed.iter();
        agreed.find(|one| one.leaf == *leaf).map(|one| one.safety)
    }

    /// We let in somebody who proved which leaf was theirs.
    pub(super) fn answered(&mut self, leaf: LeafId, was: LeafId) {
        self.answered.push((leaf, was));
    }

    fn agreed(&mut self, leaf: &LeafId) -> Option<&mut Agreed> {
        self.is_changed = true;
        self.kept.agreed.iter_mut().find(|one| one.leaf == *leaf)
    }
}

impl Engine {
    pub(super) fn obey_of_safety(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::AgreeSafeWord(check) => {
                if !self.is_among_few() {
                    return Err(invalid(
                        "a safe word is agreed in a chat, with somebody there",
                    ));
                }
                if self.has_unverified() {
                    return Err(invalid(
                        "somebody here came back and did not give their safe word; they would have \
                         something to try guesses on",
                    ));
                }
                self.safe.kept.own = Some(check);
                self.safe.is_changed = true;
                self.queue(ContentBody::SafeWord(check), now)?;
            }
            Command::GiveSafeWord(given) => {
                self.queue(ContentBody::SafeTry(given), now)?;
            }
            Command::AllowSafeWord(leaf) => {
                let Some(agreed) = self.safe.agreed(&leaf) else {
                    return Err(invalid("no safe word was agreed with that member"));
                };
                if matches!(agreed.safety, Safety::Unverified { .. }) {
                    self.set_safety(leaf, Safety::Unverified { wrong: 0 });
                }
            }
            command => return self.obey_of_badges(command, now),
        }
        Ok(Reply::Kept)
    }

    fn set_safety(&mut self, leaf: LeafId, safety: Safety) {
        if let Some(agreed) = self.safe.agreed(&leaf)
            && agreed.safety != safety
        {
            agreed.safety = safety;
            self.tell(Event::Safety { leaf, safety });
        }
    }

    /// What is given to the others on the way back from a backup.
    #[cfg(feature = "native")]
    pub(super) fn gives_safe_word(&mut self, given: SafeTry) {
        self.safe.kept.gives = Some(given);
        self.safe.is_changed = true;
    }

    /// Whether what is given to the others on the way back, or later, is not at the relay yet.
    #[must_use]
    pub fn gives_safe_word_still(&self) -> bool {
        let mut waiting = self.outbox.values();
        self.safe.kept.gives.is_some()
            || waiting.any(|one| matches!(one.content.body, ContentBody::SafeTry(_)))
    }

    /// A member said what to know them by. Who came back and has not shown who they are cannot
    /// change it, and is not told.
    pub(super) fn safe_word_said(&mut self, author: LeafId, check: SafeCheck) -> Result<()> {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        if author == self.key.id() || !leaves.contains(&author) {
            return Ok(());
        }
        if let Some(agreed) = self.safe.agreed(&author) {
            if !matches!(agreed.safety, Safety::Unverified { .. }) {
                agreed.check = check;
            }
            return Ok(());
        }
        let all = &mut self.safe.kept.agreed;
        if all.len() >= ROSTER_MAX {
            let Some(gone) = all.iter().position(|one| !leaves.contains(&one.leaf)) else {
                return Ok(());
            };
            all.remove(gone);
        }
        self.know(Agreed {
            leaf: author,
            check,
            safety: Safety::Agreed,
        });
        Ok(())
    }

    /// A member gave a safe word, or none.
    pub(super) fn safe_word_given(&mut self, author: LeafId, given: SafeTry) -> Result<()> {
        let Some(agreed) = self.safe.agreed(&author) else {
            return Ok(());
        };
        let Safety::Unverified { wrong } = agreed.safety else {
            return Ok(());
        };
        if !given.is_given() || wrong >= SAFE_TRIES_MAX {
            return Ok(());
        }
        let safety = if agreed.check.is_of(&given) {
            Safety::Verified
        } else {
            Safety::Unverified { wrong: wrong + 1 }
        };
        self.set_safety(author, safety);
        Ok(())
    }

    fn know(&mut self, agreed: Agreed) {
        let (leaf, safety) = (agreed.leaf, agreed.safety);
        self.safe.kept.agreed.push(agreed);
        self.safe.is_changed = true;
        self.tell(Event::Safety { leaf, safety });
    }

    /// Whether somebody here came back and did not give their safe word. To them nobody says what
    /// tells whether a guess is right, as people may have agreed on one word for both.
    fn has_unverified(&self) -> bool {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let unverified = |leaf| matches!(self.safe.of(leaf), Some(Safety::Unverified { .. }));
        leaves.iter().any(unverified)
    }

    /// Of those who are added by a Commit, who proves to have been which member: by a knock that we
    /// read, or by what stands in the Commit.
    pub(super) fn who_was(
        &mut self,
        added: &[LeafId],
        returns: &[Return],
    ) -> Vec<(LeafId, LeafId)> {
        let was = |leaf: &LeafId| Some(self.beside.knocks.get(leaf)?.was.as_ref()?.was);
        let knocked = added.iter().filter_map(|leaf| Some((*leaf, was(leaf)?)));
        let said = returns.iter().map(|one| (one.leaf, one.was));
        let proven: Vec<_> = knocked.chain(said).collect();
        let answered = core::mem::take(&mut self.safe.answered);
        let all = answered.into_iter().chain(proven);
        all.filter(|(leaf, _)| added.contains(leaf)).collect()
    }

    /// After a Commit: who came back has to show who they are, by whatever way they came.
    pub(super) fn safety_after(&mut self, facts: &Facts, who_was: &[(LeafId, LeafId)]) {
        let unverified = |safety| match safety {
            // Tries are counted over all returns, or each return would bring three more.
            Safety::Unverified { wrong } => Safety::Unverified { wrong },
            Safety::Agreed | Safety::Verified => Safety::Unverified { wrong: 0 },
        };
        for (leaf, was) in who_was {
            if self.safe.of(leaf).is_some() {
                continue;
            }
            if let Some(old) = self.safe.agreed(was) {
                let (check, safety) = (old.check, unverified(old.safety));
                // What was wrong is counted on from here, and nowhere else a second time.
                old.safety = Safety::Unverified {
                    wrong: SAFE_TRIES_MAX,
                };
                let leaf = *leaf;
                self.know(Agreed {
                    leaf,
                    check,
                    safety,
                });
            }
        }
        if let Author::Newcomer(leaf) = facts.author
            && !facts.removed.is_empty()
            && let Some(safety) = self.safe.of(&leaf)
        {
            self.set_safety(leaf, unverified(safety));
        }
        // To who comes back it would tell that safe words are in use here.
        let is_back = |leaf: &LeafId| who_was.iter().any(|(back, _)| back == leaf);
        if self.safe.kept.own.is_some() && !facts.added.iter().all(is_back) {
            self.safe.kept.is_due = true;
            self.safe.is_changed = true;
        }
    }

    /// Says what is due: what we give as one who came back, or ours again to those who came.
    pub(super) fn queue_safety(&mut self, now: Now) -> Result<()> {
        if let Some(given) = self.safe.kept.gives.take() {
            self.safe.is_changed = true;
            // Elsewhere none was agreed, and what is said could only help who guesses.
            if self.is_among_few() {
                self.queue(ContentBody::SafeTry(given), now)?;
            }
        }
        if core::mem::take(&mut self.safe.kept.is_due) {
            self.safe.is_changed = true;
            let may_say = self.is_among_few() && !self.has_unverified();
            if let Some(check) = self.safe.kept.own.filter(|_| may_say) {
                self.queue(ContentBody::SafeWord(check), now)?;
            }
        }
        Ok(())
    }

    /// Puts what changed into the batch.
    pub(super) fn keep_safety(&mut self) -> Result<()> {
        if core::mem::take(&mut self.safe.is_changed) {
            let value = saved::encode(&self.safe.kept)?;
            self.out.store.put(Key::new(self.space, saved::SAFE), value);
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what)
}
