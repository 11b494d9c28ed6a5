//! A training template from the data's range.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thiserror::Error;
use time::Date;

use super::alignment::AssetDays;
use super::input::{self, CatalogueAsset, PriceSeries};
use super::low_pass::first_complete;
use super::spacing::{Spacing, by_point, frequency};
use crate::nearest::nearest;
use crate::training_template::{Alignment, Calendar, Freq};

/// What a template for prices of some spacing says of points.
struct Horizon {
    /// `deepARMeta.freq`.
    freq: Freq,
    /// Points that the model forecasts.
    prediction_length: u16,
    /// Points that it looks back on.
    context_length: u16,
}

const DAYS: Horizon = Horizon {
    freq: Freq::Day,
    prediction_length: 7,
    context_length: 28,
};

const WEEKS: Horizon = Horizon {
    freq: Freq::Week,
    prediction_length: 4,
    context_length: 16,
};

const MONTHS: Horizon = Horizon {
    freq: Freq::Month,
    prediction_length: 3,
    context_length: 12,
};

/// Most test windows.
const MOST_WINDOWS: i64 = 4;

/// Points of data for each that is held out, so that most are left to train on.
const POINTS_FOR_ONE: i64 = 10;

/// Most assets that all get indicators and low-pass columns; of more, those of
/// the predicted asset's class do.
const MOST_ASSETS: usize = 20;

/// Frequency bins of the low-pass columns, as far as the data are long enough.
const STEPS: [usize; 4] = [3, 6, 9, 100];

/// Why no template can be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposalError {
    /// The asset to be predicted is not among those given.
    #[error(
        "there are no prices of `{ticker}`{}",
        .nearest.as_deref().map_or_else(String::new, |near| format!("; the nearest ticker is `{near}`"))
    )]
    UnknownAsset {
        /// Its ticker.
        ticker: String,
        /// The nearest ticker that is.
        nearest: Option<String>,
    },
    /// There is no day on which all assets have a price.
    #[error("no date is common to all {assets} assets{}", limit_note(.limiting.as_deref(), .predicted))]
    NoCommonDates {
        /// The number of assets.
        assets: usize,
        /// The asset that limits the common dates most.
        limiting: Option<String>,
        /// The asset to be predicted.
        predicted: String,
    },
    /// A model's points are days, weeks or months.
    #[error(
        "the prices of `{ticker}` are {spacing}, and a model's points are days, weeks or months; import prices of these"
    )]
    Spacing {
        /// The asset to be predicted.
        ticker: String,
        /// How far apart they are.
        spacing: Spacing,
    },
    /// The days on which all assets have a price are fewer than one forecast.
    #[error(
        "the assets have prices in common from {first} to {last} only: a test window alone \
         takes {length}{}",
        limit_note(.limiting.as_deref(), .predicted)
    )]
    TooFewDays {
        /// The first common day.
        first: Date,
        /// The last one.
        last: Date,
        /// How long a test window is, with its unit.
        length: String,
        /// The asset that limits the common dates most.
        limiting: Option<String>,
        /// The asset to be predicted.
        predicted: String,
    },
}

fn limit_note(limiting: Option<&str>, predicted: &str) -> String {
    match limiting {
        None => String::new(),
        Some(ticker) if ticker == predicted => {
            format!(
                "; `{ticker}`, the predicted asset, limits them most, import more of its prices"
            )
        }
        Some(ticker) => {
            format!("; `{ticker}` limits them most, take it out or import more of its prices")
        }
    }
}

/// A template, and what is to be known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The training template.
    pub template: Value,
    /// Why it has another alignment than `common`, if it has.
    pub note: Option<String>,
}

