"""A pipeline of which there is only what a notebook prints, and its programs."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import types

import pytest

from harness import BINARIES
from ops import ROOT, OpsError
from ops.local import run_pipeline, steps
from ops.local.run import Timer
from ops.local.supervise import ServiceFailed
from ops.local.system import container_engine
from ops.pipeline import deploy as deploy_pipeline
from ops.pipeline import from_definition
from ops.pipeline.from_definition import PipelineFromDefinition
from ops.pipeline.objects import Objects
from ops.pipeline.references import References

SAMPLE = ROOT / "samples" / "pipelines" / "scikit-learn"
PROGRAM = BINARIES / "pipewright"
BUCKET = "sagemaker-eu-west-1-111122223333"


def options(directory, out, parameter=()):
    """The options of `make run-pipeline`."""
    return types.SimpleNamespace(
        pipeline=directory,
        parameter=list(parameter),
        binaries=BINARIES,
        timeout=300,
        out=out,
        simulate=False,
        program=[],
        fault=[],
    )


@pytest.fixture
def deployed(monkeypatch):
    """The session's system is there already."""
    monkeypatch.setattr(run_pipeline, "start_and_deploy", lambda system, timer: system.outputs)


@pytest.fixture
def copied(tmp_path):
    """Makes a copy of the sample under a name of its own, its files changed."""

    def copy(name, **changes):
        directory = tmp_path / name
        shutil.copytree(SAMPLE, directory)
        for file, (old, new) in changes.items():
            path = directory / "code" / f"{file}.py"
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
        return directory

    return copy


def test_what_a_notebook_prints_runs_as_it_is(system, deployed, tmp_path, capsys):
    """A definition as the SDK prints it runs with its programs in one command, script mode included."""
    assert run_pipeline.run_pipeline(system, options(SAMPLE, tmp_path), Timer()) == 0
    told = capsys.readouterr().out
    assert "Prepare                   | 240 houses, 3 of them incomplete and left out" in told
    assert "Train                     | 100 trees of area, rooms, age; train:mae=" in told
    assert "the condition is True" in told
    assert "Nothing of it ran" not in told
    metrics = json.loads((tmp_path / "Train" / "metrics.json").read_text())
    assert 0 < metrics["train:mae"] < 20
    assert f"Train: train:mae {metrics['train:mae']}" in told
    report = json.loads((tmp_path / "Evaluate" / "evaluation" / "evaluation.json").read_text())
    assert 0 < report["metrics"]["mae"]["value"] < 25
    for kept in (
        *("Prepare/log.txt", "Prepare/train/houses.csv", "Prepare/test/houses.csv"),
        *("Train/log.txt", "Train/model/model.joblib", "Train/model/code/inference.py"),
        "definition.json",
    ):
        assert (tmp_path / kept).is_file(), kept


def test_what_a_program_printed_is_shown_when_it_fails(system, deployed, copied, tmp_path, capsys):
    """What a step printed and left is kept after success and failure; of a failed one the end is shown again."""
    broken = copied("houses-broken", train=("forest.fit(", "forest.no_such_method("))
    assert run_pipeline.run_pipeline(system, options(broken, tmp_path / "out"), Timer()) == 1
    told = capsys.readouterr().out
    failure = told[
        told.index("Step Train failed: ClientError: AlgorithmError: ExecuteUserScriptError:") :
    ]
    assert f"Its output ends with (all of it: {tmp_path / 'out' / 'Train' / 'log.txt'})" in failure
    assert "          | Traceback (most recent call last):" in failure
    assert "has no attribute 'no_such_method'" in failure
    assert "ExecuteUserScriptError" in told
    assert "no_such_method" in (tmp_path / "out" / "Train" / "log.txt").read_text()
    assert (tmp_path / "out" / "Prepare" / "train" / "houses.csv").is_file()


