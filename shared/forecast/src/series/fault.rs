//! What can be wrong with a record.

use pipewright_wording::count;
use thiserror::Error;

use crate::calendar::StartError;
use crate::hyperparameters::Likelihood;

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, {unit} {number}: {fault}")]
pub struct PlacedFault {
    /// The file, as the reader was told its name.
    pub file: String,
    /// What `number` counts.
    pub unit: Unit,
    /// Which line or row, from 1.
    pub number: usize,
    /// What is wrong there.
    pub fault: RecordFault,
}

/// The parts of a file that hold a record each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A line of JSON Lines.
    Line,
    /// A row of Parquet.
    Row,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Line => "line",
            Self::Row => "row",
        })
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// The file can't be read further.
    #[error("the file can't be read from here on: {0}")]
    Unreadable(String),
    /// A file that is compressed was read as one that isn't.
    #[error("the file is compressed by gzip; give it a name that ends in .json.gz")]
    Compressed,
    /// A record is longer than any that is read.
    #[error("the record is longer than {0} bytes")]
    TooLong(usize),
    /// A line is not text.
    #[error("the line is not UTF-8, first at byte {0}")]
    NotText(usize),
    /// A line is not a JSON object.
    #[error("this is not one JSON object: {0}")]
    NotJson(String),
    /// A field is not there.
    #[error("the field `{field}` is missing{}", near.as_deref().map_or_else(String::new, |near| format!("; is it `{near}`?")))]
    Missing {
        /// The field.
        field: &'static str,
        /// A field of the record that can be a misspelling of it.
        near: Option<String>,
    },
    /// A field is not what it must be.
    #[error("{place} is {found}; it must be {expected}")]
    Value {
        /// The field and, if one of its values is wrong, which: `target[3]`.
        place: String,
        /// What it is, shortened.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The start is not a time.
    #[error("start: {0}")]
    Start(#[from] StartError),
    /// A value is none that the likelihood can give.
    #[error("{place} is {found}; likelihood {likelihood} is for {}", likelihood.domain().unwrap_or("all numbers"))]
    Likelihood {
        /// Which value: `target[3]`.
        place: String,
        /// The value.
        found: String,
        /// The likelihood.
        likelihood: Likelihood,
    },
    /// There are more or fewer categories than the other records have.
    #[error("cat has {found} values; every record must have {expected}")]
    CategoryCount {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A category is outside the range.
    #[error("{place} is {found}; it must be from 0 to {greatest}")]
    Category {
        /// Which one: `cat[0]`.
        place: String,
        /// The category.
        found: u32,
        /// The greatest one.
        greatest: u32,
    },
    /// There are more or fewer dynamic features than the other records have.
    #[error("dynamic_feat has {found} lists; every record must have {expected}")]
    FeatureCount {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A dynamic feature has too few or too many values.
    #[error(
        "{place} has {}; it must have {expected}: the {target} of target{}",
        count(*found, "value"),
        if *future == 0 { String::new() } else { format!(" and the {future} that are forecast") },
        expected = target + future
    )]
    FeatureLength {
        /// Which one: `dynamic_feat[0]`.
        place: String,
        /// How many values it has.
        found: usize,
        /// The length of the target.
        target: usize,
        /// How many points are forecast; 0 in training.
        future: usize,
    },
}
