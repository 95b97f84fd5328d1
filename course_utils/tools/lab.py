"""`course lab`: JupyterLab, opened on the README."""

import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import pages
from .pages import CourseError

PORT = 8888
# Read by JupyterLab beside the learner's own settings, which win: the README opens rendered, and no news are fetched.
SETTINGS = Path(__file__).with_name("jupyter")
# Which tabs were open: the course's own, apart from those of the learner's other work.
WORKSPACES = Path(sys.prefix, "share/jupyter/lab/workspaces")


def lab(port: int | None, extra: list[str]) -> int:
    """Fetch the small default data, start JupyterLab on a free port, print the address; returns its exit status.

    port: None for 8888.  extra: handed on to `jupyter lab`.  Raises CourseError when the port is busy.
    """
    pages.need_checkout()
    port = port or PORT
    refuse_busy(port)
    fetch_small_data()
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    environment = os.environ | {"JUPYTER_TOKEN": token}
    paths = [str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += ["--LabApp.default_url=/lab/tree/README.md", f"--ServerApp.root_dir={pages.ROOT}"]
    command += ["--Application.log_level=ERROR", "--ServerApp.answer_yes=True"]  # Ctrl-C stops it without a question
    command.append(f"--LabApp.workspaces_dir={WORKSPACES}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # as in a container, where everybody is root
    server = subprocess.Popen([*command, *extra], env=environment, cwd=pages.ROOT)
    try:
        if listens(server, port):
            address = f"http://localhost:{port}/lab/tree/README.md?token={token}"
            print(f"JupyterLab: {address}\nCtrl-C stops it.", flush=True)
        return server.wait()
    except KeyboardInterrupt:  # the server got it too: let it end its kernels
        server.wait()
        return 0


def listens(server: subprocess.Popen, port: int) -> bool:
    """Wait until the server answers, so that the address can be followed when it is printed; False if it has ended."""
    for _ in range(300):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("localhost", port)) == 0:
                break
        if server.poll() is not None:
            return False
        time.sleep(0.1)
    return True


def refuse_busy(port: int) -> None:
    """Raise CourseError when nothing can listen on the port."""
    with socket.socket() as probe:
        if os.name != "nt":  # or a port is busy for a minute after a server on it has ended
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except (OSError, OverflowError):
            raise CourseError(
                f"Port {port} is busy or not allowed (perhaps a JupyterLab that you started earlier): stop that, "
                "or choose another port, as in `make lab PORT=9999` or `course lab --port 9999`."
            ) from None


def fetch_small_data() -> None:
    """Fetch what the first lectures read, so that they run offline; without a network, say so and go on."""
    from course_utils import data

    try:
        data.fetch("shakespeare")
    except data.DataError as problem:
        print(f"{problem} The lectures up to 06 run without it.")
