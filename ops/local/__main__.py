"""`python -m ops.local`: what `make run`, `local` and `run-pipeline` run."""

import sys

from ops.local.run import main

sys.exit(main())
