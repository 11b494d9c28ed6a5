"""Writes tests/fixtures/definitions/*.json: definitions with every step type that the SDK offers.

Run it with the pinned SDK; nothing is sent to AWS, and what the SDK makes of the day and the machine
is replaced, so that the same SDK gives the same files. `make definitions` runs it.
"""

import json
import logging
import os
import pathlib
import re

os.environ.update(
    AWS_DEFAULT_REGION="eu-central-1",
    AWS_ACCESS_KEY_ID="none",
    AWS_SECRET_ACCESS_KEY="none",
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_USER_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_SUPPRESS_V2_WARNING="1",
)
# What the SDK leaves out, and that it is the second version.
logging.disable(logging.WARNING)

import boto3  # noqa: E402
import sagemaker.telemetry.telemetry_logging as telemetry  # noqa: E402
from sagemaker.automl.automl import AutoML, AutoMLInput  # noqa: E402
from sagemaker.clarify import BiasConfig, DataConfig  # noqa: E402
from sagemaker.drift_check_baselines import DriftCheckBaselines  # noqa: E402
from sagemaker.estimator import Estimator  # noqa: E402
from sagemaker.inputs import TrainingInput  # noqa: E402
from sagemaker.lambda_helper import Lambda  # noqa: E402
from sagemaker.lineage.action import Action  # noqa: E402
from sagemaker.lineage.artifact import Artifact  # noqa: E402
from sagemaker.model import Model  # noqa: E402
from sagemaker.model_metrics import MetricsSource, ModelMetrics  # noqa: E402
from sagemaker.model_monitor import DatasetFormat  # noqa: E402
from sagemaker.network import NetworkConfig  # noqa: E402
from sagemaker.parameter import ContinuousParameter, IntegerParameter  # noqa: E402
from sagemaker.pipeline import PipelineModel  # noqa: E402
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor  # noqa: E402
from sagemaker.transformer import Transformer  # noqa: E402
from sagemaker.tuner import HyperparameterTuner  # noqa: E402
from sagemaker.workflow import conditions, functions  # noqa: E402
from sagemaker.workflow.automl_step import AutoMLStep  # noqa: E402
from sagemaker.workflow.callback_step import (  # noqa: E402
    CallbackOutput,
    CallbackOutputTypeEnum,
    CallbackStep,
)
from sagemaker.workflow.check_job_config import CheckJobConfig  # noqa: E402
from sagemaker.workflow.clarify_check_step import ClarifyCheckStep, DataBiasCheckConfig  # noqa: E402
from sagemaker.workflow.condition_step import ConditionStep  # noqa: E402
from sagemaker.workflow.emr_step import EMRStep, EMRStepConfig  # noqa: E402
from sagemaker.workflow.endpoint_step import EndpointConfigStep, EndpointStep  # noqa: E402
from sagemaker.workflow.execution_variables import ExecutionVariables  # noqa: E402
from sagemaker.workflow.fail_step import FailStep  # noqa: E402
from sagemaker.workflow.inference_component_step import InferenceComponentStep  # noqa: E402
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep  # noqa: E402
from sagemaker.workflow.lineage_step import (  # noqa: E402
    LineageAssociation,
    LineageEntityReference,
    LineageStep,
)
from sagemaker.workflow.model_step import ModelStep  # noqa: E402
from sagemaker.workflow.parameters import (  # noqa: E402
    ParameterBoolean,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
)
from sagemaker.workflow.pipeline import Pipeline  # noqa: E402
from sagemaker.workflow.pipeline_context import PipelineSession  # noqa: E402
from sagemaker.workflow.pipeline_definition_config import PipelineDefinitionConfig  # noqa: E402
from sagemaker.workflow.pipeline_experiment_config import PipelineExperimentConfig  # noqa: E402
from sagemaker.workflow.properties import PropertyFile  # noqa: E402
from sagemaker.workflow.quality_check_step import DataQualityCheckConfig, QualityCheckStep  # noqa: E402
from sagemaker.workflow.retry import (  # noqa: E402
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.workflow.steps import (  # noqa: E402
    CacheConfig,
    ProcessingStep,
    TrainingStep,
    TransformStep,
    TuningStep,
)

# The SDK would report each call.
telemetry._send_telemetry_request = lambda *_args, **_kwargs: None

ROLE = "arn:aws:iam::111122223333:role/pipeline-jobs"
IMAGE = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/own:1"
BUCKET = "example-bucket"
OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "definitions"


def session() -> PipelineSession:
    made = PipelineSession(
        boto_session=boto3.Session(region_name="eu-central-1"), default_bucket=BUCKET
    )
    # What would be uploaded stays here.
    made.default_bucket = lambda: BUCKET
    made.upload_data = lambda *_args, **_kwargs: f"s3://{BUCKET}/uploaded"
    made.upload_string_as_file_body = lambda *_args, **_kwargs: None
    made.account_id = lambda: "111122223333"
    return made


def processor(pipeline_session, **more) -> Processor:
    return Processor(
        role=ROLE,
        image_uri=IMAGE,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=pipeline_session,
        **more,
    )


def estimator(pipeline_session, **more) -> Estimator:
    return Estimator(
        image_uri=IMAGE,
        role=ROLE,
        instance_count=1,
        instance_type="ml.m5.large",
        output_path=f"s3://{BUCKET}/models",
        sagemaker_session=pipeline_session,
        **more,
    )


def processing_and_training() -> Pipeline:
    s = session()
    epochs = ParameterInteger("Epochs", default_value=3)
    prepare = processor(
        s,
        entrypoint=["python3", "/opt/ml/processing/input/code/prepare.py"],
        env={"MODE": "prepare", "RUN": ExecutionVariables.PIPELINE_EXECUTION_ID},
        network_config=NetworkConfig(
            subnets=["subnet-0a1b2c3d"], security_group_ids=["sg-0a1b2c3d"]
        ),
    )
    step = ProcessingStep(
        name="Prepare",
        display_name="Prepare the data",
        step_args=prepare.run(
            inputs=[
                ProcessingInput(
                    source=f"s3://{BUCKET}/raw", destination="/opt/ml/processing/input/raw"
                ),
                ProcessingInput(
                    source=f"s3://{BUCKET}/prepare.py",
                    destination="/opt/ml/processing/input/code",
                    input_name="code",
                ),
            ],
            outputs=[
                ProcessingOutput(output_name="train", source="/opt/ml/processing/train"),
                ProcessingOutput(
                    output_name="test",
                    source="/opt/ml/processing/test",
                    destination=functions.Join(
                        on="/",
                        values=[f"s3://{BUCKET}", ExecutionVariables.PIPELINE_EXECUTION_ID, "test"],
                    ),
                ),
            ],
            arguments=["--epochs", epochs.to_string()],
        ),
        cache_config=CacheConfig(enable_caching=True, expire_after="P30d"),
        retry_policies=[
            StepRetryPolicy(exception_types=[StepExceptionTypeEnum.THROTTLING], max_attempts=3),
            SageMakerJobStepRetryPolicy(
                exception_types=[SageMakerJobExceptionTypeEnum.CAPACITY_ERROR], expire_after_mins=60
            ),
        ],
    )
    trained = estimator(
        s, hyperparameters={"epochs": epochs.to_string(), "learning-rate": 1e-07, "name": 'ünï "q"'}
    )
    outputs = step.properties.ProcessingOutputConfig.Outputs
    training = TrainingStep(
        name="Train",
        step_args=trained.fit(
            inputs={
                "train": TrainingInput(
                    s3_data=outputs["train"].S3Output.S3Uri, content_type="text/csv"
                ),
                "test": TrainingInput(s3_data=outputs["test"].S3Output.S3Uri),
            }
        ),
        depends_on=["Prepare"],
    )
    return Pipeline(name="p", parameters=[epochs], steps=[training, step], sagemaker_session=s)


def conditions_of_all_kinds() -> Pipeline:
    s = session()
    threshold = ParameterFloat("Threshold", default_value=0.5)
    mode = ParameterString("Mode", default_value="a", enum_values=["a", "b"])
    flag = ParameterBoolean("Flag", default_value=False)
    big = ParameterInteger("Big", default_value=9007199254740993)
    report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
    evaluate = ProcessingStep(
        name="Evaluate",
        step_args=processor(s).run(
            outputs=[
                ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")
            ]
        ),
        property_files=[report],
    )
    error = functions.JsonGet(
        step_name="Evaluate", property_file=report, json_path="metrics.rmse['v 1'][0]"
    )
    inner = ConditionStep(
        name="Inner",
        conditions=[
            conditions.ConditionNot(conditions.ConditionIn(value=mode, in_values=["b", "c"])),
            conditions.ConditionOr(
                conditions=[
                    conditions.ConditionEquals(left=flag, right=True),
                    conditions.ConditionGreaterThan(left=big, right=1),
                    conditions.ConditionLessThan(left=error, right=threshold),
                ]
            ),
        ],
        if_steps=[FailStep(name="TooGood", error_message="cannot be")],
        else_steps=[],
    )
    gate = ConditionStep(
        name="Gate",
        conditions=[
            conditions.ConditionLessThanOrEqualTo(left=error, right=threshold),
            conditions.ConditionGreaterThanOrEqualTo(left=error, right=0),
        ],
        if_steps=[inner],
        else_steps=[
            FailStep(
                name="TooBad",
                error_message=functions.Join(on=" ", values=["error", error, "above", threshold]),
            )
        ],
    )
    return Pipeline(
        name="p",
        parameters=[threshold, mode, flag, big],
        steps=[evaluate, gate],
        sagemaker_session=s,
    )


def models() -> Pipeline:
    s = session()
    approval = ParameterString("Approval", default_value="PendingManualApproval")
    training = TrainingStep(
        name="Train", step_args=estimator(s).fit({"train": f"s3://{BUCKET}/train"})
    )
    model = Model(
        image_uri=IMAGE,
        model_data=training.properties.ModelArtifacts.S3ModelArtifacts,
        role=ROLE,
        sagemaker_session=s,
        env={"A": "1"},
    )
    source = MetricsSource(s3_uri=f"s3://{BUCKET}/statistics.json", content_type="application/json")
    register = ModelStep(
        name="Register",
        step_args=model.register(
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.large"],
            model_package_group_name="group",
            approval_status=approval,
            model_metrics=ModelMetrics(model_statistics=source),
            drift_check_baselines=DriftCheckBaselines(model_statistics=source),
            customer_metadata_properties={"run": ExecutionVariables.PIPELINE_EXECUTION_ID},
        ),
    )
    create = ModelStep(name="Create", step_args=model.create(instance_type="ml.m5.large"))
    several = PipelineModel(
        models=[
            model,
            Model(
                image_uri=IMAGE,
                model_data=f"s3://{BUCKET}/m.tar.gz",
                role=ROLE,
                sagemaker_session=s,
            ),
        ],
        role=ROLE,
        sagemaker_session=s,
    )
    chain = ModelStep(name="Chain", step_args=several.create(instance_type="ml.m5.large"))
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_count=1,
        instance_type="ml.m5.large",
        output_path=f"s3://{BUCKET}/transformed",
        strategy="SingleRecord",
        sagemaker_session=s,
    )
    transform = TransformStep(
        name="Transform",
        step_args=transformer.transform(f"s3://{BUCKET}/batch", content_type="text/csv"),
    )
    return Pipeline(
        name="p",
        parameters=[approval],
        steps=[training, register, create, chain, transform],
        sagemaker_session=s,
    )


