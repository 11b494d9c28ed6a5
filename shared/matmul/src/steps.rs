//! The element-wise steps of a network's training, in loops that compile to
//! vector instructions: no step depends on another, and there is neither a call
//! nor a branch inside.
//!
//! Where the processor has AVX2 a copy compiled for it runs. It rounds alike
//! (multiplication and addition are never fused), so the bits are the same.

use std::ops::{Add, Div, Mul, Sub};

use super::Element;

/// One step of Adam: its size and the constants of the running means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep<T> {
    /// The learning rate with the correction of the running means' start.
    pub rate: T,
    /// 1 less beta 1, the weight of a gradient in the first mean.
    pub first_weight: T,
    /// 1 less beta 2, the weight of a squared gradient in the second mean.
    pub second_weight: T,
    /// Added to the root of the second mean.
    pub epsilon: T,
}

/// The functions of each number type that the loops need.
pub(crate) trait Number:
    Element
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    fn root(self) -> Self;
    /// `e^-x`, infinity at most and 0 at least.
    fn exp_of_minus(self) -> Self;
    /// `2 / (1 + e^-2x) - 1`.
    #[inline(always)]
    fn tanh(self) -> Self {
        let two = Self::ONE + Self::ONE;
        two / (Self::ONE + (two * self).exp_of_minus()) - Self::ONE
    }
}

impl Number for f64 {
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exp_of_minus(self) -> Self {
        (-self).exp()
    }
}

impl Number for f32 {
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    /// `2^n e^r` with `|r| <= ln(2) / 2` and a Taylor polynomial of degree 7 for
    /// `e^r`, whose remainder is below 6e-9; within 3e-7 of the true value.
    /// Beyond +-87, where the result would be subnormal or too large, it is that
    /// of 87.
    #[inline(always)]
    fn exp_of_minus(self) -> Self {
        const EDGE: f32 = 87.0;
        // Adding it rounds to a whole number, in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        // ln 2 in two parts; n times the first, of 9 bits, is exact.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let y = -self;
        // Comparisons that let NaN through.
        let y = if y > EDGE { EDGE } else { y };
        let y = if y < -EDGE { -EDGE } else { y };
        let shifted = y * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (y - n * LN_2_HIGH) - n * LN_2_LOW;
        let mut power = 1.0 / 5040.0;
        power = power * r + 1.0 / 720.0;
        power = power * r + 1.0 / 120.0;
        power = power * r + 1.0 / 24.0;
        power = power * r + 1.0 / 6.0;
        power = power * r + 0.5;
        power = power * r + 1.0;
        power = power * r + 1.0;
        // The exponent's bits of 2^n.
        let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
        power * f32::from_bits(exponent.wrapping_add(127) << 23)
    }
}

/// A function that runs a copy of its loop compiled for AVX2 where there is one.
macro_rules! widest {
    ($(fn $name:ident($($argument:ident: $kind:ty),+ $(,)?) $body:block)+) => {$(
        pub(crate) fn $name<T: Number>($($argument: $kind),+) {
            #[inline(always)]
            fn portable<T: Number>($($argument: $kind),+) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2<T: Number>($($argument: $kind),+) {
                portable($($argument),+);
            }

            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, all that the function asks for.
                unsafe { avx2($($argument),+) };
                return;
            }
            portable($($argument),+);
        }
    )+};
}

