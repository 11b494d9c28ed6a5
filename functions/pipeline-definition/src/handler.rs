//! What creation, update and deletion do.

use pipewright::canonical_json;
use pipewright::custom_resource::{Failure, Handler, Request, Resource};
use pipewright::template::{self, FillError, FillErrors, regions};
use serde_json::{Map, Value};

use crate::location::{Creation, Location, MadeNote, PhysicalId, sha256};
use crate::properties::{Properties, TemplateSource};
use crate::store::{Bucket, Store, StoreError, Version};

/// The script that starts the processing step.
const EXECUTOR: &str = include_str!("../../../docker/executor/run-fe-step.sh");

/// SageMaker's limit on a pipeline definition, and ours on a template, in
/// bytes.
const LARGEST_DEFINITION: usize = 1_048_576;

/// What a note says to a person who comes upon it.
const NOTE: &str = "The path names, by their SHA-256, properties of the custom resource, the definition that \
they gave, and the script that starts its processing step. A rollback looks here.\n";

/// The custom resource, over the bucket that keeps its things.
#[derive(Debug)]
pub struct PipelineDefinition<S> {
    store: S,
    /// The text of the script that starts the processing step.
    executor: &'static str,
}

/// What a creation says of itself to a person who comes upon it.
const CREATION_NOTE: &str =
    "The path names an event that had the definition made, by a digest, and how far that came.\n";

/// What properties give.
struct Filled {
    id: PhysicalId,
    definition: String,
    /// The script that the definition names.
    executor_uri: String,
    /// The key of the script, unless the properties name one.
    executor_key: Option<String>,
    /// The key of the note.
    note_key: String,
}

impl<S: Store> PipelineDefinition<S> {
    /// The custom resource over `store`.
    pub fn new(store: S) -> Self {
        Self {
            store,
            executor: EXECUTOR,
        }
    }

    /// As another version of this program would be: with another script.
    #[cfg(test)]
    pub(crate) fn with_executor(store: S, executor: &'static str) -> Self {
        Self { store, executor }
    }

    /// Fills and checks. The same properties lead to the same bytes, hence to the
    /// same keys and id.
    async fn filled(&self, request: &Request) -> Result<Filled, Failure> {
        let properties = Properties::read(&request.properties)
            .map_err(|faults| Failure::with_faults("the properties are wrong", faults))?;
        let location = location_of(request, &properties);
        let template = self.template(request, &properties.template).await?;
        let given_executor = properties
            .values
            .get("ExecutorS3Uri")
            .and_then(Value::as_str);
        let script = sha256(self.executor.as_bytes());
        let executor_key = location.executor_key(&script);
        let executor_uri = given_executor.map_or_else(
            || format!("s3://{}/{executor_key}", location.bucket.name),
            str::to_owned,
        );
        let definition = fill(&template, &properties.values, &executor_uri)?;
        let made = MadeNote {
            definition: sha256(definition.as_bytes()),
            script: given_executor.is_none().then_some(script),
        };
        Ok(Filled {
            note_key: location.note_key(&digest(&request.properties), &made),
            executor_key: given_executor.is_none().then_some(executor_key),
            id: PhysicalId {
                sha256: made.definition,
                location,
                unfinished: None,
            },
            definition,
            executor_uri,
        })
    }

    /// Uploads; nothing is deleted.
    async fn keep(&self, filled: &Filled) -> Result<(), StoreError> {
        let bucket = &filled.id.location.bucket;
        // The script first: what the definition names is there before it.
        // The note last: what it names is there.
        if let Some(key) = &filled.executor_key {
            let bytes = self.executor.as_bytes().to_vec();
            self.store
                .put(bucket, key, "text/x-shellscript", bytes)
                .await?;
        }
        let bytes = filled.definition.as_bytes().to_vec();
        self.store
            .put(bucket, &filled.id.key(), "application/json", bytes)
            .await?;
        let bytes = NOTE.as_bytes().to_vec();
        self.store
            .put(bucket, &filled.note_key, "text/plain", bytes)
            .await
    }

