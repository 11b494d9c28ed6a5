//! The training template: what a person asks a model to be made from.
//!
//! It keeps the shape that the notebooks and the web page of the original
//! system write (`feMeta`, `deepARMeta`), with optional additions. Reading one
//! checks everything at once: [`TemplateFaults`] lists each fault with the path
//! of the value it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};
use time::Date;
use time::macros::format_description;

use crate::indicators::{ChosenIndicator, INDICATORS};
use crate::nearest::nearest;
use crate::wording::short;

pub mod settings;

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

/// One thing wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Where, such as `feMeta.fftSettings.num_steps[1]`; empty = the document.
    pub path: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.path, self.text)
        }
    }
}

/// Everything wrong with a template, in the template's order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFaults(Vec<TemplateFault>);

impl TemplateFaults {
    /// The faults.
    pub fn faults(&self) -> &[TemplateFault] {
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

/// Why `ticker` can't name an asset, or `None` when it can. A ticker becomes a
/// file name, a CSV heading and a database key, so it may not hold a path
/// separator or a control character, nor be a directory's own name.
pub fn ticker_fault(ticker: &str) -> Option<String> {
    if ticker.is_empty() {
        Some("a ticker can't be empty".to_owned())
    } else if ticker.len() > LONGEST_TICKER {
        let start: String = ticker.chars().take(20).collect();
        Some(format!(
            "the ticker starting `{start}` is {} bytes long; at most {LONGEST_TICKER} fit",
            ticker.len()
        ))
    } else if ticker == "." || ticker == ".." || ticker.contains(['/', '\\']) {
        Some(format!(
            "the ticker `{ticker}` would leave the folder its file lies in; take out slashes and don't name it `.` or `..`"
        ))
    } else if ticker.chars().any(char::is_control) {
        Some(format!(
            "the ticker `{}` has a control character",
            ticker.escape_debug()
        ))
    } else if ticker.trim() != ticker {
        Some(format!("the ticker `{ticker}` starts or ends with a space"))
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
        let template = read_template(&mut faults, document);
        match template {
            Some(template) if faults.0.is_empty() => Ok(template),
            _ => Err(TemplateFaults(faults.0)),
        }
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

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<TemplateFault>);

impl Faults {
    fn add(&mut self, path: &str, text: impl Into<String>) {
        self.0.push(TemplateFault {
            path: path.to_owned(),
            text: text.into(),
        });
    }
}

/// An object of the template with its path; empty where the section is absent.
struct Section<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
    /// Whether keys that a stage needs must be there.
    required: bool,
}

/// A value of the template with its path.
struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
    required: bool,
}

impl<'a> Section<'a> {
    fn of(faults: &mut Faults, field: Field<'a>) -> Self {
        let keys = settings::members(&field.path);
        let map = match field.value {
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                faults.add(
                    &field.path,
                    format!("must be an object, not {}", kind(other)),
                );
                None
            }
            None => {
                if field.required {
                    faults.add(&field.path, "is missing; it must be an object");
                }
                None
            }
        };
        let section = Section {
            // What is missing as a whole is one fault, not one for each key.
            required: field.required && map.is_some(),
            path: field.path,
            map,
        };
        for key in map.into_iter().flat_map(Map::keys) {
            if !keys.contains(&key.as_str()) {
                let hint = match (section.path.as_str(), key.as_str()) {
                    ("deepARMeta.hyperParams", "time_freq") => {
                        "is set by deepARMeta.freq".to_owned()
                    }
                    ("deepARMeta.hyperParams", "context_length") => {
                        "is set by deepARMeta.contextLength".to_owned()
                    }
                    ("deepARMeta.hyperParams", "prediction_length") => {
                        "is set by deepARMeta.predictionLength".to_owned()
                    }
                    _ => match nearest(key, keys.iter().copied()) {
                        Some(near) => format!("is no known key; the nearest known key is `{near}`"),
                        None => "is no known key".to_owned(),
                    },
                };
                faults.add(&section.path_of(&shown(key)), hint);
            }
        }
        section
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value at `key`; it must be there if the section is required.
    fn field(&self, key: &str) -> Field<'a> {
        Field {
            required: self.required,
            ..self.optional(key)
        }
    }

    /// The value at `key`, which may be absent. A null counts as absent.
    fn optional(&self, key: &str) -> Field<'a> {
        Field {
            path: self.path_of(key),
            value: self
                .map
                .and_then(|map| map.get(key))
                .filter(|value| !value.is_null()),
            required: false,
        }
    }

    /// `enabled`, which decides whether the section's other keys must be there.
    fn enabled(&mut self, faults: &mut Faults) -> bool {
        let mut field = self.optional("enabled");
        field.required = self.map.is_some();
        let enabled = field.boolean(faults).unwrap_or(false);
        self.required = enabled;
        enabled
    }
}

