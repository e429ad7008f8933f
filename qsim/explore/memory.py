"""What the memory of networks is made of, as tables in MB (of 1e6 bytes)."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hwmodels.memory.buffers import ROLES
from hwmodels.memory.design import MemoryDesign, Phase
from hwmodels.memory.footprint import footprint
from hwmodels.memory.peak import schedule_of
from hwmodels.work import Step
from qsim.explore.networks import trained, work

HELD = ("weights", "parameters", "optimizer", "weight_gradients", "activations", "gradients")


def steps_of(
    network: str, phase: Phase, precision: str = "w32a32", width: float = 1
) -> tuple[Step, ...]:
    """The steps of a network as it is executed, or as it is trained. Raises as ``networks.work``
    does."""
    if phase == "training":
        return trained(network, precision, width)
    return work(network, precision, width).steps


def by_role(
    networks: Iterable[str],
    batches: Iterable[int],
    *,
    phase: Phase,
    precision: str = "w32a32",
    width: float = 1,
    **options,
) -> pd.DataFrame:
    """What is held, and ``total``, for each network and batch. ``options`` are other fields of
    ``MemoryDesign``.

    Raises ValueError on impossible options, and as ``networks.work`` does.
    """
    tables, batch = {}, np.array(list(batches))
    for name in networks:
        steps = steps_of(name, phase, precision, width)
        cost = footprint(steps, phase=phase, batch=batch, **options)
        held = {role: getattr(cost, f"{role}_bytes") / 1e6 for role in (*HELD, "total")}
        tables[name] = pd.DataFrame(held, pd.Index(batch, name="batch"))
    return pd.concat(tables, names=["network"]).rename(columns=lambda name: name.replace("_", " "))


def over_time(network: str, design: MemoryDesign, precision: str = "w32a32") -> pd.DataFrame:
    """What is alive at each moment of a schedule ("forward conv1", ...), without what is held all
    the time. Raises as ``networks.work`` does."""
    steps = steps_of(network, design.phase, precision)
    schedule = schedule_of(steps, design)
    image, fixed = schedule.alive
    alive = (design.batch * image + fixed) / 1e6
    return pd.DataFrame(alive.T, pd.Index(schedule.moments, name="moment"), ROLES)
