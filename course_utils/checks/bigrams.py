"""The checks of exercises/02_makemore_bigrams.ipynb."""

import math
import random
from collections import Counter
from itertools import combinations, pairwise
from numbers import Real

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from course_utils.lectures.names import LETTERS, CharVocab

from . import same, task, wrong


def _words(count: int, letters: str, longest: int = 6) -> list[str]:
    """Random words in which some letters are more frequent than others, so that no two tables look alike."""
    weights = [random.uniform(0.2, 2) for _ in letters]
    return ["".join(random.choices(letters, weights, k=random.randint(1, longest))) for _ in range(count)]


def _counted(texts: list[str], vocab: CharVocab, n: int) -> torch.Tensor:
    """How often each run of n characters occurs in the texts: n dimensions of V, counted one by one."""
    N = torch.zeros((len(vocab),) * n, dtype=torch.int64)
    for text in texts:
        for i in range(len(text) - n + 1):
            N[tuple(vocab.index[char] for char in text[i : i + n])] += 1
    return N


class _Called(TorchFunctionMode):
    """Inside `with`, the names of all PyTorch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", "").strip("_"))
        return function(*args, **(kwargs or {}))


def _tensor(what: str, got, kind: str = "a tensor") -> torch.Tensor:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, torch.Tensor):
        wrong(f"{what} should be {kind}, but it is a {type(got).__name__}.")
    return got


# --- E01a: counts and probabilities -----------------------------------------------------------------------------------


def _check_counts(trigram_counts) -> None:
    for vocab in (LETTERS, CharVocab("bdkz"), CharVocab("aeiouy"), CharVocab("z")):
        V = len(vocab)
        words = _words(60, vocab.chars[1:])
        given = list(words)
        try:
            N = trigram_counts(given, vocab)
        except (RuntimeError, IndexError, ValueError) as problem:
            if vocab is LETTERS:
                raise
            wrong(
                f"`trigram_counts` works for 27 characters and fails for an alphabet of {V} ({type(problem).__name__}):"
                " take V from len(vocab), and the numbers of the characters from `vocab`."
            )
        N = _tensor("your N", N)
        if given != words:
            wrong("`trigram_counts` changed the list of words that it was given: leave it as it is.")
        if N.shape == (27, 27, 27) and V != 27:
            wrong(f"27 is written into your code: this vocabulary has {V} characters, and len(vocab) knows it.")
        if N.shape == (V, V):
            wrong("this is a table of pairs: a trigram model needs three dimensions, N[i, j, k].")
        if N.shape == (V, V, V) and N.dtype != torch.int64:
            wrong(f"counts are whole numbers: N should be int64, but it is {N.dtype}.")

        def counted(form: str, words=words, vocab=vocab):
            return _counted([form.format(word) for word in words], vocab, 3)

        want = counted("..{}.")
        mistakes = {
            "the beginnings and the ends are missing: two dots stand before each word and one after it.": counted("{}"),
            "with one dot before a word its first character is predicted nowhere: two dots before each word.": (
                counted(".{}.")
            ),
            "the beginnings are missing: two dots before each word.": counted("{}."),
            "the ends are missing: a dot follows each word, and the model has to learn to write it.": counted("..{}"),
            "with two dots after a word, a dot is counted as following the end: one dot after each word.": (
                counted("..{}..")
            ),
            "with three dots before a word you count `...`, which predicts nothing: two are enough.": (
                counted("...{}.")
            ),
            "the words run into one another: no triple may hold the end of one and the start of the next.": (
                _counted(["." + ".".join(words) + "."], vocab, 3)
            ),
            "the words run into one another: no triple may hold the end of one and the start of the next. ": (
                _counted([".." + ".".join(words) + "."], vocab, 3)
            ),
            "between two words `a..` is counted, a dot after the end: no triple may hold parts of two words.": (
                _counted([".." + "..".join(words) + "."], vocab, 3)
            ),
            "between two words `a..` is counted, a dot after the end: no triple may hold parts of two words. ": (
                _counted([".." + "..".join(words) + ".."], vocab, 3)
            ),
            "the order is reversed: N[i, j, k] is i, then j, then k.": want.permute(2, 1, 0),
            "the two characters of the context are exchanged: N[i, j, k] is i, then j, then k.": want.permute(1, 0, 2),
            "the next character stands first: N[i, j, k] is i, then j, then k.": want.permute(2, 0, 1),
            "each triple counts once at most: `N[i, j, k] += 1` with tensors of indices writes to a repeated cell once."
            " Use torch.bincount, a loop, or index_put_ with accumulate=True.": want.clamp(max=1),
        }
        same("N", N, want, mistakes, rtol=0, atol=0)


def _check_probabilities(probabilities) -> None:
    for shape in ((4, 4, 4), (2, 3, 5), (4, 4), (3, 3, 3, 3), (6,)):
        for k, empty_rows in ((1, False), (0.25, True), (7.0, True)):
            N = torch.randint(0, 9, shape) * torch.randint(0, 2, shape)  # half of the cells are empty
            N[..., 0] += 1 - empty_rows
            before = N.clone()
            try:
                P = probabilities(N, k)
            except (IndexError, RuntimeError) as problem:
                wrong(
                    f"`probabilities` fails for counts of shape {shape} ({type(problem).__name__}): sum along the last"
                    " dimension, whose number is always -1, and leave N as it is."
                )
            P = _tensor("P", P)
            if not torch.equal(N, before):
                wrong("`probabilities` changed N: make a new tensor instead (`N + k`, not `N += k`).")
            c = N.double() + k
            mistakes = {
                "k is not used: add it to every cell before you divide.": N / N.sum(-1, keepdim=True),
                "all cells together sum to 1; each row along the last dimension should.": c / c.sum(),
                "k is in the numerator only: the sum has to be that of the raised counts.": c / N.sum(-1, keepdim=True),
                "the sum grew by k, but a row has V cells, so its sum grows by V·k.": c / (N.sum(-1, keepdim=True) + k),
                "k was added to the empty cells only: every cell gets it.": (
                    lambda raised: raised / raised.sum(-1, keepdim=True)
                )(torch.where(N == 0, k, N.double())),
                "k was added to the probabilities: add it to the counts, then divide.": (
                    N / N.sum(-1, keepdim=True) + k
                ),
            }
            if len(shape) > 1:
                mistakes["you summed over dimension 0: the next character is the last dimension."] = c / c.sum(
                    0, keepdim=True
                )
            if len(shape) > 2:
                mistakes[
                    "you summed over dimension 1, right for a table of pairs only: the next character is the last"
                    " dimension, whose number is always -1."
                ] = c / c.sum(1, keepdim=True)
            if len(shape) > 1 and len(set(shape)) == 1:
                mistakes[
                    "the sums lie down instead of standing upright, as in section 5 of the lecture: keepdim=True."
                ] = c / c.sum(-1)
                mistakes["the sums lie down, and over dimension 1: `sum(-1, keepdim=True)`."] = c / c.sum(1)
            mistakes = {sentence: value for sentence, value in mistakes.items() if value.isfinite().all()}
            same(f"P for counts of shape {shape}", P, c / c.sum(-1, keepdim=True), mistakes)


@task("E01a", "write `trigram_counts` and `probabilities`")
def e01a(trigram_counts, probabilities):
    _check_counts(trigram_counts)
    _check_probabilities(probabilities)
    return "counts of four alphabets, and rows that sum to 1 in up to four dimensions."


# --- E01b: the network ------------------------------------------------------------------------------------------------


def _descent(X, Y, V: int, steps: int, rate: float, **twist) -> torch.Tensor:
    """Gradient descent by the formula for the gradient, (probabilities − one-hot) of each example, in float64."""
    n = len(X)
    x = torch.zeros(n, 2 * V, dtype=torch.float64)
    for i in range(n):
        first, second = X[i].tolist()[:: -1 if twist.get("exchanged") else 1]
        places = (2 * first, 2 * second + 1) if twist.get("interleaved") else (first, V + second)
        if twist.get("keep") != "second":
            x[i, places[0]] += 1
        if twist.get("keep") != "first":
            x[i, places[1]] += 1
    y = torch.eye(V, dtype=torch.float64)[Y]
    W, kept = torch.zeros(2 * V, V, dtype=torch.float64), torch.zeros(2 * V, V, dtype=torch.float64)
    for _ in range(steps):
        probs = (x @ W).softmax(1)
        gradient = x.T @ (probs - y) / (1 if twist.get("sum") else n)
        kept = kept + gradient if twist.get("pile") else gradient
        W = W + rate * kept if twist.get("uphill") else W - rate * kept
    return W


@task("E01b", "write `train_net`")
def e01b(train_net):
    for V, n, steps, rate, last_occurs in (
        (4, 150, 1, 3, True),  # a single step: no mistake can have led it into chaos yet
        (5, 200, 7, 1.5, True),
        (6, 64, 12, 0.7, False),
        (9, 300, 5, 2, True),
    ):
        X, Y = torch.randint(0, V, (n, 2)), torch.randint(0, V, (n,)) // random.choice([1, 2])
        if not last_occurs:
            X, Y = X % (V - 1), Y % (V - 1)
        given = X.clone(), Y.clone()
        try:
            W = train_net(*given, V, steps, rate)
        except RuntimeError as problem:
            if last_occurs:
                raise
            wrong(
                f"it fails when the last of V characters does not occur in X ({type(problem).__name__}): give"
                " F.one_hot num_classes=V, or it takes the largest number that it sees for the last."
            )
        W = _tensor("W", W)
        if not (torch.equal(given[0], X) and torch.equal(given[1], Y)):
            wrong("X or Y was changed: they are the data, leave them as they are.")
        if W.shape == (V, V):
            wrong("W has V rows, as for one character: two one-hot vectors side by side need 2V.")
        if W.shape == (V * V, V):
            wrong("W has a row for each pair of characters; here each character of the two has its own: 2V rows.")
        if steps == 1:
            start = _tensor("W after no step", train_net(X.clone(), Y.clone(), V, 0, rate))
            if start.shape == (2 * V, V) and start.any():
                wrong("W does not start from zeros: after no step at all it should be zero everywhere.")
        twisted = lambda X=X, Y=Y, V=V, steps=steps, rate=rate, **twist: _descent(
            X, Y, V, steps + twist.pop("more", 0), rate, **twist
        )
        mistakes = {
            "W did not move: does the update reach W, do you return W, and are there as many updates as `steps`"
            " says?": twisted(more=-steps),
            "the loss is climbed, not descended: subtract the gradient.": twisted(uphill=True),
            "gradients pile up from step to step: forget the old one before each backward (`W.grad = None`).": (
                twisted(pile=True)
            ),
            "the loss is the sum over the examples; take the mean, or the steps are n times too long.": (
                twisted(sum=True)
            ),
            "the rows for the first and the second character are exchanged: the first V rows belong to the first.": (
                twisted(exchanged=True)
            ),
            "only the second character of the context is used: its partner's rows never move.": twisted(keep="second"),
            "only the first character of the context is used: its partner's rows never move.": twisted(keep="first"),
            "the two one-hot vectors are interleaved: the one of the first character comes whole, then the other.": (
                twisted(interleaved=True)
            ),
            "that is one step too few.": twisted(more=-1),
            "that is one step too many.": twisted(more=1),
        }
        # float32 against float64 over a dozen steps; a mistake moves W by percents
        same(f"W after {steps} step{'s' * (steps > 1)}", W, twisted(), mistakes, rtol=1e-4, atol=1e-5)
    return "step for step where the formula for the gradient leads."


# --- E02a: the split --------------------------------------------------------------------------------------------------


class _Resalted(str):
    """A string with another hash, as every string has in a fresh kernel."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash("another kernel" + str(self))


