"""Airflow plugin: the data-quality board in the UI, behind Airflow's own login (a plugin's app is not behind it by itself)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


def _dsn() -> str:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection
    from kinhteso.board.pages import NoWarehouse
    from kinhteso.warehouse import conninfo

    try:
        return conninfo(Connection.get_connection_from_secrets("warehouse").get_uri())
    except AirflowNotFoundException:
        raise NoWarehouse(
            "Airflow chưa có kết nối `warehouse`: đặt AIRFLOW_CONN_WAREHOUSE cho api-server (mẫu trong .env.example) rồi khởi động lại. · "
            "Airflow has no connection `warehouse`: set AIRFLOW_CONN_WAREHOUSE for the api-server (form in .env.example) and start it again."
        ) from None


def _app():
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
    from airflow.api_fastapi.core_api.security import get_user, requires_access_view
    from airflow.models.dag import DagModel
    from fastapi import Depends
    from kinhteso.board.pages import create_app

    def rights(user=Depends(get_user)):
        """Whether the caller may start a run of a DAG: what Airflow's own route asks."""
        return lambda dag_id: get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)), user=user
        )

    return create_app(_dsn, requires_access_view(AccessView.WEBSITE), rights)


class _AtFirstCall:
    """The app, made when the first request comes: only the api-server serves pages, and the other processes import this file too."""

    app = None

    async def __call__(self, scope, receive, send):
        self.app = self.app or _app()
        await self.app(scope, receive, send)


class KinhtesoBoard(AirflowPlugin):
    """The pages, and the way to them in the navigation."""

    name = "kinhteso_board"
    fastapi_apps = [{"app": _AtFirstCall(), "url_prefix": "/kinhteso", "name": "kinhteso board"}]
    external_views = [
        {"name": "Chất lượng dữ liệu · Data quality", "href": "/kinhteso/board", "destination": "nav", "url_route": "kinhteso-board", "category": "browse"}
    ]
