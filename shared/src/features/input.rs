//! Which assets a template needs, their price files, and the join by date.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;

use serde_json::Value;
use time::{Date, Month};

use super::error::{FeatureError, PriceFault, PriceFileError, PriceFileErrors};
use super::spacing;
use crate::encoding::foreign_encoding;
use crate::nearest::nearest;
use crate::reading::Fault;
use crate::training_template::{BaseAssets, TrainingTemplate, YEARS, ticker_fault};
use crate::wording::{count, excerpt};
use pipewright_matmul::parallel;

/// The largest price in either direction: beyond it sums of squares and the
/// single precision of later stages would overflow.
const LARGEST_PRICE: f64 = 1e15;

/// The settings that name assets.
const PREDICTED: &str = "predictedAsset";
const BASE_ASSETS: &str = "feMeta.baseAssets";
const INDICATOR_ASSETS: &str = "feMeta.taSettings.assets";
const ARIMA_ASSETS: &str = "feMeta.arimaSettings.assets";

/// Those that have lists of them.
const ASSET_LISTS: [&str; 3] = [BASE_ASSETS, INDICATOR_ASSETS, ARIMA_ASSETS];

/// The setting that names classes.
const FFT_CLASSES: &str = "feMeta.fftSettings.assetClasses";

/// How many faults of a price file are told; the rest is counted.
pub const FAULTS_LISTED: usize = 20;

/// An asset of the catalogue (the assets table, or `assets.csv`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogueAsset {
    /// Ticker, also the stem of its price file's name.
    pub ticker: String,
    /// Asset class, such as `Energy`.
    pub class: String,
}

/// The closing prices of one asset, by date, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceSeries {
    /// The asset.
    pub ticker: String,
    /// Dates, ascending, each once.
    pub dates: Vec<Date>,
    /// The closing price of each date, finite.
    pub prices: Vec<f64>,
    /// Rows dropped since they had no price.
    pub dropped: usize,
    /// What was doubtful about the file; each names it.
    pub warnings: Vec<String>,
}

/// The assets whose prices a template needs: the predicted asset, the base
/// assets, those that the indicator and ARIMA settings name, and all of the
/// FFT settings' classes; each once, by ticker in byte order.
///
/// # Errors
/// A ticker or class that the catalogue lacks, a ticker that could not name a
/// file, or a ticker that the catalogue has twice.
pub fn assets_needed(
    template: &TrainingTemplate,
    catalogue: &[CatalogueAsset],
) -> Result<Vec<CatalogueAsset>, FeatureError> {
    let (needed, faults) = assets_and_faults(template, catalogue);
    match faults.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(needed),
    }
}

/// The assets that are needed and known, and everything that
/// [`assets_needed`] would refuse.
pub fn assets_and_faults(
    template: &TrainingTemplate,
    catalogue: &[CatalogueAsset],
) -> (Vec<CatalogueAsset>, Vec<FeatureError>) {
    let mut faults = Vec::new();
    let mut known: BTreeMap<&str, &CatalogueAsset> = BTreeMap::new();
    for asset in catalogue {
        if let Some(fault) = ticker_fault(&asset.ticker) {
            faults.push(FeatureError::Ticker(fault));
        } else if known.insert(&asset.ticker, asset).is_some() {
            faults.push(FeatureError::RepeatedAsset(asset.ticker.clone()));
        }
    }
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for (setting, ticker) in named_assets(template) {
        match known.get_key_value(ticker) {
            Some((ticker, _)) => {
                needed.insert(ticker);
            }
            None => faults.push(unknown_asset(setting, ticker, catalogue)),
        }
    }
    if template.features.base_assets == BaseAssets::All {
        needed.extend(known.keys());
    }
    for (i, class) in template.features.fft.asset_classes.iter().enumerate() {
        let mut found = false;
        for asset in catalogue.iter().filter(|asset| asset.class == *class) {
            found = true;
            needed.insert(&asset.ticker);
        }
        if !found {
            faults.push(unknown_class(
                format!("{FFT_CLASSES}[{i}]"),
                class,
                catalogue,
            ));
        }
    }
    let needed = needed
        .into_iter()
        .filter_map(|ticker| known.get(ticker).map(|asset| (*asset).clone()))
        .collect();
    (needed, faults)
}

/// The assets and classes that the catalogue lacks, in a document that is no
/// template because of `faults`; what those are about is left out.
pub fn unknown_names(
    document: &Value,
    faults: &[Fault],
    catalogue: &[CatalogueAsset],
) -> Vec<FeatureError> {
    let items = |path: &'static str| {
        listed_at(document, path).map(move |(i, name)| (format!("{path}[{i}]"), name))
    };
    let predicted = predicted_in(document);
    let assets = predicted
        .map(|ticker| (PREDICTED.to_owned(), ticker))
        .into_iter()
        .chain(ASSET_LISTS.into_iter().flat_map(items))
        .filter(|(_, ticker)| catalogue.iter().all(|asset| asset.ticker != *ticker))
        .map(|(setting, ticker)| unknown_asset(setting, ticker, catalogue));
    let classes = items(FFT_CLASSES)
        .filter(|(_, class)| catalogue.iter().all(|asset| asset.class != *class))
        .map(|(setting, class)| unknown_class(setting, class, catalogue));
    let told = |unknown: &FeatureError| match unknown {
        FeatureError::UnknownAsset { setting, .. } | FeatureError::UnknownClass { setting, .. } => {
            faults.iter().any(|fault| fault.path == *setting)
        }
        _ => false,
    };
    assets
        .chain(classes)
        .filter(|unknown| !told(unknown))
        .collect()
}

/// The settings of a stored training template, valid or not, that name an asset; `"all"` names
/// none.
pub fn settings_naming(document: &Value, ticker: &str) -> Vec<&'static str> {
    let predicted = (predicted_in(document) == Some(ticker)).then_some(PREDICTED);
    let lists = ASSET_LISTS
        .into_iter()
        .filter(|path| listed_at(document, path).any(|(_, name)| name == ticker));
    predicted.into_iter().chain(lists).collect()
}

fn predicted_in(document: &Value) -> Option<&str> {
    document.get(PREDICTED).and_then(Value::as_str)
}

/// The texts of a list in a document, as far as it is one, with their places in it.
fn listed_at<'a>(
    document: &'a Value,
    path: &str,
) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
    let list = document.pointer(&format!("/{}", path.replace('.', "/")));
    let items = list.and_then(Value::as_array).into_iter().flatten();
    let texts = items.enumerate();
    texts.filter_map(|(i, item)| Some((i, item.as_str()?)))
}

