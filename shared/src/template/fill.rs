//! Filling a template with values.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tera::{Context, Kwargs, State, Tera};

use super::buffer::Buffer;
use super::scan::{self, Piece};
use crate::definition::{Code, Definition, Finding, ParseError, Position, Severity, check};
use crate::nearest::likely;
use crate::reading::kind_of;
use crate::wording::short;

/// The name under which the engine keeps the template; its ending makes the
/// engine escape.
const TEMPLATE: &str = "definition.json";

/// The longest text that a template is filled to, in bytes. SageMaker takes a million characters,
/// which have up to four bytes each.
const LONGEST: usize = 4 << 20;

/// The longest part of a value that a message shows, in characters.
const LONGEST_VALUE: usize = 60;

/// The filter that is put behind bare keys.
const BARE: &str = "pipewright_bare";

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The definition; it has no errors.
    pub definition: Definition,
    /// Its canonical text: the same template and values give the same bytes.
    pub text: String,
    /// What is doubtful about it.
    pub warnings: Vec<Finding>,
}

/// One reason why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The template itself is wrong.
    #[error("template, {position}: {message}")]
    Template {
        /// Where.
        position: Position,
        /// What.
        message: String,
    },
    /// The template needs a key that has no value.
    #[error("template, {position}: no value is given for {name:?}{}", hint(nearest.as_deref()))]
    Missing {
        /// The key.
        name: String,
        /// Where the template first needs it.
        position: Position,
        /// The key most like it that is given and not used.
        nearest: Option<String>,
    },
    /// A value is given that the template has no key for.
    #[error("the value {name:?} is given, but the template has no such key{}", hint(nearest.as_deref()))]
    Unused {
        /// The key.
        name: String,
        /// The key most like it.
        nearest: Option<String>,
    },
    /// A value is of a kind that fits nowhere.
    #[error(
        "the value {name:?} is {kind}: a value is a text, a number, a boolean, or a list of these"
    )]
    Kind {
        /// The key, with `[0]` for an item of a list.
        name: String,
        /// What kind the value is of.
        kind: &'static str,
    },
    /// A list stands in a key.
    #[error(
        "template, {position}: {name:?} is a list, and a key takes a single value: \
         use {{% for item in {name} %}}"
    )]
    ListInHole {
        /// The key.
        name: String,
        /// Where the key is.
        position: Position,
    },
    /// A single value stands where a list is gone through.
    #[error("template, {position}: {name:?} is {kind}, and {{% for %}} goes through a list")]
    NotAList {
        /// The key.
        name: String,
        /// What kind the value is of.
        kind: &'static str,
        /// Where the tag is.
        position: Position,
    },
    /// A key outside of a JSON string got something that is not a number or boolean.
    #[error(
        "template, {position}: {{{{ {name} }}}} stands outside of a JSON string and takes a number \
         or a boolean, not {value}"
    )]
    Bare {
        /// The key.
        name: String,
        /// Where the key is.
        position: Position,
        /// The value, shortened.
        value: String,
    },
    /// A loop, or a filter, makes more of the template than a definition can be.
    #[error(
        "the filled template is larger than {} MiB, and SageMaker takes a definition of 1 MiB: see \
         what its loops and filters repeat",
        LONGEST >> 20
    )]
    Long,
    /// What came out is not a definition.
    #[error("the filled template is not a definition: {0}")]
    Result(ParseError),
    /// What came out is not a definition, and why would quote a value.
    #[error(
        "the filled template is not a definition, and only with the values that are given: see where the template uses \
         them outside of quotation marks, in a member's name, or in a condition"
    )]
    Values,
    /// What came out is a definition with a fault.
    #[error("the filled template is a faulty definition: {0}")]
    Fault(Finding),
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean {name:?}?"))
}

/// All reasons why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillErrors(pub Vec<FillError>);

impl fmt::Display for FillErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FillErrors {}

/// Fills a template, parses what comes out and checks it.
///
/// `values` must name every key and nothing else; `provided` are values
/// that stand in where `values` has none of that name, and may be left over.
///
/// A value is a text, a number, a boolean, or a list of these. In a JSON string
/// every value is escaped, whatever it holds. Outside of one only a number or a
/// boolean may stand, or a text that reads as one, and its text is kept: what
/// comes from CloudFormation is text throughout. An empty text counts as absent
/// in `{% if NAME %}`.
///
/// # Errors
/// [`FillErrors`], all that can be found at once: first those of the template,
/// keys and values; if there are none, those of the result.
pub fn fill(
    template: &str,
    values: &Map<String, Value>,
    provided: &Map<String, Value>,
) -> Result<Filled, FillErrors> {
    filled(template, values, provided).and_then(Filled::of)
}

