# %% [markdown]
# # 03 · exercises: a network that reads several characters
#
# Seven tasks: a warm-up with strides, an evaluation that cannot be fooled, a loss to beat, a start that is neither overconfident nor dead, and
# two ideas from the paper that the lecture leaves out, tried and measured. Each has a cell to fill in, a check that says what looks wrong, and
# hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/03_makemore_mlp.ipynb) · a run takes about 45 s and 0.6 GB on a laptop's CPU
#
# Needs: lecture 03, and from lecture 02 the names. The tasks do not depend on each other; only the closing pictures use several answers.

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

from course_utils import lesson, train
from course_utils.checks import mlp as check
from course_utils.lectures.names import LETTERS, build_dataset, load_names, split_words

device = lesson.start("03_makemore_mlp, exercises")
torch.set_num_threads(1)

# %% [markdown]
# The networks of this page are so small that a GPU would wait for its orders most of the time, and that two CPU threads would wait for each other: the page stays on
# one core. All examples have **eight** characters of context. A network that wants three takes the last three, `X[:, -3:]`.

# %% tags=["parameters"]
fit_passes = 5  # over the training examples, in the solution of E01b
idea_passes = 4  # for each network of E03
idea_seeds = 2  # networks of each kind in E03, to see what chance does

# %% tags=["nbval-check-output"]
train_words, dev_words, test_words = split_words(load_names())
Xtr, Ytr = build_dataset(train_words, 8)  # (N, 8), (N,)
Xdev, Ydev = build_dataset(dev_words, 8)
Xtr.shape, Xdev.shape

# %% [markdown]
# ---
# ### X01. Windows without a copy   (2 of 5 · 15 minutes)
#
# A warm-up. Neighbouring contexts overlap in all characters but one, so a table of them repeats each character eight times. Nothing has to be
# repeated in memory: a tensor is a storage, and an offset, sizes and strides that say how to walk over it. Two rows may walk over the same numbers.
#
# Write all windows of a text as one **view** of it, with `torch.as_strided(ids, size, stride)`. (`ids.unfold` does all of it; here you rebuild it.) The one who calls you may hand over a slice, or every
# second character of something longer, or a column of a table: then the numbers of `ids` are not next to each other in memory. And take
# care, since `as_strided` checks the end of the storage and not the end of `ids`.


# %%
def windows(ids: torch.Tensor, size: int) -> torch.Tensor:
    """All runs of `size` neighbours in ids, as a view: row i holds ids[i], ids[i + 1], ..., ids[i + size - 1].

    ids: (T,), any stride, T at least size.  Returns (T - size + 1, size), in the storage of ids.
    """
    ### BEGIN SOLUTION
    step = ids.stride(0)  # places in the storage from one character of ids to the next
    return torch.as_strided(ids, (len(ids) - size + 1, size), (step, step))
    ### END SOLUTION


# %%
check.x01(windows)

# %% [markdown]
# <details><summary>Hint 1</summary>One step to the right inside a window is one character on. And one step down, to the next window?</details>
# <details><summary>Hint 2</summary><code>ids.stride(0)</code> says how many places in the storage lie between two characters of <code>ids</code>. For a column of a table with five
# columns it is 5.</details>
# <details><summary>Hint 3</summary>Leave the offset away. Then the view begins where <code>ids</code> begins, also when that is in the middle of a storage.</details>

# %% tags=["demo", "nbval-check-output"]
ids = torch.tensor(LETTERS.encode("." + ".".join(train_words) + "."))
view = windows(ids, 8)
copy = view.contiguous()
for what, t in (("the view", view), ("its copy", copy)):
    held = t.untyped_storage().nbytes() / 1e6
    print(f"{what}: {tuple(t.shape)}, strides {t.stride()}, {held:.1f} MB of storage")

