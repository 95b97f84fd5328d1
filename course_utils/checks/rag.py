"""Checks of exercise 26: retrieval."""

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from torch.nn import functional as F

from . import same, task, wrong


@task("X01", "write `bm25_score`")
def x01(bm25_score: Callable) -> str:
    """A list of words each -> the score of one passage."""
    r = random.Random(1)
    vocabulary = [f"w{i}" for i in range(30)]
    for trial in range(12):
        corpus = [r.choices(vocabulary, k=r.randint(3, 25)) for _ in range(r.randint(5, 15))]
        question = [*r.choices(vocabulary, k=4), *(["w1", "w1", "nowhere"] if trial % 2 else [])]
        passage = corpus[trial % len(corpus)] + (["w1"] * 4 if trial % 3 == 0 else [])
        corpus[trial % len(corpus)] = passage
        corpus += [[*corpus[0]]] * (trial % 4 == 2)  # two passages alike are two
        k1, b = (1.2, 0.75) if trial < 6 else (r.uniform(0.5, 2), r.uniform(0, 1))
        before = ([*question], [*passage], [[*p] for p in corpus])

        def value(
            k1=k1,
            b=b,
            idf=None,
            once=False,
            mean=None,
            present=False,
            anywhere=False,
            extra=0.0,
            question=question,
            passage=passage,
            corpus=corpus,
        ):
            mean = mean or sum(map(len, corpus)) / len(corpus)
            total = 0.0
            for word in set(question) if once else question:
                n, f = sum(word in p for p in corpus), passage.count(word)
                f = min(f, 1) if present else f
                n = sum(p.count(word) for p in corpus) if anywhere else n
                weight = idf(len(corpus), n) if idf else math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
                total += weight * f * (1 + extra) / (f + k1 * (1 - b + b * len(passage) / mean))
            return total

        mistakes = {
            "a word that the question has twice counts only once: go through the list, not through its set.": value(
                once=True
            ),
            "the length of the passage does not matter in your score: check b and |D| over the mean length.": value(
                b=0
            ),
            "only whether a word occurs in the passage counts in your score: f is how often it does.": value(
                present=True
            ),
            "n counts passages that have the word, each once, not how often it occurs in all of them.": value(
                anywhere=True
            ),
            "that is the logarithm to base 2: the formula has the natural one, math.log.": value(
                idf=lambda N, n: math.log2(1 + (N - n + 0.5) / (n + 0.5))
            ),
            "the logarithm has lost its `1 +`.": value(
                idf=lambda N, n: math.log((N - n + 0.5) / (n + 0.5)) if N - n + 0.5 > 0 else 0
            ),
            "that is log(N / n), the IDF of TF-IDF: BM25's has its own, with 0.5 added.": value(
                idf=lambda N, n: math.log(N / n) if n else 0
            ),
            "all words weigh the same in your score: multiply by the logarithm.": value(idf=lambda N, n: 1.0),
            "your scores have a factor (k1 + 1) that the formula of this task leaves out.": value(extra=k1),
            "the passage's length is divided by the number of passages, not by their mean length.": value(
                mean=len(corpus)
            ),
            "k1 and b have no effect: take them from the arguments.": value(k1=1.2, b=0.75),
        }
        got = bm25_score(question, passage, corpus, k1, b)
        if (question, passage, corpus) != before:
            wrong("your function changes the lists that it is given: leave them as they are.")
        same("the score", got, value(), mistakes, rtol=1e-6, atol=1e-9)
    default = bm25_score(["a"], ["a", "b"], [["a", "b"], ["c"]])
    same(
        "the score with k1 and b left out",
        default,
        math.log(1 + 1.5 / 1.5) / (1 + 1.2 * (0.25 + 0.75 * 2 / 1.5)),
        rtol=1e-9,
    )
    return "your scores are those of the formula on twelve random corpora."


