# %% [markdown]
# # 19 · exercises: quantization
#
# Five tasks: a linear layer that multiplies 8-bit integers, four-bit weights packed two a byte, the update at the heart of GPTQ, the scales of SmoothQuant, and the question that decides in practice: which layer must not be
# rounded? Each has a cell to fill in, a check that says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/19_quantization.ipynb) · a run takes about 30 s and 1.6 GB on a laptop's CPU
#
# Needs: lecture 19. The tasks do not depend on each other.

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
import transformers
from torch import nn

from course_utils import data, lesson, train
from course_utils.checks import quant as check
from course_utils.lectures.quant import gguf_llama, round_to_nearest

device = lesson.start("19_quantization, exercises")
transformers.logging.set_verbosity_error()

# %% [markdown]
# ---
# ### X01. A linear layer in integers   (2 of 5 · 15 minutes)
#
# Compute $y = x W^\top$ with 8-bit integers, and return floats. The recipe, absmax on both sides:
#
# - every **row** of `w` has a scale, its largest magnitude divided by 127; its integers are `w / scale`, rounded to the nearest (`torch.round`);
# - every **token**, that is every vector along the last dimension of `x`, has a scale of its own, made the same way;
# - the product of the integers is summed as whole numbers, which grow far beyond 8 bits: sum in `int32` or wider;
# - at the end the scales are multiplied in again.
#
# A row or a token of zeros stands for zeros; nothing may become `nan`. Small numbers are not zeros: inputs of 1e-7 have a scale like all others. `x` has any number of dimensions. Leave both inputs as they are.


# %%
def int8_linear(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """x (..., I) float32, w (O, I) float32 -> about x @ w.T, (..., O) float32, multiplied in 8-bit integers."""
    ### BEGIN SOLUTION
    w_scale = w.abs().amax(1).clamp(min=1e-12) / 127  # (O,)
    x_scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127  # (..., 1)
    w_int = (w / w_scale[:, None]).round().to(torch.int32)  # (O, I)
    x_int = (x / x_scale).round().to(torch.int32)  # (..., I)
    return (x_int @ w_int.T) * x_scale * w_scale  # (..., O)
    ### END SOLUTION


# %%
check.x01(int8_linear)

# %% [markdown]
# <details><summary>Hint 1</summary>How many scales does <code>w</code> have, and how many has <code>x</code>? <code>amax</code> with a dimension gives each. With <code>keepdim=True</code> the division broadcasts as it should.</details>
# <details><summary>Hint 2</summary>127 · 127 · 576 is about nine million. An int8 product that stays int8 wraps around at 127, and a sum in float32 is exact only up to 16,777,216.</details>
# <details><summary>Hint 3</summary><code>(x_int @ w_int.T)</code> has the shape (..., O). Multiply by x's scales, (..., 1), and by w's, (O,). A scale of zero is avoided with <code>.clamp(min=1e-12)</code> before the division.</details>
#
# How good is it? The error of the outputs, for inputs without and with one large feature. The scale of a token grows with its largest feature, and with it the error of all the others:

# %% tags=["demo"]
torch.manual_seed(0)
w, x = torch.randn(256, 512), torch.randn(32, 512)
for large in (1, 10, 100):
    x[:, 7] = large * torch.randn(32)
    rest = int8_linear(x, w) - x @ w.T
    print(f"feature 7 is {large:3} times larger: root mean square error {rest.square().mean().sqrt():.2f}")

# %% [markdown]
# ---
# ### X02. Four bits, in groups, packed   (3 of 5 · 25 minutes)
#
# Write both ways. For each group of `group` neighbours in a row:
#
# - low = the smallest value, or 0 if all are above 0; high = the largest, or 0 if all are below 0; so zero itself can always be hit exactly;
# - scale = (high − low) / 15, and for a group of zeros 1;
# - zero point = −low / scale, rounded; an integer from 0 to 15;
# - integers = w / scale, rounded (`torch.round`), plus the zero point, cut to 0 to 15.
#
# Then two neighbours share a byte: the first has the low four bits, the second the high four. `w` has an even number of columns, and `group` divides it, but `group` itself may be odd. Leave the inputs as they are.


# %%
def pack_int4(w: torch.Tensor, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """w (O, I) float32 -> bytes (O, I / 2) uint8, scales (O, I / group) float32, zero points (O, I / group) uint8."""
    ### BEGIN SOLUTION
    x = w.unflatten(1, (-1, group))  # (O, groups, group)
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)  # (O, groups)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)  # (O, I)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)
    ### END SOLUTION


def unpack_int4(packed: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """What pack_int4 returns -> (O, I) float32: (integer - zero point) times scale."""
    ### BEGIN SOLUTION
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1)  # (O, I)
    x = q.unflatten(1, (scale.shape[1], -1)).float()  # (O, groups, group)
    return ((x - zero[..., None].float()) * scale[..., None]).flatten(1)
    ### END SOLUTION


# %%
check.x02(pack_int4, unpack_int4)

# %% [markdown]
# <details><summary>Hint 1</summary><code>w.unflatten(1, (-1, group))</code> makes groups a dimension of their own; <code>.flatten(1)</code> takes it back.</details>
# <details><summary>Hint 2</summary><code>q[:, ::2]</code> are the first of each pair. <code>&lt;&lt; 4</code> moves bits up, <code>|</code> puts two numbers together, <code>&amp; 15</code> keeps the low four.</details>
# <details><summary>Hint 3</summary>uint8 minus uint8 wraps around below zero: turn into floats before you subtract the zero point. And after unpacking, <code>torch.stack([low, high], 2).flatten(1)</code> brings pairs back into their order.</details>
#
# What a smaller group buys, and what it costs:

# %% tags=["demo"]
w = torch.randn(64, 480) * torch.rand(64, 480).exp()
for group in (480, 96, 32, 15):
    back = unpack_int4(*pack_int4(w, group))
    print(f"groups of {group:3}: {4 + 40 / group:.2f} bits a weight, error {(back - w).norm() / w.norm():.3f}")

# %% [markdown]
# ---
# ### X03. GPTQ on one row   (4 of 5 · 35 minutes)
#
# Round a row of weights to multiples of `step`, from left to right. After each rounding, move all weights **to the right of it** so that the row's outputs on the calibration inputs change as little as possible. With $H = \sum x x^\top$ and the columns from $j$ on,
#
# $$\delta_{j+1:} = -\frac{w_j - \hat w_j}{[H_{j:,\,j:}^{-1}]_{jj}} \; [H_{j:,\,j:}^{-1}]_{j,\,j+1:}$$
#
# The inverse is that of the part of $H$ which belongs to the columns $j, j+1, \dots$: columns that are rounded already cannot move. Any way to compute it is fine here, also a new inverse for each column. Return the rounded row; leave `w` and `H` as they are.


# %%
def gptq_row(w: torch.Tensor, H: torch.Tensor, step: float) -> torch.Tensor:
    """w (I,) float64, H (I, I) float64, positive definite -> multiples of step, (I,) float64."""
    ### BEGIN SOLUTION
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - done[j]) / inverse[0, 0] * inverse[0, 1:]
    return done
    ### END SOLUTION


