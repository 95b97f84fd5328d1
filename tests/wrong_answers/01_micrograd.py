# Wrong answers to exercises/01_micrograd.ipynb, each to be rejected in the words of its header.

# %% e01 | chain rule is missing in e^(b/2)
def gradient_on_paper(a, b, c):
    return [2 * a * b + c / a, a**2 - math.exp(b / 2), math.log(a) - 1 / c**2]


# %% e01 | with a minus
def gradient_on_paper(a, b, c):
    return [2 * a * b + c / a, a**2 - math.exp(b / 2) / 2, math.log(a) + 1 / c**2]


# %% e01 | c·ln(a) depends on a
def gradient_on_paper(a, b, c):
    return [2 * a * b, a**2 - math.exp(b / 2) / 2, math.log(a) - 1 / c**2]


# %% e01 | as a nudge would be
def gradient_on_paper(a, b, c):
    h = 1e-6
    return [(g(a + h, b, c) - g(a, b, c)) / h, (g(a, b + h, c) - g(a, b, c)) / h, (g(a, b, c + h) - g(a, b, c)) / h]


# %% e01 | is None
def gradient_on_paper(a, b, c):
    [2 * a * b + c / a, a**2 - math.exp(b / 2) / 2, math.log(a) - 1 / c**2]


# %% e01 | should hold 3 numbers
def gradient_on_paper(a, b, c):
    return [2 * a * b + c / a, a**2 - math.exp(b / 2) / 2]


# %% e01 | the slope in a should be
def gradient_on_paper(a, b, c):
    return [0.0, 0.0, 0.0]


# %% e01 | as a nudge would be
def gradient_on_paper(a, b, c):
    h = 1e-5
    return [
        (g(a + h, b, c) - g(a - h, b, c)) / (2 * h),
        (g(a, b + h, c) - g(a, b - h, c)) / (2 * h),
        (g(a, b, c + h) - g(a, b, c - h)) / (2 * h),
    ]


# %% e01 | in another order
def gradient_on_paper(a, b, c):
    return [a**2 - math.exp(b / 2) / 2, 2 * a * b + c / a, math.log(a) - 1 / c**2]


# %% e02 | divided by nothing
def nudged_gradient(f, inputs, h=1e-6):
    return [f(*[x + h * (i == j) for j, x in enumerate(inputs)]) - f(*inputs) for i in range(len(inputs))]


# %% e02 | symmetric slope of E03
def nudged_gradient(f, inputs, h=1e-6):
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*up) - f(*down)) / (2 * h))
    return slopes


# %% e02 | pile up
def nudged_gradient(f, inputs, h=1e-6):
    here, nudged, slopes = f(*inputs), list(inputs), []
    for i in range(len(inputs)):
        nudged[i] += h
        slopes.append((f(*nudged) - here) / h)
    return slopes


# %% e02 | changed the list
def nudged_gradient(f, inputs, h=1e-6):
    here, slopes = f(*inputs), []
    for i in range(len(inputs)):
        inputs[i] += h
        slopes.append((f(*inputs) - here) / h)
    return slopes


# %% e02 | did not use the argument h
def nudged_gradient(f, inputs, h=1e-6):
    h = 1e-6
    return [(f(*[x + h * (i == j) for j, x in enumerate(inputs)]) - f(*inputs)) / h for i in range(len(inputs))]


# %% e02 | did not use the argument h
def nudged_gradient(f, inputs, h=1e-6):
    return [(f(*[x + 0.001 * (i == j) for j, x in enumerate(inputs)]) - f(*inputs)) / 0.001 for i in range(len(inputs))]


# %% e02 | f takes 1 numbers
def nudged_gradient(f, inputs, h=1e-6):
    a, b, c = (list(inputs) + [0.0, 0.0])[:3]
    return [(f(a + h, b, c) - f(a, b, c)) / h, (f(a, b + h, c) - f(a, b, c)) / h, (f(a, b, c + h) - f(a, b, c)) / h]


# %% e02 | wrong way round
def nudged_gradient(f, inputs, h=1e-6):
    return [(f(*inputs) - f(*[x + h * (i == j) for j, x in enumerate(inputs)])) / h for i in range(len(inputs))]


# %% e02 | all inputs were nudged at once
def nudged_gradient(f, inputs, h=1e-6):
    return [(f(*[x + h for x in inputs]) - f(*inputs)) / h for _ in inputs]


