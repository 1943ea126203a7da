"""Every call of the public interface, end to end."""

import builtins
import gc
import inspect
import threading

import numpy as np
import pytest

import pyplant
from pyplant import ConfigBase, Ingredient, Plant, ReactorFunc, SubreactorFunc, errors, events, specs
from pyplant.reports.report import Outcome
from tests.conformance.helpers import module_at  # noqa: F401


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir) as plant:
        yield plant


@ReactorFunc
def numbers(pipe):
    pipe.send("numbers", [3, 1, 2])


@ReactorFunc
def ordered(pipe, config):
    values = yield pipe.receive("numbers")
    pipe.send("ordered", sorted(values, reverse=config.get("reverse", False)))


@ReactorFunc
def shown(pipe):
    pipe.send("shown", str((yield pipe.receive("ordered"))))


CHAIN = [numbers, ordered, shown]


def outcomes(report):
    return {entry.name: entry.outcome.value for entry in report}


# ---------------------------------------------------------------------- what an import brings

STAR = {
    "Plant",
    "ReactorFunc",
    "SubreactorFunc",
    "Pipework",
    "Ingredient",
    "ConfigBase",
    "ConfigValue",
    "specs",
}


def test_a_star_import_brings_the_public_names_and_no_others():
    namespace = {}
    exec("from pyplant import *", namespace)
    del namespace["__builtins__"]
    assert namespace.keys() == STAR


def test_a_star_import_shadows_no_builtin():
    assert not STAR & set(dir(builtins))


def test_the_public_names_that_are_not_starred():
    assert callable(pyplant.load_ingredients)
    assert pyplant.__version__


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


def test_completion_offers_public_names_only(plant):
    @ReactorFunc
    def looks(pipe):
        pipe.send("offered", sorted(name for name in dir(pipe) if not name.startswith("_")))

    plant.add_reactor(looks)
    methods = {
        "receive",
        "send",
        "allocate",
        "allocate_temp",
        "config",
        "read_config",
        "read_config_unregistered",
    }
    assert set(plant.get("offered")) == methods | {"input_file", "progress", "run", "untracked"}
    assert public(pyplant) == STAR | {"load_ingredients"}
    assert public(specs) == set(specs.__all__)
    assert public(plant.warehouse) == {"register_ingredient_specs"}


def test_specs_are_registered_by_the_plant(plant):
    class Text(specs.StreamSpec):
        name, suffix = "upper", ".txt"

        def matches(self, value):
            return isinstance(value, str)

        def dump(self, value, stream):
            stream.write(value.upper().encode())
            return {}

        def parse(self, buffer, metadata):
            return bytes(buffer).decode()

    @ReactorFunc
    def writes(pipe):
        pipe.send("text", "abc")

    plant.add_reactor(writes)
    plant.register_specs(Text())
    assert plant.get("text") == "ABC"
    with pytest.raises(errors.UnknownTypeError, match="spec"):
        plant.register_specs(Text)


def test_a_reactor_is_found_by_its_ingredient(plant):
    plant.add_reactor(CHAIN)
    plant.run_reactor(shown)
    for report in (plant.plan("numbers"), plant.history("numbers"), plant.explain("numbers")):
        assert "numbers" in str(report)

    @ReactorFunc
    def loads(pipe):
        pipe.send("table", 1)

    plant.add_reactor(loads)
    for report in (plant.plan("table"), plant.history("table"), plant.explain("table")):
        assert "table is sent by reactor loads" in str(report)
    with pytest.raises(errors.UnknownReactorError, match="tabel"):
        plant.plan("tabel")


def test_a_computed_ingredient_is_found_by_its_recorded_sender(plant):
    @ReactorFunc
    def computes(pipe):
        pipe.send("".join(reversed("b-a")), 1)

    plant.add_reactor(computes)
    with pytest.raises(errors.UnknownReactorError):
        plant.explain("a-b")
    plant.run_reactor(computes)
    assert "a-b is sent by reactor computes" in str(plant.explain("a-b"))


def test_the_signature_of_the_plant():
    shown = str(inspect.signature(Plant.__init__).replace(return_annotation=inspect.Signature.empty))
    names = list(inspect.signature(Plant).parameters)
    assert names == [
        "plantDir",
        "executor",
        "resources",
        "worker_imports",
        "max_size",
        "trust",
        "function_hash",
        "progress",
        "track_packages",
        "follow_packages",
        "track_reads",
        "read_only",
        "claim_timeout",
    ], shown
    defaults = {p.name: p.default for p in inspect.signature(Plant).parameters.values()}
    assert defaults["executor"] is None
    assert defaults["max_size"] == "20 GB"
    assert defaults["trust"] is False
    assert defaults["function_hash"] is None
    assert defaults["progress"] == "auto"
    assert all(
        p.kind is p.KEYWORD_ONLY for p in inspect.signature(Plant).parameters.values() if p.name != "plantDir"
    )


# ---------------------------------------------------------------------- the life of a plant


def test_a_plant_works_without_with(plant_dir):
    plant = Plant(plant_dir)
    plant.add_reactor(CHAIN)
    assert plant.get("ordered") == [1, 2, 3]
    plant.close()


def test_closing_twice_is_harmless(plant_dir):
    plant = Plant(plant_dir)
    plant.close()
    plant.close()
    with Plant(plant_dir) as other:
        other.close()


def test_a_closed_plant_says_how_to_open_it_again(plant_dir):
    plant = Plant(plant_dir)
    plant.add_reactor(CHAIN)
    plant.close()
    for call in (lambda: plant.get("ordered"), lambda: plant.run_reactor(shown), plant.status):
        with pytest.raises(errors.PlantDirError, match="closed; open it again"):
            call()


SCRIPT = """
    from pyplant import *

    @ReactorFunc
    def numbers(pipe):
        pipe.send("numbers", [1])

    plant = Plant("plant")
    print(plant.run_reactor("numbers").title().split(" in ")[0])
"""


