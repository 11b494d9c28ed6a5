"""The S3 objects that a definition's steps read, made of the files of its directory.

The SDK has uploaded them in an account. Here each gets, under the very URI that the definition has, the
file that it was made of: a program or data by its name, an archive of sources made of the folder
that holds the program, and whatever lies in `s3/BUCKET/KEY` as the object KEY of BUCKET.
"""

import dataclasses
import gzip
import io
import re
import tarfile
from pathlib import Path

from ops import OpsError, bounded
from ops.pipeline.pipelines import LARGEST_FILE
from ops.pipeline.references import ARCHIVE, REPACK, REPACK_LAUNCHER

# Where the objects lie whose place in S3 the directory itself says.
_PLACED = "s3"
# The script that starts the program of a FrameworkProcessor.
_STARTER = "runproc.sh"
# No programs of the pipeline.
_LEFT_OUT = {"__pycache__", _PLACED, "node_modules", "venv"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclasses.dataclass(frozen=True)
class Object:
    """What an object holds, and what of the directory it was made of."""

    content: bytes
    origin: str


class Objects:
    """The objects of a directory, for the references of its definition.

    `programs` has the program of a step by the step's name, a path in the directory, where the
    definition does not say which file it is.
    """

    def __init__(self, directory, references, programs):
        self._directory = directory
        self._references = references
        self._programs = programs
        self._found = None

    def found(self):
        """The objects by bucket and key.

        Raises OpsError with everything that is read and that neither the directory has nor
        a step writes.
        """
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self):
        self._check_programs()
        found, missing = self._placed(), []
        written = list(self._references.written())
        for read in self._references.reads():
            is_there = any(
                bucket == read.bucket and key.startswith(read.key) for bucket, key in found
            )
            if is_there or any(read.uri.startswith(uri) for uri in written):
                continue
            if of_it := self._made_of(read):
                found |= {(read.bucket, key): content for key, content in of_it.items()}
            else:
                missing.append(self._wanted(read))
        if missing:
            raise OpsError(
                f"{self._directory} lacks what its steps read:"
                + "".join(f"\n  {sentence}" for sentence in dict.fromkeys(missing))
            )
        return found

    def buckets(self):
        """The buckets that the definition names; raises OpsError for what is none."""
        buckets = self._references.buckets()
        if wrong := [bucket for bucket in buckets if not _BUCKET.fullmatch(bucket)]:
            raise OpsError(
                f"the definition names the bucket {wrong[0]!r}, which S3 cannot have: 3 to 63 lower-case "
                "letters, digits, dots and hyphens"
            )
        return buckets

    def _check_programs(self):
        """Refuse a program that is not a file, or that no step could run."""
        reads = list(self._references.reads())
        for step, program in self._programs.items():
            given = f"PROGRAMS={step}={program}"
            if not (self._directory / program).is_file():
                raise OpsError(f"{given}: {self._directory} has no such file")
            names = {read.program or read.name for read in reads if read.step == step}
            names = {name for name in names if name.endswith((".py", ".sh", ARCHIVE))}
            if not names:
                steps = ", ".join(sorted({read.step for read in reads}))
                raise OpsError(
                    f"{given}: no step {step} runs a program; those that read are {steps}"
                )
            named = names - {ARCHIVE, _STARTER}
            if named and not any(_ends_with(program, name) for name in named):
                raise OpsError(f"{given}: step {step} runs {', '.join(sorted(named))}")

    def _placed(self):
        placed, found = self._directory / _PLACED, {}
        for file in sorted(placed.rglob("*")):
            if file.is_file():
                bucket, _, key = file.relative_to(placed).as_posix().partition("/")
                found[bucket, key] = self._object(file)
        return found

    def _made_of(self, read):
        """The objects that an S3 location gets of the directory's files, by key."""
        name = read.name
        if name == ARCHIVE and not self._candidates(name, Path.is_file):
            return self._sources(read)
        given = self._programs.get(read.step)
        if given and _ends_with(given, name):
            return {read.key: self._object(self._directory / given)}
        if file := self._named(read, name, Path.is_file):
            return {read.key: self._object(file)}
        if name == _STARTER:
            return self._starter(read)
        if folder := self._named(read, name, Path.is_dir):
            prefix = read.key.rstrip("/")
            return {
                f"{prefix}/{file.relative_to(folder).as_posix()}": self._object(file)
                for file in self._files(folder)
            }
        return {}

    def _sources(self, read):
        """The archive of a program's sources; none where the program is not found."""
        file = self._program(read)
        if file is None:
            return {}
        folder = Path(str(file).removesuffix(read.program or file.name))
        more = _repacking() if read.repacks else {}
        return {read.key: self._packed(folder, more)}

    def _starter(self, read):
        """The script that starts the program of a processing job whose sources are an archive."""
        file = self._program(read)
        if file is None:
            return {}
        # The environment has the packages of requirements.txt already.
        text = (
            "#!/bin/bash\nset -e\ncd /opt/ml/processing/input/code\n"
            f"tar -xzf {ARCHIVE}\nexec python3 '{file.name}' \"$@\"\n"
        )
        return {read.key: Object(text.encode(), f"made, to start {self._told(file)}")}

    def _program(self, read):
        """The file of a step's program; None where there is none."""
        if given := self._programs.get(read.step):
            return self._directory / given
        if read.program:
            return self._named(read, read.program, Path.is_file)
        # The definition of a FrameworkProcessor does not name it: it may be the only one left.
        known = self._references.named_files()
        left = [
            file
            for file in self._files(self._directory)
            if file.suffix == ".py" and file.name not in known
        ]
        return left[0] if len(left) == 1 else None

    def _files(self, folder):
        """The files below a folder but for what is not part of the pipeline."""
        for file in sorted(folder.rglob("*")):
            if file.is_file() and _is_part(file.relative_to(folder)):
                yield file

    def _candidates(self, name, is_kind):
        """The files or folders whose path ends with a name, those nearest to the top."""
        parts = Path(name).parts
        paths = [
            path
            for path in sorted(self._directory.rglob("*"))
            if path.parts[-len(parts) :] == parts
            and is_kind(path)
            and _is_part(path.relative_to(self._directory))
        ]
        nearest = min((len(path.parts) for path in paths), default=0)
        return [path for path in paths if len(path.parts) == nearest] if parts else []

    def _named(self, read, name, is_kind):
        """The file or folder of a name; None where there is none."""
        paths = self._candidates(name, is_kind)
        if len(paths) > 1:
            listed = ", ".join(map(self._told, paths))
            cure = (
                f'PROGRAMS="{read.step}={self._told(paths[0])}" names one of them'
                if read.program or name.endswith((".py", ".sh"))
                else f"put the right one into {_PLACED}/{read.bucket}/{read.key}"
            )
            raise OpsError(
                f"{self._directory} has several {name} ({listed}), and it is not known which one step "
                f"{read.step} reads: {cure}"
            )
        return paths[0] if paths else None

    def _packed(self, folder, more):
        """A compressed archive of the files below a folder and of `more`, contents by name.

        The same files make the same bytes.
        """
        contents = {
            file.relative_to(folder).as_posix(): self._object(file).content
            for file in self._files(folder)
        }
        packed = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w") as archive,
        ):
            for name, content in (contents | more).items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
        return Object(packed.getvalue(), f"{len(contents)} files of {self._told(folder)}/")

    def _object(self, file):
        # A link could give a job whatever its deployer can read.
        if not file.resolve().is_relative_to(self._directory.resolve()):
            raise OpsError(f"{file} is a link out of {self._directory}: put the file itself there")
        try:
            return Object(bounded.read(file, LARGEST_FILE), self._told(file))
        except bounded.Unfit as unfit:
            raise OpsError(
                f"{unfit}; if no step reads it, put the programs into a folder without it"
            ) from unfit

    def _told(self, path):
        """A path as it is told: from the directory on."""
        return path.relative_to(self._directory).as_posix()

    def _wanted(self, read):
        """What would be needed for a location that nothing is found for, as a sentence."""
        place = f"{_PLACED}/{read.bucket}/{read.key}"
        if read.name in (ARCHIVE, _STARTER) or read.program:
            program = read.program or "which the definition does not name"
            return (
                f'the program of step {read.step}, {program}: PROGRAMS="{read.step}=FILE" names it'
            )
        what = f"a file or folder {read.name}" if read.name else "something"
        return f"{what} for {read.uri}, which step {read.step} reads; it may also be {place}"


def _ends_with(path, name):
    """Whether a path is that of a file of a name, which may have folders."""
    return f"/{path}".endswith(f"/{name}")


def _is_part(path):
    """Whether a path in the directory, or in a folder of it, belongs to the pipeline."""
    return _LEFT_OUT.isdisjoint(path.parts) and not any(p.startswith(".") for p in path.parts)


def _repacking():
    """The programs of the step that puts an inference program into a model's archive."""
    return {
        REPACK_LAUNCHER: f'#!/bin/sh\nexec python3 {REPACK} "$@"\n'.encode(),
        REPACK: Path(__file__).with_name("repack_model.py").read_bytes(),
    }
