# %% [markdown]
# # 01 · micrograd: exercises
#
# Nine tasks, from a derivative on paper to three bugs in somebody else's engine. Each has a cell to fill in, a check that says what looks
# wrong, and hints to unfold when you want one.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/exercises/01_micrograd.ipynb) · a run takes about 15 s and 0.5 GB on a laptop's CPU
#
# Needs: lecture 01. A `Value(data, inputs, op, slopes)` keeps its number, what it was made from, the name of the operation, and its
# slope in each input.

# %% tags=["colab"]
# Installs the course where it is missing, as on Colab. Elsewhere this cell does nothing.
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    import subprocess
    import sys
    from importlib.metadata import version

    if sys.version_info < (3, 11):
        sys.exit("The course needs Python 3.11 or newer: choose a newer runtime, then run this cell again.")
    keep = [f"{name}=={version(name)}" for name in ("torch", "numpy") if importlib.util.find_spec(name)]
    course = "https://github.com/zero-to-nn/zero-to-nn/archive/refs/heads/main.zip"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", course, *keep], capture_output=True)
    if done.returncode:
        sys.exit("The course could not be installed: check the network connection, then run this cell again.")
    importlib.invalidate_caches()

# %%
import math
import random

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

from course_utils import graph, lesson, train
from course_utils.checks import micrograd as check
from course_utils.lectures.micrograd import MLP, Value, diagram, topological_order

device = lesson.start("01_micrograd, exercises")

# %% tags=["parameters"]
moon_epochs = 10  # passes over the two moons, for each of the two ways to take a step

# %% [markdown]
# ---
# ### E01. A gradient on paper   (1 of 5 · 10 minutes)
#
# Here is a function of three inputs:
#
# $$g(a, b, c) = a^2 b - e^{b/2} + c \ln a + \frac{1}{c}$$
#
# Find its three partial derivatives with pencil and paper, and write the formulas down as code. Everything later is compared with what you do here, so
# no nudging yet.


# %%
def g(a: float, b: float, c: float) -> float:
    """The function to differentiate; a > 0, c not 0."""
    return a**2 * b - math.exp(b / 2) + c * math.log(a) + 1 / c


# %%
def gradient_on_paper(a: float, b: float, c: float) -> list[float]:
    """The slopes of g in a, b and c, in this order, from formulas."""
    ### BEGIN SOLUTION
    return [2 * a * b + c / a, a**2 - math.exp(b / 2) / 2, math.log(a) - 1 / c**2]
    ### END SOLUTION


# %%
check.e01(gradient_on_paper)

# %% [markdown]
# <details><summary>Hint 1</summary>For the slope in a, treat b and c as if they were the numbers 5 and 7. Which terms of g contain a?</details>
# <details><summary>Hint 2</summary>The exponential has an inner function, b/2. The chain rule multiplies by the slope of that, too.</details>

# %% [markdown]
# ---
# ### E02. A gradient by nudging   (1 of 5 · 10 minutes)
#
# Now without any formulas, for any function of any number of inputs: raise one input by `h`, see how far the result moves, divide by `h`. Each input
# gets its nudge alone, with all others where they were.
#
# The check uses a rather large `h`, to tell this slope from similar ones.


# %%
def nudged_gradient(f, inputs: list[float], h: float = 1e-6) -> list[float]:
    """The one-sided slope (f(x + h) - f(x)) / h in each input.

    f: takes as many numbers as there are inputs, as in f(1.0, 2.0, 3.0).  inputs: left as they are.
    """
    ### BEGIN SOLUTION
    here = f(*inputs)
    slopes = []
    for i in range(len(inputs)):
        nudged = list(inputs)
        nudged[i] += h
        slopes.append((f(*nudged) - here) / h)
    return slopes
    ### END SOLUTION


# %%
check.e02(nudged_gradient)

