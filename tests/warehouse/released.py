"""What BI saw in each release, kept beside the warehouse, and the two views of time held against it."""

from __future__ import annotations

from decimal import Decimal

from kinhteso import as_published


def columns(conn) -> list[str]:
    """Columns of kpi_commune_daily, stamps last."""
    found = [c for (c,) in conn.execute("select column_name from information_schema.columns where table_schema = 'bi' and table_name = 'kpi_commune_daily'")]
    return [c for c in found if c not in as_published.STAMP] + list(as_published.STAMP)


def seen(conn, before: dict[tuple, dict] | None = None) -> dict[tuple, dict]:
    """What BI sees now: each row of kpi_commune_daily by its key. Rows that are as in ``before`` are the same objects."""
    names, before, found = columns(conn), before or {}, {}
    for values in conn.execute(f"select {', '.join(names)} from bi.kpi_commune_daily"):
        row = dict(zip(names, values))
        key = (row["geography"], row["commune_code"], row["date"])
        found[key] = before[key] if before.get(key) == row else row
    return found


def told(conn, release_id: int, names: list[str]) -> dict[tuple, dict]:
    """What the view says that BI saw in that release, under the same names."""
    asked = ", ".join(as_published.STAMP.get(c, c) for c in names)
    rows = [dict(zip(names, row)) for row in conn.execute(f"select {asked} from bi.kpi_commune_daily_as_published where release_id = %s", [release_id])]
    found = {(r["geography"], r["commune_code"], r["date"]): r for r in rows}
    assert len(found) == len(rows), "a cell is told twice"
    return found


def differences(conn, kept: dict[int, dict[tuple, dict]]) -> list[str]:
    """Cells of the releases that BI saw (release -> rows) which the view tells otherwise."""
    wrong = []
    for release_id, rows in kept.items():
        said = told(conn, release_id, list(next(iter(rows.values()))))
        wrong += [f"release {release_id}: {key} {'is missing' if key in rows else 'was not there'}" for key in rows.keys() ^ said.keys()]
        wrong += [
            f"release {release_id}: {key} {c}: {v} became {said[key][c]}"
            for key in rows.keys() & said.keys()
            for c, v in rows[key].items()
            if said[key][c] != v
        ]
    return wrong


def unexplained(conn, kept: dict[int, dict[tuple, dict]]) -> list[tuple]:
    """Cells of two releases, neighbours or far apart, whose difference is not the sum of the restatements between them."""
    told: dict[tuple, dict[int, Decimal]] = {}
    for *key, release_id, old, new in conn.execute("select geography, commune_code, date, kpi, release_id, old_value, new_value from bi.kpi_restatement"):
        told.setdefault(tuple(key), {})[release_id] = Decimal(new or 0) - Decimal(old or 0)
    wrong, releases, cells = [], sorted(kept), {key[:3] for key in told}
    for first, last in [*zip(releases, releases[1:]), (releases[0], releases[-1])]:
        for key, row in kept[first].items():
            if kept[last][key] is row and key not in cells:
                continue
            for kpi, old in row.items():
                new = kept[last][key][kpi]
                if kpi == "release_id" or not isinstance(old if old is not None else new, (int, Decimal)):
                    continue
                moved = sum(d for r, d in told.get((*key, kpi), {}).items() if first < r <= last)
                if Decimal(new or 0) - Decimal(old or 0) != moved:
                    wrong.append((*key, kpi, first, last, old, new, moved))
    return wrong


def untraced(conn) -> list[tuple]:
    """Restatements without a delivery, or with one that is only guessed by its dataset."""
    return conn.execute(
        "select geography, commune_code, date, kpi, old_value, new_value, reason from bi.kpi_restatement where export_id is null or reason like '%not traced%' limit 20"
    ).fetchall()
