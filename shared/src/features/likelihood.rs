//! Whether the chosen likelihood can give the values that are to be learned:
//! DeepAR refuses the others only when the training has begun, and is paid for.

use std::ops::Range;

use pipewright_forecast::hyperparameters::Likelihood;
use time::Date;

use super::columns::{Column, ColumnKind};
use super::error::{FeatureError, UnsuitedValue};

/// The first value that the likelihood can't give, in the rows given of the
/// columns given, with the count of all such.
pub(super) fn check<'a>(
    likelihood: Likelihood,
    dates: &[Date],
    columns: impl IntoIterator<Item = &'a Column>,
    rows: Range<usize>,
) -> Result<(), FeatureError> {
    let Some(domain) = likelihood.domain() else {
        return Ok(());
    };
    let mut first: Option<(&Column, usize)> = None;
    let (mut values, mut series) = (0, 0);
    for column in columns {
        // In the precision in which DeepAR reads it.
        #[expect(clippy::cast_possible_truncation, reason = "as DeepAR reads it")]
        let unsuited = rows
            .clone()
            .filter(|row| !likelihood.suits(column.values[*row] as f32));
        let before = values;
        for row in unsuited {
            first.get_or_insert((column, row));
            values += 1;
        }
        series += usize::from(values > before);
    }
    let Some((column, row)) = first else {
        return Ok(());
    };
    let takes_all = Likelihood::ALL
        .into_iter()
        .filter(|other| other.domain().is_none());
    Err(FeatureError::Likelihood(Box::new(UnsuitedValue {
        likelihood: likelihood.name(),
        domain,
        column: column.name.clone(),
        asset: column.asset.clone(),
        is_price: column.kind == ColumnKind::Price,
        date: dates[row],
        value: column.values[row],
        values,
        series,
        alternatives: takes_all.map(Likelihood::name).collect(),
    })))
}
