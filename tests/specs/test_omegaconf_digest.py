"""Digests of OmegaConf's containers."""

import dataclasses

import pytest

from pyplant.fingerprint.fingerprint import digest_of

omegaconf = pytest.importorskip("omegaconf")

BASE = {"seed": 1, "model": {"width": 3, "name": "m-${seed}", "layers": [1, 2]}, "other": {"x": 1}}


def part(**changes):
    return omegaconf.OmegaConf.create({**BASE, **changes}).model


def test_a_part_does_not_depend_on_the_rest_of_its_configuration():
    assert digest_of(part()) == digest_of(part(other={"x": 2}))


@pytest.mark.parametrize("model", [{"width": 4}, {"layers": [1, 3]}, {"name": "other"}, {"depth": 1}])
def test_its_content_counts(model):
    assert digest_of(part()) != digest_of(part(model={**BASE["model"], **model}))


def test_what_an_interpolation_yields_counts():
    assert digest_of(part()) != digest_of(part(seed=2))
    assert digest_of(part()) == digest_of(part(model={**BASE["model"], "name": "m-1"}))


def test_a_resolver_is_not_called():
    called, resolvers = [], omegaconf.OmegaConf
    register = getattr(resolvers, "register_resolver", None) or resolvers.register_new_resolver
    register("pyplant_test", lambda: called.append(1) or 1, replace=True)
    model = {"width": "${pyplant_test:}"}
    digests = [digest_of(part(model=model, seed=seed)) for seed in (1, 1, 2)]
    assert not called
    assert digests[0] == digests[1] != digests[2]  # all of the configuration counts then


def test_the_class_of_a_structured_configuration_counts():
    @dataclasses.dataclass
    class One:
        x: int = 1

    @dataclasses.dataclass
    class Two:
        x: int = 1
        y = 2

    structured = omegaconf.OmegaConf.structured
    assert digest_of(structured(One)) == digest_of(structured(One))
    assert digest_of(structured(One)) != digest_of(structured(Two))
