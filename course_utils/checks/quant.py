"""The checks of exercises/19_quantization.ipynb."""

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.quant import round_to_nearest

from . import same, task, wrong


def _tensor(got, what: str, shape: tuple, dtype: torch.dtype) -> torch.Tensor:
    """The learner's tensor, or a sentence."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, torch.Tensor):
        wrong(f"{what} should be a tensor of shape {shape}, but it is a {type(got).__name__}.")
    if tuple(got.shape) != shape:
        wrong(f"{what} should have shape {shape}, but it has {tuple(got.shape)}.")
    if got.dtype != dtype:
        wrong(f"{what} should be {dtype}, but it is {got.dtype}.")
    return got


def _tuple(got, n: int, what: str) -> tuple:
    if not isinstance(got, tuple | list) or len(got) != n:
        wrong(f"return {n} things, {what}; you return {'None' if got is None else type(got).__name__}.")
    return tuple(got)


def _untouched(**pairs) -> None:
    for name, (before, after) in pairs.items():
        if not torch.equal(before, after):
            wrong(f"your function changes `{name}` in place: work on a copy.")


def _clear_of_ties(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x with every number moved away from the middle between two integers, where a last bit decides how it rounds."""
    near = ((x / scale).abs() % 1 - 0.5).abs() < 0.01
    return torch.where(near, x - 0.03 * scale * x.sign(), x)


# --- X01: a linear layer in integers ----------------------------------------------------------------------------------


