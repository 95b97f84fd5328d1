"""`course build`: from sources/ to notebooks/, solutions/, exercises/ and course_utils/lectures/.

A page is executed again only when its code, or a module of the package that it imports, has changed since its outputs
were made; otherwise its outputs are kept. Nothing is written for a page that fails.
"""

import ast
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from . import pages
from .pages import CourseError, shown

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
BADGE = "[![Open in Colab]"
KEPT = ("tags", "lines_to_next_cell")
CELL_SECONDS = 600  # a cell that takes longer is stuck
QUIET = ["--IPKernelApp.log_level=40"]  # errors only: not a word on how the kernel talks to us
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}

COLAB_CELL = """\
# Installs the course where it is missing, as on Colab. Elsewhere this cell does nothing.
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    import subprocess
    import sys
    from importlib.metadata import version

    if sys.version_info < (3, 11):
        sys.exit("The course needs Python 3.11 or newer: choose a newer runtime, then run this cell again.")
    keep = [f"{{name}}=={{version(name)}}" for name in ("torch", "numpy") if importlib.util.find_spec(name)]
    course = "{address}/archive/refs/heads/main.zip"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", course, *keep], capture_output=True)
    if done.returncode:
        sys.exit("The course could not be installed: check the network connection, then run this cell again.")
    importlib.invalidate_caches()"""


# --- reading a source -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """One file of sources/, and the notebook with outputs that it becomes."""

    stem: str
    kind: str  # "lectures" or "exercises"

    @property
    def source(self) -> Path:
        return pages.ROOT / "sources" / self.kind / f"{self.stem}.py"

    @property
    def notebook(self) -> Path:
        folder = "notebooks" if self.kind == "lectures" else "solutions"
        return pages.ROOT / folder / f"{self.stem}.ipynb"

    @property
    def exercise(self) -> Path:
        return pages.ROOT / "exercises" / f"{self.stem}.ipynb"

    @property
    def opened(self) -> Path:
        """The notebook that a reader on Colab opens."""
        return self.notebook if self.kind == "lectures" else self.exercise


def all_pages() -> list[Page]:
    """Every source, lectures before exercises, in the order of the course."""
    pages.need_checkout()
    return [
        Page(path.stem, kind)
        for kind in ("lectures", "exercises")
        for path in sorted((pages.ROOT / "sources" / kind).glob("[0-9]*.py"))
    ]


def address() -> str:
    """The repository's address, which stands in pyproject.toml alone."""
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def read(page: Page, text: str | None = None) -> nbformat.NotebookNode:
    """The source as a notebook without outputs, its badge and installation cell written, ids given by place."""
    text = page.source.read_text(encoding="utf-8") if text is None else text
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    section, place = 0, 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search(r"^#{1,3} ", cell.source, re.M):
            section, place = section + 1, 0
        cell.id = f"s{section:02}-{place:02}"
        place += 1
        # lines_to_next_cell lets jupytext write the source back byte for byte when somebody saves the notebook.
        cell.metadata = nbformat.from_dict({k: cell.metadata[k] for k in KEPT if k in cell.metadata})
        if "colab" in tags(cell):
            cell.source = COLAB_CELL.format(address=address())
    return notebook


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def title(notebook: nbformat.NotebookNode) -> str:
    """The page's title, without its number: "micrograd: backpropagation from one number up"."""
    first = next((c.source for c in notebook.cells if c.cell_type == "markdown"), "")
    heading = re.search(r"^# (.+)$", first, re.M)
    return re.sub(r"^\d+\s*[·.:]\s*", "", heading[1]) if heading else "?"


def facts_in_words(facts: dict) -> str:
    """ "about 20 s and 0.4 GB on a laptop's CPU": coarse, so that it does not change from run to run."""
    seconds, memory = facts.get("seconds"), facts.get("memory_mb")
    if seconds is None:
        return ""
    for step in (5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300):
        if seconds <= step * 1.15:
            break
    spoken = f"{step} s" if step < 90 else f"{step / 60:g} minutes"
    gigabytes = max(0.1, round(memory / 1000, 1)) if memory else None
    return f" · a run takes about {spoken}" + (f" and {gigabytes:g} GB" if gigabytes else "") + " on a laptop's CPU"


