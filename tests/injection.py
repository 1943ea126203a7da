"""Texts that want to be more than text, in whatever shows them: the corpus of figure R25.

Each of them may be the name of a reactor or of an ingredient, a path, an error. Those that run call
``alarm``, which a page that listens knows.
"""

import itertools

_number = itertools.count(1)


def _alarm():
    return f"alarm({next(_number)})"


# Elements that run something as soon as they are there, or are touched.
_HANDLERS = [
    "img src=x onerror",
    "svg onload",
    "body onload",
    "video src=x onerror",
    "audio src=x onerror",
    "input autofocus onfocus",
    "select autofocus onfocus",
    "textarea autofocus onfocus",
    "details open ontoggle",
    "marquee onstart",
    "object data=x onerror",
    "style onload",
    "link rel=stylesheet href=x onerror",
    "div onmouseover",
    "a href=# onclick",
    "button formaction=x onclick",
    "iframe onload",
    "svg><animate onbegin",
    "math><mtext onclick",
]
# What may have to be ended first, where the text is put into a page.
_ENDS = ["", '">', "'>", "-->", "</textarea>", "</title>", "</style>", "</script>", "]]>"]
_ELEMENTS = [
    "{end}<script>{alarm}</script>",
    "{end}<svg/onload={alarm}>",
    "{end}<img src=x onerror={alarm}//",
]
_SINGLE = [
    "javascript:{alarm}",
    "JaVaScRiPt:{alarm}",
    "data:text/html,<script>{alarm}</script>",
    "vbscript:{alarm}",
    "<a href=javascript:{alarm}>x</a>",
    "<iframe srcdoc='<script>parent.{alarm}</script>'>",
    "<iframe src=javascript:parent.{alarm}>",
    "<form action=javascript:{alarm}><input type=submit>",
    "<meta http-equiv=refresh content='0;url=javascript:{alarm}'>",
    "<base href=http://127.0.0.1:9/>",
    "<embed src=javascript:{alarm}>",
    "<svg><a xlink:href=javascript:{alarm}><text>x</text></a></svg>",
    "<svg><use href=data:image/svg+xml,<svg/onload={alarm}>>",
    "<svg><foreignObject><script>{alarm}</script></foreignObject></svg>",
    "<math><maction actiontype=statusline xlink:href=javascript:{alarm}>x",
    "<template><script>{alarm}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={alarm}>'>",
    "<!--<img src='--><img src=x onerror={alarm}>'>",
    "<![CDATA[<script>{alarm}</script>]]>",
    "<?xml version='1.0'?><script>{alarm}</script>",
    "<style>@import 'http://127.0.0.1:9/{alarm}';</style>",
    "<div style='background:url(javascript:{alarm})'>x</div>",
    "<img src='http://127.0.0.1:9/{alarm}'>",
    "<SCRIPT SRC=http://127.0.0.1:9/{alarm}></SCRIPT>",
    "\uff1cscript\uff1e{alarm}\uff1c/script\uff1e",
    "&lt;script&gt;{alarm}&lt;/script&gt;",
    "&#60;script&#62;{alarm}&#60;/script&#62;",
    "\\x3cscript\\x3e{alarm}\\x3c/script\\x3e",
    "\\u003cscript\\u003e{alarm}",
    "%3Cscript%3E{alarm}%3C/script%3E",
    "{{{{constructor.constructor('{alarm}')()}}}}",
    "${{{alarm}}}",
    "#{{{alarm}}}",
    "<%= {alarm} %>",
    "';{alarm};//",
    '";{alarm};//',
    "`;{alarm};//",
    "'-{alarm}-'",
    "\\';{alarm};//",
    "*/{alarm}/*",
    '" onmouseover={alarm} x="',
    "' onmouseover={alarm} x='",
    "](javascript:{alarm})",
    "[x](javascript:{alarm})",
    "![x](http://127.0.0.1:9/{alarm})",
    "$\\href{{javascript:{alarm}}}{{x}}$",
    'a"]; b [label="{alarm}"];',
    'a\\"]; b [URL="javascript:{alarm}"]; "',
    '"; }} digraph b {{ c -> d; "{alarm}',
    "<b>{alarm}</b>",
    "<table><tr><td>{alarm}</td></tr></table>",
    "{alarm} | {{ <x> a }} | \\N \\G \\L \\l \\r",
]
_PLAIN = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "a b+c:d #e .f [g] *",
    "#" * 300,
    "a -> b",
    "node",
    "subgraph",
    "strict",
    "\\n",
    "\\N",
    "&amp;",
    "&lt;b&gt; & &#x22;",
    "%s %d %n {0} {}",
    "a/../../b",
]

TEXTS = [
    *(f"<{handler}={_alarm()}>" for handler in _HANDLERS),
    *(element.format(end=end, alarm=_alarm()) for end in _ENDS for element in _ELEMENTS),
    *(text.format(alarm=_alarm()) for text in _SINGLE),
    *_PLAIN,
]
"""Of printable characters: they must be shown just as they are."""

CONTROLS = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;http://127.0.0.1:9/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1b[1A\x1b[2K",
    "\x1bPq\x1b\\",
    "\x9b31m",
    "\x07\x08\x08\x08",
    "a\rb",
    "a\x0bb\x0cc",
    "a\x00b",
    "\u202eabc\u202c",
    "\u2066abc\u2069",
    "\u2028\u2029",
    "java\u00adscript:",
]
"""Of characters that move a terminal's cursor, change its state, or turn a line around."""
