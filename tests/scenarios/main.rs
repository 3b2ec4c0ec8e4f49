//! What people can rely on, one test a promise, over a real relay and a network of memory.

mod approval;
mod attachments;
mod away;
mod badges;
mod cards;
mod clock;
mod coming_back;
mod copy;
mod crash;
mod decoy;
mod delivery;
mod desk;
mod duty;
mod entering;
mod exit;
mod forms;
mod inbox;
mod lies;
mod lines;
mod load;
mod matching;
mod membership;
mod notes;
mod numbers;
mod privacy;
mod race;
mod removal;
mod review;
mod safe_word;
mod talk;
mod waiting_back;
mod wire;

/// What the terminal says.
#[path = "../../client-lib/cli/src/said.rs"]
mod said;
/// How it shows what others wrote.
#[path = "../../client-lib/cli/src/screen.rs"]
mod screen;
