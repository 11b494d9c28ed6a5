//! Every setting of a training template, in one table: the reader checks by it,
//! and the JSON Schema and the reference in docs/TEMPLATE.md are made of it.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use pipewright_forecast::hyperparameters::{
    Likelihood, MOST_CATEGORIES, MOST_POINTS, MOST_VALUES, Takes as HyperparameterTakes,
};
use serde_json::{Map, Value, json};

use super::hyper_params::hyper_params;
use super::{GREATEST, LONGEST_TICKER};
use crate::indicators::{INDICATORS, Indicator};

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where it stands, such as `feMeta.taSettings.rsi.window`.
    pub path: String,
    /// What its value may be.
    pub takes: Takes,
    /// Whether it must be there.
    pub presence: Presence,
    /// What one of its value is, such as `rows`; empty where it is not a quantity.
    pub unit: &'static str,
    /// What it is, as half a sentence.
    pub meaning: &'static str,
}

/// Whether a setting must be there. One that is null counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must, where its section is.
    Required,
    /// It must, where its section's `enabled` is true.
    IfEnabled,
    /// It need not; absent, it is this.
    Default(&'static str),
    /// It need not, and nothing stands in for it.
    Optional,
}

/// What the value of a setting may be; its `Display` says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// An object of settings.
    Section,
    /// Anything: it is kept for the original's web page, and not read.
    Anything,
    /// A text.
    Text,
    /// A text that is not empty.
    Name,
    /// An asset's ticker.
    Ticker,
    /// A list of different tickers.
    Tickers,
    /// `"all"` or a list of tickers.
    BaseAssets,
    /// A list of texts.
    Texts,
    /// True or false.
    Flag,
    /// A whole number, from this one to a million.
    Whole(u32),
    /// A number of points that a training takes: a whole number from 1.
    Points,
    /// A list of different whole numbers from 1.
    Steps,
    /// A whole number of at most 53 bits.
    Seed,
    /// A number above 0 and at most this.
    UpTo(f64),
    /// One of the words.
    Word(&'static [&'static str]),
    /// An ARIMA's order.
    Order,
    /// A day.
    Day,
    /// One of SageMaker's instance types.
    InstanceType,
}

const ON: Presence = Presence::IfEnabled;
const MUST: Presence = Presence::Required;

fn setting(
    path: impl Into<String>,
    takes: Takes,
    presence: Presence,
    unit: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        path: path.into(),
        takes,
        presence,
        unit,
        meaning,
    }
}

/// Every setting but DeepAR's hyperparameters, in the order of the reference.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let indicators = INDICATORS.iter().flat_map(of_indicator);
    let before = up_to_the_indicators().into_iter();
    before
        .chain(indicators)
        .chain(after_the_indicators())
        .collect()
});

/// The settings of an indicator.
fn of_indicator(indicator: &Indicator) -> Vec<Setting> {
    let path = format!("feMeta.taSettings.{}", indicator.name);
    let presence = match indicator.required {
        true => ON,
        false => Presence::Optional,
    };
    let parameters = indicator.parameters.iter().map(|one| {
        let path = format!("{path}.{}", one.name);
        setting(path, one.takes, ON, one.unit, one.meaning)
    });
    let section = setting(&path, Takes::Section, presence, "", indicator.meaning);
    [section].into_iter().chain(parameters).collect()
}