def test_a_script_that_never_closes_its_plant_keeps_its_results(run_script):
    import textwrap

    source = textwrap.dedent(SCRIPT)
    assert run_script(source).stdout.strip() == "numbers: 1 ran"
    assert run_script(source).stdout.strip() == "numbers: 1 cached"


def test_a_plant_without_references_is_closed(plant_dir):
    plant = Plant(plant_dir)
    plant.add_reactor([numbers])
    plant.get("numbers")
    finalizer = plant._finalizer
    del plant
    gc.collect()
    assert not finalizer.alive


def test_two_plants_in_one_process_are_independent(tmp_path):
    with Plant(tmp_path / "a") as a, Plant(tmp_path / "b") as b:
        a.add_reactor(CHAIN)
        b.add_reactor(CHAIN)
        assert a.run_reactor(shown).ran == ("numbers", "ordered", "shown")
        assert b.run_reactor(shown).ran == ("numbers", "ordered", "shown")


# ---------------------------------------------------------------------- reactors


def test_reactors_are_added_one_by_one_in_lists_and_under_the_plural(plant):
    plant.add_reactor(numbers)
    plant.add_reactor(ordered, shown)
    assert len(plant.status()) == 3
    plant.add_reactors([numbers, ordered])
    assert len(plant.status()) == 3


def test_a_reactor_is_run_by_name_and_by_full_name(plant):
    plant.add_reactor(CHAIN)
    assert plant.run_reactor("numbers").ran == ("numbers",)
    assert plant.run_reactor(f"{__name__}.numbers").cached == ("numbers",)


def test_a_reactor_that_is_run_counts_though_it_was_not_added(plant):
    plant.add_reactor([numbers])
    assert plant.run_reactor(ordered).ran == ("numbers", "ordered")


def test_remove_reactor_forgets_it_until_it_is_added_again(plant):
    plant.add_reactor(CHAIN)
    plant.get("shown")
    plant.remove_reactor("numbers")
    assert "numbers" not in outcomes(plant.status())
    with pytest.raises(errors.UnknownReactorError, match="No reactor is called 'numbers'"):
        plant.run_reactor("numbers")
    plant.add_reactor(numbers)
    assert plant.run_reactor(shown).cached == ("numbers", "ordered", "shown")


def test_remove_reactor_forgets_one_that_registered_itself(plant):
    @ReactorFunc
    def fleeting(pipe):
        pipe.send("fleeting", 1)

    assert plant.get("fleeting") == 1
    plant.remove_reactor("fleeting")
    assert "fleeting" not in outcomes(plant.status())
    with pytest.raises(errors.MissingSenderError, match="'fleeting'"):
        plant.get("fleeting")


def test_decorators_work_with_and_without_parentheses(plant):
    @ReactorFunc()
    def parentheses(pipe):
        pipe.send("a", (yield from subreactor(pipe)))

    @SubreactorFunc()
    def subreactor(pipe):
        return (yield from bare(pipe)) + 1

    @SubreactorFunc
    def bare(pipe):
        return 1

    plant.add_reactor(parentheses)
    assert plant.get("a") == 2


def test_decorated_functions_are_the_functions_themselves():
    def function(pipe):
        """What it does."""

    assert ReactorFunc(function) is function
    assert ReactorFunc(name="x")(function) is function


def test_reactors_of_a_loop_have_names_of_their_own(plant):
    for number in range(3):

        @ReactorFunc(name=f"square {number}")
        def square(pipe, number=number):
            pipe.send(f"square of {number}", number**2)

    assert plant.get("square of 2", "square of 1") == (4, 1)
    assert plant.run_reactor("square 2").cached == ("square 2",)
    assert {"square 0", "square 1", "square 2"} <= outcomes(plant.status()).keys()


def test_a_subreactor_has_a_name_for_events(plant):
    @SubreactorFunc(name="the part")
    def part(pipe):
        return 1

    @ReactorFunc
    def whole(pipe):
        pipe.send("whole", (yield from part(pipe)))

    seen = []
    plant.add_event_listener(seen.append)
    plant.add_reactor(whole)
    plant.get("whole")
    assert events.SubreactorEntered("whole", "the part") in seen
    assert events.SubreactorLeft("whole", "the part") in seen


# ---------------------------------------------------------------------- cache=False


@ReactorFunc(cache=False)
def always(pipe):
    pipe.send("always", 1)


@ReactorFunc
def after_always(pipe):
    pipe.send("after", (yield pipe.receive("always")) + 1)


@ReactorFunc
def also_after_always(pipe):
    first, second = yield pipe.receive("after", "always")
    pipe.send("sum", first + second)


def test_an_uncached_reactor_runs_once_a_run_and_equal_values_stop_there(plant):
    plant.add_reactor([always, after_always, also_after_always])
    assert plant.run_reactor(also_after_always).ran == ("always", "after_always", "also_after_always")
    report = plant.run_reactor(also_after_always)
    assert report.ran == ("always",)
    assert set(report.cached) == {"after_always", "also_after_always"}


def test_an_uncached_reactor_runs_only_when_requested(plant):
    plant.add_reactor([always, numbers])
    assert plant.run_reactor(numbers).ran == ("numbers",)


def test_status_shows_uncached_reactors_and_uncertain_receivers(plant):
    plant.add_reactor([always, after_always])
    plant.get("after")
    status = plant.status()
    assert status["always"].outcome is Outcome.UNCACHED
    assert status["after_always"].outcome is Outcome.STALE
    assert not status["after_always"].certain
    assert status["always"].reasons == ("declared with cache=False",)


# ---------------------------------------------------------------------- running


