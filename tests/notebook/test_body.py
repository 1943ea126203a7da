"""From the body of a cell to a function."""

import asyncio
import linecache
import traceback

import pytest

pytest.importorskip("IPython")

from IPython.core.compilerop import CachingCompiler
from IPython.core.inputtransformer2 import TransformerManager

from pyplant._definitions import define, sources
from pyplant.errors import DefinitionError
from pyplant.fingerprint.bytecode import code_digest
from pyplant.notebook.body import (
    CellSyntaxError,
    make_function,
    notebook_names,
    read_body,
    refuse_missing_inputs,
)


class Shell:
    """What a body needs of IPython."""

    def __init__(self):
        self.compile = CachingCompiler()
        self.transform_cell = TransformerManager().transform_cell


class Pipe:
    """Hands out what is received, and keeps what is sent."""

    def __init__(self, **values):
        self.values = values
        self.sent = {}

    def receive(self, *names):
        return names

    def send(self, name, value):
        self.sent[name] = value

    def run(self, awaitable):
        return awaitable


def read(cell, number=3):
    head, _, text = cell.partition("%%reactor")
    header, _, text = text.partition("\n")
    return read_body(Shell(), cell, text, number)


def made(cell, inputs=(), outputs=(), namespace=None, name="it"):
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    return make_function(
        name, read(cell), inputs, outputs, namespace, namespace.setdefault("shown", []).append
    )


def run(function, **values):
    """What a function sends, and what it shows."""
    pipe = Pipe()
    result, answer = function(pipe, "the config"), None
    while result is not None:
        try:
            asked = result.send(answer)
        except StopIteration:
            break
        if isinstance(asked, tuple):
            received = tuple(values[name] for name in asked)
            answer = received if len(asked) > 1 else received[0]
        else:
            answer = asyncio.run(asked)
    return pipe.sent, function.__globals__["shown"]


# ---------------------------------------------------------------------- what it does


def test_it_sends_what_it_assigns():
    assert run(made("%%reactor it -o x\nx = 1 + 1", outputs=["x"]))[0] == {"x": 2}


def test_it_receives_one_name():
    assert run(made("%%reactor it\ny = x * 2", ["x"], ["y"]), x=4)[0] == {"y": 8}


def test_it_receives_several_names_at_once():
    assert run(made("%%reactor it\nc = a - b", ["a", "b"], ["c"]), a=4, b=1)[0] == {"c": 3}


def test_the_last_expression_is_shown():
    assert run(made("%%reactor it\nx = 2\nx + 3"))[1] == [5]


@pytest.mark.parametrize("end", ["x + 3;", "x + 3;  # quiet", "x + 3 ; \n", "y = 3"])
def test_a_semicolon_or_a_statement_at_the_end_shows_nothing(end):
    assert run(made(f"%%reactor it\nx = 2\n{end}"))[1] == []


def test_a_semicolon_in_a_comment_or_a_string_suppresses_nothing():
    assert run(made("%%reactor it\n'a;'  # b;"))[1] == ["a;"]


def test_assigned_variables_are_local():
    namespace = {"__name__": "__main__", "x": 0}
    run(made("%%reactor it\nx = 1\nimport os\ndef f(): pass", namespace=namespace))
    assert namespace["x"] == 0
    assert not namespace.keys() & {"os", "f"}


def test_it_reads_globals_of_the_notebook():
    namespace = {"__name__": "__main__", "helper": lambda x: x * 3}
    assert run(made("%%reactor it\nx = helper(2)", outputs=["x"], namespace=namespace))[0] == {"x": 6}


def test_it_may_rebind_pipe_and_config():
    cell = "%%reactor it\npipe = [config]\nconfig = pipe * 2\nx = config"
    assert run(made(cell, outputs=["x"]))[0] == {"x": ["the config"] * 2}


def test_it_may_use_the_pipe_itself():
    assert run(made("%%reactor it\nz = yield pipe.receive('z')\npipe.send('w', z)"), z=5)[0] == {"w": 5}


def test_an_ingredient_may_be_called_like_the_reactor():
    assert run(made("%%reactor digits\ndigits = 7", outputs=["digits"], name="digits"))[0] == {"digits": 7}


