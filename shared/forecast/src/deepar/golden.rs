//! The network against PyTorch: `tests/golden/make_deepar.py` made the values.

use serde_json::Value;

use super::train::tests::evaluate;
use super::window::Track;
use super::{Filling, ModelSettings, Plan};
use crate::calendar::Frequency;
use crate::hyperparameters::Likelihood;
use crate::series::Series;
use pipewright_matmul::Real;
use pipewright_matmul::random::Random;

const EVERY: usize = 7;
const CUTS: [(usize, usize); 4] = [(0, 50), (1, 57), (2, 2), (3, 20)];

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap().iter();
    items.map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the file has f32")]
fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|x| x as f32).collect()
}

fn series(value: &Value, frequency: Frequency) -> Series {
    Series {
        start: frequency
            .parse_start(value["start"].as_str().unwrap())
            .unwrap(),
        target: floats(&value["target"]),
        cat: serde_json::from_value(value["cat"].clone()).unwrap(),
        dynamic_feat: value["dynamic_feat"]
            .as_array()
            .unwrap()
            .iter()
            .map(floats)
            .collect(),
    }
}

/// The largest difference of loss, raw numbers and gradient, the last two relative
/// to the largest of theirs.
fn difference<T: Real>(case: &Value, likelihood: Likelihood) -> f64 {
    let settings = ModelSettings {
        frequency: "M".parse().unwrap(),
        context_length: 6,
        prediction_length: 3,
        likelihood,
        cardinality: vec![2, 3],
        dynamic_features: 1,
        cells: 5,
        layers: 3,
        dropout: 0.0,
        embedding: 2,
        learning_rate: 1e-3,
        batch: 4,
        epochs: 1,
        patience: None,
        filling: Filling::LastObserved,
        seed: 0,
    };
    let tracks: Vec<Track> = case["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            Track::new(
                series(one, settings.frequency),
                settings.filling,
                likelihood.fill(),
            )
        })
        .collect();
    let plan = Plan::new(&settings, 3.0);
    assert_eq!(case["weights"], plan.size());
    let mut random = Random::new(11);
    let weights: Vec<T> = (0..plan.size())
        .map(|_| T::of(0.6 * (2.0 * random.unit() - 1.0)))
        .collect();
    let (loss, gradient, raw) = evaluate(&plan, &tracks, &weights, &CUTS);
    let relative = |ours: &[f64], theirs: &[f64]| {
        assert_eq!(ours.len(), theirs.len());
        let largest = theirs.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let pairs = ours.iter().zip(theirs);
        pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs() / largest))
    };
    let sampled: Vec<f64> = gradient.iter().step_by(EVERY).map(|x| x.to_f64()).collect();
    let mut most = relative(&sampled, &numbers(&case["gradient"]));
    most = most.max(relative(&[loss], &[case["loss"].as_f64().unwrap()]));
    for (ours, theirs) in raw.iter().zip(case["raw_at_last_step"].as_array().unwrap()) {
        most = most.max(relative(ours, &numbers(theirs)));
    }
    most
}

/// 1e-7 in double precision, since calendar features, ages and scales are rounded to
/// single precision on both sides, not always alike; 1e-5 in single precision.
#[test]
fn outputs_loss_and_gradient_are_those_of_pytorch() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/data/deepar.json"
    );
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(cases.len(), Likelihood::ALL.len());
    for likelihood in Likelihood::ALL {
        let case = cases
            .iter()
            .find(|case| case["likelihood"] == likelihood.name())
            .unwrap();
        let double = difference::<f64>(case, likelihood);
        let single = difference::<f32>(case, likelihood);
        assert!(
            double < 1e-7 && single < 1e-5,
            "{likelihood}: {double} {single}"
        );
    }
}
