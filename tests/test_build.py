"""The build, on a repository of one small lecture: what it makes, what it leaves alone, what it refuses."""

import re
import subprocess
import sys

import nbformat
import pytest

from course_utils.tools import build, cli, pages


def source(toy, kind="lectures"):
    return toy / "sources" / kind / "01_toy.py"


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def snapshot(toy):
    return {path.relative_to(toy): path.read_bytes() for path in toy.rglob("*") if path.is_file()}


@pytest.fixture
def built(toy):
    assert build.build([]) == 0
    return toy


def test_it_makes_every_file_and_a_second_build_changes_none(built):
    lecture = nbformat.read(built / "notebooks/01_toy.ipynb", as_version=4)
    assert "".join(o.text for o in lecture.cells[-1].outputs) == "6\n"
    nbformat.validate(lecture)
    exercise = nbformat.read(built / "exercises/01_toy.ipynb", as_version=4)
    stub = next(cell.source for cell in exercise.cells if "def double" in cell.source)
    assert "raise NotImplementedError" in stub and "E01" in stub and "2 * x" not in stub
    assert not any("solution-only" in build.tags(cell) for cell in exercise.cells)
    assert all(not cell.outputs for cell in exercise.cells if cell.cell_type == "code")
    module = (built / "course_utils/lectures/toy.py").read_text(encoding="utf-8")
    assert module.splitlines()[0] == '"""From notebooks/01_toy.ipynb, 1. Doubling.'
    assert "| [lecture](notebooks/01_toy.ipynb)" in (built / "README.md").read_text(encoding="utf-8")
    before = snapshot(built)
    assert build.build([]) == 0
    assert snapshot(built) == before


def test_the_readme_shows_the_number_that_the_page_printed(built):
    assert "| twice three is 6 | arithmetic: 6 |" in (built / "README.md").read_text(encoding="utf-8")
    rows = built / "sources/reached.toml"
    rows.write_text(rows.read_text(encoding="utf-8").replace("(\\d+)", "loss (\\d+)"), encoding="utf-8")
    with pytest.raises(build.CourseError, match=r"01_toy no longer prints what sources/reached\.toml looks for"):
        build.build([])
    rows.write_text("", encoding="utf-8")
    with pytest.raises(build.CourseError, match=r"has no \[01_toy\]"):
        build.build([])


def test_prose_alone_is_not_executed_again(built, monkeypatch):
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("executed"))
    edit(source(built), "What is made here.", "What is made here, said better.")
    assert build.build([]) == 0
    lecture = nbformat.read(built / "notebooks/01_toy.ipynb", as_version=4)
    assert "said better" in lecture.cells[0].source
    assert lecture.cells[-1].outputs


def test_changed_code_is_executed_and_only_that_page(built, monkeypatch):
    executed = []
    real = build.execute
    monkeypatch.setattr(build, "execute", lambda page, nb: executed.append(page.kind) or real(page, nb))
    edit(source(built), "size = 3", "size = 5")
    assert build.build([]) == 0
    assert executed == ["lectures"]
    lecture = nbformat.read(built / "notebooks/01_toy.ipynb", as_version=4)
    assert lecture.cells[-1].outputs[0].text == "10\n"


def test_the_address_stands_in_one_place(built):
    text = source(built).read_text(encoding="utf-8")
    assert "github/someone/toy/blob/main/notebooks/01_toy.ipynb" in text
    assert "https://github.com/someone/toy/archive" in text
    edit(built / "pyproject.toml", "someone/toy", "other/place")
    assert build.build([]) == 0
    for path in ("sources/lectures/01_toy.py", "notebooks/01_toy.ipynb", "exercises/01_toy.ipynb", "README.md"):
        text = (built / path).read_text(encoding="utf-8")
        assert "other/place" in text and "someone/toy" not in text, path


def refused(capfd, *words):
    """The build says one short thing that holds all these words, without a traceback."""
    said = capfd.readouterr().err
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


def test_a_failing_page_names_notebook_cell_and_error_and_writes_nothing(toy, capfd):
    edit(source(toy), "print(double(size))", "print(double(siez))")
    assert cli.main(["build", "--all"]) == 1
    refused(capfd, "sources/lectures/01_toy.py, cell 5", "NameError", "siez")
    assert not (toy / "notebooks/01_toy.ipynb").exists()
    assert (toy / "solutions/01_toy.ipynb").exists()


