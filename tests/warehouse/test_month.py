"""Postmart's monthly file as an outbox shows it: where it is looked for, what is refused in words, and that no bad or older version spoils a good one."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import paramiko
import pytest
from kinhteso import intake, ledger, reconciling
from kinhteso.platforms import postmart
from test_reconciling import MONTH_END, daily, figures, listed, pm_line, rolled_back  # noqa: F401 (a fixture)
from written import content

DUE, FOLDER = date(2021, 10, 4), "20211005"
FIRST, SECOND = (f"PM_LSN_THANG_202109_v{n}.zip" for n in (1, 2))


class _Open(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder behind a real SFTP server, and a client of it."""
    root, loop = tmp_path_factory.mktemp("outbox"), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        key, files = asyncssh.generate_private_key("ssh-ed25519"), lambda channel: asyncssh.SFTPServer(channel, chroot=str(root).encode())
        return await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=_Open, sftp_factory=files)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    transport = paramiko.Transport(("127.0.0.1", server.get_port()))
    transport.start_client()
    transport.auth_none("langson")
    yield root, paramiko.SFTPClient.from_transport(transport)
    transport.close()

    async def end() -> None:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


class Outbox:
    """The outbox of a test, and what a run makes of it."""

    def __init__(self, root: Path, sftp: paramiko.SFTPClient, conn, landing: Path) -> None:
        self.folder, self.sftp, self.conn = root / "langson" / "outbox", sftp, conn
        self.settings = SimpleNamespace(landing=str(landing), phone_key="demo-pepper", first_day=date(2021, 9, 12))
        self.runs = 0

    def put(self, name: str, what: bytes | list[dict], folder: str = FOLDER) -> bytes:
        """A file under its name; rows as the month's ZIP."""
        data = content("orders", what, suffix="zip") if isinstance(what, list) else what
        path = self.folder / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return data

    def manifest(self, name: str, data: bytes, **said: str) -> str:
        """A manifest beside the file that declares ``data``, or what is ``said`` instead."""
        version = name.split("_v")[1][0]
        row = {
            "Tên tệp": name, "Bộ dữ liệu": "DONHANG", "Ngày dữ liệu": "30/09/2021", "Phiên bản": version, "Kích thước (byte)": str(len(data)),
            "SHA-256": hashlib.sha256(data).hexdigest(), "Số dòng": "3", "Số đơn": "3", "Tổng tiền kiểm soát": "1050000", "Lý do phát hành lại": "",
            "Thời điểm tạo": "05/10/2021 02:00:00",
        } | said  # fmt: skip
        head = f"MANIFEST_THANG_202109_v{version}.csv"
        self.put(head, "\r\n".join(";".join(cells) for cells in (row, row.values())).encode("utf-8-sig"))
        return head

    def look(self) -> intake.Arrivals:
        self.runs += 1
        return reconciling.land_postmart(self.conn, self.sftp, self.settings, DUE, self.run)

    def compare(self) -> list[reconciling.Reconciliation]:
        return reconciling.compare(self.conn, self.settings, "postmart", "orders", self.run)

    @property
    def run(self) -> str:
        return f"run {self.runs}"

    @property
    def states(self) -> dict[int, str]:
        return dict(self.conn.execute("select version, state from ops.export where unit = 'month' order by 1").fetchall())


@pytest.fixture()
def outbox(served, rolled_back, tmp_path):  # noqa: F811
    """Two orders of the month are known; each test has an empty outbox."""
    root, sftp = served
    own = Outbox(root, sftp, rolled_back, tmp_path / "landing")
    daily(rolled_back, "orders", [pm_line(1), pm_line(2)], source="postmart")
    yield own
    for path in sorted(own.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def rows(count: int) -> list[dict]:
    return [pm_line(n) for n in range(1, count + 1)]


@pytest.mark.parametrize("folder", ["20210930", "20211005", "20211011", ""])
def test_it_is_found_wherever_it_may_lie(outbox, folder):
    outbox.put(FIRST, rows(3), folder)
    assert len(outbox.look().landed) == 1
    [one] = outbox.compare()
    assert figures(one) == {"compared": 3, "missing": 1}
    assert list(listed(outbox.conn, ledger.export_id("postmart", "orders", "month", MONTH_END, 1))) == ["PM2109140000003"]
    assert outbox.look().landed == [], "the same bytes are nothing new"


@pytest.mark.parametrize(("name", "folder"), [(f"{FIRST}.part", FOLDER), (FIRST, "20211012"), ("PM_LSN_THANG_202108_v1.zip", FOLDER)])
def test_half_a_file_another_week_or_month_is_not_it(outbox, name, folder):
    outbox.put(name, rows(3), folder)
    arrivals = outbox.look()
    assert arrivals.is_due and not arrivals.landed and not arrivals.refused


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"SHA-256": "0" * 64}, f"{FIRST} is not what MANIFEST_THANG_202109_v1.csv declares"),
        ({"Kích thước (byte)": "12"}, f"{FIRST} is not what MANIFEST_THANG_202109_v1.csv declares"),
        ({"Tên tệp": "PM_LSN_THANG_202109.zip"}, f"{FIRST} is not what MANIFEST_THANG_202109_v1.csv declares"),
    ],
    ids=["other sha", "other size", "another name"],
)
def test_what_its_manifest_does_not_declare_is_refused_until_it_does(outbox, said, told):
    data = outbox.put(FIRST, rows(3))
    outbox.manifest(FIRST, data, **said)
    arrivals = outbox.look()
    assert not arrivals.landed and not arrivals.is_due and outbox.states == {}
    [message] = arrivals.refused
    assert told in message and "2021-09-30 v1" in message and "Ask the supplier" in message
    assert reconciling.verdict(outbox.conn, outbox.run) == [message], "the run is red, and says why"
    assert outbox.compare() == [], "nothing of it is compared"
    outbox.manifest(FIRST, data)
    assert len(outbox.look().landed) == 1 and [figures(one) for one in outbox.compare()] == [{"compared": 3, "missing": 1}]


