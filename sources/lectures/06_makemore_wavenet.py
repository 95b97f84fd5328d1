# %% [markdown]
# # 06 · makemore: a WaveNet, from a tree to dilated convolutions
#
# At the end of this page there is a network that reads eight characters as a tree reads its leaves, two by two, and that invents names
# at a loss below 2.0. Then the tree becomes a stack of **dilated causal convolutions**: the same weights and the same numbers,
# for every position of a text in one pass. The gated, residual form of the WaveNet paper closes the page.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/06_makemore_wavenet.ipynb) · a run takes about 1.5 minutes and 1 GB on a laptop's CPU
#
# Needs: lectures 02 to 04 (the names, the training tricks, the layers). Later lectures take from here: `FlattenConsecutive` and
# `BatchNormLast`, the habit of writing shapes down, and causality as something one can test.

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
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

from course_utils import lesson, train
from course_utils.lectures.layers import BatchNorm1d, Embedding, Linear, Sequential, Tanh, evaluating
from course_utils.lectures.names import CharVocab, build_dataset, load_names, split_words

device = lesson.start("06_makemore_wavenet")

# %% tags=["parameters"]
context = 8  # characters that the network sees: a power of two
log_epochs = 2  # passes over the data for each line of the performance log
epochs = 9  # passes for the full run
batch = 512  # examples a step
peak_rate = 7e-3  # AdamW's learning rate at the top of its one cycle
weight_decay = 0.01  # AdamW's default
classic_steps = 2000  # steps of the classic loop, batch 32, run for comparison
seed = 42  # of every random choice below

# %% [markdown]
# ## 1. The starting point, tidied
#
# We begin where lecture 04 ended: three characters of context, a hidden layer of 200 units with BatchNorm, the next character's
# scores. The names and their split into train, dev and test are those of lecture 02: a seeded shuffle, then 80, 10 and 10 percent.
# Decisions on this page are made on dev. Test is opened once, at the very end. Some names are given to girls and to boys and stand in
# the list twice, so a dev name can have a twin in train; that lowers the losses on dev and test, here and in the published figures alike.

# %% tags=["nbval-check-output"]
words = load_names()
train_words, dev_words, test_words = split_words(words)
vocab = CharVocab(words)  # "." is 0 and marks both ends of a name
print(f"{len(train_words):,} names to learn from, {len(dev_words):,} for choices, {len(test_words):,} for the end")
print(f"{len(vocab)} characters: {vocab.chars}")
seen = set(train_words)
print(f"{sum(w in seen for w in dev_words) / len(dev_words):.1%} of the dev names are also in train")

# %%
X3, Y3 = (t.to(device) for t in build_dataset(train_words, 3))  # (N, 3), (N,)
X3dev, Y3dev = (t.to(device) for t in build_dataset(dev_words, 3))
for context_ids, target in zip(X3[:4].tolist(), Y3[:4].tolist(), strict=True):
    print(vocab.decode(context_ids), "->", vocab.decode([target]))

# %% [markdown]
# Written as in lecture 03, the forward pass has two special cases outside the list of layers: looking up the embedding, and
# laying its rows side by side. Here it is once more in that form, on four examples.

# %%
C = torch.randn(len(vocab), 10).to(device)
layers = [Linear(30, 200, bias=False), BatchNorm1d(200), Tanh(), Linear(200, len(vocab))]
layers = [layer.to(device) for layer in layers]

x = C[X3[:4]]  # (4, 3, 10)
x = x.view(x.shape[0], -1)  # (4, 30)
for layer in layers:
    x = layer(x)
x.shape


# %% [markdown]
# Two special cases mean two places to forget something. Lecture 04 already made the lookup a layer, `Embedding`. The flattening
# becomes one here, and then the whole network is a single `Sequential`.


# %%
class Flatten(nn.Module):
    """(B, T, C) -> (B, T*C): the features of all positions side by side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


tidy = Sequential(Embedding(len(vocab), 10), Flatten(), *layers).to(device)
with torch.no_grad():
    tidy[0].weight.copy_(C)
torch.testing.assert_close(tidy(X3[:4]), x)  # the same arithmetic in the same order

# %% [markdown]
# The tidy form also makes one old trap easy to fall into. Sampling feeds one example. A network still in training mode then asks
# BatchNorm for the variance of a single number.

# %%
try:
    tidy(X3[:1])
except ValueError as problem:
    print("ValueError:", problem)


# %% [markdown]
# Our layer refuses. A layer without that check would divide zero by zero and hand `nan` to every later layer. So whatever
# evaluates or samples below does it inside lecture 04's `with evaluating(model):`, which also switches the gradients off. The loss
# over a data set is the first such function.


# %%
def evaluate(model, X, Y) -> float:
    """Mean cross entropy, in nats a character, of the last position's logits over all of X (N, T), Y (N,)."""
    with evaluating(model):
        pieces = zip(X.split(4096), Y.split(4096), strict=True)
        total = sum(F.cross_entropy(model(x).view(-1, len(vocab)), y, reduction="sum") for x, y in pieces)
    return (total / len(Y)).item()


# %% [markdown]
# ## 2. A loss curve that can be read
#
# Next, the classic training loop, for a short stretch: 32 random examples a step, a learning rate of 0.1, plain gradient descent.
# The models are built by a function, so that each starts from the same seed. Its last layer starts small: the first logits are
# nearly equal, and the loss begins near ln 27 = 3.30. The gain of 5/3 is the one for tanh. Both are from lecture 04.


# %%
def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def start_small(*layers) -> Sequential:
    """A network on this page's device, its last layer's weights at a tenth, so that the first guesses are even."""
    with torch.no_grad():
        layers[-1].weight.mul_(0.1)
    return Sequential(*layers).to(device)