/// A training template that predicts `predicted` from all assets: points as far
/// apart as its prices (days, weeks or months), the alignment that loses least of
/// its days (of equal ones `common`), the last points as test windows, indicators
/// and low-pass columns of all assets (or, of many, of those in its class), ARIMA
/// of the predicted asset, and the autoencoder there but off.
///
/// # Errors
/// See [`ProposalError`].
pub fn propose(
    assets: &[(CatalogueAsset, PriceSeries)],
    predicted: &str,
) -> Result<Proposal, ProposalError> {
    let tickers: Vec<&str> = assets
        .iter()
        .map(|(asset, _)| asset.ticker.as_str())
        .collect();
    let Some(at) = tickers.iter().position(|ticker| *ticker == predicted) else {
        return Err(ProposalError::UnknownAsset {
            ticker: predicted.to_owned(),
            nearest: nearest(predicted, tickers.iter().copied()).map(str::to_owned),
        });
    };
    let horizon = Horizon::of(predicted, &assets[at].1.dates)?;
    let freq = frequency(horizon.freq);
    let assets: Vec<(CatalogueAsset, PriceSeries)> = assets
        .iter()
        .map(|(asset, series)| {
            (
                asset.clone(),
                by_point(horizon.freq, Calendar::Daily, series.clone()),
            )
        })
        .collect();
    let (target, own) = &assets[at];
    let series: Vec<PriceSeries> = assets.iter().map(|(_, series)| series.clone()).collect();
    let panel = input::join(&series);
    let (Some(first), Some(last)) = (panel.dates.first(), panel.dates.last()) else {
        return Err(ProposalError::NoCommonDates {
            assets: assets.len(),
            limiting: panel.limiting.map(|limit| limit.ticker),
            predicted: predicted.to_owned(),
        });
    };
    let length = i64::from(horizon.prediction_length);
    if freq.steps_between(*first, *last) < length {
        return Err(ProposalError::TooFewDays {
            first: *first,
            last: *last,
            length: horizon.length(),
            limiting: panel.limiting.map(|limit| limit.ticker),
            predicted: predicted.to_owned(),
        });
    }
    let few = assets.len() <= MOST_ASSETS;
    let chosen = || {
        let all = assets.iter();
        all.filter(|(asset, _)| few || asset.class == target.class)
    };
    let common = AssetDays {
        asset: predicted.to_owned(),
        days: own.dates.len(),
        kept: panel.dates.len(),
        filled: 0,
        lost: own.dates.len() - panel.dates.len(),
    };
    // `predicted` loses none of these days, as `union` does, and leaves fewer
    // prices missing.
    let (dates, rows) = match common.lost {
        0 => (&panel.dates, panel.dates.len()),
        _ => {
            let fewest = chosen().map(|(_, series)| series.dates.len()).min();
            (&own.dates, fewest.unwrap_or(0))
        }
    };
    let (first, last) = (dates.first().unwrap_or(first), dates.last().unwrap_or(last));
    let points = freq.steps_between(*first, *last);
    let windows = (points / (POINTS_FOR_ONE * length)).clamp(1, MOST_WINDOWS);
    let last_trained = freq.later_day(*last, -windows * length);
    let end_training = last_trained.next_day().unwrap_or(*last);

    let indicators: BTreeSet<&str> = chosen().map(|(asset, _)| asset.ticker.as_str()).collect();
    let classes: BTreeSet<&str> = chosen().map(|(asset, _)| asset.class.as_str()).collect();
    let mut steps: Vec<usize> = STEPS.to_vec();
    // A column that is missing for most of the rows would leave few to learn from.
    steps.retain(|bins| 2 * (first_complete(*bins) + 1) <= rows);
    let mut template = template(&Choice {
        predicted,
        tickers: &tickers,
        indicators,
        classes,
        steps,
        horizon,
        start_dataset: *first,
        end_training,
        windows,
    });
    let note = (common.lost > 0).then(|| {
        let alignment = Alignment::PREDICTED;
        template["feMeta"]["alignment"] = alignment.name().into();
        format!(
            "feMeta.alignment is {}, since common would lose {} of {predicted}, which is predicted",
            alignment.name(),
            common.loss()
        )
    });
    Ok(Proposal { template, note })
}

/// What was chosen for a template by the prices.
struct Choice<'a> {
    predicted: &'a str,
    tickers: &'a [&'a str],
    /// The assets that get indicators.
    indicators: BTreeSet<&'a str>,
    /// The classes that get low-pass columns.
    classes: BTreeSet<&'a str>,
    /// The numbers of frequency bins of the low-pass columns.
    steps: Vec<usize>,
    horizon: &'a Horizon,
    start_dataset: Date,
    end_training: Date,
    windows: i64,
}

