"""The simulators keep the sources' contract, seen through clients that know nothing of them."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import zipfile

import httpx
import openpyxl
import pytest

DAY = {"UPDATED_SINCE": 1631206800000, "UPDATED_UNTIL": 1631466000000}  # 2021-09-10 to 2021-09-13, local midnights


def manifest(content: bytes) -> list[dict]:
    assert content.startswith(b"\xef\xbb\xbf") and b"\r\n" in content
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))


def test_a_delivery_has_its_files_manifest_and_marker(serve):
    s = serve()
    names = asyncio.run(s.listing("20210912"))
    assert "PM_LSN_20210912_v1.ok" in names and "PM_LSN_TAIKHOANTT_20210912_v1.ok" in names
    rows = manifest(asyncio.run(s.read("20210912/MANIFEST_20210912_v1.csv")))
    assert {r["Bộ dữ liệu"] for r in rows} == {"GIANHANG", "SANPHAM", "DONHANG", "HOANTRA"}
    for row in rows:
        content = asyncio.run(s.read(f"20210912/{row['Tên tệp']}"))
        assert len(content) == int(row["Kích thước (byte)"])
        assert hashlib.sha256(content).hexdigest() == row["SHA-256"]
    orders = next(r for r in rows if r["Bộ dữ liệu"] == "DONHANG")
    page = openpyxl.load_workbook(io.BytesIO(asyncio.run(s.read(f"20210912/{orders['Tên tệp']}"))))["Đơn hàng"]
    table = list(page.iter_rows(min_row=6, values_only=True))
    lines = [r for r in table if r[9]]
    heads = [r for r in lines if r[1]]
    assert page.cell(5, 2).value == "Mã đơn hàng" and page.cell(4, 1).value == "Thông tin đơn hàng"
    assert len(lines) == int(orders["Số dòng"]) and len(heads) == int(orders["Số đơn"])
    assert sum(int(str(r[18]).replace(".", "")) for r in heads) == int(orders["Tổng tiền kiểm soát"])
    assert any(r[0] == "Tổng cộng" for r in table)


def test_the_wallet_file_comes_later(serve):
    s = serve()
    s.clock("2021-09-13T02:00")
    names = asyncio.run(s.listing("20210912"))
    assert "PM_LSN_20210912_v1.ok" in names and "PM_LSN_TAIKHOANTT_20210912_v1.ok" not in names
    s.clock("2021-09-13T01:00")
    assert asyncio.run(s.listing("20210912")) == []


def test_a_wrong_password_is_refused(serve):
    import asyncssh

    s = serve()

    async def enter():
        await asyncssh.connect(s.sftp["host"], s.sftp["port"], username="langson", password="wrong", known_hosts=None)

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(enter())
    answer = httpx.post(f"{s.http['base_url']}/user/Login", json={"USERNAME": "langson", "PASSWORD": "wrong"})
    assert answer.status_code == 200 and answer.json()["error"] and answer.json()["message"] == "Invalid owner account or password!"


def test_cursors_give_every_row_once(serve):
    c = serve().client()
    whole = c.get("/export/orders", params=DAY).json()["data"]
    seen, cursor = [], None
    while True:
        data = c.get("/export/orders", params={**DAY, "PAGE_SIZE": 7, **({"CURSOR": cursor} if cursor else {})}).json()["data"]
        seen += [i["ORDER_ID"] for i in data["ITEMS"]]
        cursor = data["NEXT_CURSOR"]
        if not data["HAS_MORE"]:
            break
    assert len(seen) == len(set(seen)) == whole["TOTAL"] > 7
    assert all(DAY["UPDATED_SINCE"] <= i["UPDATED_AT"] < DAY["UPDATED_UNTIL"] for i in whole["ITEMS"])


def test_pages_totals_and_limits(serve):
    c = serve().client()
    data = c.get("/export/stores", params={"PAGE_INDEX": 1, "PAGE_SIZE": 500}).json()["data"]
    assert data["PAGE_SIZE"] == 100
    assert c.get("/export/orders", params={"UPDATED_SINCE": 0, "UPDATED_UNTIL": DAY["UPDATED_UNTIL"]}).json()["message"] == "Chỉ cho phép lọc trong 31 ngày"
    now = c.get("/export/time").json()["data"]["NOW"]
    assert c.get("/export/orders", params={"UPDATED_SINCE": now - 1000, "UPDATED_UNTIL": now}).json()["message"] == "UPDATED_UNTIL too recent"
    assert c.get("/export/orders", params={**DAY, "CURSOR": "nonsense"}).json()["message"] == "Cursor invalid or expired"
    assert c.get("/export/stores", headers={"X-Request-Id": "abc"}).headers["x-request-id"] == "abc"


def test_tokens_end_and_nights_are_closed(serve):
    s = serve()
    c = s.client()
    s.clock("2021-09-13T19:00")
    assert c.get("/export/time").json()["status"] == 401
    s.clock("2021-09-14T00:10")
    answer = c.get("/export/time")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1800"


def test_the_limit_answers_429_in_both_forms(serve):
    c = serve("--rate-limit", "60").client()
    answers = [c.get("/export/time") for _ in range(14)]
    refused = [a for a in answers if a.status_code == 429]
    assert refused and {a.headers["retry-after"].isdigit() for a in refused} == {True, False}
    assert "html" in refused[0].headers["content-type"]


def test_the_bulk_job_gives_the_backlog(serve):
    c = serve().client()
    job = c.post("/export/bulk", json={"DATASET": "ORDERS", "AS_OF": "20210912"}).json()["data"]
    assert job["STATUS"] == "QUEUED"
    done = c.get(f"/export/bulk/{job['JOB_ID']}").json()["data"]
    rows = 0
    for part in done["PARTS"]:
        content = c.get(part["URL"]).content
        assert hashlib.sha256(content).hexdigest() == part["SHA256"] and len(content) == part["BYTES"]
        lines = gzip.decompress(content).splitlines()
        assert all(json.loads(line)["UPDATED_AT"] < 1631466000000 for line in lines)
        rows += len(lines)
    assert done["STATUS"] == "DONE" and rows == done["ROWS"] > 0


def test_address_lists_and_counts(serve):
    c = serve().client()
    districts = c.get("/categories/listDistrict", params={"provinceId": 22}).json()["data"]
    assert {d["PROVINCE_ID"] for d in districts} == {22}
    wards = c.get("/categories/listWards", params={"districtId": districts[0]["DISTRICT_ID"]}).json()["data"]
    assert wards and "PROVINCE_ID" not in wards[0]
    counts = c.get("/export/payment-accounts/summary", params={"AS_OF": "20210912"}).json()["data"]
    assert sum(r["ACCOUNTS"] for r in counts) == c.get("/export/payment-accounts").json()["data"]["TOTAL"]


def test_faults_of_files(serve):
    s = serve(
        "--faults",
        "F01@2021-09-12,F02@2021-09-13,F04@2021-09-14,F05@2021-09-15,F06@2021-09-16,F07@2021-09-17,F08@2021-09-18,F09@2021-09-19,F10@2021-09-20,F03@2021-09-12",
    )

    def check(day: str, name: str) -> tuple[bytes, dict]:
        row = next(r for r in manifest(asyncio.run(s.read(f"{day}/MANIFEST_{day}_v1.csv"))) if r["Bộ dữ liệu"] == name)
        return asyncio.run(s.read(f"{day}/{row['Tên tệp']}")), row

    content, row = check("20210912", "DONHANG")
    assert len(content) == int(row["Kích thước (byte)"]) - 30
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(content))
    c = s.client()
    for is_damaged in (True, False):
        job = c.post("/export/bulk", json={"DATASET": "ORDERS", "AS_OF": "20210912"}).json()["data"]
        part = c.get(f"/export/bulk/{job['JOB_ID']}").json()["data"]["PARTS"][0]
        assert (hashlib.sha256(c.get(part["URL"]).content).hexdigest() != part["SHA256"]) is is_damaged
    s.clock("2021-09-14T06:00")
    content, row = check("20210913", "HOANTRA")
    assert len(content) < int(row["Kích thước (byte)"])
    s.clock("2021-09-15T02:00")
    names = asyncio.run(s.listing("20210914"))
    assert any(n.endswith(".part") for n in names) and "PM_LSN_20210914_v1.ok" not in names
    s.clock("2021-09-15T06:00")
    names = asyncio.run(s.listing("20210914"))
    assert not any(n.endswith(".part") for n in names) and "PM_LSN_20210914_v1.ok" in names
    s.clock("2021-09-16T01:50")
    names = asyncio.run(s.listing("20210915"))
    assert "PM_LSN_20210915_v1.ok" in names and "PM_LSN_DONHANG_20210915_v1.xlsx" not in names
    s.clock("2021-09-17T04:00")
    assert asyncio.run(s.listing("20210916")) == []
    s.clock("2021-09-18T12:00")
    assert asyncio.run(s.listing("20210917")) == [] and asyncio.run(s.listing("20210916")) != []
    s.clock("2021-09-20T12:00")
    assert asyncio.run(s.listing("20210917")) != []
    _, row = check("20210918", "DONHANG")
    assert row["Số dòng"] == "0"
    content, row = check("20210919", "DONHANG")
    page = openpyxl.load_workbook(io.BytesIO(content))["Đơn hàng"]
    assert int(row["Số dòng"]) > 0 and not any(r[9] for r in page.iter_rows(min_row=6, values_only=True))
    s.clock("2021-09-21T06:00")
    assert "PM_LSN_20210920_v2.ok" not in asyncio.run(s.listing("20210920"))
    s.clock("2021-09-21T11:00")
    assert "PM_LSN_20210920_v2.ok" in asyncio.run(s.listing("20210920"))
    again = manifest(asyncio.run(s.read("20210920/MANIFEST_20210920_v2.csv")))
    assert [r["Bộ dữ liệu"] for r in again] == ["DONHANG"] and again[0]["Lý do phát hành lại"]