impl Filled {
    /// A definition that was filled and checked.
    ///
    /// # Errors
    /// The errors among the findings.
    pub(super) fn of(
        (definition, findings): (Definition, Vec<Finding>),
    ) -> Result<Self, FillErrors> {
        let (errors, warnings): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .partition(|finding| finding.severity == Severity::Error);
        if errors.is_empty() {
            Ok(Self {
                text: definition.canonical_json(),
                definition,
                warnings,
            })
        } else {
            Err(FillErrors(
                errors.into_iter().map(FillError::Fault).collect(),
            ))
        }
    }
}

/// The definition that comes out, and everything that is to be said of it.
pub(super) fn filled(
    template: &str,
    values: &Map<String, Value>,
    provided: &Map<String, Value>,
) -> Result<(Definition, Vec<Finding>), FillErrors> {
    let text = render(template, values, provided)?;
    let definition =
        Definition::parse(&text).map_err(|error| FillErrors(vec![FillError::Result(error)]))?;
    // Every key has been filled: what looks like one came with a value.
    let findings = check::check(&definition)
        .into_iter()
        .filter(|finding| finding.code != Code::UnfilledKey)
        .collect();
    Ok((definition, findings))
}

/// The names that a template needs values for.
///
/// # Errors
/// [`FillErrors`] when the template itself is wrong.
pub fn keys(template: &str) -> Result<BTreeSet<String>, FillErrors> {
    let mut engine = engine();
    scan_template(template)?;
    add(&mut engine, template, template, &[])?;
    variables(&engine)
}

/// Fills a template without looking at what comes out.
fn render(
    template: &str,
    values: &Map<String, Value>,
    provided: &Map<String, Value>,
) -> Result<String, FillErrors> {
    let pieces = scan_template(template)?;
    let (guarded, insertions) = guard_bare_holes(template, &pieces);
    let mut engine = engine();
    add(&mut engine, template, &guarded, &insertions)?;
    let needed = variables(&engine)?;

    let given: BTreeMap<&str, &Value> = provided
        .iter()
        .chain(values)
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| needed.contains(*name))
        .collect();
    let mut errors = missing_and_unused(template, &pieces, &needed, values, provided);
    let mut context = Context::new();
    for (name, value) in &given {
        match to_tera(name, value) {
            Ok(value) => context.insert_value((*name).to_owned(), value),
            Err(mut faults) => errors.append(&mut faults),
        }
    }
    errors.extend(misplaced(template, &pieces, &given));
    if !errors.is_empty() {
        return Err(FillErrors(errors));
    }
    let mut text = Buffer::new(LONGEST);
    engine
        .render_to(TEMPLATE, &context, &mut text)
        .map_err(|error| {
            let error = if text.is_over() {
                FillError::Long
            } else {
                engine_error(template, &error, &insertions)
            };
            FillErrors(vec![error])
        })?;
    // The engine writes the template's text and its values, which are UTF-8, and whole pieces of them.
    String::from_utf8(text.into_bytes()).map_err(|_| FillErrors(vec![FillError::Long]))
}

fn scan_template(template: &str) -> Result<Vec<Piece>, FillErrors> {
    scan::scan(template).map_err(|errors| {
        FillErrors(
            errors
                .into_iter()
                .map(|error| FillError::Template {
                    position: scan::position(template, error.at),
                    message: error.message,
                })
                .collect(),
        )
    })
}

fn engine() -> Tera {
    let mut engine = Tera::new();
    engine.autoescape_on([".json"]);
    engine.set_escape_fn(escape_json);
    engine.register_filter("safe", |_: &tera::Value, _: Kwargs, _: &State| {
        Err::<tera::Value, _>(tera::Error::message(
            "the filter safe would let a value break the JSON: leave it out",
        ))
    });
    // These make a text longer, and one of them after the other any text as long as they like.
    engine.register_filter("replace", replace);
    engine.register_filter("join", join);
    engine.register_filter(BARE, |value: &tera::Value, _: Kwargs, _: &State| {
        let text = value.to_string();
        if value.is_bool() || value.is_number() || is_bare(&text) {
            Ok(text)
        } else {
            Err(tera::Error::message(format!(
                "a key outside of a JSON string takes a number or a boolean, not {}",
                short(&text, LONGEST_VALUE)
            )))
        }
    });
    engine
}

