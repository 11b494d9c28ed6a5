//! The list of executions in pages, read with little: what stands in the index by phase is kept for a while, and what an
//! execution that has ended says for good.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use pipewright::record::{History, RecordId, phase};
use pipewright_aws::all;
use pipewright_aws::dynamodb::{ListedExecution, Records, TableError};

use super::list::Row;

/// How many executions a page has.
pub(crate) const PAGE: usize = 50;

/// For how long what the index says of open executions, and of those that ended today or yesterday, is taken for true,
/// milliseconds.
const FRESH: i64 = 1_000;

/// The same, of earlier days: there, executions only go, when they are retried or forgotten.
const SETTLED: i64 = 60_000;

/// What DynamoDB reads for half a unit, or for a whole one if the read is consistent.
const UNIT: usize = 4096;

/// How many pages are looked through for an execution that succeeded before another.
const LOOKED_THROUGH: usize = 10;

/// About what an execution takes in the index, beside its id.
const INDEXED: usize = 100;

/// A phase, as it was read.
#[derive(Debug)]
struct Phase {
    at: i64,
    executions: Vec<ListedExecution>,
}

/// What is known of the list.
#[derive(Debug)]
pub(crate) struct Listing {
    days: u16,
    phases: BTreeMap<String, Phase>,
    /// The executions that have ended, by their ids.
    ended: BTreeMap<String, Row>,
}

/// A page of the list.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The newest first.
    pub(crate) rows: Vec<Row>,
    /// Which page it is, from 1.
    pub(crate) page: usize,
    /// How many there are; at least 1.
    pub(crate) pages: usize,
    /// How many executions there are on all pages.
    pub(crate) total: usize,
    /// About how many read units DynamoDB took for it, by the sizes of what was read.
    pub(crate) units: f64,
}

impl Listing {
    /// The executions that are open, or ended within so many days.
    pub(crate) fn new(days: u16) -> Self {
        Self {
            days,
            phases: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// The page of this number, from 1; the last one if there are not so many.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub(crate) async fn page(
        &mut self,
        records: &impl Records,
        number: usize,
        now: i64,
    ) -> Result<Listed, TableError> {
        let mut units = self.read_phases(records, now).await?;
        let open: BTreeSet<&str> = self
            .phases
            .get(phase::OPEN)
            .map_or_else(BTreeSet::new, |open| {
                open.executions.iter().map(|one| one.id.as_str()).collect()
            });
        // A retried one is open again.
        self.ended.retain(|id, _| !open.contains(id.as_str()));

        let mut listed: BTreeMap<&str, Option<i64>> = BTreeMap::new();
        for one in self.phases.values().flat_map(|phase| &phase.executions) {
            listed.insert(&one.id, one.since);
        }
        let mut newest: Vec<(Option<i64>, &str)> =
            listed.into_iter().map(|(id, since)| (since, id)).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        let total = newest.len();
        let pages = total.div_ceil(PAGE).max(1);
        let page = number.clamp(1, pages);
        let ids: Vec<RecordId> = newest
            .iter()
            .skip((page - 1) * PAGE)
            .take(PAGE)
            .filter_map(|(_, id)| RecordId::new(*id).ok())
            .collect();

        let unknown = ids
            .iter()
            .filter(|id| !self.ended.contains_key(id.as_str()));
        let unknown: Vec<&RecordId> = unknown.collect();
        let read = try_join_all(unknown.iter().map(|id| records.record(id))).await?;
        let mut rows = BTreeMap::new();
        for (id, record) in unknown.into_iter().zip(read) {
            // The index may show what is deleted since.
            let Some(record) = record else { continue };
            let size = serde_json::to_vec(&record).map_or(0, |text| text.len());
            units += whole(size.div_ceil(UNIT).max(1));
            let row = Row::of(id.as_str(), &record, now);
            if row.is_over() {
                self.ended.insert(id.to_string(), row.clone());
            }
            rows.insert(id.as_str(), row);
        }
        let row = |id: &RecordId| {
            let known = rows.get(id.as_str());
            known.or_else(|| self.ended.get(id.as_str())).cloned()
        };
        Ok(Listed {
            rows: ids.iter().filter_map(row).collect(),
            page,
            pages,
            total,
            units,
        })
    }

    /// The id of the last execution of the same pipeline that began before this one and succeeded, if it is among the newest
    /// ones.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub(crate) async fn succeeded_before(
        &mut self,
        records: &impl Records,
        history: &History,
        now: i64,
    ) -> Result<Option<String>, TableError> {
        let own = history
            .record
            .as_ref()
            .map(|record| Row::of(&history.id, record, now));
        let Some(own) = own.filter(|own| own.pipeline.is_some()) else {
            return Ok(None);
        };
        let is_such = |row: &Row| {
            let same = row.pipeline.as_deref().map(str::to_ascii_lowercase)
                == own.pipeline.as_deref().map(str::to_ascii_lowercase);
            same && row.id != own.id && row.status() == "Succeeded" && row.since() < own.since()
        };
        for number in 1..=LOOKED_THROUGH {
            let listed = self.page(records, number, now).await?;
            if let Some(found) = listed.rows.iter().find(|row| is_such(row)) {
                return Ok(Some(found.id.clone()));
            }
            if number >= listed.pages {
                break;
            }
        }
        Ok(None)
    }

