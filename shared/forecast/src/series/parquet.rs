//! Records of Parquet files: a row is a series.
//!
//! `start` is a text, a timestamp or a date; `target` is a list of numbers, `cat`
//! a list of whole numbers or one, `dynamic_feat` a list of lists of numbers.
//! Other columns are left alone. Missing are a null and a NaN.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::Series;
use super::fault::{RecordFault, Unit};
use super::reader::Reader;
use super::record::{Missing, RecordRules, checked};
use crate::calendar::Period;
use crate::hyperparameters::{Cardinality, DynamicFeatures, Likelihood};

impl Reader {
    /// Reads a Parquet file, uncompressed or compressed by gzip or snappy. `file`
    /// is the name that faults have.
    pub fn parquet(&mut self, file: &str, input: impl ChunkReader + 'static) {
        let mut row = 1;
        // The library refuses most damaged files, but not all without a panic.
        let read = catch_unwind(AssertUnwindSafe(|| self.rows(file, input, &mut row)));
        let faults = match read {
            Ok(Ok(())) => return,
            Ok(Err(faults)) => faults,
            Err(_) => vec![RecordFault::Unreadable("it is damaged".to_owned())],
        };
        self.add(file, Unit::Row, row, Err(faults));
    }

    /// Reads the rows. `row` is the number of the one that is being read.
    fn rows(
        &mut self,
        file: &str,
        input: impl ChunkReader + 'static,
        row: &mut usize,
    ) -> Result<(), Vec<RecordFault>> {
        let reader = SerializedFileReader::new(input).map_err(|fault| unreadable(&fault))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let found = find_columns(&schema, self.rules())?;
        for group in 0..reader.num_row_groups() {
            let group = reader
                .get_row_group(group)
                .map_err(|fault| unreadable(&fault))?;
            let mut columns = Columns::open(&found, group.as_ref())?;
            for _ in 0..group.metadata().num_rows() {
                let read = columns.next(self.rules())?;
                self.add(file, Unit::Row, *row, read);
                *row += 1;
            }
        }
        Ok(())
    }
}

fn unreadable(fault: &impl ToString) -> Vec<RecordFault> {
    vec![RecordFault::Unreadable(fault.to_string())]
}

/// How a column's cells are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellKind {
    Text,
    /// Whole numbers of which so many are a second, since 1970.
    Time(i64),
    /// Days since 1970.
    Days,
    /// The old timestamps of Hive, Impala and Spark.
    Int96,
    Whole,
    Real,
}

/// A column of the file.
#[derive(Debug, Clone)]
struct Found {
    name: &'static str,
    index: usize,
    kind: CellKind,
    /// The definition level from which on there is a value.
    present: i16,
    /// For each list around the value, from the outermost, the definition level
    /// from which on it has an element.
    lists: Vec<i16>,
}

/// The file's columns that are read.
struct FoundColumns {
    start: Found,
    target: Found,
    cat: Option<Found>,
    dynamic_feat: Option<Found>,
}

fn find_columns(
    schema: &SchemaDescriptor,
    rules: &RecordRules,
) -> Result<FoundColumns, Vec<RecordFault>> {
    let mut faults = Vec::new();
    let mut find =
        |name, required: bool, depths: &[usize], fits: fn(CellKind) -> bool, expected| {
            let found = find_column(schema, name, depths, fits, expected);
            let found = found.map_err(|fault| faults.push(fault)).ok()?;
            if found.is_none() && required {
                faults.push(RecordFault::Missing {
                    field: name,
                    near: None,
                });
            }
            found
        };
    let is_number = |kind| matches!(kind, CellKind::Whole | CellKind::Real);
    let start = find(
        "start",
        true,
        &[0],
        |kind| !matches!(kind, CellKind::Whole | CellKind::Real),
        "a text, a timestamp or a date",
    );
    let target = find("target", true, &[1], is_number, "a list of numbers");
    let cat = match &rules.cardinality {
        Cardinality::Ignore => None,
        given => find(
            "cat",
            matches!(given, Cardinality::Given(_)),
            &[0, 1],
            |kind| kind == CellKind::Whole,
            "a list of whole numbers",
        ),
    };
    let dynamic_feat = match rules.num_dynamic_feat {
        DynamicFeatures::Ignore => None,
        given => find(
            "dynamic_feat",
            matches!(given, DynamicFeatures::Given(_)),
            &[2],
            is_number,
            "a list of lists of numbers",
        ),
    };
    match (start, target) {
        (Some(start), Some(target)) if faults.is_empty() => Ok(FoundColumns {
            start,
            target,
            cat,
            dynamic_feat,
        }),
        _ => Err(faults),
    }
}

