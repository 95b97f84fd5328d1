"""The checks of exercises/09_tokenizers.ipynb."""

import itertools
import random
import time
from collections import Counter
from html.parser import HTMLParser

import regex
import tiktoken
import torch

from course_utils.lectures.tokenizer import GPT2_SPLIT, GPT4_SPLIT, learn_merges

from . import same, task, wrong

SCRIPTS = [(97, 123)] * 5 + [(48, 58), (65, 91), (0x3B1, 0x3CA), (0x4E00, 0x4F00), (0x1F600, 0x1F640)]
BETWEEN = ["", " ", " ", "  ", "\n", "\r\n", "\n\n", " \t", "'s ", ", ", "!?", "1234567"]
DEEP = [1] * 6 + [2] * 6  # a text whose pairs overlap themselves


def _text(length: int) -> str:
    """Short runs out of several scripts with something between them."""
    parts = []
    while sum(map(len, parts)) < length:
        low, high = random.choice(SCRIPTS)
        parts.append("".join(chr(random.randrange(low, high)) for _ in range(random.randint(1, 5))))
        parts.append(random.choice(BETWEEN))
    return "".join(parts)


def _english(length: int) -> str:
    words = [
        "the",
        "then",
        "there",
        "she",
        "shells",
        "sells",
        "sea",
        "seashore",
        "sure",
        "a",
        "an",
        "and",
        "hand",
        "sand",
        "12",
        "1215",
        "lord's",
        "don't",
    ]
    return " ".join(random.choice(words) for _ in range(length // 5))[:length]


def _plain(ids, what: str) -> list[int]:
    """The learner's list of ids, or a sentence."""
    if ids is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(ids, torch.Tensor):
        ids = ids.tolist()
    if not isinstance(ids, list | tuple) or not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
        wrong(f"{what} should be a list of ints, but it is {str(ids)[:60]}.")
    return list(ids)


def _counts(pairs) -> dict:
    counts = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def _same_counts(what: str, got, want: dict, mistakes: dict) -> None:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, dict):
        wrong(f"{what} should be a dictionary, but it is a {type(got).__name__}.")
    for sentence, value in mistakes.items():
        if dict(got) == value != want:
            wrong(sentence)
    if dict(got) == want:
        return
    for key in got:
        if not (isinstance(key, tuple) and len(key) == 2):
            wrong(f"the keys of {what} should be pairs (left, right), but there is {key!r}.")
    if any(n == 0 for n in got.values()):
        wrong(f"{what} holds pairs with a count of 0: leave out what does not occur.")
    key = next(k for k in [*want, *got] if got.get(k) != want.get(k))
    wrong(f"{what}: the pair {key} occurs {want.get(key, 0)} times, but you count {got.get(key, 0)}.")


def _merge(ids: list[int], pair, new: int) -> list[int]:
    out, i = [], 0
    while i < len(ids):
        fits = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new if fits else ids[i])
        i += 1 + fits
    return out


# --- E01: byte pairs --------------------------------------------------------------------------------------------------


@task("E01a", "write `pair_counts`")
def e01a(pair_counts):
    texts = [list(b"aaabdaaabac"), DEEP, [7] * 9, [5, 300, 5, 300], [1, 2], [4], []]
    texts += [[random.randrange(4) for _ in range(60)] for _ in range(20)]
    for ids in texts:
        kept = list(ids)
        got = pair_counts(ids)
        if ids != kept:
            wrong("your function changed the list that it was given.")
        apart, i = [], 0
        while i + 1 < len(ids):
            apart.append((ids[i], ids[i + 1]))
            i += 2 if ids[i] == ids[i + 1] else 1
        ring = [*ids, *ids[:1]]
        mistakes = {
            "you count only every second place: pairs overlap.": _counts(zip(ids[::2], ids[1::2], strict=False)),
            "a pair of equal tokens counts at every place: `aaa` holds (a, a) twice.": _counts(apart),
            "the last token and the first are no neighbours.": _counts(itertools.pairwise(ring)),
            "(left, right) and (right, left) are two pairs: keep the order.": _counts(
                (min(p), max(p)) for p in itertools.pairwise(ids)
            ),
            "your pairs are turned round: (left, right).": _counts(zip(ids[1:], ids, strict=False)),
            "the last pair is missing.": _counts(itertools.pairwise(ids[:-1])) if len(ids) > 1 else None,
            "every pair has the count 1: add up.": dict.fromkeys(itertools.pairwise(ids), 1),
        }
        _same_counts(f"the counts of {ids[:12]}", got, _counts(itertools.pairwise(ids)), mistakes)