def test_the_objects_of_a_definition_are_made_of_the_directorys_files():
    """What the steps read is put where the definition names it: programs and data by name, sources packed."""
    objects = PipelineFromDefinition(SAMPLE, PROGRAM, {}).objects.found()
    assert {bucket for bucket, _ in objects} == {BUCKET}
    by_name = {key.rpartition("/")[2]: made.content for (_, key), made in objects.items()}
    assert by_name["houses.csv"] == (SAMPLE / "data" / "houses.csv").read_bytes()
    assert by_name["prepare.py"] == (SAMPLE / "code" / "prepare.py").read_bytes()
    assert sorted(by_name) == ["evaluate.py", "houses.csv", "prepare.py", "sourcedir.tar.gz"]


def test_an_archive_of_sources_has_the_folder_of_its_program(tmp_path):
    objects = PipelineFromDefinition(SAMPLE, PROGRAM, {}).objects.found()
    (packed,) = (each.content for (_, key), each in objects.items() if key.endswith(".tar.gz"))
    file = tmp_path / "sources.tar.gz"
    file.write_bytes(packed)
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["evaluate.py", "inference.py", "prepare.py", "train.py"]


def test_what_is_not_there_is_told_before_anything_starts(copied):
    """What a step reads, and neither the directory has nor a step writes, is named before anything starts."""
    directory = copied("houses-missing")
    (directory / "data" / "houses.csv").unlink()
    (directory / "code" / "train.py").unlink()
    with pytest.raises(OpsError) as refused:
        PipelineFromDefinition(directory, PROGRAM, {}).objects.found()
    told = str(refused.value)
    assert (
        f"a file or folder houses.csv for s3://{BUCKET}/houses/houses.csv, which step Prepare"
        in told
    )
    assert 'the program of step Train, train.py: PROGRAMS="Train=FILE" names it' in told
    # By its place, or under another name that is given.
    placed = directory / "s3" / BUCKET / "houses" / "houses.csv"
    placed.parent.mkdir(parents=True)
    placed.write_text("area\n")
    with pytest.raises(OpsError) as refused:
        PipelineFromDefinition(directory, PROGRAM, {}).objects.found()
    assert "houses.csv" not in str(refused.value)
    with pytest.raises(OpsError, match="s3://mine/other.csv"):
        PipelineFromDefinition(
            directory, PROGRAM, {"InputData": "s3://mine/other.csv"}
        ).objects.found()


def test_a_name_that_stands_for_several_files_is_refused(copied):
    directory = copied("houses-twice")
    shutil.copytree(directory / "data", directory / "more")
    with pytest.raises(OpsError, match="several houses.csv"):
        PipelineFromDefinition(directory, PROGRAM, {}).objects.found()


def test_a_link_out_of_the_directory_is_refused(copied, tmp_path):
    directory = copied("houses-link")
    (tmp_path / "secret").write_text("secret")
    (directory / "data" / "houses.csv").unlink()
    (directory / "data" / "houses.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(OpsError, match="is a link out of"):
        PipelineFromDefinition(directory, PROGRAM, {}).objects.found()


def test_a_faulty_definition_is_refused_with_its_faults(copied):
    directory = copied("houses-faulty")
    definition = json.loads((directory / "definition.json").read_text())
    definition["Steps"][1]["Type"] = "Trainning"
    (directory / "definition.json").write_text(json.dumps(definition))
    with pytest.raises(OpsError, match="Trainning"):
        _ = PipelineFromDefinition(directory, PROGRAM, {}).definition


def test_a_stack_makes_a_directory_one_of_another_kind(copied):
    directory = copied("houses-stack")
    assert from_definition.has_only_definition(directory)
    (directory / "stack.yaml").write_text("Resources: {}\n")
    assert not from_definition.has_only_definition(directory)
    with pytest.raises(OpsError, match="has no template.json.tera"):
        from_definition.pipeline_in(directory, PROGRAM, {})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "has no definition.json, which is what `pipeline.definition\\(\\)` prints"),
        ("nowhere", "there is no directory .*nowhere"),
        ("file.json", "file.json is a file: PIPELINE names the directory"),
    ],
)
def test_what_is_no_pipelines_directory_is_told(tmp_path, name, says):
    """What is not a directory of a pipeline is refused with what it lacks, a definition first."""
    (tmp_path / "file.json").write_text("{}")
    with pytest.raises(OpsError, match=says):
        from_definition.pipeline_in(tmp_path / name, PROGRAM, {})


