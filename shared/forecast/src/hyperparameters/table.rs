//! What hyperparameters there are.

use std::collections::BTreeMap;
use std::fmt;

use super::{Cardinality, DynamicFeatures, Likelihood, Quantile, Reader};
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
    normalized: fn(&str) -> Option<String>,
}

impl Definition {
    /// The text as a training writes it, such as `student-T` for `STUDENT-T`; `None` if the
    /// hyperparameter does not take it.
    #[must_use]
    pub fn normalized(&self, text: &str) -> Option<String> {
        (self.normalized)(text.trim())
    }
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
pub const MOST_POINTS: usize = 100_000;
/// The most cells of a layer and numbers of an embedding.
const WIDTH: usize = 10_000;
/// The most categories of a feature.
pub const MOST_CATEGORIES: u32 = 1_000_000;
/// The most dynamic features, categorical features and quantiles.
pub const MOST_VALUES: usize = 1_000;

/// Makes [`Hyperparameters`], [`TABLE`], the reader and the texts of a list that has a line for
/// each hyperparameter: name, field and its type, what it takes, its default, its meaning.
macro_rules! hyperparameters {
    (@default required) => { None };
    (@default default $text:literal) => { Some($text) };
    ($(
        $(#[$more:meta])*
        $name:literal $field:ident: $type:ty, $takes:expr, $required:ident $($text:literal)?, $meaning:literal;
    )+) => {
        /// The hyperparameters of a training, checked and with their defaults.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Hyperparameters {
            $(
                #[doc = concat!("`", $name, "`: ", $meaning, ".")]
                #[doc = ""]
                $(#[$more])*
                pub $field: $type,
            )+
        }

        /// Every hyperparameter: those of DeepAR's documentation and `_seed`, which is ours.
        pub const TABLE: &[Definition] = &[$(
            Definition {
                name: $name,
                takes: $takes,
                default: hyperparameters!(@default $required $($text)?),
                meaning: $meaning,
                normalized: |text| Some(<$type as Text>::read($takes, text)?.text()),
            },
        )+];

        impl Reader<'_> {
            /// `None` if one has a fault; each is looked at all the same.
            pub(super) fn hyperparameters(&mut self) -> Option<Hyperparameters> {
                $(let $field = self.value($name);)+
                Some(Hyperparameters { $($field: $field?,)+ })
            }
        }

        impl Hyperparameters {
            /// The texts by name, defaults included, from which [`Self::from_texts`] makes the
            /// same again.
            #[must_use]
            pub fn texts(&self) -> BTreeMap<&'static str, String> {
                BTreeMap::from([$(($name, self.$field.text()),)+])
            }
        }
    };
}

