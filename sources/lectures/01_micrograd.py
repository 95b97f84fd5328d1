# %% [markdown]
# # 01 · micrograd: backpropagation from one number up
#
# A network learns when it knows, for each of its numbers, which way to nudge it. At the end of this page you will own an engine
# that finds all those directions in one sweep, and a network built on it that learns to separate two interleaved moons. There is
# no library inside: about 120 lines of Python, whose gradients PyTorch confirms on a thousand random expressions.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/zero-to-nn/zero-to-nn/blob/main/notebooks/01_micrograd.ipynb) · a run takes about 15 s and 0.6 GB on a laptop's CPU
#
# Needs: Python with classes, a first look at NumPy, and what a derivative is. Later lectures take from here: `Value`, `Module`, `Neuron`, `Layer`, `MLP`, and the
# habit of checking a gradient before trusting it.

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
import time

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons

from course_utils import graph, lesson, plot, train

device = lesson.start("01_micrograd")

# %% [markdown]
# Everything on this page runs on one core of the CPU: our engine handles one number at a time, and a GPU would have nothing to do. `course_utils` holds
# display helpers: `graph` shows graphs, `plot` draws, `train.progress` prints a bar. No part of the engine hides there.

# %% tags=["parameters"]
chain_length = 100_000  # additions in the longest expression that we differentiate
random_graphs = 1000  # random expressions compared with PyTorch
xor_steps = 80  # gradient descent steps on the four points
xor_rate = 0.05  # how far each of them goes
moon_points = 100  # points of the two moons
moon_epochs = 25  # passes over all of them
moon_batch = 10  # points a step
moon_rate = 0.5  # the first step's rate; it falls to a tenth of that by the last epoch

# %% [markdown]
# ## 1. The derivative of a function with one input
#
# What does a derivative tell us? Here is a function to ask.


# %%
def f(x):
    return x**3 - 3 * x


f(2.0)

# %% [markdown]
# We draw it first. A derivative is a slope, and slopes can be seen.

# %%
xs = np.linspace(-2.2, 2.5, 200)
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.plot(xs, f(xs), label="f(x) = x³ − 3x")
near = xs[xs > 1.3]
ax.plot(near, f(2.0) + 9 * (near - 2.0), label="a line of slope 9 through x = 2")  # 9: measured below
ax.plot([-1, 0, 1, 2], [f(-1), f(0), f(1), f(2)], "ko")
ax.set(xlabel="x", ylabel="f(x)", title="The slope differs from place to place", ylim=(-5, 9))
ax.legend()
plt.show()

# %% [markdown]
# At $x = 2$ the curve climbs steeply. At $x = -1$ and $x = 1$ it is flat. Now we measure. Nudge the input by a small $h$, look how
# far the output moves, and divide by the nudge:
#
# $$\frac{f(x + h) - f(x)}{h}$$
#
# <details><summary><b>Predict.</b> Before you run the cell: at x = 0, is this number positive, zero, or negative?</summary>
#
# Negative: left to right, the curve falls there. By hand, the derivative is 3x² − 3, so −3 at x = 0, and 9 at x = 2.
# </details>

# %%
h = 0.001
for x in (-1.0, 0.0, 1.0, 2.0):
    print(f"x = {x:4}:  nudged {(f(x + h) - f(x)) / h:8.4f}    by hand {3 * x**2 - 3:8.4f}")

# %% [markdown]
# Close, and off by up to 0.006. The nudge was not infinitely small. So we take a smaller one. And a smaller one. Does the answer
# get better forever? We measure the error at $x = 2$ for every power of ten. Beside the one-sided nudge runs a symmetric one,
# $\frac{f(x + h) - f(x - h)}{2h}$, which costs one more evaluation.

# %%
hs = 10.0 ** -np.arange(1, 14)
one_sided = np.abs((f(2 + hs) - f(2)) / hs - 9)
symmetric = np.abs((f(2 + hs) - f(2 - hs)) / (2 * hs) - 9)

# %%
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.loglog(hs, one_sided, marker="o", label="one-sided")
ax.loglog(hs, symmetric, marker="s", label="symmetric")
ax.set(title="Too small a nudge is as bad as too large", xlabel="size of the nudge h", ylabel="error of the slope")
ax.legend()
plt.show()

# %% [markdown]
# Read it from right to left. First both errors fall: the one-sided error with $h$, the symmetric one with $h^2$, because nudging both
# ways cancels the curve's bend. Further left they rise. A float carries about 16 digits. In $2 + 10^{-13}$ only about three digits of the nudge
# survive, and the difference $f(x+h) - f(x)$ loses digits in the same way. The rise is ragged, since it depends on how each sum happens to round.
# The best symmetric nudge lies near $10^{-5}$. Remember the shape of this picture: a numerical slope is a good witness and a poor engine.

# %% [markdown]
# ## 2. Several inputs
#
# A function of three inputs has three slopes, one for each input with the others held still. Together they are the **gradient**. The
# same nudge finds them, one input after the other.


# %%
def numerical_gradient(f, inputs, h=1e-5):
    """The slope of f in each of its inputs, by symmetric nudges."""
    slopes = []
    for i in range(len(inputs)):
        up, down = list(inputs), list(inputs)
        up[i] += h
        down[i] -= h
        slopes.append((f(*up) - f(*down)) / (2 * h))
    return slopes


# %% [markdown]
# <details><summary><b>Predict.</b> For d = a·b + c at a = 3, b = −2, c = 1: how does d change when you raise a a little? And c?</summary>
#
# Raising a by h adds b·h = −2h, so the slope in a is −2. The slope in b is a = 3. And c passes through unchanged: slope 1.
# </details>

# %%
[round(slope, 6) for slope in numerical_gradient(lambda a, b, c: a * b + c, [3.0, -2.0, 1.0])]

# %% [markdown]
# A product hands each factor the *other* factor as its slope. A sum hands out ones. Two rules, and we will need only a handful more.
#
# Now count the work: two evaluations of the whole function for each input. For three inputs that is nothing. But to a network's
# error, every one of its weights is an input. The smallest GPT-2, a language model of 2019, has 124 million weights (lecture 10 counts them). To
# move each of them once in the right direction by nudging, it would have to be run 248 million times. We need all slopes for about the price of one evaluation. That is what the rest of this page builds.

# %% [markdown]
# ## 3. A number that remembers where it came from
#
# Python computes `a * b + c` and forgets how. If we want to walk back from the result to the inputs, the result must know what it was
# made from. So we wrap each number in an object that remembers its inputs and the operation. `a + b` in Python calls `a.__add__(b)`,
# which lets us say what plus means.


# %%
class Value:
    """First draft: a number, what it was made from, and by which operation."""

    def __init__(self, data, inputs=(), op=""):
        self.data = data
        self.grad = 0.0  # to be filled in: the slope of the final result in this number
        self.inputs = inputs
        self.op = op

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), "+")

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), "×")


# %% [markdown]
# We name every step, since we are about to look at each of them.

# %%
a, b, c, k = Value(3.0), Value(-2.0), Value(1.0), Value(2.0)
e = a * b
d = e + c
L = d * k
L

# %% [markdown]
# The number is right, $(3 \cdot (-2) + 1) \cdot 2 = -10$. And the object knows its history:

# %% tags=["nbval-check-output"]
L.op, L.inputs

# %% [markdown]
# Each of those inputs has inputs of its own, down to the numbers that we typed in. Those have none, and are called **leaves**.

# %% [markdown]
# ## 4. Drawing the expression
#
# A result, its inputs, their inputs: that is a graph, and a graph wants to be drawn. We collect every node once, starting from the
# result, then draw a box for each number and a circle for each operation. `graphviz` decides where they go.
#
# How do we avoid drawing a node twice when two others use it? We keep the nodes in a dictionary under their `id`, which is unique to
# each object.
#
# A cell that begins with `#| export` is one that later lectures import from `course_utils`, in these very words.


# %%
#| export micrograd
import graphviz


