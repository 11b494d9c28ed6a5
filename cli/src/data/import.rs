//! `pipewright data import`: prices and a training template, once nothing is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use pipewright::features::{CatalogueAsset, UNCLASSIFIED};
use pipewright::record::rows::AssetRow;
use pipewright::wording::first_of;
use pipewright_files::{below, bounded};
use serde::Serialize;
use tokio::task::JoinSet;

use super::{ID, Store, key, refuse_paths, say};
use crate::features::check::{Elsewhere, Examination, Found, PriceFile, TemplateFile};
use crate::features::{Format, warn};
use crate::installation::Installation;
use crate::output;

/// How many price files are read or written at once.
const AT_ONCE: usize = 4;

/// How many names a sentence lists before it counts the rest.
const LISTED: usize = 5;

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct Import {
    /// The folder of prices: one TICKER.csv (Date,Close) per asset and,
    /// optionally, assets.csv (ticker,assetClass,description). All of them are
    /// imported. Without one, the training template alone.
    #[arg(long, group = "what")]
    assets: Option<PathBuf>,
    /// The training template. Without one, each price file is checked by itself.
    #[arg(long, group = "what")]
    template: Option<PathBuf>,
    #[command(flatten)]
    installation: Installation,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What came of it, for programs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    faults: Vec<String>,
    warnings: Vec<String>,
    /// The tickers that were imported.
    assets: Vec<String>,
    /// The id of the training template that was imported.
    training_template: Option<String>,
    /// How many assets the catalogue has after that.
    catalogue: Option<usize>,
}

pub(super) async fn import(arguments: &Import) -> anyhow::Result<ExitCode> {
    let is_text = arguments.format == Format::Text;
    // By themselves first: nothing that the catalogue has may hide what is wrong with them.
    let folder = arguments.assets.as_deref();
    let mut found = match folder {
        Some(_) => Examination::begin(folder, None, &[]).end(&Elsewhere::default()),
        None => Found::default(),
    };
    let template = arguments.template.as_deref().map(TemplateFile::read);
    let template = template.transpose().unwrap_or_else(|error| {
        found.faults.push(output::clean(&format!("{error:#}")));
        None
    });
    let nothing_read = folder.is_some() && found.files.is_empty();
    if nothing_read || (template.is_none() && !found.faults.is_empty()) {
        return refuse(arguments.format, found);
    }
    let store = Store::of(&arguments.installation).await?;
    let before = store.catalogue().await?;
    match &template {
        Some(template) => {
            let more = with_catalogue(&store, &before, arguments, template, &found.files).await?;
            add(&mut found.faults, more.faults);
            add(&mut found.warnings, more.warnings);
        }
        None if is_text => {
            say("No TEMPLATE: checking each price file by itself, and importing no template")?;
        }
        None => {}
    }
    let names = before.keys().map(String::as_str);
    add(&mut found.faults, alike(names, &found.files));
    if is_text && folder.is_none() {
        say("No prices are given: importing the training template alone")?;
    }
    if !found.faults.is_empty() {
        return refuse(arguments.format, found);
    }
    if is_text {
        warn(&found.warnings)?;
    }
    let mut imported = Imported {
        warnings: found.warnings,
        ..Imported::default()
    };
    if let Some(folder) = folder {
        imported.assets = put_assets(&store, folder, found.files, &before).await?;
    }
    if let Some(TemplateFile { name, document }) = &template {
        let item = document.as_object();
        let item = item.with_context(|| format!("{name} is not a training template"))?;
        store.templates.put(item).await?;
        imported.training_template = item.get(ID).and_then(|id| id.as_str()).map(str::to_owned);
    }
    let known = before.keys().chain(&imported.assets);
    imported.catalogue = Some(known.collect::<BTreeSet<_>>().len());
    if !is_text {
        output::write_json(&imported)?;
        return Ok(ExitCode::SUCCESS);
    }
    if folder.is_some() {
        say(&format!("Imported {} assets", imported.assets.len()))?;
    }
    if let Some(id) = &imported.training_template {
        say(&format!("Imported the training template {id}"))?;
    }
    let before: Vec<&str> = before.keys().map(String::as_str).collect();
    for sentence in after_import(&before, &imported.assets) {
        say(&sentence)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tickers that differ from another one in capital letters alone. A processing job would write the price
/// files of both, and on many machines one over the other.
fn alike<'a>(catalogue: impl Iterator<Item = &'a str>, files: &'a [PriceFile]) -> Vec<String> {
    let own = files.iter().map(|file| file.ticker.as_str());
    let mut seen: BTreeMap<String, &str> = catalogue
        .map(|ticker| (ticker.to_ascii_uppercase(), ticker))
        .collect();
    own.filter_map(|ticker| {
        let other = *seen.entry(ticker.to_ascii_uppercase()).or_insert(ticker);
        (other != ticker).then(|| {
            format!("the tickers {other} and {ticker} differ in capital letters alone: name the file {other}.csv, or remove {other} first")
        })
    })
    .collect()
}

/// Those that are not there yet.
fn add(texts: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
}

/// Tells what is wrong.
fn refuse(format: Format, found: Found) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        output::write_json(&Imported {
            faults: found.faults,
            warnings: found.warnings,
            ..Imported::default()
        })?;
        return Ok(ExitCode::FAILURE);
    }
    warn(&found.warnings)?;
    let faults = found.faults.iter().map(|fault| format!("\n  {fault}"));
    Err(anyhow!(
        "{} fault(s); nothing was uploaded:{}",
        found.faults.len(),
        faults.collect::<String>()
    ))
}

