//! The autoencoder: a network that learns to reproduce its inputs through a
//! middle layer, whose output becomes features.
//!
//! Layers 600 sigmoid, 330 relu, d relu, 330 relu, 600 relu, d sigmoid, with d
//! inputs. It minimises the mean squared error over batch and columns by Adam:
//! `w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7)`.
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | epochs | passes over the training rows | 460 |
//! | batch size | rows a step | 256 |
//! | shuffle | whether rows are permuted each epoch | false |
//! | seed | of the initial weights and the permutations | 0 |
//!
//! A batch is always computed as the sum of two halves, by one thread or two,
//! so the result does not depend on the number of threads.
//!
//! Source of the optimiser: Kingma and Ba (2015), Adam, the variant that Keras
//! computes.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use std::sync::{Barrier, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pipewright_matmul::{Element, Matrix, Write, multiply};

const LEARNING_RATE: f64 = 1e-3;
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-7;

/// Parts that a batch is computed in.
const SHARDS: usize = 2;

/// Rows that are predicted at once.
const PREDICTED_AT_ONCE: usize = 512;

/// What the network computes with: single precision, or double where a test
/// compares gradients.
pub trait Real:
    Element
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// e to this power.
    fn exp(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($float:ty) => {
        impl Real for $float {
            #[expect(clippy::allow_attributes, reason = "f64 to f64 truncates nothing")]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "rounding is what is wanted"
            )]
            fn of(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
        }
    };
}
real!(f32);
real!(f64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Sigmoid,
    Relu,
}

/// One dense layer: `activation(x W + b)`.
#[derive(Debug, Clone)]
struct Layer<T> {
    inputs: usize,
    outputs: usize,
    activation: Activation,
    /// `inputs` rows of `outputs` numbers.
    weights: Vec<T>,
    biases: Vec<T>,
}

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Training {
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows a step; the last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Whether rows are permuted each epoch.
    pub shuffle: bool,
    /// Seed of the permutations.
    pub seed: u64,
}

/// Which layer's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The last one: the inputs as the network reproduces them.
    Reconstruction,
    /// The third one, of as many units as there are inputs.
    Middle,
}

/// The network.
#[derive(Debug, Clone)]
pub struct Autoencoder<T> {
    layers: Vec<Layer<T>>,
}

impl<T: Real> Autoencoder<T> {
    /// A network of `inputs` inputs with Glorot-uniform weights, `+-sqrt(6 /
    /// (in + out))`, drawn layer by layer in row-major order from `seed`, and
    /// zero biases.
    pub fn new(inputs: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut from = inputs;
        let layers = [
            (600, Activation::Sigmoid),
            (330, Activation::Relu),
            (inputs, Activation::Relu),
            (330, Activation::Relu),
            (600, Activation::Relu),
            (inputs, Activation::Sigmoid),
        ]
        .map(|(outputs, activation)| {
            let limit = (6.0 / count(from + outputs)).sqrt();
            let layer = Layer {
                inputs: from,
                outputs,
                activation,
                weights: (0..from * outputs)
                    .map(|_| T::of((2.0 * random.unit() - 1.0) * limit))
                    .collect(),
                biases: vec![T::ZERO; outputs],
            };
            from = outputs;
            layer
        })
        .into();
        Self { layers }
    }

    fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Trains on `rows` (row after row of inputs) and returns each epoch's loss:
    /// the mean of its batches' losses, weighted by their rows, each taken
    /// before its step. `progress(done, epochs)` is called after each epoch.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows, or the batch size is 0.
    pub fn train(
        &mut self,
        rows: &[T],
        training: Training,
        threads: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Vec<f64> {
        let width = self.inputs();
        assert!(
            training.batch_size > 0,
            "a batch of no rows can't be learnt from"
        );
        assert!(
            width > 0 && rows.len().is_multiple_of(width),
            "a row has {width} inputs"
        );
        let length = rows.len() / width;
        let batch = training.batch_size.min(length);
        if length == 0 {
            return Vec::new();
        }
        let layers: Vec<RwLock<Trained<T>>> = self
            .layers
            .drain(..)
            .map(|layer| RwLock::new(Trained::new(layer)))
            .collect();
        let shards: Vec<RwLock<Shard<T>>> = {
            let layers: Vec<_> = layers.iter().map(read).collect();
            let shapes: Vec<&Layer<T>> = layers.iter().map(|layer| &layer.layer).collect();
            (0..SHARDS)
                .map(|_| RwLock::new(Shard::new(&shapes, batch.div_ceil(SHARDS))))
                .collect()
        };
        let work = Work {
            rows,
            width,
            training,
            batch,
            layers: &layers,
            shards: &shards,
            barrier: Barrier::new(threads.clamp(1, SHARDS)),
        };
        let losses = if threads <= 1 {
            work.run(&[0, 1], progress)
        } else {
            std::thread::scope(|scope| {
                let (work, other) = (&work, [1]);
                scope.spawn(move || work.run(&other, &mut |_, _| ()));
                work.run(&[0], progress)
            })
        };
        self.layers = layers
            .into_iter()
            .map(|layer| {
                layer
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
                    .layer
            })
            .collect();
        losses
    }

    /// The wanted layer's output for each row, row after row; both layers have
    /// as many units as there are inputs.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn predict(&self, rows: &[T], output: Output) -> Vec<T> {
        let width = self.inputs();
        assert!(
            width > 0 && rows.len().is_multiple_of(width),
            "a row has {width} inputs"
        );
        let depth = match output {
            Output::Middle => self.layers.len() / 2,
            Output::Reconstruction => self.layers.len(),
        };
        let mut predicted = Vec::with_capacity(rows.len());
        for block in rows.chunks(PREDICTED_AT_ONCE * width) {
            let mut values = block.to_vec();
            for layer in &self.layers[..depth] {
                let mut next = vec![T::ZERO; block.len() / width * layer.outputs];
                layer.forward(&values, &mut next);
                values = next;
            }
            predicted.extend(values);
        }
        predicted
    }

    /// The mean squared error of the reconstruction of `rows`; 0 without rows.
    pub fn loss(&self, rows: &[T]) -> f64 {
        if rows.is_empty() {
            return 0.0;
        }
        let predicted = self.predict(rows, Output::Reconstruction);
        squared_error(&predicted, rows) / count(rows.len())
    }
}

fn squared_error<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| {
            let error = x.to_f64() - y.to_f64();
            error * error
        })
        .sum()
}

impl<T: Real> Layer<T> {
    /// Writes the layer's output for the rows of `input` to `output`.
    fn forward(&self, input: &[T], output: &mut [T]) {
        let rows = output.len() / self.outputs;
        for row in output.chunks_exact_mut(self.outputs) {
            row.copy_from_slice(&self.biases);
        }
        multiply(
            output,
            Write::Add,
            Matrix::new(input, rows, self.inputs),
            Matrix::new(&self.weights, self.inputs, self.outputs),
        );
        match self.activation {
            Activation::Relu => {
                for value in output {
                    *value = if *value > T::ZERO { *value } else { T::ZERO };
                }
            }
            Activation::Sigmoid => {
                for value in output {
                    *value = T::ONE / (T::ONE + (-*value).exp());
                }
            }
        }
    }

    /// Turns the gradient of the output into that of the sum before the
    /// activation.
    fn through_activation(&self, output: &[T], gradient: &mut [T]) {
        for (gradient, y) in gradient.iter_mut().zip(output) {
            let slope = match self.activation {
                Activation::Relu if *y > T::ZERO => T::ONE,
                Activation::Relu => T::ZERO,
                Activation::Sigmoid => *y * (T::ONE - *y),
            };
            *gradient = *gradient * slope;
        }
    }
}

/// A layer with the moments of its optimiser.
struct Trained<T> {
    layer: Layer<T>,
    weights: Moments<T>,
    biases: Moments<T>,
}

impl<T: Real> Trained<T> {
    fn new(layer: Layer<T>) -> Self {
        Self {
            weights: Moments::new(layer.weights.len()),
            biases: Moments::new(layer.biases.len()),
            layer,
        }
    }
}

/// Adam's running means of the gradient and of its square.
struct Moments<T> {
    first: Vec<T>,
    second: Vec<T>,
}

impl<T: Real> Moments<T> {
    fn new(size: usize) -> Self {
        Self {
            first: vec![T::ZERO; size],
            second: vec![T::ZERO; size],
        }
    }

