//! The names of attributes, and of what is fixed in keys.

/// Partition key: the record's id.
pub const ID: &str = "Id";
/// Sort key: which of the execution's items.
pub const ENTRY: &str = "entry";
/// The sort key of the execution's own item.
pub const RECORD_ENTRY: &str = "record";
/// What a change item's sort key begins with.
pub const CHANGE_PREFIX: &str = "change#";
/// What a batch of log lines' sort key begins with.
pub const LOG_PREFIX: &str = "log#";
/// What the sort key of what a training job ended with begins with.
pub const TRAINING_PREFIX: &str = "training#";
/// What the sort key of a forecast that was kept begins with; the moment at which it was made
/// follows.
pub const FORECAST_PREFIX: &str = "forecast#";
/// The sort key of the model's scores beside those of naive forecasts.
pub const SCORE_ENTRY: &str = "score";

/// The partition key of what housekeeping did last.
pub const HOUSEKEEPING_ID: &str = "#housekeeping";
/// The sort key of what housekeeping did last.
pub const HOUSEKEEPING_ENTRY: &str = "report";

// --- of `record`, written by the start of an execution

/// A copy of the training template as it was at the start.
pub const PARAMETERS: &str = "parameters";
/// The pipeline parameters sent, name to text.
pub const PIPELINE_PARAMETERS: &str = "pipelineParameters";
/// When the record was created, epoch milliseconds.
pub const CREATED_AT: &str = "createdAt";

/// Why SageMaker refused to start the execution, and when: a
/// [`StartFailure`](super::rows::record::StartFailure).
pub const START_FAILURE: &str = "startFailure";

// --- of `record`, the execution

/// The execution's ARN as SageMaker spelled it.
pub const PIPELINE_EXECUTION_ARN: &str = "pipelineExecutionArn";
/// The execution's ARN in lower case, which conditions compare.
pub const ARN_KEY: &str = "arnKey";
/// Position of the execution's family.
pub const PIPELINE_POSITION: &str = "pipelinePosition";
/// When an execution or a step started, epoch milliseconds.
pub const STARTED_AT: &str = "startedAt";
/// Where the execution stands for housekeeping (see [`phase`](super::phase)):
/// `open`, or `ended#` and a day. The partition key of [`PHASE_INDEX`].
pub const PHASE: &str = "phase";
/// The index of executions by [`PHASE`]: keys, [`CREATED_AT`] and [`STARTED_AT`].
pub const PHASE_INDEX: &str = "by-phase";
/// The container's own word on the processing step.
pub const PROCESSING_STEP_REPORT: &str = "processingStepReport";

// --- of `record`, what Model steps made

/// ARN of the model that the Model step made.
pub const MODEL_STEP_ARN: &str = "modelStepArn";

// --- of `record`, the model

/// The model's name.
pub const MODEL_NAME: &str = "modelName";

// --- of `record`, the endpoint

/// The endpoint's configuration.
pub const ENDPOINT_CONFIG_NAME: &str = "endpointConfigName";

// --- of reports and start failures

/// When, epoch milliseconds.
pub const AT: &str = "at";

// --- of log batches

/// The lines.
pub const LINES: &str = "lines";

// --- of the table `endpoints`

/// Partition key of the table `endpoints`: the endpoint's name.
pub const ENDPOINTS_KEY: &str = "EndpointName";
/// The id of the execution whose model the endpoint serves.
pub const ENDPOINTS_EXECUTION: &str = "executionId";
/// When housekeeping learnt that the endpoint is gone, epoch milliseconds.
pub const ENDPOINTS_DELETED_AT: &str = "deletedAt";
