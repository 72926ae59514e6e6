"""What it costs to parse the folder of DAGs, once Airflow and kinhteso are imported. `python -m bench.dags` prints seconds per file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "dags"


def _seconds() -> dict[str, float]:
    """CPU seconds in which each file is executed, in this process."""
    import logging

    logging.disable(logging.WARNING)
    import runpy

    import airflow.sdk  # noqa: F401
    import kinhteso.dagkit  # noqa: F401

    found = {}
    for again in (False, True):  # what the first file imports for all of them is not the file's
        for path in sorted(DAGS.glob("*.py")):
            began = time.process_time()
            runpy.run_path(str(path))
            if again:
                found[path.stem] = time.process_time() - began
    return found


def parse_seconds() -> dict[str, float]:
    """CPU seconds per DAG file, measured in a fresh interpreter."""
    with tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
        }  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "bench.dags", "--here"], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    """The command."""
    if sys.argv[1:] == ["--here"]:
        print(json.dumps(_seconds()))
        return 0
    found = parse_seconds()
    for name, seconds in found.items():
        print(f"{seconds:7.3f} s  {name}")
    print(f"{sum(found.values()):7.3f} s  together")
    return 0


if __name__ == "__main__":
    sys.exit(main())
