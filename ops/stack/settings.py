"""samconfig.toml: what an installation was deployed with, in the form that `sam deploy` reads too.

    version = 0.1

    [default.deploy.parameters]
    stack_name = "pipewright"
    region = "eu-west-1"
    s3_bucket = "pipewright-artifacts-123456789012-eu-west-1"
    capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    tags = "pipewright:stack=pipewright"
    parameter_overrides = "Prefix=\\"pipewright\\" Architecture=\\"x86_64\\" AlarmEmail=\\"me@example.com\\""

parameter_overrides may set any parameter of template.yaml but ImageTag and TrainingImageTag, which
are digests of the images' sources. Several installations are several tables: `make deploy ENV=staging` reads
[staging.deploy.parameters]. What a table of these lacks is taken from SAM's table of all commands,
[staging.global.parameters].
"""

import dataclasses
import datetime
import json
import re
import shlex
import tomllib

from ops import OpsError, bounded
from ops.stack.ownership import STACK_TAG
from ops.stack.template import parse_template

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
# Asked for the first time; the other parameters have defaults that suit most.
_GUIDED = ("Prefix", "Architecture", "AlarmEmail")
_COMPUTED = {"ImageTag", "TrainingImageTag"}


class SettingsWrong(OpsError):
    """samconfig.toml, or an answer, cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is deployed, and where to."""

    region: str
    parameters: dict[str, str]
    """Of template.yaml, all but the images' tags."""
    artifacts_bucket: str | None = None
    """Takes code and templates; None = the installation's own one, made when missing."""

    @property
    def prefix(self):
        """Begins every name, the stack's too."""
        return self.parameters["Prefix"]

    @property
    def stack(self):
        """The name of the root stack."""
        return self.prefix

    def bucket(self, account):
        """The bucket for code and templates."""
        return self.artifacts_bucket or f"{self.prefix}-artifacts-{account}-{self.region}"


def _parameters(root):
    template = parse_template((root / "template.yaml").read_text(encoding="utf-8"))
    return template["Parameters"]


def faults(declared, parameters):
    """What CloudFormation would refuse of the parameters' values, as sentences."""
    for name, value in parameters.items():
        if name in _COMPUTED:
            yield f"{name} is computed and cannot be set"
            continue
        parameter = declared.get(name)
        if parameter is None:
            yield f"template.yaml has no parameter {name}; it has {', '.join(sorted(declared))}"
            continue
        if "AllowedValues" in parameter:
            allowed = [str(each) for each in parameter["AllowedValues"]]
            fits = value in allowed
            expected = f"one of {', '.join(allowed)}"
        elif parameter["Type"] == "Number":
            least, most = parameter.get("MinValue", 0), parameter.get("MaxValue", 10**15)
            # Not all that Python takes for digits, nor as many as it would not count.
            fits = bool(re.fullmatch("[0-9]{1,15}", value)) and least <= int(value) <= most
            expected = f"a number from {least} to {most}"
        else:
            pattern = parameter.get("AllowedPattern", ".*")
            length = parameter.get("MinLength", 0) <= len(value) <= parameter.get("MaxLength", 4096)
            fits = bool(re.search(pattern, value)) and length
            expected = parameter.get("ConstraintDescription", pattern)
        if not fits:
            yield f"{name} is {value!r}; expected: {expected}"


def _kind(value):
    """What a value of a TOML file is, in words."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case datetime.time():
            return "a time"
    return "a date"


def _table(document, names):
    """The table of a document at the end of these names; None where there is none."""
    for depth, name in enumerate(names, 1):
        if name not in document:
            return None
        document = document[name]
        if not isinstance(document, dict):
            place = ".".join(names[:depth])
            raise SettingsWrong(f"[{place}] is {_kind(document)}, and must be a table")
    return document


def _wrong_types(place, table):
    """What is wrong with the types of a table's values, as sentences."""
    for name in ("region", "stack_name", "s3_bucket"):
        if name in table and not isinstance(table[name], str):
            yield f"[{place}] {name} is {_kind(table[name])}, and must be a text"
    overrides = table.get("parameter_overrides", "")
    listed = overrides if isinstance(overrides, list) else [overrides]
    for each in listed:
        if not isinstance(each, str):
            yield (
                f"[{place}] parameter_overrides is {_kind(overrides)}, and must be a text or a list "
                "of texts"
            )
            return


