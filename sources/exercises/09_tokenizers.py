# %% [markdown]
# # 09 · exercises: tokenizers and positions
#
# Fourteen small tasks: a byte-pair tokenizer in five steps, each closer to GPT-4's, as the exercise of A. Karpathy's
# [minbpe](https://github.com/karpathy/minbpe) has them; then a faster trainer, a picture of tokens, numbers cut from the right, and a test for
# rotary positions. Each has a cell to fill in, a check that says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/09_tokenizers.ipynb) · a run takes about 10 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 09. A task that uses the answer of an earlier one says so.

# %% tags=["colab"]
# Installs the course where it is missing, as on Colab. Elsewhere this cell does nothing.
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    import subprocess
    import sys
    from importlib.metadata import version

    if sys.version_info < (3, 11):
        sys.exit("The course needs Python 3.11 or newer: choose a newer runtime, then run this cell again.")
    keep = [f"{name}=={version(name)}" for name in ("torch", "numpy") if importlib.util.find_spec(name)]
    course = "https://github.com/zero-to-nn/zero-to-nn/archive/refs/heads/main.zip"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", course, *keep], capture_output=True)
    if done.returncode:
        sys.exit("The course could not be installed: check the network connection, then run this cell again.")
    importlib.invalidate_caches()

# %%
from collections import Counter
from collections.abc import Callable

import regex
import torch
from IPython.display import HTML

from course_utils import data, lesson, train
from course_utils.checks import tokenizer as check
from course_utils.lectures.tokenizer import GPT4_SPLIT, RegexTokenizer

device = lesson.start("09_tokenizers, exercises")
text = data.shakespeare()

# %% tags=["parameters"]
demo_merges = 500  # merges of the faster trainer's demonstration

# %% [markdown]
# ---
# ## Step 1: byte pairs
#
# ### E01a. Count the pairs   (1 of 5 · 5 minutes)
#
# How often does each pair of neighbours occur? Every place counts: `aaa` holds the pair `(a, a)` twice.


# %%
def pair_counts(ids: list[int]) -> dict[tuple[int, int], int]:
    """{(left, right): how often right follows left} for a list of token ids; empty for fewer than two."""
    ### BEGIN SOLUTION
    counts = {}
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return counts
    ### END SOLUTION


# %%
check.e01a(pair_counts)

# %% [markdown]
# <details><summary>Hint 1</summary><code>zip(ids, ids[1:])</code> walks over all neighbours.</details>
# <details><summary>Hint 2</summary>A <code>Counter</code> of these pairs is a dictionary too.</details>

# %% [markdown]
# ---
# ### E01b. Merge one pair   (2 of 5 · 10 minutes)
#
# Replace every occurrence of a pair by a new token, from left to right. A token that has been merged cannot merge again in the same
# pass: of `aaa` the first two merge and the third stays. The list that you were given stays as it is.


# %%
def merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """A new list: ids with each occurrence of `pair`, from the left, replaced by `new`."""
    ### BEGIN SOLUTION
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
    ### END SOLUTION


# %%
check.e01b(merge)

# %% [markdown]
# <details><summary>Hint 1</summary>A <code>for</code> over all places cannot skip one. A <code>while</code> with an index can step by two.</details>
# <details><summary>Hint 2</summary>What does your loop look at when it stands on the last token?</details>

# %% [markdown]
# ---
# ### E01c. Train   (2 of 5 · 10 minutes)
#
# Learn merges: again and again the most frequent pair becomes the next token, 256, 257, ... Of equally frequent pairs the **smallest** goes first, so that the
# result is the same everywhere. Stop early when no pair is left. Your answers to E01a and E01b may be used.


# %%
def learn(raw: bytes, count: int) -> list[tuple[int, int]]:
    """The first `count` merges of a text, in order, as pairs of token ids; fewer where the text runs out of pairs."""
    ### BEGIN SOLUTION
    ids, merges = list(raw), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        ids = merge(ids, merges[-1], 255 + len(merges))
    return merges
    ### END SOLUTION


