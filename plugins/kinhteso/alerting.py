"""What a person has to know: one message per cause, not per task, retry or run (STYLE 9).

A cause is a row of `ops.alert` under a key of its own. `collect` finds the causes that stand now, set-based, from the ledger, the checks, the
quarantine and the builds, and joins those that somebody else saw (a DAG file that does not parse, a run past its deadline). `tell` sends each
once, reminds of it, and says once when it is over. Sending is claimed in the database, so that two runs never send the same; a claim whose
holder died is taken over after `CLAIM_MINUTES`, so a message goes out at least once.

Nothing here knows Airflow or a mail server: sinks are functions that take a `Message` (see `notifying`).
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from kinhteso import contracts, mishaps

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
DEADLINE = time(9, 0)  # EXPORTS §9.1
CLAIM_MINUTES = 10
#: At most so many messages in one go; the rest follows with the next look.
MESSAGES_AT_ONCE = 20
WORDS_LENGTH = 1500

log = logging.getLogger("kinhteso.alert")


@dataclass(frozen=True)
class Limits:
    """Limits of what is told; KINHTESO_ALERT_* in the environment (.env.example).

    ``remind_hours``: first reminder, each further one after twice the time; ``quarantine_rows``, ``quarantine_share``: open rows of one export;
    ``release_hours``: age of the newest release; ``stuck_hours``: an export on its way, a build that runs.
    """

    remind_hours: float = 24
    quarantine_rows: int = 50
    quarantine_share: float = 0.01
    release_hours: float = 30
    stuck_hours: float = 6

    @classmethod
    def from_environment(cls) -> Limits:
        """Read KINHTESO_ALERT_<NAME>; raises ValueError naming a value that is no number."""
        given: dict[str, Any] = {}
        for name, default in cls().__dict__.items():
            if text := os.environ.get(variable := f"KINHTESO_ALERT_{name.upper()}"):
                try:
                    given[name] = type(default)(float(text))
                except ValueError:
                    raise ValueError(f"{variable} is {text!r}, must be a number (.env.example)") from None
        return cls(**given)


@dataclass(frozen=True)
class Kind:
    """A kind of cause: its runbook, and what a message of it says; ``{what}`` is dataset, file or DAG, ``{when}`` the day."""

    runbook: str
    vi: str
    en: str
    next_vi: str
    next_en: str
    is_warning: bool = False


KINDS: dict[str, Kind] = {
    "login_refused": Kind(
        "login-refused", "Nguồn từ chối đăng nhập: {what}", "Login refused: {what}",
        "Hỏi nền tảng xem mật khẩu hoặc máy chủ có đổi không, sửa kết nối, rồi chạy lại (clear) tác vụ đỏ. Chưa sửa thì không thử lại: dễ bị khóa tài khoản.",
        "Ask the platform whether password or server changed, correct the connection, then clear the red task. Do not try again before: it may lock.",
    ),
    "unreachable": Kind(
        "export-late", "Không kết nối được nguồn: {what}", "Source does not answer: {what}",
        "Kiểm tra mạng và máy chủ của nền tảng; các lần chạy sau tự hỏi lại các ngày còn thiếu (35 ngày).",
        "Check the network and the platform's server; later runs ask again for the missing days by themselves (35 days).",
    ),
    "export_missing": Kind(
        "export-late", "Quá hạn, chưa có dữ liệu: {what}, {when}", "Missing past its deadline: {what}, {when}",
        "Xem hộp gửi của nguồn rồi hỏi nền tảng; dữ liệu đến sau được lấy tự động và công bố lại.",
        "Look at what the source offers, then ask the platform; what comes later is taken and released by itself.",
    ),
    "export_refused": Kind(
        "export-rejected", "Gói dữ liệu hỏng, chưa nhận: {what}, {when}", "Damaged delivery, not taken: {what}, {when}",
        "Yêu cầu nguồn gửi lại bản có số phiên bản cao hơn; lần chạy sau tự nhận.",
        "Ask the source for a higher version; the next run takes it by itself.",
    ),
    "export_rejected": Kind(
        "export-rejected", "Dữ liệu bị từ chối: {what}, {when}", "Delivery rejected: {what}, {when}",
        "Đọc quy tắc và các khóa dưới đây. Dữ liệu sai: yêu cầu nguồn gửi phiên bản cao hơn. Quy tắc sai: sửa expectations/, rồi make replay ngày đó.",
        "Read rule and keys below. Wrong data: ask the source for a higher version. Wrong rule: correct expectations/, then make replay that day.",
    ),
    "export_stuck": Kind(
        "run-failed", "Dữ liệu kẹt giữa chừng: {what}, {when}", "Stuck on its way: {what}, {when}",
        "Mở tác vụ đỏ load hoặc judge, đọc lỗi, chạy lại (clear); dữ liệu vẫn còn nguyên trong vùng đến (landing).",
        "Open the red load or judge, read its error, clear it; what came is whole in the landing.",
    ),
    "content_changed": Kind(
        "export-rejected", "Cùng tên nhưng nội dung khác: {what}, {when}", "Same name, other content: {what}, {when}",
        "Bản đã nhận giữ nguyên hiệu lực. Hỏi nguồn bản nào đúng; bản sửa phải có số phiên bản cao hơn.",
        "What was taken stays in force. Ask the source which is right; a correction has to come as a higher version.",
    ),
    "check_failed": Kind(
        "check-failed", "Số liệu bất thường, cần xem lại: {what}, {when}", "Counts, but a check failed: {what}, {when}",
        "Dữ liệu vẫn được tính. Đọc quy tắc, hỏi nguồn số liệu có đúng không; sai thì yêu cầu gửi phiên bản cao hơn.",
        "The data count. Read the rule, ask the source whether they are right; if not, ask for a higher version.",
    ),
    "quarantine_growing": Kind(
        "quarantine-growing", "Nhiều dòng bị cách ly: {what}, {when}", "Many rows in quarantine: {what}, {when}",
        "Xem quy tắc và các khóa; sửa bảng mã, từ điển hoặc hỏi nguồn, rồi make replay-quarantine; dòng thật sự sai: make dismiss-quarantine kèm lý do.",
        "Read rules and keys; correct map or words, or ask the source, then make replay-quarantine; rows that are wrong: make dismiss-quarantine REASON=….",
        True,
    ),
    "commune_unknown": Kind(
        "commune-code-unknown", "Mã xã chưa biết: {what}, {when}", "Commune code unknown: {what}, {when}",
        "Các dòng này đang tính cho toàn tỉnh (xã 00000). Thêm mã vào bảng quy đổi, rồi chạy lại ngày.",
        "These rows count for the province only (commune 00000). Add the code to the crosswalk, then replay the day.",
        True,
    ),
    "word_unknown": Kind(
        "status-word-unknown", "Trạng thái đơn hàng chưa biết: {what}, {when}", "Order status unknown: {what}, {when}",
        "Đơn hàng vẫn giữ với trạng thái UNKNOWN. Hỏi nguồn ý nghĩa, thêm vào bảng từ hoặc mã trạng thái, rồi chạy lại ngày.",
        "The orders stay, as UNKNOWN. Ask the source what it means, add it to the seeds of words or codes, then replay the day.",
        True,
    ),
    "source_stale": Kind(
        "form-stale", "Biểu đã cũ, chưa có bản mới: {what}", "Form is old, no newer one came: {what}",
        "Nhắc huyện, xã gửi biểu của kỳ này; số liệu vẫn dùng bản mới nhất đã nhận.",
        "Remind the districts and communes to send this period's form; the newest one taken stays in use.",
        True,
    ),
    "form_unknown": Kind(
        "export-rejected", "Biểu mẫu không nhận ra: {what}", "Form that nobody can name: {what}",
        "Đổi tên tệp theo mẫu (Bieu01 … Bieu05) hoặc đưa ra khỏi hộp thư đến.",
        "Rename the file (Bieu01 … Bieu05) or take it out of the inbox.",
    ),
    "build_failed": Kind(
        "build-failed", "Không dựng được kho dữ liệu: {what}", "The warehouse was not built: {what}",
        "Bản công bố cũ vẫn nguyên. Xem dòng lỗi trong schema dbt_failures, sửa mô hình, bảng mã hoặc nguồn, rồi chạy lại warehouse_daily.",
        "The last release stands. Read the failing rows in schema dbt_failures, mend model, seed or source, then clear warehouse_daily.",
    ),
    "build_stuck": Kind(
        "build-failed", "Dựng kho dữ liệu chưa xong: {what}", "A build that does not end: {what}",
        "Xem tác vụ build/publish của warehouse_daily còn chạy không; nếu đã chết thì chạy lại (clear).",
        "See whether build or publish of warehouse_daily still runs; if it died, clear it.",
    ),
    "release_late": Kind(
        "run-late", "Bản công bố mới nhất đã cũ: {what}", "The newest release is old: {what}",
        "Kiểm tra scheduler và các lần chạy đêm qua; rồi chạy day_close hoặc warehouse_daily bằng tay.",
        "Check the scheduler and last night's runs; then trigger day_close or warehouse_daily by hand.",
    ),
    "run_late": Kind(
        "run-late", "Quá hạn, chưa chạy xong: {what}, {when}", "Past its deadline and not done: {what}, {when}",
        "Mở lần chạy này, xem tác vụ nào còn chờ hoặc còn chạy, và chờ gì.",
        "Open this run, see which task waits or runs, and for what.",
    ),
    "run_failed": Kind(
        "run-failed", "Lần chạy bị lỗi: {what}, {when}", "A run failed: {what}, {when}",
        "Mở tác vụ đỏ của lần chạy này, đọc thông báo cuối, sửa, rồi chạy lại (clear).",
        "Open the red task of this run, read its last message, mend, then clear it.",
    ),
    "task_failed": Kind(
        "run-failed", "Tác vụ bị lỗi ngoài dự kiến: {what}, {when}", "A task failed in a way no rule foresees: {what}, {when}",
        "Đọc nhật ký của tác vụ, sửa nguyên nhân, rồi chạy lại (clear). Chạy lại không làm hỏng gì.",
        "Read the task's log, mend the cause, then clear it. Running again does no harm.",
    ),
    "disk_full": Kind(
        "disk-full", "Ổ đĩa đầy: {what}", "A disk is full: {what}",
        "Giải phóng chỗ (nhật ký cũ, bản sao lưu cũ; không xóa vùng đến, không xóa pg_wal), rồi chạy lại (clear) tác vụ đỏ.",
        "Make room (old logs, old backups; never the landing, never pg_wal), then clear the red tasks.",
    ),
    "dag_unparsable": Kind(
        "dag-does-not-parse", "Tệp DAG không đọc được: {what}", "A DAG file does not parse: {what}",
        "Các DAG trong tệp này không chạy. Sửa tệp hoặc đưa phiên bản trước trở lại.",
        "The DAGs of this file do not run. Mend the file or put the version before back.",
    ),
    "reconciliation_differs": Kind(
        "reconciliation-differs", "Đối soát lệch: {what}, {when}", "Reconciliation differs: {what}, {when}",
        "Xem danh sách chênh lệch, rồi make reconcile DATE=…; nguồn tốt hơn được lấy.",
        "Look at the list of differences, then make reconcile DATE=…; the better source is taken.",
        True,
    ),
    "warehouse_down": Kind(
        "warehouse-down", "Không kết nối được kho dữ liệu: {what}", "The warehouse cannot be reached: {what}",
        "Kiểm tra máy chủ PostgreSQL (chạy không, đĩa còn chỗ không) và kết nối warehouse.",
        "Check the PostgreSQL server (does it run, has its disk room) and the connection warehouse.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong. ``subjects``: source/dataset/day of what it concerns; ``facts``: see `message`."""

    key: str
    kind: str
    facts: dict[str, Any]
    source: str | None = None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """What is sent: ``state`` is open, reminder or over; ``text`` for logs and webhooks, ``html`` for mail."""

    cause_key: str
    kind: str
    state: str
    subject: str
    text: str
    html: str
    facts: dict[str, Any] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """As it goes to a webhook; chat servers read ``text``."""
        runbook = KINDS[self.kind].runbook
        return {"text": f"{self.subject}\n{self.text}", "subject": self.subject, "cause": self.cause_key, "kind": self.kind, "state": self.state,
                "severity": "warning" if KINDS[self.kind].is_warning else "error", "runbook": runbook, **self.facts}  # fmt: skip


