//! Generated prices: geometric random walks from a seed, on weekdays.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use time::macros::date;
use time::{Date, Duration, Weekday};

/// The first day with a price: a Monday.
const FIRST: Date = date!(2012 - 01 - 02);

/// Points that the generated template forecasts.
const PREDICTION_LENGTH: i64 = 7;

/// Assets with ARIMA in the generated template, at most.
const ARIMA_ASSETS: usize = 100;

/// `SplitMix64` (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// A number in (0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (TAU * self.unit()).cos()
    }
}

/// Prices of one asset, with three decimals as price files have them.
fn walk(days: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed.wrapping_mul(0xA076_1D64_78BD_642F));
    let mut log = (20.0 + 180.0 * random.unit()).ln();
    let volatility = 0.008 + 0.012 * random.unit();
    (0..days)
        .map(|_| {
            log += 0.0002 + volatility * random.normal();
            (log.exp() * 1000.0).round().max(1.0) / 1000.0
        })
        .collect()
}

fn weekdays(count: usize) -> Vec<Date> {
    let days = (0_i64..).map(|i| FIRST + Duration::days(i));
    days.filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday))
        .take(count)
        .collect()
}

/// Writes the prices of `assets` walks of `days` days.
pub(crate) fn write(
    folder: &Path,
    assets: usize,
    days: usize,
    seed: u64,
    step: bool,
) -> Result<Value> {
    let prices: Vec<Vec<f64>> = (0_u64..)
        .take(assets)
        .map(|asset| walk(days, seed + asset))
        .collect();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bytes: Vec<u8> = prices
        .iter()
        .flatten()
        .flat_map(|price| price.to_le_bytes())
        .collect();
    save(folder, "prices.f64", &bytes)?;
    if step {
        let dates = weekdays(days);
        let mut catalogue = "ticker,assetClass,description\n".to_owned();
        for (asset, prices) in prices.iter().enumerate() {
            let mut file = "Date,Close\n".to_owned();
            for (date, price) in dates.iter().zip(prices) {
                writeln!(file, "{date},{price}")?;
            }
            save(folder, &format!("{}.csv", ticker(asset)), file.as_bytes())?;
            writeln!(catalogue, "{},walk,", ticker(asset))?;
        }
        save(folder, "assets.csv", catalogue.as_bytes())?;
        let template = serde_json::to_vec_pretty(&template(assets, &dates))?;
        save(folder, "template.json", &template)?;
    }
    Ok(json!({ "assets": assets, "days": days }))
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn ticker(asset: usize) -> String {
    format!("W{asset:04}")
}

/// Indicators and low-pass (3, 6, 9, 100) on all assets, ARIMA on up to 100,
/// daily calendar, one test window.
fn template(assets: usize, dates: &[Date]) -> Value {
    let tickers: Vec<String> = (0..assets).map(ticker).collect();
    let last = dates.last().copied().unwrap_or(FIRST);
    let epoch_ms = |date: Date| (date - date!(1970 - 01 - 01)).whole_seconds() * 1000;
    json!({
        "Id": "walks",
        "predictedAsset": ticker(0),
        "feMeta": {
            "baseAssets": "all",
            "taSettings": {
                "enabled": true,
                "assets": tickers,
                "bollingerBand": { "window": 20, "window_dev": 2 },
                "rsi": { "window": 14 },
                "sma": { "window": 7 },
            },
            "arimaSettings": {
                "enabled": true,
                "assets": tickers[..assets.min(ARIMA_ASSETS)],
                "trainSetSize": 0.8,
            },
            "fftSettings": { "enabled": true, "assetClasses": ["walk"], "num_steps": [3, 6, 9, 100] },
        },
        "deepARMeta": {
            "freq": "1D",
            "calendar": "daily",
            "predictionLength": PREDICTION_LENGTH,
            "contextLength": 28,
            "startDataset": epoch_ms(FIRST),
            "endTraining": epoch_ms(last - Duration::days(PREDICTION_LENGTH - 1)),
            "testWindows": 1,
            "hyperParams": { "epochs": 1 },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::training_template::TrainingTemplate;

    #[test]
    fn a_seed_gives_the_same_positive_prices() {
        assert_eq!(walk(500, 3), walk(500, 3));
        assert_ne!(walk(500, 3), walk(500, 4));
        assert!(walk(5000, 5).iter().all(|price| *price > 0.0));
    }

    #[test]
    fn the_generated_template_is_valid() {
        TrainingTemplate::parse(&template(120, &weekdays(2600))).unwrap();
    }
}
