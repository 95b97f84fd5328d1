# Wrong answers to exercises/02_makemore_bigrams.ipynb, each to be rejected in the words of its header.

# %% e01a | two dots before each word
def trigram_counts(words, vocab):
    N = torch.zeros((len(vocab),) * 3, dtype=torch.int64)
    for word in words:
        ids = vocab.encode(f".{word}.")
        for i, j, k in zip(ids, ids[1:], ids[2:]):
            N[i, j, k] += 1
    return N


# %% e01a | run into one another
def trigram_counts(words, vocab):
    ids = torch.tensor(vocab.encode("." + ".".join(words) + "."))
    V = len(vocab)
    cell = (ids[:-2] * V + ids[1:-1]) * V + ids[2:]
    return torch.bincount(cell, minlength=V**3).view(V, V, V)


# %% e01a | a dot after the end
def trigram_counts(words, vocab):
    ids = torch.tensor(vocab.encode(".." + "..".join(words) + "."))
    V = len(vocab)
    cell = (ids[:-2] * V + ids[1:-1]) * V + ids[2:]
    return torch.bincount(cell, minlength=V**3).view(V, V, V)


# %% e01a | the ends are missing
def trigram_counts(words, vocab):
    N = torch.zeros((len(vocab),) * 3, dtype=torch.int64)
    for word in words:
        ids = vocab.encode(f"..{word}")
        for i, j, k in zip(ids, ids[1:], ids[2:]):
            N[i, j, k] += 1
    return N


# %% e01a | each triple counts once at most
def trigram_counts(words, vocab):
    N = torch.zeros((len(vocab),) * 3, dtype=torch.int64)
    X, Y = build_dataset(words, 2, vocab)
    N[X[:, 0], X[:, 1], Y] += 1
    return N


# %% e01a | 27 characters and fails
def trigram_counts(words, vocab):
    X, Y = build_dataset(words, 2, vocab)
    V = len(vocab)
    return torch.bincount(27 * 27 * X[:, 0] + 27 * X[:, 1] + Y, minlength=V**3).view(V, V, V)


# %% e01a | 27 is written into your code
def trigram_counts(words, vocab):
    X, Y = build_dataset(words, 2, vocab)
    return torch.bincount(27 * 27 * X[:, 0] + 27 * X[:, 1] + Y, minlength=27**3).view(27, 27, 27)


# %% e01a | the order is reversed
def trigram_counts(words, vocab):
    X, Y = build_dataset(words, 2, vocab)
    V = len(vocab)
    return torch.bincount(X[:, 0] + V * X[:, 1] + V * V * Y, minlength=V**3).view(V, V, V)


# %% e01a | a table of pairs
def trigram_counts(words, vocab):
    X, Y = build_dataset(words, 2, vocab)
    V = len(vocab)
    return torch.bincount(X[:, 1] * V + Y, minlength=V * V).view(V, V)


# %% e01a | whole numbers
def trigram_counts(words, vocab):
    N = torch.zeros(len(vocab), len(vocab), len(vocab))
    for word in words:
        ids = vocab.encode(f"..{word}.")
        for i, j, k in zip(ids, ids[1:], ids[2:]):
            N[i, j, k] += 1
    return N


# %% e01a | your N is None
def trigram_counts(words, vocab):
    N = torch.zeros((len(vocab),) * 3, dtype=torch.int64)
    for word in words:
        ids = vocab.encode(f"..{word}.")
        for i, j, k in zip(ids, ids[1:], ids[2:]):
            N[i, j, k] += 1


# %% e01a | right for a table of pairs only
def probabilities(N, k):
    counts = N + k
    return counts / counts.sum(1, keepdim=True)


# %% e01a | lie down instead of standing upright
def probabilities(N, k):
    counts = N + k
    return counts / counts.sum(-1)


# %% e01a | all cells together
def probabilities(N, k):
    return (N + k) / (N + k).sum()


