"""Models in ONNX files, read as networks with weights, or as integer programs."""

from dataclasses import dataclass

import msgspec

from qsim.network.graph import Network
from qsim.network.weights import Weights
from qsim.program import Program


class OnnxOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file leaves open.

    dims        sides by the name that the file has for them, except that of the batch
    constants   inputs that are not fed, by name, and the number that each is filled with
    output      the result that is wanted, where the file has several
    """

    dims: dict[str, int] = {}
    constants: dict[str, float] = {}
    output: str | None = None


@dataclass(frozen=True)
class Imported:
    """What a file holds: a network with float32 weights, and its integers where it is quantized."""

    network: Network
    weights: Weights | None
    program: Program | None = None