impl<'a> Field<'a> {
    /// The value, or `None` with a fault when it is missing but required.
    fn present(&self, faults: &mut Faults, expected: &str) -> Option<&'a Value> {
        if self.value.is_none() && self.required {
            faults.add(&self.path, format!("is missing; it must be {expected}"));
        }
        self.value
    }

    fn wrong(&self, faults: &mut Faults, expected: &str, value: &Value) {
        faults.add(
            &self.path,
            format!("must be {expected}, not {}", kind(value)),
        );
    }

    /// What the table of settings says of it.
    fn takes(&self) -> Option<settings::Takes> {
        settings::find(&self.path).map(|setting| setting.takes)
    }

    fn text(&self, faults: &mut Faults) -> Option<&'a str> {
        const EXPECTED: &str = "a string";
        match self.present(faults, EXPECTED)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong(faults, EXPECTED, other);
                None
            }
        }
    }

    fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        const EXPECTED: &str = "true or false";
        match self.present(faults, EXPECTED)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.wrong(faults, EXPECTED, other);
                None
            }
        }
    }

    /// A whole number to [`GREATEST`], from the one that the table of settings has;
    /// `2.0` and `2e1` are whole.
    fn whole(&self, faults: &mut Faults) -> Option<usize> {
        let least = match self.takes() {
            Some(settings::Takes::Whole(least)) => least,
            // An item of a list.
            _ => 1,
        };
        let expected = settings::Takes::Whole(least).to_string();
        let value = self.present(faults, &expected)?;
        match value.as_f64().and_then(whole_number) {
            Some(number) if number >= u64::from(least) && number <= u64::from(GREATEST) => {
                usize::try_from(number).ok()
            }
            _ => {
                self.wrong(faults, &expected, value);
                None
            }
        }
    }

    /// A number as the table of settings has it, whole or not.
    fn number(&self, faults: &mut Faults) -> Option<f64> {
        match self.takes() {
            Some(settings::Takes::Whole(_)) => {
                let number = self.whole(faults)?;
                u32::try_from(number).ok().map(f64::from)
            }
            _ => self.real(faults),
        }
    }

    /// A number above 0, up to the one that the table of settings has.
    fn real(&self, faults: &mut Faults) -> Option<f64> {
        let most = match self.takes() {
            Some(settings::Takes::UpTo(most)) => most,
            _ => f64::MAX,
        };
        let expected = settings::Takes::UpTo(most).to_string();
        let value = self.present(faults, &expected)?;
        match value.as_f64() {
            Some(number) if number > 0.0 && number <= most => Some(number),
            _ => {
                self.wrong(faults, &expected, value);
                None
            }
        }
    }

    fn list(&self, faults: &mut Faults, expected: &str) -> Option<&'a [Value]> {
        match self.present(faults, expected)? {
            Value::Array(items) => Some(items),
            other => {
                self.wrong(faults, expected, other);
                None
            }
        }
    }

    /// The items of a list, each with its path.
    fn items(&self, items: &'a [Value]) -> impl Iterator<Item = Field<'a>> {
        items.iter().enumerate().map(|(i, value)| Field {
            path: format!("{}[{i}]", self.path),
            value: Some(value),
            required: true,
        })
    }

    /// A day: ISO 8601, or epoch milliseconds.
    fn day(&self, faults: &mut Faults) -> Option<Date> {
        const UNIX_EPOCH: i64 = 2_440_588; // as a Julian day
        let expected = settings::Takes::Day.to_string();
        let value = self.present(faults, &expected)?;
        let of_milliseconds = |number: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
            let milliseconds = number.floor() as i64;
            let day = milliseconds.div_euclid(86_400_000) + UNIX_EPOCH;
            Date::from_julian_day(i32::try_from(day).ok()?).ok()
        };
        let day = match value {
            Value::String(text) => {
                Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
            }
            _ => value
                .as_f64()
                .filter(|number| number.is_finite() && number.abs() < 1e16)
                .and_then(of_milliseconds),
        }
        // As of prices.
        .filter(|day| YEARS.contains(&day.year()));
        if day.is_none() {
            self.wrong(faults, &expected, value);
        }
        day
    }

    /// One of a few words.
    fn choice<T: Copy>(&self, faults: &mut Faults, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(faults)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<String> = choices
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            faults.add(
                &self.path,
                format!("must be {}, not `{}`", names.join(" or "), shown(text)),
            );
        }
        found.map(|(_, value)| *value)
    }

    fn ticker(&self, faults: &mut Faults) -> Option<String> {
        let text = self.text(faults)?;
        match ticker_fault(text) {
            Some(fault) => {
                faults.add(&self.path, fault);
                None
            }
            None => Some(text.to_owned()),
        }
    }

    /// A list of different tickers.
    fn tickers(&self, faults: &mut Faults) -> Vec<String> {
        let Some(items) = self.list(faults, "a list of tickers") else {
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let mut tickers = Vec::with_capacity(items.len());
        for field in self.items(items) {
            if let Some(ticker) = field.ticker(faults) {
                if seen.insert(ticker.clone()) {
                    tickers.push(ticker);
                } else {
                    faults.add(&field.path, format!("names `{ticker}` a second time"));
                }
            }
        }
        tickers
    }
}

