"""Writes tests/fixtures/definitions/v3-*.json: definitions as the SageMaker SDK's third version writes them.

Run it with the packages of tests/definitions/requirements-v3.txt; nothing is sent to AWS.
`make definitions` runs it.
"""

import json
import logging
import os
import pathlib

os.environ.update(
    AWS_DEFAULT_REGION="eu-central-1",
    AWS_ACCESS_KEY_ID="none",
    AWS_SECRET_ACCESS_KEY="none",
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_USER_CONFIG_OVERRIDE=os.devnull,
    # The SDK would ask IAM what the role may do.
    SAGEMAKER_VALIDATE_ROLE="false",
)
logging.disable(logging.WARNING)

import boto3  # noqa: E402
from sagemaker.core.lambda_helper import Lambda  # noqa: E402
from sagemaker.core.processing import Processor  # noqa: E402
from sagemaker.core.shapes import (  # noqa: E402
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.workflow import conditions, functions  # noqa: E402
from sagemaker.core.workflow.execution_variables import ExecutionVariables  # noqa: E402
from sagemaker.core.workflow.parameters import (  # noqa: E402
    ParameterFloat,
    ParameterInteger,
    ParameterString,
)
from sagemaker.core.workflow.pipeline_capture import capture_create_job_request  # noqa: E402
from sagemaker.core.workflow.pipeline_context import (  # noqa: E402
    PipelineSession,
    runnable_by_pipeline,
)
from sagemaker.core.workflow.properties import PropertyFile  # noqa: E402
from sagemaker.mlops.workflow.callback_step import (  # noqa: E402
    CallbackOutput,
    CallbackOutputTypeEnum,
    CallbackStep,
)
from sagemaker.mlops.workflow.cleanup_step import CleanupStep, S3CleanupSource  # noqa: E402
from sagemaker.mlops.workflow.condition_step import ConditionStep  # noqa: E402
from sagemaker.mlops.workflow.emr_serverless_step import (  # noqa: E402
    EMRServerlessJobConfig,
    EMRServerlessStep,
)
from sagemaker.mlops.workflow.fail_step import FailStep  # noqa: E402
from sagemaker.mlops.workflow.for_each_step import (  # noqa: E402
    CurrentItem,
    ForEachSelector,
    ForEachStep,
    IterationOutput,
)
from sagemaker.mlops.workflow.lambda_step import (  # noqa: E402
    LambdaOutput,
    LambdaOutputTypeEnum,
    LambdaStep,
)
from sagemaker.mlops.workflow.model_step import ModelStep  # noqa: E402
from sagemaker.mlops.workflow.pipeline import Pipeline  # noqa: E402
from sagemaker.mlops.workflow.retry import (  # noqa: E402
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
)
from sagemaker.mlops.workflow.step_dependency import StepDependency, TriggerCondition  # noqa: E402
from sagemaker.mlops.workflow.steps import (  # noqa: E402
    CacheConfig,
    JobStep,
    ProcessingStep,
    TrainingStep,
)
from sagemaker.serve.model_builder import ModelBuilder  # noqa: E402
from sagemaker.train import ModelTrainer  # noqa: E402
from sagemaker.train.configs import Compute, InputData  # noqa: E402

ROLE = "arn:aws:iam::111122223333:role/pipeline-jobs"
IMAGE = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/own:1"
BUCKET = "example-bucket"
FUNCTION = "arn:aws:lambda:eu-central-1:111122223333:function:notify"
OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "definitions"


def session() -> PipelineSession:
    made = PipelineSession(
        boto_session=boto3.Session(region_name="eu-central-1"), default_bucket=BUCKET
    )
    # What would be uploaded or asked for stays here.
    made.default_bucket = lambda: BUCKET
    made.account_id = lambda: "111122223333"
    made.upload_data = lambda *_args, **_kwargs: f"s3://{BUCKET}/uploaded"
    made.upload_string_as_file_body = lambda *_args, **_kwargs: None
    return made


def train_evaluate_and_register() -> Pipeline:
    s = session()
    instance_type = ParameterString("InstanceType", default_value="ml.m5.large")
    instances = ParameterInteger("Instances", default_value=1)
    data = ParameterString("Data", default_value=f"s3://{BUCKET}/raw")
    threshold = ParameterFloat("Threshold", default_value=0.5)

    def output(name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=f"s3://{BUCKET}/{name}",
                local_path=f"/opt/ml/processing/{name}",
                s3_upload_mode="EndOfJob",
            ),
        )

    def input_of(name: str, uri) -> ProcessingInput:
        return ProcessingInput(
            input_name=name,
            s3_input=ProcessingS3Input(
                s3_uri=uri,
                local_path=f"/opt/ml/processing/{name}",
                s3_data_type="S3Prefix",
                s3_input_mode="File",
            ),
        )

    def processor() -> Processor:
        return Processor(
            role=ROLE,
            image_uri=IMAGE,
            instance_count=instances,
            instance_type=instance_type,
            entrypoint=["python3", "/opt/ml/processing/code/run.py"],
            env={"RUN": ExecutionVariables.PIPELINE_EXECUTION_ID},
            sagemaker_session=s,
        )

    prepare = ProcessingStep(
        name="Prepare",
        step_args=processor().run(
            inputs=[input_of("raw", data)],
            outputs=[output("train")],
            arguments=["--instances", instances.to_string()],
        ),
        cache_config=CacheConfig(enable_caching=True, expire_after="P30D"),
    )
    trainer = ModelTrainer(
        training_image=IMAGE,
        compute=Compute(
            instance_type=instance_type, instance_count=instances, volume_size_in_gb=30
        ),
        sagemaker_session=s,
        role=ROLE,
        hyperparameters={"epochs": 3, "objective": "regression"},
        input_data_config=[
            InputData(
                channel_name="train",
                data_source=prepare.properties.ProcessingOutputConfig.Outputs[
                    "train"
                ].S3Output.S3Uri,
                content_type="text/csv",
            )
        ],
    )
    train = TrainingStep(
        name="Train",
        step_args=trainer.train(),
        retry_policies=[
            SageMakerJobStepRetryPolicy(
                exception_types=[SageMakerJobExceptionTypeEnum.CAPACITY_ERROR], max_attempts=3
            )
        ],
    )
    report = PropertyFile(name="Report", output_name="evaluation", path="report.json")
    evaluate = ProcessingStep(
        name="Evaluate",
        step_args=processor().run(
            inputs=[input_of("model", train.properties.ModelArtifacts.S3ModelArtifacts)],
            outputs=[output("evaluation")],
        ),
        property_files=[report],
    )
    builder = ModelBuilder(
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        image_uri=IMAGE,
        sagemaker_session=s,
        role_arn=ROLE,
    )
    create = ModelStep(name="Create", step_args=builder.build())
    register = ModelStep(
        name="Register",
        step_args=builder.register(
            model_package_group_name="group",
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=["ml.m5.large"],
            approval_status="PendingManualApproval",
        ),
    )
    error = functions.JsonGet(step_name="Evaluate", property_file=report, json_path="metrics.rmse")
    gate = ConditionStep(
        name="Gate",
        conditions=[conditions.ConditionLessThanOrEqualTo(left=error, right=threshold)],
        if_steps=[create, register],
        else_steps=[
            FailStep(
                name="TooBad",
                error_message=functions.Join(on=" ", values=["above", threshold]),
            )
        ],
    )
    return Pipeline(
        name="p",
        parameters=[instance_type, instances, data, threshold],
        steps=[prepare, train, evaluate, gate],
        sagemaker_session=s,
    )


