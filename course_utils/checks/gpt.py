"""The checks of exercises/07_gpt.ipynb."""

import random
import re
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.lectures.gpt import GPT, GPTConfig

from . import same, task, wrong

EXACT = 0.99  # of three-digit sums

# --- EX1: all heads at once -------------------------------------------------------------------------------------------


class _Count(TorchDispatchMode):
    """How many operations ran."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


def _attention(model, x, n_head, how="right"):
    """Causal attention as the reference, or with one usual mistake."""
    B, T, C = x.shape
    hs = C // n_head
    out = model.qkv(x)
    q, k, v = out.split(C, -1)
    if how == "head by head":
        q, k, v = (t.reshape(B, T, C) for t in out.view(B, T, n_head, 3, hs).unbind(3))
    if how == "values swapped":
        k, v = v, k
    if how == "no transpose":
        q, k, v = (t.reshape(B, n_head, T, hs) for t in (q, k, v))
    elif how == "interleaved":
        q, k, v = (t.view(B, T, hs, n_head).permute(0, 3, 1, 2) for t in (q, k, v))
    else:
        q, k, v = (t.view(B, T, n_head, hs).transpose(1, 2) for t in (q, k, v))
    scores = q @ k.transpose(-2, -1)
    if how == "queries swapped":
        scores = scores.transpose(-2, -1)
    scores = scores * {"scale C": C**-0.5, "no scale": 1.0, "scale hs": 1 / hs, "times": hs**0.5}.get(how, hs**-0.5)
    future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
    if how == "no mask":
        weights = scores.softmax(-1)
    elif how == "one ahead":
        weights = scores.masked_fill(torch.triu(future, 2), float("-inf")).softmax(-1)
    elif how == "past masked":
        weights = scores.masked_fill(future.T, float("-inf")).softmax(-1)
    elif how == "zero mask":
        weights = scores.masked_fill(future, 0.0).softmax(-1)
    elif how == "mask after":
        weights = scores.softmax(-1).masked_fill(future, 0.0)
    elif how == "over queries":
        weights = scores.masked_fill(future, float("-inf")).softmax(-2)
    elif how == "over heads":
        weights = scores.masked_fill(future, -1e9).softmax(1).masked_fill(future, 0.0)
    else:
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
    y = weights @ v
    if how == "not merged":
        y = y.reshape(B, T, C)
    elif how == "merged inside out":
        y = y.permute(0, 2, 3, 1).reshape(B, T, C)
    else:
        y = y.transpose(1, 2).reshape(B, T, C)
    return y if how == "no proj" else model.proj(y)


_ATTENTION_MISTAKES = {
    "no transpose": "the heads are mixed up: `view(B, nh, T, hs)` cuts the time axis in pieces. Cut the features with "
    "`view(B, T, nh, hs)`, and then swap nh and T.",
    "not merged": "the heads are merged wrongly: after attention the shape is (B, nh, T, hs), so swap nh and T back "
    "before `reshape(B, T, C)`.",
    "merged inside out": "in the input of `proj` the heads should lie side by side, head 0 first: yours has "
    "feature 0 of all "
    "heads first.",
    "interleaved": "the features of a head lie next to each other: cut them with (nh, hs), not with (hs, nh).",
    "head by head": "the outputs of `qkv` are the queries of all heads, then all keys, then all values; you took q, k "
    "and v of one head after another.",
    "scale C": "the scores are divided by √C: each head's dot product has hs = C / nh terms, so divide by √hs.",
    "no scale": "the scores are not scaled: divide them by √hs.",
    "scale hs": "the scores are divided by hs: divide by its square root.",
    "times": "the scores are multiplied by √hs: divide.",
    "no mask": "positions hear the future: mask the scores above the diagonal with -inf.",
    "one ahead": "position t hears position t + 1 too: the mask begins right above the diagonal, `torch.triu(..., 1)`.",
    "past masked": "your mask hides the past and leaves the future: True belongs above the diagonal "
    "(`torch.triu(..., 1)`).",
    "zero mask": "the future gets a score of 0, and exp(0) is 1: set it to -inf.",
    "mask after": "the mask comes after the softmax, so that the weights of a position no longer sum to 1: mask the "
    "scores with -inf before it.",
    "over queries": "the softmax runs over the queries: each query's weights should sum to 1 over the keys, the last "
    "dimension.",
    "over heads": "the softmax runs over the heads: each query's weights should sum to 1 over the keys, `softmax(-1)`.",
    "queries swapped": "the scores are transposed: row t holds the scores of *query* t, q @ k.transpose(-2, -1).",
    "values swapped": "keys and values are exchanged: qkv gives queries, then keys, then values.",
    "no proj": "the projection `proj` is missing at the end.",
}


def _fused(*_, **__):
    wrong("the fused call does all of the task: write it with plain operations (@, masked_fill, softmax).")


@task("EX1", "write `forward`")
def ex1(MultiHeadAttention):
    for B, T, C, n_head in (
        (2, 5, 12, 3),
        (3, 8, 8, 2),
        (1, 1, 8, 4),
        (2, 7, 6, 6),
        (2, 9, 10, 1),
        (1, 300, 4, 2),
        (4, 4, 16, 4),
    ):
        model = MultiHeadAttention(C, n_head).double()
        with torch.no_grad():
            for p in model.parameters():  # larger than at the start, so that weights differ from position to position
                p.normal_(0, 1.5 / p.shape[-1] ** 0.5)
        big = torch.randn(T, B, 2 * C, dtype=torch.double)
        x = big.transpose(0, 1)[..., ::2]  # (B, T, C), not contiguous
        kept = x.clone()
        with (
            mock.patch.object(F, "scaled_dot_product_attention", _fused),
            mock.patch.object(F, "multi_head_attention_forward", _fused),
        ):
            got = _run_attention(model, x)
        if not torch.equal(x, kept):
            wrong("forward changed its input in place.")
        reference = nn.MultiheadAttention(C, n_head, batch_first=True).double()
        with torch.no_grad():
            reference.in_proj_weight.copy_(model.qkv.weight)
            reference.in_proj_bias.zero_()
            reference.out_proj.load_state_dict(model.proj.state_dict())
        mask = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        want = reference(kept, kept, kept, attn_mask=mask, need_weights=False)[0]
        if got is not None and isinstance(got, torch.Tensor) and got.shape == want.shape and got.isnan().any():
            wrong(
                "nan: some position may hear nobody at all, and a softmax of nothing but -inf is nan. A position "
                "hears itself too."
            )
        if isinstance(got, torch.Tensor) and got.dtype != torch.double:
            wrong(f"the input is float64, the output {got.dtype}: leave the numbers' type as it is.")
        mistakes = {said: _attention(model, kept, n_head, how) for how, said in _ATTENTION_MISTAKES.items()}
        same(f"the output for (B, T, C) = {B, T, C} and {n_head} heads", got, want, mistakes, rtol=1e-9, atol=1e-10)
    again = torch.randn(B, T, C, dtype=torch.double)
    weight = torch.randn(B, T, C, dtype=torch.double)
    parameters = [model.qkv.weight, model.proj.weight, model.proj.bias]
    grads = _gradients(model(again), weight, parameters)
    wants = torch.autograd.grad((_attention(model, again, n_head) * weight).sum(), parameters)
    for name, grad, want in zip(("qkv.weight", "proj.weight", "proj.bias"), grads, wants, strict=True):
        if grad is None:
            wrong(f"no gradient reaches {name}: is something detached on the way?")
        same(f"the gradient of {name}", grad, want, rtol=1e-8, atol=1e-9)
    calls = {}
    for n_head in (2, 16):
        model, x = MultiHeadAttention(16, n_head), torch.randn(2, 4, 16)
        with _Count() as counter, torch.no_grad():
            model(x)
        calls[n_head] = counter.calls
    if calls[16] > calls[2] + 8:
        wrong(
            f"right numbers, but 16 heads take {calls[16]} operations and 2 heads {calls[2]}: there is a loop over the "
            "heads. Give them a dimension of the tensor."
        )
    return f"equal to nn.MultiheadAttention, and {calls[16]} operations whatever the number of heads."


def _run_attention(model, x):
    try:
        return model(x)
    except RuntimeError as problem:
        if "view size is not compatible" in str(problem):
            wrong(
                "`view` refused: after `transpose` the numbers of a position do not lie next to each other. "
                "`reshape` copies "
                "them (or call `.contiguous()` first); and x itself may be a slice of something larger."
            )
        if x.shape[1] > 100:
            wrong(
                f"a text of {x.shape[1]} positions stops with {problem}. Any T should do: make the mask as large as "
                "this x needs."
            )
        raise


def _gradients(output, weight, inputs):
    """What reaches inputs, None where nothing does; or a verdict when the output has no history at all."""
    if not output.requires_grad:
        wrong("no gradient comes out of your function: is something detached, or under `torch.no_grad()`?")
    return torch.autograd.grad((output * weight).sum(), inputs, allow_unused=True)


# --- EX2a: a sum as a text --------------------------------------------------------------------------------------------


def _pair(what: str, got) -> tuple[str, str]:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, tuple | list) or len(got) != 2 or not all(isinstance(part, str) for part in got):
        wrong(f"{what} should be two texts, (question, answer), but it is {got!r:.60}.")
    return tuple(got)


def _said(what: str, got: str, want: str, mistakes: dict[str, str]) -> None:
    """Compare two texts, and name the mistake when it is a known one."""
    if got == want:
        return
    for sentence, value in mistakes.items():
        if got == value:
            wrong(f"{what} should be {want!r}, but it is {got!r}: {sentence}")
    wrong(f"{what} should be {want!r}, but it is {got!r}.")


@task("EX2a", "write `spell_sum`")
def ex2a(spell_sum):
    cases = [
        (1, 24, 3),
        (28, 367, 3),
        (128, 367, 3),
        (0, 0, 3),
        (999, 999, 3),
        (5, 7, 1),
        (1, 99999, 5),
        (99, 1, 2),
        (40, 2, 4),
    ]
    cases += [(random.randrange(10**d), random.randrange(10**d), d) for d in (1, 2, 3, 4, 6) for _ in range(20)]
    for a, b, digits in cases:
        call = f"spell_sum({a}, {b}, {digits})"
        question, answer = _pair(call, spell_sum(a, b, digits))
        A, B, total = str(a).zfill(digits), str(b).zfill(digits), str(a + b)
        _said(
            f"the question of {call}",
            question,
            A + "+" + B + "=",
            {
                "fill up the numbers with zeros to `digits` digits.": f"{a}+{b}=",
                "use the argument `digits`.": f"{a:03}+{b:03}=",
                "the `=` belongs to the question.": A + "+" + B,
                "the numbers of the question are not reversed.": A[::-1] + "+" + B[::-1] + "=",
                "it should have no spaces.": f"{A} + {B} =",
            },
        )
        want = "".join(reversed(total.zfill(digits + 1)))
        carryless = "".join(str((int(x) + int(y)) % 10) for x, y in zip(A, B, strict=True)).zfill(digits + 1)
        _said(
            f"the answer of {call}",
            answer,
            want,
            {
                "reverse it, the units first.": total.zfill(digits + 1),
                "fill it up to digits + 1 digits, before you reverse it.": total[::-1],
                "fill up with zeros first, then reverse: now the zeros stand at the small end.": total[::-1].zfill(
                    digits + 1
                ),
                "it needs one digit more than the numbers of the question.": total.zfill(digits)[::-1],
                "four digits are right for digits = 3 only.": total.zfill(4)[::-1],
                "the carries are missing.": carryless[::-1],
                "the `=` belongs to the question alone.": "=" + want,
            },
        )
    if _pair("spell_sum(28, 367)", spell_sum(28, 367)) != ("028+367=", "5930"):
        wrong("spell_sum(28, 367), without digits, should use 3 digits.")
    return "fixed widths, carries, and the units first."


# --- EX2b: inputs and masked targets ----------------------------------------------------------------------------------


def _examples(pairs, chars):
    """The reference, character by character."""
    T = max(len(q) + len(a) for q, a in pairs) - 1
    x = torch.zeros(len(pairs), T, dtype=torch.int64)
    y = torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        line = q + a
        for t in range(len(line) - 1):
            x[n, t] = chars.index(line[t])
            if t + 1 >= len(q):
                y[n, t] = chars.index(line[t + 1])
    return x, y


@task("EX2b", "write `examples`")
def ex2b(examples):
    usual = " 0123456789+-*/=,;"
    letters = list(usual[1:])
    for number in range(12):
        random.shuffle(letters)
        chars = "".join([" ", *letters[: random.choice((12, 17))]])
        word = lambda n, chars=chars: "".join(random.choices(chars[1:], k=n))
        if number % 3 == 2:
            pairs = [(word(6), word(4)) for _ in range(5)]  # all of one length
        else:
            pairs = [(word(random.randint(1, 7)), word(random.randint(1, 6))) for _ in range(random.randint(2, 9))]
        if number == 1:
            pairs = pairs[:1]
        given = list(pairs)
        out = examples(given, chars)
        if out is None:
            wrong("examples returned None: does your function return its result?")
        if not isinstance(out, tuple | list) or len(out) != 2 or not all(isinstance(t, torch.Tensor) for t in out):
            wrong("examples should return two tensors, x and y.")
        if given != pairs:
            wrong("your function changed the list that it was given.")
        x, y = out
        X, Y = _examples(pairs, chars)
        if y.shape == Y.shape and torch.equal(y, _examples(pairs, usual)[1]) and not torch.equal(y, Y):
            wrong("the numbers are places in CHARS: use the argument `chars`, which may be another text.")
        for name, got in (("x", x), ("y", y)):
            if got.dtype != torch.int64:
                wrong(f"{name} should be int64, but it is {got.dtype}.")
            if got.shape == (X.shape[0], X.shape[1] + 1):
                wrong(f"{name} is one column too wide: a line of T + 1 characters makes T inputs and T targets.")
            if got.shape != X.shape:
                wrong(f"{name} should have shape {tuple(X.shape)}, but it has {tuple(got.shape)}.")
        _targets(pairs, chars, x, y, X, Y)
    return "shifted by one, questions and filling masked, the first answer character graded."


def _targets(pairs, chars, x, y, X, Y) -> None:
    """Name what is wrong with x or y."""
    T, full = X.shape[1], torch.zeros(len(pairs), X.shape[1] + 1, dtype=torch.int64)
    for n, (q, a) in enumerate(pairs):
        full[n, : len(q + a)] = torch.tensor([chars.index(c) for c in q + a])
    start = torch.tensor([len(q) for q, _ in pairs])[:, None]
    end = torch.tensor([len(q + a) for q, a in pairs])[:, None]
    at = torch.arange(T)[None, :] + 1  # the place in the line that y speaks of
    shifted, same_place = full[:, 1:], full[:, :-1]
    masked = lambda ids, keep: torch.where(keep, ids, torch.tensor(-100))
    same(
        "y",
        y,
        Y,
        {
            "y is not masked: the targets of the question should be -100.": masked(shifted, at < end),
            "neither the question nor the filling is masked in y: both should be -100.": shifted,
            "the filling at the end of short lines is graded: their targets should be -100.": masked(
                shifted, at >= start
            ),
            "the first character of the answer is masked: it is guessed at the `=`, so y holds it there.": masked(
                shifted, (at > start) & (at < end)
            ),
            "the last character of the question is graded: y begins with the first character of the answer.": masked(
                shifted, (at >= start - 1) & (at < end)
            ),
            "y is not shifted: y[n, t] is the character *after* x[n, t].": masked(
                same_place, (at > start) & (at <= end)
            ),
            "the answer is masked and the question graded: it should be the other way round.": masked(
                shifted, at < start
            ),
            "all lines are masked at one place: each question has its own length.": masked(
                shifted, (at >= start[0]) & (at < end)
            ),
            "masked targets should be -100, not 0.": torch.where(Y == -100, torch.zeros_like(Y), Y),
            "masked targets should be -100, not -1.": torch.where(Y == -100, -torch.ones_like(Y), Y),
            "the last character of each answer is missing in y.": masked(shifted, (at >= start) & (at < end - 1)),
        },
    )
    if torch.equal(x, same_place):  # the last character of short lines stands in x, where nothing is graded
        return
    left = torch.zeros_like(X)
    for n, (q, a) in enumerate(pairs):
        left[n, T - len(q + a) + 1 :] = X[n, : len(q + a) - 1]
    asked = torch.where(torch.arange(T)[None, :] < start, X, torch.zeros_like(X))
    same(
        "x",
        x,
        X,
        {
            "x is shifted: it begins with the first character of the question.": shifted,
            "x is filled up on the left: short lines are filled up on the right.": left,
            "x is masked: the model has to read the question.": torch.where(Y == -100, Y, X),
            "x is filled up with -100, which is no character: fill up with 0.": torch.where(
                at < end, X, torch.tensor(-100)
            ),
            "x holds the question only: it needs the answer too, without its last character.": asked,
        },
    )


# --- EX2c: the strict teacher -----------------------------------------------------------------------------------------


class _Parrot(GPT):
    """A model that knows by heart what to write after each question, and goes on with it whatever happens."""

    def __init__(self, lines: dict[str, str], chars: str, block_size: int):
        super().__init__(GPTConfig(len(chars), block_size=block_size, n_layer=1, n_head=1, n_embd=4))
        self.lines, self.chars, self.batches = lines, chars, 0

    def forward(self, idx, targets=None):
        if not isinstance(idx, torch.Tensor) or idx.dim() != 2 or idx.dtype != torch.int64:
            wrong("the model wants ids of shape (n, T), int64: a question is a row.")
        self.batches += 1
        logits = torch.zeros(*idx.shape, len(self.chars))
        for n, row in enumerate(idx.tolist()):
            read = "".join(self.chars[i] for i in row)
            question = next((q for q in self.lines if read.startswith(q)), None)
            if question is None:
                wrong(
                    f"the model was given {read!r}, which begins with none of the questions: start from a "
                    "question alone, and "
                    "put questions of different lengths into different batches, since filling would be read as text."
                )
            line = question + self.lines[question]
            for t in range(idx.shape[1]):
                logits[n, t, self.chars.index(line[t + 1]) if t + 1 < len(line) else 0] = 1.5  # likely, not certain
        return logits, None


def _quiz(chars: str, sizes: list[int], lengths: list[int], count: int):
    """Random questions, no one the beginning of another, with answers and what the parrot writes."""
    body, pairs, lines = [c for c in chars if c not in " ="], [], {}
    while len(pairs) < count:
        question = "".join(random.choices(body, k=random.choice(sizes) - 1)) + "="
        if question in lines:
            continue
        answer = "".join(random.choices(body, k=random.choice(lengths)))
        pairs.append((question, answer))
        lines[question] = answer + "".join(random.choices(body, k=12))
    return pairs, lines


@task("EX2c", "write `answers` and `exact_accuracy`")
def ex2c(answers, exact_accuracy):
    chars = " " + "".join(random.sample("0123456789+-*/=,;xyz", 20))
    for sizes, count, length in (([6], 9, 4), ([3, 5, 8], 14, 5), ([7], 1, 3), ([4, 6], 8, 1)):
        pairs, lines = _quiz(chars, sizes, [length], count)
        model = _Parrot(lines, chars, max(sizes) + length)
        questions = [q for q, _ in pairs]
        random.shuffle(questions)
        if count > 12:
            questions.append(questions[0])  # a question may come twice
        asked = list(questions)
        out = answers(model, asked, length, chars)
        if asked != questions:
            wrong("answers changed the list of questions that it was given.")
        if out is None:
            wrong("answers returned None: does your function return its result?")
        if not isinstance(out, list | tuple) or not all(isinstance(text, str) for text in out):
            wrong("answers should return a list of texts, one for each question.")
        if len(out) != len(questions):
            wrong(f"{len(questions)} questions should give {len(questions)} texts, not {len(out)}.")
        want = [lines[q][:length] for q in questions]
        if list(out) != want:
            if list(out) == [q + text for q, text in zip(questions, want, strict=True)]:
                wrong("the texts begin with the questions: cut off what the model did not write.")
            if sorted(out) == sorted(want):
                wrong("the texts are not in the order of the questions: with several lengths, put them back in order.")
            if any(len(text) != length for text in out):
                wrong(f"each text should have `length` characters, {length} here; one of yours has {len(out[0])}.")
            for text, right, question in zip(out, want, questions, strict=True):
                if text != right:
                    wrong(
                        f"after {question!r} the likeliest text is {right!r}, but you returned {text!r}: take the "
                        "likeliest "
                        "character each time (temperature=0), and read `chars` from the argument."
                    )
        if count > 6 and model.batches > 3 * length * len(sizes) + 6:
            wrong(
                f"the model ran {model.batches} times for {count} questions: put questions of one length into one "
                "batch."
            )
    _grades(exact_accuracy, chars)
    return "written without chance, question by question length, and graded as a whole."


def _grades(exact_accuracy, chars: str) -> None:
    for sizes, lengths, count, wrongs in (
        ([6], [4], 12, 3),
        ([3, 5, 5, 5], [1, 2, 5, 5], 17, 5),
        ([6], [3], 5, 0),
        ([4], [2], 6, 6),
    ):
        pairs, lines = _quiz(chars, sizes, lengths, count)
        pairs.sort(key=lambda pair: len(pair[1]))
        pairs[1:-1], pairs[-1] = random.sample(pairs[2:], count - 2), pairs[1]  # short ones at both ends
        places = total = last = first = 0
        for number, (question, answer) in enumerate(pairs):
            text = lines[question]
            if number < wrongs:
                at = random.randrange(len(answer)) if number else 0  # one character wrong, anywhere
                other = random.choice([c for c in chars[1:] if c not in (answer[at], "=")])
                # right a little later, where it does not count
                text = text[:at] + other + text[at + 1 : len(answer)] + answer + text[len(answer) :]
                lines[question] = text
            hits = [x == y for x, y in zip(text, answer, strict=False)]
            places, total = places + sum(hits), total + len(hits)
            last, first = last + hits[-1], first + hits[0]
        once = [lines[q].startswith(a) for q, a in pairs]
        if len(lengths) > 1:
            pairs += pairs[:2]  # wrong ones, a second time
        marks = [lines[q].startswith(a) for q, a in pairs]
        groups = [[m for m, (q, _) in zip(marks, pairs, strict=True) if len(q) == size] for size in sorted(set(sizes))]
        count, right, wrongs = len(marks), sum(marks), len(marks) - sum(marks)
        model = _Parrot(lines, chars, max(sizes) + max(lengths))
        given = list(pairs)
        got = exact_accuracy(model, given, chars)
        if given != pairs:
            wrong("exact_accuracy changed the list that it was given.")
        if isinstance(got, bool) or got is None or isinstance(got, list | tuple | str):
            wrong(f"exact_accuracy should return a number from 0 to 1, but it returned {got!r:.40}.")
        same(
            "the exact accuracy",
            got,
            right / count,
            {
                "you look for the answer anywhere in the text: it should begin there.": sum(
                    a in lines[q][: max(lengths)] for q, a in pairs
                )
                / count,
                "that is the share of right characters: a problem counts when all of its characters are right.": places
                / total,
                "that is the number of right problems: divide by the number of problems.": float(right),
                "that is in per cent: return a share, 0 to 1.": 100 * right / count,
                "that is the share of wrong problems.": wrongs / count,
                "you grade the last character only.": last / count,
                "you grade the first character only.": first / count,
                "the answers have different lengths, and the model writes on behind the end of the short ones: "
                "compare as many "
                "characters as the answer has.": sum(lines[q][: max(lengths)] == a for q, a in pairs) / count,
                "the answers have different lengths, and you compare as many characters as the first one has.": sum(
                    lines[q][: len(pairs[0][1])] == a for q, a in pairs
                )
                / count,
                "a problem that comes twice counts twice.": sum(once) / len(once),
                "each problem weighs the same, whatever the length of its question: that is a mean of means.": sum(
                    sum(group) / len(group) for group in groups if group
                )
                / sum(bool(group) for group in groups),
            },
        )


# --- EX2d: a model that adds ------------------------------------------------------------------------------------------


@task("EX2d", "write `train_adder`")
def ex2d(adder, chars, seen):
    if not isinstance(adder, nn.Module):
        wrong(f"train_adder should return the model, but it returned a {type(adder).__name__}.")
    if adder.token.num_embeddings < len(chars):
        wrong(
            f"the model knows {adder.token.num_embeddings} characters, CHARS has {len(chars)}: vocab_size=len(CHARS)."
        )
    if adder.config.block_size < 11:
        wrong(
            f"block_size is {adder.config.block_size}: to write the last digit the model has to see the whole "
            "question and the "
            "digits before, 11 characters."
        )
    known, sums = set(seen), []
    while len(sums) < 2000:
        a, b = random.randrange(1000), random.randrange(1000)
        if (a, b) not in known:
            sums.append((a, b))
    lines = [f"{a:03}+{b:03}={str(a + b).zfill(4)[::-1]}" for a, b in sums]
    rows = torch.tensor([[chars.index(c) for c in line] for line in lines])  # (N, 12)
    parameter = next(adder.parameters())
    rows = rows.to(parameter.device)
    was_training = adder.training
    adder.eval()
    with torch.no_grad():
        logits = adder(rows[:, :-1])[0]
        straight = torch.cat([rows[:, :8], rows[:, 8:].flip(1)], 1)
        flipped = adder(straight[:, :-1])[0]
    out = adder.generate(rows[:, :8], 4, temperature=0)[:, 8:]
    adder.train(was_training)
    exact = (out == rows[:, 8:]).all(1).float().mean().item()
    if exact >= EXACT:
        return f"{exact:.1%} exact on 2,000 sums that the model had not seen."
    guess = logits[:, 7:].argmax(-1)  # (N, 4)
    loss = F.cross_entropy(logits[:, 7:].flatten(0, 1), rows[:, 8:].flatten()).item()
    turned = F.cross_entropy(flipped[:, 7:].flatten(0, 1), straight[:, 8:].flatten()).item()
    said = f"{exact:.1%} of 2,000 new sums are exactly right, not yet {EXACT:.0%}"
    if (guess == rows[:, 7:-1]).float().mean() > 0.9:
        wrong(f"{said}: the model repeats the character that it reads. Is y one character later than x?")
    if turned < loss - 0.3:
        wrong(f"{said}: the model writes the highest digit first. Spell the answer reversed, as in EX2a.")
    if loss > 1.8:
        wrong(
            f"{said}: its loss on right answers is {loss:.1f}, and an even guess among ten digits has 2.3. Was it "
            "trained, on "
            "lines like 028+367=5930, with the questions masked?"
        )
    places = (out == rows[:, 8:]).float().mean(0).tolist()
    wrong(
        f"{said}. By place, units first: {', '.join(f'{p:.0%}' for p in places)}. More steps, or a larger batch, "
        "until the carries "
        "are learned too."
    )


# --- EX2e: four operations --------------------------------------------------------------------------------------------


def _quotient(a: int, b: int) -> int:
    """How often b can be taken away from a."""
    count = 0
    while a >= b:
        a, count = a - b, count + 1
    return count


def _result(a: int, op: str, b: int) -> int:
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    return sum([a] * b) if op == "*" else _quotient(a, b)


@task("EX2e", "write `spell`")
def ex2e(spell):
    cases = [(7, "-", 25), (17, "/", 5), (99, "*", 99), (0, "/", 1), (5, "+", 0), (5, "-", 0), (5, "*", 0), (3, "-", 3)]
    cases += [(99, "/", 1), (1, "/", 99), (19, "/", 10), (0, "-", 99)]
    cases += [(random.randrange(100), op, random.randrange(op == "/", 100)) for op in "+-*/" for _ in range(80)]
    for a, op, b in cases:
        call = f"spell({a}, {op!r}, {b})"
        try:
            got = spell(a, op, b)
        except ZeroDivisionError:
            wrong(f"{call} divides by zero: work out the quotient only when it is asked for.")
        question, answer = _pair(call, got)
        _said(
            f"the question of {call}",
            question,
            str(a).zfill(2) + op + str(b).zfill(2) + "=",
            {
                "both operands have two digits.": f"{a}{op}{b}=",
                "the `=` belongs to the question.": f"{a:02}{op}{b:02}",
                "the question is not reversed.": f"{a:02}"[::-1] + op + f"{b:02}"[::-1] + "=",
            },
        )
        result = _result(a, op, b)
        digits, sign = str(abs(result)).zfill(4), "-" if result < 0 else "+"
        spelled = lambda r: ("-" if r < 0 else "+") + str(abs(r)).zfill(4)[::-1]
        mistakes = {
            "reverse the digits, the units first.": sign + digits,
            "the sign stands first, in front of the digits.": digits[::-1] + sign,
            "the sign is missing: every answer has one, `+` or `-`.": digits[::-1],
            "the sign is missing: every answer has one, `+` or `-`, before the digits.": digits,
            "fill up the digits to four, then reverse.": sign + digits.lstrip("0")[::-1],
            "fill up with zeros first, then reverse: now the zeros stand at the small end.": sign
            + str(abs(result))[::-1].zfill(4),
            "the minus sign took one of the four places: format `abs(result)`.": sign + f"{result:04}"[::-1],
            "zero has a `+`.": "-" + digits[::-1],
        }
        if op == "-":
            mistakes["the difference is negative."] = "+" + digits[::-1]
            mistakes["it is a - b, not b - a."] = spelled(b - a)
        if op == "/":
            mistakes["that is the remainder: the result is the quotient."] = spelled(a % b)
            mistakes["the quotient is rounded down."] = spelled(round(a / b))
            mistakes["the quotient is rounded down, not up."] = spelled(-(-a // b))
        _said(f"the answer of {call}", answer, spelled(result), mistakes)
    return "signs, widths and whole quotients are right."


# --- EX2f: intermediate steps -----------------------------------------------------------------------------------------


@task("EX2f", "write `spell_steps`")
def ex2f(spell_steps):
    problems = [(a, op, b) for op in "+-*/" for a in range(100) for b in range(op == "/", 100)]
    for a, op, b in [(47, "*", 35), (83, "/", 17), *random.sample(problems, 6000)]:
        call = f"spell_steps({a}, {op!r}, {b})"
        text = spell_steps(a, op, b)
        if text is None:
            wrong(f"{call} is None: does your function return its result?")
        if not isinstance(text, str):
            wrong(f"{call} should be a text, but it is a {type(text).__name__}.")
        if op in "+-":
            if text:
                wrong(f"{call} should be an empty text, but it is {text!r}: sums and differences have no steps.")
            continue
        parts = re.fullmatch(r"(\d{3}),(\d{3});", text)
        if not parts:
            wrong(
                f"{call} is {text!r}: two groups of three digits are asked for, like '532,141;', closed with a "
                "comma and a semicolon."
            )
        (_verify_product if op == "*" else _verify_division)(call, a, b, parts[1], parts[2])
    return "partial products add up, and every remainder is right."


def _verify_product(call: str, a: int, b: int, first: str, second: str) -> None:
    """The steps prove the product: each is a whole number of a's, and shifted they add up."""
    tens, units = divmod(b, 10)
    straight, turned = (int(first), int(second)), (int(first[::-1]), int(second[::-1]))
    want = a * units, a * tens
    if turned == want and turned[0] + 10 * turned[1] == _result(a, "*", b):
        return
    said = (
        f"{call} should begin with {str(want[0]).zfill(3)[::-1]!r} and go on with "
        f"{str(want[1]).zfill(3)[::-1]!r}, for {want[0]} and {want[1]}"
    )
    if straight == want:
        wrong(f"{said}; yours are not reversed.")
    if turned == want[::-1]:
        wrong(f"{said}: the units of b come first, then the tens.")
    if turned == (a * units, 10 * a * tens % 1000):
        wrong(f"{said}: the tens digit alone, not times ten.")
    if turned == (b * (a % 10), b * (a // 10)):
        wrong(f"{said}: you took the digits of a; multiply a by the digits of *b*.")
    if (first, second) == tuple(str(w)[::-1].zfill(3) for w in want):
        wrong(f"{said}: fill up with zeros first, then reverse.")
    wrong(f"{said}; yours are {first!r} and {second!r}.")


def _verify_division(call: str, a: int, b: int, first: str, second: str) -> None:
    """Replay a long division: in every step quotient · b + remainder is the number, and the remainder is below b."""
    tens, units = divmod(a, 10)
    rest, groups = 0, []
    for digit in (tens, units):
        number = 10 * rest + digit
        quotient = _quotient(number, b)
        rest = number - quotient * b
        groups.append(f"{quotient}{rest:02}")
    if [first, second] == groups:
        return
    said = f"{call} should begin with {groups[0]!r} and go on with {groups[1]!r}"
    if [first, second] == groups[::-1]:
        wrong(f"{said}: go through a from the left, the tens first.")
    if [first[::-1], second[::-1]] == groups:
        wrong(f"{said}: the groups of a division are not reversed.")
    if [first[-1] + first[:-1], second[-1] + second[:-1]] == groups:
        wrong(f"{said}: the quotient's digit comes first, then the remainder.")
    if [first[0] + first[:0:-1], second[0] + second[:0:-1]] == groups:
        wrong(f"{said}: the remainder is not reversed.")
    alone = f"{_quotient(units, b)}{units - _quotient(units, b) * b:02}"
    if first == groups[0] and second == alone:
        wrong(
            f"{said}: bring the digit down behind the remainder of the first step, ten times the remainder plus "
            "the digit."
        )
    for text in (first, second):
        if int(text[1:]) >= b:
            wrong(f"{said}: in {text!r} the remainder {int(text[1:])} is not below {b}, so b goes in once more.")
    wrong(f"{said}; yours are {first!r} and {second!r}.")


# --- EX3a: one vocabulary, three texts --------------------------------------------------------------------------------


@task("EX3a", "write `prepare`")
def ex3a(prepare):
    alphabet = "abcdefghijklmnopqrstuvwxyzABC \n.,!éß7"
    for small_size, large_size in ((57, 200), (200, 57), (10, 30), (1234, 999)):
        ours, theirs = random.sample(alphabet, 9), random.sample(alphabet, 12)
        small, large = "".join(random.choices(ours, k=small_size)), "".join(random.choices(theirs, k=large_size))
        rare = next(c for c in alphabet if c not in small + large)
        small = small[:-1] + rare  # a character that occurs in the validation part only
        out = prepare(large, small)
        if out is None:
            wrong("prepare returned None: does your function return its results?")
        if not isinstance(out, tuple | list) or len(out) != 4:
            wrong("prepare should return four things: the characters, large, and the two parts of small.")
        chars, *ids = out
        want = "".join(sorted(set(large).union(small)))
        if not isinstance(chars, str):
            wrong(f"the characters should be one text, but they are a {type(chars).__name__}: `''.join(...)`.")
        if chars != want:
            if chars == "".join(sorted(set(small))):
                wrong("the vocabulary lacks characters of the large text.")
            if chars == "".join(sorted(set(large))):
                wrong("the vocabulary lacks characters of the small text.")
            if sorted(chars) == sorted(want):
                wrong("the vocabulary is not sorted, so its numbers would change from run to run.")
            if len(set(chars)) < len(chars):
                wrong("some characters stand twice in the vocabulary.")
            if set(chars) == set(want) - {rare}:
                wrong(
                    "the vocabulary lacks a character that occurs in the validation part only: take both texts whole."
                )
            wrong(f"the characters should be {want!r}, but they are {chars!r}.")
        place = {c: i for i, c in enumerate(want)}
        encoded = lambda text, place=place: torch.tensor([place[c] for c in text], dtype=torch.int64)
        cut = int(0.9 * small_size)
        for name, got, text in (
            ("large", ids[0], large),
            ("train", ids[1], small[:cut]),
            ("validation", ids[2], small[cut:]),
        ):
            if not isinstance(got, torch.Tensor) or got.dtype != torch.int64:
                wrong(
                    f"the {name} ids should be an int64 tensor, but they are "
                    f"{getattr(got, 'dtype', type(got).__name__)}."
                )
            mistakes = {}
            if name == "validation":
                mistakes["that is all of the small text: the last tenth only."] = encoded(small)
                mistakes["that is the first tenth of the small text: the last is asked for."] = encoded(
                    small[: small_size - cut]
                )
            if name == "train":
                mistakes[
                    "that is all of the small text, and the validation part with it: nothing of that may be read "
                    "before."
                ] = encoded(small)
                mistakes["that is the validation part."] = encoded(small[cut:])
                mistakes["that is the end of the small text: train on its first nine tenths."] = encoded(
                    small[small_size - cut :]
                )
            if name == "large":
                mistakes["that is nine tenths of the large text: all of it is read."] = encoded(
                    large[: int(0.9 * large_size)]
                )
                mistakes["that is the small text."] = encoded(small)
                mistakes["the validation part is read with the large text: nothing of it may be read before."] = (
                    encoded(large + small)
                )
            same(f"the {name} ids", got, encoded(text), mistakes)
    return "one vocabulary, and the validation part kept apart."


# --- EX3b: two phases -------------------------------------------------------------------------------------------------


@task("EX3b", "write `two_phases`")
def ex3b(two_phases):
    for switch, B, T in ((3, 4, 5), (0, 2, 3), (5, 1, 8), (1, 6, 4)):
        first = torch.arange(60)
        second = torch.arange(1000, 1040)
        g, reference = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
        next_batch = two_phases(first, second, switch, B, T, g)
        other = two_phases(second, first, 1, B, T, torch.Generator().manual_seed(8))  # a second one, at the same time
        if next_batch is None:
            wrong("two_phases returned None: return the function that makes the batches.")
        if not callable(next_batch):
            wrong("two_phases should return a function: return it by its name, without calling it.")
        for call in range(8):
            out = next_batch()
            if not isinstance(out, tuple | list) or len(out) != 2 or not all(isinstance(t, torch.Tensor) for t in out):
                wrong("each call should return two tensors, x and y, as get_batch does.")
            x, y = out
            for name, t in (("x", x), ("y", y)):
                if tuple(t.shape) != (B, T):
                    wrong(
                        f"{name} should have shape {(B, T)}, for batch_size {B} and block_size {T}, but it has "
                        f"{tuple(t.shape)}."
                    )
            if not torch.equal(y, x + 1) or not torch.equal(x, x[:, :1] + torch.arange(T)):
                wrong("y is not the text one character after x: take both from one get_batch.")
            got, want = bool((x >= 1000).any()), call >= switch
            if got != want:
                if switch == 0:
                    wrong("with switch = 0 the very first call should get the second text.")
                if (call < switch) and got:
                    wrong(
                        f"call {call + 1} got the second text, with switch = {switch}: the first `switch` calls "
                        "get the first. Do you "
                        "count one too early, or is the count shared between two schedules (a global)?"
                    )
                if call == switch:
                    wrong(
                        f"call {call + 1} still got the first text, with switch = {switch}: exactly `switch` "
                        "calls get the first."
                    )
                wrong(
                    f"call {call + 1} got the first text, with switch = {switch}: does your count go up with "
                    "every call?"
                )
            ids = second if want else first
            starts = torch.randint(len(ids) - T, (B,), generator=reference)
            if not torch.equal(x[:, 0], ids[starts]):
                wrong(
                    "the chunks are not drawn by the `generator` of the argument, once each call: pass it to get_batch."
                )
            other()
    return "the texts change at the right call."


# --- EX4a: RMSNorm ----------------------------------------------------------------------------------------------------


@task("EX4a", "write `forward`")
def ex4a(RMSNorm):
    for shape, eps in (((4, 3, 8), 1e-5), ((5, 6), 0.3), ((2, 7, 4, 1), 1e-2), ((3, 3, 3), 0.5), ((12,), 1e-6)):
        norm, reference = RMSNorm(shape[-1], eps).double(), nn.RMSNorm(shape[-1], eps).double()
        with torch.no_grad():
            for p in norm.parameters():
                p.copy_(torch.randn(shape[-1], dtype=torch.double))
            reference.weight.copy_(norm.weight)
        x = torch.randn(*shape, dtype=torch.double) * 2 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        with mock.patch.object(F, "rms_norm", _ready_made), mock.patch.object(torch, "rms_norm", _ready_made):
            got = norm(a)
        if not torch.equal(a, x):
            wrong("forward changed its input in place.")
        want = reference(b)
        if isinstance(got, torch.Tensor) and got.dtype != torch.double:
            wrong(f"the input is float64, the output {got.dtype}: leave the numbers' type as it is.")
        g, square = norm.weight.detach(), x.square().mean(-1, keepdim=True)
        centred = x - x.mean(-1, keepdim=True)
        same(
            f"the output for an input of shape {shape} and eps = {eps}",
            got,
            want,
            {
                "that is LayerNorm: RMSNorm leaves the mean alone.": centred
                / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
                * g,
                "you divided by the standard deviation: the mean is not subtracted under the root either.": x
                / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
                * g,
                "the weight is missing.": x / (square + eps).sqrt(),
                "eps is outside of the root: add it to the mean square.": x / (square.sqrt() + eps) * g,
                "eps is missing: add it to the mean square.": x / square.sqrt() * g,
                "use `self.eps`: yours is fixed.": x / (square + 1e-5).sqrt() * g,
                "the root is missing: divide by the root of the mean square.": x / (square + eps) * g,
                "you took the sum of the squares: the root *mean* square.": x
                / (x.square().sum(-1, keepdim=True) + eps).sqrt()
                * g,
                "you normalised over all numbers: each position has its own mean square, over the last dimension.": x
                / (x.square().mean() + eps).sqrt()
                * g,
                "you normalised over the first dimension: the features are the last.": x
                / (x.square().mean(0, keepdim=True) + eps).sqrt()
                * g,
                "you multiplied by the root mean square: divide by it.": x * (square + eps).sqrt() * g,
            },
            rtol=1e-9,
            atol=1e-10,
        )
        weights = torch.randn_like(want)
        grads = _gradients(got, weights, (a, norm.weight))
        wants = torch.autograd.grad((want * weights).sum(), (b, reference.weight))
        for name, grad, target in zip(("x", "the weight"), grads, wants, strict=True):
            if grad is None:
                wrong(f"no gradient reaches {name}: is something detached on the way?")
            same(f"the gradient of {name}", grad, target, {}, rtol=1e-7, atol=1e-8)
    return "equal to torch.nn.RMSNorm, with gradients."


def _ready_made(*_, **__):
    wrong("`rms_norm` does all of the task: write it with plain operations.")


# --- EX4b: SwiGLU -----------------------------------------------------------------------------------------------------


@task("EX4b", "write `swiglu_width` and `swiglu`")
def ex4b(swiglu_width, swiglu):
    for n in (64, 3, 1, 128, 48, 100, 768, 4096, 63, 65):
        got = swiglu_width(n)
        if got is None:
            wrong("swiglu_width returned None: does your function return its result?")
        if isinstance(got, bool) or not isinstance(got, int):
            wrong(f"swiglu_width({n}) is a {type(got).__name__}: a width is an int.")
        want = next(h for h in range(8, 20_000, 8) if 3 * h >= 8 * n)
        same(
            f"swiglu_width({n})",
            got,
            want,
            {
                "that is rounded down: at least 8/3 of n_embd.": 8 * n // 3 // 8 * 8,
                "that is rounded to the nearest multiple of 8: at least 8/3 of n_embd.": round(n / 3) * 8,
                "that is not a multiple of 8.": 8 * n // 3,
                "that is not a multiple of 8. ": -(-8 * n // 3),
                "that is 4 times n_embd, the width with two matrices: three have two thirds of it.": 4 * n,
                "8/3 of n_embd is a multiple of 8 already: then it stays.": 8 * (n // 3 + 1),
            },
        )
    for lead, C, h in (((2, 5), 6, 9), ((7,), 4, 4), ((), 3, 8), ((2, 3, 4), 8, 5)):
        x = torch.randn(*lead, C, dtype=torch.double, requires_grad=True)
        W1, W3 = (torch.randn(h, C, dtype=torch.double, requires_grad=True) for _ in range(2))
        W2 = torch.randn(C, h, dtype=torch.double, requires_grad=True)
        arguments = (x, W1, W2, W3)
        kept = [t.detach().clone() for t in arguments]
        got = swiglu(*arguments)
        if not all(torch.equal(t, old) for t, old in zip(arguments, kept, strict=True)):
            wrong("swiglu changed what it was given, in place.")
        a, b = F.linear(x, W1), F.linear(x, W3)
        want = F.linear(a / (1 + torch.exp(-a)) * b, W2)
        mistakes = {
            "the wrong branch goes through silu: W1's, not W3's.": (a * F.silu(b)) @ W2.T,
            "both branches go through silu: only W1's does.": (F.silu(a) * F.silu(b)) @ W2.T,
            "the activation is a sigmoid: silu(z) is z · sigmoid(z).": (torch.sigmoid(a) * b) @ W2.T,
            "the activation is a GELU: take silu.": (F.gelu(a) * b) @ W2.T,
            "the activation is a ReLU: take silu.": (F.relu(a) * b) @ W2.T,
            "the activation is missing.": (a * b) @ W2.T,
            "silu takes the product of both branches: only W1's goes through it.": F.silu(a * b) @ W2.T,
            "the branches are added: multiply them.": (F.silu(a) + b) @ W2.T,
            "the gate W3 is missing.": F.silu(a) @ W2.T,
            "W2 is missing at the end.": F.silu(a) * b,
        }
        if len(W1) == C:
            mistakes["W2 and W3 are exchanged: mind the order of the arguments."] = (F.silu(a) * (x @ W2.T)) @ W3.T
            mistakes["the matrices are transposed: a row for each output, so x @ W.T."] = (
                F.silu(x @ W1) * (x @ W3)
            ) @ W2
        same(f"the output for x of shape {tuple(x.shape)} and h = {h}", got, want, mistakes, rtol=1e-9, atol=1e-10)
        weight = torch.randn_like(want)
        grads = _gradients(got, weight, arguments)
        wants = torch.autograd.grad((want * weight).sum(), arguments)
        for name, grad, target in zip(("x", "W1", "W2", "W3"), grads, wants, strict=True):
            if grad is None:
                wrong(f"no gradient reaches {name}: is something detached on the way?")
            same(f"the gradient of {name}", grad, target, rtol=1e-7, atol=1e-8)
    return "gated by silu, and as many parameters as before."


# --- EX4c: RoPE -------------------------------------------------------------------------------------------------------


def _rotated(x, start, base, how="right"):
    """Pairs as complex numbers, each times exp(i t theta); or one usual mistake."""
    T, hs = x.shape[-2:]
    i = torch.arange(hs // 2, dtype=torch.double)
    theta = {"exponent": base ** (-i / hs), "forward": base ** (2 * i / hs), "one theta": torch.ones_like(i)}.get(
        how, base ** (-2 * i / hs)
    )
    t = torch.arange(T, dtype=torch.double) + {"from 0": 0, "from 1": start + 1}.get(how, start)
    angle = t[:, None] * theta
    if how == "backwards":
        angle = -angle
    if how == "doubled":
        angle = 2 * angle
    if how == "halves":
        first, second = x[..., : hs // 2], x[..., hs // 2 :]
    else:
        first, second = x[..., 0::2], x[..., 1::2]
    turned = torch.complex(first.double(), second.double()) * torch.polar(torch.ones_like(angle), angle)
    if how in ("halves", "torn"):
        return torch.cat([turned.real, turned.imag], -1)
    if how == "same sign":
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([first * cos + second * sin, first * sin + second * cos], -1).flatten(-2)
    return torch.view_as_real(turned).flatten(-2)


_ROPE_MISTAKES = {
    "from 0": "`start` is not used: row t stands at position start + t.",
    "from 1": "the positions are one too high: row 0 stands at position `start`.",
    "exponent": "the angles fall too slowly: θ_i = base^(-2i / hs), with i the number of the pair.",
    "forward": "the angles grow from pair to pair: the exponent is negative.",
    "one theta": "all pairs turn by the same angle: pair i has θ_i = base^(-2i / hs).",
    "backwards": "it turns backwards: the minus sign belongs to the sine in the first row of the matrix.",
    "doubled": "each angle is twice as large as it should be.",
    "halves": "you paired feature i with feature i + hs/2, as some libraries do: here neighbours are pairs, 0 "
    "and 1, 2 and 3.",
    "torn": "the pairs are torn apart: after the rotation their two numbers should be neighbours again (stack, "
    "then flatten).",
    "same sign": "a sign is wrong: the first row of the matrix has -sin.",
}


@task("EX4c", "write `apply_rotary`")
def ex4c(apply_rotary):
    for shape, start, base in (
        ((2, 3, 7, 8), 0, 10_000.0),
        ((1, 5, 6), 4, 100.0),
        ((9, 2), 1, 10.0),
        ((2, 4, 4, 4), 30, 500_000.0),
        ((3, 1, 4), 11, 10_000.0),
        ((2, 3, 8, 10), 0, 50.0),
    ):
        big = torch.randn(*shape[:-2], shape[-1], shape[-2], dtype=torch.double)
        x = big.transpose(-2, -1)  # not contiguous
        kept = x.clone()
        got = apply_rotary(x, start, base)
        if not torch.equal(x, kept):
            wrong("apply_rotary changed its input in place: return a new tensor.")
        if isinstance(got, torch.Tensor) and got.dtype != torch.double:
            wrong(f"the input is float64, the output {got.dtype}: the same dtype is asked for.")
        want = _rotated(kept, start, base)
        mistakes = {said: _rotated(kept, start, base, how) for how, said in _ROPE_MISTAKES.items()}
        if base != 10_000.0:
            mistakes["`base` is not used: yours is fixed."] = _rotated(kept, start, 10_000.0)
        if len(shape) > 3 and shape[-3] != shape[-2]:
            heads = torch.arange(shape[-3], dtype=torch.double) + start
            turned = torch.stack(
                [_rotated(kept[..., h, :, :].unsqueeze(-2), int(p), base).squeeze(-2) for h, p in enumerate(heads)], -3
            )
            mistakes["the positions run over the heads: T is the last dimension but one."] = turned
        mistakes["nothing is rotated."] = kept
        if isinstance(got, torch.Tensor) and got.shape == want.shape and 1e-8 < (got - want).abs().max() < 1e-5:
            wrong(
                f"right, but to {(got - want).abs().max():.0e} only: x is float64, and your angles are float32. "
                "Compute them in the dtype of x, or in a finer one."
            )
        same(
            f"the output for x of shape {shape}, start = {start}, base = {base:g}",
            got,
            want,
            mistakes,
            rtol=1e-8,
            atol=1e-8,
        )
    single = torch.randn(2, 5, 8)
    out = apply_rotary(single)
    if out.dtype != torch.float32:
        wrong(f"the input is float32, the output {out.dtype}: the same dtype is asked for.")
    same(
        "the output in float32, without start and base",
        out,
        _rotated(single, 0, 10_000.0).float(),
        rtol=1e-4,
        atol=1e-5,
    )
    x = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    out = apply_rotary(x, 2)
    (grad,) = _gradients(out, out, (x,))
    if grad is None:
        wrong("no gradient reaches x: is something detached on the way?")
    same(
        "the gradient of the squared length, which a rotation leaves as it is,",
        grad,
        2 * x.detach(),
        rtol=1e-8,
        atol=1e-9,
    )
    q, k = torch.randn(2, 1, 8, dtype=torch.double)
    scores = torch.stack([(apply_rotary(q, t + 3) * apply_rotary(k, t)).sum() for t in (0, 5, 40)])
    same(
        "the score of two positions three apart, wherever they stand,",
        scores,
        scores[0].expand(3),
        rtol=1e-7,
        atol=1e-8,
    )
    return "a score depends on the distance only."
