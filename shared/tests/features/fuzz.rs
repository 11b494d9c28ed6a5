//! A bounded fuzz of what comes from outside: mutated price files and mutated
//! training templates, the same ones at every run. Nothing may panic, and what
//! is accepted must keep the promises of its type.

use pipewright::features::{CatalogueAsset, FAULTS_LISTED, assets_needed, read_prices};
use pipewright::training_template::TrainingTemplate;
use serde_json::{Value, json};

use super::mutation::{Random, mutated};
use super::{
    asset, assets, end_of_training, files, parse, run, template, with_arima, with_autoencoder,
};

/// Mutated price files, and as many mutated templates.
const INPUTS: usize = 20_000;

/// Mutated templates that are run on prices when they are accepted.
const RUNS: usize = 1_500;

#[test]
fn no_price_file_panics_and_what_is_accepted_is_ordered_and_finite() {
    let seeds: [&[u8]; 6] = [
        b"Date,Close\n2018-01-02,1.5\n2018-01-03,2\n2018-01-04,-0.25\n",
        b"\xef\xbb\xbfDate,Close\r\n2018-01-02,1.5\r\n\r\n2018-01-03,\r\n",
        b"\"Date\",\"Open\",\"Close\"\n\"2018-01-02\",\"1\",\"1.5\"\n2018-01-03,2,1e3\n",
        b"day;price\n2018-01-02;1\n",
        b"x,y\n2018-01-05,1\n2018-01-02,1e-320\n2018-01-05,1.0\n",
        b"close,date,Volume\n1,2018-02-28,9\n2,2020-02-29,9\n",
    ];
    let pieces: [&[u8]; 26] = [
        b"\"",
        b"\"\"",
        b",",
        b",,",
        b"\n",
        b"\r\n",
        b"\r",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xff",
        b"\xf0\x9f\x98\x80",
        b"NaN",
        b"inf",
        b"-",
        b"+1",
        b"1e15",
        b"1e16",
        b"5e-324",
        b"0000-00-00",
        b"9999-12-31",
        b"2018-01-02,1.5\n",
        b"2018-01-02,1.6\n",
        b"Date",
        b"Close",
        b" ",
        b"T00:00:00",
    ];
    let mut random = Random(1);
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let mut bytes = random.pick(&seeds).to_vec();
        mutated(&mut random, &mut bytes, &pieces);
        match read_prices("T", "T.csv", &bytes) {
            Ok(read) => {
                accepted += 1;
                assert!(!read.dates.is_empty() && read.dates.len() == read.prices.len());
                assert!(read.dates.windows(2).all(|pair| pair[0] < pair[1]));
                assert!(read.prices.iter().all(|x| x.is_finite() && x.abs() <= 1e15));
                assert!(read.warnings.iter().all(|w| w.starts_with("T.csv")));
            }
            Err(error) => {
                let lines = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 1;
                assert!((1..=FAULTS_LISTED + 1).contains(&error.faults.len()));
                for fault in &error.faults {
                    let line = fault.line.map_or(1, |line| usize::try_from(line).unwrap());
                    assert!((1..=lines).contains(&line), "line {line} of {lines}");
                    let text = fault.to_string();
                    assert!(
                        text.starts_with("T.csv") && text.contains("asset `T`"),
                        "{text}"
                    );
                    assert!(text.len() < 2_000, "{} bytes", text.len());
                }
            }
        }
    }
    assert!(
        accepted > INPUTS / 40 && accepted < INPUTS,
        "{accepted} accepted"
    );
}

/// A template with every stage and every optional key.
fn full_template() -> Value {
    let mut document = template(end_of_training());
    with_arima(&mut document);
    with_autoencoder(&mut document);
    document["name"] = json!("n");
    document["trainingInstanceType"] = json!("ml.m5.xlarge");
    document["modelApprovalStatus"] = json!("Approved");
    document["feMeta"]["arimaSettings"]["order"] = json!([5, 1, 0]);
    document["feMeta"]["fftSettings"]["mode"] = json!("expanding");
    document["feMeta"]["fftSettings"]["edge"] = json!("mirror");
    document["feMeta"]["autoEncoderSettings"]["inputs"] = json!("changes");
    document["feMeta"]["autoEncoderSettings"]["seed"] = json!(7);
    document["deepARMeta"]["calendar"] = json!("daily");
    document["deepARMeta"]["compress"] = json!(true);
    document["deepARMeta"]["hyperParams"] = json!({
        "epochs": 1, "learning_rate": 1e-3, "cardinality": "auto", "test_quantiles": [0.1, 0.9],
        "likelihood": "student-T", "dropout_rate": 0.1
    });
    document
}

