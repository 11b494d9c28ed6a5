//! Training: windows drawn at random, Adam, and the best epoch's weights kept.
//!
//! **Windows.** With `n` series and batches of `B` windows, an epoch has about 10
//! batches if `n < 10 B`: `K = ceil(10 B / n)` passes, in each of which a series
//! takes part with probability `10 B / (n K)`; with more series it is one pass. In
//! a pass a series gives each window that it has with probability `1 / m`, where
//! `m` is the mean number of windows of a series: one window a series on average.
//!
//! **Loss.** `-ln p` of each observed point of a window, the context's included,
//! averaged over the window's observed points, then over the batch; an epoch's
//! loss is the mean of its batches'. It depends on which windows were drawn: those
//! of a series ten times as large have a loss higher by ln 10. So epochs are compared
//! by the loss of the scaled values ([`Likelihood::comparable`]): the best epoch, the
//! patience and the learning rate go by that.
//!
//! **Weights.** A model has the moving average of the weights (Polyak and Juditsky
//! 1992), with a share of `(1 + t) / (30 + t)`, at most 0.99, kept at step `t`: at a
//! constant learning rate the last weights alone are a noisy choice.
//!
//! **Step.** Adam (Kingma and Ba 2015, as PyTorch computes it) with weight decay of
//! 1e-8, along the gradient clipped to a norm of 10. The learning rate is halved
//! after [`STALLED`] epochs without a lower loss, down to [`LEAST_RATE`].
//!
//! Every random number is drawn for a key: the seed, the epoch, the batch, the row
//! and the purpose. A batch is differentiated in parts of [`PART_ROWS`] windows,
//! whose gradients are added in order. So the number of threads changes no bit.

use std::ops::ControlFlow;

use pipewright_matmul::random::Random;
use pipewright_matmul::{AdamStep, Element, Real, parallel};
use thiserror::Error;

use super::network::{Part, Zoneout};
use super::window::{Filling, Track, Window};
use super::{Model, ModelSettings, Plan, Summary, count};
use crate::likelihood::MOST_PARAMETERS;
use crate::series::Series;

/// Batches of an epoch of few series.
const BATCHES: usize = 10;
/// Windows that are differentiated together.
const PART_ROWS: usize = 32;
const WEIGHT_DECAY: f64 = 1e-8;
const GREATEST_NORM: f64 = 10.0;
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// The most that a step leaves of the moving average of the weights.
const AVERAGED: f64 = 0.99;
/// The larger, the shorter is the average that young weights are part of.
const YOUNG: f64 = 30.0;
/// Epochs without a lower loss that halve the learning rate.
pub(super) const STALLED: usize = 10;
/// The learning rate is not halved below it.
pub(super) const LEAST_RATE: f64 = 5e-5;

/// What random numbers are drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Weights,
    Windows,
    Order,
    Zoneout,
    Filling,
    Validation,
    Prediction,
}

pub(super) fn random(seed: u64, purpose: Purpose, key: [usize; 3]) -> Random {
    let [a, b, c] = key.map(|word| word as u64);
    Random::keyed(&[seed, purpose as u64, a, b, c])
}

/// Why no model could be trained.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// No series has a window.
    #[error(
        "none of the {series} series has prediction_length = {prediction_length} points: give longer series or a smaller prediction_length"
    )]
    NoWindows {
        /// Series that were given.
        series: usize,
        /// Points that a window must have.
        prediction_length: usize,
    },
    /// There is nothing to learn from.
    #[error(
        "the training series have no observed value but 0: there is nothing to learn from; give series with values"
    )]
    OnlyZeros,
    /// The loss is not a number any more.
    #[error(
        "the loss of epoch {epoch}, batch {batch} is {loss}: with likelihood {likelihood} and learning_rate {learning_rate} the training does not converge; try a smaller learning_rate, or another likelihood"
    )]
    Diverged {
        /// The epoch, from 0.
        epoch: usize,
        /// The batch, from 0.
        batch: usize,
        /// The loss, or the gradient's norm.
        loss: f64,
        /// The distribution.
        likelihood: crate::hyperparameters::Likelihood,
        /// The learning rate at that moment.
        learning_rate: f64,
    },
    /// The checkpoint belongs to another training.
    #[error(
        "the checkpoint is of another training, which has another {what}; remove it to start anew"
    )]
    OtherCheckpoint {
        /// What differs.
        what: String,
    },
}

