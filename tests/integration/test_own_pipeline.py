"""A pipeline of one's own, deployed through the custom resource and run, its condition included."""

import json
import os
import re
import shutil
import subprocess
import sys
import types

import pytest
from botocore.exceptions import ClientError

from harness import BINARIES, OWN_PIPELINE
from ops import OpsError
from ops.local import run_pipeline
from ops.local.faults import EXCEPTIONS, refuse_malformed, refuse_unmatched
from ops.local.run import Timer
from ops.local.system import STACK
from ops.pipeline import deploy as deploy_pipeline
from ops.pipeline import pipelines
from ops.pipeline.pipelines import OwnPipeline
from ops.stack.deployer import Deployer, held
from ops.stack.ownership import own_pipeline


def deploy(system, directory, parameters=None, edit=None):
    """Deploy a pipeline's directory beside the system; gives the outputs of its stack."""
    pipeline = OwnPipeline(directory)
    own = own_pipeline(pipeline.name, STACK)
    return pipelines.deploy(system.deployer, pipeline, own, system.outputs, parameters, edit=edit)


def definition_of(system, name):
    """A pipeline's definition, parsed."""
    pipeline = system.client("sagemaker").describe_pipeline(PipelineName=name)
    return json.loads(pipeline["PipelineDefinition"])


class Execution:
    """An execution of a pipeline of one's own, followed to its end."""

    def __init__(self, system, name, **parameters):
        sagemaker = system.client("sagemaker")
        self._system = system
        self.arn = pipelines.start(sagemaker, name, parameters)
        self.lines = []
        self.description = pipelines.follow(sagemaker, self.arn, self.lines.append, 120)
        self.status = self.description["PipelineExecutionStatus"]
        rows = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=self.arn)
        self.steps = {row["StepName"]: row for row in rows["PipelineExecutionSteps"]}

    def output(self, name):
        """An output's text."""
        key = f"pipeline/{self.arn.rsplit('/', 1)[1]}/{name}"
        return self._system.read("ModelsBucketName", key).decode()


@pytest.fixture(scope="module")
def deployed(system):
    """The sample's stack, its template in S3; gives the stack's outputs."""
    return deploy(system, OWN_PIPELINE)


@pytest.fixture
def changed(tmp_path):
    """A copy of the sample under another name, whose template a function changes."""

    def make(name, change):
        directory = tmp_path / name
        shutil.copytree(OWN_PIPELINE, directory)
        template = directory / "template.json.tera"
        template.write_text(change(template.read_text()))
        return directory

    return make


def test_its_definition_comes_from_its_own_template_and_values(system, deployed):
    definition = definition_of(system, deployed["PipelineName"])
    assert [step["Name"] for step in definition["Steps"]] == [
        *("Prepare", "Train", "Evaluate", "GoodEnough")
    ]
    defaults = {p["Name"]: p["DefaultValue"] for p in definition["Parameters"]}
    assert defaults["LargestError"] == 0.25
    assert defaults["InputData"].startswith(f"s3://{system.outputs['PipelineBucketName']}/")
    bucket, _, key = deployed["DefinitionS3Uri"].removeprefix("s3://").partition("/")
    stored = system.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(stored) == definition


