//! Feature engineering: from closing prices to features and DeepAR's files.
//!
//! [`assets_needed`] tells which assets a training template needs,
//! [`read_prices`] reads each one's file, and [`run`] makes the features. The
//! [`FeatureSet`] it returns writes the files. Nothing here does I/O but with
//! the writer passed in, and the same input gives the same bytes for any number
//! of threads.
//!
//! # Look-ahead
//! A column that is not fitted depends, at each row, on prices up to that row
//! only; the one exception is the low-pass of mode `global`, which says so. A
//! fitted stage learns from its training rows, which always end before
//! `endTraining`; after them its columns depend on those rows and on prices up
//! to each row.

pub mod arima;
pub mod autoencoder;
mod columns;
mod deepar;
mod encoding;
mod error;
pub mod importance;
pub mod indicators;
mod input;
pub mod low_pass;
mod parallel;
#[cfg(feature = "plots")]
pub mod plots;
mod ranking;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use serde::{Serialize, Serializer};
use time::Date;

pub use columns::{Column, ColumnKind};
pub use deepar::LeftOut;
pub use encoding::AutoencoderReport;
pub use error::{FeatureError, LastWindow, PriceFault, PriceFileError, TooFewRows};
pub use input::{CatalogueAsset, Limit, PriceSeries, assets_needed, read_prices};

pub use ranking::{ClassImportance, FeatureImportance, Importance};

use crate::training_template::{Calendar, FftMode, TrainingTemplate};
use columns::ColumnText;

/// The least number of common rows, whatever the settings.
const LEAST_ROWS: usize = 60;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Joining the prices by date.
    Merge,
    /// Bollinger bands, RSI and SMA.
    Indicators,
    /// ARIMA predictions.
    Arima,
    /// Low-pass filtered prices.
    LowPass,
    /// Which features go with the predicted asset.
    Importance,
    /// The autoencoder's columns.
    Autoencoder,
    /// Laying out and formatting DeepAR's files.
    DeepAr,
}

impl Stage {
    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Indicators => "ta",
            Self::Arima => "arima",
            Self::LowPass => "fft",
            Self::Importance => "importance",
            Self::Autoencoder => "autoencoder",
            Self::DeepAr => "deepar",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merging prices",
            Self::Indicators => "technical indicators",
            Self::Arima => "ARIMA",
            Self::LowPass => "Fourier low-pass",
            Self::Importance => "feature importance",
            Self::Autoencoder => "autoencoder",
            Self::DeepAr => "DeepAR files",
        })
    }
}

/// What [`run`] tells while it works, always from the caller's thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A stage begins; `text` says on what.
    Started {
        /// The stage.
        stage: Stage,
        /// A sentence for a log.
        text: String,
    },
    /// `done` of `total` units of a stage are done.
    Advanced {
        /// The stage.
        stage: Stage,
        /// Units done.
        done: usize,
        /// Units in all.
        total: usize,
    },
    /// A stage ended; `text` says with what.
    Finished {
        /// The stage.
        stage: Stage,
        /// A sentence for a log.
        text: String,
    },
    /// Something doubtful; it is in the summary as well.
    Warning(String),
}

/// How [`run_with`] works; nothing here changes the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads to use.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    /// As many threads as the machine runs at once.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// The features of a template, ready to be written.
#[derive(Debug)]
pub struct FeatureSet {
    dates: Vec<Date>,
    columns: Vec<Column>,
    importance: Option<Importance>,
    plan: deepar::Plan,
    calendar: Calendar,
    summary: Summary,
    threads: usize,
    texts: OnceLock<Vec<ColumnText>>,
}

