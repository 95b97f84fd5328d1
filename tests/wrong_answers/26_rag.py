# Wrong answers to exercises/26_rag.ipynb, each to be rejected in the words of its header.


# %% x01 | counts only once
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in set(question):
        f, n = passage.count(word), sum(word in other for other in corpus)
        score += math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return score


# %% x01 | the length of the passage does not matter
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    score = 0.0
    for word in question:
        f, n = passage.count(word), sum(word in other for other in corpus)
        score += math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5)) * f / (f + k1)
    return score


# %% x01 | only whether a word occurs
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        f, n = int(word in passage), sum(word in other for other in corpus)
        score += math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return score


# %% x01 | each once, not how often
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        f, n = passage.count(word), sum(other.count(word) for other in corpus)
        n = min(n, len(corpus))
        score += math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return score


# %% x01 | the IDF of TF-IDF
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        f, n = passage.count(word), sum(word in other for other in corpus)
        if n:
            score += math.log(len(corpus) / n) * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return score


# %% x01 | factor (k1 + 1)
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        f, n = passage.count(word), sum(word in other for other in corpus)
        idf = math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
        score += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * len(passage) / mean))
    return score


# %% x01 | k1 and b have no effect
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, score = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        f, n = passage.count(word), sum(word in other for other in corpus)
        score += math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5)) * f / (f + 1.2 * (0.25 + 0.75 * len(passage) / mean))
    return score


# %% x01 | all words weigh the same
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean = sum(map(len, corpus)) / len(corpus)
    return sum(passage.count(w) / (passage.count(w) + k1 * (1 - b + b * len(passage) / mean)) for w in question)


# %% x01 | should be
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    return 0.0


# %% x01 | each once, not how often
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, total = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        n, f = sum(other.count(word) for other in corpus), passage.count(word)
        idf = math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
        total += idf * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return total


# %% x01 | math.log
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, total = sum(map(len, corpus)) / len(corpus), 0.0
    for word in question:
        n, f = sum(word in other for other in corpus), passage.count(word)
        idf = math.log2(1 + (len(corpus) - n + 0.5) / (n + 0.5))
        total += idf * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return total


# %% x01 | should be
def bm25_score(question, passage, corpus, k1=1.2, b=0.75):
    mean, total = sum(map(len, {tuple(p) for p in corpus})) / len({tuple(p) for p in corpus}), 0.0
    for word in question:
        n, f = sum(word in other for other in {tuple(p) for p in corpus}), passage.count(word)
        idf = math.log(1 + (len({tuple(p) for p in corpus}) - n + 0.5) / (n + 0.5))
        total += idf * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return total


# %% x02 | padding counts
def mean_pool(x, mask):
    return torch.nn.functional.normalize(x.mean(1), dim=1)


# %% x02 | do not have length 1
def mean_pool(x, mask):
    m = mask[..., None].to(x.dtype)
    return (x * m).sum(1) / m.sum(1)


# %% x02 | not each row
def mean_pool(x, mask):
    m = mask[..., None].to(x.dtype)
    return torch.nn.functional.normalize((x * m).sum(1) / m.sum(1), dim=0)


# %% x02 | the first token's vector
def mean_pool(x, mask):
    return torch.nn.functional.normalize(x[:, 0], dim=1)


# %% x02 | the largest value
def mean_pool(x, mask):
    return torch.nn.functional.normalize(x.masked_fill(mask[..., None] == 0, -torch.inf).amax(1), dim=1)


# %% x02 | scale once, at the end
def mean_pool(x, mask):
    m = mask[..., None].to(x.dtype)
    return torch.nn.functional.normalize((torch.nn.functional.normalize(x, dim=2) * m).sum(1), dim=1)


# %% x02 | in place
def mean_pool(x, mask):
    x[mask == 0] = 0
    return torch.nn.functional.normalize(x.sum(1), dim=1)


# %% x02 | keep the dtype
def mean_pool(x, mask):
    m = mask[..., None].double()
    return torch.nn.functional.normalize((x.double() * m).sum(1), dim=1)


# %% x02 | off by
def mean_pool(x, mask):  # only right where padding is on the right
    return torch.stack([torch.nn.functional.normalize(row[: int(n)].mean(0), dim=0) for row, n in zip(x, mask.sum(1))])


# %% x03 | but by the sums
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0) + 1 / (k + rank)
    return sorted(total, key=lambda item: total[item])


# %% x03 | ranks begin at 1
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking):
            total[item] = total.get(item, 0) + 1 / (k + rank)
    return sorted(total, key=lambda item: -total[item])


# %% x03 | use the argument
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0) + 1 / (60 + rank)
    return sorted(total, key=lambda item: -total[item])


# %% x03 | every item of any ranking
def fuse(rankings, k=60):
    shared = set.intersection(*map(set, rankings)) if rankings else set()
    return [item for item in (rankings[0] if rankings else []) if item in shared]


