"""What follows from a latency: rates and utilization, as every model counts them."""

from hwmodels.explain import formula
from hwmodels.work import WorkTable


@formula
def latency_s(by_layer_s):
    """Sum over the layers, one after the other, per image."""
    return by_layer_s.sum(axis=-1)


@formula
def images_per_s(total_s):
    """1 / latency per image."""
    return 1 / total_s


@formula
def gops(work: WorkTable, total_s):
    """2 x MACs of one image / latency per image, in 1e9 operations per second."""
    return 2 * work.macs / total_s / 1e9


@formula
def utilization(effective, peak):
    """Effective rate / peak rate."""
    return effective / peak


@formula
def layer_utilization(work: WorkTable, by_layer_s, peak):
    """2 x MACs / time of each layer, as a share of the peak rate."""
    return 2 * work.column("macs") / by_layer_s / 1e9 / peak[..., None]
