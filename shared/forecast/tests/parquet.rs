//! Parquet files as pyarrow writes them (`tests/golden/make_records.py`), whole and
//! damaged.
#![cfg(feature = "parquet")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

#[path = "../../tests/mutation/mod.rs"]
mod mutation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mutation::{Random, mutated};
use pipewright_forecast::hyperparameters::{Cardinality, DynamicFeatures};
use pipewright_forecast::series::{Reader, RecordRules, Series};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Golden {
    /// By file, the records as JSON Lines have them.
    read: BTreeMap<String, Vec<Box<RawValue>>>,
    /// By file, what is said of it.
    refused: BTreeMap<String, String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data/records")
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(directory().join("records.json")).unwrap()).unwrap()
}

fn contents(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(format!("{name}.parquet"))).unwrap()
}

fn rules() -> RecordRules {
    RecordRules {
        frequency: "min".parse().unwrap(),
        cardinality: Cardinality::Auto,
        num_dynamic_feat: DynamicFeatures::Auto,
        future: 0,
        likelihood: None,
    }
}

fn same(a: &Series, b: &Series) -> bool {
    let bits = |values: &[f32]| -> Vec<u32> { values.iter().map(|x| x.to_bits()).collect() };
    a.start == b.start
        && bits(&a.target) == bits(&b.target)
        && a.cat == b.cat
        && a.dynamic_feat == b.dynamic_feat
}

#[test]
fn rows_are_the_series_that_json_lines_give() {
    let golden = golden();
    assert_eq!(golden.read.len(), 6);
    for (name, lines) in &golden.read {
        let mut parquet = Reader::new(rules());
        parquet.parquet(name, Bytes::from(contents(name)));
        let parquet = parquet
            .finish()
            .unwrap_or_else(|faults| panic!("{name}: {faults}"));
        let mut json = Reader::new(rules());
        let lines: Vec<&str> = lines.iter().map(|line| line.get()).collect();
        json.json_lines(name, lines.join("\n").as_bytes());
        let json = json.finish().unwrap();
        assert_eq!(parquet.series.len(), json.series.len(), "{name}");
        for (row, (a, b)) in parquet.series.iter().zip(&json.series).enumerate() {
            assert!(same(a, b), "{name}, row {}: {a:?} {b:?}", row + 1);
        }
        assert_eq!(parquet.categorical_features, json.categorical_features);
        assert_eq!(parquet.dynamic_features, json.dynamic_features);
    }
}

#[test]
fn what_has_another_type_or_compression_is_refused_by_name() {
    let golden = golden();
    assert_eq!(golden.refused.len(), 9);
    for (name, expected) in &golden.refused {
        let mut reader = Reader::new(rules());
        reader.parquet(name, Bytes::from(contents(name)));
        let faults = reader.finish().unwrap_err();
        assert_eq!(faults.count(), 1, "{faults}");
        let fault = faults.to_string();
        assert!(fault.starts_with(&format!("{name}, row ")), "{fault}");
        assert!(fault.contains(expected), "{fault}");
    }
}

#[test]
fn a_file_on_disk_is_read_from_there() {
    let mut reader = Reader::new(rules());
    let file = std::fs::File::open(directory().join("snappy.parquet")).unwrap();
    reader.parquet("snappy.parquet", file);
    assert_eq!(reader.finish().unwrap().series.len(), 2);
}

#[test]
fn columns_that_are_ignored_may_be_anything() {
    let mut reader = Reader::new(RecordRules {
        cardinality: Cardinality::Ignore,
        ..rules()
    });
    reader.parquet("times", Bytes::from(contents("times")));
    assert!(reader.finish().unwrap().series[0].cat.is_empty());
}

#[test]
fn no_damaged_parquet_file_panics_and_every_refusal_says_where() {
    const INPUTS: usize = 20_000;
    let golden = golden();
    let files: Vec<Vec<u8>> = golden.read.keys().map(|name| contents(name)).collect();
    let seeds: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let pieces: [&[u8]; 8] = [
        b"PAR1",
        b"\0",
        b"\xff",
        b"\xff\xff\xff\xff\x0f",
        b"\x15\x80",
        b"\x7f",
        b"\x19\xfc",
        b"target",
    ];
    let mut random = Random(13);
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let mut file = random.pick(&seeds).to_vec();
        mutated(&mut random, &mut file, &pieces);
        let mut reader = Reader::new(rules());
        reader.parquet("a.parquet", Bytes::from(file));
        match reader.finish() {
            Ok(channel) => {
                accepted += 1;
                for series in &channel.series {
                    assert!(series.target.iter().all(|value| !value.is_infinite()));
                    assert_eq!(series.cat.len(), channel.categorical_features);
                    assert_eq!(series.dynamic_feat.len(), channel.dynamic_features);
                    let length = series.target.len();
                    assert!(
                        series
                            .dynamic_feat
                            .iter()
                            .all(|values| values.len() == length)
                    );
                }
            }
            Err(faults) => {
                assert!(faults.count() > 0);
                for fault in faults.told() {
                    let fault = fault.to_string();
                    assert!(fault.starts_with("a.parquet, row "), "{fault}");
                }
            }
        }
    }
    assert!(
        (300..INPUTS - 300).contains(&accepted),
        "{accepted} accepted"
    );
}
