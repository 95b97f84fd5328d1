# %% [markdown]
# # 04 · exercises: activations, gradients, BatchNorm
#
# A network that starts with all its numbers at zero, and why it is not as dead as you think. A BatchNorm layer that disappears after training. And two pieces of the lecture that you should
# have written once yourself: a gain, measured for any nonlinearity, and the forward pass of BatchNorm.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/04_makemore_activations_batchnorm.ipynb) · a run takes about 15 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 04. The tasks do not depend on each other.

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
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import lesson, train
from course_utils.checks import batchnorm as check
from course_utils.lectures.layers import BatchNorm1d, Embedding, Linear, Sequential, Tanh, evaluating
from course_utils.lectures.names import build_dataset, load_names, split_words

device = lesson.start("04_makemore_activations_batchnorm, exercises")

# %% tags=["parameters"]
zero_steps, zero_rate = 300, 2.0  # gradient descent from zeros, on 5,000 windows
fold_steps = 400  # steps that train the network whose BatchNorms are folded away

# %%
train_words, dev_words, _ = split_words(load_names())
X, Y = (t.to(device) for t in build_dataset(train_words, 3))
Xdev, Ydev = (t.to(device) for t in build_dataset(dev_words, 3))
X.shape, Xdev.shape

# %% [markdown]
# ---
# ### E01a. All zeros: what trains?   (2 of 5 · 20 minutes)
#
# Start the classic network with *every* parameter at zero: embedding, both weights, both biases. You might think that it trains as usual, or that it does not train at all. Neither is true. Train it with
# plain gradient descent on all examples given (no batches), and report how far each parameter got from zero: the largest absolute value of its change.
#
# The network is the lecture's: $h = \tanh(\text{emb}\,W_1 + b_1)$, logits $= h W_2 + b_2$, cross entropy. Before you run it, write down on paper which of the five gradients are zero at the start.


# %%
def train_from_zeros(
    X: torch.Tensor, Y: torch.Tensor, V: int, dim: int, hidden: int, steps: int, rate: float
) -> dict[str, float]:
    """Train the classic network from zeros on all of X at each step; say how far each parameter moved.

    X: (N, block) characters, Y: (N,) next ones, both below V.  C: (V, dim), W1: (block*dim, hidden), b1: (hidden,),
    W2: (hidden, V), b2: (V,).  Returns {"C": ..., "W1": ..., "b1": ..., "W2": ..., "b2": ...}, numbers.
    """
    ### BEGIN SOLUTION
    shapes = {"C": (V, dim), "W1": (X.shape[1] * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.zeros(shape, device=X.device, requires_grad=True) for name, shape in shapes.items()}
    for _ in range(steps):
        h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])  # (N, hidden)
        loss = F.cross_entropy(h @ p["W2"] + p["b2"], Y)
        grads = torch.autograd.grad(loss, list(p.values()))
        with torch.no_grad():
            for t, grad in zip(p.values(), grads, strict=True):
                t -= rate * grad
    return {name: t.abs().max().item() for name, t in p.items()}
    ### END SOLUTION


# %%
check.e01a(train_from_zeros)

# %% [markdown]
# <details><summary>Hint 1</summary>The gradient of <code>W2</code> is <code>h.T @ dlogits</code>. What is h at the start?</details>
# <details><summary>Hint 2</summary>The gradient of h is <code>dlogits @ W2.T</code>. What does that make of everything below?</details>
# <details><summary>Hint 3</summary>Since all started at zero, the change is the value at the end. Reset gradients at each step, or take them with <code>torch.autograd.grad</code>.</details>

# %% tags=["demo"]
moved = train_from_zeros(X[:5000], Y[:5000], 27, 10, 200, zero_steps, zero_rate)
moved

