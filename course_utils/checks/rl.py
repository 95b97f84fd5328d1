"""The checks of exercises/21_rl_dpo.ipynb."""

import copy
import math
import random
from functools import cache

import torch
import torch.nn.functional as F

from . import same, task, wrong

ILLNESSES = ("healthy", "entropy collapse", "KL explosion", "length hacking")


def _unchanged(before: list, after: list, names: list[str]) -> None:
    """Stop if an input was changed in place."""
    for old, new, name in zip(before, after, names, strict=True):
        if isinstance(old, torch.Tensor) and not torch.equal(torch.nan_to_num(old), torch.nan_to_num(new.detach())):
            wrong(f"your function has changed `{name}` in place: make a new tensor.")


def _kept(values: list) -> list:
    return [v.detach().clone() if isinstance(v, torch.Tensor) else v for v in values]


def _tensor(got, what: str) -> torch.Tensor:
    if got is None:
        wrong(f"{what} is None: does your function return its result?")
    if not isinstance(got, torch.Tensor):
        wrong(f"{what} should be a tensor, but it is a {type(got).__name__}.")
    return got


# --- X01: a bandit's policy gradient ----------------------------------------------------------------------------------


@task("X01", "write `policy_gradient`")
def x01(policy_gradient):
    for K, n, b, dtype in ((4, 7, 0.0, torch.float64), (10, 3, 2.5, torch.float64), (3, 50, -1.0, torch.float32)):
        scores, rewards = torch.randn(K, dtype=dtype), 3 + torch.randn(n, dtype=dtype)
        arms = torch.randint(K - 1, (n,))  # the last arm is never pulled
        given = [scores, arms, rewards]
        before = _kept(given)
        got = _tensor(policy_gradient(scores, arms, rewards, b), "the gradient")
        _unchanged(before, given, ["scores", "arms", "rewards"])
        if scores.requires_grad:
            wrong("your function has changed `scores`: it asks for a gradient now. Work on `scores.detach().clone()`.")
        leaf = scores.clone().requires_grad_()
        surrogate = [(r.item() - b) * leaf.log_softmax(0)[a] for a, r in zip(arms.tolist(), rewards, strict=True)]
        (want,) = torch.autograd.grad(sum(surrogate) / n, leaf)
        p = scores.softmax(0)
        hot = F.one_hot(arms, K).to(dtype)
        adv, once = (rewards - b)[:, None], torch.zeros_like(scores)
        once[arms] += rewards - b
        mistakes = {
            "the sign is wrong: this is the gradient of a loss, and following it earns less.": -want,
            "you took the sum over the pulls: return their mean.": want * n,
            "the baseline is missing.": (rewards[:, None] * (hot - p)).mean(0),
            "add nothing: the baseline is subtracted from the reward.": ((rewards + b)[:, None] * (hot - p)).mean(0),
            "the -p is missing: log p_a depends on all scores, through the softmax's denominator.": (adv * hot).mean(0),
            "this is the gradient of p_a, not of log p_a: a factor p_a is too much.": (
                adv * p[arms][:, None] * (hot - p)
            ).mean(0),
            "you divided by p_a: the pulls are already drawn from p, so nothing has to be corrected.": (
                adv / p[arms][:, None] * (hot - p)
            ).mean(0),
            "that comes out with the mean reward as the baseline, and with p as the shares of the pulls: take "
            "`baseline`, and the softmax of `scores`.": (adv * (hot - hot.mean(0))).mean(0),
            "an arm that was pulled twice counts once: `g[arms] += ...` adds only one of its pulls.": once / n
            - adv.mean() * p,
            "p are probabilities: you took their logarithms.": (adv * (hot - p.log())).mean(0),
            "the policy is a softmax of `scores`: you took an even one.": (adv * (hot - 1 / K)).mean(0),
            "an arm's score itself is no probability: take the softmax of `scores` first.": (adv * (hot - scores)).mean(
                0
            ),
        }
        tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-6}
        if got.shape == (n, K):
            wrong("you return one row a pull: take the mean over the pulls, (K,).")
        if got.shape == want.shape and got.dtype != dtype:
            wrong(f"the gradient should have the dtype of `scores`, {dtype}, but it has {got.dtype}.")
        same("the gradient", got, want, mistakes, **tolerance)
    return "three bandits, against autograd."