# %% e03 | you divided by h
def symmetric_gradient(f, inputs, h=1e-5):
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*up) - f(*down)) / h)
    return slopes


# %% e03 | write `/ (2 * h)`
def symmetric_gradient(f, inputs, h=1e-5):
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*up) - f(*down)) / 2 * h)
    return slopes


# %% e03 | one-sided slope of E02
def symmetric_gradient(f, inputs, h=1e-5):
    return nudged_gradient(f, inputs, h)


# %% e03 | and never down
def symmetric_gradient(f, inputs, h=1e-5):
    return [
        (f(*[x + 2 * h * (i == j) for j, x in enumerate(inputs)]) - f(*inputs)) / (2 * h) for i in range(len(inputs))
    ]


# %% e03 | changed the list
def symmetric_gradient(f, inputs, h=1e-5):
    slopes = []
    for i in range(len(inputs)):
        inputs[i] += h
        up = f(*inputs)
        inputs[i] -= 2 * h
        slopes.append((up - f(*inputs)) / (2 * h))
    return slopes


# %% e03 | wrong way round
def symmetric_gradient(f, inputs, h=1e-5):
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*down) - f(*up)) / (2 * h))
    return slopes


# %% e04 | overflows at x = -1000
def sigmoid(x):
    s = 1 / (1 + math.exp(-x.data))
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | overflows at x = 1000
def sigmoid(x):
    s = math.exp(x.data) / (1 + math.exp(x.data))
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | you put the input x in place of s
def sigmoid(x):
    s = (1 + math.tanh(x.data / 2)) / 2
    return Value(s, (x,), "sigmoid", (x.data * (1 - x.data),))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | 1 − s² belongs to tanh
def sigmoid(x):
    s = (1 + math.tanh(x.data / 2)) / 2
    return Value(s, (x,), "sigmoid", (1 - s**2,))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | do you cut x off
def sigmoid(x):
    s = 1 / (1 + math.exp(-max(-30.0, min(30.0, x.data))))
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (float(x.data > 0),))


# %% e04 | does not know its input
def sigmoid(x):
    return Value((1 + math.tanh(x.data / 2)) / 2)


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | one node with its own slope
def sigmoid(x):
    return ((x / 2).tanh() + 1) / 2


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))


# %% e04 | should be a Value
def sigmoid(x):
    return (1 + math.tanh(x.data / 2)) / 2


def relu(x):
    return max(0.0, x.data)


# %% e04 | use `>`, not `>=`
def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data >= 0 else 0.0,))


def sigmoid(x):
    s = (1 + math.tanh(x.data / 2)) / 2
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


# %% e04 | changed the grad of its input
def sigmoid(x):
    s = 0.5 * (1 + math.tanh(x.data / 2))
    x.grad += s * (1 - s)
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (float(x.data > 0),))


# %% e04 | build the node yourself
def relu(x):
    return x.relu()


def sigmoid(x):
    s = (1 + math.tanh(x.data / 2)) / 2
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


# %% e04 | kept the result as the slope
def relu(x):
    return Value(max(0.0, x.data), (x,), "relu", (max(0.0, x.data),))


def sigmoid(x):
    s = (1 + math.tanh(x.data / 2)) / 2
    return Value(s, (x,), "sigmoid", (s * (1 - s),))


# %% e05 | take abs()
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max((v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | compare only one input
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return abs(leaves[0].grad - nudged[0]) / max(1.0, abs(nudged[0]))


# %% e05 | absolute difference
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) for v, n in zip(leaves, nudged))


# %% e05 | something independent
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    return 0.0


# %% e05 | f takes Values
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(f, inputs, h)
    return max(abs(v.grad - n) for v, n in zip(leaves, nudged))


# %% e05 | to one side only
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    h = min(h, 1e-7) if h < 1e-3 else h
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = nudged_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | the task asks for the worst
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return sum(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)) / len(inputs)


# %% e05 | one plain number
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return [abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)]


# %% e06 | shift all scores
def softmax(scores):
    powers = [z.exp() for z in scores]
    return [power / sum(powers) for power in powers]


# %% e06 | by the largest one first
def softmax(scores):
    exps = [(z - scores[0].data).exp() for z in scores]
    return [e / sum(exps) for e in exps]


