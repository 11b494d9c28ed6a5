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
//! A step is made of parts that depend on the batch size alone: the rows of a
//! batch are differentiated in parts of up to 64, and then the weights step in
//! tiles. Threads take the next part that is left, so the result does not depend
//! on their number.
//!
//! Source of the optimiser: Kingma and Ba (2015), Adam, the variant that Keras
//! computes.

use std::ops::Range;

use pipewright_matmul::random::Random;
use pipewright_matmul::{AdamStep, Matrix, Real, Write, multiply, parallel};

const LEARNING_RATE: f64 = 1e-3;
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-7;

/// A batch is divided into as many parts, each of rows within [`PART_ROWS`].
const PARTS: usize = 4;

/// Fewer rows make a product slow, more leave threads without work.
const PART_ROWS: std::ops::RangeInclusive<usize> = 16..=64;

/// Weights that step at once: their gradient stays in a core's cache.
const TILE: usize = 1 << 15;

/// Rows that are predicted at once.
const PREDICTED_AT_ONCE: usize = 512;

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
        let part_rows = part_rows(batch);
        let mut parts: Vec<Part<T>> = (0..batch.div_ceil(part_rows))
            .map(|_| Part::new(&self.layers))
            .collect();
        let mut moments: Vec<Moments<T>> = self.layers.iter().map(Moments::new).collect();
        let tiles: usize = self.layers.iter().map(Layer::tiles).sum();
        // What each thread writes the gradient of a tile to.
        let mut gradients: Vec<Vec<T>> = (0..threads.clamp(1, tiles.max(parts.len())))
            .map(|_| Vec::new())
            .collect();
        let mut order: Vec<usize> = (0..length).collect();
        let mut random = Random::new(training.seed ^ SHUFFLE_STREAM);
        let mut losses = Vec::with_capacity(training.epochs);
        let mut steps: u32 = 0;
        for epoch in 0..training.epochs {
            if training.shuffle {
                random.shuffle(&mut order);
            }
            let mut sum = 0.0;
            for batch in order.chunks(batch) {
                let parts = &mut parts[..batch.len().div_ceil(part_rows)];
                let layers = &self.layers;
                parallel::for_each(
                    &mut gradients,
                    batch.chunks(part_rows).zip(&mut *parts),
                    |_, (numbers, part)| {
                        part.take(layers, rows, numbers);
                        part.differentiate(layers, batch.len());
                    },
                );
                sum += parts.iter().map(|part| part.squared_error).sum::<f64>() / count(width);
                steps = steps.saturating_add(1);
                self.step(parts, &mut moments, steps, &mut gradients);
            }
            losses.push(sum / count(length));
            progress(epoch + 1, training.epochs);
        }
        losses
    }

    /// Step number `step` of the optimiser along the gradient that the parts of
    /// a batch add up to.
    fn step(
        &mut self,
        parts: &[Part<T>],
        moments: &mut [Moments<T>],
        step: u32,
        gradients: &mut [Vec<T>],
    ) {
        let t = f64::from(step);
        let step = AdamStep {
            rate: T::of(LEARNING_RATE * (1.0 - BETA_2.powf(t)).sqrt() / (1.0 - BETA_1.powf(t))),
            first_weight: T::of(1.0 - BETA_1),
            second_weight: T::of(1.0 - BETA_2),
            epsilon: T::of(EPSILON),
        };
        let mut tiles = Vec::new();
        for (i, (layer, moments)) in self.layers.iter_mut().zip(moments).enumerate() {
            let mut sums = vec![T::ZERO; layer.outputs];
            for part in parts {
                for (sum, value) in sums.iter_mut().zip(&part.biases[i]) {
                    *sum += *value;
                }
            }
            let [first, second] = &mut moments.biases;
            T::adam(&mut layer.biases, &sums, first, second, step);

            let size = layer.tile_inputs() * layer.outputs;
            let [first, second] = &mut moments.weights;
            let means = first.chunks_mut(size).zip(second.chunks_mut(size));
            let mut from = 0;
            for (weights, (first, second)) in layer.weights.chunks_mut(size).zip(means) {
                let to = from + weights.len() / layer.outputs;
                tiles.push((i, from..to, weights, first, second));
                from = to;
            }
        }
        parallel::for_each(
            gradients,
            tiles.into_iter(),
            |gradient, (i, inputs, weights, first, second)| {
                gradient.resize(weights.len(), T::ZERO);
                weight_gradient(parts, i, inputs, gradient);
                T::adam(weights, gradient, first, second, step);
            },
        );
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
    /// Inputs whose weights make a tile; a multiple of 8 unless there are fewer.
    fn tile_inputs(&self) -> usize {
        (TILE / self.outputs / 8 * 8).max(8)
    }

    fn tiles(&self) -> usize {
        self.inputs.div_ceil(self.tile_inputs())
    }

    /// Writes the layer's output for the rows of `input` to `output`.
    fn forward(&self, input: &[T], output: &mut [T]) {
        let rows = output.len() / self.outputs;
        multiply(
            output,
            Write::Replace,
            Matrix::new(input, rows, self.inputs),
            Matrix::new(&self.weights, self.inputs, self.outputs),
        );
        match self.activation {
            Activation::Relu => T::relu(output, &self.biases),
            Activation::Sigmoid => T::sigmoid(output, &self.biases),
        }
    }
}

/// Adam's running means of the gradient and of its square.
struct Moments<T> {
    weights: [Vec<T>; 2],
    biases: [Vec<T>; 2],
}

