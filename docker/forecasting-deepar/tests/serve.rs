//! The server itself, asked over HTTP.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

#[path = "../../../shared/tests/mutation/mod.rs"]
mod mutation;
#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod program;

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use forecasting_deepar::serve::{Configuration, Rules};
use mutation::{Random, mutated};
use pipewright_forecast::series::RecordRules;
use program::{ARTIFACT, Connection, Root, Server, hyperparameters, peak_memory, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The artifact of a model with two categorical features and a dynamic one, trained
/// once for all tests.
fn artifact() -> &'static [u8] {
    static ARTIFACT: OnceLock<Vec<u8>> = OnceLock::new();
    ARTIFACT.get_or_init(|| {
        let root = Root::new();
        root.write("input/config/hyperparameters.json", hyperparameters(&[]));
        let record = |number: u32| {
            let wave = |t: u32| f64::from(t + number).sin();
            let target: Vec<f64> = (0..60).map(|t| 20.0 + 5.0 * wave(t)).collect();
            let feature: Vec<f64> = (0..60).map(|t| f64::from(t).cos()).collect();
            let cat = [number % 3, number % 4];
            json!({"start": "2020-01-01", "target": target, "cat": cat, "dynamic_feat": [feature]})
        };
        let records = (0..12).map(|number| record(number).to_string() + "\n");
        root.write("input/data/train/train.json", records.collect::<String>());
        let log = root.trained();
        assert!(log.contains("cardinality is [3, 4]."), "{log}");
        assert!(log.contains("num_dynamic_feat is 1."), "{log}");
        root.artifact()
    })
}

/// A root with the model that all tests have.
fn root() -> Root {
    let root = Root::new();
    root.write(ARTIFACT, artifact());
    root
}

fn serve(environment: &[(&str, &str)]) -> (Root, Server) {
    let root = root();
    let server = Server::start(&root, environment);
    (root, server)
}

/// A record of so many points, which fits the model.
fn record(points: usize) -> Value {
    let target: Vec<f64> = (0..points).map(|t| (t % 7) as f64 + 0.5).collect();
    let feature = vec![0.25; points + 4];
    json!({"start": "2021-06-01 00:00:00", "target": target, "cat": [1, 3], "dynamic_feat": [feature]})
}

const LINES: (&str, &str) = ("Content-Type", "application/jsonlines");

