# %% [markdown]
# # 18 · exercises: the KV cache
#
# Six tasks: what a cache weighs, one step of attention with a cache, shared key heads, a ring buffer, prompts of unequal length, and two bugs in somebody else's cache. Each has a cell to fill in, a check that
# says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/18_kv_cache.ipynb) · a run takes about 5 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 18. The tasks do not depend on each other.

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
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from course_utils import lesson
from course_utils.checks import kv_cache as check
from course_utils.lectures.kv_cache import KVCache

device = lesson.start("18_kv_cache, exercises")

# %% [markdown]
# ---
# ### X01. What does it weigh?   (1 of 5 · 15 minutes)
#
# Two questions before you serve a model. How many bytes does the cache of some texts take? It holds a key and a value of `head_size` numbers, for each key head, layer, token and text. And how many texts of that length fit into memory beside the weights? Whole texts only, and none at all if the weights alone do not fit. Weights and cache use the same bytes a number.


# %%
def cache_bytes(n_layer: int, n_kv_head: int, head_size: int, tokens: int, texts: int, bytes_a_number: int) -> int:
    """Bytes of the keys and values of `texts` texts of `tokens` tokens each."""
    ### BEGIN SOLUTION
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number
    ### END SOLUTION


def texts_that_fit(memory: int, parameters: int, bytes_a_text: int, bytes_a_number: int) -> int:
    """How many caches of bytes_a_text fit into `memory` bytes beside the weights of so many parameters."""
    ### BEGIN SOLUTION
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)
    ### END SOLUTION


# %%
check.x01(cache_bytes, texts_that_fit)

# %% [markdown]
# <details><summary>Hint 1</summary>A key <em>and</em> a value: there is a factor of 2. The query heads do not matter.</details>
# <details><summary>Hint 2</summary>What is left of the memory when the weights are in? Divide that by the bytes of a text with <code>//</code>.</details>
#
# Llama-2-70B on eight GPUs of 80 GB, texts of 4,096 tokens, two bytes a number: with its eight key heads, and if it had one for each of its 64 query heads.

# %% tags=["demo", "nbval-check-output"]
for heads in (8, 64):
    a_text = cache_bytes(80, heads, 128, 4096, 1, 2)
    print(
        f"{heads:2} key heads: {a_text / 1e9:5.2f} GB a text, {texts_that_fit(8 * 80 * 10**9, 69 * 10**9, a_text, 2)} texts fit"
    )

# %% [markdown]
# ---
# ### X02. Attention with a cache   (3 of 5 · 25 minutes)
#
# `T` new tokens arrive, `S` are cached already; `S` may be 0, and `T` may be more than 1, as in a prefill that comes in pieces. The new keys and values go behind the old ones. New token number $t$ stands at place $S + t$, so it sees all old tokens, the new ones before it, and itself. Return what attention gives for the new tokens, and the longer keys and values; leave the inputs as they are.
#
# The scores are divided by $\sqrt{h_s}$, as ever.


