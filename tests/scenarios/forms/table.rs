//! The table of README.md and the forms that are told are the same.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../README.md");
/// Every module of forms, by its name.
const MODULES: [(&str, &str); 12] = [
    ("addiction", include_str!("addiction.rs")),
    ("counted", include_str!("counted.rs")),
    ("crisis", include_str!("crisis.rs")),
    ("health", include_str!("health.rs")),
    ("heard", include_str!("heard.rs")),
    ("matched", include_str!("matched.rs")),
    ("mediation", include_str!("mediation.rs")),
    ("outreach", include_str!("outreach.rs")),
    ("school", include_str!("school.rs")),
    ("survivors", include_str!("survivors.rs")),
    ("veterans", include_str!("veterans.rs")),
    ("work", include_str!("work.rs")),
];

/// Rows of three: the form, its scenario, what it proves.
fn rows() -> Vec<[&'static str; 3]> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|_| panic!("not three cells: {row}"))
    });
    let mut cells: Vec<_> = cells.collect();
    assert_eq!(cells.remove(0), ["form", "scenario", "what it proves"]);
    cells
}

/// The tests of every module, as the table names them.
fn told() -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for (module, source) in MODULES {
        let mut lines = source.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.starts_with("#[tokio::test") && line != "#[test]" {
                continue;
            }
            let signature = lines.next().unwrap_or_default();
            let name = signature
                .trim_start_matches("async ")
                .trim_start_matches("fn ");
            let name = name.split_once('(').expect("a test is a function").0;
            told.insert(format!("`forms::{module}::{name}`"));
        }
    }
    told
}

#[test]
fn every_row_names_a_scenario_and_every_scenario_has_one_row() {
    let rows = rows();
    let named: BTreeSet<_> = rows.iter().map(|row| row[1].to_owned()).collect();
    let told = told();
    let missing: Vec<_> = named.difference(&told).collect();
    assert!(
        missing.is_empty(),
        "in the table and nowhere else: {missing:?}"
    );
    let untold: Vec<_> = told.difference(&named).collect();
    assert!(untold.is_empty(), "scenarios without a row: {untold:?}");
    let forms: BTreeSet<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(
        (forms.len(), named.len()),
        (rows.len(), rows.len()),
        "one row each"
    );
    assert!(
        rows.iter()
            .all(|row| row.iter().all(|cell| !cell.is_empty()))
    );
}

#[test]
fn every_module_of_forms_is_looked_at() {
    let modules = include_str!("mod.rs").lines();
    let modules = modules.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let modules: BTreeSet<_> = modules.filter(|module| *module != "table").collect();
    let looked_at: BTreeSet<_> = MODULES.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, looked_at);
}
