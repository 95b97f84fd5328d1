"""The two commands when something is wrong: one sentence with the remedy, no traceback, nothing half made."""

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from course_utils.tools import bootstrap, cli, lab

REPOSITORY = Path(__file__).parents[1]
SCRIPT = REPOSITORY / "course_utils/tools/bootstrap.py"
HAS_MAKE = shutil.which("make") and sys.platform != "win32"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without any requirement, in the place of the course, so that its environment is made in a second."""
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (tmp_path / "constraints.txt").write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setattr(bootstrap, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(bootstrap, "STAMP", str(tmp_path / ".venv/course-stamp"))
    python = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    monkeypatch.setattr(bootstrap, "PYTHON", str(tmp_path / ".venv" / python))
    return tmp_path


def sentence(capfd) -> str:
    said = capfd.readouterr().err.strip()
    assert "Traceback" not in said and said.count("\n") == 0 and said.endswith("."), said
    return said


def old_pythons() -> list[str]:
    found = [shutil.which(f"python{version}") for version in ("2.7", "3.6", "3.8", "3.10")]
    found += [str(p) for p in Path.home().glob(".pyenv/versions/[23].*/bin/python") if p.parts[-3] < "3.11"]
    return [p for p in found if p and subprocess.run([p, "-c", ""], capture_output=True).returncode == 0]


def test_an_old_python_says_so():
    """With whatever old Python this machine has; it must be able to read the script at all."""
    for python in old_pythons():
        done = subprocess.run([python, str(SCRIPT), "lab"], capture_output=True, text=True)
        if "3.11 or newer" not in done.stderr:
            version = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2] >= (3, 11))"], text=True)
            pytest.fail(f"{python} ({version.stdout}): {done.stderr}")
        assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_an_old_python_says_so_whatever_this_machine_has(monkeypatch, capfd):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    with pytest.raises(SystemExit):
        bootstrap.main(["lab"])
    assert "needs Python 3.11 or newer, and this is 3.9" in sentence(capfd)


@pytest.mark.skipif(not HAS_MAKE, reason="there is no make here")
def test_make_without_any_python(tmp_path):
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    done = subprocess.run(
        [shutil.which("make"), "lab"], cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer, and there is none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not HAS_MAKE, reason="there is no make here")
def test_make_passes_over_a_python_that_does_not_run_or_is_too_old(tmp_path):
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    for name, text in {
        "python3": "exit 127",  # a version manager's stand-in for what is not installed
        "python3.13": '[ -z "$2" ]',  # runs, and fails the question for its version
        "python3.12": '[ "$1" = -c ] || echo "12 got $@"',
        "python": "echo never",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("make"), "lab", "PORT=9", "ARGS=--no-browser"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "12 got course_utils/tools/bootstrap.py lab --port 9 --no-browser\n", done.stderr


def test_a_folder_that_cannot_be_written_to(project, monkeypatch, capfd):
    """Root may write anywhere, so the refusal is put on."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bootstrap.os, "mkdir", refuse)
    with pytest.raises(SystemExit):
        bootstrap.main(["lab"])
    assert "cannot be written to (Permission denied)" in sentence(capfd)


def test_no_network(project, monkeypatch, capfd):
    """The index is a port of this machine where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/simple"
    for name, value in {"PIP_INDEX_URL": address, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "nul")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["hatchling"]\nbuild-backend = "x"\n')
    with pytest.raises(SystemExit):
        bootstrap.main(["lab"])
    assert "check the network connection" in sentence(capfd)
    assert not bootstrap.ready()


def test_ctrl_c_while_installing(project, monkeypatch, capfd):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "is_alive", pressed)
    with pytest.raises(SystemExit):
        bootstrap.run([sys.executable, "-c", "import time; time.sleep(60)"], "Installing")
    assert "Stopped. Run this again" in sentence(capfd)


def test_an_environment_that_cannot_install_is_not_usable(project):
    """As one that was killed before it had pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bootstrap.VENV], check=True)
    Path(bootstrap.STAMP).touch()
    assert not bootstrap.usable()


