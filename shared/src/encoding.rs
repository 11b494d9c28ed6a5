//! Texts that are not in UTF-8.

/// What a file is written in that can't be read as UTF-8, as far as its first
/// bytes tell: a byte order mark, or an ASCII character with a zero beside it.
#[must_use]
pub fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, first, 0, second, ..] | [first, 0, second, 0, ..] if *first != 0 && *second != 0 => {
            Some("UTF-16")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_told_with_a_mark_and_without() {
        let units = || "{}".encode_utf16();
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        assert_eq!(foreign_encoding(&little), Some("UTF-16"));
        assert_eq!(foreign_encoding(&big), Some("UTF-16"));
        assert_eq!(foreign_encoding(b"\xff\xfe{\0"), Some("UTF-16"));
        assert_eq!(foreign_encoding(b"\xff\xfe\0\0{\0\0\0"), Some("UTF-32"));
        for text in ["", "{}", "é,ü\n", "\u{feff}{}"] {
            assert_eq!(foreign_encoding(text.as_bytes()), None, "{text}");
        }
    }
}