def tuning_and_automl() -> Pipeline:
    s = session()
    tuner = HyperparameterTuner(
        estimator(s),
        "rmse",
        {"eta": ContinuousParameter(0.0001, 0.1), "depth": IntegerParameter(1, 8)},
        metric_definitions=[{"Name": "rmse", "Regex": "rmse: ([0-9.]+)"}],
        max_jobs=4,
        max_parallel_jobs=2,
    )
    tuning = TuningStep(name="Tune", step_args=tuner.fit({"train": f"s3://{BUCKET}/train"}))
    best = ModelStep(
        name="Best",
        step_args=Model(
            image_uri=IMAGE,
            model_data=tuning.get_top_model_s3_uri(top_k=0, s3_bucket=BUCKET, prefix="models"),
            role=ROLE,
            sagemaker_session=s,
        ).create(instance_type="ml.m5.large"),
    )
    auto = AutoMLStep(
        name="Auto",
        step_args=AutoML(
            role=ROLE,
            target_attribute_name="y",
            mode="ENSEMBLING",
            output_path=f"s3://{BUCKET}/auto",
            sagemaker_session=s,
        ).fit(
            inputs=[
                AutoMLInput(
                    inputs=f"s3://{BUCKET}/train",
                    target_attribute_name="y",
                    channel_type="training",
                )
            ]
        ),
    )
    explain = LambdaStep(
        name="Explain",
        lambda_func=Lambda(
            function_arn="arn:aws:lambda:eu-central-1:111122223333:function:explain", session=s
        ),
        inputs={
            "insights": auto.properties.BestCandidateProperties.ModelInsightsJsonReportPath,
            "reasons": auto.properties.BestCandidateProperties.ExplainabilityJsonReportPath,
        },
    )
    return Pipeline(name="p", steps=[tuning, best, auto, explain], sagemaker_session=s)


