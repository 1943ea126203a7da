"""How the documentation is built: `make docs`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

import pyplant  # noqa: E402 - found through the path above

project = "PyPlant"
author = "The PyPlant authors"
copyright = "The PyPlant authors"  # noqa: A001 - the name that Sphinx reads
version = release = pyplant.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "house",
]
exclude_patterns = ["_build", "changes"]
nb_execution_mode = "off"  # the notebooks are executed by the tests
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signature's docstring, in words
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "PyPlant"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_static_path: list[str] = []
html_show_sourcelink = False
