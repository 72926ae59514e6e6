"""Airflow plugin: the data-quality board in the UI, behind Airflow's own login (a plugin's app is not behind it by itself)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


def _dsn() -> str:
    from airflow.models.connection import Connection
    from kinhteso.warehouse import conninfo

    return conninfo(Connection.get_connection_from_secrets("warehouse").get_uri())


def _app():
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view
    from kinhteso.board.pages import create_app

    return create_app(_dsn, requires_access_view(AccessView.WEBSITE))


def _is_api_server() -> bool:
    """Only the api-server serves pages; the other processes spare themselves the import."""
    import sys

    return "airflow.api_fastapi.app" in sys.modules


class KinhtesoBoard(AirflowPlugin):
    """The pages, and the way to them in the navigation."""

    name = "kinhteso_board"
    fastapi_apps = [{"app": _app(), "url_prefix": "/kinhteso", "name": "kinhteso board"}] if _is_api_server() else []
    external_views = [
        {"name": "Chất lượng dữ liệu · Data quality", "href": "/kinhteso/board", "destination": "nav", "url_route": "kinhteso-board", "category": "browse"}
    ]