def _integers(
    x, dim: int | None, top: float = 127, cut=torch.round, magnitude=True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers (as float64) and scales, the maximum taken over `dim` (None: over everything)."""
    size = x.abs() if magnitude else x
    most = size.amax() if dim is None else size.amax(dim, keepdim=True)
    scale = most.clamp(min=1e-30) / top
    return cut(x / scale).double(), scale.double()


def _product(x, w, x_dim=-1, w_dim=1, top=127.0, cut=torch.round) -> torch.Tensor:
    (a, s), (b, t) = _integers(x, x_dim, top, cut), _integers(w, w_dim, top, cut)
    return (a * s) @ (b * t).T


@task("X01", "write `int8_linear`")
def x01(int8_linear):
    for shape, out, size in (
        ((5, 48), 7, 1),
        ((5, 48), 7, 1e-4),  # the same shapes again, with other, small weights
        ((2, 3, 96), 20, 1),
        ((2, 1, 3, 40), 6, 0.1),
        ((64,), 64, 1),
        ((1, 32), 1, 1),
        ((4, 400), 3, 1),
    ):
        x = torch.randn(shape) * torch.rand(*shape[:-1], 1).mul(3).exp()  # tokens of different size
        w = torch.randn(out, shape[-1]) * torch.rand(out, 1).mul(3).exp() * size  # rows too
        x, w = (_clear_of_ties(t, t.abs().amax(-1, keepdim=True) / 127) for t in (x, w))
        x = x.mT.contiguous().mT if x.ndim > 1 else x  # the same numbers, columns first in memory
        kept = x.clone(), w.clone()
        y = int8_linear(x, w)
        _untouched(x=(kept[0], x), w=(kept[1], w))
        y = _tensor(y, "the result", (*shape[:-1], out), torch.float32)
        (a, s), (b, t) = _integers(x, -1), _integers(w, 1)
        wrapped = ((a @ b.T + 128) % 256 - 128) * s * t[:, 0]
        wide = ((a @ b.T + 32768) % 65536 - 32768) * s * t[:, 0]
        mistakes = {
            "that is the product in floating point: round both sides to integers first.": x @ w.T,
            "only the weights are rounded: round the inputs as well, a scale for each token.": x.double() @ (b * t).T,
            "only the inputs are rounded: round the weights as well, a scale for each row.": (a * s) @ w.double().T,
            "the product of the integers wraps around: sum in int32, not in int8.": wrapped,
            "the product of the integers wraps around: int16 is too narrow as well, sum in int32.": wide,
            "the scales are missing at the end: multiply by those of the tokens and of the rows.": a @ b.T,
            "the scales of the rows are missing at the end.": (a @ b.T) * s,
            "the scales of the tokens are missing at the end.": (a @ b.T) * t[:, 0],
            "all rows of w share one scale: every row has its own.": _product(x, w, w_dim=None),
            "all tokens share one scale: every token has its own, along the last dimension.": _product(
                x, w, x_dim=None
            ),
            "one scale for all of x, and one for all of w: every token and every row has its own.": _product(
                x, w, None, None
            ),
            "your scale is the maximum divided by 128: 127 is the largest int8, so 128 overflows.": _product(
                x, w, top=128.0
            ),
            "the integers are cut off, not rounded: `.to(torch.int8)` alone drops what is behind the point.": _product(
                x, w, cut=torch.trunc
            ),
            "rounded down instead of to the nearest: use `torch.round`.": _product(x, w, cut=torch.floor),
            "rows of w are rounded down instead of to the nearest: use `torch.round`.": (a * s)
            @ (_integers(w, 1, cut=torch.floor)[0] * t).T,
            "the maximum divided by 255: the integers reach from -127 to 127.": _product(x, w, top=255.0),
        }
        (a_, s_), (b_, t_) = _integers(x, -1, magnitude=False), _integers(w, 1, magnitude=False)
        for left, right in ((a_ * s_, b_ * t_), (a_ * s_, b * t), (a * s, b_ * t_)):
            value = left @ right.T
            close = lambda other, value=value, size=size: torch.allclose(other, value, rtol=1e-5, atol=1e-7 * size)
            if y.shape == value.shape and close(y.double()) and not close((a * s) @ (b * t).T):
                wrong("the scale is made of the largest value, not of the largest magnitude: take `abs` first.")
        if len(shape) == 2:
            mistakes["w's scales belong to its columns in your code: every row has one."] = _product(x, w, w_dim=0)
        want = ((a @ b.T) * s * t[:, 0]).float()
        off = (y - want).abs()
        if (off > 1e-5 * want.abs() + 1e-7 * size).any() and off.max() < 1e-5 * want.abs().max():
            wrong(
                "nearly: the scales come in before the sum. Sum the products of the integers, then multiply by scales."
            )
        if len(shape) > 2:
            mistakes["the scales of x are taken along dimension 1: a token lies along the last."] = _product(x, w, 1)
        what = "the result" if size == 1 else "the result for small weights"
        same(what, y, want, mistakes, rtol=1e-5, atol=1e-7 * size)
    x, w = torch.randn(3, 40), torch.randn(5, 40)
    x[1], w[2] = 0, 0
    kept = x.clone(), w.clone()
    y = int8_linear(x, w)
    _untouched(x=(kept[0], x), w=(kept[1], w))
    if not torch.isfinite(y).all():
        wrong("a token or a row of zeros gives nan: its scale is 0, so keep it from being divided by (clamp).")
    same("the result for a token of zeros", y[1], torch.zeros(5))
    same("the result for a row of zeros", y[:, 2], torch.zeros(3))
    for size in (1e-6, 1e-7):
        tiny = int8_linear(size * x, w)
        (a, s), (b, t) = _integers(size * x, -1), _integers(w, 1)
        want = ((a @ b.T) * s * t[:, 0]).float()
        if tiny.abs().max() < 0.5 * want.abs().max():
            wrong(
                "small inputs are lost: what keeps your scale from being zero must be far smaller than any real scale."
            )
        if size < 1e-6 and not torch.allclose(tiny, want, rtol=1e-4, atol=1e-12):
            wrong(
                f"very small inputs, up to {(size * x).abs().max():.1g}, become coarse: what keeps your scale from "
                "being zero must be far smaller than any real scale."
            )
        same("the result for very small inputs", tiny, want, rtol=1e-4, atol=1e-12)
    n = 130_000  # so many products of up to 127 * 127 come near 2^31, and as many take them away again
    x = torch.randint(120, 127, (3, 2 * n))
    x[:, 0], x[:, n:] = 127, -x[:, :n].flip(1)
    w = torch.randint(120, 127, (4, 2 * n))
    w[:, 0], w[:, n:] = 127, w[:, :n].flip(1)
    x[:, -300:] += torch.randint(0, 20, (3, 300))
    want = (x @ w.T).float()
    if not torch.allclose(int8_linear(x.float(), w.float()), want, rtol=1e-5, atol=0):
        wrong(
            f"a sum of {2 * n:,} products is off: float32 holds whole numbers up to 16,777,216 only. Make the integers "
            "int32 or wider before the product."
        )
    return "seven shapes, tokens and rows of zeros, small inputs, and a sum of 260,000 products."


# --- X02: four bits ---------------------------------------------------------------------------------------------------


def _grid(w: torch.Tensor, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Group by group, in loops: integers (O, I), scales and zero points (O, groups)."""
    q = torch.empty(w.shape, dtype=torch.long)
    scale, zero = torch.empty(2, len(w), w.shape[1] // group)
    for o, row in enumerate(w):
        for n, part in enumerate(row.split(group)):
            low, high = min(part.min().item(), 0.0), max(part.max().item(), 0.0)
            s = (torch.tensor(high) - torch.tensor(low)) / 15
            s = s if s > 0 else torch.tensor(1.0)
            z = (-torch.tensor(low) / s).round()
            q[o, n * group : (n + 1) * group] = ((part / s).round() + z).clamp(0, 15).long()
            scale[o, n], zero[o, n] = s, z
    return q, scale, zero


@task("X02", "write `pack_int4` and `unpack_int4`")
def x02(pack_int4, unpack_int4):
    for out, size, group, small in (
        (3, 48, 16, 1),
        (5, 60, 15, 1),
        (1, 64, 64, 1),
        (7, 24, 2, 1),
        (4, 30, 3, 1),
        (4, 32, 8, 1e-2),
        (4, 32, 8, 1e-6),
    ):
        w = (torch.randn(out, size) * 2 + torch.linspace(-3, 3, out)[:, None]) * small
        w[0, :group] = w[0, :group].abs() + 0.5 * small  # all above zero
        if out > 1:
            w[1, :group] = -w[1, :group].abs() - 0.5 * small
            w[out - 1, -group:] = 0
        _, step, _ = _grid(w, group)
        w = _clear_of_ties(w, step.repeat_interleave(group, 1)).T.contiguous().T  # columns first in memory
        kept = w.clone()
        packed, scale, zero = _tuple(pack_int4(w, group), 3, "bytes, scales and zero points")
        _untouched(w=(kept, w))
        q, want_scale, want_zero = _grid(w, group)
        groups = (out, size // group)
        scale = _tensor(scale, "the scales", groups, torch.float32)
        low, high = (f(w.unflatten(1, (-1, group)), 2) for f in (torch.amin, torch.amax))
        range_, most = high.clamp(min=0) - low.clamp(max=0), torch.maximum(high.abs(), low.abs())
        dead = range_ == 0
        if torch.allclose(scale[~dead], want_scale[~dead], rtol=1e-5, atol=0) and (scale[dead] != 1).any():
            wrong("a group of zeros has the scale 1, or dividing by it gives nan.")
        strided = w.unflatten(1, (group, -1))  # every so-many-th column
        strided = (strided.amax(1).clamp(min=0) - strided.amin(1).clamp(max=0)) / 15
        row = (w.amax(1, keepdim=True).clamp(min=0) - w.amin(1, keepdim=True).clamp(max=0)) / 15
        mistakes = {
            "that is the range of the values alone: zero has to lie in it, so low <= 0 and high >= 0.": (high - low)
            / 15,
            "the range is divided by 16: sixteen integers have fifteen steps between them.": range_ / 16,
            "low is the smallest value, or 0 if all are above 0: yours goes above 0.": (high.clamp(min=0) - low) / 15,
            "high is the largest value, or 0 if all are below 0: yours goes below 0.": (high - low.clamp(max=0)) / 15,
            "a group is made of neighbours in a row: yours takes columns that lie apart.": strided,
            "all groups of a row share one scale: each has its own.": row.expand(groups),
            "that is the symmetric scale, the largest magnitude over 7: take high - low.": most / 7,
        }
        mistakes = {name: torch.where(value == 0, 1.0, value) for name, value in mistakes.items()}
        small_ones = (scale == 1) & (want_scale != 1) & (want_scale < 0.1)
        if small_ones.any():
            wrong("a group of small weights gets the scale 1: only a group of zeros does.")
        same("the table of scales", scale, want_scale, mistakes, atol=0)
        zero = _tensor(zero, "the zero points", groups, torch.uint8)
        exact = -low.clamp(max=0) / want_scale
        mistakes = {
            "the zero points are cut off, not rounded: use `torch.round`.": exact.floor(),
            "the zero points are rounded up, not to the nearest: use `torch.round`.": exact.ceil(),
        }
        same("the table of zero points", zero.double(), want_zero.double().abs(), mistakes)
        packed = _tensor(packed, "the bytes", (out, size // 2), torch.uint8)
        half = size // 2
        no_zero = (w.unflatten(1, (-1, group)) / want_scale[..., None]).round().clamp(0, 15).flatten(1).long()
        theirs = torch.stack([packed & 15, packed >> 4], 2).flatten(1).long()
        apart = theirs - q
        if (apart.abs() == 1).any() and apart.abs().max() == 1:
            o, i = (apart != 0).nonzero()[0].tolist()
            wrong(
                f"some integers are one off: w[{o}, {i}] / scale is {w[o, i] / want_scale[o, i // group]:.2f} and the "
                f"zero point {int(want_zero[o, i // group])}, which makes {q[o, i]}, and you pack {theirs[o, i]}: is "
                "w / scale rounded, and the zero point added after that?"
            )
        same(
            "the packed tensor",
            packed.long(),
            q[:, ::2] | q[:, 1::2] << 4,
            {
                "the first of each pair sits in the high bits: it belongs into the low ones.": q[:, ::2] << 4
                | q[:, 1::2],
                "you pair a column of the left half with one of the right half: neighbours share a byte.": q[:, :half]
                | q[:, half:] << 4,
                "the two halves of the byte are added without a shift.": q[:, ::2] + q[:, 1::2],
                "the zero point is not added to the integers.": no_zero[:, ::2] | no_zero[:, 1::2] << 4,
            },
        )
        kept = packed.clone(), scale.clone(), zero.clone()
        pack_int4(torch.randn(2, 2 * group), 2 * group)  # another group in between: unpack_int4 sees it from the shapes
        back = unpack_int4(packed, scale, zero)
        _untouched(packed=(kept[0], packed), scale=(kept[1], scale), zero=(kept[2], zero))
        back = _tensor(back, "what unpack_int4 returns", (out, size), torch.float32)
        spread = lambda v, group=group: v.repeat_interleave(group, 1)
        want = (q - spread(want_zero)) * spread(want_scale)
        swapped = q.unflatten(1, (-1, 2)).flip(2).flatten(1)
        halves = torch.cat([q[:, ::2], q[:, 1::2]], 1)
        same(
            "what unpack_int4 returns",
            back,
            want,
            {
                "the neighbours come back in the wrong order: the low bits are the first.": (
                    swapped - spread(want_zero)
                )
                * spread(want_scale),
                "all low halves stand before all high ones: pairs are neighbours.": (halves - spread(want_zero))
                * spread(want_scale),
                "the zero point is not subtracted.": q * spread(want_scale),
                "the subtraction wraps around in uint8: turn into floats first.": ((q - spread(want_zero)) % 256)
                * spread(want_scale),
            },
        )
        other = torch.randint(0, 256, packed.shape, dtype=torch.uint8)  # bytes that pack_int4 did not make
        want = torch.stack([other & 15, other >> 4], 2).flatten(1).double()
        want = (want - spread(want_zero)) * spread(want_scale)
        same("what unpack_int4 makes of other bytes", unpack_int4(other, scale, zero), want.float())
    w = torch.tensor([[-7.5, 7.5, 0.0, 1.0], [1.0, 0.0, 7.5, -7.5]])  # the largest would be 16
    packed, scale, zero = pack_int4(w, 4)
    back = unpack_int4(packed, scale, zero)
    if not torch.equal(back, torch.tensor([[-8.0, 7.0, 0.0, 1.0], [1.0, 0.0, 7.0, -8.0]])):
        wrong(
            f"from {w[0].tolist()} comes {back[0].tolist()}: 7.5 and the zero point 8 make 16, to be cut to 15. "
            "-7.5 is rounded to -8, as torch.round has it."
        )
    return "seven shapes, odd groups, small weights, and groups on one side of zero."


# --- X03: GPTQ --------------------------------------------------------------------------------------------------------


def _by_least_squares(w: torch.Tensor, X: torch.Tensor, step: float) -> torch.Tensor:
    """The definition: after each rounding, the free weights solve the least-squares problem anew."""
    want, done = w.clone(), torch.zeros_like(w)
    for j in range(len(w)):
        done[j] = (want[j] / step).round() * step
        if j + 1 < len(w):
            target = w @ X - done[: j + 1] @ X[: j + 1]
            want = torch.cat([done[: j + 1], torch.linalg.lstsq(X[j + 1 :].T, target).solution])
    return done


def _variant(w, H, step, kind: str) -> torch.Tensor:
    first, w, done = w, w.clone(), torch.empty_like(w)
    if kind == "damped":
        H = H + 0.01 * H.diagonal().mean() * torch.eye(len(w), dtype=H.dtype)
    full = torch.linalg.inv(H)
    for j in range(len(w)):
        part = torch.linalg.inv(H[j:, j:])
        if kind == "full":
            part = full[j:, j:]
        if kind == "H":
            part = H[j:, j:]
        done[j] = (w[j] / step).floor() * step if kind == "floor" else (w[j] / step).round() * step
        e = (first if kind == "first" else w)[j] - done[j]
        if kind == "plus":
            e = -e
        end = j + 2 if kind == "next" else len(w)
        w[j + 1 : end] -= ((e if kind == "no division" else e / part[0, 0]) * part[0, 1:])[: end - j - 1]
    return done


@task("X03", "write `gptq_row`")
def x03(gptq_row):
    for size, step in ((24, 0.3), (40, 1.0), (6, 0.5), (1, 0.7)):
        common = torch.randn(1, 3 * size + 4, dtype=torch.float64)
        X = torch.randn(size, 3 * size + 4, dtype=torch.float64) + common
        X = X / 8  # so that an inverse which is not divided by its diagonal shows
        w, H = torch.randn(size, dtype=torch.float64) * 1.5, X @ X.T
        kept = w.clone(), H.clone()
        got = gptq_row(w, H, step)
        _untouched(w=(kept[0], w), H=(kept[1], H))
        got = _tensor(got, "the row", (size,), torch.float64)
        mistakes = {
            "that is rounding to nearest: the weights to the right do not make up for anything.": (w / step).round()
            * step,
            "you take the part of H's inverse: take the inverse of the part, H[j:, j:].": _variant(w, H, step, "full"),
            "you use H where its inverse belongs.": _variant(w, H, step, "H"),
            "the weights move in the wrong direction: subtract.": _variant(w, H, step, "plus"),
            "the error is not divided by the inverse's diagonal.": _variant(w, H, step, "no division"),
            "rounded down instead of to the nearest: use `torch.round`.": _variant(w, H, step, "floor"),
            "the error is measured from the weight as it was given: by then it has moved.": _variant(
                w, H, step, "first"
            ),
            "only the next column moves: all to the right do.": _variant(w, H, step, "next"),
            "you add to the diagonal of H, as `gptq` of the lecture does: here H stays as it is.": _variant(
                w, H, step, "damped"
            ),
            "you go from right to left.": _variant(w.flip(0), H.flip(0, 1), step, "right").flip(0),
        }
        want = _by_least_squares(w, X, step)
        if torch.allclose(got, want / step) and not torch.allclose(got, want):
            wrong("those are the integers: multiply them by step.")
        if torch.equal(got, got.round()) and not torch.allclose(want, want.round()):
            wrong(f"you round to whole numbers: round to multiples of step, here {step}.")
        if (got / step - (got / step).round()).abs().max() > 1e-9:
            wrong("not every weight is a multiple of step: return what is rounded, not the weights that were moved.")
        same("the row", got + 0.0, want + 0.0, mistakes, rtol=1e-9, atol=1e-9)
    for number in range(60):  # many rows, where a small slip shows in one or another
        common = (0, 0.5, 3)[number % 3] * torch.randn(1, 80, dtype=torch.float64)
        X = torch.randn(24, 80, dtype=torch.float64) + common
        w, step = torch.randn(24, dtype=torch.float64) * 1.5, (0.3, 0.005)[number % 2]
        got, want = gptq_row(w, X @ X.T, step), _variant(w, X @ X.T, step, "right")
        if tuple(got.shape) != (24,) or not torch.allclose(got, want, rtol=1e-9, atol=1e-9):
            first = int((got - want).abs().gt(1e-9).nonzero()[0])
            wrong(
                f"row {number} of 60 more, with a step of {step}, differs in column {first}: {got[first]:.3f}, not "
                f"{want[first]:.3f}. Only those to the right move, by all of the update; nothing is cut."
            )
    return "four rows equal to least squares solved anew after each rounding, and 60 more."


# --- X04: SmoothQuant -------------------------------------------------------------------------------------------------


@task("X04", "write `smooth`")
def x04(smooth):
    for n, size, out, alpha in (
        (90, 12, 8, 0.5),
        (7, 20, 5, 0.8),
        (9, 9, 9, 0.3),
        (11, 6, 4, 1.0),
        (5, 6, 4, 0.0),
        (1, 10, 3, 0.75),
        (8, 10, 1, 0.45),
    ):
        x = torch.randn(n, size, dtype=torch.float64) * torch.rand(size, dtype=torch.float64).mul(5).exp()
        w = torch.randn(out, size, dtype=torch.float64) * torch.rand(size, dtype=torch.float64).exp()
        x[-1] -= 3 * x[-1].abs()  # the largest magnitudes are negative, and come last
        x[:, 1] *= 1e-7  # small, and not dead
        w[:, 2] *= 1e-7
        kept = x.clone(), w.clone()
        s, x_new, w_new = _tuple(smooth(x, w, alpha), 3, "the scales, the inputs and the weights")
        _untouched(x=(kept[0], x), w=(kept[1], w))
        a, b = (torch.tensor([max(map(abs, column)) for column in t.T.tolist()], dtype=torch.float64) for t in (x, w))
        want = a**alpha / b ** (1 - alpha)
        mistakes = {
            "α and 1 − α are exchanged: the inputs' maximum has the exponent α.": a ** (1 - alpha) / b**alpha,
            "the weights' part belongs into the denominator.": a**alpha * b ** (1 - alpha),
            "the fraction is upside down: the inputs' maximum belongs on top.": b ** (1 - alpha) / a**alpha,
            "you take the largest value, not the largest magnitude: `abs` first.": x.amax(0).clamp(min=0) ** alpha
            / w.amax(0).clamp(min=0) ** (1 - alpha),
            "you take the mean magnitude of the inputs: SmoothQuant takes the largest.": x.abs().mean(0) ** alpha
            / b ** (1 - alpha),
            "the weights' maximum is missing.": a**alpha,
            "both have the exponent α: the weights' is 1 − α.": a**alpha / b**alpha,
            "that is α = 0.5, whatever α is given.": (a / b).sqrt(),
        }
        if n == size == out:
            mistakes["the maxima are taken over features: take them over tokens and over outputs."] = x.abs().amax(
                1
            ) ** alpha / w.abs().amax(1) ** (1 - alpha)
        for left, right in ((x.amax(0), b), (a, w.amax(0))):
            value = left.clamp(min=0) ** alpha / right.clamp(min=0) ** (1 - alpha)
            mistakes[f"you take the largest value of {'w' if left is a else 'x'}, not the largest magnitude."] = value
        s = _tensor(s, "the vector of scales", (size,), torch.float64)
        others = torch.tensor([j not in (1, 2) for j in range(size)])
        near = (s - want).abs() <= 1e-3 * want
        if near[others].all() and not near.all():
            wrong(
                "features 1 and 2 hold inputs or weights of about 1e-7, small but not zero: their scale follows the "
                "formula too. Only where all are exactly zero is it 1."
            )
        same("the vector of scales", s, want, mistakes, rtol=1e-9, atol=1e-12)
        same(
            "the inputs",
            x_new,
            x / want,
            {
                "the inputs are multiplied by s: divide.": x * want,
                "the inputs come back as they were: divide them by s.": x,
            },
            rtol=1e-9,
        )
        same(
            "the weights",
            w_new,
            w * want,
            {
                "the weights are divided by s: multiply.": w / want,
                "the weights come back as they were: multiply them by s.": w,
            },
            rtol=1e-9,
        )
    for alpha in (0.5, 0.0, 1.0):
        x, w = torch.randn(6, 7), torch.randn(4, 7)
        x[:, 1], w[:, 3] = 0, 0
        x[0], w[0] = 0, 0  # other features hold zeros too, and are alive
        x[1:3, 5], x[3:, 5] = torch.tensor([1.0, -1.0]), 0.0
        kept = x.clone(), w.clone()
        s, x_new, w_new = _tuple(smooth(x, w, alpha), 3, "the scales, the inputs and the weights")
        _untouched(x=(kept[0], x), w=(kept[1], w))
        if not all(t.isfinite().all() for t in (s, x_new, w_new)):
            wrong("a feature whose inputs or weights are all zero gives nan or inf: its scale is 1.")
        s = _tensor(s, "the scales", (7,), torch.float32)
        a, b = x.abs().amax(0), w.abs().amax(0)
        want = torch.where((a == 0) | (b == 0), 1.0, a**alpha / b ** (1 - alpha))
        same(f"the scale of features 1 and 3, all zero in x or in w, at α = {alpha},", s[[1, 3]], torch.ones(2))
        same(f"the scales at α = {alpha}, where living features hold zeros too,", s, want)
        same("the inputs, with features of zeros,", x_new, x / want, rtol=1e-5)
        same("the weights, with features of zeros,", w_new, w * want, rtol=1e-5)
    return "seven layers, seven values of α, and features of zeros."


# --- X05: sensitivity -------------------------------------------------------------------------------------------------


class _Net(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(size, 32), nn.Linear(32, 32), nn.Linear(32, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.last(self.drop(torch.tanh(self.second(torch.tanh(self.first(x))))))


def _marks(net: nn.Module) -> dict:
    """What has to be as before: modes, parameters and what is trained."""
    return {
        "modes": {name: module.training for name, module in net.named_modules()},
        "parameters": {name: (id(p), p.requires_grad) for name, p in net.named_parameters()},
    }


def _as_before(net: nn.Module, marks: dict, when: str = "afterwards") -> None:
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        wrong(f"{when} gradients are switched off for the whole notebook: use `with torch.no_grad():`.")
    for name, module in net.named_modules():
        if module.training != marks["modes"][name]:
            mode, what = ("training" if module.training else "evaluation"), name or "the model"
            wrong(
                f"{when} {what} is in {mode} mode, and it was not: put back the mode of every module, in a `finally`."
            )
    if any(p.grad is not None for p in net.parameters()):
        wrong("parameters have gradients now: measuring needs none.")
    for name, p in net.named_parameters():
        if p.requires_grad != marks["parameters"][name][1]:
            wrong(f"{when} {name} has another requires_grad: leave it as it was.")
        if id(p) != marks["parameters"][name][0]:
            wrong(f"{when} {name} is a new parameter, which no optimiser knows: write into the old one with copy_.")


@task("X05", "write `sensitivity`")
def x05(sensitivity):
    for size, bits, group, training in ((16, 3, 16, True), (32, 4, 8, False), (8, 2, 4, True)):
        net = _Net(size).train(training)
        with torch.no_grad():
            net.second.weight[3, 5] = 40.0  # one outlier: this layer suffers
        net.first.bias.requires_grad_(False)  # somebody has frozen a parameter
        x, y = torch.randn(200, size), torch.randint(3, (200,))
        layers = {"b": net.second, "a": net.first, "c": net.last}
        calls = []

        def loss_of(model, x=x, y=y, calls=calls, own=net):
            if model is not own:
                wrong("call loss_of with the model itself, not with a copy or a part of it.")
            if model.training:
                wrong("the loss is measured in training mode, where dropout is on: call model.eval() first.")
            if model.drop.training:
                wrong(
                    "dropout is still on while you measure: model.eval() reaches every module, the flag alone does not."
                )
            with torch.set_grad_enabled(torch.is_grad_enabled()):
                loss = F.cross_entropy(model(x), y)
            if loss.requires_grad:
                wrong("gradients are on while you measure: put torch.no_grad() around it.")
            calls.append(loss.item())
            return loss.item()

        before = {name: value.clone() for name, value in net.state_dict().items()}
        given, marks = dict(layers), _marks(net)
        got = sensitivity(net, given, loss_of, bits, group)
        if list(given) != list(layers):
            wrong("your function changes the dict `layers`.")
        for name, value in net.state_dict().items():
            if not torch.equal(value, before[name]):
                wrong(f"{name} is not what it was before: put the old weights back, bit for bit.")
        _as_before(net, marks)
        if got is None:
            wrong("your function returns None: return the dict.")
        if not isinstance(got, dict):
            wrong(f"return a dict from a layer's name to what its rounding adds, not a {type(got).__name__}.")
        if set(got) != set(layers):
            wrong(f"the dict should have the names {list(layers)}, but it has {list(got)}.")
        if list(got) != list(layers):
            wrong("keep the order of layers: the dict is to be read in the order it was given.")
        if not all(isinstance(v, float) for v in got.values()):
            wrong("the values should be floats: the loss with the layer rounded, minus the whole model's.")
        net.eval()
        want, lost, piled, symmetric, turned, other = {}, {}, {}, {}, {}, {}
        with torch.no_grad():
            whole = F.cross_entropy(net(x), y).item()
            for name, layer in layers.items():
                kept = layer.weight.clone()
                layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
                lost[name] = F.cross_entropy(net(x), y).item()
                want[name] = lost[name] - whole
                layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=True))
                symmetric[name] = F.cross_entropy(net(x), y).item() - whole
                for sizes in ((bits, None), *((b, group) for b in (2, 3, 4, 8) if b != bits)):
                    layer.weight.copy_(round_to_nearest(kept, *sizes, symmetric=False))
                    other.setdefault(sizes, []).append(F.cross_entropy(net(x), y).item() - whole)
                layer.weight.copy_(kept)
                for rest in layers.values():
                    if rest is not layer:
                        rest.weight.copy_(round_to_nearest(rest.weight, bits, group, symmetric=False))
                turned[name] = F.cross_entropy(net(x), y).item() - whole
                net.load_state_dict(before)
            for name, layer in layers.items():
                layer.weight.copy_(round_to_nearest(layer.weight, bits, group, symmetric=False))
                piled[name] = F.cross_entropy(net(x), y).item() - whole
            net.load_state_dict(before)
        told = lambda b, g: f"{b} bits in {f'groups of {g}' if g else 'whole rows'}"
        values = lambda found, names=tuple(layers): [found[name] for name in names]
        same(
            f"what rounding adds, for the layers {', '.join(layers)},",
            values(got),
            values(want),
            {
                "those are the losses: subtract the whole model's.": values(lost),
                "the rounded layers pile up: put each layer back before you round the next.": values(piled),
                "that is the symmetric grid: the task asks for symmetric=False.": values(symmetric),
                "the sign is wrong: the rounded loss minus the whole one.": [-v for v in values(want)],
                "that is the ratio of the losses: take the difference.": [v / whole for v in values(lost)],
                "amounts below zero are cut to zero: a little noise is normal, so return them as they are.": [
                    max(0.0, v) for v in values(want)
                ],
                "all other layers are rounded, and this one is whole: it is the other way round.": values(turned),
                **{
                    f"you round to {told(b, g)}, and the task gives {told(bits, group)}: pass both on.": found
                    for (b, g), found in other.items()
                },
            },
            rtol=1e-5,
            atol=1e-7,
        )
    for error, mode in ((KeyboardInterrupt, True), (RuntimeError, True), (KeyError, False)):
        for last in (0, 1, 2, 3):  # the first call, for the whole model; then one a layer
            net.train(mode)
            net.drop.eval()  # somebody has frozen a part
            marks, calls = _marks(net), []

            def interrupted(model, calls=calls, last=last, error=error):
                calls.append(1)
                if len(calls) > last:
                    raise error("stopped")
                return 1.0

            try:
                sensitivity(net, dict(layers), interrupted, 2, 4)
            except error:
                pass
            except Exception as other:
                wrong(f"a {error.__name__} of loss_of comes out as a {type(other).__name__}: let it pass on as it is.")
            else:
                wrong(f"your function swallows a {error.__name__}: let it pass on, after the weights are back.")
            when = f"after a {error.__name__} in call {last + 1} of loss_of"
            for name, value in net.state_dict().items():
                if not torch.equal(value, before[name]):
                    wrong(f"{when} a layer stays rounded: put the old weight back in a `finally`.")
            _as_before(net, marks, when)
    with torch.no_grad():
        sensitivity(net, dict(layers), lambda model: 1.0, 2, 4)
        if torch.is_grad_enabled():
            wrong(
                "gradients are on after a call under torch.no_grad(): use `with torch.no_grad():`, which puts it back."
            )
    return "three networks; weights and modes are as before, whatever interrupts."
