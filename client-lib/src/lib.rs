//! Sealed conversations through a relay that cannot read them: anonymous rooms and one-to-one chats
//! for apps that bring people together who help each other.
//!
//! # The first conversation
//!
//! A [`Client`] is everything that one device keeps. It founds a conversation or joins one by a
//! [`Link`], and runs it in the background. What people do comes as [`Event`]s, in the same order on
//! every device.
//!
//! ```no_run
//! use sotto_client::{Client, ClientOptions, Event, JoinOptions, RelayAddress, RoomOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // A relay prints its address when it starts; apps usually come with one.
//! let relay: RelayAddress = "ws://127.0.0.1:4433/#AbC...".parse()?;
//!
//! let ann = Client::open(ClientOptions::memory()).await?;
//! let room = ann.found(RoomOptions::new(relay, "Ann")).await?;
//! room.ready().await?;
//! let link = room.link().await?.ok_or("a room has a link")?;
//!
//! // On another device, with the link from a message, a poster, a QR code:
//! let link: sotto_client::Link = link.to_string().parse()?;
//! let ben = Client::open(ClientOptions::memory()).await?;
//! let name = "Ben".to_owned();
//! let joined = ben.join(&link, &JoinOptions { name }).await?;
//! joined.ready().await?;
//! joined.send("hello, I am new").await?;
//!
//! while let Some(event) = room.next_event().await {
//!     if let Event::Message(message) = event {
//!         assert_eq!(message.text, "hello, I am new");
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The link is a secret: whoever has it may join, and everybody in the room sees them do so
//! ([`Event::Joined`]). The name is what one is called in this conversation and nowhere else; there
//! is no account, and nothing connects two conversations of one person.
//!
//! # Keeping things
//!
//! [`ClientOptions::memory`] forgets everything with the process. [`ClientOptions::folder`] keeps a
//! vault on the disk, every conversation sealed under a key of its own, all of it under a key that
//! the app keeps in the device's keychain or that a person's passphrase gives:
//!
//! ```no_run
//! use sotto_client::vault::VaultKey;
//! use sotto_client::{Client, ClientOptions};
//!
//! # async fn example() -> Result<(), sotto_client::Error> {
//! let key = VaultKey::passphrase("correct horse battery staple");
//! let client = Client::open(ClientOptions::folder("/home/ann/.sotto", key)).await?;
//! for conversation in client.conversations() {
//!     for message in conversation.history_before(None, 50).await? {
//!         show(message);
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! # fn show(_: sotto_client::Message) {}
//! ```
//!
//! *Promised is kept:* when [`Conversation::send`] returns, the message is on the disk. It goes out
//! when the relay can be reached, once, in the order it was said, however often the line drops, the
//! app dies or the relay restarts. Until then it is among [`Conversation::unsent`]; then
//! [`Event::Delivery`] says that it was sent. An event is told only after its cause is on the disk,
//! and told once: after a crash, what the app had not taken yet is in [`Conversation::history`].
//! Draw a screen from the history and keep it up to date from the events.
//!
//! A vault is one process's at a time, and not to be copied: a copy that is started comes in again
//! in place of the original, which all others are told ([`Event::Returned`]).
//!
//! # Attachments
//!
//! A voice note, a photo, a file of up to 64 MiB: [`Conversation::attach`] takes it from a reader into
//! the vault, sealed, and sends it from there; [`Event::Attachment`] tells how far it is. Others are
//! told by an [`Event::Message`] with a [`Message::attachment`], and bring it by
//! [`Conversation::fetch`], which writes it into whatever plays or shows it. It then stays in the
//! vault, sealed, as long as its message; nothing is written anywhere else.
//!
//! ```no_run
//! # async fn example(room: sotto_client::Conversation) -> Result<(), Box<dyn std::error::Error>> {
//! use sotto_client::{Event, NewAttachment};
//!
//! let file = tokio::fs::File::open("note.ogg").await?;
//! room.attach(NewAttachment::new("note.ogg", "audio/ogg"), file).await?;
//!
//! while let Some(event) = room.next_event().await {
//!     match event {
//!         Event::Message(message) if message.attachment.is_some() => {
//!             let mut sound = Vec::new();
//!             room.fetch(message.id, &mut sound).await?;
//!         }
//!         Event::Attachment { transfer, .. } => println!("{transfer:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # People
//!
//! [`Conversation::members`] is everybody who can read what is said now. The founder *facilitates*:
//! may remove members ([`Conversation::remove`]), let others facilitate ([`Command::Promote`]) and
//! end an old link ([`Command::Rotate`]). Who was removed reads nothing that comes after; who joins
//! reads nothing that was said before. [`Conversation::leave`] erases keys and texts here.
//!
//! ```no_run
//! # async fn example(room: sotto_client::Conversation) -> Result<(), sotto_client::Error> {
//! use sotto_client::{Command, ErrorKind};
//!
//! for member in room.members().await? {
//!     if member.name.as_deref() == Some("Spammer") {
//!         room.remove(member.leaf).await?;
//!     }
//! }
//! match room.command(Command::Rotate).await {
//!     Err(error) if error.kind() == ErrorKind::NotAllowed => { /* only facilitators may */ }
//!     other => drop(other?),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Three ways in
//!
//! A link that leads straight in, as above, is one. With [`Admission::Approval`] it leads to a door:
//! who has it knocks ([`Event::Knock`]), and a facilitator says [`Conversation::admit`] or
//! [`Conversation::turn_away`]. The third needs no link of the room's at all: a person opens a
//! standing [`Inbox`] and gives its [`InboxLink`] away; who facilitates a room adds them by it while
//! they are away, and they say yes or no when they come.
//!
//! ```no_run
//! # async fn example(
//! #     ben: sotto_client::Client, relay: sotto_client::RelayAddress,
//! #     room: sotto_client::Conversation,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use sotto_client::{Event, InboxLink, InboxOptions, JoinOptions};
//!
//! // Ben, once:
//! let inbox = ben.open_inbox(InboxOptions::new(relay)).await?;
//! inbox.ready().await?;
//! let link = inbox.link().await?.ok_or("it was given up")?.to_string();
//!
//! // Ann, in her room, with the link that Ben gave her:
//! room.add(&link.parse::<InboxLink>()?).await?;
//!
//! // Ben, whenever he comes; his inbox is among `ben.inboxes()` then:
//! while let Some(event) = inbox.next_event().await {
//!     if let Event::Invited(invitation) = event {
//!         let name = "Ben".to_owned();
//!         let joined = ben.accept(&inbox, invitation.id, &JoinOptions { name }).await?;
//!         joined.ready().await?;
//!         break; // or inbox.decline(invitation.id)
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What others learn of oneself
//!
//! Nothing beyond one's words unless it is chosen: receipts and *typing* are off
//! ([`Choices`]). The relay sees sealed entries, padded to a few sizes, of a log without a name.
//! [`RoomOptions::keep_seconds`] makes every device forget messages and attachments after a time; who
//! is removed from such a conversation forgets them at once.
//!
//! # Coming back
//!
//! [`Client::back_up`] gives a person eight [`ReturnWords`] and from then on keeps a sealed backup of
//! which conversations they are in; with them [`Client::come_back`] brings the same person back on an
//! empty device. What was said is not in it, nor the state of any ratchet: one comes in anew in place
//! of one's old leaf, which the others see as [`Event::Returned`] and the old device as its end.
//!
//! ```no_run
//! # async fn example(
//! #     client: sotto_client::Client, other: sotto_client::Client,
//! #     relay: sotto_client::RelayAddress, typed: &str,
//! # ) -> Result<(), sotto_client::Error> {
//! use sotto_client::{BadWords, ReturnWords};
//!
//! let words = client.back_up(&relay).await?;
//! client.backed_up().await?; // the relay has it: now the words are good
//! show_once(&words.text());
//!
//! match typed.parse::<ReturnWords>() {
//!     Ok(words) => drop(other.come_back(&words, &relay).await?),
//!     Err(BadWords::Unknown(words)) => ask_again(words[0].place, &words[0].near),
//!     Err(_) => ask_again(0, &[]),
//! }
//! # Ok(())
//! # }
//! # fn show_once(_: &str) {}
//! # fn ask_again(_: usize, _: &[&str]) {}
//! ```
//!
//! Who is made to give words away gives the [`Client::decoy_words`], which every client has: they open
//! those conversations only that [`Client::show_by_decoy`] named, and do all that the others do. Show
//! them apart from the others, where a person looks for them, and again when
//! [`Client::decoy_standing`] is [`BackupStanding::Elsewhere`]: somebody used them.
//!
//! # Desks
//!
//! A desk is where people ask for help. Its [`Card`] says what it is for, when it is open and where
//! confidentiality ends, signed by the organisation that its [`DeskAddress`] names; on a poster the
//! address is eight [`DeskWords`] and the name of a relay's host. A desk that is closed or full is no
//! error but a [`DeskState`] that leaves choices. [`ErrorKind::NotTheDesk`] is somebody else in its
//! place: nothing may be sent there.
//!
//! ```no_run
//! # async fn example(
//! #     client: sotto_client::Client, typed: &str, now_ms: u64,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use sotto_client::DeskAddress;
//!
//! let visit = client.visit(&typed.parse::<DeskAddress>()?).await?;
//! let card = visit.card();
//! println!("{}", card.confidentiality().words);
//! let state = card.state(now_ms);
//! println!("{} is {}", card.name(), card.says(state, now_ms)); // ends at 13:15 (Europe/Berlin)
//! for choice in state.choices() {
//!     println!("{choice:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # When something is wrong
//!
//! Calls fail with an [`Error`] whose [`ErrorKind`] says what to do; its text holds nothing about
//! anybody, so it may be logged. What happens by itself comes as events: [`Event::Online`] for the
//! line, [`Event::Unreached`] for why there is none, [`Event::Refused`] for a link that ended, [`Event::Doubt`] and
//! [`Event::Fork`] for a relay that does what an honest one does not, [`Event::Silence`] and [`Event::Unheard`] for people
//! who are away or whom the relay keeps apart, [`Event::Expired`] for what came too late to be read.
//!
//! # Layers
//!
//! | | |
//! |---|---|
//! | [`Client`], [`Conversation`] | what apps use; needs tokio and the default feature `native` |
//! | [`engine`] | one conversation without I/O or clock: for browsers, other runtimes, simulations |
//! | [`log`] | the connection to a relay, without I/O: for clients that speak of logs, not of people |
//! | [`vault`], [`transport`] | where things are kept, and how a relay is reached; both can be replaced |