class JobProducer:
    """Hands a CreateJob request to a JobStep, as the SDK's evaluators do."""

    _pipeline_caller_name = "create_job"

    def __init__(self, sagemaker_session: PipelineSession) -> None:
        self.sagemaker_session = sagemaker_session

    @runnable_by_pipeline
    def evaluate(self) -> None:
        capture_create_job_request(
            self.sagemaker_session,
            job_name="job",
            role_arn=ROLE,
            job_category="AgentRFTEvaluation",
            schema_version="1.0.0",
            job_config={"OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/job"}},
        )


def loops_outcomes_and_jobs() -> Pipeline:
    s = session()
    items = ParameterString("Items", default_value='["a", "b"]')
    function = Lambda(function_arn=FUNCTION, session=s)
    score = LambdaStep(
        name="Score",
        lambda_func=function,
        inputs={"item": CurrentItem(), "run": ExecutionVariables.PIPELINE_EXECUTION_ID},
        outputs=[LambdaOutput("score", LambdaOutputTypeEnum.Float)],
    )
    each = ForEachStep(
        name="Each",
        iterable_items=items,
        max_concurrency=2,
        for_each_body=[score],
        selector=ForEachSelector("MaxBy", IterationOutput(score).OutputParameters["score"]),
    )
    ask = CallbackStep(
        name="Ask",
        sqs_queue_url="https://sqs.eu-central-1.amazonaws.com/111122223333/ask",
        inputs={"best": each.properties.Selected.OutputParameters["score"]},
        outputs=[CallbackOutput("answer", CallbackOutputTypeEnum.String)],
    )
    spark = EMRServerlessStep(
        name="Spark",
        display_name="Spark",
        description="a job of EMR Serverless",
        job_config=EMRServerlessJobConfig(
            job_driver={"sparkSubmit": {"entryPoint": f"s3://{BUCKET}/job.py"}},
            execution_role_arn=ROLE,
        ),
        application_id="00example0application",
        depends_on=[each],
    )
    job = JobStep(name="Job", step_args=JobProducer(s).evaluate())
    tell = LambdaStep(
        name="Tell",
        lambda_func=function,
        inputs={"job": job.properties.JobArn},
        depends_on=[StepDependency(spark, TriggerCondition.FAILED)],
    )
    train = TrainingStep(
        name="Train",
        step_args=ModelTrainer(
            training_image=IMAGE,
            compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
            sagemaker_session=s,
            role=ROLE,
        ).train(),
    )
    clean = CleanupStep(name="Clean", s3_sources=[S3CleanupSource(train)])
    return Pipeline(
        name="p",
        parameters=[items],
        steps=[each, ask, spark, job, tell, train, clean],
        sagemaker_session=s,
    )


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (train_evaluate_and_register, loops_outcomes_and_jobs):
        text = make().definition()
        name = "v3-" + make.__name__.replace("_", "-")
        # Compact as the SDK writes it: numbers and escapes stay as they are.
        (OUT / f"{name}.json").write_text(text + "\n")
        print(name, sorted({step["Type"] for step in json.loads(text)["Steps"]}))


main()
