# Wrong answers to exercises/20_sft_lora.ipynb, each to be rejected in the words of its header.


# %% x01 | every token counts
def answer_labels(ids, start, end, newline, assistant):
    return ids.clone()


# %% x01 | without it the model never learns to stop
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start or ids[t] == end:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = ids[t]
    return labels


# %% x01 | shifted by one
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t - 1] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | the newline after `end`
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = ids[t]
    return labels


# %% x01 | the head of the assistant's turn
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = t + 1 < len(ids) and bool(ids[t + 1] == assistant)
        if counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | marked by 1
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = 1
            counts = bool(ids[t] != end)
    return labels


# %% x01 | -100, not 0
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.zeros_like(ids), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | only the last answer counts
def answer_labels(ids, start, end, newline, assistant):
    labels = torch.full_like(ids, -100)
    heads = [t for t in range(len(ids) - 1) if ids[t] == start and ids[t + 1] == assistant]
    if heads:
        t = heads[-1] + 3
        while t < len(ids):
            labels[t] = ids[t]
            if ids[t] == end:
                break
            t += 1
    return labels


# %% x01 | the labels of a chat in which the user writes
def answer_labels(ids, start, end, newline, assistant):  # takes the word `assistant` for a role, wherever it stands
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if t >= 2 and ids[t - 2] == assistant and ids[t - 1] == newline:
            counts = True
        if counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | the labels of an answer with newlines
def answer_labels(ids, start, end, newline, assistant):  # begins anew behind each newline
    labels, counts, role = torch.full_like(ids, -100), False, None
    for t in range(len(ids)):
        if ids[t] == start:
            role, counts = ids[t + 1], False
        elif ids[t] == newline:
            counts = bool(role == assistant)
            continue
        elif counts:
            labels[t] = ids[t]
            if ids[t] == end:
                role, counts = None, False
    return labels


# %% x01 | a chat cut off
def answer_labels(ids, start, end, newline, assistant):  # only answers that are complete
    labels, t = torch.full_like(ids, -100), 0
    while t < len(ids):
        if ids[t] == start and t + 1 < len(ids) and ids[t + 1] == assistant:
            e = t + 3
            while e < len(ids) and ids[e] != end:
                e += 1
            if e < len(ids):
                labels[t + 3 : e + 1] = ids[t + 3 : e + 1]
            t = e
        t += 1
    return labels


# %% x01 | changes `ids` in place
def answer_labels(ids, start, end, newline, assistant):
    counts, old = False, ids.clone()
    for t in range(len(ids)):
        new = -100
        if old[t] == start:
            counts = False
        elif t >= 2 and old[t - 2] == start:
            counts = bool(old[t - 1] == assistant)
        elif counts:
            new = old[t]
            counts = bool(old[t] != end)
        ids[t] = new
    return ids


# %% x01 | with other ids for the four tokens
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == 3:
            counts = False
        elif t >= 2 and ids[t - 2] == 3:
            counts = bool(ids[t - 1] == 5)
        elif counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != 7)
    return labels


# %% x01 | int64
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = torch.full((len(ids),), -100.0), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | a chat may end anywhere
def answer_labels(ids, start, end, newline, assistant):  # looks for a role behind the last token
    labels, counts = torch.full_like(ids, -100), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts, begin = bool(ids[t + 1] == assistant), t + 3
        elif counts and t >= begin:
            labels[t] = ids[t]
            counts = bool(ids[t] != end)
    return labels


# %% x01 | return a tensor
def answer_labels(ids, start, end, newline, assistant):
    labels, counts = [-100] * len(ids), False
    for t in range(len(ids)):
        if ids[t] == start:
            counts = False
        elif t >= 2 and ids[t - 2] == start:
            counts = bool(ids[t - 1] == assistant)
        elif counts:
            labels[t] = int(ids[t])
            counts = bool(ids[t] != end)
    return labels


# %% x01 | an empty answer counts too
def answer_labels(ids, start, end, newline, assistant):
    labels = torch.full_like(ids, -100)
    for t in range(len(ids) - 3):
        if ids[t] == start and ids[t + 1] == assistant and ids[t + 3] != end:
            e = t + 3
            while e < len(ids):
                labels[e] = ids[e]
                if ids[e] == end:
                    break
                e += 1
    return labels


# %% x02 | no parameter called B
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = torch.zeros(linear.out_features, r, requires_grad=True)

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | should have shape
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(linear.in_features, r))
        self.B = nn.Parameter(torch.zeros(r, linear.out_features))

    def forward(self, x):
        return self.linear(x) + x @ self.A @ self.B * self.scale


