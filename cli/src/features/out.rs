//! The folder that takes the outputs: whole or not at all.
//!
//! Files are written into a temporary folder beside it, which takes its place
//! in one step at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// What a run puts into its folder, and nothing else; a star stands for what
/// differs by asset.
const OUTPUTS: [&str; 17] = [
    "features/baselines.json",
    "features/features.csv",
    "features/filled.csv",
    "features/importance.json",
    "features/prices.csv",
    "features/series.json",
    "features/summary.json",
    "plots/assets-*.png",
    "plots/autocorrelation-*.png",
    "plots/autoencoder-losses.png",
    "plots/importance-classes.png",
    "plots/importance-columns.png",
    "plots/low-pass-*.png",
    "test/test.json",
    "test/test.json.gz",
    "train/train.json",
    "train/train.json.gz",
];

/// Whether a run may have written the file `name` of its folder `part`.
fn is_output(part: &str, name: &str) -> bool {
    let path = format!("{part}/{name}");
    OUTPUTS.iter().any(|output| match output.split_once('*') {
        None => path == *output,
        Some((begin, end)) => path.starts_with(begin) && path.ends_with(end),
    })
}

/// The first thing in a folder that is not an output of a run, as a path below it.
/// `held` names what lies in the folder.
fn strange(folder: &Path, held: &[OsString]) -> Result<Option<PathBuf>> {
    for name in held {
        let path = folder.join(name);
        let unread = || format!("{} cannot be read", path.display());
        let part = name.to_str().unwrap_or_default();
        let known = OUTPUTS
            .iter()
            .any(|output| output.split_once('/').is_some_and(|(of, _)| of == part));
        // A link or a file of that name is somebody's own.
        if !known || !fs::symlink_metadata(&path).with_context(unread)?.is_dir() {
            return Ok(Some(name.into()));
        }
        for entry in fs::read_dir(&path).with_context(unread)? {
            let entry = entry.with_context(unread)?;
            let file = entry.file_name();
            let output = file.to_str().is_some_and(|file| is_output(part, file));
            if !output || !entry.file_type().with_context(unread)?.is_file() {
                return Ok(Some(Path::new(name).join(file)));
            }
        }
    }
    Ok(None)
}

/// The outputs of one run on their way to their folder. Clones share them, so
/// that who learns of a signal can abandon what another thread is writing.
#[derive(Debug, Clone)]
pub(super) struct Out {
    target: PathBuf,
    partial: PathBuf,
    /// Whether nothing may be written any more.
    closed: Arc<Mutex<bool>>,
}

impl Out {
    /// Makes the temporary folder. A folder that holds something is refused
    /// without `force` and, since the new outputs are to take its place, when it
    /// holds anything that no run puts there.
    pub(super) fn begin(target: &Path, force: bool) -> Result<Self> {
        let shown = target.display();
        let held = match fs::read_dir(target) {
            Ok(entries) => entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<OsString>>>()
                .with_context(|| format!("{shown} cannot be read"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                bail!("{shown} is not a folder; choose another --out")
            }
            Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
        };
        if let Some(strange) = strange(target, &held)? {
            bail!(
                "{shown} holds {}, which is not an output of a run, and a run replaces the whole folder; choose another --out",
                strange.display()
            );
        }
        if !held.is_empty() && !force {
            bail!("{shown} is not empty; --force replaces what it holds, or choose another --out");
        }
        // A link stays a link, and its folder is what is replaced.
        let target = match fs::canonicalize(target) {
            Ok(target) => target,
            Err(_) => std::path::absolute(target)
                .with_context(|| format!("{shown} cannot be made absolute"))?,
        };
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            bail!("{shown} cannot be replaced; choose another --out");
        };
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be created", parent.display()))?;
        let mut partial = OsString::from(".");
        partial.push(name);
        partial.push(format!(".partial-{}", std::process::id()));
        let partial = parent.join(partial);
        fs::create_dir(&partial)
            .with_context(|| format!("{} cannot be created", partial.display()))?;
        Ok(Self {
            target,
            partial,
            closed: Arc::default(),
        })
    }

    /// Where the outputs will be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Begins the file that will be `<target>/<name>`.
    pub(super) fn create(&self, name: &str) -> io::Result<BufWriter<File>> {
        let closed = self.closed();
        if *closed {
            return Err(io::Error::other("the run was interrupted"));
        }
        let path = self.partial.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(BufWriter::with_capacity(1 << 17, File::create(path)?))
    }

    /// Puts the outputs in their place, in one step.
    pub(super) fn publish(&self) -> Result<()> {
        let mut closed = self.closed();
        if *closed {
            bail!("the run was interrupted");
        }
        let failed = || format!("{} cannot be put in its place", self.target.display());
        // An empty folder is replaced as if it were not there.
        if let Err(error) = fs::rename(&self.partial, &self.target) {
            if !self.target.is_dir() {
                return Err(error).with_context(failed);
            }
            self.exchange().with_context(failed)?;
            *closed = true;
            // What the folder held before now has the temporary name.
            fs::remove_dir_all(&self.partial).with_context(|| {
                format!(
                    "the outputs are in {}, but what it held before cannot be removed from {}",
                    self.target.display(),
                    self.partial.display()
                )
            })?;
        }
        *closed = true;
        Ok(())
    }

    fn exchange(&self) -> io::Result<()> {
        match renameat_with(CWD, &self.partial, CWD, &self.target, RenameFlags::EXCHANGE) {
            // A file system that can't exchange two folders: for a moment
            // neither has the name.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                let mut old = self.partial.clone().into_os_string();
                old.push("-old");
                fs::rename(&self.target, &old)?;
                if let Err(error) = fs::rename(&self.partial, &self.target) {
                    fs::rename(&old, &self.target)?;
                    return Err(error);
                }
                fs::rename(&old, &self.partial)
            }
            other => Ok(other?),
        }
    }

    /// Removes the temporary folder unless the outputs are in their place;
    /// nothing can be written any more. Says whether there was anything to do.
    pub(super) fn abandon(&self) -> bool {
        let mut closed = self.closed();
        if *closed {
            return false;
        }
        *closed = true;
        // That it can't be removed changes nothing: the run has failed already,
        // and says why.
        let _ = fs::remove_dir_all(&self.partial);
        true
    }

    /// A panic while the lock is held leaves at worst a file behind.
    fn closed(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