def diagram(root, /, **names) -> graphviz.Digraph:
    """The expression behind a Value as a graph: a box a number with its data and grad, a circle an operation.

    root: the Value at the end.  names: what to call its nodes, as in `diagram(L, a=a, b=b)`.
    """
    found, todo = {}, [root]
    while todo:
        node = todo.pop()
        if id(node) not in found:
            found[id(node)] = node
            todo.extend(node.inputs)
    number = {key: f"n{i}" for i, key in enumerate(found)}
    called = {id(node): f"{name} | " for name, node in names.items()}

    dot = graphviz.Digraph(graph_attr={"rankdir": "LR", "nodesep": "0.12", "ranksep": "0.3"})
    dot.attr("node", fontname="Helvetica", fontsize="11", height="0.3")
    for key, node in found.items():
        # a "record" is a box with cells, which `|` divides
        box = f"{called.get(key, '')}data {node.data:.4g} | grad {node.grad:.4g}"
        dot.node(number[key], label=box, shape="record", style="filled", fillcolor="white" if node.op else "#e8eef7")
        if node.op:
            dot.node(f"{number[key]}op", label=node.op, shape="ellipse", width="0.3")
            dot.edge(f"{number[key]}op", number[key])
        for entry in node.inputs:
            dot.edge(number[id(entry)], f"{number[key]}op")
    return dot


# %%
graph.svg(diagram(L, a=a, b=b, c=c, k=k, e=e, d=d, L=L))

# %% [markdown]
# Data flows from left to right; this is the **forward pass**. Leaves are shaded. Every `grad` reads 0, which here means "not known
# yet". We will now fill them in from right to left. That is the **backward pass**.
#
# We will draw this picture again whenever we want to see what a method did.

# %% [markdown]
# ## 5. Backpropagation by hand
#
# `grad` will hold the slope of the final result $L$ in that node: if the node grew by $h$, $L$ would grow by `grad` times $h$. For
# $L$ itself the answer is immediate: nudge $L$ by $h$, and $L$ changes by $h$.

# %%
L.grad = 1.0

# %% [markdown]
# One step to the left. $L = d \cdot k$ is a product, so each factor gets the other one as its slope.

# %%
d.grad = k.data
k.grad = d.data
d, k

# %% [markdown]
# Now the step that matters. We know how $L$ reacts to $d$: by a factor of 2. We know how $d = e + c$ reacts to $c$: by a factor of 1.
# How does $L$ react to $c$?
#
# <details><summary><b>Predict.</b> What is the slope of L in c? And what in general, if c moves d by a factor s, and d moves L by a factor t?</summary>
#
# A nudge h in c becomes 1·h in d, which becomes 2·1·h in L: the slope is 2. In general s·t. Factors along a path multiply.
# </details>
#
# This is the **chain rule**, the one theorem that this page needs:
#
# $$\frac{\partial L}{\partial c} = \frac{\partial L}{\partial d} \cdot \frac{\partial d}{\partial c}$$
#
# $\partial L / \partial c$ is read "the slope of $L$ in $c$, everything else held still". On the left is what we want. Of the two factors, the first is `d.grad`, already known, and the second is the **local slope** of the one
# operation between them. No node ever has to understand the whole expression.

# %%
c.grad = d.grad * 1.0
e.grad = d.grad * 1.0

# %% [markdown]
# A plus passes the gradient on to both inputs as it is. And once more through the product $e = a \cdot b$:

# %%
a.grad = e.grad * b.data
b.grad = e.grad * a.data
graph.svg(diagram(L, a=a, b=b, c=c, k=k, e=e, d=d, L=L))

# %% [markdown]
# All six slopes, one multiplication each, and the function was evaluated once. Trust nothing: the nudge is our witness.

# %%
by_nudging = numerical_gradient(lambda a, b, c, k: (a * b + c) * k, [3.0, -2.0, 1.0, 2.0])
torch.testing.assert_close(
    [a.grad, b.grad, c.grad, k.grad], by_nudging
)  # a nudge errs far less than the 1e-7 allowed here
by_nudging

# %% [markdown]
# ## 6. One step downhill
#
# What are gradients for? Suppose $L$ is a loss, and we want less of it. `a.grad` is −4: raising $a$ lowers $L$. `b.grad` is 6: lowering
# $b$ lowers $L$. So we move every leaf against its gradient by a small step $\eta$, the **learning rate**. Each leaf moves by
# $-\eta \cdot \text{grad}$, and each such move changes $L$ by about $\text{grad} \cdot (-\eta \cdot \text{grad})$. Together:
#
# $$\Delta L \approx -\eta \sum_i \text{grad}_i^2$$

# %%
leaves = [a, b, c, k]
rate = 0.01
print(f"expected: {L.data - rate * sum(leaf.grad**2 for leaf in leaves):.4f}")
for leaf in leaves:
    leaf.data -= rate * leaf.grad
L = (a * b + c) * k
print(f"reached:  {L.data:.4f}")

# %% [markdown]
# From −10 down to −10.83, where the slopes had promised −10.81. A gradient is a promise about the neighbourhood, and the small
# difference is the bend of the function. Now a step a hundred times as large, from the same start:
#
# <details><summary><b>Predict.</b> With a rate of 1 the slopes promise a change of −81. Will the true change be near that?</summary>
#
# No. The promise holds for small steps. Over a long one the slopes themselves change under our feet.
# </details>

# %% tags=["nbval-check-output"]
before, grads, rate = [3.0, -2.0, 1.0, 2.0], [-4.0, 6.0, 2.0, -5.0], 1.0
a2, b2, c2, k2 = [x - rate * g for x, g in zip(before, grads, strict=True)]
(a2 * b2 + c2) * k2

# %% [markdown]
# Promised was −91; we landed at −399. This time it was in our favour. In a loss that has a bottom, the same surprise throws you out of
# the valley. Hence small steps, and many.

# %% [markdown]
# ## 7. A neuron by hand
#
# A **neuron** weighs its inputs, adds a bias, and squashes the sum: $o = \tanh(w_1 x_1 + w_2 x_2 + b)$. The squashing function is why
# networks are more than long sums. Here is tanh with its slope.

# %%
ns = np.linspace(-4, 4, 200)
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(ns, np.tanh(ns), label="tanh(n)")
ax.plot(ns, 1 - np.tanh(ns) ** 2, label="its slope, 1 − tanh(n)²")
ax.set(xlabel="n", ylabel="value", title="Far from zero, tanh is flat and its slope is gone")
ax.legend()
plt.show()

# %% [markdown]
# We may treat tanh as a single operation, as long as we know its local slope: $1 - \tanh^2 n$. We take this slope on trust for now; section 13 finds it
# again from smaller pieces. Python lets us add a method to a class that exists already.


# %%
def tanh(self):
    return Value(math.tanh(self.data), (self,), "tanh")


Value.tanh = tanh

# %%
x1, x2 = Value(1.0), Value(-2.0)  # inputs
w1, w2 = Value(0.5), Value(-0.4)  # weights
bias = Value(-0.8)
x1w1, x2w2 = x1 * w1, x2 * w2
s = x1w1 + x2w2
n = s + bias
o = n.tanh()
o

# %% [markdown]
# The forward pass gives $n = 0.5$ and $o = 0.4621$. Now backward, one local slope at a time.
#
# <details><summary><b>Predict.</b> Which of the two weights gets the larger gradient, in absolute value?</summary>
#
# w2. The gradient of a weight is the gradient of n times the weight's <i>input</i>, and |x2| = 2 is larger than |x1| = 1. A weight
# whose input is zero would get no gradient at all: it had no say in the result.
# </details>

# %%
o.grad = 1.0
n.grad = (1 - o.data**2) * o.grad  # through tanh
s.grad = bias.grad = n.grad  # through +
x1w1.grad = x2w2.grad = s.grad  # through +
w1.grad, x1.grad = x1.data * x1w1.grad, w1.data * x1w1.grad  # through ×
w2.grad, x2.grad = x2.data * x2w2.grad, w2.data * x2w2.grad  # through ×

