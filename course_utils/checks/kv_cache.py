"""The checks of exercises/18_kv_cache.ipynb."""

import random
import re
from collections import deque

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.lectures.gpt2 import GPT2, GPT2Config
from course_utils.lectures.kv_cache import CachedGPT2, KVCache

from . import same, task, wrong


def _tensor(got, what: str, shape: tuple, dtype: torch.dtype) -> torch.Tensor:
    """The learner's tensor, or a sentence."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, torch.Tensor):
        wrong(f"{what} should be a tensor of shape {shape}, but it is a {type(got).__name__}.")
    if tuple(got.shape) != shape:
        wrong(f"{what} should have shape {shape}, but it has {tuple(got.shape)}.")
    if got.dtype != dtype:
        wrong(f"{what} should be {dtype}, but it is {got.dtype}.")
    return got


def _tuple(got, n: int, what: str) -> tuple:
    if not isinstance(got, tuple | list) or len(got) != n:
        wrong(f"return {n} things, {what}; you return {'None' if got is None else f'a {type(got).__name__}'}.")
    return tuple(got)


def _untouched(**pairs) -> None:
    for name, (before, after) in pairs.items():
        if not torch.equal(before, after):
            wrong(f"your function changes `{name}` in place: work on a copy.")


# --- X01: bytes -------------------------------------------------------------------------------------------------------


def _count(got, what: str) -> int:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, bool) or not isinstance(got, int):
        wrong(f"{what} is counted, so return an int; {got} is a {type(got).__name__} (`//` keeps whole numbers whole).")
    return got


@task("X01", "write `cache_bytes` and `texts_that_fit`")
def x01(cache_bytes, texts_that_fit):
    cases, wants = [], []
    for dtype in (torch.float32, torch.bfloat16, torch.int8, torch.float64):
        L, heads, size, tokens, texts = random.sample((3, 5, 7, 11, 13), 5)
        made = [torch.empty(texts, heads, tokens, size, dtype=dtype) for _ in range(2 * L)]
        cases.append((L, heads, size, tokens, texts, made[0].element_size()))
        wants.append(sum(t.nbytes for t in made))
    gots = [_count(cache_bytes(*case), "the number of bytes") for case in cases]
    always = lambda slip: all(slip(*three) for three in zip(gots, wants, cases, strict=True))  # a slip shows each time
    for (L, heads, size, tokens, texts, width), got, want in zip(cases, gots, wants, strict=True):
        if got == want:
            continue
        told = f"{L} layers, {heads} key heads of {size}, {tokens} tokens, {texts} texts, {width} bytes a number"
        if always(lambda g, w, case: 2 * g == w):
            wrong(f"keys and values are two: with {told} the cache has {want} bytes, and you count half of that.")
        if always(lambda g, w, case: g == 2 * w):
            wrong(f"you count twice too much: with {told} the cache has {want} bytes.")
        for n, name in enumerate(("layers", "key heads", "head sizes", "tokens")):
            if always(lambda g, w, case, n=n: g * case[n] == w):
                wrong(f"the {name} are missing in your product.")
        if always(lambda g, w, case: g * case[4] == w):
            wrong("the number of texts is missing in your product.")
        if always(lambda g, w, case: g * case[5] == w):
            wrong("you count numbers, not bytes: multiply by the bytes of one.")
        for fixed in (2, 4):
            if always(lambda g, w, case, fixed=fixed: g * case[5] == w * fixed):
                wrong(f"you take {fixed} bytes a number, whatever is given: use `bytes_a_number`.")
        wrong(f"with {told} the cache has {want} bytes, but you count {got}.")
    cases, wants = [], []
    for _ in range(30):
        parameters, width, a_text = random.randint(5, 200), random.choice((1, 2, 4)), random.randint(3, 40)
        memory = parameters * width + random.randint(-50, 400)
        want = 0
        while parameters * width + (want + 1) * a_text <= memory:
            want += 1
        cases.append((memory, parameters, a_text, width))
        wants.append(want)
    gots = [_count(texts_that_fit(*case), "the number of texts") for case in cases]
    slips = {
        "the weights take memory too: subtract them first.": lambda m, p, a, b: m // a,
        "the weights take so many bytes a parameter: multiply.": lambda m, p, a, b: max(0, m - p) // a,
        "the bytes of a text are bytes already: the weights alone are multiplied by the bytes of a number.": (
            lambda m, p, a, b: max(0, m - p * b) // (a * b)
        ),
    }
    for sentence, slip in slips.items():
        if gots == [slip(*case) for case in cases]:
            wrong(sentence)
    for (memory, parameters, a_text, width), got, want in zip(cases, gots, wants, strict=True):
        told = f"memory {memory}, {parameters} parameters of {width} bytes, {a_text} bytes a text"
        if got < 0:
            wrong(f"with {told} the weights do not fit, so no text does: 0, and not {got}.")
        if got == want + 1:
            wrong(f"with {told}, {want} texts fit, and you say {got}: only whole texts count.")
        if got != want:
            wrong(f"with {told}, {want} texts fit, but you say {got}.")
    for sizes in ((61, 7, 127, 4095, 3, 2), (1, 1, 64, 9, 2, 2), (2, 3, 8, 1, 1, 4)):  # of a server, and with a one
        want = 2
        for n in sizes:
            want *= n
        if (got := _count(cache_bytes(*sizes), "the number of bytes")) != want:
            wrong(f"for the sizes {sizes} the cache has {want:,} bytes, but you count {got:,}.")
    a_text, parameters = cache_bytes(80, 8, 128, 4096, 1, 2), 69 * 10**9
    for spare, want in ((0, 3), (-1, 2)):
        memory = 2 * parameters + 3 * a_text + spare
        if _count(texts_that_fit(memory, parameters, a_text, 2), "the number of texts") != want:
            wrong(f"beside {parameters:,} parameters, {3 * a_text + spare:,} bytes hold {want} texts of {a_text:,}.")
    return "four caches that were really made, and thirty memories."


# --- X02: attention with a cache --------------------------------------------------------------------------------------


def _attend(q, k, v, allowed, scale=None) -> torch.Tensor:
    scores = q @ k.transpose(-2, -1) / (scale or q.shape[-1] ** 0.5)
    return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v


@task("X02", "write `cached_attention`")
def x02(cached_attention):
    results = []
    for B, nh, T, S, hs in (
        (2, 3, 4, 5, 8),
        (1, 2, 1, 7, 4),
        (2, 1, 6, 0, 5),
        (1, 4, 5, 1, 16),
        (3, 2, 2, 9, 2),
        (1, 2, 1, 0, 4),
        (2, 3, 6, 70, 8),
        (2, 3, 4, 5, 8),
    ):
        full = torch.randn(3, B, nh, S + T, hs, dtype=torch.float64)
        q, k, v = full
        parts = {"q": q[:, :, S:], "k": k[:, :, S:], "v": v[:, :, S:], "k_old": k[:, :, :S], "v_old": v[:, :, :S]}
        parts = {name: part.clone() for name, part in parts.items()}
        kept = {name: part.clone() for name, part in parts.items()}
        y, k_all, v_all = _tuple(cached_attention(**parts), 3, "the outputs, the keys and the values")
        _untouched(**{name: (kept[name], part) for name, part in parts.items()})
        order = torch.cat([k[:, :, S:], k[:, :, :S]], 2)
        k_all = _tensor(k_all, "the tensor of longer keys", (B, nh, S + T, hs), torch.float64)
        same("the tensor of longer keys", k_all, k, {"the new keys stand before the old ones.": order})
        v_all = _tensor(v_all, "the tensor of longer values", (B, nh, S + T, hs), torch.float64)
        mistakes = {
            "you return the keys twice.": k,
            "the new values stand behind the old keys: they belong behind the old values.": torch.cat(
                [k[:, :, :S], v[:, :, S:]], 2
            ),
        }
        same("the tensor of longer values", v_all, v, mistakes)
        want = F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, :, S:]  # the whole text, without a cache
        q = parts["q"]
        ones = torch.ones(T, S + T, dtype=torch.bool)
        mistakes = {
            "the new tokens see those after them: put a mask over the scores.": _attend(q, k, v, ones),
            "the mask forgets the cached tokens: row t allows columns 0 to S + t, not 0 to t.": _attend(
                q, k, v, ones.tril()
            ),
            "the scores are not divided by √hs.": _attend(q, k, v, ones.tril(S), 1.0),
            "the scores are divided by hs, not by its root.": _attend(q, k, v, ones.tril(S), float(hs)),
            "the scores are divided by the root of the number of tokens, not of hs.": _attend(
                q, k, v, ones.tril(S), float(S + T) ** 0.5
            ),
            "a token sees itself too: your mask hides it.": _attend(q, k, v, ones.tril(S - 1)) if S else q,
            "a token sees the one after it: row t allows columns 0 to S + t, and no more.": _attend(
                q, k, v, ones.tril(S + 1)
            ),
            "the old tokens are left out: the new ones attend to the new ones only.": _attend(
                q, k[:, :, S:], v[:, :, S:], torch.ones(T, T, dtype=torch.bool).tril()
            ),
        }
        scores = q @ k.transpose(-2, -1) / hs**0.5
        mistakes["the mask is put on after the softmax: the weights no longer sum to one."] = (
            scores.softmax(-1) * ones.tril(S)
        ) @ v
        mistakes["hidden scores are set to 0, which the softmax counts like any score: put -inf there."] = (
            scores.masked_fill(~ones.tril(S), 0.0).softmax(-1) @ v
        )
        mistakes["the softmax runs over the queries: it belongs over the keys, the last dimension."] = (
            scores.masked_fill(~ones.tril(S), float("-inf")).softmax(-2) @ v
        )
        y = _tensor(y, "the tensor of outputs", (B, nh, T, hs), torch.float64)
        same("the tensor of outputs", y, want, mistakes, rtol=1e-9, atol=1e-10)
        results.append((k_all, k_all.clone(), v_all, v_all.clone()))
    for k_all, k_then, v_all, v_then in results:
        if not (torch.equal(k_all, k_then) and torch.equal(v_all, v_then)):
            wrong("a later call changes the keys and values that an earlier one returned: make new tensors each time.")
    k = torch.full((1, 1, 3, 4), -20.0)
    k[0, 0, 2] = 40.0  # the last token shouts, and the one before it must not hear
    q, v = torch.full((1, 1, 2, 4), 10.0), torch.randn(1, 1, 3, 4)
    y = cached_attention(q, k[:, :, 1:], v[:, :, 1:], k[:, :, :1], v[:, :, :1])[0]
    if not y.isfinite().all():
        wrong("large scores (here 800) give nan: a softmax takes the largest away before the exponential.")
    want = torch.stack([v[0, 0, :2].mean(0), v[0, 0, 2]])
    if not torch.allclose(y[0, 0], want, atol=1e-4):
        wrong("a hidden token with a large score leaks in, or drowns the others: put -inf there before the softmax.")
    return "eight sizes, one token and several, an empty cache and a full one, and large scores."


# --- X03: grouped heads -----------------------------------------------------------------------------------------------


@task("X03", "write `grouped_attention`")
def x03(grouped_attention):
    for B, nh, nkv, T, S, hs in (
        (2, 6, 2, 3, 7, 4),
        (1, 4, 4, 2, 2, 8),
        (2, 5, 1, 1, 9, 3),
        (1, 12, 3, 4, 6, 5),
        (1, 4, 2, 2, 1, 3),
    ):
        q = torch.randn(B, nh, T, hs, dtype=torch.float64)
        k, v = torch.randn(2, B, nkv, S, hs, dtype=torch.float64)
        kept = q.clone(), k.clone(), v.clone()
        try:
            got = grouped_attention(q, k, v)
        except ValueError as error:
            wrong(f"{nh} query heads can share {nkv} key heads, but your function raises a ValueError: {error}")
        _untouched(q=(kept[0], q), k=(kept[1], k), v=(kept[2], v))
        n = nh // nkv
        one = lambda h, j, q=q, k=k, v=v: F.scaled_dot_product_attention(q[:, h], k[:, j], v[:, j])
        want = torch.stack([one(h, h // n) for h in range(nh)], 1)
        tiled = k.repeat(1, n, 1, 1), v.repeat(1, n, 1, 1)
        spread = k.repeat_interleave(n, 1), v.repeat_interleave(n, 1)
        allowed = torch.ones(T, S, dtype=torch.bool)
        mistakes = {
            "the key heads are tiled, 0 1 0 1 ...: query head h belongs to key head h // (nh / nkv), so 0 0 1 1 ...": (
                _attend(q, *tiled, allowed)
            ),
            "keys and values are repeated in different orders.": _attend(q, spread[0], tiled[1], allowed),
            "all query heads use key head 0.": torch.stack([one(h, 0) for h in range(nh)], 1),
            "the key heads are averaged into one.": _attend(q, k.mean(1, True), v.mean(1, True), allowed),
            "the scores are not divided by √hs.": _attend(q, *spread, allowed, 1.0),
            "your queries do not see all keys: there is no mask here.": _attend(q, *spread, allowed.tril()),
        }
        got = _tensor(got, "the result", (B, nh, T, hs), torch.float64)
        same("the result", got, want, mistakes, rtol=1e-9, atol=1e-10)
    k = torch.zeros(1, 1, 1, 4)
    if not grouped_attention(torch.full((1, 2, 1, 4), 50.0), k + 50, k + 1).isfinite().all():
        wrong("large scores give nan: a softmax takes the largest away before the exponential.")
    for nh, nkv in ((6, 4), (2, 3), (14, 11)):
        q, k = torch.randn(1, nh, 2, 5), torch.randn(1, nkv, 7, 5)
        try:
            grouped_attention(q, k, k)
        except ValueError as error:
            said = re.findall(r"\d+", str(error))
            if str(nh) not in said or str(nkv) not in said or not re.search("[a-z]{3}", str(error)):
                wrong(f"{nh} query and {nkv} key heads: your ValueError says {str(error)!r}, which does not name both.")
        except Exception as error:
            name = type(error).__name__
            name = f"an {name}" if name[0] in "AEIOU" else f"a {name}"
            wrong(f"{nkv} key heads do not divide {nh} query heads: raise a ValueError, not {name}.")
        else:
            wrong(f"{nkv} key heads do not divide {nh} query heads, and your function goes on: raise a ValueError.")
    return "five sizes, one key head among them, and three that do not fit."


# --- X04: the ring ----------------------------------------------------------------------------------------------------


class _Places(TorchDispatchMode):
    """Notes when one operation writes two rows to one place, whose order PyTorch leaves open."""

    twice = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name()
        if name.startswith(("aten::index_put", "aten::_index_put", "aten::index_copy", "aten::scatter")):
            places = args[1][0] if "put" in name else args[2]
            places = places[:, 0] if name.startswith("aten::scatter") and places.ndim == 2 else places
            if places is not None and places.dtype != torch.bool and places.unique().numel() < places.numel():
                self.twice = True
        return func(*args, **(kwargs or {}))


def _numbers_held(ring) -> int:
    parts = (getattr(value, "numel", getattr(value, "__len__", lambda: 1)) for value in vars(ring).values())
    return sum(part() for part in parts)


@task("X04", "write the three methods of `Ring`")
def x04(Ring):
    for window, size in ((4, 3), (1, 2), (7, 5)):
        ring, held, count = Ring(window, size), deque(maxlen=window), 0
        sizes = []
        first, place = ring.rows, ring.rows.data_ptr()
        for n in (1, 0, 2, window, 1, 2 * window + 3, window - 1, 3, window + 1, 1):
            x = torch.randn(n, size)
            kept, before = x.clone(), ring.last()
            old = before.clone() if isinstance(before, torch.Tensor) else None
            ring.write(x)
            _untouched(x=(kept, x))
            if old is not None and not torch.equal(before, old):
                wrong("what last() returned changes when more is written: return a copy.")
            if ring.rows is not first or ring.rows.data_ptr() != place or tuple(ring.rows.shape) != (window, size):
                wrong("self.rows is another tensor now: write into the one that __init__ made.")
            held.extend((slot, row) for slot, row in enumerate(x, count))
            count += n
            told = f"in a ring of {window}, after {count} rows (the last write brought {n}),"
            want = torch.full((window,), -1)
            for slot, row in held:
                want[slot % window] = slot
                if not torch.equal(ring.rows[slot % window], row):
                    late = [s for s, r in held if torch.equal(r, ring.rows[slot % window])]
                    why = f"slot {late[0]}" if late else "a row that should be gone, or nothing"
                    wrong(f"{told} place {slot % window} of self.rows should hold slot {slot}, but it holds {why}.")
            if not hasattr(ring, "count"):
                wrong("self.count is gone: leave it in __init__, and let it count the rows written.")
            if ring.count != count:
                wrong(f"{told} self.count is {ring.count}: count every row, also those that were overwritten at once.")
            slots = _tensor(ring.slots(), "what slots() returns", (window,), torch.int64)
            if not torch.equal(slots, want):
                if torch.equal(slots, torch.where(want < 0, 0, want)):
                    wrong(f"{told} a place that was never written has the slot -1, not 0.")
                if torch.equal(slots[slots >= 0], torch.tensor([s for s, _ in held])) and count > window:
                    wrong(f"{told} slots() lists the slots in order: it should list them by place, {want.tolist()}.")
                wrong(f"{told} slots() should be {want.tolist()}, but it is {slots.tolist()}.")
            sizes.append(_numbers_held(ring))
            rows = ring.last()
            if isinstance(rows, torch.Tensor) and len(rows) == window > len(held):
                wrong(f"{told} last() returns {window} rows: leave out the places that were never written.")
            rows = _tensor(rows, "what last() returns", (len(held), size), torch.float32)
            oldest_first = torch.stack([row for _, row in held]) if held else rows
            by_place = ring.rows[torch.tensor(sorted(s % window for s, _ in held), dtype=torch.long)]
            if not torch.equal(rows, oldest_first):
                if torch.equal(rows, by_place):
                    wrong(f"{told} last() returns the rows by place: the oldest comes first.")
                if torch.equal(rows, oldest_first.flip(0)):
                    wrong(f"{told} last() returns the newest first: the oldest comes first.")
                wrong(f"{told} last() does not return the rows held, the oldest first.")
        with _Places() as places:
            once = Ring(window, size)
            once.write(torch.randn(2 * window + 1, size))
        if places.twice:
            wrong(
                "write puts two rows of x into one place in a single operation, and PyTorch leaves open which stays "
                "(with threads, sometimes the wrong one): drop the rows that would be overwritten at once."
            )
        if sizes[-1] > sizes[4]:
            wrong(
                f"the ring grows: it holds {sizes[-1]} numbers after {count} rows, {sizes[4]} when it was first full."
            )
    fresh = Ring(3, 2)
    fresh.write(torch.zeros(0, 2))
    if _tensor(fresh.slots(), "what slots() returns", (3,), torch.int64).tolist() != [-1] * 3:
        wrong("before anything is written, slots() should be -1 everywhere.")
    _tensor(fresh.last(), "what last() returns before anything is written", (0, 2), torch.float32)
    pair, told = (Ring(3, 1), Ring(3, 1)), []
    for n in range(7):  # two rings in turn, with rows of zeros among the rest
        for r, ring in enumerate(pair):
            ring.write(torch.full((1, 1), float(n % 2 * (r + 1))))
            told.append((ring.last(), [[float(m % 2 * (r + 1))] for m in range(max(0, n - 2), n + 1)]))
            if (got := told[-1][0].tolist()) != told[-1][1]:
                wrong(
                    f"two rings, written to in turn: after {n + 1} rows of zeros and {r + 1}s last() is {got}, not "
                    f"{told[-1][1]}. A row of zeros is a row, and each ring keeps its own."
                )
            if ring.slots().tolist() != [max((m for m in range(n + 1) if m % 3 == p), default=-1) for p in range(3)]:
                wrong("slots() goes wrong with rows of zeros, or with a second ring: count rows, in each ring.")
    if any(rows.tolist() != want for rows, want in told):
        wrong("what last() returned changes when last() is called again: return a new tensor each time.")
    return "rings in turn, rows of zeros, and three rings past the wrap and with more rows than places."


# --- X05: unequal prompts ---------------------------------------------------------------------------------------------


@task("X05", "write `left_pad`")
def x05(left_pad):
    for lengths in ((5, 2, 4), (3,), (1, 6), (4, 4, 4), (2, 7, 1, 3), (3, 5, 2), (40, 9)):
        prompts = [torch.randint(1, 49152, (n,)) for n in lengths]
        if lengths == (3, 5, 2):  # token 0 is a token like any other
            prompts[0][0], prompts[1][2], prompts[2][:] = 0, 0, 0
        kept = [p.clone() for p in prompts]
        batch, start, positions, mask = _tuple(left_pad(prompts), 4, "batch, start, positions and mask")
        if len(prompts) != len(kept):
            wrong("your function changes the list of prompts.")
        for before, after in zip(kept, prompts, strict=True):
            _untouched(prompts=(before, after))
        B, T = len(lengths), max(lengths)
        want_batch, want_at = torch.zeros(B, T, dtype=torch.long), torch.zeros(B, T, dtype=torch.long)
        want_mask, unpadded = torch.zeros(B, T, T, dtype=torch.bool), torch.zeros(B, T, T, dtype=torch.bool)
        right = want_batch.clone()
        for b, p in enumerate(prompts):
            s = T - len(p)
            for t in range(T):
                if t >= s:
                    want_batch[b, t], want_at[b, t] = p[t - s], t - s
                if t < len(p):
                    right[b, t] = p[t]
                for u in range(t + 1):
                    want_mask[b, t, u] = u >= s or u == t
                    unpadded[b, t, u] = True
        want_start = torch.tensor([T - n for n in lengths])
        said = want_batch != 0
        zeros = torch.is_tensor(start) and any(torch.equal(start, s) for s in ((~said).sum(1), said.int().argmax(1)))
        if zeros and not torch.equal(start, want_start):
            wrong("a prompt may hold token 0 too: padding is known by the lengths, not by the token.")
        batch = _tensor(batch, "the batch", (B, T), torch.int64)
        same(
            "the batch",
            batch,
            want_batch,
            {"the padding is on the right: new tokens come there, so pad on the left.": right},
        )
        start = _tensor(start, "start", (B,), torch.int64)
        mistakes = {
            "start holds the lengths: it should hold the first real slot, T minus the length.": torch.tensor(lengths)
        }
        same("start", start, want_start, mistakes)
        positions = _tensor(positions, "the positions", (B, T), torch.int64)
        slots = torch.arange(T).expand(B, T)
        mistakes = {
            "the positions count the padding: a row's first real token has position 0.": slots,
            "padding has negative positions: it has position 0.": slots - want_start[:, None],
            "the positions begin at 1: the first real token has 0.": (slots - want_start[:, None] + 1).clamp(min=0),
            "a prompt may hold token 0 too: the positions count every token from start on.": (said.cumsum(1) - 1).clamp(
                min=0
            ),
        }
        same("the table of positions", positions, want_at, mistakes)
        mask = _tensor(mask, "the mask", (B, T, T), torch.bool)
        real = torch.arange(T) >= want_start[:, None, None]
        itself = torch.eye(T, dtype=torch.bool)
        mistakes = {
            "the mask is the wrong way round: True means that a slot may look.": ~want_mask,
            "the mask lets real tokens look at padding.": unpadded,
            "the mask lets tokens look at later ones.": real.expand(B, T, T) | itself,
            "a padding slot sees nothing, so its softmax is not a number: every slot sees itself.": unpadded & real,
            "rows and columns of the mask are exchanged: row t holds what slot t sees.": want_mask.transpose(1, 2),
            "a real token has to see itself too.": want_mask & ~itself,
            "the triangle is upside down: your slots look at later ones, and not at earlier ones.": (
                ~unpadded & real | itself
            ),
            "you rule out rows of padding: the column says which slot is looked at.": (
                unpadded & real.transpose(1, 2) | itself
            ),
            "the first real token is hidden: slot start is real.": (
                unpadded & (torch.arange(T) > want_start[:, None, None]) | itself
            ),
            "your mask compares positions, and padding has the first token's position: compare slots.": (
                want_at[:, None] <= want_at[:, :, None]
            )
            | itself,
            "padding looks at other padding: it sees itself alone.": want_mask | unpadded & ~real.transpose(1, 2),
            "padding looks at other slots: it sees itself alone.": want_mask | ~real.transpose(1, 2),
            "a prompt may hold token 0 too: in the mask, too, the slots from start on are real.": (
                unpadded & said[:, None] | itself
            ),
        }
        same("the mask", mask.int(), want_mask.int(), {name: value.int() for name, value in mistakes.items()})
    return "seven batches, one of a single prompt, one of equal lengths, and one where token 0 is said."


# --- X06: two bugs ----------------------------------------------------------------------------------------------------


@task("X06", "write the three methods of `MendedCache` (of the right one, a copy)")
def x06(MendedCache):
    if not any(name in vars(MendedCache) for name in ("update", "positions", "select")):
        raise NotImplementedError
    if not issubclass(MendedCache, KVCache):
        wrong("MendedCache should still be a KVCache.")
    cache, idx = MendedCache(torch.tensor([0, 3, 1])), torch.zeros(3, 5, dtype=torch.long)
    cache.select(torch.arange(3))  # nothing is cached yet
    if cache.length:
        wrong("select changes self.length: rows come and go, and the tokens in each are as many as before.")
    if (torch.as_tensor(cache.positions(idx)) < 0).any():
        wrong("padding has negative positions: it has position 0.")
    pieces = torch.randn(2, 2, 3, 4, 5, 8)  # two pieces of keys and values
    returned = [cache.update(0, *piece) for piece in pieces][-1]
    if not all(map(torch.equal, returned, (torch.cat(list(both), 2) for both in zip(*pieces, strict=True)))):
        wrong("update should return the old keys and values with the new ones behind them, as it did.")
    if cache.length:
        wrong("update changes self.length: `advance` counts the tokens, when they have passed through all layers.")
    config = GPT2Config(vocab_size=60, block_size=20, n_layer=2, n_head=4, n_embd=32, init_std=0.3)
    model, plain = CachedGPT2(config).double().eval(), GPT2(config).double().eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        for padded in (False, True):
            text = torch.randint(60, (3, 14))
            start = torch.tensor([0, 3, 1]) if padded else None
            alone = lambda row, upto, text=text, padded=padded: plain(
                text[row : row + 1, (0, 3, 1)[row] * padded : upto]
            )[0]
            cache = MendedCache(start)
            pieces = torch.cat([model(piece, cache) for piece in text[:, :9].split([5, 1, 1, 2], 1)], 1)
            for row in range(3):
                s = (0, 3, 1)[row] * padded
                want = alone(row, 9)[0]
                if not torch.allclose(pieces[row, s:5], want[: 5 - s], rtol=1e-8, atol=1e-8):
                    where = ", with padding on the left" if padded else ""
                    wrong(f"the first piece of a text is read wrong now{where}: it was right before.")
                if not torch.allclose(pieces[row, s:], want, rtol=1e-8, atol=1e-8):
                    wrong("tokens after the first piece do not get their positions: where does a new token stand?")
            order = torch.tensor([2, 0, 2, 1])
            cache.select(order)
            if cache.layers[0][0].shape[0] != 4 or cache.layers[0][1].shape[0] != 4:
                wrong("after select with four rows, keys and values should have four rows each.")
            if padded and (cache.start is None or len(cache.start) != 4):
                wrong("after select with four rows, start should have four entries: it goes with the rows.")
            future = text[order][:, 9:]
            got = torch.cat([model(future[:, t : t + 1], cache) for t in range(5)], 1)
            for row, parent in enumerate(order.tolist()):
                if not torch.allclose(got[row], alone(parent, 14)[0, -5:], rtol=1e-8, atol=1e-8):
                    wrong("after select the rows go on with what belongs to others: are values reordered like keys?")
    for rows in ([2, 0, 0], [1], [1, 2, 0]):
        start = torch.tensor([0, 3, 1])
        cache, k, v = MendedCache(start), *torch.randn(2, 3, 2, 5, 4)
        cache.update(0, k, v)
        kept = k.clone(), v.clone()
        cache.select(torch.tensor(rows))
        if start.tolist() != [0, 3, 1] or not (torch.equal(k, kept[0]) and torch.equal(v, kept[1])):
            wrong("select changes the tensors that it was given: another cache may hold them. Make new ones.")
        new_k, new_v = cache.layers[0]
        want = k[rows], v[rows], start[rows]
        if not all(map(torch.equal, (new_k, new_v, cache.start), want)):
            wrong(f"after select({rows}) of three rows, keys, values and start should be those rows, in that order.")
    cache = MendedCache()
    cache.select(torch.tensor([0]))  # nothing is cached yet
    for layer in range(2):
        cache.update(layer, *torch.randn(2, 1, 2, 7, 4))
    cache.advance(7)
    asked = [cache.positions(torch.zeros(1, 3, dtype=torch.long)).tolist() for _ in range(2)]
    if asked != [[7, 8, 9]] * 2:
        wrong(
            f"after seven tokens, three new ones have the positions 7, 8, 9, however often one asks; you say {asked}."
        )
    return "texts in pieces, with padding and without, and beams reordered."
