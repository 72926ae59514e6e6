"""Big invented worlds to measure on: a long history of the province, and the whole country (`python -m bench.worlds long --days 1000`).

The history is written straight into `raw` and the ledger, set-based, as accepted exports leave it; then one day arrives as real files and pages and goes
the real way from the landing to a release, so that the same day can be run on top of any history. What the KPIs must come to is counted from the plan
(worlds.sql), and a run that ends otherwise fails. The dbt project is a copy whose seeds are the world's: Lạng Sơn's communes are the real ones, all others
are invented and say so ("Giả định").
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from kinhteso import business_day, checking, contracts, intake, ledger, publishing, warehouse
from kinhteso.building import project_dir
from kinhteso.platforms import postmart, voso
from kinhteso.settings import Settings
from psycopg import sql

from bench import questions

HERE = Path(__file__).parent
DAY = date(2024, 4, 15)
PHONE_KEY = "bench-pepper"
#: The forms that a world has, and whether each term brings a new one.
FORMS = {"hamlets": True, "teams": True, "leads": True, "households": False, "targets": False}
#: A judged delivery leaves about so many results in ops.check_result.
CHECKS = 25
PAGE = 100
XLSX_ROWS, ORDER_PART_ROWS, PRODUCT_PART_ROWS = 50_000, 200_000, 20_000


class WrongResult(AssertionError):
    """What was built is not what the world's plan says."""


@dataclass(frozen=True)
class World:
    """How big a world is. ``lines`` are new order lines a day over both platforms; a third of the orders is told again two days later. Stores and accounts
    are per platform. ``communes`` above 200 are the country: Lạng Sơn's and invented ones in 62 invented provinces' worth of districts."""

    name: str
    days: int
    lines: int
    stores: int
    communes: int = 200
    hamlets: int = 3
    registered: int = 195_000
    form_days: int = 30

    @property
    def first_day(self) -> date:
        return DAY - timedelta(days=self.days)

    @property
    def orders(self) -> int:
        """New orders per platform and day: two and a half lines each."""
        return self.lines // 5

    @property
    def households(self) -> int:
        return self.stores + self.stores // 2

    @property
    def accounts(self) -> int:
        return self.stores * 4 // 5


def long(days: int, lines: int = 2_000, stores: int = 1_500) -> World:
    """A history of the province: the real 200 communes, ``days`` days with the same number of lines each."""
    return World(f"long_{days}", days, lines, stores)


