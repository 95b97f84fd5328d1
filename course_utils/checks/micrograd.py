"""The checks of exercises/01_micrograd.ipynb."""

import math
import random
from collections.abc import Iterable
from numbers import Real

import torch
import torch.nn.functional as F

from course_utils.lectures.micrograd import Value, topological_order

from . import apart, same, task, wrong


def numbers(what: str, got, count: int) -> torch.Tensor:
    """`count` plain numbers as a float64 tensor, or a sentence on what came instead."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if isinstance(got, str | Real | Value) or not isinstance(got, Iterable):
        wrong(f"{what} should be a list of {count} numbers, but it is a {type(got).__name__}.")
    got = list(got)
    if len(got) != count:
        wrong(f"{what} should hold {count} numbers, one for each input, but it holds {len(got)}.")
    for number in got:
        if not isinstance(number, Real):
            wrong(f"{what} should hold plain numbers, but it holds a {type(number).__name__}.")
    return torch.tensor([float(number) for number in got], dtype=torch.float64)


def exact(what: str, got, want, mistakes: dict | None = None) -> None:
    """`same` in float64, to ten digits: formulas against formulas."""
    as64 = lambda x: torch.as_tensor(x, dtype=torch.float64)
    named = {sentence: as64(value) for sentence, value in (mistakes or {}).items()}
    same(what, as64(got), as64(want), named, rtol=1e-9, atol=1e-10)


def value(what: str, got) -> Value:
    """A Value, or a sentence on what came instead."""
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, Value):
        wrong(
            f"{what} should be a Value, but it is a {type(got).__name__}: without a Value there is no way back"
            " for a gradient."
        )
    return got


def leaf(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


# --- E01 to E03: gradients on paper and by nudging --------------------------------------------------------------------


@task("E01", "write `gradient_on_paper`")
def e01(gradient_on_paper):
    places = [
        (random.uniform(0.5, 3), random.uniform(-2, 2), random.uniform(0.5, 3) * random.choice([-1, 1]))
        for _ in range(20)
    ]
    answers = [numbers("your gradient", gradient_on_paper(a, b, c), 3) for a, b, c in places]
    slopes = [(2 * a * b + c / a, a**2 - math.exp(b / 2) / 2, math.log(a) - 1 / c**2) for a, b, c in places]
    given, right = torch.stack(answers), torch.tensor(slopes, dtype=torch.float64)
    off = ((given - right).abs() / right.abs().clamp(min=1)).max().item()
    if 1e-12 < off < 1e-3:  # a formula is right to about 1e-15, the best nudge to about 1e-10
        wrong("right to a few digits only, as a nudge would be. Write the formulas.")
    if off > 1e-3 and torch.allclose(given.sort(1).values, right.sort(1).values, rtol=1e-9, atol=1e-10):
        wrong("the three slopes are right, but in another order: the slope in a first, then in b, then in c.")
    for (a, b, c), got, (da, db, dc) in zip(places, answers, slopes, strict=True):
        exact(
            "the slope in a",
            got[0],
            da,
            {
                "the slope in a misses a term: c·ln(a) depends on a as well.": 2 * a * b,
                "the slope in a: a² has the slope 2a, so a²b has 2ab.": a * b + c / a,
                "the slope in a: the derivative of ln(a) is 1/a.": 2 * a * b + c * math.log(a),
            },
        )
        exact(
            "the slope in b",
            got[1],
            db,
            {
                "the slope in b: the chain rule is missing in e^(b/2), whose inner slope is 1/2.": (
                    a**2 - math.exp(b / 2)
                ),
                "the slope in b: mind the minus in front of e^(b/2).": a**2 + math.exp(b / 2) / 2,
                "the slope in b: the chain rule multiplies by 1/2, the slope of b/2, not by 2.": (
                    a**2 - 2 * math.exp(b / 2)
                ),
            },
        )
        exact(
            "the slope in c",
            got[2],
            dc,
            {
                "the slope in c: the derivative of 1/c is −1/c², with a minus.": math.log(a) + 1 / c**2,
                "the slope in c misses the term 1/c, whose slope is −1/c².": math.log(a),
                "the slope in c: the derivative of 1/c is −1/c², not ln(c) or −1/c.": math.log(a) - 1 / c,
            },
        )
    return "the formulas hold at 20 random places."


def _functions():
    """Functions of 1, 3 and 4 inputs in which every input matters, with random coefficients."""
    k = [random.uniform(0.5, 2) for _ in range(6)]
    return [
        (1, lambda x: k[0] * x**3 - k[1] * x),
        (3, lambda x, y, z: k[2] * x**2 * y + k[3] * y * z**3 - x * z),
        (4, lambda p, q, r, s: k[4] * p**2 * q * r + math.exp(k[5] * s / 3) * p),
    ]


def _nudging(answer, name: str, slope, mistakes) -> None:
    for count, f in _functions():
        for h in (0.1, 0.02):
            inputs = [random.uniform(0.5, 2) for _ in range(count)]
            given, seen = list(inputs), []

            def watched(*numbers, f=f, seen=seen, count=count):
                if len(numbers) != count:
                    wrong(f"f takes {count} numbers, f(*inputs), but it was called with {len(numbers)}.")
                seen.append(numbers)
                return f(*numbers)

            got = numbers(name, answer(watched, given, h), count)
            if given != inputs:
                wrong("your function changed the list `inputs`: nudge a copy, and leave the caller's list as it was.")
            named = {sentence: [way(f, inputs, i, h) for i in range(count)] for sentence, way in mistakes.items()}
            exact(name, got, [slope(f, inputs, i, h) for i in range(count)], named)


def _moved(inputs, i, step):
    return [x + step * (j == i) for j, x in enumerate(inputs)]


def _forward(f, inputs, i, h):
    return (f(*_moved(inputs, i, h)) - f(*inputs)) / h


def _symmetric(f, inputs, i, h):
    return (f(*_moved(inputs, i, h)) - f(*_moved(inputs, i, -h))) / (2 * h)


def _piled_up(f, inputs, i, h):
    return (f(*[x + h * (j <= i) for j, x in enumerate(inputs)]) - f(*inputs)) / h


def _piled_up_symmetric(f, inputs, i, h):
    up, down = ([x + s * h * (j <= i) for j, x in enumerate(inputs)] for s in (1, -1))
    return (f(*up) - f(*down)) / (2 * h)


@task("E02", "write `nudged_gradient`")
def e02(nudged_gradient):
    mistakes = {
        "you divided by nothing: the change of f is right, but a slope is the change divided by h.": (
            lambda f, x, i, h: h * _forward(f, x, i, h)
        ),
        "this is the symmetric slope of E03; this task asks for the one-sided one, (f(x + h) - f(x)) / h.": (
            _symmetric
        ),
        "the nudges pile up: when an input's turn is over, it must go back to where it was.": _piled_up,
        "you nudged downwards: (f(x) - f(x - h)) / h. This task nudges up.": lambda f, x, i, h: _forward(f, x, i, -h),
        "the sign is the wrong way round: the nudged value comes first, f(x + h) - f(x).": lambda f, x, i, h: (
            -_forward(f, x, i, h)
        ),
        "you did not use the argument h, but a nudge of your own.": lambda f, x, i, h: _forward(f, x, i, 1e-6),
        "all inputs were nudged at once: each one gets its nudge alone.": lambda f, x, i, h: (
            (f(*[v + h for v in x]) - f(*x)) / h
        ),
    }
    mistakes |= {
        f"you did not use the argument h, but a nudge of your own ({own:g}).": (
            lambda f, x, i, h, own=own: _forward(f, x, i, own)
        )
        for own in (1e-2, 1e-3, 1e-4, 1e-5)
    }
    _nudging(nudged_gradient, "your gradient", _forward, mistakes)


@task("E03", "write `symmetric_gradient`")
def e03(symmetric_gradient):
    mistakes = {
        "the two places are 2h apart, so divide by 2h; you divided by h.": lambda f, x, i, h: (
            2 * _symmetric(f, x, i, h)
        ),
        "this is the one-sided slope of E02; nudge down as well.": _forward,
        "the nudges pile up: when an input's turn is over, it must go back to where it was.": (_piled_up_symmetric),
        "the sign is the wrong way round: f(x + h) - f(x - h).": lambda f, x, i, h: -_symmetric(f, x, i, h),
        "you multiplied by h: `/ 2 * h` divides by 2 and then multiplies; write `/ (2 * h)`.": lambda f, x, i, h: (
            h * h * _symmetric(f, x, i, h)
        ),
        "you nudged by h/2 on each side; this task nudges by h.": lambda f, x, i, h: _symmetric(f, x, i, h / 2),
        "you nudged up by 2h, and never down.": lambda f, x, i, h: _forward(f, x, i, 2 * h),
    }
    mistakes |= {
        f"you did not use the argument h, but a nudge of your own ({own:g}).": (
            lambda f, x, i, h, own=own: _symmetric(f, x, i, own)
        )
        for own in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    }
    _nudging(symmetric_gradient, "your gradient", _symmetric, mistakes)


# --- E04: sigmoid and relu --------------------------------------------------------------------------------------------


def _operation(name: str, do, reference, points: Iterable[float], slopes: dict) -> None:
    for x in points:
        given = Value(x)
        given.grad = 0.5
        try:
            out = value(f"{name}(Value({x:.4g}))", do(given))
        except OverflowError:
            wrong(
                f"{name} overflows at x = {x:.4g}: which exponential grows too large there, and how can you avoid it?"
            )
        if given.data != x:
            wrong(f"{name} changed the number of its input.")
        if given.grad != 0.5:
            wrong(f"{name} changed the grad of its input: give Value the slope, and `backward` will pass it on.")
        tx = leaf(x)
        ty = reference(tx)
        ty.backward()
        exact(
            f"{name}({x:.4g})",
            out.data,
            ty.item(),
            {"this is tanh, not the sigmoid.": math.tanh(x)} if name == "sigmoid" else None,
        )
        order = topological_order(out)
        if given not in order:
            wrong(
                f"{name}: the result does not know its input, so no gradient reaches x: give Value the inputs"
                " (x,) and a slope."
            )
        if len(order) != 2:
            wrong(f"{name}: the result is made of {len(order)} nodes; this task asks for one node with its own slope.")
        if len(out.slopes) != 1:
            wrong(f"{name}: the node has {len(out.slopes)} slopes; it needs one, for its one input: slopes=(slope,).")
        if not isinstance(out.slopes[0], Real):
            wrong(f"{name}: the slope should be a plain number, but it is a {type(out.slopes[0]).__name__}.")
        exact(
            f"the slope of {name} at x = {x:.4g}",
            out.slopes[0],
            tx.grad.item(),
            {s: way(x) for s, way in slopes.items()},
        )

    for _ in range(5):  # inside a larger expression
        x, y = random.uniform(-2, 2), random.uniform(-2, 2)
        a, b, ta, tb = Value(x), Value(y), leaf(x), leaf(y)
        (do(a * b) * a + do(b - a)).backward()
        (reference(ta * tb) * ta + reference(tb - ta)).backward()
        exact(f"the gradient through {name}", [a.grad, b.grad], [ta.grad.item(), tb.grad.item()])


@task("E04", "write `sigmoid` and `relu`")
def e04(sigmoid, relu):
    s = lambda x: 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
    here = [0.0, *(random.uniform(-4, 4) for _ in range(10)), 1000.0, -1000.0]
    _operation(
        "sigmoid",
        sigmoid,
        torch.sigmoid,
        here,
        {
            "the slope of the sigmoid is s(1 − s), with s its result; you put the input x in place of s.": (
                lambda x: x * (1 - x)
            ),
            "the slope of the sigmoid is s(1 − s); 1 − s² belongs to tanh.": lambda x: 1 - s(x) ** 2,
            "the slope of the sigmoid is s(1 − s); a factor s is missing.": lambda x: 1 - s(x),
            "the slope of the sigmoid is s(1 − s); you kept the result itself as the slope.": s,
            "the slope of the sigmoid is 0: then nothing left of it will ever learn.": lambda x: 0.0,
        },
    )
    far = sigmoid(Value(-40.0)).data
    if abs(far - s(-40.0)) > 1e-15:  # float64 next to 1 has steps of 2e-16: ways over 1 − σ or tanh stay below
        wrong(
            f"sigmoid(-40) should be {s(-40.0):.3g}, but it is {far:.3g}: do you cut x off, or add a small number?"
            " Neither is needed: for negative x, multiply numerator and denominator by e^x."
        )
    original = Value.relu
    try:
        Value.relu = lambda self: wrong("relu: you called x.relu(); this task asks you to build the node yourself.")
        _operation(
            "relu",
            relu,
            torch.relu,
            [0.0, -1e-9, 1e-9, *(random.uniform(-4, 4) for _ in range(10))],
            {
                "the slope of relu is 1 on the right and 0 on the left; you kept the result as the slope.": (
                    lambda x: max(0.0, x)
                ),
                "the slope of relu at 0 should be 0: use `>`, not `>=`.": lambda x: float(x >= 0),
                "the slope of relu is 0 for negative x: nothing changes there when x is nudged.": lambda x: 1.0,
                "the slope of relu is 1 on the right and 0 on the left; −1 would be that of |x|.": lambda x: (
                    1.0 if x > 0 else -1.0
                ),
                "the slope of relu is 0: then nothing left of it will ever learn.": lambda x: 0.0,
            },
        )
    finally:
        Value.relu = original


# --- E05: a gradient checker ------------------------------------------------------------------------------------------

LIES = (  # how a slope may lie; what the right slope becomes; what to say to somebody who finds no difference
    (
        "too large",
        lambda t: t + max(1.0, abs(t)) / 2,
        "compare every input, also one that is 0, each of two equal ones, and one whose slope is 0 or negative",
    ),
    ("too small", lambda t: t - max(1.0, abs(t)) / 2, "you keep the sign of the differences, so take abs() of each"),
    ("of the wrong sign", lambda t: -t, "you compare sizes only, and a slope of the wrong sign is wrong"),
    ("0", lambda t: 0.0, "backward's 0 is a witness as well, so compare it too"),
    ("five times the right one", lambda t: 5 * t, "do not skip what differs much"),
    ("a little too large", lambda t: t * (1 + 3e-5), "say how large a difference is, also when it is small"),
)


def _fourth_power(x: Value, weight: float, lie=None) -> Value:
    """weight · x⁴ as one node, whose slope `lie` may change; `lie` "cut" leaves x out of the graph."""
    slope = 4 * weight * x.data**3
    if lie == "cut":
        return Value(weight * x.data**4)
    return Value(weight * x.data**4, (x,), "lie", (lie(slope) if lie else slope,))


@task("E05", "write `gradient_difference`")
def e05(gradient_difference):
    class OtherValue(Value):
        __slots__ = ()

    def ask(f, inputs, h=1e-5, **kind):
        given = list(inputs)

        def watched(*leaves):
            if len(leaves) != len(inputs):
                wrong(f"f takes {len(inputs)} Values, f(*leaves), but it was called with {len(leaves)}.")
            if not all(isinstance(v, Value) for v in leaves):
                wrong("f takes Values, also when you nudge: wrap each number, kind(x).")
            if kind and not all(type(v) is OtherValue for v in leaves):
                wrong("your function was told another `kind`, but makes Values: make every number as kind(x).")
            return f(*leaves)

        got = gradient_difference(watched, given, h, **kind)
        if got is None:
            wrong("your function returns None: does it return the worst difference?")
        if isinstance(got, Value | bool) or not isinstance(got, Real):
            wrong(f"the difference should be one plain number, but it is a {type(got).__name__}.")
        if given != inputs:
            wrong("your function changed the list `inputs`: nudge a copy, and leave the caller's list as it was.")
        return float(got)

    def reference(f, inputs, h):
        """[by backward], [by symmetric nudges], [by nudges to one side]."""
        leaves = [Value(x) for x in inputs]
        f(*leaves).backward()
        plain = lambda *numbers: f(*(Value(x) for x in numbers)).data
        places = range(len(inputs))
        two_sided, one_sided = ([way(plain, inputs, i, h) for i in places] for way in (_symmetric, _forward))
        return [v.grad for v in leaves], two_sided, one_sided

    def judge(f, inputs, h, zero=None):
        """Compare with the formula. zero: what to say to somebody who sees next to no difference."""
        back, nudged, forward = reference(f, inputs, h)
        off = [b - n for b, n in zip(back, nudged, strict=True)]
        over = lambda below, off=off: max(abs(d) / x for d, x in zip(off, below, strict=True))
        share = [d / max(1.0, abs(n)) for d, n in zip(off, nudged, strict=True)]
        steepest = max(range(len(off)), key=lambda i: abs(nudged[i]))
        farthest = max(range(len(off)), key=lambda i: abs(off[i]))
        got, want = ask(f, inputs, h), max(map(abs, share))
        if zero and abs(got) < want / 10:
            wrong(zero)
        mistakes = {
            "you keep the sign: a slope that is too small counts as much as one too large, so take abs().": (
                max(share),
                min(share),
            ),
            "you take abs() of the largest difference: take it of each, before you look for the largest.": (
                abs(max(share)),
            ),
            "this is the mean of the differences; the task asks for the worst.": (sum(map(abs, share)) / len(share),),
            "this is the sum of the differences; the task asks for the worst.": (sum(map(abs, share)),),
            "you divide by max(1, nudged): for a negative slope the formula wants |nudged|.": (
                over([max(1.0, n) for n in nudged]),
            ),
            "this is the absolute difference: divide by max(1, |nudged|).": (max(map(abs, off)),),
            "you divide by |nudged| even where that is below 1; the formula has max(1, |nudged|).": (
                over([max(1e-8, abs(n)) for n in nudged]),
                over([abs(n) or 1.0 for n in nudged]),
            ),
            "you divide by backward's slope, the one on trial: the formula has max(1, |nudged|).": (
                over([max(1.0, abs(b)) for b in back]),
                over([max(1.0, abs(b), abs(n)) for b, n in zip(back, nudged, strict=True)]),
            ),
            "you divide by 1 + |nudged|, the task by max(1, |nudged|).": (over([1 + abs(n) for n in nudged]),),
            "the steepest input, or the one with the largest absolute difference, decides alone: divide each"
            " difference by its own max(1, |nudged|), then look for the largest.": (
                abs(share[steepest]),
                abs(share[farthest]),
                abs(off[farthest]) / max(1.0, abs(nudged[steepest])),
            ),
            "you cut the difference off at 1: a slope may be off by more.": (min(1.0, want),),
            "you compare sizes only: a slope of the wrong sign is wrong.": (
                max(abs(abs(b) - abs(n)) / max(1.0, abs(n)) for b, n in zip(back, nudged, strict=True)),
            ),
            "you nudge to one side only: use (f(x + h) - f(x - h)) / 2h.": (
                max(abs(b - n) / max(1.0, abs(n)) for b, n in zip(back, forward, strict=True)),
            ),
            "the two places are 2h apart, so divide by 2h; you divided by h.": (
                max(abs(b - 2 * n) / max(1.0, abs(2 * n)) for b, n in zip(back, nudged, strict=True)),
            ),
        }
        for sentence, values in mistakes.items():
            if any(math.isclose(got, v, rel_tol=1e-7) and not math.isclose(want, v, rel_tol=1e-7) for v in values):
                wrong(sentence)
        if h == 0.05 and got == ask(f, inputs, h / 2):
            wrong("your difference does not change with the argument h: nudge by h, not by a number of your own.")
        exact(f"the difference for inputs = {inputs} and h = {h:g}", got, want)

    # honest slopes
    honest = lambda a, b, c: (a * b + c).tanh() * a + (b / c).log() + (a - b).exp()
    for inputs in [[random.uniform(0.5, 2) for _ in range(3)] for _ in range(5)] + [
        [0.8, 0.8, 0.8],
        [-0.5, -2.0, -2.0],
    ]:
        if (got := ask(honest, inputs)) > 1e-6:
            wrong(
                f"a function with right slopes should differ by almost 0, but yours says {got:.3g} for inputs ="
                f" {inputs}: are the nudges symmetric, each input nudged alone, and the Values fresh each time?"
            )

    fourth_powers = lambda weights, lies: (
        lambda *v: sum(_fourth_power(x, w, lies.get(i)) for i, (x, w) in enumerate(zip(v, weights, strict=True)))
    )
    judge(
        fourth_powers([1.0], {0: LIES[0][1]}),
        [1.3],
        0.05,
        "a function whose slopes lie gets a difference of almost 0 from you: do you compare backward with something"
        " independent?",
    )
    judge(  # two lies, the smaller one where the slope is steep
        fourth_powers([1.0, 0.4, 9.0, 1.0], {1: lambda t: t * 1.5, 2: lambda t: t * 1.1}),
        [0.9, 1.1, 1.5, 0.7],
        0.001,
        "you find almost no difference where two of four slopes lie: do you compare only one input?",
    )
    judge(  # with a large h, right slopes differ from nudged ones by a known amount
        fourth_powers([1.0, -0.5], {}),
        [0.9, 1.3],
        0.05,
        "with h = 0.05 a right slope differs from a nudged one by up to 0.003, and you say almost 0: say how large the"
        " difference is, also when it is small.",
    )

    # one lie, at each of five places: two equal inputs, one that is 0, slopes shallow and steep, up and down
    inputs, weights = [0.8, -1.2, 0.0, 0.8, 1.5], [1.0, 1.0, 1.0, 0.1, -30.0]
    count = 0
    for name, lie, remedy in (*LIES, ("missing", "cut", "compare inputs that the result does not know as well")):
        for place in range(5):
            right = 4 * weights[place] * inputs[place] ** 3
            if (name == "a little too large" and abs(right) < 1) or (not right and name != "too large"):
                continue  # a lie that max(1, ...) makes smaller still, or none at all
            says = "nothing" if lie == "cut" else f"{lie(right):.6g}"
            zero = (
                f"inputs = {inputs}, and in inputs[{place}] backward says {says} where {right:.6g} is right. You find a"
                f" difference of almost 0: {remedy}."
            )
            judge(fourth_powers(weights, {place: lie}), inputs, 0.001, zero)
            count += 1
    ask(honest, [0.8, 1.2, 0.7], kind=OtherValue)
    return f"it believes honest slopes and catches {count + 2} liars."


# --- E06 and E07: softmax and negative log likelihood -----------------------------------------------------------------


def _scores(count: int, spread: float = 2.0) -> list[float]:
    return [random.gauss(0, spread) for _ in range(count)]


@task("E06", "write `softmax`")
def e06(softmax):
    cases = [_scores(n) for n in (2, 3, 5, 8)]
    cases += [[1000.0, 999.0, -1000.0], [-1000.0, 0.0, 1000.0], [-1000.0, -1001.0], [3.0, 3.0, 3.0], [0.5]]
    for z in cases:
        scores = [Value(x) for x in z]
        try:
            p = softmax(scores)
        except OverflowError:
            wrong("softmax overflows for a score of 1000: shift all scores by the largest one first.")
        except (ZeroDivisionError, ValueError) as problem:
            wrong(f"softmax fails for the scores {z} ({problem}): shift all scores by the largest one first.")
        if p is None:
            wrong("your probabilities are None: does your function return its result?")
        if not isinstance(p, list | tuple) or len(p) != len(z):
            wrong(f"softmax of {len(z)} scores should be a list of {len(z)} Values.")
        p = [value("each probability", x) for x in p]
        if [v.data for v in scores] != z:
            wrong("softmax changed the scores that it was given: make new Values instead.")
        tz = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        tp = tz.softmax(0)
        e = (tz.detach() - tz.detach().max()).exp()
        exact(
            "your softmax",
            [x.data for x in p],
            tp.detach(),
            {
                "these do not sum to 1: divide each exponential by the sum of all.": e,
                "these do not sum to 1: divide each exponential by the sum of all. ": tz.detach().exp(),
                "you divided by the number of scores; divide by the sum of the exponentials.": e / len(z),
                "you divided by the largest exponential; divide by the sum of all.": e / e.max(),
                "these are the logarithms of the probabilities.": tz.detach().log_softmax(0),
                "these are the probabilities of the negated scores: mind the sign of the exponent.": (
                    (-tz.detach()).softmax(0)
                ),
                "you normalised the scores without exponentials.": tz.detach() / tz.detach().sum(),
            },
        )
        weights = [random.uniform(-1, 1) for _ in z]
        sum(w * x for w, x in zip(weights, p, strict=True)).backward()
        (torch.tensor(weights, dtype=torch.float64) * tp).sum().backward()
        got = [v.grad for v in scores]
        if not any(got) and tz.grad.abs().max() > 1e-9:
            wrong(
                "the probabilities are right, but no gradient reaches the scores: compute with the Values, not"
                " with their .data."
            )
        constant_sum = tp.detach() * torch.tensor(weights, dtype=torch.float64)
        exact(
            "the gradient of the scores",
            got,
            tz.grad,
            {
                "the gradient takes the sum for a constant: it depends on every score, so keep it a Value.": (
                    constant_sum
                )
            },
        )


@task("E07", "write `negative_log_likelihood`")
def e07(negative_log_likelihood):
    moderate = _scores(5)
    losses = [negative_log_likelihood([Value(x) for x in moderate], target) for target in range(5)]
    if len({value("your loss", loss).data for loss in losses}) == 1:
        wrong("the loss ignores `target`: it is the same number for each of the classes.")
    cases = [_scores(n) for n in (2, 3, 5, 8) for _ in range(3)]
    for z in [*cases, [1000.0, -1000.0, 0.0], [-1000.0, 0.0, 1000.0], [-1000.0, -1001.0], [0.0, 0.0]]:
        for target in range(len(z)):
            scores = [Value(x) for x in z]
            try:
                loss = negative_log_likelihood(scores, target)
            except OverflowError:
                wrong("it overflows for a score of 1000: shift all scores by the largest one first.")
            except (ValueError, ZeroDivisionError):
                wrong(
                    f"it fails for the scores {z} and target {target}: there the probability is 0 in floats."
                    " Take the logarithm apart before computing it."
                )
            loss = value("your loss", loss)
            if [v.data for v in scores] != z:
                wrong("your function changed the scores that it was given: make new Values instead.")
            tz = torch.tensor(z, dtype=torch.float64, requires_grad=True)
            tl = F.cross_entropy(tz, torch.tensor(target))
            logp = tz.detach().log_softmax(0)
            exact(
                f"the loss for target {target}",
                loss.data,
                tl.item(),
                {
                    "the sign is wrong: a likelihood below 1 has a negative logarithm, the loss is minus that.": logp[
                        target
                    ],
                    "this is the probability of the target; the loss is −ln of it.": logp[target].exp(),
                    "this is minus the probability: the logarithm is missing.": -logp[target].exp(),
                    "this is 1 − p; the loss is −ln p.": 1 - logp[target].exp(),
                    "m was subtracted inside the sum only: the target's score has to be z_target − m as well.": (
                        -logp[target] - tz.detach().max()
                    ),
                    "this is summed over all classes; only the target's probability counts.": -logp.sum(),
                    "this is the mean over all classes; only the target's probability counts.": -logp.mean(),
                    "this is the logarithm to base 2; the loss uses the natural one.": (-logp[target] / math.log(2)),
                    "the target's score alone is missing the sum over all classes.": -tz.detach()[target],
                },
            )
            loss.backward()
            tl.backward()
            got = [v.grad for v in scores]
            onehot = F.one_hot(torch.tensor(target), len(z)).double()
            if not any(got) and tz.grad.abs().max() > 1e-9:
                wrong(
                    "the loss is right, but no gradient reaches the scores: compute with the Values, not with"
                    " their .data."
                )
            exact(
                "the gradient of the scores",
                got,
                tz.grad,
                {
                    "the gradient reaches the target's score only: the sum depends on all of them, keep it a Value.": (
                        -onehot
                    ),
                    "the gradient misses the target's own term: keep that score a Value.": tz.grad + onehot,
                },
            )
    return "loss and gradients equal PyTorch's cross_entropy."


# --- E08: momentum ----------------------------------------------------------------------------------------------------


def _variants(start, grads, rates, beta) -> dict[str, torch.Tensor]:
    """Where the usual mistakes lead: {sentence: the parameters after all steps}."""
    n = len(start)

    def roll(update):
        p, v = list(start), [0.0] * n
        for g, rate in zip(grads, rates, strict=True):
            for i in range(n):
                v[i], p[i] = update(p[i], v[i], g[i], rate)
        return torch.tensor(p, dtype=torch.float64)

    def shared():
        p, v = list(start), 0.0
        for g, rate in zip(grads, rates, strict=True):
            for i in range(n):
                v = beta * v + g[i]
                p[i] -= rate * v
        return torch.tensor(p, dtype=torch.float64)

    move = lambda new, p, rate: (new, p - rate * new)
    return {
        "the velocity is not kept, so this is plain gradient descent: store it in self.velocities.": roll(
            lambda p, v, g, r: (0.0, p - r * g)
        ),
        "the parameters move uphill: subtract the velocity.": roll(
            lambda p, v, g, r: (beta * v + g, p + r * (beta * v + g))
        ),
        "the gradient came in with a factor (1 − beta); here v ← beta·v + grad.": roll(
            lambda p, v, g, r: move(beta * v + (1 - beta) * g, p, r)
        ),
        "the rate is inside the velocity, which shows when it changes: v ← beta·v + grad, p ← p − rate·v.": roll(
            lambda p, v, g, r: (beta * v + r * g, p - beta * v - r * g)
        ),
        "beta is missing: the velocity keeps all of itself, a ball without friction.": roll(
            lambda p, v, g, r: move(v + g, p, r)
        ),
        "you moved along the old velocity: update the velocity first, then the parameter.": roll(
            lambda p, v, g, r: (beta * v + g, p - r * v)
        ),
        "this is Nesterov's variant; the task asks for the plain one.": roll(
            lambda p, v, g, r: (beta * v + g, p - r * (g + beta * (beta * v + g)))
        ),
        "beta multiplies the gradient as well: v ← beta·v + grad.": roll(lambda p, v, g, r: move(beta * (v + g), p, r)),
        "all parameters share one velocity: each needs its own, at its own place in self.velocities.": shared(),
        "beta is fixed at 0.9 in your step: use self.beta.": roll(lambda p, v, g, r: move(0.9 * v + g, p, r)),
        "you use the rate of the first step in all of them: read self.rate at each step.": roll(
            lambda p, v, g, r: move(beta * v + g, p, rates[0])
        ),
        "the parameters did not move.": torch.tensor(start, dtype=torch.float64),
    }


@task("E08", "write `Momentum.step`")
def e08(Momentum):
    for beta in (0.9, 0.5, 0.0):
        start = [random.uniform(-1, 1) for _ in range(4)]
        grads = [[random.uniform(-1, 1) for _ in start] for _ in range(6)]
        rates = [0.1, 0.1, 0.05, 0.05, 0.2, 0.01]
        ours, theirs = [Value(x) for x in start], [leaf(x) for x in start]
        bystander = Momentum([Value(0.0)], rate=0.1, beta=beta)
        optimizer = Momentum(ours, rate=rates[0], beta=beta)
        torchs = torch.optim.SGD(theirs, lr=rates[0], momentum=beta)
        for g, rate in zip(grads, rates, strict=True):
            optimizer.rate = torchs.param_groups[0]["lr"] = rate
            for p, t, slope in zip(ours, theirs, g, strict=True):
                p.grad, t.grad = slope, torch.tensor(slope, dtype=torch.float64)
            optimizer.step()
            bystander.step()
            torchs.step()
            if [p.grad for p in ours] != g:
                wrong("step() changed the gradients: it should read them, and leave clearing to zero_grad.")
            if not all(isinstance(p.data, Real) for p in ours):
                wrong("a parameter's data became a Value: the update works on plain numbers, p.data and p.grad.")
        got, want = [p.data for p in ours], [t.item() for t in theirs]
        exact(f"the list of parameters after {len(grads)} steps", got, want, _variants(start, grads, rates, beta))
    return "step for step as torch.optim.SGD."


# --- E09: three bugs --------------------------------------------------------------------------------------------------

ALONE = {
    "a + b": lambda a, b: a + b,
    "a * b": lambda a, b: a * b,
    "a - b": lambda a, b: a - b,
    "a / b": lambda a, b: a / b,
    "a / 4": lambda a, b: a / 4,
    "a ** 3": lambda a, b: a**3,
    "a.exp()": lambda a, b: a.exp(),
    "a.tanh()": lambda a, b: a.tanh(),
    "a.relu()": lambda a, b: a.relu(),
}
TOGETHER = {
    "a + a": lambda a, b: a + a,
    "a * b + a": lambda a, b: a * b + a,
    "m + m * a with m = a * b": lambda a, b: (lambda m: m + m * a)(a * b),
    "m * a + m with m = a * b": lambda a, b: (lambda m: m * a + m)(a * b),
    "m * n with m = a * b, n = b * a": lambda a, b: (a * b) * (b * a),
    "m * n + n * a - m with m = a * b - a, n = (m + b).exp() + a": lambda a, b: (
        lambda m: (lambda n: m * n + n * a - m)((m + b).exp() + a)
    )(a * b - a),
    "a * a * b / 1000000, whose gradients are small,": lambda a, b: a * a * b / 1_000_000,
    "a * a * b * 1000000, whose gradients are large,": lambda a, b: a * a * b * 1_000_000,
}


def _as_delivered(Broken) -> None:
    """The class's own three wrong answers still come out; otherwise a sentence on leaving it alone."""
    for name, f, want in (
        ("__truediv__", lambda a, b: a / b, [0.25, -0.5]),
        ("tanh", lambda a, b: a.tanh() + b, [-3.0, 1.0]),
        ("backward", TOGETHER["m + m * a with m = a * b"], [12.0, 2.0]),
    ):
        a, b = Broken(2.0), Broken(4.0)
        f(a, b).backward()
        if [a.grad, b.grad] != want:
            wrong(
                f"the class Broken was edited: its {name} is not the colleague's any more. Put its cell back as it was,"
                " run it, and return the repaired methods from repairs()."
            )


