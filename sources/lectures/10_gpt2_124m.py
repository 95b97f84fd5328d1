# %% [markdown]
# # 10 · GPT-2: reproducing the 124M
#
# At the end of this page there is a GPT-2, module for module the published one: its weights load into ours, and the logits agree to
# rounding. Around it stands what a real training run needs: shards, decay groups, a schedule, accumulation, mixed precision, several processes, checkpoints
# that resume exactly. On a laptop we train a small sister; the real size takes the same modules, several GPUs and billions of tokens.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/10_gpt2_124m.ipynb) · a run takes about 2 minutes and 1.7 GB on a laptop's CPU
#
# Needs: lecture 07 (the Transformer) and 09 (tokens). Later lectures take from here: `GPT2Config`, `GPT2`, `load_hf_state_dict`, `configure_optimizer`,
# `cosine_lr`.

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
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from IPython.display import Markdown
from torch import nn

from course_utils import data, lesson, train
from course_utils.lectures.tokenizer import GPT2_SPLIT, RegexTokenizer

device = lesson.start("10_gpt2_124m")
transformers.logging.set_verbosity_error()

# %% tags=["parameters"]
checkpoint = ""  # "openai-community/gpt2", or a folder that holds it, loads the published weights in section 3
vocab_size = 1024  # tokens of the small model's own tokenizer, the document mark included
block_size = 128  # tokens of context of the small model
n_layer, n_head, n_embd = 4, 4, 128  # its size
init_std = 0.05  # standard deviation of its first weights: 0.02 is for GPT-2's width of 768
batch_size = 8  # rows a step
steps = 700  # optimiser steps
peak_rate = 3e-3  # the learning rate at its highest; GPT-2 of 124M takes 6e-4
target = 1.80  # the validation loss that the small model must reach, in nats a character
ladder_steps = 12  # timed steps of each rung in section 8

# %% [markdown]
# ## 1. The modules of GPT-2
#
# OpenAI published GPT-2's weights in 2019, in four sizes. Each weight has a name such as `transformer.h.0.attn.c_attn.weight`. To load them, our modules must carry the same names in the same tree. The model is lecture 07's, with its own names: `wte` and `wpe` for the
# token and position embeddings, `h` for the blocks, `c_attn` for queries, keys and values in one. Three details are GPT-2's: GELU in its tanh approximation, biases everywhere but in the last layer, and the last layer **tied** to the token embedding: they are one matrix.


# %%
#| export gpt2
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.gpt import GPT


@dataclass
class GPT2Config:
    """The size of a GPT-2; the defaults are the 124M of Radford et al. (2019)."""

    vocab_size: int = 50257
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    init_std: float = 0.02


class GPT2Attention(nn.Module):
    """Causal multi-head attention with GPT-2's names: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPT2Config):
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"{config.n_head} heads do not divide {config.n_embd} features: change n_head or n_embd.")
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values of all heads: (B, T, C) -> three of (B, nh, T, hs)."""
        B, T, C = x.shape
        return self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)  # (B, nh, T, hs) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, nh, T, hs)
        return self.c_proj(y.transpose(1, 2).flatten(2))  # (B, T, C)


