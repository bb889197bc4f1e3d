"""Where heads of known kind stand, and what the search adds."""

import pytest
import torch

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.starts import place
from landscape.structures.kinds import Collapse, Pairs, Partition, Unnamed
from landscape.studies.heads.recorder import HeadRecorder
from landscape.studies.heads.similarity import similarity
from landscape.studies.heads.standing import Lines, standing

PROBLEM = Problem.balanced(classes=6, samples=2, width=8, depth=2, decay=(2e-3, 4e-3, 4e-3))


def shuffled(point: CriticalPoint, noise: float, seed: int) -> CriticalPoint:
    """The point with its classes relabelled at random and noise added."""
    problem, generator = point.problem, torch.Generator().manual_seed(seed)
    order = torch.randperm(problem.classes, generator=generator)
    features, *layers = point.factors().values()
    features = features.reshape(problem.width, problem.classes, -1)[:, order].reshape(problem.width, -1)
    layers[-1] = layers[-1][order]
    theta = torch.cat([factor.flatten() for factor in (features, *layers)])
    theta = theta + noise * torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
    return CriticalPoint.at(problem, theta, Origin("a test"))


@pytest.mark.parametrize("structure", [Collapse(), Pairs(), Partition((4, 2)), Partition((3, 3))])
def test_a_relabelled_point_stands_at_its_own_line(structure: Collapse | Pairs | Partition) -> None:
    point = place(PROBLEM, structure)
    found = standing(shuffled(point, 1e-4, seed=3))
    assert found.nearest is not None
    assert found.best is not None
    assert found.nearest.kind == structure
    assert found.nearest.cosine == pytest.approx(1, abs=1e-5)
    assert found.nearest.above == pytest.approx(0, abs=1e-5)
    assert found.nearest.above == found.loss - found.nearest.loss
    assert found.best.loss == min(line.loss for line in found.lines)
    assert found.as_dict()["nearest"] == found.nearest.structure
    assert f"nearest     {found.nearest.structure}, cosine 1.0000" in str(found)


@pytest.mark.slow
def test_the_search_adds_points_without_a_closed_form() -> None:
    problem = Problem.balanced(classes=10, samples=1, width=10, depth=3, decay=5e-3 / 50**0.25)
    plain, searched = Lines.of(problem), Lines.of(problem, starts=30)
    added = [point for point in searched.known if isinstance(point.kind, Unnamed)]
    assert added, "rank 3 or rank 4, which lie below the pairs"
    assert len(searched.known) == len(plain.known) + len(added)
    assert all(similarity(point.kind, point.logits, point.logits) == pytest.approx(1, rel=1e-9) for point in added)


def test_unequal_classes_have_lines_without_cosines() -> None:
    problem = Problem((3, 3, 2, 2), 6, 2, 2e-3)
    found = standing(place(problem, Partition((2, 2))))
    assert found.lines
    assert all(line.cosine is None for line in found.lines)
    assert found.nearest is None
    assert "nearest" not in str(found)


def test_a_relu_head_has_no_lines() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 1e-2, activation="relu")
    theta = torch.randn(problem.parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = standing(CriticalPoint.at(problem, theta, Origin("a test")))
    assert found.lines == ()
    assert found.best is None
    assert found.nearest is None


def test_lines_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected lines of the linear CE model, K=6 .* got those of the linear CE model, K=4"):
        standing(place(PROBLEM, Pairs()), Lines.of(Problem.balanced(4, 2, 6, 2, 1e-2)))


def test_the_recorder_adds_a_row_a_call() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4, bias=False))
    inputs, labels = torch.randn(12, 5), torch.arange(12) % 4
    record = HeadRecorder(net, ["2"], inputs, labels, (1e-3, 3e-3))
    record(0)
    with torch.no_grad():
        net.get_parameter("2.weight").mul_(2)
    record(10)
    assert [row["step"] for row in record.rows] == [0, 10]
    assert record.rows[0]["loss"] != record.rows[1]["loss"]
    assert all(row["loss"] > min(line["loss"] for line in row["lines"]) for row in record.rows)


@pytest.mark.filterwarnings("ignore:The `srun` command is available")  # where SLURM is installed, Lightning proposes to use it
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning")  # of Lightning's own calls
def test_a_callback_of_lightning_passes_the_step_on() -> None:
    lightning = pytest.importorskip("lightning", reason="in the extra interop")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4, bias=False))
    inputs, labels = torch.randn(12, 5), torch.arange(12) % 4
    record = HeadRecorder(net, ["2"], inputs, labels, (1e-3, 3e-3))

    class Module(lightning.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, batch, _):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    class Heads(lightning.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_end(self, trainer, module):
            record(trainer.global_step)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=4)
    lightning.Trainer(max_epochs=2, callbacks=[Heads()], accelerator="cpu", **quiet).fit(Module(), data)
    assert [row["step"] for row in record.rows] == [3, 6]