# %% e01a | k is in the numerator only
def probabilities(N, k):
    return (N + k) / N.sum(-1, keepdim=True)


# %% e01a | its sum grows by V·k
def probabilities(N, k):
    return (N + k) / (N.sum(-1, keepdim=True) + k)


# %% e01a | to the empty cells only
def probabilities(N, k):
    counts = torch.where(N == 0, k, N.float())
    return counts / counts.sum(-1, keepdim=True)


# %% e01a | changed N
def probabilities(N, k):
    N += int(k)
    return N / N.sum(-1, keepdim=True)


# %% e01b | the loss is climbed
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data += rate * W.grad
    return W.detach()


# %% e01b | pile up
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        F.cross_entropy(xenc @ W, Y).backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | the sum over the examples
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = -F.log_softmax(xenc @ W, 1)[torch.arange(len(Y)), Y].sum()
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | does not start from zeros
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.randn(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | as for one character
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X[:, 1], V).float()
    W = torch.zeros(V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | a row for each pair
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X[:, 0] * V + X[:, 1], V * V).float()
    W = torch.zeros(V * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | num_classes=V
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X).float().view(len(X), -1)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | are exchanged
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X.flip(1), V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | did not move
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    moved = W
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y)
        W.grad = None
        loss.backward()
        moved = W - rate * W.grad
    return W.detach()


# %% e01b | are interleaved
def train_net(X, Y, V, steps, rate):
    x = F.one_hot(X, V).float().transpose(1, 2).reshape(-1, 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(x @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | as many updates as `steps` says
def train_net(X, Y, V, steps, rate):
    x = F.one_hot(X, V).float().view(-1, 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(1, steps):
        loss = F.cross_entropy(x @ W, Y)
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e01b | W after 7 steps
def train_net(X, Y, V, steps, rate):
    xenc = F.one_hot(X, V).float().view(len(X), 2 * V)
    W = torch.zeros(2 * V, V, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(xenc @ W, Y) + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()
        W.data -= rate * W.grad
    return W.detach()


# %% e02a | equal names belong to the same part
def split_names(words, seed):
    shuffled = list(words)
    random.Random(seed).shuffle(shuffled)
    first, second = int(0.8 * len(words)), int(0.9 * len(words))
    return shuffled[:first], shuffled[first:second], shuffled[second:]


# %% e02a | from kernel to kernel
def split_names(words, seed):
    names = list(set(words))
    random.Random(seed).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | nothing was shuffled
def split_names(words, seed):
    names = list(dict.fromkeys(words))
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | only one row is left
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    return names[:first], names[first:second], names[second:]


# %% e02a | came back changed
def split_names(words, seed):
    words.sort()
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    random.Random(seed).shuffle(words)
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | the seed is not used
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(42).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | two different splits
def split_names(words, seed):
    names = sorted(set(words))
    random.shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | of the 97 different names
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    rows = sorted(words, key=names.index)
    first, second = int(0.8 * len(words)), int(0.9 * len(words))
    while rows[first] == rows[first - 1]:
        first += 1
    while rows[second] == rows[second - 1]:
        second += 1
    return rows[:first], rows[first:second], rows[second:]


# %% e02a | they should hold [188, 23, 24]
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    d = len(names)
    train, test = set(names[: int(0.8 * d)]), set(names[int(0.8 * d) : int(0.9 * d)])
    dev = set(names) - train - test
    return tuple([word for word in words if word in part] for part in (train, dev, test))


# %% e02a | in train in 100%
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: words.count(name) == 1)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[second:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02a | in more than one part
def split_names(words, seed):
    names = sorted(set(words))
    random.Random(seed).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    sets = set(names[:first]), set(names[first:second]), set(names[first:])
    return tuple([word for word in words if word in part] for part in sets)


# %% e02b | parts[0] only
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset([word for part in parts for word in part], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | counted for itself
def fit_and_score(parts, block_size, k):
    losses = []
    for part in parts:
        X, Y = build_dataset(part, block_size)
        N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
        P = N / N.sum(-1, keepdim=True)
        losses.append(-P[(*X.T, Y)].log().mean().item())
    return losses


# %% e02b | a loss is infinite
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True)
    P = N / N.sum(-1, keepdim=True).clamp(min=1)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | a loss is nan
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True)
    P = N / N.sum(-1, keepdim=True) + k
    P = P / P.sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | each cell counts once at most
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1))
    N[(*X.T, Y)] += 1
    P = (N + k) / (N + k).sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | over the wrong dimension
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | the sum over the characters
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().sum().item() for X, Y in data]


