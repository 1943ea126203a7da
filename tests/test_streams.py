"""Standard streams that are missing, foreign, closed, or unable to encode what is said."""

import io
import json
import os
import subprocess
import sys
import textwrap
import warnings

import pytest

from pyplant import Plant, ReactorFunc, _streams
from pyplant.errors import PlantWarning, warn
from pyplant.events import ReactorFinished, ReactorStarted, RunFinished, RunStarted
from pyplant.reports.report import RunReport
from pyplant.reports.terminal import TerminalProgress, is_terminal

from .conftest import ROOT

pytestmark = pytest.mark.slow


class OnlyWrites:
    """What stands for standard error in hosts that log it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Raises:
    """A stream whose every use is an error."""

    def __getattr__(self, name):
        raise RuntimeError(name)


def encoded(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    "none": lambda: None,
    "only writes": OnlyWrites,
    "raises": Raises,
    "closed": closed,
    "cp1252": lambda: encoded("cp1252"),
    "latin-1": lambda: encoded("latin-1"),
    "ascii": lambda: encoded("ascii"),
    "utf-16": lambda: encoded("utf-16"),
}


@pytest.fixture(params=STREAMS)
def stream(request):
    return STREAMS[request.param]()


def test_nothing_is_a_terminal_unless_it_says_so(stream):
    assert not _streams.is_terminal(stream)


def test_writing_never_fails(stream):
    _streams.write(stream, "✓ done → größe \ud800\n")
    drawn = _streams.TolerantStream(stream)
    assert drawn.write("✓") == 1
    drawn.flush()
    assert not drawn.isatty()


def test_what_can_be_encoded_is_left_alone():
    text = "größe ✓ →"
    assert _streams.printable(text, encoded("utf-8")) == text
    assert _streams.printable(text, io.StringIO()) == text
    assert _streams.printable(text, None) == text
    assert _streams.printable("größe", encoded("cp1252")) == "größe"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("cp1252", "größe + -> ?"), ("latin-1", "größe + -> ?"), ("ascii", "gr??e + -> ?")],
)
def test_what_cannot_be_encoded_has_a_stand_in(encoding, shown):
    assert _streams.printable("größe ✓ → 雪", encoded(encoding)) == shown


def test_a_stream_that_replaces_by_itself_may_do_so():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    assert _streams.printable("✓", stream) == "✓"


def test_an_unknown_encoding_is_no_error():
    class Odd(io.StringIO):
        encoding = "odd"

    assert _streams.printable("✓", Odd()) == "✓"


def test_a_plant_opens_and_reports_whatever_the_streams_are(stream, tmp_path, monkeypatch):
    @ReactorFunc
    def make(pipe):
        pipe.send("größe", 1)

    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    with Plant(tmp_path / "plant") as plant:
        assert plant.get("größe") == 1
        plant.show_graph()
        if isinstance(stream, io.TextIOWrapper):
            for shown in (
                plant.run_reactor(make),
                plant.status(),
                plant.explain(make),
                plant.plan(make),
                plant.fsck(),
            ):
                print(shown)
                print(repr(shown))


def test_progress_draws_on_any_stream(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("pyplant.reports.terminal._DELAY", 0.0)
    progress = TerminalProgress()
    progress(RunStarted(("plot",)))
    progress._open_display()
    progress(ReactorStarted("größe ✓"))
    progress(ReactorFinished("größe ✓", 1.0))
    progress(RunFinished(RunReport("plot", (), 0.5)))
    assert not is_terminal()


def test_a_warning_that_cannot_be_shown_is_no_error(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Pytest records them otherwise.
        warnings.showwarning = lambda message, *_: sys.stderr.write(str(message))
        warn(PlantWarning, "größe ✓")


def test_a_warning_that_is_an_error_is_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PlantWarning, match="so it is"):
            warn(PlantWarning, "so it is")


SCRIPT = """
    import os, sys
    from pyplant import *

    @ReactorFunc
    def a(pipe):
        print("says"); print("errs", file=sys.stderr); os.system("echo child; echo child >&2")
        for descriptor in (1, 2):  # no file that PyPlant opened
            assert not os.readlink(f"/proc/self/fd/{descriptor}").startswith(os.getcwd())
        pipe.send("a", 1)

    @ReactorFunc
    def b(pipe):
        a = yield pipe.receive("a")
        pipe.send("b", a + 1)

    if __name__ == "__main__":
        with Plant(sys.argv[1], executor=eval(sys.argv[2])) as plant:
            said = plant.get("b")
        with open(sys.argv[1] + ".said", "w") as stream:
            stream.write(str(said))
        with Plant(sys.argv[1]) as plant:
            assert not plant.fsck().findings, str(plant.fsck())
"""


def run(tmp_path, arguments, redirected="", **environment):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return subprocess.run(
        ["sh", "-c", f'"$0" {arguments} {redirected}', sys.executable],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc where descriptors lead")
@pytest.mark.parametrize("executor", [None, 1])
@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_program_without_standard_streams_gets_its_values(tmp_path, redirected, executor):
    run(tmp_path, f"script.py plant {executor}", redirected)
    assert (tmp_path / "plant.said").read_text() == "2"
    # What a child process printed went nowhere, and not into a file that would have had the number.
    files = [path.read_bytes() for path in (tmp_path / "plant").rglob("*") if path.is_file()]
    assert not any(b"\nchild\n" in content or content.startswith(b"child") for content in files)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["run", "status", "graph", "plan", "status --json", "--help"])
def test_commands_end_well_without_standard_streams(tmp_path, command, redirected):
    what = {"plan": "plan script.py b", "--help": "--help", "status --json": "status script.py --json"}
    done = run(tmp_path, f"-m pyplant {what.get(command, f'{command} script.py')}", redirected)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_wrong_command_is_still_wrong_without_standard_error(tmp_path):
    assert run(tmp_path, "-m pyplant nonsense", "2>&-").returncode == 2
    assert run(tmp_path, "-m pyplant status nowhere.py", "2>&-").returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "ascii:strict", "utf-8"])
def test_commands_print_in_any_encoding(tmp_path, encoding):
    for command in (
        "run script.py",
        "status script.py",
        "graph script.py",
        "history script.plant",
        "doctor .",
    ):
        done = run(tmp_path, f"-m pyplant {command}", PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr.decode()
        done.stdout.decode(encoding.partition(":")[0])


def test_json_stays_json_in_any_encoding(tmp_path):
    (tmp_path / "script.py").write_text(
        "from pyplant import *\n@ReactorFunc\ndef größe(pipe): pipe.send('雪', 1)\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyplant", "status", "script.py", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii:strict"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert "größe" in json.dumps(json.loads(done.stdout), ensure_ascii=False)
