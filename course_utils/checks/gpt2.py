"""The checks of exercises/10_gpt2_124m.ipynb."""

import copy
import math
import numbers
import random
from collections.abc import Callable
from functools import cache
from itertools import combinations, product
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from . import same, task, wrong

SIZES = {(12, 768, 12): 124_439_808, (24, 1024, 16): 354_823_168}  # (layers, features, heads): parameters
SIZES |= {(36, 1280, 20): 774_030_080, (48, 1600, 25): 1_557_611_200}
NAMES = ("n_layer", "n_embd", "n_head", "block_size", "vocab_size")


@cache
def _library():
    """transformers, imported by the first check that needs it: that takes seconds."""
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def _gpt2(n_layer: int, n_embd: int, n_head: int, block_size: int, vocab_size: int) -> nn.Module:
    """The library's GPT-2, with random weights, and attention spelled out in matrix products."""
    library = _library()
    sizes = {"n_layer": n_layer, "n_embd": n_embd, "n_head": n_head, "n_positions": block_size}
    config = library.GPT2Config(
        **sizes, vocab_size=vocab_size, bos_token_id=0, eos_token_id=0, attn_implementation="eager"
    )
    return library.GPT2LMHeadModel(config).eval()


def _sizes(most: int = 5) -> tuple[int, int, int, int, int]:
    """Five random sizes that cannot be taken for each other."""
    n_head = random.randint(2, 4)
    return (
        random.randint(2, most),
        n_head * random.randint(3, 9),
        n_head,
        random.randint(40, 70),
        random.randint(90, 400),
    )


def _number(got, what: str, whole: bool = False):
    """The learner's number, or a sentence."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, torch.Tensor):
        wrong(f"{what} is a tensor of shape {tuple(got.shape)}: return a plain number (`.item()` makes one).")
    if isinstance(got, bool) or not isinstance(got, numbers.Real):
        wrong(f"{what} should be a number, but it is {str(got)[:60]}.")
    if whole and not isinstance(got, numbers.Integral):
        wrong(f"{what} is counted, so return an int; {got} is a {type(got).__name__}.")
    return got


def _near(got: float, want: float, rtol: float = 1e-9) -> bool:
    return math.isclose(got, want, rel_tol=rtol, abs_tol=1e-15)


def _told(sizes: tuple) -> str:
    return ", ".join(f"{name}={size}" for name, size in zip(NAMES, sizes, strict=True))


def _refuse_models(*_, **__):
    wrong("your function builds a model: write the formula, which needs no module.")


# --- X01: parameters --------------------------------------------------------------------------------------------------


@task("X01", "write `parameter_count`")
def x01(parameter_count):
    cases = {}
    for _ in range(6):
        sizes = _sizes()
        with torch.device("meta"):
            cases[sizes] = sum(p.numel() for p in _gpt2(*sizes).parameters())
    cases |= {(*sizes, 1024, 50257): count for sizes, count in SIZES.items()}
    got = {}
    for sizes in cases:
        with mock.patch.object(nn.Module, "__init__", _refuse_models):
            got[sizes] = _number(parameter_count(*sizes), "the count", whole=True)
    off = {sizes: got[sizes] - count for sizes, count in cases.items()}
    if not any(off.values()):
        return "six random sizes, and the four published ones."
    mistakes = {  # what each adds, for L, C, H, T, V
        "the last layer is tied to the token embedding: count that matrix once.": lambda L, C, H, T, V: V * C,
        "the last layer has no bias.": lambda L, C, H, T, V: V,
        "the token embedding is missing.": lambda L, C, H, T, V: -V * C,
        "the position embedding is missing.": lambda L, C, H, T, V: -T * C,
        "the norm behind the last block is missing.": lambda L, C, H, T, V: -2 * C,
        "a block has two norms, with a weight and a bias each, 4 C numbers: you count 2 C.": lambda L, C, H, T, V: (
            -L * 2 * C
        ),
        "the two norms of each block are missing.": lambda L, C, H, T, V: -L * 4 * C,
        "a LayerNorm has a weight and a bias, 2 C numbers.": lambda L, C, H, T, V: -(2 * L + 1) * C,
        "the biases of the linear layers are missing.": lambda L, C, H, T, V: -L * 9 * C,
        "the biases of attention are missing.": lambda L, C, H, T, V: -L * 4 * C,
        "the biases of the feed-forward part are missing.": lambda L, C, H, T, V: -L * 5 * C,
        "the projection behind the heads is missing.": lambda L, C, H, T, V: -L * (C * C + C),
        "queries, keys and values have a matrix each: three, not one.": lambda L, C, H, T, V: -L * 2 * (C * C + C),
        "you count one block: there are n_layer.": lambda L, C, H, T, V: -(L - 1) * (12 * C * C + 13 * C),
        "the feed-forward part is four times as wide inside.": lambda L, C, H, T, V: -L * (6 * C * C + 3 * C),
        "each head sees a part of the features, C / n_head of them: all heads together have one C × 3 C matrix, "
        "not n_head of them.": lambda L, C, H, T, V: (H - 1) * L * 3 * (C * C + C),
    }
    for many in (1, 2, 3):
        for some in combinations(mistakes, many):
            if all(off[sizes] == sum(mistakes[one](*sizes) for one in some) for sizes in cases):
                wrong(" And ".join(some))
    sizes = next(sizes for sizes in cases if off[sizes])
    wrong(
        f"with {_told(sizes)} there are {cases[sizes]:,} parameters, but you count {got[sizes]:,}: {off[sizes]:+,}, "
        f"that is {off[sizes] / sizes[1]:+.2f} times n_embd."
    )


# --- X02: operations --------------------------------------------------------------------------------------------------


def _measured(sizes: tuple) -> float:
    """What PyTorch counts in the matrix products of a forward and a backward pass of the library's model, per token."""
    T, V = sizes[3:]
    model = _gpt2(*sizes)
    with FlopCounterMode(display=False) as counter:
        model(torch.randint(V, (2, T))).logits.sum().backward()
    return counter.get_total_flops() / (2 * T)


