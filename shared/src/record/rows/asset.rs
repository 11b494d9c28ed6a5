//! An asset in the table of assets, the catalogue of what prices there are.

use serde::Serialize;

use super::Item;

/// An asset's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetRow {
    /// The table's key.
    #[serde(rename = "Id")]
    pub id: String,
    /// Its ticker, or else the table's key.
    pub ticker: String,
    /// Its class, such as `Energy`.
    #[serde(rename = "assetClass")]
    pub class: Option<String>,
    /// What a person says of it.
    pub description: Option<String>,
    /// The day of its first price, such as `2010-01-04`.
    pub start_date: Option<String>,
    /// The day of its last price.
    pub end_date: Option<String>,
    /// How many prices it has.
    pub data_rows: Option<u64>,
    /// The key of its price file.
    pub bucket_key: Option<String>,
}

impl AssetRow {
    /// What an item holds; `None` if it names no asset. An empty text says no more than none.
    pub fn read(item: &Item) -> Option<Self> {
        let text = |name: &str| {
            let text = item.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let ticker = text("ticker").or_else(|| text("Id"))?;
        Some(Self {
            id: text("Id").unwrap_or_else(|| ticker.clone()),
            ticker,
            class: text("assetClass"),
            description: text("description"),
            start_date: text("startDate"),
            end_date: text("endDate"),
            data_rows: item.get("dataRows").and_then(serde_json::Value::as_u64),
            bucket_key: text("bucketKey"),
        })
    }
}
