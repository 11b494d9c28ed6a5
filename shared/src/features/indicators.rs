//! Technical indicators of a price column: moving average, Bollinger bands and
//! relative strength index. All of them look back only.
//!
//! A missing value is NaN. Prices must be finite.

/// Bollinger bands of one asset.
#[derive(Debug, Clone, PartialEq)]
pub struct Bollinger {
    /// The upper band.
    pub upper: Vec<f64>,
    /// The lower band.
    pub lower: Vec<f64>,
    /// The moving average between them.
    pub middle: Vec<f64>,
}

/// The mean of the last `window` values: `y[t] = mean(x[t-window+1..=t])`.
///
/// Missing before row `window - 1`, and everywhere when the window is longer
/// than the data. O(n window) time: every window is summed anew, so no
/// rounding error travels along the series.
///
/// # Panics
/// If `window` is 0.
pub fn sma(prices: &[f64], window: usize) -> Vec<f64> {
    rolling(prices, window, mean)
}

/// The moving average over `window` values plus and minus `deviations` times
/// their population standard deviation.
///
/// Missing before row `window - 1`. O(n window) time.
/// [Bollinger bands](https://en.wikipedia.org/wiki/Bollinger_Bands).
///
/// # Panics
/// If `window` is 0.
pub fn bollinger(prices: &[f64], window: usize, deviations: f64) -> Bollinger {
    let middle = rolling(prices, window, mean);
    let width = rolling(prices, window, |values| {
        let mean = mean(values);
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        deviations * (squares / length(values)).sqrt()
    });
    let band = |sign: f64| -> Vec<f64> {
        middle
            .iter()
            .zip(&width)
            .map(|(m, w)| m + sign * w)
            .collect()
    };
    Bollinger {
        upper: band(1.0),
        lower: band(-1.0),
        middle,
    }
}

/// Wilder's relative strength index, 0 to 100.
///
/// Average gain and loss start at 0 on row 0 and follow
/// `s = (1 - 1/window) s + x/window`; the index is `100 - 100/(1 + gain/loss)`,
/// and 100 where the average loss is 0, as for a constant series. Missing
/// before row `window - 1`. O(n) time.
/// [RSI](https://en.wikipedia.org/wiki/Relative_strength_index).
///
/// # Panics
/// If `window` is 0.
pub fn rsi(prices: &[f64], window: usize) -> Vec<f64> {
    assert!(window > 0, "an RSI window of 0 rows has no meaning");
    let weight = 1.0 / count(window);
    let (mut gain, mut loss) = (0.0, 0.0);
    let mut previous = prices.first().copied().unwrap_or(0.0);
    prices
        .iter()
        .enumerate()
        .map(|(row, price)| {
            let change = price - previous;
            previous = *price;
            gain = (1.0 - weight) * gain + change.max(0.0) * weight;
            loss = (1.0 - weight) * loss + (-change).max(0.0) * weight;
            if row + 1 < window {
                f64::NAN
            } else if loss == 0.0 {
                100.0
            } else {
                100.0 - 100.0 / (1.0 + gain / loss)
            }
        })
        .collect()
}

/// `f` of each full window; NaN where there is none.
fn rolling(prices: &[f64], window: usize, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    assert!(window > 0, "a window of 0 rows has no meaning");
    let missing = prices.len().min(window - 1);
    let mut values = vec![f64::NAN; missing];
    values.extend(prices.windows(window).map(f));
    values
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / length(values)
}

fn length(values: &[f64]) -> f64 {
    count(values.len())
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(values: &[f64]) -> usize {
        values.iter().take_while(|x| x.is_nan()).count()
    }

    #[test]
    fn the_average_of_a_short_series_is_as_computed_by_hand() {
        let average = sma(&[1.0, 2.0, 4.0, 8.0], 3);
        assert!(average[0].is_nan() && average[1].is_nan());
        assert_eq!(average[2..], [7.0 / 3.0, 14.0 / 3.0]);
    }

    #[test]
    fn bollinger_bands_use_the_population_deviation() {
        let bands = bollinger(&[1.0, 3.0, 3.0], 2, 2.0);
        assert_eq!(bands.middle[1..], [2.0, 3.0]);
        assert_eq!(bands.upper[1..], [4.0, 3.0]);
        assert_eq!(bands.lower[1..], [0.0, 3.0]);
    }

    #[test]
    fn the_rsi_of_a_short_series_is_as_computed_by_hand() {
        // Gains 0 2 0, losses 0 0 1, weight 1/2: gain 0 1 0.5, loss 0 0 0.5.
        let index = rsi(&[1.0, 3.0, 2.0], 2);
        assert!(index[0].is_nan());
        assert_eq!(index[1..], [100.0, 50.0]);
    }

    #[test]
    fn the_rsi_of_a_constant_series_is_100_and_of_a_falling_one_0() {
        assert_eq!(rsi(&[5.0; 6], 3)[2..], [100.0; 4]);
        assert_eq!(rsi(&[5.0, 4.0, 3.0, 2.0], 3)[2..], [0.0; 2]);
    }

    #[test]
    fn the_rsi_is_finite_even_when_losses_have_all_but_died_out() {
        let mut prices = vec![2.0, 1.0];
        prices.extend((0..20_000).map(|i| 1.0 + f64::from(i) * 0.5));
        assert!(rsi(&prices, 2)[1..].iter().all(|x| x.is_finite()));
    }

    #[test]
    fn first_values_stand_at_the_row_that_completes_the_window() {
        let prices: Vec<f64> = (0..30).map(f64::from).collect();
        assert_eq!(missing(&sma(&prices, 7)), 6);
        assert_eq!(missing(&bollinger(&prices, 20, 2.0).upper), 19);
        assert_eq!(missing(&rsi(&prices, 14)), 13);
    }

    #[test]
    fn a_window_longer_than_the_data_leaves_every_value_missing() {
        assert_eq!(missing(&sma(&[1.0, 2.0], 3)), 2);
        assert_eq!(missing(&rsi(&[1.0, 2.0], 3)), 2);
        assert_eq!(missing(&sma(&[], 3)), 0);
    }
}
