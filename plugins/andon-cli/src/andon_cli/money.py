"""Amounts of money for people."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def usd(amount: Decimal) -> str:
    """Return US dollars to the cent, or as far as the first two digits go.

    :param amount: US dollars.
    """
    if amount == 0 or amount >= Decimal("0.01"):
        return f"${amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    exponent = amount.adjusted() - 1
    return f"${amount.quantize(Decimal(1).scaleb(exponent), ROUND_HALF_UP).normalize():f}"
