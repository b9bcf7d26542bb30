"""What a request costs, and at most can cost. Exact: decimals outside, integers inside.

- ``money``: amounts, and nano-dollars;
- ``token_pricing``: the cost of usage, and the bound of a request;
- ``rows``: prices as settings and files write them;
- ``built_in``: the few prices that andon knows by itself;
- ``table``: which source knows a model's price.
"""

from andon.pricing.money import NANO_PER_USD, Amount, to_nano, to_usd
from andon.pricing.table import Priced, PriceTable, UnknownPrice
from andon.pricing.token_pricing import TokenPricing

__all__ = [
    "NANO_PER_USD",
    "Amount",
    "PriceTable",
    "Priced",
    "TokenPricing",
    "UnknownPrice",
    "to_nano",
    "to_usd",
]
