# %% e01a | does every parameter start at exactly zero
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    shapes = {"C": (V, dim), "W1": (X.shape[1] * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.zeros(shape) for name, shape in shapes.items()}
    p["C"], p["W1"] = torch.randn(p["C"].shape), torch.randn(p["W1"].shape)
    start = {name: t.clone() for name, t in p.items()}
    for t in p.values():
        t.requires_grad_()
    for _ in range(steps):
        h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])
        grads = torch.autograd.grad(F.cross_entropy(h @ p["W2"] + p["b2"], Y), list(p.values()))
        with torch.no_grad():
            for t, grad in zip(p.values(), grads):
                t -= rate * grad
    return {name: (t - start[name]).abs().max().item() for name, t in p.items()}


# %% e01a | are the gradients reset
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    shapes = {"C": (V, dim), "W1": (X.shape[1] * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    for _ in range(steps):
        h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])
        F.cross_entropy(h @ p["W2"] + p["b2"], Y).backward()
        for t in p.values():
            t.data -= rate * t.grad
    return {name: t.abs().max().item() for name, t in p.items()}


# %% e01a | does your loop take all of them
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    shapes = {"C": (V, dim), "W1": (X.shape[1] * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])
    F.cross_entropy(h @ p["W2"] + p["b2"], Y).backward()
    for t in p.values():
        t.data -= rate * t.grad
    return {name: t.abs().max().item() for name, t in p.items()}


# %% e01a | nothing moved at all
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    shapes = {"C": (V, dim), "W1": (X.shape[1] * dim, hidden), "b1": (hidden,), "W2": (hidden, V), "b2": (V,)}
    p = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    for _ in range(steps):
        h = torch.tanh(p["C"][X].flatten(1) @ p["W1"] + p["b1"])
        grads = torch.autograd.grad(F.cross_entropy(h @ p["W2"] + p["b2"], Y), list(p.values()))
        for t, grad in zip(p.values(), grads):
            t = t - rate * grad
    return {name: t.abs().max().item() for name, t in p.items()}


# %% e01a | a dictionary with the keys
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    return [0.0, 0.0, 0.0, 0.0, 1.0]


# %% e01a | the largest change of b2 should be
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    return {"C": 0.0, "W1": 0.0, "b1": 0.0, "W2": 0.0, "b2": 1.0}


# %% e01a | without the absolute value
def train_from_zeros(X, Y, V, dim, hidden, steps, rate):
    b2 = torch.zeros(V)
    for _ in range(steps):
        b2 = b2 - rate * (b2.softmax(0) - torch.bincount(Y, minlength=V) / len(Y))
    return {"C": 0.0, "W1": 0.0, "b1": 0.0, "W2": 0.0, "b2": b2.max().item()}


# %% e01b | that is the loss of an even guess
def loss_it_approaches(Y, V):
    return torch.log(torch.tensor(float(V))).item()


# %% e01b | that is in bits
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) / len(Y)
    q = q[q > 0]
    return -(q * q.log2()).sum().item()


# %% e01b | 0 · log 0 is nan
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) / len(Y)
    return -(q * q.log()).sum().item()


# %% e01b | smoothed
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) + 1
    return -(q / q.sum()).log()[Y].mean().item()


# %% e01b | the sign is turned round
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) / len(Y)
    q = q[q > 0]
    return (q * q.log()).sum().item()


# %% e01b | weigh each by how often it occurs
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) / len(Y)
    return -q[q > 0].log().mean().item()


# %% e01b | is None
def loss_it_approaches(Y, V):
    q = torch.bincount(Y, minlength=V) / len(Y)


# %% e02 | epsilon
def fold(linear, bn):
    scale = bn.weight / bn.running_var.sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | divided by the variance
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps)
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | the old bias is lost
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = bn.bias - bn.running_mean * scale
    return folded


# %% e02 | without the scale
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = (0 if linear.bias is None else linear.bias) + bn.bias - bn.running_mean * scale
    return folded


# %% e02 | running mean is left out
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = (0 if linear.bias is None else linear.bias) * scale + bn.bias
    return folded