Sink = Callable[[Message], None]


# ---- causes --------------------------------------------------------------------------------------------------------------------

# Parameters: now, and the limits. Every part gives cause_key, kind, source, subjects, facts.
_STANDING = r"""
with export as (
    select e.*, e.source || '/' || e.dataset as name,
           e.source || '/' || e.dataset || coalesce(' ' || nullif(e.unit, ''), '') || '/' || e.business_day as subject
    from ops.export as e
), learned as (
    select source, left(substr(value, position(E'\n' in value) + 1), 2000) as words from ops.source_pin where kind = 'unreachable'
), absent as (
    select e.source, e.dataset, e.name, e.subject, e.business_day, e.expected_at, e.reason,
           case when e.reason like '%%runbooks/login-refused.md%%' then 'login_refused'
                when e.reason like '%%does not answer%%' or (e.source, e.reason) in (select source, words from learned) then 'unreachable'
                when e.reason ~ %(disk)s then 'disk_full'
                when e.reason ~ '^(due at|missing:|task failed:) |asked again later|complete at \d\d/\d\d ' then 'export_missing'
                else 'export_refused' end as kind
    from export as e where e.state = 'expected'
    union all
    select w.source, w.dataset, w.source || '/' || w.dataset, w.source || '/' || w.dataset || '/' || %(asked_day)s::date, %(asked_day)s, %(now)s,
           'nobody has asked for it: the nightly run did not come', 'export_missing'
    from unnest(%(sources)s::text[], %(datasets)s::text[]) as w (source, dataset)
    where not exists (select from ops.export as e where (e.source, e.dataset, e.business_day) = (w.source, w.dataset, %(asked_day)s::date))
), due as (
    -- what is only late is part of the story of a source that cannot be asked
    select a.source, a.dataset, a.name, a.subject, a.business_day, a.reason,
           case when a.kind <> 'export_missing' then a.kind
                else coalesce((select min(b.kind) from absent as b where b.source = a.source and b.kind in ('disk_full', 'login_refused', 'unreachable')),
                              a.kind) end as kind
    from absent as a where a.kind <> 'export_missing' or a.expected_at <= %(now)s
), grouped as (
    select *, case when kind <> 'disk_full' then '|' || source else '' end
              || case when kind in ('export_missing', 'export_refused') then '|' || business_day else '' end as story,
           case kind when 'export_refused' then reason end as of_reason
    from due
), absences as (
    select kind || story || case kind when 'export_refused' then '|' || min(dataset) else '' end as cause_key,
           kind, min(source) as source, array_agg(subject order by subject) as subjects,
           jsonb_build_object('datasets', jsonb_agg(distinct name), 'days', jsonb_agg(distinct business_day),
               'dag', case kind when 'disk_full' then min(source) || '_daily' end,
               'words', coalesce(max(reason) filter (where reason !~ '^(due at|missing:) '), max(reason))) as facts
    from grouped group by kind, story, of_reason
), rejected as (
    -- pulls of Vỏ Sò are counted by us, so another pull of a day is the same cause; another version of a file is another
    select 'export_rejected|' || e.subject || case e.source when 'voso' then '' else '|v' || e.version end, 'export_rejected', e.source, array[e.subject],
           jsonb_build_object('datasets', jsonb_build_array(e.name), 'days', jsonb_build_array(e.business_day), 'unit', nullif(e.unit, ''),
               'version', e.version, 'file', e.origin, 'words', e.reason, 'rules', c.rules)
    from export as e
    left join lateral (
        select jsonb_agg(jsonb_build_object('rule', c.rule_id, 'says', c.rule, 'failed', c.rows_failed, 'total', c.rows_total, 'keys', c.sample,
                   'places', c.places) order by c.outcome <> 'reject', c.rows_failed desc, c.rule_name) as rules
        from ops.check_result as c where c.export_id = e.export_id and not c.passed
          and (c.outcome = 'reject' or (c.outcome = 'quarantine'
               and exists (select from ops.check_result as l where l.export_id = e.export_id and l.rule_name like 'limit\_%%' and not l.passed)))
    ) as c on true
    where e.dismissed_at is null and (e.state = 'rejected' or (e.state in ('landed', 'loaded', 'judged') and e.reason like 'read again; was rejected%%'))
      and coalesce(e.ended_at, e.landed_at) > %(now)s - interval '35 days'
      and not exists (select from ops.export as n
          where (n.source, n.dataset, n.unit, n.business_day) = (e.source, e.dataset, e.unit, e.business_day) and n.version > e.version
            and n.state in ('accepted', 'rejected'))
      and not (e.source = 'registers' and exists (select from ops.export as n
          where (n.source, n.dataset, n.unit) = (e.source, e.dataset, e.unit) and n.state = 'accepted' and n.landed_at > e.landed_at))
), stuck as (
    select 'export_stuck|' || source || '|' || business_day, 'export_stuck', source, array_agg(subject order by subject),
           jsonb_build_object('datasets', jsonb_agg(distinct name), 'days', jsonb_build_array(business_day), 'words',
               string_agg(name || ' v' || version || ' is ' || state || ' since ' || to_char(moved_at at time zone 'Asia/Ho_Chi_Minh', 'DD/MM HH24:MI'), '; '
                   order by name))
    from (select *, greatest(landed_at, loaded_at, judged_at) as moved_at from export) as e
    where state in ('landed', 'loaded', 'judged') and moved_at < %(now)s - %(stuck)s and coalesce(reason, '') not like 'read again; was rejected%%'
    group by source, business_day
), changed as (
    select 'content_changed|' || e.subject || '|' || left(c.sha256, 12), 'content_changed', e.source, array[e.subject],
           jsonb_build_object('datasets', jsonb_build_array(e.name), 'days', jsonb_build_array(e.business_day), 'version', e.version, 'file', c.origin,
               'words', 'came again with other content: sha256 ' || left(c.sha256, 12) || '…, taken before ' || left(e.sha256, 12) || '…')
    from ops.content_change as c join export as e using (export_id)
    where c.noticed_at > %(now)s - interval '35 days'
      and not exists (select from ops.export as n
          where (n.source, n.dataset, n.unit, n.business_day) = (e.source, e.dataset, e.unit, e.business_day) and n.version > e.version
            and n.state = 'accepted')
), aside as (
    select q.export_id, q.rule_id, q.rule, count(*) as rows, (array_agg(distinct q.row_key) filter (where q.row_key is not null))[1:5] as keys,
           array_agg(distinct q.source_row) as source_rows
    from ops.quarantine_row as q join ops.export as e using (export_id)
    where q.state = 'open' and e.state = 'accepted' and e.judged_at > %(now)s - interval '35 days'
    group by q.export_id, q.rule_id, q.rule
), growing as (
    select 'quarantine_growing|' || e.subject, 'quarantine_growing', e.source, array[e.subject],
           jsonb_build_object('datasets', jsonb_build_array(e.name), 'days', jsonb_build_array(e.business_day), 'unit', nullif(e.unit, ''),
               'version', e.version, 'file', e.origin, 'words', t.rows || ' of ' || e.rows_delivered || ' rows are in quarantine',
               'rules', (select jsonb_agg(jsonb_build_object('rule', a.rule_id, 'says', a.rule, 'failed', a.rows, 'total', e.rows_delivered, 'keys', a.keys)
                             order by a.rows desc) from aside as a where a.export_id = e.export_id))
    from (select export_id, count(distinct r) as rows from aside, unnest(source_rows) as r group by export_id) as t
    join export as e using (export_id)
    where t.rows >= %(quarantine_rows)s or (t.rows >= 5 and t.rows >= %(quarantine_share)s * e.rows_delivered)
), red as (
    select e.source, e.dataset, e.business_day, c.rule_id, c.rule, c.rows_failed, c.rows_total, c.sample
    from export as e join ops.check_result as c using (export_id)
    where not c.passed and c.outcome = 'fail' and c.rule_id not in ('F46', 'F49', 'Q08') and c.rule_name not like 'reconciled\_%%'
      and e.state = 'accepted' and e.judged_at > %(now)s - interval '35 days'
    union all
    select c.source, c.dataset, c.business_day, c.rule_id, c.rule, c.rows_failed, c.rows_total, c.sample
    from ops.day_check as c where not c.passed and c.outcome = 'fail' and not c.withdrawn and c.checked_at > %(now)s - interval '35 days'
), reds as (
    select 'check_failed|' || source || '/' || dataset || '/' || business_day, 'check_failed', source, array[source || '/' || dataset || '/' || business_day],
           case when dataset = '' then jsonb_build_object('what', source) else jsonb_build_object('datasets', jsonb_build_array(source || '/' || dataset)) end
           || jsonb_build_object('days', jsonb_build_array(business_day), 'rules',
               jsonb_agg(jsonb_build_object('rule', rule_id, 'says', rule, 'failed', rows_failed, 'total', rows_total, 'keys', sample) order by rule_id))
    from red group by source, dataset, business_day
), newest as (
    select distinct on (source, dataset, unit) * from export where state = 'accepted' order by source, dataset, unit, business_day desc, version desc
), warned as (
    select e.*, c.rule_id, c.rule, c.rows_failed, c.rows_total, c.sample, 'commune_unknown' as kind
    from newest as e join ops.check_result as c using (export_id) where not c.passed and c.rule_id = 'F49'
    union all
    select e.*, c.rule_id, c.rule, c.rows_failed, c.rows_total, c.sample, 'word_unknown'
    from export as e join ops.check_result as c using (export_id)
    where not c.passed and c.rule_id in ('F46', 'Q08') and e.state = 'accepted' and e.judged_at > %(now)s - interval '35 days'
), warnings as (
    select kind || '|' || source, kind, source, array_agg(distinct subject),
           jsonb_build_object('datasets', jsonb_agg(distinct name), 'days', jsonb_agg(distinct business_day),
               'rules', jsonb_agg(jsonb_build_object('rule', rule_id, 'says', name || ': ' || rule, 'failed', rows_failed, 'total', rows_total, 'keys', sample)
                   order by rows_failed desc))
    from warned group by kind, source
), last_build as (
    select *, (select string_agg(distinct split_part(line, ': ', 1), ', ' order by split_part(line, ': ', 1))
               from regexp_split_to_table(message, E'\n') as line where line ~ '^(model|test|seed|snapshot|source|operation)\.') as nodes
    from ops.build order by build_id desc limit 1
), builds as (
    select 'build_failed|' || left(md5(coalesce(nodes, regexp_replace(split_part(message, E'\n', 1), '\d+', '#', 'g'), '')), 12), 'build_failed', null::text,
           '{}'::text[], jsonb_build_object('what', coalesce(nodes, 'dbt'), 'words', message, 'days', jsonb_build_array(business_date))
    from last_build where state = 'failed'
    union all
    select 'build_stuck|' || build_id, 'build_stuck', null, '{}',
           jsonb_build_object('what', 'build ' || build_id || ' (' || state || ')', 'days', jsonb_build_array(business_date),
               'words', 'began ' || to_char(started_at at time zone 'Asia/Ho_Chi_Minh', 'DD/MM/YYYY HH24:MI'))
    from last_build where state in ('running', 'built') and started_at < %(now)s - %(stuck)s
), stale as (
    -- a platform's day that is missing is told as such; what nobody expects on a day, the districts' forms, is told by its age
    select 'source_stale|' || source || '/' || dataset, 'source_stale', source, '{}'::text[],
           jsonb_build_object('datasets', jsonb_build_array(source || '/' || dataset),
               'words', case when data_date is null then 'none came since the first day' else 'the newest speaks of ' || to_char(data_date, 'DD/MM/YYYY') end
                   || ', ' || age_days || ' days before ' || to_char(business_date, 'DD/MM/YYYY') || '; limit ' || limit_days || ' days'
                   || case when units > 0 then '; ' || units_late || ' of ' || units || ' units that have sent one are past it' else '' end)
    from ops.source_freshness where source = 'registers' and status in ('warn', 'error')
), late_release as (
    select 'release_late', 'release_late', null::text, '{}'::text[],
           jsonb_build_object('what', coalesce('release ' || r.release_id || ' of '
               || to_char(r.published_at at time zone 'Asia/Ho_Chi_Minh', 'DD/MM/YYYY HH24:MI'), 'no release yet'))
    from (select 1) as one left join lateral (select * from ops.release order by release_id desc limit 1) as r on true
    where %(by_clock)s and coalesce(r.published_at, (select min(accepted_at) from ops.export)) < %(now)s - %(release)s
)
select * from absences union all select * from rejected union all select * from stuck union all select * from changed
union all select * from growing union all select * from reds union all select * from warnings
union all select * from builds union all select * from stale union all select * from late_release
"""

