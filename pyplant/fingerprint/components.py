"""Strongly connected components of a graph, without recursion.

Graphs of code and values are deeper than Python's stack, so Tarjan's algorithm runs on a stack of its own:
``work`` holds the nodes on the current path of the depth-first search, each with an iterator over its
remaining children. ``index`` numbers nodes in the order of discovery. ``low`` is the lowest index that
a node reaches through its descendants and one edge to a node on ``path``. A node whose ``low`` is its
own index is the first discovered node of a component, which is the top of ``path`` down to that node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

__all__ = ["components"]

_T = TypeVar("_T", bound=Hashable)


def components(root: _T, children: Callable[[_T], Iterable[_T]]) -> Iterator[list[_T]]:
    """Yield the components that ``root`` reaches, each after the components it refers to (Tarjan 1972).

    Parameters
    ----------
    root
        The node to begin at.
    children
        Returns the nodes that a node refers to.
    """
    if next(iter(children(root)), None) is None:  # the most common case, without any setup
        yield [root]
        return
    index: dict[_T, int] = {}
    low: dict[_T, int] = {}
    path: list[_T] = []
    on_path: set[_T] = set()
    work: list[tuple[_T, Iterator[_T]]] = []

    def enter(node: _T) -> None:
        index[node] = low[node] = len(index)
        path.append(node)
        on_path.add(node)
        work.append((node, iter(children(node))))

    # A node is complete when its children are; until then it stays on the stack with its iterator.
    enter(root)
    while work:
        node, remaining = work[-1]
        child = next(remaining, None)
        if child is not None:
            if child not in index:
                enter(child)
            elif child in on_path:  # an edge to a finished component does not count
                low[node] = min(low[node], index[child])
            continue
        work.pop()
        if work:  # what the recursive algorithm does after the call for a child
            parent = work[-1][0]
            low[parent] = min(low[parent], low[node])
        if low[node] == index[node]:
            component: list[_T] = []
            while not component or component[-1] != node:
                component.append(path.pop())
                on_path.discard(component[-1])
            yield component
