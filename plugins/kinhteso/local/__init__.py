"""The whole stack on one machine: embedded PostgreSQL, Airflow's four processes, the simulators; `make demo`, `up`, `down`, `replay`, `dsn`."""
