# %% [markdown]
# # 06 · makemore: a WaveNet, exercises
#
# Four tasks: the gated block as the paper has it, a loss to beat, a test that catches networks which read the future, and a calculator for how far
# back a network sees. Each has a cell to fill in, a check that says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/06_makemore_wavenet.ipynb) · a run takes about 60 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 06.

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
from course_utils.checks import wavenet as check
from course_utils.lectures.layers import BatchNormLast, Embedding, FlattenConsecutive, Linear, Sequential, Tanh
from course_utils.lectures.names import build_dataset

device = lesson.start("06_makemore_wavenet, exercises")

# %% tags=["parameters"]
passes = 6  # over the names, for each network in the solution of E02

# %% [markdown]
# ---
# ### E01. The gated block, with a condition   (3 of 5 · 25 minutes)
#
# The lecture's block gets shorter by `dilation` positions and knows nothing but the text. The paper's block keeps its length, and it can be
# told something about the whole sequence (van den Oord et al. 2016, section 2.5): a vector $h$, for audio the speaker, for names perhaps the language.
#
# $$z = \tanh(W_f * x + V_f h) \odot \sigma(W_g * x + V_g h)$$
#
# Two things leave the block: $x + W_r * z$, the input of the next block, and $W_s * z$, the skip. Both 1×1 convolutions read $z$. The
# sequence keeps its length because `dilation` zeros are put on the left of $x$ before the two dilated convolutions. Write the class. The names
# and shapes of its layers are fixed, so that the check can compare it with the formula.


# %%
class GatedBlock(nn.Module):
    """One gated, conditioned, causal block.

    filter, gate: nn.Conv1d(channels, channels, 2, dilation=dilation).  filter_of_h, gate_of_h: nn.Linear(condition,
    channels, bias=False).  residual: nn.Conv1d(channels, channels, 1).  skip: nn.Conv1d(channels, skips, 1).
    """

    def __init__(self, channels: int, skips: int, condition: int, dilation: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.dilation = dilation
        self.filter = nn.Conv1d(channels, channels, 2, dilation=dilation)
        self.gate = nn.Conv1d(channels, channels, 2, dilation=dilation)
        self.filter_of_h = nn.Linear(condition, channels, bias=False)
        self.gate_of_h = nn.Linear(condition, channels, bias=False)
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skips, 1)
        ### END SOLUTION

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (B, channels, T).  h: (B, condition).  Returns (B, channels, T), for the next block, and (B, skips, T)."""
        ### BEGIN SOLUTION
        padded = F.pad(x, (self.dilation, 0))  # (B, C, dilation + T)
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]  # (B, C, T) + (B, C, 1)
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        z = torch.tanh(f) * torch.sigmoid(g)  # (B, C, T)
        return x + self.residual(z), self.skip(z)
        ### END SOLUTION


# %%
check.e01(GatedBlock)

# %% [markdown]
# <details><summary>Hint 1</summary><code>F.pad(x, (left, right))</code> pads the last dimension, which is time in (B, C, T).</details>
# <details><summary>Hint 2</summary><code>filter_of_h(h)</code> has shape (B, C). It acts on all positions alike: which dimension is missing, and where?</details>
# <details><summary>Hint 3</summary>Compute z once. The skip reads z, and so does the residual convolution; only then is x added.</details>

# %% [markdown]
# ---
# ### E02. Beat 1.993   (4 of 5 · 45 minutes)
#
# Write `fit`: it gets the training names and returns a trained model. The check calls it, then measures the loss itself, on names that your
# function was not given. It has to come out below 1.993, with at most 120 seconds of processor time, all cores together.
#
# The model is called with contexts of 16 characters, (B, 16), filled with `.` (index 0) on the left, and returns logits (B, 27). It may
# look at fewer of them: the lecture's tree would take the last eight. Everything else is yours to choose: architecture, optimiser,
# schedule. Try ideas one at a time, and keep a log. While you work, hold back some of `words` yourself and measure there: a choice made on the check's
# verdict is a choice made on its data.


# %%
class LastEight(nn.Module):
    """A network for contexts of eight, called with longer ones."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.network(X[:, -8:])  # (B, 16) -> (B, 27)


def fit(words: list[str]) -> nn.Module:
    """Train on these names.  Returns model(X): (B, 16) int64 contexts -> (B, 27) logits, in evaluation mode."""
    ### BEGIN SOLUTION
    X, Y = (t.to(device) for t in build_dataset(words, 8))  # (N, 8), (N,)

    def network(seed: int) -> nn.Module:
        """No tree: two wide hidden layers, which a CPU computes faster than seven small nodes."""
        torch.manual_seed(seed)
        layers, fan_in = [Embedding(27, 24), FlattenConsecutive(8)], 8 * 24
        for _ in range(2):
            layers += [Linear(fan_in, 256, bias=False, gain=5 / 3), BatchNormLast(256), Tanh()]
            fan_in = 256
        return Sequential(*layers, Linear(256, 27, gain=0.1)).to(device)

    def train_one(model: nn.Module) -> nn.Module:
        a_pass = len(X) // 512
        optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=1e-2, fused=device.type != "mps")
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=passes * a_pass)
        for step in train.progress(passes * a_pass, "fit"):
            if step % a_pass == 0:
                order = torch.randperm(len(X)).to(device)
            ix = order[step % a_pass * 512 :][:512]
            loss = F.cross_entropy(model(X[ix]), Y[ix])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
        return model

    class Average(nn.Module):
        """Both overfit, each in its own way: the mean of their probabilities is better than either."""

        def __init__(self, *models):
            super().__init__()
            self.models = nn.ModuleList(models)

        def forward(self, X):
            return torch.stack([model(X).softmax(1) for model in self.models]).mean(0).log()

    return LastEight(Average(*(train_one(network(seed)) for seed in (0, 1)))).eval()
    ### END SOLUTION


