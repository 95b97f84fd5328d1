# %% [markdown]
# # 02 · makemore, bigrams: exercises
#
# Nine tasks, from counting three characters at a time to the most probable name of all. Each has a cell to fill in, a check that says what
# looks wrong, and hints to unfold when you want one. Where a task ends in a question, answer it before you unfold ours. A tenth task you
# invent yourself.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/02_makemore_bigrams.ipynb) · a run takes about 15 s and 0.6 GB on a laptop's CPU
#
# Needs: lecture 02. No task needs the answer of another one. The cells after a check show off what you wrote, and some of them build on an earlier answer too; they say so. In
# all tasks $V$ is the number of characters, the dot included. The checks bring small alphabets of their own: write `V`, not 27.

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
import heapq
import random
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from course_utils import lesson, train
from course_utils.checks import bigrams as check
from course_utils.lectures.names import LETTERS, CharVocab, build_dataset, load_names, split_words

device = lesson.start("02_makemore_bigrams, exercises")

# %% tags=["nbval-check-output"]
words = load_names()
X, Y = build_dataset(words, 2)  # (229804, 2), (229804,): two characters, and the one that follows
train_words, dev_words, test_words = split_words(words)
X.shape, Y.shape, len(train_words), len(dev_words), len(test_words)

# %% [markdown]
# ---
# ### E01a. A trigram model, by counting   (2 of 5 · 20 minutes)
#
# A bigram knows one character and guesses the next. A **trigram** model knows two. Its counts are a block of $V \times V \times V$ numbers: `N[i, j, k]` says how often character
# $k$ came after $i$ and $j$. For *emma* five triples are counted, as many as there were pairs: `..e`, `.em`, `emm`, `mma`, `ma.`. So the two models predict
# the same characters, and their losses compare.
#
# Write the counts, and then probabilities for counts with any number of dimensions. The lecture's `smoothed` divides by `counts.sum(1, keepdim=True)`. Would it still be right?


# %%
def trigram_counts(words: list[str], vocab: CharVocab) -> torch.Tensor:
    """How often each character follows each pair of characters, two dots standing before every word and one after it.

    Returns N: (V, V, V) int64 with V = len(vocab); N[i, j, k] counts i, then j, then k.
    """
    ### BEGIN SOLUTION
    V = len(vocab)
    X, Y = build_dataset(words, 2, vocab)  # (n, 2), (n,)
    cell = (X[:, 0] * V + X[:, 1]) * V + Y  # (n,): the triple as one whole number
    return torch.bincount(cell, minlength=V**3).view(V, V, V)
    ### END SOLUTION


def probabilities(N: torch.Tensor, k: float) -> torch.Tensor:
    """Counts to probabilities of the next character, after k false counts in every cell.

    N: (..., V) counts with one, two, three or more dimensions; the last is the next character. It stays as it is.
    k: above 0, may be a fraction.  Returns the same shape; every row along the last dimension sums to 1.
    """
    ### BEGIN SOLUTION
    counts = N + k
    return counts / counts.sum(-1, keepdim=True)
    ### END SOLUTION


# %%
check.e01a(trigram_counts, probabilities)

# %% [markdown]
# <details><summary>Hint 1</summary><code>build_dataset(words, 2, vocab)</code> gives all pairs and what came after them. Or walk over <code>".." + word + "."</code>.</details>
# <details><summary>Hint 2</summary>Without a loop: the lecture numbered the cell of a pair 27 i + j. What is the number of the cell [i, j, k]?</details>
# <details><summary>Hint 3</summary>The next character is always the last dimension, and the last dimension has a number that does not depend on how many there are: -1.</details>
#
# Did it improve? On the names that were counted, with one false count in each cell, as in the lecture:

# %% tags=["demo"]
N3 = trigram_counts(words, LETTERS)  # (27, 27, 27)
P3, P2 = probabilities(N3, 1), probabilities(N3.sum(0), 1)  # (27, 27, 27), (27, 27)
trigram_loss = -P3[X[:, 0], X[:, 1], Y].log().mean().item()
bigram_loss = -P2[X[:, 1], Y].log().mean().item()
assert abs(bigram_loss - 2.4550) < 0.0005 and abs(trigram_loss - 2.2130) < 0.0005
print(f"bigram {bigram_loss:.4f}, trigram {trigram_loss:.4f} nats a character")
print(f"triples that never occur: {(N3 == 0).sum():,} of {N3.numel():,}")


# %% tags=["demo"]
def trigram_name(generator):
    """Walk from two dots to a dot."""
    i, j, name = 0, 0, []
    while True:
        i, j = j, torch.multinomial(P3[i, j], 1, generator=generator).item()
        if j == 0:
            return LETTERS.decode(name)
        name.append(j)


generator = torch.Generator().manual_seed(2)
[trigram_name(generator) for _ in range(10)]

# %% [markdown]
# <details><summary>Did it improve?</summary>
#
# From 2.455 to 2.213, a quarter of a nat a character, and one hears it in the names. Summed over its first dimension, the block is the table of bigrams, so the trigrams know all that the bigrams knew.
# The price: 13,604 of the 19,683 cells are empty. What that costs on names that were not counted is the subject of E02 and E03.
# </details>

# %% [markdown]
# ---
# ### E01b. A trigram model, as a network   (3 of 5 · 25 minutes)
#
# Now the network: two one-hot vectors side by side make one input of length $2V$, for the first character of the context and for the second. One layer of $V$ neurons, no bias. So `W` has the shape $(2V, V)$: its first $V$ rows
# belong to the first character, the others to the second.
#
# Train it by plain gradient descent on the mean negative log likelihood over **all** examples. Start from zeros, a fair start for a single layer: every character is equally probable. (For deeper networks zeros are a
# trap, as lecture 04 shows.)


# %%
def train_net(X: torch.Tensor, Y: torch.Tensor, V: int, steps: int, rate: float) -> torch.Tensor:
    """The weights after `steps` steps of gradient descent from zeros, each on all examples.

    X: (n, 2) context characters.  Y: (n,) next characters, all below V.  rate: the learning rate.
    Returns W: (2V, V), for which two one-hot vectors side by side, times W, are the logits.
    """
    ### BEGIN SOLUTION
    xenc = F.one_hot(X, num_classes=V).float().view(len(X), 2 * V)  # (n, 2, V) -> (n, 2V)
    W = torch.zeros(2 * V, V, requires_grad=True)  # (2V, V)
    for _ in train.progress(steps, "gradient descent", delay=1):
        probs = F.softmax(xenc @ W, dim=1)  # (n, V)
        loss = -probs[torch.arange(len(Y)), Y].log().mean()
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()
    ### END SOLUTION


# %%
check.e01b(train_net)

# %% [markdown]
# <details><summary>Hint 1</summary><code>F.one_hot(X, num_classes=V)</code> has shape (n, 2, V). What does <code>.view(n, 2 * V)</code> do with its two rows of an example?</details>
# <details><summary>Hint 2</summary>From there on it is section 12 of the lecture: forward, forget the old gradient, backward, update.</details>
# <details><summary>Hint 3</summary>Without <code>num_classes</code>, <code>F.one_hot</code> takes the largest number that it meets for the last one there is.</details>
#
# Here it is on all names, for some seconds.

# %% tags=["demo"]
W = train_net(X, Y, len(LETTERS), steps=60, rate=30)  # (54, 27)
net_loss = F.cross_entropy(W[X[:, 0]] + W[27 + X[:, 1]], Y).item()  # E04 says why this is the same
assert 2.33 < net_loss < 2.42
print(f"bigram counts {bigram_loss:.3f}, this network {net_loss:.3f}, trigram counts {trigram_loss:.3f}")

# %% [markdown]
# Better than bigrams, far from the trigram counts (both from E01a). Is it not done yet? There are only 729 different contexts, so we can take section 13's short cut, weight each distinct triple by how often
# it occurs (your counts of E01a), and go on for thousands of steps.