fn unknown_asset(setting: String, ticker: &str, catalogue: &[CatalogueAsset]) -> FeatureError {
    let tickers = catalogue.iter().map(|asset| asset.ticker.as_str());
    let tickers: BTreeSet<&str> = tickers.filter(|t| ticker_fault(t).is_none()).collect();
    FeatureError::UnknownAsset {
        setting,
        ticker: ticker.to_owned(),
        nearest: nearest(ticker, tickers).map(str::to_owned),
    }
}

fn unknown_class(setting: String, class: &str, catalogue: &[CatalogueAsset]) -> FeatureError {
    let classes: BTreeSet<&str> = catalogue.iter().map(|a| a.class.as_str()).collect();
    FeatureError::UnknownClass {
        setting,
        class: class.to_owned(),
        nearest: nearest(class, classes).map(str::to_owned),
    }
}

/// Every ticker that a setting names, with the setting's path.
pub(super) fn named_assets(template: &TrainingTemplate) -> impl Iterator<Item = (String, &str)> {
    let features = &template.features;
    let listed: &[String] = match &features.base_assets {
        BaseAssets::All => &[],
        BaseAssets::Listed(tickers) => tickers,
    };
    let lists: [(&str, &[String]); 3] = [
        (BASE_ASSETS, listed),
        (INDICATOR_ASSETS, &features.indicators.assets),
        (ARIMA_ASSETS, &features.arima.assets),
    ];
    std::iter::once((PREDICTED.to_owned(), template.predicted_asset.as_str())).chain(
        lists.into_iter().flat_map(|(path, tickers)| {
            tickers
                .iter()
                .enumerate()
                .map(move |(i, ticker)| (format!("{path}[{i}]"), ticker.as_str()))
        }),
    )
}

/// Reads a price file: CSV with a heading line, `Date` (YYYY-MM-DD) and
/// `Close` in any order and case, other columns ignored. `file` is the name
/// used in messages.
///
/// A byte order mark, CRLF, quotes and spaces around cells are read. Rows
/// without a price are dropped and counted; rows out of order are sorted, and
/// rows that say the same twice are taken once, both with a warning. Prices of
/// zero and below are prices, of futures for one, and warned of: of a share they
/// are most likely a fault of the source.
///
/// # Errors
/// The faults, each with its line, in the order of the lines: the first
/// [`FAULTS_LISTED`], then the count of the rest.
pub fn read_prices(ticker: &str, file: &str, bytes: &[u8]) -> Result<PriceSeries, PriceFileErrors> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut faults = Faults::new(ticker, file);
    let PriceRows {
        notes,
        mut rows,
        dropped,
    } = match read_rows(bytes, &mut faults) {
        Ok(read) => read,
        Err((line, fault)) => return Err(faults.with(line, fault)),
    };
    let mut warnings: Vec<String> = notes.iter().map(|note| format!("{file}: {note}")).collect();
    warnings.extend(doubtful_prices(file, bytes, &rows));
    if !rows.is_sorted_by_key(|row| row.0) {
        warnings.push(format!(
            "{file}: rows are not in the order of their dates; they were sorted"
        ));
        // Stable: of two rows of one date, the earlier line stays first.
        rows.sort_by_key(|row| row.0);
    }
    let repeated = repeated_rows(bytes, &rows, &mut faults);
    if !faults.is_empty() {
        return Err(PriceFileErrors {
            warnings,
            ..faults.all()
        });
    }
    if repeated > 0 {
        rows.dedup_by_key(|row| row.0);
        let (rows, were) = (count(repeated, "repeated row"), was_or_were(repeated));
        warnings.push(format!("{file}: {rows} {were} taken once"));
    }
    if dropped > 0 {
        let (rows, were) = (count(dropped, "row"), was_or_were(dropped));
        warnings.push(format!("{file}: {rows} without a price {were} left out"));
    }
    let dates: Vec<Date> = rows.iter().map(|row| row.0).collect();
    warnings.extend(spacing::stray_dates(&dates).map(|stray| format!("{file}: {stray}")));
    Ok(PriceSeries {
        ticker: ticker.to_owned(),
        dates,
        prices: rows.iter().map(|row| row.1).collect(),
        dropped,
        warnings,
    })
}

/// A date, its price, and where the row stands.
type PriceRow = (Date, f64, csv::Position);

/// What a price file says.
struct PriceRows {
    /// What is to be known of its columns.
    notes: Vec<String>,
    /// In the file's order.
    rows: Vec<PriceRow>,
    /// Rows without a price.
    dropped: usize,
}

/// Reads the rows, and notes what is wrong with any.
///
/// # Errors
/// A fault after which nothing can be read, with its line.
fn read_rows(
    bytes: &[u8],
    faults: &mut Faults<'_>,
) -> Result<PriceRows, (Option<u64>, PriceFault)> {
    if let Some(encoding) = foreign_encoding(bytes) {
        return Err((None, PriceFault::Encoding(encoding)));
    }
    if let Some(other) = other_form(bytes) {
        return Err(other);
    }
    let mut reader = csv_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let csv_fault = |error: csv::Error| {
        let line = error.position().map(|position| line_of(bytes, position));
        (line, PriceFault::Csv(error.to_string()))
    };
    if !reader.read_byte_record(&mut record).map_err(csv_fault)? {
        return Err((None, PriceFault::Empty));
    }
    let columns = find_columns(&record).map_err(|fault| (Some(1), fault))?;
    let (mut rows, mut dropped) = (Vec::new(), 0);
    while reader.read_byte_record(&mut record).map_err(csv_fault)? {
        let position = record.position().cloned();
        let position = position.unwrap_or_else(csv::Position::new);
        match read_row(&record, &columns) {
            Ok((date, Some(price))) => rows.push((date, price, position)),
            Ok((_, None)) => dropped += 1,
            Err(of_row) => {
                for fault in of_row {
                    faults.note(bytes, &position, fault);
                }
            }
        }
    }
    if rows.is_empty() && faults.is_empty() {
        return Err((None, PriceFault::NoPrices));
    }
    Ok(PriceRows {
        notes: columns.notes,
        rows,
        dropped,
    })
}

/// A row's date and, if its cell is not empty, its price.
fn read_row(
    record: &csv::ByteRecord,
    columns: &Columns,
) -> Result<(Date, Option<f64>), Vec<PriceFault>> {
    if record.len() != columns.count {
        let fault = decimal_comma(record, columns).unwrap_or(PriceFault::Cells {
            found: record.len(),
            expected: columns.count,
        });
        return Err(vec![fault]);
    }
    let date = read_date(&record[columns.date]);
    let price = match &record[columns.close] {
        [] => Ok(None),
        close => read_price(close).map(Some),
    };
    match (date, price) {
        (Ok(date), Ok(price)) => Ok((date, price)),
        (date, price) => Err(date.err().into_iter().chain(price.err()).collect()),
    }
}

