//! A relay in a hundred lines: logs in memory, one connection, and hooks to lie with.

use std::collections::{BTreeMap, VecDeque};

use ed25519_dalek::SigningKey;
use sotto_protocol::cbor;
use sotto_protocol::chain::{self, Link};
use sotto_protocol::channel;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Bytes, Create, Created, Done, Ended, Entry, Followed, Frame, FromRelay,
    Greeting, ItemDone, Lane, Notice, Open, Opened, Page, Push, Read, Refusal, Refused, Request,
    Verb,
};
use sotto_protocol::id::{ChainValue, LogId, PublicKey, RelayIdentity, RetryId, Stamp, Tag};
use sotto_protocol::proof::{self, Purpose};
use sotto_protocol::right::Rights;
use x25519_dalek::StaticSecret;

/// One log.
pub(super) struct ModelLog {
    pub(super) entries: Vec<Entry<'static>>,
    pub(super) head: u64,
    pub(super) chain: ChainValue,
    pub(super) fence: u64,
    pub(super) key: PublicKey,
    tag: Tag,
}

impl ModelLog {
    pub(super) fn append(&mut self, sealed: &[u8], fenced: bool, day: u32) {
        self.head += 1;
        let commitment = sotto_protocol::id::Commitment::new([1; 32]);
        let fence = fenced.then_some(self.fence);
        let before = self.chain;
        self.chain = chain::extend(
            &before,
            &Link {
                seq: self.head,
                day,
                fence,
                commitment: &commitment,
                sealed,
                held: None,
            },
        );
        self.fence += u64::from(fenced);
        self.entries.push(Entry {
            day,
            seq: self.head,
            held: None,
            fence,
            stamp: Stamp::new([0; 20]),
            before,
            sealed: sealed.to_vec().into(),
            claimed: false,
            commitment,
        });
    }
}

enum Noise {
    None,
    Shaking(Box<snow::HandshakeState>),
    Up(Box<snow::TransportState>, [u8; 32]),
}

struct Following {
    lane: Lane,
    cursor: u64,
    credit: u32,
}

