# %% [markdown]
# # 03 · makemore: embeddings and a hidden layer
#
# At the end of this page a network will read three letters and predict the fourth about as well as a good table of counts does, with a fortieth of the table's numbers, and it will
# train in seconds instead of a minute or more: half of this page is about where the rest went.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/03_makemore_mlp.ipynb) · a run takes about 1.5 minutes and 1.1 GB on a laptop's CPU
#
# Needs: lectures 01 (gradients) and 02 (the names, the loss). Later lectures take the training recipe of section 11 from here; lecture 04 turns these functions into layers.

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
import time
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from course_utils import lesson, train
from course_utils.lectures.names import LETTERS, build_dataset, load_names, split_words

lesson.start("03_makemore_mlp")
torch.set_num_threads(1)  # layers this small lose more by dividing the work than they gain

# %% tags=["parameters"]
context = 3  # characters that the network sees
emb = 10  # numbers that a character becomes
hidden = 200  # neurons in the hidden layer
classic_steps = 20_000  # updates of the classic loop, batch 32
batch = 1024  # examples an update, in the loop that we end with
epochs = 6  # passes over the training set
peak_rate = 2e-2  # AdamW's learning rate at the top of its cycle
ablation_epochs = 2  # passes for each row of the ablation table
wide_emb = 16  # the larger embedding
wide_epochs = 10  # its passes

# %% [markdown]
# Everything runs on the CPU: the network is too small to keep a GPU busy.
#
# ## 1. The table that does not fit
#
# Lecture 02 predicted from one character with a table of 27 rows, and its exercises from two with 729. Each further character multiplies the rows by 27. How many of them would we ever see?

# %%
words = load_names()
train_words, dev_words, test_words = split_words(words)
for length in range(1, 7):
    X, Y = build_dataset(train_words, length)
    contexts = list(map(tuple, X.tolist()))
    rows, pairs = Counter(contexts), Counter(zip(contexts, Y.tolist(), strict=True))
    X, Y = build_dataset(dev_words, length)
    asked = list(zip(map(tuple, X.tolist()), Y.tolist(), strict=True))
    unknown = sum(row not in rows for row, _ in asked) / len(asked)
    loss = -sum(math.log((pairs[row, y] + 0.1) / (rows[row] + 2.7)) for row, y in asked) / len(asked)
    print(
        f"{length} characters: {27**length:11,} rows, {len(rows):6,} seen; {unknown:5.1%} of dev unseen; dev loss {loss:.3f}"
    )

# %% [markdown]
# Up to three letters the table gets better, from four on it gets worse. (A tenth is added to every count, lecture 02's smoothing.) With six characters there are 387 million rows, of which the training names use 46,000, and every sixth example of new names falls outside of them. Such a context has an empty row, though a person would know what to do: somebody who has seen "dar" and "dor" has a
# guess for "dur". A table cannot guess. Nothing in it says that a and o have something in common.
#
# ## 2. The paper in one page
#
# Bengio, Ducharme, Vincent and Jauvin ([*A neural probabilistic language model*](https://www.jmlr.org/papers/v3/bengio03a.html), 2003) put it like this. Give every word (for us, every character) a *vector*, and let the vectors be learned. Characters that behave alike will get vectors that lie close together. A smooth function of
# the vectors then answers contexts that it never saw, because it has seen their neighbours. This is their figure 1, redrawn for our three characters:

# %%
fig, ax = plt.subplots(figsize=(8.5, 5))
box = {"boxstyle": "round,pad=0.4", "edgecolor": "#333333", "facecolor": "#e8eef7"}
for x, letter in zip((1.2, 4, 6.8), ("e", "m", "m"), strict=True):
    ax.annotate("", (x, 1.75), (x, 0.55), arrowprops={"arrowstyle": "->"})
    ax.text(x, 0.3, f"character {letter!r} = {LETTERS.encode(letter)[0]}", ha="center", va="center")
    ax.text(x + 0.1, 1.1, "row of C", fontsize=9, color="#555555")
    ax.text(x, 2.1, f"{emb} numbers", ha="center", va="center", bbox=box)
    ax.annotate("", (4, 3.25), (x, 2.5), arrowprops={"arrowstyle": "->"})
    ax.annotate("", (5.9, 5.0), (x + 0.5, 2.5), arrowprops={"arrowstyle": "->", "linestyle": "--", "color": "#888888"})