@task("X02", "write `mean_pool`")
def x02(mean_pool: Callable) -> str:
    """(B, T, C), (B, T) -> (B, C)."""
    for trial in range(6):
        B, T, C = 3 + trial, 4 + trial, 8
        x = torch.randn(B, T, C, dtype=torch.float64 if trial % 2 else torch.float32)
        lengths = torch.randint(1, T + 1, (B,))
        lengths[0] = 1
        mask = (torch.arange(T) < lengths[:, None]).long()
        if trial >= 3:
            mask = mask.flip(1)  # padding on the left
        x[mask == 0] *= 50
        given, m = (mask.bool() if trial % 2 else mask), mask[..., None].to(x.dtype)
        before = x.clone()
        summed = (x * m).sum(1)
        want = F.normalize(summed / m.sum(1), dim=1)
        mistakes = {
            "padding counts in your mean: multiply by the mask before you sum.": F.normalize(x.mean(1), dim=1),
            "the rows do not have length 1: divide by the norm.": summed / m.sum(1),
            "that is the sum, neither divided by the number of tokens nor scaled.": summed,
            "you divided by T, not by the number of tokens, and did not scale.": summed / T,
            "that is the first token's vector, not the mean.": F.normalize(x[:, 0], dim=1),
            "each feature was scaled over the batch, not each row: the norm is taken along the features.": F.normalize(
                summed / m.sum(1), dim=0
            ),
            "that is the largest value of each feature, not the mean.": F.normalize(
                x.masked_fill(m == 0, -torch.inf).amax(1), dim=1
            ),
            "each token was scaled to length 1 before the mean: scale once, at the end.": F.normalize(
                (F.normalize(x, dim=2) * m).sum(1), dim=1
            ),
        }
        kept = given.clone()
        got = mean_pool(x, given)
        if not torch.equal(x, before) or not torch.equal(given, kept):
            wrong("your function changes its inputs in place: work on a copy.")
        same("the pooled batch", got, want, mistakes, rtol=1e-5, atol=1e-6)
        if got.dtype != x.dtype:
            wrong(f"from {x.dtype} comes {got.dtype}: keep the dtype of x.")
    return "padding does not matter, on either side, and every row has length 1."


@task("X03", "write `fuse`")
def x03(fuse: Callable) -> str:
    """Rankings -> one ranking."""

    def reference(rankings, k=60, start=1, part=lambda n: Fraction(1, n), turned=False):
        total = {item: 0 for ranking in rankings for item in ranking}
        for ranking in rankings[::-1] if turned else rankings:
            for rank, item in enumerate(ranking, start):
                total[item] += part(k + rank)
        return sorted(total, key=lambda item: -total[item])

    def steady(rankings, k):
        """Whether floats, added in whatever order, keep the order of the exact sums."""
        floats = [reference(rankings, k, part=lambda n: 1 / n, turned=turned) for turned in (False, True)]
        return all(order == reference(rankings, k) for order in floats)

    r = random.Random(3)
    cases = [
        ([["a", "b"], ["c", "b"]], 60),
        ([["a"], []], 60),
        ([], 60),
        ([["x", "y", "z"]], 60),
        ([["b", "a"], ["a", "b"]], 60),
    ]
    # b: third in two lists; a: first in one. With a large k agreement wins, with k = 1 they are level.
    cases += [([["x", "y", "b"], ["a", "z", "b"]], 1), ([["x", "y", "b"], ["a", "z", "b"]], 100)]
    items = [f"i{n}" for n in range(12)]
    while len(cases) < 27:
        rankings = [r.sample(items, r.randint(1, 12)) for _ in range(r.randint(1, 4))]
        k = r.choice([1, 10, 60])
        if steady(rankings, k):
            cases.append((rankings, k))
    cases.append(([[3, 1, 2], [2, 3, 1], [(4, 5), 3]], 60))
    for rankings, k in cases:
        before = [[*ranking] for ranking in rankings]
        got, want = fuse(rankings, k), reference(rankings, k)
        if rankings != before:
            wrong("your function changes the rankings that it is given: leave them as they are.")
        if got is None:
            wrong("the result is None: does your function return it?")
        got = list(got)
        if got == want:
            continue
        if len(rankings) > 2 and got == reference(rankings[:2], k):
            wrong(f"from {len(rankings)} rankings comes what the first two give: go through all of them.")
        if sorted(map(repr, got)) != sorted(map(repr, want)):
            wrong(f"from {rankings} come {got}: every item of any ranking belongs into the result, once.")
        if got == reference(rankings, 60) and k != 60:
            wrong(f"k = {k} makes no difference: use the argument.")
        if got == want[::-1] and len(got) > 3:
            wrong("the largest sum comes last: sort the other way round.")
        if k < 5 and got == reference(rankings, k, 0):
            wrong("ranks begin at 1, not at 0.")
        wrong(f"from {rankings} with k = {k} comes {got}, but by the sums of 1 / (k + rank) it is {want}.")
    same_default = fuse([["a", "b", "c"], ["d", "b", "e"]])
    if list(same_default) != ["b", "a", "d", "c", "e"]:
        wrong(f"with k left out, [[a, b, c], [d, b, e]] become {list(same_default)}, but they are b, a, d, c, e.")
    return "agreement rises, ties keep their order."


