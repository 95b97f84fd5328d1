# %% [markdown]
# # 10 · exercises: GPT-2
#
# Eight tasks around a real training run: count its parameters and its operations, write the decay groups, the schedule and an accumulated step, score a multiple-choice
# test, say what generation costs with a cache and without, and load a checkpoint that somebody else saved. Each has a cell to fill in, a check that says what looks wrong, and
# hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/10_gpt2_124m.ipynb) · a run takes about 20 s and 0.5 GB on a laptop's CPU
#
# Needs: lecture 10. The tasks do not depend on each other.

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

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import transformers
from torch import nn

from course_utils import lesson
from course_utils.checks import gpt2 as check
from course_utils.lectures.gpt2 import GPT2, GPT2Config

device = lesson.start("10_gpt2_124m, exercises")
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

# %% [markdown]
# Every model of this page is small, so it stays on one core of the CPU. Three tasks (X01, X02, X07) are formulas and build no model. The published sizes, to try them on:

# %%
V, T = 50257, 1024  # vocab_size and block_size of all four
SIZES = {"gpt2": (12, 768, 12), "gpt2-medium": (24, 1024, 16), "gpt2-large": (36, 1280, 20), "gpt2-xl": (48, 1600, 25)}

# %% [markdown]
# ---
# ### X01. Count the parameters   (2 of 5 · 15 minutes)
#
# Will a model fit into memory? You can know before you build it. Write the number of parameters of a GPT-2 as a formula of its five sizes; one of the five does not matter. Building a model and adding up is not allowed.
#
# What to count, with $C$ features (`n_embd`): a table of tokens and a table of positions; in each block two LayerNorms, attention (one linear layer to queries, keys and values together, one behind the heads) and the feed-forward part (up to $4C$, and back); a LayerNorm behind the last block. Linear layers and LayerNorms have biases. The last layer, from $C$ to the vocabulary, has none, and
# it is **tied** to the table of tokens: one matrix with two uses counts once. The result is an `int`.


# %%
def parameter_count(n_layer: int, n_embd: int, n_head: int, block_size: int, vocab_size: int) -> int:
    """The number of parameters of a GPT-2 with these sizes, the tied matrix counted once."""
    ### BEGIN SOLUTION
    C = n_embd
    attention = C * 3 * C + 3 * C + C * C + C  # queries, keys, values together; the layer behind the heads
    feed_forward = C * 4 * C + 4 * C + 4 * C * C + C
    norms = 2 * 2 * C  # a weight and a bias each
    return vocab_size * C + block_size * C + n_layer * (attention + feed_forward + norms) + 2 * C
    ### END SOLUTION


# %%
check.x01(parameter_count)

# %% [markdown]
# <details><summary>Hint 1</summary>A linear layer from a to b features has a·b + b numbers, a LayerNorm 2·C: a weight and a bias for each feature. How wide is one head, and how wide are all of them together?</details>
# <details><summary>Hint 2</summary>In a block: C to 3C, C to C, C to 4C, 4C to C, and two norms.</details>
# <details><summary>Hint 3</summary>A block has 12 C² + 13 C numbers. Around the blocks stand (vocab_size + block_size) · C for the tables and 2 C for the last norm.</details>
#
# The four published models. How much memory does training take? In float32, a parameter needs 16 bytes: itself, its gradient, and Adam's two moments. Activations come on top.

# %% tags=["demo", "nbval-check-output"]
for name, sizes in SIZES.items():
    count = parameter_count(*sizes, T, V)
    print(
        f"{name:12} {count:13,} parameters, {16 * count / 1e9:4.1f} GB to train, {V * sizes[1] / count:5.1%} in tokens"
    )