/// How many of the rows, by date, say the same as the one before; notes those of one
/// date with another price.
fn repeated_rows(bytes: &[u8], rows: &[PriceRow], faults: &mut Faults<'_>) -> usize {
    let pairs = rows.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    #[expect(clippy::float_cmp, reason = "rows must be equal, not near")]
    let (equal, mut contradicting): (Vec<_>, Vec<_>) =
        pairs.partition(|pair| pair[0].1 == pair[1].1);
    contradicting.sort_by_key(|pair| pair[1].2.byte());
    for pair in contradicting {
        let fault = PriceFault::RepeatedDate {
            date: pair[1].0,
            first: pair[0].1,
            second: pair[1].1,
        };
        faults.note(bytes, &pair[1].2, fault);
    }
    equal.len()
}

fn csv_reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes)
}

/// What is not a table with commas and one heading line: the line where that shows,
/// and what it is, with the cure.
fn other_form(bytes: &[u8]) -> Option<(Option<u64>, PriceFault)> {
    const UNPACK: &str = "unpack it";
    const SAVE: &str = "save its sheet as CSV";
    const FORMS: [(&[u8], &str, &str); 8] = [
        (b"\x1f\x8b", "packed by gzip", UNPACK),
        (b"BZh", "packed by bzip2", UNPACK),
        (b"\xfd7zXZ\0", "packed by xz", UNPACK),
        (b"\x28\xb5\x2f\xfd", "packed by zstd", UNPACK),
        (
            b"PK\x03\x04",
            "a zip archive or a workbook",
            "unpack it, or save its sheet as CSV",
        ),
        (b"\xd0\xcf\x11\xe0", "a workbook", SAVE),
        (b"PAR1", "in Parquet", "write it as CSV"),
        (
            b"<",
            "a page of the web",
            "download the prices themselves as CSV",
        ),
    ];
    let form = FORMS.iter().find(|(begin, ..)| bytes.starts_with(begin));
    if let Some((_, what, cure)) = form {
        return Some((None, PriceFault::NotText(what, cure)));
    }
    let text = bytes.trim_ascii_start();
    let line = text.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    if line
        .get(..4)
        .is_some_and(|begin| begin.eq_ignore_ascii_case(b"sep="))
    {
        return Some((Some(1), PriceFault::SeparatorLine));
    }
    let separator = [(b';', "semicolon"), (b'\t', "tab"), (b'|', "vertical line")]
        .into_iter()
        .find(|(separator, _)| {
            let mut cells = line.split(|byte| byte == separator);
            let first = cells.next().unwrap_or_default().trim_ascii();
            let first = first.strip_prefix(b"\"").unwrap_or(first);
            let first = first.strip_suffix(b"\"").unwrap_or(first);
            let of_a_table = first.eq_ignore_ascii_case(b"Date") || begins_with_date(first);
            cells.next().is_some() && (of_a_table || !line.contains(&b','))
        });
    if let Some((_, name)) = separator {
        return Some((Some(1), PriceFault::Separator(name)));
    }
    let begins: Vec<csv::ByteRecord> = csv_reader(bytes)
        .into_byte_records()
        .take(3)
        .map_while(Result::ok)
        .collect();
    let begins: Vec<&[u8]> = begins.iter().filter_map(|row| row.iter().next()).collect();
    matches!(
        begins[..],
        [b"Price", b"Ticker", b"Date"] | [b"Ticker", b"Price", b"Date"]
    )
    .then_some((Some(1), PriceFault::HeadingLines))
}

/// Whether a cell is a date, or one with a time.
fn begins_with_date(cell: &[u8]) -> bool {
    matches!(
        read_date(cell),
        Ok(_) | Err(PriceFault::Time(_) | PriceFault::Year(_))
    )
}

/// A row that has a cell too many since its price has a decimal comma.
fn decimal_comma(record: &csv::ByteRecord, columns: &Columns) -> Option<PriceFault> {
    if record.len() != columns.count + 1 {
        return None;
    }
    let whole = record.get(columns.close)?;
    let part = record.get(columns.close + 1)?;
    let digits = |cell: &[u8]| !cell.is_empty() && cell.iter().all(u8::is_ascii_digit);
    let whole = whole.strip_prefix(b"-").unwrap_or(whole);
    if columns.date > columns.close || !digits(whole) || !digits(part) {
        return None;
    }
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    Some(PriceFault::Punctuated {
        found: excerpt(&format!("{},{}", text(whole), text(part))),
        // Three digits could be thousands.
        plain: (part.len() != 3).then(|| excerpt(&format!("{}.{}", text(whole), text(part)))),
    })
}

fn was_or_were(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// A warning of the prices, in the file's order, that are zero or negative.
fn doubtful_prices(
    file: &str,
    bytes: &[u8],
    rows: &[(Date, f64, csv::Position)],
) -> Option<String> {
    let mut doubtful = rows.iter().filter(|(_, price, _)| *price <= 0.0);
    let (_, first, position) = doubtful.next()?;
    let line = line_of(bytes, position);
    Some(match doubtful.count() {
        0 => format!(
            "{file} line {line}: the price {first} is zero or negative, which no share's is; it was taken as it is"
        ),
        more => format!(
            "{file} line {line}: the price {first} is the first of {} that are zero or negative, which no share's \
             is; they were taken as they are",
            more + 1
        ),
    })
}

/// The faults of a price file, as many as are listed.
struct Faults<'a> {
    ticker: &'a str,
    file: &'a str,
    listed: Vec<PriceFileError>,
    more: usize,
}

