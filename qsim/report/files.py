"""An evaluation as files: JSON, CSV and pictures in one folder."""

import json
import os
from dataclasses import fields
from pathlib import Path

from hwmodels.outputs import is_known
from qsim.errors import QsimError
from qsim.evaluate import Evaluation
from qsim.measure import LayerSums
from qsim.report.memory import footprint_records
from qsim.report.records import design_row, document, layer_rows, sum_rows


def to_json(evaluation: Evaluation) -> str:
    """The evaluation as one JSON document."""
    return json.dumps(document(evaluation), indent=2, allow_nan=False)


def to_csv(evaluation: Evaluation) -> str:
    """The layers of every design as CSV; without hardware, the layers' sums."""
    return layers_frame(evaluation).to_csv(index=False)


def layers_frame(evaluation: Evaluation):
    """A pandas frame: the layers of every design; without hardware, the layers of the execution."""
    import pandas as pd

    rows = [
        {"workload": evaluation.workload.name, "device": p.hardware.device.name, "design": p.name}
        | row
        for p in evaluation.pricings
        for row in layer_rows(p)
    ]
    if rows:
        return pd.DataFrame(rows)
    sums = [] if evaluation.execution is None else sum_rows(evaluation.execution)
    return pd.DataFrame(sums, columns=[field.name for field in fields(LayerSums)])


def designs_frame(evaluation: Evaluation):
    """A pandas frame, a row for every design."""
    import pandas as pd

    return pd.DataFrame(
        [{"workload": evaluation.workload.name} | design_row(p) for p in evaluation.pricings]
    )


def memory_frame(evaluation: Evaluation):
    """A pandas frame, a row for everything that is held in each phase at each batch."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"workload": evaluation.workload.name, "batch": record["batch"]} | row
            for footprint in evaluation.footprints
            for record in footprint_records(footprint)
            for row in record["held"]
        ]
    )


def prepare_folder(folder: Path) -> None:
    """Make ``folder``. Raises QsimError when it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QsimError(f"--out {folder}: cannot be written: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise QsimError(f"--out {folder}: cannot be written: permission denied")


def write_files(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``report.json``, ``layers.csv``, ``designs.csv``, ``memory.csv`` and a picture for
    every design whose latency is known.

    Returns the paths written. Raises QsimError when one cannot be written.
    """
    from qsim.report.figures import layer_figure, write_picture

    written = []

    def write(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)

    try:
        write("report.json", to_json(evaluation) + "\n")
        write("layers.csv", to_csv(evaluation))
        if evaluation.pricings:
            write("designs.csv", designs_frame(evaluation).to_csv(index=False))
        if evaluation.footprints:
            write("memory.csv", memory_frame(evaluation).to_csv(index=False))
        for index, pricing in enumerate(evaluation.pricings):
            if not is_known(pricing.cost.layer_latency_s):
                continue
            path = folder / f"layers-{index}-{pricing.hardware.device.name}.png"
            device = pricing.hardware.device.name
            title = f"{evaluation.workload.name} on {device}, {pricing.name}"
            write_picture(layer_figure(pricing, title), path)
            written.append(path)
    except OSError as error:
        raise QsimError(f"--out {folder}: cannot be written: {error.strerror}") from None
    return written
