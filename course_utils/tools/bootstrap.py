"""Make the environment in .venv if it is missing or out of date, then run a verb of the `course` command in it.

    python course_utils/tools/bootstrap.py lab

Standard library only, and written so that any Python, however old, can read it and say what is wrong.
"""

from __future__ import print_function

import hashlib
import os
import platform
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "course-stamp")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)


def stop(sentence):
    print(sentence, file=sys.stderr)
    sys.exit(1)


def wanted():
    """A fingerprint of everything that decides what is installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    digest.update(ROOT.encode("utf-8"))  # the package is installed in place: a moved clone installs again
    return digest.hexdigest()


def ready():
    try:
        with open(STAMP) as file:
            if file.read() != wanted():
                return False
    except (IOError, OSError):
        return False
    return os.path.exists(PYTHON)  # False also for a link to a Python that is gone


def what_went_wrong(said):
    """One sentence on why pip failed, from what it printed."""
    if re.search(r"No space left|not enough space|disk (is )?full|quota exceeded", said, re.I):
        return "The disk is full: free about 2 GB, then run this again."
    if re.search(r"Permission denied|Access is denied|Read-only file system", said, re.I):
        return "%s cannot be written to: get write permission, or clone the course to a folder of yours." % VENV
    if re.search(
        r"NewConnectionError|Connection(Error| refused| reset| broken)|ConnectTimeout|ProxyError", said
    ) or re.search(
        r"Temporary failure in name resolution|Read ?timed? ?out|getaddrinfo failed|Network is unreachable|SSLError",
        said,
        re.I,
    ):
        return "The Python packages could not be fetched: check the network connection, then run this again."
    missing = re.search(r"No matching distribution found for ([\w.-]+)", said)
    if missing:
        return (
            "There is no %s for Python %d.%d on %s %s: try Python 3.12, as in `make lab PYTHON=python3.12`; "
            "on an Intel Mac, or on a macOS older than 14, follow the README's Colab links."
        ) % ((missing.group(1),) + tuple(sys.version_info[:2]) + (platform.system(), platform.machine()))
    errors = re.findall(r"^ERROR: (.+)$", said, re.M) or said.strip().splitlines()[-1:] or ["pip said nothing"]
    return "The environment could not be made: %s. Delete .venv, then run this again." % errors[0].strip().rstrip(".")


def run(command, what):
    """Run a command; a terminal's line counts the seconds and says what pip does. Stop with a sentence if it fails."""
    import threading  # not at the top: the oldest Pythons should get as far as the version check

    print("%s ..." % what)
    sys.stdout.flush()
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    said, doing = [], [""]

    def listen():
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            said.append(line)
            if re.match(r" *(Collecting|Downloading|Installing collected) ", line):
                doing[0] = line.strip()

    listener = threading.Thread(target=listen)
    listener.daemon = True
    listener.start()
    try:
        while listener.is_alive():
            listener.join(1)
            if sys.stdout.isatty():  # short enough for one line of any terminal
                print("\r%4d s  %-60.60s" % (time.time() - start, doing[0]), end="")
                sys.stdout.flush()
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        stop("\nStopped. Run this again to go on.")
    if sys.stdout.isatty():
        print()
    if process.wait():
        stop(what_went_wrong("".join(said)))


def usable():
    """Whether .venv holds a Python that can install; until it has got the course, the very one that was chosen now."""
    check = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        said = subprocess.check_output([PYTHON, "-c", check], stderr=subprocess.STDOUT).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    if os.path.getsize(STAMP):
        return tuple(map(int, said.split("."))) >= OLDEST
    return said == "%d.%d" % sys.version_info[:2]


def make():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "This Python cannot make environments: install its venv package "
            "(on Debian and Ubuntu: sudo apt install python3-venv), then run this again."
        )
    try:
        if not os.path.isdir(VENV):
            os.mkdir(VENV)
        with open(STAMP, "a"):  # empty until a first install was finished
            pass
    except (IOError, OSError) as problem:
        stop("%s cannot be written to (%s): clone the course to a folder of yours." % (VENV, problem.strerror))
    if not usable():
        run([sys.executable, "-m", "venv", "--clear", VENV], "Making the environment in .venv")
    install = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    what = "Installing PyTorch, JupyterLab and the rest, once: about a minute and 1.7 GB"
    if sys.platform.startswith("linux"):
        what += ", several more where PyTorch comes with its GPU libraries"
    if os.path.exists(STAMP) and os.path.getsize(STAMP):
        what = "The requirements have changed: bringing .venv up to date"
    run(install + ["--progress-bar", "off", "-c", os.path.join(ROOT, "constraints.txt"), "-e", ROOT + "[dev]"], what)
    with open(STAMP, "w") as file:
        file.write(wanted())


def main(arguments):
    if sys.version_info[:2] < OLDEST:
        stop(
            "The course needs Python %d.%d or newer, and this is %d.%d: install a newer one from python.org "
            "or with your system's package manager, then run this again." % (OLDEST + tuple(sys.version_info[:2]))
        )
    if not ready():
        make()
    if not arguments:
        return 0
    process = subprocess.Popen([PYTHON, "-m", "course_utils.tools.cli"] + arguments, cwd=ROOT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the verb got it too, and ends in its own time
            pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
