"""Wrong input raises one error at once, which says what is wrong and what to do; no result is lost."""

import os
import shutil
import socket
import textwrap
import threading

import numpy as np
import pytest

from pyplant import ConfigBase, Ingredient, Plant, ReactorFunc, SubreactorFunc, errors, specs
from tests.conformance.helpers import module_at  # noqa: F401

NOBODY = 65534


@ReactorFunc
def kept(pipe):
    pipe.send("kept", list(range(5)))


@ReactorFunc
def kept_too(pipe):
    pipe.send("kept too", sum((yield pipe.receive("kept"))))


@pytest.fixture
def plant(plant_dir):
    """A plant with results, which must still be there after the error."""
    with Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        plant.get("kept too")
        yield plant
        assert plant.run_reactor(kept_too).ran == ()
    with Plant(plant_dir) as later:
        later.add_reactor([kept, kept_too])
        assert later.run_reactor(kept_too).ran == ()
        assert later.fsck().is_clean


def refused(call, kind, *words):
    """Assert that ``call`` raises one error of this kind, whose message contains the words."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"
    assert "\n" not in message
    assert isinstance(caught.value, errors.PlantError)
    # One error: not one that came up while another was dealt with, nor a group.
    context = caught.value.__context__
    assert context is None or caught.value.__suppress_context__ or caught.value.__cause__ is context
    assert not isinstance(caught.value, BaseExceptionGroup)
    return caught.value


def test_the_control_an_error_that_names_nothing_is_not_accepted():
    def vague():
        raise errors.RunError("something went wrong")

    with pytest.raises(AssertionError):
        refused(vague, errors.RunError, "'data'")


# ---------------------------------------------------------------------- definitions


def plain(pipe):
    pass


@SubreactorFunc
def subreactor(pipe):
    return 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (plain, ["plain is not a reactor", "@ReactorFunc"]),
        (subreactor, ["subreactor is not a reactor", "yield from"]),
        (len, ["len is not a reactor", "@ReactorFunc"]),
        (42, ["42 is not a reactor", "decorated function, or its name"]),
    ],
    ids=["function", "subreactor", "builtin", "number"],
)
@pytest.mark.parametrize("call", ["run_reactor", "add_reactor", "explain", "plan", "history", "invalidate"])
def test_a_function_that_is_not_a_reactor(call, wrong, words, plant):
    refused(lambda: getattr(plant, call)(wrong), errors.NotAReactorError, *words)


def test_a_list_with_a_function_that_is_not_a_reactor_adds_none(plant):
    @ReactorFunc
    def fine(pipe):
        pass

    refused(lambda: plant.add_reactor([fine, plain]), errors.NotAReactorError, "plain")
    assert "fine" not in {entry.name for entry in plant.status()}


def test_an_unknown_reactor_suggests_similar_names(plant):
    refused(
        lambda: plant.run_reactor("kept_to"),
        errors.UnknownReactorError,
        "'kept_to'",
        "Did you mean 'kept_too'",
    )
    refused(
        lambda: plant.run_reactor("qqq"), errors.UnknownReactorError, "'qqq'", "Known are: kept, kept_too"
    )


SIGNATURES = {
    "nothing": ("def wrong(): pass", "()"),
    "three": ("def wrong(pipe, config, third): pass", "(pipe, config, third)"),
    "a needed keyword": ("def wrong(pipe, *, key): pass", "(pipe, *, key)"),
    "keywords only": ("def wrong(**options): pass", "(**options)"),
}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_wrong_signature(signature):
    source, shown = SIGNATURES[signature]
    namespace = {"__name__": __name__}
    exec(source, namespace)
    refused(
        lambda: ReactorFunc(namespace["wrong"]),
        errors.DefinitionError,
        "'wrong'",
        f"signature {shown}",
        "(pipe) or (pipe, config)",
    )


def test_an_async_function():
    async def wrong(pipe):
        pass

    refused(lambda: ReactorFunc(wrong), errors.DefinitionError, "wrong", "is async", "generators")


def test_an_object_that_is_not_a_function():
    class Callable:
        def __call__(self, pipe):
            pass

    refused(lambda: ReactorFunc(Callable()), errors.NotAReactorError, "Callable", "wrap it in a function")
    refused(lambda: ReactorFunc(Callable), errors.NotAReactorError, "Callable")
    refused(lambda: SubreactorFunc(Callable()), errors.NotAReactorError, "Callable")


# ---------------------------------------------------------------------- names


def test_two_reactors_that_send_one_name(plant):
    @ReactorFunc
    def one(pipe):
        pipe.send("data", 1)

    @ReactorFunc
    def two(pipe):
        pipe.send("data", 2)

    plant.add_reactor([one, two])
    refused(lambda: plant.get("data"), errors.DuplicateSenderError, "'data'", "'one'", "'two'", "Rename one")
    plant.remove_reactor(two)
    assert plant.get("data") == 1


def test_two_reactors_that_send_one_computed_name(plant):
    name = "-".join(["da", "ta"])

    @ReactorFunc
    def one(pipe):
        pipe.send(name, 1)
        pipe.send("first", 1)

    @ReactorFunc
    def two(pipe):
        pipe.send(name, 2)
        pipe.send("second", 1)

    @ReactorFunc
    def both(pipe):
        yield pipe.receive("first")
        yield pipe.receive("second")

    plant.add_reactor([one, two, both])
    refused(lambda: plant.run_reactor(both), errors.DuplicateSenderError, "'da-ta'", "'one'", "'two'")


def test_two_reactors_with_one_short_name(plant, module_at):
    text = "from pyplant import ReactorFunc\n\n@ReactorFunc\ndef load(pipe):\n    pipe.send('%s', 1)\n"
    for module in ("first_module", "second_module"):
        plant.add_reactor(module_at(module, text % module).load)
    refused(
        lambda: plant.run_reactor("load"),
        errors.UnknownReactorError,
        "'load'",
        "'first_module.load'",
        "'second_module.load'",
    )
    assert plant.run_reactor("second_module.load").ran == ("load",)


@pytest.mark.parametrize("demand", ["receive", "get"])
def test_a_name_without_sender_suggests_similar_names(demand, plant):
    @ReactorFunc
    def waits(pipe):
        yield pipe.receive("kpet")

    plant.add_reactor(waits)
    call = {"receive": lambda: plant.run_reactor(waits), "get": lambda: plant.get("kpet")}[demand]
    error = refused(call, errors.MissingSenderError, "'kpet'", "Did you mean 'kept', sent by 'kept'?")
    assert ("'waits' waits for" in str(error)) is (demand == "receive")


def test_a_name_without_similar_ones_says_how_to_send_it(plant):
    refused(lambda: plant.get("zzz"), errors.MissingSenderError, "'zzz'", "pipe.send('zzz', value)")


def test_a_reactor_that_ends_without_sending_a_requested_name(plant):
    @ReactorFunc
    def perhaps(pipe, config):
        if config.get("send", False):
            pipe.send("maybe", 1)

    @ReactorFunc
    def waits(pipe):
        pipe.send("waited", (yield pipe.receive("maybe")))

    plant.add_reactor([perhaps, waits])
    refused(lambda: plant.get("waited"), errors.MissingSenderError, "'waits' waits for", "'maybe'")
    plant.set_config({"send": True})
    assert plant.get("waited") == 1


@pytest.mark.parametrize("name", ["", None, 3], ids=repr)
def test_an_invalid_name(name, plant):
    @ReactorFunc
    def sends(pipe):
        pipe.send(name, 1)

    @ReactorFunc
    def receives(pipe):
        yield pipe.receive(name)

    plant.add_reactor([sends, receives])
    for reactor, method in ((sends, "send"), (receives, "receive")):
        refused(lambda: plant.run_reactor(reactor), errors.IngredientError, f"pipe.{method}", "a string")  # noqa: B023
    refused(lambda: plant.get(name), errors.MissingIngredientError, "names of ingredients")


def test_a_cycle_is_reported_with_its_path(plant):
    @ReactorFunc
    def one(pipe):
        pipe.send("a", (yield pipe.receive("c")))

    @ReactorFunc
    def two(pipe):
        pipe.send("b", (yield pipe.receive("a")))

    @ReactorFunc
    def three(pipe):
        pipe.send("c", (yield pipe.receive("b")))

    plant.add_reactor([one, two, three])
    error = refused(lambda: plant.get("a"), errors.CycleError, "in a circle", "Break it")
    steps = ["'c' from 'three'", "'b' from 'two'", "'a' from 'one'"]
    places = [str(error).index(step) for step in steps]
    turned = places.index(min(places))
    assert places[turned:] + places[:turned] == sorted(places)


def test_a_reactor_that_waits_for_itself(plant):
    @ReactorFunc
    def alone(pipe):
        pipe.send("a", (yield pipe.receive("a")))

    plant.add_reactor(alone)
    refused(lambda: plant.get("a"), errors.CycleError, "'alone' waits for 'a' from 'alone'")


# ---------------------------------------------------------------------- receiving


def never_used(pipe):
    pipe.receive("kept")


def used_as_a_number(pipe):
    pipe.send("x", pipe.receive("kept") + 1)


def used_by_attribute(pipe):
    pipe.receive("kept").append(1)


def used_by_item(pipe):
    pipe.receive("kept")[0]


def iterated_over(pipe):
    for _ in pipe.receive("kept"):
        pass


def counted(pipe):
    len(pipe.receive("kept"))


def asked_whether(pipe):
    if pipe.receive("kept"):
        pass


def sent_on(pipe):
    pipe.send("x", pipe.receive("kept"))


def returned(pipe):
    return pipe.receive("kept")


def made_an_array(pipe):
    np.asarray(pipe.receive("kept")).sum()


def one_of_two(pipe):
    kept = pipe.receive("kept")
    yield pipe.receive("kept too")
    del kept


NEVER_YIELDED = [
    never_used,
    used_as_a_number,
    used_by_attribute,
    used_by_item,
    iterated_over,
    counted,
    asked_whether,
    sent_on,
    returned,
    made_an_array,
    one_of_two,
]


@pytest.mark.parametrize("function", NEVER_YIELDED, ids=lambda f: f.__name__)
def test_a_receive_that_was_never_yielded_shows_the_fix(function, plant):
    reactor = ReactorFunc(function)
    plant.add_reactor(reactor)
    refused(
        lambda: plant.run_reactor(reactor),
        errors.NotYieldedError,
        "pipe.receive('kept')",
        "kept = yield pipe.receive('kept')",
    )


def test_a_subreactor_called_without_yield_from_shows_the_fix(plant):
    @ReactorFunc
    def forgets(pipe):
        subreactor(pipe)
        pipe.send("x", 1)

    @ReactorFunc
    def uses(pipe):
        pipe.send("x", subreactor(pipe) + 1)

    @ReactorFunc
    def only_yields(pipe):
        yield subreactor(pipe)

    plant.add_reactor([forgets, uses, only_yields])
    for reactor in (forgets, uses, only_yields):
        refused(
            lambda: plant.run_reactor(reactor),  # noqa: B023
            errors.NotYieldedError,
            "'subreactor'",
            "value = yield from subreactor(",
        )


# ---------------------------------------------------------------------- sending


def test_sending_twice(plant):
    @ReactorFunc
    def sends(pipe):
        pipe.send("twice", 1)
        pipe.send("twice", 2)

    plant.add_reactor(sends)
    refused(lambda: plant.get("twice"), errors.SentTwiceError, "'sends'", "'twice'", "two names")
    with pytest.raises(errors.MissingIngredientError):
        plant.fetch_ingredient("twice")


def test_sending_a_value_that_must_be_allocated(plant):
    @ReactorFunc
    def sends_a_file(pipe):
        pipe.send("report", "/some/path", Ingredient.Type.file)

    @ReactorFunc
    def sends_hdf(pipe):
        pipe.send("cube", np.zeros(3), specs.HdfArraySpec)

    plant.add_reactor([sends_a_file, sends_hdf])
    refused(
        lambda: plant.get("report"), errors.NotAllocatedError, "'report'", "pipe.allocate('report', FileSpec"
    )
    refused(
        lambda: plant.get("cube"), errors.NotAllocatedError, "'cube'", "pipe.allocate('cube', HdfArraySpec"
    )


def test_sending_a_part_of_an_allocated_value(plant):
    @ReactorFunc
    def sends_a_view(pipe):
        array = pipe.allocate("array", Ingredient.Type.array, shape=(4,), dtype="f8")
        pipe.send("part", array[:2])

    plant.add_reactor(sends_a_view)
    refused(
        lambda: plant.run_reactor(sends_a_view), errors.NotAllocatedError, "'part'", "'array'", "part.copy()"
    )


def test_sending_a_value_allocated_under_another_name(plant):
    @ReactorFunc
    def renames(pipe):
        array = pipe.allocate("array", Ingredient.Type.array, shape=(4,), dtype="f8")
        pipe.send("other", array)

    plant.add_reactor(renames)
    refused(lambda: plant.run_reactor(renames), errors.NotAllocatedError, "'array'", "'other'", "one name")


def test_an_allocated_value_that_is_not_sent_causes_a_warning(plant):
    @ReactorFunc
    def forgets(pipe):
        pipe.allocate("array", Ingredient.Type.array, shape=(4,), dtype="f8")
        pipe.send("x", 1)

    plant.add_reactor(forgets)
    with pytest.warns(errors.PlantWarning, match="'forgets' allocated 'array' and never sent it"):
        assert plant.get("x") == 1


def test_allocating_a_type_that_cannot_be_allocated(plant):
    @ReactorFunc
    def allocates(pipe):
        pipe.allocate("x", Ingredient.Type.simple)

    plant.add_reactor(allocates)
    refused(lambda: plant.run_reactor(allocates), errors.NotAllocatedError, "'x'", "'simple'", "send it")


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ({"a": object()}, Ingredient.Type.simple, ["primitive values", "object"]),
        ((1, 2), Ingredient.Type.list, ["list of primitive values", "tuple"]),
        ([1, 2], Ingredient.Type.array, ["array", "list"]),
        (np.array([object()]), Ingredient.Type.array, ["Ingredient.Type.object"]),
        (1, "no such type", ["no such type"]),
        (1, int, ["int"]),
    ],
    ids=["dict as simple", "tuple as list", "list as array", "objects as array", "unknown", "a class"],
)
def test_the_wrong_type(value, kind, words, plant):
    @ReactorFunc
    def sends(pipe):
        pipe.send("x", value, kind)

    plant.add_reactor(sends)
    refused(lambda: plant.get("x"), errors.IngredientError, *words)


def test_an_object_that_cannot_be_pickled(plant):
    @ReactorFunc
    def sends(pipe):
        pipe.send("lock", {"lock": threading.Lock()})
        pipe.send("fine", 1)

    plant.add_reactor(sends)
    refused(lambda: plant.get("fine"), errors.UnsavableError, "'lock'", "dict", "register_ingredient_specs")
    with pytest.raises(errors.MissingIngredientError):
        plant.fetch_ingredient("lock")


# ---------------------------------------------------------------------- configuration


@ReactorFunc
def reads(pipe):
    pipe.send("read", repr(pipe.read_config("value")))


def test_a_parameter_that_cannot_be_digested(plant):
    plant.add_reactor(reads)
    with socket.socket() as connection:
        plant.set_config({"value": {"deep": [connection]}})
        refused(
            lambda: plant.run_reactor(reads),
            errors.UndigestibleError,
            "'value.deep'",
            "mark_params_as_auxiliary(['value.deep'])",
        )
        plant.mark_params_as_auxiliary(["value"])
        assert plant.run_reactor(reads).ran == ("reads",)


def test_a_missing_parameter_suggests_similar_names(plant):
    plant.add_reactor(reads)
    plant.set_config({"valeu": 1})
    refused(
        lambda: plant.run_reactor(reads), errors.MissingParameterError, "'value'", "Did you mean 'valeu'?"
    )
    plant.set_config({})
    refused(lambda: plant.run_reactor(reads), errors.MissingParameterError, "'value'", "plant.set_config")


class Config(ConfigBase):
    def __init__(self):
        self.value = 1


def by_attribute(pipe, config):
    config.value = 2


def by_item(pipe, config):
    config["value"] = 2


def by_deletion(pipe, config):
    del config.value


def by_deletion_of_an_item(pipe, config):
    del config["value"]


CHANGES = [(dict, change) for change in (by_attribute, by_item, by_deletion, by_deletion_of_an_item)]
CHANGES += [(Config, change) for change in (by_attribute, by_deletion)]


@pytest.mark.parametrize(("kind", "function"), CHANGES, ids=lambda f: f.__name__)
def test_changing_the_configuration_inside_a_reactor(kind, function, plant):
    config = Config() if kind is Config else {"value": 1}
    plant.set_config(config)
    reactor = ReactorFunc(function)
    plant.add_reactor(reactor)
    refused(lambda: plant.run_reactor(reactor), errors.ConfigChangedError, "'value'", "before the run")
    assert (config["value"] if isinstance(config, dict) else config.value) == 1


def test_setting_the_configuration_inside_a_reactor(plant):
    @ReactorFunc
    def sets(pipe):
        change({"value": 2})

    def change(config):
        plant.set_config(config)

    plant.set_config({"value": 1})
    plant.add_reactor(sets)
    refused(lambda: plant.run_reactor(sets), errors.ConfigChangedError, "plant.set_config", "before the run")
    assert plant.config == {"value": 1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Config, ["set_config(Config())"]),
        (5, ["dict or a ConfigBase", "int"]),
        ({1: 2}, ["strings", "1"]),
    ],
    ids=["a class", "a number", "a key that is no text"],
)
def test_an_invalid_configuration(wrong, words, plant):
    refused(lambda: plant.set_config(wrong), errors.ConfigError, *words)


def test_a_text_instead_of_a_list_of_names(plant):
    refused(lambda: plant.mark_params_as_auxiliary("level"), errors.ConfigError, "['level']")
    refused(lambda: ConfigBase().mark_auxiliary("level"), errors.ConfigError, "['level']")


# ---------------------------------------------------------------------- the plant and its directory


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_size": "plenty"}, errors.ConfigError, ["'plenty'", "'20 GB'"]),
        ({"max_size": -1}, errors.ConfigError, ["-1"]),
        ({"progress": "loud"}, errors.ConfigError, ["'loud'", "'auto'"]),
        ({"track_packages": ["no-such-package"]}, errors.ConfigError, ["no-such-package", "not installed"]),
    ],
    ids=["max_size", "negative max_size", "progress", "track_packages"],
)
def test_a_wrong_option(options, kind, words, plant_dir):
    refused(lambda: Plant(plant_dir, **options), kind, *words)


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_a_plant_directory_that_is_a_file(tmp_path):
    path = tmp_path / "plant"
    path.write_text("precious")
    refused(lambda: Plant(path), errors.PlantDirError, str(path), "is a file", "directory of its own")
    assert path.read_text() == "precious"
    refused(lambda: Plant(path / "below"), errors.PlantDirError, str(path), "Choose another")


def test_a_plant_directory_that_holds_other_things(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    before = snapshot(tmp_path)
    refused(
        lambda: Plant(tmp_path), errors.PlantDirError, str(tmp_path), "thesis.txt", "directory of its own"
    )
    assert snapshot(tmp_path) == before


UNWRITABLE = """
    import os, sys
    from pyplant import *
    import pyplant.store.retention, pyplant.execution.summary

    if os.geteuid() == 0:
        os.setgid({nobody})
        os.setuid({nobody})
    try:
        Plant(sys.argv[1])
    except errors.PlantDirError as error:
        print(error)
