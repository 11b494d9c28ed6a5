"""Prints the definition of a pipeline of SageMaker's SDK: prepare, train, evaluate, register.

It is what a notebook has, written by the SDK's documentation; only that nothing is uploaded. With the
SDK installed, `python pipeline.py > definition.json` makes the file beside it anew.
"""

import logging
import os
import pathlib
from unittest import mock

os.environ.update(
    AWS_ACCESS_KEY_ID="none",
    AWS_SECRET_ACCESS_KEY="none",
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_USER_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_SUPPRESS_V2_WARNING="1",
)
logging.disable(logging.WARNING)

import boto3  # noqa: E402
import sagemaker.telemetry.telemetry_logging as telemetry  # noqa: E402
from sagemaker.inputs import TrainingInput  # noqa: E402
from sagemaker.model import Model  # noqa: E402
from sagemaker.processing import ProcessingInput, ProcessingOutput  # noqa: E402
from sagemaker.sklearn.estimator import SKLearn  # noqa: E402
from sagemaker.sklearn.processing import SKLearnProcessor  # noqa: E402
from sagemaker.workflow.condition_step import ConditionStep  # noqa: E402
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo  # noqa: E402
from sagemaker.workflow.fail_step import FailStep  # noqa: E402
from sagemaker.workflow.functions import Join, JsonGet  # noqa: E402
from sagemaker.workflow.model_step import ModelStep  # noqa: E402
from sagemaker.workflow.parameters import (  # noqa: E402
    ParameterFloat,
    ParameterInteger,
    ParameterString,
)
from sagemaker.workflow.pipeline import Pipeline  # noqa: E402
from sagemaker.workflow.pipeline_context import PipelineSession  # noqa: E402
from sagemaker.workflow.properties import PropertyFile  # noqa: E402
from sagemaker.workflow.steps import ProcessingStep, TrainingStep  # noqa: E402

telemetry._send_telemetry_request = lambda *_args, **_kwargs: None

REGION = "eu-west-1"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/SageMakerPipelineRole"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
CODE = pathlib.Path(__file__).resolve().parent / "code"


def make_pipeline(session):
    """The pipeline, as the SDK's documentation writes one."""
    input_data = ParameterString("InputData", default_value=f"s3://{BUCKET}/houses/houses.csv")
    trees = ParameterInteger("Trees", default_value=100)
    largest_error = ParameterFloat("LargestError", default_value=25.0)
    group = ParameterString("ModelPackageGroupName", default_value="houses")
    processor = SKLearnProcessor(
        framework_version="1.2-1",
        role=ROLE,
        instance_type="ml.m5.large",
        instance_count=1,
        base_job_name="houses-prepare",
        sagemaker_session=session,
    )
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code=str(CODE / "prepare.py"),
            arguments=["--test-share", "0.25"],
            inputs=[ProcessingInput(source=input_data, destination="/opt/ml/processing/input")],
            outputs=[
                ProcessingOutput(output_name="train", source="/opt/ml/processing/train"),
                ProcessingOutput(output_name="test", source="/opt/ml/processing/test"),
            ],
        ),
    )
    outputs = prepare.properties.ProcessingOutputConfig.Outputs
    estimator = SKLearn(
        entry_point="train.py",
        source_dir=str(CODE),
        framework_version="1.2-1",
        role=ROLE,
        instance_type="ml.m5.large",
        instance_count=1,
        hyperparameters={"trees": trees, "columns": ["area", "rooms", "age"]},
        metric_definitions=[{"Name": "train:mae", "Regex": r"train:mae=(\S+)"}],
        base_job_name="houses-train",
        sagemaker_session=session,
    )
    train = TrainingStep(
        "Train",
        step_args=estimator.fit({"train": TrainingInput(outputs["train"].S3Output.S3Uri)}),
    )
    model_data = train.properties.ModelArtifacts.S3ModelArtifacts
    report = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
    evaluator = SKLearnProcessor(
        framework_version="1.2-1",
        role=ROLE,
        instance_type="ml.m5.large",
        instance_count=1,
        base_job_name="houses-evaluate",
        sagemaker_session=session,
    )
    evaluate = ProcessingStep(
        "Evaluate",
        step_args=evaluator.run(
            code=str(CODE / "evaluate.py"),
            inputs=[
                ProcessingInput(source=model_data, destination="/opt/ml/processing/model"),
                ProcessingInput(
                    source=outputs["test"].S3Output.S3Uri, destination="/opt/ml/processing/test"
                ),
            ],
            outputs=[
                ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")
            ],
        ),
        property_files=[report],
    )
    model = Model(
        image_uri=estimator.training_image_uri(),
        model_data=model_data,
        env={
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        },
        role=ROLE,
        sagemaker_session=session,
    )
    register = ModelStep(
        "Register",
        step_args=model.register(
            content_types=["text/csv"],
            response_types=["application/json"],
            inference_instances=["ml.m5.large"],
            model_package_group_name=group,
            approval_status="PendingManualApproval",
        ),
    )
    error = JsonGet(step_name=evaluate.name, property_file=report, json_path="metrics.mae.value")
    decide = ConditionStep(
        "GoodEnough",
        conditions=[ConditionLessThanOrEqualTo(left=error, right=largest_error)],
        if_steps=[register],
        else_steps=[
            FailStep(
                "TooBad",
                error_message=Join(on=" ", values=["The error is above", largest_error]),
            )
        ],
    )
    return Pipeline(
        name="houses",
        parameters=[input_data, trees, largest_error, group],
        steps=[prepare, train, evaluate, decide],
        sagemaker_session=session,
    )


def main():
    """Print the definition, with nothing sent to AWS."""
    session = PipelineSession(boto3.Session(region_name=REGION), default_bucket=BUCKET)
    session.default_bucket = lambda: BUCKET
    session.account_id = lambda: ACCOUNT
    # What would be uploaded stays here; only its place is needed.
    session.s3_resource = mock.MagicMock()
    session.upload_data = lambda path, bucket, key_prefix, **_: (
        f"s3://{bucket}/{key_prefix}/{pathlib.PurePath(path).name}"
    )
    print(make_pipeline(session).definition())


if __name__ == "__main__":
    main()
