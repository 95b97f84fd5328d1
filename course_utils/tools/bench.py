"""`course bench`: the classic training loop and the lecture's own, on this machine, against the clock.

Ours is the page's code itself: its functions, classes, parameters and data are taken out of sources/lectures, so that
what is measured here is what the page does. The classic loop is written here, as the original lectures have it: 32
examples drawn at random for every step, plain gradient descent at 0.1 and towards the end at 0.01, and the loss
fetched with `.item()` each time. It runs for a few seconds and is extrapolated to the published number of steps.
"""

import ast
import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType

import torch
import torch.nn.functional as F

from course_utils import data, lesson, train

from . import pages
from .pages import CourseError

STEPS, BATCH = 200_000, 32  # published, for lectures 03 to 06
STRETCH = 6.0  # seconds of the classic loop that are timed
PART = 0.2  # of lecture 07's run, unless it is wanted whole
HEAD = "lecture", "reference", "our loss", "classic s", "from steps", "ours s ", "ratio"
COLUMNS = "{:7}  {:>9}  {:>15}  {:>9}  {:>17}  {:>8}  {:>5}"


@dataclass
class Race:
    """The two sides for one lecture."""

    reference: float  # the loss to reach, in nats a character
    step: Callable[[int], float]  # the classic loop's step number i; returns its loss
    ours: Callable[[], Callable[[], float]]  # trains (which is timed), and returns what measures the loss
    note: str  # what a reader of the table must know
    steps: int = STEPS  # of the classic, to the reference
    share: float = 1.0  # of our training that `ours` runs; below 1 its loss says nothing
    threads: int = 1  # that the page computes with


def lift(stem: str, wanted: str, instead: dict | None = None) -> ModuleType:
    """What a lecture's page defines, without running the page.

    That is its imports, functions, classes, parameters and number of threads, and the first assignment of each name in
    `wanted` (separated by spaces). instead: other values for some of these names.  Raises CourseError for a name that
    the page no longer has.
    """
    path = pages.ROOT / f"sources/lectures/{stem}.py"
    text = path.read_text(encoding="utf-8")
    before, _, after = text.partition('\n# %% tags=["parameters"]\n')
    first = before.count("\n") + 2
    last = first + after.partition("\n# %%")[0].count("\n") + 1
    page, missing = ModuleType(stem), set(wanted.split())
    page.device = lesson.pick_device()
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        defined = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        parameter = names and first <= node.lineno <= last
        if defined or parameter or names & missing or ast.unparse(node).startswith("torch.set_num_threads("):
            exec(compile(ast.Module([node], []), path, "exec"), vars(page))
            missing -= names
            vars(page).update({name: value for name, value in (instead or {}).items() if name in names})
    if missing:
        raise CourseError(f"{stem} no longer has {', '.join(sorted(missing))}: let course_utils/tools/bench.py follow.")
    return page


def rate(i: int) -> float:
    """The classic learning rate at step i. (Lecture 06's original lets it fall at 150,000: the time is the same.)"""
    return 0.1 if i < STEPS // 2 else 0.01


def descent(loss_of: Callable, parameters: list[torch.Tensor], X: torch.Tensor, Y: torch.Tensor, seed: int) -> Callable:
    """The classic step: draw, loss, backward, descend. loss_of: contexts (32, T) and answers (32,) -> the loss, ()."""
    g = torch.Generator().manual_seed(seed)

    def step(i: int) -> float:
        pick = torch.randint(len(X), (BATCH,), generator=g).to(X.device)
        loss = loss_of(X[pick], Y[pick])
        for p in parameters:
            p.grad = None
        loss.backward()
        for p in parameters:
            p.data -= rate(i) * p.grad
        return loss.item()

    return step


def mlp(page: ModuleType) -> Race:
    """Lecture 03."""
    P = page.init(page.context, page.emb, page.hidden)
    step = descent(lambda x, y: F.cross_entropy(page.logits_of(P, x), y), P, page.Xtr, page.Ytr, seed=0)

    def ours() -> Callable:
        fitted, _, _ = page.fit()
        return lambda: page.loss_on(fitted, page.Xdev, page.Ydev)

    return Race(2.168, step, ours, "the same network on both sides")