@task("X04", "write `cut_at_the_gap`")
def x04(cut_at_the_gap: Callable) -> str:
    """Scores, the highest first -> how many to show."""

    def reference(scores):
        drops = [a - b for a, b in itertools.pairwise(scores)]
        return len(scores) if not drops or max(drops) == 0 else 1 + drops.index(max(drops))

    r = random.Random(4)
    cases = [
        [9.0, 8.5, 8.0, 2.0, 1.5],
        [8.0, 4.0, 1.0, 0.5],
        [5.0],
        [],
        [2.0, 2.0, 2.0],
        [4.0, 3.0, 2.0, 1.0],
        [-1.0, -1.5, -9.0],
        [10.0, 1.0],
    ]
    for _ in range(30):
        cases.append(sorted((round(r.uniform(-5, 10), 3) for _ in range(r.randint(2, 9))), reverse=True))
    for scores in cases:
        before = [*scores]
        want = reference(scores)
        try:
            got = cut_at_the_gap(scores)
        except (ValueError, IndexError) as problem:
            if len(scores) > 1:
                raise
            wrong(f"from {scores} comes {type(problem).__name__}: {problem}. It should be {want}: nothing can drop.")
        if scores != before:
            wrong("your function changes the list that it is given: leave it as it is.")
        if got is None or isinstance(got, bool) or int(got) != got:
            wrong(f"from {scores} comes {got!r}, but a whole number is wanted.")
        if got == want:
            continue
        if len(set(scores)) == 1 and len(scores) > 1:
            wrong(f"from {scores} comes {got}: where nothing drops, all {len(scores)} are shown.")
        if len(scores) < 2:
            wrong(f"from {scores} comes {got}, but it is {want}.")
        if got == want - 1:
            wrong(f"from {scores} comes {got}, one too few: what stands before the drop is {scores[:want]}.")
        drops = [a - b for a, b in itertools.pairwise(scores)]
        if drops and got == len(drops) - drops[::-1].index(max(drops)):
            wrong(f"from {scores} comes {got}: of equal drops the first counts, which is after {want}.")
        ratios = [b / a for a, b in itertools.pairwise(scores) if a]
        if ratios and len(ratios) == len(scores) - 1 and got == 1 + ratios.index(min(ratios)) and min(scores) > 0:
            wrong(f"from {scores} comes {got}: that is the largest ratio; the drop is the difference.")
        if got == len(scores):
            wrong(f"from {scores} come all {got}: nothing drops after the last one; the largest drop is after {want}.")
        if got == want + 1 and len(scores) > 2:
            wrong(f"from {scores} comes {got}, one too many: the drop is after {scores[want - 1]}.")
        wrong(f"from {scores} comes {got}, but the largest drop is after {want}: {scores[:want]} | {scores[want:]}.")
    return "cut before the largest drop, on 38 lists."


