"""Budgets that cannot be overspent: a circuit breaker over a ledger of reservations."""

from andon.budget.breaker import CircuitBreakerConfig, CostCircuitBreaker, Reservation
from andon.budget.ledger import Ledger, MemoryLedger

__all__ = [
    "CircuitBreakerConfig",
    "CostCircuitBreaker",
    "Ledger",
    "MemoryLedger",
    "Reservation",
]