# %% [markdown]
# ---
# ### X02. Count the operations   (3 of 5 · 25 minutes)
#
# How long will training take? Divide the work by the speed of the device. The work is counted in floating-point operations, FLOPs, and nearly all of them are in **matrix products**. Write what one token costs in training. So that two people count the same, the rules:
#
# - A product of (m, k) with (k, n) takes $2mkn$ operations: a multiplication and an addition each.
# - Only matrix products count: the linear layers, attention's two, and the last layer (tied, but it multiplies). Biases, norms, GELU, softmax and the look-up of embeddings are free.
# - A row has `block_size` tokens. Attention is computed in full: all $T \times T$ scores, the masked ones too.
# - The backward pass takes two products for each product of the forward pass, one for the gradient of each factor.
#
# Count a whole row, forward and backward, and divide by its tokens. You will meet a rule of thumb on the way: six operations for each weight. [Chowdhery et al. 2022](https://arxiv.org/abs/2204.02311), appendix B, write $6N + 12\,L\,H\,Q\,T$, with $H$ heads of $Q$ features. Their $N$ is the number of parameters; here only weights that multiply count.


# %%
def flops_per_token(n_layer: int, n_embd: int, n_head: int, block_size: int, vocab_size: int) -> float:
    """Floating-point operations of training on one token: forward and backward, matrix products only."""
    ### BEGIN SOLUTION
    C = n_embd
    weights = n_layer * 12 * C * C + C * vocab_size  # each multiplies once for each token
    attention = n_layer * 2 * block_size * C  # a query with all keys, then T weights with all values; all heads
    return 3 * 2 * (weights + attention)
    ### END SOLUTION


# %%
check.x02(flops_per_token)

# %% [markdown]
# <details><summary>Hint 1</summary>For one token, a linear layer from a to b is a product of (1, a) with (a, b). How many weights do the linear layers of a block hold, biases aside?</details>
# <details><summary>Hint 2</summary>One head: a token's query, (1, Q), meets T keys, (Q, T). That is 2·T·Q operations, and H heads make it 2·T·C. The same again for the values.</details>
# <details><summary>Hint 3</summary>Forward: 2·(12·L·C² + C·V) + 4·L·T·C. Forward and backward: three times that.</details>
#
# Where do the operations go? Your formula answers: with a vocabulary of 0 the last layer is gone, and with a `block_size` of 0 so is attention. The last column compares with 6 N alone, N from OpenAI's checkpoints.

# %% tags=["demo", "nbval-check-output"]
published = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200}
print(f"{'':12} {'GFLOPs a token':>15} {'last layer':>11} {'attention':>10} {'of 6 N':>8}")
for name, sizes in SIZES.items():
    all_of_it = flops_per_token(*sizes, T, V)
    last = 1 - flops_per_token(*sizes, T, 0) / all_of_it
    attention = 1 - flops_per_token(*sizes, 0, V) / all_of_it
    print(f"{name:12} {all_of_it / 1e9:15.2f} {last:11.1%} {attention:10.1%} {all_of_it / (6 * published[name]):8.1%}")

# %% tags=["demo"]
days = 10e9 * flops_per_token(*SIZES["gpt2"], T, V) / 150e12 / 86400
print(f"10 billion tokens through gpt2, at a steady 150 TFLOPS: {days:.1f} days")

# %% [markdown]
# ---
# ### X03. Who decays?   (2 of 5 · 15 minutes)
#
# Weight decay pulls parameters toward zero. It should go to those of two and more dimensions, which multiply, and to no others. Sort the parameters of **any** model into the two groups that `torch.optim.AdamW` takes, those that decay first. Both groups are always there, even if one is empty. Frozen parameters (`requires_grad` is False) belong in neither, and so do
# buffers. A tied matrix must come once: an optimiser that gets it twice moves it twice. Go by dimensions and not by names, and leave the model as it is.


# %%
def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """[{"params": [those that decay], "weight_decay": weight_decay}, {"params": [the others], "weight_decay": 0.0}]."""
    ### BEGIN SOLUTION
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    ### END SOLUTION


