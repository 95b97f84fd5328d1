"""From notebooks/01_micrograd.ipynb, 4. Drawing the expression; 9. Backward through the whole graph; 11. The engine,
whole; 16. A network.

Made by `course build` from the cells marked `#| export micrograd`: edit sources/lectures/01_micrograd.py.
"""

import math
import random
from numbers import Real

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
