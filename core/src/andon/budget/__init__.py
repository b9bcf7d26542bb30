"""Budgets that cannot be overspent: a circuit breaker over a ledger of reservations."""

from andon.budget.breaker import (
    BudgetWarning,
    CircuitBreakerConfig,
    CircuitState,
    CostCircuitBreaker,
    Reservation,
)
from andon.budget.budgets import Budget
from andon.budget.ledger import Balance, Charge, Decision, Hold, Ledger, MemoryLedger, Spending

__all__ = [
    "Balance",
    "Budget",
    "BudgetWarning",
    "Charge",
    "CircuitBreakerConfig",
    "CircuitState",
    "CostCircuitBreaker",
    "Decision",
    "Hold",
    "Ledger",
    "MemoryLedger",
    "Reservation",
    "Spending",
]
