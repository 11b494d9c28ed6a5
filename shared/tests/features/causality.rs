//! No column knows the future: whole feature sets, with every stage on, made
//! from part of the prices and from all of them.

use pipewright::features::{ColumnKind, FeatureSet};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MONDAY, asset, run, series, template, weekdays};

/// The rows before `endTraining` in these tests.
const TRAINING_ROWS: usize = 75;

/// With so many rows, `endTraining` comes before the shares of the rows that
/// ARIMA (all, here) and the autoencoder (0.7) would learn from, so that the
/// training rows don't depend on how many rows there are.
const LEAST_ROWS: usize = 110;

/// How prices move.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Always above 0.
    Positive,
    /// On both sides of 0.
    Crossing,
}

/// Settings of all stages.
#[derive(Debug, Clone)]
struct StageSettings {
    shape: Shape,
    bollinger: usize,
    rsi: usize,
    sma: usize,
    steps: Vec<usize>,
    edge: &'static str,
    p: usize,
    inputs: &'static str,
    output: &'static str,
    shuffle: bool,
    calendar: &'static str,
}

fn settings() -> impl Strategy<Value = StageSettings> {
    (
        prop::sample::select(vec![Shape::Positive, Shape::Crossing]),
        (1..30_usize, 1..30_usize, 1..30_usize),
        prop::sample::subsequence(vec![1_usize, 2, 5, 11], 1..=3),
        prop::sample::select(vec!["mirror", "periodic"]),
        0..6_usize,
        prop::sample::select(vec!["changes", "levels"]),
        prop::sample::select(vec!["reconstruction", "middle"]),
        any::<bool>(),
        prop::sample::select(vec!["daily", "trading"]),
    )
        .prop_map(
            |(shape, windows, steps, edge, p, inputs, output, shuffle, calendar)| StageSettings {
                shape,
                bollinger: windows.0,
                rsi: windows.1,
                sma: windows.2,
                steps,
                edge,
                p,
                inputs,
                output,
                shuffle,
                calendar,
            },
        )
}

fn document(settings: &StageSettings) -> Value {
    let mut document = template(MONDAY + time::Duration::weeks(15));
    let features = &mut document["feMeta"];
    features["taSettings"]["bollingerBand"]["window"] = json!(settings.bollinger);
    features["taSettings"]["rsi"]["window"] = json!(settings.rsi);
    features["taSettings"]["sma"]["window"] = json!(settings.sma);
    features["fftSettings"]["num_steps"] = json!(settings.steps);
    features["fftSettings"]["edge"] = json!(settings.edge);
    features["arimaSettings"] = json!({
        "enabled": true, "assets": ["A", "B", "C"], "trainSetSize": 1,
        "order": [settings.p, 1, 0]
    });
    features["autoEncoderSettings"] = json!({
        "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
        "fitEpoch": 2, "fitBatchSize": 32, "fitShuffle": settings.shuffle,
        "inputs": settings.inputs, "output": settings.output
    });
    document["deepARMeta"]["calendar"] = json!(settings.calendar);
    document["deepARMeta"]["predictionLength"] = json!(1);
    document["deepARMeta"]["testWindows"] = json!(1);
    document
}

fn made(document: &Value, prices: &[[f64; 3]]) -> FeatureSet {
    let dates = weekdays(prices.len());
    let assets = ["A", "B", "C"].iter().enumerate().map(|(i, ticker)| {
        let class = if *ticker == "C" { "Y" } else { "X" };
        (
            asset(ticker, class),
            series(ticker, &dates, |row| prices[row][i]),
        )
    });
    run(document, assets.collect(), 2).unwrap()
}

/// Fails unless both sets agree on the rows before `cut`.
fn agree(
    whole: &FeatureSet,
    part: &FeatureSet,
    cut: usize,
    largest: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(whole.columns().len(), part.columns().len());
    for (a, b) in whole.columns().iter().zip(part.columns()) {
        prop_assert_eq!(&a.name, &b.name);
        for row in 0..cut {
            let (x, y) = (a.values[row], b.values[row]);
            prop_assert_eq!(
                x.is_nan(),
                y.is_nan(),
                "{} row {}: {} {}",
                a.name,
                row,
                x,
                y
            );
            prop_assert!(
                x.is_nan() || (x - y).abs() <= 1e-9 * largest,
                "{} row {row}: {x} {y}",
                a.name
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// Made from the rows before `cut` alone, and made with other prices from
    /// `cut` on, every column is up to `cut` what it is when made from all:
    /// those that are not fitted at any row, the fitted ones with the same
    /// training rows.
    #[test]
    fn with_all_stages_on_no_column_depends_on_later_prices(
        settings in settings(),
        moves in prop::collection::vec(prop::array::uniform3(-1.0..1.0_f64), LEAST_ROWS + 5..LEAST_ROWS + 30),
        cut in 0.0..1.0_f64,
    ) {
        let mut prices: Vec<[f64; 3]> = Vec::with_capacity(moves.len());
        let mut last = match settings.shape {
            Shape::Positive => [100.0; 3],
            Shape::Crossing => [1.0, -2.0, 0.5],
        };
        for step in &moves {
            for (price, step) in last.iter_mut().zip(step) {
                match settings.shape {
                    Shape::Positive => *price *= 1.0 + 0.05 * step,
                    Shape::Crossing => *price += step,
                }
            }
            prices.push(last);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small and positive")]
        let cut = LEAST_ROWS + (cut * (prices.len() - LEAST_ROWS) as f64) as usize;
        let mut changed = prices.clone();
        for row in &mut changed[cut..] {
            *row = row.map(|price| 3.0 - 1.7 * price);
        }

        let document = document(&settings);
        let whole = made(&document, &prices);
        let largest = prices.iter().flatten().fold(100.0_f64, |most, x| most.max(x.abs()));
        prop_assert_eq!(whole.dates()[TRAINING_ROWS], MONDAY + time::Duration::weeks(15));
        for kind in [ColumnKind::Arima, ColumnKind::Autoencoder { unit: 0 }] {
            prop_assert!(whole.columns().iter().any(|column| column.kind == kind));
        }
        agree(&whole, &made(&document, &prices[..cut]), cut, largest)?;
        agree(&whole, &made(&document, &changed), cut, largest)?;
    }
}

/// The test above would see a dependence on the future: the one column that
/// may have it fails.
#[test]
fn the_global_low_pass_is_the_one_column_that_knows_the_future() {
    let mut document = template(MONDAY + time::Duration::weeks(15));
    document["feMeta"]["fftSettings"]["mode"] = json!("global");
    document["deepARMeta"]["predictionLength"] = json!(1);
    document["deepARMeta"]["testWindows"] = json!(1);
    let prices: Vec<[f64; 3]> = (0..120)
        .map(|row| [0.11, 0.23, 0.05].map(|pace| super::wave(row, pace)))
        .collect();
    let (whole, part) = (made(&document, &prices), made(&document, &prices[..100]));
    for (a, b) in whole.columns().iter().zip(part.columns()) {
        let differs = (0..100).any(|row| (a.values[row] - b.values[row]).abs() > 1e-6);
        assert_eq!(
            differs,
            matches!(a.kind, ColumnKind::LowPass { .. }),
            "{}",
            a.name
        );
    }
}
