"""Syntax trees of functions: their digests, the names they read, and the hints in them.

The digest is computed by a walk over the tree, since both the bytecode and the text of ``ast.dump``
change between Python versions. What does not change the behaviour does not count: positions, comments,
docstrings, formatting, annotations of functions and variables and the function's own name. Annotations in the
body of a nested class, and of a nested function with a decorator, count, since these may read them. Decorators and default values of the
function itself do not count here, but as the objects that they created
(see :mod:`pyplant.fingerprint.code_graph`). Names of globals count by what they refer to
(:mod:`pyplant.fingerprint.followed_names`).

A second walk (:class:`NameCollector`) collects names. It reports each chain of attributes as a whole, such
as ``numpy.linalg.norm``, so that the function depends on the object at the end of the chain only.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, NamedTuple

from pyplant.fingerprint.class_reads import class_attribute_reads, may_read_classes
from pyplant.fingerprint.digest import Encoder, digest_bytes
from pyplant.fingerprint.dynamic_code import (
    bound_imports,
    found_by_attribute,
    found_by_key,
    found_by_name,
    found_by_text,
)
from pyplant.fingerprint.expressions import Bindings
from pyplant.fingerprint.followed_names import FollowedNames, chain_of
from pyplant.fingerprint.hints import CONFIG_NAMES, NAMED_CALLS, Hint, NameKind
from pyplant.fingerprint.metadata import annotation_names, kind_read, reads_order
from pyplant.fingerprint.syntax_nodes import NodesByType, children, nodes_by_type

__all__ = ["SCHEME", "FunctionNode", "NameCollector", "Reference", "syntax_digest"]

SCHEME = "2"
"""The version of the digest. To change it makes every reactor run once more."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

Reference = tuple[str, ...]
"""``("g", name, attribute, ...)`` for a global, ``("m", module, attribute, ...)`` for an
import inside the function (``".x"`` when relative), ``("d", kind)`` for metadata that it reads of code
(:mod:`pyplant.fingerprint.metadata`), ``("w", "")`` for any global of its module."""

_IGNORED = frozenset({"ctx", "type_comment", "kind", "annotation", "returns", "type_params"})
_BRANCHING = {
    *(ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.TryStar, ast.BoolOp, ast.Match, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef, ast.AsyncFunctionDef),
}
_REST_IS_CONDITIONAL = 1_000_000  # more than any depth of branches
_END = ")"  # no field has this name
_READ_NO_ANNOTATIONS = frozenset(
    [
        *(
            "ReactorFunc",
            "SubreactorFunc",
            "abstractmethod",
            "asynccontextmanager",
            "cache",
            "cached_property",
        ),
        *(
            "classmethod",
            "contextmanager",
            "final",
            "getter",
            "jit",
            "lru_cache",
            "njit",
            "no_grad",
            "overload",
        ),
        *("override", "property", "setter", "staticmethod", "wraps"),
    ]
)
"""Decorators that do not read annotations."""
_Scalar = str | int | float | complex | bytes | bool | None


def syntax_digest(node: FunctionNode, names: FollowedNames | None = None) -> str:
    """Return the digest of a function's parameters and body, and number the names in it that are followed."""
    encoder = Encoder()
    encoder.tag(SCHEME)
    encoder.tag("async" if isinstance(node, ast.AsyncFunctionDef) else "def")
    _encode_arguments(node.args, encoder)
    body = node.body if isinstance(node.body, list) else [ast.Return(value=node.body)]
    _encode(body, encoder, names or FollowedNames({}, ()))
    return digest_bytes(encoder.result().data)


def _encode_arguments(args: ast.arguments, encoder: Encoder) -> None:
    for group in (args.posonlyargs, args.args, args.kwonlyargs):
        encoder.item([arg.arg for arg in group])
    encoder.item([arg and arg.arg for arg in (args.vararg, args.kwarg)])


