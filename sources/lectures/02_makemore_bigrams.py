# %% [markdown]
# # 02 · makemore: language modeling by counting, then by gradient
#
# At the end of this page a machine invents names. It learns how in two ways that look nothing alike: once by counting which character
# follows which, and once as a neural network trained by gradient descent. Then we find that the two are one and the same model. On the
# way you meet the parts that every language model has, up to the largest: tokens, a next-token distribution, sampling, and the loss.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/02_makemore_bigrams.ipynb) · a run takes about 20 s and 0.7 GB on a laptop's CPU
#
# Needs: lecture 01, for what a gradient is. Later lectures take from here: `load_names`, `CharVocab`, `build_dataset`, `split_words`.

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
import math
import time
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from course_utils import lesson, plot, train

lesson.start("02_makemore_bigrams")

# %% [markdown]
# A table of 27 × 27 numbers is all we train here, so the page stays on the CPU. Of `course_utils`, `lesson` sets seeds and the look of plots, `plot` draws, and `train` brings a progress bar.

# %% tags=["parameters"]
names_to_sample = 10  # names invented at each sampling
whole_steps = 20  # gradient descent steps on all pairs, the slow way
steps = 1000  # gradient descent steps on the distinct pairs

# %% [markdown]
# ## 1. The names
#
# Our text is a list of given names: those that at least five girls, or at least five boys, born in the United States in 2018 were given ([Social Security Administration](https://www.ssa.gov/oact/babynames/limits.html)). Each name counts once,
# however many children bear it. What does one look at first, in data never seen before? A few examples, how many there are, and the extremes.

# %%
#| export names
from pathlib import Path

from course_utils import data


def load_names(file: str | Path | None = None) -> list[str]:
    """32,257 given names in lower case, girls' by falling frequency, then boys'. They come with the course.

    file: a text file with one name a line, to use instead.  Raises `course_utils.data.DataError`.
    Source: US Social Security Administration, births of 2018.
    """
    return data.names(file)


# %%
words = load_names()
words[:8]

# %% tags=["nbval-check-output"]
lengths = Counter(len(word) for word in words)
len(words), len(set(words)), min(lengths), max(lengths)

# %% [markdown]
# 32,257 rows, of which 29,693 are different: a name given to girls and to boys is there twice. The shortest have two characters, the longest
# fifteen. What is in between?

# %%
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.bar(sorted(lengths), [lengths[n] for n in sorted(lengths)])
ax.set(xlabel="characters in a name", ylabel="names", title="Most names have five to seven characters")
plt.show()

# %% [markdown]
# Each name is a small lesson about which characters follow which. *emma* says: a name may begin with e; after e may come m; after m, another m,
# or an a; and after a it may end. Five examples of "what comes next" in one word of four letters. A model that predicts **the next
# character from the characters before it** is a *language model*, here at the level of characters. The simplest one that is not blind looks back
# one character only. It is called a **bigram** model, since it knows about pairs.

# %% [markdown]
# ## 2. Pairs of characters, in a dictionary
#
# To see a name's beginning and end as something that can be predicted, we mark both.


# %%
def pairs(word):
    marked = ["<S>", *word, "<E>"]
    return list(zip(marked, marked[1:], strict=False))


pairs("emma")

# %% [markdown]
# `zip` walks over the list and over the list without its first entry, side by side: consecutive pairs, each with its left and right character.
# We count them over all names.
#
# <details><summary><b>Predict.</b> Which pair do you think is the most frequent of all?</summary>
#
# Names end, and they like to end in n or a. Look at the output.
# </details>

# %% tags=["nbval-check-output"]
counts = Counter(pair for word in words for pair in pairs(word))
counts.most_common(5)

# %% [markdown]
# The winners all touch an end or sit around an *a*: 6,808 names end in *n*, 6,682 end in *a*, 4,438 begin with *a*. These counts *are* a model already: after
# *n*, the end is likely. What is missing is a form in which a machine can compute with them fast.

# %% [markdown]
# ## 3. Pairs of characters, in a tensor
#
# A table: row $i$ for the first character of a pair, column $j$ for the second, and in the cell how often it occurred. For that each
# character needs a number. 26 letters and two marks make 28. We try.

# %%
marks = ["<S>", *"abcdefghijklmnopqrstuvwxyz", "<E>"]
place = {mark: i for i, mark in enumerate(marks)}
N28 = torch.zeros(28, 28, dtype=torch.int64)  # (28, 28)
for (left, right), count in counts.items():
    N28[place[left], place[right]] = count
N28[place["<E>"]].sum(), N28[:, place["<S>"]].sum()

# %% [markdown]
# Two sums, both zero. Nothing ever follows the end, so a whole row is empty; nothing ever precedes the start, so a whole column is. We reserved room
# for pairs that cannot happen. And the two marks never meet in one role: the start is only ever on the left, the end only on the right. So **one
# mark can do both jobs**. We call it `.`, and give it number 0.

# %%
#| export names
from collections.abc import Iterable