# %% e06 | no gradient reaches the scores
def softmax(scores):
    largest = max(z.data for z in scores)
    powers = [math.exp(z.data - largest) for z in scores]
    return [Value(power / sum(powers)) for power in powers]


# %% e06 | keep it a Value
def softmax(scores):
    largest = max(z.data for z in scores)
    powers = [(z - largest).exp() for z in scores]
    total = sum(power.data for power in powers)
    return [power / total for power in powers]


# %% e06 | should be a Value
def softmax(scores):
    largest = max(z.data for z in scores)
    powers = [math.exp(z.data - largest) for z in scores]
    return [power / sum(powers) for power in powers]


# %% e06 | do not sum to 1
def softmax(scores):
    largest = max(z.data for z in scores)
    return [(z - largest).exp() for z in scores]


# %% e06 | changed the scores
def softmax(scores):
    largest = max(z.data for z in scores)
    for z in scores:
        z.data -= largest
    powers = [z.exp() for z in scores]
    return [power / sum(powers) for power in powers]


# %% e06 | negated scores
def softmax(scores):
    smallest = min(z.data for z in scores)
    powers = [(smallest - z).exp() for z in scores]
    return [power / sum(powers) for power in powers]


# %% e07 | the sign is wrong
def negative_log_likelihood(scores, target):
    largest = max(z.data for z in scores)
    return (scores[target] - largest) - sum((z - largest).exp() for z in scores).log()


# %% e07 | probability is 0 in floats
def negative_log_likelihood(scores, target):
    return -softmax(scores)[target].log()


# %% e07 | overflows for a score of 1000
def negative_log_likelihood(scores, target):
    return sum(z.exp() for z in scores).log() - scores[target]


# %% e07 | by the largest one first
def negative_log_likelihood(scores, target):
    m = scores[0].data
    return sum((z - m).exp() for z in scores).log() - (scores[target] - m)


# %% e07 | subtracted inside the sum only
def negative_log_likelihood(scores, target):
    m = max(z.data for z in scores)
    return sum((z - m).exp() for z in scores).log() - scores[target]


# %% e07 | ignores `target`
def negative_log_likelihood(scores, target):
    m = max(z.data for z in scores)
    return sum((z - m).exp() for z in scores).log()


# %% e07 | ignores `target`
def negative_log_likelihood(scores, target):
    largest = max(z.data for z in scores)
    return sum((z - largest).exp() for z in scores).log() - (scores[0] - largest)


# %% e07 | no gradient reaches the scores
def negative_log_likelihood(scores, target):
    largest = max(z.data for z in scores)
    return Value(math.log(sum(math.exp(z.data - largest) for z in scores)) - (scores[target].data - largest))


# %% e07 | reaches the target's score only
def negative_log_likelihood(scores, target):
    largest = max(z.data for z in scores)
    return math.log(sum(math.exp(z.data - largest) for z in scores)) - (scores[target] - largest)


# %% e07 | the logarithm is missing
def negative_log_likelihood(scores, target):
    return -softmax(scores)[target]


# %% e07 | misses the target's own term
def negative_log_likelihood(scores, target):
    largest = max(z.data for z in scores)
    return sum((z - largest).exp() for z in scores).log() - (scores[target].data - largest)


# %% e08 | plain gradient descent
class Momentum(Momentum):
    def step(self):
        for p in self.parameters:
            p.data -= self.rate * p.grad


# %% e08 | factor (1 − beta)
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + (1 - self.beta) * p.grad
            p.data -= self.rate * self.velocities[i]


# %% e08 | the rate is inside the velocity
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + self.rate * p.grad
            p.data -= self.velocities[i]


# %% e08 | uphill
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + p.grad
            p.data += self.rate * self.velocities[i]


# %% e08 | share one velocity
class Momentum(Momentum):
    def step(self):
        for p in self.parameters:
            self.velocities[0] = self.beta * self.velocities[0] + p.grad
            p.data -= self.rate * self.velocities[0]


# %% e08 | without friction
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] += p.grad
            p.data -= self.rate * self.velocities[i]


# %% e08 | read self.rate at each step
class Momentum:
    def __init__(self, parameters, rate, beta=0.9):
        self.parameters, self.start, self.beta = parameters, rate, beta
        self.velocities = [0.0] * len(parameters)

    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + p.grad
            p.data -= self.start * self.velocities[i]


