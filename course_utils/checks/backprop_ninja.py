"""The checks of exercises/05_makemore_backprop_ninja.ipynb, and the table of its results.

Every check draws random tensors with sizes that all differ, so that a transposed or wrongly summed answer cannot fit,
and compares in float64 with what autograd finds for that one step.
"""

import inspect
from functools import wraps
from types import SimpleNamespace

import torch
import torch.nn.functional as F

from . import same, task, wrong

EPS = 1e-5  # BatchNorm's and LayerNorm's
SIZES = (  # examples, context, embedding, hidden, vocabulary
    SimpleNamespace(N=5, T=3, E=4, H=8, V=7),
    SimpleNamespace(N=9, T=2, E=6, H=11, V=10),
)

# Sentences that several checks say.
UNSUMMED = "has the shape of the large tensor: what was broadcast forward must be summed backward."
KEEPDIM = "lost a dimension: the tensor has one of size 1, so sum with `keepdim=True`."


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def positive(*shape: int) -> torch.Tensor:
    return 0.3 + 2 * torch.rand(*shape, dtype=torch.float64)


def autograd(leaf: torch.Tensor, loss) -> torch.Tensor:
    """The gradient in `leaf` of loss(leaf).sum(), as autograd finds it."""
    leaf = leaf.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


def call(function, **inputs):
    """The learner's function on copies of the inputs, which it must leave as they are."""
    copies = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
    answer = function(*copies.values())
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and not torch.equal(copies[name], value):
            wrong(f"your function changed `{name}` in place: work on a copy, other steps still need it.")
    return answer