    /// One step of size `rate` along the sum of two halves of the gradient.
    fn step(&mut self, values: &mut [T], halves: [&[T]; SHARDS], rate: T) {
        let (one_less_1, one_less_2) = (T::of(1.0 - BETA_1), T::of(1.0 - BETA_2));
        let epsilon = T::of(EPSILON);
        let moments = self.first.iter_mut().zip(&mut self.second);
        let gradients = halves[0].iter().zip(halves[1]);
        for ((value, (m, v)), (a, b)) in values.iter_mut().zip(moments).zip(gradients) {
            let gradient = *a + *b;
            *m += (gradient - *m) * one_less_1;
            *v += (gradient * gradient - *v) * one_less_2;
            *value = *value - *m * rate / (v.sqrt() + epsilon);
        }
    }
}

/// What one half of a batch needs: its rows, outputs and gradients.
struct Shard<T> {
    input: Vec<T>,
    outputs: Vec<Vec<T>>,
    /// The gradient of each layer's output.
    deltas: Vec<Vec<T>>,
    /// The gradient of each layer's weights and biases.
    weights: Vec<Vec<T>>,
    biases: Vec<Vec<T>>,
    squared_error: f64,
}

impl<T: Real> Shard<T> {
    fn new(layers: &[&Layer<T>], rows: usize) -> Self {
        let each = |size: &dyn Fn(&Layer<T>) -> usize| -> Vec<Vec<T>> {
            layers
                .iter()
                .map(|layer| vec![T::ZERO; size(layer)])
                .collect()
        };
        Self {
            input: Vec::with_capacity(rows * layers[0].inputs),
            outputs: each(&|layer| rows * layer.outputs),
            deltas: each(&|layer| rows * layer.outputs),
            weights: each(&|layer| layer.inputs * layer.outputs),
            biases: each(&|layer| layer.outputs),
            squared_error: 0.0,
        }
    }

    /// The error of these rows and its gradient; `batch_rows` is the number of
    /// rows of the whole batch, over which the loss is a mean.
    fn differentiate(&mut self, layers: &[&Layer<T>], rows: usize, batch_rows: usize) {
        let width = layers[0].inputs;
        for (i, layer) in layers.iter().enumerate() {
            let (before, here) = self.outputs.split_at_mut(i);
            let input = before
                .last()
                .map_or(&self.input[..], |output| &output[..rows * layer.inputs]);
            layer.forward(input, &mut here[0][..rows * layer.outputs]);
        }
        let last = layers.len() - 1;
        let predicted = &self.outputs[last][..rows * width];
        self.squared_error = squared_error(predicted, &self.input);
        let scale = T::of(2.0 / count(batch_rows * width));
        for (delta, (y, x)) in self.deltas[last]
            .iter_mut()
            .zip(predicted.iter().zip(&self.input))
        {
            *delta = (*y - *x) * scale;
        }
        for (i, layer) in layers.iter().enumerate().rev() {
            let (before, here) = self.deltas.split_at_mut(i);
            let delta = &mut here[0][..rows * layer.outputs];
            layer.through_activation(&self.outputs[i][..rows * layer.outputs], delta);
            let input = match i {
                0 => &self.input[..],
                _ => &self.outputs[i - 1][..rows * layer.inputs],
            };
            let delta_matrix = Matrix::new(delta, rows, layer.outputs);
            multiply(
                &mut self.weights[i],
                Write::Replace,
                Matrix::new(input, rows, layer.inputs).transposed(),
                delta_matrix,
            );
            self.biases[i].fill(T::ZERO);
            for row in delta.chunks_exact(layer.outputs) {
                for (sum, value) in self.biases[i].iter_mut().zip(row) {
                    *sum += *value;
                }
            }
            if let Some(below) = before.last_mut() {
                multiply(
                    &mut below[..rows * layer.inputs],
                    Write::Replace,
                    delta_matrix,
                    Matrix::new(&layer.weights, layer.inputs, layer.outputs).transposed(),
                );
            }
        }
    }
}

/// Training, shared by the threads that do it.
struct Work<'a, T> {
    rows: &'a [T],
    width: usize,
    training: Training,
    batch: usize,
    layers: &'a [RwLock<Trained<T>>],
    shards: &'a [RwLock<Shard<T>>],
    barrier: Barrier,
}

