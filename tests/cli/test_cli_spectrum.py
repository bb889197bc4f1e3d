"""`landscape spectrum`: several points in one table and one picture, origins, estimates, styles."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from landscape.atomic_files import PARTIAL
from landscape.cli import run

SMALL = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("points")
    for name, start in (("b10", "dnc"), ("b9", "pairs"), ("a", "partition:2,2")):
        assert run(["solve", *SMALL, "--start", start, "--out", str(folder / f"{name}.safetensors")]) == 0
    return folder


def test_several_points_are_one_table(folder: Path, tmp_path: Path) -> None:
    points = [str(folder / "b10.safetensors"), str(folder / "b9.safetensors")]
    table = tmp_path / "both.parquet"
    assert run(["spectrum", *points, "--label", "first", "--label", "second", "--out", str(table)]) == 0
    frame = pd.read_parquet(table)
    assert list(frame.columns) == ["point", "eigenvalue", "multiplicity", "origin"]
    assert frame.groupby("point", sort=False)["multiplicity"].sum().to_dict() == {"first": 108, "second": 108}
    zeros = frame[(frame["eigenvalue"] == 0) & (frame["origin"] == "gauge rotations")]
    assert zeros["multiplicity"].tolist() == [24, 18]


def test_a_folder_is_its_points_by_number_and_can_be_ordered(folder: Path, tmp_path: Path) -> None:
    (folder / f".b1{PARTIAL}1.safetensors").touch()  # of a process that was killed
    named = tmp_path / "named.csv"
    labels = [part for name in ("one", "nine", "ten") for part in ("--label", name)]
    assert run(["spectrum", str(folder), *labels, "--out", str(named)]) == 0
    frame = pd.read_csv(named)
    sums = frame[frame["eigenvalue"] == 0].set_index("point")["multiplicity"]
    assert sums.to_dict() == {"one": 18, "nine": 18, "ten": 24}
    assert run(["spectrum", str(folder), *labels, "--out", str(named), "--order", "nullity"]) == 0
    assert list(dict.fromkeys(pd.read_csv(named)["point"])) == ["one", "nine", "ten"]
    assert run(["spectrum", str(folder), *labels, "--out", str(named), "--order", "name"]) == 0
    assert list(dict.fromkeys(pd.read_csv(named)["point"])) == ["nine", "one", "ten"]


@pytest.mark.parametrize("method", ["slq", "pyhessian"])
def test_estimates_are_written_and_drawn(folder: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    table, picture = tmp_path / "estimate.csv", tmp_path / "estimate.png"
    point = str(folder / "b10.safetensors")
    assert run(["spectrum", point, "--method", method, "--out", str(table), "--plot", str(picture)]) == 0
    assert capsys.readouterr().out == ""
    frame = pd.read_csv(table)
    assert list(frame.columns) == ["kind", "eigenvalue", "multiplicity", "error", "probe"]
    nodes = frame[frame["kind"] == "node"]
    assert nodes.groupby("probe")["multiplicity"].sum().to_list() == pytest.approx([108] * 10)
    (zeros,) = frame[frame["kind"] == "zeros"].itertuples()
    assert abs(zeros.multiplicity - 24) < 4 * zeros.error
    with Image.open(picture) as image:
        assert image.size[0] == 975


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--style", "column"], (975, None)),
        (["--style", "page", "--arrange", "stacked"], (2025, None)),
        (["--style", "slide", "--title", "Two points"], (1600, 900)),
        (["--size", "6.8x2.4", "--axis", "linear", "--signs"], (2040, 720)),
        (["--style", "dark", "--arrange", "overlaid"], (1600, 900)),
    ],
)
def test_styles_and_sizes(folder: Path, tmp_path: Path, options: list[str], size: tuple[int, int | None]) -> None:
    picture = tmp_path / "picture.png"
    points = [str(folder / "b10.safetensors"), str(folder / "b9.safetensors")]
    assert run(["spectrum", *points, "--plot", str(picture), *options]) == 0
    with Image.open(picture) as image:
        assert image.size[0] == size[0]
        assert size[1] in (None, image.size[1])


def test_a_folder_without_points_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spectrum", str(tmp_path)]) == 2
    assert "expected a folder with points (*.safetensors), got none" in capsys.readouterr().err