/// What a JSON value is, for a message; long texts are cut.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the string `{}`", shown(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// At most 60 characters of a text, with control characters escaped.
fn shown(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => vec![c],
    };
    short(text, 60).chars().flat_map(escaped).collect()
}

/// A number without a fractional part that fits 53 bits.
fn whole_number(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within 0..=2^53, checked just above"
        )]
        Some(number as u64)
    } else {
        None
    }
}

fn read_template(faults: &mut Faults, document: &Value) -> Option<TrainingTemplate> {
    let root = Section::of(
        faults,
        Field {
            path: String::new(),
            value: Some(document),
            required: true,
        },
    );
    root.map?;
    let id = root.field("Id").text(faults).map(str::to_owned);
    if id.as_deref() == Some("") {
        faults.add("Id", "can't be empty");
    }
    let name = root.optional("name").text(faults).map(str::to_owned);
    let predicted_asset = root.field("predictedAsset").ticker(faults);
    let mut features = read_features(faults, root.field("feMeta"));
    let deepar = read_deepar(faults, root.field("deepARMeta"));
    if let (Some(features), Some(deepar)) = (&mut features, &deepar)
        && features.alignment == Alignment::PREDICTED
        && document["feMeta"]["maxAge"].is_null()
    {
        let max_age = deepar.freq.longest_days();
        features.alignment = Alignment::Predicted { max_age };
    }
    let is_union = |features: &FeatureSettings| features.alignment == Alignment::Union;
    let is_trading = |deepar: &DeepArSettings| deepar.calendar == Calendar::Trading;
    if features.as_ref().is_some_and(is_union) && deepar.as_ref().is_some_and(is_trading) {
        faults.add(
            "deepARMeta.calendar",
            "must be `daily` under feMeta.alignment `union`, not `trading`: a point would be a day on which any asset has a price, and most have none",
        );
    }
    let processing_instance_type =
        read_instance_type(faults, &root.optional("processingInstanceType"));
    let training_instance_type = read_instance_type(faults, &root.optional("trainingInstanceType"));
    let model_approval_status = root
        .optional("modelApprovalStatus")
        .choice(
            faults,
            &["Approved", "Rejected", "PendingManualApproval"].map(|name| (name, name)),
        )
        .map(str::to_owned);
    Some(TrainingTemplate {
        id: id?,
        name,
        predicted_asset: predicted_asset?,
        features: features?,
        deepar: deepar?,
        processing_instance_type,
        training_instance_type,
        model_approval_status,
    })
}

fn read_instance_type(faults: &mut Faults, field: &Field<'_>) -> Option<String> {
    let text = field.text(faults)?;
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let parts: Vec<&str> = text.split('.').collect();
    if let ["ml", family, size] = parts[..]
        && part(family)
        && part(size)
    {
        return Some(text.to_owned());
    }
    faults.add(
        &field.path,
        format!(
            "must be an instance type such as `ml.m5.xlarge`, not `{}`",
            shown(text)
        ),
    );
    None
}

fn read_features(faults: &mut Faults, field: Field<'_>) -> Option<FeatureSettings> {
    let section = Section::of(faults, field);
    let base_assets = read_base_assets(faults, &section.field("baseAssets"));
    let alignment = read_alignment(faults, &section);
    Some(FeatureSettings {
        alignment,
        indicators: read_indicators(faults, section.optional("taSettings")),
        arima: read_arima(faults, section.optional("arimaSettings")),
        fft: read_fft(faults, section.optional("fftSettings")),
        autoencoder: read_autoencoder(faults, section.optional("autoEncoderSettings")),
        base_assets: base_assets?,
    })
}

fn read_alignment(faults: &mut Faults, section: &Section<'_>) -> Alignment {
    let choices = [Alignment::Common, Alignment::PREDICTED, Alignment::Union];
    let choices = choices.map(|alignment| (alignment.name(), alignment));
    let chosen = section.optional("alignment").choice(faults, &choices);
    let alignment = chosen.unwrap_or(Alignment::Common);
    let field = section.optional("maxAge");
    match (field.whole(faults), alignment) {
        (Some(max_age), Alignment::Predicted { .. }) => Alignment::Predicted { max_age },
        (Some(_), Alignment::Common | Alignment::Union) => {
            faults.add(
                &field.path,
                format!(
                    "counts only under feMeta.alignment `predicted`, not `{}`; take it out, or set that",
                    alignment.name()
                ),
            );
            alignment
        }
        (None, _) => alignment,
    }
}