# %% x03 | but by the sums
def fuse(rankings, k=60):
    best = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            best[item] = max(best.get(item, 0), 1 / (k + rank))
    return sorted(best, key=lambda item: -best[item])


# %% x03 | but by the sums
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0) + 1 / (k + rank)
    return sorted(total, key=lambda item: (-total[item], str(item)))


# %% x03 | changes the rankings
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings:
        rank = 1
        while ranking:
            item = ranking.pop(0)
            total[item] = total.get(item, 0) + 1 / (k + rank)
            rank += 1
    return sorted(total, key=lambda item: -total[item])


# %% x03 | what the first two give
def fuse(rankings, k=60):
    total = {}
    for ranking in rankings[:2]:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0) + 1 / (k + rank)
    return sorted(total, key=lambda item: -total[item])


# %% x04 | one too few
def cut_at_the_gap(scores):
    drops = [a - b for a, b in zip(scores, scores[1:])]
    if not drops or max(drops) == 0:
        return len(scores)
    return drops.index(max(drops))


# %% x04 | one too many
def cut_at_the_gap(scores):
    drops = [a - b for a, b in zip(scores, scores[1:])]
    if not drops or max(drops) == 0:
        return len(scores)
    return 2 + drops.index(max(drops))


# %% x04 | where nothing drops
def cut_at_the_gap(scores):
    drops = [a - b for a, b in zip(scores, scores[1:])]
    return 1 + drops.index(max(drops)) if drops else len(scores)


# %% x04 | the largest ratio
def cut_at_the_gap(scores):
    if len(scores) < 2 or scores[0] == scores[-1]:
        return len(scores)
    ratios = [b / a if a else 1 for a, b in zip(scores, scores[1:])]
    return 1 + ratios.index(min(ratios))


# %% x04 | of equal drops the first
def cut_at_the_gap(scores):
    if len(scores) < 2 or scores[0] == scores[-1]:
        return len(scores)
    drops = [a - b for a, b in zip(scores, scores[1:])]
    return len(drops) - drops[::-1].index(max(drops))


# %% x04 | but it is 0
def cut_at_the_gap(scores):
    drops = [a - b for a, b in zip(scores, scores[1:])]
    return 1 + drops.index(max(drops)) if drops and max(drops) else max(len(scores), 1)


# %% x04 | the largest ratio
def cut_at_the_gap(scores):
    drops = [(a - b) / a if a else 0 for a, b in itertools.pairwise(scores)]
    return 1 + drops.index(max(drops)) if drops and max(drops) > 0 else len(scores)


# %% x04 | nothing drops after the last one
def cut_at_the_gap(scores):
    drops = [a - b for a, b in itertools.pairwise([*scores, 0.0])]
    return 1 + drops.index(max(drops)) if drops and max(drops) > 0 else len(scores)


# %% x04 | nothing can drop
def cut_at_the_gap(scores):
    drops = [a - b for a, b in itertools.pairwise(scores)]
    return 1 + drops.index(max(drops)) if max(drops) > 0 or len(scores) == 1 else len(scores)


# %% x05 | that is the DCG
def ndcg(ranking, gains, k=10):
    return sum(gains.get(item, 0) / math.log2(rank + 1) for rank, item in enumerate(ranking[:k], 1))


# %% x05 | also those that yours missed
def ndcg(ranking, gains, k=10):
    found = [gains.get(item, 0) for item in ranking]
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    best = dcg(sorted(found, reverse=True))
    return dcg(found) / best if best else 0.0


# %% x05 | counts the same
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    return dcg([item in gains for item in ranking]) / dcg([1] * len(gains)) if gains else 0.0


# %% x05 | cut at k as well
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values, 1))
    return dcg([gains.get(i, 0) for i in ranking[:k]]) / dcg(sorted(gains.values(), reverse=True)) if gains else 0.0


# %% x05 | k makes no difference
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values, 1))
    return dcg([gains.get(i, 0) for i in ranking]) / dcg(sorted(gains.values(), reverse=True)) if gains else 0.0


# %% x05 | divide by zero
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    return dcg([gains.get(i, 0) for i in ranking]) / dcg(sorted(gains.values(), reverse=True))


# %% x05 | the discount is shifted
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 2) for r, v in enumerate(values[:k], 1))
    return dcg([gains.get(i, 0) for i in ranking]) / dcg(sorted(gains.values(), reverse=True)) if gains else 0.0


# %% x05 | sort them
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    return dcg([gains.get(i, 0) for i in ranking]) / dcg(list(gains.values())) if gains else 0.0


# %% x05 | the ranking itself has to be cut
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values, 1))
    best = dcg(sorted(gains.values(), reverse=True)[:k])
    return dcg([gains.get(i, 0) for i in ranking]) / best if best else 0.0


# %% x05 | keeps its rank
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    best = dcg(sorted(gains.values(), reverse=True))
    return dcg([gains[i] for i in ranking if i in gains]) / best if best else 0.0