# %% e02b | one false count in each cell, whatever k is
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.ones((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True)
    P = N / N.sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | for 2 parts
def fit_and_score(parts, block_size, k):
    train_part, dev_part, test_part = parts
    X, Y = build_dataset(train_part, block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(-1, keepdim=True)
    data = [build_dataset(part, block_size) for part in (train_part, dev_part, test_part)]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | these are the losses of trigrams
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], 2)
    N = torch.zeros(27, 27, 27).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(-1, keepdim=True)
    data = [build_dataset(part, 2) for part in parts]
    return [-P[(*X.T, Y)].log().mean().item() for X, Y in data]


# %% e02b | each name's mean
def fit_and_score(parts, block_size, k):
    X, Y = build_dataset(parts[0], block_size)
    N = torch.zeros((27,) * (block_size + 1)).index_put_((*X.T, Y), torch.tensor(1.0), accumulate=True) + k
    P = N / N.sum(-1, keepdim=True)
    losses = []
    for part in parts:
        each = [build_dataset([word], block_size) for word in part]
        losses.append(sum(-P[(*X.T, Y)].log().mean().item() for X, Y in each) / len(part))
    return losses


# %% e03 | you chose by the test loss
def tune(loss, ks):
    best = min(ks, key=lambda k: loss("test", k))
    return best, loss("test", best)


# %% e03 | you chose by the train loss
def tune(loss, ks):
    best = min(ks, key=lambda k: loss("train", k))
    return best, loss("test", best)


# %% e03 | times: once
def tune(loss, ks):
    losses = {k: (loss("dev", k), loss("test", k)) for k in ks}
    best = min(losses, key=lambda k: losses[k][0])
    return best, losses[best][1]


# %% e03 | the position of the best strength
def tune(loss, ks):
    dev = [loss("dev", k) for k in ks]
    best = dev.index(min(dev))
    return best, loss("test", ks[best])


# %% e03 | return its test loss, measured once
def tune(loss, ks):
    dev = {k: loss("dev", k) for k in ks}
    best = min(dev, key=dev.get)
    loss("test", best)
    return best, dev[best]


# %% e03 | the second number is the dev loss
def tune(loss, ks):
    dev = {k: loss("dev", k) for k in ks}
    best = min(dev, key=dev.get)
    return best, dev[best]


# %% e03 | where the dev loss first rose
def tune(loss, ks):
    best, lowest = ks[0], loss("dev", ks[0])
    for k in ks[1:]:
        now = loss("dev", k)
        if now > lowest:
            break
        best, lowest = k, now
    return best, loss("test", best)


# %% e03 | the one with the lowest dev loss is
def tune(loss, ks):
    best, lowest = None, 10
    for k in ks:
        measured = loss("dev", k)
        if measured < lowest:
            best, lowest = k, measured
    return best, 0.0 if best is None else loss("test", best)


# %% e03 | the highest dev loss
def tune(loss, ks):
    best = max(ks, key=lambda k: loss("dev", k))
    return best, loss("test", best)


# %% e03 | should be the strength k
def tune(loss, ks):
    dev = [loss("dev", k) for k in ks]
    return min(dev), loss("test", ks[dev.index(min(dev))])