def flat(characters: int, embed: int = 10, hidden: int = 200) -> Sequential:
    torch.manual_seed(seed)
    wide = Linear(characters * embed, hidden, bias=False, gain=5 / 3)
    layers = [Embedding(len(vocab), embed), Flatten(), wide, BatchNorm1d(hidden), Tanh()]
    return start_small(*layers, Linear(hidden, len(vocab)))


# %%
def classic(model, X, Y, steps: int) -> tuple[list, list]:
    """The classic loop. Returns the seconds passed and the loss, a value each step."""
    g = torch.Generator().manual_seed(seed)
    seconds, losses, start = [], [], time.perf_counter()
    for _ in train.progress(steps, "classic loop"):
        ix = torch.randint(len(X), (32,), generator=g).to(device)
        loss = F.cross_entropy(model(X[ix]), Y[ix])
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    return seconds, losses


_, losses = classic(flat(3), X3, Y3, classic_steps)

# %% [markdown]
# Thirty-two examples are a small sample, so each step's loss is mostly luck. The curve becomes a band.
#
# <details><summary><b>Predict.</b> <code>losses</code> holds 2,000 numbers. Which one line of tensor code turns it into the 40 means
# of 50 neighbours each?</summary>
#
# Fold it into rows of 50 and average each row: `torch.tensor(losses).view(-1, 50).mean(1)`.
# </details>

