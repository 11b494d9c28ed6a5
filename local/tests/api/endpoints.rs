//! Endpoints that programs of this machine serve, and their runtime API.

use crate::common::{ROLE, StandIn};
use flate2::Compression;
use flate2::write::GzEncoder;
use pipewright_local::event::Event;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// A server of a model that is a text; the body says what else it does.
const SERVER: &str = r#"#!/usr/bin/env python3
import http.server, os
with open(os.environ["PIPEWRIGHT_ML_ROOT"] + "/model/name") as file:
    MODEL = file.read()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if body == "die":
            print("out of memory", flush=True)
            os._exit(3)
        if body == "bad":
            return self.answer(400, "no such field")
        if os.environ.get("SAGEMAKER_BATCH") == "true":
            lines = (f'{{"size": {len(line)}}}\n' for line in body.splitlines())
            return self.answer(200, "".join(lines))
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        words = [MODEL, os.getpid(), os.environ["OWN"], self.headers["Content-Type"], attributes, body]
        self.answer(200, " ".join(map(str, words)))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

address = os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"#;

/// A stand-in with a program for images of repository `server`, and a model in S3.
async fn start(test: &str) -> StandIn {
    let standin = StandIn::start(test).await;
    let app = standin.run_dir.join("app");
    std::fs::create_dir_all(&app).unwrap();
    let program = app.join("server");
    std::fs::write(&program, SERVER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "name", "my-one".as_bytes())
        .unwrap();
    let archive = archive.into_inner().unwrap().finish().unwrap();
    standin.store.put_bytes("models/model.tar.gz", archive);
    standin
}

