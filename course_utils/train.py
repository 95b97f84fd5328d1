"""What every training loop needs and no lecture is about."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(steps: Iterable | int, what: str = "", **options) -> tqdm:
    """A progress bar over `steps` (an iterable, or a number of steps), one text line that any front end can show.

    Use it for whatever takes longer than two seconds; `bar.set_postfix_str("loss 2.31")` adds a word on its right.
    options: passed on to tqdm (`total`, `unit`, ...).
    """
    steps = range(steps) if isinstance(steps, int) else steps
    return tqdm(steps, desc=what, file=sys.stdout, ncols=80, mininterval=0.2, **options)