@task("E01b", "write `merge`")
def e01b(merge):
    cases = [
        ([5, 6, 6, 7, 9, 1], (6, 7), 99),
        ([1, 1, 1], (1, 1), 2),
        ([1, 1, 1, 1, 1], (1, 1), 2),
        ([1, 2], (1, 2), 300),
        ([3, 1, 2], (1, 2), 300),
        ([1, 2, 1], (1, 2), 300),
        ([1, 2, 2], (1, 2), 2),
        ([2, 1, 2, 1], (1, 2), 9),
        ([4], (4, 4), 5),
        ([], (4, 4), 5),
    ]
    cases += [([random.randrange(3) for _ in range(40)], (a, b), 300 + a) for a in range(3) for b in range(3)]
    for ids, pair, new in cases:
        kept = list(ids)
        got = merge(ids, pair, new)
        if ids != kept:
            wrong("your function changed the list that it was given: build a new one.")
        got = _plain(got, f"merge({kept[:8]}, {pair}, {new})")
        want = _merge(kept, pair, new)
        if got == want:
            continue
        right = _merge(kept[::-1], pair[::-1], new)[::-1]
        once = next((i for i in range(len(kept) - 1) if (kept[i], kept[i + 1]) == pair), None)
        first = kept if once is None else [*kept[:once], new, *kept[once + 2 :]]
        if got == right:
            wrong("you merge from the right; of `aaa` the first two merge.")
        if got == first:
            wrong("only the first occurrence is merged.")
        if got == want[:-1] or got == want[: len(got)]:
            wrong(f"the end is missing: {kept} should become {want}, but you give {got}.")
        if got == kept:
            wrong(f"nothing is merged in {kept} for the pair {pair}: it should become {want}.")
        if got == _merge(_merge(kept, pair, new), pair[::-1], new):
            wrong("you merge (right, left) as well as (left, right).")
        wrong(f"merge({kept}, {pair}, {new}) should be {want}, but it is {got}.")


def _learn(pieces: dict[bytes, int], count: int, best=None) -> list[tuple[int, int]]:
    """By recounting; best: what picks a pair from the counts."""
    best = best or (lambda counts: min(counts, key=lambda pair: (-counts[pair], pair)))
    words, merges = [(list(piece), n) for piece, n in pieces.items()], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in itertools.pairwise(ids):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        merges.append(best(counts))
        words = [(_merge(ids, merges[-1], 255 + len(merges)), n) for ids, n in words]
    return merges


def _merges(got, what: str) -> list[tuple[int, int]]:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, list | tuple) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in got):
        wrong(f"{what} should be a list of pairs, but it is {str(got)[:60]}.")
    return [tuple(pair) for pair in got]


RULES = {
    "of equally frequent pairs the smallest goes first; you take the one that comes first in the text.": (
        lambda counts: max(counts, key=counts.get)
    ),
    "of equally frequent pairs the smallest goes first; you take the largest.": (
        lambda counts: max(counts, key=lambda pair: (counts[pair], pair))
    ),
    "you take the smallest pair, however rare: the most frequent goes first.": min,
    "you take the rarest pair: the most frequent goes first.": (
        lambda counts: min(counts, key=lambda pair: (counts[pair], pair))
    ),
}


@task("E01c", "write `learn`")
def e01c(learn):
    cases = [(b"aaabdaaabac", 3), (b"zyzyab ab", 2), (b"aaaaaaaaaa", 9), (b"ab", 5), (b"a", 2), (b"", 2)]
    cases += [(_english(300).encode(), 30), (_text(60).encode(), 20), (b"dcba" * 5, 4)]
    cases += [(bytes(random.choices(b"abc", k=50)), 12) for _ in range(20)]
    answers = [_merges(learn(raw, count), f"learn({raw[:20]!r}, {count})") for raw, count in cases]
    for sentence, best in RULES.items():
        theirs = [_learn({raw: 1}, count, best) for raw, count in cases]
        if answers == theirs:
            wrong(sentence)
    for (raw, count), got in zip(cases, answers, strict=True):
        want = _learn({raw: 1}, count)
        if got == want:
            continue
        if len(got) > len(want):
            wrong(f"{raw[:20]!r} runs out of pairs after {len(want)} merges, but you return {len(got)}.")
        if got == want[: len(got)]:
            wrong(f"learn({raw[:20]!r}, {count}) should make {len(want)} merges, but it made {len(got)}.")
        n = next(n for n, (a, b) in enumerate(zip(got, want, strict=False)) if a != b)
        wrong(
            f"merge number {n} of {raw[:20]!r} should be {want[n]}, but it is {got[n]}; new tokens are numbered 256, "
            "257, ... in the order of the merges."
        )


def _encode(raw: bytes, merges) -> list[int]:
    ids = list(raw)
    for n, pair in enumerate(merges):
        ids = _merge(ids, pair, 256 + n)
    return ids


@task("E01d", "write `encode`")
def e01d(encode):
    training = (_english(3000) + "naïve café 你好" * 20).encode()
    vocabularies = [_learn({training: 1}, 60), _learn({b"abcbcabab" * 9 + b"aabbaabb": 1}, 8), []]
    vocabularies.append([(98, 99), (97, 256), (97, 98)])  # abc: the order decides
    vocabularies.append([(98, 99), (97, 98), (257, 97)])  # abca: bc goes first, though aba is longer
    texts = [
        "",
        "a",
        "abc",
        "abcabc ab",
        "abca abab",
        "seashells",
        "naïve 你好, 你",
        "🙂 sure",
        _english(200),
        _text(100),
        "aaaa",
    ]
    for merges in vocabularies:
        for text in texts:
            kept = list(merges)
            got = encode(text, merges)
            if merges != kept:
                wrong("your function changed the list of merges.")
            got, want = _plain(got, f"encode({text[:12]!r})"), _encode(text.encode(), merges)
            if got == want:
                continue
            if merges and got == list(text.encode()):
                wrong("no merge is applied: these are the bytes.")
            if got == [ord(c) for c in text] and not text.isascii():
                wrong("start from the UTF-8 bytes, text.encode(), not from code points.")
            if got == _longest(text.encode(), merges):
                wrong("you take the longest token that fits: replay the merges in their order instead.")
            frequent = _greedy(text.encode(), merges)
            if got == frequent:
                wrong("the most frequent pair of the new text does not matter: the earliest merge goes first.")
            if got == _leftmost(text.encode(), merges):
                wrong("you merge what comes first in the text: the merge that was learned first goes first.")
            wrong(
                f"encode({text[:20]!r}) with the merges {merges[:4]} should begin {want[:10]}, but it gives {got[:10]}."
            )


