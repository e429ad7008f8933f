"""Arrays with guard bytes around them, to see that a kernel writes nowhere else."""

import numpy as np

GUARD, WIDTH = 0xA5, 256


class Guards:
    """Copies of arrays, each between guard bytes."""

    def __init__(self):
        self._blocks = []

    def __call__(self, array):
        """A C-contiguous copy of ``array`` between guards."""
        block = np.full(WIDTH + array.nbytes + WIDTH, GUARD, np.uint8)
        self._blocks.append(block)
        held = block[WIDTH : WIDTH + array.nbytes].view(array.dtype).reshape(array.shape)
        held[...] = array
        return held

    def around(self, fields):
        """A named tuple with its arrays between guards."""
        return type(fields)(*(self(v) if isinstance(v, np.ndarray) else v for v in fields))

    def are_intact(self):
        return all(
            (block[:WIDTH] == GUARD).all() and (block[len(block) - WIDTH :] == GUARD).all()
            for block in self._blocks
        )