# %% [markdown]
# <details><summary>Hint 1</summary>Calling <code>f(*inputs)</code> hands over the numbers of a list one by one.</details>
# <details><summary>Hint 2</summary>Make a fresh copy of the list for each input, or the nudges pile up.</details>

# %% [markdown]
# ---
# ### E03. The symmetric nudge   (2 of 5 · 5 minutes)
#
# Nudge up, nudge down, and take the slope between the two. It costs one evaluation more, and its error shrinks with $h^2$ instead of $h$.


# %%
def symmetric_gradient(f, inputs: list[float], h: float = 1e-5) -> list[float]:
    """The symmetric slope (f(x + h) - f(x - h)) / 2h in each input; f and inputs as in E02."""
    ### BEGIN SOLUTION
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*up) - f(*down)) / (2 * h))
    return slopes
    ### END SOLUTION


# %%
check.e03(symmetric_gradient)

# %% [markdown]
# <details><summary>Hint</summary>How far apart are the two places at which you evaluate f?</details>
#
# With both in hand, compare them with your formulas from E01.

# %% tags=["demo"]
place = [1.5, -0.7, 0.8]
for h in (1e-1, 1e-3, 1e-5, 1e-7):
    exact = gradient_on_paper(*place)
    one_sided = max(abs(x - y) for x, y in zip(nudged_gradient(g, place, h), exact, strict=True))
    symmetric = max(abs(x - y) for x, y in zip(symmetric_gradient(g, place, h), exact, strict=True))
    print(f"h = {h:.0e}: worst error one-sided {one_sided:.0e}, symmetric {symmetric:.0e}")

# %% [markdown]
# ---
# ### E04. Two operations of your own   (2 of 5 · 15 minutes)
#
# Give the engine two new operations, each as **one** node with its own slope. First the sigmoid, $\sigma(x) = 1 / (1 + e^{-x})$, which squashes any
# number into $(0, 1)$. Its slope can be written with its own result. It must survive $x = \pm 1000$. Then relu, $\max(0, x)$, with slope 0 at the corner, without
# calling `x.relu()`.


