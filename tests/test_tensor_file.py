"""The reader of safetensors files beside the library that writes them."""

import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from landscape.tensor_file import DTYPES, Damaged, Missing, TensorFile, read_ordinary


@pytest.fixture
def path(tmp_path):
    draw = torch.Generator().manual_seed(0)
    arrays = {kind: (torch.rand(3, 4, generator=draw) * 9).to(getattr(torch, kind)) for kind, _ in DTYPES.values()}
    arrays |= {"nothing": torch.zeros(0, 3), "one": torch.tensor(2.5, dtype=torch.float64), "wide": torch.rand(2, 3, 5)}
    path = tmp_path / "arrays.safetensors"
    save_file(arrays, path, metadata={"what": "déjà vu"})
    return path


def test_arrays_are_those_of_the_library(path):
    expected = load_file(path)
    with TensorFile.opened(path) as file:
        assert file.metadata == {"what": "déjà vu"}
        assert list(file.layouts) == sorted(expected)
        for name, array in expected.items():
            read = file.tensor(name)
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert torch.equal(read, array)
            read.zero_()
            assert torch.equal(file.tensor(name), array)  # each has its own memory


def test_a_file_without_metadata_has_none(tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    with TensorFile.opened(tmp_path / "x.safetensors") as file:
        assert file.metadata == {}
        assert file.tensor("x").tolist() == [1, 1]


def test_links_are_followed_on_request_alone(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    with TensorFile.opened(link) as file:
        assert file.layouts
    with pytest.raises(Damaged, match="symbolic link"), TensorFile.opened(link, follow=False):
        pass


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, "/dev/zero", "/dev/null"):
        with pytest.raises(Damaged, match="no ordinary file"):
            read_ordinary(tmp_path / place, 10)
    with pytest.raises(Missing, match="does not exist"):
        read_ordinary(tmp_path / "missing", 10)
    with pytest.raises(Damaged, match="cannot be opened"):
        read_ordinary(tmp_path / ("x" * 300), 10)


def test_no_more_is_read_than_the_limit(tmp_path):
    (tmp_path / "text").write_text("0123456789")
    assert read_ordinary(tmp_path / "text", 10) == b"0123456789"
    with pytest.raises(Damaged, match="longer than 9 bytes"):
        read_ordinary(tmp_path / "text", 9)


def test_a_file_that_is_cut_while_it_is_read_is_damaged(path):
    with TensorFile.opened(path) as file:
        os.truncate(path, path.stat().st_size - 20)
        with pytest.raises(Damaged, match="shorter than its arrays"):
            file.digest()


def test_no_descriptor_stays_open(path, tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(20):
        with TensorFile.opened(path):
            pass
        with pytest.raises(Damaged):
            read_ordinary(tmp_path, 1)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def entry(start: int, stop: int) -> str:
    return f'{{"dtype":"F64","shape":[{(stop - start) // 8}],"data_offsets":[{start},{stop}]}}'


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (f'{{"x":{entry(8, 16)}}}', "leave a gap"),
        (f'{{"x":{entry(0, 8)},"y":{entry(0, 16)}}}', "overlap"),
        (f'{{"x":{entry(0, 16)},"y":{entry(8, 16)}}}', "overlap"),
        (f'{{"x":{entry(0, 8)}}}', "longer than its arrays"),
        (f'{{"x":{entry(0, 24)}}}', "shorter than its arrays"),
        (f'{{"x":{entry(0, 16)},"x":{entry(0, 16)}}}', "a key twice"),
        ('{"x":{"dtype":"F64","shape":[3],"data_offsets":[0,16]}}', "not of the size"),
        ('{"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16],"more":1}}', "does not describe"),
        ('{"x":{"dtype":"F64","shape":[true,2],"data_offsets":[0,16]}}', "no shape or place"),
        ('{"__metadata__":{"a":1}}', "metadata are not texts"),
        ("[]", "no object"),
        ("{", "not JSON"),
    ],
)
def test_a_header_must_describe_the_whole_file(tmp_path, header, words):
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(16))
    with pytest.raises(Damaged, match=words), TensorFile.opened(path):
        pass
