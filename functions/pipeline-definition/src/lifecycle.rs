//! Random lives of stacks: a driver plays CloudFormation and Lambda against
//! the handler, over buckets that fail.
//!
//! What it plays: creation with rollback, update in place, replacement with
//! cleanup, updates that fail and roll back (with the function's old code or
//! its new), deletion with a second try, changed buckets and prefixes, request
//! ids used again, deliveries repeated, replies lost, two stacks with the same
//! content, and executions that still run from an older script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipewright::custom_resource::{LogLocation, ResponseUrl, Transport, TransportError, UrlPolicy};
use pipewright_aws::custom_resource::{Invocation, respond};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::PipelineDefinition;
use crate::location::sha256;
use crate::memory::{Call, MemoryStore, OWNER, Trouble};

const BUCKETS: [&str; 2] = ["pipelines", "pipelines-2"];
const PREFIXES: [Option<&str>; 2] = [None, Some("other/prefix")];
const SCRIPTS: [&str; 3] = ["script 0", "script 1", "script 2"];
const STACKS: usize = 2;

const TEMPLATE: &str = r#"{"Version":"2020-12-01","Steps":[
    {"Name":"{{ Name }}","Type":"Fail","Arguments":{"ErrorMessage":"{{ ExecutorS3Uri }}"}}
]}"#;

/// Properties that a template could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    bucket: usize,
    prefix: usize,
    content: usize,
    /// Leaves out a value, so that filling fails.
    broken: bool,
}

impl Wish {
    fn properties(self, code: usize) -> Value {
        let mut properties = json!({
            "ServiceToken": "arn",
            "Bucket": BUCKETS[self.bucket],
            "Template": TEMPLATE,
            "Values": {"Name": format!("Step{}", self.content)},
            "CodeVersion": code.to_string(),
        });
        if let Some(prefix) = PREFIXES[self.prefix] {
            properties["KeyPrefix"] = json!(prefix);
        }
        if self.broken {
            properties["Values"] = json!({});
        }
        properties
    }
}

/// What goes wrong while one request is handled.
#[derive(Debug, Clone)]
struct Weather {
    troubles: Vec<(Call, Trouble)>,
    /// How the attempts to reply end; further ones are taken. `None` hangs;
    /// 0 is taken, but the answer is lost.
    replies: Vec<Option<u16>>,
    /// Deliveries after the first one that was answered.
    repeats: usize,
}

#[derive(Debug, Clone)]
enum Step {
    /// Creates the stack, if it is not there.
    Create {
        stack: usize,
        wish: Wish,
        fails_later: bool,
        weather: Weather,
    },
    /// Creates the stack, if it is not there, and after so many calls of S3 deletes
    /// what it has not heard of.
    Cancel {
        stack: usize,
        wish: Wish,
        after: usize,
    },
    /// Creates the stack, if it is not there; if that fails, creates it again, and
    /// only then deletes what the first attempt may have left.
    Retry {
        stack: usize,
        wish: Wish,
        weather: Weather,
    },
    /// Updates the stack, if it is there; `fails_later` rolls back.
    Update {
        stack: usize,
        wish: Wish,
        fails_later: bool,
        code_rolls_back: bool,
        weather: Weather,
    },
    Delete {
        stack: usize,
        weather: Weather,
    },
    /// Starts an execution of the stack's pipeline.
    Start {
        stack: usize,
    },
    /// Ends the oldest execution.
    End,
    /// Deploys another version of the function.
    Code {
        version: usize,
    },
    /// Asks to delete, in the stack's name, what is not the stack's.
    DeleteForeign {
        stack: usize,
        which: usize,
    },
}

/// A stack that exists.
#[derive(Debug, Clone)]
struct Live {
    wish: Wish,
    code: usize,
    id: String,
    data: Value,
}