def test_the_report_of_a_run(plant):
    plant.add_reactor(CHAIN)
    report = plant.run_reactor(shown)
    assert report.target == "shown"
    assert report.ran == ("numbers", "ordered", "shown")
    assert report.cached == report.failed == report.skipped == ()
    assert report.seconds >= 0
    assert report["ordered"].reasons == ("first run",)
    again = plant.run_reactor(shown)
    assert (again.ran, again.cached) == ((), ("numbers", "ordered", "shown"))
    assert again.saved > 0
    for form in (str(report), repr(report), report._repr_html_()):
        assert "3 ran" in form
        assert "has no result yet" not in form
    assert len(str(report).splitlines()) == 4
    assert max(map(len, report.text(80).splitlines())) <= 80


def test_a_target_that_sends_nothing_always_runs(plant, tmp_path):
    log = tmp_path / "log"

    @ReactorFunc
    def effect(pipe):
        values = yield pipe.receive("numbers")
        with log.open("a") as stream:
            stream.write(f"{values}\n")

    plant.add_reactor([numbers, effect])
    plant.run_reactor(effect)
    report = plant.run_reactor(effect)
    assert (report.ran, report.cached) == (("effect",), ("numbers",))
    assert report["effect"].reasons == ("sends nothing, so it always runs",)
    assert log.read_text() == "[3, 1, 2]\n" * 2


def test_force_runs_the_target_alone(plant):
    plant.add_reactor(CHAIN)
    plant.run_reactor(shown)
    report = plant.run_reactor(shown, force=True)
    assert report.ran == ("shown",)
    assert report["shown"].reasons == ("forced",)
    assert plant.run_reactor(ordered, force=True).ran == ("ordered",)
    assert plant.run_reactor(shown).ran == ()


def test_the_result_of_a_forced_run_wins(plant, tmp_path):
    number = tmp_path / "number"
    number.write_text("1")

    @ReactorFunc(track_reads=False)
    def impure(pipe):
        with open(tmp_path / "number") as stream:  # not compared: this is what force is for
            pipe.send("impure", int(stream.read()))

    @ReactorFunc
    def follows(pipe):
        pipe.send("follows", (yield pipe.receive("impure")) * 10)

    plant.add_reactor([impure, follows])
    assert plant.get("follows") == 10
    number.write_text("2")
    assert plant.get("follows") == 10
    plant.run_reactor(impure, force=True)
    assert plant.get("impure") == 2
    assert plant.get("follows") == 20
    with Plant(plant.directory) as later:
        later.add_reactor([impure, follows])
        assert later.get("follows") == 20
        assert later.run_reactor(follows).ran == ()


def test_keep_going_runs_reactors_that_do_not_depend_on_the_failure(plant):
    @ReactorFunc
    def breaks(pipe):
        raise ValueError("broken")

    @ReactorFunc
    def breaks_too(pipe):
        raise KeyError("broken too")
        pipe.send("never", 1)

    @ReactorFunc
    def needs_it(pipe):
        yield pipe.receive("never")

    @ReactorFunc
    def all_of_them(pipe):
        yield pipe.receive("x", "never", "ordered")

    @ReactorFunc
    def x(pipe):
        raise ZeroDivisionError("x")
        pipe.send("x", 1)

    plant.add_reactor([*CHAIN, breaks_too, needs_it, all_of_them, x])
    with pytest.raises(ExceptionGroup) as caught:
        plant.run_reactor(all_of_them, keep_going=True)
    kinds = {type(error) for error in caught.value.exceptions}
    assert kinds == {KeyError, ZeroDivisionError}
    assert plant.status()["ordered"].outcome is Outcome.CACHED
    # The control: without it the first failure ends the run.
    plant.invalidate(ordered)
    with pytest.raises((KeyError, ZeroDivisionError)):
        plant.run_reactor(all_of_them)


def test_keep_going_without_a_failure_returns_the_report(plant):
    plant.add_reactor(CHAIN)
    assert plant.run_reactor(shown, keep_going=True).ran == ("numbers", "ordered", "shown")


def test_an_exception_is_raised_unchanged_with_the_reactors_name(plant):
    class Own(Exception):
        pass

    @ReactorFunc
    def breaks(pipe):
        yield pipe.receive("numbers")
        raise Own("broken")

    plant.add_reactor([numbers, breaks])
    with pytest.raises(Own, match="broken") as caught:
        plant.run_reactor(breaks)
    assert any("'breaks'" in note for note in caught.value.__notes__)
    assert plant.run_reactor(numbers).cached == ("numbers",)
    assert plant.status()["breaks"].outcome is Outcome.FAILED


# ---------------------------------------------------------------------- values


def test_get_gives_one_value_or_several(plant):
    plant.add_reactor(CHAIN)
    assert plant.get("ordered") == [1, 2, 3]
    assert plant.get("shown", "numbers") == ("[1, 2, 3]", [3, 1, 2])


def test_get_returns_a_private_copy(plant):
    @ReactorFunc
    def array(pipe):
        pipe.send("array", np.zeros(100_000))

    plant.add_reactor([*CHAIN, array])
    for name in ("numbers", "array"):
        value = plant.get(name)
        value[0] = 99
        assert plant.get(name)[0] != 99
    with Plant(plant.directory) as later:
        later.add_reactor([array])
        assert later.get("array")[0] == 0


def test_a_change_of_a_received_value_reaches_no_other_reactor(plant):
    @ReactorFunc
    def array(pipe):
        value = np.zeros(100_000)
        pipe.send("array", value)
        value[:] = 1  # sending is a snapshot

    @ReactorFunc
    def spoils(pipe):
        array, values = yield pipe.receive("array", "numbers")
        array[:] = 2
        values.append(4)
        pipe.send("spoiled", float(array[0]))

    @ReactorFunc
    def looks(pipe):
        yield pipe.receive("spoiled")
        array, values = yield pipe.receive("array", "numbers")
        pipe.send("looks", [float(array[0]), len(values)])

    plant.add_reactor([numbers, array, spoils, looks])
    assert plant.get("looks") == [0, 3]