class GPT2MLP(nn.Module):
    """The feed-forward part, four times as wide inside: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class GPT2Block(nn.Module):
    """Attention and feed-forward, each on normalised input and added to it: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(config.n_embd), GPT2Attention(config)
        self.ln_2, self.mlp = nn.LayerNorm(config.n_embd), GPT2MLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """GPT-2 with the published names: token ids (B, T) -> logits of the next token (B, T, V).

    `generate` is lecture 07's.  Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners.
    """

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.config, C = config, config.n_embd
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(config.vocab_size, C),
            "wpe": nn.Embedding(config.block_size, C),
            "h": nn.ModuleList(GPT2Block(config) for _ in range(config.n_layer)),
            "ln_f": nn.LayerNorm(C),
        })  # fmt: skip
        self.lm_head = nn.Linear(C, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight  # one matrix, two uses
        for name, p in self.named_parameters():
            if p.ndim == 2:  # those that write into the residual stream start smaller: 2 n_layer of them add up
                shrink = math.sqrt(2 * config.n_layer) if name.endswith("c_proj.weight") else 1
                nn.init.normal_(p, std=config.init_std / shrink)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        """idx, targets: (B, T) int64.  Returns the logits (B, T, V), and the mean loss in nats a token (None without
        targets); targets of -100 are left out.  Raises ValueError for more than block_size tokens.
        """
        if idx.shape[1] > self.config.block_size:
            raise ValueError(
                f"{idx.shape[1]} tokens do not fit into a block_size of {self.config.block_size}: cut the input."
            )
        x = self.transformer.wte(idx) + self.transformer.wpe.weight[: idx.shape[1]]  # (B, T, C) + (T, C)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    generate = GPT.generate


# %% [markdown]
# ### Counting parameters
#
# Where are the 124 million? By hand, with $C$ = 768 features and $L$ = 12 blocks:

# %% tags=["nbval-check-output"]
V, T, C, L = 50257, 1024, 768, 12
by_hand = {
    "token embedding, V C": V * C,
    "position embedding, T C": T * C,
    "attention, L (4 C² + 4 C)": L * (4 * C**2 + 4 * C),  # queries, keys, values, projection, with biases
    "feed-forward, L (8 C² + 5 C)": L * (8 * C**2 + 5 * C),  # C to 4C and back, with biases
    "norms, (2 L + 1) 2 C": (2 * L + 1) * 2 * C,
}
for part, count in by_hand.items():
    print(f"{part:30} {count:12,} {count / sum(by_hand.values()):6.1%}")
print(f"{'all':30} {sum(by_hand.values()):12,}")

# %% [markdown]
# A third of the model is the embedding table, and if the last layer were not tied to it, there would be 38.6 million more. Does the code agree, in all four sizes? On PyTorch's `meta` device tensors have shapes and no memory, so even the largest is free.

# %% tags=["nbval-check-output"]
SIZES = {"gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024), "gpt2-large": (36, 20, 1280), "gpt2-xl": (48, 25, 1600)}
counted = {}
with torch.device("meta"):
    for name, (layers, heads, width) in SIZES.items():
        meta = GPT2(GPT2Config(n_layer=layers, n_head=heads, n_embd=width))
        counted[name] = sum(p.numel() for p in meta.parameters())  # the tied matrix counts once
        print(f"{name:12} {counted[name]:13,}")
assert counted["gpt2"] == sum(by_hand.values()) == 124_439_808
assert list(counted.values())[1:] == [354_823_168, 774_030_080, 1_557_611_200]  # as transformers counts them

# %% [markdown]
# ## 2. The same numbers as the library
#
# `transformers` holds the reference implementation, and its state carries the published names. It has dropout, which `eval()` switches off, and it stores the matrices of the linear layers transposed, because the original code of 2019 called them 1×1 convolutions. So loading means turning four kinds of matrices.


# %%
#| export gpt2
import torch

TURNED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def load_hf_state_dict(model: GPT2, state: dict[str, torch.Tensor]) -> None:
    """Copy the weights of `transformers.GPT2LMHeadModel(...).state_dict()`, or of a published checkpoint, into a GPT2.

    Its linear layers are stored (in, out) and turned here.  Raises ValueError, and changes nothing, where a weight is
    missing or has another shape.
    """
    state = {name.removeprefix("transformer."): value for name, value in state.items()}
    new = {}
    for name, own in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # it is wte's
        value = state.get(name.removeprefix("transformer."))
        if value is None:
            raise ValueError(f"{name} is missing: is this the state of a GPT-2 with {model.config.n_layer} blocks?")
        new[name] = value.T if name.endswith(TURNED) else value
        if new[name].shape != own.shape:
            raise ValueError(
                f"{name} has the shape {tuple(new[name].shape)}, and the model wants {tuple(own.shape)}: "
                "make the GPT2 with the checkpoint's configuration."
            )
    with torch.no_grad():
        for name, own in model.state_dict().items():
            if name in new:
                own.copy_(new[name])


# %% [markdown]
# The proof needs no download: any weights will do, as long as both models have the same. We take the full size, with random weights, biases and norms included.

# %%
torch.manual_seed(0)
theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()  # 124M, random
with torch.no_grad():
    for p in theirs.parameters():
        if p.ndim == 1:
            p.add_(0.1 * torch.randn_like(p))  # or all biases would be zero and prove nothing
full = GPT2(GPT2Config()).eval()
load_hf_state_dict(full, theirs.state_dict())
idx = torch.randint(50257, (2, 64))  # (B, T)
with torch.no_grad():
    logits, loss = full(idx[:, :-1], idx[:, 1:])
    reference = theirs(idx, labels=idx)  # shifts the labels itself
print(f"largest difference of {logits.numel():,} logits: {(logits - reference.logits[:, :-1]).abs().max():.1e}")
torch.testing.assert_close(logits, reference.logits[:, :-1], rtol=1e-4, atol=1e-5)  # float32, twelve blocks deep
torch.testing.assert_close(loss, reference.loss, rtol=1e-6, atol=1e-6)

# %% [markdown]
# At the start, with every token about equally likely, the loss of a GPT-2 is a little above ln 50,257: logits of variance $v$ add $v/2$, here with $v = 768 \cdot 0.02^2 = 0.31$:

# %%
print(f"{loss.item():.2f} against {math.log(50257):.2f}")
assert abs(loss.item() - math.log(50257) - 768 * 0.02**2 / 2) < 0.2  # a mean over only 126 tokens

# %% [markdown]
# ## 3. The published weights
#
# They are 548 MB and need the network once: set `checkpoint = "openai-community/gpt2"` above, or the path of a folder that has `config.json` and `model.safetensors`. Without it the page goes on with models of its own.

# %%
if checkpoint:
    published = transformers.GPT2LMHeadModel.from_pretrained(checkpoint)
    load_hf_state_dict(full, published.state_dict())
    words = RegexTokenizer.from_ranks(data.bpe_ranks("gpt2"), GPT2_SPLIT)
    prompt = torch.tensor([words.encode("Hello, I'm a language model,")])
    for row in full.generate(prompt.repeat(5, 1), 30, top_k=50, generator=torch.Generator().manual_seed(42)):
        print(">", words.decode(row.tolist()))
else:
    print('No checkpoint was asked for: set checkpoint = "openai-community/gpt2" above and run the page again.')
del theirs, full, reference

# %% [markdown]
# ## 4. How it starts
#
# GPT-2 draws its weights from a normal distribution of standard deviation 0.02, and shrinks those that write into the residual stream by $1/\sqrt{2L}$. Why? Each block adds twice to the stream. Sums of $n$ independent terms grow as $\sqrt n$, and the factor takes that back. We measure the stream after the last block, for models of 3 to 48 blocks, with the factor and without.

# %%
idx = torch.randint(1000, (4, 64))
depths = (3, 6, 12, 24, 48)
growth = {True: [], False: []}
for shrink in growth:
    for depth in depths:
        torch.manual_seed(0)
        # 0.02 is for a width of 768: at 256 it is 0.02 √3
        deep = GPT2(GPT2Config(vocab_size=1000, block_size=64, n_layer=depth, n_head=4, n_embd=256, init_std=0.035))
        with torch.no_grad():
            if not shrink:
                for name, p in deep.named_parameters():
                    if name.endswith("c_proj.weight"):
                        p.mul_(math.sqrt(2 * depth))
            x = deep.transformer.wte(idx) + deep.transformer.wpe.weight[:64]  # (4, 64, 256)
            for block in deep.transformer.h:
                x = block(x)
        growth[shrink].append(x.std().item())
fig, ax = plt.subplots(figsize=(6.5, 3))
ax.plot(depths, growth[False], marker="o", label="without the factor")
ax.plot(depths, growth[True], marker="o", label="with 1/√(2L)")
ax.set(
    xlabel="blocks in the model, L",
    ylabel="standard deviation\nafter the last block",
    title="With the factor, depth does not matter",
    ylim=(0, None),
)
ax.legend()
plt.show()
print(f"from 3 to 48 blocks: {growth[False][0]:.2f} to {growth[False][-1]:.2f} without, ", end="")
print(f"{growth[True][0]:.2f} to {growth[True][-1]:.2f} with")
assert max(growth[True]) < 1.1 * min(growth[True])
assert 3 < growth[False][-1] / growth[False][0] < 5  # √16 = 4

# %% [markdown]
# Tying is one line in the class. The argument for it: both matrices answer the question which tokens are alike. The gradient of the shared matrix is the sum of what both uses ask for.

# %%
torch.manual_seed(0)
small = GPT2(GPT2Config(vocab_size=50, block_size=8, n_layer=1, n_head=1, n_embd=8))
assert small.lm_head.weight is small.transformer.wte.weight
print(
    f"{sum(p.numel() for p in small.parameters()):,} parameters, not {sum(p.numel() for p in small.parameters()) + 50 * 8:,}"
)
untied = GPT2(small.config)
untied.lm_head.weight = nn.Parameter(small.lm_head.weight.detach().clone())  # two matrices, equal
untied.load_state_dict(small.state_dict())
x, y = torch.randint(50, (2, 4, 8))  # (4, 8) each
for each in (small, untied):
    each(x, y)[1].backward()
both = untied.transformer.wte.weight.grad + untied.lm_head.weight.grad  # (50, 8)
torch.testing.assert_close(small.lm_head.weight.grad, both, rtol=1e-5, atol=1e-7)

# %% [markdown]
# ## 5. Tokens in shards
#
# The lecture that this page follows trains on files of a hundred million tokens each, **shards**, read one after the other. Ours hold all the plays. The tokenizer of lecture 09 learns its vocabulary on the training text; a special token stands between documents.
#
# Which documents? If the plays came one after the other, a step would see only Hamlet, and the last steps only the last play. So a document is a stretch of five speeches, and we shuffle them once. The validation text is the last tenth of `shakespeare()`, as in lecture 07, so that the losses compare.

# %%
shakespeare = data.shakespeare()
cut = int(0.9 * len(shakespeare))
train_text, val_text = data.plays() + "\n" + shakespeare[:cut], shakespeare[cut:]
tokenizer = RegexTokenizer()
tokenizer.train(train_text, vocab_size - 1)
tokenizer.register_special_tokens({"<|endoftext|>": vocab_size - 1})

speeches = train_text.split("\n\n")
documents = ["\n\n".join(speeches[i : i + 5]) + "\n\n" for i in range(0, len(speeches), 5)]
random.Random(0).shuffle(documents)
train_tokens = np.array([i for text in documents for i in (vocab_size - 1, *tokenizer.encode(text))], dtype=np.uint16)
val_tokens = torch.tensor(tokenizer.encode(val_text))
tokens_a_character = len(val_tokens) / len(val_text)
print(f"{len(documents):,} documents, {len(train_tokens):,} tokens to learn from, {len(val_tokens):,} for validation")
print(f"{1 / tokens_a_character:.2f} characters a token")

# %% [markdown]
# A token below 65,536 fits into two bytes. The shards are NumPy files, opened with a memory map, so that only what is read comes into memory.

# %%
folder = Path(tempfile.mkdtemp(prefix="shards-"))
for n, piece in enumerate(np.split(train_tokens, range(500_000, len(train_tokens), 500_000))):
    np.save(folder / f"plays_{n}.npy", piece)
print([f"{path.name}: {path.stat().st_size / 1e6:.1f} MB" for path in sorted(folder.glob("*.npy"))])


# %% [markdown]
# The loader walks through the shards in order. If the rows of a batch were neighbours in the text, a small batch would see a few neighbouring scenes at a time, and its gradient would follow them. So each row reads a **stream** of its own: with eight rows, the first starts at the beginning of the shard, the second after an eighth of it, and so on.
# With several processes, each takes some of the rows, and no two ever read the same. The position is two numbers, and that makes a run resumable.


# %%
class ShardLoader:
    """Batches out of shards, for process `rank` of `world`: each row reads on where it stopped, in a part of its own.

    next_batch() -> x, y: (B, T) int64 each, y one token later.  After the last shard comes the first again.
    """

    def __init__(self, paths, batch: int, block: int, rank: int = 0, world: int = 1):
        self.paths, self.batch, self.block, self.rank, self.world = sorted(paths), batch, block, rank, world
        self.load_state((0, 0))

    def state(self) -> tuple[int, int]:
        return self.shard, self.position

    def load_state(self, state: tuple[int, int]) -> None:
        self.shard, self.position = state
        self.tokens = np.load(self.paths[self.shard], mmap_mode="r")

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        stream = (len(self.tokens) - 1) // (self.world * self.batch)  # tokens that a row has in this shard
        if self.position + self.block > stream:
            self.load_state(((self.shard + 1) % len(self.paths), 0))
            return self.next_batch()
        starts = [row * stream + self.position for row in range(self.rank * self.batch, (self.rank + 1) * self.batch)]
        self.position += self.block
        rows = np.stack([self.tokens[at : at + self.block + 1] for at in starts]).astype(np.int64)  # (B, T + 1)
        return torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])


