//! A bounded fuzz of what comes from outside, the same inputs at every run:
//! nothing may panic, and what is refused has a fault that says where.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

#[path = "../../tests/mutation/mod.rs"]
mod mutation;

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mutation::{Random, mutated};
use pipewright_forecast::faults::Faults;
use pipewright_forecast::hyperparameters::{
    Cardinality, DynamicFeatures, Hyperparameters, Likelihood, TABLE,
};
use pipewright_forecast::series::{Channel, PlacedFault, Reader, RecordRules};
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

/// Rules of every kind.
fn rules(random: &mut Random) -> RecordRules {
    let frequencies = ["M", "W", "D", "2H", "5min"];
    RecordRules {
        frequency: random.pick(&frequencies).parse().unwrap(),
        cardinality: match random.below(8) {
            0 => Cardinality::Given(vec![2, 3]),
            1 | 2 => Cardinality::Ignore,
            _ => Cardinality::Auto,
        },
        num_dynamic_feat: match random.below(8) {
            0 => DynamicFeatures::Given(1),
            1 | 2 => DynamicFeatures::Ignore,
            _ => DynamicFeatures::Auto,
        },
        future: random.below(8) / 7,
        likelihood: Likelihood::ALL.get(random.below(20)).copied(),
    }
}

/// Holds what was read to the promises of its types.
fn check(read: Result<Channel, Faults<PlacedFault>>, file: &str, rules: &RecordRules) -> bool {
    match read {
        Ok(channel) => {
            for series in &channel.series {
                assert!(series.target.iter().all(|value| !value.is_infinite()));
                assert_eq!(series.cat.len(), channel.categorical_features);
                assert_eq!(series.dynamic_feat.len(), channel.dynamic_features);
                for values in &series.dynamic_feat {
                    assert_eq!(values.len(), series.target.len() + rules.future);
                    assert!(values.iter().all(|value| value.is_finite()));
                }
            }
            true
        }
        Err(faults) => {
            assert!(faults.count() > 0);
            for fault in faults.told() {
                let fault = fault.to_string();
                assert!(fault.starts_with(&format!("{file}, ")), "{fault}");
                assert!(fault.len() < 1_000 && !fault.contains('\n'), "{fault:?}");
            }
            false
        }
    }
}

#[test]
fn no_record_file_panics_and_every_refusal_says_where() {
    let seeds: [&[u8]; 5] = [
        b"{\"start\":\"2020-01-01 00:00:00\",\"target\":[1,2.5,null,\"NaN\",NaN,0],\"cat\":[1,2],\"dynamic_feat\":[[1,2,3,4,5,6]]}\n",
        b"{\"start\":\"2020-01-01\",\"target\":[1,2]}\r\n\r\n{\"start\":\"9999-12-31T23:59\",\"target\":[]}",
        b"{\"target\":[1e3,-0.5,7,1e-40],\"start\":\"0001-01-01\",\"cat\":0,\"extra\":{\"a\":[1,{\"b\":null}]}}\n",
        b"\xef\xbb\xbf{\"start\":\"2020-02-29\",\"target\":[0.5,1,0],\"dynamic_feat\":[[1,2,3]]}\n",
        b"{\"start\":\"2020-01-01 01:30:00.5\",\"target\":[9],\"dynamic_feat\":[],\"cat\":[]}\n{}\n",
    ];
    let pieces: [&[u8]; 24] = [
        b"\"",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\n",
        b"null",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"\\",
        b"\\u0000",
        b"\xff",
        b"\0",
        b"99999999999999999999",
        b"\"cat\":[0],",
        b"\"target\":[1],",
        b"[[[[[[[[",
        b"\x1f\x8b",
        b"\xe2\x88\x9e",
    ];
    let mut random = Random(12);
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let mut file = random.pick(&seeds).to_vec();
        let rules = rules(&mut random);
        let mut reader = Reader::new(rules.clone());
        if random.below(3) == 0 {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&file).unwrap();
            let mut file = encoder.finish().unwrap();
            mutated(&mut random, &mut file, &pieces);
            reader.json_lines_gzip("a.json", &file[..]);
        } else {
            mutated(&mut random, &mut file, &pieces);
            reader.json_lines("a.json", &file[..]);
        }
        accepted += usize::from(check(reader.finish(), "a.json", &rules));
    }
    assert!(
        (300..INPUTS - 300).contains(&accepted),
        "{accepted} accepted"
    );
}