# %% e08 | beta is fixed at 0.9
class Momentum:
    def __init__(self, parameters, rate, beta=0.9):
        self.parameters, self.rate, self.beta = parameters, rate, beta
        self.velocities = [0.0] * len(parameters)

    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = 0.9 * self.velocities[i] + p.grad
            p.data -= self.rate * self.velocities[i]


# %% e08 | changed the gradients
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + p.grad
            p.data -= self.rate * self.velocities[i]
            p.grad = 0.0


# %% e08 | did not move
class Momentum(Momentum):
    def step(self):
        for velocity, p in zip(self.velocities, self.parameters):
            velocity = self.beta * velocity + p.grad


# %% e08 | along the old velocity
class Momentum(Momentum):
    def step(self):
        for i, p in enumerate(self.parameters):
            p.data -= self.rate * self.velocities[i]
            self.velocities[i] = self.beta * self.velocities[i] + p.grad


# %% e09 | The first: a / b
def repairs():
    return {}


# %% e09 | a.tanh()
def repairs():
    def divide(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data**2))

    return {"__truediv__": divide}


# %% e09 | when backward passes
def repairs():
    def divide(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data**2))

    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t**2))

    return {"__truediv__": divide, "tanh": tanh}


# %% e09 | leave it alone
def repairs():
    def divide(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data**2))

    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t**2))

    def exp(self):
        e = math.exp(self.data)
        return self.node(e, "exp", (self, e))

    def backward(self):
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return {"__truediv__": divide, "tanh": tanh, "backward": backward, "exp": exp}


# %% e09 | recursive
def repairs():
    def divide(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data**2))

    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t**2))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for entry in node.inputs:
                    visit(entry)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return {"__truediv__": divide, "tanh": tanh, "backward": backward}


# %% e09 | when backward passes
def repairs():
    def divide(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data**2))

    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t**2))

    def backward(self):
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad = slope * node.grad

    return {"__truediv__": divide, "tanh": tanh, "backward": backward}


# %% e09 | a dictionary of functions
def repairs():
    return ["tanh", "backward", "__truediv__"]


# %% e09 | let self.wrap(other) make a node
right = repairs


def repairs():
    def truediv(self, other):
        slopes = 1 / other.data, -self.data / other.data**2
        return self.node(self.data / other.data, "/", (self, slopes[0]), (other, slopes[1]))

    return right() | {"__truediv__": truediv}


# %% e09 | The first: a / 4
right = repairs


def repairs():
    def truediv(self, other):
        if not isinstance(other, Broken):
            return self.node(self.data / other, "/", (self, other))
        slopes = 1 / other.data, -self.data / other.data**2
        return self.node(self.data / other.data, "/", (self, slopes[0]), (other, slopes[1]))

    return right() | {"__truediv__": truediv}


# %% e09 | The first: a / b
right = repairs


def repairs():
    def truediv(self, other):
        other = self.wrap(other)
        slopes = 1 / other.data, self.data / other.data**2
        return self.node(self.data / other.data, "/", (self, slopes[0]), (other, slopes[1]))

    return right() | {"__truediv__": truediv}


# %% e09 | overflows at a = 400
right = repairs


def repairs():
    def tanh(self):
        e = math.exp(2 * self.data)
        t = (e - 1) / (e + 1)
        return self.node(t, "tanh", (self, 1 - t**2))

    return right() | {"tanh": tanh}


# %% e09 | overflows at a = -400
right = repairs


def repairs():
    def tanh(self):
        return self.node(math.tanh(self.data), "tanh", (self, 1 / math.cosh(self.data) ** 2))

    return right() | {"tanh": tanh}


# %% e09 | a.tanh() at a = 8, b = 1 should be
right = repairs


def repairs():
    def tanh(self):
        t = math.tanh(max(-3.0, min(3.0, self.data)))
        return self.node(t, "tanh", (self, 1 - t**2))

    return right() | {"tanh": tanh}


# %% e09 | The first: a.tanh()
right = repairs


def repairs():
    def tanh(self):
        h = 1e-5
        slope = (math.tanh(self.data + h) - math.tanh(self.data - h)) / (2 * h)
        return self.node(math.tanh(self.data), "tanh", (self, slope))

    return right() | {"tanh": tanh}


