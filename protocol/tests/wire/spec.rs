//! Reads SPEC.md: its CDDL blocks and its tables.

/// The document.
pub(crate) const TEXT: &str = include_str!("../../SPEC.md");

/// All fenced `cddl` blocks, one behind the other.
pub(crate) fn cddl() -> String {
    let mut inside = false;
    let mut all = String::new();
    for line in TEXT.lines() {
        match line {
            "```cddl" => inside = true,
            "```" => inside = false,
            _ if inside => {
                all.push_str(line);
                all.push('\n');
            }
            _ => {}
        }
    }
    all
}

/// The rows of the first table below a heading, as cells without their backquotes; the head and
/// the line under it are left out.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
    let mut lines = TEXT.lines();
    assert!(
        lines.any(|line| line.trim_start_matches('#').trim() == heading && line.starts_with('#')),
        "no heading {heading}"
    );
    let rows = lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    rows.map(|row| {
        let cells = row.trim().trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    })
    .collect()
}