# %%
check.x03(decay_groups)

# %% [markdown]
# <details><summary>Hint 1</summary><code>model.parameters()</code> gives a tied matrix once. <code>model.state_dict()</code> gives it twice, with buffers, and as copies that are no parameters.</details>
# <details><summary>Hint 2</summary><code>p.ndim</code> is the number of dimensions. A LayerNorm's weight has one, although it is called weight; a learned scale may have none.</details>
# <details><summary>Hint 3</summary>Two list comprehensions over the parameters with <code>requires_grad</code>, one with <code>p.ndim >= 2</code>, one with <code>p.ndim &lt; 2</code>.</details>
#
# The groups of the 124M, built without memory on the `meta` device. Many tensors do not decay, but few numbers.

# %% tags=["demo", "nbval-check-output"]
with torch.device("meta"):
    full = GPT2(GPT2Config())
for what, group in zip(("decay", "no decay"), decay_groups(full, 0.1), strict=True):
    print(f"{what:9} {len(group['params']):4} tensors {sum(p.numel() for p in group['params']):12,} parameters")

# %% [markdown]
# ---
# ### X04. The schedule   (2 of 5 · 15 minutes)
#
# Adam's first steps rest on moments of very few gradients, so the learning rate starts small: a straight rise, the **warm-up**, then half a cosine down to a floor. The edges are where schedules go wrong, so here they are in full:
#
# - In the warm-up, steps 0 to `warmup - 1`, the rate rises by `peak / warmup` a step. Step 0 already moves, with `peak / warmup`, and step `warmup - 1` has the peak.
# - At step `warmup` the cosine begins, at the peak. It reaches `floor` at step `steps`.
# - From step `steps` on the rate stays at `floor`, however long one trains on.
#
# `warmup` may be 0: then the cosine begins at once. It may also equal `steps`: then the floor follows the warm-up at once.


# %%
def learning_rate(step: int, peak: float, warmup: int, steps: int, floor: float) -> float:
    """The learning rate of step 0, 1, 2, ...; 0 <= warmup <= steps, 0 <= floor <= peak."""
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    share = (step - warmup) / (steps - warmup)  # of the way down
    return floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2
    ### END SOLUTION


# %%
check.x04(learning_rate)

# %% [markdown]
# <details><summary>Hint 1</summary>Three cases: before <code>warmup</code>, from <code>steps</code> on, and between. Test for the first two before you divide by anything.</details>
# <details><summary>Hint 2</summary><code>(1 + cos(π x)) / 2</code> falls from 1 to 0 while x goes from 0 to 1. What is x at step <code>warmup</code>, and at <code>steps</code>?</details>
# <details><summary>Hint 3</summary>x = (step − warmup) / (steps − warmup), and the rate is floor + (peak − floor) · (1 + cos(π x)) / 2.</details>

# %% tags=["demo"]
rates = [1e4 * learning_rate(step, 6e-4, 10, 100, 6e-5) for step in range(120)]
fig, ax = plt.subplots(figsize=(6.5, 3))
ax.plot(rates, marker=".", ms=4)
notes = {
    0: ("step 0 moves", (12, 0)),
    10: ("step 10: the cosine begins", (12, 8)),
    100: ("step 100: the floor", (-20, 14)),
}
for step, (note, shift) in notes.items():
    ax.annotate(note, (step, rates[step]), xytext=shift, textcoords="offset points")
ax.set_ylim(0, 7)
ax.set(xlabel="step", ylabel="learning rate × 10⁴", title="Ten steps up, half a cosine down, then flat")
plt.show()

