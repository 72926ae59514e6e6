"""How to ask each platform for a business day."""
