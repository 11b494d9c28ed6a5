//! Where a command writes: to a file that is not there yet, or to standard
//! output and standard error.
//!
//! What it writes there has texts that others gave, of files, tables, services:
//! this is the one place through which they go, and where what could move a
//! terminal's cursor, colour it or forge a line of a log is taken out of them.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

/// The colours that a command itself writes, and the end of one.
const COLOURS: [&str; 10] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[36m",
    "\u{1b}[1;31m",
    "\u{1b}[1;33m",
    "\u{1b}[1;34m",
];

/// Back to the line's start, and nothing in it.
const CLEAR: &str = "\r\u{1b}[K";

/// Takes text for a terminal or a log: every control character but a line's end
/// becomes a space.
#[derive(Debug)]
pub(crate) struct Text<W> {
    out: W,
    /// The sequences of control characters that may pass.
    passes: &'static [&'static str],
}

impl<W: Write> Write for Text<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.out
            .write_all(without_controls(&text, self.passes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Standard output, for text.
pub(crate) fn stdout() -> Text<io::Stdout> {
    coloured_stdout(false)
}

/// Standard output, for text with the command's own colours in it.
pub(crate) fn coloured_stdout(coloured: bool) -> Text<io::Stdout> {
    Text {
        out: raw_stdout(),
        passes: if coloured { &COLOURS } else { &[] },
    }
}

/// Standard error, for text.
pub(crate) fn stderr() -> Text<io::Stderr> {
    Text {
        out: raw_stderr(),
        passes: &[],
    }
}

/// Whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    raw_stdout().is_terminal()
}

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    raw_stderr().is_terminal()
}

/// Writes a text over the last line of standard error, which is a terminal.
pub(crate) fn redraw(text: &str) -> io::Result<()> {
    raw_stderr().write_all(CLEAR.as_bytes())?;
    stderr().write_all(text.as_bytes())
}

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// How large the terminal is that standard output is.
pub(crate) fn size() -> Size {
    let known = rustix::termios::tcgetwinsize(raw_stdout()).ok();
    // Some terminals say 0.
    let known = known.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or(
        Size {
            columns: 80,
            rows: 24,
        },
        |size| Size {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        },
    )
}

/// Whether standard output is a terminal whose cursor can be moved.
pub(crate) fn stdout_moves() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stdout_is_terminal() && !dumb
}

/// Takes the last lines of standard output, which is a terminal, away.
pub(crate) fn erase(lines: usize) -> io::Result<()> {
    if lines == 0 {
        return Ok(());
    }
    raw_stdout().write_all(format!("\r\u{1b}[{lines}A\u{1b}[J").as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "the one place that writes there")]
fn raw_stdout() -> io::Stdout {
    io::stdout()
}

#[expect(clippy::disallowed_methods, reason = "the one place that writes there")]
fn raw_stderr() -> io::Stderr {
    io::stderr()
}

/// A text whose control characters but line ends are spaces.
pub(crate) fn clean(text: &str) -> String {
    without_controls(text, &[]).into_owned()
}

fn without_controls<'a>(text: &'a str, passes: &[&str]) -> Cow<'a, str> {
    let refused = |letter: char| letter.is_control() && letter != '\n';
    if !text.contains(refused) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (piece, written) = match passes.iter().find(|own| rest.starts_with(**own)) {
            Some(own) => (own.len(), *own),
            None if refused(letter) => (letter.len_utf8(), " "),
            None => (letter.len_utf8(), &rest[..letter.len_utf8()]),
        };
        cleaned.push_str(written);
        rest = &rest[piece..];
    }
    Cow::Owned(cleaned)
}

/// JSON for people and machines, with a line's end. What a terminal could take
/// for a command, and JSON leaves as it is, is escaped.
pub(crate) fn pretty(value: &Value) -> String {
    escaped(&format!("{value:#}\n"))
}

/// Writes a value as [`pretty`] does.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut out = stdout();
    Ok(writeln!(out, "{}", escaped(&text))?)
}

/// JSON text without the control characters that may stand in its strings: JSON
/// itself escapes those below a space only.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_control() && letter > ' ' {
            text += &format!("\\u{:04x}", u32::from(letter));
        } else {
            text.push(letter);
        }
    }
    text
}

/// A command's options of where to write.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Where to write; standard output otherwise, and for `-`.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    pub(crate) force: bool,
}

impl Output {
    /// Writes to the file, or else to standard output: byte by byte, unless that
    /// is a terminal, which gets it as text.
    ///
    /// # Errors
    /// When it cannot be written; see [`Output::free`] as well.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        match &self.output {
            Some(file) if file != Path::new(STDOUT) => self.put(file, bytes),
            _ if stdout_is_terminal() => write(&mut stdout(), bytes),
            _ => write(&mut raw_stdout(), bytes),
        }
    }

    /// Writes a page into a file, and says where; or to standard output, for `-`.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn page(file: &Path, force: bool, page: &str) -> Result<()> {
        let output = Self {
            output: Some(file.to_owned()),
            force,
        };
        output.write(page.as_bytes())?;
        if file != Path::new(STDOUT) {
            writeln!(stdout(), "{}", file.display())?;
        }
        Ok(())
    }

    /// Writes to a file that the command writes besides, whole or not at all.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn put(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        self.free(file, bytes)?;
        whole(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether a file may be written: it may not hold something else, which
    /// might be the command's own input or somebody's work, unless that is to
    /// be replaced.
    ///
    /// # Errors
    /// When it holds something else.
    pub(crate) fn free(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        // What is not a file, such as a terminal, holds nothing.
        if !self.force && file.is_file() && std::fs::read(file).ok().as_deref() != Some(bytes) {
            bail!("{} exists; --force replaces it", file.display());
        }
        Ok(())
    }

    /// Whether a file that the command writes besides is another one: the second
    /// to be written would replace the first.
    ///
    /// # Errors
    /// When both are the same.
    pub(crate) fn apart(&self, option: &str, file: &Path) -> Result<()> {
        // What is not a file, such as /dev/null, takes both.
        let takes_both = file.exists() && !file.is_file();
        if let Some(output) = &self.output
            && !takes_both
            && place(output) == place(file)
        {
            bail!(
                "--output and {option} are the same file, {}; give each its own",
                file.display()
            );
        }
        Ok(())
    }
}