# %%
check.x03(gptq_row)

# %% [markdown]
# <details><summary>Hint 1</summary>The first column alone: <code>e = w[0] - rounded</code>, and every other weight moves by <code>-e / Hinv[0, 0] * Hinv[0, 1:]</code>. Then the same for the row that is left, with the H that is left.</details>
# <details><summary>Hint 2</summary>The inverse of a part of H is not the part of the inverse of H. Take <code>torch.linalg.inv(H[j:, j:])</code>; its row 0 belongs to column j.</details>
# <details><summary>Hint 3</summary>In a loop over j: inverse, round, store, move <code>w[j + 1:]</code>. Work on a clone.</details>
#
# How much of the error of plain rounding is left, when the inputs are more and more alike?

# %% tags=["demo"]
g = torch.Generator().manual_seed(0)
for alike in (0.0, 0.5, 0.9, 0.99):
    errors = torch.zeros(2)
    for _ in range(30):  # rows
        X = (1 - alike) * torch.randn(48, 400, generator=g).double() + alike * torch.randn(1, 400, generator=g).double()
        H, w = X @ X.T, torch.randn(48, generator=g).double()
        nearest, better = (w / 0.5).round() * 0.5, gptq_row(w, H, 0.5)
        errors += torch.tensor([((v - w) @ H @ (v - w)).item() for v in (nearest, better)])
    print(f"inputs alike by {alike:4}: {errors[1] / errors[0]:6.1%} of the error is left")

# %% [markdown]
# With independent inputs there is little to gain: no other weight can stand in. Real inputs are alike.
#
# ---
# ### X04. SmoothQuant's scales   (3 of 5 · 20 minutes)
#
# Given calibration inputs and the weights of one layer, return what to divide each input feature by:
#
# $$s_j = \frac{\max_{\text{tokens}} |x_j|^{\alpha}}{\max_{\text{rows}} |W_j|^{1-\alpha}}$$
#
# where $W_j$ is column $j$. A feature whose inputs are all zero, or whose column is all zero, needs no smoothing: its scale is 1. (Small is not zero: a maximum of 1e-7 follows the formula.) Then smooth: return the inputs and the weights after the move, whose product is the same, in the dtype that they came in. Leave the inputs as they are.


