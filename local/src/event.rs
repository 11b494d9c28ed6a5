//! The events that SageMaker puts on EventBridge.

use pipewright::record::Kind;

use crate::clock::Millis;
use serde_json::Value;

/// An event, before EventBridge wraps it in its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// For example `SageMaker Model State Change`.
    pub detail_type: &'static str,
    /// ARNs of what the event is about.
    pub resources: Vec<String>,
    /// When it happened; EventBridge keeps whole seconds of it.
    pub time: Millis,
    /// The event's own members.
    pub detail: Value,
}

impl Event {
    /// The `source` of every SageMaker event.
    pub const SOURCE: &'static str = pipewright::record::event::SOURCE;
    /// Detail type of a change of a pipeline execution.
    pub const EXECUTION: &'static str = Kind::Execution.detail_type();
    /// Detail type of a change of a step.
    pub const STEP: &'static str = Kind::Step.detail_type();
    /// Detail type of a model's creation or deletion.
    pub const MODEL: &'static str = Kind::Model.detail_type();
    /// Detail type of a change of a model package.
    pub const MODEL_PACKAGE: &'static str = Kind::Package.detail_type();
    /// Detail type of a change of an endpoint.
    pub const ENDPOINT: &'static str = Kind::Endpoint.detail_type();
    /// Detail type of a change of an endpoint configuration.
    pub const ENDPOINT_CONFIG: &'static str = "SageMaker Endpoint Config State Change";
    /// Detail type of a change of a processing job.
    pub const PROCESSING_JOB: &'static str = "SageMaker Processing Job State Change";
    /// Detail type of a change of a training job.
    pub const TRAINING_JOB: &'static str = "SageMaker Training Job State Change";
    /// Detail type of a change of a transform job.
    pub const TRANSFORM_JOB: &'static str = "SageMaker Transform Job State Change";
}
