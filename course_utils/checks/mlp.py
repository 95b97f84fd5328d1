"""The checks of exercises/03_makemore_mlp.ipynb."""

import math
import random
import string
import time
from collections.abc import Callable
from unittest import mock

import torch
import torch.nn.functional as F

from course_utils.lectures.names import build_dataset, load_names, split_words

from . import same, task, wrong

TO_BEAT = 2.2  # nats a character, lecture 3 of "makemore"
SECONDS = 20  # for fitting
CONTEXT = 8  # characters that a model of this page is given

# --- X01: windows -----------------------------------------------------------------------------------------------------


@task("X01", "write `windows`")
def x01(windows):
    def unfold(*_, **__):
        wrong("`unfold` does all of the task: build the view yourself, with `torch.as_strided`.")

    storage = torch.randint(0, 1000, (300,))  # so long that a view which runs past its text still finds numbers
    table = torch.randint(0, 1000, (12, 5))
    texts = {
        "a slice, as in text[7:30]": storage[7:30],
        "every second character, as in text[::2]": storage[4:40:2],
        "a column of a table": table[:, 3],
        "a whole text": torch.randint(0, 1000, (15,)),
    }
    for name, ids in texts.items():
        for size in (4, 1, 6):
            kept, rows = ids.clone(), len(ids) - size + 1
            with mock.patch.object(torch.Tensor, "unfold", unfold):
                got = windows(ids, size)
            if not isinstance(got, torch.Tensor):
                wrong(f"windows should return a tensor, but it returned a {type(got).__name__}.")
            if not torch.equal(ids, kept):
                wrong("your function changed the text that it was given.")
            shape = tuple(got.shape)
            if shape == (size, rows) and shape != (rows, size):
                wrong("the windows lie in columns: row i should be window i.")
            for excess, said in (
                (1, "one window too many: its last number is not in `ids`, only in the storage around it."),
                (-1, "one window is missing: T characters have T - size + 1 windows."),
                (size - 1, "the last windows run past the end of `ids`: T characters have T - size + 1 full windows."),
            ):
                if excess and shape == (rows + excess, size):
                    wrong(f"{name}: {said}")
            want = torch.stack([ids[i : i + size] for i in range(rows)])
            base, step = ids.storage_offset(), ids.stride(0)
            flat = ids.untyped_storage().nbytes() // ids.element_size()
            seen = torch.as_strided(ids, (flat,), (1,), 0)
            at = torch.arange(rows)[:, None], torch.arange(size)[None, :]
            walk = lambda start, down, right, at=at, seen=seen: seen[
                (start + at[0] * down + at[1] * right).clamp(max=len(seen) - 1)
            ]
            mistakes = {
                "the view begins at the start of the storage, not at the start of `ids`: leave the offset away, or "
                "pass `ids.storage_offset()`.": walk(0, step, step),
                "your strides are those of numbers that lie next to each other: ask `ids.stride(0)` how far apart "
                "they are.": walk(base, 1, 1),
                "the windows do not overlap: the next window begins one character on, not `size`.": walk(
                    base, size * step, step
                ),
                "the step from window to window ignores the stride of `ids`.": walk(base, 1, step),
                "the step inside a window ignores the stride of `ids`.": walk(base, step, 1),
                "each window is read from right to left.": want.flip(1),
            }
            same(f"the table of windows of {name}", got, want, mistakes)
            if got.untyped_storage().data_ptr() != ids.untyped_storage().data_ptr():
                wrong("right numbers, but in a storage of their own: that is a copy. A view costs no memory.")
    return "views of slices, of every second character and of columns, nothing copied."


# --- E01a: the mean loss ----------------------------------------------------------------------------------------------


