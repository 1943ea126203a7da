"""Mocks: their configuration counts, their recorded calls do not."""

import os
from contextlib import suppress
from types import FunctionType, ModuleType
from unittest import mock

import pytest

from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import Fingerprinter, digest_of
from tests.fingerprint.helpers import load, taken


def helper(x):
    return x


async def waiting(x):
    return x


class Client:
    def fetch(self, url):
        return url


def told(target, name, value):
    """The mock, after it was configured through a dotted name."""
    target.configure_mock(**{name: value})
    return target


def of_magic(name, value):
    made = mock.MagicMock()
    getattr(made, name).return_value = value
    return made


def function(**keywords):
    return mock.create_autospec(helper, **keywords)


def itself():
    made = mock.MagicMock(name="query")
    made.filter.return_value = made
    made.all.return_value = [1, 2]
    return made


def with_property(value):
    made = mock.Mock()
    type(made).size = mock.PropertyMock(return_value=value)
    return made


MAKERS = {
    "Mock": lambda n: mock.Mock(return_value=n),
    "MagicMock": lambda n: mock.MagicMock(return_value=n),
    "AsyncMock": lambda n: mock.AsyncMock(return_value=n),
    "NonCallableMock": lambda n: mock.NonCallableMock(size=n),
    "autospec of a function": lambda n: function(return_value=n),
    "autospec of a coroutine function": lambda n: mock.create_autospec(waiting, return_value=n),
    "autospec of a class": lambda n: told(mock.create_autospec(Client), "return_value.fetch.return_value", n),
    "nested": lambda n: told(mock.MagicMock(), "a.b.return_value.c.return_value", n),
    "side effect that steps": lambda n: mock.Mock(side_effect=[1, 2, n, 4]),
    "side effect of an autospec that steps": lambda n: function(side_effect=[1, 2, n, 4]),
    "side effect that raises": lambda n: mock.Mock(side_effect=ValueError(n)),
    "side effect that runs": lambda n: mock.Mock(side_effect=lambda *_, **__: n),
    "special method": lambda n: of_magic("__len__", n + 10),
    "attribute": lambda n: mock.Mock(rate=n),
    "mock as an attribute": lambda n: mock.Mock(rate=mock.Mock(return_value=n)),
    "property": with_property,
    "what it wraps": lambda n: mock.Mock(wraps={"a": n}.get),
    "in a container": lambda n: {"a": [mock.Mock(return_value=n)]},
    "mock that answers with a mock": lambda n: mock.Mock(return_value=mock.Mock(side_effect=[n, n])),
}


def use(made):
    """All that a reactor may do with a mock."""
    if isinstance(made, dict):
        made = made["a"][0]
    calls = [
        lambda: made("a"),
        lambda: made.call("a").again,
        lambda: made.a.b(2),
        lambda: made.fetch("x"),
        lambda: made().fetch("x"),
        lambda: made["a"][2],
        lambda: [str(made), repr(made), bool(made), hash(made)],
        lambda: [made == 1, made != 1, 3 in made],
        lambda: [len(made), list(made), int(made), os.fspath(made)],
        lambda: made.__enter__().read(),
        lambda: made.size,
        lambda: made.rate,
    ]
    for call in calls:
        with suppress(TypeError, ValueError, AttributeError):
            made_up = call()
            if hasattr(made_up, "close"):
                made_up.close()


def discard(made):
    """Close the coroutines that are not awaited."""


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_configuration_of_a_mock_counts_and_its_calls_do_not(make):
    used, unused = make(1), make(1)
    use(used)
    assert digest_of(used) == digest_of(unused) != digest_of(make(2))


def test_a_mock_that_returns_itself_has_a_digest():
    used = itself()
    used.filter(1).filter(2).all()
    assert digest_of(used) == digest_of(itself())
    other = itself()
    other.all.return_value = [1, 3]
    assert digest_of(other) != digest_of(used)


def test_digesting_a_mock_creates_no_attributes():
    made = mock.MagicMock(spec=None)
    digest_of(made)
    digest_of([made])
    assert made._mock_children == {}
    assert made.mock_calls == []


@pytest.mark.parametrize("spec", [FunctionType, ModuleType, type, Client, helper, dict, ["a", "b"]])
def test_a_mock_may_claim_to_be_of_any_class(spec):
    assert digest_of(mock.Mock(spec=spec, return_value=1)) != digest_of(mock.Mock(spec=spec, return_value=2))


def test_the_specification_of_a_mock_counts():
    assert digest_of(mock.Mock(spec=["a"])) != digest_of(mock.Mock(spec=["b"])) != digest_of(mock.Mock())


@pytest.mark.slow
def test_the_time_for_a_mock_grows_linearly_with_its_children():
    made = deepest = mock.Mock()
    for _ in range(2_000):
        deepest = deepest.next
    blank = digest_of(made)
    assert blank == digest_of(mock.Mock())
    deepest.return_value = 1
    assert digest_of(made) != blank


def test_the_class_of_a_mock_is_not_cached():
    before = encode(mock.Mock(return_value=1))
    from pyplant.fingerprint import digest

    known = len(digest._by_type)
    for _ in range(10):
        assert encode(mock.Mock(return_value=1)).data == before.data
    assert len(digest._by_type) == known


def test_methods_that_a_user_adds_to_mocks_count(tmp_path):
    text = "from unittest import mock\nclass M(mock.Mock):\n def f(self): return {}\nX = M()\ndef main(): return X.f()"
    one, two = (load(tmp_path, text.format(n)) for n in (1, 2))
    assert taken(one).digest != taken(two).digest


def test_a_patched_helper_counts_while_it_is_patched(tmp_path):
    module = load(
        tmp_path, "def h(): return 1\nclass A:\n def f(self): return 1\ndef main(): return h(), A().f()"
    )
    fingerprinter = Fingerprinter()

    def digest():
        fingerprinter.begin_generation()
        return fingerprinter.fingerprint(module.main).digest

    plain = digest()
    found = {plain}
    for patched in (
        mock.patch.object(module, "h", return_value=1),
        mock.patch.object(module, "h", return_value=2),
        mock.patch.object(module, "h", autospec=True),
        mock.patch.object(module.A, "f"),
        mock.patch.object(module, "A"),
    ):
        with patched:
            first = digest()
            with suppress(TypeError):
                module.main()
            assert digest() == first
            found.add(first)
        assert digest() == plain
    assert len(found) == 6


def test_a_module_may_be_replaced_by_a_mock(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "heavy", mock.MagicMock())
    text = "import heavy\ndef main():\n import heavy as other\n from heavy import nn\n return heavy.load(1), other, nn"
    module = load(tmp_path, text)
    before = taken(module).digest
    module.main()
    assert taken(module).digest == before
