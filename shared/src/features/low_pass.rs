//! Low-pass filtered prices: a Fourier transform of which only the lowest
//! frequency bins are kept.
//!
//! [`global`] sees the whole series, future included. [`expanding`] computes
//! each value from the prices up to its row; since its weights depend on the
//! row and the number of bins alone, all assets share them, and the whole is the
//! product of a triangular matrix with the prices.

use std::f64::consts::PI;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pipewright_matmul::{Matrix, Write, multiply};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::error::FeatureError;
use crate::training_template::FftEdge;
use pipewright_matmul::parallel;

/// Rows that one unit of work covers.
const BLOCK: usize = 64;

/// The real Fourier transform of `prices` with the bins 0 to `bins` kept and
/// transformed back. Depends on the whole series.
///
/// # Errors
/// Unless `1 <= bins` and `2 bins < n`: the Nyquist bin is never kept.
pub fn global(prices: &[f64], bins: usize) -> Result<Vec<f64>, FeatureError> {
    Ok(Global::new(prices.len(), &[bins])?
        .columns(prices)
        .swap_remove(0))
}

/// [`global`] for many series of one length and many numbers of bins: what
/// depends on the length alone is computed once, a series' spectrum once for all
/// numbers of bins.
pub struct Global {
    steps: Vec<usize>,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
}

impl Global {
    /// For series of `n` prices and these numbers of bins.
    ///
    /// # Errors
    /// Those of [`global`].
    pub fn new(n: usize, steps: &[usize]) -> Result<Self, FeatureError> {
        for bins in steps {
            check_steps(*bins, n, bins.saturating_mul(2).saturating_add(1))?;
        }
        let mut planner = FftPlanner::new();
        Ok(Self {
            steps: steps.to_vec(),
            forward: planner.plan_fft_forward(n),
            inverse: planner.plan_fft_inverse(n),
        })
    }

    /// A column for each number of bins.
    ///
    /// # Panics
    /// If there are more or fewer prices than were announced.
    pub fn columns(&self, prices: &[f64]) -> Vec<Vec<f64>> {
        let n = prices.len();
        assert_eq!(n, self.forward.len(), "a transform is for one length");
        let mut spectrum: Vec<Complex<f64>> =
            prices.iter().map(|x| Complex::new(*x, 0.0)).collect();
        self.forward.process(&mut spectrum);
        let scale = 1.0 / count(n);
        let column = |bins: &usize| {
            // Bin n - j is the conjugate of bin j; the two make one real frequency.
            let mut kept = vec![Complex::new(0.0, 0.0); n];
            kept[..=*bins].copy_from_slice(&spectrum[..=*bins]);
            kept[n - bins..].copy_from_slice(&spectrum[n - bins..]);
            self.inverse.process(&mut kept);
            kept.iter().map(|z| z.re * scale).collect()
        };
        self.steps.iter().map(column).collect()
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Global")
            .field("length", &self.forward.len())
            .field("steps", &self.steps)
            .finish()
    }
}

