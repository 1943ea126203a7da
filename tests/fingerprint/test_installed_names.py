"""Objects of installed modules count by their names, whatever their content."""

import calendar
import functools
import os
import random
import re
import sys
from typing import TypeVar

import numpy as np
import pytest

from pyplant.fingerprint.fingerprint import Fingerprinter, digest_of
from pyplant.fingerprint.installed_names import holds_itself, installed_name
from tests.fingerprint.helpers import load, taken

USES = {
    "a method of NumPy's generator": "from numpy.random import rand as x",
    "a function of NumPy's generator": "from numpy.random import seed as x",
    "a method in C of an object": "from random import random as x",
    "a method of an object": "from random import gauss as x",
    "a mapping that is no dict": "from os import environ as x",
    "an object": "from calendar import month_name as x",
    "a ufunc": "from numpy import add as x",
    "a distribution": "from scipy.stats import norm as x",
    "an object that answers every attribute": "from polars import col as x",
    "an expression": "import polars\nx = polars.col('a') > 1",
    "a schema": "import pyarrow as pa\nx = pa.schema([('a', pa.int64())])",
    "a class in C": "from pyarrow.dataset import FileSystemDataset as x",
    "a type": "from numpy import float32 as x",
    "an object that makes up functions": "from sqlalchemy import func as x",
    "mock.call": "from unittest.mock import call as x",
    "mock.ANY": "from unittest.mock import ANY as x",
}


@pytest.mark.parametrize("text", USES.values(), ids=USES)
def test_imported_objects_of_a_library_have_digests(tmp_path, text):
    pytest.importorskip("scipy")
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    if "sqlalchemy" in text:
        pytest.importorskip("sqlalchemy")
    text += "\ndef main(): return x"
    one, two = (taken(load(tmp_path, text)) for _ in range(2))
    assert one.digest == two.digest
    nothing = "x = None\ndef main(): return x"
    assert one.digest != taken(load(tmp_path, nothing)).digest


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (np.random.rand, "numpy:rand"),
        (random.random, "random:random"),
        (random.gauss, "random:gauss"),
        (os.environ, "os:environ"),
        (calendar.month_name, "calendar:month_name"),
        (np.add, "numpy:add"),
        (random.Random(3).random, ""),
        (np.random.default_rng(3).normal, ""),
        (np.vectorize(abs), ""),
        (re.compile("a").match, ""),
        (functools.partial(abs, 1), ""),
        ([].append, ""),
    ],
)
def test_only_what_the_module_itself_holds_is_installed(obj, name):
    assert installed_name(obj) == name


def test_drawing_random_numbers_does_not_change_a_fingerprint(tmp_path):
    module = load(
        tmp_path,
        "from random import random, gauss\nfrom numpy.random import rand\nALL = [random, gauss, rand]\ndef main(): return ALL, random(), gauss(0, 1), rand()",
    )
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.main()
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest == before


def test_methods_of_user_objects_count_by_the_object():
    assert digest_of(random.Random(3).random) != digest_of(random.Random(4).random)
    assert (
        digest_of(random.Random(3).gauss)
        == digest_of(random.Random(3).gauss)
        != digest_of(random.Random(4).gauss)
    )


def test_a_user_object_with_the_module_name_of_a_library_is_not_installed(tmp_path):
    text = "class F:\n __module__ = 'random'\n __qualname__ = __name__ = 'random'\n n = {}\n def __call__(self): return self.n\nx = F()\nx.n = {}\ndef main(): return x()"
    one, two = (load(tmp_path, text.format(n, n)) for n in (1, 2))
    assert taken(one).digest != taken(two).digest


@pytest.mark.skipif(sys.version_info < (3, 13), reason="type parameters have defaults from Python 3.13 on")
def test_a_type_parameter_without_a_default_has_a_digest():
    assert not Fingerprinter().digest(TypeVar("T"))[1]


def test_a_name_that_leads_to_another_object_does_not_count():
    assert not holds_itself(object(), "nowhere.to.be.found")
    assert holds_itself(os.environ, "environ")


@pytest.mark.parametrize(
    "text",
    [
        "import polars as pl\nx = pl.col('a') + {}",
        "import sympy\nx = sympy.Symbol('a') > {}",
        "import wrapt\nx = wrapt.ObjectProxy([{}])",
        "import wrapt\n@wrapt.decorator\ndef d(w, i, a, k): return w(*a) + {}\n@d\ndef x(): return 1",
        "import types\nx = types.SimpleNamespace(a={}, __class__=3)",
    ],
)
def test_expressions_and_proxies_count_by_their_content(tmp_path, text):
    for library in re.findall(r"import (polars|sympy|sqlalchemy|wrapt)", text):
        pytest.importorskip(library)
    text += "\ndef main(): return x"
    one, again, two = (taken(load(tmp_path, text.format(n))) for n in (1, 1, 2))
    assert one.digest == again.digest != two.digest


def test_an_expression_that_has_no_truth_value_does_not_fail_the_run(tmp_path):
    pytest.importorskip("sqlalchemy")
    module = load(tmp_path, "import sqlalchemy as sa\nx = sa.column('a') == 1\ndef main(): return x")
    assert taken(module).digest


def test_an_opened_dataset_of_arrow_has_a_digest(tmp_path):
    arrow, dataset = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.dataset")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": [1, 2]}), tmp_path / "a.parquet")
    opened = dataset.dataset(tmp_path / "a.parquet")
    assert (
        Fingerprinter().digest(opened)[0]
        == Fingerprinter().digest(dataset.dataset(tmp_path / "a.parquet"))[0]
    )


@pytest.mark.slow
def test_what_a_package_holds_of_a_module_in_c_counts_by_its_name():
    torch = pytest.importorskip("torch")
    assert installed_name(torch.default_generator) == "torch:default_generator"
