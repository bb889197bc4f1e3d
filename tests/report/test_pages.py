"""Pages read back: their numbers are those of `landscape degeneracy --json`, and no text of a file becomes markup."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.proved import Wanted
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.report.content import comparison, verdict_line
from landscape.report.page import Examined, Folder, folder_page, point_page, write_page
from landscape.structures.analytic import logit_form
from landscape.structures.notation import parse_structure

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)
SMALL = Problem.balanced(4, 2, 6, 2, 1e-2)
EVIL = "</script><script>boom()</script><img src=x onerror=boom()>'\"&<!--"


class Elements(HTMLParser):
    """All start tags with their attributes, the content of the scripts, and the text outside of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts.append(data)
        elif self.cdata_elem is None:
            self.text += f"{data} "


def saved(path: Path, problem: Problem = SMALL, structure: str = "dnc", origin: Origin | None = None, noise: float = 0.0) -> Path:
    theta = write_parameters(problem, logit_form(problem, parse_structure(structure, "large")), gauge=0)
    theta = theta + noise * torch.randn(theta.shape, dtype=theta.dtype, generator=torch.Generator().manual_seed(0))
    CriticalPoint.at(problem, theta, origin or Origin("analytic", seed=0)).save(path)
    return path


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_papers_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its page is under 3 MB and says what `landscape degeneracy --json` says, in its data and to the eye."""
    path, out = saved(tmp_path / "dnc.safetensors", PAPER), tmp_path / "page.html"
    assert run(["report", str(path), "--out", str(out)]) == 0
    capsys.readouterr()
    assert run(["degeneracy", str(path), "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    page = out.read_text()
    assert len(page.encode()) < 3e6
    assert data_of(page)["report"] == known
    assert known["nullity"] == 1170
    text = " ".join(Elements(page).text.split())
    assert f"Exactly {known['nullity']} of the {known['parameters']} eigenvalues of its Hessian are zero" in text
    for name, value in (("nullity", known["nullity"]), ("index", known["index"]), ("loss", f"{known['loss']:.10f}")):
        assert f"{name} {value} " in text
    assert f"zero eigenvalues (nullity) 1170 1170 {known['paper_dimension']} Theorem 5 of the paper 72 apart" in text
    shown = re.findall(r'<td class="number">(\S+)</td><td class="number">(\d+)</td>', page)
    assert [(pytest.approx(float(value), rel=1e-11, abs=1e-15), int(times)) for value, times in shown] == [
        (value, times) for value, times in known["spectrum"]
    ]
    assert f"landscape report {path} --out {out}" in text


def test_the_same_point_gives_the_same_page(tmp_path: Path) -> None:
    path = saved(tmp_path / "dnc.safetensors")
    assert point_page(Examined.at(path)) == point_page(Examined.at(path))


@pytest.mark.parametrize("structure", ["dnc", "pairs", "partition:3,1"])
def test_theory_agrees_with_what_was_measured(structure: str, tmp_path: Path) -> None:
    report = Examined.at(saved(tmp_path / "point.safetensors", structure=structure)).report
    rows = comparison(report)
    assert {row.quantity for row in rows} >= {"loss", "trace", "negative eigenvalues (index)", "smallest positive eigenvalue"}
    assert [row.quantity for row in rows if row.agrees is False] == ["zero eigenvalues (nullity)"]  # Theorem 5 alone
    assert sum(row.agrees is True for row in rows) == len(rows) - 1
    wrong = replace(report, facts=replace(report.facts, loss=report.loss * (1 + 1e-6), verdict=replace(report.verdict, index=7)))
    assert {row.quantity for row in comparison(wrong) if not row.agrees} >= {"loss", "negative eigenvalues (index)"}


def test_verdicts(tmp_path: Path) -> None:
    minimum = Examined.at(saved(tmp_path / "a.safetensors")).report
    assert verdict_line(minimum).startswith("DNC: a minimum of rank 3. Exactly 24 of the 108")
    assert "explain 20, and 4 have no symmetry" in verdict_line(replace(minimum, facts=replace(minimum.facts, orbit_dimension=20)))
    assert "without negative eigenvalues" in verdict_line(replace(minimum, facts=replace(minimum.facts, orbit_dimension=20)))
    saddle = Examined.at(saved(tmp_path / "b.safetensors", structure="partition:3,1")).report
    assert f"a saddle with {saddle.index} negative eigenvalue" in verdict_line(saddle)
    assert saddle.index
    far = Examined.at(saved(tmp_path / "c.safetensors", noise=1e-2))
    assert verdict_line(far.report).startswith("not critical: nullity and index are not stated. Not critical enough: at gradient")
    page = Elements(point_page(far)).text
    assert "Exactly" not in page
    assert not any(row.agrees for row in comparison(far.report))


def test_text_from_files_stays_text(tmp_path: Path) -> None:
    folder = tmp_path / "points"
    folder.mkdir()
    origin = Origin(EVIL, (EVIL, "Newton()"), 0, {EVIL: EVIL})
    name = "<img src=x onerror=boom()>&'.safetensors"
    path = saved(folder / name, origin=origin)
    (folder / "<b>broken.safetensors").write_text(EVIL)
    study = {"problem": {"loss": EVIL}, "versions": {EVIL: "1"}, "weight_scale": EVIL, "feature_scale": 1, "method": EVIL}
    (folder / "study.json").write_text(json.dumps(study))
    for page in (point_page(Examined.at(path), EVIL), folder_page(Folder.at(folder), EVIL)):
        found = Elements(page)
        assert [attributes.get("type") for tag, attributes in found.tags if tag == "script"] == ["application/json", None]
        assert len(found.scripts) == 2
        assert "boom" not in found.scripts[1]
        assert not any(key.startswith("on") for _, attributes in found.tags for key in attributes)
        sources = [attributes["src"] for tag, attributes in found.tags if tag == "img"]
        assert len(sources) >= 2
        assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
        assert not any(tag in {"b", "link"} and attributes.get("href") != "data:," for tag, attributes in found.tags)
        assert EVIL in found.text
        assert name in found.text
        data_of(page)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    page = point_page(Examined.at(saved(tmp_path / "dnc.safetensors")))
    places = [attributes.get(key, "data:") for _, attributes in Elements(page).tags for key in ("src", "href")]
    assert all(place and place.startswith("data:") for place in places)
    assert "default-src &#39;none&#39;" in page
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.slow
def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "study", tmp_path / "page.html"
    asked = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2", "--seeds", "5"]
    assert run(["prevalence", *asked, "--out", str(folder), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert run(["report", str(folder), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"out": str(out), "points": 5, "bytes": out.stat().st_size, "reasons": []}
    page = out.read_text()
    rows = data_of(page)["points"]
    names = Archive.existing(folder).names()
    assert [row["file"] for row in rows] == [f"records/{digest[:2]}/{digest}.safetensors" for digest in names]
    report = analyse(CriticalPoint.load(folder / rows[3]["file"]), "auto", Wanted("small")).as_dict()
    assert {**rows[3]["report"], "spectrum": json.loads(json.dumps(report["spectrum"]))} == json.loads(json.dumps(report))
    for name, count in counts.items():
        assert f"{name} {count}" in page
        assert sum(row["report"]["structure"] == name for row in rows) == count
    assert "95 % interval" in page
    assert "W_l ~ N(0, 1.0² / d), H_1 ~ N(0, 1.0²)" in page


def test_a_folder_with_a_damaged_file_is_reported_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "good.safetensors")
    (tmp_path / "bad.safetensors").write_text("no point")
    assert run(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1
    assert "bad.safetensors: expected a point saved by landscape" in capsys.readouterr().err
    page = (tmp_path / "page.html").read_text()
    assert "1 file left out." in page
    assert [each["file"] for each in data_of(page)["left_out"]] == ["bad.safetensors"]


@pytest.mark.parametrize(
    ("source", "out", "words"),
    [
        ("missing.safetensors", "page.html", "no such file: missing.safetensors"),
        ("text.safetensors", "page.html", "expected a point saved by landscape"),
        ("empty", "page.html", "expected points (.safetensors) in empty, got none"),
        ("hopeless", "page.html", "expected at least one point of hopeless that can be analysed, got none: expected a point saved"),
        ("endless.safetensors", "page.html", "expected parameters of finite loss, got loss nan"),
        ("good.safetensors", "page.txt", "expected a file name ending in .html, got page.txt"),
        ("good.safetensors", "nowhere/page.html", "cannot write nowhere/page.html"),
    ],
)
def test_bad_input_is_one_line(
    source: str, out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good = CriticalPoint.load(saved(Path("good.safetensors")))
    replace(good, theta=good.theta + 1e200).save(Path("endless.safetensors"))
    Path("text.safetensors").write_text("no point")
    Path("empty").mkdir()
    Path("hopeless").mkdir()
    Path("hopeless", "one.safetensors").write_text("no point")
    assert run(["report", source, "--out", out]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("landscape: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert not Path(out).exists()


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_page("half \udcff", out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(InputError, match="cannot write"):
        write_page("page", tmp_path / "nowhere" / "page.html")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    saved(tmp_path / "point.safetensors")
    (tmp_path / "bad\udcff.safetensors").write_text("no point")  # a name of bytes that are not UTF-8
    page = folder_page(Folder.at(tmp_path))
    assert "bad\ufffd.safetensors" in page.encode().decode()
