//! Tells the program which commit it is made from: the variable `PIPEWRIGHT_COMMIT` where it is set, or else what git says
//! where the sources are a checkout.

use std::path::Path;
use std::process::Command;

/// The variable that names the commit, where the sources are no checkout.
const COMMIT: &str = "PIPEWRIGHT_COMMIT";

/// How many digits of a commit are told.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let given = std::env::var(COMMIT).ok();
    let commit = given
        .filter(|commit| !commit.is_empty())
        .or_else(of_checkout)
        .filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let text = match commit {
        Some(commit) => format!("commit {}", commit.get(..DIGITS).unwrap_or(&commit)),
        None => "commit not known".to_owned(),
    };
    println!("cargo::rustc-env=PIPEWRIGHT_COMMIT_TEXT={text}");
}

/// The commit that is checked out; `None` without git, or where the folder above is not the top of a checkout.
fn of_checkout() -> Option<String> {
    let top = Path::new("..");
    if !top.join(".git").exists() {
        return None;
    }
    // It changes with every commit and every switch of branches.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let log = top.join(log);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let output = git.arg("-C").arg("..").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
