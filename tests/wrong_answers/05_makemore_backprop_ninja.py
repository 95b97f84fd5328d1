# Wrong answers to exercises/05_makemore_backprop_ninja.ipynb, each to be rejected in the words of its header.

# %% ex1_01 | lacks the mean
def d_logprobs(logprobs, y):
    d = torch.zeros_like(logprobs)
    d[range(len(y)), y] = -1.0
    return d


# %% ex1_01 | number of all entries
def d_logprobs(logprobs, y):
    d = torch.zeros_like(logprobs)
    d[range(len(y)), y] = -1.0 / logprobs.numel()
    return d


# %% ex1_01 | minus the mean
def d_logprobs(logprobs, y):
    d = torch.zeros_like(logprobs)
    d[range(len(y)), y] = 1.0 / len(y)
    return d


# %% ex1_01 | only each row's right answer
def d_logprobs(logprobs, y):
    return -torch.ones_like(logprobs) / len(y)


# %% ex1_01 | is torch.float32
def d_logprobs(logprobs, y):
    d = torch.zeros(logprobs.shape)
    d[range(len(y)), y] = -1.0 / len(y)
    return d


# %% ex1_02 | derivative of log(p) is 1/p
def d_probs(dlogprobs, probs):
    return dlogprobs * probs


# %% ex1_02 | local derivative alone
def d_probs(dlogprobs, probs):
    return 1 / probs


# %% ex1_02 | applies the logarithm again
def d_probs(dlogprobs, probs):
    return dlogprobs * probs.log()


# %% ex1_02 | in place
def d_probs(dlogprobs, probs):
    probs /= dlogprobs
    return 1 / probs


# %% ex1_03 | must be summed backward
def d_counts_sum_inv(dprobs, counts):
    return dprobs * counts


# %% ex1_03 | keepdim=True
def d_counts_sum_inv(dprobs, counts):
    return (dprobs * counts).sum(1)


# %% ex1_03 | dimension 1
def d_counts_sum_inv(dprobs, counts):
    return (dprobs * counts).sum(0, keepdim=True)


# %% ex1_03 | is a mean
def d_counts_sum_inv(dprobs, counts):
    return (dprobs * counts).mean(1, keepdim=True)


# %% ex1_03 | lacks the factor counts
def d_counts_sum_inv(dprobs, counts):
    return dprobs.sum(1, keepdim=True)


# %% ex1_04 | lost the minus
def d_counts_sum(dcounts_sum_inv, counts_sum):
    return dcounts_sum_inv * counts_sum**-2


# %% ex1_04 | -1/s²
def d_counts_sum(dcounts_sum_inv, counts_sum):
    return -dcounts_sum_inv / counts_sum


# %% ex1_04 | local derivative alone
def d_counts_sum(dcounts_sum_inv, counts_sum):
    return -(counts_sum**-2)


# %% ex1_05 | goes into counts_sum
def d_counts(dprobs, counts_sum_inv, dcounts_sum):
    return dprobs * counts_sum_inv


# %% ex1_05 | into probs directly
def d_counts(dprobs, counts_sum_inv, dcounts_sum):
    return dcounts_sum.expand(dprobs.shape)


# %% ex1_05 | in full
def d_counts(dprobs, counts_sum_inv, dcounts_sum):
    return dprobs * counts_sum_inv + dcounts_sum / dprobs.shape[1]


# %% ex1_05 | contributions add up
def d_counts(dprobs, counts_sum_inv, dcounts_sum):
    return dprobs * counts_sum_inv * dcounts_sum


# %% ex1_06 | exponentiates twice
def d_norm_logits(dcounts, counts):
    return dcounts * counts.exp()


# %% ex1_06 | passes dcounts on unchanged
def d_norm_logits(dcounts, counts):
    return dcounts


# %% ex1_06 | local derivative alone
def d_norm_logits(dcounts, counts):
    return counts


# %% ex1_06 | divides by counts
def d_norm_logits(dcounts, counts):
    return dcounts / counts


# %% ex1_07 | lost the minus
def d_logit_maxes(dnorm_logits):
    return dnorm_logits.sum(1, keepdim=True)


# %% ex1_07 | must be summed backward
def d_logit_maxes(dnorm_logits):
    return -dnorm_logits


# %% ex1_07 | keepdim=True
def d_logit_maxes(dnorm_logits):
    return -dnorm_logits.sum(1)


# %% ex1_07 | set to zero
def d_logit_maxes(dnorm_logits):
    return torch.zeros_like(dnorm_logits[:, :1])