class _Table:
    """A model that looks up the last character of a context, and remembers how it was called."""

    def __init__(self, log_p: torch.Tensor):
        self.log_p, self.sizes = log_p, []

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        if not isinstance(X, torch.Tensor) or X.dim() != 2:
            wrong("call the model with contexts of shape (n, block), several rows of X at a time.")
        if torch.is_grad_enabled():
            wrong("gradients are on while the model runs, so it keeps what backward would need: use `torch.no_grad()`.")
        self.sizes.append(len(X))
        return self.log_p[X[:, -1]]


@task("E01a", "write `mean_loss`")
def e01a(mean_loss):
    V, N, batch = 11, 104, 20
    for _ in range(3):
        p = torch.rand(V, V) ** 2 + 1e-3
        p[:, 0] = 0  # a probability of exactly 0 is a probability
        log_p = (p / p.sum(1, keepdim=True)).log()
        X, Y = torch.randint(0, V, (N, 4)), torch.randint(1, V, (N,))
        Y[100:] = p[X[100:, -1], 1:].argmin(1) + 1  # the last, short batch is a hard one
        each = -log_p[X[:, -1], Y].double()
        kept, model = (X.clone(), Y.clone()), _Table(log_p)
        try:
            got = mean_loss(model, X, Y, batch)
        except ValueError as problem:
            wrong(
                f"you refused a model whose rows all sum to 1 (ValueError: {problem}). A row's sum runs over its V"
                " characters, dim 1, and adds up probabilities, the exponentials of what the model returns."
            )
        if not (torch.equal(X, kept[0]) and torch.equal(Y, kept[1])):
            wrong("your function changed the data that it was given.")
        if any(size > batch for size in model.sizes):
            wrong(f"the model got {max(model.sizes)} rows at once, with batch_size={batch}: feed it in batches.")
        if sum(model.sizes) < N:
            wrong(f"the model saw {sum(model.sizes)} of the {N} examples: the loss is the mean over all of them.")
        if isinstance(got, float) and math.isnan(got):
            wrong(
                "nan: some characters have the probability 0, whose logarithm is −inf, and 0 · −inf is nan. Pick the "
                "right character's log-probability with `gather` or `F.nll_loss`, and leave the others alone."
            )
        same(
            "the mean loss",
            got,
            each.mean().item(),
            {
                "that is the mean of the batches' means: the last batch is short, and its examples count too much.": (
                    torch.stack([part.mean() for part in each.split(batch)]).mean()
                ),
                "that is the sum over the examples: divide by their number.": each.sum(),
                "that is the sum divided by the number of batches: divide by the number of examples.": each.sum()
                / len(model.sizes),
                "the sign is turned round: a loss is the *negative* mean of the log-probabilities.": -each.mean(),
                "that is the mean probability, not the mean of -log p.": (-each).exp().mean(),
                "that is -log of the mean probability: take the logarithms first, then their mean.": (
                    -(-each).exp().mean().log()
                ),
                "each batch's mean counts as if the batch were full: the last one is short.": (
                    torch.stack([part.mean() for part in each.split(batch)]).sum() * batch / N
                ),
                "that is the loss of the last batch only.": each[100:].mean(),
                "that is in bits: use the natural logarithm.": each.mean() / math.log(2),
            },
            rtol=1e-5,
        )
    rounding = log_p + torch.linspace(-3e-5, 3e-5, V)[:, None]  # rows as float32 leaves them
    try:
        mean_loss(_Table(rounding), X, Y, batch)
    except ValueError:
        wrong("you refused a model whose rows sum to 1 but for rounding (3e-5): allow 0.001.")
    X, Y = torch.randint(1, V, (N, 4)), torch.randint(1, V, (N,))
    X[-2, -1] = 0  # the only example that looks up row 0
    ones = torch.ones(V)
    for name, sums in {
        "all its rows sum to 1.5": 1.5 * ones,
        "all its rows sum to 0.5": 0.5 * ones,
        "one context, near the end of X, has a sum of 1.3": torch.where(torch.arange(V) == 0, 1.3, 1.0),
        "one context, near the end of X, gets nan": torch.where(torch.arange(V) == 0, math.nan, 1.0),
    }.items():
        _must_refuse(mean_loss, name, log_p + sums.log()[:, None], X, Y, batch)
    X[:, -1] = torch.arange(N) % 2
    sums = torch.where(torch.arange(V) % 2 == 0, 1.3, 0.7)
    _must_refuse(mean_loss, "rows that sum to 1.3 and to 0.7, 1 on average", log_p + sums.log()[:, None], X, Y, batch)
    return "every example counts once, and a model that does not add up is refused."


