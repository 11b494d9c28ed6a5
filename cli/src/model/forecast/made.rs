//! A forecast that was made, as a table, as JSON and as a chart.

use pipewright::features::plots::{BANDS, FanChart, FanPoint, PlotError};
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::prices::{Past, Points, Prices};

/// Rows of prices before the forecast that a chart shows: a quarter of a year of trading
/// days.
const SHOWN: usize = 63;

/// How far apart levels are the same: sums of decimal fractions differ in their last digits.
const NEAR: f64 = 1e-9;

/// What made the forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "camelCase")]
pub(crate) enum Source {
    /// An endpoint in service, by its name.
    Endpoint(String),
    /// The artifact of Pipewright's own DeepAR, by its address, computed here.
    Artifact(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endpoint(name) => write!(f, "endpoint {name}"),
            Self::Artifact(url) => write!(f, "the model {url}"),
        }
    }
}

/// The forecast of a day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) date: Date,
    /// The mean of the samples, in the price's unit.
    pub(crate) mean: f64,
    /// A quantile for each of [`Forecasts::levels`].
    pub(crate) quantiles: Vec<f64>,
    /// The price, where it is known.
    pub(crate) actual: Option<f64>,
}

/// The forecast of an asset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forecast {
    pub(crate) asset: String,
    /// The last price that it was made from.
    pub(crate) last: (Date, f64),
    pub(crate) points: Vec<Point>,
}

impl Forecast {
    /// Puts the forecast of each point on its day. Days on which the asset never has
    /// prices are left out.
    pub(crate) fn new(
        prices: &Prices,
        points: Points,
        past: &Past,
        days: &[Date],
        mean: &[f64],
        quantiles: &[Vec<f64>],
    ) -> Self {
        let all = days.iter().enumerate().map(|(at, date)| Point {
            date: *date,
            mean: mean[at],
            quantiles: quantiles.iter().map(|values| values[at]).collect(),
            actual: prices.on(*date),
        });
        Self {
            asset: prices.asset.clone(),
            last: prices.rows[past.rows - 1],
            points: all
                .filter(|point| prices.can_have_a_price_on(points, point.date))
                .collect(),
        }
    }
}

/// The forecasts of an execution's model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forecasts {
    pub(crate) execution: String,
    /// When they were made, UTC.
    pub(crate) made_at: OffsetDateTime,
    pub(crate) source: Source,
    pub(crate) samples: usize,
    /// Of the quantiles, ascending, each in (0, 1).
    pub(crate) levels: Vec<f64>,
    /// Those of [`Self::levels`] that a table shows, by their place.
    pub(crate) told: Vec<usize>,
    pub(crate) forecasts: Vec<Forecast>,
}

impl Forecasts {
    /// When they were made, RFC 3339 in UTC: texts that sort as their moments do.
    pub(crate) fn made_at(&self) -> Result<String, time::error::Format> {
        self.made_at.format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
    }

    pub(crate) fn assets(&self) -> impl Iterator<Item = &str> {
        self.forecasts
            .iter()
            .map(|forecast| forecast.asset.as_str())
    }

    /// The earliest day that is forecast.
    pub(crate) fn first_date(&self) -> Option<Date> {
        self.dates().min()
    }

    /// The latest one.
    pub(crate) fn last_date(&self) -> Option<Date> {
        self.dates().max()
    }

    fn dates(&self) -> impl Iterator<Item = Date> {
        let points = self.forecasts.iter().flat_map(|forecast| &forecast.points);
        points.map(|point| point.date)
    }

    /// A row a day: `asset,date,mean,<quantiles>,actual`; `actual` is empty where the price
    /// is not known.
    pub(crate) fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let levels = self.told.iter().map(|at| self.levels[*at].to_string());
        let head = ["asset", "date", "mean"].map(str::to_owned).into_iter();
        writer.write_record(head.chain(levels).chain(["actual".to_owned()]))?;
        for forecast in &self.forecasts {
            for point in &forecast.points {
                let front = [
                    forecast.asset.clone(),
                    point.date.to_string(),
                    point.mean.to_string(),
                ];
                let quantiles = self.told.iter().map(|at| point.quantiles[*at].to_string());
                let actual = point.actual.map_or_else(String::new, |p| p.to_string());
                writer.write_record(front.into_iter().chain(quantiles).chain([actual]))?;
            }
        }
        writer
            .into_inner()
            .map_err(|error| error.into_error().into())
    }

    /// The same for programs, with what it was made by and from.
    ///
    /// # Errors
    /// Those of [`Self::made_at`].
    pub(crate) fn json(&self) -> Result<Value, time::error::Format> {
        let point = |point: &Point| {
            let quantiles: Map<String, Value> = self
                .told
                .iter()
                .map(|at| (self.levels[*at].to_string(), json!(point.quantiles[*at])))
                .collect();
            json!({
                "date": point.date.to_string(),
                "mean": point.mean,
                "quantiles": quantiles,
                "actual": point.actual,
            })
        };
        let forecast = |forecast: &Forecast| {
            let (day, price) = forecast.last;
            json!({
                "asset": forecast.asset,
                "lastPrice": {"date": day.to_string(), "price": price},
                "points": forecast.points.iter().map(point).collect::<Vec<_>>(),
            })
        };
        Ok(json!({
            "execution": self.execution,
            "madeAt": self.made_at()?,
            "source": self.source,
            "samples": self.samples,
            "forecasts": self.forecasts.iter().map(forecast).collect::<Vec<_>>(),
        }))
    }

    /// The chart of one of the forecasts, as a PNG file.
    pub(crate) fn chart(&self, forecast: &Forecast, prices: &Prices) -> Result<Vec<u8>, PlotError> {
        let quantile = |point: &Point, level: f64| point.quantiles[place(&self.levels, level)];
        let fan: Vec<FanPoint> = forecast
            .points
            .iter()
            .map(|point| FanPoint {
                date: point.date,
                median: quantile(point, 0.5),
                bands: BANDS.map(|share| {
                    let [low, high] = bounds(share);
                    (quantile(point, low), quantile(point, high))
                }),
            })
            .collect();
        let known = prices
            .rows
            .partition_point(|(day, _)| *day <= forecast.last.0);
        let held_out: Vec<(Date, f64)> = forecast
            .points
            .iter()
            .filter_map(|point| Some((point.date, point.actual?)))
            .collect();
        let title = format!(
            "{} by execution {}; shaded: 50, 80 and 95 % of samples",
            forecast.asset, self.execution
        );
        FanChart {
            title: &title,
            known: &prices.rows[known.saturating_sub(SHOWN)..known],
            held_out: &held_out,
            forecast: &fan,
        }
        .png()
    }
}

