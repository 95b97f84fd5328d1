"""The checks of exercises/10_gpt2_124m.ipynb."""

import copy
import math
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils.lectures.gpt2 import GPT2, GPT2Config

from . import same, task, wrong


def _number(got, what: str, kinds=(int, float)):
    """The learner's number, or a sentence."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, kinds):
        wrong(f"{what} should be a number, but it is {str(got)[:60]}.")
    return got


def _near(got: float, want: float, rtol: float = 1e-9) -> bool:
    return math.isclose(got, want, rel_tol=rtol, abs_tol=1e-15)


# --- X01: parameters --------------------------------------------------------------------------------------------------


@task("X01", "write `parameter_count`")
def x01(parameter_count):
    for _ in range(6):
        V, T, L, C = random.randint(50, 900), random.randint(4, 99), random.randint(1, 5), 4 * random.randint(1, 9)
        with torch.device("meta"):
            model = GPT2(GPT2Config(V, T, L, 2, C))
        want = sum(p.numel() for p in model.parameters())
        got = _number(parameter_count(V, T, L, C), "the count")
        if got == want:
            continue
        for sentence, value in {
            "the last layer is tied to the token embedding: count it once.": want + V * C,
            "the position embedding is missing.": want - T * C,
            "the norm behind the last block is missing.": want - 2 * C,
            "the two norms of each block are missing.": want - L * 4 * C,
            "the norms are missing.": want - (2 * L + 1) * 2 * C,
            "a LayerNorm has a weight and a bias, 2 C numbers.": want - (2 * L + 1) * C,
            "the biases of the linear layers are missing.": want - L * 9 * C,
            "the projection behind the heads is missing.": want - L * (C * C + C),
            "queries, keys and values have a matrix each: three, not one.": want - L * (2 * C * C + 2 * C),
            "all biases are missing, those of the norms too.": want - L * 9 * C - (2 * L + 1) * C,
            "you count one block: there are n_layer.": want - (L - 1) * (12 * C * C + 13 * C),
            "the feed-forward part is four times as wide inside.": want - L * (6 * C * C + 3 * C),
        }.items():
            if got == value:
                wrong(sentence)
        wrong(
            f"with vocab_size={V}, block_size={T}, n_layer={L}, n_embd={C} there are {want:,} parameters, but you "
            f"count {got:,}: {got - want:+,}, that is {(got - want) / C:+.1f} times n_embd."
        )
    for (L, C), want in {(12, 768): 124_439_808, (48, 1600): 1_557_611_200}.items():
        if (got := parameter_count(50257, 1024, L, C)) != want:
            wrong(f"GPT-2 with {L} blocks of {C} features has {want:,} parameters, but you count {got:,}.")
    return "the published sizes too."


# --- X02: operations --------------------------------------------------------------------------------------------------


def _measured(V: int, T: int, L: int, C: int) -> float:
    """What PyTorch counts in the matrix products of a forward and backward pass, per token."""

    class Spelled(nn.Module):  # a GPT-2's products without the rest, with attention spelled out
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(V, C)
            self.layers = nn.ModuleList(
                nn.ModuleList([nn.Linear(C, 3 * C), nn.Linear(C, C), nn.Linear(C, 4 * C), nn.Linear(4 * C, C)])
                for _ in range(L)
            )

        def forward(self, ids):
            x = self.table(ids) + torch.zeros(1, requires_grad=True)
            for qkv, proj, up, down in self.layers:
                q, k, v = qkv(x).chunk(3, -1)
                x = x + proj((q @ k.mT).softmax(-1) @ v)
                x = x + down(up(x))
            return x @ self.table.weight.T

    model = Spelled()
    with FlopCounterMode(display=False) as counter:
        model(torch.randint(V, (1, T))).sum().backward()
    return counter.get_total_flops() / T


@task("X02", "write `flops_per_token`")
def x02(flops_per_token):
    for _ in range(4):
        V, T, L, C = random.randint(40, 300), random.randint(4, 60), random.randint(1, 4), 8 * random.randint(1, 5)
        want = _measured(V, T, L, C)
        got = _number(flops_per_token(V, T, L, C), "the count")
        if _near(got, want):
            continue
        linear, attention, head = 6 * 12 * L * C * C, 12 * L * T * C, 6 * C * V
        assert _near(linear + attention + head, want)
        for sentence, value in {
            "this is the forward pass alone: take it three times.": want / 3,
            "the backward pass takes two products for each of the forward pass: three times in all.": want * 2 / 3,
            "a multiplication and an addition: each weight costs two operations.": want / 2,
            "the last layer is missing.": want - head,
            "attention's scores and means are missing.": want - attention,
            "attention has two products: with the keys, and with the values.": want - attention / 2,
            "looking up an embedding is free: you count the table twice, or the positions.": want + head,
            "looking up a position is free.": want + 6 * T * C,
            "this is the cost of a whole row: divide by its number of tokens.": want * T,
            "the masked scores count too: T keys for each query, not half of them.": want - attention / 2,
            "there are n_layer blocks, and you count one.": (linear + attention) / L + head,
            "attention is counted with C, all heads together.": linear + head + 12 * L * T,
        }.items():
            if _near(got, value):
                wrong(sentence)
        wrong(
            f"with vocab_size={V}, block_size={T}, n_layer={L}, n_embd={C} PyTorch counts {want:,.0f} operations a "
            f"token, but you count {got:,.0f}, {got / want:.3f} times as many."
        )
    return "as PyTorch's own counter says."


# --- X03: decay -------------------------------------------------------------------------------------------------------


class _Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.place = nn.Embedding(7, 4), nn.Parameter(torch.randn(1, 3, 4))
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=True)
        self.head.weight = self.table.weight  # tied
        self.scale = nn.Parameter(torch.tensor(1.0))  # no dimension at all
        self.frozen = nn.Linear(4, 4)
        self.frozen.requires_grad_(False)
        self.register_buffer("mask", torch.ones(4, 4))


@task("X03", "write `decay_groups`")
def x03(decay_groups):
    for model in (_Mixture(), GPT2(GPT2Config(20, 8, 2, 2, 8)), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))):
        for weight_decay in (0.1, 0.03):
            groups = decay_groups(model, weight_decay)
            if not isinstance(groups, list | tuple) or len(groups) != 2 or not all(isinstance(g, dict) for g in groups):
                wrong(f"decay_groups should return a list of two dictionaries, but it returned {str(groups)[:60]}.")
            if any("params" not in g or "weight_decay" not in g for g in groups):
                wrong('each group needs the keys "params" and "weight_decay".')
            names = {id(p): name for name, p in model.named_parameters()}
            names |= {id(b): name for name, b in model.named_buffers()}
            found = []
            for group in groups:
                members = list(group["params"])
                if members and isinstance(members[0], tuple | str):
                    wrong("a group's params are the parameters themselves, without their names.")
                found.append([id(p) for p in members])
            if len(set(found[0] + found[1])) < len(found[0]) + len(found[1]):
                wrong("a parameter comes twice: a tied matrix has two names and is one parameter.")
            unknown = [i for i in found[0] + found[1] if i not in names]
            if unknown:
                wrong("your groups hold tensors that are no parameters of the model, copies perhaps.")
            buffers = {id(b) for b in model.buffers()}
            frozen = {id(p) for p in model.parameters() if not p.requires_grad}
            trained = [p for p in model.parameters() if p.requires_grad]
            decay, free = ({id(p) for p in trained if (p.ndim >= 2) == two} for two in (True, False))
            for group, _, other in ((found[0], decay, free), (found[1], free, decay)):
                for i in group:
                    if i in buffers:
                        wrong(f"{names[i]} is a buffer, which nobody trains.")
                    if i in frozen:
                        wrong(f"{names[i]} is frozen: it belongs in no group.")
                    if i in other and set(found[0]) == free and set(found[1]) == decay:
                        wrong("the two groups are exchanged: those that decay come first.")
                    if i in other:
                        p = next(p for p in trained if id(p) == i)
                        told = "decays" if i in decay else "does not decay"
                        wrong(f"{names[i]} has the shape {tuple(p.shape)}: it {told}, whatever its name is.")
            for group, want in zip(found, (decay, free), strict=True):
                if missing := want - set(group):
                    wrong(f"{names[missing.pop()]} is in no group: it would never be trained.")
            if groups[0]["weight_decay"] != weight_decay or groups[1]["weight_decay"] != 0:
                wrong(f"with weight_decay={weight_decay}, the first group's is {weight_decay} and the second's is 0.")
            torch.optim.AdamW(groups, lr=1e-3)


# --- X04: the schedule ------------------------------------------------------------------------------------------------


@task("X04", "write `learning_rate`")
def x04(learning_rate):
    def rate(step, peak, warmup, steps, floor, first=1, last=0, cosine=True, low=None, from_zero=False):
        if step < warmup:
            return peak * (step + first) / warmup
        if step >= steps:
            return floor
        share = (step - (0 if from_zero else warmup)) / (steps - last - (0 if from_zero else warmup))
        curve = (1 + math.cos(math.pi * min(share, 1))) / 2 if cosine else 1 - share
        low = floor if low is None else low
        return low + (peak - low) * curve

    cases = [(1.0, 10, 100, 0.1), (6e-4, 3, 20, 6e-5), (2.0, 1, 7, 0.0), (1e-2, 0, 12, 1e-3)]
    got = {}
    for case in cases:
        for step in range(case[2] + 8):
            got[case, step] = _number(learning_rate(step, *case), f"the rate of step {step}")
    want = {key: rate(key[1], *key[0]) for key in got}
    bad = next((key for key in got if not _near(got[key], want[key])), None)
    if bad is None:
        return None
    for sentence, options in {
        "step 0 should move already: its rate is peak / warmup.": {"first": 0},
        "the cosine should reach the floor at step `steps`, one step later than yours.": {"last": 1},
        "that is a straight line down: half a cosine is wanted.": {"cosine": False},
        "the cosine falls to 0 and not to the floor.": {"low": 0.0},
        "the cosine begins at step `warmup`, not at step 0.": {"from_zero": True},
    }.items():
        if all(_near(got[key], rate(key[1], *key[0], **options), 1e-7) for key in got):
            wrong(sentence)
    (peak, warmup, steps, floor), step = bad
    where = "in the warm-up" if step < warmup else "behind the end" if step >= steps else "on the way down"
    wrong(
        f"with peak={peak}, warmup={warmup}, steps={steps}, floor={floor}, step {step} ({where}) should have the rate "
        f"{want[bad]:.6g}, but it has {got[bad]:.6g}."
    )


# --- X05: an accumulated step -----------------------------------------------------------------------------------------


class _Small(nn.Module):
    """ids (B, T) -> logits (B, T, V), and a record of how it was called."""

    def __init__(self, V: int = 11, C: int = 6):
        super().__init__()
        self.table, self.head = nn.Embedding(V, C), nn.Linear(C, V)
        self.double()
        self.largest = 0

    def forward(self, ids):
        self.largest = max(self.largest, len(ids))
        return self.head(torch.tanh(self.table(ids)))


def _parts(kind: str) -> list:
    rows = {"equal": (3, 3, 3, 3), "unequal": (1, 4, 2), "one": (5,), "masked": (2, 2, 3)}[kind]
    parts = []
    for n, B in enumerate(rows):
        x, y = torch.randint(11, (B, 5)), torch.randint(11, (B, 5))
        if kind == "masked":
            y[:, : n + 2] = -100
        parts.append((x, y))
    return parts


def _whole(model, parts, weigh: str, max_norm: float, clip: str = "after"):
    """The step by a reference; weigh: how the parts' losses are put together. Returns (loss, norm, weights after)."""
    model = copy.deepcopy(model)
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x, y = (torch.cat(both) for both in zip(*parts, strict=True))
    losses = [F.cross_entropy(model(a).flatten(0, 1), b.flatten()) for a, b in parts]
    if weigh == "targets":
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    elif weigh == "mean":
        loss = torch.stack(losses).mean()
    elif weigh == "sum":
        loss = torch.stack(losses).sum()
    elif weigh == "rows":
        loss = sum(len(a) * one for (a, _), one in zip(parts, losses, strict=True)) / len(x)
    elif weigh == "places":
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / y.numel()
    elif weigh == "last":
        loss = losses[-1]
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm().item()
    if clip == "after":
        for p in model.parameters():
            p.grad *= min(1.0, max_norm / (norm + 1e-6))
    optimizer.step()
    return loss.item(), norm, torch.cat([p.detach().flatten() for p in model.parameters()])


