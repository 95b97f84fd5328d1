# %% [markdown]
# # 19 · Quantization: fewer bits
#
# At the end of this page a chat model that takes 540 MB in float32 has its blocks in 4 bits a weight, and writes twice as fast. We read its file byte by byte, and
# write the methods that the field uses from scratch: rounding by rows and by groups, LLM.int8(), SmoothQuant, GPTQ, AWQ, NF4, an 8-bit KV cache, and training with rounded weights. One plot compares those that round a finished model: perplexity against bits.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/19_quantization.ipynb) · a run takes about 4 minutes and 3.5 GB on a laptop's CPU
#
# Needs: lecture 18 (`Llama` and its cache). Later lectures take from here: `load_gguf`, `gguf_llama`, and the quantisers.

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
import struct
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from IPython.display import Markdown
from torch import nn
from torch.nn.utils import parametrize

from course_utils import data, lesson, results, train
from course_utils.lectures.gpt import GPT, GPTConfig, fit, get_batch
from course_utils.lectures.kv_cache import KVCache, generate

device = lesson.start("19_quantization")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# %% tags=["parameters"]
record = False  # True: measure every method on the whole held-out text and write data/results/19_quantization.json
live_tokens = 512  # held-out tokens of the measurements on this page; the record takes 2,048
live_layers = 4  # layers that GPTQ and AWQ work on here; the record takes all
calibration = (8, 256)  # texts and tokens a text that calibration reads here; the record takes 16 texts
group = 64  # weights that share a scale, in the group-wise methods

# %% [markdown]
# ## 1. A number in eight bits
#
# A weight in float32 takes 32 bits. Networks do not need that many: what matters is a sum over hundreds of products, and small errors in each average out. How few bits will do?
#
# The simplest scheme, **absmax**: divide by a **scale** so that the largest magnitude becomes 127, round to an integer, keep the integers and the scale. To use them, multiply again. By hand:

# %% tags=["nbval-check-output"]
w = torch.tensor([0.314, -1.27, 0.048, 0.90])
scale = w.abs().max() / 127
q = (w / scale).round().to(torch.int8)
print("integers", q.tolist(), " scale", round(scale.item(), 6))
print("back    ", [round(v, 3) for v in (q * scale).tolist()])

# %% [markdown]
# Rounding moves a number by at most half a step, and a step is the scale. If the remainders are spread evenly from $-s/2$ to $s/2$, their mean square is $\frac{1}{s}\int_{-s/2}^{s/2} u^2\,du = s^2/12$, so their root mean square is $s/\sqrt{12}$. Is it so?

# %%
torch.manual_seed(0)
w = torch.randn(100_000)
scale = w.abs().max() / 127
error = (w / scale).round() * scale - w
print(
    f"largest error {error.abs().max() / scale:.3f} steps, root mean square {error.square().mean().sqrt() / scale:.4f} steps"
)
print(f"1/√12 = {1 / 12**0.5:.4f}")
assert abs(error.square().mean().sqrt() / scale - 12**-0.5) < 0.005

# %% [markdown]
# Absmax is symmetric: the range reaches as far below zero as above. Numbers that lie mostly on one side, such as the outputs of a SiLU, waste half of it. The **zero-point** scheme maps the smallest number to 0 and the largest to 255, and remembers which integer means zero:
#
# $$s = \frac{\max - \min}{255}, \qquad z = \text{round}(-\min / s), \qquad q = \text{round}(x / s) + z, \qquad \hat{x} = (q - z)\, s$$

# %%
x = F.silu(3 * torch.randn(100_000))
s = (x.max() - x.min()) / 255
z = (-x.min() / s).round()
both = {
    "absmax": (x / (x.abs().max() / 127)).round() * (x.abs().max() / 127),
    "zero-point": (((x / s).round() + z).clamp(0, 255) - z) * s,
}
for name, back in both.items():
    print(f"{name:10} root mean square error {(back - x).square().mean().sqrt():.4f}")

# %% [markdown]
# The more numbers share a scale, the larger the largest, and the coarser the step for all. So the scale may belong to a whole matrix (**per tensor**), to a row, that is an output (**per channel**), or to a **group** of 64 or so weights within a row. One pair of functions does all of it, for any number of bits.


# %%
#| export quant
import torch


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


# %% [markdown]
# **Prove it** against PyTorch's own quantisation, for both schemes.

# %%
w = torch.randn(40, 96, dtype=torch.float64).float()
q, scale, zero = quantize(w)
theirs = torch.fake_quantize_per_channel_affine(w, scale[:, 0], zero[:, 0].int(), 0, -127, 127)
torch.testing.assert_close(dequantize(q, scale, zero), theirs, rtol=1e-6, atol=0)

observer = torch.ao.quantization.PerChannelMinMaxObserver(qscheme=torch.per_channel_affine, dtype=torch.quint8)
observer(w)
their_scale, their_zero = observer.calculate_qparams()
q, scale, zero = quantize(w, symmetric=False)
torch.testing.assert_close(scale[:, 0], their_scale, rtol=1e-6, atol=0)
assert torch.equal(zero[:, 0].long(), their_zero.long())
theirs = torch.fake_quantize_per_channel_affine(w, their_scale, their_zero.int(), 0, 0, 255)
torch.testing.assert_close(dequantize(q, scale, zero), theirs, rtol=1e-6, atol=1e-7)
q, scale, zero = quantize(w, 4, 32, symmetric=False)  # groups: 3 short rows for each row
observer = torch.ao.quantization.PerChannelMinMaxObserver(
    qscheme=torch.per_channel_affine, dtype=torch.quint8, quant_min=0, quant_max=15
)
observer(w.reshape(-1, 32))
their_scale, their_zero = observer.calculate_qparams()
assert torch.equal(zero.flatten().long(), their_zero.long())
theirs = torch.fake_quantize_per_channel_affine(w.reshape(-1, 32), their_scale, their_zero.int(), 0, 0, 15).view_as(w)
torch.testing.assert_close(dequantize(q, scale, zero), theirs, rtol=1e-6, atol=1e-6)
print("the same numbers; with zero points also the same scales and zero points as torch, by rows and by groups")

# %% [markdown]
# ## 2. A quantised file, byte by byte
#
# Models for laptops travel as GGUF files. Ours is SmolLM2-135M-Instruct (the file calls itself by the name of the training run), 98 MB: the matrices of the blocks in a format called Q4_1, the embedding in Q8_0, the norms in float32. `gguf` is a library that reads it; we do it by hand, because the format is a lesson in quantisation. In short (all in the [specification](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)); numbers are little-endian, counts take 8 bytes, a text is its length and then its letters, a list is the kind of its members, their count, and then they:
#
# 1. the letters `GGUF`, a version, the number of tensors, the number of facts;
# 2. the facts: name, kind, value (the sizes of the model, its tokens);
# 3. for each tensor: name, shape, kind, and where its bytes begin, counted from the start of part 4;
# 4. from the next multiple of 32 on: the tensors.

