"""The installation cell on every page: silent and instant where the course is importable, careful where it is not."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import time

import pytest

from course_utils.tools.build import COLAB_CELL

CELL = COLAB_CELL.format(address="https://github.com/someone/toy")


def run():
    exec(compile(CELL, "<cell>", "exec"), {})


@pytest.fixture
def missing(monkeypatch):
    """The course is not importable; everything else is."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "course_utils" else real(name))


def test_where_the_course_is_importable_it_is_silent_and_instant(capfd):
    start = time.perf_counter()
    run()
    assert time.perf_counter() - start < 0.1
    assert capfd.readouterr() == ("", "")


def test_it_installs_the_course_and_keeps_torch_and_numpy(missing, monkeypatch):
    calls = []
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command) or done)
    run()
    assert calls[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert "https://github.com/someone/toy/archive/refs/heads/main.zip" in calls[0]
    for package in ("torch", "numpy"):
        assert f"{package}=={importlib.metadata.version(package)}" in calls[0]


def test_no_network_is_one_sentence(missing, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    with pytest.raises(SystemExit) as stop:
        run()
    assert "check the network connection" in str(stop.value)


def test_an_old_python_is_one_sentence(missing, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit) as stop:
        run()
    assert "3.11 or newer" in str(stop.value)
