//! Paths of names that a remote side gave: keys, tickers, steps, members of archives.
//!
//! `ops/below.py` is the same for Python.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest name of a file or folder that file systems take, in bytes.
const LONGEST_PART: usize = 255;

/// Why a name is not a path below the folder that it is meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {name:?} {fault}")]
pub struct NameRefused {
    /// The name, as it was given.
    pub name: String,
    /// What is wrong with it.
    pub fault: NameFault,
}

impl From<NameRefused> for io::Error {
    fn from(refused: NameRefused) -> Self {
        Self::new(io::ErrorKind::InvalidInput, refused)
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It begins with a slash.
    #[error("begins with /, and would be a path of its own")]
    Absolute,
    /// A part of it is `..`, `.` or nothing.
    #[error("has {0:?} for a part, and could lead elsewhere than it says")]
    Part(String),
    /// It has parts, and a single file name is needed.
    #[error("has a /, and a file's name is needed")]
    Slash,
    /// It has a character that no file's name should have.
    #[error("has the control character {0:?}")]
    Control(char),
    /// A part is too long.
    #[error("has a part of more than 255 bytes")]
    Long,
    /// Another name is the same file where case does not count.
    #[error("is, but for capital letters, {0:?}, and both would be one file on many machines")]
    Collision(String),
    /// Another name says that what this one takes for a folder is a file, or the reverse.
    #[error("takes for a folder what is a file for {0:?}, or the reverse")]
    FileAndFolder(String),
    /// What lies on its way already is a link, which could lead anywhere, or a file.
    #[error("leads through {}, which is a link or a file", .0.display())]
    NoFolder(PathBuf),
    /// What lies there already is not a file.
    #[error("is {}, which is not a regular file", .0.display())]
    NotRegular(PathBuf),
}

/// The relative path of a name; joined to any folder, it lies below it.
///
/// # Errors
/// The first thing about the name that no path below a folder has.
pub fn relative(name: &str) -> Result<PathBuf, NameRefused> {
    fault(name).map_or_else(
        || Ok(name.split('/').collect()),
        |fault| {
            Err(NameRefused {
                name: name.to_owned(),
                fault,
            })
        },
    )
}

/// The name, if it is that of a file and no path.
///
/// # Errors
/// As [`relative`], and when there is a slash in it.
pub fn file_name(name: &str) -> Result<&str, NameRefused> {
    relative(name)?;
    if name.contains('/') {
        return Err(NameRefused {
            name: name.to_owned(),
            fault: NameFault::Slash,
        });
    }
    Ok(name)
}

fn fault(name: &str) -> Option<NameFault> {
    if name.is_empty() {
        return Some(NameFault::Empty);
    }
    if let Some(control) = name.chars().find(|letter| letter.is_control()) {
        return Some(NameFault::Control(control));
    }
    if name.starts_with('/') {
        return Some(NameFault::Absolute);
    }
    name.split('/').find_map(|part| match part {
        "" | "." | ".." => Some(NameFault::Part(part.to_owned())),
        _ if part.len() > LONGEST_PART => Some(NameFault::Long),
        _ => None,
    })
}

/// A name that was given, and whether it is a file's.
#[derive(Debug, Clone)]
struct Taken {
    /// The part of the name so far.
    name: String,
    is_file: bool,
}

/// A folder for files of given names, of which no two are one file.
#[derive(Debug, Clone)]
pub struct Below {
    root: PathBuf,
    /// By the name in small letters.
    taken: BTreeMap<String, Taken>,
}

impl Below {
    /// A folder for names that have not been given yet. What lies in it may be replaced.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            taken: BTreeMap::new(),
        }
    }

    /// Where the file of this name goes. Nothing is made; folders above it may be missing.
    ///
    /// # Errors
    /// As [`relative`]; when another name that was given would be the same file, or a folder of
    /// that name; and when a link or anything but a file lies where the path leads.
    pub fn file(&mut self, name: &str) -> Result<PathBuf, NameRefused> {
        let refuse = |fault| {
            Err(NameRefused {
                name: name.to_owned(),
                fault,
            })
        };
        let relative = relative(name)?;
        match in_the_way(&self.root, &relative).map_or_else(|| self.take(name), Err) {
            Err(fault) => refuse(fault),
            Ok(()) => Ok(self.root.join(relative)),
        }
    }

    /// Notes the name's file and folders; refuses it whole where another one is in its way.
    fn take(&mut self, name: &str) -> Result<(), NameFault> {
        let ends = name
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([name.len()]);
        let mut new = Vec::new();
        for end in ends {
            let so_far = &name[..end];
            let is_file = end == name.len();
            match self.taken.get(&so_far.to_lowercase()) {
                Some(other) if other.is_file != is_file => {
                    return Err(NameFault::FileAndFolder(other.name.clone()));
                }
                // The same name again is the same file, and replaces it.
                Some(other) if other.name != so_far => {
                    return Err(NameFault::Collision(other.name.clone()));
                }
                Some(_) => {}
                None => new.push((so_far, is_file)),
            }
        }
        for (name, is_file) in new {
            let name = name.to_owned();
            self.taken
                .insert(name.to_lowercase(), Taken { name, is_file });
        }
        Ok(())
    }
}

