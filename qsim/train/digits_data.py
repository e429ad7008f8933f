"""Write qsim/data/digits.npz: scikit-learn's 8x8 digits in a fixed train/test split.

Run as `python -m qsim.train.digits_data`; needs scikit-learn.
"""

from pathlib import Path

import numpy as np

try:
    from sklearn.datasets import load_digits
except ImportError as error:
    raise SystemExit("This script needs scikit-learn: pip install scikit-learn") from error

DATA_PATH = Path(__file__).resolve().parent.parent / "data" / "digits.npz"
IMAGE_COUNT = 1797
TRAIN_COUNT = 1347
SPLIT_SEED = 0


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All images, (1797, 1, 8, 8) uint8 with pixels 0..16, and their labels, uint8."""
    bunch = load_digits()
    images = bunch.images[:, np.newaxis]
    if images.shape != (IMAGE_COUNT, 1, 8, 8) or images.min() < 0 or images.max() > 16:
        raise ValueError(f"unexpected digits: shape {images.shape}, pixels up to {images.max()}")
    return images.astype(np.uint8), bunch.target.astype(np.uint8)


def split(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The four named arrays of the file, split by a fixed permutation of the images."""
    order = np.random.default_rng(SPLIT_SEED).permutation(IMAGE_COUNT)
    train, test = order[:TRAIN_COUNT], order[TRAIN_COUNT:]
    return {
        "train_images": images[train],
        "train_labels": labels[train],
        "test_images": images[test],
        "test_labels": labels[test],
    }


def main() -> None:
    """Nothing; writes the file and prints what it holds."""
    arrays = split(*digits())
    DATA_PATH.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(DATA_PATH, **arrays)
    for name, array in arrays.items():
        print(f"{name}: {array.shape} {array.dtype}")
    print(f"wrote {DATA_PATH.name}, {DATA_PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
