//! `sotto desk audit`: what the office did and counted, and whether a copy of it is whole.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sotto_client::{
    AuditExport, AuditFault, AuditHash, AuditHead, AuditRecord, AuditWhat, Exported,
};

use super::arguments::AuditArgs;
use super::stats::{date, team};
use crate::device;
use crate::output::{Done, Failure, Output};

/// Bytes of a file that is checked: a line for each record that an office keeps.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The lines of an export, as `--json` prints them.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Audit {
        organisation: String,
        desk: u8,
    },
    Record(AuditRecord),
    Head {
        number: u64,
        day: u32,
        hash: AuditHash,
        signature: String,
    },
    #[serde(other)]
    Other,
}

pub(crate) async fn run(arguments: AuditArgs, output: &Output) -> Result<Done, Failure> {
    if let Some(file) = &arguments.check {
        return check(file, &arguments, output).await;
    }
    let client = device::open(&arguments.device).await?;
    let asked = async {
        let room = team(&client, arguments.room, output).await?;
        Ok::<_, Failure>(room.audit().await?)
    };
    let audit = asked.await;
    client.close().await;
    show(&audit?, output);
    Ok(Done::new())
}

fn show(audit: &AuditExport, output: &Output) {
    let line = |line: &Line| {
        if let Ok(value) = serde_json::to_value(line) {
            output.object(&value);
        }
    };
    let organisation = audit.organisation.to_string();
    let desk = audit.desk;
    line(&Line::Audit { organisation, desk });
    for record in &audit.records {
        line(&Line::Record(*record));
        output.words(&words_of(record));
    }
    let head = audit.head;
    line(&Line::Head {
        number: head.number(),
        day: head.day(),
        hash: head.hash(),
        signature: head.signature(),
    });
    let (number, on) = (head.number(), date(head.day()));
    output.words(&format!(
        "Record {number}, of {on}, is the last one; its hash is {}.",
        head.hash()
    ));
}

fn words_of(record: &AuditRecord) -> String {
    let said = match record.what {
        AuditWhat::Gone(count) => format!("devices that are in the team no more: {count}"),
        AuditWhat::Exported(Exported::Numbers) => "the numbers were taken out".to_owned(),
        AuditWhat::Exported(Exported::Audit) => "these records were taken out".to_owned(),
        AuditWhat::Period(period) => format!(
            "{} to {}: answered {}, letters {}, left {}, calls {}",
            date(period.from),
            date(period.until),
            period.answered,
            period.letters,
            period.left,
            period.calls
        ),
    };
    format!("{} {}: {said}", record.number, date(record.day))
}

fn no_export(line: usize) -> Failure {
    Failure::usage(
        format!("line {line} of the file is not of an audit"),
        "Name a file that `sotto desk audit --json` was printed into",
    )
}

fn read(file: &Path) -> Result<AuditExport, Failure> {
    let length = std::fs::metadata(file).map_or(0, |about| about.len());
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(
            format!("the file cannot be read: {error}"),
            "Name a file that `sotto desk audit --json` was printed into",
        )
    })?;
    if length > FILE_BYTES_MAX {
        return Err(no_export(0));
    }
    let (mut of, mut records, mut head) = (None, Vec::new(), None);
    for (text, number) in text.lines().zip(1..) {
        let value: Value = serde_json::from_str(text).map_err(|_| no_export(number))?;
        match serde_json::from_value(value).map_err(|_| no_export(number))? {
            Line::Audit { organisation, desk } => {
                let organisation = organisation.parse().map_err(|_| no_export(number))?;
                of = Some((organisation, desk));
            }
            Line::Record(record) => records.push(record),
            Line::Head {
                number: last,
                day,
                hash,
                signature,
            } => {
                let read = AuditHead::of((last, day), hash, &signature);
                head = Some(read.map_err(|_| no_export(number))?);
            }
            Line::Other => {}
        }
    }
    let ((organisation, desk), head) = of.zip(head).ok_or_else(|| no_export(0))?;
    Ok(AuditExport {
        organisation,
        desk,
        records,
        head,
    })
}

async fn check(file: &Path, arguments: &AuditArgs, output: &Output) -> Result<Done, Failure> {
    let export = read(file)?;
    let mut checked = export.check();
    if arguments.room.is_some() && checked.is_ok() {
        let client = device::open(&arguments.device).await?;
        let asked = async {
            let room = team(&client, arguments.room, output).await?;
            Ok::<_, Failure>(room.audit_heads().await?)
        };
        let heads = asked.await;
        client.close().await;
        checked = export.agrees_with(&heads?);
    }
    let records = export.records.len();
    let organisation = export.organisation.to_string();
    match checked {
        Ok(()) => {
            let object =
                json!({"type": "checked", "records": records, "organisation": organisation});
            output.object(&object);
            output.words(&format!(
                "All {records} records hold, up to an end that {organisation} signed. See that this is \
                 the organisation you mean."
            ));
            Ok(Done::new())
        }
        Err(fault) => {
            let mut done = Done::new();
            if let AuditFault::Record(number)
            | AuditFault::Rewritten(number)
            | AuditFault::LeftOut(number) = fault
            {
                done.insert("record".into(), json!(number));
            }
            let next = "Ask the office for what it kept, and the team for what it was told";
            Err(Failure::promise(fault.to_string(), done).then(next))
        }
    }
}