/// All the world of one history.
struct World {
    store: MemoryStore,
    code: usize,
    stacks: [Option<Live>; STACKS],
    /// Of each stack name, how many there have been: a new one has a new ARN.
    generations: [usize; STACKS],
    /// Scripts that executions were started with: stack, bucket, key.
    running: VecDeque<(usize, String, String)>,
    /// What updates and creations left that CloudFormation never learned of.
    unknown: BTreeSet<(String, String)>,
    /// The id that properties gave before.
    ids: BTreeMap<(String, Wish, usize), String>,
    /// How many events there have been.
    events: AtomicUsize,
}

/// What CloudFormation learned of a request.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    success: bool,
    id: String,
    data: Value,
}

struct Replies {
    plan: Mutex<VecDeque<Option<u16>>>,
    taken: Mutex<Vec<Value>>,
}

impl Transport for Replies {
    async fn put(
        &self,
        _: &ResponseUrl,
        body: Vec<u8>,
        _: Duration,
    ) -> Result<u16, TransportError> {
        let next = self.plan.lock().unwrap().pop_front().unwrap_or(Some(200));
        let Some(status) = next else {
            return std::future::pending().await;
        };
        if matches!(status, 0 | 200) {
            let reply = serde_json::from_slice(&body).unwrap();
            self.taken.lock().unwrap().push(reply);
        }
        match status {
            0 => Err(TransportError("connection reset".to_owned())),
            status => Ok(status),
        }
    }
}

type Checked<T> = Result<T, TestCaseError>;

impl World {
    fn new() -> Self {
        Self {
            store: MemoryStore::with_buckets(&BUCKETS),
            code: 0,
            stacks: [None, None],
            generations: [0; STACKS],
            running: VecDeque::new(),
            unknown: BTreeSet::new(),
            ids: BTreeMap::new(),
            events: AtomicUsize::new(0),
        }
    }

    fn arn(&self, stack: usize) -> String {
        format!(
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/s{stack}/{}",
            self.generations[stack]
        )
    }

    /// Delivers a request as Lambda does: again after an error, at most three
    /// times, and `repeats` times more for no reason. All that is answered must
    /// be the same answer.
    async fn request(
        &self,
        stack: usize,
        operation: &str,
        properties: &Value,
        old: Option<(&str, &Value)>,
        weather: &Weather,
    ) -> Checked<Option<Answer>> {
        let mut event = json!({
            "RequestType": operation,
            "ResponseURL": format!(
                "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/{}?secret",
                self.events.fetch_add(1, Ordering::Relaxed)
            ),
            "StackId": self.arn(stack),
            // Used again and again.
            "RequestId": "request",
            "LogicalResourceId": "PipelineDefinition",
            "ResourceType": "Custom::PipelineDefinition",
            "ResourceProperties": properties,
        });
        if let Some((id, old_properties)) = old {
            event["PhysicalResourceId"] = json!(id);
            if operation == "Update" {
                event["OldResourceProperties"] = old_properties.clone();
            }
        }
        let event = event.to_string();
        for (call, trouble) in &weather.troubles {
            self.store.trouble(*call, *trouble);
        }
        let handler = Arc::new(PipelineDefinition::with_executor(
            self.store.clone(),
            SCRIPTS[self.code],
        ));
        let replies = Replies {
            plan: Mutex::new(weather.replies.iter().copied().collect()),
            taken: Mutex::default(),
        };
        let now = Duration::from_secs(1_780_000_000);
        let invocation = Invocation {
            now,
            deadline: now + Duration::from_secs(60),
            log: LogLocation::default(),
            policy: UrlPolicy::of_region("eu-west-1"),
            account: Some(OWNER.to_owned()),
        };
        let mut answer: Option<Answer> = None;
        for _ in 0..3 {
            let result = respond(&event, &invocation, &handler, &replies).await;
            // CloudFormation goes by the first reply that it sees.
            if let Some(reply) = replies.taken.lock().unwrap().first() {
                answer = Some(Answer {
                    success: reply["Status"] == "SUCCESS",
                    id: reply["PhysicalResourceId"].as_str().unwrap().to_owned(),
                    data: reply["Data"].clone(),
                });
            }
            if result.is_ok() {
                break;
            }
        }
        self.store.forget_troubles();
        if let Some(answer) = answer.as_ref().filter(|answer| answer.success) {
            for _ in 0..weather.repeats {
                let before = replies.taken.lock().unwrap().len();
                respond(&event, &invocation, &handler, &replies)
                    .await
                    .unwrap();
                let taken = replies.taken.lock().unwrap();
                prop_assert_eq!(&taken[before]["Status"], "SUCCESS");
                prop_assert_eq!(&taken[before]["PhysicalResourceId"], answer.id.as_str());
            }
        }
        Ok(answer)
    }