# --- X02: Bradley and Terry -------------------------------------------------------------------------------------------


def _nll(lead: torch.Tensor) -> torch.Tensor:
    """-log σ, with the larger exponential taken out."""
    return lead.neg().clamp(min=0) + torch.log1p((-lead.abs()).exp())


@task("X02", "write `preference_loss`")
def x02(preference_loss):
    for B, margin in ((1, None), (6, None), (5, torch.rand(5, dtype=torch.float64) * 2)):
        chosen, rejected = torch.randn(2, B, dtype=torch.float64).unbind(0)
        chosen, rejected = chosen.clone().requires_grad_(), rejected.clone().requires_grad_()
        given = [chosen, rejected, margin]
        before = _kept(given)
        arguments = (chosen, rejected) if margin is None else (chosen, rejected, margin)
        got = _tensor(preference_loss(*arguments), "the loss")
        _unchanged(before, given, ["chosen", "rejected", "margin"])
        m = 0.0 if margin is None else margin
        lead = (chosen - rejected).detach()
        want = _nll(lead - m).mean()
        mistakes = {
            "chosen and rejected are swapped: the loss must fall when the chosen one's score rises.": _nll(
                -lead - m
            ).mean(),
            "you took the sum over the pairs: return the mean.": _nll(lead - m).sum(),
            "the minus sign is missing: a log-probability is below 0, a loss is not.": -want,
            "the margin is missing.": _nll(lead).mean(),
            "the margin is subtracted from the difference, so that it must be won by more: you added it.": _nll(
                lead + m
            ).mean(),
            "the logarithm is missing: -σ is no log-likelihood.": -(lead - m).sigmoid().mean(),
            "the logarithm is missing: 1 - σ is no log-likelihood.": 1 - (lead - m).sigmoid().mean(),
            "the sigmoid is missing: this is the difference itself.": -(lead - m).mean(),
            "take -log σ of each pair first, then the mean: you took the mean difference first.": _nll(
                (lead - m).mean()
            ),
        }
        if got.shape == (B,) and B > 1:
            wrong("you return one loss a pair: take their mean.")
        same("the loss", got, want, mistakes, rtol=1e-9, atol=1e-12)
        if not got.requires_grad:
            wrong("no gradient flows through the loss: keep it a tensor all the way, without .item() or .detach().")
        grads = torch.autograd.grad(got, [chosen, rejected], allow_unused=True)
        pull = (m - lead).sigmoid() / B
        for name, grad, slope in zip(("chosen", "rejected"), grads, (-pull, pull), strict=True):
            if grad is None:
                wrong(f"the {name} scores get no gradient: both come from the reward model, so detach neither.")
            same(f"the gradient with respect to the {name} scores", grad, slope, rtol=1e-8, atol=1e-12)
    for lead in (-1000.0, 1000.0):
        score = torch.tensor([lead], requires_grad=True)
        got = _tensor(preference_loss(score, torch.zeros(1)), "the loss")
        if not got.isfinite():
            wrong(
                f"for a difference of {lead:.0f} the loss is {got.item()}: σ becomes 0 before its logarithm is taken."
            )
        same(f"the loss at a difference of {lead:.0f}", got, max(-lead, 0.0), atol=1e-6)
        (grad,) = torch.autograd.grad(got, score)
        same(f"the gradient at a difference of {lead:.0f}", grad, [-1.0 if lead < 0 else 0.0], atol=1e-6)
    return "values, gradients, a margin, and differences of a thousand."


# --- X03: GAE ---------------------------------------------------------------------------------------------------------


