use super::*;

const EXPLAINED: &str = include_str!("../../../deploy/sotto.toml");

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(text, Path::new("sotto.toml"))
}

/// Every key of a document with its value, tables spelt out.
fn keys(table: &toml::Table, prefix: &str) -> Vec<(String, toml::Value)> {
    table
        .iter()
        .flat_map(|(key, value)| match value {
            toml::Value::Table(inner) => keys(inner, &format!("{prefix}{key}.")),
            other => vec![(format!("{prefix}{key}"), other.clone())],
        })
        .collect()
}

#[test]
fn the_explained_file_has_every_key_with_its_default() {
    let explained: toml::Table = EXPLAINED.parse().unwrap();
    let defaults = toml::Table::try_from(Settings::new(CreateRule::Work)).unwrap();
    let mut explained = keys(&explained, "");
    let mut defaults = keys(&defaults, "");
    explained.sort_by(|a, b| a.0.cmp(&b.0));
    defaults.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(explained, defaults);
    parse(EXPLAINED).unwrap();
}

#[test]
fn every_key_of_the_explained_file_has_a_reason() {
    let mut commented = false;
    for line in EXPLAINED.lines() {
        if line.starts_with('#') {
            commented = true;
        } else if line.contains('=') {
            assert!(commented, "no reason stands before: {line}");
            commented = false;
        }
    }
}

#[test]
fn create_is_never_guessed() {
    assert!(matches!(parse(""), Err(ConfigError::Malformed { .. })));
    assert!(matches!(
        parse("create = \"anyone\""),
        Err(ConfigError::Malformed { .. })
    ));
    assert_eq!(
        parse("create = \"dangerous_open\"").unwrap(),
        Settings::new(CreateRule::DangerousOpen)
    );
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    for text in [
        "create = \"work\"\ncreat_work_bits = 3",
        "create = \"work\"\n[connections]\nwrite_timeout = 3",
        "create = \"work\"\n[admin]\nopen = true",
        "create = \"work\"\n[output]\ncolour = true",
        "create = \"work\"\n[metrics]\n",
    ] {
        let refused = parse(text).unwrap_err();
        assert!(
            refused.to_string().contains("unknown field"),
            "{text}: {refused}"
        );
    }
}

#[test]
fn a_missing_file_is_refused() {
    let refused = Settings::load(Path::new("/nonexistent/sotto.toml")).unwrap_err();
    assert!(matches!(refused, ConfigError::Unreadable { .. }));
    assert!(refused.to_string().contains("deploy/sotto.toml"));
}

#[test]
fn values_that_could_not_work_are_refused() {
    for text in [
        "create = \"work\"\ncreate_work_bits = 29",
        "create = \"ticket\"",
        "create = \"work\"\n[admin]\nlisten = \"0.0.0.0:1\"",
        "create = \"work\"\n[connections]\nconnections_max = 0",
        "create = \"work\"\n[connections]\nbytes_burst = 1000000",
        "create = \"work\"\n[logs]\nttl_days_max = 0",
        "create = \"work\"\n[logs]\nttl_fenced_days_max = 401",
        "create = \"work\"\n[logs]\nlog_bytes_max = 100",
        "create = \"work\"\n[logs]\nlogs_max = 0",
    ] {
        assert!(
            matches!(parse(text), Err(ConfigError::Value { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_ticket_is_known_by_its_digest_and_never_shown() {
    let digest = hex::encode(Sha256::digest(b"let me in"));
    let text = format!("create = \"ticket\"\ncreate_tickets_sha256 = [\"{digest}\"]");
    let settings = parse(&text).unwrap();
    assert!(settings.accepts_ticket(b"let me in"));
    assert!(!settings.accepts_ticket(b"let me"));
    assert!(!format!("{settings:?}").contains(&digest));
}
