"""Figures are kept apart for each reactor."""

import sys

import pytest

from pyplant.notebook.output.figures import Figures

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("matplotlib_inline")


@pytest.fixture
def plt(monkeypatch):
    """pyplot with the inline backend, without a front end."""
    import matplotlib_inline.backend_inline as inline
    from matplotlib import pyplot as plt

    before, interactive = matplotlib.rcParams["backend"], matplotlib.is_interactive()
    plt.switch_backend("module://matplotlib_inline.backend_inline")
    matplotlib.interactive(True)
    plt.shown = []
    monkeypatch.setattr(inline, "display", lambda figure, metadata: plt.shown.append(figure))
    yield plt
    plt.close("all")
    matplotlib.interactive(interactive)
    plt.switch_backend(before)
    inline.show._draw_called, inline.show._to_draw = False, []


@pytest.fixture
def close_figures(monkeypatch):
    from matplotlib_inline.config import InlineBackend

    return lambda choice: monkeypatch.setattr(InlineBackend.instance(), "close_figures", choice)


def test_a_reactor_sees_its_own_figures_only(plt):
    outside, figures = plt.figure(), Figures()
    figures.enter()
    assert plt.get_fignums() == []
    inside = plt.figure()
    figures.leave()
    assert plt.gcf() is outside
    figures.enter()
    assert plt.gcf() is inside
    figures.leave()
    assert plt.get_fignums() == [1]


def test_only_the_figures_of_the_reactor_are_shown_and_closed(plt):
    outside, figures = plt.figure(), Figures()
    figures.enter()
    inside = [plt.figure(), plt.figure()]
    figures.flush()
    figures.leave()
    figures.release_to_cell()
    assert plt.shown == inside
    assert plt.get_fignums() == [1]
    flush_at_the_end_of_the_cell()
    assert plt.shown == [*inside, outside]


def test_figures_that_were_shown_are_closed(plt):
    figures = Figures()
    figures.enter()
    inside = plt.figure()
    plt.show()
    figures.leave()
    assert plt.shown == [inside]
    assert not figures


def test_a_reactor_without_figures_has_none(plt):
    figures = Figures()
    figures.enter()
    figures.leave()
    assert not figures


def test_open_figures_are_reported(plt):
    figures = Figures()
    figures.enter()
    plt.figure()
    figures.leave()
    assert figures


def test_figures_that_stay_open_get_free_numbers(plt, close_figures):
    close_figures(False)
    outside, figures = plt.figure(), Figures()
    figures.enter()
    inside = plt.figure()
    figures.flush()
    figures.leave()
    figures.release_to_cell()
    assert plt.shown == [inside]
    assert plt.gcf() is outside
    assert plt.figure(2) is inside
    assert inside.number == 2


def test_a_nested_reactor_sees_its_own_figures(plt):
    outer, inner = Figures(), Figures()
    outer.enter()
    of_outer = plt.figure()
    inner.enter()
    assert plt.get_fignums() == []
    plt.figure()
    inner.leave()
    assert plt.gcf() is of_outer
    outer.leave()
    assert plt.get_fignums() == []


def test_figures_of_other_backends_are_left_alone(plt):
    plt.switch_backend("agg")
    outside, figures = plt.figure(), Figures()
    figures.enter()
    assert plt.gcf() is outside
    plt.figure()
    figures.leave()
    figures.flush()
    assert plt.get_fignums() == [1, 2]
    assert plt.shown == []


def test_a_reactor_that_switches_the_backend_loses_no_figures(plt):
    outside, figures = plt.figure(), Figures()
    figures.enter()
    plt.switch_backend("agg")
    inside = plt.figure()
    figures.leave()
    assert {plt.figure(number) for number in plt.get_fignums()} >= {outside, inside}


def test_a_reactor_that_imports_pyplot_has_its_figures(plt, monkeypatch):
    figures = Figures()
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "matplotlib._pylab_helpers")
        figures.enter()
    plt.figure()
    figures.leave()
    assert figures
    assert plt.get_fignums() == []


def test_without_pyplot_nothing_happens(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib._pylab_helpers", raising=False)
    figures = Figures()
    figures.enter()
    figures.leave()
    assert not figures


def flush_at_the_end_of_the_cell():
    import matplotlib_inline.backend_inline as inline

    inline.flush_figures()
