# SPDX-License-Identifier: Apache-2.0
"""One SVG for each question, which a reader understands without the text: the ratio to the limit, its spread, and the figure."""

from pathlib import Path

try:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
except ImportError:
    pyplot = None

COLOURS = ("#1b6ca8", "#e07a1f", "#6b8f3a", "#8c5aa8", "#b03a48", "#4a4a4a")


def available() -> bool:
    return pyplot is not None


def short(value: float) -> str:
    """Three digits and a word for a thousand or a million."""
    for bound, word in ((1e6, " M"), (1e3, " k")):
        if value >= bound:
            return f"{value / bound:.3g}{word}"
    return f"{value:.3g}"


def draw(answer: dict, path: Path) -> None:
    """`answer` is what bench/run writes for a question."""
    names = []
    for point in answer["points"]:
        names += [side["name"] for side in point["sides"] if side["name"] not in names]
    figure, axes = pyplot.subplots(figsize=(2.2 + 1.9 * len(answer["points"]), 5.2))
    width = 0.84 / max(1, len(names))
    top = 1.0
    for place, point in enumerate(answer["points"]):
        for side in point["sides"]:
            i = names.index(side["name"])
            x = place + (i - (len(names) - 1) / 2) * width
            label = side["name"] if place == 0 else None
            axes.bar(x, side["ratio"], width * 0.92, color=COLOURS[i % len(COLOURS)], label=label)
            below, above = side["ratio"] - side["ratio_min"], side["ratio_max"] - side["ratio"]
            axes.errorbar(x, side["ratio"], [[below], [above]], color="#222222", linewidth=1, capsize=2)
            axes.annotate(short(side["value"]), (x, side["ratio_max"]), ha="center", va="bottom", fontsize=7, rotation=90,
                          xytext=(0, 3), textcoords="offset points")
            top = max(top, side["ratio_max"])
    axes.axhline(1, color="#222222", linewidth=1.2, linestyle="--")
    ticks = [f"{point['label']}\n(1.0 is {short(point['limit']['value'])})" for point in answer["points"]]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_ylim(0, top * 1.28)
    axes.set_xlabel(answer["axis"])
    axes.set_ylabel(f"ratio to the {answer['limit'].removeprefix('limit: ')}\n(more is better)")
    axes.set_title(f"{answer['title']}\non the bars: {answer['unit']}; thin lines: least and most of {answer['rounds']} rounds", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
