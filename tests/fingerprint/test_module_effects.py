"""Statements of user modules that change installed code."""

import decimal
import gc
import json
import random
import sys
import types
from collections.abc import Hashable

import numpy as np
import pytest

from pyplant.fingerprint import assignments
from pyplant.fingerprint.fingerprint import Fingerprinter
from tests.fingerprint.helpers import again, load, taken

DRAWS = "def main(): return np.random.rand()"
EFFECTS = {
    "seed": "import random\nrandom.seed({})\ndef main(): return random.random()",
    "seed by a constant": "import random\nSEED = {}\nrandom.seed(SEED)\ndef main(): return random.random()",
    "imported seed": "from random import random, seed\nseed({})\ndef main(): return random()",
    "seed of NumPy": f"import numpy as np\nnp.random.seed({{}})\n{DRAWS}",
    "imported generator": "import numpy as np\nfrom numpy.random import rand\nnp.random.seed({})\ndef main(): return rand()",
    "seed for another package": (
        "import numpy as np\nfrom scipy import stats\nnp.random.seed({})\ndef main(): return stats.norm()"
    ),
    "seed for a method": "import numpy as np\nnp.random.seed({})\ndef main(table): return table.sample(3)",
    "user's function that seeds": (
        f"import random\nimport numpy as np\ndef fix(n):\n    random.seed(n)\n    np.random.seed(n)\nfix({{}})\n{DRAWS}"
    ),
    "user's function that sets an option": (
        "import decimal\ndef setup(): decimal.getcontext().prec = 20 + {}\nsetup()\ndef main(): return decimal.Decimal(1) / 3"
    ),
    "its code": f"import numpy as np\ndef fix(n):\n    np.random.seed(n + {{}})\nfix(1)\n{DRAWS}",
    "condition": f"import numpy as np\nif {{}} < 2:\n    np.random.seed(1)\n{DRAWS}",
    "within a condition": f"import numpy as np\nif np:\n    np.random.seed({{}})\n{DRAWS}",
    "loop": "import csv\nfor n in [{}]:\n    csv.register_dialect('x', delimiter=str(n))\ndef main(): return csv.reader([], 'x')",
    "attribute of a result": (
        "import decimal\ndecimal.getcontext().prec = 20 + {}\ndef main(): return decimal.Decimal(1) / 3"
    ),
    "entry of an installed object": (
        "import decimal\ndecimal.getcontext().flags[decimal.Inexact] = {}\ndef main(): return decimal.getcontext()"
    ),
    "function that a library calls": (
        "import codecs\ndef f(e): return '{}', e.end\ncodecs.register_error('own', f)\ndef main(): return codecs.encode('x', 'ascii', 'own')"
    ),
    "by a text": (
        "import codecs\ndef f(e): return '{}', e.end\ncodecs.register_error('own', f)\ndef main(x): return x.encode('ascii', 'own')"
    ),
    "of the interpreter": "import sys\nsys.setrecursionlimit(2000 + {})\ndef main(): return sys.getrecursionlimit()",
    "attribute of a logger": "import logging\nlog = logging.getLogger('x')\nlog.step = {}\ndef main(): return log.step",
    "function of a database": (
        "import sqlite3\ndef f(): return {}\nbase = sqlite3.connect(':memory:')\nbase.create_function('f', 0, f)\n"
        "def main(): return base.execute('select f()')"
    ),
    "object without content": "import array\nit = array.array('i', [1, 2]).__iter__()\nit.__setstate__({})\ndef main(): return it",
    "the order of statements": (
        "import random\nif {}: random.seed(1)\nrandom.seed(2)\nif not {}: random.seed(1)\ndef main(): return random.random()"
    ),
    "class of the user": (
        "from collections.abc import Sequence\nclass A: pass\nif {}: Sequence.register(A)\ndef main(x): return isinstance(x, Sequence)"
    ),
    "class for a class below": (
        "import collections.abc as c\nclass A: pass\nif {}: c.Sequence.register(A)\ndef main(x): return isinstance(x, c.Iterable)"
    ),
}
WITHOUT = {
    "other functions of NumPy": "import numpy as np\nnp.random.seed({})\ndef main(x): return np.sum(x)",
    "another package": "import random, math\nrandom.seed({})\ndef main(x): return math.floor(x)",
    "a level of logs": "import logging\nlogging.basicConfig(level={})\ndef main(): logging.info('x')",
    "a computation": "import math\nmath.sqrt({})\ndef main(x): return math.floor(x)",
    "a comment": "import random\nrandom.seed(1)  # {}\ndef main(): return random.random()",
    "an accessor that is not named": (
        "import xarray as xr\nif hasattr(xr.Dataset, 'own'): del xr.Dataset.own\n@xr.register_dataset_accessor('own')\nclass A:\n    x = {}\ndef main(x): return xr.Dataset(x)"
    ),
    "an attribute with the name of what is registered": (
        "import codecs\ndef f(e): return '{}', e.end\ncodecs.register_error('own', f)\ndef main(x): return x.own"
    ),
    "a profile of tests": (
        "from hypothesis import settings\nsettings.register_profile('own', max_examples=1 + {})\ndef main(x): return x['own']"
    ),
    "a variable of this name": "import array\nit = iter(array.array('i', [1]))\nit.__setstate__({})\ndef main(it): return it",
    "a file": "import os\nwith open(os.devnull, 'w') as it:\n    it.write('{}')\ndef main(): return it",
    "user's function that computes": "import math\ndef f(): return math.sqrt({})\nf()\ndef main(x): return math.floor(x)",
    "the main guard": "import random\nif __name__ == '__main__':\n    random.seed({})\ndef main(): return random.random()",
    "a function that is not called": "import random\ndef f(): random.seed({})\ndef main(): return random.random()",
    "user's function that does more": (
        "import random\ndef h(): pass\ndef run():\n    random.seed({})\n    h()\nrun()\ndef main(): return random.random()"
    ),
    "class for another class": (
        "import collections.abc as c\nclass A: pass\nif {}: c.Mapping.register(A)\ndef main(x): return isinstance(x, c.Sequence)"
    ),
}


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Undo what the modules do, and forget it."""
    sys.modules.pop("code", None)  # the name of the modules that are loaded
    last = tuple(sys.modules)[-1]  # to read all modules of the tests again would take seconds
    for name, value in {
        "_all": [],
        "_seen": {},
        "_last": last,
        "_effects": {},
        "_sorted_effects": (),
    }.items():
        monkeypatch.setattr(assignments, name, value)
    states = (random.getstate(), np.random.get_state())  # noqa: NPY002 - the state that the modules seed
    limit = sys.getrecursionlimit()
    with decimal.localcontext():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    sys.setrecursionlimit(limit)
    if "xarray" in sys.modules and hasattr(sys.modules["xarray"].Dataset, "own"):
        del sys.modules["xarray"].Dataset.own


@pytest.mark.parametrize("kind", EFFECTS)
def test_a_statement_counts_where_what_it_changes_is_used(tmp_path, kind):
    digests = []
    for number in (0, 1, 0):
        module = load(tmp_path, EFFECTS[kind].replace("{}", str(number)))
        assignments.refresh()  # which forgets the module before
        if "register(A)" in EFFECTS[kind]:
            gc.collect()  # its class, which would still be registered; it takes a second in a large process
        digests.append(taken(module).digest)
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("kind", WITHOUT)
def test_other_statements_do_not_count(tmp_path, kind):
    one, two = (taken(load(tmp_path, WITHOUT[kind].replace("{}", str(number)))).digest for number in (0, 1))
    assert one == two


def test_an_abstract_class_that_a_package_imports_late_does_not_count_then(tmp_path):
    package = types.ModuleType("late_package")
    package.__file__ = json.__file__
    sys.modules["late_package"] = package
    module = load(tmp_path, "import late_package\ndef main(): return late_package.Base")
    before = taken(module).digest
    package.Base = type(Hashable)("Base", (), {"__module__": "late_package"})
    assert taken(module).digest == before
    del sys.modules["late_package"]


def test_the_last_of_several_cells_counts(tmp_path, monkeypatch):
    module = load(tmp_path, "import random\ndef main(): return random.random()")
    fingerprinter = Fingerprinter()
    monkeypatch.setattr(assignments, "_cells", 0)
    main = vars(sys.modules["__main__"])
    monkeypatch.setitem(main, "random", random)
    cells = [""]
    monkeypatch.setitem(main, "In", cells)
    found = []
    for seed in (1, 2, 1):
        cells.append(f"random.seed({seed})")
        again(module, cells[-1])
        fingerprinter.begin_generation()
        found.append(fingerprinter.fingerprint(module.main).digest)
    assert found[0] == found[2] != found[1]


def test_a_statement_that_a_reload_removes_counts_no_more(tmp_path):
    plain, seeded = "import random\ndef main(): return random.random()", "import random\nrandom.seed(1)\n"
    first = taken(load(tmp_path, plain)).digest
    assert taken(load(tmp_path, seeded + plain)).digest != first
    assert taken(load(tmp_path, plain)).digest == first
