//! Technical indicators of a price column, in one table: settings, columns,
//! formulas and values. All of them look back only.
//!
//! A missing value is NaN. Prices must be finite.

use crate::training_template::settings::Takes;

/// One indicator: its settings, its columns, and how they are made.
#[derive(Debug)]
pub struct Indicator {
    /// Its section in `feMeta.taSettings`, such as `bollingerBand`.
    pub name: &'static str,
    /// A short name for logs, such as `RSI`.
    pub label: &'static str,
    /// What it is, as half a sentence.
    pub meaning: &'static str,
    /// Whether `taSettings` must have its section, as the original's have; others
    /// are made where it is there.
    pub required: bool,
    /// Its settings.
    pub parameters: &'static [Parameter],
    /// Its columns, in their order.
    pub columns: &'static [IndicatorColumn],
    /// What is wrong with settings that are each right, if there is something.
    pub fault: fn(&[f64]) -> Option<&'static str>,
    /// The columns' values from the prices and the values of the settings.
    make: fn(&[f64], &[f64]) -> Vec<Vec<f64>>,
}

/// A setting of an indicator.
#[derive(Debug)]
pub struct Parameter {
    /// Its key in the indicator's section.
    pub name: &'static str,
    /// What its value may be.
    pub takes: Takes,
    /// What one of its value is.
    pub unit: &'static str,
    /// What it is, as half a sentence.
    pub meaning: &'static str,
}

/// A column of an indicator.
#[derive(Debug)]
pub struct IndicatorColumn {
    /// What follows the ticker in its name, such as `BB_Up`; no two have the same.
    pub suffix: &'static str,
    /// What it holds, such as `upper Bollinger band`.
    pub title: &'static str,
    /// Whether it is in the price's unit and moves with it, so that its changes tell
    /// more than its level.
    pub is_price_like: bool,
    /// The formula from the values of the settings; x is the price, t the row.
    formula: fn(&[f64]) -> String,
    /// The rows at the start that have no value, from the values of the settings.
    warm_up: fn(&[f64]) -> usize,
}

impl PartialEq for IndicatorColumn {
    fn eq(&self, other: &Self) -> bool {
        self.suffix == other.suffix
    }
}

impl Eq for IndicatorColumn {}

/// An indicator with the values of its settings, in the order of the table.
#[derive(Debug, Clone)]
pub struct ChosenIndicator {
    /// Which.
    pub indicator: &'static Indicator,
    /// One for each of its parameters.
    pub values: Vec<f64>,
}

impl PartialEq for ChosenIndicator {
    fn eq(&self, other: &Self) -> bool {
        self.indicator.name == other.indicator.name && self.values == other.values
    }
}

impl ChosenIndicator {
    /// Its columns of an asset's prices, each as long as those; NaN = missing, and
    /// nothing else is not finite.
    #[must_use]
    pub fn make(&self, prices: &[f64]) -> Vec<Vec<f64>> {
        let mut columns = (self.indicator.make)(prices, &self.values);
        for value in columns.iter_mut().flatten() {
            if value.is_infinite() {
                *value = f64::NAN;
            }
        }
        columns
    }

    /// A column's formula in words.
    #[must_use]
    pub fn formula(&self, column: &IndicatorColumn) -> String {
        (column.formula)(&self.values)
    }

    /// The rows at the start of a column that have no value.
    #[must_use]
    pub fn warm_up(&self, column: &IndicatorColumn) -> usize {
        (column.warm_up)(&self.values)
    }

    /// The rows at the start of its slowest column that have no value.
    #[must_use]
    pub fn longest_warm_up(&self) -> usize {
        let columns = self.indicator.columns.iter();
        columns
            .map(|column| self.warm_up(column))
            .max()
            .unwrap_or(0)
    }

