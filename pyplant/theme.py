"""One look for all that notebooks show: reports, the graph as a picture, the live graph.

Texts, faces and lines follow the theme of the page; the four colours that mean something
come in a light and a dark version. No status is told by its colour alone.
"""

from __future__ import annotations

__all__ = ["GRAPH", "PICTURE", "REPORT"]

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
    ".pyplant-report .pp-cause{opacity:.85}"
    # Notebooks have rules of their own for tables: these must be the more specific ones.
    ".pyplant-report table.pp-rows{border-collapse:collapse;font:inherit;margin:0;color:inherit;width:100%;"
    "table-layout:auto}"
    ".pyplant-report .pp-rows tbody tr.pp-row{background:none}"
    ".pyplant-report .pp-rows tbody td{padding:0 .5em 0 0;border:0;line-height:1.5;background:none;"
    "max-width:none;white-space:normal;text-align:left;overflow-wrap:anywhere}"
    ".pyplant-report .pp-rows tbody td.pp-icon{width:1.1em;text-align:center;white-space:nowrap}"
    ".pyplant-report .pp-rows tbody td.pp-aside{text-align:right;opacity:.7;white-space:nowrap;padding:0;"
    "font-variant-numeric:tabular-nums}"
    ".pyplant-report .pp-cached>.pp-icon,.pyplant-report .pp-ran>.pp-icon{color:var(--pp-good)}"
    ".pyplant-report .pp-running>.pp-icon,.pyplant-report .pp-waiting>.pp-icon{color:var(--pp-live)}"
    ".pyplant-report .pp-stale>.pp-icon,.pyplant-report .pp-new>.pp-icon{color:var(--pp-warn)}"
    ".pyplant-report .pp-failed>.pp-icon{color:var(--pp-bad)}"
    ".pyplant-report .pp-diff{margin:.2em 0 .4em;padding:.4em .6em;border-left:3px solid #8886;"
    "font-size:12px;line-height:1.4;overflow-x:auto;background:#8881}"
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
    # A picture in an <img> sees no theme of the page, only the colour scheme of its element.
    ".pp-graph img{color-scheme:light}"
    f"{','.join(f'{page} .pp-graph img' for page in _DARK_PAGES)}{{color-scheme:dark}}"
)
"""Rules for ``.pp-graph``, around the picture."""

PICTURE = (
    ":root{--fg:#1f2328;--muted:#59636e;--page:#fff;--face:#f6f8fa;--line:#818b98;"
    "--warn:#9a6700;--live:#0969da;--bad:#cf222e;--good:#1a7f37}"
    "@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--muted:#9198a1;--page:#15181d;--face:#21262d;--line:#7d8590;"
    "--warn:#f0a93b;--live:#6cb0ff;--bad:#ff7b72;--good:#5fc27a}}"
    ".pp-page{fill:var(--page)}"
    ".pp-node rect{fill:var(--face);stroke:var(--line);stroke-width:1.2}"
    "text{fill:var(--fg)}"
    ".pp-meta{fill:var(--muted);font-size:9px}"
    ".pp-icon{font-size:12px;fill:var(--muted)}"
    ".pp-edge{fill:none;stroke:var(--line);stroke-width:1.2}"
    ".pp-tip{fill:var(--line);stroke:none}"
    ".pp-cached .pp-icon,.pp-ran .pp-icon{fill:var(--good)}"
    ".pp-stale rect{stroke:var(--warn);stroke-width:1.6;stroke-dasharray:5 3}"
    ".pp-new rect{stroke:var(--warn);stroke-dasharray:1.5 3}"
    ".pp-stale .pp-icon,.pp-new .pp-icon{fill:var(--warn)}"
    ".pp-uncached rect{stroke-dasharray:8 2}"
    ".pp-running rect{stroke:var(--live);stroke-width:2.6}"
    ".pp-waiting rect{stroke:var(--live);stroke-dasharray:2 2}"
    ".pp-running .pp-icon,.pp-waiting .pp-icon{fill:var(--live)}"
    ".pp-failed rect{stroke:var(--bad);stroke-width:2.6}"
    ".pp-failed .pp-icon{fill:var(--bad)}"
    ".pp-fold rect{stroke-dasharray:none}"
    ".pp-maybe rect{opacity:.6}"
    ".pp-maybe text{opacity:.75}"
    ".pp-orphan{opacity:.45}"
)
"""Rules within the picture, which stands for itself: it has a page of its own, light or dark."""
