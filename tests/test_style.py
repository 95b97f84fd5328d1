"""One style for everything, the notebooks' text included."""

import subprocess
import sys

import pytest

from course_utils.tools import pages


@pytest.mark.parametrize("command", [["format", "--check"], ["check", "--output-format=concise"]], ids=lambda c: c[0])
def test_ruff(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=pages.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"`make format` mends most of this:\n{done.stdout[-3000:]}{done.stderr[-500:]}"