def _greedy(raw: bytes, merges) -> list[int]:
    ids, known = list(raw), {pair: 256 + n for n, pair in enumerate(merges)}
    while counts := {p: n for p, n in _counts(itertools.pairwise(ids)).items() if p in known}:
        pair = max(counts, key=counts.get)
        ids = _merge(ids, pair, known[pair])
    return ids


def _leftmost(raw: bytes, merges) -> list[int]:
    ids, known = list(raw), {pair: 256 + n for n, pair in enumerate(merges)}
    while (i := next((i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) in known), None)) is not None:
        ids[i : i + 2] = [known[ids[i], ids[i + 1]]]
    return ids


def _longest(raw: bytes, merges) -> list[int]:
    spelled = _spelled(merges)
    number, ids = {token: i for i, token in reversed(list(enumerate(spelled)))}, []
    while raw:
        size = max(n for n in range(1, len(raw) + 1) if raw[:n] in number)
        ids.append(number[raw[:size]])
        raw = raw[size:]
    return ids


def _spelled(merges) -> list[bytes]:
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return spelled


@task("E01e", "write `decode`")
def e01e(decode):
    merges = _learn({("naïve 你好 " * 30 + _english(500)).encode(): 1}, 50)
    spelled = _spelled(merges)
    lists = [_encode(text.encode(), merges) for text in ("", "she sells", "naïve 你好", "🙂🙂", _text(60))]
    lists += [[random.randrange(len(spelled)) for _ in range(12)] for _ in range(20)] + [
        [128],
        [0xF0, 0x9F, 0x99],
        [255, 97],
    ]
    for ids in lists:
        kept = list(ids)
        got = decode(ids, merges)
        if ids != kept:
            wrong("your function changed the list that it was given.")
        raw = b"".join(spelled[i] for i in ids)
        want = raw.decode("utf-8", errors="replace")
        if got is None:
            wrong("decode returned None: does your function return its result?")
        if not isinstance(got, str):
            wrong(f"decode should return a string, but it returned {type(got).__name__}.")
        if got == want:
            continue
        if got == "".join(spelled[i].decode("utf-8", errors="replace") for i in ids):
            wrong("you decode token by token: a character may be spread over two of them. Join the bytes first.")
        if got == raw.decode("utf-8", errors="ignore"):
            wrong("bytes that are no UTF-8 should become U+FFFD; you leave them out.")
        if got == raw.decode("latin-1"):
            wrong("you decode the bytes as Latin-1: they are UTF-8.")
        wrong(f"decode({kept[:8]}) should be {want!r}, but it is {got!r}.")


# --- E02: pieces ------------------------------------------------------------------------------------------------------


def _inside(text: str, pattern: str) -> dict:
    raws = [piece.encode() for piece in regex.findall(pattern, text)]
    return _counts(pair for raw in raws for pair in itertools.pairwise(raw))


@task("E02a", "write `pair_counts_inside`")
def e02a(pair_counts_inside):
    for pattern in (GPT4_SPLIT, GPT2_SPLIT, r"\d|\D+", "."):
        for text in ("", "a", "she sells sea shells", "12 1234 你好 don't", *(_text(80) for _ in range(8))):
            raw = text.encode()
            pieces = regex.findall(pattern, text)
            points = [list(map(ord, piece)) for piece in pieces]
            mistakes = {
                "pairs cross from one piece to the next: count in each piece by itself.": _counts(
                    itertools.pairwise(raw)
                ),
                "you count pairs of characters: the pairs are of UTF-8 bytes.": _counts(
                    pair for piece in points for pair in itertools.pairwise(piece)
                ),
                "a piece that occurs twice counts twice; you count each different piece once.": _counts(
                    pair for p in set(pieces) for pair in zip(p.encode(), p.encode()[1:], strict=False)
                ),
                "you use a pattern of your own: the argument `pattern` says where to cut.": (
                    _inside(text, GPT4_SPLIT) if pattern != GPT4_SPLIT else None
                ),
            }
            got = pair_counts_inside(text, pattern)
            _same_counts(f"the counts of {text[:20]!r}", got, _inside(text, pattern), mistakes)