#: The last comparison of each kind with a platform's whole state, where there are any (reconcile_weekly).
_RECONCILED = """
union all
select 'reconciliation_differs|' || r.source || '/' || r.dataset || '|' || r.unit, 'reconciliation_differs', r.source, '{}'::text[],
       jsonb_build_object('datasets', jsonb_build_array(r.source || '/' || r.dataset), 'unit', r.unit, 'days', jsonb_build_array(r.as_of), 'words', r.message,
           'rules', jsonb_build_array(jsonb_build_object('rule', 'Q14, Q18', 'says', 'missing ' || r.missing || ', extra ' || r.extra
               || ', changed ' || r.changed || ', older ' || r.older, 'failed', r.missing + r.extra + r.changed + r.older, 'total', r.compared,
               'keys', (select jsonb_agg(d.key) from (select key from ops.difference as d where d.export_id = r.export_id order by key limit 5) as d))))
from (select distinct on (source, dataset, unit) * from ops.reconciliation order by source, dataset, unit, as_of desc, compared_at desc) as r
where not r.passed
"""

#: How a full disk says so: the landing's, a quota, PostgreSQL's tables and its log.
DISK_FULL = r"No space left on device|Disk quota exceeded|could not extend file|could not write to file \"pg_wal"

#: Kinds that `standing` finds; of these, what it does not find any more is over.
STANDING_KINDS = frozenset({
    "login_refused", "unreachable", "export_missing", "export_refused", "export_rejected", "export_stuck", "content_changed", "check_failed",
    "quarantine_growing", "commune_unknown", "word_unknown", "build_failed", "build_stuck", "release_late", "reconciliation_differs",
    "source_stale",
})  # fmt: skip
#: Kinds that end with a run of the DAG that ends well.
RUN_KINDS = frozenset({"run_failed", "run_late", "task_failed", "disk_full"})


