"""Integer kernels: levels in, levels out. They import numpy and numba, and nothing of ours.

The public functions check shapes and ranges in Python and then call compiled code, which checks
nothing. A caller's mistake is a ValueError, levels that are no integers a TypeError, a possible
overflow an OverflowError.

Compiled code is kept in ``CACHE``, which is settled here, before any kernel is imported.
"""

from qsim.kernels.cache_folder import use_cache_folder

CACHE = use_cache_folder()
