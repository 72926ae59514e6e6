"""The world behind the sources: people, stores, goods, orders. Pure and seeded; times are naive local times of Asia/Ho_Chi_Minh.

Things happen between 07:00 and 22:00, so the state of a morning at 06:00 is that of the day before.
"""

from __future__ import annotations

import csv
import random
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

FAMILY = [
    "Hoàng",
    "Nông",
    "Lương",
    "Vi",
    "Triệu",
    "Lý",
    "Đặng",
    "Bế",
    "Hà",
    "Chu",
    "Dương",
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Đinh",
    "Mã",
    "Lộc",
    "Vy",
    "Lăng",
    "Liễu",
    "Phùng",
    "Đàm",
    "Bàn",
]
MIDDLE = ["Văn", "Thị", "Đức", "Minh", "Thu", "Ngọc", "Hữu", "Xuân", "Thanh", "Quốc", "Hồng", "Kim", "Bích", "Công", "Tuấn", "Mạnh"]
GIVEN = [
    "Mai",
    "Lan",
    "Hùng",
    "Dũng",
    "Thủy",
    "Hạnh",
    "Tuấn",
    "Nga",
    "Hương",
    "Sơn",
    "Bình",
    "Cường",
    "Hoa",
    "Huệ",
    "Long",
    "Phúc",
    "Thảo",
    "Yến",
    "Quân",
    "Đạt",
    "Hiền",
    "Loan",
    "Tâm",
    "Trang",
    "Vân",
    "Bảo",
    "Kiên",
    "Nhung",
    "Oanh",
    "Thắng",
]
HAMLETS_A = ["Pò", "Nà", "Bản", "Khuổi", "Cốc", "Lũng", "Phai", "Pác", "Làng", "Tân", "Khun", "Kéo", "Nặm", "Co", "Thâm"]
HAMLETS_B = [
    "Bó",
    "Lầu",
    "Mò",
    "Hang",
    "Cũ",
    "Lập",
    "Đồn",
    "Sâu",
    "Giàng",
    "Thành",
    "Chang",
    "Lùng",
    "Cáp",
    "Khoang",
    "Mười",
    "Hả",
    "Tát",
    "Ngần",
    "Luông",
    "Phiêng",
]
GOODS = (
    ("Na Chi Lăng", "Nông sản > Trái cây > Na", "kg", 55_000), ("Hồng vành khuyên", "Nông sản > Trái cây > Hồng", "kg", 40_000),
    ("Hoa hồi khô", "Nông sản > Gia vị > Hồi", "túi", 160_000), ("Thạch đen Tràng Định", "Đặc sản > Thạch", "hộp", 45_000),
    ("Mật ong rừng", "Đặc sản > Mật ong", "chai", 220_000), ("Rau bò khai", "Nông sản > Rau", "bó", 20_000), ("Gà sáu ngón", "Chăn nuôi > Gia cầm", "con", 250_000),
    ("Cao khô Vạn Linh", "Đặc sản > Bún khô", "gói", 60_000), ("Vịt quay móc mật", "Thực phẩm > Chế biến", "con", 280_000), ("Chè Đình Lập", "Đặc sản > Chè", "gói", 90_000),
)  # fmt: skip
PROVINCES = ("Lạng Sơn", "Hà Nội", "Hải Phòng", "Bắc Giang", "Quảng Ninh", "TP Hồ Chí Minh", "Thái Nguyên")
END = datetime(2200, 1, 1)


def fold(text: str) -> str:
    """Lower case without accents."""
    text = unicodedata.normalize("NFD", text.lower()).replace("đ", "d")
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).split())


@dataclass(slots=True)
class Commune:
    code: str
    name: str
    unit_type: str
    district_code: str
    district_name: str
    phase: int
    census: int
    vtp_district: int
    vtp_district_name: str
    vtp_ward: int
    vtp_ward_name: str
    vnpost: str
    hamlets: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Household:
    code: str
    commune: int
    hamlet: str
    head: str
    phone: str | None
    citizen: str | None
    persons: int


@dataclass(slots=True)
class Store:
    platform: str
    code: str
    name: str
    owner_type: str  # HOUSEHOLD, BUSINESS, COOPERATIVE, COMPANY
    owner: str
    phone: str
    citizen: str | None
    commune: int
    hamlet: str
    registered: datetime
    approved: datetime | None
    history: list[tuple[datetime, str]]
    activity: list[datetime] = field(default_factory=list)
    products: list[int] = field(default_factory=list)

    def status(self, at: datetime) -> str:
        """Status just before ``at``; the store exists from its registration."""
        n = bisect_right(self.history, at, key=lambda h: h[0])
        return self.history[max(0, n - 1)][1]

    def last_active(self, at: datetime) -> datetime | None:
        """Last activity up to ``at``."""
        n = bisect_right(self.activity, at)
        return self.activity[n - 1] if n else None

    def updated(self, at: datetime) -> datetime:
        """Last change up to ``at``."""
        n = bisect_right(self.history, at, key=lambda h: h[0])
        return max(self.history[max(0, n - 1)][0], self.last_active(at) or datetime.min)