#[test]
fn the_server_says_that_it_runs_and_how_to_call_it() {
    let (_root, server) = serve(&[("MODEL_SERVER_WORKERS", "3")]);
    let ping = server.get("/ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, ""));
    let parameters = server.get("/execution-parameters");
    assert_eq!(
        parameters.body,
        r#"{"MaxConcurrentTransforms":3,"BatchStrategy":"SINGLE_RECORD","MaxPayloadInMB":6}"#
    );
    assert_eq!(parameters.headers["content-type"], "application/json");
}

/// A request as DeepAR's documentation has it is answered in its order, with what it asks for and no more.
#[test]
fn the_documented_request_is_answered() {
    let (_root, server) = serve(&[]);
    let request = r#"{
        "instances": [
            {"start": "2009-11-01 00:00:00", "target": [4.0, 10.0, "NaN", 100.0, 113.0], "cat": [0, 1],
             "dynamic_feat": [[1.0, 1.1, 2.1, 0.5, 3.1, 4.1, 1.2, 5.0, 0.0]]},
            {"start": "2012-01-30", "target": [1.0], "cat": [2, 1], "dynamic_feat": [[2.0, 3.1, 4.5, 1.5, 1.8]]},
            {"start": "1999-01-30", "target": [], "cat": [1, 3], "dynamic_feat": [[1.0, 0.1, -2.5, 0.3]]}
        ],
        "configuration": {"num_samples": 50, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.5", "0.90"]}
    }"#;
    let response = server.json(request);
    assert_eq!(response.headers["content-type"], "application/json");
    let answer = response.value();
    let predictions = answer["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array().unwrap().iter();
        list.map(|number| number.as_f64().unwrap()).collect()
    };
    for prediction in predictions {
        let keys: Vec<&String> = prediction.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["mean", "quantiles", "samples"]);
        let quantiles: Vec<&String> = prediction["quantiles"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(quantiles, ["0.5", "0.90"]);
        let samples: Vec<Vec<f64>> = prediction["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        assert_eq!(samples.len(), 50);
        for point in 0..4 {
            let mut sorted: Vec<f64> = samples.iter().map(|sample| sample[point]).collect();
            sorted.sort_by(f64::total_cmp);
            // sorted[round((n - 1) q)], half to even.
            assert_eq!(numbers(&prediction["quantiles"]["0.5"])[point], sorted[24]);
            assert_eq!(numbers(&prediction["quantiles"]["0.90"])[point], sorted[44]);
            let mean = sorted.iter().sum::<f64>() / 50.0;
            let answered = numbers(&prediction["mean"])[point];
            assert!(
                (answered - mean).abs() <= 1e-4 * mean.abs().max(1.0),
                "{answered} {mean}"
            );
        }
    }
    let defaults = server
        .json(&json!({"instances": [record(9)]}).to_string())
        .value();
    let prediction = &defaults["predictions"][0];
    let keys: Vec<&String> = prediction.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["mean", "quantiles"]);
    let quantiles: Vec<&String> = prediction["quantiles"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        quantiles,
        [
            "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"
        ]
    );
}

/// A series has the same forecast alone and among others, whatever the number of workers.
#[test]
fn a_forecast_depends_on_its_series_only() {
    let ask = |workers: &str, instances: &[Value]| {
        let (_root, server) = serve(&[("MODEL_SERVER_WORKERS", workers)]);
        let body = json!({"instances": instances, "configuration": {"num_samples": 10}});
        server.json(&body.to_string()).value()["predictions"].clone()
    };
    let records: Vec<Value> = (3..150).map(record).collect();
    let together = ask("1", &records);
    let mut reversed = records.clone();
    reversed.reverse();
    let backwards = ask("4", &reversed);
    let mut backwards = backwards.as_array().unwrap().clone();
    backwards.reverse();
    assert_eq!(together.as_array().unwrap(), &backwards);
    assert_eq!(ask("2", &records[7..8])[0], together[7]);
}

/// A batch job sends lines and gets lines, as its environment configures it.
#[test]
fn json_lines_are_answered_line_by_line() {
    let (_root, server) = serve(&[
        ("SAGEMAKER_BATCH", "true"),
        ("SAGEMAKER_BATCH_STRATEGY", "SingleRecord"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "7"),
        ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "2"),
        (
            "DEEPAR_INFERENCE_CONFIG",
            r#"{"num_samples": 4, "output_types": ["quantiles"], "quantiles": ["0.5"]}"#,
        ),
        ("DEEPAR_FORWARDED_FIELDS", r#"["id", "note"]"#),
    ]);
    let line = |id: Value| {
        let mut record = record(9);
        record["id"] = id;
        record["note"] = json!("ü");
        record.to_string()
    };
    let body = format!(
        "{}\r\n\n{}\n",
        line(json!("a")),
        line(json!({"b": [1, null]}))
    );
    let response = server
        .connect()
        .send("POST", "/invocations", &[LINES], body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.headers["content-type"], "application/jsonlines");
    assert!(response.body.ends_with("}\n"));
    let answers: Vec<Value> = response
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(
        (&answers[0]["id"], &answers[1]["id"]),
        (&json!("a"), &json!({"b": [1, null]}))
    );
    assert_eq!(answers[0]["note"], "ü");
    for answer in &answers {
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["quantiles", "id", "note"]);
        assert_eq!(answer["quantiles"]["0.5"].as_array().unwrap().len(), 4);
    }
    let without = record(9).to_string();
    let refused = server
        .connect()
        .send("POST", "/invocations", &[LINES], without.as_bytes());
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .body
            .contains("line 1: the field `id` is missing, which DEEPAR_FORWARDED_FIELDS wants"),
        "{}",
        refused.body
    );
    // The configuration holds for JSON that has none; 6.5 MB are less than the job's 7.
    let json = format!(
        "{}{}",
        json!({"instances": [record(9)]}),
        " ".repeat(6_500_000)
    );
    let answer = server.json(&json).value();
    assert_eq!(
        answer["predictions"][0]["quantiles"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    let own = json!({"instances": [record(9)], "configuration": {"num_samples": 4}});
    let answer = server.json(&own.to_string()).value();
    assert_eq!(
        answer["predictions"][0]["quantiles"]
            .as_object()
            .unwrap()
            .len(),
        9
    );
}

/// A local server answers programs by its address, and no web page.
#[test]
fn a_local_server_answers_no_web_page() {
    let (_root, server) = serve(&[("PIPEWRIGHT_LOCAL", "1")]);
    for (header, status) in [
        (("Accept", "*/*"), 200),
        (("Host", "localhost"), 200),
        (("Host", "evil.example:8080"), 403),
        (("Origin", "http://evil.example"), 403),
    ] {
        let response = server.connect().send("GET", "/ping", &[header], b"");
        assert_eq!(response.status, status, "{header:?}");
    }
}

/// What is refused has the status that SageMaker's clients know, and a text that names place and cure.
#[test]
fn refusals_have_their_status_and_a_text_that_helps() {
    let (_root, mut server) = serve(&[]);
    let mut connection = server.connect();
    let octets = [("Content-Type", "application/octet-stream")];
    let response = connection.send("POST", "/invocations", &octets, b"{}");
    assert_eq!(
        (response.status, response.body.as_str()),
        (
            415,
            "Customer Error: Content-Type header value 'application/octet-stream' not supported; send application/json or application/jsonlines"
        )
    );
    assert_eq!(
        connection.send("POST", "/invocations", &[], b"{}").status,
        415
    );
    for (method, path, status) in [
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
        ("GET", "/", 404),
        ("POST", "/models", 404),
    ] {
        let response = connection.send(method, path, &[], b"");
        assert_eq!(response.status, status, "{method} {path}");
        assert!(
            response
                .body
                .contains("GET /ping, GET /execution-parameters and POST /invocations")
        );
    }
    let mut wrong = record(3);
    wrong["cat"] = json!([1, 4]);
    let body = json!({"instances": [record(3), wrong, {"start": "2021-06-01", "target": [1], "cat": [0, 0], "dynamic_feat": [[1, 2]]}]});
    let response = connection.json(body.to_string().as_bytes());
    assert_eq!(response.status, 400);
    assert_eq!(
        response.body,
        "Unable to evaluate payload provided: 2 faults:
  instances[1]: cat[1] is 4; it must be from 0 to 3
  instances[2]: dynamic_feat[0] has 2 values; it must have 5: the 1 of target and the 4 that are forecast"
    );
    for (samples, expected) in [
        (
            "0",
            "configuration.num_samples is `0`; it must be a whole number from 1 to 100000",
        ),
        (
            "1000000000",
            "configuration.num_samples is `1000000000`; it must be",
        ),
        ("1e9", "configuration.num_samples is `1e9`; it must be"),
        ("-1", "configuration.num_samples is `-1`; it must be"),
        ("\"5\"", "configuration.num_samples is `\"5\"`; it must be"),
    ] {
        let body = format!(
            "{{\"instances\": [{}], \"configuration\": {{\"num_samples\": {samples}}}}}",
            record(3)
        );
        let response = connection.json(body.as_bytes());
        assert_eq!(response.status, 400);
        assert!(response.body.contains(expected), "{}", response.body);
    }
    assert_eq!(
        connection.json(&body.to_string().as_bytes()[..40]).status,
        400
    );
    drop(connection);
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.end(), Some(0));
    let log = &server.process.log;
    assert_eq!(
        log.matches(
            "\"Algorithm\": \"DeepARModel\", \"Host\": \"UNKNOWN\", \"Operation\": \"scoring\""
        )
        .count(),
        9,
        "{log}"
    );
    assert_eq!(
        log.matches(
            "\"invocations_error.count\": {\"sum\": 1.0, \"count\": 1, \"min\": 1, \"max\": 1}"
        )
        .count(),
        9
    );
    assert!(log.contains("WARNING"), "{log}");
}

