//! DynamoDB: clients, the conversion of items, and the tables' operations.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use pipewright::record::{Expected, Item, RecordId, RecordUpdate, names};
use serde_json::{Number, Value};

pub mod endpoints;
pub mod memory;
mod records;

pub use records::{Creation, ListedExecution, Records};

/// A DynamoDB client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// An operation on a table that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// DynamoDB refused, or could not be reached, retries included.
    #[error("{operation} on table {table}: {message}")]
    Service {
        /// The API operation.
        operation: &'static str,
        /// The table's name.
        table: String,
        /// The service's error code, where it gave one.
        code: Option<String>,
        /// What the service or the client said.
        message: String,
    },
    /// A condition refused an update, and the item that would tell which was not handed
    /// back, or is one for which all of them hold.
    #[error(
        "UpdateItem on table {table}: DynamoDB says that a condition failed for the record {id}, and hands back nothing \
         that tells which"
    )]
    Unexplained {
        /// The table's name.
        table: String,
        /// The record's id.
        id: String,
    },
    /// A listing does not end.
    #[error(transparent)]
    Endless(#[from] crate::EndlessListing),
    /// An item holds a value that we never write.
    #[error("table {table}: attribute {attribute} {value}")]
    Unreadable {
        /// The table's name.
        table: String,
        /// The attribute's name.
        attribute: String,
        /// What it is.
        value: UnreadableValue,
    },
}

/// A value that JSON has no place for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableValue {
    /// A binary, or something that holds one.
    #[error("is binary, which nothing here reads")]
    Binary,
    /// A number, or something that holds one, with another text than a number has in JSON.
    #[error("is {0:?}, which is not a number")]
    NotANumber(String),
}

impl TableError {
    fn service<E>(operation: &'static str, table: &str, error: &E) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        Self::Service {
            operation,
            table: table.to_owned(),
            code: error.code().map(str::to_owned),
            message: crate::service_cause(error),
        }
    }
}

/// A conditional update; that its condition refused it is not an error.
fn unless_refused<T>(
    sent: Result<T, SdkError<UpdateItemError>>,
    table: &str,
) -> Result<(), TableError> {
    match sent {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Ok(())
        }
        Err(error) => Err(TableError::service("UpdateItem", table, &error)),
        Ok(_) => Ok(()),
    }
}

/// DynamoDB's value of an attribute; a number keeps its text.
pub fn to_sdk(attribute: &Value) -> AttributeValue {
    match attribute {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(elements) => AttributeValue::L(elements.iter().map(to_sdk).collect()),
        Value::Object(entries) => AttributeValue::M(item_to_sdk(entries)),
    }
}

/// The SDK's form of an item.
pub fn item_to_sdk(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter()
        .map(|(name, value)| (name.clone(), to_sdk(value)))
        .collect()
}

/// The attribute that DynamoDB's value holds; a number keeps its text. Sets become lists, and the
/// entries of a map come in the order of their names, since DynamoDB keeps none.
///
/// # Errors
/// [`UnreadableValue`] for what JSON can't hold.
pub fn from_sdk(value: &AttributeValue) -> Result<Value, UnreadableValue> {
    let number = |text: &String| match Number::from_str(text) {
        Ok(number) => Ok(Value::Number(number)),
        Err(_) => Err(UnreadableValue::NotANumber(text.clone())),
    };
    Ok(match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::N(text) => number(text)?,
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::L(elements) => elements.iter().map(from_sdk).collect::<Result<_, _>>()?,
        AttributeValue::M(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            let entries = sorted
                .into_iter()
                .map(|(name, value)| Ok((name.clone(), from_sdk(value)?)));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
        AttributeValue::Ss(texts) => texts.iter().map(String::as_str).collect(),
        AttributeValue::Ns(texts) => texts.iter().map(number).collect::<Result<_, _>>()?,
        _ => return Err(UnreadableValue::Binary),
    })
}

