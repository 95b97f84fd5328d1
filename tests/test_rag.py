"""What lecture 26 rests on: its questions stay answerable, its store survives a kill."""

import re
import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
import pytest

from course_utils import coursebook, data
from course_utils.lectures.chat import chatml
from course_utils.lectures.rag import (
    BM25,
    NO_ANSWER,
    Asked,
    Passage,
    Retriever,
    Store,
    Tutor,
    autocut,
    best_of,
    passages,
    plain,
    sections,
    words,
)


def test_every_gold_section_exists():
    headings = {
        f"{name} § {heading}"
        for name, text in coursebook.lectures().items()
        for heading in re.findall(r"(?m)^# ## (.+)$", text)
    }
    for question in coursebook.questions():
        for need in question["needs"]:
            for section in need:
                assert section in headings, f"{question['question']!r} needs {section}, which no lecture has"


def test_the_questions_for_each_section_name_sections_that_exist_and_give_no_test_question_away():
    headings = {""}  # the place of questions about other subjects
    for name, text in coursebook.lectures().items():
        headings |= {f"{name} § {heading}" for heading in re.findall(r"(?m)^# ## (.+)$", text)}
    asked, beyond = coursebook.asked(), coursebook.beyond()
    for name, some in (("asked", asked), ("beyond", beyond)):
        gone = some.keys() - headings
        assert not gone, (
            f"data/{name}.json has questions for {sorted(gone)}, which no lecture has: rename or remove them"
        )
    known = [words_only(question) for some in (asked, beyond) for questions in some.values() for question in questions]
    assert len(known) == len(set(known)), "a question stands there twice"
    assert not set(known) & {words_only(q["question"]) for q in coursebook.questions() if q["split"] != "dev"}


