"""``%plant`` and ``%%reactor``, in a real kernel."""

import pytest

NUMBERS = """
%%reactor numbers -o xs
print("computing")
xs = [n * 2 for n in range(5)]
len(xs)
"""
TOTAL = """
%%reactor total -i xs -o t
t = sum(xs)
"""


@pytest.fixture
def cell(notebook):
    """Runs a new cell; what it put out."""
    return lambda text: notebook.run(notebook.add(text.strip("\n")))


# ---------------------------------------------------------------------- an ordinary cell


def test_the_output_of_a_run_is_that_of_an_ordinary_cell(cell):
    ran = cell(NUMBERS)
    assert (ran.text, ran.kinds) == ("computing\n5", ["stdout", "text/plain"])


def test_its_last_expression_is_not_in_out(cell):
    cell(NUMBERS)
    assert cell("5 in Out.values()").text == "False"


def test_outputs_are_bound_and_other_variables_are_not(cell):
    cell("%%reactor it -o x\nhelper = 1\nx = helper + 1")
    assert cell("x, 'helper' in globals(), 'it' in globals()").text == "(2, False, False)"


def test_bound_values_are_copies(cell):
    cell(NUMBERS)
    cell("xs.append('mine')")
    assert cell("plant.get('xs')").text == "[0, 2, 4, 6, 8]"
    cell(NUMBERS)
    assert cell("xs").text == "[0, 2, 4, 6, 8]"


def test_a_hit_shows_a_notice_and_the_recorded_output(notebook):
    numbers = notebook.add(NUMBERS.strip())
    notebook.run(numbers)
    again = notebook.run(numbers)
    first, *rest = again.outputs
    assert first.text.startswith("✓ numbers: cached, computed 20")
    assert [output.text.strip() for output in rest] == ["computing", "5"]
    assert notebook.look("seen()").text.strip("'") == "numbers"  # once in all


def test_the_notice_of_a_hit_is_not_recorded(notebook):
    numbers = notebook.add(NUMBERS.strip())
    for _ in range(3):
        ran = notebook.run(numbers)
    assert ran.text.count("cached") == 1


def test_output_that_is_replayed_below_that_of_others_has_its_name(cell):
    cell("@ReactorFunc\ndef load(pipe, config):\n    print('loading', config['n'])\n    pipe.send('data', 1)")
    cell("@ReactorFunc\ndef shows(pipe):\n    yield pipe.receive('data')\n    print('shown')")
    cell("plant.set_config({'n': 1})\nplant.run_reactor('shows');")
    ran = cell("plant.set_config({'n': 2})\nplant.run_reactor('shows');")
    assert ran.text == "load\nloading 2\nshows\nshown"
    assert cell("plant.run_reactor('shows');").text == "shown"


def test_headings_name_upstream_reactors_that_run_and_then_the_target(cell):
    cell(NUMBERS.replace("-o xs", "-o xs --no-run"))
    assert cell(TOTAL + 'print("summed")').text.split() == ["numbers", "computing", "5", "total", "summed"]
    assert "computing" not in cell(TOTAL.replace("sum(xs)", "max(xs)")).text


def test_a_target_without_outputs_is_replayed(cell, notebook):
    plot = notebook.add("%%reactor plot\nprint('a plot')")
    notebook.run(plot)
    assert "a plot" in notebook.run(plot).text
    cell("seen()")
    report = cell("r = plant.run_reactor('plot')\nprint(r.cached, seen())")
    assert report.text == "a plot\n('plot',) nothing"


def test_streams_are_restored_after_runs_and_failures(cell):
    cell(
        "import sys\nfrom contextlib import suppress\n"
        "def taps():\n"
        "    doors = [(sys.stdout, 'write'), (sys.stderr, 'write'), (get_ipython().display_pub, 'publish')]\n"
        "    return sum(type(vars(door).get(name)).__name__.startswith('_') for door, name in doors)"
    )
    cell("@ReactorFunc\ndef fine(pipe):\n    pipe.send('taps', taps())")
    cell("@ReactorFunc\ndef fails(pipe):\n    yield pipe.receive('taps')\n    raise ValueError")
    assert cell("plant.get('taps'), taps()").text == "(3, 0)"
    assert cell("with suppress(ValueError): plant.run_reactor('fails')\ntaps()").text == "0"