/// Sets one value somewhere in the document to another.
fn set_somewhere(random: &mut Random, document: &mut Value) {
    let mut place = document;
    loop {
        let children = match place {
            Value::Object(map) => map.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if children == 0 || random.below(12) == 0 {
            break;
        }
        let child = random.below(children);
        place = match place {
            Value::Object(map) => map.values_mut().nth(child).unwrap(),
            Value::Array(items) => &mut items[child],
            _ => unreachable!("only these two have children"),
        };
    }
    // Mostly a value of the kind that is there, so that some documents pass.
    let kept_kind = random.below(4) > 0;
    *place = match place {
        Value::Bool(was) if kept_kind => json!(!*was),
        Value::Number(_) if kept_kind => match random.below(8) {
            0 => json!(0.5),
            1 => json!(1_000_000),
            2 => json!(86_400_000_i64 * i64::try_from(17_500 + random.below(300)).unwrap()),
            _ => json!(1 + random.below(40)),
        },
        Value::String(_) if kept_kind => {
            let words = [
                "A", "B", "X", "Y", "all", "trading", "periodic", "global", "levels", "middle",
                "D", "gaussian", "Rejected", "",
            ];
            json!(random.pick(&words))
        }
        _ => match random.below(8) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(1e300),
            4 => json!([]),
            5 => json!({}),
            6 => json!(["A", "C"]),
            _ => json!("all"),
        },
    };
}

#[test]
fn no_template_makes_the_parser_panic_whatever_its_bytes_and_values() {
    let seed = full_template();
    let text = serde_json::to_vec(&seed).unwrap();
    let pieces: [&[u8]; 22] = [
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"-",
        b"0",
        b"1e400",
        b"1e-400",
        b"99999999999999999999",
        b"0.1",
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"\"Id\":",
        b"[[[[",
        b"\"1D\"",
        b"\"x\":{},",
    ];
    let catalogue: Vec<CatalogueAsset> = [("A", "X"), ("B", "X"), ("C", "Y")]
        .map(|(ticker, class)| asset(ticker, class))
        .into();
    let mut random = Random(2);
    let (mut documents, mut accepted) = (0, 0);
    for i in 0..INPUTS {
        let document = if i % 2 == 0 {
            let mut bytes = text.clone();
            mutated(&mut random, &mut bytes, &pieces);
            let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
                continue;
            };
            document
        } else {
            let mut document = seed.clone();
            for _ in 0..=random.below(3) {
                set_somewhere(&mut random, &mut document);
            }
            document
        };
        documents += 1;
        match TrainingTemplate::parse(&document) {
            Ok(template) => {
                accepted += 1;
                let _ = template.warnings();
                if let Err(error) = assets_needed(&template, &catalogue) {
                    assert!(error.to_string().len() < 1_000);
                }
            }
            Err(faults) => {
                assert!(!faults.faults().is_empty());
                for fault in faults.faults() {
                    assert!(
                        fault.to_string().len() < 1_000,
                        "{} bytes",
                        fault.to_string().len()
                    );
                }
            }
        }
    }
    assert!(documents > INPUTS / 2, "{documents} were JSON");
    assert!(
        accepted > INPUTS / 40 && accepted < documents,
        "{accepted} accepted"
    );
}

/// Settings that the parser accepts are computed with, or refused with a
/// sentence; the autoencoder is left out for its time.
#[test]
fn no_accepted_template_panics_or_writes_a_number_that_is_not_finite() {
    let mut seed = full_template();
    seed["feMeta"]["autoEncoderSettings"] = json!({"enabled": false});
    let mut random = Random(3);
    let (mut made, mut refused) = (0, 0);
    for _ in 0..RUNS {
        let mut document = seed.clone();
        for _ in 0..=random.below(4) {
            set_somewhere(&mut random, &mut document);
        }
        let Ok(template) = TrainingTemplate::parse(&document) else {
            continue;
        };
        if template.features.autoencoder.enabled {
            continue;
        }
        assert_eq!(parse(&document), template);
        match run(&document, assets(120), 1) {
            Ok(set) => {
                made += 1;
                assert!(
                    set.columns()
                        .iter()
                        .all(|c| !c.values.iter().any(|x| x.is_infinite()))
                );
                assert!(files(&set).iter().all(|file| !file.is_empty()));
            }
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(!text.is_empty() && text.len() < 2_000, "{text}");
            }
        }
    }
    assert!(made > 50 && refused > 50, "{made} made, {refused} refused");
}
