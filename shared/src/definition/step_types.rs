//! The types of steps: a row each, which everything reads that treats types
//! differently. A new type is a row here; `tests/definitions/make_shapes.py`
//! takes the names of the service's calls from this file.

use super::shapes;

/// A type of steps.
#[derive(Debug)]
pub struct StepType {
    /// Which one.
    pub kind: StepKind,
    /// The name that the definition language uses.
    pub name: &'static str,
    /// What the service's calls, the SDK's classes and the documents call it
    /// besides, in small letters and without `create`, `step` and `job`.
    pub other_names: &'static [&'static str],
    /// What its Arguments are.
    pub arguments: Arguments,
    /// What it asks for of its Arguments beyond the request.
    pub needs: &'static [Need],
    /// The members that stand beside its Arguments, as no other type has them.
    pub beside: &'static [(&'static str, Beside)],
    /// What can be read of a step that has succeeded.
    pub properties: Properties,
    /// The lists of its Arguments whose items are read by their names.
    pub named: &'static [NamedItems],
    /// What it runs or makes.
    pub makes: Option<Resource>,
    /// Its member in the metadata of the service's step executions.
    pub metadata: &'static str,
    /// Whether SageMaker puts an execution's id behind the name that the
    /// Arguments give to its job.
    pub names_are_prefixes: bool,
    /// Where its Arguments name locations that it writes: keys from outside to
    /// inside, `*` for every item.
    pub writes: &'static [&'static str],
    /// Where they name locations that it reads.
    pub reads: &'static [&'static str],
    /// What is compared with an earlier run whose outputs are cached: keys from outside to
    /// inside, from the step. None if a type is not cached, by the documentation and the SDKs'
    /// classes. The documentation lists them for eight types; of the others all is compared.
    pub compared: &'static [&'static str],
    /// Whether it is retried, by the same.
    pub retried: bool,
    /// Its colour in drawings.
    pub colour: &'static str,
}

/// What the Arguments of a step are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The request of this call of SageMaker's.
    Request(&'static str),
    /// An object whose form the step's own code or another service decides.
    Free,
    /// The same, and they may be left out.
    Optional,
    /// Conditions and the steps of both branches.
    Branches,
    /// Items and the steps that run for each.
    Loop,
    /// The message of a failure.
    Message,
    /// The steps whose outputs are deleted.
    Outputs,
}

/// What a type of steps asks for of its Arguments.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// One of two members, and not both.
    OneOf([&'static str; 2]),
    /// These members.
    Given(&'static [&'static str]),
    /// None of these keys at this place.
    Absent(&'static [&'static str], &'static [&'static str]),
    /// No other value of a key at this place than this one.
    Only(&'static [&'static str], &'static str, &'static str),
}

/// What a member beside the Arguments is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A text that must be there, and that no function stands for.
    Plain,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A text, or a function that gives one.
    Text,
    /// `true` or `false`, or a function that gives one.
    Boolean,
    /// The files that conditions read.
    PropertyFiles,
    /// The values that are handed back.
    OutputParameters,
}

/// What can be read of a step that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Properties {
    /// The answer of this call of SageMaker's.
    Described(&'static str),
    /// The locations of baselines.
    Baselines,
    /// The outcome of conditions.
    Outcome,
    /// What came of each round.
    Rounds,
    /// Whatever another service or its own code says.
    Open,
}

/// A list of a step's Arguments whose items have names.
#[derive(Clone, Copy, Debug)]
pub struct NamedItems {
    /// The keys that lead to it.
    pub list: &'static [&'static str],
    /// The member of an item with its name.
    pub key: &'static str,
    /// What an item is called.
    pub item: &'static str,
}

/// What a step runs or makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// What its members begin with: `TrainingJob` of `TrainingJobName`.
    pub noun: &'static str,
    /// The service of its ARN.
    pub service: &'static str,
    /// The type in its ARN.
    pub arn_type: &'static str,
    /// The status of one that is ready, if it has one.
    pub ready: Option<&'static str>,
}

impl Resource {
    const fn of_sagemaker(
        noun: &'static str,
        arn_type: &'static str,
        ready: Option<&'static str>,
    ) -> Self {
        Self {
            noun,
            service: "sagemaker",
            arn_type,
            ready,
        }
    }