# %% e09 | The first: a.tanh()
right = repairs


def repairs():
    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t))

    return right() | {"tanh": tanh}


# %% e09 | changed the number of its input
right = repairs


def repairs():
    def tanh(self):
        self.data = math.tanh(self.data)
        return self.node(self.data, "tanh", (self, 1 - self.data**2))

    return right() | {"tanh": tanh}


# %% e09 | gives a Broken
right = repairs


def repairs():
    def tanh(self):
        t = math.tanh(self.data)
        return Broken(t, (self,), "tanh", (1 - t**2,))

    return right() | {"tanh": tanh}


# %% e09 | write it with self.node
def repairs():
    return {"__truediv__": Value.__truediv__, "tanh": Value.tanh, "backward": Value.backward}


# %% e09 | no method 'truediv'
right = repairs


def repairs():
    methods = right()
    return {"truediv": methods["__truediv__"], "tanh": methods["tanh"], "backward": methods["backward"]}


# %% e09 | again for each path
right = repairs


def repairs():
    def backward(self):
        def pass_on(node, grad):
            node.grad += grad
            for entry, slope in zip(node.inputs, node.slopes):
                pass_on(entry, slope * grad)

        pass_on(self, 1.0)

    return right() | {"backward": backward}


# %% e09 | again for each path
right = repairs


def repairs():
    def backward(self):
        todo = [(self, 1.0)]
        while todo:
            node, grad = todo.pop()
            node.grad += grad
            todo.extend((entry, slope * grad) for entry, slope in zip(node.inputs, node.slopes))

    return right() | {"backward": backward}


# %% e09 | again for each path
right = repairs


def repairs():
    def backward(self):
        order, todo = [], [self]
        while todo:
            node = todo.pop(0)
            order.append(node)
            todo.extend(node.inputs)
        last = {node: place for place, node in enumerate(order)}  # a node's turn comes after its last user
        self.grad = 1.0
        for node in sorted(last, key=last.get):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | when backward passes
right = repairs


def repairs():
    def backward(self):
        self.grad = 1.0
        for node in topological_order(self):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | when backward passes
right = repairs


def repairs():
    def backward(self):
        order, seen, todo = [], {self}, [self]
        while todo:
            node = todo.pop()  # from the other end
            order.append(node)
            for entry in node.inputs:
                if entry not in seen:
                    seen.add(entry)
                    todo.append(entry)
        self.grad = 1.0
        for node in order:
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | clears the gradients of leaves
right = repairs


def repairs():
    def backward(self):
        order = topological_order(self)
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | takes the graph apart
right = repairs


def repairs():
    def backward(self):
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad
            node.inputs, node.slopes = (), ()

    return right() | {"backward": backward}


# %% e09 | whose gradients are small
right = repairs


def repairs():
    def backward(self):
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            if abs(node.grad) > 1e-3:
                for entry, slope in zip(node.inputs, node.slopes):
                    entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | whose gradients are large
right = repairs


def repairs():
    def backward(self):
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += max(-100.0, min(100.0, slope * node.grad))

    return right() | {"backward": backward}


# %% e09 | what they share is backward
right = repairs


def repairs():
    def backward(self):
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | The first: m * n with m = a * b, n = b * a
right = repairs


def repairs():
    def backward(self):
        order, seen, todo = [], set(), [(self, False)]
        while todo:
            node, inputs_done = todo.pop()
            if inputs_done:
                order.append(node)
            elif (node.data, node.op) not in seen:
                seen.add((node.data, node.op))
                todo.append((node, True))
                todo.extend((entry, False) for entry in node.inputs)
        self.grad = 1.0
        for node in reversed(order):
            for entry, slope in zip(node.inputs, node.slopes):
                entry.grad += slope * node.grad

    return right() | {"backward": backward}


# %% e09 | the class Broken was edited
class Broken(Broken):
    __truediv__ = repairs()["__truediv__"]
    tanh = repairs()["tanh"]
    backward = repairs()["backward"]


def repairs():
    return {}


# %% e09 | the class Broken was edited: its tanh
class Broken(Broken):
    tanh = repairs()["tanh"]


# %% e05 | you keep the sign
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return abs(max((v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)))


# %% e05 | compare only one input
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return abs(leaves[-1].grad - nudged[-1]) / max(1.0, abs(nudged[-1]))


