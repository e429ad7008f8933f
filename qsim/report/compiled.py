"""The run of a compiled program as a table."""

from rich.table import Table
from rich.text import Text

from qsim.network.graph import summary
from qsim.run_compiled import CompiledRun
from qsim.workload import Workload


def compiled_table(workload: Workload, run: CompiledRun) -> Table:
    """What was run, on what, how fast, and whether it is exact."""
    engine, exact = run.engine, "no" if run.differences else "yes"
    threads = "1 thread" if engine.threads == 1 else f"{engine.threads} threads"
    rows = {
        "workload": f"{workload.name}: {workload.document.title}".rstrip(": "),
        "network": summary(run.network),
        "compiled": f"back end {engine.backend} ({engine.choice.why}), {threads}",
        "images": f"{len(run.outputs):,}",
        "time": f"{run.ms_per_image:.3g} ms per image, {run.gops:.3g} GOPS",
        "memory": f"{engine.peak_activation_bytes:,} bytes of activations at most",
        "check": f"bit-exact: {exact} ({run.compared:,} integers of the first image executed too)",
    }
    if run.accuracy is not None:
        rows["accuracy"] = f"{run.accuracy:.2%}"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows.items():
        table.add_row(label, Text(text))
    return table
