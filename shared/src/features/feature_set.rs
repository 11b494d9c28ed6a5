//! The features of a template, ready to be written.

use std::io::{self, Write};
use std::sync::OnceLock;

use time::Date;

use super::alignment::{Filled, Table, Tables};
use super::baselines::Baselines;
use super::columns::{Column, ColumnKind, ColumnText};
use super::input::CatalogueAsset;
use super::ranking::Importance;
use super::summary::Summary;
use pipewright_matmul::parallel;

use super::deepar;
use crate::training_template::Calendar;

/// The file of prices that are not those of the rows.
pub const SERIES_PRICES: &str = "features/prices.csv";

/// The features of a template, ready to be written.
#[derive(Debug)]
pub struct FeatureSet {
    pub(super) assets: Vec<CatalogueAsset>,
    pub(super) predicted: String,
    pub(super) tables: Tables,
    /// The prices that stand on later days than their own.
    pub(super) filled: Vec<Filled>,
    pub(super) importance: Option<Importance>,
    /// Absent when the stage did not run.
    pub(super) plan: Option<deepar::Plan>,
    /// Likewise.
    pub(super) baselines: Option<Baselines>,
    /// Whether pictures are among the outputs.
    #[cfg(feature = "plots")]
    pub(super) draw: bool,
    pub(super) compress: bool,
    pub(super) calendar: Calendar,
    pub(super) summary: Summary,
    pub(super) threads: usize,
    pub(super) texts: OnceLock<Vec<ColumnText>>,
    pub(super) file_texts: OnceLock<Vec<ColumnText>>,
}

impl FeatureSet {
    /// The assets whose prices were joined, by ticker in byte order.
    pub fn assets(&self) -> &[CatalogueAsset] {
        &self.assets
    }

    /// The ticker of the predicted asset.
    pub fn predicted_asset(&self) -> &str {
        &self.predicted
    }

    /// The dates of the rows, ascending.
    pub fn dates(&self) -> &[Date] {
        &self.tables.rows.dates
    }

    /// The columns beside the date, in the order of `features.csv`.
    pub fn columns(&self) -> &[Column] {
        &self.tables.rows.columns
    }

    /// What was made.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How much each feature goes with the predicted asset's price; absent when
    /// the stage did not run and, with a warning in the summary, where too few
    /// rows have a value in every column.
    pub fn importance(&self) -> Option<&Importance> {
        self.importance.as_ref()
    }

    /// How good naive forecasts of the test windows are; absent when the stage
    /// did not run.
    pub fn baselines(&self) -> Option<&Baselines> {
        self.baselines.as_ref()
    }

