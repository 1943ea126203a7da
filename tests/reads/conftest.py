import pytest


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    """Each test has a working directory and no variable of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("READS_X", raising=False)
