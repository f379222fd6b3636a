"""From `pip install` of the built wheel to the first answer, and how large that environment is.

A wheel is built from the checkout. Then, in a new folder: a new virtual environment, `pip install`
of the wheel with the extra `cpu` and nothing else, `semsearch demo`. Timed from the creation of the
environment to the end of the demo; what pip downloads depends on the network and on its cache.
Fails where torch is installed, or anything is fetched after the installation.

    python benchmarks/install.py [--no-cache]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import provenance

ROOT = provenance.HERE.parent
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-cache", action="store_true", help="pip downloads everything anew")
    options = ["--no-cache-dir"] if parser.parse_args().no_cache else []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", home, ROOT])
        (wheel,) = home.glob("*.whl")
        marks = {"begin": time.perf_counter()}
        _run([sys.executable, "-m", "venv", home / "venv"])
        marks["virtual environment"] = time.perf_counter()
        python = home / "venv" / "bin" / "python"
        _run([python, "-m", "pip", "install", "-q", *options, f"{wheel}[cpu]"])
        marks["pip install"] = time.perf_counter()
        # A proxy that nobody listens at: whatever is fetched now fails.
        offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        answers = _run([home / "venv" / "bin" / "semsearch", "demo"], cwd=home, **offline)
        marks["demo"] = time.perf_counter()
        packages = _run([python, "-m", "pip", "list", "--format=freeze"]).split()
        size = sum(f.lstat().st_size for f in (home / "venv").rglob("*") if not f.is_dir())
        wheel_size = wheel.stat().st_size
    assert answers.count("$ semsearch query") == 6, answers
    assert not any(name.startswith("torch==") for name in packages), packages
    times = list(marks.values())
    steps = {
        name: after - before
        for name, (before, after) in zip(list(marks)[1:], pairwise(times), strict=True)
    }
    result = {
        "seconds": {name: round(value, 1) for name, value in steps.items()},
        "seconds_in_all": round(times[-1] - times[0], 1),
        "environment_mib": round(size / MIB, 1),
        "wheel_mib": round(wheel_size / MIB, 1),
        "pip_cache": not options,
        "packages": packages,
    }
    rows = [[name, f"{value:.1f}"] for name, value in steps.items()]
    rows += [["in all", f"{result['seconds_in_all']:.1f}"]]
    print(provenance.table(["", "seconds"], rows))
    print(f"\nwheel {result['wheel_mib']} MiB, environment {result['environment_mib']} MiB")
    provenance.write("install", result)


def _run(command: list[object], cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{command}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
