# Wrong answers to exercises/21_rl_dpo.ipynb, each to be rejected in the words of its header.


# %% x01 | the sign is wrong
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return -((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - p)).mean(0)


# %% x01 | return their mean
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - p)).sum(0)


# %% x01 | the baseline is missing
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return (rewards[:, None] * (F.one_hot(arms, len(scores)) - p)).mean(0)


# %% x01 | the -p is missing
def policy_gradient(scores, arms, rewards, baseline):
    return ((rewards - baseline)[:, None] * F.one_hot(arms, len(scores))).mean(0)


# %% x01 | not of log p_a
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return (((rewards - baseline) * p[arms])[:, None] * (F.one_hot(arms, len(scores)) - p)).mean(0)


# %% x01 | already drawn from p
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return (((rewards - baseline) / p[arms])[:, None] * (F.one_hot(arms, len(scores)) - p)).mean(0)


# %% x01 | shares of the pulls
def policy_gradient(scores, arms, rewards, baseline):
    hot = F.one_hot(arms, len(scores)).to(scores.dtype)
    return ((rewards - baseline)[:, None] * (hot - hot.mean(0))).mean(0)


# %% x01 | take the softmax of
def policy_gradient(scores, arms, rewards, baseline):
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - scores)).mean(0)


# %% x01 | you took an even one
def policy_gradient(scores, arms, rewards, baseline):
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - 1 / len(scores))).mean(0)


# %% x01 | one row a pull
def policy_gradient(scores, arms, rewards, baseline):
    return (rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - scores.softmax(0))


# %% x01 | should have shape
def policy_gradient(scores, arms, rewards, baseline):
    K = int(arms.max()) + 1  # the last arm was never pulled
    p = scores.softmax(0)[:K]
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, K) - p)).mean(0)


# %% x01 | in place
def policy_gradient(scores, arms, rewards, baseline):
    rewards -= baseline
    return (rewards[:, None] * (F.one_hot(arms, len(scores)) - scores.softmax(0))).mean(0)


# %% x01 | is None
def policy_gradient(scores, arms, rewards, baseline):
    print(((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - scores.softmax(0))).mean(0))


# %% x01 | the gradient
def policy_gradient(scores, arms, rewards, baseline):
    return torch.zeros_like(scores)


# %% x01 | dtype
def policy_gradient(scores, arms, rewards, baseline):
    p = scores.softmax(0)
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - p)).mean(0).double()


# %% x01 | asks for a gradient now
def policy_gradient(scores, arms, rewards, baseline):
    earned = ((rewards - baseline) * scores.requires_grad_().log_softmax(0)[arms]).mean()
    return torch.autograd.grad(earned, scores)[0]


# %% x01 | the mean reward as the baseline
def policy_gradient(scores, arms, rewards, baseline):
    hot = F.one_hot(arms, len(scores)) - scores.softmax(0)
    return ((rewards - rewards.mean())[:, None] * hot).mean(0)


# %% x01 | pulled twice counts once
def policy_gradient(scores, arms, rewards, baseline):
    gradient = torch.zeros_like(scores)
    gradient[arms] += rewards - baseline
    return gradient / len(arms) - (rewards - baseline).mean() * scores.softmax(0)


# %% x01 | you took their logarithms
def policy_gradient(scores, arms, rewards, baseline):
    return ((rewards - baseline)[:, None] * (F.one_hot(arms, len(scores)) - scores.log_softmax(0))).mean(0)


# %% x02 | are swapped
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -F.logsigmoid(rejected - chosen - m).mean()


# %% x02 | return the mean
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -F.logsigmoid(chosen - rejected - m).sum()


# %% x02 | the minus sign is missing
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return F.logsigmoid(chosen - rejected - m).mean()


# %% x02 | the margin is missing
def preference_loss(chosen, rejected, margin=None):
    return -F.logsigmoid(chosen - rejected).mean()


# %% x02 | you added it
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -F.logsigmoid(chosen - rejected + m).mean()


# %% x02 | the logarithm is missing
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -torch.sigmoid(chosen - rejected - m).mean()


# %% x02 | you took the mean difference first
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -F.logsigmoid((chosen - rejected - m).mean())


