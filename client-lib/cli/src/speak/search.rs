//! Looks for words in files: as they are, as hexadecimal and as base64 at each of its three
//! alignments, in one pass. The same search must find a control text, or it proves nothing.
//!
//! Of a long text its beginning is looked for: whoever holds the whole holds that too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sotto_client::Link;

use crate::output::Failure;

/// Shorter texts stand in any file by chance, and are not looked for.
pub(crate) const SENTENCE_BYTES_MIN: usize = 16;
/// So much of a text is looked for: 32 bytes are nobody else's by chance.
const PROBE_BYTES_MAX: usize = 32;
/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Sentence,
    Name,
    Secret,
    Control,
}

/// Everything that is looked for, made ready for one pass.
pub(crate) struct Needles {
    finder: AhoCorasick,
    /// The kinds that a pattern stands for, by number of the pattern.
    meanings: Vec<BTreeSet<(Kind, usize)>>,
    overlap: usize,
    control: Vec<u8>,
    sentences: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    hits: BTreeSet<(Kind, usize)>,
    /// Files in which the control text was seen.
    control: BTreeSet<PathBuf>,
}

impl Found {
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        let hits = self.hits.iter().filter(|(found, _)| *found == kind);
        u64::try_from(hits.count()).unwrap_or(u64::MAX)
    }

    pub(crate) fn sentences(&self) -> u64 {
        self.count(Kind::Sentence)
    }

    pub(crate) fn names(&self) -> u64 {
        self.count(Kind::Name)
    }

    pub(crate) fn secrets(&self) -> u64 {
        self.count(Kind::Secret)
    }
}

impl Needles {
    /// Sentences shorter than [`SENTENCE_BYTES_MIN`] are left out; a link counts with its secret.
    pub(crate) fn new<'a>(
        sentences: impl Iterator<Item = &'a str>,
        names: impl Iterator<Item = &'a str>,
        links: &[Link],
    ) -> Result<Self, Failure> {
        let mut control = [0; PROBE_BYTES_MAX];
        getrandom::fill(&mut control)
            .map_err(|_| Failure::could_not_run("the system gave no randomness"))?;
        let sentences: BTreeSet<_> = sentences
            .filter(|text| text.len() >= SENTENCE_BYTES_MIN)
            .collect();
        let mut things: Vec<(Kind, Vec<u8>)> = vec![(Kind::Control, control.to_vec())];
        let count = u64::try_from(sentences.len()).unwrap_or(u64::MAX);
        things.extend(
            sentences
                .iter()
                .map(|text| (Kind::Sentence, text.as_bytes().to_vec())),
        );
        things.extend(names.map(|name| (Kind::Name, name.as_bytes().to_vec())));
        for link in links {
            let secret = secret_of(link)
                .ok_or_else(|| Failure::could_not_run("a link of an unknown shape"))?;
            things.push((Kind::Secret, secret));
        }
        Self::of(&things, control.to_vec(), count)
    }

    fn of(things: &[(Kind, Vec<u8>)], control: Vec<u8>, sentences: u64) -> Result<Self, Failure> {
        let mut patterns: BTreeMap<Vec<u8>, BTreeSet<(Kind, usize)>> = BTreeMap::new();
        for (number, (kind, bytes)) in things.iter().enumerate() {
            let probe = bytes.get(..PROBE_BYTES_MAX).unwrap_or(bytes);
            for form in forms(probe) {
                patterns.entry(form).or_default().insert((*kind, number));
            }
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(patterns.keys())
            .map_err(|_| Failure::could_not_run("there is too much to search for"))?;
        let longest = patterns.keys().map(Vec::len).max().unwrap_or(1);
        Ok(Self {
            finder,
            meanings: patterns.into_values().collect(),
            overlap: longest - 1,
            control,
            sentences,
        })
    }

    /// How many different sentences are looked for.
    pub(crate) const fn sentences(&self) -> u64 {
        self.sentences
    }

    fn search_bytes(&self, bytes: &[u8], path: &Path, found: &mut Found) {
        for hit in self.finder.find_overlapping_iter(bytes) {
            let meanings = self.meanings.get(hit.pattern().as_usize());
            for meaning in meanings.into_iter().flatten() {
                if meaning.0 == Kind::Control {
                    found.control.insert(path.to_path_buf());
                }
                found.hits.insert(*meaning);
            }
        }
    }

    fn search_file(&self, path: &Path, found: &mut Found, told: &dyn Fn(u64)) -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut window = Vec::with_capacity(CHUNK_BYTES + self.overlap);
        loop {
            let kept = window.len().min(self.overlap);
            window.drain(..window.len() - kept);
            let limit = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
            let read = Read::by_ref(&mut file)
                .take(limit)
                .read_to_end(&mut window)?;
            if read == 0 {
                return Ok(());
            }
            self.search_bytes(&window, path, found);
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            found.bytes += read;
            told(read);
        }
    }
}

