"""Statements of user modules that change installed code: ``random.seed(1)``, ``getcontext().prec = 5``, ``yaml.add_constructor(...)``.

Such a statement leaves nothing in the user's module, and what it changes may be in C. So the statement itself counts, as a
function that consists of it, for code that uses the package. The statements are found in the text of modules and cells, as
assigned attributes are (:mod:`pyplant.fingerprint.assignments`), and by the names of what they call: a call that only computes
or shows something is no effect.

A generator of random numbers is used by code that refers to other packages, too. So a seed counts for code that mentions a
random method, or a package that draws numbers.
"""

from __future__ import annotations

import abc
import ast
import linecache
import re
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import class_namespace, module_of, namespace
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.followed_names import chain_of
from pyplant.fingerprint.installed_names import installed_name, is_users_class
from pyplant.fingerprint.origin import LOADED, is_users_function, leads_to_user_code, package_name

__all__ = ["Effect", "effect_function", "effects_in", "is_effect"]

_FILENAME = "<effect "
_CALLED = (
    r"\w*seed\w*|set\w*|register\w*|unregister\w*|add_\w+|use\w*|update|enable\w*|disable\w*|config\w*|define|init\w*|reset\w*"
    r"|simplefilter|filterwarnings|listen\w*|rc|install|activate"
)
_SETS = re.compile(_CALLED)
# At the first column any call, since a user's function may seed; below conditions and loops the names above.
_MAY_HAVE = re.compile(
    rf"^(?:[^\W\d][\w.]*\(|@(?:[\w.]+\.)?(?:{_CALLED})\b|[^\s#@][^=\n]*[.\]]\w*\s*[-+*/|]?=)"
    rf"|^(?:if|for|with|try|else|elif|except|finally)\b[^\n]*\n(?:(?:[ \t][^\n]*)?\n)*?"
    rf"[ \t]+(?:[\w.]+\.)?(?:{_CALLED})\(",
    re.MULTILINE,
)
_SETS_UP = re.compile(
    r"set_\w*options?|set_default_\w+|set_config|set_theme|seterr|setlocale|getcontext|rcParams|register\w*|add_constructor"
    r"|use_deterministic_algorithms"
)
_NOT_OF_RESULTS = frozenset(
    [
        *(
            "IPython",
            "asyncio",
            "atexit",
            "builtins",
            "faulthandler",
            "gc",
            "hypothesis",
            "logging",
            "multiprocessing",
            "os",
        ),
        *("pyplant", "pytest", "signal", "subprocess", "threading"),
    ]
)
"""Packages whose settings belong to the process or to tests, and change no result."""
_REPLACING = ("set", "use")
_FEW = 100
_GENERATORS = frozenset(["numpy", "random", "torch"])
_DRAWS_FROM_NUMPY = frozenset(["imblearn", "scipy", "sklearn", "skimage", "statsmodels", "umap"])
_DRAWS = frozenset(
    [
        *(
            "choice",
            "fit",
            "fit_predict",
            "fit_transform",
            "normal",
            "permutation",
            "rand",
            "randint",
            "randn",
        ),
        *("random", "resample", "rvs", "sample", "shuffle", "uniform"),
    ]
)
"""Methods that may draw from NumPy's global generator, also of objects of other packages."""


class Effect(NamedTuple):
    """A statement of a user module that changes installed code.

    Attributes
    ----------
    module
        The module whose text has it.
    key
        What it sets: of two statements in cells with one key, the later one counts. Else the statement.
    text
        The statement.
    packages
        The packages that it changes.
    names, texts
        Names of attributes, and texts in quotes, by which code uses it that refers to none of the packages.
    variable
        The variable of the module whose object it changes, which has no content to compare.
    is_seed
        Whether it seeds generators of random numbers.
    """

    module: str
    key: str
    text: str
    packages: frozenset[str]
    names: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    variable: str = ""
    is_seed: bool = False

    def is_used_by(
        self,
        packages: Collection[str],
        names: Collection[str],
        texts: Collection[str],
        targets: Collection[int],
    ) -> bool:
        """Return whether code uses what the statement changes.

        Parameters
        ----------
        packages, names, texts
            The packages that the code refers to, and all names and texts in it.
        targets
            The identities of the objects that it refers to.
        """
        if self.variable:
            held = namespace(LOADED.get(self.module)) or {}
            return id(held.get(self.variable, MISSING)) in targets
        if self.is_seed and "numpy" in self.packages:
            draws = not _DRAWS.isdisjoint(names) or not _DRAWS_FROM_NUMPY.isdisjoint(packages)
            return draws or not (self.packages - {"numpy"}).isdisjoint(packages)
        return not (
            self.packages.isdisjoint(packages)
            and self.names.isdisjoint(names)
            and self.texts.isdisjoint(texts)
        )


