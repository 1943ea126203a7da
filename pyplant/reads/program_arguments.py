"""The arguments with which the program was started, of which no event tells.

Code that mentions ``sys.argv``, or parses arguments without giving them, depends on them. Those of a Jupyter kernel name the
file of its connection, which is another one in each kernel, so they do not count.
"""

from __future__ import annotations

import sys

from pyplant.store.seals import Seals

__all__ = ["ASKING", "NAME", "digest"]

NAME = "arguments of the program"
"""The name of the dependency."""
ASKING = frozenset({"argv", "orig_argv", "parse_args", "parse_known_args"})
"""Names of functions and variables by which code asks for them."""
_KERNEL = "kernel_launcher.py"


def digest(seals: Seals) -> str:
    """Return the keyed digest of the arguments, since they may hold secrets."""
    program, *arguments = map(str, sys.argv or [""])
    if program.endswith(_KERNEL):
        return "kernel"
    return seals.secret_digest("\0".join(arguments).encode("utf-8", "surrogatepass"))
