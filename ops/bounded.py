"""Reading regular files, and no more of them than a limit; `shared/files/src/bounded.rs` is the same for Rust."""

import os
import stat

# Templates, lists of assets, values.
LARGEST_TEXT = 16 << 20

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


class Unfit(OSError):
    """A file is not a regular one, or too large; the message says which and names it."""

    def __str__(self):
        # An OSError's own would begin with a number.
        return self.args[0]


def read(path, limit):
    """The bytes of a regular file, or of what a link to one leads to, of at most so many bytes.

    A pipe, which might never end, is not waited for.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
            raise Unfit(f"{path} is {kind}, and only a regular file is read")
        with open(opened, "rb", closefd=False) as file:
            content = file.read(limit + 1) if found.st_size <= limit else b""
    finally:
        os.close(opened)
    if max(len(content), found.st_size) > limit:
        raise Unfit(f"{path} is larger than {limit >> 20} MiB, which is the limit")
    return content
