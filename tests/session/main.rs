//! The client's session against the relay itself: every verb, cut lines, refusals, work.

mod client;
mod cut_lines;
mod verbs;
