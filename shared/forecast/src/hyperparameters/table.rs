//! What hyperparameters there are.

use std::fmt;

use super::{Cardinality, DynamicFeatures, Likelihood, Quantile};
use crate::calendar::{FREQUENCY_FORM, Frequency};

/// One hyperparameter.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// What its text may be.
    pub takes: Takes,
    /// The text that stands in for it when it is not given; `None` = it must be.
    pub default: Option<&'static str>,
    /// What it is, as half a sentence.
    pub meaning: &'static str,
}

/// What the text of a hyperparameter may be; its `Display` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A frequency.
    Frequency,
    /// A whole number from 1 to this one.
    Whole(usize),
    /// That, or an empty text for none.
    WholeOrNone(usize),
    /// A number above 0 and at most 1.
    Positive,
    /// A number of at least 0 and below 1.
    Share,
    /// The name of a likelihood.
    Likelihood,
    /// `auto`, `ignore`, an empty text or a list of cardinalities.
    Cardinality,
    /// `auto`, `ignore`, an empty text or a number of features.
    DynamicFeatures,
    /// A list of quantiles.
    Quantiles,
    /// A whole number of 64 bits, or an empty text for none.
    Seed,
}

/// The most epochs, and epochs of patience.
const EPOCHS: usize = 1_000_000;
/// The most points of a window, windows of a batch, samples of a series.
const LENGTH: usize = 100_000;
/// The most cells of a layer and numbers of an embedding.
const WIDTH: usize = 10_000;
/// The most categories of a feature.
pub const MOST_CATEGORIES: u32 = 1_000_000;
/// The most dynamic features, categorical features and quantiles.
const COUNT: usize = 1_000;

/// Every hyperparameter: those of DeepAR's documentation and `_seed`, which is
/// ours.
pub const TABLE: [Definition; 17] = [
    Definition {
        name: "time_freq",
        takes: Takes::Frequency,
        default: None,
        meaning: "the time between two points",
    },
    Definition {
        name: "epochs",
        takes: Takes::Whole(EPOCHS),
        default: None,
        meaning: "the most passes over the training data",
    },
    Definition {
        name: "context_length",
        takes: Takes::Whole(LENGTH),
        default: None,
        meaning: "the number of points before the forecast that the network is run over",
    },
    Definition {
        name: "prediction_length",
        takes: Takes::Whole(LENGTH),
        default: None,
        meaning: "the number of points that are forecast",
    },
    Definition {
        name: "likelihood",
        takes: Takes::Likelihood,
        default: Some("student-T"),
        meaning: "the distribution of a point",
    },
    Definition {
        name: "mini_batch_size",
        takes: Takes::Whole(LENGTH),
        default: Some("128"),
        meaning: "the number of windows in a batch",
    },
    Definition {
        name: "learning_rate",
        takes: Takes::Positive,
        default: Some("0.001"),
        meaning: "the size of the optimiser's first steps",
    },
    Definition {
        name: "early_stopping_patience",
        takes: Takes::WholeOrNone(EPOCHS),
        default: Some(""),
        meaning: "after how many epochs without a new lowest training loss the training ends",
    },
    Definition {
        name: "num_cells",
        takes: Takes::Whole(WIDTH),
        default: Some("40"),
        meaning: "the number of cells in each LSTM layer",
    },
    Definition {
        name: "num_layers",
        takes: Takes::Whole(100),
        default: Some("2"),
        meaning: "the number of LSTM layers",
    },
    Definition {
        name: "dropout_rate",
        takes: Takes::Share,
        default: Some("0.1"),
        meaning: "the probability that a cell keeps its state at a step of the training (zoneout)",
    },
    Definition {
        name: "embedding_dimension",
        takes: Takes::Whole(WIDTH),
        default: Some("10"),
        meaning: "the size of a category's embedding",
    },
    Definition {
        name: "cardinality",
        takes: Takes::Cardinality,
        default: Some("auto"),
        meaning: "the number of categories of each categorical feature",
    },
    Definition {
        name: "num_dynamic_feat",
        takes: Takes::DynamicFeatures,
        default: Some("auto"),
        meaning: "the number of dynamic features",
    },
    Definition {
        name: "num_eval_samples",
        takes: Takes::Whole(LENGTH),
        default: Some("100"),
        meaning: "the number of samples of a series when the test channel is scored",
    },
    Definition {
        name: "test_quantiles",
        takes: Takes::Quantiles,
        default: Some("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]"),
        meaning: "the quantiles that the test channel is scored at",
    },
    Definition {
        name: "_seed",
        takes: Takes::Seed,
        default: Some(""),
        meaning: "what the random numbers are made from; the same seed gives the same model",
    },
];

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frequency => f.write_str(FREQUENCY_FORM),
            Self::Whole(most) => write!(f, "a whole number from 1 to {most}"),
            Self::WholeOrNone(most) => {
                write!(f, "a whole number from 1 to {most}, or empty for none")
            }
            Self::Positive => f.write_str("a number above 0 and at most 1"),
            Self::Share => f.write_str("a number of at least 0 and below 1"),
            Self::Likelihood => {
                let names = Likelihood::ALL.map(Likelihood::name);
                write!(f, "one of {}", names.join(", "))
            }
            Self::Cardinality => write!(
                f,
                "auto, ignore, or a list of at most {COUNT} whole numbers from 1 to {MOST_CATEGORIES}, such as [5, 3]"
            ),
            Self::DynamicFeatures => {
                write!(f, "auto, ignore, or a whole number from 1 to {COUNT}")
            }
            Self::Quantiles => write!(
                f,
                "a list of at least 1 and at most {COUNT} numbers above 0 and below 1, such as [0.1, 0.5, 0.9]"
            ),
            Self::Seed => write!(
                f,
                "a whole number from 0 to {}, or empty for none",
                u64::MAX
            ),
        }
    }
}

