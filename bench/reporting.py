"""What was measured: bench/results.json, the table of docs/performance.md between its markers, and the picture beside it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from bench.stage import PEERS, ROOT, Stage

RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- made by `make bench`: begin -->", "<!-- made by `make bench`: end -->"
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "work_mem", "max_wal_size")


def machine(stage: Stage) -> dict[str, Any]:
    """What it ran on."""
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    with psycopg.connect(stage.server.dsn()) as conn:
        settings = dict(conn.execute("select name, current_setting(name) from pg_settings where name = any(%s)", [list(SETTINGS)]).fetchall())
        server = conn.execute("show server_version").fetchone()
    packages = {name: version(name) for name in ("psycopg", "dbt-core", "great-expectations", "python-calamine", "pandas")}
    if PEERS.exists():
        code = "import json; from importlib.metadata import version; print(json.dumps({n: version(n) for n in ('dlt', 'pyarrow', 'openpyxl', 'SQLAlchemy')}))"
        packages |= json.loads(subprocess.run([str(PEERS), "-c", code], capture_output=True, text=True, check=True).stdout)
    return {
        "cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1024**2, 1), "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(), "postgresql": server[0] if server else "", "settings": settings, "packages": packages,
    }  # fmt: skip


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "--untracked-files=no", "--", "plugins", "dbt_project", "expectations") else ""
    )


def merged(name: str, told: dict[str, Any] | None, on: dict[str, Any], *, rounds: int, size: float, is_whole: bool) -> dict[str, Any]:
    """With what earlier runs measured of other names, each with its own date and commit; without it where nothing came of it."""
    kept = json.loads(RESULTS.read_text()) if is_whole and RESULTS.exists() else {"measurements": {}}
    stamp = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "rounds_asked": rounds, "size": size}
    others = {other: one for other, one in kept["measurements"].items() if other != name}
    return {"machine": on, "measurements": others | ({name: told | stamp} if told else {})}


def _ordered(results: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    from bench.__main__ import MEASUREMENTS

    return [(name, results["measurements"][name]) for name in MEASUREMENTS if name in results["measurements"]]


_SAYS = {"rate": ("{:.2f} ×", "≥ {:g} ×"), "seconds": ("{:.2f} ×", "≤ {:g} ×"), "peak_mb": ("{:.2f} ×", "≤ {:g} ×"), "time": ("{:.1f} s", "≤ {:g} s")}


def _wanted(ratio: dict[str, Any]) -> tuple[str, str, str]:
    value, wanted = _SAYS[ratio["of"]]
    if ratio["wanted"] is None:
        return value.format(ratio["value"]), "", ""
    return value.format(ratio["value"]), wanted.format(ratio["wanted"]), "yes" if ratio["reached"] else "**no**"


def in_words(results: dict[str, Any], names: list[str]) -> str:
    """For the terminal."""
    lines = []
    for name, one in _ordered(results):
        if name not in names:
            continue
        lines.append(f"\n{one['title']}")
        for side, s in one["sides"].items():
            t = s["seconds"]
            lines.append(
                f"  {side:30} median {t['median']:9.2f} s (min {t['min']:.2f}, max {t['max']:.2f}; {len(s['rounds'])} rounds)"
                f"  {s['rate']:13,.0f} {one['unit']}/s  CPU {s['cpu_seconds']:8.2f} s" + (f"  peak {s['peak_mb']:,.0f} MB" if s["peak_mb"] else "")
            )
        for ratio in one["ratios"]:
            value, wanted, reached = _wanted(ratio)
            lines.append(f"  → {ratio['label']}: {value}" + (f", wanted {wanted}: {reached.strip('*')}" if wanted else ""))
        lines += [f"  {note}" for note in one["notes"]]
        lines += [f"  {step}" for step in _steps(one)[1:]]
    return "\n".join(lines) + "\n"


def _steps(one: dict[str, Any]) -> list[str]:
    """Where the time of a day goes: the steps of the first side that tells them, datasets taken together, in its round of median length."""
    for side, s in one["sides"].items():
        rounds = sorted((r for r in s["rounds"] if isinstance(r["more"].get("steps"), list)), key=lambda r: r["seconds"])
        if not rounds:
            continue
        sums: dict[str, list[float]] = {}
        for step in rounds[len(rounds) // 2]["more"]["steps"]:
            of = sums.setdefault(step["name"].split(" ")[0], [0.0, 0.0, 0.0])
            for n, what in enumerate(("seconds", "cpu", "cpu_database")):
                of[n] += step[what]
        lines = ["", f"| {side}: step | s | CPU s of the worker | CPU s of the database |", "|---|--:|--:|--:|"]
        return lines + [f"| {name} | {a:,.1f} | {b:,.1f} | {c:,.1f} |" for name, (a, b, c) in sums.items()]
    return []


def page(results: dict[str, Any]) -> str:
    """The tables between the markers."""
    on = results["machine"]
    lines = [
        f"Measured on {on['cores']} cores, {on['memory_gb']:g} GB, Python {on['python']}, PostgreSQL {on['postgresql']} ("
        + ", ".join(f"{k} {v}" for k, v in on["settings"].items())
        + "); "
        + ", ".join(f"{k} {v}" for k, v in on["packages"].items())
        + ".",
        "",
        "| What | Ratio of medians | Wanted | Reached |",
        "|---|---|---|---|",
    ]
    for _, one in _ordered(results):
        for ratio in one["ratios"]:
            lines.append(f"| {ratio['label']} | " + " | ".join(_wanted(ratio)) + " |")
    for name, one in _ordered(results):
        rounds = max(len(s["rounds"]) for s in one["sides"].values())
        lines += ["", f"**{one['title']}** (`--only {name}`, {rounds} rounds, {one['measured_at'][:10]}, {one['commit']})", ""]
        lines += ["| | median s | min | max | per second | CPU s | peak MB | |", "|---|--:|--:|--:|--:|--:|--:|---|"]
        for side, s in one["sides"].items():
            t, peak = s["seconds"], f"{s['peak_mb']:,.0f}" if s["peak_mb"] else ""
            times = " | ".join(f"{t[which]:,.2f}" for which in ("median", "min", "max"))
            lines.append(f"| {side} | {times} | {s['rate']:,.0f} {one['unit']} | {s['cpu_seconds']:,.1f} | {peak} | {s['note']} |")
        lines += ["", *one["notes"]] if one["notes"] else []
        lines += _steps(one)
    return "\n".join(lines)


def write(results: dict[str, Any]) -> None:
    """results.json, the page, the picture."""
    RESULTS.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{page(results)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    if PEERS.exists():
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([str(PEERS), "-m", "bench.picture", str(RESULTS), str(PICTURE)], cwd=ROOT, env=env, check=True)