# %% [markdown]
# ---
# ### X05. One step out of many small ones   (4 of 5 · 40 minutes)
#
# A large batch does not fit into memory, so it comes in **micro-batches**. Write one optimiser step whose result is that of the whole batch at once.
#
# The lecture's micro-batches were all of one size, and there the mean of the means was right. Here they are not: they may differ in rows and in length, and some targets are -100, which `cross_entropy` leaves out (padding, or a user's part of a dialogue). The loss of the whole batch is the mean over **all targets that count**, and each of them must weigh the same, whichever
# micro-batch it came in. A micro-batch may even have no target that counts; all together have at least one. (A widely used trainer had this wrong until October 2024: [a note on the repair](https://huggingface.co/blog/gradient_accumulation).)
#
# In this order: clear old gradients; for each micro-batch forward and backward, so that only one graph is in memory at a time; clip the length of the whole gradient, all parameters together, to `max_norm`; step once. Leave the model in the mode that it is in (train or eval). Return two floats.


# %%
def accumulated_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: list[tuple[torch.Tensor, torch.Tensor]],
    max_norm: float,
) -> tuple[float, float]:
    """One step on all micro-batches together. Returns the whole batch's loss, and its gradient's length before clipping.

    model: ids (B, T) -> logits (B, T, V).  micro_batches: [(x, y), ...], (B, T) int64 each; y of -100 does not count.
    """
    ### BEGIN SOLUTION
    counted = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    loss = 0.0
    for x, y in micro_batches:
        logits = model(x)  # (B, T, V)
        part = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / counted
        part.backward()  # adds to the gradients, and frees this micro-batch's graph
        loss += part.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss, norm.item()
    ### END SOLUTION


# %%
check.x05(accumulated_step)

# %% [markdown]
# <details><summary>Hint 1</summary>The loss of the whole is one sum over all targets, divided by one number. <code>reduction="sum"</code> gives a micro-batch's part of the sum.</details>
# <details><summary>Hint 2</summary>The divisor is known before the first forward pass: count the targets other than -100 in all micro-batches.</details>
# <details><summary>Hint 3</summary><code>backward</code> adds to <code>.grad</code>, so the gradients add up by themselves. <code>nn.utils.clip_grad_norm_</code> returns the length that it found: call it once, after the loop.</details>
#
# Your step on three micro-batches with 64, 16 and 2 targets that count, and on the same 12 rows at once. Beside it what the mean of the means would do: how much one target weighs, in percent of the whole.


# %% tags=["demo"]
class Logits(GPT2):
    """A GPT-2 that returns its logits alone."""

    def forward(self, idx):
        return super().forward(idx)[0]


after = {}
for way in ("three micro-batches", "all at once"):
    torch.manual_seed(0)
    model = Logits(GPT2Config(50, 16, 1, 2, 16)).double()
    x, y = torch.randint(50, (3, 4, 16)), torch.randint(50, (3, 4, 16))  # 3 micro-batches of 4 rows
    y[1, :, 4:], y[2, :, :], y[2, 0, :2] = -100, -100, 7
    batches = list(zip(x, y, strict=True)) if way == "three micro-batches" else [(x.flatten(0, 1), y.flatten(0, 1))]
    loss, norm = accumulated_step(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, 1.0)
    after[way] = torch.cat([p.detach().flatten() for p in model.parameters()])
    print(f"{way:20} loss {loss:.6f}, length of the gradient {norm:.6f}")
torch.testing.assert_close(*after.values(), rtol=0, atol=1e-12)  # float64, another order of sums
counts = [(targets != -100).sum().item() for targets in y]
for n in counts:
    print(f"{n:3} targets: each weighs {100 / sum(counts):5.2f} %, in the mean of means {100 / len(counts) / n:5.2f} %")

# %% [markdown]
# ---
# ### X06. Score the endings   (4 of 5 · 40 minutes)
#
# HellaSwag asks for the ending of a story ([Zellers et al. 2019](https://arxiv.org/abs/1905.07830)). A model that does not follow instructions can still be asked which ending it finds likeliest. Its answer is the one with the highest **mean** log-probability of the ending's tokens, each given the context and the ending's tokens before it. The context's own tokens do not count.
#
# Endings differ in length, and on a GPU one call with all of them is much faster than one call each. So put them into **one padded batch**, a row for each ending: context, ending, then padding on the right. Call the model once, without gradients. Padding must not count, and any id that the model knows will do for it; but ids are taken, so the same id may be a real token of some ending.


