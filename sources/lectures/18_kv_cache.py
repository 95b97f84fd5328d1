# %% [markdown]
# # 18 · The KV cache: generating without recomputing
#
# At the end of this page a language model writes each new token at the price of one token. The keys and values of what it has read stay in memory, in
# five arrangements: growing, preallocated, rolling, for prompts of unequal length, for beams. A real chat model, SmolLM2-135M,
# runs through our own code, token for token as `transformers` runs it, and about as fast.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/18_kv_cache.ipynb) · a run takes about 2 minutes and 2.5 GB on a laptop's CPU
#
# Needs: lecture 07 (attention), 09 (positions, the rotary kind), 10 (GPT-2). Later lectures take from here: `KVCache`, `StaticKVCache`, `RollingKVCache`,
# `generate`, `stream`, and `Llama`, the model of the SmolLM2 family.

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
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from IPython.display import Markdown
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course_utils import data, lesson, train
from course_utils.lectures.gpt2 import GPT2, GPT2Config, load_hf_state_dict

device = lesson.start("18_kv_cache")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# %% tags=["parameters"]
new_tokens = 512  # written by our own model, without and with a cache
race_tokens = 48  # written by SmolLM2 in each round of the race against transformers
contexts = (1, 128, 512, 1024, 2048, 4096)  # tokens in the cache where SmolLM2's speed is measured
batches = (1, 2, 4, 8, 16, 32, 64)  # texts written side by side
window = 64  # tokens in sight in section 12

# %% [markdown]
# ## 1. What a plain loop computes again
#
# `generate` of lecture 07 gives the whole text to the model for every new token. The model returns a prediction for each position, and all but the last are thrown away.
# How much work is that? A product with a matrix of $n$ numbers costs $2n$ floating-point operations (FLOPs) a token, so all matrices of a model, with $P$ numbers together, cost $2P$. ($P$ counts the token table once, as the output layer; looking up a row is free.) In a model of width $C$, for a text of $T$ tokens, attention adds $2T^2C$ for the scores and as many for
# the weighted sum, in each of $L$ layers:
#
# $$\text{FLOPs of one forward pass} = 2 P T + 4 L T^2 C$$
#
# PyTorch can count the matrix products that are really executed. We ask it, for a GPT-2 of our own with four layers. (Its weights are random: for speed only the shapes matter. And the counter knows attention as plain matrix products, not as one fused kernel.)

# %%
torch.manual_seed(0)
config = GPT2Config(vocab_size=1024, block_size=1024, n_layer=4, n_head=4, n_embd=256, init_std=0.05)
plain = GPT2(config).to(device).eval()
P = sum(p.numel() for p in plain.parameters() if p.ndim == 2) - plain.transformer.wpe.weight.numel()  # in products


def flops(T: int) -> int:
    return 2 * P * T + 4 * config.n_layer * T**2 * config.n_embd


for T in (1, 64, 512):
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        plain(torch.zeros(1, T, dtype=torch.long, device=device))
    print(f"{T:3} tokens: {counter.get_total_flops():13,} FLOPs counted, {flops(T):13,} by the formula")
    assert counter.get_total_flops() == flops(T)

# %% [markdown]
# Predict: to write 512 tokens after a prompt of 16, how many times more does the plain loop compute than a loop that handles every token once?
#
# <details><summary>Answer</summary>The plain loop makes 512 passes over 16 to 527 tokens, 271.5 on average, 139,008 tokens in all. The other loop handles 527 tokens. So 264 times more by the matrices alone, and a little more with attention, whose $T^2$ hits the plain loop harder.</details>

# %%
lengths = range(16, 16 + new_tokens)
again, once = (
    sum(flops(T) for T in lengths),
    2 * P * lengths[-1] + sum(4 * config.n_layer * T * config.n_embd for T in lengths),
)
print(
    f"every token again: {again / 1e9:,.0f} GFLOPs; every token once: {once / 1e9:.1f} GFLOPs; ratio {again / once:.0f}"
)

# %% [markdown]
# And in seconds? We time every step of the plain loop.


# %%
def plain_loop(model: nn.Module, idx: torch.Tensor, n: int) -> tuple[torch.Tensor, list[float]]:
    """Greedy writing with the whole text in every pass. Returns the text, (B, T + n), and the seconds of each step."""
    seconds = []
    for _ in train.progress(n, "plain loop"):
        start = time.perf_counter()
        idx = torch.cat([idx, model(idx)[0][:, -1].argmax(-1, keepdim=True)], 1)  # (B, T + 1)
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # a GPU returns before it is done
        seconds.append(time.perf_counter() - start)
    return idx, seconds


prompt = torch.randint(config.vocab_size, (1, 16), device=device)  # (B, T)
with torch.no_grad():
    plain_text, plain_seconds = plain_loop(plain, prompt, new_tokens)
print(f"{new_tokens / sum(plain_seconds):.0f} tokens/s")

# %% [markdown]
# The steps get slower as the text gets longer; the picture follows once there is a second curve. First: what could be kept?
#
# ## 2. What can be kept
#
# In a causal model no position looks ahead. So what layer 1 computes at position 5 does not change when tokens 6, 7, 8 arrive, and then nothing in layer 2 at position 5 changes, and so on up. A new token needs three things of its own, its query, key and value. Of the old ones it needs
# their **keys and values** in every layer, since it attends to them. Nobody asks for their queries again.


