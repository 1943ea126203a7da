"""Digests of Dask's delayed objects, whose keys are random."""

import pytest

from pyplant.fingerprint.fingerprint import digest_of
from tests.fingerprint.helpers import load

dask = pytest.importorskip("dask")


def increment(x):
    return x + 1


def double(x, by=2):
    return by * x


KINDS = {
    "a call": lambda: dask.delayed(increment)(1),
    "another argument": lambda: dask.delayed(increment)(2),
    "another function": lambda: dask.delayed(double)(1),
    "a keyword": lambda: dask.delayed(double)(1, by=3),
    "calls in one another": lambda: dask.delayed(double)(dask.delayed(increment)(1)),
    "the other way round": lambda: dask.delayed(increment)(dask.delayed(double)(1)),
    "a list of calls": lambda: dask.delayed(sum)([dask.delayed(increment)(n) for n in range(3)]),
    "a list in another order": lambda: dask.delayed(sum)([dask.delayed(increment)(n) for n in (1, 0, 2)]),
    "a function": lambda: dask.delayed(increment),
    "a value": lambda: dask.delayed([1, 2]),
    "a method of a value": lambda: dask.delayed([1, 2]).index(1),
    "an attribute": lambda: dask.delayed([1, 2]).sort,
}


def test_equal_objects_have_equal_digests_and_others_do_not():
    digests = {kind: {digest_of(make()) for _ in range(3)} for kind, make in KINDS.items()}
    assert {kind: len(found) for kind, found in digests.items()} == dict.fromkeys(KINDS, 1)
    assert len(set.union(*digests.values())) == len(KINDS)


def test_one_shared_call_differs_from_two_equal_ones():
    shared = dask.delayed(increment)(1)
    assert digest_of(dask.delayed(sum)([shared, shared])) != digest_of(
        dask.delayed(sum)([dask.delayed(increment)(1), dask.delayed(increment)(1)])
    )


def test_the_code_of_its_functions_counts(tmp_path):
    def value(constant):
        text = f"import dask\ndef f(x):\n    return x + {constant}\nVALUE = dask.delayed(f)(1)"
        return digest_of(load(tmp_path, text).VALUE)

    assert value(1) == value(1)
    assert value(1) != value(2)
