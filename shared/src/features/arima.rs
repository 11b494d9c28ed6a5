//! ARIMA(p, d, 0): an autoregression of the d-th differences of a price, fitted
//! by exact Gaussian maximum likelihood, and its one-step-ahead predictions.
//!
//! The changes `w[t]`, which are `x[t] - x[t-1]` for d = 1, the prices themselves
//! for d = 0 and the changes of changes for d = 2, follow
//! `w[t] = sum_i phi[i] w[t-i] + e[t]`, `e` normal with variance `sigma2`, no
//! constant. The likelihood is the exact one of the stationary process: the first
//! p changes are predicted from those before them as their autocovariances
//! demand, not conditioned upon.
//!
//! For a pure autoregression the Kalman filter of the usual state-space form
//! collapses to the Durbin-Levinson recursion: with the partial autocorrelations
//! `r[1..=p]`, the best predictor from k < p values has the order-k coefficients
//! of the recursion and the variance `sigma2 / prod_{j>k} (1 - r[j]^2)`, and from
//! p values on it is the autoregression itself. So a likelihood costs O(p^2)
//! once the lagged changes were reduced to their triangular factor, and every
//! `|r| < 1` is a stationary model.
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | p | coefficients | 5 |
//! | d | differences taken, 0 to 2 | 1 |
//! | training rows | rows the coefficients are learnt from | 0.8 of all, before `endTraining` |
//!
//! Source of the parametrisation: Jones (1980), Technometrics 22(3).

use std::f64::consts::PI;

use thiserror::Error;

/// Iterations of the optimiser; it takes about ten.
const MOST_ITERATIONS: usize = 200;

/// The optimiser stops when no component of the gradient, per observation, is
/// larger than this.
const GRADIENT_TOLERANCE: f64 = 1e-9;

/// A gradient as small as this is as good as none where rounding hides a lower
/// value: the coefficients are then exact to about as much.
const ROUNDED_GRADIENT: f64 = 1e-6;

/// Partial autocorrelations stay this far from 1, where the variance of the
/// process is infinite.
const MARGIN: f64 = 1e-9;

/// Why no model was fitted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArimaError {
    /// Too few prices.
    #[error("ARIMA({p},{d},0) needs at least {needed} training rows, but there are {rows}")]
    TooFewRows {
        /// Coefficients.
        p: usize,
        /// Differences taken.
        d: usize,
        /// Prices to train on.
        rows: usize,
        /// The least number.
        needed: usize,
    },
}

