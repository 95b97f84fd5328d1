"""The checks of exercises/06_makemore_wavenet.ipynb."""

import math
import random
import time

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.names import build_dataset, load_names, split_words

from . import same, task, wrong

TO_BEAT = 1.993  # nats a character, makemore's part 5
CPU_SECONDS = 120  # for fitting, all cores together
CONTEXT = 16  # characters before the one to predict that a model is given

# --- E01: the gated block ---------------------------------------------------------------------------------------------


def _parts(block, channels: int, skips: int, condition: int, dilation: int) -> None:
    """Stop with a sentence when the block's layers are not those that the task names."""
    kinds = {"filter": nn.Conv1d, "gate": nn.Conv1d, "residual": nn.Conv1d, "skip": nn.Conv1d}
    kinds |= {"filter_of_h": nn.Linear, "gate_of_h": nn.Linear}
    shapes = {
        "filter": (channels, channels, 2),
        "gate": (channels, channels, 2),
        "residual": (channels, channels, 1),
        "skip": (skips, channels, 1),
        "filter_of_h": (channels, condition),
        "gate_of_h": (channels, condition),
    }
    for name, kind in kinds.items():
        layer = getattr(block, name, None)
        if not isinstance(layer, kind):
            wrong(f"the block needs `self.{name}`, a torch.nn.{kind.__name__}: its stub lists all six.")
        if tuple(layer.weight.shape) != shapes[name]:
            wrong(f"`{name}.weight` should have shape {shapes[name]}, but it has {tuple(layer.weight.shape)}.")
    for name in ("filter", "gate"):
        if getattr(block, name).dilation != (dilation,):
            wrong(f"`{name}` ignores the dilation: pass `dilation=dilation` to its Conv1d.")


@task("E01", "write the class `GatedBlock`")
def e01(GatedBlock):
    for channels, skips, condition, dilation, T in ((4, 6, 3, 1, 9), (5, 3, 2, 4, 13), (3, 7, 4, 2, 8)):
        block = GatedBlock(channels, skips, condition, dilation).double()
        _parts(block, channels, skips, condition, dilation)
        x = torch.randn(2, channels, T, dtype=torch.double, requires_grad=True)
        h = torch.randn(2, condition, dtype=torch.double)
        kept = x.detach().clone()
        out = block(x, h)
        if not isinstance(out, tuple) or len(out) != 2:
            wrong("forward should return two tensors: the input of the next block, and the skip.")
        result, skip = out
        if not torch.equal(x.detach(), kept):
            wrong("the block changed its input x in place: write x = x + ..., not x += ...")
        if isinstance(result, torch.Tensor) and isinstance(skip, torch.Tensor):
            if tuple(result.shape) == (2, skips, T) and tuple(skip.shape) == (2, channels, T):
                wrong("the two results are in the other order: first the input of the next block, then the skip.")
            if result.shape[-1] == T - dilation or skip.shape[-1] == T - dilation:
                wrong(f"the sequence got shorter, from {T} to {T - dilation}: pad zeros on the left of x.")
            if result.shape[-1] == T + dilation or skip.shape[-1] == T + dilation:
                wrong("the sequence got longer: padding on both sides lets the block read the future. Pad on the left.")

        def conv(layer, x):
            return F.conv1d(x, layer.weight, layer.bias, dilation=layer.dilation)

        def z(first="tanh", of_filter=True, of_gate=True, pads=(dilation, 0), block=block, x=x, h=h, conv=conv):
            padded = F.pad(x, pads)
            f, g = conv(block.filter, padded), conv(block.gate, padded)
            f = f + block.filter_of_h(h)[:, :, None] if of_filter else f
            g = g + block.gate_of_h(h)[:, :, None] if of_gate else g
            return f.tanh() * g.sigmoid() if first == "tanh" else f.sigmoid() * g.tanh()

        with torch.no_grad():
            usual = {
                "tanh belongs to the filter and the sigmoid to the gate: you have them the other way round.": z(
                    "sigmoid"
                ),
                "the condition h is not used: add `filter_of_h(h)` and `gate_of_h(h)` to the two convolutions.": z(
                    of_filter=False, of_gate=False
                ),
                "the condition h reaches the filter only: the gate needs it as well.": z(of_gate=False),
                "the condition h reaches the gate only: the filter needs it as well.": z(of_filter=False),
                "zeros on the right of x let position t read position t + dilation, the future: pad on the left.": z(
                    pads=(0, dilation)
                ),
            }
            right = z()
            usual["the zeros stand on the left of z: put them on the left of x, so that h reaches every position."] = (
                F.pad(z(pads=(0, 0)), (dilation, 0))
            )
            mistakes = {sentence: conv(block.skip, value) for sentence, value in usual.items()}
            mistakes["the skip comes from z, not from the sum that goes on to the next block."] = conv(
                block.skip, x + conv(block.residual, right)
            )
            want_skip, want = conv(block.skip, right), x + conv(block.residual, right)
        same("the skip", skip, want_skip, mistakes, rtol=1e-9, atol=1e-10)
        without = {
            "the residual connection is missing: the block's input x is not added.": (want - x).detach(),
            "x was added before the 1×1 convolution `residual`: convolve z first, then add x.": conv(
                block.residual, right + x
            ).detach(),
            "x goes on alone: add the 1×1 convolution of z to it.": x.detach() + right,
        }
        same("the input of the next block", result, want.detach(), without, rtol=1e-9, atol=1e-10)
        (slope,) = torch.autograd.grad(result.sum() + skip.sum(), x, allow_unused=True)
        with torch.enable_grad():
            (true,) = torch.autograd.grad((x + conv(block.residual, z())).sum() + conv(block.skip, z()).sum(), x)
        if slope is None:
            wrong("the values are right, but no gradient reaches x: something was detached.")
        same("the gradient in x", slope, true, rtol=1e-9, atol=1e-10)
    return "filter, gate, condition, residual and skip equal the paper's formula."


