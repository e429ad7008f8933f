"""Pictures of evaluations."""

import warnings
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qsim.errors import QsimError
from qsim.formats import Facts, describe
from qsim.price import Pricing
from qsim.report.formats import grids
from qsim.report.records import layer_rows

COMPUTE, DRAM, MUTED = "#3b6ea5", "#c8693a", "#8a8f98"
MOST_INCHES = 100  # of height; more layers than fit are drawn thinner


def layer_figure(pricing: Pricing, title: str) -> Figure:
    """Latency and utilization of every layer on one design, in the order they run."""
    rows = layer_rows(pricing)
    height = min(1.6 + 0.28 * len(rows), MOST_INCHES)
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    latency, utilization = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = range(len(rows))
    bound = [row["dram_s"] > row["compute_s"] for row in rows]
    for is_dram, color, label in ((False, COMPUTE, "compute"), (True, DRAM, "DRAM")):
        chosen = [i for i in places if bound[i] == is_dram]
        if chosen:
            widths = [rows[i]["latency_s"] * 1e3 for i in chosen]
            latency.barh(chosen, widths, color=color, label=f"bound by {label}")
    utilization.barh(places, [100 * row["utilization"] for row in rows], color=MUTED)
    overall = 100 * float(pricing.cost.utilization)
    utilization.axvline(overall, color="black", linewidth=1, label=f"network: {overall:.1f} %")
    latency.set_yticks(places, [row["layer"] for row in rows], parse_math=False)
    latency.margins(y=0.5 / len(rows))
    latency.invert_yaxis()
    latency.xaxis.set_major_locator(MaxNLocator(5))
    latency.set_xlabel("latency per image [ms]")
    utilization.set_xlabel("PE utilization [% of peak]")
    utilization.set_xlim(0, 100)
    for axes in (latency, utilization):
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    fit = " (does not fit)" if pricing.fits is False else ""
    per_image = f"{float(pricing.cost.latency_s) * 1e3:.4g} ms per image"
    figure.suptitle(f"{title}{fit}: {per_image}", parse_math=False)
    return figure


def format_figure(number: Facts) -> Figure:
    """The levels of a format as a picture, the largest one at 1.

    Raises QsimError on a format without levels (float).
    """
    drawn = grids(number)
    if not drawn:
        raise QsimError(f"{describe(number)} has no levels to draw")
    picture = Figure(figsize=(9, 0.9 + 1.1 * len(drawn)), layout="constrained")
    FigureCanvasAgg(picture)
    for axes, (title, grid) in zip(
        picture.subplots(len(drawn), 1, squeeze=False)[:, 0], drawn, strict=True
    ):
        values = grid.levels() * float(grid.unit)
        axes.vlines(values, 0, 1, color=COMPUTE, linewidth=1.2)
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_ylim(0, 1.15)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
        counted = f"{len(values)} levels" if title == "levels" else f"{title}: {len(values)} levels"
        axes.set_title(counted, fontsize=9, loc="left")
        axes.set_xlabel(f"level / {grid.alpha_level}")
    picture.suptitle(describe(number), parse_math=False)
    return picture


def write_picture(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG to ``path``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font lacks
        figure.savefig(path, dpi=130)
