"""Every fault that the pipeline has to survive: F01–F55 are EXPORTS §13, F56–F110 the further ones of RELIABILITY.

``injector`` says what strikes (the switch of the simulators, or what the test does), ``expected`` the reaction, ``recovery`` what brings the day
right; nobody edits the database (I7). ``reading`` tells which of two sentences of the contract was taken where they say different things.
A test that strikes a fault carries `@pytest.mark.fault("F91")` or is registered with `@struck` (sources.py) and reports what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass

SWITCH = "switch of the simulators"
AGAIN = "version 2 of the file"
NEXT_RUN = "the next run"
NONE = "none needed"


@dataclass(frozen=True)
class Fault:
    """One line of the table."""

    number: str
    title: str
    injector: str
    expected: str
    recovery: str
    reading: str = ""


def _simulated(number: str, title: str, expected: str, recovery: str, reading: str = "") -> Fault:
    return Fault(number, title, SWITCH, expected, recovery, reading)


CATALOGUE: tuple[Fault, ...] = (
    _simulated("F01", "Truncated XLSX/ZIP", "not loaded; fetched once more, then refused; what came is kept", AGAIN),
    _simulated("F02", "Truncated CSV (valid prefix)", "as F01", AGAIN),
    _simulated("F03", "Truncated JSONL.gz", "the whole bulk job fails and is asked for once more", "the second job"),
    _simulated("F04", "Half-written file", "waits; never read without its marker", NEXT_RUN),
    _simulated("F05", "Marker before files", "waits for the file, which the manifest names", NEXT_RUN),
    _simulated("F06", "Late file", "the day is published with the last stores and products, marked stale; full when it comes", NEXT_RUN),
    _simulated("F07", "Missing day", "missing is told at 09:00, the next days go on, taken by itself when it comes", "the run after it came"),
    _simulated("F08", "Empty day (holiday)", "success: an accepted empty day", NONE),
    _simulated("F09", "Empty by mistake", "refused: rows declared are not found", AGAIN),
    _simulated("F10", "Re-issued file", "replaces version 1; the facts are restated", NEXT_RUN),
    _simulated("F11", "Older version arrives later", "ignored and logged", NONE),
    _simulated("F12", "Same name, other content", "told and kept beside the first, which stays in force", "version 2, if the new content is right"),
    _simulated("F13", "Extra column at the end", "known columns are loaded, warning, bytes kept", NONE),
    _simulated("F14", "Column inserted in the middle / order changed", "dataset refused, never guessed", AGAIN),
    _simulated("F15", "Renamed column", "dataset refused, unless the new name is an alias", "an alias and a repeated run"),
    _simulated("F16", "Duplicate or look-alike heading", "position and exact text decide; else refused", AGAIN),
    _simulated("F17", "NFD headings/values", "loads as if it were NFC", NONE),
    _simulated("F18", "Wrong encoding", "refused, no guess", AGAIN),
    _simulated("F19", "No BOM / UTF-16", "loads with a warning", NONE),
    _simulated("F20", "Separator , instead of ;", "refused", AGAIN),
    _simulated("F21", ".xlsx that is HTML or .xls", "Postmart: refused; a form: read by a reader for it, warning", AGAIN),
    _simulated("F22", "Wrong sheet dimension A1", "the claimed dimension is ignored, all rows load", NONE),
    _simulated("F23", "Totals / signature row loaded as data", "dropped, and the totals are compared with the sums", NONE),
    _simulated("F24", "Money as text/number mix", "the same value from each form", NONE),
    _simulated("F25", "Excel date swapped", "rows in quarantine; above 5 % the file is refused", AGAIN),
    _simulated("F26", "Phone damaged", "normalised; an impossible one gives no key, and the row loads", NONE),
    _simulated("F27", "ZIP part missing", "dataset refused", AGAIN, "a marker says that everything is there, so a part inside a complete ZIP is not waited for"),
    _simulated("F28", "Order without its lines complete", "the order in quarantine with all its rows, the others load; above 2 % the file is refused", AGAIN),
    _simulated("F29", "Duplicate rows", "exact repeats are set aside and counted, warning; conflicting blocks: the order in quarantine", NONE),
    _simulated("F30", "Store vanishes from snapshot", "one: closed; above 2 % overall or 5 % of a commune the snapshot is refused", AGAIN),
    _simulated("F31", "HTTP 429", "waits as Retry-After says, in seconds or as a date", "the same request again"),
    _simulated("F32", "429/502 with HTML body", "asked again; HTML is never read as data", "the same request again"),
    _simulated("F33", "Token expired in mid-paging", "logs in once more, repeats the page; no row twice", "the same page again"),
    _simulated("F34", "Login refused", "fails at once, no second try", "the right password, and a repeated run"),
    _simulated("F35", "error:true on HTTP 200", "asked again three times, then fails", NEXT_RUN),
    _simulated("F36", "Duplicate page / repeated cursor", "the window is read again, at most three times", NEXT_RUN),
    _simulated("F37", "Lost row by page shift", "the whole set is read again", "the second reading"),
    _simulated("F38", "Page shorter than PAGE_SIZE but HAS_MORE=true", "goes on while HAS_MORE says so", NONE),
    _simulated("F39", "PAGE_SIZE 500 silently 100", "takes the length of the answer", NONE),
    _simulated("F40", "Clock skew ±7 min", "the source's clock decides, warning above 5 minutes", NONE),
    _simulated("F41", "Full page with same UPDATED_AT", "all rows once", NONE),
    _simulated("F42", "UPDATED_AT not bumped when a line changes", "the daily window cannot see it; the weekly bulk wins and counts it", "reconcile_weekly"),
    _simulated("F43", "Late status (30 days later)", "restated on the day of the event", NONE),
    _simulated("F44", "Out-of-order / duplicate events", "the same final state", NONE),
    _simulated("F45", "Return leg 501", "501 with IS_RETURNING is RETURNED", NONE),
    _simulated("F46", "Unknown status code/text", "UNKNOWN with a warning; above 1 % of the orders the check fails", "the word in status_words.csv, and a replay"),
    _simulated("F47", "Field type change (\"PRICE\":\"45000\")", "exact integer text is taken, with a warning; else quarantine", NONE),
    _simulated("F48", "Field disappears / becomes null for all", "the check fails", NEXT_RUN),
    _simulated("F49", "Commune code unknown", "kept, commune 00000, in the province's total only, alert", "the code in the crosswalk, and a replay",
               "R0 says quarantine; the row is kept (RULINGS 23)"),
    _simulated("F50", "GSO/VTP mix-up", "rows of another province in quarantine, the set loads", NEXT_RUN, "rows, not the set (RULINGS 23)"),
    _simulated("F51", "Test data in production", "marked, counted nowhere", NONE),
    _simulated("F52", "Register with wrong as-of date", "form refused, kept", "the form with the right date"),
    _simulated("F53", "Register total ≠ Σ", "warning, loaded", NONE),
    _simulated("F54", "SFTP host key changed / disk full", "fails, never accepts by itself", "the new key in the connection"),
    Fault("F55", "Two runs at once", "two runs of one day in two processes", "one waits for the other; the same result", NONE),
    _simulated("F56", "Connection refused", "missing with its reason; the other platform goes on", NEXT_RUN),
    _simulated("F57", "Hang in the body", "given up after the time limit, asked again", "the same request again"),
    _simulated("F58", "Reset after n bytes", "asked again; nothing of the broken answer is kept", "the same request again"),
    _simulated("F59", "Truncated body with status 200", "never read as data; asked again", "the same request again"),
    _simulated("F60", "5xx m times", "asked again, at most four times", "the same request again"),
    _simulated("F61", "Password changed in the middle of a run", "the renewed login is refused: fails at once, no second try", "the right password, and a repeated run"),
    _simulated("F62", "HTML login page with status 200", "never read as data; fails after its tries", NEXT_RUN),
    _simulated("F63", "Redirect to another host / internal address", "not followed, refused", NEXT_RUN),
    _simulated("F64", "Expired certificate", "connection refused, never accepted", "a valid certificate, and the next run"),
    _simulated("F65", "Yesterday's file again under today's name", "refused: it does not tell of its day", AGAIN),
    _simulated("F66", "Source gone for days", "each day is missing with its reason; the days come by themselves when the source is back", "the run after it came back"),
    _simulated("F67", "Zero bytes", "refused", AGAIN),
    _simulated("F68", "TCVN3 text", "refused, no guess", AGAIN),
    _simulated("F69", "Line break inside quotes", "legitimate: loads", NONE),
    _simulated("F70", "XLSX whose XML is broken though the hash is right", "refused", AGAIN),
    _simulated("F71", "ZIP bomb", "refused before it is unpacked", AGAIN),
    _simulated("F72", "DTD/entity in the XLSX", "refused", AGAIN),
    _simulated("F73", "External links in the XLSX", "never followed; refused", AGAIN),
    _simulated("F74", "Macros in the XLSX", "never run; refused", AGAIN),
    _simulated("F75", "Hidden sheets", "not read, warning", NONE),
    _simulated("F76", "Merged cells (forms)", "filled down inside the block", NONE),
    _simulated("F77", "Numbers as text, lost leading zeros", "the same value", NONE),
    _simulated("F78", "Serial dates", "read as the date that they are", NONE),
    _simulated("F79", "The same file under another name", "nothing new", NONE),
    _simulated("F80", "A past day issued again with rows added, changed and withdrawn", "added, changed and withdrawn rows are restated", NEXT_RUN),
    _simulated("F81", "Missing column", "dataset refused", AGAIN),
    _simulated("F83", "Status going backwards", "the later business time wins, both kept, warning", NONE),
    _simulated("F84", "Unknown household", "counted as unmatched, never guessed", "the household in R1b"),
    _simulated("F85", "Closed or ambiguous commune", "kept, commune 00000, alert", "the code in the crosswalk, and a replay"),
    _simulated("F86", "Commune split or merged in mid-period", "a code of the other list is never taken for VNPost's; a commune that loses its stores so is refused (Q10)", AGAIN),
    _simulated("F87", "Household that moves, or is on both platforms", "counts once, at its new home from that day", NONE),
    _simulated("F88", "Overflowing, negative, decimal-comma money", "the order in quarantine", AGAIN),
    _simulated("F89", "40 % fewer rows but valid", "changes: loaded, Q09 warns beyond ±60 % of the same weekdays; a snapshot is refused (F30)", AGAIN),
    _simulated("F90", "Denominator zero, missing, revised, below the numerator", "no rate, or the last good one held and named; counts as counted", "the corrected form"),
    Fault("F91", "kill -9 of a worker at each commit boundary", "SIGKILL before and after every commit", "the next try goes on; nothing lost, nothing twice", "the retry"),
    Fault("F92", "kill -9 of the scheduler", "SIGKILL of the scheduler", "a new scheduler goes on with the run", "restart"),
    Fault("F93", "kill -9 of dbt", "SIGKILL in the middle of a build", "the last release stands; the next build gives the same", "the retry"),
    Fault("F94", "The same day twice", "the day is run twice, one after the other", "nothing changes", NONE),
    Fault("F95", "Neighbouring days at once", "two runs of neighbouring days in two processes", "as if one after the other", NONE),
    Fault("F96", "Backfill over a daily run", "a past day again while today's runs", "the same result", NONE),
    Fault("F97", "Days out of order", "days in another order", "the same result as in order", NONE),
    Fault("F98", "A task retried after it committed but before it said so", "SIGKILL after the commit, then the retry", "green, and the work is done once", "the retry"),
    Fault("F99", "Host clock in UTC around 17:00Z", "the host's clock on both sides of 17:00Z", "each row falls into its Vietnamese day", NONE),
    Fault("F100", "Clock jump", "the host's clock jumps back and forth", "nothing moves: days are explicit", NONE),
    Fault("F101", "PostgreSQL restart", "restart in the middle of a task", "the task fails, its retry goes on", "the retry"),
    Fault("F102", "Connection dropped in the middle of COPY", "the connection is cut inside COPY", "nothing of it is in raw; the retry loads it whole", "the retry"),
    Fault("F103", "Deadlock", "a deadlock is provoked", "one gives way and is tried again", "the retry"),
    Fault("F104", "BI query holds a lock at publish", "a reader holds bi open", "the release waits or fails in words; readers see a whole release", "the retry"),
    Fault("F105", "Landing disk full", "a full file system under the landing", "fails in words; nothing half-written counts", "room, and the next run"),
    Fault("F106", "Tablespace full", "a full tablespace", "fails in words; the last release stands", "room, and the retry"),
    Fault("F107", "WAL full", "a full WAL", "fails in words; the last release stands", "room, and the retry"),
    Fault("F108", "Out of memory", "a memory limit on the worker", "the task dies, the retry goes on", "the retry"),
    Fault("F109", "Great Expectations fails without raising", "success=False without an exception", "the task fails: nothing unjudged counts", "the retry"),
    Fault("F110", "dbt tests fail after the models were built", "a failing data test", "nothing is published; the last release stands", "the mended model, and the retry"),
)  # fmt: skip

BY_NUMBER = {fault.number: fault for fault in CATALOGUE}