fn read_base_assets(faults: &mut Faults, field: &Field<'_>) -> Option<BaseAssets> {
    const EXPECTED: &str = "\"all\" or a list of tickers";
    match field.present(faults, EXPECTED)? {
        Value::String(text) if text == "all" => Some(BaseAssets::All),
        Value::Array(items) => Some(BaseAssets::Listed(
            field
                .items(items)
                .filter_map(|item| item.ticker(faults))
                .collect(),
        )),
        other => {
            field.wrong(faults, EXPECTED, other);
            None
        }
    }
}

fn read_indicators(faults: &mut Faults, field: Field<'_>) -> IndicatorSettings {
    let mut section = Section::of(faults, field);
    let enabled = section.enabled(faults);
    let assets = section.field("assets").tickers(faults);
    let mut chosen = Vec::new();
    for indicator in INDICATORS {
        let mut field = section.field(indicator.name);
        field.required &= indicator.required || field.value.is_some();
        let own = Section::of(faults, field);
        let values: Vec<Option<f64>> = indicator
            .parameters
            .iter()
            .map(|parameter| own.field(parameter.name).number(faults))
            .collect();
        // Where one is missing that must be there, that is a fault by now.
        if let Some(values) = values.into_iter().collect() {
            let values: Vec<f64> = values;
            if let Some(fault) = (indicator.fault)(&values) {
                faults.add(&own.path, fault);
            }
            chosen.push(ChosenIndicator { indicator, values });
        }
    }
    IndicatorSettings {
        enabled,
        assets,
        chosen,
    }
}

fn read_arima(faults: &mut Faults, field: Field<'_>) -> ArimaSettings {
    const DEFAULT_ORDER: (usize, usize, usize) = (5, 1, 0);
    const EXPECTED: &str = "a list [p, d, 0] with p from 0 to 20 and d from 0 to 2";
    let mut section = Section::of(faults, field);
    let enabled = section.enabled(faults);
    let assets = section.field("assets").tickers(faults);
    let train_set_size = section.field("trainSetSize").real(faults).unwrap_or(0.8);
    let order = section.optional("order");
    let order = match order.list(faults, EXPECTED) {
        None => DEFAULT_ORDER,
        Some(items) => {
            let numbers: Vec<Option<u64>> = items
                .iter()
                .map(|item| item.as_f64().and_then(whole_number))
                .collect();
            match numbers[..] {
                [Some(p @ 0..=20), Some(d @ 0..=2), Some(0)] => {
                    let size = |n| usize::try_from(n).unwrap_or(0);
                    (size(p), size(d), 0)
                }
                _ => {
                    faults.add(&order.path, format!("must be {EXPECTED}"));
                    DEFAULT_ORDER
                }
            }
        }
    };
    ArimaSettings {
        enabled,
        assets,
        train_set_size,
        order,
    }
}

fn read_fft(faults: &mut Faults, field: Field<'_>) -> FftSettings {
    let mut section = Section::of(faults, field);
    let enabled = section.enabled(faults);
    let classes = section.field("assetClasses");
    let asset_classes = match classes.list(faults, "a list of asset classes") {
        None => Vec::new(),
        Some(items) => classes
            .items(items)
            .filter_map(|item| item.text(faults).map(str::to_owned))
            .collect(),
    };
    section.optional("num_comp").whole(faults);
    let field = section.field("num_steps");
    let mut steps = Vec::new();
    if let Some(items) = field.list(faults, "a list of whole numbers from 1") {
        if items.is_empty() && enabled {
            faults.add(
                &field.path,
                "must name at least one step, or switch the stage off",
            );
        }
        for item in field.items(items) {
            if let Some(step) = item.whole(faults) {
                if steps.contains(&step) {
                    faults.add(&item.path, format!("names {step} a second time"));
                } else {
                    steps.push(step);
                }
            }
        }
    }
    let edge = section.optional("edge");
    let edge_given = edge.value.is_some();
    let edge = edge
        .choice(
            faults,
            &[("mirror", FftEdge::Mirror), ("periodic", FftEdge::Periodic)],
        )
        .unwrap_or(FftEdge::Mirror);
    let mode = section
        .optional("mode")
        .choice(
            faults,
            &[
                ("expanding", FftMode::Expanding(edge)),
                ("global", FftMode::Global),
            ],
        )
        .unwrap_or(FftMode::Expanding(edge));
    if mode == FftMode::Global && edge_given {
        faults.add(
            &section.path_of("edge"),
            "has no meaning under mode `global`; take it out",
        );
    }
    FftSettings {
        enabled,
        asset_classes,
        steps,
        mode,
    }
}