@dataclass(slots=True)
class Product:
    platform: str
    code: str
    store: int
    name: str
    category: str
    unit: str
    price: int
    grams: int
    stars: int | None
    posted: datetime
    history: list[tuple[datetime, str]]

    def status(self, at: datetime) -> str:
        """Status up to ``at``."""
        n = bisect_right(self.history, at, key=lambda h: h[0])
        return self.history[max(0, n - 1)][1]

    def updated(self, at: datetime) -> datetime:
        """Last change up to ``at``."""
        n = bisect_right(self.history, at, key=lambda h: h[0])
        return self.history[max(0, n - 1)][0]


@dataclass(slots=True)
class Line:
    product: int
    quantity: float
    price: int

    @property
    def amount(self) -> int:
        """Whole VND, rounded half up."""
        return int(self.quantity * self.price + 0.5)


@dataclass(slots=True)
class Order:
    platform: str
    code: str
    number: int
    store: int
    lines: list[Line]
    seller_discount: int
    platform_discount: int
    shipping: int
    payment: str
    receiver: str
    history: list[tuple[datetime, str, str | None]]

    @property
    def created(self) -> datetime:
        """When the buyer placed it."""
        return self.history[0][0]

    @property
    def goods(self) -> int:
        """Sum of the lines, VND."""
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        """What the buyer pays, VND."""
        return self.goods - self.seller_discount - self.platform_discount + self.shipping

    def known(self, at: datetime) -> int:
        """How many of its events have happened up to ``at``."""
        return bisect_right(self.history, at, key=lambda h: h[0])


@dataclass(slots=True)
class Refund:
    platform: str
    code: str
    order: int
    line: int | None
    kind: str  # RETURN, REFUND, BOTH
    amount: int
    reason: str
    history: list[tuple[datetime, str]]  # OPEN, ACCEPTED, DONE, REJECTED


@dataclass(slots=True)
class Account:
    platform: str
    ref: str
    phone: str
    citizen: str | None
    kind: str
    commune: int
    hamlet: str
    opened: datetime
    level: int
    identified: datetime | None
    status: str
    first_used: datetime | None


@dataclass(slots=True)
class Member:
    commune: int
    hamlets: str
    decision: str
    name: str
    birth: int
    position: str
    role: str  # HEAD, DEPUTY, MEMBER
    trained: date | None


@dataclass(slots=True)
class Lead:
    household: int
    goods: str
    stores: dict[str, str]
    recognised: date
    withdrawn: date | None


@dataclass
class World:
    """Everything, for all days; the servers show what has happened by their clock. ``reform``: from which day on the platforms know other units, and
    which ones for a commune's code; ``moved``: how much later than in 2021 everything happens that is no form."""

    first_day: date
    communes: list[Commune]
    households: list[Household] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    moved: timedelta = timedelta()
    reform: tuple[date, dict[str, list[Commune]]] | None = None

    def told(self, commune: int, hamlet: str, day: date) -> Commune:
        """The unit by which a platform knows a place on ``day``. Of a commune that was split each hamlet belongs to one part."""
        c = self.communes[commune]
        if self.reform is None or day < self.reform[0]:
            return c
        ways = self.reform[1][c.code]
        return ways[c.hamlets.index(hamlet) % len(ways) if hamlet in c.hamlets else 0]


@dataclass
class Size:
    """How much of everything. Counts of ``phase1`` are exact at the end of ``at``; others follow from rates."""

    communes: list[str] | None = None
    households: int | None = None
    hamlets: dict[int, int] = field(default_factory=lambda: {1: 1020, 2: 685})
    at: date = date(2021, 9, 15)
    with_store: dict[int, int] = field(default_factory=lambda: {1: 48_706, 2: 3_100})
    store_base: int = 1_015
    both_share: float = 0.066
    with_account: dict[int, int] = field(default_factory=lambda: {1: 24_808, 2: 1_900})
    account_share: float = 0.45  # at most, of a commune's households with a phone
    account_base: int = 302
    products: dict[int, int] = field(default_factory=lambda: {1: 4_300, 2: 420})
    valid_orders: dict[int, int] = field(default_factory=lambda: {1: 6_995, 2: 640})
    leads: dict[int, int] = field(default_factory=lambda: {1: 2_409, 2: 210})
    team_hamlets: dict[int, int] = field(default_factory=lambda: {1: 998, 2: 140})
    trained: dict[int, int] = field(default_factory=lambda: {1: 3_119, 2: 430})
    orders_from: date = date(2021, 7, 20)
    orders_per_day_after: int = 130
    days_after: int = 10
    growth: int | None = 145