# %%
check.e01c(learn)

# %% [markdown]
# <details><summary>Hint 1</summary><code>max(counts, key=counts.get)</code> takes of equals the one that it meets first, which is not the smallest.</details>
# <details><summary>Hint 2</summary>Sort by two things at once: <code>min(counts, key=lambda pair: (-counts[pair], pair))</code>.</details>

# %% [markdown]
# ---
# ### E01d. Encode   (3 of 5 · 15 minutes)
#
# A new text gets the merges in the order in which they were learned: the earliest that applies, then again the earliest that applies, until none does. `merges` is a list as `learn` returns
# it: the pair at place 0 makes token 256. Your `merge` may be used.


# %%
def encode(text: str, merges: list[tuple[int, int]]) -> list[int]:
    """The token ids of a text, from its UTF-8 bytes and the merges in their order."""
    ### BEGIN SOLUTION
    ids, rank = list(text.encode("utf-8")), {pair: n for n, pair in enumerate(merges)}
    while len(ids) > 1:
        first = min(zip(ids, ids[1:], strict=False), key=lambda pair: rank.get(pair, len(merges)))
        if first not in rank:
            break
        ids = merge(ids, first, 256 + rank[first])
    return ids
    ### END SOLUTION


# %%
check.e01d(encode)

# %% [markdown]
# <details><summary>Hint 1</summary>The most frequent pair of the new text does not matter: training has decided the order.</details>
# <details><summary>Hint 2</summary>Going once through all merges in order and applying each is right too. For 50,000 merges it is slow: most do not occur.</details>
# <details><summary>Hint 3</summary><code>{pair: n for n, pair in enumerate(merges)}</code> says how early a pair was learned.</details>

# %% [markdown]
# ---
# ### E01e. Decode   (2 of 5 · 10 minutes)
#
# Back to text. Any list of ids must give a string, since a model may produce any: bytes that are no UTF-8 become the replacement character U+FFFD.


# %%
def decode(ids: list[int], merges: list[tuple[int, int]]) -> str:
    """The text of token ids; what is not UTF-8 becomes U+FFFD."""
    ### BEGIN SOLUTION
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("utf-8", errors="replace")
    ### END SOLUTION


# %%
check.e01e(decode)

# %% [markdown]
# <details><summary>Hint 1</summary>First spell every token as bytes, in the order of the merges: each needs only earlier ones.</details>
# <details><summary>Hint 2</summary>Join the bytes of all tokens, then decode once: a character may be spread over two tokens.</details>

# %% [markdown]
# ---
# ## Step 2: never across words
#
# ### E02a. Count inside the pieces   (2 of 5 · 10 minutes)
#
# A pattern cuts the text into pieces, and no pair may cross from one piece to the next. Count the pairs of bytes of a whole text under that rule.


# %%
def pair_counts_inside(text: str, pattern: str) -> dict[tuple[int, int], int]:
    """{(left byte, right byte): count} over all pieces that the pattern (module regex) finds in the text."""
    ### BEGIN SOLUTION
    counts = Counter()
    for piece in regex.findall(pattern, text):
        raw = piece.encode("utf-8")
        counts.update(zip(raw, raw[1:], strict=False))
    return dict(counts)
    ### END SOLUTION


# %%
check.e02a(pair_counts_inside)

# %% [markdown]
# <details><summary>Hint 1</summary><code>regex.findall(pattern, text)</code> gives the pieces. The module <code>re</code> does not know <code>\p{L}</code>.</details>
# <details><summary>Hint 2</summary>Encode each piece by itself, and count in each.</details>

# %% [markdown]
# ---
# ### E02b. Encode piece by piece   (2 of 5 · 10 minutes)
#
# And so is a text encoded. Real texts repeat their words, so remember what each different piece gave: `encode_piece` is slow, and must not be called twice with the same
# piece.


