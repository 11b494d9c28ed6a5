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

    /// Whether a file that the command writes besides is another one: the second
    /// to be written would replace the first.
    ///
    /// # Errors
    /// When both are the same.
    pub(crate) fn apart(&self, option: &str, file: &Path) -> Result<()> {
        // What is no file, such as /dev/null, takes both.
        let takes_both = file.exists() && !file.is_file();
        if let Some(output) = &self.output
            && !takes_both
            && place(output) == place(file)
        {
            bail!(
                "--output and {option} are the same file, {}; give each its own",
                file.display()
            );
        }
        Ok(())
    }
}

/// Where a file is, or would be, whatever way leads there.
fn place(file: &Path) -> PathBuf {
    if let Ok(place) = file.canonicalize() {
        return place;
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn output(file: Option<&Path>) -> Output {
        Output {
            output: file.map(Path::to_owned),
            force: true,
        }
    }

    #[test]
    fn two_outputs_must_be_two_files_whatever_they_are_called() {
        let folder =
            std::env::temp_dir().join(format!("pipewright-outputs-apart-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("a")).unwrap();
        let (here, around) = (folder.join("same"), folder.join("a/../same"));
        for written in [false, true] {
            if written {
                std::fs::write(&here, "").unwrap();
            }
            for other in [&here, &around] {
                let error = output(Some(&here))
                    .apart("--values-out", other)
                    .unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!(
                        "--output and --values-out are the same file, {}; give each its own",
                        other.display()
                    )
                );
            }
            assert!(output(Some(&here)).apart("--x", &folder.join("b")).is_ok());
        }
        assert!(output(None).apart("--x", &here).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_file_takes_two_outputs() {
        let null = Path::new("/dev/null");
        assert!(output(Some(null)).apart("--x", null).is_ok());
    }
}
