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
from andon.budget.report import BackendSpending, BudgetState, ModelSpending, SpendReport

__all__ = [
    "BackendSpending",
    "Balance",
    "Budget",
    "BudgetState",
    "BudgetWarning",
    "Charge",
    "CircuitBreakerConfig",
    "CircuitState",
    "CostCircuitBreaker",
    "Decision",
    "Hold",
    "Ledger",
    "MemoryLedger",
    "ModelSpending",
    "Reservation",
    "SpendReport",
    "Spending",
]
