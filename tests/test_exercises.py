"""Every exercise works three ways: untouched, solved, and answered wrongly."""

import linecache
import re
from functools import cache
from pathlib import Path

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from course_utils.checks import Wrong, task
from course_utils.tools import build, pages
from course_utils.tools.learn import is_check

EXERCISES = [page for page in build.all_pages() if page.kind == "exercises"]
AT_LEAST = 3  # wrong answers a task


def test_a_task_that_uses_one_still_to_do_says_which():
    def stub(label: str):
        raise NotImplementedError(f"{label}: write your answer here, run this cell, then the check below it")

    check = task("E01b", "write `twice`")(stub)
    with pytest.raises(Wrong, match="E01b is still to do: write `twice`"):
        check("E01b")
    with pytest.raises(Wrong, match="E01b uses E01a, which is still to do"):
        check("E01a")


# --- untouched ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", EXERCISES, ids=lambda page: page.stem)
def test_untouched_it_stops_at_the_first_task_with_a_sentence(page):
    notebook = build.load(page.exercise)
    stubs = [number for number, cell in enumerate(notebook.cells) if "raise NotImplementedError" in cell.source]
    checks = [number for number, cell in enumerate(notebook.cells) if is_check(cell)]
    client = NotebookClient(
        notebook, timeout=120, allow_errors=False, resources={"metadata": {"path": str(page.exercise.parent)}}
    )
    with pytest.raises(CellExecutionError):
        client.execute()
    number, error = next(
        (number, output)
        for number, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if output.output_type == "error" and "raises-exception" not in build.tags(cell)
    )
    assert stubs[0] <= number <= checks[0], f"it stops at cell {number}, not at the first task"
    assert error.ename in ("Wrong", "NotImplementedError"), f"{error.ename}: {error.evalue}"
    assert re.search(r"still to do: .+|write your answer here", error.evalue)
    assert "\n" not in error.evalue.strip()


# --- solved ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", EXERCISES, ids=lambda page: page.stem)
def test_with_the_solutions_cells_put_in_it_is_the_solution(page):
    """Cell for cell; nbval runs the solution, so nothing runs twice."""
    exercise, solution = build.load(page.exercise), build.load(page.notebook)
    answers = {cell.id: cell for cell in solution.cells if build.has_solution(cell)}
    assert answers, "no cell holds a solution"
    filled = [answers.get(cell.id, cell).source for cell in exercise.cells]
    assert filled == [cell.source for cell in solution.cells if "solution-only" not in build.tags(cell)]


@pytest.mark.parametrize("page", EXERCISES, ids=lambda page: page.stem)
def test_every_task_has_a_stub_a_check_and_hints(page):
    cells = build.load(page.notebook).cells
    checks = [number for number, cell in enumerate(cells) if is_check(cell)]
    assert checks, "no cell checks anything"
    before = -1
    for number in checks:
        assert any(build.has_solution(cell) for cell in cells[before + 1 : number]), f"nothing to write before {number}"
        following = next((c for c in cells[number + 1 :] if c.cell_type == "markdown"), None)
        assert following is not None and "<details>" in following.source, f"no hint after cell {number}"
        before = number


# --- answered wrongly --------------------------------------------------------------------------------------------


def wrong_answers(path: Path) -> list[tuple[str, str, str]]:
    """[(check, words that its message must hold, code)] of one file of tests/wrong_answers/."""
    parts = re.split(r"^# %% *(.*)$", path.read_text(encoding="utf-8"), flags=re.M)
    cells = []
    for header, code in zip(parts[1::2], parts[2::2], strict=True):
        check, _, words = header.partition("|")
        cells.append((check.strip(), words.strip(), code.strip()))
    return cells


WRONG = [
    pytest.param(page, *answer, id=f"{page.stem}-{answer[0]}-{number}")
    for page in EXERCISES
    for number, answer in enumerate(wrong_answers(pages.ROOT / "tests/wrong_answers" / f"{page.stem}.py"))
]


def called(cell: nbformat.NotebookNode) -> str:
    return re.search(r"^check\.(\w+)\(", cell.source, re.M)[1]


def run(code: str, namespace: dict, label: str) -> None:
    """Execute a cell as a kernel would, with its lines known to tracebacks."""
    linecache.cache[label] = (len(code), None, code.splitlines(keepends=True), label)
    exec(compile(code, label, "exec"), namespace)


@cache
def stages(page: build.Page) -> dict[str, tuple[dict, str]]:
    """{check: (what the page's names hold when it is called, with right answers; the check cell)}."""
    matplotlib.use("Agg")
    namespace, found = {"__name__": "__main__"}, {}
    for number, cell in enumerate(build.read(page).cells):
        if cell.cell_type != "code" or {"colab", "demo", "solution-only"} & set(build.tags(cell)):
            continue
        if is_check(cell):
            found[called(cell)] = dict(namespace), cell.source
        elif "raises-exception" not in build.tags(cell):
            run(cell.source, namespace, f"<{page.stem} cell {number}>")
    return found


@pytest.mark.parametrize("page, check, words, code", WRONG)
def test_a_wrong_answer_is_rejected_in_the_learners_terms(page, check, words, code):
    before, cell = stages(page)[check]
    namespace = dict(before)
    with pytest.raises(Wrong) as verdict:
        run(code, namespace, f"<wrong answer to {check}>")
        run(cell, namespace, f"<check {check}>")
    assert words, "say in the header which words the message must hold: `# %% e01 | words`"
    assert words.lower() in str(verdict.value).lower(), str(verdict.value)


@pytest.mark.parametrize("page", EXERCISES, ids=lambda page: page.stem)
def test_every_task_has_wrong_answers(page):
    path = pages.ROOT / "tests/wrong_answers" / f"{page.stem}.py"
    assert path.exists(), f"{pages.shown(path)} is missing"
    tried = [check for check, _, _ in wrong_answers(path)]
    there = {called(cell) for cell in build.load(page.notebook).cells if is_check(cell)}
    few = {check: tried.count(check) for check in there if tried.count(check) < AT_LEAST}
    assert not few, f"fewer than {AT_LEAST} wrong answers: {few}"
    assert set(tried) <= there, f"wrong answers for checks that do not exist: {set(tried) - there}"