def effects_in(text: str, module: str, variables: Mapping[str, Any]) -> Iterator[Effect]:
    """Yield the effects of the statements in the text of a module or cell, without those in functions.

    Parameters
    ----------
    text
        The text.
    module
        The name of the module.
    variables
        The namespace of the module.
    """
    if not _MAY_HAVE.search(text):
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement, inner in _statements(tree.body):
        effect = _effect(inner, module, variables)
        if effect is not None:
            yield effect._replace(text=ast.unparse(ast.fix_missing_locations(statement)))


def _statements(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Yield each statement that a module executes, within its conditions and loops, and the statement itself."""
    for node in body:
        if isinstance(node, ast.If):
            if any(isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test)):
                continue  # the main guard
            for test, branch in ((node.test, node.body), (ast.UnaryOp(ast.Not(), node.test), node.orelse)):
                yield from ((ast.If(test, [outer], []), inner) for outer, inner in _statements(branch))
        elif isinstance(node, ast.For):
            for outer, inner in _statements(node.body):
                yield ast.For(node.target, node.iter, [outer], []), inner
        elif isinstance(node, ast.With):
            yield from _statements(node.body)
        elif isinstance(node, ast.Try):
            for branch in (node.body, node.orelse, node.finalbody, *(each.body for each in node.handlers)):
                yield from _statements(branch)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                call = ast.Expr(ast.Call(decorator, [ast.Name(node.name, ast.Load())], []))
                yield call, call
        elif isinstance(node, ast.Expr | ast.Assign | ast.AugAssign):
            yield node, node


def _effect(node: ast.stmt, module: str, variables: Mapping[str, Any]) -> Effect | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _effect_of_call(node.value, module, variables)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    target = targets[0]
    if not isinstance(target, ast.Attribute | ast.Subscript):
        return None
    holder = _value(target.value, variables)
    # What is assigned to attributes of modules and classes is found in these.
    if isinstance(target, ast.Attribute) and issubclass(type(holder), ModuleType | type):
        return None
    key = ast.unparse(target)
    if isinstance(target, ast.Attribute) and module_of(type(holder)) == "logging":
        # A logger counts by its name.
        return Effect(module, key, "", frozenset(), variable=getattr(target.value, "id", ""))
    package = _package(target.value, variables)
    return Effect(module, key, "", frozenset([package])) if package else None


def _effect_of_call(call: ast.Call, module: str, variables: Mapping[str, Any]) -> Effect | None:
    inner = call.func.func if isinstance(call.func, ast.Call) else call.func  # @register("name")
    name = inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")
    called = _value(inner, variables)
    replaces = name.startswith(_REPLACING) or "seed" in name
    key = ast.unparse(call if not replaces else call.func)
    if replaces and len(call.args) > 1:
        key += f"({ast.unparse(call.args[0])})"
    if is_users_function(called):
        return _effect_of_function(called, name, module, key)
    package = _package(inner, variables)
    if not package and (variable := _without_content(inner, variables)):
        return Effect(module, key, "", frozenset(), variable=variable)
    # An abstract class itself tells what was registered.
    is_of_class = isinstance(inner, ast.Attribute) and issubclass(
        type(_value(inner.value, variables)), abc.ABCMeta
    )
    # An accessor counts where code mentions its name.
    is_followed = (is_of_class and name == "register") or name.endswith(("_accessor", "_namespace"))
    if not package or not _SETS.fullmatch(name) or is_followed:
        return None
    if "seed" in name:
        packages = {package} if package in _GENERATORS else {package, *_GENERATORS}
        return Effect(module, key, "", frozenset(packages), is_seed=True)
    if package == "sys":
        return Effect(module, key, "", frozenset(), frozenset([name.replace("set", "get", 1)]))
    arguments = call.args if name.startswith("register") else ()
    values = (each.value for each in arguments if isinstance(each, ast.Constant))
    texts = frozenset(value for value in values if type(value) is str)
    return Effect(module, key, "", frozenset([package]), texts=texts)


def _without_content(node: ast.expr, variables: Mapping[str, Any]) -> str:
    """Return the variable that a method is called of, if its object has no content to compare, such as a database in memory."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return ""
    value = variables.get(node.value.id)
    cls = type(value)
    if (
        issubclass(cls, ModuleType | type | FunctionType)
        or is_users_class(cls)
        or package_name(module_of(cls)) in _NOT_OF_RESULTS
    ):
        return ""
    # What a database in memory stores is content; the functions that it may call are not.
    hidden = node.attr.startswith(("create_", "register")) or encode(value, max_objects=_FEW).opaque
    return node.value.id if hidden else ""


def _effect_of_function(function: FunctionType, name: str, module: str, key: str) -> Effect | None:
    """Return the effect of a call of a user's function that sets libraries up, and uses nothing else of the user's."""
    names = function.__code__.co_names
    is_seed = any("seed" in each for each in (name, *names))
    if not is_seed and not any(map(_SETS_UP.fullmatch, names)):
        return None
    found = [function.__globals__[each] for each in names if each in function.__globals__]
    if any(map(_is_users, found)):
        return None
    packages = {_package_of_root(each) for each in found} - {""}
    return Effect(module, key, "", frozenset(packages | (_GENERATORS if is_seed else set())), is_seed=is_seed)


def _is_users(value: Any) -> bool:
    if issubclass(type(value), ModuleType):
        return leads_to_user_code(value) or value.__name__.startswith("pyplant")
    if issubclass(type(value), type):
        return is_users_class(value)
    return is_users_function(value)


def _package(node: ast.expr, variables: Mapping[str, Any]) -> str:
    """Return the package that holds what an expression begins with; ``""`` if it is the user's, or of no interest."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return _package_of_root(variables.get(node.id, MISSING)) if isinstance(node, ast.Name) else ""


def _package_of_root(root: Any) -> str:
    if issubclass(type(root), ModuleType):
        package = "" if leads_to_user_code(root) else package_name(root.__name__)
    elif issubclass(type(root), type):
        package = "" if is_users_class(root) else package_name(module_of(root))
    else:
        package = "" if root is MISSING or is_users_function(root) else installed_name(root).partition(":")[0]
    return "" if package in _NOT_OF_RESULTS else package


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    """Return what a chain of names stands for, else :data:`MISSING`; no code is run."""
    chain = chain_of(node)
    if chain is None:
        return MISSING
    value = variables.get(chain[0], MISSING)
    for step in chain[1:]:
        if issubclass(type(value), type):
            value = class_namespace(value).get(step, MISSING)
        elif issubclass(type(value), ModuleType):
            value = (namespace(value) or {}).get(step, MISSING)
        else:
            value = MISSING
    return value


# Weak, since a function keeps the namespace of its module.
_functions: WeakValueDictionary[Effect, FunctionType] = WeakValueDictionary()


def effect_function(effect: Effect) -> FunctionType:
    """Return a function that consists of the statement, with the globals of its module; it is never called."""
    variables = namespace(LOADED.get(effect.module)) or {"__name__": effect.module}
    known = _functions.get(effect)
    if known is not None and (known.__globals__ is variables or effect.module not in LOADED):
        return known
    filename = f"{_FILENAME}{effect.module} {effect.text}>"
    text = "def effect():\n" + "\n".join(f"    {line}" for line in effect.text.splitlines()) + "\n"
    linecache.cache[filename] = len(text), None, text.splitlines(keepends=True), filename
    made: dict[str, Any] = {}
    exec(compile(text, filename, "exec", dont_inherit=True), made)  # noqa: S102 - it only defines a function
    function = FunctionType(made["effect"].__code__, variables)
    function.__module__, function.__qualname__ = effect.module, effect.key
    _functions[effect] = function
    return function


def is_effect(function: FunctionType) -> bool:
    """Return whether a function is one of :func:`effect_function`."""
    return function.__code__.co_filename.startswith(_FILENAME)
