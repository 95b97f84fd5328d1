# %% [markdown]
# # 07 · GPT: a Transformer language model from scratch
#
# At the end of this page a network writes Shakespeare, one character at a time: kings, commas, line breaks and all. It is a **Transformer**, the
# architecture behind every large language model of today, and we build it from an average of past characters up, one
# part at a time, measuring what each part is worth.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/07_gpt.ipynb) · a run takes about 5 minutes and 1.6 GB on a laptop's CPU
#
# Needs: lectures 02 to 04 (next-token prediction, batches, initialisation, normalisation). Later lectures take from here: `GPTConfig`,
# `CausalSelfAttention`, `Block`, `GPT`, `get_batch` and `fit`.

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
import math

import ipywidgets as widgets
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

from course_utils import data, lesson, train
from course_utils.lectures.names import CharVocab

device = lesson.start("07_gpt")

# %% tags=["parameters"]
block_size = 64  # characters that the model can look back on
n_layer = 4  # blocks, one after another
n_head = 4  # attention heads in each
n_embd = 128  # features of a position
dropout = 0.0  # share of features switched off in training; a run that reads each character three times needs none
batch_size = 16  # chunks a step
steps = 2800  # optimiser steps of the large run
peak_rate = 5e-3  # AdamW's learning rate at its highest
ladder_steps = 250  # steps of each small model in section 8
target = 1.65  # the validation loss that the large run must reach, in nats a character

# %% [markdown]
# ## 1. The text
#
# What is there to learn from? Forty thousand lines out of nine plays by Shakespeare, in the form of the file known as *tiny Shakespeare*. Ours is rebuilt from the
# same edition of the plays; over 99 % of its lines are the same, so published losses compare.

# %% tags=["nbval-check-output"]
text = data.shakespeare()
print(f"{len(text):,} characters, {len(text.split()):,} words, {text.count(chr(10)):,} line breaks")
print(text[:176])

# %% [markdown]
# As for the names, a token is a character. The vocabulary is whatever occurs, and `CharVocab` from lecture 02 numbers it.

# %% tags=["nbval-check-output"]
vocab = CharVocab([text])
print(len(vocab), "characters:", repr("".join(vocab.chars)))
print(vocab.encode("hii there"))
print(vocab.decode(vocab.encode("hii there")))

# %% [markdown]
# A vocabulary of 65 makes long sequences: nine numbers for `hii there`. Real systems trade the other way, a vocabulary of 50,000 and more for sequences
# three to four times shorter. Lecture 09 builds that trade. Here we keep characters, because they hide nothing.
#
# The whole text becomes one long tensor. The first 90 % is for training. The rest, the **validation** text, tells us whether the model learned
# Shakespeare or learned *this* text by heart.

# %% tags=["nbval-check-output"]
ids = torch.tensor(vocab.encode(text))  # (1,115,636,) int64
cut = int(0.9 * len(ids))
train_ids, val_ids = ids[:cut], ids[cut:]
len(train_ids), len(val_ids)

# %% [markdown]
# ## 2. Chunks and batches
#
# We never feed the whole text at once. We feed **chunks** of `block_size` characters from random places. How many examples does a chunk of nine characters
# hold?

# %% tags=["nbval-check-output"]
chunk = train_ids[:9]
for t in range(1, 9):
    context, target_id = chunk[:t].tolist(), chunk[t].item()
    print(f"after {vocab.decode(context)!r:10} comes {vocab.decode([target_id])!r}")

# %% [markdown]
# Eight: one for each length of context from one character to eight. That is thrift, and it is also a lesson: the model sees short contexts in training, so it will
# know what to do with them when it writes its first characters. So a batch has inputs `x` and targets `y`, both $(B, T)$: `y` is `x` moved by one.


# %%
#| export gpt
import torch