@pytest.mark.parametrize(
    "version, finished, usable",
    [
        ("3.10", True, False),
        ("3.99", True, True),
        ("3.99", False, False),
        (f"{sys.version_info[0]}.{sys.version_info[1]}", False, True),
    ],
)
def test_another_python_than_the_environments(project, monkeypatch, version, finished, usable):
    """One that served is kept until it is too old; one that never did gives way to the Python chosen now."""
    Path(bootstrap.VENV).mkdir()
    Path(bootstrap.STAMP).write_text("old" if finished else "")
    monkeypatch.setattr(bootstrap.subprocess, "check_output", lambda *_, **__: version.encode())
    assert bootstrap.usable() is usable


@pytest.mark.parametrize(
    "said, words",
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for torch>=2.4", "no torch for Python"),
        ("ERROR: [Errno 13] Permission denied: '/x'", "cannot be written to"),
        ("WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution found for x", "network connection"),
        ("ERROR: Something nobody thought of", "Something nobody thought of. Delete .venv"),
    ],
)
def test_what_pip_says_becomes_one_sentence(said, words):
    assert words in bootstrap.what_went_wrong(said)


def test_a_second_run_installs_nothing_and_a_changed_requirement_does(project, monkeypatch):
    made = []

    def make():
        made.append(1)
        Path(bootstrap.PYTHON).parent.mkdir(parents=True, exist_ok=True)
        Path(bootstrap.PYTHON).touch()
        Path(bootstrap.STAMP).write_text(bootstrap.wanted())

    monkeypatch.setattr(bootstrap, "make", make)
    bootstrap.main([])
    bootstrap.main([])
    assert len(made) == 1
    (project / "constraints.txt").write_text("torch==9\n")
    bootstrap.main([])
    assert len(made) == 2
    Path(bootstrap.STAMP).write_text("not finished")  # killed half-way
    bootstrap.main([])
    assert len(made) == 3


def test_a_busy_port(capfd):
    with socket.socket() as busy:
        busy.bind(("localhost", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert cli.main(["lab", "--port", str(port)]) == 1
    assert f"Port {port} is busy" in sentence(capfd)


def test_an_impossible_port(capfd):
    assert cli.main(["lab", "--port", "99999"]) == 1
    assert "Port 99999" in sentence(capfd)


@pytest.fixture
def server(monkeypatch):
    """In the place of JupyterLab: listens on its port and is stopped by Ctrl-C. The commands that started it."""
    commands = []

    class Server:
        def __init__(self, command, **_):
            commands.append(command)
            self.presses = [KeyboardInterrupt]
            self.socket = socket.socket()
            self.socket.bind(("localhost", int(command[3].removeprefix("--ServerApp.port="))))
            self.socket.listen()

        def poll(self):
            return None

        def wait(self):
            if self.presses:
                raise self.presses.pop()
            self.socket.close()
            return 0

    monkeypatch.setattr(lab.subprocess, "Popen", Server)
    return commands


def test_lab_passes_options_on_works_without_a_network_and_ends_with_ctrl_c(server, monkeypatch, capfd):
    from course_utils import data

    def offline(*_, **__):
        raise data.DataError("No network.")

    monkeypatch.setattr(data, "fetch", offline)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    assert cli.main(["lab", "--port", str(port), "--no-browser"]) == 0
    assert "--no-browser" in server[0]
    said = capfd.readouterr().out
    assert "No network." in said and f"http://localhost:{port}/lab/tree/README.md?token=" in said


def test_readme_names_the_commands_that_there_are():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for words in ("make lab", "make test", "course work", "course progress", "environment.yml", "-c constraints.txt"):
        assert words in readme
    assert "\nmake test" in (REPOSITORY / ".ci/run").read_text(encoding="utf-8")