# %%
def encode_in_pieces(text: str, pattern: str, encode_piece: Callable[[str], list[int]]) -> list[int]:
    """The token ids of a text: encode_piece for each piece that the pattern finds, once for each different piece."""
    ### BEGIN SOLUTION
    known, out = {}, []
    for piece in regex.findall(pattern, text):
        if piece not in known:
            known[piece] = encode_piece(piece)
        out += known[piece]
    return out
    ### END SOLUTION


# %%
check.e02b(encode_in_pieces)

# %% [markdown]
# <details><summary>Hint 1</summary>A dictionary from piece to ids, filled as you go.</details>
# <details><summary>Hint 2</summary><code>out += ids</code> extends a list; <code>out.append(ids)</code> would nest it.</details>

# %% [markdown]
# ---
# ## Step 3: GPT-4's own
#
# ### E03. Recover the merges   (4 of 5 · 25 minutes)
#
# OpenAI publishes GPT-4's vocabulary as ranks: `{token's bytes: its id}`. Which two tokens were merged to make one is not written there. It can be recovered: a token was made by the merges before it, so encode its bytes with
# the tokens of **smaller** rank only, and two parts must be left. One more trap: the single bytes are there in another order, byte 0 is not token 0, so always ask `ranks`.


# %%
def recover_merges(ranks: dict[bytes, int]) -> dict[tuple[int, int], int]:
    """{(left id, right id): id of the token they make} for every token of two or more bytes.

    ranks: {token's bytes: its id}, all single bytes among them, in any order.
    """
    ### BEGIN SOLUTION
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:], strict=False)]
            i = joined.index(min(joined))  # the leftmost of the earliest; below rank, or two parts would be left
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    return merges
    ### END SOLUTION


# %%
check.e03(recover_merges)

# %% [markdown]
# <details><summary>Hint 1</summary>For each token start from its single bytes, and join the neighbours whose joined bytes have the smallest rank, until two parts are left.</details>
# <details><summary>Hint 2</summary>Joining may use tokens of smaller rank than the token itself. At two parts stop: their join is the token.</details>
# <details><summary>Hint 3</summary>The ids of the two parts are <code>ranks[left]</code> and <code>ranks[right]</code>, also when a part is a single byte.</details>

# %% tags=["demo"]
ranks = data.bpe_ranks("cl100k_base")
merges = recover_merges({token: i for token, i in ranks.items() if i < 5000})
spelled = {i: token for token, i in ranks.items()}
for (a, b), new in list(merges.items())[::800]:
    print(f"{new:5}: {spelled[a]!r} + {spelled[b]!r}")

# %% [markdown]
# ---
# ## Step 4: special tokens
#
# ### E04. Who may say it?   (3 of 5 · 20 minutes)
#
# `special` maps special tokens to ids. What happens to one inside a text is the caller's decision, `allowed`:
#
# - `"all"`: each becomes its id.
# - `"none"`: none is special, all are plain text.
# - `"none_raise"`: the default, for text of strangers. If any stands in the text, a `ValueError` whose message names it.
# - a set of special tokens: these become their ids, the others are plain text.
#
# The text between them goes through `encode_ordinary`, each stretch by itself, and never with an empty string. Where two special tokens begin at the same place (`<|end|>` and `<|end|>2`), the longest wins.


# %%
def encode_special(
    text: str, special: dict[str, int], allowed: str | set[str], encode_ordinary: Callable[[str], list[int]]
) -> list[int]:
    """The token ids of a text that may hold special tokens. allowed: "all", "none", "none_raise" or a set of them."""
    ### BEGIN SOLUTION
    if allowed == "none_raise":
        for token in special:
            if token in text:
                raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text) if text else []
    pattern = "(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len, reverse=True)) + ")"
    out = []
    for part in regex.split(pattern, text):
        if part in chosen:
            out.append(chosen[part])
        elif part:
            out += encode_ordinary(part)
    return out
    ### END SOLUTION