def get_batch(ids, batch_size: int, block_size: int, generator=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Random chunks of a text, and the same chunks one token later.

    ids: (N,) token ids.  generator: a torch.Generator on the CPU.  Returns x, y: (batch_size, block_size) each, on the
    device of ids; y[b, t] is the token after x[b, t].  Raises ValueError for a text that is too short.
    """
    if len(ids) <= block_size:
        raise ValueError(f"a text of {len(ids)} tokens holds no chunk of {block_size} + 1: take a smaller block_size.")
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)  # (B,)
    rows = ids[(starts[:, None] + torch.arange(block_size + 1)).to(ids.device)]  # (B, T + 1)
    return rows[:, :-1], rows[:, 1:]


# %%
g = torch.Generator().manual_seed(1337)
x, y = get_batch(train_ids, 4, 8, g)  # (4, 8), (4, 8)
print(x)
for row_x, row_y in zip(x.tolist(), y.tolist(), strict=True):
    print(f"{vocab.decode(row_x)!r:14} -> {vocab.decode(row_y)!r}")

# %% [markdown]
# Four rows of eight are 32 examples, computed side by side and independent of each other: nothing ever passes between the rows of a batch.
#
# ## 3. The baseline: a bigram
#
# What is the least that predicts a next character? Lecture 02's table: the row of the current character holds the scores, the **logits**, of the next. As a module it is one
# embedding of 65 by 65.

# %%
torch.manual_seed(1337)
table = nn.Embedding(len(vocab), len(vocab))
nn.init.normal_(table.weight, std=0.02)
logits = table(x)  # (B, T, V): position t's scores for the character at t + 1
loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
print(f"{loss.item():.3f} nats a character; knowing nothing costs ln 65 = {math.log(len(vocab)):.3f}")

# %% [markdown]
# `cross_entropy` wants the classes in the second dimension, so batch and time are folded into one. The loss starts at ln 65, the price of an even guess.
# To train and compare several models we need two small functions. The first measures: the mean loss over a whole text, chunk by chunk, in nats a character.


# %%
@torch.no_grad()
def evaluate(model, ids, block: int) -> float:
    """Mean cross entropy over a text (N,), in nats a token; model(x) gives logits (B, T, V) or (logits, loss)."""
    n = (len(ids) - 1) // block * block
    X, Y = ids[:n].view(-1, block), ids[1 : n + 1].view(-1, block)  # (chunks, T)
    was_training = model.training
    model.eval()
    total = 0.0
    for x, y in zip(X.split(128), Y.split(128), strict=True):
        out = model(x)
        logits = out[0] if isinstance(out, tuple) else out  # (B, T, V)
        total += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train(was_training)
    return total / n


# %% [markdown]
# The second trains, with what lecture 03 found: AdamW, and a learning rate that rises and falls once.


# %%
def climb(model, what: str, block: int = 32, rate: float = 2e-2) -> float:
    """Train for ladder_steps steps of 32 chunks, and return the loss on the first half of the validation text."""
    g = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=ladder_steps)
    for _ in train.progress(ladder_steps, what):
        x, y = get_batch(train_ids, 32, block, g)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
    return evaluate(model, val_ids[: len(val_ids) // 2], block)


bigram_loss = climb(table, "bigram", rate=1e-1)  # one table takes a larger rate than the networks below
print(f"bigram: {bigram_loss:.3f} nats a character on validation text")

# %% [markdown]
# About 2.5. Its best is the loss of the counted table, as lecture 02 showed: only one character of the past reaches the guess.


# %%
@torch.no_grad()
def write(logits_of, start: str, length: int, block: int, seed: int = 0) -> str:
    """Continue a text by sampling from softmax(logits of the last position)."""
    g, idx = torch.Generator().manual_seed(seed), torch.tensor([vocab.encode(start)])  # (1, T)
    for _ in range(length):
        p = logits_of(idx[:, -block:])[:, -1].softmax(-1)  # (1, V)
        idx = torch.cat([idx, torch.multinomial(p, 1, generator=g)], 1)  # (1, T + 1)
    return vocab.decode(idx[0].tolist())


print(write(table, "\n", 120, 32))

# %% [markdown]
# Spaces and line breaks at about the right rate, words of about the right length, and hardly a real word. The characters have to talk to each other.
#
# ## 4. Averaging the past, four times
#
# The simplest way for a position to hear of its past is an **average** over it: what stands at position $t$ becomes the mean of everything up to $t$. It loses all order, and we shall mend that. What matters first is how to
# compute it well. A toy: four rows of eight positions, two features each.

# %%
torch.manual_seed(1337)
B, T, C = 4, 8, 2
x = torch.randn(B, T, C)  # (B, T, C)

averaged = torch.zeros(B, T, C)
for b in range(B):
    for t in range(T):
        averaged[b, t] = x[b, : t + 1].mean(0)  # the past, this position included
print(x[0, :3], averaged[0, :3], sep="\n")

# %% [markdown]
# The first row stays, the second is the mean of two, the third of three. Two Python loops, though, and the machine waits for them. A **matrix product** does the same at once: row $t$ of the matrix holds the weights with which
# position $t$ looks at each position.

# %% tags=["nbval-check-output"]
W = torch.tril(torch.ones(T, T))  # (T, T): ones on and below the diagonal
W = W / W.sum(1, keepdim=True)  # each row sums to one
print(W[:4, :4])

# %%
second = W @ x  # (T, T) @ (B, T, C) -> (B, T, C), the same W for every row of the batch
torch.testing.assert_close(second, averaged)  # float32, sums in another order

# %% [markdown]
# Triangular: nothing flows back from the future. The third version writes the same weights as a **softmax**. Zeros are scores, the future gets a score of $-\infty$, and $e^{-\infty} = 0$.

# %%
scores = torch.zeros(T, T)
scores = scores.masked_fill(torch.tril(torch.ones(T, T)) == 0, float("-inf"))  # no entry for the future
third = scores.softmax(-1) @ x  # (B, T, C)
torch.testing.assert_close(third, averaged)
scores[:3, :4]

# %% [markdown]
# Why write it like this? Because now the weights come out of **scores**, and scores can depend on the text. Zero says "all the same to me". A vowel that looks for the consonants before it could score them
# higher. The fourth version computes its scores from what stands at the positions, and that is self-attention.
#
# ## 5. Self-attention
#
# Every position sends out three vectors, each a linear map of its features. The **query** says what it looks for, the **key** what it holds, the **value** what it will tell. The score between positions
# $t$ and $s$ is the dot product $q_t \cdot k_s$: large when what one looks for is what the other holds. $d$ is the **head size**, the length of these vectors.
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d}} + \text{mask}\right) V$$

# %%
torch.manual_seed(1337)
C, head_size = 32, 16
x = torch.randn(B, T, C)  # (B, T, C)
query, key, value = (nn.Linear(C, head_size, bias=False) for _ in range(3))

q, k, v = query(x), key(x), value(x)  # (B, T, hs) each
scores = q @ k.transpose(-2, -1) / head_size**0.5  # (B, T, T)
future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)  # True above the diagonal
weights = scores.masked_fill(future, float("-inf")).softmax(-1)  # (B, T, T)
out = weights @ v  # (B, T, hs)
print(weights[0].detach().round(decimals=2))

# %% [markdown]
# Still triangular, still rows that sum to one, but no longer even: position 7 chose whom to hear. And each row of the batch has weights of its own.
#
# With scores of zero, this is the average again. That makes the fourth version equal to the other three, and PyTorch has all of it in one call.

# %%
with torch.no_grad():
    even = torch.zeros(B, T, T).masked_fill(future, float("-inf")).softmax(-1) @ x
loop = torch.stack([x[:, : t + 1].mean(1) for t in range(T)], 1)  # (B, T, C)
torch.testing.assert_close(even, loop)
torch.testing.assert_close(
    out, F.scaled_dot_product_attention(q, k, v, is_causal=True), rtol=1e-5, atol=1e-6
)  # float32

# %% [markdown]
# ## 6. Six notes on attention
#
# **One: it is communication.** Positions are nodes of a directed graph, and each node takes a weighted mean of what its neighbours tell. In a text each node hears itself and everything before it. Any graph works: the mask is the graph.
#
# **Two: it has no notion of space.** Nothing in a dot product says how far away a key stands. Swap two earlier positions, and the last position does not notice:


# %%
def attend(q, k, v, masked: bool = True):
    """Softmax attention. q (..., T, hs), k and v (..., S, hs) -> (..., T, hs)."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (..., T, S)
    if masked:
        scores = scores.masked_fill(torch.triu(torch.ones_like(scores, dtype=torch.bool), 1), float("-inf"))
    return scores.softmax(-1) @ v


shuffled = x[:, [3, 0, 6, 2, 5, 1, 4, 7]]  # the last position stays where it was
before, after = (attend(query(s), key(s), value(s))[:, -1] for s in (x, shuffled))
torch.testing.assert_close(before, after)  # the same set of keys and values: the same answer

# %% [markdown]
# So a model must be told where things stand: it will add a learned vector for each position to each token's embedding.
#
# **Three: rows of the batch never talk.** Change row 0, and no other row moves.

# %%
changed = x.clone()
changed[0] += 1
moved = (attend(query(changed), key(changed), value(changed)) != attend(query(x), key(x), value(x))).flatten(1).any(1)
print(moved.tolist())
assert moved.tolist() == [True, False, False, False]

# %% [markdown]
# **Four: with the mask it decodes, without it it encodes.** A **decoder** block hides the future, because it writes. An **encoder** block, for a text that is
# all there, lets every position hear every other: one line less. Which outputs move when the last position changes?

# %%
changed = x.clone()
changed[:, -1] += 1
for masked in (True, False):
    new, old = (attend(query(s), key(s), value(s), masked) for s in (changed, x))
    print("decoder" if masked else "encoder", (new != old).any(-1)[0].int().tolist())

# %% [markdown]
# **Five: self or cross.** Queries, keys and values came from the same `x`: *self*-attention. In **cross-attention** the keys and values come from elsewhere, say from a French sentence while the queries come from its English translation.
# Section 13 does it.
#
# **Six: the scale keeps the softmax soft.** For $q$ and $k$ with entries of variance 1, the dot product over a head's $d$ features has variance $d$, and a softmax of large scores is nearly one-hot: each position hears one other, and the gradient of the rest is
# nearly zero. Dividing by $\sqrt d$, the square root of the head size, brings the variance back to 1.

# %%
torch.manual_seed(0)
d = 256
q, k = torch.randn(1000, d), torch.randn(8, d)
raw = q @ k.T  # (1000, 8)
print(f"variance of q·k: {raw.var():.0f}; over √d: {(raw / d**0.5).var():.2f}")
print(f"largest weight, on average: {raw.softmax(-1).amax(-1).mean():.2f} unscaled, ", end="")
print(f"{(raw / d**0.5).softmax(-1).amax(-1).mean():.2f} scaled, {1 / 8:.2f} if even")

# %% [markdown]
# ## 7. A head in a model
#
# Now one head goes between the embedding and the logits. The class holds the cells of section 5; the body of a model is whatever stands between the embedding and the last linear layer, so that we can swap it.


# %%
class Head(nn.Module):
    """One head of causal self-attention: (B, T, C) -> (B, T, hs)."""

    def __init__(self, n_embd: int, head_size: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(n_embd, head_size, bias=False) for _ in range(3))

    def forward(self, x):
        return attend(self.query(x), self.key(x), self.value(x))


class LanguageModel(nn.Module):
    """Token and position embeddings, a body, and a linear layer to the logits: (B, T) -> (B, T, V)."""

    def __init__(self, body: nn.Module, width: int = 32, block: int = 32):
        super().__init__()
        self.token, self.place = nn.Embedding(len(vocab), width), nn.Embedding(block, width)
        self.body, self.head = body, nn.Linear(width, len(vocab))

    def forward(self, idx):
        x = self.token(idx) + self.place(torch.arange(idx.shape[1]))  # (B, T, C) + (T, C)
        return self.head(self.body(x))  # (B, T, V)


# %% [markdown]
# ## 8. Part by part, each measured
#
# A Transformer is this head and five more ideas. Each becomes a rung of a ladder: same data, same steps, same width of 32, and a table at the end. First the code of the parts.
#
# **Many heads.** One head makes one weighted mean; a position may want several things at once: the last vowel, the start of the word, who speaks. So several small heads run side by side, their answers are laid next to each other, and a linear layer, the **projection**, mixes them.


# %%
class MultiHead(nn.Module):
    """Several heads side by side, then a projection: (B, T, C) -> (B, T, C)."""

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        self.heads = nn.ModuleList(Head(n_embd, n_embd // n_head) for _ in range(n_head))
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in self.heads], -1))  # n_head of (B, T, hs) -> (B, T, C)