def test_a_good_model_is_registered(system, deployed):
    execution = Execution(system, deployed["PipelineName"])
    assert execution.status == "Succeeded", execution.lines
    # The condition compared what the program really wrote.
    rmse = json.loads(execution.output("evaluation/evaluation.json"))["metrics"]["rmse"]
    assert 0.1 < rmse <= 0.25
    assert set(execution.steps) == {"Prepare", "Train", "Evaluate", "GoodEnough", "Register"}
    assert execution.steps["GoodEnough"]["Metadata"]["Condition"]["Outcome"] == "True"
    for name in ("Prepare", "Train", "Evaluate"):
        assert "simulated" not in execution.steps[name].get("StepDescription", "")
    package = system.client("sagemaker").describe_model_package(
        ModelPackageName=execution.steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelPackageGroupName"] == deployed["PipelineName"]
    url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert url.endswith("/output/model.tar.gz")


def test_a_bad_model_takes_the_other_branch_and_fails_with_both_numbers(system, deployed):
    execution = Execution(system, deployed["PipelineName"], LargestError="0.1")
    assert execution.status == "Failed"
    assert set(execution.steps) == {"Prepare", "Train", "Evaluate", "GoodEnough", "TooBad"}
    assert execution.steps["GoodEnough"]["Metadata"]["Condition"]["Outcome"] == "False"
    rmse = json.loads(execution.output("evaluation/evaluation.json"))["metrics"]["rmse"]
    reason = f"the error {rmse} is above 0.1"
    assert execution.steps["TooBad"]["FailureReason"] == reason
    assert any(reason in line for line in execution.lines)


def test_a_copy_under_another_name_is_another_pipeline_and_group(system, deployed, changed):
    made = deploy(system, changed("my-copy", lambda template: template))
    assert made["PipelineName"] == "my-copy"
    assert deployed["PipelineName"] == OWN_PIPELINE.name
    sagemaker = system.client("sagemaker")
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="my-copy")
    steps = {step["Name"]: step for step in definition_of(system, "my-copy")["Steps"]}
    register = json.dumps(steps["GoodEnough"])
    assert '"ModelPackageGroupName": "my-copy"' in register


def test_a_directorys_name_that_no_stack_can_have_is_told_as_that(system, changed):
    with pytest.raises(OpsError, match="the directory's name, 'my_pipe'"):
        OwnPipeline(changed("my_pipe", lambda template: template))
    with pytest.raises(OpsError, match="PARAMETERS=PipelineName=NAME"):
        deploy(system, changed("My-Pipe", lambda template: template))


def test_a_parameter_without_a_value_is_told_with_what_would_give_one(system, changed):
    directory = changed("no-data", lambda template: template)
    shutil.rmtree(directory / "data")
    with pytest.raises(OpsError, match="DataS3Uri: .*no-data has no folder data/"):
        deploy(system, directory)

    def with_another(stack):
        stack["Parameters"]["Colour"] = {"Type": "String"}

    with pytest.raises(OpsError, match="PARAMETERS=Colour=VALUE"):
        deploy(system, OWN_PIPELINE, edit=with_another)


def test_a_template_may_stand_in_the_stack_itself(system, changed):
    directory = changed("inline", lambda template: template)

    def inline(stack):
        properties = stack["Resources"]["Definition"]["Properties"]
        properties["Template"] = (directory / "template.json.tera").read_text()
        # What a stack without an object in S3 would not have.
        for name in ("TemplateKey", "TemplateSha256"):
            del stack["Parameters"][name]

    parameters = {"PipelineName": "inline", "LargestError": "1.5"}
    made = deploy(system, directory, parameters, edit=inline)
    assert made["PipelineName"] == "inline"
    assert definition_of(system, "inline")["Parameters"][2]["DefaultValue"] == 1.5


def test_a_broken_template_is_refused_and_the_old_pipeline_stays(system, changed):
    directory = changed("broken", lambda template: template)
    deploy(system, directory, {"PipelineName": "broken"})
    before = definition_of(system, "broken")
    template = directory / "template.json.tera"
    template.write_text(
        template.read_text()
        .replace("Steps.Train.ModelArtifacts", "Steps.Trian.ModelArtifacts")
        .replace("PropertyFiles.Evaluation", "PropertyFiles.Evaluatoin")
    )
    with pytest.raises(OpsError) as failure:
        deploy(system, directory, {"PipelineName": "broken"})
    assert 'did you mean "Train"?' in str(failure.value)
    assert 'did you mean "Evaluation"?' in str(failure.value)
    assert "$.Steps[2].Arguments.ProcessingInputs[1].S3Input.S3Uri" in str(failure.value)
    assert definition_of(system, "broken") == before


