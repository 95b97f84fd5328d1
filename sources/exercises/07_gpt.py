# %% [markdown]
# # 07 · exercises: heads at once, sums in one's head, and three parts of later models
#
# Twelve tasks around the GPT of the lecture: its heads as one product, a language in which it learns to add and multiply, once in its head and once on
# paper, a training in two phases, and three parts that newer models have in place of the lecture's. Each has a cell to fill in, a check that says what looks wrong, and
# hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/07_gpt.ipynb) · a run takes about 3 minutes and 1 GB on a laptop's CPU
#
# Needs: lecture 07. The tasks do not depend on each other unless they say so; the demonstrations between them use your answers.

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
import random
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

from course_utils import data, lesson
from course_utils.checks import gpt as check
from course_utils.lectures.gpt import GPT, GPTConfig, fit, get_batch

device = lesson.start("07_gpt, exercises")
torch.set_num_threads(1)

# %% [markdown]
# The models of this page are small: it stays on one core of the CPU. Its steps are few, so that the whole page takes
# about three minutes. Raise them when you have more time: the numbers get better, and some change their order.

# %% tags=["parameters"]
adder_steps = 700  # for the model of EX2d that adds
calculator_steps = 1500  # for each of the two calculators
phase_steps = 400  # for each model of EX3, and of EX4

# %% [markdown]
# ---
# ### EX1. All heads at once   (3 of 5 · 30 minutes)
#
# The lecture's `MultiHead` holds a list of heads and asks one after the other. The machine then gets many small products where it could have one large. So all heads move into one
# more dimension of the tensor: everything that has the shape $(B, T, \text{hs})$ for a head becomes $(B, \text{nh}, T, \text{hs})$ for all of them, and `@` and `softmax` treat the leading dimensions
# as a batch.
#
# One linear layer, `qkv`, makes queries, keys and values of all heads. The order of its 3C outputs: first the queries of all heads, head 0's first; then the keys, then the
# values. Write `forward`, with plain operations: no loop over the heads, and not the fused `F.scaled_dot_product_attention`, which is the whole task. The order of the two dimensions in the middle
# is where it usually goes wrong: `view` only ever cuts a dimension in pieces that lie next to each other.


# %%
class MultiHeadAttention(nn.Module):
    """Causal self-attention, all heads in one batched product: (B, T, C) -> (B, T, C).

    n_embd: C, the features of a position.  n_head: nh, heads of hs = C / nh features each.
    """

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.qkv = nn.Linear(n_embd, 3 * n_embd, bias=False)
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, T, C), any T.  Position t hears itself and what stands before it; the heads lie side by side in
        the input of proj, head 0 first.  Returns (B, T, C).
        """
        ### BEGIN SOLUTION
        B, T, C = x.shape
        hs = C // self.n_head
        q, k, v = self.qkv(x).split(C, -1)  # (B, T, C) each
        q, k, v = (t.view(B, T, self.n_head, hs).transpose(1, 2) for t in (q, k, v))  # (B, nh, T, hs) each
        scores = q @ k.transpose(-2, -1) / hs**0.5  # (B, nh, T, T)
        future = torch.triu(torch.ones(T, T, dtype=torch.bool, device=x.device), 1)  # (T, T)
        y = scores.masked_fill(future, float("-inf")).softmax(-1) @ v  # (B, nh, T, hs)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))
        ### END SOLUTION


# %%
check.ex1(MultiHeadAttention)

# %% [markdown]
# <details><summary>Hint 1</summary>Write the shape behind every line. <code>x</code> is (B, T, C). After <code>qkv</code> it is (B, T, 3C), and <code>.split(C, -1)</code> cuts that into three.</details>
# <details><summary>Hint 2</summary>The C features of a position are its heads side by side, so <code>view(B, T, nh, hs)</code> cuts them apart. Then nh has to come before T: <code>transpose(1, 2)</code>.</details>
# <details><summary>Hint 3</summary>The way back is the same two steps in reverse. After <code>transpose</code> the numbers of one position do not lie next to each other in memory:
# <code>reshape</code> copies them, <code>view</code> refuses.</details>
#
# What was it good for? The same weights, one head after another and all at once:


# %% tags=["demo"]
def one_after_another(attention: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the lecture's list of heads computes, with the weights of a MultiHeadAttention."""
    q, k, v = attention.qkv.weight.chunk(3)  # (C, C) each: a row for each feature of each head
    heads = zip(*(w.chunk(attention.n_head) for w in (q, k, v)), strict=True)
    mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
    out = []
    for q, k, v in heads:  # (hs, C) each
        scores = (x @ q.T) @ (x @ k.T).transpose(-2, -1) / len(q) ** 0.5  # (B, T, T)
        out.append(scores.masked_fill(mask, float("-inf")).softmax(-1) @ (x @ v.T))  # (B, T, hs)
    return attention.proj(torch.cat(out, -1))


