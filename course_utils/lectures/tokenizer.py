"""From notebooks/09_tokenizers.ipynb, 3. A second instead of a minute; 4. Encoding without waiting; 5. Do not merge
across words.

Made by `course build` from the cells marked `#| export tokenizer`: edit sources/lectures/09_tokenizers.py.
"""

import base64
import heapq
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import regex


def learn_merges(chunks: dict[bytes, int], count: int) -> list[tuple[int, int]]:
    """The `count` byte-pair merges of a text, in order: pairs of token ids, the first one making token 256.

    chunks: {piece of text: how often it occurs}; no merge crosses a piece's ends.  Of equally frequent pairs the
    smallest is merged first.  A pair that spells an existing token is passed over, so that every token has a spelling
    of its own.  Fewer merges come back where the text runs out of pairs.
    Source: Sennrich, Haddow, Birch (2016), https://arxiv.org/abs/1508.07909, with counts kept instead of recounted.
    """
    chunks = {piece: n for piece, n in chunks.items() if piece}
    if not chunks:
        return []
    lengths = np.array([len(piece) + 1 for piece in chunks])
    ids = np.frombuffer(b"\0" + b"\0".join(chunks) + b"\0\0", np.uint8).astype(np.int32)
    ids[0] = ids[-1] = -1
    ids[np.cumsum(lengths)] = -1  # -1 stands between pieces and belongs to no pair
    weight = np.repeat(np.fromiter(chunks.values(), np.int64, len(chunks)), lengths)
    weight = np.concatenate([[0], weight, [0]])

    inside = (ids[:-1] >= 0) & (ids[1:] >= 0)
    table = np.bincount((ids[:-1][inside] << 8) | ids[1:][inside], weight[:-1][inside], 1 << 16)
    counts = {divmod(key, 256): int(table[key]) for key in np.flatnonzero(table).tolist()}
    heap = [(-n, pair) for pair, n in counts.items()]
    heapq.heapify(heap)
    spelled = [bytes([i]) for i in range(256)]
    known = set(spelled)

    def grouped(tokens, weights):
        """(token, summed weight) for the real tokens among these."""
        real = tokens >= 0
        totals = np.bincount(tokens[real], weights[real], len(spelled))
        return ((i, int(totals[i])) for i in np.flatnonzero(totals).tolist())

    merges = []
    while heap and len(merges) < count:
        n, pair = heapq.heappop(heap)
        if n == 0 or counts[pair] != -n:
            continue  # an old count
        a, b = pair
        if spelled[a] + spelled[b] in known:
            continue
        new = len(spelled)
        spelled.append(spelled[a] + spelled[b])
        known.add(spelled[new])
        merges.append(pair)
        at = np.flatnonzero(ids[:-1] == a)
        at = at[ids[at + 1] == b]  # where the pair begins
        if a == b:  # in a run of equal tokens, every second place
            run = np.flatnonzero(np.diff(at, prepend=-2) != 1)
            at = at[(np.arange(len(at)) - np.repeat(run, np.diff(run, append=len(at)))) % 2 == 0]
        w, left, right = weight[at], ids[at - 1], ids[at + 2]
        after_own = np.diff(at, prepend=-2) == 2  # the pair follows itself: a b a b
        last = np.append(~after_own[1:], True)
        change = Counter()
        for token, n in grouped(left, w):
            change[token, a] -= n
        for token, n in grouped(right[last], w[last]):
            change[b, token] -= n
            change[new, token] += n
        for token, n in grouped(np.where(after_own, new, left), w):
            change[token, new] += n
        change.pop(pair, None)
        for touched, n in change.items():
            counts[touched] = counts.get(touched, 0) + n
            heapq.heappush(heap, (-counts[touched], touched))
        counts[pair] = 0
        ids[at] = new
        ids, weight = np.delete(ids, at + 1), np.delete(weight, at + 1)
    return merges