# %%
by_nudging = numerical_gradient(
    lambda x1, x2, w1, w2, b: math.tanh(x1 * w1 + x2 * w2 + b), [1.0, -2.0, 0.5, -0.4, -0.8]
)
torch.testing.assert_close([x1.grad, x2.grad, w1.grad, w2.grad, bias.grad], by_nudging)
neuron_names = {"x1": x1, "w1": w1, "x2": x2, "w2": w2, "bias": bias, "n": n, "o": o}
graph.svg(diagram(o, **neuron_names))

# %% [markdown]
# To raise $o$, raise $w_1$ (0.7864) and lower $w_2$ (−1.573). It works, and nobody wants to do it for a second neuron. But look at what
# we did: at each node, the same thing. Multiply the gradient at the output by the local slope, and hand it to the input. The only
# knowledge that differed was the local slope, and that belongs to the operation.

# %% [markdown]
# ## 8. Each operation knows its slopes
#
# So the operation shall note its local slopes the moment it computes its result, when all it needs is at hand:
#
# | operation | result | slopes in its inputs |
# |---|---|---|
# | $a + b$ | sum | $1,\ 1$ |
# | $a \cdot b$ | product | $b,\ a$ |
# | $\tanh a$ | $t$ | $1 - t^2$ |
#
# The second draft stores one slope per input. Going back through a node is then two lines that serve every operation there will
# ever be.


# %%
class Value:
    """Second draft: each node also keeps its local slopes, one for each input."""

    def __init__(self, data, inputs=(), op="", slopes=()):
        self.data, self.grad = data, 0.0
        self.inputs, self.op, self.slopes = inputs, op, slopes

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), "+", (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), "×", (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), "tanh", (1 - t**2,))

    def pass_back(self):
        for node, slope in zip(self.inputs, self.slopes, strict=True):
            node.grad = slope * self.grad  # the chain rule


# %% [markdown]
# The same neuron again, and we walk back by calling `pass_back` on each node, from the right to the left.


# %%
def make_neuron(x1=1.0, x2=-2.0, w1=0.5, w2=-0.4, bias=-0.8):
    """The neuron of section 7: its output, and its nodes by name."""
    x1, x2, w1, w2, bias = Value(x1), Value(x2), Value(w1), Value(w2), Value(bias)
    s = x1 * w1 + x2 * w2
    n = s + bias
    o = n.tanh()
    return o, {"x1": x1, "w1": w1, "x2": x2, "w2": w2, "bias": bias, "s": s, "n": n, "o": o}


# %%
o, nodes = make_neuron()
o.grad = 1.0
o.pass_back()
nodes["n"].pass_back()
nodes["s"].pass_back()
for product in nodes["s"].inputs:
    product.pass_back()
nodes["w1"], nodes["w2"], nodes["x1"], nodes["x2"], nodes["bias"]

# %% [markdown]
# The same five gradients as by hand, and no formula was written for this neuron: the two lines of `pass_back` and the slopes that each operation
# noted did it all. One thing is left for us to do: to know the order.

# %% [markdown]
# ## 9. Backward through the whole graph
#
# What if we call the nodes in the wrong order?

# %%
o, nodes = make_neuron()
o.grad = 1.0
nodes["n"].pass_back()
o.pass_back()
nodes["s"], nodes["n"]

# %% [markdown]
# $n$ passed on a gradient that it did not have yet: `s.grad` is 0. So the rule is: a node may pass back only after **all** nodes that use it have
# passed back to it. An order in which every node stands after its inputs is called a **topological order**; we need it from the back to the
# front. The textbook way to find it is to visit the inputs of a node first, then append the node itself.


