//! A bounded fuzz of what comes from outside, the same inputs at every run:
//! nothing may panic, and what is refused has a fault that says where.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

#[path = "../../tests/mutation/mod.rs"]
mod mutation;

use std::collections::BTreeMap;

use mutation::{Random, mutated};
use pipewright_forecast::hyperparameters::{Hyperparameters, TABLE};
use serde_json::Value;

/// Mutated inputs of each kind.
const INPUTS: usize = 20_000;

#[test]
fn no_hyperparameters_panic_and_every_refusal_names_one() {
    let seeds: [&[u8]; 4] = [
        br#"{"time_freq": "D", "epochs": "20", "context_length": "14", "prediction_length": "7"}"#,
        br#"{"time_freq": "5min", "epochs": 1, "context_length": "1", "prediction_length": "1", "likelihood": "STUDENT-T", "_tuning_objective_metric": ""}"#,
        br#"{"time_freq":"2H","epochs":"400","context_length":"84","prediction_length":"84","cardinality":"[5, 3]","num_dynamic_feat":"2","dropout_rate":"0.05","learning_rate":"5e-4","test_quantiles":"[0.1, 0.5]","_seed":"7"}"#,
        br#"{"epochs": "x", "epoch": "1", "num_cells": {}, "num_layers": null}"#,
    ];
    let pieces: [&[u8]; 16] = [
        b"\"",
        b"\"\"",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"NaN",
        b"1e999",
        b"-1",
        b"\\u0000",
        b"\xff",
        b"\"epochs\": \"1\",",
        b"99999999999999999999",
    ];
    let texts = [
        "",
        "0",
        "1",
        "-1",
        "2.5",
        "1e-3",
        "0.5",
        "nan",
        "inf",
        "auto",
        "ignore",
        "[]",
        "[1]",
        "[0.5]",
        "[1, 2",
        "beta",
        "D",
        "2H",
        "99999999999999999999",
        "\u{0}",
        "９",
        "[[[[[[",
    ];
    let mut random = Random(11);
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let mut document = random.pick(&seeds).to_vec();
        match serde_json::from_slice::<BTreeMap<String, Value>>(&document) {
            // Another value for one of the hyperparameters...
            Ok(mut values) if random.below(2) == 0 => {
                let name = TABLE[random.below(TABLE.len())].name;
                values.insert(name.to_owned(), random.pick(&texts).into());
                document = serde_json::to_vec(&values).unwrap();
            }
            // ... or damaged bytes.
            _ => mutated(&mut random, &mut document, &pieces),
        }
        match Hyperparameters::from_json(&document) {
            Ok(read) => {
                accepted += 1;
                let texts = read.texts();
                let again = texts
                    .into_iter()
                    .map(|(name, text)| (name.to_owned(), text));
                assert_eq!(Hyperparameters::from_texts(&again.collect()), Ok(read));
            }
            Err(faults) => {
                assert!(faults.count() > 0);
                for fault in faults.told() {
                    let fault = fault.to_string();
                    let named = TABLE
                        .iter()
                        .any(|definition| fault.contains(definition.name));
                    let twice = fault.contains("is given twice");
                    assert!(
                        named || twice || fault.contains("must be a JSON object"),
                        "{fault}"
                    );
                    assert!(fault.len() < 1_000 && !fault.contains('\n'), "{fault}");
                }
            }
        }
    }
    assert!(
        (500..INPUTS - 500).contains(&accepted),
        "{accepted} accepted"
    );
}