def batchnorm(page: ModuleType) -> Race:
    """Lecture 04: the classic on the network that the reference is of, ours on the one that the page trains."""
    p = page.make_network(scale_W1=(5 / 3) / 30**0.5, scale_b1=0.01, scale_W2=0.01, scale_b2=0.0)
    p["gamma"] = torch.ones(200, device=page.device, requires_grad=True)
    p["beta"] = torch.zeros(200, device=page.device, requires_grad=True)
    running = {"mean": torch.zeros(200, device=page.device), "var": torch.ones(200, device=page.device)}
    loss_of = lambda x, y: F.cross_entropy(page.forward_bn(p, x, running), y)
    step = descent(loss_of, list(p.values()), page.Xtr, page.Ytr, seed=1)

    def ours() -> Callable:
        dev_losses = page.train_fast(page.candidates["without"], "04 ours")[2]
        return lambda: dev_losses[-1]

    note = "the classic's network is the reference's (embedding 10, 200 neurons, BatchNorm), ours the page's larger one"
    return Race(2.103, step, ours, note)


def by_hand(page: ModuleType) -> Race:
    """Lecture 05: gradients by hand on both sides."""
    P, G, flat, flat_grad = page.make_network(page.embeddings[0], seed=0)
    g = torch.Generator().manual_seed(0)

    def step(i: int) -> float:
        pick = torch.randint(len(page.Xtr), (BATCH,), generator=g)
        loss = page.gradients(P, G, page.Xtr[pick], page.Ytr[pick])
        flat.sub_(rate(i) * flat_grad)
        return loss.item()

    def ours() -> Callable:
        fitted, _, _ = page.fit(page.embeddings[-1])
        page.calibrate(fitted)
        return lambda: F.cross_entropy(page.logits_of(fitted, page.Xdev), page.Ydev).item()

    note = "gradients by hand on both sides; the classic's embedding is the reference's {}, ours {}"
    return Race(2.110, step, ours, note.format(*page.embeddings))


def wavenet(page: ModuleType) -> Race:
    """Lecture 06: the page's tree, twice."""
    twin = copy.deepcopy(page.wavenet)
    loss_of = lambda x, y: F.cross_entropy(twin(x), y)
    step = descent(loss_of, list(twin.parameters()), page.X, page.Y, seed=page.seed)

    def ours() -> Callable:
        page.learn(page.wavenet, page.on_windows, len(page.X), page.epochs, "06 ours")
        return lambda: page.evaluate(page.wavenet, page.Xdev, page.Ydev)

    return Race(1.993, step, ours, "the same network on both sides")


