//! The network: LSTM layers over the inputs of a window, and a linear map from
//! the last layer's outputs to the raw numbers of a likelihood.
//!
//! At step `t` of a window the first layer gets the dynamic inputs of that step,
//! and, the same at every step, the static ones. Layer `l` computes
//!
//! ```text
//! i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of  x Wx + h' Wh + b
//! c = f c' + i g        h = o tanh(c)
//! ```
//!
//! from the states `c'` and `h'` of the step before, 0 at first. Its output is
//! `h`, to which a layer above the first adds its input (a residual connection).
//! With zoneout (Krueger et al., arXiv 1606.01305) each unit's state stays what it
//! was with some probability while training; a prediction takes the expectation.
//!
//! A [`Part`] is so many windows at once, in buffers of its own: rows of one step
//! lie together, steps follow one another. The recurrent part is one product a
//! step and layer; what is known beforehand is one product for all steps.

use std::ops::Range;

use pipewright_matmul::random::Random;
use pipewright_matmul::{Matrix, Real, Write, multiply};

/// The sizes of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Inputs that differ from step to step.
    pub dynamic: usize,
    /// Inputs that are the same at each step of a window.
    pub fixed: usize,
    /// Units of each layer.
    pub units: usize,
    /// Layers.
    pub layers: usize,
    /// Raw numbers for each point.
    pub outputs: usize,
}

/// One matrix of weights or vector of biases among all numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    at: usize,
    rows: usize,
    columns: usize,
}

impl Block {
    fn range(&self) -> Range<usize> {
        self.at..self.at + self.rows * self.columns
    }

    fn of<'a, T>(&self, numbers: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(&numbers[self.range()], self.rows, self.columns)
    }
}

/// Where the weights of a layer are: `inputs` rows (of the first layer the
/// dynamic inputs) of 4 gates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LayerBlocks {
    input: Block,
    recurrent: Block,
    bias: Block,
}

/// Where each weight is in one slice of all weights, as the gradient, the
/// optimiser and the artifact have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    shape: Shape,
    fixed: Block,
    layers: Vec<LayerBlocks>,
    projection: Block,
    offset: Block,
    size: usize,
}

impl Network {
    /// The network of a shape.
    pub(crate) fn new(shape: Shape) -> Self {
        let mut size = 0;
        let mut block = |rows: usize, columns: usize| {
            let at = size;
            size += rows * columns;
            Block { at, rows, columns }
        };
        let gates = 4 * shape.units;
        let fixed = block(shape.fixed, gates);
        let layers = (0..shape.layers)
            .map(|layer| LayerBlocks {
                input: block(
                    if layer == 0 {
                        shape.dynamic
                    } else {
                        shape.units
                    },
                    gates,
                ),
                recurrent: block(shape.units, gates),
                bias: block(1, gates),
            })
            .collect();
        let projection = block(shape.units, shape.outputs);
        let offset = block(1, shape.outputs);
        Self {
            shape,
            fixed,
            layers,
            projection,
            offset,
            size,
        }
    }

    /// The sizes.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many numbers the network has.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Glorot-uniform weights, `+-sqrt(6 / (in + out))`, where a gate is an output of
    /// its own, and biases of 0.
    pub(crate) fn initial<T: Real>(&self, random: &mut Random) -> Vec<T> {
        let mut numbers = vec![T::ZERO; self.size];
        let units = self.shape.units;
        let mut fill = |block: &Block, inputs: usize, outputs: usize| {
            #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
            let limit = (6.0 / (inputs + outputs) as f64).sqrt();
            for number in &mut numbers[block.range()] {
                *number = T::of((2.0 * random.unit() - 1.0) * limit);
            }
        };
        let inputs = self.shape.dynamic + self.shape.fixed;
        fill(&self.fixed, inputs, 4 * units);
        for (i, layer) in self.layers.iter().enumerate() {
            fill(&layer.input, if i == 0 { inputs } else { units }, 4 * units);
            fill(&layer.recurrent, units, 4 * units);
        }
        fill(&self.projection, units, self.shape.outputs);
        numbers
    }
}