# %%
def pick_ending(model, context_ids: list[int], endings: list[list[int]]) -> int:
    """The number, from 0, of the ending with the highest mean log-probability of its tokens.

    model: ids (B, T) -> logits (B, T, V), causal.  context_ids: at least one id.  endings: two or more, none empty.
    """
    ### BEGIN SOLUTION
    longest = max(map(len, endings))
    rows = torch.tensor([context_ids + ending + [0] * (longest - len(ending)) for ending in endings])  # (B, T)
    with torch.no_grad():
        log_p = model(rows[:, :-1]).log_softmax(-1)  # (B, T - 1, V)
    own = log_p.gather(2, rows[:, 1:, None])[..., 0]  # (B, T - 1): of the token that comes
    first = len(context_ids) - 1  # here the ending's first token is predicted
    means = [own[n, first : first + len(ending)].mean() for n, ending in enumerate(endings)]
    return int(torch.stack(means).argmax())
    ### END SOLUTION


# %%
check.x06(pick_ending)

# %% [markdown]
# <details><summary>Hint 1</summary>Logits at position t are about token t + 1. At which position is the ending's first token predicted?</details>
# <details><summary>Hint 2</summary>For <code>log_p</code> of shape (B, T, V), <code>log_p.gather(2, ids[..., None])[..., 0]</code> picks one entry of the last dimension at each place.</details>
# <details><summary>Hint 3</summary>With c = len(context_ids), the ending's tokens are predicted at positions c − 1 to c − 2 + len(ending). A causal model does not look ahead, so what stands behind them changes nothing: cut it off by length.</details>
#
# Why the mean? Endings of random tokens have no right one among them, so a fair judge takes each length equally often. A random model answers 500 such questions with endings of 2, 4, 8 and 16 tokens, by your function and by sums.

# %% tags=["demo"]
torch.manual_seed(0)
model = Logits(GPT2Config(64, 32, 2, 2, 32, init_std=0.2)).eval()
lengths, picks, nats = [2, 4, 8, 16], {"mean": [], "sum": []}, 0.0
for _ in range(500):
    context_ids = torch.randint(64, (8,)).tolist()
    endings = [torch.randint(64, (n,)).tolist() for n in lengths]
    picks["mean"].append(pick_ending(model, context_ids, endings))
    with torch.no_grad():
        rows = [torch.tensor(context_ids + ending) for ending in endings]
        sums = [-F.cross_entropy(model(row[None])[0, 7:-1], row[8:], reduction="sum").item() for row in rows]
    picks["sum"].append(sums.index(max(sums)))
    nats -= sum(sums) / 500 / sum(lengths)
fig, ax = plt.subplots(figsize=(6.5, 3))
for shift, (name, chosen) in zip((-0.2, 0.2), picks.items(), strict=True):
    shares = [100 * chosen.count(n) / len(chosen) for n in range(4)]
    ax.bar([n + shift for n in range(4)], shares, width=0.38, label=f"by the {name}", hatch="//" * (name == "sum"))
ax.axhline(25, color="black", ls="--", lw=1, label="a fair judge")
ax.set_xticks(range(4), lengths)
ax.set(xlabel="tokens in the ending", ylabel="chosen (%)", title="A sum always takes the shortest; a mean is fairer")
ax.legend()
plt.show()
print(f"each token takes {nats:.1f} nats from the sum")
assert 4 < nats < 6 and set(picks["sum"]) == {0}

# %% [markdown] tags=["solution-only"]
# The sum falls by four to six nats with every token, so the shortest ending wins every time. The mean is fairer, and not fair: the mean of two numbers scatters more than the mean of sixteen, and the highest of four tends to be one that scatters. Where endings have an equal number of tokens, or where one is much better than the others, that does no harm.

