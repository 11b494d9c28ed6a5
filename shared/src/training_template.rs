//! The training template: what a person asks a model to be made from.
//!
//! It keeps the shape that the notebooks and the web page of the original
//! system write (`feMeta`, `deepARMeta`), with optional additions. Reading one
//! checks everything at once: [`TemplateFaults`] lists each fault with the path
//! of the value it is about.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use time::Date;

use crate::indicators::{ChosenIndicator, INDICATORS};
use crate::reading::{Fault, Faults};

mod hyper_params;
mod read;
pub mod settings;
#[cfg(test)]
mod tests;

/// The greatest whole number a setting may have: windows, epochs and lengths
/// beyond it can't be meant, and below it sums and products can't overflow.
const GREATEST: u32 = 1_000_000;

/// The years that a price can be of.
pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;

/// The longest ticker, in bytes: it must fit a file name with its ending.
pub const LONGEST_TICKER: usize = 128;

/// A training template that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingTemplate {
    /// `Id`.
    pub id: String,
    /// `name`, for people.
    pub name: Option<String>,
    /// `predictedAsset`: the ticker whose price is to be forecast.
    pub predicted_asset: String,
    /// `feMeta`: which features are made.
    pub features: FeatureSettings,
    /// `deepARMeta`: the training files and the model's hyperparameters.
    pub deepar: DeepArSettings,
    /// `processingInstanceType`, absent = the pipeline's default.
    pub processing_instance_type: Option<String>,
    /// `trainingInstanceType`, absent = the pipeline's default.
    pub training_instance_type: Option<String>,
    /// `modelApprovalStatus` (`Approved`, `Rejected` or
    /// `PendingManualApproval`), absent = the pipeline's default.
    pub model_approval_status: Option<String>,
}

/// `feMeta`.
///
/// A section that is absent is a stage that is off and names no assets. The
/// assets that a section names are loaded even when its stage is off, so that
/// switching a stage never changes which days are common to all assets.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSettings {
    /// `baseAssets`.
    pub base_assets: BaseAssets,
    /// `alignment` and `maxAge`.
    pub alignment: Alignment,
    /// `taSettings`.
    pub indicators: IndicatorSettings,
    /// `arimaSettings`.
    pub arima: ArimaSettings,
    /// `fftSettings`.
    pub fft: FftSettings,
    /// `autoEncoderSettings`.
    pub autoencoder: AutoencoderSettings,
}

/// `feMeta.baseAssets`: the assets whose prices are features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseAssets {
    /// `"all"`: every asset of the catalogue.
    All,
    /// The tickers listed.
    Listed(Vec<String>),
}

/// `feMeta.alignment`: which days are rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// `common` (the default): the days on which every asset has a price.
    Common,
    /// `predicted`: those of the predicted asset. On them, the last price of
    /// another asset stands for one that is missing.
    Predicted {
        /// `maxAge`: the calendar days that such a price may be old; default 7, of
        /// months 31, so that the point before can stand for one.
        max_age: usize,
    },
    /// `union`: the days on which any asset has a price.
    Union,
}

impl Alignment {
    /// `predicted` as it is where the template says no more, but for months.
    pub const PREDICTED: Self = Self::Predicted { max_age: 7 };

    /// The name in the template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Predicted { .. } => "predicted",
            Self::Union => "union",
        }
    }
}

/// `feMeta.taSettings`.
#[derive(Debug, Clone, PartialEq)]
pub struct IndicatorSettings {
    /// Whether the stage runs.
    pub enabled: bool,
    /// Tickers that get the indicators.
    pub assets: Vec<String>,
    /// Those that have a section, in the order of [`INDICATORS`].
    pub chosen: Vec<ChosenIndicator>,
}

/// `feMeta.arimaSettings`.
#[derive(Debug, Clone, PartialEq)]
pub struct ArimaSettings {
    /// Whether the stage runs.
    pub enabled: bool,
    /// Tickers that get an ARIMA column.
    pub assets: Vec<String>,
    /// Share of the rows to fit on, in (0, 1]; the rows end before
    /// `deepARMeta.endTraining` whatever it says.
    pub train_set_size: f64,
    /// `order`, (p, d, q); default (5, 1, 0). d is at most 2, q always 0.
    pub order: (usize, usize, usize),
}

