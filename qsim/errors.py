"""What can be wrong with what a user gave us; the command line turns each into one line."""

from hwmodels.errors import InputError


class QsimError(InputError):
    """A user's mistake; its text is one sentence with place, problem and remedy."""


class WorkloadError(QsimError):
    """A workload asks for something that does not exist or does not fit together."""


class NetworkError(QsimError):
    """A layer table does not describe a network."""


class WeightsError(QsimError):
    """A file of weights lacks an array, or holds one of another shape or with bad values."""