def test_the_buckets_of_a_definition_are_found():
    pipeline = PipelineFromDefinition(SAMPLE, PROGRAM, {"InputData": "s3://other-bucket/x.csv"})
    assert pipeline.objects.buckets() == ["other-bucket", BUCKET]


def test_containers_without_an_engine_that_answers_are_refused(tmp_path, monkeypatch):
    """CONTAINERS=1 is refused where neither docker nor podman answers, with what each of them says."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceFailed, match="there is no docker on the PATH; there is no podman"):
        container_engine()
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho no daemon >&2; exit 1\n")
    docker.chmod(0o755)
    with pytest.raises(ServiceFailed, match="`docker info` says: no daemon; there is no podman"):
        container_engine()
    docker.write_text("#!/bin/sh\nexit 0\n")
    assert container_engine() == str(docker)


def test_make_deploy_pipeline_takes_a_definition_to_a_local_system_only(system, copied):
    """A directory with no more than a definition is deployed to a running local system, and refused for an account."""
    directory = copied("houses-kept")
    command = [sys.executable, "-m", "ops.pipeline.deploy", directory]
    environment = {**os.environ, **system.environment()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PipelineName: houses-kept" in done.stdout
    assert f"s3://{BUCKET}/houses/houses.csv" in done.stdout
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "REPLACES" not in again.stdout
    assert "`pipewright execution start --pipeline houses-kept` starts it" in done.stdout
    (directory / "code" / "prepare.py").write_text("print('other')\n")
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "(code/prepare.py; REPLACES other content" in again.stdout
    refused = [*command, "LargestError=1"]
    refused = subprocess.run(refused, env=environment, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert "execution start --pipeline houses-kept --parameter LargestError=VALUE" in refused.stderr
    pipeline = PipelineFromDefinition(directory, PROGRAM, {})

    def elsewhere(_):
        return types.SimpleNamespace(
            meta=types.SimpleNamespace(
                endpoint_url="https://cloudformation.eu-west-1.amazonaws.com"
            )
        )

    with pytest.raises(OpsError, match="has no stack.yaml, which an account needs"):
        deploy_pipeline.put_what_it_reads(pipeline, elsewhere)


def test_the_sdks_repack_step_puts_the_inference_program_into_the_model(tmp_path):
    """The step that the SDK adds to a model with an entry_point has its programs, though no one uploads them here."""
    arguments = {
        "HyperParameters": {
            "sagemaker_program": '"_repack_script_launcher.sh"',
            "sagemaker_submit_directory": '"s3://bucket/repack/sourcedir.tar.gz"',
            "inference_script": '"inference.py"',
            "model_archive": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
            "dependencies": "null",
            "source_dir": "null",
        }
    }
    definition = {"Steps": [{"Name": "Repack", "Type": "Training", "Arguments": arguments}]}
    pipeline = PipelineFromDefinition(SAMPLE, PROGRAM, {})
    pipeline.__dict__["references"] = References(definition, {})
    packed = pipeline.objects.found()["bucket", "repack/sourcedir.tar.gz"].content
    sources, channel, model = (tmp_path / name for name in ("code", "training", "model"))
    (tmp_path / "packed").write_bytes(packed)
    with tarfile.open(tmp_path / "packed") as archive:
        archive.extractall(sources, filter="data")
    channel.mkdir()
    (tmp_path / "weights").write_text("weights")
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "weights", "weights")
    environment = {"SM_CHANNEL_TRAINING": str(channel), "SM_MODEL_DIR": str(model)}
    command = ["./_repack_script_launcher.sh", "--inference_script", "inference.py"]
    command += [
        "--model_archive",
        "s3://b/x/model.tar.gz",
        "--dependencies",
        "",
        "--source_dir",
        "",
    ]
    subprocess.run(command, cwd=sources, env={**os.environ, **environment}, check=True)
    left = sorted(path.relative_to(model).as_posix() for path in model.rglob("*"))
    assert left == ["code", "code/inference.py", "weights"]
    command[-1] = "code"
    subprocess.run(command, cwd=sources, env={**os.environ, **environment}, check=True)
    left = sorted(path.name for path in (model / "code").iterdir())
    assert left == ["evaluate.py", "inference.py", "prepare.py", "train.py"]


def objects_of(directory, of_steps, **programs):
    """The objects that steps read of a directory, contents and origins by key."""
    references = References({"Steps": of_steps}, {})
    return {
        key: made for (_, key), made in Objects(directory, references, programs).found().items()
    }


def training(name, program, archive):
    """A training step in script mode."""
    parameters = {"sagemaker_program": program, "sagemaker_submit_directory": archive}
    return {"Name": name, "Type": "Training", "Arguments": {"HyperParameters": parameters}}


def names_in(made, tmp_path):
    """The names of the files in an archive."""
    (tmp_path / "archive").write_bytes(made.content)
    with tarfile.open(tmp_path / "archive") as archive:
        return archive.getnames()


def write(directory, *names):
    """Write files that hold their names."""
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def test_a_program_that_the_definition_does_not_tell_apart_is_named(tmp_path):
    """Where several files could be a step's program, PROGRAMS names one, as the refusal says."""
    directory = tmp_path / "pipeline"
    write(directory, "a/train.py", "b/train.py", "b/more.py")
    steps = [training("A", "train.py", "s3://bucket/a/sourcedir.tar.gz")]
    with pytest.raises(OpsError, match='several train.py .*PROGRAMS="A=a/train.py" names one'):
        objects_of(directory, steps)
    made = objects_of(directory, steps, A="b/train.py")["a/sourcedir.tar.gz"]
    assert names_in(made, tmp_path) == ["more.py", "train.py"]
    assert made.origin == "2 files of b/"
    for step, program, says in (
        ("A", "b/none.py", "no such file"),
        ("A", "b/more.py", "step A runs train.py"),
        ("B", "b/train.py", "no step B runs a program; those that read are A"),
    ):
        with pytest.raises(OpsError, match=says):
            objects_of(directory, steps, **{step: program})
    given = {"InputName": "code", "S3Input": {"S3Uri": "s3://bucket/code/train.py"}}
    processing = {"Name": "P", "Type": "Processing", "Arguments": {"ProcessingInputs": [given]}}
    assert (
        objects_of(directory, [processing], P="b/train.py")["code/train.py"].origin == "b/train.py"
    )