/// What is found in a training template with what the catalogue has after the import.
async fn with_catalogue(
    store: &Store,
    before: &BTreeMap<String, AssetRow>,
    arguments: &Import,
    template: &TemplateFile,
    own: &[PriceFile],
) -> anyhow::Result<Found> {
    let own: BTreeSet<&str> = own.iter().map(|file| &*file.ticker).collect();
    let others = before.iter().filter(|(id, _)| !own.contains(id.as_str()));
    let others: Vec<CatalogueAsset> = others
        .map(|(id, row)| CatalogueAsset {
            ticker: id.clone(),
            class: row.class.clone().unwrap_or_else(|| UNCLASSIFIED.to_owned()),
        })
        .collect();
    if own.is_empty() && others.is_empty() {
        bail!(
            "the catalogue has no asset that the training template could be checked with; import its prices along \
             with it: --assets DIR"
        );
    }
    if arguments.format == Format::Text && !others.is_empty() {
        let beside = match own.len() {
            0 => String::new(),
            own => format!("the {own} assets of ASSETS and "),
        };
        let rest = match own.len() {
            0 => format!("{} assets", others.len()),
            _ => format!("{} others", others.len()),
        };
        say(&format!(
            "Checking the training template with {beside}the catalogue's {rest}"
        ))?;
    }
    refuse_paths(others.iter().map(|asset| &*asset.ticker))?;
    let folder = arguments.assets.as_deref();
    let examination = Examination::begin(folder, Some(template), &others);
    let contents = get_prices(store, examination.others()).await?;
    Ok(examination.end(&Elsewhere {
        place: format!("s3://{}/assets/", store.bucket),
        contents,
    }))
}

/// The price files of assets of the catalogue, by ticker.
async fn get_prices(
    store: &Store,
    tickers: Vec<String>,
) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let store = Arc::new(store.clone());
    several(tickers, |ticker| {
        let store = Arc::clone(&store);
        async move {
            let content = store.price_file(&ticker).await?;
            Ok((ticker, content))
        }
    })
    .await
    .map(|found| found.into_iter().collect())
}

/// Stores price files of a folder; gives the tickers, in order.
async fn put_assets(
    store: &Store,
    folder: &Path,
    files: Vec<PriceFile>,
    before: &BTreeMap<String, AssetRow>,
) -> anyhow::Result<Vec<String>> {
    let (store, folder) = (Arc::new(store.clone()), Arc::new(folder.to_owned()));
    let mut tickers = several(files, |file| {
        let (store, folder) = (Arc::clone(&store), Arc::clone(&folder));
        let row = row(&file, before.get(&file.ticker));
        async move {
            let path = folder.join(below::file_name(&file.file)?);
            let content = bounded::read(&path, bounded::LARGEST_PRICES)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            store.put_asset(&row, content).await?;
            Ok(file.ticker)
        }
    })
    .await?;
    tickers.sort_unstable();
    Ok(tickers)
}

/// Does something for each, some at once.
async fn several<A, B, F>(all: Vec<A>, work: impl Fn(A) -> F) -> anyhow::Result<Vec<B>>
where
    B: Send + 'static,
    F: Future<Output = anyhow::Result<B>> + Send + 'static,
{
    let mut waiting = all.into_iter();
    let mut running: JoinSet<F::Output> = JoinSet::new();
    let mut done = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(one) = waiting.next()
        {
            running.spawn(work(one));
        }
        match running.join_next().await {
            Some(ended) => done.push(ended??),
            None => return Ok(done),
        }
    }
}