# %%
def topological_order(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for entry in node.inputs:
                visit(entry)
            order.append(node)

    visit(root)
    return order


# %%
def backward(root):
    root.grad = 1.0
    for node in reversed(topological_order(root)):
        node.pass_back()


o, nodes = make_neuron()
backward(o)
[node.op or "leaf" for node in topological_order(o)], nodes["w1"], nodes["w2"]

# %% [markdown]
# The list reads like the expression: leaves before the products that use them, tanh at the very end. One call, and all the gradients are there. Now something longer: a sum of 100,001 numbers, one `+` after the other. Losses over a
# long text are sums like this one.
#
# <details><summary><b>Predict.</b> The derivative of the sum in its first number is 1. Will `backward` tell us so?</summary>
#
# No. `visit` calls itself once for each node along the chain, and Python allows a few thousand calls inside each other at most.
# </details>


# %%
def long_chain(length):
    x = Value(1.0)
    total = x
    for _ in range(length):
        total = total + Value(0.001)
    return x, total


x, total = long_chain(chain_length)
try:
    backward(total)
except RecursionError as problem:
    print(type(problem).__name__, "· the gradient of x is still", x.grad)

# %% [markdown]
# The recursion used Python's own stack to remember where to go on. That stack is short; a list is as long as the memory. So we keep the
# list ourselves. A node is put on it to be opened, once for each use; only the first opening counts, and puts its inputs on top. At that moment it
# is also put back to be closed, which happens when everything above it has been dealt with.


# %%
#| export micrograd
def topological_order(root):
    """Every node of the expression behind `root`, each after all of its inputs; no recursion, so of any depth."""
    order, seen, todo = [], set(), [(root, False)]
    while todo:
        node, inputs_done = todo.pop()
        if inputs_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo.extend((entry, False) for entry in node.inputs)
    return order


# %% tags=["nbval-check-output"]
backward(total)
assert x.grad == 1.0
print(f"{len(topological_order(total)):,} nodes, and the gradient of x is {x.grad}")

# %% [markdown]
# 200,001 nodes: the 100,000 sums, the 100,000 numbers added, and $x$. Depth is no longer a limit.

# %% [markdown]
# ## 10. The bug of the node that is used twice
#
# We have trusted `pass_back` since section 8. Here is the shortest expression that it gets wrong.
#
# <details><summary><b>Predict.</b> y = a + a. What should the slope of y in a be? What will our code say?</summary>
#
# y = 2a, so it should be 2. Read `pass_back` once more: it assigns to `node.grad`, first 1 for the left input, then 1 for the right one,
# and both are the same object.
# </details>

# %% tags=["nbval-check-output"]
a = Value(3.0)
y = a + a
backward(y)
a

# %% [markdown]
# It says 1. The second assignment overwrote the first. And `a + a` is no rare case. Every weight of a network is used once for each example;
# any node with two users has this bug. Here is one where the two paths differ: $y = a \cdot b + a$.

# %%
a, b = Value(3.0), Value(-2.0)
y = a * b + a
backward(y)
print("ours:   ", a.grad, b.grad)
print("nudged: ", *(round(g, 6) for g in numerical_gradient(lambda a, b: a * b + a, [3.0, -2.0])))

# %% [markdown]
# A nudge in $a$ reaches $y$ on two paths, through the product with slope $-2$ and directly with slope 1. Both changes arrive, and they add
# up to −1. That is the chain rule for several paths: **multiply along a path, add over the paths.**
#
# $$\frac{\partial y}{\partial a} = \sum_{\text{nodes } v \text{ that use } a} \frac{\partial y}{\partial v} \cdot \frac{\partial v}{\partial a}$$
#
# So the fix is one character. A node does not receive its gradient, it collects it.


# %%
def pass_back(self):
    for node, slope in zip(self.inputs, self.slopes, strict=True):
        node.grad += slope * self.grad  # add over the paths


Value.pass_back = pass_back

# %% tags=["nbval-check-output"]
a, b = Value(3.0), Value(-2.0)
y = a * b + a
backward(y)
a, b

# %% [markdown]
# −1 and 3, as nudged. Keep in mind what we bought with it. Adding up needs a clean start, and nobody sweeps for us: a second `backward` adds on top of
# the first. That debt falls due in section 18.

# %% [markdown]
# ## 11. The engine, whole
#
# Now the class in full: the one that the rest of this page, the exercises, and later lectures use. It is the draft above, with four additions.
#
# **More operations.** Each is its result and its slopes. Minus has the slopes $1$ and $-1$; division is multiplication with the power
# $-1$, so it needs none of its own. New in the table are $a^n$ with slope $n a^{n-1}$, $e^a$ with slope $e^a$, and $\log a$ with slope $1/a$. For `relu`, $\max(0, x)$, the slope at the corner itself is a matter of taste; we say 0, as PyTorch does.
#
# **Plain numbers.** `a + 2` wraps the 2. In `2 + a`, Python asks the 2 first, which has never heard of us, and then asks `a.__radd__(2)`.
#
# **A backward that can be called again.** Leaves go on collecting, as in PyTorch. The nodes in between belong to this one result and
# start from zero. The two lines of `pass_back` are now the inner loop of `backward`.
#
# **Errors in words.** Each operation checks that its input makes sense, and says what to do where it does not. That is most of the length.


# %%
#| export micrograd
import math
from numbers import Real


class Value:
    """A number that remembers how it was made, so that `backward()` finds a result's slope in everything behind it.

    data: the number.  grad: the slope of the result in this number after `result.backward()`; leaves add up over
    calls.  inputs, op: the Values it was made from, and by what; a leaf has none.  slopes: its own slope in each input.

    Reverse-mode differentiation as in Linnainmaa (1970) and Rumelhart, Hinton and Williams (1986); the interface is
    that of Karpathy's micrograd (2020). Raises TypeError for what is not one real number, and ValueError or
    ArithmeticError outside an operation's domain.
    """

    __slots__ = ("data", "grad", "inputs", "op", "slopes")  # small and fast, and a misspelt `gard` is an error
    __array_ufunc__ = None  # a NumPy number on the left leaves the operation to us

    def __init__(self, data, inputs=(), op="", slopes=()):
        if not isinstance(data, Real):
            raise TypeError(f"A Value holds one real number, but it was given a {type(data).__name__}: {data!r:.50}.")
        self.data, self.grad = float(data), 0.0
        self.inputs, self.op, self.slopes = inputs, op, slopes

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), "+", (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), "×", (other.data, self.data))

    def __pow__(self, n):
        """self ** n for a plain number n."""
        x = self.data
        if not isinstance(n, Real):
            raise TypeError("The exponent of a Value is a plain number: for a ** b write (b * a.log()).exp().")
        n = float(n)
        if x < 0 and not n.is_integer():
            raise ValueError(f"({x:.4g}) ** {n:g} is not a real number.")
        if x == 0 and n < 0:
            raise ZeroDivisionError("Division by a Value that holds 0.")
        if x == 0 and n < 1:  # below, 0 ** (n - 1) would divide by zero
            return Value(x**n, (self,), f"**{n:g}", (math.inf if n else 0.0,))
        try:
            return Value(x**n, (self,), f"**{n:g}", (n * x ** (n - 1),))
        except OverflowError:
            raise OverflowError(f"({x:.4g}) ** {n:g}, or its slope, is too large for a float.") from None

    def __rpow__(self, base):
        raise TypeError(
            f"A Value cannot be the exponent of {base}: for a positive base write (a * math.log(base)).exp()."
        )

    def exp(self):
        if self.data > 709.78:
            raise OverflowError(f"exp({self.data:.4g}) is too large for a float, which ends near exp(709.78).")
        e = math.exp(self.data)
        return Value(e, (self,), "exp", (e,))

    def log(self):
        if self.data <= 0:
            raise ValueError(f"log({self.data:.4g}) is not a real number: log needs a positive one.")
        return Value(math.log(self.data), (self,), "log", (1 / self.data,))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), "tanh", (1 - t**2,))

    def relu(self):
        """max(0, self); its slope at 0 is taken as 0."""
        return Value(max(self.data, 0.0), (self,), "relu", (1.0 if self.data > 0 else 0.0,))

    def __neg__(self):
        return Value(-self.data, (self,), "−", (-1.0,))

    def __sub__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data - other.data, (self, other), "−", (1.0, -1.0))

    def __truediv__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return self * other**-1

    def __radd__(self, other):  # other + self
        return self + other

    def __rmul__(self, other):  # other * self
        return self * other

    def __rsub__(self, other):  # other - self
        return Value(other) - self

    def __rtruediv__(self, other):  # other / self
        return Value(other) / self

    def backward(self):
        """Add the slope of this number in every leaf behind it to that leaf's grad; set it for the nodes between."""
        order = topological_order(self)
        for node in order:
            if node.inputs:
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            for entry, slope in zip(node.inputs, node.slopes, strict=True):
                entry.grad += slope * node.grad


# %% [markdown]
# Does the second call do what we say? The slope of $a^3$ at $a = 2$ is $3a^2 = 12$. Two calls should leave 24 in the leaf, and PyTorch is our witness.

# %%
a, ta = Value(2.0), torch.tensor(2.0, requires_grad=True)
y, ty = a * a * a, ta * ta * ta
for _ in range(2):
    y.backward()
    ty.backward(retain_graph=True)
assert a.grad == ta.grad.item() == 24.0

# %% [markdown]
# The draft would have left 12 from the first call and 4 + 16 from the second, 32 together: the inner product $a \cdot a$ would have kept its gradient of 2
# from the first call, and passed on 4 in the second.
#
# A good tool fails in words. Here is what misuse looks like.

# %%
a = Value(-2.0)
for attempt in (lambda: Value("a"), lambda: 2**a, lambda: a**a, lambda: a**0.5, lambda: a.log(), lambda: 1 / (a + 2)):
    try:
        attempt()
    except (TypeError, ValueError, ArithmeticError) as problem:
        print(f"{type(problem).__name__}: {problem}")

# %% [markdown]
# ## 12. Play with it
#
# `make_neuron` from section 8 builds on whatever `Value` is, so it now uses the whole engine. Move $x_1$ and watch the gradients. What happens to
# all of them when you push $x_1$ to either end?


# %%
slider = widgets.FloatSlider(value=1.0, min=-8, max=8, step=0.5, description="x1")
picture = widgets.HTML()


def redraw(change=None):
    o, nodes = make_neuron(x1=slider.value)
    o.backward()
    picture.value = graph.svg(diagram(o, **nodes)).data


slider.observe(redraw, "value")
redraw()
widgets.VBox([slider, picture])

# %% [markdown]
# The slider needs a running notebook. This picture holds the same sweep on paper: each point on the curves is one forward and one
# backward pass.

# %%
sweep = {x1: make_neuron(x1=x1) for x1 in np.linspace(-8, 8, 161).tolist()}
for out, _ in sweep.values():
    out.backward()
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.3))
left.plot(sweep.keys(), [out.data for out, _ in sweep.values()])
left.set(xlabel="input x1", ylabel="output o", title="The output saturates")
for name in ("w1", "w2", "x1", "x2", "bias"):
    right.plot(sweep.keys(), [nodes[name].grad for _, nodes in sweep.values()], label=name)
right.set(xlabel="input x1", ylabel="slope of o", title="The gradients vanish where it saturates")
right.legend(title="slope in")
plt.show()

# %% [markdown]
# Where the output is pinned near $\pm 1$, tanh's slope is almost 0, and every gradient further left is multiplied by it. Such a
# neuron is **saturated**: wrong or right, it learns next to nothing. Lecture 04 finds whole layers in this state. Look also at $w_1$: its curve crosses
# zero exactly where $x_1 = 0$. No input, no blame.

# %% [markdown]
# ## 13. Taking tanh apart
#
# We treated tanh as one operation. It can also be written in smaller ones:
#
# $$\tanh n = \frac{e^{2n} - 1}{e^{2n} + 1}$$
#
# <details><summary><b>Predict.</b> Will the gradients in w1 and w2 change when we compute tanh this way?</summary>
#
# No. It is the same function, and the chain rule does not care how we cut it into pieces. Only the number of nodes changes.
# </details>