fn replace(text: &str, arguments: Kwargs, _: &State) -> tera::TeraResult<String> {
    let from = arguments.must_get::<&str>("from")?;
    let to = arguments.must_get::<&str>("to")?;
    let parts = text.split(from).map(tera::Value::from).collect::<Vec<_>>();
    joined(&parts, to)
}

fn join(items: &[tera::Value], arguments: Kwargs, _: &State) -> tera::TeraResult<String> {
    joined(items, arguments.get::<&str>("sep")?.unwrap_or_default())
}

/// The texts of values with another between them, unless that is longer than a definition.
fn joined(items: &[tera::Value], separator: &str) -> tera::TeraResult<String> {
    let mut text = Buffer::new(LONGEST);
    for (index, item) in items.iter().enumerate() {
        let separator = if index > 0 { separator } else { "" };
        write!(text, "{separator}{item}").map_err(|_| {
            tera::Error::message(format!(
                "a filter makes a text of more than {} MiB",
                LONGEST >> 20
            ))
        })?;
    }
    Ok(String::from_utf8(text.into_bytes())?)
}

/// Writes a text as it stands in a JSON string, without the quotes.
fn escape_json(text: &str, output: &mut dyn Write) -> std::io::Result<()> {
    let quoted = serde_json::to_string(text)?;
    output.write_all(&quoted.as_bytes()[1..quoted.len() - 1])
}

/// Whether a text is a JSON number or boolean.
pub(super) fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace())
        && matches!(
            serde_json::from_str(text),
            Ok(Value::Number(_) | Value::Bool(_))
        )
}

/// Text that was put into a template.
#[derive(Clone, Copy, Debug)]
struct Insertion {
    /// Where it stands in the new text, in bytes.
    at: usize,
    /// Its length in bytes.
    length: usize,
    /// The place in the template that it belongs to.
    origin: usize,
}

/// Puts a check behind every bare key. Returns what was inserted, so that the
/// engine's places can be led back.
fn guard_bare_holes(template: &str, pieces: &[Piece]) -> (String, Vec<Insertion>) {
    let mut guarded = String::with_capacity(template.len());
    let mut insertions = Vec::new();
    let mut copied = 0;
    for piece in pieces {
        let Piece::Key {
            expression,
            quoted: false,
        } = piece
        else {
            continue;
        };
        for (until, inserted) in [
            (expression.start, "(".to_owned()),
            (expression.end, format!(") | {BARE}")),
        ] {
            guarded.push_str(&template[copied..until]);
            insertions.push(Insertion {
                at: guarded.len(),
                length: inserted.len(),
                origin: expression.start,
            });
            guarded.push_str(&inserted);
            copied = until;
        }
    }
    guarded.push_str(&template[copied..]);
    (guarded, insertions)
}

fn add(
    engine: &mut Tera,
    template: &str,
    guarded: &str,
    insertions: &[Insertion],
) -> Result<(), FillErrors> {
    engine
        .add_raw_template(TEMPLATE, guarded)
        .map_err(|error| FillErrors(vec![engine_error(template, &error, insertions)]))
}

fn engine_error(template: &str, error: &tera::Error, insertions: &[Insertion]) -> FillError {
    let (at, message) = match error.kind() {
        tera::ErrorKind::SyntaxError(report) | tera::ErrorKind::RenderingError(report) => {
            let at = report.span().range.start;
            (original_place(at, insertions), report.message().to_owned())
        }
        _ => (0, error.to_string()),
    };
    FillError::Template {
        position: scan::position(template, at),
        message,
    }
}

/// The place in the template of a place in the text with insertions.
fn original_place(at: usize, insertions: &[Insertion]) -> usize {
    let mut before = 0;
    for insertion in insertions.iter().take_while(|insertion| insertion.at <= at) {
        if at < insertion.at + insertion.length {
            return insertion.origin;
        }
        before += insertion.length;
    }
    at - before
}

fn variables(engine: &Tera) -> Result<BTreeSet<String>, FillErrors> {
    engine
        .get_template_variables(TEMPLATE)
        .map(|names| names.into_iter().map(str::to_owned).collect())
        .map_err(|error| FillErrors(vec![engine_error("", &error, &[])]))
}

