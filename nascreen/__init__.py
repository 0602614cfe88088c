"""Which sodium solid electrolyte to make next, how to process it, and how sure we are."""

__version__ = "0.1.0"
