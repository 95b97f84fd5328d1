"""From notebooks/07_gpt.ipynb, 2. Chunks and batches; 9. The whole model; 10. Training.

Made by `course build` from the cells marked `#| export gpt`: edit sources/lectures/07_gpt.py.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm


def get_batch(ids, batch_size: int, block_size: int, generator=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Random chunks of a text, and the same chunks one token later.

    ids: (N,) token ids.  generator: a torch.Generator on the CPU.  Returns x, y: (batch_size, block_size) each, on the
    device of ids; y[b, t] is the token after x[b, t].  Raises ValueError for a text that is too short.
    """
    if len(ids) <= block_size:
        raise ValueError(f"a text of {len(ids)} tokens holds no chunk of {block_size} + 1: take a smaller block_size.")
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)  # (B,)
    rows = ids[(starts[:, None] + torch.arange(block_size + 1)).to(ids.device)]  # (B, T + 1)
    return rows[:, :-1], rows[:, 1:]


@dataclass
class GPTConfig:
    """The size of a GPT: tokens known, positions seen, blocks, heads, features, and the share of features dropped."""

    vocab_size: int
    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0


class CausalSelfAttention(nn.Module):
    """Multi-head attention of each position to itself and those before it: (B, T, C) -> (B, T, C).

    All heads are one batched product.  Raises ValueError where the heads do not divide the features.
    Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"{config.n_head} heads do not divide {config.n_embd} features: change n_head or n_embd.")
        self.n_head, self.dropout = config.n_head, config.dropout
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.proj = nn.Linear(config.n_embd, config.n_embd)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values of all heads: (B, T, C) -> three of (B, nh, T, hs)."""
        B, T, C = x.shape
        heads = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head)  # (B, T, 3, nh, hs)
        return heads.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)  # (B, nh, T, hs) each
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)  # (B, nh, T, hs)
        y = y.transpose(1, 2).flatten(2)  # (B, T, C): the heads side by side
        return F.dropout(self.proj(y), self.dropout, self.training)


class Block(nn.Module):
    """Attention, then a feed-forward network, each on normalised input and added to it: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C = config.n_embd
        self.ln1, self.attn = nn.LayerNorm(C), CausalSelfAttention(config)
        self.ln2 = nn.LayerNorm(C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C), nn.Dropout(config.dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))  # gather
        return x + self.mlp(self.ln2(x))  # think


class GPT(nn.Module):
    """A decoder-only Transformer: token ids (B, T) -> logits of the next token (B, T, V).

    Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config, C = config, config.n_embd
        self.token = nn.Embedding(config.vocab_size, C)
        self.place = nn.Embedding(config.block_size, C)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln, self.head = nn.LayerNorm(C), nn.Linear(C, config.vocab_size, bias=False)
        for name, p in self.named_parameters():
            if name in ("token.weight", "place.weight"):
                nn.init.normal_(p, std=0.5)
            elif name == "head.weight":
                nn.init.normal_(p, std=0.02)
            elif name.endswith(("proj.weight", "mlp.2.weight")):  # these write into the residual stream
                nn.init.normal_(p, std=1 / math.sqrt(C * 2 * config.n_layer))
            elif p.ndim == 2:
                nn.init.normal_(p, std=1 / math.sqrt(C))
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
        x = self.token(idx) + self.place.weight[: idx.shape[1]]  # (B, T, C) + (T, C)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln(x))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def generate(
        self,
        idx: torch.Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Continue idx (B, T) by sampling, to (B, T + max_new_tokens).

        temperature: below 1 sharper, above 1 wilder, 0 takes the most likely token.  top_k: only the k most likely.
        top_p: only the most likely ones that together hold this share (Holtzman et al. 2019,
        https://arxiv.org/abs/1904.09751).  The model looks back on block_size tokens.
        """
        was_training = self.training
        self.eval()
        for _ in range(max_new_tokens):
            logits = self(idx[:, -self.config.block_size :])[0][:, -1]  # (B, V)
            p = next_probabilities(logits, temperature, top_k, top_p)
            idx = torch.cat([idx, torch.multinomial(p, 1, generator=generator)], 1)
        self.train(was_training)
        return idx


def next_probabilities(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> torch.Tensor:
    """What to sample the next token from: logits (B, V) -> probabilities (B, V).  Options as in GPT.generate.

    Raises ValueError for a temperature below 0, a top_k below 1, or a top_p outside of 0 to 1.
    """
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("take a temperature of 0 or more, a top_k of 1 or more, and a top_p above 0 and up to 1.")
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        kept = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.topk(top_k).indices, True)
        logits = logits.masked_fill(~kept, float("-inf"))
    if top_p is not None:
        p, order = logits.softmax(-1).sort(descending=True)  # (B, V)
        late = p.cumsum(-1) - p >= top_p  # what stands before it already holds the share
        logits = logits.masked_fill(torch.zeros_like(late).scatter(1, order, late), float("-inf"))
    return logits.softmax(-1)


def fit(
    model: nn.Module,
    next_batch: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    peak_rate: float = 5e-3,
    warmup: int = 50,
    weight_decay: float = 0.1,
    what: str = "training",
) -> list[float]:
    """Train a model that returns (logits, loss), and return the loss of every step, in nats a token.

    next_batch: gives x, y, (B, T) each, on the model's device.  peak_rate: AdamW's rate after `warmup` steps; a cosine
    takes it to a twentieth.  weight_decay: of matrices; vectors have none.  what: the progress bar's label.
    """
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=device.type != "mps")
    model.train()
    losses, tokens = [], 0
    bar = tqdm(range(steps), desc=what, file=sys.stdout, ncols=90, mininterval=0.5)
    for step in bar:
        fall = 0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * min((step + 1) / warmup, fall)
        x, y = next_batch()
        loss = model(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
        tokens += x.numel()
        if step % 50 == 49:
            rate = tokens / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(f"loss {loss.item():.2f}, {rate:,.0f} tokens/s", refresh=False)
    return torch.stack(losses).tolist()