# %% [markdown]
# Is it the multi-head attention of the field? We copy our weights into `nn.MultiheadAttention` and compare. That class stacks the queries, keys and values of all heads in one matrix.

# %%
torch.manual_seed(0)
ours, theirs = MultiHead(32, 4), nn.MultiheadAttention(32, 4, batch_first=True)
with torch.no_grad():
    stacked = [getattr(head, name).weight for name in ("query", "key", "value") for head in ours.heads]
    theirs.in_proj_weight.copy_(torch.cat(stacked))  # 3 * 4 of (hs, C) -> (3C, C)
    theirs.in_proj_bias.zero_()
    theirs.out_proj.load_state_dict(ours.proj.state_dict())
mask = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)  # True: may not look
torch.testing.assert_close(ours(x), theirs(x, x, x, attn_mask=mask)[0], rtol=1e-5, atol=1e-6)  # float32


# %% [markdown]
# **A feed-forward network.** Attention only gathers. A position also needs time to think about what it heard: a small MLP, four times as wide inside, applied to each position alone.


# %%
def feed_forward(n_embd: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd))


# %% [markdown]
# **Residual connections.** Stacked deep, these parts become hard to train. If each part *adds* to its input, $x + f(x)$, there is a straight way down for the gradient: a sum hands its gradient on unchanged (lecture 01), to every part at once. **LayerNorm** then brings
# the features of each position to mean 0 and variance 1 before a part reads them. The original Transformer normalised after the sum; today the norm stands before the part, **pre-norm**, which leaves the straight way free.


