//! Output files that are all in their places or none at all.
//!
//! A file is written under a temporary name beside its place (an output folder
//! may be a mount of its own, and a rename can't cross mounts) and renamed at
//! the end, when every file is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// A file can't be written.
#[derive(Debug, Error)]
#[error("{}: cannot {action}: {source}", .path.display())]
pub struct OutputError {
    /// What failed.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A file that is written or being written under its temporary name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Its path relative to the outputs' root, with `/`: `train/train.json`.
    pub name: String,
    /// Where it is now.
    pub partial: PathBuf,
    /// Where it will be.
    pub target: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<StagedFile>,
    abandoned: bool,
}

/// The files of one run on their way to their places. Clones share them, so
/// that the thread that learns that the job is stopped can abandon what another thread
/// is still writing.
#[derive(Debug, Clone)]
pub struct Staging {
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Staging {
    /// Files under `root`, none yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            state: Arc::default(),
        }
    }

    /// Begins the file that will be `<root>/<name>`; makes its folder.
    ///
    /// # Errors
    /// The file can't be made, or the run was abandoned.
    pub fn create(&self, name: &str) -> Result<BufWriter<File>, OutputError> {
        let mut state = self.state();
        let target = self.root.join(name);
        if state.abandoned {
            return Err(OutputError {
                action: "create",
                path: target,
                source: io::Error::other("the job is being stopped"),
            });
        }
        let folder = target.parent().unwrap_or(&self.root).to_path_buf();
        let base = target
            .file_name()
            .unwrap_or(target.as_os_str())
            .to_string_lossy();
        let partial = folder.join(format!(".{base}.partial"));
        fs::create_dir_all(&folder).map_err(|source| OutputError {
            action: "create the folder",
            path: folder,
            source,
        })?;
        let file = File::create(&partial).map_err(|source| OutputError {
            action: "create",
            path: partial.clone(),
            source,
        })?;
        state.files.push(StagedFile {
            name: name.to_owned(),
            partial,
            target,
        });
        Ok(BufWriter::with_capacity(1 << 17, file))
    }

    /// The files so far, in the order of their making.
    pub fn files(&self) -> Vec<StagedFile> {
        self.state().files.clone()
    }

    /// Renames every file to its place. Where one can't be, those already
    /// renamed are removed again and the rest discarded.
    ///
    /// # Errors
    /// A rename fails, or the run was abandoned.
    pub fn publish(&self) -> Result<(), OutputError> {
        let mut state = self.state();
        if state.abandoned {
            return Err(OutputError {
                action: "publish",
                path: self.root.clone(),
                source: io::Error::other("the job is being stopped"),
            });
        }
        let files = std::mem::take(&mut state.files);
        for (index, file) in files.iter().enumerate() {
            if let Err(source) = fs::rename(&file.partial, &file.target) {
                for done in &files[..index] {
                    remove(&done.target);
                }
                for rest in &files[index..] {
                    remove(&rest.partial);
                }
                return Err(OutputError {
                    action: "rename to its place",
                    path: file.partial.clone(),
                    source,
                });
            }
        }
        Ok(())
    }

    /// Discards every file that was not published; none can be begun any more.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.abandoned = true;
        for file in std::mem::take(&mut state.files) {
            remove(&file.partial);
        }
    }

    /// A panic while the lock is held leaves at worst a file behind that was
    /// being made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a file of a run that failed. That it can't be removed changes
/// nothing: the step has failed already, and says why.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;
    use std::io::Write;

    fn write(staging: &Staging, name: &str, text: &str) {
        let mut file = staging.create(name).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.flush().unwrap();
    }

    #[test]
    fn files_appear_only_when_all_are_whole() {
        let dir = TempDir::new("staging-publish");
        let staging = Staging::new(dir.path());
        write(&staging, "train/train.json", "a");
        write(&staging, "test/test.json", "b");
        assert!(!dir.path().join("train/train.json").exists());
        staging.publish().unwrap();
        assert_eq!(dir.files(), ["test/test.json", "train/train.json"]);
    }

    #[test]
    fn an_abandoned_run_leaves_nothing_and_begins_nothing() {
        let dir = TempDir::new("staging-abandon");
        let staging = Staging::new(dir.path());
        write(&staging, "train/train.json", "a");
        staging.clone().abandon();
        assert!(dir.files().is_empty());
        let error = staging.create("test/test.json").unwrap_err();
        assert!(error.to_string().contains("being stopped"), "{error}");
        assert!(staging.publish().is_err());
    }

    #[test]
    fn a_rename_that_fails_takes_the_others_back() {
        let dir = TempDir::new("staging-rename");
        let staging = Staging::new(dir.path());
        write(&staging, "a/first", "1");
        write(&staging, "b/second", "2");
        write(&staging, "c/third", "3");
        // A folder that is not empty stands where the file is to go.
        fs::create_dir_all(dir.path().join("b/second/full")).unwrap();
        let error = staging.publish().unwrap_err();
        assert!(error.to_string().contains("rename"), "{error}");
        assert!(dir.files().is_empty(), "{:?}", dir.files());
    }
}