def _must_refuse(mean_loss: Callable, name: str, log_p: torch.Tensor, X, Y, batch: int) -> None:
    try:
        loss = mean_loss(_Table(log_p), X, Y, batch)
    except ValueError as problem:
        if not str(problem).strip():
            wrong("your ValueError says nothing: give it a sentence, on what is wrong with the model.")
        return
    except AssertionError as problem:
        if type(problem) is AssertionError:
            wrong("an `assert` can be switched off (python -O): raise a ValueError with a sentence.")
        raise
    wrong(
        f"you gave a loss ({float(loss):.3f}) to a model that is none ({name}). Look at each row's sum, and raise a "
        "ValueError. F.cross_entropy would hide the mistake, since it makes the rows sum to 1 itself."
    )


# --- E01b: beat the published loss ------------------------------------------------------------------------------------


@task("E01b", "write `fit`")
def e01b(fit):
    letters = list(string.ascii_lowercase)
    random.shuffle(letters)
    renamed = str.maketrans(string.ascii_lowercase, "".join(letters))
    train_words, dev_words, _ = split_words(load_names())
    X, Y = build_dataset([word.translate(renamed) for word in train_words], CONTEXT)
    kept, wall, cpu = (X.clone(), Y.clone()), time.perf_counter(), time.process_time()
    model = fit(X, Y)
    seconds = min(time.perf_counter() - wall, time.process_time() - cpu)  # neither counts what other programs do
    if not (torch.equal(X, kept[0]) and torch.equal(Y, kept[1])):
        wrong("fit changed the examples that it was given.")
    if not callable(model):
        wrong(f"fit should return a model, something to call with contexts; it returned a {type(model).__name__}.")
    Xdev, Ydev = _shuffled(*build_dataset([word.translate(renamed) for word in dev_words], CONTEXT))
    first = _answer(model, Xdev[:64])
    if tuple(first.shape) != (64, 27):
        wrong(
            f"model(X) with X of shape (64, {CONTEXT}) should return (64, 27) log-probabilities, but it has "
            f"{tuple(first.shape)}."
        )
    if first.isnan().any():
        wrong("the model returns nan: was the learning rate too high?")
    alone = torch.cat([_answer(model, x) for x in Xdev[:8].split(1)])
    if not torch.allclose(alone, first[:8], rtol=1e-3, atol=1e-3):
        wrong(
            "a context's prediction changes with the other contexts in the batch, or from call to call: is something "
            "(BatchNorm, dropout) still in training mode, or did you normalise over the batch (dim 0)?"
        )
    log_p = torch.cat([_answer(model, x) for x in Xdev.split(8192)])  # (N, 27)
    _must_be_log_probabilities(log_p)
    loss = F.nll_loss(log_p, Ydev).item()
    if loss > math.log(27) + 0.1:
        Xreal, Yreal = _shuffled(*build_dataset(dev_words, CONTEXT))
        real = F.nll_loss(torch.cat([_answer(model, x) for x in Xreal.split(8192)]), Yreal).item()
        if real < math.log(27) - 0.1:
            wrong(
                f"your model speaks names as they are spelled (loss {real:.2f}), but the check had renamed the letters "
                f"of X and Y (loss {loss:.2f}): fit learned from other data than it was given. Does it use a global, "
                "such as Xtr or Xdev?"
            )
    if loss > math.log(27) - 0.1:
        wrong(f"the dev loss is {loss:.3f}; an even guess has {math.log(27):.3f}. Was the model trained?")
    if seconds > SECONDS:
        wrong(f"the dev loss is {loss:.3f}, but fitting took {seconds:.0f} s of {SECONDS} s.")
    if loss >= TO_BEAT:
        wrong(f"the dev loss is {loss:.4f}: not yet below {TO_BEAT}.")
    return f"dev loss {loss:.3f}, below {TO_BEAT}, on names with renamed letters."


