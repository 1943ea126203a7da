"""Values whose classes workers import, in a module that does not import pytest."""

import os
import sys


class EndsWhenLoaded:
    """It exits when it is loaded, except in the first load, which tests it before it is stored."""

    def __init__(self):
        self.content = 1

    def __setstate__(self, state):
        if os.environ.pop("TRIED_ONCE", None) is None:
            sys.exit(0)