def stamp(page: Page, text: str, facts: dict) -> str:
    """The source's text with the address and the measured facts written into its badge line and installation cell."""
    here = f"{address().replace('https://github.com/', '')}/blob/main/{shown(page.opened)}"
    badge = f"{BADGE}(https://colab.research.google.com/assets/colab-badge.svg)]"
    line = f"# {badge}(https://colab.research.google.com/github/{here}){facts_in_words(facts)}"
    text = re.sub(rf"^# {re.escape(BADGE)}.*$", lambda _: line, text, count=1, flags=re.M)
    cell = '# %% tags=["colab"]\n' + COLAB_CELL.format(address=address()) + "\n\n"
    return re.sub(r'^# %% tags=\["colab"\]\n.*?(?=^# %%)', lambda _: cell, text, count=1, flags=re.M | re.S)


# --- the exercise -----------------------------------------------------------------------------------------------------


def has_solution(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and (BEGIN in cell.source or END in cell.source)


def stub(cell_source: str, task: str, where: str) -> str:
    """The cell with what stands between the markers replaced by a `NotImplementedError` that says what to do."""
    lines, inside = [], None
    for number, line in enumerate(cell_source.splitlines(), 1):
        if line.strip() == BEGIN:
            if inside:
                raise CourseError(f"{where}, line {number}: a second `{BEGIN}` before `{END}`: close the first one.")
            inside = number
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}raise NotImplementedError({json.dumps(_todo(task), ensure_ascii=False)})")
        elif line.strip() == END:
            if not inside:
                raise CourseError(f"{where}, line {number}: `{END}` without `{BEGIN}`: add the missing marker.")
            inside = None
        elif not inside:
            lines.append(line)
    if inside:
        raise CourseError(f"{where}, line {inside}: `{BEGIN}` is never closed: add `{END}` below the answer.")
    return "\n".join(lines)


def _todo(task: str) -> str:
    return f"{task}: write your answer here, run this cell, then the check below it"