ax.text(4, 3.6, f"hidden layer: tanh of W1 and b1, {hidden} neurons", ha="center", va="center", bbox=box)
ax.annotate("", (4, 4.95), (4, 4.0), arrowprops={"arrowstyle": "->"})
ax.text(4, 5.3, "output layer: W2 and b2, 27 logits, softmax", ha="center", va="center", bbox=box)
ax.text(7.7, 3.9, "direct connections\n(exercise E03)", fontsize=9, color="#555555", ha="center")
ax.text(-0.2, 2.1, "one table C\nfor all places", fontsize=9, color="#555555", ha="center", va="center")
ax.set(xlim=(-1, 9), ylim=(0, 5.9), title="Bengio and others (2003): a shared table of vectors, then a network")
ax.axis("off")
plt.show()

# %% [markdown]
# Three parts, and we build them from the bottom: the table `C`, the hidden layer, the output layer. The paper's vocabulary was some 17,000 words (16,383 in one corpus, 17,964 in the other), with 30 to 100 numbers each. Ours is 27 characters.
#
# ## 3. The data, with a context
#
# A window slides over each name: three characters in, the next one out, dots before the beginning and at the end. `build_dataset` from lecture 02 does it.

# %% tags=["nbval-check-output"]
X, Y = build_dataset(["emma"], context)
for x, y in zip(X, Y, strict=True):
    print(LETTERS.decode(x.tolist()), "->", LETTERS.decode([y.item()]))

# %%
Xtr, Ytr = build_dataset(train_words, context)  # (examples, 3), (examples,)
Xdev, Ydev = build_dataset(dev_words, context)
print(f"{len(train_words):,} names give {len(Xtr):,} examples to train on; {len(Xdev):,} in dev")

# %% [markdown]
# ## 4. The embedding table
#
# `C` has a row for each character. Two numbers a row for a start, so that we can look at it later. How do we look up the row of character 5? Two ways, and lecture 02 has shown that they are the same: multiply a one-hot vector by the table, or index it.

# %%
g = torch.Generator().manual_seed(2147483647)
C = torch.randn(27, 2, generator=g)  # (27, 2)
one_hot = F.one_hot(torch.tensor(5), 27).float() @ C  # (27,) @ (27, 2) -> (2,)
torch.testing.assert_close(one_hot, C[5], rtol=0, atol=0)
C[5]

# %% [markdown]
# So an embedding *is* a linear layer without bias on one-hot inputs, and indexing is its fast way. And PyTorch indexes with whole tensors of numbers: each number is replaced by its row.
#
# <details><summary><b>Predict.</b> <code>X</code> has shape (5, 3). What shape has <code>C[X]</code>?</summary>
#
# (5, 3, 2): every one of the 5 x 3 numbers becomes a row of 2.
# </details>

# %% tags=["nbval-check-output"]
C[X].shape

# %% [markdown]
# ## 5. The hidden layer, and what a tensor is inside
#
# The hidden layer wants the three vectors side by side: 6 numbers for each example. The obvious way is to concatenate.

# %% tags=["nbval-check-output"]
embedded = C[X]  # (5, 3, 2)
side_by_side = torch.cat([embedded[:, 0], embedded[:, 1], embedded[:, 2]], 1)  # 3 x (5, 2) -> (5, 6)
side_by_side.shape

# %% [markdown]
# It works, and it copies every number. `view` gets the same without moving one. How is that possible? A tensor is two things: a **storage**, which is one long row of numbers, and a way to read it. The **strides** say how many places to go for one step along each dimension.

# %% tags=["nbval-check-output"]
print(
    "shape",
    tuple(embedded.shape),
    "strides",
    embedded.stride(),
    "storage of",
    embedded.untyped_storage().nbytes() // 4,
    "numbers",
)
as_view = embedded.view(5, 6)
print(
    "shape",
    tuple(as_view.shape),
    "strides",
    as_view.stride(),
    "same storage:",
    as_view.data_ptr() == embedded.data_ptr(),
)
assert torch.equal(as_view, side_by_side)