def _document(path):
    """The file's content; None where there is no file."""
    try:
        content = bounded.read(path, bounded.LARGEST_TEXT)
    except FileNotFoundError:
        return None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingsWrong(
            f"{path} is not in UTF-8 (byte {error.start + 1}); save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsWrong(f"{path}: {error}") from error
    except RecursionError as error:
        raise SettingsWrong(f"{path} is nested too deeply to be settings") from error
    except ValueError as error:
        raise SettingsWrong(f"{path} has a number that is too long: {error}") from error


def _region_faults(region):
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-[0-9]", region):
        yield f"{region!r} is not a region; one is eu-west-1"


def read_overrides(text):
    """parameter_overrides, a text or a list of texts, as a dict; both of SAM's spellings."""
    words = []
    for part in [text] if isinstance(text, str) else text:
        try:
            words += shlex.split(part)
        except ValueError as error:
            raise SettingsWrong(f"parameter_overrides: {error} in {part!r}") from error
    parameters = {}
    for word in words:
        if found := re.fullmatch(r"ParameterKey=(\w+),ParameterValue=(.*)", word):
            name, value = found.groups()
        else:
            name, equals, value = word.partition("=")
            if not equals:
                raise SettingsWrong(f"parameter_overrides: {word!r} is no NAME=VALUE")
        parameters[name] = value
    return parameters


def read(path, environment, root):
    """The settings of an environment; None where the file has none of it."""
    if not re.fullmatch("[A-Za-z0-9_-]+", environment):
        raise SettingsWrong(
            f"ENV is {environment!r}, and names a table of {path.name}: letters, digits, _ and - only"
        )
    document = _document(path)
    if document is None:
        return None
    try:
        table = _table(document, [environment, "deploy", "parameters"])
        of_all = _table(document, [environment, "global", "parameters"]) or {}
    except SettingsWrong as error:
        raise SettingsWrong(f"{path}: {error}") from error
    if table is None:
        return None
    place = f"{environment}.deploy.parameters"
    wrong = [
        *_wrong_types(place, table),
        *_wrong_types(f"{environment}.global.parameters", of_all),
    ]
    if not wrong:
        table = of_all | table
        wrong, parameters = _faults_of(table, root)
    if wrong:
        raise SettingsWrong(f"{path}, table [{place}]:" + "".join(f"\n  {each}" for each in wrong))
    return Settings(table["region"], parameters, table.get("s3_bucket"))


def _faults_of(table, root):
    """What is wrong with a table's values, as sentences, and its parameters."""
    try:
        parameters = read_overrides(table.get("parameter_overrides", ""))
    except SettingsWrong as error:
        return [str(error)], {}
    declared = _parameters(root)
    parameters.setdefault("Prefix", declared["Prefix"]["Default"])
    wrong = list(faults(declared, parameters))
    if "region" in table:
        wrong += _region_faults(table["region"])
    else:
        wrong.append("region is missing")
    if table.get("stack_name", parameters["Prefix"]) != parameters["Prefix"]:
        wrong.append("stack_name differs from the parameter Prefix, which names the stack")
    return wrong, parameters


def write(path, environment, settings, account):
    """Add an environment's settings to the file; what it has of others stays."""
    overrides = " ".join(f"{name}={json.dumps(v)}" for name, v in settings.parameters.items())
    table = {
        "stack_name": settings.stack,
        "region": settings.region,
        "s3_bucket": settings.bucket(account),
        "capabilities": " ".join(CAPABILITIES),
        # By which `make` knows again what `sam deploy` has deployed.
        "tags": f"{STACK_TAG}={settings.prefix}",
        "parameter_overrides": overrides,
    }
    # A JSON text of these characters is a TOML text as well.
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    try:
        before = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    except FileNotFoundError:
        before = "version = 0.1\n"
    text = "\n".join([before, f"[{environment}.deploy.parameters]", *lines, ""])
    try:
        tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsWrong(
            f"[{environment}.deploy.parameters] cannot be added to {path} ({error}); write it there"
        ) from error
    path.write_text(text, encoding="utf-8")


def ask(root, region, answer=input, say=print, with_region=lambda region: None):
    """Ask for what has no good default; gives the settings.

    `with_region` is called once the region is known, and may raise before more is asked.
    """
    declared = _parameters(root)

    def question(name, description, default, wrong):
        while True:
            given = answer(f"{name} ({description}) [{default}]: ").strip() or default
            found = list(wrong(given))
            if not found:
                return given
            for each in found:
                say(f"  {each}")

    region = question("Region", "of AWS", region or "", _region_faults)
    with_region(region)
    parameters = {}
    for name in _GUIDED:
        parameter = declared[name]
        description = parameter["Description"].partition(". ")[0].rstrip(".")
        if allowed := parameter.get("AllowedValues"):
            description = f"{description}: {' or '.join(allowed)}"

        def wrong(given, name=name):
            return faults(declared, {name: given})

        parameters[name] = question(name, description, parameter.get("Default", ""), wrong)
    return Settings(region, parameters)
