"""Values whose classes workers import: of a module that holds nothing of pytest."""

import os
import sys


class EndsWhenLoaded:
    """It exits when it is loaded, but for the one time when it is tried before it is saved."""

    def __init__(self):
        self.content = 1

    def __setstate__(self, state):
        if os.environ.pop("TRIED_ONCE", None) is None:
            sys.exit(0)
