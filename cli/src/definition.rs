//! `pipewright definition`: check, graph, diff.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Subcommand, ValueEnum};
use pipewright::definition::check::check;
use pipewright::definition::diff::{Change, ChangeKind, MemberChange, Subject, diff};
use pipewright::definition::{
    Code, Definition, Excerpt, Finding, JsonPath, ParseError, Position, Severity, SourceMap, render,
};
use pipewright::encoding::foreign_encoding;
use pipewright_files::bounded;
use serde_json::{Value, json};

use crate::execution::Format;
use crate::exit;
use crate::output::{Output, coloured_stdout, pretty, stdout, stdout_is_terminal, write};

/// Work with pipeline definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find everything that is wrong with definitions, at once.
    ///
    /// Exit status: 0 without errors, 1 with errors, warnings alone are no error.
    Check {
        /// The definitions; `-` reads standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How to show the findings.
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
        /// When to use colour; `auto` does on a terminal unless NO_COLOR is set.
        #[arg(long, value_enum, default_value_t = Color::Auto)]
        color: Color,
    },
    /// Draw the graph of a definition's steps.
    Graph {
        /// The definition; `-` reads standard input.
        file: PathBuf,
        /// What to draw. Without it, the ending of the output's name tells: .svg,
        /// .dot or .gv, .mmd or .mermaid; a name without an ending, and standard
        /// output, get a picture.
        #[arg(long, value_enum)]
        format: Option<GraphFormat>,
        #[command(flatten)]
        output: Output,
    },
    /// Show what changed between two definitions, parameter by parameter and
    /// step by step.
    ///
    /// Exit status: 0 when nothing did, 1 when something did, 2 when one of them
    /// cannot be read.
    Diff {
        /// The definition before; `-` reads standard input.
        before: PathBuf,
        /// The definition after; `-` reads standard input.
        after: PathBuf,
        /// For people, or for programs: an array of {subject, name, change}, with the type of a step, the old name of what
        /// was renamed, and the members that changed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// How `check` shows its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people: each finding with its line.
    Text,
    /// An array of {file, code, severity, path, message}.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// What `graph` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A picture.
    Svg,
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
}

impl GraphFormat {
    /// What the name of an output asks for.
    fn of(target: &Path) -> Result<Self> {
        let Some(ending) = target.extension() else {
            return Ok(Self::Svg);
        };
        match ending.to_ascii_lowercase().to_str() {
            Some("svg") => Ok(Self::Svg),
            Some("mmd" | "mermaid") => Ok(Self::Mermaid),
            Some("dot" | "gv") => Ok(Self::Dot),
            _ => bail!(
                "the ending of {} is none of .svg, .dot, .gv, .mmd and .mermaid; say with --format what to draw",
                target.display()
            ),
        }
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// When a file cannot be read or written, or is not a definition where one is
/// needed.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Check {
            files,
            format,
            color,
        } => {
            let colored = match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => stdout_is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            };
            let mut checked = Vec::new();
            for file in files {
                let name = file.display().to_string();
                // One file that cannot be read says nothing about the others.
                checked.push(match read(&file) {
                    Ok(text) => Checked::new(name, text),
                    Err(error) => Checked::unreadable(name, &error),
                });
            }
            let text = match format {
                CheckFormat::Text => show_text(&checked, colored),
                CheckFormat::Json => show_json(&checked),
                CheckFormat::Sarif => show_sarif(&checked),
            };
            write(&mut coloured_stdout(colored), text.as_bytes())?;
            Ok(status(
                checked.iter().any(|file| file.count(Severity::Error) > 0),
            ))
        }
        Command::Graph {
            file,
            format,
            output,
        } => {
            let format = match (format, &output.output) {
                (Some(format), _) => format,
                (None, Some(target)) => GraphFormat::of(target)?,
                (None, None) => GraphFormat::Svg,
            };
            let definition = parse(&file)?;
            let text = match format {
                GraphFormat::Svg => render::svg(&definition),
                GraphFormat::Mermaid => render::mermaid(&definition),
                GraphFormat::Dot => render::dot(&definition),
            };
            output.write(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Diff {
            before,
            after,
            format,
        } => {
            // 1 says that they differ, as diff(1) has it.
            let (before, after) = match (parse(&before), parse(&after)) {
                (Ok(before), Ok(after)) => (before, after),
                (Err(error), _) | (_, Err(error)) => {
                    crate::complain(&error);
                    return Ok(ExitCode::from(exit::TROUBLE));
                }
            };
            let changes = diff(&before, &after);
            let text: String = match format {
                Format::Text => changes.iter().map(|change| format!("{change}\n")).collect(),
                Format::Json => pretty(&changes.iter().map(told).collect()),
            };
            write(&mut stdout(), text.as_bytes())?;
            Ok(status(!changes.is_empty()))
        }
    }
}