# %%
shards = list(folder.glob("*.npy"))
alone = ShardLoader(shards, 4, 32)
first, second = ShardLoader(shards, 2, 32, 0, 2), ShardLoader(shards, 2, 32, 1, 2)
for _ in range(50):
    x, y = alone.next_batch()  # (4, 32)
    halves = first.next_batch(), second.next_batch()
    assert torch.equal(x, torch.cat([halves[0][0], halves[1][0]])) and torch.equal(
        y, torch.cat([halves[0][1], halves[1][1]])
    )
print(tokenizer.decode(x[0].tolist())[:60])

# %% [markdown]
# ## 6. The optimiser and its schedule
#
# AdamW with $\beta_2$ = 0.95, as in GPT-3's paper. Weight **decay** pulls weights toward zero. It goes to what has two dimensions, matrices and embeddings; biases and norms have no reason to be small. Where the device allows, one fused call updates all parameters.


# %%
#| export gpt2
import math

import torch
from torch import nn


def configure_optimizer(
    model: nn.Module, learning_rate: float, weight_decay: float = 0.1, betas: tuple[float, float] = (0.9, 0.95)
) -> torch.optim.AdamW:
    """AdamW with weight decay on parameters of two and more dimensions only; fused where the device allows it.

    Source: Brown et al. (2020), https://arxiv.org/abs/2005.14165, appendix B.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = trained[0].device.type in ("cuda", "cpu")
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=fused)


def cosine_lr(step: int, peak: float, warmup: int, steps: int, floor: float) -> float:
    """The learning rate of step 0, 1, ...: a straight rise to `peak` in `warmup` steps, then a cosine down to `floor`.

    The first step's rate is peak / warmup, and from `steps` on it stays at `floor`.
    Source: Loshchilov and Hutter (2016), https://arxiv.org/abs/1608.03983, without restarts.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %%
