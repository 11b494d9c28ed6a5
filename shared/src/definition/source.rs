//! JSON text: parsing it with faults shown at their place, and finding the
//! place of a value in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde_json::{Number, Value};

use super::excerpt::Excerpt;
use super::foreign::Foreign;
use super::path::{JsonPath, Segment};

/// A line and a column of a text, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of the byte `offset` of `text`; past the end means the end.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Position {
    /// The byte of the text at this position; past the end means the end.
    fn offset_in(self, text: &str) -> usize {
        let line_start: usize = text
            .split_inclusive('\n')
            .take(self.line - 1)
            .map(str::len)
            .sum();
        text[line_start..]
            .char_indices()
            .nth(self.column - 1)
            .map_or(text.len(), |(offset, _)| line_start + offset)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A key that stands twice in one object: JSON readers differ in which one
/// they take, so neither can be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateKey {
    /// The place of the member in the document.
    pub path: JsonPath<'static>,
    /// The key.
    pub key: String,
    /// Where it stands first.
    pub first: Position,
    /// Where it stands again.
    pub second: Position,
}

impl fmt::Display for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: the key {:?} stands twice, at {} and at {}: remove one",
            self.path, self.key, self.first, self.second
        )
    }
}

/// Why a text is not a JSON document that can be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is not JSON, or nested too deeply.
    #[error("{position}: {message}{}", below(excerpt.as_ref()))]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
        /// The line itself or the place's surroundings; none of an empty line.
        excerpt: Option<Excerpt>,
    },
    /// Keys stand twice in one object; the first hundred of them, in the text's
    /// order.
    #[error("{}", join_lines(_0))]
    DuplicateKeys(Vec<DuplicateKey>),
    /// The document is something else than a definition, and known.
    #[error("{0}")]
    Foreign(Foreign),
    /// The document is JSON, but no object.
    #[error("a pipeline definition is a JSON object, and this is {0}")]
    NotAnObject(&'static str),
}

fn join_lines(duplicates: &[DuplicateKey]) -> String {
    duplicates
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn below(excerpt: Option<&Excerpt>) -> String {
    excerpt.map_or_else(String::new, |excerpt| format!("\n{excerpt}"))
}

/// What shows a position in its text.
fn excerpt_at(text: &str, position: Position) -> Option<Excerpt> {
    let line = text.split('\n').nth(position.line - 1)?;
    let line = line.trim_end_matches('\r');
    let mut before = line.char_indices().map(|(at, _)| at);
    let at = before.nth(position.column - 1).unwrap_or(line.len());
    (!line.is_empty()).then(|| Excerpt::new(position.line, line, at..at))
}

/// Parses JSON text: order of keys and text of numbers are kept.
///
/// # Errors
/// [`ParseError::Syntax`] when it is not JSON or nested deeper than 127
/// levels (deeper nesting would risk the stack), [`ParseError::DuplicateKeys`]
/// when an object has a key twice.
pub fn parse(text: &str) -> Result<Value, ParseError> {
    let mut value = parse_syntax(text)?;
    let (root, duplicates) = scan(text);
    if !duplicates.is_empty() {
        return Err(ParseError::DuplicateKeys(duplicates));
    }
    keep_exponents(&mut value, &root, text);
    Ok(value)
}

/// Gives numbers with an exponent their own text back: serde_json keeps all
/// digits, but reads `1E5` and `1e5` as `1e+5`.
fn keep_exponents(value: &mut Value, node: &Node, text: &str) {
    // Not deeper than the parser's limit.
    match (value, &node.children) {
        (Value::Number(number), _) => {
            let written = &text[node.span.clone()];
            if written.contains(['e', 'E']) && number.as_str() != written {
                // The only way to make a number with a given text; that this
                // one is a JSON number the parser has just made sure of.
                *number = Number::from_string_unchecked(written.to_owned());
            }
        }
        (Value::Array(items), Children::Items(nodes)) => {
            for (item, node) in items.iter_mut().zip(nodes) {
                keep_exponents(item, node, text);
            }
        }
        (Value::Object(object), Children::Members(members)) => {
            // Without duplicate keys both have the text's order.
            for (item, (_, _, node)) in object.values_mut().zip(members) {
                keep_exponents(item, node, text);
            }
        }
        _ => {}
    }
}

fn parse_syntax(text: &str) -> Result<Value, ParseError> {
    serde_json::from_str(text).map_err(|error| {
        // serde_json counts columns in bytes; at the end of input it may name
        // the column before the first one.
        let line_start = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum::<usize>();
        let position = Position::of(text, line_start + error.column().saturating_sub(1));
        let message = error.to_string();
        let message = match message.rfind(" at line ") {
            Some(end) => &message[..end],
            None => &message,
        };
        let message = if message == "recursion limit exceeded" {
            "nested deeper than 127 levels".to_owned()
        } else if text[..position.offset_in(text)].ends_with('{')
            && text[position.offset_in(text)..].starts_with('{')
        {
            "not JSON: a template's key stands here; fill the template first".to_owned()
        } else if text.starts_with('\u{feff}') {
            "not JSON: a byte order mark stands before it; save the text as UTF-8 without one"
                .to_owned()
        } else if text.trim().is_empty() {
            "not JSON: the text is empty".to_owned()
        } else {
            let rest = &text[position.offset_in(text)..];
            match words_of_python(rest) {
                Some(words) => format!("not JSON: {words}"),
                None => format!("not JSON: {}", in_plain_words(message)),
            }
        };
        // What ends too early is shown at its end, not on an empty line behind it.
        let position = if message.starts_with(TOO_SHORT) {
            Position::of(text, text.trim_end().len())
        } else {
            position
        };
        ParseError::Syntax {
            message,
            position,
            excerpt: excerpt_at(text, position),
        }
    })
}

const TOO_SHORT: &str = "not JSON: the text ends";

/// What Python writes where JSON has another word.
fn words_of_python(rest: &str) -> Option<&'static str> {
    Some(match rest {
        _ if rest.starts_with("True") => "Python's True stands here; JSON has true",
        _ if rest.starts_with("False") => "Python's False stands here; JSON has false",
        _ if rest.starts_with("None") => "Python's None stands here; JSON has null",
        _ if rest.starts_with("NaN") || rest.starts_with("Infinity") => {
            "a number that JSON does not have stands here"
        }
        _ if rest.starts_with('\'') => "JSON's texts and keys stand in double quotes",
        _ => return None,
    })
}