# %%
def tanh_in_pieces(n):
    e = (2 * n).exp()
    return (e - 1) / (e + 1)


n = Value(0.5)
o = tanh_in_pieces(n)
o.backward()
e = o.inputs[0].inputs[0]  # o is (e - 1) * (e + 1)**-1
graph.svg(diagram(o, n=n, e=e, o=o))

# %% [markdown]
# One circle has become six: a product, exp, a minus, a plus, and the power −1 with a product that make our division. Note the node `e`,
# which is used twice. Before section 10 this picture would have been wrong. The slope in $n$ is the one we took on trust in section 7:

# %%
torch.testing.assert_close(n.grad, 1 - math.tanh(0.5) ** 2, rtol=1e-12, atol=0)
x1, x2, w1, w2, bias = (Value(v) for v in (1.0, -2.0, 0.5, -0.4, -0.8))
o = tanh_in_pieces(x1 * w1 + x2 * w2 + bias)
o.backward()
whole, nodes = make_neuron()
whole.backward()
pieces = [v.grad for v in (x1, x2, w1, w2, bias)]
in_one = [nodes[name].grad for name in ("x1", "x2", "w1", "w2", "bias")]
torch.testing.assert_close(pieces, in_one, rtol=1e-12, atol=0)
print(f"{len(topological_order(whole))} nodes with one tanh, {len(topological_order(o))} with its pieces")

# %% [markdown]
# Equal to twelve digits. So the size of an operation is a matter of speed and of range, not of truth. Of range, because the pieces can overflow where the
# whole does not:

# %%
print("in one: ", Value(400.0).tanh())
try:
    tanh_in_pieces(Value(400.0))
except OverflowError as problem:
    print("pieces: ", problem)

# %% [markdown]
# Anything whose local slope you can write down may be a single node: a tanh, a whole layer, a softmax with its loss. Lecture 05 writes such slopes for
# tensors.

# %% [markdown]
# ## 14. The same neuron in PyTorch
#
# PyTorch does what we did, on arrays of numbers at once. A tensor with `requires_grad=True` is a leaf whose gradient we want. Ours are Python
# floats of 64 bits, so we ask for the same with `dtype=torch.float64`; PyTorch's own default has 32.

# %%
tx1, tx2, tw1, tw2, tbias = (
    torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, -2.0, 0.5, -0.4, -0.8)
)
to = (tx1 * tw1 + tx2 * tw2 + tbias).tanh()
to.backward()
to.item(), tw1.grad.item(), tw2.grad.item()

# %%
in_torch = [t.grad.item() for t in (tx1, tx2, tw1, tw2, tbias)]
torch.testing.assert_close(pieces, in_torch, rtol=1e-12, atol=0)

# %% [markdown]
# The same interface, the same numbers. `data`, `grad` and `backward()` are PyTorch's names; we borrowed them.

# %% [markdown]
# ## 15. Prove it
#
# One neuron proves little. We want expressions that nobody would write: every operation, at random, nodes used again and again. The trick is
# that both engines speak the same language. A recipe is a list of steps, and the same few lines cook it with our `Value`, with PyTorch's tensors, or
# with anything that knows `+` and `tanh`.
#
# Each operation comes with its domain, so that no random graph takes the log of a negative number, and none stands so close to relu's corner that a
# nudge is likely to cross it.

# %%
OPERATIONS = {  # (how many inputs, what to do, where it is allowed)
    "a + b": (2, lambda a, b: a + b, lambda a, b: True),
    "a - b": (2, lambda a, b: a - b, lambda a, b: True),
    "a * b": (2, lambda a, b: a * b, lambda a, b: True),
    "a / b": (2, lambda a, b: a / b, lambda a, b: abs(b) > 0.3),
    "-a": (1, lambda a: -a, lambda a: True),
    "a + 2": (1, lambda a: a + 2, lambda a: True),
    "a - 2": (1, lambda a: a - 2, lambda a: True),
    "a * 3": (1, lambda a: a * 3, lambda a: True),
    "a / 2": (1, lambda a: a / 2, lambda a: True),
    "2 + a": (1, lambda a: 2 + a, lambda a: True),
    "2 - a": (1, lambda a: 2 - a, lambda a: True),
    "3 * a": (1, lambda a: 3 * a, lambda a: True),
    "1 / a": (1, lambda a: 1 / a, lambda a: abs(a) > 0.3),
    "a ** 3": (1, lambda a: a**3, lambda a: abs(a) < 3),
    "a ** -2": (1, lambda a: a**-2, lambda a: abs(a) > 0.3),
    "a ** 0.5": (1, lambda a: a**0.5, lambda a: a > 0.3),
    "exp": (1, lambda a: a.exp(), lambda a: a < 2),
    "log": (1, lambda a: a.log(), lambda a: a > 0.3),
    "tanh": (1, lambda a: a.tanh(), lambda a: True),
    "relu": (1, lambda a: a.relu(), lambda a: abs(a) > 0.01),
}


# %% [markdown]
# `cook` follows a recipe. `random_recipe` writes one, cooking along to know which steps are allowed. All nodes enter the final sum, so that none
# is made in vain.


# %%
def cook(recipe, leaves):
    """Follow a recipe, [(operation, places of its inputs), ...], from these leaves: the sum of all nodes."""
    nodes = list(leaves)
    for name, places in recipe:
        nodes.append(OPERATIONS[name][1](*(nodes[place] for place in places)))
    return sum(nodes)  # Python's sum starts at the plain number 0, which `__radd__` takes care of


def random_recipe(rng, leaves, steps):
    """A random recipe that stays inside every operation's domain, and in numbers of size below 20."""
    recipe, nodes = [], [Value(leaf) for leaf in leaves]
    while len(recipe) < steps:
        name = rng.choice(list(OPERATIONS))
        arity, do, allowed = OPERATIONS[name]
        places = [rng.randrange(len(nodes)) for _ in range(arity)]
        entries = [nodes[place] for place in places]
        if allowed(*(entry.data for entry in entries)) and abs((made := do(*entries)).data) < 20:
            recipe.append((name, places))
            nodes.append(made)
    return recipe


# %%
rng = random.Random(6)
leaves = [rng.uniform(-2, 2) for _ in range(3)]
recipe = random_recipe(rng, leaves, 6)
recipe

# %% [markdown]
# That is a small one. Now a thousand of them, each with 3 to 6 leaves and 5 to 25 steps. We compare our gradients with PyTorch's, and with symmetric
# nudges, and keep the worst relative difference. This takes a few seconds.


# %%
def relative_difference(got, want):
    """The largest |got - want|, relative where |want| is above 1. A NaN anywhere gives NaN, which no bound lets pass."""
    got, want = np.array(got), np.array(want)
    return np.max(np.abs(got - want) / np.maximum(1.0, np.abs(want)))


worst_torch = worst_nudge = 0.0
used = dict.fromkeys(OPERATIONS, 0)
rng = random.Random(0)
for _ in train.progress(random_graphs, "random graphs"):
    leaves = [rng.uniform(-2, 2) for _ in range(rng.randint(3, 6))]
    recipe = random_recipe(rng, leaves, rng.randint(5, 25))
    ours = [Value(leaf) for leaf in leaves]
    theirs = [torch.tensor(leaf, dtype=torch.float64, requires_grad=True) for leaf in leaves]
    cook(recipe, ours).backward()
    cook(recipe, theirs).backward()
    nudged = numerical_gradient(lambda *numbers, r=recipe: cook(r, map(Value, numbers)).data, leaves)
    grads = [v.grad for v in ours]
    worst_torch = np.maximum(worst_torch, relative_difference(grads, [t.grad.item() for t in theirs]))
    worst_nudge = np.maximum(worst_nudge, relative_difference(grads, nudged))
    for name, _ in recipe:
        used[name] += 1