/// The least number of prices that ARIMA(p, d, 0) is fitted to.
pub fn rows_needed(p: usize) -> usize {
    30.max(3 * (p + 1))
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Arima {
    model: Autoregression,
    /// Differences taken.
    d: usize,
    /// The change that every training row has, when all are equal: then there
    /// is nothing to fit, and predictions add this change.
    constant_change: Option<f64>,
    sigma2: f64,
    log_likelihood: f64,
    converged: bool,
}

impl Arima {
    /// Fits ARIMA(p, d, 0) to training prices (finite), d from 0 to 2.
    ///
    /// # Errors
    /// Fewer than max(30, 3 (p + 1)) prices.
    ///
    /// # Panics
    /// If `d` is above 2.
    pub fn fit(prices: &[f64], p: usize, d: usize) -> Result<Self, ArimaError> {
        let needed = rows_needed(p);
        if prices.len() < needed {
            let rows = prices.len();
            return Err(ArimaError::TooFewRows { p, d, rows, needed });
        }
        let changes = differences(prices, d);
        if let Some(change) = common_change(prices, &changes, d) {
            return Ok(Self {
                model: Autoregression::from_partial(&vec![0.0; p]),
                d,
                constant_change: Some(change),
                sigma2: 0.0,
                log_likelihood: f64::INFINITY,
                converged: true,
            });
        }
        // In units of the largest change, so that squares neither over- nor
        // underflow.
        let unit = largest(&changes);
        let scaled: Vec<f64> = changes.iter().map(|w| w / unit).collect();
        let likelihood = Likelihood::new(&scaled, p);
        let start: Vec<f64> = burg(&scaled, p).iter().map(|r| unconstrain(*r)).collect();
        let (best, converged) = minimise(|x| likelihood.objective(&constrain(x)), start);
        let partial = constrain(&best);
        let sigma2 = likelihood.variance(&partial);
        let observations = count(changes.len());
        Ok(Self {
            model: Autoregression::from_partial(&partial),
            d,
            constant_change: None,
            sigma2: sigma2 * unit * unit,
            // The density of the changes, so the unit comes off again.
            log_likelihood: -observations * (likelihood.objective(&partial) + unit.ln()),
            converged,
        })
    }

    /// The coefficients phi[1..=p].
    pub fn coefficients(&self) -> &[f64] {
        self.model.coefficients()
    }

    /// The variance of the prediction error, in squared prices.
    pub fn sigma2(&self) -> f64 {
        self.sigma2
    }

    /// The log-likelihood of the training changes; infinite where they are all
    /// equal.
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// The change shared by all training rows, if there is one.
    pub fn constant_change(&self) -> Option<f64> {
        self.constant_change
    }

    /// Whether the optimiser reached its tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// One-step-ahead predictions: element t is the prediction of `prices[t]`
    /// from `prices[..t]`. Rows before [`first_predicted`] are missing (NaN).
    pub fn predict(&self, prices: &[f64]) -> Vec<f64> {
        match self.constant_change {
            None => self.model.predict(prices, self.d),
            Some(change) => predictions(prices, self.d, |_| change),
        }
    }
}

/// The first row that ARIMA(p, d, 0) predicts: before it there is nothing to
/// predict from.
pub fn first_predicted(d: usize) -> usize {
    d.max(1)
}

/// The d-th differences, d fewer than there are values.
///
/// # Panics
/// If `d` is above 2.
fn differences(values: &[f64], d: usize) -> Vec<f64> {
    assert!(d <= 2, "differences are taken at most twice");
    let mut values = values.to_vec();
    for _ in 0..d {
        values = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    }
    values
}

/// Predictions of prices from predictions of their d-th differences: `change(t)`
/// is that of the difference with index t, which belongs to row t + d.
fn predictions(prices: &[f64], d: usize, change: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..prices.len())
        .map(|t| {
            if t < first_predicted(d) {
                return f64::NAN;
            }
            let before = match d {
                0 => 0.0,
                1 => prices[t - 1],
                _ => prices[t - 1] + (prices[t - 1] - prices[t - 2]),
            };
            before + change(t - d)
        })
        .collect()
}

/// A stationary autoregression with the predictors from fewer values than it
/// has coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoregression {
    /// `orders[k]` holds the k coefficients that predict from k values.
    orders: Vec<Vec<f64>>,
}

impl Autoregression {
    /// From its coefficients, or `None` if they are not those of a stationary
    /// process.
    pub fn new(coefficients: &[f64]) -> Option<Self> {
        let mut orders = vec![coefficients.to_vec()];
        // Durbin-Levinson backwards: order k - 1 from order k.
        while let Some(above) = orders.last().filter(|order| !order.is_empty()) {
            let (r, k) = (above[above.len() - 1], above.len());
            if r.is_nan() || r.abs() >= 1.0 {
                return None;
            }
            let below = (0..k - 1)
                .map(|i| (above[i] + r * above[k - 2 - i]) / (1.0 - r * r))
                .collect();
            orders.push(below);
        }
        orders.reverse();
        Some(Self { orders })
    }

    /// From its partial autocorrelations, each inside (-1, 1).
    fn from_partial(partial: &[f64]) -> Self {
        let mut orders: Vec<Vec<f64>> = vec![Vec::new()];
        for (k, r) in partial.iter().enumerate() {
            let below = &orders[k];
            let mut order: Vec<f64> = (0..k).map(|i| below[i] - r * below[k - 1 - i]).collect();
            order.push(*r);
            orders.push(order);
        }
        Self { orders }
    }

    /// The coefficients phi[1..=p].
    pub fn coefficients(&self) -> &[f64] {
        self.orders.last().map_or(&[], Vec::as_slice)
    }

    /// One-step-ahead predictions of prices whose d-th differences follow this
    /// process. Rows before [`first_predicted`] are missing (NaN); for d = 1,
    /// row 1 is the price of row 0. O(n p) time.
    ///
    /// # Panics
    /// If `d` is above 2.
    pub fn predict(&self, prices: &[f64], d: usize) -> Vec<f64> {
        let changes = differences(prices, d);
        predictions(prices, d, |t| {
            let order = &self.orders[t.min(self.orders.len() - 1)];
            let before = changes[..t].iter().rev();
            before.zip(order).map(|(w, phi)| phi * w).sum()
        })
    }
}

