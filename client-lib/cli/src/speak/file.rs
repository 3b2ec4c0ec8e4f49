//! The conversations of a CSV file: columns `conversation`, `turn`, `role` and `text`; others are not
//! looked at. A row that is wrong is named by its line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use sotto_client::TEXT_BYTES_MAX;

use crate::output::Failure;

/// Rows of one file; more than a day of a busy helpline, and it fits into memory.
const ROWS_MAX: usize = 200_000;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Supporter,
    Seeker,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileTurn {
    pub(crate) role: Role,
    pub(crate) text: String,
}

/// One conversation, its turns in order.
pub(crate) type FileTalk = Vec<FileTurn>;

/// Why a file cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the file {} could not be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the first line has no column `{column}`")]
    Column { column: &'static str },
    #[error("line {line}: {problem}")]
    Row { line: u64, problem: String },
    #[error("the file has more than {ROWS_MAX} rows")]
    TooLong,
    #[error("the file has no row")]
    Empty,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let next = "The columns are conversation, turn, role (supporter or seeker) and text; UTF-8, \
                    quoted as in RFC 4180";
        Self::usage(error.to_string(), next)
    }
}

/// Reads all conversations, in the order in which they begin.
pub(crate) fn read(path: &Path) -> Result<Vec<FileTalk>, FileError> {
    let file = std::fs::File::open(path).map_err(|source| FileError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    parse(file)
}

/// Where the four columns are.
struct Columns {
    conversation: usize,
    turn: usize,
    role: usize,
    text: usize,
    all: usize,
}

impl Columns {
    fn of(headers: &ByteRecord) -> Result<Self, FileError> {
        let find = |column: &'static str| {
            headers
                .iter()
                .position(|name| name == column.as_bytes())
                .ok_or(FileError::Column { column })
        };
        Ok(Self {
            conversation: find("conversation")?,
            turn: find("turn")?,
            role: find("role")?,
            text: find("text")?,
            all: headers.len(),
        })
    }
}

/// A conversation while it is read.
#[derive(Default)]
struct Open {
    last_turn: Option<u64>,
    turns: FileTalk,
}

fn parse(input: impl Read) -> Result<Vec<FileTalk>, FileError> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(input);
    let headers = reader.byte_headers().map_err(|error| bad_row(1, &error))?;
    let columns = Columns::of(headers)?;
    let (mut order, mut open) = (Vec::new(), BTreeMap::<String, Open>::new());
    let mut record = ByteRecord::new();
    let mut rows = 0;
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(bad_row(line, &error)),
        }
        rows += 1;
        if rows > ROWS_MAX {
            return Err(FileError::TooLong);
        }
        let line = record.position().map_or(line, csv::Position::line);
        let (conversation, turn, said) =
            row(&record, &columns).map_err(|problem| FileError::Row { line, problem })?;
        let talk = open.entry(conversation.clone()).or_insert_with(|| {
            order.push(conversation);
            Open::default()
        });
        if talk.last_turn.is_some_and(|last| turn <= last) {
            let problem = "the turn is not behind the one before it".into();
            return Err(FileError::Row { line, problem });
        }
        talk.last_turn = Some(turn);
        talk.turns.push(said);
    }
    if order.is_empty() {
        return Err(FileError::Empty);
    }
    let talks = order.iter().filter_map(|name| open.remove(name));
    Ok(talks.map(|talk| talk.turns).collect())
}

/// What the library says holds no text of the file.
fn bad_row(line: u64, error: &csv::Error) -> FileError {
    let line = error.position().map_or(line, csv::Position::line);
    FileError::Row {
        line,
        problem: format!("cannot be read ({error})"),
    }
}

fn row(record: &ByteRecord, columns: &Columns) -> Result<(String, u64, FileTurn), String> {
    if record.len() != columns.all {
        return Err(format!(
            "has {} fields where the first line has {}",
            record.len(),
            columns.all
        ));
    }
    let field = |column: usize, name: &str| {
        let bytes = record.get(column).unwrap_or_default();
        core::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| format!("`{name}` is not UTF-8"))
    };
    let conversation = field(columns.conversation, "conversation")?;
    if conversation.is_empty() {
        return Err("`conversation` is empty".into());
    }
    let turn = field(columns.turn, "turn")?
        .parse()
        .map_err(|_| "`turn` is not a number".to_owned())?;
    let role = match field(columns.role, "role")?.as_str() {
        "supporter" => Role::Supporter,
        "seeker" => Role::Seeker,
        _ => return Err("`role` is neither supporter nor seeker".into()),
    };
    let text = field(columns.text, "text")?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!(
            "`text` is longer than a message may be ({TEXT_BYTES_MAX} bytes)"
        ));
    }
    Ok((conversation, turn, FileTurn { role, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "conversation,topic,turn,role,text\n\
        a,x,0,supporter,\"Hello, and welcome\"\n\
        b,x,0,seeker,\"two\nlines\"\n\
        a,x,3,seeker,\"she said \"\"no\"\"\"\n\
        b,x,1,supporter,\n";

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn conversations_come_whole_and_in_order() {
        let talks = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(talks.len(), 2);
        assert_eq!(talks[0][0].text, "Hello, and welcome");
        assert_eq!(talks[0][1].text, "she said \"no\"");
        assert_eq!(talks[0][1].role, Role::Seeker);
        assert_eq!(talks[1][0].text, "two\nlines");
        assert_eq!(talks[1][1].text, "");
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let after = |row: &str| format!("{GOOD}{row}\n");
        // The header, then four rows of which one has two lines: the next is line 7.
        for (row, problem) in [
            (
                "a,x,4,seeker",
                "line 7: has 4 fields where the first line has 5",
            ),
            ("a,x,four,seeker,t", "line 7: `turn` is not a number"),
            (
                "a,x,4,nurse,t",
                "line 7: `role` is neither supporter nor seeker",
            ),
            (
                "a,x,3,seeker,t",
                "line 7: the turn is not behind the one before it",
            ),
            (",x,3,seeker,t", "line 7: `conversation` is empty"),
        ] {
            assert_eq!(refusal(&after(row)), problem);
        }
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes.extend(b"a,x,4,seeker,\xff\xfe\n");
        let error = parse(bytes.as_slice()).unwrap_err().to_string();
        assert_eq!(error, "line 7: `text` is not UTF-8");
    }

    #[test]
    fn a_file_that_says_nothing_is_refused() {
        assert_eq!(
            refusal("conversation,turn,text\n"),
            "the first line has no column `role`"
        );
        assert_eq!(
            refusal("conversation,turn,role,text\n"),
            "the file has no row"
        );
        assert!(read(Path::new("/does/not/exist")).is_err());
    }
}
