"""The plots of a report, as SVG that stands in its page and asks no other host for anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from pygal.style import Style

_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#33404a",
    foreground_strong="#1b262e",
    foreground_subtle="#8896a0",
    colors=("#1d6fa5", "#d2691e", "#3a8a4d", "#8a3a7d", "#b8860b", "#4b5d67", "#a52a2a", "#2f8f8f"),
    font_family="sans-serif",
    guide_stroke_color="#dfe5e8",
    guide_stroke_dasharray="0",
    major_guide_stroke_color="#dfe5e8",
    major_guide_stroke_dasharray="0",
    value_font_size=13,
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=13,
    title_font_size=15,
)
_SIZE = {"width": 325, "height": 240, "explicit_size": True, "max_scale": 6}
# What makes a plot move under a pointer is of no use on paper.
_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)


def of_load(runs: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    """Return plots of what was answered to so many at once."""
    labels = [str(run["parallel"]) for run in runs]
    return [
        _bars(words[title], words["at once"], labels, [run[name] for run in runs])
        for title, name in (
            ("all", "tokens_per_second"),
            ("each", "per_user"),
            ("first", "first_token_ms"),
        )
    ]


def of_soak(samples: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    """Return plots of what the cards said over time; none where they said nothing."""
    if not samples["cards"]:
        return []
    made = []
    for name in ("clock", "temperature"):
        plot = pygal.XY(**_settings(words[name], words["seconds"]), show_dots=False)
        plot.width, plot.truncate_legend = 490, -1
        plot.show_legend = len(samples["cards"]) > 1
        for address, seen in samples["cards"].items():
            pairs = zip(samples["at"], seen[name], strict=True)
            plot.add(address, [pair for pair in pairs if pair[1] is not None])
        made.append(_svg(plot))
    return made


def _bars(title: str, below: str, labels: Sequence[str], values: Sequence[float]) -> str:
    plot = pygal.Bar(**_settings(title, below), show_legend=False, print_values=True)
    plot.x_labels = labels
    plot.add(title, [round(value, 1) for value in values])
    return _svg(plot)


def _settings(title: str, below: str) -> dict[str, Any]:
    return {
        **_SIZE,
        "style": _STYLE,
        "title": title,
        "x_title": below,
        "js": [],
        "include_x_axis": True,
        "disable_xml_declaration": True,
    }


def _svg(plot: Any) -> str:
    drawn: str = plot.render(is_unicode=True)
    return _SCRIPT.sub("", drawn)