# --- E02: beat the published loss -------------------------------------------------------------------------------------


@task("E02", "write `fit`")
def e02(fit):
    train_words, dev_words, _ = split_words(load_names())
    start = time.process_time()
    model = fit(list(train_words))
    seconds = time.process_time() - start
    if not callable(model):
        wrong(f"fit should return a model, something to call with contexts; it returned a {type(model).__name__}.")
    X, Y = build_dataset(dev_words, CONTEXT)  # (N, 16), (N,)
    logits = _predict(model, X[:64])
    if tuple(logits.shape) != (64, 27):
        wrong(f"model(X) with X of shape (64, {CONTEXT}) should return (64, 27), but it has {tuple(logits.shape)}.")
    if not logits.isfinite().all():
        wrong("the model returned nan or inf for a context of the held-out names.")
    alone = _predict(model, X[:2])
    if not torch.allclose(alone, logits[:2], rtol=1e-3, atol=1e-3):
        wrong(
            "a context's prediction changes with the other contexts in the batch: the model is still in training mode. "
            "Return `model.eval()`."
        )
    logits = torch.cat([_predict(model, x) for x in X.split(4096)])
    loss = F.cross_entropy(logits, Y).item()
    if torch.allclose(logits.sum(1), torch.ones(len(X)), atol=1e-3) and (logits >= 0).all():
        real = F.nll_loss((logits + 1e-9).log(), Y).item()
        wrong(f"the model returns probabilities: return logits (with them the loss would be {real:.3f}).")
    if loss > math.log(27) - 0.1:
        wrong(f"the held-out loss is {loss:.3f}; guessing all 27 alike has {math.log(27):.3f}. Was the model trained?")
    if loss < 1.85:
        wrong(f"a held-out loss of {loss:.3f} is too good: the model has seen the held-out names. Use only `words`.")
    if seconds > CPU_SECONDS:
        wrong(f"the loss is {loss:.3f}, but fitting took {seconds:.0f} s of processor time of {CPU_SECONDS} s.")
    if loss >= TO_BEAT:
        wrong(f"the held-out loss is {loss:.4f} after {seconds:.0f} s: not yet below {TO_BEAT}.")
    return f"held-out loss {loss:.4f}, below {TO_BEAT}."


