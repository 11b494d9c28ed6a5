//! Where a command writes: to a file that is not there yet, or to standard
//! output.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

/// A command's options of where to write.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Where to write; standard output otherwise.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    pub(crate) force: bool,
}

impl Output {
    /// Writes to the file, or else to standard output.
    ///
    /// # Errors
    /// When it cannot be written; see [`Output::free`] as well.
    pub(crate) fn write(&self, stdout: &mut dyn Write, bytes: &[u8]) -> Result<()> {
        match &self.output {
            Some(file) => self.put(file, bytes),
            None => write(stdout, bytes),
        }
    }

    /// Writes to a file that the command writes besides.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn put(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        self.free(file, bytes)?;
        std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether a file may be written: it may not hold something else, which
    /// might be the command's own input or somebody's work, unless that is to
    /// be replaced.
    ///
    /// # Errors
    /// When it holds something else.
    pub(crate) fn free(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        // What is no file, such as a terminal, holds nothing.
        if !self.force && file.is_file() && std::fs::read(file).ok().as_deref() != Some(bytes) {
            bail!("{} exists; --force replaces it", file.display());
        }
        Ok(())
    }
}

/// Writes to standard output; a reader that has seen enough is no error.
pub(crate) fn write(stdout: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}
