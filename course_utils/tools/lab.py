"""`course lab`: JupyterLab, opened on the README."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from . import pages
from .pages import CourseError

PORT = 8888
# Read by JupyterLab beside the learner's own settings, which win: the README opens rendered, and no news are fetched.
SETTINGS = Path(__file__).with_name("jupyter")


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
    command += ["--LabApp.default_url=/lab/tree/README.md", f"--ServerApp.root_dir={pages.ROOT}", "--log-level=ERROR"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # as in a container, where everybody is root
    print(f"JupyterLab: http://localhost:{port}/lab/tree/README.md?token={token}\nCtrl-C stops it.", flush=True)
    try:
        return subprocess.call([*command, *extra], env=environment, cwd=pages.ROOT)
    except KeyboardInterrupt:
        return 0


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
