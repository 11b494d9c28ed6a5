//! Which execution is meant: by its id, its ARN or its display name.

use anyhow::{anyhow, bail};
use pipewright::nearest::likely;
use pipewright::record::{
    ExecutionArn, Item, Record, RecordId, arn_of, event, names, phase, whose,
};
use pipewright_aws::dynamodb::{self, Executions, Records, TableError};
use pipewright_aws::sagemaker::{self, SageMaker};
use pipewright_aws::{SdkConfig, all};
use tokio::task::JoinSet;

use crate::installation::Installation;

/// For how many days after its end an execution is found by its display name.
const DAYS: u16 = 7;

/// How many records are read at once.
const AT_ONCE: usize = 16;

/// How many executions are named at most where none is the one that was meant.
const NAMED: usize = 3;

/// The fewest characters that a beginning of an id must have to be taken for
/// one.
const SHORTEST_BEGINNING: usize = 3;

/// Where executions are looked for.
pub(crate) struct Search {
    pub(crate) executions: Executions,
    pub(crate) sagemaker: SageMaker,
    /// The options that lead a command to the same table.
    options: String,
}

/// An execution that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has this record.
    Recorded(RecordId),
    /// SageMaker has it, and no record of it was found.
    Unrecorded(ExecutionArn),
}

/// There is no such execution; the text says which ones are near.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unknown(String);

impl Search {
    /// Looks in an installation's table of executions, or in the one that was
    /// given instead.
    pub(crate) fn new(
        config: &SdkConfig,
        installation: &Installation,
        table: Option<&str>,
    ) -> Self {
        let name = match table {
            Some(table) => table.to_owned(),
            None => installation.named("executions"),
        };
        Self {
            executions: Executions::new(dynamodb::client(config), name),
            sagemaker: SageMaker::new(sagemaker::client(config)),
            options: match table {
                Some(table) => format!(" --table {table}"),
                None => installation.options(),
            },
        }
    }

    /// The command that lists executions, as one types it.
    fn list(&self) -> String {
        format!("`pipewright execution list{}`", self.options)
    }

    /// The id of the execution that is meant, which must have a record.
    pub(crate) async fn recorded(&self, text: &str, now: i64) -> anyhow::Result<RecordId> {
        match self.look(text, now).await?? {
            Found::Recorded(id) => Ok(id),
            Found::Unrecorded(arn) => Err(self.unrecorded(&arn)),
        }
    }

    /// What is said of an execution that no record is found of.
    fn unrecorded(&self, arn: &ExecutionArn) -> anyhow::Error {
        anyhow!(
            "table {} has no record of execution {arn}: none of its events has come yet, or no rule brings those of \
             its pipeline",
            self.executions
        )
    }

    /// The execution that is meant, or that there is none.
    ///
    /// # Errors
    /// If it can be neither id nor ARN, if several have the display name, or if it can't be found out.
    pub(crate) async fn look(
        &self,
        text: &str,
        now: i64,
    ) -> anyhow::Result<Result<Found, Unknown>> {
        if let Ok(arn) = ExecutionArn::parse(text) {
            return self.by_arn(arn, now).await;
        }
        // A display name has the form of an id.
        let id = RecordId::new(text)?;
        if self.has(&id).await? {
            return Ok(Ok(Found::Recorded(id)));
        }
        let records = self.recent(DAYS, now).await?;
        let same: Vec<&str> = records
            .iter()
            .filter(|(_, record)| is_named(record, text))
            .map(|(id, _)| id.as_str())
            .collect();
        match &same[..] {
            [] => Ok(Err(self.unknown(text, &records))),
            [id] => Ok(Ok(Found::Recorded(RecordId::new(*id)?))),
            _ => bail!(
                "{} executions have the name {text}: {}; say which by its id",
                same.len(),
                same.join(", ")
            ),
        }
    }

    /// Whether there is anything under an id.
    pub(crate) async fn has(&self, id: &RecordId) -> Result<bool, TableError> {
        Ok(self.executions.record(id).await?.is_some()
            || !self.executions.items(id.as_str()).await?.is_empty())
    }

    async fn by_arn(&self, arn: ExecutionArn, now: i64) -> anyhow::Result<Result<Found, Unknown>> {
        let own = RecordId::new(arn.execution_id()).ok();
        if let Some(id) = own
            && self.is_recorded_as(&id, &arn).await?
        {
            return Ok(Ok(Found::Recorded(id)));
        }
        let Some(state) = self.sagemaker.execution_state(arn.as_str()).await? else {
            // Its record outlives its pipeline.
            let records = self.recent(DAYS, now).await?;
            let of_arn = |record: &Item| {
                arn_of(record).is_some_and(|known| known.eq_ignore_ascii_case(arn.as_str()))
            };
            return Ok(match records.iter().find(|(_, record)| of_arn(record)) {
                Some((id, _)) => Ok(Found::Recorded(RecordId::new(id.as_str())?)),
                None => Err(self.unknown(arn.as_str(), &records)),
            });
        };
        let parameter = self
            .sagemaker
            .execution_parameter(arn.as_str(), event::EXECUTION_ID)
            .await?;
        for name in [state.display_name, parameter] {
            if let Some(candidate) = whose::started(name.as_deref())
                && self.is_recorded_as(&candidate.id, &arn).await?
            {
                return Ok(Ok(Found::Recorded(candidate.id)));
            }
        }
        Ok(Ok(Found::Unrecorded(arn)))
    }