# %% tags=["demo"]
contexts = torch.cartesian_prod(torch.arange(27), torch.arange(27))  # (729, 2)
xenc = F.one_hot(contexts, 27).float().view(729, 54)
q = (N3 / N3.sum()).view(729, 27)  # (27, 27, 27) -> (729, 27)
W = torch.zeros(54, 27, requires_grad=True)
for step in range(1, 3001):
    loss = -(q * F.log_softmax(xenc @ W, dim=1)).sum()
    W.grad = None
    loss.backward()
    W.data -= 30 * W.grad
    if step in (100, 1000, 2000, 3000):
        print(f"after {step:4} steps: {loss:.4f}")
assert 2.33 < loss < 2.34

# %% [markdown]
# <details><summary>Did it improve? And why does it not reach the counts?</summary>
#
# Yes, over the bigrams: some 2.34 at the end of the descent, against 2.455. But it stays a tenth of a nat above the trigram counts, however long it trains. Its logits are a **sum**: the first character votes, the second votes,
# and neither hears the other. What the first says about the next may depend on the second, and a sum cannot say that. The network has 2 · 27 · 27 = 1,458 numbers, the counts have 19,683. With one row of W for each *pair* (729 rows) it
# would arrive at the counts, as the lecture's network did. Lecture 03 finds the way between: a hidden layer.
# </details>

# %% [markdown]
# ---
# ### E02a. A split that does not leak   (2 of 5 · 20 minutes)
#
# A loss on the names that were counted flatters the model: it has seen the answers. So we part the names at random: 80 % to train on, 10 % (**dev**) to make choices on, 10 % to **test** on once, at the
# very end.
#
# The lecture's `split_words` shuffles rows, as makemore does. But 2,564 names stand in our list twice, once given to girls and once to boys. When one copy falls into train and the other into dev, the answer has leaked. Write a split
# in which **all rows of one name go to the same part**, and in which every name is as likely to be in a part as any other: the list is sorted, so the first 80 % of it would be no fair sample.
#
# The same seed must give the same split, today and in a fresh kernel tomorrow.


# %%
def split_names(words: list[str], seed: int) -> tuple[list[str], list[str], list[str]]:
    """All rows in three parts: train, dev, test; equal names stay together.

    Of the d different names, train gets int(0.8 d), train and dev together int(0.9 d), test the rest.
    words: stays as it is.  seed: decides the shuffle, and nothing else does.
    """
    ### BEGIN SOLUTION
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    part = {name: (i >= first) + (i >= second) for i, name in enumerate(names)}
    return tuple([word for word in words if part[word] == number] for number in range(3))
    ### END SOLUTION


# %%
check.e02a(split_names)

# %% [markdown]
# <details><summary>Hint 1</summary>Shuffle and cut the <em>different</em> names. Then deal out the rows.</details>
# <details><summary>Hint 2</summary><code>random.Random(seed)</code> is a generator of its own; its <code>shuffle</code> works in place, so give it a new list.</details>
# <details><summary>Hint 3</summary>The order of a set of strings changes from kernel to kernel: Python salts their hashes. A dictionary keeps the order in which it was filled, and
# <code>sorted</code> makes one.</details>
#
# How much leaked in the classic split?

# %% tags=["demo"]
for what, (train_part, dev_part, _) in {
    "split_words": split_words(words),
    "split_names": split_names(words, seed=42),
}.items():
    seen = set(train_part)
    print(f"{what}: {sum(word in seen for word in dev_part)} of {len(dev_part):,} dev rows are in train as well")

# %% [markdown]
# ---
# ### E02b. Losses on names not counted   (3 of 5 · 25 minutes)
#
# Count a model on the first part alone, and measure it on every part. Make it general at once: a model that looks back over `block_size` characters is a block of counts with `block_size + 1` dimensions, the bigram for 1,
# the trigram for 2.