def test_a_target_that_a_script_ran_runs_in_a_notebook_since_nothing_was_recorded(cell):
    cell("from pyplant.execution import frontend\nkept = frontend.current()\nfrontend.install(None)")
    cell("%%reactor plot\nprint('a plot')")
    cell("frontend.install(kept)\nseen()")
    assert cell("%%reactor plot\nprint('a plot')").stdout == "a plot\n"
    assert cell("seen()").text == "'plot'"


def test_a_body_can_use_the_configuration_and_the_pipe(cell):
    cell("plant.set_config({'size': 3})")
    cell(
        "%%reactor it\npipe.send('n', config.size)\nm = yield pipe.receive('k')\npipe.send('nm', m * config.size)"
    )
    cell("@ReactorFunc\ndef k(pipe):\n    pipe.send('k', 7)")
    assert cell("plant.get('n', 'nm')").text == "(3, 21)"


def test_a_subreactor_can_be_called(cell):
    cell("@SubreactorFunc\ndef double(pipe, name):\n    return 2 * (yield pipe.receive(name))")
    cell("%%reactor one -o x\nx = 1")
    cell("%%reactor two -o y\ny = yield from double(pipe, 'x')")
    assert cell("y").text == "2"


def test_line_magics_and_commands_work_in_a_body(cell):
    ran = cell(
        "%%reactor it -o files\nfiles = !echo one two\nlocal = 'me'\n!echo {local}\n%time print('timed')"
    )
    assert ran.error is None
    assert "me" in ran.text
    assert "timed" in ran.text
    assert cell("files").text == "['one two']"


def test_get_ipython_and_open_are_not_inputs(notebook):
    it = notebook.add("%%reactor it -o x\nx = open('/dev/null').read()\n!true")
    notebook.run(it).fine
    assert "cached" in notebook.run(it).text


# ---------------------------------------------------------------------- options


def test_no_run_only_defines(cell):
    assert cell(NUMBERS.replace("-o xs", "-o xs --no-run")).text == ""
    assert cell("'xs' in globals(), seen()").text == "(False, 'nothing')"


def test_force_runs_again(cell):
    cell(NUMBERS)
    assert cell(NUMBERS.replace("-o xs", "-o xs --force")).text.startswith("computing\n5")


def test_no_replay_binds_and_shows_only_the_notice(cell):
    cell(NUMBERS)
    cell("del xs")
    ran = cell(NUMBERS.replace("-o xs", "-o xs --no-replay"))
    assert [output.kind for output in ran.outputs] == ["display", "display"]  # one for the other cell
    assert "computing" not in ran.text
    assert cell("xs").text == "[0, 2, 4, 6, 8]"


def test_no_cache_runs_each_time(cell):
    text = NUMBERS.replace("-o xs", "-o xs --no-cache")
    assert "computing" in cell(text).stdout
    cell("seen()")
    cell("plant.get('xs')")
    assert cell("seen()").text == "'numbers'"


def test_names_may_be_separated_by_commas(cell):
    cell("%%reactor two -o a,b\na, b = 1, 2")
    cell("%%reactor add -i a, b -o c\nc = a + b")
    assert cell("c").text == "3"


def test_a_plant_in_another_variable(cell, tmp_path):
    cell(f"other = Plant({str(tmp_path / 'other')!r})")
    cell(NUMBERS.replace("-o xs", "-o xs --plant other"))
    assert cell("other.fetch_ingredient('xs')").text == "[0, 2, 4, 6, 8]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%%reactor it --forse\nx = 1", "unrecognized arguments: --forse"),
        ("%%reactor it extra\nx = 1", "unrecognized arguments: extra"),
        ("%%reactor it -o\nx = 1", "-o: expected at least one argument"),
        ("%%reactor my-reactor\nx = 1", "try my_reactor"),
        ("%%reactor it --plant nothing\nx = 1", "'nothing' is not defined, not a plant"),
        ("%%reactor it --plant look\nx = 1", "'look' is a function, not a plant"),
        ("%%reactor it 'x\nx = 1", "No closing quotation"),
        ("%reactor it", "write it with two percent signs in the first line of a cell"),
        ("%%reactor -o x\nx = 1", "without a name takes"),
        ("%%reactor\nx = 1", "Name the cell instead: %%reactor NAME"),
        ("%%reactor it\nplant.get('x')", "was called inside a reactor"),
        ("%%reactor it\nimport sys\nsys.exit()", "'it' called sys.exit()"),
    ],
)
def test_wrong_usage_shows_one_line(cell, text, message):
    error = cell(text).error
    assert error is not None
    assert message in error.value
    assert "pyplant/" not in error.traceback