    /// Writes `features.csv`: the date and each column, a missing value as an
    /// empty cell.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_features_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let names = self.columns().iter().map(|column| column.name.as_str());
        let texts: Vec<&ColumnText> = self.texts().iter().collect();
        write_csv(out, names, self.dates(), &texts)
    }

    /// Writes DeepAR's training file (JSON Lines), one series a line.
    ///
    /// # Errors
    /// Those of the writer; `Unsupported` when the stage did not run.
    pub fn write_train(&self, out: &mut impl Write) -> io::Result<()> {
        let (dates, texts) = self.file_texts();
        self.plan()?.write_train(out, dates, texts)?;
        out.flush()
    }

    /// Writes DeepAR's test file (JSON Lines): for each test window all series,
    /// from their start to the window's end.
    ///
    /// # Errors
    /// Those of the writer; `Unsupported` when the stage did not run.
    pub fn write_test(&self, out: &mut impl Write) -> io::Result<()> {
        let (dates, texts) = self.file_texts();
        self.plan()?.write_test(out, dates, texts)?;
        out.flush()
    }

    fn plan(&self) -> io::Result<&deepar::Plan> {
        self.plan.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "the stage `deepar` did not run, so there are no files of DeepAR",
            )
        })
    }

    /// What the lines of the training file are, since they carry no names: a
    /// list with, for each, `line` (from 1), `column`, `asset`, `start`,
    /// `length` (points in training), `nulls` (those without a value),
    /// `calendar`, and `firstForecast`, the date of the first point after
    /// training; where the series have other days than the rows, `prices` names the
    /// file that has them ([`FeatureSet::write_prices_csv`]). Line i of each test
    /// window is the same column. Empty when the stage did not run.
    pub fn series_map(&self) -> serde_json::Value {
        let Table { dates, columns } = self.tables.of_files();
        let series = self
            .plan
            .iter()
            .flat_map(|plan| plan.series.iter().map(move |series| (plan, series)));
        let entries = series.enumerate().map(|(i, (plan, series))| {
            let column = &columns[series.column];
            let mut entry = serde_json::json!({
                "line": i + 1,
                "column": column.name,
                "asset": column.asset,
                "start": deepar::date_text(dates[series.first_row]),
                "length": series.points,
                "nulls": series.nulls,
                "calendar": self.calendar.name(),
                "firstForecast": deepar::date_text(plan.first_forecast),
            });
            if self.tables.files.is_some() {
                entry["prices"] = SERIES_PRICES.into();
            }
            entry
        });
        entries.collect()
    }

    /// Writes `filled.csv`: for each price that stands on a later day than its
    /// own, that day, the asset, and the price's own day.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_filled_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer: Vec<u8> = b"Date,Asset,PriceDate\n".to_vec();
        for one in &self.filled {
            buffer.extend_from_slice(deepar::date_text(one.date).as_bytes());
            buffer.push(b',');
            append_heading(&mut buffer, &one.asset);
            buffer.push(b',');
            buffer.extend_from_slice(deepar::date_text(one.price_date).as_bytes());
            buffer.push(b'\n');
        }
        out.write_all(&buffer)?;
        out.flush()
    }

    /// Writes `prices.csv`: the prices of all assets on the days of DeepAR's series,
    /// each on its own day alone. There is such a file where those days are not the
    /// rows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_prices_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let (dates, texts) = self.file_texts();
        let prices = self.columns().iter().zip(texts);
        let prices = prices.filter(|(column, _)| column.kind == ColumnKind::Price);
        let (columns, texts): (Vec<&Column>, Vec<&ColumnText>) = prices.unzip();
        let names = columns.iter().map(|column| column.name.as_str());
        write_csv(out, names, dates, &texts)
    }

    /// The cells of all columns, formatted at the first call.
    fn texts(&self) -> &[ColumnText] {
        self.texts.get_or_init(|| self.formatted(self.columns()))
    }

    /// The days of DeepAR's files and the cells on them.
    fn file_texts(&self) -> (&[Date], &[ColumnText]) {
        match &self.tables.files {
            None => (self.dates(), self.texts()),
            Some(files) => {
                let texts = &self.file_texts;
                let texts = texts.get_or_init(|| self.formatted(&files.columns));
                (&files.dates, texts)
            }
        }
    }

    fn formatted(&self, columns: &[Column]) -> Vec<ColumnText> {
        parallel::map(
            columns.len(),
            self.threads,
            |i| ColumnText::new(&columns[i].values),
            &mut |_, _| (),
        )
    }
}

/// Writes the date and columns of cells under their names.
fn write_csv<'a>(
    out: &mut impl Write,
    names: impl Iterator<Item = &'a str>,
    dates: &[Date],
    texts: &[&ColumnText],
) -> io::Result<()> {
    const FLUSH_AT: usize = 1 << 16;
    let mut buffer: Vec<u8> = b"Date".to_vec();
    for name in names {
        buffer.push(b',');
        append_heading(&mut buffer, name);
    }
    buffer.push(b'\n');
    let mut positions = vec![0_usize; texts.len()];
    for (row, date) in dates.iter().enumerate() {
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