impl<'a> Faults<'a> {
    fn new(ticker: &'a str, file: &'a str) -> Self {
        Self {
            ticker,
            file,
            listed: Vec::new(),
            more: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Notes a fault of the row at a position. What is beyond the list is only
    /// counted: a file can have a million.
    fn note(&mut self, bytes: &[u8], position: &csv::Position, fault: PriceFault) {
        if self.listed.len() < FAULTS_LISTED {
            let line = Some(line_of(bytes, position));
            self.listed.push(self.error(line, fault));
        } else {
            self.more += 1;
        }
    }

    /// All faults, with a last one after which nothing can be read.
    fn with(mut self, line: Option<u64>, fault: PriceFault) -> PriceFileErrors {
        self.listed.push(self.error(line, fault));
        self.all()
    }

    fn all(mut self) -> PriceFileErrors {
        self.listed.sort_by_key(|error| error.line);
        if self.more > 0 {
            self.listed
                .push(self.error(None, PriceFault::More(self.more)));
        }
        PriceFileErrors {
            folder: String::new(),
            faults: self.listed,
            warnings: Vec::new(),
        }
    }

    fn error(&self, line: Option<u64>, fault: PriceFault) -> PriceFileError {
        PriceFileError {
            file: self.file.to_owned(),
            line,
            ticker: self.ticker.to_owned(),
            fault,
        }
    }
}

/// Reads the price files of assets, `<ticker>.csv` each, with up to `threads`
/// threads. `open` gives a file's content by its name. For messages: `folder` is
/// where the files lie, and `prefix` what their names begin with, such as
/// `prices/`, or nothing where a reader knows the folder.
///
/// # Errors
/// Every file that is missing, unreadable or wrong, with its faults as
/// [`read_prices`] tells them.
pub fn read_price_files(
    assets: Vec<CatalogueAsset>,
    folder: &str,
    prefix: &str,
    threads: NonZeroUsize,
    open: impl Fn(&str) -> io::Result<Vec<u8>> + Sync,
) -> Result<Vec<(CatalogueAsset, PriceSeries)>, PriceFileErrors> {
    let read = |i: usize| {
        let ticker = &assets[i].ticker;
        let name = format!("{ticker}.csv");
        let file = format!("{prefix}{name}");
        match open(&name) {
            Ok(bytes) => read_prices(ticker, &file, &bytes),
            Err(error) => {
                let fault = match error.kind() {
                    io::ErrorKind::NotFound => PriceFault::Missing,
                    _ => PriceFault::Unreadable(error.to_string()),
                };
                Err(Faults::new(ticker, &file).with(None, fault))
            }
        }
    };
    let results = parallel::map(assets.len(), threads.get(), read, &mut |_, _| ());
    let mut series = Vec::with_capacity(assets.len());
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    for (asset, result) in assets.into_iter().zip(results) {
        match result {
            Ok(prices) => {
                warnings.extend(prices.warnings.iter().cloned());
                series.push((asset, prices));
            }
            Err(of_file) => {
                warnings.extend(of_file.warnings);
                faults.extend(of_file.faults);
            }
        }
    }
    if faults.is_empty() {
        Ok(series)
    } else {
        Err(PriceFileErrors {
            folder: folder.to_owned(),
            faults,
            warnings,
        })
    }
}

/// The line, counted from 1, of the record at a position. (The reader's own
/// count stands before the line ends and blank lines that it skips.)
pub(super) fn line_of(bytes: &[u8], position: &csv::Position) -> u64 {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = usize::try_from(position.byte()).map_or(bytes.len(), |at| at.min(bytes.len()));
    let skipped = bytes[start..]
        .iter()
        .take_while(|byte| is_end(byte))
        .count();
    let before = &bytes[..start + skipped];
    let ends = before.iter().enumerate().filter(|(i, byte)| {
        // CRLF is one line end.
        **byte == b'\n' || (**byte == b'\r' && before.get(i + 1) != Some(&b'\n'))
    });
    ends.map(|_| 1).sum::<u64>() + 1
}

/// Where the date and the price stand in each row.
struct Columns {
    date: usize,
    close: usize,
    count: usize,
    notes: Vec<String>,
}

fn find_columns(headings: &csv::ByteRecord) -> Result<Columns, PriceFault> {
    let names: Vec<String> = headings
        .iter()
        .map(|name| excerpt(&String::from_utf8_lossy(name)))
        .collect();
    let find = |wanted: &str| -> Result<Option<usize>, PriceFault> {
        let mut found = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
        match (found.next(), found.next()) {
            (Some(_), Some((_, name))) => Err(PriceFault::RepeatedHeading(name.clone())),
            (first, _) => Ok(first.map(|(i, _)| i)),
        }
    };
    let count = names.len();
    if let (Some(date), Some(close)) = (find("Date")?, find("Close")?) {
        let ignored: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != date && *i != close)
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        let mut notes = Vec::new();
        if !ignored.is_empty() {
            notes.push(format!("the columns {} were ignored", ignored.join(", ")));
        }
        let adjusted = |name: &&String| {
            let letters = name.bytes().filter(u8::is_ascii_alphabetic);
            let letters: Vec<u8> = letters.map(|one| one.to_ascii_lowercase()).collect();
            matches!(&letters[..], b"adjclose" | b"adjustedclose")
        };
        if let Some(adjusted) = names.iter().find(adjusted) {
            notes.push(format!(
                "`Close` was taken, not `{adjusted}`; if splits and dividends are to count, give the file that column under the heading `Close`"
            ));
        }
        return Ok(Columns {
            date,
            close,
            count,
            notes,
        });
    }
    if headings.iter().next().is_some_and(begins_with_date) {
        return Err(PriceFault::NoHeadings(names.join(",")));
    }
    if count == 2 {
        let notes = vec![format!(
            "the headings `{}` and `{}` are not `Date` and `Close`; the columns were taken in this order",
            names[0], names[1]
        )];
        return Ok(Columns {
            date: 0,
            close: 1,
            count,
            notes,
        });
    }
    let found: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(PriceFault::Headings {
        found: found.join(", "),
    })
}

fn read_date(cell: &[u8]) -> Result<Date, PriceFault> {
    let digits = |range: std::ops::Range<usize>| -> Option<u16> {
        let mut number = 0_u16;
        for byte in cell.get(range)? {
            number = number * 10 + u16::from(byte.checked_sub(b'0').filter(|d| *d < 10)?);
        }
        Some(number)
    };
    let date = || -> Option<Date> {
        if *cell.get(4)? != b'-' || *cell.get(7)? != b'-' {
            return None;
        }
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?)
            .ok()
            .filter(|date| date.year() >= 1)
    };
    let text = || excerpt(&String::from_utf8_lossy(cell));
    match date() {
        Some(date) if cell.len() == 10 && !YEARS.contains(&date.year()) => {
            Err(PriceFault::Year(text()))
        }
        Some(date) if cell.len() == 10 => Ok(date),
        Some(_) if matches!(cell[10], b'T' | b't' | b' ') => Err(PriceFault::Time(text())),
        _ => Err(PriceFault::Date(text())),
    }
}

fn read_price(cell: &[u8]) -> Result<f64, PriceFault> {
    let text = || excerpt(&String::from_utf8_lossy(cell));
    if MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word)) {
        return Err(PriceFault::NoValue(text()));
    }
    let price: f64 = std::str::from_utf8(cell)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| punctuated(cell).unwrap_or_else(|| PriceFault::Price(text())))?;
    if price.is_finite() && price.abs() <= LARGEST_PRICE {
        Ok(price)
    } else {
        Err(PriceFault::PriceRange(text()))
    }
}

/// What programs write for a missing number.
const MISSING: [&[u8]; 14] = [
    b"nan", b"+nan", b"-nan", b"na", b"n/a", b"n.a.", b"#n/a", b"null", b"none", b"nil", b"nat",
    b"-", b"--", b".",
];