    const fn job(noun: &'static str, arn_type: &'static str) -> Self {
        Self::of_sagemaker(noun, arn_type, Some("Completed"))
    }

    /// A processing job.
    pub const PROCESSING_JOB: Self = Self::job("ProcessingJob", "processing-job");
    /// A training job.
    pub const TRAINING_JOB: Self = Self::job("TrainingJob", "training-job");
    /// A batch transform job.
    pub const TRANSFORM_JOB: Self = Self::job("TransformJob", "transform-job");

    const fn of_bedrock(noun: &'static str, arn_type: &'static str) -> Self {
        Self {
            noun,
            service: "bedrock",
            arn_type,
            ready: None,
        }
    }

    /// Whether it is a job, whose name the pipeline makes.
    #[must_use]
    pub fn is_job(&self) -> bool {
        self.noun.ends_with("Job")
    }

    /// A member of its request or description: `TrainingJobName` for `Name`.
    #[must_use]
    pub fn member(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.noun)
    }
}

/// A step that runs jobs or data through another service.
const DATA: &str = "#0073bb";
/// A step that trains or asks a model.
const MODELLING: &str = "#ec7211";
/// A step that makes or deploys a model.
const SERVING: &str = "#1d8102";
/// A step that decides.
const DECIDING: &str = "#6b40b2";
/// A step that checks data or a model.
const CHECKING: &str = "#008296";
/// A step that fails.
const FAILING: &str = "#d13212";
/// Any other step.
const PLAIN: &str = "#687078";

/// The members of quality and Clarify checks but for their type.
macro_rules! beside_of_checks {
    ($($types:literal),*) => {
        &[
            ("CheckType", Beside::Choice(&[$($types),*])),
            ("ModelPackageGroupName", Beside::Text),
            ("ModelName", Beside::Text),
            ("SkipCheck", Beside::Boolean),
            ("FailOnViolation", Beside::Boolean),
            ("RegisterNewBaseline", Beside::Boolean),
            ("SuppliedBaselineStatistics", Beside::Text),
            ("SuppliedBaselineConstraints", Beside::Text),
        ]
    };
}

/// The row of a type that this program does not know.
static UNKNOWN: StepType = StepType::PLAIN;

impl StepType {
    /// What is not said otherwise.
    const PLAIN: Self = Self {
        kind: StepKind::Unknown,
        name: "",
        other_names: &[],
        arguments: Arguments::Optional,
        needs: &[],
        beside: &[],
        properties: Properties::Open,
        named: &[],
        makes: None,
        metadata: "",
        names_are_prefixes: false,
        writes: &[],
        reads: &[],
        compared: &[],
        retried: false,
        colour: PLAIN,
    };

    /// A job of containers that read and write S3.
    const PROCESSING: Self = Self {
        arguments: Arguments::Request("CreateProcessingJob"),
        properties: Properties::Described("DescribeProcessingJob"),
        makes: Some(Resource::PROCESSING_JOB),
        writes: &["ProcessingOutputConfig.Outputs.*.S3Output.S3Uri"],
        reads: &["ProcessingInputs.*.S3Input.S3Uri"],
        compared: &[
            "Arguments.AppSpecification",
            "Arguments.Environment",
            "Arguments.ProcessingInputs",
        ],
        colour: DATA,
        ..Self::PLAIN
    };

    /// A check by such a job. What the documentation calls the configurations of check and job
    /// are its Arguments.
    const CHECK: Self = Self {
        properties: Properties::Baselines,
        compared: &[
            "Arguments",
            "SkipCheck",
            "RegisterNewBaseline",
            "ModelPackageGroupName",
            "SuppliedBaselineConstraints",
            "SuppliedBaselineStatistics",
        ],
        colour: CHECKING,
        ..Self::PROCESSING
    };