# %%
print(f"worst difference from PyTorch {worst_torch:.0e}, from nudging {worst_nudge:.0e}")
print(f"every operation was used at least {min(used.values())} times")
assert worst_torch < 1e-12  # two engines in float64 differ by rounding alone, a few 1e-15
assert worst_nudge < 1e-5  # a nudge errs by h²/6 times a third derivative, which can be thousands of times the slope

# %% [markdown]
# Two independent witnesses. Against PyTorch nothing is left but the last digits. The nudge is many orders worse, and we know from section 1 whose fault that is.

# %% [markdown]
# ## 16. A network
#
# The engine is done. What shall we build on it? A **neuron** is what we had in section 7, for any number of inputs. A **layer** is several
# neurons that look at the same inputs. A **multi-layer perceptron** (MLP) is layers in a row, each fed with the outputs of the one before.
#
# All three own parameters, the numbers to be learned. So all three are a `Module`, which can list them and clear their gradients.
#
# <details><summary><b>Predict.</b> An MLP with 2 inputs, a hidden layer of 4 neurons and one output neuron: how many parameters?</summary>
#
# Each hidden neuron has 2 weights and a bias: 4·3 = 12. The output neuron has 4 weights and a bias: 5. Together 17.
# </details>


# %%
#| export micrograd
import random


