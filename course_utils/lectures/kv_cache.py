"""From notebooks/18_kv_cache.ipynb, 3. A cache that grows; 5. Preallocated: the static cache; 11. A rolling window:
the ring buffer.

Made by `course build` from the cells marked `#| export kv_cache`: edit sources/lectures/18_kv_cache.py.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from course_utils.lectures.gpt import next_probabilities
from course_utils.lectures.gpt2 import GPT2


class KVCache:
    """The keys and values of all tokens that a model has read, layer by layer; it grows with the text.

    A token's slot is its place in the text, padding included.  start: (B,) int64, each row's first slot that is not
    padding (rows of unequal length are padded on the left).  window: each token sees that many, itself included.
    sinks: and the first so many (Xiao et al. 2023, https://arxiv.org/abs/2309.17453).
    """

    def __init__(self, start: torch.Tensor | None = None, window: int | None = None, sinks: int = 0):
        if sinks and start is not None:
            raise ValueError("sinks are the first slots, which left padding would fill: give rows of equal length.")
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.length = 0  # tokens read
        self.start, self.window, self.sinks = start, window, sinks

    def update(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the keys and values of new tokens, (B, nkv, T, hs) each. Returns those to attend to, (B, nkv, K, hs)."""
        if layer in self.layers:
            k_old, v_old = self.layers[layer]
            k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
        self.layers[layer] = k, v
        return k, v

    def advance(self, T: int) -> None:
        """T tokens have passed through all layers."""
        self.length += T

    def slots(self, idx: torch.Tensor) -> torch.Tensor:
        """The slots of new tokens: idx (B, T) -> (T,)."""
        return torch.arange(self.length, self.length + idx.shape[1], device=idx.device)

    def key_slots(self, idx: torch.Tensor) -> torch.Tensor:
        """The slots of the K keys that `update` will return when idx (B, T) is read: (K,), -1 for none."""
        return torch.arange(self.length + idx.shape[1], device=idx.device)

    def positions(self, idx: torch.Tensor) -> torch.Tensor:
        """The positions of new tokens: idx (B, T) -> (T,), or (B, T) with padding, whose own position is 0."""
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def mask(self, idx: torch.Tensor) -> torch.Tensor | None:
        """Which keys the new tokens idx (B, T) see: (T, K) or (B, 1, T, K), True for yes; None: all before them."""
        if self.start is None and self.window is None and (self.length == 0 or idx.shape[1] == 1):
            return None
        query, key = self.slots(idx)[:, None], self.key_slots(idx)  # (T, 1), (K,)
        seen = (key >= 0) & (key <= query)  # (T, K)
        if self.window is not None:
            seen &= (key > query - self.window) | (key < self.sinks)
        if self.start is None:
            return seen
        real = key >= self.start[:, None, None]  # (B, 1, K)
        return (seen & real | (key == query))[:, None]  # padding sees itself: a softmax over nothing is not a number

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows of the batch, in this order; a row may come twice. rows: (B',) int64."""
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(k.nbytes + v.nbytes for k, v in self.layers.values())


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Attention of T new tokens to K cached ones: q (B, nh, T, hs), k and v (B, nkv, K, hs) -> (B, nh, T, hs).

    mask: as KVCache.mask gives it.  nkv divides nh: each key head serves nh / nkv query heads.
    """
    B, nh, T, hs = q.shape
    if T == 1:  # the queries that share a key head become its rows, and no key has to be repeated
        q = q.view(B, k.shape[1], nh // k.shape[1], hs)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).view(B, nh, T, hs)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True)


class CachedGPT2(GPT2):
    """Lecture 10's GPT-2, which reads only what is new: ids (B, T) and a cache -> logits (B, T, V), with last=True of
    the last token alone, (B, 1, V).  Raises ValueError for more than block_size tokens.
    """

    def forward(self, idx: torch.Tensor, cache: KVCache | None = None, last: bool = False) -> torch.Tensor:
        cache = KVCache() if cache is None else cache
        if cache.length + idx.shape[1] > self.config.block_size:
            raise ValueError(f"the model knows {self.config.block_size} positions, and they are used up: start anew.")
        mask = cache.mask(idx)
        x = self.transformer.wte(idx) + self.transformer.wpe(cache.positions(idx))  # (B, T, C)
        for layer, block in enumerate(self.transformer.h):
            q, k, v = block.attn.split(block.ln_1(x))  # (B, nh, T, hs) each
            y = attend(q, *cache.update(layer, k, v), mask)  # (B, nh, T, hs)
            x = x + block.attn.c_proj(y.transpose(1, 2).flatten(2))  # (B, T, C)
            x = x + block.mlp(block.ln_2(x))
        cache.advance(idx.shape[1])
        return self.lm_head(self.transformer.ln_f(x[:, -1:] if last else x))  # (B, T or 1, V)


@torch.no_grad()
def stream(
    model,
    idx: torch.Tensor,
    max_new_tokens: int,
    cache: KVCache | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    stop: int | None = None,
) -> Iterator[torch.Tensor]:
    """Write on after idx (B, T): yields the next token of each row, (B, 1), up to max_new_tokens times.

    model: called as model(new tokens, cache, last=True).  cache: a fresh KVCache if none is given; if it has read
    text already, idx is what it has not read (the last token yielded is not in the cache).  stop: a row that
    has written this token goes on with it, and the end comes when all rows have.  The other options are those of
    lecture 07's GPT.generate; temperature 0 takes the most likely token.
    """
    cache = KVCache() if cache is None else cache
    done = torch.zeros(len(idx), 1, dtype=torch.bool, device=idx.device)  # (B, 1)
    for _ in range(max_new_tokens):
        logits = model(idx, cache, last=True)[:, -1]  # (B, V)
        if temperature == 0:
            idx = logits.argmax(-1, keepdim=True)  # (B, 1)
        else:
            p = next_probabilities(logits, temperature, top_k, top_p)  # (B, V)
            idx = torch.multinomial(p, 1, generator=generator)  # (B, 1)
        if stop is not None:
            idx = idx.masked_fill(done, stop)
            done |= idx == stop
        yield idx
        if done.all():
            return


def generate(model, idx: torch.Tensor, max_new_tokens: int, **options) -> torch.Tensor:
    """Continue idx (B, T), to (B, T + at most max_new_tokens). Options as in `stream`."""
    return torch.cat([idx, *stream(model, idx, max_new_tokens, **options)], 1)


class StaticKVCache(KVCache):
    """A KVCache with all its memory taken at once, (L, B, nkv, max_len, hs) for keys and for values.

    Raises ValueError when more than max_len tokens arrive.
    """

    def __init__(self, n_layer, batch, n_kv_head, max_len, head_size, start=None, window=None, sinks=0, **like):
        """like: dtype and device, as for torch.empty; both must be the model's."""
        super().__init__(start, window, sinks)
        self.k = torch.zeros(n_layer, batch, n_kv_head, max_len, head_size, **like)
        self.v = torch.zeros_like(self.k)

    def update(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        end = self.length + k.shape[2]
        if end > self.k.shape[3]:
            raise ValueError(f"the cache has room for {self.k.shape[3]} tokens, not for {end}: make a longer one.")
        self.k[layer, :, :, self.length : end] = k
        self.v[layer, :, :, self.length : end] = v
        return self.k[layer, :, :, :end], self.v[layer, :, :, :end]  # views: nothing is copied

    def select(self, rows: torch.Tensor) -> None:
        self.k, self.v = self.k[:, rows], self.v[:, rows]
        self.start = None if self.start is None else self.start[rows]

    @property
    def nbytes(self) -> int:
        return self.k.nbytes + self.v.nbytes


class RollingKVCache(StaticKVCache):
    """A KVCache that keeps the last `window` tokens, and the first `sinks`, in a ring buffer.

    Equal to KVCache(window=window, sinks=sinks), in memory that does not grow.  start: as in KVCache.
    """

    def __init__(self, n_layer, batch, n_kv_head, window, head_size, start=None, sinks=0, **like):
        super().__init__(n_layer, batch, n_kv_head, window + sinks, head_size, start, window, sinks, **like)
        self.held = torch.full((window + sinks,), -1, device=self.k.device)  # the slot in each place, -1 for none

    def place(self, slots: torch.Tensor) -> torch.Tensor:
        """Where the tokens of these slots go: (T,) -> (T,)."""
        return torch.where(slots < self.sinks, slots, self.sinks + (slots - self.sinks) % self.window)

    def key_slots(self, idx: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.held, self.slots(idx)])

    def update(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        all_k, all_v = torch.cat([self.k[layer], k], 2), torch.cat([self.v[layer], v], 2)  # old and new
        slots = torch.arange(self.length, self.length + k.shape[2], device=k.device)
        stays = (slots < self.sinks) | (slots >= slots[-1] + 1 - self.window)  # the others are overwritten at once
        self.k[layer, :, :, self.place(slots[stays])] = k[:, :, stays]
        self.v[layer, :, :, self.place(slots[stays])] = v[:, :, stays]
        return all_k, all_v

    def advance(self, T: int) -> None:
        slots = torch.arange(self.length, self.length + T, device=self.held.device)
        slots = slots[(slots < self.sinks) | (slots >= self.length + T - self.window)]
        self.held[self.place(slots)] = slots
        super().advance(T)
