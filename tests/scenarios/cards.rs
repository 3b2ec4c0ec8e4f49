//! A desk's card is read by an address or by the words of a poster; whoever puts another one in its
//! place is found out, and nobody writes there. The desk's side is written by the recipe of SPEC.md
//! ("Desks") and not with the code that is looked at.

#[path = "../../protocol/tests/wire/json.rs"]
#[expect(dead_code, reason = "cards are written here, and none is taken apart")]
mod json;

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sotto_client::error::{Error, ErrorKind};
use sotto_client::{
    BadWords, Client, ClientOptions, DeskAddress, DeskState, DeskWords, OrganisationId,
};
use sotto_protocol::frame::{Answer, Create, NewEntry, Trim, Verb};
use sotto_protocol::id::{Commitment, RelayIdentity};
use sotto_protocol::proof::Purpose;
use sotto_protocol::right::Rights;
use sotto_tests::device::{Death, Disk};
use sotto_tests::peer::{Peer, TestLog, random, retry, secret};
use sotto_tests::world::{World, pass};
use tokio::io::DuplexStream;
use x25519_dalek::StaticSecret;

const HOST: &str = "ws://localhost";
/// What a person reads who is shown another desk.
const WARNING: &str = "this is not the desk whose address you have: do not write here; get the \
                       address again from where you had it";

/// Whoever runs desk 7 of an organisation.
struct Team {
    organisation: SigningKey,
    relay: RelayIdentity,
    peer: Peer<DuplexStream>,
    /// Its root; its key is the team's manage key.
    log: TestLog,
    read: StaticSecret,
    seal: [u8; 32],
    /// The base of every card.
    card: Value,
}

fn hexed(bytes: &[u8]) -> Value {
    json!({ "hex": hex::encode(bytes) })
}

fn vector() -> Value {
    let text = include_str!("../../protocol/vectors/desk.json");
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    let card = all.iter().find(|one| one["name"] == "card").unwrap();
    card["decoded"].clone()
}

impl Team {
    async fn new(world: &World) -> Self {
        let organisation = SigningKey::from_bytes(&random());
        let public = organisation.verifying_key().to_bytes();
        let digest = Sha256::digest([b"sotto/v1/desk".as_slice(), &public, &[7]].concat());
        let params = Params::new(64 * 1_024, 3, 1, Some(32)).unwrap();
        let mut master = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&digest[..10], b"sotto/v1/desk", &mut master)
            .unwrap();
        let derive = |label: &[u8]| {
            let mut key = [0; 32];
            let source = Hkdf::<Sha256>::new(Some(b"sotto/v1/desk"), &master);
            source.expand(label, &mut key).unwrap();
            key
        };
        let mut card = vector();
        card["organisation"] = hexed(&public);
        card["relay"] = hexed(world.relay.identity.as_bytes());
        card["until"] = json!(u32::MAX);
        let mut team = Self {
            organisation,
            relay: world.relay.identity,
            peer: world.relay.peer().await,
            log: TestLog {
                root: derive(b"root").into(),
                key: secret(),
            },
            read: derive(b"read").into(),
            seal: derive(b"seal"),
            card,
        };
        team.make_log().await;
        team
    }

    async fn make_log(&mut self) {
        let manage = Rights::from_bits(293).unwrap();
        let grants = vec![
            TestLog::grant(&self.read, Rights::READ),
            TestLog::grant(&self.log.key, manage),
        ];
        let create = self.peer.create(&self.log, grants);
        let mut policy = create.policy;
        policy.ttl_days = 400;
        policy.ttl_fenced_days = 400;
        policy.bytes_max = 262_144;
        policy.admit_rights = Rights::NONE;
        let create = Create { policy, ..create };
        self.peer.call(Verb::Create(create)).await.unwrap();
        let key = self.log.key.clone();
        self.peer.open_log(&self.log.id(), &key).await.unwrap();
    }

    fn card(&self, number: u64) -> Value {
        let mut card = self.card.clone();
        card["number"] = json!(number);
        card
    }

    /// A card's entry, signed by this key.
    fn signed(&self, card: &Value, key: &SigningKey) -> Vec<u8> {
        let (card, log) = (json::to_cbor(card), self.log.id());
        let digest = Sha256::digest(&card);
        let said = [b"sotto/v1/card".as_slice(), log.as_bytes(), &digest].concat();
        let signature = key.sign(&said).to_bytes();
        let signed = json!({ "card": hexed(&card), "signature": hexed(&signature) });
        self.boxed(&json::to_cbor(&signed))
    }

    fn boxed(&self, packet: &[u8]) -> Vec<u8> {
        let nonce: [u8; 24] = random();
        let ad = [b"sotto/v1/card".as_slice(), self.log.id().as_bytes()].concat();
        let mut plaintext = u32::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
        plaintext.extend(packet);
        plaintext.resize(4_096 - 40, 0);
        let payload = Payload {
            msg: &plaintext,
            aad: &ad,
        };
        let boxed = XChaCha20Poly1305::new(&self.seal.into())
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap();
        [nonce.as_slice(), &boxed].concat()
    }

    async fn append(&mut self, sealed: Vec<u8>) -> u64 {
        let entry = NewEntry {
            held: None,
            owner: None,
            sealed: sealed.into(),
            last_resort: false,
            commitment: Commitment::new(random()),
        };
        let verb = self.peer.append(&self.log.id(), vec![entry]);
        let Answer::Appended(done) = self.peer.call(verb).await.unwrap() else {
            panic!("not appended")
        };
        done[0].seq
    }

    /// Puts a card in the place of all that stands there.
    async fn publishes(&mut self, card: &Value) {
        let sealed = self.signed(card, &self.organisation);
        self.shows(sealed).await;
    }

    async fn shows(&mut self, sealed: Vec<u8>) {
        let seq = self.append(sealed).await;
        let trim = Trim {
            to: seq - 1,
            day: self.peer.day(),
            log: self.log.id(),
            retry: retry(),
        };
        if seq > 1 {
            self.peer.call(Verb::Trim(trim)).await.unwrap();
        }
    }

    fn address(&self, world: &World) -> DeskAddress {
        let organisation = self.organisation.verifying_key().to_bytes();
        DeskAddress::new(world.address(), OrganisationId::new(organisation), 7)
    }
}