def _shuffled(X: torch.Tensor, Y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In random order: row i + 1 of a data set in order shows the answer to row i."""
    order = torch.randperm(len(X))
    return X[order], Y[order]


def _answer(model, X: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out = model(X)
    if not isinstance(out, torch.Tensor):
        wrong(f"model(X) should return a tensor of log-probabilities, but it returned a {type(out).__name__}.")
    return out.detach().float().cpu()


def _must_be_log_probabilities(log_p: torch.Tensor) -> None:
    sums = log_p.exp().sum(1)
    if (sums - 1).abs().max() <= 1e-3:
        return
    if (log_p >= 0).all() and ((log_p.sum(1) - 1).abs() <= 1e-3).all():
        wrong("the model returns probabilities: return their logarithm.")
    worst = sums[(sums - 1).abs().argmax()].item()
    wrong(
        f"the model's probabilities do not sum to 1, in one row to {worst:.3g}: return log-probabilities, "
        "`logits.log_softmax(1)`."
    )


# --- E02a: the first loss ---------------------------------------------------------------------------------------------


def _spread_loss(V: int, std: float, kind: str = "normal") -> float:
    """The reference. The right answer is independent of the logits, so that their mean serves for its logit."""
    z = torch.randn(40_000, V, dtype=torch.double) if kind == "normal" else torch.rand(40_000, V, dtype=torch.double)
    z = z * std
    return (z.logsumexp(1) - z.mean(1)).mean().item()


@task("E02a", "write `uniform_loss` and `loss_of_random_logits`")
def e02a(uniform_loss, loss_of_random_logits):
    for V in (27, 2, 50_257):
        log = math.log(V)
        same(
            f"uniform_loss({V})",
            uniform_loss(V),
            log,
            {
                "that is the probability: the loss is its negative logarithm.": 1 / V,
                "the sign is turned round: ln(1/V) is negative, the loss is −ln(1/V).": -log,
                "that is in bits: cross entropy uses the natural logarithm.": math.log2(V),
                "that is the decimal logarithm: use the natural one.": math.log10(V),
                "that is the perplexity: the loss is its logarithm.": float(V),
                "that is the loss for 27 characters: use the argument V.": math.log(27),
            },
            rtol=1e-6,
        )
    for V, std in ((27, 0.0), (27, 14.0), (27, 1.0), (5, 3.0), (27, 200.0)):
        got = loss_of_random_logits(V, std)
        name = f"loss_of_random_logits({V}, {std})"
        want = _spread_loss(V, std)
        if got is not None and not torch.as_tensor(got).isfinite().all():
            wrong(
                f"{name} is {float(got)}: logits of ±{4 * std:.0f} are too large for exp. Use `F.cross_entropy` or "
                "`log_softmax`, which subtract the largest first."
            )
        same(
            name,
            got,
            want,
            {
                "you averaged the probabilities before taking the logarithm, which gives an even guess whatever the "
                "spread: take −log of each draw, then the mean.": math.log(V),
                "the spread is squared: `std * torch.randn(...)` has the standard deviation std.": _spread_loss(
                    V, std**2
                ),
                "the spread is the root of std: multiply by std itself.": _spread_loss(V, std**0.5),
                "std is not used: your logits have a standard deviation of 1.": _spread_loss(V, 1.0),
                "your logits are uniform numbers (torch.rand): take normal ones (torch.randn).": _spread_loss(
                    V, std, "uniform"
                ),
                "you took the largest logit for the right answer: the network knows nothing, so the answer is "
                "independent of the logits.": _favourite(V, std),
                "that is in bits: use the natural logarithm.": want / math.log(2),
                "that is the mean over V as well: sum over nothing but the draws.": want / V,
            },
            rtol=0.03,
            atol=0.002,
        )
    # the mean of two draws is off by a third and more; that ten of them come out right, no chance would do
    few = [(loss_of_random_logits(V, 14.0, 2), _spread_loss(V, 14.0)) for V in range(2, 12)]
    if all(math.isclose(float(got), want, rel_tol=0.1) for got, want in few):
        wrong("the number of draws changes nothing: simulate `draws` of them.")
    return f"ln 27 = {math.log(27):.4f}, and about {_spread_loss(27, 14.0):.0f} for logits that spread by 14."


def _favourite(V: int, std: float) -> float:
    z = std * torch.randn(20_000, V, dtype=torch.double)
    return (z.logsumexp(1) - z.max(1).values).mean().item()


# --- E02b: a start at ln V --------------------------------------------------------------------------------------------


@task("E02b", "write `init`")
def e02b(init):
    for V, block, dim, hidden in ((27, 3, 10, 200), (60, 8, 32, 300), (27, 3, 5, 64), (27, 3, 10, 2000)):
        X, Y = torch.randint(0, V, (3000, block)), torch.randint(0, V, (3000,))
        where = f"with V={V}, block={block}, dim={dim}, hidden={hidden}, "
        p = init(V, block, dim, hidden, torch.Generator().manual_seed(1))
        _parts(p, V, block, dim, hidden)
        with torch.no_grad():
            h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])  # (N, hidden)
            logits = h @ p["W2"] + p["b2"]
            _judge(p, h, F.cross_entropy(logits, Y).item(), logits.std().item(), math.log(V), where)
        again = init(V, block, dim, hidden, torch.Generator().manual_seed(1))
        other = init(V, block, dim, hidden, torch.Generator().manual_seed(2))
        if any(not torch.equal(p[name], again[name]) for name in p):
            wrong("the same generator gives different parameters: pass `generator=generator` to every torch.randn.")
        if torch.equal(p["C"], other["C"]) or torch.equal(p["W1"], other["W1"]):
            wrong("two different generators give the same C or W1: draw from the `generator` that you are given.")
    return "an even guess at the start, and a hidden layer that is awake."


def _parts(p, V: int, block: int, dim: int, hidden: int) -> None:
    shapes = {"C": (V, dim), "W1": (block * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    if not isinstance(p, dict) or set(p) != set(shapes):
        wrong(f"init should return a dictionary with the keys {', '.join(shapes)}.")
    for name, shape in shapes.items():
        if not isinstance(p[name], torch.Tensor) or tuple(p[name].shape) != shape:
            wrong(f"{name} should be a tensor of shape {shape}, but it is {getattr(p[name], 'shape', p[name])!r:.60}.")
        if not p[name].requires_grad:
            wrong(f"{name} does not ask for gradients: set `requires_grad`.")
        if not p[name].is_leaf:
            wrong(
                f"{name} is the result of a computation that gradients flow through, so an optimiser cannot move it: "
                "scale first, then call `requires_grad_()`."
            )


def _judge(p: dict, h: torch.Tensor, loss: float, spread: float, even: float, where: str) -> None:
    """Stop with a sentence when the hidden layer is dead or deaf, or the first loss is not that of an even guess."""
    if not math.isfinite(loss):
        wrong(f"{where}the first loss is {loss}: are the parameters filled (torch.empty is not)?")
    rms, beyond = h.square().mean().sqrt().item(), (h.abs() > 0.97).float().mean().item()
    if not any(t.any() for t in p.values()):
        wrong(
            f"every parameter is zero. The loss is ln {round(math.exp(even))}, but the hidden layer is dead, and no "
            "gradient reaches it."
        )
    if beyond >= 0.3:
        wrong(
            f"{where}{beyond:.0%} of the hidden activations are beyond ±0.97, saturated: each unit sums block * dim "
            "products, so divide W1 by the root of that number."
        )
    if rms < 0.25:
        wrong(
            f"{where}the hidden activations are nearly dead (root mean square {rms:.2g}, wanted 0.25 to 0.9): the "
            "first loss is the business of W2 and b2, so leave C and W1 their size."
        )
    if rms > 0.9:
        wrong(f"{where}the hidden activations are too large: root mean square {rms:.2g}, wanted 0.25 to 0.9.")
    if h.std(0).min() < 0.02:
        wrong(
            f"{where}a hidden unit says the same for every context: does b1 drown its input, or is C the same "
            "in all rows?"
        )
    if torch.pdist(h[:200].T).min() < 0.1:
        wrong(f"{where}two hidden units are copies of each other, and would stay so in training: draw W1 at random.")
    if abs(loss - even) > 0.02:
        wrong(
            f"{where}the first loss is {loss:.3f}, and an even guess has {even:.3f}: the logits spread by "
            f"{spread:.2g}, so make W2 (and b2) smaller. Each logit sums {h.shape[1]} products, one for each hidden "
            "unit."
        )


# --- E03a: direct connections -----------------------------------------------------------------------------------------


@task("E03a", "write `bengio_logits`")
def e03a(bengio_logits):
    # The first is square, so that a transposed matrix gives wrong numbers, which have a name, and no error of shapes.
    for V, block, m, h, n in ((6, 2, 3, 6, 5), (9, 3, 4, 7, 6), (5, 4, 2, 3, 4)):
        shapes = {"C": (V, m), "H": (h, block * m), "d": (h,), "U": (V, h), "W": (V, block * m), "b": (V,)}
        p = {name: torch.randn(shape, dtype=torch.double).requires_grad_() for name, shape in shapes.items()}
        kept = {name: t.detach().clone() for name, t in p.items()}
        X = torch.randint(0, V, (n, block))
        try:
            got = bengio_logits(p, X)
        except RuntimeError as problem:
            if "shape" not in str(problem):
                raise
            sizes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in p.items())
            wrong(
                f"shapes do not fit ({problem}), for {sizes}, X {tuple(X.shape)}. Is a matrix to be transposed, or is a"
                " size of another network written into your code?"
            )
        if any(not torch.equal(kept[name], p[name]) for name in kept):
            wrong(
                "your function changed the parameters in place: on what you were given, write `y = y + ...`, not "
                "`y += ...`."
            )
        C, H, d, U, W, b = p.values()
        x = F.embedding(X, C).reshape(n, -1)
        inner = F.linear(x, H, d)
        hidden = torch.tanh(inner)
        want = F.linear(hidden, U, b) + F.linear(x, W)
        direct = F.linear(x, W)
        tail = F.embedding(X.flip(1), C).reshape(n, -1)
        with torch.no_grad():
            mistakes = {
                "the direct connections W x are missing.": want - direct,
                "the output bias b is missing.": want - b,
                "the hidden bias d is missing.": F.linear(torch.tanh(inner - d), U, b) + direct,
                "the tanh is missing.": F.linear(inner, U, b) + direct,
                "that is a relu; equation (1) has tanh.": F.linear(inner.relu(), U, b) + direct,
                "the direct connections go through a tanh: add W x as it is.": F.linear(hidden, U, b) + direct.tanh(),
                "tanh is taken of H x only: the bias d belongs inside.": F.linear(torch.tanh(inner - d) + d, U, b)
                + direct,
                "the hidden layer's contribution is missing.": direct + b,
                "that is the probability: return the logits, before softmax.": want.softmax(1),
                "those are log-probabilities: return the logits, before softmax.": want.log_softmax(1),
                "the context is turned round: keep the order of X.": F.linear(torch.tanh(F.linear(tail, H, d)), U, b)
                + F.linear(tail, W),
                "the embeddings of each context are interleaved: flatten (block, m) in its order, one character after "
                "the other.": _from(F.embedding(X, C).transpose(1, 2).reshape(n, -1), H, d, U, W, b),
            }
            if h == block * m == V:
                mistakes["H is transposed: for rows x, the paper's H x is `x @ H.T`."] = (
                    F.linear(torch.tanh(x @ H + d), U, b) + direct
                )
                mistakes["U is transposed: for rows, the paper's U a is `a @ U.T`."] = hidden @ U + b + direct
                mistakes["W is transposed: for rows x, the paper's W x is `x @ W.T`."] = want - direct + x @ W
                mistakes["the matrices are transposed: for rows x, the paper's H x is `x @ H.T`."] = (
                    torch.tanh(x @ H + d) @ U + b + x @ W
                )
                mistakes["the direct connections read the hidden layer: W multiplies the embeddings x."] = (
                    want - direct + F.linear(hidden, W)
                )
            same("your table of logits", got, want, mistakes, rtol=1e-9, atol=1e-10)
        upstream = torch.randn(n, V, dtype=torch.double)
        if not got.requires_grad:
            wrong("the values are right, but no gradient flows back: something was detached.")
        slopes = torch.autograd.grad((got * upstream).sum(), list(p.values()), allow_unused=True)
        true = torch.autograd.grad((want * upstream).sum(), list(p.values()))
        for name, slope, reference in zip(p, slopes, true, strict=True):
            if slope is None:
                wrong(f"the values are right, but no gradient reaches {name}: something was detached.")
            same(f"the gradient in {name}", slope, reference, rtol=1e-8, atol=1e-10)
    return "equation (1) of Bengio et al. (2003), gradients included."


def _from(x, H, d, U, W, b) -> torch.Tensor:
    return F.linear(torch.tanh(F.linear(x, H, d)), U, b) + F.linear(x, W)


# --- E03b: a mixture --------------------------------------------------------------------------------------------------


@task("E03b", "write `mix` and `best_weight`")
def e03b(mix, best_weight):
    for weight in (0.3, 0.85, 0.0, 1.0):
        p, q = torch.rand(6, 9).softmax(1), (3 * torch.randn(6, 9)).softmax(1)
        log_p, log_q = p.log(), q.log()
        log_p[0, 0], log_q[0, 0] = -150.0, -152.0  # as small as float32 holds only in logarithms
        log_p[0, 1], log_q[0, 1] = -1000.0, -1001.0  # too small for float64 as well
        log_p[1, 1] = -math.inf  # a table without smoothing
        log_p[1, 2] = log_q[1, 2] = -math.inf  # and two of them that agree
        kept = log_p.clone(), log_q.clone()
        try:
            got = mix(log_p, log_q, weight)
        except ValueError as problem:
            if "math domain" in str(problem) and weight in (0, 1):
                wrong(
                    f"mix with weight {weight}: `math.log(0)` is an error; `torch.tensor(0.0).log()` is −inf, as "
                    "wanted."
                )
            raise
        if not (torch.equal(log_p, kept[0]) and torch.equal(log_q, kept[1])):
            wrong("mix changed the log-probabilities that it was given.")
        shares = [math.log(w) if w else -math.inf for w in (weight, 1 - weight)]
        want = torch.logaddexp(log_p.double() + shares[0], log_q.double() + shares[1])
        by_exp = weight * log_p.exp() + (1 - weight) * log_q.exp()
        if isinstance(got, torch.Tensor) and got.shape == want.shape and got.isnan().any():
            wrong(
                f"mix with weight {weight} holds nan: −inf is a legal log-probability, also of both models at once, and"
                " 0 · −inf or −inf − (−inf) is nan."
            )
        # rows 2 to 5 hold moderate numbers only: there every mistake shows that is not one of floats
        same(
            f"mix with weight {weight}",
            got[2:] if isinstance(got, torch.Tensor) and got.shape == want.shape else got,
            want[2:],
            {
                "you averaged the logarithms, and those rows do not sum to 1 any more: average the probabilities.": (
                    weight * log_p + (1 - weight) * log_q
                )[2:],
                "the weight is on the wrong model: it belongs to the first, p.": (
                    (1 - weight) * log_p.exp() + weight * log_q.exp()
                ).log()[2:],
                "that is the mixture's probability: return its logarithm.": by_exp[2:],
                "the weights are left out: that is ln(p + q).": torch.logaddexp(log_p, log_q)[2:],
                "the weight is ignored: that is half and half.": (torch.logaddexp(log_p, log_q) - math.log(2))[2:],
            },
            rtol=1e-4,
            atol=1e-5,
        )
        off = ~torch.isclose(got.double(), want, rtol=1e-4, atol=1e-5)
        for j, size, kind in ((0, -150, "float32"), (1, -1000, "float64 as well")):
            if off[0, j]:
                wrong(
                    f"mix with weight {weight}: right for moderate numbers, but where both models say about {size} you "
                    f"return {got[0, j].item():.4g} instead of {want[0, j].item():.4g}: exp({size}) is 0 in {kind}. "
                    "Stay in logarithms, with `torch.logaddexp`."
                )
        if off.any():
            i, j = off.nonzero()[0].tolist()
            wrong(
                f"mix with weight {weight}: where log_p is {log_p[i, j].item():.4g} and log_q is "
                f"{log_q[i, j].item():.4g} you return {got[i, j].item():.4g} instead of {want[i, j].item():.4g}: a "
                "share of 0 has the logarithm −inf. Add no small number, and put none in its place."
            )
    for quality in (1.2, 0.25, 0.9, -1.0, 4.0):
        log_p, log_q = _two_models(quality)
        kept = log_p.clone(), log_q.clone()
        want = _best(log_p, log_q)
        got = best_weight(log_p, log_q)
        if not (torch.equal(log_p, kept[0]) and torch.equal(log_q, kept[1])):
            wrong("best_weight changed the log-probabilities that it was given.")
        if got is not None and not 0 <= float(got) <= 1:
            wrong(f"a weight of {float(got):.3g} is no share: it lies between 0 and 1.")
        geometric = float(log_p.mean() > log_q.mean())
        same(
            "the best weight",
            got,
            want,
            {
                "that is the weight of the second model, q: return that of p.": 1 - want,
                "that is always one of the two ends: did you average losses, or logarithms, instead of "
                "probabilities?": geometric,
                "that is the weight with the highest loss: look for the lowest.": 1 - geometric,
                "half and half is not the best here: search.": 0.5,
            },
            rtol=0,
            atol=0.0101,
        )
    return "a mixture in logarithms, and its best weight to a hundredth."


def _two_models(quality: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of 4000 right answers by two models; the first is the better one for a quality above 0.7."""
    p = torch.sigmoid(2 * torch.randn(4000) + 2 * quality - 2.5)
    q = torch.sigmoid(2 * torch.randn(4000) - 1.1)
    log_p, log_q = p.log(), q.log()
    log_p[:20], log_q[:20] = log_p[:20] - 150, log_q[:20] - 150
    return log_p, log_q


def _best(log_p: torch.Tensor, log_q: torch.Tensor) -> float:
    """By golden sections on a convex valley, in float64."""
    p, q = log_p.double(), log_q.double()
    ends = [-p.mean().item(), -q.mean().item()]

    def loss(w: float) -> float:
        return -torch.logaddexp(p + math.log(w), q + math.log(1 - w)).mean().item()

    low, high, share = 1e-9, 1 - 1e-9, (5**0.5 - 1) / 2
    while high - low > 1e-5:
        a, b = high - share * (high - low), low + share * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    middle = (low + high) / 2
    return min((loss(middle), middle), (ends[0], 1.0), (ends[1], 0.0))[1]
