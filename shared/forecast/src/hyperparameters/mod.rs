//! DeepAR's hyperparameters, which reach a training as texts: those of [`TABLE`].
//!
//! Names that begin with `_` are SageMaker's own, and are accepted, whatever
//! they are: a tuning job adds `_tuning_objective_metric`. `_seed` is an addition
//! of this implementation.

mod table;

use std::collections::BTreeMap;
use std::fmt;

use pipewright_wording::{excerpt, nearest::nearest};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use crate::faults::Faults;
use table::Text;
pub use table::{
    Definition, Hyperparameters, MOST_CATEGORIES, MOST_POINTS, MOST_VALUES, TABLE, Takes,
};

/// The number of categories of each categorical feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cardinality {
    /// `auto`: counted, if the first training record has `cat`.
    Auto,
    /// `ignore`, or an empty text: `cat` is not used.
    Ignore,
    /// One number a feature, each at least 1.
    Given(Vec<u32>),
}

/// The number of dynamic features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynamicFeatures {
    /// `auto`: counted, if the first training record has `dynamic_feat`.
    Auto,
    /// `ignore`, or an empty text: `dynamic_feat` is not used.
    Ignore,
    /// So many, at least 1.
    Given(usize),
}

impl Cardinality {
    /// That of a data set or a model: none if it has no categorical feature.
    #[must_use]
    pub fn of(cardinality: &[u32]) -> Self {
        match cardinality {
            [] => Self::Ignore,
            given => Self::Given(given.to_vec()),
        }
    }
}

impl DynamicFeatures {
    /// That of a data set or a model: none if it has no dynamic feature.
    #[must_use]
    pub fn of(number: usize) -> Self {
        match number {
            0 => Self::Ignore,
            given => Self::Given(given),
        }
    }
}

/// The distribution of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likelihood {
    /// `gaussian`, for real values.
    Gaussian,
    /// `student-T`, for real values with outliers.
    StudentT,
    /// `negative-binomial`, for counts.
    NegativeBinomial,
    /// `beta`, for values between 0 and 1.
    Beta,
    /// `deterministic-L1`: a point without a distribution.
    DeterministicL1,
}

impl Serialize for Likelihood {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Likelihood {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut all = Self::ALL.into_iter();
        let known = all.find(|likelihood| likelihood.name() == text);
        known.ok_or_else(|| D::Error::custom(format_args!("unknown likelihood `{text}`")))
    }
}

impl Likelihood {
    /// Every likelihood.
    pub const ALL: [Self; 5] = [
        Self::Gaussian,
        Self::Beta,
        Self::NegativeBinomial,
        Self::StudentT,
        Self::DeterministicL1,
    ];

    /// The name, as DeepAR's documentation spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::StudentT => "student-T",
            Self::NegativeBinomial => "negative-binomial",
            Self::Beta => "beta",
            Self::DeterministicL1 => "deterministic-L1",
        }
    }

    /// Whether a target may have this value; a missing one (NaN) any may have.
    #[must_use]
    pub fn suits(self, value: f32) -> bool {
        match self {
            _ if value.is_nan() => true,
            Self::NegativeBinomial => value >= 0.0 && value.fract() == 0.0,
            Self::Beta => (0.0..=1.0).contains(&value),
            Self::Gaussian | Self::StudentT | Self::DeterministicL1 => true,
        }
    }

    /// The values that [`suits`](Self::suits) takes, in words; `None` = all.
    #[must_use]
    pub fn domain(self) -> Option<&'static str> {
        match self {
            Self::NegativeBinomial => Some("whole numbers from 0"),
            Self::Beta => Some("numbers from 0 to 1"),
            Self::Gaussian | Self::StudentT | Self::DeterministicL1 => None,
        }
    }
}

impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A quantile as a person wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantile {
    /// The text, which answers and metrics repeat: `0.1`.
    pub text: String,
    /// The level, in (0, 1).
    pub value: f64,
}

impl Quantile {
    /// The quantile of a text such as `0.1`, or `None` if that is not a number
    /// above 0 and below 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: f64 = text.parse().ok()?;
        (value > 0.0 && value < 1.0).then(|| Self {
            text: text.to_owned(),
            value,
        })
    }
}