    /// Whether outputs of its steps are cached.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        !self.compared.is_empty()
    }

    /// Whether a step of this type may have the member beside its Arguments;
    /// of an unknown one nothing can be said.
    #[must_use]
    pub fn may_have(&self, member: &str) -> bool {
        self.kind == StepKind::Unknown || self.beside.iter().any(|(name, _)| *name == member)
    }

    /// Its member in the metadata of events: `processingJob`, `model`.
    #[must_use]
    pub fn event_member(&self) -> String {
        in_events(self.metadata)
    }

    /// Whether this member of the request is told again by the description of
    /// what the step makes.
    #[must_use]
    pub fn gives_back(&self, member: &str) -> bool {
        let (Arguments::Request(request), Properties::Described(description)) =
            (self.arguments, self.properties)
        else {
            return false;
        };
        let has = |shape: Option<shapes::Shape>| shape.and_then(|shape| shape.member(member));
        has(shapes::request(request)).is_some() && has(shapes::description(description)).is_some()
    }
}

/// A member of the service's answers as events spell it: `ProcessingJob` becomes
/// `processingJob`, `EMRServerless` `emrServerless`.
#[must_use]
pub fn in_events(member: &str) -> String {
    let capitals = member.bytes().take_while(u8::is_ascii_uppercase).count();
    // The last capital of several begins the next word, unless the name ends with it.
    let lowered = if capitals > 1 && capitals < member.len() {
        capitals - 1
    } else {
        capitals
    };
    member[..lowered].to_ascii_lowercase() + &member[lowered..]
}

macro_rules! step_types {
    ($(
        $(#[$doc:meta])*
        $kind:ident = $name:literal { $($field:ident: $value:expr,)* ..$base:ident }
    )*) => {
        /// The step types that are known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StepKind {
            $($(#[$doc])* $kind,)*
            /// A type that this program does not know, or none.
            Unknown,
        }

        /// In the order of the kinds.
        static TYPES: &[StepType] = &[$(StepType {
            kind: StepKind::$kind,
            name: $name,
            $($field: $value,)*
            ..StepType::$base
        }),*];

        impl StepKind {
            /// The names that the definition language uses, in its order.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Types that the service's model of executions names, and no published
            /// SDK writes.
            pub const ANNOUNCED: [&str; 2] = ["Athena", "HubContent"];

            /// Every kind that is known.
            pub fn all() -> impl Iterator<Item = Self> {
                TYPES.iter().map(|row| row.kind)
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$kind,)*
                    _ => Self::Unknown,
                }
            }

            /// What is known of it.
            #[must_use]
            pub fn step_type(self) -> &'static StepType {
                TYPES.get(self as usize).unwrap_or(&UNKNOWN)
            }
        }
    };
}