@task("X05", "write `accumulated_step`")
def x05(accumulated_step):
    for kind in ("equal", "one", "unequal", "masked"):
        for max_norm in (100.0, 0.05):
            model, parts = _Small(), _parts(kind)
            before, old = copy.deepcopy(model), [torch.randn_like(p) for p in model.parameters()]
            for p, grad in zip(model.parameters(), old, strict=True):
                p.grad = grad.clone()  # left over from the step before
            kept = [(x.clone(), y.clone()) for x, y in parts]
            optimizer, calls = torch.optim.SGD(model.parameters(), lr=0.5), []
            step = optimizer.step
            optimizer.step = lambda *a, step=step, calls=calls, **k: (calls.append(1), step(*a, **k))[1]
            got = accumulated_step(model, optimizer, parts, max_norm)
            if any(
                not torch.equal(a, b)
                for was, now in zip(kept, parts, strict=True)
                for a, b in zip(was, now, strict=True)
            ):
                wrong("your function changed the batches that it was given.")
            if got is None:
                wrong("accumulated_step returned None: return the loss and the gradient's length.")
            if not isinstance(got, tuple | list) or len(got) != 2:
                wrong(f"accumulated_step should return two numbers, but it returned {str(got)[:60]}.")
            loss, norm = (_number(value, name) for value, name in zip(got, ("the loss", "the length"), strict=True))
            if len(calls) != 1:
                wrong(f"the optimiser stepped {len(calls)} times: one step, after all parts.")
            if len(parts) > 1 and model.largest > max(len(x) for x, _ in parts):
                wrong(
                    "the model saw more rows at once than a part has: a large batch does not fit, so go part by part."
                )
            want = _whole(before, parts, "targets", max_norm)
            weights = torch.cat([p.detach().flatten() for p in model.parameters()])
            right = torch.allclose(weights, want[2], rtol=1e-8, atol=1e-10)
            if right and _near(loss, want[0], 1e-7) and _near(norm, want[1], 1e-6):
                continue
            if right and not _near(norm, want[1], 1e-6) and _near(norm, min(want[1], max_norm), 1e-3):
                wrong("return the gradient's length before clipping; you return the one after it.")
            if right and _near(norm, want[1], 1e-6):
                wrong(
                    f"the step is right, but the loss of the whole batch is {want[0]:.6g}, and you return {loss:.6g}."
                )
            if right:
                wrong(f"the step is right, but the gradient's length is {want[1]:.6g}, and you return {norm:.6g}.")
            told = {
                "mean": "the mean of the parts' losses gives a small part as much weight as a large one: weigh by the "
                "number of targets that count.",
                "sum": "the parts' losses are added up, so the gradient is too long: divide by the number of "
                "targets of all parts.",
                "rows": "you weigh by rows, but only targets other than -100 count.",
                "places": "you divide by all targets; those of -100 do not count.",
                "last": "only the last part's gradient is left: is zero_grad called for every part?",
            }
            for weigh, sentence in told.items():
                other = _whole(before, parts, weigh, max_norm)
                if torch.allclose(weights, other[2], rtol=1e-8, atol=1e-10):
                    wrong(sentence)
            if torch.allclose(weights, _whole(before, parts, "targets", max_norm, "never")[2], rtol=1e-8, atol=1e-10):
                wrong("the gradient is not clipped.")
            if max_norm > 1 and _stale(before, old, parts, weights):
                wrong("old gradients are still there: clear them before the first part.")
            if max_norm < 1:
                wrong("with a small max_norm the step is wrong: clip the joint gradient once, after all parts.")
            wrong(f"the step differs from that of the whole batch ({kind} parts).")


