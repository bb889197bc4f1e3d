"""Losses and data as people have them: right against plain double backward, or refused in one line with the remedy."""

import copy
from collections import OrderedDict, UserDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.supported import truth
from landscape.curvature.operators.operator import dense
from landscape.errors import InputError
from landscape.network.data import keywords
from landscape.network.loss import ModuleLoss, on, own_loss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

CE = functional.cross_entropy
X = torch.randn(12, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2])


def mlp(*, seed: int = 0, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs)).double()


def same(problem: ModuleLoss, expected: torch.Tensor) -> None:
    torch.testing.assert_close(dense(ModuleHessian(problem)).cpu(), expected, rtol=0, atol=1e-12)


def cut(*sizes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(X.split(sizes), Y.split(sizes), strict=True))


def refused(match: str, *arguments: Any, **settings: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        ModuleHessian(ModuleLoss(*arguments, **settings))
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ the total over batches


def test_class_weights_do_not_depend_on_how_the_data_are_cut():
    net, loss = mlp(), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 20.0, 3.0], dtype=torch.float64))
    same(ModuleLoss(net, loss, cut(5, 7)), truth(list(net.parameters()), lambda: loss(net(X), Y)))


def test_class_weights_in_a_function_are_refused_unless_their_weight_is_given():
    net, weights = mlp(), torch.tensor([1.0, 20.0, 3.0], dtype=torch.float64)

    def loss(outputs, targets):
        return CE(outputs, targets, weights)

    refused("pass weight=", net, loss, cut(7, 5))
    given = ModuleLoss(net, loss, cut(7, 5), weight=lambda batch: weights[batch[1]].sum())
    same(given, truth(list(net.parameters()), lambda: loss(net(X), Y)))
    same(ModuleLoss(net, loss, cut(12)), truth(list(net.parameters()), lambda: loss(net(X), Y)))


def padded() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(6, 5, 3, generator=generator, dtype=torch.float64), torch.randint(0, 3, (6, 5), generator=generator)
    y[:3, 1:] = -100
    return x, y


def test_an_ignored_index_with_unequal_padding():
    net, (x, y) = mlp(), padded()
    batches = [(x[:3], y[:3]), (x[3:], y[3:])]

    def loss(outputs, targets):
        return CE(outputs.flatten(0, 1), targets.reshape(-1), ignore_index=-100)

    expected = truth(list(net.parameters()), lambda: loss(net(x), y))
    refused("pass weight=", net, loss, batches)
    same(ModuleLoss(net, loss, batches, weight=lambda batch: (batch[1] != -100).sum()), expected)
    flat = nn.Sequential(net, nn.Flatten(0, 1))
    same(ModuleLoss(flat, nn.CrossEntropyLoss(), [(x, y.flatten()) for x, y in batches]), expected)


def test_a_sum_that_is_declared_a_mean_and_the_other_way_round():
    net = mlp()
    refused('is a sum: pass reduction="sum"', net, nn.CrossEntropyLoss(reduction="sum"), cut(4, 4, 4))
    refused('is a mean: pass reduction="mean"', net, nn.CrossEntropyLoss(), cut(4, 4, 4), reduction="sum")
    summed = truth(list(net.parameters()), lambda: CE(net(X), Y, reduction="sum"))
    same(ModuleLoss(net, nn.CrossEntropyLoss(reduction="sum"), cut(4, 8), reduction="sum"), summed)


def test_losses_that_couple_samples_need_one_batch():
    net = mlp()

    def coupled(outputs, targets):
        return torch.logsumexp(outputs @ outputs.T, 1).mean()

    refused("all data as one batch", net, coupled, cut(5, 7))
    same(ModuleLoss(net, coupled, cut(12)), truth(list(net.parameters()), lambda: coupled(net(X), Y)))
    norm = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)).double().eval()
    refused("all data as one batch", norm, CE, cut(5, 7))