# %%
try:
    path = data.fetch("smollm2")
except data.DataError as missing:
    path = None
    print(
        f"✗ {missing}\nThe page goes on with a random model of a smaller size: its figures then say nothing about language."
    )
if path:
    first = path.read_bytes()[:24]
    magic, version, n_tensors, n_facts = struct.unpack("<4sIQQ", first)
    print(first.hex(" ", 4))
    print(f"{magic}, version {version}, {n_tensors} tensors, {n_facts} facts")

# %% [markdown]
# In Q4_1, 32 neighbouring weights form a block: a scale and the smallest value as 16-bit floats, then 32 integers $q$ of 4 bits, two a byte; the weight is $q \cdot \text{scale} + \text{smallest}$. That is 20 bytes for 32 weights, **5 bits a weight**. The low halves of the 16 bytes are the first 16 weights, the high halves the others. In Q8_0 a block is a scale and 32 signed bytes. NumPy can name such a layout:

# %% tags=["nbval-check-output"]
block = np.dtype([("scale", "<f2"), ("low", "<f2"), ("q", "u1", 16)])
bytes_ = struct.pack("<ee16B", 0.5, -2.0, *[16 * (15 - i) + i for i in range(16)])  # first 0..15, then 15..0
one = np.frombuffer(bytes_, block)
integers = np.concatenate([one["q"] & 15, one["q"] >> 4], 1)  # (1, 32)
print(f"{block.itemsize} bytes, {8 * block.itemsize / 32} bits a weight")
print((integers * one["scale"].astype(np.float32)[:, None] + one["low"].astype(np.float32)[:, None])[0, :18])

# %% [markdown]
# A file comes from somewhere and may be damaged, or made to do damage. A header that announces $2^{60}$ numbers must not make us ask for that memory. So every size is compared with what the file has left *before* anything is allocated, and the tensors together may not claim more bytes than there are.


# %%
#| export quant
import math
from pathlib import Path

import numpy as np
import torch

from course_utils.lectures.llama import Llama, LlamaConfig

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


# %% [markdown]
# **Prove it**: bit for bit what the `gguf` library says, all 272 tensors.

# %%
if path:
    import gguf

    start = time.perf_counter()
    facts, tensors = load_gguf(path)
    print(
        f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} numbers in {time.perf_counter() - start:.1f} s"
    )
    for t in train.progress(gguf.GGUFReader(path).tensors, "comparing"):
        theirs = gguf.quants.dequantize(t.data, t.tensor_type).reshape(tensors[t.name].shape)
        assert np.array_equal(theirs.view(np.uint32), tensors[t.name].numpy().view(np.uint32)), t.name  # every bit
    for key in ("general.name", "llama.block_count", "llama.attention.head_count_kv", "llama.rope.freq_base"):
        print(f"{key}: {facts[key]}")

# %% [markdown]
# And damaged files? We make a small one and break it in ways that happen, and in ways that somebody might choose.

# %%
folder = Path(tempfile.mkdtemp())


def small_gguf(magic=b"GGUF", shape=(32, 2), offset=0, kind=8, n_tensors=1, name_size=1, body=b"\0" * 68) -> bytes:
    head = magic + struct.pack("<IQQ", 3, n_tensors, 0)
    head += struct.pack("<Q", name_size) + b"w" + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
    head += struct.pack("<IQ", kind, offset)
    return head + b"\0" * (-len(head) % 32) + body


whole = small_gguf()
broken = {
    "whole": whole,
    "cut in the header": whole[:40],
    "cut in the tensors": whole[:-1],
    "another kind of file": small_gguf(magic=b"PK\3\4"),
    "a tensor of 2⁶⁰ numbers": small_gguf(shape=(2**40, 2**20)),
    "an offset beyond the end": small_gguf(offset=10**6),
    "a name of 2⁶² letters": small_gguf(name_size=2**62),
    "2⁵⁰ tensors": small_gguf(n_tensors=2**50),
    "an unknown kind of tensor": small_gguf(kind=77),
    "no numbers in 2⁶³ rows": small_gguf(shape=(0, 2**63)),
}
for what, content in broken.items():
    (folder / "model.gguf").write_bytes(content)
    try:
        print(f"{what:26} ✓ {load_gguf(folder / 'model.gguf')[1]['w'].shape}")
        assert what == "whole"
    except GGUFError as error:
        print(f"{what:26} ✗ {error}")
        assert what != "whole"

# %% [markdown]
# From tensors to a model there are two steps left. The names differ from those of our Llama. And the rows of the query and key matrices come in another order, because the program that GGUF was made for turns neighbouring pairs in RoPE, and our Llama turns the pairs $(i, i + 32)$. (Nothing fails when this is forgotten: the model loads, runs, and writes rubbish.)


# %%
#| export quant
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


# %% [markdown]
# **Prove it**: the model answers what `transformers` answers from the same file (which takes 15 seconds to read it).

# %%
torch.manual_seed(0)
if path:
    model = gguf_llama(path)
    words = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).eval()
    chat = [{"role": "user", "content": "What is a molecule? Answer in one sentence."}]
    prompt = torch.tensor([words.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)])
    answer = generate(model, prompt, 30, temperature=0, stop=2)
    with torch.no_grad():
        same = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False, pad_token_id=2
        )
    assert torch.equal(answer, same)
    with torch.no_grad():
        torch.testing.assert_close(model(prompt, KVCache()), theirs(prompt).logits, rtol=1e-3, atol=1e-3)
    print(words.decode(answer[0, prompt.shape[1] :]))
    del theirs
else:
    model = Llama(LlamaConfig(vocab_size=2000, n_layer=4, n_head=6, n_kv_head=2, n_embd=384, n_inner=1024)).eval()

# %% [markdown]
# ## 3. The yardstick
#
# What do we lose with fewer bits? The **perplexity** on a text that no method has seen: $e$ to the mean loss in nats a token, read as "between how many tokens it hesitates". The text is the end of our Shakespeare; calibration, later, reads other plays. The last linear layer and the embedding, one tied matrix, stay as they are; we quantise the 210 matrices of the blocks.
#
# One caution. This file has been quantised once already. What we call the full model is what Q4_1 has left of the original. Our grids are others than its own, so rounding costs something again, but figures for other models, which start from 16 bits, will not be the same.