@task("X02", "write `flops_per_token`")
def x02(flops_per_token):
    cases = {sizes: _measured(sizes) for sizes in (_sizes(3) for _ in range(4))}
    got = {}
    for sizes in cases:
        with mock.patch.object(nn.Module, "__init__", _refuse_models):
            got[sizes] = _number(flops_per_token(*sizes), "the count")
    bad = next((sizes for sizes, count in cases.items() if not _near(got[sizes], count)), None)
    if bad is None:
        return "as PyTorch's own counter says of the library's GPT-2, to the last operation."
    factors = {
        "": lambda T: 1,
        "that is the forward pass alone: with the backward pass it is three times as much.": lambda T: 1 / 3,
        "the backward pass takes two products for each of the forward pass: three in all.": lambda T: 2 / 3,
        "a multiplication and an addition: a product of (m, k) with (k, n) takes 2 m k n.": lambda T: 1 / 2,
        "that is the cost of a whole row: divide by its number of tokens.": lambda T: T,
    }
    linear = {
        "": lambda L, C: 12 * L * C * C,
        "the projection behind the heads is missing.": lambda L, C: 11 * L * C * C,
        "queries, keys and values have a matrix each: three, not one.": lambda L, C: 10 * L * C * C,
        "the feed-forward part is four times as wide inside.": lambda L, C: 6 * L * C * C,
        "the feed-forward part has two matrices, up and down.": lambda L, C: 8 * L * C * C,
        "the blocks' linear layers are missing.": lambda L, C: 0,
        "there are n_layer blocks; you count one block's linear layers.": lambda L, C: 12 * C * C,
    }
    attention = {
        "": lambda L, C, H, T: 2 * L * T * C,
        "attention's two products are missing.": lambda L, C, H, T: 0,
        "attention has two products: queries with keys, and weights with values. You count one of them, or half of "
        "the scores; the masked ones count too.": lambda L, C, H, T: L * T * C,
        "attention: C / n_head features a head, but n_head heads.": lambda L, C, H, T: 2 * L * T * C / H,
        "attention: n_head heads, but each has only C / n_head features.": lambda L, C, H, T: 2 * L * T * C * H,
        "attention: T² scores a row are T for each token.": lambda L, C, H, T: 2 * L * T * T * C,
        "attention: each of the T scores is a product of C features.": lambda L, C, H, T: 2 * L * T,
    }
    head = {
        "": lambda C, V: C * V,
        "the last layer is missing: tied or not, it multiplies.": lambda C, V: 0,
        "looking up an embedding is free: count C × V once, for the last layer.": lambda C, V: 2 * C * V,
    }
    extra = {
        "": lambda L, C, T: 0,
        "looking up a position is free.": lambda L, C, T: T * C,
        "norms and biases are no matrix products.": lambda L, C, T: (13 * L + 2) * C,
        "6 N holds positions, norms and biases too, which are no matrix products.": lambda L, C, T: (
            T * C + (13 * L + 2) * C
        ),
    }
    ways = sorted(product(factors, linear, attention, head, extra), key=lambda way: sum(map(bool, way)))
    for way in ways:
        f, a, b, c, d = way
        if sum(map(bool, way)) in (1, 2) and all(
            _near(
                got[sizes],
                6 * factors[f](T) * (linear[a](L, C) + attention[b](L, C, H, T) + head[c](C, V) + extra[d](L, C, T)),
            )
            for sizes in cases
            for L, C, H, T, V in [sizes]
        ):
            wrong(" And ".join(part for part in way if part))
    wrong(
        f"with {_told(bad)} PyTorch counts {cases[bad]:,.0f} operations a token, but you count {got[bad]:,.0f}, "
        f"{got[bad] / cases[bad]:.3f} times as many."
    )


# --- X03: decay -------------------------------------------------------------------------------------------------------


class _Odd(nn.Module):
    """A model with everything that makes sorting hard."""

    def __init__(self):
        super().__init__()
        self.table, self.place = nn.Embedding(7, 4), nn.Parameter(torch.randn(1, 3, 4))
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=True)
        self.head.weight = self.table.weight  # tied
        self.scale = nn.Parameter(torch.tensor(1.0))  # no dimension at all
        self.bias_table = nn.Parameter(torch.randn(5, 5))  # a matrix, whatever its name
        self.frozen = nn.Linear(4, 4)
        self.frozen.requires_grad_(False)
        self.register_buffer("mask", torch.ones(4, 4))


def _random_module() -> nn.Module:
    """A few layers of random kinds, some of their parameters frozen, some shared."""
    makers = [
        lambda n: nn.Linear(n, n, bias=random.random() < 0.7),
        lambda n: nn.Embedding(n + 1, n),
        lambda n: nn.LayerNorm(n),
        lambda n: nn.BatchNorm1d(n),
        lambda n: nn.Conv2d(n, 2, 3),
        lambda n: nn.PReLU(n),
        lambda n: nn.MultiheadAttention(2 * n, 2),
    ]
    model = nn.Sequential(*(random.choice(makers)(random.randint(1, 5)) for _ in range(random.randint(3, 8))))
    model.append(model[0])  # the same layer twice
    for p in model.parameters():
        p.requires_grad_(random.random() < 0.8)
    return model