# %%
def keys_values(ids: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys and values of ids (1, T) that a layer of `plain` computes: (1, nh, T, hs) each."""
    block, seen = plain.transformer.h[layer], []
    hook = block.ln_1.register_forward_hook(lambda module, args, out: seen.append(out))  # out: (1, T, C)
    plain(ids)
    hook.remove()
    return block.attn.split(seen[0])[1:]


with torch.no_grad():
    for layer in range(config.n_layer):
        k_all, v_all = keys_values(plain_text[:, :40], layer)  # (1, nh, 40, hs) each
        k_old, v_old = keys_values(plain_text[:, :39], layer)  # (1, nh, 39, hs) each
        torch.testing.assert_close(k_all[:, :, :39], k_old, rtol=1e-5, atol=1e-6)  # other shape, other order of sums
        torch.testing.assert_close(v_all[:, :, :39], v_old, rtol=1e-5, atol=1e-6)
print("in every layer, 39 keys and values out of 40 are the ones of the step before")

# %% [markdown]
# That memory is the **KV cache**. In a model with an encoder's attention, where every position sees every other, it could not exist: one new token would change the keys and values of all old ones, in every layer but the first.
#
# ## 3. A cache that grows
#
# The cache has a place for each layer. A layer hands in the keys and values of the new tokens and gets back those of all tokens. It also knows
# which places the new tokens take, because the model has to ask for positions: token number 40 must get the position embedding of 40, although it arrives alone.
#
# We number the tokens of a row in the order in which they are read, padding included, and call that number a token's **slot**. Here slots and positions are the same; section 14 brings prompts of unequal length, whose first token sits in a later slot, and section 11 a window. The class has room for both. On a first reading take `start` and `window` as None and skip `select` (section 13): `update` appends, `positions` counts on, and `mask` gives None or a piece of the causal triangle.


# %%
#| export kv_cache
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


# %% [markdown]
# The first pass reads the whole prompt: that is called **prefill**. Every pass after it reads one token: **decode**. Both go through the same forward.
#
# Does it write the same text, and how fast?

# %%
ours = CachedGPT2(config).to(device).eval()
ours.load_state_dict(plain.state_dict())
tokens, cached_seconds, start = [], [], time.perf_counter()
for token in stream(ours, prompt, new_tokens, temperature=0):
    tokens.append(token)
    cached_seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
assert torch.equal(torch.cat([prompt, *tokens], 1), plain_text)
speedup = sum(plain_seconds) / sum(cached_seconds)
print(
    f"{new_tokens / sum(cached_seconds):.0f} tokens/s: {speedup:.1f} times the plain loop, the same {new_tokens} tokens"
)
assert new_tokens < 512 or speedup > 5

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2))
places = np.arange(16, 16 + new_tokens)
ax.plot(places, 1e3 * np.array(plain_seconds), ".", ms=3, label="plain loop")
ax.plot(places, 1e3 * np.array(cached_seconds), ".", ms=3, label="with a cache")
ax.set(xlabel="tokens in the text", ylabel="milliseconds for the next token", ylim=(0, None))
ax.set(title="The plain loop slows down with every token, the cache hardly")
ax.legend(markerscale=4)
plt.show()

# %% [markdown]
# The saving in seconds is far below the saving in FLOPs. A plain pass over hundreds of tokens keeps the processor busy; a pass over one token does so little arithmetic that other costs rule, reading the weights and Python's calls among them. Section 8 measures the first of these, on a larger model.
#
# **Prove it.** Equal text could be luck: the largest logit wins even when it is slightly wrong. So we compare every logit at every position, for a text that is read in pieces of random length, with the plain forward of lecture 10. It was itself proved equal to `transformers`.

# %%
with torch.no_grad():
    reference = plain(plain_text)[0]  # (1, T, V)
    g, cache, got = torch.Generator().manual_seed(1), KVCache(), []
    while cache.length < plain_text.shape[1]:
        piece = torch.randint(1, 40, (), generator=g).item()
        got.append(ours(plain_text[:, cache.length : cache.length + piece], cache))
difference = (torch.cat(got, 1) - reference).abs().max().item()
print(f"{len(got)} pieces, {reference.numel():,} logits: largest difference {difference:.1e}")
assert difference < 1e-5  # logits up to 4, sums in another order

# %% [markdown]
# ## 4. What it costs: memory
#
# For each token the cache holds a key and a value of size $h_s$, for each of $n_{kv}$ key heads in each of $L$ layers. (A key head is a head's keys with its values. In GPT-2 each head has its own; in newer models several query heads share one, section 6.)
#
# $$\text{bytes} = 2 \cdot L \cdot n_{kv} \cdot h_s \cdot \text{bytes a number} \cdot \text{tokens}$$

# %%
cache_bytes = 2 * config.n_layer * config.n_head * (config.n_embd // config.n_head) * 4 * cache.length
print(f"{cache_bytes:,} bytes by the formula, {cache.nbytes:,} bytes held")
assert cache_bytes == cache.nbytes

# %% [markdown]
# For large models the cache is a second model in memory. With the published sizes, at two bytes a number (GPT-2 itself ends at 1,024 tokens):

# %% tags=["nbval-check-output"]
published = {  # layers, key heads, head size, billions of parameters
    "GPT-2 124M": (12, 12, 64, 0.124),
    "SmolLM2-135M": (30, 3, 64, 0.135),
    "Llama-2-7B": (32, 32, 128, 6.74),
    "Llama-2-70B": (80, 8, 128, 69.0),
    "Llama-3-8B": (32, 8, 128, 8.03),
}
rows = [
    "| model | bytes a token | one text of 4,096 tokens | texts that weigh as much as the model |",
    "|---|---|---|---|",
]
for name, (L, nkv, hs, billions) in published.items():
    a_token = 2 * L * nkv * hs * 2
    rows.append(f"| {name} | {a_token:,} | {a_token * 4096 / 1e9:.2f} GB | {billions * 2e9 / (a_token * 4096):.0f} |")
Markdown("\n".join(rows))

# %% [markdown]
# Llama-2-7B and Llama-3-8B have about the same size, and a token costs the older one four times as much memory. The reason is the number of key heads, section 10. (Sizes: [Touvron et al. 2023](https://arxiv.org/abs/2307.09288), [Dubey et al. 2024](https://arxiv.org/abs/2407.21783), and the models' published configurations.)
#
# ## 5. Preallocated: the static cache
#
# `torch.cat` makes a new tensor for every token and copies all old keys into it. The copy grows with the text:

# %%
# one layer's keys in a larger model: 16 heads of 64
for length in (256, 1024, 4096, 16384):
    old, new = torch.randn(1, 16, length, 64), torch.randn(1, 16, 1, 64)
    room = torch.empty(1, 16, length + 1, 64)
    times = []
    for work in (lambda: torch.cat([old, new], 2), lambda: room[:, :, length:].copy_(new)):
        work()
        start = time.perf_counter()
        for _ in range(10):
            work()
        times.append((time.perf_counter() - start) / 10 * 1e6)
    print(f"{length:6} tokens: cat {times[0]:8.0f} µs, write into place {times[1]:4.0f} µs")

# %% [markdown]
# Writing into place costs the same everywhere. The price: we have to say beforehand how long the text may become, and pay for that memory from the start.


# %%
#| export kv_cache
import torch


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


# %%
static = StaticKVCache(config.n_layer, 1, config.n_head, 600, config.n_embd // config.n_head, device=device)
assert torch.equal(generate(ours, prompt, new_tokens, cache=static, temperature=0), plain_text)
print(f"the same text; {static.nbytes:,} bytes from the first token on, {static.length} of 600 places used")
try:
    ours(torch.zeros(1, 100, dtype=torch.long, device=device), static)
except ValueError as error:
    print("✗", error)

# %% [markdown]
# A compiler wants one step more. `torch.compile` makes code for the shapes that it sees, and our class still hands out views that grow. If the shapes change with every token, it has to compile again, or to make more general code. If the cache hands out the whole buffer, and a mask
# hides the empty places, all steps look alike. The same holds for CUDA graphs, which replay a recorded sequence of kernels on fixed addresses. We count compilations with a backend that compiles nothing and counts.

# %%
from torch._dynamo.testing import CompileCounter

q, full_k, full_v = torch.randn(1, 4, 1, 64), torch.randn(1, 4, 16, 64), torch.randn(1, 4, 16, 64)
for kind in ("growing", "static"):
    torch._dynamo.reset()
    counter = CompileCounter()
    step = torch.compile(F.scaled_dot_product_attention, backend=counter, dynamic=False)
    for T in range(2, 9):
        if kind == "growing":
            y = step(q, full_k[:, :, :T].clone(), full_v[:, :, :T].clone())
        else:
            y = step(q, full_k, full_v, (torch.arange(16) < T)[None])  # the mask changes, its shape does not
        torch.testing.assert_close(y, F.scaled_dot_product_attention(q, full_k[:, :, :T], full_v[:, :, :T]))
    print(f"{kind:8} buffer: 7 steps, {counter.frame_count} compilation{'s' * (counter.frame_count > 1)}")

# %% [markdown]
# With `dynamic=False` the growing buffer is compiled anew for every length, the fixed one once. (Left to itself, `torch.compile` makes more general code at the second length: 2 compilations.) The price of the fixed shape is that attention reads the whole buffer, empty or not; `StaticKVCache` saves that by its views.
#
# ## 6. A modern model: Llama
#
# SmolLM2 is a model of the Llama family. Lecture 07's exercise EX4 tried its parts one by one. Together, from GPT-2 to Llama:
#
# - **Positions are rotations** (RoPE, lecture 09): no position table; queries and keys are turned by an angle that grows with the position, so that their product depends on the distance. Keys go into the cache *after* turning: a token's position never changes.
# - **RMSNorm** divides by the root mean square and does not subtract the mean.
# - **SwiGLU**: the hidden layer is one product, gated by the SiLU of another.
# - **Grouped-query attention** ([Ainslie et al. 2023](https://arxiv.org/abs/2305.13245)): several query heads share one head of keys and values; in SmolLM2, nine share three. The later and larger Llamas have it. It was made for the cache, and section 10 says why.
# - No biases anywhere.
#
# The modules carry the published names, so that published weights load with no translation.


# %%
#| export llama
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.kv_cache import KVCache, attend


@dataclass
class LlamaConfig:
    """The size of a Llama; the defaults are SmolLM2-135M's."""

    vocab_size: int = 49152
    n_layer: int = 30
    n_head: int = 9
    n_kv_head: int = 3
    n_embd: int = 576
    n_inner: int = 1536
    rope_base: float = 100_000.0
    norm_eps: float = 1e-5


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (x_i, x_(i + hs/2)) of each head: x (B, n, T, hs), cos and sin (T, hs) or (B, 1, T, hs).

    Source: Su et al. (2021), https://arxiv.org/abs/2104.09864, with the pairs as Llama's published weights have them.
    """
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


class LlamaAttention(nn.Module):
    """Causal attention with rotary positions and shared key heads: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        C, self.head_size = config.n_embd, config.n_embd // config.n_head
        self.q_proj = nn.Linear(C, config.n_head * self.head_size, bias=False)
        self.k_proj = nn.Linear(C, config.n_kv_head * self.head_size, bias=False)
        self.v_proj = nn.Linear(C, config.n_kv_head * self.head_size, bias=False)
        self.o_proj = nn.Linear(config.n_head * self.head_size, C, bias=False)

    def forward(self, x, layer: int, cache: KVCache, mask, cos, sin) -> torch.Tensor:
        heads = (project(x).unflatten(-1, (-1, self.head_size)) for project in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = (h.transpose(1, 2) for h in heads)  # (B, nh, T, hs), then twice (B, nkv, T, hs)
        k, v = cache.update(layer, turn(k, cos, sin), v)  # (B, nkv, K, hs) each
        return self.o_proj(attend(turn(q, cos, sin), k, v, mask).transpose(1, 2).flatten(2))


class LlamaMLP(nn.Module):
    """SwiGLU: (B, T, C) -> (B, T, C).  Source: Shazeer (2020), https://arxiv.org/abs/2002.05202."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.n_embd, config.n_inner, bias=False)
        self.up_proj = nn.Linear(config.n_embd, config.n_inner, bias=False)
        self.down_proj = nn.Linear(config.n_inner, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaBlock(nn.Module):
    """Attention and feed-forward, each on normalised input and added to it: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        C, eps = config.n_embd, config.norm_eps
        self.input_layernorm, self.self_attn = nn.RMSNorm(C, eps), LlamaAttention(config)
        self.post_attention_layernorm, self.mlp = nn.RMSNorm(C, eps), LlamaMLP(config)

    def forward(self, x: torch.Tensor, *place) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), *place)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """A Llama with tied embeddings and the published names: ids (B, T) and a cache -> logits (B, T, V), with last=True
    of the last token alone, (B, 1, V).  Source: Touvron et al. (2023), https://arxiv.org/abs/2302.13971.
    """

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(config.vocab_size, config.n_embd),
            "layers": nn.ModuleList(LlamaBlock(config) for _ in range(config.n_layer)),
            "norm": nn.RMSNorm(config.n_embd, config.norm_eps),
        })  # fmt: skip
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, idx: torch.Tensor, cache: KVCache | None = None, last: bool = False) -> torch.Tensor:
        cache = KVCache() if cache is None else cache
        mask = cache.mask(idx)
        hs = self.config.n_embd // self.config.n_head
        half = torch.arange(0, hs, 2, device=idx.device) / hs  # (hs / 2,) float32: bfloat16 cannot count to 400
        speeds = self.config.rope_base**-half  # (hs / 2,) radians a position
        angles = cache.positions(idx)[..., None] * speeds  # (T, hs / 2), or (B, T, ...)
        angles = torch.cat([angles, angles], -1)  # (T, hs)
        x = self.model.embed_tokens(idx)  # (B, T, C)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        if cos.ndim == 3:
            cos, sin = cos[:, None], sin[:, None]  # (B, 1, T, hs): the same for all heads
        for layer, block in enumerate(self.model.layers):
            x = block(x, layer, cache, mask, cos, sin)
        cache.advance(idx.shape[1])
        return self.lm_head(self.model.norm(x[:, -1:] if last else x))  # (B, T or 1, V)


