//! What can be wrong with prices, settings and their combination.

use std::fmt;

use pipewright_forecast::faults::Faults;
use pipewright_forecast::hyperparameters::HyperparameterFault;
use thiserror::Error;
use time::Date;

use super::arima::ArimaError;
use super::deepar::Unlearnable;
use super::stages::AutoencoderFault;
use crate::training_template::{Alignment, Freq, TickerFault};
use crate::wording::first_of;

/// Why no features were made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// A setting names a ticker that the catalogue lacks.
    #[error(
        "{setting} names the asset `{ticker}`, which is not in the catalogue{}; import it or take it out",
        nearest_note(.nearest.as_deref())
    )]
    UnknownAsset {
        /// The setting's path in the template.
        setting: String,
        /// The ticker.
        ticker: String,
        /// The nearest ticker of the catalogue.
        nearest: Option<String>,
    },
    /// A setting names an asset class that no asset of the catalogue has.
    #[error(
        "{setting} names the asset class `{class}`, which no asset of the catalogue has{}",
        nearest_note(.nearest.as_deref())
    )]
    UnknownClass {
        /// The setting's path in the template.
        setting: String,
        /// The class.
        class: String,
        /// The nearest class of the catalogue.
        nearest: Option<String>,
    },
    /// A catalogue entry or a price series whose ticker can't name an asset.
    #[error(transparent)]
    Ticker(TickerFault),
    /// The same ticker was given twice.
    #[error("the asset `{0}` was given twice")]
    RepeatedAsset(String),
    /// An asset that a setting names was not among those passed in.
    #[error("the prices of `{ticker}` were not given, but {setting} names it")]
    MissingPrices {
        /// The setting's path in the template.
        setting: String,
        /// The ticker.
        ticker: String,
    },
    /// Two columns would get one name.
    #[error("two columns would be named `{0}`; rename one of the assets they come from")]
    RepeatedColumn(String),
    /// Too few dates on which all assets have a price.
    #[error("{0}")]
    TooFewRows(Box<TooFewRows>),
    /// An ARIMA model can't be fitted.
    #[error(
        "ARIMA of `{ticker}`: {source} before {end_training}; raise feMeta.arimaSettings.trainSetSize, end training later, or import older prices"
    )]
    Arima {
        /// The asset.
        ticker: String,
        /// `deepARMeta.endTraining`.
        end_training: Date,
        /// Why.
        source: ArimaError,
    },
    /// A low-pass column can't be made from so few rows.
    #[error(
        "num_steps {steps} needs at least {needed} rows, but {} {rows}; lower it",
        .asset.as_deref().map_or_else(|| "there are".to_owned(), |asset| format!("`{asset}` has"))
    )]
    LowPass {
        /// The asset that has the fewest, where assets have rows of their own.
        asset: Option<String>,
        /// The step, in frequency bins.
        steps: usize,
        /// The least number of rows that would do.
        needed: usize,
        /// The rows there are.
        rows: usize,
    },
    /// Prices end before the last test window does.
    #[error(
        "prices end on {last_date}, before the last test window does: {last_window}; {}",
        windows_advice(*.fitting)
    )]
    TestWindowsBeyondData {
        /// The last date with a price of every asset.
        last_date: Date,
        /// What the windows need.
        last_window: LastWindow,
        /// How many windows the data hold.
        fitting: usize,
    },
    /// A test window in which no asset has a price.
    #[error(
        "test window {window} ({first} to {last}) holds no price, so its forecast can't be judged; choose a longer deepARMeta.predictionLength or another endTraining"
    )]
    EmptyTestWindow {
        /// The window, counted from 1.
        window: usize,
        /// Its first day.
        first: Date,
        /// Its last day.
        last: Date,
    },
    /// The predicted asset's price is not in the files.
    #[error(
        "{column}, which is predicted, cannot be trained on: {reason}; end training later, or import other prices"
    )]
    PredictedLeftOut {
        /// Its column.
        column: String,
        /// Why.
        reason: Unlearnable,
    },
    /// Fewer training values than DeepAR accepts.
    #[error(
        "the training series hold {values} values from {start_dataset} to before {end_training}, but DeepAR needs at least {needed}; prices run from {first_date} to {last_date}{}",
        left_out_note(*.left_out)
    )]
    TooFewTrainingValues {
        /// Values over all training series, missing ones not counted.
        values: usize,
        /// DeepAR's own limit.
        needed: usize,
        /// `deepARMeta.startDataset`.
        start_dataset: Date,
        /// `deepARMeta.endTraining`.
        end_training: Date,
        /// First date with a price of every asset.
        first_date: Date,
        /// Last date with a price of every asset.
        last_date: Date,
        /// Columns left out of the files.
        left_out: usize,
    },
    /// The likelihood can't give a value that is to be learned.
    #[error("{0}")]
    Likelihood(Box<UnsuitedValue>),
    /// DeepAR's settings can't be read as its hyperparameters.
    #[error("deepARMeta: {0}")]
    Hyperparameters(Faults<HyperparameterFault>),
    /// The autoencoder has nothing to learn from.
    #[error(
        "the autoencoder can't be trained: {0}; end training later, lower num_steps and windows, or switch feMeta.autoEncoderSettings off"
    )]
    Autoencoder(AutoencoderFault),
}

