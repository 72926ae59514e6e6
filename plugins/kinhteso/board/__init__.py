"""The data-quality board in the Airflow UI: what came of every day and dataset, what waits for a person, what was built and released.

`facts` asks the database, read-only; `pages` shows it, behind Airflow's login; `plugins/kinhteso_plugin.py` hangs it into the UI.
"""
