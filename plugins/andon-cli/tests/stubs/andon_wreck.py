"""A plugin that cannot be imported."""

raise RuntimeError("the wreck's engine is missing")