    /// The settings that are counts of rows, such as `rsi.window 14`.
    #[must_use]
    pub fn windows(&self) -> String {
        let parameters = self.indicator.parameters.iter().zip(&self.values);
        let windows = parameters.filter(|(one, _)| matches!(one.takes, Takes::Whole(_)));
        let windows =
            windows.map(|(one, value)| format!("{}.{} {value}", self.indicator.name, one.name));
        windows.collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for ChosenIndicator {
    /// `Bollinger bands (20, 2)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<String> = self.values.iter().map(f64::to_string).collect();
        write!(f, "{} ({})", self.indicator.label, values.join(", "))
    }
}

const fn window(meaning: &'static str) -> Parameter {
    rows_of("window", meaning)
}

const fn rows_of(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter {
        name,
        takes: Takes::Whole(1),
        unit: "rows",
        meaning,
    }
}

/// Every indicator, in the order of its columns in `features.csv`. Golden values of
/// each are made by `tests/golden/make_indicators_and_low_pass.py`.
pub const INDICATORS: &[Indicator] = &[
    Indicator {
        name: "bollingerBand",
        label: "Bollinger bands",
        meaning: "Bollinger bands",
        required: true,
        parameters: &[
            window("the rows that mean and deviation are of"),
            Parameter {
                name: "window_dev",
                takes: Takes::UpTo(1000.0),
                unit: "standard deviations",
                meaning: "how far the bands are from the mean",
            },
        ],
        columns: &[
            IndicatorColumn {
                suffix: "BB_Up",
                title: "upper Bollinger band",
                is_price_like: true,
                formula: |values| band_formula('+', values),
                warm_up: first_full_window,
            },
            IndicatorColumn {
                suffix: "BB_Low",
                title: "lower Bollinger band",
                is_price_like: true,
                formula: |values| band_formula('-', values),
                warm_up: first_full_window,
            },
            IndicatorColumn {
                suffix: "BB_MA",
                title: "middle Bollinger band",
                is_price_like: true,
                formula: |values| mean_formula(values[0]),
                warm_up: first_full_window,
            },
        ],
        fault: |_| None,
        make: |prices, values| bollinger(prices, rows(values[0]), values[1]).into(),
    },
    Indicator {
        name: "rsi",
        label: "RSI",
        meaning: "the relative strength index",
        required: true,
        parameters: &[window("the rows that its means weigh most")],
        columns: &[IndicatorColumn {
            suffix: "RSI",
            title: "relative strength index",
            is_price_like: false,
            formula: |values| {
                format!(
                    "100 - 100 / (1 + gain[t] / loss[t]), gains and losses smoothed by s[t] = (1 - 1/{w}) s[t-1] + d[t] / {w}; 100 without a loss",
                    w = values[0]
                )
            },
            warm_up: first_full_window,
        }],
        fault: |_| None,
        make: |prices, values| vec![rsi(prices, rows(values[0]))],
    },
    Indicator {
        name: "sma",
        label: "SMA",
        meaning: "the simple moving average",
        required: true,
        parameters: &[window("the rows that it is the mean of")],
        columns: &[IndicatorColumn {
            suffix: "SMA",
            title: "moving average",
            is_price_like: true,
            formula: |values| mean_formula(values[0]),
            warm_up: first_full_window,
        }],
        fault: |_| None,
        make: |prices, values| vec![sma(prices, rows(values[0]))],
    },
    Indicator {
        name: "macd",
        label: "MACD",
        meaning: "the difference of two moving averages, its own average, and the difference of these (MACD)",
        required: false,
        parameters: &[
            rows_of("window_slow", "the span of the slow average, such as 26"),
            rows_of("window_fast", "the span of the fast average, such as 12"),
            rows_of("window_sign", "the span of the signal, such as 9"),
        ],
        columns: &[
            IndicatorColumn {
                suffix: "MACD",
                title: "MACD",
                is_price_like: false,
                formula: |values| {
                    format!(
                        "m[t] = e(x, {fast})[t] - e(x, {slow})[t], e(x, n)[t] = e[t-1] + 2 / (n + 1) (x[t] - e[t-1]), e[0] = x[0]",
                        slow = values[0],
                        fast = values[1]
                    )
                },
                warm_up: macd_warm_up,
            },
            IndicatorColumn {
                suffix: "MACD_Signal",
                title: "MACD's signal",
                is_price_like: false,
                formula: |values| format!("e(m, {})[t], from the first m on", values[2]),
                warm_up: |values| macd_warm_up(values) + rows(values[2]) - 1,
            },
            IndicatorColumn {
                suffix: "MACD_Diff",
                title: "MACD less its signal",
                is_price_like: false,
                formula: |values| format!("m[t] - e(m, {})[t]", values[2]),
                warm_up: |values| macd_warm_up(values) + rows(values[2]) - 1,
            },
        ],
        fault: |values| {
            (values[0] <= values[1])
                .then_some("window_slow must be greater than window_fast, as 26 is than 12")
        },
        make: |prices, values| {
            macd(prices, rows(values[0]), rows(values[1]), rows(values[2])).into()
        },
    },
    Indicator {
        name: "roc",
        label: "rate of change",
        meaning: "the rate of change",
        required: false,
        parameters: &[window("the rows that it looks back, such as 12")],
        columns: &[IndicatorColumn {
            suffix: "ROC",
            title: "rate of change",
            is_price_like: false,
            formula: |values| {
                let back = values[0];
                format!("100 (x[t] - x[t-{back}]) / x[t-{back}]; missing where that is 0")
            },
            warm_up: |values| rows(values[0]),
        }],
        fault: |_| None,
        make: |prices, values| vec![rate_of_change(prices, rows(values[0]))],
    },
    Indicator {
        name: "stochastic",
        label: "stochastic oscillator",
        meaning: "the stochastic oscillator of closing prices",
        required: false,
        parameters: &[
            Parameter {
                // A price alone lies nowhere between.
                takes: Takes::Whole(2),
                ..window("the rows whose least and greatest price it lies between, such as 14")
            },
            rows_of(
                "smooth_window",
                "the rows that %D is the mean of, such as 3",
            ),
        ],
        columns: &[
            IndicatorColumn {
                suffix: "Stoch_K",
                title: "stochastic oscillator %K",
                is_price_like: false,
                formula: |values| {
                    format!(
                        "k[t] = 100 (x[t] - min(x[t-{back}..t])) / (max(x[t-{back}..t]) - min(x[t-{back}..t])); missing where all are equal",
                        back = values[0] - 1.0
                    )
                },
                warm_up: first_full_window,
            },
            IndicatorColumn {
                suffix: "Stoch_D",
                title: "stochastic oscillator %D",
                is_price_like: false,
                formula: |values| format!("mean(k[t-{}..t])", values[1] - 1.0),
                warm_up: |values| rows(values[0]) + rows(values[1]) - 2,
            },
        ],
        fault: |_| None,
        make: |prices, values| stochastic(prices, rows(values[0]), rows(values[1])).into(),
    },
];

/// A setting that is a count of rows.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number from 1, as the table's reader has checked"
)]
fn rows(value: f64) -> usize {
    value as usize
}

