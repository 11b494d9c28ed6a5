//! The part of a line that shows where something is wrong.

use std::fmt;
use std::ops::Range;

/// A line up to this many bytes is shown whole. Definitions often are a
/// single line of hundreds of kilobytes, of which only the surroundings are.
const WHOLE_LINE: usize = 160;
/// How many characters of a long line are shown before what is marked.
const BEFORE: usize = 50;
/// How many characters are marked at most.
const MARKED: usize = 70;
/// How many characters of a long line are shown after what is marked.
const AFTER: usize = 30;

/// A line, or the surroundings of what is marked in it, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    line: usize,
    shown: String,
    /// How many characters stand before what is marked.
    before: usize,
    marked: usize,
}

impl Excerpt {
    /// Of the text `content` of the line `line`, which is counted from 1, with some bytes marked.
    /// However long the line, no more of it is read than is shown.
    #[must_use]
    pub fn new(line: usize, content: &str, marked: Range<usize>) -> Self {
        let start = marked.start.min(content.len());
        let (front, rest) = content.split_at(start);
        let end = marked.end.clamp(start, content.len());
        let marked = content.get(start..end).map_or(1, |marked| {
            let characters = marked.chars().take(MARKED).count();
            characters.max(1)
        });
        let (from, until) = if content.len() <= WHOLE_LINE {
            (0, rest.len())
        } else {
            let from = front.char_indices().nth_back(BEFORE - 1);
            let until = rest.char_indices().nth(marked + AFTER);
            (
                from.map_or(0, |(at, _)| at),
                until.map_or(rest.len(), |(at, _)| at),
            )
        };
        let cut = if from > 0 { "…" } else { "" };
        let shown = format!("{cut}{}{}", &front[from..], &rest[..until]);
        let plain = shown.replace(char::is_control, " ");
        Self {
            line,
            shown: plain.trim_end().to_owned(),
            before: front[from..].chars().count() + cut.chars().count(),
            marked,
        }
    }

    /// What stands before the lines around it, as wide as the line's number.
    #[must_use]
    pub fn margin(&self) -> String {
        " ".repeat(self.line.to_string().len())
    }

    /// Its three lines, the frame and the mark as they are to be painted.
    pub fn painted(&self, frame: impl Fn(&str) -> String, mark: impl Fn(&str) -> String) -> String {
        let (margin, bar) = (self.margin(), frame("|"));
        format!(
            "{margin} {bar}\n{} {bar} {}\n{margin} {bar} {}{}",
            frame(&self.line.to_string()),
            self.shown,
            " ".repeat(self.before),
            mark(&"^".repeat(self.marked)),
        )
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.painted(str::to_owned, str::to_owned))
    }
}
