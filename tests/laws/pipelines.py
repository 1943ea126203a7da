"""Random pipelines: what one consists of, and how it is edited.

A pipeline is a description; :mod:`tests.laws.source` turns it into the text of a small
package. Every literal in that text is a *slot*: editing a constant, a helper's helper, a
closure value or a default argument all means giving a slot another value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


class Compact:
    """Shown as its ``repr`` says, also by Hypothesis, which would unfold dataclasses."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # IPython's protocol
        del cycle
        printer.text(repr(self))


HELPERS = tuple(f"h{i}" for i in range(16))
FILES = ("f0.txt", "f1.txt")
REQUIRED, OPTIONAL, NESTED, AUXILIARY = ("a", "b"), ("c", "d"), "q", "log"
PARAMETERS = (*REQUIRED, *OPTIONAL, NESTED, AUXILIARY)
FORMS = ("normal", "short", "factory", "decorated", "defaulted")
SHAPES = (
    "int", "text", "float", "list", "tuple", "dict", "set", "array", "long", "bytes", "parity", "nested",
    "record", "pair",
)  # fmt: skip
KINDS = (
    "call", "receive", "global", "read", "maybe", "branch", "file", "sub", "subreceive", "guarded", "switched",
    "attribute", "group", "group", "aux", "maybe", "file", "outside", "outside",
)  # fmt: skip
LITERALS = (1, 2, 1.0, True, "1", None, 3, "a", (1, 2), (1.0, 2), 0, -0.0, 0.0, False)
CONTAINERS = (*LITERALS, [1, 2], {"k": 1}, {1, 2}, {"k": {"x", "y"}}, [1.0, 2], {"k": True})

WHERE = (
    "constant", "helper", "deep", "lazy", "global", "closure", "default", "keyword", "decorator", "method",
    "base", "attribute", "subreactor", "effect",
)  # fmt: skip
"""Where a slot can stand."""

_SHARED = {
    "deep": ("d0", "recursion", "global"),
    "lazy": ("z0", "z1"),
    "helper": ("h0", "h1", "h8"),
    "global": ("TABLE", "LIMIT"),
    "closure": ("h6",),
    "default": ("h4", "partial"),
    "keyword": ("h4",),
    "decorator": ("noted", "traced"),
    "method": ("use", "scale"),
    "base": ("start",),
    "attribute": ("FACTOR", "depth"),
    "subreactor": ("s0", "s1", "s2"),
    "effect": ("registry", "enum", "dispatch"),
}