/// Folders that are searched, with everything below them.
#[derive(Clone, Debug)]
pub(crate) struct Haystack(pub(crate) Vec<PathBuf>);

impl Haystack {
    /// Every file's bytes and name. Files that go away meanwhile are none.
    pub(crate) fn search(&self, needles: &Needles, told: &dyn Fn(u64)) -> io::Result<Found> {
        let mut found = Found::default();
        for (root, path) in self.files()? {
            let name = path.strip_prefix(&root).unwrap_or(&path);
            needles.search_bytes(name.as_os_str().as_encoded_bytes(), &path, &mut found);
            match needles.search_file(&path, &mut found, told) {
                Ok(()) => found.files += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// How much there is to read.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let files = self.files()?.into_iter();
        Ok(files
            .filter_map(|(_, path)| fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum())
    }

    fn files(&self) -> io::Result<Vec<(PathBuf, PathBuf)>> {
        let mut found = Vec::new();
        for root in &self.0 {
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                for entry in entries {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        folders.push(entry.path());
                    } else {
                        found.push((root.clone(), entry.path()));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The control text in a scratch file for each form in each folder; gone when this is dropped.
pub(crate) struct Planted(Vec<PathBuf>);

impl Planted {
    pub(crate) fn plant(needles: &Needles, haystack: &Haystack) -> io::Result<Self> {
        let mut planted = Self(Vec::new());
        for folder in &haystack.0 {
            for (number, form) in written(&needles.control).into_iter().enumerate() {
                let path = folder.join(format!("control-{number}"));
                planted.0.push(path.clone());
                fs::write(path, form)?;
            }
        }
        Ok(planted)
    }

    /// Whether each of them was found.
    pub(crate) fn all_found(&self, found: &Found) -> bool {
        !self.0.is_empty() && self.0.iter().all(|path| found.control.contains(path))
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that was never written is not there to be removed.
            let _ = fs::remove_file(path);
        }
    }
}

/// How bytes are written in files, each in the midst of other bytes, so that the search meets every
/// alignment. Made another way than [`forms`], which it is there to test.
fn written(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        [b"..", bytes, b".."].concat(),
        format!("..{}..", hex::encode(bytes)).into_bytes(),
        format!("..{}..", hex::encode_upper(bytes)).into_bytes(),
    ];
    for before in [&b""[..], b"x", b"xy"] {
        let midst = [before, bytes, b"behind"].concat();
        all.push(STANDARD_NO_PAD.encode(&midst).into_bytes());
        all.push(URL_SAFE_NO_PAD.encode(&midst).into_bytes());
    }
    all
}

/// Every form in which bytes are looked for.
fn forms(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::from([
        bytes.to_vec(),
        hex::encode(bytes).into_bytes(),
        hex::encode_upper(bytes).into_bytes(),
    ]);
    for shift in 0..3 {
        all.insert(base64_at(&STANDARD_NO_PAD, shift, bytes));
        all.insert(base64_at(&URL_SAFE_NO_PAD, shift, bytes));
    }
    all.remove(&Vec::new());
    all
}

/// The characters that base64 has for these bytes when `shift` bytes stand before them: those that
/// depend on no other byte.
fn base64_at(engine: &GeneralPurpose, shift: usize, bytes: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(bytes);
    let text = engine.encode(&padded).into_bytes();
    // 6 bits a character: the first that begins behind the bytes before ...
    let from = (shift * 8).div_ceil(6);
    // ... and the last that ends before the bytes behind.
    let to = padded.len() * 8 / 6;
    text.get(from..to).unwrap_or_default().to_vec()
}

/// The 32 secret bytes of a room's link: the value of `secret` in its deterministic CBOR. SPEC.md,
/// "Links".
fn secret_of(link: &Link) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = b"\x66secret\x58\x20";
    let text = link.to_string();
    let body = URL_SAFE_NO_PAD.decode(text.rsplit(':').next()?).ok()?;
    let at = body
        .windows(BEFORE.len())
        .position(|window| window == BEFORE)?;
    let from = at + BEFORE.len();
    body.get(from..from + 32).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTENCE: &str = "I have been there, and it passed.";

    fn needles() -> Needles {
        Needles::new(
            [SENTENCE, "too short"].into_iter(),
            ["Juniper Harbor 0001"].into_iter(),
            &[],
        )
        .unwrap()
    }

    fn searched(bytes: &[u8]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), bytes).unwrap();
        let haystack = Haystack(vec![folder.path().to_path_buf()]);
        haystack.search(&needles(), &|_| {}).unwrap()
    }

    #[test]
    fn every_form_is_found_at_every_alignment() {
        for form in written(SENTENCE.as_bytes()) {
            let found = searched(&form);
            assert_eq!(found.sentences(), 1, "{}", String::from_utf8_lossy(&form));
            assert_eq!(found.names(), 0);
        }
        for before in 0..7 {
            let midst = ["x".repeat(before).as_str(), SENTENCE, "y"].concat();
            assert_eq!(
                searched(STANDARD_NO_PAD.encode(midst).as_bytes()).sentences(),
                1
            );
        }
        assert_eq!(searched(b"xxJuniper Harbor 0001").names(), 1);
    }

    #[test]
    fn what_was_not_said_is_not_found() {
        let found = searched(b"I have been there, and it did not pass. too short");
        assert_eq!(found.sentences(), 0);
        assert_eq!((found.files, found.bytes), (1, 49));
    }

    #[test]
    fn a_sentence_across_two_chunks_is_found() {
        for before in [CHUNK_BYTES - 40, CHUNK_BYTES - 10, CHUNK_BYTES - 1] {
            let mut bytes = vec![b'.'; before];
            bytes.extend(SENTENCE.as_bytes());
            bytes.extend(vec![b'.'; 100]);
            assert_eq!(searched(&bytes).sentences(), 1, "{before}");
        }
    }

    #[test]
    fn the_control_is_found_in_each_folder_and_then_removed() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let haystack = Haystack(vec![one.path().into(), two.path().into()]);
        let needles = needles();
        let planted = Planted::plant(&needles, &haystack).unwrap();
        let found = haystack.search(&needles, &|_| {}).unwrap();
        assert!(planted.all_found(&found));
        assert_eq!(found.files, 18);
        let blind = Haystack(vec![one.path().into()]);
        let half = blind.search(&needles, &|_| {}).unwrap();
        assert!(!planted.all_found(&half));
        drop(planted);
        assert_eq!(haystack.bytes().unwrap(), 0);
    }

    #[test]
    fn a_name_in_a_files_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Juniper Harbor 0001.sqlite"), b"").unwrap();
        let haystack = Haystack(vec![folder.path().into()]);
        assert_eq!(haystack.search(&needles(), &|_| {}).unwrap().names(), 1);
    }

    #[test]
    fn a_links_secret_is_the_one_that_is_searched_for() {
        // A link as SPEC.md describes it, by hand.
        let mut body = b"\xa1\x64room\xa4\x63log\x58\x20".to_vec();
        body.extend([1; 32]);
        body.extend(b"\x65relay\xa2\x63url\x71ws://127.0.0.1:1/");
        body.extend(b"\x68identity\x58\x20");
        body.extend([2; 32]);
        body.extend(b"\x66secret\x58\x20");
        body.extend([7; 32]);
        body.extend(b"\x67founder\x58\x20");
        body.extend([3; 32]);
        let text = format!("sotto:1:{}", URL_SAFE_NO_PAD.encode(body));
        let link: Link = text.parse().unwrap();
        assert_eq!(secret_of(&link), Some(vec![7; 32]));
    }
}