/// The column `name`, which lies in so many lists as one of `depths` says.
fn find_column(
    schema: &SchemaDescriptor,
    name: &'static str,
    depths: &[usize],
    fits: fn(CellKind) -> bool,
    expected: &'static str,
) -> Result<Option<Found>, RecordFault> {
    let columns = schema.columns().iter().enumerate();
    let mut parts = columns.filter(|(_, column)| {
        column
            .path()
            .parts()
            .first()
            .is_some_and(|part| part == name)
    });
    let Some((index, column)) = parts.next() else {
        return Ok(None);
    };
    let wrong = |found: String| RecordFault::Value {
        place: format!("the column {name}"),
        found,
        expected,
    };
    if parts.next().is_some() {
        return Err(wrong("made of several".to_owned()));
    }
    let lists = lists_around(schema, column);
    match kind(column).filter(|kind| fits(*kind)) {
        Some(kind) if depths.contains(&lists.len()) => Ok(Some(Found {
            name,
            index,
            kind,
            present: column.max_def_level(),
            lists,
        })),
        _ => Err(wrong(format!(
            "of type {} in {} lists",
            column.physical_type(),
            lists.len()
        ))),
    }
}

/// The definition levels of the repeated parts of a column's path.
fn lists_around(schema: &SchemaDescriptor, column: &ColumnDescriptor) -> Vec<i16> {
    let mut lists = Vec::new();
    let mut level = 0;
    let mut fields = schema.root_schema().get_fields();
    for part in column.path().parts() {
        let Some(field) = fields.iter().find(|field| field.name() == part) else {
            break;
        };
        let info = field.get_basic_info();
        if info.has_repetition() {
            match info.repetition() {
                parquet::basic::Repetition::REQUIRED => {}
                parquet::basic::Repetition::OPTIONAL => level += 1,
                parquet::basic::Repetition::REPEATED => {
                    level += 1;
                    lists.push(level);
                }
            }
        }
        fields = if field.is_group() {
            field.get_fields()
        } else {
            &[]
        };
    }
    lists
}

/// What a column's values are, or `None` if they are none that a record has.
fn kind(column: &ColumnDescriptor) -> Option<CellKind> {
    let logical = column.logical_type_ref();
    match (column.physical_type(), logical, column.converted_type()) {
        (Physical::FLOAT | Physical::DOUBLE, _, _) => Some(CellKind::Real),
        (Physical::INT96, _, _) => Some(CellKind::Int96),
        (
            Physical::BYTE_ARRAY,
            None | Some(LogicalType::String),
            ConvertedType::NONE | ConvertedType::UTF8,
        ) => Some(CellKind::Text),
        (Physical::INT64, Some(LogicalType::Timestamp(time)), _) => {
            Some(CellKind::Time(match time.unit {
                TimeUnit::MILLIS => 1_000,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            }))
        }
        (Physical::INT64, None, ConvertedType::TIMESTAMP_MILLIS) => Some(CellKind::Time(1_000)),
        (Physical::INT64, None, ConvertedType::TIMESTAMP_MICROS) => Some(CellKind::Time(1_000_000)),
        (Physical::INT32, _, ConvertedType::DATE) => Some(CellKind::Days),
        // 64 bits without a sign would come as negative numbers.
        (Physical::INT64, _, ConvertedType::UINT_64) => None,
        (
            Physical::INT32 | Physical::INT64,
            None | Some(LogicalType::Integer(_)),
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64
            | ConvertedType::UINT_8
            | ConvertedType::UINT_16,
        ) => Some(CellKind::Whole),
        _ => None,
    }
}

/// A column of a row group, read row by row.
struct Column<'a> {
    found: &'a Found,
    reader: ColumnReader,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

/// The values of a row's cell that are there.
enum Cell {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl<'a> Column<'a> {
    fn open(found: &'a Found, group: &dyn RowGroupReader) -> Result<Self, Vec<RecordFault>> {
        let compression = group.metadata().column(found.index).compression();
        if !matches!(
            compression,
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_)
        ) {
            return Err(vec![RecordFault::Value {
                place: format!("the column {}", found.name),
                // Without the level: `ZSTD(ZstdLevel(1))`.
                found: format!("compressed by {compression}")
                    .split('(')
                    .take(1)
                    .collect(),
                expected: "compressed by gzip or snappy, or not at all",
            }]);
        }
        let reader = group.get_column_reader(found.index);
        Ok(Self {
            found,
            reader: reader.map_err(|fault| unreadable(&fault))?,
            definition: Vec::new(),
            repetition: Vec::new(),
        })
    }

