//! How a run goes on, on standard error: a line for each stage and, on a
//! terminal, a bar that is redrawn in place.

use std::io::Write;
use std::time::{Duration, Instant};

use pipewright::features::{Progress, Stage};
use pipewright::wording;

use crate::output;

/// A stage that takes no longer needs no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// The bar is redrawn no more often.
const PAUSE: Duration = Duration::from_millis(80);

/// Characters of a bar.
const WIDTH: usize = 28;

/// Tells a person how far a run is.
pub(super) struct Teller {
    terminal: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self {
            terminal: output::stderr_is_terminal(),
            began: Instant::now(),
            drawn: None,
        }
    }

    pub(super) fn tell(&mut self, progress: &Progress) {
        match progress {
            Progress::Started { .. } => self.began = Instant::now(),
            Progress::Advanced { stage, done, total } => self.draw(*stage, *done, *total),
            Progress::Finished { stage, text } => {
                let text = format!("{stage}: {text} ({})", wording::span(self.began.elapsed()));
                self.line(&text);
            }
            Progress::Warning(text) => self.line(&format!("warning: {text}")),
            // A kind of progress that this program does not know of yet.
            other => self.line(&format!("{other:?}")),
        }
    }

    /// A line that stays.
    pub(super) fn line(&mut self, text: &str) {
        self.clear();
        // A closed standard error is not a failure.
        let _ = writeln!(output::stderr(), "{text}");
    }

    /// Takes away a bar, also one that another teller drew.
    pub(super) fn clear(&mut self) {
        self.drawn = None;
        if self.terminal {
            let _ = output::redraw("");
        }
    }

    fn draw(&mut self, stage: Stage, done: usize, total: usize) {
        let elapsed = self.began.elapsed();
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE);
        if !self.terminal || elapsed < PATIENCE || !due {
            return;
        }
        self.drawn = Some(Instant::now());
        let _ = output::redraw(&bar(&stage.to_string(), done, total, elapsed));
    }
}

/// `autoencoder  [======>     ] 120 of 460, about 12.0 s left`.
fn bar(stage: &str, done: usize, total: usize, elapsed: Duration) -> String {
    let filled = (done * WIDTH).checked_div(total).unwrap_or(0).min(WIDTH);
    let left = match (
        u32::try_from(total.saturating_sub(done)),
        u32::try_from(done),
    ) {
        (Ok(remaining), Ok(done)) if done > 0 && remaining > 0 => {
            format!(", about {} left", wording::span(elapsed / done * remaining))
        }
        _ => String::new(),
    };
    format!(
        "{stage}  [{}{}] {done} of {total}{left}",
        "=".repeat(filled),
        " ".repeat(WIDTH - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_tells_how_much_is_done_and_how_long_the_rest_will_take() {
        assert_eq!(
            bar("autoencoder", 100, 400, Duration::from_secs(2)),
            format!(
                "autoencoder  [{}{}] 100 of 400, about 6.0 s left",
                "=".repeat(7),
                " ".repeat(21)
            )
        );
        assert_eq!(
            bar("x", 0, 0, Duration::ZERO),
            format!("x  [{}] 0 of 0", " ".repeat(28))
        );
        assert!(bar("x", 3, 3, Duration::ZERO).ends_with("] 3 of 3"));
    }
}