def make_exercise(page: Page, solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The learner's notebook: stubs for answers, without the cells tagged solution-only, without outputs."""
    exercise = nbformat.from_dict(dict(solution, cells=[]))
    exercise.metadata = nbformat.from_dict(METADATA)
    task = "This task"
    for number, cell in enumerate(solution.cells):
        heading = re.search(r"^#{2,4} (\w+)[.:]? ", cell.source, re.M) if cell.cell_type == "markdown" else None
        if heading:
            task = heading[1]
        if "solution-only" in tags(cell):
            continue
        copy = nbformat.from_dict(dict(cell))
        if copy.cell_type == "code":
            copy.outputs, copy.execution_count = [], None
            if has_solution(cell):
                copy.source = stub(cell.source, task, f"{shown(page.source)}, cell {number} ({task})")
        exercise.cells.append(copy)
    return exercise


# --- the exported modules ---------------------------------------------------------------------------------------------


def exported_modules(sources: dict[Page, nbformat.NotebookNode]) -> dict[str, str]:
    """{module: its text}, from every cell that begins with `#| export module`, in the order of the lectures."""
    cells: dict[str, list[tuple[Page, str, int, str]]] = {}
    for page, notebook in sources.items():
        section = title(notebook)
        for number, cell in enumerate(notebook.cells):
            heading = re.search(r"^#{1,3} (.+)$", cell.source, re.M) if cell.cell_type == "markdown" else None
            section = heading[1] if heading else section
            first = cell.source.partition("\n")[0]
            if cell.cell_type == "code" and re.match(r"#\|\s*export\b", first):
                name = re.fullmatch(r"#\|\s*export\s+([a-z]\w*)\s*", first)
                if not name:
                    raise CourseError(
                        f"{shown(page.source)}, cell {number}: write `#| export module`, with the module's name in it."
                    )
                cells.setdefault(name[1], []).append((page, section, number, cell.source.partition("\n")[2]))
    return {name: _module(name, parts) for name, parts in cells.items()}


def _module(name: str, parts: list[tuple[Page, str, int, str]]) -> str:
    imports, bodies = [], []
    for page, section, number, source in parts:
        where = f"{shown(page.source)}, cell {number} ({section})"
        try:
            tree = ast.parse(source)
        except SyntaxError as problem:
            raise CourseError(f"{where}: the exported cell does not parse: {problem.msg}.") from None
        lines = source.splitlines()
        for node in reversed([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]):
            base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for brought in (base + alias.name for alias in node.names):
                if brought.startswith("course_utils") and not re.match(r"course_utils\.(lectures|data)\b", brought):
                    raise CourseError(f"{where}: an exported cell may not import {brought}, a helper for notebooks.")
            imports.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
            del lines[node.lineno - 1 : node.end_lineno]
        bodies.append("\n".join(lines).strip())
    homes = {}
    for page, section, _, _ in parts:
        homes.setdefault(page, [])
        if section not in homes[page]:
            homes[page].append(section)
    told = "; also from ".join(f"{shown(page.notebook)}, {'; '.join(sections)}" for page, sections in homes.items())
    edit = " and ".join(shown(page.source) for page in homes)
    made = f"Made by `course build` from the cells marked `#| export {name}`: edit {edit}."
    header = '"""' + "\n\n".join(textwrap.fill(line, 116) for line in (f"From {told}.", made)) + '\n"""'
    text = "\n\n".join([header, "\n".join(dict.fromkeys(imports)), *bodies]) + "\n"
    undefined = ruff(["check", "--select", "F821", "--output-format", "concise"], text, ok=(0, 1))
    missing = re.search(r"F821 Undefined name `(\w+)`", undefined)
    if missing:
        guilty = next((p for p in parts if re.search(rf"\b{missing[1]}\b", p[3])), parts[0])
        raise CourseError(
            f"{shown(guilty[0].source)}, cell {guilty[2]} ({guilty[1]}): the exported cell uses `{missing[1]}` but "
            "neither imports nor defines it: add the import to the cell itself, so that the module stands alone."
        )
    text = ruff(["check", "--select", "I,F401", "--fix-only", "--quiet"], text)
    return ruff(["format"], text)


def ruff(arguments: list[str], text: str, ok: tuple[int, ...] = (0,)) -> str:
    """Pass a module's text through ruff and return what it prints."""
    command = [sys.executable, "-m", "ruff", *arguments]
    command += ["--stdin-filename", str(pages.ROOT / "course_utils/lectures/module.py"), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in ok:
        raise CourseError(f"ruff cannot read an exported module: {(done.stdout + done.stderr).strip()[:300]}")
    return done.stdout


# --- executing --------------------------------------------------------------------------------------------------------


def digest(notebook: nbformat.NotebookNode) -> str:
    """What a page's outputs depend on: its code, and every module of the package that it imports, directly or not."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "colab" not in tags(cell)]
    parts = [*code, *(path.read_text(encoding="utf-8") for path in _imports("\n".join(code)))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _imports(code: str, seen: dict[Path, None] | None = None) -> list[Path]:
    seen = {} if seen is None else seen
    code = re.sub(r"^\s*[%!].*$", "pass", code, flags=re.M)
    for node in ast.walk(ast.parse(code)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            base = pages.ROOT / Path(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if name.startswith("course_utils") and path.is_file() and path not in seen:
                    seen[path] = None
                    _imports(path.read_text(encoding="utf-8"), seen)
    return sorted(seen)


def cells_hash(notebook: nbformat.NotebookNode) -> str:
    """What the notebook says, outputs aside."""
    said = [[cell.cell_type, cell.source, tags(cell)] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def execute(page: Page, notebook: nbformat.NotebookNode) -> dict:
    """Run the notebook in a fresh kernel, in place; returns {"seconds", "memory_mb"} as measured."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    environment.pop("MPLBACKEND", None)
    page.notebook.parent.mkdir(exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(page.notebook.parent)}},
        record_timing=False,
        extra_arguments=QUIET,
    )
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            try:
                peak[0] = max(peak[0], psutil.Process(client.km.provisioner.pid).memory_info().rss)
            except (AttributeError, TypeError, psutil.Error):
                continue  # not started yet, or gone already

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        # A kernel that is shut down may log a traceback of its own; what the cells write comes by another way.
        client.execute(env=environment, stderr=subprocess.DEVNULL)
    except CellExecutionError:
        number, cell = next((n, c) for n, c in enumerate(notebook.cells) if _error(c))
        output = _error(cell)
        lines = "\n".join(f"    {line}" for line in cell.source.splitlines()[:6])
        raise CourseError(
            f"{shown(page.source)}, cell {number}, failed with {output.ename}: {output.evalue}\n{lines}"
        ) from None
    except CellTimeoutError:
        raise CourseError(f"{shown(page.source)}: a cell took longer than {CELL_SECONDS} s and was stopped.") from None
    except DeadKernelError:
        raise CourseError(f"{shown(page.source)}: the kernel died; most often there was not enough memory.") from None
    finally:
        done.set()
        watcher.join()
    tidy(notebook)
    return {"seconds": round(time.perf_counter() - start, 1), "memory_mb": peak[0] // 1_000_000}


def _error(cell: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    if "raises-exception" in tags(cell):
        return None
    return next((o for o in cell.get("outputs", []) if o.output_type == "error"), None)


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leave only what a reader needs in the outputs: finished progress bars, no widgets without a kernel, no paths."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                continue
            if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
            kept.append(nbformat.from_dict(json.loads(_without_paths(json.dumps(output)))))
        for stream in kept:
            if stream.output_type == "stream":
                lines = stream.text.replace("\r\n", "\n").split("\n")
                stream.text = "\n".join(line.rpartition("\r")[2] for line in lines)
        cell.outputs = kept


def _without_paths(text: str) -> str:
    for path, name in (
        (pages.ROOT, "zero-to-nn"),
        (Path(sys.prefix), "python"),
        (Path(sys.base_prefix), "python"),
    ):
        text = text.replace(json.dumps(str(path))[1:-1], name)
    return text


# --- building ---------------------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """What a build would do to one page."""

    page: Page
    notebook: nbformat.NotebookNode
    digest: str
    old: nbformat.NotebookNode | None
    stale: bool  # must be executed
    facts: dict = field(default_factory=dict)


def load(path: Path) -> nbformat.NotebookNode | None:
    """The notebook as it stands on disk, if it does."""
    if not path.exists():
        return None
    try:
        return nbformat.read(path, as_version=4)
    except Exception:
        raise CourseError(f"{shown(path)} is not a readable notebook: delete it and build again.") from None


def plan(page: Page, everything: bool = False) -> Plan:
    """Compare a source with its notebook."""
    old = load(page.notebook)
    facts = dict(old.metadata.get("course", {})) if old else {}
    text = page.source.read_text(encoding="utf-8")
    notebook = read(page, stamp(page, text, facts))
    refuse_hand_edits(page.notebook, page.source, old, notebook)
    fingerprint = digest(notebook)
    return Plan(page, notebook, fingerprint, old, everything or facts.get("digest") != fingerprint, facts)


def refuse_hand_edits(path: Path, source: Path, old: nbformat.NotebookNode | None, new: nbformat.NotebookNode) -> None:
    """A built notebook that says something which neither its source nor its last build says was edited by hand."""
    built = old.metadata.get("course", {}).get("cells") if old else None
    if built and cells_hash(old) not in (built, cells_hash(new)):
        raise CourseError(
            f"{shown(path)} was edited by hand since it was built: carry the change over to {shown(source)}, "
            "delete the notebook, and build again."
        )


def write(path: Path, notebook: nbformat.NotebookNode) -> bool:
    """Write a notebook whole or not at all, and only when it differs; returns whether it did."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return write_text(path, nbformat.writes(notebook) + "\n")


def write_text(path: Path, text: str) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8", newline="\n")
    half.replace(path)
    return True


def build(wanted: list[str], everything: bool = False) -> int:
    """Build the pages named (all when none is); returns the number of pages that failed."""
    chosen = [page for page in all_pages() if not wanted or page.stem in wanted]
    modules = build_modules()
    plans, failed = [], []
    for page in chosen:
        try:
            todo = plan(page, everything)
            if page.kind == "exercises":
                exercise = make_exercise(page, todo.notebook)
                refuse_hand_edits(page.exercise, page.source, load(page.exercise), exercise)
            plans.append(todo)
        except CourseError as problem:
            failed.append(problem)
    stale = [todo for todo in plans if todo.stale]
    for todo in plans:
        if not todo.stale:
            finish(todo)
    if stale:
        failed += _execute_all(stale)
    write_readme()
    for problem in failed:
        print(f"✗ {problem}", file=sys.stderr)
    print(
        f"{len(plans)} pages: {len(stale)} executed, {len(plans) - len(stale)} unchanged, {len(failed)} failed"
        + (f"; modules written: {', '.join(modules)}" if modules else "")
    )
    return len(failed)


def build_modules() -> list[str]:
    """Write course_utils/lectures/ from the lectures' exported cells; returns the names of those that changed."""
    texts = exported_modules({page: read(page) for page in all_pages() if page.kind == "lectures"})
    folder = pages.ROOT / "course_utils/lectures"
    for path in folder.glob("[a-z]*.py"):
        if path.stem not in texts:
            path.unlink()
    return [name for name, text in texts.items() if write_text(folder / f"{name}.py", text)]


def _execute_all(stale: list[Plan]) -> list[CourseError]:
    # A kernel that is shut down may drop a message; pyzmq then logs a traceback about a page that is already done.
    logging.getLogger("tornado.general").setLevel(logging.CRITICAL)
    if "python3" not in KernelSpecManager().find_kernel_specs():
        raise CourseError("This environment has no Jupyter kernel: run the README's first command again.")
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool, tqdm(total=len(stale), unit="page", ncols=100) as bar:
        running = {pool.submit(execute, todo.page, todo.notebook): todo for todo in stale}
        for task in as_completed(running):
            todo = running[task]
            try:
                todo.facts = {**task.result(), "threads": 1}
                finish(todo)
            except CourseError as problem:
                failed.append(problem)
            bar.set_postfix_str(shown(todo.page.notebook))
            bar.update()
    return failed


def finish(todo: Plan) -> None:
    """Give the page its outputs, stamp what was measured, and write source, notebook and exercise."""
    page, notebook = todo.page, todo.notebook
    if not todo.stale:
        old = [cell for cell in todo.old.cells if cell.cell_type == "code"]
        for cell, before in zip([c for c in notebook.cells if c.cell_type == "code"], old, strict=True):
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
    facts = {key: todo.facts[key] for key in ("seconds", "memory_mb", "threads") if key in todo.facts}
    text = stamp(page, page.source.read_text(encoding="utf-8"), facts)
    write_text(page.source, text)
    for cell, stamped in zip(notebook.cells, read(page, text).cells, strict=True):
        cell.source = stamped.source
    course = facts | {"digest": todo.digest, "cells": cells_hash(notebook)}
    notebook.metadata = nbformat.from_dict(METADATA | {"course": course})
    write(page.notebook, notebook)
    if page.kind == "exercises":
        exercise = make_exercise(page, notebook)
        exercise.metadata["course"] = {"cells": cells_hash(exercise)}
        write(page.exercise, exercise)


# --- README's table ---------------------------------------------------------------------------------------------------


def printed(notebook: nbformat.NotebookNode) -> str:
    """All that an executed page's cells printed, tables included."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = [
        o.get("text") or o.get("data", {}).get("text/markdown") or o.get("data", {}).get("text/plain") for o in outputs
    ]
    return "\n".join("".join(part) for part in said if part)


def reached(stem: str, notebook: nbformat.NotebookNode, rows: dict) -> tuple[str, str]:
    """The number that a page printed, and what to compare it with, as sources/reached.toml words them."""
    row = rows.get(stem)
    if row is None:
        raise CourseError(f"sources/reached.toml has no [{stem}]: say there which number of the page README shows.")
    found = list(re.finditer(row["found"], printed(notebook)))
    if not found:
        raise CourseError(f"{stem} no longer prints what sources/reached.toml looks for: {row['found']}")
    return tuple(row[key].format(*found[-1].groups()) for key in ("reached", "reference"))


def table() -> str:
    """The lectures as a markdown table: what is built, measured time, memory, number, comparison, links."""
    rows = ["| | you build | a run takes | you reach | for comparison | open |", "|---|---|---|---|---|---|"]
    colab = f"https://colab.research.google.com/github/{address().replace('https://github.com/', '')}/blob/main"
    numbers = tomllib.loads((pages.ROOT / "sources/reached.toml").read_text(encoding="utf-8"))
    for stem in pages.stems():
        lecture, solution = load(Page(stem, "lectures").notebook), load(Page(stem, "exercises").notebook)
        if lecture is None:
            continue
        facts = re.search(r"about (.+?)(?: and ([\d.]+ GB))? on", facts_in_words(lecture.metadata.get("course", {})))
        links = [f"[lecture](notebooks/{stem}.ipynb)"]
        if solution is not None:
            links += [f"[exercise](exercises/{stem}.ipynb)", f"[solution](solutions/{stem}.ipynb)"]
        links.append(f"[Colab]({colab}/notebooks/{stem}.ipynb)")
        cells = stem[:2], title(lecture), ", ".join(filter(None, facts.groups())) if facts else ""
        rows.append(f"| {' | '.join((*cells, *reached(stem, lecture, numbers)))} | {' · '.join(links)} |")
    return "\n".join(rows)


def readme_with_table(text: str) -> str:
    return re.sub(
        r"(<!-- lectures -->\n).*?(<!-- /lectures -->)",
        lambda m: f"{m[1]}\n{table()}\n\n{m[2]}",
        text,
        flags=re.S,
    )


def write_readme() -> None:
    path = pages.ROOT / "README.md"
    write_text(path, readme_with_table(path.read_text(encoding="utf-8")))
