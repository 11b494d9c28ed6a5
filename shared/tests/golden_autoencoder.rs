//! The autoencoder against the losses that `tests/golden/make_autoencoder.py`
//! took from Keras, from the same initial weights and data.
#![cfg(feature = "features")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the fixture holds single-precision numbers"
)]

use std::path::Path;

use pipewright::features::autoencoder::{Autoencoder, Output, Training};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap().iter();
    items.map(|x| x.as_f64().unwrap()).collect()
}

/// Epochs 1 to 3 within 1e-3, the fifth within 1e-2: Keras rounds in another
/// order, and single precision parts the two further with every step.
#[test]
fn the_losses_are_those_of_keras() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/data/autoencoder.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let rows: Vec<f32> = numbers(&golden["rows"])
        .into_iter()
        .map(|x| x as f32)
        .collect();
    let count = |key: &str| golden[key].as_u64().unwrap();
    let inputs = usize::try_from(count("inputs")).unwrap();
    let mut network = Autoencoder::new(inputs, count("seed"));

    let ours = network.predict(&rows[..3 * inputs], Output::Reconstruction);
    for (a, b) in ours.iter().zip(numbers(&golden["untrained"])) {
        assert!((f64::from(*a) - b).abs() < 1e-5, "before training: {a} {b}");
    }

    let theirs = numbers(&golden["losses"]);
    let training = Training {
        epochs: theirs.len(),
        batch_size: usize::try_from(count("batch_size")).unwrap(),
        shuffle: false,
        seed: 0,
    };
    let ours = network.train(&rows, training, 2, &mut |_, _| ());
    for (epoch, tolerance) in [(0, 1e-3), (1, 1e-3), (2, 1e-3), (4, 1e-2)] {
        let (a, b) = (ours[epoch], theirs[epoch]);
        assert!(
            (a / b - 1.0).abs() <= tolerance,
            "epoch {}: {a} {b}",
            epoch + 1
        );
    }
}