/// What a unit's state keeps of the step before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Zoneout {
    /// Nothing.
    #[default]
    Off,
    /// All of it with this probability, drawn for each step and unit.
    Drawn(f64),
    /// This share of it.
    Expected(f64),
}

/// The states of a layer and what its gradient needs, for some windows.
#[derive(Debug, Clone, Default)]
struct LayerBuffers<T> {
    /// `[steps][rows][4 units]`: sums, then the gates, then their gradient.
    gates: Vec<T>,
    /// `[1 + steps][rows][units]` each, from the initial state on.
    cells: Vec<T>,
    hidden: Vec<T>,
    /// `tanh` of the new cells and the layer's output, `[steps][rows][units]`.
    squashed: Vec<T>,
    outputs: Vec<T>,
    /// What share of a state is kept, 0 or 1, of cells and of hidden states.
    kept: [Vec<T>; 2],
    /// The gradient by the outputs.
    by_outputs: Vec<T>,
}

/// Some windows, computed together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part<T> {
    rows: usize,
    steps: usize,
    zoneout: Zoneout,
    /// `[steps][rows][dynamic]`, for the caller to fill.
    pub dynamic: Vec<T>,
    /// `[rows][fixed]`, for the caller to fill.
    pub fixed: Vec<T>,
    /// `[steps][rows][outputs]`.
    pub raw: Vec<T>,
    /// The gradient by `raw`, for the caller to fill.
    pub by_raw: Vec<T>,
    /// The gradient by `fixed`, `[rows][fixed]`.
    pub by_fixed: Vec<T>,
    /// `fixed` times its weights, plus the first layer's bias, `[rows][4 units]`.
    fixed_sums: Vec<T>,
    layers: Vec<LayerBuffers<T>>,
    by_hidden: Vec<T>,
    by_cells: Vec<T>,
    /// What of `by_cells` goes around a step, to the cells before it.
    around: Vec<T>,
}

impl<T: Real> Part<T> {
    /// Makes room for `rows` windows of `steps` steps, with initial states of 0.
    pub(crate) fn prepare(&mut self, network: &Network, rows: usize, steps: usize) {
        let Shape {
            dynamic,
            fixed,
            units,
            layers,
            outputs,
        } = network.shape;
        (self.rows, self.steps) = (rows, steps);
        self.dynamic.resize(steps * rows * dynamic, T::ZERO);
        self.fixed.resize(rows * fixed, T::ZERO);
        self.raw.resize(steps * rows * outputs, T::ZERO);
        self.by_raw.resize(steps * rows * outputs, T::ZERO);
        self.layers.resize_with(layers, LayerBuffers::default);
        for layer in &mut self.layers {
            layer.gates.resize(steps * rows * 4 * units, T::ZERO);
            layer.squashed.resize(steps * rows * units, T::ZERO);
            layer.outputs.resize(steps * rows * units, T::ZERO);
            for states in [&mut layer.cells, &mut layer.hidden] {
                states.resize((1 + steps) * rows * units, T::ZERO);
                states[..rows * units].fill(T::ZERO);
            }
        }
        self.zoneout = Zoneout::Off;
    }

