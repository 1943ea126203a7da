"""Fixtures of notebooks in real kernels."""

import pytest

from tests.notebook.rig import NotebookKernel, PlantNotebook

# Removes what `%reset` leaves behind, so that tests can share a kernel: plants, reactors, comms.
_CLEAN = """
%unload_ext pyplant
%reset -f
from pyplant import _definitions
_definitions._declared.clear()
_definitions._repeated.clear()
del reactor
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for the tests of a module; it may be restarted."""
    kernel = NotebookKernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def notebook(kernel, plant_dir):
    """A new notebook with PyPlant loaded and a plant bound to ``plant``."""
    kernel.run(_CLEAN)
    return PlantNotebook(kernel, plant_dir)