    /// All that lies in the buckets.
    fn all_keys(&self) -> BTreeSet<(String, String)> {
        let of = |bucket: &str| {
            let keys = self.store.keys(bucket).into_iter();
            keys.map(|key| (bucket.to_owned(), key)).collect::<Vec<_>>()
        };
        BUCKETS.iter().flat_map(|bucket| of(bucket)).collect()
    }

    /// Notes what has come since `before`, by a request of which CloudFormation
    /// did not learn that it made something.
    fn note_unknown(&mut self, before: &BTreeSet<(String, String)>) {
        let made: Vec<_> = self.all_keys().difference(before).cloned().collect();
        self.unknown.extend(made);
    }

    fn note_id(&mut self, stack: usize, wish: Wish, id: &str) -> Checked<()> {
        let key = (self.arn(stack), wish, self.code);
        let before = self.ids.entry(key).or_insert_with(|| id.to_owned());
        prop_assert_eq!(before.as_str(), id, "the same properties gave another id");
        Ok(())
    }

    /// The stack is as the answer to the wish says, by the present code.
    fn bring_up(&mut self, stack: usize, wish: Wish, answer: Answer) {
        self.stacks[stack] = Some(Live {
            wish,
            code: self.code,
            id: answer.id,
            data: answer.data,
        });
    }

    /// Deletes as CloudFormation does, which tries three times.
    async fn clean_up(
        &self,
        stack: usize,
        id: &str,
        properties: &Value,
        weather: &Weather,
    ) -> Checked<()> {
        let calm = calm();
        for weather in [weather, &calm, &calm] {
            let answer = self
                .request(
                    stack,
                    "Delete",
                    properties,
                    Some((id, &Value::Null)),
                    weather,
                )
                .await?;
            if let Some(answer) = answer {
                prop_assert_eq!(&answer.id, id, "a deletion answered another id");
                if answer.success {
                    return Ok(());
                }
            }
        }
        Err(TestCaseError::fail("a deletion failed in calm weather"))
    }

    async fn create(
        &mut self,
        stack: usize,
        wish: Wish,
        fails_later: bool,
        weather: &Weather,
    ) -> Checked<()> {
        self.generations[stack] += 1;
        let properties = wish.properties(self.code);
        let before = self.all_keys();
        let answer = self
            .request(stack, "Create", &properties, None, weather)
            .await?;
        match answer {
            Some(answer) if answer.success && !fails_later => {
                self.note_id(stack, wish, &answer.id)?;
                self.bring_up(stack, wish, answer);
            }
            Some(answer) => {
                self.clean_up(stack, &answer.id, &properties, &calm())
                    .await?;
                self.nothing_remains(stack)?;
            }
            None => {
                // CloudFormation makes up an id and deletes that.
                self.clean_up(stack, "s-PipelineDefinition-ABCDEF", &properties, &calm())
                    .await?;
                self.note_unknown(&before);
            }
        }
        Ok(())
    }