def tensor(what: str, got, want: torch.Tensor, mistakes: dict[str, torch.Tensor]) -> None:
    """Compare one gradient to twelve digits; name the mistakes of this task, then those that every task knows."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, torch.Tensor):
        wrong(f"{what} should be a tensor of shape {tuple(want.shape)}, but it is a {type(got).__name__}.")
    if got.dtype != want.dtype:
        wrong(f"{what} is {got.dtype}, but its inputs are {want.dtype}: make new tensors with `torch.zeros_like(...)`.")
    named = {f"{what} {sentence}": value for sentence, value in mistakes.items()}
    named[f"{what} has the wrong sign everywhere."] = -want
    named[f"{what} is zero everywhere: nothing would be learned."] = torch.zeros_like(want)
    if want.dim() == 2:
        named[f"{what} is transposed."] = want.T
    same(what, got, want, named, rtol=1e-10, atol=1e-12)


def grade(what: str, function, want: torch.Tensor, mistakes: dict[str, torch.Tensor], **inputs) -> None:
    tensor(what, call(function, **inputs), want, mistakes)


def each_size(check):
    """Run a check of one function once for every size."""

    @wraps(check)
    def run(answer):
        return [check(answer, s) for s in SIZES][-1]

    return run


# --- exercise 1, the loss -----


@task("Exercise 1.01 (dlogprobs)", "write `d_logprobs`")
@each_size
def ex1_01(d_logprobs, s):
    logprobs, y = randn(s.N, s.V), torch.randint(s.V, (s.N,))
    onehot = F.one_hot(y, s.V).double()
    mistakes = {
        "lacks the mean: the loss averages over n examples, divide by n.": -onehot,
        "divides by the number of all entries: the mean runs over the n right answers only.": -onehot
        / logprobs.numel(),
        "has the wrong sign: the loss is minus the mean.": onehot / s.N,
        "is not zero where it should be: only each row's right answer reaches the loss.": -torch.ones_like(logprobs)
        / s.N,
    }
    want = autograd(logprobs, lambda t, y=y: F.nll_loss(t, y))
    grade("dlogprobs", d_logprobs, want, mistakes, logprobs=logprobs, y=y)
    return "only the right answers' entries reach the loss."


@task("Exercise 1.02 (dprobs)", "write `d_probs`")
@each_size
def ex1_02(d_probs, s):
    dlogprobs, probs = randn(s.N, s.V), positive(s.N, s.V)
    mistakes = {
        "is multiplied by probs: the derivative of log(p) is 1/p.": dlogprobs * probs,
        "is the local derivative alone: multiply with what arrives, dlogprobs.": 1 / probs,
        "applies the logarithm again: its derivative is 1/p.": dlogprobs * probs.log(),
        "passes dlogprobs on unchanged: the local derivative of the logarithm is missing.": dlogprobs,
    }
    grade("dprobs", d_probs, autograd(probs, lambda t: dlogprobs * t.log()), mistakes, dlogprobs=dlogprobs, probs=probs)


@task("Exercise 1.03 (dcounts_sum_inv)", "write `d_counts_sum_inv`")
@each_size
def ex1_03(d_counts_sum_inv, s):
    dprobs, counts, inverse = randn(s.N, s.V), positive(s.N, s.V), positive(s.N, 1)
    product = dprobs * counts
    mistakes = {
        UNSUMMED: product,
        KEEPDIM: product.sum(1),
        "is summed over the rows: counts_sum_inv was stretched along the columns, dimension 1.": product.sum(
            0, keepdim=True
        ),
        "is a mean: the contributions add up.": product.mean(1, keepdim=True),
        "lacks the factor counts.": dprobs.sum(1, keepdim=True),
    }
    want = autograd(inverse, lambda t: dprobs * (counts * t))
    grade("dcounts_sum_inv", d_counts_sum_inv, want, mistakes, dprobs=dprobs, counts=counts)


@task("Exercise 1.04 (dcounts_sum)", "write `d_counts_sum`")
@each_size
def ex1_04(d_counts_sum, s):
    up, total = randn(s.N, 1), positive(s.N, 1)
    mistakes = {
        "lost the minus: the derivative of 1/s is -1/s².": up / total**2,
        "has 1/s where the derivative of 1/s is needed: -1/s².": -up / total,
        "is multiplied by the value 1/s: its derivative is -1/s².": up / total,
        "is the local derivative alone: multiply with dcounts_sum_inv.": -(total**-2),
    }
    want = autograd(total, lambda t: up * t**-1)
    grade("dcounts_sum", d_counts_sum, want, mistakes, dcounts_sum_inv=up, counts_sum=total)


@task("Exercise 1.05 (dcounts)", "write `d_counts`")
@each_size
def ex1_05(d_counts, s):
    dprobs, inverse, dsum, counts = randn(s.N, s.V), positive(s.N, 1), randn(s.N, 1), positive(s.N, s.V)
    mistakes = {
        "has one branch of two: counts also goes into counts_sum.": dprobs * inverse,
        "has one branch of two: counts also goes into probs directly.": dsum.expand(s.N, s.V),
        "divides the second branch by the row's length: a sum hands its gradient to each entry in full.": dprobs
        * inverse
        + dsum / s.V,
        "multiplies the two branches: contributions add up.": dprobs * inverse * dsum,
        "lacks the factor counts_sum_inv in its first branch.": dprobs + dsum,
    }
    want = autograd(counts, lambda t: (dprobs * (t * inverse)).sum() + (dsum * t.sum(1, keepdim=True)).sum())
    grade("dcounts", d_counts, want, mistakes, dprobs=dprobs, counts_sum_inv=inverse, dcounts_sum=dsum)
    return "both branches are in."


@task("Exercise 1.06 (dnorm_logits)", "write `d_norm_logits`")
@each_size
def ex1_06(d_norm_logits, s):
    dcounts, norm = randn(s.N, s.V), -positive(s.N, s.V)
    counts = norm.exp()
    mistakes = {
        "exponentiates twice: counts already is exp(norm_logits).": dcounts * counts.exp(),
        "passes dcounts on unchanged: the local derivative, exp(norm_logits), is missing.": dcounts,
        "is the local derivative alone: multiply with dcounts.": counts,
        "divides by counts: that would be the logarithm's derivative.": dcounts / counts,
    }
    want = autograd(norm, lambda t: dcounts * t.exp())
    grade("dnorm_logits", d_norm_logits, want, mistakes, dcounts=dcounts, counts=counts)


@task("Exercise 1.07 (dlogit_maxes)", "write `d_logit_maxes`")
@each_size
def ex1_07(d_logit_maxes, s):
    up, logits, maxes = randn(s.N, s.V), randn(s.N, s.V), randn(s.N, 1)
    mistakes = {
        "lost the minus: the maximum is subtracted.": up.sum(1, keepdim=True),
        UNSUMMED: -up,
        KEEPDIM: -up.sum(1),
        "is summed over the rows: logit_maxes was stretched along the columns, dimension 1.": -up.sum(0, keepdim=True),
        "is set to zero. The whole network makes it zero, but this step alone does not know that: sum.": 0 * maxes,
    }
    want = autograd(maxes, lambda t: up * (logits - t))
    grade("dlogit_maxes", d_logit_maxes, want, mistakes, dnorm_logits=up)
    return "in the whole network these sums vanish: softmax ignores a constant."


@task("Exercise 1.08 (dlogits)", "write `d_logits`")
@each_size
def ex1_08(d_logits, s):
    up, dmaxes, logits = randn(s.N, s.V), randn(s.N, 1), randn(s.N, s.V)
    largest = F.one_hot(logits.argmax(1), s.V).double()
    mistakes = {
        "has one branch of two: logits also goes into logit_maxes.": up,
        "has one branch of two: logits also goes into norm_logits directly.": largest * dmaxes,
        "hands the maximum's gradient to the whole row: only the entry that was the maximum gets it.": up + dmaxes,
        "finds the maximum of each column: it was taken over each row, dimension 1.": up
        + dmaxes * F.one_hot(logits.argmax(0), s.N).double().T,
        "overwrites the largest entry: the second branch is added to the first.": torch.where(largest == 1, dmaxes, up),
    }
    want = autograd(logits, lambda t: (up * t).sum() + (dmaxes * t.max(1, keepdim=True).values).sum())
    grade("dlogits", d_logits, want, mistakes, dnorm_logits=up, dlogit_maxes=dmaxes, logits=logits)
    return "the loss is behind you."


# --- exercise 1, the second layer -----


@task("Exercise 1.09 (dh)", "write `d_h`")
@each_size
def ex1_09(d_h, s):
    up, h, W2 = randn(s.N, s.V), randn(s.N, s.H), randn(s.H, s.V)
    mistakes = {
        "is transposed: (N, V) @ (V, H) has the shape of h.": W2 @ up.T,
        "is a mean over the vocabulary: the contributions of all logits add up.": up @ W2.T / s.V,
        "ignores dlogits: multiply it with W2.T.": W2.sum(1).expand(s.N, s.H),
    }
    grade("dh", d_h, autograd(h, lambda t: up * (t @ W2)), mistakes, dlogits=up, W2=W2)


@task("Exercise 1.10 (dW2)", "write `d_W2`")
@each_size
def ex1_10(d_W2, s):
    up, h, W2 = randn(s.N, s.V), randn(s.N, s.H), randn(s.H, s.V)
    mistakes = {
        "is transposed: it must have the shape of W2, (H, V).": up.T @ h,
        "is averaged over the batch: the loss's mean is in dlogits already, examples add up.": h.T @ up / s.N,
        "multiplies the sums: sum the products of each example.": h.sum(0)[:, None] * up.sum(0),
    }
    grade("dW2", d_W2, autograd(W2, lambda t: up * (h @ t)), mistakes, dlogits=up, h=h)


def bias(what: str, function, up: torch.Tensor, argument: str, keepdim: bool = False) -> None:
    """The gradient of something that was added to every row: (C,) or, with keepdim, (1, C)."""
    width = up.shape[1]
    leaf = randn(1, width) if keepdim else randn(width)
    mistakes = {
        UNSUMMED: up,
        "is averaged over the batch: the loss's mean is in what arrives already, rows add up.": up.mean(0, keepdim),
        "is summed over the columns: it was stretched along the rows, dimension 0.": up.sum(1, keepdim),
    }
    if keepdim:
        mistakes[KEEPDIM] = up.sum(0)
    else:
        mistakes["kept a dimension of size 1 that the bias does not have: sum without `keepdim`."] = up.sum(0, True)
    grade(what, function, autograd(leaf, lambda t: up * (torch.zeros_like(up) + t)), mistakes, **{argument: up})


@task("Exercise 1.11 (db2)", "write `d_b2`")
@each_size
def ex1_11(d_b2, s):
    bias("db2", d_b2, randn(s.N, s.V), "dlogits")


@task("Exercise 1.12 (dhpreact)", "write `d_hpreact`")
@each_size
def ex1_12(d_hpreact, s):
    up, preact = randn(s.N, s.H), randn(s.N, s.H)
    h = preact.tanh()
    mistakes = {
        "applies tanh twice: h already is the tanh.": up * (1 - h.tanh() ** 2),
        "lacks the square: the derivative of tanh is 1 - h².": up * (1 - h),
        "has h² where 1 - h² belongs: a saturated neuron passes nothing on.": up * h**2,
        "is the local derivative alone: multiply with dh.": 1 - h**2,
        "uses sigmoid's derivative, h (1 - h): that of tanh is 1 - h².": up * h * (1 - h),
    }
    grade("dhpreact", d_hpreact, autograd(preact, lambda t: up * t.tanh()), mistakes, dh=up, h=h)
    return "saturated neurons pass nothing on."


# --- exercise 1, BatchNorm -----


@task("Exercise 1.13 (dbngain)", "write `d_bngain`")
@each_size
def ex1_13(d_bngain, s):
    up, raw, gain = randn(s.N, s.H), randn(s.N, s.H), randn(1, s.H)
    mistakes = {
        UNSUMMED: up * raw,
        KEEPDIM: (up * raw).sum(0),
        "is summed over the columns: bngain was stretched along the rows, dimension 0.": (up * raw).sum(1, True),
        "is averaged over the batch: the rows add up.": (up * raw).mean(0, True),
        "lacks the factor bnraw.": up.sum(0, True),
    }
    grade("dbngain", d_bngain, autograd(gain, lambda t: up * (t * raw)), mistakes, dhpreact=up, bnraw=raw)


@task("Exercise 1.14 (dbnbias)", "write `d_bnbias`")
@each_size
def ex1_14(d_bnbias, s):
    bias("dbnbias", d_bnbias, randn(s.N, s.H), "dhpreact", keepdim=True)


@task("Exercise 1.15 (dbnraw)", "write `d_bnraw`")
@each_size
def ex1_15(d_bnraw, s):
    up, raw, gain = randn(s.N, s.H), randn(s.N, s.H), positive(1, s.H)
    mistakes = {
        "passes dhpreact on unchanged: the factor bngain is missing (in a fresh network it is 1).": up,
        "divides by bngain: the forward pass multiplies by it, and so does the backward.": up / gain,
        "is summed over the batch, but bnraw was not broadcast: each entry keeps its own.": (up * gain).sum(0, True),
    }
    grade("dbnraw", d_bnraw, autograd(raw, lambda t: up * (gain * t)), mistakes, dhpreact=up, bngain=gain)


@task("Exercise 1.16 (dbnvar_inv)", "write `d_bnvar_inv`")
@each_size
def ex1_16(d_bnvar_inv, s):
    up, diff, inverse = randn(s.N, s.H), randn(s.N, s.H), positive(1, s.H)
    mistakes = {
        UNSUMMED: up * diff,
        KEEPDIM: (up * diff).sum(0),
        "is summed over the columns: bnvar_inv was stretched along the rows, dimension 0.": (up * diff).sum(1, True),
        "is averaged over the batch: the rows add up.": (up * diff).mean(0, True),
        "lacks the factor bndiff.": up.sum(0, True),
    }
    want = autograd(inverse, lambda t: up * (diff * t))
    grade("dbnvar_inv", d_bnvar_inv, want, mistakes, dbnraw=up, bndiff=diff)


@task("Exercise 1.17 (dbnvar)", "write `d_bnvar`")
@each_size
def ex1_17(d_bnvar, s):
    up, var = randn(1, s.H), positive(1, s.H) * 1e-3  # small, so that epsilon counts
    mistakes = {
        "lacks epsilon: the forward pass computes (bnvar + 1e-5) ** -0.5.": -0.5 * up * var**-1.5,
        "lacks the factor 0.5 of the power rule.": -up * (var + EPS) ** -1.5,
        "has the exponent -0.5: the power rule lowers it by one, to -1.5.": -0.5 * up * (var + EPS) ** -0.5,
        "lost the minus of the power rule: the exponent -0.5 comes down as a factor.": 0.5 * up * (var + EPS) ** -1.5,
        "is the local derivative alone: multiply with dbnvar_inv.": -0.5 * (var + EPS) ** -1.5,
    }
    grade("dbnvar", d_bnvar, autograd(var, lambda t: up * (t + EPS) ** -0.5), mistakes, dbnvar_inv=up, bnvar=var)


@task("Exercise 1.18 (dbndiff2)", "write `d_bndiff2`")
@each_size
def ex1_18(d_bndiff2, s):
    up, diff2 = randn(1, s.H), positive(s.N, s.H)
    mistakes = {
        "is divided by n: this variance divides by n - 1.": (up / s.N).expand(s.N, s.H),
        "lacks the factor 1 / (n - 1).": up.expand(s.N, s.H),
        "still has the shape of bnvar: what was summed forward is broadcast backward.": up / (s.N - 1),
        "is multiplied by bndiff2: the derivative of a sum in one of its terms is 1.": up / (s.N - 1) * diff2,
    }
    want = autograd(diff2, lambda t: up * t.sum(0, keepdim=True) / (len(t) - 1))
    grade("dbndiff2", d_bndiff2, want, mistakes, dbnvar=up, bndiff2=diff2)


@task("Exercise 1.19 (dbndiff)", "write `d_bndiff`")
@each_size
def ex1_19(d_bndiff, s):
    draw, inverse, dsquare, diff = randn(s.N, s.H), positive(1, s.H), randn(s.N, s.H), randn(s.N, s.H)
    mistakes = {
        "has one branch of two: bndiff is also squared on its way to the variance.": draw * inverse,
        "has one branch of two: bndiff also goes into bnraw directly.": 2 * diff * dsquare,
        "lacks the factor 2 of the square's derivative.": draw * inverse + diff * dsquare,
        "lacks the factor bndiff in the second branch: the derivative of x² is 2x.": draw * inverse + 2 * dsquare,
        "lacks the factor bnvar_inv in its first branch.": draw + 2 * diff * dsquare,
    }
    want = autograd(diff, lambda t: draw * (t * inverse) + dsquare * t**2)
    grade("dbndiff", d_bndiff, want, mistakes, dbnraw=draw, bnvar_inv=inverse, dbndiff2=dsquare, bndiff=diff)
    return "both branches are in."


@task("Exercise 1.20 (dbnmeani)", "write `d_bnmeani`")
@each_size
def ex1_20(d_bnmeani, s):
    up, pre, mean = randn(s.N, s.H), randn(s.N, s.H), randn(1, s.H)
    mistakes = {
        "lost the minus: the mean is subtracted.": up.sum(0, True),
        UNSUMMED: -up,
        KEEPDIM: -up.sum(0),
        "is divided by n too early: that factor belongs to the next step.": -up.mean(0, True),
        "is summed over the columns: the mean was stretched along the rows, dimension 0.": -up.sum(1, True),
    }
    grade("dbnmeani", d_bnmeani, autograd(mean, lambda t: up * (pre - t)), mistakes, dbndiff=up)


@task("Exercise 1.21 (dhprebn)", "write `d_hprebn`")
@each_size
def ex1_21(d_hprebn, s):
    up, dmean, pre = randn(s.N, s.H), randn(1, s.H), randn(s.N, s.H)
    mistakes = {
        "has one branch of two: hprebn also goes into the mean.": up,
        "has one branch of two: hprebn also goes into bndiff directly.": (dmean / s.N).expand(s.N, s.H),
        "lacks the factor 1 / n in the mean's branch.": up + dmean,
        "divides by n - 1: that is the variance's divisor, the mean's is n.": up + dmean / (s.N - 1),
        "subtracts the mean's branch: the minus is in dbnmeani already.": up - dmean / s.N,
    }
    want = autograd(pre, lambda t: (up * t).sum() + (dmean * t.sum(0, keepdim=True) / len(t)).sum())
    grade("dhprebn", d_hprebn, want, mistakes, dbndiff=up, dbnmeani=dmean)
    return "BatchNorm is behind you."


# --- exercise 1, the first layer -----


@task("Exercise 1.22 (dembcat)", "write `d_embcat`")
@each_size
def ex1_22(d_embcat, s):
    up, cat, W1 = randn(s.N, s.H), randn(s.N, s.T * s.E), randn(s.T * s.E, s.H)
    mistakes = {
        "is transposed: (N, H) @ (H, 3E) has the shape of embcat.": W1 @ up.T,
        "is a mean over the hidden neurons: their contributions add up.": up @ W1.T / s.H,
        "ignores dhprebn: multiply it with W1.T.": W1.sum(1).expand(s.N, s.T * s.E),
    }
    grade("dembcat", d_embcat, autograd(cat, lambda t: up * (t @ W1)), mistakes, dhprebn=up, W1=W1)


@task("Exercise 1.23 (dW1)", "write `d_W1`")
@each_size
def ex1_23(d_W1, s):
    up, cat, W1 = randn(s.N, s.H), randn(s.N, s.T * s.E), randn(s.T * s.E, s.H)
    mistakes = {
        "is transposed: it must have the shape of W1, (3E, H).": up.T @ cat,
        "is averaged over the batch: the loss's mean is in dhprebn already, examples add up.": cat.T @ up / s.N,
        "multiplies the sums: sum the products of each example.": cat.sum(0)[:, None] * up.sum(0),
    }
    grade("dW1", d_W1, autograd(W1, lambda t: up * (cat @ t)), mistakes, dhprebn=up, embcat=cat)


@task("Exercise 1.24 (db1)", "write `d_b1`")
@each_size
def ex1_24(d_b1, s):
    bias("db1", d_b1, randn(s.N, s.H), "dhprebn")
    return "in the whole network it is zero up to rounding: BatchNorm subtracts every bias."


@task("Exercise 1.25 (demb)", "write `d_emb`")
@each_size
def ex1_25(d_emb, s):
    up, emb = randn(s.N, s.T * s.E), randn(s.N, s.T, s.E)
    mistakes = {
        "still has the shape of embcat: undo the view.": up,
        "has context and embedding exchanged: embcat lays whole rows of E numbers side by side.": up.view(
            s.N, s.E, s.T
        ),
        "is cut in the wrong order: the first E numbers of a row belong to the first character.": up.view(
            s.N, s.E, s.T
        ).transpose(1, 2),
        "is multiplied by emb: a view has no factor.": up.view_as(emb) * emb,
    }
    grade("demb", d_emb, autograd(emb, lambda t: up * t.view(len(t), -1)), mistakes, dembcat=up, emb=emb)


@task("Exercise 1.26 (dC)", "write `d_C`")
@each_size
def ex1_26(d_C, s):
    demb, C = randn(s.N, s.T, s.E), randn(s.V, s.E)
    x = torch.randint(s.V - 1, (s.N, s.T))  # the last row is never used
    x[0, 0] = x[1, 1] = x[2, 0] = 0  # and row 0 several times
    want = autograd(C, lambda t, x=x, demb=demb: demb * t[x])
    once, last = torch.zeros_like(C), torch.zeros_like(C)
    once[x] += demb
    last[x] = demb
    uses = torch.bincount(x.flatten(), minlength=s.V)[:, None]
    mistakes = {
        "counts a character that occurs several times once: `dC[x] += demb` writes each row once. Add all, with "
        "`index_add_` or a loop.": once,
        "is overwritten: a character that occurs several times keeps its last gradient only. Add them all.": last,
        "is averaged over a character's occurrences: they add up.": want / uses.clamp(min=1),
        "still has the shape of emb: add its rows into the rows of C.": demb,
    }
    got = call(d_C, demb=demb, x=x, C=C)
    if isinstance(got, torch.Tensor) and got.shape == C.shape and torch.allclose(got, C + want):
        wrong("dC starts from C itself: start from zeros.")
    tensor("dC", got, want, mistakes)
    return "26 of 26."


# --- exercises 2 and 3: condensed -----


@task("Exercise 2 (cross entropy in one expression)", "write `cross_entropy_backward`")
@each_size
def ex2(cross_entropy_backward, s):
    for shift in (0, 1000):
        logits, y = randn(s.N, s.V), torch.randint(s.V, (s.N,))
        logits[0] += shift
        p, onehot = logits.softmax(1), F.one_hot(y, s.V).double()
        got = call(cross_entropy_backward, logits=logits, y=y)
        if shift and isinstance(got, torch.Tensor) and got.isnan().any():
            wrong("dlogits holds nan for large logits, exp overflows: use softmax, or subtract each row's maximum.")
        mistakes = {
            "lacks the mean: divide by n.": p - onehot,
            "has the wrong sign: probabilities minus one-hot.": (onehot - p) / s.N,
            "normalises over the batch: softmax runs along each row, dimension 1.": (logits.softmax(0) - onehot) / s.N,
            "lacks the one-hot: the right answer's probability minus 1.": p / s.N,
            "is divided by the vocabulary: the mean runs over the n examples.": (p - onehot) / s.V,
            "subtracts 1 after dividing by n: both parts are divided.": p / s.N - onehot,
        }
        tensor("dlogits", got, autograd(logits, lambda t, y=y: F.cross_entropy(t, y)), mistakes)
    return "eight steps in one."


@task("Exercise 3 (BatchNorm in one expression)", "write `batchnorm_backward`")
@each_size
def ex3(batchnorm_backward, s):
    up, gain, pre, b = randn(s.N, s.H), positive(1, s.H), 3 * randn(s.N, s.H) + 1, randn(1, s.H)
    n, inverse = s.N, (pre.var(0, keepdim=True) + EPS) ** -0.5
    raw = (pre - pre.mean(0, keepdim=True)) * inverse

    def forward(t):
        return up * (gain * (t - t.mean(0, keepdim=True)) / (t.var(0, keepdim=True) + EPS).sqrt() + b)

    g = up * gain
    shift, stretch = g.mean(0), raw * (g * raw).sum(0)
    mistakes = {
        "divides the last term by n: this variance divides by n - 1.": inverse * (g - shift - stretch / n),
        "lacks the mean's term: hprebn also goes into the mean.": inverse * (g - stretch / (n - 1)),
        "lacks the variance's term: hprebn also goes into the variance.": inverse * (g - shift),
        "has neither the mean's nor the variance's term.": inverse * g,
        "lacks the factor bngain.": inverse * (g - shift - stretch / (n - 1)) / gain,
        "lacks the factor bnvar_inv.": g - shift - stretch / (n - 1),
        "divides by bnvar_inv: multiply.": (g - shift - stretch / (n - 1)) / inverse,
        "has a sum where the mean belongs.": inverse * (g - n * shift - stretch / (n - 1)),
        "adds the variance's term: both are subtracted.": inverse * (g - shift + stretch / (n - 1)),
    }
    want = autograd(pre, forward)
    grade("dhprebn", batchnorm_backward, want, mistakes, dhpreact=up, bngain=gain, bnraw=raw, bnvar_inv=inverse)
    return "seven steps in one, and orthogonal to shift and stretch."


# --- exercise 4: training -----

ORDER = ("C", "W1", "bngain", "bnbias", "W2", "b2")


def parameters(s: SimpleNamespace) -> dict[str, torch.Tensor]:
    shapes = ((s.V, s.E), (s.T * s.E, s.H), (s.H,), (s.H,), (s.H, s.V), (s.V,))
    return {name: 0.5 * randn(*shape) + (name == "bngain") for name, shape in zip(ORDER, shapes, strict=True)}


def loss_of(P: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The network of exercise 4, by PyTorch's own functions."""
    hpreact = F.batch_norm(P["C"][x].flatten(1) @ P["W1"], None, None, P["bngain"], P["bnbias"], training=True, eps=EPS)
    return F.cross_entropy(hpreact.tanh() @ P["W2"] + P["b2"], y)