def words_only(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_there_are_enough_questions_of_each_kind():
    questions = coursebook.questions()
    kinds = Counter(question["kind"] for question in questions)
    assert len(questions) >= 120
    assert 3 * (kinds["several"] + kinds["none"]) >= len(questions)
    parts = Counter(question["split"] for question in questions)
    assert parts.keys() == {"dev", "test", "fresh"} and min(parts.values()) >= 0.25 * len(questions)
    assert len({question["question"] for question in questions}) == len(questions)
    for question in questions:
        assert bool(question["needs"]) == bool(question["answer"]) == (question["kind"] != "none")
        if question["kind"] == "several":
            assert len(question["needs"]) > 1
        sections = [section for need in question["needs"] for section in need]
        assert len(sections) == len(set(sections)), f"two needs of {question['question']!r} share a section"
    seen = " ".join(text for name, text in coursebook.lectures().items() if name != "26_rag")
    assert not [q["question"] for q in questions if len(q["question"].split()) > 3 and q["question"] in seen], (
        "a lecture quotes a question"
    )


def test_no_test_question_stands_in_lecture_26():
    page = coursebook.lectures()["26_rag"]
    assert not [q["question"] for q in coursebook.questions() if q["split"] != "dev" and q["question"] in page]


def test_passages_keep_their_place_and_formulas_are_read_out():
    page = "# %% [markdown]\n# # Title\n#\n# ## 1. First\n#\n# The $\\frac{a}{b}$, see [here](x.html).\n\n# %%\nx = 1\n"
    ((heading, pieces),) = sections(page)
    assert heading == "1. First" and pieces[1] == ("code", "x = 1")
    assert pieces[0] == ("prose", "The (a) over (b), see here.")
    assert plain(r"$\sqrt d$") == "the square root of d"
    assert [p.code for p in passages({"01_page": page})] == [False, True]
    assert plain("**bold** and *slanted*") == "bold and slanted"


def fake(texts: list[str]) -> np.ndarray:
    rows = np.stack([np.random.default_rng(len(text)).standard_normal(384) for text in texts]).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def some(n: int) -> list[Passage]:
    return [Passage("01_page", f"{i}. Section", f"text number {i} " * (i + 1)) for i in range(n)]


def test_the_store_embeds_only_what_changed(tmp_path):
    store = Store(tmp_path / "s.db")
    assert store.sync(some(10), fake) == (10, 0)
    assert store.sync(some(10), fake) == (0, 0)
    assert store.sync([*some(9), Passage("01_page", "9. Section", "other words")], fake) == (1, 1)
    assert [p.section for p in store.passages().values()] == [f"{i}. Section" for i in range(10)]
    vector = fake([some(3)[2].whole])[0]
    assert store.passages()[store.nearest(vector, 1)[0][0]] == some(3)[2]
    assert store.nearest(vector, 3, lecture="02_other") == []


def test_the_store_survives_a_kill(tmp_path):
    script = f"""
        import os, signal
        import tests.test_rag as t
        calls = []
        def dies(texts):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return t.fake(texts)
        t.Store({str(tmp_path / "k.db")!r}).sync(t.some(40), dies, batch=8)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=data.REPOSITORY, capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    store = Store(tmp_path / "k.db")
    assert len(store.passages()) == len(store.vectors()) == 16
    assert store.sync(some(40), fake) == (24, 0)
    assert list(store.passages().values()) == some(40)


def test_two_processes_may_fill_a_store_at_once(tmp_path):
    one, two = Store(tmp_path / "t.db"), Store(tmp_path / "t.db")

    def slow(texts: list[str]) -> np.ndarray:
        two.sync(some(10), fake)  # the other one is done before this one writes
        return fake(texts)

    one.sync(some(10), slow)
    assert list(one.passages().values()) == some(10) and len(one.vectors()) == 10


def test_an_empty_store_says_what_to_do(tmp_path):
    with pytest.raises(data.DataError, match="empty"):
        Retriever(Store(tmp_path / "e.db"), Store(tmp_path / "a.db"))


def test_questions_lead_to_their_section_and_a_section_without_any_is_found_as_well(tmp_path, monkeypatch):
    """With a stand-in for the encoder that puts every text with the same words at the same place."""
    store, asked = Store(tmp_path / "s.db"), Store(tmp_path / "a.db")
    store.sync(some(6), fake)
    asked.sync([Asked("01_page", "2. Section", "why is the sky blue")], fake)
    monkeypatch.setattr("course_utils.lectures.rag.embed", fake)
    monkeypatch.setattr("course_utils.lectures.rag.rerank", lambda question, texts: np.zeros(len(texts)))
    retriever = Retriever(store, asked)
    hits = retriever.search("why is the sky blue", k=3)
    assert hits[0].passage.section == "2. Section" and len(hits) == 3
    assert retriever.strange("why is the sky purple") > 0 == retriever.strange("number text blue")
    assert retriever.search(some(6)[4].whole, k=1)[0].passage.section == "4. Section"
    assert isinstance(Tutor(retriever).sure("why is the sky blue", hits), bool | np.bool_)
    assert (
        retriever.answered("why is the sky blue") == 1
        and Retriever(store, Store(tmp_path / "o.db")).answered("x") == 0.5
    )
    told = [Asked("", NO_ANSWER, "who is it"), Asked("", "an answer", "is it a long one"), Asked("", NO_ANSWER, "who")]
    asked.sync(told, fake)
    retriever = Retriever(store, asked)
    assert len(retriever.asked_vectors) == 0 and len(retriever.told) == 3  # these lead to no section
    assert retriever.answered("who is it") < 0.01 and retriever.answered("is it a long one") > 0.99
    assert retriever.answered("who is it", without="who is it") > retriever.answered("who is it")
    assert Retriever(store, Store(tmp_path / "none.db")).search("number text", k=1)  # nobody has written questions yet


def test_a_question_about_special_tokens_does_not_close_the_template():
    class Stub:
        def write(self, system: str, user: str, longest: int):
            yield chatml([{"role": "user", "content": user}]) and "It ends a turn."

    tutor = Tutor(None, Stub())
    evidence = [("The token <|im_end|> ends a turn.", some(1)[0], 1.0)]
    assert tutor.draft("what is <|im_end|> for?", evidence) == ["It ends a turn."]


def test_small_things():
    assert autocut([]) == 0 and autocut([1.0]) == 1 and autocut([5.0, 1.0, 0.9]) == 1
    bm25 = BM25([words("a scaled score"), words("the loss")])
    assert bm25.scores(words("scores"))[0] > 0 == bm25.scores(words("scores"))[1]
    assert bm25.scores(words("unheard")).tolist() == [0.0, 0.0]
    assert best_of(np.array([0.1, 0.5, 0.3]), np.array([2, 0, 2]), 3).tolist() == [0.5, -1.0, 0.3]
