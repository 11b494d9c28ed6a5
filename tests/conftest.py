"""Makes the orchestration's modules importable and keeps the caller's AWS settings out."""

import os
import sys
from pathlib import Path

for folder in ("deploy", "local"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / folder))

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