# %% [markdown]
# ---
# ### X07. What generation costs   (3 of 5 · 30 minutes)
#
# The lecture's `generate` runs the model on the whole text for each new token, the last `block_size` tokens of it. That repeats work: in a causal model, the keys and values of a position do not change when tokens are added behind it. A **key-value cache** keeps them (lecture 18 builds one), and then each position passes through the layers once.
#
# First count the positions that pass through the layers while `new` tokens are written after a `prompt`:
#
# - Without a cache: for each new token, all positions of the text so far, at most the last `block_size`.
# - With a cache: first the prompt, all of it at once; then each new token, alone. The last new token is chosen and never fed. If more than `block_size` positions would have to be kept, raise a `ValueError` with a sentence.
# - Writing nothing, `new = 0`, costs nothing.
#
# Then the floating-point operations, by the rules of X02 but forward only: matrix products, $2mkn$ each. Every position that is fed passes through the linear layers and, as in our `generate`, through the last layer. In attention, $m$ positions that are fed meet all $t$ positions so far, cached ones and their own: $m \times t$ scores, and the masked ones count.
# Without a cache $t$ equals $m$. Either way $t$ is at most `block_size`, so the same `ValueError` is due.


# %%
def positions_processed(prompt: int, new: int, cached: bool, block_size: int) -> int:
    """How many positions pass through the layers to write `new` (0 or more) tokens after `prompt` (1 or more)."""
    ### BEGIN SOLUTION
    if new == 0:
        return 0
    if not cached:
        return sum(min(t, block_size) for t in range(prompt, prompt + new))
    if prompt + new - 1 > block_size:
        raise ValueError(f"{prompt} + {new} - 1 positions do not fit into a block_size of {block_size}.")
    return prompt + new - 1
    ### END SOLUTION


def generation_flops(
    prompt: int, new: int, cached: bool, n_layer: int, n_embd: int, n_head: int, block_size: int, vocab_size: int
) -> int:
    """Floating-point operations in matrix products to write `new` tokens after `prompt`; forward passes only."""
    ### BEGIN SOLUTION
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError(f"{prompt} + {new} - 1 positions do not fit into a block_size of {block_size}.")
    C, total = n_embd, 0
    for text in range(prompt, prompt + new):  # one forward pass for each new token
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * 2 * (n_layer * 12 * C * C + C * vocab_size) + n_layer * 4 * m * t * C
    return total
    ### END SOLUTION


# %%
check.x07(positions_processed, generation_flops)

# %% [markdown]
# <details><summary>Hint 1</summary>There is one forward pass for each new token. How long is the text at each of them? The first sees the prompt alone.</details>
# <details><summary>Hint 2</summary>With a cache the first pass feeds m = prompt positions, and all later ones m = 1. The text of length t grows all the same.</details>
# <details><summary>Hint 3</summary>A pass costs m · (24·L·C² + 2·C·V) for the linear layers and 4·L·m·t·C for attention. Add up over the passes.</details>
#
# The 124M with a prompt of 100 tokens. How much does it cost to write without a cache, compared with writing with one?

# %% tags=["demo"]
writes = range(1, 926, 12)
ratio = lambda count, *sizes: [count(100, n, False, *sizes) / count(100, n, True, *sizes) for n in writes]
fig, ax = plt.subplots(figsize=(6.5, 3.2))
ax.plot(writes, ratio(positions_processed, T), label="positions")
ax.plot(writes, ratio(generation_flops, *SIZES["gpt2"], T, V), "--", label="operations")
ax.set(xlabel="tokens written after a prompt of 100", ylabel="without a cache / with one")
ax.set_title("The longer the text, the more a cache saves")
ax.legend()
plt.show()