def _encode(node: Any, encoder: Encoder, names: FollowedNames) -> None:
    """Encode a node, without the fields and statements that do not count."""
    cls = type(node)  # compared with `is`: tests with isinstance() of all these take twice as long
    if cls is list:
        kept = [item for item in node if not _is_comment(item)]
        encoder.tag(str(len(kept)))
        for item in kept:
            _encode(item, encoder, names)
    elif not issubclass(cls, ast.AST):
        encoder.item(node)
    elif (cls is ast.Name or cls is ast.Attribute) and (number := names.number(node)) is not None:
        encoder.tag("followed")
        encoder.item(number)
    elif cls is ast.JoinedStr:
        encoder.tag("JoinedStr")
        _encode(list(_merged_texts(node.values)), encoder, names)
    elif cls is ast.AnnAssign and node.value is not None:  # x: int = 1 counts like x = 1
        _encode(ast.Assign(targets=[node.target], value=node.value), encoder, names)
    elif cls is ast.ClassDef or cls is ast.FunctionDef or cls is ast.AsyncFunctionDef:
        _encode_fields(node, encoder, names)
        for annotation in _read_annotations(node):
            encoder.tag("annotation")
            _encode(annotation, encoder, names)
    else:
        if cls is ast.Call:
            names.enter_call(node)
        _encode_fields(node, encoder, names)


@cache
def _fields_that_count(cls: type[ast.AST]) -> tuple[str, ...]:
    return tuple(field for field in cls._fields if field not in _IGNORED)


def _encode_fields(node: ast.AST, encoder: Encoder, names: FollowedNames) -> None:
    cls = type(node)
    encoder.tag(cls.__name__)
    for field in _fields_that_count(cls):  # type: ignore[arg-type] # classes are hashable
        value = getattr(node, field, None)
        if value is not None and value != []:
            encoder.tag(field)
            if cls is ast.Constant and field == "value":
                encoder.item(value)
            else:
                _encode(value, encoder, names)
    encoder.tag(_END)  # fields may be missing, so the end of a node must be marked


