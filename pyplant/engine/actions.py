"""Actions: what the scheduler tells a run to do next."""

from __future__ import annotations

from typing import NamedTuple

from pyplant.engine.task import Task
from pyplant.ingredient import Ingredient

__all__ = ["Action", "Resume", "Start"]


class Start(NamedTuple):
    """Start executing a reactor."""

    task: Task


class Resume(NamedTuple):
    """Resume a reactor with these ingredients, in this order."""

    task: Task
    ingredients: tuple[Ingredient, ...]


Action = Start | Resume