/// The catalogue's entry of a price file that could be read. Class and description that the folder does not
/// give stay as they were `before`: new prices say nothing of them.
fn row(file: &PriceFile, before: Option<&AssetRow>) -> AssetRow {
    let given = |text: &String| !text.is_empty() && text != UNCLASSIFIED;
    let kept = |of: fn(&AssetRow) -> &Option<String>| before.and_then(|row| of(row).clone());
    let class = Some(file.asset_class.clone()).filter(given);
    let description = Some(file.description.clone()).filter(given);
    AssetRow {
        id: file.ticker.clone(),
        ticker: file.ticker.clone(),
        class: class
            .or_else(|| kept(|row| &row.class))
            .or_else(|| Some(file.asset_class.clone())),
        description: description
            .or_else(|| kept(|row| &row.description))
            .or_else(|| Some(file.description.clone())),
        start_date: file.first_date.clone(),
        end_date: file.last_date.clone(),
        data_rows: file.prices.and_then(|prices| u64::try_from(prices).ok()),
        bucket_key: Some(key(&file.ticker)),
    }
}

/// What an import leaves in the catalogue, as sentences: it adds, and takes nothing away.
fn after_import(before: &[&str], imported: &[String]) -> Vec<String> {
    let new: BTreeSet<&str> = imported.iter().map(String::as_str).collect();
    let others = before
        .iter()
        .copied()
        .filter(|ticker| !new.contains(ticker));
    let others: Vec<&str> = others.collect::<BTreeSet<_>>().into_iter().collect();
    let mut sentences = vec![format!(
        "The catalogue has {} assets now.",
        others.len() + new.len()
    )];
    // An import of a training template alone was not to bring any.
    if !others.is_empty() && !new.is_empty() {
        sentences.push(format!(
            "{} of them were there before and are not in this import: {}. A template with baseAssets \"all\" takes \
             them all; `pipewright data remove TICKER` takes assets out.",
            others.len(),
            first_of(&others, LISTED)
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickers_that_differ_in_capital_letters_alone_are_refused() {
        let file = |ticker: &str| PriceFile {
            ticker: ticker.to_owned(),
            ..PriceFile::default()
        };
        let faults = alike(
            ["AAPL", "XOM"].into_iter(),
            &[file("aapl"), file("XOM"), file("zz"), file("ZZ")],
        );
        let begin = |fault: &String| fault.split(" differ").next().unwrap().to_owned();
        assert_eq!(
            faults.iter().map(begin).collect::<Vec<_>>(),
            ["the tickers AAPL and aapl", "the tickers zz and ZZ"]
        );
    }

    #[test]
    fn class_and_description_stay_where_the_folder_gives_none() {
        let mut file = PriceFile {
            ticker: "XOM".to_owned(),
            asset_class: UNCLASSIFIED.to_owned(),
            ..PriceFile::default()
        };
        let mut before = row(&file, None);
        assert_eq!(before.class.as_deref(), Some(UNCLASSIFIED));
        before.class = Some("Energy".to_owned());
        before.description = Some("Exxon".to_owned());
        let after = row(&file, Some(&before));
        assert_eq!(after.class.as_deref(), Some("Energy"));
        assert_eq!(after.description.as_deref(), Some("Exxon"));
        file.asset_class = "Oil".to_owned();
        assert_eq!(row(&file, Some(&before)).class.as_deref(), Some("Oil"));
    }

    #[test]
    fn an_import_says_what_else_the_catalogue_has() {
        let imported =
            |tickers: &[&str]| tickers.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            after_import(&["A"], &imported(&["A", "B"])),
            ["The catalogue has 2 assets now."]
        );
        let before = ["X0", "X1", "X2", "X3", "X4", "X5", "X6"];
        let sentences = after_import(&before, &imported(&["X0", "B"]));
        assert!(sentences[0].contains("8 assets"));
        assert!(sentences[1].starts_with("6 of them were there before"));
        assert!(sentences[1].contains("X1, X2, X3, X4, X5 and 1 more"));
        assert!(sentences[1].contains("baseAssets \"all\""));
        // A training template alone brings no assets, and none were to come.
        assert_eq!(
            after_import(&["A"], &[]),
            ["The catalogue has 1 assets now."]
        );
    }
}
