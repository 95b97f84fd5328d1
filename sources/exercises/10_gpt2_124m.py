# %% [markdown]
# # 10 · exercises: GPT-2
#
# Eight tasks around a real training run: count its parameters and its operations, write the decay groups, the schedule and an accumulated step, score a multiple-choice
# test, say what generation costs with and without a cache, and load a checkpoint that somebody else saved. Each has a cell to fill in, a check that says what looks wrong, and
# hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/10_gpt2_124m.ipynb) · a run takes about 10 s and 0.5 GB on a laptop's CPU
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
from torch import nn

from course_utils import lesson
from course_utils.checks import gpt2 as check
from course_utils.lectures.gpt2 import GPT2, GPT2Config

device = lesson.start("10_gpt2_124m, exercises")

# %% [markdown]
# ---
# ### X01. Count the parameters   (2 of 5 · 15 minutes)
#
# How many numbers does a GPT-2 hold? Write it as a formula of its five sizes, without building the model. Linear layers and LayerNorms have biases, the last layer has none and is **tied** to the token embedding: it counts once.


# %%
def parameter_count(vocab_size: int, block_size: int, n_layer: int, n_embd: int) -> int:
    """The number of parameters of a GPT-2 with these sizes. (The number of heads does not matter: why?)"""
    ### BEGIN SOLUTION
    C = n_embd
    attention = C * 3 * C + 3 * C + C * C + C  # queries, keys, values together; the projection
    feed_forward = C * 4 * C + 4 * C + 4 * C * C + C
    block = attention + feed_forward + 2 * 2 * C  # and two norms, a weight and a bias each
    return vocab_size * C + block_size * C + n_layer * block + 2 * C
    ### END SOLUTION


# %%
check.x01(parameter_count)

# %% [markdown]
# <details><summary>Hint 1</summary>Two embeddings, n_layer blocks, one norm at the end.</details>
# <details><summary>Hint 2</summary>A linear layer from a to b features has a·b + b numbers, a LayerNorm 2·C.</details>
# <details><summary>Hint 3</summary>A block is 12 C² + 13 C: 3 C² + 3 C, C² + C, 4 C² + 4 C, 4 C² + C, and 4 C for the norms.</details>

# %% tags=["demo"]
for name, sizes in {
    "gpt2": (12, 768),
    "gpt2-medium": (24, 1024),
    "gpt2-large": (36, 1280),
    "gpt2-xl": (48, 1600),
}.items():
    print(f"{name:12} {parameter_count(50257, 1024, *sizes):13,}")

# %% [markdown]
# ---
# ### X02. Count the operations   (3 of 5 · 20 minutes)
#
# What does one token cost in training? Count the floating-point operations of all **matrix products** in a forward pass over a full row of `block_size` tokens, divide by the number of tokens, and take it three times: the backward pass needs
# two products for each product of the forward pass. A product of (m, k) with (k, n) takes $2mkn$ operations, a multiplication and an addition each. Count the last layer; looking up an embedding is free; norms, GELU and softmax are left out. Attention is counted
# as it is usually computed: all $T \times T$ scores, the masked ones too, once for $QK^\top$ and once for the product with $V$.


# %%
def flops_per_token(vocab_size: int, block_size: int, n_layer: int, n_embd: int) -> float:
    """Floating-point operations of training one token: forward and backward, matrix products only."""
    ### BEGIN SOLUTION
    C = n_embd
    linear = 2 * (n_layer * 12 * C * C + C * vocab_size)  # each weight multiplies once for each token
    attention = 2 * n_layer * 2 * block_size * C  # q times all keys, weights times all values
    return 3 * (linear + attention)
    ### END SOLUTION


# %%
check.x02(flops_per_token)

# %% [markdown]
# <details><summary>Hint 1</summary>For one token, a linear layer with a weight of a × b takes 2·a·b operations. How many weights do the linear layers hold, biases aside?</details>
# <details><summary>Hint 2</summary>One token's query meets T keys of C features (all heads together): 2·T·C operations. Then the same for the values.</details>
# <details><summary>Hint 3</summary>6·(12 L C² + C V) + 12·L·T·C.</details>

# %% tags=["demo"]
V, T, L, C = 50257, 1024, 12, 768
exact = flops_per_token(V, T, L, C)
print(f"{exact / 1e9:.2f} GFLOPs a token; the rule of thumb 6 N gives {6 * 124_439_808 / 1e9:.2f}")
print(f"10 billion tokens on a GPU that does 150 TFLOPS: {10e9 * exact / 150e12 / 3600:.0f} hours")

