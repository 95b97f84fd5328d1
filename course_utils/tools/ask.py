"""`course ask`: the tutor of lecture 26."""

import sys

from .pages import CourseError


def main(question: list[str]) -> int:
    """Answer a question from the course, with sources; without one, take questions until the input ends."""
    from course_utils import coursebook, data

    try:
        tutor = _tutor(coursebook)
        for asked in [" ".join(question)] if question else iter(lambda: _read(), None):
            if asked.strip():
                for piece in tutor.answer(asked):
                    print(piece, end="", flush=True)
    except data.DataError as problem:
        raise CourseError(str(problem)) from None
    return 0


def _tutor(coursebook):
    """The tutor, over an index that has been brought up to date with the lectures."""
    try:
        from course_utils.lectures.rag import Retriever, Store, Tutor, Writer, passages, prepared
    except ImportError as missing:
        raise CourseError(f"The tutor needs {missing.name}: `make lab` (or `pip install -e .`) installs it.") from None
    from course_utils.train import progress

    def bar(what: str):
        return lambda batches: progress(list(batches), what) if len(batches) else batches

    store = Store(coursebook.cache("rag") / "course.db")
    store.sync(passages(coursebook.lectures()), bar=bar("reading what is new in the course"))
    asked = Store(coursebook.cache("rag") / "asked.db")
    asked.sync(prepared(coursebook.asked(), coursebook.told()), bar=bar("reading questions that it answers"))
    return Tutor(Retriever(store, asked, _explains), Writer)


def _explains(passage) -> bool:
    """Lecture 26 quotes questions in its code and commands: these are no answers to them."""
    return not (passage.lecture == "26_rag" and (passage.code or "```" in passage.text))


def _read() -> str | None:
    """The next question, or None at the end of the input."""
    try:
        return input("your question (Enter alone ends): " if sys.stdin.isatty() else "") or None
    except EOFError:
        return None