@task("X05", "write `ndcg`")
def x05(ndcg: Callable) -> str:
    """A ranking, {item: gain}, k -> nDCG@k."""

    def dcg(values, k, log=math.log2, shift=1):
        return sum(value / log(rank + shift) for rank, value in enumerate(list(values)[:k], 1))

    r = random.Random(5)
    for trial in range(40):
        items = [f"d{i}" for i in range(15)]
        gains = {item: r.choice([1, 2, 3, 0.5]) for item in r.sample(items, r.randint(1, 8))}
        ranking, k = r.sample(items, r.randint(1, 15)), r.choice([1, 3, 5, 10])
        if trial == 0:
            gains = {}
        if trial == 1:
            gains, ranking, k = {"missed": 3, "d1": 2}, ["d1", "d2"], 10
        if trial == 2:
            gains, ranking, k = {"d1": 1, "d2": 3, "d3": 2}, ["d3", "d9", "d2"], 10
        if trial == 3:
            gains = {"d1": 1, "d2": 2, "d3": 3, "d4": 1, "d5": 2}
            ranking, k = ["d5", "d9", "d1", "d2", "d3", "d4"], 3
        found = [gains.get(item, 0) for item in ranking]
        ideal = sorted(gains.values(), reverse=True)
        best = dcg(ideal, k)
        want = dcg(found, k) / best if best else 0.0
        seen = dcg(sorted(found, reverse=True), k)
        binary = dcg([1] * len(ideal), k)
        mistakes = {
            "that is the DCG: divide by the best possible one.": dcg(found, k),
            "the best possible ranking holds all relevant items, also those that yours missed.": dcg(found, k) / seen
            if seen
            else 0.0,
            "every relevant item counts the same in yours: use its gain.": dcg([float(g > 0) for g in found], k)
            / binary
            if binary
            else 0.0,
            "k makes no difference: only the first k ranks count.": dcg(found, 99) / dcg(ideal, 99) if ideal else 0.0,
            "the ranking itself has to be cut at k, too.": dcg(found, 99) / best if best else 0.0,
            "an item without a gain keeps its rank: those behind it do not move up.": dcg([g for g in found if g], k)
            / best
            if best
            else 0.0,
            "the best possible ranking has to be cut at k as well.": dcg(found, k) / dcg(ideal, 99) if ideal else 0.0,
            "the first rank is divided by log2(2), the second by log2(3): the discount is shifted.": dcg(
                found, k, shift=2
            )
            / dcg(ideal, k, shift=2)
            if ideal
            else 0.0,
            "gains are not divided by the logarithm of the rank.": sum(found[:k]) / sum(ideal[:k]) if ideal else 0.0,
            "that is with 2^gain - 1, a variant of the formula: this task takes the gain itself.": dcg(
                [2**g - 1 for g in found], k
            )
            / dcg([2**g - 1 for g in ideal], k)
            if ideal
            else 0.0,
            "the best possible ranking begins with the largest gains: sort them.": dcg(found, k)
            / dcg(gains.values(), k)
            if ideal
            else 0.0,
        }
        before = ([*ranking], {**gains})
        try:
            got = ndcg(ranking, gains, k)
        except ZeroDivisionError:
            wrong("if nothing is relevant you divide by zero: return 0.")
        except KeyError as problem:
            wrong(f"your code stops with KeyError: {problem}. An item that `gains` does not list has a gain of 0.")
        except IndexError as problem:
            wrong(f"your code stops with IndexError: {problem}. The ranking, or the best one, may be shorter than k.")
        if (ranking, gains) != before:
            wrong("your function changes what it is given: leave it as it is.")
        same("nDCG", got, want, mistakes, rtol=1e-6, atol=1e-9)
    ranking = [f"d{i}" for i in range(14)]
    same(
        "nDCG with k left out (it is 10)",
        ndcg(ranking, {"d11": 1, "d2": 1}),
        (1 / 2) / (1 + 1 / math.log2(3)),
        rtol=1e-9,
    )
    return "forty rankings, with missed items and unequal gains."


