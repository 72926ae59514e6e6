"""The ratios of results.json as a bar chart, in the peers' environment (matplotlib): `python -m bench.picture results.json performance.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

REACHED, MISSED, ONLY_TOLD, LINE = "#2a6f97", "#c1440e", "#9aa5ab", "#333333"


def goodness(ratio: dict[str, Any]) -> float:
    """How many times as good as wanted (as the peer, where nothing is wanted); below 1 it is not reached."""
    value, wanted = max(ratio["value"], 1e-6), ratio["wanted"] or 1.0
    return value / wanted if ratio["of"] == "rate" else wanted / value


def draw(results: dict[str, Any], to: Path) -> None:
    """One bar per ratio: how far it is from what was wanted, on a log axis."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "kinhteso", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9}
    from matplotlib import pyplot

    ratios = [ratio for one in results["measurements"].values() for ratio in one["ratios"]]
    figure, axes = pyplot.subplots(figsize=(9.5, 0.36 * len(ratios) + 1.3), layout="constrained")
    values = [goodness(r) for r in ratios]
    colours = [{True: REACHED, False: MISSED, None: ONLY_TOLD}[r["reached"]] for r in ratios]
    axes.barh(range(len(ratios)), [v - 1 for v in values], left=1, height=0.62, color=colours)
    axes.set_xscale("log")
    low, high = min([0.5, *values]), max([2.0, *values])
    axes.set_xlim(low / 1.3, high * 15)
    axes.axvline(1, color=LINE, linewidth=1)
    for n, (ratio, value) in enumerate(zip(ratios, values, strict=True)):
        unit = " s" if ratio["of"] == "time" else " ×"
        sign = "≥" if ratio["of"] == "rate" else "≤"
        text = f"{ratio['value']:.3g}{unit}" + (f", wanted {sign} {ratio['wanted']:g}{unit}" if ratio["wanted"] else "")
        axes.annotate(text, (max(value, 1), n), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(ratios)), [r["label"] for r in ratios])
    axes.invert_yaxis()
    ticks = [t for t in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if low / 2 <= t <= high * 2]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    figure.supxlabel("times as good as wanted, log scale (blue: reached, red: not, grey: only told)", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(to, metadata={"Date": None} if to.suffix == ".svg" else None, dpi=110)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
