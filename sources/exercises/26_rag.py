# %% [markdown]
# # 26 · exercises: retrieval
#
# Seven tasks: the parts of a search engine, each by hand (BM25, pooling, fusion, auto-cut, nDCG, modularity), and at the end the one that matters most in practice: questions on which your own search fails. Each has a cell to fill in, a check that says what looks
# wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/26_rag.ipynb) · a run takes about 10 s and 0.6 GB on a laptop's CPU
#
# Needs: lecture 26. The tasks do not depend on each other.

# %% tags=["colab"]
# Installs the course where it is missing, as on Colab. Elsewhere this cell does nothing.
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    import subprocess
    import sys
    from importlib.metadata import version

    if sys.version_info < (3, 11):
        sys.exit("The course needs Python 3.11 or newer: choose a newer runtime, then run this cell again.")
    keep = [f"{name}=={version(name)}" for name in ("torch", "numpy") if importlib.util.find_spec(name)]
    course = "https://github.com/zero-to-nn/zero-to-nn/archive/refs/heads/main.zip"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", course, *keep], capture_output=True)
    if done.returncode:
        sys.exit("The course could not be installed: check the network connection, then run this cell again.")
    importlib.invalidate_caches()

# %%
import itertools
import math

import numpy as np
import torch

from course_utils import coursebook, lesson
from course_utils.checks import rag as check
from course_utils.lectures.rag import BM25, passages, ranked, words

device = lesson.start("26_rag, exercises")

# %% [markdown]
# ---
# ### X01. BM25   (2 of 5 · 20 minutes)
#
# Score one passage for a question. `corpus` is all passages, each a list of words, and `passage` is one of them:
#
# $$\text{score} = \sum_{w \in q} \log\left(1 + \frac{N - n_w + 0.5}{n_w + 0.5}\right) \cdot \frac{f_w}{f_w + k_1\left(1 - b + b\,\frac{|D|}{\overline{|D|}}\right)}$$
#
# $N$ is the number of passages, $n_w$ in how many of them the word occurs at all, $f_w$ how often it occurs in this one, $|D|$ the passage's length in words and $\overline{|D|}$ the mean length over the corpus. A word that the question has twice counts twice. A word that no passage has counts nothing.


# %%
def bm25_score(
    question: list[str], passage: list[str], corpus: list[list[str]], k1: float = 1.2, b: float = 0.75
) -> float:
    """The BM25 score of a passage of the corpus for a question, all lists of words."""
    ### BEGIN SOLUTION
    mean = sum(map(len, corpus)) / len(corpus)
    score = 0.0
    for word in question:
        f = passage.count(word)
        n = sum(word in other for other in corpus)
        idf = math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
        score += idf * f / (f + k1 * (1 - b + b * len(passage) / mean))
    return score
    ### END SOLUTION


# %%
check.x01(bm25_score)

# %% [markdown]
# <details><summary>Hint 1</summary>One loop over the words of the question. For each you need two counts: in this passage, and in how many passages.</details>
# <details><summary>Hint 2</summary>Where f is 0 the fraction is 0: nothing is divided by zero, because k₁ times the bracket is positive.</details>
# <details><summary>Hint 3</summary><code>passage.count(word)</code>, and <code>sum(word in other for other in corpus)</code>.</details>
#
# How fast does a count saturate? The second factor for one to twenty occurrences, in a passage of mean length:

# %% tags=["demo"]
for f in (1, 2, 5, 20):
    print(f"{f:2} times: {f / (f + 1.2):.2f} of the most that a word can bring")

# %% [markdown]
# ---
# ### X02. Mean pooling with the mask   (2 of 5 · 10 minutes)
#
# An encoder gave a vector for each token of a batch of texts. Return one for each text: the mean over its own tokens (where the mask is 1), scaled to length 1. Whatever finite numbers stand at padding, they must not matter. `mask` may be of integers or booleans. Leave both inputs as they are.