"""


@pytest.mark.parametrize("existing", ["an empty directory", "a plant", "the directory above"])
def test_a_plant_directory_that_cannot_be_written(existing, tmp_path, run_script):
    folder = tmp_path / "above" / "plant"
    folder.mkdir(parents=True)
    if existing == "a plant":
        Plant(folder).close()
    elif existing == "the directory above":
        folder.rmdir()
    locked = folder if folder.exists() else folder.parent
    locked.chmod(0o555)
    for parent in list(locked.parents)[:4]:  # another user must be able to come this far
        if parent.stat().st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    source = textwrap.dedent(UNWRITABLE).format(nobody=NOBODY).replace("errors.", "pyplant.errors.")
    try:
        message = run_script(source, folder).stdout.strip()
    finally:
        locked.chmod(0o755)
    assert str(folder) in message
    # A plant that cannot be written is opened for reading, which only its owner may.
    if existing == "a plant" and "cannot be read" in message:
        return
    assert "not writable" in message
    assert "Choose another one" in message


def test_a_plant_directory_of_another_user(plant_dir, monkeypatch):
    Plant(plant_dir).close()
    before = snapshot(plant_dir)
    if os.geteuid() == 0:
        os.chown(plant_dir, NOBODY, NOBODY)
    else:
        from pyplant.store.files import Files

        monkeypatch.setattr(Files, "own_user", lambda self: os.geteuid() + 1)
    refused(
        lambda: Plant(plant_dir), errors.PlantDirError, str(plant_dir), "belongs to user", "choose another"
    )
    assert snapshot(plant_dir) == before


def test_a_plant_directory_that_anybody_may_write_to(plant_dir):
    Plant(plant_dir).close()
    plant_dir.chmod(0o777)
    refused(lambda: Plant(plant_dir), errors.PlantDirError, str(plant_dir), f"chmod o-w {plant_dir}")
    plant_dir.chmod(0o755)
    Plant(plant_dir).close()


def written_format(body):
    from pyplant.fingerprint.digest import digest_bytes

    return f"{digest_bytes(body.encode())[:16]} {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        '{"format": 2}',
        '{"format": 0}',
        '{"format": "next"}',
        '{"format": null}',
        '{"layout": 3}',
        "[2]",
        "2.0",
    ],
)
def test_an_unknown_format_is_refused_and_nothing_is_written(body, plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        plant.get("kept too")
    ours = (plant_dir / "FORMAT").read_text()
    (plant_dir / "FORMAT").write_text(written_format(body))
    before = snapshot(plant_dir)
    refused(
        lambda: Plant(plant_dir),
        errors.FormatError,
        str(plant_dir),
        "format",
        "Upgrade PyPlant",
        "nothing was changed",
    )
    assert snapshot(plant_dir) == before
    (plant_dir / "FORMAT").write_text(ours)
    with Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        assert plant.run_reactor(kept_too).ran == ()


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "bit"])
def test_a_damaged_format_is_rebuilt_with_one_warning(damage, plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        plant.get("kept too")
    path = plant_dir / "FORMAT"
    if damage == "gone":
        path.unlink()
    elif damage == "empty":
        path.write_text("")
    elif damage == "text":
        path.write_text("not what was written\n")
    else:
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
    with pytest.warns(errors.DamageWarning, match="FORMAT was damaged or missing"), Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        assert plant.run_reactor(kept_too).ran == ()
    Plant(plant_dir).close()


def test_a_plant_that_was_deleted_while_it_was_open(plant_dir):
    plant = Plant(plant_dir)
    plant.add_reactor([kept, kept_too])
    plant.get("kept too")
    shutil.rmtree(plant_dir)
    plant.close()
    with Plant(plant_dir) as plant:
        plant.add_reactor([kept, kept_too])
        assert plant.get("kept too") == 10


def test_a_plant_cannot_be_pickled(plant):
    import pickle

    with pytest.raises(TypeError, match="open it again where it is needed"):
        pickle.dumps(plant)
