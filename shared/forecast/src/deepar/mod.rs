//! DeepAR: an autoregressive recurrent network that learns from many series at
//! once and predicts the distribution of each one's next points.
//!
//! [`Trainer`] makes a [`Model`] of series, epoch by epoch; a model predicts by
//! ancestral sampling, and is kept as one file ([`Model::write`]).
//!
//! Source: Salinas, Flunkert, Gasthaus and Januschowski, arXiv 1704.04110.
//!
//! | setting | purpose | default of DeepAR |
//! |---|---|---|
//! | frequency | the time between two points; decides calendar features and lags | |
//! | context | points before a forecast that the network is unrolled over | |
//! | prediction | points that are forecast | |
//! | likelihood | the distribution of a point | student-T |
//! | cells, layers | hidden units a layer, LSTM layers | 40, 2 |
//! | dropout | probability of zoneout while training | 0.1 |
//! | embedding | numbers that stand for a category | 10 |
//! | learning rate | Adam's, at first | 0.001 |
//! | batch | windows a step of the optimiser | 128 |
//! | epochs | passes over the data, of about 10 batches | |
//! | patience | epochs without a new lowest loss that end the training | none |

mod artifact;
#[cfg(test)]
mod golden;
mod network;
mod predict;
#[cfg(test)]
mod tests;
mod train;
mod window;

use pipewright_matmul::Real;
use pipewright_matmul::random::Random;
use serde::{Deserialize, Serialize};

use crate::calendar::Frequency;
use crate::hyperparameters::{Hyperparameters, Likelihood};

pub use artifact::{ARTIFACT_FILE, ArtifactError, VERSION};
pub use predict::{PredictError, Prediction};
pub use train::{BatchReport, Checkpoint, EpochReport, TrainError, Trainer};
pub use window::Filling;

use network::{Network, Shape};
use window::Inputs;

/// What a network is made for and how it is trained.
///
/// A model's file has these members; one that is new needs `#[serde(default = "...")]` with what
/// trainings did before, so that models and checkpoints of before stay readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The time between two points.
    pub frequency: Frequency,
    /// Points before a forecast that the network is unrolled over, at least 1.
    pub context_length: usize,
    /// Points that are forecast, at least 1.
    pub prediction_length: usize,
    /// The distribution of a point.
    pub likelihood: Likelihood,
    /// The number of categories of each categorical feature.
    pub cardinality: Vec<u32>,
    /// Dynamic features.
    pub dynamic_features: usize,
    /// Hidden units a layer.
    #[serde(rename = "num_cells")]
    pub cells: usize,
    /// Layers.
    #[serde(rename = "num_layers")]
    pub layers: usize,
    /// The probability of zoneout, in [0, 1).
    #[serde(rename = "dropout_rate")]
    pub dropout: f64,
    /// Numbers that stand for a category.
    #[serde(rename = "embedding_dimension")]
    pub embedding: usize,
    /// Adam's learning rate at first.
    pub learning_rate: f64,
    /// Windows a batch, at least 1.
    #[serde(rename = "mini_batch_size")]
    pub batch: usize,
    /// The most epochs.
    pub epochs: usize,
    /// Epochs without a new lowest loss that end the training.
    #[serde(rename = "early_stopping_patience")]
    pub patience: Option<usize>,
    /// What stands for missing values.
    pub filling: Filling,
    /// Of every random choice.
    pub seed: u64,
}

impl ModelSettings {
    /// What must be at least 1.
    fn sizes(&self) -> [usize; 5] {
        [
            self.context_length,
            self.prediction_length,
            self.cells,
            self.layers,
            self.batch,
        ]
    }

    /// The settings of a training with these hyperparameters on series with these
    /// features. Missing values are sampled, as DeepAR does it.
    #[must_use]
    pub fn new(
        hyperparameters: &Hyperparameters,
        cardinality: &[u32],
        dynamic_features: usize,
        seed: u64,
    ) -> Self {
        Self {
            frequency: hyperparameters.time_freq,
            context_length: hyperparameters.context_length,
            prediction_length: hyperparameters.prediction_length,
            likelihood: hyperparameters.likelihood,
            cardinality: cardinality.to_vec(),
            dynamic_features,
            cells: hyperparameters.num_cells,
            layers: hyperparameters.num_layers,
            dropout: hyperparameters.dropout_rate,
            embedding: hyperparameters.embedding_dimension,
            learning_rate: hyperparameters.learning_rate,
            batch: hyperparameters.mini_batch_size,
            epochs: hyperparameters.epochs,
            patience: hyperparameters.early_stopping_patience,
            filling: Filling::Sampled,
            seed,
        }
    }