AWAITING = {
    "a value": "x = await double(2)",
    "in an expression": "x = 1 + await double(1) + await double(0) + 1",
    "a branch": "if await double(1) > 1:\n    x = 4",
    "a loop": "x = 1\nfor _ in range(3):\n    x += await double(0.5)",
    "async for": "x = 0\nasync for n in numbers():\n    x += n\nx += n - 1",
    "async with": "async with opened() as x:\n    y = x\nx = y",
    "a comprehension": "x = sum([n async for n in numbers()]) + 1",
    "a function of the body": "async def four():\n    return await double(2)\nx = await four()",
    "a name that is a parameter inside": "n = 4\nf = [await double(k) for k in [1]] and (lambda n: n)\nx = f(n)",
    "an import": "async with opened():\n    import math\nx = math.gcd(4, 8)",
}
HELPERS = """
import contextlib
async def double(x):
    return 2 * x
async def numbers():
    for n in range(3):
        yield n
@contextlib.asynccontextmanager
async def opened():
    yield 4
"""


@pytest.mark.parametrize("body", AWAITING.values(), ids=AWAITING)
def test_a_body_may_await(body):
    namespace = {"__name__": "__main__"}
    exec(HELPERS, namespace)
    sent, shown = run(made(f"%%reactor it\n{body}\nx", outputs=["x"], namespace=namespace))
    assert (sent, shown) == ({"x": 4}, [4])


def test_a_statement_that_awaits_cannot_yield():
    with pytest.raises(CellSyntaxError, match="yield in a statement of its own") as raised:
        made("%%reactor it\nx = 1\ny = [await f(), (yield)]")
    assert raised.value.lineno == 3