# %%
def fit_and_score(parts: list[list[str]], block_size: int, k: float) -> list[float]:
    """Count on parts[0], with k false counts in every cell; the mean NLL a character, in nats, on each part.

    parts: one list of words or more, of the letters a to z.  block_size: characters looked back at, 1, 2 or 3.
    """
    ### BEGIN SOLUTION
    V = len(LETTERS)
    powers = V ** torch.arange(block_size, -1, -1)  # (block_size + 1,): ..., 27², 27, 1
    losses = []
    for part in parts:
        X, Y = build_dataset(part, block_size)  # (n, block_size), (n,)
        cell = torch.cat([X, Y[:, None]], dim=1) @ powers  # (n, block_size + 1) -> (n,)
        if not losses:
            counts = torch.bincount(cell, minlength=V ** (block_size + 1)).view(-1, V) + k  # (V**block_size, V)
            log_P = (counts / counts.sum(1, keepdim=True)).log().view(-1)  # (V**(block_size + 1),)
        losses.append(-log_P[cell].mean().item())
    return losses
    ### END SOLUTION


# %%
check.e02b(fit_and_score)

# %% [markdown]
# <details><summary>Hint 1</summary>Two parts of one problem: a block of probabilities from parts[0] (as in E01a), then for each part the mean of −log of the entries that its examples visit.</details>
# <details><summary>Hint 2</summary>For any number of dimensions, <code>P[(*X.T, Y)]</code> takes the columns of X and Y as indices, and <code>N.index_put_((*X.T, Y), ones, accumulate=True)</code> counts. Without
# <code>accumulate</code>, a cell visited twice counts once.</details>
# <details><summary>Hint 3</summary>Mean over characters: a long name counts for more than a short one.</details>
#
# Bigram and trigram, each counted on train only, with one false count. From here on we take the classic split, so that the numbers compare with those of later lectures. What can you see?

# %% tags=["demo"]
results = {
    block: fit_and_score([train_words, dev_words, test_words], block, k=1) for block in (1, 2)
}  # {block: [train, dev, test]}
print("          train    dev   test")
for what, losses in zip(("bigram", "trigram"), results.values(), strict=True):
    print(f"{what:8} {losses[0]:.4f} {losses[1]:.4f} {losses[2]:.4f}")
assert all(results[2][i] < results[1][i] - 0.2 for i in range(3))
assert all(results[block][0] < min(results[block][1:]) for block in (1, 2))

# %% [markdown]
# <details><summary>What can you see?</summary>
#
# The trigram is better on every part, by some 0.22 nats: it has learned something about names, not only about these names. Both are worse on names that they did not count, and the trigram loses more: 0.038 from train to dev, where the bigram loses
# 0.018. It has 27 times as many numbers to fit, from the same names, so it fits more of what is chance. And test is easier than dev for both models: with 3,226 names a part, the luck of the draw is worth more than 0.01 nats.
# </details>
#
# And the leak? We take the dev names that are in train as well, and count the trigram with and without them.

# %% tags=["demo"]
twins = sorted(set(train_words) & set(dev_words))
others = [word for word in train_words if word not in set(twins)]
twins_in_dev = [word for word in dev_words if word in set(twins)]
leaked = fit_and_score([train_words, twins_in_dev, dev_words], 2, k=1)
clean = fit_and_score([others, twins_in_dev, dev_words], 2, k=1)
print(f"twins: {leaked[1]:.3f} with the leak, {clean[1]:.3f} without.  All of dev: {leaked[2]:.3f}, {clean[2]:.3f}")
assert leaked[1] < clean[1] and leaked[2] < clean[2]

# %% [markdown]
# A few thousandths on all of dev: a trigram table cannot remember names. A network with enough weights can, and then the same leak costs more. Keep `split_names` in mind.

# %% [markdown]
# ---
# ### E03. How much smoothing?   (3 of 5 · 20 minutes)
#
# One false count in each of 19,683 cells, is that too many or too few? Training data cannot tell: on the counted names no smoothing at all is best. The dev names can. Try many strengths $k$, keep the one with the lowest dev loss,
# and **only then** measure it on test, once. Whoever looks at test more often begins to choose by it, and then it is a second dev set.
#
# Write the procedure for any model: `loss(part, k)` measures part "train", "dev" or "test". Every call of it may be expensive, and the check keeps a log of the calls.


