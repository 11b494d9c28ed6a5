//! Names that may have been meant, and holes that were left.

use crate::nearest::likely;

/// Finds the names that were probably meant, as long as there are not so many
/// wrong ones that looking for each would take quadratic time.
#[derive(Debug)]
pub(super) struct Suggestions {
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        // Comparing one name with 2,000 takes about a millisecond.
        Self { left: 32 }
    }
}

impl Suggestions {
    /// `: did you mean "X"?`, or nothing where no name is near.
    pub(super) fn hint<'a>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> String {
        if self.left == 0 {
            return String::new();
        }
        self.left -= 1;
        match likely(name, known.into_iter().filter(|known| !known.is_empty())) {
            Some(found) if found != name => format!(": did you mean {found:?}?"),
            _ => String::new(),
        }
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
    use super::hole;

    #[test]
    fn a_hole_is_two_braces_around_a_name() {
        assert_eq!(hole("s3://{{ bucket }}/x"), Some("{{ bucket }}"));
        assert_eq!(hole("{{-a|b-}}"), Some("{{-a|b-}}"));
        assert_eq!(hole("{{ }} {{1}} {\"a\":{\"b\":1}} }}{{"), None);
    }
}