# %% e03 | the train loss had a say
def tune(loss, ks):
    best = min(ks, key=lambda k: loss("dev", k) + loss("train", k))
    return best, loss("test", best)


# %% e03 | are exchanged
def tune(loss, ks):
    best = min(ks, key=lambda k: loss("dev", k))
    return loss("test", best), best


# %% e03 | test was measured with k =
def tune(loss, ks):
    best = min(ks, key=lambda k: loss("dev", k))
    return best, loss("test", min(ks))


# %% e03 | two numbers
def tune(loss, ks):
    return min(ks, key=lambda k: loss("dev", k))


# %% e04 | columns of W
def bigram_logits(W, xs):
    return W[:, xs].T


# %% e04 | no gradient reaches W
def bigram_logits(W, xs):
    return W.data[xs]


# %% e04 | one-hot vectors are still made
def bigram_logits(W, xs):
    return F.one_hot(xs, len(W)).float() @ W


# %% e04 | one-hot vectors are still made
def bigram_logits(W, xs):
    return torch.eye(len(W))[xs] @ W


# %% e04 | these are the first's
def trigram_logits(W, X):
    return W[X[:, 0]] + W[X[:, 1]]


# %% e04 | both from the upper half
def trigram_logits(W, X):
    return W[X]


# %% e04 | take W.shape[1]
def trigram_logits(W, X):
    return W[X[:, 0]] + W[X.max() + 1 + X[:, 1]]


# %% e04 | outside of W
def trigram_logits(W, X):
    return W[X[:, 0]] + W[27 + X[:, 1]]


# %% e04 | side by side
def trigram_logits(W, X):
    V = W.shape[1]
    return torch.cat([W[X[:, 0]], W[V + X[:, 1]]], dim=1)


# %% e04 | two rows for each example; a product
def trigram_logits(W, X):
    return W[X + torch.tensor([0, W.shape[1]])]


# %% e04 | the halves of W are exchanged
def trigram_logits(W, X):
    V = W.shape[1]
    return W[V + X[:, 0]] + W[X[:, 1]]


# %% e04 | the indices came back changed
def trigram_logits(W, X):
    X[:, 1] += W.shape[1]
    return W[X].sum(1)


# %% e04 | this is their mean
def trigram_logits(W, X):
    return W[X + torch.tensor([0, W.shape[1]])].mean(1)


