//! `pipewright definition`, as a program.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::process::{Command, Output};

fn pipewright(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pipewright"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_diff_that_cannot_be_made_is_no_difference() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/definitions/asset-prediction.json"
    );
    let same = pipewright(&["definition", "diff", fixture, fixture]);
    assert_eq!(same.status.code(), Some(0));

    let absent = pipewright(&["definition", "diff", fixture, "no/such/file.json"]);
    assert_eq!(absent.status.code(), Some(2));
    let complaint = String::from_utf8(absent.stderr).unwrap();
    assert!(complaint.contains("no/such/file.json"), "{complaint}");
    assert!(absent.stdout.is_empty());
}
