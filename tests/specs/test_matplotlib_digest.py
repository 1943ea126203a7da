"""Digests of Matplotlib's figures, which hold identities of objects."""

import pytest

from pyplant.fingerprint.fingerprint import digest_of

figure = pytest.importorskip("matplotlib.figure")


def plot(values=(1, 2), title="title", shared=False, top=10):
    made = figure.Figure()
    first, second = made.subplots(1, 2, sharey=shared)
    first.plot(values)
    second.bar([1, 2], [3, 4])
    first.set_title(title)
    first.set_ylim(0, top)
    return made


def test_equal_figures_have_equal_digests_and_others_do_not():
    equal = {digest_of(plot()) for _ in range(3)}
    others = {digest_of(plot((1, 3))), digest_of(plot(title="other")), digest_of(plot(shared=True))}
    assert len(equal) == 1
    assert len(equal | others) == 4


@pytest.mark.parametrize("part", [lambda made: made.axes[0], lambda made: made.axes[0].transData])
def test_parts_of_figures_have_digests_too(part):
    assert digest_of(part(plot())) == digest_of(part(plot()))
    assert digest_of(part(plot())) != digest_of(part(plot(top=30)))


def test_colormaps_count_the_same_before_and_after_their_first_use():
    colors = pytest.importorskip("matplotlib.colors")

    def made(last):
        return colors.LinearSegmentedColormap.from_list("own", ["black", last])

    used = made("white")
    used(0.5)
    assert digest_of(used) == digest_of(made("white"))
    assert digest_of(used) != digest_of(made("red"))