# %%
@torch.no_grad()
def perplexity(model: nn.Module, ids: torch.Tensor, block: int = 512, cache=KVCache) -> float:
    """exp of the mean loss of the tokens ids (N,), read in blocks."""
    total, count = 0.0, 0
    for row in ids.split(block):
        total += F.cross_entropy(model(row[None], cache())[0, :-1], row[1:], reduction="sum").item()
        count += len(row) - 1
    return math.exp(total / count)


V = model.config.vocab_size
if path:
    held_out = torch.tensor(words.encode(data.shakespeare()[-12_000:]))[:2048]
    to_calibrate = torch.tensor(words.encode(data.plays()[:400_000]))
else:
    held_out, to_calibrate = torch.randint(V, (2048,)), torch.randint(V, (20_000,))
live = held_out[:live_tokens]
full = perplexity(model, live)
print(f"perplexity of {live_tokens} tokens in float32: {full:.2f}")

# %% [markdown]
# Methods come and go on one model, so we keep the original weights, and a function that puts new ones in.


# %%
def sites(model: nn.Module) -> dict[tuple[int, str], list[nn.Linear]]:
    """The linear layers of all blocks; those that read the same input stand together."""
    found = {}
    for i, block in enumerate(model.model.layers):
        found[i, "qkv"] = [block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj]
        found[i, "o"] = [block.self_attn.o_proj]
        found[i, "up"] = [block.mlp.gate_proj, block.mlp.up_proj]
        found[i, "down"] = [block.mlp.down_proj]
    return found


places = sites(model)
original = {key: [linear.weight.detach().clone() for linear in linears] for key, linears in places.items()}


@torch.no_grad()
def put(method, what: str = "", layers: int | None = None) -> None:
    """Give each site new weights: method(key, the original weights) -> weights. The layers from `layers` on stay whole."""
    items = places.items() if not what else train.progress(places.items(), what)
    for key, linears in items:
        new = original[key] if layers is not None and key[0] >= layers else method(key, original[key])
        for linear, weight in zip(linears, new, strict=True):
            linear.weight.copy_(weight)


# %%
def rounded(bits, group, symmetric):
    return lambda key, weights: [round_to_nearest(w, bits, group, symmetric) for w in weights]


def per_tensor(bits):
    return lambda key, weights: [round_to_nearest(w.reshape(1, -1), bits).view_as(w) for w in weights]


def bits_a_weight(bits: int, group: int | None, symmetric: bool = True, width: int = 576) -> float:
    """With a scale of 16 bits a group, and a zero point as wide as a weight."""
    return bits + (16 + (0 if symmetric else bits)) / (group or width)


tried = {}
for bits in train.progress((8, 4, 3), "rounding to nearest"):
    for name, method in {
        "per tensor": per_tensor(bits),
        "per channel": rounded(bits, None, True),
        f"groups of {group}": rounded(bits, group, True),
        f"groups of {group}, zero point": rounded(bits, group, False),
    }.items():
        put(method)
        tried[bits, name] = perplexity(model, live)

# %%
names = list(dict.fromkeys(name for _, name in tried))
rows = ["| rounding to nearest | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
told = lambda value: f"{value:.1f}" if value < 1000 else "over 1,000"
rows += [f"| {bits} bits | " + " | ".join(told(tried[bits, n]) for n in names) + " |" for bits in (8, 4, 3)]
put(lambda key, weights: weights)
Markdown("\n".join([f"float32: {full:.1f}", "", *rows]))

# %% [markdown]
# Eight bits are nearly free with a scale for each row or group; with one for a whole matrix they cost 5 % already. At four bits the size of a group decides between a usable model and rubble, and the zero point helps again. At three, rounding to nearest is in trouble everywhere, and better methods have room to show.
# %% [markdown]
# ## 4. Really four bits
#
# So far we simulate: the rounded weights are float32 again. To save memory, two integers of four bits go into one byte.


# %%
#| export quant
import torch


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


# %%
file, count = {}, 0
for (layer, site), weights in original.items():
    for i, w in enumerate(weights):
        q, scale, zero = quantize(w, 4, group, symmetric=False)
        file[f"{layer}.{site}.{i}.q"], file[f"{layer}.{site}.{i}.zero"] = (
            pack4(q),
            pack4(F.pad(zero, (0, zero.shape[1] % 2))),
        )
        file[f"{layer}.{site}.{i}.scale"] = scale.half()
        assert torch.equal(unpack4(pack4(q)), q)
        count += w.numel()
torch.save(file, folder / "packed.pt")
size = (folder / "packed.pt").stat().st_size
print(f"{count:,} weights in a file of {size / 1e6:.1f} MB: {8 * size / count:.2f} bits a weight")
print(f"by the formula {bits_a_weight(4, group, False):.2f} bits; float32 would take {4 * count / 1e6:.0f} MB")
assert 8 * size / count < 4.5

# %% [markdown]
# ## 5. NF4: levels where the weights are
#
# Integers are evenly spaced, weights are not: trained weights look like a normal distribution, many small and few large. QLoRA ([Dettmers et al. 2023](https://arxiv.org/abs/2305.14314)) takes 16 levels that lie dense where a normal variable is dense, **NF4** (normal float): its quantiles, scaled to the range from -1 to 1, eight above zero, seven below, and zero itself. Blocks of 64 weights share one absmax.


# %%
#| export quant
import torch


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


# %% [markdown]
# **Prove it**: the published code book, from the paper's appendix E, and the nearest level indeed.

# %%
published = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635]
published += [-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725]
published += [
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]
torch.testing.assert_close(nf4_levels(), torch.tensor(published), rtol=0, atol=1e-6)
w = original[0, "o"][0]
q, absmax = quantize_nf4(w)
ratio = w.reshape(-1, 64) / absmax[:, None]  # (blocks, 64)
nearest = (ratio[..., None] - nf4_levels()).abs().min(-1).values
torch.testing.assert_close(
    (dequantize_nf4(q, absmax).reshape(-1, 64) / absmax[:, None] - ratio).abs(), nearest, rtol=1e-4, atol=1e-6
)
print("the published 16 values, and always the nearest")

# %% [markdown]
# One absmax in 32 bits for 64 weights is half a bit a weight. **Double quantization** rounds the absmax values themselves to 8 bits, in blocks of 256: 8/64 + 32/(64 · 256) = 0.127 bits instead of 0.5.


# %%
def nf4(double: bool):
    return lambda key, weights: [dequantize_nf4(*quantize_nf4(w, 64, double)) for w in weights]


