"""andon's own strategies, over shared counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.errors import SettingsError
from andon.routing import Router
from andon.routing import create_router as create_own
from andon.routing.load import AGING
from andon.routing.options import check_number
from andon_redis.load import LEASE, RedisLoad


def create_router(options: Mapping[str, Any]) -> Router:
    """Make a strategy whose counts and queues are shared.

    :param options: ``url`` of the server; ``by``, the strategy's name, ``"spillover"`` by default;
        ``lease``, seconds; and that strategy's own settings.
    :raises SettingsError: one is missing, unknown or wrong.
    """
    own = dict(options)
    url, by, lease = own.pop("url", None), own.pop("by", "spillover"), own.pop("lease", LEASE)
    if not isinstance(url, str):
        raise SettingsError("routing.url: the server, as redis://host:6379/0")
    check_number("lease", lease)
    # Checked before a server is named: a wrong option is no reason to open anything.
    create_own(by, own)
    return create_own(by, own, RedisLoad(url, aging=own.get("aging", AGING), lease=lease))
