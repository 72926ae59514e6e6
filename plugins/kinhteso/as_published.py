"""Every release of `bi.kpi_commune_daily` as it went out (KPI §1.11), so that a past report can be made again by its release.

Kept is what moved: a row of ops.kpi_commune_daily_version was what BI saw from the release ``valid_from_release`` on, until ``valid_to_release``
(exclusive; null: it stands). The view `bi.kpi_commune_daily_as_published` gives each release its rows; it runs with its owner's rights, so its
readers need nothing of `ops`. A column that a release did not have is null for it, and stays in the view when dbt has it no more.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from kinhteso import catalog

BUILT, TABLE = ("kpi", "kpi_commune_daily"), ("bi", "kpi_commune_daily")
VERSIONS, VIEW = ("ops", "kpi_commune_daily_version"), ("bi", "kpi_commune_daily_as_published")
KEY = ("geography", "commune_code", "date")
#: As the row itself was stamped when it went out.
STAMP = {"release_id": "values_release_id", "published_at": "values_published_at"}

_VALIDITY: tuple[catalog.Column, ...] = (
    ("valid_from_release", "bigint", "Bản phát hành đầu tiên có dòng này · First release that held the row"),
    (
        "valid_to_release",
        "bigint",
        "Bản phát hành đầu tiên không còn dòng này; trống nếu còn hiệu lực · First release that held it no more; null while it stands",
    ),
)
_OF_VIEW = {
    "release_id": "Mã bản phát hành được xem lại · The release as it went out",
    "published_at": "Thời điểm của bản phát hành đó · When that release was published",
    "values_release_id": "Mã bản phát hành đã đưa ra giá trị của dòng, như khi công bố · Release that had given the row its values, as published",
    "values_published_at": "Thời điểm của bản phát hành đã đưa ra giá trị · When that release was published",
}
_TOLD = (
    "Chỉ tiêu theo xã và ngày đúng như từng bản phát hành đã công bố; không bao giờ thay đổi · KPIs per commune and day as each release went out; never changes"
)


def prepare(conn: psycopg.Connection[Any]) -> None:
    """Make room for every column that dbt or the standing release has; keep the standing release where none is kept yet (an upgrade).

    Comes before a table of `bi` is made again. A column that changes its type takes one that holds both, so that what was told stays as it was.
    """
    standing = catalog.columns(conn, *TABLE)
    stamped = [(n, t, c) for n, t, c in standing if n in STAMP] or [("release_id", "bigint", None), ("published_at", "timestamp with time zone", None)]
    wanted = catalog.columns(conn, *BUILT) + stamped
    wanted += [c for c in standing if c[0] not in {n for n, _, _ in wanted}]
    where, have = sql.Identifier(*VERSIONS), {n: t for n, t, _ in catalog.columns(conn, *VERSIONS)}
    if not have:
        body = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t, _ in [*_VALIDITY, *wanted])  # type: ignore[arg-type]
        conn.execute(sql.SQL("create table {} ({}, primary key ({}, valid_from_release))").format(where, body, catalog.listed(KEY)))
        conn.execute(sql.SQL("create index on {} (valid_from_release)").format(where))
        conn.execute(sql.SQL("create index on {} (valid_to_release) where valid_to_release is not null").format(where))
    for name, type_, _ in wanted if have else ():
        if name not in have:
            conn.execute(sql.SQL("alter table {} add column {} {}").format(where, sql.Identifier(name), sql.SQL(type_)))  # type: ignore[arg-type]
        elif have[name] != type_ and (both := _common(conn, have[name], type_)) != have[name]:
            conn.execute(sql.SQL("drop view if exists {} cascade").format(sql.Identifier(*VIEW)))
            change = sql.SQL("alter table {} alter column {c} type {t} using {c}::{t}")
            conn.execute(change.format(where, c=sql.Identifier(name), t=sql.SQL(both)))  # type: ignore[arg-type]
    catalog.describe(conn, *VERSIONS, [*_VALIDITY, *wanted], _TOLD)
    if standing and not have:
        names = [n for n, _, _ in standing]
        insert = sql.SQL("insert into {} (valid_from_release, {}) select (select max(r.release_id) from bi.release as r), {} from {} as t")
        conn.execute(insert.format(where, catalog.listed(names), catalog.listed(names, "t"), sql.Identifier(*TABLE)))


def _common(conn: psycopg.Connection[Any], one: str, other: str) -> str:
    """A type that holds the values of both, to the digit; text where PostgreSQL knows none."""
    if one == other or one == "text":
        return one
    try:
        with conn.transaction():
            row = conn.execute(f"select cast(pg_typeof(coalesce(cast(null as {one}), cast(null as {other}))) as text)").fetchone()  # type: ignore[arg-type]
            assert row is not None
            return row[0]
    except psycopg.errors.DatatypeMismatch:
        return "text"


def make_view(conn: psycopg.Connection[Any]) -> None:
    """The view over releases and versions; made again only where its columns changed, so that an ordinary release waits for no reader of it."""
    kept = catalog.columns(conn, *VERSIONS)
    told = [n for n, _, _ in catalog.columns(conn, *TABLE) if n not in STAMP]
    told += [n for n, _, _ in kept if n not in {*told, *STAMP, *(v for v, _, _ in _VALIDITY)}]
    shape, comments = {n: t for n, t, _ in kept}, {n: c for n, _, c in kept}
    wanted: list[catalog.Column] = [("release_id", "bigint", _OF_VIEW["release_id"]), ("published_at", "timestamp with time zone", _OF_VIEW["published_at"])]
    wanted += [(n, shape[n], comments[n]) for n in told] + [(new, shape[old], _OF_VIEW[new]) for old, new in STAMP.items()]
    if [c[:2] for c in catalog.columns(conn, *VIEW)] != [c[:2] for c in wanted]:
        conn.execute(sql.SQL("drop view if exists {} cascade").format(sql.Identifier(*VIEW)))
        stamps = sql.SQL(", ").join(sql.SQL("v.{} as {}").format(sql.Identifier(old), sql.Identifier(new)) for old, new in STAMP.items())
        conn.execute(
            sql.SQL(
                "create view {} with (security_invoker = false) as select r.release_id, r.published_at, {}, {} from bi.release as r join {} as v"
                " on v.valid_from_release <= r.release_id and (v.valid_to_release is null or v.valid_to_release > r.release_id)"
            ).format(sql.Identifier(*VIEW), catalog.listed(told, "v"), stamps, sql.Identifier(*VERSIONS))
        )
    catalog.describe(conn, *VIEW, wanted, _TOLD, kind="view")


def keep(conn: psycopg.Connection[Any], release_id: int) -> None:
    """Keep what this release took out of `bi.kpi_commune_daily` and put into it (pg_temp.gone_… and came_…, as `publishing` noted them)."""
    names = [n for n, _, _ in catalog.columns(conn, *TABLE)]
    where, key = sql.Identifier(*VERSIONS), catalog.listed(KEY)
    for side in ("gone", "came"):
        conn.execute(f"analyze pg_temp.{side}_{TABLE[1]} ({', '.join(KEY)})")  # type: ignore[arg-type]
    conn.execute(
        sql.SQL(
            "update {w} as v set valid_to_release = {r} from (select {key} from gone_{t} union select {key} from came_{t}) as m"
            " where v.valid_to_release is null and (v.geography, v.commune_code, v.date) = (m.geography, m.commune_code, m.date)"
        ).format(w=where, r=sql.Literal(release_id), key=key, t=sql.SQL(TABLE[1]))
    )
    insert = sql.SQL("insert into {} (valid_from_release, {n}) select {r}, {n} from came_{t}")
    conn.execute(insert.format(where, n=catalog.listed(names), r=sql.Literal(release_id), t=sql.SQL(TABLE[1])))
    catalog.freshen(conn, *VERSIONS)