/// Bodies up to 6 MB are read; a larger one is refused with the limit.
#[test]
fn a_body_of_six_megabytes_is_answered_and_a_larger_one_refused() {
    const LIMIT: usize = 6 * 1024 * 1024;
    let (_root, server) = serve(&[]);
    let request = |length: usize| {
        let points = length / 20;
        let list = |numbers: usize| vec!["0.123456"; numbers].join(",");
        let mut body = format!(
            "{{\"instances\": [{{\"start\": \"2000-01-01\", \"cat\": [0, 0], \"target\": [{}], \"dynamic_feat\": [[{}]]}}], \"configuration\": {{\"num_samples\": 1}}}}",
            list(points),
            list(points + 4),
        );
        body.push_str(&" ".repeat(length - body.len()));
        body
    };
    let body = request(LIMIT);
    assert_eq!(body.len(), LIMIT);
    let answer = server.json(&body).value();
    assert_eq!(
        answer["predictions"][0]["mean"].as_array().unwrap().len(),
        4
    );
    for length in [LIMIT + 1, 3 * LIMIT] {
        let response = server.json(&request(length));
        assert_eq!(response.status, 413);
        assert!(
            response
                .body
                .contains("the body is larger than 6291456 bytes; send fewer records at once"),
            "{}",
            response.body
        );
    }
    assert_eq!(server.get("/ping").status, 200);
}

