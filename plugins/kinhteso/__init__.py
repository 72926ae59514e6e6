"""kinhteso ("kinh tế số", digital economy): the library behind the DAGs. It knows no Airflow except in `dagkit` and `local`."""

import os

# Polars looks at it when it is imported. One thread: the other core is the server's, and for frames of a few megabytes threads are more work than help.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