# %%
class Add(nn.Module):
    """x + part(norm(x)): a residual connection, with or without a norm in front of the part."""

    def __init__(self, part: nn.Module, norm: nn.Module | None = None):
        super().__init__()
        self.part, self.norm = part, norm or nn.Identity()

    def forward(self, x):
        return x + self.part(self.norm(x))


def stack(layers: int, residual: bool, norm: bool) -> nn.Module:
    """So many times attention and feed-forward, plain or with residual connections and norms."""
    parts = [part for _ in range(layers) for part in (MultiHead(32, 4), feed_forward(32))]
    if residual:
        parts = [Add(part, nn.LayerNorm(32) if norm else None) for part in parts]
    return nn.Sequential(*parts, nn.LayerNorm(32) if norm else nn.Identity())


# %% [markdown]
# Our LayerNorm comes from PyTorch; lecture 04 wrote it. One line says what it does to the features of a position, and that nothing else enters:

# %%
h = torch.randn(2, 3, 32)
by_hand = (h - h.mean(-1, keepdim=True)) / (h.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
torch.testing.assert_close(nn.LayerNorm(32)(h), by_hand)

# %% [markdown]
# <details><summary><b>Predict.</b> Seven rungs: bigram; one head; four heads; + feed-forward; four layers of both, plain; the same with residual connections; with norms too. Which
# step down is the largest, and is there a step up?</summary>
#
# The table below answers. Watch the first step, and what four plain layers do.
# </details>

# %%
ladder = {
    "one head": lambda: Head(32, 32),
    "four heads and a projection": lambda: MultiHead(32, 4),
    "+ feed-forward": lambda: nn.Sequential(MultiHead(32, 4), feed_forward(32)),
    "four layers of that": lambda: stack(4, residual=False, norm=False),
    "+ residual connections": lambda: stack(4, residual=True, norm=False),
    "+ LayerNorm": lambda: stack(4, residual=True, norm=True),
}
rungs = {"bigram": bigram_loss}
for name, body in ladder.items():
    torch.manual_seed(0)
    rungs[name] = climb(LanguageModel(body()), name[:26])

# %%
rows = ["| model | nats a character | against the rung before |", "|---|---:|---:|"]
previous = None
for name, loss in rungs.items():
    rows.append(f"| {name} | {loss:.3f} | {'' if previous is None else f'{loss - previous:+.3f}'} |")
    previous = loss
values = list(rungs.values())
assert values[2] < values[0] and values[2] < values[1] - 0.05, "several heads help"
assert values[4] > values[3] + 0.5, "plain depth hurts"
assert values[5] < values[2] - 0.05, "residual depth helps"
Markdown("\n".join(rows))

# %% [markdown]
# Read it from the top. One head alone is no better than the bigram: what stands at the position itself drowns in the mean. Four heads can keep it and hear others too. The feed-forward part changes little here. Four plain layers train far worse than one: they end close to the
# 3.3 that knowing only the letters' frequencies costs. Residual connections turn the same four layers into the best model of the table.
#
# And the norms? At this rate they cost a little. What they buy shows when we press harder: the last two models again, at two and a half times the learning rate.

# %%
for name in ("+ residual connections", "+ LayerNorm"):
    torch.manual_seed(0)
    pressed = climb(LanguageModel(ladder[name]()), name[:26], rate=5e-2)
    print(f"{name}: {pressed:.3g} nats a character at a rate of 0.05")
assert pressed < 2.5  # with norms

# %% [markdown]
# Without norms the numbers explode. With them the model does not even notice: whatever the parts add up to, the next part reads features of variance 1. So training is safe at rates, depths and widths that nobody has tried before. That is worth more than a few hundredths, and every large model pays it.
#
# ## 9. The whole model
#
# Three changes turn this into what the field writes. All heads are computed in one batched product, by one linear layer for queries, keys and values together. `F.scaled_dot_product_attention` does the four lines of
# `attend` in one fused call, without ever storing the $(T, T)$ weights. And `GELU`, a smooth relative of ReLU, stands in the feed-forward part, as in GPT-2. **Dropout** switches off random features in training, so that no feature can rely on one other.


# %%
#| export gpt
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class GPTConfig:
    """The size of a GPT: tokens known, positions seen, blocks, heads, features, and the share of features dropped."""

    vocab_size: int
    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0


class CausalSelfAttention(nn.Module):
    """Multi-head attention of each position to itself and those before it: (B, T, C) -> (B, T, C).

    All heads are one batched product.  Raises ValueError where the heads do not divide the features.
    Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"{config.n_head} heads do not divide {config.n_embd} features: change n_head or n_embd.")
        self.n_head, self.dropout = config.n_head, config.dropout
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.proj = nn.Linear(config.n_embd, config.n_embd)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values of all heads: (B, T, C) -> three of (B, nh, T, hs)."""
        B, T, C = x.shape
        heads = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head)  # (B, T, 3, nh, hs)
        return heads.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)  # (B, nh, T, hs) each
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)  # (B, nh, T, hs)
        y = y.transpose(1, 2).flatten(2)  # (B, T, C): the heads side by side
        return F.dropout(self.proj(y), self.dropout, self.training)


