"""Finding and verifying the source of code objects."""

import __future__

import ast
import inspect
import linecache
import types

import pytest

from pyplant.fingerprint import source
from pyplant.fingerprint.source import Sources
from tests.fingerprint.helpers import again, load, run, write


def part(function, sources=None):
    return (sources or Sources()).part(function.__code__, function.__globals__)


def test_the_text_of_a_function_is_found(tmp_path):
    module = load(tmp_path, "x = 1\n\n@staticmethod\ndef main():\n    return 1  # a\n\ny = 2\n")
    found = part(module.main.__func__)
    assert found.verified
    assert found.text == "@staticmethod\ndef main():\n    return 1  # a\n"


def test_the_text_of_a_cell_is_found(tmp_path):
    module = load(tmp_path, "x = 1")
    again(module, "y = 2\ndef main(): return 1")
    assert part(module.main).text == "def main(): return 1"


def test_the_text_of_an_edited_file_is_not_used(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(): return 1", path)
    path.write_text("def main(): return 2\n", encoding="utf-8")
    found = part(module.main)
    assert not found.verified
    assert found.text == ""


def test_a_text_is_parsed_again_after_its_tree_was_dropped(tmp_path, monkeypatch):
    module = load(tmp_path, "def main(): return 1\ndef other(): return lambda: 2")
    sources, parsed = Sources(), []
    monkeypatch.setattr(ast, "parse", lambda text, parse=ast.parse: parsed.append(text) or parse(text))
    before = part(module.main, sources), part(module.other, sources)
    assert len(parsed) == 1
    sources.forget_trees()
    assert (part(module.main, sources), part(module.other, sources)) == before
    assert len(parsed) == 2


def test_a_function_that_moved_in_its_file_is_found(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(): return 1", path)
    path.write_text("def before(): return 2\n\n\ndef main(): return 1\n", encoding="utf-8")
    found = part(module.main)
    assert found.verified
    assert found.text == "def main(): return 1\n"


def test_a_captured_text_is_used_after_an_edit(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(): return 1", path)
    sources = Sources()
    sources.capture(str(path))
    path.write_text("def main(): return 2\n", encoding="utf-8")
    assert part(module.main, sources).verified
    edited = run("def main(): return 2\n", path)
    assert part(edited.main, sources).verified
    assert part(module.main, sources).verified


def test_the_text_of_a_module_is_taken_once_for_each_execution(tmp_path, monkeypatch):
    path = write(tmp_path, "def main(): return 1")
    looked, check = [], linecache.checkcache
    monkeypatch.setattr(linecache, "checkcache", lambda filename: looked.append(filename) or check(filename))
    sources, first, second = Sources(), object(), object()
    for _ in range(3):
        sources.capture(str(path), execution=first)
    assert looked == [str(path)]
    module = run("def main(): return 2", path)
    path.write_text("def main(): return 2\n", encoding="utf-8")
    sources.capture(str(path), execution=second)
    path.unlink()
    assert part(module.main, sources).verified


def test_a_function_of_a_missing_file_counts_by_its_code_object(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(x): return len(x)", path)
    path.unlink()
    linecache.checkcache()
    found = part(module.main)
    assert not found.verified
    assert found.references == (("g", "len"),)


def test_a_function_of_a_file_with_syntax_errors_counts_by_its_code_object(tmp_path):
    path = write(tmp_path, "def main(: return 1")
    assert not part(run("def main(): return 1", path).main).verified


@pytest.mark.parametrize("index", range(4))
def test_lambdas_on_one_line_are_distinguished(tmp_path, index):
    text = "fs = [lambda x: x + 1, lambda x: x + 2, lambda: (lambda: 3), (lambda: 4)]"
    other = ["lambda x: x + 1", "lambda x: x + 2", "lambda: (lambda: 3)", "lambda: 4"]
    found = part(load(tmp_path, text).fs[index])
    alone = part(load(tmp_path, f"f = {other[index]}").f)
    assert found.verified
    assert found.digest == alone.digest


LAMBDAS = [
    "lambda x: x",
    "lambda: None",
    "lambda x=1: x",
    "lambda x: lambda y: x + y",
    "lambda *a: a[0]",
    "lambda x: [x\n for _ in range(3)]",
    "lambda x: (\n  x +\n  1\n)",
    "lambda x: x if x else (lambda: x)",
    "lambda x: f'{x}'",
    "lambda: (yield)",
    "lambda x: {i: j for i, j in x}",
]


@pytest.mark.parametrize("first", LAMBDAS)
@pytest.mark.parametrize("second", LAMBDAS)
def test_a_lambda_is_found_beside_other_code_on_its_line(tmp_path, first, second):
    beside = load(tmp_path, f"a, b = ({first}), ({second})")
    for function, text in ((beside.a, first), (beside.b, second)):
        found = part(function)
        assert found.verified
        assert found.digest == part(load(tmp_path, f"f = ({text})").f).digest


@pytest.mark.parametrize(
    "text", ["lambda: 1", "lambda x: 1", "lambda: 1 + 1", "lambda: (1, 2)", "lambda: -1"]
)
def test_a_lambda_that_returns_a_constant_is_found_beside_other_code(tmp_path, text):
    before = part(load(tmp_path, f"a, b = ({text}), (lambda x: x)").a)
    after = part(load(tmp_path, f"a, b = ({text.replace('1', '3')}), (lambda x: x)").a)
    assert before.verified
    assert before.digest != after.digest


def test_an_inner_lambda_is_distinguished_from_the_outer_one(tmp_path):
    module = load(tmp_path, "f = lambda x: (lambda x: (lambda x: x))")
    outer, middle = module.f, module.f(1)
    inner = middle(1)
    digests = [part(function).digest for function in (outer, middle, inner)]
    assert len(set(digests)) == 3
    assert digests[2] == part(load(tmp_path, "f = lambda x: x").f).digest


def test_functions_of_one_name_are_distinguished(tmp_path):
    text = "def f():\n return 1\na = f\ndef f():\n return 2\nb = f\nif a:\n def f():\n  return 3\n"
    module = load(tmp_path, text)
    texts = [inspect.cleandoc(part(function).text) for function in (module.a, module.b, module.f)]
    assert [text[-1] for text in texts] == ["1", "2", "3"]


def test_methods_closures_and_async_functions_are_found(tmp_path):
    text = (
        "class A:\n def f(self): return 1\n class B:\n  async def g(self): return 2\n"
        "def make(n):\n def inner(): return n\n return inner\nh = make(1)\n"
    )
    module = load(tmp_path, text)
    assert all(part(function).verified for function in (module.A.f, module.A.B.g, module.h))


def test_a_function_of_equal_code_in_a_dead_branch_changes_nothing(tmp_path):
    one = load(tmp_path, "def main(x):\n    return x\n")
    two = load(tmp_path, "def other(x):\n    return x\ndef main(x):\n    return x\n")
    assert part(one.main).digest == part(two.main).digest == part(two.other).digest


@pytest.mark.slow
def test_a_very_long_function_is_shown_in_part(tmp_path):
    text = "def main():\n" + " x = 1\n" * 10_000
    assert len(part(load(tmp_path, text).main).text) == 20_000


def test_a_function_with_a_too_deep_expression_counts_by_its_code_object(tmp_path):
    text = "def main(x): return " + "-" * 50 + "x" + " + x" * 1_500
    one = part(load(tmp_path, text).main)
    assert one.digest == part(load(tmp_path, text).main).digest


def test_compiling_restores_the_garbage_collector(tmp_path):
    import gc

    gc.disable()
    try:
        part(load(tmp_path, "def main(): return 1").main)
        assert not gc.isenabled()
    finally:
        gc.enable()
    part(load(tmp_path, "def main(): return 2").main)
    assert gc.isenabled()


def test_code_that_was_compiled_from_a_tree_counts_by_it():
    def given(body):
        tree = ast.parse(f"def f(pipe):\n    {body}")
        code = next(c for c in compile(tree, "<cell>", "exec").co_consts if isinstance(c, types.CodeType))
        sources = Sources()
        sources.give(code, tree.body[0], body)
        return sources.part(code)

    part = given("pipe.send('x', 1)")
    assert part.verified
    assert part.text == "pipe.send('x', 1)"
    assert {hint.text for hint in part.hints} == {("x",)}
    assert part.digest == given("pipe.send( 'x',  1 )  # the same").digest
    assert part.digest != given("pipe.send('x', 2)").digest


def in_pieces(tmp_path, text, flags=0):
    """Run a text as IPython runs a cell: statement by statement."""
    path = write(tmp_path, text)
    namespace = {"__name__": "cell"}
    for statement in ast.parse(text).body:
        code = compile(ast.Module([statement], []), str(path), "exec", flags, dont_inherit=True)
        exec(code, namespace)
    return namespace["main"]


def test_a_function_beside_an_import_that_it_uses_is_found_in_a_cell(tmp_path):
    main = in_pieces(tmp_path, "import math as m\n\ndef main(x):\n    return m.floor(x)  # down\n")
    assert part(main).text == "def main(x):\n    return m.floor(x)  # down\n"


def test_a_function_under_a_future_import_of_another_cell_is_found(tmp_path):
    main = in_pieces(tmp_path, "def main(x): return 1", flags=__future__.annotations.compiler_flag)
    assert part(main).verified


def test_a_cell_counts_like_the_same_text_in_a_module(tmp_path):
    text = "import math as m\ndef main(x): return m.floor(x)\n"
    assert part(in_pieces(tmp_path, text)).digest == part(load(tmp_path, text).main).digest


def test_of_many_lambdas_on_one_line_each_is_looked_for_once_and_kept_alone(tmp_path, monkeypatch):
    text = "fs = [" + ", ".join(f"lambda x: x + {n} + len('ä')" for n in range(300)) + "]"
    module = load(tmp_path, text)
    compared, spans = [], source._spans
    monkeypatch.setattr(source, "_spans", lambda *args: compared.append(args) or spans(*args))
    sources = Sources()
    parts = [sources.part(f.__code__, vars(module)) for f in module.fs]
    assert [found.text for found in parts] == [f"lambda x: x + {n} + len('ä')" for n in range(300)]
    assert len({found.digest for found in parts}) == 300
    assert len(compared) < 1000


def test_of_many_functions_with_one_name_the_right_one_is_found(tmp_path):
    text = "".join(f"class C{n}:\n def f(self): return {n}\n" for n in range(100))
    module = load(tmp_path, text)
    sources = Sources()
    for n in range(100):
        code = getattr(module, f"C{n}").f.__code__
        assert sources.part(code, vars(module)).text == f" def f(self): return {n}\n"