/// The parser's words for what people most often get wrong, as a person would
/// say it.
fn in_plain_words(message: &str) -> Cow<'_, str> {
    if let Some(what) = message.strip_prefix("EOF while parsing ") {
        return match what {
            "a value" => "the text ends where a value is expected".into(),
            "a list" => "the text ends inside an array".into(),
            inside => format!("the text ends inside {inside}").into(),
        };
    }
    match message {
        "expected value" => "a value is expected here",
        "expected `:`" => "a colon is expected here, after the key",
        "expected `,` or `]`" => "a comma or the array's ] is expected here",
        "expected `,` or `}`" => "a comma or the object's } is expected here",
        "expected ident" => "true, false or null is misspelt here",
        "key must be a string" => "a key in double quotes is expected here",
        "trailing comma" => "a comma stands before the closing bracket: remove it",
        "trailing characters" => "more follows here after the document's end",
        other => other,
    }
    .into()
}

/// Where the values of a JSON text stand in it.
#[derive(Clone, Debug)]
pub struct SourceMap {
    root: Node,
}

#[derive(Clone, Debug)]
struct Node {
    span: Range<usize>,
    children: Children,
}

#[derive(Clone, Debug)]
enum Children {
    None,
    /// Key, the key's span, value; in the text's order.
    Members(Vec<(String, Range<usize>, Node)>),
    Items(Vec<Node>),
}

/// What a path leads to in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bytes of the value, or of the nearest value around it that exists.
    pub value: Range<usize>,
    /// The bytes of its key with the quotes, where it is an object's member.
    pub key: Option<Range<usize>>,
    /// Whether the whole path exists; a missing member is located at the
    /// object that lacks it.
    pub exact: bool,
}

impl SourceMap {
    /// Reads the text's structure. Duplicate keys are no fault here; the first
    /// one is found.
    ///
    /// # Errors
    /// [`ParseError::Syntax`] as [`parse`].
    pub fn new(text: &str) -> Result<Self, ParseError> {
        parse_syntax(text)?;
        Ok(Self { root: scan(text).0 })
    }

