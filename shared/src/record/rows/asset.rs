//! An asset in the table of assets, the catalogue of what prices there are.

use super::Item;

/// An asset's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRow {
    /// Its ticker, or else the table's key.
    pub ticker: String,
    /// Its class, such as `Energy`.
    pub class: Option<String>,
}

impl AssetRow {
    /// What an item holds; `None` if it names no asset. An empty text says no more than none.
    pub fn read(item: &Item) -> Option<Self> {
        let text = |name: &str| {
            let text = item.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        Some(Self {
            ticker: text("ticker").or_else(|| text("Id"))?,
            class: text("assetClass"),
        })
    }
}