# %% [markdown]
# ---
# ### E01a. An honest measurement   (2 of 5 · 15 minutes)
#
# You are going to compare models by their loss on held-out names: networks, tables of counts, mixtures of both. So first the scale to weigh them on.
# From here on, a **model** is anything that can be called: `model(X)`, with contexts X of shape (n, 8), returns (n, V) *log-probabilities*, logarithms of
# probabilities that sum to 1 in each row.
#
# Write the mean loss over **all** examples. Go through them in batches of at most `batch_size` rows, because a wide network on all rows at once may not fit into
# memory; their number need not divide N. Build no graph for gradients. And do not trust the model: when some row does not sum to 1 (off by more than 0.001, or
# nan), raise a `ValueError` with a sentence. A model that gives 1 to *every* character would otherwise reach a loss of 0.


# %%
def mean_loss(model, X: torch.Tensor, Y: torch.Tensor, batch_size: int = 8192) -> float:
    """The mean of -log p(y | x) over all examples, in nats.

    model: (n, block) contexts -> (n, V) log-probabilities; some may be -inf.  X: (N, block).  Y: (N,) indices below V.
    Raises ValueError when the probabilities of any row do not sum to 1 (to within 0.001).
    """
    ### BEGIN SOLUTION
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
            log_p = model(x)  # (n, V)
            off = (log_p.exp().sum(1) - 1).abs().max().item()
            if not off <= 1e-3:  # written this way round, it catches nan as well
                raise ValueError(f"the probabilities of a context do not sum to 1: off by {off:.3g}.")
            total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(Y)
    ### END SOLUTION


# %%
check.e01a(mean_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>The last batch may be short. Its mean would count too much, so add up sums, and divide once at the end.</details>
# <details><summary>Hint 2</summary><code>F.cross_entropy</code> makes the rows sum to 1 itself. Convenient in training; here it would hide what you look for. <code>F.nll_loss</code> takes
# log-probabilities as they are.</details>
# <details><summary>Hint 3</summary>Every comparison with nan is False. So <code>off &gt; 0.001</code> lets nan pass, and <code>not off &lt;= 0.001</code> stops it.</details>

# %% [markdown]
# Your scale with something on it whose weight you can work out: a model that gives all 27 characters the same probability. Its loss is the topic of E02a.

# %% tags=["demo", "nbval-check-output"]
even = lambda X: torch.full((len(X), 27), -math.log(27))
f"{mean_loss(even, Xdev, Ydev):.4f}"

# %% [markdown]
# ---
# ### E01b. Beat 2.2   (3 of 5 · 40 minutes)
#
# Lecture 03 got to its loss by trying things. Now you: write `fit`, which trains a network from an empty start and returns it as a model. Its loss on the
# dev names has to come out **below 2.2**, after at most 20 seconds of training. Context length, embedding, hidden layer, batch size, schedule: all yours.
# Try to write the loop without looking at the lecture.
#
# Make your choices on `Xdev, Ydev`, in cells of your own, with the `mean_loss` you wrote. But `fit` itself sees what it is given, and nothing else. The check holds
# you to that: **it renames the letters** (all a's may become q's), calls `fit` with the renamed training examples, and measures on renamed dev names. To a network letters
# are numbers, so it cannot care. A function that trains on the page's `Xdev`, or on names that it loads itself, learns the wrong language.


# %%
def fit(X: torch.Tensor, Y: torch.Tensor):
    """Train on these examples. X: (N, 8) int64 characters below 27, Y: (N,) the next ones.

    Returns model(X): (n, 8) contexts -> (n, 27) log-probabilities, for any n.
    """
    ### BEGIN SOLUTION
    g = torch.Generator().manual_seed(42)
    dim, hidden, batch = 10, 200, 512
    p = {
        "C": torch.randn(27, dim, generator=g),
        "W1": torch.randn(8 * dim, hidden, generator=g) / (8 * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, 27, generator=g) * 0.01,
        "b2": torch.zeros(27),
    }
    for t in p.values():
        t.requires_grad_()

    def logits(X):
        h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])  # (n, hidden)
        return h @ p["W2"] + p["b2"]  # (n, 27)

    a_pass = len(X) // batch
    optimizer = torch.optim.AdamW(p.values(), lr=1e-2, weight_decay=0.1, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=fit_passes * a_pass)
    for step in train.progress(fit_passes * a_pass, "fit"):
        if step % a_pass == 0:
            order = torch.randperm(len(X), generator=g)
        ix = order[step % a_pass * batch :][:batch]
        optimizer.zero_grad()
        F.cross_entropy(logits(X[ix]), Y[ix]).backward()
        optimizer.step()
        cycle.step()
    return lambda X: logits(X).log_softmax(1)
    ### END SOLUTION