fn read_autoencoder(faults: &mut Faults, field: Field<'_>) -> AutoencoderSettings {
    let mut section = Section::of(faults, field);
    let enabled = section.enabled(faults);
    section.field("optimizer").choice(faults, &[("adam", ())]);
    section
        .field("loss")
        .choice(faults, &[("mean_squared_error", ())]);
    let seed = section.optional("seed");
    let seed = match seed.value {
        None => 0,
        Some(value) => value.as_f64().and_then(whole_number).unwrap_or_else(|| {
            seed.wrong(faults, "a whole number from 0 to 2^53", value);
            0
        }),
    };
    AutoencoderSettings {
        enabled,
        epochs: section.field("fitEpoch").whole(faults).unwrap_or(460),
        batch_size: section.field("fitBatchSize").whole(faults).unwrap_or(256),
        shuffle: section.field("fitShuffle").boolean(faults).unwrap_or(false),
        inputs: section
            .optional("inputs")
            .choice(
                faults,
                &[
                    ("changes", AutoencoderInputs::Changes),
                    ("levels", AutoencoderInputs::Levels),
                ],
            )
            .unwrap_or(AutoencoderInputs::Changes),
        output: section
            .optional("output")
            .choice(
                faults,
                &[
                    ("reconstruction", AutoencoderOutput::Reconstruction),
                    ("middle", AutoencoderOutput::Middle),
                ],
            )
            .unwrap_or(AutoencoderOutput::Reconstruction),
        seed,
    }
}

fn read_deepar(faults: &mut Faults, field: Field<'_>) -> Option<DeepArSettings> {
    let section = Section::of(faults, field);
    let freq = section.field("freq");
    let freq = match freq.text(faults) {
        Some(text) => {
            let named = Freq::ALL.into_iter().find(|freq| freq.is(text));
            if named.is_none() {
                faults.add(
                    &freq.path,
                    format!(
                        "must be `1D`, `1W` or `1M`, not `{}`: prices are of days, weeks or months",
                        shown(text)
                    ),
                );
            }
            named
        }
        None => None,
    };
    let prediction_length = section.field("predictionLength").whole(faults);
    let context_length = section.field("contextLength").whole(faults);
    let start_dataset = section.field("startDataset").day(faults);
    let end_training = section.field("endTraining").day(faults);
    if let (Some(start), Some(end)) = (start_dataset, end_training)
        && start >= end
    {
        faults.add(
            &section.path_of("endTraining"),
            format!("({end}) must be later than startDataset ({start})"),
        );
    }
    let test_windows = section.field("testWindows").whole(faults);
    let calendar = section
        .optional("calendar")
        .choice(
            faults,
            &[("daily", Calendar::Daily), ("trading", Calendar::Trading)],
        )
        .unwrap_or(Calendar::Daily);
    let compress = section
        .optional("compress")
        .boolean(faults)
        .unwrap_or(false);
    let hyper_params = read_hyper_params(faults, section.field("hyperParams"));
    Some(DeepArSettings {
        freq: freq?,
        prediction_length: prediction_length?,
        context_length: context_length?,
        start_dataset: start_dataset?,
        end_training: end_training?,
        test_windows: test_windows?,
        calendar,
        compress,
        hyper_params,
    })
}

/// What DeepAR takes for a hyperparameter.
#[derive(Clone, Copy)]
enum Takes {
    /// A positive whole number.
    Whole,
    /// A number within the bounds.
    Real(f64, f64),
    /// One of the words.
    Word(&'static [&'static str]),
    /// `auto`, `ignore`, or a list of positive whole numbers.
    Cardinality,
    /// `auto`, `ignore`, or a positive whole number.
    DynamicFeatures,
    /// A list of numbers above 0 and below 1.
    Quantiles,
}

/// DeepAR's hyperparameters, but for those that deepARMeta's own keys set.
/// `epochs` is required.
const HYPER_PARAMS: [(&str, Takes); 13] = [
    ("epochs", Takes::Whole),
    ("early_stopping_patience", Takes::Whole),
    ("mini_batch_size", Takes::Whole),
    ("learning_rate", Takes::Real(f64::MIN_POSITIVE, 1.0)),
    ("num_cells", Takes::Whole),
    ("num_layers", Takes::Whole),
    ("dropout_rate", Takes::Real(0.0, 1.0)),
    ("embedding_dimension", Takes::Whole),
    ("cardinality", Takes::Cardinality),
    ("num_dynamic_feat", Takes::DynamicFeatures),
    (
        "likelihood",
        Takes::Word(&[
            "gaussian",
            "beta",
            "negative-binomial",
            "student-T",
            "deterministic-L1",
        ]),
    ),
    ("num_eval_samples", Takes::Whole),
    ("test_quantiles", Takes::Quantiles),
];

fn read_hyper_params(faults: &mut Faults, field: Field<'_>) -> HyperParams {
    let section = Section::of(faults, field);
    let mut values = BTreeMap::new();
    for (name, takes) in HYPER_PARAMS {
        let mut field = section.optional(name);
        field.required = section.required && name == "epochs";
        let expected = takes.expected();
        let Some(value) = field.present(faults, &expected) else {
            continue;
        };
        match takes.read(value) {
            Some(text) => {
                values.insert(name, text);
            }
            None => field.wrong(faults, &expected, value),
        }
    }
    HyperParams(values)
}

