"""`python -m localagent`."""

import sys

from .cli import main

sys.exit(main())
