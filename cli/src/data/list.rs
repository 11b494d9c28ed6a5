//! `pipewright data list`: what an installation can work on.

use std::process::ExitCode;

use clap::Args;
use pipewright::record::Item;
use pipewright::record::rows::AssetRow;
use serde::Serialize;
use serde_json::Value;

use super::{Store, say};
use crate::execution::render::{Style, clean};
use crate::execution::{Format, writer};
use crate::installation::Installation;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    installation: Installation,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A training template in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    id: String,
    predicted_asset: Option<String>,
    name: Option<String>,
}

impl Template {
    fn of(id: String, item: &Item) -> Self {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            predicted_asset: text("predictedAsset"),
            name: text("name"),
            id,
        }
    }
}

/// What there is, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    assets: Vec<AssetRow>,
    training_templates: Vec<Template>,
}

/// Lists what there is; there being nothing is not a failure.
pub(super) async fn list(arguments: &List) -> anyhow::Result<ExitCode> {
    let store = Store::of(&arguments.installation).await?;
    let templates = store.templates().await?.into_iter();
    let listed = Listed {
        assets: store.catalogue().await?.into_values().collect(),
        training_templates: templates
            .map(|(id, item)| Template::of(id, &item))
            .collect(),
    };
    if arguments.format == Format::Json {
        output::write_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = writer(Style::Plain);
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), clean);
    let options = arguments.installation.options();
    if listed.assets.is_empty() {
        say(&format!(
            "the catalogue has no assets; `pipewright data import --assets DIR{options}` brings some"
        ))?;
    } else {
        let cells: Vec<[String; 5]> = listed
            .assets
            .iter()
            .map(|asset| {
                let rows = asset
                    .data_rows
                    .map_or_else(|| "-".to_owned(), |rows| rows.to_string());
                [
                    clean(&asset.id),
                    text(&asset.class),
                    text(&asset.start_date),
                    text(&asset.end_date),
                    rows,
                ]
            })
            .collect();
        out.table(["TICKER", "CLASS", "FIRST", "LAST", "PRICES"], &cells)?;
    }
    if listed.training_templates.is_empty() {
        say(&format!(
            "there is no training template; `pipewright data import --template FILE{options}` brings one"
        ))?;
    } else {
        say("")?;
        let cells: Vec<[String; 3]> = listed
            .training_templates
            .iter()
            .map(|template| {
                [
                    clean(&template.id),
                    text(&template.predicted_asset),
                    text(&template.name),
                ]
            })
            .collect();
        out.table(["TRAINING TEMPLATE", "PREDICTS", "NAME"], &cells)?;
    }
    Ok(ExitCode::SUCCESS)
}