@torch.no_grad()
def milliseconds(function, *arguments, times: int = 20) -> float:
    """The shortest of several calls, which other programs disturbed least."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function(*arguments)
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


rows = ["| heads | one after another | at once |", "|---:|---:|---:|"]
x = torch.randn(1, 32, 128)  # a short text, as in writing
for n_head in (1, 4, 16, 64):
    attention = MultiHeadAttention(128, n_head)
    torch.testing.assert_close(attention(x), one_after_another(attention, x), rtol=1e-4, atol=1e-5)  # float32
    slow, fast = milliseconds(one_after_another, attention, x), milliseconds(attention, x)
    rows.append(f"| {n_head} | {slow:.2f} ms | {fast:.2f} ms |")
Markdown("\n".join(rows))

# %% [markdown]
# The time of the list grows with every head, whatever its size. At once, the heads cost about the same products however they are cut. On a GPU, where a small product takes as long as a large one, the gap is wider.
#
# ---
# ## EX2 · Addition as a language
#
# A sum is a text: `128+367=495`. To a language model it is one like any other, so a GPT should learn to add by reading sums. It does, if we think about two things: what it reads when it has to
# write a digit, and which of its guesses we grade.
#
# All problems of this page are written in 18 characters. The space, number 0, fills up short lines.

# %%
CHARS = " 0123456789+-*/=,;"

# %% [markdown]
# ### EX2a. Spell a sum   (1 of 5 · 10 minutes)
#
# In `128+367=495` the first digit that the model has to write is the hundreds. For that it must know whether the tens carry, and for that whether the units carry: the whole sum before a single digit is written. We add from the right on paper, so that each step needs two
# digits and a carry. So let the model write from the right as well: **the answer is reversed**. And every line has the same length: the numbers of the question are filled up with zeros to `digits` digits, the answer to one more,
# since a sum may need it. So `spell_sum(28, 367)` is `("028+367=", "5930")`.


# %%
def spell_sum(a: int, b: int, digits: int = 3) -> tuple[str, str]:
    """A sum as a question and an answer, e.g. ("028+367=", "5930").

    a, b: 0 to 10**digits - 1, written with `digits` digits.  The answer: digits + 1 digits, the units first.
    """
    ### BEGIN SOLUTION
    question = f"{a:0{digits}}+{b:0{digits}}="
    answer = f"{a + b:0{digits + 1}}"
    return question, answer[::-1]
    ### END SOLUTION


# %%
check.ex2a(spell_sum)

# %% [markdown]
# <details><summary>Hint 1</summary><code>f"{28:03}"</code> is <code>028</code>, and the width may be a variable: <code>f"{a:0{digits}}"</code>.</details>
# <details><summary>Hint 2</summary><code>text[::-1]</code> turns a text round. Fill up first, then turn round: 42 in four digits is 0042, and reversed 2400.</details>
#
# ---
# ### EX2b. Grade the answer only   (3 of 5 · 25 minutes)
#
# Now the lines become a batch. A language model guesses every next character, the question's too. But nobody can guess the digits of a question, and gradients from hopeless guesses are noise. So the targets in the question are **masked**: set to -100, which `F.cross_entropy` leaves
# out, in the sum as well as in the count.
#
# `x` holds a line without its last character, `y` the same line one character later. Lines may have different lengths: then short ones are filled up on the right, `x` with 0 (the number of the space), `y` with -100. The first answer
# character is guessed when the model reads the `=`, so it is *not* masked there. (The last character of a short line may stay in `x`: nothing is graded behind it.) On one line:
#
# ```
# line    2 + 3 = 5 0
# x       2 + 3 = 5
# y       . . . 5 0         . is -100
# ```


# %%
def examples(pairs: list[tuple[str, str]], chars: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Questions and answers as inputs and targets.

    pairs: (question, answer), of any lengths; the answers have a character or more, and so have the questions.
    chars: a character's number is its place in here.
    Returns x, y: int64, (N, T) each, where T + 1 is the length of the longest question with its answer.  y[n, t] is
    the character after x[n, t] where that belongs to the answer, else -100.
    """
    ### BEGIN SOLUTION
    T = max(len(question + answer) for question, answer in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    number = {char: i for i, char in enumerate(chars)}
    for n, (question, answer) in enumerate(pairs):
        ids = torch.tensor([number[char] for char in question + answer])
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, len(question) - 1 : len(ids) - 1] = ids[len(question) :]
    return x, y
    ### END SOLUTION


# %%
check.ex2b(examples)

# %% [markdown]
# <details><summary>Hint 1</summary>Start with full tensors, <code>torch.zeros(N, T, dtype=torch.int64)</code> and <code>torch.full((N, T), -100)</code>, and write each line into its row.</details>
# <details><summary>Hint 2</summary>The answer begins at place <code>len(question)</code> of the line. In <code>y</code>, everything stands one place further left.</details>
# <details><summary>Hint 3</summary><code>y[n, len(question) - 1 : len(line) - 1] = ids[len(question) :]</code></details>
#
# Your line of the text above, and one that is longer:

# %% tags=["demo", "nbval-check-output"]
x, y = examples([("2+3=", "50"), ("17+25=", "240")], CHARS)
for name, table in (("x", x), ("y", y)):
    print(name, *("".join("." if i == -100 else CHARS[i] for i in row).replace(" ", "_") for row in table.tolist()))