widest! {
    fn sigmoid(values: &mut [T], biases: &[T]) {
        for row in values.chunks_exact_mut(biases.len()) {
            for (value, bias) in row.iter_mut().zip(biases) {
                *value = T::ONE / (T::ONE + (*value + *bias).exp_of_minus());
            }
        }
    }

    fn relu(values: &mut [T], biases: &[T]) {
        for row in values.chunks_exact_mut(biases.len()) {
            for (value, bias) in row.iter_mut().zip(biases) {
                let sum = *value + *bias;
                // NaN stays.
                *value = if sum < T::ZERO { T::ZERO } else { sum };
            }
        }
    }

    fn sigmoid_back(gradient: &mut [T], outputs: &[T], sums: &mut [T]) {
        let rows = gradient.chunks_exact_mut(sums.len());
        for (gradient, outputs) in rows.zip(outputs.chunks_exact(sums.len())) {
            for ((gradient, y), sum) in gradient.iter_mut().zip(outputs).zip(&mut *sums) {
                *gradient = *gradient * (*y * (T::ONE - *y));
                *sum = *sum + *gradient;
            }
        }
    }

    fn relu_back(gradient: &mut [T], outputs: &[T], sums: &mut [T]) {
        let rows = gradient.chunks_exact_mut(sums.len());
        for (gradient, outputs) in rows.zip(outputs.chunks_exact(sums.len())) {
            for ((gradient, y), sum) in gradient.iter_mut().zip(outputs).zip(&mut *sums) {
                *gradient = if *y > T::ZERO { *gradient } else { T::ZERO };
                *sum = *sum + *gradient;
            }
        }
    }

    fn lstm(gates: &mut [T], before: &[T], cells: &mut [T], squashed: &mut [T], outputs: &mut [T], units: usize) {
        let rows = gates.chunks_exact_mut(4 * units).zip(before.chunks_exact(units));
        let written = cells.chunks_exact_mut(units).zip(squashed.chunks_exact_mut(units));
        let written = written.zip(outputs.chunks_exact_mut(units));
        for ((gates, before), ((cells, squashed), outputs)) in rows.zip(written) {
            let (input, rest) = gates.split_at_mut(units);
            let (forget, rest) = rest.split_at_mut(units);
            let (candidate, output) = rest.split_at_mut(units);
            for gate in [&mut *input, &mut *forget, &mut *output] {
                for x in gate {
                    *x = T::ONE / (T::ONE + x.exp_of_minus());
                }
            }
            for x in &mut *candidate {
                *x = x.tanh();
            }
            for j in 0..units {
                cells[j] = forget[j] * before[j] + input[j] * candidate[j];
            }
            for j in 0..units {
                squashed[j] = cells[j].tanh();
                outputs[j] = output[j] * squashed[j];
            }
        }
    }

    fn lstm_back(gates: &mut [T], before: &[T], squashed: &[T], outputs: &[T], cells: &mut [T], units: usize) {
        let rows = gates.chunks_exact_mut(4 * units).zip(before.chunks_exact(units));
        let gradients = outputs.chunks_exact(units).zip(cells.chunks_exact_mut(units));
        let read = squashed.chunks_exact(units).zip(gradients);
        for ((gates, before), (squashed, (outputs, cells))) in rows.zip(read) {
            let (input, rest) = gates.split_at_mut(units);
            let (forget, rest) = rest.split_at_mut(units);
            let (candidate, output) = rest.split_at_mut(units);
            for j in 0..units {
                let (i, f, g, o) = (input[j], forget[j], candidate[j], output[j]);
                let (tanh, by_output) = (squashed[j], outputs[j]);
                let by_cell = cells[j] + by_output * o * (T::ONE - tanh * tanh);
                input[j] = by_cell * g * i * (T::ONE - i);
                forget[j] = by_cell * before[j] * f * (T::ONE - f);
                candidate[j] = by_cell * i * (T::ONE - g * g);
                output[j] = by_output * tanh * o * (T::ONE - o);
                cells[j] = by_cell * f;
            }
        }
    }

    fn adam(values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], step: AdamStep<T>) {
        let means = first.iter_mut().zip(second);
        for ((value, gradient), (m, v)) in values.iter_mut().zip(gradient).zip(means) {
            *m = *m + (*gradient - *m) * step.first_weight;
            *v = *v + (*gradient * *gradient - *v) * step.second_weight;
            *value = *value - *m * step.rate / (v.root() + step.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_that_of_double_precision_to_the_rounding() {
        for i in -32_000..=32_000_i16 {
            let x = f32::from(i) * 2.5e-3;
            let mut y = [x];
            sigmoid(&mut y, &[0.0]);
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(y[0]) / exact - 1.0).abs();
            assert!(error < 4e-7, "{x}: {} {exact}", y[0]);
        }
    }

    #[test]
    fn the_sigmoid_of_large_numbers_is_0_and_1_and_nan_stays() {
        let mut y = [
            -1e30_f32,
            -100.0,
            100.0,
            1e30,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        sigmoid(&mut y, &[0.0]);
        assert!(y[0] < 1e-37 && y[1] < 1e-37 && y[5] < 1e-37);
        assert_eq!(y[2..5], [1.0; 3]);
        let mut nan = [f32::NAN, 1.0];
        sigmoid(&mut nan, &[0.0]);
        assert!(nan[0].is_nan() && !nan[1].is_nan());
        let mut nan = [f32::NAN, 1.0];
        relu(&mut nan, &[0.0]);
        assert!(nan[0].is_nan() && nan[1] == 1.0);
    }

    /// One unit by hand, in double precision: the formulas are those of Hochreiter
    /// and Schmidhuber with forget gates, as PyTorch's LSTM has them.
    #[test]
    fn an_lstm_cell_and_its_gradients_are_those_of_the_formulas() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let inputs = [0.3, -0.2, 0.8, 0.1];
        let before = 0.5;
        let run = |x: [f64; 4], before: f64| {
            let (mut gates, mut rest) = (x, [[0.0]; 3]);
            let [cells, squashed, outputs] = &mut rest;
            lstm(&mut gates, &[before], cells, squashed, outputs, 1);
            (gates, cells[0], squashed[0], outputs[0])
        };
        let (gates, cell, squashed, output) = run(inputs, before);
        let wanted = sigmoid(-0.2) * before + sigmoid(0.3) * 0.8_f64.tanh();
        assert!((cell - wanted).abs() < 1e-15 && (squashed - cell.tanh()).abs() < 1e-15);
        assert!((output - sigmoid(0.1) * wanted.tanh()).abs() < 1e-15);

        // Of the loss 2 h + 3 c.
        let (mut by_input, mut by_cell) = (gates, [3.0]);
        lstm_back(
            &mut by_input,
            &[before],
            &[squashed],
            &[2.0],
            &mut by_cell,
            1,
        );
        let loss = |x, before| {
            let (_, cell, _, output) = run(x, before);
            2.0 * output + 3.0 * cell
        };
        let step = 1e-6;
        for (k, exact) in by_input.into_iter().enumerate() {
            let (mut above, mut below) = (inputs, inputs);
            above[k] += step;
            below[k] -= step;
            let slope = (loss(above, before) - loss(below, before)) / (2.0 * step);
            assert!((exact - slope).abs() < 1e-9, "{k}: {exact} {slope}");
        }
        let slope = (loss(inputs, before + step) - loss(inputs, before - step)) / (2.0 * step);
        assert!((by_cell[0] - slope).abs() < 1e-9);
    }

    #[test]
    fn the_hyperbolic_tangent_is_that_of_double_precision_to_the_rounding() {
        for i in -9_000..=9_000_i16 {
            let x = f32::from(i) * 1e-3;
            let error = (f64::from(Number::tanh(x)) - f64::from(x).tanh()).abs();
            assert!(error < 4e-7, "{x}: {error}");
        }
        assert!(Number::tanh(f32::NAN).is_nan());
        assert_eq!((Number::tanh(1e9_f32), Number::tanh(-1e9_f32)), (1.0, -1.0));
    }

    #[test]
    fn biases_are_added_to_each_row_and_gradients_summed_over_rows() {
        let mut y = [1.0, -1.0, -2.0, 3.0];
        relu(&mut y, &[0.5, 0.25]);
        assert_eq!(y, [1.5, 0.0, 0.0, 3.25]);
        let (mut gradient, mut sums) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0]);
        relu_back(&mut gradient, &y, &mut sums);
        assert_eq!((gradient, sums), ([1.0, 0.0, 0.0, 4.0], [11.0, 24.0]));
        let (mut gradient, mut sums) = ([1.0, 2.0], [0.0]);
        sigmoid_back(&mut gradient, &[0.5, 0.25], &mut sums);
        assert_eq!((gradient, sums), ([0.25, 0.375], [0.625]));
    }
}
