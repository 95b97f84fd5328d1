# %% [markdown]
# # 05 · makemore, backprop by hand: workbook
#
# Thirty-three tasks. Twenty-six are the intermediate tensors of lecture 05's network, each with a check of its own; then cross entropy and BatchNorm in one expression, a training run without `backward()`, and three more layers for whoever wants them.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/05_makemore_backprop_ninja.ipynb) · a run takes about 5 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 05, at least sections 2 and 3 (the map and the five rules). Skip what you like: every task is a function of named tensors, and its check brings random tensors of its own.
#
# | part | tasks | about |
# |---|---|---|
# | exercise 1 | EX1_01 to EX1_26, one for each box of the map | 3 hours |
# | exercise 2 | EX2, cross entropy in one expression | 20 minutes |
# | exercise 3 | EX3, BatchNorm in one expression | 40 minutes |
# | exercise 4 | EX4 and EX4_TRAIN, training with manual gradients only | 60 minutes |
# | extra | softmax, LayerNorm, attention | 90 minutes |

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
from types import SimpleNamespace

import torch
import torch.nn.functional as F

from course_utils import lesson, train
from course_utils.checks import backprop_ninja as check
from course_utils.checks.backprop_ninja import table
from course_utils.lectures.names import build_dataset, load_names, split_words

device = lesson.start("05_makemore_backprop_ninja, workbook")  # what follows is small, and stays on the CPU

# %% tags=["parameters"]
steps = 2000  # updates in exercise 4
batch = 128  # examples an update

# %% [markdown]
# ## The forward pass
#
# Lecture 05's network, for 32 examples, in float64, with autograd's gradients as an answer key. Only the table of results uses it: the tasks do not. Keep it beside you: each task is one line of it, read backwards.

# %%
train_words, dev_words, _ = split_words(load_names())
(X, Y), (Xdev, Ydev) = (build_dataset(part, 3) for part in (train_words, dev_words))  # (examples, 3), (examples,)
g = torch.Generator().manual_seed(0)
randn = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)

# %%
v = SimpleNamespace(C=randn(27, 10), W1=randn(30, 64) / 30**0.5, b1=0.1 * randn(64))
v.W2, v.b2 = 0.3 * randn(64, 27), 0.1 * randn(27)
v.bngain, v.bnbias = 1 + 0.1 * randn(1, 64), 0.1 * randn(1, 64)
for parameter in vars(v).values():
    parameter.requires_grad_()

pick = torch.randint(len(X), (32,), generator=g)
x, y, n = X[pick], Y[pick], 32

v.emb = v.C[x]  # (n, 3, 10)
v.embcat = v.emb.view(n, -1)  # (n, 30)
v.hprebn = v.embcat @ v.W1 + v.b1  # (n, 64)
v.bnmeani = v.hprebn.sum(0, keepdim=True) / n  # (1, 64)
v.bndiff = v.hprebn - v.bnmeani  # (n, 64)
v.bndiff2 = v.bndiff**2  # (n, 64)
v.bnvar = v.bndiff2.sum(0, keepdim=True) / (n - 1)  # (1, 64)
v.bnvar_inv = (v.bnvar + 1e-5) ** -0.5  # (1, 64)
v.bnraw = v.bndiff * v.bnvar_inv  # (n, 64)
v.hpreact = v.bngain * v.bnraw + v.bnbias  # (n, 64)
v.h = v.hpreact.tanh()  # (n, 64)
v.logits = v.h @ v.W2 + v.b2  # (n, 27)
v.logit_maxes = v.logits.max(1, keepdim=True).values  # (n, 1)
v.norm_logits = v.logits - v.logit_maxes  # (n, 27)
v.counts = v.norm_logits.exp()  # (n, 27)
v.counts_sum = v.counts.sum(1, keepdim=True)  # (n, 1)
v.counts_sum_inv = v.counts_sum**-1  # (n, 1)
v.probs = v.counts * v.counts_sum_inv  # (n, 27)
v.logprobs = v.probs.log()  # (n, 27)
loss = -v.logprobs[range(n), y].mean()  # ()

# %%
for value in vars(v).values():
    value.retain_grad()  # autograd keeps the gradient of this value too
loss.backward()
v.x, v.y = x, y
print(f"loss {loss.item():.4f}")

# %% [markdown]
# ---
# ## Exercise 1, first part: the loss
#
# From the loss upwards: every function gets the gradients of what was computed *from* its tensor (`d...`) and the values that it needs. Return a tensor of
# that tensor's own shape and dtype, and leave the arguments as they are. `(N, V)` is examples by vocabulary.

# %% [markdown]
# ---
# ### EX1_01. `dlogprobs`   (1 of 5 · 5 minutes)
#
# The forward pass ended in `loss = -logprobs[range(N), y].mean()`. How much does the loss change with each entry of `logprobs`?