for double, bits in ((False, 4 + 32 / 64), (True, 4 + 8 / 64 + 32 / (64 * 256))):
    put(nf4(double))
    print(f"NF4{', double quantised' * double}: {bits:.3f} bits a weight, perplexity {perplexity(model, live):.1f}")
put(lambda key, weights: weights)

# %% [markdown]
# Integers in groups of 64 with a zero point had 51.9 at 4.31 bits (section 3): on this model the two are equally good. The caution of section 3 applies: our weights have been on a grid of integers before.
#
# ## 6. Activations, and their outliers
#
# If the inputs of a layer are integers too, the product is one of integers, and processors have fast instructions for that. Inputs are rounded on the fly, each token with its own scale. What do they look like? We watch all layers while the model reads a calibration text, and keep what later methods need: for each **site** (one input, with the matrices that read it), the mean $H$ of $x x^\top$ over tokens, the mean of $|x|$ for each feature, and its maximum.


# %%
@torch.no_grad()
def watch(model: nn.Module, rows: torch.Tensor, layers: int | None = None) -> dict:
    """Read rows (n, T). Returns for each site H (I, I), the mean |x| (I,), the maximum |x| (I,), over all tokens."""
    seen, hooks = {}, []
    for key, linears in places.items():
        if layers is not None and key[0] >= layers:
            continue
        size = linears[0].in_features
        seen[key] = {"H": torch.zeros(size, size), "mean": torch.zeros(size), "max": torch.zeros(size)}

        def note(module, inputs, s=seen[key]):
            x = inputs[0].flatten(0, -2)  # (tokens, I)
            s["H"] += x.T @ x / rows.numel()
            s["mean"] += x.abs().sum(0) / rows.numel()
            s["max"] = torch.maximum(s["max"], x.abs().amax(0))

        hooks.append(linears[0].register_forward_pre_hook(note))
    for row in train.progress(rows, "watching"):
        model(row[None], last=True)
    for hook in hooks:
        hook.remove()
    return seen


def calibration_rows(n: int, seed: int) -> torch.Tensor:
    starts = torch.randint(len(to_calibrate) - calibration[1], (n,), generator=torch.Generator().manual_seed(seed))
    return to_calibrate[starts[:, None] + torch.arange(calibration[1])]  # (n, T)