class Block(nn.Module):
    """Attention, then a feed-forward network, each on normalised input and added to it: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C = config.n_embd
        self.ln1, self.attn = nn.LayerNorm(C), CausalSelfAttention(config)
        self.ln2 = nn.LayerNorm(C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C), nn.Dropout(config.dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))  # gather
        return x + self.mlp(self.ln2(x))  # think


# %% [markdown]
# The whole model adds embeddings below and logits above. How it starts matters in a short run. Weight matrices draw from a normal distribution of standard deviation $1/\sqrt C$, so that a unit variance stays one (lecture 04). The two layers of a block
# that write into the residual stream start smaller by $\sqrt{2L}$, because $2L$ of them add up. And the last layer starts near zero: the first guess is even.


# %%
#| export gpt
class GPT(nn.Module):
    """A decoder-only Transformer: token ids (B, T) -> logits of the next token (B, T, V).

    Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config, C = config, config.n_embd
        self.token = nn.Embedding(config.vocab_size, C)
        self.place = nn.Embedding(config.block_size, C)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln, self.head = nn.LayerNorm(C), nn.Linear(C, config.vocab_size, bias=False)
        for name, p in self.named_parameters():
            if name in ("token.weight", "place.weight"):
                nn.init.normal_(p, std=0.5)
            elif name == "head.weight":
                nn.init.normal_(p, std=0.02)
            elif name.endswith(("proj.weight", "mlp.2.weight")):  # these write into the residual stream
                nn.init.normal_(p, std=1 / math.sqrt(C * 2 * config.n_layer))
            elif p.ndim == 2:
                nn.init.normal_(p, std=1 / math.sqrt(C))
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        """idx, targets: (B, T) int64.  Returns the logits (B, T, V), and the mean loss in nats a token (None without
        targets); targets of -100 are left out.  Raises ValueError for more than block_size tokens.
        """
        if idx.shape[1] > self.config.block_size:
            raise ValueError(
                f"{idx.shape[1]} tokens do not fit into a block_size of {self.config.block_size}: cut the input."
            )
        x = self.token(idx) + self.place.weight[: idx.shape[1]]  # (B, T, C) + (T, C)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln(x))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def generate(
        self,
        idx: torch.Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Continue idx (B, T) by sampling, to (B, T + max_new_tokens).

        temperature: below 1 sharper, above 1 wilder, 0 takes the most likely token.  top_k: only the k most likely.
        top_p: only the most likely ones that together hold this share (Holtzman et al. 2019,
        https://arxiv.org/abs/1904.09751).  The model looks back on block_size tokens.
        """
        was_training = self.training
        self.eval()
        for _ in range(max_new_tokens):
            logits = self(idx[:, -self.config.block_size :])[0][:, -1]  # (B, V)
            p = next_probabilities(logits, temperature, top_k, top_p)
            idx = torch.cat([idx, torch.multinomial(p, 1, generator=generator)], 1)
        self.train(was_training)
        return idx


def next_probabilities(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> torch.Tensor:
    """What to sample the next token from: logits (B, V) -> probabilities (B, V).  Options as in GPT.generate.

    Raises ValueError for a temperature below 0, a top_k below 1, or a top_p outside of 0 to 1.
    """
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("take a temperature of 0 or more, a top_k of 1 or more, and a top_p above 0 and up to 1.")
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        kept = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.topk(top_k).indices, True)
        logits = logits.masked_fill(~kept, float("-inf"))
    if top_p is not None:
        p, order = logits.softmax(-1).sort(descending=True)  # (B, V)
        late = p.cumsum(-1) - p >= top_p  # what stands before it already holds the share
        logits = logits.masked_fill(torch.zeros_like(late).scatter(1, order, late), float("-inf"))
    return logits.softmax(-1)


# %%
torch.manual_seed(1337)
config = GPTConfig(len(vocab), block_size, n_layer, n_head, n_embd, dropout)
model = GPT(config).to(device)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# %% [markdown]
# ### Prove it
#
# Four claims, four cells. The loss before training is that of an even guess:

# %%
x, y = (t.to(device) for t in get_batch(val_ids, 64, block_size, torch.Generator().manual_seed(0)))
with torch.no_grad():
    first_loss = model(x, y)[1].item()
print(f"{first_loss:.4f} against ln {len(vocab)} = {math.log(len(vocab)):.4f}")
assert abs(first_loss - math.log(len(vocab))) < 0.1  # the last layer's small weights add about their variance / 2

# %% [markdown]
# The batched attention equals `nn.MultiheadAttention` with the same weights, in its output and in the gradient that reaches its input:

# %%
ours = CausalSelfAttention(config).double()
theirs = nn.MultiheadAttention(n_embd, n_head, batch_first=True).double()
theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
theirs.out_proj.load_state_dict(ours.proj.state_dict())
h = torch.randn(2, 10, n_embd, dtype=torch.double, requires_grad=True)
mask = torch.triu(torch.ones(10, 10, dtype=torch.bool), 1)
ours.eval(), theirs.eval()
a, b = ours(h), theirs(h, h, h, attn_mask=mask)[0]
torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)  # float64
ga, gb = (torch.autograd.grad((z**2).sum(), h)[0] for z in (a, b))
torch.testing.assert_close(ga, gb, rtol=1e-10, atol=1e-12)

# %% [markdown]
# No token of the future changes an earlier logit, at any position:

# %%
model.eval()
with torch.no_grad():
    before = model(x[:1])[0]  # (1, T, V)
    for t in range(1, block_size):
        other = x[:1].clone()
        other[:, t:] = (other[:, t:] + 1) % len(vocab)  # another future from t on
        after = model(other)[0]
        torch.testing.assert_close(after[:, :t], before[:, :t], rtol=1e-5, atol=1e-5)  # the past stays
        assert (after[:, t] != before[:, t]).any()  # and the present notices

# %% [markdown]
# And the sampler keeps what it says: `top_k` leaves k tokens, `top_p` the smallest set that holds the share, temperature 0 takes the largest.

# %%
torch.manual_seed(0)
logits = torch.randn(500, 65) * 2
for k in (1, 5, 65):
    assert ((next_probabilities(logits, top_k=k) > 0).sum(1) == k).all()
p, kept = logits.softmax(-1), next_probabilities(logits, top_p=0.8) > 0
held = (p * kept).sum(1)  # the share that the kept tokens hold
smallest = torch.where(kept, p, 2).amin(1)  # the least likely of them
assert (held >= 0.8).all() and (held - smallest < 0.8).all()  # enough, and not enough without the last
assert (next_probabilities(logits, 0).argmax(1) == logits.argmax(1)).all()

# %% [markdown]
# ## 10. Training
#
# The loop is the one of every Transformer: AdamW with decay on the matrices only, a warm-up of the learning rate, a cosine down to a twentieth, and gradients clipped to length 1. It stands in a function because the exercises and later lectures train other models by it.


# %%
#| export gpt
import math
import sys
from collections.abc import Callable

import torch
from torch import nn
from tqdm import tqdm


def fit(
    model: nn.Module,
    next_batch: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    peak_rate: float = 5e-3,
    warmup: int = 50,
    weight_decay: float = 0.1,
    what: str = "training",
) -> list[float]:
    """Train a model that returns (logits, loss), and return the loss of every step, in nats a token.

    next_batch: gives x, y, (B, T) each, on the model's device.  peak_rate: AdamW's rate after `warmup` steps; a cosine
    takes it to a twentieth.  weight_decay: of matrices; vectors have none.  what: the progress bar's label.
    """
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=device.type != "mps")
    model.train()
    losses, tokens = [], 0
    bar = tqdm(range(steps), desc=what, file=sys.stdout, ncols=90, mininterval=0.5)
    for step in bar:
        fall = 0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * min((step + 1) / warmup, fall)
        x, y = next_batch()
        loss = model(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
        tokens += x.numel()
        if step % 50 == 49:
            rate = tokens / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(f"loss {loss.item():.2f}, {rate:,.0f} tokens/s", refresh=False)
    return torch.stack(losses).tolist()


# %% [markdown]
# It takes two to three minutes on two cores. The bar shows the time that is left.

# %%
train_on, val_on = train_ids.to(device), val_ids.to(device)
g = torch.Generator().manual_seed(0)
losses = fit(model, lambda: get_batch(train_on, batch_size, block_size, g), steps, peak_rate, what=f"{steps:,} steps")

# %%
val_loss = evaluate(model, val_on, block_size)
fig, ax = plt.subplots(figsize=(7, 3.2))
means = torch.tensor(losses[: len(losses) // 50 * 50]).view(-1, 50).mean(1)
ax.plot(range(25, 50 * len(means), 50), means, label="training, means of 50 steps")
ax.axhline(val_loss, color="black", ls="--", lw=1, label=f"validation at the end: {val_loss:.2f}")
ax.axhline(rungs["bigram"], color="0.5", ls=":", label="bigram")
ax.set(xlabel="step", ylabel="loss (nats a character)", title="Most is learned in the first third", ylim=(1.2, 3.4))
ax.legend()
plt.show()
print(f"validation loss {val_loss:.3f} nats a character")
assert val_loss < target

# %% [markdown]
# Below 1.65, from 2.50 for the bigram and 2.26 for the best rung of the ladder. Training and validation still lie close together: in so few steps the model sees each character about three times, and
# has not begun to learn them by heart. The published run of this model's larger sister reaches 1.4873 ([code and log](https://github.com/karpathy/ng-video-lecture)) with 10.8 million parameters, 256 characters of context and 5,000 steps of 64 chunks, dropout 0.2: about 17 hours on two cores, minutes on a GPU. Its values stand in `notebooks/full.toml`,
# for whoever has one: `course run 07 --profile full`.
#
# ## 11. Sampling
#
# The model gives a distribution; writing means drawing from it. First as it is:


# %%
def continue_text(start: str, length: int, seed: int = 0, **options) -> str:
    """The model's continuation of a text."""
    idx = torch.tensor([vocab.encode(start)], device=device)  # (1, T)
    g = torch.Generator(device).manual_seed(seed)
    return vocab.decode(model.generate(idx, length, generator=g, **options)[0].tolist())


print(continue_text("\n", 300))

# %% [markdown]
# Speakers in capitals with a colon, lines of about the right length, most words real. It makes no sense, and at this size it never will: 0.8 million parameters, and a memory of 64 characters.
#
# Three knobs change how we draw. The **temperature** $\tau$ divides the logits: below 1 the likely becomes likelier. **Top-k** keeps the k likeliest characters, **top-p** the smallest set that holds the share p. Here is what each leaves of one distribution.

# %%
start = "\nROMEO:\nI do l"
with torch.no_grad():
    logits = model(torch.tensor([vocab.encode(start)], device=device))[0][:, -1].cpu()  # (1, V)
settings = {
    "as it is": {},
    "temperature 0.5": {"temperature": 0.5},
    "temperature 2": {"temperature": 2.0},
    "top-k 3": {"top_k": 3},
    "top-p 0.8": {"top_p": 0.8},
}
order = logits[0].argsort(descending=True)[:10].tolist()
fig, axes = plt.subplots(1, len(settings), figsize=(13, 2.6), sharey=True)
for ax, (name, options) in zip(axes, settings.items(), strict=True):
    p = next_probabilities(logits, **options)[0]
    ax.bar([repr(vocab.chars[i])[1:-1].replace(" ", "␣") for i in order], p[order].tolist())
    ax.set(title=name, xlabel="next character")
axes[0].set_ylabel("probability")
fig.suptitle(f"After {start[-7:]!r}: three knobs, one distribution", weight="bold")
plt.show()

# %% [markdown]
# Turn the knobs yourself. A top-k of 65 and a top-p of 1 leave everything in.

# %%
prompt = widgets.Text(value="ROMEO:", description="start")
temperature = widgets.FloatSlider(value=0.8, min=0, max=2, step=0.1, description="temperature")
top_k = widgets.IntSlider(value=65, min=1, max=65, description="top-k")
top_p = widgets.FloatSlider(value=1.0, min=0.05, max=1, step=0.05, description="top-p")
sample = widgets.HTML()


def rewrite(change=None):
    known = "".join(c for c in prompt.value if c in vocab.chars) or "\n"
    said = continue_text(known, 200, temperature=temperature.value, top_k=top_k.value, top_p=top_p.value)
    sample.value = "<pre>" + said.replace("&", "&amp;").replace("<", "&lt;") + "</pre>"


for knob in (prompt, temperature, top_k, top_p):
    knob.continuous_update = False  # once, when the knob is let go
    knob.observe(rewrite, "value")
rewrite()
widgets.VBox([prompt, temperature, top_k, top_p, sample])

# %% [markdown]
# The sliders need a running notebook. The same on paper, from one seed:

# %%
for options in ({"temperature": 0}, {"temperature": 0.5}, {"temperature": 1.5}, {"temperature": 1.5, "top_p": 0.8}):
    print(f"--- {options}\n{continue_text('ROMEO:', 110, **options)}")

# %% [markdown]
# At temperature 0 it soon repeats itself: the likeliest next character, again and again, leads back to the same words. At 1.5 spelling falls apart, because 60 unlikely characters together hold a good share. Top-p cuts that tail away and leaves the choices: "nucleus sampling" was
# invented for it.
#
# ## 12. What the heads look at
#
# The fused call never shows its weights, so we compute them once more, from the same queries and keys.


# %%
@torch.no_grad()
def attention_maps(idx) -> torch.Tensor:
    """The weights of every head on one text: idx (1, T) -> (layers, heads, T, T)."""
    model.eval()
    x, maps = model.token(idx) + model.place.weight[: idx.shape[1]], []
    for block in model.blocks:
        q, k, _ = block.attn.split(block.ln1(x))  # (1, nh, T, hs)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (1, nh, T, T)
        future = torch.triu(torch.ones_like(scores, dtype=torch.bool), 1)
        maps.append(scores.masked_fill(future, float("-inf")).softmax(-1)[0])
        x = block(x)
    return torch.stack(maps).cpu()


# %% [markdown]
# Sixteen heads. On 50 pieces of validation text, how much weight does each give to the character itself, to the one before, and so on? We average over all positions from 8 on, which have that much past.

# %%
reach = min(8, block_size // 2)
pieces = val_on[: 50 * block_size].view(50, 1, block_size)  # 50 texts of one chunk
maps = torch.stack([attention_maps(piece) for piece in pieces]).mean(0)  # (layers, heads, T, T)
at = torch.arange(reach, block_size)
back = torch.stack([maps[:, :, at, at - d].mean(-1) for d in range(reach)], -1)  # (layers, heads, distance)
fig, axes = plt.subplots(1, n_layer, figsize=(3.2 * n_layer, 2.6), sharey=True)
for layer, ax in enumerate(axes):
    picture = ax.imshow(back[layer], vmin=0, vmax=back.max(), aspect="auto")
    ax.set(title=f"block {layer + 1}", xlabel="characters back", yticks=range(n_head))
    ax.grid(False)
axes[0].set_ylabel("head")
fig.colorbar(picture, ax=axes, label="weight")
fig.suptitle("Some heads look one back, some at the last few, some far", weight="bold")
plt.show()

# %%
layer, head = divmod(back[:, :, 1].argmax().item(), n_head)
print(f"block {layer + 1}, head {head}: {back[layer, head, 1]:.0%} of its weight on the character before")
wide_layer, wide_head = divmod(back.sum(-1).argmin().item(), n_head)
far = 1 - back[wide_layer, wide_head].sum()
print(f"block {wide_layer + 1}, head {wide_head}: {far:.0%} of its weight further back than {reach - 1} characters")

# %% [markdown]
# Nobody told a head to look one character back; a pair of characters says more than one. Here are these two heads on one piece of text. A row is the position that asks, a column the one it hears.

# %%
shown = val_ids[200:232]
labels = [repr(c)[1:-1].replace(" ", "␣") for c in map(lambda i: vocab.decode([i]), shown.tolist())]
maps = attention_maps(shown[None].to(device))  # (layers, heads, T, T)
fig, axes = plt.subplots(1, 2, figsize=(11, 5.2))
for ax, (l, h), what in zip(axes, [(layer, head), (wide_layer, wide_head)], ["one back", "far back"], strict=True):
    picture = ax.imshow(maps[l, h], vmin=0)
    ax.set_xticks(range(len(labels)), labels, fontsize=7)
    ax.set_yticks(range(len(labels)), labels, fontsize=7)
    ax.set(title=f"Block {l + 1}, head {h}: {what}", xlabel="heard", ylabel="asking")
    ax.grid(False)
    fig.colorbar(picture, ax=ax, label="weight", shrink=0.8)
plt.show()

# %% [markdown]
# ## 13. Encoder, decoder, both
#
# Our model only writes: decoder blocks, each with the mask. The Transformer of 2017 translated, so it had two stacks. The **encoder** reads the French sentence without a mask. The **decoder** writes the English one with a mask, and a second attention in each block asks the encoder's output: queries from the English, keys and values from the French.
# That is cross-attention, and it needs no new code: `attend` takes keys of another length.

# %%
torch.manual_seed(0)
french, english = torch.randn(2, 9, 32), torch.randn(2, 5, 32)  # (B, S, C), (B, T, C)
cross = nn.MultiheadAttention(32, 1, bias=False, batch_first=True)
Wq, Wk, Wv = cross.in_proj_weight.chunk(3)  # (C, C) each
heard = attend(english @ Wq.T, french @ Wk.T, french @ Wv.T, masked=False) @ cross.out_proj.weight.T  # (B, T, C)
torch.testing.assert_close(heard, cross(english, french, french)[0], rtol=1e-5, atol=1e-6)  # float32
print(f"{english.shape[1]} positions each heard {french.shape[1]} others: {tuple(heard.shape)}")

# %% [markdown]
# Models that read and answer in one stream need no encoder: the question stands before the answer. GPT has only decoder blocks, BERT only encoder blocks, T5 has both.
#
# ## 14. The mask is the graph: kinds of attention
#
# Which positions may hear which? Six answers that are in use. Each is a rule on the pair of positions, query `t` and key `s`.

# %%
documents = torch.tensor([0] * 5 + [1] * 7 + [2] * 4)  # three texts packed into one row of 16
rules = {
    "full (encoder)": lambda t, s: t >= 0,
    "causal (GPT)": lambda t, s: s <= t,
    "sliding window of 4": lambda t, s: (s <= t) & (t - s < 4),
    "prefix of 6, then causal": lambda t, s: (s <= t) | (s < 6),
    "dilated by 3": lambda t, s: (s <= t) & ((t - s) % 3 == 0),
    "causal in its document": lambda t, s: (s <= t) & (documents[t] == documents[s]),
}
t, s = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
fig, axes = plt.subplots(1, len(rules), figsize=(14, 2.7), sharey=True)
for ax, (name, rule) in zip(axes, rules.items(), strict=True):
    ax.imshow((rule(t, s) & (s >= 0)).int(), cmap="Greys", vmin=0, vmax=1.5)
    ax.set(title=name, xlabel="heard")
    ax.title.set_fontsize(9)
    ax.grid(False)
axes[0].set_ylabel("asking")
plt.show()

# %% [markdown]
# A window makes the cost grow with the length instead of its square. A prefix is what a picture or a question before the answer gets. Documents packed into one row must not hear each other. Writing a fast kernel for each such rule used to take weeks. **FlexAttention** takes the rule as a small Python function and generates the kernel: a `mask_mod` says which
# pairs count, a `score_mod` changes the scores. On a CPU it runs as plain operations, which is enough to check what it means.

# %%
import warnings

from torch.nn.attention.flex_attention import create_block_mask, flex_attention

warnings.filterwarnings("ignore", "flex_attention called without")  # plain operations are what we want here
torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 2, 16, 8).unbind(0)  # (B, nh, T, hs) each
for rule in rules.values():
    block_mask = create_block_mask(lambda b, h, t, s, rule=rule: rule(t, s), 1, 1, 16, 16, device="cpu")
    flexible = flex_attention(q, k, v, block_mask=block_mask)
    allowed = rule(t, s) & (s >= 0)  # (T, T)
    torch.testing.assert_close(
        flexible, F.scaled_dot_product_attention(q, k, v, attn_mask=allowed), rtol=1e-5, atol=1e-6
    )

# %% [markdown]
# A `score_mod` for example gives positions without any position embedding: ALiBi subtracts a penalty that grows with the distance, steeper in one head than in the next.

# %%
slopes = torch.tensor([2.0**-4, 2.0**-8])  # one a head
flexible = flex_attention(q, k, v, score_mod=lambda score, b, h, t, s: score - slopes[h] * (t - s).abs())
penalty = -slopes[:, None, None] * (t - s).abs()  # (nh, T, T)
torch.testing.assert_close(flexible, F.scaled_dot_product_attention(q, k, v, attn_mask=penalty), rtol=1e-5, atol=1e-6)

# %% [markdown]
# ## What we built
#
# | built | reached | published | goes next |
# |---|---|---|---|
# | the average in four versions | equal to float32's rounding | | section 5 |
# | seven models on a ladder | 2.50 down to 2.26 nats a character, seconds each | | 11: optimisers |
# | `GPT`, 0.8 million parameters | below 1.65 in two to three minutes on two cores | | 10: GPT-2 |
# | the full profile, 10.8 million | not run for this page | 1.4873, 5,000 steps ([video lecture](https://github.com/karpathy/ng-video-lecture)) | `course run 07 --profile full` |
# | `CausalSelfAttention` | equal to `nn.MultiheadAttention`, with gradients, to 1e-10 | | 18: the cache |
#
# ChatGPT is this with more of everything, and two things that this page does not have: a tokenizer (lecture 09) and training to answer instead of to continue (lectures 20 and 21).

# %% [markdown]
# ## Papers
#
# - A. Vaswani et al. (2017). Attention Is All You Need. [arXiv:1706.03762](https://arxiv.org/abs/1706.03762). Read section 3 with this page beside it: every formula there is a line here.
# - D. Bahdanau, K. Cho, Y. Bengio (2014). Neural Machine Translation by Jointly Learning to Align and Translate. [arXiv:1409.0473](https://arxiv.org/abs/1409.0473). Where attention came from.
# - A. Radford et al. (2019). [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf). GPT-2: section 2.3 lists the changes to the block.
# - R. Xiong et al. (2020). On Layer Normalization in the Transformer Architecture. [arXiv:2002.04745](https://arxiv.org/abs/2002.04745). Why the norm stands before the part.
# - K. He et al. (2015). Deep Residual Learning. [arXiv:1512.03385](https://arxiv.org/abs/1512.03385). Plain depth hurts, residual depth does not: figure 1.
# - A. Holtzman et al. (2019). The Curious Case of Neural Text Degeneration. [arXiv:1904.09751](https://arxiv.org/abs/1904.09751). Why the likeliest text is a bad text, and top-p.
# - O. Press et al. (2021). Train Short, Test Long. [arXiv:2108.12409](https://arxiv.org/abs/2108.12409). ALiBi.
# - [FlexAttention](https://pytorch.org/blog/flexattention/). PyTorch's own introduction, with more masks.

# %% [markdown]
# ## Recall tomorrow
#
# 1. A chunk of 65 characters: how many training examples, and with what lengths of context?
#    <details><summary>Answer</summary>64, with contexts of 1 to 64 characters.</details>
# 2. What are query, key and value, and why is the score divided by √d?
#    <details><summary>Answer</summary>What a position looks for, what it holds, what it tells. A dot product of d unit-variance products has variance d; undivided, the softmax is nearly one-hot.</details>
# 3. What is the only difference between an encoder's and a decoder's self-attention?
#    <details><summary>Answer</summary>The mask that hides the future.</details>
# 4. Why does attention need position embeddings?
#    <details><summary>Answer</summary>It sees a set: permuting earlier positions changes nothing for a later one.</details>
# 5. What do residual connections give to a deep stack?
#    <details><summary>Answer</summary>A sum passes its gradient on unchanged, so every part is reached at once. The plain stack of four layers was worse than one.</details>
