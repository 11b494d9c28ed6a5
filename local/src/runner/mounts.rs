//! A job's folder at `/opt/ml`, where a program that was written for SageMaker looks for it.
//!
//! Each process of a job gets a mount namespace of its own, by util-linux's `unshare`: what is
//! mounted there no other process sees, so two jobs at once don't meet, and the machine's own `/opt`
//! is not touched. Without root's rights that takes a user namespace, in which the program
//! runs as root over the files of the user who started it, as it would in a container.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::layout::{CONTAINER_ROOT, led_to};

/// Puts the folder that is its first argument at `/opt/ml`, and becomes the program that the
/// others name. Where the machine has no folder of that name, `/opt` becomes one in memory with
/// all that the machine's has bound into it; the job's folder holds the latter meanwhile.
const SCRIPT: &str = r#"
set -e
root=$1
shift
if [ ! -d /opt/ml ]; then
    here=$PWD
    mount --rbind /opt "$root"
    # Not by its path, which may itself lie below /opt.
    cd "$root"
    mount -t tmpfs -o mode=755 tmpfs /opt
    for entry in * .[!.]*; do
        place=/opt/$entry
        if [ -L "$entry" ]; then
            cp -P "$entry" "$place"
        elif [ -d "$entry" ]; then
            mkdir "$place"
            mount --rbind "$entry" "$place"
        elif [ -e "$entry" ]; then
            : > "$place"
            mount --bind "$entry" "$place"
        fi
    done
    cd /
    umount -l "$root" 2> /dev/null || true
    # Which may lie in the folder that was covered until now.
    cd "$here"
    mkdir /opt/ml
fi
mount --bind "$root" /opt/ml
exec "$@"
"#;

/// Ways to get a mount namespace, the plainest first.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// Where a job's program finds its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounts {
    /// At `/opt/ml`, by `unshare` with these options.
    Own(&'static [&'static str]),
    /// Where it lies on this machine: arguments that name `/opt/ml` are led there.
    None {
        /// Why there is no mount namespace.
        reason: String,
    },
}

impl Mounts {
    /// What this machine can do, found out by doing it with a folder that is given.
    #[must_use]
    pub fn of_machine(folder: &Path) -> Self {
        let mut reason = String::new();
        for way in WAYS {
            let mut trial = Command::new("unshare");
            trial
                .args(way)
                .args(["--", "/bin/sh", "-c", SCRIPT, "sh"])
                .arg(folder)
                .args(["test", "-d", CONTAINER_ROOT])
                .stdin(Stdio::null());
            match trial.output() {
                Ok(output) if output.status.success() => return Self::Own(way),
                Ok(output) => {
                    let told = String::from_utf8_lossy(&output.stderr);
                    told.trim().clone_into(&mut reason);
                }
                Err(error) => reason = format!("unshare cannot be started: {error}"),
            }
        }
        Self::None { reason }
    }

    /// Where a program sees the layout whose root on this machine is `root`.
    pub(super) fn seen<'a>(&self, root: &'a Path) -> &'a Path {
        match self {
            Self::Own(_) => Path::new(CONTAINER_ROOT),
            Self::None { .. } => root,
        }
    }

    /// The command line of a program that finds `root` at `/opt/ml`, or whose arguments name
    /// `root` in its place, and that gets `variables` whatever their names are.
    ///
    /// # Errors
    /// The program is missing, looked up by `path` where its name has no slash, or it can't be
    /// executed.
    pub(super) fn command_line(
        &self,
        root: &Path,
        command_line: &[String],
        variables: &[(String, String)],
        path: &OsStr,
    ) -> io::Result<Vec<OsString>> {
        let mut led = command_line.iter().map(|part| led_to(root, part));
        match self {
            Self::None { .. } => Ok(led.map(OsString::from).collect()),
            Self::Own(way) => {
                // As the shell that becomes it can't tell in SageMaker's words.
                let program = led.next().unwrap_or_default();
                executable(Path::new(&program), path)?;
                let before = ["unshare"].iter().chain(*way);
                let before = before.chain(&["--", "/bin/sh", "-c", SCRIPT, "sh"]);
                let before = before.map(OsString::from);
                let own = command_line.iter().map(OsString::from);
                // A shell drops what is not a variable of its own, such as SM_CHANNEL_MY-DATA.
                let mut odd = variables
                    .iter()
                    .filter(|(name, _)| !is_variable(name))
                    .peekable();
                let env = odd.peek().map(|_| OsString::from("/usr/bin/env"));
                let odd = odd.map(|(name, value)| format!("{name}={value}").into());
                Ok(before
                    .chain([root.into()])
                    .chain(env)
                    .chain(odd)
                    .chain(own)
                    .collect())
            }
        }
    }

    /// What is to be known of a failed program that names `/opt/ml` in its log.
    pub(super) fn note(&self, log: &str) -> Option<String> {
        match self {
            Self::None { reason } if log.contains(CONTAINER_ROOT) => Some(format!(
                "its log names {CONTAINER_ROOT}, which is not there: this machine gives no mount namespace ({reason}); the job's folder is in PIPEWRIGHT_ML_ROOT"
            )),
            _ => None,
        }
    }
}

/// Whether a shell takes a name for that of a variable.
fn is_variable(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_part) && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// That a program can be executed.
fn executable(program: &Path, path: &OsStr) -> io::Result<()> {
    let is_executable = |file: &Path| match file.metadata() {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Ok(()),
        Ok(_) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        Err(error) => Err(error),
    };
    if program.components().count() > 1 {
        return is_executable(program);
    }
    let places: Vec<PathBuf> = std::env::split_paths(path).collect();
    let found = places
        .iter()
        .any(|place| is_executable(&place.join(program)).is_ok());
    match found {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_namespaces_leads_arguments_and_says_why() {
        let mounts = Mounts::None {
            reason: "unshare failed".to_owned(),
        };
        let root = Path::new("/tmp/job/opt/ml");
        let line = ["x".to_owned(), "--in=/opt/ml/input".to_owned()];
        let led = mounts
            .command_line(root, &line, &[], OsStr::new(""))
            .unwrap();
        assert_eq!(led, ["x", "--in=/tmp/job/opt/ml/input"]);
        let note = mounts.note("No such file: /opt/ml/input").unwrap();
        assert!(note.contains("unshare failed"), "{note}");
        assert_eq!(mounts.note("other"), None);
    }

    #[test]
    fn what_cannot_be_executed_is_told_before_the_shell_would() {
        let mounts = Mounts::Own(WAYS[0]);
        let path = OsStr::new("/bin:/usr/bin");
        let tried = |program: &str| {
            let line = [program.to_owned(), "/opt/ml/x".to_owned()];
            let variables = [
                ("A".to_owned(), "1".to_owned()),
                ("B-C".to_owned(), "2".to_owned()),
            ];
            mounts.command_line(Path::new("/tmp"), &line, &variables, path)
        };
        assert_eq!(
            tried("no-such-program").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            tried("/etc/passwd").unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        let line = tried("sh").unwrap();
        let end = ["/tmp", "/usr/bin/env", "B-C=2", "sh", "/opt/ml/x"];
        assert_eq!(line[line.len() - 5..], end);
    }
}