impl Takes {
    fn expected(self) -> String {
        match self {
            Self::Whole => format!("a whole number from 1 to {GREATEST}"),
            Self::Real(least, most) if least > 0.0 => {
                format!("a number above 0 and at most {most}")
            }
            Self::Real(least, most) => format!("a number from {least} to {most}"),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Cardinality => "auto, ignore, or a list of whole numbers from 1".to_owned(),
            Self::DynamicFeatures => "auto, ignore, or a whole number from 1".to_owned(),
            Self::Quantiles => "a list of numbers above 0 and below 1, at least one".to_owned(),
        }
    }

    /// The hyperparameter's text, or `None` when DeepAR would not take it.
    /// Values may come as numbers and lists or as their text.
    fn read(self, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Array(_) => value.to_string(),
            _ => return None,
        };
        let whole = |text: &str| {
            let number = text.parse::<f64>().ok().and_then(whole_number)?;
            (1..=u64::from(GREATEST))
                .contains(&number)
                .then(|| number.to_string())
        };
        match self {
            Self::Whole => whole(&text),
            Self::Real(least, most) => {
                let number: f64 = text.parse().ok()?;
                (least..=most).contains(&number).then_some(text)
            }
            Self::Word(words) => words.contains(&text.as_str()).then_some(text),
            Self::DynamicFeatures if matches!(text.as_str(), "auto" | "ignore") => Some(text),
            Self::DynamicFeatures => whole(&text),
            Self::Cardinality if matches!(text.as_str(), "auto" | "ignore") => Some(text),
            Self::Cardinality => {
                let numbers = numbers(&text)?;
                numbers
                    .iter()
                    .all(|x| whole_number(*x).is_some_and(|x| x >= 1))
                    .then(|| list_text(&numbers))
            }
            Self::Quantiles => {
                let numbers = numbers(&text)?;
                numbers
                    .iter()
                    .all(|x| *x > 0.0 && *x < 1.0)
                    .then(|| list_text(&numbers))
            }
        }
    }
}

/// The numbers of a non-empty JSON list.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else {
        return None;
    };
    let numbers: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