    /// The values of the next row, with their levels in `self`.
    fn next(&mut self) -> Result<Cell, Vec<RecordFault>> {
        use ColumnReader as Of;
        let (definition, repetition) = (&mut self.definition, &mut self.repetition);
        let cell = match &mut self.reader {
            Of::ByteArrayColumnReader(reader) => {
                fetch(reader, definition, repetition).map(Cell::Text)
            }
            Of::DoubleColumnReader(reader) => fetch(reader, definition, repetition).map(Cell::Real),
            Of::FloatColumnReader(reader) => fetch(reader, definition, repetition)
                .map(|values| Cell::Real(values.into_iter().map(f64::from).collect())),
            Of::Int64ColumnReader(reader) => fetch(reader, definition, repetition).map(Cell::Whole),
            Of::Int32ColumnReader(reader) => fetch(reader, definition, repetition)
                .map(|values| Cell::Whole(values.into_iter().map(i64::from).collect())),
            Of::Int96ColumnReader(reader) => fetch(reader, definition, repetition)
                .map(|values| Cell::Whole(values.iter().map(Int96::to_seconds).collect())),
            Of::BoolColumnReader(_) | Of::FixedLenByteArrayColumnReader(_) => {
                Err(ColumnFault::OtherType)
            }
        };
        cell.map_err(|fault| {
            vec![RecordFault::Unreadable(format!(
                "{}: {fault}",
                self.found.name
            ))]
        })
    }

    /// The row's values in their innermost lists, `None` where one is null; or
    /// `None` if the whole cell is null.
    fn lists<T>(&self, values: Vec<T>) -> Option<Vec<Vec<Option<T>>>> {
        let Found { present, lists, .. } = self.found;
        let (outermost, innermost) = (lists.first().copied(), lists.last().copied().unwrap_or(0));
        // A list that is empty lacks one level to having an element, a null two.
        let there = outermost.map_or(*present, |level| level - 1);
        if *self.definition.first()? < there {
            return None;
        }
        let mut values = values.into_iter();
        let mut found = Vec::new();
        if lists.len() < 2 {
            found.push(Vec::new());
        }
        for (level, &definition) in self.definition.iter().enumerate() {
            let repetition = self.repetition.get(level).copied().unwrap_or(0);
            if lists.len() == 2 && repetition < 2 && Some(definition) >= outermost {
                found.push(Vec::new());
            }
            if definition >= innermost {
                let value = if definition == *present {
                    values.next()
                } else {
                    None
                };
                found.last_mut()?.push(value);
            }
        }
        Some(found)
    }
}

/// Why a row of a column cannot be read.
#[derive(Debug, thiserror::Error)]
enum ColumnFault {
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error("there are fewer rows than the file says")]
    TooFewRows,
    #[error("a column has another type than the file says")]
    OtherType,
}

/// The values of the next row, and their levels.
fn fetch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    definition: &mut Vec<i16>,
    repetition: &mut Vec<i16>,
) -> Result<Vec<T::T>, ColumnFault> {
    definition.clear();
    repetition.clear();
    let mut values = Vec::new();
    let read = reader.read_records(1, Some(definition), Some(repetition), &mut values);
    let (rows, _, levels) = read?;
    if rows != 1 {
        return Err(ColumnFault::TooFewRows);
    }
    // Where nothing can be null, there are no levels.
    definition.resize(levels, 0);
    Ok(values)
}

/// The columns of a row group.
struct Columns<'a> {
    start: Column<'a>,
    target: Column<'a>,
    cat: Option<Column<'a>>,
    dynamic_feat: Option<Column<'a>>,
}

