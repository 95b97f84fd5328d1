"""`course test`: the whole suite, two pages at a time."""

import os
import subprocess
import sys
from pathlib import Path

from . import pages

SUITE = ["tests", "--ignore=tests/browser", "notebooks", "solutions"]  # `make browser-test` has a suite of its own
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with=tests/sanitize.cfg", "--nbval-cell-timeout=600"]


def main(extra: list[str]) -> int:
    """Run pytest over the tests and every page; returns its exit status.

    extra: handed on to pytest. Paths among them (`notebooks/02_makemore_bigrams.ipynb`) replace the whole suite.
    """
    pages.need_checkout()
    chosen = [word for word in extra if (pages.ROOT / word.partition("::")[0]).exists() and not word.startswith("-")]
    options = [word for word in extra if word not in chosen]
    command = [sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadfile", *NBVAL, *options, *(chosen or SUITE)]
    lectures = len(pages.stems())
    if not chosen:
        print(
            f"The whole suite: the package's tests; {lectures} lectures and {lectures} solutions, each run from top to "
            "bottom in a fresh kernel, two at a time."
        )
    print("> " + " ".join([Path(sys.executable).name, *command[1:]]), flush=True)
    # One thread a page: two pages with two threads each would fight over two cores.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    environment.pop("MPLBACKEND", None)  # or the pages' pictures are not shown inline
    return subprocess.call(command, env=environment, cwd=pages.ROOT)
