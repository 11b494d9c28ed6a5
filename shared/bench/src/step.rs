//! The whole step on local files, and the writing of DeepAR's files alone.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pipewright::features::plots::plots;
use pipewright::features::{
    CatalogueAsset, FeatureSet, Options, assets_needed, describe, read_prices, run_with,
};
use pipewright::training_template::TrainingTemplate;
use serde_json::{Value, json};

use crate::meter::Measured;

#[derive(clap::Args)]
pub(crate) struct Files {
    /// The folder of price files, with `assets.csv`.
    #[arg(long)]
    data: PathBuf,
    /// The training template.
    #[arg(long)]
    template: PathBuf,
    /// Where to write.
    #[arg(long)]
    out: PathBuf,
    /// Draw the plots as well.
    #[arg(long)]
    plots: bool,
}

/// Everything between price files and written outputs.
pub(crate) fn step(files: &Files, threads: NonZeroUsize) -> Result<Measured> {
    Measured::of(|| {
        let (set, assets, target) = make(files, threads)?;
        let out = |name: &str| create(&files.out, name);
        set.write_features_csv(&mut out("features/features.csv")?)?;
        let pretty = |name: &str, value: &Value| -> Result<()> {
            let mut file = out(name)?;
            serde_json::to_writer_pretty(&mut file, value)?;
            Ok(file.flush()?)
        };
        pretty("features/series.json", &set.series_map())?;
        pretty(
            "features/summary.json",
            &serde_json::to_value(set.summary())?,
        )?;
        if let Some(baselines) = set.baselines() {
            pretty("features/baselines.json", &serde_json::to_value(baselines)?)?;
        }
        if let Some(importance) = set.importance() {
            pretty(
                "features/importance.json",
                &serde_json::to_value(importance)?,
            )?;
        }
        write_series(&set, &files.out)?;
        let mut pictures = 0;
        if files.plots {
            for plot in plots(&assets, &target, &set) {
                out(&format!("plots/{}", plot.name()))?.write_all(&plot.png()?)?;
                pictures += 1;
            }
        }
        let summary = set.summary();
        Ok(json!({
            "rows": summary.rows,
            "columns": summary.columns,
            "checks": [summary.train_series, summary.train_values, summary.test_records],
            "plots": pictures,
        }))
    })
}

/// What each column is, in `columns.json`.
pub(crate) fn columns(files: &Files) -> Result<Measured> {
    let (template, assets) = settings(files)?;
    Measured::of(|| {
        let columns = describe(&template, Some(&assets))
            .into_iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "asset": column.asset,
                    "stage": column.stage,
                    "isPriceLike": column.is_price_like,
                })
            });
        let columns: Vec<Value> = columns.collect();
        let mut out = create(&files.out, "columns.json")?;
        serde_json::to_writer_pretty(&mut out, &columns)?;
        out.flush()?;
        Ok(json!({ "columns": columns.len() }))
    })
}

/// DeepAR's files of features that are already made.
pub(crate) fn deepar(files: &Files, threads: NonZeroUsize) -> Result<Measured> {
    let (set, ..) = make(files, threads)?;
    Measured::of(|| {
        write_series(&set, &files.out)?;
        let summary = set.summary();
        Ok(json!({
            "checks": [summary.train_series, summary.train_values, summary.test_records],
        }))
    })
}

fn write_series(set: &FeatureSet, out: &Path) -> Result<()> {
    set.write_train(&mut create(out, "train/train.json")?)?;
    set.write_test(&mut create(out, "test/test.json")?)?;
    Ok(())
}

fn create(folder: &Path, name: &str) -> Result<BufWriter<File>> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// The features, the assets they come from and the predicted one.
fn make(files: &Files, threads: NonZeroUsize) -> Result<(FeatureSet, Vec<CatalogueAsset>, String)> {
    let (template, needed) = settings(files)?;
    let mut assets = Vec::with_capacity(needed.len());
    for asset in &needed {
        let name = format!("{}.csv", asset.ticker);
        let series = read_prices(&asset.ticker, &name, &read(&files.data.join(&name))?)?;
        assets.push((asset.clone(), series));
    }
    let set = run_with(
        &template,
        assets,
        Options {
            threads,
            ..Options::default()
        },
        &mut |_| (),
    )?;
    Ok((set, needed, template.predicted_asset))
}

/// The template, and the assets that it needs.
fn settings(files: &Files) -> Result<(TrainingTemplate, Vec<CatalogueAsset>)> {
    let text = read(&files.template)?;
    let template = TrainingTemplate::parse(&serde_json::from_slice(&text)?)?;
    let needed = assets_needed(&template, &catalogue(&files.data.join("assets.csv"))?)?;
    Ok((template, needed))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `ticker,assetClass,...` lines after a heading; none of ours is quoted.
fn catalogue(path: &Path) -> Result<Vec<CatalogueAsset>> {
    let text = String::from_utf8(read(path)?)?;
    text.lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let (ticker, class) = cells
                .next()
                .zip(cells.next())
                .with_context(|| format!("{}: a line has no class: {line}", path.display()))?;
            Ok(CatalogueAsset {
                ticker: ticker.to_owned(),
                class: class.to_owned(),
            })
        })
        .collect()
}
