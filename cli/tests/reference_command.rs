//! What the command line tells shells, `man` and scripts.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn run(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pipewright"));
    program.args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("reference")
        .join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn every_shell_gets_a_completion_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&run(&["completions", shell]));
        for word in ["execution", "watch", "timeout"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = folder("man").join("man1");
    told(&run(&["man", "--output", folder.to_str().unwrap()]));
    let page = std::fs::read_to_string(folder.join("pipewright-execution-watch.1")).unwrap();
    assert!(page.contains("timeout"), "{page}");
    assert!(folder.join("pipewright.1").is_file());
}

#[test]
fn the_version_says_which_commit_it_is() {
    let version = told(&run(&["--version"]));
    let (_, commit) = version.trim_end().split_once(" (commit ").unwrap();
    let commit = commit.strip_suffix(')').unwrap();
    let is_commit = commit.len() == 12 && commit.bytes().all(|digit| digit.is_ascii_hexdigit());
    assert!(is_commit || commit == "not known", "{version}");
}

#[test]
fn a_difference_of_definitions_is_a_status_and_a_document() {
    let folder = folder("diff");
    let file = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let definition = |memory: u32| {
        format!(
            r#"{{"Version": "2020-12-01", "Steps": [
                {{"Name": "Train", "Type": "Training", "Arguments": {{"VolumeSizeInGB": {memory}}}}}]}}"#
        )
    };
    let (one, two) = (file("one", &definition(1)), file("two", &definition(2)));
    let broken = file("broken", "{");
    let diff =
        |before: &str, after: &str| run(&["definition", "diff", before, after, "--format", "json"]);
    assert_eq!(told(&diff(&one, &one)), "[]\n");
    assert_eq!(diff(&one, &broken).status.code(), Some(2));
    let output = diff(&one, &two);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        json!([{
            "subject": "step", "name": "Train", "type": "Training", "change": "changed",
            "members": [{"path": "Arguments.VolumeSizeInGB", "before": 1, "after": 2}],
        }])
    );
}

/// Where nothing listens at the address of the environment, a command says once what was asked, and how to start the local system again.
#[test]
fn a_local_system_that_has_ended_is_told_with_the_cure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = Command::new(env!("CARGO_BIN_EXE_pipewright"))
        .args(["execution", "list"])
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", address.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("start `make local`"), "{said}");
    assert_eq!(said.matches("connection refused").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