# %% [markdown]
# **Prove it** against `transformers`, with random weights, norms included. A small model will do; read whole, and in pieces.


# %%
def library_twin(model: Llama, **options) -> nn.Module:
    """The same model as `transformers` has it, sharing our weights."""
    c = model.config
    kind = transformers.MistralConfig if "sliding_window" in options else transformers.LlamaConfig
    sizes = dict(
        vocab_size=c.vocab_size, num_hidden_layers=c.n_layer, hidden_size=c.n_embd, num_attention_heads=c.n_head
    )
    sizes |= dict(num_key_value_heads=c.n_kv_head, intermediate_size=c.n_inner, rms_norm_eps=c.norm_eps)
    sizes |= dict(rope_parameters={"rope_type": "default", "rope_theta": c.rope_base}, tie_word_embeddings=True)
    no_ends = dict(bos_token_id=None, eos_token_id=None, pad_token_id=0)
    twin = transformers.AutoModelForCausalLM.from_config(kind(**sizes, **no_ends, **options)).eval().to(device)
    twin.load_state_dict(model.state_dict(), assign=True)
    twin.tie_weights()
    return twin


torch.manual_seed(0)
small = Llama(LlamaConfig(vocab_size=1000, n_layer=3, n_head=6, n_kv_head=2, n_embd=96, n_inner=256)).to(device).eval()
with torch.no_grad():
    for p in small.parameters():
        p.copy_(1 + 0.2 * torch.randn_like(p) if p.ndim == 1 else 0.1 * torch.randn_like(p))
    text = torch.randint(1000, (2, 50), device=device)
    reference = library_twin(small)(text).logits  # (2, 50, V)
    cache = KVCache()
    in_pieces = torch.cat([small(piece, cache) for piece in text.split([20, 1, 1, 9, 1, 18], 1)], 1)
    for name, logits in {"read whole": small(text), "in pieces": in_pieces}.items():
        print(
            f"{name}: largest difference {(logits - reference).abs().max():.1e}, logits up to {reference.abs().max():.0f}"
        )
        torch.testing.assert_close(logits, reference, rtol=1e-5, atol=1e-5)