/// A batch that was learned from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchReport {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The batch of the epoch, from 0.
    pub batch: usize,
    /// Its windows.
    pub windows: usize,
    /// Its loss before the step.
    pub loss: f64,
}

/// An epoch that was finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Its windows.
    pub windows: usize,
    /// The mean of its batches' losses.
    pub loss: f64,
    /// Whether no epoch before it had a loss of the scaled values as low.
    pub is_best: bool,
}

/// Where a training stands between two epochs; all that is needed to go on with
/// it, to the bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(super) settings: ModelSettings,
    pub(super) default_scale: f32,
    pub(super) weights: Vec<f32>,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) average: Vec<f32>,
    pub(super) best: Vec<f32>,
    /// The lowest comparable loss of an epoch.
    pub(super) lowest: Option<f64>,
    pub(super) learning_rate: f64,
    pub(super) steps: u64,
    pub(super) stalled: usize,
    pub(super) since_best: usize,
    pub(super) summary: Option<Summary>,
    pub(super) epochs: usize,
    pub(super) windows: u64,
}

impl Checkpoint {
    /// Of every random choice of the training.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// Epochs that were finished.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.epochs
    }
}

/// A training.
#[derive(Debug)]
pub struct Trainer {
    plan: Plan,
    tracks: Vec<Track>,
    state: Checkpoint,
    results: Vec<PartResult<f32>>,
    workers: Vec<Worker<f32>>,
}

/// The losses of some windows: their sums, or means.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    /// In the units of the targets.
    reported: f64,
    /// Of the scaled values.
    comparable: f64,
    /// How many windows have an observed point.
    windows: usize,
}

impl Losses {
    fn divided_by(self, number: usize) -> Self {
        Self {
            reported: self.reported / count(number),
            comparable: self.comparable / count(number),
            windows: self.windows,
        }
    }
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.reported += other.reported;
        self.comparable += other.comparable;
        self.windows += other.windows;
    }
}

/// A part's gradient and its windows' losses.
#[derive(Debug, Default)]
struct PartResult<T> {
    gradient: Vec<T>,
    losses: Losses,
}

impl Trainer {
    /// A training on series; those shorter than `prediction_length` are left out.
    /// `threads` work at it.
    ///
    /// # Errors
    /// [`TrainError::NoWindows`] and [`TrainError::OnlyZeros`].
    ///
    /// # Panics
    /// If a setting is 0 that must not be, or a series' categories or dynamic
    /// features are not those of the settings.
    pub fn new(
        settings: ModelSettings,
        series: Vec<Series>,
        threads: usize,
    ) -> Result<Self, TrainError> {
        assert!(settings.batch > 0, "a batch has at least one window");
        assert!(settings.context_length > 0 && settings.prediction_length > 0);
        assert!(settings.cells > 0 && settings.layers > 0);
        let given = series.len();
        let fill = settings.likelihood.fill();
        let tracks: Vec<Track> = series
            .into_iter()
            .filter(|series| series.target.len() >= settings.prediction_length)
            .map(|series| {
                assert_eq!(series.cat.len(), settings.cardinality.len());
                assert_eq!(series.dynamic_feat.len(), settings.dynamic_features);
                Track::new(series, settings.filling, fill)
            })
            .collect();
        if tracks.is_empty() {
            return Err(TrainError::NoWindows {
                series: given,
                prediction_length: settings.prediction_length,
            });
        }
        let default_scale = mean_size(&tracks).ok_or(TrainError::OnlyZeros)?;
        let plan = Plan::new(&settings, default_scale);
        let weights: Vec<f32> = plan.initial(&mut random(settings.seed, Purpose::Weights, [0; 3]));
        let zeros = vec![0.0; weights.len()];
        let state = Checkpoint {
            default_scale,
            first: zeros.clone(),
            second: zeros,
            average: weights.clone(),
            best: weights.clone(),
            lowest: None,
            weights,
            learning_rate: settings.learning_rate,
            steps: 0,
            stalled: 0,
            since_best: 0,
            summary: None,
            epochs: 0,
            windows: 0,
            settings,
        };
        Ok(Self {
            plan,
            tracks,
            state,
            results: Vec::new(),
            workers: (0..threads.max(1)).map(|_| Worker::default()).collect(),
        })
    }

