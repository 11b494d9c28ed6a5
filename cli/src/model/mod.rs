//! What an execution's model is asked for: forecasts, and how good they are.

use std::io::Read;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use flate2::read::GzDecoder;
use pipewright::arn::Arn;
use pipewright::record::rows::OUTPUTS;
use pipewright::record::{History, Item, Record, RecordId, history};
use pipewright::training_template::TrainingTemplate;
use pipewright_aws::dynamodb::Executions;
use pipewright_aws::{SdkConfig, s3};
use time::OffsetDateTime;

use crate::endpoint::model_of;
use crate::installation::Installation;
use crate::search::Search;

pub(crate) mod forecast;
pub(crate) mod score;

/// The most bytes of a file that is read: some thousand assets' features, or a model far
/// larger than any that is trained on prices.
const MOST: usize = 1 << 30;

/// Which execution, and where its record lies.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The execution: its id, ARN or display name.
    #[arg(long, value_name = "ID")]
    execution: String,
    #[command(flatten)]
    installation: Installation,
    /// The table of executions; without it, PREFIX-executions.
    #[arg(long)]
    table: Option<String>,
}

#[expect(clippy::disallowed_methods, reason = "a command's rim reads the clock")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// What a record tells that has to be known of a model.
struct Execution {
    id: RecordId,
    executions: Executions,
    template: TrainingTemplate,
    account: String,
    /// `s3://bucket/prefix/` of what the processing step wrote.
    outputs: String,
    /// The endpoint in service.
    endpoint: Option<String>,
    /// Where the model's artifact lies, or why there is none to load.
    artifact: Result<String, anyhow::Error>,
}

impl Execution {
    async fn find(config: &SdkConfig, which: &Which) -> anyhow::Result<Self> {
        let search = Search::new(config, &which.installation, which.table.as_deref());
        let moment = pipewright_aws::process::now();
        let id = search.recorded(&which.execution, moment).await?;
        let items = search.executions.items(id.as_str()).await?;
        let history = history(id.as_str(), &items);
        Self::of(id, search.executions, &history)
    }

    fn of(id: RecordId, executions: Executions, history: &History) -> anyhow::Result<Self> {
        let parameters = history.training_template().with_context(|| {
            format!(
                "the record of execution {id} has no training template, which says what a point of its series is: \
                 only executions that start-execution started can be forecast from here"
            )
        })?;
        let template = TrainingTemplate::parse(parameters)
            .map_err(|faults| anyhow!("the training template of execution {id}: {faults}"))?;
        let outputs = history
            .summary(OUTPUTS)
            .as_str()
            .with_context(|| {
                format!("the processing step of execution {id} has not reported where its outputs are; wait for it with `pipewright execution watch`")
            })?;
        let arn = history.execution_arn.as_deref().unwrap_or_default();
        let account = Arn::parse(arn)
            .map(|arn| arn.account.to_owned())
            .with_context(|| format!("the record of execution {id} has no ARN of the execution"))?;
        let Record {
            endpoint, model, ..
        } = history.attributes();
        let in_service = endpoint.endpoint_status.as_deref() == Some("InService");
        let endpoint = endpoint.endpoint_name.filter(|_| in_service);
        let artifact = match model_of(history, false) {
            Ok(_) => model.model_data_url.with_context(|| {
                format!("the record of execution {id} does not say where its model's artifact lies")
            }),
            Err(none) => Err(none.into()),
        };
        Ok(Self {
            id,
            executions,
            template,
            account,
            outputs: outputs.to_owned(),
            endpoint,
            artifact,
        })
    }

    /// The address of what the execution has under this name.
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.outputs.trim_end_matches('/'))
    }

    /// Where the model's artifact lies.
    fn artifact(&self) -> anyhow::Result<&str> {
        match &self.artifact {
            Ok(url) => Ok(url),
            Err(none) => bail!("{none:#}"),
        }
    }

    /// Keeps something with the execution.
    async fn keep(&self, item: &Item) -> anyhow::Result<()> {
        Ok(self.executions.keep(item).await?)
    }
}

/// The account's S3.
pub(crate) struct Bucket<'a> {
    client: s3::Client,
    owner: &'a str,
}

impl<'a> Bucket<'a> {
    pub(crate) fn new(config: &SdkConfig, owner: &'a str) -> Self {
        Self {
            client: s3::client(config),
            owner,
        }
    }

    pub(crate) async fn read(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        let (bucket, key) = object(url)?;
        Ok(s3::read(&self.client, self.owner, bucket, key, MOST).await?)
    }

    pub(crate) async fn write(
        &self,
        url: &str,
        bytes: Vec<u8>,
        content_type: &str,
    ) -> anyhow::Result<()> {
        let (bucket, key) = object(url)?;
        Ok(s3::write(&self.client, self.owner, bucket, key, bytes, content_type).await?)
    }
}

/// Bucket and key of an object's address.
fn object(url: &str) -> anyhow::Result<(&str, &str)> {
    url.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("{url:?} is not an address of an object in S3"))
}

/// A file of a `model.tar.gz`; `None` if it has none of this name.
fn member(archive: &[u8], name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut files = tar::Archive::new(GzDecoder::new(archive).take(MOST as u64));
    for file in files.entries()? {
        let mut file = file?;
        if file.path()?.file_name() == Some(name.as_ref()) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// What is said of an archive without a file that Pipewright's own DeepAR writes.
fn of_other_image(url: &str, file: &str) -> String {
    format!(
        "{url} has no {file}: it is not a model of Pipewright's own DeepAR, and what Amazon's image wrote only Amazon's \
         image reads"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_an_archive_by_its_name() {
        let mut archive = Vec::new();
        {
            let gzip = flate2::write::GzEncoder::new(&mut archive, flate2::Compression::fast());
            let mut builder = tar::Builder::new(gzip);
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            header.set_cksum();
            builder
                .append_data(&mut header, "model_algo-1-0000.params", &b"abc"[..])
                .unwrap();
            builder.into_inner().unwrap().finish().unwrap();
        }
        let found = member(&archive, "model_algo-1-0000.params").unwrap();
        assert_eq!(found.as_deref(), Some(&b"abc"[..]));
        assert!(member(&archive, "model").unwrap().is_none());
        assert!(member(b"not gzip", "model").is_err());
    }
}