impl<T: Real> Work<'_, T> {
    /// Does the part of the training that belongs to `mine`: those halves of
    /// each batch, and the steps of as large a share of the layers. Every
    /// thread computes the same losses.
    fn run(&self, mine: &[usize], progress: &mut dyn FnMut(usize, usize)) -> Vec<f64> {
        let length = self.rows.len() / self.width;
        let mut order: Vec<usize> = (0..length).collect();
        let mut random = Random::new(self.training.seed ^ SHUFFLE_STREAM);
        let mut losses = Vec::with_capacity(self.training.epochs);
        let mut steps: u32 = 0;
        for epoch in 0..self.training.epochs {
            if self.training.shuffle {
                random.shuffle(&mut order);
            }
            let mut sum = 0.0;
            for batch in order.chunks(self.batch) {
                let half = batch.len().div_ceil(SHARDS);
                {
                    let layers: Vec<_> = self.layers.iter().map(read).collect();
                    let layers: Vec<&Layer<T>> = layers.iter().map(|layer| &layer.layer).collect();
                    for shard in mine {
                        let from = (shard * half).min(batch.len());
                        let to = (from + half).min(batch.len());
                        let mut part = write(&self.shards[*shard]);
                        part.input.clear();
                        for row in &batch[from..to] {
                            part.input.extend_from_slice(
                                &self.rows[row * self.width..(row + 1) * self.width],
                            );
                        }
                        part.differentiate(&layers, to - from, batch.len());
                    }
                }
                self.barrier.wait();
                // Everybody has the gradients; each steps its own layers. The
                // network is symmetric, so halves of the layers cost the same.
                steps = steps.saturating_add(1);
                let t = f64::from(steps);
                let rate =
                    T::of(LEARNING_RATE * (1.0 - BETA_2.powf(t)).sqrt() / (1.0 - BETA_1.powf(t)));
                sum += self.step(mine, rate) / count(self.width);
                self.barrier.wait();
            }
            losses.push(sum / count(length));
            progress(epoch + 1, self.training.epochs);
        }
        losses
    }

    /// Steps the layers that go with the halves `mine`; returns the batch's
    /// squared error.
    fn step(&self, mine: &[usize], rate: T) -> f64 {
        let parts: Vec<RwLockReadGuard<'_, Shard<T>>> = self.shards.iter().map(read).collect();
        let share = self.layers.len() / SHARDS;
        for (i, layer) in self.layers.iter().enumerate() {
            if mine.contains(&(i / share)) {
                let mut trained = write(layer);
                let Trained {
                    layer,
                    weights,
                    biases,
                } = &mut *trained;
                let halves = [parts[0].weights[i].as_slice(), &parts[1].weights[i]];
                weights.step(&mut layer.weights, halves, rate);
                let halves = [parts[0].biases[i].as_slice(), &parts[1].biases[i]];
                biases.step(&mut layer.biases, halves, rate);
            }
        }
        parts.iter().map(|part| part.squared_error).sum()
    }
}