def test_code_of_coroutines_counts():
    digests = [code_of(made(f"%%reactor it\nx = await f({n})")) for n in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def code_of(function):
    return sources.part(function.__code__).digest


def test_future_imports_in_the_body_count():
    sent, _ = run(
        made(
            "%%reactor it\nfrom __future__ import annotations\ndef f(x: int): pass\nx = f.__annotations__",
            outputs=["x"],
        )
    )
    assert sent == {"x": {"x": "int"}}


def test_an_unknown_future_import_is_a_syntax_error():
    with pytest.raises(CellSyntaxError, match="__future__"):
        made("%%reactor it\nfrom __future__ import flying_cars\nx = 1")


def test_other_magics_may_stand_above():
    function = made("%%time\n# why\n%%reactor it -o x\nx = 1", outputs=["x"])
    part = sources.part(function.__code__)
    assert part.text == "%%reactor it -o x\nx = 1"
    assert function.__code__.co_positions


def test_line_magics_work():
    namespace = {"__name__": "__main__"}
    namespace["get_ipython"] = lambda: type("S", (), {"getoutput": staticmethod(lambda line: [line])})
    assert run(made("%%reactor it\nfiles = !ls here", outputs=["files"], namespace=namespace))[0] == {
        "files": ["ls here"]
    }


def test_an_empty_body_is_a_reactor():
    assert run(made("%%reactor it\n\n")) == ({}, [])


# ---------------------------------------------------------------------- fingerprints


def digest(cell, **options):
    function = made(cell, **options)
    part = sources.part(function.__code__)
    assert part.verified
    return part.digest


@pytest.mark.parametrize(
    "same",
    [
        "%%reactor it\nx = 1 + 2  # a comment",
        "%%reactor it\n\n\nx = (1 +\n     2)\n",
        "\n\n%%reactor other --force\nx=1+2",
        "%%reactor it\n'a docstring'\nx = 1 + 2",
    ],
)
def test_comments_blank_lines_and_formatting_do_not_count(same):
    assert digest(same, outputs=["x"]) == digest("%%reactor it\nx = 1 + 2", outputs=["x"])


@pytest.mark.parametrize("other", ["x = 1 + 3", "x = 1.0 + 2", "x = 1 + 2\nx", "x = 2 + 1"])
def test_code_counts(other):
    assert digest(f"%%reactor it\n{other}", outputs=["x"]) != digest("%%reactor it\nx = 1 + 2", outputs=["x"])


def test_a_semicolon_at_the_end_counts():
    assert digest("%%reactor it\nx = 1\nx;", outputs=["x"]) != digest("%%reactor it\nx = 1\nx", outputs=["x"])


def test_its_inputs_and_outputs_count():
    digests = {
        digest("%%reactor it\nx = y = 1", inputs=inputs, outputs=outputs)
        for inputs in ([], ["a"], ["a", "b"])
        for outputs in (["x"], ["y"])
    }
    assert len(digests) == 6


def test_its_source_is_what_the_user_wrote():
    function = made("%%reactor it -o x\nx = 1  # one", outputs=["x"])
    assert sources.part(function.__code__).text == "%%reactor it -o x\nx = 1  # one"


def test_its_inputs_and_outputs_are_predicted():
    hints = sources.part(made("%%reactor it\ny = x", ["x"], ["y"]).__code__).hints
    assert {(hint.method, hint.text) for hint in hints} == {("receive", ("x",)), ("send", ("y",))}


def test_it_can_be_a_reactor():
    definition = define(made("%%reactor it\ny = x", ["x"], ["y"]))
    assert (definition.name, definition.is_generator, definition.takes_config) == ("it", True, True)


# ---------------------------------------------------------------------- where errors point


def lines_of(error):
    return [
        (frame.filename, frame.lineno, frame.line) for frame in traceback.extract_tb(error.__traceback__)[1:]
    ]


@pytest.mark.parametrize("above", ["", "\n\n"])
@pytest.mark.parametrize("gap", ["", "\n", "  \n\n"])
def test_an_error_points_to_the_line_of_the_cell(above, gap):
    cell = f"{above}%%reactor it\n{gap}x = 1\ny = x / 0"
    function = made(cell)
    with pytest.raises(ZeroDivisionError) as raised:
        run(function)
    filename, number, line = lines_of(raised.value)[-1]
    assert line == "y = x / 0"
    assert number == cell[: cell.index("y =")].count("\n") + 1
    assert filename == function.__code__.co_filename


@pytest.mark.parametrize("gap", ["", "\n", "# what it does\n\n"])
def test_an_error_of_receiving_or_sending_points_to_the_line_of_the_magic(gap):
    function = made(f"\n%%reactor it -i a -o b\n{gap}b = a", ["a"], ["b"])
    lines = {line for _, _, line in function.__code__.co_lines() if line is not None}
    assert lines == {1, 2, 3 + gap.count("\n")}


def test_an_error_in_a_nested_function_points_to_its_line():
    with pytest.raises(ZeroDivisionError) as raised:
        run(made("%%reactor it\ndef f():\n    return 1 / 0\nf()"))
    assert [line for _, _, line in lines_of(raised.value)][-2:] == ["f()", "return 1 / 0"]


def test_the_code_has_the_file_name_of_the_cell():
    cell = "%%reactor it\nx = 1"
    shell = Shell()
    expected = shell.compile.get_code_name(cell, shell.transform_cell(cell), 3)
    assert made(cell).__code__.co_filename == expected
    assert linecache.getline(expected, 1) == "# %%reactor it\n"


def test_a_syntax_error_names_the_line_of_the_cell():
    with pytest.raises(CellSyntaxError) as raised:
        read("\n%%reactor it\nx = 1\ny = (")
    assert raised.value.lineno == 4


def test_an_error_that_the_compiler_finds_names_the_line_of_the_cell():
    with pytest.raises(CellSyntaxError, match="break") as raised:
        made("%%reactor it\nx = 1\nbreak")
    assert raised.value.lineno == 3


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "line", "fix"),
    [
        ("x = 1\nreturn x", 3, "if and else"),
        ("if 1:\n    return", 3, "if and else"),
        ("from os import *", 2, "name what you import"),
        ("%%time\nx = 1", 2, "one cell magic"),
        ("\n\n%%time\nx = 1", 4, "one cell magic"),
        ("x = 1\n%%time\ny = 1", 3, "one cell magic"),
        ("%time x = 1", 2, "assign in a separate line"),
    ],
)
def test_syntax_that_a_function_cannot_hold_is_refused_with_its_line_and_a_fix(body, line, fix):
    with pytest.raises(DefinitionError) as raised:
        read(f"%%reactor it\n{body}")
    written = body.splitlines()[line - 2].strip()
    assert str(raised.value).startswith(f"Line {line} of the cell, {written!r}")
    assert fix in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    return 1\nx = f()",
        "async def f():\n    await g()",
        "x = lambda: (yield)",
        "%time print(1)",
        "x = '''\n%%time\n'''",
    ],
)
def test_the_same_syntax_in_functions_and_strings_is_accepted(body):
    made(f"%%reactor it\n{body}")