# %% x02 | before its logarithm is taken
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -torch.sigmoid(chosen - rejected - m).log().mean()


# %% x02 | before its logarithm is taken
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return torch.log(1 + torch.exp(-(chosen - rejected - m))).mean()


# %% x02 | difference of -1000
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -(torch.sigmoid(chosen - rejected - m) + 1e-12).log().mean()


# %% x02 | the loss should have shape ()
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return -F.logsigmoid(chosen - rejected - m)


# %% x02 | no gradient flows
def preference_loss(chosen, rejected, margin=None):
    m = 0 if margin is None else margin
    return torch.tensor(-F.logsigmoid(chosen - rejected - m).mean().item(), dtype=torch.float64)


# %% x02 | is None
def preference_loss(chosen, rejected, margin=None):
    print(-F.logsigmoid(chosen - rejected).mean())


# %% x02 | in place
def preference_loss(chosen, rejected, margin=None):
    with torch.no_grad():
        chosen -= 0 if margin is None else margin
        chosen += 1
    return -F.logsigmoid(chosen - rejected - 1).mean()


# %% x02 | the rejected scores get no gradient
def preference_loss(chosen, rejected, margin=None):
    lead = chosen - rejected.detach()
    return -F.logsigmoid(lead if margin is None else lead - margin).mean()


# %% x03 | the advantages is off
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), 0, 0
    for t in reversed(range(values.shape[1])):
        ahead = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead
        A[:, t], after = ahead, values[:, t]
    return A


# %% x03 | critic's numbers in the padding
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), 0, 0
    for t in reversed(range(values.shape[1])):
        ahead = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead
        A[:, t], after = ahead, values[:, t]
    return A * mask


# %% x03 | these are the returns
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        ahead = torch.where(mask[:, t], delta + gamma * lam * ahead, 0.0)
        after = torch.where(mask[:, t], values[:, t], 0.0)
        A[:, t] = ahead + after
    return A


# %% x03 | γ is missing before A
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        A[:, t] = ahead = torch.where(mask[:, t], delta + lam * ahead, 0.0)
        after = torch.where(mask[:, t], values[:, t], 0.0)
    return A


# %% x03 | γ is missing before the next value
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + after - values[:, t]
        A[:, t] = ahead = torch.where(mask[:, t], delta + gamma * lam * ahead, 0.0)
        after = torch.where(mask[:, t], values[:, t], 0.0)
    return A


# %% x03 | you return δ
def advantages(rewards, values, mask, gamma, lam):
    masked = values * mask
    after = torch.cat([masked[:, 1:], torch.zeros_like(values[:, :1])], 1)
    return torch.where(mask, rewards + gamma * after - values, 0.0)


# %% x03 | λ is missing
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        A[:, t] = ahead = torch.where(mask[:, t], delta + gamma * ahead, 0.0)
        after = torch.where(mask[:, t], values[:, t], 0.0)
    return A


# %% x03 | the critic is missing
def advantages(rewards, values, mask, gamma, lam):
    A, ahead = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        A[:, t] = ahead = torch.where(mask[:, t], rewards[:, t] + gamma * ahead, 0.0)
    return A


# %% x03 | reach the answer
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), 0, 0
    for t in reversed(range(values.shape[1])):
        ahead = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead
        A[:, t], after = torch.where(mask[:, t], ahead, 0.0), values[:, t]
    return A


# %% x03 | 0 times
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros_like(values), 0, 0
    for t in reversed(range(values.shape[1])):
        ahead = (rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead) * mask[:, t]
        A[:, t], after = ahead, values[:, t] * mask[:, t]
    return A


# %% x03 | in place
def advantages(rewards, values, mask, gamma, lam):
    values *= mask
    A, ahead, after = torch.zeros_like(values), 0, 0
    for t in reversed(range(values.shape[1])):
        ahead = (rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead) * mask[:, t]
        A[:, t], after = ahead, values[:, t]
    return A


# %% x03 | is None
def advantages(rewards, values, mask, gamma, lam):
    print(torch.zeros_like(values))