@task("E02b", "write `encode_in_pieces`")
def e02b(encode_in_pieces):
    training = Counter(piece.encode() for piece in regex.findall(GPT4_SPLIT, _english(3000)))
    ranks = {token: i for i, token in enumerate(_spelled(_learn(dict(training), 60)))}
    for pattern in (GPT4_SPLIT, GPT2_SPLIT):
        library = tiktoken.Encoding("check", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        for text in (
            "",
            "she sells seashells, she does",
            "ab ab ab  ab",
            *(_english(100) + _text(60) for _ in range(5)),
        ):
            asked = []

            def encode_piece(piece, asked=asked, library=library):
                if not isinstance(piece, str):
                    wrong(f"encode_piece takes a piece of text, a string, but it got a {type(piece).__name__}.")
                asked.append(piece)
                return library.encode_ordinary(piece)

            got = encode_in_pieces(text, pattern, encode_piece)
            if got and any(isinstance(i, list | tuple) for i in got):
                wrong("your list holds lists: the ids of all pieces belong in one flat list.")
            got, want = _plain(got, f"the ids of {text[:16]!r}"), library.encode_ordinary(text)
            pieces = regex.findall(pattern, text)
            if text and asked == [text] != pieces:
                wrong("you encode the whole text at once: cut it with the pattern first.")
            if got != want:
                once = [i for piece in dict.fromkeys(pieces) for i in library.encode_ordinary(piece)]
                if got == once:
                    wrong("a piece that comes again is left out: its ids are needed each time.")
                wrong(f"the ids of {text[:24]!r} should begin {want[:8]}, but they begin {got[:8]}.")
            if len(asked) > len(set(asked)):
                again = next(piece for piece in asked if asked.count(piece) > 1)
                wrong(f"encode_piece was called {asked.count(again)} times with {again!r}: remember what it gave.")


# --- E03: merges out of ranks -----------------------------------------------------------------------------------------


@task("E03", "write `recover_merges`")
def e03(recover_merges):
    for trial in range(4):
        text = [_english(4000), _text(600), "abababcabcabcdabcd" * 20, "aaaaaaaabbbbbbbb" * 20][trial]
        pieces = Counter(piece.encode() for piece in regex.findall(GPT4_SPLIT, text))
        learned = learn_merges(pieces, 80)
        order = list(range(256))
        if trial != 1:
            random.shuffle(order)  # single bytes in another order, as GPT-4 has them
        number = [*order, *range(256, 256 + len(learned))]
        spelled = _spelled(learned)
        ranks = {spelled[i]: number[i] for i in range(len(spelled))}
        want = {(number[a], number[b]): 256 + n for n, (a, b) in enumerate(learned)}
        kept = dict(ranks)
        got = recover_merges(ranks)
        if ranks != kept:
            wrong("your function changed the dictionary of ranks.")
        if got is None:
            wrong("recover_merges returned None: does your function return its result?")
        if not isinstance(got, dict):
            wrong(f"recover_merges should return a dictionary, but it returned a {type(got).__name__}.")
        if got == want:
            continue
        if got == {(a, b): 256 + n for n, (a, b) in enumerate(learned)}:
            wrong("a single byte's id is `ranks[byte]`, not the byte's value: GPT-4 has them in another order.")
        if got == {(spelled[a], spelled[b]): 256 + n for n, (a, b) in enumerate(learned)}:
            wrong("the keys should be pairs of ids, not of bytes.")
        if {new: pair for pair, new in want.items()} == got:
            wrong("the other way round: the pair is the key, the new id the value.")
        token = {i: t for t, i in ranks.items()}
        extra = [pair for pair in got if pair not in want]
        missing = [pair for pair in want if pair not in got]
        if missing:
            a, b = missing[0]
            made = token[want[missing[0]]]
            others = [p for p in extra if got[p] == want[missing[0]]]
            told = ""
            if others and others[0][0] in token and others[0][1] in token:
                told = f", but you have {token[others[0][0]]!r} + {token[others[0][1]]!r}"
            wrong(
                f"{made!r} was made from {token[a]!r} + {token[b]!r}{told}: join the neighbours with the smallest rank "
                "until two parts are left, with tokens of smaller rank only."
            )
        wrong(f"{extra[0]} is no merge: only tokens of two or more bytes were made from a pair.")


# --- E04: special tokens ----------------------------------------------------------------------------------------------

SPECIAL = {"<|end|>": 1000, "<|end|>2": 1001, "<|user|>": 1002, "(.*)": 1003}


def _special(text: str, chosen: set[str]) -> list[int]:
    """By hand: at each place the longest chosen token, else ordinary text up to the next."""
    out, i, held = [], 0, ""
    while i < len(text):
        token = max((t for t in chosen if text.startswith(t, i)), key=len, default=None)
        if token:
            out += _ordinary(held) if held else []
            out.append(SPECIAL[token])
            held, i = "", i + len(token)
        else:
            held, i = held + text[i], i + 1
    return out + (_ordinary(held) if held else [])


def _ordinary(text: str) -> list[int]:
    return [-7, *text.encode()]  # marks where a stretch begins


@task("E04", "write `encode_special`")
def e04(encode_special):
    def ordinary(text):
        if not isinstance(text, str):
            wrong(f"encode_ordinary takes a string, but it got {text!r}.")
        if not text:
            wrong("encode_ordinary was called with an empty string: leave out what lies between two special tokens.")
        return _ordinary(text)

    texts = ["", "plain", "<|end|>", "a<|end|>b", "<|end|><|user|>", "<|end|>2 x <|end|> y", "(.*) and abc", "<|en"]
    texts += ["<|end|>2<|end|>(.*)<|user|>", "hello <|user|>\n(.*)(.*)!"]
    for text in sorted(texts, key=lambda text: "(.*)" in text):  # the hardest names last
        for allowed in ("all", "none", {"<|end|>"}, {"<|user|>", "(.*)"}, set(), {"<|end|>", "<|end|>2"}):
            chosen = set(SPECIAL) if allowed == "all" else set() if allowed == "none" else allowed
            try:
                got = encode_special(text, dict(SPECIAL), allowed, ordinary)
            except ValueError as problem:
                wrong(f"allowed={allowed!r} should not raise for {text!r}, but it raised ValueError: {problem}")
            got, want = _plain(got, f"the ids of {text!r}"), _special(text, chosen)
            if got == want:
                continue
            if got == _special(text, set(SPECIAL)):
                wrong(f"with allowed={allowed!r}, only these are special: in {text!r} you make others special too.")
            if got == _special(text, set()) and chosen:
                wrong(f"with allowed={allowed!r}, {text!r} has special tokens, but you encode all of it as plain text.")
            if "<|end|>2" in text and got == _special(text, chosen - {"<|end|>2"}):
                wrong("<|end|>2 begins with <|end|>: where both fit, the longest wins.")
            if got == [i for i in want if i < 1000]:
                wrong(f"the special tokens of {text!r} have vanished: they become their ids.")
            without = {token: i for token, i in SPECIAL.items() if token != "(.*)"}
            if "(.*)" in chosen and encode_special(text, without, chosen - {"(.*)"}, ordinary) == _special(
                text, chosen - {"(.*)"}
            ):
                wrong(
                    "a special token may hold characters that mean something in a pattern, such as (.*): escape them."
                )
            wrong(f"{text!r} with allowed={allowed!r} should give {want[:9]}, but it gives {got[:9]}.")
        inside = [token for token in SPECIAL if token in text]
        try:
            got = encode_special(text, dict(SPECIAL), "none_raise", ordinary)
        except ValueError as problem:
            if not inside:
                wrong(f'"none_raise" raised for {text!r}, which holds no special token.')
            if not any(token in str(problem) for token in inside):
                wrong(f'the message of "none_raise" should name the special token, but it says: {problem}')
            continue
        except AssertionError as problem:
            if type(problem) is AssertionError:
                wrong('"none_raise" should raise a ValueError, not an AssertionError: asserts can be switched off.')
            raise
        if inside:
            wrong(f'"none_raise" should raise a ValueError for {text!r}, but it returned {str(got)[:40]}.')
        if _plain(got, f"the ids of {text!r}") != _special(text, set()):
            wrong(f'"none_raise" should encode {text!r}, which holds no special token, as plain text.')


# --- E05: code points with bytes to fall back on ----------------------------------------------------------------------


def _symbols(text: str, vocab: set[str], front: bool = True) -> list[str]:
    out = ["▁"] if text and front else []
    for c in text:
        if c == " ":
            out.append("▁")
        elif c in vocab or c == "▁":
            out.append(c)
        else:
            out += [f"<0x{byte:02X}>" for byte in c.encode()]
    return out


@task("E05a", "write `to_symbols`")
def e05a(to_symbols):
    vocab = set("abcdefghijklmnopqrstuvwxyzé,你.")
    texts = ["", "a", " ", "hello you", "  two", "é你好", "Tab\tand\n", "a▁b", "🙂", *(_text(30) for _ in range(10))]
    for text in texts:
        kept = set(vocab)
        got, want = to_symbols(text, vocab), _symbols(text, vocab)
        if vocab != kept:
            wrong("your function changed the vocabulary that it was given.")
        if got is None:
            wrong("to_symbols returned None: does your function return its result?")
        if not isinstance(got, list) or not all(isinstance(s, str) for s in got):
            wrong(f"to_symbols should return a list of strings, but it returned {str(got)[:50]}.")
        if got == want:
            continue
        if text.strip(" ") == text and got == _symbols(text, vocab, front=False):
            wrong("the ▁ in front of the text is missing.")
        if not text:
            wrong(f"an empty text has no symbols, but you give {got}.")
        if got == [s.lower() if s.startswith("<0x") and len(s) == 6 else s for s in want]:
            wrong("the hexadecimal digits should be capitals: <0xE4>.")
        if got == ["▁", *[c if c in vocab or c == "▁" else f"<0x{ord(c):02X}>" for c in text.replace(" ", "▁")]]:
            wrong("an unknown character becomes its UTF-8 bytes, each a symbol, not its code point.")
        if got == ["▁", *_symbols(text.strip(" "), vocab, front=False)]:
            wrong("you strip spaces of the text: each is a ▁ of its own.")
        if any(s == "<0xE2>" for s in got) and "▁" not in vocab and got.count("▁") < want.count("▁"):
            wrong("▁ counts as known, also when it is not in the vocabulary.")
        if "".join(got) == "".join(want):
            wrong("the symbols are right when joined, but each byte and each character should be an entry of its own.")
        wrong(f"the symbols of {text!r} should be {want[:8]}, but they are {got[:8]}.")


@task("E05b", "write `from_symbols`")
def e05b(from_symbols):
    def reference(symbols):
        raw = b"".join(
            bytes([int(s[3:5], 16)]) if regex.fullmatch("<0x[0-9A-F]{2}>", s) else s.replace("▁", " ").encode()
            for s in symbols
        )
        return raw.decode("utf-8", errors="replace")

    vocab = set("abcdefghijklmnopqrstuvwxyzé,你.<0x>")
    lists = [
        _symbols(t, vocab)
        for t in ("", "a", " ", "hello you", "  two", "é你好", "🙂🙂!", "<0x>", *(_text(30) for _ in range(8)))
    ]
    lists += [["▁the", "▁s", "ea"], ["▁", "<0xF0>", "<0x9F>"], ["▁", "<0xE4>", "a"], ["▁a▁b"], ["a", "b"], ["▁▁▁x"]]
    for symbols in lists:
        kept = list(symbols)
        got = from_symbols(symbols)
        if symbols != kept:
            wrong("your function changed the list that it was given.")
        if not isinstance(got, str):
            wrong(
                f"from_symbols should return a string, but it returned {type(got).__name__}: does it return its result?"
            )
        full = reference(symbols)
        want = full[1:] if full.startswith(" ") else full
        if got == want:
            continue
        if got == full:
            wrong("the space that was put in front of the text is still there.")
        if got in (full.lstrip(), full.strip()):
            wrong("one space was put in front, so one goes: you strip all of them.")
        if got == full[1:]:
            wrong("take the first character away only if it is the space that was put in front.")
        if "<0x" in got and "<0x" not in want:
            wrong(f"byte symbols such as <0xE4> become bytes again: {kept[:6]} is {want!r}, but you give {got!r}.")
        if "\ufffd" in got and "\ufffd" not in want:
            wrong(
                "you decode byte by byte: a character's bytes only make sense together. Collect them, then decode once."
            )
        if "\ufffd" in want:
            wrong("bytes that are no UTF-8 should become U+FFFD.")
        if got.replace("▁", " ") == want or "▁" in got:
            wrong("▁ should become a space.")
        wrong(f"{kept[:8]} should become {want!r}, but you give {got!r}.")


# --- E06: a faster trainer --------------------------------------------------------------------------------------------


@task("E06", "write `learn_fast`")
def e06(learn_fast):
    cases = [
        ({b"aaaa": 1}, 3),
        ({b"ab": 3, b"bc": 3, b"abc": 1}, 4),
        ({b"a": 5}, 2),
        ({}, 2),
        ({b"abab": 2, b"ababab": 1}, 5),
    ]
    for letters in (b"ab", b"abc", b"abcdef"):
        for _ in range(40):
            pieces = {bytes(random.choices(letters, k=random.randint(1, 12))): random.randint(1, 9) for _ in range(6)}
            cases.append((pieces, random.choice((2, 6, 30))))
    for pieces, count in cases:
        kept = dict(pieces)
        got = learn_fast(pieces, count)
        if pieces != kept:
            wrong("your function changed the dictionary that it was given.")
        got, want = _merges(got, f"learn_fast({str(kept)[:40]}, {count})"), _learn(kept, count)
        if got == want:
            continue
        for sentence, best in RULES.items():
            if got == _learn(kept, count, best) and len(kept) > 3:
                wrong(sentence)
        if got == _learn(dict.fromkeys(kept, 1), count):
            wrong("a piece that occurs five times counts five times: use the numbers of occurrences.")
        if len(got) > len(want):
            wrong(
                f"{str(kept)[:60]} runs out of pairs after {len(want)} merges, but you return {len(got)}: does a pair "
                "with the count 0 stay in your dictionary?"
            )
        if got == want[: len(got)]:
            wrong(f"{str(kept)[:60]} allows {len(want)} merges, but you return {len(got)}.")
        n = next(n for n, (a, b) in enumerate(zip(got, want, strict=False)) if a != b)
        wrong(
            f"merge number {n} of {str(kept)[:80]} should be {want[n]}, but it is {got[n]}. Are the counts still right "
            "after the merges before it? Runs such as aaa and neighbours such as abab are where they go wrong."
        )
    pieces = {bytes(random.choices(b"abcdefghijklmnop", k=7)): random.randint(1, 50) for _ in range(6000)}
    start = time.process_time()
    _learn(pieces, 8)
    recounting = (time.process_time() - start) / 8
    start = time.process_time()
    got = _merges(learn_fast(dict(pieces), 250), "learn_fast on 6,000 pieces")
    took = time.process_time() - start
    if got != learn_merges(pieces, 250):
        wrong("on 6,000 random pieces your merges differ from the recounting trainer's.")
    ratio = 250 * recounting / took
    if ratio < 5:
        wrong(
            f"right, but only {ratio:.1f} times faster than recounting everything: visit only the pieces that hold "
            "the pair."
        )
    return "the same merges, without recounting."


# --- E07: a picture of tokens -----------------------------------------------------------------------------------------


class _Spans(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.styles, self.open, self.outside = [], [], 0, ""

    def handle_starttag(self, tag, attributes):
        if tag != "span":
            wrong(f"there is a tag <{tag}>: a piece's < and > must be escaped, and only spans stand around the pieces.")
        self.open += 1
        self.styles.append(dict(attributes).get("style") or "")
        self.texts.append("")

    def handle_endtag(self, tag):
        self.open -= tag == "span"

    def handle_data(self, text):
        if self.open == 1:
            self.texts[-1] += text
        else:
            self.outside += text


@task("E07", "write `to_html`")
def e07(to_html):
    lists = [
        ["How", " many", " r"],
        ["a", "<b>", "&", "&amp;", "\n", "  ", "x>y"],
        ["one"],
        [],
        ["x"] * 9,
        ["</span>", "a"],
    ]
    for pieces in lists:
        kept = list(pieces)
        got = to_html(pieces)
        if pieces != kept:
            wrong("your function changed the list that it was given.")
        if not isinstance(got, str):
            wrong(f"to_html should return a string, but it returned {type(got).__name__}: does it return its result?")
        page = _Spans()
        page.feed(got)
        page.close()
        want = [piece.replace(" ", "·").replace("\n", "↵") for piece in kept]
        if len(page.texts) != len(want) or page.open:
            wrong(f"{kept} should become {len(want)} spans, each closed, but a browser sees {len(page.texts)}.")
        if page.outside:
            wrong(f"between the spans stands {page.outside!r}: nothing should.")
        if page.texts != want:
            n = next(n for n, (a, b) in enumerate(zip(page.texts, want, strict=True)) if a != b)
            if "&" in kept[n] or "&" in page.texts[n]:
                wrong(f"the piece {kept[n]!r} is shown as {page.texts[n]!r}: escape & first, then < and >.")
            wrong(f"the piece {kept[n]!r} should be shown as {want[n]!r}, but a browser shows {page.texts[n]!r}.")
        if "<b>" in kept and regex.search("&(?!amp;|lt;|gt;|#|quot;)", got):
            wrong("a bare & stands in the HTML: write &amp;amp;.".replace("&amp;amp;", "&amp;"))
        colours = [regex.search(r"background(?:-color)?\s*:\s*([^;]+)", style) for style in page.styles]
        if not all(colours):
            wrong('each span needs a background in its style: style="background:#cfe3f5".')
        names = [colour[1].strip() for colour in colours]
        if any(a == b for a, b in itertools.pairwise(names)):
            wrong("two neighbours have the same colour: take the colours in turn.")
        if len(kept) > 4 and len(set(names)) < 3:
            wrong("take all of the colours in turn, not two of them.")


# --- E08: numbers from the right --------------------------------------------------------------------------------------


def _from_the_right(text: str) -> list[str]:
    out = []
    for piece in regex.findall(GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}++"), text):
        if regex.fullmatch(r"\p{N}+", piece):
            first = len(piece) % 3
            piece = [piece[:first]] * bool(first) + [piece[i : i + 3] for i in range(first, len(piece), 3)]
            out += piece
        else:
            out.append(piece)
    return out


@task("E08", "write `numbers_from_the_right`")
def e08(numbers_from_the_right):
    pattern = numbers_from_the_right()
    if not isinstance(pattern, str):
        wrong(f"the function should return a pattern, a string, but it returned {type(pattern).__name__}.")
    try:
        if regex.compile(pattern).groups:
            wrong(
                "your pattern has a capturing group, and findall then gives the group alone: write (?:...) for (...)."
            )
        cut = regex.compile(pattern).findall
    except regex.error as problem:
        wrong(f"the module regex cannot read your pattern: {problem}.")
    texts = [
        "7",
        "12",
        "123",
        "1234",
        "1234567",
        "12345678",
        "123456789012",
        "in 1815, 12345.678",
        "a1234b",
        "don't  1\n\n22",
    ]
    texts += ["x 1000000 y", "٣٤٥٦", "1²34", *(_text(60) for _ in range(40))]
    for text in texts:
        got, want = cut(text), _from_the_right(text)
        if got == want:
            continue
        if "".join(got) != text:
            wrong(f"the pieces of {text!r} no longer make the text: {got}.")
        if got == regex.findall(GPT4_SPLIT, text):
            wrong(f"{text!r} is still cut from the left: {got}.")
        if got == regex.findall(GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}++"), text):
            wrong(f"numbers stay whole: {got} should be {want}.")
        if got == regex.findall(GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}"), text):
            wrong(f"you cut every digit by itself: {want} is wanted.")
        if regex.search(r"\p{N}", text) is None or [p for p in got if not p.isnumeric()] != [
            p for p in want if not p.isnumeric()
        ]:
            wrong(f"other pieces than numbers have changed: {text!r} should be {want}, but you cut {got}.")
        wrong(f"{text!r} should be cut into {want}, but you cut {got}.")


# --- E09: rotary positions --------------------------------------------------------------------------------------------


def _rope(x: torch.Tensor, positions: torch.Tensor, base: float = 10000.0, power: float = 1.0) -> torch.Tensor:
    """Through complex numbers."""
    d = x.shape[-1]
    theta = base ** (-power * torch.arange(0, d, 2, dtype=torch.double) / d)
    turn = torch.polar(torch.ones(len(positions), d // 2, dtype=torch.double), positions.double()[:, None] * theta)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


def _halves(x, positions, base):
    """The other convention: feature i pairs with feature i + d / 2."""
    d = x.shape[-1]
    mixed = x.unflatten(-1, (2, d // 2)).transpose(-1, -2).flatten(-2)
    return _rope(mixed, positions, base).unflatten(-1, (d // 2, 2)).transpose(-1, -2).flatten(-2)


@task("E09a", "write `rope`")
def e09a(rope):
    shapes = [((5, 8), 10000.0), ((2, 3, 7, 4), 10000.0), ((1, 2), 10000.0), ((3, 6, 16), 100.0), ((4, 6, 8), 10000.0)]
    for n, (shape, base) in enumerate(shapes):
        for dtype in (torch.double, torch.float):
            x = torch.randn(shape, dtype=dtype)
            T = shape[-2]
            positions = [torch.arange(T), torch.randint(-50, 50, (T,)), torch.rand(T) * 9][
                (n + (dtype == torch.float)) % 3
            ]
            kept = x.clone()
            got = rope(x, positions) if base == 10000.0 else rope(x, positions, base)
            if not torch.equal(x, kept):
                wrong("your function changed x: return a new tensor.")
            want, d = _rope(x, positions, base), shape[-1]
            if isinstance(got, torch.Tensor) and got.shape == want.shape and got.dtype != dtype:
                wrong(f"x is {dtype}, so the result should be too, but it is {got.dtype}.")
            pairs = want.unflatten(-1, (-1, 2))
            mistakes = {
                "you turn clockwise: (a cos - b sin, a sin + b cos).": _rope(x, -positions, base),
                "you pair feature i with feature i + d / 2; here neighbours are a pair.": _halves(x, positions, base),
                "first features first, second features second: lay the pairs side by side again (stack, flatten).": (
                    torch.cat([pairs[..., 0], pairs[..., 1]], -1)
                ),
                "theta_i is base^(-2i/d); you use base^(-i/d).": _rope(x, positions, base, power=0.5),
                "`base` is an argument: you use 10000 always.": _rope(x, positions, 10000.0),
                "the positions are an argument: you count 0, 1, 2, ... yourself.": _rope(x, torch.arange(T), base),
                "every pair is turned by the same angle: theta falls from pair to pair.": _rope(x, positions, 1.0),
                "nothing is turned.": x,
                "theta grows from pair to pair: the exponent is negative.": _rope(x, positions, 1 / base),
            }
            close = 1e-9 if dtype == torch.double else 1e-4
            if (
                isinstance(got, torch.Tensor)
                and got.shape == want.shape
                and got.is_floating_point()
                and (
                    T > 1
                    and d >= 4
                    and torch.allclose(got.double(), (x + _rope(torch.ones_like(x), positions, base)).double())
                )
            ):
                wrong("you add the position's waves to x: rotary positions turn x.")
            same(f"rope on shape {shape}", got, want, mistakes, rtol=close, atol=close)


def _codes() -> dict[str, tuple]:
    """{what it is: (code, whether it is relative)}; a code is f(x, positions)."""
    d = 8
    waves = lambda p: _rope(torch.tensor([[0.0, 1.0] * (d // 2)], dtype=torch.double).expand(len(p), d), p)
    turned = torch.linalg.qr(torch.randn(d, d, dtype=torch.double))[0]
    one_by_one = lambda x, p: torch.cat([_rope(x[i : i + 1], p[i : i + 1]) for i in range(len(p))])
    return {
        "rotary": (lambda x, p: _rope(x, p), True),
        "rotary with base 100": (lambda x, p: _rope(x, p, 100.0), True),
        "rotary, clockwise": (lambda x, p: _rope(x, -p), True),
        "rotary with halves for pairs": (lambda x, p: _halves(x, p, 10000.0), True),
        "rotary, in another basis": (lambda x, p: _rope(x @ turned, p), True),
        "rotary, position by position": (one_by_one, True),
        "rotary, twice as large": (lambda x, p: 2 * _rope(x, p), True),
        "rotary with all positions shifted by 5": (lambda x, p: _rope(x, p + 5), True),
        "no positions at all": (lambda x, p: x, True),
        "sinusoids, added": (lambda x, p: x + waves(p), False),
        "sinusoids, multiplied": (lambda x, p: x * waves(p), False),
        "angles that grow with the square of the position": (lambda x, p: _rope(x, p.double() ** 2 / 50), False),
        "angles that stop growing at position 100": (lambda x, p: _rope(x, p.clamp(max=100)), False),
        "angles that stop growing at position 900": (lambda x, p: _rope(x, p.clamp(max=900)), False),
        "the sign of the position lost": (lambda x, p: _rope(x, p.abs()), False),
        "the position added to the first feature": (
            lambda x, p: x + 0.01 * p[:, None].double() * torch.eye(d, dtype=torch.double)[0],
            False,
        ),
        "rotated and scaled by the position": (lambda x, p: _rope(x, p) * (1 + 0.001 * p[:, None].double()), False),
        "the second feature of each pair forgotten": (
            lambda x, p: torch.stack([_rope(x, p)[:, ::2], x[:, 1::2]], -1).flatten(-2),
            False,
        ),
        "a wrong sign in the rotation": (
            lambda x, p: _rope(x, p) * torch.tensor([1.0, -1.0]).double().repeat(d // 2) + (_rope(x, -p) - x),
            False,
        ),
        "only the last pair is wrong": (
            lambda x, p: torch.cat([_rope(x, p)[:, :-2], x[:, -2:] + 1e-3 * p[:, None].double()], -1),
            False,
        ),
    }


@task("E09b", "write `is_relative`")
def e09b(is_relative):
    for name, (code, relative) in _codes().items():

        def f(x, positions, code=code):
            if x.dim() != 2 or x.shape[1] != 8 or positions.dim() != 1 or len(positions) != len(x):
                wrong(
                    "call f(x, positions) with x (T, 8) and positions (T,); "
                    f"you gave {tuple(x.shape)}, {tuple(positions.shape)}."
                )
            return code(x.double(), positions)

        got = is_relative(f)
        if got is None:
            wrong("is_relative returned None: does your function return its result?")
        if not isinstance(got, bool) and not (
            isinstance(got, torch.Tensor) and got.dtype == torch.bool and got.numel() == 1
        ):
            wrong(f"is_relative should return True or False, but it returned {got!r}.")
        if bool(got) != relative:
            if relative:
                wrong(
                    f"your test calls this code not relative, although it is: {name}. Is a tolerance too tight, or a "
                    "distance not kept?"
                )
            wrong(
                f"your test takes this code for relative, although it is not: {name}. Try more queries and keys, "
                "distances of both signs, near and far places."
            )