# %% ex1_08 | goes into logit_maxes
def d_logits(dnorm_logits, dlogit_maxes, logits):
    return dnorm_logits.clone()


# %% ex1_08 | into norm_logits directly
def d_logits(dnorm_logits, dlogit_maxes, logits):
    return dlogit_maxes * F.one_hot(logits.argmax(1), logits.shape[1])


# %% ex1_08 | whole row
def d_logits(dnorm_logits, dlogit_maxes, logits):
    return dnorm_logits + dlogit_maxes


# %% ex1_08 | overwrites
def d_logits(dnorm_logits, dlogit_maxes, logits):
    d = dnorm_logits.clone()
    d[range(len(d)), logits.argmax(1)] = dlogit_maxes[:, 0]
    return d


# %% ex1_08 | in place
def d_logits(dnorm_logits, dlogit_maxes, logits):
    dnorm_logits += dlogit_maxes * F.one_hot(logits.argmax(1), logits.shape[1])
    return dnorm_logits


# %% ex1_09 | transposed
def d_h(dlogits, W2):
    return W2 @ dlogits.T


# %% ex1_09 | mean over the vocabulary
def d_h(dlogits, W2):
    return dlogits @ W2.T / W2.shape[1]


# %% ex1_09 | ignores dlogits
def d_h(dlogits, W2):
    return W2.sum(1).expand(len(dlogits), -1)


# %% ex1_10 | transposed
def d_W2(dlogits, h):
    return dlogits.T @ h


# %% ex1_10 | averaged over the batch
def d_W2(dlogits, h):
    return h.T @ dlogits / len(h)


# %% ex1_10 | multiplies the sums
def d_W2(dlogits, h):
    return h.sum(0)[:, None] * dlogits.sum(0)


# %% ex1_11 | must be summed backward
def d_b2(dlogits):
    return dlogits.clone()


# %% ex1_11 | averaged over the batch
def d_b2(dlogits):
    return dlogits.mean(0)


# %% ex1_11 | summed over the columns
def d_b2(dlogits):
    return dlogits.sum(1)


# %% ex1_11 | without `keepdim`
def d_b2(dlogits):
    return dlogits.sum(0, keepdim=True)


# %% ex1_12 | applies tanh twice
def d_hpreact(dh, h):
    return dh * (1 - h.tanh() ** 2)


# %% ex1_12 | lacks the square
def d_hpreact(dh, h):
    return dh * (1 - h)


# %% ex1_12 | 1 - h² belongs
def d_hpreact(dh, h):
    return dh * h**2


# %% ex1_12 | local derivative alone
def d_hpreact(dh, h):
    return 1 - h**2


# %% ex1_12 | sigmoid's
def d_hpreact(dh, h):
    return dh * h * (1 - h)


# %% ex1_13 | must be summed backward
def d_bngain(dhpreact, bnraw):
    return dhpreact * bnraw


# %% ex1_13 | keepdim=True
def d_bngain(dhpreact, bnraw):
    return (dhpreact * bnraw).sum(0)


# %% ex1_13 | summed over the columns
def d_bngain(dhpreact, bnraw):
    return (dhpreact * bnraw).sum(1, keepdim=True)


# %% ex1_13 | lacks the factor bnraw
def d_bngain(dhpreact, bnraw):
    return dhpreact.sum(0, keepdim=True)


# %% ex1_14 | must be summed backward
def d_bnbias(dhpreact):
    return dhpreact.clone()


# %% ex1_14 | averaged over the batch
def d_bnbias(dhpreact):
    return dhpreact.mean(0, keepdim=True)


# %% ex1_14 | summed over the columns
def d_bnbias(dhpreact):
    return dhpreact.sum(1, keepdim=True)


# %% ex1_14 | keepdim=True
def d_bnbias(dhpreact):
    return dhpreact.sum(0)


# %% ex1_15 | passes dhpreact on
def d_bnraw(dhpreact, bngain):
    return dhpreact.clone()


# %% ex1_15 | divides by bngain
def d_bnraw(dhpreact, bngain):
    return dhpreact / bngain


# %% ex1_15 | not broadcast
def d_bnraw(dhpreact, bngain):
    return (dhpreact * bngain).sum(0, keepdim=True)


# %% ex1_16 | must be summed backward
def d_bnvar_inv(dbnraw, bndiff):
    return dbnraw * bndiff


