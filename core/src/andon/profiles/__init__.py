"""What a family of models accepts, wherever it is served, and what to do about the rest."""

from andon.profiles.acceptance import check_accepted, without
from andon.profiles.table import ProfileTable

__all__ = ["ProfileTable", "check_accepted", "without"]
