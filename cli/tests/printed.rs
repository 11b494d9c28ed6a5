//! What the commands print for people, whole: a snapshot a command in `snapshots/`.
//!
//! A change of words shows as a difference of a snapshot. `INSTA_UPDATE=always cargo test --workspace --locked --test
//! printed` writes them anew; read the difference before it is committed.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

/// Exit status and both streams of a command that is run at the top of the project, with `folder` left out of what it
/// prints.
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pipewright"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = |stream| String::from_utf8(stream).unwrap();
    format!(
        "exit status {}\n--- standard output\n{}--- standard error\n{}",
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr)
    )
    .replace(folder.to_str().unwrap(), "FOLDER")
}

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("printed")
        .join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const DEFINITION: &str = "tests/fixtures/definitions/asset-prediction.json";

/// The fixture, with some of its text replaced.
fn changed(folder: &Path, changes: &[(&str, &str)]) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = std::fs::read_to_string(top.join(DEFINITION)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "the fixture has no {from}");
        text = text.replacen(from, to, 1);
    }
    let file = folder.join("changed.json");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn definition_check_of_a_sound_definition() {
    let folder = folder("sound");
    assert_snapshot!(printed(&folder, &["definition", "check", DEFINITION]));
}

#[test]
fn definition_check_of_a_faulty_definition() {
    let folder = folder("faulty");
    let file = changed(
        &folder,
        &[
            ("\"Type\": \"Training\"", "\"Type\": \"Trainning\""),
            (
                "Steps.AssetPrediction-Training-Step.",
                "Steps.AssetPrediction-Trainig-Step.",
            ),
        ],
    );
    assert_snapshot!(printed(&folder, &["definition", "check", &file]));
}

#[test]
fn definition_diff() {
    let folder = folder("diff");
    let file = changed(&folder, &[("ml.m5.xlarge", "ml.m5.2xlarge")]);
    assert_snapshot!(printed(&folder, &["definition", "diff", DEFINITION, &file]));
}

#[test]
fn definition_graph() {
    let folder = folder("graph");
    assert_snapshot!(printed(
        &folder,
        &["definition", "graph", DEFINITION, "--format", "mermaid"]
    ));
}

#[test]
fn features_check_of_the_sample() {
    let folder = folder("sample");
    let arguments = ["features", "check", "--assets", "samples/sp500-20"];
    let arguments = [
        &arguments[..],
        &["--template", "samples/training-template.json"],
    ]
    .concat();
    assert_snapshot!(printed(&folder, &arguments));
}

#[test]
fn features_check_of_faulty_prices() {
    let folder = folder("prices");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "A.csv",
        "Date,Close\n2024-01-02,1\n2024-01-03,x\n2024-01-03,2\n",
    );
    write("B.csv", "Day,Close\n2024-01-02,1\n");
    let arguments = ["features", "check", "--assets", folder.to_str().unwrap()];
    assert_snapshot!(printed(&folder, &arguments));
}
