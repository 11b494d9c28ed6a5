//! Cutting texts to a number of bytes without breaking a character.

/// The longest start of `text` of at most `max_bytes` bytes that ends between
/// two characters.
#[must_use]
pub fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    // Byte 0 is always a boundary, so the search ends.
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `text`, or its start with a mark saying how long it was: at most
/// `max_bytes` bytes together (the mark itself is cut where it does not fit).
#[must_use]
pub fn cut_with_mark(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = format!(" … [cut: {} bytes]", text.len());
    let kept = cut(text, max_bytes.saturating_sub(mark.len()));
    cut(&format!("{kept}{mark}"), max_bytes).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_stays_as_it_is() {
        assert_eq!(cut("Straße", 7), "Straße");
        assert_eq!(cut_with_mark("Straße", 7), "Straße");
    }

    #[test]
    fn a_character_is_never_broken() {
        assert_eq!(cut("Straße", 5), "Stra");
        assert_eq!(cut("ß", 1), "");
    }

    #[test]
    fn the_mark_says_how_long_the_text_was() {
        let cut = cut_with_mark(&"x".repeat(5000), 100);
        assert_eq!(cut.len(), 100);
        assert!(cut.ends_with("x … [cut: 5000 bytes]"), "{cut}");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_is_the_texts_start(text in "\\PC{0,80}", max in 0usize..120) {
            prop_assert!(cut(&text, max).len() <= max);
            prop_assert!(text.starts_with(cut(&text, max)));
            prop_assert!(cut_with_mark(&text, max).len() <= max);
            if text.len() <= max {
                prop_assert_eq!(cut_with_mark(&text, max), text);
            }
        }
    }
}