def _gae(rewards, values, mask, gamma: float, lam: float, bug: str = "") -> torch.Tensor:
    """The closed form, a double sum for each token; `bug` makes a usual mistake."""
    A = torch.zeros_like(values)
    for b in range(len(values)):
        at = mask[b].nonzero()[:, 0].tolist()
        end = at[-1] + 1 if at else 0

        def value(t, b=b, end=end):
            inside = t < (values.shape[1] if bug == "padding" else end)
            return values[b, t].item() if inside else 0.0

        for t in range(values.shape[1]) if bug == "mask" else at:
            stop = values.shape[1] if bug in ("mask", "padding") else end
            for k in range(t, stop):
                delta = rewards[b, k].item() + (1 if bug == "gamma in delta" else gamma) * value(k + 1) - value(k)
                A[b, t] += ((lam if bug == "gamma" else gamma * lam) ** (k - t)) * delta
            if bug == "returns":
                A[b, t] += value(t)
    return A


@task("X03", "write `advantages`")
def x03(advantages):
    cases = [
        ([(0, 5)], 5, 1.0, 0.95),
        ([(0, 6), (2, 5), (3, 4), (1, 6)], 6, 0.9, 0.8),
        ([(1, 3), (4, 7)], 9, 0.97, 0.5),
        ([(0, 4), (1, 2)], 4, 0.9, 0.0),
        ([(0, 4), (1, 3)], 5, 0.9, 1.0),
        ([(2, 3)], 4, 0.5, 0.5),
    ]
    for spans, T, gamma, lam in cases:
        rewards, values = torch.randn(2, len(spans), T, dtype=torch.float64).unbind(0)
        mask = torch.tensor([[first <= t < end for t in range(T)] for first, end in spans])
        given = [rewards, values, mask]
        before = _kept(given)
        got = _tensor(advantages(rewards, values, mask, gamma, lam), "the advantages")
        _unchanged(before, given, ["rewards", "values", "mask"])
        want = _gae(rewards, values, mask, gamma, lam)
        unmasked = _gae(rewards, values, mask, gamma, lam, "mask")
        mistakes = {
            "the mask is ignored.": unmasked,
            "the critic's numbers in the padding reach the answer: after its last token the next value and the next "
            "advantage are 0.": _gae(rewards, values, mask, gamma, lam, "padding"),
            "you masked only the result: rewards and values after the answer have already flowed in.": unmasked * mask,
            "these are the returns, A + V: return the advantages.": _gae(rewards, values, mask, gamma, lam, "returns"),
            "γ is missing before A of the next token: the factor is γ λ.": _gae(
                rewards, values, mask, gamma, lam, "gamma"
            ),
            "γ is missing before the next value.": _gae(rewards, values, mask, gamma, lam, "gamma in delta"),
            "you return δ: what comes later, weighted by γ λ, is missing.": _gae(rewards, values, mask, gamma, 0.0),
            "λ is missing: this is the sum of all δ to come, discounted by γ alone.": _gae(
                rewards, values, mask, gamma, 1.0
            ),
            "the critic is missing: this is the reward to come.": _gae(rewards, 0 * values, mask, gamma, 1.0),
            "V is missing: δ compares with what the critic expected.": _gae(rewards, 0 * values, mask, gamma, lam),
        }
        if got.shape == want.shape and got.dtype != values.dtype:
            wrong(f"the advantages should keep the dtype of the values, {values.dtype}, but they have {got.dtype}.")
        same("the advantages", got, want, mistakes, rtol=1e-9, atol=1e-12)
    for nonsense in (float("inf"), float("nan")):
        rewards, values = torch.randn(2, 1, 5).unbind(0)
        mask = torch.tensor([[False, True, True, False, False]])
        want = _gae(rewards, values, mask, 0.9, 0.9)
        values = torch.where(mask, values, nonsense)
        got = _tensor(advantages(rewards, values, mask, 0.9, 0.9), "the advantages")
        if not got.isfinite().all():
            wrong(
                f"with {nonsense} as the critic's value in the padding the advantages are not finite: 0 times "
                f"{nonsense} is "
                "not 0, so choose with torch.where instead of multiplying."
            )
        same("the advantages", got, want, rtol=1e-4, atol=1e-6)
    return "six batches with unequal rows against the double sum, and padding of any content."


