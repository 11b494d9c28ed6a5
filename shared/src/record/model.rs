//! What was asked of an execution's model and kept: its scores beside those of
//! naive forecasts, and its forecasts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::id::RecordId;
use super::names;
use super::rows::Item;

/// An execution's model on the windows of the test channel, beside naive
/// forecasts of the same windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelScore {
    /// When it was scored, epoch milliseconds.
    pub at: i64,
    /// The address of the model's artifact.
    pub model: String,
    /// How many test windows there are.
    pub windows: usize,
    /// Over all series of the test channel.
    pub all_series: Compared,
    /// Of the predicted asset's price alone; `None` if its series is none of the
    /// channel's.
    pub predicted: Option<Compared>,
}

/// A model beside naive forecasts, over a set of series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// The asset, of one alone.
    pub asset: Option<String>,
    /// How many series.
    pub series: usize,
    /// How many held-out values.
    pub observations: usize,
    /// The measures, each the better the lower.
    pub measures: Vec<MeasureCompared>,
}

/// A measure of the model beside the naive forecast that is the best by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasureCompared {
    /// `RMSE` or `mean_wQuantileLoss`.
    pub measure: String,
    /// The model's value over all windows.
    pub model: f64,
    /// The naive forecast.
    pub method: String,
    /// Its value over all windows.
    pub baseline: f64,
    /// In how many windows the model's value is the lower one.
    pub better: usize,
    /// In how many it is the higher one.
    pub worse: usize,
    /// The p-value of the two-sided sign test over those windows.
    pub p: f64,
}

impl ModelScore {
    /// The item of execution `id` that keeps it, in place of an earlier one.
    pub fn item(&self, id: &RecordId) -> Item {
        item(id, names::SCORE_ENTRY.to_owned(), &json!(self))
    }

    /// What an item keeps; `None` if it is no such item.
    pub(super) fn of_item(entry: &str, item: &Item) -> Option<Self> {
        (entry == names::SCORE_ENTRY).then(|| read(item)).flatten()
    }
}

/// A forecast that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptForecast {
    /// When it was made, RFC 3339 in UTC.
    pub made_at: String,
    /// What made it: an endpoint, or the address of a model's artifact.
    pub source: String,
    /// The assets.
    pub assets: Vec<String>,
    /// The day of the first point, and that of the last one.
    pub first_date: String,
    /// See `first_date`.
    pub last_date: String,
    /// How many paths were drawn.
    pub samples: usize,
    /// The address of the table of the forecast, a CSV file.
    pub table: String,
}

impl KeptForecast {
    /// The item of execution `id` that keeps it.
    pub fn item(&self, id: &RecordId) -> Item {
        let entry = format!("{}{}", names::FORECAST_PREFIX, self.made_at);
        item(id, entry, &json!(self))
    }

    /// What an item keeps; `None` if it is no such item.
    pub(super) fn of_item(entry: &str, item: &Item) -> Option<Self> {
        entry
            .starts_with(names::FORECAST_PREFIX)
            .then(|| read(item))
            .flatten()
    }
}

fn item(id: &RecordId, entry: String, fields: &Value) -> Item {
    let mut item = fields.as_object().cloned().unwrap_or_default();
    item.insert(names::ID.to_owned(), Value::from(id.as_str()));
    item.insert(names::ENTRY.to_owned(), Value::String(entry));
    item
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Option<T> {
    T::deserialize(item).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let id = RecordId::new("run-1").unwrap();
        let score = ModelScore {
            at: 1_714_978_800_123,
            model: "s3://b/model.tar.gz".to_owned(),
            windows: 4,
            all_series: Compared {
                asset: None,
                series: 3,
                observations: 60,
                measures: vec![MeasureCompared {
                    measure: "RMSE".to_owned(),
                    model: 1.25e-7,
                    method: "drift".to_owned(),
                    baseline: 0.1,
                    better: 3,
                    worse: 1,
                    p: 0.625,
                }],
            },
            predicted: None,
        };
        let item = score.item(&id);
        assert_eq!(item[names::ENTRY], Value::from("score"));
        assert_eq!(ModelScore::of_item("score", &item), Some(score));
        assert_eq!(ModelScore::of_item("scores", &item), None);

        let forecast = KeptForecast {
            made_at: "2026-11-30T12:00:00.123Z".to_owned(),
            source: "endpoint e".to_owned(),
            assets: vec!["JPM".to_owned()],
            first_date: "2022-12-31".to_owned(),
            last_date: "2023-01-04".to_owned(),
            samples: 200,
            table: "s3://b/f.csv".to_owned(),
        };
        let item = forecast.item(&id);
        let entry = "forecast#2026-11-30T12:00:00.123Z";
        assert_eq!(item[names::ENTRY], Value::from(entry));
        assert_eq!(KeptForecast::of_item(entry, &item), Some(forecast));
        // One that is not as it should be is none that is read.
        assert_eq!(ModelScore::of_item("score", &item), None);
    }
}