# %%
check.e01b(fit)

# %% [markdown]
# <details><summary>Hint 1</summary>Which context length? Three characters are enough for 2.2, and more of them go well below.</details>
# <details><summary>Hint 2</summary>What the lecture's ablation table found: AdamW, a one-cycle schedule up to 0.01 or 0.02, a careful start. A batch of 512 or 1,024 keeps the steps cheap. Four or five passes are enough.</details>
# <details><summary>Hint 3</summary>Return a function: <code>return lambda X: logits(X).log_softmax(1)</code>. It remembers the parameters that it was made with.</details>
#
# On the names as they are spelled. All choices were made on dev, so the test names may be looked at now, once. Ten inventions come with it.

# %% tags=["demo"]
model = fit(Xtr, Ytr)
for part, words in (("dev", dev_words), ("test", test_words)):
    print(f"{part} loss {mean_loss(model, *build_dataset(words, 8)):.3f}")

# %% tags=["demo"]
g = torch.Generator().manual_seed(42)
X = torch.zeros(10, 8, dtype=torch.int64)  # ten names at once; each begins with dots only
names = [""] * 10
for _ in range(20):
    y = torch.multinomial(model(X).exp().detach(), 1, generator=g)  # (10, 1)
    X = torch.cat([X[:, 1:], y], 1)  # (10, 8): the oldest character leaves
    names = [name + LETTERS.chars[i] for name, i in zip(names, y[:, 0].tolist(), strict=True)]
print(*(name.partition(".")[0] for name in names))

# %% [markdown]
# ---
# ### E02a. The loss before the first step   (2 of 5 · 20 minutes)
#
# Nothing has been learned yet, so nothing should be claimed yet. Which loss has a model that gives each of V characters the same probability? And which loss does
# the lecture's network have in truth, when every one of its parameters is drawn from a standard normal distribution?


# %%
def forward(p: dict, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The lecture's network: logits (n, V) and hidden activations (n, hidden)."""
    h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])  # (n, hidden)
    return h @ p["W2"] + p["b2"], h


def normal_start(seed: int, dim: int = 10, hidden: int = 200, block: int = 3) -> dict:
    """Every parameter standard normal, as in the lecture."""
    g = torch.Generator().manual_seed(seed)
    shapes = {"C": (27, dim), "W1": (block * dim, hidden), "b1": (hidden,), "W2": (hidden, 27), "b2": (27,)}
    return {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}


logits, _ = forward(normal_start(0), Xdev[:, -3:])
first_loss, spread = F.cross_entropy(logits, Ydev).item(), logits.std().item()
print(f"loss {first_loss:.1f}, logits with a standard deviation of {spread:.1f}")

# %% [markdown]
# Far above any even guess. The reason must be in the logits, since the loss sees nothing else, and what one sees in them is their spread. So test that explanation: forget
# the network, draw V logits from a normal distribution with standard deviation `std`, pick a right answer by chance, and take the cross entropy. The mean over many such draws is the loss
# of a network whose logits mean nothing. If it comes out like the number above, the spread explains it all.
#
# Write both. The second is a simulation: with 50,000 draws it is right to a percent or so. It must survive a `std` of 200.


# %%
def uniform_loss(V: int) -> float:
    """The cross entropy, in nats, of a model that gives each of V characters the same probability."""
    ### BEGIN SOLUTION
    return math.log(V)
    ### END SOLUTION


def loss_of_random_logits(V: int, std: float, draws: int = 50_000) -> float:
    """The mean cross entropy, in nats, when V independent logits are normal with mean 0 and this standard deviation.

    The right answer is any of the V, whatever the logits are.
    """
    ### BEGIN SOLUTION
    logits = std * torch.randn(draws, V)
    answers = torch.randint(V, (draws,))
    return F.cross_entropy(logits, answers).item()
    ### END SOLUTION


# %%
check.e02a(uniform_loss, loss_of_random_logits)