# %% [markdown]
# ## 7. A real model: SmolLM2
#
# SmolLM2-135M-Instruct ([Allal et al. 2025](https://arxiv.org/abs/2502.02737)) is a chat model small enough for a laptop. It comes as a file in a format called GGUF, 98 MB, its weights rounded to about 5 bits each (Q4_1). `transformers` reads it and unpacks the weights to float32, 540 MB; lecture 19 reads it by hand. Our Llama takes over the very
# same tensors: one copy in memory, two implementations.

# %%
torch.manual_seed(0)
smol = Llama(LlamaConfig()).to(device).eval()
try:
    path, words = data.fetch("smollm2"), None
    words = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).eval().to(device)
    smol.load_state_dict(theirs.state_dict(), assign=True)
    smol.lm_head.weight = smol.model.embed_tokens.weight  # assigning untied them
except data.DataError as missing:
    print(
        f"✗ {missing}\nThe page goes on with a model of the same shape and random weights: the same speed, and noise for text."
    )
    theirs = library_twin(smol)


def show(ids: torch.Tensor) -> str:
    return words.decode(ids) if words else str(ids.tolist())


chat = [{"role": "user", "content": "Why is the sky blue? Answer in two sentences."}]
if words:
    question = torch.tensor(
        [words.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)], device=device
    )
else:
    question = torch.randint(49152, (1, 40), device=device)
print(f"{sum(p.numel() for p in smol.parameters()):,} parameters, {question.shape[1]} tokens of prompt")

# %% [markdown]
# How the library keeps its cache: an object, `DynamicCache`, goes into the model with the new tokens and comes back longer. That is our loop, in other words:

# %%
library_cache, ids, answer = transformers.DynamicCache(), question, []
with torch.no_grad():
    for _ in train.progress(40, "by hand, their cache"):
        out = theirs(input_ids=ids, past_key_values=library_cache, use_cache=True, logits_to_keep=1)
        ids = out.logits[:, -1].argmax(-1, keepdim=True)  # (1, 1)
        answer.append(ids)
        if ids.item() == 2:  # <|im_end|>
            break
answer = torch.cat(answer, 1)  # (1, n)
print(show(answer[0]))
print(f"{library_cache.get_seq_length()} tokens in the cache")

# %%
cache = KVCache()
mine = generate(smol, question, 40, cache=cache, temperature=0, stop=2)[:, question.shape[1] :]
assert torch.equal(mine, answer)
held = 2 * 30 * 3 * 64 * 4 * cache.length
print(f"ours: the same {mine.shape[1]} tokens; {cache.nbytes:,} bytes held, {held:,} by the formula")
assert cache.nbytes == held

# %% [markdown]
# ### A race
#
# The same weights, the same threads, greedy, alternating, the best of three rounds each. Here both write on after a longer prompt, whatever comes.

# %%
long_prompt = question.repeat(1, 4)[:, :128]  # (1, 128)
theirs.generation_config.eos_token_id = None  # nobody stops early
speed = {"transformers.generate": 0.0, "our generate": 0.0}
for _ in train.progress(3, "rounds of the race"):
    texts = []
    for runner in speed:
        start = time.perf_counter()
        if runner == "our generate":
            texts.append(generate(smol, long_prompt, race_tokens, temperature=0))
        else:
            options = dict(do_sample=False, pad_token_id=0, attention_mask=torch.ones_like(long_prompt))
            texts.append(theirs.generate(long_prompt, max_new_tokens=race_tokens, **options))
        speed[runner] = max(speed[runner], race_tokens / (time.perf_counter() - start))
    assert torch.equal(*texts)  # token for token
for runner, rate in speed.items():
    print(f"{runner:22} {rate:5.1f} tokens/s")
ratio = speed["our generate"] / speed["transformers.generate"]
print(f"ratio {ratio:.2f}")
assert ratio > 0.85  # level, give or take what else this machine is doing

# %% [markdown]
# `transformers` serves hundreds of architectures and options with one loop; we do one thing. The difference is a few percent, since most of a step goes into reading the weights and multiplying by them, whoever asks for it (section 8).
#
# ### Speed against the length of the context
#
# With a cache, does the length of the text matter at all? Attention reads the whole cache for every token. We fill caches of several lengths with random numbers (speed does not care), take a few steps, and compare with the plain loop up to 512.