def national(scale: float = 1.0, days: int = 20) -> World:
    """The country before 2025, or a part of it: 10,600 communes in 705 districts, 27 M households in the forms' totals, 1 M new lines a day."""
    communes = max(210, round(10_600 * scale))
    return World(
        f"national_{round(1 / scale)}", days, max(200, round(1_000_000 * scale) // 20 * 20), max(200, round(50_000 * scale) // 200 * 200), communes, hamlets=8,
        registered=round(27_000_000 * communes / 10_600),
    )  # fmt: skip


@dataclass
class Made:
    """A world that stands in a database."""

    world: World
    dsn: str
    home: Path
    settings: Settings
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def project(self) -> Iterator[None]:
        """With the world's seeds in place of the province's."""
        before = os.environ.get("KINHTESO_DBT_PROJECT")
        os.environ["KINHTESO_DBT_PROJECT"] = str(self.home / "dbt_project")
        try:
            yield
        finally:
            if before is None:
                del os.environ["KINHTESO_DBT_PROJECT"]
            else:
                os.environ["KINHTESO_DBT_PROJECT"] = before


# ---- seeds -----------------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as f:
        reader = csv.DictReader(f)
        return list(reader.fieldnames or ()), list(reader)


def _write(path: Path, names: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make_project(world: World, home: Path) -> list[dict[str, str]]:
    """A copy of the dbt project under ``home`` with the world's seeds; gives its communes of the list of 2021 (rows of commune_crosswalk).

    Invented communes keep their code on the list of 2024; by 2025 three neighbours become one, as in the real reform. Two districts in three belong to phase
    1, which began with the history; phase 2 began half-way.
    """
    folder = home / "dbt_project"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project_dir(), folder, ignore=shutil.ignore_patterns("target", "logs"))
    seeds = folder / "seeds"
    _, crosswalk = _read(seeds / "commune_crosswalk.csv")
    communes = [r for r in crosswalk if r["list"] == "2021"][: world.communes]
    invented = world.communes - len(communes)
    if invented > 0:
        units, successions, found = [], [], []
        per_district = 15  # 694 districts for the whole
        for n in range(invented):
            code, district = f"{50_000 + n}", 200 + n // per_district
            name, district_name = f"Xã Giả định {code}", f"Huyện Giả định {district}"
            whole = {"unit_type": "Xã", "district_code": str(district), "district_name": district_name, "source": "invented for measuring"}
            neighbour = n // per_district * per_district + n % per_district // 3 * 3
            for name_of_list in ("2021", "2024"):
                units.append({**whole, "list": name_of_list, "gso_code": code, "gso_name": name, "name_short": f"Giả định {code}", "census_households": 2_500})
            if neighbour == n:
                units.append(
                    {**whole, "list": "2025", "gso_code": code, "gso_name": name, "name_short": f"Giả định {code}", "district_code": "", "district_name": ""}
                )
            steps = (("2021", "2024", code), ("2024", "2025", f"{50_000 + neighbour}"))
            successions += [{"old_list": a, "old_code": code, "new_list": b, "new_code": c, "share": "1.0", "share_basis": "whole"} for a, b, c in steps]
            found.append({
                "gso_code": code, "gso_name": name, "unit_type": "Xã", "name_short": f"Giả định {code}", "gso_district_code": str(district),
                "district_name": district_name, "list": "2021", "valid_from": "2020-01-01", "valid_to": "2024-11-30",
                "successor_gso_codes": f"{50_000 + neighbour}", "vtp_province_id": "22", "vtp_district_id": f"{90_000 + district}",
                "vtp_wards_id": f"{9_000_000 + n}",
                "vnpost_province_code": "00", "vnpost_district_code": "0000", "vnpost_commune_code": f"{30_000 + n}", "name_norm": f"xa gia dinh {code}",
                "source": "invented for measuring",
            })  # fmt: skip
        for name, more in (("commune", units), ("commune_succession", successions), ("commune_crosswalk", found)):
            names, rows = _read(seeds / f"{name}.csv")
            _write(seeds / f"{name}.csv", names, [*rows, *more])
        communes += found
    names, phases = _read(seeds / "campaign_phase.csv")
    known = {r["district_code"]: r["phase"] for r in phases}
    districts = {r["gso_district_code"]: known.get(r["gso_district_code"], "1" if int(r["gso_district_code"]) % 3 else "2") for r in communes}
    districts = known | districts
    begin = {"1": world.first_day + timedelta(days=1), "2": world.first_day + timedelta(days=1 + world.days // 2)}
    due = {"1": DAY + timedelta(days=60), "2": DAY + timedelta(days=90)}
    _write(seeds / "campaign_phase.csv", names, [
        {"phase": p, "district_code": d, "kick_off": begin[p], "due_on": due[p], "source": "invented for measuring"} for d, p in sorted(districts.items())
    ])  # fmt: skip
    return [{**r, "phase": districts[r["gso_district_code"]]} for r in communes]


# ---- history ---------------------------------------------------------------------------------------------------------------------


def make(dsn: str, world: World, home: Path) -> Made:
    """Write the world's history into an empty database as accepted exports that no build has seen; see `first_build`."""
    started = time.monotonic()
    home.mkdir(parents=True, exist_ok=True)
    communes = make_project(world, home)
    settings = Settings(str(home / "landing"), str(home / "inbox"), PHONE_KEY, world.first_day)
    Path(settings.registers_inbox).mkdir(exist_ok=True)
    made = Made(world, dsn, home, settings)
    with warehouse.connect(dsn, "kinhteso bench") as conn:
        warehouse.migrate(conn)
        _plan(conn, world, communes)
        exports = [*_platform_exports(conn, world), *_form_exports(conn, world)]
        with conn.transaction():
            _ledger(conn, exports)
            for contract in contracts.all_contracts():
                if contract.source != "registers":
                    _history(conn, contract, [e for e in exports if (e["source"], e["dataset"]) == (contract.source, contract.dataset)])
            for dataset in FORMS:
                _forms(conn, contracts.load_contract("registers", dataset), [e for e in exports if e["dataset"] == dataset and e["source"] == "registers"])
            _counted(conn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        for contract in contracts.all_contracts():
            conn.execute(f"vacuum analyze {contract.raw_table}")
        conn.execute("analyze ops.export, ops.check_result, ops.change")
    made.seconds["history"] = time.monotonic() - started
    return made


def _plan(conn: psycopg.Connection[Any], world: World, communes: Sequence[dict[str, str]]) -> None:
    secret = PHONE_KEY.encode().ljust(64, b"\0")
    body = (HERE / "worlds.sql").read_text(encoding="utf-8")
    for name, pad in (("outer", 0x5C), ("inner", 0x36)):
        body = body.replace("{" + name + "}", "\\x" + bytes(b ^ pad for b in secret).hex())
    with conn.transaction():
        conn.execute(body)
        conn.execute(
            """insert into world.setting (first_day, day, stores, households, accounts, orders, hamlets, registered, form_days)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [world.first_day, DAY, world.stores, world.households, world.accounts, world.orders, world.hamlets, world.registered, world.form_days],
        )
        with conn.cursor() as cursor:
            with cursor.copy("copy world.commune from stdin") as copy:
                for n, c in enumerate(communes):
                    copy.write_row(
                        (
                            n,
                            c["gso_code"],
                            c["gso_name"],
                            c["gso_district_code"],
                            c["district_name"],
                            c["vnpost_commune_code"],
                            c["vtp_wards_id"],
                            c["vtp_district_id"],
                        )
                    )
            with cursor.copy("copy world.phase from stdin") as copy:
                for row in {c["gso_district_code"]: c["phase"] for c in communes}.items():
                    copy.write_row(row)
        conn.execute("analyze world.commune")
        conn.execute("call world.fill()")
        from kinhteso.personal import Keys

        keys = Keys(PHONE_KEY)
        conn.execute("insert into ops.pseudonym_salt (salt) values (%s) on conflict do nothing", [keys.salt()])
        (same,) = conn.execute("select world.key('homau1')").fetchone() or (None,)
        if same != keys.key("homau1"):
            raise WrongResult("worlds.sql keys names otherwise than kinhteso.personal")


def _export(source: str, dataset: str, day: date, mode: str, unit: str = "", **more: Any) -> dict[str, Any]:
    at = datetime.combine(day + timedelta(days=1), datetime.min.time(), business_day.LOCAL) + timedelta(hours=2)
    label = f"{source}|{dataset}|{unit}|{day}"
    return {
        "export_id": ledger.export_id(source, dataset, unit, day, 1), "source": source, "dataset": dataset, "unit": unit, "business_day": day, "version": 1,
        "mode": mode, "is_backlog": False, "state": "accepted", "origin": label, "landing_path": label.replace("|", "/"),
        "sha256": hashlib.sha256(label.encode()).hexdigest(), "bytes": 1, "received_at": at, "landed_at": at, "loaded_at": at, "judged_at": at,
        "accepted_at": at, **more,
    }  # fmt: skip


def _platform_exports(conn: psycopg.Connection[Any], world: World) -> Iterator[dict[str, Any]]:
    for contract in contracts.all_contracts():
        if contract.source == "registers":
            continue
        for n in range(world.days):
            day = world.first_day + timedelta(days=n)
            window: dict[str, Any] = {}
            if contract.source == "voso":
                window = {"window_until": business_day.end(day), "pulled_at": business_day.end(day) + timedelta(hours=2)}
                if contract.api["window"] and n:
                    window["window_since"] = business_day.start(day) - timedelta(minutes=10)
            yield _export(contract.source, contract.dataset, day, contract.mode, is_backlog=n == 0, **window)


def _form_exports(conn: psycopg.Connection[Any], world: World) -> Iterator[dict[str, Any]]:
    """A file per district: what stands in `form` is its number, which later ones of the district count on."""
    districts = [code for (code,) in conn.execute("select distinct district_code from world.commune order by 1")]
    for dataset, again in FORMS.items():
        for form in range((world.days - 1) // world.form_days + 1 if again else 1):
            day = world.first_day + timedelta(days=form * world.form_days)
            for district in districts:
                yield _export("registers", dataset, day, "form", district, form=form)


def _ledger(conn: psycopg.Connection[Any], exports: Sequence[dict[str, Any]]) -> None:
    """The rows that the ledger holds of accepted exports, and what the next build is told."""
    conn.execute("create temporary table made (like ops.export including defaults, form integer) on commit drop")
    names = ["export_id", "source", "dataset", "unit", "business_day", "version", "mode", "is_backlog", "state", "origin", "landing_path", "sha256", "bytes",
             "received_at", "landed_at", "loaded_at", "judged_at", "accepted_at", "window_since", "window_until", "pulled_at", "form"]  # fmt: skip
    with conn.cursor() as cursor, cursor.copy(f"copy made ({', '.join(names)}) from stdin") as copy:
        for export in exports:
            copy.write_row([export.get(name) for name in names])
    kept = ", ".join(names[:-1])
    conn.execute(f"insert into ops.export ({kept}) select {kept} from made")
    conn.execute(
        "insert into ops.export_part (export_id, part_no, path, origin, sha256, bytes) select export_id, 1, landing_path, origin, sha256, bytes from made"
    )
    conn.execute(
        """insert into ops.change (export_id, source, dataset, business_day, kind)
           select export_id, source, dataset, business_day, 'accepted' from made order by business_day, source, dataset"""
    )
    conn.execute(
        """insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, checked_at)
           select export_id, 'Q03', 'column_' || n || '_required', 'a value must be given', 'quarantine', true, 0, 1, judged_at
           from made cross join generate_series(1, %s) as n""",
        [CHECKS],
    )


def _raw_columns(contract: Any) -> tuple[list[str], list[str]]:
    """Columns of the raw table and what fills each from the plan's function."""
    names, values = [], []
    for column in contract.columns:
        for name in column.raw_names:
            names.append(name)
            values.append("'false'" if name.endswith("_is_test") else f"w.{name}")
    return names, values


def _history(conn: psycopg.Connection[Any], contract: Any, exports: Sequence[dict[str, Any]]) -> None:
    names, values = _raw_columns(contract)
    function = f"world.{contract.source}_{contract.dataset}"
    for export in exports:
        conn.execute(
            f"insert into {contract.raw_table} (export_id, source_row, {', '.join(names)})"
            f" select %s, w.source_row, {', '.join(values)} from {function}(%s) as w",
            [export["export_id"], export["business_day"]],
        )


def _forms(conn: psycopg.Connection[Any], contract: Any, exports: Sequence[dict[str, Any]]) -> None:
    told = {row[0] for row in conn.execute("select unnest(proargnames) from pg_proc where oid = %s::regproc", [f"world.registers_{contract.dataset}"])}
    names = [name for name in warehouse.raw_columns(contract) if name in told]
    for day, form in sorted({(e["business_day"], e["form"]) for e in exports}):
        conn.execute(
            f"""insert into {contract.raw_table} (export_id, source_row, {", ".join(names)})
                select m.export_id, row_number() over (partition by w.district_code order by w.commune_code, w.stt::integer),
                       {", ".join("w." + n for n in names)}
                from world.registers_{contract.dataset}(%(day)s, %(form)s) as w
                join made as m on m.source = 'registers' and m.dataset = %(dataset)s and m.unit = w.district_code and m.business_day = %(day)s""",
            {"day": day, "form": form, "dataset": contract.dataset},
        )


def _counted(conn: psycopg.Connection[Any]) -> None:
    """What the load counts of each export, and the profile of the last weeks that the judge compares the next day with."""
    for contract in contracts.all_contracts():
        conn.execute(
            f"""update ops.export as e set rows_delivered = coalesce(c.n, 0), rows_loaded = coalesce(c.n, 0), rows_quarantined = 0,
                  rows_duplicate = 0, rows_superseded = 0,
                  rows_declared = case when e.source <> 'registers' then coalesce(c.n, 0) end
                from ops.export as x left join (select export_id, count(*) as n from {contract.raw_table} group by export_id) as c on c.export_id = x.export_id
                where x.export_id = e.export_id and e.source = %s and e.dataset = %s""",
            [contract.source, contract.dataset],
        )
        if contract.source == "registers":
            continue
        nulls = ", ".join(f"'{name}', count(*) - count({name})" for name in warehouse.raw_columns(contract))
        conn.execute(
            f"""insert into ops.export_profile (export_id, rows, nulls)
                select e.export_id, e.rows_loaded, n.nulls from ops.export as e
                cross join (select jsonb_build_object({nulls}) as nulls from {contract.raw_table}
                            where export_id = (select export_id from ops.export where source = %(s)s and dataset = %(d)s
                                               order by business_day desc limit 1)) as n
                where e.source = %(s)s and e.dataset = %(d)s and e.business_day >= %(since)s""",
            {"s": contract.source, "d": contract.dataset, "since": DAY - timedelta(days=35)},
        )


# ---- the day that arrives ----------------------------------------------------------------------------------------------------------


class Outbox:
    """Postmart's outbox as a folder; answers what `platforms.postmart` asks an SFTP client."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def listdir(self, path: str) -> list[str]:
        return os.listdir(self._at(path))

    def stat(self, path: str) -> os.stat_result:
        return self._at(path).stat()

    def open(self, path: str, mode: str = "rb") -> Any:
        return _Prefetched(open(self._at(path), "rb", buffering=0))


class _Prefetched(io.BufferedReader):
    def prefetch(self, size: int | None = None) -> None:
        """What paramiko reads ahead is here already."""


class Pages:
    """Vỏ Sò's API as prepared bodies, a line each; answers what `platforms.voso` asks its client."""

    clock_skew = timedelta(0)

    def __init__(self, folder: Path, day: date) -> None:
        self.folder, self.day, self.requests = folder, day, list[dict[str, Any]]()
        self._bodies: dict[str, list[bytes]] = {}

    def begin_step(self) -> None:
        self.requests.clear()

    def close(self) -> None:
        self._bodies.clear()

    def now(self) -> datetime:
        """The source's clock: a quarter past two on the next morning."""
        return business_day.end(self.day) + timedelta(hours=2, minutes=15)

    def get(self, path: str, **params: Any) -> voso.Answer:
        name = path.rsplit("/", 1)[-1]
        if name not in self._bodies:
            self._bodies[name] = (self.folder / f"{name}.jsonl").read_bytes().splitlines()
        n = int(params.get("CURSOR") or params.get("PAGE_INDEX") or 1)
        body = self._bodies[name][n - 1]
        self.requests.append({"path": path, **params})
        return voso.Answer(body, orjson.loads(body))


def arrive(made: Made) -> int:
    """Write the day's deliveries where the sources would offer them; gives their bytes. Set-up, not measured."""
    source = made.home / "source"
    shutil.rmtree(source, ignore_errors=True)
    outbox, pages = source / f"langson/outbox/{DAY:%Y%m%d}", source / "voso"
    outbox.mkdir(parents=True)
    pages.mkdir()
    with warehouse.connect(made.dsn, "kinhteso bench") as conn:
        for group in ("main", "wallet"):
            manifest = []
            for contract in (c for c in contracts.all_contracts() if c.source == "postmart" and c.file["group"] == group):
                manifest.append(_postmart_file(conn, contract, outbox))
            lines = [";".join(postmart.MANIFEST_HEADINGS), *(";".join(map(str, row)) for row in manifest)]
            name = postmart.manifest_name(group, DAY, 1)
            (outbox / name).write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
            (outbox / postmart.marker_name(group, DAY, 1)).touch()
        for contract in (c for c in contracts.all_contracts() if c.source == "voso"):
            _voso_pages(conn, contract, pages)
    return sum(p.stat().st_size for p in source.rglob("*") if p.is_file())


def _postmart_file(conn: psycopg.Connection[Any], contract: Any, folder: Path) -> tuple[Any, ...]:
    """The day's file of a dataset, by the database's own CSV: ZIP of parts, CSV, or (up to 50,000 rows) a sheet; gives its row of the manifest."""
    word, form = contract.file["word"], contract.file["form"]
    stem = f"PM_LSN_{word}_{DAY:%Y%m%d}_v1"
    headings = [c.heading for c in contract.columns]
    columns = ", ".join(f"w.{c.name}" for c in contract.columns)
    function = f"world.postmart_{contract.dataset}"
    orders, control = "", ""
    amount = {"orders": ("order_code", "order_total_vnd"), "refunds": ("refund_code", "refund_amount_vnd")}.get(contract.dataset)
    if amount:
        key, money = amount
        found = conn.execute(
            f"select count(*), coalesce(sum(v), 0) from (select distinct {key}, {money}::bigint as v from {function}(%s)) as o", [DAY]
        ).fetchone()
        assert found is not None
        orders, control = (str(found[0]) if contract.dataset == "orders" else ""), str(found[1])
    (rows,) = conn.execute(f"select count(*) from {function}(%s)", [DAY]).fetchone() or (0,)

    def csv_rows(first: int, last: int) -> Iterator[bytes]:
        with conn.cursor() as cursor:
            query = sql.SQL(
                "copy (select {} from {}(%s) as w where w.source_row between %s and %s order by w.source_row) to stdout (format csv, delimiter ';')"
            )
            with cursor.copy(query.format(sql.SQL(columns), sql.SQL(function)), [DAY, first, last]) as copy:
                for block in copy:
                    yield bytes(block).replace(b"\n", b"\r\n")

    head = ("\ufeff" + ";".join(headings) + "\r\n").encode()
    if form == "csv":
        name = f"{stem}.csv"
        (folder / name).write_bytes(head + b"".join(csv_rows(1, rows)))
    elif form == "zip" or rows > XLSX_ROWS:
        name, size = f"{stem}.zip", PRODUCT_PART_ROWS if form == "zip" else ORDER_PART_ROWS
        parts = max(1, -(-rows // size))
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as archive:
            for n in range(parts):
                with archive.open(f"{stem}_p{n + 1:02d}of{parts:02d}.csv", "w") as member:
                    member.write(head)
                    for block in csv_rows(n * size + 1, (n + 1) * size):
                        member.write(block)
    else:
        name = f"{stem}.xlsx"
        text = b"".join(csv_rows(1, rows)).decode()
        (folder / name).write_bytes(_sheet(contract, list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))))
    content = folder / name
    digest = hashlib.sha256(content.read_bytes()).hexdigest()
    written = (business_day.end(DAY) + timedelta(minutes=101)).timestamp()
    os.utime(content, (written, written))
    return (name, word, f"{DAY:%d/%m/%Y}", 1, content.stat().st_size, digest, rows, orders, control, "", f"{DAY + timedelta(days=1):%d/%m/%Y} 01:41:07")


def _sheet(contract: Any, rows: list[list[str]]) -> bytes:
    """An XLSX in the dialect of the contract; order columns stand on an order's first row only."""
    import xlsxwriter

    filled = [n for n, c in enumerate(contract.columns) if c.fill]
    out, before = io.BytesIO(), ""
    with xlsxwriter.Workbook(out, {"constant_memory": True, "in_memory": True}) as book:
        page = book.add_worksheet(contract.file["sheet"])
        page.write(0, 0, "BƯU ĐIỆN TỈNH")
        page.write(1, 0, contract.title)
        page.write(2, 0, f"Từ ngày {DAY:%d/%m/%Y} đến ngày {DAY:%d/%m/%Y}")
        page.write_row(4, 0, [c.heading for c in contract.columns])
        for n, row in enumerate(rows, 5):
            again, before = bool(filled) and row[1] == before, row[1]
            for column, value in enumerate(row):
                if value != "" and not (again and column in filled):
                    page.write_string(n, column, value)
    return out.getvalue()


def _voso_pages(conn: psycopg.Connection[Any], contract: Any, folder: Path) -> None:
    kinds = {"integer": "::bigint", "epoch_ms": "::bigint", "boolean": "::boolean", "json": "::json"}
    item = ", ".join(f"'{c.heading}', w.{c.name}{kinds.get(c.type, '')}" for c in contract.columns)
    function, name = f"world.voso_{contract.dataset}", contract.api["path"].rsplit("/", 1)[-1]
    (total,) = conn.execute(f"select count(*) from {function}(%s)", [DAY]).fetchone() or (0,)
    last = max(1, -(-total // PAGE))

    def page(number: int, items: str) -> bytes:
        following = f'"{number + 1}"' if number < last else "null"
        tail = f'"PAGE_SIZE":{PAGE},"TOTAL":{total},"NEXT_CURSOR":{following},"HAS_MORE":{str(number < last).lower()}'
        return f'{{"status":200,"error":false,"message":"OK","data":{{"ITEMS":[{items}],{tail}}}}}\n'.encode()

    with (folder / f"{name}.jsonl").open("wb") as out, conn.transaction(), conn.cursor("pages") as cursor:
        cursor.itersize = 50
        cursor.execute(
            f"select (w.source_row - 1) / {PAGE}, string_agg(json_build_object({item})::text, ',' order by w.source_row)"
            f" from {function}(%s) as w group by 1 order by 1",
            [DAY],
        )
        for number, items in cursor:
            out.write(page(number + 1, items))
        if not total:
            out.write(page(1, ""))


# ---- runs --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What a step of a run took: seconds by the clock, and CPU seconds of this process and of the database's."""

    name: str
    seconds: float
    cpu: float
    cpu_database: float


def _cpu_of(pids: Callable[[], Sequence[int]]) -> float:
    tick, total = os.sysconf("SC_CLK_TCK"), 0.0
    for pid in pids():
        try:
            parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, parts[11:15])) / tick  # own and of children that have ended
    return total


class Clock:
    """Measures steps; ``postmaster``: process id of the server where it runs on this machine (0: its CPU is not told)."""

    def __init__(self, postmaster: int = 0) -> None:
        self.postmaster, self.steps = postmaster, list[Step]()

    def _database(self) -> float:
        """Of the server and its children: those that have ended count with the postmaster, which waits for them."""
        if not self.postmaster:
            return 0.0
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children")
        return _cpu_of(lambda: [self.postmaster, *map(int, children.read_text().split())])

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        wall, own, database = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF), self._database()
        yield
        done = resource.getrusage(resource.RUSAGE_SELF)
        cpu = done.ru_utime + done.ru_stime - own.ru_utime - own.ru_stime
        self.steps.append(Step(name, time.monotonic() - wall, cpu, self._database() - database))

    def total(self) -> Step:
        """All steps as one."""
        return Step("total", *(sum(getattr(s, part) for s in self.steps) for part in ("seconds", "cpu", "cpu_database")))


def first_build(made: Made, clock: Clock) -> publishing.Release:
    """Build and publish the whole history: set-up for what is measured."""
    with clock.step("first build"):
        scope = _built(made)
    with clock.step("first publish"):
        return publishing.publish(made.dsn, scope)


def _built(made: Made) -> Any:
    with made.project():
        scope = checking.build(made.dsn, made.settings.first_day, state_dir=made.home / "dbt")
    assert scope is not None, "there was nothing to build"
    return scope


def run_day(made: Made, clock: Clock) -> publishing.Release:
    """The day from the sources to its release, by the functions that the DAGs' tasks call. Raises what they raise."""
    outbox, pages = Outbox(made.home / "source"), Pages(made.home / "source/voso", DAY)
    with made.project():
        with warehouse.connect(made.dsn, "kinhteso bench") as conn:
            for source in ("postmart", "voso"):
                for dataset in (c.dataset for c in contracts.all_contracts() if c.source == source):
                    with clock.step(f"land {source} {dataset}"):
                        if source == "postmart":
                            arrivals = intake.land_postmart(conn, outbox, made.settings, dataset, DAY, "bench")
                        else:
                            arrivals = intake.land_voso(conn, lambda: pages, made.settings, dataset, DAY, "bench")
                    if arrivals.refused or len(arrivals.landed) != 1:
                        raise WrongResult(f"{source} {dataset} was not landed: {arrivals}")
                    with clock.step(f"load {source} {dataset}"):
                        intake.load(conn, made.settings, source, dataset)
                    with clock.step(f"judge {source} {dataset}"):
                        intake.judge(conn, made.settings, source, dataset)
        with clock.step("build"):
            scope = _built(made)
        with clock.step("publish"):
            return publishing.publish(made.dsn, scope)


# ---- right or wrong ------------------------------------------------------------------------------------------------------------------

_FLOWS = ("orders_placed", "orders_valid", "orders_delivered", "orders_cancelled", "revenue_gross_vnd", "refunds_vnd")
_STOCK = (
    "households", "hamlets", "hamlets_with_team", "stores", "stores_unmatched", "households_with_store", "households_with_store_both",
    "households_with_payment", "lead_households",
)  # fmt: skip


def check(made: Made, until: date) -> int:
    """Hold `bi` against the plan: flows of each commune and day up to ``until``, stocks and rates of each commune at its end, the whole's sums on every list.
    Gives the number of cells compared; raises WrongResult naming the first that differ."""
    with psycopg.connect(made.dsn) as conn:
        conn.execute("create temporary table flows as select * from world.expected_flows(%s)", [until])
        conn.execute("create temporary table stock as select * from world.expected_stock(%s)", [until])
        conn.execute("analyze flows, stock")
        told, planned = (", ".join(f"coalesce({t}.{m}, 0)" for m in _FLOWS) for t in ("k", "f"))
        wrong = [
            f"{code} {day}: told {is_told}, planned {is_planned}"
            for code, day, is_told, is_planned in conn.execute(
                f"""select coalesce(k.commune_code, f.commune_code), coalesce(k.date, f.date), row({told})::text, row({planned})::text
                    from (select * from bi.kpi_commune_daily where geography = '2021') as k
                    full join flows as f on f.commune_code = k.commune_code and f.date = k.date
                    where row({told}) <> row({planned}) limit 5"""
            )
        ]
        told = ", ".join(f"k.{m}" for m in (*_STOCK, "store_rate"))
        planned = ", ".join(f"s.{m}" for m in _STOCK) + ", round(s.households_with_store::numeric / s.households, 6)"
        wrong += [
            f"{code} {until}: told {is_told}, planned {is_planned}"
            for code, is_told, is_planned in conn.execute(
                f"""select coalesce(k.commune_code, s.commune_code), row({told})::text, row({planned})::text
                    from (select * from bi.kpi_commune_daily where geography = '2021' and date = %s and commune_code <> '00000') as k
                    full join stock as s on s.commune_code = k.commune_code
                    where row({told}) is distinct from row({planned}) limit 5""",
                [until],
            )
        ]
        sums = ", ".join(f"sum({m})" for m in _FLOWS)
        planned = conn.execute(f"select {sums} from flows").fetchone()
        for table, where in (
            ("kpi_province_daily", "geography = '2021'"),
            ("kpi_province_daily", "geography = '2025'"),
            ("kpi_district_daily", "geography = '2021'"),
        ):
            told = conn.execute(f"select {sums} from bi.{table} where {where}").fetchone()
            if told != planned:
                wrong.append(f"{table} {where}: told {told}, planned {planned}")
        (cells,) = conn.execute("select (select count(*) from flows) * %s + (select count(*) from stock) * %s", [len(_FLOWS), len(_STOCK) + 1]).fetchone() or (
            0,
        )
        (days,) = conn.execute("select count(distinct date) from bi.kpi_commune_daily").fetchone() or (0,)
        if days != (until - made.world.first_day).days + 1:
            wrong.append(f"{days} days are told of, not those from {made.world.first_day} to {until}")
    if wrong:
        raise WrongResult("; ".join(wrong))
    return cells


# ---- command -------------------------------------------------------------------------------------------------------------------------

#: What a server of 2 cores and 24 GB would be set to; memory that is asked for at most is what the embedded one is given.
_TUNED = {"shared_buffers": "{quarter}MB", "work_mem": "256MB", "maintenance_work_mem": "512MB", "max_wal_size": "16GB", "effective_cache_size": "{half}MB"}


@contextmanager
def server(home: Path, memory_gb: int) -> Iterator[tuple[Any, int]]:
    """An embedded PostgreSQL for worlds, and the process id of its postmaster; its data stay under ``home``."""
    from kinhteso.local.postgres import EmbeddedPostgres

    one = EmbeddedPostgres(home)
    with psycopg.connect(one.start(), autocommit=True) as admin:
        for name, value in _TUNED.items():
            admin.execute(f"alter system set {name} = '{value.format(quarter=memory_gb * 256, half=memory_gb * 512)}'")
    one.stop()
    one.start()
    try:
        yield one, int((one.data / "postmaster.pid").read_text().split()[0])
    finally:
        one.stop()


def run(world: World, home: Path, postgres: Any, postmaster: int, plans: Path | None = None) -> dict[str, Any]:
    """Make a world, build its history, let the day arrive and run it, ask what BI asks; every result is checked. Gives what was measured; ``plans``: a file
    to which the questions and their plans are added."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"drop database if exists {world.name} with (force)")
    info = postgres.database(world.name)
    dsn = psycopg.conninfo.make_conninfo(**info)
    setup, clock = Clock(postmaster), Clock(postmaster)
    with setup.step("make"):
        made = make(dsn, world, home / world.name)
    first_build(made, setup)
    with setup.step("check"):
        cells = check(made, DAY - timedelta(days=1))
    with setup.step("arrive"):
        size = arrive(made)
    release = run_day(made, clock)
    with setup.step("check again"):
        cells += check(made, DAY)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("vacuum analyze bi.kpi_commune_daily, bi.kpi_district_daily, bi.target_progress_daily")  # autovacuum does so overnight
        (database,) = conn.execute("select pg_database_size(current_database())").fetchone() or (0,)
    answers = questions.ask(dsn, DAY)
    if plans:
        with plans.open("a", encoding="utf-8") as out:
            out.write(f"\n## {world.name}\n\n{questions.as_text(answers)}\n")
    return {
        "world": asdict(world), "setup": [asdict(s) for s in setup.steps], "day": [asdict(s) for s in clock.steps], "total": asdict(clock.total()),
        "delivered_bytes": size, "database_bytes": database, "cells_checked": cells, "rows_changed": release.rows_changed,
        "questions": [{"name": a.question.name, "rows": a.rows, "ms": a.ms, "lookup_ms": a.lookup_ms, "ratio": a.ratio} for a in answers],
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """`long --days N`: the province with N days of history; `national --scale S`: the country or a part of it."""
    import argparse
    import signal
    import sys
    import tempfile

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is stopped then

    parser = argparse.ArgumentParser(prog="python -m bench.worlds", description=main.__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    province, country = kinds.add_parser("long"), kinds.add_parser("national")
    province.add_argument("--days", type=int, nargs="+", default=[10, 1000])
    province.add_argument("--lines", type=int, default=2_000, help="new order lines a day")
    province.add_argument("--stores", type=int, default=1_500, help="per platform")
    country.add_argument("--scale", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    country.add_argument("--days", type=int, default=20)
    for kind in (province, country):
        kind.add_argument("--home", type=Path, help="where the data lie, which stay there; else a folder that is removed")
        kind.add_argument("--memory", type=int, default=24, help="GB of the machine")
        kind.add_argument("--plans", type=Path, help="Markdown file to which BI's questions and their plans are added")
        kind.add_argument("--results", type=Path, help="JSON of what was measured, a line per world")
    given = parser.parse_args(arguments)
    worlds = [long(n, given.lines, given.stores) for n in given.days] if given.kind == "long" else [national(s, given.days) for s in given.scale]
    with tempfile.TemporaryDirectory(prefix="kinhteso-worlds-") as scratch:
        home = given.home or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        with server(home / "postgres", given.memory) as (postgres, postmaster):
            for world in worlds:
                measured = run(world, home, postgres, postmaster, given.plans)
                told(measured)
                if given.results:
                    with given.results.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(measured, default=str, ensure_ascii=False) + "\n")


def told(measured: dict[str, Any]) -> None:
    """Print what was measured."""
    print(
        f"{measured['world']['name']}: {measured['database_bytes'] / 1e9:.2f} GB, {measured['delivered_bytes'] / 1e6:.1f} MB arrived,"
        f" {measured['cells_checked']:,} cells agree"
    )
    for part in ("setup", "day"):
        for step in measured[part]:
            print(f"  {part:5} {step['name']:32} {step['seconds']:8.2f} s   CPU {step['cpu']:8.2f} s here, {step['cpu_database']:8.2f} s in the database")
    for question in measured["questions"]:
        print(f"  asked {question['name']:32} {question['ms']:8.2f} ms, {question['ratio']:.2f} x a look-up of the same {question['rows']:,} rows")
    total = measured["total"]
    print(f"  total of the day {total['seconds']:.2f} s, CPU {total['cpu'] + total['cpu_database']:.2f} s", flush=True)


if __name__ == "__main__":
    main()