/// The levels of the quantiles that bound a central interval.
fn bounds(share: f64) -> [f64; 2] {
    let tail = (1.0 - share) / 2.0;
    [tail, 1.0 - tail]
}

/// The levels that a table is asked to show and those that a chart takes, ascending and
/// each once, and the places of the former.
pub(crate) fn levels(told: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let drawn = BANDS.iter().flat_map(|share| bounds(*share)).chain([0.5]);
    let near = |a: &f64, b: &f64| (a - b).abs() < NEAR;
    let mut levels: Vec<f64> = told.to_vec();
    levels.extend(drawn.filter(|level| !told.iter().any(|one| near(one, level))));
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| near(a, b));
    let told = told.iter().map(|level| place(&levels, *level)).collect();
    (levels, told)
}

/// The place of a level among ascending ones of which it is one.
fn place(levels: &[f64], level: f64) -> usize {
    levels.partition_point(|one| *one < level - NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::training_template::{Calendar, Freq};
    use time::macros::{date, datetime};

    fn prices() -> Prices {
        let rows: Vec<(Date, f64)> = (1..=9)
            .filter(|day| ![3, 4].contains(day))
            .map(|day| {
                let date = date!(2022 - 11 - 30) + time::Duration::days(day);
                (date, 100.0 + f64::from(u8::try_from(day).unwrap()))
            })
            .collect();
        Prices {
            asset: "A".to_owned(),
            days: rows.iter().map(|(day, _)| *day).collect(),
            rows,
        }
    }

    /// A forecast from Thursday on, of five days among which is a weekend.
    fn made(prices: &Prices) -> Forecasts {
        let from = Some(date!(2022 - 12 - 01));
        let points = Points {
            calendar: Calendar::Daily,
            freq: Freq::Day,
        };
        let past = prices.past(points, from).unwrap();
        let days = prices.next_days(points, &past, 5);
        let (levels, told) = levels(&[0.1, 0.9]);
        let quantiles: Vec<Vec<f64>> = levels.iter().map(|q| vec![100.0 * q; 5]).collect();
        Forecasts {
            execution: "run-1".to_owned(),
            made_at: datetime!(2022-12-10 00:00 UTC),
            source: Source::Artifact("s3://b/model.tar.gz".to_owned()),
            samples: 10,
            levels,
            told,
            forecasts: vec![Forecast::new(
                prices,
                points,
                &past,
                &days,
                &[1.0, 2.0, 3.0, 4.0, 5.0],
                &quantiles,
            )],
        }
    }

    #[test]
    fn levels_of_table_and_chart_are_merged() {
        let (merged, told) = levels(&[0.9, 0.1]);
        assert_eq!(merged.len(), 7);
        assert_eq!(told, [5, 1]);
        assert!(merged.is_sorted());
        assert_eq!(levels(&[0.3]).0.len(), 8);
    }

    /// A forecast has a row for each day on which the asset can have a price, and none for others, such as Saturdays.
    #[test]
    fn a_row_is_a_day_on_which_there_are_prices() {
        let text = String::from_utf8(made(&prices()).csv().unwrap()).unwrap();
        assert_eq!(
            text,
            "asset,date,mean,0.1,0.9,actual\n\
             A,2022-12-02,1,10,90,102\n\
             A,2022-12-05,4,10,90,105\n\
             A,2022-12-06,5,10,90,106\n"
        );
    }

    #[test]
    fn json_says_what_it_was_made_from() {
        let json = made(&prices()).json().unwrap();
        assert_eq!(json["madeAt"], "2022-12-10T00:00:00.000Z");
        assert_eq!(json["source"]["kind"], "artifact");
        assert_eq!(json["forecasts"][0]["lastPrice"]["price"], 101.0);
        assert_eq!(json["forecasts"][0]["points"][0]["quantiles"]["0.9"], 90.0);
    }

    #[test]
    fn a_chart_is_drawn() {
        let prices = prices();
        let made = made(&prices);
        let png = made.chart(&made.forecasts[0], &prices).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
}