/// The change that all rows share, if there is one, within the rounding of the
/// prices.
fn common_change(prices: &[f64], changes: &[f64], d: usize) -> Option<f64> {
    // Each difference doubles what rounding can do.
    let rounding = [2.0, 4.0, 8.0][d] * f64::EPSILON * largest(prices);
    let (least, most) = changes
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), w| {
            (least.min(*w), most.max(*w))
        });
    let (first, last) = (prices.first()?, prices.last()?);
    (most - least <= rounding).then(|| match d {
        // The mean of the changes, without adding them up.
        1 => (last - first) / count(changes.len()),
        _ => f64::midpoint(least, most),
    })
}

/// The likelihood of changes as a function of partial autocorrelations.
struct Likelihood {
    /// The first p changes.
    head: Vec<f64>,
    /// Upper triangular factor of the rows `(w[t], w[t-1], ... w[t-p])` for
    /// t >= p: for any coefficients, the sum of squared errors is that of this
    /// triangle's rows, without the cancellation of normal equations.
    triangle: Vec<Vec<f64>>,
    observations: usize,
}

impl Likelihood {
    fn new(changes: &[f64], p: usize) -> Self {
        let columns: Vec<Vec<f64>> = (0..=p)
            .map(|lag| changes[p - lag..changes.len() - lag].to_vec())
            .collect();
        Self {
            head: changes[..p].to_vec(),
            triangle: triangle(columns),
            observations: changes.len(),
        }
    }

    /// The sum of squared errors, each in units of its own variance's ratio to
    /// sigma2, and the sum of the logarithms of those ratios.
    fn sums(&self, partial: &[f64]) -> (f64, f64) {
        let model = Autoregression::from_partial(partial);
        let (mut squares, mut logarithms) = (0.0, 0.0);
        // ratio[t] = prod_{j > t} 1 / (1 - r[j]^2), from the last back.
        let mut ratio = 1.0;
        for t in (0..self.head.len()).rev() {
            ratio /= 1.0 - partial[t] * partial[t];
            let predicted: f64 = model.orders[t]
                .iter()
                .enumerate()
                .map(|(i, phi)| phi * self.head[t - 1 - i])
                .sum();
            let error = self.head[t] - predicted;
            squares += error * error / ratio;
            logarithms += ratio.ln();
        }
        let coefficients = model.coefficients();
        for row in &self.triangle {
            let mut error = row[0];
            for (value, phi) in row[1..].iter().zip(coefficients) {
                error -= value * phi;
            }
            squares += error * error;
        }
        (squares, logarithms)
    }

    /// The most likely sigma2 for these partial autocorrelations.
    fn variance(&self, partial: &[f64]) -> f64 {
        self.sums(partial).0 / count(self.observations)
    }

    /// Minus the log-likelihood per observation at the most likely sigma2.
    fn objective(&self, partial: &[f64]) -> f64 {
        let (squares, logarithms) = self.sums(partial);
        let n = count(self.observations);
        0.5 * ((2.0 * PI * squares / n).ln() + 1.0 + logarithms / n)
    }
}

/// The upper triangular factor of a QR decomposition by Householder
/// reflections: rows that have the same inner products as `columns`.
fn triangle(mut columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let size = columns.len();
    let length = columns.first().map_or(0, Vec::len);
    for k in 0..size.min(length) {
        let norm = columns[k][k..].iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            continue;
        }
        let mut reflector = columns[k][k..].to_vec();
        // Away from zero, so that the difference does not cancel.
        reflector[0] += norm.copysign(reflector[0]);
        let squared: f64 = reflector.iter().map(|x| x * x).sum();
        for column in &mut columns[k..] {
            let along: f64 = reflector.iter().zip(&column[k..]).map(|(v, x)| v * x).sum();
            let factor = 2.0 * along / squared;
            for (x, v) in column[k..].iter_mut().zip(&reflector) {
                *x -= factor * v;
            }
        }
    }
    (0..size.min(length))
        .map(|row| {
            (0..size)
                .map(|column| {
                    if column < row {
                        0.0
                    } else {
                        columns[column][row]
                    }
                })
                .collect()
        })
        .collect()
}