# %%
def mean_pool(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """x (B, T, C), mask (B, T), 1 for a token and 0 for padding -> (B, C), each row of length 1."""
    ### BEGIN SOLUTION
    m = mask[..., None].to(x.dtype)  # (B, T, 1)
    mean = (x * m).sum(1) / m.sum(1)  # (B, C)
    return mean / mean.norm(dim=1, keepdim=True)
    ### END SOLUTION


# %%
check.x02(mean_pool)

# %% [markdown]
# <details><summary>Hint 1</summary>Give the mask a last dimension of 1, so that it multiplies all features of a token.</details>
# <details><summary>Hint 2</summary>Divide the sum by the number of real tokens, which differs from row to row, not by T.</details>
# <details><summary>Hint 3</summary><code>(x * m).sum(1) / m.sum(1)</code> with <code>m = mask[..., None].to(x.dtype)</code>; then divide by the norm over the features.</details>
#
# ---
# ### X03. Reciprocal rank fusion   (1 of 5 · 10 minutes)
#
# Several searches each return a ranking, the best first. An item at rank $r$ (the first has rank 1) gets $1 / (k + r)$ from each ranking that has it, and nothing from the others. Return the items by their sums, the largest first. Items with equal sums keep the order in which they first appear, reading the rankings one after another.


# %%
def fuse(rankings: list[list], k: int = 60) -> list:
    """Rankings of items (anything hashable), the best first -> one ranking of all items."""
    ### BEGIN SOLUTION
    total = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0) + 1 / (k + rank)
    return sorted(total, key=lambda item: -total[item])
    ### END SOLUTION


# %%
check.x03(fuse)

# %% [markdown]
# <details><summary>Hint 1</summary>A dictionary from item to sum; two loops.</details>
# <details><summary>Hint 2</summary><code>enumerate(ranking, 1)</code> counts from 1.</details>
# <details><summary>Hint 3</summary>Python's <code>sorted</code> is stable and a dictionary remembers the order of its keys, so ties come out right by themselves.</details>
#
# ---
# ### X04. Auto-cut   (2 of 5 · 10 minutes)
#
# How many of the results should be shown? Given their scores, the highest first, return how many stand **before the largest drop** from one score to the next. Equal drops: the first. A single score: 1. No score: 0. At least one and at most all: if every score is the same, there is no drop, and all are shown.


# %%
def cut_at_the_gap(scores: list[float]) -> int:
    """Scores, the highest first -> how many to show."""
    ### BEGIN SOLUTION
    drops = [a - b for a, b in itertools.pairwise(scores)]
    if not drops or max(drops) == 0:
        return len(scores)
    return 1 + drops.index(max(drops))
    ### END SOLUTION


# %%
check.x04(cut_at_the_gap)

# %% [markdown]
# <details><summary>Hint 1</summary>The drops are the differences of neighbours; there is one fewer of them than of scores.</details>
# <details><summary>Hint 2</summary>If the largest drop is between the third and the fourth score, three are shown: the place of the drop, counted from 0, plus one.</details>
#
# ---
# ### X05. nDCG   (3 of 5 · 15 minutes)
#
# Some results are better than others: each relevant item has a **gain**, a positive number (an item that is not listed has none). A ranking earns
#
# $$\text{DCG@}k = \sum_{r=1}^{k} \frac{\text{gain of the item at rank } r}{\log_2(r + 1)}$$
#
# and nDCG@k divides it by the DCG@k of the **best possible** ranking: all relevant items, by falling gain, also those that the ranking missed. If nothing is relevant, return 0. A ranking may be shorter than $k$.


# %%
def ndcg(ranking: list, gains: dict, k: int = 10) -> float:
    """A ranking of items, the best first; {item: its gain}; how many ranks count -> nDCG@k, 0 to 1."""

    ### BEGIN SOLUTION
    def dcg(values) -> float:
        return sum(value / math.log2(rank + 1) for rank, value in enumerate(list(values)[:k], 1))

    best = dcg(sorted(gains.values(), reverse=True))
    return dcg(gains.get(item, 0) for item in ranking) / best if best else 0.0
    ### END SOLUTION