mod attachment;
#[cfg(feature = "native")]
mod client;
mod content;
#[cfg_attr(
    not(feature = "native"),
    expect(
        dead_code,
        unused_imports,
        reason = "without a disk and Argon2id nobody founds a desk, visits one or keeps badges"
    )
)]
mod desk;
pub mod engine;
pub mod error;
mod jitter;
mod link;
pub mod log;
mod mls;
mod people;
mod policy;
mod random;
mod seal;
pub mod time;
#[cfg(feature = "native")]
pub mod transport;
pub mod vault;

pub use attachment::{
    ATTACHMENT_BYTES_MAX, ATTACHMENT_NAME_BYTES_MAX, ATTACHMENTS_UNSENT_MAX,
    ATTACHMENTS_WANTED_MAX, MEDIA_TYPE_BYTES_MAX,
};
#[cfg(feature = "native")]
pub use client::{
    BackupStanding, BadgesKept, Client, ClientOptions, Conversation, ConversationId, DeskNumbers,
    Inbox, SentRating, Visit,
};
pub use content::{
    AGREEMENT_BYTES_MAX, AgreementId, CALL_BYTES_MAX, DRAFT_BYTES_MAX, MessageId, NAME_BYTES_MAX,
    REACTION_BYTES_MAX, TEXT_BYTES_MAX,
};
pub use desk::{
    Again, AgainCounts, AuditExport, AuditFault, AuditHash, AuditHead, AuditRecord, AuditWhat,
    BadHash, Count, Division, Exported, Helped, HelpedCounts, Period, Rating, SHOWN_MIN, TooFew,
};
pub use desk::{
    BADGE_ATTRIBUTE_BYTES_MAX, BADGE_ATTRIBUTES_MAX, BADGE_BATCH_MAX, BADGE_DAYS_MAX,
    BADGES_KEPT_MAX, BadBatch, BadHours, Badge, BadgeAttributes, BadgeBatch, BadgeId, BadgeList,
    BadgeRequests, BadgeState, CHOICE_BYTES_MAX, CHOICES_MAX, Card, Choice, Confidentiality,
    DESK_DATES_MAX, DESK_NAME_BYTES_MAX, DESK_RESOURCES_MAX, DESK_SLOTS_MAX, DESK_TERMS_BYTES_MAX,
    DESK_TOPIC_BYTES_MAX, DESK_TOPICS_MAX, DeskAddress, DeskDate, DeskFounding, DeskPlan,
    DeskState, DeskWords, Fit, HeldBadge, Hours, Issued, NO_RANGE_TEXT, NotIssued, Offer, Opening,
    OrganisationId, OrganisationKey, PastClaim, QueueKeys, REVOKED_MAX, Resource, Revocation,
    RevokedList, Slot, TICKET_WORDS_BYTES_MAX, Ticket, WaitRange, WaitingTicket, offer_order,
    wait_range, week_end,
};
pub use engine::{
    Admission, Agreement, AskOptions, Asked, Attaching, Attachment, Carried, Choices, Command,
    ConversationKind, Delivery, DeskTicket, DutyMode, End, Ending, Event, Fingerprint, Floor,
    InboxOptions, Invitation, InvitationId, JoinOptions, Knock, Member, Message, NewAttachment,
    OpenDraft, Place, Reaction, Reply, RoomOptions, SAFE_TRIES_MAX, Safety, Standing, Text,
    TicketId, Transfer, Undone, Unsaid, Unsent,
};
pub use error::{Error, ErrorKind, Result};
pub use link::{BadAddress, BadLink, InboxLink, Link, RelayAddress};
pub use mls::{LeafId, Suite};
pub use people::{BadSafeWord, BadWords, NearWords, ReturnWords, SafeCheck, SafeTry, SafeWord};
