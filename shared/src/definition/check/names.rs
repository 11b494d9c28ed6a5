//! Names that may have been meant, names that are allowed, and holes that were
//! left.

use crate::nearest::likely;

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

    /// What to take in the place of a wrong name: the one that was probably
    /// meant, or all there are where none is near.
    pub(super) fn choice(&mut self, name: &str, known: &[&str]) -> String {
        self.likely(name, known.iter().copied()).map_or_else(
            || format!(": take {}", one_of(known)),
            |found| format!(": did you mean {found:?}?"),
        )
    }
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

/// The first `{{ name ... }}` in a text.
pub(super) fn hole(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{") {
        let start = from + open;
        let inside = &text[start + 2..];
        let close = inside.find("}}")?;
        let name = inside[..close].trim_matches(['-', ' ', '\t', '\n']);
        if name
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
    use super::{Suggestions, hole, one_of, show};

    #[test]
    fn a_wrong_name_gets_the_near_one_or_all_there_are() {
        let mut suggestions = Suggestions::default();
        let known = ["String", "Integer", "Float"];
        assert_eq!(
            suggestions.choice("Strng", &known),
            ": did you mean \"String\"?"
        );
        assert_eq!(
            suggestions.choice("Date", &known),
            ": take String, Integer or Float"
        );
        assert_eq!(one_of(&["String"]), "String");
    }

    #[test]
    fn a_hole_is_two_braces_around_a_name() {
        assert_eq!(hole("s3://{{ bucket }}/x"), Some("{{ bucket }}"));
        assert_eq!(hole("{{-a|b-}}"), Some("{{-a|b-}}"));
        assert_eq!(hole("{{ }} {{1}} {\"a\":{\"b\":1}} }}{{"), None);
    }

    #[test]
    fn a_long_text_is_shortened_between_characters() {
        assert_eq!(show("a\"b"), r#""a\"b""#);
        assert_eq!(show(&"ü".repeat(300)).chars().count(), 163);
    }
}
