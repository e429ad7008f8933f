"""The one place where execution and cost meet: a workload in, an evaluation out."""

from dataclasses import dataclass

from qsim.errors import QsimError
from qsim.measure import Execution, Progress, measure
from qsim.network.fold import fold_batch_norms
from qsim.network.graph import Network
from qsim.network.weights import Weights, read_weights, seeded_weights
from qsim.precision import Precision, resolve
from qsim.price import Pricing, price
from qsim.work import work_table
from qsim.workload import Workload


@dataclass(frozen=True)
class Evaluation:
    """All that an evaluation found out."""

    workload: Workload
    network: Network
    precision: Precision
    execution: Execution | None
    pricings: list[Pricing]

    @property
    def problems(self) -> list[str]:
        """A sentence for each design that does not fit its device."""
        sentences = []
        for index, pricing in enumerate(self.pricings):
            if pricing.excess:
                amounts = ", ".join(
                    f"{amount:,.0f} {name} more than its {getattr(pricing.device, name).value:,.0f}"
                    for name, amount in pricing.excess.items()
                )
                sentences.append(
                    f"{self.workload.path}: hardware[{index}].design: does not fit"
                    f" {pricing.device.name}: needs {amounts}; make its blocks smaller or name a"
                    " larger device"
                )
        return sentences


def evaluate(workload: Workload, progress: Progress = lambda what, done, steps: None) -> Evaluation:
    """Execute ``workload`` bit for bit and price it.

    Raises QsimError or another InputError naming file, key and remedy.
    """
    weights = _load_weights(workload)
    network, weights = fold_batch_norms(workload.network, weights)
    where = f"{workload.path}: precision"
    precision = resolve(workload.document.precision, network, where=where)
    work = work_table(network, precision)
    pricings = [price(workload, index, work) for index in range(len(workload.document.hardware))]
    execution = None
    if workload.document.execute is not None:
        try:
            execution = measure(workload, network, weights, precision, progress)
        except QsimError as error:
            if str(error).startswith(str(workload.path)):
                raise
            raise type(error)(f"{workload.path}: {error}") from None
    return Evaluation(workload, network, precision, execution, pricings)


def _load_weights(workload: Workload) -> Weights:
    path = workload.weights_path()
    if path is not None:
        return read_weights(path, workload.network)
    execute_document = workload.document.execute
    return seeded_weights(workload.network, execute_document.seed if execute_document else 0)
