//! Showing a file or an address in the program that the system has for it.

use std::ffi::OsStr;

use anyhow::Context;

/// Shows it.
///
/// # Errors
/// If there is no program that shows it, or it fails.
pub(crate) fn open(what: &OsStr) -> anyhow::Result<()> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let name = what.display();
    let status = std::process::Command::new(program)
        .arg(what)
        .status()
        .with_context(|| format!("{program}, which would show {name}, cannot be started"))?;
    anyhow::ensure!(status.success(), "{program} cannot show {name}: {status}");
    Ok(())
}
