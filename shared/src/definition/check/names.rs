//! Names that may have been meant, names that are allowed, and keys that were
//! left.

use crate::nearest::{likely, within_edits};

/// Finds the names that were probably meant, as long as there are not so many
/// wrong ones that looking for each would take quadratic time.
#[derive(Debug)]
pub(super) struct Suggestions {
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        // Comparing one name with 2,000 others takes about a millisecond.
        Self { left: 24 }
    }
}

impl Suggestions {
    /// The known name that was probably meant.
    pub(super) fn likely<'a>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        likely(name, known.into_iter().filter(|known| !known.is_empty()))
            .filter(|found| *found != name)
    }

    /// `: did you mean "X"?`, or nothing where no name is near.
    pub(super) fn hint<'a>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> String {
        self.likely(name, known)
            .map_or_else(String::new, |found| format!(": did you mean {found:?}?"))
    }
}

/// A name of the language or of the service that stands behind a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meant<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// Whether nothing else can be meant: another spelling of the same words, a
    /// part of them, a slip of the keyboard, or a name used elsewhere for it.
    pub(super) surely: bool,
}

/// Which of a few known names was meant by a wrong one.
///
/// Lists that come from the definition itself, and may be long, are for
/// [`Suggestions`].
pub(super) fn meant<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<Meant<'a>> {
    let surely = |name| Some(Meant { name, surely: true });
    let letters = folded(name);
    let wanted = words(name);
    if letters.is_empty() || name.chars().count() > LONGEST {
        return None;
    }
    for (elsewhere, here) in ELSEWHERE {
        if *elsewhere == letters
            && let Some(found) = known.clone().into_iter().find(|known| known == here)
        {
            return surely(found);
        }
    }
    // The name that has all of the words and the fewest others, if it is one.
    let mut holding: Vec<(usize, &str)> = known
        .clone()
        .into_iter()
        .map(|known| (words(known), known))
        .filter(|(words, _)| is_within(&wanted, words))
        .map(|(words, known)| (words.len(), known))
        .collect();
    holding.sort_unstable();
    match holding.as_slice() {
        [(_, only)] => return surely(only),
        [(fewest, first), (more, _), ..] if fewest < more => return surely(first),
        _ => {}
    }
    let found = likely(name, known)?;
    let slip = within_edits(name, found, slips(letters.len()));
    Some(Meant {
        name: found,
        surely: slip,
    })
}

/// How many slips of the keyboard a name of so many letters can have.
const fn slips(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        8..=15 => 2,
        _ => 3,
    }
}

/// `: did you mean "X"?`, or all there are where none is near.
pub(super) fn choice(name: &str, known: &[&str]) -> String {
    meant(name, known.iter().copied()).map_or_else(
        || format!(": take {}", one_of(known)),
        |found| format!(": did you mean {:?}?", found.name),
    )
}

/// Longer names are no misspelling of any.
const LONGEST: usize = 128;

/// What other tools, the SDK's classes or plain language call things, in
/// letters alone, and their names here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("truesteps", "IfSteps"),
    ("thensteps", "IfSteps"),
    ("ontrue", "IfSteps"),
    ("falsesteps", "ElseSteps"),
    ("onfalse", "ElseSteps"),
    ("lhs", "LeftValue"),
    ("rhs", "RightValue"),
    ("value", "QueryValue"),
    ("in", "Values"),
    ("operator", "Type"),
    ("name", "PropertyFileName"),
    ("needs", "DependsOn"),
    ("dependencies", "DependsOn"),
    ("args", "Arguments"),
    ("inputs", "Arguments"),
    ("allowedvalues", "EnumValues"),
    ("allowedpattern", "EnumValues"),
    ("maxrun", "MaxRuntimeInSeconds"),
    ("env", "Environment"),
];

/// A name's letters and digits in lower case.
fn folded(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The words of `CamelCase`, `snake_case` or `two words`, in lower case and in
/// the singular.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    let mut characters = name.chars().peekable();
    while let Some(c) = characters.next() {
        if c.is_ascii_alphanumeric() {
            let begins = before.is_none_or(|before| !before.is_ascii_alphanumeric())
                || (c.is_ascii_uppercase()
                    && (before.is_some_and(|before| !before.is_ascii_uppercase())
                        || characters.peek().is_some_and(char::is_ascii_lowercase)));
            match words.last_mut() {
                Some(word) if !begins => word.push(c.to_ascii_lowercase()),
                _ => words.push(c.to_ascii_lowercase().to_string()),
            }
        }
        before = Some(c);
    }
    for word in &mut words {
        if word == "configuration" {
            word.truncate("config".len());
        } else if let Some(stem) = word.strip_suffix("ies") {
            *word = format!("{stem}y");
        } else if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") {
            word.pop();
        }
    }
    words
}

