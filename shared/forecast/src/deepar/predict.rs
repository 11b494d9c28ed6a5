//! Prediction by ancestral sampling: the network is unrolled over the context, then
//! each sample's path goes on by itself, every value drawn being an input of the
//! next steps.
//!
//! The random numbers of a sample are drawn for a key of the model's seed, the
//! series' content and the sample's number. So a forecast depends on nothing but
//! the model and its own series: neither on its place among others nor on threads.

use pipewright_matmul::parallel;
use pipewright_matmul::random::Random;
use thiserror::Error;

use super::network::{Part, Zoneout};
use super::train::{Purpose, random, raw_at};
use super::window::{Filling, Track, Window};
use super::{Model, count};
use crate::score::sample_quantile;
use crate::series::Series;

/// Samples that are drawn together: enough for a fast product, few enough that two threads
/// share the usual 100, and that a million need no more memory than their own.
const BLOCK: usize = 50;

/// Why a series cannot be forecast.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The series has another number of categorical features than the model.
    #[error(
        "`cat` has {given} value(s), but the model was trained with {wanted}: give one category for each categorical feature"
    )]
    CatCount {
        /// Categories that the series has.
        given: usize,
        /// Those that it must have.
        wanted: usize,
    },
    /// A category that did not occur in training.
    #[error(
        "`cat[{feature}]` is {category}, but the model was trained with categories 0 to {greatest}"
    )]
    UnknownCategory {
        /// The categorical feature, from 0.
        feature: usize,
        /// The category.
        category: u32,
        /// The greatest that the model knows.
        greatest: u32,
    },
    /// The series has another number of dynamic features than the model.
    #[error("`dynamic_feat` has {given} list(s), but the model was trained with {wanted}")]
    FeatureCount {
        /// Dynamic features that the series has.
        given: usize,
        /// Those that it must have.
        wanted: usize,
    },
    /// A dynamic feature does not reach to the forecast's end.
    #[error(
        "`dynamic_feat[{feature}]` has {given} values, but needs {wanted}: one for each point of the target and for each of the {prediction_length} points to forecast"
    )]
    FeatureLength {
        /// The dynamic feature, from 0.
        feature: usize,
        /// Its values.
        given: usize,
        /// Those that it must have.
        wanted: usize,
        /// Points that are forecast.
        prediction_length: usize,
    },
    /// No sample was asked for.
    #[error("`num_samples` is 0: at least one sample is needed")]
    NoSamples,
}

/// A forecast: samples of the joint distribution of the next points.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Points of each sample.
    length: usize,
    /// `[samples][length]`.
    samples: Vec<f32>,
}

impl Prediction {
    /// A forecast of given samples, each of the same length, at least one.
    #[cfg(test)]
    pub(super) fn of(samples: Vec<Vec<f32>>) -> Self {
        Self {
            length: samples[0].len(),
            samples: samples.concat(),
        }
    }

    /// The samples, each a path over the next points.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.samples.chunks_exact(self.length)
    }

    /// The mean of the samples of each point.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.length];
        for sample in self.samples() {
            for (sum, value) in sums.iter_mut().zip(sample) {
                *sum += f64::from(*value);
            }
        }
        let samples = count(self.samples().len());
        sums.into_iter().map(|sum| sum / samples).collect()
    }

    /// Quantiles, `sorted[round((n - 1) level)]`, of each point: a list for each
    /// level.
    #[must_use]
    pub fn quantiles(&self, levels: &[f64]) -> Vec<Vec<f64>> {
        let mut quantiles = vec![Vec::with_capacity(self.length); levels.len()];
        let mut sorted: Vec<f32> = Vec::new();
        for point in 0..self.length {
            sorted.clear();
            sorted.extend(self.samples().map(|sample| sample[point]));
            sorted.sort_unstable_by(f32::total_cmp);
            for (values, level) in quantiles.iter_mut().zip(levels) {
                values.extend(sample_quantile(&sorted, *level).map(f64::from));
            }
        }
        quantiles
    }
}

