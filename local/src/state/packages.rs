//! Model package groups, the versions in them, and packages without a group.

use super::input::{Input, SortOrder};
use super::tags::read_tags;
use super::{State, Turn};
use crate::clock::Millis;
use crate::error::{ApiError, ErrorKind};
use crate::event::Event;
use crate::names::{key_of, name_of};
use pipewright::definition::StepKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const GROUP: &str = "model-package-group";
const PACKAGE: &str = "model-package";

/// Groups by name and packages by `group/version` or their own name, all in lower case.
#[derive(Debug, Default)]
pub(super) struct Packages {
    groups: BTreeMap<String, Group>,
    packages: BTreeMap<String, Package>,
}

#[derive(Debug)]
struct Group {
    name: String,
    arn: String,
    description: Option<String>,
    created: Millis,
    /// Versions are never given twice, deleted ones included.
    last_version: u64,
}

#[derive(Debug)]
struct Package {
    identity: Identity,
    arn: String,
    created: Millis,
    modified: Option<Millis>,
    /// Only versions are approved of.
    approval: Option<String>,
    members: Map<String, Value>,
}

#[derive(Debug)]
enum Identity {
    /// A version of a group.
    Version { group: String, number: u64 },
    /// A package of its own, by its name.
    Unversioned(String),
}

const APPROVALS: [&str; 3] = ["Approved", "Rejected", "PendingManualApproval"];

fn read_approval(text: &str) -> Result<String, ApiError> {
    if APPROVALS.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(ApiError::constraint(
            text,
            "ModelApprovalStatus",
            "Member must satisfy enum value set: [Approved, Rejected, PendingManualApproval]",
        ))
    }
}

impl Package {
    fn describe(&self) -> Value {
        let mut body = self.members.clone();
        body.extend(self.identity());
        // The service's model requires a name, which a version has none of its own.
        if let Identity::Version { group, .. } = &self.identity {
            body.insert("ModelPackageName".to_owned(), json!(group));
        }
        body.insert("CreationTime".to_owned(), self.created.to_json());
        body.insert("ModelPackageStatusDetails".to_owned(), no_details());
        body.insert("CertifyForMarketplace".to_owned(), json!(false));
        if let Some(modified) = self.modified {
            body.insert("LastModifiedTime".to_owned(), modified.to_json());
        }
        Value::Object(body)
    }

    fn emit(&self, turn: &mut Turn, updated: &[&str], tags: Value) {
        const SHOWN: [&str; 5] = [
            "ModelPackageDescription",
            "InferenceSpecification",
            "MetadataProperties",
            "ModelMetrics",
            "CustomerMetadataProperties",
        ];
        let mut detail = self.identity();
        detail.insert("CreationTime".to_owned(), json!(self.created.to_iso()));
        for member in SHOWN {
            if let Some(value) = self.members.get(member) {
                detail.insert(member.to_owned(), value.clone());
            }
        }
        detail.insert("ModelPackageStatusDetails".to_owned(), no_details());
        detail.insert("CertifyForMarketplace".to_owned(), json!(false));
        if !updated.is_empty() {
            detail.insert("UpdatedModelPackageFields".to_owned(), json!(updated));
        }
        let modified = self.modified.unwrap_or(self.created);
        detail.insert("LastModifiedTime".to_owned(), json!(modified.to_iso()));
        detail.insert("Tags".to_owned(), tags);
        turn.emit(
            Event::MODEL_PACKAGE,
            vec![self.arn.clone()],
            Value::Object(detail),
        );
    }

    /// What names it, and its status.
    fn identity(&self) -> Map<String, Value> {
        let mut members = Map::new();
        match &self.identity {
            Identity::Version { group, number } => {
                members.insert("ModelPackageGroupName".to_owned(), json!(group));
                members.insert("ModelPackageVersion".to_owned(), json!(number));
            }
            Identity::Unversioned(name) => {
                members.insert("ModelPackageName".to_owned(), json!(name));
            }
        }
        members.insert("ModelPackageArn".to_owned(), json!(self.arn));
        members.insert("ModelPackageStatus".to_owned(), json!("Completed"));
        if let Some(approval) = &self.approval {
            members.insert("ModelApprovalStatus".to_owned(), json!(approval));
        }
        members
    }

    /// The number in the group; nought for a package of its own.
    fn number(&self) -> u64 {
        match &self.identity {
            Identity::Version { number, .. } => *number,
            Identity::Unversioned(_) => 0,
        }
    }

    fn is_of(&self, group_key: &str) -> bool {
        matches!(&self.identity, Identity::Version { group, .. } if key_of(GROUP, group) == group_key)
    }
}

fn no_details() -> Value {
    json!({"ValidationStatuses": [], "ImageScanStatuses": []})
}

impl State {
    pub(super) fn create_model_package_group(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.name("ModelPackageGroupName", 63)?;
        let tags = read_tags(input)?;
        let key = key_of(GROUP, name);
        if self.packages.groups.contains_key(&key) {
            return Err(ApiError::validation(format!(
                "Model Package Group already exists: {}",
                self.arn(GROUP, name)
            )));
        }
        let description = input.string("ModelPackageGroupDescription")?;
        let arn = self.add_group(turn, name, description, tags);
        Ok(json!({"ModelPackageGroupArn": arn}))
    }

