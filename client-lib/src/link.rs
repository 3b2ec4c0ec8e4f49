//! Links: what a person is given so that they may join. SPEC.md, "Links".
//!
//! ```text
//! sotto:1:<base64url, no padding, of the CBOR below>
//! ```
//!
//! A link is a secret. It never stands in a URL's query, where proxies would log it.

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use sotto_protocol::id::{LogId, PublicKey, RelayIdentity};

use crate::mls::{LeafId, Suite};
use crate::seal::ConversationSecret;

const PREFIX: &str = "sotto:1:";
const INBOX_PREFIX: &str = "sotto-inbox:1:";
/// The longest relay URL in a link.
const URL_BYTES_MAX: usize = 256;
/// The longest link; one of the longest URL with room to spare.
const LINK_BYTES_MAX: usize = 1_024;

/// Where a relay is and who it must prove to be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayAddress {
    /// `wss://host/…`, or `ws://` to this machine.
    #[serde(deserialize_with = "url_of_a_length")]
    pub(crate) url: String,
    /// The relay's Ed25519 identity.
    pub(crate) identity: RelayIdentity,
}

fn url_of_a_length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.is_empty() || url.len() > URL_BYTES_MAX {
        return Err(serde::de::Error::custom("a URL has 1 to 256 bytes"));
    }
    Ok(url)
}

impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayAddress(…)")
    }
}

impl RelayAddress {
    /// The WebSocket URL, without the identity.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The relay's identity.
    #[must_use]
    pub fn identity(&self) -> &RelayIdentity {
        &self.identity
    }
}

/// As a relay prints it: `ws://host:port/#<base64url of the identity>`.
impl FromStr for RelayAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let whole = BadAddress::Incomplete;
        let (url, identity) = text.trim().split_once('#').ok_or(whole)?;
        let identity = URL_SAFE_NO_PAD.decode(identity).map_err(|_| whole)?;
        let identity = RelayIdentity::try_from(identity.as_slice()).map_err(|_| whole)?;
        Ok(Self {
            url: checked_url(url)?.to_owned(),
            identity,
        })
    }
}

fn checked_url(url: &str) -> Result<&str, BadAddress> {
    if url.len() > URL_BYTES_MAX {
        return Err(BadAddress::Incomplete);
    }
    match url.split_once("://") {
        Some(("wss", _)) => Ok(url),
        Some(("ws", rest)) if is_this_machine(rest) => Ok(url),
        Some(("ws", _)) => Err(BadAddress::WithoutTls),
        _ => Err(BadAddress::Incomplete),
    }
}

/// The URL of a relay as a poster says it: the name of its host, or the URL itself.
#[cfg(any(feature = "native", test))]
pub(crate) fn url_of_host(text: &str) -> Result<String, BadAddress> {
    let text = text.trim();
    if text.is_empty() || text.contains('#') || text.contains(char::is_whitespace) {
        return Err(BadAddress::Incomplete);
    }
    if text.contains("://") {
        return checked_url(text).map(str::to_owned);
    }
    let url = format!("wss://{text}/");
    checked_url(&url).map(str::to_owned)
}

/// Whether what follows `ws://` names this machine; without TLS a bystander could see which relay one
/// speaks to, and when.
fn is_this_machine(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or(authority);
    // A user name could be taken for the host.
    if authority.contains('@') {
        return false;
    }
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The text is not the address of a relay that this SDK connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAddress {
    /// It is not whole, or not an address.
    #[error(
        "this is not a complete address of a relay; copy it as the relay prints it, from ws:// or \
         wss:// to the last character"
    )]
    Incomplete,
    /// It is `ws://` and beyond this machine.
    #[error("without TLS only a relay on this machine is spoken to; use its wss:// address")]
    WithoutTls,
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{}",
            self.url,
            URL_SAFE_NO_PAD.encode(self.identity.as_bytes())
        )
    }
}

/// The text is not a link of Sotto, or was damaged on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a complete Sotto link; please copy it again, from its first to its last character"
)]
pub struct BadLink;

/// A link to a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(pub(crate) LinkBody);

/// What a link holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkBody {
    /// Knock at a door; somebody must say yes.
    Door(DoorLink),
    /// Join by oneself.
    Room(RoomLink),
}

/// Opens a room to whoever has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomLink {
    pub(crate) log: LogId,
    pub(crate) relay: RelayAddress,
    pub(crate) secret: ConversationSecret,
    /// The leaf of the facilitator that the link's maker believes in; a newcomer believes a
    /// snapshot only if a chain of vouching leads from this leaf to the snapshot's maker.
    pub(crate) founder: LeafId,
}

