"""What is in the pictures that are part of HTML."""

import re
from base64 import b64decode


def svg_in(html):
    """The SVG of the one picture in a page, as text."""
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]*)"', html)
    return b64decode(data).decode()
