//! Places in a JSON document, written like `$.Steps[3].Arguments.X[0]`.

use std::borrow::Cow;
use std::fmt;

/// One step from a JSON value into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment<'a> {
    /// An object's member by its (decoded) key.
    Key(Cow<'a, str>),
    /// An array's item, from 0.
    Index(usize),
}

/// The place of a value in a JSON document; the empty path is the document.
///
/// Displayed as in RFC 9535: `$`, then `.Key` where the key is a plain word,
/// `['key']` where it is not (with `'` and `\` escaped), and `[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath<'a> {
    segments: Vec<Segment<'a>>,
}

impl<'a> JsonPath<'a> {
    /// The document itself: `$`.
    #[must_use]
    pub const fn root() -> Self {
        Self {
            segments: Vec::new(),
        }
    }

    /// The segments from the document inwards.
    #[must_use]
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The place of this value's member `key`.
    #[must_use]
    pub fn key(&self, key: &'a str) -> Self {
        let mut path = self.clone();
        path.push_key(key);
        path
    }

    /// The place of this value's item `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push_index(index);
        path
    }

    /// Goes into the member `key`.
    pub fn push_key(&mut self, key: &'a str) {
        self.segments.push(Segment::Key(Cow::Borrowed(key)));
    }

    /// Goes into the member `key`, which need not live as long as the path.
    pub fn push_owned_key(&mut self, key: String) {
        self.segments.push(Segment::Key(Cow::Owned(key)));
    }

    /// Goes into the item `index`.
    pub fn push_index(&mut self, index: usize) {
        self.segments.push(Segment::Index(index));
    }

    /// Goes back to the value around; nothing happens at the document.
    pub fn pop(&mut self) {
        self.segments.pop();
    }

    /// The same place, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> JsonPath<'static> {
        JsonPath {
            segments: self
                .segments
                .into_iter()
                .map(|segment| match segment {
                    Segment::Key(key) => Segment::Key(Cow::Owned(key.into_owned())),
                    Segment::Index(index) => Segment::Index(index),
                })
                .collect(),
        }
    }
}

/// Whether a key can be written after a dot.
fn is_plain(key: &str) -> bool {
    let mut characters = key.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl fmt::Display for JsonPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.segments {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => {
                    f.write_str("['")?;
                    for c in key.chars() {
                        match c {
                            '\'' | '\\' => write!(f, "\\{c}")?,
                            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                            c => write!(f, "{c}")?,
                        }
                    }
                    f.write_str("']")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::JsonPath;

    #[test]
    fn a_path_reads_like_the_code_that_would_reach_the_value() {
        let path = JsonPath::root()
            .key("Steps")
            .index(3)
            .key("Arguments")
            .key("X")
            .index(0);
        assert_eq!(path.to_string(), "$.Steps[3].Arguments.X[0]");
    }

    #[test]
    fn keys_that_are_no_plain_words_are_quoted() {
        let path = JsonPath::root().key("Std:Join").key("it's").key("");
        assert_eq!(path.to_string(), r"$['Std:Join']['it\'s']['']");
    }
}
