"""``python -m seedbed`` is the command."""

import sys

from seedbed.cli import main

sys.exit(main())