/// What was made, for a person and for the execution's record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Assets joined.
    pub assets: usize,
    /// Rows of `features.csv`: dates common to all assets.
    pub rows: usize,
    /// Columns of `features.csv` beside the date.
    pub columns: usize,
    /// Columns offered to DeepAR: `train_series` and those left out.
    pub series: usize,
    /// Lines of the training file.
    pub train_series: usize,
    /// Values in the training file, missing ones not counted.
    pub train_values: usize,
    /// Lines of the test file: `train_series` for each test window.
    pub test_records: usize,
    /// First common date.
    #[serde(serialize_with = "as_text")]
    pub first_date: Date,
    /// Last common date.
    #[serde(serialize_with = "as_text")]
    pub last_date: Date,
    /// The asset without which most rows would be gained; absent when all
    /// assets have the same dates.
    pub limiting_asset: Option<String>,
    /// The rows that leaving it out would gain.
    pub limiting_asset_rows: usize,
    /// For each test window, the days on which there are prices.
    pub observed_days: Vec<usize>,
    /// How well the autoencoder reproduces its inputs; absent when it is off.
    pub autoencoder: Option<AutoencoderReport>,
    /// What was doubtful.
    pub warnings: Vec<String>,
    /// Columns that are in neither DeepAR file.
    pub left_out: Vec<LeftOut>,
}

fn as_text<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&deepar::date_text(*date))
}

/// Makes the features of `template` from the prices of the assets that
/// [`assets_needed`] named (in any order), with the machine's threads.
///
/// # Errors
/// See [`FeatureError`].
pub fn run(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    progress: &mut dyn FnMut(Progress),
) -> Result<FeatureSet, FeatureError> {
    run_with(template, assets, Options::default(), progress)
}

/// [`run`] with a choice of options.
///
/// # Errors
/// See [`FeatureError`].
pub fn run_with(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<FeatureSet, FeatureError> {
    let threads = options.threads.get();
    let (assets, series) = in_order(template, assets)?;
    let mut warnings = template.warnings();
    for one in &series {
        warnings.extend(one.warnings.iter().cloned());
    }
    for warning in &warnings {
        progress(Progress::Warning(warning.clone()));
    }

    let stage = Stage::Merge;
    started(
        progress,
        stage,
        format!("joining {} assets by date", series.len()),
    );
    let panel = input::join(&series);
    drop(series);
    let (Some(first_date), Some(last_date)) = (panel.dates.first(), panel.dates.last()) else {
        return Err(too_few_rows(template, panel));
    };
    let (first_date, last_date) = (*first_date, *last_date);
    if panel.dates.len() < rows_needed(template).0 {
        return Err(too_few_rows(template, panel));
    }
    let input::Panel {
        dates,
        prices,
        limiting,
        ..
    } = panel;
    let limit = match &limiting {
        None => "all assets have the same dates".to_owned(),
        Some(limit) => format!("{} limits them and costs {} rows", limit.ticker, limit.rows),
    };
    finished(
        progress,
        stage,
        format!(
            "{} common dates, {first_date} to {last_date}; {limit}",
            dates.len()
        ),
    );

    let mut columns = Vec::new();
    let mut made = indicator_columns(template, &assets, &prices, threads, progress);
    made.extend(arima_columns(
        template,
        &assets,
        &dates,
        &prices,
        threads,
        &mut warnings,
        progress,
    )?);
    made.extend(low_pass_columns(
        template, &assets, &prices, threads, progress,
    )?);
    let tickers = assets.iter().map(|asset| asset.ticker.as_str());
    columns.extend(
        tickers
            .zip(prices)
            .map(|(ticker, prices)| Column::new(ticker, ColumnKind::Price, prices)),
    );
    columns.append(&mut made);
    check_names(&columns)?;
    let importance = rank(
        template,
        &assets,
        &dates,
        &columns,
        threads,
        &mut warnings,
        progress,
    );
    let report = encode(
        template,
        &dates,
        &mut columns,
        threads,
        &mut warnings,
        progress,
    )?;

    let stage = Stage::DeepAr;
    let calendar = template.deepar.calendar;
    started(
        progress,
        stage,
        format!(
            "laying out {} series, {} calendar",
            columns.len(),
            calendar.name()
        ),
    );
    let plan = deepar::Plan::new(&template.deepar, &dates, &columns)?;
    finished(
        progress,
        stage,
        format!(
            "{} training series with {} values, {} test records, {} columns left out",
            plan.series.len(),
            plan.training_values,
            plan.test_records(),
            plan.left_out.len()
        ),
    );
    let summary = Summary {
        assets: assets.len(),
        rows: dates.len(),
        columns: columns.len(),
        series: columns.len(),
        train_series: plan.series.len(),
        train_values: plan.training_values,
        test_records: plan.test_records(),
        first_date,
        last_date,
        limiting_asset: limiting.as_ref().map(|limit| limit.ticker.clone()),
        limiting_asset_rows: limiting.as_ref().map_or(0, |limit| limit.rows),
        observed_days: plan.observed_days.clone(),
        autoencoder: report,
        warnings,
        left_out: plan.left_out.clone(),
    };
    Ok(FeatureSet {
        dates,
        columns,
        importance,
        plan,
        calendar,
        summary,
        threads,
        texts: OnceLock::new(),
    })
}

fn started(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Started { stage, text });
}

