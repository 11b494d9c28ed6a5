"""The whole system on this machine: local AWS, SageMaker stand-in, deployment, data.

Used by `ops.local.run` for `make run` and `make local`, and by the integration tests.
"""

import base64
import contextlib
import functools
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from ops import ROOT, OpsError, command_line, image
from ops.inputs import of_import
from ops.local import proxy
from ops.local.supervise import ServiceFailed, Supervisor, listen
from ops.stack.deployer import Deployer
from ops.stack.ownership import installation
from ops.stack.packages import Packager, debug_function

REGION = "eu-west-1"
ACCOUNT = "123456789012"
STACK = "pipewright"
# The tag of an image that need not be built: the stand-in runs the same
# binary from target/ in its place.
IMAGE_TAG = "local"
ARTIFACTS_BUCKET = "local-artifacts"
# CloudFormation's ResponseURL is on loopback here, which the function refuses elsewhere.
LOOPBACK_ALLOWED = {"PIPEWRIGHT_ALLOW_LOOPBACK_RESPONSE_URL": "1"}
# Of the local AWS and the SageMaker stand-in, when they stay for a person to use.
PREFERRED_PORTS = (4566, 4567)


def export(variables):
    """Shell lines that export the variables."""
    return "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())
    )


def private_folder(path):
    """Make a folder that only its owner may enter; gives its path."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


# What leads pip to its packages, and a container engine to its daemon and images.
_CALLERS = re.compile(
    r"HOME|PIP_.*|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|DOCKER_.*|CONTAINER_.*|CONTAINERS_.*|XDG_RUNTIME_DIR",
    re.IGNORECASE,
)


def callers(environment):
    """The variables that pip and container engines need, under names that the stand-in takes them by."""
    return {
        f"PIPEWRIGHT_CALLER_{name}": value
        for name, value in environment.items()
        if _CALLERS.fullmatch(name)
    }


def container_engine():
    """The program that runs containers here; raises ServiceFailed where none does."""
    reasons = []
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program is None:
            reasons.append(f"there is no {name} on the PATH")
            continue
        answer = subprocess.run([program, "info"], capture_output=True, text=True)
        if answer.returncode == 0:
            return program
        said = answer.stderr.strip().splitlines() or [f"status {answer.returncode}"]
        reasons.append(f"`{name} info` says: {said[-1]}")
    raise ServiceFailed(f"CONTAINERS=1 needs docker or podman: {'; '.join(reasons)}")


class LocalSystem:
    """One running system; a context manager that leaves no process behind.

    `directory` takes its files (logs, the stand-in's run directory), `binaries`
    has the compiled workspace, `cache` keeps packaged functions between runs.
    Its access key and secret are made up anew each time, and no request without
    their signature is answered. With `open_to_all` rights are not checked,
    so that a person may try anything. `runners` has directories of programs by the
    repository of the image that they stand for; `seed` is that of trainings
    whose hyperparameters have none. `python` makes the virtual environments in which programs
    run that jobs of frameworks' images bring, and `pythons` has one by the repository that it is
    for. `containers`, docker or podman, runs the images of all other jobs themselves. `faults`, as
    STEP=EXCEPTION*TIMES, are failures that steps are to have. `reach` are the hosts outside of this machine
    that its programs may reach.
    """

    # What Python runs as the local AWS.
    AWS = ("-m", "ops.local.aws")

    def __init__(
        self,
        directory,
        binaries,
        cache,
        preferred_ports=(0, 0),
        open_to_all=False,
        runners=None,
        seed=None,
        python=None,
        pythons=None,
        containers=None,
        faults=(),
        reach=(),
    ):
        self.directory = private_folder(directory)
        self.binaries = Path(binaries)
        self.supervisor = Supervisor(self.directory / "logs")
        self._preferred_ports = preferred_ports
        self._open_to_all = open_to_all
        ours = dict.fromkeys(("feature-engineering", "forecasting-deepar"), self.binaries)
        self._runners = {**ours, **(runners or {})}
        self._seed = seed
        self._python = python
        self._pythons = pythons or {}
        self._containers = containers
        self._faults = faults
        self._reach = reach
        self._cache = Path(cache)
        self._jobs = self.directory / "sagemaker"
        self._clients = {}
        self._proxy = {}
        self._access_key = f"AKIA{base64.b32encode(secrets.token_bytes(10)).decode()}"
        self._secret_key = secrets.token_hex(20)
        self.outputs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.supervisor.stop()

    def start(self):
        """Start the local AWS and the SageMaker stand-in; returns when both answer."""
        # The listening socket exists before anything that is told of its port.
        listener = listen(self._preferred_ports[0])
        port = listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        self.sagemaker_endpoint = None
        self._start_proxy(port)
        self._start_stand_in()
        self._start_aws(listener)

    def client(self, service):
        """A boto3 client of one of this system's services."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self._endpoint_of(service),
                region_name=REGION,
                aws_access_key_id=self._access_key,
                aws_secret_access_key=self._secret_key,
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )
        return self._clients[service]

    def _endpoint_of(self, service):
        sagemakers = ("sagemaker", "sagemaker-runtime")
        return self.sagemaker_endpoint if service in sagemakers else self.endpoint

    @functools.cached_property
    def deployer(self):
        """Deploys stacks to this system."""
        return Deployer(self.client)

    def environment(self):
        """What a program must have in its environment to use this system."""
        environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker_endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.sagemaker_endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self._proxy,
        }
        return {key: value for key, value in environment.items() if value}

    def announce(self, announcement, more=""):
        """Say in shell lines that this system is the one to use; `more` ends them."""
        # `pipewright` is a command then, as the documentation writes it.
        path = f'export PATH={shlex.quote(str(self.binaries.resolve()))}:"$PATH"\n'
        # The logs of trainings lie there, of which the pages of executions draw the losses.
        jobs = {"PIPEWRIGHT_JOBS": str(self._jobs.resolve())}
        # Tells `proxy.forget` that the proxy is none of the caller's own.
        ours = {"PIPEWRIGHT_PROXY": self._proxy.get("HTTPS_PROXY", "")}
        announcement.publish(export({**self.environment(), **jobs, **ours}) + path + more)

    def _clean_environment(self, name):
        """An environment without anything of the caller's: no profile, no proxy, no account."""
        home = (self.directory / name).resolve()
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": home,
            "TMPDIR": home / "tmp",
            **self.environment(),
        }

    def _start_proxy(self, aws_port):
        """Start what answers for AWS's own hosts, so that nothing of this system asks any other."""
        certificate = (self.directory / "authority.pem").resolve()
        with listen() as listener:
            self._proxy = proxy.variables(listener.getsockname()[1], certificate)
            descriptor = listener.fileno()
            command = [sys.executable, "-m", "ops.local.proxy", descriptor, aws_port, certificate]
            command += self._reach
            environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
            callers = {
                "HTTPS_PROXY": os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"),
                "SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE"),
            }
            environment |= {name: value for name, value in callers.items() if value}
            service = self.supervisor.start("proxy", command, environment, pass_fds=(descriptor,))
        service.wait(certificate.is_file)

    def _start_stand_in(self):
        program = self.binaries / "pipewright-local"
        if not program.is_file():
            raise ServiceFailed(f"{program} does not exist; build it with `cargo build`")
        with listen(self._preferred_ports[1]) as free:
            preferred = free.getsockname()[1]
        command = [
            *(program, "serve", "--region", REGION, "--account", ACCOUNT),
            *("--run-dir", self._jobs.resolve()),
        ]
        for repository, directory in self._runners.items():
            command += ["--runner", f"{repository}={Path(directory).resolve()}"]
        command += ["--server", "forecasting-deepar"]
        if self._python is not None:
            environments = private_folder(self._cache.parent / "python").resolve()
            command += ["--python", self._python, "--python-environments", environments]
        if self._containers is not None:
            command += ["--containers", self._containers]
        for repository, program in self._pythons.items():
            command += ["--python-for", f"{repository}={program}"]
        for fault in self._faults:
            command += ["--fault", fault]
        for port in (preferred, 0):
            environment = self._clean_environment("sagemaker-home")
            environment |= callers(os.environ)
            if self._seed is not None:
                environment["PIPEWRIGHT_SEED"] = self._seed
            service = self.supervisor.start("sagemaker", [*command, "--port", port], environment)
            try:
                ready = service.wait(service.stdout.read_text)
            except ServiceFailed:
                # Somebody may have taken the port since we looked.
                if port == 0:
                    raise
                continue
            port = json.loads(ready.splitlines()[0])["port"]
            self.sagemaker_endpoint = f"http://127.0.0.1:{port}"
            return

    def _start_aws(self, listener):
        environment = {
            **self._clean_environment("aws"),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            # The functions may do what their roles allow and no more.
            "AUTH": "false" if self._open_to_all else "true",
            # Nothing of this machine may be reached for.
            "DOCKER_HOST": "unix:///nonexistent",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # The functions inherit these: they ask for SageMaker here, where rights are checked.
            "AWS_ENDPOINT_URL_SAGEMAKER": self.endpoint,
            **LOOPBACK_ALLOWED,
        }
        command = [sys.executable, *self.AWS, listener.fileno()]
        if self.sagemaker_endpoint:
            command.append(self.sagemaker_endpoint)
        service = self.supervisor.start("aws", command, environment, pass_fds=(listener.fileno(),))
        listener.close()

        def healthy():
            try:
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=1).close()
            except (urllib.error.URLError, OSError):
                return False
            return True

        service.wait(healthy)

    def deploy(self, progress=lambda event: None, parameters=None, edit=None):
        """Deploy template.yaml as it is in the checkout; remembers the stack's outputs.

        `edit` may change the templates first; only tests do.
        """
        s3 = self.client("s3")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(
                Bucket=ARTIFACTS_BUCKET,
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        code = functools.partial(debug_function, self.binaries, self._cache)
        url = Packager(self.client, ROOT, ARTIFACTS_BUCKET, code).package(edit)
        parameters = {"ImageTag": IMAGE_TAG, **(parameters or {})}
        self.outputs = self.deployer.deploy(installation(STACK), url, parameters, progress)
        ecr = self.client("ecr")
        image.put_stand_in(ecr, self.outputs["RepositoryName"], parameters["ImageTag"])
        if trainer := self.outputs.get("TrainingRepositoryName"):
            image.put_stand_in(ecr, trainer, parameters["TrainingImageTag"])
        return self.outputs

    def import_data(self, assets=None, template=None):
        """Import a folder of prices and a training template's file; gives what is said of it."""
        imported = subprocess.run(
            self.command("data", "import", "--prefix", STACK, *of_import(assets, template)),
            env={**os.environ, **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if imported.returncode:
            raise OpsError(imported.stdout.strip())
        return imported.stdout

    def start_execution(self, template_id, execution_id=None):
        """Invoke the start function; gives its answer or raises OpsError."""
        request = {"templateId": template_id}
        if execution_id is not None:
            request["executionId"] = execution_id
        response = self.client("lambda").invoke(
            FunctionName=f"{STACK}-start-execution", Payload=json.dumps(request).encode()
        )
        answer = json.loads(response["Payload"].read())
        if "FunctionError" in response:
            raise OpsError(answer.get("errorMessage", json.dumps(answer)))
        return answer

    def jobs_of(self, arn):
        """Where the stand-in has the folders of an execution's jobs."""
        return self._jobs / arn.rpartition("/")[2]

    def command(self, *arguments):
        """The command line's program with arguments, for this system's tables."""
        return [command_line.program(self.binaries), *arguments]