# %% [markdown]
# ---
# ### EX2c. Grade like a strict teacher   (2 of 5 · 20 minutes)
#
# A sum with one wrong digit is wrong. So we count a problem when **all** characters of its answer are right, and call the share of such problems the **exact accuracy**. Two functions: `answers` lets the model write, and `exact_accuracy` grades.
#
# The model answers without chance (`temperature=0` in `GPT.generate`), and it starts from the question alone. Questions of different lengths are allowed. They cannot stand in one batch, since whatever fills up the short ones would be read as part
# of the question: so put questions of one length into one batch. What the model writes after the end of an answer does not count.


# %%
def answers(model: GPT, questions: list[str], length: int, chars: str) -> list[str]:
    """What the model writes after each question, the likeliest character each time.

    length: the number of characters to write.  chars: a character's number is its place in here.
    Returns one text of that length for each question, in the order of the questions.
    """
    ### BEGIN SOLUTION
    written = {}
    for size in {len(question) for question in questions}:
        batch = [question for question in questions if len(question) == size]
        idx = torch.tensor([[chars.index(char) for char in question] for question in batch])  # (n, size)
        out = model.generate(idx, length, temperature=0)[:, size:]  # (n, length)
        texts = ("".join(chars[i] for i in row) for row in out.tolist())
        written |= dict(zip(batch, texts, strict=True))
    return [written[question] for question in questions]
    ### END SOLUTION


def exact_accuracy(model: GPT, pairs: list[tuple[str, str]], chars: str) -> float:
    """The share, 0 to 1, of the (question, answer) pairs that the model answers without a mistake.

    The answers may have different lengths; whatever the model writes behind the end of an answer does not count.
    """
    ### BEGIN SOLUTION
    longest = max(len(answer) for _, answer in pairs)
    written = answers(model, [question for question, _ in pairs], longest, chars)
    right = [text[: len(answer)] == answer for text, (_, answer) in zip(written, pairs, strict=True)]
    return sum(right) / len(right)
    ### END SOLUTION


# %%
check.ex2c(answers, exact_accuracy)

# %% [markdown]
# <details><summary>Hint 1</summary><code>model.generate(idx, length, temperature=0)</code> returns the question too: cut it off.</details>
# <details><summary>Hint 2</summary>Sort the questions into lists by their length, answer list by list, and keep the texts in a dict, so that the order can be restored.</details>
# <details><summary>Hint 3</summary>A model that writes on after the end is not wrong: compare <code>text[:len(answer)]</code> with the answer.</details>
#
# ---
# ### EX2d. Teach it to add   (3 of 5 · 30 minutes)
#
# There are a million sums of two three-digit numbers. The model gets 50,000 of them, one in twenty, and is then asked others. Write `train_adder`: spell the problems with your `spell_sum` (EX2a), make `examples` of
# them (EX2b), build a small `GPT`, and train it with the lecture's `fit`. The task is solved when the exact accuracy on sums that it has never seen is **at least 99 %**.
#
# A setting that is a good start: 2 blocks, 2 heads, 32 features, batches of 256 problems, 700 steps. That takes about 20 seconds. A large model is not what it takes, and a larger one does not learn it sooner. Watch the loss: it stands still for a while before it falls.

# %%
chosen = random.Random(0).sample(range(1_000_000), 52_000)
sums = [divmod(n, 1000) for n in chosen]  # (a, b), all different
train_sums, new_sums = sums[:50_000], sums[50_000:]
assert not set(train_sums) & set(new_sums)


# %%
def train_adder(problems: list[tuple[int, int]], steps: int) -> GPT:
    """A GPT over CHARS that continues "028+367=" with "5930".

    problems: (a, b), 0 to 999 each.  steps: optimiser steps; take others if you like.
    """
    ### BEGIN SOLUTION
    x, y = examples([spell_sum(a, b) for a, b in problems], CHARS)
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(CHARS), block_size=x.shape[1], n_layer=2, n_head=2, n_embd=32))
    g = torch.Generator().manual_seed(0)

    def next_batch():
        rows = torch.randint(len(x), (256,), generator=g)
        return x[rows], y[rows]

    fit(model, next_batch, steps, what="adder")
    return model
    ### END SOLUTION


# %%
adder = train_adder(train_sums, adder_steps)
check.ex2d(adder, CHARS, train_sums)

# %% [markdown]
# <details><summary>Hint 1</summary><code>fit(model, next_batch, steps)</code> calls <code>next_batch()</code> for every step: a function without arguments that returns random rows of <code>x</code> and <code>y</code>.</details>
# <details><summary>Hint 2</summary><code>GPTConfig(len(CHARS), block_size=x.shape[1], n_layer=2, n_head=2, n_embd=32)</code>; and <code>rows = torch.randint(len(x), (256,))</code>.</details>
# <details><summary>Hint 3</summary>A loss near 2.3 is an even guess among ten digits: the digits do not fit the questions, or the mask is one off. A loss that stands still near 1 has learned some places and not the carry: give it more steps.</details>
#
# Is it the order of the digits that made it? A twin with the same size and the same number of steps each, once with the answer reversed, once as we write it. The table gives the share of right digits by place, each digit written after the model's own earlier ones.