seen = watch(model, calibration_rows(calibration[0], seed=0))

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
last = max(i for i, _ in places)
for ax, key, what in zip(
    axes,
    ((last // 2, "qkv"), (last, "down")),
    ("into attention, middle layer", "into down_proj, last layer"),
    strict=True,
):
    top = seen[key]["max"].sort(descending=True).values
    ax.semilogy(range(1, len(top) + 1), top, lw=2)
    ax.axhline(6, color="black", lw=1, ls=":")
    ax.set(xlabel="features, largest first", title=what)
    print(f"{what}: {(top > 6).float().mean():.0%} of {len(top)} features pass 6 somewhere")
axes[0].set(ylabel="largest |input| in the text")
fig.suptitle("Some features are far larger than the rest; on the right most pass 6 somewhere")
plt.show()

# %% [markdown]
# Those few **outliers** set the scale of the whole token, and the many small features are left with a handful of integers. Dettmers et al. ([2022](https://arxiv.org/abs/2208.07339)) found it in large models and built **LLM.int8()**: features with a value above 6 (the dotted line) are computed in floating point, all others in int8. The 6 was chosen for the models of the paper; in the last layer of ours it keeps most features in floating point, where it hardly deserves the name int8.
#
# First the layer. The integer product is exact: we compare it with the same product in 64-bit integers.


# %%
#| export quant
import torch
from torch import nn


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


# %%
a = torch.randint(-127, 128, (64, 576), dtype=torch.int8)
b = torch.randint(-127, 128, (1536, 576), dtype=torch.int8)
assert torch.equal(torch._int_mm(a, b.T).long(), a.long() @ b.long().T)
x, w = torch.randn(2, 5, 96), torch.randn(40, 96)
y = F.linear(x, w)
torch.testing.assert_close(Int8Linear(w, threshold=0.0)(x), y, rtol=1e-5, atol=1e-5)  # everything is an outlier
print(f"integers exact; a layer's relative error {(Int8Linear(w)(x) - y).norm() / y.norm():.4f}")
x[..., 7] *= 50  # one outlier
y = F.linear(x, w)
plain, split = (((Int8Linear(w, threshold=t)(x) - y).norm() / y.norm()).item() for t in (None, 6.0))
print(f"with one outlier {plain:.4f}, and {split:.4f} when it stays in floating point")
assert split < plain / 2


# %%
def swap(make) -> None:
    """Put make(key, linear) in the place of each linear layer of the blocks; the layers themselves stay in `places`."""
    for (i, site), linears in places.items():
        block = model.model.layers[i]
        holder = block.self_attn if site in ("qkv", "o") else block.mlp
        names = {
            "qkv": ("q_proj", "k_proj", "v_proj"),
            "o": ("o_proj",),
            "up": ("gate_proj", "up_proj"),
            "down": ("down_proj",),
        }
        for name, linear in zip(names[site], linears, strict=True):
            setattr(holder, name, make((i, site), linear))


int8 = {
    "one scale for all tokens": lambda key, linear: Int8Linear(linear.weight.detach(), whole=True),
    "the same, outliers in float": lambda key, linear: Int8Linear(linear.weight.detach(), threshold=6.0, whole=True),
    "a scale for each token": lambda key, linear: Int8Linear(linear.weight.detach()),
    "both, as LLM.int8() has it": lambda key, linear: Int8Linear(linear.weight.detach(), threshold=6.0),
}
for name, make in int8.items():
    swap(make)
    print(f"{name:28} perplexity {perplexity(model, live):.2f}")
swap(lambda key, linear: linear)

# %% [markdown]
# With one scale for all tokens the model is badly hurt, and the split alone repairs most of it: the damage was the outliers'. A scale for each token alone repairs as much. LLM.int8() does both, and is the best of the four.
#
# ## 7. SmoothQuant: move the difficulty
#
# Weights are easy to round, inputs are hard. SmoothQuant ([Xiao et al. 2022](https://arxiv.org/abs/2211.10438)) moves some of the difficulty from one to the other: divide feature $j$ of the input by $s_j$, multiply column $j$ of the weights by it. The product is the same.
#
# $$s_j = \frac{\max |x_j|^{\alpha}}{\max |W_j|^{1-\alpha}}, \qquad \alpha = 0.5$$
#
# Behind a norm (before q, k, v and before gate, up) the division costs nothing in the end, since it can be merged into the norm's weights; by default the paper smooths only there. We divide before o_proj and down_proj as well, and pay for it with a division at run time.


# %%
#| export quant
import torch


def smooth_scales(x_max: torch.Tensor, weights: list[torch.Tensor], alpha: float = 0.5) -> torch.Tensor:
    """What to divide the inputs by: x_max (I,), the largest |input| of each feature; weights: (O, I) each, all that
    read this input.  Returns (I,).  Source: Xiao et al. (2022), https://arxiv.org/abs/2211.10438, equation 4.
    """
    w_max = torch.stack([w.abs().amax(0) for w in weights]).amax(0)  # (I,)
    return x_max.clamp(min=1e-5) ** alpha / w_max.clamp(min=1e-5) ** (1 - alpha)


# %%
x, w = (
    torch.randn(8, 96, dtype=torch.float64) * torch.logspace(-1, 2, 96, dtype=torch.float64),
    torch.randn(40, 96, dtype=torch.float64),
)
s = smooth_scales(x.abs().amax(0), [w])
torch.testing.assert_close((x / s) @ (w * s).T, x @ w.T, rtol=1e-10, atol=1e-10)  # float64: the same product
torch.testing.assert_close(
    (x / s).abs().amax(0), (w * s).abs().amax(0), rtol=1e-10, atol=0
)  # α = 0.5: as hard as each other


def smoothed(seen: dict):
    return lambda key, linear: Int8Linear(linear.weight.detach(), smooth=smooth_scales(seen[key]["max"], original[key]))


swap(smoothed(seen))
smooth_live = perplexity(model, live)
swap(lambda key, linear: linear)
print(f"SmoothQuant W8A8: perplexity {smooth_live:.2f}, float32 {full:.2f}, {smooth_live / full - 1:+.1%}")
assert smooth_live < 1.02 * full

# %% [markdown]
# Within two percent of the full model, with the products of all 210 matrices in eight bits.
#
# ## 8. GPTQ: let the others make up for it
#
# Round one weight of a row, and the row's outputs are off. The weights that are still free can make up for some of that. GPTQ ([Frantar et al. 2022](https://arxiv.org/abs/2210.17323)) asks for the row $\hat{w}$ that keeps the outputs on the calibration inputs, $\lVert (w - \hat{w}) X \rVert^2 = (w - \hat w)\, H\, (w - \hat w)^\top$ with $H = X X^\top$. Column by column: round weight $j$, then move all later weights by
#
# $$\delta = -\frac{w_j - \hat{w}_j}{[H^{-1}]_{jj}} \, [H^{-1}]_{j,\,j+1:}$$
#
# where $H$ is the part that belongs to columns $j$ and after. This is the exact least-squares answer. We check that before we use it: on eight weights, against a solver.

# %%
g = torch.Generator().manual_seed(0)
X = torch.randn(8, 50, generator=g, dtype=torch.float64)  # (weights, inputs)
w = torch.randn(8, generator=g, dtype=torch.float64)
inverse = torch.linalg.inv(X @ X.T)  # (8, 8)
e = w[0] - w[0].round()
moved = w[1:] - e / inverse[0, 0] * inverse[0, 1:]
target = w @ X - w[0].round() * X[0]  # what the other seven have to produce
solved = torch.linalg.lstsq(X[1:].T, target).solution
torch.testing.assert_close(moved, solved, rtol=1e-9, atol=1e-9)
print("the update is the least-squares solution")

# %% [markdown]
# Inverting $H$ anew for every column would take forever. The paper has three remedies. All rows of $w$ go through the columns in the same order, so that they share $H$. The needed rows of all those inverses are those of one matrix, the upper Cholesky factor $U$ of $H^{-1} = U^\top U$, up to a factor: $[H^{-1}]_{j,\,j+1:} / [H^{-1}]_{jj} = U_{j,\,j+1:} / U_{jj}$ (checked below). And rounding happens in blocks of columns, so that the far part of the matrix is touched once a block.


# %%
#| export quant
import torch


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


# %% [markdown]
# **Prove it** against the slow way, a new inverse for each column. Then, on real layers and on the calibration text itself: the error that it minimises falls far below that of rounding to nearest, for all 21 matrices of the first, the middle and the last layer.


# %%
g = torch.Generator().manual_seed(0)
w, X = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((5, 256), (256, 600)))
H = X @ X.T / 600
rest, slow, damped = w.clone(), torch.empty_like(w), H + 0.01 * H.diagonal().mean() * torch.eye(256)
for j in range(256):
    if j % 64 == 0:
        _, scale, zero = quantize(rest[:, j : j + 64], 3, symmetric=False)
    slow[:, j] = (((rest[:, j, None] / scale + zero).round().clamp(0, 7) - zero) * scale)[:, 0]
    inverse = torch.linalg.inv(damped[j:, j:])
    rest[:, j + 1 :] -= (rest[:, j] - slow[:, j])[:, None] / inverse[0, 0] * inverse[0, 1:]
torch.testing.assert_close(gptq(w, H, 3, 64), slow, rtol=0, atol=1e-9)
print("block by block, and with a new inverse for each column: the same")


# %%
def output_error(w: torch.Tensor, new: torch.Tensor, H: torch.Tensor) -> float:
    """The mean square of what a rounding changes in the outputs, relative to them."""
    d = new - w
    return (((d @ H) * d).sum() / ((w @ H) * w).sum()).item()


shares = []
for key in train.progress(
    [(i, site) for i in (0, last // 2, last) for site in ("qkv", "o", "up", "down")], "GPTQ, 3 bits"
):
    for w in original[key]:
        H = seen[key]["H"]
        nearest = output_error(w, round_to_nearest(w, 3, group, False), H)
        shares.append(output_error(w, gptq(w, H, 3, group), H) / nearest)
print(f"{len(shares)} matrices: GPTQ leaves {min(shares):.0%} to {max(shares):.0%} of the error")
assert max(shares) < 1

# %% [markdown]
# ## 9. AWQ: protect what matters
#
# AWQ ([Lin et al. 2023](https://arxiv.org/abs/2306.00978)) looks at the inputs. A weight that is multiplied by large inputs should be rounded with care. Multiply its column by $s > 1$ before rounding and divide after: its error shrinks by about $s$, as long as the group's scale does not grow. The paper takes $s_j = (\text{mean} |x_j|)^\alpha$ and tries a few $\alpha$ for each site. $\alpha = 0$ is rounding to nearest, so the error of a site's outputs on the calibration text can only get smaller. (The division by $s$ moves into the norm before the site, or into the rows of up_proj for down_proj. Before o_proj it cannot move here, since three heads share their values: there it stays a division of the inputs.)


# %%
#| export quant
import torch


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


# %%
def by_gptq(seen, bits):
    return lambda key, weights: [gptq(w, seen[key]["H"], bits, group) for w in weights]


def by_awq(seen, bits):
    return lambda key, weights: awq(weights, seen[key]["H"], seen[key]["mean"], bits, group)[0]


part = {}
for bits in (4, 3):
    for name, method in (
        ("nearest", rounded(bits, group, False)),
        ("GPTQ", by_gptq(seen, bits)),
        ("AWQ", by_awq(seen, bits)),
    ):
        put(method, f"{name}, {bits} bits", live_layers)
        part[bits, name] = perplexity(model, live)
put(lambda key, weights: weights)
rows = [f"| the first {live_layers} layers in | nearest | GPTQ | AWQ |", "|---|---|---|---|"]
rows += [f"| {b} bits | {part[b, 'nearest']:.2f} | {part[b, 'GPTQ']:.2f} | {part[b, 'AWQ']:.2f} |" for b in (4, 3)]
Markdown("\n".join([f"float32: {full:.2f}", "", *rows]))

# %% [markdown]
# Four layers of thirty, and 512 tokens: at four bits the three are so close that their order may be chance. At three bits both are ahead of rounding to nearest. For all layers, on a longer text, and with a second calibration text, see the record in section 13.
#
# ## 10. The cache in eight bits
#
# Lecture 18 counted what a cache weighs. Keys and values can be rounded as well, each vector with its own scale, when they enter the cache.


# %%
#| export quant
import torch

from course_utils.lectures.kv_cache import KVCache


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


# %%
caches = KVCache(), Int8KVCache()
with torch.no_grad():
    for cache in caches:
        model(live[None, :200], cache)
        model(live[None, 200:201], cache)
print(f"{caches[0].nbytes / 1e6:.2f} MB in float32, {caches[1].nbytes / 1e6:.2f} MB in int8")
print(f"perplexity {full:.3f} and {perplexity(model, live, cache=Int8KVCache):.3f}")
hs = model.config.n_embd // model.config.n_head
assert caches[1].nbytes * 4 * hs == caches[0].nbytes * (hs + 2)

# %% [markdown]
# ## 11. Training with rounded weights
#
# All methods so far round a finished model. Two bits are too few for that, as we shall see on a small model. **Quantisation-aware training** lets the model feel the rounding while it learns. The forward pass uses rounded weights; but rounding has the derivative zero almost everywhere, so nothing would learn. The **straight-through estimator** ([Bengio et al. 2013](https://arxiv.org/abs/1308.3432)) pretends in the backward pass that rounding was not there: $\hat{w} = w + (\text{round}(w) - w)_{\text{no gradient}}$.
#
# We take a small GPT of lecture 07 on Shakespeare. Two symmetric bits leave the levels -1, 0 and 1.


# %%
class Rounded(nn.Module):
    """A parametrisation: the layer sees rounded weights, the gradient passes straight through."""

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        return w + (round_to_nearest(w, 2, 32) - w).detach()


text = data.shakespeare()
letters = sorted(set(text))
ids = torch.tensor([letters.index(c) for c in text])
cut = int(0.9 * len(ids))
g = torch.Generator().manual_seed(1)
batch = lambda: get_batch(ids[:cut], 32, 32, g)
test_x, test_y = get_batch(ids[cut:], 400, 32, torch.Generator().manual_seed(2))


@torch.no_grad()
def loss_of(gpt: nn.Module) -> float:
    return gpt.eval()(test_x, test_y)[1].item()


torch.manual_seed(0)
small = GPT(GPTConfig(len(letters), block_size=32, n_layer=2, n_head=4, n_embd=96))
fit(small, batch, 500, what="float32")
losses = {"float32": loss_of(small)}
longer = GPT(small.config)  # a control: as many further steps, without rounding
longer.load_state_dict(small.state_dict())
fit(longer, batch, 250, peak_rate=2e-3, what="float32, longer")
losses["float32, trained on"] = loss_of(longer)
for module in small.blocks.modules():
    if isinstance(module, nn.Linear):
        parametrize.register_parametrization(module, "weight", Rounded())
losses["2 bits, rounded afterwards"] = loss_of(small)
fit(small, batch, 250, peak_rate=2e-3, what="with rounding")
losses["2 bits, trained on"] = loss_of(small)
for name, loss in losses.items():
    print(f"{name:28} {loss:.3f} nats a character")
assert losses["2 bits, trained on"] < losses["2 bits, rounded afterwards"] - 0.3
assert losses["2 bits, trained on"] < losses["float32, trained on"] + 0.15

# %% [markdown]
# Rounding costs more than 0.4 nats; training with it brings most of that back. Against a float32 model that was trained for as long, about 0.1 nats are missing.
#
# **Prove it**: PyTorch's own fake quantisation has the same gradient, and the same forward.

# %%
w = torch.randn(6, 64, requires_grad=True)
scale = w.detach().abs().amax(1) / 127
theirs = torch.fake_quantize_per_channel_affine(w, scale, torch.zeros(6, dtype=torch.int32), 0, -127, 127)
upstream = torch.randn_like(w)
(their_gradient,) = torch.autograd.grad(theirs, w, upstream)
ours = w + (round_to_nearest(w, 8) - w).detach()
(our_gradient,) = torch.autograd.grad(ours, w, upstream)
torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
assert torch.equal(our_gradient, their_gradient)
print("the same rounding, the same gradient")

# %% [markdown]
# ## 12. Is it faster?
#
# Fewer bits are fewer bytes to read, and decoding waits for bytes (lecture 18). Whether that becomes speed depends on kernels: somebody must have written a product that takes the packed numbers. PyTorch has three for CPUs: integers times integers (`_int_mm`), float inputs times int8 weights, and float inputs times packed int4, the latter two fast with bfloat16 inputs only. (Their leading underscore says that they may change.)


# %%
class Packed8(nn.Module):
    """Weights in int8 by row, inputs in bfloat16."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        q, scale, _ = quantize(weight)
        self.q, self.scale = q.to(torch.int8), scale[:, 0].bfloat16()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch._weight_int8pack_mm(x.flatten(0, -2).bfloat16(), self.q, self.scale)
        return y.to(x.dtype).unflatten(0, x.shape[:-1])


class Packed4(nn.Module):
    """Weights in groups of int4, inputs in bfloat16. The kernel's zero is at 8: w = (q - 8) scale + offset."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        q, scale, zero = quantize(weight, 4, group, symmetric=False)
        self.packed = torch._convert_weight_to_int4pack_for_cpu(q.int(), 2)
        self.scales = (
            torch.stack([scale, (8 - zero) * scale], 2).transpose(0, 1).contiguous().bfloat16()
        )  # (groups, O, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch._weight_int4pack_mm_for_cpu(x.flatten(0, -2).bfloat16(), self.packed, group, self.scales)
        return y.to(x.dtype).unflatten(0, x.shape[:-1])


def fastest(work, rounds: int = 5) -> float:
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


@torch.no_grad()
def speeds(model: nn.Module) -> tuple[float, float]:
    """Tokens a second: of a prompt of 256, and of writing after it."""
    prompt, cache = held_out[None, :256], KVCache()
    reading = fastest(lambda: model(prompt, last=True), 2)
    model(prompt, cache, last=True)
    writing = fastest(lambda: model(prompt[:, :1], cache, last=True), 12)
    return 256 / reading, 1 / writing


formats = {"float32": lambda key, linear: linear}
formats["int8 × int8"] = lambda key, linear: Int8Linear(linear.weight.detach())
if next(model.parameters()).device.type == "cpu":  # as it is here, also beside a GPU
    formats["int8 weights"] = lambda key, linear: Packed8(linear.weight.detach())
    formats["int4 weights"] = lambda key, linear: Packed4(linear.weight.detach())
measured = {}
for name, make in train.progress(formats.items(), "formats"):
    swap(make)
    measured[name] = (*speeds(model), perplexity(model, live))
swap(lambda key, linear: linear)

# %%
rows = ["| weights of the blocks | reading, tokens/s | writing, tokens/s | perplexity |", "|---|---|---|---|"]
rows += [f"| {name} | {r:.0f} | {w:.1f} | {p:.1f} |" for name, (r, w, p) in measured.items()]
Markdown("\n".join(rows))

# %% [markdown]
# Look at the columns apart. **Writing** gains from fewer bytes: the smaller the weights, the faster, though not in proportion: the last layer, a fifth of the weights, is still float32, and attention, norms and Python itself do not shrink either. **Reading** is arithmetic. The integer product wins it where the processor has instructions for 8-bit products (on x86 they are called VNNI; `lscpu` lists `avx512_vnni` or `avx_vnni`). The other two turn integers into floats as they multiply, and over many tokens that costs as much as it saves, or more: fewer bits, and no faster than float32.
# So which format is faster depends on what is asked: a server that reads long prompts wants W8A8, a laptop that writes for one person wants four-bit weights.
#
# Thirty layers show it, from one token to 512 (one layer alone would stay in the processor's cache, and nobody would wait for bytes):

# %%
layers = {name: [make(None, nn.Linear(576, 1536, bias=False)) for _ in range(30)] for name, make in formats.items()}
counts = (1, 4, 16, 64, 256, 512)
fig, ax = plt.subplots(figsize=(6.5, 3.4))
with torch.no_grad():
    inputs = [torch.randn(n, 576) for n in counts]
    base = [fastest(lambda: [layer(x) for layer in layers["float32"]], 4) for x in inputs]
    for (name, stack), marker in zip(layers.items(), "os^v", strict=False):
        took = base if name == "float32" else [fastest(lambda: [layer(x) for layer in stack], 4) for x in inputs]
        ax.loglog(counts, np.array(base) / took, marker=marker, label=name)
ax.axhline(1, color="gray", lw=1)
ax.set(
    xlabel="tokens at once",
    ylabel="speed, float32 = 1",
    title="Four-bit weights win for few tokens, integer products for many",
)
ax.set_xticks(counts, counts)
ax.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
ax.minorticks_off()
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## 13. All together
#
# The methods for a finished model on the same 2,048 tokens of the same text, all layers, GPTQ, AWQ and SmoothQuant with two calibration texts each. That takes minutes, so it is a **recorded result**: `course run 19 --profile full` makes it again, with the functions of this page.


# %%
def everything() -> dict:
    """Measure all methods on the whole held-out text: {"methods": [name, kind, bits a weight, perplexity], ...}."""
    methods = [("float32", "none", 32.0, perplexity(model, held_out))]

    def measure(name, kind, bits):
        methods.append((name, kind, bits, perplexity(model, held_out)))

    for bits in (8, 4, 3):
        for kind, method, cost in (
            ("nearest, per channel", rounded(bits, None, True), bits_a_weight(bits, None)),
            (f"nearest, groups of {group}", rounded(bits, group, False), bits_a_weight(bits, group, False)),
        ):
            put(method)
            measure(f"{kind}, {bits} bits", "nearest", cost)
    for double, cost in ((False, 4.5), (True, 4 + 8 / 64 + 32 / (64 * 256))):
        put(nf4(double))
        measure(f"NF4{', double quantised' * double}", "NF4", cost)
    put(lambda key, weights: weights)
    for seed in (0, 1):
        seen = watch(model, calibration_rows(16, seed))
        for bits in (4, 3):
            for name, method in (("GPTQ", by_gptq(seen, bits)), ("AWQ", by_awq(seen, bits))):
                put(method, f"{name}, {bits} bits")
                measure(f"{name}, {bits} bits, calibration {seed}", name, bits_a_weight(bits, group, False))
                put(lambda key, weights: weights)
        swap(smoothed(seen))
        measure(f"SmoothQuant W8A8, calibration {seed}", "W8A8", bits_a_weight(8, None))
        swap(lambda key, linear: linear)
    for name, make in int8.items():
        swap(make)
        measure(f"W8A8, {name}", "W8A8", bits_a_weight(8, None))
    swap(lambda key, linear: linear)
    methods.append(("int8 cache", "cache", 32.0, perplexity(model, held_out, cache=Int8KVCache)))
    return {"tokens": len(held_out), "group": group, "methods": methods, "speeds": measured}


if record:
    start = time.perf_counter()
    print("written:", results.save("19_quantization", everything(), time.perf_counter() - start).name)
kept = results.load("19_quantization")
made = kept["made"]
print(
    f"recorded on {made['date']} at {made['commit']}, {made['device']}, {made['threads']} thread(s), {made['seconds']} s"
)

# %% [markdown]
# Does the record still agree with the code? The cheapest method again, on the recorded text, now:

# %%
recorded = {name: value for name, _, _, value in kept["methods"]}
if path:
    again = f"nearest, groups of {group}, 4 bits"
    put(rounded(4, group, False))
    now = perplexity(model, held_out)
    put(lambda key, weights: weights)
    print(f"{again}: recorded {recorded[again]:.3f}, now {now:.3f}")
    assert abs(now / recorded[again] - 1) < 1e-3  # another machine, another order of sums

# %%
fig, ax = plt.subplots(figsize=(7.5, 4.2))
colors = plt.rcParams["axes.prop_cycle"].by_key()["color"] * 2
markers = {"nearest": "o", "NF4": "D", "GPTQ": "s", "AWQ": "^", "W8A8": "v"}
for (kind, marker), color in zip(markers.items(), colors, strict=False):
    chosen = [(bits, value) for _, k, bits, value in kept["methods"] if k == kind]
    ax.semilogy(*zip(*chosen, strict=True), marker, color=color, ms=7, mfc="none", mew=1.8, label=kind)
ax.axhline(recorded["float32"], color="black", lw=1, ls=":", label="float32")
ax.set(xlabel="bits a weight, scales included", ylabel=f"perplexity, {kept['tokens']:,} tokens")
ax.set(title="Below five bits the method matters, and the bits even more")
ax.annotate(
    "one scale for all tokens",
    (8.03, recorded["W8A8, one scale for all tokens"]),
    textcoords="offset points",
    xytext=(-150, -3),
)
ax.set(ylim=(28, 90))
ax.set_yticks([30, 40, 50, 70], ["30", "40", "50", "70"])
ax.minorticks_off()
ax.legend()
plt.show()


# %%
def kernel(name: str, kind: str) -> str | None:
    """The format of section 12 for these weights: the divisions of SmoothQuant and AWQ are not in its time."""
    if "outliers" in name or "LLM.int8()" in name:
        return None  # a second product in floating point, which section 12 did not time
    if kind == "nearest":
        return {
            "nearest, per channel, 8 bits": "int8 weights",
            f"nearest, groups of {group}, 4 bits": "int4 weights",
        }.get(name)
    return {"none": "float32", "W8A8": "int8 × int8"}.get(kind) or ("int4 weights" if ", 4 bits" in name else None)


blocks = 106_168_320  # weights of the 210 matrices
rows = ["| method | bits a weight | blocks, MB | perplexity | writing, tokens/s |", "|---|---|---|---|---|"]
for name, kind, bits, value in kept["methods"]:
    if kind != "cache":
        speed = kept["speeds"].get(kernel(name, kind))
        writing = f"{speed[1]:.1f}" if speed else "no kernel here"
        rows.append(f"| {name} | {bits:.2f} | {blocks * bits / 8e6:.0f} | {value:.2f} | {writing} |")
Markdown("\n".join(rows))

# %% [markdown]
# (One point lies far above the plot: three bits with one scale a row, in the thousands. Where outliers stay in floating point, their columns of the weights come on top of the 8.03 bits.) With eight-bit weights all that matters is the scale of the inputs: 52.7 with one for all tokens, 31.2 with one for each, 30.4 with LLM.int8(), 29.8 and 30.1 with SmoothQuant. (The int8 cache, which is not in the plot, has 29.81, like float32.) At four, groups matter, and GPTQ and AWQ win back about half of what rounding to nearest in groups lost. At three they win back a smaller share, 18 to 43 %, and stay far behind plain rounding at four. And the two calibration texts differ most for GPTQ at three bits: with so few inputs it begins to fit them.

# %%
for bits in (4, 3):
    nearest = recorded[f"nearest, groups of {group}, {bits} bits"]
    for name in ("GPTQ", "AWQ"):
        for seed in (0, 1):
            assert recorded[f"{name}, {bits} bits, calibration {seed}"] < nearest
for seed in (0, 1):
    assert recorded[f"SmoothQuant W8A8, calibration {seed}"] < 1.02 * recorded["float32"]
print(
    "GPTQ and AWQ beat rounding to nearest at 4 and 3 bits with both calibrations; SmoothQuant is within 2 % of float32"
)

# %% [markdown]
# ## What to use when
#
# | you want | take | because |
# |---|---|---|
# | no risk, half or a quarter of the memory | int8 weights by row | nothing to calibrate, perplexity 30.05 for 29.81 |
# | a server with long prompts or large batches | W8A8 with SmoothQuant | integer products are the fast ones |
# | a laptop, one person | 4-bit weights in groups, AWQ or GPTQ | decoding waits for bytes |
# | to fine-tune a large model on one GPU | NF4 with double quantization, and adapters on top (lecture 20) | weights stay frozen, accuracy comes from the adapters |
# | long contexts | an int8 cache as well | the cache outgrows the weights |
# | 2 bits | training with rounding | the methods of this page fail afterwards |
#
# **To read.**
# - T. Dettmers et al. (2022). LLM.int8(). [arXiv:2208.07339](https://arxiv.org/abs/2208.07339). For the story of how the outliers were found.
# - E. Frantar et al. (2022). GPTQ. [arXiv:2210.17323](https://arxiv.org/abs/2210.17323). For the way from an old idea (Hassibi's brain surgeon, 1993) to billions of weights in hours.
# - G. Xiao et al. (2022). SmoothQuant. [arXiv:2211.10438](https://arxiv.org/abs/2211.10438). For figures 2 and 4, which explain everything.
# - J. Lin et al. (2023). AWQ. [arXiv:2306.00978](https://arxiv.org/abs/2306.00978). For the experiment that keeps one percent of the weights.
# - T. Dettmers et al. (2023). QLoRA. [arXiv:2305.14314](https://arxiv.org/abs/2305.14314). For NF4, and for what comes after.
#
# **Five questions for tomorrow.**
# 1. Why is the error of rounding about a third of a step and not half?
#    <details><summary>Answer</summary>Half is the largest; spread evenly over a step, the root mean square is the step divided by √12, 0.29 of it.</details>
# 2. How many bits a weight do groups of 32 with a 16-bit scale and a 16-bit minimum cost, at four bits?
#    <details><summary>Answer</summary>4 + 32/32 = 5, as in Q4_1.</details>
# 3. Why does an outlier in the inputs hurt, but a large weight less?
#    <details><summary>Answer</summary>A token has one scale for all its features, and an outlier sets it. A row of weights has one scale as well, but no such outliers, and a group confines what there is to 64 weights.</details>
# 4. What does GPTQ need from the calibration text, and what does AWQ need?
#    <details><summary>Answer</summary>GPTQ the matrix H, the mean of x xᵀ; AWQ the mean of |x| for each feature (and H or the inputs to choose α).</details>
# 5. Why are four-bit weights fast for one token and slow for five hundred?
#    <details><summary>Answer</summary>One token waits for bytes, and there are fewer. Five hundred are limited by arithmetic, and unpacking adds to it.</details>