# %%
def seconds(work, rounds: int) -> float:
    """Of the fastest of some calls, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # a GPU returns before it is done
        times.append(time.perf_counter() - start)
    return min(times[1:])


def filled(length: int, batch: int = 1) -> KVCache:
    cache = KVCache()
    shape = (batch, 3, length, 64)
    cache.layers = {i: (torch.randn(shape, device=device), torch.randn(shape, device=device)) for i in range(30)}
    cache.advance(length)
    return cache


rate = {"our cache": [], "transformers": [], "no cache": []}
one = torch.zeros(1, 1, dtype=torch.long, device=device)
with torch.no_grad():
    for n in train.progress(contexts, "contexts"):
        cache = filled(n)
        rate["our cache"].append(1 / seconds(lambda: smol(one, cache, last=True), 5))
        theirs_filled = transformers.DynamicCache()
        for layer, (k, v) in filled(n).layers.items():
            theirs_filled.update(k, v, layer)
        step = lambda: theirs(one, past_key_values=theirs_filled, logits_to_keep=1)
        rate["transformers"].append(1 / seconds(step, 5))
        if n <= 512:
            rate["no cache"].append(1 / seconds(lambda: smol(one.expand(1, n), last=True), 2))

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2))
for (name, rates), marker in zip(rate.items(), "os^", strict=True):
    ax.plot(contexts[: len(rates)], rates, marker=marker, label=name)
ax.set(xlabel="tokens in the context", ylabel="tokens a second", ylim=(0, None))
ax.set(title="The cache keeps a long context fast, not free")
ax.legend()
plt.show()
per_token = 2 * 30 * 3 * 64 * 4
print(f"the weights are {135e6 * 4 / 1e6:.0f} MB, a cache of 4,096 tokens {per_token * 4096 / 1e6:.0f} MB")

# %% [markdown]
# At 4,096 tokens the cache weighs a third of the weights, and both are read for every token. (Growing by `cat` copies the cache once more.)
#
# ## 8. Prefill and decode on the roofline
#
# A machine has two limits: operations a second, and bytes a second from memory. Which one binds depends on the **arithmetic intensity** of the work, its operations for each byte that it reads ([Williams et al. 2009](https://doi.org/10.1145/1498765.1498785)).
# A pass over $T$ tokens of $B$ texts takes $2PBT$ operations, and reads $4P$ bytes of weights in float32. Its intensity is $BT/2$: one half for decode with one text, hundreds for a prefill. We measure the two limits of this machine, the second with a large matrix times a vector, because that is what decoding does. (A plain sum may read faster: the roof that a program meets is the one of its kernels.)

# %%
P_smol = sum(p.numel() for p in smol.parameters() if p.ndim == 2)  # the tied matrix is read once, at the end
square = torch.randn(2048, 2048, device=device)
peak = 2 * 2048**3 / seconds(lambda: square @ square, 5)  # FLOP/s
large, vector = torch.randn(50_000, 1024, device=device), torch.randn(1024, device=device)  # 205 MB
bandwidth = large.nbytes / seconds(lambda: large @ vector, 5)  # bytes/s
summed = large.nbytes / seconds(lambda: large.sum(), 5)
ridge = peak / bandwidth
print(f"{peak / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s: the roof bends at {ridge:.0f} FLOPs a byte")
print(f"a sum over the same matrix reads {summed / 1e9:.1f} GB/s")


# %%
def pass_speed(batch: int, new: int, cached: int) -> tuple[float, float, float]:
    """Seconds of one pass of `new` tokens after `cached` ones, its FLOPs, and the bytes that it reads."""
    idx = torch.zeros(batch, new, dtype=torch.long, device=device)

    def work():
        smol(idx, filled_once if cached else None, last=True)
        if cached:  # back to where it was
            filled_once.layers, filled_once.length = dict(layers), cached

    if cached:
        filled_once = filled(cached, batch)
        layers = dict(filled_once.layers)
    with torch.no_grad():
        took = seconds(work, 3)
    head = 49152 * 576  # the last layer acts on the last token only
    work_done = 2 * batch * (new * (P_smol - head) + head) + 4 * 30 * batch * new * (cached + new / 2) * 576
    return took, work_done, 4 * P_smol + batch * cached * per_token


points = {}
for batch in train.progress(batches, "decode"):
    points[f"decode, {batch} texts"] = (*pass_speed(batch, 1, 64), batch)
for T in train.progress((16, 64, 256, 512), "prefill"):
    points[f"prefill, {T} tokens"] = (*pass_speed(1, T, 0), T)

# %%
fig, ax = plt.subplots(figsize=(7, 3.8))
x = np.logspace(-1, 3, 100)
ax.loglog(x, np.minimum(peak, x * bandwidth) / 1e9, color="gray", label="roof: memory, then arithmetic")
for kind, marker in (("decode", "o"), ("prefill", "s")):
    some = [(w / b, w / t / 1e9, n) for name, (t, w, b, n) in points.items() if name.startswith(kind)]
    ax.plot(*zip(*[(i, s) for i, s, _ in some], strict=True), marker, label=f"{kind}, measured")
    for i, s, n in (some[0], some[-1]):
        unit = "tokens" if kind == "prefill" else "text" if n == 1 else "texts"
        ax.annotate(f"{n} {unit}", (i, s), textcoords="offset points", xytext=(6, -10), fontsize=8)
ax.set(xlabel="arithmetic intensity (FLOPs a byte)", ylabel="GFLOP a second")
ax.set(title="Decode of one text lies under the memory slope, prefill under the flat roof")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The two regimes want different things. Prefill wants arithmetic: fast matrix products. Decode of one text wants bandwidth: smaller weights (lecture 19), a smaller cache (section 10), or more texts at a time.
#
# ## 9. Many texts at a time
#
# Each step reads all weights once, for however many texts. If memory were all, more texts would be free until arithmetic becomes the limit, where the intensity $B/2$ reaches the ridge of the roof. How near does the machine come?
#
# <details><summary>Predict: how many tokens a second do 16 texts get together, if one alone gets 17?</summary>If sharing were free, 272. The picture shows about half of that.</details>

# %%
steps = np.array([points[f"decode, {b} texts"][0] for b in batches])
throughput = np.array(batches) / steps
fig, ax = plt.subplots(figsize=(6.5, 3.4))
ax.loglog(batches, throughput, marker="o", label="measured")
ax.loglog(batches, throughput[0] * np.array(batches), ls="--", color="gray", label="if memory were all")
ax.axvline(2 * ridge, color="black", lw=1, ls=":", label=f"the roof bends: {2 * ridge:.0f} texts")
ax.set(xlabel="texts in the batch", ylabel="tokens a second, all texts")
ax.set(title="A batch shares the reading of the weights, until arithmetic is the limit")
ax.legend()
plt.show()
half = next((b for b, t in zip(batches, throughput, strict=True) if t < 0.5 * b * throughput[0]), None)
print(f"one text {throughput[0]:.0f} tokens/s, {batches[-1]} texts {throughput[-1]:.0f} tokens/s")
if half:
    print(f"from {half} texts on, a batch gives less than half of what free sharing would give")

# %% [markdown]
# More texts are cheap, not free: the curve leaves the dashed line from the second text on (a matrix times two vectors runs another kernel than a matrix times one), well before the bend of the roof. Still, eight texts cost far less than eight times one. That is why a server collects requests into batches: the same machine serves many times the tokens. The cache sets the limit then, since every text has its own.
#
# ## 10. Fewer heads in the cache
#
# **Multi-query attention** ([Shazeer 2019](https://arxiv.org/abs/1911.02150)) gives all query heads one head of keys and values; **grouped-query attention** gives each group of query heads one. With $g$ query heads in a group the cache is $g$ times smaller. We time one attention step of 32 query heads of size 128, as in Llama-2-7B, over a cache of 4,096 tokens, with 32, 8 and 1 key heads.

# %%
rows = ["| key heads | name | cache of one layer | time of one step |", "|---|---|---|---|"]
q = torch.randn(1, 32, 1, 128, device=device)
grouped_seconds = {}
for nkv, name in ((32, "multi-head"), (8, "grouped-query"), (1, "multi-query")):
    k, v = torch.randn(2, 1, nkv, 4096, 128, device=device)
    repeated = [t.repeat_interleave(32 // nkv, 1) for t in (k, v)]  # every query head with a key head of its own
    torch.testing.assert_close(
        attend(q, k, v, None), F.scaled_dot_product_attention(q, *repeated), rtol=1e-4, atol=1e-6
    )
    grouped_seconds[nkv] = seconds(lambda: attend(q, k, v, None), 20)
    rows.append(f"| {nkv} | {name} | {(k.nbytes + v.nbytes) / 1e6:.1f} MB | {grouped_seconds[nkv] * 1e3:.2f} ms |")
Markdown("\n".join(rows))

# %% [markdown]
# The arithmetic is the same in all three rows: 32 query heads. Only the bytes differ, and the time follows them, until so few are left that the arithmetic shows: the last row does 67 million operations, close to the machine's peak. What it costs in quality, Ainslie et al. measured: eight groups come close to multi-head attention.
#
# For one token, `attend` repeats no key. It lays the queries that share a key head side by side as rows of one small matrix. The assertion compares with keys really repeated.
#
# ### Latent attention, in brief
#
# DeepSeek-V2 ([2024](https://arxiv.org/abs/2405.04434)) keeps neither keys nor values but one short vector a token, the **latent** $c = W_{down}\,x$, from which each head makes its own: $k = W_{k}\,c$ and $v = W_{v}\,c$. Making them for all old tokens at every step would be expensive. But $q^\top W_k c = (W_k^\top q)^\top c$: the matrix moves to the query, and the step attends to the latents directly. The values go the same way: with the attention weights $a_t$, $\sum_t a_t W_v c_t = W_v \sum_t a_t c_t$, so the latents are summed first.
# (Rotary positions do not commute with that, so the paper keeps a small rotated key of 64 numbers beside the latent.)

# %%
nh, hs, r, T = 16, 64, 96, 200
W_k, W_v = torch.randn(2, nh, hs, r, dtype=torch.float64) / r**0.5
c, q = torch.randn(T, r, dtype=torch.float64), torch.randn(nh, hs, dtype=torch.float64)
k, v = torch.einsum("hdr,tr->htd", W_k, c), torch.einsum("hdr,tr->htd", W_v, c)  # (nh, T, hs) each
expanded = F.scaled_dot_product_attention(q[:, None], k, v)[:, 0]  # (nh, hs)
q_latent = torch.einsum("hdr,hd->hr", W_k, q)  # (nh, r): the queries, in the latent's space
weights = (q_latent @ c.T / hs**0.5).softmax(-1)  # (nh, T)
absorbed = torch.einsum("hdr,hr->hd", W_v, weights @ c)  # (nh, hs)
torch.testing.assert_close(absorbed, expanded, rtol=1e-10, atol=1e-10)  # float64
print(f"equal; numbers a token and layer: {2 * nh * hs:,} with keys and values, {r} with latents")
print(f"DeepSeek-V2: {2 * 128 * 128:,} for 128 heads of 128, {512 + 64} with latents of 512 and the rotated key")

# %% [markdown]
# ## 11. A rolling window: the ring buffer
#
# A model can be trained so that a token sees only the last $W$ tokens, as Mistral was ([Jiang et al. 2023](https://arxiv.org/abs/2310.06825)). Older keys are never read again, so $W$ places suffice for a text of any length. The token in slot $s$ is written to place $s \bmod W$, over the one that has left the window: a **ring buffer**.
#
# Two things go wrong easily. The order of places is not the order of tokens any more; that does not matter, because attention is a sum, and RoPE has turned each key by its true position before it was stored. But the **mask** has to know which token lies where. And when several tokens arrive at once, the first of them still needs keys that the last of them overwrites. So the ring hands out the old keys and the new ones together, then overwrites.


# %%
#| export kv_cache
import torch


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


# %% [markdown]
# **Prove it** against `transformers`' Mistral with a window of 8, over 50 tokens: the ring wraps six times. Token by token, and in pieces, three of them longer than the ring.


# %%
def ring(model: Llama, window: int, batch: int, start=None, sinks: int = 0) -> RollingKVCache:
    c = model.config
    return RollingKVCache(c.n_layer, batch, c.n_kv_head, window, c.n_embd // c.n_head, start, sinks, device=device)


with torch.no_grad():
    reference = library_twin(small, sliding_window=8)(text).logits  # (2, 50, V)
    far = (small(text) - reference).abs().max().item()
    for pieces in ([1] * 50, [20, 1, 1, 3, 1, 13, 1, 1, 9]):
        cache = ring(small, 8, 2)
        logits = torch.cat([small(piece, cache) for piece in text.split(pieces, 1)], 1)
        torch.testing.assert_close(logits, reference, rtol=1e-5, atol=1e-5)
        print(f"{len(pieces):2} pieces: largest difference {(logits - reference).abs().max():.1e}", end="")
        print(f", {cache.nbytes:,} bytes for {cache.length} tokens; last ring {cache.held.tolist()}")
print(f"(a model that sees everything would be off by {far:.1f})")

# %% [markdown]
# ## 12. Attention sinks
#
# SmolLM2 was not trained with a window. May we give it one anyway, to write without end? Xiao et al. ([2023](https://arxiv.org/abs/2309.17453)) tried that on large models, and the text fell apart as soon as the *first* tokens left the window, however little they said. Softmax has to put its weight somewhere, and trained models learn to park what they do not need on the first tokens: **attention sinks**. Keeping four of them in the cache saved the day.
#
# Does it hold for 135M parameters? We measure the loss on a scene of Shakespeare, with all tokens in sight, with a window of 64, and with a window of 60 and four sinks, so that both see 64. (The paper also counts positions inside the cache, which only matters when the text gets longer than the model has seen in training.)

# %%
scene = data.shakespeare()[-12_000:]
scene = torch.tensor([words.encode(scene)[:600]]) if words else torch.randint(49152, (1, 600))
scene = scene.to(device)
views = {
    "everything": KVCache(),
    f"last {window}": KVCache(window=window),
    f"4 sinks and last {window - 4}": KVCache(window=window - 4, sinks=4),
}
losses = {}
with torch.no_grad():
    for name in train.progress(views, "three views"):
        losses[name] = F.cross_entropy(
            smol(scene, views[name])[0, :-1], scene[0, 1:], reduction="none"
        ).cpu()  # (T - 1,)

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2))
for (name, loss), style in zip(losses.items(), ("-", ":", "--"), strict=True):
    ax.plot(loss.unfold(0, 40, 5).mean(1).numpy(), ls=style, label=f"{name}: {loss[2 * window :].mean():.2f}")
ax.set_xticks(range(0, 120, 20), range(20, 620, 100))
ax.set(xlabel="token of the scene", ylabel="loss (nats a token,\nmean of 40 tokens)")
ax.set(title="A window alone breaks the model; four first tokens repair it")
ax.legend(title="mean after two windows", fontsize=8)
plt.show()

# %% [markdown]
# With the window alone, the loss climbs in waves once the first token is out of sight: by two or three nats on average, and between the waves it comes back close to the others. With four sinks, for four tokens less of the recent text, most of that is gone, and about half a nat remains. Is that what the far past was worth? Then a model that reads the last 64 tokens afresh, as a text of its own, should do no better.

# %%
places = torch.arange(2 * window, len(scene[0]) - 1, 10)  # a tenth of the tokens
windows = scene[0].unfold(0, window, 1)[places - window + 1]  # (47, 64): what stands before each of them
with torch.no_grad():
    fresh = torch.cat(
        [
            F.cross_entropy(smol(w, last=True)[:, -1], scene[0, p + 1], reduction="none")
            for w, p in zip(windows.split(8), places.split(8), strict=True)
        ]
    ).mean()
sinks = losses[f"4 sinks and last {window - 4}"][places].mean()
print(f"at {len(places)} tokens: the last {window} read afresh {fresh:.2f}, four sinks and a cache {sinks:.2f}")
assert not words or abs(fresh - sinks) < 0.25

# %% [markdown]
# Nearly the same, and the cache reads each token once. So the sinks mend all that the window broke.
#
# The ring with sinks, token by token past its first wrap, gives what the mask gives:

# %%
with torch.no_grad():
    reference = small(text, KVCache(window=8, sinks=4))
    cache = ring(small, 8, 2, sinks=4)
    logits = torch.cat([small(piece, cache) for piece in text.split([15] + [1] * 35, 1)], 1)
torch.testing.assert_close(logits, reference, rtol=1e-5, atol=1e-5)
print(f"largest difference {(logits - reference).abs().max():.1e}; in the ring: {cache.held.tolist()}")

# %% [markdown]
# ## 13. Beams
#
# Greedy decoding takes the best token at each step and may miss the best text. **Beam search** keeps the $n$ best texts so far, extends each by every token, and keeps the $n$ best again. Two beams may share a parent, and others die. The cache has to follow: its rows are reordered by the parents' numbers. Forgetting that raises no error: with few beams the text may even stay fluent, so look for it.


# %%
@torch.no_grad()
def beam_search(model, idx: torch.Tensor, new: int, beams: int, reorder: bool = True) -> tuple[torch.Tensor, float]:
    """The best of `beams` continuations of idx (1, T), and its log probability. Texts end after `new` tokens."""
    cache = KVCache()
    score = model(idx, cache, last=True)[0, -1].log_softmax(-1)  # (V,)
    score, token = score.topk(beams)  # (n,) each
    cache.select(torch.zeros(beams, dtype=torch.long, device=idx.device))  # one text becomes n
    texts = torch.cat([idx.expand(beams, -1), token[:, None]], 1)  # (n, T + 1)
    for _ in range(new - 1):
        log_p = model(texts[:, -1:], cache, last=True)[:, -1].log_softmax(-1)  # (n, V)
        score, flat = (score[:, None] + log_p).flatten().topk(beams)  # of n V candidates
        parent, token = flat // log_p.shape[1], flat % log_p.shape[1]  # (n,) each
        texts = torch.cat([texts[parent], token[:, None]], 1)
        if reorder:
            cache.select(parent)
    return texts[0], score[0].item()


with torch.no_grad():
    for beams in (2, 4, 8):
        best, score = beam_search(small, text[:1, :10], 12, beams)
        options = dict(
            num_beams=beams, do_sample=False, max_new_tokens=12, return_dict_in_generate=True, output_scores=True
        )
        want = library_twin(small).generate(text[:1, :10], length_penalty=0.0, **options)
        careless = beam_search(small, text[:1, :10], 12, beams, reorder=False)[0]
        print(f"{beams} beams: log probability {score:.4f}, the library's {want.sequences_scores.item():.4f}", end="")
        print(f"; without reordering, {(careless != best).sum().item()} of 12 tokens differ")
        assert torch.equal(best, want.sequences[0])
        assert abs(score - want.sequences_scores.item()) < 1e-4

# %%
story = torch.tensor([words.encode("Once upon a time there was a")]).to(device) if words else question[:, :8]
for beams in (1, 4):
    best, score = beam_search(smol, story, 20, beams)
    print(f"{beams} beam{'s' * (beams > 1)}, log probability {score:6.2f}: {show(best)}")
print(f"4 beams, cache not reordered: {show(beam_search(smol, story, 20, 4, reorder=False)[0])}")

# %% [markdown]
# ## 14. Prompts of unequal length
#
# A batch needs rows of one length. Which side gets the padding? New tokens are added on the right, so the prompts have to end together: **left padding**. First the careless way: pad, and let everything run as before.

# %%
prompts = [text[0, :9], text[1, :4], text[0, 20:34]]  # three lengths
longest = max(map(len, prompts))
batch = torch.stack([F.pad(p, (longest - len(p), 0)) for p in prompts])  # (3, 14), zeros on the left
start = torch.tensor([longest - len(p) for p in prompts], device=device)  # (3,)
twin = library_twin(small)


def alone(model, rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """The logits of each row for itself, (T, V) each: the reference."""
    with torch.no_grad():
        return [model(row[None]).logits[0] for row in rows]


want = alone(twin, prompts)
with torch.no_grad():
    careless = small(batch)  # (3, 14, V)
for row, reference in enumerate(want):
    print(
        f"a prompt of {len(prompts[row]):2} tokens: off by {(careless[row, start[row] :] - reference).abs().max():.1e}"
    )

# %% [markdown]
# The longest prompt has no padding and is right. The others attend to padding. Two things have to be told: which slots are real (the mask), and that positions count from the first real token. For a model with RoPE the second does not show in exact arithmetic, since only distances count; for GPT-2's learned positions it does.
#
# `KVCache(start=...)` does both. The proof runs over every cache we have, prompts of unequal length, and 20 tokens of decoding after them, so that the ring wraps; the reference reads each row alone, without a cache.

# %%
torch.manual_seed(1)
future = torch.randint(1000, (3, 20), device=device)  # what comes after the prompts
full_rows = [torch.cat([p, f]) for p, f in zip(prompts, future, strict=True)]
L, nkv, hs = small.config.n_layer, small.config.n_kv_head, 16
sizes = dict(vocab_size=1000, n_positions=64, n_embd=96, n_layer=3, n_head=6)
gpt2_twin = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)).eval().to(device)
gpt2 = CachedGPT2(GPT2Config(1000, 64, 3, 6, 96)).eval().to(device)
load_hf_state_dict(gpt2, gpt2_twin.state_dict())
one_window = library_twin(small, sliding_window=8)
cases = {
    "Llama, growing": (small, twin, lambda: KVCache(start)),
    "Llama, static": (small, twin, lambda: StaticKVCache(L, 3, nkv, 40, hs, start, device=device)),
    "Llama, window by mask": (small, one_window, lambda: KVCache(start, window=8)),
    "Llama, ring": (small, one_window, lambda: ring(small, 8, 3, start)),
    "GPT-2, growing": (gpt2, gpt2_twin, lambda: KVCache(start)),
    "GPT-2, static": (gpt2, gpt2_twin, lambda: StaticKVCache(3, 3, 6, 40, hs, start, device=device)),
}
rows = ["| model and cache | largest difference to each row alone |", "|---|---|"]
for name, (model, library, make) in cases.items():
    cache, worst = make(), 0.0
    with torch.no_grad():
        got = [model(batch, cache)] + [model(future[:, t : t + 1], cache) for t in range(20)]
    got = torch.cat(got, 1)  # (3, 34, V)
    for row, reference in enumerate(alone(library, full_rows)):
        worst = max(worst, (got[row, start[row] :] - reference).abs().max().item())
    rows.append(f"| {name} | {worst:.1e} |")
    assert worst < 1e-5 * max(1, reference.abs().max().item()), name
Markdown("\n".join(rows))

# %% [markdown]
# And on the real model: three questions in one batch answer as they do alone.

# %%
asked = ["What is the capital of France?", "Name three colours.", "What do bees make? Answer in one word."]
if words:
    asked = [
        words.apply_chat_template([{"role": "user", "content": a}], add_generation_prompt=True, return_dict=False)
        for a in asked
    ]
    asked = [torch.tensor(a, device=device) for a in asked]
    longest = max(map(len, asked))
    batch = torch.stack([F.pad(a, (longest - len(a), 0)) for a in asked])  # (3, T)
    start = torch.tensor([longest - len(a) for a in asked], device=device)
    together = generate(smol, batch, 24, cache=KVCache(start), temperature=0, stop=2)
    for row, a in enumerate(asked):
        single = generate(smol, a[None], 24, temperature=0, stop=2)[0, len(a) :]
        assert torch.equal(together[row, longest:][: len(single)], single)
        print(f"{len(a)} tokens of prompt:", show(single))

# %% [markdown]
# ## What we have now
#
# | what | result, asserted above | on the machine of this run |
# |---|---|---|
# | our GPT-2, 512 tokens | at least 5 times the plain loop's tokens a second, the same text | |
# | SmolLM2-135M | the same tokens as `transformers.generate`, and as many a second, within 15 percent | 14 to 16 tokens/s on one core |
# | growing, static, rolling; alone and in unequal batches | equal to the plain forward to 1e-5 | |
# | cache of a token, SmolLM2 in float32 | 46,080 bytes, as the formula says | |
#
# Lecture 19 makes the weights smaller, and the cache too. Lectures 20 and 21 train SmolLM2, and lecture 26 lets it answer questions with this `stream`.
#
# **To read.**
# - N. Shazeer (2019). Fast Transformer Decoding: One Write-Head is All You Need. [arXiv:1911.02150](https://arxiv.org/abs/1911.02150). For its short analysis of memory accesses per operation, in prefill and in decode.
# - R. Pope et al. (2022). Efficiently Scaling Transformer Inference. [arXiv:2211.05102](https://arxiv.org/abs/2211.05102). For prefill and decode as two problems, on many chips.
# - J. Ainslie et al. (2023). GQA. [arXiv:2305.13245](https://arxiv.org/abs/2305.13245). For turning a trained multi-head model into a grouped one.
# - G. Xiao et al. (2023). Efficient Streaming Language Models with Attention Sinks. [arXiv:2309.17453](https://arxiv.org/abs/2309.17453). For the pictures of where attention goes.
# - W. Kwon et al. (2023). PagedAttention. [arXiv:2309.06180](https://arxiv.org/abs/2309.06180). For what a server does with a cache that is full of holes.
#
# **Five questions for tomorrow.**
# 1. Why are old queries not kept?
#    <details><summary>Answer</summary>A query asks for its own position's output only, and the outputs of old positions are not needed again.</details>
# 2. A layer's input at position 5: does it change when token 6 arrives? What if the attention were not causal?
#    <details><summary>Answer</summary>No, since position 5 sees only positions up to 5. Without the causal mask it would change in every layer from the second on, and only the first layer's keys and values could be kept.</details>
# 3. How many bytes does a token need in the cache of Llama-3-8B, with two bytes a number?
#    <details><summary>Answer</summary>2 · 32 layers · 8 heads · 128 · 2 bytes = 131,072.</details>
# 4. Why does a step for 8 texts take far less than 8 times a step for one?
#    <details><summary>Answer</summary>The step waits for the weights to come from memory, and they come once for all texts.</details>
# 5. In a ring buffer the keys lie in the wrong order. Why is the result right?
#    <details><summary>Answer</summary>Attention is a weighted sum over keys in any order; positions were turned into the keys before they were stored; and the mask goes by slot, not by place.</details>