    fn add_group(
        &mut self,
        turn: &Turn,
        name: &str,
        description: Option<&str>,
        tags: BTreeMap<String, String>,
    ) -> String {
        let arn = self.arn(GROUP, name);
        self.tags.create(&arn, tags);
        self.packages.groups.insert(
            key_of(GROUP, name),
            Group {
                name: name.to_owned(),
                arn: arn.clone(),
                description: description.map(str::to_owned),
                created: turn.now,
                last_version: 0,
            },
        );
        arn
    }

    fn group_key(&self, name: &str) -> Result<String, ApiError> {
        let key = key_of(GROUP, name);
        if self.packages.groups.contains_key(&key) {
            Ok(key)
        } else {
            Err(ApiError::validation(format!(
                "ModelPackageGroup {} does not exist.",
                self.arn(GROUP, name_of(GROUP, name))
            )))
        }
    }

    fn packages_of(&self, group_key: &str) -> Vec<(&String, &Package)> {
        let mut packages: Vec<_> = self
            .packages
            .packages
            .iter()
            .filter(|(_, package)| package.is_of(group_key))
            .collect();
        packages.sort_by_key(|(_, package)| package.number());
        packages
    }

    pub(super) fn describe_model_package_group(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.group_key(input.required("ModelPackageGroupName")?)?;
        let group = &self.packages.groups[&key];
        let mut body = json!({
            "ModelPackageGroupName": group.name,
            "ModelPackageGroupArn": group.arn,
            "CreationTime": group.created.to_json(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        });
        if let Some(description) = &group.description {
            body["ModelPackageGroupDescription"] = json!(description);
        }
        Ok(body)
    }

    pub(super) fn delete_model_package_group(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.group_key(input.required("ModelPackageGroupName")?)?;
        if !self.packages_of(&key).is_empty() {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "Model Package Group {} cannot be deleted because it still contains Model \
                     Packages",
                    self.packages.groups[&key].arn
                ),
            ));
        }
        if let Some(group) = self.packages.groups.remove(&key) {
            self.tags.remove(&group.arn);
        }
        Ok(json!({}))
    }

    pub(super) fn list_model_package_groups(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        input.listed(
            "ModelPackageGroupSummaryList",
            self.packages.groups.iter(),
            |group| group.created,
            |group| {
                json!({
                    "ModelPackageGroupName": group.name,
                    "ModelPackageGroupArn": group.arn,
                    "CreationTime": group.created.to_json(),
                    "ModelPackageGroupStatus": "Completed",
                })
            },
            SortOrder::Ascending,
        )
    }

    /// Registers a version, or a package of its own; also what a RegisterModel step does, which
    /// makes the group where there is none (`create_group`). Gives the package's ARN.
    pub(super) fn add_model_package(
        &mut self,
        turn: &mut Turn,
        request: Input<'_>,
        tags: BTreeMap<String, String>,
        create_group: bool,
    ) -> Result<String, ApiError> {
        let members = request.given_back(StepKind::RegisterModel);
        if request.value("ModelPackageName").is_some() {
            return self.add_unversioned(turn, request, members, tags);
        }
        let group_arn_or_name = request.required("ModelPackageGroupName")?;
        let approval = read_approval(
            request
                .string("ModelApprovalStatus")?
                .unwrap_or("PendingManualApproval"),
        )?;
        let key = key_of(GROUP, group_arn_or_name);
        if !self.packages.groups.contains_key(&key) && create_group {
            let name = request.name("ModelPackageGroupName", 63)?;
            self.add_group(turn, name, None, BTreeMap::new());
        }
        let key = self.group_key(group_arn_or_name)?;
        let Some(group) = self.packages.groups.get_mut(&key) else {
            return Err(ApiError::validation("the group is gone"));
        };
        group.last_version += 1;
        let (group, number) = (group.name.clone(), group.last_version);
        let name = format!("{group}/{number}");
        let identity = Identity::Version { group, number };
        Ok(self.keep_package(turn, &name, identity, Some(approval), members, tags))
    }

    fn add_unversioned(
        &mut self,
        turn: &mut Turn,
        request: Input<'_>,
        members: Map<String, Value>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        let name = request.name("ModelPackageName", 63)?;
        if request.value("ModelPackageGroupName").is_some() {
            return Err(ApiError::validation(
                "Both ModelPackageName and ModelPackageGroupName are given. A version of a group \
                 has no name of its own.",
            ));
        }
        if self.packages.packages.contains_key(&key_of(PACKAGE, name)) {
            return Err(ApiError::validation(format!(
                "Model Package already exists: {}",
                self.arn(PACKAGE, name)
            )));
        }
        let identity = Identity::Unversioned(name.to_owned());
        Ok(self.keep_package(turn, name, identity, None, members, tags))
    }

    /// Keeps a new package and tells of it; gives its ARN.
    fn keep_package(
        &mut self,
        turn: &mut Turn,
        name: &str,
        identity: Identity,
        approval: Option<String>,
        members: Map<String, Value>,
        tags: BTreeMap<String, String>,
    ) -> String {
        let arn = self.arn(PACKAGE, name);
        self.tags.create(&arn, tags);
        let package = Package {
            identity,
            arn: arn.clone(),
            created: turn.now,
            modified: None,
            approval,
            members,
        };
        package.emit(turn, &[], self.tags.as_map(&arn));
        self.packages
            .packages
            .insert(key_of(PACKAGE, name), package);
        arn
    }

    pub(super) fn create_model_package(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let tags = read_tags(input)?;
        let arn = self.add_model_package(turn, input, tags, false)?;
        Ok(json!({"ModelPackageArn": arn}))
    }

    fn package_key(&self, name_or_arn: &str) -> Result<String, ApiError> {
        let key = key_of(PACKAGE, name_or_arn);
        if self.packages.packages.contains_key(&key) {
            Ok(key)
        } else {
            Err(ApiError::validation(format!(
                "ModelPackage {name_or_arn} does not exist."
            )))
        }
    }

    pub(super) fn describe_model_package(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.package_key(input.required("ModelPackageName")?)?;
        Ok(self.packages.packages[&key].describe())
    }

    /// What DescribeModelPackage says of a package that a step made.
    pub(super) fn model_package_document(&self, arn: &str) -> Option<Value> {
        self.packages
            .packages
            .get(&key_of(PACKAGE, arn))
            .map(Package::describe)
    }

    pub(super) fn update_model_package(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let arn = input.required("ModelPackageArn")?;
        let key = self.package_key(arn)?;
        let approval = input
            .string("ModelApprovalStatus")?
            .map(read_approval)
            .transpose()?;
        let mut changed = Map::new();
        input.copy(
            &[
                "ApprovalDescription",
                "CustomerMetadataProperties",
                "AdditionalInferenceSpecificationsToAdd",
                "InferenceSpecification",
                "SourceUri",
                "ModelCard",
                "ModelLifeCycle",
            ],
            &mut changed,
        );
        let removed: Vec<&str> = input
            .list("CustomerMetadataPropertiesToRemove")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let Some(package) = self.packages.packages.get_mut(&key) else {
            return Err(ApiError::validation("the package is gone"));
        };
        let mut updated: Vec<&str> = Vec::new();
        if let Some(approval) = approval {
            package.approval = Some(approval);
            updated.push("ModelApprovalStatus");
        }
        for (member, value) in changed {
            match (member.as_str(), value) {
                ("CustomerMetadataProperties", Value::Object(added)) => {
                    properties(&mut package.members).extend(added);
                    updated.push("CustomerMetadataProperties");
                }
                ("AdditionalInferenceSpecificationsToAdd", Value::Array(added)) => {
                    let list = package
                        .members
                        .entry("AdditionalInferenceSpecifications")
                        .or_insert_with(|| json!([]));
                    if let Value::Array(list) = list {
                        list.extend(added);
                    }
                    updated.push("AdditionalInferenceSpecifications");
                }
                (_, value) => {
                    package.members.insert(member, value);
                }
            }
        }
        if !removed.is_empty() {
            properties(&mut package.members).retain(|name, _| !removed.contains(&name.as_str()));
            updated.push("CustomerMetadataProperties");
        }
        package.modified = Some(turn.now);
        let arn = package.arn.clone();
        package.emit(turn, &updated, self.tags.as_map(&arn));
        Ok(json!({"ModelPackageArn": arn}))
    }

    pub(super) fn delete_model_package(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.package_key(input.required("ModelPackageName")?)?;
        if let Some(package) = self.packages.packages.remove(&key) {
            self.tags.remove(&package.arn);
        }
        Ok(json!({}))
    }

    pub(super) fn list_model_packages(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let approval = input.string("ModelApprovalStatus")?;
        let kind = input.string("ModelPackageType")?;
        let packages: Vec<(&String, &Package)> = match input.string("ModelPackageGroupName")? {
            Some(group) => self.packages_of(&self.group_key(group)?),
            None => {
                let mut packages: Vec<_> = self.packages.packages.iter().collect();
                packages.sort_by_key(|(_, package)| (package.created, package.number()));
                packages
            }
        };
        let rows = packages
            .into_iter()
            .filter(|(_, package)| approval.is_none() || approval == package.approval.as_deref())
            .filter(|(_, package)| match package.identity {
                Identity::Version { .. } => kind != Some("Unversioned"),
                Identity::Unversioned(_) => kind != Some("Versioned"),
            })
            .map(|(key, package)| {
                let mut row = package.identity();
                row.insert("CreationTime".to_owned(), package.created.to_json());
                Input::new(&package.members).copy(&["ModelPackageDescription"], &mut row);
                (key.clone(), Value::Object(row))
            })
            .collect();
        input.page("ModelPackageSummaryList", rows, SortOrder::Descending)
    }
}

fn properties(members: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let entry = members
        .entry("CustomerMetadataProperties")
        .or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    match entry {
        Value::Object(map) => map,
        _ => unreachable!("made an object two lines above"),
    }
}
