//! The Python that runs programs in the place of an image: one that was named for the image's
//! repository, or a virtual environment with the packages of the framework and those that the
//! program's `requirements.txt` asks for, made once and kept.

use super::archive;
use super::process::create_folder;
use crate::error::JobError;
use crate::framework::Framework;
use crate::state::PythonImage;
use pipewright_wording::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The file that says which packages a program needs.
const REQUIREMENTS: &str = "requirements.txt";
/// The archive of a program's folder, as the SDK uploads it.
pub(super) const SOURCE_ARCHIVE: &str = "sourcedir.tar.gz";
/// The file that marks an environment as whole.
const WHOLE: &str = "whole";
/// How many of pip's last lines say why it failed.
const LAST_LINES: usize = 5;

/// The Pythons of this machine.
#[derive(Debug, Clone, Default)]
pub struct Pythons {
    /// The interpreter that virtual environments are made with. Without one, only images for
    /// whose repository an interpreter is named are run.
    pub base: Option<PathBuf>,
    /// Interpreters by the name of the repository that they are for; used as they are.
    pub named: BTreeMap<String, PathBuf>,
    /// Where virtual environments are kept: an absolute folder.
    pub environments: PathBuf,
    /// What pip finds in its environment.
    pub installing: Vec<(OsString, OsString)>,
}

/// A program's packages: the text of its `requirements.txt`, and the folder that paths in it are
/// relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirements {
    text: String,
    folder: PathBuf,
}

impl Pythons {
    /// The interpreter that runs programs in the place of an image. `folders` are where the
    /// program may lie; `log` gets what is installed.
    pub(super) async fn interpreter(
        &self,
        image: &PythonImage,
        folders: &[PathBuf],
        log: &Path,
    ) -> Result<PathBuf, JobError> {
        let repository = image.repository.as_str();
        let requirements = requirements_in(folders).await?;
        if let Some(named) = self.named.get(repository) {
            if requirements.is_some() {
                let named = named.display();
                say(
                    log,
                    &format!("{REQUIREMENTS} is not installed: {named} is used as it is"),
                )?;
            }
            return Ok(named.clone());
        }
        let base = self.base.as_ref();
        let base = base.ok_or_else(|| JobError::Internal(format!("no Python for {repository}")))?;
        let framework = Framework::of_repository(repository)
            .ok_or_else(|| JobError::Internal(format!("{repository} is not a framework's")))?;
        let version = version_of(base).await?;
        let wanted = framework.requirements(&image.tag);
        let text = requirements
            .as_ref()
            .map_or("", |found| found.text.as_str());
        let key = [&version, &wanted.join(" "), text].join("\n");
        let name = format!("{repository}-{}", hex(&Sha256::digest(key.as_bytes())[..6]));
        create_folder(&self.environments).await?;
        let lock = self.environments.join(format!("{name}.lock"));
        let lock = File::create(&lock).map_err(|error| JobError::file(&lock, &error))?;
        if lock.try_lock().is_err() {
            say(
                log,
                "waiting for another job that makes the same Python environment",
            )?;
        }
        // Held until the environment is whole.
        let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(JobError::internal)?
            .map_err(|error| JobError::file(&self.environments, &error))?;
        let folder = self.environments.join(name);
        let interpreter = folder.join("bin").join("python");
        if folder.join(WHOLE).is_file() {
            return Ok(interpreter);
        }
        let making = Making {
            pythons: self,
            base,
            image,
            folder: &folder,
            log,
        };
        making
            .make(framework, &wanted, requirements.as_ref())
            .await?;
        Ok(interpreter)
    }
}

/// Why a command that makes an environment failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    NotStarted(#[from] std::io::Error),
    /// What it said last.
    #[error("{0}")]
    Failed(String),
}

/// An environment that is being made.
struct Making<'a> {
    pythons: &'a Pythons,
    base: &'a Path,
    image: &'a PythonImage,
    folder: &'a Path,
    log: &'a Path,
}

