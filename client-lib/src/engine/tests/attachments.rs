//! Attachments as a relay that lies hands them out: whole, or clearly not.

use sotto_protocol::frame::{ItemDone, Page};

use super::*;
use crate::attachment::{ATTACHMENTS_WANTED_MAX, CHUNK_BYTES, Cut};
use crate::engine::saved::CHUNK;

type Chunks = Vec<Vec<u8>>;

/// Five pieces, so six chunks.
const BYTES: usize = 4 * CHUNK_BYTES + 100;

impl Room {
    /// Ann attaches these bytes and says so to a relay that took every chunk; the chunks of the log.
    fn attach(&mut self, bytes: &[u8]) -> (MessageId, Chunks) {
        let what = NewAttachment::new("a", "b/c");
        let begin = Command::Attach(Attaching::Begin(what));
        let Reply::Message(id) = self.command("Ann", begin) else {
            panic!("an id")
        };
        let mut chunks = Chunks::new();
        let pieces = bytes.chunks(100_000).map(|piece| Attaching::More {
            id,
            bytes: piece.to_vec(),
        });
        for step in pieces.chain([Attaching::End(id)]) {
            let now = self.now;
            let (reply, effects) = self.engine("Ann").command(Command::Attach(step), now);
            reply.unwrap();
            let puts = effects.store.puts.into_iter();
            let staged = puts.filter(|(key, _)| key.name.starts_with(CHUNK));
            chunks.extend(staged.map(|(_, chunk)| chunk));
        }
        let cut = Cut::of(bytes.len() as u64).unwrap();
        assert_eq!(chunks.len(), cut.filled() as usize);
        let mut seq = 0;
        while seq < cut.chunks() {
            seq = cut.chunks().min(seq + 4);
            let done = ItemDone {
                day: 19_675,
                seq: seq.into(),
                chain: ChainValue::new([0; 32]),
                fence: 0,
            };
            let now = self.now;
            let answer = Ok(Answer::Appended(vec![done]));
            self.engine("Ann")
                .batch_answered(&id, &answer, now)
                .unwrap();
        }
        self.settle();
        let attached = self.engine("Ben").index[&id].attached.clone().unwrap();
        let keys = attached.secret.keys(&attached.log);
        for index in cut.filled()..cut.chunks() {
            let class = sotto_protocol::size_class::SizeClass::K64;
            chunks.push(keys.seal(cut.chunk(index), &[], class).unwrap());
        }
        (id, chunks)
    }

    /// Ben fetches, and the relay gives this; what he is told at the end.
    fn fetch(&mut self, id: MessageId, given: &[(u64, &Vec<u8>)]) -> Transfer {
        self.command("Ben", Command::Fetch(id));
        for page in given.chunks(4).chain([&[][..]]) {
            let entries = page
                .iter()
                .map(|(seq, sealed)| entry_of(*seq, sealed.as_slice().to_vec().into()));
            let entries = entries.collect();
            let page = Page {
                more: false,
                entries,
            };
            let answer = Ok(Answer::Page(page));
            self.engine("Ben").page_answered(&id, &answer).unwrap();
        }
        self.settle();
        let told = self.of("Ben").events.iter().rev();
        let mut of_it = told.filter_map(|event| match event {
            Event::Attachment { id: of, transfer } if *of == id => Some(*transfer),
            _ => None,
        });
        of_it.next().unwrap()
    }
}

impl Engine {
    /// Ben's after a restart, and a message of Ann's whose attachment is not on his device: for the
    /// tests of what drives an engine.
    pub(crate) fn without_an_attachment() -> (Self, MessageId) {
        let mut room = Room::new(&["Ann", "Ben"]);
        let (id, _) = room.attach(b"x");
        let now = Now {
            steady_ms: 0,
            ..room.now
        };
        room.device("Ben").restart(now);
        (room.devices.remove(1).engine, id)
    }
}

/// The chunks, each at its place.
fn in_order(chunks: &Chunks) -> Vec<(u64, &Vec<u8>)> {
    (1..).zip(chunks).collect()
}

const GONE: Transfer = Transfer::Failed(ErrorKind::Gone);
const ALTERED: Transfer = Transfer::Failed(ErrorKind::Altered);

#[test]
fn what_is_altered_moved_cut_off_or_of_another_attachment_is_refused() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (_, others) = room.attach(&vec![1; BYTES]);
    let (id, chunks) = room.attach(&vec![2; BYTES]);
    assert_eq!(chunks.len(), 6);
    for index in [0, 4, 5] {
        let mut altered = chunks.clone();
        altered[index][70] ^= 1;
        assert_eq!(room.fetch(id, &in_order(&altered)), ALTERED, "{index}");
        let mut foreign = chunks.clone();
        foreign[index] = others[index].clone();
        assert_eq!(room.fetch(id, &in_order(&foreign)), ALTERED, "{index}");
        let mut moved = chunks.clone();
        moved.swap(index, (index + 1) % 6);
        assert_eq!(room.fetch(id, &in_order(&moved)), ALTERED, "{index}");
        let mut missing = in_order(&chunks);
        missing.remove(index);
        assert_eq!(room.fetch(id, &missing), GONE, "{index}");
        let cut_off = &in_order(&chunks)[..index];
        assert_eq!(room.fetch(id, cut_off), GONE, "{index}");
    }
    let mut twice = in_order(&chunks);
    twice.insert(1, twice[0]);
    assert_eq!(room.fetch(id, &twice), ALTERED);
    let mut renumbered = in_order(&chunks);
    renumbered[3].1 = &chunks[2];
    assert_eq!(room.fetch(id, &renumbered), ALTERED);
    assert_eq!(room.fetch(id, &in_order(&chunks)), Transfer::Here);
}