/// Locks are never contended (barriers part the phases) and a poisoned one
/// means that the other thread's panic is on its way to the caller.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Parts the permutations from the weights of the same seed.
const SHUFFLE_STREAM: u64 = 0x005b_d1e9_9b1b_54a3;

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1), a multiple of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            let choices = last as u128 + 1;
            let chosen = (u128::from(self.next()) * choices) >> 64;
            items.swap(last, usize::try_from(chosen).unwrap_or(last));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of smooth numbers between 0 and 1.
    fn rows<T: Real>(length: usize, width: usize) -> Vec<T> {
        (0..length * width)
            .map(|i| {
                let (row, column) = (count(i / width), count(i % width));
                T::of(0.5 + 0.4 * (row * 0.1 + column).sin())
            })
            .collect()
    }

    fn training(epochs: usize, shuffle: bool) -> Training {
        Training {
            epochs,
            batch_size: 32,
            shuffle,
            seed: 3,
        }
    }

    /// 1e-6 relative to the largest gradient of the layer: central differences
    /// in double precision are good to that.
    #[test]
    fn gradients_are_those_of_central_differences() {
        let mut network = Autoencoder::<f64>::new(5, 7);
        for layer in &mut network.layers {
            for (i, bias) in layer.biases.iter_mut().enumerate() {
                *bias = 0.01 * count(i % 7) - 0.02;
            }
        }
        let data = rows::<f64>(7, 5);
        let gradient = |network: &Autoencoder<f64>| {
            let layers: Vec<&Layer<f64>> = network.layers.iter().collect();
            let mut shard = Shard::new(&layers, 7);
            shard.input.extend_from_slice(&data);
            shard.differentiate(&layers, 7, 7);
            shard
        };
        let exact = gradient(&network);
        assert!((exact.squared_error / 35.0 - network.loss(&data)).abs() < 1e-15);
        for layer in 0..network.layers.len() {
            let largest = exact.weights[layer]
                .iter()
                .fold(0.0_f64, |most, g| most.max(g.abs()));
            let size = network.layers[layer].weights.len();
            for i in (0..size).step_by(size / 23 + 1) {
                let weight = network.layers[layer].weights[i];
                let mut loss = |w: f64| {
                    network.layers[layer].weights[i] = w;
                    network.loss(&data)
                };
                let step = 1e-6;
                let slope = (loss(weight + step) - loss(weight - step)) / (2.0 * step);
                loss(weight);
                let ours = exact.weights[layer][i];
                assert!(
                    (ours - slope).abs() <= 1e-6 * largest.max(1e-3),
                    "{layer} {i}: {ours} {slope}"
                );
            }
            let bias = network.layers[layer].biases[0];
            let mut loss = |b: f64| {
                network.layers[layer].biases[0] = b;
                network.loss(&data)
            };
            let slope = (loss(bias + 1e-6) - loss(bias - 1e-6)) / 2e-6;
            loss(bias);
            assert!(
                (exact.biases[layer][0] - slope).abs() <= 1e-8,
                "bias of {layer}"
            );
        }
    }

    #[test]
    fn weights_lie_within_glorots_bounds_and_differ_by_seed() {
        let network = Autoencoder::<f64>::new(10, 1);
        let limit = (6.0 / 610.0_f64).sqrt();
        let weights = &network.layers[0].weights;
        assert!(weights.iter().all(|w| w.abs() <= limit));
        assert!(weights.iter().any(|w| w.abs() > 0.99 * limit));
        assert!(
            network
                .layers
                .iter()
                .all(|layer| layer.biases.iter().all(|b| *b == 0.0))
        );
        assert_ne!(weights, &Autoencoder::<f64>::new(10, 2).layers[0].weights);
    }

    #[test]
    fn training_lowers_the_loss_and_the_reported_one_is_taken_while_training() {
        let data = rows::<f32>(100, 6);
        let mut network = Autoencoder::new(6, 1);
        let before = network.loss(&data);
        let mut calls = 0;
        let losses = network.train(&data, training(60, false), 2, &mut |_, _| calls += 1);
        assert_eq!((losses.len(), calls), (60, 60));
        let after = network.loss(&data);
        assert!(after < 0.9 * before, "{after} {before}");

        // With one batch an epoch, the first loss is that of the untrained network.
        let whole = Training {
            batch_size: 100,
            ..training(1, false)
        };
        let losses = Autoencoder::new(6, 1).train(&data, whole, 2, &mut |_, _| ());
        assert!(
            (losses[0] / before - 1.0).abs() < 1e-6,
            "{losses:?} {before}"
        );
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let data = rows::<f32>(75, 6);
        for shuffle in [false, true] {
            let run = |threads| {
                let mut network = Autoencoder::new(6, 1);
                let losses = network.train(&data, training(3, shuffle), threads, &mut |_, _| ());
                let output = network.predict(&data, Output::Reconstruction);
                let bits: Vec<u32> = output.into_iter().map(f32::to_bits).collect();
                (losses, bits)
            };
            assert_eq!(run(1), run(2));
            assert_eq!(run(1), run(5));
        }
    }

    #[test]
    fn shuffling_changes_the_steps_and_a_permutation_keeps_every_row() {
        let data = rows::<f32>(75, 6);
        let run =
            |shuffle| Autoencoder::new(6, 1).train(&data, training(2, shuffle), 1, &mut |_, _| ());
        assert_ne!(run(true), run(false));
        let mut order: Vec<usize> = (0..50).collect();
        Random::new(0).shuffle(&mut order);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn one_row_and_no_row_are_learnt_from_without_a_panic() {
        let mut network = Autoencoder::new(3, 1);
        assert!(
            network
                .train(&[], training(2, false), 2, &mut |_, _| ())
                .is_empty()
        );
        let losses = network.train(&rows::<f32>(1, 3), training(2, true), 2, &mut |_, _| ());
        assert!(losses.iter().all(|loss| loss.is_finite()));
    }

    #[test]
    fn the_middle_layer_has_as_many_units_as_there_are_inputs() {
        let data = rows::<f32>(9, 4);
        let network = Autoencoder::new(4, 1);
        assert_eq!(network.predict(&data, Output::Middle).len(), data.len());
        assert_ne!(
            network.predict(&data, Output::Middle),
            network.predict(&data, Output::Reconstruction)
        );
    }
}
