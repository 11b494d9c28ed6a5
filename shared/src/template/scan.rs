//! The pieces of a template: its text, its keys, its tags.
//!
//! The place of a key in the JSON text decides what it takes, so this follows
//! the JSON strings of the text through the template: each branch of an `if`
//! and each round of a `for` must leave the text as it found it, inside a
//! string or outside.

use std::ops::Range;

use crate::definition::Position;

/// A piece of a template that is not a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// `{{ expression }}`
    Key {
        /// Where the expression stands, without braces, dashes and blanks.
        expression: Range<usize>,
        /// Whether it stands in a JSON string.
        quoted: bool,
    },
    /// `{% keyword ... %}`
    Tag {
        /// Where the keyword and all that follows stand.
        content: Range<usize>,
    },
}

/// A template that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanError {
    /// The byte where.
    pub(super) at: usize,
    /// What and how to put it right.
    pub(super) message: String,
}

/// The tags that a definition's template may use.
const TAGS: [&str; 9] = [
    "if", "elif", "else", "endif", "for", "endfor", "raw", "break", "continue",
];

/// What is known about the JSON text up to a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TextState {
    in_string: bool,
    after_backslash: bool,
}

impl TextState {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.after_backslash {
                self.after_backslash = false;
            } else if self.in_string && byte == b'\\' {
                self.after_backslash = true;
            } else if byte == b'"' {
                self.in_string = !self.in_string;
            }
        }
    }
}

/// Splits a template. Text and comments are left out.
pub(super) fn scan(template: &str) -> Result<Vec<Piece>, Vec<ScanError>> {
    let mut pieces = Vec::new();
    let mut errors = Vec::new();
    let mut state = TextState::default();
    // The state at the beginning of each open `if` or `for`.
    let mut open: Vec<TextState> = Vec::new();
    let mut at = 0;
    while let Some(start) = find_marker(template, at) {
        state.read(&template[at..start]);
        let marker = template.as_bytes()[start + 1];
        if state.after_backslash {
            errors.push(ScanError {
                at: start,
                message:
                    "a backslash stands directly before it, and would escape what is filled in"
                        .into(),
            });
            state.after_backslash = false;
        }
        let closing = match marker {
            b'{' => "}}",
            b'%' => "%}",
            _ => "#}",
        };
        let end = if marker == b'#' {
            template[start + 2..]
                .find(closing)
                .map(|end| start + 2 + end)
        } else {
            find_end(template, start + 2, closing)
        };
        let Some(end) = end else {
            errors.push(ScanError {
                at: start,
                message: format!(
                    "{:?} is not closed by {closing:?}",
                    &template[start..start + 2]
                ),
            });
            return Err(errors);
        };
        at = end + 2;
        let content = trim(template, start + 2..end);
        match marker {
            b'{' => pieces.push(Piece::Key {
                expression: content,
                quoted: state.in_string,
            }),
            b'%' => {
                let keyword = keyword(&template[content.clone()]);
                let unbalanced = |errors: &mut Vec<ScanError>| {
                    errors.push(ScanError {
                        at: start,
                        message: format!(
                            "the text before {{% {keyword} %}} opens or closes a JSON string that \
                             began on the other side of the tag: put the whole string into the \
                             branch"
                        ),
                    });
                };
                match keyword {
                    "if" | "for" => open.push(state),
                    "elif" | "else" | "endif" | "endfor" => {
                        // Tags that do not match are the template engine's to report.
                        if let Some(before) = open.last().copied().filter(|before| *before != state)
                        {
                            unbalanced(&mut errors);
                            state = before;
                        }
                        if keyword.starts_with("end") {
                            open.pop();
                        }
                    }
                    "raw" => match find_endraw(template, at) {
                        Some((inner, after)) => {
                            state.read(&template[at..inner]);
                            at = after;
                        }
                        None => {
                            errors.push(ScanError {
                                at: start,
                                message: "{% raw %} is not closed by {% endraw %}".into(),
                            });
                            return Err(errors);
                        }
                    },
                    _ if TAGS.contains(&keyword) => {}
                    _ => errors.push(ScanError {
                        at: start,
                        message: format!(
                            "a definition's template has no tag {keyword:?}; it may use if, elif, \
                             else, for, break, continue and raw"
                        ),
                    }),
                }
                pieces.push(Piece::Tag { content });
            }
            _ => {}
        }
    }
    if errors.is_empty() {
        Ok(pieces)
    } else {
        Err(errors)
    }
}

