//! `pipewright data remove`: assets and training templates go, after a yes.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use pipewright::features::settings_naming;
use pipewright::nearest::nearest;
use pipewright::record::Item;
use serde::Serialize;
use serde_json::Value;

use super::{ID, Store, say};
use crate::confirm;
use crate::features::Format;
use crate::installation::Installation;
use crate::output;

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct Remove {
    /// The assets to take out, by ticker.
    #[arg(value_name = "TICKER", group = "what")]
    tickers: Vec<String>,
    /// A training template to take out, by its id; repeat it for each.
    #[arg(long = "template", value_name = "ID", group = "what")]
    templates: Vec<String>,
    #[command(flatten)]
    installation: Installation,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What went, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed<'a> {
    assets: &'a BTreeSet<&'a str>,
    training_templates: &'a BTreeSet<&'a str>,
    /// What will not work any more.
    warnings: Vec<String>,
}

pub(super) async fn remove(arguments: &Remove) -> anyhow::Result<ExitCode> {
    let store = Store::of(&arguments.installation).await?;
    let (catalogue, templates) = (store.catalogue().await?, store.templates().await?);
    let tickers: BTreeSet<&str> = arguments.tickers.iter().map(String::as_str).collect();
    let ids: BTreeSet<&str> = arguments.templates.iter().map(String::as_str).collect();
    let mut wrong = unknown(&tickers, "in the catalogue", catalogue.keys());
    wrong.extend(unknown(
        &ids,
        "among the training templates",
        templates.keys(),
    ));
    if !wrong.is_empty() {
        bail!("{}. Nothing was removed", wrong.join("; "));
    }
    let stay = templates
        .iter()
        .filter(|(id, _)| !ids.contains(id.as_str()));
    let warnings = still_named(stay, &tickers);
    if arguments.format == Format::Text {
        say(&format!(
            "In account {}, region {}, this takes out of {}:",
            store.account, store.region, arguments.installation.prefix
        ))?;
        for ticker in &tickers {
            say(&format!(
                "  {ticker}: its item in the catalogue and its price file"
            ))?;
        }
        for id in &ids {
            say(&format!("  {id}: the training template"))?;
        }
        for sentence in &warnings {
            say(sentence)?;
        }
    }
    if !arguments.yes && !confirm::yes("Go on?").await? {
        say("Nothing was removed.")?;
        return Ok(ExitCode::FAILURE);
    }
    for id in &ids {
        store.templates.delete(ID, id).await?;
    }
    for ticker in &tickers {
        store.remove_asset(ticker).await?;
    }
    match arguments.format {
        Format::Json => output::write_json(&Removed {
            assets: &tickers,
            training_templates: &ids,
            warnings,
        })?,
        Format::Text if ids.is_empty() => say(&format!(
            "Removed {} asset(s); the catalogue has {} now.",
            tickers.len(),
            catalogue.len() - tickers.len()
        ))?,
        Format::Text => say(&format!(
            "Removed {} asset(s) and {} training template(s); the catalogue has {} assets now.",
            tickers.len(),
            ids.len(),
            catalogue.len() - tickers.len()
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with names that are not there, as sentences.
fn unknown<'a>(
    names: &BTreeSet<&str>,
    place: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> Vec<String> {
    let is_there = |name: &str| known.clone().any(|one| one == name);
    let missing = names.iter().filter(|name| !is_there(name));
    let sentence = |name: &&str| match nearest(name, known.clone().map(String::as_str)) {
        Some(near) => format!("{name} is not {place}; the nearest is {near}"),
        None => format!("{name} is not {place}, where there is nothing"),
    };
    missing.map(sentence).collect()
}

/// Which training templates name assets that are to go, as sentences.
fn still_named<'a>(
    templates: impl Iterator<Item = (&'a String, &'a Item)>,
    tickers: &BTreeSet<&str>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for (id, template) in templates {
        let document = Value::Object(template.clone());
        for ticker in tickers {
            let settings = settings_naming(&document, ticker);
            if !settings.is_empty() {
                sentences.push(format!(
                    "The training template {id} names {ticker} in {}: without it, none of its executions succeeds.",
                    settings.join(", ")
                ));
            }
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_unknown_ticker_is_told_with_the_nearest() {
        let known = ["JPM".to_owned(), "XOM".to_owned()];
        let names = BTreeSet::from(["JPM", "jpn"]);
        assert_eq!(
            unknown(&names, "in the catalogue", known.iter()),
            ["jpn is not in the catalogue; the nearest is JPM"]
        );
    }

    #[test]
    fn a_template_that_names_what_goes_is_told() {
        let item: Item = serde_json::from_str(r#"{"Id": "t", "predictedAsset": "AAA"}"#).unwrap();
        let templates = BTreeMap::from([("t".to_owned(), item)]);
        let told = still_named(templates.iter(), &BTreeSet::from(["AAA", "CCC"]));
        assert_eq!(
            told,
            [
                "The training template t names AAA in predictedAsset: without it, none of its executions succeeds."
            ]
        );
    }
}