# --- X04: DPO ---------------------------------------------------------------------------------------------------------


def _sums(logp, mask) -> torch.Tensor:
    return torch.stack(
        [sum((row[t] for t in range(len(row)) if m[t]), row.new_zeros(())) for row, m in zip(logp, mask, strict=True)]
    )


@task("X04", "write `dpo`")
def x04(dpo):
    for B, T, beta in ((1, 4, 0.5), (3, 8, 0.1), (5, 6, 2.0)):
        policy, ref = (-3 * torch.rand(2 * B, T, dtype=torch.float64) for _ in range(2))
        policy.requires_grad_()
        ref.requires_grad_()
        start = torch.randint(1, T - 1, (B, 1)).repeat(2, 1)
        length = torch.randint(1, T, (2 * B, 1))
        length[0], length[B] = 1, T  # surely of unequal length
        at = torch.arange(T)
        mask = (at >= start) & (at < start + length)
        given = [policy, ref, mask]
        before = _kept(given)
        answer = dpo(policy, ref, mask, beta)
        if answer is None:
            wrong("your function returns None: return (loss, rewards of chosen, rewards of rejected).")
        if not isinstance(answer, tuple) or len(answer) != 3:
            wrong("return three things: (loss, rewards of chosen, rewards of rejected).")
        loss, won, lost = (
            _tensor(part, what)
            for part, what in zip(answer, ("the loss", "the first reward", "the second"), strict=True)
        )
        _unchanged(before, given, ["policy", "ref", "mask"])
        p, q = _sums(policy.detach(), mask), _sums(ref.detach(), mask)
        h = beta * (p - q)
        want = _nll(h[:B] - h[B:]).mean()
        n = mask.sum(1)
        mean = beta * (p / n - q / n)
        everything = beta * (policy - ref).detach().sum(1)
        twisted = beta * (p[0::2] - q[0::2] - p[1::2] + q[1::2])
        mistakes = {
            "the reference is missing: DPO compares log-ratios.": _nll(beta * (p[:B] - p[B:])).mean(),
            "chosen and rejected are swapped: the first B rows are the chosen ones.": _nll(h[B:] - h[:B]).mean(),
            "you took the mean over an answer's tokens: DPO needs the sum.": _nll(mean[:B] - mean[B:]).mean(),
            "the mask is ignored: request and padding count too.": _nll(everything[:B] - everything[B:]).mean(),
            "β is missing.": _nll((h[:B] - h[B:]) / beta).mean(),
            "β stands twice in the loss: the implicit rewards hold it already.": _nll(beta * (h[:B] - h[B:])).mean(),
            "β belongs inside the sigmoid, not before the loss.": beta * _nll((h[:B] - h[B:]) / beta).mean(),
            "chosen and rejected stand in two halves, not in turns.": _nll(twisted).mean(),
            "you took the sum over the pairs: return the mean.": _nll(h[:B] - h[B:]).sum(),
            "the minus sign is missing.": -want,
            "the reference's sign is wrong: it is subtracted from the policy.": _nll(
                beta * ((p + q)[:B] - (p + q)[B:])
            ).mean(),
            "the logarithm is missing.": -(h[:B] - h[B:]).sigmoid().mean(),
        }
        if loss.shape == (B,) and B > 1:
            wrong("you return one loss a pair: take their mean.")
        same("the loss", loss, want, mistakes, rtol=1e-9, atol=1e-12)
        for name, got, part in (("chosen", won, h[:B]), ("rejected", lost, h[B:])):
            usual = {
                "β is missing in the implicit rewards.": part / beta,
                "the implicit rewards compare with the reference: subtract its log-probabilities.": beta
                * (p[:B] if name == "chosen" else p[B:]),
                "the two implicit rewards are in the wrong order: chosen first.": h[B:] if name == "chosen" else h[:B],
            }
            same(f"the implicit rewards of the {name} answers", got, part, usual, rtol=1e-9, atol=1e-12)
            if got.requires_grad:
                wrong("the implicit rewards are for looking at: detach them.")
        if not loss.requires_grad:
            wrong("no gradient flows from the loss to `policy`: where did you detach it?")
        grads = torch.autograd.grad(loss, [policy, ref], allow_unused=True)
        if grads[1] is not None and grads[1].abs().max() > 0:
            wrong("the reference gets a gradient: it is a constant, so detach it.")
        want_grad = mask * (beta * (h[B:] - h[:B]).sigmoid() / B).repeat(2)[:, None]
        want_grad[:B] *= -1
        same("the gradient with respect to policy", grads[0], want_grad, rtol=1e-8, atol=1e-12)
    mask = torch.tensor([[False, True, True, False], [False, True, False, False]])
    policy, ref = torch.full((2, 4), -1.0), torch.full((2, 4), -1.5)
    for table in (policy, ref):
        table[~mask] = float("-inf")
    loss = dpo(policy.requires_grad_(), ref, mask, 1.0)[0]
    if not loss.isfinite():
        wrong(
            "with -inf in the padding the loss is nan: 0 times -inf is not 0, so take it out "
            "with torch.where or masked_fill."
        )
    same("the loss with -inf in the padding", loss, math.log1p(math.exp(-0.5)), rtol=1e-5)
    policy = torch.tensor([[-2000.0], [-1.0]], requires_grad=True)
    loss = dpo(policy, torch.full((2, 1), -1.0), torch.ones(2, 1, dtype=torch.bool), 1.0)[0]
    if not loss.isfinite():
        wrong("for a margin of -1999 the loss is inf: take the logarithm and the sigmoid at once, with F.logsigmoid.")
    same("the loss at a margin of -1999", loss, 1999.0, rtol=1e-5)
    return "values, implicit rewards and gradients on unequal answers, -inf in the padding, margins of thousands."