/// The value of a text, or `None` if it is none of what the hyperparameter takes.
/// The text has no white space around it.
pub(super) trait Read: Sized {
    fn read(takes: Takes, text: &str) -> Option<Self>;
}

impl Read for Frequency {
    fn read(_: Takes, text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A whole number in decimal digits, without a sign.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl Read for usize {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        let (Takes::Whole(most) | Takes::WholeOrNone(most)) = takes else {
            return None;
        };
        whole(text).filter(|number| (1..=most).contains(number))
    }
}

impl Read for Option<usize> {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            _ => usize::read(takes, text).map(Some),
        }
    }
}

impl Read for Option<u64> {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            _ => whole(text).map(Some),
        }
    }
}

impl Read for f64 {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        let number: Self = text.parse().ok()?;
        let fits = match takes {
            Takes::Positive => number > 0.0 && number <= 1.0,
            Takes::Share => (0.0..1.0).contains(&number),
            _ => false,
        };
        fits.then_some(number)
    }
}

impl Read for Likelihood {
    fn read(_: Takes, text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|likelihood| likelihood.name().eq_ignore_ascii_case(text))
    }
}

impl Read for Cardinality {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ignore" | "" => Some(Self::Ignore),
            _ => {
                let numbers: Vec<u32> = serde_json::from_str(text).ok()?;
                let fit = (1..=COUNT).contains(&numbers.len())
                    && numbers
                        .iter()
                        .all(|number| (1..=MOST_CATEGORIES).contains(number));
                fit.then_some(Self::Given(numbers))
            }
        }
    }
}

impl Read for DynamicFeatures {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ignore" | "" => Some(Self::Ignore),
            _ => whole(text)
                .filter(|number| (1..=COUNT).contains(number))
                .map(Self::Given),
        }
    }
}

impl Read for Vec<Quantile> {
    /// Ascending, each once.
    fn read(_: Takes, text: &str) -> Option<Self> {
        let numbers: Vec<f64> = serde_json::from_str(text).ok()?;
        if !(1..=COUNT).contains(&numbers.len()) {
            return None;
        }
        let mut quantiles: Self = numbers
            .into_iter()
            .map(|number| Quantile::parse(&number.to_string()))
            .collect::<Option<_>>()?;
        quantiles.sort_by(|a, b| a.value.total_cmp(&b.value));
        quantiles.dedup_by(|a, b| a.value == b.value);
        Some(quantiles)
    }
}
