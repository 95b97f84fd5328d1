"""Where the course's files are, and which lecture a word means."""

import difflib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CourseError(Exception):
    """Something that the person at the keyboard can mend: the message is one sentence with the remedy."""


def need_checkout() -> None:
    """Most verbs work on the repository; say so when only the package is installed."""
    if not (ROOT / "sources").is_dir():
        raise CourseError("This command works on a clone of the course's repository: clone it, then run it there.")


def stems() -> list[str]:
    """The lectures that there are, in order: ["01_micrograd", ...]."""
    need_checkout()
    return sorted(path.stem for path in (ROOT / "sources/lectures").glob("[0-9]*.py"))


def find(word: str) -> str:
    """The lecture that `2`, `02`, `02_makemore_bigrams` or a path to one of its files means."""
    known = stems()
    wanted = Path(word).stem if Path(word).suffix in {".ipynb", ".py"} else word
    if re.fullmatch(r"\d{1,2}", wanted):
        hits = [stem for stem in known if stem.startswith(f"{int(wanted):02}_")]
    else:
        hits = [stem for stem in known if wanted in (stem, stem.split("_", 1)[1])]
    if hits:
        return hits[0]
    if re.fullmatch(r"\d+", wanted):
        near = min(known, key=lambda stem: abs(int(stem[:2]) - int(wanted)), default=None)
    else:
        loose = {re.sub(r"^\d+_", "", stem): stem for stem in known} | {stem: stem for stem in known}
        close = difflib.get_close_matches(wanted, loose, n=1, cutoff=0)
        near = loose[close[0]] if close else None
    hint = f" Did you mean {near}?" if near else ""
    raise CourseError(f"There is no lecture {word!r}.{hint} `course list` shows all of them.")


def shown(path: Path) -> str:
    """A path as the reader types it: relative to the repository, with forward slashes."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