#[test]
fn chunks_that_open_are_not_enough_if_their_digest_is_another() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (id, chunks) = room.attach(&vec![1; BYTES]);
    let attached = room.engine("Ben").index.get_mut(&id).unwrap();
    attached.attached.as_mut().unwrap().digest[0] ^= 1;
    assert_eq!(room.fetch(id, &in_order(&chunks)), ALTERED);
    assert!(!room.engine("Ben").has_attachment(&id));
}

#[test]
fn a_log_that_the_relay_does_not_open_is_told_as_gone() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (id, _) = room.attach(b"x");
    room.command("Ben", Command::Fetch(id));
    let log = room.engine("Ben").index[&id].attached.as_ref().unwrap().log;
    assert!(room.engine("Ben").attachment_refused(&log).unwrap());
    room.settle();
    assert!(room.has("Ben", |event| {
        *event == Event::Attachment { id, transfer: GONE }
    }));
}

#[test]
fn a_message_cannot_have_the_conversations_own_log_opened_anew() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (id, _) = room.attach(b"x");
    let log = room.id;
    let attached = room.engine("Ben").index.get_mut(&id).unwrap();
    attached.attached.as_mut().unwrap().log = log;
    let now = room.now;
    let (reply, _) = room.engine("Ben").command(Command::Fetch(id), now);
    assert_eq!(reply.unwrap_err().kind(), ErrorKind::Altered);
}

#[test]
fn more_attachments_than_may_wait_are_refused() {
    let mut room = Room::new(&["Ann"]);
    room.go_offline("Ann", true);
    let begin = || Command::Attach(Attaching::Begin(NewAttachment::new("a", "b/c")));
    for _ in 0..crate::attachment::ATTACHMENTS_UNSENT_MAX {
        let Reply::Message(id) = room.command("Ann", begin()) else {
            panic!("an id")
        };
        room.command("Ann", Command::Attach(Attaching::End(id)));
    }
    let now = room.now;
    let (reply, _) = room.engine("Ann").command(begin(), now);
    assert_eq!(reply.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn as_many_attachments_as_the_limit_are_wanted_and_one_more_is_refused() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (id, _) = room.attach(b"x");
    let now = room.now;
    let ben = room.engine("Ben");
    // As if as many messages had come, each with an attachment.
    let mut ids = vec![id];
    for n in 1..=ATTACHMENTS_WANTED_MAX {
        let other = MessageId::new([u8::try_from(n).unwrap(); 16]);
        let attached = ben.index[&id].clone();
        ben.index.insert(other, attached);
        ids.push(other);
    }
    let mut wants = |command| ben.command(command, now).0.map_err(|error| error.kind());
    let (last, fitting) = ids.split_last().unwrap();
    assert_eq!(fitting.len(), ATTACHMENTS_WANTED_MAX);
    for id in fitting {
        assert_eq!(wants(Command::Fetch(*id)), Ok(Reply::Kept));
    }
    assert_eq!(wants(Command::Fetch(*last)), Err(ErrorKind::TooLarge));
    let again = wants(Command::Fetch(id));
    assert_eq!(again, Ok(Reply::Kept), "it is wanted already");
    assert_eq!(wants(Command::Release(ids[1])), Ok(Reply::Kept));
    assert_eq!(wants(Command::Fetch(*last)), Ok(Reply::Kept));
    assert_eq!(wants(Command::Fetch(ids[1])), Err(ErrorKind::TooLarge));
}

#[test]
fn of_an_attachment_that_is_one_byte_too_long_nothing_is_sent_or_kept() {
    let mut room = Room::new(&["Ann"]);
    let begin = || Command::Attach(Attaching::Begin(NewAttachment::new("a", "b/c")));
    for (more, fits) in [(10, true), (11, false)] {
        let Reply::Message(id) = room.command("Ann", begin()) else {
            panic!("an id")
        };
        let uploads = &mut room.engine("Ann").transfers.uploads;
        let upload = uploads.values_mut().find(|upload| upload.id == id).unwrap();
        // As if so much had been taken in before; sealing it takes its time.
        upload.bytes = crate::ATTACHMENT_BYTES_MAX - 10;
        let bytes = vec![0; more];
        let step = Attaching::More { id, bytes };
        let now = room.now;
        let (reply, _) = room.engine("Ann").command(Command::Attach(step), now);
        assert_eq!(reply.is_ok(), fits);
        if let Err(error) = reply {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert!(room.engine("Ann").transfers.uploads.is_empty());
        }
    }
    assert!(room.of("Ann").engine.unsent().is_empty());
}