# %%
def tune(loss, ks: list[float]) -> tuple[float, float]:
    """The strength out of `ks` with the lowest dev loss, and its loss on test.

    loss: called as loss("dev", 0.1), returns a number.  ks: strengths in any order.
    """
    ### BEGIN SOLUTION
    dev = {k: loss("dev", k) for k in ks}
    best = min(dev, key=dev.get)
    return best, loss("test", best)
    ### END SOLUTION


# %%
check.e03(tune)

# %% [markdown]
# <details><summary>Hint 1</summary>Two steps: all strengths on dev, then one strength on test.</details>
# <details><summary>Hint 2</summary>The position of the smallest of a list is not yet the strength that stands there. <code>min</code> takes a <code>key</code>.</details>
#
# Now for the trigram, with `fit_and_score` of E02b. Strengths are tried on a logarithmic scale, since it is the factor between two of them that matters.

# %% tags=["demo"]
curves = {"train": {}, "dev": {}, "test": {}}


def trigram_loss_on(part, k):
    other = {"train": train_words, "dev": dev_words, "test": test_words}[part]
    curves["train"][k], curves[part][k] = fit_and_score([train_words, other], 2, k)
    return curves[part][k]


ks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 1, 3, 10, 30]
best, test_loss = tune(trigram_loss_on, ks)
print(f"best k = {best}: dev {curves['dev'][best]:.4f}, and test, seen once, {test_loss:.4f}")
assert best in (0.1, 0.2, 0.3) and 2.21 < test_loss < 2.24

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(6.5, 3.4))
ax.semilogx(ks, [curves["dev"][k] for k in ks], marker="o", label="dev")
ax.semilogx(ks, [curves["train"][k] for k in ks], marker="s", linestyle="--", label="train")
ax.plot(best, test_loss, marker="*", markersize=13, color="black", linestyle="none", label="test, once")
ax.axvline(best, color="black", linestyle=":", linewidth=1)
ax.set(xlabel="false counts k in each cell", ylabel="NLL (nats a character)")
ax.set_title(f"Train wants no smoothing, dev wants k = {best}")
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>What patterns can you see?</summary>
#
# The train loss only rises with k: on data that was counted, false counts can only hurt. The dev loss falls first, since k takes probability from triples that were seen and gives it to those that were not, and then rises, when the
# counts drown. Its lowest point is near 0.2, not at 1: with 27 cells to a row and many rows of a handful of names, 27 whole false counts are too many. On the far right the two curves come close: the model hardly believes what it has counted, and has
# little left to overfit with. Gained: 2.239 on dev instead of 2.253, and 2.225 on test. Does the bigram's dev loss feel k as much? Guess, then change the 2 in `trigram_loss_on` to a 1.
# </details>

# %% [markdown]
# ---
# ### E04. Without one_hot   (2 of 5 · 15 minutes)
#
# A one-hot vector times $W$ picks a row of $W$. To make the vector, multiply 26 zeros, and throw the products away is a detour. Delete it: write the logits by indexing rows of $W$, with neither `one_hot` nor a matrix product.
#
# First for bigrams. Then for the network of E01b, whose input is *two* one-hot vectors side by side. What does such a product pick? Gradients must arrive at $W$ as they did before.