#[rustfmt::skip]
fn up_to_the_indicators() -> Vec<Setting> { vec![
    setting("Id", Takes::Name, MUST, "", "the key in the table of training templates"),
    setting("name", Takes::Text, Presence::Optional, "", "a name for people"),
    setting("createdAt", Takes::Anything, Presence::Optional, "", "kept, and not read"),
    setting("updatedAt", Takes::Anything, Presence::Optional, "", "kept, and not read"),
    setting("predictedAsset", Takes::Ticker, MUST, "", "the asset whose price is to be forecast"),
    setting("processingInstanceType", Takes::InstanceType, Presence::Optional, "", "of the processing step; the pipeline's default otherwise"),
    setting("trainingInstanceType", Takes::InstanceType, Presence::Optional, "", "of the training; the pipeline's default otherwise"),
    setting("modelApprovalStatus", Takes::Word(&["Approved", "Rejected", "PendingManualApproval"]), Presence::Optional, "", "of the model package; the pipeline's default otherwise"),
    setting("feMeta", Takes::Section, MUST, "", "which features are made"),
    setting("feMeta.baseAssets", Takes::BaseAssets, MUST, "", "the assets whose prices are features; `\"all\"` is every asset of the catalogue, also of those that are imported later"),
    setting("feMeta.alignment", Takes::Word(&["common", "predicted", "union"]), Presence::Default("common"), "", "which days are rows: those that all assets have, those of the predicted asset, or those of any"),
    setting("feMeta.maxAge", Takes::Whole(1), Presence::Default("7"), "calendar days", "how old a price may be that stands for a missing one; absent, 31 under `freq` `1M`; only under `predicted`"),
    setting("feMeta.taSettings", Takes::Section, Presence::Optional, "", "technical indicators; absent = off"),
    setting("feMeta.taSettings.enabled", Takes::Flag, MUST, "", "whether they are made"),
    setting("feMeta.taSettings.assets", Takes::Tickers, ON, "", "the assets that get them"),
] }

#[rustfmt::skip]
fn after_the_indicators() -> Vec<Setting> { vec![
    setting("feMeta.arimaSettings", Takes::Section, Presence::Optional, "", "one-step forecasts of an ARIMA model; absent = off"),
    setting("feMeta.arimaSettings.enabled", Takes::Flag, MUST, "", "whether they are made"),
    setting("feMeta.arimaSettings.assets", Takes::Tickers, ON, "", "the assets that get one"),
    setting("feMeta.arimaSettings.trainSetSize", Takes::UpTo(1.0), ON, "share of the rows", "what the model is fitted on, and never beyond `endTraining`"),
    setting("feMeta.arimaSettings.order", Takes::Order, Presence::Default("[5, 1, 0]"), "", "lags, differences, and no moving average"),
    setting("feMeta.fftSettings", Takes::Section, Presence::Optional, "", "low-pass columns; absent = off"),
    setting("feMeta.fftSettings.enabled", Takes::Flag, MUST, "", "whether they are made"),
    setting("feMeta.fftSettings.assetClasses", Takes::Texts, ON, "", "the classes whose assets get them"),
    setting("feMeta.fftSettings.num_steps", Takes::Steps, ON, "frequency bins", "the highest bin that each column keeps"),
    setting("feMeta.fftSettings.num_comp", Takes::Whole(0), Presence::Optional, "", "kept, and not read, as in the original"),
    setting("feMeta.fftSettings.mode", Takes::Word(&["expanding", "global"]), Presence::Default("expanding"), "", "`expanding` sees the values up to the row, `global` the future as well"),
    setting("feMeta.fftSettings.edge", Takes::Word(&["mirror", "periodic"]), Presence::Default("mirror"), "", "how `expanding` goes on beyond the ends; not under `global`"),
    setting("feMeta.autoEncoderSettings", Takes::Section, Presence::Optional, "", "columns of an autoencoder; absent = off"),
    setting("feMeta.autoEncoderSettings.enabled", Takes::Flag, MUST, "", "whether they are made"),
    setting("feMeta.autoEncoderSettings.optimizer", Takes::Word(&["adam"]), ON, "", "the optimiser"),
    setting("feMeta.autoEncoderSettings.loss", Takes::Word(&["mean_squared_error"]), ON, "", "the loss"),
    setting("feMeta.autoEncoderSettings.fitEpoch", Takes::Whole(1), ON, "epochs", "how long it is trained"),
    setting("feMeta.autoEncoderSettings.fitBatchSize", Takes::Whole(1), ON, "rows", "the size of a batch"),
    setting("feMeta.autoEncoderSettings.fitShuffle", Takes::Flag, ON, "", "whether rows are permuted each epoch"),
    setting("feMeta.autoEncoderSettings.inputs", Takes::Word(&["changes", "levels"]), Presence::Default("changes"), "", "what it reads: log differences of price-like columns, or columns as they are"),
    setting("feMeta.autoEncoderSettings.output", Takes::Word(&["reconstruction", "middle"]), Presence::Default("reconstruction"), "", "the layer whose units are the columns"),
    setting("feMeta.autoEncoderSettings.seed", Takes::Seed, Presence::Default("0"), "", "of the initial weights and the permutations"),
    setting("deepARMeta", Takes::Section, MUST, "", "the training files and the model"),
    setting("deepARMeta.freq", Takes::Word(&["1D", "D", "1W", "W", "1M", "M"]), MUST, "", "the time between two points: a day, a week (from Monday to Sunday) or a calendar month. Of several prices in one week or month the last is taken, and its date is the last day of that week or month"),
    setting("deepARMeta.calendar", Takes::Word(&["daily", "trading"]), Presence::Default("daily"), "", "what a point is: `daily`, a calendar day (or week, or month, as `freq` has it), missing where there is no price; `trading`, a row, whatever its date"),
    setting("deepARMeta.predictionLength", Takes::Points, MUST, "points", "how many are forecast"),
    setting("deepARMeta.contextLength", Takes::Points, MUST, "points", "how many the model looks back on"),
    setting("deepARMeta.startDataset", Takes::Day, MUST, "", "the first day that may enter the files"),
    setting("deepARMeta.endTraining", Takes::Day, MUST, "", "the first day after training; later than `startDataset`"),
    setting("deepARMeta.testWindows", Takes::Whole(1), MUST, "windows", "how many stretches of `predictionLength` points are held out"),
    setting("deepARMeta.compress", Takes::Flag, Presence::Default("false"), "", "whether the files are gzipped"),
    setting("deepARMeta.hyperParams", Takes::Section, MUST, "", "DeepAR's hyperparameters"),
] }