def merge_bytes(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Token ids of a piece of text: neighbours merge, the smallest rank first, of equals the leftmost.

    ranks: {token's bytes: its id}, all single bytes among them.
    """
    if len(piece) > 100:
        return merge_long(piece, ranks)
    get, none = ranks.get, 1 << 62
    cuts = list(range(len(piece) + 1))  # where the parts begin, and the end
    joined = [get(piece[i : i + 2], none) for i in range(len(piece) - 1)]  # rank of parts i and i + 1 together
    while joined and (best := min(joined)) < none:
        i = joined.index(best)
        del cuts[i + 1], joined[i]
        if i < len(joined):
            joined[i] = get(piece[cuts[i] : cuts[i + 2]], none)
        if i:
            joined[i - 1] = get(piece[cuts[i - 1] : cuts[i + 1]], none)
    return [ranks[piece[a:b]] for a, b in pairwise(cuts)]


def merge_long(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """The same as merge_bytes, in n log n for a piece of n bytes."""
    n, get = len(piece), ranks.get
    end, previous, alive = list(range(1, n + 1)), list(range(-1, n - 1)), bytearray(b"\1" * n)
    heap = [(rank, i) for i in range(n - 1) if (rank := get(piece[i : i + 2])) is not None]
    heapq.heapify(heap)
    while heap:
        rank, i = heapq.heappop(heap)
        j = end[i]  # where the right neighbour begins
        if not alive[i] or j >= n or get(piece[i : end[j]]) != rank:
            continue  # one of the two has merged meanwhile
        alive[j] = 0
        end[i] = k = end[j]
        if k < n:
            previous[k] = i
            if (rank := get(piece[i : end[k]])) is not None:
                heapq.heappush(heap, (rank, i))
        if (left := previous[i]) >= 0 and (rank := get(piece[left:k])) is not None:
            heapq.heappush(heap, (rank, left))
    ids, i = [], 0
    while i < n:
        ids.append(ranks[piece[i : end[i]]])
        i = end[i]
    return ids


class _Pieces(dict):
    """{piece of text: its ids}, filled on demand; emptied when it is full, so that memory stays bounded."""

    def __init__(self, ranks: dict[bytes, int], most: int = 1 << 17):
        self.ranks, self.most = ranks, most

    def __missing__(self, piece: str) -> list[int]:
        raw = piece.encode("utf-8")
        ids = [self.ranks[raw]] if raw in self.ranks else merge_bytes(raw, self.ranks)
        if len(piece) <= 64:  # long pieces do not come back
            if len(self) >= self.most:
                self.clear()
            self[piece] = ids
        return ids


class BasicTokenizer:
    """Byte-pair encoding of a text's UTF-8 bytes, the whole text as one piece.

    ranks: {token's bytes: its id}.  special: {special token: its id}.  Ids are 0 to len(tokenizer) - 1.
    """

    pattern: str | None = None

    def __init__(self) -> None:
        self._set({bytes([i]): i for i in range(256)}, {})

    def _set(self, ranks: dict[bytes, int], special: dict[str, int]) -> None:
        self.ranks, self.special = dict(ranks), dict(special)
        self._spelled = {i: token for token, i in self.ranks.items()} | {i: s.encode() for s, i in special.items()}
        if len(self._spelled) < len(ranks) + len(special):
            raise ValueError("two tokens have the same id: give each special token an id of its own.")
        self._pieces = _Pieces(self.ranks)

    def __len__(self) -> int:
        """The size of an embedding table for all ids: the largest id and one."""
        return max(self._spelled) + 1

    def split(self, text: str) -> list[str]:
        """The pieces that no merge crosses: here the whole text."""
        return [text] if text else []

    def train(self, text: str, vocab_size: int) -> None:
        """Learn vocab_size - 256 merges from a text, in place of all before; special tokens are forgotten.

        Deterministic: of equally frequent pairs the smallest merges first.  Fewer tokens where the text runs out of
        pairs.  Raises ValueError for a vocab_size below 256.
        """
        if vocab_size < 256:
            raise ValueError(f"a vocab_size of {vocab_size} has no room for the 256 bytes: take 256 or more.")
        pieces = Counter(self.split(text))
        try:
            chunks = {piece.encode("utf-8"): n for piece, n in pieces.items()}
        except UnicodeEncodeError:
            raise _surrogate(text) from None
        spelled = [bytes([i]) for i in range(256)]
        for a, b in learn_merges(chunks, vocab_size - 256):
            spelled.append(spelled[a] + spelled[b])
        self._set({token: i for i, token in enumerate(spelled)}, {})

    def register_special_tokens(self, special: dict[str, int]) -> None:
        """Add tokens that stand for no text: {"<|endoftext|>": 100257}. Raises ValueError where an id is taken."""
        for token, i in special.items():
            if not token:
                raise ValueError("a special token needs at least one character.")
            if i < 0 or (i in self._spelled and self.special.get(token) != i):
                raise ValueError(f"{token} cannot have the id {i}: take one from {len(self)} on.")
        self._set(self.ranks, self.special | special)

    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | Collection[str] = (),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[int]:
        """Token ids of a text; decode gives the text back.

        allowed_special: the special tokens that become their id, or "all".  disallowed_special: those that raise
        ValueError when they stand in the text, by default all that are not allowed; () encodes them as plain text.
        Both as in tiktoken.  Raises ValueError for half a surrogate pair too, which is no text.
        """
        allowed = set(self.special) if allowed_special == "all" else set(allowed_special) & set(self.special)
        banned = (set(self.special) if disallowed_special == "all" else set(disallowed_special)) - allowed
        if banned and (found := re.search("|".join(map(re.escape, banned)), text)):
            raise ValueError(
                f"the text contains the special token {found[0]!r} at character {found.start()}: allow it with "
                f"allowed_special={{{found[0]!r}}}, or encode it as plain text with disallowed_special=()."
            )
        try:
            if not allowed:
                return self._encode(text)
            longest_first = sorted(allowed, key=len, reverse=True)
            parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
            plain = map(self._encode, parts[::2])
            marks = chain(([self.special[mark]] for mark in parts[1::2]), [[]])
            return [i for pair in zip(plain, marks, strict=True) for ids in pair for i in ids]
        except UnicodeEncodeError:
            raise _surrogate(text) from None

    def _encode(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._pieces.__getitem__, self.split(text))))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of these tokens. Raises ValueError for an id that no token has."""
        try:
            return b"".join([self._spelled[i] for i in ids])
        except KeyError as unknown:
            raise ValueError(f"no token has the id {unknown}: ids go from 0 to {len(self) - 1}.") from None

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        """The text of these tokens. Bytes that are no UTF-8 become U+FFFD (errors="strict" raises instead)."""
        return self.decode_bytes(ids).decode("utf-8", errors=errors)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file that `load` reads back."""
        tokens = [[base64.b64encode(token).decode(), i] for token, i in self.ranks.items()]
        state = {"kind": type(self).__name__, "pattern": self.pattern, "special": self.special, "tokens": tokens}
        Path(path).write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "BasicTokenizer":
        """The tokenizer that `save` wrote. Raises ValueError for a file of another kind."""
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
            kind, ranks = state["kind"], {base64.b64decode(token): i for token, i in state["tokens"]}
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} is not a saved tokenizer: give a file that `save` wrote.") from None
        if kind != cls.__name__:
            raise ValueError(f"{path} holds a {kind}: load it with {kind}.load(...).")
        tokenizer = cls() if state["pattern"] is None else cls(state["pattern"])
        tokenizer._set(ranks, state["special"])
        return tokenizer


def _surrogate(text: str) -> ValueError:
    at = re.search("[\ud800-\udfff]", text)
    return ValueError(
        f"character {at.start()} is U+{ord(at[0]):04X}, half of a surrogate pair and no text: repair the text where it "
        'was read, or drop such halves with text.encode("utf-8", "ignore").decode("utf-8").'
    )


# Radford et al. (2019), and tiktoken's cl100k_base: https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py
GPT2_SPLIT = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
GPT4_SPLIT = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"""
    r"""\s*[\r\n]|\s+(?!\S)|\s"""
)


class RegexTokenizer(BasicTokenizer):
    """Byte-pair encoding inside the pieces that a pattern cuts: GPT2_SPLIT, GPT4_SPLIT, or your own (module regex).

    The pattern must match every character somewhere, so that no text is lost.
    """

    def __init__(self, pattern: str = GPT4_SPLIT):
        self.pattern, self._find = pattern, regex.compile(pattern).findall
        super().__init__()

    @classmethod
    def from_ranks(cls, ranks: dict[bytes, int], pattern: str, special: dict[str, int] | None = None):
        """A tokenizer with published merges, {token's bytes: its id}. Raises ValueError where a byte is missing."""
        if any(bytes([i]) not in ranks for i in range(256)):
            raise ValueError("these ranks lack some of the 256 bytes: such a tokenizer could not encode every text.")
        tokenizer = cls(pattern)
        tokenizer._set(ranks, special or {})
        return tokenizer

    def split(self, text: str) -> list[str]:
        """The pieces that the pattern cuts. Raises ValueError where it leaves out a part of the text."""
        pieces = self._find(text)
        if sum(map(len, pieces)) != len(text):
            raise ValueError(
                r"the pattern leaves out a part of this text: end it with |\s+|. so that it takes everything."
            )
        return pieces

    def encode_iterable(self, texts: Iterable[str]) -> Iterator[int]:
        """Token ids of a text that comes in parts, the same as of the whole, while only a part is held in memory.

        What could still change when more text comes is held back: the last piece, and the white space before it.
        Special tokens are not looked for.  Raises ValueError as encode does.
        """
        held = ""
        for text in texts:
            held += text
            pieces = self.split(held)
            keep = len(pieces) - 1
            while keep > 0 and (pieces[keep - 1].isspace() or len(pieces) - keep < 2):
                keep -= 1
            if keep > 0:
                yield from self._encode_pieces(pieces[:keep])
                held = "".join(pieces[keep:])
        yield from self._encode_pieces(self.split(held))

    def _encode_pieces(self, pieces: list[str]) -> Iterator[int]:
        try:
            yield from chain.from_iterable(map(self._pieces.__getitem__, pieces))
        except UnicodeEncodeError:
            raise _surrogate("".join(pieces)) from None