# %%
check.e02(fit)

# %% [markdown]
# <details><summary>Hint 1</summary>The lecture's tree and its loop come within 0.01, from either side. Start from them and change one thing.</details>
# <details><summary>Hint 2</summary>The budget is in seconds, and the tree is not the cheapest network a second can buy. How do two wide layers on all eight
# characters compare?</details>
# <details><summary>Hint 3</summary>Compare training and held-out loss. Two networks that overfit from different seeds make different mistakes. What would
# their average say?</details>

# %% [markdown] tags=["solution-only"]
# The solution leaves the tree. A flat network with two wide layers takes half the tree's time for a pass, because one large matrix product suits a
# CPU better than several small ones, and reaches a like loss alone. The average of two is what wins. A tree needs fewer multiplications only when its work
# is shared, as in the lecture's section 10.

# %% [markdown]
# ---
# ### E03. Catch a network that reads the future   (3 of 5 · 20 minutes)
#
# A network that predicts the next character while seeing it has a wonderful loss and is worth nothing. The leak is often one wrong padding. Write a test
# for it: give the network texts, change characters, and see which outputs move. Output $t$ may use characters $0$ to $t$, and nothing later.
#
# Some leaks are faint, some reach far, some open only for certain characters. Take the network as it is given and leave it so, in the mode
# that it is in. Differences below 1e-6 are rounding.


# %%
def is_causal(net, vocab: int, T: int) -> bool:
    """Whether no output of `net` depends on a later character.

    net: (B, T) int64 characters below vocab -> (B, T, anything).  Try at least 30 random texts.
    """
    ### BEGIN SOLUTION
    text = torch.randint(vocab, (64, T))
    with torch.no_grad():
        before = net(text)  # (64, T, ...)
        for t in range(1, T):
            changed = text.clone()
            changed[:, t] = (changed[:, t] + torch.randint(1, vocab, (64,))) % vocab  # another character, in every text
            moved = (net(changed)[:, :t] - before[:, :t]).abs().max()  # outputs 0 to t - 1 must stand still
            if moved > 1e-5:
                return False
    return True
    ### END SOLUTION


# %%
check.e03(is_causal)

# %% [markdown]
# <details><summary>Hint 1</summary>Change character t. Which outputs may move, and which may not?</details>
# <details><summary>Hint 2</summary>One changed position tells about one column of "who sees whom". You need all T columns.</details>
# <details><summary>Hint 3</summary>A batch of 64 texts costs about as much as one. Make sure that the new character differs from the old one.</details>

# %% [markdown]
# ---
# ### E04. How far back?   (2 of 5 · 15 minutes)
#
# Each layer has a kernel size, a dilation, and a stride (it computes every stride-th output only). How many input positions lie between the
# first and the last that one output reads, these two and any gaps counted? The lecture's formula covers stride 1. With strides, one step of
# a later layer is several input positions wide: the tree of the lecture is three layers of kernel 2 and stride 2.


# %%
def receptive_field(layers: list[tuple[int, int, int]]) -> int:
    """Input positions from the first to the last that one output reads, both counted.

    layers: (kernel, dilation, stride) each, from the input up.
    """
    ### BEGIN SOLUTION
    reach, step = 1, 1  # in input positions: the field so far, and the distance between neighbours of this layer
    for kernel, dilation, stride in layers:
        reach += (kernel - 1) * dilation * step
        step *= stride
    return reach
    ### END SOLUTION


# %%
check.e04(receptive_field)

# %% [markdown]
# <details><summary>Hint 1</summary>Draw two layers of kernel 2 and stride 2. Which inputs does one output of the second need?</details>
# <details><summary>Hint 2</summary>Carry two numbers upwards: the field so far, and how many input positions one step of the current layer is wide.</details>

# %% [markdown]
# With your function, the networks of the lecture and of the paper in one table. The paper's audio model repeats dilations 1 to 512; at
# 16,000 samples a second, three rounds hear about a fifth of a second.

# %% tags=["demo"]
networks = {
    "the tree": [(2, 1, 2)] * 3,
    "dilations 1, 2, 4": [(2, d, 1) for d in (1, 2, 4)],
    "dilations 1 to 512": [(2, 2**i, 1) for i in range(10)],
    "1 to 512, three times": [(2, 2**i, 1) for i in range(10)] * 3,
    "thirty layers, undilated": [(2, 1, 1)] * 30,
}
for name, layers in networks.items():
    print(
        f"{name:26} {receptive_field(layers):5,} positions, {1000 * receptive_field(layers) / 16_000:7.2f} ms of audio"
    )