# %% x02 | B must begin at zero
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.zeros(r, linear.in_features))
        self.B = nn.Parameter(torch.randn(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | A is zero as well as B
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.zeros(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | the same number everywhere
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.ones(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | only A and B are to be trained
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear, alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | only A and B are to be trained
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        linear.weight.requires_grad_(False)  # the bias is forgotten
        self.linear, self.scale = linear, alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | keep the linear layer as a part of yours
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.weight, self.bias, self.scale = linear.weight.detach(), linear.bias, alpha / r
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | the change is missing
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x)


# %% x02 | the factor is missing
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T


# %% x02 | not alpha.
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | not r / alpha
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), r / alpha
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x02 | the frozen layer's output is missing
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale, self.first = linear.requires_grad_(False), alpha / r, True
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        change = x @ self.A.T @ self.B.T * self.scale
        return change if self.B.any() else self.linear(x)


# %% x02 | A gets no gradient
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.data.T @ self.B.T * self.scale


# %% x02 | the gradient of x
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x.detach() @ self.A.T @ self.B.T * self.scale


# %% x02 | the same A
class LowRank(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.scale = linear.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + x @ self.A.T @ self.B.T * self.scale


# %% x03 | the old layer's weight has changed
def merged(linear, A, B, alpha):
    with torch.no_grad():
        linear.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
    return linear


# %% x03 | that is the old weight
def merged(linear, A, B, alpha):
    return copy.deepcopy(linear)


# %% x03 | the factor is missing
def merged(linear, A, B, alpha):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + B @ A)
    return new


# %% x03 | not alpha
def merged(linear, A, B, alpha):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha * B @ A)
    return new


# %% x03 | rounded to 16 bits before it is added
def merged(linear, A, B, alpha):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight += (alpha / len(A) * B @ A).to(new.weight.dtype)
    return new


# %% x03 | rounded to 16 bits before it is added
def merged(linear, A, B, alpha):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight += (B.to(new.weight.dtype) @ A.to(new.weight.dtype)) * (alpha / len(A))
    return new


# %% x03 | should have the old one's dtype
def merged(linear, A, B, alpha):
    new = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
        if linear.bias is not None:
            new.bias = nn.Parameter(linear.bias.clone())
    return new


# %% x03 | the bias is lost
def merged(linear, A, B, alpha):
    new = nn.Linear(linear.in_features, linear.out_features, bias=False).to(linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
    return new


# %% x03 | the bias is another one
def merged(linear, A, B, alpha):
    new = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None).to(linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
    return new


# %% x03 | return an nn.Linear
def merged(linear, A, B, alpha):
    return (linear.weight.float() + alpha / len(A) * B @ A).to(linear.weight.dtype)


# %% x03 | shares memory
def merged(linear, A, B, alpha):
    new = nn.Linear(linear.in_features, linear.out_features, bias=False).to(linear.weight.dtype)
    new.bias = linear.bias
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
    return new


# %% x03 | subtracted
def merged(linear, A, B, alpha):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() - alpha / len(A) * B @ A)
    return new


# %% x03 | shares memory
def merged(linear, A, B, alpha):
    new = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None).to(linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight.float() + alpha / len(A) * B @ A)
    new.bias = linear.bias
    return new


# %% x04 | the norms are missing
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I) + 2 * V * C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 16 * llama_parameters(L, C, I, V)


# %% x04 | they are not tied here
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 16 * llama_parameters(L, C, I, V)


# %% x04 | should be 6,738,415,616
def llama_parameters(L, C, I, V):
    return 7_000_000_000


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 16 * llama_parameters(L, C, I, V)


# %% x04 | two factors
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * 7 * C


def training_bytes(method, L, C, I, V, r):
    return 16 * llama_parameters(L, C, I, V)


# %% x04 | that is for attention alone
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * 8 * C


def training_bytes(method, L, C, I, V, r):
    return 16 * llama_parameters(L, C, I, V)


# %% x04 | those are the weights alone
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 2 * llama_parameters(L, C, I, V)


# %% x04 | is the master copy missing
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 12 * llama_parameters(L, C, I, V)


# %% x04 | a frozen parameter has no gradient
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    P, Q = llama_parameters(L, C, I, V), lora_parameters(L, C, I, r)
    return 16 * P if method == "full" else 4 * P + 16 * Q


# %% x04 | the adapter's gradients
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    P, Q = llama_parameters(L, C, I, V), lora_parameters(L, C, I, r)
    return 16 * P if method == "full" else 2 * (P + Q)


# %% x04 | the rest keeps 2 bytes
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    P, Q = llama_parameters(L, C, I, V), lora_parameters(L, C, I, r)
    return {"full": 16 * P, "LoRA": 2 * P + 16 * Q, "QLoRA": P * 4.5 / 8 + 16 * Q}[method]