small_config = GPT2Config(vocab_size, block_size, n_layer, n_head, n_embd, init_std)
torch.manual_seed(0)
model = GPT2(small_config).to(device)
decayed, free = configure_optimizer(model, peak_rate).param_groups
for name, group in (("decay", decayed), ("no decay", free)):
    print(f"{name:9} {len(group['params']):3} tensors, {sum(p.numel() for p in group['params']):9,} parameters")
fig, ax = plt.subplots(figsize=(6.5, 2.6))
# steps of 2**19 tokens: 375 million of warmup, as GPT-3, are 715 of them; 10 billion are 19,073
ax.plot([1e4 * cosine_lr(step, 6e-4, 715, 19073, 6e-5) for step in range(0, 19500, 50)])
ax.set_xticks(range(0, 400, 100), range(0, 20000, 5000))
ax.set(xlabel="step", ylabel="learning rate × 10⁴", title="The 124M run: 715 steps up, a cosine down to a tenth")
plt.show()

# %% [markdown]
# **Clipping** shortens a gradient longer than 1 to length 1, so that one strange batch cannot throw the model out of its valley.
#
# ## 7. A large batch on a small machine
#
# GPT-3's table asks for half a million tokens a step at this size. Their logits alone would take 524,288 · 50,257 · 4 bytes, 105 GB. **Gradient accumulation** runs many small batches, adds their gradients, and steps once. One trap: `cross_entropy` takes the mean over *its* batch. The sum of four means is four times the mean, so each loss is divided by the number of small batches first.

# %%
torch.manual_seed(0)
tiny = GPT2(GPT2Config(vocab_size, 32, 2, 2, 32, init_std)).double()
x, y = ShardLoader(shards, 16, 32).next_batch()  # (16, 32)
tiny(x, y)[1].backward()
whole = [p.grad.clone() for p in tiny.parameters()]