def by_autograd(P: dict, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict]:
    leaves = {name: p.detach().clone().requires_grad_() for name, p in P.items()}
    with torch.enable_grad():
        loss = loss_of(leaves, x, y)
        grads = torch.autograd.grad(loss, list(leaves.values()))
    return loss.detach(), dict(zip(leaves, grads, strict=True))


AUTOGRAD = "autograd did the work: this exercise wants every gradient from your own lines, without `requires_grad`."


def _untouched_by_autograd(P: dict) -> None:
    if any(p.requires_grad or p.grad is not None for p in P.values()):
        wrong(AUTOGRAD)


@task("Exercise 4 (all gradients)", "write `gradients`")
@each_size
def ex4(gradients, s):
    P, x, y = parameters(s), torch.randint(s.V, (s.N + 4, s.T)), torch.randint(s.V, (s.N + 4,))
    before = {name: p.clone() for name, p in P.items()}
    want_loss, want = by_autograd(P, x, y)
    try:
        with torch.no_grad():  # so a gradient can only come from the learner's own lines
            answer = gradients(P, x, y)
    except RuntimeError as problem:
        if "does not require grad" in str(problem):
            wrong(AUTOGRAD)
        raise
    _untouched_by_autograd(P)
    for name, p in before.items():
        if not torch.equal(P[name], p):
            wrong(f"your function changed P[{name!r}]: it returns gradients, the loop updates.")
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], dict):
        wrong("return two things: the loss, and a dictionary {name of the parameter: its gradient}.")
    loss, got = answer
    pre = P["C"][x].flatten(1) @ P["W1"]
    raw = (pre - pre.mean(0)) / (pre.var(0) + EPS).sqrt()
    bessel = F.cross_entropy((P["bngain"] * raw + P["bnbias"]).tanh() @ P["W2"] + P["b2"], y)
    usual = {
        "the loss comes from a variance divided by n - 1, torch's default: this network's is divided by n.": bessel,
        "the loss is the sum over the examples: it should be their mean.": want_loss * len(y),
    }
    same("the loss", loss, want_loss, usual, rtol=1e-9)
    missing = set(want) - set(got)
    if missing:
        wrong(f"there is no gradient for {', '.join(sorted(missing))}.")
    for name in reversed(ORDER):  # from the loss upwards: the first that is off is where to look
        n = len(y)
        mistakes = {"is n times too large: the loss is a mean.": want[name] * n}
        if name == "C":
            mistakes |= _once(P, x, y)
        if name in ("W1", "C"):
            mistakes |= _other_batchnorms(name, P, x, y)
        tensor(f"the gradient of {name}", got[name], want[name], mistakes)
    return "six parameters, equal to autograd."