# %% tags=["demo"]
def train_on(pairs, size: GPTConfig, steps: int, what: str, batch_size=256, rate=5e-3, seed=0) -> GPT:
    """A GPT of this size, its block_size apart, trained on questions and answers in CHARS."""
    x, y = examples(pairs, CHARS)
    torch.manual_seed(seed)
    model = GPT(replace(size, block_size=x.shape[1]))
    g = torch.Generator().manual_seed(0)

    def next_batch():
        rows = torch.randint(len(x), (batch_size,), generator=g)
        return x[rows], y[rows]

    fit(model, next_batch, steps, rate, what=what)
    return model


def as_we_write(a: int, b: int) -> tuple[str, str]:
    """The same sum with the highest digit first."""
    question, answer = spell_sum(a, b)
    return question, answer[::-1]


def right_by_place(model: GPT, pairs: list[tuple[str, str]]) -> list[float]:
    """The share of right characters at each place of the answer; all answers have one length."""
    written = answers(model, [question for question, _ in pairs], len(pairs[0][1]), CHARS)
    hits = torch.tensor(
        [[a == b for a, b in zip(text, pair[1], strict=True)] for text, pair in zip(written, pairs, strict=True)]
    )
    return hits.float().mean(0).tolist()


# %% tags=["demo"]
twin = train_on([as_we_write(a, b) for a, b in train_sums], adder.config, adder_steps, "highest digit first")

# %% tags=["demo"]
rows = ["| written | thousands | hundreds | tens | units | all right |", "|---|---:|---:|---:|---:|---:|"]
exact = {}
for name, model, spell in (("units first", adder, spell_sum), ("highest digit first", twin, as_we_write)):
    pairs = [spell(a, b) for a, b in new_sums]
    places = right_by_place(model, pairs)
    if spell is spell_sum:
        places = places[::-1]
    exact[name] = exact_accuracy(model, pairs, CHARS)
    rows.append(f"| {name} | " + " | ".join(f"{share:.1%}" for share in [*places, exact[name]]) + " |")
Markdown("\n".join(rows))

# %% tags=["demo"]
if adder_steps >= 700:
    assert exact["units first"] >= 0.99

# %% [markdown]
# With the highest digit first, each digit has to be found with all the carries from its right worked out in the head. The first digits can be estimated, so they come early; the exact ones take much longer, and which of them is learned last is a matter of chance. Units
# first, every place is the same small procedure: two digits of the question, and a carry that can be read off the digits before. The order of writing decides how much has to be thought between two characters. It is not that the twin cannot add: with more
# steps it comes closer.
#
# ---
# ## EX2 · A calculator
#
# Four operations on numbers of two digits: 39,900 problems, since nothing is divided by 0. A tenth of them is held back.

# %%
problems = [(a, op, b) for op in "+-*/" for a in range(100) for b in range(op == "/", 100)]
random.Random(0).shuffle(problems)
new_problems, train_problems = problems[:3_990], problems[3_990:]

# %% [markdown]
# ### EX2e. Four operations   (2 of 5 · 15 minutes)
#
# Some conventions. Both operands have two digits: `07-25=`. An answer has five characters: the sign first, `+` or `-`, since the digits of a difference depend on it; then the digits reversed, filled up to four. Zero has a `+`. The
# result of `/` is the whole quotient, rounded down: 17/5 is 3. So the answer to `07-25=` is `-8100`.


# %%
def spell(a: int, op: str, b: int) -> tuple[str, str]:
    """A problem as a question and an answer, e.g. ("07-25=", "-8100").

    a, b: 0 to 99; b is not 0 in a division.  op: one of + - * /.  The answer: the sign, then four digits, the units first.
    """
    ### BEGIN SOLUTION
    result = a // b if op == "/" else {"+": a + b, "-": a - b, "*": a * b}[op]
    sign = "-" if result < 0 else "+"
    return f"{a:02}{op}{b:02}=", sign + f"{abs(result):04}"[::-1]
    ### END SOLUTION


# %%
check.ex2e(spell)

# %% [markdown]
# <details><summary>Hint 1</summary>A dict of all four results divides by zero in 5+0. Work out the quotient only when it is asked for.</details>
# <details><summary>Hint 2</summary>Take <code>abs(result)</code> before you format it, or the minus sign takes one of the four places.</details>
#
# ---
# ### EX2f. Show your working   (3 of 5 · 30 minutes)
#
# Nobody multiplies 47 by 35 in one go. We write down 5 · 47 and 3 · 47 and add them. A language model has one forward pass for each character, so a hard digit gets as much computing as an easy one. But what it has *written*
# it can read. Letting it write intermediate steps first is called a **chain of thought** ([Nye et al. 2021](https://arxiv.org/abs/2112.00114) call it a scratchpad).
#
# Write the steps. A problem's answer then becomes `spell_steps(a, op, b) + answer`. Each of the two hard operations gets two groups of three digits, the first closed with a comma, the second with a semicolon:
#
# - `*`: the two **partial products**, a times the units of b, then a times the tens digit of b (the digit alone, not times ten), each in three digits, **reversed**. 47*35 gives `532,141;`, for 235 and 141.
# - `/`: **long division**. Go through the two digits of a from the left. Bring the digit down: the number is ten times the last remainder (0 at first) plus the digit. Write how often b goes into it, one digit, and the remainder, two digits, *not* reversed. 83/17 gives `008,415;`: 17 goes
#   into 8 zero times, 8 remain; it goes into 83 four times, 15 remain.
# - `+` and `-`: no steps, an empty text.