    /// Goes on from a checkpoint of the same training on the same series.
    ///
    /// # Errors
    /// [`TrainError::OtherCheckpoint`] if its settings or series are others. The
    /// number of epochs and the patience may differ.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<(), TrainError> {
        let here = &self.state.settings;
        let mut differing = here.differences(&checkpoint.settings);
        if checkpoint.default_scale.to_bits() != self.state.default_scale.to_bits() {
            differing.push("training data");
        }
        if !differing.is_empty() {
            return Err(TrainError::OtherCheckpoint {
                what: differing.join(", "),
            });
        }
        self.state = Checkpoint {
            settings: here.clone(),
            ..checkpoint
        };
        Ok(())
    }

    /// Where the training stands, after its last whole epoch.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.state
    }

    /// Epochs that were finished.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.state.epochs
    }

    /// How many passes over the series an epoch makes, and the probability that a
    /// series takes part in one.
    #[must_use]
    pub fn passes(&self) -> (usize, f64) {
        passes_of(self.tracks.len(), self.state.settings.batch)
    }

    /// Whether there is no epoch left, or the loss has not been lower for
    /// `patience` epochs.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.epochs >= self.state.settings.epochs || self.has_stopped_early()
    }

    /// Whether the loss has not been lower for `patience` epochs.
    #[must_use]
    pub fn has_stopped_early(&self) -> bool {
        let patience = self.state.settings.patience;
        patience.is_some_and(|patience| self.state.since_best >= patience)
    }

    /// Learns from an epoch's windows. `on_batch` is called after each batch and
    /// may break the epoch off, which is then as if it had not begun, and gives
    /// `None`.
    ///
    /// # Errors
    /// [`TrainError::Diverged`].
    pub fn epoch(
        &mut self,
        on_batch: &mut dyn FnMut(BatchReport) -> ControlFlow<()>,
    ) -> Result<Option<EpochReport>, TrainError> {
        let before = self.state.clone();
        let epoch = self.state.epochs;
        let windows = self.draw(epoch);
        let size = self.state.settings.batch;
        let mut sum = Losses::default();
        for (batch, windows) in windows.chunks(size).enumerate() {
            let loss = self.batch(epoch, batch, windows)?;
            sum += loss;
            let report = BatchReport {
                epoch,
                batch,
                windows: windows.len(),
                loss: loss.reported,
            };
            if on_batch(report).is_break() {
                self.state = before;
                return Ok(None);
            }
        }
        let loss = sum.divided_by(windows.len().div_ceil(size));
        Ok(Some(self.end_epoch(epoch, windows.len(), loss)))
    }

    fn end_epoch(&mut self, epoch: usize, windows: usize, loss: Losses) -> EpochReport {
        let state = &mut self.state;
        state.epochs = epoch + 1;
        state.windows += windows as u64;
        let is_best = state.lowest.is_none_or(|lowest| loss.comparable < lowest);
        if is_best {
            state.lowest = Some(loss.comparable);
            state.best.clone_from(&state.average);
            (state.stalled, state.since_best) = (0, 0);
        } else {
            state.stalled += 1;
            state.since_best += 1;
            if state.stalled >= STALLED {
                state.stalled = 0;
                let halved = (state.learning_rate / 2.0).max(LEAST_RATE);
                state.learning_rate = state.learning_rate.min(halved);
            }
        }
        let best = state.summary.take().filter(|_| !is_best);
        state.summary = Some(Summary {
            epochs: state.epochs,
            best_epoch: best.as_ref().map_or(epoch, |best| best.best_epoch),
            loss: best.as_ref().map_or(loss.reported, |best| best.loss),
            windows: state.windows,
            series: self.tracks.len(),
        });
        EpochReport {
            epoch,
            windows,
            loss: loss.reported,
            is_best,
        }
    }

    /// The model of the best epoch; `None` before the first is finished.
    #[must_use]
    pub fn model(&self) -> Option<Model> {
        Some(Model {
            settings: self.state.settings.clone(),
            plan: self.plan.clone(),
            weights: self.state.best.clone(),
            training: self.state.summary.clone()?,
        })
    }

    /// The loss of the last window of each of some series, which are not learned
    /// from, with the average of the weights as it is now; `None` if no window has an observed
    /// point.
    #[must_use]
    pub fn validate(&mut self, series: &[Series]) -> Option<f64> {
        let settings = &self.state.settings;
        let fill = settings.likelihood.fill();
        let tracks: Vec<Track> = series
            .iter()
            .filter(|series| series.target.len() >= settings.prediction_length)
            .map(|series| Track::new(series.clone(), settings.filling, fill))
            .collect();
        let cut: Vec<Cut> = tracks
            .iter()
            .enumerate()
            .map(|(i, track)| Cut {
                track: i,
                at: track.len() - settings.prediction_length,
            })
            .collect();
        let mut results = vec![Losses::default(); cut.len().div_ceil(PART_ROWS)];
        let plan = &self.plan;
        let job = Job {
            plan,
            tracks: &tracks,
            weights: &self.state.average,
        };
        parallel::for_each(
            &mut self.workers,
            cut.chunks(PART_ROWS).enumerate().zip(&mut results),
            |worker, ((part, cut), result)| {
                worker.take(&job, cut);
                worker.part.zone_out(
                    &plan.network,
                    Zoneout::Expected(plan.dropout),
                    &mut Random::new(0),
                );
                worker.fillers.clear();
                worker.fillers.extend(
                    (0..cut.len())
                        .map(|row| random(plan.seed, Purpose::Validation, [0, part, row])),
                );
                worker.forward(&job);
                *result = worker.losses(&job, None);
            },
        );
        let mut sum = Losses::default();
        for losses in results {
            sum += losses;
        }
        (sum.windows > 0).then(|| sum.reported / count(sum.windows))
    }

    /// The windows of an epoch, in the order in which they are learned from.
    fn draw(&self, epoch: usize) -> Vec<Cut> {
        let settings = &self.state.settings;
        let series = self.tracks.len();
        let (passes, share) = self.passes();
        let windows_of = |track: &Track| track.len() - settings.prediction_length + 1;
        let mean = self
            .tracks
            .iter()
            .map(|t| count(windows_of(t)))
            .sum::<f64>()
            / count(series);
        let mut cuts = Vec::new();
        for pass in 0..passes {
            for (i, track) in self.tracks.iter().enumerate() {
                let mut random = random(settings.seed, Purpose::Windows, [epoch, pass, i]);
                if random.unit() >= share {
                    continue;
                }
                each_with_probability(windows_of(track), 1.0 / mean, &mut random, |at| {
                    cuts.push(Cut { track: i, at });
                });
            }
        }
        if cuts.is_empty() {
            // Of few windows none may have been drawn: an epoch has at least one.
            let mut random = random(settings.seed, Purpose::Windows, [epoch, passes, 0]);
            let track = below(series, &mut random);
            let at = below(windows_of(&self.tracks[track]), &mut random);
            cuts.push(Cut { track, at });
        }
        random(settings.seed, Purpose::Order, [epoch, 0, 0]).shuffle(&mut cuts);
        cuts
    }

    /// Learns from a batch, and gives its loss before that.
    fn batch(&mut self, epoch: usize, batch: usize, cuts: &[Cut]) -> Result<Losses, TrainError> {
        let parts = cuts.len().div_ceil(PART_ROWS);
        if self.results.len() < parts {
            self.results.resize_with(parts, PartResult::default);
        }
        let job = Job {
            plan: &self.plan,
            tracks: &self.tracks,
            weights: &self.state.weights,
        };
        parallel::for_each(
            &mut self.workers,
            cuts.chunks(PART_ROWS).enumerate().zip(&mut self.results),
            |worker, ((part, part_cuts), result)| {
                let place = Place { epoch, batch, part };
                worker.differentiate(&job, part_cuts, cuts.len(), place, result);
            },
        );
        let (sum, rest) = self.results[..parts].split_at_mut(1);
        let gradient = &mut sum[0].gradient;
        for part in &*rest {
            for (sum, value) in gradient.iter_mut().zip(&part.gradient) {
                *sum += *value;
            }
        }
        let mut losses = sum[0].losses;
        for part in rest {
            losses += part.losses;
        }
        let loss = losses.divided_by(cuts.len());
        let norm = adjust(&mut sum[0].gradient, &self.state.weights);
        if !loss.reported.is_finite() || !norm.is_finite() {
            return Err(TrainError::Diverged {
                epoch,
                batch,
                loss: if loss.reported.is_finite() {
                    norm
                } else {
                    loss.reported
                },
                likelihood: self.plan.likelihood,
                learning_rate: self.state.learning_rate,
            });
        }
        self.step();
        Ok(loss)
    }

    /// A step of the optimiser along the first part's gradient.
    fn step(&mut self) {
        let state = &mut self.state;
        state.steps += 1;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let t = state.steps as f64;
        let correction = (1.0 - BETA_2.powf(t)).sqrt();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "constants of a step in f32"
        )]
        let step = AdamStep {
            rate: (state.learning_rate * correction / (1.0 - BETA_1.powf(t))) as f32,
            first_weight: (1.0 - BETA_1) as f32,
            second_weight: (1.0 - BETA_2) as f32,
            epsilon: (EPSILON * correction) as f32,
        };
        let gradient = &self.results[0].gradient;
        f32::adam(
            &mut state.weights,
            gradient,
            &mut state.first,
            &mut state.second,
            step,
        );
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let share = (1.0 - AVERAGED.min((1.0 + t) / (YOUNG + t))) as f32;
        for (average, weight) in state.average.iter_mut().zip(&state.weights) {
            *average += share * (*weight - *average);
        }
    }
}