    /// CloudFormation gives a creation up while it runs, and deletes by an id that
    /// it makes up.
    async fn cancel(&mut self, stack: usize, wish: Wish, after: usize) -> Checked<()> {
        self.generations[stack] += 1;
        let properties = wish.properties(self.code);
        let until = self.store.call_count() + after;
        let calm = calm();
        let creation = self.request(stack, "Create", &properties, None, &calm);
        let deletion = async {
            // Until then, or until the creation makes no more calls.
            for _ in 0..1_000 {
                if self.store.call_count() >= until {
                    break;
                }
                tokio::task::yield_now().await;
            }
            self.clean_up(stack, "s-PipelineDefinition-ABCDEF", &properties, &calm)
                .await
        };
        let (created, deleted) = tokio::join!(creation, deletion);
        deleted?;
        match created? {
            // It came to its end first, which CloudFormation does not hear.
            Some(answer) if answer.success => {
                self.clean_up(stack, &answer.id, &properties, &calm).await?;
            }
            _ => {}
        }
        self.nothing_remains(stack)
    }

    /// A creation that fails, the next one, and only then the clean-up of the first.
    async fn retry(&mut self, stack: usize, wish: Wish, weather: &Weather) -> Checked<()> {
        self.generations[stack] += 1;
        let properties = wish.properties(self.code);
        let before = self.all_keys();
        let first = self
            .request(stack, "Create", &properties, None, weather)
            .await?;
        let (again, failed) = match first {
            Some(answer) if answer.success => (Some(answer), None),
            first => {
                let again = self
                    .request(stack, "Create", &properties, None, &calm())
                    .await?;
                (again.filter(|answer| answer.success), first)
            }
        };
        let Some(again) = again else {
            // The wish itself is at fault: nothing was ever written.
            self.note_unknown(&before);
            return Ok(());
        };
        self.note_id(stack, wish, &again.id)?;
        self.bring_up(stack, wish, again);
        if let Some(failed) = failed {
            self.clean_up(stack, &failed.id, &properties, &calm())
                .await?;
        }
        Ok(())
    }

    async fn update(
        &mut self,
        stack: usize,
        wish: Wish,
        fails_later: bool,
        code_rolls_back: bool,
        weather: &Weather,
    ) -> Checked<()> {
        let Some(old) = self.stacks[stack].clone() else {
            return Ok(());
        };
        let (properties, old_properties) =
            (wish.properties(self.code), old.wish.properties(old.code));
        let before = self.all_keys();
        let answer = self
            .request(
                stack,
                "Update",
                &properties,
                Some((&old.id, &old_properties)),
                weather,
            )
            .await?;
        let learned = match &answer {
            Some(answer) if answer.success => {
                self.note_id(stack, wish, &answer.id)?;
                if !fails_later {
                    self.bring_up(stack, wish, answer.clone());
                    if answer.id != old.id {
                        self.clean_up(stack, &old.id, &old_properties, weather)
                            .await?;
                    }
                    // Executions of a stack that has moved to another bucket or
                    // prefix have lost their place to the cleanup of the old one,
                    // also when the stack comes back.
                    let root = answer.id.rsplit_once('/').map_or("", |(root, _)| root);
                    self.running.retain(|(of, bucket, key)| {
                        *of != stack || format!("{bucket}/{key}").starts_with(root)
                    });
                    return Ok(());
                }
                answer.id.clone()
            }
            other => {
                if let Some(answer) = other {
                    prop_assert_eq!(&answer.id, &old.id, "a failed update answered another id");
                }
                self.note_unknown(&before);
                old.id.clone()
            }
        };
        // The rollback: an update to the old properties.
        self.check_live()?;
        let new_code = self.code;
        if code_rolls_back {
            self.code = old.code;
        }
        let rolled_back = self
            .request(
                stack,
                "Update",
                &old_properties,
                Some((&learned, &properties)),
                &calm(),
            )
            .await?
            .filter(|answer| answer.success);
        let Some(rolled_back) = rolled_back else {
            return Err(TestCaseError::fail("a rollback failed in calm weather"));
        };
        prop_assert_eq!(&rolled_back.id, &old.id, "a rollback gave another id");
        prop_assert_eq!(&rolled_back.data, &old.data, "a rollback gave other data");
        self.stacks[stack] = Some(old.clone());
        if rolled_back.id != learned {
            self.clean_up(stack, &learned, &properties, &calm()).await?;
        }
        self.code = new_code;
        Ok(())
    }