# %%
def bigram_logits(W: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    """What F.one_hot(xs, V).float() @ W returns.  W: (V, V).  xs: (n,) characters.  Returns (n, V)."""
    ### BEGIN SOLUTION
    return W[xs]
    ### END SOLUTION


def trigram_logits(W: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """What F.one_hot(X, V).float().view(n, 2 * V) @ W returns.

    W: (2V, V), the rows for the first character above those for the second.  X: (n, 2) characters.  Returns (n, V).
    """
    ### BEGIN SOLUTION
    V = W.shape[1]
    return W[X[:, 0]] + W[V + X[:, 1]]
    ### END SOLUTION


# %%
check.e04(bigram_logits, trigram_logits)

# %% [markdown]
# <details><summary>Hint 1</summary>Indexing a tensor with a tensor of indices returns one row for each index, repeated ones included.</details>
# <details><summary>Hint 2</summary>Two ones in a vector pick two rows. A product adds up.</details>
# <details><summary>Hint 3</summary>The second one-hot vector begins V places further right, so its rows of W begin V rows further down.</details>
#
# What does it save? One pass forward and backward over all 229,804 examples:

# %% tags=["demo"]
ways = {
    "one-hot": lambda W: F.one_hot(X, 27).float().view(-1, 54) @ W,
    "rows": lambda W: trigram_logits(W, X),
}
W = torch.zeros(54, 27, requires_grad=True)
for what, logits_of in ways.items():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        F.cross_entropy(logits_of(W), Y).backward()
        seconds.append(time.perf_counter() - start)
    print(f"{what}: {1000 * min(seconds):.0f} ms at best")

# %% [markdown]
# Some 50 MB of zeros and ones are never made. For 27 characters this is a nicety. GPT-2 has 50,257 tokens: there a one-hot vector for each token of a batch is out of the question, and the table whose rows are looked up is called
# the **embedding**.

# %% [markdown]
# ---
# ### E05. The cross-entropy, written well   (3 of 5 · 20 minutes)
#
# From logits $z$ and the right answer $t$ the loss is $-\ln p_t$ with $p = \text{softmax}(z)$. Written down as it is said, it works in the lecture, where logits are small. How large may they be? Float32 ends at about $3.4 \cdot 10^{38}$, which is $e^{88.7}$.


# %%
def naive_cross_entropy(logits, targets):
    counts = logits.exp()  # (n, V)
    probs = counts / counts.sum(1, keepdim=True)  # (n, V)
    return -probs[torch.arange(len(targets)), targets].log().mean()


logits = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 1.0, 0.0]])  # (2, 3)
targets = torch.tensor([0, 0])  # (2,): a good guess, and a bad one
for scale in (1, 10, 30, 100):
    ours, theirs = naive_cross_entropy(scale * logits, targets), F.cross_entropy(scale * logits, targets)
    print(f"logits times {scale:3}: naive {ours:.4f}, F.cross_entropy {theirs:.4f}")

# %% [markdown]
# First it says *infinite*, because a probability was so small that it became 0; then *nan*, because an exponential was too large, and infinite divided by infinite is nothing at all. PyTorch's is right for each. Write yours so that it is, too. Three steps on paper:
#
# 1. $-\ln p_t = \ln \sum_j e^{z_j} - z_t$. No division is left, and the logarithm of a small probability is never taken.
# 2. For any number $m$: $\ln \sum_j e^{z_j} = m + \ln \sum_j e^{z_j - m}$.
# 3. With $m$ the largest logit of the row, the largest exponent is 0. So nothing overflows, and the sum is at least 1.
#
# This is **log-sum-exp** with a shift. Use `exp`, `log`, `sum`, `max`; PyTorch's own `cross_entropy`, `log_softmax` and `logsumexp` are what you are building.