/// Leads to a door.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoorLink {
    /// The door's log.
    pub(crate) door: LogId,
    /// Secret grant key (X25519) that may append knocks.
    #[serde(with = "serde_bytes")]
    pub(crate) knock: [u8; 32],
    pub(crate) relay: RelayAddress,
    /// The conversation's suite, for the KeyPackage.
    pub(crate) suite: Suite,
    pub(crate) founder: LeafId,
    /// HPKE public key (DHKEM X25519) that knocks are sealed to.
    pub(crate) sealing: PublicKey,
}

/// What a keeper of a door has beside its link; goes to other facilitators and into a backup.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoorKeys {
    /// It is a chat's: the first who knocks is let in, and nobody after them.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(crate) chat: bool,
    /// Secret grant key that reads, trims and manages the door's log.
    #[serde(with = "serde_bytes")]
    pub(crate) keeper: [u8; 32],
    /// HPKE secret key that knocks are sealed to.
    #[serde(with = "serde_bytes")]
    pub(crate) opening: [u8; 32],
}

impl fmt::Debug for DoorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DoorKeys(…)")
    }
}

/// The address of an inbox: who has it may add its owner to conversations on its relay, and do
/// nothing else with it. Made by [`Inbox::link`](crate::Inbox::link).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxLink {
    /// The log that KeyPackages are taken from.
    pub(crate) pool: LogId,
    /// Secret grant key (X25519) that may take.
    #[serde(with = "serde_bytes")]
    pub(crate) take: [u8; 32],
    /// The log that invitations are appended to.
    pub(crate) inbox: LogId,
    /// Who signs the KeyPackages.
    pub(crate) owner: LeafId,
    pub(crate) relay: RelayAddress,
    /// Of the KeyPackages.
    pub(crate) suite: Suite,
    /// Secret grant key (X25519) that may append invitations.
    #[serde(with = "serde_bytes")]
    pub(crate) append: [u8; 32],
    /// HPKE secret key that KeyPackages are sealed to.
    #[serde(with = "serde_bytes")]
    pub(crate) opening: [u8; 32],
    /// HPKE public key that invitations are sealed to.
    pub(crate) sealing: PublicKey,
}

impl InboxLink {
    /// Where the inbox's relay is; only conversations on it can use the inbox.
    #[must_use]
    pub const fn relay(&self) -> &RelayAddress {
        &self.relay
    }

    /// The suite of conversations that can use the inbox.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

impl fmt::Debug for InboxLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InboxLink(…)")
    }
}

impl fmt::Display for InboxLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_link(f, INBOX_PREFIX, self)
    }
}

impl FromStr for InboxLink {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        let link: Self = read_link(INBOX_PREFIX, text)?;
        checked(&link.relay).map(|()| link)
    }
}

pub(crate) fn write_link(
    f: &mut fmt::Formatter<'_>,
    prefix: &str,
    body: &impl Serialize,
) -> fmt::Result {
    let body = sotto_protocol::cbor::encode(body).map_err(|_| fmt::Error)?;
    write!(f, "{prefix}{}", URL_SAFE_NO_PAD.encode(body))
}

pub(crate) fn read_link<T: Serialize + serde::de::DeserializeOwned>(
    prefix: &str,
    text: &str,
) -> Result<T, BadLink> {
    let text = text.trim();
    if text.len() > LINK_BYTES_MAX {
        return Err(BadLink);
    }
    let body = text.strip_prefix(prefix).ok_or(BadLink)?;
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadLink)?;
    sotto_protocol::cbor::decode(&body).map_err(|_| BadLink)
}

/// The same rules for an address inside a link as for one that a person types.
pub(crate) fn checked(relay: &RelayAddress) -> Result<(), BadLink> {
    let again = relay.to_string().parse::<RelayAddress>();
    again.map(drop).map_err(|_| BadLink)
}

impl Link {
    /// Where the conversation's relay is.
    #[must_use]
    pub fn relay(&self) -> &RelayAddress {
        match &self.0 {
            LinkBody::Door(door) => &door.relay,
            LinkBody::Room(room) => &room.relay,
        }
    }

    /// Whether somebody must let in who has this link; otherwise one joins by oneself.
    #[must_use]
    pub const fn asks_for_a_yes(&self) -> bool {
        matches!(self.0, LinkBody::Door(_))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(…)")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_link(f, PREFIX, &self.0)
    }
}

impl FromStr for Link {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        let link = Self(read_link(PREFIX, text)?);
        checked(link.relay()).map(|()| link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link(LinkBody::Room(RoomLink {
            log: LogId::new([1; 32]),
            relay: RelayAddress {
                url: "ws://127.0.0.1:1/".into(),
                identity: RelayIdentity::new([2; 32]),
            },
            secret: ConversationSecret::new([4; 32]),
            founder: LeafId::new([3; 32]),
        }))
    }