def _stale(before, old, parts, weights) -> bool:
    model = copy.deepcopy(before)
    for p, grad in zip(model.parameters(), old, strict=True):
        p.grad = grad.clone()
    x, y = (torch.cat(both) for both in zip(*parts, strict=True))
    F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()  # on top of the old gradients
    new = torch.cat([(p - 0.5 * p.grad).detach().flatten() for p in model.parameters()])
    return torch.allclose(weights, new, rtol=1e-6, atol=1e-8)


# --- X06: endings -----------------------------------------------------------------------------------------------------


class _Sees(nn.Module):
    """A causal model with sharp opinions: logits depend on all tokens up to here."""

    def __init__(self, V: int = 13):
        super().__init__()
        self.one, self.two = (nn.Embedding(V, V) for _ in range(2))
        for table in (self.one, self.two):
            nn.init.normal_(table.weight, std=2.0)

    def forward(self, ids):
        if ids.dim() != 2:
            wrong(f"the model takes ids of shape (B, T), but it got {tuple(ids.shape)}.")
        past = self.two(ids).cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        return self.one(ids) + past


def _scores(model, context, endings) -> dict[str, list[float]]:
    """Ways to score, one ending at a time."""
    ways = {
        name: [] for name in ("mean", "sum", "context too", "late", "early", "logits", "first", "padded", "p", "alone")
    }
    longest = max(map(len, endings))
    for ending in endings:
        row = torch.tensor([context + ending])
        logits = model(row)[0]
        log_p = logits.log_softmax(-1)
        own = log_p[:-1].gather(1, row[0, 1:, None])[:, 0]  # of each next token
        start = len(context) - 1
        ways["mean"].append(own[start:].mean().item())
        ways["sum"].append(own[start:].sum().item())
        ways["context too"].append(own.mean().item())
        ways["late"].append(own[start + 1 :].mean().item() if len(ending) > 1 else -math.inf)
        ways["early"].append(log_p[start + 1 :].gather(1, row[0, start + 1 :, None]).mean().item())
        ways["logits"].append(logits[start:-1].gather(1, row[0, start + 1 :, None]).mean().item())
        ways["first"].append(own[start].item())
        ways["p"].append(own[start:].exp().mean().item())
        ways["alone"].append(log_p_alone(model, ending) if len(ending) > 1 else -math.inf)
        padded = torch.tensor([context + ending + [0] * (longest - len(ending))])
        all_of_it = model(padded)[0].log_softmax(-1)[:-1].gather(1, padded[0, 1:, None])[:, 0]
        ways["padded"].append(all_of_it[start:].mean().item())
    return ways