/// An item as the table of this name gives it.
///
/// # Errors
/// [`TableError::Unreadable`] with the attribute that JSON can't hold.
pub fn item_from_sdk(
    table: &str,
    item: &HashMap<String, AttributeValue>,
) -> Result<Item, TableError> {
    let sorted: BTreeMap<_, _> = item.iter().collect();
    let attributes = sorted.into_iter().map(|(name, value)| {
        let value = from_sdk(value).map_err(|value| TableError::Unreadable {
            table: table.to_owned(),
            attribute: name.clone(),
            value,
        })?;
        Ok((name.clone(), value))
    });
    attributes.collect()
}

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table of this name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the item whose partition key `key` is `value` (of a table without
    /// sort key), consistently; `None` if there is none.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn get(&self, key: &str, value: &str) -> Result<Option<Item>, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(key, AttributeValue::S(value.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| TableError::service("GetItem", &self.name, &error))?;
        answer.item().map(|item| self.item(item)).transpose()
    }

    /// Reads all items; for small tables.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn items(&self) -> Result<Vec<Item>, TableError> {
        let mut items = Vec::new();
        let scan = self.client.scan().table_name(&self.name);
        let mut pages = scan.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| TableError::service("Scan", &self.name, &error))?;
            for item in page.items() {
                items.push(self.item(item)?);
            }
        }
        Ok(items)
    }

    /// Writes an item, in the place of one with the same key.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be written.
    pub async fn put(&self, item: &Item) -> Result<(), TableError> {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item_to_sdk(item)))
            .send()
            .await
            .map_err(|error| TableError::service("PutItem", &self.name, &error))?;
        Ok(())
    }

    /// Deletes the item whose partition key `key` is `value` (of a table without sort key); there
    /// being none is not a failure.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be gone.
    pub async fn delete(&self, key: &str, value: &str) -> Result<(), TableError> {
        self.client
            .delete_item()
            .table_name(&self.name)
            .key(key, AttributeValue::S(value.to_owned()))
            .send()
            .await
            .map_err(|error| TableError::service("DeleteItem", &self.name, &error))?;
        Ok(())
    }

    fn item(&self, item: &HashMap<String, AttributeValue>) -> Result<Item, TableError> {
        item_from_sdk(&self.name, item)
    }
}

/// The table `executions`.
#[derive(Debug, Clone)]
pub struct Executions {
    table: Table,
}

impl Executions {
    /// The executions in the table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(client, table),
        }
    }

    /// Writes an item that keeps what was asked of an execution's model.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be written.
    pub async fn keep(&self, item: &Item) -> Result<(), TableError> {
        self.table.put(item).await
    }

    /// Reads all items of an execution, consistently, in the order of their
    /// sort keys.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn items(&self, id: &str) -> Result<Vec<Item>, TableError> {
        self.query(id, None).await
    }

    /// Reads the items of an execution whose sort keys lie from `first` to
    /// `last`, both included, consistently and in that order.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn entries(
        &self,
        id: &RecordId,
        first: &str,
        last: &str,
    ) -> Result<Vec<Item>, TableError> {
        self.query(id.as_str(), Some((first, last))).await
    }

    async fn beginning_with(&self, id: &RecordId, prefix: &str) -> Result<Vec<Item>, TableError> {
        // `$` comes after `#`.
        self.entries(id, prefix, &prefix.replace('#', "$")).await
    }

    async fn query(
        &self,
        id: &str,
        between: Option<(&str, &str)>,
    ) -> Result<Vec<Item>, TableError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let mut query = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .expression_attribute_names("#id", names::ID)
                .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
                .consistent_read(true)
                .set_exclusive_start_key(from);
            query = match between {
                None => query.key_condition_expression("#id = :id"),
                Some((first, last)) => query
                    .key_condition_expression("#id = :id AND #entry BETWEEN :first AND :last")
                    .expression_attribute_names("#entry", names::ENTRY)
                    .expression_attribute_values(":first", AttributeValue::S(first.to_owned()))
                    .expression_attribute_values(":last", AttributeValue::S(last.to_owned())),
            };
            let answer = query
                .send()
                .await
                .map_err(|error| TableError::service("Query", &self.table.name, &error))?;
            for item in answer.items() {
                items.push(self.table.item(item)?);
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }
}

