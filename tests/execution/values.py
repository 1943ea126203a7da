"""Values whose classes workers import: of a module that holds nothing of pytest."""

import sys


class EndsWhenLoaded:
    def __init__(self):
        self.content = 1

    def __setstate__(self, state):
        sys.exit(0)