    async fn delete(&mut self, stack: usize, weather: &Weather) -> Checked<()> {
        let Some(live) = self.stacks[stack].take() else {
            return Ok(());
        };
        // Properties of a version of this program that never was.
        let properties = json!({"Old": ["shape"], "Bucket": 7});
        self.clean_up(stack, &live.id, &properties, weather).await?;
        self.running.retain(|(of, _, _)| *of != stack);
        self.nothing_remains(stack)
    }

    /// After a stack's deletion nothing of it remains, versions and markers
    /// included, but for what CloudFormation never learned of.
    fn nothing_remains(&mut self, stack: usize) -> Checked<()> {
        let digest = &sha256(format!("{}\nPipelineDefinition", self.arn(stack)).as_bytes())[..16];
        for (bucket, key) in self.all_keys() {
            let Some((prefix, _)) = key.split_once(&format!("/{digest}/")) else {
                continue;
            };
            // A definition that is unknown to all keeps the scripts and marks beside it.
            let root = format!("{prefix}/{digest}/");
            let excused = self.unknown.iter().any(|(of, unknown)| {
                *of == bucket
                    && (*unknown == key
                        || unknown.starts_with(&root)
                            && unknown.ends_with(".json")
                            && ["executor/", "made/creations/"]
                                .iter()
                                .any(|below| key.starts_with(&format!("{root}{below}"))))
            });
            prop_assert!(excused, "{bucket}/{key} remains");
        }
        Ok(())
    }

    /// What a live stack or a running execution refers to is there.
    fn check_live(&self) -> Checked<()> {
        for live in self.stacks.iter().flatten() {
            let (bucket, key) = (live.data["Bucket"].as_str(), live.data["Key"].as_str());
            let (bucket, key) = (bucket.unwrap_or_default(), key.unwrap_or_default());
            prop_assert_eq!(&live.id, &format!("{bucket}/{key}"));
            let Some(bytes) = self.store.read(bucket, key) else {
                return Err(TestCaseError::fail(format!("the live {key} has gone")));
            };
            let digest = sha256(&bytes);
            prop_assert_eq!(&live.data["Sha256"], digest.as_str());
            let script = live.data["ExecutorS3Uri"].as_str().unwrap_or_default();
            let (bucket, key) = script.trim_start_matches("s3://").split_once('/').unwrap();
            prop_assert!(
                self.store.read(bucket, key).is_some(),
                "the script {key} has gone"
            );
        }
        for (_, bucket, key) in &self.running {
            prop_assert!(
                self.store.read(bucket, key).is_some(),
                "{key} has gone from under an execution"
            );
        }
        Ok(())
    }