# %% [markdown]
# ---
# ### X03. Who decays?   (2 of 5 · 15 minutes)
#
# Weight decay goes to parameters of two and more dimensions, and to no others. Sort a model's parameters into the two groups that `torch.optim.AdamW` takes. Frozen parameters (`requires_grad` is False) belong in none, and a tied matrix must come once.


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
# <details><summary>Hint 1</summary><code>model.parameters()</code> gives a tied matrix once. What does <code>model.state_dict()</code> do?</details>
# <details><summary>Hint 2</summary><code>p.ndim</code> is the number of dimensions; a LayerNorm's weight has one, although it is called weight.</details>

# %% [markdown]
# ---
# ### X04. The schedule   (2 of 5 · 15 minutes)
#
# A straight rise, then half a cosine. Step 0 already moves: its rate is `peak / warmup`, and step `warmup - 1` has the peak. From step `warmup`, where the cosine begins at the peak, it falls and reaches `floor` at step `steps`; from there on it stays. With `warmup = 0` the cosine begins at once.


# %%
def learning_rate(step: int, peak: float, warmup: int, steps: int, floor: float) -> float:
    """The learning rate of a step (0, 1, 2, ...)."""
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
# <details><summary>Hint 1</summary>Three cases: before <code>warmup</code>, from <code>steps</code> on, between.</details>
# <details><summary>Hint 2</summary><code>(1 + cos(π x)) / 2</code> falls from 1 to 0 while x goes from 0 to 1. What is x at step <code>warmup</code>, and at <code>steps</code>?</details>

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.plot([learning_rate(step, 6e-4, 10, 100, 6e-5) for step in range(120)], marker=".", ms=3)
ax.set(xlabel="step", ylabel="learning rate", title="Ten steps up, a cosine down, then flat")
plt.show()

# %% [markdown]
# ---
# ### X05. One step out of many batches   (4 of 5 · 30 minutes)
#
# A large batch does not fit, so it comes in parts. Write one optimiser step whose result is that of the whole batch at once. The parts may have different numbers of rows, and some targets are -100, which `cross_entropy` leaves out. So the parts do not weigh the same: the loss of the whole is the mean
# over all targets that count. In this order: clear the gradients, add up those of all parts, clip their **joint** length to `max_norm`, step.


# %%
def accumulated_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    parts: list[tuple[torch.Tensor, torch.Tensor]],
    max_norm: float,
) -> tuple[float, float]:
    """One step on all parts together. Returns the loss of the whole batch and the gradient's length before clipping.

    model: ids (B, T) -> logits (B, T, V).  parts: [(x, y), ...] with ids (B, T) each; a y of -100 does not count.
    """
    ### BEGIN SOLUTION
    counted = sum((y != -100).sum().item() for _, y in parts)
    optimizer.zero_grad()
    total = 0.0
    for x, y in parts:
        logits = model(x)  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / counted
        loss.backward()  # frees this part's graph before the next is built
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()
    ### END SOLUTION


# %%
check.x05(accumulated_step)

# %% [markdown]
# <details><summary>Hint 1</summary>The sum of the losses of all targets, divided by the number of all targets: <code>reduction="sum"</code> gives the first.</details>
# <details><summary>Hint 2</summary>Count the targets of all parts before the first backward.</details>
# <details><summary>Hint 3</summary><code>clip_grad_norm_</code> returns the length that it found. Call it once, after the last part.</details>

# %% [markdown]
# ---
# ### X06. Score the endings   (4 of 5 · 30 minutes)
#
# HellaSwag's way to ask a model that does not follow instructions: which of four endings does it find likeliest? Take for each ending the **mean** log-probability of its tokens, given the context and the ending's tokens before, and return the number of the best.
# Endings have different lengths. You may score them one by one or as one padded batch; padding must not count. (The context has at least one token, each ending too.)


# %%
def pick_ending(model, context: list[int], endings: list[list[int]]) -> int:
    """The number of the ending with the highest mean log-probability of its tokens.

    model: ids (B, T) -> logits (B, T, V).  context, endings: token ids.
    """
    ### BEGIN SOLUTION
    longest = max(map(len, endings))
    rows = torch.tensor([context + ending + [0] * (longest - len(ending)) for ending in endings])  # (4, T)
    with torch.no_grad():
        log_p = model(rows[:, :-1]).log_softmax(-1)  # (4, T - 1, V)
    own = log_p.gather(2, rows[:, 1:, None])[..., 0]  # (4, T - 1): of the token that comes
    first = len(context) - 1  # here the first token of the ending is predicted
    means = [own[n, first : first + len(ending)].mean() for n, ending in enumerate(endings)]
    return int(torch.stack(means).argmax())
    ### END SOLUTION


# %%
check.x06(pick_ending)