def asked_day(now: datetime) -> date:
    """The newest business day whose deadline has passed: yesterday from 09:00 local on, before it the day before."""
    local = now.astimezone(LOCAL)
    return local.date() - timedelta(days=1 if local.time() >= DEADLINE else 2)


def standing(conn: psycopg.Connection[Any], now: datetime, limits: Limits = Limits(), *, by_clock: bool = False, first_day: date | None = None) -> list[Cause]:
    """The causes that the database shows now. ``by_clock``: DAGs run by the clock, so a nightly run that never came and a release that is too old
    are causes as well (from ``first_day`` on)."""
    day = asked_day(now)
    wanted = [c for c in contracts.all_contracts() if by_clock and c.source in ("postmart", "voso") and (first_day is None or day >= first_day)]
    is_reconciled = conn.execute("select to_regclass('ops.reconciliation') is not null").fetchone() == (True,)
    rows = conn.execute(
        _STANDING + (_RECONCILED if is_reconciled else ""),  # type: ignore[arg-type]
        {
            "now": now, "asked_day": day, "sources": [c.source for c in wanted], "datasets": [c.dataset for c in wanted], "by_clock": by_clock,
            "disk": DISK_FULL, "stuck": timedelta(hours=limits.stuck_hours), "release": timedelta(hours=limits.release_hours),
            "quarantine_rows": limits.quarantine_rows, "quarantine_share": limits.quarantine_share,
        },
    ).fetchall()  # fmt: skip
    return [Cause(key, kind, facts, source, tuple(subjects)) for key, kind, source, subjects, facts in rows]