fn nearest_note(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |near| format!(" (the nearest is `{near}`)"))
}

fn left_out_note(left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        1 => " (1 column was left out as short, empty or constant)".to_owned(),
        n => format!(" ({n} columns were left out as short, empty or constant)"),
    }
}

fn plain_number_note(plain: Option<&str>) -> String {
    match plain {
        Some(plain) => {
            format!("write `{plain}`: a decimal point, and nothing between groups of digits")
        }
        None => "write a decimal point, and nothing between groups of digits".to_owned(),
    }
}

fn more_note(more: usize) -> String {
    match more {
        1 => "1 more fault is".to_owned(),
        more => format!("{more} more faults are"),
    }
}

fn windows_advice(fitting: usize) -> String {
    match fitting {
        0 => "no window fits: end training earlier or import newer prices".to_owned(),
        1 => "1 window fits: set deepARMeta.testWindows to 1, end training earlier, or import newer prices".to_owned(),
        n => format!(
            "{n} windows fit: set deepARMeta.testWindows to {n}, end training earlier, or import newer prices"
        ),
    }
}

/// A value of DeepAR's files that the chosen likelihood can't give.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsuitedValue {
    /// `deepARMeta.hyperParams.likelihood`.
    pub likelihood: &'static str,
    /// The values that it is for, in words.
    pub domain: &'static str,
    /// The column.
    pub column: String,
    /// The asset that the column is made from, if it is one.
    pub asset: Option<String>,
    /// Whether the column is that asset's price.
    pub is_price: bool,
    /// The date of the first such value.
    pub date: Date,
    /// That value.
    pub value: f64,
    /// How many such values there are.
    pub values: usize,
    /// In how many columns.
    pub series: usize,
    /// The likelihoods that take all values.
    pub alternatives: Vec<&'static str>,
}

impl fmt::Display for UnsuitedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            likelihood, domain, ..
        } = self;
        write!(
            f,
            "deepARMeta.hyperParams.likelihood is {likelihood}, which is for {domain}, but "
        )?;
        match &self.asset {
            Some(asset) if self.is_price => write!(f, "the price of `{asset}`")?,
            Some(asset) => write!(f, "the column `{}`, made of `{asset}`,", self.column)?,
            None => write!(f, "the column `{}`", self.column)?,
        }
        write!(f, " is {} on {}", self.value, self.date)?;
        if self.values > 1 {
            write!(
                f,
                " (the first of {} such values in {})",
                self.values,
                pipewright_wording::count(self.series, "column")
            )?;
        }
        write!(
            f,
            "; set it to one of {}, which take all numbers",
            self.alternatives.join(", ")
        )
    }
}

/// What the test windows of [`FeatureError::TestWindowsBeyondData`] need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWindow {
    /// Daily calendar.
    Daily {
        /// `deepARMeta.endTraining`.
        end_training: Date,
        /// `deepARMeta.testWindows`.
        windows: usize,
        /// `deepARMeta.predictionLength`, points.
        prediction_length: usize,
        /// `deepARMeta.freq`.
        freq: Freq,
        /// The last window's last day.
        ends: Date,
    },
    /// Trading calendar.
    Trading {
        /// `deepARMeta.endTraining`.
        end_training: Date,
        /// `deepARMeta.testWindows`.
        windows: usize,
        /// `deepARMeta.predictionLength`, rows.
        prediction_length: usize,
        /// `deepARMeta.freq`.
        freq: Freq,
        /// Rows from `end_training` on.
        rows: usize,
    },
}