/// The section of the hyperparameters.
const HYPER_PARAMS_PATH: &str = "deepARMeta.hyperParams";

/// The setting at a path; that of a list for its items.
pub(super) fn find(path: &str) -> Option<&'static Setting> {
    let path = path.split_once('[').map_or(path, |(list, _)| list);
    SETTINGS.iter().find(|setting| setting.path == path)
}

/// The keys of a section, in the order of the reference.
pub(super) fn members(section: &str) -> Vec<&'static str> {
    if section == HYPER_PARAMS_PATH {
        return hyper_params().map(|definition| definition.name).collect();
    }
    children(section).map(|(name, _)| name).collect()
}

/// The settings of a section, by their keys.
fn children(section: &str) -> impl Iterator<Item = (&'static str, &'static Setting)> {
    SETTINGS.iter().filter_map(move |setting| {
        let path = setting.path.as_str();
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        (parent == section).then_some((name, setting))
    })
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section => f.write_str("an object"),
            Self::Anything => f.write_str("anything"),
            Self::Text => f.write_str("a string"),
            Self::Name => f.write_str("a string that is not empty"),
            Self::Ticker => f.write_str("a ticker"),
            Self::Tickers => f.write_str("a list of tickers"),
            Self::BaseAssets => f.write_str("\"all\" or a list of tickers"),
            Self::Texts => f.write_str("a list of strings"),
            Self::Flag => f.write_str("true or false"),
            Self::Whole(least) => write!(f, "a whole number from {least} to {GREATEST}"),
            Self::Points => write!(f, "a whole number from 1 to {MOST_POINTS}"),
            Self::Steps => f.write_str("a list of whole numbers from 1"),
            Self::Seed => f.write_str("a whole number from 0 to 2^53"),
            Self::UpTo(most) => write!(f, "a number above 0 and at most {most}"),
            Self::Word(words) => {
                for (number, word) in words.iter().enumerate() {
                    let between = if number > 0 { " or " } else { "" };
                    write!(f, "{between}`{word}`")?;
                }
                Ok(())
            }
            Self::Order => f.write_str("a list [p, d, 0] with p from 0 to 20 and d from 0 to 2"),
            Self::Day => f.write_str(
                "a day of the years 1900 to 2200 such as \"2018-01-01\", or its epoch milliseconds, 1514764800000",
            ),
            Self::InstanceType => f.write_str("an instance type such as `ml.m5.xlarge`"),
        }
    }
}