# %% [markdown]
# The numbers of one example lie next to each other already: three vectors of two. Reading them as one of six needs other strides and nothing else. ([Yang's *PyTorch internals*](http://blog.ezyang.com/2019/05/pytorch-internals/) tells the whole story.) And when the order in memory does not fit, `view` refuses, rather than copy
# behind your back:

# %%
try:
    embedded.transpose(0, 1).view(3, 10)
except RuntimeError as problem:
    print(str(problem).splitlines()[0][:120])

# %% [markdown]
# What does it cost? We measure both on a large batch.


# %%
def microseconds(run, repeats: int = 50) -> float:
    """The best time of one call: what other programs do meanwhile only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


large = torch.randn(20_000, 3, emb)  # (N, 3, E)
print(f"view {microseconds(lambda: large.view(20_000, 3 * emb)):8.1f} µs")
print(f"cat  {microseconds(lambda: torch.cat([large[:, i] for i in range(3)], 1)):8.1f} µs")

# %% [markdown]
# A `view` costs the same for any size: it writes down a shape. `cat` costs time for each number. Now the layer itself:

# %%
W1 = torch.randn(6, 100, generator=g)  # (6, H)
b1 = torch.randn(100, generator=g)  # (H,)
h = torch.tanh(embedded.view(-1, 6) @ W1 + b1)  # (5, 6) @ (6, H) + (H,) -> (5, H)
h.shape

# %% [markdown]
# Check the broadcast, as lecture 02 taught: `(5, 100) + (100,)` lines up at the right, so `b1` is added to every row. That is what we want.
#
# ## 6. The output layer and the loss
#
# The output layer gives 27 logits; the rest is lecture 02: exponentiate, normalise, take the log of the right answer's probability.

# %%
W2 = torch.randn(100, 27, generator=g)  # (H, 27)
b2 = torch.randn(27, generator=g)  # (27,)
logits = h @ W2 + b2  # (5, H) @ (H, 27) + (27,) -> (5, 27)
counts = logits.exp()
probs = counts / counts.sum(1, keepdim=True)  # (5, 27) / (5, 1)
by_hand = -probs[torch.arange(5), Y].log().mean()
torch.testing.assert_close(F.cross_entropy(logits, Y), by_hand)
print(f"loss {by_hand:.2f}")

# %% [markdown]
# `F.cross_entropy` gives the same number. Why prefer it? It is faster, since it makes fewer tensors on the way, and it survives large logits. Ours does not: $e^{100}$ is more than a 32-bit float can hold.

# %%
extreme = torch.tensor([[-5.0, 0.0, 100.0]])
print("by hand:", (extreme.exp() / extreme.exp().sum()).log(), "  log_softmax:", F.log_softmax(extreme, 1))
logits_large = torch.randn(4096, 27, requires_grad=True)  # (N, 27)
answers = torch.randint(27, (4096,), generator=g)
ours = lambda: -(logits_large.exp() / logits_large.exp().sum(1, keepdim=True))[torch.arange(4096), answers].log().mean()
print(
    f"forward and backward: by hand {microseconds(lambda: ours().backward()):5.0f} µs, cross_entropy {microseconds(lambda: F.cross_entropy(logits_large, answers).backward()):5.0f} µs"
)

# %% [markdown]
# ## 7. One batch, by heart
#
# Everything together: five parameters, a forward pass, a loss. `init` makes them for any size.


# %%
def init(context: int, emb: int, hidden: int, seed: int = 2147483647, careful: bool = False) -> list[torch.Tensor]:
    """Parameters C (27, E), W1 (context E, H), b1 (H,), W2 (H, 27), b2 (27,).

    As standard normal numbers; with `careful`, scaled as lecture 04 explains.
    """
    g = torch.Generator().manual_seed(seed)
    randn = lambda *shape: torch.randn(*shape, generator=g)
    C, W1, W2 = randn(27, emb), randn(context * emb, hidden), randn(hidden, 27)
    b1, b2 = randn(hidden), randn(27)
    if careful:
        W1 *= (5 / 3) / (context * emb) ** 0.5
        W2 *= 0.1 / hidden**0.5
        b1, b2 = torch.zeros(hidden), torch.zeros(27)
    return [p.requires_grad_() for p in (C, W1, b1, W2, b2)]


def logits_of(P: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The logits for contexts x: (N, context). Returns (N, 27)."""
    C, W1, b1, W2, b2 = P
    h = torch.tanh(C[x].view(len(x), -1) @ W1 + b1)  # (N, context E) @ (context E, H) -> (N, H)
    return h @ W2 + b2  # (N, 27)


