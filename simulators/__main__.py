"""`python -m simulators serve | clock | fault | registers` (see README.md)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from datetime import date, datetime, timedelta
from pathlib import Path

from simulators import campaign, faults, registers
from simulators.clock import Clock
from simulators.faults import Switches
from simulators.http_api import Api
from simulators.postmart import Outbox, Postmart
from simulators.sources import Sources, settle
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
    inbox = registers.Inbox(world, Path(a.inbox), state / "forms.json") if a.inbox else None
    asyncio.run(_run(a, Sources(state, clock, switches, outbox, api, inbox, a)))
    return 0


def _ahead(outbox: Outbox, first: date, stop: threading.Event) -> None:
    for n in range(AHEAD_DAYS):
        if stop.is_set():
            return
        with contextlib.suppress(Exception):
            outbox.render(first + timedelta(days=n))


async def _run(a: argparse.Namespace, sources: Sources) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    watch = await sources.start()
    stop = threading.Event()
    threading.Thread(target=_ahead, args=(sources.outbox, a.first_day, stop), daemon=True).start()
    await asyncio.wait([asyncio.create_task(ended.wait()), watch], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    if watch.done():
        watch.result()  # raises what ended it
    watch.cancel()
    await sources.stop()
    sys.stdout.flush()
    os._exit(0)  # a day that is being rendered is not waited for


def _clock(a: argparse.Namespace) -> int:
    Clock.set(Path(a.state), datetime.fromisoformat(a.moment))
    settle(Path(a.state))
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
    settle(Path(a.state))
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
    serving.add_argument("--https-port", type=int, default=0)
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