# %% tags=["demo", "nbval-check-output"]
for cached in (False, True):
    flops = generation_flops(100, 900, cached, *SIZES["gpt2"], T, V)
    print(
        f"900 tokens, cached={cached!s:5}: {positions_processed(100, 900, cached, T):7,} positions, {flops / 1e12:6.2f} TFLOPs"
    )

# %% [markdown] tags=["solution-only"]
# The ratio grows with every token, and for a long text it comes near half the text's length. The two curves stay close, because at this width the linear layers cost much more than attention, and those are paid by position. But operations are not seconds: a pass that feeds one position reads all weights for it, so a GPU waits for its memory. Lecture 18 measures that.

# %% [markdown]
# ---
# ### X08. Somebody else's checkpoint   (3 of 5 · 30 minutes)
#
# `transformers` saves a GPT-2 as a dictionary of names and tensors, and so do the published files. Four things in it surprise us:
#
# - The matrices of the four linear layers of a block, `attn.c_attn`, `attn.c_proj`, `mlp.c_fc` and `mlp.c_proj`, are stored as (in, out). `nn.Linear` wants (out, in). Their names end in `.weight`.
# - Older files hold attention's masks too, as `h.0.attn.bias` and `h.0.attn.masked_bias`. They are buffers and no parameters, and our model has none.
# - Some files leave out the prefix `transformer.` in all names. `lm_head.weight` never has it.
# - `lm_head.weight` may be missing, because it is tied: it is the matrix `transformer.wte.weight`.
#
# Turn such a state into one that `GPT2.load_state_dict` takes without complaint: all names with the prefix, no masks, matrices turned, the head present. The result is a new dictionary. Leave the given one as it is, and the numbers and their dtype too.


# %%
def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A GPT-2's state for modules made of nn.Linear, from one that transformers saved.

    Names come out as transformer.wte.weight, transformer.h.0.attn.c_attn.weight (3C, C), ..., lm_head.weight.
    """
    ### BEGIN SOLUTION
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out
    ### END SOLUTION


# %%
check.x08(convert)

# %% [markdown]
# <details><summary>Hint 1</summary><code>attn.c_attn.bias</code> is a parameter and stays. Only names that end in <code>.attn.bias</code> or <code>.attn.masked_bias</code> are masks; mind the dot.</details>
# <details><summary>Hint 2</summary><code>name.endswith((..., ...))</code> takes a tuple. <code>attn.c_proj.weight</code> is square, so PyTorch would load it unturned without a word, and the model would talk nonsense.</details>
# <details><summary>Hint 3</summary>Do not turn <code>wte</code> and <code>wpe</code>: an embedding is a table with a row for each token. At the end, whatever the file had, <code>out["lm_head.weight"] = out["transformer.wte.weight"]</code>.</details>
#
# A model of the library's, with random weights, and ours with the same weights, as converted by you:

# %% tags=["demo"]
torch.manual_seed(0)
sizes = dict(vocab_size=100, n_layer=2, n_head=4, n_embd=32)
theirs = transformers.GPT2LMHeadModel(
    transformers.GPT2Config(**sizes, n_positions=16, bos_token_id=0, eos_token_id=0)
).eval()
ours = GPT2(GPT2Config(**sizes, block_size=16)).eval()
print(ours.load_state_dict(convert(theirs.state_dict())))
ids = torch.randint(100, (1, 16))
with torch.no_grad():
    torch.testing.assert_close(ours(ids)[0], theirs(ids).logits, rtol=1e-4, atol=1e-5)  # float32, two blocks deep
print("the same logits")

# %% [markdown]
# ---
# ## Invent your own
#
# The lecture's small model is trained by a recipe with many parts: the decay, $\beta_2$, the warm-up, the clipping, tying, the shrunken residual weights. Pick one, say beforehand what you expect, then train with it and without, three seeds each and equal steps. Write down the means and the spread between seeds. Which parts make a difference that is larger than the spread?
