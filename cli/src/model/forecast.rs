//! `pipewright forecast`: what an execution's model says of the days after the last price.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use pipewright::record::model::KeptForecast;
use pipewright::training_template::DeepArSettings;
use pipewright_aws::{SdkConfig, sagemaker_runtime};
use pipewright_forecast::deepar::{ARTIFACT_FILE, Model};
use pipewright_forecast::series::Series;
use serde_json::{Value, json};
use time::Date;
use time::macros::format_description;

use super::{Bucket, Execution, Which, member, now, of_other_image};
use crate::argument::InvalidArgument;
use crate::output::{self, Output};

mod made;
mod prices;

use made::{Forecast, Forecasts, Source};
use prices::{Past, Points, Prices};

/// Forecast the prices after the last one by an execution's model.
///
/// Asks the execution's endpoint if one is in service. Otherwise a model of Pipewright's
/// own DeepAR is loaded from S3 and computes here, at no cost. Days on which an asset
/// never has prices, such as Saturdays, are left out.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The asset; can be given several times; without it, the one that the execution predicts.
    #[arg(long, value_name = "TICKER")]
    asset: Vec<String>,
    /// How many paths are drawn.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// The quantiles, each between 0 and 1.
    #[arg(long, value_name = "Q,...", value_delimiter = ',', default_value = "0.1,0.5,0.9", value_parser = quantile)]
    quantiles: Vec<f64>,
    /// Look back: use the prices up to this day only.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = prices::parse_day)]
    from: Option<Date>,
    /// The form of what is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    #[command(flatten)]
    output: Output,
    /// Draw a chart as a PNG file: the last quarter of prices, the median, and the intervals
    /// that hold 50, 80 and 95 % of the paths. For one asset only.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Keep the forecast with the execution, where `pipewright execution show` lists it: its
    /// table as CSV beside the execution's outputs in S3, and an entry in its record.
    #[arg(long)]
    record: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