impl Making<'_> {
    async fn make(
        &self,
        framework: &Framework,
        wanted: &[String],
        requirements: Option<&Requirements>,
    ) -> Result<(), JobError> {
        if self.folder.exists() {
            // What another run has begun and not ended.
            tokio::fs::remove_dir_all(self.folder)
                .await
                .map_err(|error| JobError::file(self.folder, &error))?;
        }
        let PythonImage { repository, tag } = self.image;
        let colon = if tag.is_empty() { "" } else { ":" };
        self.say(&format!(
            "a Python environment for {repository}{colon}{tag} is made once: {}{}",
            wanted.join(", "),
            if requirements.is_some() {
                ", and requirements.txt"
            } else {
                ""
            }
        ))?;
        let mut make = Command::new(self.base);
        make.args(["-m", "venv"]).arg(self.folder);
        self.run(make)
            .await
            .map_err(|why| self.failed("venv", &why))?;
        if let Err(why) = self.install(wanted).await {
            let newest = framework.newest();
            self.say(&why.to_string())?;
            self.say(&format!(
                "{} cannot be installed in this Python; the newest version that can, is taken",
                wanted[0]
            ))?;
            self.install(&newest)
                .await
                .map_err(|why| self.failed(&newest.join(" "), &why))?;
        }
        if let Some(requirements) = requirements {
            let file = self.folder.join(REQUIREMENTS);
            std::fs::write(&file, &requirements.text)
                .map_err(|error| JobError::file(&file, &error))?;
            let mut pip = self.pip();
            pip.arg("-r").arg(&file).current_dir(&requirements.folder);
            self.run(pip)
                .await
                .map_err(|why| self.failed(REQUIREMENTS, &why))?;
        }
        let mark = self.folder.join(WHOLE);
        File::create(&mark).map_err(|error| JobError::file(&mark, &error))?;
        self.say("the Python environment is ready")
    }

    async fn install(&self, packages: &[String]) -> Result<(), CommandError> {
        let mut pip = self.pip();
        pip.args(packages);
        self.run(pip).await
    }

    fn pip(&self) -> Command {
        let mut pip = Command::new(self.folder.join("bin").join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
            .arg("--disable-pip-version-check");
        pip
    }

    /// Runs a command; the error is what it said last.
    async fn run(&self, mut command: Command) -> Result<(), CommandError> {
        let output = command
            .env_clear()
            .envs(
                self.pythons
                    .installing
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(());
        }
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        Err(CommandError::Failed(last.join("\n")))
    }

    fn failed(&self, what: &str, why: &CommandError) -> JobError {
        // What cannot be written there is in the reason.
        let _ = self.say(&why.to_string());
        let repository = &self.image.repository;
        let cure = match what {
            REQUIREMENTS => "correct it, or ",
            _ => "",
        };
        JobError::Client(format!(
            "no Python environment for {repository}: {what} cannot be installed: {why}\n{cure}PYTHONS={repository}=PROGRAM names an interpreter that has what is needed"
        ))
    }

    fn say(&self, text: &str) -> Result<(), JobError> {
        say(self.log, text)
    }
}

/// Writes lines of ours to a job's log.
fn say(log: &Path, text: &str) -> Result<(), JobError> {
    let write = |mut file: File| {
        let mut lines = text.lines();
        lines.try_for_each(|line| writeln!(file, "[pipewright] {line}"))
    };
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(write)
        .map_err(|error| JobError::file(log, &error))
}

async fn version_of(python: &Path) -> Result<String, JobError> {
    let output = Command::new(python)
        .args(["-c", "import sys; print(sys.executable, sys.version)"])
        .stdin(Stdio::null())
        .output()
        .await;
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(JobError::Client(format!(
            "{} does not run: {}",
            python.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(error) => Err(JobError::Client(format!("{}: {error}", python.display()))),
    }
}

/// The `requirements.txt` of the first folder that has one, as a file or in the archive of the
/// sources.
async fn requirements_in(folders: &[PathBuf]) -> Result<Option<Requirements>, JobError> {
    for folder in folders {
        let file = folder.join(REQUIREMENTS);
        let found = match tokio::fs::read(&file).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let archive = folder.join(SOURCE_ARCHIVE);
                tokio::task::spawn_blocking(move || archive::member(&archive, REQUIREMENTS))
                    .await
                    .map_err(JobError::internal)?
                    .map_err(|error| JobError::file(&folder.join(SOURCE_ARCHIVE), &error))?
            }
            Err(error) => return Err(JobError::file(&file, &error)),
        };
        if let Some(bytes) = found {
            let text = String::from_utf8(bytes)
                .map_err(|_| JobError::Client(format!("{} is not UTF-8", file.display())))?;
            let folder = folder.clone();
            return Ok(Some(Requirements { text, folder }));
        }
    }
    Ok(None)
}

/// Makes commands `python`, `python3` and `pip` of an interpreter in a folder, to be found first.
pub(super) async fn make_commands(folder: &Path, interpreter: &Path) -> Result<(), JobError> {
    create_folder(folder).await?;
    let quoted = interpreter.display().to_string().replace('\'', r"'\''");
    for (name, module) in [
        ("python", ""),
        ("python3", ""),
        ("pip", " -m pip"),
        ("pip3", " -m pip"),
    ] {
        let file = folder.join(name);
        // Not a link: a Python finds its environment by its own path.
        let text = format!("#!/bin/sh\nexec '{quoted}'{module} \"$@\"\n");
        tokio::fs::write(&file, text)
            .await
            .map_err(|error| JobError::file(&file, &error))?;
        let mode = std::fs::Permissions::from_mode(0o755);
        tokio::fs::set_permissions(&file, mode)
            .await
            .map_err(|error| JobError::file(&file, &error))?;
    }
    Ok(())
}