# %%
def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean over the rows of -ln softmax(logits)[target], right for logits of any size.

    logits: (n, V) float, left as they are; gradients flow back to them.  targets: (n,) int64.  Returns a 0-d tensor.
    """
    ### BEGIN SOLUTION
    m = logits.max(dim=1, keepdim=True).values  # (n, 1)
    log_sum = m[:, 0] + (logits - m).exp().sum(dim=1).log()  # (n,)
    right = logits[torch.arange(len(targets)), targets]  # (n,)
    return (log_sum - right).mean()
    ### END SOLUTION


# %%
check.e05(cross_entropy)

# %% [markdown]
# <details><summary>Hint 1</summary>Each row needs its own m. With <code>keepdim=True</code> it stands upright beside the logits.</details>
# <details><summary>Hint 2</summary><code>logits.max(dim=1)</code> returns two things, the values and where they were.</details>
# <details><summary>Hint 3</summary>What you subtract inside has to come back outside: m + ln(...).</details>

# %% tags=["demo"]
for scale in (1, 100, 10_000):
    z = (scale * logits).requires_grad_()
    loss = cross_entropy(z, targets)
    loss.backward()
    theirs = F.cross_entropy(scale * logits, targets)
    print(f"logits times {scale:5}: yours {loss:.4f}, theirs {theirs:.4f}, gradient {z.grad.abs().max():.4f} at most")

# %% [markdown]
# <details><summary>Why prefer F.cross_entropy to the chain?</summary>
#
# It is right for logits of any size. It is one call instead of four, none of which can be given the wrong dimension. It keeps fewer large tensors for the backward pass, since the gradient in the logits is nothing but $(p - \text{onehot}(t)) / n$ (lecture 05 derives it). And
# it takes integer targets, class weights and label smoothing without more code.
# </details>

# %% [markdown]
# ---
# ### E06. An exercise of your own   (as hard as you like · 30 minutes)
#
# Ask a question about these models that you would like to see answered, and answer it with what you have. Small is good. A question is well chosen when you can say beforehand what you expect, and be wrong. Some that others have asked:
#
# - Names that begin with a given letter, or that are exactly seven characters long: how do you sample them without drawing until one fits?
# - Instead of false counts, mix: $\lambda_3 P_\text{trigram} + \lambda_2 P_\text{bigram} + \lambda_1 P_\text{single}$. Does it beat the best $k$ of E03 on dev?
# - At which block size does counting stop improving on dev, and why there?
#
# If nothing comes to mind, here are two that we find instructive. They have checks and solutions like the others.

# %% [markdown]
# ---
# ### E06a. The most probable names   (4 of 5 · 25 minutes)
#
# Sampling draws names at random. Which name is the *most* probable of all? It is tempting to take the most probable character at every step. That is **greedy**, and it fails: after a probable beginning each way on may be improbable. A **beam search** keeps the best few beginnings instead of one,
# and may still drop the one that matters.
#
# For a table of bigrams there is an exact way. A beginning can only become less probable as it grows. So keep all beginnings in a heap, always take out the most probable, and put its continuations back. Once a *finished* name comes out, nothing that is still in the heap can beat it.


# %%
def most_probable(P: torch.Tensor, count: int) -> list[tuple[str, float]]:
    """The `count` most probable names, the most probable first, each with its probability.

    P: (V, V) with rows that sum to 1, V at most 27: a bigram model over the first V of `LETTERS.chars`.
    A name is a walk from dot to dot, and its probability includes the step to the last dot. It may be of any length, and
    empty as well. Equally probable names may come in any order.
    """
    ### BEGIN SOLUTION
    rows = P.tolist()
    heap = [(-1.0, "", False)]  # (minus probability, text, finished?): heapq takes out the smallest
    found = []
    while len(found) < count:
        minus_p, text, finished = heapq.heappop(heap)
        if finished:
            found.append((text, -minus_p))
            continue
        last = LETTERS.index[text[-1]] if text else 0
        for j, p in enumerate(rows[last]):
            heapq.heappush(heap, (minus_p * p, text + LETTERS.chars[j] * (j > 0), j == 0))
    return found
    ### END SOLUTION


# %%
check.e06a(most_probable)

# %% [markdown]
# <details><summary>Hint 1</summary><code>heapq.heappush(heap, item)</code> and <code>heapq.heappop(heap)</code> keep the smallest item first. You want the largest probability, so store it with a minus.</details>
# <details><summary>Hint 2</summary>A name that has ended is put into the heap as well, marked as finished. It counts when it comes out, not when it goes in.</details>
#
# What are the most probable names of the bigram model? Guess before you run it.

# %% tags=["demo"]
bigrams = torch.zeros(27, 27).index_put_((X[:, 1], Y), torch.tensor(1.0), accumulate=True) + 1  # (27, 27)
P = bigrams / bigrams.sum(1, keepdim=True)
top = most_probable(P, 1000)
real = sum(name in set(words) for name, _ in top)
print([f"{name} {p:.4f}" for name, p in top[:8]])
print(f"the first 1,000 hold {sum(p for _, p in top):.0%} of all probability, and {real} of them are names")

# %% [markdown]
# *a*, *n*, *e*, *s*: single letters, where the shortest of our names has two. Every further character multiplies by a number below 1, so the most probable texts are short, although each short one is rare: **the most probable outcome is not a typical one.**
# It will come back with large models: searching for the most probable text gives worse text than sampling does ([Holtzman et al. 2020](https://arxiv.org/abs/1904.09751)).

# %% [markdown]
# ---
# ### E06b. Two models make a classifier   (3 of 5 · 20 minutes)
#
# A language model says how probable a text is. Two of them, counted on two sources, say which source a text more likely came from: by the **log likelihood ratio** $\ln P_A(\text{name}) - \ln P_B(\text{name})$. Above 0 the first
# explains the name better. No network, no training beyond counting.


# %%
def log_ratios(names: list[str], A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """ln of the probability of each name under A, minus the same under B.  Returns (len(names),).

    A, B: (27, 27) bigram probabilities, all above 0.  A name begins after a dot and ends with one; it may be long.
    """
    ### BEGIN SOLUTION
    score = A.log() - B.log()  # (27, 27): what one pair says for A
    X, Y = build_dataset(names, 1)  # (n, 1), (n,)
    which = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(name) + 1 for name in names]))  # (n,)
    return torch.zeros(len(names)).index_add_(0, which, score[X[:, 0], Y])
    ### END SOLUTION


# %%
check.e06b(log_ratios)

# %% [markdown]
# <details><summary>Hint 1</summary>The logarithm of a product is a sum, so both can be taken pair by pair, and so can their difference.</details>
# <details><summary>Hint 2</summary>A loop over the names with <code>LETTERS.encode(f".{name}.")</code> is fine. Sum over the pairs of each name; no mean.</details>
# <details><summary>Hint 3</summary>A long name has a probability that is 0 in floats. Take logarithms before you multiply anything.</details>
#
# Our list has two sources: the names given to girls stand first, and those given to boys from *liam*, *noah* on. We leave out the 2,564 that are in both, count a bigram model on four fifths of each, and let them decide about the
# dev names of both.

# %% tags=["demo"]
boundary = next(i for i in range(len(words)) if words[i : i + 2] == ["liam", "noah"])
both = set(words[:boundary]) & set(words[boundary:])
girls = split_words([word for word in words[:boundary] if word not in both])
boys = split_words([word for word in words[boundary:] if word not in both])


# %% tags=["demo"]
def bigram_table(words):
    X, Y = build_dataset(words, 1)
    counts = torch.bincount(27 * X[:, 0] + Y, minlength=27 * 27).view(27, 27) + 1  # (27, 27)
    return counts / counts.sum(1, keepdim=True)


A, B = bigram_table(girls[0]), bigram_table(boys[0])
of_girls, of_boys = log_ratios(girls[1], A, B), log_ratios(boys[1], A, B)
right = ((of_girls > 0).sum() + (of_boys <= 0).sum()).item() / (len(of_girls) + len(of_boys))
always = len(of_girls) / (len(of_girls) + len(of_boys))
print(f"right: {right:.1%} of the dev names; who always says the first source is right in {always:.1%}")
assert 0.82 < right < 0.88

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(6.5, 3.2))
bins = torch.linspace(-10, 10, 41).tolist()
ax.hist(of_girls.tolist(), bins, alpha=0.6, label="given to girls")
ax.hist(of_boys.tolist(), bins, histtype="step", linewidth=2, color="black", label="given to boys")
ax.axvline(0, color="black", linestyle=":")
ax.set(
    xlabel="log likelihood ratio (nats)",
    ylabel="dev names",
    title=f"Two tables of counts tell {right:.0%} of the names apart",
)
ax.legend()
plt.show()

# %% [markdown]
# Two tables of 729 counts, and 85 of 100 names fall on the right side. The middle of the picture is where spelling does not tell. A model that can *generate* can also *judge*: the same ratio tells languages, authors or spam apart. Would trigrams judge
# better? You have all that is needed to find out.
