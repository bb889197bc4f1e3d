"""Models of Hugging Face and Lightning as their libraries make them; skipped where these are not installed."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.supported import truth
from landscape.curvature.operators.operator import dense
from landscape.errors import InputError
from landscape.network.data import keywords
from landscape.network.loss import ModuleLoss, on, own_loss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

CE = nn.functional.cross_entropy
WORDS = {"vocab_size": 7, "max_position_embeddings": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 4}


def model(kind: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "gpt2":
        settings = transformers.GPT2Config(
            vocab_size=7, n_positions=6, n_embd=4, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
        )
        return transformers.GPT2LMHeadModel(settings)
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(intermediate_size=6, **WORDS))
    if kind == "bert":
        return transformers.BertForSequenceClassification(transformers.BertConfig(intermediate_size=4, num_labels=3, **WORDS))
    raise ValueError(kind)


def batch(kind: str) -> dict[str, torch.Tensor]:
    ids = torch.randint(0, 7, (6, 5), generator=torch.Generator().manual_seed(1))
    labels = ids[:, 0] % 3 if kind == "bert" else ids
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def cut(whole: dict[str, torch.Tensor], *sizes: int) -> list[dict[str, torch.Tensor]]:
    parts = zip(*(value.split(sizes) for value in whole.values()), strict=True)
    return [dict(zip(whole, part, strict=True)) for part in parts]


# language models compute norms and losses in float32, so their own second derivatives are right to seven digits only
@pytest.mark.parametrize(("kind", "tolerance"), [("gpt2", 1e-6), ("llama", 1e-5), ("bert", 1e-12)])
@pytest.mark.parametrize("lifted", [False, True])
def test_their_own_loss(kind, tolerance, lifted):
    whole = batch(kind)
    double = model(kind).double().eval()
    with sdpa_kernel(SDPBackend.MATH):
        expected = truth(list(double.parameters()), lambda: double(**whole).loss)
    net, dtype = (model(kind).eval(), torch.float64) if lifted else (double, None)
    problem = ModuleLoss(net, own_loss, cut(whole, 4, 2), adapter=keywords(), dtype=dtype)
    operator = ModuleHessian(problem)
    found = dense(operator)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))
    vector = torch.randn(operator.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name, row in problem.flat.held.items():  # a padding row is a constant to gradients
        problem.flat.split(vector)[name][row] = 0
    step = 1e-5 * vector / vector.norm()
    quotient = (problem.gradient(problem.theta + step)[1] - problem.gradient(problem.theta - step)[1]) / 2e-5
    torch.testing.assert_close(found @ (step * 1e5), quotient, rtol=0, atol=1e-7)


def test_padding_that_differs_between_batches_needs_a_weight():
    net, whole = model("gpt2").double().eval(), batch("gpt2")
    whole["labels"] = whole["labels"].clone()
    whole["labels"][:3, 2:] = -100
    batches = cut(whole, 3, 3)
    with pytest.raises(InputError, match="pass weight="):
        ModuleLoss(net, own_loss, batches, adapter=keywords())
    problem = ModuleLoss(net, own_loss, batches, adapter=keywords(), weight=lambda b: (b["labels"][:, 1:] != -100).sum())
    assert float(problem(problem.theta)) == pytest.approx(float(net(**whole).loss.detach()), rel=1e-6)


def test_logits_and_training_mode():
    net, batches = model("bert").double().eval(), cut(batch("bert"), 4, 2)
    values = torch.linalg.eigvalsh(dense(ModuleGaussNewton(ModuleLoss(net, on("logits", CE), batches, adapter=keywords()))))
    assert float(values[0]) > -1e-14
    net.train()
    with pytest.raises(InputError, match="dropout"):
        ModuleLoss(net, own_loss, batches, adapter=keywords())


def test_a_lightning_module_is_a_module():
    lightning = pytest.importorskip("lightning")

    class Lit(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

        def forward(self, x):
            return self.net(x)

    torch.manual_seed(0)
    net, x = Lit().double(), torch.randn(8, 3, dtype=torch.float64)
    y = torch.arange(8) % 3
    found = dense(ModuleHessian(ModuleLoss(net, CE, [(x, y)])))
    torch.testing.assert_close(found, truth(list(net.parameters()), lambda: CE(net(x), y)), rtol=0, atol=1e-13)