impl<'a> Columns<'a> {
    fn open(found: &'a FoundColumns, group: &dyn RowGroupReader) -> Result<Self, Vec<RecordFault>> {
        let optional = |found: &'a Option<Found>| {
            let found = found.as_ref();
            found.map(|found| Column::open(found, group)).transpose()
        };
        Ok(Self {
            start: Column::open(&found.start, group)?,
            target: Column::open(&found.target, group)?,
            cat: optional(&found.cat)?,
            dynamic_feat: optional(&found.dynamic_feat)?,
        })
    }

    /// The series of the next row or its faults.
    ///
    /// # Errors
    /// The file can't be read further.
    fn next(
        &mut self,
        rules: &RecordRules,
    ) -> Result<Result<Series, Vec<RecordFault>>, Vec<RecordFault>> {
        let mut faults = Vec::new();
        let start = self.start.next()?;
        let start = self.start_of(start, rules, &mut faults);
        let target = self.target.next()?;
        let target = match self
            .target
            .numbers(target)
            .and_then(|mut lists| lists.pop())
        {
            Some(list) => values(
                "target",
                list,
                Missing::Allowed,
                rules.likelihood,
                &mut faults,
            ),
            None => missing("target", &mut faults),
        };
        let mut cat = Vec::new();
        if let Some(column) = &mut self.cat
            && rules.cardinality != Cardinality::Ignore
        {
            let cell = column.next()?;
            if let Some(read) = column.categories(cell, &mut faults) {
                rules.check_categories(&read, &mut faults);
                cat = read;
            }
        }
        let mut dynamic_feat = Vec::new();
        if let Some(column) = &mut self.dynamic_feat
            && rules.num_dynamic_feat != DynamicFeatures::Ignore
        {
            let cell = column.next()?;
            if let Some(read) = column.features(cell, &mut faults) {
                rules.check_features(&read, target.as_ref().map(Vec::len), &mut faults);
                dynamic_feat = read;
            }
        }
        Ok(match (start, target) {
            (Some(start), Some(target)) if faults.is_empty() => Ok(Series {
                start,
                target,
                cat,
                dynamic_feat,
            }),
            _ => Err(faults),
        })
    }

    fn start_of(
        &self,
        cell: Cell,
        rules: &RecordRules,
        faults: &mut Vec<RecordFault>,
    ) -> Option<Period> {
        let start = match (cell, self.start.found.kind) {
            (Cell::Text(texts), _) => {
                let Some(text) = texts.first() else {
                    return missing("start", faults);
                };
                let text = String::from_utf8_lossy(text.data());
                rules.frequency.parse_start(&text)
            }
            (Cell::Whole(numbers), kind) => {
                let Some(&number) = numbers.first() else {
                    return missing("start", faults);
                };
                let seconds = match kind {
                    CellKind::Time(a_second) => number.div_euclid(a_second),
                    CellKind::Days => number.saturating_mul(86_400),
                    _ => number,
                };
                rules.frequency.period_of_seconds(seconds)
            }
            (Cell::Real(_), _) => return missing("start", faults),
        };
        start.map_err(|fault| faults.push(fault.into())).ok()
    }
}

fn missing<T>(field: &'static str, faults: &mut Vec<RecordFault>) -> Option<T> {
    faults.push(RecordFault::Missing { field, near: None });
    None
}

impl Column<'_> {
    /// The row's numbers in their innermost lists.
    fn numbers(&self, cell: Cell) -> Option<Vec<Vec<Option<f64>>>> {
        match cell {
            Cell::Real(values) => self.lists(values),
            #[expect(clippy::cast_precision_loss, reason = "targets have single precision")]
            Cell::Whole(values) => {
                self.lists(values.into_iter().map(|value| value as f64).collect())
            }
            Cell::Text(_) => None,
        }
    }

    fn categories(&self, cell: Cell, faults: &mut Vec<RecordFault>) -> Option<Vec<u32>> {
        let list = match cell {
            Cell::Whole(values) => self.lists(values).and_then(|mut lists| lists.pop()),
            Cell::Text(_) | Cell::Real(_) => None,
        };
        let Some(list) = list else {
            return missing("cat", faults);
        };
        let before = faults.len();
        let mut categories = Vec::with_capacity(list.len());
        for (feature, category) in list.into_iter().enumerate() {
            match category.map(u32::try_from) {
                Some(Ok(category)) => categories.push(category),
                _ => faults.push(RecordFault::Value {
                    place: format!("cat[{feature}]"),
                    found: category.map_or("null".to_owned(), |category| category.to_string()),
                    expected: "a whole number from 0",
                }),
            }
        }
        (faults.len() == before).then_some(categories)
    }

    fn features(&self, cell: Cell, faults: &mut Vec<RecordFault>) -> Option<Vec<Vec<f32>>> {
        let Some(lists) = self.numbers(cell) else {
            return missing("dynamic_feat", faults);
        };
        let before = faults.len();
        let mut features = Vec::with_capacity(lists.len());
        for (feature, list) in lists.into_iter().enumerate() {
            let place = format!("dynamic_feat[{feature}]");
            features.extend(values(&place, list, Missing::Refused, None, faults));
        }
        (faults.len() == before).then_some(features)
    }
}

/// The numbers of a list, or `None` if one of them is a fault.
fn values(
    place: &str,
    list: Vec<Option<f64>>,
    missing: Missing,
    likelihood: Option<Likelihood>,
    faults: &mut Vec<RecordFault>,
) -> Option<Vec<f32>> {
    let before = faults.len();
    let mut values = Vec::with_capacity(list.len());
    for (number, value) in list.into_iter().enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "targets have single precision"
        )]
        let single = value.map_or(f32::NAN, |value| value as f32);
        let place = || format!("{place}[{number}]");
        let found = || value.map_or("null".to_owned(), |value| value.to_string());
        match checked(Some(single), missing, likelihood, place, found) {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    (faults.len() == before).then_some(values)
}