/// Whether the words stand in this order among others, or are the same letters.
fn is_within(wanted: &[String], words: &[String]) -> bool {
    if wanted.concat() == words.concat() {
        return true;
    }
    let mut rest = words.iter();
    wanted.concat().len() >= 4 && wanted.iter().all(|word| rest.any(|other| other == word))
}

/// `A, B or C`
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} or {last}", names.join(", ")),
    }
}

/// Whether a name is made of letters, digits, `-` and `_`, and is not empty.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A text for a message, with quotes and shortened.
pub(super) fn show(text: &str) -> String {
    const LONGEST: usize = 160;
    if text.chars().count() <= LONGEST {
        format!("{text:?}")
    } else {
        let start: String = text.chars().take(LONGEST).collect();
        format!("{start:?}…")
    }
}

/// The first `{{ name ... }}` in a text, but for CloudFormation's
/// `{{resolve:...}}`.
pub(super) fn unfilled(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{") {
        let start = from + open;
        let inside = &text[start + 2..];
        let close = inside.find("}}")?;
        let name = inside[..close].trim_matches(['-', ' ', '\t', '\n']);
        // A dynamic reference is CloudFormation's to resolve.
        if !name.starts_with("resolve:")
            && name
                .chars()
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        {
            return Some(&text[start..start + 2 + close + 2]);
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Meant, choice, meant, one_of, show, unfilled};

    #[test]
    fn a_wrong_name_gets_the_near_one_or_all_there_are() {
        let known = ["String", "Integer", "Float"];
        assert_eq!(choice("Strng", &known), ": did you mean \"String\"?");
        assert_eq!(choice("Date", &known), ": take String, Integer or Float");
        assert_eq!(one_of(&["String"]), "String");
    }

    #[test]
    fn another_spelling_or_a_part_of_a_name_leaves_no_doubt() {
        let request = ["ProcessingInputs", "ProcessingOutputConfig", "RoleArn"];
        for (name, known, expected) in [
            ("ProcessingOutputs", &request[..], "ProcessingOutputConfig"),
            ("processing_inputs", &request, "ProcessingInputs"),
            ("Role", &request, "RoleArn"),
            ("RoelArn", &request, "RoleArn"),
            ("TrueSteps", &["ElseSteps", "IfSteps"], "IfSteps"),
            ("Left", &["LeftValue", "RightValue"], "LeftValue"),
            (
                "Image",
                &["TrainingImageConfig", "TrainingImage"],
                "TrainingImage",
            ),
            ("RetryPolicy", &["RetryPolicies"], "RetryPolicies"),
            ("CacheConfiguration", &["CacheConfig"], "CacheConfig"),
            ("HyperparameterS", &["HyperParameters"], "HyperParameters"),
        ] {
            let found = meant(name, known.iter().copied());
            let surely = Some(Meant {
                name: expected,
                surely: true,
            });
            assert_eq!(found, surely, "{name}");
        }
    }

    #[test]
    fn a_longer_or_another_name_may_be_new() {
        let known = ["TrainingImage", "InstanceType"];
        let longer = meant("TrainingImageConfig", known);
        assert_eq!(
            longer,
            Some(Meant {
                name: "TrainingImage",
                surely: false
            })
        );
        assert_eq!(meant("Budget", known), None);
        assert_eq!(meant("", known), None);
        assert_eq!(meant(&"x".repeat(1_000_000), known), None);
    }

    #[test]
    fn a_hole_is_two_braces_around_a_name() {
        assert_eq!(unfilled("s3://{{ bucket }}/x"), Some("{{ bucket }}"));
        assert_eq!(unfilled("{{-a|b-}}"), Some("{{-a|b-}}"));
        assert_eq!(unfilled("{{ }} {{1}} {\"a\":{\"b\":1}} }}{{"), None);
        assert_eq!(unfilled("{{resolve:ssm:/team/token}} {{x}}"), Some("{{x}}"));
    }

    #[test]
    fn a_long_text_is_shortened_between_characters() {
        assert_eq!(show("a\"b"), r#""a\"b""#);
        assert_eq!(show(&"ü".repeat(300)).chars().count(), 163);
    }
}