    /// Uploads between the two marks of a creation. Says whether the first is still
    /// there at the end: a deletion that comes meanwhile takes it away before all else.
    async fn keep_as_creation(&self, filled: &Filled, creation: &str) -> Result<bool, StoreError> {
        let location = &filled.id.location;
        let mark = async |mark: Creation| {
            let key = location.creation_key(&mark);
            let bytes = CREATION_NOTE.as_bytes().to_vec();
            let put = self.store.put(&location.bucket, &key, "text/plain", bytes);
            put.await.map(|()| key)
        };
        let begun = mark(Creation::Begun(creation.to_owned())).await?;
        self.keep(filled).await?;
        mark(Creation::Done(creation.to_owned())).await?;
        let found = self
            .store
            .get(&location.bucket, &begun, None, CREATION_NOTE.len())
            .await;
        match found {
            Ok(_) => Ok(true),
            Err(StoreError::NoObject { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes everything there, unless a creation other than `but` has come to its
    /// end.
    async fn take_back(&self, location: &Location, but: Option<&str>) -> Result<(), StoreError> {
        let bucket = &location.bucket;
        let kept = self.store.versions(bucket, &location.root()).await?;
        if is_any_done(location, &kept, but) {
            return Ok(());
        }
        tracing::info!(
            root = location.root(),
            versions = kept.len(),
            "deleting what a creation left"
        );
        self.store.delete(bucket, kept).await
    }

    /// What a creation under way has written, or one that died on it, if no other
    /// has come to its end: CloudFormation deletes by an id that it made up when
    /// it never learned of one.
    async fn cancel(&self, location: &Location) -> Result<(), StoreError> {
        let bucket = &location.bucket;
        let kept = self.store.versions(bucket, &location.root()).await?;
        if is_any_done(location, &kept, None) {
            return Ok(());
        }
        let begun: Vec<Version> = kept
            .into_iter()
            .filter(|version| matches!(location.creation(&version.key), Some(Creation::Begun(_))))
            .collect();
        if begun.is_empty() {
            return Ok(());
        }
        // A creation under way sees at its end that it has not begun, and takes back
        // what it has written; one that was faster has left word that it is done.
        self.store.delete(bucket, begun).await?;
        self.take_back(location, None).await
    }

    /// What these properties gave before, if it is still there: a rollback must
    /// bring back the old definition, though this program may be a newer one
    /// that would make another.
    async fn made_before(
        &self,
        location: Location,
        properties: &Value,
    ) -> Result<Option<Resource>, StoreError> {
        let bucket = &location.bucket;
        let kept = self.store.versions(bucket, &location.root()).await?;
        let there = |key: &str| kept.iter().any(|version| version.is_there(key));
        let digest = digest(properties);
        let found = kept.iter().find_map(|version| {
            let (of, made) = location.note(&version.key)?;
            let definition = location.definition_key(&made.definition);
            if of != digest || !there(&version.key) || !there(&definition) {
                return None;
            }
            let executor_uri = match &made.script {
                Some(script) => {
                    let key = location.executor_key(script);
                    there(&key).then(|| format!("s3://{}/{key}", bucket.name))?
                }
                None => properties["Values"]["ExecutorS3Uri"].as_str()?.to_owned(),
            };
            Some((made.definition, executor_uri))
        });
        Ok(found.map(|(sha256, executor_uri)| {
            tracing::info!(sha256, "these properties gave this definition before");
            let id = PhysicalId {
                location,
                sha256,
                unfinished: None,
            };
            resource(&id, executor_uri)
        }))
    }

    /// The template's text.
    async fn template(
        &self,
        request: &Request,
        source: &TemplateSource,
    ) -> Result<String, Failure> {
        let (bucket, key, version_id, expected) = match source {
            TemplateSource::Shipped => return Ok(template::shipped().to_owned()),
            TemplateSource::Inline(text) => return Ok(text.clone()),
            TemplateSource::Object {
                bucket,
                key,
                version_id,
                sha256,
            } => (bucket, key, version_id.as_deref(), sha256.as_deref()),
        };
        let bytes = self
            .store
            .get(
                &bucket_of(request, bucket.clone()),
                key,
                version_id,
                LARGEST_DEFINITION,
            )
            .await
            .map_err(|error| Failure::new(format!("the template cannot be read: {error}")))?;
        let found = sha256(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Failure::new(format!(
                "the template s3://{bucket}/{key} has SHA-256 {found}, and Template.Sha256 says \
                 {expected}: restore the object, or correct the digest if the change was meant"
            )));
        }
        String::from_utf8(bytes).map_err(|error| {
            Failure::new(format!(
                "the template s3://{bucket}/{key} is not UTF-8 text from byte {} on",
                error.utf8_error().valid_up_to()
            ))
        })
    }

    /// Deletes every version of a definition, and with the resource's last
    /// definition its scripts. Of a creation that did not come to its end, no more
    /// than its marks where another one has made the same.
    async fn remove(&self, id: &PhysicalId) -> Result<(), StoreError> {
        let (location, key) = (&id.location, id.key());
        let bucket = &location.bucket;
        let kept = self.store.versions(bucket, &location.root()).await?;
        let (marks, kept): (Vec<Version>, Vec<Version>) = kept.into_iter().partition(|version| {
            matches!(
                (location.creation(&version.key), &id.unfinished),
                (Some(Creation::Begun(of) | Creation::Done(of)), Some(unfinished)) if of == *unfinished
            )
        });
        self.store.delete(bucket, marks).await?;
        if id.unfinished.is_some() && is_any_done(location, &kept, id.unfinished.as_deref()) {
            tracing::info!(key, "another creation has made this definition: it stays");
            return Ok(());
        }
        let (own, others): (Vec<Version>, Vec<Version>) =
            kept.into_iter().partition(|version| version.key == key);
        tracing::info!(key, versions = own.len(), "deleting the definition");
        self.store.delete(bucket, own).await?;

        let (notes, others): (Vec<Version>, Vec<Version>) =
            others.into_iter().partition(|version| {
                location
                    .note(&version.key)
                    .is_some_and(|(_, made)| made.definition == id.sha256)
            });
        self.store.delete(bucket, notes).await?;

        // Executions that run from another definition may still fetch an older
        // script, so scripts stay until the last definition has gone.
        let in_use = others.iter().any(|version| {
            version.is_latest
                && !version.is_marker
                && location.definition_digest(&version.key).is_some()
        });
        if in_use {
            return Ok(());
        }
        let (executors, notes) = (location.executors(), location.notes());
        let rest: Vec<Version> = others
            .into_iter()
            .filter(|version| {
                version.key.starts_with(&executors) || version.key.starts_with(&notes)
            })
            .collect();
        tracing::info!(executors, versions = rest.len(), "deleting the scripts");
        self.store.delete(bucket, rest).await
    }
}

impl<S: Store> Handler for PipelineDefinition<S> {
    async fn create(&self, request: Request) -> Result<Resource, Failure> {
        let filled = self.filled(&request).await?;
        let creation = &request.event_digest;
        let unfinished = PhysicalId {
            unfinished: Some(creation.clone()),
            ..filled.id.clone()
        };
        // Not the id that it will have: after this event's failure another one may make
        // the same, and the clean-up of this one is not to take that away.
        request.claim(&unfinished.to_string());
        if self
            .keep_as_creation(&filled, creation)
            .await
            .map_err(not_kept)?
        {
            return Ok(resource(&filled.id, filled.executor_uri));
        }
        self.take_back(&filled.id.location, Some(creation))
            .await
            .map_err(not_kept)?;
        Err(Failure::new(
            "the creation was cancelled: a deletion came while it was under way",
        ))
    }

    // The old definition stays: a rollback needs it, and CloudFormation deletes
    // it when the stack's update has held.
    async fn update(
        &self,
        request: Request,
        physical_id: String,
        _old_properties: Value,
    ) -> Result<Resource, Failure> {
        // By the id first: properties of an older version of ours may no longer
        // be understood.
        let current = PhysicalId::parse(&physical_id, &request.account)
            .map(|id| id.location)
            .filter(|location| location.stack_digest == request.stack_digest());
        let wanted = Properties::read(&request.properties)
            .ok()
            .map(|properties| location_of(&request, &properties));
        let elsewhere = wanted.filter(|wanted| Some(wanted) != current.as_ref());
        for location in current.into_iter().chain(elsewhere) {
            match self.made_before(location, &request.properties).await {
                Ok(Some(resource)) => return Ok(resource),
                Ok(None) | Err(StoreError::NoBucket { .. }) => {}
                Err(error) => {
                    return Err(Failure::new(format!(
                        "what was made before cannot be looked up: {error}"
                    )));
                }
            }
        }
        let filled = self.filled(&request).await?;
        self.keep(&filled).await.map_err(not_kept)?;
        Ok(resource(&filled.id, filled.executor_uri))
    }

    async fn delete(&self, request: Request, physical_id: String) -> Result<(), Failure> {
        let deleted = match PhysicalId::parse(&physical_id, &request.account) {
            Some(id) if id.location.stack_digest == request.stack_digest() => {
                self.remove(&id).await
            }
            Some(_) => {
                tracing::warn!(physical_id, "another resource's id: nothing is deleted");
                return Ok(());
            }
            None => {
                tracing::warn!(
                    physical_id,
                    "not an id of this function: only what an unfinished creation left is deleted"
                );
                // If they cannot be read, the creation has failed before it began.
                let Ok(properties) = Properties::read(&request.properties) else {
                    return Ok(());
                };
                self.cancel(&location_of(&request, &properties)).await
            }
        };
        match deleted {
            Ok(()) => Ok(()),
            Err(StoreError::NoBucket { bucket }) => {
                tracing::warn!(bucket, "the bucket has gone, and all in it");
                Ok(())
            }
            Err(error) => Err(Failure::new(format!(
                "the definition cannot be deleted: {error}"
            ))),
        }
    }
}

/// What CloudFormation learns of a definition.
fn resource(id: &PhysicalId, executor_uri: String) -> Resource {
    Resource::new(id.to_string())
        .with("Bucket", id.location.bucket.name.as_str())
        .with("Key", id.key())
        .with("Sha256", id.sha256.as_str())
        .with("ExecutorS3Uri", executor_uri)
}

/// A bucket that the properties name: of the function's own account, as
/// everything that it reads and writes must be.
fn bucket_of(request: &Request, name: String) -> Bucket {
    Bucket {
        name,
        owner: request.account.clone(),
    }
}

/// Whether a creation has come to its end there, other than `but`.
fn is_any_done(location: &Location, kept: &[Version], but: Option<&str>) -> bool {
    kept.iter().any(|version| {
        version.is_there(&version.key)
            && matches!(location.creation(&version.key), Some(Creation::Done(of)) if but != Some(&of))
    })
}

/// Where the properties of a request have its things kept.
fn location_of(request: &Request, properties: &Properties) -> Location {
    Location {
        bucket: bucket_of(request, properties.bucket.clone()),
        prefix: properties.prefix.clone(),
        stack_digest: request.stack_digest(),
    }
}

/// The digest of properties, whatever the order of their names.
fn digest(properties: &Value) -> String {
    sha256(canonical_json(properties).as_bytes())
}

fn not_kept(error: StoreError) -> Failure {
    Failure::new(format!("the definition cannot be kept: {error}"))
}

/// The definition's canonical text, filled and checked.
fn fill(
    template: &str,
    values: &Map<String, Value>,
    executor_uri: &str,
) -> Result<String, Failure> {
    let region = match values.get("Region").and_then(Value::as_str) {
        Some(name) => regions::find(name).map_err(|error| error.to_string()),
        None => Err("give Values.Region as a text, by which its image is found".to_owned()),
    };
    let unknown = region.as_ref().err().cloned();
    let mut provided = regions::values(region.ok());
    provided.insert("ExecutorS3Uri".to_owned(), executor_uri.into());
    // A value may come from a parameter with NoEcho; the region is not a secret.
    let filled = template::fill_unseen(template, values, &provided, &["Region"]).map_err(
        |FillErrors(errors)| {
            let faults = errors.iter().map(|error| fault(error, unknown.as_ref()));
            Failure::with_faults("the template cannot be filled", faults)
        },
    )?;
    for warning in &filled.warnings {
        tracing::warn!("the filled definition: {warning}");
    }
    if filled.text.len() > LARGEST_DEFINITION {
        return Err(Failure::new(format!(
            "the filled definition has {} bytes, and SageMaker takes {LARGEST_DEFINITION}",
            filled.text.len()
        )));
    }
    Ok(filled.text)
}

/// What a person reads of a fault.
fn fault(error: &FillError, unknown_region: Option<&String>) -> String {
    match error {
        FillError::Bare { name, position, .. } => format!(
            "template, {position}: {{{{ {name} }}}} stands outside of a JSON string and takes a \
             number or a boolean, which its value is not"
        ),
        FillError::Missing { name, .. } => match unknown_region {
            Some(why) if regions::IMAGE_KEYS.contains(&name.as_str()) => format!("{error}; {why}"),
            _ => error.to_string(),
        },
        // Further lines show the filled text around the fault.
        FillError::Result(_) => error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use pipewright::custom_resource::{Envelope, Operation, UrlPolicy, is_failed_create};
    use serde_json::json;

    use super::*;
    use crate::memory::{Call, MemoryStore, OWNER, Trouble};

    /// A template with one key in a text and one outside of texts.
    const TEMPLATE: &str = r#"{"Version":"2020-12-01","Steps":[
        {"Name":"{{ Name }}","Type":"Fail","Arguments":{"ErrorMessage":"{{ ExecutorS3Uri }}"}}
    ]}"#;

    fn values() -> Value {
        json!({
            "Region": "eu-west-1",
            "PipelineName": "pipewright-asset-prediction",
            "ProcessingImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/fe:1",
            "JobRoleArn": "arn:aws:iam::123456789012:role/jobs",
            "ModelRoleArn": "arn:aws:iam::123456789012:role/models",
            "AssetsDataS3Uri": "s3://assets/assets/",
            "ModelsBucket": "models",
            "ExecutionsTable": "executions",
            "AssetsTable": "assets",
            "FeatureImportanceTable": "feature-importance",
            "ProcessingInstanceType": "ml.m5.xlarge",
            "TrainingInstanceType": "ml.m5.xlarge",
            "ProcessingVolumeSizeInGB": "30",
            "TrainingVolumeSizeInGB": "50",
            "ProcessingMaxRuntimeInSeconds": "86400",
            "TrainingMaxRuntimeInSeconds": "86400",
            "ModelPackageGroupName": "pipewright-asset-prediction",
            "ModelApprovalStatus": "Approved",
            "SubnetIds": "",
            "SecurityGroupIds": "",
            "KmsKeyArn": "",
        })
    }

    fn shipped() -> Value {
        json!({"ServiceToken": "arn", "Bucket": "pipelines", "Values": values(), "CodeVersion": "1"})
    }

    fn inline(name: &str) -> Value {
        json!({"Bucket": "pipelines", "Template": TEMPLATE, "Values": {"Name": name}})
    }

    fn request(stack: &str, properties: &Value) -> Request {
        request_in(OWNER, stack, properties)
    }

    /// A creation that a function in `account` is asked for.
    fn request_in(account: &str, stack: &str, properties: &Value) -> Request {
        let event = json!({
            "RequestType": "Create",
            "ResponseURL": "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/k?q",
            "StackId": stack,
            "RequestId": "r",
            "LogicalResourceId": "PipelineDefinition",
            "ResourceProperties": properties,
        });
        let envelope =
            Envelope::read(&event.to_string(), &UrlPolicy::of_region("eu-west-1")).unwrap();
        let (request, operation) = envelope.request(&envelope.subject(), account).unwrap();
        assert_eq!(operation, Operation::Create);
        request
    }

    /// The resource's id and its attributes.
    fn told(resource: Resource) -> (String, Map<String, Value>) {
        match pipewright::custom_resource::Outcome::from(resource) {
            pipewright::custom_resource::Outcome::Success {
                physical_id, data, ..
            } => (physical_id, data),
            pipewright::custom_resource::Outcome::Failed { .. } => {
                unreachable!("a resource is a success")
            }
        }
    }

    async fn create(store: &MemoryStore, properties: &Value) -> Result<String, Failure> {
        let handler = PipelineDefinition::new(store.clone());
        handler
            .create(request("stack", properties))
            .await
            .map(|resource| told(resource).0)
    }

    async fn delete(store: &MemoryStore, stack: &str, id: &str) -> Result<(), Failure> {
        let handler = PipelineDefinition::new(store.clone());
        handler
            .delete(request(stack, &json!({})), id.to_owned())
            .await
    }

    fn store() -> MemoryStore {
        MemoryStore::with_buckets(&["pipelines", "templates"])
    }

    /// A definition and a script are kept under the SHA-256 of their bytes, so that new content
    /// has a new key.
    #[tokio::test]
    async fn creation_keeps_definition_and_script_under_their_digests() {
        let store = store();
        let handler = PipelineDefinition::new(store.clone());
        let resource = handler.create(request("stack", &shipped())).await.unwrap();
        let (id, data) = told(resource);

        let key = data["Key"].as_str().unwrap();
        assert_eq!(id, format!("pipelines/{key}"));
        assert_eq!(data["Bucket"], "pipelines");
        let definition = store.read("pipelines", key).unwrap();
        assert_eq!(data["Sha256"], sha256(&definition).as_str());
        assert!(key.ends_with(&format!("/{}.json", sha256(&definition))));

        let uri = data["ExecutorS3Uri"].as_str().unwrap();
        let script = uri.strip_prefix("s3://pipelines/").unwrap();
        assert_eq!(
            store.read("pipelines", script).unwrap(),
            EXECUTOR.as_bytes()
        );
        assert!(String::from_utf8(definition).unwrap().contains(uri));
        // Those two, the note of what they came of, and the creation's two marks.
        assert_eq!(store.keys("pipelines").len(), 5);
    }

    /// The same properties always give the same id; CodeVersion is not among what decides it.
    #[tokio::test]
    async fn the_same_properties_always_give_the_same_id() {
        let store = store();
        let first = create(&store, &inline("A")).await.unwrap();
        create(&store, &inline("B")).await.unwrap();
        assert_eq!(create(&store, &inline("A")).await.unwrap(), first);
        let mut other_version = inline("A");
        other_version["CodeVersion"] = json!("2");
        assert_eq!(create(&store, &other_version).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_template_in_s3_is_read_in_its_version() {
        let store = store();
        let version = store.insert("templates", "t.json", TEMPLATE.as_bytes());
        store.insert("templates", "t.json", b"changed");
        let mut properties = inline("A");
        let from_text = create(&store, &properties).await.unwrap();
        properties["Template"] =
            json!({"Bucket": "templates", "Key": "t.json", "VersionId": version});
        assert_eq!(create(&store, &properties).await.unwrap(), from_text);
    }

    /// A template whose digest no longer matches is refused, with both digests.
    #[tokio::test]
    async fn a_template_whose_digest_no_longer_matches_is_refused_with_both_digests() {
        let store = store();
        store.insert("templates", "t.json", b"changed");
        let expected = sha256(TEMPLATE.as_bytes());
        let mut properties = inline("A");
        properties["Template"] =
            json!({"Bucket": "templates", "Key": "t.json", "Sha256": expected});
        let failure = create(&store, &properties).await.unwrap_err().to_string();
        assert!(
            failure.contains(&expected) && failure.contains(&sha256(b"changed")),
            "{failure}"
        );
        assert!(store.keys("pipelines").is_empty());
    }

    #[tokio::test]
    async fn a_template_that_is_missing_too_large_or_no_text_is_refused_by_name() {
        let store = store();
        store.insert("templates", "large", &vec![b' '; LARGEST_DEFINITION + 1]);
        store.insert("templates", "binary", b"{\xff}");
        for (key, says) in [
            ("missing", "does not exist"),
            ("large", "more than 1048576 bytes"),
            ("binary", "not UTF-8 text from byte 1 on"),
        ] {
            let mut properties = inline("A");
            properties["Template"] =
                json!({"Bucket": "templates", "Key": key, "Sha256": "0".repeat(64)});
            if key == "binary" {
                properties["Template"]["Sha256"] = json!(sha256(b"{\xff}"));
            }
            let failure = create(&store, &properties).await.unwrap_err().to_string();
            assert!(
                failure.contains(&format!("s3://templates/{key}")),
                "{failure}"
            );
            assert!(failure.contains(says), "{failure}");
        }
    }

    /// All faults of the values are told at once, and nothing is written.
    #[tokio::test]
    async fn faults_of_values_are_told_all_at_once_and_nothing_is_written() {
        let store = store();
        let mut properties = shipped();
        let values = properties["Values"].as_object_mut().unwrap();
        values.remove("ModelsBucket");
        values.remove("JobRoleArn");
        values.insert("Typo".to_owned(), json!("x"));
        let failure = create(&store, &properties).await.unwrap_err();
        assert_eq!(failure.faults().len(), 3, "{failure}");
        assert!(store.calls().is_empty());
    }

    #[tokio::test]
    async fn a_region_without_an_image_is_named() {
        let mut properties = shipped();
        properties["Values"]["Region"] = json!("eu-wst-1");
        let failure = create(&store(), &properties).await.unwrap_err().to_string();
        assert!(
            failure.contains("eu-wst-1") && failure.contains("eu-west-1"),
            "{failure}"
        );
        properties["Values"]["DeepARImageUri"] = json!("mine");
        properties["Values"]["DebuggerRulesImageUri"] = json!("");
        create(&store(), &properties).await.unwrap();
    }

    /// A value does not appear in a reason, unless it is shorter than six bytes or the region: it
    /// may come from a parameter with NoEcho.
    #[tokio::test]
    async fn values_do_not_appear_in_a_reason() {
        let mut properties = shipped();
        properties["Values"]["ProcessingVolumeSizeInGB"] = json!("hunter2");
        let failure = create(&store(), &properties).await.unwrap_err().to_string();
        assert!(failure.contains("ProcessingVolumeSizeInGB"), "{failure}");
        assert!(!failure.contains("hunter2"), "{failure}");

        let mut properties = inline("hunter2");
        for template in [
            r#"{"Version":"2020-12-01","Steps":[{"Name":"{{ Name }}"}]}"#,
            r#"{"Version":"2020-12-01","Steps":[{"Name":"{{ Name }}"]}"#,
            r#"{"Version":"{{ Name }}"}"#,
            r#"{% for a in [1] %}{{ Name }}{% endfor %}"#,
            r#"{% for a in Name %}{% endfor %}"#,
        ] {
            properties["Template"] = json!(template);
            let failure = create(&store(), &properties).await.unwrap_err().to_string();
            assert!(!failure.contains("hunter2"), "{template}: {failure}");
        }
    }

    #[tokio::test]
    async fn a_script_given_by_the_user_is_left_to_the_user() {
        let store = store();
        let mut properties = inline("A");
        properties["Values"]["ExecutorS3Uri"] = json!("s3://mine/run.sh");
        let handler = PipelineDefinition::new(store.clone());
        let resource = handler.create(request("stack", &properties)).await.unwrap();
        let (id, data) = told(resource);
        assert_eq!(data["ExecutorS3Uri"], "s3://mine/run.sh");
        let keys = store.keys("pipelines");
        assert!(
            !keys.iter().any(|key| key.contains("/executor/")),
            "{keys:?}"
        );
        // A rollback finds it, too.
        let (again, data) = told(
            PipelineDefinition::with_executor(store.clone(), "newer")
                .update(request("stack", &properties), id.clone(), Value::Null)
                .await
                .unwrap(),
        );
        assert_eq!(again, id);
        assert_eq!(data["ExecutorS3Uri"], "s3://mine/run.sh");
    }

    #[tokio::test]
    async fn a_missing_bucket_is_told_with_the_cure() {
        let mut properties = inline("A");
        properties["Bucket"] = json!("no-such-bucket");
        let failure = create(&store(), &properties).await.unwrap_err().to_string();
        assert!(
            failure.contains("no-such-bucket does not exist: create it first"),
            "{failure}"
        );
    }

    /// Nothing is read from, written to or deleted in a bucket of another account than the
    /// function's, whichever account made it under the name that was meant.
    #[tokio::test]
    async fn a_bucket_of_another_account_is_left_alone() {
        let store = store();
        let ours = create(&store, &inline("A")).await.unwrap();
        let version = store.insert("templates", "t.json", TEMPLATE.as_bytes());
        let before = store.keys("pipelines");
        let mut from_s3 = inline("A");
        from_s3["Template"] = json!({"Bucket": "templates", "Key": "t.json", "VersionId": version});
        let handler = PipelineDefinition::new(store.clone());
        let account = "210987654321";
        for properties in [inline("B"), from_s3] {
            let request = || request_in(account, "stack", &properties);
            for failure in [
                handler.create(request()).await.unwrap_err(),
                handler
                    .update(request(), ours.clone(), Value::Null)
                    .await
                    .unwrap_err(),
                handler.delete(request(), ours.clone()).await.unwrap_err(),
            ] {
                let failure = failure.to_string();
                assert!(failure.contains(account), "{failure}");
            }
        }
        assert_eq!(store.keys("pipelines"), before);
    }

    /// What somebody put in the place of a definition or a script is never taken for it, and never
    /// written over unseen: the request fails, and names it.
    #[tokio::test]
    async fn what_was_replaced_is_named_and_not_taken() {
        let store = store();
        let first = create(&store, &inline("A")).await.unwrap();
        let id = PhysicalId::parse(&first, OWNER).unwrap();
        let script = id.location.executor_key(&sha256(EXECUTOR.as_bytes()));
        for key in [id.key(), script] {
            let bucket = id.location.bucket.name.as_str();
            let before = store.keys(bucket);
            let honest = store.read(bucket, &key).unwrap();
            store.insert(bucket, &key, b"#!/bin/sh\nsomething else");
            let failure = create(&store, &inline("A")).await.unwrap_err().to_string();
            assert!(failure.contains(&key), "{failure}");
            assert!(failure.contains("somebody replaced it"), "{failure}");
            assert_eq!(store.keys(bucket), before);
            store.insert(bucket, &key, &honest);
        }
        create(&store, &inline("A")).await.unwrap();
    }

    /// An update deletes nothing.
    #[tokio::test]
    async fn an_update_deletes_nothing() {
        let store = store();
        let handler = PipelineDefinition::new(store.clone());
        let old = create(&store, &inline("A")).await.unwrap();
        let new = handler
            .update(request("stack", &inline("B")), old.clone(), inline("A"))
            .await
            .unwrap();
        assert_ne!(told(new).0, old);
        let (_, key) = old.split_once('/').unwrap();
        assert!(store.read("pipelines", key).is_some());
        assert!(!store.calls().contains(&Call::Delete));
    }

    /// A rollback brings back the definition and the script that the old properties gave, though
    /// the function already runs newer code, which would make others or refuse those properties.
    #[tokio::test]
    async fn a_rollback_brings_back_what_the_old_properties_gave() {
        let store = store();
        let handler = PipelineDefinition::new(store.clone());
        let first = told(
            handler
                .create(request("stack", &inline("A")))
                .await
                .unwrap(),
        );
        let mut moved = inline("A");
        moved["KeyPrefix"] = json!("elsewhere");
        let newer = PipelineDefinition::with_executor(store.clone(), "newer");
        for changed in [inline("B"), moved] {
            let update = newer.update(request("stack", &changed), first.0.clone(), inline("A"));
            let (second, _) = told(update.await.unwrap());
            assert_ne!(second, first.0);
            let rollback = newer.update(request("stack", &inline("A")), second, changed);
            assert_eq!(told(rollback.await.unwrap()), first);
        }

        let unknown = json!({"Bucket": "pipelines", "Shape": "of another version"});
        let failure = newer
            .update(request("stack", &unknown), first.0.clone(), inline("A"))
            .await
            .unwrap_err();
        assert!(failure.to_string().contains("Shape"), "{failure}");
        let (bucket, _) = first.0.split_once('/').unwrap();
        let id = PhysicalId::parse(&first.0, OWNER).unwrap();
        let made = MadeNote {
            definition: id.sha256.clone(),
            script: Some(sha256(EXECUTOR.as_bytes())),
        };
        store.insert(bucket, &id.location.note_key(&digest(&unknown), &made), b"");
        let rollback = newer.update(request("stack", &unknown), first.0.clone(), inline("B"));
        assert_eq!(told(rollback.await.unwrap()), first);
    }

    /// What somebody deleted by hand is made again, not believed to be there.
    #[tokio::test]
    async fn a_note_of_what_has_gone_is_not_believed() {
        for lost in [".json", "run-fe-step.sh"] {
            let store = store();
            let handler = PipelineDefinition::new(store.clone());
            let (id, _) = told(
                handler
                    .create(request("stack", &inline("A")))
                    .await
                    .unwrap(),
            );
            let keys = store.keys("pipelines");
            let key = keys.iter().find(|key| key.ends_with(lost)).unwrap();
            store.insert_marker("pipelines", key);
            let update = handler.update(request("stack", &inline("A")), id.clone(), inline("B"));
            assert_eq!(told(update.await.unwrap()).0, id);
            assert!(store.read("pipelines", key).is_some());
        }
    }

    /// A deletion takes every version and delete marker of its own definition, and of no other.
    #[tokio::test]
    async fn deletion_takes_every_version_and_marker_of_its_own_key_only() {
        let store = store();
        let a = create(&store, &inline("A")).await.unwrap();
        let b = create(&store, &inline("B")).await.unwrap();
        let (_, a_key) = a.split_once('/').unwrap();
        let (_, b_key) = b.split_once('/').unwrap();
        store.insert_marker("pipelines", a_key);
        store.insert("pipelines", a_key, b"again");
        let neighbour = format!("{a_key}.bak");
        store.insert("pipelines", &neighbour, b"x");

        delete(&store, "stack", &a).await.unwrap();
        let keys = store.keys("pipelines");
        assert!(!keys.contains(a_key));
        assert!(keys.contains(b_key) && keys.contains(&neighbour));
        assert!(keys.iter().any(|key| key.ends_with("/run-fe-step.sh")));
    }

    /// Scripts stay until the last definition under the stack's prefix is deleted, and go with it.
    #[tokio::test]
    async fn the_last_definition_takes_the_scripts_with_it() {
        let store = store();
        let a = create(&store, &inline("A")).await.unwrap();
        let b = create(&store, &inline("B")).await.unwrap();
        delete(&store, "stack", &a).await.unwrap();
        delete(&store, "stack", &b).await.unwrap();
        assert!(
            store.keys("pipelines").is_empty(),
            "{:?}",
            store.keys("pipelines")
        );
        delete(&store, "stack", &b).await.unwrap();
    }

    #[tokio::test]
    async fn a_definition_that_somebody_else_deleted_keeps_no_script() {
        let store = store();
        let a = create(&store, &inline("A")).await.unwrap();
        let b = create(&store, &inline("B")).await.unwrap();
        let (_, hidden) = b.split_once('/').unwrap();
        store.insert_marker("pipelines", hidden);
        delete(&store, "stack", &a).await.unwrap();
        let keys = store.keys("pipelines");
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), [hidden]);
    }

    /// Deleting an id of another shape or of another stack succeeds and touches nothing.
    #[tokio::test]
    async fn what_is_not_ours_is_left_alone() {
        let store = store();
        let ours = create(&store, &inline("A")).await.unwrap();
        let before = store.keys("pipelines");
        // Another stack's definition, though its content may be the same.
        delete(&store, "another stack", &ours).await.unwrap();
        for id in [
            "",
            "x",
            "pipelines/definitions/0123456789abcdef/x.json",
            "pipelines/secrets",
        ] {
            delete(&store, "stack", id).await.unwrap();
        }
        assert_eq!(store.keys("pipelines"), before);
    }

    /// Deleting from a bucket that no longer exists succeeds.
    #[tokio::test]
    async fn deleting_from_a_bucket_that_has_gone_is_a_success() {
        let id = create(&store(), &inline("A")).await.unwrap();
        delete(&MemoryStore::default(), "stack", &id).await.unwrap();
    }

    /// A deletion that S3 refuses or fails is a failure, and can be tried again.
    #[tokio::test]
    async fn a_deletion_that_s3_refuses_is_a_failure() {
        for (call, trouble) in [
            (Call::Versions, Trouble::Denied),
            (Call::Versions, Trouble::Fails),
            (Call::Delete, Trouble::Denied),
        ] {
            let store = store();
            let id = create(&store, &inline("A")).await.unwrap();
            store.trouble(call, trouble);
            let failure = delete(&store, "stack", &id).await.unwrap_err().to_string();
            assert!(
                failure.starts_with("the definition cannot be deleted"),
                "{failure}"
            );
            delete(&store, "stack", &id).await.unwrap();
            assert!(store.keys("pipelines").is_empty());
        }
    }

    /// Creates as the driver does; gives the id of a failure.
    async fn failed_creation(store: &MemoryStore, key: &str) -> String {
        let url = format!(
            "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/{key}?q"
        );
        let event = json!({
            "RequestType": "Create",
            "ResponseURL": url,
            "StackId": "stack",
            "RequestId": "r",
            "LogicalResourceId": "PipelineDefinition",
            "ResourceProperties": inline("A"),
        });
        let envelope =
            Envelope::read(&event.to_string(), &UrlPolicy::of_region("eu-west-1")).unwrap();
        let subject = envelope.subject();
        let (request, _) = envelope.request(&subject, OWNER).unwrap();
        PipelineDefinition::new(store.clone())
            .create(request)
            .await
            .unwrap_err();
        subject.failure_id().to_owned()
    }

    /// A creation that fails answers its id for deletion, which takes what it has written.
    #[tokio::test]
    async fn a_creation_that_fails_answers_its_id_for_deletion() {
        for puts in 0..5 {
            for trouble in [Trouble::Fails, Trouble::HappensAndFails] {
                let store = store();
                store.trouble_after(puts, Call::Put, trouble);
                let id = failed_creation(&store, "i").await;
                assert!(!is_failed_create(&id), "{id}");
                delete(&store, "stack", &id).await.unwrap();
                let left = store.keys("pipelines");
                assert!(left.is_empty(), "{puts}: {left:?}");
            }
        }
    }

    /// The late clean-up of a creation that failed leaves alone what another creation has made since, though it
    /// be the same.
    #[tokio::test]
    async fn the_late_clean_up_of_a_failed_creation_leaves_the_next_ones_definition() {
        let store = store();
        store.trouble_after(3, Call::Put, Trouble::HappensAndFails);
        let failed = failed_creation(&store, "first").await;
        let request = request("stack", &inline("A"));
        let made = PipelineDefinition::new(store.clone()).create(request).await;
        let (id, data) = told(made.unwrap());
        assert!(failed.starts_with(&id) && failed != id, "{failed} {id}");
        delete(&store, "stack", &failed).await.unwrap();
        let key = data["Key"].as_str().unwrap();
        assert!(store.read("pipelines", key).is_some());
        delete(&store, "stack", &id).await.unwrap();
        assert!(
            store.keys("pipelines").is_empty(),
            "{:?}",
            store.keys("pipelines")
        );
    }
}