def test_help_is_shown(cell):
    ran = cell("%%reactor --help\npass")
    assert ran.error is None
    assert "--no-replay" in ran.text


def test_options_are_completed_in_the_line_of_the_magic_only(cell):
    ask = "print([c.text for c in get_ipython().Completer.completions({text!r}, {at}) if c.type == 'option'])"
    cell(
        "import IPython.core.completer as c, warnings; warnings.simplefilter('ignore', c.ProvisionalCompleterWarning)"
    )
    assert (
        cell(ask.format(text="%%reactor it --no", at=17)).text == "['--no-cache', '--no-replay', '--no-run']"
    )
    assert cell(ask.format(text="%%reactor it -o x\nx = --no", at=26)).text == "[]"
    assert cell(ask.format(text="foo --no", at=8)).text == "[]"


# ---------------------------------------------------------------------- plants


def test_the_same_directory_gives_the_same_plant(cell, plant_dir):
    cell("first = plant")
    cell(f"%plant {plant_dir}")
    assert cell("plant is first").text == "True"
    cell("plant.close()")
    cell(f"%plant '{plant_dir}'")
    assert cell("plant is first, plant.is_closed").text == "(False, False)"


def test_a_plant_is_made_beside_the_notebook_with_a_notice(cell, tmp_path):
    (tmp_path / "nb").mkdir()
    cell(f"import os\nos.environ['JPY_SESSION_NAME'] = {str(tmp_path / 'nb' / 'Digits.ipynb')!r}\ndel plant")
    ran = cell("%%reactor it -o x\nx = 1")
    assert ran.text == f"New plant: {tmp_path / 'nb' / 'Digits.plant'}"
    assert cell("plant.directory.name").text == "'Digits.plant'"
    cell("%plant data/here")
    assert (tmp_path / "nb" / "data" / "here" / "FORMAT").exists()
    assert cell("%plant data/here").text == ""
    cell("del os.environ['JPY_SESSION_NAME']")


def test_a_renamed_notebook_is_told_of_the_plant_with_its_results(cell, tmp_path):
    def rename(name):
        cell(f"import os\nos.environ['JPY_SESSION_NAME'] = {str(tmp_path / name)!r}\ndel plant")

    body = "%%reactor it -o x\nx = 1"
    rename("draft.ipynb")
    cell(body)
    (tmp_path / "broken.plant").mkdir()
    (tmp_path / "broken.plant" / "FORMAT").write_text("?")
    rename("final.ipynb")
    ran = cell(body)
    assert "draft.plant beside it holds the results of 'it', computed " in ran.text
    assert "To use them instead of computing them again: %plant draft.plant" in ran.text
    assert "beside it" not in cell("%%reactor it -o x\nx = 2").text  # told once
    cell("%plant draft.plant")
    assert "✓ it: cached" in cell(body).text
    rename("copy of final.ipynb")
    assert "beside it" not in cell("%%reactor it -o x\nx = 3").text  # other code
    assert "beside it" in cell(body).text
    cell("del os.environ['JPY_SESSION_NAME']")


# ---------------------------------------------------------------------- what people are told


def test_a_name_error_of_a_local_variable_shows_the_fix(cell):
    cell("%%reactor it -o x\nscale = 2\nx = scale")
    ran = cell("scale")
    assert "'scale' is a local variable of reactor 'it': send it with -o scale" in ran.text
    assert "local variable" not in cell("nothing_of_the_kind").text


