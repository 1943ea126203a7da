"""What the tests of specs share."""

import io


class Sink(io.BytesIO):
    """Collects what a spec dumps, and remembers how big the pieces were."""

    def __init__(self):
        super().__init__()
        self.pieces = []

    def write(self, data):
        self.pieces.append(memoryview(data).nbytes)
        return super().write(data)


def dumped(spec, value):
    """The bytes of a value."""
    sink = Sink()
    spec.dump(value, sink)
    return sink.getvalue()