hyperparameters! {
    "time_freq" time_freq: Frequency, Takes::Frequency, required, "the time between two points";
    /// An epoch is about ten batches or more.
    "epochs" epochs: usize, Takes::Whole(EPOCHS), required, "the most passes over the training data";
    "context_length" context_length: usize, Takes::Whole(MOST_POINTS), required, "the number of points before the forecast that the network is run over";
    "prediction_length" prediction_length: usize, Takes::Whole(MOST_POINTS), required, "the number of points that are forecast";
    "likelihood" likelihood: Likelihood, Takes::Likelihood, default "student-T", "the distribution of a point";
    "mini_batch_size" mini_batch_size: usize, Takes::Whole(MOST_POINTS), default "128", "the number of windows in a batch";
    "learning_rate" learning_rate: f64, Takes::Positive, default "0.001", "the size of the optimiser's first steps";
    /// `None` = never before `epochs`.
    "early_stopping_patience" early_stopping_patience: Option<usize>, Takes::WholeOrNone(EPOCHS), default "", "after how many epochs without a new lowest training loss the training ends";
    "num_cells" num_cells: usize, Takes::Whole(WIDTH), default "40", "the number of cells in each LSTM layer";
    "num_layers" num_layers: usize, Takes::Whole(100), default "2", "the number of LSTM layers";
    "dropout_rate" dropout_rate: f64, Takes::Share, default "0.1", "the probability that a cell keeps its state at a step of the training (zoneout)";
    "embedding_dimension" embedding_dimension: usize, Takes::Whole(WIDTH), default "10", "the size of a category's embedding";
    "cardinality" cardinality: Cardinality, Takes::Cardinality, default "auto", "the number of categories of each categorical feature";
    "num_dynamic_feat" num_dynamic_feat: DynamicFeatures, Takes::DynamicFeatures, default "auto", "the number of dynamic features";
    "num_eval_samples" num_eval_samples: usize, Takes::Whole(MOST_POINTS), default "100", "the number of samples of a series when the test channel is scored";
    /// Ascending, each once.
    "test_quantiles" test_quantiles: Vec<Quantile>, Takes::Quantiles, default "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]", "the quantiles that the test channel is scored at";
    /// An addition of this implementation. `None` = the caller draws one.
    "_seed" seed: Option<u64>, Takes::Seed, default "", "what the random numbers are made from; the same seed gives the same model";
}

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
                "auto, ignore, or a list of at most {MOST_VALUES} whole numbers from 1 to {MOST_CATEGORIES}, such as [5, 3]"
            ),
            Self::DynamicFeatures => {
                write!(f, "auto, ignore, or a whole number from 1 to {MOST_VALUES}")
            }
            Self::Quantiles => write!(
                f,
                "a list of at least 1 and at most {MOST_VALUES} numbers above 0 and below 1, such as [0.1, 0.5, 0.9]"
            ),
            Self::Seed => write!(
                f,
                "a whole number from 0 to {}, or empty for none",
                u64::MAX
            ),
        }
    }
}

/// A value that a hyperparameter's text stands for.
pub(super) trait Text: Sized {
    /// The value of a text without white space around it, or `None` if it is none of what the
    /// hyperparameter takes.
    fn read(takes: Takes, text: &str) -> Option<Self>;

    /// The text that [`read`](Self::read) makes the same value of.
    fn text(&self) -> String;
}

impl Text for Frequency {
    fn read(_: Takes, text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// A whole number in decimal digits, without a sign.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl Text for usize {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        let (Takes::Whole(most) | Takes::WholeOrNone(most)) = takes else {
            return None;
        };
        whole(text).filter(|number| (1..=most).contains(number))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for Option<usize> {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            _ => usize::read(takes, text).map(Some),
        }
    }

    fn text(&self) -> String {
        self.map_or_else(String::new, |value| value.to_string())
    }
}

impl Text for Option<u64> {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            _ => whole(text).map(Some),
        }
    }

    fn text(&self) -> String {
        self.map_or_else(String::new, |value| value.to_string())
    }
}

impl Text for f64 {
    fn read(takes: Takes, text: &str) -> Option<Self> {
        let number: Self = text.parse().ok()?;
        let fits = match takes {
            Takes::Positive => number > 0.0 && number <= 1.0,
            Takes::Share => (0.0..1.0).contains(&number),
            _ => false,
        };
        fits.then_some(number)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for Likelihood {
    fn read(_: Takes, text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|likelihood| likelihood.name().eq_ignore_ascii_case(text))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for Cardinality {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ignore" | "" => Some(Self::Ignore),
            _ => {
                let numbers: Vec<u32> = serde_json::from_str(text).ok()?;
                let fit = (1..=MOST_VALUES).contains(&numbers.len())
                    && numbers
                        .iter()
                        .all(|number| (1..=MOST_CATEGORIES).contains(number));
                fit.then_some(Self::Given(numbers))
            }
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for DynamicFeatures {
    fn read(_: Takes, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ignore" | "" => Some(Self::Ignore),
            _ => whole(text)
                .filter(|number| (1..=MOST_VALUES).contains(number))
                .map(Self::Given),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for Vec<Quantile> {
    /// Ascending, each once.
    fn read(_: Takes, text: &str) -> Option<Self> {
        let numbers: Vec<f64> = serde_json::from_str(text).ok()?;
        if !(1..=MOST_VALUES).contains(&numbers.len()) {
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

    fn text(&self) -> String {
        let texts: Vec<&str> = self.iter().map(|quantile| quantile.text.as_str()).collect();
        format!("[{}]", texts.join(", "))
    }
}
