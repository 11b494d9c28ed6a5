//! The events that SageMaker puts on EventBridge.

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
    pub const SOURCE: &'static str = "aws.sagemaker";
    /// Detail type of a change of a pipeline execution.
    pub const EXECUTION: &'static str = "SageMaker Model Building Pipeline Execution Status Change";
    /// Detail type of a change of a step.
    pub const STEP: &'static str = "SageMaker Model Building Pipeline Execution Step Status Change";
    /// Detail type of a model's creation or deletion.
    pub const MODEL: &'static str = "SageMaker Model State Change";
    /// Detail type of a change of a model package.
    pub const MODEL_PACKAGE: &'static str = "SageMaker Model Package State Change";
    /// Detail type of a change of an endpoint.
    pub const ENDPOINT: &'static str = "SageMaker Endpoint State Change";
    /// Detail type of a change of an endpoint configuration.
    pub const ENDPOINT_CONFIG: &'static str = "SageMaker Endpoint Config State Change";
}