def _parts(split_names, words: list[str], seed: int) -> list[list[str]]:
    given = list(words)
    parts = split_names(given, seed)
    if given != words:
        wrong("the list that you were given came back changed: shuffle a copy.")
    if parts is None:
        wrong("your split is None: does your function return its result?")
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        wrong("it should return three lists: train, dev, test.")
    if not all(isinstance(part, tuple | list) for part in parts):
        wrong("each of the three parts should be a list of words.")
    return [list(part) for part in parts]


@task("E02a", "write `split_names`")
def e02a(split_names):
    for d in (97, 10, 235):  # of 235, dev gets 23 and test 24
        names = sorted({"".join(random.choices("abcdefgh", k=5)) for _ in range(3 * d)})[:d]
        twins = random.sample(names, d // 3)
        words = names + twins
        train, dev, test = parts = _parts(split_names, words, seed=1)
        if Counter(train + dev + test) != Counter(words):
            if Counter(train + dev + test) == Counter(names):
                wrong("of a name that stands in the list twice only one row is left: all rows should be dealt out.")
            lost = Counter(words) - Counter(train + dev + test)
            if lost:
                wrong(f"{sum(lost.values())} of {len(words)} rows are in no part.")
            wrong("some rows are in more than one part, or are there more often than in the list.")
        for (a, first), (b, second) in combinations((("train", train), ("dev", dev), ("test", test)), 2):
            leak = set(first) & set(second)
            if leak:
                wrong(
                    f"{len(leak)} names are in {a} and in {b} as well, {min(leak)!r} for one: equal names belong to"
                    " the same part. Shuffle and cut the different names, then deal out their rows."
                )
        got = [len(set(part)) for part in parts]
        cuts = int(0.8 * d), int(0.9 * d)
        want = [cuts[0], cuts[1] - cuts[0], d - cuts[1]]
        if got != want:
            rows = int(0.8 * len(words)), int(0.9 * len(words))
            if rows[0] in (got[0], len(train)):
                wrong(
                    f"the cuts are at shares of the {len(words)} rows; they should be at shares of the {d} different"
                    " names."
                )
            wrong(f"of {d} different names the parts hold {got}; they should hold {want}: int(0.8 d) and int(0.9 d).")
        if d > 50 and set(train) == set(names[: cuts[0]]):
            wrong("nothing was shuffled: train holds the first names of the list, and the list is sorted.")

        state = random.getstate()
        random.random()
        if _parts(split_names, words, seed=1) != parts:
            wrong("the same seed gave two different splits: draw from random.Random(seed), and from nothing else.")
        random.setstate(state)
        try:
            salted = _parts(split_names, [_Resalted(word) for word in words], seed=1)
        except KeyError:  # a right answer that makes strings of its own does not find the salted ones
            salted = parts
        salted = [sorted(map(str, part)) for part in salted]
        complete = Counter(name for part in salted for name in part) == Counter(words)
        if complete and salted != [sorted(part) for part in parts]:
            wrong(
                "in a fresh kernel the same seed would give another split: the order of a set of strings changes from"
                " kernel to kernel. Sort the different names before you shuffle them."
            )
        if d > 50 and all(_parts(split_names, words, seed) == parts for seed in range(2, 6)):
            wrong("the seed is not used: five seeds gave the same split.")

    seeds = range(60)
    once, again = set(names) - set(twins), set(twins)
    for what, kind in (("twice", again), ("once", once)):
        share = sum(len(set(_parts(split_names, words, seed)[0]) & kind) for seed in seeds) / len(kind) / len(seeds)
        if abs(share - 0.8) > 0.05:  # over 4,000 draws, a tenth of this is usual
            wrong(
                f"names that stand in the list {what} are in train in {share:.0%} of the splits: every name should be"
                " there in 80 %."
            )
    half = names[: len(names) // 2]
    share = sum(len(set(_parts(split_names, words, seed)[0]) & set(half)) for seed in seeds) / len(half) / len(seeds)
    if abs(share - 0.8) > 0.05:
        wrong(f"names in the first half of the alphabet are in train in {share:.0%} of the splits: shuffle all names.")
    return "no name is in two parts, and the same seed gives the same split in every kernel."


# --- E02b: losses on every part ---------------------------------------------------------------------------------------


def _table(words: list[str], block: int, start: str | None = None) -> torch.Tensor:
    start = "." * block if start is None else start
    return _counted([f"{start}{word}." for word in words], LETTERS, block + 1).double()


def _losses(N: torch.Tensor, P: torch.Tensor) -> float:
    """The mean NLL, from how often each run of characters occurs (N) and its probability (P)."""
    return -(N * P.log())[N > 0].sum().item() / N.sum().item()


@task("E02b", "write `fit_and_score`")
def e02b(fit_and_score):
    for block, k, sizes in (
        (2, 0.5, (90, 30, 20)),
        (1, 1, (40, 15, 25)),
        (2, 3, (50, 10)),
        (3, 0.1, (60, 20, 9, 14)),
        (1, 0.2, (30,)),
    ):
        parts = [_words(size, random.choice(["abcdez", "abcde", "acdexz"]), 9) for size in sizes]
        given = [list(part) for part in parts]
        try:
            got = fit_and_score(given, block, k)
        except ValueError as problem:
            if len(sizes) == 3:
                raise
            wrong(f"it fails for {len(sizes)} parts ({problem}): there may be any number of them, one included.")
        if given != parts:
            wrong("the parts came back changed: leave the lists as they are.")
        if got is None:
            wrong("your losses are None: does your function return its result?")
        if isinstance(got, Real) or not isinstance(got, list | tuple | torch.Tensor) or len(got) != len(sizes):
            wrong(f"for {len(sizes)} parts it should return a list of {len(sizes)} losses.")
        N = [_table(part, block) for part in parts]

        def smooth(counts, k=k, dim=-1):
            return (counts + k) / (counts + k).sum(dim, keepdim=True)

        P = smooth(N[0])
        want = [_losses(n, P) for n in N]
        other = lambda P, N=N: [_losses(n, P) for n in N]
        chars = [n.sum().item() for n in N]
        total = N[0].sum(-1, keepdim=True)
        mistakes = {
            "you counted all parts: the model may see parts[0] only.": other(smooth(sum(N))),
            "each part was counted for itself: the model is counted on parts[0], and the same model measured on all.": [
                _losses(n, smooth(n)) for n in N
            ],
            "all losses are those of parts[0]: measure the model on each part.": [want[0]] * len(N),
            "this is the sum over the characters; the mean is asked for.": [
                w * c for w, c in zip(want, chars, strict=True)
            ],
            "the minus is missing: a loss is minus the mean logarithm.": [-w for w in want],
            "these are bits: take the natural logarithm.": [w / math.log(2) for w in want],
            "this is the perplexity: leave the loss as it is, without exp.": [math.exp(w) for w in want],
            "this is the mean over the names of each name's sum; take the mean over all characters.": [
                w * c / size for w, c, size in zip(want, chars, sizes, strict=True)
            ],
            "a row has V cells, so with k false counts in each its sum grows by V·k, not by k.": other(
                (N[0] + k) / (total + k)
            ),
            "k is not used as it should be: one false count in each cell, whatever k is.": other(smooth(N[0], 1)),
            "k was added to the probabilities of the rows; add it to the counts, then divide.": other(
                smooth(torch.nan_to_num(N[0] / total))
            ),
            "block_size is not used: these are the losses of bigrams.": [
                _losses(_table(part, 1), smooth(_table(parts[0], 1))) for part in parts
            ],
            "block_size is not used: these are the losses of trigrams.": [
                _losses(_table(part, 2), smooth(_table(parts[0], 2))) for part in parts
            ],
            "each cell counts once at most: indexing with += writes to a repeated cell once (hint 2).": other(
                smooth(N[0].clamp(max=1))
            ),
            "you divided by the sums over the wrong dimension: the next character is the last one.": other(
                smooth(N[0], dim=1 if block > 1 else 0)
            ),
            "this is the mean over names of each name's mean; take the mean over all characters.": [
                sum(_losses(_table([word], block), P) for word in part) / len(part) for part in parts
            ],
        }
        if block > 1:
            short = [_table(part, block, start=".") for part in parts]
            mistakes[f"the first characters of each word are predicted nowhere: it begins with {block} dots."] = [
                _losses(n, smooth(short[0])) for n in short
            ]
        try:
            answers = [float(loss) for loss in got]
        except (TypeError, ValueError):
            wrong("each loss should be one plain number.")
        if math.inf in answers:
            wrong("a loss is infinite: a run of characters that parts[0] does not hold has probability 0. Use k.")
        if any(map(math.isnan, answers)):
            wrong("a loss is nan: a context that parts[0] does not hold was divided by 0. Add k to every cell first.")
        # float32 logarithms and means, over a few hundred characters
        same(f"the list of losses for block_size {block} and k = {k}", answers, want, mistakes, rtol=2e-5)
    return "bigrams, trigrams and more, counted on the first part and measured on each."


# --- E03: tuning ------------------------------------------------------------------------------------------------------


def _other_firsts(ks, train, dev, test) -> dict:
    """How else one may come to a first number."""
    best = min(ks, key=dev.get)
    return {
        "you chose by the test loss: then it is no longer a test. Choose by dev.": min(ks, key=test.get),
        "you chose by the train loss, which always wants the least smoothing. Choose by dev.": min(ks, key=train.get),
        "the train loss had a say in your choice: choose by dev alone.": min(ks, key=lambda k: train[k] + dev[k]),
        "the test loss had a say in your choice: choose by dev alone.": min(ks, key=lambda k: test[k] + dev[k]),
        "this is the strength with the highest dev loss; the lowest is best.": max(ks, key=dev.get),
        "you stopped where the dev loss first rose: `ks` come in any order, so try them all.": next(
            (a for a, b in pairwise(ks) if dev[b] > dev[a]), ks[-1]
        ),
        "this is the smallest strength; the one with the lowest dev loss is asked for.": min(ks),
        "this is the first of `ks`; the strength with the lowest dev loss is asked for.": ks[0],
        "the first number is the position of the best strength in `ks`; return the strength itself.": ks.index(best),
        "the first of the two numbers is a loss; it should be the strength k.": dev[best],
        "the two numbers are exchanged: the strength first, then its test loss.": test[best],
    }


@task("E03", "write `tune`")
def e03(tune):
    trials = []
    for _ in range(20):
        ks = [round(10 ** random.uniform(-3, 2), 5) for _ in range(random.randint(4, 12))]
        low = random.choice([2, 2000])  # a loss may be large
        curves = {part: {k: low + random.uniform(0, 2) for k in ks} for part in ("train", "dev", "test")}
        log = []

        def loss(part, k, curves=curves, log=log):
            if part not in curves:
                wrong(f'loss was asked for part {part!r}: the parts are "train", "dev" and "test".')
            if k not in curves[part]:
                wrong(f"loss was asked for k = {k!r}, which is none of `ks`.")
            log.append((part, k))
            return curves[part][k]

        given = list(ks)
        got = tune(loss, given)
        if got is None:
            wrong("your answer is None: does your function return its result?")
        if not isinstance(got, tuple | list) or len(got) != 2:
            wrong("it should return two numbers, the strength and its loss on test.")
        if given != ks:
            wrong("the list `ks` came back changed: leave it as it is.")
        trials.append((ks, curves, [k for part, k in log if part == "test"], got))

    best_of = [min(ks, key=curves["dev"].get) for ks, curves, _, _ in trials]
    firsts = [first for *_, (first, _) in trials]
    if firsts != best_of:
        others = [_other_firsts(ks, *curves.values()) for ks, curves, _, _ in trials]
        for sentence in others[0]:
            if firsts == [other[sentence] for other in others]:
                wrong(sentence)
        number = next(i for i, best in enumerate(best_of) if firsts[i] != best)
        wrong(
            f"of the strengths {trials[number][0]} the one with the lowest dev loss is {best_of[number]}, not"
            f" {firsts[number]!r}."
        )
    for _, curves, measured, (best, test_loss) in trials:
        if len(measured) > 1:
            wrong(f"test was measured {len(measured)} times: once, and at the very end.")
        if test_loss == curves["dev"][best]:
            wrong("the second number is the dev loss of the chosen strength; return its test loss, measured once.")
        if not measured:
            wrong("test was never measured: measure the chosen strength on it, once.")
        if measured != [best]:
            wrong(f"test was measured with k = {measured[0]}, but the chosen strength is {best}.")
        same("the test loss", test_loss, curves["test"][best], rtol=1e-9)
    return "chosen on dev, and test was opened once."


# --- E04: rows instead of one-hot -------------------------------------------------------------------------------------

PRODUCTS = {"matmul", "rmatmul", "mm", "mv", "bmm", "addmm", "einsum", "linear", "tensordot", "inner", "dot", "vdot"}


def _rows(what: str, answer, shape, indices, xenc, mistakes) -> None:
    W = torch.randn(shape, requires_grad=True)
    given = indices.clone()
    with _Called() as called:
        got = answer(W, given)
    if {"one_hot", "eye", "scatter"} & called.names:
        wrong(f"{what}: one-hot vectors are still made here; index the rows of W instead.")
    if PRODUCTS & called.names:
        wrong(f"{what}: a product with W is still there; index the rows of W instead.")
    got = _tensor(what, got)
    if not torch.equal(given, indices):
        wrong(f"{what}: the indices came back changed; add to a copy of them.")
    want = xenc @ W
    same(what, got, want, {s: v(W.detach()) for s, v in mistakes.items()}, rtol=1e-6, atol=1e-6)
    if not got.requires_grad:
        wrong(f"{what}: the numbers are right, but no gradient reaches W: index W itself, not W.data or W.detach().")
    weights = torch.randn(got.shape)
    (slope,) = torch.autograd.grad((got * weights).sum(), W)
    (wanted,) = torch.autograd.grad((want * weights).sum(), W)
    same(f"{what}: the gradient of W", slope, wanted, rtol=1e-5, atol=1e-5)


def _not_one_row(xs) -> dict:
    columns = "bigram_logits: these are columns of W; a one-hot vector on its left picks a row."
    return {
        columns: lambda W: W[:, xs].T,
        columns + " ": lambda W: W[:, xs],
        "bigram_logits: this is a row for each character there is; index W with xs.": lambda W: W * 1,
    }


def _not_two_rows(V: int, X) -> dict:
    a, b = X.T
    says = {
        "the second character's rows begin V rows further down; these are the first's.": lambda W: W[a] + W[b],
        "the halves of W are exchanged: the first character has the upper rows.": lambda W: W[V + a] + W[b],
        "a product with two ones adds the two rows; this is their mean.": lambda W: (W[a] + W[V + b]) / 2,
        "a product with two ones adds the two rows; this is their product.": lambda W: W[a] * W[V + b],
        "two rows side by side; a product with two ones adds them.": lambda W: torch.cat([W[a], W[V + b]], 1),
        "two rows for each example; a product with two ones adds them.": lambda W: torch.stack([W[a], W[V + b]], 1),
        "two rows for each example, and both from the upper half: see hints 2 and 3.": lambda W: W[X],
        "only the first character has a say.": lambda W: W[a],
        "only the second character has a say.": lambda W: W[V + b],
    }
    for own in {int(X.max()) + 1, int(X.max()), int(a.max()) + 1, V - 1} - {V}:
        sentence = f"the second character's rows begin at row V = {V} of W, and yours at row {own}: take W.shape[1]."
        says[sentence] = lambda W, own=own: W[a] + W[own + b]
    return {f"trigram_logits: {sentence}": value for sentence, value in says.items()}


@task("E04", "write `bigram_logits` and `trigram_logits`")
def e04(bigram_logits, trigram_logits):
    for V, n in ((5, 5), (7, 30), (27, 100), (4, 1)):
        xs = torch.randint(0, V, (n,))
        _rows("bigram_logits", bigram_logits, (V, V), xs, F.one_hot(xs, V).float(), _not_one_row(xs))
    for V, n in ((5, 40), (27, 60), (3, 3), (4, 1)):
        X = torch.randint(0, V, (n, 2))
        xenc = F.one_hot(X, V).float().view(n, 2 * V)
        try:
            _rows("trigram_logits", trigram_logits, (2 * V, V), X, xenc, _not_two_rows(V, X))
        except IndexError:
            wrong(
                f"trigram_logits: an index lies outside of W for V = {V}: the second character's rows begin at row"
                " V = W.shape[1], whatever it is."
            )
    return "the same logits and gradients, without a single product."


# --- E05: cross-entropy -----------------------------------------------------------------------------------------------


def _loss_and_gradient(cross_entropy, z, t) -> tuple[torch.Tensor, torch.Tensor]:
    logits, targets = z.clone().requires_grad_(), t.clone()
    given = logits * 1  # no leaf, so that a change in place is possible, and seen
    with _Called() as called:
        loss = cross_entropy(given, targets)
    ready = {"cross_entropy", "log_softmax", "logsumexp", "nll_loss"} & called.names
    if ready:
        wrong(f"PyTorch's {min(ready)} does the work here: write it with exp, log, sum and max.")
    loss = _tensor("your loss", loss, "a tensor that holds one number")
    if not torch.equal(given.detach(), z) or not torch.equal(targets, t):
        wrong("the logits or targets came back changed: make new tensors (`logits - m`, not `logits -= m`).")
    if loss.shape == (len(z),) and len(z) > 1:
        wrong("this is one loss for each row: return their mean.")
    if not loss.requires_grad:
        return loss, torch.zeros_like(z)
    (slope,) = torch.autograd.grad(loss.sum(), logits, allow_unused=True)
    return loss.detach(), torch.zeros_like(z) if slope is None else slope


def _gradient(z, t) -> torch.Tensor:
    return (z.double().softmax(1) - F.one_hot(t, z.shape[1])) / len(z)


@task("E05", "write `cross_entropy`")
def e05(cross_entropy):
    for n, V in ((4, 4), (6, 4), (9, 27), (5, 2), (1, 7)):  # the first is square: a missing keepdim gives numbers
        z, t = 2 * torch.randn(n, V) + torch.randn(n, 1), torch.randint(0, V, (n,))
        d, rows = z.double(), torch.arange(n)
        want = F.cross_entropy(d, t)
        m, total = d.max(1).values, d.logsumexp(1)
        loss, slope = _loss_and_gradient(cross_entropy, z, t)
        mistakes = {
            "the sign is wrong: a loss is minus the mean logarithm.": -want,
            "this is the sum over the rows; the mean is asked for.": want * n,
            "m was subtracted inside and never added back outside: m + ln(...).": (total - m - d[rows, t]).mean(),
            "m was added twice: subtract it from every logit or add it back outside, not both.": (
                total + m - d[rows, t]
            ).mean(),
            "the sum runs over the rows of the batch (dim 0): each row has a distribution of its own, along dim 1.": (
                d.logsumexp(0)[t] - d[rows, t]
            ).mean(),
            "`logits[:, targets]` is an n × n table: pair row and target, logits[torch.arange(n), targets].": (
                total[:, None] - d[:, t]
            ).mean(),
            "the target is not used: this is ln of the sum alone.": total.mean(),
            "this is the mean of the probabilities' negatives: the logarithm is missing.": (
                -d.softmax(1)[rows, t].mean()
            ),
            "these are bits: take the natural logarithm.": want / math.log(2),
            "the mean runs over all n·V cells: the loss has one term a row.": want / V,
        }
        if n == V:
            mistakes["the maxima lie down instead of standing upright: keepdim=True."] = (
                m + (d - m).exp().sum(1).log() - d[rows, t]
            ).mean()
        if n == 1 or want != total.mean():
            same("the loss", loss, want, mistakes if n > 1 else {}, rtol=1e-5, atol=1e-6)
        if not slope.any():
            wrong("the loss is right, but no gradient reaches the logits: leave out detach, data and item.")
        onehot = F.one_hot(t, V) / n
        same(
            "the gradient of the logits",
            slope,
            _gradient(z, t),
            {
                "only the right answer's logit gets a gradient: let it flow through ln of the sum as well.": -onehot,
                "the right answer's own logit gets no gradient: use the logits themselves, not a copy of them.": (
                    _gradient(z, t) + onehot
                ),
            },
            rtol=1e-4,
            atol=1e-6,
        )

    for n in (1, 8):  # row by row first: there one shift for all rows is still right
        for scale, level in ((1, 1000), (1, -1000), (60, 0), (1000, 0), (100, 1e4), (1e30, 0)):
            levels = level if n == 1 else level + 500 * torch.randn(n, 1) if scale < 1e6 else 0
            z, t = scale * torch.randn(n, 5) + levels, torch.randint(0, 5, (n,))
            want = F.cross_entropy(z.double(), t)
            loss, slope = _loss_and_gradient(cross_entropy, z, t)
            size = f"logits between {z.min():.3g} and {z.max():.3g}"
            if not loss.isfinite():
                if n > 1:
                    wrong(
                        f"for {size} the loss is {loss.item()}, though each row alone is right: one m for all rows is"
                        " too large for some of them. Each row needs its own, along dim 1."
                    )
                if scale == 1:
                    wrong(f"for {size} the loss is {loss.item()}: subtract the row's largest logit before exp.")
                wrong(
                    f"for {size} the loss is {loss.item()}: a probability became 0, and then its logarithm was taken."
                    " Step 1 takes the logarithm of the sum instead, and subtracts the right logit."
                )
            if loss < want - 1e-3 * want.abs() - 1e-3:
                wrong(
                    f"for {size} the loss should be {want:.6g}, but it is {loss:.6g}: a clipped logit, or a small"
                    " number added inside the logarithm, makes a surprise look smaller than it is."
                )
            same(f"the loss for {size}", loss, want, rtol=1e-5, atol=1e-3)  # float32 holds 1e4 to a thousandth
            if not slope.isfinite().all():
                wrong(
                    f"for {size} the loss is right, but its gradient is nan: a probability was nearly 0, and then its"
                    " logarithm was taken. Step 1 takes the logarithm of the sum instead."
                )
            same(f"the gradient for {size}", slope, _gradient(z, t), rtol=1e-3, atol=1e-4)
    return "F.cross_entropy's numbers and gradients, for logits up to 1e30."


# --- E06a: the most probable names ------------------------------------------------------------------------------------


def _all_above(P: list[list[float]], least: float) -> list[tuple[str, float]]:
    """Every name with a probability of at least `least`, by walking all beginnings that still have it."""
    found, beginnings = [], [("", 0, 1.0)]
    while beginnings:
        text, last, p = beginnings.pop()
        for j, step in enumerate(P[last]):
            if p * step >= least:
                if j == 0:
                    found.append((text, p * step))
                else:
                    beginnings.append((text + LETTERS.chars[j], j, p * step))
    return sorted(found, key=lambda pair: -pair[1])


def _tables() -> list[tuple[torch.Tensor, int]]:
    """Bigram tables that each lead some short cut astray, and how many names to ask for."""

    def normal(rows):
        rows = rows + 0.002 * torch.rand(rows.shape)  # no ties
        return rows / rows.sum(1, keepdim=True)

    garden = torch.zeros(12, 12)  # b to d are probable beginnings that lead nowhere in particular; e ends at once
    garden[0, 2:5], garden[0, 5], garden[5, 0] = 0.29, 0.12, 1.0
    garden[[1, 2, 3, 4, *range(6, 12)]] = torch.rand(10, 12)
    garden[2:5, 0] = 0.01
    chain = torch.zeros(27, 27)  # a leads to b, b to c, and so on to z
    chain[torch.arange(27), (torch.arange(27) + 1) % 27] = 1.0
    mixed = [normal(torch.rand(V, V) ** 3) for V in (4, 7, 27)]
    return [(normal(garden), 1), (normal(garden), 3), (normal(chain * 40), 2), *[(P, 25) for P in mixed]]


def _alike(p: float, q: float) -> bool:
    return math.isclose(p, q, rel_tol=1e-6)


@task("E06a", "write `most_probable`")
def e06a(most_probable):
    for P, count in _tables():
        rows = P.double().tolist()
        least, want = 0.1, []
        while len(want) < count:
            least /= 2
            want = _all_above(rows, least)
        want = want[:count]
        given = P.clone()
        got = most_probable(given, count)
        if not torch.equal(given, P):
            wrong("P came back changed: leave it as it is.")
        if got is None:
            wrong("your list is None: does your function return its result?")
        pairs = isinstance(got, list | tuple) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in got)
        if not pairs or not all(isinstance(name, str) for name, _ in got):
            wrong("it should return a list of pairs (name, probability), the name as a string.")
        true = {}
        for name, p in got:
            if "." in name:
                wrong(f"{name!r} holds a dot: the dots are not part of the name.")
            ids = [0, *LETTERS.encode(name), 0]
            if max(ids) >= len(P):
                wrong(f"{name!r} holds a character that a table of {len(P)} does not have.")
            steps = [rows[i][j] for i, j in pairwise(ids)]
            true[name] = whole = math.prod(steps)
            p = float(p)
            if not math.isclose(p, whole, rel_tol=1e-4):
                if math.isclose(p, math.prod(steps[:-1]), rel_tol=1e-4):
                    wrong(f"the probability of {name!r} misses its last step, to the dot: a name has to end.")
                if math.isclose(p, math.log(whole), rel_tol=1e-4) or math.isclose(p, -math.log(whole), rel_tol=1e-4):
                    wrong("these are logarithms: return the probabilities themselves.")
                if math.isclose(p, whole ** (1 / len(steps)), rel_tol=1e-4):
                    wrong("these are means per character: return the probability of the whole name.")
                if math.isclose(p, -whole, rel_tol=1e-4):
                    wrong("the probabilities are negative: the minus was for the heap only.")
                wrong(f"{name!r} has the probability {whole:.4g}, but you say {p:.4g}.")
        names = [name for name, _ in got]
        if len(set(names)) < len(names):
            wrong("some names are there twice.")
        if len(names) != count:
            wrong(f"{count} names were asked for, but {len(names)} came.")
        # Names made of the same pairs have the same probability, so names are compared by that, not by their letters.
        given_p, best = [true[name] for name in names], [p for _, p in want]
        if all(map(_alike, given_p, best)):
            continue
        if all(map(_alike, given_p[::-1], best)):
            wrong("the right names, the least probable first: turn the list round.")
        if all(map(_alike, sorted(given_p, reverse=True), best)):
            wrong("the right names, but not in the order of their probability.")
        missing = [(name, p) for name, p in want if name not in names]
        name, p = missing[0]
        if name == "":
            wrong(f"the empty name is missing: from dot to dot at once has the probability {p:.4g} here.")
        if len(name) > 12:
            wrong(f"{name!r} with its {len(name)} characters is missing: a name may be of any length.")
        worse = min(given_p)
        wrong(
            f"{name!r} ({p:.4g}) is missing, and a name with {worse:.4g} is in your list. Its beginning was dropped, or"
            " a name was taken for good as soon as it was found: take it when it is the most probable in the heap."
        )
    return "the same names as a walk over all beginnings finds, on six tables."


# --- E06b: likelihood ratio -------------------------------------------------------------------------------------------


@task("E06b", "write `log_ratios`")
def e06b(log_ratios):
    for longest in (7, 9, 400):
        letters = LETTERS.chars[1:]
        names = ["".join(random.choices(letters, k=random.randint(1, longest))) for _ in range(12)]
        names[3] = "".join(random.choices(letters, k=longest))
        A, B = (torch.rand(27, 27) ** 2 + 0.01 for _ in range(2))
        A, B = A / A.sum(1, keepdim=True), B / B.sum(1, keepdim=True)
        given = list(names), A.clone(), B.clone()
        try:
            got = log_ratios(*given)
        except (ValueError, ZeroDivisionError, OverflowError) as problem:
            if longest < 100:
                raise
            wrong(
                f"it fails for a name of {longest} characters ({problem}): its probability is 0 in floats. Add"
                " logarithms instead of multiplying probabilities."
            )
        if given[0] != names or not (torch.equal(given[1], A) and torch.equal(given[2], B)):
            wrong("the names or the tables came back changed: leave them as they are.")
        got = _tensor("your answer", got)

        score = A.double().log() - B.double().log()

        def summed(start=".", end=".", score=score, names=names):
            sums = []
            for name in names:
                ids = LETTERS.encode(f"{start}{name}{end}")
                sums.append(sum(score[i, j].item() for i, j in pairwise(ids)))
            return torch.tensor(sums, dtype=torch.float64)

        want, steps = summed(), torch.tensor([len(name) + 1 for name in names])
        if longest > 100 and got.shape == want.shape and not got.isfinite().all():
            wrong(
                f"nan or inf for a name of {longest} characters: its probability is 0 in floats. Add logarithms"
                " instead of multiplying probabilities."
            )
        log_a, log_b = summed(score=A.log().double()), summed(score=B.log().double())
        mistakes = {
            "the sign is turned round: A comes first, minus B.": -want,
            "this is the mean over the pairs; the logarithm of a whole name is their sum.": want / steps,
            "the beginning is missing: the first pair of a name starts with the dot.": summed(start=""),
            "the end is missing: the last pair of a name ends with the dot.": summed(end=""),
            "the beginning and the end are missing: a name starts after a dot and ends with one.": summed("", ""),
            "this is the difference of the probabilities; take that of their logarithms.": log_a.exp() - log_b.exp(),
            "this is the ratio of the probabilities: its logarithm is asked for.": want.exp(),
            "this is the ratio of the two logarithms; the logarithm of a ratio is a difference.": log_a / log_b,
            "this is ln of the probability under A alone: subtract that under B.": log_a,
            "the logarithm is to base 2: use the natural one.": want / math.log(2),
            "the logarithm is to base 10: use the natural one.": want / math.log(10),
            "these are differences of probabilities, summed over the pairs; take logarithms first.": summed(
                score=(A - B).double()
            ),
            "rows and columns are exchanged: P[i, j] is the probability of j after i.": summed(
                score=(A.log() - B.log()).double().T
            ),
            "this is the sum over all names: one number for each is asked for.": want.sum(),
        }
        same("the list of ratios", got, want, mistakes, rtol=1e-4, atol=1e-4)  # float32 sums of up to 400 logarithms
    return "also for names of 400 characters."
