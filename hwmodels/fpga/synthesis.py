"""The synthesis results that LUT costs rest on, as columns; see the head of the file itself."""

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np

from hwmodels.provenance import HERE

WHERE = "hwmodels/synthesis/xc7.csv"
TOOL = "yosys 0.70, synth_xilinx -family xc7, no place and route"


@dataclass(frozen=True)
class SynthesisRows:
    """Rows of the table: an array for each column, in float64 (NaN: not measured), text of
    ``scheme``; ``row`` numbers them."""

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["scheme"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def where(self, **wanted) -> "SynthesisRows":
        """The rows that have these values."""
        keep = np.ones(len(self), bool)
        for name, value in wanted.items():
            keep &= self[name] == value
        return self.only(keep)

    def only(self, keep: np.ndarray) -> "SynthesisRows":
        """The rows for which ``keep`` is true."""
        return SynthesisRows({name: column[keep] for name, column in self.columns.items()})


@cache
def load_rows() -> SynthesisRows:
    """All rows of the shipped table."""
    with (HERE / "synthesis" / "xc7.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    columns = {
        name: np.array([float(row[name] or "nan") for row in rows])
        for name in rows[0]
        if name != "scheme"
    }
    scheme = np.array([row["scheme"] for row in rows])
    return SynthesisRows({"row": np.arange(len(rows)), "scheme": scheme, **columns})
