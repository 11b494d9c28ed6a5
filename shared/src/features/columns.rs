//! The columns of `features.csv`: where each comes from, and its cells as text.

use std::fmt;

use crate::indicators::IndicatorColumn;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Closing prices.
    Price,
    /// A technical indicator.
    Indicator(&'static IndicatorColumn),
    /// ARIMA's prediction from the day before.
    Arima,
    /// Prices of which the frequency bins up to `bins` are kept.
    LowPass {
        /// The highest bin kept.
        bins: usize,
    },
    /// A unit of the autoencoder.
    Autoencoder {
        /// Its number, from 0.
        unit: usize,
    },
}

impl ColumnKind {
    /// The name of this column of the asset `ticker` (which the autoencoder's
    /// columns don't have).
    pub fn column_name(self, ticker: &str) -> String {
        match self {
            Self::Price => ticker.to_owned(),
            Self::Indicator(column) => format!("{ticker}_{}", column.suffix),
            Self::Arima => format!("{ticker}_ARIMA"),
            Self::LowPass { bins } => format!("{ticker}_FT_{bins}"),
            Self::Autoencoder { unit } => format!("AE_{unit}"),
        }
    }

    /// Whether it is in the price's unit and moves with it.
    pub(super) fn is_price_like(self) -> bool {
        match self {
            Self::Indicator(column) => column.is_price_like,
            Self::Price | Self::Arima | Self::LowPass { .. } | Self::Autoencoder { .. } => true,
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price => f.write_str("price"),
            Self::Indicator(column) => f.write_str(column.title),
            Self::Arima => f.write_str("ARIMA prediction"),
            Self::LowPass { bins } => write!(f, "low-pass, {bins} bins"),
            Self::Autoencoder { unit } => write!(f, "autoencoder unit {unit}"),
        }
    }
}

/// One column of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// The ticker of the asset it is made from; absent for a unit of the
    /// autoencoder, which is made from many.
    pub asset: Option<String>,
    /// What it holds.
    pub kind: ColumnKind,
    /// One value a row; NaN = missing, and nothing else is not finite.
    pub values: Vec<f64>,
}

impl Column {
    /// The column `kind` of an asset.
    pub(super) fn new(ticker: &str, kind: ColumnKind, values: Vec<f64>) -> Self {
        debug_assert!(!values.iter().any(|x| x.is_infinite()));
        Self {
            name: kind.column_name(ticker),
            asset: Some(ticker.to_owned()),
            kind,
            values,
        }
    }

    /// A unit of the autoencoder.
    pub(super) fn unit(unit: usize, values: Vec<f64>) -> Self {
        let kind = ColumnKind::Autoencoder { unit };
        Self {
            name: kind.column_name(""),
            asset: None,
            kind,
            values,
        }
    }
}

/// A column's cells in shortest round-trip form, so that a number which goes
/// to several files is formatted once. A missing value is an empty cell.
#[derive(Debug)]
pub(super) struct ColumnText {
    bytes: Box<[u8]>,
    /// Length of each cell; no finite `f64` takes more than 24 bytes.
    lengths: Box<[u8]>,
}

impl ColumnText {
    pub(super) fn new(values: &[f64]) -> Self {
        let mut bytes = Vec::with_capacity(values.len() * 18);
        let mut lengths = Vec::with_capacity(values.len());
        let mut buffer = zmij::Buffer::new();
        for value in values {
            let text = if value.is_finite() {
                buffer.format_finite(*value)
            } else {
                ""
            };
            bytes.extend_from_slice(text.as_bytes());
            #[expect(clippy::cast_possible_truncation, reason = "at most 24")]
            lengths.push(text.len() as u8);
        }
        Self {
            bytes: bytes.into_boxed_slice(),
            lengths: lengths.into_boxed_slice(),
        }
    }

    /// The cells of a range of rows.
    pub(super) fn cells(&self, rows: std::ops::Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut position = self.bytes_before(rows.start);
        self.lengths[rows].iter().map(move |length| {
            let from = position;
            position += usize::from(*length);
            &self.bytes[from..position]
        })
    }

    /// Where the cell of `row` starts.
    pub(super) fn bytes_before(&self, row: usize) -> usize {
        self.lengths[..row].iter().map(|n| usize::from(*n)).sum()
    }

    /// The cell of `row`, which starts at `position`.
    pub(super) fn cell_at(&self, row: usize, position: usize) -> &[u8] {
        &self.bytes[position..position + usize::from(self.lengths[row])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_comes_back_from_its_text(values in prop::collection::vec(any::<f64>(), 0..40)) {
            let text = ColumnText::new(&values);
            for (value, cell) in values.iter().zip(text.cells(0..values.len())) {
                let cell = std::str::from_utf8(cell).unwrap();
                if value.is_finite() {
                    prop_assert_eq!(cell.parse::<f64>().unwrap().to_bits(), value.to_bits());
                } else {
                    prop_assert_eq!(cell, "");
                }
            }
        }

        #[test]
        fn cells_can_be_read_from_any_row(values in prop::collection::vec(-1e3..1e3_f64, 1..40), from in 0..40_usize) {
            let from = from.min(values.len());
            let text = ColumnText::new(&values);
            let all: Vec<&[u8]> = text.cells(0..values.len()).collect();
            let some: Vec<&[u8]> = text.cells(from..values.len()).collect();
            prop_assert_eq!(&all[from..], &some[..]);
        }
    }
}