# --- X05: GRPO --------------------------------------------------------------------------------------------------------


def _group(rewards: list[float], group: int, scale: bool, ddof: int = 1, eps: float = 1e-4) -> torch.Tensor:
    out = []
    for first in range(0, len(rewards), group):
        part = rewards[first : first + group]
        mean = sum(part) / group
        std = math.sqrt(sum((x - mean) ** 2 for x in part) / (group - ddof))
        out += [(x - mean) / (std + eps) if scale else x - mean for x in part]
    return torch.tensor(out, dtype=torch.float64)


@task("X05", "write `group_advantages`")
def x05(group_advantages):
    for requests, group in ((3, 4), (1, 6), (5, 2), (4, 4)):
        for scale in (True, False):
            r = (5 * torch.randn(requests, 1) + torch.randn(requests, group)).double().flatten()
            before = r.clone()
            got = _tensor(
                group_advantages(r, group) if scale else group_advantages(r, group, scale=False), "the advantages"
            )
            _unchanged([before], [r], ["rewards"])
            want = _group(r.tolist(), group, scale)
            turned = r.view(group, requests)  # answers of one request dealt out in turns
            dealt = (turned - turned.mean(0)) / ((turned.std(0) + 1e-4) if scale else 1)
            rows = r.view(-1, group)
            mistakes = {
                "the mean is taken over the whole batch: each group has its own.": (r - r.mean())
                / ((r.std() + 1e-4) if scale else 1),
                "the mean is the group's, but the deviation is the whole batch's.": _group(r.tolist(), group, False)
                / (r.std() + 1e-4),
                "you divided by the deviation although scale=False.": _group(r.tolist(), group, True),
                "the division by the deviation is missing.": _group(r.tolist(), group, False),
                "the deviation is the sample's: divide by group - 1, not by group.": _group(
                    r.tolist(), group, scale, 0
                ),
                "you divided by the variance: the deviation is its square root.": _group(r.tolist(), group, False)
                / (rows.var(1, keepdim=True) + 1e-4).expand_as(rows).flatten(),
                "the 1e-4 is missing in the divisor.": _group(r.tolist(), group, scale, eps=0.0),
                "the mean is missing: subtract it before you divide.": (
                    rows / (rows.std(1, keepdim=True) + 1e-4)
                ).flatten(),
                "a group's answers stand next to each other: view(-1, group), not view(group, -1).": dealt.flatten(),
                "the sign is wrong: better than the mean is positive.": -want,
            }
            if got.ndim == 2:
                wrong(f"the advantages should be flat, (N,), as the rewards came: their shape is {tuple(got.shape)}.")
            if got.dtype != r.dtype:
                wrong(f"rewards that are floats keep their dtype, {r.dtype}: your advantages are {got.dtype}.")
            same("the advantages", got, want, mistakes, rtol=1e-7, atol=1e-9)
    for r in (torch.tensor([1, 0, 0, 1, 1, 1]), torch.tensor([True, False, False, True, True, True])):
        got = _tensor(group_advantages(r, 3), f"the advantages of {r.dtype} rewards")
        if not got.is_floating_point():
            wrong(f"the advantages of {r.dtype} rewards should be floats, but they are {got.dtype}.")
        if not got.isfinite().all():
            wrong("a group of equal rewards gives nan: add 1e-4 to the deviation.")
        same(f"the advantages of {r.dtype} rewards", got, _group(r.float().tolist(), 3, True), rtol=1e-4, atol=1e-5)
    for n, group in ((7, 3), (4, 1), (4, 8), (4, 0)):
        try:
            group_advantages(torch.randn(n), group)
        except ValueError:
            continue
        except Exception as problem:
            wrong(f"{n} rewards in groups of {group} should raise a ValueError, but raise {type(problem).__name__}.")
        wrong(f"{n} rewards cannot be judged in groups of {group}: raise a ValueError.")
    return "groups of 2 to 6, with the division and without, right-or-wrong rewards, and bad sizes."


