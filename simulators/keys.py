"""Match keys as the wallets and Vỏ Sò make them: HMAC-SHA256(pepper, E.164 phone), the same over a citizen number's twelve digits."""

from __future__ import annotations

import hashlib
import hmac

PEPPER = b"demo-pepper"


def phone_key(phone: str) -> str:
    """Key of a ten-digit phone."""
    return hmac.new(PEPPER, f"+84{phone[1:]}".encode(), hashlib.sha256).hexdigest()


def citizen_key(number: str | None) -> str | None:
    """Key of a citizen number."""
    return hmac.new(PEPPER, number.encode(), hashlib.sha256).hexdigest() if number else None