/// A number with a decimal comma or with groups of digits, as a fault.
fn punctuated(cell: &[u8]) -> Option<PriceFault> {
    let text = std::str::from_utf8(cell).ok()?;
    let is_mark = |letter: char| matches!(letter, ',' | '.');
    let is_blank = |letter: char| letter.is_whitespace() || matches!(letter, '\'' | '’' | '_');
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let fits = number.starts_with(|letter: char| letter.is_ascii_digit())
        && number.ends_with(|letter: char| letter.is_ascii_digit())
        && number
            .chars()
            .all(|letter| letter.is_ascii_digit() || is_mark(letter) || is_blank(letter));
    if !fits {
        return None;
    }
    let compact: String = text.chars().filter(|letter| !is_blank(*letter)).collect();
    let marks: Vec<char> = compact.chars().filter(|letter| is_mark(*letter)).collect();
    let plain = match marks[..] {
        [] => Some(compact),
        // The last mark is the decimal one where it is another one, or not before three digits.
        [.., last] => {
            let (whole, part) = compact.rsplit_once(last)?;
            let of_groups = marks.iter().filter(|mark| **mark == last).count() > 1;
            let other = marks.iter().any(|mark| *mark != last);
            let digits: String = whole.chars().filter(|letter| !is_mark(*letter)).collect();
            if of_groups {
                (!other).then(|| format!("{digits}{part}"))
            } else if other || last == '.' || part.len() != 3 {
                Some(format!("{digits}.{part}"))
            } else {
                None
            }
        }
    };
    Some(PriceFault::Punctuated {
        found: excerpt(text),
        plain: plain.map(|plain| excerpt(&plain)),
    })
}

/// The prices of all assets on the dates that all of them have.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// Common dates, ascending.
    pub(super) dates: Vec<Date>,
    /// One column an asset, in the order given, each as long as `dates`.
    pub(super) prices: Vec<Vec<f64>>,
    /// The asset without which most rows would be gained; absent when every
    /// asset has the same dates.
    pub(super) limiting: Option<Limit>,
}

/// The asset that limits the common dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its ticker.
    pub ticker: String,
    /// The rows that would be gained if it were left out.
    pub rows: usize,
}

impl Limit {
    /// What the dates of all assets have in common, in words.
    #[must_use]
    pub fn sentence(limit: Option<(&str, usize)>) -> String {
        match limit {
            None => "all assets have the same dates".to_owned(),
            // Whichever asset were left out, another one lacks the same dates.
            Some((_, 0)) => {
                "the dates that several assets lack were left out; no asset alone limits them"
                    .to_owned()
            }
            Some((ticker, rows)) => {
                format!("{ticker} limits the dates and costs {}", count(rows, "row"))
            }
        }
    }
}

/// Joins series by date (inner join). Series are taken in the order given;
/// there must be one at least and none may be empty.
pub(super) fn join(series: &[PriceSeries]) -> Joined {
    // For each day from the first to the last: how many series have it, and the
    // sum of their numbers, which tells the one that is missing when all others
    // have it.
    let days = || {
        series
            .iter()
            .flat_map(|s| &s.dates)
            .map(|date| date.to_julian_day())
    };
    let first = days().min().unwrap_or(0);
    let span = days()
        .max()
        .map_or(0, |last| last.abs_diff(first) as usize + 1);
    let mut counts: Vec<(usize, usize)> = vec![(0, 0); span];
    for (i, one) in series.iter().enumerate() {
        for date in &one.dates {
            let entry = &mut counts[date.to_julian_day().abs_diff(first) as usize];
            entry.0 += 1;
            entry.1 += i;
        }
    }
    let all = series.len();
    let sum_of_all: usize = (0..all).sum();
    let mut gained = vec![0_usize; all];
    for (count, sum) in &counts {
        if count + 1 == all {
            gained[sum_of_all - sum] += 1;
        }
    }
    let common = |date: &&Date| counts[date.to_julian_day().abs_diff(first) as usize].0 == all;
    let dates: Vec<Date> = series.first().map_or_else(Vec::new, |s| {
        s.dates.iter().filter(common).copied().collect()
    });
    let prices = series
        .iter()
        .map(|one| {
            let rows = one.dates.iter().zip(&one.prices);
            rows.filter(|(date, _)| common(date))
                .map(|(_, price)| *price)
                .collect()
        })
        .collect();
    let rows = dates.len();
    // Where no asset alone costs rows but several together do, the shortest is
    // named with the 0 rows that leaving out it alone would gain.
    let limiting = (0..all)
        .max_by_key(|i| {
            (
                gained[*i],
                std::cmp::Reverse(series[*i].dates.len()),
                std::cmp::Reverse(*i),
            )
        })
        .filter(|_| series.iter().any(|s| s.dates.len() > rows))
        .map(|i| Limit {
            ticker: series[i].ticker.clone(),
            rows: gained[i],
        });
    Joined {
        dates,
        prices,
        limiting,
    }
}