# %% e05 | subtract the row's largest logit
def cross_entropy(logits, targets):
    log_sum = logits.exp().sum(1).log()
    return (log_sum - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | one m for all rows
def cross_entropy(logits, targets):
    m = logits.max()
    log_sum = m + (logits - m).exp().sum(1).log()
    return (log_sum - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | instead of standing upright: keepdim=True
def cross_entropy(logits, targets):
    m = logits.max(dim=1).values
    lse = m + (logits - m).exp().sum(1).log()
    return (lse - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | never added back
def cross_entropy(logits, targets):
    m = logits.max(1, keepdim=True).values
    log_sum = (logits - m).exp().sum(1).log()
    return (log_sum - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | the sign is wrong
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    return (z[torch.arange(len(targets)), targets] - z.exp().sum(1).log()).mean()


# %% e05 | the sum over the rows
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    return (z.exp().sum(1).log() - z[torch.arange(len(targets)), targets]).sum()


# %% e05 | an n × n table
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    return (z.exp().sum(1, keepdim=True).log() - z[:, targets]).mean()


# %% e05 | came back changed
def cross_entropy(logits, targets):
    logits -= logits.max(1, keepdim=True).values
    return (logits.exp().sum(1).log() - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | log_softmax does the work
def cross_entropy(logits, targets):
    return -F.log_softmax(logits, 1)[torch.arange(len(targets)), targets].mean()


# %% e05 | cross_entropy does the work
def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


# %% e05 | makes a surprise look smaller
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    p = z.exp() / z.exp().sum(1, keepdim=True)
    return -(p[torch.arange(len(targets)), targets] + 1e-10).log().mean()


# %% e05 | its logarithm was taken
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    p = z.exp() / z.exp().sum(1, keepdim=True)
    return -p[torch.arange(len(targets)), targets].log().mean()


# %% e05 | no gradient reaches the logits
def cross_entropy(logits, targets):
    z = logits.detach()
    z = z - z.max(1, keepdim=True).values
    return (z.exp().sum(1).log() - z[torch.arange(len(targets)), targets]).mean()


# %% e05 | along dim 1
def cross_entropy(logits, targets):
    z = logits - logits.max(0).values
    return ((z.exp().sum(0).log() + logits.max(0).values)[targets] - logits[torch.arange(len(targets)), targets]).mean()


# %% e05 | one loss for each row
def cross_entropy(logits, targets):
    z = logits - logits.max(1, keepdim=True).values
    return z.exp().sum(1).log() - z[torch.arange(len(targets)), targets]


# %% e06a | is missing, and a name with
def most_probable(P, count):  # greedy, then the runners-up of the last step
    last, text, p, found = 0, "", 1.0, []
    while len(found) < count:
        found.append((text, p * P[last, 0].item()))
        best = P[last, 1:].argmax().item() + 1
        p, last, text = p * P[last, best].item(), best, text + LETTERS.chars[best]
    return sorted(found, key=lambda pair: -pair[1])


# %% e06a | is missing, and a name with
def most_probable(P, count):  # a beam of `count` beginnings
    beam, found = [("", 0, 1.0)], []
    for _ in range(40):
        found += [(text, p * P[last, 0].item()) for text, last, p in beam]
        longer = [
            (text + LETTERS.chars[j], j, p * P[last, j].item()) for text, last, p in beam for j in range(1, len(P))
        ]
        beam = sorted(longer, key=lambda item: -item[2])[:count]
    return sorted(found, key=lambda pair: -pair[1])[:count]


# %% e06a | taken for good as soon as it was found
def most_probable(P, count):
    heap, found = [(-1.0, "", 0)], []
    while len(found) < count:
        minus_p, text, last = heapq.heappop(heap)
        found.append((text, -minus_p * P[last, 0].item()))
        for j in range(1, len(P)):
            heapq.heappush(heap, (minus_p * P[last, j].item(), text + LETTERS.chars[j], j))
    return found


# %% e06a | misses its last step
def most_probable(P, count):
    heap, found = [(-1.0, "", 0)], []
    while len(found) < count:
        minus_p, text, last = heapq.heappop(heap)
        if text:
            found.append((text, -minus_p))
        for j in range(1, len(P)):
            heapq.heappush(heap, (minus_p * P[last, j].item(), text + LETTERS.chars[j], j))
    return found


# %% e06a | for the heap only
def most_probable(P, count):
    heap, found = [(-1.0, "", False)], []
    while len(found) < count:
        minus_p, text, finished = heapq.heappop(heap)
        if finished:
            found.append((text, minus_p))
            continue
        last = LETTERS.index[text[-1]] if text else 0
        for j, p in enumerate(P[last].tolist()):
            heapq.heappush(heap, (minus_p * p, text + LETTERS.chars[j] * (j > 0), j == 0))
    return found


# %% e06a | holds a dot
def most_probable(P, count):
    heap, found = [(-1.0, ".")], []
    while len(found) < count:
        minus_p, text = heapq.heappop(heap)
        if len(text) > 1 and text[-1] == ".":
            found.append((text, -minus_p))
            continue
        for j, p in enumerate(P[LETTERS.index[text[-1]]].tolist()):
            heapq.heappush(heap, (minus_p * p, text + LETTERS.chars[j]))
    return found


# %% e06a | may be of any length
def most_probable(P, count):
    heap, found = [(-1.0, "", False)], []
    while heap and len(found) < count:
        minus_p, text, finished = heapq.heappop(heap)
        if finished:
            found.append((text, -minus_p))
            continue
        last = LETTERS.index[text[-1]] if text else 0
        for j, p in enumerate(P[last].tolist()):
            if len(text) < 15 or j == 0:
                heapq.heappush(heap, (minus_p * p, text + LETTERS.chars[j] * (j > 0), j == 0))
    return found


# %% e06a | the empty name is missing
def most_probable(P, count):
    heap, found = [(-1.0, "", False)], []
    while len(found) < count:
        minus_p, text, finished = heapq.heappop(heap)
        if finished:
            if text:
                found.append((text, -minus_p))
            continue
        last = LETTERS.index[text[-1]] if text else 0
        for j, p in enumerate(P[last].tolist()):
            heapq.heappush(heap, (minus_p * p, text + LETTERS.chars[j] * (j > 0), j == 0))
    return found


# %% e06a | these are logarithms
def most_probable(P, count):
    heap, found = [(0.0, "", False)], []
    while len(found) < count:
        minus_log, text, finished = heapq.heappop(heap)
        if finished:
            found.append((text, -minus_log))
            continue
        last = LETTERS.index[text[-1]] if text else 0
        for j, log in enumerate(P[last].log().tolist()):
            heapq.heappush(heap, (minus_log - log, text + LETTERS.chars[j] * (j > 0), j == 0))
    return found


# %% e06b | the mean over the pairs
def log_ratios(names, A, B):
    score = A.log() - B.log()
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([score[X[:, 0], Y].mean() for X, Y in each])


# %% e06b | to base 10
def log_ratios(names, A, B):
    X, Y = build_dataset(names, 1)
    pairs = (A.log10() - B.log10())[X[:, 0], Y]
    return torch.stack([part.sum() for part in pairs.split([len(name) + 1 for name in names])])


# %% e06b | the end is missing
def log_ratios(names, A, B):
    score, sums = A.log() - B.log(), []
    for name in names:
        ids = LETTERS.encode("." + name)
        sums.append(sum(score[i, j].item() for i, j in zip(ids, ids[1:])))
    return torch.tensor(sums)


# %% e06b | the beginning and the end are missing
def log_ratios(names, A, B):
    score, sums = A.log() - B.log(), []
    for name in names:
        ids = LETTERS.encode(name)
        sums.append(sum(score[i, j].item() for i, j in zip(ids, ids[1:])))
    return torch.tensor(sums)


# %% e06b | the sign is turned round
def log_ratios(names, A, B):
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([(B.log() - A.log())[X[:, 0], Y].sum() for X, Y in each])


# %% e06b | its probability is 0 in floats
def log_ratios(names, A, B):
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([(A[X[:, 0], Y].prod() / B[X[:, 0], Y].prod()).log() for X, Y in each])


# %% e06b | its probability is 0 in floats
def log_ratios(names, A, B):
    import math

    ratios = []
    for name in names:
        ids, p, q = LETTERS.encode(f".{name}."), 1.0, 1.0
        for i, j in zip(ids, ids[1:]):
            p, q = p * A[i, j].item(), q * B[i, j].item()
        ratios.append(math.log(p) - math.log(q))
    return torch.tensor(ratios)


# %% e06b | the difference of the probabilities; take
def log_ratios(names, A, B):
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([A[X[:, 0], Y].prod() - B[X[:, 0], Y].prod() for X, Y in each])


# %% e06b | its logarithm is asked for
def log_ratios(names, A, B):
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([(A[X[:, 0], Y] / B[X[:, 0], Y]).prod() for X, Y in each])


# %% e06b | one number for each
def log_ratios(names, A, B):
    X, Y = build_dataset(names, 1)
    return (A.log() - B.log())[X[:, 0], Y].sum()


# %% e06b | a difference
def log_ratios(names, A, B):
    each = [build_dataset([name], 1) for name in names]
    return torch.stack([A[X[:, 0], Y].log().sum() / B[X[:, 0], Y].log().sum() for X, Y in each])