def _read_annotations(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    """Yield annotated names and their annotations, in a class body or of a nested function with a decorator."""
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                yield ast.Slice(statement.target, statement.annotation)  # a pair, as in x: int
    elif any(_name_of_decorator(decorator) not in _READ_NO_ANNOTATIONS for decorator in node.decorator_list):
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                yield argument.annotation
        if node.returns is not None:
            yield node.returns


def _name_of_decorator(decorator: ast.expr) -> str:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")


def _is_comment(node: Any) -> bool:
    """Return whether a statement is only a constant, as docstrings are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _merged_texts(values: list[ast.expr]) -> Iterator[ast.expr]:
    """Yield the parts of an f-string with adjacent texts merged, since Python versions split them differently."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(value=text)
            text = ""
        yield value
    if text:
        yield ast.Constant(value=text)


class _Path(NamedTuple):
    """A path in the configuration, and whether the object is certain to be the configuration."""

    certain: bool
    names: tuple[str, ...]


class NameCollector(ast.NodeVisitor):
    """Collects the names in the body of one function.

    Attributes
    ----------
    references
        The global and imported names that it reads, with their chains of attributes.
    hints
        The names of ingredients and parameters.
    rebound
        Names that it rebinds with ``nonlocal``, as ``"nonlocal x"``.
    nodes
        The nodes below the function.
    """

    def __init__(self, node: FunctionNode, global_names: frozenset[str]) -> None:
        self.references: set[Reference] = set()
        self.hints: set[Hint] = set()
        self.rebound: set[str] = set()
        self.nodes = nodes_by_type(node)
        self._function = node
        self._globals = global_names
        self._imported: dict[str, list[tuple[str, ...]]] = {}
        # Imports first, since a function may use a name above the import that binds it (in a loop).
        for name, origin in _imports(self.nodes):
            self._imported.setdefault(name, []).append(origin)
        self._bound_imports: set[int] = set()
        for name, call, origin in bound_imports(self.nodes):
            self._imported.setdefault(name, []).append(origin)
            self._bound_imports.add(id(call))
        self._first, self._pipes, self._configs = _roles(node.args)
        self._parts: dict[str, _Path] = {}  # local variables that hold a nested configuration
        self._in_other_reactor = 0
        self._branches = 0  # around the present node; with none, every call passes it
        body = node.body if isinstance(node.body, list) else [node.body]
        for child in body:
            self.visit(child)
        self.references.update(found_by_name(global_names, self.nodes))
        if reads_order(self.nodes):
            self.references.add(("d", "order"))
        if may_read_classes(self.nodes):
            self.hints.update(hint for child in body for hint in class_attribute_reads(child))

    @cached_property
    def _bindings(self) -> Bindings:
        return Bindings(self._function)

    def visit(self, node: ast.AST) -> None:
        """Visit a node, and count the branches around it."""
        # A loop counts as a branch, since it may run zero times, and so does a nested function.
        cls = type(node)
        branches = cls in _BRANCHING
        self._branches += branches
        getattr(self, f"visit_{cls.__name__}", self.generic_visit)(node)
        self._branches -= branches
        if self._branches and (cls is ast.Return or cls is ast.Raise):
            self._branches += _REST_IS_CONDITIONAL  # the code that follows may not be reached

    def generic_visit(self, node: ast.AST) -> None:
        """Visit what is below a node."""
        for child in children(node):
            self.visit(child)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._refer([node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        # A chain is one reference; its inner nodes are not visited, or `a.b.c` would also refer to all of `a`.
        chain = chain_of(node)
        self._note_read(node)
        self.references.update(found_by_attribute(node))
        if chain is None or chain[0] not in self._globals or node.attr == "__subclasses__":
            self._note_metadata(node.attr)
        if chain is None:
            self.generic_visit(node)
        else:
            self._refer(chain)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._note_metadata(node.value)  # getattr(f, "__doc__")

    def _note_metadata(self, name: str) -> None:
        kind = kind_read(name)
        if kind:
            self.references.add(("d", kind))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._note_read(node)
        found = set(found_by_key(node))
        self.references |= found
        if found and isinstance(node.value, ast.Call):  # globals()["f"] leads to one global, globals() to any
            self.visit(node.slice)
        else:
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            self._note_read(node.comparators[0], node.left)  # "x" in config
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # `part = config.model` gives the nested configuration another name in the rest of the function.
        path = self._path(node.value)
        for target in node.targets:
            if path is not None and isinstance(target, ast.Name):
                self._parts[target.id] = path
        self.generic_visit(node)

    def _note_read(self, node: ast.expr, name: ast.expr | None = None) -> None:
        """Add a hint if an expression, or the entry ``name`` of it, reads the configuration."""
        path = self._path(node) if name is None else self._step(node, name)
        if path is not None and path.names:
            self._mention(Hint("config", path.certain, NameKind.LITERAL, path.names))
        elif path is None and isinstance(node, ast.Subscript):
            self._note_constant(node)

    def _note_constant(self, node: ast.Subscript) -> None:
        """Add a hint for ``config[NAME]``; the value of ``NAME`` is looked up later."""
        root, chain = self._path(node.value), chain_of(node.slice)
        if root is not None and not root.names and chain is not None and chain[0] in self._globals:
            self._mention(Hint("config", root.certain, NameKind.EXPRESSION, (".".join(chain),)))

    def _path(self, node: ast.expr) -> _Path | None:
        """Return the path in the configuration that an expression evaluates to, if any."""
        match node:
            case ast.Name(id=name):
                found = self._parts.get(name)
                return _Path(name in CONFIG_NAMES, ()) if name in self._configs else found
            case ast.Attribute(value=ast.Name(id=pipe), attr="config") if pipe in {*self._pipes, self._first}:
                return _Path(pipe in self._pipes, ())
            case ast.Attribute(value=owner, attr=name):
                return self._step(owner, ast.Constant(name))
            case ast.Subscript(value=owner, slice=key):
                return self._step(owner, key)
            case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_]):
                return self._step(owner, key)
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[owner, key, *_]):
                return self._step(owner, key)
        return None

    def _step(self, owner: ast.expr, key: ast.expr) -> _Path | None:
        above = self._path(owner)
        if above is None or not _is_text(key):
            return None
        return above._replace(names=(*above.names, str(key.value)))  # type: ignore[attr-defined]

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.rebound.update(f"nonlocal {name}" for name in node.names)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._refer([node.target.id])  # an augmented assignment also reads its target
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in (node.target, node.value):
            if part is not None:
                self.visit(part)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords, *node.body):
            self.visit(part)
        self._visit_annotations(node)

    def _visit_annotations(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for annotation in _read_annotations(node):
            read = annotation.upper if isinstance(annotation, ast.Slice) else annotation
            for chain in annotation_names(ast.unparse(read)) if read is not None else ():
                self._refer(list(chain), is_annotation=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Visit a nested function without its annotations. If it is a reactor, its hints are its own."""
        defaults = [default for default in node.args.kw_defaults if default is not None]
        for part in (*node.decorator_list, *node.args.defaults, *defaults):
            self.visit(part)
        # Its references still count: a factory depends on the code of the reactors that it makes.
        is_reactor = any(map(_makes_reactor, node.decorator_list))
        self._in_other_reactor += is_reactor
        for statement in node.body:
            self.visit(statement)
        self._in_other_reactor -= is_reactor
        self._visit_annotations(node)

    def _mention(self, hint: Hint) -> None:
        if not self._in_other_reactor:
            self.hints.add(hint)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.references.add(("m", base))

    def visit_Import(self, node: ast.Import) -> None:
        names = (name for name in self.nodes.get(ast.Name, ()) if isinstance(name, ast.Name))
        loaded = {name.id for name in names if isinstance(name.ctx, ast.Load)}
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) not in loaded:
                self.references.add(("m", alias.name))  # for its effect, such as an entry in a registry
            elif "." in alias.name:  # the submodule is loaded even if nothing of it is used
                self.references.add(("m", alias.name, ""))

    def visit_Call(self, node: ast.Call) -> None:
        func = node.func
        self._note_read(node)
        for reference in found_by_text(node, self._globals, self.nodes):
            if id(node) not in self._bound_imports:
                self.references.add(reference)
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.attr in NAMED_CALLS:
            variable = func.value.id
            if variable in self._pipes or variable == self._first:
                receives = func.attr == "receive"
                names = _each_name(node.args) if receives else self._name_argument(node)
                for argument in names:
                    is_constant = isinstance(argument, ast.Constant)  # as most names are
                    kind, text = _name(argument if is_constant else self._bindings.expression(argument))
                    unconditional = not self._branches
                    self._mention(Hint(func.attr, variable in self._pipes, kind, text, unconditional))
        self.generic_visit(node)

    @staticmethod
    def _name_argument(node: ast.Call) -> list[ast.expr]:
        if node.args:
            return node.args[:1]
        return [keyword.value for keyword in node.keywords if keyword.arg == "name"]

    def _refer(self, chain: list[str], *, is_annotation: bool = False) -> None:
        # A local name that two imports bind may be either, so both count. A name may also be local in one
        # scope and global in another, which the bytecode (`_globals`) tells.
        root = chain[0]
        if (root in self._imported or root in self._globals) and kind_read(chain[-1], by_function=True):
            self.references.add(("d", kind_read(chain[-1], by_function=True)))  # inspect.signature
        for origin in self._imported.get(root, ()):
            self.references.add(("m", *origin, *chain[1:]))
        # Annotations may be texts, which are not in the bytecode; libraries evaluate them in the module.
        if root in self._globals or (is_annotation and not hasattr(builtins, root)):
            self.references.add(("g", *chain))


def _imports(nodes: NodesByType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the local names that ``import`` statements bind, with the imported modules and names."""
    for node in nodes.get(ast.Import, ()):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, (alias.name,)) if alias.asname else (top, (top,))
    for node in nodes.get(ast.ImportFrom, ()):
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, (base, alias.name)


def _roles(args: ast.arguments) -> tuple[str, set[str], set[str]]:
    """Return the first parameter, the parameters that hold a pipework, and those that hold a config."""
    positional = [*args.posonlyargs, *args.args]
    every = [*positional, *args.kwonlyargs]
    # By annotation, and by the usual name, under which nested functions and helpers use it too.
    pipes = {arg.arg for arg in every if _annotation(arg) == "Pipework"} | {"pipe"}
    configs = {arg.arg for arg in positional[1:2]} | CONFIG_NAMES
    return (positional[0].arg if positional else ""), pipes, configs


def _annotation(arg: ast.arg) -> str:
    annotation = arg.annotation
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    if isinstance(annotation, ast.Name):
        return annotation.id
    if _is_text(annotation):
        return str(annotation.value).rpartition(".")[2]  # type: ignore[union-attr]
    return ""


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _name(node: ast.expr) -> tuple[NameKind, tuple[str, ...]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return NameKind.LITERAL, (node.value,)
    if isinstance(node, ast.Constant):
        return NameKind.DYNAMIC, ()
    try:
        return NameKind.EXPRESSION, (ast.unparse(ast.fix_missing_locations(node)),)
    except (ValueError, RecursionError):  # an f-string that Python 3.11 cannot unparse, or a very deep one
        return NameKind.DYNAMIC, ()


def _each_name(arguments: list[ast.expr]) -> Iterator[ast.expr]:
    """Yield the names in the arguments of ``receive``: single ones, in a list, or after a star."""
    for argument in arguments:
        inner = argument.value if isinstance(argument, ast.Starred) else argument
        yield from inner.elts if isinstance(inner, ast.List | ast.Tuple) else [inner]


def _makes_reactor(decorator: ast.expr) -> bool:
    """Return whether a decorator is ``ReactorFunc``, with arguments or without."""
    chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return chain is not None and chain[-1] == "ReactorFunc"
