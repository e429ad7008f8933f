"""Output positions in groups that a tile register loads at once: 16 rows, equally spaced."""

import numpy as np

NO_POSITION = -1


def equally_spaced(
    offsets: np.ndarray, rows: int = 16, together: int = 2
) -> tuple[np.ndarray, np.ndarray, int]:
    """Positions arranged in groups of ``rows``, whose offsets are one pitch apart.

    offsets   int64 (height, width), where the window of each position begins
    together  groups of a tile; the last tile is filled up

    A group runs on over the border between two rows of an image, where it holds no position; each
    begins at the first position that no earlier one holds, so there are as few as can be.

    Returns the position (in row-major order) of each row of all groups, or ``NO_POSITION``; the
    offset of each; and the pitch.
    """
    flat = [int(offset) for offset in offsets.reshape(-1)]
    pitch = _pitch(offsets)
    waiting = {offset: position for position, offset in enumerate(flat)}
    order, begins = [], []
    for offset in flat:
        if offset in waiting:
            begins.append(offset)
            order += [waiting.pop(offset + r * pitch, NO_POSITION) for r in range(rows)]
    missing = -len(begins) % together
    begins += begins[-1:] * missing
    order += [NO_POSITION] * (rows * missing)
    spaced = np.array(begins)[:, None] + np.arange(rows) * pitch
    return np.array(order), spaced.reshape(-1), pitch


def _pitch(offsets: np.ndarray) -> int:
    """The distance of two neighbours; 0 if there is one position alone."""
    along = offsets.reshape(-1) if 1 in offsets.shape else offsets[0]
    return int(along[1] - along[0]) if along.size > 1 else 0