def test_a_name_error_of_the_plant_says_how_to_open_it(cell):
    cell("kept = plant\ndel plant")
    assert "%plant opens the plant of this notebook" in cell("plant.status()").text
    cell("plant = kept")


def test_an_outdated_variable_is_reported(cell):
    cell("def f():\n    return 1")
    cell("%%reactor it -o x\nx = f()")
    cell("def f():\n    return 2")
    assert "ran; the notebook's 'x' is older. Run its cell to update it." in cell("plant.get('x')").text
    assert cell("x").text == "1"
    assert "older" not in cell("%%reactor it -o x\nx = f()").text
    assert cell("x").text == "2"


def test_a_rerun_with_the_same_value_outdates_nothing(cell):
    cell("def f():\n    return 1")
    cell("%%reactor it -o x\nx = f()")
    cell("def f():\n    return 3 - 2")
    assert "older" not in cell("plant.get('x')").text


def test_a_failed_cell_binds_and_records_nothing(cell):
    cell("fails = False")
    cell("%%reactor it -o x\nx = 1 / (not fails)\nprint('fine')")
    cell("fails = True")
    ran = cell("%%reactor it -o x\nx = 1 / (not fails)\nprint('fine')")
    assert ran.error.name == "ZeroDivisionError"
    assert cell("x").text == "1.0"
    cell("fails = False")
    assert "cached" in cell("%%reactor it -o x\nx = 1 / (not fails)\nprint('fine')").text


# ---------------------------------------------------------------------- errors


def test_a_traceback_shows_only_frames_of_the_user(cell):
    cell("def deep():\n    return 1 / 0")
    traceback = cell("%%reactor it\n\nx = 1\ndeep()").error.traceback
    assert "line 4" in traceback
    assert "----> 4 deep()" in traceback
    assert "----> 2     return 1 / 0" in traceback
    assert "pyplant/" not in traceback
    assert "Raised by reactor 'it' (cell [" in traceback


@pytest.mark.parametrize(
    "call",
    [
        "run_reactor('nothing')",
        "explain('nothing')",
        "set_config(5)",
        "fetch_ingredient('nothing')",
        "sweep('it', 5)",
    ],
)
def test_a_traceback_of_a_wrong_call_shows_only_that_call(cell, call):
    cell("%%reactor it --no-run\nx = 1")
    traceback = cell(f"plant.{call}").error.traceback
    assert f"----> 1 plant.{call}" in traceback
    assert "pyplant/" not in traceback


def test_a_traceback_of_a_decorated_reactor_shows_the_call_and_the_line(cell):
    ran = cell("@ReactorFunc\ndef it(pipe):\n    1 / 0\nplant.run_reactor(it)")
    assert "----> 4 plant.run_reactor(it)" in ran.error.traceback
    assert "----> 3     1 / 0" in ran.error.traceback
    assert "pyplant/" not in ran.error.traceback


def test_misuse_inside_a_body_points_to_the_line(cell):
    traceback = cell("%%reactor it\nx = 1\npipe.send('a', x)\npipe.send('a', x)").error.traceback
    assert "----> 4 pipe.send('a', x)" in traceback
    assert "sent 'a' twice" in traceback


def test_a_syntax_error_looks_like_one_of_an_ordinary_cell(cell):
    error = cell("%%reactor it\nx = 1\ny = (").error
    assert error.name == "SyntaxError"
    assert "y = (" in error.traceback
    assert "line 3" in error.traceback
    assert "pyplant/" not in error.traceback


# ---------------------------------------------------------------------- cells full of functions


def test_every_function_that_takes_a_pipe_becomes_a_reactor(cell):
    ran = cell(
        "%%reactor\n"
        "print('an ordinary cell')\n"
        "def load(pipe):\n    pipe.send('data', helper(2))\n"
        "def helper(x):\n    return x * 3\n"
        "def typed(p: Pipework):\n    pipe_data = yield p.receive('data')\n    p.send('more', pipe_data + 1)\n"
        "answer = 42\n"
        "answer"
    )
    assert ran.text == "an ordinary cell\n42"
    assert ran.outputs[-1].kind == "result"
    assert cell("plant.get('more'), answer").text == "(7, 42)"
    assert cell("sorted(e.name for e in plant.status())").text == "['load', 'typed']"


