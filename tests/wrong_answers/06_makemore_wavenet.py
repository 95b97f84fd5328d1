# Wrong answers to exercises/06_makemore_wavenet.ipynb, each to be rejected in the words of its header.

# %% e01 | other way round
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, 0))
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        z = torch.sigmoid(f) * torch.tanh(g)
        return x + self.residual(z), self.skip(z)


# %% e01 | the condition h reaches the filter only
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, 0))
        z = torch.tanh(self.filter(padded) + self.filter_of_h(h)[:, :, None]) * torch.sigmoid(self.gate(padded))
        return x + self.residual(z), self.skip(z)


# %% e01 | the condition h is not used
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, 0))
        z = torch.tanh(self.filter(padded)) * torch.sigmoid(self.gate(padded))
        return x + self.residual(z), self.skip(z)


# %% e01 | got shorter
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        z = torch.tanh(self.filter(x) + self.filter_of_h(h)[:, :, None]) * torch.sigmoid(
            self.gate(x) + self.gate_of_h(h)[:, :, None]
        )
        return x[:, :, self.dilation :] + self.residual(z), self.skip(z)


# %% e01 | the future
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (0, self.dilation))
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        z = torch.tanh(f) * torch.sigmoid(g)
        return x + self.residual(z), self.skip(z)


# %% e01 | on the left of z
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        f = self.filter(x) + self.filter_of_h(h)[:, :, None]
        g = self.gate(x) + self.gate_of_h(h)[:, :, None]
        z = F.pad(torch.tanh(f) * torch.sigmoid(g), (self.dilation, 0))
        return x + self.residual(z), self.skip(z)


# %% e01 | got longer
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, self.dilation))
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        z = torch.tanh(f) * torch.sigmoid(g)
        return self.residual(z), self.skip(z)


# %% e01 | the skip comes from z
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, 0))
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        x = x + self.residual(torch.tanh(f) * torch.sigmoid(g))
        return x, self.skip(x)


# %% e01 | residual connection is missing
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        padded = F.pad(x, (self.dilation, 0))
        f = self.filter(padded) + self.filter_of_h(h)[:, :, None]
        g = self.gate(padded) + self.gate_of_h(h)[:, :, None]
        z = torch.tanh(f) * torch.sigmoid(g)
        return self.residual(z), self.skip(z)


# %% e01 | in the other order
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        result, skip = super().forward(x, h)
        return skip, result


# %% e01 | no gradient reaches x
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        return super().forward(x.detach(), h)


# %% e01 | changed its input x in place
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        result, skip = super().forward(x, h)
        x.data += 1
        return result, skip


# %% e01 | ignores the dilation
class GatedBlock(GatedBlock):
    def __init__(self, channels, skips, condition, dilation):
        super().__init__(channels, skips, condition, dilation)
        self.gate = nn.Conv1d(channels, channels, 2)


# %% e01 | `skip.weight` should have shape
class GatedBlock(GatedBlock):
    def __init__(self, channels, skips, condition, dilation):
        super().__init__(channels, channels, condition, dilation)


# %% e01 | should return two tensors
class GatedBlock(GatedBlock):
    def forward(self, x, h):
        return super().forward(x, h)[0]


# %% e02 | was the model trained
def fit(words):
    return LastEight(Sequential(Embedding(27, 24), FlattenConsecutive(8), Linear(192, 27, gain=0.1))).eval()


# %% e02 | still in training mode
def fit(words):
    return LastEight(
        Sequential(
            Embedding(27, 24),
            FlattenConsecutive(8),
            Linear(192, 64),
            BatchNormLast(64),
            nn.BatchNorm1d(64),
            Linear(64, 27),
        )
    ).apply(lambda m: setattr(m, "training", isinstance(m, nn.BatchNorm1d)))


# %% e02 | returns probabilities
def fit(words):
    X, Y = build_dataset(words, 1)
    N = torch.ones(27, 27)
    N.index_put_((X[:, 0], Y), torch.ones(len(Y)), accumulate=True)
    return lambda x: (N / N.sum(1, keepdim=True))[x[:, -1]]


# %% e02 | not yet below 1.993
def fit(words):
    X, Y = build_dataset(words, 1)
    N = torch.ones(27, 27)
    N.index_put_((X[:, 0], Y), torch.ones(len(Y)), accumulate=True)
    return lambda x: N[x[:, -1]].log()


# %% e02 | seen the held-out names
def fit(words):
    from course_utils.lectures.names import load_names, split_words

    X, Y = build_dataset(split_words(load_names())[1], 8)
    seen = {}
    for context, y in zip(X.tolist(), Y.tolist()):
        seen.setdefault(tuple(context), torch.full((27,), 0.01))[y] += 1
    return lambda x: torch.stack([seen.get(tuple(row), torch.ones(27)) for row in x[:, -8:].tolist()]).log()


