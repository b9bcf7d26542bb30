"""The simulated world: the third driver of the corridor, which sends nothing and waits for nothing.

- ``timeline``: simulated time;
- ``model``, ``server``, ``stream``, ``faults``: servers, how fast they are, and what goes wrong;
- ``driver``, ``process``, ``world``: requests on their way, in processes that can die;
- ``watch``: what must hold at every step;
- ``scenarios``: small worlds drawn from a seed;
- ``load``, ``report``: what one's own settings make of a load.
"""

from __future__ import annotations

from andon.simulation.load import Circumstances, Load, capacity, simulate, usual_services
from andon.simulation.report import LoadReport
from andon.simulation.scenarios import draw_world, run_seed
from andon.simulation.server import Service
from andon.simulation.watch import InvariantBroken
from andon.simulation.world import World

__all__ = [
    "Circumstances",
    "InvariantBroken",
    "Load",
    "LoadReport",
    "Service",
    "World",
    "capacity",
    "draw_world",
    "run_seed",
    "simulate",
    "usual_services",
]
