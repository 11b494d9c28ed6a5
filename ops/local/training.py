"""The trainings of an execution while they run, and the model and metrics they leave."""

import contextlib
import datetime
import io
import re
import shutil
import tarfile

from ops.below import Below
from ops.pipeline.pipelines import steps_of

# A line of a container: time, level and process, and our own program's mark.
PREFIX = re.compile(r"^\[[^\]]*\] (\[pipewright\] )?")
# What DeepAR's container tells within an epoch, and after each.
WITHIN_AN_EPOCH = re.compile(
    r"#metrics \{|#quality_metric: .*, batch=|Epoch\[|processed a total of"
    r"|best epoch loss so far|loss did not improve|Saved checkpoint"
)
# Of a step that its job has come to an end with.
ENDED = ("Succeeded", "Failed", "Stopped")
LOG = "container.log"
"""What a job's program prints, in the job's folder."""
EPOCH = re.compile(r"\bepoch=(\d+)")


def definitions_of(job):
    """The metrics of a training job's description: names and compiled expressions, in order."""
    found = []
    for metric in job["AlgorithmSpecification"].get("MetricDefinitions", []):
        # Python does not take each expression that SageMaker does; such a metric is not folded.
        with contextlib.suppress(re.error):
            found.append((metric["Name"], re.compile(metric["Regex"])))
    return found


class Folding:
    """Folds lines of a training's log that have metrics into one line an epoch.

    `say` gets the lines that stay, `progress` the values so far, whenever one changes: a line
    that takes the place of the one before.
    """

    def __init__(self, definitions, say, progress):
        self._definitions = definitions
        self._say = say
        self._progress = progress
        self._values = {}
        self._epoch = None

    def line(self, line):
        """Take the next line of the log."""
        text = PREFIX.sub("", line)
        if WITHIN_AN_EPOCH.match(text):
            return
        found = (
            (name, match[1])
            for name, expression in self._definitions
            if (match := expression.search(text))
        )
        name, value = next(found, (None, None))
        if name is None:
            self.end()
            self._say(text)
            return
        if name in self._values:
            self.end()
        self._values[name] = value
        if epoch := EPOCH.search(text):
            self._epoch = epoch[1]
        self._progress(self._text())

    def end(self):
        """Let the values so far stand."""
        if self._values:
            self._say(self._text())
            self._values.clear()
            self._epoch = None

    def _text(self):
        words = [] if self._epoch is None else [f"epoch {self._epoch}"]
        names = [name for name, _ in self._definitions if name in self._values]
        return "  ".join([*words, *(f"{name} {shorten(self._values[name])}" for name in names)])


def shorten(value):
    """A number of a log with six digits; what is none as it stands."""
    with contextlib.suppress(ValueError):
        return f"{float(value):.6g}"
    return value


class Screen:
    """Whole lines and, on a terminal, one line at the end that is written over."""

    def __init__(self, to):
        self._to = to
        self._is_terminal = to.isatty()
        self._passing = ""

    def line(self, text):
        """Print a line that stays."""
        self._show(f"{text}\n", "")

    def passing(self, text):
        """Show a line until the next one; not where nothing can be written over."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._show("", text[:width])

    def _show(self, lines, passing):
        clear = "\r\x1b[K" if self._passing else ""
        self._to.write(f"{clear}{lines}{passing}")
        self._to.flush()
        self._passing = passing


class Tail:
    """The lines of a file that grows."""

    def __init__(self, path):
        self._path = path
        self._read = 0

    def lines(self):
        """Those that are whole since the last time."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._read += len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n") if newline else []


def training_steps(sagemaker, arn):
    """The training steps of an execution whose jobs have begun, by their names."""
    steps = steps_of(sagemaker, arn)
    return {step["StepName"]: step for step in steps if "TrainingJob" in step["Metadata"]}


def describe(sagemaker, step):
    """The description of a step's training job."""
    name = step["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    return sagemaker.describe_training_job(TrainingJobName=name)


class Trainings:
    """Shows the logs of an execution's trainings as they grow."""

    def __init__(self, sagemaker, arn, folder, screen):
        self._sagemaker = sagemaker
        self._arn = arn
        self._folder = folder
        self._screen = screen
        self._followed = {}

    def begin(self):
        """Look for trainings that have begun."""
        for name, step in training_steps(self._sagemaker, self._arn).items():
            attempt = step["AttemptCount"]
            if (name, attempt) not in self._followed:
                definitions = definitions_of(describe(self._sagemaker, step))
                folding = Folding(definitions, self._stay, self._pass)
                tail = Tail(log_of(self._folder, name, attempt))
                self._followed[name, attempt] = (tail, folding)
            if step["StepStatus"] in ENDED:
                tail, folding = self._followed[name, attempt]
                show(tail, folding)
                folding.end()

    def show(self):
        """Show what was logged since the last time."""
        for tail, folding in self._followed.values():
            show(tail, folding)

    def _stay(self, text):
        self._screen.line(logged(text))

    def _pass(self, text):
        self._screen.passing(logged(text))


def show(tail, folding):
    """Fold what was logged since the last time."""
    for line in tail.lines():
        folding.line(line)


def logged(text):
    """A line of a log as `pipewright execution watch` shows those of the record."""
    return f"{datetime.datetime.now(datetime.UTC):%H:%M:%S}  | {text}"


def log_of(folder, step, attempt=1):
    """Where the stand-in keeps the log of a step's job, below the folder of its execution."""
    step = step if attempt <= 1 else f"{step}.attempt-{attempt}"
    return folder / step / LOG


def unpack(archive, directory):
    """Write the files of a training's model.tar.gz below a directory."""
    below = Below(directory)
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            if member.isfile():
                target = below.file(member.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(members.extractfile(member).read())