    /// Where the value at `path` stands, or else the nearest one around it.
    #[must_use]
    pub fn locate(&self, path: &JsonPath<'_>) -> Location {
        let mut location = Location {
            value: self.root.span.clone(),
            key: None,
            exact: true,
        };
        let mut node = &self.root;
        for segment in path.segments() {
            let child = match (segment, &node.children) {
                (Segment::Key(key), Children::Members(members)) => members
                    .iter()
                    .find(|(name, ..)| name == key)
                    .map(|(_, span, child)| (Some(span.clone()), child)),
                (Segment::Index(index), Children::Items(items)) => {
                    items.get(*index).map(|child| (None, child))
                }
                _ => None,
            };
            let Some((key, child)) = child else {
                location.exact = false;
                return location;
            };
            location.value = child.span.clone();
            location.key = key;
            node = child;
        }
        location
    }
}

/// How many duplicate keys are reported: finding the line of each takes time,
/// and a text with more of them is not a document that a person wrote.
const MOST_DUPLICATES: usize = 100;

/// A container whose end has not been seen.
enum Frame<'t> {
    Object {
        start: usize,
        members: Vec<(String, Range<usize>, Node)>,
        seen: HashMap<Cow<'t, str>, usize>,
        key: Option<(Cow<'t, str>, Range<usize>)>,
    },
    Array {
        start: usize,
        items: Vec<Node>,
    },
}

/// Walks the tokens of a text that is known to be valid JSON.
fn scan(text: &str) -> (Node, Vec<DuplicateKey>) {
    let bytes = text.as_bytes();
    let mut duplicates = Vec::new();
    let mut stack: Vec<Frame<'_>> = Vec::new();
    let mut at = 0;
    loop {
        let mut done = None;
        match bytes.get(at) {
            None => {
                // Valid JSON has returned before its end.
                return (
                    Node {
                        span: 0..text.len(),
                        children: Children::None,
                    },
                    duplicates,
                );
            }
            Some(b'{') => {
                stack.push(Frame::Object {
                    start: at,
                    members: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                });
                at += 1;
            }
            Some(b'[') => {
                stack.push(Frame::Array {
                    start: at,
                    items: Vec::new(),
                });
                at += 1;
            }
            Some(b'}' | b']') => {
                at += 1;
                done = stack.pop().map(|frame| match frame {
                    Frame::Object { start, members, .. } => Node {
                        span: start..at,
                        children: Children::Members(members),
                    },
                    Frame::Array { start, items } => Node {
                        span: start..at,
                        children: Children::Items(items),
                    },
                });
            }
            Some(b'"') => {
                let start = at;
                at = end_of_string(bytes, at);
                if let Some(Frame::Object {
                    key: key @ None,
                    seen,
                    ..
                }) = stack.last_mut()
                {
                    let name = decode(&text[start..at]);
                    let repeated = seen.get(&name).copied();
                    if repeated.is_none() {
                        seen.insert(name.clone(), start);
                    }
                    *key = Some((name.clone(), start..at));
                    if let Some(first) = repeated
                        && duplicates.len() < MOST_DUPLICATES
                    {
                        duplicates.push(DuplicateKey {
                            path: path_of(&stack),
                            key: name.into_owned(),
                            first: Position::of(text, first),
                            second: Position::of(text, start),
                        });
                    }
                } else {
                    done = Some(Node {
                        span: start..at,
                        children: Children::None,
                    });
                }
            }
            Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            Some(_) => {
                let start = at;
                while bytes.get(at).is_some_and(|byte| {
                    !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                }) {
                    at += 1;
                }
                done = Some(Node {
                    span: start..at,
                    children: Children::None,
                });
            }
        }
        if let Some(node) = done {
            match stack.last_mut() {
                None => return (node, duplicates),
                Some(Frame::Array { items, .. }) => items.push(node),
                Some(Frame::Object { members, key, .. }) => {
                    if let Some((name, span)) = key.take() {
                        members.push((name.into_owned(), span, node));
                    }
                }
            }
        }
    }
}

/// The end of the string whose quote opens at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The text of a string token, quotes included.
fn decode(token: &str) -> Cow<'_, str> {
    if token.contains('\\') {
        // A string with a lone surrogate has been refused by the parser.
        serde_json::from_str::<String>(token).map_or(Cow::Borrowed(token), Cow::Owned)
    } else {
        Cow::Borrowed(&token[1..token.len() - 1])
    }
}