def test_fetch_ingredient_runs_nothing(plant):
    plant.add_reactor(CHAIN)
    with pytest.raises(errors.MissingIngredientError, match="no value of 'ordered'"):
        plant.fetch_ingredient("ordered")
    plant.get("ordered")
    started = []
    plant.add_event_listener(started.append)
    assert plant.fetch_ingredient("ordered") == [1, 2, 3]
    assert started == []


def test_fetch_ingredient_gives_an_older_value_with_a_warning(plant):
    plant.add_reactor(CHAIN)
    plant.set_config({"reverse": False})
    plant.get("ordered")
    plant.set_config({"reverse": True})
    with pytest.warns(errors.StaleWarning, match="'ordered' is not up to date"):
        assert plant.fetch_ingredient("ordered") == [1, 2, 3]
    plant.get("ordered")
    plant.set_config({"reverse": False})
    # The older of two, but the one that verifies: no warning.
    assert plant.fetch_ingredient("ordered") == [1, 2, 3]


def test_fetch_ingredient_finds_values_of_removed_reactors(plant):
    plant.add_reactor(CHAIN)
    plant.get("ordered")
    plant.remove_reactor(ordered)
    with pytest.warns(errors.StaleWarning):
        assert plant.fetch_ingredient("ordered") == [1, 2, 3]


def test_export_creates_a_folder_that_is_read_without_a_plant(plant, tmp_path):
    @ReactorFunc
    def more(pipe):
        pipe.send("array", np.arange(50_000))
        pipe.send("object/with: odd name", {"a": (1, 2)})
        path = pipe.allocate("file", Ingredient.Type.file, suffix=".txt")
        with open(path, "w") as stream:
            stream.write("text")
        pipe.send("file", path)
        hdf = pipe.allocate("hdf", specs.HdfArraySpec, shape=(3,), dtype="i4")
        hdf[:] = [1, 2, 3]
        pipe.send("hdf", hdf)

    plant.add_reactor([*CHAIN, more])
    names = ["ordered", "array", "object/with: odd name", "file", "hdf"]
    folder = plant.export(names, tmp_path / "exported")
    plant.close()
    import shutil

    shutil.rmtree(plant.directory)
    values = pyplant.load_ingredients(folder)
    assert list(values) == names
    assert values["ordered"] == [1, 2, 3]
    np.testing.assert_array_equal(values["array"], np.arange(50_000))
    assert values["object/with: odd name"] == {"a": (1, 2)}
    with open(values["file"]) as stream:
        assert stream.read() == "text"
    assert list(values["hdf"]) == [1, 2, 3]


def test_to_ask_for_a_reactor_as_an_ingredient_says_what_it_is(plant):
    @ReactorFunc
    def load(pipe):
        pipe.send("table", 1)

    plant.add_reactor(load)
    with pytest.raises(
        errors.MissingSenderError, match=r"a reactor: run it with plant.run_reactor\('load'\)"
    ):
        plant.get("load")


def test_export_refuses_a_folder_that_holds_something(plant, tmp_path):
    plant.add_reactor(CHAIN)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    with pytest.raises(errors.PlantDirError, match=r"holds other files \(precious\)"):
        plant.export(["ordered"], tmp_path / "full")
    assert (tmp_path / "full" / "precious").read_text() == "x"


# ---------------------------------------------------------------------- configuration


class Nested(ConfigBase):
    def __init__(self):
        self.depth = 3
        self.width = 4


class Config(ConfigBase):
    kind = "linear"

    def __init__(self):
        self.model = Nested()
        self.level = "info"
        self.mark_auxiliary(["level"])

    def total(self):
        return self.model.depth + self.model.width


def test_config_returns_the_object_that_was_set(plant):
    config = Config()
    plant.set_config(config)
    assert plant.config is config
    plant.set_config({"a": 1})
    assert plant.config == {"a": 1}


def test_nested_configurations_count_at_the_leaf_that_was_read(plant):
    @ReactorFunc
    def deep(pipe, config):
        pipe.send("deep", config.model.depth)

    plant.add_reactor(deep)
    config = Config()
    plant.set_config(config)
    assert plant.get("deep") == 3
    config.model.width = 5
    config.kind = "cubic"
    plant.set_config(config)
    assert plant.run_reactor(deep).ran == ()
    config.model.depth = 5
    plant.set_config(config)
    assert plant.run_reactor(deep).ran == ("deep",)
    assert plant.get("deep") == 5


def test_reading_an_absent_parameter_registers_its_absence(plant):
    @ReactorFunc
    def optional(pipe, config):
        pipe.send("optional", getattr(config, "extra", "none"))

    plant.add_reactor(optional)
    plant.set_config({"other": 1})
    assert plant.get("optional") == "none"
    plant.set_config({"other": 2})
    assert plant.run_reactor(optional).ran == ()
    plant.set_config({"other": 1, "extra": "some"})
    assert plant.run_reactor(optional)["optional"].reasons == ("parameter 'extra' was added",)
    assert plant.get("optional") == "some"
    plant.set_config({"other": 1})
    assert plant.run_reactor(optional).ran == ()


def test_a_parameter_that_is_auxiliary_no_longer_counts_again(plant_dir):
    @ReactorFunc
    def reads(pipe):
        pipe.send("level", pipe.read_config("level"))

    with Plant(plant_dir) as plant:
        plant.add_reactor(reads)
        plant.mark_params_as_auxiliary(["level"])
        plant.set_config({"level": "info"})
        plant.get("level")
    with Plant(plant_dir) as plant:
        plant.add_reactor(reads)
        plant.set_config({"level": "info"})
        assert plant.run_reactor(reads)["reads"].reasons == ("parameter 'level' is no longer auxiliary",)