/// A change, for programs.
fn told(change: &Change) -> Value {
    let mut told = match &change.subject {
        Subject::Document => json!({"subject": "definition"}),
        Subject::Parameter(name) => json!({"subject": "parameter", "name": name}),
        Subject::Step { name, step_type } => {
            json!({"subject": "step", "name": name, "type": step_type})
        }
    };
    told["change"] = match &change.kind {
        ChangeKind::Added => "added".into(),
        ChangeKind::Removed => "removed".into(),
        ChangeKind::Renamed { from } => {
            told["from"] = from.as_str().into();
            "renamed".into()
        }
        ChangeKind::Changed(members) => {
            let member = |member: &MemberChange| json!({"path": member.path, "before": member.before, "after": member.after});
            told["members"] = members.iter().map(member).collect();
            "changed".into()
        }
    };
    told
}

/// The exit status for something found.
fn status(found: bool) -> ExitCode {
    ExitCode::from(u8::from(found))
}

/// What a file that [`read`] takes is called in messages.
pub(crate) fn shown(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<String> {
    let bytes = if file == Path::new("-") {
        bounded::read_from(std::io::stdin().lock(), bounded::LARGEST_TEXT)
    } else {
        bounded::read(file, bounded::LARGEST_TEXT)
    };
    bytes
        .map_err(anyhow::Error::from)
        .and_then(decoded)
        .with_context(|| format!("{} cannot be read", shown(file)))
}

/// The text of a file.
fn decoded(bytes: Vec<u8>) -> Result<String> {
    if let Some(encoding) = foreign_encoding(&bytes) {
        bail!("the file is in {encoding}, not in UTF-8; save it as UTF-8");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("byte {} is not UTF-8; save the file as UTF-8", at + 1)
    })
}

/// Reads and parses a definition.
pub(crate) fn parse(file: &Path) -> Result<Definition> {
    Definition::parse(&read(file)?).with_context(|| format!("{} is not a definition", shown(file)))
}

/// A finding with its place in the file.
struct Located {
    code: &'static str,
    severity: Severity,
    path: JsonPath<'static>,
    message: String,
    /// The bytes that are wrong.
    start: usize,
    end: usize,
}

/// A file and what is wrong with it, in the file's order.
struct Checked {
    file: String,
    text: String,
    /// Where the lines begin, in bytes.
    lines: Vec<usize>,
    /// How many characters come before each block of [`BLOCK`] bytes, so that
    /// a column in a line of megabytes need not be counted from its start.
    characters: Vec<usize>,
    findings: Vec<Located>,
}