    /// Whether the record under an id is, or as far as is known will be, the
    /// execution's.
    async fn is_recorded_as(&self, id: &RecordId, arn: &ExecutionArn) -> Result<bool, TableError> {
        let record = self.executions.record(id).await?;
        Ok(record.is_some_and(|record| match arn_of(&record) {
            Some(known) => known.eq_ignore_ascii_case(arn.as_str()),
            None => record.contains_key(names::CREATED_AT),
        }))
    }

    /// The records of the executions that are open, or ended within so many
    /// days, by their ids.
    pub(crate) async fn recent(&self, days: u16, now: i64) -> anyhow::Result<Vec<(String, Item)>> {
        let mut ids = std::collections::BTreeSet::new();
        // One may end between two of these, and so be in both.
        for phase in std::iter::once(phase::OPEN.to_owned()).chain(phase::ended_within(days, now)) {
            let executions = &self.executions;
            let rows =
                all(async |from| Ok::<_, anyhow::Error>(executions.in_phase(&phase, from).await?));
            let rows = rows.await?;
            ids.extend(rows.into_iter().map(|row| row.id));
        }
        let mut ids = ids.into_iter();
        let mut under_way = JoinSet::new();
        let mut records = Vec::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some(id) = ids.next()
            {
                let executions = self.executions.clone();
                under_way.spawn(async move {
                    let record = executions.record(&RecordId::new(id.as_str())?).await?;
                    Ok::<_, anyhow::Error>((id, record))
                });
            }
            match under_way.join_next().await {
                // The index may show what is deleted since.
                Some(read) => {
                    if let (id, Some(record)) = read?? {
                        records.push((id, record));
                    }
                }
                None => break,
            }
        }
        records.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(records)
    }

    /// What is said of an execution that is not among these, with those of them
    /// that may have been meant.
    fn unknown(&self, text: &str, records: &[(String, Item)]) -> Unknown {
        let mut candidates = Vec::new();
        for (id, record) in records.iter().rev() {
            candidates.push(id.clone());
            let name = Record::read(record).execution.display_name;
            candidates.extend(name.filter(|name| name != id));
        }
        let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
        Unknown(format!(
            "there is no execution {text} in table {}{}; {} has the ids",
            self.executions,
            meant(&near(text, &candidates)),
            self.list()
        ))
    }
}

/// Whether an execution has this display name, or this id of SageMaker's own.
fn is_named(record: &Item, text: &str) -> bool {
    let name = Record::read(record).execution.display_name;
    let own = arn_of(record).and_then(|arn| arn.rsplit('/').next());
    name.as_deref() == Some(text) || own.is_some_and(|own| own.eq_ignore_ascii_case(text))
}

/// Of ids and names those that were probably meant: what begins so, or else the
/// nearest. The newest come first.
fn near<'a>(text: &str, candidates: &[&'a str]) -> Vec<&'a str> {
    let begins = |candidate: &&&str| {
        let start = candidate.get(..text.len());
        text.len() >= SHORTEST_BEGINNING
            && start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    let beginning: Vec<&str> = candidates
        .iter()
        .filter(begins)
        .take(NAMED)
        .copied()
        .collect();
    if !beginning.is_empty() {
        return beginning;
    }
    likely(text, candidates.iter().copied())
        .into_iter()
        .collect()
}

/// `: did you mean "a", "b" or "c"?`; nothing where none is near.
fn meant(near: &[&str]) -> String {
    let quoted: Vec<String> = near.iter().map(|name| format!("{name:?}")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => format!(": did you mean {last}?"),
        Some((last, others)) => format!(": did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_begins_so_is_near_or_else_the_nearest() {
        let candidates = [
            "20261130-b",
            "20261130-a",
            "nightly",
            "20261129-z",
            "20261130-0",
        ];
        assert_eq!(
            near("20261130", &candidates),
            ["20261130-b", "20261130-a", "20261130-0"]
        );
        assert_eq!(near("nihgtly", &candidates), ["nightly"]);
        assert!(near("something-else", &candidates).is_empty());
        assert!(near("ü", &["übung"]).is_empty());
        assert_eq!(meant(&[]), "");
        assert_eq!(meant(&["a"]), ": did you mean \"a\"?");
        assert_eq!(
            meant(&["a", "b", "c"]),
            ": did you mean \"a\", \"b\" or \"c\"?"
        );
    }

    #[test]
    fn an_execution_is_known_by_its_display_name_and_sagemakers_own_id() {
        let record = json!({
            "displayName": "nightly", "arnKey": "arn:aws:sagemaker:r:1:pipeline/p/execution/k3v9q0zt2m1a",
        });
        let record = record.as_object().unwrap().clone();
        assert!(is_named(&record, "nightly"));
        assert!(is_named(&record, "K3V9Q0ZT2M1A"));
        assert!(!is_named(&record, "Nightly"));
        assert!(!is_named(&Item::new(), "nightly"));
    }
}