@pytest.mark.parametrize(("content_of", "told"), [(b"T\xc3\xaan;x\r\n", "lacks the headings"), ("Tên tệp;".encode("utf-16-le"), "not UTF-8")])
def test_a_manifest_that_is_none_is_told(outbox, content_of, told):
    data = outbox.put(FIRST, rows(3))
    outbox.put(outbox.manifest(FIRST, data), content_of)
    [message] = outbox.look().refused
    assert "the manifest" in message and told in message and outbox.states == {}


def test_a_file_of_any_size_is_not_fetched(outbox, monkeypatch):
    monkeypatch.setattr(postmart, "MAX_FILE_BYTES", 100)
    outbox.put(FIRST, rows(3))
    [message] = outbox.look().refused
    assert f"{FIRST} is no export" in message and not list(Path(outbox.settings.landing).rglob("*.zip"))


@pytest.mark.parametrize(("declared", "told"), [({"Số dòng": "4"}, "4 rows"), ({"Số đơn": "2"}, "2 orders")], ids=["rows", "orders"])
def test_declared_figures_that_do_not_come_out_reject_it(outbox, declared, told):
    outbox.manifest(FIRST, outbox.put(FIRST, rows(3)), **declared)
    assert len(outbox.look().landed) == 1
    with pytest.raises(intake.StepFailed) as failed:
        outbox.compare()
    assert told in str(failed.value) and FIRST in str(failed.value)
    assert outbox.states == {1: "rejected"} and len(reconciling.verdict(outbox.conn, outbox.run)) == 1


def test_a_cut_file_is_rejected_and_a_higher_version_mends(outbox):
    outbox.put(FIRST, content("orders", rows(3), suffix="zip")[:-30])
    assert len(outbox.look().landed) == 1
    with pytest.raises(intake.StepFailed, match=FIRST):
        outbox.compare()
    assert outbox.states == {1: "rejected"}
    outbox.put(SECOND, rows(3))
    assert len(outbox.look().landed) == 1 and [figures(one) for one in outbox.compare()] == [{"compared": 3, "missing": 1}]
    assert outbox.states == {1: "rejected", 2: "accepted"}


def test_a_damaged_version_holds_up_no_higher_one(outbox):
    outbox.manifest(FIRST, b"something else")
    outbox.put(FIRST, rows(2))
    outbox.put(SECOND, rows(3))
    arrivals = outbox.look()
    assert len(arrivals.landed) == 1 and len(arrivals.refused) == 1, "told once, while nothing better counts"
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3, "missing": 1}]
    again = outbox.look()
    assert (again.landed, again.refused, again.is_due) == ([], [], False), "an older version changes nothing, nor does a damaged one"
    assert outbox.states == {2: "accepted"}


def test_other_bytes_under_its_name_are_kept_but_not_taken_and_hold_up_no_higher_version(outbox):
    first = outbox.put(FIRST, rows(3))
    outbox.look()
    outbox.compare()
    other = outbox.put(FIRST, rows(2))
    [message] = outbox.look().refused
    assert "came again with other content" in message and "higher version" in message
    assert {p.read_bytes() for p in Path(outbox.settings.landing).rglob(FIRST)} == {first, other}, "both are in the landing"
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3}], "what was taken stands"
    outbox.put(SECOND, rows(4))
    arrivals = outbox.look()
    assert len(arrivals.landed) == 1 and len(arrivals.refused) == 1
    assert figures(outbox.compare()[-1]) == {"compared": 4, "missing": 1}
    assert outbox.look().refused == [], "a higher version counts: nobody has to do anything about the first"


def test_an_older_version_that_comes_later_changes_nothing(outbox):
    """It does not know what the newer one knows, and must not take it back."""
    outbox.put(SECOND, rows(3))
    outbox.look()
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3, "missing": 1}]
    queue = "select count(*) from ops.change"
    before = outbox.conn.execute(queue).fetchone()
    outbox.put(FIRST, rows(2))
    outbox.look()
    assert outbox.states == {1: "superseded", 2: "accepted"}
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3}] and outbox.conn.execute(queue).fetchone() == before
    assert reconciling.verdict(outbox.conn, outbox.run) == []


def test_an_older_version_that_waits_gives_way(outbox):
    outbox.put(FIRST, rows(2))
    outbox.look()
    outbox.conn.execute("update ops.export set state = 'rejected' where unit = 'month'")
    outbox.put(SECOND, rows(3))
    outbox.look()
    outbox.compare()
    outbox.conn.execute("update ops.export set state = 'landed' where unit = 'month' and version = 1")
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3}]
    assert outbox.states == {1: "superseded", 2: "accepted"}


def test_two_versions_of_a_month_agree_with_the_warehouse_ever_after(outbox):
    """The second corrects the first: one order more, one less. The first is not held against the warehouse again."""
    outbox.put(FIRST, rows(3))
    outbox.look()
    outbox.compare()
    outbox.conn.execute("update ops.export set accepted_at = accepted_at - interval '1 hour' where unit = 'month'")  # this test is one transaction
    outbox.put(SECOND, [pm_line(1), pm_line(2), pm_line(4)])
    outbox.look()
    assert figures(outbox.compare()[-1]) == {"compared": 4, "missing": 1, "extra": 1}
    outbox.look()
    assert [figures(one) for one in outbox.compare()] == [{"compared": 3}]
    assert outbox.states == {1: "accepted", 2: "accepted"}