# %% [markdown]
# <details><summary><b>Why, in four lines</b></summary>
#
# h = tanh(0) = 0, so the gradient of W2 = hᵀ · dlogits is zero. W2 = 0, so the gradient of h is zero, and with it those of b1, W1 and C. Only b2 gets a gradient, since it is added to the logits directly. After
# the step h and W2 are still zero, so the same holds at every later step. Any two of them being zero are enough to lock each other. This is why only <i>one</i> of two layers in a row may start at zero.
# </details>

# %% [markdown]
# ---
# ### E01b. And where does it end?   (2 of 5 · 10 minutes)
#
# Only one bias learns, so every input gets the same 27 probabilities. Which ones are best, and what is the loss then? Compute it from `Y` alone, without training.


# %%
def loss_it_approaches(Y: torch.Tensor, V: int) -> float:
    """The lowest mean cross entropy (in nats) of a model that gives every input the same V probabilities.

    Y: (N,) characters, below V. Some of the V may never occur.
    """
    ### BEGIN SOLUTION
    q = torch.bincount(Y, minlength=V) / len(Y)  # (V,) how often each occurs
    q = q[q > 0]
    return -(q * q.log()).sum().item()
    ### END SOLUTION


# %%
check.e01b(loss_it_approaches)

# %% [markdown]
# <details><summary>Hint 1</summary>The same probabilities for every input: then the best are the frequencies of the characters.</details>
# <details><summary>Hint 2</summary>The mean of −log q over the examples counts each character as often as it occurs. This number is the entropy of the frequencies.</details>

# %% tags=["demo"]
b2 = torch.zeros(27, device=device, requires_grad=True)
for _ in range(zero_steps):  # the whole network of zeros, since nothing else in it moves
    loss = F.cross_entropy(b2.expand(5000, 27), Y[:5000])
    b2 = (b2 - zero_rate * torch.autograd.grad(loss, b2)[0]).detach().requires_grad_()
print(f"trained from zeros: {loss:.4f}    the limit: {loss_it_approaches(Y[:5000], 27):.4f}")

# %% [markdown]
# ---
# ### E02. Fold a BatchNorm away   (3 of 5 · 20 minutes)
#
# After training, BatchNorm's statistics are fixed numbers, so the layer is a multiplication and an addition for each unit. So is the linear layer before it. Two such layers in a row are one. Write the function that makes it:
# a **new** `Linear` with a bias that returns what `bn(linear(x))` returns in evaluation mode. The linear layer may come without a bias, and you may not change the layers that you are given.


# %%
def fold(linear: Linear, bn: BatchNorm1d) -> Linear:
    """One Linear that does what linear and then bn do in evaluation mode.

    linear.weight: (out, in), linear.bias: (out,) or None.  bn.weight, bn.bias, bn.running_mean, bn.running_var: (out,).
    The check brings layers in float64, one of them in training mode: leave each as it is.
    """
    ### BEGIN SOLUTION
    fan_out, fan_in = linear.weight.shape
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()  # (out,)
    bias = 0.0 if linear.bias is None else linear.bias
    folded = Linear(fan_in, fan_out).to(linear.weight)  # same device, same kind of floats
    with torch.no_grad():
        folded.weight.copy_(linear.weight * scale[:, None])  # row i makes unit i
        folded.bias.copy_((bias - bn.running_mean) * scale + bn.bias)
    return folded
    ### END SOLUTION


# %%
check.e02(fold)

# %% [markdown]
# <details><summary>Hint 1</summary>Write y = γ (W x + b − μ) / √(σ² + ε) + β, and collect what stands before x.</details>
# <details><summary>Hint 2</summary>Unit i is made by row i of the weight: multiply rows, <code>scale[:, None]</code>.</details>
# <details><summary>Hint 3</summary>The new bias is (b − μ) · scale + β. Fill it under <code>torch.no_grad()</code>, with <code>copy_</code>.</details>

# %% [markdown]
# On a real network: three layers, two BatchNorms, trained for a few seconds. Then fold both, and compare on the whole dev set.