/// The name of a file that is standard output.
const STDOUT: &str = "-";

/// Writes a file under another name beside it, and then in its place: who reads it meanwhile has the old one, and if
/// something goes wrong, it stays. What is not a file, such as a terminal, is written to as it is.
fn whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.exists() && !file.is_file() {
        return std::fs::write(file, bytes);
    }
    // What a link leads to is replaced, not the link.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let Some(name) = file.file_name() else {
        return std::fs::write(&file, bytes);
    };
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = file.with_file_name(beside);
    let written = std::fs::write(&beside, bytes)
        .and_then(|()| match std::fs::metadata(&file) {
            Ok(known) => std::fs::set_permissions(&beside, known.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Where a file is, or would be, whatever way leads there.
fn place(file: &Path) -> PathBuf {
    if let Ok(place) = file.canonicalize() {
        return place;
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file.to_owned(),
    }
}

/// Writes to standard output; a reader that has seen enough is not an error.
pub(crate) fn write(stdout: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn output(file: Option<&Path>) -> Output {
        Output {
            output: file.map(Path::to_owned),
            force: true,
        }
    }

    #[test]
    fn two_outputs_must_be_two_files_whatever_they_are_called() {
        let folder =
            std::env::temp_dir().join(format!("pipewright-outputs-apart-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("a")).unwrap();
        let (here, around) = (folder.join("same"), folder.join("a/../same"));
        for written in [false, true] {
            if written {
                std::fs::write(&here, "").unwrap();
            }
            for other in [&here, &around] {
                let error = output(Some(&here))
                    .apart("--values-out", other)
                    .unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!(
                        "--output and --values-out are the same file, {}; give each its own",
                        other.display()
                    )
                );
            }
            assert!(output(Some(&here)).apart("--x", &folder.join("b")).is_ok());
        }
        assert!(output(None).apart("--x", &here).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_is_written_whole_and_nothing_stays_beside_it() {
        let folder = std::env::temp_dir().join(format!("pipewright-whole-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("page.html"), folder.join("link"));
        std::os::unix::fs::symlink("page.html", &link).unwrap();
        for (target, text) in [(&file, "one"), (&file, "two"), (&link, "three")] {
            output(Some(target)).write(text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        assert!(link.is_symlink());
        let missing = folder.join("no/such/page.html");
        assert!(output(Some(&missing)).write(b"x").is_err());
        let names = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(names, 2, "no other file is left");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    fn through(text: &str, passes: &'static [&'static str]) -> String {
        let mut out = Vec::new();
        let mut rim = Text {
            out: &mut out,
            passes,
        };
        rim.write_all(text.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_commands_own_colours_pass_and_no_other_sequence() {
        let text =
            "\u{1b}[31mred\u{1b}[0m \u{1b}[2J\u{1b}[8mhidden\u{1b}]0;title\u{7}\r\n\t\u{9b}2J";
        assert_eq!(
            through(text, &COLOURS),
            "\u{1b}[31mred\u{1b}[0m  [2J [8mhidden ]0;title  \n  2J"
        );
        assert_eq!(
            through(text, &[]),
            " [31mred [0m  [2J [8mhidden ]0;title  \n  2J"
        );
        let plain = "Größe: 12 µm\n";
        assert_eq!(through(plain, &[]), plain);
    }

    proptest! {
        /// Whatever text is told, no control character but a line's end reaches a terminal or a log.
        #[test]
        #[test]
        fn no_control_character_but_a_lines_end_is_written(
            pieces in prop::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    ".*".prop_map(String::into_bytes),
                    "[\u{0}-\u{1f}\u{7f}-\u{9f}\\[0-9;mJKH]{0,12}".prop_map(String::into_bytes),
                ],
                0..8,
            ),
        ) {
            let mut out = Vec::new();
            let mut rim = Text { out: &mut out, passes: &[] };
            for piece in &pieces {
                rim.write_all(piece).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            prop_assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
            let ends = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            let given: usize = pieces.iter().map(|piece| ends(piece)).sum();
            prop_assert_eq!(ends(text.as_bytes()), given, "the line ends stay");
        }

        #[test]
        fn colours_are_all_that_passes_besides(text in "(\u{1b}|\\[|[0-9]|m|;|\u{9b}|\r|x|\n){0,40}") {
            let mut left = through(&text, &COLOURS);
            for own in COLOURS {
                left = left.replace(own, "");
            }
            prop_assert!(left.chars().all(|letter| letter == '\n' || !letter.is_control()), "{left:?}");
        }

        #[test]
        fn json_is_the_same_value_without_a_control_character(text in any::<String>(), more in "[\u{0}-\u{9f}]{0,9}") {
            let value = serde_json::json!({ &text: [more] });
            let written = pretty(&value);
            prop_assert!(written.chars().all(|letter| letter == '\n' || !letter.is_control()), "{written:?}");
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }

    #[test]
    fn what_is_no_file_takes_two_outputs() {
        let null = Path::new("/dev/null");
        assert!(output(Some(null)).apart("--x", null).is_ok());
    }
}