def test_a_function_as_a_parameter_counts_by_its_code(plant, module_at):
    @ReactorFunc
    def applies(pipe, config):
        pipe.send("applied", config.function(4))

    plant.add_reactor(applies)
    text = "def f(x):\n    return helper(x) + 1\n\ndef helper(x):\n    return x * 2\n"
    plant.set_config({"function": module_at("chosen", text).f})
    assert plant.get("applied") == 9
    commented = text.replace("x * 2", "x * 2  # twice")
    plant.set_config({"function": module_at("chosen_again", commented).f})
    assert plant.run_reactor(applies).ran == ()
    plant.set_config({"function": module_at("another", text.replace("x * 2", "x * 3")).f})
    assert plant.get("applied") == 13


def test_parameters_reach_reactors_as_private_copies(plant):
    @ReactorFunc
    def spoils(pipe, config):
        config.start.append(1)
        pipe.read_config("start").append(2)
        pipe.send("spoiled", config.start)

    plant.add_reactor(spoils)
    config = {"start": [0]}
    plant.set_config(config)
    assert plant.get("spoiled") == [0]
    assert config == {"start": [0]}


@pytest.mark.parametrize("name", ["values", "items", "keys", "get"])
def test_a_parameter_may_be_called_like_a_method_of_a_dict(name, plant):
    @ReactorFunc
    def reads(pipe, config):
        pipe.send("read", [getattr(config, name), config[name], pipe.read_config(name)])

    plant.add_reactor(reads)
    plant.set_config({name: 5})
    assert plant.get("read") == [5, 5, 5]


# ---------------------------------------------------------------------- pipework


def test_several_ingredients_are_received_at_once(plant):
    @ReactorFunc
    def both(pipe):
        a, b = yield pipe.receive("numbers", "ordered")
        pipe.send("both", a + b)

    plant.add_reactor([*CHAIN, both])
    assert plant.get("both") == [3, 1, 2, 1, 2, 3]


def test_an_array_is_allocated_filled_and_sent(plant):
    @ReactorFunc
    def fills(pipe):
        array = pipe.allocate("filled", Ingredient.Type.array, shape=(3, 2), dtype="f4")
        array[:] = 5
        pipe.send("filled", array)

    plant.add_reactor(fills)
    value = plant.get("filled")
    assert (value.dtype, value.shape, value.sum()) == (np.float32, (3, 2), 30)


def test_temporary_files_are_removed_when_the_reactor_ends(plant):
    @ReactorFunc
    def scratches(pipe):
        scratch = pipe.allocate_temp("scratch", Ingredient.Type.array, shape=(4,), dtype="f8")
        scratch[:] = 2
        path = pipe.allocate_temp("file", Ingredient.Type.file, suffix=".txt")
        with open(path, "w") as stream:
            stream.write("text")
        with open(path) as stream:
            pipe.send("text", stream.read())
        pipe.send("total", float(scratch.sum()))

    plant.add_reactor(scratches)
    assert plant.get("total", "text") == (8, "text")
    assert [path for path in (plant.directory / "tmp").rglob("*") if path.is_file()] == []
    assert "scratch" not in plant.status()["scratches"].outputs


def test_a_parameter_is_read_without_depending_on_it(plant):
    @ReactorFunc
    def reads(pipe):
        pipe.send("kept", pipe.read_config("kept"))
        assert pipe.read_config_unregistered("free")

    plant.add_reactor(reads)
    plant.set_config({"kept": 1, "free": 1})
    plant.get("kept")
    plant.set_config({"kept": 1, "free": 2})
    assert plant.run_reactor(reads).ran == ()


def test_the_content_of_an_input_file_is_a_dependency(plant, tmp_path):
    path = tmp_path / "input.txt"
    path.write_text("one")

    @ReactorFunc
    def reads(pipe):
        with open(pipe.input_file(path)) as stream:
            pipe.send("text", stream.read())

    plant.add_reactor(reads)
    assert plant.get("text") == "one"
    path.write_text("one")
    assert plant.run_reactor(reads).ran == ()
    path.write_text("two")
    report = plant.run_reactor(reads)
    assert report.ran == ("reads",)
    assert "input.txt changed" in report["reads"].reasons[0]
    assert plant.get("text") == "two"
    path.write_text("one")
    assert plant.run_reactor(reads).ran == ()


def test_a_file_that_changes_while_it_is_read_is_not_trusted(plant, tmp_path):
    path = tmp_path / "input.txt"
    path.write_text("one")

    @ReactorFunc
    def reads(pipe):
        with open(pipe.input_file(path)) as stream:
            pipe.send("text", stream.read())
        path.write_text("changed meanwhile")

    plant.add_reactor(reads)
    with pytest.warns(errors.UnsavedWarning, match="changed while 'reads' read it"):
        assert plant.get("text") == "one"
    assert plant.get("text") == "changed meanwhile"


def test_listeners_receive_progress(plant):
    @ReactorFunc
    def loops(pipe):
        pipe.send("sum", sum(pipe.progress([1, 2, 3], "adding")))
        pipe.send("count", sum(1 for _ in pipe.progress(iter("ab"), total=2)))

    seen = []
    plant.add_event_listener(seen.append)
    plant.add_reactor(loops)
    assert plant.get("sum", "count") == (6, 2)
    told = [(e.description, e.done, e.total) for e in seen if isinstance(e, events.ProgressAdvanced)]
    assert ("adding", 0, 3) in told
    assert ("adding", 3, 3) in told
    assert ("", 2, 2) in told


def test_a_bare_yield_is_allowed_and_other_values_are_not(plant):
    @ReactorFunc
    def bare(pipe):
        assert (yield) is None
        pipe.send("bare", 1)

    @ReactorFunc
    def wrong(pipe):
        yield 42

    plant.add_reactor([bare, wrong])
    assert plant.get("bare") == 1
    with pytest.raises(errors.RunError, match=r"'wrong' yielded int; .*pipe\.send\(name, value\)"):
        plant.run_reactor(wrong)


# ---------------------------------------------------------------------- looking


