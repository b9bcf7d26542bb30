"""The command line of andon."""

__version__ = "0.1.0"
