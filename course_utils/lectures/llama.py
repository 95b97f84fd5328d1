"""From notebooks/18_kv_cache.ipynb, 6. A modern model: Llama.

Made by `course build` from the cells marked `#| export llama`: edit sources/lectures/18_kv_cache.py.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.kv_cache import KVCache, attend


@dataclass
class LlamaConfig:
    """The size of a Llama; the defaults are SmolLM2-135M's."""

    vocab_size: int = 49152
    n_layer: int = 30
    n_head: int = 9
    n_kv_head: int = 3
    n_embd: int = 576
    n_inner: int = 1536
    rope_base: float = 100_000.0
    norm_eps: float = 1e-5


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (x_i, x_(i + hs/2)) of each head: x (B, n, T, hs), cos and sin (T, hs) or (B, 1, T, hs).

    Source: Su et al. (2021), https://arxiv.org/abs/2104.09864, with the pairs as Llama's published weights have them.
    """
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


class LlamaAttention(nn.Module):
    """Causal attention with rotary positions and shared key heads: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        C, self.head_size = config.n_embd, config.n_embd // config.n_head
        self.q_proj = nn.Linear(C, config.n_head * self.head_size, bias=False)
        self.k_proj = nn.Linear(C, config.n_kv_head * self.head_size, bias=False)
        self.v_proj = nn.Linear(C, config.n_kv_head * self.head_size, bias=False)
        self.o_proj = nn.Linear(config.n_head * self.head_size, C, bias=False)

    def forward(self, x, layer: int, cache: KVCache, mask, cos, sin) -> torch.Tensor:
        heads = (project(x).unflatten(-1, (-1, self.head_size)) for project in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = (h.transpose(1, 2) for h in heads)  # (B, nh, T, hs), then twice (B, nkv, T, hs)
        k, v = cache.update(layer, turn(k, cos, sin), v)  # (B, nkv, K, hs) each
        return self.o_proj(attend(turn(q, cos, sin), k, v, mask).transpose(1, 2).flatten(2))


class LlamaMLP(nn.Module):
    """SwiGLU: (B, T, C) -> (B, T, C).  Source: Shazeer (2020), https://arxiv.org/abs/2002.05202."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.n_embd, config.n_inner, bias=False)
        self.up_proj = nn.Linear(config.n_embd, config.n_inner, bias=False)
        self.down_proj = nn.Linear(config.n_inner, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaBlock(nn.Module):
    """Attention and feed-forward, each on normalised input and added to it: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        C, eps = config.n_embd, config.norm_eps
        self.input_layernorm, self.self_attn = nn.RMSNorm(C, eps), LlamaAttention(config)
        self.post_attention_layernorm, self.mlp = nn.RMSNorm(C, eps), LlamaMLP(config)

    def forward(self, x: torch.Tensor, *place) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), *place)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """A Llama with tied embeddings and the published names: ids (B, T) and a cache -> logits (B, T, V), with last=True
    of the last token alone, (B, 1, V).  Source: Touvron et al. (2023), https://arxiv.org/abs/2302.13971.
    """

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(config.vocab_size, config.n_embd),
            "layers": nn.ModuleList(LlamaBlock(config) for _ in range(config.n_layer)),
            "norm": nn.RMSNorm(config.n_embd, config.norm_eps),
        })  # fmt: skip
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, idx: torch.Tensor, cache: KVCache | None = None, last: bool = False) -> torch.Tensor:
        cache = KVCache() if cache is None else cache
        mask = cache.mask(idx)
        hs = self.config.n_embd // self.config.n_head
        half = torch.arange(0, hs, 2, device=idx.device) / hs  # (hs / 2,) float32: bfloat16 cannot count to 400
        speeds = self.config.rope_base**-half  # (hs / 2,) radians a position
        angles = cache.positions(idx)[..., None] * speeds  # (T, hs / 2), or (B, T, ...)
        angles = torch.cat([angles, angles], -1)  # (T, hs)
        x = self.model.embed_tokens(idx)  # (B, T, C)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        if cos.ndim == 3:
            cos, sin = cos[:, None], sin[:, None]  # (B, 1, T, hs): the same for all heads
        for layer, block in enumerate(self.model.layers):
            x = block(x, layer, cache, mask, cos, sin)
        cache.advance(idx.shape[1])
        return self.lm_head(self.model.norm(x[:, -1:] if last else x))  # (B, T or 1, V)