def reference() -> list[Commune]:
    """The 200 communes of 2021 with their census households and the platforms' codes."""
    with open(Path(__file__).parent / "data" / "communes.csv", encoding="utf-8", newline="") as f:
        return [
            Commune(
                r["code"], r["name"], r["unit_type"], r["district_code"], r["district_name"], int(r["phase"]), int(r["households_2019"]), int(r["vtp_district_id"]),
                r["vtp_district_name"], int(r["vtp_wards_id"]), r["vtp_wards_name"], r["vnpost_commune_code"],
            )
            for r in csv.DictReader(f)
        ]  # fmt: skip


def shares(total: int, weights: list[float], caps: list[int]) -> list[int]:
    """``total`` in whole parts by ``weights``, none above its cap (largest remainder)."""
    if total > sum(caps):
        raise ValueError(f"{total} do not fit into {sum(caps)}")
    parts, left, open_ = [0] * len(weights), total, set(range(len(weights)))
    while left > 0:
        weight = sum(weights[i] for i in open_) or 1.0
        exact = {i: left * weights[i] / weight for i in open_}
        add = {i: min(int(exact[i]), caps[i] - parts[i]) for i in open_}
        if not any(add.values()):
            for i in sorted(open_, key=lambda i: (-(exact[i] % 1), i))[:left]:
                add[i] = 1
        for i, n in add.items():
            parts[i] += n
            left -= n
        open_ = {i for i in open_ if parts[i] < caps[i]}
    return parts


