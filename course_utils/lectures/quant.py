"""From notebooks/19_quantization.ipynb, 1. A number in eight bits; 2. A quantised file, byte by byte; 4. Really four
bits; 5. NF4: levels where the weights are; 6. Activations, and their outliers; 7. SmoothQuant: move the difficulty;
8. GPTQ: let the others make up for it; 9. AWQ: protect what matters; 10. The cache in eight bits.

Made by `course build` from the cells marked `#| export quant`: edit sources/lectures/19_quantization.py.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.lectures.kv_cache import KVCache
from course_utils.lectures.llama import Llama, LlamaConfig


def quantize(
    w: torch.Tensor, bits: int = 8, group: int | None = None, symmetric: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Round a matrix to integers, with a scale for each group of neighbours in a row.

    w: (O, I).  group: weights that share a scale; None: a whole row.  symmetric: absmax, integers from -(2^(b-1) - 1)
    to 2^(b-1) - 1; otherwise with a zero point, integers from 0 to 2^b - 1.  Returns q (O, I) int16, the scales and
    the zero points, (O, I / group) each; w is about (q - zero) * scale.  Raises ValueError where groups do not fit.
    """
    group = group or w.shape[1]
    if w.shape[1] % group:
        raise ValueError(f"groups of {group} do not divide rows of {w.shape[1]}: take another group size.")
    x = w.unflatten(1, (-1, group))  # (O, I / group, group)
    if symmetric:
        top = 2 ** (bits - 1) - 1
        scale = x.abs().amax(2).clamp(min=1e-9) / top  # (O, I / group)
        zero, bottom = torch.zeros_like(scale), -top
    else:
        low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)  # zero has to be among the values
        bottom, top = 0, 2**bits - 1
        scale = (high - low).clamp(min=1e-9) / top
        zero = (-low / scale).round()
    q = (x / scale[..., None] + zero[..., None]).round().clamp(bottom, top)
    return q.flatten(1).to(torch.int16), scale, zero


def dequantize(q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """The numbers that `quantize` stands for: q (O, I), scale and zero (O, groups) -> (O, I) float."""
    x = q.unflatten(1, (scale.shape[1], -1))
    return ((x - zero[..., None]) * scale[..., None]).flatten(1)


def round_to_nearest(w: torch.Tensor, bits: int, group: int | None = None, symmetric: bool = True) -> torch.Tensor:
    """There and back: what is left of w (O, I) after `quantize`."""
    return dequantize(*quantize(w, bits, group, symmetric))


FACT_KINDS = dict(enumerate(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "?"])) | {10: "u8", 11: "i8", 12: "f8"}
TEXT, LIST = 8, 9
TENSOR_KINDS = {  # id: (numbers in a block, its bytes)
    0: (1, np.dtype("<f4")),
    1: (1, np.dtype("<f2")),
    3: (32, np.dtype([("scale", "<f2"), ("low", "<f2"), ("q", "u1", 16)])),  # Q4_1
    8: (32, np.dtype([("scale", "<f2"), ("q", "i1", 32)])),  # Q8_0
}


class GGUFError(ValueError):
    """A file that is no whole GGUF: one sentence with the remedy."""


class _Header:
    """Reads one value after the other, and never more than the file has."""

    def __init__(self, content: np.ndarray):
        self.content, self.at = content, 0

    def take(self, n: int) -> np.ndarray:
        if n > len(self.content) - self.at:
            raise GGUFError(
                f"the header asks for {n:,} bytes where {len(self.content) - self.at:,} are left: the file is damaged."
            )
        self.at += n
        return self.content[self.at - n : self.at]

    def numbers(self, kind: int, n: int) -> list:
        if kind not in FACT_KINDS:
            raise GGUFError(f"the header holds a value of kind {kind}, which GGUF does not have: the file is damaged.")
        return np.frombuffer(self.take(n * np.dtype(FACT_KINDS[kind]).itemsize), "<" + FACT_KINDS[kind]).tolist()

    def count(self, width: int = 10) -> int:
        return self.numbers(width, 1)[0]

    def text(self) -> str:
        return self.take(self.count()).tobytes().decode("utf-8", "replace")

    def fact(self, kind: int):
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            return self.numbers(kind, 1)[0]
        inner, n = self.count(4), self.count()
        if inner != TEXT:
            return self.numbers(inner, n)
        self.fits(n, 8)
        return [self.text() for _ in range(n)]

    def fits(self, n: int, least: int) -> None:
        """n things of at least so many bytes each."""
        if n * least > len(self.content) - self.at:
            raise GGUFError(f"the header announces {n:,} entries, more than the file can hold: it is damaged.")


