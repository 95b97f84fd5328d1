"""Make the environment in .venv if it is missing or out of date, then run a verb of the `course` command in it.

    python course_utils/tools/bootstrap.py lab

Standard library only, and written so that any Python, however old, can read it and say what is wrong.
"""

from __future__ import print_function

import hashlib
import os
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
    if re.search(r"No space left|not enough space|disk (is )?full", said, re.I):
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
            "%s has no package for this Python (%d.%d on %s): try Python 3.12, as in `make lab PYTHON=python3.12`."
            % ((missing.group(1),) + tuple(sys.version_info[:2]) + (sys.platform,))
        )
    errors = re.findall(r"^ERROR: (.+)$", said, re.M) or said.strip().splitlines()[-1:] or ["pip said nothing"]
    return "The environment could not be made: %s. Delete .venv, then run this again." % errors[0].strip().rstrip(".")


def run(command, what):
    """Run a command and count the seconds on one line; stop with a sentence if it fails."""
    start = time.time()
    lively = sys.stdout.isatty()
    print("%s ..." % what, end="" if lively else "\n")
    sys.stdout.flush()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    import threading  # not at the top: the oldest Pythons should get as far as the version check

    said = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.read()))
    reader.start()
    while reader.is_alive():
        reader.join(1)
        if lively:
            print("\r%s ... %d s" % (what, time.time() - start), end="")
            sys.stdout.flush()
    if lively:
        print()
    if process.wait():
        stop(what_went_wrong(b"".join(said).decode("utf-8", "replace")))


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
        with open(STAMP, "w") as file:
            file.write("not finished")
    except (IOError, OSError) as problem:
        stop("%s cannot be written to (%s): clone the course to a folder of yours." % (VENV, problem.strerror))
    if not os.path.exists(PYTHON):
        run([sys.executable, "-m", "venv", "--clear", VENV], "Making the environment in .venv")
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    run(
        install + ["-c", os.path.join(ROOT, "constraints.txt"), "-e", ROOT + "[dev]"],
        "Installing PyTorch, JupyterLab and the rest, once: about a minute and 1.3 GB",
    )
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
    try:
        return subprocess.call([PYTHON, "-m", "course_utils.tools.cli"] + arguments, cwd=ROOT)
    except KeyboardInterrupt:  # the verb got it too, and has said what there was to say
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
