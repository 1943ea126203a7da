"""Reading of sizes; the tests of reports check how values are formatted."""

import pytest

from pyplant._formatting import parse_seconds, parse_size
from pyplant.errors import ConfigError, PlantError


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            (0, 0),
            (17, 17),
            (2e9, 2 * 10**9),
            ("17", 17),
            ("20 GB", 20 * 10**9),
            ("20gb", 20 * 10**9),
            (" 1.5 TB ", 15 * 10**11),
            ("500 MiB", 500 << 20),
            ("3k", 3000),
            ("8 bytes", 8),
            (".5 kB", 500),
        ],
    )
    def test_sizes_are_parsed(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize(
        "text", ["", "much", "GB", "-1", "1 XB", "1e3 GB", "20 GB x", -1, True, None, float("nan")]
    )
    def test_other_texts_are_refused_with_an_example(self, text):
        with pytest.raises(PlantError, match="20 GB"):
            parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30 days", 30 * 86400),
        ("1 day", 86400),
        ("12h", 43200),
        ("1.5 min", 90),
        ("2 weeks", 1209600),
        (7, 7),
        ("3", None),
    ],
)
def test_durations_are_read(text, seconds):
    if seconds is None:
        with pytest.raises(ConfigError, match="is not a duration"):
            parse_seconds(text)
    else:
        assert parse_seconds(text) == seconds
