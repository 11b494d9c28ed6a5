//! Indicators and low-pass columns against the values that
//! `tests/golden/make_indicators_and_low_pass.py` made with the Python library
//! `ta` 0.11.0 and numpy.
#![cfg(feature = "features")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;

use pipewright::features::low_pass;
use pipewright::indicators::{ChosenIndicator, INDICATORS};
use pipewright::training_template::FftEdge;

/// The columns of a golden file; an empty cell is NaN.
fn golden(name: &str) -> BTreeMap<String, Vec<f64>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/data");
    let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
    let names: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in reader.records() {
        for (name, cell) in names.iter().zip(record.unwrap().iter()).skip(1) {
            let value = if cell.is_empty() {
                f64::NAN
            } else {
                cell.parse().unwrap()
            };
            columns.entry(name.clone()).or_default().push(value);
        }
    }
    columns
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// Asserts equal missing rows and differences of at most `tolerance(row)`.
fn assert_near(what: &str, ours: &[f64], theirs: &[f64], tolerance: impl Fn(usize) -> f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (row, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(a.is_nan(), b.is_nan(), "{what} row {row}: {a} {b}");
        let most = tolerance(row);
        assert!(
            a.is_nan() || (a - b).abs() <= most,
            "{what} row {row}: {a} {b}, more than {most}"
        );
    }
}

/// 1e-10 relative: `ta` sums with pandas' running windows, which are
/// themselves 6e-11 from a sum over each window. Relative to the larger of the
/// value and the price, since a band may lie near zero.
#[test]
fn indicators_are_those_of_the_python_library() {
    let (prices, wanted) = (golden("prices.csv"), golden("indicators.csv"));
    for (ticker, x) in &prices {
        for indicator in INDICATORS {
            let values = match indicator.name {
                "bollingerBand" => vec![20.0, 2.0],
                "rsi" => vec![14.0],
                "sma" => vec![7.0],
                "macd" => vec![26.0, 12.0, 9.0],
                "roc" => vec![12.0],
                "stochastic" => vec![14.0, 3.0],
                other => panic!("{other} has no settings here"),
            };
            let chosen = ChosenIndicator { indicator, values };
            for (column, ours) in indicator.columns.iter().zip(chosen.make(x)) {
                let name = format!("{ticker}_{}", column.suffix);
                let theirs = &wanted[&name];
                assert_near(&name, &ours, theirs, |row| {
                    1e-10 * theirs[row].abs().max(x[row].abs())
                });
            }
        }
    }
}

/// 1e-10 of the largest price: a Fourier transform's rounding is relative to
/// the largest of its terms, not to each value.
#[test]
fn low_pass_columns_are_those_of_numpy() {
    let (prices, wanted) = (golden("prices.csv"), golden("low_pass.csv"));
    for ticker in ["AAPL", "ODD"] {
        let x = prices[ticker].as_slice();
        let tolerance = 1e-10 * largest(x);
        let steps = [3, 9, 100];
        let expanding = |edge| low_pass::expanding(&[x], &steps, edge, 2, &mut |_, _| ()).unwrap();
        let (mirror, periodic) = (expanding(FftEdge::Mirror), expanding(FftEdge::Periodic));
        for (i, bins) in steps.into_iter().enumerate() {
            for (mode, ours) in [
                ("global", &low_pass::global(x, bins).unwrap()),
                ("mirror", &mirror[0][i]),
                ("periodic", &periodic[0][i]),
            ] {
                let name = format!("{mode} {ticker}_FT_{bins}");
                assert_near(&name, ours, &wanted[&name], |_| tolerance);
            }
        }
    }
}
