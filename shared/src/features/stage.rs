//! The stages of the work, and what is told while it runs.

use std::fmt;
use std::num::NonZeroUsize;

use super::stages::{self, AutoencoderReport};
use crate::training_template::TrainingTemplate;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Joining the prices by date.
    Merge,
    /// Technical indicators.
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
        self.entry().0
    }

    /// The stage of that name, as [`Stage::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The setting that switches the stage on, and whether it does; `None` for a
    /// stage that no setting switches.
    pub fn switch(self, template: &TrainingTemplate) -> Option<(&'static str, bool)> {
        let stage = stages::all().find(|stage| stage.stage() == self)?;
        let mut features = template.features.clone();
        let (setting, enabled) = stage.switch(&mut features);
        Some((setting, *enabled))
    }

    /// The stages whose results this one works on, those that they work on
    /// included.
    fn builds_on(self) -> &'static [Self] {
        self.entry().2
    }

    /// The name on the command line, the name in texts, and what it builds on.
    fn entry(self) -> (&'static str, &'static str, &'static [Self]) {
        use Stage::{Arima, Autoencoder, DeepAr, Importance, Indicators, LowPass, Merge, Plots};
        match self {
            Merge => ("merge", "merging prices", &[]),
            Indicators => ("ta", "technical indicators", &[Merge]),
            Arima => ("arima", "ARIMA", &[Merge]),
            LowPass => ("fft", "Fourier low-pass", &[Merge]),
            Importance => (
                "importance",
                "feature importance",
                &[Merge, Indicators, Arima, LowPass],
            ),
            Autoencoder => (
                "autoencoder",
                "autoencoder",
                &[Merge, Indicators, Arima, LowPass],
            ),
            DeepAr => (
                "deepar",
                "DeepAR files",
                &[Merge, Indicators, Arima, LowPass, Autoencoder],
            ),
            Plots => (
                "plots",
                "plots",
                &[Merge, Indicators, Arima, LowPass, Importance, Autoencoder],
            ),
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().1)
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
pub struct Stages(u32);

impl Stages {
    /// Every stage.
    pub const ALL: Self = Self((1 << Stage::ALL.len()) - 1);

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
        for stage in stages::all() {
            *stage.switch(features).1 &= self.stages.contains(stage.stage());
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

/// Takes what is told while the work goes on, and keeps what is for the summary.
pub(super) struct Log<'a> {
    progress: &'a mut dyn FnMut(Progress),
    /// What was doubtful, as far as it was told.
    pub(super) warnings: Vec<String>,
    /// How well the autoencoder does, once it has run.
    pub(super) autoencoder: Option<AutoencoderReport>,
}

impl<'a> Log<'a> {
    pub(super) fn new(progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            progress,
            warnings: Vec::new(),
            autoencoder: None,
        }
    }

    pub(super) fn started(&mut self, stage: Stage, text: String) {
        (self.progress)(Progress::Started { stage, text });
    }

    /// Tells how far a stage is, from units done and units in all.
    pub(super) fn advanced(&mut self, stage: Stage) -> impl FnMut(usize, usize) {
        move |done, total| (self.progress)(Progress::Advanced { stage, done, total })
    }

    pub(super) fn finished(&mut self, stage: Stage, text: String) {
        (self.progress)(Progress::Finished { stage, text });
    }

    pub(super) fn warn(&mut self, warning: String) {
        (self.progress)(Progress::Warning(warning.clone()));
        self.warnings.push(warning);
    }
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
    fn the_page_has_each_stage_and_what_it_builds_on() {
        const PAGE: &str = include_str!("../../../docs/FEATURES.md");
        for stage in Stage::ALL {
            let all = stage.builds_on();
            // All build on the prices, which goes without saying.
            let needed = all
                .iter()
                .filter(|one| all.len() == 1 || **one != Stage::Merge);
            let names: Vec<String> = needed.map(|one| format!("`{}`", one.name())).collect();
            let row = format!("| `{}` | {}", stage.name(), names.join(", "));
            let row = format!("\n{} | ", row.trim_end());
            assert!(PAGE.contains(&row), "docs/FEATURES.md lacks{row}");
        }
    }

    #[test]
    fn every_stage_is_found_by_its_name() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.name()), Some(stage));
        }
        assert_eq!(Stage::from_name("all"), None);
    }
}