def test_a_traceback_in_such_a_cell_names_its_line(cell):
    cell("%%reactor\n\ndef load(pipe):\n    1 / 0")
    assert "----> 4     1 / 0" in cell("plant.run_reactor('load')").error.traceback


# ---------------------------------------------------------------------- the extension


def test_unloading_leaves_nothing_behind(cell):
    state = (
        "import sys; ip = get_ipython(); print('reactor' in ip.magics_manager.magics['cell'], "
        "sum('pyplant' in repr(f) for e in ip.events.callbacks.values() for f in e), "
        "len(ip.Completer.custom_matchers))"
    )
    assert cell(state).text.split()[0] == "True"
    cell("%unload_ext pyplant")
    assert cell(state).text == "False 0 0"
    cell("%load_ext pyplant")
    assert cell(NUMBERS).error is None


def test_cells_are_followed_from_the_import_on(cell):
    cell("%unload_ext pyplant")
    cell("import sys\nfor m in [m for m in sys.modules if m.startswith('pyplant')]: del sys.modules[m]")
    cell("from pyplant import *\n@ReactorFunc\ndef here(pipe):\n    pipe.send('x', 1)")
    assert (
        "cell ["
        in cell(
            "from pyplant._definitions import current_definitions\nnext(current_definitions()).place"
        ).text
    )


# ---------------------------------------------------------------------- slips


def test_a_body_may_await_in_a_kernel_and_asyncio_run_gets_a_hint(cell):
    body = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 3\n"
    assert cell(f"%%reactor it -o x\n{body}x = await f()\nx").text == "3"
    assert cell("x").text == "3"
    error = cell(f"%%reactor wrong\n{body}c = f()\nasyncio.run(c)").error
    assert "yield pipe.run(coroutine)" in error.traceback


def test_names_are_normalised_as_python_does(cell):
    assert (
        cell("%%reactor it -o µ\nµ = 2").error is None
    )  # the micro sign, which Python takes for the Greek letter
    assert cell("μ, plant.get('μ')").text == "(2, 2)"
    assert cell("%%reactor next -i µ -o y\ny = µ + 1").error is None
    assert cell("y").text == "3"


def test_the_plant_without_a_directory_says_which_is_open(cell):
    shown = cell("%plant").text
    assert shown.startswith("The plant of this notebook: ")
    assert cell("str(plant.directory)").text.strip("'") in shown


def test_a_magic_above_moves_no_line(cell):
    ran = cell("%%time\n%%reactor it\nx = 1\n1 / 0")
    assert "line 4" in ran.error.traceback
    assert "%%reactor it" not in cell("%%time\n%%reactor it -o x\nx = 1").text


def test_a_figure_that_is_sent_is_shown_once(notebook):
    pytest.importorskip("matplotlib_inline")
    notebook.new("%matplotlib inline\nimport matplotlib.pyplot as plt")
    body = "%%reactor plots -o fig\nfig, axes = plt.subplots(figsize=(1, 1))\naxes.plot([1, 2])\n1"
    plots = notebook.add(body)
    for _ in range(2):  # a run and a hit
        assert notebook.run(plots).fine.kinds.count("image/png") == 1
    assert "image/png" not in notebook.look("x = plant.get('fig')").kinds
    assert notebook.look("len(plt.get_fignums())").text == "0"


def test_an_interrupt_in_the_plant_shows_the_frames_of_the_user(cell):
    cell(
        "from pyplant.execution.run import Run\nkept = Run.next_job\n"
        "def interrupted(run):\n    raise KeyboardInterrupt\n"
        "interrupted.__code__ = interrupted.__code__.replace(co_filename=Run.next_job.__code__.co_filename)\n"
        "Run.next_job = interrupted"
    )
    error = cell("%%reactor it -o x\nx = 1").error
    assert cell("Run.next_job = kept").error is None
    assert error.name == "KeyboardInterrupt"
    assert "pyplant/" not in error.traceback