# %%
check.x05(ndcg)

# %% [markdown]
# <details><summary>Hint 1</summary>Write the DCG of a list of gains first; you need it twice.</details>
# <details><summary>Hint 2</summary>The best possible list is <code>sorted(gains.values(), reverse=True)</code>, and it is cut at k as well.</details>
#
# ---
# ### X06. Modularity   (3 of 5 · 20 minutes)
#
# How much better than chance does a partition keep the weight of a graph inside its groups? With the symmetric weights $A$, the degrees $k_i = \sum_j A_{ij}$ and $2m = \sum_{ij} A_{ij}$:
#
# $$Q = \frac{1}{2m} \sum_{ij} \left( A_{ij} - \frac{k_i k_j}{2m} \right) [c_i = c_j]$$
#
# The sum runs over all ordered pairs, $i = j$ included. Group names are any integers.


# %%
def partition_modularity(A: np.ndarray, groups: np.ndarray) -> float:
    """A (n, n) symmetric, no weight negative; groups (n,) -> Q."""
    ### BEGIN SOLUTION
    k, two_m = A.sum(1), A.sum()
    same = groups[:, None] == groups  # (n, n)
    return float(((A - np.outer(k, k) / two_m) * same).sum() / two_m)
    ### END SOLUTION


# %%
check.x06(partition_modularity)

# %% [markdown]
# <details><summary>Hint 1</summary><code>groups[:, None] == groups</code> is the bracket, for all pairs at once.</details>
# <details><summary>Hint 2</summary><code>np.outer(k, k)</code> holds all products of degrees.</details>
#
# ---
# ### X07. Questions on which your search fails   (4 of 5 · 30 minutes)
#
# A search is improved with questions that it gets wrong. Find five for BM25 over the course: questions that a learner might ask, whose answer stands in a section of the course, and for which that section is **not** among the first five. Write each with the section's address as the lecture prints it (`"07_gpt § 6. Six notes on attention"`). The check wants five different questions on five different sections, of at least five words each, and that the encoder of lecture 26 finds the question close enough to its section to believe that it belongs there (a cosine of 0.25 with one of its passages).

# %%
corpus = passages(coursebook.lectures())
places = [p.source for p in corpus]
bm25 = BM25([words(p.whole) for p in corpus])


def first_five(question: str) -> list[str]:
    """The five sections that BM25 puts first."""
    return ranked(np.argsort(-bm25.scores(words(question)), kind="stable"), places)[:5]


first_five("what should the loss be before training?")


# %%
def failing_questions() -> list[tuple[str, str]]:
    """Five pairs (question, address of the section that answers it) that `first_five` misses."""
    ### BEGIN SOLUTION
    return [
        (
            "Why is a chatbot so bad at spelling something in reverse?",
            "09_tokenizers § 10. Why models fail where they fail",
        ),
        ("What if a combination never occurred, does the model break down?", "02_makemore_bigrams § 7. Smoothing"),
        (
            "Why must the slopes be collected from the end back to the start?",
            "01_micrograd § 9. Backward through the whole graph",
        ),
        (
            "Does it help to show the network more letters before the one it guesses?",
            "06_makemore_wavenet § 4. More context",
        ),
        (
            "Which characters mean nearly the same to the trained model?",
            "03_makemore_mlp § 14. What has it learned about letters?",
        ),
    ]
    ### END SOLUTION


# %%
check.x07(failing_questions, first_five, corpus)

# %% [markdown]
# <details><summary>Hint 1</summary>BM25 needs shared words. Take a section, close it, and ask for its point in everyday words.</details>
# <details><summary>Hint 2</summary>Look at what <code>first_five</code> returns for your question, and take out the words that led it to the right place.</details>
# <details><summary>Hint 3</summary>Too far from its section? Keep one word that says what it is about, in another form than the section has. <code>embed</code> of <code>course_utils.lectures.rag</code> gives the vectors that the check multiplies.</details>