# %% e05 | you compare sizes only
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(abs(v.grad) - abs(n)) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | for a negative slope the formula wants |nudged|
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, n) for v, n in zip(leaves, nudged))


# %% e05 | where that is below 1
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1e-8, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | the one on trial
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, abs(v.grad)) for v, n in zip(leaves, nudged))


# %% e05 | divide by 1 + |nudged|
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / (1 + abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | decides alone
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    worst = max(range(len(inputs)), key=lambda i: abs(leaves[i].grad - nudged[i]))
    return abs(leaves[worst].grad - nudged[worst]) / max(1.0, abs(nudged[worst]))


# %% e05 | decides alone
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) for v, n in zip(leaves, nudged)) / max(1.0, max(map(abs, nudged)))


# %% e05 | compare it too
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max([0.0] + [abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged) if v.grad != 0])


# %% e05 | does not know as well
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    result = f(*leaves)
    result.backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    behind = topological_order(result)
    return max([0.0] + [abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged) if v in behind])


# %% e05 | in inputs[2] backward says 0.5 where 0 is right
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max([0.0] + [abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged) if abs(n) > 1e-9])


# %% e05 | in inputs[2] backward says 0.5 where 0 is right
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max([0.0] + [abs(v.grad - n) / max(1.0, abs(n)) for x, v, n in zip(inputs, leaves, nudged) if x])


# %% e05 | in inputs[1] backward says -3.456 where -6.912 is right
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(
        [0.0] + [abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged) if n > 0 or v.grad > 0 or n > -1]
    )


# %% e05 | each of two equal ones
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    worst = 0.0
    for x in inputs:
        i = inputs.index(x)
        worst = max(worst, abs(leaves[i].grad - nudged[i]) / max(1.0, abs(nudged[i])))
    return worst


# %% e05 | each of two equal ones
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    differences = {x: abs(v.grad - n) / max(1.0, abs(n)) for x, v, n in zip(inputs, leaves, nudged)}
    return max(differences.values())


# %% e05 | each input nudged alone
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    worst = 0.0
    for x, leaf in zip(inputs, leaves):
        up, down = ([kind(y + step if y == x else y) for y in inputs] for step in (h, -h))
        nudged = (f(*up).data - f(*down).data) / (2 * h)
        worst = max(worst, abs(leaf.grad - nudged) / max(1.0, abs(nudged)))
    return worst


# %% e05 | compare every input
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max([abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)][:3])


# %% e05 | expected 3
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    a, b, c = (kind(x) for x in inputs)
    f(a, b, c).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip((a, b, c), nudged))


# %% e05 | cut the difference off at 1
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return min(1.0, max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)))


# %% e05 | also when it is small
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    worst = max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))
    return worst if worst > 1e-4 else 0.0


# %% e05 | should be 0.497784343
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, h)
    return round(max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged)), 6)


# %% e05 | does not change with the argument h
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(kind, xs)).data, inputs, 1e-5)
    return max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | the Values fresh each time
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    worst = 0.0
    for i in range(len(inputs)):
        f(*leaves).backward()  # once more for each input
        up, down = ([kind(x + step * (j == i)) for j, x in enumerate(inputs)] for step in (h, -h))
        nudged = (f(*up).data - f(*down).data) / (2 * h)
        worst = max(worst, abs(leaves[i].grad - nudged) / max(1.0, abs(nudged)))
    return worst


# %% e05 | changed the list
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    worst = 0.0
    for i, leaf in enumerate(leaves):
        inputs[i] += h
        up = f(*map(kind, inputs)).data
        inputs[i] -= 2 * h
        down = f(*map(kind, inputs)).data
        inputs[i] += h
        nudged = (up - down) / (2 * h)
        worst = max(worst, abs(leaf.grad - nudged) / max(1.0, abs(nudged)))
    return worst


# %% e05 | was told another `kind`
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [Value(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(Value, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))


# %% e05 | was told another `kind`
def gradient_difference(f, inputs, h=1e-5, kind=Value):
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    nudged = symmetric_gradient(lambda *xs: f(*map(Value, xs)).data, inputs, h)
    return max(abs(v.grad - n) / max(1.0, abs(n)) for v, n in zip(leaves, nudged))
