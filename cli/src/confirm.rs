//! Asking the person at the terminal before something is gone for good.

use std::io::{self, IsTerminal, Write};

use crate::output;

/// Whether there is somebody to ask.
pub(crate) fn somebody_is_there() -> bool {
    io::stdin().is_terminal()
}

/// Asks on standard error, and waits for the answer; whatever is not a clear yes is
/// a no. Waits apart from the runtime, which hears of Ctrl-C meanwhile.
///
/// # Errors
/// When the question can't be written or the answer not be read.
pub(crate) async fn yes(question: &str) -> anyhow::Result<bool> {
    let mut out = output::stderr();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(means_yes(&answer.await??))
}

fn means_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for yes in ["y", "Y\n", " yes \r\n"] {
            assert!(means_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n", "no", "yesterday", "ja"] {
            assert!(!means_yes(no), "{no:?}");
        }
    }
}
