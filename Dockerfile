# Production image: Airflow with the DAGs, their library, contracts and dbt project. `--target simulators` gives the sources to try it with.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 LANG=C.UTF-8
COPY requirements-uv.txt /tmp/
RUN pip install --require-hashes -r /tmp/requirements-uv.txt
ENV UV_SYSTEM_PYTHON=1 UV_BREAK_SYSTEM_PACKAGES=1 UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
RUN groupadd --gid 50000 airflow && useradd --uid 50000 --gid 50000 --create-home --home-dir /opt/airflow airflow

FROM base AS simulators
COPY requirements-simulators.txt /tmp/
RUN uv pip install --require-hashes -r /tmp/requirements-simulators.txt
COPY --chown=airflow:airflow simulators /opt/kinhteso/simulators
RUN mkdir -p /state /inbox && chown airflow:airflow /state /inbox
WORKDIR /opt/kinhteso
USER airflow
ENTRYPOINT ["python", "-m", "simulators"]

FROM base AS airflow
COPY requirements.txt /tmp/
RUN uv pip install --require-hashes -r /tmp/requirements.txt
RUN python -c "import airflow, dbt.adapters.postgres, great_expectations, pandas"
COPY --chown=airflow:airflow dags /opt/kinhteso/dags
COPY --chown=airflow:airflow plugins /opt/kinhteso/plugins
COPY --chown=airflow:airflow expectations /opt/kinhteso/expectations
COPY --chown=airflow:airflow dbt_project /opt/kinhteso/dbt_project
COPY --chown=airflow:airflow docker /opt/kinhteso/docker
COPY --chown=airflow:airflow docs/runbooks /opt/kinhteso/docs/runbooks
RUN mkdir -p /landing /inbox /state /opt/airflow/logs && chown airflow:airflow /landing /inbox /state /opt/airflow/logs
ENV AIRFLOW_HOME=/opt/airflow \
    PYTHONPATH=/opt/kinhteso/plugins:/opt/kinhteso/docker/config \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/kinhteso/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/kinhteso/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__EXECUTOR=LocalExecutor \
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False \
    AIRFLOW__CORE__AUTH_MANAGER=airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager \
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=admin:admin \
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=/opt/airflow/passwords.json \
    AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=0.2 \
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1 \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    GX_ANALYTICS_ENABLED=false DBT_SEND_ANONYMOUS_USAGE_STATS=false DO_NOT_TRACK=1
WORKDIR /opt/kinhteso
USER airflow
ENTRYPOINT ["sh", "/opt/kinhteso/docker/entrypoint.sh"]