/// A window of a track; `at` is its first predicted point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    track: usize,
    at: usize,
}

/// Which part of which batch.
#[derive(Debug, Clone, Copy)]
struct Place {
    epoch: usize,
    batch: usize,
    part: usize,
}

/// What every part of a batch is computed from.
#[derive(Debug)]
struct Job<'a, T> {
    plan: &'a Plan,
    tracks: &'a [Track],
    weights: &'a [T],
}

/// Buffers of a thread.
#[derive(Debug, Default)]
struct Worker<T> {
    part: Part<T>,
    cuts: Vec<Cut>,
    windows: Vec<Window>,
    /// The windows' own values, missing ones filled, `[rows][steps]`.
    values: Vec<f32>,
    /// Of each row, for its samples.
    fillers: Vec<Random>,
}

impl<T: Real> Worker<T> {
    /// Takes windows and writes what of their inputs is known.
    fn take(&mut self, job: &Job<T>, cuts: &[Cut]) {
        let Job {
            plan,
            tracks,
            weights,
        } = *job;
        let steps = plan.steps();
        self.part.prepare(&plan.network, cuts.len(), steps);
        self.cuts.clear();
        self.cuts.extend_from_slice(cuts);
        self.windows.clear();
        self.values.clear();
        let fixed = plan.network.shape().fixed;
        let rows = self.part.fixed.chunks_exact_mut(fixed);
        for (cut, row) in cuts.iter().zip(rows) {
            let track = &tracks[cut.track];
            let window = plan.inputs.window(track, cut.at);
            self.windows.push(window);
            self.values
                .extend((0..steps).map(|step| track.filled(window.from, step)));
            plan.write_fixed(weights, track.cat(), window.scale, row);
        }
    }