impl Checked {
    fn new(file: String, text: String) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut characters = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            let before = characters.last().copied().unwrap_or(0);
            characters.push(before + block.iter().filter(|byte| begins_character(**byte)).count());
        }
        let mut checked = Self {
            file,
            text,
            lines,
            characters,
            findings: Vec::new(),
        };
        checked.findings = match Definition::parse(&checked.text) {
            Ok(definition) => checked.locate(check(&definition)),
            Err(error) => checked.of_parse_error(error),
        };
        checked.findings.sort_by_key(|finding| finding.start);
        checked
    }

    /// A file without a text: that it has none is what is wrong with it.
    fn unreadable(file: String, error: &anyhow::Error) -> Self {
        let mut checked = Self {
            file,
            text: String::new(),
            lines: vec![0],
            characters: vec![0],
            findings: Vec::new(),
        };
        checked.findings.push(Located {
            code: UNREADABLE,
            severity: Severity::Error,
            path: JsonPath::root(),
            message: format!("{error:#}"),
            start: 0,
            end: 0,
        });
        checked
    }

    fn locate(&self, findings: Vec<Finding>) -> Vec<Located> {
        // What has been parsed as a definition can be mapped.
        let map = SourceMap::new(&self.text).ok();
        findings
            .into_iter()
            .map(|finding| {
                let place = map.as_ref().map(|map| {
                    // Of a reference, what it names is shown.
                    let inside = map.locate(&finding.path.key("Get"));
                    if inside.exact {
                        inside
                    } else {
                        map.locate(&finding.path)
                    }
                });
                let (start, end) = match place {
                    None => (0, 0),
                    // What is missing is shown where the object around begins.
                    Some(place) if !place.exact => (place.value.start, place.value.start + 1),
                    Some(place) => match place.key {
                        Some(key) if is_about_the_key(finding.code) => (key.start, key.end),
                        _ => (place.value.start, place.value.end),
                    },
                };
                Located {
                    code: finding.code.as_str(),
                    severity: finding.severity,
                    path: finding.path,
                    message: finding.message,
                    start,
                    end,
                }
            })
            .collect()
    }

    fn of_parse_error(&self, error: ParseError) -> Vec<Located> {
        let error_at = |code, path, message, start, end| Located {
            code,
            severity: Severity::Error,
            path,
            message,
            start,
            end,
        };
        match error {
            ParseError::Syntax {
                message, position, ..
            } => {
                let start = self.offset(position);
                vec![error_at(
                    "E_JSON",
                    JsonPath::root(),
                    message,
                    start,
                    start + 1,
                )]
            }
            ParseError::DuplicateKeys(keys) => keys
                .into_iter()
                .map(|key| {
                    let start = self.offset(key.second);
                    let message = format!(
                        "the key {:?} stands twice, first at {}: remove one",
                        key.key, key.first
                    );
                    let end = start + key.key.len() + 2;
                    error_at("E_DUP_KEY", key.path, message, start, end)
                })
                .collect(),
            ParseError::Foreign(found) => {
                vec![error_at(
                    "E_FOREIGN",
                    JsonPath::root(),
                    found.to_string(),
                    0,
                    1,
                )]
            }
            ParseError::NotAnObject(_) => {
                vec![error_at(
                    "E_JSON",
                    JsonPath::root(),
                    error.to_string(),
                    0,
                    1,
                )]
            }
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    fn offset(&self, position: Position) -> usize {
        let start = self.lines.get(position.line - 1).copied().unwrap_or(0);
        self.text[start..]
            .char_indices()
            .nth(position.column - 1)
            .map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The number of the line of a byte, from 0, and the line's bytes without
    /// its end.
    fn line_of(&self, offset: usize) -> (usize, Range<usize>) {
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let start = self.lines[line];
        let end = self
            .lines
            .get(line + 1)
            .map_or(self.text.len(), |next| next - 1);
        let content = self.text[start..end].trim_end_matches('\r');
        (line, start..start + content.len())
    }

    /// Line and column of a byte, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (line, content) = self.line_of(offset);
        (
            line + 1,
            self.characters_before(offset) - self.characters_before(content.start) + 1,
        )
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let rest = &self.text.as_bytes()[block * BLOCK..offset];
        self.characters[block] + rest.iter().filter(|byte| begins_character(**byte)).count()
    }

    /// What shows a finding in its line.
    fn excerpt(&self, finding: &Located) -> Excerpt {
        let start = finding.start.min(self.text.len());
        let (number, line) = self.line_of(start);
        let marked = start - line.start..finding.end.max(start) - line.start;
        Excerpt::new(number + 1, &self.text[line], marked)
    }
}

/// What a file is reported with that cannot be read.
const UNREADABLE: &str = "E_READ";

/// The size of the blocks in which characters are counted.
const BLOCK: usize = 1024;

/// Whether a byte of UTF-8 is the first of its character.
const fn begins_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// Whether a finding is about a member's name and not about its value.
fn is_about_the_key(code: Code) -> bool {
    matches!(
        code,
        Code::MisspeltKey | Code::UnknownKey | Code::UnknownArgument
    )
}

fn show_text(files: &[Checked], colored: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colored {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let mut out = String::new();
    for file in files {
        let name = match file.file.as_str() {
            "-" => "<stdin>",
            name => name,
        };
        for finding in &file.findings {
            let colour = match finding.severity {
                Severity::Error => "1;31",
                Severity::Warning => "1;33",
            };
            let headline = format!(
                "{}{}\n",
                paint(colour, &format!("{}[{}]", finding.severity, finding.code)),
                paint("1", &format!(": {}", finding.message)),
            );
            out += &headline;
            if finding.code == UNREADABLE {
                out.push('\n');
                continue;
            }
            let (line, column) = file.position(finding.start);
            let excerpt = file.excerpt(finding);
            let margin = excerpt.margin();
            out += &format!(
                "{margin}{} {name}:{line}:{column}\n{}\n{margin} {} at {}\n\n",
                paint("1;34", "-->"),
                excerpt.painted(|text| paint("1;34", text), |text| paint(colour, text)),
                paint("1;34", "="),
                finding.path,
            );
        }
        let count = |severity: Severity| {
            let count = file.count(severity);
            format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
        };
        out += &format!(
            "{name}: {}, {}\n",
            count(Severity::Error),
            count(Severity::Warning)
        );
    }
    out
}

fn show_json(files: &[Checked]) -> String {
    let findings: Vec<Value> = files
        .iter()
        .flat_map(|file| {
            file.findings.iter().map(|finding| {
                json!({
                    "file": file.file,
                    "code": finding.code,
                    "severity": finding.severity.as_str(),
                    "path": finding.path.to_string(),
                    "message": finding.message,
                })
            })
        })
        .collect();
    pretty(&Value::from(findings))
}

fn show_sarif(files: &[Checked]) -> String {
    let rule = |id: &str, about: &str, severity: Severity| {
        json!({
            "id": id,
            "shortDescription": {"text": about},
            "defaultConfiguration": {"level": severity.as_str()},
        })
    };
    let rules: Vec<Value> = [
        (UNREADABLE, "The file cannot be read."),
        (
            "E_JSON",
            "The file is not a JSON object, or nested too deeply.",
        ),
        ("E_DUP_KEY", "A key stands twice in one object."),
        (
            "E_FOREIGN",
            "The file is something else than a definition, such as an answer of the service.",
        ),
    ]
    .iter()
    .map(|(id, about)| rule(id, about, Severity::Error))
    .chain(
        Code::ALL
            .iter()
            .map(|code| rule(code.as_str(), code.about(), code.severity())),
    )
    .collect();
    let results: Vec<Value> = files
        .iter()
        .flat_map(|file| {
            file.findings.iter().map(|finding| {
                let (line, column) = file.position(finding.start);
                let (end_line, end_column) = file.position(finding.end.max(finding.start));
                json!({
                    "ruleId": finding.code,
                    "level": finding.severity.as_str(),
                    "message": {"text": finding.message},
                    "locations": [{
                        "physicalLocation": {
                            "artifactLocation": {"uri": uri_of(&file.file)},
                            "region": {
                                "startLine": line,
                                "startColumn": column,
                                "endLine": end_line,
                                "endColumn": end_column,
                            },
                        },
                        "logicalLocations": [{"fullyQualifiedName": finding.path.to_string()}],
                    }],
                })
            })
        })
        .collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pipewright",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

/// A file's name as a relative URI reference.
fn uri_of(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri += &format!("%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Checked, GraphFormat, decoded, show_json, show_sarif, show_text};

    const FAULTY: &str = "{\n  \"Version\": \"2020-12-01\",\n  \"Steps\": [\n    \
        {\"Name\": \"ü\", \"Type\": \"Fail\", \"Argument\": {}},\n    \
        {\"Name\": \"B\", \"Type\": \"Lambda\", \"FunctionArn\": \"f\", \"Arguments\": {\"x\": {\"Get\": \"Parameters.Y\"}}}\n  ]\n}\n";

    fn checked(text: &str) -> Checked {
        Checked::new("dir/my file.json".to_owned(), text.to_owned())
    }

    #[test]
    fn the_ending_of_an_output_says_what_to_draw() {
        let of = |name: &str| GraphFormat::of(Path::new(name)).map_err(|error| error.to_string());
        for (name, format) in [
            ("g.svg", GraphFormat::Svg),
            ("g.dot", GraphFormat::Dot),
            ("a.svg/g.GV", GraphFormat::Dot),
            ("g.mmd", GraphFormat::Mermaid),
            ("g.mermaid", GraphFormat::Mermaid),
            ("/dev/stdout", GraphFormat::Svg),
        ] {
            assert_eq!(of(name), Ok(format), "{name}");
        }
        assert_eq!(
            of("g.png").unwrap_err(),
            "the ending of g.png is none of .svg, .dot, .gv, .mmd and .mermaid; say with --format what to draw"
        );
    }

    #[test]
    fn a_text_that_is_not_in_utf_8_is_told_with_the_cure() {
        assert_eq!(decoded("ü".into()).unwrap(), "ü");
        let told = |bytes: &[u8]| decoded(bytes.to_vec()).unwrap_err().to_string();
        assert_eq!(
            told(b"\xff\xfe{\0}\0"),
            "the file is in UTF-16, not in UTF-8; save it as UTF-8"
        );
        assert_eq!(
            told(b"{\xfc}"),
            "byte 2 is not UTF-8; save the file as UTF-8"
        );
    }

    #[test]
    fn each_finding_points_at_its_line() {
        let text = show_text(&[checked(FAULTY)], false);
        assert_eq!(
            text,
            r#"error[E_ARGS]: the step "ü" has no Arguments
 --> dir/my file.json:4:5
  |
4 |     {"Name": "ü", "Type": "Fail", "Argument": {}},
  |     ^
  = at $.Steps[0].Arguments

error[E_STEP_NAME]: "ü" is not a step's name: 1 to 64 letters, digits, - and _
 --> dir/my file.json:4:14
  |
4 |     {"Name": "ü", "Type": "Fail", "Argument": {}},
  |              ^^^
  = at $.Steps[0].Name

error[E_UNKNOWN_KEY]: a step of type Fail has no member "Argument": did you mean "Arguments"?
 --> dir/my file.json:4:35
  |
4 |     {"Name": "ü", "Type": "Fail", "Argument": {}},
  |                                   ^^^^^^^^^^
  = at $.Steps[0].Argument

error[E_UNKNOWN_PARAM]: the parameter "Y" is not declared
 --> dir/my file.json:5:84
  |
5 |     {"Name": "B", "Type": "Lambda", "FunctionArn": "f", "Arguments": {"x": {"Get": "Parameters.Y"}}}
  |                                                                                    ^^^^^^^^^^^^^^
  = at $.Steps[1].Arguments.x

dir/my file.json: 4 errors, 0 warnings
"#
        );
    }

    #[test]
    fn of_a_long_line_the_surroundings_are_shown() {
        let steps = "{\"Name\": \"ü\"}, ".repeat(3_000);
        let text = format!("{{\"Version\": 1, \"Steps\": [{steps}7]}}");
        let started = std::time::Instant::now();
        let shown = show_text(&[checked(&text)], false);
        assert_eq!(
            shown.rsplit("\n\n").nth(1).unwrap(),
            "error[E_STEPS]: a step is an object, not a number\n \
             --> dir/my file.json:1:45026\n  |\n\
             1 | …ü\"}, {\"Name\": \"ü\"}, {\"Name\": \"ü\"}, {\"Name\": \"ü\"}, 7]}\n  \
             |                                                    ^\n  = at $.Steps[3000]"
        );
        // Thousands of findings in one line; counting each one's column from
        // the line's start would take minutes.
        assert!(started.elapsed().as_secs() < 20);
    }

    #[test]
    fn colour_is_used_only_when_asked_for() {
        assert!(!show_text(&[checked(FAULTY)], false).contains('\u{1b}'));
        assert!(show_text(&[checked(FAULTY)], true).contains("\u{1b}[1;31merror[E_ARGS]"));
    }

    #[test]
    fn a_syntax_error_and_double_keys_are_findings_too() {
        let text = show_text(&[checked("{\"a\": 1,}")], false);
        assert!(
            text.contains("error[E_JSON]: not JSON: a comma stands before"),
            "{text}"
        );
        assert!(text.contains("1 | {\"a\": 1,}\n  |         ^\n"), "{text}");
        let text = show_text(&[checked("{\"a\": 1, \"a\": 2}")], false);
        assert!(
            text.contains("1 | {\"a\": 1, \"a\": 2}\n  |          ^^^\n"),
            "{text}"
        );
        let text = show_text(&[checked("[]")], false);
        assert!(text.contains("and this is an array"), "{text}");
        assert!(show_text(&[checked("")], false).contains("E_JSON"));
    }

    #[test]
    fn a_file_that_cannot_be_read_does_not_hide_the_others() {
        let error = anyhow::anyhow!("none.json cannot be read: No such file");
        let files = [
            Checked::unreadable("none.json".to_owned(), &error),
            Checked::new("-".to_owned(), "{".to_owned()),
        ];
        let text = show_text(&files, false);
        assert!(
            text.starts_with(
                "error[E_READ]: none.json cannot be read: No such file\n\n\
                 none.json: 1 error, 0 warnings\n\
                 error[E_JSON]: not JSON: the text ends inside an object\n --> <stdin>:1:2\n"
            ),
            "{text}"
        );
        let found: serde_json::Value = serde_json::from_str(&show_json(&files)).unwrap();
        assert_eq!(found[0]["code"], "E_READ");
        assert_eq!(found[1]["file"], "-");
    }

    #[test]
    fn json_has_the_five_members_of_a_finding() {
        let found: serde_json::Value =
            serde_json::from_str(&show_json(&[checked(FAULTY)])).unwrap();
        assert_eq!(
            found[3],
            serde_json::json!({
                "file": "dir/my file.json",
                "code": "E_UNKNOWN_PARAM",
                "severity": "error",
                "path": "$.Steps[1].Arguments.x",
                "message": "the parameter \"Y\" is not declared",
            })
        );
    }

    #[test]
    fn sarif_names_rules_and_regions() {
        let sarif: serde_json::Value =
            serde_json::from_str(&show_sarif(&[checked(FAULTY)])).unwrap();
        let run = &sarif["runs"][0];
        let result = &run["results"][1];
        assert_eq!(result["ruleId"], "E_STEP_NAME");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "dir/my%20file.json");
        assert_eq!(
            place["region"],
            serde_json::json!({"startLine": 4, "startColumn": 14, "endLine": 4, "endColumn": 17})
        );
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule["id"] == "E_STEP_NAME"));
    }
}
