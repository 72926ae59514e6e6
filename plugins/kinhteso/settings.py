"""Settings of the pipeline, from the environment (documented in .env.example)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Settings:
    """``landing``: path or URL; ``registers_inbox``: path; ``phone_key``: HMAC secret; ``first_day``: D0, the day of the backlog."""

    landing: str
    registers_inbox: str
    phone_key: str = field(repr=False)
    first_day: date = date(2021, 9, 12)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read KINHTESO_*; raises ValueError naming every variable that is missing or wrong."""
        wrong = [name for name in ("KINHTESO_LANDING", "KINHTESO_REGISTERS_INBOX", "KINHTESO_PHONE_KEY") if not os.environ.get(name)]
        first = os.environ.get("KINHTESO_FIRST_DAY") or "2021-09-12"
        try:
            first_day = date.fromisoformat(first)
        except ValueError:
            wrong.append(f"KINHTESO_FIRST_DAY (is {first!r}, must be YYYY-MM-DD)")
            first_day = cls.first_day
        if wrong:
            raise ValueError(f"Set in the environment or .env (see .env.example): {', '.join(wrong)}")
        return cls(os.environ["KINHTESO_LANDING"], os.environ["KINHTESO_REGISTERS_INBOX"], os.environ["KINHTESO_PHONE_KEY"], first_day)
