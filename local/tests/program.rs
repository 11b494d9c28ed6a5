//! The program itself: it says when it listens, and leaves no process behind.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use pipewright_local::clock::Millis;
use pipewright_local::signature::{AccessKey, Scope, Signable, signed};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const KEY: &str = "AKIAEXAMPLE";
const SECRET: &str = "0123456789012345678901234567890123456789";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Kills the program if the test ends before it does.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// Sends a request with these headers besides its own; gives the answer's head and body.
fn send(port: u16, headers: &[(String, String)], body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "POST / HTTP/1.1\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The headers of a call that is signed with a secret.
#[expect(clippy::disallowed_methods, reason = "the program has the real clock")]
fn headers_of(port: u16, operation: &str, body: &str, secret: &str) -> Vec<(String, String)> {
    let target = format!("SageMaker.{operation}");
    let headers = [("x-amz-target", target.as_str())];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (added, _) = signed(
        Signable {
            method: "POST",
            uri: &format!("http://127.0.0.1:{port}/"),
            headers: &headers,
            body: body.as_bytes(),
        },
        &AccessKey {
            id: KEY.to_owned(),
            secret: secret.to_owned(),
            token: None,
        },
        Scope {
            region: "eu-west-1",
            service: "sagemaker",
            time: Millis(i64::try_from(now.as_millis()).unwrap()),
        },
    )
    .unwrap();
    let own = [
        ("Host".to_owned(), format!("127.0.0.1:{port}")),
        ("X-Amz-Target".to_owned(), target.clone()),
    ];
    own.into_iter().chain(added).collect()
}

fn call(port: u64, operation: &str, input: &Value) -> Value {
    let body = input.to_string();
    let port = u16::try_from(port).unwrap();
    let (head, body) = send(port, &headers_of(port, operation, &body, SECRET), &body);
    assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn wait_for<T>(what: &str, mut seek: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = seek() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: &str) -> bool {
    let state = Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// The stand-in, the port that it says it listens on, and its run directory.
fn start(name: &str) -> (Program, u64, PathBuf) {
    let run_dir = std::env::temp_dir().join(format!(
        "pipewright-local-program-{}-{name}",
        std::process::id()
    ));
    let mut program = Program(
        Command::new(env!("CARGO_BIN_EXE_pipewright-local"))
            .args([
                "serve",
                "--region",
                "eu-west-1",
                "--account",
                "123456789012",
            ])
            .arg("--run-dir")
            .arg(&run_dir)
            .args(["--runner", "worker=/bin"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "eu-west-1")
            // Nothing listens there: events are lost, which must stop nothing.
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], true);
    let port = ready["port"].as_u64().unwrap();
    (program, port, run_dir)
}

/// Starts the stand-in and a job of two processes, ends it with `signal`, and looks whether
/// they are gone, though they ignore being asked.
fn ends_with_its_jobs(signal: &str) {
    let (mut program, port, run_dir) = start(signal);
    let script = "trap '' TERM; echo $$; sleep 600 & echo $!; wait";
    let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": [
        {"Name": "Long", "Type": "Processing", "Arguments": {
            "AppSpecification": {"ImageUri": "worker:1",
                "ContainerEntrypoint": ["/bin/sh", "-c", script]},
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
            "RoleArn": "arn:aws:iam::111122223333:role/r"}}]});
    call(
        port,
        "CreatePipeline",
        &json!({"PipelineName": "p", "ClientRequestToken": TOKEN,
            "RoleArn": "arn:aws:iam::111122223333:role/r",
            "PipelineDefinition": definition.to_string()}),
    );
    let started = call(
        port,
        "StartPipelineExecution",
        &json!({"PipelineName": "p", "ClientRequestToken": TOKEN}),
    );
    let arn = started["PipelineExecutionArn"].as_str().unwrap();
    let log = run_dir
        .join(arn.rsplit('/').next().unwrap())
        .join(Path::new("Long/container.log"));
    let pids = wait_for("the job's start", || {
        let text = std::fs::read_to_string(&log).ok()?;
        let pids: Vec<String> = text.lines().map(str::to_owned).collect();
        (pids.len() == 2).then_some(pids)
    });
    assert!(pids.iter().all(|pid| is_alive(pid)));
    let killed = Command::new("kill")
        .args([&format!("-{signal}"), &program.0.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = wait_for("the program's end", || program.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
    wait_for("the job's end", || {
        (!pids.iter().any(|pid| is_alive(pid))).then_some(())
    });
    let _ = std::fs::remove_dir_all(&run_dir);
}

#[test]
fn it_takes_its_jobs_with_it_when_it_is_terminated() {
    ends_with_its_jobs("TERM");
}

#[test]
fn it_takes_its_jobs_with_it_when_it_is_interrupted() {
    ends_with_its_jobs("INT");
}

#[test]
fn no_caller_is_answered_without_the_key_and_no_page_with_it() {
    let (_program, port, run_dir) = start("guard");
    let port = u16::try_from(port).unwrap();
    let good = headers_of(port, "ListPipelines", "{}", SECRET);
    let status = |headers: &[(String, String)], body: &str| {
        let (head, _) = send(port, headers, body);
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
        head[9..12].to_owned()
    };
    assert_eq!(status(&good, "{}"), "200");
    // Another secret, no signature, another body, a page, another name.
    assert_eq!(
        status(&headers_of(port, "ListPipelines", "{}", "x"), "{}"),
        "403"
    );
    assert_eq!(status(&good[..2], "{}"), "403");
    assert_eq!(status(&good, "[]"), "403");
    let and = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers.retain(|(each, _)| each != name);
        headers.push((name.to_owned(), value.to_owned()));
        headers
    };
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Host", "evil.example"),
        ("X-Amz-Security-Token", "x"),
    ] {
        assert_eq!(status(&and(name, value), "{}"), "403", "{name}");
    }
    let _ = std::fs::remove_dir_all(&run_dir);
}
