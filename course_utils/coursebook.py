"""The course as a text to search: its lectures, questions on it, and a place for the index. For lecture 26."""

import json
from pathlib import Path

from course_utils import data


def lectures() -> dict[str, str]:
    """The course's own lectures, {"01_micrograd": its text, ...}: cells as jupytext writes them, a `# %%` line each.

    What lecture 26 and `course ask` search.  Raises DataError.
    """
    folder = data.REPOSITORY / "sources/lectures" if data.REPOSITORY else data.SHIPPED / "lectures"
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[0-9]*.py"))}
    if not found:
        raise data.DataError(f"There are no lectures in {folder}: install the course (or clone it) again.")
    return found


def asked(file: str | Path | None = None) -> dict[str, list[str]]:
    """{section: the questions that it answers}, which lecture 26's search indexes beside the text.

    A section that is new may have none yet.

    file: a JSON file of such questions, to use instead.  Raises DataError.
    """
    return _json("asked", file)


def beyond(file: str | Path | None = None) -> dict[str, list[str]]:
    """{section: questions that a reader may have there and no section answers}; "" for those with no place at all.

    file: a JSON file of such questions, to use instead.  Raises DataError.
    """
    return _json("beyond", file)


def told() -> list[tuple[str, bool]]:
    """(question, whether the course answers it): those of `beyond` and the judged ones, which say when to say nothing.

    The fresh ones of `questions` are left out: they judge what is learned from these.  Raises DataError.
    """
    judged = [(q["question"], bool(q["needs"])) for q in questions() if q["split"] != "fresh"]
    return [(question, False) for some in beyond().values() for question in some] + judged


def questions(file: str | Path | None = None) -> list[dict]:
    """Questions on the course, each with the sections that answer it: what lecture 26 measures its search with.

    Keys: "question", "kind" ("single", "several": its needs lie in several lectures, "none": the course has no answer),
    "needs" (a list of needs, each a list of sections any of which meets it), "answer", "split" ("dev",
    "test" or "fresh").  file: a JSON file of such questions, to use instead.  Raises DataError.
    """
    return _json("questions", file)


def _json(name: str, file: str | Path | None):
    path = data.fetch(name, file)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise data.DataError(f"{path} does not hold questions in JSON: check which file you gave.") from None


def cache(name: str) -> Path:
    """A folder for what a page computes once and keeps, such as an index; made if missing.  Raises DataError."""
    problem = None
    for folder in data._caches():
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            return folder / name
        except OSError as at:
            problem = at
    raise data._disk_error(name, problem)
