"""What every test may use, and the table of pages at the end of a run."""

from collections import defaultdict

import pytest

from course_utils.tools import pages

REACHED = "[01_toy]\nfound = '(\\d+)'\nreached = 'twice three is {0}'\nreference = 'arithmetic: {0}'\n"
PYPROJECT = '[project.urls]\nRepository = "https://github.com/someone/toy"\n'

LECTURE = """\
# %% [markdown]
# # 01 · toy: one number
#
# What is made here.
#
# [![Open in Colab]()]()

# %% tags=["colab"]

# %% tags=["parameters"]
size = 3

# %% [markdown]
# ## 1. Doubling

# %%
#| export toy
import math


def double(x: float) -> float:
    \"\"\"Twice x.\"\"\"
    return 2 * x


def root(x: float) -> float:
    \"\"\"The square root of x.\"\"\"
    return math.sqrt(x)


# %%
print(double(size))
"""

EXERCISE = """\
# %% [markdown]
# # 01 · toy: exercises
#
# [![Open in Colab]()]()

# %% tags=["colab"]

# %% [markdown]
# ### E01. Double it   (1 of 5 · 1 minute)


# %%
def double(x: float) -> float:
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %%
assert double(2) == 4

# %% tags=["solution-only"]
print(double(3))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A repository with one small lecture, in the place of the real one."""
    for path, text in {
        "pyproject.toml": PYPROJECT,
        "README.md": "# Toy\n\n<!-- lectures -->\n<!-- /lectures -->\n",
        "notebooks/full.toml": "",
        "sources/reached.toml": REACHED,
        "sources/lectures/01_toy.py": LECTURE,
        "sources/exercises/01_toy.py": EXERCISE,
        "course_utils/lectures/__init__.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    return tmp_path


def pytest_terminal_summary(terminalreporter):
    """Seconds of one core by page (or by file of tests), and their sum."""
    seconds, counts = defaultdict(float), defaultdict(int)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "nodeid") and hasattr(report, "duration"):
                file = report.nodeid.partition("::")[0]
                seconds[file] += report.duration
                counts[file] += getattr(report, "when", "call") == "call"
    if not seconds:
        return
    terminalreporter.section("time by page")
    for file in sorted(seconds):
        terminalreporter.write_line(f"{file:52} {counts[file]:5} checks {seconds[file]:8.1f} s")
    notebooks = sum(took for file, took in seconds.items() if file.endswith(".ipynb"))
    terminalreporter.write_line(f"{'all pages':52} {'':12} {notebooks:8.1f} s")
    terminalreporter.write_line(f"{'all':52} {sum(counts.values()):5} checks {sum(seconds.values()):8.1f} s")
