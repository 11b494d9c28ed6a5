//! Whether the chosen likelihood can give the values that are to be learned:
//! DeepAR refuses the others only when the training has begun, and is paid for.

use pipewright_forecast::hyperparameters::Likelihood;

use super::alignment::Table;
use super::baselines;
use super::columns::{Column, ColumnKind};
use super::deepar::Plan;
use super::error::{FeatureError, UnsuitedValue};
use crate::training_template::DeepArSettings;

/// The first value that the likelihood can't give, of the columns and rows that are
/// in DeepAR's files or, where those can't be laid out, of all from their first day
/// on, with the count of all such.
pub(super) fn check(
    settings: &DeepArSettings,
    Table { dates, columns }: &Table,
    plan: Option<&Plan>,
) -> Result<(), FeatureError> {
    let likelihood = baselines::scoring(settings)?.likelihood;
    let (columns, rows): (Vec<&Column>, _) = match plan {
        Some(plan) => {
            let series = plan.series.iter();
            let columns = series.filter_map(|series| columns.get(series.column));
            (columns.collect(), plan.rows())
        }
        None => {
            let first = dates.partition_point(|date| *date < settings.start_dataset);
            (columns.iter().collect(), first..dates.len())
        }
    };
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