impl<T: Real> Moments<T> {
    fn new(layer: &Layer<T>) -> Self {
        let zeros = |size: usize| [vec![T::ZERO; size], vec![T::ZERO; size]];
        Self {
            weights: zeros(layer.weights.len()),
            biases: zeros(layer.biases.len()),
        }
    }
}

/// The rows that a part of a batch has.
fn part_rows(batch: usize) -> usize {
    batch
        .div_ceil(PARTS)
        .clamp(*PART_ROWS.start(), *PART_ROWS.end())
}

/// A part of a batch: its rows, their outputs and gradients.
struct Part<T> {
    rows: usize,
    input: Vec<T>,
    /// Each layer's output.
    outputs: Vec<Vec<T>>,
    /// The gradient of each layer's sums before the activation.
    deltas: Vec<Vec<T>>,
    /// The gradient of each layer's biases.
    biases: Vec<Vec<T>>,
    squared_error: f64,
}

impl<T: Real> Part<T> {
    fn new(layers: &[Layer<T>]) -> Self {
        Self {
            rows: 0,
            input: Vec::new(),
            outputs: vec![Vec::new(); layers.len()],
            deltas: vec![Vec::new(); layers.len()],
            biases: layers
                .iter()
                .map(|layer| vec![T::ZERO; layer.outputs])
                .collect(),
            squared_error: 0.0,
        }
    }

    /// Takes those of `rows` that `numbers` name.
    fn take(&mut self, layers: &[Layer<T>], rows: &[T], numbers: &[usize]) {
        let width = layers[0].inputs;
        self.rows = numbers.len();
        self.input.clear();
        for row in numbers {
            self.input
                .extend_from_slice(&rows[row * width..(row + 1) * width]);
        }
        let buffers = self.outputs.iter_mut().zip(&mut self.deltas);
        for (layer, (output, delta)) in layers.iter().zip(buffers) {
            output.resize(self.rows * layer.outputs, T::ZERO);
            delta.resize(self.rows * layer.outputs, T::ZERO);
        }
    }

    /// Layer `i`'s input.
    fn input_of(&self, i: usize) -> &[T] {
        match i {
            0 => &self.input,
            _ => &self.outputs[i - 1],
        }
    }

    /// The error of these rows and its gradient by each layer's sums and biases;
    /// `batch_rows` is the number of rows of the whole batch, over which the loss
    /// is a mean.
    fn differentiate(&mut self, layers: &[Layer<T>], batch_rows: usize) {
        for (i, layer) in layers.iter().enumerate() {
            let (before, here) = self.outputs.split_at_mut(i);
            let input = before.last().unwrap_or(&self.input);
            layer.forward(input, &mut here[0]);
        }
        let last = layers.len() - 1;
        self.squared_error = squared_error(&self.outputs[last], &self.input);
        let scale = T::of(2.0 / count(batch_rows * layers[0].inputs));
        let pairs = self.outputs[last].iter().zip(&self.input);
        for (delta, (y, x)) in self.deltas[last].iter_mut().zip(pairs) {
            *delta = (*y - *x) * scale;
        }
        for (i, layer) in layers.iter().enumerate().rev() {
            let (before, here) = self.deltas.split_at_mut(i);
            let (delta, sums) = (&mut here[0], &mut self.biases[i]);
            sums.fill(T::ZERO);
            match layer.activation {
                Activation::Relu => T::relu_back(delta, &self.outputs[i], sums),
                Activation::Sigmoid => T::sigmoid_back(delta, &self.outputs[i], sums),
            }
            if let Some(below) = before.last_mut() {
                multiply(
                    below,
                    Write::Replace,
                    Matrix::new(delta, self.rows, layer.outputs),
                    Matrix::new(&layer.weights, layer.inputs, layer.outputs).transposed(),
                );
            }
        }
    }
}

/// Writes the gradient of layer `i`'s weights of some inputs: the sum over the
/// parts of a batch.
fn weight_gradient<T: Real>(parts: &[Part<T>], i: usize, inputs: Range<usize>, gradient: &mut [T]) {
    let mut write = Write::Replace;
    for part in parts {
        let (input, delta) = (part.input_of(i), &part.deltas[i]);
        multiply(
            gradient,
            write,
            Matrix::new(input, part.rows, input.len() / part.rows)
                .columns(inputs.clone())
                .transposed(),
            Matrix::new(delta, part.rows, delta.len() / part.rows),
        );
        write = Write::Add;
    }
}

/// Parts the permutations from the weights of the same seed.
const SHUFFLE_STREAM: u64 = 0x005b_d1e9_9b1b_54a3;

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
        // In parts of different sizes, as the last batch of an epoch is.
        let parts: Vec<Part<f64>> = [&[0, 1, 2, 3, 4][..], &[5, 6]]
            .map(|numbers| {
                let mut part = Part::new(&network.layers);
                part.take(&network.layers, &data, numbers);
                part.differentiate(&network.layers, 7);
                part
            })
            .into();
        let error: f64 = parts.iter().map(|part| part.squared_error).sum();
        assert!((error / 35.0 - network.loss(&data)).abs() < 1e-15);
        for layer in 0..network.layers.len() {
            let (inputs, outputs) = (network.layers[layer].inputs, network.layers[layer].outputs);
            let mut exact = vec![0.0; inputs * outputs];
            let (first, rest) = exact.split_at_mut(inputs / 3 * outputs);
            weight_gradient(&parts, layer, 0..inputs / 3, first);
            weight_gradient(&parts, layer, inputs / 3..inputs, rest);
            let largest = exact.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
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
                let ours = exact[i];
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
            let ours: f64 = parts.iter().map(|part| part.biases[layer][0]).sum();
            assert!((ours - slope).abs() <= 1e-8, "bias of {layer}");
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