def test_an_unclosed_marker(toy, capfd):
    edit(source(toy, "exercises"), "    ### END SOLUTION\n", "")
    assert cli.main(["build"]) == 1
    refused(capfd, "sources/exercises/01_toy.py", "E01", "### END SOLUTION")
    assert not (toy / "exercises/01_toy.ipynb").exists() and not (toy / "solutions/01_toy.ipynb").exists()


def test_a_marker_that_closes_nothing(toy, capfd):
    edit(source(toy, "exercises"), "    ### BEGIN SOLUTION\n", "")
    assert cli.main(["build"]) == 1
    refused(capfd, "### BEGIN SOLUTION", "E01")


def test_an_exported_cell_with_a_missing_import(toy, capfd):
    edit(source(toy), "import math\n", "")
    assert cli.main(["build"]) == 1
    refused(capfd, "sources/lectures/01_toy.py, cell 4", "`math`", "import")
    assert not (toy / "course_utils/lectures/toy.py").exists()


def test_an_exported_cell_may_not_import_a_helper_for_notebooks(toy, capfd):
    edit(source(toy), "import math\n", "import math\nfrom course_utils import plot\n")
    edit(source(toy), "math.sqrt(x)", "math.sqrt(x) + bool(plot)")
    assert cli.main(["build"]) == 1
    refused(capfd, "cell 4", "course_utils")


def test_a_notebook_edited_by_hand_is_left_alone(built, capfd):
    path = built / "notebooks/01_toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source = "print('mine')"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    assert cli.main(["build", "01"]) == 1
    refused(capfd, "notebooks/01_toy.ipynb was edited by hand", "sources/lectures/01_toy.py")
    assert path.read_bytes() == before


def test_an_exercise_edited_by_hand_is_left_alone(built, capfd):
    path = built / "exercises/01_toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].source = "def double(x):\n    return x + x"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    edit(source(built, "exercises"), "Double it", "Double the number")
    assert cli.main(["build"]) == 1
    refused(capfd, "exercises/01_toy.ipynb was edited by hand")
    assert path.read_bytes() == before


def test_progress_bars_end_as_one_line():
    cell = nbformat.v4.new_code_cell("x")
    for text in ("  0%|   | 0/2\r 50%|#  | 1/2", "\r100%|###| 2/2\nloss 2.45\n"):
        cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    build.tidy(notebook)
    assert [o.text for o in cell.outputs] == ["100%|###| 2/2\nloss 2.45\n"]


@pytest.mark.parametrize("word", ["1", "01", "01_toy", "toy", "notebooks/01_toy.ipynb"])
def test_a_lecture_by_number_or_name(toy, word):
    assert pages.find(word) == "01_toy"


@pytest.mark.parametrize("word", ["7", "01_toi", "tyo", "zebra"])
def test_an_unknown_lecture_gets_the_nearest_match(toy, word, capfd):
    assert cli.main(["work", word]) == 1
    said = capfd.readouterr().err
    assert "Did you mean 01_toy?" in said and said.count("\n") == 1


def test_work_copies_once_and_never_overwrites(built, capfd):
    assert cli.main(["work", "1"]) == 0
    mine = built / "work/01_toy.ipynb"
    mine.write_text(mine.read_text(encoding="utf-8").replace("Twice x", "My own words"), encoding="utf-8")
    before = mine.read_bytes()
    assert cli.main(["work", "1"]) == 0
    assert mine.read_bytes() == before
    assert "stays as it is" in capfd.readouterr().out


def test_the_verbs_explain_themselves(capfd):
    for verb in ("list", "run", "build", "work", "progress", "data", "lab", "test"):
        with pytest.raises(SystemExit) as stop:
            cli.main([verb, "--help"])
        assert stop.value.code == 0
        assert re.search(r"usage: course " + verb, capfd.readouterr().out)


def test_an_unknown_option_is_refused(capfd):
    with pytest.raises(SystemExit):
        cli.main(["work", "1", "--fast"])
    assert "--fast" in capfd.readouterr().err


def test_the_whole_command_from_a_shell():
    done = subprocess.run([sys.executable, "-m", "course_utils.tools.cli", "list"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