def note(conn: psycopg.Connection[Any], causes: Iterable[Cause], now: datetime) -> None:
    """Write causes down: a new one begins, a known one goes on, one that was over begins anew (unless nobody was told of its end yet)."""
    rows = [(c.key, c.kind, c.source, list(c.subjects), json.dumps(_cut(c.facts), ensure_ascii=False), now, now) for c in causes]
    with conn.cursor() as cursor:
        cursor.executemany(
            """insert into ops.alert as a (cause_key, kind, source, subjects, facts, first_seen, last_seen) values (%s, %s, %s, %s, %s, %s, %s)
               on conflict (cause_key) do update set facts = excluded.facts, last_seen = excluded.last_seen,
                 subjects = case when a.cleared_at is null then array(select distinct s from unnest(a.subjects || excluded.subjects) as s order by s)
                            else excluded.subjects end,
                 first_seen = case when a.over_told_at is null then a.first_seen else excluded.first_seen end,
                 told_at = case when a.over_told_at is null then a.told_at end, times_told = case when a.over_told_at is null then a.times_told else 0 end,
                 sent_to = case when a.cleared_at is null then a.sent_to else '{}' end,
                 claimed_at = case when a.cleared_at is null then a.claimed_at end, cleared_at = null, over_told_at = null""",
            rows,
        )