/// Each asset's ticker, first date, last date and rows.
pub(super) fn ranges(series: &[PriceSeries]) -> Vec<(String, Date, Date, usize)> {
    series
        .iter()
        .filter_map(|s| {
            let (first, last) = (s.dates.first()?, s.dates.last()?);
            Some((s.ticker.clone(), *first, *last, s.dates.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Result<PriceSeries, PriceFileErrors> {
        read_prices("T", "T.csv", text.as_bytes())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    fn series(ticker: &str, days: &[u8]) -> PriceSeries {
        PriceSeries {
            ticker: ticker.to_owned(),
            dates: days
                .iter()
                .map(|day| Date::from_calendar_date(2020, Month::January, *day).unwrap())
                .collect(),
            prices: days.iter().map(|day| f64::from(*day)).collect(),
            dropped: 0,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_byte_order_mark_crlf_quotes_and_spaces_are_read() {
        let plain = read("Date,Close\n2020-01-02,1.5\n2020-01-03,2\n").unwrap();
        for text in [
            "\u{feff}Date,Close\n2020-01-02,1.5\n2020-01-03,2\n",
            "Date,Close\r\n2020-01-02,1.5\r\n2020-01-03,2\r\n",
            "\"Date\",\"Close\"\n\"2020-01-02\",\"1.5\"\n2020-01-03,2",
            "date , CLOSE\n 2020-01-02 , 1.5\n\n2020-01-03,2\n",
        ] {
            assert_eq!(read(text).unwrap(), plain, "{text:?}");
        }
        assert_eq!(plain.prices, [1.5, 2.0]);
        assert!(plain.warnings.is_empty());
    }

    #[test]
    fn columns_are_found_by_heading_and_others_ignored_and_named() {
        let read = read("Open,Close,Date\n9,1.5,2020-01-02\n").unwrap();
        assert_eq!(read.prices, [1.5]);
        assert_eq!(read.warnings, ["T.csv: the columns `Open` were ignored"]);
    }

    #[test]
    fn two_columns_with_other_headings_are_taken_in_order_with_a_warning() {
        let read = read("day,price\n2020-01-02,1.5\n").unwrap();
        assert_eq!(read.prices, [1.5]);
        assert!(
            read.warnings[0].contains("`day` and `price`"),
            "{:?}",
            read.warnings
        );
    }

    #[test]
    fn rows_without_a_price_are_dropped_and_counted() {
        let read = read("Date,Close\n2020-01-02,\n2020-01-03,2\n").unwrap();
        assert_eq!((read.dropped, read.prices), (1, vec![2.0]));
    }

    #[test]
    fn zero_and_negative_prices_are_prices_and_warned_of() {
        let two = read("Date,Close\n2020-01-01,5\n2020-01-03,-37.63\n2020-01-02,0\n").unwrap();
        assert_eq!(two.prices, [5.0, 0.0, -37.63]);
        assert_eq!(
            two.warnings[0],
            "T.csv line 3: the price -37.63 is the first of 2 that are zero or negative, which no share's is; they \
             were taken as they are"
        );
        let one = read("Date,Close\n2020-01-02,0\n2020-01-03,1e-9\n").unwrap();
        assert_eq!(
            one.warnings,
            [
                "T.csv line 2: the price 0 is zero or negative, which no share's is; it was taken as it is"
            ]
        );
    }

    #[test]
    fn every_fault_of_a_file_is_told_in_the_order_of_the_lines() {
        let faults = read(
            "Date,Close\n2020-01-02,1\n2020-01-02,2\nnever,nothing\n2020-01-04\n2020-01-05,3\n2020-01-06,x\n",
        );
        let told = faults.unwrap_err().sentences();
        let expected = [
            "T.csv line 3, asset `T`: 2020-01-02 occurs twice",
            "T.csv line 4, asset `T`: `never` is not a date",
            "T.csv line 4, asset `T`: `nothing` is not a price",
            "T.csv line 5, asset `T`: the row has 1 cells",
            "T.csv line 7, asset `T`: `x` is not a price",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn a_document_with_faults_still_names_unknown_assets_and_classes() {
        let asset = |ticker: &str, class: &str| CatalogueAsset {
            ticker: ticker.to_owned(),
            class: class.to_owned(),
        };
        let document = json!({
            "predictedAsset": "JPMX",
            "feMeta": {
                "baseAssets": ["JPM", "../X", 7, "BACC"],
                "taSettings": { "assets": ["BAC", "C"], "rsi": { "window": 0 } },
                "arimaSettings": { "assets": "JPM" },
                "fftSettings": { "assetClasses": ["Bank", "Banks"] }
            }
        });
        let faults = TrainingTemplate::parse(&document).unwrap_err();
        let catalogue = [asset("JPM", "Bank"), asset("BAC", "Bank")];
        let unknown = unknown_names(&document, faults.faults(), &catalogue);
        let told: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let begins = [
            "predictedAsset names the asset `JPMX`, which is not in the catalogue (the nearest is `JPM`)",
            "feMeta.baseAssets[3] names the asset `BACC`",
            "feMeta.taSettings.assets[1] names the asset `C`",
            "feMeta.fftSettings.assetClasses[1] names the asset class `Banks`",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (told, begin) in told.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told}");
        }
        for no_object in [json!([1]), json!("x"), json!({ "feMeta": 1 })] {
            assert_eq!(unknown_names(&no_object, &[], &catalogue), []);
        }
    }

    #[test]
    fn of_many_faults_the_first_are_told_and_the_rest_counted() {
        let faults = read(&format!("Date,Close\n{}", "x,1\n".repeat(1_000)));
        let told = faults.unwrap_err().sentences();
        assert_eq!(told.len(), FAULTS_LISTED + 1);
        assert!(told[19].starts_with("T.csv line 21, "), "{}", told[19]);
        assert_eq!(told[20], "T.csv, asset `T`: 980 more faults are not listed");
    }

    #[test]
    fn another_encoding_is_named_with_the_cure() {
        let text = "Date,Close\n2020-01-02,1\n";
        let units = || text.encode_utf16();
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: [u8; 2], bytes: &[u8]| [&mark, bytes].concat();
        for bytes in [
            marked([0xff, 0xfe], &little),
            marked([0xfe, 0xff], &big),
            little,
            big,
        ] {
            assert_eq!(
                read_prices("T", "T.csv", &bytes).unwrap_err().sentences(),
                ["T.csv, asset `T`: the file is in UTF-16, not in UTF-8; save it as UTF-8"]
            );
        }
        assert_eq!(foreign_encoding(text.as_bytes()), None);
        assert_eq!(foreign_encoding("é,ü\n".as_bytes()), None);
    }

    #[test]
    fn rows_out_of_order_are_sorted_and_equal_ones_taken_once() {
        let read = read("Date,Close\n2020-01-03,3\n2020-01-02,2\n2020-01-03,3.0\n").unwrap();
        assert_eq!(read.prices, [2.0, 3.0]);
        assert_eq!(read.warnings.len(), 2);
    }

    #[test]
    fn each_fault_names_file_line_and_ticker() {
        for (text, wanted) in [
            ("", "T.csv, asset `T`: the file is empty"),
            ("\u{feff}", "T.csv, asset `T`: the file is empty"),
            (
                "Date,Close\n",
                "T.csv, asset `T`: the file has no row with a price",
            ),
            (
                "Date,Close\n2020-01-02,\n",
                "T.csv, asset `T`: the file has no row with a price",
            ),
            (
                "2020-01-02,1\n",
                "T.csv line 1, asset `T`: the first line holds data",
            ),
            (
                "a,b,c\n",
                "T.csv line 1, asset `T`: found the headings `a`, `b`, `c`",
            ),
            (
                "Date,Close,date\n",
                "T.csv line 1, asset `T`: the heading `date` occurs twice",
            ),
            (
                "Date,Close\n2020-01-02,NaN\n",
                "T.csv line 2, asset `T`: `NaN` is not a price; where one is missing, leave the cell empty",
            ),
            (
                "Date,Close\n2020-01-02,inf\n",
                "T.csv line 2, asset `T`: the price `inf` is not a finite",
            ),
            (
                "Date,Close\n2020-01-02,1e300\n",
                "T.csv line 2, asset `T`: the price `1e300` is not",
            ),
            (
                "Date,Close\n2020-01-02,n/a\n",
                "T.csv line 2, asset `T`: `n/a` is not a price; where one is missing, leave",
            ),
            (
                "Date,Close\n\n2020-1-2,1\n",
                "T.csv line 3, asset `T`: `2020-1-2` is not a date",
            ),
            (
                "Date,Close\r\n2020-01-02,1\r\n\r\n2020-01-03,x\r\n",
                "T.csv line 4, asset `T`: `x` is not a price",
            ),
            (
                "Date,Close\n2020-02-30,1\n",
                "T.csv line 2, asset `T`: `2020-02-30` is not a date",
            ),
            (
                "Date,Close\n,1\n",
                "T.csv line 2, asset `T`: `` is not a date",
            ),
            (
                "Date,Close\n2020-01-02 16:00,1\n",
                "T.csv line 2, asset `T`: `2020-01-02 16:00` has a time",
            ),
            (
                "Date,Close\n2020-01-02T00:00:00Z,1\n",
                "T.csv line 2, asset `T`: `2020-01-02T00:00:00Z` has a time",
            ),
            (
                "Date,Close\n2020-01-02,1,x\n",
                "T.csv line 2, asset `T`: the row has 3 cells",
            ),
            (
                "Date,Close\n2020-01-02\n",
                "T.csv line 2, asset `T`: the row has 1 cells",
            ),
            (
                "Date,Close\n2020-01-02,1\n2020-01-03,1\n2020-01-02,2\n",
                "T.csv line 4, asset `T`: 2020-01-02 occurs twice, with the prices 1 and 2",
            ),
        ] {
            let message = refused(text);
            assert!(message.starts_with(wanted), "{message}");
        }
    }

    /// A price file of another form is refused with the one thing that cures it.
    #[test]
    fn a_file_of_another_form_is_refused_with_its_cure() {
        for (text, wanted) in [
            (
                "Date;Close\n2020-01-02;1,5\n",
                " line 1, asset `T`: the columns are parted by semicolons, not by commas; save the file with commas",
            ),
            (
                "Date;Open,Close\n",
                " line 1, asset `T`: the columns are parted by semicolons",
            ),
            (
                "\"Date\";\"Close\"\r\n",
                " line 1, asset `T`: the columns are parted by semicolons",
            ),
            (
                "Datum;Schluss\n",
                " line 1, asset `T`: the columns are parted by semicolons",
            ),
            (
                "2020-01-02;1,5\n2020-01-03;1,5\n",
                " line 1, asset `T`: the columns are parted by semicolons",
            ),
            (
                "\u{feff}Date\tClose\n2020-01-02\t1.5\n",
                " line 1, asset `T`: the columns are parted by tabs",
            ),
            (
                "Date|Close\n",
                " line 1, asset `T`: the columns are parted by vertical lines",
            ),
            (
                "sep=,\nDate,Close\n",
                " line 1, asset `T`: the first line names a separator to spreadsheets; take it out",
            ),
            (
                "SEP=;\nDate;Close\n",
                " line 1, asset `T`: the first line names a separator",
            ),
            (
                "Price,Close,High\nTicker,AAA,AAA\nDate,,\n2020-01-02,1,1\n",
                " line 1, asset `T`: these are yfinance's three heading lines (`Price`, `Ticker`, `Date`); download with `multi_level_index=False`, or put one heading line",
            ),
            (
                "Price,Close\nTicker,AAA\nDate,\n2020-01-02,1\n",
                " line 1, asset `T`: these are yfinance's",
            ),
            (
                "Ticker,AAA,AAA\nPrice,Open,Close\nDate,,\n",
                " line 1, asset `T`: these are yfinance's",
            ),
            (
                "PK\u{3}\u{4}...",
                ", asset `T`: the file is a zip archive or a workbook, not CSV; unpack it, or save its sheet as CSV",
            ),
            (
                "<!DOCTYPE html>",
                ", asset `T`: the file is a page of the web, not CSV; download the prices",
            ),
            (
                "Date,Price,Open\n",
                " line 1, asset `T`: found the headings `Date`, `Price`, `Open`, but neither `Date` and `Close` nor exactly two columns; name the column of dates `Date` and that of closing prices `Close`",
            ),
        ] {
            let message = refused(text);
            assert!(message.starts_with(&format!("T.csv{wanted}")), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let packed = read_prices("T", "T.csv", b"\x1f\x8b\x08\0\0\n,\n").unwrap_err();
        assert_eq!(
            packed.to_string(),
            "T.csv, asset `T`: the file is packed by gzip, not CSV; unpack it"
        );
    }

    /// A date before 1900 or after 2200 is refused with file and line; one that is decades from its neighbour is warned of.
    #[test]
    fn dates_that_are_far_off_are_refused_or_warned_of() {
        for date in ["0202-10-08", "1899-12-30", "2201-01-01", "9999-12-31"] {
            assert_eq!(
                refused(&format!("Date,Close\n2020-01-02,1\n{date},2\n")),
                format!(
                    "T.csv line 3, asset `T`: the year of `{date}` is not one of 1900 to 2200; correct the date, or take its row out"
                )
            );
        }
        assert!(refused("0202-10-08,1\n").contains("the first line holds data"));
        assert!(read("Date,Close\n1900-01-01,1\n1909-01-01,1\n2200-12-31,2\n").is_ok());
        let far = read("Date,Close\n2020-01-02,1\n2020-01-03,1\n1900-01-01,2\n").unwrap();
        assert!(
            far.warnings[1]
                .starts_with("T.csv: there is no price between 1900-01-01 and 2020-01-02; "),
            "{:?}",
            far.warnings
        );
    }

    /// A cell that is not a plain number is refused with what to write in its place.
    #[test]
    fn a_cell_that_is_no_plain_number_is_refused_with_its_cure() {
        let cure = |cell: &str| {
            let message = refused(&format!("Date,Close\n2020-01-02,{cell}\n"));
            let (_, cure) = message.split_once(": ").unwrap();
            cure.to_owned()
        };
        for missing in ["NaN", "-nan", "N/A", "#N/A", "null", "None", "-", "."] {
            assert_eq!(
                cure(missing),
                format!("`{missing}` is not a price; where one is missing, leave the cell empty")
            );
        }
        for (cell, found, plain) in [
            ("\"1,5\"", "1,5", Some("1.5")),
            ("1,5", "1,5", Some("1.5")),
            ("\"1,234.50\"", "1,234.50", Some("1234.50")),
            ("\"1.234,50\"", "1.234,50", Some("1234.50")),
            ("\"1,234,567\"", "1,234,567", Some("1234567")),
            ("1.234.567", "1.234.567", Some("1234567")),
            ("1 234.5", "1 234.5", Some("1234.5")),
            ("1'234.5", "1'234.5", Some("1234.5")),
            ("\"-1,5\"", "-1,5", Some("-1.5")),
            ("\"1,234\"", "1,234", None),
            ("1,234", "1,234", None),
        ] {
            let wanted = match plain {
                Some(plain) => format!(
                    "write `{plain}`: a decimal point, and nothing between groups of digits"
                ),
                None => "write a decimal point, and nothing between groups of digits".to_owned(),
            };
            assert_eq!(
                cure(cell),
                format!("`{found}` is not a plain number; {wanted}"),
                "{cell}"
            );
        }
        for other in ["$12.5", "12.5 USD", "1..5 x", "twelve"] {
            assert!(cure(other).starts_with(&format!("`{other}` is not a price; ")));
        }
    }

    #[test]
    fn an_adjusted_price_beside_the_close_is_told() {
        let read = read("Date,Open,Close,Adj Close\n2020-01-02,9,1.5,1.2\n").unwrap();
        assert_eq!(read.prices, [1.5]);
        assert_eq!(
            read.warnings,
            [
                "T.csv: the columns `Open`, `Adj Close` were ignored",
                "T.csv: `Close` was taken, not `Adj Close`; if splits and dividends are to count, give the file that \
                 column under the heading `Close`"
            ]
        );
    }

    #[test]
    fn a_cell_of_any_length_gives_a_short_message() {
        let long = "x".repeat(1_000_000);
        assert!(refused(&format!("Date,Close\n{long},1\n")).len() < 200);
        assert!(refused(&format!("{long},b,c\n")).len() < 300);
        assert!(read_prices("T", "T.csv", b"Date,Close\n\xff\xfe,\xff\n").is_err());
    }

    #[test]
    fn prices_are_joined_on_the_dates_that_all_assets_have() {
        let panel = join(&[
            series("A", &[1, 2, 3, 5, 6]),
            series("B", &[2, 3, 4, 6]),
            series("C", &[1, 2, 3, 4, 6]),
        ]);
        assert_eq!(panel.prices, [[2.0, 3.0, 6.0]; 3]);
        let gained = panel.limiting.unwrap();
        // Without A, day 4 would be common; without B, day 1.
        assert_eq!((gained.ticker.as_str(), gained.rows), ("B", 1));
    }

    #[test]
    fn assets_without_a_common_date_join_to_nothing_and_the_limit_is_named() {
        let panel = join(&[
            series("A", &[1, 2, 3]),
            series("B", &[4, 5]),
            series("C", &[1, 2]),
        ]);
        assert!(panel.dates.is_empty());
        assert_eq!(
            panel.limiting.unwrap(),
            Limit {
                ticker: "B".to_owned(),
                rows: 2
            }
        );
    }

    #[test]
    fn where_several_assets_lack_the_same_dates_none_is_said_to_limit_them() {
        let panel = join(&[
            series("A", &[1, 2, 3]),
            series("B", &[1, 2]),
            series("C", &[1, 2]),
        ]);
        let limit = panel.limiting.unwrap();
        assert_eq!(limit.rows, 0);
        let sentence = |rows| Limit::sentence(Some(("A", rows)));
        assert!(sentence(0).contains("no asset alone"), "{}", sentence(0));
        assert_eq!(sentence(1), "A limits the dates and costs 1 row");
        assert_eq!(sentence(2), "A limits the dates and costs 2 rows");
    }

    #[test]
    fn no_asset_limits_when_all_have_the_same_dates() {
        assert_eq!(
            join(&[series("A", &[1, 2]), series("B", &[1, 2])]).limiting,
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_prices("T", "T.csv", &bytes);
        }

        #[test]
        fn any_text_of_the_formats_own_characters_is_read_or_refused(
            text in "(Date,Close\n)?([0-9,\"\\-.TeEinfa \r\n]{0,12}\n?){0,8}"
        ) {
            if let Ok(read) = read_prices("T", "T.csv", text.as_bytes()) {
                prop_assert!(read.dates.is_sorted());
                prop_assert!(read.prices.iter().all(|x| x.is_finite()));
                prop_assert_eq!(read.dates.len(), read.prices.len());
            }
        }

        #[test]
        fn a_fault_is_told_in_one_line_without_control_characters(bytes in prop::collection::vec(any::<u8>(), 0..60), headings in any::<bool>()) {
            let begin: &[u8] = if headings { b"Date,Close\n2020-01-02," } else { b"" };
            if let Err(faults) = read_prices("T", "T.csv", &[begin, &bytes].concat()) {
                for sentence in faults.sentences() {
                    prop_assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
                }
            }
        }

        #[test]
        fn a_number_that_is_proposed_is_a_price(cell in "[-+]?[0-9]{1,3}([.,' ][0-9]{1,3}){1,4}") {
            if let Err(PriceFault::Punctuated { plain: Some(plain), .. }) = read_price(cell.as_bytes()) {
                prop_assert!(read_price(plain.as_bytes()).is_ok(), "{cell}: {plain}");
                let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
                prop_assert_eq!(digits(&cell), digits(&plain));
            }
        }

        #[test]
        fn the_join_is_the_intersection(sets in prop::collection::vec(prop::collection::btree_set(1..28_u8, 1..20), 1..5)) {
            let all: Vec<PriceSeries> = sets.iter().enumerate()
                .map(|(i, days)| series(&i.to_string(), &days.iter().copied().collect::<Vec<_>>()))
                .collect();
            let common: Vec<f64> = (1..28_u8).filter(|d| sets.iter().all(|s| s.contains(d))).map(f64::from).collect();
            let panel = join(&all);
            for prices in &panel.prices {
                prop_assert_eq!(prices, &common);
            }
        }
    }

    #[test]
    fn a_template_names_assets_in_its_lists_but_not_by_all() {
        let template = json!({
            "Id": "t",
            "predictedAsset": "AAA",
            "feMeta": {
                "baseAssets": ["AAA", "BBB"],
                "taSettings": {"assets": ["BBB"]},
                "arimaSettings": {"assets": "none"},
            },
        });
        let predicted = ["predictedAsset", "feMeta.baseAssets"];
        assert_eq!(settings_naming(&template, "AAA"), predicted);
        let lists = ["feMeta.baseAssets", "feMeta.taSettings.assets"];
        assert_eq!(settings_naming(&template, "BBB"), lists);
        let none: [&str; 0] = [];
        assert_eq!(settings_naming(&template, "CCC"), none);
        let everything = json!({"Id": "t", "feMeta": {"baseAssets": "all"}});
        assert_eq!(settings_naming(&everything, "AAA"), none);
        assert_eq!(settings_naming(&json!({"Id": "t"}), "AAA"), none);
    }
}
