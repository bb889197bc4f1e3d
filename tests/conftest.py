"""Before any test imports the package: shapes and types checked at run time, one thread, the same random draws every time."""

import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook
from mpmath import mp

if any(name.partition(".")[0] == "landscape" for name in sys.modules):
    raise RuntimeError("landscape was imported before tests/conftest.py, so its shape annotations would go unchecked")

install_import_hook("landscape", "beartype.beartype")
torch.set_num_threads(1)

# The clock of a shared machine must not decide whether a test passes, nor chance which examples it sees.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def precision_of_mpmath() -> Iterator[None]:
    """Puts back the precision of mpmath, which is one for the whole process."""
    before = mp.prec
    yield
    mp.prec = before
