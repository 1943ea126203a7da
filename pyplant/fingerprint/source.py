"""Finding the source of a code object, and verifying it.

``inspect.getsource`` trusts line numbers. After ``%autoreload``, after an edit that was not reloaded,
or in a notebook, the text at these lines may belong to another function. So a text counts as the
source of a code object only if compiling it yields *the same code*, positions aside. Without verified
source, the code object itself is digested.

Texts are read through :mod:`linecache`, which also has notebook cells, and kept. The text of a module is
read as soon as a reactor of it is defined, so that a later edit of the file does not lose
the text of the running code.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from types import CodeType
from typing import Any, NamedTuple

from pyplant._missing import NOTHING
from pyplant.engine import validate
from pyplant.fingerprint.bytecode import code_digest, nested, read_names, scan
from pyplant.fingerprint.followed_names import FollowedNames
from pyplant.fingerprint.gc_pause import gc_paused
from pyplant.fingerprint.hints import Hint
from pyplant.fingerprint.syntax import FunctionNode, NameCollector, Reference, syntax_digest
from pyplant.fingerprint.syntax_nodes import functions_below, nodes_by_type

__all__ = ["CodePart", "Sources"]

_FEW = 50  # code objects of one name in a text, which are compared one by one
_TEXT_LIMIT = 20_000  # characters of source kept for showing differences
_FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_SHORTEST = 2  # parts of a reference
_VERSIONS = 4  # texts kept of one file
_LAMBDA = "<lambda>"  # the name of the code of each


class CodePart(NamedTuple):
    """What one code object contributes to a fingerprint, without what it refers to.

    Attributes
    ----------
    digest
        The digest of the normalised syntax tree if the source is verified, else of the code object.
    references
        The global and imported names that it reads.
    hints
        The names of ingredients and parameters in it.
    rebound
        Globals and closure variables that it rebinds. They are state, not input.
    text
        Its source, for showing differences; empty if there is none.
    verified
        Whether source was found that compiles to this code.
    names
        The names that are numbers in the digest, in order
        (:meth:`~pyplant.fingerprint.followed_names.FollowedNames.in_order`).
    """

    digest: str
    references: tuple[Reference, ...]
    hints: frozenset[Hint]
    rebound: frozenset[str]
    text: str
    verified: bool
    names: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON-able data."""
        return {
            "d": self.digest,
            "g": [
                list(reference) for reference in self.references
            ],  # "r" in earlier versions, which found fewer
            "c": sorted(hint.to_json() for hint in self.hints),  # earlier versions used "h" and "n"
            "s": sorted(self.rebound),
            "t": self.text,
            "v": self.verified,
            "u": [list(name) for name in self.names],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CodePart:
        """Convert from JSON-able data."""
        return cls(
            validate.source_text(data["d"]),
            tuple(map(_reference_from_json, data["g"])),
            frozenset(map(Hint.from_json, data["c"])),
            frozenset(validate.source_texts(data["s"])) or NOTHING,
            validate.string(data["t"]),
            bool(data["v"]),
            tuple(map(_name_from_json, data["u"])),
        )


def _reference_from_json(data: list[Any]) -> Reference:
    reference = validate.source_texts(data)
    if len(reference) < _SHORTEST or reference[0] not in ("g", "m", "d", "w"):
        raise ValueError(data)
    return reference


def _name_from_json(data: list[Any]) -> tuple[str, ...]:
    name = validate.str_list(data)
    if len(name) < _SHORTEST:
        raise ValueError(data)
    return name


class _SourceText:
    """One version of a file's text, parsed when it is needed."""

    def __init__(self, filename: str, lines: list[str]) -> None:
        self.lines = lines
        self._filename = filename
        self._parsed: _ParsedText | None = None

    def find(self, code: CodeType) -> FunctionNode | None:
        """Return the syntax tree that compiles to ``code``, at any place in the text."""
        # A local variable, since another thread may forget the tree meanwhile.
        parsed = self._parsed = self._parsed or _ParsedText(self._filename, "".join(self.lines))
        return parsed.find(code)

    def forget_tree(self) -> None:
        """Drop the syntax tree and what was compiled."""
        self._parsed = None

    def segment(self, node: FunctionNode) -> str:
        """Return the source text of ``node``."""
        first, end = _first_line(node), node.end_lineno or node.lineno
        if first == end and isinstance(node, ast.Lambda):  # one of many, perhaps
            return self.lines[first - 1].encode()[node.col_offset : node.end_col_offset].decode()
        return "".join(self.lines[first - 1 : end])[:_TEXT_LIMIT]


class _ParsedText:
    """The syntax tree and the code objects of a text."""

    def __init__(self, filename: str, text: str) -> None:
        self._filename = filename
        self._codes: dict[str, list[CodeType]] = {}
        self._pieces: dict[int, dict[str, list[CodeType]]] = {}
        self._tree = ast.Module([], [])
        self._nodes: dict[tuple[str, int], list[FunctionNode]] = {}
        self._by_digest: dict[int, dict[str, list[CodeType]]] = {}  # by the identity of the list of codes
        self._compile(text)

    def find(self, code: CodeType) -> FunctionNode | None:
        """Return the syntax tree that compiles to ``code``, at any place in the text."""
        found = self._find(code, self._codes)
        if found is None:
            # IPython compiles the statements of a cell one by one, with the future imports of earlier cells.
            # The bytecode then differs: Python compiles calls of names that the same text imports in another way.
            future = code.co_flags & _FUTURE
            if future not in self._pieces:
                self._pieces[future] = self._compiled_pieces(future)
            found = self._find(code, self._pieces[future])
        return found

    def _find(self, code: CodeType, codes: dict[str, list[CodeType]]) -> FunctionNode | None:
        same_name = self._likely(code, codes.get(code.co_name, []))
        # The recorded line first; after an edit above the function, it has the same code at another line.
        at_place = [c for c in same_name if c.co_firstlineno == code.co_firstlineno]
        wanted = code_digest(code)
        # Several functions may have equal code. If their sources differ in what compiling drops, the choice must be the
        # same in each session.
        for candidates in (at_place, same_name):
            # Code that is equal as a whole is compared faster than its digest is computed and kept.
            nodes = [self._node(c) for c in candidates if c == code or code_digest(c) == wanted]
            found = [node for node in nodes if node is not None]
            if found:
                return found[0] if len(found) == 1 else min(found, key=syntax_digest)
        return None

    def _likely(self, code: CodeType, codes: list[CodeType]) -> list[CodeType]:
        """Return the equal ones of many codes, such as those of lambdas on one line; all of a few."""
        if len(codes) <= _FEW:
            return codes
        if id(codes) not in self._by_digest:
            by_digest = self._by_digest[id(codes)] = {}
            for each in codes:
                by_digest.setdefault(code_digest(each), []).append(each)
        return self._by_digest[id(codes)].get(code_digest(code), [])

    def _compile(self, text: str) -> None:
        with gc_paused(enabled=False):  # parsing makes many objects and no garbage
            try:
                tree = ast.parse(text)
                module = compile(text, self._filename, "exec", dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return
            self._tree = tree
            for code in nested(module):
                self._codes.setdefault(code.co_name, []).append(code)
            for node in functions_below(tree):
                self._nodes.setdefault((node.name, _first_line(node)), []).append(node)
            lambdas = nodes_by_type(tree).get(ast.Lambda, ()) if _LAMBDA in self._codes else ()
            for node in sorted(lambdas, key=_start):
                self._nodes.setdefault((_LAMBDA, _first_line(node)), []).append(node)

    def _compiled_pieces(self, future: int) -> dict[str, list[CodeType]]:
        codes: dict[str, list[CodeType]] = {}
        with gc_paused(enabled=False):
            for statement in self._tree.body:
                piece = ast.Module([statement], [])
                for code in nested(compile(piece, self._filename, "exec", future, dont_inherit=True)):
                    codes.setdefault(code.co_name, []).append(code)
        return codes

    def _node(self, code: CodeType) -> FunctionNode | None:
        nodes = self._nodes.get((code.co_name, code.co_firstlineno), [])
        if len(nodes) <= 1:
            return nodes[0] if nodes else None
        # Several lambdas begin on one line: take the smallest one that spans all instructions, the last of those to begin.
        places = [(line, column) for line, _, column, _ in code.co_positions() if line and column is not None]
        has_columns = any(column for _, column in places)
        if not has_columns:  # Python 3.12 has none for a lambda that returns a constant
            return next((node for node in nodes if _compiles_to(node, code)), None)
        for index in reversed(range(bisect_right(nodes, max(places), key=_start))):
            if _spans(nodes[index], places):
                return nodes[index]
        return None


def _compiles_to(node: FunctionNode, code: CodeType) -> bool:
    """Return whether a lambda without closure compiles to this code."""
    if not isinstance(node, ast.Lambda):
        return False
    alone = compile(ast.Expression(node), "<lambda>", "eval", dont_inherit=True)
    return any(code_digest(inner) == code_digest(code) for inner in nested(alone))


def _first_line(node: FunctionNode) -> int:
    decorators = getattr(node, "decorator_list", None)
    return int(decorators[0].lineno if decorators else node.lineno)


def _spans(node: FunctionNode, places: list[tuple[int, int]]) -> bool:
    if not isinstance(node, ast.Lambda):
        return True
    body = node.body
    start = (body.lineno, body.col_offset)
    end = (body.end_lineno or body.lineno, body.end_col_offset or body.col_offset)
    # The first instruction (RESUME) carries the position of the whole lambda.
    return all(start <= place <= end for place in places[1:] if place[1] > 0 or place[0] > start[0])


def _start(node: FunctionNode) -> tuple[int, int]:
    return node.lineno, node.col_offset


class Sources:
    """The source texts of a session, in several versions for each file."""

    def __init__(self) -> None:
        self._texts: dict[str, list[_SourceText]] = {}
        self._given: dict[str, tuple[str, FunctionNode]] = {}
        self._captured: dict[str, object] = {}

    def give(self, code: CodeType, node: FunctionNode, text: str) -> None:
        """Register the source of code that was compiled from a syntax tree and is in no file.

        Parameters
        ----------
        code
            The compiled code.
        node
            The function in the tree.
        text
            The text that the user wrote, for showing differences.
        """
        self._given[code_digest(code)] = text[:_TEXT_LIMIT], node

    def capture(
        self, filename: str, namespace: dict[str, Any] | None = None, execution: object = None
    ) -> None:
        """Read the present text of ``filename``, unless it is known already.

        Parameters
        ----------
        filename, namespace
            The file, and the globals of its code, whose ``__loader__`` may provide the text.
        execution
            Identifies the execution of a module; the text is read once for each.
        """
        if execution is not None and self._captured.get(filename) is execution:
            return
        self._captured[filename] = execution
        linecache.checkcache(filename)
        lines = linecache.getlines(filename, namespace)
        versions = self._texts.setdefault(filename, [])
        if lines and not any(text.lines is lines or text.lines == lines for text in versions):
            # The newest first. Older ones stay, since functions from before a reload may still be in use.
            versions.insert(0, _SourceText(filename, lines))
            del versions[_VERSIONS:]

    def forget_trees(self) -> None:
        """Drop the syntax trees, which take 7 kB a function, and which the garbage collector visits again and again."""
        for versions in list(self._texts.values()):
            for text in list(versions):
                text.forget_tree()

    def edited_files(self, codes: Iterable[CodeType]) -> set[str]:
        """Return the files that were edited after these code objects were loaded, and have other code in their place."""
        by_file: dict[str, list[CodeType]] = {}
        for code in codes:
            if code.co_filename in self._texts:
                by_file.setdefault(code.co_filename, []).append(code)
        return {filename for filename, loaded in by_file.items() if self._is_edited(filename, loaded)}

    def _is_edited(self, filename: str, codes: Iterable[CodeType]) -> bool:
        try:
            with tokenize.open(filename) as file:
                lines = file.readlines()
        except (OSError, SyntaxError, UnicodeError):  # a cell; a file that is gone or half written
            return False
        known = self._texts[filename]
        if known[0].lines == lines and len(known) == 1:
            return False
        now = next((text for text in known if text.lines == lines), None) or _SourceText(filename, lines)
        # Code that no known text has was not compiled from this file as it is, such as tests that pytest has rewritten.
        return any(now.find(code) is None and any(text.find(code) for text in known) for code in codes)

    def part(self, code: CodeType, namespace: dict[str, Any] | None = None) -> CodePart:
        """Return the contribution of ``code``, from its source if that can be verified."""
        try:
            found = self._given.get(code_digest(code)) or self._find(code, namespace)
            if found is not None:
                return self._from_source(code, *found)
        except RecursionError:
            pass  # an expression is nested too deeply to walk: use the code object
        references, hints = scan(code)
        digest = f"{code_digest(code)}"
        return CodePart(digest, tuple(sorted(references)), hints, read_names(code)[1], "", verified=False)

    def _find(self, code: CodeType, namespace: dict[str, Any] | None) -> tuple[str, FunctionNode] | None:
        filename = code.co_filename
        for fresh in (False, True):  # the file is read again only if no known text fits
            if fresh:
                self.capture(filename, namespace)
            for text in self._texts.get(filename, ()):
                node = text.find(code)
                if node is not None:
                    return text.segment(node), node
        return None

    @staticmethod
    def _from_source(code: CodeType, text: str, node: FunctionNode) -> CodePart:
        read, rebound = read_names(code)
        collector = NameCollector(node, read)
        names = FollowedNames(collector.nodes, collector.references)
        return CodePart(
            digest=syntax_digest(node, names),
            references=tuple(sorted(collector.references)),
            hints=frozenset(collector.hints),
            rebound=rebound | collector.rebound or NOTHING,
            text=text,
            verified=True,
            names=names.in_order(),
        )
