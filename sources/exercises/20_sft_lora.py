# %% [markdown]
# # 20 · exercises: fine-tuning, LoRA, chat
#
# Six tasks: which tokens count, a LoRA layer, merging in 16 bits, what fine-tuning a model of 7 billion parameters takes, how much rank is needed, and the mask of a packed row. Each has a cell to fill in, a check that
# says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/20_sft_lora.ipynb) · a run takes about 10 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 20. The tasks do not depend on each other.

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
import copy

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import lesson
from course_utils.checks import lora as check
from course_utils.lectures.lora import LoRALinear

device = lesson.start("20_sft_lora, exercises")

# %% [markdown]
# ---
# ### X01. Which tokens count?   (2 of 5 · 20 minutes)
#
# You get a chat as ids only, and the ids of four tokens. Every turn has this form:
#
# `start`, *role* (one token), `newline`, *content* (any number of tokens, also none), `end`, `newline`
#
# Return the labels: the same ids for the content and the `end` of every turn whose role is `assistant`, and −100 for everything else. A chat may have several such turns, and none. A user may write any ordinary token, `newline` and `assistant` too; `start` and `end` appear only where the form has them. The chat may be cut off anywhere, also directly behind a `start`: what is there of an assistant's content still counts.


# %%
def answer_labels(ids: torch.Tensor, start: int, end: int, newline: int, assistant: int) -> torch.Tensor:
    """ids (T,) int64 -> labels (T,) int64, -100 for what does not count. ids stays as it is."""
    ### BEGIN SOLUTION
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:  # the newline after the role: the content begins behind it
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels
    ### END SOLUTION


# %%
check.x01(answer_labels)

# %% [markdown]
# <details><summary>Hint 1</summary>Walk through the chat once, and remember whether you are inside an assistant's content.</details>
# <details><summary>Hint 2</summary>The role stands directly behind <code>start</code>, and the content begins two places further. Look nowhere else for roles.</details>
# <details><summary>Hint 3</summary>After the <code>end</code> of an answer nothing counts until the next assistant's content, but the <code>end</code> itself does.</details>

# %% [markdown]
# ---
# ### X02. A LoRA layer   (2 of 5 · 20 minutes)
#
# Wrap a linear layer: keep it as an attribute, freeze its own parameters, and add a product of two thin matrices,
#
# $$y = W x + b + \frac{\alpha}{r}\, B A x$$
#
# with `A` (r, in) random and `B` (out, r) zero, both `nn.Parameter`s of these names. Inputs have any number of dimensions before the last.


# %%
class LowRank(nn.Module):
    """A frozen nn.Linear plus (alpha / r) B A: x (..., in) -> (..., out)."""

    def __init__(self, linear: nn.Linear, r: int, alpha: float):
        super().__init__()
        ### BEGIN SOLUTION
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features) / linear.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))
        ### END SOLUTION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ### BEGIN SOLUTION
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale
        ### END SOLUTION


# %%
check.x02(LowRank)

# %% [markdown]
# <details><summary>Hint 1</summary><code>linear.requires_grad_(False)</code> freezes weight and bias, where there is one. Call the layer for <i>W x + b</i>.</details>
# <details><summary>Hint 2</summary>For rows x, the product B A x is <code>x @ A.T @ B.T</code>: from the left, two thin products. <code>(B @ A)</code> first would make the full matrix.</details>
#
# How many parameters are trained, as a share of the layer, for the ranks that people use?

# %% tags=["demo", "nbval-check-output"]
for r in (1, 8, 64):
    layer = LowRank(nn.Linear(576, 576, bias=False), r, 16)
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    print(f"rank {r:2}: {trained:6,} of {576 * 576:,}, {trained / 576**2:.1%}")

# %% [markdown]
# ---
# ### X03. Merging in 16 bits   (3 of 5 · 20 minutes)
#
# Return a plain `nn.Linear` that does what the layer and its adapter do together. The old layer stays as it is. Its weight may be in bfloat16, while `A` and `B` are in float32: then the new weight is in bfloat16 too, but the sum has to be made in float32 and rounded *once*, at the end. The bias, where there is one, is copied: the two layers share no memory.