# %%
P = init(context, 2, 100)
x, y = Xtr[:32], Ytr[:32]  # (32, 3), (32,)
for _ in range(1000):
    loss = F.cross_entropy(logits_of(P, x), y)
    for p in P:
        p.grad = None
    loss.backward()
    for p in P:
        p.data -= 0.1 * p.grad
print(f"loss on 32 examples: {loss.item():.3f}")

# %% [markdown]
# 32 examples, thousands of parameters: the network learns them by heart. That is a test worth doing first, always: if a network cannot overfit 32 examples, something is broken.
#
# <details><summary><b>Predict.</b> Why does the loss not go to zero?</summary>
#
# Look at the contexts. Several names begin in this batch, and each begins with "...": the same input, different answers. No function can be sure of all of them.
# </details>

# %%
starts = [
    LETTERS.decode([answer]) for context_, answer in zip(x.tolist(), y.tolist(), strict=True) if context_ == [0, 0, 0]
]
print("after '...' come", starts)
assert len(set(starts)) == len(starts)  # all different: nobody can do better than an even guess among them
floor = len(starts) * math.log(len(starts)) / 32
print(f"the lowest possible loss is {floor:.4f}, and the network has {loss.item():.4f}")
assert floor < loss.item() < floor + 0.02
print(f"{(logits_of(P, x).argmax(1) == y).sum()} of 32 are the network's first choice")

# %% [markdown]
# ## 8. Minibatches, and a learning rate
#
# All examples at every step would be exact and slow. A step on a few random ones points roughly the same way, from thousands of times fewer examples; better many rough steps than few exact ones. How rough? The gradient of 32 examples beside that of all:

# %%
P = init(context, emb, hidden)


