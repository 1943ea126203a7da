"""Digests of PyTorch's tensors: equal values have equal ones, whatever address they have."""

import copy

import pytest

from pyplant.fingerprint.fingerprint import digest_of
from pyplant.store.warehouse import Warehouse
from tests.fingerprint.helpers import load

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow


def labelled(label):
    value = torch.ones(1)
    value.label = label
    return value


def with_gradient(value, kind=torch.Tensor):
    made = torch.ones(1, requires_grad=True)
    made = torch.nn.Parameter(made) if kind is torch.nn.Parameter else made
    made.grad = None if value is None else torch.full((1,), value)
    return made


def trained(value):
    module = linear(1)
    module.weight.grad = None if value is None else torch.full((1, 1), value)
    return module


def linear(weight):
    module = torch.nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(weight)
        module.bias.zero_()
    return module


DIFFERENT = {
    "values": lambda: [torch.ones(2), torch.zeros(2), torch.ones(2, 1), torch.tensor(1.0)],
    "dtype": lambda: [
        torch.ones(2, dtype=getattr(torch, t)) for t in ("float32", "bfloat16", "float16", "bool")
    ],
    "strides": lambda: [torch.ones(2, 3), torch.ones(3, 2).T],
    "gradient": lambda: [torch.ones(2, requires_grad=v) for v in (True, False)],
    "parameter": lambda: [torch.nn.Parameter(torch.ones(2)), torch.ones(2, requires_grad=True)],
    "layout": lambda: [torch.eye(2), torch.eye(2).to_sparse()],
    "part": lambda: [torch.arange(4)[:2], torch.arange(4)[2:]],
    "attribute": lambda: [labelled("a"), labelled("b")],
    "module": lambda: [linear(1), linear(2), linear(1).eval()],
    "weights": lambda: [linear(1).state_dict(), linear(2).state_dict()],
    "random state": lambda: [torch.Generator().manual_seed(seed) for seed in (1, 2)],
}


# A deep copy of a parameter has no gradient.
GRADIENTS = {
    "tensor": lambda value: with_gradient(value),
    "parameter": lambda value: with_gradient(value, torch.nn.Parameter),
    "module": trained,
}


@pytest.mark.parametrize("make", GRADIENTS.values(), ids=GRADIENTS)
def test_a_gradient_is_digested_and_stored(make, tmp_path):
    digests = [digest_of(make(value)) for value in (None, 1.0, 2.0)]
    assert len(set(digests)) == 3
    warehouse = Warehouse(tmp_path / "plant")
    loaded = [warehouse.load(warehouse.save("value", make(value))) for value in (None, 1.0, 2.0)]
    assert [digest_of(value) for value in loaded] == digests


def test_tied_weights_are_not_the_same_as_equal_ones(tmp_path):
    layer = linear(1)
    tied, apart = torch.nn.Sequential(layer, linear(1)), torch.nn.Sequential(layer, linear(1))
    tied[1].weight = layer.weight
    assert digest_of(tied) != digest_of(apart)
    assert digest_of(torch.nn.Sequential(layer, layer)) != digest_of(apart)
    warehouse = Warehouse(tmp_path / "plant")
    assert digest_of(warehouse.load(warehouse.save("value", tied))) == digest_of(tied)


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: {"x": v}], ids=["alone", "within"])
def test_tensors_that_differ_visibly_have_different_digests(name, around, tmp_path):
    values = [around(value) for value in DIFFERENT[name]()]
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [digest_of(around(value)) for value in DIFFERENT[name]()] == digests
    assert [digest_of(copy.deepcopy(value)) for value in values] == digests
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == len(values)
    assert [digest_of(warehouse.load(ingredient)) for ingredient in stored] == digests


def test_a_part_of_a_bigger_tensor_equals_a_tensor_of_its_own():
    assert digest_of(torch.arange(4)[2:]) == digest_of(torch.tensor([2, 3]))
    assert digest_of(torch.ones(1) * 1j) == digest_of((torch.ones(1) * -1j).conj())


SCRIPT = """
import torch
{line}
def helper(x: int) -> int:
    return x + {number}
@torch.jit.script
def compiled(x: int) -> int:
    return helper(x)
"""


def compiled(folder, number, line=""):
    return load(folder, SCRIPT.format(number=number, line=line)).compiled


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_function_is_digested_by_its_graph(tmp_path):
    first = digest_of(compiled(tmp_path, 1))
    assert digest_of(compiled(tmp_path, 1, line="# a line more")) == first
    assert digest_of(compiled(tmp_path, 2)) != first