_USED = {
    "h0": "helper:h0 deep:d0", "h1": "helper:h1 deep:global", "h2": "lazy:z0", "h3": "lazy:z1 deep:d0",
    "h4": "default:h4 keyword:h4", "h5": "global:LIMIT global:TABLE", "h6": "closure:h6",
    "h7": "default:partial keyword:h4", "h8": "helper:h8 decorator:noted",
    "h9": "method:use method:scale base:start attribute:FACTOR", "h10": "deep:recursion",
    "h11": "attribute:depth", "h12": "helper:h0 deep:d0",
    "h13": "effect:registry", "h14": "effect:enum", "h15": "effect:dispatch", "s0": "subreactor:s0", "s1": "subreactor:s0 subreactor:s1",
    "s2": "subreactor:s0 subreactor:s2",
}  # fmt: skip
"""Which slots each helper shows in its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Step(Compact):
    """One line or two of a reactor; what the numbers mean depends on the kind."""

    kind: str
    a: int = 0
    b: int = 0
    style: int = 0

    def __repr__(self) -> str:
        return f"{self.kind}({self.a}, {self.b}, {self.style})"

    def helper(self) -> str:
        """The helper that it calls, if it calls one."""
        if self.kind == "call":
            return HELPERS[self.a % len(HELPERS)]
        return {"sub": f"s{self.a % 2}", "subreceive": "s2"}.get(self.kind, "")


@dataclass(slots=True, repr=False)
class Output(Compact):
    """One ingredient: its number in the pipeline, the shape of its value, how it is named."""

    number: int
    shape: str
    lossy: bool
    style: int

    def __repr__(self) -> str:
        return f"o{self.number}={self.shape}{'%' * self.lossy}/{self.style}"


@dataclass(slots=True)
class Reactor:
    """One reactor; it receives only from reactors before it."""

    number: int
    form: str
    steps: list[Step]
    outputs: list[Output]
    fails: bool = False

    def used_slots(self) -> set[str]:
        """The slots that its own code and the helpers that it calls hold."""
        forms = {"factory": ["closure"], "defaulted": ["default", "keyword"]}
        used = {f"{where}:r{self.number}" for where in ("constant", *forms.get(self.form, ()))}
        if self.form == "decorated":
            used.add("decorator:traced")
        for step in self.steps:
            used |= set(_USED.get(step.helper(), "").split())
            if step.kind == "global":
                used.add(f"global:r{self.number}")
            elif step.kind == "attribute":
                used.add(("global:LIMIT", "deep:global")[step.a % 2])
        return used


@dataclass(slots=True, repr=False)
class Pipeline(Compact):
    """Everything that the text of the package is made from, and what it runs against."""

    reactors: list[Reactor]
    object_config: bool
    slots: dict[str, Any]
    parameters: dict[str, Any]
    files: dict[str, str]
    world: dict[str, str | None]
    cosmetics: int = 0
    renamed: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"{r.number} {r.form} sends {r.outputs}: {r.steps}" for r in self.reactors]
        return f"<{'object' if self.object_config else 'dict'} config; " + "; ".join(lines) + ">"

    def name(self, stem: str) -> str:
        """What something is called now."""
        times = self.renamed.get(stem, 0)
        return f"{stem}_{times}" if times else stem

    def outputs(self) -> dict[str, str]:
        """Who sends what: names of ingredients to names of reactors."""
        return {
            self.name(f"o{output.number}"): self.name(f"r{reactor.number}")
            for reactor in self.reactors
            for output in reactor.outputs
        }

    def is_predictable(self) -> bool:
        """Whether all names sent and received can be read from the text."""
        return not any(
            step.kind == "subreceive" for reactor in self.reactors for step in reactor.steps
        ) and all(output.style < 2 for reactor in self.reactors for output in reactor.outputs)

    def shape(self, number: int) -> tuple[Any, ...]:
        """All of one reactor but the values of slots, as far as it shows in its code."""
        reactor = self.reactors[number]
        return reactor.form, reactor.steps, reactor.outputs, sorted(self.renamed.items())

    def slots_at(self, where: str) -> list[str]:
        """The slots of one sort."""
        return sorted(key for key in self.slots if key.startswith(f"{where}:"))

    def used_slots(self) -> list[str]:
        """The slots that some reactor's value depends on."""
        return sorted(set().union(*(reactor.used_slots() for reactor in self.reactors)))

    def stems(self) -> list[str]:
        """What can be renamed: reactors, ingredients and globals."""
        found = [f"r{reactor.number}" for reactor in self.reactors]
        found += [f"o{output.number}" for reactor in self.reactors for output in reactor.outputs]
        return found + [f"GLOBAL{reactor.number}" for reactor in self.reactors]


def first_slots(count: int) -> dict[str, Any]:
    """The slots of a package with so many reactors, with the values they begin with."""
    slots: dict[str, Any] = {f"{where}:{owner}": 1 for where, owners in _SHARED.items() for owner in owners}
    for number in range(count):
        for where in ("constant", "global", "closure", "default", "keyword"):
            slots[f"{where}:r{number}"] = 1
    return slots


def first_parameters() -> dict[str, Any]:
    """The parameters that a package begins with."""
    parameters: dict[str, Any] = dict.fromkeys((*REQUIRED, NESTED, AUXILIARY), 1)
    parameters["b"] = [1, {"k": 2}]  # what reactors may spoil
    return parameters


def steps() -> st.SearchStrategy[Step]:
    """Any step."""
    number = st.integers(0, 23)
    return st.builds(Step, st.sampled_from(KINDS), number, number, st.integers(0, 3))


@st.composite
def _outputs(draw: st.DrawFn, first: int, styles: int) -> list[Output]:
    count = draw(st.integers(1, 2))
    return [
        Output(
            first + i, draw(st.sampled_from(SHAPES)), draw(st.integers(0, 3)) == 3, draw(st.integers(0, 3))
        )
        for i in range(count)
    ]


@st.composite
def pipelines(draw: st.DrawFn, world: dict[str, str | None]) -> Pipeline:
    """A random pipeline of two to six reactors, in this world outside."""
    reactors: list[Reactor] = []
    sent, styles = 0, draw(st.sampled_from([1, 3]))
    for number in range(draw(st.integers(2, 6))):
        form = draw(st.sampled_from(FORMS))
        body = draw(st.lists(steps(), min_size=1, max_size=4))
        if number:
            body = [*body, Step("receive", draw(st.integers(0, 23)), 0, draw(st.integers(0, 3)))]
        outputs = draw(_outputs(sent, styles))
        sent += len(outputs)
        reactors.append(Reactor(number, form, body, outputs))
    files = dict.fromkeys(FILES, "1")
    slots, is_object = first_slots(len(reactors)), draw(st.booleans())
    return Pipeline(reactors, is_object, slots, first_parameters(), files, dict(world))