/// Makes an endpoint `e` of one variant `v` for each model, a container each.
pub(crate) async fn create(standin: &StandIn, containers: &[Value]) {
    let mut variants = Vec::new();
    for (number, container) in containers.iter().enumerate() {
        let name = format!("m{number}");
        standin
            .call(
                "CreateModel",
                json!({"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}),
            )
            .await;
        variants.push(
            json!({"VariantName": format!("v{number}"), "ModelName": name,
            "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}),
        );
    }
    standin
        .call(
            "CreateEndpointConfig",
            json!({"EndpointConfigName": "c", "ProductionVariants": variants}),
        )
        .await;
    standin
        .call(
            "CreateEndpoint",
            json!({"EndpointName": "e", "EndpointConfigName": "c"}),
        )
        .await;
}

fn container() -> Value {
    json!({"Image": "host/server:1", "ModelDataUrl": "s3://models/model.tar.gz",
        "Environment": {"OWN": "variable"}})
}

/// Waits until the endpoint has a status, `gone` if there is none; gives its description.
pub(crate) async fn status(standin: &StandIn, wanted: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, body) = standin
            .send("SageMaker.DescribeEndpoint", r#"{"EndpointName": "e"}"#)
            .await;
        let now = match status {
            200 => body["EndpointStatus"].as_str().unwrap(),
            _ => "gone",
        };
        if now == wanted {
            return body;
        }
        assert!(Instant::now() < deadline, "still {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_alive(process: &str) -> bool {
    let process: i32 = process.parse().unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::test_kill_process(process).is_ok()
}

/// An endpoint is served by the program of its model's image, which is gone when the endpoint is.
#[tokio::test]
async fn an_endpoint_is_served_by_the_program_of_its_image_until_it_is_deleted() {
    let standin = start("served").await;
    create(&standin, &[container()]).await;
    status(&standin, "InService").await;
    let headers = "Content-Type: text/x-mine\r\nX-Amzn-SageMaker-Custom-Attributes: trace=7\r\n";
    let (code, head, body) = standin.invoke("e", headers, b"hello").await;
    assert_eq!(code, 200, "{body}");
    let words: Vec<&str> = body.split(' ').collect();
    let process = words[1].to_owned();
    assert_eq!(
        [words[0], words[2], words[3], words[4], words[5]],
        ["my-one", "variable", "text/x-mine", "trace=7", "hello"]
    );
    assert!(
        head.contains("x-amzn-invoked-production-variant: v0"),
        "{head}"
    );
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert!(is_alive(&process));

    let (code, head, body) = standin.invoke("e", headers, b"bad").await;
    assert_eq!(code, 424);
    assert!(head.contains("x-amzn-errortype: ModelError"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["OriginalStatusCode"], 400);
    assert_eq!(body["OriginalMessage"], "no such field");

    standin
        .call("DeleteEndpoint", json!({"EndpointName": "e"}))
        .await;
    status(&standin, "gone").await;
    assert!(!is_alive(&process));
}

/// When the stand-in ends, the programs of its endpoints end with it, and no failure is reported.
#[tokio::test]
async fn the_programs_of_endpoints_end_with_the_stand_in() {
    let standin = start("ends").await;
    create(&standin, &[container(), container()]).await;
    status(&standin, "InService").await;
    let mut processes = Vec::new();
    for _ in 0..2 {
        let (_, _, body) = standin.invoke("e", "", b"x").await;
        processes.push(body.split(' ').nth(1).unwrap().to_owned());
    }
    assert_ne!(processes[0], processes[1]);
    assert!(processes.iter().all(|process| is_alive(process)));
    standin.shut_down().await;
    assert!(!processes.iter().any(|process| is_alive(process)));
    let told = standin.events();
    let failed = told
        .iter()
        .any(|event| event.detail["EndpointStatus"] == "FAILED");
    assert!(!failed, "{told:?}");
}

#[tokio::test]
async fn an_endpoint_whose_program_dies_has_failed_and_says_why() {
    let standin = start("dies").await;
    create(&standin, &[container()]).await;
    status(&standin, "InService").await;
    let (code, _, body) = standin.invoke("e", "", b"die").await;
    assert_eq!(code, 424, "{body}");
    let failed = status(&standin, "Failed").await;
    let reason = failed["FailureReason"].as_str().unwrap();
    assert!(
        reason.contains("variant v0 ended with exit code: 3"),
        "{reason}"
    );
    assert!(reason.contains("Its log ends: out of memory"), "{reason}");
    let (code, _, body) = standin.invoke("e", "", b"hello").await;
    assert_eq!(code, 400);
    assert!(body.contains("its status is Failed"), "{body}");
    let told = loop {
        let events = standin.events();
        let last = events
            .iter()
            .rfind(|event| event.detail_type == Event::ENDPOINT);
        let detail = last.map(|event| event.detail.clone()).unwrap_or_default();
        if detail["EndpointStatus"] == "FAILED" {
            break detail;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(told["FailureReason"], reason);
    standin
        .call("DeleteEndpoint", json!({"EndpointName": "e"}))
        .await;
    status(&standin, "gone").await;
}

#[tokio::test]
async fn a_model_that_is_not_there_fails_its_endpoint() {
    let standin = start("no-model").await;
    let mut container = container();
    container["ModelDataUrl"] = json!("s3://models/nothing.tar.gz");
    create(&standin, &[container]).await;
    let failed = status(&standin, "Failed").await;
    let reason = failed["FailureReason"].as_str().unwrap();
    assert!(reason.contains("s3://models/nothing.tar.gz"), "{reason}");
    assert!(reason.contains("no object"), "{reason}");
}

#[tokio::test]
async fn an_invocation_goes_to_the_variant_that_it_names_or_to_each_in_turn() {
    let standin = start("variants").await;
    create(&standin, &[container(), container()]).await;
    status(&standin, "InService").await;
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let (_, head, _) = standin.invoke("e", "", b"hello").await;
        found.insert(head.contains("production-variant: v0"));
    }
    assert_eq!(found.len(), 2);
    for _ in 0..3 {
        let header = "X-Amzn-SageMaker-Target-Variant: v1\r\n";
        let (_, head, _) = standin.invoke("e", header, b"hello").await;
        assert!(head.contains("production-variant: v1"), "{head}");
    }
    let header = "X-Amzn-SageMaker-Target-Variant: v2\r\n";
    let (code, _, body) = standin.invoke("e", header, b"hello").await;
    assert_eq!(code, 400);
    assert!(body.contains("Variant v2"), "{body}");
}

/// An endpoint whose image cannot be run here says that it is only simulated.
#[tokio::test]
async fn what_cannot_be_invoked_is_refused_in_the_services_words() {
    let standin = start("refused").await;
    create(&standin, &[json!({"Image": "host/nobody:1"})]).await;
    status(&standin, "InService").await;
    let large = vec![b'x'; 6 * 1024 * 1024 + 1];
    let target_model = "X-Amzn-SageMaker-Target-Model: m\r\n";
    for (endpoint, headers, body, words) in [
        (
            "nothing",
            "",
            b"x".as_slice(),
            "Endpoint nothing of account 123456789012 not found",
        ),
        ("e", "", b"x", "only simulated"),
        ("e", target_model, b"x", "x-amzn-sagemaker-target-model"),
        ("e", "", large.as_slice(), "6291456 bytes"),
    ] {
        let (code, head, body) = standin.invoke(endpoint, headers, body).await;
        assert_eq!(code, 400, "{body}");
        assert!(head.contains("x-amzn-errortype: ValidationError"), "{head}");
        assert!(body.contains(words), "{body}");
    }
    for (method, path) in [
        ("GET", "/endpoints/e/invocations"),
        ("POST", "/endpoints/e"),
        ("POST", "/endpoints/e/async-invocations"),
        ("POST", "/invocations"),
    ] {
        let (code, head, body) = standin.request(method, path, "", b"").await;
        assert_eq!(code, 400, "{method} {path}: {body}");
        assert!(head.contains("x-amzn-errortype: ValidationError"), "{head}");
        assert!(body.contains("POST /endpoints/NAME/invocations"), "{body}");
    }
}

/// The request of a transform of `s3://data/in/` by model `m0`.
fn transform(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut request = json!({
        "TransformJobName": name, "ModelName": "m0",
        "TransformInput": {"ContentType": "application/jsonlines", "SplitType": "Line",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in/"}}},
        "TransformOutput": {"S3OutputPath": "s3://data/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    });
    for (member, value) in changes {
        request[member] = value.clone();
    }
    request
}

/// Waits for the end of a transform job; gives its description.
async fn ended(standin: &StandIn, name: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let job = standin
            .call("DescribeTransformJob", json!({"TransformJobName": name}))
            .await;
        let status = job["TransformJobStatus"].as_str().unwrap();
        if !["InProgress", "Stopping"].contains(&status) {
            return job;
        }
        assert!(Instant::now() < deadline, "still {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn create_model(standin: &StandIn, container: Value) {
    standin
        .call(
            "CreateModel",
            json!({"ModelName": "m0", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}),
        )
        .await;
}

#[tokio::test]
async fn a_transform_asks_the_program_for_each_record_and_keeps_names() {
    let standin = start("transforms").await;
    create_model(&standin, container()).await;
    standin.store.put(
        "data/in/one.jsonl",
        "{\"id\":1,\"x\":[1]}\n{\"id\":2,\"x\":[10]}\n",
    );
    standin
        .store
        .put("data/in/deep/two.jsonl", "{\"id\":3,\"x\":[]}\n");
    let processing = json!({"InputFilter": "$.x", "JoinSource": "Input",
        "OutputFilter": "$.['id','SageMakerOutput']"});
    let request = transform(
        "t",
        &[
            ("DataProcessing", processing),
            ("BatchStrategy", json!("MultiRecord")),
        ],
    );
    standin.call("CreateTransformJob", request.clone()).await;
    let job = ended(&standin, "t").await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    assert_eq!(
        standin.store.text("data/out/one.jsonl.out").unwrap(),
        "{\"id\":1,\"SageMakerOutput\":{\"size\":3}}\n\
         {\"id\":2,\"SageMakerOutput\":{\"size\":4}}\n"
    );
    assert_eq!(
        standin.store.text("data/out/deep/two.jsonl.out").unwrap(),
        "{\"id\":3,\"SageMakerOutput\":{\"size\":2}}\n"
    );
    let (_, message) = standin.refused("CreateTransformJob", request).await;
    assert!(message.contains("must be unique"), "{message}");
}

/// A transform that the model refuses writes nothing for that file, and says what the model said.
#[tokio::test]
async fn a_transform_that_the_model_refuses_says_what_it_said() {
    let standin = start("transform-fails").await;
    create_model(&standin, container()).await;
    standin.store.put("data/in/one.jsonl", "good\nbad\n");
    let single = [("BatchStrategy", json!("SingleRecord"))];
    for (name, changes, words) in [
        (
            "t1",
            single.as_slice(),
            "request 2 of 2: the model answered 400: no such field",
        ),
        (
            "t2",
            &[("DataProcessing", json!({"InputFilter": "x"}))],
            "is not a JSONPath",
        ),
    ] {
        standin
            .call("CreateTransformJob", transform(name, changes))
            .await;
        let job = ended(&standin, name).await;
        assert_eq!(job["TransformJobStatus"], "Failed");
        let reason = job["FailureReason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
    }
    assert!(standin.store.text("data/out/one.jsonl.out").is_none());
}

#[tokio::test]
async fn a_transform_of_an_image_without_a_program_is_refused() {
    let standin = start("transform-refused").await;
    create_model(&standin, json!({"Image": "host/nobody:1"})).await;
    let (_, message) = standin
        .refused("CreateTransformJob", transform("t", &[]))
        .await;
    assert!(
        message.contains("no program here serves the image"),
        "{message}"
    );
}