impl Model {
    /// Forecasts the `prediction_length` points after the end of a series, by
    /// `samples` samples. A target that is empty, or shorter than the context, is a
    /// cold start: what the network knows is the calendar and the features.
    ///
    /// # Errors
    /// [`PredictError`] if the series does not fit the model.
    pub fn predict(&self, series: &Series, samples: usize) -> Result<Prediction, PredictError> {
        self.predict_by(series, samples, 1)
    }

    /// How many threads can share the work of so many samples.
    #[must_use]
    pub fn most_threads(samples: usize) -> usize {
        samples.div_ceil(BLOCK)
    }

    /// [`Self::predict`], by up to `threads` threads.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_by(
        &self,
        series: &Series,
        samples: usize,
        threads: usize,
    ) -> Result<Prediction, PredictError> {
        self.check(series)?;
        if samples == 0 {
            return Err(PredictError::NoSamples);
        }
        let key = content(series);
        let fill = self.settings.likelihood.fill();
        let track = Track::new(series.clone(), self.settings.filling, fill);
        let window = self.plan.inputs.window(&track, track.len());
        let paths = Paths::new(self, &track, window, key);
        let length = self.settings.prediction_length;
        let mut prediction = Prediction {
            length,
            samples: vec![0.0; samples * length],
        };
        let blocks = prediction.samples.chunks_mut(BLOCK * length);
        let threads = threads.clamp(1, blocks.len());
        let mut workers: Vec<Block> = (0..threads).map(|_| Block::default()).collect();
        parallel::for_each(
            &mut workers,
            blocks.enumerate(),
            |block, (number, drawn)| {
                paths.draw(block, number * BLOCK, drawn);
            },
        );
        Ok(prediction)
    }

    /// [`Self::predict`] for each series, by up to `threads` threads.
    pub fn predict_all(
        &self,
        series: &[Series],
        samples: usize,
        threads: usize,
    ) -> Vec<Result<Prediction, PredictError>> {
        let predict = |i: usize| self.predict(&series[i], samples);
        parallel::map(series.len(), threads, predict, &mut |_, _| ())
    }

    fn check(&self, series: &Series) -> Result<(), PredictError> {
        let settings = &self.settings;
        if series.cat.len() != settings.cardinality.len() {
            return Err(PredictError::CatCount {
                given: series.cat.len(),
                wanted: settings.cardinality.len(),
            });
        }
        for (feature, (category, categories)) in
            series.cat.iter().zip(&settings.cardinality).enumerate()
        {
            if category >= categories {
                return Err(PredictError::UnknownCategory {
                    feature,
                    category: *category,
                    greatest: categories.saturating_sub(1),
                });
            }
        }
        if series.dynamic_feat.len() != settings.dynamic_features {
            return Err(PredictError::FeatureCount {
                given: series.dynamic_feat.len(),
                wanted: settings.dynamic_features,
            });
        }
        let wanted = series.target.len() + settings.prediction_length;
        let wrong = |(_, values): &(usize, &Vec<f32>)| values.len() != wanted;
        match series.dynamic_feat.iter().enumerate().find(wrong) {
            None => Ok(()),
            Some((feature, values)) => Err(PredictError::FeatureLength {
                feature,
                given: values.len(),
                wanted,
                prediction_length: settings.prediction_length,
            }),
        }
    }
}

/// A number that differs for series that differ.
fn content(series: &Series) -> u64 {
    let words = [series.start.0.cast_unsigned()]
        .into_iter()
        .chain(series.target.iter().map(|value| u64::from(value.to_bits())))
        .chain(series.cat.iter().map(|category| u64::from(*category)));
    words.fold(0, |hash, word| Random::keyed(&[hash, word]).bits())
}

/// The paths of one series' samples.
struct Paths<'a> {
    model: &'a Model,
    track: &'a Track,
    window: Window,
    key: u64,
    /// The context, computed once; `None` where each sample has values of its own
    /// in it.
    context: Option<Part<f32>>,
}