def test_an_output_that_is_never_assigned_is_refused():
    with pytest.raises(DefinitionError, match="never assigns 'y'"):
        made("%%reactor it\nx = y", outputs=["y"])


def test_an_input_cannot_be_an_output():
    with pytest.raises(DefinitionError, match="cannot send what it receives"):
        made("%%reactor it\nx = x + 1", ["x"], ["x"])


@pytest.mark.parametrize("name", ["_", "__", "In", "Out", "_i3", "_5"])
def test_names_of_the_history_are_refused(name):
    with pytest.raises(DefinitionError, match="the notebook uses this name"):
        made(f"%%reactor it\n{name} = 1", outputs=[name])
    with pytest.raises(DefinitionError, match="the notebook uses this name"):
        made("%%reactor it\nx = 1", inputs=[name])
    with pytest.raises(DefinitionError, match="which the notebook sets after every cell"):
        made(f"%%reactor it\nx = {name}")


def test_an_underscore_that_the_body_assigns_is_accepted():
    made("%%reactor it\nx = [1 for _ in range(3)]\nfor _ in x: pass\n_")


@pytest.mark.parametrize("name", ["class", "a b", "1x", "x-y"])
def test_invalid_variable_names_are_refused(name):
    with pytest.raises(DefinitionError, match="not a valid variable name"):
        made("%%reactor it\nx = 1", outputs=[name])


# ---------------------------------------------------------------------- forgotten inputs


def missing(cell, inputs=(), sent=("xs", "ys"), bound=("xs", "ys"), **namespace):
    namespace = {"__name__": "__main__", **namespace}
    header = cell.partition("\n")[0]
    refuse_missing_inputs(
        made(cell, inputs, namespace=namespace), header, inputs, frozenset(sent), frozenset(bound)
    )


@pytest.mark.parametrize(
    ("header", "inputs", "corrected"),
    [
        ("%%reactor it", [], "%%reactor it -i xs"),
        ("%%reactor it -o t", [], "%%reactor it -i xs -o t"),
        ("%%reactor it -i a -o t", ["a"], "%%reactor it -i a xs -o t"),
        ("%%reactor it -o t -i a", ["a"], "%%reactor it -o t -i a xs"),
        ("%%reactor it -i a b", ["a", "b"], "%%reactor it -i a b xs"),
    ],
)
def test_reading_an_ingredient_from_the_notebook_shows_the_corrected_line(header, inputs, corrected):
    with pytest.raises(DefinitionError) as raised:
        missing(f"{header}\nt = sum(xs)", inputs, xs=[1])
    assert str(raised.value).endswith(f"Write:  {corrected}")


def test_reading_an_ingredient_in_a_nested_function_is_refused():
    with pytest.raises(DefinitionError, match="'xs'"):
        missing("%%reactor it\nt = [lambda: xs for _ in range(2)]")


@pytest.mark.parametrize(
    "body", ["xs = 1\nt = xs", "def f(xs): return xs\nt = f(1)", "t = [xs for xs in range(3)]"]
)
def test_a_local_variable_with_the_name_of_an_ingredient_is_accepted(body):
    missing(f"%%reactor it\n{body}")


def test_a_function_of_the_notebook_with_the_name_of_an_ingredient_is_accepted():
    missing("%%reactor it\nt = xs()", bound=(), xs=lambda: 3)


def test_names_read_by_functions_of_the_notebook_are_found():
    namespace = {"__name__": "__main__"}
    exec(
        "def outer():\n    return inner()\ndef inner():\n    return xs\ndef other():\n    return ys",
        namespace,
    )
    assert "xs" in notebook_names(namespace["outer"], namespace)
    assert "ys" not in notebook_names(namespace["outer"], namespace)


def test_equal_bodies_compile_to_equal_code():
    one, other = (made(f"%%reactor {name}\nx = 1", outputs=["x"], name=name) for name in ("a", "b"))
    assert code_digest(one.__code__) == code_digest(other.__code__)
