//! `pipewright features check`: everything that keeps features from being made, of prices and a
//! template; `pipewright data import` asks the same.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use pipewright::features::{
    self, CatalogueAsset, Checked, Options, PriceFileErrors, PriceSeries, assets_and_faults,
    read_price_files, unknown_names,
};
use pipewright::training_template::{Freq, TrainingTemplate};
use serde_json::Value;

pub(crate) use super::folder::PriceFile;

use super::folder::Folder;
use super::{Assets, Format, read_json, show};
use crate::definition::shown;
use crate::output::{clean, pretty, stdout, write};

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    assets: Assets,
    /// The training template; `-` reads standard input. Without one, the price
    /// files are looked at by themselves.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A training template's file.
pub(crate) struct TemplateFile {
    /// How it is named in faults.
    pub(crate) name: String,
    pub(crate) document: Value,
}

impl TemplateFile {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, or not as JSON.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        Ok(Self {
            name: shown(file),
            document: read_json(file)?,
        })
    }
}

/// Price files that lie elsewhere than in the folder.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// What their names begin with in messages, such as `s3://bucket/assets/`.
    pub(crate) place: String,
    /// Their contents by ticker.
    pub(crate) contents: BTreeMap<String, Vec<u8>>,
}

/// What was found so far, before the prices are read.
pub(crate) struct Examination {
    folder: Option<Folder>,
    template: Option<TrainingTemplate>,
    /// The assets whose prices have to be read, by ticker.
    needed: Vec<CatalogueAsset>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each can be told: it has no control character.
    pub(crate) faults: Vec<String>,
    /// As the faults.
    pub(crate) warnings: Vec<String>,
    /// That the template fits the prices.
    pub(crate) checked: Option<Checked>,
    /// The price files of the folder that were looked at.
    pub(crate) files: Vec<PriceFile>,
}