fn key(id: &str, entry: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        (names::ID.to_owned(), AttributeValue::S(id.to_owned())),
        (names::ENTRY.to_owned(), AttributeValue::S(entry.to_owned())),
    ])
}

fn non_empty<K, V>(map: HashMap<K, V>) -> Option<HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

/// An update in DynamoDB's expression language.
#[derive(Debug, Default, PartialEq)]
struct Expression {
    update: Option<String>,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn of(update: &RecordUpdate) -> Self {
        let mut expression = Self::default();
        let mut placeholders = BTreeMap::new();
        let mut name = |attribute: &str| {
            let next = placeholders.len();
            let placeholder = placeholders
                .entry(attribute.to_owned())
                .or_insert_with(|| format!("#n{next}"))
                .clone();
            expression
                .names
                .insert(placeholder.clone(), attribute.to_owned());
            placeholder
        };
        let mut values = HashMap::new();
        let mut value = |attribute: AttributeValue| {
            let placeholder = format!(":v{}", values.len());
            values.insert(placeholder.clone(), attribute);
            placeholder
        };

        let mut sets = Vec::new();
        for (attribute, new) in &update.set {
            sets.push(format!("{} = {}", name(attribute), value(to_sdk(new))));
        }
        for (attribute, new) in &update.set_if_absent {
            let attribute = name(attribute);
            sets.push(format!(
                "{attribute} = if_not_exists({attribute}, {})",
                value(to_sdk(new))
            ));
        }
        let removes: Vec<String> = update
            .remove
            .iter()
            .map(|attribute| name(attribute))
            .collect();
        let clauses = [("SET", sets), ("REMOVE", removes)]
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(keyword, parts)| format!("{keyword} {}", parts.join(", ")))
            .collect::<Vec<_>>()
            .join(" ");

        let mut conditions = Vec::new();
        if update.expected != Expected::Anything {
            conditions.push(format!("attribute_exists({})", name(names::ID)));
        }
        let unclaimed = |attribute: &str, created: Option<String>| match created {
            Some(created) => {
                format!("(attribute_not_exists({attribute}) AND attribute_exists({created}))")
            }
            None => format!("attribute_not_exists({attribute})"),
        };
        let created = (update.expected == Expected::Started).then(|| name(names::CREATED_AT));
        match &update.arn_key {
            Some(arn) => {
                let attribute = name(names::ARN_KEY);
                let arn = value(AttributeValue::S(arn.clone()));
                conditions.push(format!(
                    "({} OR {attribute} = {arn})",
                    unclaimed(&attribute, created)
                ));
            }
            None => conditions.extend(created.map(|created| {
                let attribute = name(names::ARN_KEY);
                format!("(attribute_exists({attribute}) OR attribute_exists({created}))")
            })),
        }
        if let Some((attribute, arn)) = &update.made {
            let attribute = name(attribute);
            let arn = value(AttributeValue::S(arn.clone()));
            conditions.push(format!("{attribute} = {arn}"));
        }
        if let Some((attribute, position)) = &update.position {
            let attribute = name(attribute);
            let position = value(AttributeValue::S(position.clone()));
            conditions.push(format!(
                "(attribute_not_exists({attribute}) OR {attribute} < {position})"
            ));
        }
        expression.values = values;
        expression.update = (!clauses.is_empty()).then_some(clauses);
        expression.condition = (!conditions.is_empty()).then(|| conditions.join(" AND "));
        expression
    }
}