# --- X06: the clinic --------------------------------------------------------------------------------------------------

PLACES, CHARACTERS = 14, 27  # the tiny policy: one table of scores, a row for each place; character 0 ends a word
RARE = slice(21, CHARACTERS)  # what the reference hardly ever writes


def _reference() -> torch.Tensor:
    """Scores (PLACES, CHARACTERS) of a policy that writes words of about five letters."""
    g = torch.Generator().manual_seed(21)
    scores = 1.2 * torch.randn(1, CHARACTERS, generator=g) + 0.3 * torch.randn(PLACES, CHARACTERS, generator=g)
    scores[:, RARE] = -1.5
    stop = 0.9 * (torch.arange(PLACES) - 5.0)  # log-odds of the end
    scores[:, 0] = scores[:, 1:].logsumexp(1) + stop
    return scores


@cache
def _patient(illness: str, seed: int, strength: float, steps: int = 200, batch: int = 96) -> dict[str, list[float]]:
    """Train the tiny policy by REINFORCE with a setting that makes it ill, and return its history."""
    g = torch.Generator().manual_seed(seed)
    reference = _reference()
    ref_logp, theta = reference.log_softmax(1), reference.clone().requires_grad_()
    rate, beta = {
        "healthy": (0.03, 0.3),
        "entropy collapse": (0.2, 0.0),
        "KL explosion": (0.05, 0.02),
        "length hacking": (0.05, 0.05),
    }[illness]
    optimizer = torch.optim.Adam([theta], rate * strength)
    favourites = torch.randperm(20, generator=g)[:9] + 1
    good = torch.zeros(CHARACTERS)
    if illness == "KL explosion":
        good[RARE] = 1.0
    else:
        good[favourites[:1] if illness == "entropy collapse" else favourites] = 1.0
    history = {"reward": [], "kl": [], "length": [], "entropy": []}
    for _ in range(steps):
        logp = theta.log_softmax(1)
        p = logp.detach().exp()
        drawn = torch.multinomial(p, batch, replacement=True, generator=g).T  # (B, PLACES)
        mask = ((drawn == 0).cumsum(1) - (drawn == 0).long() == 0).float()
        letters = mask * (drawn != 0)
        n = letters.sum(1)
        share = (good[drawn] * letters).sum(1) / n.clamp(min=1)
        if illness == "length hacking":
            r = 0.5 * n + 0.5 * share
        else:
            r = 3 * share - (1.0 if illness == "entropy collapse" else 0.3) * (n - 6).abs()
        at = torch.arange(PLACES)
        drift = ((logp.detach() - ref_logp)[at, drawn] * mask).sum(1)
        earned = r - beta * drift
        loss = -((earned - earned.mean()) * (logp[at, drawn] * mask).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        entropy = -(p * logp.detach()).sum(1)  # (PLACES,)
        history["reward"].append(r.mean().item())
        history["kl"].append(drift.mean().item())
        history["length"].append(mask.sum(1).mean().item())
        history["entropy"].append(((entropy * mask).sum() / mask.sum()).item())
    return history


def clinic(seed: int) -> dict[str, dict[str, list[float]]]:
    """Four runs in an order of their own, one of each of ILLNESSES: {"A": history, "B": ..., "C": ..., "D": ...}."""
    order = random.Random(seed + 3).sample(ILLNESSES, 4)
    return {
        name: copy.deepcopy(_patient(illness, 10 * seed + n, 1.0))
        for n, (name, illness) in enumerate(zip("ABCD", order, strict=True))
    }


@task("X06", "write `diagnose`")
def x06(diagnose):
    cases = [
        (illness, _patient(illness, 1000 + 17 * n, strength, steps))
        for n, (strength, steps) in enumerate(((1.0, 200), (0.85, 250), (1.15, 180), (1.0, 300)))
        for illness in ILLNESSES
    ]
    random.shuffle(cases)
    missed: dict[tuple[str, str], int] = {}
    for illness, history in cases:
        before, history = history, copy.deepcopy(history)
        got = diagnose(history)
        if got is None:
            wrong("the diagnosis is None: does your function return one of ILLNESSES for every history?")
        if not isinstance(got, str) or got not in ILLNESSES:
            wrong(f"the diagnosis {got!r:.60} is none of {', '.join(map(repr, ILLNESSES))}.")
        if history != before:
            wrong("your function has changed the history: work on copies.")
        if got != illness:
            missed[illness, got] = missed.get((illness, got), 0) + 1
    if not missed:
        return "sixteen patients, all diagnosed."
    advice = {
        (
            "entropy collapse",
            "KL explosion",
        ): "a policy that says one thing only is far from its reference too; ask for the entropy first",
        ("length hacking", "KL explosion"): "longer answers add up to more KL; ask for the length first",
        ("KL explosion", "length hacking"): "its answers grew by a letter or two only; compare with the healthy run's",
        ("healthy", "KL explosion"): "some drift is what training is for; where do the KLs of the ill runs lie?",
        ("healthy", "length hacking"): "its answers grew a little; by how much in the run that hacks?",
        ("healthy", "entropy collapse"): "the entropy of every trained policy falls; how far in the collapsed one?",
        (
            "KL explosion",
            "entropy collapse",
        ): "its entropy fell, but it still has many words; how low is the collapsed one?",
        (
            "length hacking",
            "entropy collapse",
        ): "its entropy fell, but it still has many words; how low is the collapsed one?",
        ("KL explosion", "healthy"): "it went where the reference never goes: look at the KL",
        ("length hacking", "healthy"): "compare the lengths at the end with those at the start",
        ("entropy collapse", "healthy"): "look at its entropy at the end",
    }
    (illness, got), count = max(missed.items(), key=lambda item: item[1])
    hint = advice.get((illness, got), "which curve tells these two apart?")
    wrong(
        f"{sum(missed.values())} of 16 patients have another illness: {count} with {illness} you call {got} ({hint})."
        if illness != "healthy"
        else f"{sum(missed.values())} of 16 patients have something else: {count} healthy you call {got} ({hint})."
    )