# %%
check.e04(encode_special)

# %% [markdown]
# <details><summary>Hint 1</summary><code>regex.split("(a|b)", text)</code> keeps the separators when the pattern has a group around them.</details>
# <details><summary>Hint 2</summary><code>|</code> and <code>.</code> mean something in a pattern: <code>regex.escape</code>.</details>
# <details><summary>Hint 3</summary>Alternatives are tried from left to right: put the long tokens first.</details>

# %% [markdown]
# ---
# ## Step 5: SentencePiece's way
#
# ### E05a. Code points, with bytes to fall back on   (3 of 5 · 15 minutes)
#
# SentencePiece merges characters instead of bytes. Before any merge, a text becomes **symbols**: a space is written `▁` (U+2581), one `▁` is put in front of the whole text, so that its first word is like any other, and a character that is not in the vocabulary becomes its UTF-8
# bytes, each written `<0xE4>` with two capital hexadecimal digits. An empty text has no symbols.


# %%
def to_symbols(text: str, vocab: set[str]) -> list[str]:
    """The symbols of a text: one for each known character, `<0xXX>` for each byte of an unknown one.

    vocab: the known characters; `▁` counts as known in any case.
    """
    ### BEGIN SOLUTION
    symbols = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        known = c == "▁" or c in vocab
        symbols += [c] if known else [f"<0x{byte:02X}>" for byte in c.encode("utf-8")]
    return symbols
    ### END SOLUTION


# %%
check.e05a(to_symbols)

# %% [markdown]
# <details><summary>Hint 1</summary>First replace the spaces and put <code>▁</code> in front, then look at each character.</details>
# <details><summary>Hint 2</summary><code>f"{10:02X}"</code> is <code>0A</code>.</details>

# %% [markdown]
# ---
# ### E05b. And back   (3 of 5 · 15 minutes)
#
# Runs of byte symbols are decoded together, what is no UTF-8 becoming U+FFFD; `▁` becomes a space, and the one space that was put in front goes. A symbol may be longer than a character here (after merges): `▁the`.


# %%
def from_symbols(symbols: list[str]) -> str:
    """The text of a list of symbols, as to_symbols makes them or merged from such."""
    ### BEGIN SOLUTION
    raw = b""
    for symbol in symbols:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", symbol)
        raw += bytes([int(byte[1], 16)]) if byte else symbol.replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace").removeprefix(" ")
    ### END SOLUTION


# %%
check.e05b(from_symbols)

# %% [markdown]
# <details><summary>Hint 1</summary>Collect bytes for everything, and decode once at the end.</details>
# <details><summary>Hint 2</summary><code>removeprefix(" ")</code> takes one space, <code>lstrip()</code> takes them all.</details>

# %% [markdown]
# ---
# ## Faster, clearer, better
#
# ### E06. Keep the counts   (5 of 5 · 45 minutes)
#
# Recounting every pair for every merge is slow. A merge changes only the pieces that hold its pair. So keep three things: the pieces as lists of ids with their numbers of occurrences, the counts of all pairs, and for each pair the places where it occurs (the numbers of the pieces). For each merge, visit only those
# pieces: take their pairs off the counts, merge, put their new pairs on.
#
# The same rules as in E01c: no merge crosses a piece, a piece that occurs five times counts five times, and of equals the smallest pair. (Finding the best pair may look at all counts: that is not the slow part.)


# %%
def learn_fast(pieces: dict[bytes, int], count: int) -> list[tuple[int, int]]:
    """The first `count` merges of a text that was cut into pieces; fewer where it runs out of pairs.

    pieces: {piece: how often it occurs}; it is not changed.
    """
    ### BEGIN SOLUTION
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, where = Counter(), {}
    for n, (word, weight) in enumerate(zip(words, weights, strict=True)):
        for pair in zip(word, word[1:], strict=False):
            counts[pair] += weight
            where.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for n in where.pop(best):
            old, new, i = words[n], [], 0
            while i < len(old):
                fits = i + 1 < len(old) and (old[i], old[i + 1]) == best
                new.append(255 + len(merges) if fits else old[i])
                i += 2 if fits else 1
            for pair in zip(old, old[1:], strict=False):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:], strict=False):
                counts[pair] += weights[n]
                where.setdefault(pair, set()).add(n)
            words[n] = new
    return merges
    ### END SOLUTION