    async fn take(&mut self, step: &Step) -> Checked<()> {
        match step {
            Step::Create {
                stack,
                wish,
                fails_later,
                weather,
            } => {
                if self.stacks[*stack].is_none() {
                    self.create(*stack, *wish, *fails_later, weather).await?;
                }
            }
            Step::Cancel { stack, wish, after } => {
                if self.stacks[*stack].is_none() {
                    self.cancel(*stack, *wish, *after).await?;
                }
            }
            Step::Retry {
                stack,
                wish,
                weather,
            } => {
                if self.stacks[*stack].is_none() {
                    self.retry(*stack, *wish, weather).await?;
                }
            }
            Step::Update {
                stack,
                wish,
                fails_later,
                code_rolls_back,
                weather,
            } => {
                self.update(*stack, *wish, *fails_later, *code_rolls_back, weather)
                    .await?;
            }
            Step::Delete { stack, weather } => self.delete(*stack, weather).await?,
            Step::Start { stack } => {
                if let Some(live) = &self.stacks[*stack] {
                    let script = live.data["ExecutorS3Uri"].as_str().unwrap_or_default();
                    let (bucket, key) = script.trim_start_matches("s3://").split_once('/').unwrap();
                    self.running
                        .push_back((*stack, bucket.to_owned(), key.to_owned()));
                }
            }
            Step::End => drop(self.running.pop_front()),
            Step::Code { version } => self.code = *version,
            Step::DeleteForeign { stack, which } => {
                let other = self.stacks[(stack + 1) % STACKS].as_ref();
                let id = match which {
                    0 => other.map_or("x".to_owned(), |live| live.id.clone()),
                    1 => format!(
                        "{}/definitions/0123456789abcdef/{}.json",
                        BUCKETS[0],
                        "0".repeat(64)
                    ),
                    2 => "failed-create-0123456789abcdef".to_owned(),
                    _ => BUCKETS[0].to_owned(),
                };
                let before: Vec<_> = BUCKETS
                    .iter()
                    .map(|bucket| self.store.keys(bucket))
                    .collect();
                self.clean_up(*stack, &id, &json!({}), &calm()).await?;
                let after: Vec<_> = BUCKETS
                    .iter()
                    .map(|bucket| self.store.keys(bucket))
                    .collect();
                prop_assert_eq!(before, after, "deleting {} touched something", id);
            }
        }
        self.check_live()
    }
}

fn calm() -> Weather {
    Weather {
        troubles: Vec::new(),
        replies: Vec::new(),
        repeats: 0,
    }
}

fn weathers() -> impl Strategy<Value = Weather> {
    let troubles = prop::collection::vec(
        (
            prop::sample::select(vec![Call::Put, Call::Put, Call::Versions, Call::Delete]),
            prop::sample::select(vec![
                Trouble::Fails,
                Trouble::HappensAndFails,
                Trouble::Hangs,
                Trouble::HappensAndHangs,
                Trouble::Denied,
                Trouble::Panics,
            ]),
        ),
        0..3,
    );
    let replies = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(prop::sample::select(vec![Some(500), Some(0), None]), 1..4),
        1 => Just(vec![Some(403); 3]),
    ];
    prop_oneof![
        Just(calm()),
        (troubles, replies, 0usize..3).prop_map(|(troubles, replies, repeats)| Weather {
            troubles,
            replies,
            repeats
        }),
    ]
}

fn wishes() -> impl Strategy<Value = Wish> {
    // Mostly one place, so that definitions meet.
    (
        prop_oneof![4 => Just(0usize), 1 => Just(1)],
        prop_oneof![4 => Just(0usize), 1 => Just(1)],
        0usize..3,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(bucket, prefix, content, broken)| Wish {
            bucket,
            prefix,
            content,
            broken,
        })
}

fn steps() -> impl Strategy<Value = Step> {
    let stack = 0..STACKS;
    prop_oneof![
        3 => (stack.clone(), wishes(), prop::bool::weighted(0.2), weathers()).prop_map(
            |(stack, wish, fails_later, weather)| Step::Create { stack, wish, fails_later, weather }
        ),
        2 => (stack.clone(), wishes(), 0usize..12).prop_map(
            |(stack, wish, after)| Step::Cancel { stack, wish, after }
        ),
        2 => (stack.clone(), wishes(), weathers()).prop_map(
            |(stack, wish, weather)| Step::Retry { stack, wish, weather }
        ),
        5 => (stack.clone(), wishes(), prop::bool::weighted(0.3), any::<bool>(), weathers()).prop_map(
            |(stack, wish, fails_later, code_rolls_back, weather)| Step::Update {
                stack,
                wish,
                fails_later,
                code_rolls_back,
                weather,
            }
        ),
        2 => (stack.clone(), weathers()).prop_map(|(stack, weather)| Step::Delete { stack, weather }),
        2 => stack.clone().prop_map(|stack| Step::Start { stack }),
        1 => Just(Step::End),
        1 => (0..SCRIPTS.len()).prop_map(|version| Step::Code { version }),
        1 => (stack, 0usize..4).prop_map(|(stack, which)| Step::DeleteForeign { stack, which }),
    ]
}

