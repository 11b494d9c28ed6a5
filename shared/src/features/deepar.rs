//! The training and test files of SageMaker's DeepAR: which series they hold,
//! from and to which day, and their lines.
//!
//! One line is one column: `{"start":"2010-01-04 00:00:00","target":[...]}`,
//! `null` where there is no value. Under the daily calendar a point is a
//! calendar day, or week, or month, as `freq` has it, and dates are the last days
//! of these; under the trading calendar a point is a row, whatever its date.

use std::io::{self, Write};
use std::iter;
use std::ops::Range;

use pipewright_forecast::calendar::Frequency;
use serde::{Serialize, Serializer};
use time::Date;

use super::alignment::Table;
use super::columns::ColumnText;
use super::error::{FeatureError, LastWindow};
use super::spacing::frequency;
use crate::training_template::{Calendar, DeepArSettings};

/// DeepAR's own least number of observations over all training series.
const LEAST_TRAINING_VALUES: usize = 300;

/// A column that is in neither file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOut {
    /// The column's name.
    pub column: String,
    /// Why.
    pub reason: Unlearnable,
}

/// Why nothing could be learned of a column.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unlearnable {
    /// It has no value in training.
    #[error("no value from {from} to before {before}")]
    Empty {
        /// The first day of training.
        from: Date,
        /// The first day after it.
        before: Date,
    },
    /// It has too few.
    #[error("{points} points in training, fewer than the prediction length {needed}")]
    Short {
        /// How many it has.
        points: usize,
        /// How many are forecast.
        needed: usize,
    },
    /// Its values are all the same.
    #[error("constant in training ({0})")]
    Constant(f64),
}

impl Serialize for Unlearnable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One series of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    /// Index of its column.
    pub(super) column: usize,
    /// The row of its first value.
    pub(super) first_row: usize,
    /// Points in training.
    pub(super) points: usize,
    /// Points in training without a value.
    pub(super) nulls: usize,
}

/// A stretch of rows and points that a file's series end with, both exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    row: usize,
    /// The date of the point after the last one; of no account under the trading
    /// calendar.
    next: Date,
}

/// What the files hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    calendar: Calendar,
    freq: Frequency,
    /// In the order of the columns.
    pub(super) series: Vec<Series>,
    pub(super) left_out: Vec<LeftOut>,
    training: End,
    /// For each test window, where its series end.
    windows: Vec<End>,
    /// For each test window, the days on which the predicted asset has a price.
    pub(super) observed_days: Vec<usize>,
    /// Values over all training series, missing ones not counted.
    pub(super) training_values: usize,
    /// The date of the first point after training.
    pub(super) first_forecast: Date,
}

impl Plan {
    /// Lays out the files for columns over dates (not empty, each the last day of its
    /// point);
    /// `target` is the place of the predicted asset's price among the columns,
    /// which has to be in training and to have a value in each test window.
    pub(super) fn new(
        settings: &DeepArSettings,
        Table { dates, columns }: &Table,
        target: usize,
    ) -> Result<Self, FeatureError> {
        let has_price = |row: usize| {
            let target = columns.get(target);
            target.is_none_or(|target| !target.values[row].is_nan())
        };
        let last = (0..dates.len()).rev().find(|row| has_price(*row));
        let judged = &dates[..last.map_or(dates.len(), |last| last + 1)];
        let row_of = |day: Date| dates.partition_point(|date| *date < day);
        let freq = frequency(settings.freq);
        let training = End {
            row: row_of(settings.end_training),
            next: freq.last_day(settings.end_training),
        };
        let windows = test_windows(settings, judged, training.row)?;
        let mut observed_days = Vec::with_capacity(windows.len());
        let mut from = training;
        for (k, end) in windows.iter().enumerate() {
            let days = (from.row..end.row).filter(|row| has_price(*row)).count();
            if days == 0 {
                return Err(FeatureError::EmptyTestWindow {
                    window: k + 1,
                    first: from.next,
                    last: freq.later_day(end.next, -1),
                });
            }
            observed_days.push(days);
            from = *end;
        }

        let mut plan = Self {
            calendar: settings.calendar,
            freq,
            series: Vec::with_capacity(columns.len()),
            left_out: Vec::new(),
            training,
            windows,
            observed_days,
            training_values: 0,
            first_forecast: match settings.calendar {
                Calendar::Daily => training.next,
                // There is a first window, so there is a row after training.
                Calendar::Trading => dates
                    .get(training.row)
                    .copied()
                    .unwrap_or(settings.end_training),
            },
        };
        let first = row_of(settings.start_dataset);
        for (column, one) in columns.iter().enumerate() {
            match plan.lay_out(settings, dates, column, &one.values, first) {
                Ok(series) => {
                    plan.training_values += series.points - series.nulls;
                    plan.series.push(series);
                }
                Err(reason) if column == target => {
                    return Err(FeatureError::PredictedLeftOut {
                        column: one.name.clone(),
                        reason,
                    });
                }
                Err(reason) => plan.left_out.push(LeftOut {
                    column: one.name.clone(),
                    reason,
                }),
            }
        }
        if plan.training_values < LEAST_TRAINING_VALUES {
            return Err(FeatureError::TooFewTrainingValues {
                values: plan.training_values,
                needed: LEAST_TRAINING_VALUES,
                start_dataset: settings.start_dataset,
                end_training: settings.end_training,
                first_date: dates.first().copied().unwrap_or(Date::MIN),
                last_date: dates.last().copied().unwrap_or(Date::MIN),
                left_out: plan.left_out.len(),
            });
        }
        Ok(plan)
    }