# %%
check.e06(learn_fast)

# %% [markdown]
# <details><summary>Hint 1</summary>Write the recounting trainer on pieces first, and compare with it on small random texts.</details>
# <details><summary>Hint 2</summary><code>where[pair]</code> may name a piece that has lost the pair meanwhile: merging there changes nothing, which is harmless.</details>
# <details><summary>Hint 3</summary>A count that falls to 0 must leave the dictionary, or it will be "the best" one day.</details>

# %% tags=["demo"]
pieces = Counter(piece.encode() for piece in regex.findall(GPT4_SPLIT, text))
with train.progress(1, f"{demo_merges} merges") as bar:
    merges = learn_fast(pieces, demo_merges)
    bar.update()
library = RegexTokenizer()
library.train(text, 256 + demo_merges)
spelled = [bytes([i]) for i in range(256)]
for a, b in merges:
    spelled.append(spelled[a] + spelled[b])
print("the lecture's vocabulary:", spelled == list(library.ranks))

# %% [markdown]
# ---
# ### E07. See the tokens   (2 of 5 · 15 minutes)
#
# Make a line of HTML that shows the pieces of a text: one `<span style="background:...">` for each piece, neighbours in different colours (take them from `COLOURS` in turn). Inside, a space is shown as `·` and a line break as `↵`, and `&`, `<` and `>` must be escaped, or the
# browser takes them for its own. Nothing else stands between the spans.

# %%
COLOURS = ("#cfe3f5", "#f9dcc4", "#8fbf8f", "#e8d5ee")


# %%
def to_html(pieces: list[str]) -> str:
    """A span with a background for each piece, as described above."""
    ### BEGIN SOLUTION
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{COLOURS[n % len(COLOURS)]};color:black">{shown}</span>')
    return "".join(spans)
    ### END SOLUTION


# %%
check.e07(to_html)

# %% [markdown]
# <details><summary>Hint 1</summary><code>html.escape</code> does the three characters; by hand, which of the three must come first?</details>
# <details><summary>Hint 2</summary><code>COLOURS[n % len(COLOURS)]</code> for piece number n.</details>

# %% tags=["demo"]
cl100k = RegexTokenizer.from_ranks(ranks, GPT4_SPLIT)
ids = cl100k.encode("How many r's are in strawberry?\nif a < b & c: print(1234567)")
HTML(f"<code>{to_html([cl100k.decode([i]) for i in ids])}</code>")

# %% [markdown]
# ---
# ### E08. Numbers from the right   (4 of 5 · 20 minutes)
#
# GPT-4 cuts a number into threes from the **left**: `1234567` is `123`, `456`, `7`, so the last three digits of two numbers do not line up. Write a pattern that cuts from the **right**, as we write thousands: `1`, `234`, `567`. Everything else is as in `GPT4_SPLIT`.


# %%
def numbers_from_the_right() -> str:
    """A pattern for the module regex: as GPT4_SPLIT, but runs of digits are cut into threes from their right end."""
    ### BEGIN SOLUTION
    threes_follow = r"(?=(?:\p{N}{3})*(?!\p{N}))"  # behind this piece there are whole threes, and then no digit
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}" + threes_follow)
    ### END SOLUTION


# %%
check.e08(numbers_from_the_right)

# %% [markdown]
# <details><summary>Hint 1</summary>The part to change is <code>\p{N}{1,3}+</code>: one to three digits, as many as possible, and never fewer afterwards.</details>
# <details><summary>Hint 2</summary>A lookahead <code>(?=...)</code> demands what follows without taking it: some times three digits, then no digit.</details>
# <details><summary>Hint 3</summary>The <code>+</code> behind <code>{1,3}</code> forbids to give digits back. Here the piece must be able to become shorter.</details>

