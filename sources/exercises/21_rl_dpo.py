# %% [markdown]
# # 21 · exercises: rewards and preferences
#
# Six tasks, the parts of every trainer that learns from rewards: a policy gradient, the loss of a reward model, advantages over time and within a group, DPO from per-token log-probabilities, and a
# doctor's eye for runs that went wrong. Each has a cell to fill in, a check that says what looks wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/21_rl_dpo.ipynb) · a run takes about 10 s and 0.4 GB on a laptop's CPU
#
# Needs: lecture 21. The tasks do not depend on each other.

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
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from course_utils import lesson
from course_utils.checks import rl as check

device = lesson.start("21_rl_dpo, exercises")

# %% [markdown]
# ---
# ### X01. The policy gradient of a bandit   (2 of 5 · 15 minutes)
#
# A bandit has $K$ arms. The policy is $p = \mathrm{softmax}(\theta)$. We pulled $n$ arms, drawn from $p$, and saw a reward for each. Estimate $\nabla_\theta\, \mathbb{E}[r]$: the direction in which the scores must move to earn **more**. Each pull contributes $(r_i - b)\, \nabla_\theta \log p_{a_i}$, with a baseline $b$, and the estimate is their mean.
#
# Work out $\nabla_\theta \log p_a$ on paper first: it needs no autograd. $p$ comes from `scores`, all `K` of them, also arms that nobody pulled. Return the gradient, $(K,)$, not a loss, and leave the inputs as they are.


# %%
def policy_gradient(scores: torch.Tensor, arms: torch.Tensor, rewards: torch.Tensor, baseline: float) -> torch.Tensor:
    """The REINFORCE estimate of the gradient of the expected reward.

    scores: (K,) float.  arms: (n,) int64, what was pulled.  rewards: (n,) float.  Returns (K,).
    """
    ### BEGIN SOLUTION
    p = scores.softmax(0)  # (K,)
    grad_log_p = F.one_hot(arms, len(scores)) - p  # (n, K)
    return ((rewards - baseline)[:, None] * grad_log_p).mean(0)
    ### END SOLUTION


# %%
check.x01(policy_gradient)

# %% [markdown]
# <details><summary>Hint 1</summary>log p_a = θ_a − log Σ exp θ. Take the derivative with respect to θ_a, then with respect to another θ_k.</details>
# <details><summary>Hint 2</summary>The derivative is 1 − p_a for the arm itself and −p_k for every other: the one-hot vector of a, minus p.</details>
# <details><summary>Hint 3</summary><code>F.one_hot(arms, K) - p</code> has the shape (n, K). Multiply row i by (r_i − b), then take the mean over the rows.</details>
#
# What a baseline does to the noise: 400 estimates from 16 pulls each, for a range of baselines.

# %% tags=["demo"]
g = torch.Generator().manual_seed(0)
means, scores = 5 + torch.randn(6, generator=g), torch.zeros(6)
baselines, noise = torch.linspace(0, 10, 21), []
for b in baselines.tolist():
    estimates = []
    for _ in range(400):
        arms = torch.multinomial(scores.softmax(0), 16, replacement=True, generator=g)
        estimates.append(policy_gradient(scores, arms, means[arms] + torch.randn(16, generator=g), b))
    noise.append(torch.stack(estimates).var(0).sum().item())
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.plot(baselines, noise, "o-")
ax.axvline(means.mean(), color="black", ls=":", label="mean reward of this policy")
ax.set(xlabel="baseline", ylabel="variance of the gradient", title="The best baseline is close to the mean reward")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X02. Bradley and Terry's loss   (1 of 5 · 10 minutes)
#
# A reward model gave a score to the chosen and to the rejected answer of each pair. Bradley and Terry say that the chosen one wins with probability $\sigma(r_w - r_l)$. Return the mean negative log-likelihood of the choices, a scalar tensor through which gradients flow.
#
# Scores may be far apart: a difference of −1000 must give a loss of 1000, not `inf`, and +1000 a loss of 0, with gradients that are finite. In some data sets people also say *how much* better: `margin` ($\ge 0$, one a pair, or `None`) is subtracted from the difference, so a clear preference must be won by more ([Llama 2](https://arxiv.org/abs/2307.09288), section 3.2.2).