# %%
def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x) as one node with input x; any finite x."""
    ### BEGIN SOLUTION
    if x.data >= 0:
        s = 1 / (1 + math.exp(-x.data))
    else:
        e = math.exp(x.data)  # e^-x would overflow far below zero
        s = e / (1 + e)
    return Value(s, (x,), "sigmoid", (s * (1 - s),))
    ### END SOLUTION


def relu(x: Value) -> Value:
    """max(0, x) as one node with input x; the slope at 0 is 0."""
    ### BEGIN SOLUTION
    return Value(max(0.0, x.data), (x,), "relu", (1.0 if x.data > 0 else 0.0,))
    ### END SOLUTION


# %%
check.e04(sigmoid, relu)

# %% [markdown]
# <details><summary>Hint 1</summary>Look at how <code>tanh</code> is written in the lecture: compute the number, then return a Value with the input and the slope.</details>
# <details><summary>Hint 2</summary>The slope of the sigmoid is s(1 − s), where s is its result.</details>
# <details><summary>Hint 3</summary><code>math.exp(1000)</code> raises an OverflowError, <code>math.exp(-1000)</code> is 0. For negative x, multiply numerator and denominator
# by e^x.</details>

# %% [markdown]
# ---
# ### E05. A gradient checker   (3 of 5 · 15 minutes)
#
# How would you have known that your slopes were right, without our check? By comparing two witnesses. Write a function that runs `backward()` once, nudges
# every input symmetrically, and returns the worst relative difference:
#
# $$\max_i \frac{|\text{backward}_i - \text{nudged}_i|}{\max(1, |\text{nudged}_i|)}$$
#
# Near 0 means the engine is right. The check hands you functions whose slopes are right, and some whose slopes lie.
#
# Make every number with `kind(x)`, not with `Value(x)`: then the checker works on any engine with the same methods, and E09 brings one.


# %%
def gradient_difference(f, inputs: list[float], h: float = 1e-5, kind=Value) -> float:
    """The worst relative difference between f's gradient by `backward()` and by symmetric nudges.

    f: takes numbers of the class `kind`, one for each input, and returns one.  inputs: plain numbers, left as they are.
    kind: the class of the numbers, made as kind(x).
    """
    ### BEGIN SOLUTION
    leaves = [kind(x) for x in inputs]
    f(*leaves).backward()
    worst = 0.0
    for i, leaf in enumerate(leaves):
        up, down = ([kind(x + (j == i) * step) for j, x in enumerate(inputs)] for step in (h, -h))
        nudged = (f(*up).data - f(*down).data) / (2 * h)
        worst = max(worst, abs(leaf.grad - nudged) / max(1.0, abs(nudged)))
    return worst
    ### END SOLUTION


# %%
check.e05(gradient_difference)

# %% [markdown]
# <details><summary>Hint 1</summary>f wants Values, <code>kind(x)</code>, also when you nudge. Make fresh ones each time; all you need of the result is <code>.data</code>.</details>
# <details><summary>Hint 2</summary>A difference may be negative, and so may a slope. The worst difference may be at the last input, at one that is 0, or at the second of two equal ones.</details>

# %% [markdown]
# ---
# ### E06. Softmax   (3 of 5 · 15 minutes)
#
# A classifier gives one score for each class. Softmax makes probabilities of them: positive, and summing to 1.
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# Write it with the operations that `Value` has. Scores like 1000 are allowed, so $e^{z}$ may be too large for a float. Adding the same number to all scores changes
# nothing in the result: use that.


# %%
def softmax(scores: list[Value]) -> list[Value]:
    """Probabilities from scores, as Values through which gradients reach the scores."""
    ### BEGIN SOLUTION
    largest = max(z.data for z in scores)
    powers = [(z - largest).exp() for z in scores]
    total = sum(powers)
    return [power / total for power in powers]
    ### END SOLUTION


# %%
check.e06(softmax)

# %% [markdown]
# <details><summary>Hint 1</summary>Subtract the largest score from all of them: the largest exponent is then e^0 = 1.</details>
# <details><summary>Hint 2</summary>The shift may be a plain number, <code>max(z.data for z in scores)</code>: its effect on the result is zero, and so is its gradient.</details>

# %% [markdown]
# ---
# ### E07. Negative log likelihood   (3 of 5 · 15 minutes)
#
# How bad is a classifier's guess? Take the probability $p$ that it gave to the right class, and let the loss be $-\ln p$: 0 for a sure and right guess, growing without end
# for a sure and wrong one. This is the loss of nearly every later lecture.
#
# It starts from scores, not from probabilities, for a reason: a score 2000 below the largest has a probability that is 0 in floats, and $\ln 0$ is an error. Work out $-\ln p_t$ on
# paper first; most of the exponentials go away.


# %%
def negative_log_likelihood(scores: list[Value], target: int) -> Value:
    """-ln of the probability that softmax gives to class `target`; finite for any finite scores."""
    ### BEGIN SOLUTION
    largest = max(z.data for z in scores)
    total = sum((z - largest).exp() for z in scores)
    return total.log() - (scores[target] - largest)
    ### END SOLUTION


# %%
check.e07(negative_log_likelihood)

# %% [markdown]
# <details><summary>Hint 1</summary>ln(x/y) = ln x − ln y, and ln(e^z) = z.</details>
# <details><summary>Hint 2</summary>−ln p = ln(sum of all e^(z_j − m)) − (z_target − m), with m the largest score. The sum is at least 1, so its logarithm is safe.</details>
#
# A picture of what you built. Look at the gradients of the four scores: they are the probabilities, with 1 subtracted at the target. Lecture 05 shows why.

# %% tags=["demo"]
scores = [Value(z) for z in (1.0, -0.5, 2.0, 0.3)]
loss = negative_log_likelihood(scores, target=2)
loss.backward()
print("gradients:    ", [round(z.grad, 4) for z in scores])
print("probabilities:", [round(p.data, 4) for p in softmax(scores)])
graph.svg(diagram(loss, z0=scores[0], z1=scores[1], z2=scores[2], z3=scores[3], loss=loss))

# %% [markdown]
# ---
# ### E08. A ball with friction   (3 of 5 · 15 minutes)
#
# In the lecture, the forgotten `zero_grad` made training behave like a heavy ball without friction. With friction it is a good idea, **momentum** (Polyak, 1964). Each parameter keeps
# a velocity $v$. At each step the velocity loses a share of itself and gains the gradient, and the parameter moves along the velocity:
#
# $$v \leftarrow \beta v + \text{grad}, \qquad p \leftarrow p - \eta\, v$$
#
# (*Some methods of speeding up the convergence of iteration methods*, USSR Computational Mathematics and Mathematical Physics 4(5).) This is how `torch.optim.SGD(momentum=...)` does it. The rate $\eta$ may change between steps.


# %%
class Momentum:
    """Stochastic gradient descent with momentum: `zero_grad`, `backward`, then `step()`."""

    def __init__(self, parameters: list[Value], rate: float, beta: float = 0.9):
        self.parameters, self.rate, self.beta = parameters, rate, beta
        self.velocities = [0.0] * len(parameters)

    def step(self) -> None:
        """Move every parameter once, from its grad; the grads stay as they are."""
        ### BEGIN SOLUTION
        for i, p in enumerate(self.parameters):
            self.velocities[i] = self.beta * self.velocities[i] + p.grad
            p.data -= self.rate * self.velocities[i]
        ### END SOLUTION


# %%
check.e08(Momentum)

# %% [markdown]
# <details><summary>Hint 1</summary>Each parameter has its own velocity, at the same place in <code>self.velocities</code>, and it must still be there at the next step.</details>
# <details><summary>Hint 2</summary>The rate multiplies the velocity when the parameter moves. It has no place inside the velocity.</details>
#
# On the two moons, with the same small rate, with friction of 0.1 (so $\beta = 0.9$) and without any memory ($\beta = 0$):


# %% tags=["demo"]
def train_moons(beta):
    random.seed(0)
    net = MLP(2, [8, 8, 1], activation="relu")
    optimizer = Momentum(net.parameters(), rate=0.05, beta=beta)
    losses = []
    for _ in train.progress(moon_epochs, f"beta = {beta}"):
        order = random.sample(range(len(y)), len(y))
        total = 0.0
        for first in range(0, len(y), 10):
            batch = order[first : first + 10]
            loss = sum((1 - net(X[i]) * y[i]).relu() for i in batch) / len(batch)
            net.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.data / 10
        losses.append(total)
    right = sum((net(x).data > 0) == (answer > 0) for x, answer in zip(X, y, strict=True))
    return losses, right / len(y)


X, labels = make_moons(100, noise=0.1, random_state=0)
X, y = X.tolist(), (2 * labels - 1).tolist()
plain, plain_accuracy = train_moons(beta=0.0)
rolling, rolling_accuracy = train_moons(beta=0.9)

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(range(1, moon_epochs + 1), plain, marker="o", label=f"without momentum: {plain_accuracy:.0%} right")
ax.plot(range(1, moon_epochs + 1), rolling, marker="s", label=f"with momentum: {rolling_accuracy:.0%} right")
ax.set(xlabel="epoch", ylabel="mean hinge loss", title="The same rate goes further with momentum")
ax.legend()
plt.show()

# %% [markdown]
# ---
# ### E09. Three bugs   (4 of 5 · 40 minutes)
#
# A colleague wrote an engine, in the style of the lecture. Its forward pass is right everywhere, its gradients are right in every test that he tried, and his networks train badly. There are
# **three** bugs, in three different methods. Find them, and write the repaired methods; leave the right ones alone.
#
# You have the gradient checker of E05: `gradient_difference(lambda a, b: a * b + a, [1.7, -2.2], kind=Broken)`. It tells you *that* something is wrong, as soon as you
# hand it an expression that shows it. Which expressions would show the most? (The class knows only the operations below: no `2 * a`, no `-a`, no `sum`. Write `a * 2`.)
#
# Leave the class as it is, since the check puts your methods over its own. A repaired `backward()` keeps the habit that leaves go on collecting over two calls.


# %%
class Broken:
    """A number that remembers how it was made. Three of its methods are wrong."""

    def __init__(self, data, inputs=(), op="", slopes=()):
        self.data, self.grad = float(data), 0.0
        self.inputs, self.op, self.slopes = inputs, op, slopes

    def node(self, data, op, *inputs_and_slopes):
        """A new node of the same kind from pairs (input, slope)."""
        inputs, slopes = zip(*inputs_and_slopes, strict=True)
        return type(self)(data, inputs, op, slopes)

    def wrap(self, other):
        return other if isinstance(other, Broken) else type(self)(other)

    def __add__(self, other):
        other = self.wrap(other)
        return self.node(self.data + other.data, "+", (self, 1.0), (other, 1.0))

    def __mul__(self, other):
        other = self.wrap(other)
        return self.node(self.data * other.data, "×", (self, other.data), (other, self.data))

    def __sub__(self, other):
        other = self.wrap(other)
        return self.node(self.data - other.data, "−", (self, 1.0), (other, -1.0))

    def __truediv__(self, other):
        other = self.wrap(other)
        return self.node(self.data / other.data, "/", (self, 1 / other.data), (other, -self.data / other.data))

    def __pow__(self, n):
        return self.node(self.data**n, f"**{n}", (self, n * self.data ** (n - 1)))

    def exp(self):
        e = math.exp(self.data)
        return self.node(e, "exp", (self, e))

    def tanh(self):
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - self.data**2))

    def relu(self):
        return self.node(max(0.0, self.data), "relu", (self, float(self.data > 0)))

    def backward(self):
        order, seen, todo = [], {self}, [self]
        while todo:
            node = todo.pop(0)
            order.append(node)
            for entry in node.inputs:
                if entry not in seen:
                    seen.add(entry)
                    todo.append(entry)
        self.grad = 1.0
        for node in order:
            for entry, slope in zip(node.inputs, node.slopes, strict=True):
                entry.grad += slope * node.grad


# %%
def repairs() -> dict:
    """The repaired methods by name, as in {"__add__": my_add}: exactly those that were wrong."""
    ### BEGIN SOLUTION

    def divide(self, other):  # the slope in the denominator lacked a square
        other = self.wrap(other)
        slopes = 1 / other.data, -self.data / other.data**2
        return self.node(self.data / other.data, "/", (self, slopes[0]), (other, slopes[1]))

    def tanh(self):  # the slope is made of the result, not of the input
        t = math.tanh(self.data)
        return self.node(t, "tanh", (self, 1 - t**2))

    def backward(self):  # by distance from the end, a node could pass back before all of its users had
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for entry, slope in zip(node.inputs, node.slopes, strict=True):
                entry.grad += slope * node.grad

    return {"__truediv__": divide, "tanh": tanh, "backward": backward}
    ### END SOLUTION


# %%
check.e09(Broken, repairs)

# %% [markdown]
# <details><summary>Hint 1</summary>Try each operation alone, on inputs that are neither 0 nor 1: many wrong slopes are right there.</details>
# <details><summary>Hint 2</summary>Two of the bugs are slopes. The third shows only when a node that was made from others is used at two different distances from the end, as m is in <code>m + m * a</code> with <code>m = a * b</code>.</details>
# <details><summary>Hint 3</summary>In which order does this <code>backward</code> visit nodes, and when may a node pass its gradient on?</details>
# <details><summary>Hint 4</summary>The methods are plain functions with <code>self</code>; <code>topological_order</code> from the lecture works on this class as well. New nodes come from <code>self.node</code>.</details>
