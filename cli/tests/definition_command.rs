//! `pipewright definition`, as a program.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn pipewright(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pipewright"))
        .args(arguments)
        .output()
        .unwrap()
}

const DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/definitions/asset-prediction.json"
);

/// A copy of the definition in a folder of its own.
fn copied(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("definition.json");
    std::fs::copy(DEFINITION, &file).unwrap();
    file
}

#[test]
fn no_command_overwrites_its_input_or_another_file_unasked() {
    let file = copied("unasked");
    let name = file.to_str().unwrap();
    let other = file.with_file_name("values.json");
    std::fs::write(&other, "somebody's").unwrap();
    let values = other.to_str().unwrap();
    let template = file.with_file_name("template.json.tera");
    let _ = std::fs::remove_file(&template);
    let target = template.to_str().unwrap();
    for arguments in [
        &["definition", "graph", name, "--format", "svg", "-o", name][..],
        &["template", "extract", name, "-o", name],
        // The first of two files is not written if the second can't be.
        &[
            "template",
            "extract",
            name,
            "-o",
            target,
            "--values-out",
            values,
        ],
    ] {
        let refused = pipewright(arguments);
        assert_eq!(refused.status.code(), Some(1));
        let complaint = String::from_utf8(refused.stderr).unwrap();
        assert!(
            complaint.contains("exists; --force replaces it"),
            "{complaint}"
        );
    }
    assert!(!template.exists());
    // Nor one file for both, by force or without.
    for force in [&[][..], &["--force"]] {
        let both = [
            &[
                "template",
                "extract",
                name,
                "-o",
                target,
                "--values-out",
                target,
            ],
            force,
        ];
        let refused = pipewright(&both.concat());
        assert_eq!(refused.status.code(), Some(1));
        let complaint = String::from_utf8(refused.stderr).unwrap();
        assert!(
            complaint.contains("--output and --values-out are the same file"),
            "{complaint}"
        );
        assert!(!template.exists());
    }
    assert_eq!(
        std::fs::read(&file).unwrap(),
        std::fs::read(DEFINITION).unwrap()
    );
    assert_eq!(std::fs::read(&other).unwrap(), b"somebody's");

    let extract = [
        "template",
        "extract",
        name,
        "-o",
        target,
        "--values-out",
        values,
    ];
    let asked = pipewright(&[&extract[..], &["--force"]].concat());
    assert_eq!(asked.status.code(), Some(0));
    let again = pipewright(&extract);
    assert_eq!(
        again.status.code(),
        Some(0),
        "the same once more changes nothing"
    );
}

#[test]
fn a_diff_that_cannot_be_made_is_no_difference() {
    let fixture = DEFINITION;
    let same = pipewright(&["definition", "diff", fixture, fixture]);
    assert_eq!(same.status.code(), Some(0));

    let absent = pipewright(&["definition", "diff", fixture, "no/such/file.json"]);
    assert_eq!(absent.status.code(), Some(2));
    let complaint = String::from_utf8(absent.stderr).unwrap();
    assert!(complaint.contains("no/such/file.json"), "{complaint}");
    assert!(absent.stdout.is_empty());
}