# %% x05 | has a gain of 0
def ndcg(ranking, gains, k=10):
    dcg = lambda values: sum(v / math.log2(r + 1) for r, v in enumerate(values[:k], 1))
    return dcg([gains[i] for i in ranking]) / dcg(sorted(gains.values(), reverse=True)) if gains else 0.0


# %% x05 | may be shorter than k
def ndcg(ranking, gains, k=10):
    best = sorted(gains.values(), reverse=True) + [0] * k
    dcg = lambda values: sum(values[r] / math.log2(r + 2) for r in range(k))
    return dcg([gains.get(i, 0) for i in ranking]) / dcg(best) if gains else 0.0


# %% x06 | subtract what chance
def partition_modularity(A, groups):
    return float((A * (groups[:, None] == groups)).sum() / A.sum())


# %% x06 | so it is where all pairs count
def partition_modularity(A, groups):
    k = A.sum(1)
    return float((A - np.outer(k, k) / A.sum()).sum() / A.sum())


# %% x06 | divide by 2m at the end
def partition_modularity(A, groups):
    k = A.sum(1)
    return float(((A - np.outer(k, k) / A.sum()) * (groups[:, None] == groups)).sum())


# %% x06 | divided by m
def partition_modularity(A, groups):
    k, m = A.sum(1), A.sum() / 2
    return float(((A - np.outer(k, k) / (2 * m)) * (groups[:, None] == groups)).sum() / m)


# %% x06 | i = j belong to the sum
def partition_modularity(A, groups):
    k = A.sum(1)
    inside = (groups[:, None] == groups) & ~np.eye(len(A), dtype=bool)
    return float(((A - np.outer(k, k) / A.sum()) * inside).sum() / A.sum())


# %% x06 | not numbers of neighbours
def partition_modularity(A, groups):
    k = (A > 0).sum(1)
    return float(((A - np.outer(k, k) / k.sum()) * (groups[:, None] == groups)).sum() / A.sum())


# %% x06 | in place
def partition_modularity(A, groups):
    k, two_m = A.sum(1), A.sum()
    A -= np.outer(k, k) / two_m
    return float((A * (groups[:, None] == groups)).sum() / two_m)


# %% x06 | where a group is not found
def partition_modularity(A, groups):
    k, two_m, q = A.sum(1), A.sum(), 0.0
    for c in range(groups.max() + 1):
        q += A[groups == c][:, groups == c].sum() / two_m - (k[groups == c].sum() / two_m) ** 2
    return float(q)


# %% x06 | the pairs of different groups
def partition_modularity(A, groups):
    k = A.sum(1)
    return float(((A - np.outer(k, k) / A.sum()) * (groups[:, None] != groups)).sum() / A.sum())


# %% x06 | before it is subtracted
def partition_modularity(A, groups):
    k = A.sum(1)
    return float(((A - np.outer(k, k)) * (groups[:, None] == groups)).sum() / A.sum())


# %% x06 | not numbers of neighbours
def partition_modularity(A, groups):
    k = (A > 0).sum(1)
    return float(((A - np.outer(k, k) / A.sum()) * (groups[:, None] == groups)).sum() / A.sum())


# %% x07 | that is no failure
def failing_questions():
    sections = list(dict.fromkeys(p.source for p in corpus if p.lecture == "07_gpt"))[:5]
    return [(next(p.whole for p in corpus if p.source == section), section) for section in sections]


# %% x07 | five pairs are wanted
def failing_questions():
    return [
        ("How do I keep words of the future out of sight of the model?", "07_gpt § 4. Averaging the past, four times")
    ]


# %% x07 | is far from
def failing_questions():
    return [
        (f"How long should pot {n} of black tea stand?", section)
        for n, section in enumerate(
            (
                "07_gpt § 4. Averaging the past, four times",
                "03_makemore_mlp § 14. What has it learned about letters?",
                "10_gpt2_124m § 10. Stop and go on",
                "09_tokenizers § 10. Why models fail where they fail",
                "01_micrograd § 19. Two moons",
            )
        )
    ]


# %% x07 | no section
def failing_questions():
    return [("Why is the sky of an evening in summer so red?", f"08_sky § {n}") for n in range(5)]


# %% x07 | too short
def failing_questions():
    return [("why", "07_gpt § 4. Averaging the past, four times")] * 5


# %% x07 | five different questions
def failing_questions():
    question = "Why must the slopes be collected from the end back to the start?"
    return [
        (question, section)
        for section in (
            "01_micrograd § 9. Backward through the whole graph",
            "01_micrograd § 5. Backpropagation by hand",
            "01_micrograd § 6. One step downhill",
            "01_micrograd § 8. Each operation knows its slopes",
            "01_micrograd § 18. Gradient descent by hand",
        )
    ]


# %% x07 | five different sections
def failing_questions():
    place = "01_micrograd § 9. Backward through the whole graph"
    return [(f"Why must the slopes be collected from the end, {n}?", place) for n in range(5)]
