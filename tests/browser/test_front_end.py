"""The live graph in a page without Jupyter: display and interaction."""

import json
import re
import time
from inspect import signature

import pytest

from pyplant.notebook.graph import svg
from pyplant.notebook.graph.widget import GraphWidget
from pyplant.reports.report import ICONS, Outcome, ReactorEntry, Status
from tests.browser.conftest import VIEWPORT, Outside, new_page
from tests.browser.harness import scenarios
from tests.browser.harness.page import Server, Shown
from tests.browser.lab import PATIENCE, axe
from tests.injection import CONTROLS, TEXTS
from tests.test_injection import reports

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

INTERRUPT = "**/api/kernels/*/interrupt"


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


class SharedPage:
    """A page that tests use one after the other until one fails, since a new one takes long."""

    def __init__(self, chromium):
        self._chromium, self._page = chromium, None
        self._outside = Outside()

    def take(self):
        if self._page is None:
            self._page = new_page(self._chromium, self._outside)
        self._page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        self._page.set_viewport_size(VIEWPORT)
        self._page.mouse.move(0, 0)
        return self._page

    def leave(self, *, tidy):
        """Return the page; it is used again if the test passed."""
        if tidy:
            self._page.unroute_all()
            self._page.context.clear_cookies()
        else:
            self.close()
        found, self._outside[:] = list(self._outside), []
        assert not found, found

    def close(self):
        if self._page is not None:
            self._page.context.close()
            self._page = None


@pytest.fixture(scope="module")
def shared_page(chromium):
    shared = SharedPage(chromium)
    yield shared
    shared.close()


@pytest.fixture
def own_page(page):
    """Makes `page` a new one, for tests that add scripts to it or stop its clock."""
    return page


@pytest.fixture
def page(chromium, outside, shared_page, request):
    """A page that requests nothing from outside this machine."""
    if not {"own_page", "ticking"}.isdisjoint(request.fixturenames):
        page = new_page(chromium, outside)
        yield page
        page.context.close()
        assert not outside
        return
    failed_before = request.session.testsfailed
    yield shared_page.take()
    shared_page.leave(tidy=request.session.testsfailed == failed_before)


@pytest.fixture
def shown(page, server):
    """The page; no script may run in it, and no key may leave the widget."""
    errors = []

    def note(error):
        errors.append(error)

    page.on("pageerror", note)
    shown = Shown(page, server.url)
    yield shown
    page.remove_listener("pageerror", note)
    assert not errors
    assert not shown.alarms


@pytest.fixture
def digits(shown):
    return shown.start(scenarios.digits())


@pytest.fixture
def ticking(page, shown):
    """The small pipeline in a page with a stopped clock, which tests move forward."""
    traits = scenarios.digits()
    now = traits["state"]["now"]
    page.clock.install(time=now - 1)
    page.clock.pause_at(now)
    return shown.start(traits)


# ------------------------------------------------------------------------ looks


def test_each_status_has_its_own_icon(shown):
    shown.start(scenarios.all_states())
    icons = {
        status: tuple(path.get_attribute("d") for path in shown.node(status).locator(".pg-icon path").all())
        for status in (outcome.value for outcome in ICONS)
    }
    assert len(set(icons.values())) == len(Outcome)


def test_each_status_has_its_own_outline(shown):
    shown.start(scenarios.all_states())
    outlines = {
        outcome: tuple(shown.style(f".pg-{outcome.value} .pg-face", "strokeDasharray", "strokeWidth"))
        for outcome in Outcome
    }
    # Both need no attention: the second is tinted and has a disc as its icon.
    solid = {
        Outcome.CACHED,
        Outcome.RAN,
    }
    assert len(set(outlines.values())) == len(Outcome) - len(solid) + 1


def test_a_node_shows_name_time_and_size(digits):
    expect(digits.node("load_digits")).to_contain_text("load_digits2.4 s · 4.4 MB")


def test_long_names_are_cut_in_the_middle_and_complete_in_the_title_and_on_focus(shown):
    names = [f"compute_the_very_long_name_of_a_reactor_that_never_ends_v{number}" for number in (1, 2)]
    fitting = ["очистка_данных", "画像を読み込む", "Il_rn_mean"]
    shown.start(scenarios.traits({name: [] for name in [*names, *fitting]}))
    labels = shown.root.locator(".pg-name").all_text_contents()
    assert [label[-4:] for label in labels[:2]] == ["s_v1", "s_v2"]
    assert all("…" in label and label.startswith("compute_the") for label in labels[:2])
    assert labels[2:] == fitting
    assert "monospace" in shown.style(".pg-name", "fontFamily")[0]
    for label, face in zip(shown.root.locator(".pg-name").all(), shown.root.locator(".pg-face").all()):
        one, other = label.bounding_box(), face.bounding_box()
        assert one["x"] + one["width"] < other["x"] + other["width"]
    assert names[0] in shown.root.locator(".pg-node title").first.text_content()
    shown.node(names[0]).focus()
    expect(shown.node(names[0]).locator(".pg-note")).to_have_text(names[0])
    shown.node(fitting[2]).focus()
    assert "".join(shown.root.locator(".pg-note").all_text_contents()) == ""


def test_edges_name_their_ingredients(digits):
    titles = digits.root.locator("svg g > title").all_text_contents()
    assert "load_digits → clean_images: load_digits_out" in titles


def test_a_page_without_a_theme_follows_the_system(shown, page):
    faces = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        shown.start(scenarios.digits(), theme="")
        faces += shown.style(".pg-canvas", "backgroundColor")
    assert faces == ["rgb(255, 255, 255)", "rgb(27, 29, 32)"]


def test_the_theme_of_the_notebook_overrides_the_system(shown, page):
    page.emulate_media(color_scheme="dark")
    shown.start(scenarios.digits(), theme="light")
    light = shown.style(".pg-stale .pg-face", "stroke")
    page.emulate_media(color_scheme="light")
    shown.start(scenarios.digits(), theme="dark")
    assert shown.style(".pg-canvas", "backgroundColor") == ["rgb(17, 17, 17)"]
    assert shown.style(".pg-stale .pg-face", "stroke") != light


def test_a_running_reactor_pulses_unless_reduced_motion_is_preferred(digits, page):
    assert digits.style(".pg-running .pg-halo", "animationName") == ["pg-pulse"]
    page.emulate_media(reduced_motion="reduce")
    assert digits.style(".pg-running .pg-halo", "animationName") == ["none"]


def test_the_graph_fits_into_a_narrow_page(shown, page):
    page.set_viewport_size({"width": 360, "height": 800})
    shown.start(scenarios.digits())
    shown.open("train_forest")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    graph, panel = (shown.root.locator(part).bounding_box() for part in (".pg-canvas", ".pg-panel"))
    assert panel["y"] >= graph["y"] + graph["height"]


def test_a_wide_page_has_the_panel_beside_the_graph(digits):
    panel = digits.open("train_forest").bounding_box()
    graph = digits.root.locator(".pg-canvas").bounding_box()
    assert panel["x"] >= graph["x"] + graph["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scenario", [scenarios.all_states, scenarios.digits, lambda: scenarios.large(100)])
def test_axe_finds_no_violation(shown, page, scenario, theme):
    page.emulate_media(reduced_motion="reduce")
    traits = scenario()
    traits["state"] |= {"checked": False, "run": 3}
    shown.start(traits, theme=theme)
    shown.root.get_by_text("As a table").click()
    shown.root.locator(".pg-node:not(.pg-is-fold)").first.click()
    # The page forbids added scripts, so axe is evaluated directly.
    page.add_script_tag = lambda path: page.evaluate(path.read_text(encoding="utf-8") + ";undefined")
    assert axe(page, "main") == {}


def test_an_empty_plant_shows_a_message(shown):
    traits = scenarios.traits({})
    traits["state"]["title"] = "No reactors are defined."
    shown.start(traits)
    expect(shown.root.get_by_text("No reactors are defined. The first is a function with")).to_be_visible()
    for part in (shown.filter, shown.root.locator(".pg-canvas"), shown.root.get_by_text("As a table")):
        expect(part).to_be_hidden()


# ----------------------------------------------------------------------- states


def test_states_are_patched_into_the_existing_picture(digits, page):
    page.evaluate("() => { window.kept = document.querySelector('.pg-canvas > svg') }")
    digits.tell({"train_forest": {"o": "ran", "s": 40.0, "p": []}, "train_linear": {"o": "running"}})
    expect(digits.node("train_forest")).to_have_class(re.compile("pg-ran"))
    expect(digits.node("train_linear")).to_have_class(re.compile("pg-running"))
    assert page.evaluate("() => window.kept === document.querySelector('.pg-canvas > svg')")


