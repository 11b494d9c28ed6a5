//! Boosted trees against the gains that `tests/golden/make_importance.py` took
//! from XGBoost 3.2.
#![cfg(feature = "features")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the fixture holds single-precision numbers"
)]

use std::path::Path;

use pipewright::features::importance::boost;
use serde_json::Value;

fn singles(value: &Value) -> Vec<f32> {
    let items = value.as_array().unwrap().iter();
    items.map(|x| x.as_f64().unwrap() as f32).collect()
}

/// 1e-5: gains are rounded to single precision at every split, and XGBoost
/// sums them in single precision; the splits themselves are the same.
#[test]
fn gains_are_those_of_xgboost() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/data/importance.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let listed = golden["features"].as_array().unwrap();
    let features: Vec<Vec<f32>> = listed
        .iter()
        .map(|feature| singles(&feature["values"]))
        .collect();
    let gains = boost(&features, &singles(&golden["target"]), 2);
    let near = |a: f64, b: &Value| {
        let b = b.as_f64().unwrap();
        (a - b).abs() <= 1e-5 * b.abs()
    };
    for (gain, wanted) in gains.iter().zip(listed) {
        let name = &wanted["name"];
        assert_eq!(
            gain.splits as u64,
            wanted["splits"].as_u64().unwrap(),
            "{name}"
        );
        assert!(
            near(gain.mean(), &wanted["gain"]),
            "{name}: {} {}",
            gain.mean(),
            wanted["gain"]
        );
        assert!(near(gain.total, &wanted["total_gain"]), "{name}");
    }
}