# %% e02 | unsupported operand
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = (linear.bias - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | have changed
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    linear.weight.data *= scale[:, None]
    folded.weight.data = linear.weight.data
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | the weight lacks the learned gain
def fold(linear, bn):
    scale = 1 / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale[:, None]
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | size of tensor
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    folded.weight.data = linear.weight * scale
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | you scaled the columns
def fold(linear, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = Linear(linear.weight.shape[1], linear.weight.shape[0]).to(linear.weight)
    square = linear.weight.shape[0] == linear.weight.shape[1]
    folded.weight.data = linear.weight * (scale if square else scale[:, None])
    folded.bias.data = ((0 if linear.bias is None else linear.bias) - bn.running_mean) * scale + bn.bias
    return folded


# %% e02 | return a Linear
def fold(linear, bn):
    return Sequential(linear, bn)


# %% e02 | in another mode
def fold(linear, bn):
    bn.eval()
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    new = Linear(linear.weight.shape[1], linear.weight.shape[0])
    with torch.no_grad():
        b = 0 if linear.bias is None else linear.bias
        new.weight.copy_(linear.weight * scale[:, None])
        new.bias.copy_((b - bn.running_mean) * scale + bn.bias)
    return new


# %% e03 | global generator
def measured_gain(act):
    torch.manual_seed(0)
    return act(torch.randn(1_000_000)).square().mean().item() ** -0.5


# %% e03 | take the inverse
def measured_gain(act):
    return act(torch.randn(1_000_000)).square().mean().sqrt().item()


# %% e03 | subtracts the mean
def measured_gain(act):
    return 1 / act(torch.randn(1_000_000)).std().item()


# %% e03 | inverse of the mean square
def measured_gain(act):
    return 1 / act(torch.randn(1_000_000)).square().mean().item()


# %% e03 | average of |y|
def measured_gain(act):
    return 1 / act(torch.randn(1_000_000)).abs().mean().item()


# %% e03 | PyTorch's table
def measured_gain(act):
    return 2**0.5 if act(torch.tensor(-1.0)) == 0 else 5 / 3 if act(torch.tensor(9.0)) < 1.1 else 1.1


# %% e04 | unbiased deviation
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * var.detach()
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | fed with the biased variance
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * var.detach()
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | lacks epsilon
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return gamma * (x - mean) / var.sqrt() + beta, running_mean, running_var


# %% e04 | share of the new batch
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = momentum * running_mean + (1 - momentum) * mean.detach()
        running_var = momentum * running_var + (1 - momentum) * x.detach().var(0)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | in evaluation, y is made with the batch statistics
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = x.mean(0), x.var(0, correction=0)
    if training:
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | in training, y is made with the running statistics
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    y = gamma * (x - running_mean) / (running_var + eps).sqrt() + beta
    return y, running_mean, running_var


# %% e04 | an evaluation moved the running mean
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = (x.mean(0), x.var(0, correction=0)) if training else (running_mean, running_var)
    y = gamma * (x - mean) / (var + eps).sqrt() + beta
    running_mean = (1 - momentum) * running_mean + momentum * x.detach().mean(0)
    running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return y, running_mean, running_var


# %% e04 | changed in place
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean += momentum * (mean.detach() - running_mean)
        running_var += momentum * (x.detach().var(0) - running_var)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | carry a gradient
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * x.var(0)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | as constants
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.detach().mean(0), x.detach().var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | no gradient flows back to x
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    x = x.detach()
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * x.var(0)
    return gamma * (x - mean) / (var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | over the units of each example
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    if training:
        y = gamma * F.layer_norm(x, (x.shape[1],), eps=eps) + beta
        running_mean = (1 - momentum) * running_mean + momentum * x.detach().mean(0)
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
        return y, running_mean, running_var
    return gamma * (x - running_mean) / (running_var + eps).sqrt() + beta, running_mean, running_var


# %% e04 | gain and the shift
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return (x - mean) / (var + eps).sqrt(), running_mean, running_var


# %% e04 | standard deviation
def batchnorm(x, gamma, beta, running_mean, running_var, training, eps=1e-5, momentum=0.1):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(0), x.var(0, correction=0)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * x.detach().var(0)
    return gamma * (x - mean) / (var.sqrt() + eps) + beta, running_mean, running_var
