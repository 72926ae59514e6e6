"""The KPIs recounted in plain Python, two ways: from the simulators' world (`world`), and from the bytes that were delivered (`files`, `kpis`).

Nothing here imports kinhteso or asks a database for a figure, so an error of the pipeline is not repeated here.
"""

from oracle import hamlets, star, targets
from oracle.compare import differences, table, uncovered
from oracle.files import arrivals
from oracle.kpis import COUNTED, Recount
from oracle.world import MEASURES, recount

#: Table of `bi` -> its key, of all that is counted from deliveries.
KEYS = COUNTED | star.KEYS | {"kpi_hamlet_daily": hamlets.KEYS, "target_progress_daily": targets.KEYS}
__all__ = ["COUNTED", "KEYS", "MEASURES", "Recount", "arrivals", "differences", "hamlets", "recount", "star", "table", "targets", "uncovered"]