fn finished(progress: &mut dyn FnMut(Progress), stage: Stage, text: String) {
    progress(Progress::Finished { stage, text });
}

/// The assets by ticker in byte order, once each, all that settings name.
fn in_order(
    template: &TrainingTemplate,
    mut assets: Vec<(CatalogueAsset, PriceSeries)>,
) -> Result<(Vec<CatalogueAsset>, Vec<PriceSeries>), FeatureError> {
    assets.sort_by(|a, b| a.0.ticker.cmp(&b.0.ticker));
    if let Some(pair) = assets
        .windows(2)
        .find(|pair| pair[0].0.ticker == pair[1].0.ticker)
    {
        return Err(FeatureError::RepeatedAsset(pair[0].0.ticker.clone()));
    }
    for (setting, ticker) in input::named_assets(template) {
        if assets
            .binary_search_by(|(asset, _)| asset.ticker.as_str().cmp(ticker))
            .is_err()
        {
            return Err(FeatureError::MissingPrices {
                setting,
                ticker: ticker.to_owned(),
            });
        }
    }
    Ok(assets.into_iter().unzip())
}

/// The least number of common rows, and why.
fn rows_needed(template: &TrainingTemplate) -> (usize, String) {
    let features = &template.features;
    let mut warm_up = (0, "no warm-up".to_owned());
    let mut at_least = |rows: usize, text: &dyn Fn() -> String| {
        if rows > warm_up.0 {
            warm_up = (rows, text());
        }
    };
    let ta = &features.indicators;
    if ta.enabled && !ta.assets.is_empty() {
        for (name, window) in [
            ("bollingerBand.window", ta.bollinger_window),
            ("rsi.window", ta.rsi_window),
            ("sma.window", ta.sma_window),
        ] {
            at_least(window - 1, &|| {
                format!("{} rows of warm-up for {name} {window}", window - 1)
            });
        }
    }
    let fft = &features.fft;
    if fft.enabled {
        for bins in &fft.steps {
            match fft.mode {
                FftMode::Global => {}
                FftMode::Expanding(_) => {
                    let rows = low_pass::first_complete(*bins);
                    at_least(rows, &|| {
                        format!("{rows} rows of warm-up for num_steps {bins}")
                    });
                }
            }
        }
    }
    let deepar = &template.deepar;
    let held_out = deepar.prediction_length.saturating_mul(deepar.test_windows);
    let needed = warm_up.0.saturating_add(held_out);
    if needed < LEAST_ROWS {
        (LEAST_ROWS, "the least that is accepted".to_owned())
    } else {
        let reason = format!(
            "{} and {} test windows of {}",
            warm_up.1, deepar.test_windows, deepar.prediction_length
        );
        (needed, reason)
    }
}

fn too_few_rows(template: &TrainingTemplate, panel: input::Panel) -> FeatureError {
    let (needed, reason) = rows_needed(template);
    FeatureError::TooFewRows(Box::new(TooFewRows {
        rows: panel.dates.len(),
        needed,
        reason,
        common: panel
            .dates
            .first()
            .copied()
            .zip(panel.dates.last().copied()),
        limiting: panel.limiting.map(|limit| (limit.ticker, limit.rows)),
        ranges: panel.ranges,
    }))
}

fn check_names(columns: &[Column]) -> Result<(), FeatureError> {
    let mut names = HashSet::from(["Date"]);
    match columns.iter().find(|column| !names.insert(&column.name)) {
        Some(column) => Err(FeatureError::RepeatedColumn(column.name.clone())),
        None => Ok(()),
    }
}

