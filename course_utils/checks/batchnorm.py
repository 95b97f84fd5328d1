"""Checks of lecture 04: activations, gradients, BatchNorm."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from ..lectures.layers import BatchNorm1d, Linear
from . import same, task, wrong

# --- E01 --------------------------------------------------------------------------------------------------------------

NAMES = ["C", "W1", "b1", "W2", "b2"]


def _changes(
    X, Y, V, dim, hidden, steps, rate, start=None, accumulate=False, first=False, signed=False
) -> dict[str, float]:
    """The reference answer to E01a; start: scale of a random start, not zeros; signed: no absolute value."""
    g = torch.Generator().manual_seed(0)
    shapes = [(V, dim), (X.shape[1] * dim, hidden), (hidden,), (hidden, V), (V,)]
    p = [torch.randn(s, generator=g) * (start or 0) for s in shapes]
    p = [t.to(X.device).requires_grad_() for t in p]
    before, total = [t.detach().clone() for t in p], [torch.zeros_like(t) for t in p]
    for _ in range(1 if first else steps):
        C, W1, b1, W2, b2 = p
        h = torch.tanh(C[X].flatten(1) @ W1 + b1)
        grads = torch.autograd.grad(F.cross_entropy(h @ W2 + b2, Y), p)
        total = [t + grad for t, grad in zip(total, grads, strict=True)]
        with torch.no_grad():
            for t, grad, summed in zip(p, grads, total, strict=True):
                t -= rate * (summed if accumulate else grad)
    size = (lambda t: t) if signed else torch.abs
    return {name: size(a - b).max().item() for name, a, b in zip(NAMES, p, before, strict=True)}


@task("E01a", "write `train_from_zeros`")
def e01a(train_from_zeros):
    # The first Y leaves one character out, so its bias falls further than any other rises; the second, most of them.
    for V, used, block, dim, hidden, steps, rate in ((7, 6, 3, 4, 5, 12, 0.5), (11, 5, 2, 3, 8, 5, 1.0)):
        X, Y = torch.randint(0, V, (60, block)), torch.arange(60) % used
        kept = X.clone(), Y.clone()
        got = train_from_zeros(X, Y, V, dim, hidden, steps, rate)
        if not isinstance(got, dict) or set(got) != set(NAMES):
            wrong(f"return a dictionary with the keys {NAMES}; it is {got!r:.80}.")
        if not (torch.equal(X, kept[0]) and torch.equal(Y, kept[1])):
            wrong("your function changes the data that it was given.")
        want = _changes(X, Y, V, dim, hidden, steps, rate)
        values = {name: float(value) for name, value in got.items()}
        if any(values[name] > 1e-7 for name in ("W2", "b1", "W1", "C")):
            moved = [name for name in NAMES if values[name] > 1e-7]
            wrong(f"you report that {', '.join(moved)} moved: does every parameter start at exactly zero?")
        if values["b2"] == 0:
            wrong("you report that nothing moved at all: is the update applied to the parameters themselves?")
        same(
            "the largest change of b2",
            values["b2"],
            want["b2"],
            {
                "b2 went too far: are the gradients reset before each backward pass?": _changes(
                    X, Y, V, dim, hidden, steps, rate, accumulate=True
                )["b2"],
                "b2 moved by one step only: does your loop take all of them?": _changes(
                    X, Y, V, dim, hidden, steps, rate, first=True
                )["b2"],
                "b2 moved as if the rate were 1.": _changes(X, Y, V, dim, hidden, steps, 1.0)["b2"],
                "the largest change is taken without the absolute value: the one that fell counts as well.": _changes(
                    X, Y, V, dim, hidden, steps, rate, signed=True
                )["b2"],
            },
            rtol=1e-4,
        )
    return "only the last bias moves. The next task says where it goes."


@task("E01b", "write `loss_it_approaches`")
def e01b(loss_it_approaches):
    for V, used in ((27, 27), (9, 9), (12, 5)):
        weights = torch.rand(used) + 0.05
        Y = torch.multinomial(weights, 3000, replacement=True)
        kept = Y.clone()
        q = torch.bincount(Y, minlength=V).double() / len(Y)
        q, smoothed = q[q > 0], (torch.bincount(Y, minlength=V).double() + 1) / (len(Y) + V)
        want = -(q * q.log()).sum().item()
        got = loss_it_approaches(Y, V)
        if not torch.equal(Y, kept):
            wrong("your function changes the data that it was given.")
        if got is not None and torch.as_tensor(got).isnan().any():
            wrong("nan: a character that never occurs contributes 0, but 0 · log 0 is nan.")
        same(
            "the loss that it approaches",
            got,
            want,
            {
                "that is the loss of an even guess, ln V: the bias can learn which characters are frequent.": torch.log(
                    torch.tensor(float(V))
                ),
                "that is in bits: cross entropy uses the natural logarithm.": want
                / torch.log(torch.tensor(2.0)).item(),
                "the counts were smoothed: nothing pulls this network towards an even guess.": -(
                    (torch.bincount(Y, minlength=V) / len(Y) * smoothed.log()).sum()
                ),
                "the sign is turned round: a loss is the negative log likelihood.": -want,
                "you averaged over the characters: weigh each by how often it occurs.": -q.log().mean(),
                "that is the sum over all examples: the loss is their mean.": want * len(Y),
            },
            rtol=1e-4,
        )
    return "the network of zeros ends as a table of letter frequencies."


# --- E02 --------------------------------------------------------------------------------------------------------------


def _pair(fan_in: int, fan_out: int, bias: bool, eps: float) -> tuple[Linear, BatchNorm1d]:
    linear, bn = Linear(fan_in, fan_out, bias=bias), BatchNorm1d(fan_out, eps=eps)
    with torch.no_grad():
        if bias:
            linear.bias.normal_()
        for t, low, high in ((bn.weight, 0.5, 2), (bn.bias, -1, 1), (bn.running_mean, -2, 2), (bn.running_var, 0.3, 4)):
            t.uniform_(low, high)
    return linear.double(), bn.double()


@task("E02", "write `fold`")
def e02(fold):
    for fan_in, fan_out, bias, eps in ((4, 6, True, 0.3), (5, 5, True, 0.3), (6, 3, False, 0.3), (8, 2, True, 1e-5)):
        linear, bn = _pair(fan_in, fan_out, bias, eps)
        bn.train(fan_in == 4)  # one comes in training mode, and must keep it
        held, mode = copy.deepcopy((linear.state_dict(), bn.state_dict())), bn.training
        folded = fold(linear, bn)
        for before, layer in zip(held, (linear, bn), strict=True):
            if any(not torch.equal(before[name], value) for name, value in layer.state_dict().items()):
                wrong("the layers that you were given have changed: make a new Linear and fill that.")
        if bn.training != mode:
            wrong(
                "you left the BatchNorm in another mode (train or eval): it is not yours to change. Read its tensors."
            )
        if not isinstance(folded, Linear | nn.Linear):
            wrong(f"return a Linear; it is a {type(folded).__name__}.")
        if folded is linear:
            wrong("you returned the layer that you were given: make a new Linear.")
        if folded.bias is None:
            wrong("the folded layer has no bias, so the shift has nowhere to go.")
        W, b, s = linear.weight, linear.bias if bias else 0.0, bn.weight / (bn.running_var + eps).sqrt()
        no_eps, no_root = bn.weight / bn.running_var.sqrt(), bn.weight / (bn.running_var + eps)
        mistakes = {
            "the weight is off as if epsilon were left out: it is added to the variance.": W * no_eps[:, None],
            "the weight is divided by the variance: BatchNorm divides by its square root.": W * no_root[:, None],
            "the weight lacks the learned gain (bn.weight).": W / (bn.running_var + eps).sqrt()[:, None],
            "the weight is unchanged: multiply each unit's row by its scale.": W,
        }
        if fan_in == fan_out:
            mistakes["you scaled the columns: row i of the weight makes unit i, so scale rows."] = W * s
        with torch.no_grad():
            same("the folded weight", folded.weight.double(), W * s[:, None], mistakes, rtol=1e-6)
            shift = bn.bias - bn.running_mean * s
            same(
                "the folded bias",
                folded.bias.double(),
                b * s + shift,
                {
                    "the old bias is lost: it is scaled and shifted like everything else.": shift,
                    "the old bias is added without the scale.": b + shift,
                    "the running mean is left out of the bias.": b * s + bn.bias,
                    "the running mean is subtracted without the scale.": b * s + bn.bias - bn.running_mean,
                    "the learned shift (bn.bias) is left out.": (b - bn.running_mean) * s,
                    "the sign of the running mean is turned round: it is subtracted.": (b + bn.running_mean) * s
                    + bn.bias,
                },
                rtol=1e-6,
            )
            x = torch.randn(10, fan_in, dtype=torch.float64)
            same("the folded layer's output", folded.double()(x), bn.eval()(linear(x)), rtol=1e-6, atol=1e-6)
    return "at test time BatchNorm costs nothing."


# --- E03 --------------------------------------------------------------------------------------------------------------

ACTS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "no nonlinearity": lambda x: x,
    "gelu": F.gelu,
    "three times sigmoid": lambda x: 3 * x.sigmoid(),
}


@task("E03", "write `measured_gain`")
def e03(measured_gain):
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2)
    density /= density.sum()
    for name, act in ACTS.items():
        y = act(z)
        rms2, mean = (density * y**2).sum(), (density * y).sum()
        std2 = rms2 - mean**2
        mistakes = {
            "that is the size after the nonlinearity: the gain has to undo it, so take the inverse.": rms2.sqrt(),
            "you took the standard deviation, which subtracts the mean: the next layer sums E[y²] (section 3).": std2
            ** -0.5,
            "that is the inverse of the mean square: weights are scaled by its square root.": 1 / rms2,
            "that is the average of |y|: use the mean square.": 1 / (density * y.abs()).sum(),
        }
        if name == "tanh":
            mistakes["that is the number of PyTorch's table: measure it, for any function."] = 5 / 3
        state = torch.get_rng_state()
        got = measured_gain(act)
        same(f"the gain for {name}", got, rms2**-0.5, mistakes, rtol=0.01)
        if not torch.equal(state, torch.get_rng_state()):
            wrong(
                "the gain is right, but your draws moved torch's global generator: make your own, "
                "`g = torch.Generator()`, and pass `generator=g`."
            )
    return "√2 for ReLU, as He et al. derived; 1.59 for tanh, where PyTorch's table has 5/3."


# --- E04 --------------------------------------------------------------------------------------------------------------


@task("E04", "write `batchnorm`")
def e04(batchnorm):
    N, C, eps, momentum = 6, 4, 0.2, 0.3
    x = (torch.randn(N, C, dtype=torch.float64) * 2 + 3).requires_grad_()
    gamma, beta = torch.rand(C, dtype=torch.float64) + 0.5, torch.randn(C, dtype=torch.float64)
    rm, rv = torch.randn(C, dtype=torch.float64), torch.rand(C, dtype=torch.float64) + 0.5
    held = [t.detach().clone() for t in (x, gamma, beta, rm, rv)]
    for training in (True, False):
        answer = batchnorm(x, gamma, beta, rm, rv, training, eps, momentum)
        for name, t, before in zip(
            ("x", "gamma", "beta", "running_mean", "running_var"), (x, gamma, beta, rm, rv), held, strict=True
        ):
            if not torch.equal(t, before):
                wrong(f"`{name}` was changed in place: return new tensors, and leave the arguments as they are.")
        if not isinstance(answer, tuple) or len(answer) != 3:
            wrong("return three things: y, the new running mean, the new running variance.")
        y, new_mean, new_var = answer
        mean, var, unbiased = x.mean(0), x.var(0, correction=0), x.var(0, correction=1)
        by = lambda m, v, e=eps, x=x: gamma * (x - m) / (v + e).sqrt() + beta
        want_mean, want_var = rm.clone(), rv.clone()
        F.batch_norm(x.detach(), want_mean, want_var, gamma, beta, training, momentum, eps)
        mode = "in training" if training else "in evaluation"
        right, other = (by(mean, var), by(rm, rv)) if training else (by(rm, rv), by(mean, var))
        mistakes = {
            f"{mode}, y is made with the {'running' if training else 'batch'} statistics: use the other ones.": other,
            "y lacks epsilon, which is added to the variance.": by(mean, var, 0.0) if training else by(rm, rv, 0.0),
            "y is right but for the gain and the shift.": (right - beta) / gamma,
            "epsilon was added to the standard deviation: add it to the variance, before the root.": gamma
            * (x - (mean if training else rm))
            / ((var if training else rv).sqrt() + eps)
            + beta,
        }
        if training:
            mistakes["y is divided by the unbiased deviation: normalise with the biased variance (divide by N)."] = by(
                mean, unbiased
            )
            mistakes["you normalised over the units of each example: average over the batch, dimension 0."] = (
                gamma * F.layer_norm(x, (C,), eps=eps) + beta
            )
        with torch.no_grad():
            same(f"y, {mode},", y, right, mistakes, rtol=1e-6)
            if not training:
                same(
                    "the running mean after an evaluation",
                    new_mean,
                    rm,
                    {"an evaluation moved the running mean.": 0.7 * rm + 0.3 * mean},
                )
                same(
                    "the running variance after an evaluation",
                    new_var,
                    rv,
                    {"an evaluation moved the running variance.": 0.7 * rv + 0.3 * unbiased},
                )
                continue
            reversed_ = "momentum is the share of the new batch: you gave that share to the old value."
            same(
                "the new running mean",
                new_mean,
                want_mean,
                {
                    reversed_: 0.3 * rm + 0.7 * mean,
                    "the running mean did not move.": rm,
                    "the running mean was replaced, not moved.": mean,
                },
                rtol=1e-6,
            )
            biased = (
                "the running variance is fed with the biased variance: it takes the unbiased one (divide by N - 1)."
            )
            same(
                "the new running variance",
                new_var,
                want_var,
                {
                    biased: 0.7 * rv + 0.3 * var,
                    reversed_: 0.3 * rv + 0.7 * unbiased,
                    "the running variance did not move.": rv,
                },
                rtol=1e-6,
            )
            if new_mean.requires_grad or new_var.requires_grad:
                wrong("the running statistics carry a gradient, and would keep every batch's graph alive: detach them.")
        if training:
            continue
    y = batchnorm(x, gamma, beta, rm, rv, True, eps, momentum)[0]
    upstream = torch.randn(N, C, dtype=torch.float64)
    want = torch.autograd.grad((F.batch_norm(x, None, None, gamma, beta, True, 0.1, eps) * upstream).sum(), x)[0]
    if not y.requires_grad:
        wrong("y is right, but no gradient flows back to x: detach the running statistics only.")
    got = torch.autograd.grad((y * upstream).sum(), x)[0]
    mean, var = x.mean(0).detach(), x.var(0, correction=0).detach()
    constant = (upstream * gamma / (var + eps).sqrt()).detach()
    same(
        "the gradient in x",
        got,
        want,
        {"the gradient treats the batch's mean and variance as constants: let it flow through them.": constant},
        rtol=1e-6,
    )
    one = batchnorm(x[:1].detach(), gamma, beta, rm, rv, False, eps, momentum)[0]
    same("y of a single example, in evaluation,", one, by(rm, rv)[:1], rtol=1e-6)
    return "equal to torch's in both modes, gradient included."
