"""The same pools as in tests/execution."""

from tests.execution.conftest import executor, pools, processes

__all__ = ["executor", "pools", "processes"]