def _predict(model, X: torch.Tensor) -> torch.Tensor:
    """The model's answer on the device where its parameters are, brought to the CPU."""
    home = next((p.device for p in model.parameters()), "cpu") if isinstance(model, nn.Module) else "cpu"
    with torch.no_grad():
        out = model(X.to(home))
    if not isinstance(out, torch.Tensor):
        wrong(f"model(X) should return a tensor of logits, but it returned a {type(out).__name__}.")
    return out.detach().float().cpu()


# --- E03: a causality test --------------------------------------------------------------------------------------------


class _Net(nn.Module):
    """Convolutions over characters (B, T) -> (B, T, vocab). pad(d): zeros to the left and right. extra(ix): added."""

    def __init__(
        self, pad=lambda d: (d, 0), kernel: int = 2, extra=None, norm=None, vocab: int = 27, channels: int = 8
    ):
        super().__init__()
        self.table = nn.Embedding(vocab, channels)
        self.convs = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=d) for d in (1, 2, 4))
        self.out = nn.Linear(channels, vocab)
        self.pad, self.extra, self.norm, self.vocab, self.longest = pad, extra, norm, vocab, 12

    def forward(self, ix: torch.Tensor) -> torch.Tensor:
        if ix.dim() != 2 or ix.shape[1] > self.longest:
            wrong(
                f"you called the network with shape {tuple(ix.shape)}: it takes (B, T), and here T is {self.longest}."
            )
        if ix.numel() and int(ix.max()) >= self.vocab:
            wrong(f"your texts hold character {int(ix.max())}, but here `vocab` is {self.vocab}: use the argument.")
        x = self.table(ix).transpose(1, 2)  # (B, C, T)
        for conv in self.convs:
            x = torch.tanh(conv(F.pad(x, self.pad(conv.dilation[0]))))
            x = x if self.norm is None else self.norm(x)
        y = self.out(x.transpose(1, 2))  # (B, T, vocab)
        return y if self.extra is None else y + self.extra(ix)


def _sees_next(token: int):
    """Adds one to every score wherever the next character is `token`."""

    def extra(ix):
        seen = torch.zeros(*ix.shape, 1)
        seen[:, :-1, 0] = (ix[:, 1:] == token).float()
        return seen

    return extra


def _first_sees_second(ix):
    seen = torch.zeros(*ix.shape, 1)
    seen[:, 0, 0] = ix[:, 1].float()
    return seen


def _first_sees_last(ix):
    seen = torch.zeros(*ix.shape, 1)
    seen[:, 0, 0] = ix[:, -1].float()
    return seen


def _faint(ix):
    seen = torch.zeros(*ix.shape, 1)
    seen[:, :-1, 0] = ix[:, 1:] * 2e-4
    return seen


def _average(x):
    return x - x.mean(2, keepdim=True)


def _zoo():
    """[(network, causal?, what to say when the answer is wrong)]"""
    own = "you rejected a causal network: output t may use character t itself, and everything before it."
    yield _Net(), True, own
    small = _Net(vocab=9)  # its own sizes: 27 and 12 written into the answer do not fit
    small.longest = 7
    yield small, True, own
    rounding = (
        "you rejected a causal network over rounding: differences below 1e-6 are noise, so compare with a tolerance."
    )
    yield _Net(extra=lambda ix: 1e-7 * ix.float().mean(1)[:, None, None]), True, rounding
    yield (
        _Net(pad=lambda d: (d, d), kernel=3),
        False,
        "you passed a network that pads both sides: its output t reads character t + 1.",
    )
    yield (
        _Net(extra=_first_sees_last),
        False,
        "you missed a long reach: output 0 reads the last character. Compare all outputs before the change.",
    )
    yield (
        _Net(extra=_first_sees_second),
        False,
        "you missed a leak at the start: output 0 reads character 1. Change every position, one after the other.",
    )
    yield (
        _Net(extra=_faint),
        False,
        "you missed a faint leak of 2e-4: your tolerance is too wide, 1e-5 is enough for rounding.",
    )
    yield (
        _Net(norm=_average),
        False,
        "you passed a network that subtracts the mean over all positions, the future included.",
    )
    for token in (3, 11, 17, 22):
        yield (
            _Net(extra=_sees_next(token)),
            False,
            "you missed a leak that only some characters open: one text is luck, so try 30 random texts or more.",
        )
    yield (
        _Net(norm=nn.BatchNorm1d(8)).train(),
        False,
        "you missed BatchNorm in training mode, whose statistics contain the future: test the network as it is given.",
    )