# %% tags=["demo"]
for number in ("7", "1234", "1234567", "in 1815, 12345.678"):
    print(regex.findall(numbers_from_the_right(), number), regex.findall(GPT4_SPLIT, number))

# %% [markdown]
# ---
# ## Positions
#
# ### E09a. Rotate   (3 of 5 · 20 minutes)
#
# Rotary positions turn each pair of neighbouring features, $(x_0, x_1)$, $(x_2, x_3)$, ..., by the angle $t\,\theta_i$ with $\theta_i = \text{base}^{-2i/d}$ for pair $i$, at position $t$. Counter-clockwise: $(1, 0)$ turns towards $(0, 1)$.


# %%
def rope(x: torch.Tensor, positions: torch.Tensor, base: float = 10000.0) -> torch.Tensor:
    """x (..., T, d) with each pair of features turned by its position's angle.

    positions: (T,), any numbers.  d is even.  Returns a new tensor of x's shape and dtype.
    """
    ### BEGIN SOLUTION
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)  # (d / 2,)
    angle = positions[:, None].to(x.dtype) * theta  # (T, d / 2)
    a, b = x[..., ::2], x[..., 1::2]  # (..., T, d / 2) each
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)  # (..., T, d): the pairs side by side again
    ### END SOLUTION


# %%
check.e09a(rope)

# %% [markdown]
# <details><summary>Hint 1</summary>A rotation by an angle: <code>(a cos - b sin, a sin + b cos)</code>.</details>
# <details><summary>Hint 2</summary><code>x[..., ::2]</code> are the first features of all pairs, <code>x[..., 1::2]</code> the second.</details>
# <details><summary>Hint 3</summary><code>torch.stack((first, second), -1).flatten(-2)</code> lays the pairs side by side again; <code>cat</code> would put all first features before all second.</details>

# %% [markdown]
# ---
# ### E09b. Is it relative?   (4 of 5 · 25 minutes)
#
# A position code is **relative** when the score of a query at position $t$ with a key at position $s$ depends on the vectors and on $t - s$ alone: move both by the same amount, and $q \cdot k$ stays. Write a test that finds out, for any function `f(x, positions)` like the one above. Return True or False.
#
# Try more than one query, key, distance and shift: some broken codes are right for neighbours, or for short shifts. The scores are float64 numbers of size about 1 to 10, and equal means to 1e-6. A constant function is relative too, and passes.


# %%
def is_relative(f: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> bool:
    """Whether f(q, t) · f(k, s) depends on q, k and t - s alone. f: x (T, d), positions (T,) -> (T, d); d = 8 here."""
    ### BEGIN SOLUTION
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        q, k = torch.randn(2, 1, 8, generator=g, dtype=torch.double)  # (1, d) each
        distance = torch.randint(-30, 30, (1,), generator=g)
        scores = [(f(q, s + distance) * f(k, s)).sum() for s in torch.tensor([[0], [1], [7], [64], [1000]])]
        if any(abs(score - scores[0]) > 1e-6 for score in scores):
            return False
    return True
    ### END SOLUTION


# %%
check.e09b(is_relative)

# %% [markdown]
# <details><summary>Hint 1</summary>Fix q, k and t - s; compute the score at several s; compare.</details>
# <details><summary>Hint 2</summary>One feature vector with zeros can hide a fault: draw them at random, and draw many.</details>
# <details><summary>Hint 3</summary>Distances of both signs and 0, shifts of 1 and of 1,000.</details>

# %% [markdown]
# ---
# ### X10. Your own
#
# Train two vocabularies of the same size, one on prose and one on Python files that you have at hand, and encode each text with each. By what factor does the foreign vocabulary lose? Then train one on both together. Where in the list of merges do the runs of spaces appear?
