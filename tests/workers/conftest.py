"""The pools of tests/execution."""

from tests.execution.conftest import executor, pools, processes

__all__ = ["executor", "pools", "processes"]
