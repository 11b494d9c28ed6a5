"""Paths of names that a remote side gave: S3's keys, a catalogue's tickers, steps, members of archives.

`shared/files/src/below.rs` is the same for Rust.
"""

import unicodedata
from pathlib import Path

from ops import OpsError

# The longest name of a file or folder that file systems take, in bytes.
_LONGEST_PART = 255


class NameRefused(OpsError):
    """A name is not a path below the folder that it is meant for; the message says why."""


def _fault(name):
    """What no path below a folder has; None where a name has none of it."""
    if not name:
        return "is empty"
    if control := [letter for letter in name if unicodedata.category(letter) in ("Cc", "Cs")]:
        return f"has the control character {control[0]!r}"
    if name.startswith("/"):
        return "begins with /, and would be a path of its own"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"has {part!r} for a part, and could lead elsewhere than it says"
        if len(part.encode()) > _LONGEST_PART:
            return "has a part of more than 255 bytes"
    return None


def file_name(name):
    """The name, if it is that of a file or folder and no path; raises NameRefused otherwise."""
    fault = _fault(name) or ("has a /, and a file's name is needed" if "/" in name else None)
    if fault:
        raise NameRefused(f"the name {name!r} {fault}")
    return name


class Below:
    """A folder for files of given names, of which no two are one file."""

    def __init__(self, root):
        self._root = Path(root)
        self._taken = {}

    def file(self, name):
        """Where the file of a name goes; raises NameRefused where that might lie elsewhere.

        Nothing is made: folders above it may be missing.
        """
        fault = _fault(name) or self._in_the_way(name) or self._take(name)
        if fault:
            raise NameRefused(f"the name {name!r} {fault}")
        return self._root / name

    def _take(self, name):
        """Note the file and folders of a name; gives what is in its way, None where nothing is."""
        parts = name.split("/")
        new = {}
        for end in range(1, len(parts) + 1):
            so_far, is_file = "/".join(parts[:end]), end == len(parts)
            folded = unicodedata.normalize("NFC", so_far).casefold()
            other, other_is_file = self._taken.get(folded, (so_far, is_file))
            if other_is_file != is_file:
                return f"takes for a folder what is a file for {other!r}, or the reverse"
            # The same name again is the same file, and replaces it.
            if other != so_far:
                return f"is, but for capital letters, {other!r}, and both would be one file on many machines"
            new[folded] = (so_far, is_file)
        self._taken.update(new)
        return None

    def _in_the_way(self, name):
        """What lies on a name's way already and is not a folder, or at its end and is not a file."""
        path = self._root
        *folders, last = name.split("/")
        for part in folders:
            path = path / part
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                return f"leads through {path}, which is a link or a file"
        path = path / last
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return f"is {path}, which is not a regular file"
        return None
