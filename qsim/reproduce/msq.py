"""MSQ's figures: its designs priced by the model of two GEMM cores, and what follows from that."""

from functools import cache

from hwmodels.documents import convert
from hwmodels.fpga import gemm, ratio
from hwmodels.fpga.device import load_device
from hwmodels.fpga.gemm import Cost, Design
from hwmodels.published_tables import PublishedCell
from hwmodels.work import WorkTable
from qsim.formats import parse
from qsim.formats.sp2 import Sp2
from qsim.network.fold import fold_network
from qsim.precision import PrecisionDocument, resolve
from qsim.reproduce import networks
from qsim.reproduce.rows import (
    Ours,
    at_least,
    calibrated,
    exact,
    not_reproducible,
    predicted,
    unpublished,
)
from qsim.work import work_table

DESIGNS = {"xc7z020": ("D1-1", "D1-3"), "xc7z045": ("D2-1", "D2-3")}  # fixed alone, and MSQ
PRICED = ("resnet18", "mobilenet-v2", "yolo-v3(size=320)")
ACCURACY = "an accuracy: needs the data set and the training"
MEASURED = "a measured power; the model has none of it"
SAME_MEASUREMENT = {"gops", "images_per_s", "gops_per_klut", "gops_per_dsp"}  # as the latency
NOTES = {
    "peak_gops": "the published peaks are 33/32 and 65/64 of 2 x MACs x clock, cause not known",
    "bram_36kb": "the buffers are not published; these are VTA's",
    "dsp": "one for each MAC of the fixed-point core until the device has no more",
}
MOBILENET_GOP = "the published rates count 1.1 % fewer operations than the network has"


def design_cell(cell: PublishedCell) -> Ours:
    """A figure of a network on a design."""
    network, design, quantity = cell.table, cell.at["design"], cell.at["quantity"]
    ours = figure(network, design, quantity)
    key = f"{network}/{design}"
    fitted = gemm.fitted_cells()
    if f"{key}/{quantity}" in fitted:
        return calibrated(ours, "a constant was fitted to this cell")
    if quantity in SAME_MEASUREMENT and f"{key}/latency_ms" in fitted:
        return calibrated(ours, "a constant was fitted to the latency of this design")
    return predicted(ours, _note(network, design, quantity))


def _note(network: str, design: str, quantity: str) -> str:
    """What is known of the cause where a figure is off."""
    priced = cost(network, design)
    compute_ms = float(priced.layer_compute_s.sum()) * 1e3
    notes = [NOTES.get(quantity, "")]
    if quantity == "system_lut_percent":
        notes.append("the LUTs around the cores are those of D1-1")
    if network == "mobilenet-v2" and quantity.startswith("gops"):
        notes.append(MOBILENET_GOP)
    if quantity == "latency_ms" and figure(network, design, quantity) > 1.1 * compute_ms:
        notes.append(f"{compute_ms:.3f} ms if every layer's traffic to DRAM were hidden")
    return "; ".join(note for note in notes if note)


def speedup(cell: PublishedCell) -> Ours:
    """MSQ over fixed point alone on a device."""
    network, device = cell.at["network"], cell.at["device"]
    fixed, msq = DESIGNS[device]
    if network == "peak rate":
        return exact(cost("resnet18", msq).peak_gops / cost("resnet18", fixed).peak_gops)
    if cell.at["over"] == "fixed 8":
        ours = fixed_8_bit_ms(network, device) / figure(network, msq, "latency_ms")
        return predicted(ours, EIGHT_BITS)
    return predicted(speedup_of(network, device), "no fitted constant: the efficiency cancels")


def eight_bits(cell: PublishedCell) -> Ours:
    """The latency of the 8-bit baseline."""
    return predicted(fixed_8_bit_ms(cell.at["network"], cell.at["device"]), EIGHT_BITS)


EIGHT_BITS = "its blocks are not published; taken as half as many rows, which misses"


def missing(cell: PublishedCell) -> Ours:
    """A latency that nothing is published of."""
    network, design = cell.at["network"], cell.at["design"]
    if network not in PRICED:
        return unpublished(None, "neither its cells nor the sizes of its recurrent networks known")
    return unpublished(figure(network, design, "latency_ms"), "not found; a prediction in advance")


def operation(cell: PublishedCell) -> Ours:
    """Operations of one product: an array multiplier's, and Eq. 8's two shifts and an addition."""
    bits, activation_bits = 4, 4
    terms = Sp2(bits).term_bits
    longest_first, longest_second = (2**term - 2 for term in terms)
    counts = {
        ("fixed point", "additions"): bits - 2,
        ("fixed point", "bits of an adder"): activation_bits,
        ("SP2", "shifts"): len(terms),
        ("SP2", "longest first shift"): longest_first,
        ("SP2", "longest second shift"): longest_second,
        ("SP2", "additions"): len(terms) - 1,
        ("SP2", "bits of an adder"): activation_bits + longest_first,
    }
    return exact(counts[cell.at["weights"], cell.at["quantity"]])


def levels(cell: PublishedCell) -> Ours:
    """How many levels a format has."""
    number = parse(f"{cell.at['weights']}(bits={cell.number('bits'):g})")
    return exact(len(number.levels()))


