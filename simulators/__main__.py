"""`python -m simulators serve | clock | fault | registers` (see README.md)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from datetime import date, datetime, timedelta
from pathlib import Path

import uvicorn

from simulators import campaign, faults, registers
from simulators.clock import Clock
from simulators.faults import Switches
from simulators.faults.answers import Reachable
from simulators.http_api import Api
from simulators.postmart import Outbox, Postmart
from simulators.sftp import host_key, serve
from simulators.voso import VoSo

#: Days that are rendered ahead of the clock, while the pipeline is still starting.
AHEAD_DAYS = 4


def _serve(a: argparse.Namespace) -> int:
    if not a.password:
        raise ValueError("the simulators want a password: set SIMULATORS_PASSWORD")
    state = Path(a.state).resolve()
    state.mkdir(parents=True, exist_ok=True)
    (state / "endpoints.json").unlink(missing_ok=True)
    switches = Switches(state)
    if a.faults is not None:
        switches.set(faults.parse(a.faults))
    clock = Clock(state, a.first_day)
    world = campaign.make(a.world, a.seed, a.first_day)
    outbox = Outbox(Postmart(world), state / "sftp", state / "rendered", switches.on)
    api = Api(VoSo(world), clock, a.user, a.password, a.rate_limit, switches.on, state / "refused-logins")
    if a.inbox:
        registers.write(world, Path(a.inbox), clock.now().date())
    asyncio.run(_run(a, state, clock, outbox, api))
    return 0


def _ahead(outbox: Outbox, first: date, stop: threading.Event) -> None:
    for n in range(AHEAD_DAYS):
        if stop.is_set():
            return
        with contextlib.suppress(Exception):
            outbox.render(first + timedelta(days=n))


async def _run(a: argparse.Namespace, state: Path, clock: Clock, outbox: Outbox, api: Api) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    sftp = await serve(outbox, clock, state, a.host, a.sftp_port, a.user, a.password, Path(a.authorized_key) if a.authorized_key else None)
    listener = socket.create_server((a.host, a.http_port))
    config = uvicorn.Config(
        api.app(), http=Reachable, log_level="warning", access_log=False, date_header=False, server_header=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    with contextlib.suppress(AttributeError):
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    http = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.02)
    host = "127.0.0.1" if a.host == "0.0.0.0" else a.host
    port = listener.getsockname()[1]
    partial = state / "endpoints.json.part"
    login = {"username": a.user, "password": a.password}
    endpoints = {
        "sftp": {"host": host, "port": sftp.get_port(), **login, "host_key": host_key(state).export_public_key().decode().strip()},
        "http": {"base_url": f"http://{host}:{port}/v1", "host": host, "port": port, **login}, "pid": os.getpid(),
    }  # fmt: skip
    partial.write_text(json.dumps(endpoints))
    partial.chmod(0o600)
    os.replace(partial, state / "endpoints.json")
    print(f"Postmart: sftp://{host}:{sftp.get_port()}/langson/outbox  Vỏ Sò: http://{host}:{port}/v1  clock: {clock.now()}", flush=True)
    stop = threading.Event()
    threading.Thread(target=_ahead, args=(outbox, a.first_day, stop), daemon=True).start()
    await ended.wait()
    stop.set()
    sftp.close()
    server.should_exit = True
    await http
    os._exit(0)  # a day that is being rendered is not waited for


def _clock(a: argparse.Namespace) -> int:
    Clock.set(Path(a.state), datetime.fromisoformat(a.moment))
    return 0


def _fault(a: argparse.Namespace) -> int:
    switches = Switches(Path(a.state))
    named = faults.parse(",".join(a.faults))
    if a.clear:
        switches.clear(named)
    elif a.set:
        switches.set(named)
    elif named:
        switches.add(named)
    print("\n".join(map(str, switches.on())) or "no fault is on")
    return 0


def _registers(a: argparse.Namespace) -> int:
    world = campaign.make(a.world, a.seed, a.first_day)
    done = registers.write(world, Path(a.inbox), a.until)
    print(f"{len(done)} forms in {a.inbox}")
    return 0


def main() -> int:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(prog="simulators", description=__doc__)
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve")
    forms = commands.add_parser("registers")
    for p in (serving, forms):
        p.add_argument("--world", default="small")
        p.add_argument("--seed", type=int, default=1)
        p.add_argument("--first-day", type=date.fromisoformat, default=date(2021, 9, 12))
    serving.add_argument("--state", required=True)
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--sftp-port", type=int, default=0)
    serving.add_argument("--http-port", type=int, default=0)
    serving.add_argument("--rate-limit", type=int, default=0, help="requests per minute and token; 0: none")
    serving.add_argument("--faults", help="F10@2021-09-13[:DATASET][=VALUE][*TIMES],…; without it what was on stays on")
    serving.add_argument("--inbox")
    serving.add_argument("--user", default="langson")
    serving.add_argument("--password", default=os.environ.get("SIMULATORS_PASSWORD", "demo-password"))
    serving.add_argument("--authorized-key")
    serving.set_defaults(run=_serve)
    forms.add_argument("--inbox", required=True)
    forms.add_argument("--until", type=date.fromisoformat)
    forms.set_defaults(run=_registers)
    moving = commands.add_parser("clock")
    moving.add_argument("--state", required=True)
    moving.add_argument("moment")
    moving.set_defaults(run=_clock)
    switching = commands.add_parser("fault", help="switch faults on (these too), --set (these only) or --clear (these, or all); without any: what is on")
    switching.add_argument("--state", required=True)
    switching.add_argument("--set", action="store_true")
    switching.add_argument("--clear", action="store_true")
    switching.add_argument("faults", nargs="*", help="F10@2021-09-13[:DATASET][=VALUE][*TIMES]")
    switching.set_defaults(run=_fault)
    a = parser.parse_args()
    try:
        return int(a.run(a))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