for divide in (False, True):
    tiny.zero_grad()
    for part in range(4):
        rows = slice(4 * part, 4 * part + 4)
        loss = tiny(x[rows], y[rows])[1]
        (loss / 4 if divide else loss).backward()
    ratio = tiny.lm_head.weight.grad.norm() / whole[0].norm()
    print(f"{'divided' if divide else 'not divided':12} {ratio:.4f} times the large batch's gradient")
for p, wanted in zip(tiny.parameters(), whole, strict=True):
    torch.testing.assert_close(p.grad, wanted, rtol=1e-9, atol=1e-12)  # float64, another order of sums

# %% [markdown]
# Without the division, the gradient is four times too long. AdamW would hardly notice, because it divides by the gradient's size anyway; clipping would, and the loss would not tell. The division by four is exact only if all parts have equally many targets.
#
# ## 8. The speed ladder
#
# How fast is training, and what is in the way? The measure is tokens a second, and beside it the **model FLOPs utilisation**: the multiplications and additions that the model needs, over those that the device can do. A weight takes two of them forward (multiply, add) and four backward (for the input's gradient and for its own): about $6N$ for each token, with $N$ parameters, and $12\,L\,C\,T$ for
# attention's scores and means (Chowdhery et al. 2022, appendix B). What the device can do, we measure beside each rung: one large matrix product in that rung's arithmetic.


# %%
def sync() -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(dtype: torch.dtype = torch.float32, repeats: int = 8) -> float:
    """Floating-point operations a second in a matrix product, the best of some."""
    size = 8192 if device.type == "cuda" else 1024
    a, best = torch.randn(size, size, device=device).to(dtype), 0.0
    for _ in range(repeats):
        sync()
        start = time.perf_counter()
        a @ a
        sync()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def flops_a_token(config: GPT2Config, parameters: int) -> int:
    return 6 * parameters + 12 * config.n_layer * config.n_embd * config.block_size


print(f"{matmul_rate() / 1e9:,.0f} GFLOPS in float32 on this device")


# %% [markdown]
# The rungs come from the lecture that reproduced GPT-2 on GPUs. **TF32** rounds the inputs of products to ten bits of mantissa, on the tensor cores of a GPU. **bf16 autocast** runs products in bfloat16 and keeps weights in float32. **Fused attention** never stores the weights of section 5 of lecture 07. **compile** turns many small operations into few large ones. **Nice numbers** pad the vocabulary
# to a multiple of 64, because kernels work in blocks. **Fused AdamW** updates all parameters in one call. Each rung keeps what the rungs before it brought, starts from the same weights, sees the same batches, and must leave the loss where it was.


# %%
class SpelledOut(GPT2Attention):
    """The same attention in five lines, with all of its weights in memory."""

    def forward(self, x):
        q, k, v = self.split(x)  # (B, nh, T, hs)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (B, nh, T, T)
        future = torch.triu(torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device), 1)
        y = scores.masked_fill(future, float("-inf")).softmax(-1) @ v  # (B, nh, T, hs)
        return self.c_proj(y.transpose(1, 2).flatten(2))


