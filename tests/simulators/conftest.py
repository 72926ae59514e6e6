from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from served import Served, simulators


@pytest.fixture()
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start simulators of the small world with options."""
    with ExitStack() as running:
        yield lambda *options: running.enter_context(simulators(tmp_path / "state", *options))