    #[test]
    fn a_link_survives_copying_and_nothing_less() {
        let text = link().to_string();
        assert_eq!(text.parse::<Link>().unwrap(), link());
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<Link>(), Err(BadLink), "cut at {end}");
        }
        assert_eq!(format!("{text}A").parse::<Link>(), Err(BadLink));
    }

    #[test]
    fn an_address_and_a_link_may_be_as_long_as_their_limits_and_no_longer() {
        for (length, is_read) in [(URL_BYTES_MAX, true), (URL_BYTES_MAX + 1, false)] {
            let relay = RelayAddress {
                url: format!("wss://{}", "x".repeat(length - 6)),
                identity: RelayIdentity::new([2; 32]),
            };
            assert_eq!(relay.to_string().parse::<RelayAddress>().is_ok(), is_read);
            let Link(LinkBody::Room(room)) = link() else {
                panic!("a room")
            };
            let room_text = Link(LinkBody::Room(RoomLink {
                relay: relay.clone(),
                ..room.clone()
            }))
            .to_string();
            let door_text = Link(LinkBody::Door(DoorLink {
                door: room.log,
                knock: [5; 32],
                relay,
                suite: Suite::Classic,
                founder: room.founder,
                sealing: PublicKey::new([6; 32]),
            }))
            .to_string();
            for text in [room_text, door_text] {
                assert_eq!(text.parse::<Link>().is_ok(), is_read);
                assert!(text.len() <= LINK_BYTES_MAX, "{} bytes", text.len());
            }
        }
        // What is longer is not even decoded.
        let body = "A".repeat(LINK_BYTES_MAX - PREFIX.len() + 1);
        assert_eq!(format!("{PREFIX}{body}").parse::<Link>(), Err(BadLink));
    }

    #[test]
    fn a_link_to_a_door_survives_copying() {
        let Link(LinkBody::Room(room)) = link() else {
            panic!("a room")
        };
        let door = Link(LinkBody::Door(DoorLink {
            door: room.log,
            knock: [5; 32],
            relay: room.relay,
            suite: Suite::Classic,
            founder: room.founder,
            sealing: PublicKey::new([6; 32]),
        }));
        assert_eq!(door.to_string().parse::<Link>().unwrap(), door);
        assert!(door.asks_for_a_yes());
        assert!(!link().asks_for_a_yes());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", link()), "Link(…)");
    }

    #[test]
    fn a_relay_address_survives_copying() {
        let address: RelayAddress =
            format!("wss://relay.example/#{}", URL_SAFE_NO_PAD.encode([5; 32]))
                .parse()
                .unwrap();
        assert_eq!(
            address.to_string().parse::<RelayAddress>().unwrap(),
            address
        );
    }

    #[test]
    fn a_host_on_a_poster_is_spoken_to_over_tls() {
        let host = |text| url_of_host(text);
        assert_eq!(host(" relay.example "), Ok("wss://relay.example/".into()));
        assert_eq!(host("ws://127.0.0.1:7"), Ok("ws://127.0.0.1:7".into()));
        assert_eq!(host("ws://relay.example"), Err(BadAddress::WithoutTls));
        let long = "x".repeat(URL_BYTES_MAX - 7);
        assert!(host(&long).is_ok());
        for text in ["", "http://a", "wss://a/#b", "a b", &format!("{long}x")] {
            assert_eq!(host(text), Err(BadAddress::Incomplete), "{text}");
        }
    }

    #[test]
    fn without_tls_an_address_names_this_machine() {
        let parse = |url: &str| {
            let text = format!("{url}#{}", URL_SAFE_NO_PAD.encode([5; 32]));
            text.parse::<RelayAddress>()
        };
        for url in [
            "ws://localhost:1/",
            "ws://127.8.8.8/path",
            "ws://[::1]:9",
            "wss://relay.example",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "ws://relay.example/",
            "ws://192.168.1.1",
            "ws://0.0.0.0:1",
            "ws://127.0.0.1.example",
            "ws://localhost@relay.example",
            "ws://localhost:1@relay.example",
            "ws://[::ffff:10.0.0.1]",
        ] {
            assert_eq!(parse(url), Err(BadAddress::WithoutTls), "{url}");
        }
        for url in ["http://localhost", "relay.example", "", "//localhost"] {
            assert_eq!(parse(url), Err(BadAddress::Incomplete), "{url}");
        }
        let cut = "ws://127.0.0.1:1/#AA".parse::<RelayAddress>();
        assert_eq!(cut, Err(BadAddress::Incomplete));
    }
}