@task("X03", "write `decay_groups`")
def x03(decay_groups):
    models = [_Odd(), _gpt2(2, 8, 2, 8, 20), nn.Linear(3, 3), nn.Embedding(4, 3), nn.LayerNorm(4)]
    models += [_random_module() for _ in range(13)]
    for model, weight_decay in zip(models, (0.1, 0.03, 0.3) * 6, strict=True):
        named = dict(model.named_parameters())  # a tied one once
        asked = {name: p.requires_grad for name, p in named.items()}
        groups = decay_groups(model, weight_decay)
        if {name: p.requires_grad for name, p in named.items()} != asked:
            wrong("your function freezes or thaws parameters: leave the model as it is.")
        if groups is None:
            wrong("decay_groups returned None: does your function return its result?")
        if not isinstance(groups, list | tuple) or len(groups) != 2 or not all(isinstance(g, dict) for g in groups):
            wrong(f"decay_groups should return a list of two dictionaries, but it returned {str(groups)[:60]}.")
        if any("params" not in g or "weight_decay" not in g for g in groups):
            wrong('each group needs the keys "params" and "weight_decay".')
        groups = [{**g, "params": list(g["params"])} for g in groups]
        if any(not isinstance(p, torch.Tensor) for g in groups for p in g["params"]):
            wrong("a group's params are the parameters themselves, without their names.")
        found = [[id(p) for p in g["params"]] for g in groups]
        if len(set(found[0] + found[1])) < len(found[0]) + len(found[1]):
            wrong("a parameter comes twice: a tied matrix has two names and is one parameter.")
        names = {id(p): name for name, p in named.items()}
        buffers = {id(b): name for name, b in model.named_buffers()}
        for i in found[0] + found[1]:
            if i in buffers:
                wrong(f"{buffers[i]} is a buffer, which nobody trains.")
            if i not in names:
                wrong("your groups hold tensors that are no parameters of the model: copies, or what state_dict gives.")
            if not asked[names[i]]:
                wrong(f"{names[i]} is frozen: it belongs in no group.")
        trained = {id(p): p for p in named.values() if p.requires_grad}
        decay, free = ({i for i, p in trained.items() if (p.ndim >= 2) == matrix} for matrix in (True, False))
        if decay != free and (set(found[0]), set(found[1])) == (free, decay):
            wrong("the two groups are exchanged: those that decay come first.")
        for group, other in zip(found, (free, decay), strict=True):
            for i in group:
                if i in other:
                    shape = tuple(trained[i].shape)
                    does = "decays" if i in decay else "does not decay"
                    wrong(f"{names[i]} has {len(shape)} dimensions, the shape {shape}: it {does}, whatever its name.")
        if missing := set(trained) - {*found[0], *found[1]}:
            wrong(f"{min(names[i] for i in missing)} is in no group: it would never be trained.")
        if groups[0]["weight_decay"] != weight_decay or groups[1]["weight_decay"] != 0:
            wrong(
                f"with weight_decay={weight_decay}, the first group's is {weight_decay} and the second's is 0; yours "
                f"are {groups[0]['weight_decay']} and {groups[1]['weight_decay']}."
            )
        if trained:
            torch.optim.AdamW(groups, lr=1e-3)
    return f"{len(models)} models: tied, frozen and shared parameters, and buffers."


# --- X04: the schedule ------------------------------------------------------------------------------------------------


def _rate(step, peak, warmup, steps, floor, how="right"):
    """The schedule as the reference (half a cosine is a squared one), or with one usual mistake."""
    if step < warmup and how == "no warm-up":
        return peak
    if step < warmup:
        return peak * (step + (how != "from zero")) / warmup
    if step >= steps and how != "goes on":
        return floor
    begin = 0 if how == "cosine from step 0" else warmup
    last = steps - (how == "one early")
    share = (step - begin) / max(last - begin, 1)
    if how == "one late":
        share = (step + 1 - begin) / max(last - begin, 1)
    if how == "straight":
        return peak + (floor - peak) * min(share, 1)
    if how == "whole cosine":
        return floor + (peak - floor) * math.cos(math.pi * share) ** 2
    if how == "quarter":
        return floor + (peak - floor) * math.cos(math.pi / 2 * min(share, 1))
    low = {"ends at zero": 0.0, "added": floor}.get(how, floor)
    height = peak if how == "added" else peak - low
    if how == "at least":
        return max(floor, peak * math.cos(math.pi / 2 * min(share, 1)) ** 2)
    return low + height * math.cos(math.pi / 2 * share) ** 2


@task("X04", "write `learning_rate`")
def x04(learning_rate):
    cases = [(1.0, 10, 100, 0.1), (6e-4, 3, 20, 6e-5), (2.0, 1, 7, 0.0), (1e-2, 0, 12, 1e-3), (0.3, 5, 5, 0.1)]
    asked = [(case, step) for case in cases for step in range(case[2] + 9)]
    random.shuffle(asked)  # a schedule is a function of the step, not of the calls before
    got = {}
    for case, step in asked:
        try:
            got[case, step] = _number(learning_rate(step, *case), f"the rate of step {step}")
        except ZeroDivisionError:
            wrong(
                f"ZeroDivisionError in step {step} with warmup={case[1]} and steps={case[2]}: divide only where "
                "`step < warmup`, or where `warmup <= step < steps`."
            )
    keys = sorted(got, key=lambda key: (cases.index(key[0]), key[1]))
    right = lambda key: _near(got[key], _rate(key[1], *key[0]), 1e-6)
    bad = next((key for key in keys if not right(key)), None)
    if bad is None:
        return "the first step, the peak, the way down and what comes after it."
    for how, sentence in {
        "from zero": "step 0 should move already: its rate is peak / warmup, not 0.",
        "no warm-up": "the warm-up is missing: before step `warmup` the rate rises.",
        "one early": "the cosine should reach the floor at step `steps`, one step later than yours.",
        "one late": "the cosine begins at the peak in step `warmup`: yours is one step ahead.",
        "straight": "that is a straight line down: half a cosine is wanted.",
        "quarter": "half a cosine is wanted, (1 + cos) / 2 from 0 to π; yours ends steep, as a quarter does.",
        "whole cosine": "that is a whole cosine, which comes up again: half of one is wanted, from 0 to π.",
        "ends at zero": "the cosine falls to 0 and not to the floor.",
        "at least": "the cosine falls from the peak to the floor; you let it fall to 0 and cut it off at the floor.",
        "added": "the cosine's height is peak - floor: with the peak's height on top of the floor it begins too high.",
        "cosine from step 0": "the cosine begins at step `warmup`, not at step 0.",
        "goes on": "from step `steps` on the rate stays at the floor; your cosine goes on, and rises again.",
    }.items():
        if all(_near(got[key], _rate(key[1], *key[0], how), 1e-6) for key in keys):
            wrong(sentence)
    (peak, warmup, steps, floor), step = bad
    where = "in the warm-up" if step < warmup else "at the end or behind it" if step >= steps else "on the way down"
    wrong(
        f"with peak={peak}, warmup={warmup}, steps={steps}, floor={floor}, step {step} ({where}) should have the rate "
        f"{_rate(step, *bad[0]):.6g}, but it has {got[bad]:.6g}."
    )