# %% x03 | should keep the dtype
def advantages(rewards, values, mask, gamma, lam):
    A, ahead, after = torch.zeros(values.shape), torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        A[:, t] = ahead = torch.where(mask[:, t], delta + gamma * lam * ahead, 0.0)
        after = torch.where(mask[:, t], values[:, t], 0.0)
    return A


# %% x03 | the advantages
def advantages(rewards, values, mask, gamma, lam):
    return torch.zeros_like(values)


# %% x04 | the reference is missing
def dpo(policy, ref, mask, beta):
    p = policy.masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * p).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | are swapped
def dpo(policy, ref, mask, beta):
    h = beta * (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1)
    l, w = h.chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | DPO needs the sum
def dpo(policy, ref, mask, beta):
    h = beta * (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1) / mask.sum(1)
    w, l = h.chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | the mask is ignored
def dpo(policy, ref, mask, beta):
    w, l = (beta * (policy - ref.detach()).sum(1)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | β is missing
def dpo(policy, ref, mask, beta):
    w, l = (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | inside the sigmoid
def dpo(policy, ref, mask, beta):
    w, l = (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1).chunk(2)
    return -beta * F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | stand in two halves
def dpo(policy, ref, mask, beta):
    h = beta * (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1)
    w, l = h[0::2], h[1::2]
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | the loss should have shape ()
def dpo(policy, ref, mask, beta):
    w, l = (beta * (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1)).chunk(2)
    return -F.logsigmoid(w - l), w.detach(), l.detach()


# %% x04 | the minus sign is missing
def dpo(policy, ref, mask, beta):
    w, l = (beta * (policy - ref.detach()).masked_fill(~mask, 0.0).sum(1)).chunk(2)
    return F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | 0 times -inf is not 0
def dpo(policy, ref, mask, beta):
    w, l = (beta * ((policy - ref.detach()) * mask).sum(1)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | F.logsigmoid
def dpo(policy, ref, mask, beta):
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.detach().masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -torch.sigmoid(w - l).log().mean(), w.detach(), l.detach()


# %% x04 | the reference gets a gradient
def dpo(policy, ref, mask, beta):
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | detach them
def dpo(policy, ref, mask, beta):
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.detach().masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w, l


# %% x04 | β is missing in the implicit rewards
def dpo(policy, ref, mask, beta):
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.detach().masked_fill(~mask, 0.0).sum(1)
    w, l = (p - q).chunk(2)
    return -F.logsigmoid(beta * (w - l)).mean(), w.detach(), l.detach()


# %% x04 | return three things
def dpo(policy, ref, mask, beta):
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.detach().masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -F.logsigmoid(w - l).mean()


# %% x04 | no gradient flows
def dpo(policy, ref, mask, beta):
    p, q = policy.detach().masked_fill(~mask, 0.0).sum(1), ref.detach().masked_fill(~mask, 0.0).sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w, l


# %% x04 | in place
def dpo(policy, ref, mask, beta):
    with torch.no_grad():
        ref[~mask] = 0.0
    p, q = policy.masked_fill(~mask, 0.0).sum(1), ref.detach().sum(1)
    w, l = (beta * (p - q)).chunk(2)
    return -F.logsigmoid(w - l).mean(), w.detach(), l.detach()


# %% x04 | β stands twice
def dpo(policy, ref, mask, beta):
    h = beta * (policy.masked_fill(~mask, 0.0) - ref.detach().masked_fill(~mask, 0.0)).sum(1)
    chosen, rejected = h.chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean(), chosen.detach(), rejected.detach()


# %% x05 | each group has its own
def group_advantages(rewards, group, scale=True):
    if group < 2 or len(rewards) % group:
        raise ValueError("bad group")
    r = rewards if rewards.is_floating_point() else rewards.float()
    return (r - r.mean()) / (r.std() + 1e-4) if scale else r - r.mean()


# %% x05 | the deviation is the whole batch's
def group_advantages(rewards, group, scale=True):
    if group < 2 or len(rewards) % group:
        raise ValueError("bad group")
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std() + 1e-4) if scale else centred).flatten()


# %% x05 | although scale=False
def group_advantages(rewards, group, scale=True):
    if group < 2 or len(rewards) % group:
        raise ValueError("bad group")
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    return ((r - r.mean(1, keepdim=True)) / (r.std(1, keepdim=True) + 1e-4)).flatten()


# %% x05 | the division by the deviation is missing
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    return (r - r.mean(1, keepdim=True)).flatten()


# %% x05 | divide by group - 1
def group_advantages(rewards, group, scale=True):
    if group < 2 or len(rewards) % group:
        raise ValueError("bad group")
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True, correction=0) + 1e-4) if scale else centred).flatten()