fn list_text(numbers: &[f64]) -> String {
    let texts: Vec<String> = numbers.iter().map(f64::to_string).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// The original's own default template, on other assets.
    fn original() -> Value {
        json!({
            "Id": "tpl-1", "name": "golden", "createdAt": 0, "updatedAt": 0,
            "predictedAsset": "JPM",
            "feMeta": {
                "baseAssets": "all",
                "taSettings": {
                    "assets": ["AAPL", "JPM"], "enabled": true,
                    "bollingerBand": {"window": 20, "window_dev": 2},
                    "rsi": {"window": 14}, "sma": {"window": 7}
                },
                "arimaSettings": {"assets": ["JPM"], "enabled": true, "trainSetSize": 0.8},
                "fftSettings": {
                    "assetClasses": ["Energy"], "enabled": true,
                    "num_comp": 7, "num_steps": [3, 6, 9, 100]
                },
                "autoEncoderSettings": {
                    "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
                    "fitEpoch": 460, "fitBatchSize": 256, "fitShuffle": false
                }
            },
            "deepARMeta": {
                "freq": "1D", "predictionLength": 7, "contextLength": 7,
                "startDataset": 1_262_304_000_000_u64, "endTraining": 1_514_764_800_000_u64,
                "testWindows": 4,
                "hyperParams": {
                    "epochs": 400, "early_stopping_patience": 40,
                    "mini_batch_size": 64, "learning_rate": 0.0005
                }
            }
        })
    }

    /// The faults of the original with the value at `pointer` replaced.
    fn faults_with(pointer: &str, value: Value) -> Vec<String> {
        let mut document = original();
        *document.pointer_mut(pointer).unwrap() = value;
        match TrainingTemplate::parse(&document) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.faults().iter().map(ToString::to_string).collect(),
        }
    }

    /// A day is the same written as a date or as epoch milliseconds.
    #[test]
    fn a_day_is_the_same_as_a_date_or_as_milliseconds() {
        let mut dates = original();
        dates["deepARMeta"]["startDataset"] = json!("2010-01-01");
        dates["deepARMeta"]["endTraining"] = json!("2018-01-01");
        assert_eq!(
            TrainingTemplate::parse(&dates),
            TrainingTemplate::parse(&original())
        );
        for wrong in [
            "2018-02-30",
            "18-01-01",
            "2018-1-1",
            "01.01.2018",
            "2018-01-01T00:00:00Z",
            "1850-01-01",
            "2201-01-01",
            "",
        ] {
            let faults = faults_with("/deepARMeta/endTraining", json!(wrong));
            assert!(
                faults[0]
                    .contains("must be a day of the years 1900 to 2200 such as \"2018-01-01\""),
                "{faults:?}"
            );
        }
    }

    /// A number of seconds, or a date without hyphens, that is taken for milliseconds is warned of.
    #[test]
    fn a_day_of_1970_is_doubtful() {
        let warnings = |start: Value| {
            let mut document = original();
            document["deepARMeta"]["startDataset"] = start;
            let warnings = TrainingTemplate::parse(&document).unwrap().warnings();
            let mut of_day = warnings.iter().filter(|one| one.contains("startDataset"));
            of_day.next().cloned()
        };
        for seconds in [json!(1_262_304_000), json!(20_100_101)] {
            let warning = warnings(seconds).unwrap();
            assert!(warning.contains("1970-01-"), "{warning}");
        }
        assert_eq!(warnings(json!("2010-01-01")), None);
    }

    #[test]
    fn the_fast_average_of_macd_is_faster() {
        let macd = json!({"window_slow": 12, "window_fast": 26, "window_sign": 9});
        assert_eq!(
            faults_with("/feMeta/taSettings", {
                let mut settings = original()["feMeta"]["taSettings"].clone();
                settings["macd"] = macd;
                settings
            }),
            [
                "feMeta.taSettings.macd: window_slow must be greater than window_fast, as 26 is than 12"
            ]
        );
    }

    #[test]
    fn the_originals_template_is_read_with_the_defaults_of_the_additions() {
        let template = TrainingTemplate::parse(&original()).unwrap();
        assert_eq!(template.predicted_asset, "JPM");
        assert_eq!(template.features.base_assets, BaseAssets::All);
        assert_eq!(template.features.fft.steps, [3, 6, 9, 100]);
        assert_eq!(
            template.features.fft.mode,
            FftMode::Expanding(FftEdge::Mirror)
        );
        assert_eq!(template.features.arima.order, (5, 1, 0));
        assert_eq!(template.features.autoencoder.epochs, 460);
        assert_eq!(template.deepar.calendar, Calendar::Daily);
        assert_eq!(template.deepar.start_dataset.to_string(), "2010-01-01");
        assert_eq!(template.deepar.end_training.to_string(), "2018-01-01");
        assert_eq!(
            template.deepar.hyper_params.iter().collect::<Vec<_>>(),
            [
                ("early_stopping_patience", "40"),
                ("epochs", "400"),
                ("learning_rate", "0.0005"),
                ("mini_batch_size", "64"),
            ]
        );
        assert_eq!(template.warnings().len(), 1, "{:?}", template.warnings());
    }

    #[test]
    fn a_low_pass_that_sees_the_future_says_so() {
        let warnings = |mode: &str, enabled: bool| {
            let mut document = original();
            document["feMeta"]["fftSettings"]["mode"] = json!(mode);
            document["feMeta"]["fftSettings"]["enabled"] = json!(enabled);
            let warnings = TrainingTemplate::parse(&document).unwrap().warnings();
            warnings.iter().any(|w| w.contains("sees the future"))
        };
        assert!(warnings("global", true));
        assert!(!warnings("global", false));
        assert!(!warnings("expanding", true));
    }

    #[test]
    fn all_faults_are_reported_at_once_each_with_its_path() {
        let mut document = original();
        document["predictedAsset"] = json!("");
        document["feMeta"]["fftSettings"]["num_steps"] = json!([3, 0, 9, 3]);
        document["deepARMeta"]["freq"] = json!("1H");
        document["deepARMeta"]["hyperParams"]["epochs"] = json!(null);
        let faults = TrainingTemplate::parse(&document).unwrap_err();
        let paths: Vec<&str> = faults.faults().iter().map(|f| f.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "predictedAsset",
                "feMeta.fftSettings.num_steps[1]",
                "feMeta.fftSettings.num_steps[3]",
                "deepARMeta.freq",
                "deepARMeta.hyperParams.epochs",
            ]
        );
        assert!(faults.to_string().contains("has 5 faults"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let mut document = original();
        document["feMeta"]["fftSetings"] = json!({});
        document["deepARMeta"]["hyperParams"]["prediction_length"] = json!(7);
        let faults = TrainingTemplate::parse(&document).unwrap_err();
        assert_eq!(
            faults.faults()[0].to_string(),
            "feMeta.fftSetings: is no known key; the nearest known key is `fftSettings`"
        );
        assert!(
            faults.faults()[1]
                .text
                .contains("deepARMeta.predictionLength")
        );
    }

    #[test]
    fn a_stage_that_is_absent_or_off_needs_none_of_its_settings() {
        let mut document = original();
        let meta = document["feMeta"].as_object_mut().unwrap();
        meta.remove("taSettings");
        meta["arimaSettings"] = json!({"enabled": false});
        meta["autoEncoderSettings"] = json!({"enabled": false});
        let template = TrainingTemplate::parse(&document).unwrap();
        assert!(!template.features.indicators.enabled);
        assert!(!template.features.arima.enabled);
    }

    #[test]
    fn a_stage_that_is_on_needs_all_of_them() {
        let faults = faults_with("/feMeta/taSettings", json!({"enabled": true, "rsi": {}}));
        assert_eq!(
            faults,
            [
                "feMeta.taSettings.assets: is missing; it must be a list of tickers",
                "feMeta.taSettings.bollingerBand: is missing; it must be an object",
                "feMeta.taSettings.rsi.window: is missing; it must be a whole number from 1 to 1000000",
                "feMeta.taSettings.sma: is missing; it must be an object",
            ]
        );
    }

    #[test]
    fn only_adam_and_squared_error_are_accepted() {
        assert_eq!(
            faults_with("/feMeta/autoEncoderSettings/optimizer", json!("sgd")),
            ["feMeta.autoEncoderSettings.optimizer: must be `adam`, not `sgd`"]
        );
    }

    #[test]
    fn numbers_may_be_written_in_any_form_but_must_be_whole_where_counts_are() {
        assert!(faults_with("/deepARMeta/testWindows", json!(4.0)).is_empty());
        assert_eq!(faults_with("/deepARMeta/testWindows", json!(4.5)).len(), 1);
        assert_eq!(faults_with("/deepARMeta/testWindows", json!(-4)).len(), 1);
        assert_eq!(
            faults_with("/deepARMeta/testWindows", json!(1e300)).len(),
            1
        );
        assert_eq!(faults_with("/deepARMeta/testWindows", json!("4")).len(), 1);
        assert_eq!(faults_with("/deepARMeta/endTraining", json!(1e15)).len(), 1);
    }

    #[test]
    fn training_must_end_after_it_starts() {
        assert_eq!(
            faults_with("/deepARMeta/endTraining", json!(1_262_304_000_000_u64)),
            ["deepARMeta.endTraining: (2010-01-01) must be later than startDataset (2010-01-01)"]
        );
    }

    #[test]
    fn every_hyperparameter_of_deepar_is_checked_and_rendered_as_text() {
        let mut document = original();
        document["deepARMeta"]["hyperParams"] = json!({
            "epochs": "10", "dropout_rate": 0, "likelihood": "student-T",
            "cardinality": "auto", "num_dynamic_feat": 2,
            "test_quantiles": [0.1, 0.5], "num_cells": 4e1
        });
        let template = TrainingTemplate::parse(&document).unwrap();
        let params = &template.deepar.hyper_params;
        assert_eq!(params.get("epochs"), Some("10"));
        assert_eq!(params.get("num_cells"), Some("40"));
        assert_eq!(params.get("test_quantiles"), Some("[0.1, 0.5]"));
        assert_eq!(params.get("mini_batch_size"), None);
        assert!(
            template
                .warnings()
                .iter()
                .any(|w| w.contains("num_dynamic_feat"))
        );
        for (name, value) in [
            ("epochs", json!(0)),
            ("dropout_rate", json!(1.5)),
            ("learning_rate", json!("0")),
            ("learning_rate", json!("NaN")),
            ("likelihood", json!("Student-t")),
            ("cardinality", json!("")),
            ("test_quantiles", json!([0.1, 1])),
            ("test_quantiles", json!([])),
        ] {
            let mut document = original();
            document["deepARMeta"]["hyperParams"][name] = value;
            let faults = TrainingTemplate::parse(&document).unwrap_err();
            assert_eq!(
                faults.faults()[0].path,
                format!("deepARMeta.hyperParams.{name}")
            );
        }
    }

    #[test]
    fn tickers_that_could_leave_their_folder_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "..\\x",
            "a\nb",
            " a",
            &"x".repeat(10_000),
        ] {
            assert!(ticker_fault(bad).is_some(), "{bad:?}");
        }
        for good in ["BRK.B", "A_B", "^GSPC", "EURUSD=X", "日経"] {
            assert_eq!(ticker_fault(good), None);
        }
    }

    #[test]
    fn a_message_about_a_long_value_stays_short() {
        let faults = faults_with("/feMeta/baseAssets", json!("x".repeat(100_000)));
        assert!(faults[0].len() < 300, "{}", faults[0].len());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused_without_a_panic(document in any_json()) {
            prop_assert!(TrainingTemplate::parse(&document).is_err());
        }

        #[test]
        fn any_value_anywhere_is_read_or_refused_without_a_panic(
            value in any_json(),
            pointer in prop::sample::select(vec![
                "/Id", "/predictedAsset", "/feMeta", "/feMeta/baseAssets", "/feMeta/taSettings",
                "/feMeta/taSettings/assets", "/feMeta/taSettings/bollingerBand/window_dev",
                "/feMeta/arimaSettings/trainSetSize", "/feMeta/fftSettings/num_steps",
                "/feMeta/fftSettings/num_steps/1", "/feMeta/autoEncoderSettings/fitEpoch",
                "/deepARMeta", "/deepARMeta/startDataset", "/deepARMeta/hyperParams",
                "/deepARMeta/hyperParams/learning_rate",
            ]),
        ) {
            let _ = faults_with(pointer, value);
        }
    }
}
