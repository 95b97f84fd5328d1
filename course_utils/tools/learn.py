"""What a learner types: list, run, work, progress, data."""

import re
import subprocess
import sys
import tomllib

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from tqdm import tqdm

from . import build, pages
from .build import Page
from .pages import CourseError, shown


def print_list() -> None:
    """One line a lecture: number, title, time and memory of a run, and how far the learner's own copy is."""
    for stem in pages.stems():
        lecture = build.load(Page(stem, "lectures").notebook)
        if lecture is None:
            print(f"{stem[:2]}  {stem[3:]}: not built yet; `course build {stem[:2]}` makes it")
            continue
        facts = build.facts_in_words(lecture.metadata.get("course", {})).removeprefix(" · a run takes ")
        yours = "   work/ holds your copy" if (pages.ROOT / "work" / f"{stem}.ipynb").exists() else ""
        print(f"{stem[:2]}  {build.title(lecture)}\n    notebooks/{stem}.ipynb   {facts}{yours}")


def run(stem: str, profile: str | None) -> int:
    """Run a lecture with papermill, into runs/; `profile` names a table of values in notebooks/full.toml."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = Page(stem, "lectures").notebook
    values = {}
    if profile:
        if profile != "full":
            raise CourseError(f"There is no profile {profile!r}: `--profile full` is the one there is.")
        table = tomllib.loads((pages.ROOT / "notebooks/full.toml").read_text(encoding="utf-8"))
        if stem not in table:
            others = ", ".join(name for name in table) or "none so far"
            raise CourseError(
                f"{stem} has no full profile: its default run is its full run. Lectures that have one: {others}."
            )
        values = table[stem]
    target = pages.ROOT / "runs" / (f"{stem}-{profile}.ipynb" if profile else f"{stem}.ipynb")
    target.parent.mkdir(exist_ok=True)
    try:
        papermill.execute_notebook(source, target, parameters=values, cwd=source.parent, kernel_name="python3")
    except PapermillExecutionError as problem:
        raise CourseError(
            f"{shown(target)} stopped at cell {problem.cell_index} with {problem.ename}: {problem.evalue}"
        ) from None
    print(f"{shown(target)} holds the run.")
    return 0


def work(stem: str) -> None:
    """Copy an exercise to work/, where it belongs to the learner."""
    source, target = Page(stem, "exercises").exercise, pages.ROOT / "work" / f"{stem}.ipynb"
    if not source.exists():
        raise CourseError(f"{stem} has no exercises yet.")
    if target.exists():
        print(f"{shown(target)} is there already and stays as it is. For a fresh copy, rename yours first.")
        return
    target.parent.mkdir(exist_ok=True)
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("course", None)
    build.write(target, notebook)
    print(f"{shown(target)} is yours: open it in JupyterLab (`make lab`). `course progress {stem[:2]}` checks it.")


def progress(stem: str | None) -> int:
    """Run the checks of the exercises in work/ in fresh kernels and tell which tasks pass.

    Returns 0 when every task of every copy passes, else 1.
    """
    mine = [pages.ROOT / "work" / f"{name}.ipynb" for name in ([stem] if stem else pages.stems())]
    mine = [path for path in mine if path.exists()]
    if not mine:
        number = stem[:2] if stem else "02"
        raise CourseError(f"There is nothing of yours in work/ yet: `course work {number}` copies an exercise there.")
    unfinished = 0
    for path in mine:
        notebook = build.load(path)
        verdicts = _verdicts(notebook, path)
        passed = sum(verdict.startswith("✓") for verdict in verdicts)
        unfinished += passed < len(verdicts)
        print(f"{shown(path)}: {passed} of {len(verdicts)} tasks pass")
        for verdict in verdicts:
            print(f"  {verdict}")
    return min(1, unfinished)


def is_check(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell is a check cell: code that calls `check.<task>(...)`."""
    return cell.cell_type == "code" and re.search(r"^check\.\w+\(", cell.source, re.M) is not None


def _verdicts(notebook: nbformat.NotebookNode, path) -> list[str]:
    """One line a check, from a run in a fresh kernel that goes on after errors and leaves the demonstrations out."""
    notebook.cells = [c for c in notebook.cells if c.cell_type == "code" and "demo" not in build.tags(c)]
    client = NotebookClient(
        notebook,
        timeout=build.CELL_SECONDS,
        kernel_name="python3",
        allow_errors=True,
        extra_arguments=build.QUIET,
        resources={"metadata": {"path": str(pages.ROOT / "exercises")}},
    )
    try:
        with (
            client.setup_kernel(stderr=subprocess.DEVNULL),
            tqdm(notebook.cells, desc=path.stem, unit="cell", ncols=100, leave=False) as bar,
        ):
            for number, cell in enumerate(bar):
                client.execute_cell(cell, number)
    except (CellTimeoutError, DeadKernelError) as problem:
        raise CourseError(f"{shown(path)} could not be run to its end: {type(problem).__name__}.") from None
    return [_verdict(cell) for cell in notebook.cells if is_check(cell)]


def _verdict(cell: nbformat.NotebookNode) -> str:
    name = re.search(r"check\.(\w+)\(", cell.source)[1]
    for output in cell.outputs:
        if output.output_type == "error":
            sentence = output.evalue if output.ename == "Wrong" else f"{name}: {output.ename}: {output.evalue}"
            return f"✗ {sentence.splitlines()[0]}"
    said = "".join(output.get("text", "") for output in cell.outputs)
    return next((line for line in said.splitlines() if line.startswith("✓")), f"✗ {name}: the check did not run")


def data(name: str | None) -> int:
    """List the data sets, or fetch one."""
    from course_utils import data as sets

    if name is None:
        sets.print_catalogue()
        return 0
    try:
        print(sets.fetch(name))
    except sets.DataError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0