fn missing_and_unused(
    template: &str,
    pieces: &[Piece],
    needed: &BTreeSet<String>,
    values: &Map<String, Value>,
    provided: &Map<String, Value>,
) -> Vec<FillError> {
    let unused: Vec<&str> = values
        .keys()
        .map(String::as_str)
        .filter(|name| !needed.contains(*name))
        .collect();
    let missing: Vec<&str> = needed
        .iter()
        .map(String::as_str)
        .filter(|name| !values.contains_key(*name) && !provided.contains_key(*name))
        .collect();
    let mut first_places: BTreeMap<&str, usize> = BTreeMap::new();
    for piece in pieces {
        let (Piece::Key { expression, .. }
        | Piece::Tag {
            content: expression,
        }) = piece;
        for (name, at) in scan::names(template, expression.clone()) {
            first_places.entry(name).or_insert(at);
        }
    }
    let mut errors: Vec<(usize, FillError)> = missing
        .iter()
        .map(|name| {
            let at = first_places.get(name).copied().unwrap_or(0);
            let error = FillError::Missing {
                name: (*name).to_owned(),
                position: scan::position(template, at),
                nearest: likely(name, unused.iter().copied()).map(str::to_owned),
            };
            (at, error)
        })
        .collect();
    errors.sort_by_key(|(at, _)| *at);
    let mut errors: Vec<FillError> = errors.into_iter().map(|(_, error)| error).collect();
    errors.extend(unused.iter().map(|name| {
        FillError::Unused {
            name: (*name).to_owned(),
            nearest: likely(name, missing.iter().copied())
                .or_else(|| likely(name, needed.iter().map(String::as_str)))
                .map(str::to_owned),
        }
    }));
    errors
}

/// The engine's value. Conversion by serde would see the private form that
/// serde_json gives numbers with their text.
fn to_tera(name: &str, value: &Value) -> Result<tera::Value, Vec<FillError>> {
    let unfit = |name: String, value: &Value| FillError::Kind {
        name,
        kind: kind_of(value),
    };
    match value {
        Value::Array(items) => {
            let mut converted = Vec::with_capacity(items.len());
            let mut errors = Vec::new();
            for (index, item) in items.iter().enumerate() {
                match scalar(item) {
                    Some(item) => converted.push(item),
                    None => errors.push(unfit(format!("{name}[{index}]"), item)),
                }
            }
            if errors.is_empty() {
                Ok(tera::Value::from(converted))
            } else {
                Err(errors)
            }
        }
        _ => scalar(value).ok_or_else(|| vec![unfit(name.to_owned(), value)]),
    }
}

