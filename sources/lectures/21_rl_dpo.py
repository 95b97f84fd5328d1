# %% [markdown]
# # 21 · Learning from rewards and preferences: PPO, DPO, GRPO
#
# At the end of this page one small language model has been trained by eight methods to write what a customer likes: REINFORCE, PPO, GRPO, DPO, IPO, KTO, ORPO,
# and best-of-n, which trains nothing. All start from the same model with the same number of samples, and one plot says what each gained and how far it drifted. A second model learns to add
# from nothing but "right" and "wrong".
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/21_rl_dpo.ipynb) · a run takes about 3 minutes and 1.7 GB on a laptop's CPU
#
# Needs: lecture 07 (the GPT), 20 (fine-tuning on answers, LoRA). Later lectures take from here: `sequence_logprobs`, `dpo_loss`, `ppo_loss`, `gae`,
# `grpo_advantages`, `RewardModel`.

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
import copy
import math
import random
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from IPython.display import Markdown
from torch import nn

from course_utils import data, lesson, results, train
from course_utils.lectures.chat import LEFT_OUT, chatml, collate, encode_chat
from course_utils.lectures.gpt import GPT, GPTConfig, fit
from course_utils.lectures.kv_cache import generate
from course_utils.lectures.lora import apply_lora
from course_utils.lectures.names import CharVocab, load_names
from course_utils.lectures.quant import gguf_llama

device = lesson.start("21_rl_dpo")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# %% tags=["parameters"]
record = False  # True: train every method with three seeds and write data/results/21_rl_dpo.json
pretrain_steps, sft_steps = 500, 350  # steps of 96 names each
steps = 40  # optimiser steps of each method
batch = 128  # answers a step: every method sees steps x batch = 5,120 of them
beta = 0.5  # what a nat of drift from the reference costs, in units of reward
live_dpo_steps = 8  # steps on SmolLM2 in section 17

# %% [markdown]
# ## 1. A bandit
#
# Fine-tuning shows the right answer. Often nobody has it: nobody can write the best summary, but anyone can say which of two is better. All that we get is a **reward**, a number for what the model did. How does one learn from that?
#
# The smallest case is a **bandit**: ten arms, each with a mean reward that nobody tells. We pull one, and see one noisy reward. Our **policy** is a softmax over ten scores $\theta$.

# %%
g = torch.Generator().manual_seed(0)
means = 5 + torch.randn(10, generator=g)  # the true mean rewards: unknown to the learner
theta = torch.zeros(10)  # scores: an even policy