# %%
def preference_loss(chosen: torch.Tensor, rejected: torch.Tensor, margin: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of -log σ(chosen - rejected - margin): three times (B,), returns a scalar."""
    ### BEGIN SOLUTION
    lead = chosen - rejected
    if margin is not None:
        lead = lead - margin
    return -F.logsigmoid(lead).mean()
    ### END SOLUTION


# %%
check.x02(preference_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>σ(−1000) is 0 in floating point, and its logarithm −inf. Is there a function for both steps at once?</details>
# <details><summary>Hint 2</summary><code>F.logsigmoid</code>. (<code>-F.softplus(-x)</code> is the same.)</details>

# %% tags=["demo"]
lead = torch.linspace(-5, 5, 101)
fig, ax = plt.subplots(figsize=(6, 2.6))
for margin in (0.0, 2.0):
    losses = [preference_loss(d[None], torch.zeros(1), torch.tensor([margin])).item() for d in lead]
    ax.plot(lead, losses, "-" if margin == 0 else "--", label=f"margin {margin:.0f}")
ax.set(xlabel="score of chosen minus rejected", ylabel="loss (nats)", title="The loss of a pair never quite ends")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X03. Advantages over time: GAE   (3 of 5 · 25 minutes)
#
# A critic said $V_t$ before each token, and rewards came after it. Write generalised advantage estimation, backwards in time:
#
# $$\delta_t = r_t + \gamma V_{t+1} - V_t, \qquad A_t = \delta_t + \gamma\lambda\, A_{t+1}$$
#
# Answers have unequal lengths and stand after requests of unequal lengths: `mask` is `True` on the answer's tokens, which stand together. After an answer's last token nothing comes: there $V_{t+1} = 0$ and $A_{t+1} = 0$, whatever number the critic left in the padding. Advantages are 0 where the mask is `False`. The critic is not trained here, so it does not matter
# whether gradients flow. Leave the inputs as they are, and keep their dtype.


# %%
def advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float
) -> torch.Tensor:
    """Generalised advantage estimates: rewards, values (B, T) float, mask (B, T) bool -> (B, T)."""
    ### BEGIN SOLUTION
    A = torch.zeros_like(values)
    next_value = next_advantage = torch.zeros_like(values[:, 0])  # (B,)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        A[:, t] = torch.where(mask[:, t], delta + gamma * lam * next_advantage, 0.0)
        next_advantage = A[:, t]
        next_value = torch.where(mask[:, t], values[:, t], 0.0)
    return A
    ### END SOLUTION


# %%
check.x03(advantages)

# %% [markdown]
# <details><summary>Hint 1</summary>Go from the last column to the first, and carry two vectors (B,) along: the next value and the next advantage. Both start at 0.</details>
# <details><summary>Hint 2</summary>Where the mask is False, both must be 0 for the column before: that is what makes the padding silent.</details>
# <details><summary>Hint 3</summary><code>torch.where(mask[:, t], ..., 0.0)</code> for the advantage that you store, and for <code>values[:, t]</code> before it becomes the next value.</details>
#
# A single reward at the end of 12 tokens, and a critic that says 0 everywhere. λ says how far back the reward is felt:

# %% tags=["demo"]
rewards = torch.zeros(1, 12)
rewards[0, -1] = 1.0
fig, ax = plt.subplots(figsize=(6, 2.6))
for lam, style in ((0.0, "o-"), (0.5, "s-"), (0.9, "^-"), (1.0, "D-")):
    A = advantages(rewards, torch.zeros(1, 12), torch.ones(1, 12, dtype=torch.bool), 1.0, lam)
    ax.plot(range(1, 13), A[0], style, ms=4, label=f"λ = {lam}")
ax.set(xlabel="token", ylabel="advantage", title="λ decides how far back a late reward reaches")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X04. DPO from log-probabilities   (3 of 5 · 20 minutes)
#
# You have the log-probability of **every token** of a batch of rows, from the policy and from the reference: request, answer, padding, everything. The first $B$ rows are the chosen answers, the last $B$ the rejected ones, to the same requests in the same order. `mask` is `True` on answers' tokens.
#
# Return the mean DPO loss, a scalar with gradients to `policy`, and the **implicit rewards** $\beta (\log\pi - \log\pi_{\rm ref})$ of the chosen and of the rejected answers, $(B,)$ each, detached. An answer's log-probability is the *sum* over its tokens: DPO's derivation holds for whole answers, and a mean would favour some lengths. Padding may hold anything, `-inf` too, and 0 times `-inf` is not 0. The reference gets no gradient, and large margins must not overflow.


# %%
def dpo(
    policy: torch.Tensor, ref: torch.Tensor, mask: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss, rewards of chosen, rewards of rejected) from per-token log-probabilities (2 B, T), mask (2 B, T) bool."""
    ### BEGIN SOLUTION
    answers = [logp.masked_fill(~mask, 0.0).sum(1) for logp in (policy, ref.detach())]  # (2 B,) each
    chosen, rejected = (beta * (answers[0] - answers[1])).chunk(2)  # (B,), (B,)
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()
    ### END SOLUTION


# %%
check.x04(dpo)

# %% [markdown]
# <details><summary>Hint 1</summary>First make four vectors (B,): log-probabilities of whole answers, of policy and reference, chosen and rejected. <code>chunk(2)</code> cuts the batch in halves.</details>
# <details><summary>Hint 2</summary><code>torch.where</code> or <code>masked_fill</code> removes what the mask excludes, -inf too; multiplying does not.</details>
# <details><summary>Hint 3</summary>The argument of the sigmoid is the difference of the two implicit rewards. <code>F.logsigmoid</code> of it, a minus sign, the mean.</details>

# %% tags=["demo"]
torch.manual_seed(0)
policy = torch.full((2, 4), -1.0, requires_grad=True)
for lift in (0.0, 1.0, 4.0):
    shifted = policy + lift * torch.tensor([[1.0], [-1.0]])
    loss, w, l = dpo(shifted, torch.full((2, 4), -1.0), torch.ones(2, 4, dtype=torch.bool), 0.5)
    pull = torch.autograd.grad(loss, policy)[0][0, 0].item()
    print(
        f"implicit rewards {w.item():+.1f} and {l.item():+.1f}: loss {loss.item():.4f}, pull on a chosen token {pull:+.4f}"
    )

# %% [markdown]
# The pull fades when the pair is won: that is the weight $\sigma(-h)$ of the lecture.
#
# ---
# ### X05. The group as critic   (2 of 5 · 15 minutes)
#
# GRPO draws `group` answers to each request and judges each against its group: the reward minus the group's mean, divided by the group's standard deviation plus `1e-4`. The rewards come flat, $(N,)$, the answers of one request next to each other. The standard deviation is the sample's (divide by `group - 1`), as in the lecture.
#
# A group whose rewards are all the same has advantage 0. With `scale=False` do not divide: [Dr. GRPO](https://arxiv.org/abs/2503.20783) argues that the division gives too much weight to requests that are nearly always or nearly never solved. Rewards may come as integers or bools (right or wrong): turn those into floats. Rewards that are floats keep their dtype. Raise a `ValueError` where `group` does not divide $N$, or is below 2.


# %%
def group_advantages(rewards: torch.Tensor, group: int, scale: bool = True) -> torch.Tensor:
    """Advantages within each group: (N,) -> (N,) float."""
    ### BEGIN SOLUTION
    if group < 2 or len(rewards) % group:
        raise ValueError(f"{len(rewards)} rewards do not make groups of {group}: take a divisor of 2 or more.")
    r = rewards if rewards.is_floating_point() else rewards.float()
    r = r.view(-1, group)  # (requests, group)
    centred = r - r.mean(1, keepdim=True)
    if scale:
        centred = centred / (r.std(1, keepdim=True) + 1e-4)
    return centred.flatten()
    ### END SOLUTION


# %%
check.x05(group_advantages)

# %% [markdown]
# <details><summary>Hint 1</summary><code>view(-1, group)</code> puts a group into each row. Means and deviations are then taken along dimension 1, with <code>keepdim=True</code>.</details>
# <details><summary>Hint 2</summary><code>torch.std</code> divides by n − 1 by itself. Integers and bools have no mean: make these floats first, where <code>rewards.is_floating_point()</code> is False.</details>
#
# What the division does: the advantage of a right answer, by how many of 8 are right.

# %% tags=["demo"]
solved = range(1, 8)
groups = [torch.tensor([1.0] * k + [0.0] * (8 - k)) for k in solved]
fig, ax = plt.subplots(figsize=(6, 2.8))
for scale, style in ((True, "o-"), (False, "s--")):
    ax.plot(
        solved, [group_advantages(r, 8, scale)[0] for r in groups], style, label="divided" if scale else "not divided"
    )
ax.set(xlabel="right answers among 8", ylabel="advantage of a right one", title="Divided, a rare success weighs most")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### X06. The doctor's round   (4 of 5 · 30 minutes)
#
# Four small policies were trained by REINFORCE, each with another setting. One run is healthy. The others have what every trainer meets: **collapsed entropy** (it says one thing only), **KL explosion** (it went where the reference never goes), **length hacking** (it earns by being long). A history is a dict of four lists, one number a step: `reward` (points), `kl` (nats an answer), `length` (tokens an answer), `entropy` (nats a
# token). The reward of every run rises, so it tells you nothing: that is the point. And the illnesses share symptoms: a collapsed policy, too, is far from its reference.
#
# Look at the four, then write `diagnose`. The check brings sixteen patients of its own, with other seeds and settings, fewer or more steps, and in another order. Return one of the four strings of `ILLNESSES`.

# %%
ILLNESSES = ("healthy", "entropy collapse", "KL explosion", "length hacking")
patients = check.clinic(seed=0)
fig, axes = plt.subplots(1, 4, figsize=(13, 2.8))
units = {"reward": "points", "kl": "nats an answer", "length": "tokens", "entropy": "nats a token"}
for ax, (name, unit) in zip(axes, units.items(), strict=True):
    for patient, style in zip(patients, ("-", "--", "-.", ":"), strict=True):
        ax.plot(patients[patient][name], style, label=f"patient {patient}")
    ax.set(xlabel="step", ylabel=unit, title=name)
axes[0].legend(fontsize=8)
plt.show()


# %%
def diagnose(history: dict[str, list[float]]) -> str:
    """What this run has, one of ILLNESSES; reward, kl, length and entropy are lists of one number a step."""
    ### BEGIN SOLUTION
    first = {name: sum(curve[:5]) / 5 for name, curve in history.items()}
    last = {name: sum(curve[-5:]) / 5 for name, curve in history.items()}
    if last["entropy"] < 0.3 * first["entropy"]:
        return "entropy collapse"  # before the KL: a collapsed policy is far from its reference too
    if last["length"] > 1.4 * first["length"]:
        return "length hacking"
    if last["kl"] > 12:
        return "KL explosion"
    return "healthy"
    ### END SOLUTION


# %%
check.x06(diagnose)

# %% [markdown]
# <details><summary>Hint 1</summary>Compare the end of each curve with its beginning, as means over a few steps: single steps are noisy. Which illness is the only one with its entropy near 0? With a length that grew?</details>
# <details><summary>Hint 2</summary>The order of the questions matters. Three of the four have a larger KL than the healthy one, so ask for the KL last.</details>
# <details><summary>Hint 3</summary>Entropy at the end below a third of its start: collapse. Else length at the end far above its start: length hacking. Else a KL above a dozen nats: explosion. Else healthy.</details>
#
# The round, with your own diagnosis:

# %% tags=["demo"]
for patient, history in patients.items():
    print(f"patient {patient}: {diagnose(history)}")

# %% [markdown]
# What would you prescribe? A collapsed policy: more answers a step, a smaller rate, an entropy bonus, or the KL back. A KL explosion: a larger β, or a reward that does not point into the void. Length hacking: a price for length, or a gate.
#
# ---
# ### Invent your own
#
# Take lecture 21's names and write a reward with a loophole that you find hard to see. Give the rule to somebody else, train without KL, and let them explain the samples. Then close the loophole, and look for the next: there is always one.