def load_gguf(path: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read a GGUF file: its facts {name: value}, and its tensors {name: float32, in rows as PyTorch has them}.

    Kinds F32, F16, Q8_0 and Q4_1.  Raises GGUFError, before it allocates more than the file itself has, for a file
    that is cut short, of another kind, or damaged.  Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    path = Path(path)
    if path.stat().st_size < 24:
        raise GGUFError(f"{path.name} is too short for a GGUF file: fetch it again.")
    content = np.memmap(path, np.uint8, "r")
    header = _Header(content)
    if header.take(4).tobytes() != b"GGUF":
        raise GGUFError(f"{path.name} does not begin with GGUF: it is another kind of file.")
    if (version := header.count(4)) not in (2, 3):
        raise GGUFError(f"{path.name} has version {version} of GGUF, and this reader knows 2 and 3: convert it.")
    n_tensors, n_facts = header.count(), header.count()
    header.fits(n_facts, 13)
    facts = {}
    for _ in range(n_facts):
        name = header.text()
        facts[name] = header.fact(header.count(4))
    header.fits(n_tensors, 24)
    places, claimed = {}, 0
    for _ in range(n_tensors):
        name, dims = header.text(), header.count(4)
        header.fits(dims, 8)
        shape = tuple(header.numbers(10, dims))[::-1]  # the file names the fastest dimension first
        kind, offset = header.count(4), header.count()
        if kind not in TENSOR_KINDS:
            raise GGUFError(f"{name} is of kind {kind}, and this reader knows F32, F16, Q4_1 and Q8_0: convert it.")
        size, layout = TENSOR_KINDS[kind]
        if not 1 <= len(shape) <= 4 or 0 in shape or shape[-1] % size:
            raise GGUFError(f"{name} has the shape {shape}, which blocks of {size} do not fill: the file is damaged.")
        places[name] = shape, layout, offset, math.prod(shape) // size * layout.itemsize
        claimed += places[name][-1]
    align = facts.get("general.alignment", 32)
    if not isinstance(align, int) or align < 1:
        raise GGUFError(f"the file aligns its tensors to {align!r} bytes, which cannot be: it is damaged.")
    base = -(-header.at // align) * align
    if claimed > len(content) - base:
        raise GGUFError(
            f"the tensors take {claimed:,} bytes, and the file has {max(0, len(content) - base):,}: it is cut short."
        )
    for name, (_, _, offset, length) in places.items():
        if base + offset + length > len(content):
            raise GGUFError(
                f"{name} would end at byte {base + offset + length:,} of {len(content):,}: the file is damaged."
            )
    return facts, {name: _numbers(content[base:], *place) for name, place in places.items()}


def _numbers(content: np.ndarray, shape: tuple, layout: np.dtype, offset: int, length: int) -> torch.Tensor:
    raw = np.frombuffer(content[offset : offset + length].tobytes(), layout)
    if layout.names is None:
        x = raw.astype(np.float32)
    elif "low" in layout.names:  # 32 numbers of 4 bits: low halves first
        q = np.concatenate([raw["q"] & 15, raw["q"] >> 4], 1)
        x = q * raw["scale"].astype(np.float32)[:, None] + raw["low"].astype(np.float32)[:, None]
    else:
        x = raw["q"] * raw["scale"].astype(np.float32)[:, None]
    return torch.from_numpy(x.reshape(shape))


NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def gguf_llama(path: str | Path) -> Llama:
    """A Llama with the weights of a GGUF file, in evaluation mode.  Raises GGUFError, also where parts are missing."""
    facts, tensors = load_gguf(path)
    keys = ("vocab_size", "block_count", "attention.head_count", "attention.head_count_kv", "embedding_length")
    keys += ("feed_forward_length", "rope.freq_base", "attention.layer_norm_rms_epsilon")
    missing = [key for key in keys if f"llama.{key}" not in facts]
    if missing:
        raise GGUFError(f"{Path(path).name} does not say llama.{missing[0]}: it holds no model of the Llama family.")
    config = LlamaConfig(*(facts[f"llama.{key}"] for key in keys))
    model, state = Llama(config), {}
    for name, x in tensors.items():
        part, *rest = name.split(".")
        if name not in ("token_embd.weight", "output_norm.weight") and not (
            part == "blk" and len(rest) == 3 and rest[1] in NAMES and rest[2] == "weight"
        ):
            raise GGUFError(f"{Path(path).name} has a tensor {name}, which our Llama with tied embeddings lacks.")
        if part == "blk":
            layer, kind, _ = rest
            if kind in ("attn_q", "attn_k"):  # pairs lie side by side: bring the first of all pairs before the second
                heads = config.n_head if kind == "attn_q" else config.n_kv_head
                x = x.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
            state[f"model.layers.{layer}.{NAMES[kind]}.weight"] = x
        else:
            state[{"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[part] + ".weight"] = x
    state["lm_head.weight"] = state.get("model.embed_tokens.weight")  # tied
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError):
        raise GGUFError(
            f"the tensors of {Path(path).name} do not make the Llama that it describes: fetch it again."
        ) from None
    return model.eval()


def pack4(q: torch.Tensor) -> torch.Tensor:
    """Two integers from 0 to 15 a byte: q (O, I) -> (O, I / 2) uint8. The first of two has the low bits.

    Raises ValueError for an odd I, or integers that do not fit into four bits.
    """
    if q.shape[1] % 2 or q.min() < 0 or q.max() > 15:
        raise ValueError("pack4 takes an even number of integers from 0 to 15 in each row: shift signed ones by 8.")
    q = q.to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4


def unpack4(packed: torch.Tensor) -> torch.Tensor:
    """Back again: (O, I / 2) uint8 -> (O, I) int16."""
    return torch.stack([packed & 15, packed >> 4], 2).flatten(1).to(torch.int16)


def nf4_levels() -> torch.Tensor:
    """The 16 values of NF4 in order, (16,).  Source: Dettmers et al. (2023), appendix E."""
    edge = 0.9677083  # the outermost quantile: between 31/32 and 29/30
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1)
    above = normal.icdf(torch.linspace(edge, 0.5, 9, dtype=torch.float64)[:-1])  # 8 values
    below = -normal.icdf(torch.linspace(edge, 0.5, 8, dtype=torch.float64)[:-1])  # 7 values
    levels = torch.cat([below, torch.zeros(1, dtype=torch.float64), above.flip(0)])
    return (levels / levels.max()).float()


def quantize_nf4(w: torch.Tensor, block: int = 64, double: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """w (O, I) -> the numbers of its nearest levels, (O, I) uint8, and the absmax of each block, (O I / block,).

    double: quantise the absmax values too, to 8 bits in blocks of 256 around their mean: what comes back is what is
    left of them.  Raises ValueError where blocks do not fit.
    """
    if w.numel() % block:
        raise ValueError(f"blocks of {block} do not divide {w.numel()} weights: take another block size.")
    x = w.reshape(-1, block)  # (blocks, block)
    absmax = x.abs().amax(1).clamp(min=1e-9)  # (blocks,)
    if double:
        mean = absmax.mean()
        rest = absmax - mean
        fine = [r / r.abs().max().clamp(min=1e-9) * 127 for r in rest.split(256)]
        back = [f.round() / 127 * r.abs().max().clamp(min=1e-9) for f, r in zip(fine, rest.split(256), strict=True)]
        absmax = torch.cat(back) + mean
    levels = nf4_levels().to(w)
    middles = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(x / absmax[:, None], middles).view_as(w).to(torch.uint8), absmax


def dequantize_nf4(q: torch.Tensor, absmax: torch.Tensor) -> torch.Tensor:
    """Back again: (O, I) uint8 and (blocks,) -> (O, I) float."""
    x = nf4_levels().to(absmax)[q.long()].view(len(absmax), -1)
    return (x * absmax[:, None]).view(q.shape)


class Int8Linear(nn.Module):
    """A linear layer in 8-bit integers, weights by row and inputs by token (W8A8): (..., I) -> (..., O).

    weight: (O, I).  smooth: (I,) divides the inputs, and the weights are multiplied by it before they are rounded
    (Xiao et al. 2022).  threshold: features that exceed it stay in floating point (Dettmers et al. 2022).
    whole: one scale for all tokens together, to see why each has its own.
    """

    def __init__(self, weight: torch.Tensor, smooth=None, threshold: float | None = None, whole: bool = False):
        super().__init__()
        self.smooth, self.threshold, self.whole = smooth, threshold, whole
        weight = weight if smooth is None else weight * smooth
        self.scale = weight.abs().amax(1).clamp(min=1e-9) / 127  # (O,)
        self.q = (weight / self.scale[:, None]).round().to(torch.int8)  # (O, I)
        self.weight = None if threshold is None else weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape, x = x.shape, x.flatten(0, -2)  # (N, I)
        if self.smooth is not None:
            x = x / self.smooth
        if self.threshold is not None:
            large = (x.abs() > self.threshold).any(0)  # (I,)
            kept, x = x[:, large] @ self.weight[:, large].T, x.masked_fill(large, 0)  # (N, O), (N, I)
        top = x.abs().amax() if self.whole else x.abs().amax(1, keepdim=True)  # (N, 1)
        scale = top.clamp(min=1e-9) / 127
        y = torch._int_mm((x / scale).round().to(torch.int8), self.q.T)  # (N, O) int32
        y = y * (scale * self.scale)
        return (y if self.threshold is None else y + kept).unflatten(0, shape[:-1])


def smooth_scales(x_max: torch.Tensor, weights: list[torch.Tensor], alpha: float = 0.5) -> torch.Tensor:
    """What to divide the inputs by: x_max (I,), the largest |input| of each feature; weights: (O, I) each, all that
    read this input.  Returns (I,).  Source: Xiao et al. (2022), https://arxiv.org/abs/2211.10438, equation 4.
    """
    w_max = torch.stack([w.abs().amax(0) for w in weights]).amax(0)  # (I,)
    return x_max.clamp(min=1e-5) ** alpha / w_max.clamp(min=1e-5) ** (1 - alpha)


def gptq(w: torch.Tensor, H: torch.Tensor, bits: int, group: int, damp: float = 0.01) -> torch.Tensor:
    """Round w (O, I) to groups with zero points, each column's error made good by the columns after it.

    H: (I, I), the mean of x xᵀ over calibration inputs.  damp: this share of H's mean diagonal is added to it, for a
    stable inverse.  Returns what is left of w, (O, I).  Source: Frantar et al. (2022), https://arxiv.org/abs/2210.17323
    """
    w, H, I = w.clone(), H.clone(), w.shape[1]
    H.diagonal().add_(damp * H.diagonal().mean())
    U = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H)), upper=True)  # H⁻¹ = Uᵀ U
    done, block = torch.empty_like(w), group * max(1, 128 // group)
    for a in range(0, I, block):
        b = min(a + block, I)
        errors = torch.zeros_like(w[:, a:b])
        for j in range(a, b):
            if j % group == 0:  # a new group: its grid fits the weights as they are by now
                _, scale, zero = quantize(w[:, j : min(j + group, I)], bits, symmetric=False)  # (O, 1)
            q = (w[:, j : j + 1] / scale + zero).round().clamp(0, 2**bits - 1)  # (O, 1)
            done[:, j : j + 1] = (q - zero) * scale
            errors[:, j - a] = (w[:, j] - done[:, j]) / U[j, j]
            w[:, j + 1 : b] -= errors[:, j - a, None] * U[j, j + 1 : b]  # the block's other columns, at once
        w[:, b:] -= errors @ U[a:b, b:]  # all columns beyond, once a block
    return done


def awq(
    weights: list[torch.Tensor], H: torch.Tensor, x_mean: torch.Tensor, bits: int, group: int
) -> tuple[list[torch.Tensor], float]:
    """Round weights (O, I), all that read one input, with their columns scaled by how large that input is.

    H: (I, I) as for gptq.  x_mean: (I,), the mean |input| of each feature.  Returns what is left of the weights and
    the best of ten exponents.  Source: Lin et al. (2023), https://arxiv.org/abs/2306.00978, equations 4 and 5.
    """
    best = (float("inf"), weights, 0.0)
    for alpha in torch.linspace(0, 0.9, 10).tolist():
        s = x_mean.clamp(min=1e-6) ** alpha
        s = s / (s.max() * s.min()).sqrt()
        new = [round_to_nearest(w * s, bits, group, symmetric=False) / s for w in weights]
        error = sum((((n - w) @ H) * (n - w)).sum().item() for n, w in zip(new, weights, strict=True))
        best = min(best, (error, new, alpha), key=lambda b: b[0])
    return best[1:]


class Int8KVCache(KVCache):
    """A KVCache that keeps 8-bit integers and a 16-bit scale for each key and value vector."""

    def update(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.stack([k, v])  # (2, B, nkv, T, hs)
        scale = (both.abs().amax(-1, keepdim=True).clamp(min=1e-6) / 127).half()
        q = (both / scale).round().clamp(-127, 127).to(torch.int8)
        if layer in self.layers:
            q_old, scale_old = self.layers[layer]
            q, scale = torch.cat([q_old, q], 3), torch.cat([scale_old, scale], 3)
        self.layers[layer] = q, scale
        k, v = q * scale.to(k.dtype)  # (B, nkv, K, hs) each
        return k, v

    def select(self, rows: torch.Tensor) -> None:
        self.layers = {layer: (q[:, rows], scale[:, rows]) for layer, (q, scale) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]