    /// Writes the dynamic inputs of a step of each window.
    fn write_inputs(&mut self, job: &Job<T>, step: usize) {
        let Job { plan, tracks, .. } = *job;
        let steps = plan.steps();
        let width = plan.network.shape().dynamic;
        let at = step * self.cuts.len() * width;
        let rows = self.part.dynamic[at..].chunks_exact_mut(width);
        for ((row, cut), (window, values)) in rows
            .zip(&self.cuts)
            .zip(self.windows.iter().zip(self.values.chunks_exact(steps)))
        {
            let track = &tracks[cut.track];
            plan.inputs
                .write(track, *window, step, |before| values[before], row);
        }
    }

    /// Computes all steps of the windows. Where missing values are sampled, one
    /// step after the other.
    fn forward(&mut self, job: &Job<T>) {
        let Job {
            plan,
            tracks,
            weights,
        } = *job;
        let steps = plan.steps();
        let is_missing = |cut: &Cut, window: &Window| {
            (0..steps).any(|step| tracks[cut.track].is_missing(window.from, step))
        };
        let mut windows = self.cuts.iter().zip(&self.windows);
        let is_sampled = plan.filling == Filling::Sampled
            && windows.any(|(cut, window)| is_missing(cut, window));
        if !is_sampled {
            for step in 0..steps {
                self.write_inputs(job, step);
            }
            self.part.forward(&plan.network, weights, 0..steps);
            return;
        }
        for step in 0..steps {
            self.write_inputs(job, step);
            self.part.forward(&plan.network, weights, step..step + 1);
            for row in 0..self.cuts.len() {
                let (track, window) = (&tracks[self.cuts[row].track], self.windows[row]);
                if track.is_missing(window.from, step) {
                    let raw = raw_at(&self.part, plan, step, row);
                    let scale = f64::from(window.scale);
                    let sample = plan.likelihood.sample(raw, scale, &mut self.fillers[row]);
                    #[expect(clippy::cast_possible_truncation, reason = "values are f32")]
                    let sample = sample as f32;
                    self.values[row * steps + step] = sample;
                }
            }
        }
    }