/// The paths that are drawn together.
#[derive(Default)]
struct Block {
    part: Part<f32>,
    /// Each path's values over the whole window, `[rows][steps]`.
    values: Vec<f32>,
}

impl<'a> Paths<'a> {
    fn new(model: &'a Model, track: &'a Track, window: Window, key: u64) -> Self {
        let steps = model.settings.context_length;
        let has_missing = (0..steps).any(|step| track.is_missing(window.from, step));
        let mut paths = Self {
            model,
            track,
            window,
            key,
            context: None,
        };
        if !has_missing || model.settings.filling != Filling::Sampled {
            let mut one = Block::default();
            paths.start(&mut one, 1, steps);
            for step in 0..steps {
                paths.write_inputs(&mut one, step, step);
            }
            let plan = &model.plan;
            one.part.forward(&plan.network, &model.weights, 0..steps);
            paths.context = Some(one.part);
        }
        paths
    }

    /// Makes room for `rows` paths, of which the network computes `steps` steps.
    fn start(&self, block: &mut Block, rows: usize, steps: usize) {
        let plan = &self.model.plan;
        let all = plan.steps();
        let Block { part, values } = block;
        part.prepare(&plan.network, rows, steps);
        let zoneout = Zoneout::Expected(plan.dropout);
        part.zone_out(&plan.network, zoneout, &mut Random::new(0));
        for row in part.fixed.chunks_exact_mut(plan.network.shape().fixed) {
            plan.write_fixed(
                &self.model.weights,
                self.track.cat(),
                self.window.scale,
                row,
            );
        }
        values.clear();
        for _ in 0..rows {
            let from = self.window.from;
            values.extend((0..all).map(|step| self.track.filled(from, step)));
        }
    }

    /// Writes the inputs of step `step` of the window as step `to` of the part.
    fn write_inputs(&self, block: &mut Block, step: usize, to: usize) {
        let plan = &self.model.plan;
        let width = plan.network.shape().dynamic;
        let Block { part, values } = block;
        let at = to * part.rows() * width;
        let rows = part.dynamic[at..].chunks_exact_mut(width);
        for (row, values) in rows.zip(values.chunks_exact(plan.steps())) {
            plan.inputs
                .write(self.track, self.window, step, |before| values[before], row);
        }
    }

    /// Draws the samples from number `first` on, `[rows][length]`.
    fn draw(&self, block: &mut Block, first: usize, drawn: &mut [f32]) {
        let plan = &self.model.plan;
        let (context, all) = (plan.inputs.context, plan.steps());
        let rows = drawn.len() / (all - context);
        // The window's step that is the part's first.
        let begin = if self.context.is_some() { context } else { 0 };
        self.start(block, rows, all - begin);
        if let Some(computed) = &self.context {
            computed.continue_in(&mut block.part, context);
        }
        let mut randoms: Vec<Random> = (first..first + rows)
            .map(|sample| {
                let key = usize::try_from(self.key >> 1).unwrap_or(usize::MAX);
                random(plan.seed, Purpose::Prediction, [key, sample, 0])
            })
            .collect();
        let scale = f64::from(self.window.scale);
        for step in begin..all {
            let to = step - begin;
            self.write_inputs(block, step, to);
            let part = &mut block.part;
            part.forward(&plan.network, &self.model.weights, to..to + 1);
            if step < context && !self.track.is_missing(self.window.from, step) {
                continue;
            }
            for (row, random) in randoms.iter_mut().enumerate() {
                let raw = raw_at(part, plan, to, row);
                let sample = plan.likelihood.sample(raw, scale, random);
                #[expect(clippy::cast_possible_truncation, reason = "values are f32")]
                let sample = sample as f32;
                block.values[row * all + step] = sample;
            }
        }
        let paths = block.values.chunks_exact(all);
        for (drawn, values) in drawn.chunks_exact_mut(all - context).zip(paths) {
            drawn.copy_from_slice(&values[context..]);
        }
    }
}