# %% ex1_16 | keepdim=True
def d_bnvar_inv(dbnraw, bndiff):
    return (dbnraw * bndiff).sum(0)


# %% ex1_16 | averaged over the batch
def d_bnvar_inv(dbnraw, bndiff):
    return (dbnraw * bndiff).mean(0, keepdim=True)


# %% ex1_16 | lacks the factor bndiff
def d_bnvar_inv(dbnraw, bndiff):
    return dbnraw.sum(0, keepdim=True)


# %% ex1_17 | lacks epsilon
def d_bnvar(dbnvar_inv, bnvar):
    return dbnvar_inv * -0.5 * bnvar**-1.5


# %% ex1_17 | factor 0.5
def d_bnvar(dbnvar_inv, bnvar):
    return -dbnvar_inv * (bnvar + 1e-5) ** -1.5


# %% ex1_17 | lowers it by one
def d_bnvar(dbnvar_inv, bnvar):
    return -0.5 * dbnvar_inv * (bnvar + 1e-5) ** -0.5


# %% ex1_17 | lost the minus
def d_bnvar(dbnvar_inv, bnvar):
    return 0.5 * dbnvar_inv * (bnvar + 1e-5) ** -1.5


# %% ex1_18 | divided by n:
def d_bndiff2(dbnvar, bndiff2):
    return (dbnvar / len(bndiff2)).expand_as(bndiff2)


# %% ex1_18 | lacks the factor 1 / (n - 1)
def d_bndiff2(dbnvar, bndiff2):
    return dbnvar.expand_as(bndiff2)


# %% ex1_18 | still has the shape of bnvar
def d_bndiff2(dbnvar, bndiff2):
    return dbnvar / (len(bndiff2) - 1)


# %% ex1_18 | multiplied by bndiff2
def d_bndiff2(dbnvar, bndiff2):
    return dbnvar / (len(bndiff2) - 1) * bndiff2


# %% ex1_19 | squared on its way
def d_bndiff(dbnraw, bnvar_inv, dbndiff2, bndiff):
    return dbnraw * bnvar_inv


# %% ex1_19 | into bnraw directly
def d_bndiff(dbnraw, bnvar_inv, dbndiff2, bndiff):
    return dbndiff2 * 2 * bndiff


# %% ex1_19 | factor 2
def d_bndiff(dbnraw, bnvar_inv, dbndiff2, bndiff):
    return dbnraw * bnvar_inv + dbndiff2 * bndiff


# %% ex1_19 | derivative of x² is 2x
def d_bndiff(dbnraw, bnvar_inv, dbndiff2, bndiff):
    return dbnraw * bnvar_inv + 2 * dbndiff2


# %% ex1_20 | lost the minus
def d_bnmeani(dbndiff):
    return dbndiff.sum(0, keepdim=True)


# %% ex1_20 | must be summed backward
def d_bnmeani(dbndiff):
    return -dbndiff


# %% ex1_20 | keepdim=True
def d_bnmeani(dbndiff):
    return -dbndiff.sum(0)


# %% ex1_20 | too early
def d_bnmeani(dbndiff):
    return -dbndiff.mean(0, keepdim=True)


# %% ex1_21 | goes into the mean
def d_hprebn(dbndiff, dbnmeani):
    return dbndiff.clone()


# %% ex1_21 | into bndiff directly
def d_hprebn(dbndiff, dbnmeani):
    return (dbnmeani / len(dbndiff)).expand_as(dbndiff)


# %% ex1_21 | lacks the factor 1 / n
def d_hprebn(dbndiff, dbnmeani):
    return dbndiff + dbnmeani


# %% ex1_21 | variance's divisor
def d_hprebn(dbndiff, dbnmeani):
    return dbndiff + dbnmeani / (len(dbndiff) - 1)


# %% ex1_21 | in dbnmeani already
def d_hprebn(dbndiff, dbnmeani):
    return dbndiff - dbnmeani / len(dbndiff)


# %% ex1_22 | transposed
def d_embcat(dhprebn, W1):
    return W1 @ dhprebn.T


# %% ex1_22 | mean over the hidden
def d_embcat(dhprebn, W1):
    return dhprebn @ W1.T / W1.shape[1]


# %% ex1_22 | ignores dhprebn
def d_embcat(dhprebn, W1):
    return W1.sum(1).expand(len(dhprebn), -1)


# %% ex1_23 | transposed
def d_W1(dhprebn, embcat):
    return dhprebn.T @ embcat