type PushLie = Box<dyn FnMut(Entry<'static>) -> Vec<Entry<'static>>>;
type OpenLie = Box<dyn FnMut(&mut Opened)>;

/// A relay with one connection.
pub(super) struct ModelRelay {
    signing: SigningKey,
    secret: StaticSecret,
    pub(super) day: u32,
    pub(super) logs: BTreeMap<LogId, ModelLog>,
    retries: BTreeMap<RetryId, Answer<'static>>,
    noise: Noise,
    out: VecDeque<Vec<u8>>,
    following: BTreeMap<LogId, Following>,
    starts: u8,
    /// Requests answered *busy* before anything else.
    pub(super) busy: u32,
    /// Work asked for each append and create.
    pub(super) work: Option<u8>,
    /// Requests seen, by verb's first letters.
    pub(super) seen: Vec<&'static str>,
    pub(super) lie: Option<PushLie>,
    pub(super) open_lie: Option<OpenLie>,
}

impl ModelRelay {
    pub(super) fn new(day: u32) -> Self {
        Self {
            signing: SigningKey::from_bytes(&[3; 32]),
            secret: StaticSecret::from([4; 32]),
            day,
            logs: BTreeMap::new(),
            retries: BTreeMap::new(),
            noise: Noise::None,
            out: VecDeque::new(),
            following: BTreeMap::new(),
            starts: 0,
            busy: 0,
            work: None,
            seen: Vec::new(),
            lie: None,
            open_lie: None,
        }
    }

    pub(super) fn identity(&self) -> RelayIdentity {
        RelayIdentity::new(self.signing.verifying_key().to_bytes())
    }

    /// A log that this key may read and append to.
    pub(super) fn log(&mut self, root: u8, key: &StaticSecret) -> LogId {
        let root = PublicKey::new([root; 32]);
        let log = LogId::of_root(&root);
        self.insert(log, proof::public_key(key));
        log
    }

    fn insert(&mut self, log: LogId, key: PublicKey) {
        let mut tag = [self.starts; 8];
        tag[1..].copy_from_slice(&log.as_bytes()[..7]);
        let state = ModelLog {
            entries: Vec::new(),
            head: 0,
            chain: chain::genesis(&log),
            fence: 0,
            key,
            tag: Tag::new(tag),
        };
        self.logs.insert(log, state);
    }

    /// A new process over the same store.
    pub(super) fn restart(&mut self) {
        self.disconnect();
        self.starts = self.starts.wrapping_add(1);
        for log in self.logs.values_mut() {
            let mut tag = *log.tag.as_bytes();
            tag[0] = self.starts;
            log.tag = Tag::new(tag);
        }
    }

    pub(super) fn connect(&mut self) {
        self.disconnect();
        let key = proof::public_key(&self.secret);
        let greeting = Greeting {
            day: self.day,
            key,
            identity: self.identity(),
            signature: proof::sign_day(&self.signing, self.day, &key),
        };
        let noise = snow::Builder::new(proof::NOISE_PATTERN.parse().unwrap())
            .prologue(&proof::prologue(&self.identity(), self.day))
            .unwrap()
            .local_private_key(&self.secret.to_bytes())
            .unwrap()
            .build_responder()
            .unwrap();
        self.noise = Noise::Shaking(Box::new(noise));
        self.frame(&Frame::Greeting(greeting));
    }

    pub(super) fn disconnect(&mut self) {
        self.noise = Noise::None;
        self.out.clear();
        self.following.clear();
    }

    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.noise, Noise::None)
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        self.out.push_back(cbor::encode(frame).unwrap());
    }

    /// Any bytes as the next message.
    pub(super) fn say(&mut self, message: Vec<u8>) {
        self.out.push_back(message);
    }

    pub(super) fn item(&mut self, item: &FromRelay<'_>) {
        let item = cbor::encode(item).unwrap();
        let Noise::Up(noise, _) = &mut self.noise else {
            return;
        };
        let mut sealed = Vec::new();
        for piece in channel::pieces(&item) {
            let mut room = vec![0; piece.len() + 16];
            noise.write_message(piece, &mut room).unwrap();
            sealed.extend(room);
        }
        self.frame(&Frame::Noise(Bytes::from(sealed)));
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.item(&FromRelay::Notice(notice));
    }

    pub(super) fn end(&mut self, log: &LogId) {
        let tag = self.logs[log].tag;
        self.following.remove(log);
        self.notice(Notice::Ended(Ended { tag }));
    }

    /// The next message to the client.
    pub(super) fn poll(&mut self) -> Option<Vec<u8>> {
        self.pump();
        self.out.pop_front()
    }

    fn pump(&mut self) {
        if !matches!(self.noise, Noise::Up(..)) {
            return;
        }
        let mut pushes = Vec::new();
        for (id, following) in &mut self.following {
            let log = &self.logs[id];
            for entry in &log.entries {
                let wanted = entry.seq > following.cursor
                    && (following.lane == Lane::All || entry.fence.is_some());
                if wanted && following.credit > 0 {
                    following.credit -= 1;
                    following.cursor = entry.seq;
                    let told = match &mut self.lie {
                        Some(lie) => lie(entry.clone()),
                        None => vec![entry.clone()],
                    };
                    pushes.extend(told.into_iter().map(|entry| (log.tag, entry)));
                }
            }
        }
        for (tag, entry) in pushes {
            self.frame(&Frame::Push(Push { tag, entry }));
        }
    }

    pub(super) fn receive(&mut self, message: &[u8]) {
        let Ok(Frame::Noise(bytes)) = cbor::decode::<Frame<'_>>(message) else {
            panic!("the client sent no noise frame");
        };
        match core::mem::replace(&mut self.noise, Noise::None) {
            Noise::None => {}
            Noise::Shaking(mut noise) => {
                let mut buffer = [0; 256];
                assert_eq!(noise.read_message(bytes.as_slice(), &mut buffer), Ok(0));
                let length = noise.write_message(&[], &mut buffer).unwrap();
                let hash = noise.get_handshake_hash().try_into().unwrap();
                let up = noise.into_transport_mode().unwrap();
                self.noise = Noise::Up(Box::new(up), hash);
                self.frame(&Frame::Noise(Bytes::from(&buffer[..length])));
            }
            Noise::Up(mut noise, hash) => {
                let mut item = vec![0; bytes.as_slice().len()];
                let mut end = 0;
                for message in channel::messages(bytes.as_slice()) {
                    end += noise.read_message(message, &mut item[end..]).unwrap();
                }
                self.noise = Noise::Up(noise, hash);
                let request: Request<'_> = cbor::decode(&item[..end]).unwrap();
                self.request(request, &hash);
            }
        }
    }

    fn request(&mut self, request: Request<'_>, hash: &[u8; 32]) {
        let id = request.id;
        let is_credit = matches!(request.verb, Verb::Credit(_));
        let answer = self.answer(request.verb, hash);
        match answer {
            Ok(_) if is_credit => {}
            Ok(answer) => self.item(&FromRelay::Done(Done { id, answer })),
            Err(refusal) => self.item(&FromRelay::Refused(Refused { id, refusal })),
        }
    }

    fn answer(&mut self, verb: Verb<'_>, hash: &[u8; 32]) -> Result<Answer<'static>, Refusal> {
        if self.busy > 0 {
            self.busy -= 1;
            let mut refusal = Refusal::of(ErrorCode::Busy);
            refusal.retry_after_ms = Some(1000);
            return Err(refusal);
        }
        match verb {
            Verb::Create(create) => self.create(&create, hash),
            Verb::Open(open) => self.open(&open, hash),
            Verb::Append(append) => self.append(&append, hash),
            Verb::Read(read) => Ok(self.read(&read)),
            Verb::Follow(follow) => {
                self.seen.push("follow");
                let following = Following {
                    lane: follow.lane,
                    cursor: follow.after,
                    credit: follow.credit,
                };
                let tag = self.logs[&follow.log].tag;
                self.following.insert(follow.log, following);
                Ok(Answer::Followed(Followed { tag }))
            }
            Verb::Credit(credit) => {
                self.seen.push("credit");
                if let Some(following) = self.following.get_mut(&credit.log) {
                    following.credit += credit.more;
                }
                Ok(Answer::Ok)
            }
            Verb::Unfollow(unfollow) => {
                self.seen.push("unfollow");
                self.following.remove(&unfollow.log);
                Ok(Answer::Ok)
            }
            _ => {
                self.seen.push("other");
                Ok(Answer::Ok)
            }
        }
    }

    fn paid(
        &self,
        work: Option<u64>,
        hash: &[u8; 32],
        log: &LogId,
        retry: &RetryId,
    ) -> Result<(), Refusal> {
        let Some(bits) = self.work else {
            return Ok(());
        };
        let done = work.map_or(0, |nonce| proof::work_bits(hash, log, retry, nonce));
        if done >= u32::from(bits) {
            return Ok(());
        }
        Err(Refusal {
            bits: self.work,
            ..Refusal::of(ErrorCode::WorkNeeded)
        })
    }

    fn create(&mut self, create: &Create<'_>, hash: &[u8; 32]) -> Result<Answer<'static>, Refusal> {
        self.seen.push("create");
        let log = LogId::of_root(&create.root);
        assert!(proof::verify(
            &self.secret,
            &create.root,
            Purpose::Create,
            hash,
            &log,
            &create.proof
        ));
        self.paid(create.work, hash, &log, &create.retry)?;
        if let Some(answer) = self.retries.get(&create.retry) {
            return Ok(answer.clone());
        }
        self.insert(log, create.grants[0].key);
        let chain = chain::genesis(&log);
        let answer = Answer::Created(Created { chain });
        self.retries.insert(create.retry, answer.clone());
        Ok(answer)
    }

    fn open(&mut self, open: &Open, hash: &[u8; 32]) -> Result<Answer<'static>, Refusal> {
        self.seen.push("open");
        let refused = || Refusal::of(ErrorCode::Refused);
        let log = self.logs.get(&open.log).ok_or_else(refused)?;
        let first = &open.proofs[0];
        let proved = first.key == log.key
            && proof::verify(
                &self.secret,
                &first.key,
                Purpose::Open,
                hash,
                &open.log,
                &first.mac,
            );
        if !proved {
            return Err(refused());
        }
        let mut opened = Opened {
            day: self.day,
            tag: log.tag,
            head: log.head,
            pins: Vec::new(),
            chain: log.chain,
            fence: log.fence,
            first: log.entries.first().map_or(log.head + 1, |entry| entry.seq),
            rights: Rights::READ | Rights::APPEND,
            version: 1,
        };
        if let Some(lie) = &mut self.open_lie {
            lie(&mut opened);
        }
        Ok(Answer::Opened(opened))
    }

    fn append(&mut self, append: &Append<'_>, hash: &[u8; 32]) -> Result<Answer<'static>, Refusal> {
        self.seen.push("append");
        self.paid(append.work, hash, &append.items[0].log, &append.retry)?;
        if let Some(answer) = self.retries.get(&append.retry) {
            return Ok(answer.clone());
        }
        let day = self.day;
        let mut done = Vec::new();
        for item in &append.items {
            let log = self.logs.get_mut(&item.log).unwrap();
            for entry in &item.entries {
                log.append(entry.sealed.as_slice(), item.fence.is_some(), day);
            }
            done.push(ItemDone {
                day,
                seq: log.head,
                chain: log.chain,
                fence: log.fence,
            });
        }
        let answer = Answer::Appended(done);
        self.retries.insert(append.retry, answer.clone());
        Ok(answer)
    }

    fn read(&mut self, read: &Read) -> Answer<'static> {
        self.seen.push("read");
        let log = &self.logs[&read.log];
        let rest: Vec<_> = log
            .entries
            .iter()
            .filter(|entry| entry.seq > read.after)
            .cloned()
            .collect();
        let max = read.entries_max as usize;
        Answer::Page(Page {
            more: rest.len() > max,
            entries: rest.into_iter().take(max).collect(),
        })
    }
}
