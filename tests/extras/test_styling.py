"""The plots' style: it changes no rcParams, follows the user's, and its colours are distinct."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import seedbed as sb
from seedbed import plots, xor
from seedbed.plots.styling import DARK, LIGHT, PALETTES, palette_of, styled_context

# Machado, Oliveira and Fernandes (2009), severity 1
SIGHTS = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.fixture(scope="module")
def tutorial():
    return sb.train(xor.recipe(50), *xor.data(), seeds=range(3), engine="numpy")


def linear(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(np.dot([0.2126, 0.7152, 0.0722], linear(colour)))


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", PALETTES)
def test_colours_are_distinct_for_every_sight(theme, sight):
    seen = [lab(np.array(SIGHTS[sight]) @ linear(each)) for each in PALETTES[theme].colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 16


@pytest.mark.parametrize("theme", PALETTES)
def test_text_and_main_colours_have_contrast(theme):
    palette = PALETTES[theme]
    assert contrast(palette.ink, palette.surface) > 12
    assert contrast(palette.muted, palette.surface) > 4.5  # small text
    assert min(contrast(each, palette.surface) for each in palette.colours[:4]) > 3
    assert 1.15 < contrast(palette.faint, palette.surface) < 2  # a grid behind the data


def test_plots_change_no_rcparams(tutorial):
    before = matplotlib.rcParams.copy()
    axes = plots.losses(tutorial)
    plots.figure(2, 2).subplots()
    assert matplotlib.rcParams.copy() == before
    assert not axes.spines["top"].get_visible()
    assert to_hex(axes.figure.get_facecolor()) == LIGHT.surface


def test_what_others_set_meanwhile_stays():
    before = matplotlib.rcParams["interactive"]
    try:
        with styled_context(), styled_context():
            matplotlib.rcParams["interactive"] = not before  # as a notebook's backend does
            assert matplotlib.rcParams["axes.grid"]
        assert matplotlib.rcParams["interactive"] is not before
        assert not matplotlib.rcParams["axes.grid"]
    finally:
        matplotlib.rcParams["interactive"] = before


def test_the_dark_style_and_a_dark_background_of_the_users_own(tutorial, tmp_path):
    with matplotlib.rc_context(plots.style("dark")):
        axes = plots.regions(tutorial, *xor.data(), resolution=9)
        bar = axes.figure.axes[1]
    for each in (axes.title, bar.yaxis.label, *axes.child_axes[0].get_xticklabels()):
        assert to_hex(each.get_color()) == DARK.ink
    axes.figure.savefig(tmp_path / "dark.png")  # ticks are made here, outside of the context
    assert {to_hex(label.get_color()) for label in bar.get_yticklabels()} == {DARK.ink}
    with matplotlib.rc_context({"figure.facecolor": "black", "axes.facecolor": "black",
                                "text.color": "yellow", "font.size": 20.0}):  # fmt: skip
        axes = plots.losses(tutorial)
    assert to_hex(axes.lines[0].get_color()) == DARK.colours[0].lower()
    assert to_hex(axes.figure.get_facecolor()) == "#000000"
    assert to_hex(axes.texts[0].get_color()) == DARK.muted
    assert axes.title.get_fontsize() == 20
    with pytest.raises(sb.SettingError, match="theme must be 'light' or 'dark', not 'blue'"):
        plots.style("blue")


def test_given_axes_keep_their_own_look(tutorial):
    figure = Figure(facecolor="#101010")
    axes = figure.subplots()
    axes.set_facecolor("none")
    plots.losses(tutorial, axes)
    assert axes.spines["top"].get_visible()
    assert palette_of(axes) is DARK
    assert axes.lines[0].get_color() == DARK.colours[0]
    figure.set_facecolor("none")
    assert palette_of(axes) is LIGHT