def rung(name: str, fused_attention=False, bf16=False, tf32=False, compiled=False, vocab=vocab_size - 7, fused=False):
    """Train some steps; returns seconds a step, the last loss, the parameters, and the device's rate in this arithmetic."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size + 64, block_size, n_layer, n_head, n_embd, init_std))
    with torch.no_grad():  # the same weights in every rung, cut to its vocabulary
        table = nn.Parameter(model.lm_head.weight[:vocab].clone())
        model.transformer.wte.weight = model.lm_head.weight = table
    for block in model.transformer.h:
        block.attn.__class__ = GPT2Attention if fused_attention else SpelledOut
    model = model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)
    run = torch.compile(model) if compiled else model
    loader, times = ShardLoader(shards, batch_size, block_size), []
    dtype = torch.bfloat16 if bf16 else torch.float32
    peak = matmul_rate(dtype)
    autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
    for _ in train.progress(ladder_steps + 2, name[:26]):
        x, y = (t.clamp(max=vocab - 1).to(device) for t in loader.next_batch())  # the few tokens past an odd size
        sync()
        start = time.perf_counter()
        with autocast:
            loss = run(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sync()
        times.append(time.perf_counter() - start)
    peak = max(peak, matmul_rate(dtype))
    torch.set_float32_matmul_precision("highest")
    return min(times[2:]), loss.item(), sum(p.numel() for p in model.parameters()), peak


# %%
nice = -(-(vocab_size - 7) // 64) * 64  # 1,017 is as odd as 50,257: the next multiple of 64 is 1,024
rungs = {"float32, attention spelled out": {}}
if device.type == "cuda":
    rungs["+ TF32"] = {"tf32": True}
rungs["+ fused attention"] = {"fused_attention": True}
rungs["+ nice numbers"] = {"vocab": nice}
rungs["+ fused AdamW"] = {"fused": device.type in ("cuda", "cpu")}
rungs["+ bf16 autocast"] = {"bf16": True}
if device.type == "cuda" or shutil.which(os.environ.get("CXX", "c++")):
    rungs["+ compile"] = {"compiled": True, "bf16": device.type == "cuda"}
else:
    print("torch.compile needs a C++ compiler, and there is none on this machine: its rung is left out.")
measured, options = {}, {}
for name, option in rungs.items():
    options = options | option
    measured[name] = rung(name, **options)

# %%
base_loss = measured["float32, attention spelled out"][1]
rows = ["| rung | ms a step | tokens a second | utilisation | loss, last step |", "|---|---:|---:|---:|---:|"]
for name, (seconds, loss, parameters, peak) in measured.items():
    rate = batch_size * block_size / seconds
    mfu = rate * flops_a_token(small_config, parameters) / peak
    rows.append(f"| {name} | {1000 * seconds:.0f} | {rate:,.0f} | {mfu:.0%} | {loss:.3f} |")
    # bfloat16 keeps 8 bits; padding adds ln(1024/1017)
    band = 0.05 if "bf16" in name or device.type == "cuda" else 0.02
    assert abs(loss - base_loss) < band, f"{name}: {loss:.3f} is too far from {base_loss:.3f}"
Markdown("\n".join(rows))

# %% [markdown]
# Read the table for your device. On a CPU the rungs change little for a model of this size, and a busy machine changes more: run the cell twice before you believe a difference. Where the processor has instructions for bfloat16, its products are faster but the small operations around them are not, and the utilisation falls. The compile rung goes back to float32 there. On a GPU it is another story: at the start most of the time goes into moving numbers and
# launching small operations, and the rungs are about that. The lecture that this ladder comes from went from about 1,000 ms to 93 ms a step on an A100
# ([video](https://www.youtube.com/watch?v=l8pRSuU81PU)). On every rung the loss stays: within 0.02 in float32 (seven more tokens to choose from cost 0.007), within 0.05 where bfloat16 takes part.
#
# ## 9. Training
#
# Everything together: the shards, the decay groups, the schedule, clipping. The loss of a model on tokens is in nats a *token*; to compare with lecture 07 we divide by the characters that a token stands for.


# %%
@torch.no_grad()
def evaluate(model, tokens, block: int) -> float:
    """Mean loss over a text (N,), in nats a token."""
    n = (len(tokens) - 1) // block * block
    X, Y = tokens[:n].view(-1, block), tokens[1 : n + 1].view(-1, block)
    batches = zip(X.split(32), Y.split(32), strict=True)
    return sum(model(x.to(device), y.to(device))[1].item() * len(x) for x, y in batches) / len(X)


def training_step(model, optimizer, loader, step: int, steps: int) -> float:
    """One step of the run: rate, batch, gradients, clipping, update. Returns the loss in nats a token."""
    for group in optimizer.param_groups:
        group["lr"] = cosine_lr(step, peak_rate, 50, steps, peak_rate / 20)
    x, y = (t.to(device) for t in loader.next_batch())
    loss = model(x, y)[1]
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


# %%
optimizer, loader = configure_optimizer(model, peak_rate), ShardLoader(shards, batch_size, block_size)
losses, start = [], time.perf_counter()
for step in (bar := train.progress(steps, "small GPT-2")):
    losses.append(training_step(model, optimizer, loader, step, steps))
    if step % 25 == 24:
        rate = (step + 1) * batch_size * block_size / (time.perf_counter() - start)
        bar.set_postfix_str(f"loss {losses[-1]:.2f}, {rate:,.0f} tokens/s", refresh=False)
val_loss = evaluate(model, val_tokens, block_size)
nats = val_loss * tokens_a_character
print(f"validation: {val_loss:.3f} nats a token, {nats:.3f} nats a character")
assert nats < target

# %%
fig, ax = plt.subplots(figsize=(7, 3))
means = np.reshape(losses[: len(losses) // 25 * 25], (-1, 25)).mean(1) * tokens_a_character
ax.plot(range(12, 25 * len(means), 25), means, label="training, means of 25 steps")
ax.axhline(nats, color="black", ls="--", lw=1, label=f"validation at the end: {nats:.2f}")
ax.axhline(1.65, color="0.5", ls=":", label="lecture 07's bound, on characters")
ax.set(
    xlabel="step",
    ylabel="loss (nats a character)",
    title="A small GPT-2 with 1,024 tokens in its vocabulary",
    ylim=(1.3, 2.8),
)
ax.legend()
plt.show()
prompt = torch.tensor([tokenizer.encode("KING HENRY:\n")], device=device)
generator = torch.Generator(device).manual_seed(1)
print(tokenizer.decode(model.generate(prompt, 100, temperature=0.8, top_k=50, generator=generator)[0].tolist()))

# %% [markdown]
# It has read 0.7 of the 1.8 million tokens, and comes within a tenth of a nat of the bound that lecture 07's character model had to beat. With tokens it sees more than twice as far as with as many characters, and the common words come whole (rare ones it still spells, and invents); but each of a thousand tokens is rarer than a letter, so it needs more text to learn them all.
#
# ## 10. Stop and go on
#
# A run of days is interrupted. A **checkpoint** must hold everything that the next step depends on: weights, the optimiser's moments, the position in the data, the step. Forget one, and the loss curve has a kink that nobody can explain later. The test is strict: six steps in one go, and three, a stop, three more, give the same losses to the last bit.


# %%
def fresh():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size, 32, 2, 2, 32, init_std)).to(device)
    return model, configure_optimizer(model, 1e-3), ShardLoader(shards, 4, 32)


def train_some(model, optimizer, loader, first: int, last: int) -> list[float]:
    return [training_step(model, optimizer, loader, step, 6) for step in range(first, last)]


in_one_go = train_some(*fresh(), 0, 6)

model_a, optimizer_a, loader_a = fresh()
before = train_some(model_a, optimizer_a, loader_a, 0, 3)
saved = {"model": model_a.state_dict(), "optimizer": optimizer_a.state_dict(), "loader": loader_a.state(), "step": 3}
torch.save(saved, folder / "half.pt")
del model_a, optimizer_a, loader_a, saved

model_b, optimizer_b, loader_b = fresh()
state = torch.load(folder / "half.pt", weights_only=True)
model_b.load_state_dict(state["model"])
optimizer_b.load_state_dict(state["optimizer"])
loader_b.load_state(state["loader"])
after = train_some(model_b, optimizer_b, loader_b, state["step"], 6)
print([f"{loss:.6f}" for loss in in_one_go])
if device.type == "cpu":
    assert before + after == in_one_go  # bit for bit

# %% [markdown]
# What if the optimiser's moments were forgotten? The weights are right, so the next loss is the same; but its step is another, and the losses after it differ:

# %%
model_c, optimizer_c, loader_c = fresh()
model_c.load_state_dict(state["model"])
loader_c.load_state(state["loader"])
forgotten = train_some(model_c, optimizer_c, loader_c, 3, 6)
print("without the optimiser's state:", [f"{a - b:+.6f}" for a, b in zip(forgotten, in_one_go[3:], strict=True)])
assert forgotten[0] == after[0] and forgotten[1:] != after[1:]

# %% [markdown]
# ## 11. Several processes
#
# With several GPUs, each runs a process with a copy of the model on its own part of the batch. After the backward pass they average their gradients, so all copies take the same step. That is **distributed data parallel**, DDP, and `torchrun` starts the processes. It works on a CPU too, so we can prove it here. The script:

# %%
script = folder / "ddp.py"
script.write_text("""\
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from course_utils.lectures.gpt2 import GPT2, GPT2Config, configure_optimizer

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)  # the same start everywhere
model = GPT2(GPT2Config(int(sys.argv[2]), 32, 2, 2, 32, 0.05)).double()
parallel, optimizer = DistributedDataParallel(model), configure_optimizer(model, 1e-3)
tokens = torch.from_numpy(np.load(sys.argv[1]).astype(np.int64))
for step in range(8):
    stream = (len(tokens) - 1) // (4 * world)  # as ShardLoader: four rows a process, each with a part of its own
    rows = torch.stack([tokens[row * stream + step * 32 :][:33] for row in range(4 * rank, 4 * rank + 4)])
    loss = parallel(rows[:, :-1], rows[:, 1:])[1]
    loss.backward()  # averages the gradients over the processes
    optimizer.step()
    optimizer.zero_grad()
    dist.all_reduce(loss, op=dist.ReduceOp.SUM)  # the mean over all, to print
    if rank == 0:
        print(f"{loss.item() / world:.12f}", flush=True)