# %% [markdown]
# <details><summary>Hint 1</summary>Each character gets 1/V. The loss is −ln of what the right one gets.</details>
# <details><summary>Hint 2</summary>One line makes all the logits, of shape (draws, V); one draws the answers; <code>F.cross_entropy</code> does the rest, and it knows how to handle logits of ±800.</details>
# <details><summary>Hint 3</summary>With <code>std=0</code> the second has to agree with the first.</details>
#
# Your simulation as a curve, and networks as dots: five starts each of three networks, which differ in how much the last layer is scaled down.

# %% tags=["demo"]
stds = [0.0, 0.5, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16]
fig, ax = plt.subplots(figsize=(6.5, 3.4))
ax.plot(stds, [loss_of_random_logits(27, s) for s in stds], color="black", label="random logits, simulated")
for scale, marker in ((1.0, "s"), (0.3, "^"), (0.01, "o")):
    dots = []
    for seed in range(5):
        p = normal_start(seed)
        logits, _ = forward(p | {"W2": scale * p["W2"], "b2": scale * p["b2"]}, Xdev[:, -3:])
        dots.append((logits.std().item(), F.cross_entropy(logits, Ydev).item()))
    ax.scatter(
        *zip(*dots, strict=True), marker=marker, s=45, edgecolors="black", label=f"networks, W2 and b2 × {scale}"
    )
ax.axhline(uniform_loss(27), ls=":", color="black", lw=1)
ax.text(16, uniform_loss(27) + 0.4, "even guess, ln 27", ha="right")
ax.set(
    xlabel="standard deviation of the logits",
    ylabel="loss, nats",
    title="The spread of the logits explains the first loss",
)
ax.legend()
plt.show()

# %% [markdown]
# The dots scatter around the curve, since a network draws its last layer once and not anew for each example. But nothing else is needed to explain a first loss between 25 and 29: 200 hidden activations, most of them near ±1, times
# standard normal weights, spread the logits by not quite $\sqrt{200} \approx 14$. A wrong favourite leads by tens, and all of its lead is paid.

# %% [markdown]
# ---
# ### E02b. Start where you know nothing   (3 of 5 · 25 minutes)
#
# Write an initialisation whose first loss is ln V, to within 0.02. Setting every parameter to zero does that, and the network is dead. So three more demands on the hidden activations,
# $h = \tanh(\text{emb}\,W_1 + b_1)$:
#
# - they are alive: their root mean square over all units and examples lies between 0.25 and 0.9;
# - they are not saturated: fewer than 30 % of them lie beyond ±0.97, where tanh is flat and passes hardly any gradient back;
# - the units differ from each other, and each of them differs from example to example.
#
# It has to hold for any sizes: with a context of 8 and embeddings of 32, each hidden unit sums 256 products, not 30; and each logit sums as many products as there are hidden units, 64 or 2,000. Draw from `generator` and from nothing else.


