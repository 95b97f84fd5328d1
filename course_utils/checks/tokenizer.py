"""The checks of exercises/09_tokenizers.ipynb."""

import html
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import cache
from html.parser import HTMLParser
from unittest import mock

import regex
import tiktoken
import torch

from course_utils import data
from course_utils.lectures.tokenizer import GPT2_SPLIT, GPT4_SPLIT, BasicTokenizer

from . import same, task, wrong

SCRIPTS = [(97, 123)] * 5 + [(48, 58), (65, 91), (0xC0, 0x180), (0x3B1, 0x3CA), (0x4E00, 0x4F00), (0x1F600, 0x1F640)]
BETWEEN = ["", " ", " ", "  ", "\n", "\r\n", "\n\n", " \t", "'s ", ", ", "!?", "1234567"]
WORDS = "the then there she shells sells sea seashore sure a an and hand sand 12 1215 lord's don't naïve 你好"


# --- what several checks use ------------------------------------------------------------------------------------------


def _unicode(length: int) -> str:
    """Short runs out of several scripts with something between them."""
    parts = []
    while sum(map(len, parts)) < length:
        low, high = random.choice(SCRIPTS)
        parts.append("".join(chr(random.randrange(low, high)) for _ in range(random.randint(1, 5))))
        parts.append(random.choice(BETWEEN))
    return "".join(parts)


def _words(count: int) -> str:
    return "".join(random.choice(WORDS.split()) + random.choice([" ", " ", " ", ", ", ".\n"]) for _ in range(count))


@contextmanager
def _own_work():
    """While the learner's code runs, the ready-made tokenizers say no."""

    def refuse(*_, **__):
        wrong("a ready-made tokenizer did the work: write it yourself, the lecture's class and tiktoken may not help.")

    ready = [(BasicTokenizer, name) for name in ("__init__", "train", "encode", "_encode")]
    ready += [(tiktoken.Encoding, name) for name in ("__init__", "encode", "encode_ordinary")]
    with (
        mock.patch.multiple(BasicTokenizer, **{n: refuse for c, n in ready if c is BasicTokenizer}),
        mock.patch.multiple(tiktoken.Encoding, **{n: refuse for c, n in ready if c is tiktoken.Encoding}),
    ):
        yield