def _gradients(f, kind, name: str, x: float, y: float) -> tuple[float, float]:
    """By `kind`'s backward, its forward pass compared with PyTorch's."""
    a, b = kind(x), kind(y)
    try:
        out = f(a, b)
    except OverflowError:
        wrong(f"{name} overflows at a = {x:g}, where it did not before your repair.")
    except (AttributeError, TypeError) as problem:
        if name != "a / 4":
            raise
        wrong(f"a / 4, with a plain number below, fails ({problem}): let self.wrap(other) make a node of it first.")
    if type(out) is not kind:
        wrong(f"{name} gives a {type(out).__name__}: make new nodes with self.node(...), as the other methods do.")
    want = f(leaf(x), leaf(y)).item()
    if not math.isclose(out.data, want, rel_tol=1e-12, abs_tol=1e-14):
        should, got = apart(want, out.data)
        wrong(f"{name} at a = {x:g}, b = {y:g} should be {should}, but it is {got}: it was right before your repair.")
    if (a.data, b.data) != (x, y):
        wrong(f"{name} changed the number of its input: leave self.data as it is.")
    out.backward()
    return a.grad, b.grad


@task("E09", "write `repairs`")
def e09(Broken, repairs):
    fixed = repairs()
    if not isinstance(fixed, dict) or not all(callable(method) for method in fixed.values()):
        wrong('repairs() should return a dictionary of functions by method name, as in {"__add__": my_add}.')
    for name, method in fixed.items():
        if not hasattr(Broken, name):
            wrong(f"Broken has no method {name!r}: the keys are the names of methods, as `tanh` or `__add__`.")
        if name != "backward" and method is getattr(Value, name, None):
            wrong(f"{name} is the method of Value, which makes Values: write it with self.node(...).")
    _as_delivered(Broken)
    Mended = type("Mended", (Broken,), dict(fixed))

    bad = []
    for name, f in (ALONE | TOGETHER).items():
        places = [(round(random.uniform(-1.7, 1.7), 2), random.choice([-1, 1]) * 0.7) for _ in range(5)] + [(1.5, 1.5)]
        if name == "a.tanh()":
            places += [(8.0, 1.0), (-400.0, 1.0), (400.0, 1.0)]
        # one operation is exact to a few units in the last place, 2e-16; longer expressions and a nudge are not
        close = {"rel_tol": 1e-12, "abs_tol": 1e-14} if name in ALONE else {"rel_tol": 1e-9, "abs_tol": 1e-12}
        for x, y in places:
            got = _gradients(f, Mended, name, x, y)
            ta, tb = leaf(x), leaf(y)
            f(ta, tb).backward()
            want = [t.grad.item() if t.grad is not None else 0.0 for t in (ta, tb)]
            if not all(math.isclose(g, w, **close) for g, w in zip(got, want, strict=True)):
                bad.append((name, x, y, got, want))
                break
    alone = [name for name, *_ in bad if name in ALONE]
    if len(alone) > 3:
        wrong(
            f"{len(alone)} operations have wrong gradients even alone ({', '.join(alone)}): what they share is"
            " backward, so look there."
        )
    if bad:
        name, x, y, got, want = bad[0]
        left = f"{len(bad)} expressions" if len(bad) > 1 else "one expression"
        right, yours = zip(*(apart(w, g) for w, g in zip(want, got, strict=True)), strict=True)
        where = "the slopes of this operation" if alone else "when backward passes a node's gradient on"
        wrong(
            f"wrong gradients are left in {left}. The first: {name} at a = {x:g}, b = {y:g}. The right gradients of a"
            f" and b are ({', '.join(right)}), yours are ({', '.join(yours)}). Look at {where}."
        )

    a, b = Mended(2.0), Mended(3.0)
    for out in (a * b, a * a):
        out.backward()
        if len(topological_order(out)) != 2 + (out.data == 6.0):
            wrong("your backward takes the graph apart: afterwards a node should still have its inputs and slopes.")
    if a.grad == 4.0:
        wrong("your backward clears the gradients of leaves: over two backward() calls they go on collecting.")
    exact("the gradient of a after (a * b).backward() and (a * a).backward()", a.grad, 3.0 + 4.0)

    looks = 0

    def inputs(self):
        nonlocal looks
        looks += 1
        if looks > 20_000:
            wrong(
                "your backward visits nodes again for each path that leads to them. A chain of 40 sums, m = m + m, has"
                " 41 nodes and 2**40 paths: let each node pass its gradient on once, when it is complete."
            )
        return self.kept

    Counted = type("Counted", (Mended,), {"inputs": property(inputs, lambda self, new: setattr(self, "kept", new))})
    first = m = Counted(1.0)
    for _ in range(40):
        m = m + m
    m.backward()
    exact("the gradient at the start of 40 sums m = m + m", first.grad, 2.0**40)

    deep = total = Mended(1.0)
    for _ in range(5_000):
        total = total + 0.5
    try:
        total.backward()
    except RecursionError:
        wrong("your backward is recursive and fails on a chain of 5,000 sums; the one it repairs did not.")
    exact("the gradient at the end of a long chain", deep.grad, 1.0)

    needless = sorted(set(fixed) - {"__truediv__", "tanh", "backward"})
    if needless:
        wrong(
            f"all gradients are right, but {', '.join(needless)} was right before: leave it alone, and repair"
            " only what was wrong."
        )
    return "all three found."