step_types! {
    /// A processing job.
    Processing = "Processing" {
        beside: &[("PropertyFiles", Beside::PropertyFiles)],
        named: &[
            NamedItems {
                list: &["ProcessingOutputConfig", "Outputs"],
                key: "OutputName",
                item: "output",
            },
            NamedItems { list: &["ProcessingInputs"], key: "InputName", item: "input" },
        ],
        metadata: "ProcessingJob",
        names_are_prefixes: true,
        retried: true,
        ..PROCESSING
    }
    /// A training job; also a `@step` function or a notebook job.
    Training = "Training" {
        other_names: &["notebook"],
        arguments: Arguments::Request("CreateTrainingJob"),
        properties: Properties::Described("DescribeTrainingJob"),
        named: &[NamedItems { list: &["InputDataConfig"], key: "ChannelName", item: "channel" }],
        makes: Some(Resource::TRAINING_JOB),
        metadata: "TrainingJob",
        names_are_prefixes: true,
        writes: &["OutputDataConfig.S3OutputPath"],
        reads: &["InputDataConfig.*.DataSource.S3DataSource.S3Uri"],
        compared: &[
            "Arguments.AlgorithmSpecification",
            "Arguments.CheckpointConfig",
            "Arguments.DebugHookConfig",
            "Arguments.DebugRuleConfigurations",
            "Arguments.Environment",
            "Arguments.HyperParameters",
            "Arguments.InputDataConfig",
        ],
        retried: true,
        colour: MODELLING,
        ..PLAIN
    }
    /// A hyperparameter tuning job.
    Tuning = "Tuning" {
        other_names: &["hyperparametertuning"],
        arguments: Arguments::Request("CreateHyperParameterTuningJob"),
        needs: &[Need::OneOf(["TrainingJobDefinition", "TrainingJobDefinitions"])],
        properties: Properties::Described("DescribeHyperParameterTuningJob"),
        makes: Some(Resource::job("HyperParameterTuningJob", "hyper-parameter-tuning-job")),
        metadata: "TuningJob",
        writes: &[
            "TrainingJobDefinition.OutputDataConfig.S3OutputPath",
            "TrainingJobDefinitions.*.OutputDataConfig.S3OutputPath",
        ],
        reads: &[
            "TrainingJobDefinition.InputDataConfig.*.DataSource.S3DataSource.S3Uri",
            "TrainingJobDefinitions.*.InputDataConfig.*.DataSource.S3DataSource.S3Uri",
        ],
        compared: &[
            "Arguments.HyperParameterTuningJobConfig",
            "Arguments.TrainingJobDefinition.AlgorithmSpecification",
            "Arguments.TrainingJobDefinition.HyperParameterRanges",
            "Arguments.TrainingJobDefinition.InputDataConfig",
            "Arguments.TrainingJobDefinition.StaticHyperParameters",
            "Arguments.TrainingJobDefinition.TuningObjective",
            "Arguments.TrainingJobDefinitions",
        ],
        retried: true,
        colour: MODELLING,
        ..PLAIN
    }
    /// A batch transform job.
    Transform = "Transform" {
        other_names: &["batchtransform"],
        arguments: Arguments::Request("CreateTransformJob"),
        properties: Properties::Described("DescribeTransformJob"),
        makes: Some(Resource::TRANSFORM_JOB),
        metadata: "TransformJob",
        names_are_prefixes: true,
        writes: &["TransformOutput.S3OutputPath"],
        reads: &["TransformInput.DataSource.S3DataSource.S3Uri"],
        compared: &[
            "Arguments.DataProcessing",
            "Arguments.Environment",
            "Arguments.ModelName",
            "Arguments.TransformInput",
        ],
        retried: true,
        colour: MODELLING,
        ..PLAIN
    }
    /// Makes a model.
    Model = "Model" {
        arguments: Arguments::Request("CreateModel"),
        needs: &[Need::OneOf(["PrimaryContainer", "Containers"])],
        properties: Properties::Described("DescribeModel"),
        makes: Some(Resource::of_sagemaker("Model", "model", None)),
        metadata: "Model",
        reads: &["PrimaryContainer.ModelDataUrl", "Containers.*.ModelDataUrl"],
        retried: true,
        colour: SERVING,
        ..PLAIN
    }
    /// Registers a model package.
    RegisterModel = "RegisterModel" {
        other_names: &["modelpackage", "registermodelpackage", "registration"],
        arguments: Arguments::Request("CreateModelPackage"),
        properties: Properties::Described("DescribeModelPackage"),
        makes: Some(Resource::of_sagemaker("ModelPackage", "model-package", Some("Completed"))),
        metadata: "RegisterModel",
        reads: &["InferenceSpecification.Containers.*.ModelDataUrl"],
        retried: true,
        colour: SERVING,
        ..PLAIN
    }
    /// Decides between two branches.
    Condition = "Condition" {
        other_names: &["choice"],
        arguments: Arguments::Branches,
        properties: Properties::Outcome,
        metadata: "Condition",
        colour: DECIDING,
        ..PLAIN
    }
    /// Calls a Lambda function.
    Lambda = "Lambda" {
        other_names: &["lambdafunction"],
        beside: &[
            ("FunctionArn", Beside::Plain),
            ("OutputParameters", Beside::OutputParameters),
        ],
        metadata: "Lambda",
        compared: &[
            "FunctionArn",
            "Arguments",
            "OutputParameters",
        ],
        ..PLAIN
    }
    /// Sends a message to a queue and waits for the answer.
    Callback = "Callback" {
        beside: &[
            ("SqsQueueUrl", Beside::Plain),
            ("OutputParameters", Beside::OutputParameters),
        ],
        metadata: "Callback",
        compared: &[
            "SqsQueueUrl",
            "Arguments",
            "OutputParameters",
        ],
        ..PLAIN
    }
    /// A data or model quality check.
    QualityCheck = "QualityCheck" {
        other_names: &["quality", "dataquality", "modelquality"],
        beside: beside_of_checks!("DATA_QUALITY", "MODEL_QUALITY"),
        metadata: "QualityCheck",
        ..CHECK
    }
    /// A bias or explainability check.
    ClarifyCheck = "ClarifyCheck" {
        other_names: &["clarify"],
        beside: beside_of_checks!("DATA_BIAS", "MODEL_BIAS", "MODEL_EXPLAINABILITY"),
        metadata: "ClarifyCheck",
        ..CHECK
    }
    /// A step of an EMR cluster.
    Emr = "EMR" {
        arguments: Arguments::Free,
        needs: &[
            Need::OneOf(["ClusterId", "ClusterConfig"]),
            Need::Given(&["StepConfig"]),
            Need::Absent(&["ClusterConfig"], &DECIDED_OF_CLUSTERS),
            Need::Absent(&["ClusterConfig", "Instances"], &DECIDED_OF_CLUSTERS),
        ],
        metadata: "EMR",
        compared: &[
            "Arguments.ClusterId",
            "Arguments.StepConfig",
        ],
        retried: true,
        colour: DATA,
        ..PLAIN
    }
    /// A job of EMR Serverless.
    EmrServerless = "EMRServerless" {
        arguments: Arguments::Free,
        needs: &[
            Need::OneOf(["ApplicationId", "ApplicationConfig"]),
            Need::Given(&["ExecutionRoleArn", "JobConfig"]),
        ],
        metadata: "EMRServerless",
        compared: &["Arguments"],
        retried: true,
        colour: DATA,
        ..PLAIN
    }
    /// An AutoML job.
    AutoMl = "AutoML" {
        arguments: Arguments::Request("CreateAutoMLJob"),
        needs: &[Need::Only(&["AutoMLJobConfig"], "Mode", "ENSEMBLING")],
        properties: Properties::Described("DescribeAutoMLJob"),
        makes: Some(Resource::job("AutoMLJob", "automl-job")),
        metadata: "AutoMLJob",
        writes: &["OutputDataConfig.S3OutputPath"],
        reads: &["InputDataConfig.*.DataSource.S3DataSource.S3Uri"],
        compared: &[
            "Arguments.AutoMLJobConfig.CompletionCriteria",
            "Arguments.AutoMLJobConfig.CandidateGenerationConfig",
            "Arguments.AutoMLJobConfig.DataSplitConfig",
            "Arguments.AutoMLJobConfig.Mode",
            "Arguments.AutoMLJobObjective",
            "Arguments.InputDataConfig",
            "Arguments.ProblemType",
        ],
        retried: true,
        colour: MODELLING,
        ..PLAIN
    }
    /// Ends the execution as failed.
    Fail = "Fail" {
        arguments: Arguments::Message,
        metadata: "Fail",
        colour: FAILING,
        ..PLAIN
    }
    /// Makes an endpoint configuration.
    EndpointConfig = "EndpointConfig" {
        arguments: Arguments::Request("CreateEndpointConfig"),
        properties: Properties::Described("DescribeEndpointConfig"),
        makes: Some(Resource::of_sagemaker("EndpointConfig", "endpoint-config", None)),
        metadata: "EndpointConfig",
        compared: &["Arguments"],
        retried: true,
        colour: SERVING,
        ..PLAIN
    }
    /// Makes an endpoint.
    Endpoint = "Endpoint" {
        other_names: &["deployendpoint"],
        arguments: Arguments::Request("CreateEndpoint"),
        properties: Properties::Described("DescribeEndpoint"),
        makes: Some(Resource::of_sagemaker("Endpoint", "endpoint", Some("InService"))),
        metadata: "Endpoint",
        compared: &["Arguments"],
        retried: true,
        colour: SERVING,
        ..PLAIN
    }
    /// Makes an inference component.
    InferenceComponent = "InferenceComponent" {
        arguments: Arguments::Request("CreateInferenceComponent"),
        properties: Properties::Described("DescribeInferenceComponent"),
        makes: Some(Resource::of_sagemaker(
            "InferenceComponent",
            "inference-component",
            Some("InService"),
        )),
        metadata: "InferenceComponent",
        colour: SERVING,
        ..PLAIN
    }
    /// Makes a custom model in Bedrock.
    BedrockCustomModel = "BedrockCustomModel" {
        arguments: Arguments::Free,
        makes: Some(Resource::of_bedrock("Model", "custom-model")),
        metadata: "BedrockCustomModel",
        ..PLAIN
    }
    /// Deploys a custom model in Bedrock.
    BedrockCustomModelDeployment = "BedrockCustomModelDeployment" {
        arguments: Arguments::Free,
        makes: Some(Resource::of_bedrock("CustomModelDeployment", "custom-model-deployment")),
        metadata: "BedrockCustomModelDeployment",
        ..PLAIN
    }
    /// Imports a model into Bedrock.
    BedrockModelImport = "BedrockModelImport" {
        arguments: Arguments::Free,
        makes: Some(Resource::of_bedrock("ImportedModel", "imported-model")),
        metadata: "BedrockModelImport",
        ..PLAIN
    }
    /// Buys throughput in Bedrock.
    BedrockProvisionedModelThroughput = "BedrockProvisionedModelThroughput" {
        arguments: Arguments::Free,
        makes: Some(Resource::of_bedrock("ProvisionedModel", "provisioned-model")),
        metadata: "BedrockProvisionedModelThroughput",
        ..PLAIN
    }
    /// Records lineage.
    Lineage = "Lineage" {
        arguments: Arguments::Free,
        metadata: "Lineage",
        ..PLAIN
    }
    /// A job of any category, whose form is a text of its own.
    Job = "Job" {
        metadata: "Job",
        compared: &["Arguments"],
        retried: true,
        ..PLAIN
    }
    /// Deletes what other steps wrote.
    Cleanup = "Cleanup" {
        arguments: Arguments::Outputs,
        metadata: "Cleanup",
        ..PLAIN
    }
    /// Runs its steps for each item of a list.
    ForEach = "ForEach" {
        arguments: Arguments::Loop,
        properties: Properties::Rounds,
        metadata: "ForEach",
        ..PLAIN
    }
}

