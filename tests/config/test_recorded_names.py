"""Which parameters reads of recorded names cover."""

from hypothesis import given
from hypothesis import strategies as st

from pyplant.config.recorded_names import in_order_of_steps, parameters_read

NAMES = st.sets(
    st.lists(st.sampled_from(["a", "b", "a-", "a0", "ab", "a%2E"]), min_size=1, max_size=3).map(".".join)
)


@given(NAMES, NAMES)
def test_a_read_covers_its_parts_and_what_contains_it(names, reads):
    def covers(read, name):
        is_whole = not any(other.startswith(f"{read}.") for other in reads)
        return is_whole and (f"{name}.".startswith(f"{read}.") or f"{read}.".startswith(f"{name}."))

    expected = sorted(name for name in names if any(covers(read, name) for read in reads))
    assert parameters_read(in_order_of_steps(names), reads) == expected


def test_only_what_is_read_is_looked_at():
    compared = []

    class Name(str):
        __slots__ = ()

        def __format__(self, spec):
            compared.append(self)
            return super().__format__(spec)

    names = [Name(name) for name in in_order_of_steps(f"part{n}.x" for n in range(10_000))]
    assert parameters_read(names, {"part7", "part9.x"}) == ["part7.x", "part9.x"]
    assert len(compared) < 100
