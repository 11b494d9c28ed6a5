//! DeepAR's hyperparameters.

use std::fmt;

use crate::calendar::Frequency;

/// What a training is told, checked and with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    /// The time between two points.
    pub time_freq: Frequency,
    /// The most passes over the training data, each of about ten batches or more.
    pub epochs: usize,
    /// How many points before a forecast the network is unrolled over.
    pub context_length: usize,
    /// How many points are forecast.
    pub prediction_length: usize,
    /// The number of categories of each categorical feature.
    pub cardinality: Cardinality,
    /// The number of dynamic features.
    pub num_dynamic_feat: DynamicFeatures,
    /// The distribution of a point.
    pub likelihood: Likelihood,
    /// The probability, in [0, 1), that a hidden unit keeps its state at a step
    /// of the training (zoneout).
    pub dropout_rate: f64,
    /// After how many epochs without a new lowest training loss the training
    /// ends; `None` = never before `epochs`.
    pub early_stopping_patience: Option<usize>,
    /// The size of a category's embedding.
    pub embedding_dimension: usize,
    /// The optimiser's initial learning rate, above 0.
    pub learning_rate: f64,
    /// Windows a batch.
    pub mini_batch_size: usize,
    /// Hidden units a layer.
    pub num_cells: usize,
    /// LSTM layers.
    pub num_layers: usize,
    /// Samples a series when the test channel is scored.
    pub num_eval_samples: usize,
    /// The quantiles that the test channel is scored at, ascending, each once.
    pub test_quantiles: Vec<Quantile>,
    /// `_seed`, an addition of this implementation: the same seed gives the same
    /// model. `None` = the caller draws one.
    pub seed: Option<u64>,
}

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