    /// The sum of the windows' losses.
    /// With `batch`, the windows of the whole batch, the gradient of the batch's
    /// mean loss by the raw numbers is written.
    fn losses(&mut self, job: &Job<T>, batch: Option<usize>) -> Losses {
        let Job { plan, tracks, .. } = *job;
        let (steps, rows) = (plan.steps(), self.cuts.len());
        let outputs = plan.network.shape().outputs;
        self.part.by_raw.fill(T::ZERO);
        let mut sum = Losses::default();
        for row in 0..rows {
            let (track, window) = (&tracks[self.cuts[row].track], self.windows[row]);
            let value_at = |step| track.observed_at(window.from, step);
            let observed = (0..steps).filter(|step| value_at(*step).is_some()).count();
            if observed == 0 {
                continue;
            }
            let scale = f64::from(window.scale);
            let weight = batch.map(|batch| 1.0 / (count(observed) * count(batch)));
            let mut window_sum = 0.0;
            for step in 0..steps {
                let Some(value) = value_at(step) else {
                    continue;
                };
                let raw = raw_at(&self.part, plan, step, row);
                let (loss, gradient) = plan.likelihood.loss(raw, f64::from(value), scale);
                window_sum += loss;
                if let Some(weight) = weight {
                    let at = (step * rows + row) * outputs;
                    for (place, slope) in
                        self.part.by_raw[at..at + outputs].iter_mut().zip(gradient)
                    {
                        *place = T::of(slope * weight);
                    }
                }
            }
            let loss = window_sum / count(observed);
            sum += Losses {
                reported: loss,
                comparable: plan.likelihood.comparable(loss, scale),
                windows: 1,
            };
        }
        sum
    }
}

/// The raw numbers for a step of a row of a part.
pub(super) fn raw_at<T: Real>(
    part: &Part<T>,
    plan: &Plan,
    step: usize,
    row: usize,
) -> [f64; MOST_PARAMETERS] {
    let outputs = plan.network.shape().outputs;
    let at = (step * part.rows() + row) * outputs;
    let mut raw = [0.0; MOST_PARAMETERS];
    for (raw, value) in raw.iter_mut().zip(&part.raw[at..at + outputs]) {
        *raw = value.to_f64();
    }
    raw
}

impl<T: Real> Worker<T> {
    /// The gradient of a part of a batch of `batch` windows, and its losses' sum.
    fn differentiate(
        &mut self,
        job: &Job<T>,
        cuts: &[Cut],
        batch: usize,
        place: Place,
        result: &mut PartResult<T>,
    ) {
        let Job {
            plan,
            tracks,
            weights,
        } = *job;
        let Place {
            epoch,
            batch: number,
            part,
        } = place;
        self.take(job, cuts);
        let mut zoneout = random(plan.seed, Purpose::Zoneout, [epoch, number, part]);
        self.part
            .zone_out(&plan.network, Zoneout::Drawn(plan.dropout), &mut zoneout);
        self.fillers.clear();
        self.fillers.extend((0..cuts.len()).map(|row| {
            random(
                plan.seed,
                Purpose::Filling,
                [epoch, number, part * PART_ROWS + row],
            )
        }));
        self.forward(job);
        result.losses = self.losses(job, Some(batch));
        result.gradient.clear();
        result.gradient.resize(weights.len(), T::ZERO);
        self.part
            .backward(&plan.network, weights, &mut result.gradient);
        let by_fixed = self.part.by_fixed.chunks_exact(plan.network.shape().fixed);
        for (cut, row) in cuts.iter().zip(by_fixed) {
            let slopes = row[1..].chunks_exact(plan.embedding.max(1));
            for (slopes, embedding) in slopes.zip(plan.embeddings(tracks[cut.track].cat())) {
                for (sum, slope) in result.gradient[embedding].iter_mut().zip(slopes) {
                    *sum += *slope;
                }
            }
        }
    }
}

/// Adds the weight decay to a gradient, clips its norm, and gives the norm before.
fn adjust(gradient: &mut [f32], weights: &[f32]) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "a constant")]
    let decay = WEIGHT_DECAY as f32;
    let mut squares = 0.0;
    for (slope, weight) in gradient.iter_mut().zip(weights) {
        *slope += decay * *weight;
        squares += f64::from(*slope) * f64::from(*slope);
    }
    let norm = squares.sqrt();
    if norm > GREATEST_NORM {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
        let share = (GREATEST_NORM / norm) as f32;
        for slope in gradient {
            *slope *= share;
        }
    }
    norm
}

