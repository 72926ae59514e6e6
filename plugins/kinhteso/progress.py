"""What the columns of `bi.kpi_hamlet_daily` and `bi.target_progress_daily` say, beside those of `kpis`: for the pages of docs/kpi and for `explaining`.

Rules are those of KPI §2 and §4 and of RULINGS. Every text is Vietnamese first, then English. Pure: asks no database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kinhteso.kpis import KPIS, Kpi, Words

HAMLET_GRAIN = Words("một thôn (xã, mã thôn) × một ngày làm việc", "a hamlet (commune, hamlet code) × a business day")
TARGET_GRAIN = Words(
    "một đơn vị (cấp, mã) × chỉ tiêu giao × một ngày làm việc, trên danh mục 2021", "a unit (level, code) × an indicator × a business day, on the list of 2021"
)


@dataclass(frozen=True)
class Target:
    """An indicator of target_progress_daily: the measures that it compares, and the rate that holds where no decision is on file."""

    indicator: str
    value: str
    denominator: str
    rate: str

    @property
    def page(self) -> str:
        """Name of its page."""
        return f"target_{self.indicator}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Datasets source/dataset that it is made of."""
        return tuple(dict.fromkeys(("registers/targets", *KPIS[self.value].sources, *KPIS[self.denominator].sources)))


INDICATORS = {
    "store": Target("store", "households_with_store", "households", "store_rate"),
    "payment": Target("payment", "households_with_payment", "households", "payment_rate"),
    "lead": Target("lead", "lead_households", "households", "lead_rate"),
    "team": Target("team", "hamlets_with_team", "hamlets", "team_rate"),
}


def _of_hamlet(key: str, vi: str = "", en: str = "") -> Kpi:
    told = KPIS[key].definition
    return replace(KPIS[key], definition=Words(vi or told.vi.replace("của xã", "của thôn"), en or told.en.replace("the commune's", "the hamlet's")))


#: Every measure of kpi_hamlet_daily by its column name, in its order.
HAMLET_KPIS: dict[str, Kpi] = {
    kpi.key: kpi
    for kpi in (
        _of_hamlet("households", "Số hộ của thôn theo Biểu 01 có hiệu lực.", "Households of the hamlet on the R1 in force."),
        *(_of_hamlet(key) for key in (
            "households_with_store", "households_with_active_store", "store_rate", "households_with_payment", "payment_rate", "lead_households", "lead_rate",
        )),
        _of_hamlet("hamlets_with_team", "1 nếu có tổ đủ điều kiện phục vụ thôn.", "1 where a team that counts serves the hamlet."),
        _of_hamlet("team_members", "Thành viên các tổ phục vụ thôn; tổ của hai thôn tính cho cả hai.", "Members of the teams that serve the hamlet; a team of two is both's."),
        _of_hamlet("team_members_trained", "Trong đó đã tập huấn.", "Those of them who are trained."),
        Kpi(
            "suppressed", Words("Có số bị ẩn", "Suppressed"), "word", "attribute", "stock",
            Words("Dòng có số đếm từ 1 đến 4 hộ, hoặc số làm lộ nó, bị ẩn.", "A count of 1 to 4 households of the row, or what would give one away, is hidden."),
            Words("có cột bị ẩn theo macros/suppression.sql", "a column is hidden by macros/suppression.sql"), ("KPI §4",), (), additive=False,
        ),
        *(KPIS[key] for key in ("completeness", "release_id", "published_at")),
    )
}  # fmt: skip


def _column(key: str, name: Words, unit: str, formula: Words, *rule: str) -> Kpi:
    return Kpi(key, name, unit, "attribute", "stock", name, formula, rule or ("KPI §2",), (), additive=False)