    /// Windows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Chooses how much of each state is kept; without it nothing is.
    pub(crate) fn zone_out(&mut self, network: &Network, zoneout: Zoneout, random: &mut Random) {
        self.zoneout = match zoneout {
            Zoneout::Drawn(share) | Zoneout::Expected(share) if share == 0.0 => Zoneout::Off,
            chosen => chosen,
        };
        let Zoneout::Drawn(share) = self.zoneout else {
            return;
        };
        // Four units have their share of each word: 16 bits are enough of a
        // probability that a person chose.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 65,536"
        )]
        let limit = (share * 65_536.0).round() as u64;
        let size = self.steps * self.rows * network.shape.units;
        for layer in &mut self.layers {
            for kept in &mut layer.kept {
                kept.resize(size, T::ZERO);
                for four in kept.chunks_mut(4) {
                    let word = random.bits();
                    for (i, kept) in four.iter_mut().enumerate() {
                        let stays = (word >> (16 * i)) & 0xffff < limit;
                        *kept = if stays { T::ONE } else { T::ZERO };
                    }
                }
            }
        }
    }

    /// Computes `raw` of some steps; those before them have been computed, and the
    /// dynamic inputs of these steps and the static ones are there.
    pub(crate) fn forward(&mut self, network: &Network, weights: &[T], steps: Range<usize>) {
        let units = network.shape.units;
        if steps.start == 0 {
            self.sum_fixed(network, weights);
        }
        for l in 0..self.layers.len() {
            self.sum_inputs(network, weights, l, steps.clone());
            for step in steps.clone() {
                self.advance(network, weights, l, step);
            }
        }
        let rows = steps.len() * self.rows;
        let outputs = network.shape.outputs;
        let range = |width: usize| steps.start * self.rows * width..steps.end * self.rows * width;
        let raw = &mut self.raw[range(outputs)];
        for row in raw.chunks_exact_mut(outputs) {
            row.copy_from_slice(&weights[network.offset.range()]);
        }
        if let Some(last) = self.layers.last() {
            multiply(
                raw,
                Write::Add,
                Matrix::new(&last.outputs[range(units)], rows, units),
                network.projection.of(weights),
            );
        }
    }

    fn sum_fixed(&mut self, network: &Network, weights: &[T]) {
        let gates = 4 * network.shape.units;
        self.fixed_sums.resize(self.rows * gates, T::ZERO);
        for row in self.fixed_sums.chunks_exact_mut(gates) {
            row.copy_from_slice(&weights[network.layers[0].bias.range()]);
        }
        multiply(
            &mut self.fixed_sums,
            Write::Add,
            Matrix::new(&self.fixed, self.rows, network.shape.fixed),
            network.fixed.of(weights),
        );
    }

    /// Writes what layer `l`'s gates get from below at some steps.
    fn sum_inputs(&mut self, network: &Network, weights: &[T], l: usize, steps: Range<usize>) {
        let units = network.shape.units;
        let gates = 4 * units;
        let rows = steps.len() * self.rows;
        let range = |width: usize| steps.start * self.rows * width..steps.end * self.rows * width;
        let blocks = &network.layers[l];
        let (below, here) = self.layers.split_at_mut(l);
        let sums = &mut here[0].gates[range(gates)];
        let input = match below.last() {
            None => {
                for step in sums.chunks_exact_mut(self.rows * gates) {
                    step.copy_from_slice(&self.fixed_sums);
                }
                let dynamic = network.shape.dynamic;
                Matrix::new(&self.dynamic[range(dynamic)], rows, dynamic)
            }
            Some(below) => {
                for row in sums.chunks_exact_mut(gates) {
                    row.copy_from_slice(&weights[blocks.bias.range()]);
                }
                Matrix::new(&below.outputs[range(units)], rows, units)
            }
        };
        multiply(sums, Write::Add, input, blocks.input.of(weights));
    }

    /// Computes a step of layer `l`.
    fn advance(&mut self, network: &Network, weights: &[T], l: usize, step: usize) {
        let units = network.shape.units;
        let size = self.rows * units;
        let (below, here) = self.layers.split_at_mut(l);
        let layer = &mut here[0];
        let now = step * size..(step + 1) * size;
        let gates = &mut layer.gates[4 * now.start..4 * now.end];
        let (hidden_before, hidden) = layer.hidden[now.start..].split_at_mut(size);
        let (cells_before, cells) = layer.cells[now.start..].split_at_mut(size);
        let (hidden, cells) = (&mut hidden[..size], &mut cells[..size]);
        multiply(
            gates,
            Write::Add,
            Matrix::new(hidden_before, self.rows, units),
            network.layers[l].recurrent.of(weights),
        );
        let squashed = &mut layer.squashed[now.clone()];
        T::lstm(gates, cells_before, cells, squashed, hidden, units);
        let outputs = &mut layer.outputs[now.clone()];
        outputs.copy_from_slice(hidden);
        if let Some(below) = below.last() {
            for (output, input) in outputs.iter_mut().zip(&below.outputs[now.clone()]) {
                *output += *input;
            }
        }
        match self.zoneout {
            Zoneout::Off => {}
            Zoneout::Drawn(_) => {
                let [of_cells, of_hidden] = &layer.kept;
                keep(cells, cells_before, &of_cells[now.clone()]);
                keep(hidden, hidden_before, &of_hidden[now]);
            }
            Zoneout::Expected(share) => {
                let share = T::of(share);
                for (states, before) in [(cells, cells_before), (hidden, hidden_before)] {
                    for (state, before) in states.iter_mut().zip(before) {
                        *state += share * (*before - *state);
                    }
                }
            }
        }
    }

    /// Repeats the only window's state after `steps` steps as the initial state of
    /// each window of `other`.
    pub(crate) fn continue_in(&self, other: &mut Self, steps: usize) {
        for (from, to) in self.layers.iter().zip(&mut other.layers) {
            for (from, to) in [(&from.cells, &mut to.cells), (&from.hidden, &mut to.hidden)] {
                let units = from.len() / (1 + self.steps) / self.rows;
                let state = &from[steps * units..(steps + 1) * units];
                for row in to[..other.rows * units].chunks_exact_mut(units) {
                    row.copy_from_slice(state);
                }
            }
        }
    }

    /// Adds the gradient by the weights to `gradient` and writes `by_fixed`, from
    /// `by_raw`. All steps have been computed; what they left is used up.
    pub(crate) fn backward(&mut self, network: &Network, weights: &[T], gradient: &mut [T]) {
        let (units, outputs) = (network.shape.units, network.shape.outputs);
        let all = self.steps * self.rows;
        let by_raw = Matrix::new(&self.by_raw, all, outputs);
        let Some(last) = self.layers.last_mut() else {
            return;
        };
        multiply(
            &mut gradient[network.projection.range()],
            Write::Add,
            Matrix::new(&last.outputs, all, units).transposed(),
            by_raw,
        );
        add_rows(&self.by_raw, &mut gradient[network.offset.range()]);
        last.by_outputs.resize(all * units, T::ZERO);
        multiply(
            &mut last.by_outputs,
            Write::Replace,
            by_raw,
            network.projection.of(weights).transposed(),
        );
        for l in (0..self.layers.len()).rev() {
            for step in (0..self.steps).rev() {
                self.step_back(network, weights, l, step);
            }
            self.differentiate_inputs(network, weights, l, gradient);
        }
    }

    /// Turns the gates of a step of layer `l` into the gradient by their sums; the
    /// gradient by the states after the step becomes that by those before it.
    fn step_back(&mut self, network: &Network, weights: &[T], l: usize, step: usize) {
        let units = network.shape.units;
        let size = self.rows * units;
        let layer = &mut self.layers[l];
        let now = step * size..(step + 1) * size;
        let (by_hidden, by_cells) = (&mut self.by_hidden, &mut self.by_cells);
        if step + 1 == self.steps {
            for states in [&mut *by_hidden, &mut *by_cells] {
                states.clear();
                states.resize(size, T::ZERO);
            }
        }
        let gates = &mut layer.gates[4 * now.start..4 * now.end];
        let cells_before = &layer.cells[now.clone()];
        let squashed = &layer.squashed[now.clone()];
        // The outputs are used up with their step: the gradient by the new hidden
        // states takes their place.
        let outputs = &mut layer.outputs[now.clone()];
        outputs.copy_from_slice(&layer.by_outputs[now.clone()]);
        let drawn = matches!(self.zoneout, Zoneout::Drawn(_));
        if drawn {
            let [of_cells, of_hidden] = &layer.kept;
            for (i, output) in outputs.iter_mut().enumerate() {
                let kept = of_hidden[now.start + i] * by_hidden[i];
                *output += by_hidden[i] - kept;
                by_hidden[i] = kept;
            }
            self.around.resize(size, T::ZERO);
            let kept = self.around.iter_mut().zip(&of_cells[now]);
            for (by_cell, (around, kept)) in by_cells.iter_mut().zip(kept) {
                *around = *by_cell * *kept;
                *by_cell = *by_cell - *around;
            }
            T::lstm_back(gates, cells_before, squashed, outputs, by_cells, units);
            for (by_cell, around) in by_cells.iter_mut().zip(&self.around) {
                *by_cell += *around;
            }
        } else {
            for (output, by_hidden) in outputs.iter_mut().zip(&*by_hidden) {
                *output += *by_hidden;
            }
            T::lstm_back(gates, cells_before, squashed, outputs, by_cells, units);
        }
        multiply(
            by_hidden,
            if drawn { Write::Add } else { Write::Replace },
            Matrix::new(gates, self.rows, 4 * units),
            network.layers[l].recurrent.of(weights).transposed(),
        );
    }

    /// Adds the gradient by layer `l`'s weights, and writes that by its inputs.
    fn differentiate_inputs(
        &mut self,
        network: &Network,
        weights: &[T],
        l: usize,
        gradient: &mut [T],
    ) {
        let units = network.shape.units;
        let all = self.steps * self.rows;
        let blocks = &network.layers[l];
        let (below, here) = self.layers.split_at_mut(l);
        let layer = &here[0];
        let by_sums = Matrix::new(&layer.gates, all, 4 * units);
        multiply(
            &mut gradient[blocks.recurrent.range()],
            Write::Add,
            Matrix::new(&layer.hidden[..all * units], all, units).transposed(),
            by_sums,
        );
        add_rows(&layer.gates, &mut gradient[blocks.bias.range()]);
        let by_input = &mut gradient[blocks.input.range()];
        match below.last_mut() {
            Some(below) => {
                multiply(
                    by_input,
                    Write::Add,
                    Matrix::new(&below.outputs, all, units).transposed(),
                    by_sums,
                );
                // The residual connection, and the weights.
                below.by_outputs.clone_from(&layer.by_outputs);
                multiply(
                    &mut below.by_outputs,
                    Write::Add,
                    by_sums,
                    blocks.input.of(weights).transposed(),
                );
            }
            None => {
                let dynamic = network.shape.dynamic;
                multiply(
                    by_input,
                    Write::Add,
                    Matrix::new(&self.dynamic, all, dynamic).transposed(),
                    by_sums,
                );
                self.differentiate_fixed(network, weights, gradient);
            }
        }
    }

    fn differentiate_fixed(&mut self, network: &Network, weights: &[T], gradient: &mut [T]) {
        let gates = 4 * network.shape.units;
        let fixed = network.shape.fixed;
        // Of each window, over all steps.
        self.fixed_sums.fill(T::ZERO);
        for step in self.layers[0].gates.chunks_exact(self.rows * gates) {
            for (sum, value) in self.fixed_sums.iter_mut().zip(step) {
                *sum += *value;
            }
        }
        let sums = Matrix::new(&self.fixed_sums, self.rows, gates);
        multiply(
            &mut gradient[network.fixed.range()],
            Write::Add,
            Matrix::new(&self.fixed, self.rows, fixed).transposed(),
            sums,
        );
        self.by_fixed.resize(self.rows * fixed, T::ZERO);
        multiply(
            &mut self.by_fixed,
            Write::Replace,
            sums,
            network.fixed.of(weights).transposed(),
        );
    }
}

/// Makes each state what it was before where it is kept.
fn keep<T: Real>(states: &mut [T], before: &[T], kept: &[T]) {
    for ((state, before), kept) in states.iter_mut().zip(before).zip(kept) {
        *state += *kept * (*before - *state);
    }
}

/// Adds each row to `sums`.
fn add_rows<T: Real>(rows: &[T], sums: &mut [T]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += *value;
        }
    }
}