impl fmt::Display for LastWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily {
                end_training,
                windows,
                prediction_length,
                freq,
                ends,
            } => write!(
                f,
                "{windows} windows of {prediction_length} {} from {end_training} end on {ends}",
                match freq {
                    Freq::Day => "calendar days",
                    Freq::Week | Freq::Month => freq.unit().1,
                }
            ),
            Self::Trading {
                end_training,
                windows,
                prediction_length,
                freq,
                rows,
            } => {
                let points = match freq {
                    Freq::Day => "trading days",
                    Freq::Week => "weeks with a price",
                    Freq::Month => "months with a price",
                };
                write!(
                    f,
                    "{windows} windows of {prediction_length} {points} from {end_training} need {} {points}, and there are {rows}",
                    windows * prediction_length
                )
            }
        }
    }
}

/// A fault of one price file.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{file}{}, asset `{ticker}`: {fault}", line_note(*.line))]
pub struct PriceFileError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1; absent when the fault is of the whole file.
    pub line: Option<u64>,
    /// The asset the file belongs to.
    pub ticker: String,
    /// What is wrong.
    pub fault: PriceFault,
}

fn line_note(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" line {line}"))
}

/// Price files that can't be used; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceFileErrors {
    /// Where the files lie; empty where only one was given.
    pub folder: String,
    /// What is wrong, in the order of the assets, and of one in the order of the
    /// lines.
    pub faults: Vec<PriceFileError>,
    /// What is doubtful besides, about files with faults and without.
    pub warnings: Vec<String>,
}

impl std::error::Error for PriceFileErrors {}

impl PriceFileErrors {
    /// What is wrong, each in a sentence; the missing files are one.
    pub fn sentences(&self) -> Vec<String> {
        const SHOWN: usize = 20;
        let missing: Vec<String> = self
            .faults
            .iter()
            .filter(|fault| fault.fault == PriceFault::Missing)
            .map(|fault| format!("{}.csv", fault.ticker))
            .collect();
        let mut sentences = Vec::new();
        if !missing.is_empty() {
            sentences.push(format!(
                "{} has no price file for {}: import the assets, or take them out of the training template",
                self.folder,
                first_of(&missing, SHOWN)
            ));
        }
        let others = self
            .faults
            .iter()
            .filter(|fault| fault.fault != PriceFault::Missing);
        sentences.extend(others.map(ToString::to_string));
        sentences
    }
}

impl fmt::Display for PriceFileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().join("\n"))
    }
}

