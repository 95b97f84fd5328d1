"""From notebooks/21_rl_dpo.ipynb, 4. The log-probability of an answer; 8. A model of the reward; 9. PPO; 11. DPO: no
reward model, no rollouts; 13. GRPO: the group is the critic.

Made by `course build` from the cells marked `#| export rl`: edit sources/lectures/21_rl_dpo.py.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.lectures.gpt import GPT


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


def grpo_advantages(rewards: torch.Tensor, eps: float = 1e-4) -> torch.Tensor:
    """How much better each answer is than its group, in its group's spread: (requests, group) -> the same shape.

    The spread is the sample standard deviation (divided by group - 1); a group of equal rewards teaches nothing: 0.
    Source: Shao et al. (2024), https://arxiv.org/abs/2402.03300, section 4.1.2.
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (rewards.std(1, keepdim=True) + eps)