# %%
def merged(linear: nn.Linear, A: torch.Tensor, B: torch.Tensor, alpha: float) -> nn.Linear:
    """linear (out, in) with A (r, in) and B (out, r) added in: a new layer, in the dtype of linear, without a graph."""
    ### BEGIN SOLUTION
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B.float() @ A.float())
    return new
    ### END SOLUTION


# %%
check.x03(merged)

# %% [markdown]
# <details><summary>Hint 1</summary><code>copy.deepcopy</code> gives a layer with the same dtype and bias. Write into its weight under <code>torch.no_grad()</code>.</details>
# <details><summary>Hint 2</summary><code>weight.float() + scale * (B @ A)</code> is a float32 matrix; <code>copy_</code> rounds it to the dtype of its target. The rank is the number of rows of A.</details>
#
# Why once? A change that is small against the weight is lost where it is rounded before it is added up. Ten adapters merged one after the other in bfloat16, against their sum merged once:

# %% tags=["demo"]
torch.manual_seed(0)
layer = nn.Linear(256, 256, bias=False).bfloat16()
adapters = [(0.05 * torch.randn(4, 256), 0.05 * torch.randn(256, 4)) for _ in range(10)]
exact = layer.weight.float() + sum(B @ A for A, B in adapters)
step_by_step = layer
for A, B in adapters:
    step_by_step = merged(step_by_step, A, B, 4)
at_once = merged(layer, torch.cat([A for A, _ in adapters]), torch.cat([B for _, B in adapters], 1), 40)
for name, result in (("one after the other", step_by_step), ("at once", at_once)):
    print(f"{name:20} mean error {(result.weight.float() - exact).abs().mean():.1e}")

# %% [markdown]
# ---
# ### X04. What seven billion take   (2 of 5 · 25 minutes)
#
# Llama-2-7B has 32 blocks, $C = 4096$ features, $I = 11008$ inner ones and $V = 32000$ tokens. A block has four square matrices of attention ($C \times C$), three of the feed-forward network ($C \times I$ or $I \times C$) and two norms with $C$ weights each. Outside stand the token table, the output layer ($V \times C$ each, not tied) and a last norm ($C$). No biases.
#
# Three functions: all parameters; the parameters of LoRA with rank $r$ on all seven matrices of every block; and the bytes that training keeps, activations aside:
#
# - `"full"`: for every parameter 2 bytes of weight and 2 of gradient (16 bits), and in float32 a master copy and AdamW's two means;
# - `"LoRA"`: 2 bytes for every parameter of the model, which is frozen; for those of the adapter the same as in `"full"`;
# - `"QLoRA"`: as `"LoRA"`, but the seven matrices of the blocks take 4.5 bits a weight.


# %%
def llama_parameters(L: int, C: int, I: int, V: int) -> int:
    """All parameters of a Llama without shared key heads."""
    ### BEGIN SOLUTION
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C
    ### END SOLUTION


def lora_parameters(L: int, C: int, I: int, r: int) -> int:
    """Parameters of LoRA with rank r on the seven matrices of each block."""
    ### BEGIN SOLUTION
    return L * r * (4 * (C + C) + 3 * (C + I))
    ### END SOLUTION


def training_bytes(method: str, L: int, C: int, I: int, V: int, r: int) -> float:
    """Bytes of weights, gradients and optimiser for "full", "LoRA" or "QLoRA"."""
    ### BEGIN SOLUTION
    everything = llama_parameters(L, C, I, V)
    if method == "full":
        return 16 * everything
    matrices = L * (4 * C * C + 3 * C * I)
    bytes_a_weight = 2 if method == "LoRA" else 4.5 / 8
    return 2 * (everything - matrices) + bytes_a_weight * matrices + 16 * lora_parameters(L, C, I, r)
    ### END SOLUTION