/// Something wrong with the hyperparameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HyperparameterFault {
    /// The document is not a JSON object.
    #[error(
        "the hyperparameters must be a JSON object of names and texts, such as {{\"epochs\": \"100\"}}: {0}"
    )]
    Document(String),
    /// A name stands twice in the document.
    #[error("the hyperparameter `{0}` is given twice; leave one out")]
    Repeated(String),
    /// A required one is not there.
    #[error("the hyperparameter `{name}`, {meaning}, is missing; it must be {takes}")]
    Missing {
        /// The name.
        name: &'static str,
        /// What it is.
        meaning: &'static str,
        /// What it takes.
        takes: Takes,
    },
    /// A value can't be that.
    #[error("the hyperparameter `{name}` is `{text}`; it must be {takes}")]
    Invalid {
        /// The name.
        name: &'static str,
        /// The beginning of the text.
        text: String,
        /// What it takes.
        takes: Takes,
    },
    /// There is no hyperparameter of that name.
    #[error("`{name}` is not a hyperparameter; the nearest is `{nearest}`")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest that there is.
        nearest: &'static str,
    },
}

impl Hyperparameters {
    /// Reads the document of a training, `hyperparameters.json`: an object whose
    /// values are texts. Any other value counts as its JSON text.
    ///
    /// # Errors
    /// All faults of the document, or those of [`Self::from_texts`].
    pub fn from_json(document: &[u8]) -> Result<Self, Faults<HyperparameterFault>> {
        let Entries(entries) = serde_json::from_slice(document)
            .map_err(|fault| HyperparameterFault::Document(fault.to_string()))?;
        let mut faults = Faults::default();
        let mut texts = BTreeMap::new();
        for (name, value) in entries {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            if texts.insert(name.clone(), text).is_some() {
                faults.push(HyperparameterFault::Repeated(excerpt(&name)));
            }
        }
        Self::read(&texts, faults)
    }

    /// Checks the texts by name, and takes the default for what is not given.
    ///
    /// # Errors
    /// Every hyperparameter that is missing, has a wrong value or an unknown name.
    pub fn from_texts(
        texts: &BTreeMap<String, String>,
    ) -> Result<Self, Faults<HyperparameterFault>> {
        Self::read(texts, Faults::default())
    }

    fn read(
        texts: &BTreeMap<String, String>,
        faults: Faults<HyperparameterFault>,
    ) -> Result<Self, Faults<HyperparameterFault>> {
        let mut reader = Reader { texts, faults };
        reader.refuse_unknown_names();
        let read = reader.hyperparameters();
        match read {
            Some(hyperparameters) => reader.faults.or(hyperparameters),
            None => Err(reader.faults),
        }
    }
}

impl fmt::Display for Cardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Ignore => f.write_str("ignore"),
            Self::Given(numbers) => write!(f, "{numbers:?}"),
        }
    }
}

impl fmt::Display for DynamicFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Ignore => f.write_str("ignore"),
            Self::Given(number) => write!(f, "{number}"),
        }
    }
}

/// Reads texts and keeps what is wrong with them.
struct Reader<'a> {
    texts: &'a BTreeMap<String, String>,
    faults: Faults<HyperparameterFault>,
}

impl Reader<'_> {
    fn refuse_unknown_names(&mut self) {
        let known = || TABLE.iter().map(|definition| definition.name);
        for name in self.texts.keys() {
            if name.starts_with('_') || known().any(|known| known == name) {
                continue;
            }
            let public = known().filter(|name| !name.starts_with('_'));
            if let Some(nearest) = nearest(name, public) {
                self.faults.push(HyperparameterFault::Unknown {
                    name: excerpt(name),
                    nearest,
                });
            }
        }
    }

    /// The value of the hyperparameter `name`, or its default.
    fn value<T: Text>(&mut self, name: &'static str) -> Option<T> {
        let &Definition {
            takes,
            default,
            meaning,
            ..
        } = TABLE.iter().find(|definition| definition.name == name)?;
        let given = self.texts.get(name).map(|text| text.trim());
        let text = match (given, default) {
            (None | Some(""), None) => {
                self.faults.push(HyperparameterFault::Missing {
                    name,
                    meaning,
                    takes,
                });
                return None;
            }
            (Some(text), _) | (None, Some(text)) => text,
        };
        let value = T::read(takes, text);
        if value.is_none() {
            self.faults.push(HyperparameterFault::Invalid {
                name,
                text: excerpt(text),
                takes,
            });
        }
        value
    }
}