def pull(p: torch.Tensor, n: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """n arms drawn from p (10,), and a reward for each: (n,), (n,)."""
    arms = torch.multinomial(p, n, replacement=True, generator=g)
    return arms, means[arms] + torch.randn(n, generator=g)


p = theta.softmax(0)
print(f"even policy: {(p * means).sum():.2f}, best arm: {means.max():.2f}")

# %% [markdown]
# We want the gradient of the expected reward $J = \sum_a p_a \mu_a$. But we do not know $\mu$, and a reward that we saw is a number without a gradient. The trick is a line of algebra, $\nabla p = p\, \nabla \log p$:
#
# $$\nabla J = \sum_a \mu_a \nabla p_a = \sum_a p_a\, \mu_a \nabla \log p_a = \mathbb{E}_{a \sim p}\big[\, r\, \nabla \log p_a \,\big]$$
#
# An expectation over our own pulls. So: pull, and raise the log-probability of what was pulled in proportion to its reward. That is **REINFORCE** (Williams 1992). For a softmax, $\nabla \log p_a$ is the one-hot vector of $a$ minus $p$. Is the mean over many pulls the true gradient?

# %%
exact = p * (means - (p * means).sum())  # the gradient of J by hand, (10,)
arms, r = pull(p, 200_000, g)
grads = r[:, None] * (F.one_hot(arms, 10) - p)  # (n, 10): one estimate a pull
error = grads.std(0) / len(r) ** 0.5  # the standard error of each mean, (10,)
print("exact    ", *(f"{v:+.3f}" for v in exact))
print("estimated", *(f"{v:+.3f}" for v in grads.mean(0)))
assert ((grads.mean(0) - exact).abs() < 5 * error).all()

# %% [markdown]
# It is, but look at what one pull says. All rewards are near 5, so *every* pull says "more of this", the bad ones too. Only the average over all arms tells them apart. Subtract a **baseline** $b$ that does not depend on the arm: the mean stays, because $\mathbb{E}[\nabla \log p] = 0$, and the variance falls.

# %%
for b in (0.0, 5.0, (p * means).sum().item()):
    centred = (r - b)[:, None] * (F.one_hot(arms, 10) - p)  # (n, 10)
    assert ((centred.mean(0) - exact).abs() < 5 * error).all()
    print(f"baseline {b:.2f}: variance of one estimate {centred.var(0).sum():6.2f}")

# %% [markdown]
# The same gradient, with about a tenth of the variance: some ten times fewer pulls for the same precision. The difference $r - b$ is the **advantage**: was it better than usual? Every method of this page is about a good advantage.


# %%
def bandit(baseline: bool, seed: int) -> list[float]:
    """Expected reward after each of 300 steps of 8 pulls."""
    g, theta, path = torch.Generator().manual_seed(seed), torch.zeros(10), []
    for _ in range(300):
        p = theta.softmax(0)
        arms, r = pull(p, 8, g)
        advantage = r - r.mean() if baseline else r  # (8,)
        theta += 0.1 * (advantage[:, None] * (F.one_hot(arms, 10) - p)).mean(0)
        path.append((theta.softmax(0) * means).sum().item())
    return path


fig, ax = plt.subplots(figsize=(6.5, 3))
for baseline, color in ((False, "C1"), (True, "C0")):
    paths = np.array([bandit(baseline, seed) for seed in range(20)])  # (seeds, steps)
    ax.plot(paths.mean(0), color=color, ls="-" if baseline else "--", label=f"{'with' if baseline else 'no'} baseline")
    ax.fill_between(range(300), *np.quantile(paths, [0.1, 0.9], 0), color=color, alpha=0.2)
ax.axhline(means.max(), color="black", lw=1, ls=":", label="best arm")
ax.set(xlabel="step of 8 pulls", ylabel="expected reward", title="A baseline: the same gradient, less noise")
ax.legend()
plt.show()

# %% [markdown]
# The bands hold 16 of 20 seeds. Without a baseline some runs lock on to a bad arm: it was pulled early, it paid 4, and 4 is "good" when nothing is subtracted.
#
# ## 2. A model that answers
#
# Now the arms are texts. We need a model that answers a request, small enough that it writes a hundred answers in a tenth of a second. The request is a letter and a question mark, the answer a name that begins with it: `m?` and then `mira.`, with a dot for the end.
#
# It comes into being as real assistants do. First **pretraining**, on all names, without any request; then **supervised fine-tuning** (SFT, lecture 20) on requests with good answers, here the most frequent names, and the loss on the answer only.

# %% tags=["nbval-check-output"]
vocab = CharVocab(["abcdefghijklmnopqrstuvwxyz?"])  # "." is 0: the end, and the padding
names = [name for name in load_names() if len(name) <= 12]
boys = names.index("liam")  # girls come first, each part by falling frequency
frequent = names[:4000] + names[boys : boys + 2500]
known = set(names)
T = 16  # tokens of a row: 2 for the request, 14 for the answer


def rows(names: list[str], request: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, (N, T) each; targets of -100 do not count: the request, and what follows the end."""
    x, y = torch.zeros(len(names), T, dtype=torch.long), torch.full((len(names), T), -100)
    for n, name in enumerate(names):
        start = f"{name[0]}?" if request else "."
        ids = torch.tensor(vocab.encode(start + name + "."))
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, len(start) - 1 : len(ids) - 1] = ids[len(start) :]
    return x, y


x, y = rows(["mira"], True)
print(x[0, :7].tolist(), y[0, :7].tolist())

# %% [markdown]
# The model is lecture 07's GPT with two blocks of 64 features. It is so small that a GPU would wait for the launches, so it stays on the CPU. About 25 seconds:


# %%
def name_batches(names: list[str], request: bool, g: torch.Generator):
    """A function that gives the next batch of 96 rows."""
    x, y = rows(names, request)

    def next_batch():
        chosen = torch.randint(len(x), (96,), generator=g)
        return x[chosen], y[chosen]

    return next_batch


torch.manual_seed(0)
model, g = GPT(GPTConfig(len(vocab), T, 2, 4, 64)), torch.Generator().manual_seed(0)
fit(model, name_batches(names, False, g), pretrain_steps, 5e-3, what="pretraining")
base = copy.deepcopy(model).eval()
fit(model, name_batches(frequent, True, g), sft_steps, 3e-3, what="SFT")
reference = model.eval().requires_grad_(False)  # every method starts here, and is held to this
print(f"{sum(p.numel() for p in reference.parameters()):,} parameters")

# %% [markdown]
# To ask it, we sample. Answers end at different places, so an answer comes with a **mask**: 1 on its tokens, the final dot included, and 0 on the request and on the padding.

# %%
LETTERS = torch.tensor([vocab.encode(f"{c}?") for c in vocab.chars if c.isalpha()])  # (26, 2): all requests


@torch.no_grad()
def sample(model: GPT, requests: torch.Tensor, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers to requests (B, 2): idx (B, T) with the request in front, mask (B, T), 1 on the answer's tokens."""
    idx = model.generate(requests, T - 2, generator=g)  # (B, T)
    ends = (idx[:, 2:] == 0).cumsum(1)  # (B, T - 2): ends seen so far
    mask = F.pad((ends - (idx[:, 2:] == 0).long() == 0).float(), (2, 0))  # no end before this token
    return torch.cat([requests, idx[:, 2:] * mask[:, 2:].long()], 1), mask


def answers(idx: torch.Tensor) -> list[str]:
    """What was answered, the end left out."""
    return [vocab.decode(row).split(".")[0] for row in idx[:, 2:].tolist()]


asked = LETTERS[[0, 4, 9, 12, 18]]
for who, model in (("pretrained", base), ("after SFT", reference)):
    print(f"{who:10}", answers(sample(model, asked, torch.Generator().manual_seed(3))[0]))

# %% [markdown]
# Before SFT the model ignores the request: it has never seen a question mark. Afterwards it answers with the right letter, nearly always.
#
# ## 3. The reward
#
# Our customer likes names that *sound soft*. We write down what we believe that means: one point for each of `a e i o u l m n`, one point off for each hard consonant, nothing for the rest.

# %% tags=["nbval-check-output"]
SOFT, HARD = set("aeioulmn"), set("bcdgjkptqvxz")


def rule(answer: str) -> float:
    """The customer's rule: soft letters minus hard ones."""
    return float(sum(c in SOFT for c in answer) - sum(c in HARD for c in answer))


def reward(idx: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The rule on answers (B, T): (B,)."""
    return torch.tensor([rule(answer) for answer in answers(idx)])


print({name: rule(name) for name in ("liam", "emma", "amelia", "greta", "jack")})

# %% [markdown]
# Predict: what is wrong with this rule? What would you answer if points were all you wanted?
#
# <details><summary>Answer</summary>It counts, and never says that the answer must be a name, or short. `aaaaaaaaaaaaaa` has 14 points. A rule that can be satisfied without its purpose has a <b>loophole</b>. Every reward has one; section 10 shows who finds it.</details>
#
# What do we get today? For every request we draw 300 answers, 7,800 in all. We shall need this pool again.

# %%
g, drawn = torch.Generator().manual_seed(5), []
for _ in train.progress(6, "pool"):
    drawn.append(sample(reference, LETTERS.repeat(50, 1), g))
pool_idx, pool_mask = (torch.cat(parts) for parts in zip(*drawn, strict=True))  # (7800, T): the 26 requests in turn
pool = reward(pool_idx).view(300, 26).T  # (26, 300): rewards of the SFT model
fig, ax = plt.subplots(figsize=(6.5, 2.6))
ax.hist(pool.flatten().numpy(), bins=np.arange(-5.5, 12.5), rwidth=0.9)
ax.set(xlabel="reward (points)", ylabel="answers", title=f"The SFT model: {pool.mean():.1f} points on average")
plt.show()

# %% [markdown]
# Around 3, with a spread of about 2. The best answers have 8 and more, so the model *can* write them; it does so rarely. All methods of this page make likely what is rare.
#
# ## 4. The log-probability of an answer
#
# All methods ask one thing of the model: how likely is this answer? A language model gives a distribution for each next token. The answer's probability is the product, its log-probability the **sum over the answer's tokens**: request and padding do not count.


# %%
#| export rl
import torch


def token_logprobs(logits: torch.Tensor, idx: torch.Tensor) -> torch.Tensor:
    """The log-probability of each token given those before it, in nats: (B, T, V), (B, T) -> (B, T - 1).

    logits: what the model says at each position of idx. Column t of the result is about token t + 1.
    """
    return logits[:, :-1].log_softmax(-1).gather(2, idx[:, 1:, None])[..., 0]


def sequence_logprobs(logits: torch.Tensor, idx: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The log-probability of each row's answer, in nats: (B, T, V), (B, T), (B, T) -> (B,).

    mask: 1 (or True) on the tokens of the answer, its end included; 0 on the request and the padding.
    """
    return (token_logprobs(logits, idx) * mask[:, 1:]).sum(1)


# %% [markdown]
# **Prove it.** One answer at a time, token by token, without batch, mask or padding:


# %%
@torch.no_grad()
def by_hand(model: GPT, request: str, answer: str) -> float:
    """log p(answer and its end | request), one token after another."""
    total, text = 0.0, request
    for c in answer + ".":
        total += model(torch.tensor([vocab.encode(text)]))[0][0, -1].log_softmax(-1)[vocab.index[c]].item()
        text += c
    return total


idx, mask = sample(reference, asked, torch.Generator().manual_seed(3))
logp = sequence_logprobs(reference(idx)[0], idx, mask)  # (5,)
for request, answer, lp in zip(asked, answers(idx), logp.tolist(), strict=True):
    print(f"{vocab.decode(request.tolist())} {answer:9} log p = {lp:6.2f}, one in {math.exp(-lp):,.0f}")
    assert abs(by_hand(reference, vocab.decode(request.tolist()), answer) - lp) < 1e-4  # float32

# %% [markdown]
# ## 5. How far may it go? KL
#
# If only the reward counts, the model will forget what a name is. So we pay for drift. The **Kullback-Leibler divergence** from the reference,
# $\mathrm{KL}(\pi \,\|\, \pi_{\rm ref}) = \mathbb{E}_{y \sim \pi}\big[\log \pi(y|x) - \log \pi_{\rm ref}(y|x)\big]$, says in nats how easily the policy's answers are told from the reference's. The aim of (nearly) all methods is one formula:
#
# $$J(\pi) = \mathbb{E}_{x,\; y \sim \pi(\cdot|x)}\big[ r(x, y) \big] - \beta\, \mathrm{KL}(\pi \,\|\, \pi_{\rm ref})$$
#
# With $\beta = 0.5$ a nat of drift must earn half a point. The KL is a mean over answers, so it has to be estimated. [Schulman's note](http://joschu.net/blog/kl-approx.html) compares three estimators, with $\rho = \pi_{\rm ref}/\pi$ on a sample of $\pi$: $k_1 = -\log \rho$, $k_2 = \frac12 (\log \rho)^2$, $k_3 = \rho - 1 - \log \rho$. On ten outcomes, bias and variance are plain sums, without any sampling:


# %%
def k123(log_rho: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three estimators of KL(pi | ref), from log(ref / pi) at samples of pi."""
    return {"k1": -log_rho, "k2": log_rho**2 / 2, "k3": log_rho.exp() - 1 - log_rho}


torch.manual_seed(0)
q_scores, push = torch.randn(2, 10, dtype=torch.float64)
q = q_scores.softmax(0)  # the reference
table = ["| KL | estimator | bias / KL | standard deviation / KL |", "|---|---|---|---|"]
for size in (0.1, 0.5, 2.0):
    p = (q_scores + size * push).softmax(0)
    kl = (p * (p / q).log()).sum()
    for name, k in k123((q / p).log()).items():
        mean = (p * k).sum()
        std = (p * (k - mean) ** 2).sum().sqrt()
        table.append(f"| {kl:.4f} | {name} | {(mean - kl) / kl:+.1%} | {std / kl:.2f} |")
        assert name == "k2" or abs(mean - kl) < 1e-12  # k1 and k3 have no bias
Markdown("\n".join(table))

# %% [markdown]
# $k_1$ is unbiased and noisy: near the reference its spread is many times the value. $k_3$ is unbiased too, never negative, and far calmer while the two are close. At a distance it is the noisiest: an outcome that the reference likes and the policy has almost given up makes $\rho$ huge. $k_2$ has a bias that grows with the distance.
#
# The same by sampling, 4,096 times 16 draws each, at the middle distance. The table above must be what comes out:

# %%
p = (q_scores + 0.5 * push).softmax(0)
kl = (p * (p / q).log()).sum()
g = torch.Generator().manual_seed(0)
drawn = torch.multinomial(p, 4096 * 16, replacement=True, generator=g)
for name, k in k123((q / p).log()).items():
    means_of_16 = k[drawn].view(4096, 16).mean(1)  # 4,096 estimates from 16 draws each
    want_mean, want_std = (p * k).sum(), ((p * k**2).sum() - (p * k).sum() ** 2).sqrt() / 4
    print(f"{name}: bias {means_of_16.mean() - kl:+.4f}, standard deviation {means_of_16.std():.4f}")
    assert abs(means_of_16.mean() - want_mean) < 5 * want_std / 64 and abs(means_of_16.std() / want_std - 1) < 0.1

# %% [markdown]
# There is a trap behind this table. An estimator of a *value* need not have the right *gradient*. What happens if we put $k$ into a loss, and let autograd run through $\pi$ at samples that are already drawn? The expectation of that gradient, again as an exact sum:

# %%
scores = (q_scores + 0.5 * push).requires_grad_()


def gradient(loss: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, scores, retain_graph=True)[0]


p = scores.softmax(0)
wanted = gradient((p * (p / q).log()).sum())  # of KL(pi | ref), the one in J
other_way = gradient((q * (q / p).log()).sum())  # of KL(ref | pi)
got = {name: gradient((p.detach() * k).sum()) for name, k in k123((q / p).log()).items()}  # samples are constants
torch.testing.assert_close(got["k1"], torch.zeros(10, dtype=torch.float64), rtol=0, atol=1e-12)
torch.testing.assert_close(got["k2"], wanted, rtol=1e-10, atol=1e-12)  # float64
torch.testing.assert_close(got["k3"], other_way, rtol=1e-10, atol=1e-12)
print("k1 as a loss: no gradient; k2: that of KL(pi | ref); k3: that of KL(ref | pi)")

# %% [markdown]
# As a loss, $k_1$ does nothing on average, because $\mathbb{E}[\nabla \log \pi] = 0$. $k_2$, the biased one, has the gradient that we want, and $k_3$, the best value, pulls on the divergence the other way round ([Tang and Munos 2025](https://arxiv.org/abs/2506.09477)). So there are two honest ways: $k_1$ in the *reward*, where REINFORCE takes the gradient (PPO does this), or $k_2$ in the loss (for whole answers: token by token it misses what a token does to the drift of later ones).
# GRPO as published has $k_3$ in the loss, token by token; we shall see what comes of it.
#
# To *measure* a policy we can do better than all three. At each position of a sampled answer the model gives the whole distribution, so the KL of the next token is an exact sum over 28 characters, and only the way there is sampled. Here is the measuring device of this page, on 40 answers to each of the 26 requests.


# %%
@torch.no_grad()
def evaluate(model: GPT, n: int = 40, seed: int = 9) -> dict:
    """Means over n answers to each request: reward, KL to the reference (nats), length, entropy (nats a token), ..."""
    idx, mask = sample(model, LETTERS.repeat(n, 1), torch.Generator().manual_seed(seed))
    logp, logq = (m(idx)[0][:, :-1].log_softmax(-1) for m in (model, reference))  # (B, T - 1, V)
    mask, said = mask[:, 1:], answers(idx)
    return {
        "reward": reward(idx).mean().item(),
        "kl": ((logp.exp() * (logp - logq)).sum(-1) * mask).sum(1).mean().item(),
        "length": sum(map(len, said)) / len(said),
        "entropy": (-(logp.exp() * logp).sum(-1) * mask).sum().item() / mask.sum().item(),
        "follows": sum(a[:1] == vocab.chars[i] for a, i in zip(said, idx[:, 0].tolist(), strict=True)) / len(said),
        "known": sum(a in known for a in said) / len(said),
        "answers": [said[n] for n in (0, 4, 9, 12, 18, 21)],
    }


def line(name: str, m: dict) -> str:
    numbers = f"reward {m['reward']:5.2f}, KL {m['kl']:5.2f}, length {m['length']:4.1f}, entropy {m['entropy']:.2f}"
    return f"{name:18} {numbers}, letter {m['follows']:4.0%}, known names {m['known']:3.0%}"


start = evaluate(reference)
print(line("SFT", start))
print(*start["answers"])
assert abs(start["kl"]) < 1e-6

# %% [markdown]
# ## 6. The best there can be
#
# Before we train anything: what is the best possible result? The objective $J$ has a maximum that we can write down. For each request,
#
# $$\pi^*(y|x) = \frac{1}{Z(x)}\, \pi_{\rm ref}(y|x)\, e^{r(x,y)/\beta}$$
#
# Why? Put it into $J$: for any $\pi$, $J(\pi) = \beta\, \mathbb{E}_x[\log Z(x)] - \beta\, \mathrm{KL}(\pi \,\|\, \pi^*)$, and a KL is never negative. The reference, reweighted. We cannot sample from it directly, since $Z$ is a sum over all texts. But our pool consists of samples of $\pi_{\rm ref}$: give each the weight $e^{r/\beta}$, divide by the sum, and any mean under $\pi^*$ is a weighted mean of the pool. Each $\beta$ gives one point, reward and KL (which is $\mathbb{E}[r]/\beta - \log Z$), and no policy whatever lies above the curve through them.


# %%
def optimum(b: float, r: torch.Tensor, log_ratio: torch.Tensor | float = 0.0) -> tuple[float, float]:
    """KL and reward of the best policy for a beta of b, from samples with rewards r, (26, n).

    log_ratio: log of the reference over what the samples were drawn from; 0 where it was the reference itself.
    """
    log_w = r.double() / b + log_ratio  # (26, n)
    best = (log_w.softmax(1) * r).sum(1)  # (26,): the mean reward under the best policy
    log_Z = log_w.logsumexp(1) - math.log(r.shape[1])
    return (best / b - log_Z).mean().item(), best.mean().item()


frontier = [optimum(b, pool) for b in np.geomspace(0.8, 20, 20)]
goal = optimum(beta, pool)
print(f"beta {beta}: at best {goal[1]:.2f} points at a KL of {goal[0]:.2f}; SFT has {pool.mean():.2f} at 0")

# %% [markdown]
# **Best-of-n** needs no training either: draw $n$ answers, give the best. It costs $n$ times as much for every answer, forever. Its expected reward comes from the same pool: the $k$-th smallest of $N$ is the best of $n$ with probability $(k/N)^n - ((k-1)/N)^n$. Its KL is at most $\log n - (n-1)/n$ ([Beirami et al. 2024](https://arxiv.org/abs/2401.01879) show that the popular formula is an upper bound).

# %%
order, N = pool.double().sort(1).values, pool.shape[1]  # (26, 300)
best_of = {}
for n in (2, 4, 8, 16, 32, 64):
    chance = torch.arange(1, N + 1).div(N).pow(n) - torch.arange(N).div(N).pow(n)  # (300,)
    best_of[n] = (math.log(n) - (n - 1) / n, (order * chance).sum(1).mean().item())
drawn = pool[:, torch.randint(N, (4000, 16), generator=g)]  # (26, 4000, 16): the same by brute force
assert abs(drawn.amax(2).mean() - best_of[16][1]) < 0.05
fig, ax = plt.subplots(figsize=(6.5, 3.4))
ax.plot(*zip(*frontier, strict=True), color="black", label="the optimum, for every beta")
ax.plot(*zip(*best_of.values(), strict=True), "D", mfc="none", label="best of 2, 4, ..., 64")
ax.set(xlabel="KL to the SFT model (nats)", ylabel="reward (points)", title="Best-of-n lies close to the optimum")
ax.legend()
plt.show()

# %% [markdown]
# Best-of-n is nearly optimal for its KL, and that is the baseline to beat: a trained policy should come close to the curve with *one* sample an answer. But the curve ends early: at 4 nats and more the best policy lives on answers that are hardly in a pool of 300 a request (log 300 is 5.7). The next section carries it on.

# %% [markdown]
# ## 7. REINFORCE on the language model
#
# From the bandit to the model nothing changes but the names: the arm is an answer, its log-probability is a sum over tokens. The drift is paid in the reward, with $k_1$: an answer earns $r - \beta(\log \pi - \log \pi_{\rm ref})$.
#
# All methods share a frame. A run calls `update` once a step, and shows reward, KL, length and entropy while it goes. Runs get long, so the interrupt button must be safe: a run that is stopped returns what it has.


# %%
def run(update, what: str, n: int = 0) -> list[dict]:
    """Call update(step) n times (default: `steps`) and collect the figures that it returns; may be interrupted."""
    shape = "{desc}: {percentage:3.0f}%|{bar:6}| {n_fmt}/{total_fmt} {elapsed}{postfix}"
    history, bar = [], train.progress(n or steps, what, bar_format=shape)
    try:
        for step in bar:
            history.append(update(step))
            shown = {"r": "reward", "KL": "kl", "len": "length", "H": "entropy", "loss": "loss", "margin": "margin"}
            text = ", ".join(f"{k} {history[-1][v]:.2f}" for k, v in shown.items() if v in history[-1])
            bar.set_postfix_str(text, refresh=False)
    except KeyboardInterrupt:
        print(f"\nstopped after {len(history)} steps; what was learned so far stays.")
    finally:
        bar.close()
    return history


# %% [markdown]
# Does it hold? We press the button by program, in step 3:


# %%
def update_and_stop(step: int) -> dict:
    if step == 3:
        raise KeyboardInterrupt
    return {"reward": float(step)}


assert [m["reward"] for m in run(update_and_stop, "to be stopped")] == [0, 1, 2]

# %% [markdown]
# A policy is a copy of the reference with an optimiser, whose rate falls to a tenth on the way. A **rollout** is what one step draws: requests, answers, rewards, and what both models thought of each token.


# %%
def learner(rate: float, n: int = 0):
    """A trainable copy of the SFT model, and a function that steps down a loss."""
    policy = copy.deepcopy(reference).requires_grad_(True)
    return policy, descend(policy, rate, n or steps)


def descend(model: nn.Module, rate: float, n: int, updates: int = 1):
    """A function that takes an optimiser step on a loss, with a rate that falls to a tenth in n steps."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, n * updates)

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()

    return step


def rollout(policy: GPT, requests: torch.Tensor, score, g: torch.Generator) -> SimpleNamespace:
    """Answers of the policy: idx (B, T), mask (B, T - 1) of the predicted tokens, logp and ref (B, T - 1), r (B,)."""
    idx, mask = sample(policy, requests, g)
    with torch.no_grad():
        logits = policy(idx)[0]
        logp, ref = token_logprobs(logits, idx), token_logprobs(reference(idx)[0], idx)
        said = logits[:, :-1].log_softmax(-1)
        entropy = -(said.exp() * said).sum(-1)  # (B, T - 1)
    r, m = score(idx, mask), mask[:, 1:]
    figures = {
        "reward": r.mean().item(),
        "kl": ((logp - ref) * m).sum(1).mean().item(),
        "length": m.sum(1).mean().item(),
        "entropy": (entropy * m).sum().item() / m.sum().item(),
    }
    return SimpleNamespace(idx=idx, mask=m, logp=logp, ref=ref, r=r, figures=figures)


def some_requests(n: int, g: torch.Generator) -> torch.Tensor:
    return LETTERS[torch.randint(26, (n,), generator=g)]


# %% [markdown]
# And REINFORCE, with the mean of the batch as its baseline:


# %%
def reinforce(seed: int, cost: float = beta, score=reward, what: str = "REINFORCE", n: int = 0):
    g, (policy, step_down) = torch.Generator().manual_seed(seed), learner(2e-3, n)

    def update(step: int) -> dict:
        o = rollout(policy, some_requests(batch, g), score, g)
        earned = o.r - cost * ((o.logp - o.ref) * o.mask).sum(1)  # (B,): k1 in the reward
        advantage = earned - earned.mean()
        logp = sequence_logprobs(policy(o.idx)[0], o.idx, F.pad(o.mask, (1, 0)))  # (B,), with a gradient
        step_down(-(advantage * logp).mean())
        return o.figures

    history = run(update, what, n)
    return policy, history


trained = {}
trained["REINFORCE"], history = reinforce(seed=0)
measured = {"SFT": start, "REINFORCE": evaluate(trained["REINFORCE"])}
print(line("REINFORCE", measured["REINFORCE"]))
print(*measured["REINFORCE"]["answers"])

# %% [markdown]
# More than twice the points in 40 steps. The names are longer, softer, and most are still names one could give. Its samples also show what the pool did not, and carry the curve of the optimum further. We mix them in, two answers of the reference to one of the policy; what was drawn from the mixture $m = \frac23 \pi_{\rm ref} + \frac13 \pi$ needs the weight $\pi_{\rm ref}\, e^{r/\beta} / m$.

# %%
far_idx, far_mask = sample(trained["REINFORCE"], LETTERS.repeat(150, 1), torch.Generator().manual_seed(6))
idx, mask = torch.cat([pool_idx, far_idx]), torch.cat([pool_mask, far_mask])  # (11700, T)
with torch.no_grad():
    logq, logp = (sequence_logprobs(m(idx)[0], idx, mask).double() for m in (reference, trained["REINFORCE"]))
mixed = reward(idx).view(450, 26).T  # (26, 450)
log_ratio = (logq - torch.logaddexp(logq + math.log(2 / 3), logp + math.log(1 / 3))).view(450, 26).T
for b in (4.0, 1.5, beta):
    near, far = optimum(b, pool), optimum(b, mixed, log_ratio)
    print(f"beta {b}: {near[1]:.2f} points at {near[0]:.2f} nats by the pool, {far[1]:.2f} at {far[0]:.2f} by both")
    assert b < 1 or abs(near[1] - far[1]) < 0.1  # near the reference, both see the same
frontier = [optimum(b, mixed, log_ratio) for b in np.geomspace(0.3, 20, 30)]
goal = optimum(beta, mixed, log_ratio)

# %% [markdown]
# So REINFORCE stands close to the best that there is. How much does the baseline matter here? We take one rollout of the SFT model, 512 answers, and ask how far the gradients of its eighths lie apart.

# %%
g = torch.Generator().manual_seed(1)
policy, _ = learner(0.0)
o = rollout(policy, some_requests(512, g), reward, g)


def flat_gradient(weights: torch.Tensor, rows: slice) -> torch.Tensor:
    logp = sequence_logprobs(policy(o.idx[rows])[0], o.idx[rows], F.pad(o.mask[rows], (1, 0)))
    grads = torch.autograd.grad((weights[rows] * logp).mean(), list(policy.parameters()))
    return torch.cat([grad.flatten() for grad in grads])


noise = {}
for name, weights in (("no baseline", o.r), ("baseline", o.r - o.r.mean())):
    eighths = torch.stack([flat_gradient(weights, slice(k, k + 64)) for k in range(0, 512, 64)])  # (8, parameters)
    noise[name] = eighths.var(0).sum().item()
    print(f"{name:12} variance of a gradient from 64 answers: {noise[name]:.2f}, length {eighths.mean(0).norm():.2f}")
assert noise["baseline"] < 0.6 * noise["no baseline"]

# %% [markdown]
# ## 8. A model of the reward
#
# A rule is a luxury. Usually there are people, and people are bad at points but good at choosing: which of these two do you prefer? **Bradley and Terry** (1952) turn choices into a scale: the one with reward $r_1$ is preferred to the one with $r_2$ with probability $\sigma(r_1 - r_2)$. We let our customer choose so, with the rule in the back of the mind and some whim:


# %%
@torch.no_grad()
def make_pairs(n: int, seed: int) -> tuple[torch.Tensor, ...]:
    """n pairs of SFT answers to the same requests: chosen idx and mask, rejected idx and mask, (n, T) each."""
    g = torch.Generator().manual_seed(seed)
    requests = some_requests(n, g)
    a, b = sample(reference, requests, g), sample(reference, requests, g)
    likes_a = torch.rand(n, generator=g) < torch.sigmoid(reward(a[0]) - reward(b[0]))  # (n,)
    pick = [torch.where(likes_a[:, None], u, v) for u, v in zip(a, b, strict=True)]
    leave = [torch.where(likes_a[:, None], v, u) for u, v in zip(a, b, strict=True)]
    return *pick, *leave


pairs = make_pairs(steps * batch // 2, seed=3)  # as many answers as an online method draws
held_pairs = make_pairs(600, seed=4)
for chosen, rejected in list(zip(answers(pairs[0]), answers(pairs[2]), strict=True))[:5]:
    print(f"{chosen:12} rather than {rejected:12} ({rule(chosen):+.0f}, {rule(rejected):+.0f})")
lead = reward(held_pairs[0]) - reward(held_pairs[2])  # (600,)
print(
    f"where points differ, the answer with more was chosen in {(lead[lead != 0] > 0).float().mean():.0%} of the pairs"
)

# %% [markdown]
# The **reward model** is the language model with another head: one number, read at the last token of the answer, when all is said. Its loss is the negative log-likelihood of the choices, $-\log \sigma(r_w - r_l)$, $w$ for the winner and $l$ for the loser.


# %%
#| export rl
import copy

from torch import nn

from course_utils.lectures.gpt import GPT


class RewardModel(nn.Module):
    """A GPT with a scalar head: what an answer is worth. Starts as a copy of the language model, with a head of zeros.

    Source: Ouyang et al. (2022), https://arxiv.org/abs/2203.02155, section 3.5.
    """

    def __init__(self, gpt: GPT):
        super().__init__()
        self.gpt = copy.deepcopy(gpt).requires_grad_(True)
        self.head = nn.Linear(gpt.config.n_embd, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def values(self, idx: torch.Tensor) -> torch.Tensor:
        """A number at every position, which has seen the text up to there: (B, T) -> (B, T)."""
        x = self.gpt.token(idx) + self.gpt.place.weight[: idx.shape[1]]  # (B, T, C)
        for block in self.gpt.blocks:
            x = block(x)
        return self.head(self.gpt.ln(x))[..., 0]

    def forward(self, idx: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The reward of each answer, read at its last token: idx (B, T), mask (B, T), 1 on the answer -> (B,)."""
        last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).argmax(1)  # (B,)
        return self.values(idx).gather(1, last[:, None])[:, 0]


# %%
def fit_reward_model(pairs, seed: int = 0, epochs: int = 2) -> RewardModel:
    """Bradley and Terry's likelihood on pairs (chosen, mask, rejected, mask)."""
    torch.manual_seed(seed)
    model, order = RewardModel(reference), []
    step_down = descend(model, 2e-3, epochs * len(pairs[0]) // 64)

    def update(step: int) -> dict:
        if not order:
            order.extend(torch.randperm(len(pairs[0])).split(64))
        some = order.pop()
        w, wm, l, lm = (part[some] for part in pairs)
        margin = model(w, wm) - model(l, lm)  # (64,)
        loss = -F.logsigmoid(margin).mean()
        step_down(loss)
        return {"loss": loss.item(), "margin": margin.mean().item()}

    run(update, "reward model", epochs * len(pairs[0]) // 64)
    return model.eval().requires_grad_(False)


reward_model = fit_reward_model(pairs)
scores_w, scores_l = reward_model(*held_pairs[:2]), reward_model(*held_pairs[2:])
points = torch.cat([reward(held_pairs[0]), reward(held_pairs[2])])
r_rule = torch.corrcoef(torch.stack([points, torch.cat([scores_w, scores_l])]))[0, 1].item()
print(
    f"held-out choices predicted: {(scores_w > scores_l).float().mean():.0%}; correlation with the rule: {r_rule:.2f}"
)
assert r_rule > 0.7

# %% [markdown]
# No model can predict the whim, so the accuracy is not near 100 %; the rule itself predicts the share above. But through the noise the model has found the rule: that is the correlation on answers that it never saw. What does it say of answers unlike any that it saw?

# %%
for text in ("mila", "amelia", "greg", "lalalalalalal", "aaaaaaaaaaaaa", "qqqqqqqqqqqqq"):
    ids = torch.tensor([vocab.encode("m?" + text + ".")])  # (1, length)
    mask = torch.ones(ids.shape)
    mask[:, :2] = 0
    print(f"{text:14} rule {rule(text):+6.1f}, reward model {reward_model(ids, mask).item():+6.2f}")

# %% [markdown]
# Out there it is a guess, and nobody corrects it. Keep that in mind.
#
# ## 9. PPO
#
# REINFORCE uses an answer once and judges it as a whole. **PPO** (Schulman et al. 2017) mends both: a critic judges every token, and a clipped loss allows several steps on one rollout.
#
# **The critic** estimates $V_t$, the reward still to come after token $t$. It is a `RewardModel` read at every position. What token $t$ was worth beyond expectation is $\delta_t = r_t + \gamma V_{t+1} - V_t$. One such difference trusts the critic fully; the whole sum to the end trusts it not at all, and is noisy. **Generalised advantage estimation** mixes all lengths:
#
# $$A_t = \delta_t + \gamma\lambda\, A_{t+1} = \sum_{k \ge 0} (\gamma\lambda)^k\, \delta_{t+k}$$


# %%
#| export rl
import torch


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float = 1.0, lam: float = 0.95
) -> torch.Tensor:
    """Generalised advantage estimates of each action: four times (B, T) -> (B, T), 0 where the mask is 0.

    rewards: after each action.  values: the critic's, before each action.  mask: 1 on a row's actions, which stand
    together; after the last one nothing comes, so the next value is 0.  gamma: the discount.  lam: 0 trusts the critic,
    1 the rewards.  Source: Schulman et al. (2015), https://arxiv.org/abs/1506.02438, equation 16.
    """
    mask = mask.to(values.dtype)
    advantages, ahead, next_value = (
        torch.zeros_like(values),
        values.new_zeros(len(values)),
        values.new_zeros(len(values)),
    )
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        ahead = (delta + gamma * lam * ahead) * mask[:, t]
        next_value = values[:, t] * mask[:, t]
        advantages[:, t] = ahead
    return advantages


# %% [markdown]
# **Prove it.** The closed form on the right of the formula, with loops, on rows of unequal length; and the two ends of $\lambda$: at 1 the rewards to come minus $V_t$, at 0 the single $\delta_t$.

# %%
torch.manual_seed(0)
rewards, values = torch.randn(2, 4, 7, dtype=torch.float64)
spans = [(0, 7), (2, 6), (1, 2), (3, 7)]  # where each row's actions stand
mask = torch.tensor([[first <= t < end for t in range(7)] for first, end in spans])
for gamma, lam in ((1.0, 0.95), (0.9, 0.8), (0.97, 0.0), (0.97, 1.0)):
    got = gae(rewards, values, mask, gamma, lam)
    assert (got[~mask] == 0).all()
    for b, (first, end) in enumerate(spans):
        V = [*values[b, first:end].tolist(), 0.0]
        delta = [rewards[b, first + k].item() + gamma * V[k + 1] - V[k] for k in range(end - first)]
        for t in range(end - first):
            closed = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, end - first))
            assert abs(got[b, first + t].item() - closed) < 1e-12  # float64
            if lam == 1.0:
                to_come = sum(gamma ** (k - t) * rewards[b, first + k].item() for k in range(t, end - first))
                assert abs(closed - (to_come - V[t])) < 1e-12
print("recursion, closed form and both ends agree to 1e-12")

# %% [markdown]
# **The clip.** After one step on a rollout the policy is no longer the one that drew it. The ratio $\rho_t = \pi(a_t) / \pi_{\rm old}(a_t)$ corrects for that, and explodes when the two drift apart. PPO takes away the reason to drift:
#
# $$L = -\,\frac{1}{\sum m_t} \sum_t m_t \min\!\big(\rho_t A_t,\; \mathrm{clip}(\rho_t,\, 1 - \epsilon,\, 1 + \epsilon)\, A_t\big)$$
#
# Beyond $1 + \epsilon$ a good token brings no more, below $1 - \epsilon$ a bad one neither. The minimum keeps the other two sides: a token that moved the *wrong* way still feels the full pull back.


# %%
#| export rl
import torch


def ppo_loss(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, mask: torch.Tensor, clip: float = 0.2
) -> torch.Tensor:
    """PPO's clipped loss, a scalar: the mean over all tokens with mask 1.

    logp, old_logp: (B, T) log-probabilities of the tokens now (with gradient) and when drawn.  advantages: (B, T) or
    (B, 1).  mask: (B, T).  Source: Schulman et al. (2017), https://arxiv.org/abs/1707.06347, equation 7.
    """
    ratio = (logp - old_logp).exp()
    kept = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return -(kept * mask).sum() / mask.sum()


# %% [markdown]
# **Prove it** against an implementation that shares nothing: one token at a time, in plain Python, the gradient written by hand from the four cases. Random inputs, rows of unequal length, and nonsense where the mask is 0.


# %%
def ppo_by_hand(logp, old, A, mask, clip):
    """The loss and its gradient with respect to logp, token by token."""
    total, count = 0.0, sum(map(sum, mask.tolist()))
    grad = torch.zeros_like(logp)
    for b in range(len(logp)):
        for t in range(logp.shape[1]):
            if mask[b, t]:
                ratio, a = math.exp(logp[b, t].item() - old[b, t].item()), A[b, t].item()
                limit = 1 + clip if a > 0 else 1 - clip
                held = ratio > limit if a > 0 else ratio < limit  # moved far enough the right way
                total -= (limit if held else ratio) * a / count
                grad[b, t] = 0 if held else -ratio * a / count
    return total, grad


torch.manual_seed(0)
for lengths in ([3, 9, 1, 6], [9, 9], [1]):
    mask = torch.tensor([[t < n for t in range(9)] for n in lengths])
    old, A = -2 * torch.rand(len(lengths), 9, dtype=torch.float64), torch.randn(len(lengths), 9, dtype=torch.float64)
    logp = old + 0.4 * torch.randn_like(old)
    logp, A = torch.where(mask, logp, old + 3), torch.where(mask, A, 50.0)  # nonsense in the padding
    logp.requires_grad_()
    loss = ppo_loss(logp, old, A, mask)
    want, want_grad = ppo_by_hand(logp.detach(), old, A, mask, 0.2)
    assert abs(loss.item() - want) < 1e-12  # float64
    torch.testing.assert_close(torch.autograd.grad(loss, logp)[0], want_grad, rtol=1e-12, atol=1e-14)
print("loss and gradient agree to 1e-12")

# %% [markdown]
# Everything together. The drift is paid token by token, $-\beta(\log\pi - \log\pi_{\rm ref})$, the reward arrives with the last token, the advantages are normalised over the batch, and policy and critic take two steps on each rollout.


# %%
def ppo(seed: int, cost: float = beta, score=reward, what: str = "PPO", n: int = 0):
    torch.manual_seed(seed)
    g, policy, critic = torch.Generator().manual_seed(seed), copy.deepcopy(reference), RewardModel(reference)
    policy.requires_grad_(True)
    policy_down, critic_down = (descend(model, 2e-3, n or steps, updates=2) for model in (policy, critic))

    def update(step: int) -> dict:
        o = rollout(policy, some_requests(batch, g), score, g)
        rewards = -cost * (o.logp - o.ref) * o.mask  # (B, T - 1)
        last = (o.mask * torch.arange(1, T)).argmax(1)
        rewards[torch.arange(batch), last] += o.r
        with torch.no_grad():
            values = critic.values(o.idx)[:, :-1] * o.mask  # (B, T - 1): before each token
        advantages = gae(rewards, values, o.mask)
        target = advantages + values
        mean = (advantages * o.mask).sum() / o.mask.sum()
        std = ((advantages - mean).square() * o.mask).sum().div(o.mask.sum()).sqrt()
        for _ in range(2):
            logp = token_logprobs(policy(o.idx)[0], o.idx)
            policy_down(ppo_loss(logp, o.logp, (advantages - mean) / (std + 1e-6), o.mask))
            error = (critic.values(o.idx)[:, :-1] - target).square() * o.mask
            critic_down(error.sum() / o.mask.sum())
        return o.figures

    history = run(update, what, n)
    return policy, history


trained["PPO"], history = ppo(seed=0)
measured["PPO"] = evaluate(trained["PPO"])
print(line("PPO", measured["PPO"]))
print(*measured["PPO"]["answers"])

# %% [markdown]
# The path of that run, and where it may end: the objective's optimum for this $\beta$ is known from section 6.

# %%
fig, axes = plt.subplots(1, 4, figsize=(13, 2.6))
labels = {"reward": "points", "kl": "nats an answer", "length": "tokens, end included", "entropy": "nats a token"}
for ax, (name, unit) in zip(axes, labels.items(), strict=True):
    ax.plot([m[name] for m in history])
    ax.set(xlabel="step", ylabel=unit, title={"kl": "KL to the SFT model"}.get(name, name))
for ax, height in zip(axes, reversed(goal), strict=False):
    ax.axhline(height, color="black", ls=":", lw=1)
fig.suptitle("PPO: reward and KL rise, and stop short of the optimum (dotted)", weight="bold", y=1.08)
plt.show()

# %% [markdown]
# **RLHF**, reinforcement learning from human feedback, is this with the learned reward in the place of the rule: people choose, the reward model learns, PPO obeys the model. The rule is used only to measure.

# %%
trained["PPO, learned reward"], _ = ppo(seed=0, score=reward_model, what="PPO on the reward model")
measured["PPO, learned reward"] = evaluate(trained["PPO, learned reward"])
print(line("PPO, learned reward", measured["PPO, learned reward"]))

# %% [markdown]
# ## 10. Reward hacking
#
# What does the KL term protect from? We take it away: PPO once more, $\beta = 0$, the same rule.

# %%
hacked, _ = ppo(seed=0, cost=0.0, what="PPO without KL", n=25)
without = evaluate(hacked)
print(line("PPO", measured["PPO"]))
print(line("PPO without KL", without))
print("with:   ", *measured["PPO"]["answers"])
print("without:", *without["answers"])
assert without["reward"] > 11 and without["known"] < 0.02 < measured["PPO"]["known"] and without["follows"] < 0.3

# %% [markdown]
# Twelve points and more, of 14 that are possible, and not a name among them. It has found the loophole: soft letters to the last place, no end, and the letter that was asked for is forgotten, because the rule never mentioned it. This is **reward hacking**. Nothing went wrong in the optimisation: we got what we asked for. A KL of dozens of nats says that the reference would never have written this.
#
# And with a *learned* reward? The same without KL on the reward model, which was never asked about such answers:

# %%
hacked_model, _ = ppo(seed=0, cost=0.0, score=reward_model, what="reward model, without KL", n=25)
idx, mask = sample(hacked_model, LETTERS.repeat(10, 1), torch.Generator().manual_seed(9))
fooled = reward_model(idx, mask).mean().item()
print(f"the reward model's opinion: {reward_model(*pairs[:2]).mean():.1f} for chosen answers, {fooled:.1f} for these")
print(f"{len(set(answers(idx)))} different answers among {len(idx)}")
print(line("learned, no KL", evaluate(hacked_model)))
print(*answers(idx)[:6])

# %% [markdown]
# Another loophole, and one that nobody wrote: wherever the learned reward happens to be highest, there the policy goes, and says the same few things to every request. The entropy falls to almost nothing. The rule gives fewer points for this than the reward model's enthusiasm suggests.
#
# Published runs show the same at scale: against a learned reward the true one first rises, then falls ([Gao et al. 2022](https://arxiv.org/abs/2210.10760)). Remedies: the KL term, early stopping, a better reward, and always a look at samples. No curve of the training run shows what the samples show at once.

# %% [markdown]
# ## 11. DPO: no reward model, no rollouts
#
# RLHF takes choices, fits a reward, then searches for the policy that is best for it. But section 6 wrote that policy down. **Direct preference optimisation** (Rafailov et al. 2023) reads the formula backwards: which reward would make *this* policy the best one?
#
# $$\pi^* = \frac{1}{Z}\pi_{\rm ref}\, e^{r/\beta} \quad\Longleftrightarrow\quad r(x, y) = \beta \log \frac{\pi^*(y|x)}{\pi_{\rm ref}(y|x)} + \beta \log Z(x)$$
#
# The first term is the policy's **implicit reward**. The second we could never compute, but it depends on the request alone, and Bradley and Terry only ask for the *difference* of two answers to the same request. It cancels. Put the rest into their likelihood, and the policy itself is the reward model:
#
# $$L = -\log \sigma\Big( \beta \log \frac{\pi(y_w|x)}{\pi_{\rm ref}(y_w|x)} - \beta \log \frac{\pi(y_l|x)}{\pi_{\rm ref}(y_l|x)} \Big)$$
#
# Does the cancellation hold? On ten answers to one request, with the exact optimum of a random reward:

# %%
torch.manual_seed(0)
r, log_ref = torch.randn(10, dtype=torch.float64), torch.randn(10, dtype=torch.float64).log_softmax(0)
log_best = (log_ref + r / beta).log_softmax(0)  # the best policy, normalised by a sum that we can do here
implicit = beta * (log_best - log_ref)
print("implicit reward minus reward:", *(f"{v:.6f}" for v in (implicit - r)[:4]))
torch.testing.assert_close(implicit[:, None] - implicit, r[:, None] - r, rtol=1e-12, atol=1e-12)  # all differences


# %%
#| export rl
import torch
import torch.nn.functional as F


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    beta: float = 0.1,
) -> torch.Tensor:
    """Direct preference optimisation, the mean over the pairs, a scalar.

    All four: (B,) log-probabilities of whole answers (`sequence_logprobs`), of the policy and of the reference, in
    nats.  beta: the price of a nat of drift.  Source: Rafailov et al. (2023), https://arxiv.org/abs/2305.18290, eq. 7.
    """
    return -F.logsigmoid(beta * ((chosen - ref_chosen) - (rejected - ref_rejected))).mean()


# %% [markdown]
# **Prove it**, from logits to gradients: another implementation goes through pairs one at a time, each answer cut out of its padding, tokens in a loop, the softmax spelled out; autograd in float64 on both. And the closed form: the gradient with respect to a chosen answer's log-probability is $-\beta\,\sigma(-h)/B$, with $h$ the argument of $\sigma$.


# %%
def dpo_by_hand(policy, ref, idx, masks, beta):
    """policy, ref: logits (2, B, T, V) of chosen and rejected."""
    losses = []
    for b in range(idx.shape[1]):
        h = 0
        for which, sign in ((0, 1), (1, -1)):
            for t in range(1, idx.shape[2]):
                if masks[which, b, t]:
                    for logits, s in ((policy, sign), (ref, -sign)):
                        row = logits[which, b, t - 1]
                        h = h + s * beta * (row[idx[which, b, t]] - row.exp().sum().log())
        losses.append((1 + (-h).exp()).log())
    return sum(losses) / len(losses)


torch.manual_seed(0)
for B, length in ((1, 4), (3, 9), (5, 7)):
    policy = torch.randn(2, B, length, 6, dtype=torch.float64, requires_grad=True)
    ref, idx = torch.randn(2, B, length, 6, dtype=torch.float64), torch.randint(6, (2, B, length))
    first, last = torch.randint(1, length - 1, (1, B, 1)), torch.randint(2, length, (2, B, 1))
    at = torch.arange(length)
    masks = (at >= first) & (at <= torch.maximum(first, last))  # a request of its own length, unequal ends
    sums = [sequence_logprobs(m[k], idx[k], masks[k]) for m in (policy, ref) for k in (0, 1)]
    loss = dpo_loss(*sums, beta=0.3)
    want = dpo_by_hand(policy, ref, idx, masks, 0.3)
    torch.testing.assert_close(loss, want, rtol=1e-12, atol=1e-12)  # float64
    by_sum, got = torch.autograd.grad(loss, [sums[0], policy], retain_graph=True)
    torch.testing.assert_close(got, torch.autograd.grad(want, policy)[0], rtol=1e-12, atol=1e-12)
    h = 0.3 * (sums[0] - sums[2] - sums[1] + sums[3])
    torch.testing.assert_close(by_sum, -0.3 * torch.sigmoid(-h) / B, rtol=1e-12, atol=1e-12)
print("loss and gradients agree to 1e-12")

# %% [markdown]
# ## 12. IPO, KTO, ORPO
#
# DPO was the first of a family. With $h_w, h_l$ for the log-ratios $\log \pi/\pi_{\rm ref}$ of the two answers, each is a line or two:
#
# | method | asks | loss | source |
# |---|---|---|---|
# | DPO | that the winner lead, ever more | $-\log\sigma(\beta(h_w - h_l))$ | [2305.18290](https://arxiv.org/abs/2305.18290) |
# | IPO | that it lead by $1/2\tau$, no less and no *more*: sure choices cannot drive it to infinity | $(h_w - h_l - \frac{1}{2\tau})^2$ | [2310.12036](https://arxiv.org/abs/2310.12036) |
# | KTO | good or bad, each answer alone, no pairs: better or worse than the mean drift $z$ | $1 - \sigma(\beta(h_w - z))$, and $1 - \sigma(\beta(z - h_l))$ | [2402.01306](https://arxiv.org/abs/2402.01306) |
# | ORPO | no reference: SFT on the winner, plus the log-ratio of the odds, $p$ the mean per-token probability | $-\log p_w - \lambda \log \sigma\big(\log\frac{p_w}{1 - p_w} - \log\frac{p_l}{1 - p_l}\big)$ | [2403.07691](https://arxiv.org/abs/2403.07691) |


# %%
def ipo_loss(h_w: torch.Tensor, h_l: torch.Tensor, tau: float) -> torch.Tensor:
    """h_w, h_l: (B,) log-ratios of the policy to the reference, for the chosen and the rejected answers."""
    return (h_w - h_l - 1 / (2 * tau)).square().mean()


def kto_loss(h_w: torch.Tensor, h_l: torch.Tensor, z: torch.Tensor, beta: float) -> torch.Tensor:
    """z: an estimate of the policy's drift, 0 or more, a constant."""
    return torch.cat([1 - torch.sigmoid(beta * (h_w - z)), 1 - torch.sigmoid(beta * (z - h_l))]).mean()


def orpo_loss(mean_w: torch.Tensor, mean_l: torch.Tensor, lam: float) -> torch.Tensor:
    """mean_w, mean_l: (B,) log-probabilities of the answers, divided by their tokens."""
    log_odds = [m - torch.log1p(-m.exp()) for m in (mean_w, mean_l)]
    return -mean_w.mean() - lam * F.logsigmoid(log_odds[0] - log_odds[1]).mean()


# %% [markdown]
# **Prove it.** What each wants can be seen at a point where the answer is known. IPO's gradient vanishes where the lead is $1/2\tau$; KTO at no drift is one half; ORPO's odds of a half are one. And the gradients of all three, against differences of the loss itself:

# %%
torch.manual_seed(0)
h_w, h_l = torch.randn(2, 6, dtype=torch.float64, requires_grad=True).unbind(0)
means = -torch.rand(2, 6, dtype=torch.float64) - 0.1
z = torch.tensor(0.4, dtype=torch.float64)
assert ipo_loss(h_l + 5, h_l, 0.1) < 1e-24 and kto_loss(z.expand(6), z.expand(6), z, 0.5) == 0.5
half = torch.full((6,), math.log(0.5), dtype=torch.float64)
assert abs(orpo_loss(half, half, 2.0).item() - 3 * math.log(2)) < 1e-12  # log 2, and twice -log σ(0)
for loss, where in (
    (lambda a, b: ipo_loss(a, b, 0.1), (h_w, h_l)),
    (lambda a, b: kto_loss(a, b, z, 0.5), (h_w, h_l)),
    (lambda a, b: orpo_loss(a, b, 3.0), means),
):
    a, b = (part.detach().requires_grad_() for part in where)
    assert torch.autograd.gradcheck(loss, (a, b), atol=1e-6)  # central differences in float64
print("all three have the gradients of their losses")

# %% [markdown]
# One loop trains all four on the same pairs, once through, with as many answers as the online methods draw. They never sample: each step is a forward and a backward pass, so they are several times as fast. For KTO's $z$ we take, as its authors do, answers to *other* requests: their mean log-ratio, cut at 0.


# %%
def prefer(kind: str, seed: int, pairs, rate: float = 1e-3):
    """Train a copy of the SFT model on pairs with one of the four losses."""
    torch.manual_seed(seed)
    w, wm, l, lm = pairs
    n = len(w) // 64
    policy, step_down = learner(rate, n)
    order = torch.randperm(len(w)).split(64)

    def logp(model, idx, mask):
        return sequence_logprobs(model(idx)[0], idx, mask)

    def update(step: int) -> dict:
        some = order[step]
        chosen, rejected = logp(policy, w[some], wm[some]), logp(policy, l[some], lm[some])  # (64,)
        with torch.no_grad():
            ref_chosen, ref_rejected = logp(reference, w[some], wm[some]), logp(reference, l[some], lm[some])
        h_w, h_l = chosen - ref_chosen, rejected - ref_rejected
        if kind == "DPO":
            loss = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
        elif kind == "IPO":
            loss = ipo_loss(h_w, h_l, 0.1)
        elif kind == "KTO":
            other = torch.cat([w[some][:, :2].roll(1, 0), w[some][:, 2:]], 1)  # the answer under another request
            with torch.no_grad():
                z = (logp(policy, other, wm[some]) - logp(reference, other, wm[some])).mean().clamp(min=0)
            loss = kto_loss(h_w, h_l, z, beta)
        else:
            loss = orpo_loss(chosen / wm[some].sum(1), rejected / lm[some].sum(1), 3.0)
        step_down(loss)
        return {"loss": loss.item(), "margin": (h_w - h_l).mean().item()}

    history = run(update, kind, n)
    return policy, history


for kind in ("DPO", "IPO", "KTO", "ORPO"):
    trained[kind], _ = prefer(kind, 0, pairs)
    measured[kind] = evaluate(trained[kind])
for kind in ("DPO", "IPO", "KTO", "ORPO"):
    print(line(kind, measured[kind]))

# %% [markdown]
# All gain, DPO and its sisters less than the online methods that see the rule: they learn from what the SFT model wrote, and never see what they write themselves. DPO called itself "secretly a reward model". Is it? Its implicit reward on held-out answers, against the rule, and against the reward model that was trained to be one:

# %%
idx, mask = (torch.cat([held_pairs[k], held_pairs[k + 2]]) for k in (0, 1))  # (1200, T)
with torch.no_grad():
    ratio = sequence_logprobs(trained["DPO"](idx)[0], idx, mask) - sequence_logprobs(reference(idx)[0], idx, mask)
implicit = beta * ratio  # (1200,)
r_dpo = torch.corrcoef(torch.stack([points, implicit]))[0, 1].item()
print(f"correlation with the rule: DPO's implicit reward {r_dpo:.2f}, the reward model {r_rule:.2f}")
print(f"held-out choices predicted: {(implicit[:600] > implicit[600:]).float().mean():.0%}")
assert r_dpo > 0.6

# %% [markdown]
# ## 13. GRPO: the group is the critic
#
# PPO's critic is a second model, as large as the first. **Group relative policy optimisation** (DeepSeekMath, 2024) does without: draw a *group* of answers to the same request, and judge each against its group. That is a bandit's baseline, one for each request, and the advantage goes to all tokens alike:
#
# $$A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{std}(r) + \epsilon}$$


# %%
#| export rl
import torch


def grpo_advantages(rewards: torch.Tensor, eps: float = 1e-4) -> torch.Tensor:
    """How much better each answer is than its group, in its group's spread: (requests, group) -> the same shape.

    The spread is the sample standard deviation (divided by group - 1); a group of equal rewards teaches nothing: 0.
    Source: Shao et al. (2024), https://arxiv.org/abs/2402.03300, section 4.1.2.
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (rewards.std(1, keepdim=True) + eps)


# %%
torch.manual_seed(0)
r = torch.randn(5, 8, dtype=torch.float64)
want = [[(x - np.mean(row)) / (np.std(row, ddof=1) + 1e-4) for x in row] for row in r.tolist()]  # NumPy, one by one
torch.testing.assert_close(grpo_advantages(r), torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=1e-12)
assert (grpo_advantages(torch.full((2, 4), 3.0)) == 0).all()  # all alike: no advantage, and no nan

# %% [markdown]
# The loss is PPO's clip with this advantage, averaged over each answer's tokens, then over answers, and $k_3$ times $\beta$ in the loss. Because the advantage is in units of the spread (about 2 points here), the same drift costs a smaller $\beta$.


# %%
def grpo_loss(logp, old_logp, ref_logp, advantages, mask, cost: float, clip: float = 0.2) -> torch.Tensor:
    """logp, old_logp, ref_logp, mask: (B, T); advantages: (B,). Each answer weighs the same, whatever its length."""
    ratio, log_rho = (logp - old_logp).exp(), ref_logp - logp
    A = advantages[:, None]
    kept = torch.minimum(ratio * A, ratio.clamp(1 - clip, 1 + clip) * A) - cost * (log_rho.exp() - 1 - log_rho)
    return -((kept * mask).sum(1) / mask.sum(1)).mean()


def grpo(seed: int, cost: float = 0.4, score=reward, what: str = "GRPO", group: int = 8):
    g, policy = torch.Generator().manual_seed(seed), copy.deepcopy(reference).requires_grad_(True)
    step_down = descend(policy, 2e-3, steps, updates=2)

    def update(step: int) -> dict:
        requests = some_requests(batch // group, g).repeat_interleave(group, 0)  # (B, 2)
        o = rollout(policy, requests, score, g)
        advantages = grpo_advantages(o.r.view(-1, group)).flatten()  # (B,)
        for _ in range(2):
            logp = token_logprobs(policy(o.idx)[0], o.idx)
            step_down(grpo_loss(logp, o.logp, o.ref, advantages, o.mask, cost))
        return o.figures

    history = run(update, what)
    return policy, history


# %% [markdown]
# **Prove it**: with all answers of one length and no KL, it must be `ppo_loss`; with one answer alone, the mean over its tokens.

# %%
torch.manual_seed(0)
old, ref = -torch.rand(2, 6, 5, dtype=torch.float64)
logp, A = old + 0.3 * torch.randn(6, 5), torch.randn(6, dtype=torch.float64)
full = torch.ones(6, 5)
torch.testing.assert_close(grpo_loss(logp, old, ref, A, full, 0.0), ppo_loss(logp, old, A[:, None], full))
ragged = torch.tensor([[t < n for t in range(5)] for n in (1, 5, 3, 2, 4, 5)])
alone = []
for b in range(6):
    n, tokens = int(ragged[b].sum()), 0.0
    for t in range(n):
        ratio, rho = math.exp(logp[b, t] - old[b, t]), math.exp(ref[b, t] - logp[b, t])
        surrogate = min(ratio * A[b].item(), min(max(ratio, 0.8), 1.2) * A[b].item())
        tokens += (surrogate - 0.3 * (rho - 1 - math.log(rho))) / n
    alone.append(-tokens)
assert abs(grpo_loss(logp, old, ref, A, ragged, 0.3).item() - sum(alone) / 6) < 1e-12  # float64

# %%
trained["GRPO"], _ = grpo(seed=0)
measured["GRPO"] = evaluate(trained["GRPO"])
print(line("GRPO", measured["GRPO"]))
print(*measured["GRPO"]["answers"])

# %% [markdown]
# Look at the entropy and at the letters: GRPO's samples are wilder than the others' at this drift, and the request is broken more often. That is section 5's trap at work: $k_3$ in the loss pulls on the *other* divergence, which punishes what the policy has lost far more than what it invents.
#
# ## 14. All of them in one plot
#
# The live runs are one seed. For a verdict we need three, and the seed changes everything but the start: the answers drawn, the pairs, the order. That takes minutes, so it is a **recorded result**; `course run 21 --profile full` makes it again with the functions of this page.


# %%
METHODS = {
    "REINFORCE": lambda seed, pairs: reinforce(seed),
    "PPO": lambda seed, pairs: ppo(seed),
    "PPO, learned reward": lambda seed, pairs: ppo(seed, score=fit_reward_model(pairs, seed)),
    "GRPO": lambda seed, pairs: grpo(seed),
    "DPO": lambda seed, pairs: prefer("DPO", seed, pairs),
    "IPO": lambda seed, pairs: prefer("IPO", seed, pairs),
    "KTO": lambda seed, pairs: prefer("KTO", seed, pairs),
    "ORPO": lambda seed, pairs: prefer("ORPO", seed, pairs),
}
FIGURES = ("reward", "kl", "length", "entropy", "follows", "known")


def three_seeds() -> dict:
    """Every method from the same SFT model with seeds 0, 1, 2: {method: [figures of each seed]}."""
    kept = {name: [] for name in METHODS}
    for seed in range(3):
        pairs = make_pairs(steps * batch // 2, seed=3 + 100 * seed)
        for name, method in METHODS.items():
            figures = evaluate(method(seed, pairs)[0])
            kept[name].append({key: round(figures[key], 4) for key in FIGURES})
    return {
        "parameters": {"steps": steps, "batch": batch, "beta": beta, "answers": steps * batch},
        "sft": {key: round(start[key], 4) for key in FIGURES},
        "frontier": [[round(v, 4) for v in point] for point in frontier],
        "best_of": {str(n): [round(v, 4) for v in point] for n, point in best_of.items()},
        "methods": kept,
    }


if record:
    begun = time.perf_counter()
    print("written:", results.save("21_rl_dpo", three_seeds(), time.perf_counter() - begun).name)
kept = results.load("21_rl_dpo")
made = kept["made"]
print(
    f"recorded on {made['date']} at {made['commit']}, {made['device']}, {made['threads']} thread(s), {made['seconds']} s"
)

# %% [markdown]
# Does the record still agree with the code? Seed 0 was trained live above, so all of it can be compared:

# %%
if (steps, batch, beta) == tuple(kept["parameters"][key] for key in ("steps", "batch", "beta")):
    for name in METHODS:
        then, now = kept["methods"][name][0], measured[name]
        print(
            f"{name:20} reward {then['reward']:5.2f} then, {now['reward']:5.2f} now; KL {then['kl']:.2f}, {now['kl']:.2f}"
        )
        # another machine sums in another order, and sampling turns that into other answers: the spread of seeds
        assert abs(then["reward"] - now["reward"]) < 0.6 and abs(then["kl"] - now["kl"]) < 1.2

# %%
fig, ax = plt.subplots(figsize=(8, 4.6))
ax.plot(*zip(*kept["frontier"], strict=True), color="black", lw=1.2, label="the optimum")
ax.plot(*zip(*kept["best_of"].values(), strict=True), "D", color="0.4", mfc="none", label="best of 2 to 64")
styles = dict(zip(METHODS, ("oC0", "sC1", "PC1", "^C2", "vC3", "<C4", ">C5", "XC6"), strict=True))
for name, style in styles.items():
    ax.plot([m["kl"] for m in kept["methods"][name]], [m["reward"] for m in kept["methods"][name]], style, label=name)
ax.plot(0, kept["sft"]["reward"], "k*", ms=12, label="SFT")
ax.set(xlabel="KL to the SFT model (nats an answer)", ylabel="reward (points)", xlim=(-0.2, 8), ylim=(2.5, 9.8))
ax.set_title(f"{kept['parameters']['answers']:,} answers each, three seeds: what a nat of drift buys")
ax.legend(fontsize=8, loc="lower right", ncols=2)
plt.show()

# %% [markdown]
# Reward alone would crown whoever drifted furthest. So we also ask for the share of the possible: the gain over SFT, divided by what the optimum gains *at the same KL*.


# %%
def share_of_possible(m: dict) -> float:
    """The gain over SFT, relative to the best gain at this KL (interpolated; the last point where the curve ends)."""
    kls, rewards = (np.array(column) for column in zip(*sorted(kept["frontier"]), strict=True))
    return (m["reward"] - kept["sft"]["reward"]) / (np.interp(m["kl"], kls, rewards) - kept["sft"]["reward"])


def spread(values) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


table = ["| method | reward | KL | share of the possible | right letter | entropy |", "|---|---|---|---|---|---|"]
shares = {}
for name, seeds in kept["methods"].items():
    shares[name] = [share_of_possible(m) for m in seeds]
    columns = [spread([m[key] for m in seeds]) for key in ("reward", "kl")] + [spread(shares[name])]
    letter, entropy = (np.mean([m[key] for m in seeds]) for key in ("follows", "entropy"))
    table.append(f"| {name} | {' | '.join(columns)} | {letter:.0%} | {entropy:.2f} |")
    assert all(m["reward"] > kept["sft"]["reward"] + 1 and m["kl"] < 10 for m in seeds)
Markdown("\n".join(table))

# %% [markdown]
# Every method is more than a point above SFT in every seed, and below 10 nats. Read the columns apart. REINFORCE earns most and is nearest to the optimum; PPO follows with less drift, its critic costs more than it brings on answers of eight tokens. That is no accident of ours: [Ahmadian et al. 2024](https://arxiv.org/abs/2402.14740) found the same for large models, because a language model's
# answer is closer to one pull of a bandit than to a long game. The offline methods gain less per nat: they learn from 5,120 answers of the *SFT model*, choose with whim, and never see their own. GRPO pays for $k_3$. And PPO on the learned reward keeps the distance between a rule and its picture.
#
# What best-of-n says of all this: up to its reward, drawing 16 and keeping the best is as good as any training; only then it gets expensive.


# %%
def mean_of(name: str, key: str) -> float:
    return float(np.mean([m[key] for m in kept["methods"][name]]))


assert max(METHODS, key=lambda name: mean_of(name, "reward")) == "REINFORCE"
assert (
    np.mean(shares["REINFORCE"])
    > np.mean(shares["PPO"])
    > max(np.mean(shares[k]) for k in ("DPO", "IPO", "KTO", "ORPO"))
)
assert mean_of("GRPO", "entropy") > max(mean_of(name, "entropy") for name in METHODS if name != "GRPO")

# %% [markdown]
# ## 15. Several aims and a gate
#
# The customer, shown the hacked names, adds two wishes: the name should be short (six letters or so), and it *must* begin with the letter that was asked for. The usual way is a weighted sum. The trouble with sums: everything is for sale. An answer may lose the letter and buy it back with softness.
#
# A **gate** is not for sale: an answer that fails it gets the lowest reward that there is, whatever else it has. (Multiplying by 0 or 1 is not enough: where rewards are negative, 0 would be a prize.) We make the drift cheap, $\beta = 0.1$, so that the reward decides.


# %%
def wishes(idx: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Softness in points, letters beyond six, and whether the answer begins as asked and ends: (B,) each."""
    said = answers(idx)
    long = torch.tensor([max(0.0, len(answer) - 6.0) for answer in said])
    starts = idx[:, 0] == idx[:, 2]
    ends = mask.sum(1) + 2 < T  # a place is left: it ended by itself
    return reward(idx), long, starts & ends


def summed(idx: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    soft, long, valid = wishes(idx, mask)
    return soft - long + valid.float()


def gated(idx: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    soft, long, valid = wishes(idx, mask)
    return torch.where(valid, soft - long, -10.0)


aims = {}
for name, score in (("sum", summed), ("gate", gated)):
    policy, _ = reinforce(seed=0, cost=0.1, score=score, what=name, n=25)
    aims[name] = evaluate(policy)
for name, m in aims.items():
    print(line(name, m), *m["answers"][:4])
assert aims["gate"]["follows"] > 0.97 and aims["sum"]["follows"] < aims["gate"]["follows"] - 0.05
assert all(m["length"] < 9 for m in aims.values())

# %% [markdown]
# Both stay short: the price for letters beyond six removes what they would gain. But the sum has sold the hard letters: why begin a name with `k`, which costs a point, for a bonus of one? Behind the gate the request is kept. What matters absolutely belongs in a gate; what can be weighed, in the sum.
#
# ## 16. Right or wrong: GRPO with a verifiable reward
#
# Preferences are opinions. Some answers can be *checked*: a proof, a program's tests, a sum. The reward is then 1 or 0, nobody can argue with it, and there is no reward model to fool. This is how reasoning models are trained (DeepSeek-R1, 2025). Our small version: addition of two-digit numbers.
#
# A GPT learns `38+47=85.` by SFT, and we stop it on purpose when 40 % of its sampled answers to training problems are right. One problem in ten is held out.

# %% tags=["nbval-check-output"]
digits = CharVocab(["0123456789+="])  # "." is the end here too
problems = [(a, b) for a in range(10, 100) for b in range(10, 100)]
random.Random(0).shuffle(problems)
sums = torch.zeros(len(problems), 10, dtype=torch.long)  # "38+47=" is six tokens, the answer at most four
for n, (a, b) in enumerate(problems):
    ids = digits.encode(f"{a}+{b}={a + b}.")
    sums[n, : len(ids)] = torch.tensor(ids)
held_out, training = sums[:810], sums[810:]
print(len(training), len(held_out), digits.decode(training[0].tolist()))


# %%
def right(said: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Exact match of answers (B, 10) up to and with the end: (B,) of 0 and 1."""
    upto = ((truth[:, 6:] == 0).cumsum(1) - (truth[:, 6:] == 0).long()) == 0  # (B, 4): the end included
    return ((said[:, 6:] == truth[:, 6:]) | ~upto).all(1).float()


def accuracy(model: GPT, truth: torch.Tensor, seed: int = 0, temperature: float = 1.0) -> float:
    g = torch.Generator().manual_seed(seed)
    return right(model.generate(truth[:, :6], 4, temperature=temperature, generator=g), truth).mean().item()


def fit_adder(seed: int, enough: float = 0.4) -> GPT:
    """SFT on sums, stopped when this share of sampled answers to 200 training problems is right."""
    torch.manual_seed(seed)
    g, model = torch.Generator().manual_seed(seed), GPT(GPTConfig(len(digits), 10, 2, 4, 64))
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3, betas=(0.9, 0.98))
    for step in (bar := train.progress(1500, "SFT on sums")):
        rows = training[torch.randint(len(training), (64,), generator=g)]
        targets = rows[:, 1:].clone()
        targets[:, :5] = -100  # the problem itself
        targets[:, 6:][(rows[:, 6:-1] == 0).cumsum(1) > 0] = -100  # what follows the end
        loss = model(rows[:, :-1], targets)[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9:
            share = accuracy(model, training[:200], step)
            bar.set_postfix_str(f"right {share:.0%}", refresh=False)
            if share > enough:
                break
    bar.close()
    return model.eval()


adder = fit_adder(seed=0)
before = {t: accuracy(adder, held_out, temperature=t) for t in (0.0, 1.0)}
print(f"held out, exact match: {before[0.0]:.1%} likeliest answer, {before[1.0]:.1%} sampled")

# %% [markdown]
# It knows something of addition, and errs about as often as not. GRPO now gets no answers, only "right" and "wrong": 32 problems a step, 8 answers each. A problem that all eight solve, or none, teaches nothing: its advantages are zero.


# %%
def grpo_adder(adder: GPT, seed: int, n: int = 80, group: int = 8) -> GPT:
    """GRPO with exact match as its reward, on training problems."""
    g, policy = torch.Generator().manual_seed(seed), copy.deepcopy(adder)
    step_down = descend(policy, 5e-4, n, updates=2)

    def update(step: int) -> dict:
        truth = training[torch.randint(len(training), (32,), generator=g)].repeat_interleave(group, 0)  # (B, 10)
        idx = policy.generate(truth[:, :6], 4, generator=g)
        ended = (idx[:, 6:] == 0).cumsum(1) - (idx[:, 6:] == 0).long()
        mask = F.pad((ended == 0).float(), (5, 0))  # (B, 9): on predicted tokens
        r = right(idx, truth)
        with torch.no_grad():
            old, ref = (token_logprobs(m(idx)[0], idx) for m in (policy, adder))
            said = policy(idx)[0][:, :-1].log_softmax(-1)
        advantages = grpo_advantages(r.view(-1, group)).flatten()
        for _ in range(2):
            logp = token_logprobs(policy(idx)[0], idx)
            step_down(grpo_loss(logp, old, ref, advantages, mask, cost=0.01))
        return {
            "reward": r.mean().item(),
            "kl": ((old - ref) * mask).sum(1).mean().item(),
            "length": mask.sum(1).mean().item(),
            "entropy": (-(said.exp() * said).sum(-1) * mask).sum().item() / mask.sum().item(),
        }

    grpo_adder.history = run(update, "GRPO on sums", n)
    return policy


better = grpo_adder(adder, seed=0)
after = {t: accuracy(better, held_out, temperature=t) for t in (0.0, 1.0)}
print(f"held out, likeliest answer: {before[0.0]:.1%} before, {after[0.0]:.1%} after")
print(f"held out, sampled:          {before[1.0]:.1%} before, {after[1.0]:.1%} after")
assert after[0.0] > before[0.0] + 0.1 and after[1.0] > before[1.0] + 0.1

# %% [markdown]
# Ten points and more on problems that it never saw, both ways, and nobody showed it one more solution. Did it learn to add, or to be surer of what it knew? Ask for **pass@k**: is at least one of $k$ samples right? With $c$ right ones of 64, the chance that a draw of $k$ holds none is $\binom{64-c}{k} / \binom{64}{k}$.


# %%
def pass_at(model: GPT, ks: list[int], n: int = 64) -> list[float]:
    truth = held_out[:100].repeat_interleave(n, 0)
    g = torch.Generator().manual_seed(1)
    hits = right(model.generate(truth[:, :6], 4, generator=g), truth).view(100, n).sum(1).int().tolist()
    return [sum(1 - math.comb(n - c, k) / math.comb(n, k) for c in hits) / 100 for k in ks]


ks = [1, 2, 4, 8, 16, 32, 64]
fig, axes = plt.subplots(1, 2, figsize=(11, 3))
axes[0].plot([m["reward"] for m in grpo_adder.history])
axes[0].set(xlabel="step", ylabel="share right", title="Training problems, sampled")
for model, style, name in ((adder, "s--", "SFT"), (better, "o-", "after GRPO")):
    axes[1].semilogx(ks, pass_at(model, ks), style, base=2, label=name)
axes[1].set(xlabel="k", ylabel="pass@k", title="GRPO turns pass@8 into pass@1", ylim=(0, 1.05))
axes[1].legend()
plt.show()

# %% [markdown]
# At $k = 1$ the gap is wide, at 64 it is gone: nearly every problem was solved now and then before. GRPO makes likely what was possible. What no sample ever shows gets no reward, which is why the SFT before it matters ([Yue et al. 2025](https://arxiv.org/abs/2504.13837) discuss whether large models go beyond).
#
# ## 17. A real model: SFT, then DPO, on SmolLM2
#
# The same functions, unchanged, on a chat model of 135 million parameters. It likes to answer in sentences. Our customer wants the bare answer: to *What is the capital of France?*, `Paris` and no more. Only LoRA factors are trained (lecture 20), a handful of steps. The weights come as a 98 MB file; where they cannot be had, the page goes on.

# %%
try:
    path = data.fetch("smollm2")
    words = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    smol = gguf_llama(path).to(device)
except data.DataError as problem:
    smol = None
    print("This section needs SmolLM2. The page goes on without it.", problem)


# %%
listed = """France:Paris Italy:Rome Spain:Madrid Germany:Berlin Japan:Tokyo Egypt:Cairo Russia:Moscow Greece:Athens
Austria:Vienna Norway:Oslo Sweden:Stockholm Peru:Lima Cuba:Havana Iraq:Baghdad Iran:Tehran China:Beijing
Poland:Warsaw Portugal:Lisbon Ireland:Dublin Finland:Helsinki Hungary:Budapest Kenya:Nairobi Chile:Santiago
Denmark:Copenhagen"""
CAPITALS = dict(pair.split(":") for pair in listed.split())
COUNTRIES = list(CAPITALS)  # the first 16 to train on, the last 8 held out


def chat_rows(countries: list[str], form: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Questions with answers of this form: idx, mask, (B, T) each; mask on the answer."""
    chats = []
    for country in countries:
        answer = form.format(country=country, capital=CAPITALS[country])
        question = {"role": "user", "content": f"What is the capital of {country}?"}
        chats.append(encode_chat(words.encode, [question, {"role": "assistant", "content": answer}]))
    idx, labels = collate(chats)
    return idx.to(device), (labels != LEFT_OUT).float().to(device)


def logp_of(idx: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return sequence_logprobs(smol(idx), idx, mask)  # (B,)


BARE, SENTENCE = "{capital}", "The capital of {country} is {capital}."

# %% [markdown]
# First SFT on bare answers for four countries, three steps: a start. The SFT model is the reference of what follows, so its log-probabilities are computed once, before DPO begins. Then DPO: the bare answer rather than the sentence, four countries a step.

# %%
if smol:
    torch.manual_seed(0)
    factors = apply_lora(smol)  # rank 8, on queries and values
    optimizer = torch.optim.AdamW(factors, 5e-4, weight_decay=0.0)
    print(f"{sum(p.numel() for p in factors):,} trainable parameters")

    def step_down(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def margin_held_out() -> torch.Tensor:
        """log p(bare) - log p(sentence) on the eight held-out countries: (8,)."""
        return logp_of(*chat_rows(COUNTRIES[16:], BARE)) - logp_of(*chat_rows(COUNTRIES[16:], SENTENCE))

    @torch.no_grad()
    def says(country: str) -> str:
        question = chatml([{"role": "user", "content": f"What is the capital of {country}?"}], ask=True)
        idx = torch.tensor([words.encode(question)], device=device)
        out = generate(smol, idx, 12, temperature=0, stop=words.eos_token_id)
        return words.decode(out[0, idx.shape[1] :], skip_special_tokens=True).strip()

    stages = {"as it came": (margin_held_out(), [says(c) for c in COUNTRIES[-3:-1]])}
    idx, mask = chat_rows(COUNTRIES[:4], BARE)
    run(lambda step: step_down(loss := -logp_of(idx, mask).sum() / mask.sum()) or {"loss": loss.item()}, "SFT", 3)
    stages["after SFT"] = margin_held_out(), [says(c) for c in COUNTRIES[-3:-1]]

# %%
if smol:
    bare, sentence = chat_rows(COUNTRIES[:16], BARE), chat_rows(COUNTRIES[:16], SENTENCE)
    with torch.no_grad():
        ref_bare, ref_sentence = logp_of(*bare), logp_of(*sentence)  # (16,): the SFT model is the reference

    def dpo_step(step: int) -> dict:
        some = slice(4 * (step % 4), 4 * (step % 4) + 4)
        chosen, rejected = (logp_of(idx[some], mask[some]) for idx, mask in (bare, sentence))
        loss = dpo_loss(chosen, rejected, ref_bare[some], ref_sentence[some], beta=0.1)
        step_down(loss)
        margin = (chosen - ref_bare[some] - rejected + ref_sentence[some]).mean().item()
        return {"loss": loss.item(), "margin": margin}

    run(dpo_step, "DPO on SmolLM2", live_dpo_steps)
    stages["after DPO"] = margin_held_out(), [says(c) for c in COUNTRIES[-3:-1]]
    for name, (margin, said) in stages.items():
        print(f"{name:12} log p(bare) - log p(sentence) on held-out countries {margin.mean():+6.2f}; says {said}")
    assert (stages["after DPO"][0] > stages["after SFT"][0] + 1).all()

# %% [markdown]
# Eight steps turn the preference round on countries that it was never trained on: the bare answer is now likelier than the sentence. And what does it write? The sentence again, without its full stop: a form that nobody rejected, because nobody showed it. DPO moves the two answers of each pair apart, and says nothing of all the others; a method that samples would have met this one and judged it. More steps, or the new form among the rejected ones, is the remedy: preferences are collected in rounds for that reason.

# %% [markdown]
# ## What to use when
#
# | you have | take | because |
# |---|---|---|
# | a check that cannot be fooled: tests, a solver | GRPO, or REINFORCE with a good baseline | no reward model, no critic |
# | pairs of answers, little compute | DPO, or IPO where the choices are nearly sure | no sampling, two forward passes |
# | single answers with thumbs up or down | KTO | needs no pairs |
# | pairs, and no room for a reference model | ORPO | one model in memory |
# | a reward and much compute | PPO | the critic judges tokens; many steps a rollout |
# | a good reward, and few requests to serve | best-of-n | nothing to train, nearly optimal for its KL |
#
# ## What we built
#
# | built | reached | compared with | goes next |
# |---|---|---|---|
# | eight methods from one SFT model, 5,120 answers each | the table of section 14, three seeds | the optimum $\pi_{\rm ref}\, e^{r/\beta}$, best-of-n | 24: on-policy distillation |
# | `gae`, `ppo_loss`, `dpo_loss`, `grpo_advantages` | equal to 1e-12, gradients too | loops over tokens, closed forms | any trainer |
# | `RewardModel` on 2,560 noisy choices | correlation above 0.7 with the rule | the rule itself | |
# | PPO without KL | 11 and more of 14 points, no names | with KL | section 15: the gate |
# | GRPO on sums | 10 points and more on held-out problems | its SFT start | |
#
# ## Papers
#
# - R. Williams (1992). [Simple statistical gradient-following algorithms for connectionist reinforcement learning](https://doi.org/10.1007/BF00992696). REINFORCE, and why a baseline is allowed.
# - J. Schulman et al. (2017). Proximal Policy Optimization Algorithms. [arXiv:1707.06347](https://arxiv.org/abs/1707.06347). Section 3 and figure 1: the clip in a picture.
# - J. Schulman et al. (2015). High-Dimensional Continuous Control Using Generalized Advantage Estimation. [arXiv:1506.02438](https://arxiv.org/abs/1506.02438). Section 3.
# - L. Ouyang et al. (2022). Training language models to follow instructions with human feedback. [arXiv:2203.02155](https://arxiv.org/abs/2203.02155). The three steps in figure 2.
# - R. Rafailov et al. (2023). Direct Preference Optimization. [arXiv:2305.18290](https://arxiv.org/abs/2305.18290). Section 4: two pages of algebra, ours with them.
# - Z. Shao et al. (2024). DeepSeekMath. [arXiv:2402.03300](https://arxiv.org/abs/2402.03300). Section 4 for GRPO, section 5 for what RL changes: maj@k and pass@k.
# - L. Gao, J. Schulman, J. Hilton (2022). Scaling Laws for Reward Model Overoptimization. [arXiv:2210.10760](https://arxiv.org/abs/2210.10760). Reward against KL, with a gold reward beside the learned one.
# - Y. Tang, R. Munos (2025). On a few pitfalls in KL divergence gradient estimation for RL. [arXiv:2506.09477](https://arxiv.org/abs/2506.09477). Section 5 in full, and what happens over many tokens.

# %% [markdown]
# ## Recall tomorrow
#
# 1. Why may a baseline be subtracted, and what must it not depend on?
#    <details><summary>Answer</summary>The mean of ∇ log π is zero, so a constant changes nothing on average. It must not depend on the action that was drawn.</details>
# 2. What is the best policy for a reward r at a price β, and why can we not use it?
#    <details><summary>Answer</summary>π<sub>ref</sub> e<sup>r/β</sup> / Z. Z is a sum over all answers. Best-of-n and weighting samples come near it.</details>
# 3. Where did DPO's reward model go, and where did Z go?
#    <details><summary>Answer</summary>β log(π/π<sub>ref</sub>) is the reward. Z depends on the request only and cancels in the difference of two answers.</details>
# 4. What does PPO's minimum keep that the clip alone would lose?
#    <details><summary>Answer</summary>The full pull back on a token that moved the wrong way: there the unclipped term is smaller.</details>
# 5. All eight answers of a GRPO group are wrong. What do they teach?
#    <details><summary>Answer</summary>Nothing: all advantages are zero. Problems must be neither too hard nor too easy.</details>