def log_p_alone(model, ending: list[int]) -> float:
    row = torch.tensor([ending])
    return model(row)[0].log_softmax(-1)[:-1].gather(1, row[0, 1:, None]).mean().item()


@task("X06", "write `pick_ending`")
def x06(pick_ending):
    told = {
        "sum": "a sum favours short endings: take the mean over the ending's tokens.",
        "context too": "only the ending's tokens count, not the context's.",
        "late": "the ending's first token is missing: it is predicted at the last position of the context.",
        "early": "logits at position t are about token t + 1: you compare them with token t.",
        "logits": "logits are no log-probabilities: log_softmax first.",
        "first": "all tokens of the ending count, not its first alone.",
        "padded": "padding counts in your mean: cut it off.",
        "p": "take the mean of the log-probabilities, not of the probabilities.",
        "alone": "the endings are scored without their context.",
    }
    picked, scored = [], []
    with torch.no_grad():
        for _ in range(120):
            model = _Sees()
            context = [random.randrange(13) for _ in range(random.randint(1, 6))]
            endings = [[random.randrange(13) for _ in range(random.randint(1, 6))] for _ in range(4)]
            kept = copy.deepcopy((context, endings))
            got = pick_ending(model, context, endings)
            if (context, endings) != kept:
                wrong("your function changed the lists that it was given.")
            if got is None:
                wrong("pick_ending returned None: does your function return its result?")
            if isinstance(got, torch.Tensor) and got.numel() == 1:
                got = got.item()
            if isinstance(got, bool) or not isinstance(got, int):
                wrong(f"pick_ending should return the number of an ending, an int, but it returned {str(got)[:40]}.")
            picked.append(got)
            scored.append(_scores(model, context, endings))
    best = {name: [max(range(4), key=s[name].__getitem__) for s in scored] for name in scored[0]}
    if picked == best["mean"]:
        return "120 questions, endings of one to six tokens."
    if picked == [min(range(4), key=s["mean"].__getitem__) for s in scored]:
        wrong("you pick the least likely ending.")
    for name, sentence in told.items():
        if picked == best[name]:
            wrong(sentence)
    agree = {name: sum(a == b for a, b in zip(picked, best[name], strict=True)) for name in best}
    wrong(
        f"on 120 questions you pick the ending with the highest mean log-probability {agree['mean']} times. The "
        "ending's first token is predicted at the context's last position, its last token at its last position but one."
    )


