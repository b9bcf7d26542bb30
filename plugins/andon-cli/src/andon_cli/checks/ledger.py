"""Where spending is kept, and whether it can be read and written there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from andon.budget.ledger import Charge, Hold, Ledger
from andon.errors import AndonError
from andon_cli.app import App, quiet_plugins
from andon_cli.checks import Check, State

#: An account that nobody's budget looks at.
_ACCOUNT = "andon-doctor"


def check(app: App) -> Sequence[Check]:
    """Read the ledger, and hold and settle nothing at all in it."""
    from andon_cli.config.origins import effective

    place = next(row for row in effective(app) if row.setting == "ledger")
    found = [Check("place", State.OK, f"{place.value} ({place.source})")]
    try:
        with quiet_plugins(), app.client() as client:
            spent = client.spent_today_usd
            limit = client.settings.daily_budget_usd
            _write(client.breaker.ledger)
    except AndonError as error:
        return [*found, Check("reachable and writable", State.FAILED, str(error))]
    of = "no daily budget is set" if limit is None else f"of ${limit:,f}"
    return [
        *found,
        Check("reachable and writable", State.OK, "a hold was made and settled"),
        Check("today", State.OK, f"${spent:,f} spent or held, {of}"),
    ]


def _write(ledger: Ledger) -> None:
    now = time.time()
    charge = Charge(_ACCOUNT, "ever", None)
    hold = Hold(id=f"doctor-{uuid.uuid4()}", amount=0, charges=(charge,), created=now, expires=now)
    ledger.reserve(hold)
    ledger.settle(hold.id, 0)