# %%
check.x04(llama_parameters, lora_parameters, training_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>A matrix (out, in) gets an A of (r, in) and a B of (out, r): r times (in + out) parameters.</details>
# <details><summary>Hint 2</summary>2 + 2 + 4 + 4 + 4 bytes for a parameter that is trained. With LoRA the frozen ones have no gradient, no master copy and no means.</details>
# <details><summary>Hint 3</summary>With QLoRA the token table, the output layer and the norms keep their 2 bytes.</details>

# %% tags=["demo", "nbval-check-output"]
seven_b = 32, 4096, 11008, 32000
print(f"{llama_parameters(*seven_b):,} parameters, LoRA of rank 16 trains {lora_parameters(32, 4096, 11008, 16):,}")
for method in ("full", "LoRA", "QLoRA"):
    print(f"{method:5} {training_bytes(method, *seven_b, 16) / 1e9:6.1f} GB")

# %% [markdown]
# ---
# ### X05. How much rank?   (3 of 5 · 30 minutes)
#
# Make the experiment in small, where the answer is known. A linear layer `linear` is to become another one: `y` are the outputs that we want for the inputs `x`. For each rank, adapt a *copy* of the layer with the lecture's `LoRALinear` (alpha = 2 r, so that the scale is always 2), train its factors on all of `x` with Adam at this rate for so many steps, and note the final loss: the mean squared error over all numbers of `y`, computed after the last step. `linear` itself stays as it is, and the ranks do not disturb each other.


# %%
def rank_sweep(
    linear: nn.Linear, x: torch.Tensor, y: torch.Tensor, ranks: list[int], steps: int = 400, rate: float = 2e-2
) -> dict[int, float]:
    """x (N, in), y (N, out) -> the final mean squared error for each rank."""
    ### BEGIN SOLUTION
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            losses[r] = F.mse_loss(layer(x), y).item()
    return losses
    ### END SOLUTION


# %%
check.x05(rank_sweep)

# %% [markdown]
# <details><summary>Hint 1</summary><code>LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)</code>, inside the loop over ranks. An optimiser of its own for each.</details>
# <details><summary>Hint 2</summary>Compute the loss once more after the last step, without a graph, and take <code>.item()</code>.</details>
#
# Your sweep, against the theory: for inputs without correlation, the best that rank r can do is to leave the singular values beyond the r-th (Eckart and Young, 1936).

# %% tags=["demo"]
torch.manual_seed(1)
linear = nn.Linear(32, 24)
change = torch.randn(24, 5) @ torch.randn(5, 32) / 10  # of rank 5
x = torch.linalg.qr(torch.randn(256, 33))[0][:, :32] * 16  # columns at right angles, of variance 1
y = (linear(x) + x @ change.T).detach()
ranks = [1, 2, 3, 4, 5, 6, 8]
losses = rank_sweep(linear, x, y, ranks)
s = torch.linalg.svdvals(change)
theory = [(s[r:] ** 2).sum() / 24 for r in ranks]
fig, ax = plt.subplots(figsize=(5.5, 3))
ax.plot(ranks, [losses[r] for r in ranks], "o", label="your sweep")
ax.plot(ranks, theory, ":", label="Eckart and Young")
ax.set(xlabel="rank", ylabel="mean squared error", title="Rank 5 is enough for a change of rank 5")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X06. The mask of a packed row   (3 of 5 · 20 minutes)
#
# A row of `T` places holds documents of these lengths, one behind the other, and padding for the rest. Make the attention mask and the positions. A token sees itself and the tokens of its own document before it. Padding sees itself alone, and nobody sees padding. Positions begin at 0 in each document; padding has position 0.


# %%
def packed_mask(lengths: list[int], T: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Documents of these lengths in a row of T -> mask (T, T) bool, True where row may look at column; positions (T,) int64.

    Raises ValueError when they do not fit.
    """
    ### BEGIN SOLUTION
    if sum(lengths) > T:
        raise ValueError(f"{sum(lengths)} tokens do not fit into a row of {T}: take a longer row.")
    mask, positions, start = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        here = slice(start, start + n)
        mask[here, here] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[here] = torch.arange(n)
        start += n
    return mask, positions
    ### END SOLUTION


# %%
check.x06(packed_mask)

# %% [markdown]
# <details><summary>Hint 1</summary>Begin with the identity, <code>torch.eye(T, dtype=torch.bool)</code>: everybody sees themselves. Then write a triangle for each document.</details>
# <details><summary>Hint 2</summary>Keep the place where the next document starts. <code>mask[a:b, a:b]</code> is its block; <code>tril()</code> of ones is what goes there.</details>

# %% tags=["demo"]
mask, positions = packed_mask([5, 3, 6], 16)
fig, ax = plt.subplots(figsize=(3.4, 3.4))
ax.imshow(mask, cmap="Greys", vmax=1.4)
ax.set(xlabel="token seen", ylabel="token that looks", title="Three documents, two places of padding")
plt.show()
print(positions.tolist())
