//! What messages to a person are made of: times, sizes and counts as they are
//! read, texts and lists of which only the start is shown, and the name that was
//! probably meant.

mod cutting;
pub mod nearest;

pub use cutting::{cut, cut_with_mark};

use std::fmt::Write as _;
use std::time::Duration;

/// A time span: `7 ms`, `3.2 s`, `2 min 5 s`.
#[must_use]
pub fn span(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A number of bytes: `999 bytes`, `1.5 kB`, `2.0 MB`, in powers of 1,000.
#[must_use]
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// So many of something: `1 row`, `2 rows`.
#[must_use]
pub fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// A text of at most `longest` characters, or its start and an ellipsis.
#[must_use]
pub fn short(text: &str, longest: usize) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(longest).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// At most 40 characters of a text that came from outside, for a message: on one line,
/// whatever is in it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for letter in short(text, 40).chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    shown
}

/// The first `longest` names of a list and how many more there are: `A, B and 3 more`.
#[must_use]
pub fn first_of<T: AsRef<str>>(names: &[T], longest: usize) -> String {
    let shown: Vec<&str> = names.iter().take(longest).map(T::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(longest) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Bytes as lower-case hexadecimal digits, two for each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_or_list_the_start_is_shown() {
        assert_eq!(short("Größe", 5), "Größe");
        assert_eq!(short("Größen", 5), "Größe…");
        assert_eq!(first_of(&["A", "B"], 2), "A, B");
        assert_eq!(first_of(&["A", "B", "C"], 2), "A, B and 1 more");
        assert_eq!(first_of::<String>(&[], 2), "");
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("\"a\nb\u{1b}"), "\"a\\nb\\u{1b}");
        assert_eq!(excerpt(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }

    #[test]
    fn bytes_are_two_digits_each() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }

    #[test]
    fn spans_and_sizes_read_as_a_person_reads_them() {
        assert_eq!(span(Duration::from_millis(7)), "7 ms");
        assert_eq!(span(Duration::from_millis(3_250)), "3.2 s");
        assert_eq!(span(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(2_000_000), "2.0 MB");
        assert_eq!(size(3_250_000_000), "3.2 GB");
    }

    #[test]
    fn one_thing_is_not_told_as_many() {
        let rows = [0, 1, 2].map(|number| count(number, "row"));
        assert_eq!(rows, ["0 rows", "1 row", "2 rows"]);
    }
}