# %% ex1_23 | averaged over the batch
def d_W1(dhprebn, embcat):
    return embcat.T @ dhprebn / len(embcat)


# %% ex1_23 | multiplies the sums
def d_W1(dhprebn, embcat):
    return embcat.sum(0)[:, None] * dhprebn.sum(0)


# %% ex1_24 | must be summed backward
def d_b1(dhprebn):
    return dhprebn.clone()


# %% ex1_24 | averaged over the batch
def d_b1(dhprebn):
    return dhprebn.mean(0)


# %% ex1_24 | summed over the columns
def d_b1(dhprebn):
    return dhprebn.sum(1)


# %% ex1_24 | without `keepdim`
def d_b1(dhprebn):
    return dhprebn.sum(0, keepdim=True)


# %% ex1_25 | undo the view
def d_emb(dembcat, emb):
    return dembcat.clone()


# %% ex1_25 | exchanged
def d_emb(dembcat, emb):
    return dembcat.view(len(emb), emb.shape[2], emb.shape[1])


# %% ex1_25 | wrong order
def d_emb(dembcat, emb):
    return dembcat.view(len(emb), emb.shape[2], emb.shape[1]).transpose(1, 2)


# %% ex1_25 | a view has no factor
def d_emb(dembcat, emb):
    return dembcat.view(emb.shape) * emb


# %% ex1_26 | counts a character that occurs several times once
def d_C(demb, x, C):
    dC = torch.zeros_like(C)
    dC[x] += demb
    return dC


# %% ex1_26 | once: `dC[x] += demb`
def d_C(demb, x, C):
    dC = torch.zeros_like(C)
    dC[x] = demb
    return dC


# %% ex1_26 | start from zeros
def d_C(demb, x, C):
    return C.clone().index_add_(0, x.flatten(), demb.flatten(0, 1))


# %% ex1_26 | averaged over a character
def d_C(demb, x, C):
    dC = torch.zeros_like(C).index_add_(0, x.flatten(), demb.flatten(0, 1))
    return dC / torch.bincount(x.flatten(), minlength=len(C)).clamp(min=1)[:, None]


# %% ex1_26 | in place
def d_C(demb, x, C):
    return C.zero_().index_add_(0, x.flatten(), demb.flatten(0, 1))


# %% ex2 | lacks the mean
def cross_entropy_backward(logits, y):
    return F.softmax(logits, 1) - F.one_hot(y, logits.shape[1])


# %% ex2 | wrong sign
def cross_entropy_backward(logits, y):
    return (F.one_hot(y, logits.shape[1]) - F.softmax(logits, 1)) / len(y)


# %% ex2 | normalises over the batch
def cross_entropy_backward(logits, y):
    return (F.softmax(logits, 0) - F.one_hot(y, logits.shape[1])) / len(y)


# %% ex2 | lacks the one-hot
def cross_entropy_backward(logits, y):
    return F.softmax(logits, 1) / len(y)


# %% ex2 | both parts are divided
def cross_entropy_backward(logits, y):
    d = F.softmax(logits, 1) / len(y)
    d[range(len(y)), y] -= 1
    return d


# %% ex2 | exp overflows
def cross_entropy_backward(logits, y):
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return (p - F.one_hot(y, logits.shape[1])) / len(y)


# %% ex2 | is divided by the vocabulary
def cross_entropy_backward(logits, y):
    return (F.softmax(logits, 1) - F.one_hot(y, logits.shape[1])) / logits.shape[1]


# %% ex3 | divides the last term by n
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact * bngain
    return bnvar_inv * (g - g.mean(0) - bnraw * (g * bnraw).sum(0) / n)


# %% ex3 | lacks the mean's term
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact * bngain
    return bnvar_inv * (g - bnraw * (g * bnraw).sum(0) / (n - 1))


# %% ex3 | lacks the variance's term
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact * bngain
    return bnvar_inv * (g - g.mean(0))


# %% ex3 | neither the mean's nor
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    return dhpreact * bngain * bnvar_inv


# %% ex3 | lacks the factor bngain
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact
    return bnvar_inv * (g - g.mean(0) - bnraw * (g * bnraw).sum(0) / (n - 1))


# %% ex3 | lacks the factor bnvar_inv
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact * bngain
    return g - g.mean(0) - bnraw * (g * bnraw).sum(0) / (n - 1)


# %% ex3 | sum where the mean belongs
def batchnorm_backward(dhpreact, bngain, bnraw, bnvar_inv):
    n, g = len(dhpreact), dhpreact * bngain
    return bnvar_inv * (g - g.sum(0) - bnraw * (g * bnraw).sum(0) / (n - 1))


