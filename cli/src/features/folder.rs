//! The folder of price files and its asset catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pipewright::features::{
    CatalogueAsset, ListedAsset, PriceFileErrors, PriceSeries, UNCLASSIFIED, read_catalogue,
    read_price_files,
};
use pipewright::training_template::ticker_fault;
use pipewright::wording::first_of;
use pipewright_files::{below, bounded};
use serde::Serialize;

/// The file with the assets' classes.
const CATALOGUE: &str = "assets.csv";

/// Endings of packed files.
const PACKED: [&str; 5] = ["gz", "zip", "bz2", "xz", "zst"];

/// How many names a warning lists; the others are counted.
const SHOWN: usize = 10;

/// A folder with one `<ticker>.csv` per asset and, perhaps, `assets.csv`.
pub(super) struct Folder {
    path: PathBuf,
    /// Every asset that has a price file, by ticker.
    pub(super) catalogue: Vec<CatalogueAsset>,
    /// What `assets.csv` says of assets, by ticker.
    descriptions: BTreeMap<String, String>,
}

/// A price file that was looked at.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PriceFile {
    pub(crate) ticker: String,
    /// Its name in the folder.
    pub(crate) file: String,
    pub(crate) asset_class: String,
    pub(crate) description: String,
    /// Of its prices, where it could be read, as all below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_date: Option<String>,
    /// How many rows have a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prices: Option<usize>,
}

/// Why what looks like a price file is not taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    Ending,
    Packed,
    Hidden,
    Folder,
    Encoding,
    Ticker,
    Catalogue,
}

impl LeftOut {
    /// What the names have in common, and what to do.
    fn reason(self) -> &'static str {
        match self {
            Self::Ending => "a price file's name ends in `.csv`",
            Self::Packed => "a packed file is not read, unpack it",
            Self::Hidden => {
                "a name that begins with a dot is that of a hidden file, which is not a price file"
            }
            Self::Folder => "a folder is not a price file",
            Self::Encoding => "a price file's name is in UTF-8, rename it",
            Self::Ticker => {
                "a price file's name is its ticker, which has no control character, no \
                 backslash and no space at its ends, and at most 128 bytes"
            }
            Self::Catalogue => "the list of assets is named `assets.csv`",
        }
    }
}

/// What an entry of the folder is: the ticker whose prices it has, why it is
/// left out, or none of both, as of files that have nothing to do with prices.
fn entry(folder: &Path, name: &OsStr) -> Option<Result<String, LeftOut>> {
    let lossy = name.to_string_lossy();
    let (stem, ending) = lossy.rsplit_once('.')?;
    if !ending.eq_ignore_ascii_case("csv") {
        let inner = stem.rsplit_once('.').map(|(_, inner)| inner);
        let packed = inner.is_some_and(|inner| inner.eq_ignore_ascii_case("csv"))
            && PACKED.iter().any(|one| ending.eq_ignore_ascii_case(one));
        return packed.then_some(Err(LeftOut::Packed));
    }
    if lossy == CATALOGUE {
        return None;
    }
    let left_out = if lossy.eq_ignore_ascii_case(CATALOGUE) {
        LeftOut::Catalogue
    } else if lossy.starts_with('.') {
        LeftOut::Hidden
    } else if name.to_str().is_none() {
        LeftOut::Encoding
    } else if ending != "csv" {
        LeftOut::Ending
    } else if folder.join(name).is_dir() {
        LeftOut::Folder
    } else if ticker_fault(stem).is_some() {
        LeftOut::Ticker
    } else {
        return Some(Ok(stem.to_owned()));
    };
    Some(Err(left_out))
}

