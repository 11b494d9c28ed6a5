//! Which files of a channel are read, and as what.

use thiserror::Error;

use crate::faults::Faults;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines.
    JsonLines,
    /// JSON Lines compressed by gzip.
    JsonLinesGzip,
    /// Parquet.
    Parquet,
}

/// A channel can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChannelFault {
    /// No file of it is read.
    #[error(
        "the channel has no file; files whose names begin with a dot, and `_SUCCESS`, are not read"
    )]
    Empty,
    /// A file may be anything.
    #[error(
        "the format of {file} is unknown; its name must end in .json, .json.gz or .parquet, or the channel's ContentType must be json, json.gz or parquet"
    )]
    Unknown {
        /// The file.
        file: String,
    },
    /// The content type is none that is read.
    #[error(
        "the channel's ContentType is `{content_type}`, but {file} needs one of json, json.gz and parquet, for its name ends in none of .json, .json.gz and .parquet"
    )]
    ContentType {
        /// The content type.
        content_type: String,
        /// A file that it was needed for.
        file: String,
    },
}

/// Of the files under a channel's directory, those that are read, by name, with
/// their format.
///
/// `paths` are relative to the directory, with `/` between their parts, and come
/// in any order. What begins with a dot, a directory included, and `_SUCCESS` are
/// left out, so that the output of a Spark job can be read as it is. The name
/// says the format; if it doesn't, the channel's content type does: `json`,
/// `json.gz` or `parquet`, or `application/` and `jsonlines`, `json` or
/// `x-parquet`.
///
/// # Errors
/// There is no file, or the format of some is unknown.
pub fn files_read<'a>(
    paths: impl IntoIterator<Item = &'a str>,
    content_type: Option<&str>,
) -> Result<Vec<(&'a str, Format)>, Faults<ChannelFault>> {
    let content_type = content_type.filter(|text| !text.trim().is_empty());
    let mut paths: Vec<&str> = paths.into_iter().filter(|path| is_read(path)).collect();
    paths.sort_unstable();
    let mut faults = Faults::default();
    let mut files = Vec::new();
    for path in paths {
        let named = format_of_name(path);
        match named.or_else(|| content_type.and_then(format_of_content_type)) {
            Some(format) => files.push((path, format)),
            None => faults.push(match content_type {
                None => ChannelFault::Unknown {
                    file: path.to_owned(),
                },
                Some(content_type) => ChannelFault::ContentType {
                    content_type: content_type.to_owned(),
                    file: path.to_owned(),
                },
            }),
        }
    }
    if files.is_empty() && faults.count() == 0 {
        faults.push(ChannelFault::Empty);
    }
    faults.or(files)
}

fn is_read(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    !hidden && path.rsplit('/').next() != Some("_SUCCESS")
}

fn format_of_name(path: &str) -> Option<Format> {
    let path = path.to_ascii_lowercase();
    [
        (".json", Format::JsonLines),
        (".json.gz", Format::JsonLinesGzip),
        (".parquet", Format::Parquet),
    ]
    .into_iter()
    .find_map(|(ending, format)| path.ends_with(ending).then_some(format))
}

fn format_of_content_type(content_type: &str) -> Option<Format> {
    let content_type = content_type.trim().to_ascii_lowercase();
    let name = content_type.split(';').next()?.trim();
    match name.strip_prefix("application/").unwrap_or(name) {
        "json" | "jsonlines" | "x-jsonlines" => Some(Format::JsonLines),
        "json.gz" => Some(Format::JsonLinesGzip),
        "parquet" | "x-parquet" => Some(Format::Parquet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_directory_is_read_but_hidden_ones() {
        let paths = [
            "b/part-1.snappy.parquet",
            "a.json",
            "_SUCCESS",
            "b/_SUCCESS",
            "b/.part-1.crc",
            ".cache/c.json",
            "b/c/d.JSON.GZ",
            "b/_SUCCESS.json",
        ];
        assert_eq!(
            files_read(paths, None),
            Ok(vec![
                ("a.json", Format::JsonLines),
                ("b/_SUCCESS.json", Format::JsonLines),
                ("b/c/d.JSON.GZ", Format::JsonLinesGzip),
                ("b/part-1.snappy.parquet", Format::Parquet),
            ])
        );
    }

    #[test]
    fn the_content_type_says_what_a_name_does_not() {
        for (content_type, format) in [
            ("json", Format::JsonLines),
            ("application/jsonlines", Format::JsonLines),
            ("application/json; charset=utf-8", Format::JsonLines),
            ("json.gz", Format::JsonLinesGzip),
            ("application/x-parquet", Format::Parquet),
        ] {
            let files = files_read(["x.jsonl", "y.json"], Some(content_type));
            assert_eq!(
                files,
                Ok(vec![("x.jsonl", format), ("y.json", Format::JsonLines)])
            );
        }
    }

    #[test]
    fn a_file_of_unknown_format_is_a_fault_with_its_cure() {
        let faults = files_read(["x.csv", "y.json", "z"], None).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "2 faults:
  the format of x.csv is unknown; its name must end in .json, .json.gz or .parquet, or the channel's ContentType must be json, json.gz or parquet
  the format of z is unknown; its name must end in .json, .json.gz or .parquet, or the channel's ContentType must be json, json.gz or parquet"
        );
        let faults = files_read(["x.csv"], Some("text/csv")).unwrap_err();
        assert!(
            faults.to_string().contains("ContentType is `text/csv`"),
            "{faults}"
        );
    }

    #[test]
    fn a_channel_without_files_is_a_fault() {
        for paths in [&[][..], &["_SUCCESS", ".x.json"]] {
            let faults = files_read(paths.iter().copied(), None).unwrap_err();
            assert_eq!(faults.told(), [ChannelFault::Empty]);
        }
    }
}
