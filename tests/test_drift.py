"""Nothing is written twice and nothing drifts: notebooks, solutions, exercises, exported modules, README's table."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.tools import build, pages

PAGES = build.all_pages()
LECTURES = [page for page in PAGES if page.kind == "lectures"]
EXERCISES = [page for page in PAGES if page.kind == "exercises"]
MODULES = build.exported_modules({page: build.read(page) for page in LECTURES})
REMEDY = "run `course build` and commit what it writes"


def name(page) -> str:
    return f"{page.kind}-{page.stem}" if hasattr(page, "stem") else page


def said(notebook) -> list:
    return [(cell.id, cell.cell_type, cell.source, build.tags(cell)) for cell in notebook.cells]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_notebook_says_what_its_source_says(page):
    built = build.load(page.notebook)
    assert built is not None, f"{pages.shown(page.notebook)} is missing: {REMEDY}"
    text = page.source.read_text(encoding="utf-8")
    facts = built.metadata.get("course", {})
    assert build.stamp(page, text, facts) == text, f"the stamped lines of {pages.shown(page.source)} are old: {REMEDY}"
    assert said(built) == said(build.read(page)), f"{pages.shown(page.notebook)} differs from its source: {REMEDY}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_notebook_is_executed_and_its_outputs_belong_to_its_code(page):
    built = build.load(page.notebook)
    code = [cell for cell in built.cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), REMEDY
    for cell in code:
        failed = [o.ename for o in cell.outputs if o.output_type == "error"]
        assert not failed or "raises-exception" in build.tags(cell), f"{cell.id} holds {failed}"
    assert built.metadata["course"]["cells"] == build.cells_hash(built), REMEDY


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_notebook_holds_no_path_of_the_machine_that_built_it(page):
    outputs = [cell.get("outputs", []) for cell in build.load(page.notebook).cells]
    assert not re.search(r"(?<![\w.])/(root|home|Users|tmp|work)/", json.dumps(outputs))


@pytest.mark.parametrize("page", EXERCISES, ids=name)
def test_an_exercise_is_its_source_with_stubs(page):
    built = build.load(page.exercise)
    assert built is not None, f"{pages.shown(page.exercise)} is missing: {REMEDY}"
    assert said(built) == said(build.make_exercise(page, build.read(page))), REMEDY
    assert all(not cell.outputs for cell in built.cells if cell.cell_type == "code")


def test_every_lecture_has_its_exercises():
    assert [page.stem for page in EXERCISES] == [page.stem for page in LECTURES]


@pytest.mark.parametrize("folder", ["notebooks", "solutions", "exercises"])
def test_no_notebook_without_a_source(folder):
    sources = {page.stem for page in (LECTURES if folder == "notebooks" else EXERCISES)}
    assert {path.stem for path in (pages.ROOT / folder).glob("*.ipynb")} == sources


def test_the_modules_are_the_exported_cells():
    folder = pages.ROOT / "course_utils/lectures"
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(MODULES), REMEDY
    for module, text in MODULES.items():
        assert (folder / f"{module}.py").read_text(encoding="utf-8") == text, f"{module}: {REMEDY}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_alone_and_documents_what_is_public(module, tmp_path):
    """In an empty folder, without plots; every public function and class has a docstring."""
    code = (
        f"import sys, course_utils.lectures.{module} as m\n"
        "assert 'matplotlib' not in sys.modules and 'course_utils.plot' not in sys.modules\n"
        "named = [o for o in vars(m).values() if hasattr(o, '__name__')]\n"
        "own = [o for o in named if getattr(o, '__module__', '') == m.__name__]\n"
        "print(*(o.__name__ for o in own if o.__name__[0] != '_' and not o.__doc__))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip(), f"no docstring: {done.stdout}"


def test_the_readme_table_is_the_build():
    text = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- lectures -->" in text and build.readme_with_table(text) == text, REMEDY


def test_the_address_stands_in_pyproject_alone():
    """The sources hold it too, stamped; anything else that names it would be forgotten when it changes."""
    stamped = {"sources", "notebooks", "solutions", "exercises"}
    tracked = subprocess.run(["git", "ls-files"], cwd=pages.ROOT, capture_output=True, text=True).stdout.split()
    holders = []
    for path in map(Path, tracked):
        if path.parts[0] in stamped or path.suffix == ".txt" or not (pages.ROOT / path).is_file():
            continue
        if build.address() in (pages.ROOT / path).read_text(encoding="utf-8"):
            holders.append(path.as_posix())
    assert set(holders) <= {"pyproject.toml", "README.md"}