# --- X05: an accumulated step -----------------------------------------------------------------------------------------


class _Small(nn.Module):
    """ids (B, T) -> logits (B, T, V), and a record of how it was called."""

    def __init__(self, V: int = 11, C: int = 6):
        super().__init__()
        self.table, self.head = nn.Embedding(V, C), nn.Linear(C, V)
        self.double()
        self.rows, self.alive, self.most_alive = 0, 0, 0

    def forward(self, ids):
        logits = self.head(torch.tanh(self.table(ids)))
        self.rows = max(self.rows, len(ids))
        if logits.requires_grad:
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            logits.register_hook(self._went_back)
        return logits

    def _went_back(self, grad):
        self.alive -= 1

    def __deepcopy__(self, memo):
        twin = _Small(*self.table.weight.shape)
        twin.load_state_dict(self.state_dict())
        return twin


def _micro_batches(kind: str) -> list:
    rows = {"of equal size": (3, 3, 3, 3), "single": (5,), "of 1, 4 and 2 rows": (1, 4, 2)}.get(kind, (2, 2, 2))
    parts = []
    for n, B in enumerate(rows):
        T = 3 + 2 * n if kind == "of rows of 3, 5 and 7 tokens" else 5
        x, y = torch.randint(11, (B, T)), torch.randint(11, (B, T))
        if kind == "with targets of -100":
            y[:, : n + 1] = -100
        if kind == "one of which has no target that counts" and n == 1:
            y[:] = -100
        parts.append((x, y))
    return parts