/// The assets (their positions) for which `wanted` holds.
fn positions(assets: &[CatalogueAsset], wanted: impl Fn(&CatalogueAsset) -> bool) -> Vec<usize> {
    (0..assets.len()).filter(|i| wanted(&assets[*i])).collect()
}

fn indicator_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    prices: &[Vec<f64>],
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Vec<Column> {
    let settings = &template.features.indicators;
    if !settings.enabled {
        return Vec::new();
    }
    let stage = Stage::Indicators;
    let chosen = positions(assets, |asset| settings.assets.contains(&asset.ticker));
    started(
        progress,
        stage,
        format!(
            "Bollinger bands ({}, {}), RSI ({}) and SMA ({}) of {} assets",
            settings.bollinger_window,
            settings.bollinger_deviations,
            settings.rsi_window,
            settings.sma_window,
            chosen.len()
        ),
    );
    let columns = parallel::map(
        chosen.len(),
        threads,
        |i| {
            let ticker = assets[chosen[i]].ticker.as_str();
            let prices = &prices[chosen[i]];
            let bands = indicators::bollinger(
                prices,
                settings.bollinger_window,
                settings.bollinger_deviations,
            );
            [
                (ColumnKind::BollingerUpper, bands.upper),
                (ColumnKind::BollingerLower, bands.lower),
                (ColumnKind::BollingerMiddle, bands.middle),
                (
                    ColumnKind::Rsi,
                    indicators::rsi(prices, settings.rsi_window),
                ),
                (
                    ColumnKind::Sma,
                    indicators::sma(prices, settings.sma_window),
                ),
            ]
            .map(|(kind, values)| Column::new(ticker, kind, values))
        },
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    );
    let columns: Vec<Column> = columns.into_iter().flatten().collect();
    finished(progress, stage, format!("{} columns", columns.len()));
    columns
}

/// Rows that a stage may learn from: its share of all rows, but none from
/// `endTraining` on.
fn training_rows(template: &TrainingTemplate, dates: &[Date], share: f64) -> usize {
    let end = template.deepar.end_training;
    share_of(dates.len(), share).min(dates.partition_point(|date| *date < end))
}

/// `floor(share * rows)`, safe from a product just below a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a row count lies within it"
)]
fn share_of(rows: usize, share: f64) -> usize {
    (share * rows as f64 + 1e-9).floor() as usize
}

fn arima_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    dates: &[Date],
    prices: &[Vec<f64>],
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Column>, FeatureError> {
    let settings = &template.features.arima;
    if !settings.enabled {
        return Ok(Vec::new());
    }
    let stage = Stage::Arima;
    let chosen = positions(assets, |asset| settings.assets.contains(&asset.ticker));
    let rows = training_rows(template, dates, settings.train_set_size);
    let (p, d, q) = settings.order;
    started(
        progress,
        stage,
        format!(
            "ARIMA({p},{d},{q}) of {} assets, fitted to the first {rows} rows",
            chosen.len()
        ),
    );
    let results = parallel::map(
        chosen.len(),
        threads,
        |i| {
            let prices = &prices[chosen[i]];
            arima::Arima::fit(&prices[..rows], p).map(|fit| (fit.predict(prices), fit))
        },
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    );
    let mut columns = Vec::with_capacity(chosen.len());
    for (asset, result) in chosen.iter().zip(results) {
        let ticker = assets[*asset].ticker.as_str();
        let (values, fit) = result.map_err(|source| FeatureError::Arima {
            ticker: ticker.to_owned(),
            end_training: template.deepar.end_training,
            source,
        })?;
        let doubt = match fit.constant_change() {
            Some(change) => Some(format!(
                "ARIMA of {ticker}: every change of the training rows is {change}, so the predictions add it to the day before"
            )),
            None if !fit.converged() => Some(format!(
                "ARIMA of {ticker}: the fit did not reach its tolerance; its predictions are those of the best model found"
            )),
            None => None,
        };
        if let Some(doubt) = doubt {
            progress(Progress::Warning(doubt.clone()));
            warnings.push(doubt);
        }
        columns.push(Column::new(ticker, ColumnKind::Arima, values));
    }
    finished(progress, stage, format!("{} columns", columns.len()));
    Ok(columns)
}