fn quantile(text: &str) -> Result<f64, InvalidArgument> {
    match text.parse() {
        Ok(level) if 0.0 < level && level < 1.0 => Ok(level),
        _ => Err(InvalidArgument::Quantile),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(plot) = &arguments.plot {
        arguments.output.apart("--plot", plot)?;
        ensure!(
            arguments.asset.len() < 2,
            "--plot draws one asset: give --asset once"
        );
    }
    let config = pipewright_aws::config().await;
    let execution = Execution::find(&config, &arguments.which).await?;
    let assets = if arguments.asset.is_empty() {
        vec![execution.template.predicted_asset.clone()]
    } else {
        arguments.asset.clone()
    };

    let bucket = Bucket::new(&config, &execution.account);
    let list = bucket.read(&execution.file("features/series.json")).await?;
    let rows = bucket.read(&execution.file(prices::table(&list))).await?;
    let all = prices::read(&list, &rows, &assets)?;

    let samples = usize::try_from(arguments.samples)?;
    let (levels, told) = made::levels(&arguments.quantiles);
    let model = Predictor::of(&config, &execution, &bucket).await?;
    let settings = &execution.template.deepar;
    let mut forecasts = Vec::new();
    for prices in &all {
        let points = Points::of(settings);
        let past = prices.past(points, arguments.from)?;
        let days = prices.next_days(points, &past, settings.prediction_length);
        let (mean, quantiles) = model
            .predict(&past, settings, samples, &levels)
            .await
            .with_context(|| format!("{} cannot be forecast", prices.asset))?;
        forecasts.push(Forecast::new(
            prices, points, &past, &days, &mean, &quantiles,
        ));
    }
    let made = Forecasts {
        execution: execution.id.to_string(),
        made_at: now(),
        source: model.source(),
        samples,
        levels,
        told,
        forecasts,
    };
    write(&arguments, &made, &all)?;
    if arguments.record {
        let table = keep(&execution, &bucket, &made).await?;
        writeln!(output::stderr(), "Kept with the execution, as {table}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps the forecast with the execution; gives the address of its table. The table comes first,
/// so that no entry is without one.
async fn keep(
    execution: &Execution,
    bucket: &Bucket<'_>,
    made: &Forecasts,
) -> anyhow::Result<String> {
    let name = made.made_at.format(format_description!(
        "[year][month][day]T[hour][minute][second].[subsecond digits:3]Z"
    ))?;
    let table = execution.file(&format!("forecasts/{name}.csv"));
    bucket.write(&table, made.csv()?, "text/csv").await?;
    let kept = KeptForecast {
        made_at: made.made_at()?,
        source: made.source.to_string(),
        assets: made.assets().map(str::to_owned).collect(),
        first_date: made
            .first_date()
            .map_or_else(String::new, |day| day.to_string()),
        last_date: made
            .last_date()
            .map_or_else(String::new, |day| day.to_string()),
        samples: made.samples,
        table: table.clone(),
    };
    execution.keep(&kept.item(&execution.id)).await?;
    Ok(table)
}

fn write(arguments: &Arguments, made: &Forecasts, prices: &[Prices]) -> anyhow::Result<()> {
    let chart = match &arguments.plot {
        Some(file) => Some((file, made.chart(&made.forecasts[0], &prices[0])?)),
        None => None,
    };
    let mut bytes = match arguments.format {
        Format::Csv => made.csv()?,
        Format::Json => serde_json::to_vec_pretty(&made.json()?)?,
    };
    if arguments.format == Format::Json {
        bytes.push(b'\n');
    }
    if let Some((file, png)) = &chart {
        arguments.output.free(file, png)?;
    }
    arguments.output.write(&bytes)?;
    if let Some((file, png)) = &chart {
        arguments.output.put(file, png)?;
    }
    let what = format!(
        "{} of execution {}, {} samples, by {}",
        made.assets().collect::<Vec<_>>().join(", "),
        made.execution,
        made.samples,
        made.source
    );
    // Standard output is the table's.
    writeln!(output::stderr(), "Forecast of {what}")?;
    Ok(())
}

/// What computes a forecast.
enum Predictor {
    Endpoint {
        client: sagemaker_runtime::Client,
        name: String,
    },
    Here {
        model: Box<Model>,
        url: String,
    },
}

impl Predictor {
    async fn of(
        config: &SdkConfig,
        execution: &Execution,
        bucket: &Bucket<'_>,
    ) -> anyhow::Result<Self> {
        if let Some(name) = &execution.endpoint {
            return Ok(Self::Endpoint {
                client: sagemaker_runtime::client(config),
                name: name.clone(),
            });
        }
        let url = execution.artifact()?.to_owned();
        let archive = bucket.read(&url).await?;
        let file =
            member(&archive, ARTIFACT_FILE).with_context(|| format!("{url} cannot be read"))?;
        let Some(file) = file else {
            bail!(
                "{}; serve it with `pipewright endpoint create`, and ask again",
                of_other_image(&url, ARTIFACT_FILE)
            );
        };
        let model = Model::read(&mut file.as_slice())
            .with_context(|| format!("{ARTIFACT_FILE} of {url} cannot be read"))?;
        Ok(Self::Here {
            model: Box::new(model),
            url,
        })
    }

    fn source(&self) -> Source {
        match self {
            Self::Endpoint { name, .. } => Source::Endpoint(name.clone()),
            Self::Here { url, .. } => Source::Artifact(url.clone()),
        }
    }

    /// The mean of each point, and for each level its quantile of each point.
    async fn predict(
        &self,
        past: &Past,
        settings: &DeepArSettings,
        samples: usize,
        levels: &[f64],
    ) -> anyhow::Result<(Vec<f64>, Vec<Vec<f64>>)> {
        match self {
            Self::Here { model, .. } => {
                let trained = model.settings();
                ensure!(
                    trained.prediction_length == settings.prediction_length,
                    "the model forecasts {} points, and the execution's template says {}",
                    trained.prediction_length,
                    settings.prediction_length
                );
                let series = Series {
                    start: trained.frequency.parse_start(&past.start.to_string())?,
                    target: past.target.clone(),
                    cat: Vec::new(),
                    dynamic_feat: Vec::new(),
                };
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                let forecast = model.predict_by(&series, samples, threads)?;
                Ok((forecast.mean(), forecast.quantiles(levels)))
            }
            Self::Endpoint { client, name } => {
                let body = serde_json::to_vec(&request(past, samples, levels))?;
                let answer = sagemaker_runtime::invoke(client, name, body).await?;
                answered(&answer, settings.prediction_length, levels)
                    .with_context(|| format!("endpoint {name} answered something else"))
            }
        }
    }
}

/// A request as DeepAR's endpoints take it.
fn request(past: &Past, samples: usize, levels: &[f64]) -> Value {
    let target: Vec<Option<f32>> = past
        .target
        .iter()
        .map(|value| (!value.is_nan()).then_some(*value))
        .collect();
    json!({
        "instances": [{"start": format!("{} 00:00:00", past.start), "target": target}],
        "configuration": {
            "num_samples": samples,
            "output_types": ["mean", "quantiles"],
            "quantiles": levels.iter().map(level_text).collect::<Vec<_>>(),
        },
    })
}

/// A level as requests and answers spell it.
fn level_text(level: &f64) -> String {
    // 1 - 0.05 / 2 is not the shortest text of its number.
    format!("{level:.6}").trim_end_matches('0').to_owned()
}

fn answered(
    answer: &[u8],
    points: usize,
    levels: &[f64],
) -> anyhow::Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let answer: Value = serde_json::from_slice(answer)?;
    let numbers = |value: &Value, what: &str| -> anyhow::Result<Vec<f64>> {
        let list = value.as_array().map(|list| list.iter().map(Value::as_f64));
        let numbers: Option<Vec<f64>> = list.and_then(Iterator::collect);
        numbers
            .filter(|numbers| numbers.len() == points)
            .with_context(|| format!("it has no {points} numbers as {what}"))
    };
    let prediction = &answer["predictions"][0];
    let mean = numbers(&prediction["mean"], "mean")?;
    let quantiles = levels
        .iter()
        .map(|level| {
            let name = level_text(level);
            numbers(&prediction["quantiles"][&name], &format!("quantile {name}"))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok((mean, quantiles))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    fn past() -> Past {
        Past {
            start: date!(2022 - 12 - 01),
            target: vec![1.5, f32::NAN, 2.0],
            rows: 2,
            last: date!(2022 - 12 - 03),
        }
    }

    #[test]
    fn a_request_has_null_for_missing_values_and_the_levels_as_text() {
        let request = request(&past(), 50, &[0.025, 0.1, 1.0 - 0.05 / 2.0]);
        assert_eq!(
            request["instances"][0],
            json!({"start": "2022-12-01 00:00:00", "target": [1.5, null, 2.0]})
        );
        let configuration = &request["configuration"];
        assert_eq!(configuration["num_samples"], 50);
        assert_eq!(configuration["quantiles"], json!(["0.025", "0.1", "0.975"]));
    }

    #[test]
    fn an_answer_must_have_each_point_of_each_level() {
        let answer = json!({"predictions": [
            {"mean": [1, 2], "quantiles": {"0.1": [0.5, 1], "0.9": [3, 4]}},
        ]});
        let bytes = serde_json::to_vec(&answer).unwrap();
        let (mean, quantiles) = answered(&bytes, 2, &[0.1, 0.9]).unwrap();
        assert_eq!(mean, [1.0, 2.0]);
        assert_eq!(quantiles, [[0.5, 1.0], [3.0, 4.0]]);
        let fault = answered(&bytes, 3, &[0.1]).unwrap_err().to_string();
        assert_eq!(fault, "it has no 3 numbers as mean");
        let fault = answered(&bytes, 2, &[0.5]).unwrap_err().to_string();
        assert_eq!(fault, "it has no 2 numbers as quantile 0.5");
        assert!(answered(b"<html>", 2, &[]).is_err());
    }
}