# --- X07: what generation costs ---------------------------------------------------------------------------------------


def _loop(prompt: int, new: int, block: int, cached: bool) -> int:
    """Run it, and count."""
    seen, text, fed = 0, prompt, 0
    for _ in range(new):
        seen += text - fed if cached else min(text, block)
        fed = text
        text += 1
    return seen


@task("X07", "write `positions_processed`")
def x07(positions_processed):
    cases = [(1, 0, 8), (5, 0, 8), (1, 1, 8), (3, 1, 8), (3, 4, 8), (4, 5, 8), (1, 8, 8), (100, 50, 256)]
    for prompt, new, block in [*cases, (6, 10, 8), (8, 3, 8), (12, 5, 8), (30, 20, 16)]:
        for cached in (False, True):
            if cached and new and prompt + new - 1 > block:
                try:
                    got = positions_processed(prompt, new, block, True)
                except ValueError:
                    continue
                wrong(f"{prompt} + {new} - 1 tokens do not fit into {block}: raise a ValueError; you returned {got}.")
            try:
                got = _number(positions_processed(prompt, new, block, cached), "the number of positions")
            except ValueError as problem:
                wrong(
                    f"prompt={prompt}, new={new}, block_size={block}, cached={cached} fits, but you raised: {problem}"
                )
            want = _loop(prompt, new, block, cached)
            if got == want:
                continue
            if new == 0:
                wrong(f"writing nothing costs nothing, but you count {got}.")
            if cached and got == prompt + new:
                wrong("the last new token is chosen and never fed back: one position fewer.")
            if cached and got == new:
                wrong("the prompt has to be processed too, once.")
            if not cached and got == sum(range(prompt, prompt + new)):
                wrong("the model looks back on at most block_size positions.")
            if not cached and got == sum(min(n, block) for n in range(prompt + 1, prompt + new + 1)):
                wrong("for the first new token the model sees the prompt alone: you count one too many each time.")
            if not cached and got == new * prompt:
                wrong("the text grows by a token each time.")
            wrong(
                f"prompt={prompt}, new={new}, block_size={block}, cached={cached}: {want} positions; you count {got}."
            )


