"""Amounts of money: decimals outside, whole nano-dollars inside."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

from andon.errors import InvalidRequestError

#: A ledger counts whole nano-dollars: a billion of them are one US dollar.
NANO_PER_USD = 10**9

Amount = Decimal | int | float | str


def to_nano(usd: Amount, what: str = "an amount") -> int:
    """Return an amount in whole nano-dollars, rounded up.

    :param usd: US dollars. A float is taken by its shortest decimal form, so 0.1 is a tenth.
    :param what: what the amount is, for the error.
    :raises InvalidRequestError: it is no amount: negative, not finite, or not a number.
    """
    try:
        amount = usd if isinstance(usd, Decimal) else Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(usd, bool) or not amount.is_finite() or amount < 0:
        raise InvalidRequestError(f"{what} must be US dollars, 0 or more, not {usd!r}")
    return int((amount * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def to_usd(nano: int) -> Decimal:
    """Return an amount of nano-dollars in US dollars, exactly."""
    return Decimal(nano) / NANO_PER_USD