def test_only_changed_elements_are_updated(shown, page):
    shown.start(scenarios.large(500))
    page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver(records => records.forEach(({target}) => {
                const element = target.nodeType === 1 ? target : target.parentElement;
                window.touched.add(element.closest('.pg-node') ?? element);
            })).observe(document.querySelector('.pg-canvas'),
                        {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    name = shown.root.locator(".pg-node.pg-cached:not(.pg-is-fold) .pg-name").first.text_content()
    shown.tell({name: {"o": "failed"}})
    expect(shown.node(name)).to_have_class(re.compile("pg-failed"))
    assert page.evaluate("() => window.touched.size") == 1


def test_a_new_graph_moves_boxes_from_where_they_were(digits, page):
    moving = "() => document.getAnimations().filter(({effect}) => effect.target.matches('.pg-node')).length"
    kept, moved = scenarios.digits(version=2)["graph"], scenarios.digits(version=3)["graph"]
    moved["views"]["all"]["nodes"][2][2] += 60
    digits.set("graph", kept)
    assert page.evaluate(moving) == 0
    digits.set("graph", moved)
    assert page.evaluate(moving) == 1
    page.emulate_media(reduced_motion="reduce")
    digits.set("graph", kept | {"version": 4})
    assert page.evaluate(moving) == 0


def test_a_new_graph_shows_boxes_if_the_last_one_had_them_elsewhere(digits):
    graph = scenarios.digits(version=2)["graph"]
    view = graph["views"]["all"]
    view["size"][1] += 3000
    for node in view["nodes"]:
        node[2] += 3000
    for node in graph["nodes"].values():
        node["name"] += "_again"
    digits.set("graph", graph)
    expect(digits.node("evaluate_again")).to_be_in_viewport(ratio=1)


def test_the_mark_of_the_focus_is_not_dimmed_by_the_filter(digits):
    digits.filter.fill("evaluate")
    digits.filter.press("Enter")
    digits.press("ArrowRight")
    assert "evaluate" not in digits.focused
    assert digits.style(".pg-node:focus", "opacity") == ["1"]
    digits.press("ArrowLeft")
    assert digits.style(".pg-is-dim", "opacity") == ["0.16"]


def test_an_older_snapshot_is_ignored(digits):
    digits.tell({"report": {"o": "running"}}, seq=9)
    digits.tell({"report": {"o": "stale"}}, seq=8)
    digits.tell({}, seq=7)
    expect(digits.node("report")).to_have_class(re.compile("pg-running"))


def test_a_snapshot_of_another_graph_waits_for_that_graph(digits, page):
    other = scenarios.traits({"first": [], "second": ["first"]}, version=2)
    digits.set("state", other["state"] | {"seq": 5})
    expect(digits.node("load_digits")).to_have_class(re.compile("pg-cached"))
    digits.set("graph", other["graph"])
    expect(digits.node("second")).to_have_class(re.compile("pg-cached"))
    expect(digits.root.locator(".pg-node")).to_have_count(2)


def test_a_graph_waits_for_its_snapshot(digits):
    other = scenarios.traits({"first": [], "second": ["first"]}, version=2)
    digits.set("graph", other["graph"])
    expect(digits.root.locator(".pg-node.pg-unknown")).to_have_count(2)
    digits.set("state", other["state"] | {"seq": 5})
    expect(digits.node("second")).to_have_class(re.compile("pg-cached"))


def test_time_advances_without_snapshots(ticking, page):
    ticking.tell({"train_forest": {"p": [], "t": page.evaluate("() => Date.now() / 1000")}})
    page.clock.run_for(4_000)
    expect(ticking.node("train_forest")).to_contain_text(re.compile(r"4 s · ~37 s left|~37 s left"))
    expect(ticking.root.locator(".pg-right").first).to_contain_text("4 s · ~37 s left")


def test_an_exceeded_estimate_shows_the_usual_time(ticking, page):
    ticking.tell({"train_forest": {"p": [], "e": 3.0, "t": page.evaluate("() => Date.now() / 1000")}})
    page.clock.run_for(5_000)
    expect(ticking.root.locator(".pg-right").first).to_contain_text("5 s · usually 3 s")


def test_elapsed_time_is_that_of_the_kernel(ticking):
    ticking.tell({"train_forest": {"p": [], "e": None, "t": 5_000_000_000.0}}, now=5_000_000_065.0)
    expect(ticking.node("train_forest")).to_contain_text("1 min 05 s")


def test_progress_is_a_bar_and_a_count(digits):
    expect(digits.node("train_forest")).to_contain_text("120/400")
    bar = digits.node("train_forest").locator(".pg-bar")
    before = float(bar.get_attribute("width"))
    digits.tell({"train_forest": {"p": [["trees", 240, 400]]}})
    expect(digits.node("train_forest")).to_contain_text("240/400")
    assert float(bar.get_attribute("width")) == pytest.approx(2 * before)


def test_the_bar_leaves_room_for_descenders(digits):
    digits.tell({"train_forest": {"p": [["epochs, gypsy", 120, 400]]}})
    meta, bar = (digits.node("train_forest").locator(part).bounding_box() for part in (".pg-meta", ".pg-bar"))
    assert bar["y"] >= meta["y"] + meta["height"] - 1


def test_progress_without_a_total_is_a_count(digits):
    digits.tell({"train_forest": {"p": [["rows", 1234, None]]}})
    expect(digits.node("train_forest")).to_contain_text("1234")
    assert float(digits.node("train_forest").locator(".pg-bar").get_attribute("width")) == 0


def test_missing_snapshots_are_requested_less_and_less_often(ticking, page):
    asked = []
    for _ in range(6):
        page.clock.run_for(6_000)
        asked.append(len(ticking.sent))
    assert asked == [1, 1, 2, 2, 2, 3]
    assert ticking.sent == [{"kind": "resync"}] * 3


def test_a_snapshot_resets_the_patience(ticking, page):
    page.clock.run_for(6_000)
    ticking.tell({})
    page.clock.run_for(4_000)
    assert len(ticking.sent) == 1
    page.clock.run_for(2_000)
    assert len(ticking.sent) == 2


def test_nothing_is_requested_while_nothing_runs(ticking, page):
    ticking.tell({"train_forest": {"o": "ran"}}, run=None)
    page.clock.run_for(60_000)
    assert ticking.sent == []


def test_a_graph_without_its_snapshot_requests_one(ticking, page):
    ticking.tell({"train_forest": {"o": "ran"}}, run=None)
    ticking.set("graph", scenarios.traits({"first": []}, version=2)["graph"])
    page.clock.run_for(6_000)
    assert ticking.sent == [{"kind": "resync"}]


def test_staleness_that_was_not_judged_is_marked(digits):
    badge = digits.root.get_by_text("not checked")
    expect(badge).to_be_hidden()
    digits.tell({}, checked=False)
    expect(badge).to_be_visible()


def test_changes_are_announced_to_screen_readers_at_a_limited_rate(ticking, page):
    ticking.tell({"train_forest": {"o": "ran"}})
    ticking.tell({"train_linear": {"o": "running"}})
    assert ticking.live.text_content() == ""
    page.clock.run_for(2_100)
    expect(ticking.live).to_have_text("train_forest: ran. train_linear: running")


def test_many_changes_are_announced_together(ticking, page):
    ticking.tell(dict.fromkeys(scenarios.DIGITS, {"o": "failed"}))
    page.clock.run_for(2_100)
    expect(ticking.live).to_have_text("8 reactors changed")


def test_the_end_of_a_run_is_announced(ticking, page):
    ticking.tell({}, run=None, title="8 reactors: 8 cached")
    page.clock.run_for(2_100)
    expect(ticking.live).to_have_text("The run is over. 8 reactors: 8 cached")


# ----------------------------------------------------------------------- header


def test_the_header_counts_by_status(digits):
    chips = [chip.inner_text().strip() for chip in digits.root.locator(".pg-chip:visible").all()]
    assert chips == ["1 running", "1 waiting", "1 stale", "1 new", "2 ran", "2 cached"]


def test_a_count_filters_by_its_status(digits):
    chip = digits.root.get_by_role("button", name="2 ran")
    chip.click()
    assert digits.bright == {"split", "scale_features"}
    expect(chip).to_have_attribute("aria-pressed", "true")
    digits.root.get_by_role("button", name="1 stale").click()
    assert digits.bright == {"split", "scale_features", "evaluate"}
    chip.click()
    assert digits.bright == {"evaluate"}


def test_the_header_leads_to_the_running_reactor(shown, page):
    traits = scenarios.large(150)
    last = list(traits["graph"]["nodes"])[-1]
    name = traits["graph"]["nodes"][last]["name"]
    traits["state"]["nodes"][last] |= {"o": "running"}
    traits["graph"]["view"] = "all"
    shown.start(traits)
    shown.root.get_by_role("button", name=name, exact=True).first.click()
    expect(shown.panel.get_by_role("heading", name=name)).to_be_focused()
    expect(shown.node(name)).to_be_in_viewport()


FILTERS = {
    "train": {"train_forest", "train_linear"},
    "SPLIT": {"split"},
    "split report": {"split", "report"},
    "+split": {"load_digits", "clean_images", "split"},
    "evaluate+": {"evaluate", "report"},
    "1+split": {"clean_images", "split"},
    "load_digits+1": {"load_digits", "clean_images"},
    "1+evaluate+1": {"train_forest", "train_linear", "split", "evaluate", "report"},
    "+scale_features+1": {
        *("load_digits", "clean_images", "split"),
        *("scale_features", "train_forest", "train_linear"),
    },
    "status:stale": {"evaluate"},
    "status:stale status:new": {"evaluate", "report"},
    "+split status:cached": {"load_digits", "clean_images"},
    "nothing": set(),
    "+": set(),
    "": set(scenarios.DIGITS),
    "   ": set(scenarios.DIGITS),
}


def test_the_filter(digits):
    found = {}
    for text in FILTERS:
        digits.filter.fill(text)
        found[text] = digits.bright
    assert found == FILTERS


def test_the_filter_shows_the_number_of_matches(ticking, page):
    ticking.filter.fill("train")
    expect(ticking.root.get_by_text("2 of 8", exact=True)).to_be_visible()
    page.clock.run_for(2_100)
    expect(ticking.live).to_have_text("2 of 8 found")


def test_the_filter_finds_ingredients_and_statuses_and_says_when_there_is_nothing(digits):
    found = {}
    for text in ("scale_features_out", "stale", "zzz"):
        digits.filter.fill(text)
        found[text] = digits.bright
    assert found == {
        "scale_features_out": {"scale_features", "train_forest", "train_linear"},
        "stale": {"evaluate"},
        "zzz": set(),
    }
    expect(digits.root.get_by_text("no reactor, ingredient, file")).to_be_visible()


def test_the_filter_scrolls_to_what_it_finds_and_unfolds_it(shown, page):
    traits = scenarios.large(400)
    focus = traits["graph"]["views"]["focus"]
    fold = max(focus["folds"], key=lambda fold: len(fold["members"]))
    hidden, other = fold["members"][20], fold["members"][30]
    name = traits["graph"]["nodes"][hidden]["name"]
    shown.start(traits)
    shown.filter.fill(f"{name} {traits['graph']['nodes'][other]['name']}")
    expect(shown.root.get_by_text("2 of 400", exact=True)).to_be_visible()
    box = shown.root.locator(".pg-is-fold:not(.pg-is-dim)").first
    expect(box).to_be_in_viewport()
    expect(box).to_contain_text(re.compile(r"2 of \d+ found"))
    shown.press("Enter")
    assert shown.sent == [{"kind": "unfold", "folds": [fold["id"]], "nodes": [hidden, other]}]
    shown.root.get_by_role("button", name="All").click()
    shown.filter.fill(name)
    expect(shown.node(name)).to_be_in_viewport()


def test_causes_are_marked_counted_and_brought_into_view(shown, page):
    traits = scenarios.large(400)
    traits["graph"]["view"] = "all"
    [(edited, _)] = traits["details"].items()
    name = traits["graph"]["nodes"][edited]["name"]
    cached = {id_: node | {"o": "cached"} for id_, node in traits["state"]["nodes"].items()}
    shown.start(traits | {"state": traits["state"] | {"nodes": cached}, "details": {}})
    shown.root.locator(".pg-canvas").evaluate("canvas => canvas.scrollTo(0, 0)")
    chip = shown.root.get_by_role("button", name="1 cause")
    expect(chip).to_be_hidden()
    shown.set("details", traits["details"])
    shown.set("state", traits["state"] | {"seq": 5})
    expect(shown.node(name)).to_be_in_viewport(ratio=1)
    expect(shown.node(name)).to_contain_text("describe() changed")
    expect(shown.node(name)).to_have_class(re.compile("pg-is-cause"))
    chip.click()
    assert shown.bright == {name}
    expect(chip).to_have_attribute("aria-pressed", "true")


@pytest.fixture
def edited(shown, own_page, page):
    """A large graph in a page with a stopped clock, and a function that tells it of an edit outside of the picture."""
    traits = scenarios.large(400)
    traits["graph"]["view"] = "all"
    [(cause, _)] = traits["details"].items()
    name = traits["graph"]["nodes"][cause]["name"]
    cached = {id_: node | {"o": "cached"} for id_, node in traits["state"]["nodes"].items()}
    now = traits["state"]["now"]
    page.clock.install(time=now - 1)
    page.clock.pause_at(now)
    shown.start(traits | {"state": traits["state"] | {"nodes": cached}, "details": {}})
    canvas = shown.root.locator(".pg-canvas")
    canvas.evaluate("canvas => canvas.scrollTo(0, 0)")

    def edit():
        shown.set("details", traits["details"])
        shown.set("state", traits["state"] | {"seq": 5})
        expect(shown.root.get_by_role("button", name="1 cause")).to_be_visible()
        return shown.node(name)

    return edit


def _rest(shown, page):
    page.mouse.move(300, 300)


def _press_a_button(shown, page):
    shown.root.get_by_role("button", name="Keys").click()


def _scroll(shown, page):
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 1)


def test_the_picture_stays_where_it_is_while_someone_is_at_it(shown, page, edited):
    _scroll(shown, page)
    cause = edited()
    page.clock.run_for(25_000)
    expect(cause).not_to_be_in_viewport()


def test_the_picture_stays_where_the_focus_is(shown, page, edited):
    shown.root.locator(".pg-node").first.evaluate("node => node.focus({preventScroll: true})")
    cause = edited()
    page.clock.run_for(100_000)
    expect(cause).not_to_be_in_viewport()
    page.evaluate("() => document.activeElement.blur()")
    page.clock.run_for(1000)
    expect(cause).to_be_in_viewport(ratio=1)


def test_the_picture_stays_at_what_the_filter_found(shown, page, edited):
    shown.filter.fill("r0")
    page.evaluate("() => document.activeElement.blur()")
    shown.root.locator(".pg-canvas").evaluate("canvas => canvas.scrollTo(0, 0)")
    cause = edited()
    page.clock.run_for(100_000)
    expect(cause).not_to_be_in_viewport()


@pytest.mark.parametrize(("use", "seconds"), [(_rest, 3), (_press_a_button, 3), (_scroll, 30)])
def test_the_picture_follows_once_nobody_is_at_it(shown, page, edited, use, seconds):
    use(shown, page)
    cause = edited()
    page.clock.run_for(1000 * seconds - 1500)
    expect(cause).not_to_be_in_viewport()
    page.clock.run_for(3000)
    expect(cause).to_be_in_viewport(ratio=1)


def test_boxes_behind_a_fold_have_no_dashes(shown):
    traits = scenarios.large(400)
    shown.start(traits)
    member = traits["graph"]["views"]["focus"]["folds"][0]["members"][0]
    shown.tell({traits["graph"]["nodes"][member]["name"]: {"o": "stale"}})
    behind, front = (
        shown.style(f".pg-is-fold.pg-stale > {part}", "strokeDasharray")[0]
        for part in ("g > .pg-face", ".pg-face")
    )
    assert (behind, front != "none") == ("none", True)


def test_the_filter_moves_nothing(digits):
    before = digits.node("split").bounding_box()
    digits.filter.fill("train")
    assert digits.node("split").bounding_box() == before


def test_the_filter_has_an_explanation(digits):
    assert "ingredient" in digits.filter.get_attribute("placeholder")
    assert "+x: x and everything before it" in digits.filter.get_attribute("title")


def test_keys_of_the_filter(digits):
    digits.node("load_digits").focus()
    digits.press("/")
    expect(digits.filter).to_be_focused()
    digits.page.keyboard.type("train")
    digits.press("Enter")
    assert digits.focused.startswith("train_forest,")
    digits.press("Escape")
    expect(digits.filter).to_have_value("")
    assert digits.bright == set(scenarios.DIGITS)


# ------------------------------------------------------------------------- stop


@pytest.fixture
def jupyter(digits, page):
    """Make the page look like that of a Jupyter server; return what is posted to the server."""
    posted = []

    def answer(route):
        posted.append(route.request)
        route.fulfill(status=204)

    page.route(INTERRUPT, answer)
    page.evaluate(
        """() => {
            document.cookie = "_xsrf=2|abc; path=/";
            const config = document.createElement("script");
            Object.assign(config, {id: "jupyter-config-data", type: "application/json"});
            config.textContent = JSON.stringify({baseUrl: "/user/me/", token: "secret"});
            document.body.append(config);
        }"""
    )
    return posted


def test_stop_interrupts_the_kernel_through_the_server(digits, jupyter):
    digits.root.get_by_role("button", name="Stop").click()
    expect(digits.root.get_by_role("button", name="stopping")).to_be_disabled()
    [request] = jupyter
    assert request.method == "POST"
    assert request.url.endswith("/user/me/api/kernels/1234-abcd/interrupt")
    assert request.headers["x-xsrftoken"] == "2|abc"
    assert request.headers["authorization"] == "token secret"
    assert digits.sent == []


def test_stop_is_shown_during_a_run(digits, jupyter):
    stop = digits.root.locator(".pg-stop")
    stop.click()
    digits.tell({"train_forest": {"o": "stale"}}, run=None)
    expect(stop).to_be_hidden()
    digits.tell({"train_forest": {"o": "running"}}, run=8)
    expect(stop).to_be_enabled()


def test_a_late_click_on_stop_is_ignored(digits, jupyter, page):
    digits.tell({}, run=None)
    page.evaluate("() => document.querySelector('.pg-stop').click()")
    page.evaluate("() => new Promise(done => setTimeout(done, 50))")
    assert jupyter == []
    assert digits.sent == []


def test_stop_without_a_server_asks_the_kernel_and_shows_a_hint(digits):
    digits.root.locator(".pg-stop").click()
    expect(digits.root.get_by_text("press ■ in the toolbar", exact=True)).to_be_visible()
    assert digits.sent == [{"kind": "stop", "run": 7}]
    digits.tell({}, run=None)
    expect(digits.root.get_by_text("press ■ in the toolbar", exact=True)).to_be_hidden()


def test_stop_that_is_refused_after_the_run_does_nothing(digits, jupyter, page):
    page.unroute(INTERRUPT)
    asked = []
    page.route(INTERRUPT, lambda route: asked.append(route))
    with page.expect_response(INTERRUPT):
        digits.root.locator(".pg-stop").click()
        expect(digits.root.get_by_role("button", name="stopping")).to_be_disabled()
        digits.tell({"train_forest": {"o": "ran"}}, run=None)
        asked[0].fulfill(status=403)
    page.evaluate("() => new Promise(done => setTimeout(done, 50))")
    assert digits.sent == []
    expect(digits.root.get_by_text("press ■ in the toolbar", exact=True)).to_be_hidden()


def test_stop_that_the_server_refuses_asks_the_kernel_and_shows_a_hint(digits, jupyter, page):
    page.unroute(INTERRUPT)
    page.route(INTERRUPT, lambda route: route.fulfill(status=403))
    digits.root.locator(".pg-stop").click()
    expect(digits.root.get_by_text("press ■ in the toolbar", exact=True)).to_be_visible()
    assert digits.sent == [{"kind": "stop", "run": 7}]


def test_stop_can_be_repeated(ticking, page):
    ticking.root.locator(".pg-stop").click()
    expect(ticking.root.locator(".pg-stop")).to_be_disabled()
    page.clock.run_for(12_000)
    expect(ticking.root.locator(".pg-stop")).to_be_enabled()


# ------------------------------------------------------------------------ panel


def test_a_click_opens_the_panel(digits):
    panel = digits.open("scale_features")
    for text in (
        "scale_features",
        "ran",
        "310 ms · 3.1 MB, 2 h ago",
        "split_out from split",
        "scale_features_out array · 3.1 MB",
        "train_forest",
        "cell [3]",
        "plant.run_reactor('scale_features')",
    ):
        expect(panel).to_contain_text(text)


def test_the_panel_shows_causes_and_their_diffs(digits):
    panel = digits.open("train_forest")
    expect(panel).to_contain_text("code of 'train_forest' changed")
    diff = panel.locator(".pg-diff")
    assert diff.text_content() == scenarios.DIFF
    assert diff.locator("del").all_text_contents() == [
        "-    forest = RandomForestClassifier(n_estimators=200)\n"
    ]
    assert diff.locator("ins").all_text_contents() == [
        "+    forest = RandomForestClassifier(n_estimators=400)\n"
    ]


def test_the_panel_shows_all_of_a_long_line_that_differs(digits):
    diff = "-values = compute(" + "first, " * 20 + "1)\n+values = compute(" + "first, " * 20 + "2)"
    digits.set(
        "details", {digits.names["evaluate"]: {"causes": [{"text": "its own code changed", "diff": diff}]}}
    )
    digits.tell({"evaluate": {"o": "stale"}})
    code = digits.open("evaluate").locator("pre.pg-diff")
    code.wait_for()
    assert code.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_the_panel_shows_notes(digits):
    expect(digits.open("train_forest")).to_contain_text("joblib.Parallel: state of a process pool")


def test_the_panel_of_a_failure(digits):
    """The error once, with its line and its time; the time of the kept result is not that of the failure."""
    failed = {
        "o": "failed",
        "w": "ValueError: no data",
        "x": time.time() - 10,
        "s": 0.008,
        "f": time.time() - 3600,
    }
    digits.tell({"report": failed})
    digits.set(
        "details",
        {
            "n7": {
                "causes": [],
                "notes": [],
                "error": "ValueError: no data",
                "at": "Cell In[3], line 5",
                "times": 2,
            }
        },
    )
    panel = digits.open("report")
    assert panel.locator(".pg-error").text_content() == "ValueError: no data\nCell In[3], line 5"
    expect(panel.locator("p").first).to_have_text(re.compile(r"^failed 1\d s ago · 2 times in a row$"))
    expect(panel).to_contain_text("kept result8 ms, 1 h ago")
    assert panel.inner_text().count("ValueError") == 1


def test_the_panel_names_the_failed_reactor_that_is_needed(digits):
    digits.tell({"report": {"o": "stale"}, "evaluate": {"o": "failed", "w": "ValueError: no data"}})
    word = digits.open("report").locator("p").first
    expect(word).to_have_text("stale, would run again · needs evaluate, which failed")
    digits.tell({"evaluate": {"o": "stale"}})
    expect(word).to_have_text("stale, would run again")


def test_what_has_just_run_is_told_so(digits):
    why = {
        "causes": [{"text": "has no result yet", "past": "first run", "diff": "", "from": None}],
        "error": "",
        "notes": [],
    }
    digits.set("details", {"n7": why, "n6": why})
    panel = digits.open("report")
    expect(panel).to_contain_text("Whyhas no result yet")
    digits.tell({"report": {"o": "running", "t": time.time()}})
    expect(panel).to_contain_text("Why it runsfirst run")
    digits.tell({"report": {"o": "ran", "s": 1.0, "f": time.time(), "q": [["page", "html", 2000]]}})
    expect(panel).to_contain_text("Why it ranfirst run")
    expect(panel).to_contain_text("page html · 2.0 kB")
    digits.tell({"evaluate": {"o": "cached"}})
    expect(digits.open("evaluate")).not_to_contain_text("Why")


def test_deleted_cells_and_missing_senders_look_like_what_they_are(shown):
    traits = scenarios.traits(
        {"first": [], "orphan": ["first"], "lost": ["first"]},
        {
            "first": {"o": "cached", "s": 1.0},
            "orphan": {"o": "stale", "s": 1.0},
            "lost": {"o": "stale", "s": 1.0, "lost": True, "w": "no sender of slope"},
        },
        orphans=["orphan"],
    )
    traits["graph"]["nodes"]["n2"]["inputs"].append(["slope", None])
    shown.start(traits)
    chips = [chip.inner_text().strip() for chip in shown.root.locator(".pg-chip:visible").all()]
    assert chips == ["1 stale", "1 cached", "1 deleted"]
    expect(shown.node("orphan")).to_contain_text("its cell was deleted")
    expect(shown.node("lost")).to_have_class(re.compile("pg-is-lost"))
    expect(shown.node("lost")).to_contain_text("no sender of slope")
    icons = {name: shown.node(name).locator(".pg-icon path").last.get_attribute("d") for name in shown.names}
    assert len(set(icons.values())) == 3
    shown.root.get_by_role("button", name="1 deleted").click()
    assert shown.bright == {"orphan"}
    panel = shown.open("lost")
    expect(panel.locator("p").first).to_have_text("stale, cannot run, no sender of slope")
    expect(panel).to_contain_text("slope sent by no reactor that is defined")
    shown.open("orphan").get_by_role("button", name="Remove").click()
    assert shown.sent[-1] == {"kind": "remove", "id": "n1", "version": 1}


def test_a_dead_kernel_looks_dead(ticking, page):
    stop = ticking.root.locator(".pg-stop")
    expect(stop).to_be_visible()
    badge = ticking.root.get_by_text("of a kernel that has ended")
    expect(badge).to_be_hidden()
    panel = ticking.open("split")
    preview = panel.get_by_role("button", name="Preview")
    expect(preview).to_be_visible()
    sent = ticking.sent
    page.evaluate("() => harness.model.emit('comm_live_update')")
    page.clock.run_for(1_100)
    expect(badge).to_be_visible()
    expect(stop).to_be_hidden()
    assert ticking.style(".pg-body", "filter") == ["grayscale(1)"]
    expect(preview).to_be_hidden()
    page.clock.run_for(60_000)
    assert ticking.sent == sent


@pytest.mark.parametrize("after", ["null", "{...harness.model.widget_manager.kernel, isDisposed: true}"])
def test_a_kernel_that_was_shut_down_looks_dead(ticking, page, after):
    badge = ticking.root.get_by_text("of a kernel that has ended")
    page.evaluate("() => { harness.model.widget_manager = {kernel: {status: 'busy', isDisposed: false}}; }")
    page.clock.run_for(2_000)
    expect(badge).to_be_hidden()
    page.evaluate(f"() => {{ harness.model.widget_manager = {{kernel: {after}}}; }}")
    page.clock.run_for(1_100)
    expect(badge).to_be_visible()


def test_a_page_that_tells_nothing_of_its_kernel_has_a_living_one(ticking, page):
    page.evaluate("() => { harness.model.widget_manager = {}; }")
    page.clock.run_for(2_000)
    expect(ticking.root.get_by_text("of a kernel that has ended")).to_be_hidden()


def test_a_closed_plant_is_told_so(digits):
    digits.tell({}, run=None, closed=True, checked=False)
    expect(digits.root.get_by_text("closed", exact=True)).to_be_visible()
    expect(digits.root.get_by_text("not checked")).to_be_hidden()


FACTS = {
    **{"kind": "facts", "id": "n6", "version": 1, "prints": "epoch 3", "made": "by first.ipynb on host vm"},
    **{"rerun": [["split", True], ["evaluate", False]], "reruns": 2, "seconds": 43.5},
    **{"parameters": [["alpha", "0.1"]], "helpers": ["score()", "Model"], "files": ["data.csv"]},
    **{"shapes": {"evaluate_out": "512 × 3 float64"}, "reused": 2, "stored": 4},
}


def test_an_open_panel_asks_for_facts_and_shows_them(digits, page):
    panel = digits.open("evaluate")
    asked = {"kind": "inspect", "id": "n6", "version": 1}
    assert digits.sent == [asked]
    tell = "message => harness.model.tell(message)"
    page.evaluate(tell, {**FACTS, "id": "n5", "parameters": [["other", "1"]]})  # of a panel that was closed
    assert "other" not in panel.text_content()
    page.evaluate(tell, FACTS)
    for text in (
        "would runsplit, perhaps evaluate · took 43.5 s last time",
        "alpha = 0.1",
        "score(), Model",
        "data.csv",
        "512 × 3 float64 · 18.0 kB",
        "by first.ipynb on host vm · reused 2 times here · 4 versions kept",
    ):
        expect(panel).to_contain_text(text)
    expect(panel).not_to_contain_text("epoch 3")
    panel.get_by_role("button", name="Preview").click()
    assert digits.sent == [asked, {"kind": "preview", "id": "n6", "version": 1, "name": "evaluate_out"}]
    answer = {"kind": "preview", "id": "n6", "version": 1, "name": "evaluate_out", "text": "2 rows"}
    page.evaluate(tell, {**answer, "rows": [["a", "b"], ["1", "<b>2</b>"]]})
    expect(panel.locator(".pg-rows td")).to_have_text(["1", "<b>2</b>"])
    digits.tell({"evaluate": {"o": "failed", "w": "ValueError"}}, run=None)
    expect(panel).to_contain_text("Last printedepoch 3")
    assert digits.sent[-1] == asked  # it may have changed


def test_facts_that_a_busy_kernel_cannot_give_yet_are_awaited_and_shown_later(ticking, page):
    tell = "message => harness.model.tell(message)"
    panel, awaited = ticking.open("evaluate"), "More follows when the kernel is idle."
    expect(panel).not_to_contain_text(awaited)
    page.clock.run_for(400)
    expect(panel).to_contain_text(awaited)
    page.evaluate(tell, {"kind": "facts", "id": "n6", "version": 1, "prints": "", "busy": True})
    expect(panel).to_contain_text(awaited)
    ticking.tell({}, run=None)
    assert ticking.sent == [{"kind": "inspect", "id": "n6", "version": 1}] * 2
    page.evaluate(tell, FACTS)
    page.clock.run_for(400)
    expect(panel).to_contain_text("alpha = 0.1")
    expect(panel).not_to_contain_text(awaited)
    panel.get_by_role("button", name="Preview").click()
    page.clock.run_for(400)
    expect(panel.locator(".pg-preview")).to_have_text(awaited)
    answer = {"kind": "preview", "id": "n6", "version": 1, "name": "evaluate_out", "text": "2 rows"}
    page.evaluate(tell, answer)
    expect(panel.locator(".pg-preview")).to_have_text("2 rows")


def test_the_panel_of_a_running_reactor_names_its_worker_and_not_its_last_error(digits):
    error = {"causes": [], "notes": [], "error": "ValueError: no data"}
    digits.set("details", {"n4": error})
    digits.tell({"train_forest": {"h": "process 4711 on host a"}})
    panel = digits.open("train_forest")
    expect(panel.locator("p").first).to_have_text(re.compile("^running · .* left · process 4711 on host a$"))
    expect(panel).not_to_contain_text("ValueError")
    digits.tell({"train_forest": {"o": "failed", "w": "ValueError: no data", "h": ""}})
    expect(panel).to_contain_text("ValueError: no data")
    expect(panel).not_to_contain_text("4711")


def test_what_was_printed_here_is_not_told_of_a_run_in_another_notebook(digits, page):
    panel = digits.open("train_forest")
    page.evaluate("message => harness.model.tell(message)", {**FACTS, "id": "n4"})
    expect(panel).to_contain_text("Last printedepoch 3")
    digits.tell({"train_forest": {"w": "in other.ipynb"}})
    digits.set("details", {"n4": {"causes": [], "notes": [], "error": ""}})
    expect(panel).to_contain_text("in other.ipynb")
    expect(panel).not_to_contain_text("epoch 3")


def test_reactors_are_run_where_the_page_can(digits, page):
    run = digits.root.get_by_role("button", name="Run all stale")
    expect(run).to_be_hidden()
    page.evaluate(
        """() => {
            window.code = [];
            harness.model.widget_manager = {kernel: {status: "idle", requestExecute: content => {
                window.code.push(content.code);
                return {done: Promise.resolve({content: {status: "error", ename: "KeyError", evalue: "'town'"}})};
            }}};
        }"""
    )
    digits.tell({}, run=8)
    expect(run).to_be_hidden()
    digits.tell({"train_linear": {"o": "stale", "lost": True}}, run=None)
    run.click()
    expect(digits.root.get_by_text("KeyError: 'town'")).to_be_visible()
    digits.open("split").get_by_role("button", name="Run", exact=True).click()
    assert page.evaluate("() => window.code") == [
        "plant.run_reactor('evaluate')\nplant.run_reactor('report');",
        "plant.run_reactor('split');",
    ]


def test_the_panel_leads_to_the_sender(digits):
    digits.open("evaluate").get_by_role("button", name="train_forest").first.click()
    expect(digits.panel.get_by_role("heading", name="train_forest")).to_be_focused()
    expect(digits.node("train_forest")).to_have_attribute("aria-pressed", "true")
    expect(digits.node("evaluate")).to_have_attribute("aria-pressed", "false")


def test_an_open_panel_is_patched_and_keeps_the_focus(digits):
    panel = digits.open("train_forest")
    copy = panel.get_by_role("button", name="Copy")
    copy.focus()
    digits.tell({"train_forest": {"p": [["trees", 399, 400], ["folds", 1, None]]}})
    expect(panel).to_contain_text("trees 399 of 400")
    expect(panel).to_contain_text("folds 1")
    expect(panel.get_by_role("progressbar")).to_have_count(2)
    expect(copy).to_be_focused()


def test_an_open_panel_shows_new_explanations(digits):
    panel = digits.open("split")
    digits.set(
        "details",
        {
            "n2": {
                "causes": [{"text": "parameter 'seed' changed", "diff": "", "from": None}],
                "error": "",
                "notes": [],
            }
        },
    )
    expect(panel).to_contain_text("parameter 'seed' changed")


def test_an_open_panel_stays_with_its_reactor_when_the_graph_changes(digits):
    digits.open("train_forest")
    other = scenarios.traits({"train_forest": [], "another": []}, version=2)
    digits.set("graph", other["graph"])
    digits.set("state", other["state"] | {"seq": 5})
    expect(digits.panel.get_by_role("heading", name="train_forest")).to_be_visible()
    digits.set("graph", scenarios.traits({"another": []}, version=3)["graph"])
    expect(digits.panel).to_be_hidden()


def test_enter_opens_the_panel_and_escape_leads_back(digits):
    digits.node("split").focus()
    digits.press("Enter")
    expect(digits.panel.get_by_role("heading", name="split")).to_be_focused()
    digits.press("Escape")
    expect(digits.panel).to_be_hidden()
    assert digits.focused.startswith("split,")


def test_what_the_keyboard_and_the_pointer_lead_to_is_in_view(digits, page):
    """WCAG 2.4.11, on a small screen or magnified: the panel is below the graph, and the page scrolls."""
    page.set_viewport_size({"width": 640, "height": 450})
    page.evaluate("() => { document.body.style.padding = '300px 0 900px'; }")
    heading = digits.panel.get_by_role("heading", name="split")
    to_the_end = "() => document.querySelector('.pg-canvas').scrollIntoView({block: 'end'})"
    digits.node("split").focus()
    page.evaluate(to_the_end)
    digits.press("Enter")
    expect(heading).to_be_focused()
    expect(heading).to_be_in_viewport(ratio=1)
    for key, name in (("Escape", "split"), ("ArrowLeft", "clean_images"), ("Home", "load_digits")):
        page.evaluate("() => scrollTo(0, 9999)")
        digits.press(key)
        expect(digits.node(name)).to_be_focused()
        expect(digits.node(name)).to_be_in_viewport(ratio=1)
    page.evaluate(to_the_end)
    digits.node("split").click()
    expect(heading).to_be_in_viewport(ratio=1)


def test_the_reactor_of_the_panel_stays_in_view_in_a_narrower_page(digits, page):
    digits.open("report")
    page.set_viewport_size({"width": 640, "height": 900})
    expect(digits.node("report")).to_be_in_viewport(ratio=1)


def test_the_button_of_the_panel_closes_it(digits):
    digits.open("split").get_by_role("button", name="Close").click()
    expect(digits.panel).to_be_hidden()
    assert digits.focused.startswith("split,")


def test_the_statement_is_copied(digits, page):
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copied = text } }")
    copy = digits.open("split").get_by_role("button", name="Copy")
    copy.click()
    expect(digits.panel.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => window.copied") == "plant.run_reactor('split')"


def test_a_statement_that_cannot_be_copied_is_selected(digits, page):
    page.evaluate(
        """() => {
            Object.defineProperty(navigator, 'clipboard', {value: undefined});
            document.execCommand = () => false;
        }"""
    )
    digits.open("split").get_by_role("button", name="Copy").click()
    expect(digits.panel.get_by_role("button", name="Ctrl+C")).to_be_visible()
    assert page.evaluate("() => getSelection().toString()") == "plant.run_reactor('split')"


# --------------------------------------------------------------- walk, fold, zoom


def test_the_graph_is_one_stop_of_the_tab_key(digits):
    expect(digits.root.locator(".pg-node[tabindex='0']")).to_have_count(1)
    digits.node("split").click()
    expect(digits.root.locator(".pg-node[tabindex='0']")).to_have_attribute(
        "aria-label", re.compile("^split,")
    )
    expect(digits.root.locator(".pg-node[tabindex='0']")).to_have_count(1)


@pytest.mark.parametrize(
    ("start", "keys", "end"),
    [
        ("load_digits", ["ArrowRight"], "clean_images"),
        ("load_digits", ["ArrowRight"] * 2, "split"),
        ("report", ["ArrowLeft"], "evaluate"),
        ("train_forest", ["ArrowDown"], "train_linear"),
        ("train_forest", ["PageDown", "Home", "End"], "report"),
        ("train_linear", ["ArrowUp"], "train_forest"),
        ("load_digits", ["ArrowLeft"], "load_digits"),
        ("report", ["ArrowRight"], "report"),
    ],
)
def test_arrows_follow_edges_and_columns(digits, start, keys, end):
    digits.node(start).focus()
    digits.press(*keys)
    assert digits.focused.startswith(f"{end},")


def test_an_open_panel_follows_the_arrows(digits):
    digits.open("load_digits")
    digits.press("ArrowRight")
    expect(digits.panel.get_by_role("heading", name="clean_images")).to_be_visible()
    assert digits.focused.startswith("clean_images,")


def test_a_fold_shows_its_members(shown):
    shown.start(scenarios.large(150))
    folds = shown.root.locator(".pg-is-fold")
    for label, text in zip(
        folds.locator(".pg-name").all_text_contents(), folds.locator("title").all_text_contents(), strict=True
    ):
        assert re.fullmatch(r"\d+ cached", label)
        assert "folded" in text


def test_siblings_are_a_stack_with_a_bar_of_statuses(shown):
    shown.start(scenarios.fan())
    expect(shown.root.locator(".pg-node")).to_have_count(4)
    stack = shown.root.locator(".pg-is-fold.pg-running")
    expect(stack.locator(".pg-name")).to_have_text("2 running of 24")
    expect(stack.locator(".pg-meta")).to_have_text("train_fold")
    text, bar = (stack.locator(part).first.bounding_box() for part in (".pg-meta", ".pg-part"))
    assert bar["y"] >= text["y"] + text["height"] - 1  # the line of text has room for more than its letters
    widths = stack.locator(".pg-part").evaluate_all("parts => parts.map(part => +part.getAttribute('width'))")
    assert [round(24 * width / sum(widths)) for width in widths] == [2, 12, 10]
    shown.root.get_by_role("button", name="All").click()
    expect(shown.root.locator(".pg-node")).to_have_count(27)


def test_the_sign_of_a_fold_can_be_seen_in_each_status(shown):
    shown.start(scenarios.fan())
    for status in ("ran", "new"):
        shown.tell({name: {"o": status} for name in shown.names if name.startswith("train_fold")})
        line = f".pg-is-fold.pg-{status} .pg-icon .pg-line"
        colour, stroke, dashes = shown.style(line, "color", "stroke", "strokeDasharray")
        assert (stroke, dashes) == (colour, "none"), status


def test_a_fold_shows_the_most_urgent_status(shown):
    traits = scenarios.large(150)
    shown.start(traits)
    first, second = traits["graph"]["views"]["focus"]["folds"][0]["members"][:2]
    name_of = {id_: name for name, id_ in shown.names.items()}
    shown.tell({name_of[first]: {"o": "running"}})
    fold = shown.root.locator(".pg-is-fold.pg-running")
    expect(fold).to_contain_text(re.compile("1 running"))
    shown.tell({name_of[second]: {"o": "failed"}})
    expect(shown.root.locator(".pg-is-fold.pg-failed")).to_contain_text("1 failed")


@pytest.mark.parametrize("deed", ["click", "Enter"])
def test_a_click_on_a_fold_requests_unfolding(shown, deed):
    shown.start(scenarios.large(150))
    fold = shown.root.locator(".pg-is-fold").first
    if deed == "click":
        fold.click()
    else:
        fold.focus()
        shown.press(deed)
    assert [message["kind"] for message in shown.sent] == ["unfold"]
    assert re.fullmatch(r"f\d+", shown.sent[0]["folds"][0])
    expect(shown.panel).to_be_hidden()


def test_a_fold_shows_that_it_waits_for_the_kernel(shown, own_page, page):
    page.clock.install()
    shown.start(scenarios.large(150))
    shown.root.locator(".pg-is-fold").first.click()
    note = shown.root.get_by_text("unfolds when the cell is done").first
    page.clock.run_for(200)
    expect(note).to_have_count(0)
    page.clock.run_for(200)
    expect(note).to_be_visible()


def test_focus_moves_to_the_unfolded_reactors(shown):
    traits = scenarios.large(150)
    shown.start(traits)
    members = traits["graph"]["views"]["focus"]["folds"][0]["members"]
    names = [traits["graph"]["nodes"][id_]["name"] for id_ in members]
    fold = shown.root.locator(".pg-is-fold").first
    fold.focus()
    shown.press("Enter")
    senders = scenarios.pipeline(150)
    states = {name: traits["state"]["nodes"][id_] for name, id_ in shown.names.items()}
    after = scenarios.traits(senders, states, opened=names, version=2)
    shown.set("graph", after["graph"])
    shown.set("state", after["state"] | {"seq": 2})
    assert shown.focused.split(",")[0] in names
    shown.root.get_by_role("button", name="Fold", exact=True).click()
    assert shown.sent[-1] == {"kind": "fold"}


def test_the_fold_button_is_hidden_at_first(shown):
    shown.start(scenarios.large(150))
    expect(shown.root.get_by_role("button", name="Fold", exact=True)).to_be_hidden()


def test_all_of_a_large_graph_can_be_shown(shown):
    shown.start(scenarios.large(500))
    shown.root.get_by_role("button", name="All").click()
    expect(shown.root.locator(".pg-node")).to_have_count(500)
    expect(shown.root.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")
    shown.root.get_by_role("button", name="Focus").click()
    assert shown.root.locator(".pg-node").count() < 100


def test_a_small_graph_has_no_choice_of_views(digits):
    expect(digits.root.get_by_role("button", name="Focus")).to_be_hidden()


def test_a_large_graph_is_not_shrunk_and_begins_at_the_most_urgent_box(shown):
    shown.start(scenarios.large(500))
    expect(shown.root.get_by_role("group", name="Zoom")).to_contain_text("100 %")
    assert shown.root.locator(".pg-canvas").bounding_box()["height"] <= 522
    expect(shown.root.locator(".pg-node.pg-stale").first).to_be_in_viewport()
    assert shown.root.locator(".pg-canvas").evaluate("canvas => canvas.scrollLeft") > 0


@pytest.mark.parametrize("width", [1440, 700])
def test_names_have_at_least_10_pixels(shown, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for traits in (scenarios.digits(), scenarios.large(26), scenarios.large(60)):
        shown.start(traits)
        scale = shown.root.locator(".pg-canvas > svg").evaluate("svg => svg.getScreenCTM().a")
        assert 11.5 * scale >= 10


def test_boxes_of_large_graphs_show_time_and_size(shown):
    shown.start(scenarios.large(100))
    shown.root.get_by_role("button", name="All").click()
    texts = shown.root.locator(".pg-cached .pg-meta").all_text_contents()
    assert len(texts) > 30
    assert all(texts)


def test_the_panel_moves_nothing_in_the_graph(shown, page):
    page.set_viewport_size({"width": 1440, "height": 900})
    shown.start(scenarios.large(40))
    node = shown.root.locator(".pg-node .pg-face").first
    before = node.bounding_box()
    node.click()
    expect(shown.panel).to_be_visible()
    assert node.bounding_box() == before
    canvas, panel = (shown.root.locator(part).bounding_box() for part in (".pg-canvas", ".pg-panel"))
    assert canvas["y"] + canvas["height"] >= panel["y"] + panel["height"]
    shown.press("Escape")
    assert node.bounding_box() == before


def test_a_graph_that_fits_has_no_zoom(shown):
    shown.start(scenarios.traits({"first": [], "second": ["first"]}))
    expect(shown.root.get_by_role("group", name="Zoom")).to_be_hidden()


def test_zoom_by_buttons(shown):
    shown.start(scenarios.large(150))
    zoom = shown.root.get_by_role("group", name="Zoom")
    zoom.get_by_text("+").click()
    expect(zoom).to_contain_text("125 %")
    zoom.get_by_text("Fit").click()
    canvas = shown.root.locator(".pg-canvas")
    assert canvas.evaluate(
        "box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight"
    )
    zoom.get_by_title("Show at 100 %").click()
    expect(zoom).to_contain_text("100 %")


def test_zoom_by_the_wheel_keeps_the_point_below_the_pointer(shown, page):
    shown.start(scenarios.large(150))
    node = shown.root.locator(".pg-node.pg-stale").first
    before = node.bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    expect(shown.root.get_by_role("group", name="Zoom")).to_contain_text("122 %")
    after = node.bounding_box()
    assert after["width"] > before["width"] * 1.15
    assert abs(after["x"] + after["width"] / 2 - x) < 2
    assert abs(after["y"] + after["height"] / 2 - y) < 2


def test_the_wheel_alone_does_not_zoom(shown, page):
    shown.start(scenarios.large(150))
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -60)
    expect(shown.root.get_by_role("group", name="Zoom")).to_contain_text("100 %")


def test_the_background_can_be_dragged(shown, page):
    shown.start(scenarios.large(150))
    left = "() => document.querySelector('.pg-canvas').scrollLeft"
    before = page.evaluate(left)
    box = shown.root.locator(".pg-canvas").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 4)
    page.mouse.up()
    page.mouse.move(box["x"] + 400, box["y"] + 4)
    assert page.evaluate(left) == before - 60


def test_the_table_shows_the_same_states(digits):
    digits.root.get_by_text("As a table").click()
    row = digits.root.get_by_role("row", name="load_digits")
    expect(row.get_by_role("cell")).to_have_text(["cached", "2.4 s", "4.4 MB"])
    digits.tell({"load_digits": {"o": "failed"}})
    expect(row.get_by_role("cell").first).to_have_text("failed")
    row.get_by_role("button").click()
    expect(digits.panel.get_by_role("heading", name="load_digits")).to_be_visible()


def test_the_table_keeps_its_triangle_in_the_classic_notebook(digits, page):
    page.evaluate(
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync("summary{display:block}");  // as in Bootstrap 3
            document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
        }"""
    )
    assert digits.style(".pyplant-graph summary", "display") == ["list-item"]


def test_the_table_is_sorted_and_filtered(digits):
    digits.root.get_by_text("As a table").click()
    rows = digits.root.locator("tbody tr:visible th")
    expect(rows.first).to_be_visible()
    names = rows.all_text_contents()
    digits.root.get_by_role("button", name="Time").click()
    assert rows.all_text_contents()[:2] == ["train_forest", "train_linear"]
    expect(digits.root.get_by_role("columnheader", name="Time")).to_have_attribute("aria-sort", "descending")
    digits.root.get_by_role("button", name="Reactor").click()
    assert rows.all_text_contents() == names
    digits.filter.fill("train")
    expect(rows).to_have_text(["train_forest", "train_linear"])


# ------------------------------------------------------------------------ guest


def test_a_question_mark_lists_the_keys_until_escape(digits):
    keys = digits.root.locator(".pg-keys")
    expect(keys).to_be_hidden()
    digits.node("split").focus()
    digits.press("?")
    expect(keys).to_contain_text("follow an edge")
    digits.press("Escape")
    expect(keys).to_be_hidden()
    button = digits.root.get_by_role("button", name="Keys")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(keys).to_be_visible()


def test_keys_do_not_reach_the_notebook(digits, page):
    digits.node("split").focus()
    digits.press("d", "d", "a", "ArrowDown", "Enter", "Escape", "/")
    page.keyboard.type("zzz")  # finds nothing, so that Enter leaves the focus in the filter
    digits.press("Enter", "Control+z")
    assert page.evaluate("() => harness.leaked.filter(key => key !== 'Control')") == []


def test_shortcuts_for_saving_and_running_reach_the_notebook(digits, page):
    digits.filter.focus()
    digits.press("Control+s", "Shift+Enter")
    digits.node("split").focus()
    digits.press("Shift+Enter")
    assert page.evaluate("() => harness.leaked.filter(key => key.length < 6)") == ["s", "Enter", "Enter"]
    expect(digits.panel).to_be_hidden()


def test_the_picture_is_hidden_while_there_is_a_view(digits, page):
    picture = page.locator("#picture")
    expect(picture).to_be_hidden()
    digits.page.evaluate("() => { harness.view(); harness.cleanups[0]() }")
    expect(picture).to_be_hidden()
    digits.page.evaluate("() => harness.cleanups[1]()")
    expect(picture).to_be_visible()


def test_a_replaced_picture_stays_hidden(digits, page):
    page.evaluate("() => { document.getElementById('picture').outerHTML = '<p id=picture>newer</p>' }")
    expect(page.locator("#picture")).to_be_hidden()


def test_another_picture_is_hidden_instead(digits, page):
    digits.set("graph", scenarios.digits(snapshot="other")["graph"])
    expect(page.locator("#picture")).to_be_visible()


def test_a_removed_view_leaves_nothing(digits, page):
    page.evaluate("() => harness.cleanups.forEach(cleanup => { cleanup(); cleanup() })")
    expect(digits.root).to_have_count(0)
    assert page.evaluate("() => harness.model.listening") == 0
    assert page.evaluate("() => document.adoptedStyleSheets.length") == 0


def test_rendering_again_replaces_the_view(digits, page):
    page.evaluate("() => harness.again()")
    expect(digits.root).to_have_count(1)
    assert page.evaluate("() => harness.model.listening") == 5
    page.evaluate("() => harness.cleanups[0]()")  # of the view that was replaced
    expect(digits.root).to_have_count(1)
    digits.tell({"split": {"o": "failed"}})
    expect(digits.node("split")).to_have_class(re.compile("pg-failed"))


def test_two_views_of_one_model_are_both_updated(digits, page):
    page.evaluate("() => harness.view()")
    digits.tell({"split": {"o": "failed"}})
    expect(digits.node("split")).to_have_count(2)
    for node in digits.node("split").all():
        expect(node).to_have_class(re.compile("pg-failed"))


def test_a_view_that_is_attached_late_is_laid_out_then(shown, own_page, page):
    traits = scenarios.large(150)
    page.add_init_script(
        "document.addEventListener('DOMContentLoaded', () => { document.getElementById('views').hidden = true })"
    )
    shown.start(traits)
    page.evaluate("() => { document.getElementById('views').hidden = false }")
    expect(shown.root.locator(".pg-node.pg-stale").first).to_be_in_viewport()


@pytest.mark.parametrize("first", range(0, len(TEXTS), 30))
def test_hostile_names_and_texts_stay_text(shown, page, first):
    some = TEXTS[first : first + 30]  # so few that the graph is not folded
    senders = {name: some[max(0, number - 1) : number] for number, name in enumerate(some)}
    traits = scenarios.traits(senders)
    traits["graph"]["plant"] = some[0]
    traits["state"]["title"] = some[1]
    for text, (id_, node) in zip(some, traits["graph"]["nodes"].items(), strict=True):
        node |= {"where": text, "run": text, "outputs": [[text, text, 5]], "inputs": [[text, "n0"]]}
        traits["state"]["nodes"][id_] |= {"o": "running", "w": text, "p": [[text, 1, 2]]}
        traits["details"][id_] = {
            "causes": [{"text": text, "diff": f"+{text}\n", "from": "n1"}],
            "error": text,
            "notes": [text],
        }
    shown.start(traits)
    shown.root.get_by_text("As a table").click()
    for number, text in enumerate(some):
        shown.root.locator(".pg-node").nth(number).click()
        assert shown.panel.text_content().count(text) >= 8
        assert shown.panel.locator("h3").text_content() == text
        assert shown.panel.locator(".pg-diff").text_content() == f"+{text}\n"
    assert (
        page.evaluate(
            "() => document.querySelectorAll('.pyplant-graph :is(script, img, iframe, a, style, [onerror], [onload])').length"
        )
        == 0
    )
    assert shown.alarms == []


class Listening:
    """A page without protection, and the scripts that it ran and the addresses that it requested."""

    def __init__(self, page):
        self._page, self.requests = page, []
        page.on("request", lambda request: self.requests.append(request.url))

    def alarms(self, html):
        self._page.evaluate("() => { window.alarms = []; window.alarm = what => alarms.push(String(what)); }")
        self._page.set_content(html)
        return self._page.evaluate("() => alarms")


def test_reports_and_pictures_of_hostile_texts_do_nothing(own_page, page):
    listening = Listening(page)
    for text in [*TEXTS, *CONTROLS]:
        status = Status((ReactorEntry(text, Outcome.NEW), ReactorEntry("b", Outcome.NEW)), text)
        parts = [report._repr_html_() for report in reports(text)]
        assert listening.alarms("".join([*parts, svg.graph_html(status, {"b": {text: [text]}})])) == []
    assert listening.requests == []


def test_control_hostile_texts_that_are_not_escaped_do_something(own_page, page):
    listening = Listening(page)
    assert listening.alarms("".join(text for text in TEXTS if text.startswith("<script>")))
    (fetches,) = (text for text in TEXTS if text.startswith("<img src='http:"))
    listening.alarms(fetches)
    assert listening.requests


def test_control_scripts_in_data_are_noticed(shown, page):
    """Negative control of the tests above: scripts from data are noticed, run or not."""
    shown.start(scenarios.digits())
    page.evaluate("() => { document.querySelector('#picture').innerHTML = '<img src=x onerror=alarm(1)>' }")
    page.wait_for_function("() => harness.alarms.length > 0")
    page.evaluate("() => { harness.alarms = [] }")


def test_the_module_is_small_and_loads_nothing():
    module, style = str(GraphWidget._esm).encode(), str(GraphWidget._css)
    assert len(module) <= 60_000
    assert not re.search(
        rb"\bimport\b|innerHTML|outerHTML|insertAdjacent|\beval\b|https?://(?!www\.w3\.org/)", module
    )
    assert not re.search(r"@import|url\(", style)


def test_scenarios_can_be_written_as_json():
    for traits in (scenarios.digits(), scenarios.all_states(), scenarios.large(150)):
        assert json.loads(json.dumps(traits)) == traits


# ------------------------------------------------------------------ negative controls

# What protects people who use the graph: where it stands, what stands there without it, and the test that notices.
GUARDS = [
    ("state.seq > this.state.seq && ", "", test_an_older_snapshot_is_ignored),
    (" && state.version === data.version", "", test_a_snapshot_of_another_graph_waits_for_that_graph),
    ("if (run == null || this.stopping != null) return;", "", test_a_late_click_on_stop_is_ignored),
    (
        " || this.state.run !== run) return;",
        ") return;",
        test_stop_that_is_refused_after_the_run_does_nothing,
    ),
    (
        "if (answer.id !== this.id || answer.version !== this.view.graph.data.version) return;",
        "",
        test_an_open_panel_asks_for_facts_and_shows_them,
    ),
    ("state.run == null || this.isDead;", "state.run == null;", test_a_dead_kernel_looks_dead),
    ("if (isKept(event, state)) event.stopPropagation();", "", test_keys_do_not_reach_the_notebook),
    (
        'if (!isPointer) this.element.scrollIntoView({ block: "nearest" });',
        "",
        test_what_the_keyboard_and_the_pointer_lead_to_is_in_view,
    ),
    ("this.panel.reveal();", "", test_what_the_keyboard_and_the_pointer_lead_to_is_in_view),
    (
        "if (Date.now() - this.lastNews < this.patience) return;",
        "",
        test_missing_snapshots_are_requested_less_and_less_often,
    ),
    ("if (again && hadFocus) this.focusBox(again);", "", test_focus_moves_to_the_unfolded_reactors),
    (" && !state.w", "", test_what_was_printed_here_is_not_told_of_a_run_in_another_notebook),
    (" && !lost && !kept;", ";", test_reactors_are_run_where_the_page_can),
    (
        "Date.now() < this.usedUntil || ",
        "",
        test_the_picture_stays_where_it_is_while_someone_is_at_it,
    ),
    (" || [this.canvas, this.panel].some(hasFocus)", "", test_the_picture_stays_where_the_focus_is),
    ("Boolean(this.match) || ", "", test_the_picture_stays_at_what_the_filter_found),
    ("isStill() || moves.length", "moves.length", test_a_new_graph_moves_boxes_from_where_they_were),
    (
        "asked !== this.answered",
        "true",
        test_facts_that_a_busy_kernel_cannot_give_yet_are_awaited_and_shown_later,
    ),
]


@pytest.fixture
def impatient():
    """Expectations that will not come true are given up soon."""
    expect.set_options(timeout=1500)
    yield
    expect.set_options(timeout=PATIENCE * 1000)


@pytest.mark.parametrize(("guard", "without", "test"), GUARDS, ids=[test.__name__ for _, _, test in GUARDS])
def test_control_without_its_guard_a_test_fails(
    own_page, impatient, monkeypatch, request, guard, without, test
):
    module = str(GraphWidget._esm)
    assert module.count(guard) == 1
    monkeypatch.setattr(GraphWidget, "_esm", module.replace(guard, without))
    arguments = {name: request.getfixturevalue(name) for name in signature(test).parameters}
    with pytest.raises(AssertionError):
        test(**arguments)