fn path_of(stack: &[Frame<'_>]) -> JsonPath<'static> {
    let mut path = JsonPath::root();
    for frame in stack {
        match frame {
            Frame::Object { key, .. } => {
                if let Some((name, _)) = key {
                    path.push_key(name);
                }
            }
            Frame::Array { items, .. } => path.push_index(items.len()),
        }
    }
    path.into_owned()
}

#[cfg(test)]
mod tests {
    use super::{ParseError, SourceMap, parse};
    use crate::definition::path::JsonPath;

    #[test]
    fn order_and_numbers_survive_a_round_trip() {
        let text = r#"{"z":1e-07,"a":3.0,"m":9007199254740993,"e":[1E+5,{"f":2e5}],"n":-0.0,"s":"\u00fc"}"#;
        let value = parse(text).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"z":1e-07,"a":3.0,"m":9007199254740993,"e":[1E+5,{"f":2e5}],"n":-0.0,"s":"ü"}"#
        );
    }

    #[test]
    fn a_syntax_error_shows_the_place_and_the_line() {
        let error = parse("{\n  \"ü\": [1,],\n}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 11: not JSON: a comma stands before the closing bracket: remove it\n  |\n2 |   \"ü\": [1,],\n  |           ^"
        );
    }

    #[test]
    fn a_text_that_ends_too_early_is_shown_at_its_end() {
        let error = parse("{\n  \"a\": [1\n\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 10: not JSON: the text ends inside an array\n  |\n2 |   \"a\": [1\n  |          ^"
        );
        for (text, says) in [
            ("", "the text is empty"),
            (" \n", "the text is empty"),
            ("{\"a\"", "the text ends inside an object"),
            ("{\"a\":", "the text ends where a value is expected"),
            ("\"a", "the text ends inside a string"),
            ("{a: 1}", "a key in double quotes"),
            ("{} {}", "more follows"),
            ("{\"a\": nul}", "misspelt"),
            ("{\"a\" 1}", "a colon is expected"),
            ("{\"a\": True}", "JSON has true"),
            ("[None]", "JSON has null"),
            ("[NaN]", "JSON does not have"),
            ("{\"a\": 'b'}", "double quotes"),
            ("\u{feff}{}", "byte order mark"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(says), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_hole_of_a_template_is_named_as_such() {
        let message = parse("{\"a\": {{ n }}}").unwrap_err().to_string();
        assert!(
            message.contains("a template's key stands here"),
            "{message}"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("[{}x]", "1, ".repeat(10_000));
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.len() < 400, "{message}");
        assert!(message.contains("column 30002"), "{message}");
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_both_places() {
        let text = "{\"Steps\": [1, {\"Name\": \"a\",\n \"N\\u0061me\": {\"x\": 1, \"x\": 2}}]}";
        let error = parse(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "$.Steps[1].Name: the key \"Name\" stands twice, at line 1, column 16 and at line 2, column 2: remove one\n\
             $.Steps[1].Name.x: the key \"x\" stands twice, at line 2, column 16 and at line 2, column 24: remove one"
        );
    }

    #[test]
    fn ever_so_many_double_keys_take_no_time() {
        let text = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(200_000));
        assert!(matches!(parse(&text), Err(ParseError::DuplicateKeys(keys)) if keys.len() == 100));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_crash() {
        for text in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
            assert!(matches!(
                parse(&text),
                Err(ParseError::Syntax { message, .. }) if message.contains("127 levels")
            ));
        }
    }

    #[test]
    fn a_value_is_located_in_the_text_and_a_missing_one_at_what_lacks_it() {
        let text = r#"{"a": [true, {"b": "x"}]}"#;
        let map = SourceMap::new(text).unwrap();
        let path = JsonPath::root().key("a").index(1).key("b");
        let found = map.locate(&path);
        assert!(found.exact);
        assert_eq!(&text[found.value], "\"x\"");
        assert_eq!(&text[found.key.unwrap()], "\"b\"");
        let missing = map.locate(&JsonPath::root().key("a").index(1).key("c"));
        assert!(!missing.exact);
        assert_eq!(&text[missing.value], r#"{"b": "x"}"#);
    }
}
