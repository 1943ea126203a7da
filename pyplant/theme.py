"""One look for all that notebooks show: reports, the graph as a picture, the live graph.

Texts, faces and lines follow the theme of the page; the four colours that mean something
come in a light and a dark version. No status is told by its colour alone.
"""

from __future__ import annotations

__all__ = ["GRAPH", "REPORT"]

_DARK_PAGES = ('body[data-jp-theme-light="false"]', "body.vscode-dark", "html[theme=dark]")
_ROOTS = (".pp-graph", ".pyplant-report")
_VARIABLES = (
    f"{','.join(_ROOTS)}{{"
    "--pp-fg:var(--jp-ui-font-color1,currentColor);--pp-muted:var(--jp-ui-font-color2,#6b737c);"
    "--pp-face:var(--jp-layout-color1,transparent);--pp-line:var(--jp-border-color0,#9aa2ab);"
    "--pp-warn:#c47f00;--pp-live:#2a6fdb;--pp-bad:#d1362f;--pp-good:#2e8540}"
    f"{','.join(f'{page} {root}' for page in _DARK_PAGES for root in _ROOTS)}{{"
    "--pp-warn:#f0a93b;--pp-live:#6cb0ff;--pp-bad:#ff7b72;--pp-good:#5fc27a}"
)

REPORT = (
    f"{_VARIABLES}"
    ".pyplant-report{font:13px/1.5 system-ui,sans-serif;max-width:48em;color:inherit}"
    ".pyplant-report .pp-title{font-weight:600;margin-bottom:.3em}"
    ".pyplant-report .pp-row .pp-row{margin-left:1.6em;opacity:.85}"
    ".pyplant-report .pp-line{display:flex;gap:.5em;align-items:baseline}"
    ".pyplant-report .pp-icon{width:1.1em;text-align:center;flex:none}"
    ".pyplant-report .pp-aside{margin-left:auto;opacity:.7;white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".pyplant-report .pp-cached>.pp-line .pp-icon,.pyplant-report .pp-ran>.pp-line .pp-icon{color:var(--pp-good)}"
    ".pyplant-report .pp-running>.pp-line .pp-icon,.pyplant-report .pp-waiting>.pp-line .pp-icon{color:var(--pp-live)}"
    ".pyplant-report .pp-stale>.pp-line .pp-icon,.pyplant-report .pp-new>.pp-line .pp-icon{color:var(--pp-warn)}"
    ".pyplant-report .pp-failed>.pp-line .pp-icon{color:var(--pp-bad)}"
    ".pyplant-report .pp-diff{margin:.2em 0 .4em 1.6em;padding:.4em .6em;border-left:3px solid #8886;"
    "font-size:12px;line-height:1.4;overflow-x:auto;background:#8881}"
    # Notebooks have rules of their own for tables: these must be the more specific ones.
    "table.pp-table{border-collapse:collapse;font:inherit;margin:0;color:inherit}"
    ".pyplant-report .pp-table td,.pyplant-report .pp-table th{"
    "text-align:left;padding:.1em 1.6em .1em 0;vertical-align:baseline;border:0;background:none;"
    "font-variant-numeric:tabular-nums;max-width:32em;white-space:normal}"
    ".pyplant-report .pp-table th{font-weight:normal;opacity:.7}"
    ".pyplant-report .pp-table td:first-child{padding-right:.5em}"
    ".pyplant-report tr.pp-cached .pp-icon,.pyplant-report tr.pp-ran .pp-icon{color:var(--pp-good)}"
    ".pyplant-report tr.pp-failed .pp-icon{color:var(--pp-bad)}"
    ".pyplant-report .pp-add{color:var(--pp-good)}.pyplant-report .pp-del{color:var(--pp-bad)}"
)
"""Rules for ``.pyplant-report``."""

GRAPH = (
    f"{_VARIABLES}"
    '.pp-graph{font:11px/1.4 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--pp-fg);'
    "overflow:auto;max-width:100%}"
    ".pp-graph .pp-head{font-size:12px;margin:0 0 4px 2px}"
    ".pp-graph svg{display:block;max-width:100%;height:auto}"
    ".pp-graph rect{fill:var(--pp-face);stroke:var(--pp-line);stroke-width:1.2}"
    ".pp-graph text{fill:var(--pp-fg)}"
    ".pp-graph .pp-meta{fill:var(--pp-muted);font-size:9px}"
    ".pp-graph .pp-icon{font-size:12px;fill:var(--pp-muted)}"
    ".pp-graph .pp-edge{fill:none;stroke:var(--pp-line);stroke-width:1.2;opacity:.75}"
    ".pp-graph .pp-tip{fill:var(--pp-line);stroke:none}"
    ".pp-graph .pp-cached .pp-icon,.pp-graph .pp-ran .pp-icon{fill:var(--pp-good)}"
    ".pp-graph .pp-stale rect{stroke:var(--pp-warn);stroke-width:1.6;stroke-dasharray:5 3}"
    ".pp-graph .pp-new rect{stroke:var(--pp-warn);stroke-dasharray:1.5 3}"
    ".pp-graph .pp-stale .pp-icon,.pp-graph .pp-new .pp-icon{fill:var(--pp-warn)}"
    ".pp-graph .pp-uncached rect{stroke-dasharray:8 2}"
    ".pp-graph .pp-running rect{stroke:var(--pp-live);stroke-width:2.6}"
    ".pp-graph .pp-waiting rect{stroke:var(--pp-live);stroke-dasharray:2 2}"
    ".pp-graph .pp-running .pp-icon,.pp-graph .pp-waiting .pp-icon{fill:var(--pp-live)}"
    ".pp-graph .pp-failed rect{stroke:var(--pp-bad);stroke-width:2.6}"
    ".pp-graph .pp-failed .pp-icon{fill:var(--pp-bad)}"
    ".pp-graph .pp-fold rect{stroke-dasharray:none}"
    ".pp-graph .pp-maybe rect{opacity:.6}"
    ".pp-graph .pp-maybe text{opacity:.75}"
    ".pp-graph .pp-orphan{opacity:.45}"
)
"""Rules for ``.pp-graph``."""