    /// The series of one column, or why it is left out.
    fn lay_out(
        &self,
        settings: &DeepArSettings,
        dates: &[Date],
        column: usize,
        values: &[f64],
        first: usize,
    ) -> Result<Series, Unlearnable> {
        let rows = values.get(first..self.training.row).unwrap_or(&[]);
        let Some(offset) = rows.iter().position(|x| !x.is_nan()) else {
            return Err(Unlearnable::Empty {
                from: settings.start_dataset,
                before: settings.end_training,
            });
        };
        let first_row = first + offset;
        let rows = &rows[offset..];
        let present = rows.iter().filter(|x| !x.is_nan()).count();
        let points = match self.calendar {
            Calendar::Daily => points_between(self.freq, dates[first_row], self.training.next),
            Calendar::Trading => rows.len(),
        };
        if points < settings.prediction_length {
            return Err(Unlearnable::Short {
                points,
                needed: settings.prediction_length,
            });
        }
        #[expect(clippy::float_cmp, reason = "constant means equal, not near")]
        let constant = rows.iter().all(|x| x.is_nan() || *x == rows[0]);
        if constant {
            return Err(Unlearnable::Constant(rows[0]));
        }
        Ok(Series {
            column,
            first_row,
            points,
            nulls: points - present,
        })
    }