/// A JSON Schema (draft 2020-12) of training templates: what a schema can say of
/// them. What it accepts may still have a fault that depends on two settings, on a
/// ticker's spelling, or on the data.
pub fn schema() -> Value {
    let mut schema = object("");
    schema.insert(
        "title".to_owned(),
        json!("A training template of Pipewright"),
    );
    let mut root = Map::new();
    root.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.extend(schema);
    Value::Object(root)
}

/// The schema of a section.
fn object(section: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    let (mut required, mut if_enabled) = (Vec::new(), Vec::new());
    for (name, setting) in children(section) {
        let mut value = match setting.takes {
            Takes::Section if setting.path == HYPER_PARAMS_PATH => hyper_parameters(),
            Takes::Section => object(&setting.path),
            takes => type_of(takes),
        };
        let unit = match setting.unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        value.insert(
            "description".to_owned(),
            json!(format!("{}{unit}", setting.meaning)),
        );
        match setting.presence {
            Presence::Required => required.push(name),
            Presence::IfEnabled => if_enabled.push(name),
            Presence::Default(text) => {
                let default = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
                value.insert("default".to_owned(), default);
            }
            Presence::Optional => {}
        }
        properties.insert(name.to_owned(), Value::Object(value));
    }
    let enabled = properties.contains_key("enabled");
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if enabled {
        schema.insert("required".to_owned(), json!(required));
        schema.insert(
            "if".to_owned(),
            json!({"properties": {"enabled": {"const": true}}}),
        );
        let of_lists: Map<String, Value> = children(section)
            .filter(|(_, setting)| setting.takes == Takes::Steps)
            .map(|(name, _)| (name.to_owned(), json!({"minItems": 1})))
            .collect();
        schema.insert(
            "then".to_owned(),
            json!({"required": if_enabled, "properties": of_lists}),
        );
    } else {
        // A section within one that is on has all of its own.
        required.extend(if_enabled);
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn type_of(takes: Takes) -> Map<String, Value> {
    let tickers = || json!({"type": "string", "minLength": 1, "maxLength": LONGEST_TICKER});
    let json = match takes {
        Takes::Section => json!({"type": "object"}),
        Takes::Anything => json!({}),
        Takes::Text => json!({"type": "string"}),
        Takes::Name => json!({"type": "string", "minLength": 1}),
        Takes::Ticker => tickers(),
        Takes::Tickers => json!({"type": "array", "items": tickers(), "uniqueItems": true}),
        Takes::BaseAssets => json!({"oneOf": [
            {"const": "all"},
            {"type": "array", "items": tickers()},
        ]}),
        Takes::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Takes::Flag => json!({"type": "boolean"}),
        Takes::Whole(least) => json!({"type": "integer", "minimum": least, "maximum": GREATEST}),
        Takes::Points => json!({"type": "integer", "minimum": 1, "maximum": MOST_POINTS}),
        Takes::Steps => json!({
            "type": "array", "uniqueItems": true,
            "items": {"type": "integer", "minimum": 1, "maximum": GREATEST},
        }),
        Takes::Seed => json!({"type": "integer", "minimum": 0, "maximum": 1_u64 << 53}),
        Takes::UpTo(most) => json!({"type": "number", "exclusiveMinimum": 0, "maximum": most}),
        Takes::Word(words) => json!({"enum": words}),
        Takes::Order => json!({
            "type": "array", "minItems": 3, "maxItems": 3,
            "prefixItems": [
                {"type": "integer", "minimum": 0, "maximum": 20},
                {"type": "integer", "minimum": 0, "maximum": 2},
                {"const": 0},
            ],
        }),
        Takes::Day => json!({"oneOf": [
            {"type": "string", "format": "date", "pattern": r"^(19\d{2}|2[01]\d{2}|2200)-\d{2}-\d{2}$"},
            // The first and the last millisecond of these years.
            {"type": "number", "minimum": -2_208_988_800_000_i64, "exclusiveMaximum": 7_289_654_400_000_i64},
        ]}),
        Takes::InstanceType => json!({
            "type": "string", "pattern": r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$",
        }),
    };
    as_map(json)
}

fn as_map(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The text of a number, as hyperparameters may be written too.
const NUMBER: &str = r"^\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$";
/// That, or an empty text.
const NUMBER_OR_NONE: &str = r"^\s*(\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)?\s*$";
/// The text of a list.
const LIST: &str = r"^\s*\[.*\]\s*$";

/// The schema of the hyperparameters. Each may be written as a number or a list,
/// or as its text.
fn hyper_parameters() -> Map<String, Value> {
    let whole = |most: usize| json!({"type": "integer", "minimum": 1, "maximum": most});
    let or_text =
        |own: Value, text: &str| json!({"anyOf": [own, {"type": "string", "pattern": text}]});
    let or_words = |own: Value, text: &str| json!({"anyOf": [own, {"type": "string", "pattern": text}, {"enum": ["auto", "ignore", ""]}]});
    let property = |takes| match takes {
        HyperparameterTakes::Whole(most) => or_text(whole(most), NUMBER),
        HyperparameterTakes::WholeOrNone(most) => or_text(whole(most), NUMBER_OR_NONE),
        HyperparameterTakes::Positive => or_text(
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            NUMBER,
        ),
        HyperparameterTakes::Share => or_text(
            json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
            NUMBER,
        ),
        HyperparameterTakes::Likelihood => json!({"enum": Likelihood::ALL.map(Likelihood::name)}),
        HyperparameterTakes::Cardinality => or_words(
            json!({
                "type": "array", "minItems": 1, "maxItems": MOST_VALUES,
                "items": {"type": "integer", "minimum": 1, "maximum": MOST_CATEGORIES},
            }),
            LIST,
        ),
        HyperparameterTakes::DynamicFeatures => or_words(whole(MOST_VALUES), NUMBER),
        HyperparameterTakes::Quantiles => or_text(
            json!({
                "type": "array", "minItems": 1, "maxItems": MOST_VALUES,
                "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            }),
            LIST,
        ),
        // Those that a template does not set.
        HyperparameterTakes::Frequency | HyperparameterTakes::Seed => json!({}),
    };
    let properties: Map<String, Value> = hyper_params()
        .map(|definition| (definition.name.to_owned(), property(definition.takes)))
        .collect();
    let required: Vec<&str> = hyper_params()
        .filter(|definition| definition.default.is_none())
        .map(|definition| definition.name)
        .collect();
    as_map(json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": required,
    }))
}

/// The reference as a table in Markdown.
pub fn reference() -> String {
    let mut table =
        String::from("| setting | takes | absent | unit | meaning |\n|---|---|---|---|---|\n");
    for setting in SETTINGS.iter() {
        let absent = match setting.presence {
            Presence::Required => "required".to_owned(),
            Presence::IfEnabled => "required if on".to_owned(),
            Presence::Default(text) => format!("`{text}`"),
            Presence::Optional => String::new(),
        };
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {absent} | {} | {} |",
            setting.path, setting.takes, setting.unit, setting.meaning
        );
    }
    for definition in hyper_params() {
        let absent = definition.default.map_or("required", |_| "");
        let _ = writeln!(
            table,
            "| `{HYPER_PARAMS_PATH}.{}` | {} | {absent} | | {}; [DeepAR's](DEEPAR.md#hyperparameters) |",
            definition.name, definition.takes, definition.meaning
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/TEMPLATE.md");

    #[test]
    fn the_reference_has_the_tables_rows() {
        let table = reference();
        assert!(
            PAGE.contains(&table),
            "docs/TEMPLATE.md lacks what `pipewright features schema --format markdown` prints:\n{table}"
        );
    }

    #[test]
    fn every_setting_has_its_section() {
        for setting in SETTINGS.iter() {
            if let Some((section, _)) = setting.path.rsplit_once('.') {
                assert_eq!(find(section).unwrap().takes, Takes::Section, "{section}");
            }
            assert_eq!(
                SETTINGS
                    .iter()
                    .filter(|one| one.path == setting.path)
                    .count(),
                1
            );
        }
    }
}
