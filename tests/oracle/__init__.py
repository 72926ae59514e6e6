"""The KPIs recounted in plain Python, two ways: from the simulators' world (`world`), and from the bytes that were delivered (`files`, `kpis`).

Nothing here imports kinhteso or asks a database for a figure, so an error of the pipeline is not repeated here.
"""

from oracle import hamlets, targets
from oracle.compare import differences, table
from oracle.files import arrivals
from oracle.kpis import COUNTED, Recount
from oracle.world import MEASURES, recount

__all__ = ["COUNTED", "MEASURES", "Recount", "arrivals", "differences", "hamlets", "recount", "table", "targets"]