def _cut(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v[:WORDS_LENGTH] if isinstance(v, str) else v for k, v in facts.items() if v is not None}


def clear(conn: psycopg.Connection[Any], now: datetime, kinds: Collection[str], *, but: Iterable[str] = (), dag: str | None = None) -> None:
    """End the open causes of ``kinds`` (of one ``dag`` only) whose keys are not in ``but``. What nobody looks at any more after 35 days ends without
    a word: it is not mended."""
    conn.execute(
        """update ops.alert set cleared_at = %(now)s, claimed_at = null, sent_to = '{}',
             over_told_at = case when first_seen < %(now)s - interval '34 days' then %(now)s end
           where cleared_at is null and kind = any(%(kinds)s) and not cause_key = any(%(but)s) and (%(dag)s::text is null or facts->>'dag' = %(dag)s)""",
        {"now": now, "kinds": list(kinds), "but": list(but), "dag": dag},
    )


def collect(
    conn: psycopg.Connection[Any], now: datetime, limits: Limits = Limits(), *, by_clock: bool = False, first_day: date | None = None,
    seen: Iterable[Cause] = (), whole: Collection[str] = (),
) -> list[Cause]:  # fmt: skip
    """Bring `ops.alert` up to date, in one transaction of its own: what the database shows, and what was ``seen`` elsewhere. ``whole``: kinds of
    which ``seen`` holds all that there is, so that what it does not hold is over."""
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtextextended('kinhteso.alert', 3))")
        found = [*standing(conn, now, limits, by_clock=by_clock, first_day=first_day), *seen]
        note(conn, found, now)
        # Whether a release is too old is only asked where DAGs run by the clock; elsewhere it stays as it was.
        kinds = (STANDING_KINDS if by_clock else STANDING_KINDS - {"release_late"}) | set(whole)
        clear(conn, now, kinds, but=[c.key for c in found])
    return found