@task("X06", "write `partition_modularity`")
def x06(partition_modularity: Callable) -> str:
    """(n, n), (n,) -> Q."""
    rng = np.random.default_rng(6)
    for trial in range(12):
        n = 5 + trial
        A = rng.random((n, n)) * (rng.random((n, n)) < 0.5) * (3 if trial % 2 else 1)
        A = np.triu(A, 1)
        A = A + A.T + (np.diag(rng.random(n)) if trial % 4 == 3 else 0)
        groups = rng.integers(0, 3, n) * (7 if trial % 3 == 0 else 1) - (5 if trial % 3 == 1 else 0)
        k, two_m = A.sum(1), A.sum()
        together = groups[:, None] == groups
        off = ~np.eye(n, dtype=bool)
        expected = np.outer(k, k) / two_m
        degree = (A > 0).sum(1)
        mistakes = {
            "that is the share of weight inside the groups: subtract what chance puts there.": (A * together).sum()
            / two_m,
            "Q is 0: so it is where all pairs count, not only those of one group, and where a group is not found "
            "(names are any integers, also negative).": (A - expected).sum() / two_m,
            "those are the pairs of different groups: take those of one group.": ((A - expected) * ~together).sum()
            / two_m,
            "k_i k_j is divided by 2m before it is subtracted.": ((A - np.outer(k, k)) * together).sum() / two_m,
            "the pairs i = j belong to the sum.": ((A - expected) * together * off).sum() / two_m,
            "divide by 2m at the end, so that Q does not depend on the scale of the weights.": (
                (A - expected) * together
            ).sum(),
            "that is divided by m, half of what it should be divided by.": ((A - expected) * together).sum()
            / two_m
            * 2,
            "2m is the sum of all weights; you took half of it or twice it in k_i k_j / 2m.": (
                (A - 2 * expected) * together
            ).sum()
            / two_m,
            "the degrees are sums of weights, not numbers of neighbours.": (
                (A - np.outer(degree, degree) / degree.sum()) * together
            ).sum()
            / two_m,
            "the degrees are sums of weights, and not numbers of neighbours.": (
                (A - np.outer(degree, degree) / two_m) * together
            ).sum()
            / two_m,
            "each pair counts twice, as (i, j) and as (j, i).": (np.triu(A - expected) * together).sum() / two_m,
        }
        before = (A.copy(), groups.copy())
        got = partition_modularity(A, groups)
        if not (np.array_equal(A, before[0]) and np.array_equal(groups, before[1])):
            wrong("your function changes its inputs in place: work on a copy.")
        mistakes = {sentence: float(value) for sentence, value in mistakes.items()}
        same("Q", got, float(((A - expected) * together).sum() / two_m), mistakes, rtol=1e-6, atol=1e-9)
    return "twelve graphs, with and without loops."


@task("X07", "write `failing_questions`")
def x07(failing_questions: Callable, first_five: Callable, corpus: list) -> str:
    """Five (question, section) that the search misses, close enough to their sections to belong there."""
    from course_utils.lectures.rag import embed

    failing = failing_questions()
    if not isinstance(failing, list | tuple) or len(failing) < 5:
        wrong("five pairs are wanted: a list of (question, section's address).")
    of_section: dict[str, list[str]] = {}
    for p in corpus:
        of_section.setdefault(p.source, []).append(p.whole)
    seen, asked, not_yet = set(), set(), []
    for pair in failing:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            wrong(f"{pair!r} is not a pair (question, section's address).")
        question, section = pair
        if section not in of_section:
            wrong(f"the course has no section {section!r}: write its address as `first_five` returns it.")
        if section in seen:
            wrong(f"{section} stands there twice: five different sections are wanted.")
        seen.add(section)
        if question in asked:
            wrong(f"{question!r} stands there twice: five different questions are wanted.")
        asked.add(question)
        if len(set(question.lower().split())) < 5:
            wrong(f"{question!r} is too short: a question of at least five words.")
        found = first_five(question)
        close = float((embed([question]) @ embed(of_section[section]).T).max())
        if section in found:
            not_yet.append(
                f"the search finds {section} for {question!r}, at rank {found.index(section) + 1}: that is no failure."
            )
        elif close < 0.25:
            not_yet.append(
                f"{question!r} is far from {section} (largest cosine {close:.2f}, at least 0.25 is wanted): does "
                "the section answer it, and does the question say what it is about?"
            )
    if not_yet:
        wrong(f"{len(not_yet)} of {len(failing)} do not count yet.\n  " + "\n  ".join(not_yet))
    if not all(first_five(question) for question, _ in failing):
        wrong("`first_five` returns nothing: run its cell as it was.")
    return f"{len(failing)} questions that BM25 misses. Would the tutor's search find them?"