/// Burg's partial autocorrelations: near the maximum, and always stationary.
fn burg(changes: &[f64], p: usize) -> Vec<f64> {
    let (mut forward, mut backward) = (changes.to_vec(), changes.to_vec());
    let mut partial = Vec::with_capacity(p);
    for k in 1..=p {
        let pairs = forward[k..].iter().zip(&backward[k - 1..]);
        let (mut cross, mut power) = (0.0, 0.0);
        for (f, b) in pairs {
            cross += f * b;
            power += f * f + b * b;
        }
        let r = if power > 0.0 {
            2.0 * cross / power
        } else {
            0.0
        };
        for t in (k..forward.len()).rev() {
            let (f, b) = (forward[t], backward[t - 1]);
            forward[t] = f - r * b;
            backward[t] = b - r * f;
        }
        partial.push(r);
    }
    partial
}

/// Any number to a partial autocorrelation.
fn constrain(x: &[f64]) -> Vec<f64> {
    x.iter()
        .map(|x| (x / x.hypot(1.0)).clamp(-1.0 + MARGIN, 1.0 - MARGIN))
        .collect()
}

fn unconstrain(r: f64) -> f64 {
    let r = r.clamp(-0.999, 0.999);
    r / (1.0 - r * r).sqrt()
}

/// Minimises `f` from `x` by BFGS with gradients from central differences.
/// Returns the best point and whether the gradient vanished there.
fn minimise(f: impl Fn(&[f64]) -> f64, mut x: Vec<f64>) -> (Vec<f64>, bool) {
    let n = x.len();
    let gradient = |x: &[f64]| -> Vec<f64> {
        let mut probe = x.to_vec();
        (0..n)
            .map(|i| {
                let step = f64::EPSILON.cbrt() * x[i].abs().max(1.0);
                probe[i] = x[i] + step;
                let above = f(&probe);
                probe[i] = x[i] - step;
                let below = f(&probe);
                probe[i] = x[i];
                (above - below) / (2.0 * step)
            })
            .collect()
    };
    let mut inverse = identity(n);
    // Whether `inverse` says nothing yet, so that the direction is the steepest.
    let mut fresh = true;
    let mut value = f(&x);
    let mut slope = gradient(&x);
    for _ in 0..MOST_ITERATIONS {
        if largest(&slope) <= GRADIENT_TOLERANCE {
            return (x, true);
        }
        let mut direction: Vec<f64> = inverse.iter().map(|row| -dot(row, &slope)).collect();
        let mut descent = dot(&direction, &slope);
        if descent >= 0.0 {
            (inverse, fresh) = (identity(n), true);
            direction = slope.iter().map(|g| -g).collect();
            descent = -dot(&slope, &slope);
        }
        // Backtracking to Armijo's condition; a value that is not finite fails.
        let mut length = 1.0;
        let step = loop {
            let candidate: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + length * d)
                .collect();
            let there = f(&candidate);
            if there <= value + 1e-4 * length * descent {
                break Some((candidate, there));
            }
            length *= 0.5;
            if length < 1e-12 {
                break None;
            }
        };
        let Some((next, there)) = step else {
            // What is left may be below what the rounding of f can tell apart.
            let small = largest(&slope) <= ROUNDED_GRADIENT;
            if small || fresh {
                return (x, small);
            }
            // Curvature from steps that rounding has spoilt: begin it anew.
            (inverse, fresh) = (identity(n), true);
            continue;
        };
        let next_slope = gradient(&next);
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_slope.iter().zip(&slope).map(|(a, b)| a - b).collect();
        update(&mut inverse, &s, &y);
        fresh = false;
        (x, value, slope) = (next, there, next_slope);
    }
    let small = largest(&slope) <= ROUNDED_GRADIENT;
    (x, small)
}

/// The BFGS update of an inverse Hessian, left out where curvature is not
/// positive.
fn update(inverse: &mut [Vec<f64>], s: &[f64], y: &[f64]) {
    let curvature = dot(s, y);
    if curvature <= 1e-14 * dot(y, y).sqrt() * dot(s, s).sqrt() {
        return;
    }
    let product: Vec<f64> = inverse.iter().map(|row| dot(row, y)).collect();
    let scale = (1.0 + dot(y, &product) / curvature) / curvature;
    for (i, row) in inverse.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell += scale * s[i] * s[j] - (product[i] * s[j] + s[i] * product[j]) / curvature;
        }
    }
}