def test_time_first_sequences_are_counted_on_axis_1():
    torch.manual_seed(2)

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.RNN(3, 2), nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.cell(x)[0])

    net = Tagger().double()
    x, y = torch.randn(4, 9, 3, dtype=torch.float64), torch.randint(0, 3, (4, 9))
    batches = [(x[:, :2], y[:, :2]), (x[:, 2:], y[:, 2:])]

    def loss(outputs, targets):
        return CE(outputs.flatten(0, 1), targets.flatten())

    refused("one batch|axis", net, loss, batches)
    same(ModuleLoss(net, loss, batches, axis=1), truth(list(net.parameters()), lambda: loss(net(x), y)))


def test_batches_of_one_sample_are_a_mean_over_them():
    net = mlp()
    same(ModuleLoss(net, nn.CrossEntropyLoss(), cut(*[1] * 12)), truth(list(net.parameters()), lambda: CE(net(X), Y)))


# ------------------------------------------------------------------------------------------------ data


class Noisy(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Random augmentation."""

    def __len__(self):
        return 12

    def __getitem__(self, place):
        return X[place] + torch.randn(3), Y[place]


def test_data_that_change_are_refused_and_the_caller_s_random_numbers_are_left_alone():
    state = torch.random.get_rng_state()
    loader = DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True, drop_last=True)
    refused("the same batches", mlp(), CE, loader)
    refused("the same batches", mlp(), CE, DataLoader(Noisy(), batch_size=4))
    net = mlp()
    torch.random.set_rng_state(state)
    problem = ModuleLoss(net, CE, DataLoader(TensorDataset(X, Y), batch_size=5))
    same(problem, truth(list(net.parameters()), lambda: CE(net(X), Y)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_kinds_of_batches():
    net = mlp()
    refused("got a mapping of", net, CE, [{"inputs": X, "labels": Y}])
    refused("got 3 items", net, CE, [(X, Y, X)])
    refused("iterable of batches", net, CE, X)
    refused("empty data", net, CE, [])
    refused("iterator", net, CE, iter(cut(5, 7)))
    expected = truth(list(net.parameters()), lambda: CE(net(X), Y))
    same(ModuleLoss(net, CE, [(X, Y, X)], adapter=lambda batch: (batch[0], batch[1])), expected)
    same(ModuleLoss(net, CE, [{"input": X, "labels": Y}], adapter=lambda b: ({"input": b["input"]}, b["labels"])), expected)
    refused("labels", net, CE, [{"inputs": X}], adapter=keywords())


@dataclass
class Output:
    """As libraries of transformers return it."""

    loss: torch.Tensor | None
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] = ()


class Tiny(nn.Module):
    """Called with the names of a batch; computes its own loss."""

    def __init__(self, kind: str = "dataclass") -> None:
        super().__init__()
        torch.manual_seed(4)
        self.words, self.head, self.kind = nn.Embedding(6, 3), nn.Linear(3, 3), kind

    def forward(self, input_ids, attention_mask, labels=None):
        logits = self.head((self.words(input_ids) * attention_mask[..., None]).sum(1))
        loss = CE(logits, labels) if labels is not None else None
        if self.kind == "dataclass":
            return Output(loss, logits, (logits,))
        return OrderedDict(loss=loss, logits=logits)


@pytest.mark.parametrize("kind", ["dataclass", "mapping"])
@pytest.mark.parametrize("container", [dict, UserDict])
def test_batches_and_outputs_of_transformers(kind, container):
    net = Tiny(kind).double()
    generator = torch.Generator().manual_seed(0)
    ids, y = torch.randint(0, 6, (9, 4), generator=generator), torch.randint(0, 3, (9,), generator=generator)
    batches = [
        container(input_ids=ids[part], attention_mask=torch.ones_like(ids[part]), labels=y[part])
        for part in (slice(0, 5), slice(5, 9))
    ]
    expected = truth(list(net.parameters()), lambda: CE(net.head(net.words(ids).sum(1)), y))
    for loss in (own_loss, on("logits", CE)):
        same(ModuleLoss(net, loss, batches, adapter=keywords()), expected)
    with pytest.raises(InputError, match="Gauss-Newton matrix is zero"):
        ModuleGaussNewton(ModuleLoss(net, own_loss, batches, adapter=keywords()))
    convex = dense(ModuleGaussNewton(ModuleLoss(net, on("logits", CE), batches, adapter=keywords())))
    assert float(torch.linalg.eigvalsh(convex)[0]) > -1e-14
    refused("loss that can be called", net, CE, batches, adapter=keywords())
    refused("outputs with", net, on("scores", CE), batches, adapter=keywords())


def test_inputs_that_do_not_fit_are_one_line():
    refused("called as module", nn.Bilinear(3, 2, 3).double(), CE, [(X, Y)])
    refused("float32", mlp(), CE, [(X.float(), Y)])
    refused("scalar loss", mlp(), nn.CrossEntropyLoss(reduction="none"), cut(12))
    refused("finite loss", mlp(), CE, [(X * float("inf"), Y)])
    refused("finite parameters", nn.Linear(3, 3).double(), CE, cut(12), point=torch.full((12,), float("nan"), dtype=torch.float64))


# ------------------------------------------------------------------------------------------------ precision and decay


def test_float32_is_lifted_on_request_and_fewer_digits_are_refused():
    single, double = mlp().float(), mlp()
    with torch.no_grad():
        for one, two in zip(double.parameters(), single.parameters(), strict=True):
            one.copy_(two)
    x = X.float()
    lifted = ModuleLoss(single, CE, [(x, Y)], dtype=torch.float64)
    same(lifted, truth(list(double.parameters()), lambda: CE(double(x.double()), Y)))
    assert all(parameter.dtype is torch.float32 for parameter in single.parameters())
    for few in (torch.bfloat16, torch.float16):
        refused("too few digits: pass dtype=torch.float64", mlp().to(few), CE, [(X.to(few), Y)])


def test_decay_per_parameter():
    net = mlp()
    plain = dense(ModuleHessian(ModuleLoss(net, CE, cut(12))))
    decays = torch.cat([torch.full((p.numel(),), 0.0 if p.ndim == 1 else 0.3, dtype=torch.float64) for p in net.parameters()])
    for decay in (
        {"0.weight": 0.3, "2.weight": 0.3},
        lambda name, tensor: 0.3 if tensor.ndim > 1 else 0.0,
        lambda name, tensor: 0.3 * name.endswith("weight"),
    ):
        problem = ModuleLoss(net, CE, cut(12), decay=decay)
        same(problem, plain + decays.diag())
        value, slope = problem.gradient()
        assert float(value) == pytest.approx(float(CE(net(X), Y).detach() + (decays * problem.theta**2).sum() / 2), abs=1e-14)
        torch.testing.assert_close(slope, torch.autograd.functional.jacobian(problem, problem.theta), rtol=0, atol=1e-14)
    refused("got 'weight'", net, CE, cut(12), decay={"weight": 0.1})
    refused("decay >= 0, got nan", net, CE, cut(12), decay=float("nan"))


# ------------------------------------------------------------------------------------------------ modules


def test_parameters_that_the_module_does_not_know_are_refused():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.layers = nn.Linear(3, 3).double(), [nn.Linear(3, 3).double()]

        def forward(self, x):
            return self.head(self.layers[0](x).tanh())

    refused("nn.ModuleList", Hidden(), CE, cut(12))
    net = mlp()
    refused(
        "takes? penalties out|take penalties out",
        net,
        lambda z, y: CE(z, y) + net.get_parameter("0.weight").square().sum(),
        cut(12),
    )


def test_constant_and_detached_losses_are_refused():
    class Detached(nn.Linear):
        @torch.no_grad()
        def forward(self, x):
            return super().forward(x)

    refused("constant: is it detached", Detached(3, 3).double(), CE, cut(12))


def test_training_modes_that_are_random_are_refused():
    refused("evaluation mode", nn.Sequential(mlp(), nn.BatchNorm1d(3)).double(), CE, cut(12))
    refused("dropout 0.5", nn.Sequential(mlp(), nn.Dropout()), CE, cut(12))

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            return functional.dropout(self.net(x), 0.5, self.training)

    refused("is dropout on", Functional(), CE, cut(12))
    ModuleHessian(ModuleLoss(Functional().eval(), CE, cut(12)))


def test_nothing_of_the_module_is_changed():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.last = mlp(), None
            self.calls: torch.Tensor
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.last = self.net(x)
            return self.last

    net = Counting()
    net.net[0].bias.grad = torch.ones(4, dtype=torch.float64)
    before, attributes = copy.deepcopy(net.state_dict()), dict(vars(net))
    operator = ModuleHessian(ModuleLoss(net, CE, cut(5, 7)))
    dense(operator)
    assert vars(net) == attributes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert net.net[0].weight.grad is None
    assert torch.equal(net.net[0].bias.grad, torch.ones(4, dtype=torch.float64))
    net.eval()
    dense(operator)
    assert not net.training


def test_forward_passes_that_write_to_their_parameters_are_refused():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(6, 3, max_norm=0.1), nn.Linear(3, 3)).double()
    with pytest.raises(InputError):
        ModuleHessian(ModuleLoss(net, CE, [(torch.arange(6), torch.tensor([0, 1, 2, 0, 1, 2]))]))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_wrappers_are_taken_off_or_refused():
    net = mlp()
    expected = truth(list(net.parameters()), lambda: CE(net(X), Y))
    compiled: Any = torch.compile(net)
    for wrapped in (nn.DataParallel(net), compiled, torch.optim.swa_utils.AveragedModel(net)):
        same(ModuleLoss(wrapped, CE, cut(12)), expected)
    begin: Any = torch.compile(net[:2])
    inside = nn.Sequential(begin, net[2])
    same(ModuleLoss(inside, CE, cut(12)), expected)
    refused("TorchScript", torch.jit.trace(net.cpu(), X), CE, cut(12))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints_are_refused(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Linear(4, 3)

        def forward(self, x):
            return self.second(checkpoint(self.first, x, use_reentrant=reentrant))

    torch.manual_seed(0)
    refused("checkpoint|functional call|differentiate", Net().double(), CE, cut(12))


def test_wrong_and_random_backward_passes_are_refused():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, slope):
            (x,) = ctx.saved_tensors
            return slope * 3 * x.detach() ** 2  # the second derivative forgets x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            return Wrong.apply(self.net(x))

    refused("differences of gradients|symmetric", Net(), CE, cut(12))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_inside_contexts_without_gradients(context):
    net = mlp()
    expected = truth(list(net.parameters()), lambda: CE(net(X), Y))
    with context():
        problem = ModuleLoss(net, CE, cut(5, 7))
        found = dense(ModuleHessian(problem))
    torch.testing.assert_close(found.clone(), expected, rtol=0, atol=1e-13)
    with torch.autocast("cpu"):
        torch.testing.assert_close(dense(ModuleHessian(problem)), expected, rtol=0, atol=1e-13)


def test_the_loss_at_another_point():
    net, other = mlp(), mlp(seed=5)
    problem = ModuleLoss(net, CE, cut(5, 7), decay=0.1)
    moved = problem.at(nn.utils.parameters_to_vector(other.parameters()))
    same(moved, dense(ModuleHessian(ModuleLoss(other, CE, cut(12), decay=0.1))))
    assert torch.equal(problem.theta, nn.utils.parameters_to_vector(net.parameters()))
    with pytest.raises(InputError, match="a point of 31 parameters"):
        problem.at(torch.zeros(3, dtype=torch.float64))
    with pytest.raises(InputError, match="finite parameters"):
        problem.at(torch.full((31,), float("nan"), dtype=torch.float64))


def test_the_memory_of_kept_graphs_is_predicted():
    problem = ModuleLoss(mlp(), CE, cut(5, 7))
    with pytest.raises(InputError, match="pass keep=False"):
        ModuleHessian(problem, memory=100.0)
    with pytest.raises(InputError, match="smaller batches"):
        ModuleHessian(problem, keep=False, memory=100.0)
    few = ModuleHessian(problem, keep=False, memory=20_000.0)
    assert few._columns < 64
    torch.testing.assert_close(dense(few), dense(ModuleHessian(problem)), rtol=0, atol=1e-14)