def test_status_returns_the_state_of_every_reactor_and_runs_nothing(plant):
    plant.add_reactor(CHAIN)
    started = []
    plant.add_event_listener(started.append)
    assert outcomes(plant.status()) == {"numbers": "new", "ordered": "new", "shown": "new"}
    plant.get("shown")
    started.clear()
    status = plant.status()
    assert outcomes(status) == {"numbers": "cached", "ordered": "cached", "shown": "cached"}
    assert status["ordered"].outputs == ("ordered",)
    assert status["ordered"].size > 0
    assert status["ordered"].finished > 0
    plant.set_config({"reverse": True})
    status = plant.status()
    assert outcomes(status) == {"numbers": "cached", "ordered": "stale", "shown": "stale"}
    assert (status["ordered"].certain, status["shown"].certain) == (True, False)
    assert started == []
    for form in (str(status), status._repr_html_()):
        assert "2 stale" in form


def test_status_during_a_run_shows_running_and_waiting_reactors(plant):
    seen = {}

    def look(event):
        if isinstance(event, events.ReactorStarted) and event.reactor == "numbers":
            seen.update(outcomes(plant.status()))

    plant.add_event_listener(look)
    plant.add_reactor(CHAIN)
    plant.get("shown")
    assert seen["numbers"] == "running"
    assert seen["ordered"] == "waiting"


def test_explain_gives_the_diff_the_values_and_the_chain_of_causes(plant, module_at):
    text = """
        from pyplant import ReactorFunc

        FACTOR = 2

        def scale(x):
            return x * FACTOR

        @ReactorFunc
        def source(pipe, config):
            pipe.send("source", scale(config.start))

        @ReactorFunc
        def target(pipe):
            pipe.send("target", (yield pipe.receive("source")) + 1)
    """
    import importlib

    module = module_at("explained", text)
    plant.set_config({"start": 1})
    plant.run_reactor(module.target)
    assert "up to date" in plant.explain("target").title()

    plant.set_config({"start": 5})
    (cause,) = plant.explain("source").causes
    assert (cause.name, cause.old, cause.new) == ("start", "1", "5")
    assert cause.summary == "parameter 'start' changed: 1 → 5"
    (cause,) = plant.explain("target").causes
    assert "'source', sent by 'source'" in cause.summary
    assert cause.causes[0].summary == "parameter 'start' changed: 1 → 5"

    plant.set_config({"start": 1})
    module_at("explained", text.replace("x * FACTOR", "x + FACTOR"), load=False)
    importlib.reload(module)
    (cause,) = plant.explain("source").causes
    assert "scale()" in cause.summary
    assert "-    return x * FACTOR" in cause.diff
    assert "+    return x + FACTOR" in cause.diff

    module_at("explained", text.replace("FACTOR = 2", "FACTOR = 3"), load=False)
    importlib.reload(module)
    (cause,) = plant.explain("source").causes
    assert (cause.old, cause.new) == ("2", "3")
    assert "FACTOR" in cause.summary
    assert "FACTOR" in plant.explain("target").text()
    assert "FACTOR" in plant.explain("target")._repr_html_()


def test_plan_lists_certain_and_uncertain_runs(plant):
    plant.add_reactor(CHAIN)
    assert plant.plan(shown).will_run == ("numbers", "ordered", "shown")
    plant.get("shown")
    assert plant.plan("shown").cached == ("numbers", "ordered", "shown")
    plant.set_config({"reverse": True})
    plan = plant.plan(shown)
    assert (plan.cached, plan.will_run, plan.may_run) == (("numbers",), ("ordered",), ("shown",))
    assert "1 may run" in str(plan)
    assert plant.run_reactor(shown).ran == ("ordered", "shown")


def test_plan_is_uncertain_below_a_stale_reactor(plant):
    plant.add_reactor([always, after_always])
    plant.get("after")
    plan = plant.plan(after_always)
    assert (plan.will_run, plan.may_run) == (("always",), ("after_always",))
    assert plant.run_reactor(after_always).ran == ("always",)


def test_history_gives_past_executions_newest_first(plant):
    plant.add_reactor(CHAIN)
    for reverse in (False, True):
        plant.set_config({"reverse": reverse})
        plant.get("ordered")
    history = plant.history("ordered")
    assert len(history) == 2
    assert [entry.parameters["reverse"] for entry in history] == ["True", "False"]
    assert history[0].finished >= history[1].finished > 0
    assert history[0].outputs.keys() == {"ordered"}
    assert "2 stored executions" in str(history)


def test_graph_is_a_graphviz_graph_before_and_after_the_first_run(plant):
    import graphviz

    plant.add_reactor(CHAIN)
    for _ in range(2):
        graph = plant.graph()
        assert isinstance(graph, graphviz.Digraph)
        for word in ("numbers", "ordered", "shown", "->"):
            assert word in graph.source
        plant.get("shown")


def test_show_graph_is_a_tree_of_text_without_a_front_end(plant, capsys):
    plant.add_reactor(CHAIN)
    plant.show_graph()
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert [line.strip().split()[1] for line in lines[1:]] == ["shown", "ordered", "numbers"]
    assert [len(line) - len(line.lstrip()) for line in lines[1:]] == [0, 3, 6]


# ---------------------------------------------------------------------- upkeep


def test_invalidate_forgets_the_executions_of_a_reactor_and_of_no_other(plant):
    plant.add_reactor(CHAIN)
    plant.get("shown")
    plant.invalidate("ordered")
    assert plant.status()["ordered"].reasons == ("invalidated",)
    report = plant.run_reactor(shown)
    assert (report.ran, set(report.cached)) == (("ordered",), {"numbers", "shown"})
    assert report["ordered"].reasons == ("invalidated",)