class Maker:
    """Makes a world, step by step, from one random source."""

    def __init__(self, size: Size, seed: int, first_day: date) -> None:
        self.size, self.first_day = size, first_day
        self.r = random.Random(seed)
        wanted = reference()
        if size.communes is not None:
            by_code = {c.code: c for c in wanted}
            wanted = [by_code[c] for c in size.communes]
        self.w = World(first_day, wanted)
        self.numbers = {"PM": 1_000, "VS": 4_000}
        self.last = datetime.combine(size.at, time(23, 59, 59))

    # ---- helpers ----

    def at(self, day: date) -> datetime:
        """Some moment of ``day`` between 07:00 and 21:30."""
        return datetime.combine(day, time(7)) + timedelta(seconds=self.r.randrange(52_200))

    def day(self, first: date, last: date) -> date:
        """Some day of [first, last]."""
        return first + timedelta(days=self.r.randrange((last - first).days + 1))

    def awake(self, moment: datetime) -> datetime:
        """``moment``, moved out of the night."""
        if moment.hour < 7:
            return moment.replace(hour=7, minute=self.r.randrange(60))
        if moment.hour >= 22:
            return (moment + timedelta(days=1)).replace(hour=8, minute=self.r.randrange(60))
        return moment

    def name(self) -> str:
        """A person's name; invented."""
        r = self.r
        return f"{r.choice(FAMILY)} {r.choice(MIDDLE)} {r.choice(GIVEN)}"

    def of_phase(self, phase: int) -> list[int]:
        """Communes of a phase."""
        return [i for i, c in enumerate(self.w.communes) if c.phase == phase]

    # ---- steps ----

    def make(self) -> World:
        """The whole world."""
        self.people()
        for phase in (1, 2):
            if self.of_phase(phase):
                chosen = self.shops(phase)
                self.wallets(phase, chosen)
                self.goods(phase)
                self.trade(phase)
                self.teams(phase)
                self.lead_households(phase, chosen)
        if self.size.growth:
            self.base_revenue()
        self.settle()
        return self.w

    def people(self) -> None:
        """Hamlets and households."""
        w, r, size = self.w, self.r, self.size
        total = sum(c.census for c in w.communes)
        for phase in (1, 2):
            mine = self.of_phase(phase)
            if not mine:
                continue
            more = shares(size.hamlets[phase] - len(mine), [w.communes[i].census for i in mine], [60] * len(mine))
            for i, n in zip(mine, (1 + m for m in more), strict=True):
                names = [f"{a} {b}" for a in HAMLETS_A for b in HAMLETS_B]
                r.shuffle(names)
                kind = "Khối" if w.communes[i].unit_type == "Phường" else "Thôn"
                w.communes[i].hamlets = [f"{kind} {n}" for n in names[:n]]
        serial = 0
        for i, c in enumerate(w.communes):
            count = c.census if size.households is None else round(c.census * size.households / total)
            if size.households is not None and i == len(w.communes) - 1:
                count = size.households - serial
            sizes = shares(count, [r.uniform(0.6, 1.4) for _ in c.hamlets], [2000] * len(c.hamlets))
            for hamlet, n in zip(c.hamlets, sizes, strict=True):
                for _ in range(n):
                    serial += 1
                    phone = None if r.random() < 0.02 else f"0900{serial:06d}"
                    citizen = None if r.random() < 0.08 else f"0200{serial:08d}"
                    w.households.append(Household(f"20{c.code}{serial:07d}", i, hamlet, self.name(), phone, citizen, 1 + int(r.triangular(0, 8, 3))))

    def shops(self, phase: int) -> list[int]:
        """Stores: households that count, exactly; around them closed, refused, waiting ones, cooperatives and strangers."""
        w, r, size = self.w, self.r, self.size
        mine = self.of_phase(phase)
        by_commune: dict[int, list[int]] = {i: [] for i in mine}
        for n, h in enumerate(w.households):
            if h.commune in by_commune and h.phone:
                by_commune[h.commune].append(n)
        weights = [len(by_commune[i]) * r.uniform(0.75, 1.25) for i in mine]
        counts = shares(size.with_store[phase], weights, [int(len(by_commune[i]) * 0.85) for i in mine])
        chosen: list[int] = []
        for i, n in zip(mine, counts, strict=True):
            r.shuffle(by_commune[i])
            chosen += by_commune[i][:n]
        order = chosen[:]
        r.shuffle(order)
        base = set(order[: size.store_base]) if phase == 1 else set(order[: max(1, len(order) // 60)])
        kick_off = date(2021, 7, 20)
        recent = order[-max(3, len(order) // 40) :]
        d0 = self.first_day
        for n in chosen:
            h = w.households[n]
            if n in base:
                approved = self.day(date(2021, 3, 1), kick_off - timedelta(days=1))
            else:
                approved = self.day(kick_off, d0)
            both = r.random() < size.both_share
            platforms = ["PM", "VS"] if both else ["PM" if r.random() < 0.54 else "VS"]
            for k, platform in enumerate(platforms):
                self.store(platform, h, approved if k == 0 else self.day(approved, d0))
        for n in recent:  # approved on the days of the daily deliveries
            if n not in base and size.at > d0:
                for s in [s for s in w.stores if s.phone == w.households[n].phone] if len(w.stores) < 500 else self._stores_of(n):
                    moment = self.at(self.day(d0 + timedelta(days=1), size.at))
                    s.registered, s.approved = moment - timedelta(minutes=20), moment
                    s.history = [(s.registered, "PENDING"), (moment, "ACTIVE")]
                    s.activity = [moment]
        taken = set(chosen)
        rest = [n for i in mine for n in by_commune[i] if n not in taken]
        r.shuffle(rest)
        some = max(2, len(chosen) // 50)
        for n in rest[:some]:
            state = r.choice(["PENDING", "REJECTED", "CLOSED", "BLOCKED", "LEAVES"])
            s = self.store(r.choice(["PM", "VS"]), w.households[n], self.day(kick_off, d0))
            first, second = s.history[0], s.history[1]
            if state == "PENDING":
                s.history, s.approved = [first], None
            elif state == "REJECTED":
                s.history, s.approved = [first, (second[0], "REJECTED")], None
            elif state == "LEAVES" and size.at > d0:
                s.history.append((self.at(self.day(d0 + timedelta(days=1), size.at)), "CLOSED"))
            else:
                s.history.append((second[0] + timedelta(hours=1), "BLOCKED" if state == "BLOCKED" else "CLOSED"))
        for _ in range(some):  # nobody of the register: cooperatives, companies, households with a number that nobody knows
            kind = r.choice(["COOPERATIVE", "COMPANY", "HOUSEHOLD", "BUSINESS"])
            i = r.choice(mine)
            c = w.communes[i]
            self.strangers = getattr(self, "strangers", 0) + 1
            label = {"COOPERATIVE": "HTX", "COMPANY": "Công ty"}.get(kind)
            owner = f"{label} {r.choice(GOODS)[0]} {self.strangers}" if label else f"Khách Lạ {self.strangers} {self.name()}"
            stranger = Household("", i, r.choice(c.hamlets), owner, f"0909{self.strangers:06d}", None, 0)
            self.store(r.choice(["PM", "VS"]), stranger, self.day(kick_off, d0), kind)
        return chosen

    def _stores_of(self, household: int) -> list[Store]:
        if not hasattr(self, "_by_phone") or self._by_phone_at != len(self.w.stores):
            self._by_phone: dict[str, list[Store]] = {}
            for s in self.w.stores:
                self._by_phone.setdefault(s.phone, []).append(s)
            self._by_phone_at = len(self.w.stores)
        phone = self.w.households[household].phone
        return self._by_phone.get(phone or "", [])

    def store(self, platform: str, h: Household, approved: date, kind: str | None = None) -> Store:
        """A store of a household, approved on that day and open since; now and then paused."""
        r, w = self.r, self.w
        self.numbers[platform] += 1
        number = self.numbers[platform]
        code = f"PMS{number:07d}" if platform == "PM" else str(8_800_000_000_000_000 + number)
        moment = self.at(approved)
        registered = moment - timedelta(hours=r.choice([0, 24, 48]), minutes=30)
        kind = kind or ("HOUSEHOLD" if r.random() < 0.9 else "BUSINESS")
        goods = r.choice(GOODS)[0]
        history = [(registered, "PENDING"), (moment, "ACTIVE")]
        if r.random() < 0.03:
            pause = self.awake(moment + timedelta(days=r.randrange(1, 20)))
            if pause < datetime.combine(self.first_day, time()):
                history.append((pause, "PAUSED"))
        s = Store(
            platform,
            code,
            f"{goods} – Nhà {h.head}",
            kind,
            h.head,
            h.phone or "",
            h.citizen if platform == "VS" else None,
            h.commune,
            h.hamlet,
            registered,
            moment,
            history,
        )
        s.activity = [moment]
        if approved < self.first_day and r.random() < 0.6:
            s.activity.append(self.at(self.day(approved + timedelta(days=1), self.first_day)))
        w.stores.append(s)
        return s

    def wallets(self, phase: int, with_store: list[int]) -> None:
        """Accounts: households that count, exactly; around them those that are not identified, blocked or of strangers."""
        w, r, size = self.w, self.r, self.size
        mine = set(self.of_phase(phase))
        owners = [n for n in with_store if r.random() < 0.42]
        others = [n for n, h in enumerate(w.households) if h.commune in mine and h.phone]
        r.shuffle(others)
        r.shuffle(owners)
        seen, picked = set(), []
        per_commune: dict[int, int] = {}
        room: dict[int, int] = {}
        for n in others:
            room[w.households[n].commune] = room.get(w.households[n].commune, 0) + 1
        for n in owners + others:
            c = w.households[n].commune
            if n not in seen and per_commune.get(c, 0) < size.account_share * room[c] and len(picked) < size.with_account[phase]:
                seen.add(n)
                picked.append(n)
                per_commune[c] = per_commune.get(c, 0) + 1
        if len(picked) != size.with_account[phase]:
            raise ValueError(f"only {len(picked)} households can have an account")
        base = set(r.sample(picked, size.account_base if phase == 1 else max(1, len(picked) // 80)))
        kick_off, d0 = date(2021, 7, 20), self.first_day
        late = set(picked[-max(2, len(picked) // 40) :]) - base if size.at > d0 else set()
        for n in picked:
            h = w.households[n]
            first, last = (date(2021, 2, 1), kick_off - timedelta(days=1)) if n in base else (kick_off, d0)
            opened = self.at(self.day(d0 + timedelta(days=1), size.at) if n in late else self.day(first, last))
            platforms = ["PM", "VS"] if r.random() < 0.09 else ["PM" if r.random() < 0.41 else "VS"]
            for platform in platforms:
                self.account(platform, h, opened, r.choice([1, 1, 2]), "ACTIVE")
        rest = [n for n in others if n not in seen][: max(3, len(picked) // 30)]
        for n in rest:
            level, status = r.choice([(0, "PENDING"), (0, "ACTIVE"), (1, "BLOCKED"), (2, "CLOSED")])
            self.account(r.choice(["PM", "VS"]), w.households[n], self.at(self.day(kick_off, d0)), level, status)
        for k in range(max(1, len(picked) // 200)):
            i = r.choice(sorted(mine))
            stranger = Household("", i, "", "", f"09080{phase}{k:04d}", None, 0)
            self.account(r.choice(["PM", "VS"]), stranger, self.at(self.day(kick_off, d0)), 1, "ACTIVE")

    def account(self, platform: str, h: Household, opened: datetime, level: int, status: str) -> None:
        """One wallet account."""
        r = self.r
        number = len(self.w.accounts) + 1
        kind = r.choice(["WALLET", "WALLET", "LINKED"] if platform == "PM" else ["WALLET", "MOBILE", "LINKED"])
        ref = f"PP-{number:08x}" if platform == "PM" else f"VM{number:010d}"
        used = opened + timedelta(hours=1) if r.random() < 0.5 else None
        self.w.accounts.append(
            Account(platform, ref, h.phone or "", h.citizen, kind, h.commune, h.hamlet, opened, level, opened if level else None, status, used)
        )

    def counting(self, phase: int) -> list[int]:
        """Stores of the phase that are open at the end of the calibrated day and were before the daily deliveries began."""
        mine, d0 = set(self.of_phase(phase)), datetime.combine(self.first_day, time())
        return [
            n for n, s in enumerate(self.w.stores)
            if s.commune in mine and s.status(self.last) in ("ACTIVE", "PAUSED") and s.approved and s.approved < d0 and s.owner_type in ("HOUSEHOLD", "BUSINESS")
        ]  # fmt: skip

    def goods(self, phase: int) -> None:
        """Products: on sale exactly as many as wanted; some hidden, sold out or deleted beside them."""
        w, r, size = self.w, self.r, self.size
        stores = self.counting(phase)
        early = [n for n in stores if (w.stores[n].approved or END) < datetime(2021, 7, 8)]
        sellers = (early if phase == 1 else [])[:80] + r.sample(stores, min(len(stores), max(5, size.products[phase] * 6 // 10)))
        for k in range(size.products[phase]):
            s = sellers[k] if k < min(len(sellers), 200) else r.choice(sellers)
            self.product(s, "ON_SALE", new=k % 60 == 59)
        for _ in range(size.products[phase] // 12):
            self.product(r.choice(sellers), r.choice(["OUT_OF_STOCK", "HIDDEN", "PENDING", "DELETED"]))

    def product(self, store: int, status: str, new: bool = False) -> int:
        """A product of a store."""
        r, w = self.r, self.w
        s = w.stores[store]
        name, category, unit, price = r.choice(GOODS)
        number = len(w.products) + 1
        grams = r.choice([500, 1000, 2000, 250])
        price = max(1000, round(price * r.uniform(0.8, 1.4) / 1000) * 1000)
        posted = (s.approved or s.registered) + timedelta(hours=2)
        if new and self.size.at > self.first_day:
            posted = self.at(self.day(self.first_day + timedelta(days=1), self.size.at))
        posted = self.awake(posted)
        history = [(posted, "ON_SALE")] if status == "ON_SALE" else [(posted, "ON_SALE"), (self.awake(posted + timedelta(days=1)), status)]
        title = f"{name} {grams // 1000 or 0.5:g}kg" + (f'; loại {r.choice("12")} "{unit}"' if r.random() < 0.05 else "")
        code = str(40_000 + number) if s.platform == "PM" else str(5_500_000_000_000_000 + number)
        w.products.append(Product(s.platform, code, store, title, category, unit, price, grams, r.choice([None, None, None, 3, 4]), posted, history))
        s.products.append(len(w.products) - 1)
        return len(w.products) - 1

    def trade(self, phase: int) -> None:
        """Orders of the campaign's days: exactly as many valid ones as wanted, a tenth as many cancelled; then some days more."""
        w, r, size = self.w, self.r, self.size
        sellers = [
            n
            for n in self.counting(phase)
            if w.stores[n].products and any(w.products[p].posted < datetime.combine(self.first_day, time()) for p in w.stores[n].products)
        ]
        if not sellers:
            return
        weights = [r.paretovariate(1.2) for _ in sellers]
        valid = size.valid_orders[phase]
        cancelled = round(valid * 0.111)
        span = (size.at - size.orders_from).days
        for k in range(valid + cancelled):
            store = r.choices(sellers, weights)[0]
            s = w.stores[store]
            opened = max(size.orders_from, min(((s.approved or s.registered) + timedelta(days=1)).date(), size.at))
            day = opened + timedelta(days=int((size.at - opened).days * r.random() ** 0.7 + 0.5))
            if k < cancelled:
                day = min(day, size.at - timedelta(days=2))
                if day < opened:
                    day = opened if opened <= size.at - timedelta(days=1) else size.at - timedelta(days=1)
            self.order(store, day, "cancelled" if k < cancelled else None)
        del span
        share = valid / max(1, sum(size.valid_orders[p] for p in (1, 2) if self.of_phase(p)))
        for n in range(1, size.days_after + 1):
            for _ in range(round(size.orders_per_day_after * share)):
                self.order(r.choices(sellers, weights)[0], size.at + timedelta(days=n), "cancelled" if r.random() < 0.1 else None)

    def order(self, store: int, day: date, fate: str | None = None, code: str | None = None) -> int:
        """One order with its whole life; cancelled ones end within a day, the others never are cancelled."""
        w, r = self.w, self.r
        s = w.stores[store]
        created = self.at(day)
        if s.approved and created < s.approved:
            created = self.awake(s.approved + timedelta(hours=3))
        on_sale = [p for p in s.products if w.products[p].posted <= created] or s.products[:1]
        lines = []
        for p in r.sample(on_sale, min(len(on_sale), r.choice([1, 1, 1, 2, 3]))):
            weighted = s.platform == "PM" and w.products[p].unit == "kg" and r.random() < 0.4
            lines.append(Line(p, r.randrange(5, 60) / 10 if weighted else r.randrange(1, 6), w.products[p].price))
        goods = sum(line.amount for line in lines)
        number = len(w.orders) + 1
        code = code or f"{s.platform}{created:%y%m%d}{number:07d}"
        history: list[tuple[datetime, str, str | None]] = [(created, "CREATED", None)]
        fate = fate or r.choices(["delivered", "returned", "refunded", "completed"], [60, 8, 2, 30])[0]
        if fate == "cancelled":
            reason = r.choice(["NGUOI_MUA", "NGUOI_BAN", "TU_DONG_24H"] if s.platform == "VS" else ["Người mua đổi ý", "Hết hàng", "Hệ thống hủy"])
            history.append((self.awake(created + timedelta(hours=r.randrange(1, 20))), "CANCELLED", reason))
        else:
            confirmed = self.awake(created + timedelta(hours=r.randrange(1, 12)))
            shipped = self.awake(confirmed + timedelta(hours=r.randrange(8, 30)))
            arrived = self.awake(shipped + timedelta(days=r.choice([1, 1, 2, 3, 4]) if r.random() > 0.05 else r.randrange(8, 14)))
            history += [(confirmed, "CONFIRMED", None), (shipped, "SHIPPED", None)]
            if fate == "returned":
                back = self.awake(arrived + timedelta(days=2))
                history += [
                    (arrived, "DELIVERY_FAILED", None),
                    (back, "RETURNING", "Không liên lạc được"),
                    (self.awake(back + timedelta(days=3)), "RETURNED", "Không liên lạc được"),
                ]
            else:
                history.append((arrived, "DELIVERED", None))
                if fate == "completed":
                    history.append((self.awake(arrived + timedelta(days=7)), "COMPLETED", None))
                elif fate == "refunded":
                    given = self.awake(arrived + timedelta(days=r.randrange(2, 6)))
                    history.append((given, "REFUNDED", "Hàng dập"))
        provinces = PROVINCES[:1] * 4 + PROVINCES
        discount = round(goods * 0.05 / 1000) * 1000 if r.random() < 0.15 else 0
        self.w.orders.append(
            Order(
                s.platform, code, number, store, lines, discount, 5_000 if s.platform == "VS" and r.random() < 0.1 and goods > 20_000 else 0,
                r.choice([0, 15_000, 20_000, 27_500, 35_000]), r.choice(["COD", "COD", "WALLET", "TRANSFER", "CARD"]), r.choice(provinces), history,
            )
        )  # fmt: skip
        if fate == "refunded":
            self.refund(len(w.orders) - 1, history[-2][0], history[-1][0], goods - discount)
        return len(w.orders) - 1

    def refund(self, order: int, after: datetime, done: datetime, amount: int, status: str = "DONE", line: int | None = None) -> None:
        """A give-back, asked for after delivery and completed at ``done``."""
        o = self.w.orders[order]
        number = len(self.w.refunds) + 1
        asked = min(self.awake(after + timedelta(hours=20)), done - timedelta(minutes=30))
        code = f"HT{asked:%y%m%d}{number:06d}" if o.platform == "PM" else str(9_900_000_000_000_000 + number)
        self.w.refunds.append(Refund(o.platform, code, order, line, "BOTH", amount, "Hàng dập", [(asked, "OPEN"), (done, status)]))

    def base_revenue(self) -> None:
        """Orders before the kick-off whose net revenue is the wanted fraction of that of the campaign, to the đồng."""
        w, size = self.w, self.size
        first, last = datetime(2021, 7, 20), self.last
        mine = set(self.of_phase(1))
        net = 0
        for o in w.orders:
            delivered = next((t for t, state, _ in o.history if state == "DELIVERED"), None)
            if w.stores[o.store].commune in mine and delivered and first <= delivered <= last:
                net += o.goods - o.seller_discount
        for refund in w.refunds:
            done = next((t for t, state in refund.history if state == "DONE"), None)
            if w.stores[w.orders[refund.order].store].commune in mine and done and first <= done <= last:
                net -= refund.amount
        wanted = round(net / (size.growth or 1))
        sellers = [n for n in self.counting(1) if (w.stores[n].approved or END) < datetime(2021, 7, 8) and w.stores[n].products]
        each = 400_000
        count = max(1, wanted // each)
        for k in range(count):
            price = each if k < count - 1 else wanted - each * (count - 1)
            n = self.order(self.r.choice(sellers), date(2021, 7, 9), "delivered")
            o = w.orders[n]
            o.seller_discount, o.platform_discount = 0, 0
            o.lines = [Line(o.lines[0].product, 1, price)]
            when = datetime(2021, 7, 9, 9) + timedelta(minutes=k)
            o.code = f"{o.platform}{when:%y%m%d}{o.number:07d}"
            o.history = [
                (when, "CREATED", None),
                (when + timedelta(hours=2), "CONFIRMED", None),
                (when + timedelta(days=1), "SHIPPED", None),
                (when + timedelta(days=4), "DELIVERED", None),
            ]

    def teams(self, phase: int) -> None:
        """Community teams: hamlets with a full team and trained people exactly as wanted; some share one, some are incomplete."""
        w, r, size = self.w, self.r, self.size
        hamlets = [(i, h) for i in self.of_phase(phase) for h in w.communes[i].hamlets]
        wanted = size.team_hamlets[phase]
        r.shuffle(hamlets)
        full, rest = sorted(hamlets[:wanted]), hamlets[wanted:]
        teams: list[tuple[int, str]] = []
        k = 0
        while k < len(full):
            i, h = full[k]
            if k + 1 < len(full) and full[k + 1][0] == i and len(teams) % 48 == 47:
                teams.append((i, f"{h}, {full[k + 1][1]}"))
                k += 2
            else:
                teams.append((i, h))
                k += 1
        incomplete = sorted(rest[: (len(rest) * 2) // 3])[:200]
        extra = size.trained[phase] - 3 * len(teams) - len(incomplete)
        if extra < 0:
            incomplete, extra = incomplete[: max(0, len(incomplete) + extra)], 0
            extra = size.trained[phase] - 3 * len(teams) - len(incomplete)
        bonus = shares(extra, [1.0] * len(teams), [10] * len(teams))
        for (i, text), more in zip(teams, bonus, strict=True):
            self.team(i, text, 3 + more, 0)
        for i, text in incomplete:
            self.team(i, text, 1, r.choice([0, 1]))

    def team(self, commune: int, hamlets: str, trained: int, untrained: int) -> None:
        """Head first; the head is trained where there are three, so that two others are."""
        r = self.r
        number = len(self.w.members) % 90 + 1
        decision = f"{number}/QĐ-UBND ngày {r.randrange(20, 31)}/7/2021"
        for k in range(trained + untrained):
            role = "HEAD" if k == 0 else ("DEPUTY" if k == 3 else "MEMBER")
            on = self.day(date(2021, 7, 26), date(2021, 9, 3)) if k < trained else None
            position = "Trưởng thôn" if k == 0 else r.choice(["Bí thư chi bộ", "Đoàn TN", "Hội Phụ nữ", "Hội Nông dân"])
            self.w.members.append(Member(commune, hamlets, decision, self.name(), r.randrange(1955, 2000), position, role, on))

    def lead_households(self, phase: int, with_store: list[int]) -> None:
        """Lead households: exactly as wanted at the end of the calibrated day; some withdrawn before, some recognised later."""
        w, r, size = self.w, self.r, self.size
        picked = r.sample(with_store, min(len(with_store), size.leads[phase] + 6))
        exact, others = picked[: size.leads[phase]], picked[size.leads[phase] :]
        for k, n in enumerate(exact + others):
            s = {x.platform: x.code for x in self._stores_of(n)}
            recognised = self.day(date(2021, 7, 25), date(2021, 9, 9))
            withdrawn = None
            if k >= len(exact):
                withdrawn = date(2021, 9, 10)
            w.leads.append(Lead(n, r.choice(GOODS)[0], s, recognised, withdrawn))

    def settle(self) -> None:
        """Orders are activity of their stores."""
        for o in self.w.orders:
            self.w.stores[o.store].activity.append(o.created)
        for s in self.w.stores:
            s.activity.sort()
