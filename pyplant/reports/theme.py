"""The colours and style sheets of everything that notebooks display: reports, the graph as a picture, the live graph.

There is one palette with a light and a dark variant. Where the page announces its theme, the colours follow it.
Each state also has an icon or a line style, since colour alone excludes readers.
"""

from __future__ import annotations

__all__ = ["DARK", "GRAPH", "LIGHT", "PICTURE", "REPORT", "WIDGET"]

LIGHT = {
    "page": "#ffffff",
    "fg": "#1f2329",
    "muted": "#63686e",
    "line": "#818b98",
    "hair": "#dfe2e5",
    "soft": "#f4f5f7",
    "live": "#0068b3",
    "warn": "#b06000",
    "bad": "#c2330f",
    "good": "#00795c",
    "new": "#8c4a97",
    "tint": "7%",
}
"""The colours on a light page, by purpose."""

DARK = {
    "page": "#1b1d20",
    "fg": "#e4e6e8",
    "muted": "#9aa0a6",
    "line": "#7d8590",
    "hair": "#303338",
    "soft": "#25282c",
    "live": "#5cb6f2",
    "warn": "#eea33b",
    "bad": "#ff7d5e",
    "good": "#41c99b",
    "new": "#d09ddb",
    "tint": "11%",
}
"""The colours on a dark page."""


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--pp-{name}:{value};" for name, value in colours.items())


# JupyterLab, VS Code, Sphinx and Colab.
_DARK_PAGES = (
    *('[data-jp-theme-light="false"]', ".vscode-dark", ".vscode-high-contrast"),
    *('[data-theme="dark"]', "html[theme=dark]"),
)


def _coloured(root: str) -> str:
    """Return rules that define the colour variables on ``root``, light or dark as the page is."""
    return f"{root}{{{_variables(LIGHT)}}}:is({','.join(_DARK_PAGES)}) {root}{{{_variables(DARK)}}}"


WIDGET = (
    f"{_coloured('.pyplant-graph')}"
    # A page that announces no theme follows the system.
    '@media (prefers-color-scheme:dark){body:not([data-jp-theme-light],[class*="vscode-"],[data-theme="light"]) '
    f".pyplant-graph{{{_variables(DARK)}}}}}"
)
"""The colours of the live graph, for ``static/graph.css``."""

REPORT = (
    f"{_coloured('.pyplant-report')}"
    ".pyplant-report{font:13px/1.5 system-ui,sans-serif;color:inherit}"
    ".pyplant-report table{font:inherit;color:inherit;font-variant-numeric:tabular-nums}"
    ".pyplant-report .pp-cached>.pp-icon,.pyplant-report .pp-ran>.pp-icon{color:var(--pp-good)}"
    ".pyplant-report .pp-running>.pp-icon,.pyplant-report .pp-waiting>.pp-icon{color:var(--pp-live)}"
    ".pyplant-report .pp-stale>.pp-icon{color:var(--pp-warn)}"
    ".pyplant-report .pp-new>.pp-icon{color:var(--pp-new)}"
    ".pyplant-report .pp-failed>.pp-icon{color:var(--pp-bad)}"
    # Of several levels only the first, since opacities multiply.
    ".pyplant-report .pp-below>.pp-cause{opacity:.85}"
    # Against the style attribute, which is for pages where the keyboard cannot scroll.
    ".pyplant-report .pp-diff{color:inherit;white-space:pre!important;overflow-wrap:normal!important}"
)
"""Rules for ``.pyplant-report``."""

GRAPH = (
    f"{_coloured('.pp-graph')}"
    '.pp-graph{font:11px/1.4 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;'
    "overflow:auto;max-width:100%}"
    ".pp-graph .pp-head{font-size:12px;margin:0 0 4px 2px}"
    # A picture in an <img> cannot read the theme of the page, only the colour scheme of its element.
    ".pp-graph img{color-scheme:light}"
    f":is({','.join(_DARK_PAGES)}) .pp-graph img{{color-scheme:dark}}"
)
"""Rules for ``.pp-graph``, around the picture."""

PICTURE = (
    f":root{{{_variables(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    ".pp-page{fill:var(--pp-page)}"
    ".pp-node rect{fill:var(--pp-soft);stroke:var(--pp-line);stroke-width:1.2}"
    "text{fill:var(--pp-fg)}"
    ".pp-meta{fill:var(--pp-muted)}"
    ".pp-icon{font-size:12px;fill:var(--pp-muted)}"
    ".pp-edge{fill:none;stroke:var(--pp-line);stroke-width:1.2}"
    ".pp-tip{fill:var(--pp-line);stroke:none}"
    ".pp-cached .pp-icon,.pp-ran .pp-icon{fill:var(--pp-good)}"
    ".pp-stale rect{stroke:var(--pp-warn);stroke-width:1.6;stroke-dasharray:5 3}"
    ".pp-new rect{stroke:var(--pp-new);stroke-dasharray:1.5 3}"
    ".pp-stale .pp-icon{fill:var(--pp-warn)}"
    ".pp-new .pp-icon{fill:var(--pp-new)}"
    ".pp-uncached rect{stroke-dasharray:8 2}"
    ".pp-running rect{stroke:var(--pp-live);stroke-width:2.6}"
    ".pp-waiting rect{stroke:var(--pp-live);stroke-dasharray:2 2}"
    ".pp-running .pp-icon,.pp-waiting .pp-icon{fill:var(--pp-live)}"
    ".pp-failed rect{stroke:var(--pp-bad);stroke-width:2.6}"
    ".pp-failed .pp-icon{fill:var(--pp-bad)}"
    ".pp-fold rect{stroke-dasharray:none}"
    ".pp-maybe rect{opacity:.6}"
    ".pp-maybe text{opacity:.75}"
    ".pp-orphan{opacity:.45}"
)
"""Rules inside the picture. It draws its own background, light or dark, since it cannot read the page."""