# %% ex4 | divides BatchNorm's last term by n - 1
def gradients(P, x, y):
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dlogits /= n
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / (n - 1))  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"]).index_add_(0, x.flatten(), demb)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
        "b2": dlogits.sum(0),
    }
    return loss, grads


# %% ex4 | without the variance's term
def gradients(P, x, y):
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dlogits /= n
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n)  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"]).index_add_(0, x.flatten(), demb)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
        "b2": dlogits.sum(0),
    }
    return loss, grads


# %% ex4 | counts a repeated character once
def gradients(P, x, y):
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dlogits /= n
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / n)  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"])
    dC[x] += demb.view(*x.shape, -1)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
        "b2": dlogits.sum(0),
    }
    return loss, grads


# %% ex4 | n times too large
def gradients(P, x, y):
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / n)  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"]).index_add_(0, x.flatten(), demb)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
        "b2": dlogits.sum(0),
    }
    return loss, grads


# %% ex4 | there is no gradient for b2
def gradients(P, x, y):
    n = len(x)
    embcat = P["C"][x].flatten(1)  # (N, T·E)
    hprebn = embcat @ P["W1"]  # (N, H)
    bndiff = hprebn - hprebn.mean(0)  # (N, H)
    bnvar_inv = (bndiff.square().mean(0) + 1e-5) ** -0.5  # (H,)
    bnraw = bndiff * bnvar_inv  # (N, H)
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])  # (N, H)
    logits = h @ P["W2"] + P["b2"]  # (N, V)
    loss = F.cross_entropy(logits, y)

    dlogits = F.softmax(logits, 1)  # (N, V)
    dlogits[torch.arange(n), y] -= 1
    dlogits /= n
    dhpreact = (dlogits @ P["W2"].T) * (1 - h**2)  # (N, H)
    dbngain, dbnbias = (dhpreact * bnraw).sum(0), dhpreact.sum(0)  # (H,), (H,)
    dhprebn = P["bngain"] * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / n)  # (N, H)
    demb = (dhprebn @ P["W1"].T).view(x.numel(), -1)  # (N·T, E)
    dC = torch.zeros_like(P["C"]).index_add_(0, x.flatten(), demb)
    grads = {
        "C": dC,
        "W1": embcat.T @ dhprebn,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": h.T @ dlogits,
    }
    return loss, grads


# %% ex4 | autograd did the work
def gradients(P, x, y):
    for p in P.values():
        p.requires_grad_()
    hp = F.batch_norm(P["C"][x].flatten(1) @ P["W1"], None, None, P["bngain"], P["bnbias"], training=True)
    loss = F.cross_entropy(hp.tanh() @ P["W2"] + P["b2"], y)
    loss.backward()
    return loss, {name: p.grad for name, p in P.items()}


# %% ex4 | autograd did the work
def gradients(P, x, y):
    Q = {name: p.clone().requires_grad_() for name, p in P.items()}
    hp = F.batch_norm(Q["C"][x].flatten(1) @ Q["W1"], None, None, Q["bngain"], Q["bnbias"], training=True)
    loss = F.cross_entropy(hp.tanh() @ Q["W2"] + Q["b2"], y)
    return loss, dict(zip(Q, torch.autograd.grad(loss, list(Q.values()))))


# %% ex4 | torch's default
def gradients(P, x, y):
    hprebn = P["C"][x].flatten(1) @ P["W1"]
    bnraw = (hprebn - hprebn.mean(0)) * (hprebn.var(0) + 1e-5) ** -0.5
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])
    return F.cross_entropy(h @ P["W2"] + P["b2"], y), {}


# %% ex4 | sum over the examples
def gradients(P, x, y):
    hprebn = P["C"][x].flatten(1) @ P["W1"]
    bnraw = (hprebn - hprebn.mean(0)) * (hprebn.var(0, correction=0) + 1e-5) ** -0.5
    h = torch.tanh(P["bngain"] * bnraw + P["bnbias"])
    return F.cross_entropy(h @ P["W2"] + P["b2"], y, reduction="sum"), {}


# %% ex4_train | uphill
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] += rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | have not changed
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            p = P[name]
            p = p - rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | same batch
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    pick = torch.randint(len(X), (batch,))
    for _ in train.progress(steps, "by hand"):
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | do not belong together
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[torch.randint(len(X), (batch,))])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | learning rate is missing
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | C is not updated
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in list(P)[1:]:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | return the losses
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return None