class CharVocab:
    """Characters as numbers: `.` is 0 and marks both the start and the end of a word, the letters follow in order.

    words: whose characters to know.  chars: all of them, as one string.  len(vocab): how many there are (27 for the
    names).
    """

    def __init__(self, words: Iterable[str]):
        self.chars = "." + "".join(sorted(set("".join(words)) - {"."}))
        self.index = {char: i for i, char in enumerate(self.chars)}

    def __len__(self) -> int:
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        """The number of each character. Raises ValueError for a character that the vocabulary does not know."""
        try:
            return [self.index[char] for char in text]
        except KeyError as unknown:
            known = self.chars if len(self) < 100 else f"{self.chars[:97]}..."
            raise ValueError(f"{text!r:.60} holds {unknown}, but this vocabulary knows only {known}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text that these numbers stand for. Raises IndexError for a number that stands for nothing."""
        return "".join(self.chars[i] for i in ids)


# %% tags=["nbval-check-output"]
vocab = CharVocab(words)
len(vocab), vocab.encode(".emma."), vocab.decode([5, 13, 13, 1])

# %% [markdown]
# Now the counts. The loop over all names is easy to read:

# %%
start = time.perf_counter()
N = torch.zeros(27, 27, dtype=torch.int64)  # (27, 27)
for word in words:
    ids = vocab.encode(f".{word}.")
    for i, j in zip(ids, ids[1:], strict=False):
        N[i, j] += 1
loop_seconds = time.perf_counter() - start
print(f"{N.sum():,} pairs in {loop_seconds:.2f} s")

# %% [markdown]
# 229,804 pairs, and it takes a while, because each `N[i, j] += 1` sends one small errand from Python to the tensor library. The remedy is one that
# will come back in every lecture: **hand over all the work at once.** All names in a row, with a dot between any two, are one long text. Its
# characters without the last are the left sides, without the first the right sides. And the pair $(i, j)$ is cell number $27 i + j$ of the
# table, so counting pairs is counting whole numbers, for which there is `torch.bincount`.

# %%
start = time.perf_counter()
ids = torch.tensor(vocab.encode("." + ".".join(words) + "."))  # (229805,)
xs, ys = ids[:-1], ids[1:]  # (229804,), (229804,)
fast = torch.bincount(27 * xs + ys, minlength=27 * 27).view(27, 27)  # (729,) -> (27, 27)
fast_seconds = time.perf_counter() - start
assert torch.equal(fast, N)
print(f"the same table in {1000 * fast_seconds:.0f} ms")

# %% [markdown]
# Equal in every cell, and many times as fast; most of the time that is left goes into turning Python's list into a tensor. Here is the whole table, darker where a pair is more frequent (on a scale that keeps small counts visible). Each cell says which pair it is, and how often
# it occurred.

# %%
plot.labelled_table(N, vocab.chars, "How often each character (row) is followed by each other (column)")

# %% [markdown]
# Take a minute to read it. The top row holds the beginnings, the left column the ends. The row of *q* is nearly empty but for *qu*. The dark columns
# include the vowels *a*, *e* and *i*, which follow nearly everything; *n*, *l* and *r* are dark too. And many cells hold a zero.

# %% tags=["nbval-check-output"]
int((N == 0).sum()), int(N[vocab.index["."], vocab.index["."]])

# %% [markdown]
# 102 pairs never occur in 229,804. One of them is `..`, the empty name. We will have to talk about zeros (section 7).

# %% [markdown]
# ## 4. Sampling
#
# A row of counts says what may come next. Divided by its sum, it is a **probability distribution**: numbers that are not negative and sum to one. Here is how names
# begin.

# %%
p = N[0] / N[0].sum()  # (27,)
print(f"sum {p.sum():.4f};  begins with a: {p[1]:.4f}, with q: {p[vocab.index['q']]:.4f}")

# %% [markdown]
# To **sample** is to draw at random, so that over many draws each character comes up as often as its probability says. `torch.multinomial` does it. All randomness
# comes from a generator with a seed: the same seed gives the same draws again. (On another version of PyTorch they may differ.)

# %%
generator = torch.Generator().manual_seed(2)
draws = torch.multinomial(p, 20_000, replacement=True, generator=generator)  # (20000,)
for char in "aqz":
    print(f"{char}: drawn {(draws == vocab.index[char]).float().mean():.4f}, probability {p[vocab.index[char]]:.4f}")

# %% [markdown]
# `replacement=True` puts each draw back into the urn before the next. Without it, drawing 20,000 from 27 would be an error.
#
# To write a name: start at the dot, draw from its row, go to the row of what you drew, and so on until the dot comes up again.


# %%
def sample_name(P, generator):
    """Walk from dot to dot. P: (27, 27), each row a distribution over the next character."""
    i, name = 0, []
    while True:
        i = torch.multinomial(P[i], 1, generator=generator).item()
        if i == 0:
            return vocab.decode(name)
        name.append(i)


generator = torch.Generator().manual_seed(2)
[sample_name(N.float(), generator) for _ in range(names_to_sample)]

# %% [markdown]
# `multinomial` divides by the sum by itself, so counts will do. Are these good names? Rather not. But are they better than nothing? Nothing would be every
# character equally likely at every place:

# %%
uniform = torch.ones(27, 27) / 27  # (27, 27)
generator = torch.Generator().manual_seed(2)
[sample_name(uniform, generator) for _ in range(names_to_sample)]

# %% [markdown]
# Compared with that, our model has learned a lot: which letters go together, and which of them end a name. Its weakness is plain as well. It remembers one character. After *n* it cannot know
# whether the name has just begun or is long enough, so some names are a single letter and some will not end.

# %% [markdown]
# ## 5. Every row a distribution
#
# `sample_name` divides each row by its sum anew at every step. We want the whole table of probabilities, once. All 27 rows at one stroke, or we would wait for Python 27
# times.
#
# <details><summary><b>Predict.</b> <code>N</code> has shape (27, 27). What shape should the row sums have, so that the division
# lines up?</summary>
#
# (27, 1): one sum a row, standing upright beside the matrix. Broadcasting then stretches it along the columns.
# </details>

# %% tags=["nbval-check-output"]
N.sum(1).shape, N.sum(1, keepdim=True).shape

# %% [markdown]
# Both hold the same 27 numbers. PyTorch divides by either without a word. Here is the first one.

# %%
P = N / N.sum(1)  # (27, 27) / (27,)
P[0].sum(), P[:, 0].sum()

# %% [markdown]
# The first row should sum to 1. It sums to 7, and nothing failed. The first *column* sums to 1 instead. What happened is **broadcasting**, the rule by which tensors of different shapes are brought
# together. Line the shapes up *from the right*. Where one has no dimension, it is given one of size 1. Where one has size 1, it is copied along. Any other difference is an error; here 27 meets 27, so there is none.
#
# | | | |
# |---|---|---|
# | `N` | 27 | 27 |
# | `N.sum(1)` | (1) | 27 |
#
# The missing dimension was added on the **left**: a row lying down. Entry $[i, j]$ was divided by the sum of row $j$. Every character of our text has a left and a right
# neighbour, so row $j$ and column $j$ have equal sums, and we have normalised the columns: these are the probabilities of the character *before*, given the one after. A model built on
# that still prints names, because `multinomial` divides each row by its sum, whatever it is:

# %%
generator = torch.Generator().manual_seed(2)
[sample_name(P, generator) for _ in range(names_to_sample)]

# %% [markdown]
# Worse names, no error, no warning. This is how such bugs live for months. On the left what we did: every *column* sums to 1, so the rows of frequent characters are bright. On the right what we meant: every *row* does.

# %%
plot.heatmaps(
    {"divided by the sum of row j": P, "divided by the sum of row i": N / N.sum(1, keepdim=True)},
    labels=vocab.chars,
    share_scale=True,
    title="A forgotten keepdim, and its repair",
)

# %% [markdown]
# `keepdim=True` keeps the summed dimension in its place, with size one. It costs nothing and says what we mean.

# %%
P = N / N.sum(1, keepdim=True)  # (27, 27) / (27, 1): each row by its own sum
torch.testing.assert_close(P.sum(1), torch.ones(27))  # float32 sums of 27 terms: the default tolerance is wide enough

# %% [markdown]
# Two habits from this section will save you days: check an invariant (rows sum to one) right after the line that should create it, and read shapes from the right.

# %% [markdown]
# ## 6. How good is it? The negative log likelihood
#
# One number, please, for how well a model knows these names. What does the model say about each pair that really occurs in *emma*?

# %%
ids = vocab.encode(".emma.")
for i, j in zip(ids, ids[1:], strict=False):
    print(f"{vocab.chars[i]}{vocab.chars[j]}: {P[i, j]:.4f}, logarithm {P[i, j].log():.4f}")

# %% [markdown]
# With no knowledge at all each would be $1/27 \approx 0.037$. The model gives four of the five more than that, three of them clearly; to *mm* it gives less. On the whole it knows something. The probability of the whole name is the chance of its
# first step, times that of the second step given the first, and so on, where for our model only the last character counts: the product of these, and that of the whole data set is the product over all 229,804 pairs: the **likelihood**. We want a model that finds what really happened likely.
#
# A product of so many small numbers, though, is smaller than any float. (`P[xs, ys]` takes the entries `P[xs[0], ys[0]]`, `P[xs[1], ys[1]]`, and so on: one for each pair.)

# %%
p = P[xs, ys]  # (229804,): for each pair, the probability that the model gave to what came
p.double().prod()

# %% [markdown]
# Zero: it underflows. The logarithm turns the product into a sum, which floats can hold, and it grows when its argument grows, so the better model stays the better one:
#
# $$\log \prod_k p_k = \sum_k \log p_k$$
#
# Logarithms of probabilities are never positive, and a *loss* should be something to make small, so we put a minus in front. And since a sum depends on how much data there is, we
# take the mean. That is the **negative log likelihood** (NLL):
#
# $$\text{NLL} = -\frac{1}{n} \sum_{k=1}^{n} \log p_k$$


# %%
def nll(P, xs, ys):
    """The mean negative log likelihood of the pairs (xs[k], ys[k]). P: (27, 27).  xs, ys: (n,).  In nats."""
    return -P[xs, ys].log().mean()


nll(P, xs, ys)

# %% [markdown]
# Is 2.454 good? The unit is the **nat**, since we took natural logarithms; divided by $\ln 2$ it becomes bits. The exponential of the NLL is the **perplexity**: among how many equally likely characters
# the model seems to choose. And we need marks to measure against. A perfect prophet, who gives 1 to whatever comes, has 0. Somebody who knows nothing gives $1/27$ to everything and has
# $\ln 27$.
#
# <details><summary><b>Predict.</b> What is the NLL of the table that was normalised the wrong way, in section 5?</summary>
#
# The same, to the last digit. In −Σ N·log(N / S), the sums S enter as Σ S·log S, whether they stand by the rows or by the columns, and both are equal. The loss reads
# one number from each row that it visits; it cannot see that the others do not fit. Before you believe a loss, make sure that the probabilities sum to one.
# </details>

# %%
bits = nll(P, xs, ys) / math.log(2)
print(f"nothing known {math.log(27):.4f}, bigrams {nll(P, xs, ys):.4f} nats a character = {bits:.2f} bits")
print(f"perplexity: from 27 down to {nll(P, xs, ys).exp():.1f}")
print(f"the wrong table of section 5: {nll(N / N.sum(1), xs, ys):.4f}")

# %% [markdown]
# Our model is as uncertain at each character as if it chose among 11.6 equally likely ones, instead of 27. And look at the last line: the table that writes *wackyxxikendowff* has the same loss. A loss
# judges distributions, and it takes your word for it that they are some.
#
# Could some other table of bigrams score better than ours, honestly? No. Counting and dividing gives the table with the highest likelihood there is: it is the **maximum likelihood
# estimate**. (Section 13 shows why: at this table, and only there, every gradient is zero.) Remember this number, 2.4544. It is the floor for every bigram model on this text, and section 13 will meet it again.

# %% [markdown]
# ## 7. Smoothing
#
# One thing is wrong with that perfect table. We ask it about a name that is not in the data.

# %%
x = torch.tensor(vocab.encode(".andrejq"))  # (8,)
y = torch.tensor(vocab.encode("andrejq."))  # (8,)
P[x, y], nll(P, x, y)

# %% [markdown]
# A single zero, *jq*, and the loss is infinite. The model does not say "unlikely", it says "impossible", and 229,804 pairs are not enough evidence to call anything impossible. The old
# remedy is to pretend that every pair was seen $k$ times more than it was (Laplace took $k = 1$):
#
# $$P_{ij} = \frac{N_{ij} + k}{\sum_{j'} (N_{ij'} + k)}$$
#
# <details><summary><b>Predict.</b> What does the model become when k is very large?</summary>
#
# Uniform. The true counts drown in the false ones, and the loss approaches ln 27. So k is a dial, from "believe only the data" to "believe nothing".
# </details>


# %%
def smoothed(N, k):
    """Counts to probabilities, with k false counts added to each cell. N: (27, 27) -> (27, 27), rows sum to 1."""
    counts = N + k
    return counts / counts.sum(1, keepdim=True)


P1 = smoothed(N, 1)
nll(P1, x, y), nll(P1, xs, ys)

# %%
loss_of_counts = nll(P1, xs, ys).item()
assert 2.4545 < loss_of_counts < 2.4555  # 2.4546 on makemore's own file, an earlier revision of the same names
ks = [0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000]
losses = [nll(smoothed(N, k), xs, ys).item() for k in ks]

# %%
fig, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(ks, losses, marker="o", label="smoothed bigrams")
ax.axhline(math.log(27), color="black", linestyle=":", label="nothing known: ln 27")
ax.set(xlabel="false counts k", ylabel="NLL (nats a character)", title="From believing the data to believing nothing")
ax.legend()
plt.show()

# %% [markdown]
# The name that was impossible is now merely very unlikely, and on the whole the false counts cost next to nothing: 2.4550 instead of 2.4544. (They also allow `..`, the empty name, which really is impossible: about one name in
# 30,000 will be empty.) On the data that was counted, smoothing can only hurt. Where does it help? On names that were *not* counted. We count every second name, and ask about the others.

# %%
counted, asked = words[::2], words[1::2]
to_pairs = lambda some: torch.tensor(vocab.encode("." + ".".join(some) + ".")).unfold(0, 2, 1).T  # (2, pairs)
half = torch.bincount(27 * to_pairs(counted)[0] + to_pairs(counted)[1], minlength=729).view(27, 27)  # (27, 27)
for k in (0, 0.01, 0.1, 1, 10):
    print(f"k = {k:5}: on new names {nll(smoothed(half, k), *to_pairs(asked)):.4f}")

# %% [markdown]
# Without false counts the loss is infinite; with a few it is nearly that of the names counted. How much of it is best is exercise E03.

# %% [markdown]
# ---
# # The same model, as a neural network
#
# Counting was easy, and it does not lead far. A table for two characters back has 27³ cells, some 20,000; for ten characters back it has 27¹¹, more than five quadrillion, nearly all of them zero.
# What if we do not count, but *train*: begin with any table, measure its loss, and let gradients improve it? For bigrams this is a long way round to the same
# place. But it is the way that goes on.

# %% [markdown]
# ## 8. A data set of pairs
#
# A network learns from examples: an input, and the answer wanted. Ours are the pairs. For later lectures we build this once and for all for any number of characters
# looked back at, the **block size**. With a block size of 3, *emma* gives five examples:
#
# | input | answer |
# |---|---|
# | `...` | e |
# | `..e` | m |
# | `.em` | m |
# | `emm` | a |
# | `mma` | . |
#
# Dots fill what lies before the beginning. No loop over examples here either: put enough dots between the words that no window can see two words, cut windows out of the
# one long text with `unfold`, and drop those that reach beyond the dot that ends the word. In one text for `emma` and `al`, the characters of the second word start 3 + 5 places later, but its examples come right after the first five: `shift` bridges that gap.


# %%
#| export names
import random

import torch

LETTERS = CharVocab("abcdefghijklmnopqrstuvwxyz")


def build_dataset(words: list[str], block_size: int, vocab: CharVocab = LETTERS) -> tuple[torch.Tensor, torch.Tensor]:
    """Every character of every word (its end included), with the `block_size` characters before it.

    Returns X: (examples, block_size) and Y: (examples,), both int64; positions before a word's start hold 0, the dot.
    Raises ValueError for a character that the vocabulary does not know, for no words, or a block size below 1.
    """
    if block_size < 1:
        raise ValueError(f"a block size of {block_size} leaves nothing to predict from: choose 1 or more.")
    if not words:
        raise ValueError("there are no words to make examples of.")
    text = "".join("." * block_size + word + "." for word in words)
    ids = torch.tensor(vocab.encode(text))  # (characters,)
    windows = ids.unfold(0, block_size + 1, 1)  # (characters - block_size, block_size + 1): views, nothing is copied
    # A word of n characters takes n + 1 + block_size places; its first n + 1 windows are its examples.
    lengths = torch.tensor([len(word) + 1 for word in words])  # (words,)
    starts = torch.cumsum(lengths + block_size, 0) - lengths - block_size  # (words,)
    first_example = torch.cumsum(lengths, 0) - lengths  # (words,)
    shift = torch.repeat_interleave(starts - first_example, lengths)  # (examples,)
    examples = windows[torch.arange(len(shift)) + shift]  # (examples, block_size + 1)
    return examples[:, :-1].contiguous(), examples[:, -1].contiguous()


def split_words(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The words in three parts, 80 % to train on, 10 % to make choices on, 10 % to test on once.

    Shuffled by the recipe of the makemore lectures (Python's `random` with seed 42). The list itself stays as it is.
    """
    shuffled = list(words)
    random.Random(42).shuffle(shuffled)
    first, second = int(0.8 * len(words)), int(0.9 * len(words))
    return shuffled[:first], shuffled[first:second], shuffled[second:]


# %% tags=["nbval-check-output"]
X3, Y3 = build_dataset(["emma"], block_size=3)
[f"{vocab.decode(x)} -> {vocab.decode([y])}" for x, y in zip(X3.tolist(), Y3.tolist(), strict=True)]

# %% [markdown]
# The loop that this replaces is five lines, slow, and easy to believe. So it serves as the proof, on a thousand names. And with a block size of 1 we have the bigrams again, in the same order as before.


# %%
def slow_dataset(words, block_size):
    examples = []
    for word in words:
        window = [0] * block_size
        for i in vocab.encode(word + "."):
            examples.append((window, i))
            window = [*window[1:], i]
    return torch.tensor([window for window, _ in examples]), torch.tensor([i for _, i in examples])


for block_size in (1, 2, 5):
    for fast, slow in zip(build_dataset(words[:1000], block_size), slow_dataset(words[:1000], block_size), strict=True):
        assert torch.equal(fast, slow)

# %%
X, Y = build_dataset(words, block_size=1)  # (229804, 1), (229804,)
assert torch.equal(X[:, 0], xs) and torch.equal(Y, ys)
X.shape, Y.shape

# %% [markdown]
# `split_words` cuts a list of names into three parts, for a purpose that comes with exercise E02: one to train on, one to make choices with, one to test on at the end. A word of caution: our list holds 2,564 names twice, a girls' and a boys' row, so
# about an eighth of the names in the second and third part stand in the first as well. The makemore lectures' list has such pairs too; the losses compare.

# %% tags=["nbval-check-output"]
train_words, dev_words, test_words = split_words(words)
twice = [sum(word in set(train_words) for word in part) / len(part) for part in (dev_words, test_words)]
len(train_words), len(dev_words), len(test_words), [round(share, 3) for share in twice]

# %% [markdown]
# ## 9. Numbers that are names: one-hot
#
# The inputs are numbers from 0 to 26. May we multiply 13 by a weight? Then *m* (13) would be worth thirteen times *a* (1), and *z* twice *m*. But these numbers are *names* of
# characters, not amounts. So each becomes a vector of 27 zeros with a single one in its own place, a **one-hot** vector. No character is then larger than another.

# %%
x = torch.tensor(vocab.encode(".emma"))  # (5,)
xenc = F.one_hot(x, num_classes=27).float()  # (5, 27)
plt.figure(figsize=(7, 1.9))
plt.imshow(xenc, cmap="Greys")
plt.xticks(range(27), vocab.chars)
plt.yticks(range(5), vocab.decode(x.tolist()))
plt.hlines([0.5, 1.5, 2.5, 3.5], -0.5, 26.5, color="#dddddd", linewidth=0.8)
plt.ylabel("example")
plt.title("Five characters, one-hot: one row each, one 1 in a row")
plt.xlabel("which character")
plt.grid(False)
plt.show()

# %% [markdown]
# `.float()`, since `one_hot` returns integers, and a network multiplies with fractions.

# %% [markdown]
# ## 10. One layer of 27 neurons
#
# The smallest network: 27 neurons, one for each character that may come next, each with 27 weights, one for each character that was. No bias, no squashing. All neurons on all examples
# are **one matrix product**: entry $[b, j]$ is the sum of products of example $b$ with the weights of neuron $j$.

# %%
generator = torch.Generator().manual_seed(0)
W = torch.randn(27, 27, generator=generator)  # (27, 27)
logits = xenc @ W  # (5, 27) @ (27, 27) -> (5, 27)
logits.shape, logits[3, 13], (xenc[3] * W[:, 13]).sum()

# %% [markdown]
# The last two are the same number: the score that neuron 13 gives to example 3. In lecture 01 a layer of neurons was a list of objects, each a list of `Value`s. Here it is one line, and all examples
# pass at once.

# %% [markdown]
# ## 11. From scores to probabilities: softmax
#
# The scores may be any numbers, negative too. Probabilities are positive and sum to one. Counting had counts to divide; what could be like a count here? We read the score as
# the **logarithm of a count**. Its exponential is then positive, whatever the score, and we go on as in section 5.

# %%
fake_counts = logits.exp()  # (5, 27), positive
probs = fake_counts / fake_counts.sum(1, keepdim=True)  # (5, 27) / (5, 1)
torch.testing.assert_close(probs, F.softmax(logits, dim=1))  # PyTorch's own; float32 rounding only
probs[0].sum(), probs.min()

# %% [markdown]
# These two steps together are called **softmax**, and the scores before it **logits**. Every part of it can be differentiated: a product, an exponential, a sum, a division. We know their
# slopes from lecture 01.
#
# How surprised is this network, which knows nothing yet, by *emma*?

# %%
y = torch.tensor(vocab.encode("emma."))  # (5,)
p = probs[torch.arange(5), y]  # (5,): row b, column y[b]
for left, right, probability in zip(vocab.decode(x.tolist()), vocab.decode(y.tolist()), p.tolist(), strict=True):
    print(f"{left}{right}: {probability:.4f}")
-p.log().mean()

# %% [markdown]
# `probs[torch.arange(5), y]` picks one entry in each row: the probability that the network gave to what really came. Then the same loss as before. Here it is worse than $\ln 27 \approx 3.30$, and over all pairs it will be as well (the first loss in the next section): the network knows nothing, and is sure about it.

# %% [markdown]
# ## 12. Learning it by gradient descent
#
# Forward, backward, update, as in lecture 01. PyTorch keeps the graph, once we say whose gradient we want.

# %%
W.requires_grad_()
loss = -F.softmax(xenc @ W, 1)[torch.arange(5), y].log().mean()
loss.backward()
W.grad.shape, W.grad[0].abs().sum(), W.grad[26].abs().sum()

# %% [markdown]
# One slope for each weight. Row 0, the scores after a dot, has some. Row 26 has none: it holds the scores after a *z*, no *z* was an input, and so they had no say. (*Column* 26, the scores *of* z, has slopes in every row that was used.) Now the whole data set, all 229,804 pairs in
# each step. It takes some seconds.
#
# <details><summary><b>Predict.</b> How low can this network get, on these pairs? You have seen the number.</summary>
#
# For each character it can output any distribution at all over the next one. That is what a table of bigrams can do, and not more. So its floor is 2.4544, too.
# </details>


# %%
def forward(W, xs, ys):
    """The loss of the network on pairs (xs, ys). W: (27, 27) logits."""
    logits = F.one_hot(xs, 27).float() @ W  # (n, 27)
    counts = logits.exp()  # (n, 27)
    probs = counts / counts.sum(1, keepdim=True)  # (n, 27)
    return -probs[torch.arange(len(ys)), ys].log().mean()


def start_weights():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(27, 27, generator=generator).requires_grad_()


# %%
W = start_weights()
start, whole_losses = time.perf_counter(), []
for _ in (bar := train.progress(whole_steps, "all pairs, every step")):
    loss = forward(W, xs, ys)
    W.grad = None  # the zero_grad of lecture 01
    loss.backward()
    W.data -= 50 * W.grad
    whole_losses.append(loss.item())
    bar.set_postfix_str(f"loss {loss:.3f}")
step_seconds = (time.perf_counter() - start) / whole_steps

# %%
print(f"loss {whole_losses[0]:.3f} -> {whole_losses[-1]:.3f}, {1000 * step_seconds:.0f} ms a step")

# %% [markdown]
# A learning rate of 50, a hundred times that of the moons in lecture 01? Here the gradient is a mean over so many pairs that each weight gets a tiny share of it, and the loss has a single valley
# (it is convex in $W$), so there is no wrong one to fall into. Too large a rate still overshoots: try 400.
#
# It learns, and it is slow. What does the machine do all the time? At each step it makes 229,804 one-hot vectors and multiplies them with $W$. But there are 27 different characters. **It computes the same
# 27 rows again and again**, thousands of times each.

# %% [markdown]
# ## 13. One-hot selects a row
#
# Multiply a one-hot vector with a matrix: all products are zero but those with the row where the one stands. So the product *is* that row.

# %%
assert torch.equal(F.one_hot(x, 27).float() @ W, W[x])  # (5, 27): equal, not only close, for weights that are finite

# %% [markdown]
# `W[x]` looks rows up instead of multiplying. This is what an **embedding** is, and lecture 03 begins with it; exercise E04 lets you prove that gradients flow through it as well. And it leads further: row $i$ of $W$ holds
# the logits after character $i$, no more and no less. The network *is* a 27 × 27 table, whose entries play the part of logarithms of counts (up to a constant in each row, which softmax removes).
#
# So the mean over 229,804 pairs can be written as one over the distinct pairs, each weighted by how often it occurs. With $q_{ij} = N_{ij} / n$:
#
# $$-\frac{1}{n} \sum_k \log P_{x_k y_k} \;=\; -\sum_{i,j} q_{ij} \log P_{ij}$$
#
# It is the **cross-entropy** of each row, what happens after character $i$ against what the model expects, averaged over the rows with their shares $q_i = \sum_j q_{ij}$. Not an approximation: the same sum with equal terms collected.

# %%
q = N / N.sum()  # (27, 27), sums to 1


def table_loss(W):
    """The same loss from the distinct pairs. `log_softmax` takes softmax and logarithm in one careful step."""
    return -(q * F.log_softmax(W, dim=1)).sum()


W = start_weights()
torch.testing.assert_close(table_loss(W), forward(W, xs, ys))  # float32 sums in another order

# %% [markdown]
# What is its gradient? The loss of row $i$ is $q_i$ times that of one softmax, whose slope in each score is the probability given minus the probability wanted (lecture 05 derives it):
#
# $$\frac{\partial L}{\partial W_{ij}} = q_i \left(\operatorname{softmax}(W_i)_j - \frac{N_{ij}}{\sum_{j'} N_{ij'}}\right)$$

# %%
row_share = q.sum(1, keepdim=True)  # (27, 1)
(gradient,) = torch.autograd.grad(table_loss(W), W)
torch.testing.assert_close(gradient, row_share * (F.softmax(W, 1) - P).detach(), rtol=1e-4, atol=1e-7)

# %% [markdown]
# Read off it two things. The gradient is zero where softmax of $W$ is the table of counts, and nowhere else: training must go there. And every row's gradient contains its share $q_i$: the row of *a* gets
# large gradients, that of *q* hardly any. So we give each row a rate of its own, divided by that share. (An optimiser that finds such rates by itself is in lecture 11.) A step costs next to nothing now, and we can afford a thousand. For comparison, the same number of steps with one rate for all.


# %%
def train_table(rate):
    """Gradient descent on the distinct pairs; rate: a number, or (27, 1), one for each row. Returns W and the losses."""
    W, losses = start_weights(), []
    for _ in range(steps):
        loss = table_loss(W)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
        losses.append(loss.item())
    return W.detach(), losses


start = time.perf_counter()
W, losses = train_table(4 / row_share)
seconds = time.perf_counter() - start
_, one_rate = train_table(50)
print(f"loss {losses[-1]:.4f} after {steps} steps in {seconds:.1f} s: {1000 * seconds / steps:.2f} ms a step")
print(f"with one rate for all rows: {one_rate[-1]:.4f}")

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2))
ax.loglog(range(1, steps + 1), one_rate, label="one rate for all rows")
ax.loglog(range(1, steps + 1), losses, label="a rate for each row")
ax.axhline(nll(P, xs, ys), color="black", linestyle=":", label="the table of counts: 2.4544")
ax.set(xlabel="step", ylabel="NLL (nats a character)", title="Gradient descent arrives where counting had begun")
ax.set_yticks([2.5, 3, 3.5, 4], ["2.5", "3", "3.5", "4"])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# ## 14. Prove it: the same model
#
# If the two are one model, then softmax of the trained $W$ must be the table of counts.

# %%
trained = F.softmax(W, dim=1)  # (27, 27)
print(f"losses: trained {losses[-1]:.4f}, counted {nll(P, xs, ys):.4f}")
print(f"largest difference in any of the 729 probabilities: {(trained - P).abs().max():.4f}")
assert 0 <= losses[-1] - nll(P, xs, ys).item() < 0.0005
assert (trained - P).abs().max() < 0.001  # descent is not finished: cells with count 0 still sink towards 0

# %%
plot.heatmaps(
    {"counted": P, "trained": trained},
    labels=vocab.chars,
    share_scale=True,
    title="Counting and training give the same table",
)

# %% [markdown]
# Where did the remaining difference come from? A count of zero asks for a logit of $-\infty$, and gradient descent is still on its way there. For the table that was smoothed, every logarithm is finite, and we can write the
# network down that gives the same answers, without any training: $W = \ln(N + 1)$. (`F.cross_entropy` in the last line is PyTorch's name for the whole chain: logits, softmax, the right entry, logarithm, mean, minus.)

# %%
by_hand = (N + 1).log()  # (27, 27) logits
torch.testing.assert_close(F.softmax(by_hand, dim=1), P1)
torch.testing.assert_close(forward(by_hand, xs, ys), nll(P1, xs, ys))
torch.testing.assert_close(F.cross_entropy(by_hand[xs], ys), nll(P1, xs, ys), rtol=1e-5, atol=0)
F.cross_entropy(by_hand[xs], ys)

# %% [markdown]
# From now on we use it; E05 finds out why it is better than the chain.

# %% [markdown]
# ## 15. Smoothing is regularisation
#
# Counting had a dial, the false counts $k$: more of them, a more uniform table. Has the network one, too? If all weights of a row are equal, all exponentials are, and the distribution is uniform. So to pull the
# weights towards zero is to pull the table towards uniform. We add a penalty to the loss, a **regularisation**, of strength $\lambda$:
#
# $$\text{loss} = \text{NLL} + \lambda \cdot \text{mean}(W^2)$$


# %%
def train_with_penalty(strength):
    W = torch.zeros(27, 27, requires_grad=True)
    for _ in range(1000):
        loss = table_loss(W) + strength * (W**2).mean()
        W.grad = None
        loss.backward()
        W.data -= 20 * W.grad
    return W.detach()


panels = {
    "from the weights: a penalty": {f"λ = {s}": F.softmax(train_with_penalty(s), 1)[0] for s in (0, 1, 10)},
    "from the data: false counts": {f"k = {k}": smoothed(N, k)[0] for k in (0, 1000, 10_000)},
}

# %%
fig, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
for ax, (title, rows) in zip(axes, panels.items(), strict=True):
    for label, row in rows.items():
        ax.plot(range(27), row, marker=".", label=label)
    ax.set(ylabel="probability", title=title)
    ax.legend()
axes[1].set(xlabel="first character of a name")
axes[1].set_xticks(range(27), vocab.chars)
fig.suptitle("Both dials flatten the distribution", weight="bold")
plt.show()

# %% [markdown]
# The same dial in another place. False counts pull towards uniform from the side of the data, the penalty from the side of the weights. The two differ in detail: the penalty lets frequent rows resist more, since their gradients are larger. The idea is one: *when the
# evidence is thin, stay near what you would say without it.* Large networks live by it; with plain gradient descent this penalty is what is called weight decay.

# %% [markdown]
# ## 16. Names from the network
#
# We sample from both tables, with the same seeds. What will come out?
#
# <details><summary><b>Predict.</b> The same names from both, or others?</summary>
#
# The probabilities agree to about three decimals, and the draws are the same, so the names are the same but for rare exceptions.
# </details>

# %%
for name, table in {"counted": P, "learned": trained}.items():
    print(name, *(sample_name(table, torch.Generator().manual_seed(seed)) for seed in range(names_to_sample)))
same = [
    sample_name(P, torch.Generator().manual_seed(seed)) == sample_name(trained, torch.Generator().manual_seed(seed))
    for seed in range(500)
]
print(f"{sum(same)} of 500 names are the same")

# %% [markdown]
# Two ways to one place. Why bother with the second? Because counting does not get much further, and the network does. In lecture 03 the input is three characters and the table is replaced by two layers; in lecture 07 it is hundreds of
# characters and a Transformer. What stays is everything else on this page: tokens in, logits out, softmax, the negative log likelihood, the gradient, the sampling loop.

# %% [markdown]
# ## What we have now
#
# | built | reached here | published | where it goes next |
# |---|---|---|---|
# | bigram counts with one false count each | 2.4550 nats a character | 2.4546 on makemore's own names, computed by us | the baseline to beat in lecture 03 |
# | one linear layer, trained | every probability within 0.001 of the counted | | logits, softmax and loss of every later model |
# | `build_dataset`, `split_words` | equal to the plain loop | the recipe of the makemore lectures | lectures 03 to 06 |
#
# ### Papers and sources
#
# - Markov (1913), [*An example of statistical investigation of the text Eugene Onegin concerning the connection of samples in chains*](https://doi.org/10.1017/S0269889706001074) (English translation, Science in Context 19, 2006). The first bigram model: vowels and consonants in 20,000 letters of
#   Pushkin, counted by hand.
# - Shannon (1948), [*A mathematical theory of communication*](https://doi.org/10.1002/j.1538-7305.1948.tb01338.x), Bell System Technical Journal 27. Section 3 samples English from bigrams and trigrams by opening a book at random; read it for entropy as well.
# - Chen and Goodman (1999), [*An empirical study of smoothing techniques for language modeling*](https://doi.org/10.1006/csla.1999.0128), Computer Speech & Language 13. What to do about zeros, better than adding one.
# - Karpathy, [makemore](https://github.com/karpathy/makemore) (2022). The code of the lecture whose path this page follows.
#
# ### Five questions for tomorrow
#
# <details><summary>1. What is a language model, in one sentence?</summary>
#
# A function from the tokens so far to a probability distribution over the next token.
# </details>
#
# <details><summary>2. N has shape (27, 27). Why is N / N.sum(1) wrong, and what does it do?</summary>
#
# Shapes are lined up from the right, so the sums lie down as (1, 27), and entry [i, j] is divided by the sum of row j. keepdim=True keeps them upright.
# </details>
#
# <details><summary>3. Why the logarithm, the minus, and the mean in the negative log likelihood?</summary>
#
# The logarithm turns a product that underflows into a sum; the minus makes better mean smaller; the mean makes data sets of different size comparable.
# </details>
#
# <details><summary>4. What loss has a model that knows nothing, for V tokens? Why is it useful to know?</summary>
#
# ln V. A network that starts far above it is sure of things that it cannot know: its initialisation is wrong (lecture 04).
# </details>
#
# <details><summary>5. Why are the counted and the trained model the same?</summary>
#
# One-hot times W picks a row of W, so the network is a table of logits, and its softmax a table of probabilities. Counting gives the table with the highest likelihood, and gradient descent on a convex loss approaches the same one.
# </details>
#
# Now the exercises: `exercises/02_makemore_bigrams.ipynb`.
