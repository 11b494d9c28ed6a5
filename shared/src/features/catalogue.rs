//! The asset catalogue as a file: `assets.csv`.

use std::collections::BTreeSet;

use thiserror::Error;

use super::input::{CatalogueAsset, line_of};
use crate::encoding::foreign_encoding;
use crate::training_template::{TickerFault, ticker_fault};
use crate::wording::excerpt;

/// The class of an asset that the catalogue gives none.
pub const UNCLASSIFIED: &str = "unclassified";

/// An asset of `assets.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAsset {
    /// Its ticker and class.
    pub asset: CatalogueAsset,
    /// What `description` says of it; empty where there is none.
    pub description: String,
}

/// Faults of `assets.csv`, in its order; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {}", joined(.faults))]
pub struct CatalogueError {
    /// The file, as the caller named it.
    pub file: String,
    /// What is wrong, each with its line where it has one.
    pub faults: Vec<CatalogueFault>,
}

/// One thing wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CatalogueFault {
    /// It is written in another way than UTF-8.
    #[error("the file is in {0}, not in UTF-8; save it as UTF-8")]
    Encoding(&'static str),
    /// A line is not CSV.
    #[error("not readable as CSV: {0}")]
    Csv(String),
    /// Headings are missing.
    #[error("needs the headings `ticker` and `assetClass`, and has {0}")]
    Headings(String),
    /// A row is longer or shorter than the heading line.
    #[error("line {line}: the row has {cells} cells, the heading line {headings}")]
    Cells {
        /// The row's line.
        line: u64,
        /// How many it has.
        cells: usize,
        /// How many it should have.
        headings: usize,
    },
    /// A ticker can't name an asset.
    #[error("line {line}: {fault}")]
    Ticker {
        /// The row's line.
        line: u64,
        /// Why not.
        fault: TickerFault,
    },
    /// Two rows have one ticker.
    #[error("line {line}: the ticker `{ticker}` occurs twice")]
    Repeated {
        /// The second row's line.
        line: u64,
        /// The ticker.
        ticker: String,
    },
}

fn joined(faults: &[CatalogueFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// Reads a catalogue: CSV with a heading line, `ticker` and `assetClass` in any
/// order and case, and `description` where there is one; other columns are
/// ignored. An empty class is [`UNCLASSIFIED`]. `file` is the name used in messages.
///
/// # Errors
/// Every fault: missing headings, rows of another length, tickers that can't
/// name a file or occur twice.
pub fn read_catalogue(file: &str, bytes: &[u8]) -> Result<Vec<ListedAsset>, CatalogueError> {
    let refused = |faults: Vec<CatalogueFault>| CatalogueError {
        file: file.to_owned(),
        faults,
    };
    if let Some(encoding) = foreign_encoding(bytes) {
        return Err(refused(vec![CatalogueFault::Encoding(encoding)]));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let mut rows = reader.records();
    let headings = match rows.next() {
        Some(Ok(headings)) => headings,
        Some(Err(error)) => return Err(refused(vec![CatalogueFault::Csv(error.to_string())])),
        None => csv::StringRecord::new(),
    };
    let find = |wanted: &str| {
        let mut names = headings.iter();
        names.position(|name| name.eq_ignore_ascii_case(wanted))
    };
    let (Some(ticker), Some(class)) = (find("ticker"), find("assetClass")) else {
        let found: Vec<String> = headings
            .iter()
            .map(|name| format!("`{}`", excerpt(name)))
            .collect();
        let found = match found.is_empty() {
            true => "none".to_owned(),
            false => found.join(", "),
        };
        return Err(refused(vec![CatalogueFault::Headings(found)]));
    };
    let description = find("description");
    let mut assets = Vec::new();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                faults.push(CatalogueFault::Csv(error.to_string()));
                break;
            }
        };
        let line = row
            .position()
            .map_or(0, |position| line_of(bytes, position));
        if row.len() != headings.len() {
            faults.push(CatalogueFault::Cells {
                line,
                cells: row.len(),
                headings: headings.len(),
            });
            continue;
        }
        let (ticker, class) = (&row[ticker], &row[class]);
        if let Some(fault) = ticker_fault(ticker) {
            faults.push(CatalogueFault::Ticker { line, fault });
        } else if !seen.insert(ticker.to_owned()) {
            let ticker = ticker.to_owned();
            faults.push(CatalogueFault::Repeated { line, ticker });
        } else {
            let class = if class.is_empty() {
                UNCLASSIFIED
            } else {
                class
            };
            assets.push(ListedAsset {
                asset: CatalogueAsset {
                    ticker: ticker.to_owned(),
                    class: class.to_owned(),
                },
                description: description.map_or("", |at| &row[at]).to_owned(),
            });
        }
    }
    if faults.is_empty() {
        Ok(assets)
    } else {
        Err(refused(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_heading_and_an_empty_class_is_unclassified() {
        let text = "\u{feff}Description,AssetClass,Ticker\r\n\"a, b\",Energy,X_1\r\n,,Y.Z\r\n";
        let assets = read_catalogue("assets.csv", text.as_bytes()).unwrap();
        let told: Vec<(&str, &str, &str)> = assets
            .iter()
            .map(|one| (&*one.asset.ticker, &*one.asset.class, &*one.description))
            .collect();
        assert_eq!(told, [("X_1", "Energy", "a, b"), ("Y.Z", UNCLASSIFIED, "")]);
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = "ticker,assetClass\na/b,x\nC,y\nC,z\nD\n";
        let error = read_catalogue("assets.csv", text.as_bytes()).unwrap_err();
        assert_eq!(error.faults.len(), 3, "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("assets.csv: line 2: the ticker `a/b` would leave"),
            "{text}"
        );
        assert!(
            text.contains("line 4: the ticker `C` occurs twice"),
            "{text}"
        );
        assert!(text.contains("line 5: the row has 1 cells"), "{text}");
    }

    #[test]
    fn another_encoding_is_named_with_the_cure() {
        let text: Vec<u8> = "ticker,assetClass\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(
            read_catalogue("assets.csv", &text).unwrap_err().to_string(),
            "assets.csv: the file is in UTF-16, not in UTF-8; save it as UTF-8"
        );
    }

    #[test]
    fn headings_that_lack_are_named() {
        for (text, found) in [("", "none"), ("symbol,class\nA,b\n", "`symbol`, `class`")] {
            let error = read_catalogue("assets.csv", text.as_bytes()).unwrap_err();
            assert!(error.to_string().ends_with(found), "{error}");
        }
    }
}
