"""`python health.py scheduler`: asks the api-server for that process's heartbeat (the Airflow CLI costs seconds of CPU per call)."""

import json
import os
import sys
import urllib.request

with urllib.request.urlopen(os.environ.get("KINHTESO_API", "http://api-server:8080") + "/api/v2/monitor/health", timeout=8) as answer:  # noqa: S310
    health = json.load(answer)
name = sys.argv[1]
status = "healthy" if name == "api_server" else (health.get(name) or {}).get("status")
print(f"{name}: {status}")
sys.exit(status != "healthy")