# %%
def cached_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, k_old: torch.Tensor, v_old: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k, v (B, nh, T, hs) of the new tokens, k_old and v_old (B, nh, S, hs) -> y (B, nh, T, hs), k and v
    (B, nh, S + T, hs).
    """
    ### BEGIN SOLUTION
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)  # (B, nh, S + T, hs)
    T, K = q.shape[2], k.shape[2]
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, nh, T, K)
    later = torch.arange(K) > torch.arange(K - T, K)[:, None]  # (T, K)
    return scores.masked_fill(later, float("-inf")).softmax(-1) @ v, k, v
    ### END SOLUTION


# %%
check.x02(cached_attention)

# %% [markdown]
# <details><summary>Hint 1</summary>First <code>torch.cat</code> along the tokens, dimension 2, old before new. The scores are then (B, nh, T, S + T).</details>
# <details><summary>Hint 2</summary>The mask has T rows and S + T columns. Row t allows the columns 0 to S + t. <code>torch.tril</code> takes a <code>diagonal=</code>.</details>
# <details><summary>Hint 3</summary><code>torch.ones(T, S + T, dtype=torch.bool).tril(S)</code> is True where a token may look.</details>
#
# Your mask, as a picture: five old tokens and four new ones. Values are one-hot, so that the output shows what each new token sees.

# %% tags=["demo"]
zeros, eye = torch.zeros(1, 1, 9, 9), torch.eye(9)[None, None]
seen = cached_attention(zeros[:, :, :4], zeros[:, :, :4], eye[:, :, 5:], zeros[:, :, :5], eye[:, :, :5])[0][0, 0]
fig, ax = plt.subplots(figsize=(4.5, 2.2))
ax.imshow(seen > 0, cmap="Greys", vmin=0, vmax=1.5)
ax.set(
    xlabel="token seen: 0 to 4 are cached",
    ylabel="new token",
    yticks=range(4),
    title="New tokens see the cache and themselves",
)
ax.grid(False)
plt.show()

# %% [markdown]
# ---
# ### X03. Shared key heads   (2 of 5 · 15 minutes)
#
# In grouped-query attention `nh` query heads share `nkv` key heads, in order: with six query heads and two key heads, query heads 0, 1, 2 use key head 0, and 3, 4, 5 use key head 1. Each query sees all keys; there is no mask. Where `nkv` does not divide `nh`, raise a `ValueError` with a sentence that names both numbers.


# %%
def grouped_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """q (B, nh, T, hs), k and v (B, nkv, S, hs) -> (B, nh, T, hs)."""
    ### BEGIN SOLUTION
    nh, nkv = q.shape[1], k.shape[1]
    if nh % nkv:
        raise ValueError(f"{nkv} key heads do not divide {nh} query heads: change one of them.")
    k, v = (t.repeat_interleave(nh // nkv, 1) for t in (k, v))  # (B, nh, S, hs)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
    ### END SOLUTION


# %%
check.x03(grouped_attention)

# %% [markdown]
# <details><summary>Hint 1</summary>Repeat the key heads until there are as many as query heads, then it is plain attention. But <code>[a, b]</code> can be repeated as <code>a b a b</code> or as <code>a a b b</code>.</details>
# <details><summary>Hint 2</summary><code>repeat_interleave(n, 1)</code> repeats each head n times before the next comes; <code>repeat</code> does the other.</details>
#
# ---
# ### X04. The ring   (3 of 5 · 30 minutes)
#
# Keep the last `window` rows of an endless stream in memory that never grows. Row number $s$ of the stream (its slot, from 0) goes to place $s \bmod \text{window}$ of `self.rows`. Write the three methods:
#
# - `write(x)` takes any number of new rows, also none, also more than `window` at once;
# - `slots()` tells which slot lies in each place, and -1 for a place that was never written;
# - `last()` returns the rows that are held, the oldest first, as a copy that later writes do not change.
#
# `self.rows` must stay the tensor that `__init__` made, and `self.count` the number of rows written so far.


# %%
class Ring:
    """The last `window` rows of a stream of rows with `size` numbers each."""

    def __init__(self, window: int, size: int):
        self.window = window
        self.rows = torch.zeros(window, size)  # (window, size)
        self.count = 0  # rows written so far

    def write(self, x: torch.Tensor) -> None:
        """x: (T, size)."""
        ### BEGIN SOLUTION
        slots = torch.arange(self.count, self.count + len(x))[-self.window :]
        self.rows[slots % self.window] = x[-self.window :]
        self.count += len(x)
        ### END SOLUTION

    def slots(self) -> torch.Tensor:
        """(window,) int64."""
        ### BEGIN SOLUTION
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held
        ### END SOLUTION

    def last(self) -> torch.Tensor:
        """(min(window, rows written), size)."""
        ### BEGIN SOLUTION
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]
        ### END SOLUTION


# %%
check.x04(Ring)

# %% [markdown]
# <details><summary>Hint 1</summary>The slots that are held after n rows are <code>max(0, n - window)</code> to <code>n - 1</code>. Nearly everything follows from <code>torch.arange</code> of that, and <code>%</code>.</details>
# <details><summary>Hint 2</summary>If more rows come than the ring has places, only the last ones matter. Written all at once, which of two rows for one place would win?</details>
# <details><summary>Hint 3</summary><code>self.rows[slots % self.window]</code> with slots in order gives the rows in order, and indexing with a tensor copies.</details>
#
# A ring of four, slot by slot:

# %% tags=["demo", "nbval-check-output"]
ring = Ring(4, 1)
for n in (1, 2, 3, 1):
    ring.write(torch.arange(ring.count, ring.count + n)[:, None].float())
    print(
        f"after {ring.count} rows: slots in place {ring.slots().tolist()}, oldest first {ring.last()[:, 0].int().tolist()}"
    )

# %% [markdown]
# ---
# ### X05. Unequal prompts   (3 of 5 · 25 minutes)
#
# Pad prompts on the left with token 0 (which may be said in a prompt as well: padding is known by the lengths), so that all end together, and say what attention and positions need:
#
# - `batch`: the padded tokens;
# - `start`: the first real slot of each row;
# - `positions`: a row's first real token has position 0; padding has position 0 too;
# - `mask`: True where slot $t$ of a row may look at slot $s$: real slots, not later than itself. A slot always sees itself, padding too, because a softmax over nothing is not a number.


# %%
def left_pad(prompts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """prompts: B of (T_i,) int64 -> batch (B, T) int64, start (B,) int64, positions (B, T) int64, mask (B, T, T) bool."""
    ### BEGIN SOLUTION
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])  # (B, T)
    start = torch.tensor([T - len(p) for p in prompts])  # (B,)
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)  # (B, T)
    causal, real = slots <= slots[:, None], slots >= start[:, None, None]  # (T, T), (B, 1, T)
    return batch, start, positions, causal & real | torch.eye(T, dtype=torch.bool)
    ### END SOLUTION


# %%
check.x05(left_pad)

# %% [markdown]
# <details><summary>Hint 1</summary><code>F.pad(p, (n, 0))</code> puts n zeros in front. The rest follows from <code>start</code> and <code>torch.arange(T)</code>.</details>
# <details><summary>Hint 2</summary><code>start[:, None, None]</code> has the shape (B, 1, 1), and compared with (T,) it says for each row which columns are real.</details>
# <details><summary>Hint 3</summary>The mask is "not later" and "real", or "itself": <code>causal & real | torch.eye(T, dtype=torch.bool)</code>.</details>
#
# The three masks of prompts of five, two and four tokens:

# %% tags=["demo"]
batch, start, positions, mask = left_pad([torch.arange(1, 6), torch.arange(1, 3), torch.arange(1, 5)])
fig, axes = plt.subplots(1, 3, figsize=(7, 2.4), sharey=True)
for row, ax in enumerate(axes):
    ax.imshow(mask[row], cmap="Greys", vmin=0, vmax=1.5)
    ax.set(title=f"start {start[row]}, positions\n{positions[row].tolist()}", xlabel="seen", xticks=range(5))
    ax.grid(False)
axes[0].set_ylabel("slot")
plt.show()

# %% [markdown]
# ---
# ### X06. Two bugs   (2 of 5 · 15 minutes)
#
# Somebody wrote a cache of their own. A prompt is read correctly, and then the text goes wrong, most of all with beam search. There are **two** bugs in three methods. Find them, and write the three methods in the class below: two of them mended, and the right one as it is. (Copy that one, or delete its stub: then the one of `BrokenCache` is used.)


# %%
class BrokenCache(KVCache):
    """A KVCache with a bug in two of its three methods."""

    def update(self, layer, k, v):
        if layer in self.layers:
            k_old, v_old = self.layers[layer]
            k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
        self.layers[layer] = k, v
        return k, v

    def positions(self, idx):
        slots = torch.arange(idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.layers = {layer: (k[rows], v) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %%
class MendedCache(BrokenCache):
    """BrokenCache, with its two bugs mended."""

    def update(self, layer, k, v):
        """Keep k and v (B, nkv, T, hs) of new tokens. Returns those of all tokens, (B, nkv, K, hs) each."""
        ### BEGIN SOLUTION
        if layer in self.layers:
            k_old, v_old = self.layers[layer]
            k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
        self.layers[layer] = k, v
        return k, v
        ### END SOLUTION

    def positions(self, idx):
        """The positions of new tokens: idx (B, T) -> (T,), or (B, T) with padding, whose own position is 0."""
        ### BEGIN SOLUTION
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)
        ### END SOLUTION

    def select(self, rows):
        """Keep these rows of the batch, in this order; a row may come twice. rows: (B',) int64."""
        ### BEGIN SOLUTION
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]
        ### END SOLUTION


# %%
check.x06(MendedCache)

# %% [markdown]
# <details><summary>Hint 1</summary>What does each method see when the second piece of a text arrives? Write down <code>self.length</code>, the slots, the positions.</details>
# <details><summary>Hint 2</summary>Beam search keeps row 2 and drops row 0. Follow one key and one value of that row.</details>
# <details><summary>Hint 3</summary>Positions have to begin at <code>self.length</code>, and values have to be reordered like keys.</details>
#
# **Invent your own.** A cache that forgets: keep only the tokens that attention has looked at most, and measure what it costs on a text ("heavy hitters", [Zhang et al. 2023](https://arxiv.org/abs/2306.14048)).
