//! `pipewright data`: the price files, their catalogue and the training templates of an installation.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use pipewright::record::Item;
use pipewright::record::rows::{self, AssetRow};
use pipewright_aws::dynamodb::{self, Table};
use pipewright_aws::s3::{self, ObjectError};
use pipewright_aws::sts;
use pipewright_files::{below, bounded};

use crate::installation::Installation;
use crate::output;

mod import;
mod list;
mod remove;

/// The key of the tables of assets and of training templates.
const ID: &str = "Id";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check prices and a training template, and store them where nothing is wrong.
    ///
    /// Prices come beside those that are there, and take the place of those of the
    /// same ticker. A training template is checked with what the catalogue has by
    /// then. Nothing is stored where anything has a fault.
    Import(import::Import),
    /// List the assets and the training templates.
    List(list::List),
    /// Take assets and training templates out.
    Remove(remove::Remove),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(arguments) => import::import(&arguments).await,
        Command::List(arguments) => list::list(&arguments).await,
        Command::Remove(arguments) => remove::remove(&arguments).await,
    }
}

/// Where an installation has its data.
#[derive(Debug, Clone)]
struct Store {
    account: String,
    region: String,
    assets: Table,
    templates: Table,
    s3: s3::Client,
    bucket: String,
}

impl Store {
    async fn of(installation: &Installation) -> anyhow::Result<Self> {
        let config = pipewright_aws::config().await;
        let account = sts::account(&config).await?;
        let region = config.region().context("no AWS region was found")?;
        let dynamodb = dynamodb::client(&config);
        let table = |name: &str| Table::new(dynamodb.clone(), installation.named(name));
        Ok(Self {
            assets: table("assets"),
            templates: table("training-templates"),
            s3: s3::client(&config),
            bucket: installation.named(&format!("assets-{account}-{region}")),
            region: region.to_string(),
            account,
        })
    }

    /// The assets of the catalogue by the table's key.
    async fn catalogue(&self) -> anyhow::Result<BTreeMap<String, AssetRow>> {
        let items = self.assets.items().await?;
        let rows = items.iter().filter_map(AssetRow::read);
        Ok(rows.map(|row| (row.id.clone(), row)).collect())
    }

    /// The training templates, by their ids.
    async fn templates(&self) -> anyhow::Result<BTreeMap<String, Item>> {
        let items = self.templates.items().await?;
        let id = |item: &Item| item.get(ID)?.as_str().map(str::to_owned);
        let named = items.into_iter();
        Ok(named.filter_map(|item| Some((id(&item)?, item))).collect())
    }

    /// The price file of an asset of the catalogue.
    async fn price_file(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        let most = usize::try_from(bounded::LARGEST_PRICES).unwrap_or(usize::MAX);
        let key = key(id);
        match s3::read(&self.s3, &self.account, &self.bucket, &key, most).await {
            Err(error) if error.is_missing() => bail!(
                "the catalogue lists {id}, but the bucket has no {key}: import it, or take it out with `pipewright \
                 data remove {id}`"
            ),
            read => Ok(read?),
        }
    }

    /// Stores a price file, then its entry: one without a price file fails executions.
    async fn put_asset(&self, row: &AssetRow, prices: Vec<u8>) -> anyhow::Result<()> {
        let (account, bucket) = (&self.account, &self.bucket);
        s3::write(&self.s3, account, bucket, &key(&row.id), prices, "text/csv").await?;
        Ok(self.assets.put(&rows::item(row)).await?)
    }

    /// Takes out an entry, then its price file.
    async fn remove_asset(&self, id: &str) -> anyhow::Result<()> {
        self.assets.delete(ID, id).await?;
        let removed: Result<(), ObjectError> =
            s3::delete(&self.s3, &self.account, &self.bucket, &key(id)).await;
        Ok(removed?)
    }
}

/// Where the price file of an asset lies.
fn key(id: &str) -> String {
    format!("assets/{id}.csv")
}

/// Refuses a catalogue with an id that could not have come by an import.
fn refuse_paths<'a>(ids: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    for id in ids {
        if let Err(refused) = below::file_name(&format!("{id}.csv")) {
            bail!(
                "the catalogue has an asset whose id is not a file's name: {refused}. Nothing was done; take its item out \
                 of the table of assets, and see who put it there"
            );
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(output::stdout(), "{line}")
}
