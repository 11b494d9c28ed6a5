//! The folder of price files and its asset catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pipewright::features::{
    CatalogueAsset, PriceFileErrors, PriceSeries, UNCLASSIFIED, read_catalogue, read_price_files,
};
use pipewright_files::{below, bounded};

/// The file with the assets' classes.
const CATALOGUE: &str = "assets.csv";

/// A folder with one `<ticker>.csv` per asset and, perhaps, `assets.csv`.
pub(super) struct Folder {
    path: PathBuf,
    /// Every asset that has a price file, by ticker.
    pub(super) catalogue: Vec<CatalogueAsset>,
}

impl Folder {
    /// Looks which assets there are. What is doubtful about them is added to the
    /// warnings, which may tell why it fails.
    pub(super) fn open(path: &Path, warnings: &mut Vec<String>) -> Result<Self> {
        let unreadable = || format!("{} cannot be read", path.display());
        let mut tickers = BTreeSet::new();
        let mut capitals = Vec::new();
        for entry in fs::read_dir(path).with_context(unreadable)? {
            let name = entry.with_context(unreadable)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(ticker) = name.strip_suffix(".csv")
                && name != CATALOGUE
                && !name.starts_with('.')
                && !path.join(name).is_dir()
            {
                tickers.insert(ticker.to_owned());
            } else if Path::new(name)
                .extension()
                .is_some_and(|ending| ending != "csv" && ending.eq_ignore_ascii_case("csv"))
            {
                capitals.push(name.to_owned());
            }
        }
        capitals.sort();
        let capitals: Vec<&str> = capitals.iter().map(String::as_str).collect();
        if tickers.is_empty() {
            let note = match capitals.as_slice() {
                [] => String::new(),
                names => format!("; {} must end in `.csv`", some_of(names)),
            };
            bail!(
                "{} has no price file: one `<ticker>.csv` per asset is needed, with the headings `Date` and `Close`{note}",
                path.display()
            );
        }
        let file = path.join(CATALOGUE);
        if !capitals.is_empty() {
            warnings.push(format!(
                "{}: left out; a price file's name ends in `.csv`",
                some_of(&capitals)
            ));
        }
        let listed = if file.exists() {
            let bytes = bounded::read(&file, bounded::LARGEST_TEXT)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            Some(read_catalogue(&file.display().to_string(), &bytes)?)
        } else {
            None
        };
        if let Some(listed) = &listed {
            let known = |asset: &&CatalogueAsset| !tickers.contains(&asset.ticker);
            let missing: Vec<&str> = listed.iter().filter(known).map(|a| &*a.ticker).collect();
            if !missing.is_empty() {
                warnings.push(format!(
                    "{} lists {}, which {} no price file; left out",
                    file.display(),
                    some_of(&missing),
                    if missing.len() == 1 { "has" } else { "have" }
                ));
            }
        }
        let classes: BTreeMap<&str, &str> = listed
            .iter()
            .flatten()
            .map(|asset| (&*asset.ticker, &*asset.class))
            .collect();
        if listed.is_some() {
            let unlisted = tickers.iter().map(String::as_str);
            let unlisted: Vec<&str> = unlisted.filter(|t| !classes.contains_key(t)).collect();
            if !unlisted.is_empty() {
                warnings.push(format!(
                    "{} gives no class to {}; counted as `{UNCLASSIFIED}`",
                    file.display(),
                    some_of(&unlisted)
                ));
            }
        }
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
        Ok(Self {
            path: path.to_owned(),
            catalogue,
        })
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

/// The first names of a list and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