@task("E03", "write `is_causal`")
def e03(is_causal):
    for net, causal, sentence in _zoo():
        mode = net.training
        verdict = is_causal(net, net.vocab, net.longest)
        if verdict is None:
            wrong("is_causal returned None: does your function return its result?")
        if isinstance(verdict, torch.Tensor) and verdict.numel() == 1:
            verdict = bool(verdict)
        if not isinstance(verdict, bool):
            wrong(f"is_causal should return True or False, but it returned a {type(verdict).__name__}.")
        if verdict != causal:
            wrong(sentence)
        if net.training != mode:
            wrong("you missed that the network is not yours to change: you left it in another mode (train or eval).")
    return "three causal networks pass, ten leaky ones are caught."


# --- E04: the receptive field -----------------------------------------------------------------------------------------


def _field(layers) -> int:
    """The reach of one output, walked from the top down to the input: independent of the usual running formula."""
    low = high = 0
    for kernel, dilation, stride in reversed(layers):
        low, high = low * stride, high * stride + (kernel - 1) * dilation
    return high - low + 1


def _running(layers, plus=1, early=False, no_stride=False, whole=False, no_dilation=False) -> int:
    reach, jump = plus, 1
    for kernel, dilation, stride in layers:
        jump = jump * stride if early else jump
        reach += (kernel if whole else kernel - 1) * (1 if no_dilation else dilation) * (1 if no_stride else jump)
        jump = jump if early else jump * stride
    return reach


@task("E04", "write `receptive_field`")
def e04(receptive_field):
    tries = [
        [(2, 1, 1)],
        [(2, 1, 1), (2, 2, 1), (2, 4, 1)],
        [(2, 1, 2)] * 3,
        [(3, 2, 2), (2, 3, 1), (4, 1, 3), (2, 2, 1)],
    ]
    tries += [
        [(random.randint(1, 5), random.randint(1, 4), random.randint(1, 3)) for _ in range(random.randint(2, 6))]
        for _ in range(20)
    ]
    for layers in [*tries, []]:
        places = {0}  # the inputs that are read, without the gaps between them
        for kernel, dilation, stride in reversed(layers):
            places = {place * stride + i * dilation for place in places for i in range(kernel)}
        given = list(layers)
        got = receptive_field(given)
        if given != layers:
            wrong("your function changed the list of layers that it was given.")
        if isinstance(got, float) and got != int(got):
            wrong(f"for the layers {layers} the field should be a whole number, but it is {got}.")
        same(
            f"the receptive field of {layers}",
            got,
            _field(layers),
            {
                "the output's own position is missing: a stack of no layers sees 1 position, so start at 1.": _running(
                    layers, 0
                ),
                "the stride is ignored: after a stride of s, a later layer takes steps of s positions.": _running(
                    layers, no_stride=True
                ),
                "a layer's own stride leaves its own kernel alone: multiply after you have added the reach.": _running(
                    layers, early=True
                ),
                "a kernel of k positions has k − 1 gaps: each layer adds (k − 1) · dilation.": _running(
                    layers, whole=True
                ),
                "the dilation is ignored: a kernel's positions lie `dilation` apart.": _running(
                    layers, no_dilation=True
                ),
                "the layers are read from the top: the list begins at the input.": _field(layers[::-1]),
                "you counted the inputs that are read: the field runs from the first to the last, gaps included.": len(
                    places
                ),
            },
        )
    return "24 stacks and the empty one, strides included."
