"""Defines the asset-prediction pipeline with the SageMaker SDK and prints its definition.

    python samples/pipelines/asset_prediction.py > definition.json
    pipewright template extract definition.json -o template.json.tera --values-out values.json

Nothing is sent to AWS. The packages are those of tests/definitions/requirements.txt.
"""

import logging
import os
import sys
import warnings

REGION = "eu-central-1"
ACCOUNT = "111122223333"
os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
os.environ.setdefault("AWS_ACCESS_KEY_ID", "none")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "none")
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import boto3  # noqa: E402
import sagemaker.telemetry.telemetry_logging as telemetry  # noqa: E402
from sagemaker import image_uris  # noqa: E402
from sagemaker.estimator import Estimator  # noqa: E402
from sagemaker.inputs import TrainingInput  # noqa: E402
from sagemaker.model import Model  # noqa: E402
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor  # noqa: E402
from sagemaker.workflow.execution_variables import ExecutionVariables  # noqa: E402
from sagemaker.workflow.functions import Join  # noqa: E402
from sagemaker.workflow.model_step import ModelStep  # noqa: E402
from sagemaker.workflow.parameters import ParameterInteger, ParameterString  # noqa: E402
from sagemaker.workflow.pipeline import Pipeline  # noqa: E402
from sagemaker.workflow.pipeline_context import PipelineSession  # noqa: E402
from sagemaker.workflow.steps import ProcessingStep, TrainingStep  # noqa: E402

# The SDK would report each call.
telemetry._send_telemetry_request = lambda *_args, **_kwargs: None

MODELS = f"asset-prediction-models-{ACCOUNT}-{REGION}"
ASSETS = f"asset-prediction-assets-{ACCOUNT}-{REGION}"
CODE = f"asset-prediction-pipeline-{ACCOUNT}-{REGION}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/asset-prediction-jobs"
# What serves a model may less than what makes one.
MODEL_ROLE = f"arn:aws:iam::{ACCOUNT}:role/asset-prediction-models"

# DeepAR's hyperparameters with the defaults that the pipeline gives them.
HYPERPARAMETERS = {
    "time_freq": "1D",
    "epochs": "400",
    "early_stopping_patience": "400",
    "mini_batch_size": "128",
    "learning_rate": "1e-3",
    "context_length": None,
    "prediction_length": None,
    "num_cells": "40",
    "num_layers": "2",
    "dropout_rate": "0.1",
    "embedding_dimension": "10",
    "likelihood": "student-T",
    "cardinality": "auto",
    "num_dynamic_feat": "auto",
    "num_eval_samples": "100",
    "test_quantiles": "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
}


def parameter_name(hyperparameter: str) -> str:
    return "HyperParam" + "".join(word.capitalize() for word in hyperparameter.split("_"))


def in_models_bucket(*parts: str) -> Join:
    return Join(
        on="/",
        values=["s3:/", MODELS, "pipeline", ExecutionVariables.PIPELINE_EXECUTION_ID, *parts],
    )


def pipeline() -> Pipeline:
    session = PipelineSession(boto_session=boto3.Session(region_name=REGION), default_bucket=MODELS)
    processing_type = ParameterString("ProcessingInstanceType", default_value="ml.m5.xlarge")
    processing_count = ParameterInteger("ProcessingInstanceCount", default_value=1)
    training_type = ParameterString("TrainingInstanceType", default_value="ml.m5.xlarge")
    execution_id = ParameterString("ExecutionId")
    assets = ParameterString("AssetsData", default_value=f"s3://{ASSETS}/assets/")
    hyperparameters = {
        name: ParameterString(parameter_name(name), default_value=default)
        for name, default in HYPERPARAMETERS.items()
    }
    approval = ParameterString(
        "ModelApprovalStatus",
        default_value="Approved",
        enum_values=["Approved", "Rejected", "PendingManualApproval"],
    )
    group = ParameterString("ModelPackageGroupName", default_value="asset-prediction")

    processor = Processor(
        role=ROLE,
        image_uri=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/feature-engineering:1",
        instance_count=processing_count,
        instance_type=processing_type,
        volume_size_in_gb=30,
        max_runtime_in_seconds=86400,
        entrypoint=["/bin/sh", "/opt/ml/processing/input/code/run-fe-step.sh"],
        env={
            "AWS_REGION": REGION,
            "EXECUTIONS_TABLE": "executions",
            "ASSETS_TABLE": "assets",
            "FEATURE_IMPORTANCE_TABLE": "feature-importance",
            "MODELS_BUCKET": MODELS,
            "PIPELINE_NAME": "asset-prediction",
            "PIPELINE_EXECUTION_ID": ExecutionVariables.PIPELINE_EXECUTION_ID,
        },
        sagemaker_session=session,
    )
    processing = ProcessingStep(
        name="Feature-Engineering-Step",
        step_args=processor.run(
            arguments=["--executionid", execution_id],
            inputs=[
                ProcessingInput(
                    input_name="assets",
                    source=assets,
                    destination="/opt/ml/processing/input/assets",
                ),
                ProcessingInput(
                    input_name="code",
                    source=f"s3://{CODE}/executor/run-fe-step.sh",
                    destination="/opt/ml/processing/input/code",
                ),
            ],
            outputs=[
                ProcessingOutput(
                    output_name=name,
                    source=f"/opt/ml/processing/{name}",
                    destination=in_models_bucket(name),
                )
                for name in ("train", "test", "features")
            ],
        ),
    )

    deepar = image_uris.retrieve("forecasting-deepar", REGION)
    estimator = Estimator(
        image_uri=deepar,
        role=ROLE,
        instance_count=1,
        instance_type=training_type,
        volume_size=50,
        max_run=3600,
        output_path=in_models_bucket("models"),
        hyperparameters=hyperparameters,
        debugger_hook_config=False,
        sagemaker_session=session,
    )
    outputs = processing.properties.ProcessingOutputConfig.Outputs
    training = TrainingStep(
        name="AssetPrediction-Training-Step",
        step_args=estimator.fit(
            {
                name: TrainingInput(s3_data=outputs[name].S3Output.S3Uri)
                for name in ("train", "test")
            }
        ),
    )

    model = Model(
        image_uri=deepar,
        model_data=training.properties.ModelArtifacts.S3ModelArtifacts,
        role=MODEL_ROLE,
        sagemaker_session=session,
    )
    types = ["text/csv", "application/json", "application/jsonlines"]
    register = ModelStep(
        name="AssetPredictionRegisterModel",
        step_args=model.register(
            content_types=types,
            response_types=types,
            inference_instances=["ml.t2.medium"],
            transform_instances=["ml.m5.large"],
            model_package_group_name=group,
            approval_status=approval,
            customer_metadata_properties={"ExecutionId": execution_id},
        ),
    )
    create = ModelStep(name="AssetPrediction-CreateModel-Step", step_args=model.create())
    return Pipeline(
        name="asset-prediction",
        parameters=[
            processing_type,
            processing_count,
            training_type,
            execution_id,
            assets,
            *hyperparameters.values(),
            approval,
            group,
        ],
        steps=[processing, training, register, create],
        sagemaker_session=session,
    )


if __name__ == "__main__":
    sys.stdout.write(pipeline().definition() + "\n")