/// What can be wrong with a price file.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PriceFault {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The file system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Nothing but white space.
    #[error("the file is empty; it needs a heading line `Date,Close` and prices")]
    Empty,
    /// Not in UTF-8.
    #[error("the file is in {0}, not in UTF-8; save it as UTF-8")]
    Encoding(&'static str),
    /// Not text at all, such as a packed file.
    #[error("the file is {0}, not CSV; {1}")]
    NotText(&'static str, &'static str),
    /// Columns that are not parted by commas.
    #[error(
        "the columns are parted by {0}s, not by commas; save the file with commas between columns and decimal points in prices"
    )]
    Separator(&'static str),
    /// The line that tells a spreadsheet the separator.
    #[error("the first line names a separator to spreadsheets; take it out, headings come first")]
    SeparatorLine,
    /// Several heading lines, as yfinance writes them.
    #[error(
        "these are yfinance's three heading lines (`Price`, `Ticker`, `Date`); download with `multi_level_index=False`, or put one heading line, such as `Date,Close`, in their place"
    )]
    HeadingLines,
    /// As many further faults.
    #[error("{} not listed", more_note(*.0))]
    More(usize),
    /// A heading line and no prices.
    #[error("the file has no row with a price")]
    NoPrices,
    /// No recognisable columns.
    #[error(
        "found the headings {found}, but neither `Date` and `Close` nor exactly two columns; name the column of dates `Date` and that of closing prices `Close`"
    )]
    Headings {
        /// The headings found.
        found: String,
    },
    /// A heading that occurs twice.
    #[error("the heading `{0}` occurs twice")]
    RepeatedHeading(String),
    /// Data where the heading line should be.
    #[error("the first line holds data (`{0}`), not headings; put `Date,Close` above it")]
    NoHeadings(String),
    /// A row with another number of cells than the heading line.
    #[error("the row has {found} cells, the heading line {expected}")]
    Cells {
        /// Cells in the row.
        found: usize,
        /// Cells in the heading line.
        expected: usize,
    },
    /// A date that is none.
    #[error("`{0}` is not a date of the form YYYY-MM-DD")]
    Date(String),
    /// A date so far off that it is most likely mistyped.
    #[error("the year of `{0}` is not one of 1900 to 2200; correct the date, or take its row out")]
    Year(String),
    /// A date with a time.
    #[error("`{0}` has a time part; prices are daily, write YYYY-MM-DD alone")]
    Time(String),
    /// A price that is not a number.
    #[error("`{0}` is not a price; write a plain number such as 12.5, or nothing if it is missing")]
    Price(String),
    /// A word for a missing price.
    #[error("`{0}` is not a price; where one is missing, leave the cell empty")]
    NoValue(String),
    /// A price with a decimal comma, or with its digits in groups.
    #[error("`{found}` is not a plain number; {}", plain_number_note(.plain.as_deref()))]
    Punctuated {
        /// The cell.
        found: String,
        /// The number that is meant, if that is beyond doubt.
        plain: Option<String>,
    },
    /// A price that is infinite, not a number, or too large to compute with.
    #[error("the price `{0}` is not a finite number of at most 1e15")]
    PriceRange(String),
    /// A date with two prices.
    #[error("{date} occurs twice, with the prices {first} and {second}")]
    RepeatedDate {
        /// The date.
        date: Date,
        /// The price on the earlier line.
        first: f64,
        /// The price on this line.
        second: f64,
    },
    /// Not readable as CSV.
    #[error("not readable as CSV: {0}")]
    Csv(String),
}

/// Details of [`FeatureError::TooFewRows`].
#[derive(Debug, Clone, PartialEq)]
pub struct TooFewRows {
    /// `feMeta.alignment`.
    pub alignment: Alignment,
    /// Rows common to all assets; under other alignments than `common`, those on
    /// which the predicted asset has a price.
    pub rows: usize,
    /// Rows needed.
    pub needed: usize,
    /// Why that many: the longest warm-up and the test windows.
    pub reason: String,
    /// The first and the last row's date; absent without a row.
    pub common: Option<(Date, Date)>,
    /// The asset without which most rows would be gained, and how many.
    pub limiting: Option<(String, usize)>,
    /// The predicted asset, which can't be left out.
    pub predicted: String,
    /// Each asset's ticker, first date, last date and rows.
    pub ranges: Vec<(String, Date, Date, usize)>,
    /// Those of them that the template does not name: they are there because
    /// `feMeta.baseAssets` is `"all"`.
    pub joined: Vec<String>,
}

impl fmt::Display for TooFewRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alignment {
            Alignment::Common => write!(
                f,
                "only {} dates are common to all {} assets",
                self.rows,
                self.ranges.len()
            )?,
            Alignment::Predicted { .. } | Alignment::Union => write!(
                f,
                "the predicted asset `{}` has only {} days with a price",
                self.predicted, self.rows
            )?,
        }
        if let Some((first, last)) = self.common {
            write!(f, " ({first} to {last})")?;
        }
        write!(f, ", but {} are needed ({})", self.needed, self.reason)?;
        if let Some((ticker, rows)) = self.limiting.as_ref().filter(|(_, rows)| *rows > 0) {
            if *ticker == self.predicted {
                write!(
                    f,
                    "; `{ticker}`, the predicted asset, limits them: import more of its prices"
                )?;
            } else {
                write!(
                    f,
                    "; `{ticker}` limits them: without it there would be {rows} more"
                )?;
            }
        }
        f.write_str("; ranges:")?;
        for (i, (ticker, first, last, rows)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma} {ticker} {first} to {last} ({rows} rows)")?;
        }
        if !self.joined.is_empty() {
            write!(
                f,
                "; not named by the template, and there because feMeta.baseAssets is \"all\": {}. Where they are not \
                 meant, list those that are",
                self.joined.join(", ")
            )?;
        }
        Ok(())
    }
}
