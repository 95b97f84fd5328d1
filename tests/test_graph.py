"""Drawing graphs, with and without the Graphviz program."""

import stat
import sys
import xml.dom.minidom

import graphviz
import pytest

from course_utils import graph


@pytest.fixture
def diagram():
    made = graphviz.Digraph()
    made.node("a", label="{ a | data 2 | grad 0 }", shape="record")
    made.edge("a", "b")
    return made


def test_without_the_program_the_diagram_is_drawn(diagram, monkeypatch):
    monkeypatch.setenv("PATH", "")
    picture = graph.svg(diagram)._repr_svg_()
    assert xml.dom.minidom.parseString(picture).documentElement.tagName == "svg"
    assert "data 2" in picture and "grad 0" in picture
    assert "background: white" in picture
    assert "<title>" not in picture and "<!--" not in picture


def test_the_same_diagram_gives_the_same_picture(diagram, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert graph.svg(diagram).data == graph.svg(diagram.source).data


def test_no_picture_is_wider_than_the_page(monkeypatch):
    monkeypatch.setenv("PATH", "")
    long = graphviz.Digraph(graph_attr={"rankdir": "LR"})
    long.edges((f"node {i}", f"node {i + 1}") for i in range(30))
    small = graph.svg("digraph { a }")._repr_svg_()
    for picture, width in ((graph.svg(long)._repr_svg_(), graph.PAGE), (small, 83)):
        root = xml.dom.minidom.parseString(picture).documentElement
        assert int(root.getAttribute("width")) == width


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in program is a shell script")
@pytest.mark.parametrize("works", [True, False])
def test_the_program_is_used_when_there_is_one(diagram, tmp_path, monkeypatch, works):
    dot = tmp_path / "dot"
    drawn = """echo '<?xml?><svg width="8pt" height="6pt" viewBox="0 0 8.00 6.00"><text>drawn by dot</text></svg>'"""
    dot.write_text("#!/bin/sh\n" + (drawn if works else "echo 'syntax error in line 1' >&2; exit 1") + "\n")
    dot.chmod(dot.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    if works:
        assert "drawn by dot" in graph.svg(diagram).data
    else:
        with pytest.raises(ValueError, match="syntax error in line 1"):
            graph.svg(diagram)


def test_what_is_no_diagram_is_one_clear_sentence(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TypeError, match="was given a int"):
        graph.svg(3)
    with pytest.raises(ValueError, match="cannot read this DOT source"):
        graph.svg("digraph { a ->")
