"""What an exercise's check is made of: `task` around it, `same` and `wrong` inside it.

A check lives in `course_utils/checks/<lecture>.py`. It calls the learner's code on inputs of its own, compares with an
independent reference, and says what looks wrong in the learner's terms.
"""

import linecache
import random
import re
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import numpy as np
import torch

PACKAGE = str(Path(__file__).parents[1])


class Wrong(AssertionError):
    """A check's verdict. In a notebook only its sentence is shown, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


def wrong(message: str) -> None:
    """Stop the check with this sentence: what looks wrong, in the learner's terms."""
    raise Wrong(message)


def task(label: str, todo: str) -> Callable:
    """Make a function a check: `@task("E04", "write `bigram_logits`")`.

    The check gets the learner's objects as arguments, runs with its own seed (the page's generators are left as they
    were), and may return a sentence that is printed when it passes. A stub not filled in, and an error inside the
    learner's code, become one clear sentence.
    """

    def decorate(check: Callable) -> Callable:
        @wraps(check)
        def run(*answers, **named) -> None:
            python, numpy = random.getstate(), np.random.get_state()
            try:
                with torch.random.fork_rng(devices=[]):
                    random.seed(0)
                    np.random.seed(0)
                    torch.manual_seed(0)
                    praise = check(*answers, **named)
            except Wrong as verdict:
                raise Wrong(f"{label}: {verdict}") from None
            except NotImplementedError as stub:
                other = re.match(r"([EX]+\d+[a-z]?): ", str(stub))  # a stub says whose it is
                if other and other[1] != label:
                    raise Wrong(f"{label} uses {other[1]}, which is still to do: fill that in first.") from None
                raise Wrong(
                    f"{label} is still to do: {todo} in the cell above, run that cell, then run this one."
                ) from None
            except Exception as problem:
                raise Wrong(f"{label}: {_where(problem)}") from problem
            finally:
                random.setstate(python)
                np.random.set_state(numpy)
            print(f"✓ {label} passed" + (f": {praise}" if praise else "."))

        return run

    return decorate


def _where(problem: Exception) -> str:
    """One sentence on an error inside the learner's code: its kind, its words, the learner's own line."""
    frames = [f for f in traceback.extract_tb(problem.__traceback__) if not f.filename.startswith(PACKAGE)]
    own = [f for f in frames if "site-packages" not in f.filename and "lib/python" not in f.filename]
    sentence = f"your code stopped with {type(problem).__name__}: {problem}"
    if own:
        line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno).strip()
        sentence += f"\n  in `{own[-1].name}`, at the line: {line}"
    return sentence


def same(
    what: str,
    got,
    want,
    mistakes: dict[str, object] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> None:
    """Compare an answer with the reference, and name the mistake when it is a known one.

    what: names the compared thing in the learner's terms ("the loss", "P[3]").  got, want: a number, a sequence of
    numbers, or a tensor.  mistakes: {sentence: the value that this usual mistake would give}; the first that matches
    is said.  rtol, atol: as in `torch.testing.assert_close`.
    """
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    wanted = torch.as_tensor(want)
    try:
        given = torch.as_tensor(got).detach()
    except (TypeError, ValueError, RuntimeError):
        wrong(f"{what} should be {_kind(want)}, but it is {_kind(got)}.")
    for sentence, value in (mistakes or {}).items():
        value = torch.as_tensor(value)
        if (
            value.shape == given.shape
            and _close(given, value, rtol, atol)
            and not (value.shape == wanted.shape and _close(value, wanted, rtol, atol))
        ):
            wrong(sentence)
    if given.shape != wanted.shape:
        wrong(f"{what} should have shape {tuple(wanted.shape)}, but it has {tuple(given.shape)}.")
    if not given.isfinite().all() and wanted.isfinite().all():
        wrong(f"{what} holds nan or inf.")
    if not _close(given, wanted, rtol, atol):
        off = (given.double() - wanted.double()).abs()
        if not off.shape:
            wrong("{} should be {}, but it is {}.".format(what, *apart(wanted.item(), given.item())))
        place = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
        at = "[" + ", ".join(map(str, place)) + "]"
        should, got = apart(wanted[place].item(), given[place].item())
        wrong(f"{what} is off by up to {off.max():.3g}; at {at} it should be {should}, but it is {got}.")


def apart(x: float, y: float) -> tuple[str, str]:
    """Two numbers in six digits each, or in as many more as it takes to see that they differ."""
    for digits in (6, 9, 12, 15):
        texts = f"{x:.{digits}g}", f"{y:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{x:.6g}", f"{y:.6g}"


def _kind(value) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _close(a: torch.Tensor, b: torch.Tensor, rtol: float, atol: float) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=rtol, atol=atol, equal_nan=True)
