"""The papers' figures drawn again: our figures as bars or lines, the published ones as points."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hwmodels.published_tables import PublishedCell
from qsim.report.figures import COLORS, COMPUTE, MUTED
from qsim.reproduce import published_cells
from qsim.reproduce.rows import Row

SECOND = COLORS[1]
KIND_COLORS = {"exact": COMPUTE, "predicted": COMPUTE, "calibrated": MUTED}
POINT = {"color": "black", "marker": "D", "linestyle": "none", "markersize": 5,
         "markeredgecolor": "white", "zorder": 3}  # fmt: skip
LOG_FROM = 40  # ratio of the largest to the smallest at which an axis is logarithmic


@dataclass(frozen=True)
class Place:
    """A row with the place of its cell."""

    cell: PublishedCell
    row: Row

    @property
    def at(self) -> dict:
        """What the other columns of the cell's row say."""
        return self.cell.at


Places = dict[str, list[Place]]


def figures(rows: list[Row]) -> Iterator[tuple[str, Figure]]:
    """The name and figure of each that these rows hold all tables of."""
    for paper in dict.fromkeys(row.paper for row in rows):
        found = {(row.table, row.cell): row for row in rows if row.paper == paper}
        places: Places = {}
        for cell in published_cells(paper):
            if (cell.table, cell.label) in found:
                place = Place(cell, found[cell.table, cell.label])
                places.setdefault(cell.table, []).append(place)
        for name, (tables, draw) in FIGURES.items():
            if name.startswith(f"{paper}-") and all(table in places for table in tables):
                yield name, draw(places)


def _canvas(columns: int, rows: int, size: tuple[float, float], title: str):
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="y", color="0.9")
        each.set_axisbelow(True)
    return figure, axes