# %%
def init(V: int, block: int, dim: int, hidden: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Parameters to start training from.

    Returns "C": (V, dim), "W1": (block * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,), each of them a
    float tensor that asks for gradients (`requires_grad` is True).
    """
    ### BEGIN SOLUTION
    fan_in = block * dim
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(fan_in, hidden, generator=generator) / fan_in**0.5,  # fan_in terms add up to a spread of 1
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) * 0.1 / hidden**0.5,  # logits spread by less than 0.1
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}
    ### END SOLUTION


# %%
check.e02b(init)

# %% [markdown]
# <details><summary>Hint 1</summary>Two separate jobs. <code>W2</code> and <code>b2</code> decide on the first loss. <code>C</code>, <code>W1</code> and <code>b1</code> decide on the hidden layer.</details>
# <details><summary>Hint 2</summary>A sum of n products of independent standard normal numbers has a standard deviation of √n. Divide by that.</details>
# <details><summary>Hint 3</summary>Logits of standard deviation s cost about s²/2 above ln V. For 0.02, s = 0.1 is small enough.</details>
# <details><summary>Hint 4</summary><code>tensor * 0.01</code> of a tensor that asks for gradients is no longer a leaf. Scale first, then <code>requires_grad_()</code>.</details>
#
# What is it good for? The same plain loop from both starts, on the same batches.


# %% tags=["demo"]
def first_losses(p: dict, steps: int = 400, rate: float = 0.1) -> list[float]:
    """Plain gradient descent on batches of 256; the loss before each step."""
    g, p = torch.Generator().manual_seed(1), {name: t.detach().clone().requires_grad_() for name, t in p.items()}
    losses = []
    for ix in torch.randint(len(Xtr), (steps, 256), generator=g):
        loss = F.cross_entropy(forward(p, Xtr[ix, -3:])[0], Ytr[ix])
        grads = torch.autograd.grad(loss, list(p.values()))
        with torch.no_grad():
            for t, grad in zip(p.values(), grads, strict=True):
                t -= rate * grad
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


normal = first_losses(normal_start(0))
careful = first_losses(init(27, 3, 10, 200, torch.Generator().manual_seed(0)))

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(6.5, 3))
ax.plot(normal, label="standard normal start", ls="--", lw=1.2)
ax.plot(careful, label="your start", ls="-", lw=1.2)
ax.axhline(uniform_loss(27), ls=":", color="black", lw=1)
ax.text(400, uniform_loss(27) * 1.04, "ln 27", ha="right")
ax.set(xlabel="step", ylabel="loss, nats", yscale="log", title="A careful start has no confidence to unlearn")
ax.set_yticks([2, 3, 5, 10, 20, 30], ["2", "3", "5", "10", "20", "30"])
ax.minorticks_off()
ax.legend()
plt.show()
print(f"mean of the last 50 losses: {sum(normal[-50:]) / 50:.2f} and {sum(careful[-50:]) / 50:.2f}")

# %% [markdown]
# ---
# ### E03a. An idea from the paper: direct connections   (2 of 5 · 20 minutes)
#
# The network of [Bengio et al. (2003)](https://www.jmlr.org/papers/volume3/bengio03a/bengio03a.pdf) has a part that the lecture leaves out. In its equation (1), the logits are
#
# $$y = b + W x + U \tanh(d + H x)$$
#
# where $x$ holds the embeddings of the context, side by side. The term $W x$ goes past the hidden layer: **direct connections** from the embeddings to the output. Write it for a batch, with the paper's
# letters and shapes. Mind that the paper multiplies columns from the left, so its matrices have a row for each *output*.


# %%
def bengio_logits(p: dict[str, torch.Tensor], X: torch.Tensor) -> torch.Tensor:
    """Equation (1) of Bengio et al. (2003) for each row of X; the context stays in the order of X.

    C: (V, m) embeddings.  H: (h, block * m), d: (h,) hidden layer.  U: (V, h), W: (V, block * m), b: (V,) output.
    X: (n, block).  Returns (n, V) logits.
    """
    ### BEGIN SOLUTION
    x = p["C"][X].flatten(1)  # (n, block * m)
    hidden = torch.tanh(p["d"] + x @ p["H"].T)  # (n, h)
    return p["b"] + x @ p["W"].T + hidden @ p["U"].T  # (n, V)
    ### END SOLUTION


# %%
check.e03a(bengio_logits)

# %% [markdown]
# <details><summary>Hint 1</summary><code>p["C"][X]</code> is (n, block, m). Which view of it is (n, block * m)?</details>
# <details><summary>Hint 2</summary>For a row vector x, the paper's Wx is <code>x @ W.T</code>.</details>
#
# Did it work? In the paper's table 1, the network without direct connections has the lowest validation perplexity, alone as well as in the mixture of E03b. But it took 20 epochs instead of 10, it also had twice the hidden
# units, and the authors leave the verdict open (section 4.2). They suspect that direct connections add capacity for what is linear, and that without them the hidden layer is a bottleneck which forces the network to generalise. If so, they should help most where the bottleneck is
# tightest. We can look: three widths, with and without, from the same seeds, on the same batches. A loop is given, so that all are trained alike; this takes about 20 seconds.


# %% tags=["demo"]
def bengio_network(hidden: int, direct: bool, seed: int, block: int = 3, m: int = 10):
    """Train one network of the paper's kind.  Returns model(X): (n, 8) contexts -> (n, 27) log-probabilities."""
    g, fan_in = torch.Generator().manual_seed(seed), block * m
    p = {"C": torch.randn(27, m, generator=g), "H": torch.randn(hidden, fan_in, generator=g) / fan_in**0.5}
    p |= {"d": torch.zeros(hidden), "U": torch.randn(27, hidden, generator=g) * 0.01, "b": torch.zeros(27)}
    p["W"] = torch.zeros(27, fan_in)  # without direct connections it stays at zero
    trained = [t.requires_grad_() for name, t in p.items() if direct or name != "W"]
    X, a_pass = Xtr[:, -block:].contiguous(), len(Xtr) // 512
    optimizer = torch.optim.AdamW(trained, weight_decay=0.1, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=idea_passes * a_pass)
    for _ in range(idea_passes):
        for ix in torch.randperm(len(X), generator=g)[: a_pass * 512].split(512):
            optimizer.zero_grad()
            F.cross_entropy(bengio_logits(p, X[ix]), Ytr[ix]).backward()
            optimizer.step()
            cycle.step()
    return lambda X: bengio_logits(p, X[:, -block:]).log_softmax(1)


kinds = [(hidden, direct, seed) for hidden in (10, 30, 100) for direct in (False, True) for seed in range(idea_seeds)]
networks = {kind: bengio_network(*kind) for kind in train.progress(kinds, "networks")}

# %% tags=["demo"]
dev = {kind: mean_loss(model, Xdev, Ydev) for kind, model in networks.items()}
fig, ax = plt.subplots(figsize=(6.5, 3.4))
for direct, style in ((False, "o-"), (True, "s--")):
    dots = [(hidden, loss) for (hidden, has, _), loss in dev.items() if has is direct]
    ax.plot(*zip(*dots, strict=True), style[0], ms=5, color="C1" if direct else "C0")
    means = [sum(loss for h, loss in dots if h == hidden) / idea_seeds for hidden in (10, 30, 100)]
    label = "with direct connections" if direct else "without"
    ax.plot((10, 30, 100), means, style[1:], color="C1" if direct else "C0", label=label)
ax.set_xscale("log")
ax.set_xticks([10, 30, 100], ["10", "30", "100"])
ax.minorticks_off()
ax.set(xlabel="hidden units", ylabel="dev loss, nats", title="Direct connections help a small hidden layer")
ax.legend()
plt.show()

# %% tags=["demo"]
gain = {h: sum(dev[h, False, s] - dev[h, True, s] for s in range(idea_seeds)) / idea_seeds for h in (10, 30, 100)}
print("gained by direct connections:", {h: round(value, 3) for h, value in gain.items()})
assert gain[10] > 0.02 > gain[100]

# %% [markdown] tags=["solution-only"]
# With 10 hidden units, direct connections gain 0.03 to 0.06, far more than the seeds differ. With 30, about 0.01. With 100 the gain is gone: a hidden layer that is wide enough
# learns the linear part by itself. So the idea works here for the reason that its authors gave, and only where they expected it. Nothing speaks for it in the lecture's network, which is wider still.

# %% [markdown]
# ---
# ### E03b. Another idea from the paper: mix with the trigram   (3 of 5 · 25 minutes)
#
# The paper's best number is not that of a network alone. It is a **mixture**: half of the network's probability, half of the trigram's, a table of counts as in lecture 02. Test perplexity went from
# 276 to 252 that way (table 1; perplexity is the exponential of the loss, so that is 0.09 nats). Its authors conclude that the two make their errors in different places.
#
# Half and half need not be the best. Write the mixture $w\,p + (1 - w)\,q$ in log-probabilities, and the search for the best weight on dev. Two traps. Averaging *logarithms* is another thing: those rows do not sum to 1 any
# more. And log-probabilities of −150 are legal, while `exp(-150)` is 0 in float32.


# %%
def mix(log_p: torch.Tensor, log_q: torch.Tensor, weight: float) -> torch.Tensor:
    """ln(weight · p + (1 - weight) · q), element by element.

    log_p, log_q: logarithms of probabilities, of the same shape; may be as low as -inf.  weight: 0 to 1, ends included.
    """
    ### BEGIN SOLUTION
    share = torch.tensor([weight, 1 - weight], dtype=log_p.dtype).log()  # -inf for a share of 0
    return torch.logaddexp(log_p + share[0], log_q + share[1])
    ### END SOLUTION


def best_weight(log_p: torch.Tensor, log_q: torch.Tensor) -> float:
    """The weight, to within 0.01, at which the mixture has the lowest mean loss: 1 means p alone, 0 means q alone.

    log_p, log_q: (N,) log-probabilities that two models give to the right characters of N examples.
    """
    ### BEGIN SOLUTION
    weights = [i / 200 for i in range(201)]
    losses = [-mix(log_p, log_q, w).mean().item() for w in weights]
    return weights[losses.index(min(losses))]
    ### END SOLUTION


# %%
check.e03b(mix, best_weight)

# %% [markdown]
# <details><summary>Hint 1</summary>w·p = exp(ln w + ln p). There is a function in torch for ln(exp(a) + exp(b)), safe for all a and b.</details>
# <details><summary>Hint 2</summary><code>math.log(0)</code> is an error, while <code>torch.tensor(0.0).log()</code> is −inf, and −inf is right: that model has no share.</details>
# <details><summary>Hint 3</summary>The loss is a convex function of the weight: one valley. Trying all of 0, 0.005, 0.01, ..., 1 finds its floor.</details>
#
# Tables of counts as models. The trigram sees two characters. The next table, with three, sees as much as the networks of E03a. The smoothing was chosen on dev.


# %%
def count_model(n: int, smoothing: float):
    """The table of counts over n characters of context.  Returns model(X): (N, 8) -> (N, 27) log-probabilities."""
    place = 27 ** torch.arange(n - 1, -1, -1)  # (n,): a context as one number
    counts = torch.bincount((Xtr[:, -n:] * place).sum(1) * 27 + Ytr, minlength=27 ** (n + 1)).view(-1, 27)
    table = ((counts + smoothing) / (counts + smoothing).sum(1, keepdim=True)).log()  # (27^n, 27)
    return lambda X: table[(X[:, -n:] * place).sum(1)]


tables = {"trigram": count_model(2, 0.2), "four-gram": count_model(3, 0.1)}

# %% [markdown]
# And everything beside each other: the networks of E03a (seed 0), alone and in mixture, with the network's weight in brackets. The weight is one number, fitted to 23,000 examples, so its loss on those is nearly honest.

# %% tags=["demo"]
right = lambda model: model(Xdev).detach().gather(1, Ydev[:, None])[:, 0]  # (N,) log-probability of the right one
counts = {name: right(model) for name, model in tables.items()}
print("dev loss of counts alone:", *(f"{name} {-log_q.mean():.3f}" for name, log_q in counts.items()))
print(f"{'network':28}{'alone':>8}" + "".join(f"{'with ' + name:>20}" for name in counts))
for (hidden, direct, seed), model in networks.items():
    if seed:
        continue
    log_p, row = right(model), ""
    for log_q in counts.values():
        w = best_weight(log_p, log_q)
        loss = -mix(log_p, log_q, w).mean().item()
        assert loss <= min(-log_p.mean(), -log_q.mean()) + 1e-6  # the ends of the scale are among the weights
        row += f"{loss:12.3f} ({w:.3f})"
    print(f"{f'{hidden} hidden units' + ', direct' * direct:28}{-log_p.mean():8.3f}{row}")

# %% [markdown] tags=["solution-only"]
# Every mixture is better than both of its parts. That is no accident of the table, since it is the best point of a scale whose ends are the parts; what counts is *how much* better. The trigram helps a small network by about 0.1 and a wide one by 0.01
# to 0.02: what the trigram knows, a wide network has learned.
#
# The last column is a surprise. The table over three characters, 2.11 alone, beats every network above, though those look at three characters as well. And a mixture of the two is better
# by another 0.02 to 0.03. With 27 letters, the table of 27³ contexts is small enough to be filled by 180,000 examples, and what the network knows about *similar* contexts repairs the cells that are not. The paper had 16,383 words, so that table
# would need 4 · 10¹² rows. There, counting ends and networks go on; here, it takes a network with
# more context to beat them: the fit of E01b, at about 2.09, reads eight characters, for which a table would need 27⁸ rows.