def _once(P: dict, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """The embedding's gradient with `+=` in place of `index_add_`."""
    emb = P["C"][x]
    demb = autograd(emb, lambda t: loss_of({**P, "C": t.flatten(0, 1)}, torch.arange(x.numel()).view_as(x), y))
    once = torch.zeros_like(P["C"])
    once[x] += demb
    return {"counts a repeated character once: `dC[x] += demb` does not accumulate, `index_add_` does.": once}


def _other_batchnorms(name: str, P: dict, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients upwards of BatchNorm when its backward pass makes a known mistake."""
    n, embcat = len(x), P["C"][x].flatten(1)
    pre = embcat @ P["W1"]
    raw, inverse = F.batch_norm(pre, None, None, training=True, eps=EPS), (pre.var(0, correction=0) + EPS) ** -0.5
    g = (
        autograd(raw, lambda t: F.cross_entropy((t * P["bngain"] + P["bnbias"]).tanh() @ P["W2"] + P["b2"], y))
        * inverse
    )
    shift, stretch = g.mean(0), raw * (g * raw).sum(0)
    variants = {
        "divides BatchNorm's last term by n - 1: this network's variance divides by n.": g - shift - stretch / (n - 1),
        "comes from a BatchNorm without the variance's term.": g - shift,
        "comes from a BatchNorm without the mean's and the variance's terms.": g,
    }
    if name == "W1":
        return {sentence: embcat.T @ dpre for sentence, dpre in variants.items()}
    into = lambda dpre: torch.zeros_like(P["C"]).index_add_(0, x.flatten(), (dpre @ P["W1"].T).reshape(x.numel(), -1))
    return {sentence: into(dpre) for sentence, dpre in variants.items()}


@task("Exercise 4 (the training loop)", "write `train_by_hand`")
def ex4_train(train_by_hand):
    s, steps, batch, rate = SIZES[0], 60, 16, 0.07
    # Few examples: 60 batches with replacement meet all of them, and hold some twice.
    code = torch.randperm(s.V**s.T)[:20]
    P, X = parameters(s), torch.stack([code // s.V**t % s.V for t in range(s.T)], dim=1)  # 20 different rows
    Y = (X.sum(1) + X[:, 0]) % s.V  # learnable
    start, seen, ids = {name: p.clone() for name, p in P.items()}, [], {name: id(p) for name, p in P.items()}
    where = {tuple(row): answer for row, answer in zip(X.tolist(), Y.tolist(), strict=True)}

    def gradients(P, x, y):
        if x.shape != (batch, s.T) or y.shape != (batch,):
            wrong(f"a batch holds {batch} examples: x should be {(batch, s.T)} and y {(batch,)}, but they are "
                  f"{tuple(x.shape)} and {tuple(y.shape)}.")  # fmt: skip
        if [where.get(tuple(row)) for row in x.tolist()] != y.tolist():
            wrong("x and y of a batch do not belong together: draw one set of indices, and use it for both.")
        loss, grads = by_autograd(P, x, y)
        seen.append((x.clone(), {name: p.clone() for name, p in P.items()}, loss, grads))
        return loss.clone(), {name: grad.clone() for name, grad in grads.items()}

    losses = train_by_hand(P, X, Y, gradients, steps=steps, batch=batch, rate=rate)
    _untouched_by_autograd(P)
    if len(seen) != steps:
        wrong(f"`gradients` should be called once a step, {steps} times, but it was called {len(seen)} times.")
    if all(torch.equal(P[name], start[name]) for name in P):
        wrong(
            "the parameters have not changed: update them in place, `P[name] -= ...`; a new tensor elsewhere is lost."
        )
    if sum(torch.equal(x, seen[0][0]) for x, *_ in seen) > steps // 2:
        wrong("every step sees the same batch: draw a new one inside the loop.")
    drawn = [{tuple(row) for row in x.tolist()} for x, *_ in seen]
    if all(len(rows) == batch for rows in drawn):
        wrong("no batch holds an example twice: draw with replacement, each index by itself.")
    if set.union(*drawn) != set(where):
        wrong("some examples are never drawn: each index, from the first to the last, must be possible.")
    _, start_P, first_loss, first_grads = seen[0]
    snapshots = [values for _, values, *_ in seen] + [P]  # before each step, and after the last
    moved = {name: snapshots[1][name] - start_P[name] for name in ORDER}
    for name, step in moved.items():
        same(
            f"the first step of {name}",
            step,
            -rate * first_grads[name],
            {
                "the steps go uphill: subtract the gradient.": rate * first_grads[name],
                f"{name} is not updated.": torch.zeros_like(step),
                "the learning rate is missing: step by rate times the gradient.": -first_grads[name],
                "the gradient is divided by the batch once more: the loss is a mean already.": -rate
                * first_grads[name]
                / batch,
            },
            rtol=1e-8,
            atol=1e-12,
        )
    if losses is None:
        wrong("return the losses of all steps, a list.")
    if len(losses) != steps:
        wrong(f"return the losses of all {steps} steps, but there are {len(losses)}.")
    same("the first loss", losses[0], first_loss, rtol=1e-8)
    for number in range(1, steps):
        for name in ORDER:
            step = snapshots[number + 1][name] - snapshots[number][name]
            same(f"step {number + 1} of {name}", step, -rate * seen[number][3][name], rtol=1e-8, atol=1e-12)
        same(f"loss number {number + 1}", losses[number], seen[number][2], rtol=1e-8)
    if any(id(P[name]) != ids[name] for name in P):
        wrong("P holds new tensors now: update in place, so that views of the parameters see the change.")
    return f"{steps} steps, each against its gradient."


# --- extra -----


@task("Extra (softmax)", "write `softmax_backward`")
def extra_softmax(softmax_backward):
    for shape in ((5, 7), (2, 4, 6)):
        up, z = randn(*shape), randn(*shape)
        p = z.softmax(-1)
        dot = (up * p).sum(-1, keepdim=True)
        mistakes = {
            "has the diagonal only, p (1 - p): every logit moves every probability of its row.": up * p * (1 - p),
            "lacks the shared sum's term: subtract the row's average of dprobs, weighted with probs.": up * p,
            "subtracts a plain mean of the row: it is weighted with probs.": p * (up - up.mean(-1, keepdim=True)),
            "lacks the factor probs in front.": up - dot,
            "sums over the wrong dimension: softmax runs along the last.": p * (up - (up * p).sum(0, keepdim=True)),
            "adds the sum: subtract it.": p * (up + dot),
        }
        grade(
            "dlogits", softmax_backward, autograd(z, lambda t, up=up: up * t.softmax(-1)), mistakes, dprobs=up, probs=p
        )


def several(function, names: list[str], wants, mistakes: dict[str, dict], **inputs) -> None:
    """Grade a function that returns a gradient for each of `names`."""
    answer = call(function, **inputs)
    if not isinstance(answer, tuple | list) or len(answer) != len(names):
        wrong(f"return {len(names)} tensors: {', '.join(names)}.")
    for name, got, want in zip(names, answer, wants, strict=True):
        tensor(name, got, want, mistakes.get(name, {}))


@task("Extra (LayerNorm)", "write `layernorm_backward`")
@each_size
def extra_layernorm(layernorm_backward, s):
    x, up, gain, b = 2 * randn(s.N, s.H) + 1, randn(s.N, s.H), positive(s.H), randn(s.H)
    leaves = [t.clone().requires_grad_() for t in (x, gain, b)]
    out = F.layer_norm(leaves[0], (s.H,), leaves[1], leaves[2], eps=EPS)
    wants = torch.autograd.grad((up * out).sum(), leaves)
    inverse = (x.var(1, correction=0, keepdim=True) + EPS) ** -0.5
    raw = (x - x.mean(1, keepdim=True)) * inverse
    g = up * gain
    stretch = raw * (g * raw).sum(1, keepdim=True)
    mean = lambda t: t.mean(1, keepdim=True)
    mistakes = {
        "dx": {
            "takes its means over the batch: LayerNorm's run over the features of each row.": inverse
            * (g - g.mean(0) - raw * (g * raw).mean(0)),
            "lacks the variance's term.": inverse * (g - mean(g)),
            "lacks the mean's term.": inverse * (g - stretch / s.H),
            "divides the variance's term by n - 1: LayerNorm's variance divides by n.": inverse
            * (g - mean(g) - stretch / (s.H - 1)),
            "lacks the factor gain inside the sums.": inverse * (up - mean(up) - raw * mean(up * raw)),
            "multiplies with gain after the sums: it varies along the row, so it belongs inside.": gain
            * inverse
            * (up - mean(up) - raw * mean(up * raw)),
        },
        "dgain": {
            UNSUMMED: up * raw,
            "uses x instead of the normalised x.": (up * x).sum(0),
            "is averaged over the rows: they add up.": (up * raw).mean(0),
        },
        "dbias": {UNSUMMED: up, "is averaged over the rows: they add up.": up.mean(0)},
    }
    several(layernorm_backward, ["dx", "dgain", "dbias"], wants, mistakes, dy=up, x=x, gain=gain)
    return "BatchNorm's formula, turned by 90 degrees."


@task("Extra (attention)", "write `attention_backward`")
def extra_attention(attention_backward):
    for B, T, D in ((2, 5, 3), (3, 4, 7)):
        q, k, v, up = (randn(B, T, D) for _ in range(4))
        leaves = [t.clone().requires_grad_() for t in (q, k, v)]
        mask = torch.ones(T, T, dtype=torch.bool).tril()
        out = ((leaves[0] @ leaves[1].mT / D**0.5).masked_fill(~mask, -torch.inf)).softmax(-1) @ leaves[2]
        wants = torch.autograd.grad((up * out).sum(), leaves)
        p = (q @ k.mT / D**0.5).masked_fill(~mask, -torch.inf).softmax(-1)
        dp = up @ v.mT
        ds = p * (dp - (dp * p).sum(-1, keepdim=True))
        open_p = (q @ k.mT / D**0.5).softmax(-1)
        open_ds = open_p * (dp - (dp * open_p).sum(-1, keepdim=True))
        scale = D**-0.5
        mistakes = {
            "dq": {
                "lacks 1/sqrt(D): the scores' scale is a factor in the backward pass as well.": ds @ k,
                "skips the softmax's backward pass: dscores is not dweights.": scale * dp @ k,
                "has the softmax's diagonal only.": scale * (p * dp) @ k,
                "looks into the future: the forward pass masks later positions.": scale * open_ds @ k,
            },
            "dk": {
                "has dscores not transposed: row j collects from all queries that looked at key j.": scale * ds @ q,
                "lacks 1/sqrt(D): the scores' scale is a factor in the backward pass as well.": ds.mT @ q,
            },
            "dv": {
                "has the weights not transposed: row j collects from all that looked at position j.": p @ up,
                "looks into the future: the forward pass masks later positions.": open_p.mT @ up,
            },
        }
        several(attention_backward, ["dq", "dk", "dv"], wants, mistakes, dout=up, q=q, k=k, v=v)
    return "every attention kernel computes these three."


# --- the table of results -----

NAMES = [
    "logprobs",
    "probs",
    "counts_sum_inv",
    "counts_sum",
    "counts",
    "norm_logits",
    "logit_maxes",
    "logits",
    "h",
    "W2",
    "b2",
    "hpreact",
    "bngain",
    "bnbias",
    "bnraw",
    "bnvar_inv",
    "bnvar",
    "bndiff2",
    "bndiff",
    "bnmeani",
    "hprebn",
    "embcat",
    "W1",
    "b1",
    "emb",
    "C",
]


def table(v: SimpleNamespace, answers: dict) -> None:
    """Run every `d_...` of the learner on the real network and print exact, approximate, and the largest difference.

    v: the values of a forward pass, each with the gradient that autograd found in `.grad`; also x and y.
    answers: the page's `globals()`. The names of a function's arguments say what it gets: `h` a value, `dh` a gradient.
    """
    print(f"{'task':6}{'gradient':18}{'exact':8}{'approximate':13}largest difference")
    for number, name in enumerate(NAMES, 1):
        head = f"1.{number:02}  d{name:17}"
        try:
            function = answers[f"d_{name}"]
            ours = function(*(_value(v, argument) for argument in inspect.signature(function).parameters))
            theirs = getattr(v, name).grad
            if ours.shape != theirs.shape:
                print(f"{head}shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}")
                continue
            close = torch.allclose(ours, theirs, rtol=1e-8, atol=1e-12)
            print(f"{head}{torch.equal(ours, theirs)!s:8}{close!s:13}{(ours - theirs).abs().max():.0e}")
        except (KeyError, NotImplementedError):
            print(f"{head}to do")
        except Exception as problem:
            print(f"{head}stopped with {type(problem).__name__}: {problem}")


def _value(v: SimpleNamespace, argument: str) -> torch.Tensor:
    if hasattr(v, argument):
        return getattr(v, argument).detach().clone()
    if argument.startswith("d") and hasattr(v, argument[1:]):
        return getattr(v, argument[1:]).grad.clone()
    raise TypeError(f"there is no value called {argument!r} in this network")