# %% tags=["demo"]
g = torch.Generator().manual_seed(42)
net = Sequential(
    Embedding(27, 10, generator=g),
    nn.Flatten(),
    *(Linear(30, 100, bias=False, gain=5 / 3, generator=g), BatchNorm1d(100), Tanh()),
    *(Linear(100, 100, bias=False, gain=5 / 3, generator=g), BatchNorm1d(100), Tanh()),
    Linear(100, 27, gain=0.1, generator=g),
).to(device)
optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
for ix in train.progress(torch.randint(0, len(X), (fold_steps, 256), generator=g).to(device), "three layers"):
    optimiser.zero_grad()
    F.cross_entropy(net(X[ix]), Y[ix]).backward()
    optimiser.step()

# %% tags=["demo"]
small = Sequential(net[0], net[1], fold(net[2], net[3]), net[4], fold(net[5], net[6]), net[7], net[8])
with evaluating(net), evaluating(small):
    torch.testing.assert_close(small(Xdev), net(Xdev), rtol=1e-4, atol=1e-4)  # float32, in another order of operations
    print(
        f"dev loss with BatchNorm {F.cross_entropy(net(Xdev), Ydev):.5f}, folded {F.cross_entropy(small(Xdev), Ydev):.5f}"
    )

# %% [markdown]
# ---
# ### E03. The gain of any nonlinearity   (2 of 5 · 10 minutes)
#
# Section 3 of the lecture derived √2 for ReLU on paper. Many nonlinearities have no such neat answer, and need none: measure it. Let the input be standard normal. The layer after the
# nonlinearity sums $\mathrm{E}[y^2]$ over its inputs. Which gain brings that back to 1? Right to one percent is enough, so draw plenty of numbers. Take them from a generator of your own (`torch.Generator()`), so that the random numbers of the rest of the page stay the same.


# %%
def measured_gain(act) -> float:
    """The gain g for which g² · E[act(z)²] = 1, with z standard normal.  act: a function, element by element."""
    ### BEGIN SOLUTION
    z = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    return act(z).square().mean().rsqrt().item()
    ### END SOLUTION


# %%
check.e03(measured_gain)

# %% [markdown]
# <details><summary>Hint 1</summary>Solve g² · E[y²] = 1 for g. For ReLU the expectation is 1/2.</details>
# <details><summary>Hint 2</summary>Mean square, not variance: the mean of y also reaches the next layer's sum, squared.</details>

# %% tags=["demo"]
{
    name: round(measured_gain(act), 3)
    for name, act in (("relu", F.relu), ("tanh", torch.tanh), ("gelu", F.gelu), ("silu", F.silu))
}

# %% [markdown]
# ---
# ### E04. BatchNorm, both modes   (3 of 5 · 20 minutes)
#
# Write the forward pass as one function without state: what the layer remembers comes in as arguments, and goes out as results. In training, normalise with the batch's mean and *biased* variance, and return
# running statistics that moved towards the batch's mean and *unbiased* variance by the share `momentum`. In evaluation, use the running statistics and return them as they are. Gradients must flow from y to x, through the
# batch's mean and variance, and none into the running statistics.


# %%
def batchnorm(
    x: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    training: bool,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x: (N, C); the four vectors: (C,).  Returns y (N, C), the new running mean (C,), the new running variance (C,)."""
    ### BEGIN SOLUTION
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        unbiased = x.detach().var(0, correction=1)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * unbiased
    y = gamma * (x - mean) / (var + eps).sqrt() + beta
    return y, running_mean, running_var
    ### END SOLUTION


# %%
check.e04(batchnorm)

# %% [markdown]
# <details><summary>Hint 1</summary><code>x.var(0, correction=0)</code> divides by N, <code>correction=1</code> by N − 1.</details>
# <details><summary>Hint 2</summary>new = (1 − momentum) · old + momentum · batch. Write it so that it makes a new tensor: <code>+=</code> would change the caller's.</details>
# <details><summary>Hint 3</summary>Detach what goes into the running statistics, and nothing else.</details>