# %% x04 | 4.5 bits are 4.5 / 8 bytes
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (8 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    P, Q, M = llama_parameters(L, C, I, V), lora_parameters(L, C, I, r), L * (4 * C * C + 3 * C * I)
    return {"full": 16 * P, "LoRA": 2 * P + 16 * Q, "QLoRA": 2 * (P - M) + M * 4.5 + 16 * Q}[method]


# %% x04 | a square matrix gets two factors
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (4 * C + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    return 0


# %% x04 | the norms are no matrices
def llama_parameters(L, C, I, V):
    return L * (4 * C * C + 3 * C * I + 2 * C) + 2 * V * C + C


def lora_parameters(L, C, I, r):
    return L * r * (4 * (C + C) + 3 * (C + I))


def training_bytes(method, L, C, I, V, r):
    P, a = llama_parameters(L, C, I, V), lora_parameters(L, C, I, r)
    blocks = L * (4 * C * C + 3 * C * I + 2 * C)
    if method == "full":
        return 16 * P
    return 16 * a + (2 * P if method == "LoRA" else 2 * (P - blocks) + 4.5 / 8 * blocks)


# %% x05 | `linear` has changed
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(linear, r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        layer.merge()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | less than is possible
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses, layer = {}, copy.deepcopy(linear)  # each rank goes on where the last one ended
    for r in ranks:
        adapted = LoRALinear(copy.deepcopy(layer), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([adapted.A, adapted.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(adapted(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        adapted.merge()
        layer = adapted.base
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | less than is possible
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        layer.requires_grad_(True)  # the base is trained too
        optimizer = torch.optim.Adam(layer.parameters(), rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | ends where it began
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        first = F.mse_loss(layer(x), y).item()
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = first
    return losses


# %% x05 | the sum over the outputs
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = (layer(x) - y).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = (layer(x) - y).square().sum(1).mean().item()
    return losses


# %% x05 | are tensors
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y)
    return losses


# %% x05 | rank 2 should come down
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=1, alpha=2)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | use the argument `steps`
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(500):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | use the argument `rate`
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], 2e-2)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | return a dict
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    return [0.0 for _ in ranks]


# %% x05 | `linear` is frozen now
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(linear, r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | in one step rank 32 comes down by 0.2
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | in one step rank 32 comes down by 0.5
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = F.mse_loss(layer(x), y).item()
    return losses


# %% x05 | compute the loss once more, after the loop
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = loss.item()
    return losses


# %% x05 | the one before the step
def rank_sweep(linear, x, y, ranks, steps=400, rate=2e-2):
    losses = {}
    for r in ranks:
        layer = LoRALinear(copy.deepcopy(linear), r=r, alpha=2 * r)
        optimizer = torch.optim.Adam([layer.A, layer.B], rate)
        loss = F.mse_loss(layer(x), y)
        for _ in range(steps):
            loss = F.mse_loss(layer(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[r] = loss.item()
    return losses


# %% x06 | the plain causal mask
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    return torch.ones(T, T, dtype=torch.bool).tril(), torch.cat(
        [torch.arange(n) for n in [*lengths, 0]] + [torch.zeros(T - sum(lengths), dtype=torch.int64)]
    )


# %% x06 | within a document the mask is a triangle
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = True
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | turned round
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[s : s + n] = torch.arange(n)
        s += n
    return ~mask, positions


# %% x06 | transposed
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).triu()
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | let it see itself
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.zeros(T, T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | padding sees other padding
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    d = torch.tensor([i for i, n in enumerate(lengths) for _ in range(n)] + [-1] * (T - sum(lengths)))
    positions = torch.cat([torch.arange(n) for n in [*lengths, 0]] + [torch.zeros(T - sum(lengths), dtype=torch.int64)])
    return (d[:, None] == d) & torch.ones(T, T, dtype=torch.bool).tril(), positions


# %% x06 | do not see themselves
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.zeros(T, T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril(-1)
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | the positions run on
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, s = torch.eye(T, dtype=torch.bool), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        s += n
    return mask, torch.arange(T)


# %% x06 | the positions begin at 1
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[s : s + n] = torch.arange(1, n + 1)
        s += n
    return mask, positions


# %% x06 | raise a ValueError
def packed_mask(lengths, T):
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        n = min(n, T - s)
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | should be torch.bool
def packed_mask(lengths, T):
    if sum(lengths) > T:
        raise ValueError("too long")
    mask, positions, s = torch.eye(T), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n).tril()
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions


# %% x06 | 5 tokens fit into a row of 5
def packed_mask(lengths, T):
    if sum(lengths) >= T:
        raise ValueError("too long")
    return torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64)


# %% x06 | should raise a ValueError, but raise AssertionError
def packed_mask(lengths, T):
    assert sum(lengths) <= T
    mask, positions, s = torch.eye(T, dtype=torch.bool), torch.zeros(T, dtype=torch.int64), 0
    for n in lengths:
        mask[s : s + n, s : s + n] = torch.ones(n, n, dtype=torch.bool).tril()
        positions[s : s + n] = torch.arange(n)
        s += n
    return mask, positions