fn identity(n: usize) -> Vec<Vec<f64>> {
    (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| x.abs().max(most))
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Minus the log-density per observation of changes under the normal
    /// distribution with the autocovariances of the process, sigma2 at its best,
    /// by the definition: a dense covariance matrix and its Cholesky factor.
    fn by_definition(changes: &[f64], coefficients: &[f64]) -> f64 {
        let n = changes.len();
        // Autocovariances for sigma2 = 1 from the moving-average form.
        let mut psi = vec![1.0];
        for t in 1..4000 {
            let next = coefficients
                .iter()
                .enumerate()
                .filter(|(i, _)| *i < t)
                .map(|(i, phi)| phi * psi[t - 1 - i])
                .sum();
            psi.push(next);
        }
        let covariance =
            |lag: usize| -> f64 { psi.iter().zip(&psi[lag..]).map(|(a, b)| a * b).sum() };
        let mut factor = vec![vec![0.0_f64; n]; n];
        let (mut squares, mut logarithms) = (0.0, 0.0);
        let mut whitened: Vec<f64> = Vec::new();
        for i in 0..n {
            for j in 0..=i {
                let sum: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
                let rest = covariance(i - j) - sum;
                factor[i][j] = if i == j {
                    rest.sqrt()
                } else {
                    rest / factor[j][j]
                };
            }
            let sum: f64 = (0..i).map(|k| factor[i][k] * whitened[k]).sum();
            whitened.push((changes[i] - sum) / factor[i][i]);
            squares += whitened[i] * whitened[i];
            logarithms += 2.0 * factor[i][i].ln();
        }
        0.5 * ((2.0 * PI * squares / count(n)).ln() + 1.0 + logarithms / count(n))
    }

    /// Prices whose changes repeat a pattern that no short model predicts.
    fn prices(n: u32) -> Vec<f64> {
        let mut level = 50.0;
        (0..n)
            .map(|i| {
                level += f64::from(i * i % 37) / 37.0 - 0.48;
                level
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_likelihood_is_the_normal_density_of_the_definition(
            changes in prop::collection::vec(-1.0..1.0_f64, 12..24),
            partial in prop::collection::vec(-0.8..0.8_f64, 0..4),
        ) {
            let model = Autoregression::from_partial(&partial);
            let fast = Likelihood::new(&changes, partial.len()).objective(&partial);
            let slow = by_definition(&changes, model.coefficients());
            prop_assert!((fast - slow).abs() < 1e-9, "{fast} {slow}");
        }

        #[test]
        fn coefficients_and_partial_autocorrelations_tell_the_same(
            partial in prop::collection::vec(-0.9..0.9_f64, 0..6),
        ) {
            let model = Autoregression::from_partial(&partial);
            let again = Autoregression::new(model.coefficients()).unwrap();
            for (a, b) in model.orders.iter().flatten().zip(again.orders.iter().flatten()) {
                prop_assert!((a - b).abs() < 1e-6 * a.abs().max(1.0));
            }
        }

        #[test]
        fn no_small_step_from_the_fit_is_more_likely(
            changes in prop::collection::vec(-1.0..1.0_f64, 40..80),
        ) {
            let prices: Vec<f64> = changes.iter().scan(10.0, |x, w| { *x += w; Some(*x) }).collect();
            let fit = Arima::fit(&prices, 3, 1).unwrap();
            let changes: Vec<f64> = prices.windows(2).map(|p| p[1] - p[0]).collect();
            let likelihood = Likelihood::new(&changes, 3);
            let partial: Vec<f64> = (1..=3).map(|k| fit.model.orders[k][k - 1]).collect();
            let best = likelihood.objective(&partial);
            prop_assert!((fit.log_likelihood() + best * count(changes.len())).abs() < 1e-7);
            for i in 0..3 {
                for step in [-1e-3, 1e-3] {
                    let mut other = partial.clone();
                    other[i] += step;
                    prop_assert!(likelihood.objective(&other) >= best - 1e-12);
                }
            }
        }

        #[test]
        fn any_prices_fit_and_predict_finite_numbers(
            prices in prop::collection::vec(prop_oneof![-1e15..1e15_f64, 0.0..1e-300_f64, Just(1.0)], 30..60),
            d in 0..=2_usize,
        ) {
            let fit = Arima::fit(&prices, 5, d).unwrap();
            let predictions = fit.predict(&prices);
            let (missing, there) = predictions.split_at(first_predicted(d));
            prop_assert!(missing.iter().all(|x| x.is_nan()));
            prop_assert!(there.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn the_first_rows_are_missing_then_the_price_before() {
        let prices = prices(40);
        let predictions = Arima::fit(&prices, 5, 1).unwrap().predict(&prices);
        assert!(predictions[0].is_nan());
        assert_eq!(predictions[1], prices[0]);
        assert_ne!(predictions[2], prices[1]);
    }

    #[test]
    fn without_coefficients_it_is_a_random_walk() {
        let prices = prices(40);
        let fit = Arima::fit(&prices, 0, 1).unwrap();
        assert_eq!(fit.predict(&prices)[1..], prices[..39]);
    }

    #[test]
    fn without_coefficients_two_differences_continue_the_line() {
        let prices = prices(40);
        let line = Arima::fit(&prices, 0, 2).unwrap().predict(&prices);
        assert!(line[0].is_nan() && line[1].is_nan());
        for t in 2..40 {
            assert!((line[t] - (2.0 * prices[t - 1] - prices[t - 2])).abs() < 1e-12);
        }
        let mean = Arima::fit(&prices, 0, 0).unwrap().predict(&prices);
        assert!(mean[0].is_nan() && mean[1..].iter().all(|x| *x == 0.0));
    }

    #[test]
    fn a_parabola_is_predicted_by_its_common_second_difference() {
        let parabola: Vec<f64> = (0..50).map(|i| 3.0 + 0.5 * f64::from(i * i)).collect();
        let fit = Arima::fit(&parabola, 5, 2).unwrap();
        assert_eq!(fit.constant_change(), Some(1.0));
        assert_eq!(fit.predict(&parabola)[2..], parabola[2..]);
        let flat = [7.0; 30];
        assert_eq!(
            Arima::fit(&flat, 5, 0).unwrap().predict(&flat)[1..],
            flat[1..]
        );
    }

    #[test]
    fn equal_changes_are_added_on() {
        let straight: Vec<f64> = (0..50).map(|i| 3.0 + 0.1 * f64::from(i)).collect();
        let fit = Arima::fit(&straight, 5, 1).unwrap();
        assert!((fit.constant_change().unwrap() - 0.1).abs() < 1e-15);
        for (predicted, price) in fit.predict(&straight)[1..].iter().zip(&straight[1..]) {
            assert!((predicted - price).abs() < 1e-13);
        }
        let flat = [7.0; 30];
        assert_eq!(
            Arima::fit(&flat, 5, 1).unwrap().predict(&flat)[1..],
            flat[1..]
        );
    }

    #[test]
    fn changes_that_a_model_predicts_exactly_still_give_finite_predictions() {
        let prices: Vec<f64> = (0..60).map(|i| f64::from(i % 2)).collect();
        let fit = Arima::fit(&prices, 5, 1).unwrap();
        assert!(fit.predict(&prices)[1..].iter().all(|x| x.is_finite()));
    }

    #[test]
    fn too_few_rows_are_refused() {
        assert_eq!(
            Arima::fit(&prices(29), 5, 1),
            Err(ArimaError::TooFewRows {
                p: 5,
                d: 1,
                rows: 29,
                needed: 30
            })
        );
        assert_eq!(
            Arima::fit(&prices(47), 15, 1),
            Err(ArimaError::TooFewRows {
                p: 15,
                d: 1,
                rows: 47,
                needed: 48
            })
        );
    }

    #[test]
    fn a_process_that_is_not_stationary_is_refused() {
        assert!(Autoregression::new(&[1.0]).is_none());
        assert!(Autoregression::new(&[0.5, 0.6]).is_none());
        assert!(Autoregression::new(&[f64::NAN]).is_none());
        assert!(Autoregression::new(&[0.5, 0.4]).is_some());
    }
}
