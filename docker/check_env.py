"""Refuses secrets that are missing or still those of .env.example; writes the password file of Airflow's login."""

import json
import os
import sys
from pathlib import Path

SECRETS = (
    "WAREHOUSE_PASSWORD", "AIRFLOW_DB_PASSWORD", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY",
    "KINHTESO_PHONE_KEY",
    "AIRFLOW_CONN_POSTMART", "AIRFLOW_CONN_VOSO",
)  # fmt: skip


def main() -> int:
    """0 when every secret is one of its own."""
    wrong = [n for n in SECRETS if not os.environ.get(n) or "change-me" in os.environ[n]]
    if wrong:
        print(f"Refused: set {', '.join(wrong)} in .env (missing, or still those of .env.example, which says how to make each).", file=sys.stderr)
        return 78
    path = os.environ.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
    if path:
        Path(path).write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
        Path(path).chmod(0o600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