def test_a_program_in_a_folder_of_its_sources_is_found(tmp_path):
    directory = tmp_path / "pipeline"
    write(directory, "proj/jobs/sub.py", "proj/helper.py")
    steps = [training("A", "jobs/sub.py", "s3://bucket/a/sourcedir.tar.gz")]
    made = objects_of(directory, steps)["a/sourcedir.tar.gz"]
    assert names_in(made, tmp_path) == ["helper.py", "jobs/sub.py"]


def test_the_program_of_a_framework_processor_is_the_one_that_is_left(tmp_path):
    """A FrameworkProcessor, whose program no definition names, runs the one that is left, or the one that is named."""
    directory = tmp_path / "pipeline"
    write(directory, "code/prepare.py", "code/requirements.txt", "train.py")
    uris = ("s3://bucket/code/sourcedir.tar.gz", "s3://bucket/code/runproc.sh")
    inputs = [{"InputName": str(n), "S3Input": {"S3Uri": uri}} for n, uri in enumerate(uris)]
    prepare = {"Name": "P", "Type": "Processing", "Arguments": {"ProcessingInputs": inputs}}
    steps = [prepare, training("T", "train.py", "s3://bucket/t/sourcedir.tar.gz")]
    made = objects_of(directory, steps)
    assert names_in(made["code/sourcedir.tar.gz"], tmp_path) == ["prepare.py", "requirements.txt"]
    assert "exec python3 'prepare.py' \"$@\"" in made["code/runproc.sh"].content.decode()
    write(directory, "code/other.py")
    with pytest.raises(OpsError, match='which the definition does not name: PROGRAMS="P=FILE"'):
        objects_of(directory, steps)
    made = objects_of(directory, steps, P="code/other.py")
    assert "other.py" in made["code/runproc.sh"].content.decode()