# ---- telling -------------------------------------------------------------------------------------------------------------------

# Over is told when what was concerned counts again: a delivery that is only on its way, or refused for another reason, is not mended.
_CLAIM = """
update ops.alert as a set claimed_at = %(now)s
from (
    select cause_key from ops.alert as o
    where (claimed_at is null or claimed_at < %(now)s - make_interval(mins => %(claim)s)) and not cause_key = any(%(tried)s) and (
        (cleared_at is null and (told_at is null or told_at + %(remind)s * power(2, greatest(times_told - 1, 0)) <= %(now)s))
        or (cleared_at is not null and told_at is not null and over_told_at is null
            and not exists (select from ops.alert as other where other.cleared_at is null and other.subjects && o.subjects)
            and (kind not in ('login_refused', 'unreachable', 'export_missing', 'export_refused', 'export_rejected', 'export_stuck')
                 or source = 'registers' or not exists (
                     select from unnest(o.subjects) as s where not exists (
                         select from ops.export as e
                         where e.state = 'accepted'
                           and e.source || '/' || e.dataset || coalesce(' ' || nullif(e.unit, ''), '') || '/' || e.business_day = s)))))
    order by kind = any(%(warnings)s), first_seen, cause_key limit 1 for update skip locked
) as due
where a.cause_key = due.cause_key
returning a.*
"""


@dataclass(frozen=True)
class Links:
    """Where a message points to; without an address runbooks are named by their path in the repository."""

    runbooks: str = ""
    board: str = ""

    def runbook(self, name: str) -> str:
        """Address or path of a runbook."""
        return f"{self.runbooks.rstrip('/')}/{name}.md" if self.runbooks else f"docs/runbooks/{name}.md"


def tell(
    conn: psycopg.Connection[Any],
    sinks: Mapping[str, Sink],
    now: datetime,
    limits: Limits = Limits(),
    links: Links = Links(),
    *,
    at_once: int = MESSAGES_AT_ONCE,
) -> list[Message]:
    """Send what is due, each to all ``sinks``; returns what was sent. A sink that fails is left out for the rest of this call; its messages go
    out with a later one, to that sink alone. Without sinks a message is logged and counts as told. ``conn`` is in autocommit: a claim must be
    seen by others before anything is sent."""
    told: list[Message] = []
    tried: list[str] = []
    broken: dict[str, str] = {}
    warnings = [k for k, kind in KINDS.items() if kind.is_warning]
    while len(tried) < at_once:
        with conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                _CLAIM, {"now": now, "claim": CLAIM_MINUTES, "remind": timedelta(hours=limits.remind_hours), "tried": tried, "warnings": warnings}
            ).fetchone()
        if row is None:
            break
        tried.append(row["cause_key"])
        message = compose(row, links)
        reached = list(row["sent_to"])
        if not reached:
            log.error("ALERT %s | %s", message.subject, message.text.replace("\n", " | "))
        for name, send in sinks.items():
            if name in reached or name in broken:
                continue
            try:
                send(message)
                reached.append(name)
            except Exception as error:  # whatever a mail or web server may do, the other causes and sinks go on
                broken[name] = f"{name}: {type(error).__name__}"
                log.error("The alert could not be sent by %s (%s); it is sent again with the next look. %s", name, type(error).__name__, reason_of(error))
        missing = [n for n in sinks if n not in reached]
        if missing:
            conn.execute(
                "update ops.alert set claimed_at = null, sent_to = %s, last_error = %s where cause_key = %s",
                [reached, "; ".join(broken[n] for n in missing), row["cause_key"]],
            )
            continue
        end = "over_told_at = %(now)s" if message.state == "over" else "told_at = %(now)s, times_told = times_told + 1"
        conn.execute(
            f"update ops.alert set claimed_at = null, sent_to = '{{}}', last_error = null, {end} where cause_key = %(key)s",  # type: ignore[arg-type]
            {"now": now, "key": row["cause_key"]},
        )
        told.append(message)
    return told


def reason_of(error: BaseException) -> str:
    """The type of an error and its first line, without what may hold data or secrets: long digits, quoted words, addresses."""
    first = mishaps.first_line(error)
    return f"{type(error).__name__}: {scrub(first)}" if first else type(error).__name__


def scrub(text: str) -> str:
    """Text without long runs of digits (phones, citizen numbers), quoted values, mail addresses, and the path and login of addresses."""
    text = re.sub(r"([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/'\"]+)[^\s'\"]*", r"\1\2/…", text)
    text = re.sub(r"(?i)(url: )/\S*", r"\1/…", text)
    text = re.sub(r"[\w.+-]+@[\w-]+\.[\w.-]+", "…@…", text)
    text = re.sub(r"(['\"])(?![A-Za-z_][A-Za-z0-9_./-]*\1).*?\1", r"\1…\1", text)
    return re.sub(r"\d[\d .-]{7,}\d", lambda m: m[0] if re.fullmatch(r"\d{4}-\d\d-\d\d", m[0]) else "…", text)


# ---- words ---------------------------------------------------------------------------------------------------------------------

_STATES = {"open": ("", ""), "reminder": ("Nhắc lại: ", "Reminder: "), "over": ("Đã xong: ", "Over: ")}