/// Ten thousand records are answered in one request, in bounded memory; more are refused.
#[test]
fn ten_thousand_records_are_answered_in_bounded_memory() {
    let (_root, server) = serve(&[("MODEL_SERVER_WORKERS", "2")]);
    let request = |records: usize| {
        let record = record(3).to_string();
        let records = vec![record; records].join(",");
        format!("{{\"instances\": [{records}], \"configuration\": {{\"num_samples\": 10}}}}")
    };
    let answer = server.json(&request(10_000)).value();
    let predictions = answer["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 10_000);
    assert!(predictions.iter().all(|one| *one == predictions[0]));
    let refused = server.json(&request(10_001));
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .body
            .contains("the request has 10001 records; at most 10000"),
        "{}",
        refused.body
    );
    let most = json!({"instances": [record(3)], "configuration": {"num_samples": 100_000, "output_types": ["samples"]}});
    let samples = &server.json(&most.to_string()).value()["predictions"][0]["samples"];
    assert_eq!(samples.as_array().unwrap().len(), 100_000);
    let peak = peak_memory(server.process.id());
    assert!(peak < 200_000_000, "{peak} bytes");
}

/// A client that hangs up frees its worker.
#[test]
fn nothing_is_computed_for_a_client_that_has_hung_up() {
    let (_root, server) = serve(&[("MODEL_SERVER_WORKERS", "1")]);
    let small =
        json!({"instances": [record(3)], "configuration": {"num_samples": 100}}).to_string();
    let began = Instant::now();
    server.json(&small).value();
    let one = began.elapsed();
    let records = vec![record(3).to_string(); 10_000].join(",");
    let large = format!(
        "{{\"instances\": [{records}], \"configuration\": {{\"num_samples\": 1000, \"output_types\": [\"mean\"]}}}}"
    );
    let mut client = server.connect();
    client.begin(
        "POST",
        "/invocations",
        &[("Content-Type", "application/json")],
        large.as_bytes(),
    );
    // The request is at work when another waits.
    std::thread::sleep(Duration::from_millis(500));
    let mut other = server.connect();
    other.begin(
        "POST",
        "/invocations",
        &[("Content-Type", "application/json")],
        small.as_bytes(),
    );
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.get("/ping").status, 200);
    drop(client);
    let began = Instant::now();
    assert_eq!(other.receive().status, 200);
    // The whole request would take a hundred thousand times as long as a tenth of the small one.
    let all = one * 10_000;
    assert!(
        began.elapsed() < all / 20 + Duration::from_secs(5),
        "{:?} of {all:?}",
        began.elapsed()
    );
    // One that ends within its body leaves no trace either.
    let mut broken = server.connect();
    broken.begin(
        "POST",
        "/invocations",
        &[
            ("Content-Type", "application/json"),
            ("Content-Length", "1000"),
        ],
        b"{",
    );
    drop(broken);
    assert_eq!(server.json(&small).status, 200);
}

