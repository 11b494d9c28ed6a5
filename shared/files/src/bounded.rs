//! Reading regular files, and no more of them than a limit.
//!
//! `ops/bounded.py` is the same for Python.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The largest price file that is read, in bytes: a hundred years of days are one of these MiB.
pub const LARGEST_PRICES: u64 = 64 << 20;

/// The largest text for a person's reading that is read, in bytes: definitions, templates, values,
/// lists of assets. SageMaker takes a definition of one MiB.
pub const LARGEST_TEXT: u64 = 16 << 20;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is a pipe, a device, a socket or a folder.
    #[error("it is {0}, and only a regular file is read")]
    NotRegular(&'static str),
    /// There is more than the limit.
    #[error("it is larger than {} MiB, which is the limit", .0 >> 20)]
    Large(u64),
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        let kind = match unfit {
            Unfit::NotRegular(_) => io::ErrorKind::InvalidInput,
            Unfit::Large(_) => io::ErrorKind::FileTooLarge,
        };
        Self::new(kind, unfit)
    }
}

/// Opens a regular file, or a link to one. A pipe, which might never end, is not even opened.
///
/// # Errors
/// [`Unfit::NotRegular`], or what the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    // Another may have taken its place.
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a whole regular file of at most so many bytes.
///
/// # Errors
/// [`Unfit`], or what the operating system says.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(Unfit::Large(limit).into());
    }
    read_from(file, limit)
}

/// Reads all of something that may have at most so many bytes.
///
/// # Errors
/// [`Unfit::Large`], or that of the reader.
pub fn read_from(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Unfit::Large(limit).into());
    }
    Ok(bytes)
}

fn regular(metadata: &Metadata) -> Result<(), Unfit> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(Unfit::NotRegular(named(metadata.file_type())))
    }
}

/// What a file that is not a regular one is.
fn named(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("pipewright-bounded-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    /// Pipes, devices, sockets and folders are refused by what they are, and none is waited for.
    #[test]
    fn only_regular_files_are_read() {
        let folder = scratch("kinds");
        let pipe = folder.join("pipe.csv");
        crate::testing::make_pipe(&pipe);
        let socket = folder.join("socket.csv");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.join("zero.csv");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for (path, words) in [
            (pipe.as_path(), "a named pipe"),
            (&socket, "a socket"),
            (&link, "a device"),
            (&folder, "a folder"),
        ] {
            let error = read(path, 10).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let file = folder.join("file.csv");
        fs::write(&file, "text").unwrap();
        let link = folder.join("link.csv");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 4).unwrap(), b"text");
        fs::remove_dir_all(folder).unwrap();
    }

    /// No more of a file is read than the limit.
    #[test]
    fn no_more_than_the_limit_is_read() {
        let folder = scratch("sizes");
        let file = folder.join("large");
        // Larger than memory, and nothing on the disk.
        let sparse = File::create(&file).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let error = read(&file, LARGEST_TEXT).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is larger than 16 MiB, which is the limit"
        );
        assert!(read_from(io::repeat(0), 1000).is_err());
        assert_eq!(read_from(&[1; 1000][..], 1000).unwrap().len(), 1000);
        fs::remove_dir_all(folder).unwrap();
    }
}
