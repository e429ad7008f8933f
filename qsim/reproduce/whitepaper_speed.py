"""The whitepaper's latencies on a telephone, Table 7, and what its text says of them."""

from functools import cache

from hwmodels import cpu
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks
from qsim.reproduce.rows import Ours, calibrated, not_reproducible, unpublished

MODELS = {
    "Mobilenet_v1_1_224": "mobilenet-v1",
    "Mobilenet_v2_1_224": "mobilenet-v2",
    "Inception_v3": "inception-v3",
    "Resnet_v1_50": "resnet50-slim",
    "Resnet_v2_50": "resnet50-v2-slim",
    "Resnet_v1_152": "resnet152-slim",
    "Resnet_v2_152": "resnet152-v2-slim",
}
PRECISIONS = {"float_cpu": ("float", "float / float"), "fixed_cpu": ("fixed", "w8a8")}
FITTED = "two constants were fitted to the seven networks of a column"
HVX = "a DSP of which two times are published, and no model of it"


def latency_ms(cell: PublishedCell) -> Ours:
    """A cell of Table 7."""
    if cell.value is None:
        return unpublished(None, "not measured in the paper")
    if cell.column == "fixed_hvx":
        return not_reproducible(HVX)
    model = cell.at["model"]
    if model not in MODELS:
        return not_reproducible("its shapes are not published: a detector around MobileNet v1")
    return calibrated(1e3 * latency_s(MODELS[model], cell.column), FITTED)


def claim(cell: PublishedCell) -> Ours:
    """A claim of the text on speed."""
    if cell.value == 10:
        return not_reproducible(HVX)
    gains = [latency_s(n, "float_cpu") / latency_s(n, "fixed_cpu") for n in MODELS.values()]
    least = cell.value == 2
    own = "1.46" if least else "2.60"
    note = f"Table 7 itself has {own}; {FITTED}"
    return calibrated(min(gains) if least else max(gains), note)


@cache
def latency_s(name: str, column: str) -> float:
    """The time of a network in the precision of a column."""
    precision, formats = PRECISIONS[column]
    work = networks.work(name, formats)
    design = cpu.Design(precision=precision)
    return float(cpu.evaluate(work, design, cpu.load_device("pixel2")).latency_s)


TABLES = {"table_7": latency_ms, "claims_speed": claim}