# %%
def spell_steps(a: int, op: str, b: int) -> str:
    """The intermediate steps of a problem: "532,141;" for 47*35, "008,415;" for 83/17, "" for + and -.

    a, b: 0 to 99; b is not 0 in a division.
    """
    ### BEGIN SOLUTION
    if op == "*":
        units, tens = f"{a * (b % 10):03}", f"{a * (b // 10):03}"
        return f"{units[::-1]},{tens[::-1]};"
    if op == "/":
        first, rest = divmod(a // 10, b)
        second, last = divmod(10 * rest + a % 10, b)
        return f"{first}{rest:02},{second}{last:02};"
    return ""
    ### END SOLUTION


# %%
check.ex2f(spell_steps)

# %% [markdown]
# <details><summary>Hint 1</summary><code>divmod(b, 10)</code> is the tens digit of b and its units.</details>
# <details><summary>Hint 2</summary>Fill up to three digits first, then reverse: 14 becomes 014, then 410.</details>
# <details><summary>Hint 3</summary>In a division, <code>first, rest = divmod(a // 10, b)</code>. The second number is <code>10 * rest + a % 10</code>.</details>
#
# Both calculators have the same size and the same number of steps. The one that shows its working has longer lines, so its steps take longer: the table has the seconds as well. An answer counts when the *result* is right, whatever the steps say.

# %% tags=["demo"]
direct = {problem: spell(*problem) for problem in problems}
worked = {p: (question, spell_steps(*p) + answer) for p, (question, answer) in direct.items()}
calculators, seconds = {}, {}
size = GPTConfig(len(CHARS), n_layer=2, n_head=4, n_embd=48)
for name, texts in (("direct", direct), ("with steps", worked)):
    start = time.process_time()
    pairs = [texts[p] for p in train_problems]
    calculators[name] = train_on(pairs, size, calculator_steps, name, batch_size=128, rate=8e-3, seed=2)
    seconds[name] = time.process_time() - start


# %% tags=["demo"]
def results(name: str, op: str) -> torch.Tensor:
    """Which characters of the results are right, for all new problems of an operation: (n, 5)."""
    texts = {"direct": direct, "with steps": worked}[name]
    asked = [p for p in new_problems if p[1] == op]
    written = answers(calculators[name], [texts[p][0] for p in asked], 13, CHARS)
    skip = len(spell_steps(*asked[0])) if name == "with steps" else 0
    results = [text[skip : skip + 5] for text in written]
    return torch.tensor(
        [[a == b for a, b in zip(text, direct[p][1], strict=True)] for text, p in zip(results, asked, strict=True)]
    )


rows = [
    "| | answered | exact | sign | units | tens | hundreds | thousands |",
    "|---|---|---:|---:|---:|---:|---:|---:|",
]
share = {}
for op, sign in (("+", "+"), ("-", "−"), ("*", "×"), ("/", "÷")):
    for name in calculators:
        hits = results(name, op).float()  # (n, 5)
        share[name, op] = hits.prod(1).mean().item()
        rows.append(
            f"| {sign} | {name} | **{share[name, op]:.1%}** | "
            + " | ".join(f"{h:.1%}" for h in hits.mean(0).tolist())
            + " |"
        )
print(", ".join(f"{name}: {s:.0f} s of training" for name, s in seconds.items()))
if calculator_steps >= 1500:
    assert share["with steps", "*"] > share["direct", "*"] + 0.2
Markdown("\n".join(rows))

# %% tags=["demo"]
for p in ((47, "*", 35), (83, "/", 17)):
    for name, texts in (("direct", direct), ("with steps", worked)):
        question, answer = texts[p]
        written = answers(calculators[name], [question], len(answer), CHARS)[0]
        print(f"{name:10} {question}{written}   " + ("right" if written == answer else f"should be {answer}"))

# %% [markdown] tags=["solution-only"]
# Multiplication is the case to look at. Directly, fewer than one product in ten is right: the middle digits of a product depend on all four digits of the question. With the two partial products written out, more than nine in ten are. The
# second model is no larger and has seen no more problems. It may write before it answers.
#
# Division did not gain, and may lose. Two of its digits are hard, and the steps do not make them easier: for a divisor of two digits the first group only repeats what the question says, and the second has to find the quotient in one go, as
# the direct model does, and a remainder on top. Steps help when each is easier than the whole.
#
# A caution about the other two rows, which have no steps to write. Whether a model so small finds sums and differences in so few steps depends on chance: with seed 2, set above, the direct one does, with seed 0 its sums stayed below one in ten. In
# every trial with these settings, the calculator with steps learned them: partial products have to be added too, so it practises sums in its multiplications.

# %% [markdown]
# ---
# ## EX3 · Two phases
#
# The other 29 plays hold three times as much text as the nine of the lecture. Does it help to read them first? **Pretraining** on a large text, then **fine-tuning** on the small one we care about, is how nearly every model of today is made. We compare at equal total time: every step spent on the other plays is
# missing on the nine.

# %% [markdown]
# ### EX3a. Texts, characters, splits   (2 of 5 · 15 minutes)
#
# A model that changes texts in the middle needs one vocabulary for both: every character of either text has a number, from the start. And the score counts only if nothing of what it is measured on has been read before. So: the vocabulary of both texts; all of the
# large text as ids; and the small text cut in two, the first nine tenths for training, the last tenth for validation.


# %%
def prepare(large: str, small: str) -> tuple[str, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One vocabulary for two texts, and both as ids.

    Returns the characters of both texts, sorted, each once, as one string; all of large, the first int(0.9 * N) of the
    N characters of small, and the rest of small, as int64 tensors of one dimension.  An id is the place in the string.
    """
    ### BEGIN SOLUTION
    chars = "".join(sorted(set(large + small)))
    number = {char: i for i, char in enumerate(chars)}
    large_ids, small_ids = (torch.tensor([number[char] for char in text]) for text in (large, small))
    cut = int(0.9 * len(small_ids))
    return chars, large_ids, small_ids[:cut], small_ids[cut:]
    ### END SOLUTION


# %%
check.ex3a(prepare)

# %% [markdown]
# <details><summary>Hint 1</summary><code>set(large + small)</code> holds every character once; <code>sorted</code> makes a list of it.</details>
# <details><summary>Hint 2</summary>A dict from character to number is much faster than <code>chars.index</code> on four million characters.</details>
#
# ---
# ### EX3b. The schedule   (2 of 5 · 20 minutes)
#
# `fit` asks for a batch at every step and does not know where it is from. So the two phases fit into its `next_batch`: write a function that *makes* such a function. The one that it makes counts how often it was called. The first `switch` calls get a batch of the first text, all later ones a batch
# of the second. Use the lecture's `get_batch`, and give it the `generator`.
#
# The learning rate runs over both phases: one warm-up, one cosine. Fine-tuning happens at the falling end, with small steps, which forget less of what was learned.


# %%
def two_phases(first: torch.Tensor, second: torch.Tensor, switch: int, batch_size: int, block_size: int, generator):
    """A next_batch() for `fit` that changes texts.

    first, second: ids, (N,) each.  switch: how many calls get a batch of the first text; 0 means none.
    generator: a torch.Generator, to draw from.  Returns a function without arguments; each call of it returns x, y:
    (batch_size, block_size) each.
    """
    ### BEGIN SOLUTION
    calls = 0

    def next_batch():
        nonlocal calls
        ids = first if calls < switch else second
        calls += 1
        return get_batch(ids, batch_size, block_size, generator)

    return next_batch
    ### END SOLUTION


# %%
check.ex3b(two_phases)

# %% [markdown]
# <details><summary>Hint 1</summary>A function defined inside <code>two_phases</code> remembers its arguments. To change a number out there, declare it <code>nonlocal</code>.</details>
# <details><summary>Hint 2</summary>Return the function itself, without calling it: <code>return next_batch</code>.</details>
# <details><summary>Hint 3</summary><code>ids = first if calls &lt; switch else second</code>, and then count up.</details>
#
# Two comparisons. In one, all nine plays are there to be learned from. In the other there is a hundredth of them, about 10,000 characters, a scene or two: the usual situation of whoever fine-tunes. Each model takes the same number of steps;
# with two phases, half of them are spent on the other plays. All are measured on the same tenth.

# %% tags=["demo"]
large = data.plays()
chars, large_ids, train_ids, val_ids = prepare(large, data.shakespeare())
scarce_ids = train_ids[: len(train_ids) // 100]


@torch.no_grad()
def validation_loss(model: nn.Module, block: int = 64) -> float:
    """Mean loss over the validation tenth, nats a character."""
    n = (len(val_ids) - 1) // block * block
    x, y = val_ids[:n].view(-1, block), val_ids[1 : n + 1].view(-1, block)  # (chunks, T)
    total = sum(model(a, b)[1].item() * len(a) for a, b in zip(x.split(256), y.split(256), strict=True))
    return total / len(x)


def trained(model: GPT, first, second, switch: int, what: str) -> float:
    """Train with your two phases, and return the validation loss."""
    g = torch.Generator().manual_seed(0)
    fit(model, two_phases(first, second, switch, 16, 64, g), phase_steps, what=what)
    return validation_loss(model)


def small_gpt() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(len(chars), block_size=64, n_layer=2, n_head=2, n_embd=64))


# %% tags=["demo"]
runs = {
    ("all of it", "alone"): (train_ids, 0),
    ("all of it", "other plays first"): (train_ids, phase_steps // 2),
    ("a hundredth", "alone"): (scarce_ids, 0),
    ("a hundredth", "other plays first"): (scarce_ids, phase_steps // 2),
}
phases = {name: trained(small_gpt(), large_ids, ids, switch, ", ".join(name)) for name, (ids, switch) in runs.items()}

# %% tags=["demo"]
rows = ["| Shakespeare to train on | alone | other plays first | gained |", "|---|---:|---:|---:|"]
for size in ("all of it", "a hundredth"):
    alone, both = phases[size, "alone"], phases[size, "other plays first"]
    rows.append(f"| {size} | {alone:.3f} | {both:.3f} | {alone - both:+.3f} |")
Markdown("\n".join(rows))

# %% [markdown] tags=["solution-only"]
# With a hundredth of the text, pretraining gains a lot, 0.2 to 0.4 nats: alone, the model goes over its 10,000 characters again and again and learns them by heart, while half a training on other plays teaches what all of them share. With all of the nine plays there is
# next to no difference. So few steps do not even reach every character of them once, so nothing is scarce, and reading something else first gains as much as it costs. Longer runs and larger models come to the point where the small text is used up; from there on, the large one
# pays for both rows. Try `phase_steps` of 5,000.

# %% [markdown]
# ---
# ## EX4 · Three parts from later papers
#
# The models of today are the lecture's GPT with a few parts exchanged. Three of them are in Llama and nearly everything since: another norm, another feed-forward network, another way to say where a character stands. Each is a few lines. Then all three
# go into the lecture's model, one at a time, and are measured.

# %% [markdown]
# ### EX4a. RMSNorm   (1 of 5 · 10 minutes)
#
# LayerNorm subtracts the mean of a position's features and divides by their standard deviation. [Zhang and Sennrich (2019)](https://arxiv.org/abs/1910.07467) found that the mean is not what helps: divide by the **root mean square** alone, and scale each feature with a learned weight. Write it with plain operations, without `F.rms_norm`:
#
# $$\mathrm{RMSNorm}(x)_i = \frac{x_i}{\sqrt{\frac1C \sum_j x_j^2 + \varepsilon}}\; g_i$$


# %%
class RMSNorm(nn.Module):
    """Root mean square normalisation over the last dimension: (..., C) -> (..., C).

    features: C.  eps: added to the mean square, inside of the root.  weight: (C,), g in the paper, starts at one.
    """

    def __init__(self, features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ### BEGIN SOLUTION
        return x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight
        ### END SOLUTION


# %%
check.ex4a(RMSNorm)

# %% [markdown]
# <details><summary>Hint 1</summary>Square, then <code>mean(-1, keepdim=True)</code>, then add eps, then the root.</details>
# <details><summary>Hint 2</summary><code>torch.rsqrt</code> is one over the square root.</details>
#
# ---
# ### EX4b. SwiGLU   (2 of 5 · 15 minutes)
#
# The lecture's feed-forward network has two matrices and a GELU between them. [Shazeer (2020)](https://arxiv.org/abs/2002.05202) tried **gated** ones: two maps of the same input, one of them through an activation, multiplied feature by feature. With the activation
# $\mathrm{silu}(z) = z\,\sigma(z)$ that is
#
# $$\mathrm{SwiGLU}(x) = W_2\,\big(\mathrm{silu}(W_1 x) \odot W_3 x\big)$$
#
# all without biases. It has three matrices, so to have as many parameters as two of width 4C, the hidden width h must be smaller: two thirds of it. Rounded up to a multiple of 8, which hardware likes: for C = 64, 8/3 · 64 = 170.7 becomes 176.


# %%
def swiglu_width(n_embd: int) -> int:
    """The smallest multiple of 8 that is at least 8/3 of n_embd."""
    ### BEGIN SOLUTION
    return -(-n_embd // 3) * 8  # n / 3 rounded up, times 8
    ### END SOLUTION


def swiglu(x: torch.Tensor, W1: torch.Tensor, W2: torch.Tensor, W3: torch.Tensor) -> torch.Tensor:
    """The gated feed-forward network. x: (..., C).  W1, W3: (h, C).  W2: (C, h).  Returns (..., C).

    The matrices lie as in nn.Linear: a row for each output.
    """
    ### BEGIN SOLUTION
    return (F.silu(x @ W1.T) * (x @ W3.T)) @ W2.T
    ### END SOLUTION


# %%
check.ex4b(swiglu_width, swiglu)

# %% [markdown]
# <details><summary>Hint 1</summary>8/3 · C as a multiple of 8 is 8 times (C/3, rounded up).</details>
# <details><summary>Hint 2</summary><code>F.linear(x, W)</code> is <code>x @ W.T</code>, and <code>F.silu</code> is there. Only the W1 branch goes through it.</details>
#
# ---
# ### EX4c. RoPE   (4 of 5 · 30 minutes)
#
# The lecture adds a learned vector to each position. **Rotary position embeddings** ([Su et al. 2021](https://arxiv.org/abs/2104.09864)) add nothing. They *rotate* queries and keys, by an angle that grows with the position. A dot product of two vectors depends on the angle between them, so the score of
# positions t and s depends on t - s only: distance becomes visible to attention, and there is no table that ends.
#
# The hs features of a head are taken in pairs of neighbours: features 0 and 1, 2 and 3, and so on. Pair i at position t is a point in the plane, and turns by the angle $t\,\theta_i$, with $\theta_i = \text{base}^{-2i/\text{hs}}$: the first pair turns one radian a position, the last hardly at all.
#
# $$\begin{pmatrix} x_{2i}' \\ x_{2i+1}' \end{pmatrix} = \begin{pmatrix} \cos t\theta_i & -\sin t\theta_i \\ \sin t\theta_i & \cos t\theta_i \end{pmatrix} \begin{pmatrix} x_{2i} \\ x_{2i+1} \end{pmatrix}$$


# %%
def apply_rotary(x: torch.Tensor, start: int = 0, base: float = 10_000.0) -> torch.Tensor:
    """Rotate queries or keys by their positions, as in section 3.4 of the paper; pairs are neighbouring features.

    x: (..., T, hs), hs even; row t stands at position start + t.  Returns a new tensor of the same shape and dtype.
    Compute the angles in that dtype, or in a finer one.
    """
    ### BEGIN SOLUTION
    T, hs = x.shape[-2:]
    position = start + torch.arange(T, dtype=x.dtype, device=x.device)  # (T,)
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype, device=x.device) / hs)  # (hs / 2,)
    angle = position[:, None] * theta  # (T, hs / 2)
    cos, sin = angle.cos(), angle.sin()
    even, odd = x[..., 0::2], x[..., 1::2]  # (..., T, hs / 2) each
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
    ### END SOLUTION


# %%
check.ex4c(apply_rotary)

# %% [markdown]
# <details><summary>Hint 1</summary><code>x[..., 0::2]</code> holds the first of each pair, <code>x[..., 1::2]</code> the second.</details>
# <details><summary>Hint 2</summary>The angles are a table: positions (T, 1) times thetas (hs / 2,) gives (T, hs / 2). Leading dimensions of x broadcast by themselves.</details>
# <details><summary>Hint 3</summary>To interleave the two results again: <code>torch.stack([first, second], -1).flatten(-2)</code>. With <code>torch.cat</code> the pairs would be torn apart.</details>
#
# Your parts in the lecture's model. Each of three twins has one part exchanged; size, steps and batches are those of EX3, all of the training text, without other plays.


# %% tags=["demo"]
class Gated(nn.Module):
    """A feed-forward network made of your SwiGLU."""

    def __init__(self, n_embd: int, n_layer: int):
        super().__init__()
        h = swiglu_width(n_embd)
        self.W1, self.W3 = (nn.Parameter(torch.randn(h, n_embd) / n_embd**0.5) for _ in range(2))
        self.W2 = nn.Parameter(torch.randn(n_embd, h) / (n_embd * 2 * n_layer) ** 0.5)

    def forward(self, x):
        return swiglu(x, self.W1, self.W2, self.W3)


class Rotary(nn.Module):
    """The lecture's attention, with queries and keys rotated by your function."""

    def __init__(self, attention: nn.Module):
        super().__init__()
        self.attention = attention

    def forward(self, x):
        q, k, v = self.attention.split(x)  # (B, nh, T, hs) each
        y = F.scaled_dot_product_attention(apply_rotary(q), apply_rotary(k), v, is_causal=True)
        return self.attention.proj(y.transpose(1, 2).flatten(2))


def exchanged(part: str) -> GPT:
    """The small GPT with one part exchanged."""
    model = small_gpt()
    if part == "RMSNorm":
        model.ln = RMSNorm(64)
    if part == "RoPE":  # it replaces the table of positions
        model.place.weight.requires_grad_(False).zero_()
    for block in model.blocks:
        if part == "RMSNorm":
            block.ln1, block.ln2 = RMSNorm(64), RMSNorm(64)
        if part == "SwiGLU":
            block.mlp = Gated(64, 2)
        if part == "RoPE":
            block.attn = Rotary(block.attn)
    return model


parts = {"as in the lecture": phases["all of it", "alone"]}
sizes = {"as in the lecture": sum(p.numel() for p in small_gpt().parameters())}
for part in ("RMSNorm", "SwiGLU", "RoPE"):
    model = exchanged(part)
    sizes[part] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parts[part] = trained(model, large_ids, train_ids, 0, part)

# %% tags=["demo"]
rows = ["| model | parameters | nats a character | against the lecture's |", "|---|---:|---:|---:|"]
for part, loss in parts.items():
    gain = loss - parts["as in the lecture"]
    rows.append(f"| {part} | {sizes[part]:,} | {loss:.3f} | {gain:+.3f} |")
Markdown("\n".join(rows))

# %% [markdown] tags=["solution-only"]
# RoPE gains more than 0.1 nats. In so few steps a table of 64 position vectors is hardly learned, and attention has to find out from it what "one back" means; rotation
# makes distance visible from the first step. RMSNorm costs nothing in loss and saves a few operations, which is what its authors promise. SwiGLU makes no difference that could be told from chance here. Its author reports gains for much larger
# models after long training, offers no explanation, and thanks "divine benevolence" (the paper's conclusions).

# %% [markdown]
# ---
# ## Invent your own
#
# A language in which the answer is checked in one line is a fine test bed. Sorting five digits, counting the vowels of a word, the weekday of a date: which of them does the model of EX2d learn in half a minute? Write `spell` for one of
# them, reuse `examples` and `exact_accuracy`, and find out whether intermediate steps help, and in which order they have to be written.