/// `feMeta.fftSettings`. `num_comp` is known and unused, as in the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FftSettings {
    /// Whether the stage runs.
    pub enabled: bool,
    /// Asset classes whose assets get the low-pass columns.
    pub asset_classes: Vec<String>,
    /// `num_steps`: the highest frequency bin that each column keeps.
    pub steps: Vec<usize>,
    /// `mode` and `edge`.
    pub mode: FftMode,
}

/// What a low-pass value may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FftMode {
    /// `global`: the whole series, future included.
    Global,
    /// `expanding` (the default): the values up to the row.
    Expanding(FftEdge),
}

/// How the expanding low-pass continues a prefix beyond its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FftEdge {
    /// `mirror` (the default): by its reverse.
    Mirror,
    /// `periodic`: by itself, which joins the newest value to the oldest.
    Periodic,
}

/// `feMeta.autoEncoderSettings`. The optimizer is always `adam` and the loss
/// `mean_squared_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoencoderSettings {
    /// Whether the stage runs.
    pub enabled: bool,
    /// `fitEpoch`.
    pub epochs: usize,
    /// `fitBatchSize`, rows.
    pub batch_size: usize,
    /// `fitShuffle`: whether rows are permuted each epoch.
    pub shuffle: bool,
    /// `inputs`.
    pub inputs: AutoencoderInputs,
    /// `output`.
    pub output: AutoencoderOutput,
    /// `seed` of the initial weights and the permutations; default 0.
    pub seed: u64,
}

/// What the autoencoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoencoderInputs {
    /// `changes` (the default): log differences of price-like columns.
    Changes,
    /// `levels`: the columns as they are.
    Levels,
}

/// Which layer's units the autoencoder's columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoencoderOutput {
    /// `reconstruction` (the default): the last layer.
    Reconstruction,
    /// `middle`: the third layer.
    Middle,
}

/// `deepARMeta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeepArSettings {
    /// `freq`: a day, a week (from Monday to Sunday) or a calendar month.
    pub freq: Freq,
    /// `predictionLength`, points.
    pub prediction_length: usize,
    /// `contextLength`, points.
    pub context_length: usize,
    /// `startDataset`: the first day that may enter the files (the UTC date of
    /// the epoch milliseconds given).
    pub start_dataset: Date,
    /// `endTraining`: the first day after training (likewise).
    pub end_training: Date,
    /// `testWindows`.
    pub test_windows: usize,
    /// `calendar`.
    pub calendar: Calendar,
    /// `compress`: whether the files are gzipped; default false.
    pub compress: bool,
    /// `hyperParams`.
    pub hyper_params: HyperParams,
}

/// The time between two points of a DeepAR series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freq {
    /// `1D` or `D`: a day.
    Day,
    /// `1W` or `W`: a week, from Monday to Sunday.
    Week,
    /// `1M` or `M`: a calendar month.
    Month,
}

impl Freq {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The name in templates and as `time_freq`, such as `1D`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "1D",
            Self::Week => "1W",
            Self::Month => "1M",
        }
    }

    /// What a point is called: one, and many.
    #[must_use]
    pub fn unit(self) -> (&'static str, &'static str) {
        match self {
            Self::Day => ("day", "days"),
            Self::Week => ("week", "weeks"),
            Self::Month => ("month", "months"),
        }
    }

    /// How many days old the price of the point before can be, and at least 7.
    fn longest_days(self) -> usize {
        match self {
            Self::Day | Self::Week => 7,
            Self::Month => 31,
        }
    }

    /// Whether a text is its name; the 1 may be left out.
    fn is(self, text: &str) -> bool {
        text == self.name() || Some(text) == self.name().strip_prefix('1')
    }
}

/// What one point of a DeepAR series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// `daily` (the default): a period of `freq`, so a calendar day, week or
    /// month, missing where there is no price.
    Daily,
    /// `trading`: a row, whatever its date, as the original has it.
    Trading,
}

impl Calendar {
    /// The name in the template.
    pub fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Trading => "trading",
        }
    }
}

/// DeepAR's hyperparameters, checked and in the text that reaches the training
/// job (SageMaker's hyperparameters are strings).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HyperParams(BTreeMap<&'static str, String>);

