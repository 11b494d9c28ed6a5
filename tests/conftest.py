"""Makes the orchestration's modules importable and keeps the caller's AWS settings out."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "local"))

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