dist.barrier()  # nobody hangs up while another still listens
dist.destroy_process_group()
""")
torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
done = subprocess.run(
    [*torchrun, script, sorted(shards)[0], str(vocab_size)], capture_output=True, text=True, timeout=240
)
if done.returncode:
    raise RuntimeError(f"the two processes failed: {done.stderr[-800:]}")
by_two = [float(line) for line in done.stdout.split()]

# %% [markdown]
# And the same eight steps in one process, on the whole batch:

# %%
torch.manual_seed(0)
single = GPT2(GPT2Config(vocab_size, 32, 2, 2, 32, 0.05)).double()
optimizer, loader, by_one = configure_optimizer(single, 1e-3), ShardLoader(shards, 8, 32), []
for _ in range(8):
    loss = single(*loader.next_batch())[1]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    by_one.append(loss.item())
print(f"largest difference of eight losses: {max(abs(a - b) for a, b in zip(by_one, by_two, strict=True)):.1e}")
assert max(abs(a - b) for a, b in zip(by_one, by_two, strict=True)) < 1e-9  # float64, another order of sums

# %% [markdown]
# Lecture 16 opens the averaging itself.
#
# ## 12. What does it know? HellaSwag's way
#
# Loss is hard to feel. **HellaSwag** asks for the ending of a story, one of four. A small model does not follow instructions, so we do not ask it: we let it *score* each ending and take the one with the highest mean log-probability per token. Of its 10,000 questions a guess solves 25 %, and GPT-2 124M about 29 to 31 %, depending on how one scores.
#
# We make two sets of our own out of the validation text, each with the first two lines of a speech and its third as the right ending. In the easy set the wrong endings are that same line with its inner words in another order: that asks which words follow each other. (The first and the last stay, or the capital and the full stop would give the answer away.)
# In the hard set they are third lines of other speeches: that asks what the speech is about.


# %%
@torch.no_grad()
def pick_ending(model, context: str, endings: list[str]) -> int:
    """The ending with the highest mean log-probability of its tokens, given the context."""
    head, tails = tokenizer.encode(context), [tokenizer.encode(ending) for ending in endings]
    longest = max(map(len, tails))
    rows = torch.tensor([head + tail + [0] * (longest - len(tail)) for tail in tails], device=device)  # (4, T), padded
    log_p = model(rows[:, :-1])[0].log_softmax(-1)  # (4, T - 1, V)
    own = log_p.gather(2, rows[:, 1:, None])[..., 0]  # (4, T - 1): of the token that comes
    means = [
        own[n, len(head) - 1 : len(head) - 1 + len(tail)].mean() for n, tail in enumerate(tails)
    ]  # padding left out
    return int(torch.stack(means).argmax())


# %%
speeches = [speech.split("\n") for speech in val_text.split("\n\n")]
pairs = [("\n".join(lines[:2]) + "\n", lines[2]) for lines in speeches if len(lines) > 2 and len(lines[2].split()) > 5]
rng = random.Random(0)
sets = {"words in another order": [], "lines from elsewhere": []}
for context, ending in rng.sample(pairs, min(200, len(pairs))):
    mixed, (head, *inner, tail) = set(), ending.split()
    while len(mixed) < 3:
        mixed |= {" ".join([head, *rng.sample(inner, len(inner)), tail])} - {ending}
    elsewhere = rng.sample([other for _, other in pairs if other != ending], 3)
    for name, wrong in zip(sets, (sorted(mixed), elsewhere), strict=True):
        order = rng.sample(range(4), 4)
        sets[name].append((context, [[ending, *wrong][n] for n in order], order.index(0)))
context, endings, answer = sets["words in another order"][0]
print(context, *[f"{'->' if n == answer else '  '} {ending}" for n, ending in enumerate(endings)], sep="\n")

# %%
untrained = GPT2(small_config).to(device).eval()
model.eval()
scores = {}
for name, questions in sets.items():
    for who, scorer in (("untrained", untrained), ("trained", model)):
        right = [pick_ending(scorer, *question) == answer for *question, answer in train.progress(questions, who)]
        scores[name, who] = sum(right) / len(right)
for name in sets:
    print(f"{name:24} untrained {scores[name, 'untrained']:.0%}, trained {scores[name, 'trained']:.0%}")
assert scores["words in another order", "trained"] > 0.5, "far better than the guess of 25 %"

# %% [markdown]
# With 200 questions the standard error is about 3 %. In two minutes the model has learned much of which words follow each other, and the easy set falls. On the hard set it does no better than a guess: knowing *which* line follows takes knowledge that a million parameters and two megabytes of text do not give.
# HellaSwag's wrong endings were written by a model and chosen to fool models, so it is harder still.

# %%
shutil.rmtree(folder)

# %% [markdown]
# ## What we built
#
# | built | reached | compared with | goes next |
# |---|---|---|---|
# | `GPT2`, 124,439,808 parameters and three more sizes | logits equal to about 1e-6 | `transformers.GPT2LMHeadModel` | 18: the cache |
# | accumulation, checkpoint, two processes | one large batch; no stop, bit for bit; one process | float64 | 16: distributed |
# | a small GPT-2 on tokens of all plays | below 1.80 nats a character in about two minutes | lecture 07: below 1.65 on characters | 11: optimisers |
# | the ladder | the table of section 8, on your device | 93 ms a step of 16,384 tokens on one A100, in the lecture | 15: precision |
#
# ## Papers
#
# - A. Radford et al. (2019). [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf). Read section 2.3 and table 2 with section 1; the paper writes 117M for the model of 124M.
# - T. Brown et al. (2020). Language Models are Few-Shot Learners. [arXiv:2005.14165](https://arxiv.org/abs/2005.14165). Table 2.1 and appendix B: the learning rates, schedule and decay that GPT-2's paper left out.
# - A. Karpathy (2024). [Let's reproduce GPT-2 (124M)](https://www.youtube.com/watch?v=l8pRSuU81PU). The lecture that this page follows.
# - R. Zellers et al. (2019). HellaSwag: Can a Machine Really Finish Your Sentence? [arXiv:1905.07830](https://arxiv.org/abs/1905.07830).
# - O. Press, L. Wolf (2016). Using the Output Embedding to Improve Language Models. [arXiv:1608.05859](https://arxiv.org/abs/1608.05859). Why tying helps.
# - A. Chowdhery et al. (2022). PaLM. [arXiv:2204.02311](https://arxiv.org/abs/2204.02311). Appendix B defines the utilisation.

# %% [markdown]
# ## Recall tomorrow
#
# 1. Where are GPT-2's 124 million parameters?
#    <details><summary>Answer</summary>38.6 in the token embedding, 0.8 in the positions, 85 in twelve blocks of 12 C² and a little.</details>
# 2. Four small batches, one step: what is divided by four, and why?
#    <details><summary>Answer</summary>Each loss, because each is a mean over its own batch.</details>
# 3. Which parameters get no weight decay?
#    <details><summary>Answer</summary>Those of one dimension: biases and norms.</details>
# 4. What must a checkpoint hold besides the weights?
#    <details><summary>Answer</summary>The optimiser's moments, the step (for the schedule), the position in the data, and the state of random numbers where they are used.</details>
# 5. Why does HellaSwag take the mean log-probability and not the sum?
#    <details><summary>Answer</summary>A sum favours short endings: every further token can only lower it.</details>