    /// Takes nothing for fresh any more.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.phases.clear();
    }

    /// Reads the phases that were not read lately; tells what that took.
    async fn read_phases(&mut self, records: &impl Records, now: i64) -> Result<f64, TableError> {
        let days = phase::ended_within(self.days, now);
        let wanted = std::iter::once(phase::OPEN.to_owned()).chain(days);
        let wanted: Vec<(String, i64)> = wanted
            .enumerate()
            .map(|(place, name)| (name, if place < 3 { FRESH } else { SETTLED }))
            .collect();
        self.phases
            .retain(|name, _| wanted.iter().any(|(wanted, _)| wanted == name));
        let stale: Vec<&str> = wanted
            .iter()
            .filter(|(name, lasts)| {
                let known = self.phases.get(name.as_str());
                known.is_none_or(|known| now.saturating_sub(known.at) >= *lasts)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        let read = try_join_all(
            stale
                .iter()
                .map(|name| all(async |from| records.in_phase(name, from).await)),
        );
        let mut units = 0.0;
        for (name, executions) in stale.iter().zip(read.await?) {
            let size = executions
                .iter()
                .map(|one| one.id.len() + INDEXED)
                .sum::<usize>();
            units += whole(size.div_ceil(UNIT).max(1)) / 2.0;
            self.phases.insert(
                (*name).to_owned(),
                Phase {
                    at: now,
                    executions,
                },
            );
        }
        Ok(units)
    }
}

fn whole(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright_aws::dynamodb::memory::Memory;
    use serde_json::{Value, json};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    // 2024-05-06T07:00:00Z
    const NOW: i64 = 1_714_978_800_000;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn put(memory: &Memory, record: Value) {
        memory.put(record.as_object().unwrap().clone());
    }

    fn ended(memory: &Memory, id: &str, at: i64) {
        put(
            memory,
            json!({
                "Id": id, "entry": "record", "pipelineStatus": "Succeeded", "createdAt": at - 60_000,
                "startedAt": at - 60_000, "endedAt": at, "phase": phase::ended(at),
            }),
        );
    }

    fn open(memory: &Memory, id: &str, since: i64) {
        put(
            memory,
            json!({
                "Id": id, "entry": "record", "pipelineStatus": "Executing", "createdAt": since,
                "startedAt": since, "phase": phase::OPEN,
            }),
        );
    }

    /// What a future comes to that waits for nothing outside.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
        }
    }

    fn page(listing: &mut Listing, memory: &Memory, number: usize, now: i64) -> Listed {
        ready(listing.page(&memory, number, now)).unwrap()
    }

    #[test]
    fn the_last_success_before_an_execution_is_of_its_pipeline() {
        let memory = Memory::default();
        let of = |id: &str, pipeline: &str, status: &str, at: i64| {
            let arn = format!(
                "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{pipeline}/execution/{id}"
            );
            put(
                &memory,
                json!({
                    "Id": id, "entry": "record", "pipelineStatus": status, "createdAt": at, "startedAt": at,
                    "endedAt": at + 1, "phase": phase::ended(at), "pipelineExecutionArn": arn,
                }),
            );
        };
        of("later", "p", "Succeeded", NOW);
        of("this", "p", "Failed", NOW - 1_000);
        of("failed", "p", "Failed", NOW - 2_000);
        of("other", "q", "Succeeded", NOW - 3_000);
        of("before", "P", "Succeeded", NOW - 4_000);
        of("first", "p", "Succeeded", NOW - 5_000);
        let before = |id: &str| {
            let history = memory.history(id);
            let mut listing = Listing::new(7);
            let records = &&memory;
            ready(listing.succeeded_before(records, &history, NOW)).unwrap()
        };
        assert_eq!(before("this").as_deref(), Some("before"));
        assert_eq!(before("first"), None);
        assert_eq!(before("other"), None);
    }

    fn ids(listed: &Listed) -> Vec<&str> {
        listed.rows.iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn the_newest_come_first_in_pages_of_fifty() {
        let memory = Memory::default();
        for number in 0..120 {
            ended(
                &memory,
                &format!("run-{number:03}"),
                NOW - number * 3_600_000,
            );
        }
        open(&memory, "open", NOW - 30 * DAY);
        let mut listing = Listing::new(30);
        let first = page(&mut listing, &memory, 1, NOW);
        assert_eq!((first.total, first.pages, first.rows.len()), (121, 3, 50));
        assert_eq!(ids(&first)[..2], ["run-000", "run-001"]);
        let last = page(&mut listing, &memory, 99, NOW);
        assert_eq!((last.page, last.rows.len()), (3, 21));
        assert_eq!(ids(&last).last(), Some(&"open"));
        assert!(first.units > last.units);
    }

    #[test]
    fn what_has_ended_is_read_once_and_what_is_open_each_time() {
        let memory = Memory::default();
        ended(&memory, "old", NOW - 9 * DAY);
        open(&memory, "new", NOW);
        let mut listing = Listing::new(30);
        assert_eq!(ids(&page(&mut listing, &memory, 1, NOW)), ["new", "old"]);
        // No read of it would succeed.
        memory.broken().insert("old".to_owned());
        memory.broken().insert(phase::ended(NOW - 9 * DAY));
        ended(&memory, "new", NOW + 1_000);
        let listed = page(&mut listing, &memory, 1, NOW + 2_000);
        assert_eq!(ids(&listed), ["new", "old"]);
        assert_eq!(listed.rows[0].status(), "Succeeded");
        // Three phases and a record.
        assert!((listed.units - 2.5).abs() < 1e-9, "{}", listed.units);
        let listed = page(&mut listing, &memory, 1, NOW + 2_500);
        assert!(listed.units < 1e-9, "nothing is read twice within a second");
    }

    #[test]
    fn a_retried_execution_is_read_anew() {
        let memory = Memory::default();
        ended(&memory, "run", NOW - 60_000);
        let mut listing = Listing::new(30);
        assert_eq!(
            page(&mut listing, &memory, 1, NOW).rows[0].status(),
            "Succeeded"
        );
        open(&memory, "run", NOW - 120_000);
        let listed = page(&mut listing, &memory, 1, NOW + 5_000);
        assert_eq!(listed.rows[0].status(), "Executing");
    }

    #[test]
    fn an_empty_table_has_one_page() {
        let listed = page(&mut Listing::new(7), &Memory::default(), 0, NOW);
        assert_eq!((listed.total, listed.page, listed.pages), (0, 1, 1));
    }
}