# %% [markdown]
# <details><summary>Hint 1</summary>Logits at position t are about token t + 1. Where is the ending's first token predicted?</details>
# <details><summary>Hint 2</summary><code>log_p.gather(2, ids[..., None])[..., 0]</code> picks one entry of the last dimension at each place.</details>
# <details><summary>Hint 3</summary>A causal model does not look ahead, so padding on the right changes nothing before it: cut it off before you take the mean.</details>

# %% [markdown]
# ---
# ### X07. What generation costs   (3 of 5 · 20 minutes)
#
# A plain `generate` runs the model on the whole text for each new token. With the keys and values of earlier positions kept (lecture 18 builds that), each position is run through the layers **once**. Count the positions that a model of context `block_size` processes to write `new` tokens after a prompt of `prompt` tokens.
#
# - Without a cache: for each new token all positions of the text so far, at most the last `block_size`.
# - With a cache: the prompt once, then each new token once, except the last, which is never fed back. The cached text never outgrows `block_size` in this task, that is `prompt + new - 1 <= block_size`; raise a `ValueError` if it does.
#
# Writing nothing costs nothing.


# %%
def positions_processed(prompt: int, new: int, block_size: int, cached: bool) -> int:
    """How many positions go through the layers to write `new` tokens after `prompt` (at least 1) tokens."""
    ### BEGIN SOLUTION
    if new == 0:
        return 0
    if not cached:
        return sum(min(length, block_size) for length in range(prompt, prompt + new))
    if prompt + new - 1 > block_size:
        raise ValueError(f"{prompt} + {new} - 1 tokens do not fit into a context of {block_size}.")
    return prompt + new - 1
    ### END SOLUTION


# %%
check.x07(positions_processed)

# %% [markdown]
# <details><summary>Hint 1</summary>When the first new token is chosen, the model has seen <code>prompt</code> positions; for the second, one more.</details>
# <details><summary>Hint 2</summary>The last new token is chosen, and then the loop ends: nobody feeds it.</details>

# %% tags=["demo"]
lengths = range(1, 901, 10)
fig, ax = plt.subplots(figsize=(6, 2.8))
for cached, name in ((False, "without a cache"), (True, "with a cache")):
    ax.plot(lengths, [positions_processed(100, n, 1024, cached) for n in lengths], label=name)
ax.set(xlabel="tokens written after a prompt of 100", ylabel="positions processed", yscale="log")
ax.set_title("A cache turns a square into a line")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X08. Somebody else's checkpoint   (4 of 5 · 30 minutes)
#
# `transformers` saves GPT-2 under names such as `transformer.h.0.attn.c_attn.weight`, and with four surprises: the matrices of `attn.c_attn`, `attn.c_proj`, `mlp.c_fc` and `mlp.c_proj` are stored **transposed**, (in, out) where `nn.Linear` has (out, in); old files hold the masks too, as `attn.bias` and
# `attn.masked_bias`, which are no parameters; some files leave out the prefix `transformer.`; and `lm_head.weight` may be missing, because it is tied to `transformer.wte.weight`. Turn such a state into one that our modules can load: all names with the prefix, no masks, matrices turned, the head present. Leave the state that you are given as it is.


# %%
def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of a GPT-2 as `GPT2.load_state_dict` wants it, from one that transformers saved."""
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
# <details><summary>Hint 1</summary><code>c_attn.bias</code> is a parameter and stays; only a name that ends in <code>.attn.bias</code> is a mask.</details>
# <details><summary>Hint 2</summary><code>name.endswith(("attn.c_attn.weight", ...))</code> takes a tuple. The square matrix <code>attn.c_proj</code> is easily forgotten, since its shape fits either way.</details>
# <details><summary>Hint 3</summary>Do not turn <code>wte</code> and <code>wpe</code>: an embedding is a table, not a linear layer.</details>

# %% tags=["demo"]
import transformers

sizes = transformers.GPT2Config(vocab_size=100, n_positions=16, n_embd=32, n_layer=2, n_head=4)
theirs = transformers.GPT2LMHeadModel(sizes).eval()
ours = GPT2(GPT2Config(100, 16, 2, 4, 32)).eval()
ours.load_state_dict(convert(theirs.state_dict()))
ids = torch.randint(100, (1, 16))
print(f"largest difference of the logits: {(ours(ids)[0] - theirs(ids).logits).abs().max().item():.1e}")

# %% [markdown]
# ---
# ### X09. Your own
#
# Take lecture 10's small model and change one thing of the recipe: the decay, $\beta_2$, the warm-up, tying. Train each variant with three seeds and the same steps, and write down mean and spread. Which differences are larger than the spread?
