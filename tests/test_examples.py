"""Every example runs from the repository's root and says what its page promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAYS = {
    "layer_rules.py": "rules; the best-supported ones",
    "input_precondition.py": "proved by",
    "prove_a_claim.py": "refuted (bounds), witness x = 3",
    "distill.py": "held-out digits by votes at relu1:2",
    "monitor.py": "held-out digits in pattern",
    "debug.py": "labels in doubt",
    "cluster.py": "clusters of purity",
    "adversarial.py": "distinct examples",
    "decompose.py": "random inputs outside every pattern: 0",
    "robustness.py": "y0 never rises as x1 rises: proved",
}


def test_every_example_is_listed_and_tested() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    page = (ROOT / "examples" / "README.md").read_text()
    assert scripts == set(SAYS)
    assert all(f"`{name}`" in page for name in scripts)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SAYS))
def test_example_runs(name: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
