//! docs/DEEPAR.md has the tables that the code has.

use pipewright_forecast::hyperparameters::TABLE;
use pipewright_forecast::metrics::DEFINITIONS;

const PAGE: &str = include_str!("../../../docs/DEEPAR.md");

/// The page must have exactly `rows`, in their order, after a table's head.
fn check(head: &str, rows: &[String]) {
    let columns = head.matches('|').count() - 1;
    let table = format!("{head}\n|{}\n{}\n", "---|".repeat(columns), rows.join("\n"));
    assert!(PAGE.contains(&table), "docs/DEEPAR.md lacks\n{table}");
    let end = PAGE.find(&table).map_or(0, |at| at + table.len());
    assert!(
        !PAGE[end..].starts_with('|'),
        "docs/DEEPAR.md has rows more than\n{table}"
    );
}

/// The rows of the table in a source's documentation, each line of which begins with `comment`.
fn documented(source: &str, comment: &str, head: &str) -> Vec<String> {
    let lines = source
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != format!("{comment}{head}"));
    let rows = lines.skip(2).map_while(|line| {
        line.strip_prefix(comment)
            .filter(|row| row.starts_with('|'))
    });
    rows.map(str::to_owned).collect()
}

#[test]
fn hyperparameters_are_those_of_the_code() {
    let row = |one: &pipewright_forecast::hyperparameters::Definition| {
        let default = match one.default {
            None => "required".to_owned(),
            Some("") => "none".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        format!(
            "| `{}` | {default} | {} | {} |",
            one.name, one.takes, one.meaning
        )
    };
    let rows: Vec<String> = TABLE.iter().map(row).collect();
    check("| name | default | takes | meaning |", &rows);
}

#[test]
fn metrics_are_those_of_the_code() {
    let rows: Vec<String> = DEFINITIONS
        .iter()
        .map(|one| format!("| `{}` | `{}` |", one.name, one.regex))
        .collect();
    check("| metric | expression |", &rows);
}

#[test]
fn variables_are_those_of_the_code() {
    let head = "| variable | what it says | otherwise |";
    let rows = documented(include_str!("../src/serve/settings.rs"), "/// ", head);
    assert_eq!(rows.len(), 7);
    check(head, &rows);
}

#[test]
fn the_artifact_is_that_of_the_code() {
    let head = "| bytes | content |";
    let rows = documented(
        include_str!("../../../shared/forecast/src/deepar/artifact.rs"),
        "//! ",
        head,
    );
    assert!(rows.len() >= 6);
    check(head, &rows);
}
