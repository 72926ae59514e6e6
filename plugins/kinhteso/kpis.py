"""What each measure of `bi.kpi_commune_daily` says: the one list from which cells are explained (`explaining`) and the pages of docs/kpi are made.

Names, order and rules are those of KPI §1 and §4 and of RULINGS. Every text is Vietnamese first, then English. Pure: asks no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Words(NamedTuple):
    """One text in both languages."""

    vi: str
    en: str


#: households, stores … one by one | a sum of VND or of households per hamlet | numerator over denominator | day's value over its base |
#: gross less refunds | an attribute of the unit or the row, no figure over entities.
Kind = Literal["count", "sum", "rate", "multiple", "difference", "attribute"]
#: state at the day's end | what happened on the day | since kick-off | up to the day before kick-off | fixed for the unit
Period = Literal["stock", "flow", "to_date", "base", "fixed"]


NO_PERSON = Words("Chỉ là số đếm theo đơn vị; không có dữ liệu cá nhân.", "A count per unit; no personal data.")


@dataclass(frozen=True)
class Kpi:
    """A measure. ``parts`` are (role, key) of the measures it is computed from; ``sources`` are datasets source/dataset; ``rule`` names KPI § and RULINGS.

    ``additive``: over communes of one day a plain sum; rates and multiples are computed anew from sums (KPI §1.10). ``in_00000``: the row 00000 has it.
    """

    key: str
    name: Words
    unit: str
    kind: Kind
    period: Period
    definition: Words
    formula: Words
    rule: tuple[str, ...]
    sources: tuple[str, ...]
    parts: tuple[tuple[str, str], ...] = ()
    additive: bool = True
    in_00000: bool = False
    protection: Words = NO_PERSON
    limits: tuple[Words, ...] = ()
    questions: tuple[Words, ...] = ()


UNITS = {
    "household": Words("hộ", "households"),
    "store": Words("gian hàng", "stores"),
    "account": Words("tài khoản", "accounts"),
    "hamlet": Words("thôn", "hamlets"),
    "member": Words("người", "persons"),
    "product": Words("sản phẩm", "products"),
    "order": Words("đơn", "orders"),
    "vnd": Words("đồng", "VND"),
    "fraction": Words("tỷ lệ trong [0, 1]", "fraction in [0, 1]"),
    "times": Words("lần", "times"),
    "number": Words("số", "number"),
    "word": Words("từ", "word"),
    "moment": Words("thời điểm", "moment"),
}

KINDS = {
    "count": Words("đếm", "count"),
    "sum": Words("tổng", "sum"),
    "rate": Words("tỷ lệ", "rate"),
    "multiple": Words("số lần", "multiple"),
    "difference": Words("hiệu", "difference"),
    "attribute": Words("thuộc tính", "attribute"),
}

PERIODS = {
    "stock": Words("trạng thái cuối ngày", "state at the end of the day"),
    "flow": Words("phát sinh trong ngày", "what happened on the day"),
    "to_date": Words(
        "từ ngày bắt đầu giai đoạn của xã đến hết ngày (trước đó: trống)", "from the commune's kick-off to the end of the day, both included; before it null"
    ),
    "base": Words("đến hết ngày trước khi bắt đầu giai đoạn (trước ngày bắt đầu: trống)", "up to the end of the day before kick-off; shown from kick-off on"),
    "fixed": Words("không đổi theo ngày", "does not change with the day"),
}

GRAIN = Words(
    "một đơn vị của danh mục xã (geography, commune_code) × một ngày làm việc (Asia/Ho_Chi_Minh)",
    "a unit of a list of communes (geography, commune_code) × a business day (Asia/Ho_Chi_Minh)",
)

_STORES = ("postmart/stores", "voso/stores")
_ACCOUNTS = ("postmart/accounts", "voso/accounts")
_ORDERS = ("postmart/orders", "voso/orders", "voso/order_events")
_REFUNDS = ("postmart/refunds", "voso/refunds")
_LISTS = ("registers/households",)

_HOUSEHOLD_KEY = Words(
    "Hộ chỉ hiện bằng mã ẩn danh có khóa; tên, điện thoại, số CCCD đã thành khóa HMAC trước khi vào kho.",
    "Households appear by a keyed pseudonym only; names, phones and citizen numbers are HMAC keys before they reach a table.",
)
_STORE_CODE = Words(
    "Gian hàng hiện bằng mã trên sàn; không có tên gian hàng, tên chủ, điện thoại.",
    "Stores appear by their code on the platform; no name of store or owner, no phone.",
)
_ACCOUNT_KEY = Words(
    "Tài khoản chỉ hiện bằng mã ẩn danh có khóa, không có mã ví hay số điện thoại.",
    "Accounts appear by a keyed pseudonym only, without the wallet's reference or a phone.",
)
_ORDER_CODE = Words("Đơn hiện bằng mã trên sàn; không có người mua, địa chỉ.", "Orders appear by their code on the platform; no buyer, no address.")
_MEMBER = Words("Thành viên chỉ hiện bằng khóa, không có tên và năm sinh.", "Members appear by a key only, without name or year of birth.")

_UNMATCHED = Words(
    "Gian hàng, tài khoản không khớp được với đúng một hộ thì không vào chỉ tiêu hộ; số chưa khớp đứng bên cạnh.",
    "A store or account that does not fit exactly one household is in no household KPI; the unmatched stand beside it.",
)
_STALE = Words(
    "Sàn thiếu dữ liệu của ngày thì trạng thái cuối cùng được giữ tiếp và completeness ghi rõ STALE_…",
    "A platform whose day is missing carries its last state forward; completeness says STALE_….",
)
_REBUILT = Words(
    "Trước ảnh chụp đầu tiên của sàn, số liệu dựng lại từ ngày duyệt hoặc định danh (RECONSTRUCTED): đã đóng trước đó thì không thấy.",
    "Before a platform's first snapshot the figure is rebuilt from days of approval or identification (RECONSTRUCTED): what had closed by then is not seen.",
)
_SHARED = Words(
    "Trên danh mục khác danh mục của ngày, xã bị chia được chia theo tỷ lệ công bố khi không biết thôn (ESTIMATED).",
    "On another list than the day's, a unit that was split goes by its published share where the hamlet is unknown (ESTIMATED).",
)
_LATE = Words(
    "Trạng thái đến muộn và tệp sửa làm thay đổi ngày đã qua (xem kpi_restatement).", "Late statuses and corrected files move past days (see kpi_restatement)."
)
_HELD = Words(
    "Tử số lớn hơn mẫu số: tỷ lệ giữ giá trị tốt gần nhất của xã và được nêu trong rates_held.",
    "Numerator above denominator: the rate keeps the commune's last good value and is named in rates_held.",
)
_LAST_LIST = Words(
    "Danh sách mới nhất của xã quyết định cho mọi ngày: hộ bị bỏ khỏi danh sách mới thì mất ở cả các ngày đã qua.",
    "The commune's newest list decides for all days: a household that the new list leaves out is gone from past days too.",
)

_ASK_ACCOUNT = Words(
    "Hộ có tài khoản là hộ có tài khoản hoạt động và đã định danh (mức ≥ 1), hay chỉ cần mở tài khoản? Kho đang tính theo nghĩa thứ nhất.",
    "Does a household have an account when one is active and identified (level ≥ 1), or when one was opened? The warehouse takes the first (EXPORTS §6).",
)
_ASK_WALLET = Words(
    "Ví nào chỉ gửi được số đếm theo xã? Khi đó chỉ tiêu chỉ là cận trên.",
    "Which wallet can give counts per commune only? The KPI is then an upper bound (EXPORTS §6).",
)
_ASK_LEAD = Words(
    "Chưa có quy định chính thức bằng số về hộ đầu tàu: ngưỡng đơn hàng, doanh thu và thời gian là bao nhiêu?",
    "There is no official numeric rule for a lead household: which orders, revenue and window (KPI §1.9)?",
)
_ASK_FORM = Words(
    "Chưa tìm thấy mẫu biểu chính thức cho Biểu 01–05; mẫu đang dùng là giả định của dự án.",
    "No public template of forms 01–05 was found; those in use are the project's model (EXPORTS §12).",
)
_ASK_REVENUE = Words(
    "Doanh thu ghi nhận vào ngày giao lần đầu, giảm trừ theo phiếu hoàn đã hoàn tất: Sở có xác nhận cách tính này không?",
    "Revenue counts on the day of first delivery, less completed refunds: does the Department confirm it (EXPORTS §8.4)?",
)


def _household_count(key: str, name: Words, definition: Words, formula: Words, rule: tuple[str, ...], sources: tuple[str, ...], **more: object) -> Kpi:
    given: dict[str, object] = {"protection": _HOUSEHOLD_KEY, "limits": (_UNMATCHED, _STALE, _REBUILT, _SHARED), **more}
    return Kpi(key, name, "household", "count", "stock", definition, formula, rule, (*sources, *_LISTS), **given)  # type: ignore[arg-type]


def _flow(key: str, name: Words, unit: str, definition: Words, formula: Words, rule: tuple[str, ...], sources: tuple[str, ...], **more: object) -> Kpi:
    given: dict[str, object] = {"in_00000": True, "protection": _ORDER_CODE, "limits": (_LATE, _STALE, _SHARED), **more}
    return Kpi(key, name, unit, "sum" if unit == "vnd" else "count", "flow", definition, formula, rule, sources, **given)  # type: ignore[arg-type]


def _rate(key: str, name: Words, numerator: str, denominator: str, what: Words, rule: tuple[str, ...], sources: tuple[str, ...], **more: object) -> Kpi:
    given: dict[str, object] = {"protection": _HOUSEHOLD_KEY, "limits": (_HELD, _UNMATCHED, _STALE), **more}
    return Kpi(
        key, name, "fraction", "rate", "stock", what,
        Words(f"{numerator} ÷ {denominator}, làm tròn nửa lên 6 chữ số; trống khi mẫu số bằng 0 hoặc thiếu",
              f"{numerator} ÷ {denominator}, rounded half up to 6 digits; null over zero or nothing"),
        rule, sources, (("numerator", numerator), ("denominator", denominator)), additive=False, **given,  # type: ignore[arg-type]
    )  # fmt: skip


def _to_date(flow: Kpi) -> Kpi:
    return Kpi(
        f"{flow.key}_to_date",
        Words(f"{flow.name.vi}, lũy kế từ đầu giai đoạn", f"{flow.name.en}, since kick-off"),
        flow.unit, flow.kind, "to_date",
        Words(f"{flow.definition.vi} Cộng từ ngày bắt đầu giai đoạn của xã, kể cả ngày đó.", f"{flow.definition.en} Summed from the commune's kick-off, that day included."),
        Words(f"Σ {flow.key} từ ngày bắt đầu đến ngày" if flow.kind != "difference" else "revenue_gross_vnd_to_date − refunds_vnd_to_date",
              f"Σ {flow.key} from kick-off to the day" if flow.kind != "difference" else "revenue_gross_vnd_to_date − refunds_vnd_to_date"),
        ("KPI §1.7", *flow.rule), flow.sources, tuple((role, f"{key}_to_date") for role, key in flow.parts),
        protection=flow.protection, limits=flow.limits, questions=flow.questions,
    )  # fmt: skip


def _multiple(key: str, name: Words, value: str, base: str, rule: tuple[str, ...], sources: tuple[str, ...], **more: object) -> Kpi:
    return Kpi(
        key, name, "times", "multiple", "to_date" if value.endswith("_to_date") else "stock",
        Words(f"{value} của ngày so với {base}.", f"{value} of the day over {base}; from kick-off on."),
        Words(f"{value} ÷ {base}, làm tròn nửa lên 4 chữ số; trống trước ngày bắt đầu và khi số gốc bằng 0",
              f"{value} ÷ {base}, rounded half up to 4 digits; null before kick-off and over a base of 0"),
        ("KPI §1.7", *rule), sources, (("value", value), ("base", base)), additive=False, **more,  # type: ignore[arg-type]
    )  # fmt: skip


_ALL = (
    Kpi(
        "phase", Words("Giai đoạn", "Phase"), "number", "attribute", "fixed",
        Words("Giai đoạn chiến dịch của xã: 1 (từ 20/07/2021) hoặc 2 (từ 20/09/2021).", "The commune's phase of the campaign: 1 (from 2021-07-20) or 2 (from 2021-09-20)."),
        Words("Theo huyện của xã (seed campaign_phase); xã của danh mục 2025 lấy của các phần, khác nhau thì lấy giai đoạn sớm hơn",
              "By the commune's district (seed campaign_phase); a unit of 2025 has its parts' phase, of mixed parts the earlier"),
        ("KPI §1.7", "RULINGS 8"), (), additive=False,
    ),
    Kpi(
        "phase_day", Words("Ngày thứ của giai đoạn", "Day of the phase"), "number", "attribute", "fixed",
        Words("Số ngày từ ngày bắt đầu giai đoạn: 0 là ngày đầu, trước đó là số âm.", "Days since kick-off: 0 on the first day, negative before."),
        Words("ngày − ngày bắt đầu giai đoạn", "date − kick-off"), ("RULINGS 8",), (), additive=False,
    ),
    Kpi(
        "households", Words("Tổng số hộ", "Households"), "household", "sum", "stock",
        Words("Số hộ của xã theo Biểu 01 có hiệu lực: ngày số liệu mới nhất không sau ngày xét; trước biểu đầu tiên thì lấy biểu đầu tiên.",
              "Households of the commune by the R1 in force: the newest as-of date not later than the day; before the first, the first."),
        Words("Σ «Tổng số hộ» của các thôn trong Biểu 01 có hiệu lực", "Σ «Tổng số hộ» over the hamlets of the R1 in force"),
        ("KPI §1.8", "RULINGS 1", "RULINGS 12"), ("registers/hamlets",),
        limits=(Words("Xã chưa gửi Biểu 01: trống, và các tỷ lệ cũng trống.", "A commune without R1 has null, and null rates."), _SHARED), questions=(_ASK_FORM,),
    ),
    _household_count(
        "households_with_store", Words("Hộ có cửa hàng số", "Households with a digital store"),
        Words("Số hộ có ít nhất một gian hàng đang tính trên một trong hai sàn; hộ có nhiều gian hàng, hay có trên cả hai sàn, chỉ tính một lần.",
              "Households with at least one counting store on either platform; one that has several, or one on each, counts once."),
        Words("đếm hộ khác nhau khớp với gian hàng đang tính (ACTIVE hoặc PAUSED) của xã", "count of distinct households matched to a counting store (ACTIVE or PAUSED) in the commune"),
        ("KPI §1.1", "KPI §1.2", "KPI §1.3", "RULINGS 3", "RULINGS 4", "RULINGS 10"), _STORES,
    ),
    _household_count(
        "households_with_store_postmart", Words("Hộ có cửa hàng trên Postmart", "Households with a store on Postmart"),
        Words("Như households_with_store, chỉ trên Postmart.", "As households_with_store, on Postmart only."),
        Words("đếm hộ khác nhau khớp với gian hàng Postmart đang tính", "count of distinct households matched to a counting Postmart store"),
        ("KPI §1.1", "KPI §1.3", "RULINGS 3", "RULINGS 4"), _STORES[:1],
    ),
    _household_count(
        "households_with_store_voso", Words("Hộ có cửa hàng trên Vỏ Sò", "Households with a store on Vỏ Sò"),
        Words("Như households_with_store, chỉ trên Vỏ Sò.", "As households_with_store, on Vỏ Sò only."),
        Words("đếm hộ khác nhau khớp với gian hàng Vỏ Sò đang tính", "count of distinct households matched to a counting Vỏ Sò store"),
        ("KPI §1.1", "KPI §1.3", "RULINGS 3", "RULINGS 4", "RULINGS 16"), _STORES[1:],
    ),
    _household_count(
        "households_with_store_both", Words("Hộ có cửa hàng trên cả hai sàn", "Households with a store on both platforms"),
        Words("Số hộ có gian hàng đang tính trên cả Postmart và Vỏ Sò.", "Households with a counting store on Postmart and one on Vỏ Sò."),
        Words("households_with_store_postmart + households_with_store_voso − households_with_store",
              "households_with_store_postmart + households_with_store_voso − households_with_store"),
        ("KPI §1.1", "KPI §1.3"), _STORES,
        parts=(("plus", "households_with_store_postmart"), ("plus", "households_with_store_voso"), ("minus", "households_with_store")),
    ),
    _household_count(
        "households_with_active_store", Words("Hộ có cửa hàng hoạt động", "Households with an active store"),
        Words("Số hộ có gian hàng đang tính mà hoạt động gần nhất không quá 30 ngày (kể cả gian hàng tạm dừng).",
              "Households with a counting store whose last activity is at most 30 days old; a paused store can be active."),
        Words("đếm hộ khác nhau có gian hàng đang tính với ngày hoạt động gần nhất ≥ ngày − 30", "count of distinct households with a counting store, last activity ≥ date − 30"),
        ("KPI §1.3", "RULINGS 5"), _STORES,
    ),
    _rate(
        "store_rate", Words("Tỷ lệ hộ có cửa hàng số", "Share of households with a digital store"), "households_with_store", "households",
        Words("Phần các hộ của xã có cửa hàng số. Chỉ tiêu: 50 %.", "The share of the commune's households that have a digital store. Target: 50 %."),
        ("KPI §1.8", "KPI §1.10", "RULINGS 15"), (*_STORES, *_LISTS, "registers/hamlets"),
    ),
    Kpi(
        "stores", Words("Gian hàng đang tính", "Counting stores"), "store", "count", "stock",
        Words("Số gian hàng ACTIVE hoặc PAUSED, chưa xóa, không phải dữ liệu thử, của mọi loại chủ.", "Stores that are ACTIVE or PAUSED, not deleted and no test data, whatever their owner."),
        Words("đếm gian hàng đang tính ở cuối ngày", "count of counting stores at the end of the day"),
        ("KPI §1.3", "RULINGS 2", "RULINGS 4", "RULINGS 24"), (*_STORES, *_LISTS), in_00000=True, protection=_STORE_CODE, limits=(_STALE, _REBUILT, _SHARED),
    ),
    Kpi(
        "stores_unmatched", Words("Gian hàng của hộ chưa khớp", "Household stores without a household"), "store", "count", "stock",
        Words("Gian hàng đang tính của hộ gia đình hoặc hộ kinh doanh mà không khớp được với đúng một hộ.",
              "Counting stores of type household or household business that fit no household, or more than one."),
        Words("đếm gian hàng đang tính của hộ, hộ kinh doanh không có hộ", "count of counting stores of those two types without a household"),
        ("KPI §1.1", "RULINGS 2", "RULINGS 3"), (*_STORES, *_LISTS), in_00000=True, protection=_STORE_CODE, limits=(_STALE, _REBUILT, _SHARED),
    ),
    _household_count(
        "households_with_payment", Words("Hộ có tài khoản thanh toán điện tử", "Households with an e-payment account"),
        Words("Số hộ có ít nhất một tài khoản ví đang hoạt động và đã định danh (mức ≥ 1), mỗi hộ một lần.",
              "Households with at least one wallet account that is ACTIVE and identified (level ≥ 1), each once."),
        Words("đếm hộ khác nhau khớp với tài khoản đang tính của xã", "count of distinct households matched to a counting account in the commune"),
        ("KPI §1.1", "KPI §1.3", "RULINGS 3", "RULINGS 4", "RULINGS 10"), _ACCOUNTS, questions=(_ASK_ACCOUNT, _ASK_WALLET),
    ),
    _rate(
        "payment_rate", Words("Tỷ lệ hộ có tài khoản thanh toán", "Share of households with an e-payment account"), "households_with_payment", "households",
        Words("Phần các hộ của xã có tài khoản thanh toán điện tử. Chỉ tiêu: 50 %.", "The share of the commune's households with an e-payment account. Target: 50 %."),
        ("KPI §1.8", "KPI §1.10", "RULINGS 15"), (*_ACCOUNTS, *_LISTS, "registers/hamlets"), questions=(_ASK_ACCOUNT,),
    ),
    Kpi(
        "accounts", Words("Tài khoản đang tính", "Counting accounts"), "account", "count", "stock",
        Words("Số tài khoản ví đang hoạt động và đã định danh (mức ≥ 1).", "Wallet accounts that are ACTIVE and identified (level ≥ 1)."),
        Words("đếm tài khoản đang tính ở cuối ngày", "count of counting accounts at the end of the day"),
        ("KPI §1.3", "RULINGS 2", "RULINGS 4"), (*_ACCOUNTS, *_LISTS), in_00000=True, protection=_ACCOUNT_KEY, limits=(_STALE, _REBUILT, _SHARED),
        questions=(_ASK_ACCOUNT,),
    ),
    Kpi(
        "accounts_unmatched", Words("Tài khoản chưa khớp", "Accounts without a household"), "account", "count", "stock",
        Words("Tài khoản đang tính không khớp được với đúng một hộ.", "Counting accounts that fit no household, or more than one."),
        Words("đếm tài khoản đang tính không có hộ", "count of counting accounts without a household"),
        ("KPI §1.1", "RULINGS 2", "RULINGS 3"), (*_ACCOUNTS, *_LISTS), in_00000=True, protection=_ACCOUNT_KEY, limits=(_STALE, _REBUILT, _SHARED),
    ),
    Kpi(
        "lead_households", Words("Hộ đầu tàu được công nhận", "Recognised lead households"), "household", "count", "stock",
        Words("Số hộ trong danh sách hộ đầu tàu (Biểu 04) đang có hiệu lực: ngày công nhận ≤ ngày < ngày thôi.",
              "Households on the list of lead households (R4) in force that day: recognised ≤ day < withdrawn."),
        Words("đếm mã hộ khác nhau trên Biểu 04 mới nhất của xã có ngày công nhận ≤ ngày < ngày thôi", "count of distinct household codes on the commune's newest R4, recognised ≤ day < withdrawn"),
        ("KPI §1.9", "RULINGS 12"), ("registers/leads",), protection=_HOUSEHOLD_KEY, limits=(_LAST_LIST, _SHARED), questions=(_ASK_LEAD,),
    ),
    _rate(
        "lead_rate", Words("Tỷ lệ hộ đầu tàu", "Share of lead households"), "lead_households", "households",
        Words("Phần các hộ của xã là hộ đầu tàu được công nhận. Chỉ tiêu: 10 %.", "The share of the commune's households that are recognised lead households. Target: 10 %."),
        ("KPI §1.8", "KPI §1.9", "KPI §1.10", "RULINGS 15"), ("registers/leads", "registers/hamlets"), limits=(_HELD, _LAST_LIST), questions=(_ASK_LEAD,),
    ),
    Kpi(
        "lead_households_calc", Words("Hộ đầu tàu theo quy ước của dự án", "Lead households by the project's rule"), "household", "count", "stock",
        Words("Số hộ đạt ngưỡng của dự án (mặc định ≥ 10 đơn giao hoặc ≥ 5.000.000 đồng doanh thu thuần trong 30 ngày kết thúc ở ngày xét). Không phải số chính thức.",
              "Households that reach the project's bounds (default ≥ 10 delivered orders or ≥ 5,000,000 VND net revenue in the 30 days that end with the day). Not the official count."),
        Words("đếm hộ có đơn giao ≥ min_orders hoặc (doanh thu − hoàn) ≥ min_revenue_net_vnd trong window_days ngày (seed lead_rule theo ngày)",
              "count of households with delivered orders ≥ min_orders or (gross − refunds) ≥ min_revenue_net_vnd in window_days days (seed lead_rule by date)"),
        ("KPI §1.9", "RULINGS 13"), (*_ORDERS, *_REFUNDS, *_STORES, *_LISTS), protection=_HOUSEHOLD_KEY, limits=(_LATE, _UNMATCHED, _SHARED), questions=(_ASK_LEAD,),
    ),
    Kpi(
        "hamlets", Words("Số thôn", "Hamlets"), "hamlet", "count", "stock",
        Words("Số thôn, bản, khối phố của xã theo Biểu 01 có hiệu lực.", "Hamlets of the commune on the R1 in force."),
        Words("đếm dòng thôn của Biểu 01 có hiệu lực", "count of hamlet rows of the R1 in force"),
        ("KPI §1.8", "RULINGS 1", "RULINGS 12"), ("registers/hamlets",), limits=(_SHARED,), questions=(_ASK_FORM,),
    ),
    Kpi(
        "hamlets_with_team", Words("Thôn có tổ công nghệ cộng đồng", "Hamlets with a community digital team"), "hamlet", "count", "stock",
        Words("Số thôn có ít nhất một tổ có tổ trưởng và ít nhất 2 thành viên đã tập huấn ngoài tổ trưởng; một tổ có thể phục vụ nhiều thôn.",
              "Hamlets that a team serves which has a head and at least 2 trained members besides the head; one team may serve several hamlets."),
        Words("đếm thôn khác nhau được phục vụ bởi tổ đủ điều kiện trên Biểu 02 có hiệu lực", "count of distinct hamlets served by a team that qualifies, on the R2 in force"),
        ("KPI §1.9", "RULINGS 11", "RULINGS 12"), ("registers/teams", "registers/hamlets"),
        limits=(Words("Tên thôn của Biểu 02 không có trong Biểu 01 vẫn tính là một thôn.", "A hamlet text of R2 that R1 does not know still counts as a hamlet."), _SHARED),
        questions=(_ASK_FORM,),
    ),
    _rate(
        "team_rate", Words("Tỷ lệ thôn có tổ", "Share of hamlets with a team"), "hamlets_with_team", "hamlets",
        Words("Phần các thôn của xã có tổ công nghệ cộng đồng. Chỉ tiêu: mọi thôn.", "The share of the commune's hamlets that have a team. Target: every hamlet."),
        ("KPI §1.9", "KPI §1.10", "RULINGS 15"), ("registers/teams", "registers/hamlets"), protection=_MEMBER, limits=(_SHARED,),
    ),
    Kpi(
        "team_members", Words("Thành viên tổ công nghệ cộng đồng", "Members of the community digital teams"), "member", "count", "stock",
        Words("Mọi người trên Biểu 02 có hiệu lực, kể cả tổ trưởng, tổ phó, dù tổ có đủ điều kiện hay không.",
              "Everyone on the R2 in force, heads and deputies too, whether or not the team counts."),
        Words("đếm dòng thành viên của Biểu 02 có hiệu lực", "count of member rows of the R2 in force"),
        ("RULINGS 11", "RULINGS 12"), ("registers/teams",), protection=_MEMBER, limits=(_SHARED,),
    ),
    Kpi(
        "team_members_trained", Words("Thành viên đã tập huấn", "Trained members"), "member", "count", "stock",
        Words("Những người trên Biểu 02 có hiệu lực được ghi là đã tập huấn.", "Those on the R2 in force who are marked as trained."),
        Words("đếm dòng thành viên có «Đã tập huấn»", "count of member rows marked «Đã tập huấn»"),
        ("RULINGS 11", "RULINGS 12"), ("registers/teams",), protection=_MEMBER, limits=(_SHARED,),
    ),
    Kpi(
        "products_on_sale", Words("Sản phẩm đang bán", "Products on sale"), "product", "count", "stock",
        Words("Số sản phẩm đang bán, chưa xóa, của gian hàng đang tính.", "Products that are ON_SALE and not deleted, of a store that counts that day."),
        Words("đếm sản phẩm đang bán có gian hàng đang tính ở cuối ngày", "count of products on sale whose store counts at the end of the day"),
        ("KPI §1.3", "RULINGS 5"), ("postmart/products", "voso/products", *_STORES, *_LISTS), in_00000=True,
        protection=Words("Sản phẩm hiện bằng mã trên sàn; không có tên.", "Products appear by their code on the platform; no name."), limits=(_STALE, _REBUILT, _SHARED),
    ),
    _flow(
        "orders_placed", Words("Đơn đặt", "Orders placed"), "order",
        Words("Đơn được tạo trong ngày, trừ đơn thử; thuộc xã của gian hàng bán vào ngày tạo.", "Orders created on the day, test orders excepted; of the selling store's commune on that day."),
        Words("đếm đơn có ngày tạo là ngày xét", "count of orders created on the day"), ("KPI §1.2", "KPI §1.5", "RULINGS 4", "RULINGS 6", "RULINGS 24"), (*_ORDERS, *_STORES),
    ),
    _flow(
        "orders_valid", Words("Đơn hợp lệ", "Valid orders"), "order",
        Words("Đơn đặt trong ngày mà hiện không bị hủy.", "Orders placed on the day that are not CANCELLED now."),
        Words("đếm đơn có ngày tạo là ngày xét và trạng thái khác CANCELLED", "count of orders created on the day, status other than CANCELLED"),
        ("KPI §1.5", "RULINGS 6", "RULINGS 24"), (*_ORDERS, *_STORES),
    ),
    _flow(
        "orders_delivered", Words("Đơn giao thành công", "Orders delivered"), "order",
        Words("Đơn được giao lần đầu trong ngày mà hiện không ở trạng thái hoàn hàng hoặc hoàn tiền.", "Orders first delivered on the day that are not RETURNED or REFUNDED now."),
        Words("đếm đơn có ngày giao lần đầu là ngày xét và trạng thái khác RETURNED, REFUNDED", "count of orders first delivered on the day, status other than RETURNED or REFUNDED"),
        ("KPI §1.5", "RULINGS 6"), (*_ORDERS, *_STORES),
    ),
    _flow(
        "orders_cancelled", Words("Đơn hủy", "Orders cancelled"), "order",
        Words("Đơn hiện ở trạng thái hủy, vào ngày hủy.", "Orders that are CANCELLED, on the day of cancelling."),
        Words("đếm đơn CANCELLED có ngày hủy là ngày xét", "count of CANCELLED orders whose day of cancelling is the day"), ("KPI §1.5", "RULINGS 6"), (*_ORDERS, *_STORES),
    ),
    _flow(
        "orders_returned", Words("Đơn hoàn", "Orders returned"), "order",
        Words("Đơn bị hoàn, vào ngày hoàn, kể cả khi sau đó đã hoàn tiền.", "Orders that were returned, on the day of RETURNED, also if REFUNDED follows."),
        Words("đếm đơn RETURNED hoặc REFUNDED có ngày hoàn là ngày xét", "count of orders RETURNED or REFUNDED whose day of return is the day"),
        ("KPI §1.5", "RULINGS 6"), (*_ORDERS, *_STORES),
    ),
    _flow(
        "orders_out_of_province", Words("Đơn gửi ra ngoài tỉnh", "Orders to other provinces"), "order",
        Words("Đơn hợp lệ đặt trong ngày mà tỉnh của người nhận được biết và không phải Lạng Sơn.", "Valid orders of the day whose receiver's province is known and is not Lạng Sơn."),
        Words("đếm đơn hợp lệ có tỉnh người nhận khác Lạng Sơn", "count of valid orders with a receiver's province other than Lạng Sơn"), ("RULINGS 7",), (*_ORDERS, *_STORES),
    ),
    _flow(
        "revenue_gross_vnd", Words("Doanh thu gộp", "Gross revenue"), "vnd",
        Words("Tiền hàng trừ giảm giá của người bán, ghi một lần vào ngày giao lần đầu; không phí vận chuyển, không giảm giá của sàn.",
              "Goods less seller discount, once, on the day of first delivery; no shipping fee, no platform-funded discount."),
        Words("Σ (tiền hàng − giảm giá người bán) của đơn có ngày giao lần đầu là ngày xét", "Σ (goods − seller discount) of the orders first delivered on the day"),
        ("KPI §1.6", "RULINGS 6", "RULINGS 21"), (*_ORDERS, *_STORES), questions=(_ASK_REVENUE,),
    ),
    _flow(
        "refunds_vnd", Words("Tiền hoàn", "Refunds"), "vnd",
        Words("Tiền của phiếu hoàn đã hoàn tất, ghi vào ngày hoàn tất; tính đủ kể cả khi lớn hơn tiền hàng.",
              "Amounts of completed refund records, on their completion day; in full, even above goods."),
        Words("Σ số tiền hoàn của phiếu DONE có ngày hoàn tất là ngày xét", "Σ refunded amount of DONE refund records completed on the day"),
        ("KPI §1.6", "RULINGS 6"), (*_REFUNDS, *_ORDERS),
        protection=Words("Phiếu hoàn hiện bằng mã trên sàn.", "Refunds appear by their code on the platform."),
        limits=(Words("Phiếu của đơn chưa biết nằm ở 00000 cho đến khi đơn đến.", "A refund of an unknown order counts under 00000 until the order comes."), _LATE, _STALE, _SHARED),
    ),
    Kpi(
        "revenue_net_vnd", Words("Doanh thu thuần", "Net revenue"), "vnd", "difference", "flow",
        Words("Doanh thu gộp trừ tiền hoàn trong ngày; có thể âm.", "Gross revenue less refunds of the day; may be negative."),
        Words("revenue_gross_vnd − refunds_vnd", "revenue_gross_vnd − refunds_vnd"), ("KPI §1.6", "RULINGS 6"), (*_ORDERS, *_REFUNDS, *_STORES),
        (("plus", "revenue_gross_vnd"), ("minus", "refunds_vnd")), in_00000=True, protection=_ORDER_CODE, limits=(_LATE, _STALE, _SHARED), questions=(_ASK_REVENUE,),
    ),
)  # fmt: skip

_BASES = (
    Kpi(
        "store_base", Words("Số gốc: hộ có cửa hàng", "Base: households with a store"), "household", "count", "base",
        Words("households_with_store ở cuối ngày trước khi bắt đầu giai đoạn của xã.", "households_with_store at the end of the day before the commune's kick-off."),
        Words("households_with_store của ngày (bắt đầu − 1)", "households_with_store of the day (kick-off − 1)"), ("KPI §1.7", "RULINGS 9", "RULINGS 10"), (*_STORES, *_LISTS),
        (("value before kick-off", "households_with_store"),), protection=_HOUSEHOLD_KEY, limits=(_REBUILT, _UNMATCHED, _SHARED),
    ),
    _multiple(
        "store_growth", Words("Số hộ có cửa hàng tăng bao nhiêu lần", "Growth of households with a store"), "households_with_store", "store_base", ("RULINGS 9", "RULINGS 15"),
        (*_STORES, *_LISTS), protection=_HOUSEHOLD_KEY, limits=(_REBUILT, _UNMATCHED),
    ),
    Kpi(
        "payment_base", Words("Số gốc: hộ có tài khoản", "Base: households with an account"), "household", "count", "base",
        Words("households_with_payment ở cuối ngày trước khi bắt đầu giai đoạn của xã.", "households_with_payment at the end of the day before the commune's kick-off."),
        Words("households_with_payment của ngày (bắt đầu − 1)", "households_with_payment of the day (kick-off − 1)"), ("KPI §1.7", "RULINGS 9", "RULINGS 10"),
        (*_ACCOUNTS, *_LISTS), (("value before kick-off", "households_with_payment"),), protection=_HOUSEHOLD_KEY, limits=(_REBUILT, _UNMATCHED, _SHARED),
    ),
    _multiple(
        "payment_growth", Words("Số hộ có tài khoản tăng bao nhiêu lần", "Growth of households with an account"), "households_with_payment", "payment_base",
        ("RULINGS 9", "RULINGS 15"), (*_ACCOUNTS, *_LISTS), protection=_HOUSEHOLD_KEY, limits=(_REBUILT, _UNMATCHED),
    ),
    Kpi(
        "revenue_base_vnd", Words("Số gốc: doanh thu thuần", "Base: net revenue"), "vnd", "sum", "base",
        Words("Doanh thu thuần của mọi ngày trước khi bắt đầu giai đoạn của xã.", "Net revenue of all days before the commune's kick-off."),
        Words("Σ (revenue_gross_vnd − refunds_vnd) của mọi ngày trước ngày bắt đầu", "Σ (revenue_gross_vnd − refunds_vnd) of all days before kick-off"), ("KPI §1.7", "RULINGS 9"),
        (*_ORDERS, *_REFUNDS, *_STORES), protection=_ORDER_CODE, limits=(_LATE, _SHARED),
    ),
    _multiple(
        "revenue_growth", Words("Doanh thu tăng bao nhiêu lần", "Growth of revenue"), "revenue_net_vnd_to_date", "revenue_base_vnd", ("RULINGS 9", "RULINGS 15"),
        (*_ORDERS, *_REFUNDS, *_STORES), protection=_ORDER_CODE, limits=(_LATE,), questions=(_ASK_REVENUE,),
    ),
    Kpi(
        "match_rate", Words("Tỷ lệ khớp được hộ", "Match rate"), "fraction", "rate", "stock",
        Words("Phần các gian hàng đang tính của hộ và hộ kinh doanh đã khớp với một hộ.", "The share of counting stores of households and household businesses that have a household."),
        Words("(gian hàng của hộ − stores_unmatched) ÷ gian hàng của hộ, 6 chữ số; trống khi không có gian hàng nào",
              "(stores of households − stores_unmatched) ÷ stores of households, 6 digits; null where there are none"),
        ("KPI §1.1", "RULINGS 2", "RULINGS 15"), (*_STORES, *_LISTS), (("denominator", "stores_of_households"), ("unmatched", "stores_unmatched")), additive=False,
        protection=_STORE_CODE, limits=(Words("Dưới 95 % được báo, dưới 80 % thì bản phát hành bị đỏ (Q12).", "Below 95 % is told, below 80 % the run is red (Q12)."),),
    ),
    Kpi(
        "rates_held", Words("Tỷ lệ được giữ lại", "Rates held"), "word", "attribute", "stock",
        Words("Các tỷ lệ giữ giá trị tốt gần nhất vì tử số lớn hơn mẫu số.", "The rates that keep their last good value, because their numerator is above the denominator."),
        Words("tên các tỷ lệ có tử số > mẫu số", "names of the rates whose numerator > denominator"), ("KPI §1.8",), (), additive=False,
    ),
    Kpi(
        "completeness", Words("Mức đầy đủ", "Completeness"), "word", "attribute", "stock",
        Words("FULL; STALE_POSTMART, STALE_VOSO, STALE_BOTH: sàn thiếu dữ liệu của ngày, trạng thái cuối được giữ tiếp; RECONSTRUCTED: dựng lại từ ngày duyệt, định danh; ESTIMATED: có phần chia theo tỷ lệ.",
              "FULL; STALE_POSTMART, STALE_VOSO, STALE_BOTH: the platform's day is missing, its last state is carried; RECONSTRUCTED: rebuilt from dates; ESTIMATED: a share was used."),
        Words("sàn nào thiếu một trong năm tập dữ liệu được chấp nhận của ngày (gian hàng, sản phẩm, đơn, hoàn, tài khoản)",
              "which platform lacks an accepted export of the day for one of its five datasets (stores, products, orders, refunds, accounts)"),
        ("KPI §1.4", "RULINGS 14", "RULINGS 16"), (*_STORES, "postmart/products", "voso/products", *_ORDERS[:2], *_REFUNDS, *_ACCOUNTS), additive=False, in_00000=True,
    ),
    Kpi(
        "release_id", Words("Bản phát hành", "Release"), "number", "attribute", "fixed",
        Words("Bản phát hành đã cho dòng này các giá trị hiện tại.", "The release that gave the row its present values."), Words("bi.release", "bi.release"),
        ("KPI §1.11", "KPI §4"), (), additive=False, in_00000=True,
    ),
    Kpi(
        "published_at", Words("Thời điểm phát hành", "Published at"), "moment", "attribute", "fixed",
        Words("Thời điểm của bản phát hành đó.", "The moment of that release."), Words("bi.release", "bi.release"), ("KPI §1.11", "KPI §4"), (), additive=False, in_00000=True,
    ),
)  # fmt: skip

_TO_DATE = tuple(
    _to_date(k) for k in _ALL if k.key in ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd")
)

#: Every measure by its column name, in the order of KPI §4.
KPIS: dict[str, Kpi] = {kpi.key: kpi for kpi in (*_ALL, *_TO_DATE, *_BASES)}

#: A count that is no column of `bi` but that a rate is made of.
STORES_OF_HOUSEHOLDS = Kpi(
    "stores_of_households", Words("Gian hàng của hộ", "Stores of households"), "store", "count", "stock",
    Words("Gian hàng đang tính của hộ gia đình hoặc hộ kinh doanh.", "Counting stores of type household or household business."),
    Words("đếm gian hàng đang tính của hai loại chủ đó", "count of counting stores of those two owner types"), ("RULINGS 2",), (*_STORES, *_LISTS),
    protection=_STORE_CODE, limits=(_STALE, _REBUILT, _SHARED),
)  # fmt: skip