/// The members of a JSON object as they stand, repeated ones included.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: &str =
        r#"{"time_freq": "D", "epochs": "20", "context_length": "14", "prediction_length": "7"}"#;

    fn texts(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::from(
            [
                ("time_freq", "D"),
                ("epochs", "20"),
                ("context_length", "14"),
                ("prediction_length", "7"),
            ]
            .map(|(name, text)| (name.to_owned(), text.to_owned())),
        );
        for (name, text) in entries {
            texts.insert((*name).to_owned(), (*text).to_owned());
        }
        texts
    }

    fn with(name: &str, text: &str) -> Result<Hyperparameters, Faults<HyperparameterFault>> {
        Hyperparameters::from_texts(&texts(&[(name, text)]))
    }

    #[test]
    fn what_is_not_given_has_the_documented_default() {
        let hyperparameters = Hyperparameters::from_json(LEAST.as_bytes()).unwrap();
        let levels = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
        assert_eq!(
            hyperparameters,
            Hyperparameters {
                time_freq: "D".parse().unwrap(),
                epochs: 20,
                context_length: 14,
                prediction_length: 7,
                cardinality: Cardinality::Auto,
                num_dynamic_feat: DynamicFeatures::Auto,
                likelihood: Likelihood::StudentT,
                dropout_rate: 0.1,
                early_stopping_patience: None,
                embedding_dimension: 10,
                learning_rate: 0.001,
                mini_batch_size: 128,
                num_cells: 40,
                num_layers: 2,
                num_eval_samples: 100,
                test_quantiles: levels
                    .map(|level| Quantile::parse(&level.to_string()).unwrap())
                    .to_vec(),
                seed: None,
            }
        );
    }

    #[test]
    fn a_value_that_is_no_text_counts_as_its_json_text() {
        let given =
            br#"{"time_freq": "2H", "epochs": 5, "context_length": 3, "prediction_length": 2,
            "learning_rate": 1e-2, "cardinality": [4, 2], "test_quantiles": [0.9, 0.10, 0.9]}"#;
        let read = Hyperparameters::from_json(given).unwrap();
        assert_eq!((read.epochs, read.learning_rate), (5, 0.01));
        assert_eq!(read.cardinality, Cardinality::Given(vec![4, 2]));
        let quantiles = read.test_quantiles.iter().map(|q| q.text.as_str());
        assert_eq!(quantiles.collect::<Vec<_>>(), ["0.1", "0.9"]);
    }

    #[test]
    fn empty_texts_are_legal_where_deepar_has_them() {
        let read = Hyperparameters::from_texts(&texts(&[
            ("early_stopping_patience", ""),
            ("cardinality", ""),
            ("num_dynamic_feat", ""),
            ("_seed", ""),
        ]))
        .unwrap();
        assert_eq!(read.early_stopping_patience, None);
        assert_eq!(read.cardinality, Cardinality::Ignore);
        assert_eq!(read.num_dynamic_feat, DynamicFeatures::Ignore);
        assert_eq!(read.seed, None);
    }

    #[test]
    fn a_likelihood_is_known_in_any_case() {
        for likelihood in Likelihood::ALL {
            for text in [
                likelihood.name().to_lowercase(),
                likelihood.name().to_uppercase(),
            ] {
                assert_eq!(with("likelihood", &text).unwrap().likelihood, likelihood);
            }
        }
    }

    #[test]
    fn names_that_begin_with_an_underscore_are_accepted() {
        let read = Hyperparameters::from_texts(&texts(&[
            ("_tuning_objective_metric", "test:RMSE"),
            ("_kvstore", "auto"),
            ("_", ""),
            ("_seed", "18446744073709551615"),
        ]));
        assert_eq!(read.unwrap().seed, Some(u64::MAX));
    }

    #[test]
    fn every_wrong_missing_or_misspelt_one_is_told_at_once() {
        let given = br#"{"time_freq": "1d", "epoch": "10", "context_length": "0", "likelyhood": "beta",
            "dropout_rate": "1", "num_cells": "40.5", "epochs": null, "num_layers": "1", "num_layers": "2"}"#;
        let faults = Hyperparameters::from_json(given).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "9 faults:
  the hyperparameter `num_layers` is given twice; leave one out
  `epoch` is not a hyperparameter; the nearest is `epochs`
  `likelyhood` is not a hyperparameter; the nearest is `likelihood`
  the hyperparameter `time_freq` is `1d`; it must be a unit of M (month), W (week), D (day), H (hour) or min (minute), with a whole number from 1 to 1000000 before it if a step has several, such as D or 5min
  the hyperparameter `epochs` is `null`; it must be a whole number from 1 to 1000000
  the hyperparameter `context_length` is `0`; it must be a whole number from 1 to 100000
  the hyperparameter `prediction_length`, the number of points that are forecast, is missing; it must be a whole number from 1 to 100000
  the hyperparameter `num_cells` is `40.5`; it must be a whole number from 1 to 10000
  the hyperparameter `dropout_rate` is `1`; it must be a number of at least 0 and below 1"
        );
    }

    #[test]
    fn values_outside_the_range_are_refused_by_name() {
        for (name, refused) in [
            (
                "epochs",
                &["", "-1", "+1", "1.0", "1e2", "1000001", "９", "x"][..],
            ),
            ("early_stopping_patience", &["0", "none"]),
            (
                "learning_rate",
                &["", "0", "-1", "1.1", "nan", "inf", "1e-400"],
            ),
            ("dropout_rate", &["-0.1", "1", "NaN", "0,1"]),
            ("likelihood", &["", "normal", "student t"]),
            (
                "cardinality",
                &["5", "[]", "[0]", "[1.5]", "[-1]", "[1000001]", "[5", "Auto"],
            ),
            ("num_dynamic_feat", &["0", "-1", "1001", "[1]"]),
            (
                "test_quantiles",
                &["", "[]", "[0]", "[1]", "0.5", "[\"a\"]", "[0.1,]", "[null]"],
            ),
            ("_seed", &["-1", "1.5", "18446744073709551616", "x"]),
        ] {
            for text in refused {
                let faults = with(name, text).unwrap_err();
                assert_eq!(faults.count(), 1, "{name} = {text}: {faults}");
                assert!(
                    faults.to_string().contains(&format!("`{name}`")),
                    "{faults}"
                );
            }
        }
    }

    #[test]
    fn a_document_that_is_no_object_is_one_fault() {
        for document in [&b""[..], b"[]", b"{", b"null", b"{}{}", b"{\"a\": \xff}"] {
            let faults = Hyperparameters::from_json(document).unwrap_err();
            assert_eq!(faults.count(), 1);
            assert!(
                faults.to_string().contains("must be a JSON object"),
                "{faults}"
            );
        }
    }

    fn any_hyperparameters() -> impl Strategy<Value = Hyperparameters> {
        let numbers = (
            1..=1_000_000_usize,
            1..=100_000_usize,
            1..=10_000_usize,
            1..=100_usize,
        );
        let reals = (
            0.0..1.0_f64,
            0.0..1.0_f64,
            prop::collection::btree_set(1..1000_u32, 1..9),
        );
        let choices = (
            0..5_usize,
            prop::option::of(1..=1000_usize),
            prop::option::of(any::<u64>()),
            prop_oneof![
                Just(Cardinality::Auto),
                Just(Cardinality::Ignore),
                prop::collection::vec(1..=1_000_000_u32, 1..5).prop_map(Cardinality::Given),
            ],
            prop_oneof![
                Just(DynamicFeatures::Auto),
                Just(DynamicFeatures::Ignore),
                (1..=1000_usize).prop_map(DynamicFeatures::Given),
            ],
            prop::sample::select(vec!["M", "W", "7D", "2H", "15min"]),
        );
        (numbers, reals, choices).prop_map(|(numbers, reals, choices)| {
            let (epochs, length, width, layers) = numbers;
            let (learning_rate, dropout_rate, levels) = reals;
            let (likelihood, patience, seed, cardinality, num_dynamic_feat, freq) = choices;
            let quantile = |level: u32| Quantile::parse(&(f64::from(level) / 1e3).to_string());
            Hyperparameters {
                time_freq: freq.parse().unwrap(),
                epochs,
                context_length: length,
                prediction_length: length,
                cardinality,
                num_dynamic_feat,
                likelihood: Likelihood::ALL[likelihood],
                dropout_rate,
                early_stopping_patience: patience,
                embedding_dimension: width,
                learning_rate: 1.0 - learning_rate,
                mini_batch_size: length,
                num_cells: width,
                num_layers: layers,
                num_eval_samples: length,
                test_quantiles: levels.into_iter().filter_map(quantile).collect(),
                seed,
            }
        })
    }

    proptest! {
        #[test]
        fn hyperparameters_come_back_from_their_texts(given in any_hyperparameters()) {
            let texts = given.texts().into_iter().map(|(name, text)| (name.to_owned(), text));
            let texts: BTreeMap<String, String> = texts.collect();
            prop_assert_eq!(Hyperparameters::from_texts(&texts), Ok(given.clone()));
            let document = serde_json::to_vec(&texts).unwrap();
            prop_assert_eq!(Hyperparameters::from_json(&document), Ok(given));
        }
    }
}
