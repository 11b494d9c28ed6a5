//! The program itself: it says when it listens, and leaves no process behind.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Kills the program if the test ends before it does.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn call(port: u64, operation: &str, input: &Value) -> Value {
    let body = input.to_string();
    let port = u16::try_from(port).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         X-Amz-Target: SageMaker.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {body}");
    serde_json::from_str(body).unwrap()
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

/// Starts the stand-in and a job of two processes, ends it with `signal`, and looks whether
/// they are gone, though they ignore being asked.
fn ends_with_its_jobs(signal: &str) {
    let run_dir = std::env::temp_dir().join(format!(
        "pipewright-local-program-{}-{signal}",
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
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "eu-west-1")
            // Nobody listens there: events are lost, which must stop nothing.
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
    let script = "trap '' TERM; echo $$; sleep 600 & echo $!; wait";
    let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": [
        {"Name": "Long", "Type": "Processing", "Arguments": {
            "AppSpecification": {"ImageUri": "worker:1",
                "ContainerEntrypoint": ["/bin/sh", "-c", script]},
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
            "RoleArn": "arn:aws:iam::123456789012:role/r"}}]});
    call(
        port,
        "CreatePipeline",
        &json!({"PipelineName": "p", "ClientRequestToken": TOKEN,
            "RoleArn": "arn:aws:iam::123456789012:role/r",
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