# %% x05 | its square root
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.var(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x05 | the 1e-4 is missing
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / r.std(1, keepdim=True) if scale else centred).flatten()


# %% x05 | view(-1, group)
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(group, -1)
    centred = r - r.mean(0)
    return (centred / (r.std(0) + 1e-4) if scale else centred).flatten()


# %% x05 | the mean is missing
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    return (r / (r.std(1, keepdim=True) + 1e-4) if scale else r).flatten()


# %% x05 | should be flat
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred


# %% x05 | raise a ValueError
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float())[: len(rewards) // group * group].view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x05 | but raise RuntimeError
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x05 | your code stopped with
def group_advantages(rewards, group, scale=True):
    r = rewards.view(-1, group)  # integers have no mean
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x05 | in place
def group_advantages(rewards, group, scale=True):
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    r -= r.mean(1, keepdim=True)
    return (r / (r.std(1, keepdim=True) + 1e-4) if scale else r).flatten()


# %% x05 | is None
def group_advantages(rewards, group, scale=True):
    print(rewards.view(-1, group))


# %% x05 | keep their dtype
def group_advantages(rewards, group, scale=True):
    if group < 2 or len(rewards) % group:
        raise ValueError("no groups")
    r = rewards.float().view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x05 | 4 rewards in groups of 0
def group_advantages(rewards, group, scale=True):
    if len(rewards) % group or group == 1:
        raise ValueError("no groups")
    r = (rewards if rewards.is_floating_point() else rewards.float()).view(-1, group)
    centred = r - r.mean(1, keepdim=True)
    return (centred / (r.std(1, keepdim=True) + 1e-4) if scale else centred).flatten()


# %% x06 | ask for the entropy first
def diagnose(history):
    first, last = ({k: c[n] for k, c in history.items()} for n in (0, -1))
    if last["length"] > 1.4 * first["length"]:
        return "length hacking"
    if last["kl"] > 12:
        return "KL explosion"
    if last["entropy"] < 0.3 * first["entropy"]:
        return "entropy collapse"
    return "healthy"


# %% x06 | ask for the length first
def diagnose(history):
    if history["entropy"][-1] < 0.5:
        return "entropy collapse"
    if history["kl"][-1] > 5:
        return "KL explosion"
    if history["length"][-1] > 8:
        return "length hacking"
    return "healthy"


# %% x06 | how low is the collapsed one
def diagnose(history):
    if history["entropy"][-1] < history["entropy"][0]:
        return "entropy collapse"
    return "healthy"


# %% x06 | ask for the length first
def diagnose(history):
    if history["entropy"][-1] < 0.5:
        return "entropy collapse"
    if history["kl"][-1] > 12:
        return "KL explosion"
    if history["length"][-1] > history["length"][0]:
        return "length hacking"
    return "healthy"


# %% x06 | where do the KLs of the ill runs lie
def diagnose(history):
    if history["entropy"][-1] < 0.5:
        return "entropy collapse"
    if history["length"][-1] > 8:
        return "length hacking"
    return "KL explosion"


# %% x06 | of 16 patients
def diagnose(history):
    return "healthy"


# %% x06 | of 16 patients
def diagnose(history):
    gain = history["reward"][-1] - history["reward"][0]
    return ILLNESSES[min(3, int(gain))]


# %% x06 | of 16 patients
def diagnose(history):
    return next((name for name in "ABCD" if patients[name] == history), None) and "healthy" or "KL explosion"


# %% x06 | is none of
def diagnose(history):
    return "collapse" if history["entropy"][-1] < 0.5 else "healthy"


# %% x06 | is None
def diagnose(history):
    if history["entropy"][-1] < 0.5:
        return "entropy collapse"


# %% x06 | changed the history
def diagnose(history):
    for curve in history.values():
        curve.sort()
    return "healthy"
