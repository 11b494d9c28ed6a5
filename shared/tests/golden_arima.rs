//! ARIMA against the values that `tests/golden/make_arima.py` made with
//! statsmodels 0.15.
#![cfg(feature = "features")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::path::Path;

use pipewright::features::arima::{Arima, Autoregression};
use serde_json::Value;

fn cases() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/data/arima.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Numbers; null is NaN.
fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap().iter();
    items.map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

struct Fitted {
    name: String,
    case: Value,
    prices: Vec<f64>,
    fit: Arima,
}

fn fitted() -> Vec<Fitted> {
    cases()
        .into_iter()
        .map(|case| {
            let prices = numbers(&case["prices"]);
            let count = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
            let fit =
                Arima::fit(&prices[..count("training_rows")], count("p"), count("d")).unwrap();
            let name = format!("{} p={} d={}", case["ticker"], case["p"], case["d"]);
            Fitted {
                name,
                case,
                prices,
                fit,
            }
        })
        .collect()
}

/// 1e-4: where statsmodels' optimiser stops at its limit, on numerical
/// gradients. The likelihood is flat there, so it agrees far more closely.
#[test]
fn the_fit_is_that_of_statsmodels() {
    for Fitted {
        name, case, fit, ..
    } in fitted()
    {
        let theirs = numbers(&case["coefficients"]);
        assert_eq!(fit.coefficients().len(), theirs.len());
        for (a, b) in fit.coefficients().iter().zip(&theirs) {
            assert!((a - b).abs() <= 1e-4, "{name}: {a} {b}");
        }
        let sigma2 = case["sigma2"].as_f64().unwrap();
        assert!((fit.sigma2() / sigma2 - 1.0).abs() <= 1e-4, "{name}");
        let theirs = case["log_likelihood"].as_f64().unwrap();
        assert!((fit.log_likelihood() - theirs).abs() <= 1e-4, "{name}");
        assert!(
            fit.log_likelihood() >= theirs - 1e-7,
            "{name}: theirs is more likely"
        );
        assert!(fit.converged(), "{name}");
    }
}

/// 1e-9 relative: the same formula on the same numbers, but statsmodels' filter
/// carries a covariance through the first rows.
#[test]
fn predictions_with_the_same_coefficients_are_those_of_statsmodels() {
    for Fitted {
        name, case, prices, ..
    } in fitted()
    {
        let model = Autoregression::new(&numbers(&case["coefficients"])).unwrap();
        let theirs = numbers(&case["predictions"]);
        let d = usize::try_from(case["d"].as_u64().unwrap()).unwrap();
        for (row, (a, b)) in model.predict(&prices, d).iter().zip(&theirs).enumerate() {
            assert_eq!(a.is_nan(), b.is_nan(), "{name} row {row}");
            // Without differences, a prediction may lie next to 0.
            let unit = if d == 0 { 1.0 } else { b.abs() };
            assert!(
                a.is_nan() || (a - b).abs() <= 1e-9 * unit,
                "{name} row {row}: {a} {b}"
            );
        }
    }
}

/// 3e-5 of the price: ARIMA's default fit stops early and starts its filter
/// with a diffuse level. (Of market prices: with changes near the unit circle
/// that start takes rows to fade.)
#[test]
fn predictions_are_near_those_of_the_default_fit() {
    for Fitted {
        name,
        case,
        prices,
        fit,
    } in fitted()
    {
        let Some(theirs) = case.get("default_predictions").map(numbers) else {
            continue;
        };
        let rows = fit.predict(&prices).into_iter().zip(theirs).zip(&prices);
        for (row, ((a, b), price)) in rows.enumerate().skip(1) {
            assert!((a - b).abs() <= 3e-5 * price, "{name} row {row}: {a} {b}");
        }
    }
}

/// The optimiser once gave up where rounding had spoilt its idea of the curvature, on one sample
/// asset or another by how its prices were scaled.
#[test]
fn the_fit_reaches_its_tolerance_on_every_sample_asset_however_scaled() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/sp500-20");
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".csv") || name == "assets.csv" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let closes: Vec<f64> = text
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
            .collect();
        for scale in [1.0, 0.001, 3.7, 1000.0] {
            for rows in [closes.len() * 7 / 10, closes.len() * 8 / 10, closes.len()] {
                let scaled: Vec<f64> = closes[..rows].iter().map(|x| x * scale + 1.3).collect();
                let fit = Arima::fit(&scaled, 5, 1).unwrap();
                assert!(fit.converged(), "{name}, {rows} rows times {scale}");
            }
        }
    }
}