def titles(kind: str, source: str | None, facts: Mapping[str, Any]) -> tuple[str, str]:
    """What a cause is, in Vietnamese and in English."""
    what_vi, what_en, _ = _what(source, facts)
    days = facts.get("days") or []
    return _fill(KINDS[kind].vi, what_vi, _when(days, "%d/%m/%Y")), _fill(KINDS[kind].en, what_en, _when(days, "%Y-%m-%d"))


def compose(row: Mapping[str, Any], links: Links = Links()) -> Message:
    """The message of a row of `ops.alert`: Vietnamese first, then English; what, where, which rule, first keys, owner, next step, runbook, board."""
    kind, facts = KINDS[row["kind"]], row["facts"]
    state = "over" if row["cleared_at"] else "reminder" if row["times_told"] else "open"
    owner, when_vi = _what(row["source"], facts)[2], _when(facts.get("days") or [], "%d/%m/%Y")
    title_vi, title_en = (before + title for before, title in zip(_STATES[state], titles(row["kind"], row["source"], facts), strict=True))
    lines = [title_vi, title_en, ""]
    if facts.get("datasets"):
        lines.append(f"Bộ dữ liệu · Dataset: {', '.join(facts['datasets'])}" + (f" {facts['unit']}" if facts.get("unit") else "") + _version(facts))
    if when_vi:
        lines.append(f"Ngày số liệu · Day: {when_vi}")
    if facts.get("file"):
        lines.append(f"Tệp · File: {facts['file']}")
    for rule in (facts.get("rules") or [])[:5]:
        lines.append(f"Quy tắc · Rule: {rule['rule']} {rule['says']} ({rule['failed']}/{rule['total']})")
        if rule.get("keys"):
            lines.append(f"  Khóa đầu tiên · First keys: {', '.join(map(str, rule['keys'][:5]))}")
        if rule.get("places"):
            lines.append(f"  Vị trí · Where: {rule['places']}")
    if facts.get("words"):
        words = str(facts["words"])  # the reason of a rejected delivery lists its rules again
        lines.append(f"Lý do · Reason: {words.splitlines()[0] if facts.get('rules') and words else words}")
    lines.append(f"Phụ trách · Owner: {owner}")
    if state != "over":
        lines += [f"Việc cần làm: {kind.next_vi}", f"Next: {kind.next_en}", f"Hướng dẫn · Runbook: {links.runbook(kind.runbook)}"]
    if links.board:
        lines.append(f"Bảng theo dõi · Board: {links.board}")
    since = row["first_seen"].astimezone(LOCAL)
    lines.append(f"Từ · Since: {since:%d/%m/%Y %H:%M}" + (f", hết · over: {row['cleared_at'].astimezone(LOCAL):%d/%m/%Y %H:%M}" if row["cleared_at"] else ""))
    subject = " ".join(f"[kinhteso] {title_vi} · {title_en}".split())
    kept = {k: facts[k] for k in ("datasets", "days", "unit", "version", "file", "rules", "dag", "what") if facts.get(k)}
    text = "\n".join(lines)
    return Message(row["cause_key"], row["kind"], state, subject[:300], text, _html(lines), {**kept, "owner": owner, "first_seen": since.isoformat()})


def _html(lines: list[str]) -> str:
    body = "".join(f"<p><b>{html.escape(line)}</b></p>" if n < 2 else f"{_linked(line)}<br>\n" for n, line in enumerate(lines) if line)
    return f'<div style="font-family:sans-serif">{body}</div>'


def _linked(line: str) -> str:
    label, _, value = line.partition(": ")
    if label.startswith(("Hướng dẫn", "Bảng")) and value.startswith(("http://", "https://")):
        return f'{html.escape(label)}: <a href="{html.escape(value, quote=True)}">{html.escape(value)}</a>'
    return html.escape(line).replace("\n", "<br>\n").replace("  ", "&nbsp;&nbsp;", 1)


def _what(source: str | None, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a cause is about, in both languages, and who owns it."""
    from kinhteso.contracts import ContractError

    names: list[str] = facts.get("datasets") or []
    owner = "data-platform"
    if facts.get("what"):
        return str(facts["what"]), str(facts["what"]), owner
    found = []
    for name in (n for n in names if "/" in n):
        try:
            found.append(contracts.load_contract(*name.split("/", 1)))
        except ContractError:
            continue
    owner = ", ".join(sorted({c.owner for c in found})) or owner
    unit = f" {facts['unit']}" if facts.get("unit") else ""
    if len(found) == len(names) == 1:
        return f"{found[0].code} {found[0].title}{unit}", f"{names[0]}{unit}{_version(facts)}", owner
    short = ", ".join(n.split("/", 1)[1] for n in names)
    return f"{source}: {short}{unit}", f"{source}: {short}{unit}", owner


def _version(facts: Mapping[str, Any]) -> str:
    return f" v{facts['version']}" if facts.get("version") else ""


def _fill(title: str, what: str, when: str) -> str:
    return title.format(what=what, when=when).rstrip(", ")


def _when(days: list[str], form: str) -> str:
    shown = [f"{date.fromisoformat(d):{form}}" for d in sorted(days)[:5]]
    return ", ".join(shown) + (f" … ({len(days)})" if len(days) > 5 else "")
