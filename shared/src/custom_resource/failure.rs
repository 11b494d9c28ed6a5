//! Why a request failed, and how much of it fits in a reply.

use std::fmt;

/// Why a request failed: one sentence, and the single faults behind it, if
/// there are several. `Display` gives all of it; a reply takes what fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    faults: Vec<String>,
}

impl Failure {
    /// A failure that one sentence tells.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            faults: Vec::new(),
        }
    }

    /// A failure with every fault behind it, in the order they are to be read.
    pub fn with_faults<F: fmt::Display>(
        what: impl Into<String>,
        faults: impl IntoIterator<Item = F>,
    ) -> Self {
        Self {
            what: what.into(),
            faults: faults.into_iter().map(|fault| fault.to_string()).collect(),
        }
    }

    /// The single faults; empty when the sentence says it all.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The reason that a reply gives, ended by `where_more` (where the log
    /// is). It costs at most `budget` bytes inside a JSON string: as many
    /// whole faults as fit and the count of the rest, and if not even the first
    /// one fits, its beginning, cut between characters.
    #[must_use]
    pub fn reason(&self, where_more: &str, budget: usize) -> String {
        let whole = format!("{self}{where_more}");
        if json_len(&whole) <= budget {
            return whole;
        }
        let total = self.faults.len();
        let count_of_rest = |shown: usize| format!("; and {} more", total - shown);
        // One pass: what the first `shown` faults cost, and whether the count
        // of the rest fits behind them.
        let mut listed = json_len(&self.what) + json_len(where_more);
        let mut fitting = 0;
        for (fault, shown) in self.faults.iter().zip(1..total) {
            listed += 2 + json_len(fault);
            if listed > budget {
                break;
            }
            if listed + count_of_rest(shown).len() <= budget {
                fitting = shown;
            }
        }
        if fitting > 0 {
            let list = self.faults[..fitting].join("; ");
            return format!(
                "{}: {list}{}{where_more}",
                self.what,
                count_of_rest(fitting)
            );
        }
        let rest = match total {
            0 | 1 => String::new(),
            _ => count_of_rest(1),
        };
        let head = match self.faults.first() {
            None => self.what.clone(),
            Some(fault) => format!("{}: {fault}", self.what),
        };
        let tail = format!("...{rest}{where_more}");
        let room = budget.saturating_sub(json_len(&tail));
        let cut = format!("{}{tail}", prefix(&head, room));
        prefix(&cut, budget).to_owned()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        if !self.faults.is_empty() {
            write!(formatter, ": {}", self.faults.join("; "))?;
        }
        Ok(())
    }
}

/// Bytes that `text` takes inside a JSON string, escapes included.
pub(super) fn json_len(text: &str) -> usize {
    text.chars().map(json_char_len).sum()
}

fn json_char_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// The longest beginning of `text`, ending between characters, that takes at
/// most `budget` bytes inside a JSON string.
fn prefix(text: &str, budget: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += json_char_len(c);
        if used > budget {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_failure_that_fits_is_told_whole() {
        let failure =
            Failure::with_faults("bad properties", ["Bucket is missing", "Values is a list"]);
        assert_eq!(
            failure.reason(" (log x)", 4096),
            "bad properties: Bucket is missing; Values is a list (log x)"
        );
    }

    /// A reason gives as many whole faults as fit, and the count of the rest.
    #[test]
    fn two_hundred_faults_give_as_many_as_fit_and_the_count_of_the_rest() {
        let faults: Vec<String> = (0..200).map(|n| format!("key {n:03} is missing")).collect();
        let reason = Failure::with_faults("bad values", faults).reason(" (log x)", 500);
        assert!(
            json_len(&reason) <= 500 && json_len(&reason) > 450,
            "{reason}"
        );
        let shown = reason.matches(" is missing").count();
        assert!(
            reason.ends_with(&format!("; and {} more (log x)", 200 - shown)),
            "{reason}"
        );
    }

    #[test]
    fn one_endless_fault_is_cut_and_the_rest_still_counted() {
        let failure =
            Failure::with_faults("bad", ["ö".repeat(5_000), "b".to_owned(), "c".to_owned()]);
        let reason = failure.reason(" (log x)", 101);
        assert!(
            reason.starts_with("bad: ö") && reason.ends_with("ö...; and 2 more (log x)"),
            "{reason}"
        );
    }

    /// Texts of every kind of character that JSON writes differently.
    fn texts() -> impl Strategy<Value = String> {
        let pieces = ["a", "ö", "\u{1f600}", "\"", "\\", "\n", "\u{1}", "; ", " "];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn json_length_is_what_the_writer_writes(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap().len();
            prop_assert_eq!(json_len(&text) + 2, written);
        }

        #[test]
        fn a_reason_never_exceeds_its_budget(
            what in texts(),
            faults in prop::collection::vec(texts(), 0..40),
            log in "[ -~]{0,40}",
            budget in 0usize..400,
        ) {
            let reason = Failure::with_faults(what, faults).reason(&log, budget);
            prop_assert!(json_len(&reason) <= budget);
        }

        #[test]
        fn the_log_is_named_whenever_there_is_room(
            what in texts(),
            faults in prop::collection::vec(texts(), 0..40),
            budget in 60usize..400,
        ) {
            let reason = Failure::with_faults(what, faults).reason(" (log x)", budget);
            prop_assert!(reason.ends_with(" (log x)"));
        }
    }
}