impl Examination {
    /// Looks which prices the template needs, of those in the folder and, beside them, of the
    /// assets `others`; without a template all in the folder.
    pub(crate) fn begin(
        folder: Option<&Path>,
        template: Option<&TemplateFile>,
        others: &[CatalogueAsset],
    ) -> Self {
        let mut begun = Self {
            folder: None,
            template: None,
            needed: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        let mut unusable = None;
        if let Some(TemplateFile { name, document }) = template {
            match TrainingTemplate::parse(document) {
                Ok(usable) => begun.template = Some(usable),
                Err(error) => {
                    let found = error.faults().iter();
                    let found = found.map(|fault| format!("{name}: {fault}"));
                    begun.faults.extend(found);
                    unusable = Some((document, error));
                }
            }
        }
        if let Some(path) = folder {
            match Folder::open(path, &mut begun.warnings) {
                Ok(opened) => begun.folder = Some(opened),
                Err(error) => {
                    begun.faults.push(format!("{error:#}"));
                    return begun;
                }
            }
        }
        let own = begun.folder.as_ref();
        let mut catalogue = own.map_or_else(Vec::new, |folder| folder.catalogue.clone());
        let is_own = |asset: &&CatalogueAsset| own.is_some_and(|folder| folder.has(&asset.ticker));
        catalogue.extend(others.iter().filter(|asset| !is_own(asset)).cloned());
        catalogue.sort_unstable();
        // Without a template that can be used, every file may be meant.
        let (needed, found) = match (&begun.template, unusable) {
            (Some(template), _) => assets_and_faults(template, &catalogue),
            (None, Some((document, error))) => {
                let found = unknown_names(document, error.faults(), &catalogue);
                (catalogue, found)
            }
            (None, None) => (catalogue, Vec::new()),
        };
        begun.needed = needed;
        let found = found.iter().map(ToString::to_string);
        begun.faults.extend(found);
        begun
    }

    fn is_own(&self, asset: &CatalogueAsset) -> bool {
        let folder = self.folder.as_ref();
        folder.is_some_and(|folder| folder.has(&asset.ticker))
    }

    /// The tickers whose prices lie elsewhere than in the folder and have to be read.
    pub(crate) fn others(&self) -> Vec<String> {
        let others = self.needed.iter().filter(|asset| !self.is_own(asset));
        others.map(|asset| asset.ticker.clone()).collect()
    }

    /// Reads the prices, those of [`others`](Self::others) from `elsewhere`, and checks them and
    /// the template.
    pub(crate) fn end(self, elsewhere: &Elsewhere) -> Found {
        let (own, others): (Vec<_>, Vec<_>) = self
            .needed
            .iter()
            .cloned()
            .partition(|asset| self.is_own(asset));
        let Self {
            folder,
            template,
            mut faults,
            mut warnings,
            ..
        } = self;
        let threads = Options::default().threads;
        let mut files = Vec::new();
        let mut assets: Result<Vec<_>, PriceFileErrors> = Ok(Vec::new());
        if let Some(folder) = &folder {
            assets = folder.read(own.clone(), threads, &mut warnings);
            files = folder.listing(&own, assets.as_deref().unwrap_or_default());
        }
        let place = &elsewhere.place;
        let read = read_price_files(
            others,
            place.trim_end_matches('/'),
            place,
            threads,
            |name| {
                let content = elsewhere.contents.get(name.trim_end_matches(".csv"));
                content.cloned().ok_or(io::ErrorKind::NotFound.into())
            },
        );
        let mut checked = None;
        match (assets, read) {
            (Ok(mut assets), Ok(others)) => {
                assets.extend(others);
                assets.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                let usable = template.filter(|_| faults.is_empty());
                let freq = usable.as_ref().map(|template| template.deepar.freq);
                let mut of_files = file_warnings(&assets);
                of_files.extend(spacing_notes(&assets, freq));
                match usable.map(|template| features::check(&template, assets)) {
                    None => warnings.extend(of_files),
                    Some(Ok(found)) => {
                        warnings.extend(found.warnings.iter().cloned());
                        checked = Some(found);
                    }
                    Some(Err(found)) => {
                        warnings.extend(of_files);
                        faults.extend(found.iter().map(ToString::to_string));
                    }
                }
            }
            (own, others) => {
                let errors = [own.err(), others.err()].into_iter().flatten();
                faults.extend(errors.flat_map(|error| error.sentences()));
            }
        }
        let cleaned = |texts: Vec<String>| texts.iter().map(|text| clean(text)).collect();
        Found {
            faults: cleaned(faults),
            warnings: cleaned(warnings),
            checked,
            files,
        }
    }
}

/// Runs the command; its exit status is a failure's where there are faults.
///
/// # Errors
/// When the template cannot be read, or standard output not be written.
pub(super) fn check(arguments: &Check) -> Result<ExitCode> {
    let template = arguments.template.as_deref().map(TemplateFile::read);
    let template = template.transpose()?;
    let examination = Examination::begin(Some(&arguments.assets.folder), template.as_ref(), &[]);
    let found = examination.end(&Elsewhere::default());
    let text = match arguments.format {
        Format::Json => pretty(&show::checked_json(&found)),
        Format::Text => {
            let faults = found.faults.iter().map(|fault| format!("error: {fault}\n"));
            let warnings = found.warnings.iter();
            let warnings = warnings.map(|warning| format!("warning: {warning}\n"));
            let end = match (&found.checked, &template) {
                (Some(checked), Some(template)) => show::checked_text(checked, &template.name),
                (None, None) if found.faults.is_empty() => {
                    format!("price files: {}, no fault\n", found.files.len())
                }
                _ => String::new(),
            };
            faults.chain(warnings).chain([end]).collect()
        }
    };
    write(&mut stdout(), text.as_bytes())?;
    Ok(ExitCode::from(u8::from(!found.faults.is_empty())))
}

/// What is doubtful about price files.
pub(super) fn file_warnings(assets: &[(CatalogueAsset, PriceSeries)]) -> Vec<String> {
    let series = assets.iter().map(|(_, series)| series);
    series
        .flat_map(|series| series.warnings.iter().cloned())
        .collect()
}

/// Those of price files that are not daily, and not of `freq`.
fn spacing_notes(assets: &[(CatalogueAsset, PriceSeries)], freq: Option<Freq>) -> Vec<String> {
    let series = assets.iter().map(|(_, series)| series);
    series.filter_map(|one| one.spacing_note(freq)).collect()
}
