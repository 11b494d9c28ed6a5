//! Low-pass filtered prices: a Fourier transform of which only the lowest
//! frequency bins are kept.
//!
//! [`global`] sees the whole series, future included. [`expanding`] computes
//! each value from the prices up to its row; since its weights depend on the
//! row and the number of bins alone, all assets share them.

use std::f64::consts::PI;

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use super::error::FeatureError;
use super::parallel;
use crate::training_template::FftEdge;

/// Rows that one unit of work covers.
const BLOCK: usize = 64;

/// The real Fourier transform of `prices` with the bins 0 to `bins` kept and
/// transformed back. Depends on the whole series.
///
/// # Errors
/// Unless `1 <= bins` and `2 bins < n`: the Nyquist bin is never kept.
pub fn global(prices: &[f64], bins: usize) -> Result<Vec<f64>, FeatureError> {
    let n = prices.len();
    check_steps(bins, n, bins.saturating_mul(2).saturating_add(1))?;
    let mut planner = FftPlanner::new();
    let mut spectrum: Vec<Complex<f64>> = prices.iter().map(|x| Complex::new(*x, 0.0)).collect();
    planner.plan_fft_forward(n).process(&mut spectrum);
    // Bin n - j is the conjugate of bin j; the two make one real frequency.
    for bin in &mut spectrum[bins + 1..n - bins] {
        *bin = Complex::new(0.0, 0.0);
    }
    planner.plan_fft_inverse(n).process(&mut spectrum);
    let scale = 1.0 / count(n);
    Ok(spectrum.iter().map(|z| z.re * scale).collect())
}

/// The causal low-pass of every asset for every number of bins: for row `t`
/// the prefix `x[..=t]` of n = t + 1 prices is continued at its `edge`,
/// transformed, cut, transformed back, and the value at row `t` kept.
///
/// `mirror` continues the prefix by its reverse and keeps bins 0 to 2k of the
/// 2n; `periodic` keeps bins 0 to k of the n. Rows with n <= 2k + 1 are missing
/// (NaN), since there every bin would be kept.
///
/// `prices` holds one column an asset, all of one length. The result is indexed
/// by asset, then by position in `steps`. O(rows^2 assets steps) time.
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
    // The last blocks cost most: begin with them, so that threads end together.
    let results = parallel::map(
        blocks,
        threads,
        |i| {
            let block = blocks - 1 - i;
            let range = block * BLOCK..rows.min((block + 1) * BLOCK);
            block_values(prices, steps, edge, range)
        },
        progress,
    );
    for (i, values) in results.into_iter().enumerate() {
        let from = (blocks - 1 - i) * BLOCK;
        let size = BLOCK.min(rows - from);
        for (asset, columns) in columns.iter_mut().enumerate() {
            for (step, column) in columns.iter_mut().enumerate() {
                let start = (asset * steps.len() + step) * size;
                column[from..from + size].copy_from_slice(&values[start..start + size]);
            }
        }
    }
    Ok(columns)
}

/// The first row at which the expanding low-pass has a value.
pub fn first_complete(bins: usize) -> usize {
    bins.saturating_mul(2).saturating_add(1)
}

fn check_steps(steps: usize, rows: usize, needed: usize) -> Result<(), FeatureError> {
    if steps == 0 || rows < needed {
        return Err(FeatureError::LowPass {
            steps,
            needed,
            rows,
        });
    }
    Ok(())
}

/// Values of the rows in `range`: for each asset and step, those of the block.
fn block_values(
    prices: &[&[f64]],
    steps: &[usize],
    edge: FftEdge,
    range: std::ops::Range<usize>,
) -> Vec<f64> {
    let size = range.len();
    let mut values = vec![f64::NAN; prices.len() * steps.len() * size];
    let mut weights = Weights::default();
    for row in range.clone() {
        weights.set_row(row, edge);
        for (step, bins) in steps.iter().enumerate() {
            if row < first_complete(*bins) {
                continue;
            }
            let weights = weights.of(*bins);
            for (asset, column) in prices.iter().enumerate() {
                let place = (asset * steps.len() + step) * size + (row - range.start);
                values[place] = dot(weights, &column[..=row]);
            }
        }
    }
    values
}

/// The weights of one row, from one table of sines for all steps.
struct Weights {
    edge: FftEdge,
    /// n, the length of the prefix.
    n: usize,
    /// `sin(pi j / (2 n))` for j in 0..4n (mirror), `sin(pi j / n)` for
    /// j in 0..2n (periodic): one full turn.
    sines: Vec<f64>,
    /// Weight of each price of the prefix, oldest first.
    weights: Vec<f64>,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            edge: FftEdge::Mirror,
            n: 0,
            sines: Vec::new(),
            weights: Vec::new(),
        }
    }
}

impl Weights {
    fn set_row(&mut self, row: usize, edge: FftEdge) {
        self.edge = edge;
        self.n = row + 1;
        // A quarter turn is computed, the rest is its reflections.
        let half = match edge {
            FftEdge::Mirror => 2 * self.n,
            FftEdge::Periodic => self.n,
        };
        self.sines.clear();
        self.sines.resize(2 * half, 0.0);
        let unit = PI / count(half);
        for j in 0..=half / 2 {
            let sine = (unit * count(j)).sin();
            self.sines[j] = sine;
            self.sines[half - j] = sine;
            if j > 0 {
                self.sines[half + j] = -sine;
                self.sines[2 * half - j] = -sine;
            }
        }
    }

    fn of(&mut self, bins: usize) -> &[f64] {
        let n = self.n;
        self.weights.clear();
        self.weights.resize(n, 0.0);
        let turn = self.sines.len();
        match self.edge {
            FftEdge::Mirror => {
                // D(a) = sin((2k + 1/2) a) / sin(a / 2) at a = pi m / n, for
                // m = 0..=n; both sines are entries of the table.
                let factor = 4 * bins + 1;
                let scale = 0.5 / count(n);
                let mut index = 0;
                let mut kernel = count(factor);
                for m in 0..n {
                    index = (index + factor) % turn;
                    let next = self.sines[index] / self.sines[m + 1];
                    self.weights[n - 1 - m] = (kernel + next) * scale;
                    kernel = next;
                }
            }
            FftEdge::Periodic => {
                let factor = 2 * bins + 1;
                let scale = 1.0 / count(n);
                let mut index = 0;
                self.weights[n - 1] = count(factor) * scale;
                for m in 1..n {
                    index = (index + factor) % turn;
                    self.weights[n - 1 - m] = self.sines[index] / self.sines[m] * scale;
                }
            }
        }
        &self.weights
    }
}

/// Inner product with eight running sums, so that it is not one long chain.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    let mut sums = [0.0_f64; 8];
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f64>() + rest
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
