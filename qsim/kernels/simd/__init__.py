"""Kernels for the instructions of this machine, written as LLVM IR from numba; and their choice.

Each is equal to a plain one, integer by integer. Nothing here needs a compiler other than numba's.
"""
