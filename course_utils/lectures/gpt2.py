"""From notebooks/10_gpt2_124m.ipynb, 1. The modules of GPT-2; 2. The same numbers as the library; 6. The optimiser and
its schedule.

Made by `course build` from the cells marked `#| export gpt2`: edit sources/lectures/10_gpt2_124m.py.
"""

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