/// What lies on the way of a path below a folder, and is not a folder of it; what lies at its end,
/// and is not a file.
fn in_the_way(root: &Path, relative: &Path) -> Option<NameFault> {
    let mut path = root.to_owned();
    let mut parts = relative.iter().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        // Links are not followed here, and so count for neither.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if parts.peek().is_none() && !found.is_file() {
            return Some(NameFault::NotRegular(path));
        }
        if parts.peek().is_some() && !found.is_dir() {
            return Some(NameFault::NoFolder(path));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::path::Component;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A folder of the test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let path = std::env::temp_dir().join(format!(
                "pipewright-below-{}-{}",
                std::process::id(),
                NUMBER.fetch_add(1, Ordering::Relaxed)
            ));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Names of what attacks are made of.
    fn name() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            3 => Just("a".to_owned()),
            2 => Just("A".to_owned()),
            2 => Just("link".to_owned()),
            2 => Just("folder-link".to_owned()),
            2 => Just("file".to_owned()),
            3 => Just("..".to_owned()),
            1 => Just(".".to_owned()),
            1 => Just(String::new()),
            1 => Just("\0".to_owned()),
            1 => Just("~".to_owned()),
            1 => Just("x".repeat(300)),
            2 => "\\PC{0,4}",
            1 => any::<String>(),
        ];
        prop::collection::vec(part, 0..5).prop_map(|parts| parts.join("/"))
    }

    /// All that lies below a folder, with its content; links are not followed.
    fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let content = if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if kind.is_dir() {
                found.append(&mut tree(&path));
            }
            found.insert(path, content);
        }
        found
    }

    proptest! {
        /// Whatever a name is: its path is refused, or is made of plain parts only.
        #[test]
        fn a_path_of_a_name_has_plain_parts_only(name in name()) {
            if let Ok(path) = relative(&name) {
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(path.to_str().unwrap(), name);
            }
        }

        /// Whatever names a remote side gives, and whatever links lie in the folder: nothing outside of it is touched, and no two names are one file.
        #[test]
        fn nothing_outside_of_the_folder_is_ever_touched(
            names in prop::collection::vec(name(), 1..12),
        ) {
            let scratch = Scratch::new();
            let outside = scratch.0.join("outside");
            let root = scratch.0.join("root");
            fs::create_dir_all(outside.join("a")).unwrap();
            fs::create_dir(&root).unwrap();
            fs::write(outside.join("precious"), "precious").unwrap();
            fs::write(root.join("file"), "before").unwrap();
            std::os::unix::fs::symlink(outside.join("precious"), root.join("link")).unwrap();
            std::os::unix::fs::symlink(&outside, root.join("folder-link")).unwrap();
            let before = tree(&outside);
            let mut below = Below::new(&root);
            let mut written: BTreeMap<String, PathBuf> = BTreeMap::new();
            for name in &names {
                let Ok(path) = below.file(name) else { continue };
                prop_assert!(path.starts_with(&root));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, name).unwrap();
                written.insert(name.clone(), path);
            }
            prop_assert_eq!(tree(&outside), before);
            for (name, path) in &written {
                prop_assert_eq!(&fs::read_to_string(path).unwrap(), name);
            }
            let folded: BTreeSet<String> = written.keys().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(folded.len(), written.len());
            prop_assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
        }
    }

    #[test]
    fn each_fault_of_a_name_is_told() {
        for (name, words) in [
            ("", "is empty"),
            ("/etc/passwd", "begins with /"),
            ("../x", "\"..\""),
            ("a/../../x", "\"..\""),
            ("a/./b", "\".\""),
            ("a//b", "\"\""),
            ("a/", "\"\""),
            ("a\0b", "control character"),
            ("a\nb", "control character"),
            (&"x".repeat(256), "255 bytes"),
        ] {
            let error = relative(name).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(relative("a/b.csv").unwrap(), Path::new("a/b.csv"));
        assert_eq!(relative("..a/b..").unwrap(), Path::new("..a/b.."));
        assert_eq!(file_name("B.B.csv"), Ok("B.B.csv"));
        assert_eq!(file_name("a/b").unwrap_err().fault, NameFault::Slash);
    }

    #[test]
    fn names_that_are_in_each_others_way_are_refused() {
        let scratch = Scratch::new();
        let mut below = Below::new(&scratch.0);
        assert!(below.file("Data/a.csv").is_ok());
        assert!(below.file("Data/a.csv").is_ok());
        assert!(below.file("Data/b.csv").is_ok());
        for (name, words) in [
            ("Data/A.csv", "one file on many machines"),
            ("data/c.csv", "one file on many machines"),
            ("Data", "for a folder"),
            ("Data/a.csv/x", "for a folder"),
        ] {
            let error = below.file(name).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_already_is_not_written_to() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.0.join("folder")).unwrap();
        let pipe = scratch.0.join("pipe");
        crate::testing::make_pipe(&pipe);
        for name in ["folder", "pipe"] {
            let error = Below::new(&scratch.0).file(name).unwrap_err();
            assert_eq!(error.fault, NameFault::NotRegular(scratch.0.join(name)));
        }
        let error = Below::new(&scratch.0).file("pipe/x").unwrap_err();
        assert_eq!(error.fault, NameFault::NoFolder(pipe));
    }
}
