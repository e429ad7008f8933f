"""What a workload needs of memory, as records and as it is read on a terminal."""

from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwmodels.memory.footprint import OUTPUTS
from qsim.footprints import Footprint
from qsim.units import data, figure

MOST_SHOWN = 4  # of what is held, largest first
ALWAYS = ("total_bytes", "peak_bytes", "lower_bound_bytes")  # printed even where they are 0

Record = dict[str, Any]


def footprint_records(footprint: Footprint) -> list[Record]:
    """A record for each batch: bytes, what the peak is made of, and when it is reached."""
    return [
        {
            "phase": footprint.design.phase,
            "batch": batch,
            "rule": footprint.design.rule,
            "optimizer": footprint.design.optimizer,
            "checkpointing": footprint.design.checkpointing,
            **{name: float(getattr(footprint.cost, name)[index]) for name in OUTPUTS},
            "peak_at": footprint.peak_moment(batch),
            "held": [asdict(row) for row in footprint.held(batch)],
        }
        for index, batch in enumerate(footprint.batches)
    ]


def footprint_table(footprint: Footprint) -> RenderableType:
    """The bytes of one phase by batch, and the largest things they are made of."""
    design = footprint.design
    said = [f"rule {design.rule}"]
    if design.phase == "training":
        said += [f"optimizer {design.optimizer}", f"checkpointing {design.checkpointing}"]
    title = Text(f"memory, {design.phase}: {', '.join(said)}", style="bold")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("quantity")
    for batch in footprint.batches:
        table.add_column(f"batch {batch}", justify="right")
    for name, output in OUTPUTS.items():
        values = np.atleast_1d(getattr(footprint.cost, name))
        if values.any() or name in ALWAYS:
            table.add_row(output.label, *(figure(float(v), output.unit) for v in values))
    table.add_row("peak at", *(Text(footprint.peak_moment(b)) for b in footprint.batches))
    return Group(title, table, *_largest(footprint))


def _largest(footprint: Footprint) -> list[Text]:
    batch = footprint.batches[-1]
    rows = footprint.held(batch)
    named = [f"{row.tensor} ({row.role}) {data(row.bytes)}" for row in rows[:MOST_SHOWN]]
    more = f", {len(rows) - len(named)} more" if len(rows) > len(named) else ""
    return [Text(f"largest at batch {batch}: {', '.join(named)}{more}", style="dim")]