/// The causal low-pass of every asset for every number of bins: for row `t`
/// the prefix `x[..=t]` of n = t + 1 prices is continued at its `edge`,
/// transformed, cut, transformed back, and the value at row `t` kept.
///
/// `mirror` continues the prefix by its reverse and keeps bins 0 to 2k of the
/// 2n; `periodic` keeps bins 0 to k of the n. Rows with n <= 2k + 1 are missing
/// (NaN), since there every bin would be kept.
///
/// `prices` holds one column an asset, all of one length and finite. The result
/// is indexed by asset, then by position in `steps`. O(rows^2 assets steps) time.
///
/// # Errors
/// A step k of 0, or with 2k + 2 > rows: the column would hold no value.
pub fn expanding(
    prices: &[&[f64]],
    steps: &[usize],
    edge: FftEdge,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<Vec<f64>>>, FeatureError> {
    let Some(rows) = prices.first().map(|column| column.len()) else {
        return Ok(Vec::new());
    };
    for bins in steps {
        check_steps(*bins, rows, first_complete(*bins).saturating_add(1))?;
    }
    let mut columns = vec![vec![vec![f64::NAN; rows]; steps.len()]; prices.len()];
    let blocks = rows.div_ceil(BLOCK);
    // Where each block's values go: for each asset and step, its rows.
    let mut places: Vec<Vec<&mut [f64]>> = (0..blocks).map(|_| Vec::new()).collect();
    for column in columns.iter_mut().flatten() {
        for (block, part) in column.chunks_mut(BLOCK).enumerate() {
            places[block].push(part);
        }
    }
    let places: Vec<Mutex<Vec<&mut [f64]>>> = places.into_iter().map(Mutex::new).collect();
    let together = prices.concat();
    let prices = Matrix::new(&together, prices.len(), rows);
    // The last blocks cost most: begin with them, so that threads end together.
    parallel::map(
        blocks,
        threads,
        |i| {
            let block = blocks - 1 - i;
            let range = block * BLOCK..rows.min((block + 1) * BLOCK);
            // Each is locked once.
            let mut places = places[block].lock().unwrap_or_else(PoisonError::into_inner);
            write_block(&mut places, prices, steps, edge, range);
        },
        progress,
    );
    drop(places);
    Ok(columns)
}

/// The first row at which the expanding low-pass has a value.
pub fn first_complete(bins: usize) -> usize {
    bins.saturating_mul(2).saturating_add(1)
}

fn check_steps(steps: usize, rows: usize, needed: usize) -> Result<(), FeatureError> {
    if steps == 0 || rows < needed {
        return Err(FeatureError::LowPass {
            asset: None,
            steps,
            needed,
            rows,
        });
    }
    Ok(())
}

/// Writes the values of the rows in `range`: for each asset and step, to the
/// next of `places`.
fn write_block(
    places: &mut [&mut [f64]],
    prices: Matrix<'_, f64>,
    steps: &[usize],
    edge: FftEdge,
    range: std::ops::Range<usize>,
) {
    let (size, end) = (range.len(), range.end);
    // For each step and row, the weight of every price up to the block's last;
    // those after the row weigh nothing.
    let mut weights = vec![0.0; steps.len() * size * end];
    let mut sines = Sines::default();
    for (i, row) in range.clone().enumerate() {
        sines.set_row(row, edge);
        for (step, bins) in steps.iter().enumerate() {
            if row >= first_complete(*bins) {
                let start = (step * size + i) * end;
                sines.weights(*bins, &mut weights[start..=start + row]);
            }
        }
    }
    let per_asset = steps.len() * size;
    let mut values = vec![0.0; places.len() * size];
    multiply(
        &mut values,
        Write::Replace,
        prices.columns(0..end),
        Matrix::new(&weights, per_asset, end).transposed(),
    );
    let steps = steps.iter().cycle();
    for ((place, values), bins) in places.iter_mut().zip(values.chunks_exact(size)).zip(steps) {
        let missing = first_complete(*bins).clamp(range.start, end) - range.start;
        place[missing..].copy_from_slice(&values[missing..]);
    }
}

/// The sines that the weights of one row are made of, for all steps.
struct Sines {
    edge: FftEdge,
    /// n, the length of the prefix.
    n: usize,
    /// `sin(pi j / (2 n))` for j in 0..4n (mirror), `sin(pi j / n)` for
    /// j in 0..2n (periodic): one full turn.
    sines: Vec<f64>,
    /// 1 over each of those at 1 to n (mirror) or n - 1.
    inverses: Vec<f64>,
}

impl Default for Sines {
    fn default() -> Self {
        Self {
            edge: FftEdge::Mirror,
            n: 0,
            sines: Vec::new(),
            inverses: Vec::new(),
        }
    }
}

impl Sines {
    fn set_row(&mut self, row: usize, edge: FftEdge) {
        /// Sines of as many neighbours come from one by the addition theorem.
        const STRIDE: usize = 64;
        self.edge = edge;
        self.n = row + 1;
        // A quarter turn is computed, the rest is its reflections.
        let (half, divided_by) = match edge {
            FftEdge::Mirror => (2 * self.n, 1..self.n + 1),
            FftEdge::Periodic => (self.n, 1..self.n),
        };
        self.sines.resize(2 * half, 0.0);
        let unit = PI / count(half);
        let near: [(f64, f64); STRIDE] = std::array::from_fn(|j| (unit * count(j)).sin_cos());
        let quarter = &mut self.sines[..=half / 2];
        for (i, sines) in quarter.chunks_mut(STRIDE).enumerate() {
            let (sine, cosine) = (unit * count(i * STRIDE)).sin_cos();
            for (value, (near_sine, near_cosine)) in sines.iter_mut().zip(&near) {
                *value = sine * near_cosine + cosine * near_sine;
            }
        }
        self.sines.copy_within(1..half.div_ceil(2), half / 2 + 1);
        self.sines[half / 2 + 1..half].reverse();
        self.sines[half] = 0.0;
        let (first, second) = self.sines.split_at_mut(half);
        for (value, sine) in second.iter_mut().zip(first) {
            *value = -*sine;
        }
        self.inverses.clear();
        let inverse = |sine: &f64| 1.0 / sine;
        self.inverses
            .extend(self.sines[divided_by].iter().map(inverse));
    }

    /// Writes the weights of this row's n prices, oldest first.
    fn weights(&self, bins: usize, weights: &mut [f64]) {
        let turn = self.sines.len();
        match self.edge {
            FftEdge::Mirror => {
                // D(a) = sin((2k + 1/2) a) / sin(a / 2) at a = pi m / n, for
                // m = 0..=n; both sines are entries of the table. The factor is
                // less than a turn, since n > 2 bins + 1.
                let factor = 4 * bins + 1;
                let scale = 0.5 / count(self.n);
                let mut index = 0;
                let mut kernel = count(factor);
                for (weight, inverse) in weights.iter_mut().rev().zip(&self.inverses) {
                    index += factor;
                    if index >= turn {
                        index -= turn;
                    }
                    let next = self.sines[index] * inverse;
                    *weight = (kernel + next) * scale;
                    kernel = next;
                }
            }
            FftEdge::Periodic => {
                // Less than a turn as well.
                let factor = 2 * bins + 1;
                let scale = 1.0 / count(self.n);
                let mut index = 0;
                let Some((newest, older)) = weights.split_last_mut() else {
                    return;
                };
                *newest = count(factor) * scale;
                for (weight, inverse) in older.iter_mut().rev().zip(&self.inverses) {
                    index += factor;
                    if index >= turn {
                        index -= turn;
                    }
                    *weight = self.sines[index] * inverse * scale;
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The low-pass of a whole series by the sums of its definition.
    fn by_definition(x: &[f64], bins: usize) -> Vec<f64> {
        let n = x.len();
        let angle = |j: usize, t: usize| 2.0 * PI * count(j * t % n) / count(n);
        (0..n)
            .map(|row| {
                (0..=bins)
                    .map(|j| {
                        let (mut re, mut im) = (0.0, 0.0);
                        for (t, value) in x.iter().enumerate() {
                            re += value * angle(j, t).cos();
                            im -= value * angle(j, t).sin();
                        }
                        let twice = if j == 0 { 1.0 } else { 2.0 };
                        twice * (re * angle(j, row).cos() - im * angle(j, row).sin()) / count(n)
                    })
                    .sum()
            })
            .collect()
    }

    fn largest(x: &[f64]) -> f64 {
        x.iter().fold(0.0, |most, v| v.abs().max(most))
    }

    fn close(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-11 * scale.max(1e-300)
    }

    fn one(x: &[f64], bins: usize, edge: FftEdge) -> Vec<f64> {
        let columns = expanding(&[x], &[bins], edge, 1, &mut |_, _| ()).unwrap();
        columns[0][0].clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_global_low_pass_is_the_definitions(
            x in prop::collection::vec(-1e3..1e3_f64, 3..80), bins in 1..20_usize,
        ) {
            prop_assume!(2 * bins < x.len());
            let fast = global(&x, bins).unwrap();
            for (a, b) in fast.iter().zip(by_definition(&x, bins)) {
                prop_assert!(close(*a, b, largest(&x)), "{a} {b}");
            }
        }

        #[test]
        fn the_mirrored_low_pass_is_that_of_the_prefix_and_its_reverse(
            x in prop::collection::vec(-1e3..1e3_f64, 10..90), bins in 1..4_usize,
        ) {
            let fast = one(&x, bins, FftEdge::Mirror);
            for row in 2 * bins + 1..x.len() {
                let mirrored: Vec<f64> = x[..=row].iter().chain(x[..=row].iter().rev()).copied().collect();
                let slow = by_definition(&mirrored, 2 * bins)[row];
                prop_assert!(close(fast[row], slow, largest(&x)), "{} {slow}", fast[row]);
            }
        }

        #[test]
        fn the_periodic_low_pass_is_that_of_the_prefix(
            x in prop::collection::vec(-1e3..1e3_f64, 10..90), bins in 1..4_usize,
        ) {
            let fast = one(&x, bins, FftEdge::Periodic);
            for row in 2 * bins + 1..x.len() {
                let slow = by_definition(&x[..=row], bins)[row];
                prop_assert!(close(fast[row], slow, largest(&x)), "{} {slow}", fast[row]);
            }
        }
    }

    #[test]
    fn rows_that_would_keep_every_bin_are_missing() {
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        for edge in [FftEdge::Mirror, FftEdge::Periodic] {
            let y = one(&x, 3, edge);
            assert_eq!(y.iter().take_while(|v| v.is_nan()).count(), 7);
            assert!(y[7..].iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn a_constant_series_passes_unchanged() {
        let x = [7.0; 50];
        for edge in [FftEdge::Mirror, FftEdge::Periodic] {
            assert!(one(&x, 3, edge)[7..].iter().all(|v| close(*v, 7.0, 7.0)));
        }
        assert!(global(&x, 3).unwrap().iter().all(|v| close(*v, 7.0, 7.0)));
    }

    #[test]
    fn too_few_rows_for_a_step_are_refused_and_the_least_number_is_named() {
        let refused = |needed| {
            Err(FeatureError::LowPass {
                asset: None,
                steps: 3,
                needed,
                rows: 2,
            })
        };
        assert_eq!(global(&[1.0, 2.0], 3), refused(7).map(|(): ()| vec![]));
        let expanded = expanding(&[&[1.0, 2.0]], &[3], FftEdge::Mirror, 1, &mut |_, _| ());
        assert_eq!(expanded, refused(8).map(|(): ()| vec![]));
        assert!(global(&[1.0, 2.0, 3.0], 0).is_err());
        assert!(global(&[], usize::MAX).is_err());
        assert!(
            global(&[1.0; 6], 3).is_err(),
            "the Nyquist bin is never kept"
        );
        assert!(global(&[1.0; 7], 3).is_ok());
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let x: Vec<f64> = (0..300).map(|i| f64::from(i % 17) * 1.37).collect();
        let run = |threads| {
            let columns = expanding(
                &[&x, &x[..]],
                &[3, 9],
                FftEdge::Mirror,
                threads,
                &mut |_, _| (),
            );
            columns
                .unwrap()
                .concat()
                .concat()
                .into_iter()
                .map(f64::to_bits)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(3));
    }
}