def _reference_step(before, old, parts, max_norm: float, how: str = "right"):
    """The step by summing the gradients of all targets, or with one usual mistake: (loss, norm, weights after it)."""
    model = copy.deepcopy(before)
    params = list(model.parameters())
    counts = [(y != -100).sum().item() for _, y in parts]
    sums = [F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") for x, y in parts]
    means = [total / n if n else total * math.nan for total, n in zip(sums, counts, strict=True)]
    rows = [len(x) for x, _ in parts]
    loss = {
        "mean": lambda: sum(means) / len(parts),
        "sum": lambda: sum(means),
        "all sums": lambda: sum(sums),
        "rows": lambda: sum(m * n for m, n in zip(means, rows, strict=True)) / sum(rows),
        "places": lambda: sum(sums) / sum(y.numel() for _, y in parts),
        "last, mean": lambda: means[-1],
        "last, of all": lambda: sums[-1] / sum(counts),
        "last, divided": lambda: means[-1] / len(parts),
    }.get(how, lambda: sum(sums) / sum(counts))()
    grads = torch.autograd.grad(loss, params)
    if how == "stale":
        grads = [g + was for g, was in zip(grads, old, strict=True)]
    if how in ("clipped on the way", "clipped one by one"):
        grads = [torch.zeros_like(p) for p in params]
        for total in (F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") for x, y in parts):
            new = torch.autograd.grad(total / sum(counts), params)
            if how == "clipped one by one":
                new = _clipped(new, max_norm)
            grads = [g + n for g, n in zip(grads, new, strict=True)]
            if how == "clipped on the way":
                grads = _clipped(grads, max_norm)
    norm = _length(grads)
    if how == "each number clipped":
        grads = [g.clamp(-max_norm, max_norm) for g in grads]
    elif how == "each tensor clipped":
        grads = [_clipped([g], max_norm)[0] for g in grads]
    elif how == "always":
        grads = [g * max_norm / norm for g in grads]
    elif how not in ("never", "clipped one by one", "clipped on the way"):
        grads = _clipped(grads, max_norm)
    return loss.item(), norm, torch.cat([(p - 0.5 * g).detach().flatten() for p, g in zip(params, grads, strict=True)])


def _length(grads) -> float:
    return torch.stack([g.norm() for g in grads]).norm().item()


def _clipped(grads, max_norm: float) -> list:
    return [g * min(1.0, max_norm / (_length(grads) + 1e-6)) for g in grads]


TOLD_STEPS = {
    "never": "the gradient is not clipped before the step.",
    "rows": "you weigh by rows, but they differ in length: weigh by the number of targets other than -100.",
    "mean": "the mean of the means gives a small micro-batch as much weight as a large one: weigh each by the number "
    "of its targets that count.",
    "sum": "the micro-batches' means are added up, so the gradient is too long: divide by the number of targets in all "
    "of them.",
    "all sums": "the losses of all targets are added up and not divided by their number.",
    "places": "you divide by all targets, but those of -100 do not count.",
    "last, mean": "only the last micro-batch's gradient is left: is zero_grad called in the loop?",
    "last, of all": "only the last micro-batch's gradient is left: is zero_grad called in the loop?",
    "last, divided": "only the last micro-batch's gradient is left: is zero_grad called in the loop?",
    "stale": "old gradients are still there: clear them before the first micro-batch.",
    "clipped on the way": "you clip after every micro-batch: clip once, when all gradients are added up.",
    "clipped one by one": "you clip each micro-batch's gradient: clip once, when all gradients are added up.",
    "each number clipped": "each number is clipped by itself, which turns the gradient: shorten it as a whole, with "
    "`clip_grad_norm_`.",
    "each tensor clipped": "each parameter's gradient is clipped by itself: what counts is the length of all together.",
    "always": "the gradient is always brought to max_norm: shorten it only where it is longer.",
}


@task("X05", "write `accumulated_step`")
def x05(accumulated_step):
    kinds = ("of equal size", "single", "of 1, 4 and 2 rows", "of rows of 3, 5 and 7 tokens", "with targets of -100")
    for kind in (*kinds, "one of which has no target that counts"):
        for max_norm in (100.0, 0.05):
            model, parts = _Small(), _micro_batches(kind)
            before, old = copy.deepcopy(model), [0.3 * torch.randn_like(p) for p in model.parameters()]
            for p, grad in zip(model.parameters(), old, strict=True):
                p.grad = grad.clone()  # left over from the step before
            kept = copy.deepcopy(parts)
            optimizer, calls = torch.optim.SGD(model.parameters(), lr=0.5), []
            step = optimizer.step
            optimizer.step = lambda *a, step=step, calls=calls, **k: (calls.append(1), step(*a, **k))[1]
            got = accumulated_step(model, optimizer, parts, max_norm)
            same_parts = len(parts) == len(kept) and all(
                torch.equal(a, b)
                for one, other in zip(parts, kept, strict=True)
                for a, b in zip(one, other, strict=True)
            )
            if not same_parts:
                wrong("your function changed the micro-batches that it was given.")
            if model.rows > max(len(x) for x, _ in parts):
                wrong("the model saw more rows at once than a micro-batch has: the whole batch does not fit.")
            if model.most_alive > 1:
                wrong(
                    "the graph of one micro-batch was still there when the next came, so the memory of the whole batch "
                    "is needed: call backward for each, in the loop."
                )
            if not model.training:
                wrong("your function switches the model to eval mode, so dropout would be off: leave its mode alone.")
            if len(calls) != 1:
                wrong(f"the optimiser stepped {len(calls)} times: one step, after all micro-batches.")
            if got is None:
                wrong("accumulated_step returned None: return the loss and the gradient's length.")
            if not isinstance(got, tuple | list) or len(got) != 2:
                wrong(f"accumulated_step should return two numbers, but it returned {str(got)[:60]}.")
            loss, norm = (_number(value, name) for value, name in zip(got, ("the loss", "the length"), strict=True))
            want = _reference_step(before, old, parts, max_norm)
            weights = torch.cat([p.detach().flatten() for p in model.parameters()])
            close = lambda other, weights=weights: torch.allclose(weights, other, rtol=0, atol=1e-7)
            if weights.isnan().any() or math.isnan(loss):
                wrong(
                    f"nan, with micro-batches {kind}: the mean over no target is 0 / 0. Take the sum of its losses, "
                    'with reduction="sum".'
                )
            if not close(want[2]):
                for how, sentence in TOLD_STEPS.items():
                    if close(_reference_step(before, old, parts, max_norm, how)[2]):
                        wrong(sentence)
                wrong(
                    f"micro-batches {kind}, max_norm={max_norm}: the weights after your step differ from those after "
                    "one step on the whole batch. The mean over all targets that count, then the gradient's joint "
                    "length cut to max_norm, then one step."
                )
            if _near(norm, want[0], 1e-5) and _near(loss, want[1], 1e-5):
                wrong("the two results are exchanged: the loss comes first, then the length.")
            if not _near(norm, want[1], 1e-5):
                if _near(norm, min(want[1], max_norm), 1e-3):
                    wrong("return the gradient's length before clipping; you return the one after it.")
                wrong(f"the step is right, but the gradient's length is {want[1]:.6g}, and you return {norm:.6g}.")
            if not _near(loss, want[0], 1e-5):
                wrong(
                    f"the step is right, but the loss of the whole batch is {want[0]:.6g}, and you return {loss:.6g}."
                )
    return "equal and unequal micro-batches, masked targets, clipped and not: as one large batch."


# --- X06: endings -----------------------------------------------------------------------------------------------------


class _Opinions(nn.Module):
    """A causal model with sharp opinions: logits depend on all tokens up to here. It remembers how it was called."""

    def __init__(self, context: list[int], V: int = 13):
        super().__init__()
        self.one, self.two = (nn.Embedding(V, V) for _ in range(2))
        for table in (self.one, self.two):
            nn.init.normal_(table.weight, std=2.0)
        self.context, self.calls, self.watch = torch.tensor(context), 0, False

    def forward(self, ids):
        if self.watch:
            self._look(ids)
        past = self.two(ids).cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        return self.one(ids) + past

    def _look(self, ids):
        self.calls += 1
        if not isinstance(ids, torch.Tensor) or ids.dim() != 2:
            wrong("the model takes ids of shape (B, T), one row for each ending.")
        if self.calls > 1:
            wrong("you call the model several times: one padded batch, with a row for each ending, is wanted.")
        if torch.is_grad_enabled():
            wrong("gradients are on while the model runs: nobody trains here, use `torch.no_grad()`.")
        if ids.min() < 0:
            wrong("padding needs an id that the model knows, such as 0; -100 is for targets.")
        n = len(self.context)
        if ids.shape[1] < n or not (ids[:, :n] == self.context).all():
            wrong("each row begins with the context; pad on the right, where a causal model does not look.")


@torch.no_grad()
def _scores(model, context: list[int], endings: list[list[int]]) -> dict[str, list[float]]:
    """Every way to score, one ending at a time, without padding (but where padding is the mistake)."""
    ways, start = {}, len(context) - 1
    longest, shortest = max(map(len, endings)), min(map(len, endings))
    for ending in endings:
        row = torch.tensor([context + ending])  # (1, T)
        logits = model(row)[0]
        log_p = logits.log_softmax(-1)
        own = log_p[:-1].gather(1, row[0, 1:, None])[:, 0]  # (T - 1,): of each next token
        tail = own[start:]
        padded = torch.tensor([context + ending + [0] * (longest - len(ending))])
        filled = model(padded)[0].log_softmax(-1)[:-1].gather(1, padded[0, 1:, None])[:, 0]
        nonzero = torch.tensor(ending) != 0
        late = own[start + 1 :].mean() if len(ending) > 1 else torch.tensor(math.nan)
        lone = torch.tensor([ending])
        alone = model(lone)[0].log_softmax(-1)[:-1].gather(1, lone[0, 1:, None]).mean()
        for name, score in {
            "mean": tail.mean(),
            "sum": tail.sum(),
            "context too": own.mean(),
            "context in the sum": own.sum() / len(ending),
            "one token of the context": own[max(start - 1, 0) :].mean(),
            "late": late.nan_to_num(-math.inf),
            "late, nan": late.nan_to_num(math.inf),
            "late sum": own[start + 1 :].sum() / len(ending),
            "late, padded": (filled[start + 1 :][: len(ending)].mean()) if longest > 1 else tail.mean(),
            "early": log_p[start + 1 :].gather(1, row[0, start + 1 :, None]).mean(),
            "logits": logits[start:-1].gather(1, row[0, start + 1 :, None]).mean(),
            "first": tail[0],
            "last": tail[-1],
            "p": tail.exp().mean(),
            "alone": alone.nan_to_num(-math.inf),
            "alone, nan": alone.nan_to_num(math.inf),
            "padded": filled[start:].mean(),
            "padded sum": filled[start:].sum() / len(ending),
            "zeros": tail[nonzero].mean().nan_to_num(-math.inf),
            "zeros, nan": tail[nonzero].mean().nan_to_num(math.inf),
            "zeros left out of the sum": tail[nonzero].sum() / max(nonzero.sum().item(), 1),
            "cut": tail[:shortest].mean(),
        }.items():
            ways.setdefault(name, []).append(float(score))
    return ways


TOLD_ENDINGS = {
    "sum": "a sum, or one divided by the same length for all, favours short endings: take the mean over the ending's "
    "own tokens.",
    "context too": "only the ending's tokens count, not the context's.",
    "context in the sum": "the context's tokens are in your sum: only the ending's count.",
    "one token of the context": "you begin one too early: the context's last token counts in your mean.",
    "late": "the ending's first token is missing: it is predicted at the last position of the context.",
    "late, nan": "the ending's first token is missing: it is predicted at the last position of the context.",
    "late sum": "the ending's first token is missing: it is predicted at the last position of the context.",
    "late, padded": "you begin one too late, and end one too late: the ending's first token is missing, and a token of "
    "padding counts.",
    "early": "logits at position t are about token t + 1: you compare them with token t.",
    "logits": "logits are no log-probabilities: log_softmax first.",
    "first": "all tokens of the ending count, not its first alone.",
    "last": "all tokens of the ending count, not its last alone.",
    "padded": "padding counts in your mean: cut it off.",
    "padded sum": "padding counts in your sum: cut it off.",
    "zeros": "you take every 0 for padding, but 0 is also a token: go by the ending's length.",
    "zeros, nan": "you take every 0 for padding, but 0 is also a token: go by the ending's length.",
    "zeros left out of the sum": "you take every 0 for padding, but 0 is also a token: go by the ending's length.",
    "cut": "you cut all endings to the length of the shortest: pad the short ones instead.",
    "p": "take the mean of the log-probabilities, not of the probabilities.",
    "alone": "the endings are scored without their context.",
    "alone, nan": "the endings are scored without their context.",
}


@task("X06", "write `pick_ending`")
def x06(pick_ending):
    picked, scored = [], []
    while len(picked) < 150:
        context = [random.randrange(13) for _ in range(random.randint(1, 6))]
        endings = [[random.randrange(13) for _ in range(random.randint(1, 7))] for _ in range(random.randint(2, 5))]
        model = _Opinions(context)
        scores = _scores(model, context, endings)
        first, second = sorted(scores["mean"])[:-3:-1]
        if first - second < 0.01:
            continue  # too close to call in float32
        kept, model.watch = copy.deepcopy((context, endings)), True
        got = pick_ending(model, context, endings)
        if (context, endings) != kept:
            wrong("your function changed the lists that it was given.")
        if model.calls == 0:
            wrong("your function does not call the model that it was given.")
        got = _number(got, "the number of the ending", whole=True)
        if not 0 <= got < len(endings):
            wrong(f"{got} is no number of an ending: there are {len(endings)}, counted from 0.")
        picked.append(got)
        scored.append(scores)
    best = {name: [s[name].index(max(s[name])) for s in scored] for name in scored[0]}
    if picked == best["mean"]:
        return f"{len(picked)} questions, endings of one to seven tokens."
    if picked == [s["mean"].index(min(s["mean"])) for s in scored]:
        wrong("you pick the least likely ending.")
    agree = {name: sum(a == b for a, b in zip(picked, best[name], strict=True)) / len(picked) for name in best}
    likely = max(TOLD_ENDINGS, key=lambda name: agree[name])
    if agree[likely] >= 0.98 and agree[likely] > agree["mean"]:
        wrong(TOLD_ENDINGS[likely])
    wrong(
        f"on {len(picked)} questions you pick the ending with the highest mean log-probability in {agree['mean']:.0%}. "
        "Print your log-probabilities for one ending: as many as it has tokens, the first from the context's last "
        "position?"
    )


# --- X07: what generation costs ---------------------------------------------------------------------------------------


@torch.no_grad()
def _loop(prompt: int, new: int, cached: bool, sizes: tuple) -> tuple[int, int]:
    """Let the library's model write, and count: positions that enter the first block, operations in matrix products."""
    model, block_size = _gpt2(*sizes), sizes[3]
    entered = []
    model.transformer.h[0].register_forward_hook(lambda module, given, out: entered.append(given[0].shape[1]))
    text, past = torch.randint(sizes[4], (1, prompt)), None
    with FlopCounterMode(display=False) as counter:
        for _ in range(new):
            if not cached:
                out = model(text[:, -block_size:], use_cache=False)
            elif past is None:
                out = model(text, use_cache=True)
            else:
                out = model(text[:, -1:], past_key_values=past, use_cache=True)
            past = out.past_key_values if cached else None
            text = torch.cat([text, out.logits[:, -1:].argmax(-1)], 1)
    return sum(entered), counter.get_total_flops()


@task("X07", "write `positions_processed` and `generation_flops`")
def x07(positions_processed, generation_flops):
    lengths = [(1, 0), (5, 0), (1, 1), (3, 1), (7, 1), (3, 5), (4, 5), (1, 8), (2, 7), (6, 3), (6, 10), (8, 3), (12, 5)]
    lengths += [(12, 0), (12, 1)]  # a prompt that does not fit: nothing to write, and a token
    for prompt, new in lengths:
        for cached in (False, True):
            sizes = (random.randint(1, 3), 12, 2, 8, random.randint(20, 60))
            if cached and new and prompt + new - 1 > 8:
                _must_refuse("positions_processed", positions_processed, prompt, new, cached, 8)
                _must_refuse("generation_flops", generation_flops, prompt, new, cached, *sizes)
                continue
            entered, flops = _loop(prompt, new, cached, sizes)
            told, ways = f"prompt={prompt}, new={new}, cached={cached}", _ways(prompt, new, cached, 8)
            got = _fits(positions_processed, told, prompt, new, cached, 8)
            _right_positions(got, entered, ways, f"{told}, block_size=8")
            got = _fits(generation_flops, told, prompt, new, cached, *sizes)
            _right_flops(got, flops, ways, f"{told}, {_told(sizes)}", sizes)
    return "as counted by hooks in the library's model while it wrote, and by PyTorch's counter."


def _fits(function: Callable, told: str, *arguments):
    try:
        return function(*arguments)
    except ValueError as problem:
        wrong(f"{told} fits into the context, needs no cache or costs nothing, but you raised: {problem}")


def _must_refuse(name: str, function: Callable, prompt: int, new: int, *rest) -> None:
    try:
        got = function(prompt, new, *rest)
    except ValueError as problem:
        if not str(problem).strip():
            wrong(f"{name}: your ValueError is empty: give it a sentence that says what does not fit.")
        return
    wrong(
        f"{name}: with a cache, {prompt} + {new} - 1 tokens do not fit into a context of 8: raise a ValueError; you "
        f"returned {got}."
    )


def _ways(prompt: int, new: int, cached: bool, block: int) -> dict[str, list[tuple[int, int]]]:
    """What the model is run on: [(positions fed, positions attended to), ...], right and with usual mistakes."""
    if cached:
        right = [(prompt, prompt)] * (new > 0) + [(1, prompt + n) for n in range(1, new)]
        return {
            "": right,
            "the last new token is chosen and never fed back: one position fewer.": [*right, (1, prompt + new)],
            "the prompt has to be processed too, once.": [(1, prompt + n) for n in range(new)],
            "the prompt is processed once, and the first new token is chosen at its end.": [(prompt, prompt), *right],
            "the new tokens attend to all positions before them, the prompt's too.": (
                [(prompt, prompt)] * (new > 0) + [(1, n) for n in range(1, new)]
            ),
            "a new token meets all keys so far, its own among them.": (
                [(prompt, prompt)] * (new > 0) + [(1, prompt + n - 1) for n in range(1, new)]
            ),
        }
    seen = [min(prompt + n, block) for n in range(new)]
    return {
        "": [(n, n) for n in seen],
        "the model looks back on at most block_size positions.": [(prompt + n, prompt + n) for n in range(new)],
        "for the first new token the model sees the prompt alone: you count one too many each time.": [
            (n, n) for n in (min(prompt + n + 1, block) for n in range(new))
        ],
        "the text grows by a token each time.": [(min(prompt, block),) * 2] * new,
        "the whole text is run again for each new token, the prompt with it.": [(n, n) for n in range(1, new + 1)],
    }


def _right_positions(got, want: int, ways: dict, told: str) -> None:
    got = _number(got, "the number of positions", whole=True)
    if got == want:
        return
    if want == 0:
        wrong(f"writing nothing costs nothing, but you count {got} positions.")
    for sentence, runs in ways.items():
        if sentence and got == sum(fed for fed, _ in runs):
            wrong(sentence)
    wrong(f"{told}: {want} positions went through the layers, but you count {got}.")


def _right_flops(got, want: int, ways: dict, told: str, sizes: tuple) -> None:
    got = _number(got, "the number of operations", whole=True)
    if _near(got, want):
        return
    if want == 0:
        wrong(f"writing nothing costs nothing, but you count {got} operations.")
    L, C, _, T, V = sizes
    linear, head, meeting = (
        24 * L * C * C,
        2 * C * V,
        4 * L * C,
    )  # for a position, for a position, for a query and a key
    mistakes = {
        "generation has no backward pass: forward only.": lambda m, t: 3 * (m * (linear + head) + meeting * m * t),
        "attention is missing.": lambda m, t: m * (linear + head),
        "the last layer is missing.": lambda m, t: m * linear + meeting * m * t,
        "the last layer runs on all positions that are fed, as in our `generate`; you count it once for each new "
        "token.": lambda m, t: m * linear + head + meeting * m * t,
        "attention has two products: with the keys and with the values.": lambda m, t: (
            m * (linear + head) + meeting / 2 * m * t
        ),
        "attention meets as many keys as the text has tokens, and you take block_size.": lambda m, t: (
            m * (linear + head) + meeting * m * T
        ),
        "what is fed meets all keys so far, those from the cache too.": lambda m, t: (
            m * (linear + head) + meeting * m * m
        ),
        "with a cache only the positions that are fed ask: one query against t keys, not t against t.": lambda m, t: (
            m * (linear + head) + meeting * t * t
        ),
    }
    found = [
        *(said for said, count in mistakes.items() if _near(got, sum(count(m, t) for m, t in ways[""]))),
        *(said for said, runs in ways.items() if _near(got, sum(m * (linear + head + meeting * t) for m, t in runs))),
    ]
    if found:
        wrong(f"generation_flops: {found[0]}")
    wrong(f"{told}: PyTorch counts {want:,} operations in matrix products, but you count {got:,}.")


# --- X08: a checkpoint ------------------------------------------------------------------------------------------------

TURNED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
MASKS = (".attn.bias", ".attn.masked_bias")


def _with_linear_layers(state: dict, ids: torch.Tensor, n_layer: int, n_head: int) -> torch.Tensor:
    """The logits of a GPT-2 made of `nn.Linear`, straight from its state."""
    get = lambda name: state[f"transformer.{name}"]
    norm = lambda x, name: F.layer_norm(x, x.shape[-1:], get(f"{name}.weight"), get(f"{name}.bias"))
    linear = lambda x, name: F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))
    x = get("wte.weight")[ids] + get("wpe.weight")[: ids.shape[1]]  # (B, T, C)
    for n in range(n_layer):
        qkv = linear(norm(x, f"h.{n}.ln_1"), f"h.{n}.attn.c_attn").chunk(3, -1)
        q, k, v = (t.unflatten(-1, (n_head, -1)).transpose(1, 2) for t in qkv)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(y, f"h.{n}.attn.c_proj")
        up = F.gelu(linear(norm(x, f"h.{n}.ln_2"), f"h.{n}.mlp.c_fc"), approximate="tanh")
        x = x + linear(up, f"h.{n}.mlp.c_proj")
    return F.linear(norm(x, "ln_f"), state["lm_head.weight"])