def _bars(axes: Axes, places: Sequence[Place], names: Sequence[str], title: str, unit: str) -> None:
    """Our figures as bars, the published ones as points; grey where a constant was fitted."""
    for kind, color in KIND_COLORS.items():
        chosen = [i for i, place in enumerate(places) if place.row.kind == kind]
        if chosen:
            axes.bar(chosen, [places[i].row.model for i in chosen], color=color, width=0.65)
    held = [i for i, place in enumerate(places) if isinstance(place.row.published, float)]
    axes.plot(held, [places[i].row.published for i in held], **POINT)
    axes.set_xticks(range(len(places)), names, rotation=30, ha="right", parse_math=False)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_ylabel(unit)
    shown = [value for p in places for value in (p.row.published, p.row.model) if value]
    if max(shown) > LOG_FROM * min(shown):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _key(figure: Figure, *, fitted: bool = False) -> None:
    """What bars and points are; ``fitted``: there are such of a fitted constant."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=COMPUTE, label="ours"),
        *([Patch(color=MUTED, label="ours, a constant fitted to it")] if fitted else []),
        Line2D([], [], **POINT, label="published"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def _named(places: Sequence[Place], *keys: str) -> list[str]:
    return [" ".join(f"{place.at[key]:g}" if isinstance(place.at[key], float) else place.at[key]
            for key in keys) for place in places]  # fmt: skip


def _column(places: Sequence[Place], column: str) -> list[Place]:
    return [place for place in places if place.cell.column == column]


def _wrpn_cost(places: Places) -> Figure:
    figure, (table_3, table_4, table_5) = _canvas(3, 1, (15, 4.8), "WRPN: compute cost over fp32")
    widths = {}
    for place in places["table_3"]:
        widths.setdefault(place.cell.column, []).append(place)
    for index, (column, held) in enumerate(widths.items()):
        bits = [place.at["weight bits"] for place in held]
        shade, label = 1 - 0.17 * index, f"{column[1:]}-bit activations"
        table_3.plot(bits, [p.row.model for p in held], color=COMPUTE, alpha=shade, label=label)
        table_3.plot(bits, [p.row.published for p in held], **POINT)
    table_3.legend(frameon=False, fontsize=8)
    table_3.set_xscale("log", base=2)
    table_3.set_xticks([1, 2, 4, 8, 32], ["1", "2", "4", "8", "32"])
    table_3.set_xlabel("weight bits")
    table_3.set_ylabel("cost over the plain network in fp32")
    table_3.set_title("Table 3: AlexNet, twice as wide", fontsize=10, loc="left")
    for axes, name, title in (
        (table_4, "table_4", "Table 4: ResNet-34"),
        (table_5, "table_5", "Table 5: BN-Inception"),
    ):
        held = _column(places[name], "cost")
        names = [
            f"{p.at['width']:g}x A{p.at['activation bits']:g} W{p.at['weight bits']:g}"
            for p in held
        ]
        _bars(axes, held, names, title, "cost over the plain network in fp32")
    _key(figure)
    return figure


def _wrpn_hardware(places: Places) -> Figure:
    figure, axes = _canvas(3, 3, (15, 12), "WRPN, Figure 3: what low precision gains")
    panels = [
        ("figure_3b", "(b) first-order estimate", "speedup over fp32"),
        ("figure_3c", "(c) Titan X Pascal", "speedup over fp32"),
        ("figure_3d", "(d) Arria 10 1150", "speedup over fp32"),
        ("figure_3e_gpu_performance", "(e) Titan X Pascal", "TOP/s"),
        ("figure_3e_fpga_performance", "(e) Arria 10 1150", "TOP/s"),
        ("figure_3f", "(f) ASIC in 14 nm, performance", "over fp32"),
        ("figure_3e_gpu_efficiency", "(e) Titan X Pascal", "GOP/s/W"),
        ("figure_3e_fpga_efficiency", "(e) Arria 10 1150", "GOP/s/W"),
        ("figure_3g", "(g) ASIC in 14 nm, energy efficiency", "over fp32"),
    ]
    for each, (table, title, unit) in zip(axes, panels, strict=True):
        _bars(each, places[table], _named(places[table], "precision"), title, unit)
    _key(figure, fitted=True)
    return figure


def _wrpn_memory(places: Places) -> Figure:
    figure, panels = _canvas(2, 1, (13, 4.8), "WRPN, Figure 1: shares of memory, fp32")
    for axes, phase in zip(panels, ("training", "inference"), strict=True):
        held = [p for p in _column(places["figure_1"], "weights") if p.at["phase"] == phase]
        names = [f"{p.at['network']}, batch {p.at['batch']:g}" for p in held]
        spots = range(len(held))
        weights = [p.row.model or 0 for p in held]
        axes.bar(spots, weights, color=COMPUTE, width=0.65, label="weights, ours")
        rest = [100 - share if share else 0 for share in weights]
        axes.bar(spots, rest, bottom=weights, color=SECOND, width=0.65, label="activations, ours")
        axes.plot(spots, [p.row.published for p in held], **POINT, label="published border")
        axes.set_xticks(spots, names, rotation=30, ha="right")
        axes.set_ylabel("share of memory [%]")
        axes.set_title(phase, fontsize=10, loc="left")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _dorefa(places: Places) -> Figure:
    figure, axes = _canvas(1, 3, (11, 9.5), "DoReFa-Net, Table 1: relative complexity")
    for each, column in zip(axes, ("training", "inference", "storage"), strict=True):
        held = [p for p in _column(places["table_1"], column) if p.row.published is not None]
        names = [f"{p.at['W']:g}-{p.at['A']:g}-{p.at['G']:g}" for p in held]
        unit = {"storage": "bits of a weight"}.get(column, "products of single bits")
        _bars(each, held, names, column, unit)
    axes[-1].set_xlabel("bits of weights - activations - gradients")
    _key(figure)
    return figure


def _msq(places: Places) -> Figure:
    networks = [name for name in places if {"design", "quantity"} <= places[name][0].at.keys()]
    title = "MSQ: latency per image, and speedups"
    figure, axes = _canvas(len(networks) + 1, 1, (4 * len(networks) + 5, 4.8), title)
    for each, name in zip(axes, networks, strict=False):
        held = [p for p in places[name] if p.at["quantity"] == "latency_ms"]
        recalled = [" (recalled)" if p.row.evidence == "recalled" else "" for p in held]
        names = [p.at["design"] + mark for p, mark in zip(held, recalled, strict=True)]
        _bars(each, held, names, name, "latency per image [ms]")
    held = places["speedups"]
    names = [
        ", ".join(
            [p.at["device"].upper(), p.at["over"]] + ["peak"] * (p.at["network"] != "resnet18")
        )
        for p in held
    ]
    _bars(axes[-1], held, names, "speedups of MSQ over", "speedup")
    _key(figure, fitted=True)
    return figure


def _whitepaper(places: Places) -> Figure:
    title = "Quantization whitepaper, Table 7: latency on a Pixel 2"
    figure, axes = _canvas(2, 1, (13, 4.8), title)
    for each, column, name in zip(
        axes, ("float_cpu", "fixed_cpu"), ("float", "8 bits"), strict=True
    ):
        held = _column(places["table_7"], column)
        _bars(each, held, _named(held, "model"), f"{name}, one large core", "latency [ms]")
    _key(figure, fitted=True)
    return figure


def _hawq(places: Places) -> Figure:
    figure, axes = _canvas(2, 1, (13, 5.5), "HAWQ-V3: size and bit operations, without fp32")
    for each, name in zip(axes, ("resnet18", "resnet50"), strict=True):
        schemes: dict[str, dict[str, Row]] = {}
        for place in places[name]:
            schemes.setdefault(place.at["scheme"], {})[place.cell.column] = place.row
        for scheme, row in schemes.items():
            size, bops = row["size_MB"], row["bops_G"]
            if scheme == "fp32":
                continue
            each.plot([size.published, size.model], [bops.published, bops.model], color=MUTED)
            each.plot([size.model], [bops.model], "o", color=COMPUTE, markersize=6)
            each.plot([size.published], [bops.published], **POINT)
            if not scheme.startswith("latency"):
                each.annotate(scheme.replace("_", " "), (size.model, bops.model), fontsize=8,
                              xytext=(-5, 5), textcoords="offset points", ha="right")  # fmt: skip
        each.set_xlabel("size of the weights [MiB]")
        each.set_ylabel("bit operations [10^9]", parse_math=False)
        each.set_title(name, fontsize=10, loc="left")
        each.margins(0.12)
    _key(figure)
    return figure


FIGURES: dict[str, tuple[tuple[str, ...], Callable[[Places], Figure]]] = {
    "msq-latency": (("resnet18", "speedups"), _msq),
    "wrpn-compute-cost": (("table_3", "table_4", "table_5"), _wrpn_cost),
    "wrpn-figure-1": (("figure_1",), _wrpn_memory),
    "wrpn-figure-3": (("figure_3b", "figure_3c", "figure_3d", "figure_3e_gpu_performance",
                       "figure_3e_fpga_performance", "figure_3e_gpu_efficiency",
                       "figure_3e_fpga_efficiency", "figure_3f", "figure_3g"), _wrpn_hardware),
    "dorefa-complexity": (("table_1",), _dorefa),
    "whitepaper-table-7": (("table_7",), _whitepaper),
    "hawq-size-and-bops": (("resnet18", "resnet50"), _hawq),
}  # fmt: skip