/// A name as it can be told: bytes that are no text, and control characters,
/// are written out.
fn spelt(name: &OsStr) -> String {
    match name.to_str() {
        Some(name) if !name.chars().any(char::is_control) => name.to_owned(),
        Some(name) => name.escape_debug().to_string(),
        None => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}

impl Folder {
    /// Looks which assets there are. What is doubtful about them is added to the
    /// warnings, which may tell why it fails.
    pub(super) fn open(path: &Path, warnings: &mut Vec<String>) -> Result<Self> {
        let unreadable = || format!("{} cannot be read", path.display());
        let mut tickers = BTreeSet::new();
        let mut left_out: BTreeMap<LeftOut, BTreeSet<String>> = BTreeMap::new();
        for found in fs::read_dir(path).with_context(unreadable)? {
            let name = found.with_context(unreadable)?.file_name();
            match entry(path, &name) {
                Some(Ok(ticker)) => {
                    tickers.insert(ticker);
                }
                Some(Err(why)) => {
                    left_out.entry(why).or_default().insert(spelt(&name));
                }
                None => {}
            }
        }
        for (why, names) in &left_out {
            let names: Vec<&String> = names.iter().collect();
            let names = first_of(&names, SHOWN);
            warnings.push(format!("{names}: left out; {}", why.reason()));
        }
        if tickers.is_empty() {
            bail!(
                "{} has no price file: one `<ticker>.csv` per asset is needed, with the headings `Date` and `Close`",
                path.display()
            );
        }
        let file = path.join(CATALOGUE);
        let listed = if file.exists() {
            let bytes = bounded::read(&file, bounded::LARGEST_TEXT)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            Some(read_catalogue(&file.display().to_string(), &bytes)?)
        } else {
            None
        };
        let classes = classes(&file, listed.as_deref(), &tickers, warnings);
        let catalogue = tickers
            .iter()
            .map(|ticker| CatalogueAsset {
                ticker: ticker.clone(),
                class: classes
                    .get(ticker.as_str())
                    .map_or(UNCLASSIFIED, |class| *class)
                    .to_owned(),
            })
            .collect();
        let descriptions = listed.iter().flatten();
        let descriptions = descriptions
            .map(|one| (one.asset.ticker.clone(), one.description.clone()))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            catalogue,
            descriptions,
        })
    }

    /// Whether an asset's prices lie here.
    pub(super) fn has(&self, ticker: &str) -> bool {
        let tickers = self.catalogue.iter().map(|asset| &*asset.ticker);
        tickers.into_iter().any(|one| one == ticker)
    }

    /// The price files of assets: with their dates and rows where they were read.
    pub(super) fn listing(
        &self,
        assets: &[CatalogueAsset],
        read: &[(CatalogueAsset, PriceSeries)],
    ) -> Vec<PriceFile> {
        let read: BTreeMap<&str, &PriceSeries> = read
            .iter()
            .map(|(asset, series)| (&*asset.ticker, series))
            .collect();
        let one = |asset: &CatalogueAsset| {
            let series = read.get(asset.ticker.as_str());
            let day = |date: Option<&time::Date>| date.map(ToString::to_string);
            PriceFile {
                ticker: asset.ticker.clone(),
                file: format!("{}.csv", asset.ticker),
                asset_class: asset.class.clone(),
                description: self
                    .descriptions
                    .get(&asset.ticker)
                    .cloned()
                    .unwrap_or_default(),
                first_date: series.and_then(|series| day(series.dates.first())),
                last_date: series.and_then(|series| day(series.dates.last())),
                prices: series.map(|series| series.prices.len()),
            }
        };
        assets.iter().map(one).collect()
    }

    /// Reads the price files of assets. Where some have faults, what is doubtful
    /// about any is added to the warnings; else the series hold it.
    pub(super) fn read(
        &self,
        assets: Vec<CatalogueAsset>,
        threads: NonZeroUsize,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<(CatalogueAsset, PriceSeries)>, PriceFileErrors> {
        let folder = self.path.display().to_string();
        read_price_files(assets, &folder, &format!("{folder}/"), threads, |name| {
            let file = self.path.join(below::file_name(name)?);
            bounded::read(&file, bounded::LARGEST_PRICES)
        })
        .inspect_err(|errors| warnings.extend(errors.warnings.iter().cloned()))
    }
}