impl HyperParams {
    /// The text of the hyperparameter `name` (DeepAR's name, such as
    /// `mini_batch_size`), or `None` when the template leaves it to the default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those the template sets, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, text)| (*name, text.as_str()))
    }
}

/// Everything wrong with a template, in the template's order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFaults(Vec<Fault>);

impl TemplateFaults {
    /// The faults.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for TemplateFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the training template has a fault: {one}"),
            many => {
                write!(f, "the training template has {} faults:", many.len())?;
                many.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for TemplateFaults {}

/// Why a text can't name an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TickerFault {
    /// There is nothing.
    #[error("a ticker can't be empty")]
    Empty,
    /// It does not fit a file name.
    #[error("the ticker starting `{start}` is {bytes} bytes long; at most {LONGEST_TICKER} fit")]
    TooLong {
        /// How it begins.
        start: String,
        /// How long it is.
        bytes: usize,
    },
    /// As a file name it would lead elsewhere.
    #[error(
        "the ticker `{0}` would leave the folder its file lies in; take out slashes and don't name it `.` or `..`"
    )]
    Path(String),
    /// It has a control character.
    #[error("the ticker `{}` has a control character", .0.escape_debug())]
    Control(String),
    /// It starts or ends with a space.
    #[error("the ticker `{0}` starts or ends with a space")]
    Space(String),
}

/// Why `ticker` can't name an asset, or `None` when it can. A ticker becomes a
/// file name, a CSV heading and a database key, so it may not hold a path
/// separator or a control character, nor be a directory's own name.
pub fn ticker_fault(ticker: &str) -> Option<TickerFault> {
    if ticker.is_empty() {
        Some(TickerFault::Empty)
    } else if ticker.len() > LONGEST_TICKER {
        Some(TickerFault::TooLong {
            start: ticker.chars().take(20).collect(),
            bytes: ticker.len(),
        })
    } else if ticker == "." || ticker == ".." || ticker.contains(['/', '\\']) {
        Some(TickerFault::Path(ticker.to_owned()))
    } else if ticker.chars().any(char::is_control) {
        Some(TickerFault::Control(ticker.to_owned()))
    } else if ticker.trim() != ticker {
        Some(TickerFault::Space(ticker.to_owned()))
    } else {
        None
    }
}

impl TrainingTemplate {
    /// Reads and checks a template.
    ///
    /// # Errors
    /// Every fault found, each with its path; for an unknown key the nearest
    /// known one.
    pub fn parse(document: &Value) -> Result<Self, TemplateFaults> {
        let mut faults = Faults::default();
        let template = read::read_template(&mut faults, document);
        faults.into_result(template).map_err(TemplateFaults)
    }

    /// What is doubtful about the settings, though not wrong.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let deepar = &self.deepar;
        if deepar.calendar == Calendar::Daily
            && deepar.freq == Freq::Day
            && deepar.context_length < 14
        {
            warnings.push(format!(
                "deepARMeta.contextLength is {} calendar days, which hold few prices; 14 or more is advised under the daily calendar",
                deepar.context_length
            ));
        }
        for (name, day) in [
            ("startDataset", deepar.start_dataset),
            ("endTraining", deepar.end_training),
        ] {
            if day.year() == 1970 {
                warnings.push(format!(
                    "deepARMeta.{name} is {day}; if that was a number of seconds, or a date without hyphens, write \"2018-01-01\" or milliseconds"
                ));
            }
        }
        let fft = &self.features.fft;
        if fft.enabled && fft.mode == FftMode::Global {
            warnings.push(
                "feMeta.fftSettings.mode is global: each of its columns knows later prices on every day, so a model trained on them sees the future; expanding does not"
                    .to_owned(),
            );
        }
        for name in ["cardinality", "num_dynamic_feat"] {
            if deepar
                .hyper_params
                .get(name)
                .is_some_and(|text| text != "auto" && text != "ignore")
            {
                warnings.push(format!(
                    "deepARMeta.hyperParams.{name} is set, but the training files carry no cat and no dynamic_feat: each feature is a series of its own; Pipewright's own DeepAR refuses that"
                ));
            }
        }
        warnings
    }
}
