"""The synthesised circuits that gate counts rest on, as columns; see the head of their file."""

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np

from hwmodels.provenance import HERE

WHERE = "hwmodels/synthesis/gates.csv"
CALLED = {"power_of_two": "pot", "binary": "binary_weight", "bit_serial": "bitserial"}
TOOL = "yosys 0.70 and abc, osu018 standard cells, no wires"


@dataclass(frozen=True)
class GateRows:
    """Rows of the table: an array for each column, float64, text of ``scheme`` and ``flow``."""

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["scheme"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def where(self, **wanted) -> "GateRows":
        """The rows that have these values."""
        keep = np.ones(len(self), bool)
        for name, value in wanted.items():
            keep &= self[name] == value
        return GateRows({name: column[keep] for name, column in self.columns.items()})


@cache
def load_gates() -> GateRows:
    """All rows of the shipped table."""
    with (HERE / "synthesis" / "gates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    text = ("scheme", "flow")
    return GateRows(
        {
            name: np.array([row[name] if name in text else float(row[name]) for row in rows])
            for name in rows[0]
        }
    )


def elements(scheme: str) -> GateRows:
    """The dot products of a scheme in the flow that all counts are of: one sum as written."""
    called = CALLED.get(scheme, scheme)
    neg = 0 if scheme in ("fixed", "xnor", "bit_serial") else 1
    return load_gates().where(scheme=called, flow="gates", tree=0, neg=neg)


def parts(scheme: str, **wanted) -> GateRows:
    """Parts of circuits: accumulators, requantizers, thresholds, multipliers."""
    return load_gates().where(scheme=scheme, flow="gates", tree=0, **wanted)