# %%
def smooth(x: torch.Tensor, w: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x (N, I) calibration inputs, w (O, I), 0 <= alpha <= 1 -> s (I,), x divided by s, w multiplied by s."""
    ### BEGIN SOLUTION
    x_max, w_max = x.abs().amax(0), w.abs().amax(0)  # (I,) each
    s = x_max**alpha / w_max ** (1 - alpha)
    s = torch.where((x_max == 0) | (w_max == 0), torch.ones_like(s), s)
    return s, x / s, w * s
    ### END SOLUTION


# %%
check.x04(smooth)

# %% [markdown]
# <details><summary>Hint 1</summary>Both maxima are taken for each feature j: over tokens in x, over outputs in w. Both have the shape (I,).</details>
# <details><summary>Hint 2</summary>With α = 1 all the difficulty moves into the weights: s is then the inputs' maximum itself, and all smoothed features have the maximum 1.</details>
# <details><summary>Hint 3</summary><code>torch.where((x_max == 0) | (w_max == 0), 1.0, s)</code> mends the rest.</details>
#
# The largest magnitudes before and after, for inputs with outliers:

# %% tags=["demo"]
g = torch.Generator().manual_seed(0)
x = torch.randn(200, 64, generator=g) * torch.logspace(0, 2, 64)[torch.randperm(64, generator=g)]
w = torch.randn(32, 64, generator=g)
fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), sharey=True)
for ax, alpha in zip(axes, (0.5, 0.9), strict=True):
    _, x_new, w_new = smooth(x, w, alpha)
    order = x.abs().amax(0).argsort()
    for values, label, style in (
        (x, "inputs before", ":"),
        (x_new, "inputs after", "-"),
        (w_new, "weights after", "--"),
    ):
        ax.semilogy(values.abs().amax(0)[order], ls=style, label=label)
    ax.set(xlabel="features, by their inputs' maximum", title=f"α = {alpha}")
axes[0].set(ylabel="largest magnitude")
axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# ---
# ### X05. Which layer must stay whole?   (3 of 5 · 25 minutes)
#
# Four bits everywhere may hurt; often one layer does most of the harm, and leaving it in full costs little. Find out: round **one** layer at a time with `round_to_nearest(weight, bits, group, symmetric=False)`, all others whole, and measure the loss. Return how much each layer's rounding adds. (A little noise is normal: an amount below zero is no mistake.) Afterwards the model is as it was: each parameter is the same object with its old values, bit for bit, and its old `requires_grad`; and every module is in the mode it was in (`training`),
# also where an error or an interrupt stops you, which passes on. No gradients are computed.
#
# `loss_of(model)` returns the loss as a float; call it with this very model, not a copy (a real one is large), in evaluation mode. The layers come as a dict from name to `nn.Linear`.


# %%
def sensitivity(model: nn.Module, layers: dict[str, nn.Linear], loss_of, bits: int, group: int) -> dict[str, float]:
    """{name: loss with only this layer rounded, minus the loss of the whole model}, in the order of layers."""
    ### BEGIN SOLUTION
    modes = {module: module.training for module in model.modules()}
    model.eval()
    harm = {}
    try:
        with torch.no_grad():
            whole = loss_of(model)
            for name, layer in layers.items():
                kept = layer.weight.detach().clone()
                try:
                    layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                finally:
                    layer.weight.copy_(kept)
    finally:
        for module, training in modes.items():
            module.training = training
    return harm
    ### END SOLUTION


# %%
check.x05(sensitivity)

# %% [markdown]
# <details><summary>Hint 1</summary>Keep a clone of the weight before you change it; a second name for the same tensor changes with it.</details>
# <details><summary>Hint 2</summary><code>layer.weight.copy_(...)</code> under <code>torch.no_grad()</code> changes the layer in place. <code>try: ... finally:</code> puts the old weight back whatever happens.</details>
# <details><summary>Hint 3</summary>The whole model's loss is measured once, before the loop. Each layer's harm is its loss minus that one.</details>
#
# And on the real model: the seven kinds of layers of SmolLM2, each rounded to three bits in four of the thirty blocks.

# %% tags=["demo"]
try:
    path = data.fetch("smollm2")
    model = gguf_llama(path)
    words = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    ids = torch.tensor([words.encode(data.shakespeare()[-3000:])[:160]])
    layers = {
        f"{i} {name.split('.')[-1]}": module
        for i in (0, 1, 15, 29)
        for name, module in model.model.layers[i].named_modules()
        if isinstance(module, nn.Linear)
    }
    calls = train.progress(len(layers) + 1, "measuring")

    def loss_of(model):
        calls.update()
        return F.cross_entropy(model(ids)[0, :-1], ids[0, 1:]).item()

    harm = sensitivity(model, layers, loss_of, bits=3, group=64)
    calls.close()
    for name in sorted(harm, key=harm.get)[:-6:-1]:
        print(f"block {name:12} adds {harm[name]:.3f} nats a token")
except data.DataError as missing:
    print(f"✗ {missing}")

# %% [markdown]
# **Invent your own.** A mixture: give each layer 3, 4 or 8 bits so that the average is 4 and the loss is as low as you can get it. What rule beats "the same for all"?