# %% ex4_train | new tensors
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for _ in train.progress(steps, "by hand"):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] = P[name] - rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | with replacement
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = torch.randperm(len(X))[:batch]
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | with replacement
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = (torch.arange(batch) + step * batch) % len(X)
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | never drawn
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = torch.randint(len(X) - 1, (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | the first step of
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= 0.1 * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | step 2 of
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate / (step + 1) * grads[name]
        losses.append(loss)
    return losses


# %% ex4_train | loss number 2
def train_by_hand(P, X, Y, gradients, steps, batch, rate):
    losses = []
    for step in range(steps):
        pick = torch.randint(len(X), (batch,))
        loss, grads = gradients(P, X[pick], Y[pick])
        for name in P:
            P[name] -= rate * grads[name]
        losses.append(loss if step == 0 else losses[0])
    return losses


# %% extra_softmax | diagonal only
def softmax_backward(dprobs, probs):
    return dprobs * probs * (1 - probs)


# %% extra_softmax | lacks the shared sum
def softmax_backward(dprobs, probs):
    return dprobs * probs


# %% extra_softmax | weighted with probs
def softmax_backward(dprobs, probs):
    return probs * (dprobs - dprobs.mean(-1, keepdim=True))


# %% extra_softmax | factor probs in front
def softmax_backward(dprobs, probs):
    return dprobs - (dprobs * probs).sum(-1, keepdim=True)


# %% extra_softmax | along the last
def softmax_backward(dprobs, probs):
    return probs * (dprobs - (dprobs * probs).sum(0, keepdim=True))


# %% extra_layernorm | over the features of each row
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.mean(0) - raw * (g * raw).mean(0))
    return dx, (dy * raw).sum(0), dy.sum(0)


# %% extra_layernorm | lacks the variance's term
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n)
    return dx, (dy * raw).sum(0), dy.sum(0)


# %% extra_layernorm | varies along the row
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = gain * inverse * (dy - dy.mean(1, keepdim=True) - raw * (dy * raw).mean(1, keepdim=True))
    return dx, (dy * raw).sum(0), dy.sum(0)


# %% extra_layernorm | must be summed backward
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n - raw * (g * raw).sum(1, keepdim=True) / n)
    return dx, dy * raw, dy.sum(0)


# %% extra_layernorm | instead of the normalised x
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n - raw * (g * raw).sum(1, keepdim=True) / n)
    return dx, (dy * x).sum(0), dy.sum(0)


# %% extra_layernorm | divides by n
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n - raw * (g * raw).sum(1, keepdim=True) / (n - 1))
    return dx, (dy * raw).sum(0), dy.sum(0)


# %% extra_layernorm | return 3 tensors
def layernorm_backward(dy, x, gain):
    n = x.shape[1]
    inverse = (x.var(1, correction=0, keepdim=True) + 1e-5) ** -0.5  # (N, 1)
    raw = (x - x.mean(1, keepdim=True)) * inverse  # (N, C)
    g = dy * gain  # (N, C)
    dx = inverse * (g - g.sum(1, keepdim=True) / n - raw * (g * raw).sum(1, keepdim=True) / n)
    return dx


# %% extra_attention | lacks 1/sqrt(D)
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (B, T, T)
    return dscores @ k, dscores.mT @ q / D**0.5, dv


# %% extra_attention | skips the softmax
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = dweights  # (B, T, T)
    return dscores @ k / D**0.5, dscores.mT @ q / D**0.5, dv


# %% extra_attention | diagonal only
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * dweights  # (B, T, T)
    return dscores @ k / D**0.5, dscores.mT @ q / D**0.5, dv


# %% extra_attention | looks into the future
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = q @ k.mT / D**0.5  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (B, T, T)
    return dscores @ k / D**0.5, dscores.mT @ q / D**0.5, dv


# %% extra_attention | dscores not transposed
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights.mT @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (B, T, T)
    return dscores @ k / D**0.5, dscores @ q / D**0.5, dv


# %% extra_attention | weights not transposed
def attention_backward(dout, q, k, v):
    _, T, D = q.shape
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    scores = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf)  # (B, T, T)
    weights = scores.softmax(-1)  # (B, T, T)
    dv = weights @ dout  # (B, T, D)
    dweights = dout @ v.mT  # (B, T, T)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (B, T, T)
    return dscores @ k / D**0.5, dscores.mT @ q / D**0.5, dv
