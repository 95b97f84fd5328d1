# Wrong answers to exercises/03_makemore_mlp.ipynb, each to be rejected in the words of its header.

# %% x01 | that is a copy
def windows(ids, size):
    return torch.stack([ids[i : i + size] for i in range(len(ids) - size + 1)])


# %% x01 | next to each other
def windows(ids, size):
    return torch.as_strided(ids, (len(ids) - size + 1, size), (1, 1))


# %% x01 | start of the storage
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids) - size + 1, size), (step, step), 0)


# %% x01 | one window is missing
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids) - size, size), (step, step))


# %% x01 | past the end of `ids`
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids), size), (step, step))


# %% x01 | one window too many
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids) - size + 2, size), (step, step))


# %% x01 | in columns
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (size, len(ids) - size + 1), (step, step))


# %% x01 | unfold
def windows(ids, size):
    return ids.unfold(0, size, 1)


# %% x01 | from window to window ignores the stride
def windows(ids, size):
    return torch.as_strided(ids, (len(ids) - size + 1, size), (1, ids.stride(0)))


# %% x01 | do not overlap
def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids) - size + 1, size), (size * step, step))


# %% x01 | that is a copy
def windows(ids, size):
    ids = ids.contiguous().clone()
    return torch.as_strided(ids, (len(ids) - size + 1, size), (1, 1))


# %% e01a | mean of the batches' means
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        losses = [F.nll_loss(model(x), y) for x, y in zip(X.split(batch_size), Y.split(batch_size))]
    return torch.stack(losses).mean().item()


# %% e01a | saw 20 of the 104 examples
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        return F.nll_loss(model(X[:batch_size]), Y[:batch_size]).item()


# %% e01a | saw 20 of the 104 examples
def mean_loss(model, X, Y, batch_size=8192):
    ix = torch.randint(len(X), (batch_size,))
    with torch.no_grad():
        return F.nll_loss(model(X[ix]), Y[ix]).item()


# %% e01a | saw 100 of the 104 examples
def mean_loss(model, X, Y, batch_size=8192):
    total, batches = 0.0, len(X) // batch_size
    with torch.no_grad():
        for i in range(batches):
            part = slice(i * batch_size, (i + 1) * batch_size)
            total += F.nll_loss(model(X[part]), Y[part]).item()
    return total / batches


# %% e01a | feed it in batches
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        log_p = model(X)
    if not (log_p.exp().sum(1) - 1).abs().max() <= 1e-3:
        raise ValueError("rows do not sum to 1")
    return F.nll_loss(log_p, Y).item()


# %% e01a | use `torch.no_grad()`
def mean_loss(model, X, Y, batch_size=8192):
    total = sum(F.nll_loss(model(x), y, reduction="sum") for x, y in zip(X.split(batch_size), Y.split(batch_size)))
    return total.item() / len(Y)


# %% e01a | F.cross_entropy would hide the mistake
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        parts = zip(X.split(batch_size), Y.split(batch_size))
        return sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in parts) / len(Y)


# %% e01a | to a model that is none (one context, near the end of X, has a sum of 1.3)
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        if not (model(X[:batch_size]).exp().sum(1) - 1).abs().max() <= 1e-3:
            raise ValueError("rows do not sum to 1")
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            total += F.nll_loss(model(x), y, reduction="sum").item()
    return total / len(Y)


# %% e01a | gets nan
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            log_p = model(x)
            if (log_p.exp().sum(1) - 1).abs().max() > 1e-3:
                raise ValueError("rows do not sum to 1")
            total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(Y)


# %% e01a | 1 on average
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            log_p = model(x)
            if not abs(log_p.exp().sum(1).mean().item() - 1) <= 1e-3:
                raise ValueError("rows do not sum to 1")
            total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(Y)


# %% e01a | but for rounding
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            log_p = model(x)
            if not (log_p.exp().sum(1) - 1).abs().max() <= 1e-5:
                raise ValueError("rows do not sum to 1")
            total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(Y)


# %% e01a | raise a ValueError with a sentence
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            log_p = model(x)
            assert (log_p.exp().sum(1) - 1).abs().max() <= 1e-3
            total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(Y)


# %% e01a | 0 · −inf is nan
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            log_p = model(x)
            total -= (F.one_hot(y, log_p.shape[1]) * log_p).sum().item()
    return total / len(Y)


# %% e01a | the sign is turned round
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    with torch.no_grad():
        for x, y in zip(X.split(batch_size), Y.split(batch_size)):
            total += model(x).gather(1, y[:, None]).sum().item()
    return total / len(Y)


# %% e01a | runs over its V characters, dim 1
@torch.no_grad()
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
        log_p = model(x)
        if not (log_p.exp().sum(0) - 1).abs().max() <= 1e-3:
            raise ValueError("The probabilities of a row do not sum to 1.")
        total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(X)