/// The warm-up of a column whose window is the first setting.
fn first_full_window(values: &[f64]) -> usize {
    rows(values[0]) - 1
}

fn band_formula(sign: char, values: &[f64]) -> String {
    format!(
        "mean(x[t-{back}..t]) {sign} {deviations} * deviation(x[t-{back}..t]), the population's standard deviation",
        back = values[0] - 1.0,
        deviations = values[1]
    )
}

fn mean_formula(window: f64) -> String {
    format!("mean(x[t-{}..t])", window - 1.0)
}

/// The mean of the last `window` values: `y[t] = mean(x[t-window+1..=t])`.
///
/// Missing before row `window - 1`, and everywhere when the window is longer
/// than the data. O(n window) time: every window is summed anew, so no
/// rounding error travels along the series.
///
/// # Panics
/// If `window` is 0.
fn sma(prices: &[f64], window: usize) -> Vec<f64> {
    rolling(prices, window, mean)
}

/// The upper band, the lower band and the moving average between them: that over
/// `window` values plus and minus `deviations` times their population standard
/// deviation.
///
/// Missing before row `window - 1`. O(n window) time.
/// [Bollinger bands](https://en.wikipedia.org/wiki/Bollinger_Bands).
///
/// # Panics
/// If `window` is 0.
fn bollinger(prices: &[f64], window: usize, deviations: f64) -> [Vec<f64>; 3] {
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
    [band(1.0), band(-1.0), middle]
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
fn rsi(prices: &[f64], window: usize) -> Vec<f64> {
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

/// The difference of two exponential moving averages (MACD), the exponential moving
/// average of that (its signal), and the difference of the two.
///
/// Missing before row `max(slow, fast) - 1`, and the latter two before `signal - 1`
/// rows more. O(n) time. [MACD](https://en.wikipedia.org/wiki/MACD).
///
/// # Panics
/// If a span is 0.
fn macd(prices: &[f64], slow: usize, fast: usize, signal: usize) -> [Vec<f64>; 3] {
    let (slow, fast) = (exponential(prices, slow), exponential(prices, fast));
    let line: Vec<f64> = fast.iter().zip(&slow).map(|(f, s)| f - s).collect();
    let missing = line.iter().take_while(|x| x.is_nan()).count();
    let mut average = vec![f64::NAN; missing];
    average.extend(exponential(&line[missing..], signal));
    let rest = line.iter().zip(&average).map(|(m, s)| m - s).collect();
    [line, average, rest]
}

fn macd_warm_up(values: &[f64]) -> usize {
    rows(values[0]).max(rows(values[1])) - 1
}

/// The exponential moving average `y[t] = y[t-1] + 2 / (span + 1) (x[t] - y[t-1])`,
/// `y[0] = x[0]`; missing before row `span - 1`.
fn exponential(values: &[f64], span: usize) -> Vec<f64> {
    assert!(span > 0, "a span of 0 rows has no meaning");
    let weight = 2.0 / (count(span) + 1.0);
    let mut average = values.first().copied().unwrap_or(0.0);
    let rows = values.iter().enumerate();
    rows.map(|(row, value)| {
        average = (1.0 - weight) * average + weight * value;
        if row + 1 < span { f64::NAN } else { average }
    })
    .collect()
}

/// The change from `window` rows before, in per cent of that price; missing before row
/// `window` and where that price is 0. O(n) time.
fn rate_of_change(prices: &[f64], window: usize) -> Vec<f64> {
    let mut values = vec![f64::NAN; prices.len().min(window)];
    let pairs = prices.iter().zip(prices.iter().skip(window));
    // What is divided by 0 is not finite, which counts as missing.
    values.extend(pairs.map(|(before, now)| (now - before) / before * 100.0));
    values
}

/// Where the price lies between the least and the greatest of `window` rows, 0 to 100
/// (%K), and the mean of that over `smooth_window` rows (%D). Closing prices stand for
/// the day's highest and lowest as well.
///
/// %K is missing before row `window - 1` and where all prices of the window are equal;
/// %D where one of its %K is. O(n window) time.
/// [Stochastic oscillator](https://en.wikipedia.org/wiki/Stochastic_oscillator).
///
/// # Panics
/// If a window is 0.
fn stochastic(prices: &[f64], window: usize, smooth_window: usize) -> [Vec<f64>; 2] {
    let k = rolling(prices, window, |values| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let now = values[values.len() - 1];
        // 0 / 0 is missing.
        100.0 * (now - least) / (greatest - least)
    });
    let d = rolling(&k, smooth_window, mean);
    [k, d]
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
        let [upper, lower, middle] = bollinger(&[1.0, 3.0, 3.0], 2, 2.0);
        assert_eq!(middle[1..], [2.0, 3.0]);
        assert_eq!(upper[1..], [4.0, 3.0]);
        assert_eq!(lower[1..], [0.0, 3.0]);
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

    fn prices() -> Vec<f64> {
        (1..40).map(|row| f64::from(row * row % 11 + row)).collect()
    }

    /// Small values for the settings of an indicator.
    fn chosen(indicator: &'static Indicator) -> ChosenIndicator {
        let values: Vec<f64> = [4.0, 3.0, 2.0][..indicator.parameters.len()].to_vec();
        assert_eq!((indicator.fault)(&values), None);
        ChosenIndicator { indicator, values }
    }

    #[test]
    fn every_column_has_its_first_value_after_its_warm_up() {
        for chosen in INDICATORS.iter().map(chosen) {
            let made = chosen.make(&prices());
            assert_eq!(made.len(), chosen.indicator.columns.len());
            for (column, values) in chosen.indicator.columns.iter().zip(made) {
                assert_eq!(
                    missing(&values),
                    chosen.warm_up(column),
                    "{}",
                    column.suffix
                );
                assert_eq!(values.len(), prices().len());
                assert!(!chosen.formula(column).is_empty());
            }
        }
    }

    /// No indicator's value depends on a later price.
    #[test]
    fn every_column_looks_back_only() {
        for chosen in INDICATORS.iter().map(chosen) {
            let whole = chosen.make(&prices());
            for rows in 0..prices().len() {
                for (whole, part) in whole.iter().zip(chosen.make(&prices()[..rows])) {
                    for (a, b) in whole.iter().zip(&part) {
                        assert_eq!(a.to_bits(), b.to_bits(), "{chosen} {rows}");
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_not_used_twice() {
        let columns = INDICATORS.iter().flat_map(|one| one.columns);
        let mut suffixes: Vec<&str> = columns.map(|column| column.suffix).collect();
        let mut names: Vec<&str> = INDICATORS.iter().map(|one| one.name).collect();
        for list in [&mut suffixes, &mut names] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }

    #[test]
    fn the_macd_of_a_short_series_is_as_computed_by_hand() {
        // Spans 3, 1 and 1: the fast average is the price, the slow one halves.
        let [line, signal, rest] = macd(&[4.0, 8.0, 2.0], 3, 1, 1);
        assert!(line[1].is_nan());
        assert_eq!(line[2], 2.0 - 4.0);
        assert_eq!((signal[2], rest[2]), (-2.0, 0.0));
    }

    #[test]
    fn the_rate_of_change_from_a_price_of_0_is_missing() {
        let chosen = ChosenIndicator {
            indicator: INDICATORS.iter().find(|one| one.name == "roc").unwrap(),
            values: vec![1.0],
        };
        let made = chosen.make(&[2.0, 3.0, 0.0, 5.0, 5.0]);
        assert!(made[0][0].is_nan() && made[0][3].is_nan());
        assert_eq!(made[0][1..3], [50.0, -100.0]);
        assert_eq!(made[0][4], 0.0);
    }

    #[test]
    fn the_stochastic_oscillator_of_a_short_series_is_as_computed_by_hand() {
        let [k, d] = stochastic(&[1.0, 5.0, 4.0, 4.0, 4.0], 3, 2);
        assert_eq!(k[2..4], [75.0, 0.0]);
        assert_eq!(d[3], 37.5);
        assert!(k[1].is_nan() && k[4].is_nan() && d[2].is_nan() && d[4].is_nan());
    }

    #[test]
    fn a_window_longer_than_the_data_leaves_every_value_missing() {
        assert_eq!(missing(&sma(&[1.0, 2.0], 3)), 2);
        assert_eq!(missing(&rsi(&[1.0, 2.0], 3)), 2);
        assert_eq!(missing(&sma(&[], 3)), 0);
    }
}