/// The classes that `assets.csv` gives to assets, by ticker. What it leaves open
/// is added to the warnings.
fn classes<'a>(
    file: &Path,
    listed: Option<&'a [ListedAsset]>,
    tickers: &BTreeSet<String>,
    warnings: &mut Vec<String>,
) -> BTreeMap<&'a str, &'a str> {
    let Some(listed) = listed else {
        return BTreeMap::new();
    };
    let assets = listed.iter().map(|one| &one.asset);
    let classes: BTreeMap<&str, &str> = assets
        .map(|asset| (&*asset.ticker, &*asset.class))
        .collect();
    let without_file = listed.iter().map(|one| &*one.asset.ticker);
    let without_file: Vec<&str> = without_file.filter(|one| !tickers.contains(*one)).collect();
    if !without_file.is_empty() {
        warnings.push(format!(
            "{} lists {}, which {} no price file; left out",
            file.display(),
            first_of(&without_file, SHOWN),
            if without_file.len() == 1 {
                "has"
            } else {
                "have"
            }
        ));
    }
    let unlisted = tickers.iter().map(String::as_str);
    let unlisted: Vec<&str> = unlisted.filter(|one| !classes.contains_key(one)).collect();
    if !unlisted.is_empty() {
        warnings.push(format!(
            "{} gives no class to {}; counted as `{UNCLASSIFIED}`",
            file.display(),
            first_of(&unlisted, SHOWN)
        ));
    }
    classes
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    fn of(name: &[u8]) -> Option<Result<String, LeftOut>> {
        entry(Path::new("/nowhere"), OsStr::from_bytes(name))
    }

    #[test]
    fn an_entry_is_a_price_file_left_out_or_something_else() {
        assert_eq!(of(b"AAA.csv"), Some(Ok("AAA".to_owned())));
        assert_eq!(of(b"B.B.csv"), Some(Ok("B.B".to_owned())));
        for (name, why) in [
            (&b"._AAA.csv"[..], LeftOut::Hidden),
            (b".csv", LeftOut::Hidden),
            (b"AAA.CSV", LeftOut::Ending),
            (b"Gr\xf6\xdfe.csv", LeftOut::Encoding),
            (b"AAA.csv.gz", LeftOut::Packed),
            (b" AAA.csv", LeftOut::Ticker),
            (b"A\nA.csv", LeftOut::Ticker),
            (b"Assets.csv", LeftOut::Catalogue),
        ] {
            assert_eq!(of(name), Some(Err(why)), "{name:?}");
        }
        for name in [&b"assets.csv"[..], b"README.md", b"csv", b"prices.gz", b""] {
            assert_eq!(of(name), None, "{name:?}");
        }
        let folder = std::env::temp_dir();
        let name = format!("pipewright-folder-{}.csv", std::process::id());
        fs::create_dir_all(folder.join(&name)).unwrap();
        assert_eq!(
            entry(&folder, OsStr::new(&name)),
            Some(Err(LeftOut::Folder))
        );
        fs::remove_dir(folder.join(&name)).unwrap();
    }

    #[test]
    fn a_name_is_spelt_so_that_it_can_be_told() {
        assert_eq!(
            spelt(OsStr::from_bytes(b"Gr\xf6\xdfe.csv")),
            "Gr\\xf6\\xdfe.csv"
        );
        assert_eq!(spelt(OsStr::new("Größe.csv")), "Größe.csv");
        assert_eq!(spelt(OsStr::new("a\u{1b}[2J.csv")), "a\\u{1b}[2J.csv");
    }

    proptest! {
        #[test]
        fn what_ends_in_csv_is_taken_or_told_without_control_characters(
            name in prop::collection::vec(any::<u8>().prop_filter("a name", |b| !matches!(*b, 0 | b'/')), 0..12),
        ) {
            let name = [&name[..], b".csv"].concat();
            prop_assume!(name != CATALOGUE.as_bytes());
            let name = OsStr::from_bytes(&name);
            prop_assert!(!spelt(name).chars().any(char::is_control));
            match entry(Path::new("/nowhere"), name) {
                Some(Ok(ticker)) => {
                    prop_assert_eq!(ticker_fault(&ticker), None);
                    let file = format!("{ticker}.csv");
                    prop_assert_eq!(OsStr::new(&file), name);
                }
                Some(Err(_)) => {}
                None => prop_assert!(false, "neither taken nor told"),
            }
        }
    }
}