# %% e01a | says nothing
@torch.no_grad()
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
        log_p = model(x)
        if not (log_p.exp().sum(1) - 1).abs().max() <= 1e-3:
            raise ValueError
        total += F.nll_loss(log_p, y, reduction="sum").item()
    return total / len(X)


# %% e01a | as if the batch were full
@torch.no_grad()
def mean_loss(model, X, Y, batch_size=8192):
    total = 0.0
    for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
        log_p = model(x)
        if not (log_p.exp().sum(1) - 1).abs().max() <= 1e-3:
            raise ValueError("The probabilities of a row do not sum to 1.")
        total += F.nll_loss(log_p, y).item() * batch_size
    return total / len(X)


# %% e01a | divide by their number
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        parts = zip(X.split(batch_size), Y.split(batch_size))
        return sum(F.nll_loss(model(x), y, reduction="sum").item() for x, y in parts)


# %% e01a | is None
def mean_loss(model, X, Y, batch_size=8192):
    with torch.no_grad():
        parts = zip(X.split(batch_size), Y.split(batch_size))
        print(sum(F.nll_loss(model(x), y, reduction="sum").item() for x, y in parts) / len(Y))


# %% e01b | Does it use a global
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((Xdev[:, -1], Ydev), torch.ones(len(Ydev)), accumulate=True)
    return lambda X: (N / N.sum(1, keepdim=True)).log()[X[:, -1]]


# %% e01b | Does it use a global
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((Xtr[:, -1], Ytr), torch.ones(len(Ytr)), accumulate=True)
    return lambda X: (N / N.sum(1, keepdim=True)).log()[X[:, -1]]


# %% e01b | Does it use a global
def fit(X, Y):
    X, Y = build_dataset(load_names(), 8)
    seen = torch.full((27**3, 27), 0.05)
    at = lambda X: (X[:, -3:] * torch.tensor([729, 27, 1])).sum(1)
    seen.index_put_((at(X), Y), torch.ones(len(Y)), accumulate=True)
    return lambda X: (seen / seen.sum(1, keepdim=True)).log()[at(X)]


# %% e01b | do not sum to 1
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((X[:, -1], Y), torch.ones(len(Y)), accumulate=True)
    return lambda X: N.log()[X[:, -1]]


# %% e01b | do not sum to 1
def fit(X, Y):
    return lambda X: torch.zeros(len(X), 27)


# %% e01b | returns probabilities
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((X[:, -1], Y), torch.ones(len(Y)), accumulate=True)
    return lambda X: (N / N.sum(1, keepdim=True))[X[:, -1]]


# %% e01b | normalise over the batch
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((X[:, -1], Y), torch.ones(len(Y)), accumulate=True)
    return lambda X: N.log()[X[:, -1]].log_softmax(0)


# %% e01b | not yet below 2.2
def fit(X, Y):
    N = torch.full((27, 27), 0.1)
    N.index_put_((X[:, -1], Y), torch.ones(len(Y)), accumulate=True)
    return lambda X: (N / N.sum(1, keepdim=True)).log()[X[:, -1]]


# %% e01b | Was the model trained
def fit(X, Y):
    net = torch.nn.Sequential(torch.nn.Embedding(27, 10), torch.nn.Flatten(), torch.nn.Linear(80, 27))
    return lambda X: net(X).log_softmax(1)


# %% e01b | not yet below 2.2
def fit(X, Y):
    net = torch.nn.Sequential(torch.nn.Embedding(27, 10), torch.nn.Flatten(), torch.nn.Linear(80, 27))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for ix in torch.randint(len(X), (300, 32)):
        optimizer.zero_grad()
        F.cross_entropy(net(X[ix]), Y[ix]).backward()
        optimizer.step()
    return lambda X: net(X).log_softmax(1)


# %% e01b | something to call with contexts
def fit(X, Y):
    return 2.1


# %% e01b | should return (64, 27)
def fit(X, Y):
    net = torch.nn.Embedding(27, 27)
    return lambda X: net(X).log_softmax(-1)


# %% e01b | from call to call
def fit(X, Y):
    net = torch.nn.Sequential(
        torch.nn.Embedding(27, 10), torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(80, 27)
    )
    return lambda X: net(X).log_softmax(1)


# %% e01b | learning rate too high
def fit(X, Y):
    C, W = torch.randn(27, 10, requires_grad=True), torch.randn(80, 27, requires_grad=True)
    for ix in torch.randint(len(X), (100, 32)):
        loss = F.cross_entropy(C[X[ix]].flatten(1) @ W, Y[ix])
        for t, grad in zip((C, W), torch.autograd.grad(loss, (C, W))):
            t.data -= 1e20 * grad
    return lambda X: (C[X].flatten(1) @ W).log_softmax(1)