/// The template of a choice; what does not hang on prices is the same in every one.
fn template(choice: &Choice<'_>) -> Value {
    json!({
        "Id": format!("predict-{}", choice.predicted),
        "name": format!("{}, {} ahead", choice.predicted, choice.horizon.length()),
        "predictedAsset": choice.predicted,
        "feMeta": {
            // Not "all": what is imported later was not looked at.
            "baseAssets": choice.tickers,
            "taSettings": {
                "enabled": true,
                "assets": choice.indicators,
                "bollingerBand": { "window": 20, "window_dev": 2 },
                "rsi": { "window": 14 },
                "sma": { "window": 7 }
            },
            "arimaSettings": {
                "enabled": true,
                "assets": [choice.predicted],
                "trainSetSize": 0.8
            },
            "fftSettings": {
                "enabled": !choice.steps.is_empty(),
                "assetClasses": choice.classes,
                "num_steps": choice.steps,
                "mode": "expanding",
                "edge": "mirror"
            },
            "autoEncoderSettings": {
                "enabled": false,
                "optimizer": "adam",
                "loss": "mean_squared_error",
                "fitEpoch": 100,
                "fitBatchSize": 256,
                "fitShuffle": false
            }
        },
        "deepARMeta": {
            "freq": choice.horizon.freq.name(),
            "calendar": "daily",
            "predictionLength": choice.horizon.prediction_length,
            "contextLength": choice.horizon.context_length,
            "startDataset": choice.start_dataset.to_string(),
            "endTraining": choice.end_training.to_string(),
            "testWindows": choice.windows,
            "hyperParams": {
                "epochs": 400,
                "early_stopping_patience": 40,
                "mini_batch_size": 64,
                "learning_rate": 0.0005
            }
        }
    })
}

