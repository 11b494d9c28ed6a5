//! Compressed archives of a job's folders.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;
use tar::{Archive, Builder, HeaderMode};

/// Packs files below a folder, in the order given. The same files make the same bytes,
/// whenever and by whomever they were written.
pub(super) fn pack(folder: &Path, files: &[String], archive: &Path) -> io::Result<()> {
    let file = BufWriter::new(File::create(archive)?);
    let mut builder = Builder::new(GzEncoder::new(file, Compression::default()));
    builder.mode(HeaderMode::Deterministic);
    for name in files {
        builder.append_path_with_name(folder.join(name), name)?;
    }
    builder.into_inner()?.finish()?.into_inner()?;
    Ok(())
}

/// Unpacks an archive into a folder, and nothing beside it.
pub(super) fn unpack(archive: &Path, folder: &Path) -> io::Result<()> {
    let file = BufReader::new(File::open(archive)?);
    let mut archive = Archive::new(GzDecoder::new(file));
    archive.set_preserve_permissions(false);
    archive.unpack(folder)
}

/// The content of a file at the top of an archive; `None` if there is no archive, or no such file
/// in it.
pub(super) fn member(archive: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(archive) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        let is_it = entry.path()?.strip_prefix(".").unwrap_or(&entry.path()?) == Path::new(name);
        if is_it {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, SystemTime};

    /// The same files make the same archive, whenever they were written.
    #[test]
    fn the_same_files_make_the_same_archive_whenever_they_were_written() {
        let folder = std::env::temp_dir().join(format!("pipewright-pack-{}", std::process::id()));
        let model = folder.join("model");
        fs::create_dir_all(model.join("code")).unwrap();
        let names = ["-x".to_owned(), "code/inference.py".to_owned()];
        let mut archives = Vec::new();
        for (number, age) in [0, 100_000].into_iter().enumerate() {
            for name in &names {
                fs::write(model.join(name), name).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + age);
                let file = File::options().append(true).open(model.join(name)).unwrap();
                file.set_modified(time).unwrap();
            }
            let archive = folder.join(format!("{number}.tar.gz"));
            pack(&model, &names, &archive).unwrap();
            archives.push(fs::read(&archive).unwrap());
        }
        assert_eq!(archives[0], archives[1]);
        let unpacked = folder.join("unpacked");
        unpack(&folder.join("0.tar.gz"), &unpacked).unwrap();
        for name in &names {
            assert_eq!(fs::read_to_string(unpacked.join(name)).unwrap(), *name);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
