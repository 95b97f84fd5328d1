"""Whoever edits a notebook in JupyterLab edits its source as well: the two pairs of folders, through jupytext."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_utils.tools import build

REPOSITORY = Path(__file__).parents[1]
PAIRS = {
    "notebooks/01_toy.ipynb": "sources/lectures/01_toy.py",
    "solutions/01_toy.ipynb": "sources/exercises/01_toy.py",
}


@pytest.fixture
def paired(toy):
    assert build.build([]) == 0
    for folder in ("", "solutions", "sources/exercises"):
        shutil.copy(REPOSITORY / folder / "jupytext.toml", toy / folder)
    return toy


def sync(toy, path):
    os.utime(toy / path, (2e9, 2e9))  # the newer of the two wins
    command = [sys.executable, "-m", "jupytext", "--sync", path]
    subprocess.run(command, cwd=toy, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("notebook", PAIRS)
def test_a_save_without_a_change_leaves_the_source_byte_for_byte(paired, notebook):
    source = paired / PAIRS[notebook]
    before = source.read_bytes()
    sync(paired, notebook)
    assert source.read_bytes() == before


@pytest.mark.parametrize("notebook", PAIRS)
def test_an_edit_in_the_notebook_arrives_in_the_source_and_the_build_accepts_it(paired, notebook):
    page = nbformat.read(paired / notebook, as_version=4)
    page.cells[-1].source = "print(double(21))"
    nbformat.write(page, paired / notebook)
    sync(paired, notebook)
    assert "print(double(21))" in (paired / PAIRS[notebook]).read_text(encoding="utf-8")
    assert build.build([]) == 0
    assert nbformat.read(paired / notebook, as_version=4).cells[-1].outputs[0].text == "42\n"


@pytest.mark.parametrize("folder", ["exercises", "work"])
def test_a_learners_notebook_is_nobodys_pair(paired, folder):
    path = paired / folder / "01_toy.ipynb"
    path.parent.mkdir(exist_ok=True)
    if folder == "work":
        shutil.copy(paired / "exercises/01_toy.ipynb", path)
    before = {p: p.read_bytes() for p in paired.rglob("*") if p.is_file()}
    sync(paired, f"{folder}/01_toy.ipynb")
    assert {p: p.read_bytes() for p in paired.rglob("*") if p.is_file()} == before