def gradient(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient in all parameters, as one vector."""
    return torch.cat([d.flatten() for d in torch.autograd.grad(F.cross_entropy(logits_of(P, x), y), P)])


exact = gradient(Xtr, Ytr)
g = torch.Generator().manual_seed(0)
for size in (32, 512, 8192):
    cosines = []
    for _ in range(5):
        pick = torch.randint(len(Xtr), (size,), generator=g)
        cosines.append(torch.cosine_similarity(gradient(Xtr[pick], Ytr[pick]), exact, 0).item())
    print(
        f"batch of {size:4}: cosine with the exact gradient {sum(cosines) / 5:.2f}, from 1/{len(Xtr) / size:.0f} of the examples"
    )

# %% [markdown]
# How far to step? We let the machine tell: start with a tiny learning rate, raise it a little at each step, and watch the loss. Too small, nothing happens; too large, it explodes; the place to be is the valley between.

# %%
exponents = torch.linspace(-3, 0.5, 700)
P, tried = init(context, emb, hidden), []
for exponent in exponents.tolist():
    pick = torch.randint(len(Xtr), (32,), generator=g)
    loss = F.cross_entropy(logits_of(P, Xtr[pick]), Ytr[pick])
    for p, d in zip(P, torch.autograd.grad(loss, P), strict=True):
        p.data -= 10**exponent * d
    tried.append(loss.item())
smooth = torch.tensor(tried).unfold(0, 25, 25).mean(1)
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.semilogx(10 ** exponents[12::25], smooth, marker=".")
ax.set(xlabel="learning rate", ylabel="loss (mean of 25 steps)", ylim=(2, 30))
ax.set_title("The learning-rate finder: a valley from 0.1 to 0.3, then out of control")
plt.show()

# %% [markdown]
# The loss falls until about 0.15, stays level to about 0.3, and climbs from there. We stay a little left of the valley's floor: 0.1, the classic choice. (The classic lecture takes a tenth of it for the second half of its steps; our short run does not get that far.)
#
# ## 9. The classic loop
#
# Here it is: batch 32, plain gradient descent, 0.1. The classic lecture ([Karpathy's *makemore*, part 2](https://github.com/karpathy/nn-zero-to-hero/blob/master/lectures/makemore/makemore_part2_mlp.ipynb)) takes 200,000 such steps. We take some thousands and look at the clock. It takes a few seconds.


# %%
def classic_loop(steps: int) -> tuple[list[torch.Tensor], list[float], list[float]]:
    """The classic training loop. Returns the parameters, the seconds and the losses of all steps."""
    P, g = init(context, emb, hidden), torch.Generator().manual_seed(0)
    seconds, losses, began = [], [], time.perf_counter()
    for _ in train.progress(steps, "classic loop"):
        pick = torch.randint(len(Xtr), (32,), generator=g)
        loss = F.cross_entropy(logits_of(P, Xtr[pick]), Ytr[pick])
        for p in P:
            p.grad = None
        loss.backward()
        for p in P:
            p.data -= 0.1 * p.grad
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
    return P, seconds, losses


@torch.no_grad()
def loss_on(P: list[torch.Tensor], X: torch.Tensor, Y: torch.Tensor) -> float:
    """The mean loss over all examples, in nats a character."""
    return F.cross_entropy(logits_of(P, X), Y).item()


# %%
P, classic_seconds, classic_losses = classic_loop(classic_steps)
each = classic_seconds[-1] / classic_steps
print(
    f"train {loss_on(P, Xtr, Ytr):.3f}, dev {loss_on(P, Xdev, Ydev):.3f}; {1000 * each:.2f} ms a step, 200,000 would take {200_000 * each:.0f} s"
)

# %% [markdown]
# Still above lecture 02's 2.455: so far the table of pairs is the better model. Published for the whole run of 200,000 steps is a dev loss of 2.168 ([Karpathy's loss log](https://github.com/karpathy/nn-zero-to-hero/blob/master/lectures/makemore/makemore_part3_bn.ipynb), on makemore's own file of names).
#
# **Train, dev, test.** Why three parts? A network with 12,000 numbers can learn many of the training names by heart, so its loss on them flatters. *Dev* is for choices: how many neurons, which learning rate. But with every choice that we make on dev, we fit to dev a little. *Test* is looked at once, at the end. On this page every choice is made on dev.
#
# ## 10. What is the machine waiting for?
#
# A step of 32 examples is about a million multiplications, forward and backward. A core does some tens of billions a second, so that is a few hundredths of a millisecond. The step takes several times as long. Where is the rest? Time a step for growing batches:

# %%
sizes = [32, 128, 512, 1024, 2048, 8192]
P, rates = init(context, emb, hidden), []
for size in sizes:
    x, y = Xtr[:size], Ytr[:size]
    micro = microseconds(
        lambda x=x, y=y: torch.autograd.grad(F.cross_entropy(logits_of(P, x), y), P), max(20, 8192 // size)
    )
    rates.append(size / micro)
    print(f"batch {size:5}: {micro:8.0f} µs a step, {micro / size:5.2f} µs an example")
fig, ax = plt.subplots(figsize=(7, 3))
ax.semilogx(sizes, rates, marker="o")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.set(xlabel="batch size", ylabel="million examples a second", title="Small batches keep the machine waiting")
plt.show()

# %% [markdown]
# From 32 to 512 examples the step gets about six times longer for sixteen times the work. In a small step more than half of the time is not arithmetic: it is Python and PyTorch starting a dozen operations, each with a fixed cost. So: **larger batches.** But a step on 32 times as many examples is not 32 times as good (section 8), so there must be
# fewer, better steps. Four things make them so, or take away other waiting:
#
# - **AdamW** instead of plain gradient descent: each number gets a step size of its own, from the history of its gradients (lecture 11 builds it; without weight decay, as here, it is the same as Adam). `fused=True` does the whole update of all parameters in one operation.
# - **A one-cycle schedule** (Smith and Topin, 2018): the learning rate rises for the first tenth, then falls to nothing, here along a cosine (the paper uses straight lines). High rates travel, low rates settle.
# - **One permutation an epoch**: shuffle once, then take slices. No random draw and no gathering of scattered rows at every step, and every example is seen once (but for the few hundred that do not fill a last batch; the next shuffle brings them back).
# - **No `.item()` in the loop**: it makes Python wait for the number. Collect the losses as tensors, look at them at the end.
#
# And one thing that lecture 04 explains: an initialisation that does not begin with confident nonsense (`careful=True`).
#
# ## 11. The loop that we end with


# %%
def fit(
    emb: int = emb,
    hidden: int = hidden,
    epochs: int = epochs,
    batch: int = batch,
    peak: float = peak_rate,
    adam: bool = True,
    fused: bool = True,
    one_cycle: bool = True,
    permute: bool = True,
    item: bool = False,
    careful: bool = True,
    seed: int = 0,
) -> tuple[list[torch.Tensor], list[float], list[float]]:
    """Train on the training names. The switches take single tricks away. Returns parameters, seconds and losses of all steps."""
    P, g = init(context, emb, hidden, seed, careful), torch.Generator().manual_seed(seed)
    if adam:
        optimizer = torch.optim.AdamW(
            P, lr=peak, betas=(0.9, 0.99), weight_decay=0, fused=fused, foreach=False if not fused else None
        )
    else:
        optimizer = torch.optim.SGD(P, lr=peak)
    a_pass = len(Xtr) // batch
    total, losses, seconds, began = epochs * a_pass, [], [], time.perf_counter()
    for step in range(total):
        if one_cycle:
            done = step / total
            share = done / 0.1 if done < 0.1 else (1 + math.cos(math.pi * (done - 0.1) / 0.9)) / 2
            optimizer.param_groups[0]["lr"] = peak * max(share, 1e-3)
        k = step % a_pass
        if permute:
            if k == 0:
                order = torch.randperm(len(Xtr), generator=g)
                Xs, Ys = Xtr[order], Ytr[order]
            x, y = Xs[k * batch : (k + 1) * batch], Ys[k * batch : (k + 1) * batch]  # (B, context), (B,): views
        else:
            pick = torch.randint(len(Xtr), (batch,), generator=g)
            x, y = Xtr[pick], Ytr[pick]
        loss = F.cross_entropy(logits_of(P, x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() if item else loss.detach())
        seconds.append(time.perf_counter() - began)
    return P, seconds, torch.as_tensor(losses).tolist()


# %%
P, seconds, losses = fit()
ours_dev = loss_on(P, Xdev, Ydev)
print(f"train {loss_on(P, Xtr, Ytr):.3f}, dev {ours_dev:.3f} after {len(losses):,} steps and {seconds[-1]:.1f} s")
assert ours_dev < 2.14

# %% [markdown]
# The same network as the classic one, 10 numbers a character, 200 neurons. About a thousand steps instead of 200,000, seconds instead of the minute or more that section 9 extrapolated, and a lower loss. Both runs against the clock:

# %%
fig, ax = plt.subplots(figsize=(8, 3.6))
averaged = lambda values, n: torch.tensor(values).unfold(0, n, n).mean(1)
ax.plot(classic_seconds[199::200], averaged(classic_losses, 200), label="classic loop: 32 examples, rate 0.1")
ax.plot(seconds[19::20], averaged(losses, 20), label="the engineered loop")
ax.axhline(2.168, color="#888888", linewidth=1, linestyle="-")
ax.annotate(
    "published dev loss after 200,000 classic steps",
    (0, 2.168),
    xytext=(4, -11),
    textcoords="offset points",
    fontsize=8,
)
ax.set(xlabel="seconds of training", ylabel="training loss (nats a character)", ylim=(2, 3.2))
ax.set_title("The engineered loop falls faster, and keeps falling")
ax.legend()
plt.show()

# %% [markdown]
# ## 12. Which trick does what?
#
# We take them away one at a time. Each row sees the same number of examples, two passes, so the losses are higher than above; what counts is the difference to the first row. A rate that suits one row does not suit another, so small batches, the constant rate and plain gradient descent each get one that was chosen for them.

# %%
rows = {
    "nothing": {},
    "batch 32": {"batch": 32, "peak": 3e-3},
    "constant learning rate": {"one_cycle": False, "peak": 5e-3},
    "gradient descent, not AdamW": {"adam": False, "peak": 3.0},
    "AdamW not fused": {"fused": False},
    "a random draw for every step": {"permute": False},
    ".item() in the loop": {"item": True},
    "standard normal start": {"careful": False},
}
table = {}
for name, settings in train.progress(rows.items(), "ablation"):
    fitted, took, _ = fit(epochs=ablation_epochs, **settings)
    table[name] = loss_on(fitted, Xdev, Ydev), took[-1], len(took)

# %%
full_loss, full_seconds, _ = table["nothing"]
print(f"{'changed':32}{'dev loss':>9}{'change':>8}{'seconds':>9}{'steps':>8}{'examples/s':>12}")
for name, (dev_loss, took, steps) in table.items():
    size = rows[name].get("batch", batch)
    print(f"{name:32}{dev_loss:9.3f}{dev_loss - full_loss:+8.3f}{took:9.2f}{steps:8,}{steps * size / took:12,.0f}")
assert all(
    table[name][0] > full_loss + 0.02
    for name in ("constant learning rate", "gradient descent, not AdamW", "standard normal start")
)
assert table["batch 32"][1] > 2 * full_seconds

# %% [markdown]
# Two kinds of tricks. The optimiser, the schedule and the start make each step *better*: without one of them the loss is higher. The large batch makes steps *cheap*: small batches reach as good a loss with as many examples, and take several times as long. The permutation, the fused update and the
# missing `.item()` are worth little on a CPU with a network of this size; on a GPU, where Python must never make the device wait, the last two count.
#
# This table is also a way of working. Each line was a guess; the clock and the dev loss decide which of them stay.
#
# ## 13. A larger network, a larger embedding
#
# Is it the size that holds us back? Train and dev loss lie close together, so the network does not learn by heart: more neurons may help. And 10 numbers a character?

# %%
choices = {}
for name, settings in train.progress(
    {
        f"embedding {emb}, {hidden} neurons": {},
        f"embedding {emb}, {hidden + 100} neurons": {"hidden": hidden + 100},
        f"embedding {wide_emb}, {hidden} neurons": {"emb": wide_emb},
    }.items(),
    "sizes",
):
    fitted, took, _ = fit(epochs=wide_epochs, **settings)
    choices[name] = fitted, loss_on(fitted, Xtr, Ytr), loss_on(fitted, Xdev, Ydev), took[-1]
for name, (fitted, train_loss, dev_loss, took) in choices.items():
    print(
        f"{name:28} {sum(p.numel() for p in fitted):6,} parameters: train {train_loss:.3f}, dev {dev_loss:.3f}, {took:.1f} s"
    )
best = min(choices, key=lambda name: choices[name][2])
assert choices[best][2] < 2.12

# %% [markdown]
# Ten passes instead of six help a little (2.12 before), more neurons or a wider embedding a little more. The two differ by about as much as another seed would make. The gap between train and dev opens: we approach what three characters can tell. (More context tells more, which is lecture 06's way, and one of exercise E01's.)
#
# The choice is made, by dev. Now the test set, once:

# %%
Xte, Yte = build_dataset(test_words, context)
P, _, dev_loss, _ = choices[best]
print(f"{best}: dev {dev_loss:.3f}, test {loss_on(P, Xte, Yte):.3f}")

# %% [markdown]
# ## 14. What has it learned about letters?
#
# The table of section 4 had two numbers a character, so that they can be drawn. We train such a network for a few seconds, and look.

# %%
flat, _, _ = fit(emb=2, epochs=3)
C = flat[0].detach()  # (27, 2)
fig, ax = plt.subplots(figsize=(6, 5.4))
vowels = "aeiou"
ax.scatter(
    C[:, 0],
    C[:, 1],
    s=350,
    c=["#f2c14e" if c in vowels else "#555555" if c == "." else "#a9c8e8" for c in LETTERS.chars],
)
for i, character in enumerate(LETTERS.chars):
    ax.text(C[i, 0], C[i, 1], character, ha="center", va="center", color="white" if character == "." else "black")
ax.set(xlabel="first number", ylabel="second number", title="In this run the vowels find each other: nobody named them")
plt.show()

# %%
wide = P[0].detach()  # (27, E), the network that dev chose
wide = F.normalize(wide - wide[1:].mean(0), dim=1)  # directions, seen from the letters' middle
distances = torch.cdist(wide, wide)  # (27, 27)
index = [LETTERS.index[c] for c in vowels]
others = [i for i in range(1, 27) if i not in index]
among, across = distances[index][:, index].sum() / 20, distances[index][:, others].mean()
print(f"mean distance from a vowel to another vowel {among:.2f}, to a consonant {across:.2f}")
assert among < across

# %% [markdown]
# In this plane the vowels lie together. Two numbers are a tight place, and another seed can scatter them (try `seed=2`). In the network that dev chose there is room: its vowels point more towards each other than towards consonants. What makes letters neighbours is that they can stand in for each other: what may follow "dar" may follow "dor". This was the point of section 1, and it came out of nothing but predicting the next letter.
#
# ## 15. Sampling
#
# Twenty new names from the network that dev chose. The window of three characters moves along.

# %%
g = torch.Generator().manual_seed(2147483647 + 10)
names = []
for _ in range(20):
    window, letters = [0] * context, []
    while True:
        probs = F.softmax(logits_of(P, torch.tensor([window]))[0], 0)  # (27,)
        window = [*window[1:], torch.multinomial(probs, 1, generator=g).item()]
        if window[-1] == 0:
            break
        letters.append(window[-1])
    names.append(LETTERS.decode(letters))
print(", ".join(names))

# %% [markdown]
# Much more like names than lecture 02's. Three letters of memory show: the ends do not always remember the beginnings.
#
# ## 16. What we have
#
# | built | reached here | published | where next |
# |---|---|---|---|
# | the network of Bengio and others, classic size | dev below 2.14 in seconds | 2.168 after 200,000 steps | lecture 04: why the start matters |
# | a wider one | dev below 2.12 | | lecture 06: more context |
# | an ablation table | each trick with its price | | lectures 04 to 07 train like this |
#
# The published loss was measured on makemore's own file of 32,033 names; ours has 32,257, so read a difference of a hundredth as a tie.
#
# ### Papers, and what to read them for
#
# - Bengio, Ducharme, Vincent and Jauvin, [*A neural probabilistic language model*](https://www.jmlr.org/papers/v3/bengio03a.html), JMLR 3 (2003): sections 1 and 2, the argument of this page in its first form.
# - Yang, [*PyTorch internals*](http://blog.ezyang.com/2019/05/pytorch-internals/) (2019): storages, strides and views, drawn.
# - Smith, [*Cyclical learning rates for training neural networks*](https://arxiv.org/abs/1506.01186) (2017): section 3.3, the learning-rate finder.
# - Smith and Topin, [*Super-convergence*](https://arxiv.org/abs/1708.07120) (2018): the one-cycle schedule.
# - Loshchilov and Hutter, [*Decoupled weight decay regularization*](https://arxiv.org/abs/1711.05101) (2019): AdamW.
#
# ### Recall tomorrow
#
# <details><summary>1. Why can an embedding guess where a table of counts cannot?</summary>
#
# Contexts that were never seen are near others that were, since similar characters have similar vectors.
# </details>
# <details><summary>2. What does <code>view</code> change, and what not?</summary>
#
# Shape and strides. The storage, the numbers in memory, stays.
# </details>
# <details><summary>3. Give two reasons for <code>F.cross_entropy</code>.</summary>
#
# It does not overflow for large logits, and it needs fewer operations, forward and backward.
# </details>
# <details><summary>4. Why does a batch of 1,024 take far less than 32 times as long as a batch of 32?</summary>
#
# In a small step most of the time goes into starting operations, not into arithmetic.
# </details>
# <details><summary>5. What is dev for, and why is test used once?</summary>
#
# Dev decides choices. Every choice fits it a little, so an unused set must say how good the result is.
# </details>