# --- X08: a checkpoint ------------------------------------------------------------------------------------------------

TURNED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


@task("X08", "write `convert`")
def x08(convert):
    for trial in range(4):
        config = GPT2Config(17 + trial, 6 + trial, 1 + trial % 3, 2, 8)
        model = GPT2(config)
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn_like(p))
        want = {name: value.clone() for name, value in model.state_dict().items()}
        state = {}
        for name, value in want.items():
            if name == "lm_head.weight" and trial % 2:
                continue
            short = name if trial < 2 else name.removeprefix("transformer.")
            state[short] = value.T.contiguous() if name.endswith(TURNED) else value.clone()
        if trial != 1:
            for n in range(config.n_layer):
                mask = f"{'transformer.' if trial < 2 else ''}h.{n}.attn."
                state[mask + "bias"] = torch.tril(torch.ones(1, 1, config.block_size, config.block_size))
                state[mask + "masked_bias"] = torch.tensor(-1e4)
        kept = {name: value.clone() for name, value in state.items()}
        got = convert(state)
        if list(state) != list(kept) or any(not torch.equal(state[n], kept[n]) for n in kept):
            wrong("the state that you were given has changed: build a new dictionary.")
        if got is None:
            wrong("convert returned None: does your function return its result?")
        if not isinstance(got, dict):
            wrong(f"convert should return a dictionary, but it returned a {type(got).__name__}.")
        for name in got:
            if name.endswith((".attn.bias", ".attn.masked_bias")):
                wrong(f"{name} is a mask and no parameter: leave it out.")
            if name not in want and f"transformer.{name}" in want:
                wrong(f"{name} lacks the prefix: our module is called transformer.{name}.")
            if name.startswith("transformer.lm_head") or name.startswith("transformer.transformer"):
                wrong(f"{name} has a prefix too many.")
            if name not in want:
                wrong(f"our model has no {name}.")
        for name, value in want.items():
            if name not in got:
                if name == "lm_head.weight":
                    wrong("lm_head.weight is missing: it is the matrix transformer.wte.weight.")
                told = " (only names that end in .attn.bias are masks)" if name.endswith("bias") else ""
                wrong(f"{name} is missing{told}.")
            if name.endswith(TURNED) and value.shape[0] == value.shape[1] and torch.equal(got[name], value.T):
                wrong(f"{name} is square, so its shape fits either way, but it has to be turned too.")
            if got[name].shape != value.shape:
                told = "turn it" if name.endswith(TURNED) else "do not turn it: it is no linear layer of these four"
                wrong(
                    f"{name} should have the shape {tuple(value.shape)}, but it has {tuple(got[name].shape)}: {told}."
                )
            same(name, got[name], value, rtol=0, atol=0)
    return "with masks and without, with the prefix and without."
