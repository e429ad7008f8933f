"""The independent check: values of a run computed again, sharing no kernel with it."""

from qsim.verify.layers import count_checked

__all__ = ["count_checked"]