def test_a_first_creation_that_failed_is_cleared_away_by_the_next(system, changed):
    directory = changed("first-fails", lambda template: template)
    template = directory / "template.json.tera"
    whole = template.read_text()
    template.write_text(whole.replace("Steps.Train.ModelArtifacts", "Steps.Trian.ModelArtifacts"))
    with pytest.raises(OpsError, match="Trian"):
        deploy(system, directory, {"PipelineName": "first-fails"})
    assert system.deployer.find("first-fails")["StackStatus"] == "ROLLBACK_COMPLETE"
    template.write_text(whole)
    said = []
    deployer = Deployer(system.client, say=said.append)
    pipeline = OwnPipeline(directory)
    own = own_pipeline("first-fails", STACK)
    parameters = {"PipelineName": "first-fails"}
    made = pipelines.deploy(deployer, pipeline, own, system.outputs, parameters)
    assert made["PipelineName"] == "first-fails"
    assert said == ["Deleting stack first-fails, whose first creation failed: it holds nothing"]


def test_a_first_creation_that_failed_can_be_deleted_as_well(system, changed):
    directory = changed("fails-and-goes", lambda text: text.replace("Steps.Train.", "Steps.Trian."))
    with pytest.raises(OpsError, match="Trian"):
        deploy(system, directory)
    system.deployer.delete(own_pipeline("fails-and-goes", STACK))
    assert system.deployer.find("fails-and-goes") is None


def test_what_a_failed_creation_still_holds_is_not_deleted():
    def resource(status, name):
        return {"ResourceType": "T", "ResourceStatus": status, "PhysicalResourceId": name}

    resources = [
        resource("DELETE_COMPLETE", "gone"),
        resource("DELETE_SKIPPED", "kept"),
        {"ResourceType": "T", "ResourceStatus": "CREATE_FAILED"},
    ]
    assert held(resources) == [("T", "kept")]


def test_undeclared_parameters_are_refused(system, deployed):
    with pytest.raises(OpsError, match="LargestErrror"):
        deploy(system, OWN_PIPELINE, {"LargestErrror": "1"})
    with pytest.raises(OpsError, match="LargestErrror"):
        pipelines.start(
            system.client("sagemaker"), deployed["PipelineName"], {"LargestErrror": "1"}
        )