def custom_job_names() -> Pipeline:
    s = session()
    prepare = ProcessingStep(name="Prepare", step_args=processor(s, base_job_name="prepare").run())
    train = TrainingStep(
        name="Train",
        step_args=estimator(s, base_job_name="train").fit({"train": f"s3://{BUCKET}/train"}),
    )
    register = ModelStep(
        name="Register",
        step_args=Model(
            image_uri=IMAGE,
            model_data=train.properties.ModelArtifacts.S3ModelArtifacts,
            role=ROLE,
            sagemaker_session=s,
        ).register(
            content_types=["text/csv"],
            response_types=["*"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.large"],
            model_package_name="package",
        ),
    )
    return Pipeline(
        name="p",
        steps=[prepare, train, register],
        pipeline_definition_config=PipelineDefinitionConfig(use_custom_job_prefix=True),
        sagemaker_session=s,
    )


def lambda_callback_emr() -> Pipeline:
    s = session()
    notify = LambdaStep(
        name="Notify",
        lambda_func=Lambda(
            function_arn="arn:aws:lambda:eu-central-1:111122223333:function:notify", session=s
        ),
        inputs={"run": ExecutionVariables.PIPELINE_EXECUTION_ID, "count": 3},
        outputs=[
            LambdaOutput("status", LambdaOutputTypeEnum.String),
            LambdaOutput("count", LambdaOutputTypeEnum.Integer),
        ],
    )
    ask = CallbackStep(
        name="Ask",
        sqs_queue_url="https://sqs.eu-central-1.amazonaws.com/111122223333/ask",
        inputs={"status": notify.properties.Outputs["status"]},
        outputs=[CallbackOutput("answer", CallbackOutputTypeEnum.Boolean)],
    )
    emr = EMRStep(
        name="Spark",
        display_name="Spark",
        description="a step of a cluster",
        cluster_id="j-EXAMPLE",
        step_config=EMRStepConfig(
            jar="command-runner.jar", args=["spark-submit", f"s3://{BUCKET}/job.py"]
        ),
        depends_on=[ask],
    )
    return Pipeline(name="p", steps=[notify, ask, emr], sagemaker_session=s)


def quality_and_bias_checks() -> Pipeline:
    s = session()
    baseline = ParameterString("Baseline", default_value=f"s3://{BUCKET}/constraints.json")
    job = CheckJobConfig(role=ROLE, instance_type="ml.m5.large", sagemaker_session=s)
    quality = QualityCheckStep(
        name="Quality",
        skip_check=False,
        register_new_baseline=True,
        quality_check_config=DataQualityCheckConfig(
            baseline_dataset=f"s3://{BUCKET}/train.csv",
            dataset_format=DatasetFormat.csv(header=True),
            output_s3_uri=f"s3://{BUCKET}/quality",
        ),
        check_job_config=job,
        supplied_baseline_constraints=baseline,
        model_package_group_name="group",
    )
    bias = ClarifyCheckStep(
        name="Bias",
        clarify_check_config=DataBiasCheckConfig(
            data_config=DataConfig(
                s3_data_input_path=f"s3://{BUCKET}/train.csv",
                s3_output_path=f"s3://{BUCKET}/bias",
                label="y",
                headers=["y", "x"],
                dataset_type="text/csv",
            ),
            data_bias_config=BiasConfig(label_values_or_threshold=[1], facet_name="x"),
        ),
        check_job_config=job,
        skip_check=True,
        fail_on_violation=False,
        depends_on=[quality],
    )
    return Pipeline(
        name="p",
        parameters=[baseline],
        steps=[quality, bias],
        pipeline_experiment_config=PipelineExperimentConfig(
            "experiment", ExecutionVariables.PIPELINE_EXECUTION_ID
        ),
        sagemaker_session=s,
    )


def endpoints() -> Pipeline:
    s = session()
    config = EndpointConfigStep(
        name="Configure",
        step_args=s.create_endpoint_config(
            name="config", model_name="model", initial_instance_count=1, instance_type="ml.m5.large"
        ),
    )
    endpoint = EndpointStep(
        name="Serve",
        step_args=s.create_endpoint(
            endpoint_name="endpoint", config_name=config.properties.EndpointConfigName
        ),
    )
    component = InferenceComponentStep(
        name="Component",
        step_args=s.create_inference_component(
            inference_component_name="component",
            endpoint_name=endpoint.properties.EndpointName,
            variant_name="AllTraffic",
            specification={
                "ModelName": "model",
                "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024},
            },
            runtime_config={"CopyCount": 1},
        ),
    )
    return Pipeline(name="p", steps=[config, endpoint, component], sagemaker_session=s)


def lineage() -> Pipeline:
    s = session()
    step = LineageStep(
        name="Record",
        actions=[
            Action.create(
                action_name="run",
                source_uri=f"s3://{BUCKET}/run",
                source_type="S3ETag",
                action_type="ModelTraining",
                sagemaker_session=s,
            )
        ],
        artifacts=[
            Artifact.create(
                artifact_name="model",
                source_uri=f"s3://{BUCKET}/model.tar.gz",
                artifact_type="Model",
                sagemaker_session=s,
            )
        ],
        associations=[
            LineageAssociation(
                source=LineageEntityReference(name="run", type="Action"),
                destination=LineageEntityReference(name="model", type="Artifact"),
                association_type="Produced",
            )
        ],
    )
    return Pipeline(name="p", steps=[step], sagemaker_session=s)


def settled(text: str) -> str:
    """The definition without what the SDK makes of the time."""
    text = re.sub(r"20\d\d-\d\d-\d\d-\d\d-\d\d-\d\d-\d{3}", "2026-01-01-00-00-00-000", text)
    return re.sub(r"(?<=-)1\d{9}(-[0-9a-f]{4})?(?=[\"/])", "1700000000", text)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (
        processing_and_training,
        conditions_of_all_kinds,
        models,
        tuning_and_automl,
        custom_job_names,
        lambda_callback_emr,
        quality_and_bias_checks,
        endpoints,
        lineage,
    ):
        text = settled(make().definition())
        name = make.__name__.replace("_", "-")
        # Compact as the SDK writes it: numbers and escapes stay as they are.
        (OUT / f"{name}.json").write_text(text + "\n")
        print(name, sorted({step["Type"] for step in json.loads(text)["Steps"]}))


main()
