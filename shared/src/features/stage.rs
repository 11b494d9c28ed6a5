//! The stages of the work, and what is told while it runs.

use std::fmt;
use std::num::NonZeroUsize;

use crate::training_template::TrainingTemplate;

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
    /// Drawing pictures of what was made.
    Plots,
}

impl Stage {
    /// All stages, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::Merge,
        Self::Indicators,
        Self::Arima,
        Self::LowPass,
        Self::Importance,
        Self::Autoencoder,
        Self::DeepAr,
        Self::Plots,
    ];

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
            Self::Plots => "plots",
        }
    }

    /// The stage of that name, as [`Stage::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The setting that switches the stage on, and whether it does; `None` for a
    /// stage that no setting switches.
    pub fn switch(self, template: &TrainingTemplate) -> Option<(&'static str, bool)> {
        let features = &template.features;
        match self {
            Self::Indicators => Some(("feMeta.taSettings.enabled", features.indicators.enabled)),
            Self::Arima => Some(("feMeta.arimaSettings.enabled", features.arima.enabled)),
            Self::LowPass => Some(("feMeta.fftSettings.enabled", features.fft.enabled)),
            Self::Autoencoder => Some((
                "feMeta.autoEncoderSettings.enabled",
                features.autoencoder.enabled,
            )),
            Self::Merge | Self::Importance | Self::DeepAr | Self::Plots => None,
        }
    }

    /// The stages whose results this one works on, those that they work on
    /// included.
    fn builds_on(self) -> &'static [Self] {
        use Stage::{Arima, Autoencoder, Importance, Indicators, LowPass, Merge};
        match self {
            Merge => &[],
            Indicators | Arima | LowPass => &[Merge],
            Importance | Autoencoder => &[Merge, Indicators, Arima, LowPass],
            Self::DeepAr => &[Merge, Indicators, Arima, LowPass, Autoencoder],
            Self::Plots => &[Merge, Indicators, Arima, LowPass, Importance, Autoencoder],
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Merge => 1,
            Self::Indicators => 1 << 1,
            Self::Arima => 1 << 2,
            Self::LowPass => 1 << 3,
            Self::Importance => 1 << 4,
            Self::Autoencoder => 1 << 5,
            Self::DeepAr => 1 << 6,
            Self::Plots => 1 << 7,
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
            Self::Plots => "plots",
        })
    }
}

/// What [`run`](super::run) tells while it works, always from the caller's thread.
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

/// A set of stages to run.
///
/// A stage yields the same whatever else runs with it: the set holds, with each
/// stage, those that it builds on, as far as the template switches them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    /// Every stage.
    pub const ALL: Self = Self(u8::MAX);

    /// The stages given, those that they build on, and [`Stage::Merge`].
    pub fn with_needs(stages: impl IntoIterator<Item = Stage>) -> Self {
        let named = stages.into_iter();
        let all = named.flat_map(|stage| stage.builds_on().iter().copied().chain([stage]));
        Self(all.fold(Stage::Merge.bit(), |set, stage| set | stage.bit()))
    }

    /// Whether the set holds a stage.
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & stage.bit() != 0
    }
}

/// How [`run_with`](super::run_with) works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads to use; the result is the same for any number.
    pub threads: NonZeroUsize,
    /// The stages to run, of those that the template switches on.
    pub stages: Stages,
    /// Seed of the autoencoder instead of the template's.
    pub seed: Option<u64>,
}

impl Options {
    /// The template as these options leave it: stages that are not to run are
    /// off, and the seed is the one given.
    pub(super) fn applied(self, template: &TrainingTemplate) -> TrainingTemplate {
        let mut template = template.clone();
        let features = &mut template.features;
        for (stage, enabled) in [
            (Stage::Indicators, &mut features.indicators.enabled),
            (Stage::Arima, &mut features.arima.enabled),
            (Stage::LowPass, &mut features.fft.enabled),
            (Stage::Autoencoder, &mut features.autoencoder.enabled),
        ] {
            *enabled &= self.stages.contains(stage);
        }
        if let Some(seed) = self.seed {
            features.autoencoder.seed = seed;
        }
        template
    }
}

impl Default for Options {
    /// All stages, with as many threads as the machine runs at once.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            stages: Stages::ALL,
            seed: None,
        }
    }
}

pub(super) fn started(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Started { stage, text });
}

pub(super) fn finished(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Finished { stage, text });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_with_each_stage_what_it_builds_on() {
        let set = Stages::with_needs([Stage::Autoencoder]);
        let held: Vec<Stage> = Stage::ALL
            .into_iter()
            .filter(|s| set.contains(*s))
            .collect();
        assert_eq!(
            held,
            [
                Stage::Merge,
                Stage::Indicators,
                Stage::Arima,
                Stage::LowPass,
                Stage::Autoencoder
            ]
        );
        for stage in Stage::ALL {
            let set = Stages::with_needs([stage]);
            for needed in stage.builds_on() {
                assert!(set.contains(*needed));
                let also = needed.builds_on().iter();
                assert!(also.into_iter().all(|stage| set.contains(*stage)));
            }
        }
        assert_eq!(Stages::with_needs(Stage::ALL), Stages::ALL);
    }

    #[test]
    fn every_stage_is_found_by_its_name() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.name()), Some(stage));
        }
        assert_eq!(Stage::from_name("all"), None);
    }
}