def gpt(page: ModuleType) -> Race:
    """Lecture 07: the classic gets as many tokens as ours, in batches of 32, by an AdamW that is not fused.

    That flatters it: tried once, it stood at 1.713 after these 1,400 steps, and at 1.663 after 2,100.
    """
    T, ids = page.block_size, page.train_ids.to(page.device)
    torch.manual_seed(1337)
    model = page.GPT(page.config).to(page.device)
    slow = copy.deepcopy(model)
    optimizer, g = torch.optim.AdamW(slow.parameters(), lr=1e-3, fused=False), torch.Generator().manual_seed(0)

    def step(i: int) -> float:
        starts = torch.randint(len(ids) - T, (BATCH,), generator=g).tolist()
        x, y = (torch.stack([ids[s + k : s + k + T] for s in starts]) for k in (0, 1))  # (B, T), (B, T)
        _, loss = slow(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def ours() -> Callable:
        g = torch.Generator().manual_seed(0)
        next_batch = lambda: page.get_batch(ids, page.batch_size, T, g)
        page.fit(model, next_batch, round(page.steps * race.share), page.peak_rate, what="07 ours")
        return lambda: page.evaluate(model, page.val_ids.to(page.device), T)

    tokens = page.steps * page.batch_size * T
    note = f"the same network, as many tokens ({tokens:,}) on both sides; in a trial they took the classic only to 1.71"
    return (race := Race(page.target, step, ours, note, steps=tokens // (BATCH * T), share=PART))


RACES: dict[str, tuple[str, Callable[[ModuleType], Race]]] = {
    "03_makemore_mlp": ("words train_words Xtr Xdev", mlp),
    "04_makemore_activations_batchnorm": ("names V parts Xtr candidates", batchnorm),
    "05_makemore_backprop_ninja": ("device words chars train_words Xtr", by_hand),
    "06_makemore_wavenet": ("words train_words vocab X Xdev wavenet", wavenet),
    "07_gpt": ("text vocab ids cut train_ids config", gpt),
}


def prepare(stem: str, instead: dict | None = None) -> Race:
    """The race of one lecture; `instead` as in `lift`. The process keeps its number of threads. Raises CourseError."""
    if stem not in RACES:
        known = ", ".join(name[:2] for name in RACES)
        raise CourseError(f"{stem} has no classic loop to race against: `course bench` knows {known}.")
    wanted, make, before = *RACES[stem], torch.get_num_threads()
    try:
        race = make(lift(stem, wanted, instead))
        race.threads = torch.get_num_threads()
        return race
    except data.DataError as problem:
        raise CourseError(str(problem)) from None
    finally:
        torch.set_num_threads(before)


def run(number: str, race: Race, seconds: float) -> str:
    """Time both sides of one lecture, the classic first. Returns the line of the table."""
    done, begin = 0, perf_counter()
    while not done or perf_counter() - begin < seconds / 4:  # the warm-up also tells how many steps to time
        race.step(done)
        done += 1
    timed, losses = max(1, round(done * seconds / (perf_counter() - begin))), []
    begin = perf_counter()
    for i in train.progress(timed, f"{number} classic loop"):
        losses.append(race.step(done + i))
    classic = race.steps * (perf_counter() - begin) / timed
    print(f"{number} ours: the page's training", flush=True)
    begin = perf_counter()
    measure = race.ours()
    ours = (perf_counter() - begin) / race.share
    loss = measure() if race.share == 1 else math.nan  # a part of a training says nothing about its end
    said = "not measured" if math.isnan(loss) else f"{loss:.4f}" + " (above)" * (loss > race.reference)
    took = f"{ours:.1f}" + (" " if race.share == 1 else "*")
    print(f"{number} classic {classic:,.0f} s, extrapolated; ours {took}s, loss {said}\n", flush=True)
    cells = f"{classic:,.0f}", f"{timed:,} of {race.steps:,}", took, f"{classic / ours:.1f}"
    return COLUMNS.format(number, race.reference, said, *cells)


def bench(stems: list[str], whole: bool = False) -> int:
    """Run the races of these lectures, all when none is given, and print the table. Raises CourseError."""
    pages.need_checkout()
    races = {stem[:2]: prepare(stem) for stem in sorted(set(stems or RACES))}
    threads, lines = torch.get_num_threads(), []
    for number, race in races.items():
        torch.set_num_threads(race.threads)
        race.share = 1.0 if whole else race.share
        lines.append(run(number, race, STRETCH))
    torch.set_num_threads(threads)
    print(COLUMNS.format(*HEAD), *lines, "", sep="\n")
    print(*(f"{number}: {race.note}." for number, race in races.items()), sep="\n")
    if any(race.share < 1 for race in races.values()):
        print(f"* extrapolated as well, from {PART:.0%} of the training: `course bench 07 --whole` runs all of it.")
    used = ", ".join(f"{number}: {race.threads}" for number, race in races.items())
    print("Classic seconds are extrapolated from the steps in the table; ours are measured, unless marked with *.")
    print(f"{os.cpu_count()} cores, threads {used}; torch {torch.__version__}, {lesson.pick_device().type}.")
    return 0
