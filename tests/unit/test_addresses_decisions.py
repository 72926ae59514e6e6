"""What an operator has decided goes before all rules; a decision that cannot hold is told before anything is resolved by it."""

import csv
from datetime import date

import pytest
from kinhteso import addresses
from kinhteso.addresses import Resolver, decisions, names
from test_addresses import BETWEEN, CAMPAIGN, LISTS, said

GOOD = {
    "text_norm": "chi lăng, lạng sơn", "list": "2021", "record_from": "", "record_to": "", "code": "06466", "decided_by": "mai", "decided_on": "2021-10-01",
    "reason": "phòng VHTT xác nhận: thị trấn",
}  # fmt: skip


def decided(*rows):
    return Resolver(LISTS, decisions.from_rows([{**GOOD, **row} for row in rows], LISTS))


def test_a_decision_resolves_for_good():
    of = decided({})
    for text in ("Chi Lăng, Lạng Sơn", " CHI LĂNG;  Lạng Sơn. ", "Chi La\u0306ng,\u00a0Lạng Sơn", "Chi LÄƒng, Láº¡ng SÆ¡n"):
        found = of.resolve(text, CAMPAIGN)
        assert (found.status, found.code, found.rule, found.list) == ("resolved", "06466", "decision", "2021")
    assert said("Chi Lăng, Lạng Sơn", BETWEEN, of).startswith("?"), "of its list only"
    assert said("Chi Lăng, Tràng Định", CAMPAIGN, of) == "06034", "of its text only"


def test_a_span_of_days_and_out_of_scope():
    of = decided({"list": "", "record_from": "2021-09-01", "record_to": "2021-09-30"}, {"text_norm": "hvt, bình gia", "code": "out_of_scope"})
    assert said("Chi Lăng, Lạng Sơn", CAMPAIGN, of) == "06466" and said("Chi Lăng, Lạng Sơn", date(2021, 10, 1), of).startswith("?")
    assert of.resolve("HVT, Bình Gia", CAMPAIGN).rule == "decision" and said("HVT, Bình Gia", CAMPAIGN, of) == "out"


def test_what_the_review_list_says_is_what_a_decision_names():
    text = "Nhà bà Mai 0900 000 123 – Chi Lăng, Lạng Sơn"
    norm = addresses.resolver().norm(text)
    assert "0900" not in norm
    assert said(text, CAMPAIGN, decided({"text_norm": norm})) == "06466"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"code": "99999"}, "row 2: 99999 is no unit of the list 2021; no list has it"),
        ({"code": "06187", "list": "2019"}, None),
        ({"code": "06343", "list": "2025"}, "06343 is no unit of the list 2025; it is in the lists 2019, 2021, 2024"),
        ({"list": "", "record_from": "2024-01-01", "code": "06343"}, "06343 is no unit of the list 2025"),
        ({"decided_by": " "}, "decided_by is empty: a decision says who decided"),
        ({"decided_on": ""}, "decided_on is empty: a decision says when"),
        ({"reason": ""}, "reason is empty: a decision says why"),
        ({"text_norm": ""}, "text_norm is empty"),
        ({"code": ""}, "code is empty"),
        ({"decided_on": "1/10/2021"}, "Write a day as YYYY-MM-DD"),
        ({"list": "2020"}, "there is no list '2020'"),
        ({"list": ""}, "neither list nor record_from"),
        ({"record_from": "2021-09-30", "record_to": "2021-09-01"}, "Turn them round"),
        ({"record_from": "2025-09-01"}, "the list 2021 is not in force on any of the days"),
    ],
)
def test_a_decision_that_cannot_hold(row, says):
    if says is None:
        decided(row)
        return
    with pytest.raises(decisions.DecisionError, match="docs/addresses.md") as error:
        decided(row)
    assert says in str(error.value)


def test_two_decisions_about_one_text():
    decided({}, {"list": "2024"}, {"list": "2019"})
    decided(
        {"list": "", "record_from": "2021-01-01", "record_to": "2021-06-30"},
        {"list": "", "record_from": "2021-07-01", "record_to": "2021-12-31", "code": "06523"},
    )
    with pytest.raises(decisions.DecisionError, match="row 3: .* was decided as 06466 before"):
        decided({}, {"code": "06523"})


def test_the_seed_is_read_checked_and_holds_at_once(tmp_path, monkeypatch):
    (tmp_path / "seeds").mkdir()
    for name in names.SEEDS:
        (tmp_path / "seeds" / f"{name}.csv").write_bytes((names.seeds_dir() / f"{name}.csv").read_bytes())
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(tmp_path))
    assert said("Chi Lăng, Lạng Sơn", CAMPAIGN).startswith("?"), "no file, no decision"
    path = tmp_path / "seeds" / "address_decision.csv"
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, decisions.COLUMNS)
        writer.writeheader()
        writer.writerow(GOOD)
    assert said("Chi Lăng, Lạng Sơn", CAMPAIGN) == "06466"
    path.write_text("text_norm,code\nx,y\n", encoding="utf-8")
    with pytest.raises(decisions.DecisionError, match="the columns list, record_from"):
        addresses.resolver()


def test_the_projects_own_decisions_hold():
    assert decisions.from_seeds(names.seeds_dir(), LISTS) is not None


def test_a_form_follows_a_decision(tmp_path, monkeypatch):
    """Of a district's form the text is name and district, as the review list has it."""
    from kinhteso import communes

    (tmp_path / "seeds").mkdir()
    for name in names.SEEDS:
        (tmp_path / "seeds" / f"{name}.csv").write_bytes((names.seeds_dir() / f"{name}.csv").read_bytes())
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(tmp_path))
    assert communes.resolve(None, "Chi Lăng", "187", CAMPAIGN) is None
    norm = addresses.resolver().norm(communes.as_text(None, "Chi Lăng", "187"))
    assert norm == "chi lăng, huyện chi lăng"
    with (tmp_path / "seeds" / "address_decision.csv").open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, decisions.COLUMNS)
        writer.writeheader()
        writer.writerow({**GOOD, "text_norm": norm})
    assert communes.resolve(None, "UBND CHI LĂNG", "187", CAMPAIGN) == "06466"
    assert communes.resolve(None, "Chi Lăng", "180", CAMPAIGN) == "06034"
