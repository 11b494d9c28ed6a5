"""What a function's program weighs, on disk and in memory."""

import io
import zipfile
from pathlib import Path


def zipped_megabytes(program):
    """The size of the function's zip, as it would be uploaded."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(program, "bootstrap")
    return len(buffer.getvalue()) / 1e6


def peak_megabytes(pid):
    """The peak memory of a running process, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