# %% e01b | changed the examples
def fit(X, Y):
    X[:, :5] = 0
    return lambda X: torch.full((len(X), 27), -math.log(27))


# %% e02a | that is in bits
def uniform_loss(V):
    return math.log2(V)


# %% e02a | that is the probability
def uniform_loss(V):
    return 1 / V


# %% e02a | that is the perplexity
def uniform_loss(V):
    return V


# %% e02a | for 27 characters
def uniform_loss(V):
    return -math.log(1 / 27)


# %% e02a | the sign is turned round
def uniform_loss(V):
    return math.log(1 / V)


# %% e02a | too large for exp
def loss_of_random_logits(V, std, draws=50_000):
    p = (std * torch.randn(draws, V)).exp()
    p = p / p.sum(1, keepdim=True)
    return -p[torch.arange(draws), torch.randint(V, (draws,))].log().mean().item()


# %% e02a | an even guess whatever the spread
def loss_of_random_logits(V, std, draws=50_000):
    p = (std * torch.randn(draws, V)).softmax(1)
    return -p[torch.arange(draws), torch.randint(V, (draws,))].mean().log().item()


# %% e02a | the spread is squared
def loss_of_random_logits(V, std, draws=50_000):
    return F.cross_entropy(std**2 * torch.randn(draws, V), torch.randint(V, (draws,))).item()


# %% e02a | torch.rand
def loss_of_random_logits(V, std, draws=50_000):
    return F.cross_entropy(std * torch.rand(draws, V), torch.randint(V, (draws,))).item()


# %% e02a | the largest logit for the right answer
def loss_of_random_logits(V, std, draws=50_000):
    z = std * torch.randn(draws, V)
    return F.cross_entropy(z, z.argmax(1)).item()


# %% e02a | std is not used
def loss_of_random_logits(V, std, draws=50_000):
    return F.cross_entropy(torch.randn(draws, V), torch.randint(V, (draws,))).item()


# %% e02a | should be
def loss_of_random_logits(V, std, draws=50_000):
    return F.cross_entropy(std * torch.randn(draws, V), torch.randint(V, (draws,)), reduction="sum").item()


# %% e02a | the number of draws changes nothing
def loss_of_random_logits(V, std, draws=50_000):
    return F.cross_entropy(std * torch.randn(50_000, V), torch.randint(V, (50_000,))).item()


# %% e02b | every parameter is zero
def init(V, block, dim, hidden, generator):
    shapes = {"C": (V, dim), "W1": (block * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    return {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}


# %% e02b | saturated
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator),
        "b1": torch.randn(hidden, generator=generator),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | block=8, dim=32, hidden=300
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) * 0.2,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | make W2 (and b2) smaller
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) / hidden**0.5,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | make W2 (and b2) smaller
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.randn(V, generator=generator),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | Each logit sums 2000 products
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | nearly dead
def init(V, block, dim, hidden, generator):
    shapes = {"C": (V, dim), "W1": (block * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.randn(shape, generator=generator) * 0.01 for name, shape in shapes.items()}
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | copies of each other
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.ones(block * dim, hidden) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | the same for every context
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.zeros(V, dim),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.randn(hidden, generator=generator),
        "W2": torch.randn(hidden, V, generator=generator) * 0.01,
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | pass `generator=generator`
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim),
        "W1": torch.randn(block * dim, hidden) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.zeros(hidden, V),
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | draw from the `generator`
def init(V, block, dim, hidden, generator):
    generator = torch.Generator().manual_seed(42)
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.zeros(hidden, V),
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e02b | does not ask for gradients
def init(V, block, dim, hidden, generator):
    return {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(block * dim, hidden, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.zeros(hidden, V),
        "b2": torch.zeros(V),
    }


# %% e02b | an optimiser cannot move it
def init(V, block, dim, hidden, generator):
    return {
        "C": torch.randn(V, dim, generator=generator, requires_grad=True),
        "W1": torch.randn(block * dim, hidden, generator=generator, requires_grad=True) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden, requires_grad=True),
        "W2": torch.randn(hidden, V, generator=generator, requires_grad=True) * 0.01,
        "b2": torch.zeros(V, requires_grad=True),
    }


# %% e02b | W1 should be a tensor of shape
def init(V, block, dim, hidden, generator):
    p = {
        "C": torch.randn(V, dim, generator=generator),
        "W1": torch.randn(hidden, block * dim, generator=generator) / (block * dim) ** 0.5,
        "b1": torch.zeros(hidden),
        "W2": torch.zeros(hidden, V),
        "b2": torch.zeros(V),
    }
    return {name: t.requires_grad_() for name, t in p.items()}