/// A server that is stopped answers what it has begun.
#[test]
fn a_stopped_server_answers_what_it_has_begun() {
    let (_root, mut server) = serve(&[("MODEL_SERVER_WORKERS", "1")]);
    let records = vec![record(3).to_string(); 200].join(",");
    let body = format!("{{\"instances\": [{records}]}}");
    let mut connection = server.connect();
    connection.begin(
        "POST",
        "/invocations",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    );
    std::thread::sleep(Duration::from_millis(300));
    server.process.signal(Signal::TERM);
    assert_eq!(connection.receive().status, 200);
    assert_eq!(server.process.end(), Some(0));
    assert!(
        server
            .process
            .log
            .contains("[pipewright] stopped by a signal")
    );
}

/// Replaces, removes or doubles one value somewhere in a JSON document.
fn damage(random: &mut Random, value: &mut Value) {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e39),
        json!(4_294_967_296_u64),
        json!("NaN"),
        json!("0.5"),
        json!(""),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!("2020-02-30"),
        json!("9999-12-31 23:59:59"),
        json!([0.25, 0.25, 0.25, 0.25, 0.25]),
        json!([1, 3]),
        json!(["mean"]),
        json!(["0.5", "0.999"]),
        json!("\u{0}"),
        json!(5),
    ];
    let descend = random.below(4) > 0;
    match value {
        Value::Array(list) if descend && !list.is_empty() => {
            let at = random.below(list.len());
            match random.below(8) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => damage(random, &mut list[at]),
            }
        }
        Value::Object(members) if descend && !members.is_empty() => {
            let keys: Vec<String> = members.keys().cloned().collect();
            let key = &keys[random.below(keys.len())];
            match random.below(10) {
                0 => drop(members.remove(key)),
                1 => drop(members.insert(format!("{key}s"), json!(1))),
                _ => damage(random, &mut members[key]),
            }
        }
        other => *other = odd[random.below(odd.len())].clone(),
    }
}