/// What of an EMR cluster's configuration the pipeline decides itself.
const DECIDED_OF_CLUSTERS: [&str; 5] = [
    "Name",
    "Steps",
    "AutoTerminationPolicy",
    "KeepJobFlowAliveWhenNoSteps",
    "TerminationProtected",
];

#[cfg(test)]
mod tests {
    use super::{Arguments, Properties, StepKind, TYPES, in_events, shapes};

    #[test]
    fn what_is_announced_is_not_known_yet() {
        let known = |name: &&str| StepKind::NAMES.contains(name);
        assert!(!StepKind::ANNOUNCED.iter().any(known));
    }

    #[test]
    fn members_become_camel_case_as_in_the_documented_events() {
        for (member, told) in [
            ("ProcessingJob", "processingJob"),
            ("EMRServerless", "emrServerless"),
            ("EMR", "emr"),
            ("AutoMLJob", "autoMLJob"),
            ("CallbackToken", "callbackToken"),
        ] {
            assert_eq!(in_events(member), told);
        }
    }

    #[test]
    fn every_row_is_found_by_its_kind_and_its_name() {
        for row in TYPES {
            assert_eq!(row.kind.step_type().name, row.name);
            assert_eq!(StepKind::from_name(row.name), row.kind);
        }
        assert_eq!(StepKind::Unknown.step_type().kind, StepKind::Unknown);
    }

    #[test]
    fn every_call_of_a_row_is_in_the_table_of_shapes() {
        let cure = "tests/definitions/make_shapes.py writes the table anew";
        for row in TYPES {
            let member = |suffix| row.makes.map(|made| made.member(suffix));
            if let Arguments::Request(call) = row.arguments {
                let shape = shapes::request(call).unwrap_or_else(|| panic!("{call}: {cure}"));
                assert!(shape.member(&member("Name").unwrap()).is_some(), "{call}");
            }
            if let Properties::Described(call) = row.properties {
                let shape = shapes::description(call).unwrap_or_else(|| panic!("{call}: {cure}"));
                assert!(shape.member(&member("Arn").unwrap()).is_some(), "{call}");
            }
        }
    }

    #[test]
    fn a_description_gives_back_what_both_calls_have() {
        let training = StepKind::Training.step_type();
        assert!(training.gives_back("HyperParameters"));
        assert!(!training.gives_back("Tags"));
        assert!(!training.gives_back("TrainingJobStatus"));
        assert!(!StepKind::Lambda.step_type().gives_back("Tags"));
    }
}