async fn warned(client: &Client, address: &DeskAddress, why: &str) {
    let by_words = client.visit_by_words(&address.words(), HOST).await;
    for refused in [client.visit(address).await, by_words] {
        is_warning(&refused.unwrap_err(), why);
    }
}

fn is_warning(error: &Error, why: &str) {
    assert_eq!(error.kind(), ErrorKind::NotTheDesk, "{error:?}");
    assert_eq!(error.to_string(), WARNING);
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(source.contains(why), "{source}");
}

#[tokio::test(start_paused = true)]
async fn link_and_words_lead_to_one_desk_and_words_learn_its_relay() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let card = team.card(1);
    team.publishes(&card).await;
    let address = team.address(&world);

    let (by_link, _) = world.device().await;
    let link: DeskAddress = address.to_string().parse().unwrap();
    let visit = by_link.visit(&link).await.unwrap();
    assert_eq!(visit.card().name(), "Night line");
    assert_eq!(visit.card().number(), 1);
    assert_eq!(visit.card().topics(), ["grief", "bullying"]);
    assert_eq!(visit.card().resources()[0].how, "112");
    assert_eq!(visit.card().relay(), &team.relay);
    let monday_evening = (20_787 * 24 + 18) * 3_600_000;
    assert!(matches!(
        visit.state(monday_evening),
        DeskState::Open { .. }
    ));

    let (by_words, _) = world.device().await;
    let typed = address.words().to_string().to_uppercase();
    let words: DeskWords = typed.parse().unwrap();
    let found = by_words.visit_by_words(&words, HOST).await.unwrap();
    assert_eq!(found.card(), visit.card());
    // Who came by words has the whole address from then on.
    assert_eq!(found.address().relay().identity(), &team.relay);
    assert_eq!(found.address().words(), words);
    assert!(by_words.visit(found.address()).await.is_ok());

    let slip = typed.replacen(address.words().words()[0], "", 1);
    let slip = slip.replacen(&address.words().words()[0].to_uppercase(), "XQZZZK", 1);
    assert!(matches!(
        slip.parse::<DeskWords>(),
        Err(BadWords::Unknown(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn where_no_card_is_there_is_no_desk() {
    let world = World::start().await;
    let (client, network) = world.device().await;
    let nobody = DeskAddress::new(world.address(), OrganisationId::new([1; 32]), 7);
    let refused = client.visit(&nobody).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let team = Team::new(&world).await;
    let refused = client.visit(&team.address(&world)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "an empty log");
    network.cut();
    let refused = client.visit(&nobody).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    let words = nobody.words();
    let refused = client.visit_by_words(&words, "no host").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Address);
}

#[tokio::test(start_paused = true)]
async fn another_organisations_card_in_the_desks_place_is_found_out() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let (client, _) = world.device().await;
    let address = team.address(&world);
    let stranger = SigningKey::from_bytes(&random());

    // Whoever has the log's keys puts in their own organisation's card, well signed.
    let mut card = team.card(5);
    card["organisation"] = hexed(&stranger.verifying_key().to_bytes());
    let theirs = team.signed(&card, &stranger);
    team.shows(theirs.clone()).await;
    warned(&client, &address, "signed").await;

    // Or this organisation's, with a key of their own to seal to.
    let mut card = team.card(5);
    card["sealing"] = hexed(&random::<32>());
    let forged = team.signed(&card, &stranger);
    team.shows(forged.clone()).await;
    warned(&client, &address, "signed").await;

    // Beside a card that holds they are junk, whatever number they have.
    let card = team.card(1);
    team.publishes(&card).await;
    team.append(theirs).await;
    team.append(forged).await;
    let visit = client.visit(&address).await.unwrap();
    assert_eq!(visit.card().number(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_older_card_is_refused_by_who_saw_a_later_one_also_after_a_restart() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let address = team.address(&world);
    let disk = Disk::default();
    let options = || ClientOptions::vault(disk.vault(Death::Never));
    let (client, _) = world.device_with(options()).await;
    let (early, late) = (team.card(3), team.card(4));
    team.publishes(&late).await;
    assert_eq!(client.visit(&address).await.unwrap().card().number(), 4);

    team.publishes(&early).await;
    pass(Duration::from_secs(60)).await;
    warned(&client, &address, "older").await;
    client.close().await;
    drop(client);
    let (client, _) = world.device_with(options()).await;
    warned(&client, &address, "older").await;

    // Who was never here can't know; with the later one back all is well.
    let (newcomer, _) = world.device().await;
    assert_eq!(newcomer.visit(&address).await.unwrap().card().number(), 3);
    team.publishes(&late).await;
    assert!(client.visit(&address).await.is_ok());

    // What is forgotten is gone from the disk, too.
    client.forget_desks().await.unwrap();
    client.close().await;
    drop(client);
    let (client, _) = world.device_with(options()).await;
    team.publishes(&early).await;
    assert_eq!(client.visit(&address).await.unwrap().card().number(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_card_for_another_relay_is_refused() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let (client, _) = world.device().await;
    let address = team.address(&world);
    // All that stands on the desk's relay was copied to this one.
    let mut card = team.card(1);
    card["relay"] = hexed(&[9; 32]);
    team.publishes(&card).await;
    warned(&client, &address, "another relay").await;

    // Who has the address of the true one is not even greeted by this.
    let elsewhere = sotto_server::identity::relay_address(HOST, &RelayIdentity::new([9; 32]));
    let true_one = DeskAddress::new(elsewhere.parse().unwrap(), *address.organisation(), 7);
    let refused = client.visit(&true_one).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotTheRelay);
}

#[tokio::test(start_paused = true)]
async fn a_card_is_read_again_after_a_minute_and_not_before() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let (client, network) = world.device().await;
    let address = team.address(&world);
    let (first, second) = (team.card(1), team.card(2));
    team.publishes(&first).await;
    assert_eq!(client.visit(&address).await.unwrap().card().number(), 1);
    team.publishes(&second).await;
    pass(Duration::from_millis(59_900)).await;
    network.cut();
    for visit in [
        client.visit(&address).await,
        client.visit_by_words(&address.words(), HOST).await,
    ] {
        assert_eq!(visit.unwrap().card().number(), 1);
    }
    network.mend(&world.relay);
    pass(Duration::from_millis(200)).await;
    assert_eq!(client.visit(&address).await.unwrap().card().number(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_address_reads_nothing_of_a_card() {
    let world = World::start().await;
    let mut team = Team::new(&world).await;
    let card = team.card(1);
    team.publishes(&card).await;
    let mut stranger = world.relay.peer().await;
    let refused = stranger.open_log(&team.log.id(), &secret()).await;
    assert!(refused.is_err());
    // Who has it may read and do nothing else.
    let mut reader = world.relay.peer().await;
    let log = team.log.id();
    reader.open_log(&log, &team.read).await.unwrap();
    assert!(reader.say(&log, "x").await.is_err());
    let proof = reader.prove(&team.read, Purpose::Open, &log);
    assert_ne!(proof.key.as_bytes(), &team.seal);
}