# %%
fig, ax = plt.subplots(figsize=(7, 3))
ax.plot(losses, color="0.7", lw=0.8, label="each step")
means = torch.tensor(losses[: len(losses) // 50 * 50]).view(-1, 50).mean(1)  # (steps / 50,)
ax.plot(range(25, 50 * len(means), 50), means, color="black", marker="o", ms=3, label="means of 50 steps")
ax.set(xlabel="step", ylabel="loss (nats a character)", title="Averaging 50 steps uncovers the curve inside the band")
ax.legend()
plt.show()

# %% [markdown]
# The means show what the band hides: fast progress, then slow. A `view` and a `mean` do it, because rows of 50 lie next to each
# other in memory. We draw every curve below this way.

# %% [markdown]
# ## 3. One budget for every idea
#
# Ideas can be compared when they get the same budget. The classic log on this subject gives each idea 200,000 steps of 32 examples,
# some minutes a line. Lecture 03 found out what the machine was waiting for, and took the waiting away one trick at a time.
# Here we use the result without repeating the argument: 512 examples a step, AdamW, one cycle of the learning rate, one shuffled pass after another.
# `loss_of` gets row numbers and returns their loss, so that the same loop later trains on whole names.


# %%
def learn(model, loss_of, rows: int, passes: int, what: str, size: int = batch) -> tuple[list, list]:
    """Train on `passes` shuffled passes over all rows. Returns the seconds passed and the loss, a value each step."""
    a_pass = rows // size
    fused = device.type != "mps"  # one call for all parameters
    optimizer = torch.optim.AdamW(model.parameters(), peak_rate, weight_decay=weight_decay, fused=fused)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=passes * a_pass)
    g = torch.Generator().manual_seed(seed)
    seconds, losses, start = [], [], time.perf_counter()
    for step in train.progress(passes * a_pass, what):
        if step % a_pass == 0:
            order = torch.randperm(rows, generator=g).to(device)
        ix = order[step % a_pass * size :][:size]  # (size,)
        loss = loss_of(model, ix)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        losses.append(loss.detach())
        seconds.append(time.perf_counter() - start)
    return seconds, torch.stack(losses).tolist()


# %% [markdown]
# Every idea adds a line to a log that the page writes itself: what was tried, how large it was, how long it took, what it reached. A log
# kept by hand goes wrong on the third evening. The last column will hold the published figure, for whoever wants to compare.

# %%
log, curves = [], {}


def enter(idea: str, model, loss_of, rows: int, dev: tuple, published: str, passes: int = log_epochs, **options):
    """Train a model, keep its curve, add its line to the log, and say its dev loss."""
    curves[idea] = learn(model, loss_of, rows, passes, idea[:26], **options)
    seconds = curves[idea][0][-1]
    log.append((idea, count(model), passes, seconds, evaluate(model, *dev), published))
    print(f"{idea}: {count(model):,} parameters, dev loss {log[-1][4]:.3f}")


# %%
def on_three(model, ix):
    return F.cross_entropy(model(X3[ix]), Y3[ix])


enter("3 characters, flat", flat(3), on_three, len(X3), (X3dev, Y3dev), "2.105")
# %% [markdown]
# ## 4. More context
#
# Three characters cannot know whether a name has had its third or its seventh letter. The cheapest idea is to look further back:
# eight characters, and the same flat network.

# %% tags=["nbval-check-output"]
X, Y = (t.to(device) for t in build_dataset(train_words, context))  # (N, 8), (N,)
Xdev, Ydev = (t.to(device) for t in build_dataset(dev_words, context))
for context_ids, target in zip(X[:8].tolist(), Y[:8].tolist(), strict=True):
    print(vocab.decode(context_ids), "->", vocab.decode([target]))


# %%
def on_windows(model, ix):
    return F.cross_entropy(model(X[ix]), Y[ix])


enter("8 characters, flat", flat(context), on_windows, len(X), (Xdev, Ydev), "2.027")

# %% [markdown]
# A clear gain, about 0.05 nats a character, for a longer lookup and 10,000 more weights. But look at what the network does with its
# eight characters: it lays 80 numbers side by side and squeezes all of them into one hidden layer, in one step. Nothing says that the
# seventh and the eighth character are neighbours.

# %% [markdown]
# ## 5. Two at a time
#
# WaveNet fuses its input slowly. Neighbours form pairs, pairs form fours, fours form the eight. To draw that, we put each node above the **last**
# character that it has seen. `d` is the distance between the two nodes that a level joins.


# %%
def draw(text: str, roots: list[int], title: str, distances=(1, 2, 4)):
    """The nodes over a text. Dark: those that the output at `roots[0]` needs. Dashed: those of the next root."""
    _, ax = plt.subplots(figsize=(0.62 * len(text) + 1.5, 2.9))
    dark = dict(color="black", lw=2.4, ls="-", marker="o", ms=6, zorder=3)
    dashed = dict(color="#D55E00", lw=2.4, ls=(0, (2, 2)), marker="s", ms=5, mfc="white", zorder=4)

    def lines(level, t, reach, **style):
        if level and t - sum(distances[:level]) >= 0:
            d = distances[level - 1]
            for below in (t, t - d):
                ax.plot([t, below], [level, level - 1], **style)
                if reach:
                    lines(level - 1, below, reach, **style)

    for level in range(len(distances) + 1):
        for t in range(sum(distances[:level]), len(text)):
            if len(roots) > 1:
                lines(level, t, False, color="0.85", lw=0.8, ls="-", zorder=1)
                ax.plot(t, level, "o", color="0.75", ms=6, zorder=2)
    for root, style in zip(roots, (dark, dashed), strict=False):
        lines(len(distances), root, True, **style)
    ax.set_xticks(range(len(text)), list(text), fontsize=12)
    levels = [f"level {i}, d = {d}" for i, d in enumerate(distances, 1)]
    ax.set_yticks(range(len(distances) + 1), ["characters", *levels])
    ax.set(title=title, ylim=(-0.3, len(distances) + 0.3), xlabel="each node above the last character that it has seen")
    ax.grid(False)
    plt.show()


draw("....char", [7], "A tree of eight leaves: pairs, fours, the whole context")

# %% [markdown]
# What does a layer need for this? Less than one might think. A matrix product acts on the **last** dimension and takes all others
# along. So if the pairs lie in their own dimension, one `Linear` treats them all alike, in parallel.

# %%
e = torch.randn(4, 8, 10)  # (B, T, C): four contexts of eight characters, ten features each
W = torch.randn(20, 68)  # two characters' features to 68 units, section 6's width
(e.view(4, 4, 20) @ W).shape  # (B, T/2, 2C) @ (2C, H)

# %% [markdown]
# The `view` is the whole trick, and it deserves a look. By hand, a pair is the features of an even position followed by those of the odd
# position after it. `view` gives the same without moving a number, since neighbours already lie next to each other in memory.

# %%
by_hand = torch.cat([e[:, 0::2, :], e[:, 1::2, :]], dim=2)  # (4, 4, 10) beside (4, 4, 10) -> (4, 4, 20)
assert torch.equal(e.view(4, 4, 20), by_hand)
e.view(4, 4, 20).data_ptr() == e.data_ptr(), by_hand.data_ptr() == e.data_ptr()

# %% [markdown]
# The view has the address of the original, the copy by hand does not. Lecture 03 met this with storage and strides.
#
# Here is the layer. With `n` as long as the whole context it is `Flatten`, so one class replaces the other. When one position is
# left it drops that dimension, because the last layer wants (B, C). (The first line of the cell marks it for the module that later lectures import.)


# %%
#| export layers
import torch
from torch import nn


class FlattenConsecutive(nn.Module):
    """Lay the features of every n neighbouring positions side by side: the leaves of a tree, joined n by n.

    x: (B, T, C), T a multiple of n.  Returns (B, T/n, n*C), or (B, n*C) when a single position is left.
    """

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        if T % self.n:
            raise ValueError(f"{T} positions cannot be joined {self.n} by {self.n}: choose a multiple of {self.n}.")
        x = x.reshape(B, T // self.n, self.n * C)  # (B, T/n, n*C)
        return x.squeeze(1) if x.shape[1] == 1 else x


# %%
torch.equal(FlattenConsecutive(8)(e), Flatten()(e)), FlattenConsecutive(2)(e).shape


# %% [markdown]
# ## 6. The tree, and a bug that says nothing
#
# The tree is a stack of three equal stages. We choose 68 hidden units, which gives the flat network's number of parameters
# almost exactly: whatever changes, it is the shape of the network and not its size. The normalisation is a parameter of the function,
# because one of them is about to fail.


# %%
def tree(norm, embed: int = 10, hidden: int = 68) -> Sequential:
    """Eight characters, joined two by two. norm: the class of the normalisation."""
    torch.manual_seed(seed)
    layers, fan_in = [Embedding(len(vocab), embed)], embed
    for _ in range(context.bit_length() - 1):  # log2(8) = 3 stages
        linear = Linear(2 * fan_in, hidden, bias=False, gain=5 / 3)
        layers += [FlattenConsecutive(2), linear, norm(hidden), Tanh()]
        fan_in = hidden
    return start_small(*layers, Linear(hidden, len(vocab)))


count(flat(context)), count(tree(BatchNorm1d))

# %%
try:
    tree(BatchNorm1d)(X[:32])
except ValueError as problem:
    print("ValueError:", problem)


# %% [markdown]
# Four pairs of 68 features arrive for each of 32 examples, and that has three dimensions. Lecture 04 wrote its BatchNorm for (N, C) and
# was careful enough to refuse the rest. What if it had not refused? The usual
# first version averages over dimension 0, whatever comes after it. We take the guard away and look.


# %%
class Unguarded(BatchNorm1d):
    def batch_dims(self, x):
        return (0,)  # the batch, as for (N, C)


buggy = tree(Unguarded)
buggy(X[:32]).shape, buggy[3].running_mean.shape

# %% [markdown]
# No error, the right output shape, and it will train. The second shape gives it away: the running mean should hold 68 numbers, one a
# feature. It holds (4, 68). Broadcasting kept a separate mean and variance for each of the four positions. Every pair is now
# normalised differently, from 32 examples where 32 × 4 were at hand. We train it nevertheless, to learn what the bug costs.

# %%
enter("tree, BatchNorm bug", buggy, on_windows, len(X), (Xdev, Ydev), "2.029")
# %% [markdown]
# The repair is one line. All dimensions but the last are examples, so the statistics run over all of them.


# %%
#| export layers
import torch


class BatchNormLast(BatchNorm1d):
    """`BatchNorm1d` for features in the last dimension: x (N, C) or (N, ..., C), the same shape comes out.

    Statistics run over every other dimension, so (32, 4, 68) counts as 128 examples. `torch.nn.BatchNorm1d` computes
    the same with the features in dimension 1: (N, C, L).
    """

    def batch_dims(self, x: torch.Tensor) -> tuple[int, ...]:
        return tuple(range(x.dim() - 1))


# %%
fixed = tree(BatchNormLast)
fixed(X[:32]).shape, fixed[3].running_mean.shape

# %% [markdown]
# One number a feature again, from 128 values instead of 32, so the estimates are steadier as well. Is it BatchNorm, though? PyTorch's own takes three dimensions as (N, C, L), features in the middle, as
# convolutions want them. So the proof turns the tensor, asks PyTorch, and turns the answer back: values, all three gradients, and the state that it keeps.

# %%
ours, theirs = BatchNormLast(5).double(), nn.BatchNorm1d(5).double()
a = torch.randn(32, 4, 5, dtype=torch.double, requires_grad=True)
b = a.detach().clone().requires_grad_()
y, z = ours(a), theirs(b.transpose(1, 2)).transpose(1, 2)  # (32, 4, 5) both
weights = torch.randn_like(y)  # so that every output has a gradient of its own
(y * weights).sum().backward()
(z * weights).sum().backward()

# %%
torch.testing.assert_close(y, z)  # float64: the default tolerance is 1e-7
torch.testing.assert_close(a.grad, b.grad)
torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
list(theirs.state_dict())

# %%
enter("tree, BatchNorm fixed", fixed, on_windows, len(X), (Xdev, Ydev), "2.022")
# %% [markdown]
# Read the three lines together. At this size and this budget, flat network, buggy tree and repaired tree land within about 0.01 of each
# other, and with one seed each, that is nothing to build on. A bug that costs so little never shows in the loss. It showed in
# a shape. That is why the shapes get a table.

# %% tags=["nbval-check-output"]
rows, x = ["| layer | what comes out | parameters |", "|---|---|---|"], X[:4]
with evaluating(fixed):
    for layer in fixed:
        x = layer(x)
        rows.append(f"| {type(layer).__name__} | {tuple(x.shape)} | {count(layer):,} |")
Markdown("\n".join(rows))

# %% [markdown]
# Four contexts of eight characters went in. Read downwards: the positions halve, 8, 4, 2, 1, while the features stay at 68 after each
# stage. Most of the parameters sit in the second and third `Linear`, which take 136 features each.

# %% [markdown]
# ## 7. Scaling up
#
# The tree has not earned its keep yet. Its width is still that of a small network, chosen for a fair comparison. Now it may grow: 24
# features a character instead of 10, 128 hidden units instead of 68. Same budget first, for the log.

# %%
enter("tree, 24 and 128 features", tree(BatchNormLast, 24, 128), on_windows, len(X), (Xdev, Ydev), "")
# %% [markdown]
# A better number after the same two passes. So this is the network for the full run: nine passes, one to two minutes on
# one core. Beside it, on the same network, the classic loop gets its 2,000 steps.

# %%
wavenet = tree(BatchNormLast, 24, 128)
enter("the same, full run", wavenet, on_windows, len(X), (Xdev, Ydev), "1.993", passes=epochs)
full, slow = curves["the same, full run"], classic(tree(BatchNormLast, 24, 128), X, Y, classic_steps)


# %%
def smooth(curve, n=50):
    seconds, losses = (torch.tensor(values[: len(values) // n * n]).view(-1, n) for values in curve)  # (steps / n, n)
    return seconds[:, -1], losses.mean(1)


fig, ax = plt.subplots(figsize=(7, 3.4))
ax.plot(*smooth(full), label=f"{batch} examples a step, AdamW, one cycle")
ax.plot(*smooth(slow), label="classic loop: 32 examples a step, rate 0.1")
ax.axhline(log[-1][4], color="black", lw=1, ls=":", label=f"dev loss at the end of the full run: {log[-1][4]:.3f}")
ax.set(xlabel="seconds of training", ylabel="training loss (nats a character)", ylim=(1.8, 2.8))
ax.set(title="The classic loop starts faster, the cycle goes deeper")
ax.legend(fontsize="small")
plt.show()

# %%
whole_run = 200_000 / classic_steps * slow[0][-1]
print(f"full run: {full[0][-1]:.0f} s; 200,000 steps of the classic loop would take {whole_run:.0f} s here")
assert 1.95 < log[-1][4] < 2.0

# %% [markdown]
# Look at the first seconds: the classic loop is ahead. The cycle begins at a 25th of its peak rate and spends three tenths of the run on
# the way up. It pays on the way down, where the falling rate takes off the last tenth of a nat. The training loss ends well below the dotted line of dev: nine passes have begun to memorise. The
# published figure for this network is 1.993, after 200,000 steps of the classic loop. Ours lands between 1.98 and 2.00, in a fraction
# of the time. (Our list has 32,257 rows, makemore's 32,033: compare to a hundredth.) Here is the log.

# %%
rows = ["| idea | parameters | passes | seconds | dev loss | published |", "|---|---:|---:|---:|---:|---:|"]
rows += [f"| {idea} | {n:,} | {p} | {s:.1f} | {loss:.3f} | {known} |" for idea, n, p, s, loss, known in log]
Markdown("\n".join(rows))

# %% [markdown]
# The published column is [makemore's part 5](https://github.com/karpathy/nn-zero-to-hero): 200,000 steps of 32, about 35 passes over
# the data, for each line. Ours have two. So compare down a column, never across, except in the last line. What the log says: context
# helped, size helped, and more training helped most. The tree by itself changed little. Now, what does the network invent? We start
# from eight dots, and feed it its own choices.


# %%
@torch.no_grad()
def sample(logits_of, names: int, longest: int = 20) -> list[str]:
    """Draw names. logits_of: (names, 8) characters -> (names, 27) scores of the next."""
    g = torch.Generator().manual_seed(seed)
    text = torch.zeros(names, context, dtype=torch.long)
    for _ in range(longest):
        probs = logits_of(text[:, -context:]).softmax(1)  # (names, 27)
        text = torch.cat([text, torch.multinomial(probs, 1, generator=g)], dim=1)
    return [vocab.decode(row).split(".")[0] for row in text[:, context:].tolist()]


wavenet = wavenet.cpu().eval()
print(" ".join(sample(wavenet, 20)))

# %% [markdown]
# ## 8. What the tree computes twice
#
# From here on everything is small, so it stays on the CPU. Take one name. Every character of it is a training example, and each example builds its
# own tree. Two trees whose last characters are two apart share nodes: the second looks at pairs that the first has already joined.

# %%
draw("...charlott", [8, 10], "Trees that end two characters apart share nodes")

# %% [markdown]
# Black with dots is the tree of one position, dashed with squares the tree two positions later, grey is everything that any tree could
# ask for. Where dashes lie on black, the same numbers are computed twice: three of the four pairs. A tree has 4 + 2 + 1 = 7 nodes, so a thousand positions cost 7,000. But only three
# different nodes stand above each position: 3,000 would do. The way to get there is to compute each level for **all** positions, then the next
# level from it. Level 2 joins nodes two apart, level 3 nodes four apart.

# %%
stage = {1: 48 * 128, 2: 256 * 128, 3: 256 * 128}  # multiplications of one node, at each level
last = 128 * len(vocab)
in_trees, in_levels = 4 * stage[1] + 2 * stage[2] + stage[3] + last, sum(stage.values()) + last
print(f"multiplications a position: {in_trees:,} in trees, {in_levels:,} level by level")
print(f"the trees need {in_trees / in_levels:.2f} times as many")

# %% [markdown]
# ## 9. A convolution is that loop
#
# "The same small matrix, applied at every position" has a name: **convolution**. Its kernel holds one matrix for each position that
# it looks at, here two. A kernel whose two positions lie $d$ apart is **dilated** by $d$:
#
# $$y_t = W_0\, x_{t-d} + W_1\, x_t$$
#
# As a loop over positions, for a sequence of ten:

# %%
x, d = torch.randn(10, 24), 2  # (T, C)
W0, W1 = torch.randn(128, 24), torch.randn(128, 24)  # (H, C) each
by_loop = torch.stack([W0 @ x[t - d] + W1 @ x[t] for t in range(d, 10)])  # (T - d, H)
by_loop.shape

# %% [markdown]
# PyTorch's `conv1d` runs the same loop in compiled code. It wants features before positions, (B, C, T), and a kernel (H, C, 2).

# %%
kernel = torch.stack([W0, W1], dim=2)  # (H, C, 2)
by_conv = F.conv1d(x.T[None], kernel, dilation=d)[0].T  # (1, C, T) -> (1, H, T - d) -> (T - d, H)
torch.testing.assert_close(by_conv, by_loop, rtol=1e-5, atol=1e-5)  # float32, the sums run in another order

# %% [markdown]
# The loop and the library agree. And a `Linear` over two joined positions is the same kernel, written flat: its weight (H, 2C) is $W_0$ beside $W_1$. So every weight of
# the tree has its place in a stack of convolutions.
#
# <details><summary><b>Predict.</b> How do you turn a weight of shape (H, 2C) into a kernel (H, C, 2), without mixing up positions and
# features?</summary>
#
# First split the long side in the order in which it was joined, position by position: (H, 2, C). Then swap the last two: (H, C, 2).
# A direct <code>view(H, C, 2)</code> has the right shape and the wrong numbers.
# </details>

# %%
flat_weight = torch.cat([W0, W1], dim=1)  # (H, 2C), as a Linear holds it
split = flat_weight.unflatten(1, (2, 24)).transpose(1, 2)  # (H, 2, C) -> (H, C, 2)
torch.equal(split, kernel), torch.equal(flat_weight.view(128, 24, 2), kernel)


# %% [markdown]
# ## 10. The same network as dilated causal convolutions
#
# The stack takes sequences of any length from eight up. Each output uses its own position and earlier ones, never a later one: that is what
# **causal** means. All parts are PyTorch's now, which also tests ours.


# %%
class Dilated(nn.Module):
    """Characters (B, T) -> logits (B, T - 7, 27): one prediction for every position with a full context."""

    def __init__(self, embed: int = 24, hidden: int = 128, dilations=(1, 2, 4)):
        super().__init__()
        self.embedding = nn.Embedding(len(vocab), embed)
        layers, fan_in = [], embed
        for d in dilations:
            layers += [nn.Conv1d(fan_in, hidden, 2, dilation=d, bias=False), nn.BatchNorm1d(hidden), nn.Tanh()]
            fan_in = hidden
        self.layers = nn.Sequential(*layers, nn.Conv1d(hidden, len(vocab), 1))

    def forward(self, ix: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ix).transpose(1, 2)  # (B, T, C) -> (B, C, T)
        return self.layers(x).transpose(1, 2)  # (B, 27, T - 7) -> (B, T - 7, 27)


# %% [markdown]
# Now the weights move over, layer by layer. An embedding and a BatchNorm have the same state in both worlds, so PyTorch's layers load
# ours as they are, names included. A `Linear` over k joined positions becomes a kernel of size k; the last `Linear` is the case k = 1.


# %%
@torch.no_grad()
def as_convolutions(tree: Sequential) -> Dilated:
    """The trained tree's weights in a stack of dilated convolutions."""
    stack = Dilated()
    parts = [[m for m in model.modules() if hasattr(m, "weight")] for model in (tree, stack)]
    for ours, theirs in zip(*parts, strict=True):
        state = dict(ours.state_dict())
        if isinstance(theirs, nn.Conv1d):
            k = theirs.kernel_size[0]
            state["weight"] = state["weight"].unflatten(1, (k, -1)).transpose(1, 2)  # (H, k*C) -> (H, C, k)
        theirs.load_state_dict(state)
    return stack.eval()


stack = as_convolutions(wavenet)
count(stack), count(wavenet)

# %% [markdown]
# One question is left: what stands before the first character? The tree was trained with eight dots before each name. A common recipe pads
# every convolution with zeros instead, so that lengths stay the same. Does that give the tree's logits? We ask the tree first, one
# context for each position of a name.

# %%
text = torch.tensor([[0] * 8 + vocab.encode("charlotte")])  # (1, 17)
windows = text.unfold(1, 8, 1)[0]  # (10, 8): one context for each position, the first all dots
with evaluating(wavenet):
    by_tree = wavenet(windows)  # (10, 27)

# %% [markdown]
# Then the stack, with zeros on the left of every level, and the largest difference at each position.

# %%
with evaluating(stack):
    x = stack.embedding(text[:, 7:]).transpose(1, 2)  # (1, 24, 10): one dot, then the name
    for layer in stack.layers:
        if isinstance(layer, nn.Conv1d) and layer.kernel_size[0] == 2:
            x = F.pad(x, (layer.dilation[0], 0))  # zeros on the left, at every level
        x = layer(x)
for t, difference in enumerate((x[0].T - by_tree).abs().amax(1).tolist()):
    print(f"after {'.' + 'charlotte'[:t]:10}  off by at most {difference:.6f}")

# %% [markdown]
# The first seven positions are off by far more than rounding. From the eighth on, where the padding is out of reach, they agree. A
# hidden value of zero is not what the network computes from dots. So we pad once, at the bottom, with the dots themselves, and let
# every convolution shorten its input. Now every position of every dev name, in one call:

# %%
longest = max(len(w) for w in words)


def rows_of(words: list[str]) -> torch.Tensor:
    """(names, 8 + longest): each name behind eight dots, filled up with dots."""
    return torch.tensor([[0] * 8 + vocab.encode(w.ljust(longest, ".")) for w in words])


padded = rows_of(dev_words)
with evaluating(stack), evaluating(wavenet):
    in_one_pass = stack(padded)  # (names, longest + 1, 27)
    one_by_one = wavenet(padded.unfold(1, 8, 1).flatten(0, 1)).view_as(in_one_pass)
off = (one_by_one - in_one_pass).abs().max()
print(f"{one_by_one.numel():,} logits, the largest difference is {off:.1e}")
torch.testing.assert_close(in_one_pass, one_by_one, rtol=1e-4, atol=1e-4)  # float32 sums in another order, three deep

# %% [markdown]
# The convolutional form is the tree, at every position. The same network also draws the same names from the same seed, one for one:

# %%
stack_names = sample(lambda text: stack(text)[:, -1], 20)
assert stack_names == sample(wavenet, 20)
print(" ".join(stack_names[:8]))

# %% [markdown]
# ### How much faster?
#
# A text of 2,000 characters, every position's prediction. Three ways: a tree for each position in a Python loop, all trees in one batch, and
# one pass of the stack.

# %%
stream = torch.tensor([vocab.encode(".".join(dev_words)[:2007])])  # (1, 2007): 2,000 full contexts
windows = stream.unfold(1, 8, 1)[0]  # (2000, 8)


def clock(f, repeats: int) -> float:
    """The best of some runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


# %%
with evaluating(wavenet), evaluating(stack):
    ways = {
        "tree, position by position": clock(lambda: [wavenet(w) for w in windows.split(1)], 2),
        "tree, all positions as a batch": clock(lambda: wavenet(windows), 5),
        "dilated convolutions, one pass": clock(lambda: stack(stream), 5),
    }
for way, seconds in ways.items():
    print(f"{way:32} {1000 * seconds:8.1f} ms")

# %% [markdown]
# The large step is from the loop to anything that handles all positions at once: Python and 14 layer calls a position are gone. The step from the batch to the
# convolutions is in part the sharing that we counted in section 8; the rest is that PyTorch's layers are compiled where ours take several steps. The sharing grows with the depth: with ten levels, as in the
# paper, a tree has 1,023 nodes, and a position still needs only ten.

# %% [markdown]
# ## 11. How far back does it see?
#
# The **receptive field** of an output is the set of inputs that can change it. A kernel of two, dilated by $d$, reaches $d$ further back, so the
# field stretches over $1 + \sum d$ positions, all of them where no level leaves a gap. For dilations 1, 2, 4 that makes 8. The claim can be tested, twice. First by gradient: which embeddings receive any?

# %%
x = stack.embedding(torch.randint(len(vocab), (1, 20))).transpose(1, 2).detach().requires_grad_()  # (1, 24, 20)
stack.layers(x)[0, :, 5].sum().backward()  # output 5 stands at position 5 + 7 = 12
used = x.grad[0].abs().sum(0).nonzero().flatten().tolist()  # positions with a gradient
print(f"the output at position 12 uses positions {used}")
assert used == list(range(12 - sum((1, 2, 4)), 12 + 1))

# %% [markdown]
# Then by perturbation, which needs no gradients and works on any black box. Change one character, and see which outputs
# move. No output before the change may move, or the network would be reading the future.

# %%
before, after = torch.zeros(1, 30, dtype=torch.long), torch.zeros(1, 30, dtype=torch.long)
after[0, 15] = vocab.encode("z")[0]
with evaluating(stack):
    moved = (stack(before) != stack(after)).any(2)[0].nonzero().flatten() + 7  # positions of the outputs that moved
moved.tolist()

# %%
assert moved.tolist() == list(range(15, 15 + 8))

# %% [markdown]
# Exactly eight outputs moved: the one at the change and the seven after it. That is the network in use, with BatchNorm's statistics frozen. In training mode its mean and variance run over all positions, later ones too, and the same test would see every output move: one more reason why the network of section 12 does without.
# Depth buys reach cheaply when the dilation doubles at every level.
# The WaveNet paper goes up to 512:

# %% tags=["nbval-check-output"]
for levels in (3, 6, 10):
    dilations = [2**i for i in range(levels)]
    print(f"dilations 1 to {dilations[-1]:3}: {1 + sum(dilations):5,} positions; {levels} undilated: {1 + levels}")


# %% [markdown]
# ## 12. Gates, residuals and skips
#
# What van den Oord et al. (2016) train differs in three more ways. First, each level runs two convolutions, a **filter** through tanh and a **gate** through the sigmoid $\sigma$, and multiplies them entry by entry ($*$ is the convolution, $\odot$ the product):
#
# $$z = \tanh(W_f * x) \odot \sigma(W_g * x)$$
#
# The gate is between 0 and 1 and decides how much of the filter passes. Second, the block adds its result to its input, a **residual** connection, so
# the gradient has a straight way down. Third, each block sends a copy through a convolution of its own to the output, a **skip** connection, so that the output sees
# every level: pairs, fours and the eight.


# %%
class Block(nn.Module):
    """x (B, C, T) -> the next level (B, C, T - d), and this level's share of the output (B, C, T - d)."""

    def __init__(self, channels: int, d: int):
        super().__init__()
        self.d = d
        self.filter = nn.Conv1d(channels, channels, 2, dilation=d)
        self.gate = nn.Conv1d(channels, channels, 2, dilation=d)
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))  # (B, C, T - d)
        return x[:, :, self.d :] + self.residual(z), self.skip(z)


# %% [markdown]
# The skips have different lengths, because each level has lost some positions on the left. We keep what all of them have: the last
# T − 7. The head is the paper's: add, ReLU, 1×1 convolution, ReLU, 1×1 convolution. (The paper also puts one plain causal convolution
# before the first block. We leave it out, so that the receptive field stays at eight and the comparison fair.)


# %%
class Gated(nn.Module):
    """Characters (B, T) -> logits (B, T - 7, 27), with gated blocks, residual and skip connections."""

    def __init__(self, channels: int = 64, dilations=(1, 2, 4)):
        super().__init__()
        self.embedding = nn.Embedding(len(vocab), channels)
        self.blocks = nn.ModuleList(Block(channels, d) for d in dilations)
        head = [nn.ReLU(), nn.Conv1d(channels, channels, 1), nn.ReLU(), nn.Conv1d(channels, len(vocab), 1)]
        self.head = nn.Sequential(*head)

    def forward(self, ix):
        x, skips = self.embedding(ix).transpose(1, 2), []  # (B, C, T)
        for block in self.blocks:
            x, skip = block(x)
            skips.append(skip)
        total = sum(skip[:, :, -x.shape[2] :] for skip in skips)  # (B, C, T - 7)
        return self.head(total).transpose(1, 2)  # (B, T - 7, 27)


# %% [markdown]
# There is no BatchNorm: the paper's network has none, and the residual path gives the gradient its way down. It trains as it runs: whole names, all positions in one pass. Positions after the end of a name get the target −100, which `cross_entropy`
# leaves out. A batch of 72 names holds about as many examples as the 512 windows before, and is cut to its own longest name.

# %%
inputs = rows_of(train_words).to(device)  # (names, 8 + longest)
targets = torch.full((len(train_words), longest + 1), -100)  # (names, longest + 1)
for row, w in zip(targets, train_words, strict=True):
    row[: len(w) + 1] = torch.tensor(vocab.encode(w + "."))
targets = targets.to(device)
inputs.shape, (targets >= 0).sum().item() == len(X)


# %%
def on_names(model, ix):
    y = targets[ix]  # (names, longest + 1)
    T = int((y >= 0).any(0).sum())  # the longest name of this batch, and its end
    logits = model(inputs[ix][:, : 7 + T])  # (names, T, 27)
    return F.cross_entropy(logits.flatten(0, 1), y[:, :T].flatten())


# %%
torch.manual_seed(seed)
gated = Gated().to(device)
enter("gated, residual, skips", gated, on_names, len(inputs), (Xdev, Ydev), "", size=72)
# %% [markdown]
# The log again, for the three large networks. Compare the last line with the first: a like number of parameters, the same two passes. (4,160 of the 82,139 never learn: the last block's residual convolution leads nowhere, since the head reads the skips alone.)

# %%
rows = ["| idea | parameters | passes | seconds | dev loss |", "|---|---:|---:|---:|---:|"]
rows += [f"| {idea} | {n:,} | {p} | {s:.1f} | {loss:.3f} |" for idea, n, p, s, loss, _ in log if n > 50_000]
Markdown("\n".join(rows))

# %%
gated = gated.cpu().eval()
with torch.no_grad():
    print(f"one pass over the 2,000 positions: {1000 * clock(lambda: gated(stream), 5):.1f} ms")
print(" ".join(sample(lambda text: gated(text)[:, -1], 20)))

# %% [markdown]
# After two passes the gated network is ahead, by 0.01 to 0.02 nats with one seed each. Its passes take a quarter to a half longer than the
# tree's. A short race says little about a long one: its learning rate was chosen for the tree, and a lead after two passes may be gone after ten. Give both ten before you believe
# either. Its names start like the tree's, because the same random numbers chose the letters, and then go their own way.

# %% [markdown]
# ## 13. Test, once
#
# All choices are made. They were made by looking at dev, so dev may flatter us a little; and which names fell into which tenth makes a difference of about a hundredth as well, in either direction. The tree of the full run now meets the names that no choice has seen.

# %%
Xtest, Ytest = build_dataset(test_words, context)
test_loss = evaluate(wavenet, Xtest, Ytest)
print(f"test loss {test_loss:.3f}")
assert test_loss < 2.02

# %% [markdown]
# ## What we built
#
# | built | reached | published | goes next |
# |---|---|---|---|
# | a tree of 76,579 parameters | dev 1.98 to 2.00 in one to two minutes of one core | 1.993, 200,000 steps | exercise E02 |
# | `BatchNormLast` | equal to `torch.nn` in values, gradients and state | | every lecture that imports `layers` |
# | the tree as dilated causal convolutions | the same logits at every position, one pass | announced at the end of makemore's part 5, not built there | 12: convolutions in two dimensions |
# | gated, residual, skips | ahead of the tree after two passes | van den Oord et al. train it on audio | exercise E01 |
# | two tests of the receptive field | exactly 8 positions | | 07: attention, where a mask keeps the future out |
#
# How the work felt is part of the lesson: an idea, a shape that did not fit, a look into the documentation for what dimension comes
# where, a small tensor to try it on, a check, one more line in the log. That is most of a day of deep learning, and the log is what
# is left of it in the evening.

# %% [markdown]
# ## Papers
#
# - A. van den Oord et al. (2016). WaveNet: A Generative Model for Raw Audio. [arXiv:1609.03499](https://arxiv.org/abs/1609.03499).
#   Read sections 2.1, 2.3 and 2.4, with figures 3 and 4 beside this page's sections 8 and 12.
# - Y. Bengio et al. (2003). A Neural Probabilistic Language Model. [JMLR 3, 1137–1155](https://www.jmlr.org/papers/v3/bengio03a.html).
#   Read its figure 1 as the flat network with which we began.
# - S. Ioffe, C. Szegedy (2015). Batch Normalization. [arXiv:1502.03167](https://arxiv.org/abs/1502.03167). Section 3.2 says over which
#   dimensions a convolution's statistics run, and why.
# - F. Yu, V. Koltun (2016). Multi-Scale Context Aggregation by Dilated Convolutions. [arXiv:1511.07122](https://arxiv.org/abs/1511.07122).
#   The same doubling of dilations for images, with a figure of the growing field.
# - K. He et al. (2016). Deep Residual Learning. [arXiv:1512.03385](https://arxiv.org/abs/1512.03385). For the question why adding the
#   input helps.
# - T. L. Paine et al. (2016). Fast WaveNet Generation Algorithm. [arXiv:1611.09482](https://arxiv.org/abs/1611.09482). Sampling without
#   computing any node twice: keep the old ones in queues.

# %% [markdown]
# ## Recall tomorrow
#
# 1. A tensor (32, 4, 68) enters a BatchNorm whose statistics run over dimension 0 only. How many means does it keep, how many should it
#    keep, and what tells you?
#    <details><summary>Answer</summary>It keeps 4 × 68 and should keep 68. No error tells you, and the loss hardly does; the shape of the running mean does.</details>
# 2. Why can one <code>Linear</code> treat all pairs of a context at once?
#    <details><summary>Answer</summary>A matrix product acts on the last dimension and takes all others along as a batch.</details>
# 3. Turn a Linear's weight (H, 2C) over two joined positions into a kernel (H, C, 2).
#    <details><summary>Answer</summary>Split the long side position by position, (H, 2, C), then swap the last two dimensions.</details>
# 4. Kernels of two, dilations 1, 2, 4, 8. What is the receptive field, and how many nodes does one position cost in a tree and in the
#    stack?
#    <details><summary>Answer</summary>1 + 15 = 16 positions. 15 nodes in a tree, 4 in the stack.</details>
# 5. Zeros padded before every convolution gave other logits for the first positions. Why, and what is the cure?
#    <details><summary>Answer</summary>A zero in a hidden layer is not what the network computes from dots. Pad once, at the bottom, with
#    dots.</details>