# %%
def d_logprobs(logprobs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `logprobs`.

    logprobs: (N, V).  y: (N,) int64, the right answers.  Returns (N, V).
    """
    ### BEGIN SOLUTION
    dlogprobs = torch.zeros_like(logprobs)
    dlogprobs[range(len(y)), y] = -1 / len(y)
    return dlogprobs
    ### END SOLUTION


# %%
check.ex1_01(d_logprobs)

# %% [markdown]
# <details><summary>Hint 1</summary>Most entries never reach the loss. What is the gradient of something that has no influence?</details>
# <details><summary>Hint 2</summary>The usual mistake is a forgotten mean: with N examples each counts 1/N.</details>

# %% [markdown]
# ---
# ### EX1_02. `dprobs`   (1 of 5 · 5 minutes)
#
# Forward: `logprobs = probs.log()`. Write the gradient in `probs`, and before you run the check, say which examples get the largest entries: those that the network got right, or those that it got wrong?


# %%
def d_probs(dlogprobs: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `probs`.

    dlogprobs, probs: (N, V).  Returns (N, V).
    """
    ### BEGIN SOLUTION
    return dlogprobs / probs
    ### END SOLUTION


# %%
check.ex1_02(d_probs)

# %% [markdown]
# <details><summary>Hint 1</summary>Elementwise: what arrives, times the local derivative.</details>
# <details><summary>Hint 2</summary>The usual mistake is to leave out what arrives, and return the local derivative alone.</details>

# %% [markdown]
# ---
# ### EX1_03. `dcounts_sum_inv`   (2 of 5 · 8 minutes)
#
# `probs = counts * counts_sum_inv`, where `counts_sum_inv` of shape (N, 1) was stretched along the columns.


# %%
def d_counts_sum_inv(dprobs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `counts_sum_inv`.

    dprobs, counts: (N, V).  Returns (N, 1).
    """
    ### BEGIN SOLUTION
    return (dprobs * counts).sum(1, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_03(d_counts_sum_inv)

# %% [markdown]
# <details><summary>Hint 1</summary>How many times was each entry of <code>counts_sum_inv</code> used?</details>
# <details><summary>Hint 2</summary>What was broadcast forward is summed backward. The two usual mistakes: no sum, and a sum without <code>keepdim=True</code>.</details>

# %% [markdown]
# ---
# ### EX1_04. `dcounts_sum`   (1 of 5 · 5 minutes)
#
# Forward: `counts_sum_inv = counts_sum ** -1`. No broadcasting here: a row sum has one inverse.


# %%
def d_counts_sum(dcounts_sum_inv: torch.Tensor, counts_sum: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `counts_sum`.

    dcounts_sum_inv, counts_sum: (N, 1).  Returns (N, 1).
    """
    ### BEGIN SOLUTION
    return -dcounts_sum_inv * counts_sum**-2
    ### END SOLUTION


# %%
check.ex1_04(d_counts_sum)

# %% [markdown]
# <details><summary>Hint 1</summary>The power rule: the exponent comes down as a factor, and drops by one.</details>
# <details><summary>Hint 2</summary>The usual mistake is to lose the minus.</details>

# %% [markdown]
# ---
# ### EX1_05. `dcounts`   (3 of 5 · 10 minutes)
#
# `counts` is used twice: in `counts_sum = counts.sum(1, keepdim=True)` and in `probs = counts * counts_sum_inv`.


# %%
def d_counts(dprobs: torch.Tensor, counts_sum_inv: torch.Tensor, dcounts_sum: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `counts`.

    dprobs: (N, V).  counts_sum_inv, dcounts_sum: (N, 1).  Returns (N, V).
    """
    ### BEGIN SOLUTION
    return dprobs * counts_sum_inv + dcounts_sum
    ### END SOLUTION


# %%
check.ex1_05(d_counts)

# %% [markdown]
# <details><summary>Hint 1</summary>Two branches, two contributions, added.</details>
# <details><summary>Hint 2</summary>A sum hands its gradient to each of its terms in full. The usual mistake is one branch of two forgotten: the shape is right and nothing complains.</details>

# %% [markdown]
# ---
# ### EX1_06. `dnorm_logits`   (1 of 5 · 5 minutes)
#
# Forward: `counts = norm_logits.exp()`. One of the few functions whose derivative costs nothing, once the forward pass is done.


# %%
def d_norm_logits(dcounts: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `norm_logits`.

    dcounts, counts: (N, V).  Returns (N, V).
    """
    ### BEGIN SOLUTION
    return dcounts * counts
    ### END SOLUTION


# %%
check.ex1_06(d_norm_logits)

# %% [markdown]
# <details><summary>Hint 1</summary>exp is its own derivative, and its value is at hand.</details>
# <details><summary>Hint 2</summary>The usual mistake is to apply exp once more, to <code>counts</code>.</details>

# %% [markdown]
# ---
# ### EX1_07. `dlogit_maxes`   (2 of 5 · 6 minutes)
#
# `norm_logits = logits - logit_maxes`, with `logit_maxes` of shape (N, 1). Do this step as it stands, although you may know what comes out for the whole network.


# %%
def d_logit_maxes(dnorm_logits: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `logit_maxes`.

    dnorm_logits: (N, V).  Returns (N, 1).
    """
    ### BEGIN SOLUTION
    return -dnorm_logits.sum(1, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_07(d_logit_maxes)

# %% [markdown]
# <details><summary>Hint 1</summary>It was stretched, and it was subtracted.</details>
# <details><summary>Hint 2</summary>The usual mistakes: a lost minus, and a lost dimension (<code>keepdim=True</code>).</details>

# %% [markdown]
# ---
# ### EX1_08. `dlogits`   (3 of 5 · 12 minutes)
#
# `logits` is used twice: in `norm_logits = logits - logit_maxes` and in `logit_maxes = logits.max(1, keepdim=True).values`.


# %%
def d_logits(dnorm_logits: torch.Tensor, dlogit_maxes: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `logits`.

    dnorm_logits, logits: (N, V).  dlogit_maxes: (N, 1).  Returns (N, V).
    """
    ### BEGIN SOLUTION
    largest = F.one_hot(logits.argmax(1), logits.shape[1])  # (N, V)
    return dnorm_logits + dlogit_maxes * largest
    ### END SOLUTION


# %%
check.ex1_08(d_logits)

# %% [markdown]
# <details><summary>Hint 1</summary>A maximum copies one entry of the row. Who gets its gradient?</details>
# <details><summary>Hint 2</summary><code>F.one_hot(logits.argmax(1), ...)</code> marks the entry of each row. The usual mistake is to give the maximum's gradient to the whole row.</details>

# %% [markdown]
# ---
# ## Exercise 1, second part: the second layer
#
# `logits = h @ W2 + b2` and `h = hpreact.tanh()`. `(N, H)` is examples by hidden neurons. Let the shapes lead.

# %% [markdown]
# ---
# ### EX1_09. `dh`   (2 of 5 · 6 minutes)
#
# Forward: `logits = h @ W2 + b2`. Every hidden neuron touches all V logits of its example. Write the gradient in `h`.


# %%
def d_h(dlogits: torch.Tensor, W2: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `h`.

    dlogits: (N, V).  W2: (H, V).  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return dlogits @ W2.T
    ### END SOLUTION


# %%
check.ex1_09(d_h)

# %% [markdown]
# <details><summary>Hint 1</summary>The answer is (N, H). Which product of an (N, V) and an (H, V) tensor has that shape?</details>
# <details><summary>Hint 2</summary>The usual mistake is the transpose of the whole.</details>

# %% [markdown]
# ---
# ### EX1_10. `dW2`   (2 of 5 · 6 minutes)
#
# Forward: `logits = h @ W2 + b2`. Every weight is used once by each of the N examples. Write the gradient in `W2`.


# %%
def d_W2(dlogits: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `W2`.

    dlogits: (N, V).  h: (N, H).  Returns (H, V).
    """
    ### BEGIN SOLUTION
    return h.T @ dlogits
    ### END SOLUTION


# %%
check.ex1_10(d_W2)

# %% [markdown]
# <details><summary>Hint 1</summary>The batch is the dimension that is summed away: each example adds its share.</details>
# <details><summary>Hint 2</summary>The usual mistake is to divide by N once more.</details>

# %% [markdown]
# ---
# ### EX1_11. `db2`   (1 of 5 · 4 minutes)
#
# Forward: `logits = h @ W2 + b2`. One bias vector serves all N rows. Write the gradient in `b2`, of shape (V,).


# %%
def d_b2(dlogits: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `b2`.

    dlogits: (N, V).  Returns (V,).
    """
    ### BEGIN SOLUTION
    return dlogits.sum(0)
    ### END SOLUTION


# %%
check.ex1_11(d_b2)

# %% [markdown]
# <details><summary>Hint 1</summary>The bias was added to every row.</details>
# <details><summary>Hint 2</summary>The usual mistake is a missing sum over the dimension that was stretched, or a sum over the other one.</details>

# %% [markdown]
# ---
# ### EX1_12. `dhpreact`   (1 of 5 · 5 minutes)
#
# Forward: `h = hpreact.tanh()`. You get `h`, not `hpreact`, and need no other tanh.


# %%
def d_hpreact(dh: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `hpreact`.

    dh, h: (N, H).  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return dh * (1 - h**2)
    ### END SOLUTION


# %%
check.ex1_12(d_hpreact)

# %% [markdown]
# <details><summary>Hint 1</summary>The derivative of tanh, written with its own value.</details>
# <details><summary>Hint 2</summary>The usual mistake is a missing square, or a second tanh.</details>

# %% [markdown]
# ---
# ## Exercise 1, third part: BatchNorm
#
# Its parameters and statistics have the shape (1, H): keep the dimension. Two of its tensors, `bndiff` and `hprebn`, are used twice.

# %% [markdown]
# ---
# ### EX1_13. `dbngain`   (2 of 5 · 5 minutes)
#
# Forward: `hpreact = bngain * bnraw + bnbias`. Each neuron has one gain for all examples. Write the gradient in `bngain`, of shape (1, H).


# %%
def d_bngain(dhpreact: torch.Tensor, bnraw: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bngain`.

    dhpreact, bnraw: (N, H).  Returns (1, H).
    """
    ### BEGIN SOLUTION
    return (dhpreact * bnraw).sum(0, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_13(d_bngain)

# %% [markdown]
# <details><summary>Hint 1</summary>A product with a stretched tensor: you have done one in 1.03, in the other direction.</details>
# <details><summary>Hint 2</summary>The usual mistakes: a missing sum, and <code>keepdim</code> lost.</details>

# %% [markdown]
# ---
# ### EX1_14. `dbnbias`   (1 of 5 · 4 minutes)
#
# Forward: `hpreact = bngain * bnraw + bnbias`. The gradient in `bnbias`, of shape (1, H): a bias like `b2`, but written with two dimensions.


# %%
def d_bnbias(dhpreact: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bnbias`.

    dhpreact: (N, H).  Returns (1, H).
    """
    ### BEGIN SOLUTION
    return dhpreact.sum(0, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_14(d_bnbias)

# %% [markdown]
# <details><summary>Hint 1</summary>As 1.11, but this bias has two dimensions.</details>
# <details><summary>Hint 2</summary>The usual mistake is <code>keepdim</code> lost.</details>

# %% [markdown]
# ---
# ### EX1_15. `dbnraw`   (1 of 5 · 4 minutes)
#
# Forward: `hpreact = bngain * bnraw + bnbias`. The same product from its other side: the gradient in `bnraw`.


# %%
def d_bnraw(dhpreact: torch.Tensor, bngain: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bnraw`.

    dhpreact: (N, H).  bngain: (1, H).  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return dhpreact * bngain
    ### END SOLUTION


# %%
check.ex1_15(d_bnraw)

# %% [markdown]
# <details><summary>Hint 1</summary>Here the gradient is stretched, not summed: <code>bnraw</code> is the large one.</details>
# <details><summary>Hint 2</summary>The usual mistake hides in a fresh network, where every gain is 1.</details>

# %% [markdown]
# ---
# ### EX1_16. `dbnvar_inv`   (2 of 5 · 5 minutes)
#
# Forward: `bnraw = bndiff * bnvar_inv`. One factor a neuron stretches or squeezes its whole column. Write the gradient in `bnvar_inv`, of shape (1, H).


# %%
def d_bnvar_inv(dbnraw: torch.Tensor, bndiff: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bnvar_inv`.

    dbnraw, bndiff: (N, H).  Returns (1, H).
    """
    ### BEGIN SOLUTION
    return (dbnraw * bndiff).sum(0, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_16(d_bnvar_inv)

# %% [markdown]
# <details><summary>Hint 1</summary>The same rule a third time.</details>
# <details><summary>Hint 2</summary>The usual mistakes: a missing sum, and <code>keepdim</code> lost.</details>

# %% [markdown]
# ---
# ### EX1_17. `dbnvar`   (2 of 5 · 6 minutes)
#
# Forward: `bnvar_inv = (bnvar + 1e-5) ** -0.5`. The check uses small variances, so that every part of the formula counts.


# %%
def d_bnvar(dbnvar_inv: torch.Tensor, bnvar: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bnvar`.

    dbnvar_inv, bnvar: (1, H).  Returns (1, H).
    """
    ### BEGIN SOLUTION
    return dbnvar_inv * -0.5 * (bnvar + 1e-5) ** -1.5
    ### END SOLUTION


# %%
check.ex1_17(d_bnvar)

# %% [markdown]
# <details><summary>Hint 1</summary>The power rule once more: from -0.5 to which exponent?</details>
# <details><summary>Hint 2</summary>The usual mistake is a forgotten epsilon: it belongs to the forward pass, so it belongs here.</details>

# %% [markdown]
# ---
# ### EX1_18. `dbndiff2`   (2 of 5 · 6 minutes)
#
# Forward: `bnvar = bndiff2.sum(0, keepdim=True) / (N - 1)`, the sum of N rows. For the first time the gradient must grow: from (1, H) to (N, H).


# %%
def d_bndiff2(dbnvar: torch.Tensor, bndiff2: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bndiff2`.

    dbnvar: (1, H).  bndiff2: (N, H), for its shape.  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return (dbnvar / (len(bndiff2) - 1)).expand_as(bndiff2)
    ### END SOLUTION


# %%
check.ex1_18(d_bndiff2)

# %% [markdown]
# <details><summary>Hint 1</summary>What was summed forward is broadcast backward.</details>
# <details><summary>Hint 2</summary><code>expand_as</code> stretches without copying. The usual mistake is Bessel's N - 1, replaced by N or forgotten.</details>

# %% [markdown]
# ---
# ### EX1_19. `dbndiff`   (3 of 5 · 10 minutes)
#
# `bndiff` is used twice: in `bnraw = bndiff * bnvar_inv` and in `bndiff2 = bndiff ** 2`.


# %%
def d_bndiff(
    dbnraw: torch.Tensor, bnvar_inv: torch.Tensor, dbndiff2: torch.Tensor, bndiff: torch.Tensor
) -> torch.Tensor:
    """The loss's gradient in `bndiff`.

    dbnraw, dbndiff2, bndiff: (N, H).  bnvar_inv: (1, H).  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return dbnraw * bnvar_inv + dbndiff2 * 2 * bndiff
    ### END SOLUTION


# %%
check.ex1_19(d_bndiff)

# %% [markdown]
# <details><summary>Hint 1</summary>Two branches, added.</details>
# <details><summary>Hint 2</summary>The usual mistake is one branch of two forgotten; the next is the factor 2.</details>

# %% [markdown]
# ---
# ### EX1_20. `dbnmeani`   (2 of 5 · 5 minutes)
#
# Forward: `bndiff = hprebn - bnmeani`, one mean for all rows of a column. Write the gradient in `bnmeani`, of shape (1, H).


# %%
def d_bnmeani(dbndiff: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `bnmeani`.

    dbndiff: (N, H).  Returns (1, H).
    """
    ### BEGIN SOLUTION
    return -dbndiff.sum(0, keepdim=True)
    ### END SOLUTION


# %%
check.ex1_20(d_bnmeani)

# %% [markdown]
# <details><summary>Hint 1</summary>Stretched, and subtracted.</details>
# <details><summary>Hint 2</summary>The usual mistakes: a lost minus, a missing sum, <code>keepdim</code> lost. The mean's 1/N comes in the next step.</details>

# %% [markdown]
# ---
# ### EX1_21. `dhprebn`   (3 of 5 · 10 minutes)
#
# `hprebn` is used twice: in `bndiff = hprebn - bnmeani` and in `bnmeani = hprebn.sum(0, keepdim=True) / N`.


# %%
def d_hprebn(dbndiff: torch.Tensor, dbnmeani: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `hprebn`.

    dbndiff: (N, H).  dbnmeani: (1, H).  Returns (N, H).
    """
    ### BEGIN SOLUTION
    return dbndiff + dbnmeani / len(dbndiff)
    ### END SOLUTION


# %%
check.ex1_21(d_hprebn)

# %% [markdown]
# <details><summary>Hint 1</summary>Two branches, added; one of them is stretched over the rows.</details>
# <details><summary>Hint 2</summary>The usual mistakes: one branch of two forgotten, and a mean without its 1/N.</details>

# %% [markdown]
# ---
# ## Exercise 1, fourth part: the first layer and the embedding
#
# `emb = C[x]`, `embcat = emb.view(N, -1)`, `hprebn = embcat @ W1 + b1`. `T` is the length of the context, `E` the width of an embedding.

# %% [markdown]
# ---
# ### EX1_22. `dembcat`   (2 of 5 · 5 minutes)
#
# Forward: `hprebn = embcat @ W1 + b1`. Write the gradient in `embcat`: this is what the embeddings will learn from.


# %%
def d_embcat(dhprebn: torch.Tensor, W1: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `embcat`.

    dhprebn: (N, H).  W1: (T·E, H).  Returns (N, T·E).
    """
    ### BEGIN SOLUTION
    return dhprebn @ W1.T
    ### END SOLUTION


# %%
check.ex1_22(d_embcat)

# %% [markdown]
# <details><summary>Hint 1</summary>As 1.09.</details>
# <details><summary>Hint 2</summary>The usual mistake is the transpose of the whole: compare the shape with embcat's.</details>

# %% [markdown]
# ---
# ### EX1_23. `dW1`   (2 of 5 · 5 minutes)
#
# Forward: `hprebn = embcat @ W1 + b1`. Write the gradient in `W1`, without looking at 1.10.


# %%
def d_W1(dhprebn: torch.Tensor, embcat: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `W1`.

    dhprebn: (N, H).  embcat: (N, T·E).  Returns (T·E, H).
    """
    ### BEGIN SOLUTION
    return embcat.T @ dhprebn
    ### END SOLUTION


# %%
check.ex1_23(d_W1)

# %% [markdown]
# <details><summary>Hint 1</summary>As 1.10.</details>
# <details><summary>Hint 2</summary>The usual mistake is to divide by N once more: the mean entered with <code>dlogprobs</code>.</details>

# %% [markdown]
# ---
# ### EX1_24. `db1`   (1 of 5 · 4 minutes)
#
# Forward: `hprebn = embcat @ W1 + b1`. Write the gradient in `b1`, of shape (H,). Afterwards look at its size in the table: why must it be zero?


# %%
def d_b1(dhprebn: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `b1`.

    dhprebn: (N, H).  Returns (H,).
    """
    ### BEGIN SOLUTION
    return dhprebn.sum(0)
    ### END SOLUTION


# %%
check.ex1_24(d_b1)

# %% [markdown]
# <details><summary>Hint 1</summary>As 1.11.</details>
# <details><summary>Hint 2</summary>The usual mistake is a missing sum. The riddle: what does BatchNorm do to a constant that is added to a column?</details>

# %% [markdown]
# ---
# ### EX1_25. `demb`   (1 of 5 · 5 minutes)
#
# Forward: `embcat = emb.view(N, -1)`, which laid the T rows of each example side by side.


# %%
def d_emb(dembcat: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `emb`.

    dembcat: (N, T·E).  emb: (N, T, E), for its shape.  Returns (N, T, E).
    """
    ### BEGIN SOLUTION
    return dembcat.view(emb.shape)
    ### END SOLUTION


# %%
check.ex1_25(d_emb)

# %% [markdown]
# <details><summary>Hint 1</summary>A view moves nothing. Undo it.</details>
# <details><summary>Hint 2</summary>The usual mistake is a wrong order of the last two dimensions: the first E numbers belong to the first character.</details>

# %% [markdown]
# ---
# ### EX1_26. `dC`   (4 of 5 · 12 minutes)
#
# Forward: `emb = C[x]`, which copied rows of the table; a character that occurs several times was copied several times.


# %%
def d_C(demb: torch.Tensor, x: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """The loss's gradient in `C`.

    demb: (N, T, E).  x: (N, T) int64.  C: (V, E), for its shape.  Returns (V, E).
    """
    ### BEGIN SOLUTION
    dC = torch.zeros_like(C)
    return dC.index_add_(0, x.flatten(), demb.flatten(0, 1))
    ### END SOLUTION


# %%
check.ex1_26(d_C)

# %% [markdown]
# <details><summary>Hint 1</summary>A loop over all N·T places is a good first version: which row of dC does each add to?</details>
# <details><summary>Hint 2</summary>The usual mistake is <code>dC[x] += demb</code>, which counts a repeated character once. <code>index_add_</code> adds every time.</details>

# %% [markdown]
# ---
# ## The table of results
#
# One call runs all your functions on the real network. "exact" means equal to autograd to the last bit, "approximate" equal up to rounding; a task that you have not done says so. Come back whenever you like.

# %% tags=["demo"]
table(v, globals())

# %% [markdown]
# ---
# ## Exercises 2 and 3: whole layers in one expression

# %% [markdown]
# ---
# ### EX2. Cross entropy in one expression   (3 of 5 · 20 minutes)
#
# The eight steps from `dlogprobs` to `dlogits` cancel to almost nothing. Take pencil and paper: write the loss of one example as a function of its logits, $L = \log \sum_j e^{\ell_j} - \ell_y$, differentiate, and code the result for a batch with its mean. It must survive logits of 1000.


# %%
def cross_entropy_backward(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient of the mean cross entropy in the logits.

    logits: (N, V).  y: (N,) int64, the right answers.  Returns (N, V).
    """
    ### BEGIN SOLUTION
    dlogits = F.softmax(logits, 1)
    dlogits[range(len(y)), y] -= 1
    return dlogits / len(y)
    ### END SOLUTION


# %%
check.ex2(cross_entropy_backward)

# %% [markdown]
# <details><summary>Hint 1</summary>Differentiate by a logit that is not the right answer's, then by the right answer's. They differ by one.</details>
# <details><summary>Hint 2</summary>Probabilities minus one-hot. The usual mistake is the mean's 1/N, forgotten for one of the two parts.</details>

# %% [markdown]
# ---
# ### EX3. BatchNorm in one expression   (4 of 5 · 40 minutes)
#
# From `dhpreact` to `dhprebn` without the six tensors between. On paper, for one column with $x_i$ for `hprebn` and $\hat x_i$ for `bnraw`: how does $x_i$ reach the loss directly, through the mean, and through the variance, which divides by $N - 1$? Then simplify: $\hat x$ sums to zero. What is left needs two sums over the batch.


# %%
def batchnorm_backward(
    dhpreact: torch.Tensor, bngain: torch.Tensor, bnraw: torch.Tensor, bnvar_inv: torch.Tensor
) -> torch.Tensor:
    """The gradient in BatchNorm's input, `hprebn`; its variance divides by N - 1.

    dhpreact, bnraw: (N, H).  bngain, bnvar_inv: (1, H), the latter (bnvar + 1e-5) ** -0.5.  Returns (N, H).
    """
    ### BEGIN SOLUTION
    n, g = len(dhpreact), dhpreact * bngain  # g: the gradient in bnraw
    return bnvar_inv * (g - g.sum(0) / n - bnraw * (g * bnraw).sum(0) / (n - 1))
    ### END SOLUTION


# %%
check.ex3(batchnorm_backward)

# %% [markdown]
# <details><summary>Hint 1</summary>Start from your own 1.15 to 1.21 and put one into the other.</details>
# <details><summary>Hint 2</summary>You should find three terms: the gradient itself, minus its mean, minus <code>bnraw</code> times a weighted sum. The usual mistake is one of them forgotten, or N in place of N - 1 in the last.</details>

# %% [markdown]
# ---
# ## Exercise 4: train with manual gradients only
#
# The same network, as one would build it: no `b1` (you know why), BatchNorm's parameters of shape (H,), and its variance divided by N, as in PyTorch.

# %% [markdown]
# ---
# ### EX4. All gradients in one function   (4 of 5 · 30 minutes)
#
# Forward, then backward, with your expressions from exercises 2 and 3. The check compares all six gradients, from the loss upwards, and tells the first that is off.


# %%
def gradients(P: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """The loss and its gradient in every parameter, without autograd.

    P: C (V, E), W1 (T·E, H), bngain (H,), bnbias (H,), W2 (H, V), b2 (V,).  x: (N, T) int64.  y: (N,) int64.
    BatchNorm: mean and variance of the batch, the variance divided by N, epsilon 1e-5; then tanh.
    Returns the mean cross entropy, (), and {name: gradient}, each of its parameter's shape.
    """
    ### BEGIN SOLUTION
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dlogits /= n
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / n)  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"]).index_add_(0, x.flatten(), demb)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
        "b2": dlogits.sum(0),
    }
    return loss, grads
    ### END SOLUTION


# %%
check.ex4(gradients)

# %% [markdown]
# <details><summary>Hint 1</summary>With the variance divided by N, exercise 3's two sums are <code>dbnbias</code> and <code>dbngain</code>, over N.</details>
# <details><summary>Hint 2</summary>Build it from the loss upwards and run the check after each gradient: it says which name is missing, then which is off first.</details>
# <details><summary>Hint 3</summary>The usual mistakes: N - 1 left over from exercise 3, and <code>dC[x] += demb</code>.</details>

# %% [markdown]
# ---
# ### EX4_TRAIN. The loop   (2 of 5 · 15 minutes)
#
# Plain gradient descent on minibatches drawn with replacement, with `gradients` as an argument (the check hands in its own, so EX4 may wait). Update the tensors of `P` in place.


# %%
def train_by_hand(P: dict, X: torch.Tensor, Y: torch.Tensor, gradients, steps: int, batch: int, rate: float) -> list:
    """Take `steps` steps: draw `batch` examples, P[name] -= rate * gradient. Returns the losses of all steps.

    P: parameters by name, changed in place.  X: (examples, T).  Y: (examples,).
    gradients(P, x, y) -> (loss, {name: gradient}).
    """
    ### BEGIN SOLUTION
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses
    ### END SOLUTION


# %%
check.ex4_train(train_by_hand)

# %% [markdown]
# <details><summary>Hint 1</summary><code>torch.randint(len(X), (batch,))</code> draws the indices. Use the same for x and y.</details>
# <details><summary>Hint 2</summary>The usual mistakes: a new tensor bound to an old name (<code>p = p - ...</code> changes nothing in P), and a batch drawn once, outside the loop.</details>

# %% [markdown]
# Now the real data, with your loop and your gradients. The dev loss uses the statistics of 20,000 training examples in place of a batch's.

# %% tags=["demo"]
P = {
    "C": randn(27, 10),
    "W1": randn(30, 200) * (5 / 3) / 30**0.5,
    "bngain": torch.ones(200),
    "bnbias": torch.zeros(200),
}
P |= {"W2": randn(200, 27) * 0.02, "b2": torch.zeros(27)}
P = {name: p.float() for name, p in P.items()}
losses = train_by_hand(P, X, Y, gradients, steps=steps, batch=batch, rate=0.2)
before = P["C"][X[:20_000]].flatten(1) @ P["W1"]  # (20000, 200)
hprebn = P["C"][Xdev].flatten(1) @ P["W1"]  # (dev, 200)
h = torch.tanh((hprebn - before.mean(0)) * (before.var(0) + 1e-5) ** -0.5 * P["bngain"] + P["bnbias"])
print(
    f"first loss {losses[0]:.2f}, dev loss {F.cross_entropy(h @ P['W2'] + P['b2'], Ydev):.3f} without one call of backward()"
)

# %% [markdown]
# ---
# ## Extra: three layers of what comes next
#
# Softmax as a layer of its own, LayerNorm and attention are what a Transformer (lecture 07) has that this network does not. With these three and the five rules you could train one by hand.

# %% [markdown]
# ---
# ### EXTRA_SOFTMAX. Softmax alone   (3 of 5 · 20 minutes)
#
# In exercise 2 softmax and the logarithm cancelled. In attention there is no logarithm behind it. $p_i = e^{z_i} / \sum_j e^{z_j}$: find $\partial p_i / \partial z_j$ for $i = j$ and for $i \ne j$, and sum over $i$. It runs along the **last** dimension, of tensors with any number of dimensions.


# %%
def softmax_backward(dprobs: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
    """The gradient in softmax's input. dprobs, probs: (..., V), probs = softmax(z, -1).  Returns (..., V)."""
    ### BEGIN SOLUTION
    return probs * (dprobs - (dprobs * probs).sum(-1, keepdim=True))
    ### END SOLUTION


# %%
check.extra_softmax(softmax_backward)

# %% [markdown]
# <details><summary>Hint 1</summary>The derivative is p_i ([i = j] - p_j): a diagonal part and a shared part.</details>
# <details><summary>Hint 2</summary>The usual mistake is to keep the diagonal alone, p (1 - p), as if every probability had only its own logit.</details>

# %% [markdown]
# ---
# ### EXTRA_LAYERNORM. LayerNorm   (4 of 5 · 30 minutes)
#
# As BatchNorm, but mean and variance (divided by C) run over the features of each row, so that no example sees another. Gain and bias are still stretched over the rows. Compute what you need of the forward pass yourself.


# %%
def layernorm_backward(
    dy: torch.Tensor, x: torch.Tensor, gain: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of y = gain * (x - mean) / sqrt(var + 1e-5) + bias, with mean and var of each row.

    dy, x: (N, C).  gain: (C,).  Returns dx (N, C), dgain (C,), dbias (C,).
    """
    ### BEGIN SOLUTION
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n - raw * (g * raw).sum(1, keepdim=True) / n)
    return dx, (dy * raw).sum(0), dy.sum(0)
    ### END SOLUTION


# %%
check.extra_layernorm(layernorm_backward)

# %% [markdown]
# <details><summary>Hint 1</summary>Exercise 3's formula with the statistics' dimension exchanged, and C in place of N - 1.</details>
# <details><summary>Hint 2</summary>The gain varies along the row now: it belongs inside the sums. In BatchNorm it could be pulled out.</details>

# %% [markdown]
# ---
# ### EXTRA_ATTENTION. Causal attention   (5 of 5 · 40 minutes)
#
# The heart of a Transformer, one head: $\text{out} = \text{softmax}\left(\text{mask}(q k^\top / \sqrt D)\right) v$, where the mask sets all scores of later positions to $-\infty$. Two matrix products and a softmax: you have all that it takes. `t.mT` transposes the last two dimensions of a batch of matrices.


# %%
def attention_backward(
    dout: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of causal scaled dot-product attention in q, k and v. All tensors, also the returned: (B, T, D)."""
    ### BEGIN SOLUTION
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (B, T, T)
    return dscores @ k / D**0.5, dscores.mT @ q / D**0.5, dv
    ### END SOLUTION


# %%
check.extra_attention(attention_backward)

# %% [markdown]
# <details><summary>Hint 1</summary>Name every intermediate of the forward pass: scores, weights, out. Then walk back: dweights, dscores, and the matrix rule for the rest.</details>
# <details><summary>Hint 2</summary>What about the mask? In the softmax's backward pass each score's gradient has its weight as a factor. A masked weight is zero, so its score gets zero without another line.</details>
# <details><summary>Hint 3</summary>The usual mistakes: the scale 1/sqrt(D) forgotten in dq and dk, and weights not transposed in dv.</details>