@task("X08", "write `convert`")
def x08(convert):
    for trial in range(6):
        C = random.choice((8, 12))
        n_layer, block = random.randint(1, 3), C if trial == 4 else random.randint(9, 11)
        sizes = n_layer, C, 2, block, C if trial == 4 else random.randint(17, 30)
        model = _gpt2(*sizes)
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn_like(p))  # biases and norms too
        model.to({5: torch.double}.get(trial, torch.float32))
        full = {name: value.clone() for name, value in model.state_dict().items()}
        short, masked, headless = trial in (1, 2), trial in (0, 2, 4), trial in (1, 3)
        state = {
            name.removeprefix("transformer.") if short else name: value
            for name, value in full.items()
            if not (headless and name == "lm_head.weight")
        }
        for n in range(n_layer if masked else 0):
            stem = f"{'' if short else 'transformer.'}h.{n}.attn."
            state[stem + "bias"] = torch.tril(torch.ones(1, 1, block, block))
            state[stem + "masked_bias"] = torch.tensor(-1e4)
        kept = {name: value.clone() for name, value in state.items()}
        got = convert(state)
        if list(state) != list(kept) or any(not torch.equal(state[n], kept[n]) for n in kept):
            wrong("the state that you were given has changed: build a new dictionary.")
        if got is None:
            wrong("convert returned None: does your function return its result?")
        if not isinstance(got, dict):
            wrong(f"convert should return a dictionary, but it returned a {type(got).__name__}.")
        _right_names(got, full)
        for name, value in full.items():
            _right_matrix(name, got[name], value)
        ids = torch.randint(sizes[4], (2, block))
        with torch.no_grad():
            logits = _with_linear_layers(got, ids, n_layer, 2)
            want = model(ids).logits
        same("the logits of the converted state", logits, want, rtol=1e-3, atol=1e-3 * want.abs().max().item())
    return "with masks and without, with the prefix and without, and the logits are the library's."