#: Every measure of target_progress_daily by its column name, in its order.
COLUMNS: dict[str, Kpi] = {
    kpi.key: kpi
    for kpi in (
        _column("value", Words("Giá trị đạt được", "Value reached"), "number",
                Words("số của đơn vị trong bảng KPI cùng cấp; hợp tác xã: trống", "the unit's figure in the KPI table of its level; of cooperatives null"), "KPI §2", "KPI §4"),
        _column("denominator", Words("Mẫu số", "Denominator"), "number",
                Words("số hộ (chỉ tiêu tổ: số thôn); hợp tác xã: số hộ ghi trên Biểu 03", "households (of teams: hamlets); of cooperatives those on R3"), "KPI §1.8", "KPI §2"),
        _column("rate", Words("Tỷ lệ", "Rate"), "fraction", Words("value ÷ denominator, 6 chữ số", "value ÷ denominator, 6 digits"), "KPI §2", "RULINGS 15"),
        _column("target_rate", Words("Tỷ lệ được giao", "Rate decided"), "fraction",
                Words("tỷ lệ của quyết định; thôn không có thì của xã; không có nữa thì mức chung (seed target_default); chỉ giao số thì target_value ÷ denominator",
                      "the decision's rate; of a hamlet without one its commune's; else the default (seed target_default); of a count target_value ÷ denominator")),
        _column("target_value", Words("Giá trị phải đạt", "Value to reach"), "number",
                Words("số của quyết định, nếu không ⌈tỷ lệ × denominator⌉", "the decision's count, else ⌈rate × denominator⌉")),
        _column("gap", Words("Còn thiếu", "Gap"), "number", Words("max(0, target_value − value)", "max(0, target_value − value)")),
        _column("attainment", Words("Mức đạt", "Attainment"), "times", Words("value ÷ target_value, 6 chữ số", "value ÷ target_value, 6 digits")),
        _column("expected_by_now", Words("Lẽ ra phải đạt", "Expected by now"), "number",
                Words("đường thẳng từ giá trị ngày trước khi bắt đầu đến target_value ở hạn cuối; từ hạn: target_value",
                      "straight line from the value of the day before kick-off to target_value at the due date; from then on target_value")),
        _column("needed_per_day", Words("Cần thêm mỗi ngày", "Needed per day"), "number", Words("gap ÷ số ngày còn lại", "gap ÷ days left")),
        _column("projected_date", Words("Ngày dự kiến đạt", "Projected date"), "word",
                Words("ngày mà đường thẳng bình phương tối thiểu qua 14 ngày gần nhất đạt target_value", "day on which the least-squares line through the last 14 days reaches target_value")),
        _column("status", Words("Tình trạng", "Status"), "word",
                Words("no_data, not_started, met, overdue, on_track, behind theo thứ tự đó", "no_data, not_started, met, overdue, on_track, behind, in that order")),
        _column("rank_in_district", Words("Thứ hạng trong huyện", "Rank in the district"), "number",
                Words("1 + số đơn vị cùng cấp trong huyện có attainment cao hơn", "1 + units of the level in the district with a higher attainment")),
        _column("rank_in_province", Words("Thứ hạng trong tỉnh", "Rank in the province"), "number",
                Words("1 + số đơn vị cùng cấp trong tỉnh có attainment cao hơn", "1 + units of the level in the province with a higher attainment")),
        _column("rank_change_7d", Words("Thay đổi thứ hạng 7 ngày", "Change of rank in 7 days"), "number",
                Words("thứ hạng trong tỉnh 7 ngày trước − nay", "rank in the province 7 days before − now")),
        _column("decision_no", Words("Số quyết định", "Number of the decision"), "word",
                Words("quyết định mới nhất đã ban hành trên Biểu 03 mới nhất có ghi đơn vị; thôn không có thì của xã",
                      "the newest decision already made on the newest R3 that names the unit; of a hamlet without one its commune's"), "KPI §2", "RULINGS 12"),
        _column("suppressed", Words("Có số bị ẩn", "Suppressed"), "word",
                Words("thôn có value hoặc denominator bị ẩn", "a hamlet's value or denominator is hidden"), "KPI §4"),
    )
}  # fmt: skip
