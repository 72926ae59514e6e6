"""kinhteso ("kinh tế số", digital economy): the library behind the DAGs. It knows no Airflow except in `dagkit` and `local`."""