fn rank(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    dates: &[Date],
    columns: &[Column],
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Option<Importance> {
    let stage = Stage::Importance;
    let target = template.predicted_asset.as_str();
    started(
        progress,
        stage,
        format!("which features go with {target} on the same day"),
    );
    let training_end = training_rows(template, dates, 1.0);
    match ranking::rank(target, assets, dates, columns, training_end, threads) {
        Ok(importance) => {
            let first = importance.features.first();
            let most = first.map_or_else(String::new, |most| {
                format!(
                    "; most important is {} with {:.1} % of the mean gain",
                    most.column,
                    100.0 * most.importance
                )
            });
            finished(
                progress,
                stage,
                format!(
                    "{} features ranked on {} rows{most}",
                    importance.features.len(),
                    importance.rows
                ),
            );
            Some(importance)
        }
        Err(doubt) => {
            progress(Progress::Warning(doubt.clone()));
            warnings.push(doubt);
            None
        }
    }
}

/// Adds the autoencoder's columns.
fn encode(
    template: &TrainingTemplate,
    dates: &[Date],
    columns: &mut Vec<Column>,
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<AutoencoderReport>, FeatureError> {
    /// Share of later cells beyond the training range that is worth a warning:
    /// a sigmoid can't follow them.
    const MUCH_OUT_OF_RANGE: f64 = 0.2;
    let settings = &template.features.autoencoder;
    if !settings.enabled {
        return Ok(None);
    }
    let stage = Stage::Autoencoder;
    let training_end = (share_of(dates.len(), 0.7) + 1).min(training_rows(template, dates, 1.0));
    started(
        progress,
        stage,
        format!(
            "{} epochs, batches of {}, rows before row {training_end}",
            settings.epochs, settings.batch_size
        ),
    );
    let encoding::Encoded {
        units,
        report,
        not_finite,
    } = encoding::encode(
        settings,
        &template.predicted_asset,
        columns,
        training_end,
        threads,
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    )
    .map_err(FeatureError::Autoencoder)?;
    if report.out_of_range > MUCH_OUT_OF_RANGE {
        warnings.push(format!(
            "autoencoder: {:.1} % of the later cells lie outside the range of the training rows, which its output can't follow",
            100.0 * report.out_of_range
        ));
        progress(Progress::Warning(warnings[warnings.len() - 1].clone()));
    }
    if not_finite > 0 {
        warnings.push(format!(
            "autoencoder: the output of {not_finite} rows is not finite and was left missing"
        ));
        progress(Progress::Warning(warnings[warnings.len() - 1].clone()));
    }
    let units = units.into_iter().enumerate();
    columns.extend(units.map(|(unit, values)| Column::unit(unit, values)));
    check_names(columns)?;
    finished(
        progress,
        stage,
        format!(
            "{} columns; mean squared error {:.3e} on {} training rows, {:.3e} on {} later ones, {:.1} % of later cells out of range",
            report.inputs,
            report.training_error,
            report.training_rows,
            report.later_error,
            report.later_rows,
            100.0 * report.out_of_range
        ),
    );
    Ok(Some(report))
}

fn low_pass_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    prices: &[Vec<f64>],
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Column>, FeatureError> {
    let settings = &template.features.fft;
    if !settings.enabled {
        return Ok(Vec::new());
    }
    let stage = Stage::LowPass;
    let chosen = positions(assets, |asset| {
        settings.asset_classes.contains(&asset.class)
    });
    let mode = match settings.mode {
        FftMode::Global => "global (each value depends on later prices)",
        FftMode::Expanding(_) => "expanding",
    };
    started(
        progress,
        stage,
        format!(
            "{mode}, steps {:?} of {} assets",
            settings.steps,
            chosen.len()
        ),
    );
    let chosen_prices: Vec<&[f64]> = chosen.iter().map(|i| prices[*i].as_slice()).collect();
    let mut advanced = |done, total| progress(Progress::Advanced { stage, done, total });
    let values: Vec<Vec<Vec<f64>>> = match settings.mode {
        FftMode::Expanding(edge) => low_pass::expanding(
            &chosen_prices,
            &settings.steps,
            edge,
            threads,
            &mut advanced,
        )?,
        FftMode::Global => parallel::map(
            chosen.len(),
            threads,
            |i| {
                let steps = settings.steps.iter();
                steps
                    .map(|bins| low_pass::global(chosen_prices[i], *bins))
                    .collect::<Result<Vec<_>, _>>()
            },
            &mut advanced,
        )
        .into_iter()
        .collect::<Result<_, _>>()?,
    };
    let mut columns = Vec::with_capacity(chosen.len() * settings.steps.len());
    for (asset, values) in chosen.iter().zip(values) {
        for (bins, values) in settings.steps.iter().zip(values) {
            let kind = ColumnKind::LowPass { bins: *bins };
            columns.push(Column::new(&assets[*asset].ticker, kind, values));
        }
    }
    finished(progress, stage, format!("{} columns", columns.len()));
    Ok(columns)
}

impl FeatureSet {
    /// The dates of the rows, ascending.
    pub fn dates(&self) -> &[Date] {
        &self.dates
    }

    /// The columns beside the date, in the order of `features.csv`.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What was made.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How much each feature goes with the predicted asset's price; absent, with
    /// a warning in the summary, where too few rows have a value in every column.
    pub fn importance(&self) -> Option<&Importance> {
        self.importance.as_ref()
    }

    /// Writes `features.csv`: the date and each column, a missing value as an
    /// empty cell.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_features_csv(&self, out: &mut impl Write) -> io::Result<()> {
        const FLUSH_AT: usize = 1 << 16;
        let texts = self.texts();
        let mut buffer: Vec<u8> = b"Date".to_vec();
        for column in &self.columns {
            buffer.push(b',');
            append_heading(&mut buffer, &column.name);
        }
        buffer.push(b'\n');
        let mut positions = vec![0_usize; texts.len()];
        for (row, date) in self.dates.iter().enumerate() {
            buffer.extend_from_slice(deepar::date_text(*date).as_bytes());
            for (text, position) in texts.iter().zip(&mut positions) {
                let cell = text.cell_at(row, *position);
                *position += cell.len();
                buffer.push(b',');
                buffer.extend_from_slice(cell);
            }
            buffer.push(b'\n');
            if buffer.len() >= FLUSH_AT {
                out.write_all(&buffer)?;
                buffer.clear();
            }
        }
        out.write_all(&buffer)?;
        out.flush()
    }

    /// Writes DeepAR's training file (JSON Lines), one series a line.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_train(&self, out: &mut impl Write) -> io::Result<()> {
        self.plan.write_train(out, &self.dates, self.texts())?;
        out.flush()
    }

    /// Writes DeepAR's test file (JSON Lines): for each test window all series,
    /// from their start to the window's end.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_test(&self, out: &mut impl Write) -> io::Result<()> {
        self.plan.write_test(out, &self.dates, self.texts())?;
        out.flush()
    }

    /// What the lines of the training file are, since they carry no names: a
    /// list with, for each, `line` (from 1), `column`, `asset`, `start`,
    /// `length` (points in training), `nulls` (those without a value),
    /// `calendar`, and `firstForecast`, the date of the first point after
    /// training. Line i of each test window is the same column.
    pub fn series_map(&self) -> serde_json::Value {
        let entries = self.plan.series.iter().enumerate().map(|(i, series)| {
            let column = &self.columns[series.column];
            serde_json::json!({
                "line": i + 1,
                "column": column.name,
                "asset": column.asset,
                "start": deepar::date_text(self.dates[series.first_row]),
                "length": series.points,
                "nulls": series.nulls,
                "calendar": self.calendar.name(),
                "firstForecast": deepar::date_text(self.plan.first_forecast),
            })
        });
        entries.collect()
    }

    /// The cells of all columns, formatted at the first call.
    fn texts(&self) -> &[ColumnText] {
        self.texts.get_or_init(|| {
            parallel::map(
                self.columns.len(),
                self.threads,
                |i| ColumnText::new(&self.columns[i].values),
                &mut |_, _| (),
            )
        })
    }
}

/// A heading of a CSV file, quoted where it must be.
fn append_heading(out: &mut Vec<u8>, name: &str) {
    if name.contains([',', '"', '\n', '\r']) {
        out.push(b'"');
        out.extend_from_slice(name.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(name.as_bytes());
    }
}
