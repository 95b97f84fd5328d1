"""What a learner types: run, progress, list."""

import nbformat
import pytest

from course_utils.tools import build, cli

CHECKED = """\
# %% [markdown]
# # 01 · toy: exercises
#
# [![Open in Colab]()]()

# %% tags=["colab"]

# %%
from course_utils.checks import same, task


class check:
    @staticmethod
    @task("E01", "write `double`")
    def e01(double):
        same("double(3)", double(3), 6.0, mistakes={"you added 2 instead of doubling": 5.0})

    @staticmethod
    @task("E02", "write `halve`")
    def e02(halve):
        same("halve(3)", halve(3), 1.5)


# %% [markdown]
# ### E01. Double it   (1 of 5 · 1 minute)


# %%
def double(x: float) -> float:
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %%
check.e01(double)

# %% tags=["demo"]
raise SystemExit("a demonstration is not needed to tell what passes")

# %% [markdown]
# ### E02. Halve it   (1 of 5 · 1 minute)


# %%
def halve(x: float) -> float:
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %%
check.e02(halve)
"""


@pytest.fixture
def copied(toy):
    (toy / "sources/exercises/01_toy.py").write_text(CHECKED, encoding="utf-8")
    page = build.Page("01_toy", "exercises")
    build.write(page.exercise, build.make_exercise(page, build.read(page)))
    assert cli.main(["work", "1"]) == 0
    return toy / "work/01_toy.ipynb"


def answer(copy, name, body):
    notebook = nbformat.read(copy, as_version=4)
    cell = next(cell for cell in notebook.cells if f"def {name}" in cell.source)
    cell.source = f"def {name}(x):\n    {body}"
    nbformat.write(notebook, copy)


def test_progress_of_an_untouched_copy(copied, capfd):
    before = copied.read_bytes()
    assert cli.main(["progress"]) == 1
    said = capfd.readouterr().out
    assert "0 of 2 tasks pass" in said and "E01 is still to do: write `double`" in said
    assert copied.read_bytes() == before


def test_progress_tells_passed_wrong_and_broken(copied, capfd):
    answer(copied, "double", "return 2 * x")
    answer(copied, "halve", "return y / 2")
    assert cli.main(["progress", "1"]) == 1
    said = capfd.readouterr().out
    assert "1 of 2 tasks pass" in said and "✓ E01 passed" in said and "E02: your code stopped with NameError" in said
    answer(copied, "double", "return x + 2")
    assert cli.main(["progress", "1"]) == 1
    assert "E01: you added 2 instead of doubling" in capfd.readouterr().out


def test_progress_when_all_pass(copied):
    answer(copied, "double", "return x + x")
    answer(copied, "halve", "return 0.5 * x")
    assert cli.main(["progress"]) == 0


def test_progress_without_a_copy(toy, capfd):
    assert cli.main(["progress"]) == 1
    assert "`course work 02`" in capfd.readouterr().err


def test_run_puts_the_full_values_in_and_leaves_the_page_alone(toy, capfd):
    assert build.build(["01_toy"]) == 0
    before = (toy / "notebooks/01_toy.ipynb").read_bytes()
    assert cli.main(["run", "1", "--profile", "full"]) == 1
    assert "01_toy has no full profile" in capfd.readouterr().err
    (toy / "notebooks/full.toml").write_text("[01_toy]\nsize = 50\n", encoding="utf-8")
    assert cli.main(["run", "1", "--profile", "full"]) == 0
    ran = nbformat.read(toy / "runs/01_toy-full.ipynb", as_version=4)
    assert ran.cells[-1].outputs[0].text == "100\n"
    assert (toy / "notebooks/01_toy.ipynb").read_bytes() == before


def test_a_run_that_fails_says_where(toy, capfd):
    assert build.build(["01_toy"]) == 0
    (toy / "notebooks/full.toml").write_text("[01_toy]\nsize = 'three'\n", encoding="utf-8")
    page = toy / "notebooks/01_toy.ipynb"
    page.write_text(page.read_text(encoding="utf-8").replace("return 2 * x", "return 2 - x"), encoding="utf-8")
    assert cli.main(["run", "1", "--profile", "full"]) == 1
    said = capfd.readouterr().err
    assert "runs/01_toy-full.ipynb stopped at cell" in said and "TypeError" in said


def test_list_names_every_lecture_with_its_cost(toy, capfd):
    assert cli.main(["list"]) == 0
    assert "not built yet" in capfd.readouterr().out
    assert build.build(["01_toy"]) == 0
    assert cli.main(["list"]) == 0
    assert "01  toy: one number" in capfd.readouterr().out
