//! The columns of `features.csv`: what each is, its values, and its cells as text.

use serde::Serialize;
use time::Date;

use super::summary::as_text;
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

/// What a value of a column depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Causality {
    /// Prices up to its row.
    Causal,
    /// The rows that the stage learns from and, after those, prices up to its
    /// row.
    Fitted {
        /// Which rows it learns from, in words.
        learns_from: String,
        /// The day from which on it learns from no row: `endTraining`.
        #[serde(serialize_with = "as_text")]
        before: Date,
    },
    /// All prices, later ones included.
    Global,
}

/// A column before it is made: all that its stage says of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnDescription {
    /// Its heading.
    pub name: String,
    /// The ticker of the asset it is made from; absent for a unit of the
    /// autoencoder, which is made from many.
    pub asset: Option<String>,
    /// The stage that makes it, by its name on the command line.
    pub stage: &'static str,
    /// What it holds.
    #[serde(skip)]
    pub kind: ColumnKind,
    /// The same in words, such as `low-pass, 9 bins`.
    #[serde(skip)]
    pub title: String,
    /// Whether it is in the price's unit and moves with it, so that its changes tell
    /// more than its level.
    #[serde(skip)]
    pub is_price_like: bool,
    /// How it is computed; x is the asset's price, t the row, under other
    /// alignments than `common` the asset's own day.
    pub formula: String,
    /// Such rows at the start that have no value.
    pub warm_up_rows: usize,
    /// What a value depends on.
    pub causality: Causality,
}

impl ColumnDescription {
    /// The column with some values, no two alike, on the rows where it will have one.
    pub(super) fn sketch(&self, rows: usize, has_value: impl Fn(usize) -> bool) -> Column {
        let values = (1_u32..).zip(0..rows);
        let values = values.map(|(value, row)| match has_value(row) {
            true => f64::from(value),
            false => f64::NAN,
        });
        Column::new(self.clone(), values.collect())
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
    /// Whether it is in the price's unit and moves with it.
    pub is_price_like: bool,
    /// One value a row; NaN = missing, and nothing else is not finite.
    pub values: Vec<f64>,
}

impl Column {
    /// The column described.
    pub(super) fn new(described: ColumnDescription, values: Vec<f64>) -> Self {
        debug_assert!(!values.iter().any(|x| x.is_infinite()));
        Self {
            name: described.name,
            asset: described.asset,
            kind: described.kind,
            is_price_like: described.is_price_like,
            values,
        }
    }

    /// The closing prices of an asset.
    pub(super) fn price(ticker: &str, values: Vec<f64>) -> Self {
        Self {
            name: ticker.to_owned(),
            asset: Some(ticker.to_owned()),
            kind: ColumnKind::Price,
            is_price_like: true,
            values,
        }
    }

    /// The same column on other days.
    pub(super) fn on_other_days(&self, values: Vec<f64>) -> Self {
        Self {
            name: self.name.clone(),
            asset: self.asset.clone(),
            values,
            ..*self
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
