"""Airflow plugin: the dag-processor tells of DAG files that do not parse, also when it is the file of `watch` itself."""

from __future__ import annotations

from types import SimpleNamespace

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


@hookimpl
def on_new_dag_import_error(filename: str, stacktrace: str) -> None:
    """A file that did parse, or is new, does not."""
    from kinhteso import notifying

    notifying.import_error(str(filename), str(stacktrace))


@hookimpl
def on_existing_dag_import_error(filename: str, stacktrace: str) -> None:
    """It still does not: the reason may be another one."""
    from kinhteso import notifying

    notifying.import_error(str(filename), str(stacktrace))


class KinhtesoAlerts(AirflowPlugin):
    """Registers the listener."""

    name = "kinhteso_alerts"
    listeners = [SimpleNamespace(on_new_dag_import_error=on_new_dag_import_error, on_existing_dag_import_error=on_existing_dag_import_error)]