/// Of 20,000 damaged requests none panics: each is read, or refused with named faults. Those that are sent are answered accordingly.
#[test]
fn damaged_requests_are_answered_or_refused_by_name() {
    const REQUESTS: usize = 20_000;
    const SENT: usize = 2_000;
    let rules = Rules {
        records: RecordRules::forecast("D".parse().unwrap(), &[3, 4], 1, 4),
        prediction_length: 4,
        configuration: Configuration::default(),
        forwarded: Vec::new(),
    };
    let (_root, mut server) = serve(&[("DEEPAR_INFERENCE_CONFIG", r#"{"num_samples": 2}"#)]);
    let mut named = record(2);
    named["id"] = json!("NaN \" }");
    let all = json!({"num_samples": 2, "output_types": ["mean", "samples", "quantiles"], "quantiles": ["0.5", "0.9"]});
    let seeds = [
        json!({"instances": [record(1)], "configuration": all}),
        json!({"instances": [record(0), named], "configuration": {"num_samples": 1, "output_types": ["mean"]}}),
        json!({"instances": []}),
        record(1),
    ];
    let pieces: [&[u8]; 20] = [
        b"\"",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"\\u0000",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\"instances\":",
        b"\"configuration\":{}",
        b"99999999999999999999",
        b"\"start\":\"0000-00-00\"",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ];
    let mut random = Random(13);
    let mut read = 0;
    let mut connection = server.connect();
    for number in 0..REQUESTS {
        let seed = random.below(seeds.len());
        let mut value = seeds[seed].clone();
        if random.below(2) == 0 {
            damage(&mut random, &mut value);
        }
        let mut body = value.to_string().into_bytes();
        if random.below(2) == 0 {
            mutated(&mut random, &mut body, &pieces);
        }
        let (headers, request) = match seed {
            3 => (LINES, rules.json_lines(&body)),
            _ => (("Content-Type", "application/json"), rules.json(&body)),
        };
        let shown = String::from_utf8_lossy(&body);
        read += usize::from(request.is_ok());
        if let Err(faults) = &request {
            for fault in faults.told() {
                let fault = fault.to_string();
                let named = [
                    "instances",
                    "configuration",
                    "the body",
                    "line ",
                    "the field `instances`",
                ];
                let is_named = named.iter().any(|name| fault.starts_with(name))
                    || fault.ends_with("is it `configuration`?");
                assert!(is_named && fault.len() < 1_000, "{shown}\n{fault}");
                assert!(!fault.contains('\n'), "{shown}\n{fault}");
            }
        }
        if number < SENT {
            let response = connection.send("POST", "/invocations", &[headers], &body);
            match request {
                Ok(_) => {
                    assert_eq!(response.status, 200, "{shown}\n{}", response.body);
                    for line in response.body.lines() {
                        serde_json::from_str::<Value>(line).unwrap();
                    }
                }
                Err(faults) => {
                    let text = format!("Unable to evaluate payload provided: {faults}");
                    assert_eq!((response.status, response.body), (400, text), "{shown}");
                }
            }
        }
    }
    assert!(
        (REQUESTS / 4..REQUESTS * 3 / 4).contains(&read),
        "{read} read"
    );
    drop(connection);
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.end(), Some(0));
    assert!(
        !server.process.log.contains("panic"),
        "{}",
        server.process.log
    );
}

/// A server without a model, or with one that cannot be used, ends at once and says why.
#[test]
fn a_server_without_a_usable_model_says_why() {
    let refused = |change: &dyn Fn(&Root), environment: &[(&str, &str)]| {
        let root = Root::new();
        change(&root);
        let mut command = root.command(&["serve", "--port", "0"]);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        program::text(&output)
    };
    let log = refused(&|_| (), &[]);
    assert!(log.contains("there is no model: "), "{log}");
    assert!(
        log.contains("model/model.pipewright-deepar does not exist; train one"),
        "{log}"
    );
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = artifact().to_vec();
        change(&mut bytes);
        refused(&|root| root.write(ARTIFACT, &bytes), &[])
    };
    let log = with(&|bytes| bytes[8] = 9);
    assert!(
        log.contains("the file has format version 9, and this program reads up to"),
        "{log}"
    );
    let log = with(&|bytes| bytes.truncate(bytes.len() / 2));
    assert!(log.contains("the file is damaged"), "{log}");
    let log = with(&|bytes| *bytes = b"[model]".to_vec());
    assert!(
        log.contains("this is not a model that Pipewright's DeepAR wrote"),
        "{log}"
    );
    let log = refused(
        &|root| root.write(ARTIFACT, artifact()),
        &[
            ("MODEL_SERVER_WORKERS", "many"),
            ("DEEPAR_INFERENCE_CONFIG", "{}x"),
        ],
    );
    assert!(log.contains("MODEL_SERVER_WORKERS is `many`"), "{log}");
    assert!(log.contains("DEEPAR_INFERENCE_CONFIG"), "{log}");
}

/// The port is that of the environment, and one that is taken is an error.
#[test]
fn the_port_is_sagemakers() {
    let (root, server) = serve(&[]);
    let port = server.port.to_string();
    let mut command = root.command(&["serve"]);
    command
        .env("SAGEMAKER_BIND_TO_HOST", "127.0.0.1")
        .env("SAGEMAKER_BIND_TO_PORT", &port);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("binding 127.0.0.1, port {port}")),
        "{error}"
    );
    drop(server);
    let mut process = program::Running::start(&mut command);
    process.until(&format!("listening on http://127.0.0.1:{port}"));
    wait_until("the server", || {
        Connection::to(port.parse().unwrap())
            .send("GET", "/ping", &[], b"")
            .status
            == 200
    });
    assert!(fs::exists(root.path(ARTIFACT)).unwrap());
}