    /// The names of the settings that another training must share to be the same up
    /// to the number of its epochs, and does not.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        // Named one by one, so that the compiler asks for a new one here.
        let Self {
            frequency,
            context_length,
            prediction_length,
            likelihood,
            cardinality,
            dynamic_features,
            cells,
            layers,
            dropout,
            embedding,
            learning_rate,
            batch,
            epochs: _,
            patience: _,
            filling,
            seed,
        } = self;
        let differs = [
            ("time_freq", *frequency != other.frequency),
            ("context_length", *context_length != other.context_length),
            (
                "prediction_length",
                *prediction_length != other.prediction_length,
            ),
            ("likelihood", *likelihood != other.likelihood),
            ("cardinality", *cardinality != other.cardinality),
            (
                "num_dynamic_feat",
                *dynamic_features != other.dynamic_features,
            ),
            ("num_cells", *cells != other.cells),
            ("num_layers", *layers != other.layers),
            ("dropout_rate", *dropout != other.dropout),
            ("embedding_dimension", *embedding != other.embedding),
            ("learning_rate", *learning_rate != other.learning_rate),
            ("mini_batch_size", *batch != other.batch),
            ("filling of missing values", *filling != other.filling),
            ("_seed", *seed != other.seed),
        ];
        differs
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

/// The network of some settings, and where its inputs come from.
#[derive(Debug, Clone)]
struct Plan {
    inputs: Inputs,
    network: Network,
    cardinality: Vec<u32>,
    embedding: usize,
    likelihood: Likelihood,
    dropout: f64,
    filling: Filling,
    seed: u64,
}

impl Plan {
    fn new(settings: &ModelSettings, default_scale: f32) -> Self {
        let inputs = Inputs {
            frequency: settings.frequency,
            lags: settings.frequency.lags(),
            dynamic_features: settings.dynamic_features,
            context: settings.context_length,
            prediction: settings.prediction_length,
            scaled: settings.likelihood.is_scaled(),
            default_scale,
        };
        let network = Network::new(Shape {
            dynamic: inputs.width(),
            fixed: 1 + settings.cardinality.len() * settings.embedding,
            units: settings.cells,
            layers: settings.layers,
            outputs: settings.likelihood.parameter_count(),
        });
        Self {
            inputs,
            network,
            cardinality: settings.cardinality.clone(),
            embedding: settings.embedding,
            likelihood: settings.likelihood,
            dropout: settings.dropout,
            filling: settings.filling,
            seed: settings.seed,
        }
    }

    /// Numbers of the network and, after them, of the embeddings: feature after
    /// feature, category after category.
    fn size(&self) -> usize {
        let categories: usize = self.cardinality.iter().map(|n| *n as usize).sum();
        self.network.size() + categories * self.embedding
    }

    fn initial<T: Real>(&self, random: &mut Random) -> Vec<T> {
        let mut weights = self.network.initial(random);
        for categories in &self.cardinality {
            let sum = f64::from(*categories) + count(self.embedding);
            let limit = (6.0 / sum).sqrt();
            let numbers = *categories as usize * self.embedding;
            weights.extend((0..numbers).map(|_| T::of((2.0 * random.unit() - 1.0) * limit)));
        }
        weights
    }

    /// Where the embedding of each categorical feature's category is.
    fn embeddings<'a>(
        &'a self,
        cat: &'a [u32],
    ) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        let mut at = self.network.size();
        self.cardinality
            .iter()
            .zip(cat)
            .map(move |(categories, category)| {
                let here = at + *category as usize * self.embedding;
                at += *categories as usize * self.embedding;
                here..here + self.embedding
            })
    }

    /// Writes the inputs that are the same at each step of a window.
    fn write_fixed<T: Real>(&self, weights: &[T], cat: &[u32], scale: f32, row: &mut [T]) {
        row[0] = T::of(f64::from(scale).ln());
        let places = row[1..].chunks_exact_mut(self.embedding.max(1));
        for (place, embedding) in places.zip(self.embeddings(cat)) {
            place.copy_from_slice(&weights[embedding]);
        }
    }

    fn steps(&self) -> usize {
        self.inputs.context + self.inputs.prediction
    }
}

/// A trained network.
#[derive(Debug, Clone)]
pub struct Model {
    settings: ModelSettings,
    plan: Plan,
    weights: Vec<f32>,
    training: Summary,
}

/// How a model was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Epochs that were finished.
    pub epochs: usize,
    /// The epoch, from 0, whose weights the model has: the one with the lowest loss
    /// of the scaled values.
    pub best_epoch: usize,
    /// That epoch's mean loss a point.
    pub loss: f64,
    /// Windows that were learned from.
    pub windows: u64,
    /// Series that were long enough to learn from.
    pub series: usize,
}

impl Model {
    /// What the model is made for and how it was trained.
    #[must_use]
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// How the training went.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.training
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