def test_the_command_deploys_where_the_environment_leads(system, changed):
    directory = changed("by-command", lambda template: template)
    command = [sys.executable, "-m", "ops.pipeline.deploy"]

    def run(*arguments):
        environment = {**os.environ, **system.environment()}
        del environment["AWS_DEFAULT_REGION"]
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )

    done = run(directory, "PipelineName=by-command", "LargestError=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"to the local AWS at {system.endpoint} as stack by-command" in done.stdout
    assert "PipelineName: by-command" in done.stdout
    assert definition_of(system, "by-command")["Parameters"][2]["DefaultValue"] == 2
    for arguments, says in (
        ((directory, "LargestError"), "no NAME=VALUE"),
        ((directory / "code",), "has no definition.json"),
        ((directory, "--pipewright-stack", "nowhere"), "no stack nowhere"),
    ):
        failed = run(*arguments)
        assert "Deploying to" not in failed.stdout
        assert failed.returncode == 1
        assert says in failed.stderr
        assert "Traceback" not in failed.stderr


class Elsewhere:
    """A session whose CloudFormation is not on this machine."""

    region_name = "eu-west-1"

    def __init__(self, system, endpoint):
        self._sts = system.client("sts")
        self._meta = types.SimpleNamespace(endpoint_url=endpoint)

    def client(self, service):
        return self._sts if service == "sts" else types.SimpleNamespace(meta=self._meta)


def test_an_account_is_named_and_asks_for_a_yes(system):
    session = Elsewhere(system, "https://cloudformation.eu-west-1.amazonaws.com")
    said = []

    def agree(answer=None, yes=False, interactive=True):
        deploy_pipeline.agree(session, "mine", yes, interactive, lambda _: answer, said.append)

    agree(answer="yes")
    assert "account 123456789012, region eu-west-1, as stack mine" in said[0]
    with pytest.raises(OpsError, match="nothing was deployed"):
        agree(answer="y")
    agree(yes=True, interactive=False)
    with pytest.raises(OpsError, match="YES=1"):
        agree(interactive=False)
    # On this machine there is no question.
    deploy_pipeline.agree(
        Elsewhere(system, "http://localhost:4566"), "mine", False, False, None, print
    )


def test_without_credentials_it_is_said_how_to_give_some(tmp_path):
    nothing = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "AWS_REGION": "eu-west-1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "ops.pipeline.deploy", OWN_PIPELINE]
    refused = subprocess.run(
        command, env={**kept, **nothing}, capture_output=True, text=True, timeout=60
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "AWS does not know who you are: there are no credentials" in refused.stderr
    assert "AWS_PROFILE" in refused.stderr


def test_credentials_that_the_account_refuses_are_told_like_none():
    def refuse():
        raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetCaller")

    clients = {
        "sts": types.SimpleNamespace(get_caller_identity=refuse),
        "cloudformation": types.SimpleNamespace(
            meta=types.SimpleNamespace(endpoint_url="https://cloudformation.amazonaws.com")
        ),
    }
    session = types.SimpleNamespace(get_credentials=lambda: "some", client=clients.get)
    with pytest.raises(OpsError, match="does not know who you are: .*ExpiredToken"):
        deploy_pipeline.need_caller(session)


def test_a_file_too_large_to_hold_and_a_link_out_are_refused_unread(tmp_path):
    uploaded = tmp_path / "code"
    uploaded.mkdir()
    (uploaded / "big").touch()
    os.truncate(uploaded / "big", 1 << 40)
    with pytest.raises(OpsError, match="big is larger than 256 MiB"):
        pipelines._upload_folder(None, "bucket", uploaded, "prefix")
    (tmp_path / "elsewhere").touch()
    os.truncate(tmp_path / "elsewhere", 1 << 40)
    (uploaded / "a-link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OpsError, match="a-link is a link out of"):
        pipelines._upload_folder(None, "bucket", uploaded, "prefix")


def test_a_stack_of_repeated_aliases_or_endless_nesting_is_refused(changed):
    directory = changed("aliases", lambda text: text)
    for text, says in (("a: &a [x]\nb: [*a, *a]\n", "an alias"), ("[" * 20_000, "recursion")):
        (directory / "stack.yaml").write_text(text)
        with pytest.raises(OpsError, match=says):
            _ = OwnPipeline(directory).stack


def test_a_parameters_names_are_those_of_the_definition(changed):
    program = BINARIES / "pipewright"
    names = ["InputData", "InstanceType", "LargestError", "ModelApprovalStatus"]
    assert pipelines.parameter_names(program, OwnPipeline(OWN_PIPELINE)) == names
    broken = changed("broken-fill", lambda text: text.replace("Steps.Train.", "Steps.Trian."))
    assert pipelines.parameter_names(program, OwnPipeline(broken)) is None
    assert list(pipelines.unknown_names([], ["a"])) == [
        "the pipeline has no parameter a; it has none"
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("LargestError", "'LargestError' is no NAME=VALUE"),
        ("LargestErrror=1", "no parameter LargestErrror; the nearest is LargestError"),
    ],
)
def test_run_pipeline_starts_nothing_for_a_wrong_parameter(given, says):
    command = [sys.executable, "-m", "ops.local", "pipeline", "--parameter", given]
    command += ["--binaries", BINARIES]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert says in refused.stdout
    assert "Starting" not in refused.stdout


@pytest.mark.parametrize(
    "fault", ["Train", "Train=", "Train=Step.THROTTLING*0", "=Step.THROTTLING"]
)
def test_a_malformed_fault_is_refused_before_anything_is_started(fault):
    command = [sys.executable, "-m", "ops.local", "run", "--fault", fault, "--binaries", BINARIES]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert f"FAULTS={fault}: it must be STEP=EXCEPTION" in refused.stdout
    assert "Starting" not in refused.stdout


def test_the_exceptions_of_faults_are_those_of_the_local_sagemaker():
    """An exception that no step fails by is refused with the nearest one, and those that there are."""
    with pytest.raises(OpsError, match="the nearest is SageMaker.CAPACITY_ERROR, and there are"):
        refuse_malformed(["Train=SageMaker.CAPACITY_EROR*2"])
    command = [BINARIES / "pipewright-local", "serve", "--fault", "Train=Nothing"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert f"is not one of the exceptions {', '.join(EXCEPTIONS)}" in refused.stderr


def test_a_fault_of_a_step_that_no_pipeline_has_is_named_with_the_nearest(system, deployed):
    """A failure that is asked for a step which no pipeline here has is refused, with the nearest name."""
    sagemaker = system.client("sagemaker")
    refuse_unmatched(sagemaker, ["Train=Step.THROTTLING", "TooBad=Step.THROTTLING*2"])
    with pytest.raises(OpsError, match="no pipeline here has a step Trian; the nearest is Train"):
        refuse_unmatched(sagemaker, ["Train=Step.THROTTLING", "Trian=Step.THROTTLING"])


@pytest.mark.parametrize(
    ("variable", "says"),
    [("epochs", "EPOCHS=: 'x' is not"), ("seed", "SEED=: 'x' is not a whole number")],
)
def test_a_wrong_number_is_told_by_its_variable_of_make(variable, says):
    command = [sys.executable, "-m", "ops.local", "run", f"--{variable}", "x"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {says}")


@pytest.mark.parametrize("simulate", [False, True])
def test_a_pipeline_of_which_nothing_ran_is_no_plain_success(
    system, tmp_path, monkeypatch, capsys, simulate
):
    """A pipeline of which nothing ran ends with status 3 and says what to type, unless a simulation is asked for."""
    directory = tmp_path / f"simulated-{simulate}".lower()
    shutil.copytree(OWN_PIPELINE, directory)
    (values,) = (
        each["Properties"]["Values"]
        for each in OwnPipeline(directory).stack["Resources"].values()
        if each["Type"] == "Custom::PipelineDefinition"
    )
    template = (directory / "template.json.tera").read_text()
    (prepare,) = re.findall(
        r'    {\n      "Name": "Prepare".*?\n    }(?=,\n    {\n      "Name": "Train")',
        template,
        re.S,
    )
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/somebodys-own:1"
    used = " ".join(f"{{{{ {name} }}}}" for name in values)
    definition = (
        '{"Version": "2020-12-01", "Metadata": {}, "PipelineExperimentConfig": null, "Parameters": ['
        '{"Name": "InstanceType", "Type": "String", "DefaultValue": "ml.m5.large"},'
        '{"Name": "InputData", "Type": "String", "DefaultValue": "{{ DataS3Uri }}"},'
        f'{{"Name": "Values", "Type": "String", "DefaultValue": "{used}"}}], '
        f'"Steps": [{prepare.replace("{{ ImageUri }}", image)}]}}'
    )
    (directory / "template.json.tera").write_text(definition)
    options = types.SimpleNamespace(
        pipeline=directory,
        parameter=[],
        binaries=BINARIES,
        timeout=120,
        out=tmp_path / "out",
        simulate=simulate,
        program=[],
        fault=[],
    )
    monkeypatch.setattr(run_pipeline, "start_and_deploy", lambda system, timer: system.outputs)
    status = run_pipeline.run_pipeline(system, options, Timer())
    told = capsys.readouterr().out
    if simulate:
        assert status == 0
        return
    assert status == run_pipeline.NOTHING_RAN == 3
    assert f"Prepare: no runner for image {image}" in told
    assert 'RUNNERS="REPOSITORY=DIR ..."' in told


def test_run_pipeline_ends_as_the_execution_does(tmp_path):
    command = [sys.executable, "-m", "ops.local", "pipeline", "--out", tmp_path / "out"]
    command += ["--parameter", "LargestError=0.1", "--binaries", BINARIES]
    # A step is retried after it without any policy, and what its second attempt left is kept.
    command += ["--fault", "Prepare=Step.THROTTLING"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1, done.stdout + done.stderr
    assert (tmp_path / "out" / "Prepare" / "log.txt").is_file()
    assert "TooBad" in done.stdout
    assert "is above 0.1" in done.stdout
    assert (tmp_path / "out" / "Evaluate" / "evaluation" / "evaluation.json").is_file()