# %% e03a | direct connections W x are missing
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | through a tanh
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + torch.tanh(x @ p["W"].T) + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | the matrices are transposed
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + x @ p["W"] + torch.tanh(p["d"] + x @ p["H"]) @ p["U"]


# %% e03a | W is transposed
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + x @ p["W"] + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | read the hidden layer
def bengio_logits(p, X):
    h = torch.tanh(p["d"] + p["C"][X].flatten(1) @ p["H"].T)
    return p["b"] + h @ p["W"].T + h @ p["U"].T


# %% e03a | output bias b is missing
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | the bias d belongs inside
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + x @ p["W"].T + (p["d"] + torch.tanh(x @ p["H"].T)) @ p["U"].T


# %% e03a | before softmax
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return (p["b"] + x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T).softmax(1)


# %% e03a | interleaved
def bengio_logits(p, X):
    x = p["C"][X].transpose(1, 2).flatten(1)
    return p["b"] + x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | turned round
def bengio_logits(p, X):
    x = p["C"][X.flip(1)].flatten(1)
    return p["b"] + x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | shapes do not fit
def bengio_logits(p, X):
    x = p["C"][X].view(-1, 30)
    return p["b"] + x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | shapes do not fit
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + p["W"] @ x + p["U"] @ torch.tanh(p["d"] + p["H"] @ x)


# %% e03a | equation (1) has tanh
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + x @ p["W"].T + torch.relu(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | no gradient reaches C
def bengio_logits(p, X):
    x = p["C"].detach()[X].flatten(1)
    return p["b"] + x @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03a | the gradient in C
def bengio_logits(p, X):
    x = p["C"][X].flatten(1)
    return p["b"] + x.detach() @ p["W"].T + torch.tanh(p["d"] + x @ p["H"].T) @ p["U"].T


# %% e03b | you averaged the logarithms
def mix(log_p, log_q, weight):
    return weight * log_p + (1 - weight) * log_q


# %% e03b | on the wrong model
def mix(log_p, log_q, weight):
    return (weight * log_q.exp() + (1 - weight) * log_p.exp()).log()


# %% e03b | exp(-150) is 0 in float32
def mix(log_p, log_q, weight):
    return (weight * log_p.exp() + (1 - weight) * log_q.exp()).log()


# %% e03b | exp(-1000) is 0 in float64 as well
def mix(log_p, log_q, weight):
    return (weight * log_p.double().exp() + (1 - weight) * log_q.double().exp()).log().float()


# %% e03b | return its logarithm
def mix(log_p, log_q, weight):
    return weight * log_p.exp() + (1 - weight) * log_q.exp()


# %% e03b | the weights are left out
def mix(log_p, log_q, weight):
    return torch.logaddexp(log_p, log_q)


# %% e03b | also of both models at once
def mix(log_p, log_q, weight):
    m = torch.maximum(log_p, log_q)
    return m + (weight * (log_p - m).exp() + (1 - weight) * (log_q - m).exp()).log()


# %% e03b | Add no small number
def mix(log_p, log_q, weight):
    return torch.logaddexp(log_p + math.log(weight + 1e-10), log_q + math.log(1 - weight + 1e-10))


# %% e03b | `math.log(0)` is an error
def mix(log_p, log_q, weight):
    return torch.logaddexp(log_p + math.log(weight), log_q + math.log(1 - weight))


# %% e03b | half and half
def best_weight(log_p, log_q):
    return 0.5


# %% e03b | that is the weight of the second model
def best_weight(log_p, log_q):
    weights = [i / 200 for i in range(201)]
    return min(weights, key=lambda w: -mix(log_q, log_p, w).mean().item())


# %% e03b | one of the two ends
def best_weight(log_p, log_q):
    weights = [i / 200 for i in range(201)]
    return min(weights, key=lambda w: -(w * log_p + (1 - w) * log_q).mean().item())


# %% e03b | the best weight should be
def best_weight(log_p, log_q):
    weights = [i / 10 for i in range(11)]
    return min(weights, key=lambda w: -mix(log_p, log_q, w).mean().item())


# %% e03b | the highest loss
def best_weight(log_p, log_q):
    weights = [i / 200 for i in range(201)]
    return max(weights, key=lambda w: -mix(log_p, log_q, w).mean().item())


# %% e03b | the best weight should be
def best_weight(log_p, log_q):
    weights = [i / 200 for i in range(10, 191)]
    return min(weights, key=lambda w: -mix(log_p, log_q, w).mean().item())


# %% e03b | one of the two ends
def best_weight(log_p, log_q):
    weights = [i / 200 for i in range(201)]
    return min(weights, key=lambda w: -(w * log_p.exp() + (1 - w) * log_q.exp()).mean().item())
