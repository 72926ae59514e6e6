#!/bin/sh
# Refuses to start with an example's secret, writes the admin's password where Airflow looks for it, then runs the command.
set -eu
python /opt/kinhteso/docker/check_env.py
exec "$@"