def test_the_sources_of_a_model_are_those_of_its_inference_program(tmp_path):
    directory = tmp_path / "pipeline"
    write(directory, "code/train.py", "serving/inference.py")
    environment = {
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/m/sourcedir.tar.gz",
    }
    container = {"PrimaryContainer": {"Environment": environment}}
    made = objects_of(directory, [{"Name": "M", "Type": "Model", "Arguments": container}])
    assert names_in(made["m/sourcedir.tar.gz"], tmp_path) == ["inference.py"]


def test_a_runner_is_for_images_of_the_definitions_own_account():
    """A runner or Python without a host is for images of the account whose roles the definition has."""
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/img"
    pipeline = PipelineFromDefinition(SAMPLE, PROGRAM, {})
    arguments = {
        "RoleArn": "arn:aws:iam::111122223333:role/r",
        "AppSpecification": {"ImageUri": f"{image}:1"},
        "Other": "999999999999.dkr.ecr.eu-west-1.amazonaws.com/team/img:1",
    }
    definition = {"Steps": [{"Name": "P", "Type": "Processing", "Arguments": arguments}]}
    pipeline.__dict__["references"] = References(definition, {})
    assert pipeline.runners({"team/img": "a", "img": "b", "x": "c"}) == {image: "b", "x": "c"}


def test_a_bucket_that_cannot_be_is_refused():
    references = References({"Steps": [training("T", "a.py", "s3://b/x/sourcedir.tar.gz")]}, {})
    with pytest.raises(OpsError, match="names the bucket 'b', which S3 cannot have"):
        Objects(SAMPLE, references, {}).buckets()


def test_what_cannot_be_kept_is_told_and_the_rest_is_kept(tmp_path):
    """An output that cannot be kept is told, and everything else is kept."""
    job = tmp_path / "jobs" / "Step" / "opt" / "ml"
    write(job.parent.parent, "container.log")
    write(job, "model/log.txt/x", "model/model.bin", "output/failure")
    (job / "model" / "two\nlines").write_text("")
    step = {
        "StepName": "Step",
        "AttemptCount": 1,
        "Metadata": {"TrainingJob": {"Arn": "arn:x/job"}},
    }
    sagemaker = types.SimpleNamespace(describe_training_job=lambda **_: {})
    paths, faults = steps.keep(sagemaker, step, {}, tmp_path / "jobs", tmp_path / "kept")
    names = sorted(path.relative_to(tmp_path / "kept").as_posix() for path in paths)
    assert names == [
        *("Step/failure.txt", "Step/log.txt", "Step/model/log.txt/x", "Step/model/model.bin"),
    ]
    (fault,) = faults
    assert "is not kept" in fault


def test_colours_and_what_was_written_over_are_left_out_of_a_line():
    assert steps.readable("\x1b[32mgreen\x1b[0m\x07") == "green"
    assert steps.readable("10 %\r50 %\r100 %\r") == "100 %"