/// Some hundreds of histories; `PIPEWRIGHT_CASES` asks for more.
fn histories() -> u32 {
    let cases = std::env::var("PIPEWRIGHT_CASES").ok();
    cases.and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn live_through(histories: u32) {
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(histories)
    });
    runner
        .run(&prop::collection::vec(steps(), 1..16), |steps| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut world = World::new();
                for step in &steps {
                    world.take(step).await?;
                }
                for stack in 0..STACKS {
                    world.delete(stack, &calm()).await?;
                }
                Ok(())
            })
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// In whatever order stacks are created, cancelled while that is under way, updated, rolled back,
/// cleaned up and deleted, whatever fails and however often an event is delivered before the next
/// one: nothing that a live stack or its executions refer to is ever deleted, and of a deleted stack
/// nothing remains that CloudFormation ever learned of.
#[test]
fn hundreds_of_histories_lose_nothing_and_leave_nothing() {
    live_through(histories());
}

/// The events that a person sends by hand, in the order to send them.
#[tokio::test(start_paused = true)]
async fn the_fixtures_are_answered_as_their_names_say() {
    let bucket = "pipewright-pipeline-123456789012-eu-west-1";
    let store = MemoryStore::with_buckets(&[bucket]);
    let handler = Arc::new(PipelineDefinition::new(store.clone()));
    let now = Duration::from_secs(1_780_000_000);
    let invocation = Invocation {
        now,
        deadline: now + Duration::from_secs(60),
        log: LogLocation::default(),
        policy: UrlPolicy::of_region("eu-west-1").or_loopback(),
        account: Some(OWNER.to_owned()),
    };
    let mut made = Vec::new();
    for (event, succeeds) in [
        (
            include_str!("../../../tests/fixtures/pipeline-definition/create-inline.json"),
            true,
        ),
        (
            include_str!("../../../tests/fixtures/pipeline-definition/update-inline.json"),
            true,
        ),
        (
            include_str!("../../../tests/fixtures/pipeline-definition/delete-inline.json"),
            true,
        ),
        (
            include_str!("../../../tests/fixtures/pipeline-definition/create.json"),
            true,
        ),
        (
            include_str!("../../../tests/fixtures/pipeline-definition/create-with-faults.json"),
            false,
        ),
        (
            include_str!("../../../tests/fixtures/pipeline-definition/create-unfilled.json"),
            false,
        ),
    ] {
        let replies = Replies {
            plan: Mutex::default(),
            taken: Mutex::default(),
        };
        respond(event, &invocation, &handler, &replies)
            .await
            .unwrap();
        let reply = replies.taken.lock().unwrap().remove(0);
        assert_eq!(reply["Status"] == "SUCCESS", succeeds, "{reply}");
        made.push(reply["PhysicalResourceId"].as_str().unwrap().to_owned());
    }
    let id_in = |event: &str| {
        let event: Value = serde_json::from_str(event).unwrap();
        event["PhysicalResourceId"].as_str().unwrap().to_owned()
    };
    let update = include_str!("../../../tests/fixtures/pipeline-definition/update-inline.json");
    assert_eq!(
        id_in(update),
        made[0],
        "put this id into update-inline.json"
    );
    let delete = include_str!("../../../tests/fixtures/pipeline-definition/delete-inline.json");
    assert_eq!(
        id_in(delete),
        made[1],
        "put this id into delete-inline.json"
    );
    let (_, key) = made[1].split_once('/').unwrap();
    assert!(!store.keys(bucket).contains(key));
}
