"""The page of a check: what it says, that it needs nothing else, and what a browser makes of it."""

import base64
import io
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from spikec.cli.main import execute
from spikec.reporting import drawing, pictures
from spikec.reporting.graphs import FEW, count
from spikec.reporting.photographs import MOST, SMALLEST, photographs
from tests.compiler.reporting.browser import browser
from tests.models import tiny

STEPS = 8


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a failing check of a small network of pictures, (folder, text)."""
    folder = tmp_path_factory.mktemp("page")
    samples, labels = tiny.images(40, seed=3)["image"], np.arange(40) % 3
    np.savez(folder / "test.npz", image=samples, labels=labels)
    np.savez(folder / "cal.npz", **tiny.images(40, seed=4))
    tiny.save(tiny.cnn(), folder / "m.onnx")
    run(folder, "compile m.onnx -o a.onnx --steps 8 --calibration cal.npz", 0)
    (folder / "t.toml").write_text("[defaults]\nmin_agreement = 1.0\nmax_relative_l2 = 1e-6\n")
    run(folder, "check m.onnx a.onnx --data test.npz --steps 2,4,8 --thresholds t.toml --report r.html", 1)
    return folder, (folder / "r.html").read_text()


def run(folder, words, expected):
    patch = pytest.MonkeyPatch()
    with patch.context() as inside:
        inside.chdir(folder)
        assert execute(shlex.split(words)) == expected


class Balanced(HTMLParser):
    """Checks that every element that is opened is closed in turn."""

    VOID = frozenset(("meta", "link", "br", "img", "use", "path"))

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_stands_alone(page):
    _, text = page
    assert len(text.encode()) < 3e6
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    assert all(address.startswith(("data:", "#")) for address in parser.addresses)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_the_page_says_what_the_check_said(page):
    _, text = page
    assert "<strong>FAILED</strong>" in text and "relative_l2" in text
    for heading in ("Over time", "Where the error comes from", "The graph before and after", "Spikes", "Energy"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<svg") == 5, "agreement, distance over t, heat map, raster, rates"
    assert "after fewer steps" in text and "Worst layer" in text


def test_ids_of_the_pictures_are_apart(page):
    _, text = page
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)


def test_pictures_take_the_colour_of_the_page(page):
    _, text = page
    assert drawing.INK not in text and "currentColor" in text


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (390, False), (390, True)])
def test_a_browser_shows_the_page_without_errors_and_without_scrolling_sideways(page, width, dark):
    folder, _ = page
    with browser(width, dark=dark) as driver:
        driver.get((folder / "r.html").as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
        widths = driver.execute_script("return [...document.querySelectorAll('svg')].map(e => e.clientWidth)")
        assert all(0 < found <= width for found in widths)


def test_an_artifact_that_cannot_be_looked_into_has_a_page_that_says_so(page):
    folder, _ = page
    run(folder, "compile m.onnx -o u.onnx --steps 8 --form unrolled --calibration cal.npz", 0)
    run(folder, "check m.onnx u.onnx --data test.npz --report u.html --thresholds t.toml", 1)
    text = (folder / "u.html").read_text()
    assert text.count("Missing: ") >= 2 and "--form loop" in text and "Not known; see the notes below." in text


def test_without_what_draws_it_nothing_is_begun(page, monkeypatch, capsys):
    folder, _ = page
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    run(folder, "check m.onnx a.onnx --data test.npz --report n.html", 5)
    assert "pip install 'spikec[report]'" in capsys.readouterr().err
    assert not (folder / "n.html").exists()


def test_the_page_goes_into_no_file_that_is_read(page):
    folder, _ = page
    run(folder, "check m.onnx a.onnx --data test.npz --report a.onnx", 2)


def test_a_heat_map_of_many_layers_keeps_the_worst():
    names = [f"layer{i}" for i in range(200)]
    svg = pictures.heat_map(names, np.tile(np.linspace(0, 1, 200)[:, None], (1, 4)), "error")
    shown = {name for name in names if f">{name}<" in svg}
    assert shown == set(names[-pictures.MOST_ROWS :])


def test_a_raster_shows_some_neurons_of_layers_spread_over_the_network():
    spikes = {f"layer{i}": np.ones((3, 5), np.int8) for i in range(40)}
    svg = pictures.raster(spikes)
    shown = [name for name in spikes if f">{name}<" in svg]
    assert shown[0] == "layer0" and shown[-1] == "layer39" and len(shown) == pictures.MOST_ROWS // 4


def test_nodes_are_counted_by_operator_and_the_rare_ones_together():
    found = count(tiny.cnn().graph.node)
    assert found.nodes == len(tiny.cnn().graph.node) == sum(number for _, number in found.operators)
    many = [helper.make_node(f"Op{i}", [], []) for i in range(FEW + 5) for _ in range(2 if i < FEW else 1)]
    assert count(many).operators == (*((f"Op{i}", 2) for i in range(FEW)), ("others", 5))


class Found:
    sample, output, ann, snn, label = 3, "y", 1, 2, None

    def __init__(self, picture):
        self.picture = picture


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 8, 8), (96, 96)), ((8, 8, 3), (96, 96)), ((1, 40, 20), (60, 120)), ((4, 300, 200), (107, 160))],
)
def test_pictures_of_any_layout_are_shown(shape, size):
    (shown,) = photographs([Found(np.random.default_rng(0).random(shape).astype(np.float32))])
    kind, _, content = shown.address.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert kind == "data:image/png;base64" and SMALLEST <= max(picture.size) <= MOST
        assert picture.size == size


@pytest.mark.parametrize("picture", [None, np.zeros(5), np.zeros((7, 8, 9))])
def test_what_is_no_picture_is_not_shown(picture):
    assert photographs([Found(picture)])[0].address == ""
