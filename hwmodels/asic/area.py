"""Area of gates at a node, from standard-cell libraries that can be read.

The nominal area of a gate lies between the libraries on a straight line over the logarithms of node
and area; low and high are the least and the most of that and of every library scaled to the node
by the published ratios. Cells alone: no wires, no rows left empty (20 to 40 % more in practice).
"""

import numpy as np

from hwmodels.asic.energy import least, most
from hwmodels.asic.scaling import area_factor
from hwmodels.asic.technology import Asic, place_of
from hwmodels.explain import formula, read_figure


@formula
def gate_um2(device: Asic, node_nm):
    """Area of a NAND gate, square micrometres, between the libraries."""
    areas = _libraries(device)
    nodes = sorted(areas)
    logs = np.log(np.array([areas[node] for node in nodes]))
    return np.exp(np.interp(np.log(np.asarray(node_nm, np.float64)), np.log(nodes), logs))


@formula
def scaled_gate_um2(device: Asic, library_nm, node_nm):
    """Area of a NAND gate of one library x ratio of area between the nodes."""
    return _libraries(device)[library_nm] * area_factor(library_nm, node_nm)


def gate_band_um2(device: Asic, node_nm):
    """Nominal, low and high area of a gate, square micrometres."""
    each = [gate_um2(device, node_nm)]
    each += [scaled_gate_um2(device, node, node_nm) for node in sorted(_libraries(device))]
    return each[0], least(*each), most(*each)


def _libraries(device):
    return {
        int(node): read_figure(figure, f"NAND2 at {node} nm", where=place_of("cell_libraries"))
        for node, figure in device.cells.nand2_um2.items()
    }