def accuracy(cell: PublishedCell) -> Ours:
    """A trained network's accuracy."""
    return not_reproducible(ACCURACY)


def angel_eye(cell: PublishedCell) -> Ours:
    """Another group's design."""
    return not_reproducible("another group's design, whose blocks are not published")


def optimal_ratio(cell: PublishedCell) -> Ours:
    """The ratio of fixed to SP2 rows that fills a device; the figure is the SP2 rows of a fixed
    one."""
    device = load_device(cell.at["device"])
    split = ratio.optimal_split(device, ratio.published_costs(device))
    share = ratio.load_ratio_constants().usable_lut_share.value
    note = f"SP2 rows for each fixed one, of what fills {share:.0%} of the LUTs, an assumed share"
    return predicted(split.sp2_per_fixed, note)


def energy(cell: PublishedCell) -> Ours:
    """Power, and energy efficiency over a GPU."""
    if not cell.at["quantity"].startswith("energy efficiency"):
        return not_reproducible(MEASURED)
    stated = {row[0]: row[1] for row in networks.published("msq").tables["energy"].rows}
    ours = figure("resnet18", "D2-3", "images_per_s") / stated["power of D2-3 in W"]
    theirs = stated["images per second of the Jetson AGX"] / stated["power of the Jetson AGX in W"]
    stated_rest = "our throughput; the powers and the Jetson's throughput as stated"
    return at_least(ours / theirs, cell.value, stated_rest)


def claim(cell: PublishedCell) -> Ours:
    """A claim of the abstract or the article."""
    name = cell.at["claim"]
    speedups = {(n, device): speedup_of(n, device) for n in PRICED for device in DESIGNS}
    if name == "speedup over fixed point alone, least":
        return predicted(min(speedups.values()), "of three networks on two devices")
    if name == "speedup over fixed point alone, most":
        network, device = max(speedups, key=speedups.get)
        return not_reproducible(
            f"more than the ratio of the peak rates, 3.0, which bounds what computes; our largest"
            f" is {speedups[network, device]:.2f}, {network} on {device}; the cell is not known"
        )
    if name == "clock in MHz":
        return not_reproducible("a choice of the design, which the model takes as given")
    return not_reproducible(ACCURACY)


def figure(network: str, design: str, quantity: str) -> float:
    """A figure of a network on one of the designs, in the unit of its name."""
    priced = cost(network, design)
    match quantity:
        case "latency_ms":
            return float(priced.latency_s) * 1e3
        case "gops_per_klut":
            return float(priced.gops / priced.lut) * 1e3
        case "gops_per_dsp":
            return float(priced.gops / priced.dsp)
        case "system_lut_percent":
            device = load_device(networks.msq_designs().designs[design].device)
            return 100 * float(gemm.system_lut_share(priced.lut, device))
    return float(getattr(priced, quantity))


@cache
def cost(network: str, design: str) -> Cost:
    """A network on one of the designs."""
    held = networks.msq_designs().designs[design]
    blocks = Design(
        bat=held.bat,
        blk_in=held.blk_in,
        blk_out_fixed=held.blk_out_fixed,
        blk_out_sp2=held.blk_out_sp2,
        clock_hz=held.clock_hz,
    )
    return gemm.evaluate(_work(network, held.fixed_to_sp2), blocks, load_device(held.device))


def speedup_of(network: str, device: str) -> float:
    """Latency with fixed point alone / with both cores."""
    fixed, msq = (figure(network, design, "latency_ms") for design in DESIGNS[device])
    return fixed / msq


@cache
def fixed_8_bit_ms(network: str, device: str) -> float:
    """Latency of a fixed-point design of half the rows, at 8 bits."""
    held = networks.msq_designs().designs[DESIGNS[device][0]]
    blocks = Design(
        bat=held.bat,
        blk_in=held.blk_in,
        blk_out_fixed=held.blk_out_fixed // 2,
        clock_hz=held.clock_hz,
        weight_bits=8,
        activation_bits=8,
    )
    return (
        float(gemm.evaluate(_work(network, "1:0", 8), blocks, load_device(device)).latency_s) * 1e3
    )


@cache
def _work(network: str, fixed_to_sp2: str, bits: int = 4) -> WorkTable:
    weights = {"msq": {"bits": bits, "fixed_to_sp2": fixed_to_sp2}}
    if fixed_to_sp2 == "1:0":
        weights = {"fixed": {"bits": bits}}
    formats = {"weights": weights, "activations": {"fixed": {"bits": bits, "signed": False}}}
    document = convert({"default": formats}, PrecisionDocument, where="precision")
    folded = fold_network(networks.network(network))
    return work_table(folded, resolve(document, folded, where="precision"))


TABLES = {
    **dict.fromkeys(PRICED, design_cell),
    "speedups": speedup,
    "fixed_8_bit": eight_bits,
    "unpublished": missing,
    "operations": operation,
    "levels": levels,
    "accuracy": accuracy,
    "angel_eye": angel_eye,
    "optimal_ratio": optimal_ratio,
    "energy": energy,
    "claims": claim,
}
