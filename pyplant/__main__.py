"""``python -m pyplant``: the command line."""

import sys

from pyplant.cli import main

sys.exit(main())