    /// The points of a series from `first_row` on: each one's row, or `None` for
    /// a point without one.
    fn points<'a>(
        &self,
        dates: &'a [Date],
        first_row: usize,
        end: End,
    ) -> impl Iterator<Item = Option<usize>> + use<'a> {
        let (is_daily, freq) = (self.calendar == Calendar::Daily, self.freq);
        // The points between the one of a row and a later one, both exclusive.
        let gap = move |row: usize, to: Date| match is_daily {
            true => points_between(freq, dates[row], to).saturating_sub(1),
            false => 0,
        };
        let rest = gap(end.row - 1, end.next);
        (first_row..end.row)
            .flat_map(move |row| {
                let before = match row > first_row {
                    true => gap(row - 1, dates[row]),
                    false => 0,
                };
                iter::repeat_n(None, before).chain(iter::once(Some(row)))
            })
            .chain(iter::repeat_n(None, rest))
    }

    /// What a line of the test file says of a series, for test window `window`
    /// (from 0), in the precision in which DeepAR reads it; NaN = missing.
    pub(super) fn test_target(
        &self,
        series: &Series,
        window: usize,
        dates: &[Date],
        values: &[f64],
    ) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "as DeepAR reads it")]
        let value = |row: Option<usize>| row.map_or(f32::NAN, |row| values[row] as f32);
        let points = self.points(dates, series.first_row, self.windows[window]);
        points.map(value).collect()
    }

    /// The dates of the first and the last point of each test window.
    pub(super) fn test_days(&self, dates: &[Date]) -> Vec<(Date, Date)> {
        let ends = self.windows.iter();
        let starts = iter::once(&self.training).chain(ends.clone());
        let days = |(start, end): (&End, &End)| match self.calendar {
            Calendar::Daily => (start.next, self.freq.later_day(end.next, -1)),
            Calendar::Trading => (dates[start.row], dates[end.row - 1]),
        };
        starts.zip(ends).map(days).collect()
    }

    /// The rows that the files are made of.
    pub(super) fn rows(&self) -> Range<usize> {
        let first = self.series.iter().map(|series| series.first_row).min();
        let last = self.windows.last().map_or(self.training.row, |end| end.row);
        first.unwrap_or(last)..last
    }

    /// Lines of the test file.
    pub(super) fn test_records(&self) -> usize {
        self.windows.len() * self.series.len()
    }

    /// Writes the training file.
    pub(super) fn write_train(
        &self,
        out: &mut impl Write,
        dates: &[Date],
        texts: &[ColumnText],
    ) -> io::Result<()> {
        self.write_lines(out, dates, texts, self.training)
    }

    /// Writes the test file: windows outside, series inside.
    pub(super) fn write_test(
        &self,
        out: &mut impl Write,
        dates: &[Date],
        texts: &[ColumnText],
    ) -> io::Result<()> {
        self.windows
            .iter()
            .try_for_each(|end| self.write_lines(out, dates, texts, *end))
    }

    fn write_lines(
        &self,
        out: &mut impl Write,
        dates: &[Date],
        texts: &[ColumnText],
        end: End,
    ) -> io::Result<()> {
        let mut line = Vec::new();
        for series in &self.series {
            line.clear();
            self.append_line(
                &mut line,
                dates,
                &texts[series.column],
                series.first_row,
                end,
            );
            out.write_all(&line)?;
        }
        Ok(())
    }

    fn append_line(
        &self,
        line: &mut Vec<u8>,
        dates: &[Date],
        text: &ColumnText,
        first_row: usize,
        end: End,
    ) {
        line.extend_from_slice(b"{\"start\":\"");
        line.extend_from_slice(start_text(dates[first_row]).as_bytes());
        line.extend_from_slice(b"\",\"target\":[");
        let mut cells = text.cells(first_row..end.row);
        for row in self.points(dates, first_row, end) {
            let cell = row.and_then(|_| cells.next()).unwrap_or_default();
            line.extend_from_slice(if cell.is_empty() { b"null" } else { cell });
            line.push(b',');
        }
        // Never empty: the first value is there. Its last comma goes.
        line.pop();
        line.extend_from_slice(b"]}\n");
    }
}

/// Where each test window ends.
fn test_windows(
    settings: &DeepArSettings,
    dates: &[Date],
    training_row: usize,
) -> Result<Vec<End>, FeatureError> {
    let length = settings.prediction_length;
    let last_date = dates.last().copied().unwrap_or(Date::MIN);
    let end_training = settings.end_training;
    let windows = settings.test_windows;
    let freq = frequency(settings.freq);
    let beyond = |last_window, fitting| FeatureError::TestWindowsBeyondData {
        last_date,
        last_window,
        fitting,
    };
    match settings.calendar {
        Calendar::Daily => {
            // Points of data from the end of training on.
            let points = points_between(freq, end_training, freq.later_day(last_date, 1));
            let later = |points: usize| {
                let points = i64::try_from(points).unwrap_or(i64::MAX);
                freq.later_day(end_training, points)
            };
            if points < windows * length {
                return Err(beyond(
                    LastWindow::Daily {
                        end_training,
                        windows,
                        prediction_length: length,
                        freq: settings.freq,
                        ends: later(windows * length - 1),
                    },
                    points / length,
                ));
            }
            Ok((1..=windows)
                .map(|k| {
                    let next = later(k * length);
                    let row = dates.partition_point(|date| *date < next);
                    End { row, next }
                })
                .collect())
        }
        Calendar::Trading => {
            let rows = dates.len().saturating_sub(training_row);
            if rows < windows * length {
                return Err(beyond(
                    LastWindow::Trading {
                        end_training,
                        windows,
                        prediction_length: length,
                        freq: settings.freq,
                        rows,
                    },
                    rows / length,
                ));
            }
            Ok((1..=windows)
                .map(|k| {
                    let row = training_row + k * length;
                    let next = freq.later_day(dates[row - 1], 1);
                    End { row, next }
                })
                .collect())
        }
    }
}

/// Points from the one of `from` to the one of `to`, 0 if that is not later.
fn points_between(freq: Frequency, from: Date, to: Date) -> usize {
    usize::try_from(freq.steps_between(from, to)).unwrap_or(0)
}

/// DeepAR's form of a start.
fn start_text(date: Date) -> String {
    format!("{} 00:00:00", date_text(date))
}

/// `YYYY-MM-DD`. (`Display` of a date does the same for years of four digits.)
pub(super) fn date_text(date: Date) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}