def _right_names(got: dict, full: dict) -> None:
    for name in got:
        if not isinstance(name, str):
            wrong(f"the names are texts, but you have {str(name)[:40]}.")
        if name.endswith(MASKS):
            wrong(f"{name} is a mask and no parameter: leave it out.")
        if f"transformer.{name}" in full:
            wrong(f"{name} lacks the prefix: our module is called transformer.{name}.")
        if name.startswith(("transformer.lm_head", "transformer.transformer")):
            wrong(f"{name} has a prefix too many.")
        if name not in full:
            wrong(f"our model has no {name}.")
    for name in full:
        if name not in got and name == "lm_head.weight":
            wrong("lm_head.weight is missing: it is the matrix transformer.wte.weight.")
        if name not in got:
            told = (
                " (of the biases, only those whose name ends in .attn.bias are masks)" if name.endswith("bias") else ""
            )
            wrong(f"{name} is missing{told}.")


def _right_matrix(name: str, got, stored: torch.Tensor) -> None:
    """One converted tensor, against the one that the library stores."""
    if not isinstance(got, torch.Tensor):
        wrong(f"{name} should be a tensor, but it is a {type(got).__name__}.")
    if got.dtype != stored.dtype:
        wrong(f"{name} was {stored.dtype} and became {got.dtype}: leave the numbers as they are.")
    linear = name.endswith(TURNED)
    want = stored.T if linear else stored
    if linear and got.shape == stored.shape and torch.equal(got, stored):
        if stored.shape[0] == stored.shape[1]:
            wrong(f"{name} is square, so its shape fits either way, but it has to be turned too.")
        wrong(f"{name} is not turned: stored as {tuple(stored.shape)}, nn.Linear wants {tuple(want.shape)}.")
    if stored.ndim == 2 and not linear and got.shape == stored.T.shape and torch.equal(got, stored.T):
        wrong(f"do not turn {name}: an embedding is a table, not a linear layer. (The head is that same table.)")
    if linear and got.shape == want.shape and torch.equal(got, stored.reshape(want.shape)):
        wrong(f"{name} has the right shape and its numbers in the wrong places: transpose it, do not reshape it.")
    same(name, got, want, rtol=0, atol=0)