impl Horizon {
    fn of(ticker: &str, dates: &[Date]) -> Result<&'static Self, ProposalError> {
        let Some(spacing) = Spacing::of(dates) else {
            return Ok(&DAYS);
        };
        [&WEEKS, &MONTHS]
            .into_iter()
            .find(|horizon| spacing.freq() == Some(horizon.freq))
            .ok_or_else(|| ProposalError::Spacing {
                ticker: ticker.to_owned(),
                spacing,
            })
    }

    /// How far ahead is forecast, such as `7 days`.
    fn length(&self) -> String {
        let (_, points) = self.freq.unit();
        format!("{} {points}", self.prediction_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(ticker: &str, from: i32, days: i32) -> (CatalogueAsset, PriceSeries) {
        let dates = (from..from + days).map(|day| Date::from_julian_day(2_458_850 + day).unwrap());
        let dates: Vec<Date> = dates.collect();
        (
            CatalogueAsset {
                ticker: ticker.to_owned(),
                class: "x".to_owned(),
            },
            PriceSeries {
                ticker: ticker.to_owned(),
                prices: vec![1.0; dates.len()],
                dates,
                dropped: 0,
                warnings: Vec::new(),
            },
        )
    }

    #[test]
    fn an_unknown_ticker_is_named_with_the_nearest() {
        let error = propose(&[asset("MSFT", 0, 100)], "MSFTT").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are no prices of `MSFTT`; the nearest ticker is `MSFT`"
        );
    }

    #[test]
    fn assets_that_meet_for_less_than_a_forecast_are_refused() {
        let error = propose(&[asset("A", 0, 1)], "A").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the assets have prices in common from 2020-01-01 to 2020-01-01 only: a test window \
             alone takes 7 days"
        );
        let error = propose(&[asset("A", 0, 100), asset("B", 90, 100)], "A");
        assert!(error.is_ok(), "ten days are a window and something before");
        let error = propose(&[asset("A", 0, 100), asset("B", 93, 10)], "A").unwrap_err();
        assert!(
            error.to_string().contains("`B` limits them most"),
            "{error}"
        );
    }

    #[test]
    fn a_proposal_has_points_as_far_apart_as_the_prices() {
        let every = |days: usize| {
            let (asset, daily) = asset("A", 0, 2000);
            let dates: Vec<Date> = daily.dates.into_iter().step_by(days).collect();
            let prices = vec![1.0; dates.len()];
            let series = PriceSeries {
                dates,
                prices,
                ..daily
            };
            propose(&[(asset, series)], "A")
        };
        let proposed = |days: usize| every(days).unwrap().template["deepARMeta"].clone();
        let weekly = proposed(7);
        assert_eq!(weekly["freq"], "1W");
        assert_eq!(weekly["predictionLength"], 4);
        // 286 weeks hold four windows of four; training ends after a Sunday.
        assert_eq!(weekly["testWindows"], 4);
        assert_eq!(weekly["endTraining"], "2025-03-03");
        let monthly = proposed(30);
        assert_eq!(monthly["freq"], "1M");
        assert_eq!(monthly["endTraining"], "2025-01-01");
        assert_eq!(
            every(90).unwrap_err().to_string(),
            "the prices of `A` are quarterly, and a model's points are days, weeks or months; import prices of these"
        );
    }

    #[test]
    fn assets_that_never_meet_are_refused_with_the_one_that_limits() {
        let error = propose(&[asset("A", 0, 100), asset("B", 200, 50)], "A").unwrap_err();
        assert!(
            error.to_string().contains("`B` limits them most"),
            "{error}"
        );
    }

    /// A proposal has the alignment that loses least of the predicted asset's days, of equal ones common, and says why.
    #[test]
    fn a_proposal_has_the_alignment_that_loses_least_of_the_predicted_asset() {
        let (spy, every) = asset("SPY", 0, 1000);
        let days = every.dates.iter().zip(&every.prices).enumerate();
        let open = days.filter(|(day, _)| day % 7 < 5);
        let (dates, prices) = open.map(|(_, (date, price))| (*date, *price)).unzip();
        let series = PriceSeries {
            dates,
            prices,
            ..every
        };
        let assets = [asset("BTC", 0, 1000), (spy, series)];
        let proposal = propose(&assets, "BTC").unwrap();
        assert_eq!(proposal.template["feMeta"]["alignment"], json!("predicted"));
        assert_eq!(
            proposal.note.as_deref(),
            Some(
                "feMeta.alignment is predicted, since common would lose 285 of 1000 days (28.5 %) of BTC, which is predicted"
            )
        );
        for assets in [&assets[..], &assets[..1]] {
            let predicted = if assets.len() == 1 { "BTC" } else { "SPY" };
            let proposal = propose(assets, predicted).unwrap();
            assert_eq!(proposal.template["feMeta"].get("alignment"), None);
            assert_eq!(proposal.note, None);
        }
    }

    #[test]
    fn the_predicted_asset_is_never_to_be_taken_out() {
        for others in [(200, 50), (93, 10)] {
            let assets = [asset("A", 0, 100), asset("B", others.0, others.1)];
            let error = propose(&assets, "B").unwrap_err().to_string();
            assert!(
                error.ends_with(
                    "; `B`, the predicted asset, limits them most, import more of its prices"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn the_last_weeks_are_test_windows() {
        let template = propose(&[asset("A", 0, 1000)], "A").unwrap().template;
        let deepar = &template["deepARMeta"];
        let day = |name: &str| {
            let form = time::macros::format_description!("[year]-[month]-[day]");
            Date::parse(deepar[name].as_str().unwrap(), form).unwrap()
        };
        let trained = day("endTraining") - day("startDataset");
        assert_eq!(trained.whole_days(), 1000 - 28);
        assert_eq!(deepar["testWindows"].as_i64(), Some(4));
        assert_eq!(template["feMeta"]["fftSettings"]["num_steps"], json!(STEPS));
    }

    /// A template that init proposes names the assets that it has looked at: what is imported later changes nothing.
    #[test]
    fn a_proposal_names_the_assets_that_it_has_seen() {
        let template = propose(&[asset("A", 0, 200), asset("B", 0, 200)], "A")
            .unwrap()
            .template;
        assert_eq!(template["feMeta"]["baseAssets"], json!(["A", "B"]));
    }
}
