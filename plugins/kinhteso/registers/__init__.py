"""The districts' Excel forms (EXPORTS §12): found in the inbox, landed, read."""

from kinhteso.registers.inbox import Form, land, scan

__all__ = ["Form", "land", "scan"]