fn find_marker(template: &str, from: usize) -> Option<usize> {
    template.as_bytes()[from..]
        .windows(2)
        .position(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
        .map(|found| from + found)
}

/// Where an expression ends; what stands in quotes belongs to it.
fn find_end(template: &str, from: usize, closing: &str) -> Option<usize> {
    let bytes = template.as_bytes();
    let mut at = from;
    let mut quote = None;
    while let Some(byte) = bytes.get(at) {
        match quote {
            Some(open) => {
                if *byte == b'\\' {
                    at += 1;
                } else if byte == open {
                    quote = None;
                }
            }
            None if matches!(byte, b'"' | b'\'' | b'`') => quote = Some(byte),
            None if bytes[at..].starts_with(closing.as_bytes()) => return Some(at),
            None => {}
        }
        at += 1;
    }
    None
}

/// Where the text of a raw block ends, and where its end tag does.
fn find_endraw(template: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(start) = template[at..].find("{%").map(|found| at + found) {
        let end = find_from(template, start + 2, "%}")?;
        if &template[trim(template, start + 2..end)] == "endraw" {
            return Some((start, end + 2));
        }
        at = start + 2;
    }
    None
}

fn find_from(template: &str, from: usize, wanted: &str) -> Option<usize> {
    template[from..].find(wanted).map(|found| from + found)
}

fn trim(template: &str, range: Range<usize>) -> Range<usize> {
    let content = &template[range.clone()];
    let content = content.strip_prefix('-').unwrap_or(content);
    let start = range.start + (template[range.clone()].len() - content.len());
    let content = content.strip_suffix('-').unwrap_or(content);
    let inner = content.trim_start();
    let start = start + (content.len() - inner.len());
    start..start + inner.trim_end().len()
}

fn keyword(content: &str) -> &str {
    content
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default()
}

/// The names in an expression with their places: words that are no attribute,
/// no argument's name, and not in quotes. Keywords are among them.
pub(super) fn names(template: &str, expression: Range<usize>) -> Vec<(&str, usize)> {
    let bytes = template.as_bytes();
    let mut found = Vec::new();
    let mut at = expression.start;
    let mut quote = None;
    while at < expression.end {
        let byte = bytes[at];
        if let Some(open) = quote {
            if byte == b'\\' {
                at += 1;
            } else if byte == open {
                quote = None;
            }
            at += 1;
        } else if matches!(byte, b'"' | b'\'' | b'`') {
            quote = Some(byte);
            at += 1;
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            let start = at;
            while at < expression.end && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                at += 1;
            }
            if start == expression.start || bytes[start - 1] != b'.' {
                found.push((&template[start..at], start));
            }
        } else {
            at += 1;
        }
    }
    found
}

/// The position of a byte, for messages.
pub(super) fn position(template: &str, at: usize) -> Position {
    Position::of(template, at)
}

#[cfg(test)]
mod tests {
    use super::{Piece, names, scan};

    fn keys(template: &str) -> Vec<(&str, bool)> {
        scan(template)
            .unwrap()
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Key { expression, quoted } => Some((&template[expression], quoted)),
                Piece::Tag { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_hole_is_quoted_when_it_stands_in_a_json_string() {
        assert_eq!(
            keys(
                r#"{"a\"{{- x -}}": {{ y }}, "{{ "}}" ~ z }}":{# {{ no }} #} {% raw %}"{{ {% endraw %}{{ w }}"}"#
            ),
            [
                ("x", true),
                ("y", false),
                (r#""}}" ~ z"#, true),
                ("w", true)
            ]
        );
    }

    #[test]
    fn branches_may_add_to_a_string_but_not_open_or_close_one() {
        assert_eq!(
            keys(r#"["s{% if a %}/{{ a }}{% elif b %}{% else %}-{% endif %}", {{ c }}]"#),
            [("a", true), ("c", false)]
        );
        let errors = scan(r#"[{% if a %}"x{% else %}1{% endif %}]"#).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].message.contains("{% else %} opens or closes"),
            "{errors:?}"
        );
    }

    #[test]
    fn what_is_not_closed_or_not_allowed_is_an_error() {
        assert!(scan("{{ a").unwrap_err()[0].message.contains("not closed"));
        assert!(scan("{# a").unwrap_err()[0].message.contains("not closed"));
        assert!(scan("{% raw %}").unwrap_err()[0].message.contains("endraw"));
        assert!(
            scan("{% raw %}{%}").unwrap_err()[0]
                .message
                .contains("endraw")
        );
        assert!(scan("{{}").unwrap_err()[0].message.contains("not closed"));
        assert!(scan("{#}").unwrap_err()[0].message.contains("not closed"));
        assert!(
            scan("{% include \"x\" %}").unwrap_err()[0]
                .message
                .contains("\"include\"")
        );
        assert!(
            scan(r#""\{{ a }}""#).unwrap_err()[0]
                .message
                .contains("backslash")
        );
    }

    #[test]
    fn names_are_found_with_their_places() {
        let template = r#"{{ a.b ~ "c" ~ d_1["e"] | f(g=h) }}"#;
        let found = names(template, 3..template.len() - 3);
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "d_1", "f", "g", "h"]);
        assert_eq!(&template[found[1].1..][..3], "d_1");
    }
}