/// The mean size of all observed values; `None` if all are 0 or missing.
fn mean_size(tracks: &[Track]) -> Option<f32> {
    let (mut sum, mut points) = (0.0, 0.0);
    for track in tracks {
        for value in (0..track.len()).filter_map(|point| track.observed(point)) {
            sum += f64::from(value.abs());
            points += 1.0;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "of values in f32")]
    let mean = (sum / points) as f32;
    (mean > 0.0).then_some(mean)
}

/// How often an epoch goes over so many series, and the probability with which each
/// takes part.
fn passes_of(series: usize, batch: usize) -> (usize, f64) {
    let wanted = BATCHES.saturating_mul(batch);
    if series >= wanted {
        return (1, 1.0);
    }
    let passes = wanted.div_ceil(series);
    (passes, count(wanted) / count(series * passes))
}

/// Calls `take` with each of `0..items` that is drawn, each with a probability:
/// the gaps between them are geometrically distributed.
fn each_with_probability(
    items: usize,
    probability: f64,
    random: &mut Random,
    mut take: impl FnMut(usize),
) {
    let mut item = 0;
    while item < items {
        if probability < 1.0 {
            let gap = ((1.0 - random.unit()).ln() / (1.0 - probability).ln()).floor();
            if gap >= count(items - item) {
                break;
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at least 0 and below the number of items"
            )]
            let gap = gap as usize;
            item += gap;
        }
        take(item);
        item += 1;
    }
}