class Module:
    """Something with parameters."""

    def parameters(self) -> list[Value]:
        """All numbers that training may change."""
        return []

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0, as each step must before its `backward()`."""
        for p in self.parameters():
            p.grad = 0.0


class Neuron(Module):
    """nin numbers in, one Value out: activation(w · x + b).  activation: "tanh", "relu", or "" for none."""

    def __init__(self, nin: int, activation: str = "tanh"):
        if activation not in ("tanh", "relu", ""):
            raise ValueError(f'activation is "tanh", "relu" or "", not {activation!r}.')
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0.0)
        self.activation = activation

    def __call__(self, x) -> Value:
        if len(x) != len(self.w):
            raise ValueError(f"This neuron takes {len(self.w)} inputs, but it was given {len(x)}.")
        n = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return getattr(n, self.activation)() if self.activation else n

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]


class Layer(Module):
    """nout neurons side by side: nin numbers in, a list of nout Values out."""

    def __init__(self, nin: int, nout: int, activation: str = "tanh"):
        self.neurons = [Neuron(nin, activation) for _ in range(nout)]

    def __call__(self, x) -> list[Value]:
        return [neuron(x) for neuron in self.neurons]

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP(Module):
    """A multi-layer perceptron: `MLP(2, [8, 8, 1])` takes 2 numbers through two hidden layers of 8 to one output.

    The last layer has no activation. One output comes as a Value, several come as a list. Weights start uniformly in
    [-1, 1] from Python's `random`, biases at 0.
    """

    def __init__(self, nin: int, sizes: list[int], activation: str = "tanh"):
        last = len(sizes) - 1
        self.layers = [
            Layer(before, after, "" if i == last else activation)
            for i, (before, after) in enumerate(zip([nin, *sizes], sizes, strict=False))
        ]

    def __call__(self, x) -> Value | list[Value]:
        for layer in self.layers:
            x = layer(x)
        return x[0] if len(x) == 1 else x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]


# %%
random.seed(1)
net = MLP(2, [4, 1])
len(net.parameters()), net([1.0, -1.0])

# %% [markdown]
# Read `Neuron.__call__` once more: the sum starts at the bias and adds the products one by one, all of them `Value`s, so the engine sees
# everything. Apart from `zero_grad`, nothing in these classes mentions gradients. They build an expression; `backward` does the rest. The last layer has no activation: its
# outputs are scores, and scores should be free to be large.
#
# 17 parameters, and one number out. The network is a large expression like all the others, so we can draw it. Do not read it; look how a
# picture that fitted the screen in section 7 becomes a machine. (The two inputs appear four times each: they are plain numbers, and every neuron wraps
# them anew.)

# %%
graph.svg(diagram(net([1.0, -1.0])))

# %% [markdown]
# ## 17. A tiny data set, and a loss
#
# What shall it learn? Four points, the smallest problem that no single neuron can solve: say +1 when the two inputs differ, −1 when they agree. It is
# called XOR. No straight line separates the two answers, which Minsky and Papert made famous in 1969.

# %%
inputs = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
targets = [-1.0, 1.0, 1.0, -1.0]
[round(net(x).data, 3) for x in inputs]

# %% [markdown]
# A random network gives random answers. (That they mirror each other is no accident: tanh is odd, and the biases start at 0. XOR needs the opposite, so
# the biases will have to learn.) How bad are they? We need one number for that, which is 0 when all is right and grows with every
# error: the **loss**. Squared differences, summed over the examples, will do. They are made of `-`, `**` and `+`, so the loss is a `Value` too, with the whole
# network behind it.


# %%
def loss_of(net):
    return sum((net(x) - target) ** 2 for x, target in zip(inputs, targets, strict=True))


loss = loss_of(net)
loss, len(topological_order(loss))

# %% [markdown]
# 178 nodes, for four examples of a network with 17 parameters. One `backward()` from this number reaches through all four examples into every weight. And each weight is used four times, once an example.
# The `+=` of section 10 adds up their four opinions.

# %%
loss.backward()
first = net.layers[0].neurons[0]
first.w, first.b

# %% [markdown]
# ## 18. Gradient descent by hand
#
# We know what to do with gradients since section 6: a small step against them. This time for a list of parameters.

# %%
for p in net.parameters():
    p.data -= xor_rate * p.grad
print(f"loss before {loss.data:.4f}, after {loss_of(net).data:.4f}")

# %% [markdown]
# It fell. So we do it again, and again. Forward, backward, update: that is all training is. Put it in a loop and watch the loss go to
# zero.


# %%
def train_without_care(net, steps, rate):
    losses = []
    for _ in range(steps):
        loss = loss_of(net)  # forward
        loss.backward()  # backward
        for p in net.parameters():  # update
            p.data -= rate * p.grad
        losses.append(loss.data)
    return losses


random.seed(1)
careless = train_without_care(MLP(2, [4, 1]), xor_steps, xor_rate)
[round(loss, 2) for loss in careless[::10]]  # every tenth

# %% [markdown]
# It falls, then it climbs, and it will not settle. Nothing failed; there is no error message. This is what most bugs in training look like.
# Where would you look?
#
# <details><summary><b>Predict.</b> Think of the debt from section 10. What is in <code>p.grad</code> after the second step?</summary>
#
# The gradient of the second loss, <i>plus</i> that of the first. After 80 steps, the sum of 80 gradients, most of them taken at places
# where the network no longer is.
# </details>
#
# We measure it: the gradient that the careless loop stepped along at its second step, beside the true one at that place.

# %%
random.seed(1)
net = MLP(2, [4, 1])
train_without_care(net, 1, xor_rate)
p = net.parameters()[0]
from_before = p.grad
loss_of(net).backward()
print(f"stepped along {p.grad:.4f} = {from_before:.4f} left over + {p.grad - from_before:.4f} true")

# %% [markdown]
# The first step's 0.5025 is still in there, and the true gradient of 0.1289 is a fifth of what the loop stepped along. The left-over never leaves. The loop behaves like a heavy ball without friction: it rolls through the valley and up the other side.
# (Momentum with friction is a good idea; the exercises build it.) We forgot to clear the gradients. `zero_grad()` belongs in every step, before `backward()`.

# %%
random.seed(1)
net = MLP(2, [4, 1])
careful = []
for _ in range(xor_steps):
    loss = loss_of(net)
    net.zero_grad()
    loss.backward()
    for p in net.parameters():
        p.data -= xor_rate * p.grad
    careful.append(loss.data)

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2))
ax.semilogy(careful, label="with zero_grad")
ax.semilogy(careless, label="zero_grad forgotten")
ax.set(xlabel="step", ylabel="loss (sum of 4 squares)", title="One forgotten line, and the loss never settles")
ax.legend()
plt.show()

# %%
print(f"loss {careful[-1]:.1e} with zero_grad, {careless[-1]:.2f} without")
assert careful[-1] < 1e-3 < 0.01 < careless[-1]
[round(net(x).data, 3) for x in inputs]

# %% [markdown]
# The four answers are right, to three digits. After some twenty steps the careful loss is nearly a straight line on the logarithmic axis: each step takes away the
# same share of what is left. Was it luck? One seed proves nothing, so we try twelve.

# %%
solved = {"with zero_grad": 0, "without": 0}
for seed in range(12):
    random.seed(seed)
    net = MLP(2, [4, 1])
    train_without_care(net, xor_steps, xor_rate)
    solved["without"] += loss_of(net).data < 0.01
    random.seed(seed)
    net = MLP(2, [4, 1])
    for _ in range(xor_steps):
        net.zero_grad()
        train_without_care(net, 1, xor_rate)
    solved["with zero_grad"] += loss_of(net).data < 0.01
print(solved, "of 12 seeds")

# %% [markdown]
# All of them, against none. Do not count on it being this clear: in a problem with another loss or rate, the forgotten line may only cost some accuracy, and nobody
# notices. That is why the four words forward, zero, backward, update are worth knowing by heart.

# %% [markdown]
# ## 19. Two moons
#
# Now something with noise in it: two half circles that reach into each other.

# %%
X, labels = make_moons(moon_points, noise=0.1, random_state=0)
X, y = X.tolist(), (2 * labels - 1).tolist()  # (100, 2) and (100,), answers −1 or +1
X[0], y[0]

# %% [markdown]
# Which loss? For a decision between two classes, only the sign of the score and a safe distance matter; to be *very* right needs no
# correction. That is the **hinge loss** of support vector machines, for one example with score $s$ and answer $y = \pm 1$:
#
# $$\max(0,\ 1 - y \cdot s)$$
#
# <details><summary><b>Predict.</b> Which points send a gradient back into the network?</summary>
#
# Those with y·s below 1: wrong ones, and right ones too close to the border. All others have a relu slope of exactly 0. As training goes on,
# fewer and fewer points have a say.
# </details>


# %%
def hinge(scores, answers):
    return sum((1 - s * answer).relu() for s, answer in zip(scores, answers, strict=True)) / len(answers)


def accuracy(net):
    return sum((net(x).data > 0) == (answer > 0) for x, answer in zip(X, y, strict=True)) / len(y)


# %% [markdown]
# The network has two hidden layers of eight, with relu this time. All 100 points at every step would be slow in pure Python, and there is no need: a few
# random points, a **minibatch**, give a rough gradient, and many rough steps beat few exact ones (lecture 03 measures that). One pass over all points is
# an **epoch**. The learning rate falls towards the end, so that the last steps settle. The loop keeps a snapshot of the border now and then for the
# picture, and takes a few seconds.

# %%
random.seed(0)
net = MLP(2, [8, 8, 1], activation="relu")
places = plot.grid(X, resolution=30)  # 900 places to ask the network about
snapshots, losses = {}, []
for epoch in train.progress(moon_epochs, "two moons"):
    if epoch in (0, 2, 8):
        snapshots[f"after {epoch} epochs: {accuracy(net):.0%}"] = [net(place).data for place in places]
    rate = moon_rate * (1 - 0.9 * epoch / (moon_epochs - 1))
    order = random.sample(range(moon_points), moon_points)
    for first in range(0, moon_points, moon_batch):
        batch = order[first : first + moon_batch]
        loss = hinge([net(X[i]) for i in batch], [y[i] for i in batch])
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.data -= rate * p.grad
        losses.append(loss.data)

# %%
print(f"{len(net.parameters())} parameters, {len(losses)} steps, train accuracy {accuracy(net):.0%}")
assert accuracy(net) == 1.0

# %%
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.plot(range(1, moon_epochs + 1), np.reshape(losses, (moon_epochs, -1)).mean(1), marker=".")
ax.set(xlabel="epoch", ylabel="hinge loss, averaged", title="Fewer and fewer points are left to learn from")
plt.show()

# %% [markdown]
# Every point on its side, and nearly all by a safe distance. In the next picture the colour is the score, and the black line is where it is zero, the **decision boundary**.

# %%
snapshots[f"after {moon_epochs} epochs: {accuracy(net):.0%}"] = [net(place).data for place in places]
plot.boundaries(snapshots, places, X, y, title="The border bends until every point is on its side")

# %% [markdown]
# Untrained, the network says yes to every point, and is right for half of them. Two epochs later a nearly straight cut gets 88 %. From
# there on it bends, and the last points come home. The border is made of straight pieces: relu networks are piecewise linear, and each
# hidden neuron may add a crease.
#
# Train accuracy is what we asked for, and it says how well the network remembers these 100 points. What about points from the same moons that it has
# never seen?

# %%
fresh, fresh_labels = make_moons(500, noise=0.1, random_state=1)
right = sum((net(x).data > 0) == bool(label) for x, label in zip(fresh.tolist(), fresh_labels, strict=True))
print(f"{right / 500:.1%} of 500 fresh points")
assert right / 500 > 0.97

# %% [markdown]
# They are no harder, since the moons have one shape and little noise. Often the second number is much worse, and from lecture 02 on it is the one that counts.

# %% [markdown]
# ## 20. From here to a modern network
#
# How far is this from a real one? We give PyTorch our trained weights and compare: the same loss, and the same gradient in each of the
# parameters.

# %%
mirror = torch.nn.Sequential(
    torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
).double()
with torch.no_grad():
    for theirs, ours in zip(mirror[::2], net.layers, strict=True):
        weights = [[w.data for w in neuron.w] for neuron in ours.neurons]
        theirs.weight.copy_(torch.tensor(weights, dtype=torch.float64))  # (nout, nin)
        theirs.bias.copy_(torch.tensor([neuron.b.data for neuron in ours.neurons], dtype=torch.float64))  # (nout,)

# %% [markdown]
# There is a catch: the trained network's hinge loss is nearly 0, hardly a point sends a gradient, and a zero agrees with a zero cheaply. So we ask for a wider margin, `3 - y*s`
# instead of `1 - y*s`, for which many points still send gradients.

# %%
tX, ty = torch.tensor(X, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)  # (100, 2), (100,)
their_loss = (3 - ty * mirror(tX).squeeze(1)).relu().mean()
their_loss.backward()
our_loss = sum((3 - net(x) * answer).relu() for x, answer in zip(X, y, strict=True)) / len(y)
net.zero_grad()
our_loss.backward()

# %%
torch.testing.assert_close(our_loss.data, their_loss.item(), rtol=1e-9, atol=0)  # float64 sums in another order
for theirs, ours in zip(mirror[::2], net.layers, strict=True):
    weight_grads = torch.tensor([[w.grad for w in neuron.w] for neuron in ours.neurons], dtype=torch.float64)
    bias_grads = torch.tensor([neuron.b.grad for neuron in ours.neurons], dtype=torch.float64)
    torch.testing.assert_close(weight_grads, theirs.weight.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(bias_grads, theirs.bias.grad, rtol=1e-9, atol=1e-12)
nonzero = sum(p.grad != 0 for p in net.parameters())
print(f"the loss, {our_loss.data:.4f}, and all {len(net.parameters())} gradients agree; {nonzero} of them are not zero")

# %% [markdown]
# The zeros that are left belong to hidden neurons whose relu is off at every one of the 100 points: no gradient reaches their weights, and they will never
# wake up. Such a neuron is called **dead**; lecture 04 meets them again.
#
# The same mathematics; what differs is the pace. We time one forward and backward pass over all 100 points, in both: for this network, and for one with four times
# as many neurons in each hidden layer.


# %%
def seconds_of(run, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


for width in (8, 32):
    ours = MLP(2, [width, width, 1], activation="relu")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(2, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1),
    ).double()
    step = lambda: (1 - ty * theirs(tX).squeeze(1)).relu().mean().backward()
    step()  # the first call of everything is slow
    nodes = len(topological_order(hinge([ours(x) for x in X], y)))
    our_seconds, their_seconds = seconds_of(lambda: hinge([ours(x) for x in X], y).backward(), 1), seconds_of(step, 30)
    print(
        f"width {width:2}: {1000 * our_seconds:5.0f} ms for ours ({nodes:,} nodes), {1000 * their_seconds:.2f} ms for PyTorch"
    )

# %% [markdown]
# PyTorch is more than a hundred times as fast, and the gap widens with the size of the layers. Our graph has a node for each number, PyTorch's has one for each array: a
# layer of eight neurons on 100 points is one matrix product to it, and more than ten thousand nodes to us. That is the road from here: numbers become tensors
# (lecture 02), the loss becomes a cross-entropy, the MLP becomes a Transformer (lecture 07), the update becomes AdamW (lecture 11). The four lines of the loop stay.

# %% [markdown]
# ## 21. How PyTorch does tanh
#
# PyTorch's graph can be looked at as well; `to` is still the neuron's output of section 14. Each result knows the operation that will take its gradient back.

# %%
to.grad_fn.name(), [entry.name() for entry, _ in to.grad_fn.next_functions]

# %% [markdown]
# `TanhBackward0` is PyTorch's `pass_back` for tanh. Its formula stands in a table of all operations, `tools/autograd/derivatives.yaml`, where tanh
# has one line: `tanh_backward(grad, result)`. We can call that function: gradient 1, result 0.5.

# %%
torch.ops.aten.tanh_backward(torch.tensor(1.0), torch.tensor(0.5))  # 1 · (1 − 0.5²)

# %% [markdown]
# It takes the gradient at the output and returns the one at the input. That is a small difference from our engine, which stores the slope itself. Why
# not store it?
#
# <details><summary><b>Predict.</b> An operation takes 1,000 numbers to 1,000 numbers. How many local slopes does it have?</summary>
#
# One for each pair of output and input: a million, a matrix called the <b>Jacobian</b>. For tanh all of them are zero but the diagonal.
# </details>

# %%
n = torch.linspace(-2, 2, 4, dtype=torch.float64)  # (4,)
torch.autograd.functional.jacobian(torch.tanh, n).round(decimals=3)  # (4, 4)

# %% [markdown]
# For single numbers a slope is a number, and we may keep it. For tensors it is a huge matrix, often mostly zeros, and nobody writes it down. Each operation
# brings a function instead, that multiplies the incoming gradient by that matrix without making it: a **vector-Jacobian product**. We can add our own, by saying how to
# go forward and how to go back. `ctx` carries what the way back will need.


# %%
class WrongTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, n):
        t = torch.tanh(n)
        ctx.save_for_backward(t)
        return t

    @staticmethod
    def backward(ctx, grad):
        (t,) = ctx.saved_tensors
        return grad * (1 - t)  # is it?


# %% [markdown]
# `torch.autograd.gradcheck` is the nudge of section 1 as a tool: it compares a `backward` with symmetric differences, in float64.

# %%
n = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)  # (3, 4)
torch.autograd.gradcheck(WrongTanh.apply, n, raise_exception=False)

# %% [markdown]
# `False`: something is wrong, and the forward pass would never have told us. The slope is $1 - t^2$; we forgot the square.


# %%
class OurTanh(WrongTanh):
    @staticmethod
    def backward(ctx, grad):
        (t,) = ctx.saved_tensors
        return grad * (1 - t**2)


assert torch.autograd.gradcheck(OurTanh.apply, n)
torch.testing.assert_close(OurTanh.apply(n), n.tanh(), rtol=0, atol=0)  # the same function forward
OurTanh.apply(n).sum().grad_fn.next_functions[0][0].name()

# %% [markdown]
# Our own node in PyTorch's graph. When lecture 05 takes whole networks back by hand, and later ones write kernels of their own, this is the door
# that they use.

# %% [markdown]
# ## 22. Reading micrograd itself
#
# Karpathy's [micrograd](https://github.com/karpathy/micrograd) is the ancestor of this page, in two files, `engine.py` and `nn.py`. You can now read both in
# ten minutes. What differs from ours:
#
# | | micrograd | this page |
# |---|---|---|
# | a node keeps | a closure `_backward`, a function made anew for each node | its slopes, a tuple of numbers |
# | the order is found by | recursion | a list: chains of 100,000 nodes and more |
# | a second `backward()` | adds to the nodes in between, too | sets those anew, and leaves collect, as in PyTorch |
# | operations | `+ * ** relu` and what follows from them | `exp`, `log`, `tanh` as well |
# | wrong use | mostly Python's own message | one sentence |
#
# Closures are the more general idea, since they work for tensors, where slopes would be matrices. For numbers, slopes are less to understand.

# %% [markdown]
# ## What we have now
#
# | built | reached here | published | where it goes next |
# |---|---|---|---|
# | `Value` and `backward()` | gradients equal PyTorch's on 1,000 random graphs to 1e-12 | micrograd tests against PyTorch at 1e-6 | exercises: softmax, negative log likelihood |
# | iterative order | 100,000 steps deep | micrograd recurses, and ends at Python's limit | PyTorch's engine keeps a queue |
# | `MLP(2, [8, 8, 1])` on the moons | 100 % train accuracy, 105 parameters, 25 epochs | micrograd's demo: 100 %, 337 parameters, 100 steps on all points | lecture 02: data that is text |
# | `OurTanh` | passes `gradcheck` | | lecture 05: whole layers by hand |
#
# ### Papers
#
# - Wengert (1964), *A simple automatic derivative evaluation program*, Communications of the ACM 7(8). Two pages on the forward direction: break a formula into steps, and
#   differentiate each.
# - Linnainmaa (1976), *Taylor expansion of the accumulated rounding error*, BIT 16, from his thesis of 1970. Reverse mode, invented to trace rounding errors.
# - Rumelhart, Hinton and Williams (1986), *Learning representations by back-propagating errors*, Nature 323. The four pages that made it the way to train networks:
#   read it for the hidden units that discover family relations.
# - Minsky and Papert (1969), *Perceptrons*, MIT Press. What one layer cannot do, XOR among it; read the introduction.
# - Cortes and Vapnik (1995), *Support-vector networks*, Machine Learning 20. Where the hinge loss and its margin come from.
# - Griewank (2012), *Who invented the reverse mode of differentiation?*, Documenta Mathematica, extra volume ISMP. The history, fairly told.
# - Baydin, Pearlmutter, Radul and Siskind (2018), [*Automatic differentiation in machine learning: a survey*](https://arxiv.org/abs/1502.05767), JMLR 18. Read it for the
#   difference between numerical, symbolic and automatic derivatives, forward mode and reverse.
# - Paszke et al. (2019), [*PyTorch: an imperative style, high-performance deep learning library*](https://arxiv.org/abs/1912.01703), NeurIPS. What this page's idea
#   becomes when it has to be fast.
#
# ### Five questions for tomorrow
#
# <details><summary>1. Why is a numerical gradient useless for training, and priceless for testing?</summary>
#
# It needs two evaluations for each parameter, and loses digits. But it knows nothing of your backward code, so it is an independent witness.
# </details>
#
# <details><summary>2. What does a node need to know to pass its gradient on?</summary>
#
# Its own grad and its local slopes. Nothing about the rest of the graph.
# </details>
#
# <details><summary>3. Multiply or add: along a path, over several paths?</summary>
#
# Multiply along a path, add over the paths. The adding is the += in backward().
# </details>
#
# <details><summary>4. In which order do nodes pass back, and what goes wrong otherwise?</summary>
#
# In reversed topological order: after all of their users. Otherwise a node passes on a gradient that is not complete yet.
# </details>
#
# <details><summary>5. What happens when zero_grad is forgotten, and why is there no error?</summary>
#
# Gradients of all earlier steps pile up in the leaves. Adding is the right thing within one backward pass, so the engine cannot tell that you meant to
# start anew.
# </details>
#
# Now the exercises: `exercises/01_micrograd.ipynb`.
