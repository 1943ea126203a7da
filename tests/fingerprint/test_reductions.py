"""What objects consist of where ``__reduce_ex__`` does not tell."""

import functools
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import digest_of


class Grid:
    def __init__(self, size):
        self.size = size

    @functools.cached_property
    def cells(self):
        return self.size**2

    @functools.cached_property
    def found(self):
        return {}


class Plain(Grid):
    cells = 0


def test_a_plain_value_of_a_cached_property_is_no_content():
    looked_at = Grid(3)
    assert looked_at.cells == 9
    assert digest_of(looked_at) == digest_of(Grid(3)) != digest_of(Grid(4))


def test_a_container_that_a_cached_property_made_counts_since_it_may_be_filled():
    one, two = Grid(3), Grid(3)
    one.found["a"] = 1
    two.found["a"] = 2
    assert digest_of(one) != digest_of(two)


def test_what_a_global_holds_counts_whole():
    """Its history is followed, and a user may have set the attribute."""

    def held(grid):
        return encode(grid, lambda obj: "", as_held=True).data

    looked_at = Grid(3)
    looked_at.cells = 5
    assert held(looked_at) != held(Grid(3))


def test_an_attribute_that_replaces_a_cached_property_counts():
    one, two = Plain(3), Plain(3)
    two.cells = 1
    assert digest_of(one) != digest_of(two)


def test_what_cached_properties_of_libraries_made_is_no_content():
    networkx = pytest.importorskip("networkx")
    looked_at = networkx.path_graph(4)
    assert len(looked_at.nodes) == 4
    assert digest_of(looked_at) == digest_of(networkx.path_graph(4)) != digest_of(networkx.path_graph(5))


def test_equal_pydantic_models_have_equal_digests():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", depth=(int, 3))
    sys.modules[__name__].Model = model
    assert digest_of(model()) == digest_of(model(depth=3)) != digest_of(model(depth=4))


def test_identities_in_vectorizers_are_no_content():
    text = pytest.importorskip("sklearn.feature_extraction.text")

    def fitted():
        return text.TfidfVectorizer(stop_words=["a"]).fit(["a cat", "the dog"])

    assert digest_of(fitted()) == digest_of(fitted())
    assert digest_of(fitted()) != digest_of(text.TfidfVectorizer(stop_words=["a"]))


def test_a_pool_of_threads_counts_by_its_options():
    def pool(size, *, is_used=False):
        with ThreadPoolExecutor(size) as executor:
            if is_used:
                executor.submit(len, "a").result()
        return executor

    assert digest_of(pool(2)) == digest_of(pool(2, is_used=True)) != digest_of(pool(3))


def test_a_pool_of_threads_that_works_is_comparable():
    with ThreadPoolExecutor(1) as executor:
        before = encode(executor)
        executor.submit(len, "a").result()
        assert encode(executor).opaque == before.opaque == ()
