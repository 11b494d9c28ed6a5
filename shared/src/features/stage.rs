//! The stages of the work, and what is told while it runs.

use std::fmt;
use std::num::NonZeroUsize;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Joining the prices by date.
    Merge,
    /// Bollinger bands, RSI and SMA.
    Indicators,
    /// ARIMA predictions.
    Arima,
    /// Low-pass filtered prices.
    LowPass,
    /// Which features go with the predicted asset.
    Importance,
    /// The autoencoder's columns.
    Autoencoder,
    /// Laying out and formatting DeepAR's files.
    DeepAr,
}

impl Stage {
    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Indicators => "ta",
            Self::Arima => "arima",
            Self::LowPass => "fft",
            Self::Importance => "importance",
            Self::Autoencoder => "autoencoder",
            Self::DeepAr => "deepar",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merging prices",
            Self::Indicators => "technical indicators",
            Self::Arima => "ARIMA",
            Self::LowPass => "Fourier low-pass",
            Self::Importance => "feature importance",
            Self::Autoencoder => "autoencoder",
            Self::DeepAr => "DeepAR files",
        })
    }
}

/// What [`run`] tells while it works, always from the caller's thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A stage begins; `text` says on what.
    Started {
        /// The stage.
        stage: Stage,
        /// A sentence for a log.
        text: String,
    },
    /// `done` of `total` units of a stage are done.
    Advanced {
        /// The stage.
        stage: Stage,
        /// Units done.
        done: usize,
        /// Units in all.
        total: usize,
    },
    /// A stage ended; `text` says with what.
    Finished {
        /// The stage.
        stage: Stage,
        /// A sentence for a log.
        text: String,
    },
    /// Something doubtful; it is in the summary as well.
    Warning(String),
}

/// How [`run_with`] works; nothing here changes the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads to use.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    /// As many threads as the machine runs at once.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

pub(super) fn started(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Started { stage, text });
}

pub(super) fn finished(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Finished { stage, text });
}
