"""Pictures of evaluations."""

import textwrap
import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qsim.errors import QsimError
from qsim.formats import Facts, describe
from qsim.price import Pricing
from qsim.report.formats import grids
from qsim.report.hardware import bound_by
from qsim.report.records import Record, layer_rows
from qsim.units import prefixed, time_unit

COLORS = ("#3b6ea5", "#c8693a", "#5b8c5a", "#a05d8f")
COMPUTE, MUTED = COLORS[0], "#8a8f98"
TITLE_COLUMNS = 88
MOST_INCHES = 100  # of height; more layers than fit are drawn thinner


def layer_figure(pricing: Pricing, title: str) -> Figure:
    """Latency of every layer on one design, in the order they run, by what bounds it; beside it the
    utilization, where the model has one."""
    rows = layer_rows(pricing)
    utilized = "utilization" in rows[0]
    height = min(1.6 + 0.28 * len(rows), MOST_INCHES)
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2)) if utilized else [
        figure.subplots()
    ]  # fmt: skip
    _draw_latency(panels[0], rows)
    if utilized:
        _draw_utilization(panels[1], rows, float(pricing.cost.utilization))
    for axes in panels:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    fit = " (does not fit)" if pricing.fits is False else ""
    per_image = f"{prefixed(float(pricing.cost.latency_s), 's')} per image"
    whole = textwrap.fill(f"{title}{fit}: {per_image}", width=TITLE_COLUMNS)
    figure.suptitle(whole, parse_math=False)
    return figure


def _draw_latency(axes: Axes, rows: list[Record]) -> None:
    bounds = [bound_by(row) for row in rows]
    unit, factor = time_unit(max(row["latency_s"] for row in rows))
    colors = dict(zip(dict.fromkeys(["compute", "DRAM", *bounds]), COLORS, strict=False))
    for bound in dict.fromkeys(bounds):
        chosen = [i for i, each in enumerate(bounds) if each == bound]
        widths = [rows[i]["latency_s"] * factor for i in chosen]
        axes.barh(chosen, widths, color=colors.get(bound, MUTED), label=f"bound by {bound}")
    axes.set_yticks(range(len(rows)), [row["layer"] for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first layer on top
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"latency per image [{unit}]")


def _draw_utilization(axes: Axes, rows: list[Record], overall: float) -> None:
    axes.barh(range(len(rows)), [100 * row["utilization"] for row in rows], color=MUTED)
    axes.axvline(100 * overall, color="black", linewidth=1, label=f"network: {overall:.1%}")
    axes.set_xlabel("PE utilization [% of peak]")
    axes.set_xlim(0, 100)


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