fn scalar(value: &Value) -> Option<tera::Value> {
    match value {
        Value::String(text) => Some(tera::Value::from(text.as_str())),
        Value::Bool(flag) => Some(tera::Value::from(*flag)),
        // A number that the engine would write otherwise goes as its text.
        Value::Number(number) => Some(match number.as_i64() {
            Some(whole) if whole.to_string() == number.as_str() => tera::Value::from(whole),
            _ => tera::Value::from(number.as_str()),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Values that do not fit the keys and tags they are used in directly. Names
/// of loops are left to the engine.
fn misplaced(template: &str, pieces: &[Piece], given: &BTreeMap<&str, &Value>) -> Vec<FillError> {
    let mut errors = Vec::new();
    let mut loops: Vec<Vec<&str>> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Tag { content } => {
                let words = scan::names(template, content.clone());
                match words.first().map(|(word, _)| *word) {
                    Some("endfor") => {
                        loops.pop();
                    }
                    Some("for") => {
                        let bound = words
                            .iter()
                            .skip(1)
                            .map(|(word, _)| *word)
                            .take_while(|word| *word != "in")
                            .collect::<Vec<_>>();
                        let tag = &template[content.clone()];
                        let through = tag.split_once(" in ").map(|(_, list)| list.trim());
                        if let Some((name, value)) =
                            through.and_then(|name| given.get_key_value(name))
                        {
                            let absent = matches!(value, Value::String(text) if text.is_empty());
                            if !value.is_array() && !absent {
                                errors.push(FillError::NotAList {
                                    name: (*name).to_owned(),
                                    kind: kind_of(value),
                                    position: scan::position(template, content.start),
                                });
                            }
                        }
                        loops.push(bound);
                    }
                    _ => {}
                }
            }
            Piece::Key { expression, quoted } => {
                let name = &template[expression.clone()];
                let shadowed: HashSet<&str> = loops.iter().flatten().copied().collect();
                let Some(value) = given.get(name).filter(|_| !shadowed.contains(name)) else {
                    continue;
                };
                let position = scan::position(template, expression.start);
                match value {
                    Value::Array(_) => errors.push(FillError::ListInHole {
                        name: name.to_owned(),
                        position,
                    }),
                    Value::String(text) if !quoted && !is_bare(text) => {
                        errors.push(FillError::Bare {
                            name: name.to_owned(),
                            position,
                            value: short(&format!("{text:?}"), LONGEST_VALUE),
                        });
                    }
                    _ => {}
                }
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{FillErrors, fill, keys, render};
    use crate::template::tests::map;

    fn rendered(template: &str, values: Value) -> Result<String, Vec<String>> {
        render(template, &map(values), &Map::new())
            .map_err(|FillErrors(errors)| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn any_text_survives_in_a_json_string() {
        for text in [
            "\"quotes\" and \\ back\\\\slashes",
            "lines\r\n\ttabs\u{0}\u{7f}",
            "{{ Other }} {% if %} {# #} }}",
            "\u{2028}\u{2029} ü 🦀 </script> & ' <",
            "true",
            "",
        ] {
            let filled = rendered(
                r#"["{{ Value }}", "{{ 'a' ~ Value }}"]"#,
                json!({"Value": text}),
            )
            .unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&filled).unwrap(),
                json!([text, format!("a{text}")])
            );
        }
    }

    #[test]
    fn the_place_of_a_hole_decides_its_type() {
        assert_eq!(
            rendered(
                r#"["{{ Count }}", {{ Count }}, {{- Rate -}}, {{ Flag }}, "{{ Flag }}", {{ Number }}]"#,
                json!({"Count": "30", "Rate": "1e-07", "Flag": "false", "Number": 30.0})
            )
            .unwrap(),
            r#"["30", 30,1e-07, false, "false", 30.0]"#
        );
        assert_eq!(
            rendered(
                "{\n  \"a\": {{ A }},\n  \"b\": [{{ B }}, {{ C }}, {{ D }}]}",
                json!({"A": "", "B": "x, 1", "C": "007", "D": " 7"})
            )
            .unwrap_err(),
            [
                "template, line 2, column 11: {{ A }} stands outside of a JSON string and takes a number or a boolean, not \"\"",
                "template, line 3, column 12: {{ B }} stands outside of a JSON string and takes a number or a boolean, not \"x, 1\"",
                "template, line 3, column 21: {{ C }} stands outside of a JSON string and takes a number or a boolean, not \"007\"",
                "template, line 3, column 30: {{ D }} stands outside of a JSON string and takes a number or a boolean, not \" 7\"",
            ]
        );
    }

    #[test]
    fn every_missing_and_every_unused_key_is_named_at_once() {
        let template = "{% if Kms %}{% endif %}[\"{{ RoleArn }}\",\n \"{{ 'x' ~ Bucket }}\"]";
        assert_eq!(
            rendered(template, json!({"RolArn": "r", "Extra": 1})).unwrap_err(),
            [
                "template, line 1, column 7: no value is given for \"Kms\"",
                "template, line 1, column 29: no value is given for \"RoleArn\": did you mean \"RolArn\"?",
                "template, line 2, column 12: no value is given for \"Bucket\"",
                "the value \"RolArn\" is given, but the template has no such key: did you mean \"RoleArn\"?",
                "the value \"Extra\" is given, but the template has no such key",
            ]
        );
    }

    #[test]
    fn a_given_value_wins_over_a_provided_one_which_may_be_unused() {
        let text = render(
            r#"["{{ A }}", "{{ B }}"]"#,
            &map(json!({"A": "mine"})),
            &map(json!({"A": "theirs", "B": "b", "C": null})),
        )
        .unwrap();
        assert_eq!(text, r#"["mine", "b"]"#);
    }

    #[test]
    fn an_empty_text_is_absent_in_a_condition_and_lists_are_gone_through() {
        let template = r#"[{% if Ids %}{% for id in Ids %}"{{ id }}"{% if not loop.last %},{% endif %}{% endfor %}{% endif %}]"#;
        assert_eq!(rendered(template, json!({"Ids": ""})).unwrap(), "[]");
        assert_eq!(
            rendered(template, json!({"Ids": ["a\"", "b"]})).unwrap(),
            r#"["a\"","b"]"#
        );
        assert_eq!(
            rendered(template, json!({"Ids": "a,b"})).unwrap_err(),
            ["template, line 1, column 17: \"Ids\" is a string, and {% for %} goes through a list"]
        );
    }

    #[test]
    fn values_that_fit_nowhere_are_refused() {
        assert_eq!(
            rendered(
                r#"["{{ A }}", "{{ B }}", "{{ C }}", "{{ D }}"]"#,
                json!({"A": null, "B": {"x": 1}, "C": ["x", null], "D": ["x"]})
            )
            .unwrap_err(),
            [
                "the value \"A\" is null: a value is a text, a number, a boolean, or a list of these",
                "the value \"B\" is an object: a value is a text, a number, a boolean, or a list of these",
                "the value \"C[1]\" is null: a value is a text, a number, a boolean, or a list of these",
                "template, line 1, column 28: \"C\" is a list, and a key takes a single value: use {% for item in C %}",
                "template, line 1, column 39: \"D\" is a list, and a key takes a single value: use {% for item in D %}",
            ]
        );
    }

    /// A template whose loops or filters make more than a definition can be is refused, in bounded memory.
    #[test]
    fn a_template_that_makes_more_than_a_definition_is_refused() {
        let thousand = "x".repeat(1000);
        let longer = format!("| replace(from=\"x\", to=\"{thousand}\")").repeat(6);
        let rejoined = "| join(sep=\"xxxxxxxxxx\") | split(pat=\"x\")".repeat(12);
        for template in [
            format!(
                "{{% for a in range(end=99999) %}}{{% for b in range(end=99999) %}}{thousand}\
                 {{% endfor %}}{{% endfor %}}"
            ),
            format!("\"{{{{ \"x\" {longer} }}}}\""),
            format!("\"{{{{ range(end=99999) {rejoined} | length }}}}\""),
        ] {
            let error = fill(&template, &Map::new(), &Map::new()).unwrap_err();
            assert!(error.to_string().contains("4 MiB"), "{error}");
        }
    }

    #[test]
    fn replacing_and_joining_work_within_the_limit() {
        let template =
            r#"{"a": "{{ "x-y" | replace(from="-", to="+") }}", "b": "{{ Ns | join(sep=", ") }}"}"#;
        let values = map(json!({"Ns": [1, "two"]}));
        assert_eq!(
            render(template, &values, &Map::new()).unwrap(),
            r#"{"a": "x+y", "b": "1, two"}"#
        );
    }

    #[test]
    fn a_loops_variable_is_checked_in_a_bare_hole_too() {
        let template = "[{% for n in Ns %}{{ n }}{% if not loop.last %},{% endif %}{% endfor %}]";
        assert_eq!(
            rendered(template, json!({"Ns": ["1", 2.50]})).unwrap(),
            "[1,2.5]"
        );
        let errors = rendered(template, json!({"Ns": ["1", "x, y"]})).unwrap_err();
        assert!(
            errors[0].contains("takes a number or a boolean, not x, y"),
            "{errors:?}"
        );
        assert!(errors[0].contains("line 1, column 22"), "{errors:?}");
    }

    #[test]
    fn faults_of_the_template_show_their_place() {
        let errors = rendered("[\n {{ A B }}]", json!({"A": 1})).unwrap_err();
        assert!(
            errors[0].starts_with("template, line 2, column 7:"),
            "{errors:?}"
        );
        let errors = rendered("[{{ 1 }}, \"{{ A | safe }}\"]", json!({"A": "\""})).unwrap_err();
        assert!(
            errors[0].contains("safe would let a value break"),
            "{errors:?}"
        );
        assert!(errors[0].contains("line 1, column 19"), "{errors:?}");
    }

    #[test]
    fn the_result_is_parsed_and_checked() {
        let broken = fill("{\"Steps\": [],}", &Map::new(), &Map::new()).unwrap_err();
        assert!(
            broken
                .to_string()
                .contains("not a definition: line 1, column 14"),
            "{broken}"
        );
        let faulty = fill(
            r#"{"Version":"2020-12-01","Steps":[{"Name":"{{ Name }}","Type":"Fail","Arguments":{"ErrorMessage":{"Get":"Parameters.P"}}}]}"#,
            &map(json!({"Name": "{{ kept }}"})),
            &Map::new(),
        )
        .unwrap_err();
        assert!(faulty.to_string().contains("E_UNKNOWN_PARAM"), "{faulty}");
        assert!(!faulty.to_string().contains("E_HOLE"), "{faulty}");
    }

    #[test]
    fn the_keys_of_a_template_are_known() {
        let keys = keys("{% for a in B %}{{ a }}{% endfor %}\"{{ C | upper }}\"").unwrap();
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["B", "C"]);
    }
}