# %% e02 | should return (64, 27)
def fit(words):
    return nn.Sequential(nn.Embedding(27, 27))


# %% e02 | should return a model
def fit(words):
    return 1.99


# %% e03 | pads both sides
def is_causal(net, vocab, T):
    return True


# %% e03 | rejected a causal network
def is_causal(net, vocab, T):
    return False


# %% e03 | may use character t itself
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = (changed[:, t] + 1) % vocab
        if (net(changed)[:, : t + 1] - net(text)[:, : t + 1]).abs().max() > 1e-5:
            return False
    return True


# %% e03 | over rounding
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = (changed[:, t] + 1) % vocab
        if not torch.equal(net(changed)[:, :t], net(text)[:, :t]):
            return False
    return True


# %% e03 | change every position
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    changed = text.clone()
    changed[:, -1] = (changed[:, -1] + 1) % vocab
    return bool((net(changed)[:, :-1] - net(text)[:, :-1]).abs().max() < 1e-5)


# %% e03 | a long reach
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = torch.randint(vocab, (64,))
        if (net(changed)[:, t - 1] - net(text)[:, t - 1]).abs().max() > 1e-5:
            return False
    return True


# %% e03 | a faint leak
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = torch.randint(vocab, (64,))
        if not torch.allclose(net(changed)[:, :t], net(text)[:, :t], atol=1e-2):
            return False
    return True


# %% e03 | one text is luck
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (1, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = (changed[:, t] + 1) % vocab
        if (net(changed)[:, :t] - net(text)[:, :t]).abs().max() > 1e-5:
            return False
    return True


# %% e03 | batchnorm in training mode
def is_causal(net, vocab, T):
    mode = net.training
    net.eval()
    text = torch.randint(vocab, (64, T))
    verdict = True
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = torch.randint(vocab, (64,))
        verdict = verdict and bool((net(changed)[:, :t] - net(text)[:, :t]).abs().max() < 1e-5)
    net.train(mode)
    return verdict


# %% e03 | you left it in another mode
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, T))
    verdict = True
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = torch.randint(vocab, (64,))
        verdict = verdict and bool((net(changed)[:, :t] - net(text)[:, :t]).abs().max() < 1e-5)
    net.eval()
    return verdict


# %% e03 | true or false
def is_causal(net, vocab, T):
    return (net(torch.zeros(1, T, dtype=torch.long)) > 0)[0]


# %% e03 | here `vocab` is 9
def is_causal(net, vocab, T):
    text = torch.randint(27, (64, T))
    for t in range(1, T):
        changed = text.clone()
        changed[:, t] = (changed[:, t] + torch.randint(1, 27, (64,))) % 27
        if (net(changed)[:, :t] - net(text)[:, :t]).abs().max() > 1e-6:
            return False
    return True


# %% e03 | here T is 7
def is_causal(net, vocab, T):
    text = torch.randint(vocab, (64, 12))
    for t in range(1, 12):
        changed = text.clone()
        changed[:, t] = (changed[:, t] + torch.randint(1, vocab, (64,))) % vocab
        if (net(changed)[:, :t] - net(text)[:, :t]).abs().max() > 1e-6:
            return False
    return True


# %% e04 | gaps included
def receptive_field(layers):
    places = {0}
    for kernel, dilation, stride in reversed(layers):
        places = {place * stride + i * dilation for place in places for i in range(kernel)}
    return len(places)


# %% e04 | start at 1
def receptive_field(layers):
    reach, step = 0, 1
    for kernel, dilation, stride in layers:
        reach += (kernel - 1) * dilation * step
        step *= stride
    return reach


# %% e04 | the stride is ignored
def receptive_field(layers):
    return 1 + sum((kernel - 1) * dilation for kernel, dilation, _ in layers)


# %% e04 | multiply after you have added
def receptive_field(layers):
    reach, step = 1, 1
    for kernel, dilation, stride in layers:
        step *= stride
        reach += (kernel - 1) * dilation * step
    return reach


# %% e04 | k − 1 gaps
def receptive_field(layers):
    reach, step = 1, 1
    for kernel, dilation, stride in layers:
        reach += kernel * dilation * step
        step *= stride
    return reach


# %% e04 | the dilation is ignored
def receptive_field(layers):
    reach, step = 1, 1
    for kernel, _, stride in layers:
        reach += (kernel - 1) * step
        step *= stride
    return reach


# %% e04 | read from the top
def receptive_field(layers):
    reach, step = 1, 1
    for kernel, dilation, stride in layers[::-1]:
        reach += (kernel - 1) * dilation * step
        step *= stride
    return reach


# %% e04 | changed the list
def receptive_field(layers):
    reach, step = 1, 1
    while layers:
        kernel, dilation, stride = layers.pop(0)
        reach += (kernel - 1) * dilation * step
        step *= stride
    return reach