def test_invalidate_is_durable_before_it_returns(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor(CHAIN)
        plant.get("shown")
        plant.invalidate(ordered)
        # The plant is not closed: another one sees what is on the disk.
        with Plant(plant_dir) as other:
            other.add_reactor(CHAIN)
            assert other.run_reactor(shown).ran == ("ordered",)


def test_invalidate_forgets_every_configuration(plant):
    plant.add_reactor(CHAIN)
    for reverse in (False, True):
        plant.set_config({"reverse": reverse})
        plant.get("ordered")
    plant.invalidate(ordered)
    assert len(plant.history(ordered)) == 0
    for reverse in (False, True):
        plant.set_config({"reverse": reverse})
        assert plant.run_reactor(ordered).ran == ("ordered",)


def test_gc_keeps_what_the_current_reactors_need(plant_dir):
    @ReactorFunc
    def big(pipe, config):
        pipe.send("big", np.full(100_000, config.value))

    with Plant(plant_dir, max_size=0) as plant:
        plant.add_reactor(big)
        plant.set_config({"value": 1.0})
        plant.get("big")
        plant.gc()
        assert plant.run_reactor(big).ran == ()
        assert plant.get("big")[0] == 1


def test_fsck_finds_damage_and_repairs_it(plant):
    @ReactorFunc
    def big(pipe):
        pipe.send("big", np.arange(100_000.0))

    plant.add_reactor(big)
    plant.get("big")
    assert plant.fsck().is_clean
    (path,) = (p for p in (plant.directory / "objects").rglob("*") if p.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    assert not plant.fsck().is_clean
    plant.fsck(repair=True)
    np.testing.assert_array_equal(plant.get("big"), np.arange(100_000.0))
    assert plant.fsck().is_clean


# ---------------------------------------------------------------------- listeners


def test_listeners_receive_frozen_events_in_order(plant):
    seen = []
    plant.add_event_listener(seen.append)
    plant.add_reactor(CHAIN)
    plant.run_reactor(ordered)
    kinds = [type(event).__name__ for event in seen]
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunFinished"
    assert kinds.index("ReactorWaiting") < kinds.index("ReactorResumed") < kinds.index("IngredientReceived")
    assert {"ReactorStarted", "ReactorFinished", "IngredientSent"} <= set(kinds)
    with pytest.raises(AttributeError):
        seen[0].targets = ()
    assert seen[-1].report.ran == ("numbers", "ordered")
    seen.clear()
    plant.run_reactor(ordered)
    assert [type(event).__name__ for event in seen].count("ReactorCached") == 2


def test_a_removed_listener_receives_nothing(plant):
    seen = []
    plant.add_event_listener(seen.append)
    plant.remove_event_listener(seen.append)
    plant.remove_event_listener(seen.append)
    plant.add_reactor([numbers])
    plant.get("numbers")
    assert seen == []


def test_a_listener_that_raises_does_not_reach_the_run(plant, caplog):
    def raises(event):
        raise RuntimeError("listener")

    plant.add_event_listener(raises)
    plant.add_reactor([numbers])
    assert plant.get("numbers") == [3, 1, 2]
    assert "listener" in caplog.text


# ---------------------------------------------------------------------- nested runs and threads


def test_a_run_inside_a_reactor_points_to_receive(plant):
    @ReactorFunc
    def nested(pipe):
        calls[kind]()

    calls = {
        "run_reactor": lambda: plant.run_reactor("numbers"),
        "get": lambda: plant.get("numbers"),
        "export": lambda: plant.export(["numbers"], "nowhere"),
    }
    plant.add_reactor([numbers, nested])
    for kind in calls:
        with pytest.raises(errors.NestedRunError, match=r"inside a reactor.*x = yield pipe\.receive\('x'\)"):
            plant.run_reactor(nested)
    assert plant.get("numbers") == [3, 1, 2]


def test_a_reactor_that_mentions_another_does_not_send_what_that_one_sends(plant):
    @ReactorFunc
    def mentions(pipe):
        pipe.send("name", numbers.__name__)

    plant.add_reactor([numbers, mentions])
    assert plant.get("name", "numbers") == ("numbers", [3, 1, 2])


def test_a_second_thread_waits_for_the_run_under_way(plant):
    entered, go_on = threading.Event(), threading.Event()

    def listener(event):
        if isinstance(event, events.ReactorStarted) and event.reactor == "numbers":
            entered.set()
            assert go_on.wait(60)

    plant.add_event_listener(listener)
    plant.add_reactor(CHAIN)
    results = []
    first = threading.Thread(target=lambda: results.append(plant.run_reactor(shown).ran))
    first.start()
    assert entered.wait(60)
    second = threading.Thread(target=lambda: results.append(plant.run_reactor(shown).ran))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    assert results == []
    go_on.set()
    first.join(60)
    second.join(60)
    assert results == [("numbers", "ordered", "shown"), ()]


# ---------------------------------------------------------------------- known is not present


def objects(plant):
    return [path for path in (plant.directory / "objects").rglob("*") if path.is_file()]


@ReactorFunc
def large(pipe):
    pipe.send("large", np.arange(50_000.0))


@ReactorFunc
def summed(pipe):
    pipe.send("summed", float((yield pipe.receive("large")).sum()))


@ReactorFunc
def doubled(pipe, config):
    values = yield pipe.receive("large")
    pipe.send("doubled", float(values.sum()) * config.factor)


def test_a_lost_value_is_computed_again_only_when_requested(plant):
    plant.add_reactor([large, summed, doubled])
    plant.set_config({"factor": 2})
    plant.get("summed", "doubled")
    for path in objects(plant):
        path.unlink()
    assert plant.run_reactor(summed).ran == ()
    plant.set_config({"factor": 3})
    report = plant.run_reactor(doubled)
    assert set(report.ran) == {"large", "doubled"}
    assert report["large"].reasons == ("the stored value of 'large' is gone",)
    assert plant.run_reactor(summed).ran == ()


def test_a_nondeterministic_reactor_is_marked_and_its_receivers_are_checked_again(plant, tmp_path):
    path = tmp_path / "hidden"
    path.write_text("1")

    @ReactorFunc(track_reads=False)
    def fickle(pipe):
        with open(tmp_path / "hidden") as stream:
            pipe.send("fickle", np.full(50_000, float(stream.read())))

    @ReactorFunc
    def first(pipe):
        pipe.send("first", float((yield pipe.receive("fickle"))[0]))

    @ReactorFunc
    def both(pipe, config):
        first, fickle = yield pipe.receive("first", "fickle")
        pipe.send("both", [first, float(fickle[0]), config.k])

    plant.add_reactor([fickle, first, both])
    plant.set_config({"k": 1})
    assert plant.get("both") == [1, 1, 1]
    for stored in objects(plant):
        stored.unlink()
    path.write_text("2")
    plant.set_config({"k": 2})
    with pytest.warns(errors.NondeterministicWarning, match="'fickle'"):
        assert plant.get("both") == [2, 2, 2]
    assert plant.run_reactor(both).ran == ()


def test_a_stored_execution_with_a_vanished_input_is_not_an_error(plant):
    @ReactorFunc
    def extra(pipe):
        pipe.send("extra", 5)

    @ReactorFunc
    def chooses(pipe):
        value = 0
        if pipe.read_config_unregistered("use"):
            value = yield pipe.receive("extra")
        pipe.send("chosen", value)

    plant.add_reactor([extra, chooses])
    plant.set_config({"use": True})
    assert plant.get("chosen") == 5
    plant.remove_reactor(extra)
    plant.set_config({"use": False})
    assert plant.get("chosen") == 0


# ---------------------------------------------------------------------- state and code that change meanwhile


def test_a_global_that_a_reactor_changes_is_followed_as_it_was_before(plant, module_at):
    text = """
        from pyplant import ReactorFunc

        LOG = []

        @ReactorFunc
        def logs(pipe):
            LOG.append(1)
            pipe.send("logged", 1)
    """
    module = module_at("logging_reactor", text)
    for _ in range(2):
        assert plant.run_reactor("logs").ran == ("logs",)
        assert plant.run_reactor("logs").ran == ()
        module.LOG.append(2)


def test_code_that_changes_while_it_runs_causes_a_warning_and_nothing_is_stored(plant, module_at):
    text = """
        from pyplant import ReactorFunc

        def helper():
            return 1

        @ReactorFunc
        def replaces(pipe):
            value = helper()
            globals()["helper"] = lambda: 2
            pipe.send("value", value)
    """
    module_at("replacing", text)
    with pytest.warns(errors.PlantWarning):
        assert plant.get("value") == 1
    assert plant.get("value") == 2
    assert plant.run_reactor("replaces").ran == ()


def test_a_subreactor_found_only_at_run_time_counts(plant, module_at):
    text = """
        from pyplant import ReactorFunc, SubreactorFunc

        @SubreactorFunc
        def part_a(pipe):
            return 1

        @ReactorFunc
        def whole(pipe):
            part = globals()["part_" + pipe.read_config("letter")]
            pipe.send("whole", (yield from part(pipe)))
    """
    import importlib

    module = module_at("dynamic_parts", text)
    plant.set_config({"letter": "a"})
    assert plant.get("whole") == 1
    assert plant.run_reactor("whole").ran == ()
    module_at("dynamic_parts", text.replace("return 1", "return 2"), load=False)
    importlib.reload(module)
    assert plant.get("whole") == 2
    module_at("dynamic_parts", text, load=False)
    importlib.reload(module)
    assert plant.run_reactor("whole").ran == ()


# ---------------------------------------------------------------------- options of the plant


def test_function_hash_replaces_the_fingerprint(plant_dir):
    version = ["1"]

    def run():
        @ReactorFunc
        def versioned(pipe):
            pipe.send("versioned", 1)

        with Plant(plant_dir, function_hash=lambda function: version[0]) as plant:
            plant.add_reactor(versioned)
            return plant.run_reactor(versioned).ran

    assert run() == ("versioned",)
    assert run() == ()
    version[0] = "2"
    assert run() == ("versioned",)


@pytest.mark.parametrize("progress", [True, False, "auto"])
def test_progress_takes_three_values(progress, plant_dir):
    with Plant(plant_dir, progress=progress) as plant:
        plant.add_reactor(CHAIN)
        assert plant.get("ordered") == [1, 2, 3]


def test_progress_is_silent_where_there_is_no_terminal(plant_dir, capfd):
    with Plant(plant_dir) as plant:
        plant.add_reactor(CHAIN)
        plant.get("ordered")
    assert capfd.readouterr() == ("", "")


def test_max_size_bounds_history(plant_dir):
    @ReactorFunc
    def big(pipe, config):
        pipe.send("big", np.full(100_000, float(config.version)))
        pipe.send("version", config.version)

    with Plant(plant_dir, max_size="2 MB") as plant:
        plant.add_reactor(big)
        for version in range(10):
            plant.set_config({"version": version})
            plant.get("big")
        plant.gc()
        kept = sum(path.stat().st_size for path in objects(plant))
        assert plant.run_reactor(big).ran == ()
    assert kept >= 800_000


def test_track_packages_adds_versions(plant_dir, monkeypatch):
    @ReactorFunc
    def uses(pipe):
        pipe.send("version", np.square(2.0).item())

    from importlib import metadata

    real = metadata.version
    with Plant(plant_dir) as plant:
        plant.add_reactor(uses)
        plant.run_reactor(uses)
    monkeypatch.setattr(metadata, "version", lambda name: "99.9" if name == "numpy" else real(name))
    with Plant(plant_dir) as plant:
        plant.add_reactor(uses)
        assert plant.run_reactor(uses).ran == ()
    with Plant(plant_dir, track_packages=["numpy"]) as plant:
        plant.add_reactor(uses)
        assert plant.run_reactor(uses).ran == ("uses",)
        assert plant.run_reactor(uses).ran == ()
    monkeypatch.setattr(metadata, "version", lambda name: "99.10" if name == "numpy" else real(name))
    with Plant(plant_dir, track_packages=["numpy"]) as plant:
        plant.add_reactor(uses)
        assert plant.run_reactor(uses).ran == ("uses",)
