//! The files of a channel.

use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use pipewright_files::bounded;
use pipewright_forecast::series::{Channel, Format, Reader, RecordRules, files_read};

use super::fault::Fault;

/// A channel's series and the path of its first file.
#[derive(Debug)]
pub(super) struct Read {
    pub channel: Channel,
    pub first_file: PathBuf,
}

/// Reads the files under a channel's folder, in the order of their names.
///
/// # Errors
/// All that is wrong with the files' names or, if nothing is, with their records.
pub(super) fn read(
    name: &'static str,
    folder: &Path,
    content_type: Option<&str>,
    rules: RecordRules,
) -> Result<Read, Fault> {
    let mut paths = Vec::new();
    walk(folder, "", &mut paths).map_err(|(path, source)| Fault::Read {
        path,
        source,
        cure: "SageMaker puts the channel's files there",
    })?;
    let files = files_read(paths.iter().map(String::as_str), content_type).map_err(|faults| {
        Fault::Channel {
            channel: name,
            faults,
        }
    })?;
    let mut reader = Reader::new(rules);
    let mut first_file = None;
    for (path, format) in files {
        let told = format!("{name}/{path}");
        let path = folder.join(path);
        let file = bounded::open(&path).map_err(|source| Fault::Read {
            path: path.clone(),
            source,
            cure: "see its permissions",
        })?;
        match format {
            Format::JsonLines => reader.json_lines(&told, BufReader::new(file)),
            Format::JsonLinesGzip => reader.json_lines_gzip(&told, file),
            Format::Parquet => reader.parquet(&told, file),
        }
        first_file.get_or_insert(path);
    }
    let channel = reader.finish().map_err(|faults| Fault::Records {
        channel: name,
        faults,
    })?;
    Ok(Read {
        channel,
        first_file: first_file.unwrap_or_default(),
    })
}

/// Adds the paths of the files under `folder`, relative to it and after `prefix`.
/// A link to a file is a file; one to a folder, which could lead in a circle, is
/// an error.
fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |error| (path, error)
    };
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| {
            let error = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8");
            (path.clone(), error)
        })?;
        let kind = entry.file_type().map_err(at(&path))?;
        let name = format!("{prefix}{name}");
        if kind.is_dir() {
            walk(&path, &format!("{name}/"), paths)?;
        } else if kind.is_symlink() && fs::metadata(&path).map_err(at(&path))?.is_dir() {
            let error = io::Error::other("it is a link to a folder, which is not followed");
            return Err((path, error));
        } else {
            paths.push(name);
        }
    }
    Ok(())
}