/// A number below `limit`, which is not 0.
fn below(limit: usize, random: &mut Random) -> usize {
    let chosen = (u128::from(random.bits()) * limit as u128) >> 64;
    usize::try_from(chosen).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::calendar::Period;
    use crate::hyperparameters::Likelihood;

    /// The loss of some windows, its gradient, and each window's raw numbers at the
    /// last step.
    pub(in super::super) fn evaluate<T: Real>(
        plan: &Plan,
        tracks: &[Track],
        weights: &[T],
        cuts: &[(usize, usize)],
    ) -> (f64, Vec<T>, Vec<Vec<f64>>) {
        let cuts: Vec<Cut> = cuts.iter().map(|&(track, at)| Cut { track, at }).collect();
        let place = Place {
            epoch: 1,
            batch: 2,
            part: 0,
        };
        let job = Job {
            plan,
            tracks,
            weights,
        };
        let mut worker = Worker::default();
        let mut result = PartResult::default();
        worker.differentiate(&job, &cuts, cuts.len(), place, &mut result);
        let raw = (0..cuts.len())
            .map(|row| {
                let raw = raw_at(&worker.part, plan, plan.steps() - 1, row);
                raw[..plan.likelihood.parameter_count()].to_vec()
            })
            .collect();
        (
            result.losses.reported / count(cuts.len()),
            result.gradient,
            raw,
        )
    }

    fn settings(likelihood: Likelihood) -> ModelSettings {
        ModelSettings {
            frequency: "D".parse().unwrap(),
            context_length: 6,
            prediction_length: 3,
            likelihood,
            cardinality: vec![2, 3],
            dynamic_features: 1,
            cells: 5,
            layers: 3,
            dropout: 0.3,
            embedding: 2,
            learning_rate: 1e-3,
            batch: 4,
            epochs: 3,
            patience: None,
            filling: Filling::LastObserved,
            seed: 7,
        }
    }

    /// Counts between 1 and 30, or shares, with some missing.
    fn series(likelihood: Likelihood, length: usize, number: u32) -> Series {
        let target = (0..length).map(|t| {
            let wave = (0.7 * count(t) + f64::from(number)).sin();
            let value = match likelihood {
                Likelihood::Beta => 0.5 + 0.4 * wave,
                _ => (15.0 + 14.0 * wave).round(),
            };
            #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
            if t % 7 == 5 { f32::NAN } else { value as f32 }
        });
        Series {
            start: Period(18_000 + i64::from(number)),
            target: target.collect(),
            cat: vec![number % 2, number % 3],
            dynamic_feat: vec![(0..length).map(|t| (t as f32 * 0.3).cos()).collect()],
        }
    }

    /// 1e-6 of the largest slope: central differences in double precision are good
    /// to that. Zoneout's choices are the same at each evaluation.
    #[test]
    fn the_whole_gradient_is_that_of_central_differences() {
        for likelihood in Likelihood::ALL {
            let settings = settings(likelihood);
            let tracks: Vec<Track> = (0..4)
                .map(|i| Track::new(series(likelihood, 20, i), settings.filling, 0.0))
                .collect();
            let plan = Plan::new(&settings, 3.0);
            let mut weights: Vec<f64> = plan.initial(&mut Random::new(5));
            // One window begins before its series.
            let cuts = [(0, 10), (1, 17), (2, 2), (3, 12)];
            let loss_of = |weights: &[f64]| evaluate(&plan, &tracks, weights, &cuts).0;
            let (_, gradient, _) = evaluate(&plan, &tracks, &weights, &cuts);
            let largest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            assert!(largest > 1e-3);
            for i in 0..weights.len() {
                let weight = weights[i];
                let step = 1e-5;
                weights[i] = weight + step;
                let above = loss_of(&weights);
                weights[i] = weight - step;
                let below = loss_of(&weights);
                weights[i] = weight;
                let slope = (above - below) / (2.0 * step);
                assert!(
                    (gradient[i] - slope).abs() <= 1e-6 * largest,
                    "{likelihood}, weight {i}: {} {slope}",
                    gradient[i]
                );
            }
        }
    }

    /// The figures of DeepAR's own logs: 200 series and batches of 32 are two passes
    /// with a probability of 0.8, 14 and 64 are 46 with 0.9938, 106 and 64 are seven
    /// with 0.8625; an epoch has 10 batches' windows on average.
    #[test]
    fn an_epoch_has_the_passes_and_windows_of_the_contract() {
        for (series, batch, passes, share) in [
            (200, 32, 2, 0.8),
            (14, 64, 46, 0.993_788_819_875_776_4),
            (370, 64, 2, 640.0 / 740.0),
            (106, 64, 7, 640.0 / 742.0),
            (5_000, 64, 1, 1.0),
        ] {
            let (k, p) = passes_of(series, batch);
            assert_eq!(k, passes);
            assert!((p - share).abs() < 1e-15);
        }
        let settings = ModelSettings {
            batch: 32,
            ..settings(Likelihood::Gaussian)
        };
        let all: Vec<Series> = (0..200)
            .map(|i| series(Likelihood::Gaussian, 40 + (i as usize % 3) * 20, i))
            .collect();
        let trainer = Trainer::new(settings, all, 1).unwrap();
        let counts: Vec<f64> = (0..200).map(|e| count(trainer.draw(e).len())).collect();
        let mean = counts.iter().sum::<f64>() / 200.0;
        // The counts' deviation is about 18, so that of their mean is 1.3.
        assert!((mean - 320.0).abs() < 5.0, "{mean}");
        let least = counts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = counts.iter().copied().fold(0.0, f64::max);
        assert!(least < 300.0 && most > 340.0, "{least} {most}");
        // Longer series give more windows, and all their windows may be drawn.
        let cuts: Vec<Cut> = (0..200).flat_map(|e| trainer.draw(e)).collect();
        assert!(cuts.iter().any(|cut| cut.at == 0));
        assert!(cuts.iter().any(|cut| cut.at == 77));
        assert!(
            cuts.iter()
                .all(|cut| cut.at + 3 <= trainer.tracks[cut.track].len())
        );
    }

    /// A step's raw numbers stay the same whatever the target is from that step on.
    #[test]
    fn no_input_of_a_step_knows_its_target_or_a_later_one() {
        let settings = settings(Likelihood::StudentT);
        let plan = Plan::new(&settings, 3.0);
        let weights: Vec<f64> = plan.initial(&mut Random::new(5));
        // The scale is that of the context, so changes begin after it.
        let (at, context) = (12, settings.context_length);
        let raw = |from: usize| {
            let mut changed = series(Likelihood::StudentT, 20, 0);
            for value in &mut changed.target[from..] {
                *value += 100.0;
            }
            let tracks = [Track::new(changed, settings.filling, 0.0)];
            let job = Job {
                plan: &plan,
                tracks: &tracks,
                weights: &weights,
            };
            let mut worker = Worker::default();
            worker.take(&job, &[Cut { track: 0, at }]);
            worker.forward(&job);
            worker.part.raw
        };
        let unchanged = raw(20);
        let outputs = settings.likelihood.parameter_count();
        for step in context..plan.steps() {
            let changed = raw(at - context + step);
            let known = (step + 1) * outputs;
            assert_eq!(changed[..known], unchanged[..known]);
            if step + 1 < plan.steps() {
                assert_ne!(changed[known..], unchanged[known..]);
            }
        }
    }
}