impl fmt::Display for Executions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn update() -> RecordUpdate {
        RecordUpdate {
            id: RecordId::new("run-1").unwrap(),
            set: Item::from_iter([("b".to_owned(), Value::from("1"))]),
            set_if_absent: Item::from_iter([("a".to_owned(), Value::from(2))]),
            remove: BTreeSet::from(["c".to_owned()]),
            position: Some(("b", "1".to_owned())),
            arn_key: Some("arn".to_owned()),
            expected: Expected::Exists,
            made: None,
        }
    }

    #[test]
    fn an_update_becomes_one_expression_with_its_conditions() {
        let expression = Expression::of(&update());
        assert_eq!(
            expression.update.as_deref(),
            Some("SET #n0 = :v0, #n1 = if_not_exists(#n1, :v1) REMOVE #n2")
        );
        assert_eq!(
            expression.condition.as_deref(),
            Some(
                "attribute_exists(#n3) AND (attribute_not_exists(#n4) OR #n4 = :v2) \
                 AND (attribute_not_exists(#n0) OR #n0 < :v3)"
            )
        );
        assert_eq!(expression.names["#n4"], "arnKey");
        assert_eq!(expression.names.len(), 5);
        assert_eq!(expression.values.len(), 4);
    }

    #[test]
    fn what_the_record_and_its_step_must_be_are_conditions() {
        let only = |expected, arn_key: Option<&str>, made: Option<&str>| {
            let update = RecordUpdate {
                position: None,
                arn_key: arn_key.map(str::to_owned),
                expected,
                made: made.map(|arn| (names::MODEL_STEP_ARN, arn.to_owned())),
                ..update()
            };
            let mut condition = Expression::of(&update).condition.unwrap_or_default();
            for (placeholder, name) in Expression::of(&update).names {
                condition = condition.replace(&placeholder, &name);
            }
            condition
        };
        assert_eq!(only(Expected::Anything, None, None), "");
        assert_eq!(
            only(Expected::Started, Some("a"), None),
            "attribute_exists(Id) AND ((attribute_not_exists(arnKey) AND \
             attribute_exists(createdAt)) OR arnKey = :v2)"
        );
        assert_eq!(
            only(Expected::Started, None, None),
            "attribute_exists(Id) AND (attribute_exists(arnKey) OR attribute_exists(createdAt))"
        );
        assert_eq!(
            only(Expected::Exists, None, Some("m")),
            "attribute_exists(Id) AND modelStepArn = :v2"
        );
    }

    /// A number keeps its text both ways, and everything else is what it was.
    #[test]
    fn every_attribute_survives_the_sdks_types() {
        let text = r#"{"flag":true,"list":["x",{}],"null":null,
            "rates":[0.0005,1e-3,12345678901234567890123,1.10,-0]}"#;
        let attribute: Value = serde_json::from_str(text).unwrap();
        let sdk = to_sdk(&attribute);
        let AttributeValue::M(entries) = &sdk else {
            panic!("{sdk:?}");
        };
        let rates = ["0.0005", "1e-3", "12345678901234567890123", "1.10", "-0"];
        let rates = rates.map(|text| AttributeValue::N(text.to_owned()));
        assert_eq!(entries["rates"], AttributeValue::L(rates.into()));
        assert_eq!(from_sdk(&sdk), Ok(attribute));
    }

    #[test]
    fn a_set_is_read_as_a_list_and_a_binary_is_not_read() {
        let set = AttributeValue::Ns(vec!["1".to_owned(), "2.50".to_owned()]);
        assert_eq!(from_sdk(&set).unwrap().to_string(), "[1,2.50]");
        let binary = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([1]));
        let list = AttributeValue::L(vec![binary]);
        assert_eq!(from_sdk(&list), Err(UnreadableValue::Binary));
    }

    #[test]
    fn a_number_that_is_none_is_named_with_its_attribute() {
        let inner = HashMap::from([("b".to_owned(), AttributeValue::N("x".to_owned()))]);
        let item = HashMap::from([("a".to_owned(), AttributeValue::M(inner))]);
        let error = item_from_sdk("t", &item).unwrap_err();
        assert_eq!(
            error.to_string(),
            "table t: attribute a is \"x\", which is not a number"
        );
    }

    /// The parts of an expression between `by`, which counts outside of brackets only.
    fn parts<'a>(text: &'a str, by: &str) -> Vec<&'a str> {
        let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
        for (place, character) in text.char_indices() {
            depth += i32::from(character == '(') - i32::from(character == ')');
            if depth == 0 && text[place..].starts_with(by) {
                parts.push(&text[start..place]);
                start = place + by.len();
            }
        }
        parts.push(&text[start..]);
        parts
    }

    fn argument<'a>(text: &'a str, function: &str) -> Option<&'a str> {
        let arguments = text.strip_prefix(function)?.strip_prefix('(')?;
        arguments.strip_suffix(')')
    }

    /// Whether a condition holds of an item, as DynamoDB reads it: of what is not there it says nothing.
    fn holds(condition: &str, expression: &Expression, item: &Item) -> bool {
        let of = |part: &&str| holds(part, expression, item);
        let stored = |name: &str| item.get(&expression.names[name]).and_then(Value::as_str);
        let is_there = |name: &str| item.contains_key(&expression.names[name]);
        let (any, all) = (parts(condition, " OR "), parts(condition, " AND "));
        if any.len() > 1 {
            return any.iter().any(of);
        }
        if all.len() > 1 {
            return all.iter().all(of);
        }
        if let Some(inner) = argument(condition, "") {
            return of(&inner);
        }
        if let Some(name) = argument(condition, "attribute_exists") {
            return is_there(name);
        }
        if let Some(name) = argument(condition, "attribute_not_exists") {
            return !is_there(name);
        }
        let [name, operator, value] = condition.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{condition}");
        };
        let value = expression.values[value].as_s().unwrap().as_str();
        stored(name).is_some_and(|stored| match operator {
            "=" => stored == value,
            "<" => stored < value,
            other => panic!("{other}"),
        })
    }

    /// The item after an update, as DynamoDB makes it.
    fn updated(expression: &Expression, before: &Item) -> Item {
        let mut after = before.clone();
        let text = format!(" {}", expression.update.as_deref().unwrap_or_default());
        let (sets, removes) = text.split_once(" REMOVE ").unwrap_or((&text, ""));
        for set in parts(sets.trim_start_matches(" SET "), ", ") {
            let (name, value) = set.split_once(" = ").unwrap();
            let name = &expression.names[name];
            let value = match argument(value, "if_not_exists") {
                Some(_) if after.contains_key(name) => continue,
                Some(arguments) => arguments.split_once(", ").unwrap().1,
                None => value,
            };
            after.insert(name.clone(), from_sdk(&expression.values[value]).unwrap());
        }
        for name in removes.split(", ").filter(|name| !name.is_empty()) {
            after.remove(&expression.names[name]);
        }
        after
    }

    /// What DynamoDB is told to do, and under which conditions, is what the model does, for every record.
    #[test]
    fn the_model_does_what_dynamodb_is_told() {
        let keys = json!({"Id": "run-1", "entry": "record"});
        let mut records = vec![None];
        for arn in [None, Some("ours"), Some("others")] {
            for created in [None, Some(1)] {
                for position in [None, Some("0"), Some("1"), Some("2")] {
                    for made in [None, Some("m"), Some("n")] {
                        let attributes = json!({
                            "arnKey": arn, "createdAt": created, "b": position, "modelStepArn": made, "c": "x",
                        });
                        let mut record = keys.as_object().unwrap().clone();
                        let attributes = attributes.as_object().unwrap().clone().into_iter();
                        record.extend(attributes.filter(|(_, value)| !value.is_null()));
                        records.push(Some(record));
                    }
                }
            }
        }
        for expected in [Expected::Anything, Expected::Exists, Expected::Started] {
            for arn in [None, Some("ours")] {
                for position in [None, Some("1")] {
                    for made in [None, Some("m")] {
                        // Only of a record that is there is asked what its steps made.
                        if made.is_some() && expected == Expected::Anything {
                            continue;
                        }
                        let update = RecordUpdate {
                            arn_key: arn.map(str::to_owned),
                            position: position.map(|position| ("b", position.to_owned())),
                            made: made.map(|made| (names::MODEL_STEP_ARN, made.to_owned())),
                            expected,
                            ..update()
                        };
                        let expression = Expression::of(&update);
                        for record in &records {
                            let before = record.clone().unwrap_or_default();
                            let condition = expression.condition.as_deref();
                            let may =
                                condition.is_none_or(|text| holds(text, &expression, &before));
                            let model = update.apply(record.as_ref());
                            assert_eq!(model.is_ok(), may, "{update:?} of {record:?}");
                            if let Ok(after) = model {
                                let mut told = keys.as_object().unwrap().clone();
                                told.extend(updated(&expression, &before));
                                assert_eq!(after, told, "{update:?} of {record:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