def _short(value, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[:most] + " ..."


def _ids(what: str, got, want: list[int], mistakes: dict[str, object] | None = None) -> None:
    """Compare two lists of ids, and name the mistake when it is a known one."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, torch.Tensor) or not isinstance(got, list | tuple):
        wrong(f"{what} should be a list of ints, but it is a {type(got).__name__}.")
    got = list(got)
    if any(isinstance(i, list | tuple) for i in got):
        wrong(f"{what} holds lists inside the list: put all ids into one flat list (`+=` instead of `append`).")
    if not all(isinstance(i, int) and not isinstance(i, bool) for i in got):
        odd = next(i for i in got if not isinstance(i, int) or isinstance(i, bool))
        wrong(f"{what} should hold ints alone, but it holds {odd!r}.")
    if got == want:
        return
    for sentence, value in (mistakes or {}).items():
        if got == value:
            wrong(sentence)
    n = next((n for n, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
    if n == len(got):
        wrong(f"{what} ends too early: it should go on with {want[n : n + 6]}, but it stops after {n} ids.")
    if n == len(want):
        wrong(f"{what} is too long: after {n} right ids it goes on with {got[n : n + 6]}.")
    wrong(f"{what}: at place {n} it should have {want[n : n + 6]}, but it has {got[n : n + 6]}.")


def _throughout(answers: list, cases: list[tuple], mistakes: dict[str, Callable]) -> None:
    """Name the mistake that explains every answer; one case alone may fit several."""
    for sentence, mistake in mistakes.items():
        if answers == [mistake(*case) for case in cases]:
            wrong(sentence)


def _as_merges(what: str, got) -> list[tuple[int, int]]:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, Mapping):
        wrong(f"{what} should be a list of pairs in the order of the merges, but it is a dictionary.")
    if not isinstance(got, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in got):
        wrong(f"{what} should be a list of pairs, but it is {_short(got)}.")
    if any(isinstance(i, bytes | str) for pair in got for i in pair):
        wrong(f"{what} should hold pairs of ids, but it holds {_short(got[0])}.")
    return [(int(a), int(b)) for a, b in got]


def _replaced(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """A merge as Python's own replacement in strings, which goes from the left too."""
    text = "".join(map(chr, ids)).replace(chr(pair[0]) + chr(pair[1]), chr(new))
    return list(map(ord, text))


SMALLEST = lambda counts: min(counts, key=lambda pair: (-counts[pair], pair))
RULES = {
    "of equally frequent pairs the smallest goes first; you take the one that you met first.": (
        lambda counts: max(counts, key=counts.get)
    ),
    "of equally frequent pairs the smallest goes first; you take the largest.": (
        lambda counts: max(counts, key=lambda pair: (counts[pair], pair))
    ),
    "of equally frequent pairs the smallest goes first; you take the one that you met last.": (
        lambda counts: max(reversed(counts), key=counts.get)
    ),
    "the most frequent pair goes first; you take the smallest, however rare.": min,
    "the most frequent pair goes first; you take the rarest.": (
        lambda counts: min(counts, key=lambda pair: (counts[pair], pair))
    ),
}


def _recount(
    pieces: Mapping, count: int, rule: Callable = SMALLEST, first: int = 256, least: int = 1
) -> list[tuple[int, int]]:
    """Merges of counted pieces, every pair counted again for each."""
    words, merges = [(list(piece), n) for piece, n in pieces.items()], []
    while len(merges) < count:
        counts: dict[tuple[int, int], int] = {}
        for ids, n in words:
            for pair in itertools.pairwise(ids):
                counts[pair] = counts.get(pair, 0) + n
        if not counts or max(counts.values()) < least:
            break
        best = rule(counts)
        words = [(_replaced(ids, best, first + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


def _wrong_merges(what: str, got: list, pieces: Mapping[bytes, int], count: int) -> None:
    """Say what is wrong with merges that were learned, if anything is."""
    want = _recount(pieces, count)
    if got == want:
        return
    for sentence, rule in RULES.items():
        if got == _recount(pieces, count, rule):
            wrong(sentence)
    if got == _recount(pieces, count, first=257):
        wrong("the first merge makes token 256: your new ids begin with 257.")
    counts = Counter()
    for piece, n in pieces.items():
        for pair in itertools.pairwise(piece):
            counts[pair] += n
    if got == _recount(pieces, count, least=2):
        wrong("you stop where no pair occurs twice: a pair that occurs once may be merged too, until none is left.")
    if got == sorted(counts, key=lambda pair: (-counts[pair], pair))[:count]:
        wrong("these are the most frequent pairs of the bytes: merge after each choice, then count again.")
    if len(got) > len(want) and got[: len(want)] == want:
        wrong(f"{what}: after {len(want)} merges no pair is left, but you return {len(got)}.")
    if got == want[: len(got)]:
        wrong(f"{what} should make {len(want)} merges, but it made {len(got)}.")
    n = next(n for n, (a, b) in enumerate(zip(got, want, strict=False)) if a != b)
    wrong(f"{what}: merge number {n} should be {want[n]}, but it is {got[n]}; the {n} before it are right.")


def _spell(merges: list[tuple[int, int]]) -> list[bytes]:
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return spelled


def _replay(
    text: str,
    merges: list[tuple[int, int]],
    ids: list[int] | None = None,
    turned_round: bool = False,
    only_one: bool = False,
) -> list[int]:
    """The merges in their order; what follows `merges` is for usual mistakes."""
    ids, steps = list(text.encode()) if ids is None else ids, list(enumerate(merges))
    for n, pair in steps[::-1] if turned_round else steps:
        before, ids = ids, _replaced(ids, pair, 256 + n)
        if only_one and ids != before:
            break
    return ids


def _library(merges: list[tuple[int, int]], pattern: str) -> tiktoken.Encoding:
    """OpenAI's own code with these merges."""
    ranks = {token: i for i, token in enumerate(_spell(merges))}
    return tiktoken.Encoding("check", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def _pieces(text: str, pattern: str) -> Counter:
    return Counter(piece.encode() for piece in regex.findall(pattern, text))


# --- E01: pairs of bytes ----------------------------------------------------------------------------------------------


@task("E01a", "write `pair_counts` and `merge`")
def e01a(pair_counts, merge):
    texts = [list(b"aaabdaaabac"), [1] * 6 + [2] * 6, [7] * 9, [5, 300, 5, 300], [1, 2], [4], []]
    texts += [[random.randrange(4) for _ in range(60)] for _ in range(20)]
    for ids in texts:
        kept = list(ids)
        got = pair_counts(ids)
        if ids != kept:
            wrong("pair_counts changed the list that it was given.")
        _check_counts(got, ids)
    small = [
        ([1, 2], (1, 2)),
        ([3, 1, 2], (1, 2)),
        ([1, 2, 1], (1, 2)),
        ([4], (4, 4)),
        ([], (4, 4)),
        ([1, 1, 1], (1, 1)),
    ]
    cases = [
        ([random.randrange(3) for _ in range(40)], pair)
        for pair in [*itertools.permutations(range(3), 2), (0, 0), (1, 1)]
    ]
    cases += [*small, ([300, 256, 300, 256, 256], (300, 256)), ([2, 1, 2, 1, 1, 1, 1], (1, 1))]
    for ids, pair in cases:
        for new in (random.randint(301, 50_000), pair[0], pair[1]):
            kept = list(ids)
            got = merge(ids, pair, new)
            if ids != kept:
                wrong("merge changed the list that it was given: build a new one.")
            _check_merge(got, kept, pair, new)
    return "runs, pairs at the end, lists of one and of none."


def _check_counts(got, ids: list[int]) -> None:
    what = f"pair_counts({_short(ids, 40)})"
    if got is None:
        wrong("pair_counts returned None: does your function return its result?")
    if not isinstance(got, Mapping):
        wrong(f"pair_counts should return a dictionary, but it returned a {type(got).__name__}.")
    got, want = dict(got), dict(Counter(itertools.pairwise(ids)))
    if got == want:
        return
    apart, i = Counter(), 0
    while i + 1 < len(ids):
        apart[ids[i], ids[i + 1]] += 1
        i += 2 if ids[i] == ids[i + 1] else 1
    for sentence, value in {
        "you count every second pair only: each place has a pair with its right neighbour.": Counter(
            zip(ids[::2], ids[1::2], strict=False)
        ),
        "every place counts: `a a a` holds the pair (a, a) twice.": apart,
        "the last id and the first are no neighbours.": Counter((ids[i - 1], ids[i]) for i in range(len(ids))),
        "(left, right) and (right, left) are two pairs: keep the order.": Counter(
            (min(pair), max(pair)) for pair in itertools.pairwise(ids)
        ),
        "your pairs are turned round: (left, right).": Counter(zip(ids[1:], ids, strict=False)),
        "the last pair of the list is missing.": Counter(itertools.pairwise(ids[:-1])),
        "every pair has the count 1: add up.": dict.fromkeys(itertools.pairwise(ids), 1),
    }.items():
        if got == dict(value):
            wrong(sentence)
    for key in got:
        if not (isinstance(key, tuple) and len(key) == 2):
            wrong(f"the keys of {what} should be pairs (left, right), but there is {key!r}.")
    if any(n == 0 for n in got.values()):
        wrong(f"{what} holds pairs with the count 0: leave out what does not occur.")
    key = next(pair for pair in [*want, *got] if got.get(pair) != want.get(pair))
    wrong(f"{what}: the pair {key} occurs {want.get(key, 0)} times, but you count {got.get(key, 0)}.")


def _check_merge(got, ids: list[int], pair: tuple[int, int], new: int) -> None:
    want = _replaced(ids, pair, new)
    at = next((i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) == pair), None)
    twice, i = [], 0
    while i < len(ids):
        twice.append(new if tuple(ids[i : i + 2]) == pair else ids[i])
        i += 1
    _ids(
        f"merge({_short(ids, 40)}, {pair}, {new})",
        got,
        want,
        {
            "you merge from the right: of `a a a` the first two merge.": _replaced(ids[::-1], pair[::-1], new)[::-1],
            "only the first occurrence is merged.": ids if at is None else [*ids[:at], new, *ids[at + 2 :]],
            f"the last id is missing: {_short(ids)} should become {_short(want)}.": want[:-1] if want else None,
            "an id that was merged is still there: step over both ids of the pair.": twice,
            f"nothing is merged in {_short(ids)} for the pair {pair}.": ids,
            "an id that has just been made merges again in the same pass: build a new list, and look at the old one "
            "alone.": _again(ids, pair, new),
            "you merge (right, left) as well as (left, right).": _replaced(_replaced(ids, pair, new), pair[::-1], new),
        },
    )


def _again(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """The list changed in place, the new id looked at again."""
    ids, i = list(ids), 0
    while i + 1 < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new]
        else:
            i += 1
    return ids


@task("E01b", "write `learn`")
def e01b(learn):
    cases = [("aaabdaaabac", 3), ("zyzyab ab", 2), ("aaaaaaaaaa", 9), ("dcba" * 5, 4), ("ab", 0)]
    cases += [(_words(60), 30), (_unicode(60), 20), ("你好你好", 3), ("ab", 5), ("a", 2), ("", 2)]
    cases += [("".join(random.choices("abc", k=50)), 12) for _ in range(20)]
    answers = []
    for text, count in cases:
        with _own_work():
            got = learn(text, count)
        answers.append(_as_merges(f"learn({_short(text, 24)}, {count})", got))
    rules = {
        sentence: (lambda text, count, rule=rule: _recount({text.encode(): 1}, count, rule))
        for sentence, rule in RULES.items()
    }
    rules["start from the bytes, text.encode('utf-8'), not from code points."] = lambda text, count: _recount(
        {tuple(map(ord, text)): 1}, count
    )
    rules["these are the most frequent pairs of the bytes: merge after each choice, then count again."] = _most_frequent
    if any(got != _recount({text.encode(): 1}, count) for got, (text, count) in zip(answers, cases, strict=True)):
        _throughout(answers, cases, rules)
    for got, (text, count) in zip(answers, cases, strict=True):
        _wrong_merges(f"learn({_short(text, 24)}, {count})", got, {text.encode(): 1}, count)
    return "ties, runs, text of every script, and texts that run out of pairs."


def _most_frequent(text: str, count: int) -> list[tuple[int, int]]:
    counts = Counter(itertools.pairwise(text.encode()))
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:count]


@task("E01c", "write `encode` and `decode`")
def e01c(encode, decode):
    training = _words(600)
    vocabularies = [_recount({training.encode(): 1}, 60), _recount({b"abcbcabab" * 9 + b"aabbaabb": 1}, 8), []]
    vocabularies.append([(98, 99), (97, 256), (97, 98)])  # abc: the order decides
    vocabularies.append([(98, 99), (97, 98), (257, 97)])  # abca: bc goes first, though aba is longer
    texts = ["abc", "abcabc ab", "abca abab", "seashells", "naïve 你好, 你", "🙂 sure", "aaaa", "a", ""]
    texts += [_words(40), _unicode(100)]
    cases = [(text, merges) for merges in vocabularies for text in texts]
    answers = []
    for text, merges in cases:
        kept = list(merges)
        with _own_work():
            answers.append(encode(text, merges))
        if merges != kept:
            wrong("encode changed the list of merges that it was given.")
    mistakes = {
        "no merge is applied: these are the bytes.": lambda text, merges: list(text.encode()),
        "start from the bytes, text.encode('utf-8'), not from code points.": lambda text, merges: _replay(
            text, merges, list(map(ord, text))
        ),
        "you merge the most frequent pair of the new text first: the pair that was learned first goes first.": (
            lambda text, merges: _by_choice(text, merges, lambda found: max(found, key=found.get))
        ),
        "you merge what comes first in the text: the pair that was learned first goes first.": _by_place,
        "you take the longest token that fits: replay the merges in their order instead.": _by_length,
        "you replay the merges from the last to the first: the pair that was learned first goes first.": (
            lambda text, merges: _replay(text, merges, turned_round=True)
        ),
        "you merge the pair that was learned last: the one that was learned first goes first.": (
            lambda text, merges: _by_choice(text, merges, lambda found: max(found, key=merges.index))
        ),
        "one merge is not enough: go on until no pair is left that was learned.": lambda text, merges: _replay(
            text, merges, only_one=True
        ),
    }
    if answers != [_replay(*case) for case in cases]:
        _throughout(answers, cases, mistakes)
    for got, (text, merges) in zip(answers, cases, strict=True):
        _ids(f"encode({_short(text, 30)}) with the merges {_short(merges, 40)}", got, _replay(text, merges))
    merges = vocabularies[0]
    spelled = _spell(merges)
    lists = [_replay(text, merges) for text in ("", "she sells", "naïve 你好", "🙂🙂", _unicode(60))]
    lists += [[random.randrange(len(spelled)) for _ in range(12)] for _ in range(20)]
    lists += [[128], [0xF0, 0x9F, 0x99], [255, 97]]
    for ids in lists:
        kept, known = list(ids), list(merges)
        with _own_work():
            got = decode(ids, merges)
        if ids != kept or merges != known:
            wrong("decode changed a list that it was given.")
        _check_text(f"decode({_short(ids, 40)})", got, [spelled[i] for i in ids])
    return "the merges in their order, and any list of ids makes a string."


def _check_text(what: str, got, parts: list[bytes]) -> None:
    raw = b"".join(parts)
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, str):
        wrong(f"{what} should be a string, but it is a {type(got).__name__}.")
    if got == raw.decode("utf-8", errors="replace"):
        return
    for sentence, value in {
        "you decode token by token: a character may be spread over several. Join the bytes first.": "".join(
            part.decode("utf-8", errors="replace") for part in parts
        ),
        "bytes that are not UTF-8 should become U+FFFD, but you leave them out.": raw.decode("utf-8", errors="ignore"),
        "you make a character of each byte: decode the bytes as UTF-8.": raw.decode("latin-1"),
    }.items():
        if got == value:
            wrong(sentence)
    wrong(f"{what} should be {raw.decode('utf-8', errors='replace')!r}, but it is {got!r}.")


def _by_choice(text: str, merges: list[tuple[int, int]], choose: Callable) -> list[int]:
    ids, number = list(text.encode()), {pair: 256 + n for n, pair in enumerate(merges)}
    while found := {p: n for p, n in Counter(itertools.pairwise(ids)).items() if p in number}:
        pair = choose(found)
        ids = _replaced(ids, pair, number[pair])
    return ids


def _by_place(text: str, merges: list[tuple[int, int]]) -> list[int]:
    ids, number, i = list(text.encode()), {pair: 256 + n for n, pair in enumerate(merges)}, 0
    while i + 1 < len(ids):
        if (ids[i], ids[i + 1]) in number:
            ids[i : i + 2], i = [number[ids[i], ids[i + 1]]], 0
        else:
            i += 1
    return ids


def _by_length(text: str, merges: list[tuple[int, int]]) -> list[int]:
    number = {token: i for i, token in reversed(list(enumerate(_spell(merges))))}
    raw, ids = text.encode(), []
    while raw:
        size = max(n for n in range(1, len(raw) + 1) if raw[:n] in number)
        ids.append(number[raw[:size]])
        raw = raw[size:]
    return ids


# --- E02: pieces ------------------------------------------------------------------------------------------------------


@task("E02", "write `train` and `encode`")
def e02(Tokenizer):
    halves = r"[ab]+|[^ab]+"
    for pattern, text, count in (
        (GPT4_SPLIT, _words(300), 60),
        (GPT2_SPLIT, _words(150) + _unicode(300), 60),
        (halves, "".join(random.choices("abc ", k=200)), 12),
        (GPT4_SPLIT, "a b c", 9),
    ):
        tokenizer, what = Tokenizer(pattern), f"train({_short(text, 20)}, {count})"
        with _own_work():
            tokenizer.train("she sells " * 9, 3)  # of which nothing must be left
            returned = tokenizer.train(text, count)
        if returned is not None:
            wrong("train should set self.merges and return nothing.")
        got = _as_merges("self.merges", tokenizer.merges)
        if tokenizer.pattern != pattern:
            wrong("the pattern of the tokenizer has changed: leave self.pattern as it is.")
        counted = _pieces(text, pattern)
        if got != (want := _recount(counted, count)):
            again = _recount(_pieces("she sells " * 9, pattern), 3)
            if again and got[: len(again)] == again and got != want[: len(got)]:
                wrong("a second call of train starts from nothing: set self.merges to an empty list first.")
            if got == _recount({text.encode(): 1}, count):
                wrong("pairs are counted across two pieces: cut the text with the pattern, count in each piece.")
            if got == _recount(dict.fromkeys(counted, 1), count):
                wrong("a piece that occurs five times in the text counts five times; you count it once.")
            if pattern != GPT4_SPLIT and got == _recount(_pieces(text, GPT4_SPLIT), count):
                wrong("you cut with GPT4_SPLIT whatever the argument: use self.pattern.")
            joined = list(regex.findall(pattern, text))
            if got == _recount({"".join(joined).encode(): 1}, count):
                wrong("the pieces are joined again before the pairs are counted.")
        _wrong_merges(what, got, counted, count)
        if len(set(_spell(got))) < len(_spell(got)):
            continue  # tiktoken needs a spelling of its own for every token
        theirs = _library(got, pattern)
        samples = ["", "a", "she sells seashells, she does", "ab ab ab  ab", "sand1215sand"]
        samples += [_words(20) + _unicode(60) for _ in range(12)]
        if pattern == halves:
            samples = ["", "abba", "abccab", *("".join(random.choices("abc ", k=60)) for _ in range(12))]
        for sample in samples:
            kept = list(tokenizer.merges)
            with _own_work():
                got = tokenizer.encode(sample)
            if list(tokenizer.merges) != kept:
                wrong("encode changed self.merges.")
            merges, pieces = list(map(tuple, kept)), regex.findall(pattern, sample)
            _ids(
                f"encode({_short(sample, 30)})",
                got,
                theirs.encode_ordinary(sample),
                {
                    "your merges cross from one piece to the next: cut the text with the pattern, encode each piece by "
                    "itself.": _replay(sample, merges),
                    "a piece that comes again is left out: its ids are needed each time.": [
                        i for piece in dict.fromkeys(pieces) for i in _replay(piece, merges)
                    ],
                    "you cut with GPT4_SPLIT whatever the argument: use self.pattern.": [
                        i for piece in regex.findall(GPT4_SPLIT, sample) for i in _replay(piece, merges)
                    ],
                    "no merge is applied: these are the bytes.": list(sample.encode()),
                },
            )
    return "three patterns, merges equal to a recount, ids equal to tiktoken's on random Unicode."


# --- E03: merges out of ranks -----------------------------------------------------------------------------------------


@cache
def _gpt4() -> tuple[dict[bytes, int], dict[tuple[int, int], int]]:
    """GPT-4's ranks, and the merges that made them."""
    ranks = data.bpe_ranks("cl100k_base")
    return ranks, {(ranks[a], ranks[b]): ranks[a + b] for a, b in _halves_of(ranks).values()}


def _halves_of(ranks: dict[bytes, int]) -> dict[bytes, tuple[bytes, bytes]]:
    """{token: the two tokens that it was made from}, by the ends of the parts instead of the parts."""
    halves = {}
    for token, rank in ranks.items():
        ends = list(range(len(token) + 1))
        while len(ends) > 3:
            found = ((ranks.get(token[ends[i] : ends[i + 2]], rank), i) for i in range(len(ends) - 2))
            del ends[min(found)[1] + 1]
        if len(ends) == 3:
            halves[token] = token[: ends[1]], token[ends[1] :]
    return halves


def _small_ranks(permuted: bool = True) -> tuple[dict[bytes, int], dict[tuple[int, int], int]]:
    """Ranks of a small vocabulary with single bytes in any order, and the merges that it was really learned by."""
    while True:
        learned = _recount(_pieces(_words(200) + _unicode(200), GPT4_SPLIT), 80)
        spelled = _spell(learned)
        if len(set(spelled)) == len(spelled):
            break
    number = list(range(256))
    if permuted:
        random.shuffle(number)
    number += range(256, len(spelled))
    ranks = {token: number[i] for i, token in enumerate(spelled)}
    merges = {(number[a], number[b]): 256 + n for n, (a, b) in enumerate(learned)}
    halves = _halves_of(ranks)
    if any(merges.get((ranks[a], ranks[b])) != ranks[token] for token, (a, b) in halves.items()):
        return _small_ranks(permuted)  # a token that could have been made in two ways
    return ranks, merges


@task("E03a", "write `recover_merges`")
def e03a(recover_merges):
    full, full_merges = _gpt4()
    part = {token: i for token, i in full.items() if i < 6000}
    part_merges = {pair: i for pair, i in full_merges.items() if i < 6000}
    for name, (ranks, want) in {
        "small ranks": _small_ranks(permuted=False),
        "small ranks with the bytes permuted": _small_ranks(),
        "GPT-4's first 6,000 ranks": (part, part_merges),
        "small ranks in another order": _small_ranks(),
    }.items():
        if "order" in name:
            ranks = dict(random.sample(list(ranks.items()), len(ranks)))
        kept, spelled = dict(ranks), {i: token for token, i in ranks.items()}
        with _own_work():
            got = recover_merges(ranks)
        if ranks != kept:
            wrong("your function changed the ranks that it was given.")
        if got is None:
            wrong("recover_merges returned None: does your function return its result?")
        if not isinstance(got, Mapping):
            wrong(f"recover_merges should return a dictionary, but it returned a {type(got).__name__}.")
        got = dict(got)
        if got == want:
            continue
        for sentence, value in {
            "the other way round: the pair is the key, the new id the value.": {i: pair for pair, i in want.items()},
            "the keys should be pairs of ids, but they are pairs of bytes: ask `ranks`.": {
                (spelled[a], spelled[b]): i for (a, b), i in want.items()
            },
            "a single byte's id is `ranks[byte]`, not the byte's value: GPT-4 has them in another order.": {
                tuple(spelled[i][0] if len(spelled[i]) == 1 else i for i in pair): new for pair, new in want.items()
            },
            "your dictionary is empty. Do you join until one part is left? Stop at two: they are the answer.": {},
            "the values should be the ids of the tokens that are made, but they are their bytes.": {
                pair: spelled[i] for pair, i in want.items()
            },
            "the values should be the tokens' own ids, `ranks[token]`; you number the merges yourself.": {
                {i: pair for pair, i in want.items()}[i]: 256 + n
                for n, i in enumerate(i for token, i in ranks.items() if len(token) > 1)
            },
        }.items():
            if got == value:
                wrong(sentence)
        for pair in got:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                wrong(f"the keys should be pairs (left id, right id), but there is {pair!r}.")
        made = {}
        for pair, i in got.items():
            made.setdefault(i, []).append(pair)
        for (a, b), i in want.items():
            told = f"{spelled[i]!r} was made from {spelled[a]!r} + {spelled[b]!r}"
            yours = made.get(i, [])
            if not yours:
                wrong(f"{name}: there is no pair for the token {spelled[i]!r}. {told[0].upper() + told[1:]}.")
            if len(yours) > 1:
                wrong(f"{name}: {len(yours)} pairs make the token {spelled[i]!r}, but it was made from one.")
            x, y = yours[0]
            if (x, y) != (a, b):
                wrong(
                    f"{name}: {told}, but you have {spelled.get(x, x)!r} + {spelled.get(y, y)!r}. Replay the merges: "
                    "the join with the smallest rank first, the leftmost of equals, until two parts are left."
                )
        pair = next(pair for pair in got if pair not in want)
        wrong(f"{name}: {pair} makes no token of two or more bytes, but you list it.")
    return "small ranks whose merges are known, bytes in any order, and GPT-4's first 6,000."


@task("E03b", "write `encode_gpt4`")
def e03b(encode_gpt4):
    data.tiktoken_offline("cl100k_base")
    for name, (ranks, merges), theirs in (
        ("small ranks", (small := _small_ranks()), None),
        ("GPT-4's ranks", _gpt4(), tiktoken.get_encoding("cl100k_base")),
    ):
        theirs = theirs or tiktoken.Encoding("small", pat_str=GPT4_SPLIT, mergeable_ranks=small[0], special_tokens={})
        texts = ["she", "she sells seashells", "", "I'll pay $12345.67,  or\n\n   nothing: DON'T", "naïve 你好 🙂\r\n"]
        texts += [_words(10) + _unicode(60) for _ in range(12)]
        for text in texts:
            want = theirs.encode_ordinary(text)
            sizes = len(ranks), len(merges)
            with _own_work():
                got = encode_gpt4(text, ranks, merges)
            if (len(ranks), len(merges)) != sizes:
                wrong("your function changed a dictionary that it was given.")
            start = lambda piece, ranks=ranks: [ranks[bytes([byte])] for byte in piece.encode()]
            pieces = regex.findall(GPT4_SPLIT, text)
            _ids(
                f"{name}: encode_gpt4({_short(text, 30)})",
                got,
                want,
                {
                    "a byte's id is `ranks[bytes([byte])]`, not the byte's value: GPT-4 has them in another order.": [
                        i for piece in pieces for i in _by_id(list(piece.encode()), merges)
                    ],
                    "the text is not cut: no merge crosses a piece of GPT4_SPLIT.": _by_id(start(text), merges),
                    "you cut with GPT-2's pattern: GPT-4's is GPT4_SPLIT.": [
                        i for piece in regex.findall(GPT2_SPLIT, text) for i in _by_id(start(piece), merges)
                    ],
                    "no merge is applied: these are the single bytes.": start(text),
                    "you take the longest token that fits: the pair whose token has the smallest id goes first.": [
                        i for piece in pieces for i in _longest(piece.encode(), ranks)
                    ],
                    "you merge what comes first in the text: the pair whose token has the smallest id goes first.": [
                        i for piece in pieces for i in _by_id(start(piece), merges, min_by=lambda i, new: i)
                    ],
                },
            )
    return "equal to tiktoken's cl100k_base."


def _by_id(ids: list[int], merges: dict[tuple[int, int], int], min_by: Callable = lambda i, new: (new, i)) -> list[int]:
    ids = list(ids)
    while found := [(i, merges[p]) for i, p in enumerate(itertools.pairwise(ids)) if p in merges]:
        i, new = min(found, key=lambda place: min_by(*place))
        ids[i : i + 2] = [new]
    return ids


def _longest(raw: bytes, ranks: dict[bytes, int]) -> list[int]:
    ids = []
    while raw:
        size = max(n for n in range(1, len(raw) + 1) if raw[:n] in ranks)
        ids.append(ranks[raw[:size]])
        raw = raw[size:]
    return ids


# --- E04: special tokens ----------------------------------------------------------------------------------------------


def _ordinary(text: str) -> list[int]:
    return [-len(text), *text.encode()] if text else []  # the length shows where a stretch begins and ends


def _special(text: str, special: dict[str, int], chosen: set[str]) -> list[int]:
    """By hand: at each place the longest chosen token, else ordinary text up to the next."""
    out, i, held = [], 0, ""
    while i < len(text):
        token = max((t for t in chosen if text.startswith(t, i)), key=len, default=None)
        if token is None:
            held, i = held + text[i], i + 1
        else:
            out += [*_ordinary(held), special[token]]
            held, i = "", i + len(token)
    return out + _ordinary(held)


@task("E04", "write `encode_with_special`")
def e04(encode_with_special):
    pair = {"<|endoftext|>": 50256, "<|user|>": 50300}
    many = pair | {"<|end|>": 1000, "<|end|>2": 1001, "[a-z]": 1003}
    texts = [
        "",
        "plain",
        "<|endoftext|>",
        "a<|user|>b",
        "a<|endoftext|><|user|>b <|endoftext|>",
        "<|endof",
        "<|user|>\n\n<|user|>",
    ]
    for special in (pair, {}, many):
        if special is many:
            texts = [*texts, "<|end|>2 x <|end|> y<|end|>2<|end|>", "abc [a-z] def"]
        for text in texts:
            inside = {token for token in special if token in text}
            sets = [
                set(),
                set(special),
                inside,
                *({token} for token in inside if len(inside) > 1 and "end|>" not in token),
            ]
            for allowed in ("all", "none", "none_raise", *sets, frozenset(inside)):
                _one_special(encode_with_special, text, special, allowed, inside)
    theirs = tiktoken.Encoding(
        "check", pat_str=GPT2_SPLIT, mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens=pair
    )
    for text in texts[:7]:
        want = theirs.encode(text, allowed_special="all")
        got = encode_with_special(text, dict(pair), "all", theirs.encode_ordinary)
        _ids(f"{text!r} with tiktoken as encode_ordinary", got, want)
    return "all, none, an error, and sets, as tiktoken has them."


def _stretches(text: str, chosen: set[str]) -> list[str]:
    """The text, cut where chosen tokens begin and end."""
    longest = "|".join(map(re.escape, sorted(chosen, key=len, reverse=True)))
    return re.split(f"({longest})", text) if chosen else [text]


def _one_special(encode_with_special, text: str, special: dict[str, int], allowed, inside: set[str]) -> None:
    chosen = set(special) if allowed == "all" else set() if isinstance(allowed, str) else set(allowed)
    banned = set() if allowed in ("all", "none") else inside - chosen
    how = f"{text!r} with allowed_special={allowed!r}"
    given, handed = dict(special), allowed if isinstance(allowed, str) else type(allowed)(allowed)

    def ordinary(part):
        if not isinstance(part, str):
            wrong(f"encode_ordinary takes a string, but it got a {type(part).__name__}.")
        return _ordinary(part)

    try:
        got = encode_with_special(text, given, handed, ordinary)
    except ValueError as problem:
        if not banned:
            wrong(f"{how} should not raise, but it raised ValueError: {problem}")
        if not any(token in str(problem) for token in banned):
            wrong(f"{how}: the message of the ValueError should name the special token, but it says: {problem}")
        return
    except AssertionError as problem:
        if type(problem) is AssertionError:
            wrong("raise a ValueError, not an AssertionError: an `assert` can be switched off (python -O).")
        raise
    except KeyError as problem:
        if banned:
            wrong(f"{how}: raise a ValueError, not a KeyError.")
        wrong(
            f"{how}: your code stopped with KeyError: {problem}. Did the | in a token's name act as part of a pattern? "
            "Escape it."
        )
    if given != special or handed != allowed:
        wrong("your function changed the special tokens, or the set, that it was given.")
    if banned:
        token = sorted(banned)[0]
        if isinstance(allowed, str):
            wrong(f"{how} should raise a ValueError that names {token!r}, but it returned {_short(got)}.")
        wrong(
            f"{how}: {token!r} stands in the text and is not in the set, so raise a ValueError, as tiktoken does; it "
            f"returned {_short(got)}."
        )
    want = _special(text, special, chosen)
    mistakes = {
        f"{how}: you encode special tokens as plain text, though they are allowed.": _special(text, special, set()),
        f'{how}: a token became its id, though it is not allowed to. With "none", all are plain text.': _special(
            text, special, set(special)
        ),
        "<|end|>2 begins with <|end|>: where both fit, the longer wins.": _special(
            text, special, chosen - {"<|end|>2"}
        ),
        f"{how}: the special tokens have vanished. They become their ids.": [
            i for i in want if i not in special.values()
        ],
    }
    letters = [[special[part]] if part in chosen else [_ordinary(c) for c in part] for part in _stretches(text, chosen)]
    letters = [i for part in letters for ids in part for i in (ids if isinstance(ids, list) else [ids])]
    mistakes[
        f"{how}: you encode letter by letter. A stretch of text goes through `encode_ordinary` as a whole; and with "
        "no allowed token there is no pattern, and one stretch."
    ] = letters
    parts = re.split("(" + "|".join(sorted(chosen, key=len, reverse=True)) + ")", text) if chosen else [text]
    as_pattern = [[special[part]] if part in chosen else _ordinary(part or "") for part in parts]
    said = "a special token may hold characters that mean something in a pattern, such as | or [: escape them."
    mistakes[said] = [i for ids in as_pattern for i in ids]
    _ids(how, got, want, mistakes)


# --- E05: characters with bytes to fall back on -----------------------------------------------------------------------

BYTE = [f"<0x{byte:02X}>" for byte in range(256)]


def _vocabulary(text: str, merges: int) -> dict[str, int]:
    """A vocabulary as SentencePiece lays it out: bytes, merges in order, characters. Numbered with a gap."""
    words = [list("▁" + text.replace(" ", "▁"))]
    learned: list[str] = []
    while len(learned) < merges:
        counts = Counter(a + b for word in words for a, b in itertools.pairwise(word))
        best = min((token for token in counts if token not in learned), key=lambda token: (-counts[token], token))
        learned.append(best)
        words = [_joined(word, best) for word in words]
    tokens = BYTE + learned + sorted(set("▁" + text.replace(" ", "▁")))
    return {token: i + 3 for i, token in enumerate(tokens)}


def _joined(word: list[str], token: str) -> list[str]:
    out = []
    for symbol in word:
        if out and out[-1] + symbol == token:
            out[-1] = token
        else:
            out.append(symbol)
    return out


def _marked(text: str) -> list[str]:
    return list("▁" + text.replace(" ", "▁")) if text else []


def _fallback(symbols: list[str], vocab: dict[str, int], pick: str = "id", unknown: str = "bytes") -> list[int]:
    """The ids, found by the ends of the symbols; pick, unknown: for usual mistakes."""
    text, ends = "".join(symbols), [0, *itertools.accumulate(map(len, symbols))]
    keys = {"id": lambda place: place, "place": lambda place: place[1], "last": lambda place: (-place[0], place[1])}
    while pick != "never":
        found = [(vocab[t], i) for i in range(len(ends) - 2) if (t := text[ends[i] : ends[i + 2]]) in vocab]
        if not found:
            break
        del ends[min(found, key=keys[pick])[1] + 1]
    ids: list[int] = []
    for symbol in (text[a:b] for a, b in itertools.pairwise(ends)):
        if symbol in vocab:
            ids.append(vocab[symbol])
        elif unknown == "bytes":
            ids += [vocab[BYTE[byte]] for byte in symbol.encode()]
        elif unknown == "values":
            ids += symbol.encode()
        elif unknown == "points":
            ids.append(vocab.get(f"<0x{ord(symbol):02X}>", -1))
    return ids


@task("E05a", "write `encode_with_fallback`")
def e05a(encode_with_fallback):
    plays = _words(300).replace("\n", " ").replace("你好", "nice")
    learned = _vocabulary(plays, 60)
    shuffled = dict(zip(learned, random.sample(range(3, 3 + len(learned)), len(learned)), strict=True))
    given = {token: i for i, token in enumerate([*"▁abcx", "bc", "ab", "abc", "▁a", "aa", "qu", *BYTE])}
    texts = ["she sells seashells", "ab", "abc abcx", "a bc  aab", "", " ", " she ", "  two", "naïve 你好", "aaaa aaa"]
    texts += ["好", "🙂 sand", "<0x41> x", "a▁b", "tab\tand\n", "aqua q", *(_words(8) + _unicode(30) for _ in range(6))]
    cases, answers = [(text, vocab) for vocab in (learned, given, shuffled) for text in texts], []
    for text, vocab in cases:
        size = len(vocab)
        with _own_work():
            answers.append(encode_with_fallback(text, vocab))
        if len(vocab) != size:
            wrong("your function changed the vocabulary that it was given.")
    mistakes = {
        "an empty text has no tokens, not even the ▁ in front.": lambda t, v: _fallback(_marked(t) or ["▁"], v),
        "the ▁ in front of the text is missing.": lambda t, v: _fallback(_marked(t)[1:], v),
        "the spaces at the ends are stripped: each space is a ▁ of its own.": lambda t, v: _fallback(
            (_marked(t.strip()) or ["▁"]) if t else [], v
        ),
        "several spaces in a row became one: each is a ▁ of its own.": lambda t, v: _fallback(
            _marked(re.sub(" +", " ", t)), v
        ),
        "no merge is made: join neighbours while the join is in the vocabulary.": lambda t, v: _fallback(
            _marked(t), v, pick="never"
        ),
        "you make the leftmost join first: of all joins, the one with the smallest id goes first.": lambda t, v: (
            _fallback(_marked(t), v, pick="place")
        ),
        "you make the join with the largest id first: the smallest goes first.": lambda t, v: _fallback(
            _marked(t), v, pick="last"
        ),
        "you take the longest token that fits: join neighbours instead, the smallest id first.": lambda t, v: _fits(
            "".join(_marked(t)), v
        ),
        "an unknown character is left out: it becomes its UTF-8 bytes.": lambda t, v: _fallback(
            _marked(t), v, unknown="left out"
        ),
        "you fall back to the code point: an unknown character becomes its UTF-8 bytes, each a token.": lambda t, v: (
            _fallback(_marked(t), v, unknown="points")
        ),
        "the bytes' ids come from the vocabulary, `vocab['<0xE4>']`, not from the bytes' values.": lambda t, v: (
            _fallback(_marked(t), v, unknown="values")
        ),
        "you fall back to bytes before you merge: a character that is no token may be part of one.": lambda t, v: (
            _fallback([s for c in _marked(t) for s in ([c] if c in v else [BYTE[byte] for byte in c.encode()])], v)
        ),
        "text that looks like a byte token, <0x41>, is text: six characters.": lambda t, v: _fallback(
            re.findall("<0x[0-9A-F]{2}>|.", "".join(_marked(t)), re.DOTALL), v
        ),
    }
    if answers != [_fallback(_marked(text), vocab) for text, vocab in cases]:
        _throughout(answers, cases, mistakes)
    for got, (text, vocab) in zip(answers, cases, strict=True):
        _ids(f"encode_with_fallback({_short(text, 30)})", got, _fallback(_marked(text), vocab))
    return "characters, joins by their ids, and bytes for what is unknown."


def _fits(text: str, vocab: dict[str, int]) -> list[int]:
    ids = []
    while text:
        size = max((n for n in range(1, len(text) + 1) if text[:n] in vocab), default=0)
        ids += [vocab[text[:size]]] if size else [vocab[BYTE[byte]] for byte in text[0].encode()]
        text = text[max(size, 1) :]
    return ids


@task("E05b", "write `decode_with_fallback`")
def e05b(decode_with_fallback):
    vocab = _vocabulary(_words(200).replace("你好", "nice"), 40)
    vocab |= {"<0x": 1000, "<0xe4>": 1001}  # learned from a text about bytes
    vocab = {token: i for token, i in random.sample(list(vocab.items()), len(vocab))}
    token = {i: t for t, i in vocab.items()}
    numbers = list(token)
    encoded = ("a", "she sells", "naïve 你好", "", " ", "  two ", "🙂🙂!", "<0x41>", _unicode(40), _words(8))
    lists = [_fallback(_marked(text), vocab) for text in encoded]
    only = "a token such as <0x or <0xe4> is text: byte tokens are <0x00> to <0xFF>, with capitals, and no others."
    byte = lambda *values: [vocab[BYTE[v]] for v in values]
    lists += [byte(0xF0, 0x9F), [*byte(0xE4), vocab["a"]], [vocab["a"], vocab["▁"], vocab["h"]], [vocab["s"]]]
    lists += [byte(0x20, 0x41), [*byte(0xC3), vocab["▁"], *byte(0xA9)], byte(0xE4, 0xBD), byte(0xFF, 0x20)]
    lists += [random.choices(numbers, k=10) for _ in range(20)] + [[vocab["<0x"], vocab["a"]], [vocab["<0xe4>"]]]
    answers = []
    for ids in lists:
        kept, size = list(ids), len(vocab)
        with _own_work():
            try:
                answers.append(decode_with_fallback(ids, vocab))
            except ValueError as problem:
                if {1000, 1001} & set(ids) and not isinstance(problem, UnicodeError):
                    wrong(only)
                raise
        if ids != kept or len(vocab) != size:
            wrong("your function changed what it was given.")

    def text(ids, errors="replace", byte=lambda s: bytes([int(s[3:5], 16)])):
        parts = [byte(token[i]) if token[i] in BYTE else token[i].replace("▁", " ").encode() for i in ids]
        return b"".join(parts).decode("utf-8", errors=errors)

    def one_by_one(ids):
        return "".join(text([i]) for i in ids)

    mistakes = {
        "the ▁ that was put in front became a space and is still there: take it away.": text,
        "all spaces in front are gone: one was put there, one goes.": lambda ids: text(ids).lstrip(" "),
        "all spaces in front and at the end are gone: one was put in front, one goes.": lambda ids: text(ids).strip(
            " "
        ),
        "you take the first character away, also where it is no space.": lambda ids: text(ids)[1:],
        "you decode byte by byte: a character's bytes only make sense together. Collect them, decode once.": (
            lambda ids: one_by_one(ids).removeprefix(" ")
        ),
        "bytes that are not UTF-8 should become U+FFFD, but you leave them out.": lambda ids: text(
            ids, errors="ignore"
        ).removeprefix(" "),
        "byte tokens such as <0xE4> stand for bytes: do not show their names.": lambda ids: text(
            ids, byte=lambda s: s.encode()
        ).removeprefix(" "),
        "a byte token stands for a byte of UTF-8, not for the character of that number.": lambda ids: text(
            ids, byte=lambda s: chr(int(s[3:5], 16)).encode()
        ).removeprefix(" "),
        only: lambda ids: text(
            [vocab[token[i].upper().replace("X", "x")] if token[i] == "<0xe4>" else i for i in ids]
        ).removeprefix(" "),
        "every ▁ becomes a space; you take all of them away.": lambda ids: text(ids).replace(" ", ""),
    }
    cases = [(ids,) for ids in lists]
    if answers != [text(ids).removeprefix(" ") for ids in lists]:
        _throughout(answers, cases, mistakes)
        kinds = zip(list(mistakes)[1:3], (str.lstrip, str.strip), strict=True)  # white space of other kinds too
        _throughout(answers, cases, {said: (lambda ids, f=f: f(text(ids))) for said, f in kinds})
    for got, ids in zip(answers, lists, strict=True):
        what = f"the text of {_short([token[i] for i in ids])}"
        if got is None:
            wrong(f"{what} is None: does your function return its result?")
        if not isinstance(got, str):
            wrong(f"{what} should be a string, but it is a {type(got).__name__}.")
        full = text(ids)
        front = bool(ids) and token[ids[0]].startswith("▁")
        if got == full.removeprefix(" ") or (got == full and not front):  # a space out of a byte token may stay
            continue
        if "▁" in got:
            wrong(f"{what}: ▁ should become a space, but it is still there: {got!r}.")
        wrong(f"{what} should be {full.removeprefix(' ')!r}, but it is {got!r}.")
    return "also for lists that no text gives."


# --- E06: a faster trainer --------------------------------------------------------------------------------------------

FASTER = 10  # times, for one further merge


@task("E06", "write `learn_fast`")
def e06(learn_fast):
    cases = [({b"abab": 2, b"ababab": 1}, 5), ({b"aaaa": 1}, 3), ({b"ab": 3, b"bc": 3, b"abc": 1}, 4)]
    for letters in (b"ab", b"abc", b"abcdef"):
        for _ in range(40):
            pieces = {bytes(random.choices(letters, k=random.randint(1, 12))): random.randint(1, 9) for _ in range(6)}
            cases.append((pieces, random.choice((2, 6, 30))))
    cases += [({b"a": 5}, 2), ({}, 2), ({b"ab": 2}, 0), (dict(_pieces(_words(100), GPT4_SPLIT)), 40)]
    for pieces, count in cases:
        kept, what = dict(pieces), f"learn_fast({_short(pieces, 50)}, {count})"
        with _own_work():
            got = learn_fast(pieces, count)
        if pieces != kept:
            wrong("your function changed the dictionary that it was given.")
        got = _as_merges(what, got)
        if got == (want := _recount(kept, count)):
            continue
        if got == _recount(dict.fromkeys(kept, 1), count):
            wrong("a piece that occurs five times counts five times: use the numbers of occurrences.")
        if got == _recount({b"".join(kept): 1}, count):
            wrong("pairs are counted across two pieces.")
        if len(got) > len(want) and got[: len(want)] == want:
            wrong(
                f"{what}: after {len(want)} merges no pair is left, but you return {len(got)}. Does a pair with the "
                "count 0 stay in your dictionary?"
            )
        _named(what, got, kept, count)
    pieces = {bytes(random.choices(range(40, 80), k=5)): random.randint(1, 50) for _ in range(20_000)}
    recounting = _seconds(lambda: _recount(pieces, 4)) / 4
    few, many = 2, 42
    got: list = []
    with _own_work():
        start = _seconds(lambda: learn_fast(dict(pieces), few))  # mostly for what is set up once
        whole = _seconds(lambda: got.extend(learn_fast(dict(pieces), many)))
    if _as_merges("learn_fast", got)[:4] != _recount(pieces, 4) or len(got) != many:
        wrong("right for small texts, but on 20,000 random pieces your merges differ from the recounting trainer's.")
    yours = max(whole - start, 0.0) / (many - few)
    if yours * FASTER > recounting:
        wrong(
            f"right, but one further merge on 20,000 pieces takes you {yours * 1000:.1f} ms, and by recounting "
            f"{recounting * 1000:.1f} ms. Keep the counts, and visit only the pieces that hold the pair."
        )
    return f"the same merges, more than {FASTER} times faster than by recounting."


def _seconds(work: Callable) -> float:
    start = time.process_time()  # other programs do not count
    work()
    return time.process_time() - start


def _named(what: str, got: list, pieces: dict[bytes, int], count: int) -> None:
    try:
        _wrong_merges(what, got, pieces, count)
    except AssertionError as verdict:
        if "merge number" not in str(verdict):
            raise
        wrong(
            f"{verdict} Are the counts still right after them? Runs such as aaaa, and neighbours such as abab, are "
            "where they go wrong."
        )


# --- E07: a picture of tokens -----------------------------------------------------------------------------------------


class _Spans(HTMLParser):
    """What a browser would see."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.styles, self.open, self.outside = [], [], 0, ""

    def handle_starttag(self, tag, attrs):
        if tag != "span":
            wrong(f"a browser sees a tag <{tag}>: escape the < of the text, and put nothing but spans around pieces.")
        self.open += 1
        if self.open > 1:
            wrong("a span stands inside another one: close each span before the next one opens.")
        self.styles.append(dict(attrs).get("style") or "")
        self.texts.append("")

    def handle_endtag(self, tag):
        self.open -= tag == "span"
        if self.open < 0:
            wrong("a browser sees a </span> too many: escape the < of the text.")

    def handle_comment(self, data):
        wrong("a browser sees a comment: escape the < of the text.")

    def handle_data(self, data):
        if self.open == 1:
            self.texts[-1] += data
        else:
            self.outside += data


@task("E07", "write `to_html`")
def e07(to_html):
    lists = [
        ["How", " many", " r"],
        ["one"],
        [],
        ["x"] * 9,
        [" ", "  ", "\n", "\n\n", "a b"],
        ["a", "<b>", "x>y", "</span>"],
    ]
    lists += [["&", "&amp;", "&lt;"], ["<!-- ", "if", " a<b", " &&", " c>d"], ["naïve", " 你好", "🙂"]]
    lists += [list(regex.findall(GPT4_SPLIT, _words(10) + _unicode(40))) for _ in range(5)]
    for pieces in lists:
        kept = list(pieces)
        got = to_html(pieces)
        if pieces != kept:
            wrong("your function changed the list that it was given.")
        if got is None:
            wrong("to_html returned None: does your function return its result?")
        if not isinstance(got, str):
            wrong(f"to_html should return a string, but it returned a {type(got).__name__}.")
        _check_page(got, kept)
    return "escaped, visible, and told apart without colour."


def _check_page(got: str, pieces: list[str]) -> None:
    page = _Spans()
    page.feed(got)
    page.close()
    want = [piece.replace(" ", "·").replace("\n", "↵") for piece in pieces]
    if len(page.texts) != len(want) or page.open:
        wrong(f"{_short(pieces)} should become {len(want)} spans, each closed, but a browser sees {len(page.texts)}.")
    if page.outside:
        wrong(f"{page.outside!r} stands outside of the spans: the text in the spans is all there is.")
    for piece, should, shown in zip(pieces, want, page.texts, strict=True):
        if shown == should:
            continue
        if shown in (html.escape(should), html.escape(should, quote=False)):
            wrong(f"{piece!r} is shown as {shown!r}: it is escaped twice. Replace & first, then < and >.")
        if html.unescape(should) == shown:
            wrong(f"{piece!r} is shown as {shown!r}: & must be escaped too.")
        if "\n" in shown and shown.replace("\n", "") == should:
            wrong("a line break is shown as ↵ alone, without a real one behind it: the picture is one line.")
        if shown == piece.replace("\n", "↵"):
            wrong("a space should be shown as ·")
        if shown == piece.replace(" ", "·"):
            wrong("a line break should be shown as ↵")
        if shown.isascii() and not should.isascii():
            wrong(f"{piece!r} is shown as {shown!r}: leave all other characters as they are.")
        if "&amp;" in shown or "&lt;" in shown:
            wrong(f"{piece!r} is shown as {shown!r}: it is escaped twice. Replace & first, then < and >.")
        wrong(f"{piece!r} should be shown as {should!r}, but a browser shows {shown!r}.")
    if re.search(r"&(?!#?\w+;)", got):
        wrong("a bare & stands in the HTML: write &amp; for it.")
    greys = []
    for style in page.styles:
        colour = re.search(r"background(?:-color)?\s*:\s*#([0-9a-fA-F]{6})\b", style)
        if not colour:
            wrong(f'each span needs a style with "background:#rrggbb", six digits; one has {style!r}.')
        if not re.search(r"(?:^|;)\s*color\s*:\s*(?:black|#000000|#000)\b", style):
            wrong('each span needs "color:black" in its style, or white text of a dark theme stands on a light ground.')
        r, g, b = bytes.fromhex(colour[1])
        greys.append(0.299 * r + 0.587 * g + 0.114 * b)
    if any(grey < 120 for grey in greys):
        wrong(f"a background with the grey value {min(greys):.0f} is too dark for black text: 120 or more.")
    for a, b in itertools.pairwise(greys):
        if abs(a - b) < 25 - 1e-9:
            wrong(
                f"two neighbours have the grey values {a:.0f} and {b:.0f}: printed without colour, they look the same. "
                "Let them differ by 25 or more, also where your colours begin again."
            )


# --- E08: numbers from the right --------------------------------------------------------------------------------------


def _from_the_right(text: str) -> list[str]:
    """By hand: the pieces of GPT4_SPLIT, neighbouring numbers glued together and cut from the right."""
    out: list[str] = []
    for piece in regex.findall(GPT4_SPLIT, text):
        number = regex.fullmatch(r"\p{N}+", piece)
        if number and out and regex.fullmatch(r"\p{N}+", out[-1]):
            out[-1] += piece
        else:
            out.append(piece)
    cut = []
    for piece in out:
        first = len(piece) % 3
        threes = [piece[:first]] * bool(first) + [piece[i : i + 3] for i in range(first, len(piece), 3)]
        cut += threes if regex.fullmatch(r"\p{N}+", piece) else [piece]
    return cut


@task("E08", "write `split_numbers_right`")
def e08(split_numbers_right):
    pattern = split_numbers_right()
    if pattern is None:
        wrong("split_numbers_right returned None: does your function return its result?")
    if not isinstance(pattern, str):
        wrong(f"split_numbers_right should return a pattern, a string, but it returned a {type(pattern).__name__}.")
    try:
        compiled = regex.compile(pattern)
    except regex.error as problem:
        wrong(f"the module regex cannot read your pattern: {problem}.")
    if compiled.groups:
        wrong("your pattern has a capturing group, and findall gives the group instead of the piece: write (?:...).")
    texts = ["7", "12", "123", "1234", "1234567", "12345678", "123456789012", "in 1815, 12345.678", "a1234b c12"]
    texts += ["1234 ", "don't  1\n\n22", "x 1000000 y 1000", "٣٤٥٦", "1²34", "12²²", "²²²²", "", "9" * 40]
    texts += [_words(6) + _unicode(40) for _ in range(40)]
    other = lambda numbers: regex.compile(GPT4_SPLIT.replace(r"\p{N}{1,3}+", numbers)).findall
    cuts = {
        "{} is still cut from the left: {}.": other(r"\p{N}{1,3}+"),
        "numbers stay whole: {} becomes {}.": other(r"\p{N}++"),
        "every digit is cut off by itself: {} becomes {}. Take up to three.": other(r"\p{N}"),
        "only the digits 0 to 9 are cut from the right, but {} has other characters of \\p{{N}}: {}.": other(
            r"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))|\p{N}{1,3}+"
        ),
    }
    mixed = other(r"\p{N}{1,3}(?=(?:\d{3})*(?!\d))")
    for text in texts:
        got, want = compiled.findall(text), _from_the_right(text)
        if got == want:
            continue
        if "".join(got) != text:
            wrong(
                f"the pieces of {_short(text, 40)} no longer make the text: {_short(got)}. Where no alternative fits, "
                "findall leaves characters out."
            )
        for sentence, cut in cuts.items():
            if got == cut(text) and all(compiled.findall(t) == cut(t) for t in texts):
                wrong(sentence.format(_short(text, 40), _short(got)))
        if got == mixed(text) and all(compiled.findall(t) == mixed(t) for t in texts):
            wrong(f"the lookahead counts \\d, and ² is \\p{{N}} and no \\d: {_short(text, 40)} becomes {_short(got)}.")
        if got == cuts["{} is still cut from the left: {}."](text):
            wrong(f"{_short(text, 40)} is still cut from the left: {_short(got)}.")
        words = lambda pieces: [piece for piece in pieces if not regex.fullmatch(r"\p{N}+", piece)]
        if words(got) != words(want):
            wrong(f"other pieces than numbers have changed: {_short(text, 40)} should be {want}, but you cut {got}.")
        wrong(f"{_short(text, 40)} should be cut into {_short(want, 90)}, but you cut {_short(got, 90)}.")
    return "numbers from the right, everything else as before."


# --- E09: rotary positions --------------------------------------------------------------------------------------------


def _rope(x: torch.Tensor, positions: torch.Tensor, base: float = 10000.0, power: float = 1.0) -> torch.Tensor:
    """Through complex numbers."""
    d = x.shape[-1]
    theta = base ** (-power * torch.arange(0, d, 2, dtype=torch.double) / d)
    turn = torch.polar(torch.ones(len(positions), d // 2, dtype=torch.double), positions.double()[:, None] * theta)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


def _halves(x: torch.Tensor, positions: torch.Tensor, base: float = 10000.0) -> torch.Tensor:
    """The other convention: feature i pairs with feature i + d / 2."""
    d = x.shape[-1]
    mixed = x.unflatten(-1, (2, d // 2)).transpose(-1, -2).flatten(-2)
    return _rope(mixed, positions, base).unflatten(-1, (d // 2, 2)).transpose(-1, -2).flatten(-2)


@task("E09a", "write `rope`")
def e09a(rope):
    shapes = [((5, 8), 10000.0), ((2, 3, 7, 4), 10000.0), ((3, 6, 16), 100.0), ((4, 6, 8), 10000.0), ((1, 2), 10000.0)]
    for shape, base in shapes:
        for dtype in (torch.double, torch.float):
            T = shape[-2]
            for positions in (torch.arange(T), torch.randint(-50, 50, (T,)), torch.rand(T) * 9):
                x = torch.randn(shape, dtype=dtype)
                kept, places = x.clone(), positions.clone()
                got = rope(x, positions) if base == 10000.0 else rope(x, positions, base)
                if not (torch.equal(x, kept) and torch.equal(positions, places)):
                    wrong("your function changed x or the positions: return a new tensor.")
                if isinstance(got, torch.Tensor) and got.shape == x.shape and got.dtype != dtype:
                    wrong(f"x is {dtype}, so the result should be too, but it is {got.dtype}.")
                want = _rope(x, positions, base)
                pairs, waves = want.unflatten(-1, (-1, 2)), _rope(torch.ones_like(x), positions, base)
                mistakes = {
                    "you turn clockwise: (a cos − b sin, a sin + b cos).": _rope(x, -positions, base),
                    "you pair feature i with feature i + d / 2; here neighbours are a pair.": _halves(
                        x, positions, base
                    ),
                    "first the first features of all pairs, then the second ones: lay the pairs side by side again "
                    "(stack, flatten).": torch.cat([pairs[..., 0], pairs[..., 1]], -1),
                    "the exponent is −2i/d; you use −i/d.": _rope(x, positions, base, power=0.5),
                    "`base` is an argument: you use 10000 always.": _rope(x, positions, 10000.0),
                    "the positions are an argument: you count 0, 1, 2, ... yourself.": _rope(x, torch.arange(T), base),
                    "every pair is turned by the same angle: theta falls from pair to pair.": _rope(x, positions, 1.0),
                    "theta grows from pair to pair: the exponent is negative.": _rope(x, positions, 1 / base),
                    "the angles are taken in degrees: sin and cos want radians.": _rope(
                        x, positions * torch.pi / 180, base
                    ),
                    "nothing is turned.": x,
                    "you add the position's waves to x: rotary positions turn x.": x + waves,
                    "right values, but in another order of the dimensions.": want.transpose(-1, -2),
                }
                if (
                    dtype == torch.double
                    and isinstance(got, torch.Tensor)
                    and got.shape == x.shape
                    and 1e-9 < (got - want).abs().max() < 1e-4
                ):
                    wrong("x is float64, but theta or the angles are float32: make them with x's dtype.")
                mistakes["positions may lie between two integers: you cut off what is behind the point."] = _rope(
                    x, positions.long(), base
                )
                close = 1e-9 if dtype == torch.double else 1e-4  # angles up to 50 in float32 are good to 4e-6
                what = f"rope for x of shape {shape}, {dtype}, at positions {positions[:3].tolist()} ..."
                same(what, got, want, mistakes, rtol=close, atol=close)
    x, weight = torch.randn(2, 3, 4, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)
    x = x[0].requires_grad_()
    got = rope(x, torch.arange(3))
    grad = torch.autograd.grad((got * weight).sum(), x, allow_unused=True)[0] if got.requires_grad else None
    if grad is None:
        wrong("no gradient reaches x: is something detached, or under `torch.no_grad()`?")
    same("the gradient of x", grad, _rope(weight, -torch.arange(3)), rtol=1e-9, atol=1e-9)
    return "any shape and base; positions in any order, negative, or between two integers."


def _codes() -> dict[str, tuple[Callable, bool]]:
    """{what it is: (turn, whether it is relative)}, turn(q, k, positions) -> (q, k)."""
    d = 8
    both = lambda f: lambda q, k, p: (f(q, p), f(k, p))
    column = lambda p: p.double()[:, None]
    unit = torch.tensor([[0.0, 1.0] * (d // 2)], dtype=torch.double)
    waves = lambda p: _rope(unit.expand(len(p), d), p)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.double))[0]
    last_wrong = lambda f: lambda x, p: torch.cat([_rope(x, p)[:, :-2], f(x, p)[:, -2:]], -1)
    crossed = lambda x, p: x * waves(p)[:, 1::2].repeat(1, 2) + _quarter(x) * waves(p)[:, ::2].repeat(1, 2)
    return {
        "rotary": (both(_rope), True),
        "sinusoids, added to both": (both(lambda x, p: x + waves(p)), False),
        "rotary with base 100": (both(lambda x, p: _rope(x, p, 100.0)), True),
        "rotary, clockwise": (both(lambda x, p: _rope(x, -p)), True),
        "rotary with feature i and i + d / 2 for pairs": (both(_halves), True),
        "rotary after a change of basis": (both(lambda x, p: _rope(x @ basis, p)), True),
        "rotary, and the result twice as large": (both(lambda x, p: 2 * _rope(x, p)), True),
        "rotary with all positions counted from 5": (both(lambda x, p: _rope(x, p + 5)), True),
        "rotary, the keys counted from 3": (lambda q, k, p: (_rope(q, p), _rope(k, p + 3)), True),
        "rotary for half of the features, the others left alone": (
            both(lambda x, p: torch.cat([_rope(x[:, :4], p), x[:, 4:]], -1)),
            True,
        ),
        "rotary with a decay: queries shrink as keys grow": (
            lambda q, k, p: (_rope(q, p) * torch.exp(-column(p) / 4000), _rope(k, p) * torch.exp(column(p) / 4000)),
            True,
        ),
        "no positions at all": (lambda q, k, p: (q, k), True),
        "rotary on the queries alone": (lambda q, k, p: (_rope(q, p), k), False),
        "rotary on the keys alone": (lambda q, k, p: (q, _rope(k, p)), False),
        "queries turned one way, keys the other": (lambda q, k, p: (_rope(q, p), _rope(k, -p)), False),
        "queries and keys with different bases": (lambda q, k, p: (_rope(q, p), _rope(k, p, 100.0)), False),
        "rotary, and the sinusoids added afterwards, which turn with it": (
            both(lambda x, p: _rope(x, p) + waves(p)),
            True,
        ),
        "a thousandth of the sinusoids added, then rotary": (both(lambda x, p: _rope(x + 1e-3 * waves(p), p)), False),
        "sinusoids, multiplied": (both(lambda x, p: x * waves(p)), False),
        "angles that grow with the square of the position": (
            both(lambda x, p: _rope(x, column(p)[:, 0] ** 2 / 50)),
            False,
        ),
        "angles that grow with the root of the position": (both(lambda x, p: _rope(x, p.double().sqrt())), False),
        "angles for which two positions share a place": (both(lambda x, p: _rope(x, p // 2)), False),
        "positions that begin again at 64": (both(lambda x, p: _rope(x, p % 64)), False),
        "angles that stop growing at position 2,000": (both(lambda x, p: _rope(x, p.clamp(max=2000))), False),
        "another base beyond position 1,000": (
            both(lambda x, p: _rope(x, p, 10000.0 if p.max() < 1000 else 20000.0)),
            False,
        ),
        "positions divided by the largest": (both(lambda x, p: _rope(x, 50 * p / p.max().clamp(min=1))), False),
        "rotary, then scaled by the position": (both(lambda x, p: _rope(x, p) * (1 + 0.001 * column(p))), False),
        "a wrong sign in the rotation": (both(lambda x, p: _rope(x, p) * unit + _rope(x, -p) * (1 - unit)), False),
        "only the first feature of each pair turned": (
            both(lambda x, p: torch.stack([_rope(x, p)[:, ::2], x[:, 1::2]], -1).flatten(-2)),
            False,
        ),
        "angles laid out for one kind of pairs, features paired in the other": (both(crossed), False),
        "rotary, and a wave added to the queries that leaves the mean of all scores as it is": (
            lambda q, k, p: (_rope(q, p) + 0.1 * _wave(p) * basis[:1], _rope(k, p)),
            False,
        ),
        "the last pair turned by the square of the position": (
            both(last_wrong(lambda x, p: _rope(x, column(p)[:, 0] ** 2 / 50))),
            False,
        ),
        "the last pair with a little of the position added": (
            both(last_wrong(lambda x, p: x + 1e-3 * column(p))),
            False,
        ),
    }


def _wave(positions: torch.Tensor) -> torch.Tensor:
    """(T, 1), with the mean 0 where there are several."""
    wave = torch.sin(positions.double() / 3)[:, None]
    return wave - wave.mean() if len(wave) > 1 else wave


def _quarter(x: torch.Tensor) -> torch.Tensor:
    """Each pair of neighbours turned by a right angle."""
    return torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)


@task("E09b", "write `is_relative`")
def e09b(is_relative):
    for name, (code, relative) in _codes().items():

        def turn(q, k, positions, code=code):
            for x in (q, k, positions):
                if not isinstance(x, torch.Tensor):
                    wrong(f"call turn(q, k, positions) with tensors; you gave it a {type(x).__name__}.")
            shapes = tuple(q.shape), tuple(k.shape), tuple(positions.shape)
            if q.dim() != 2 or shapes != ((len(q), 8), (len(q), 8), (len(q),)):
                wrong(f"call turn(q, k, positions) with shapes (T, 8), (T, 8), (T,); you gave {shapes}.")
            if (positions < 0).any():
                wrong("call turn with positions that are not negative.")
            if q.dtype != torch.double or k.dtype != torch.double:
                wrong("call turn with q and k in float64 (dtype=torch.double): float32 rounds too much to tell.")
            return code(q, k, positions)

        for _ in range(2):
            got = is_relative(turn)
            if got is None:
                wrong("is_relative returned None: does your function return its result?")
            if not isinstance(got, bool):
                if isinstance(got, torch.Tensor) and got.dtype == torch.bool and got.numel() == 1:
                    got = bool(got)
                else:
                    wrong(f"is_relative should return True or False, but it returned a {type(got).__name__}.")
            if got and not relative:
                wrong(
                    f"your test takes this code for relative, although it is not: {name}. Try random queries and keys, "
                    "several distances, and short, odd and long shifts of both positions."
                )
            if relative and not got:
                wrong(
                    f"your test calls this code not relative, although it is: {name}. Do you move both positions by "
                    "the same amount? Is the tolerance too tight?"
                )
    return f"{len(_codes())} codes told apart."
