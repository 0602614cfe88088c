"""Which sodium solid electrolyte to make next, how to process it, and how sure we are."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nascreen.campaigns import Campaign, Objective

__all__ = ["Campaign", "Objective", "__version__"]


def __getattr__(name: str) -> object:
    """Import what a campaign needs when it is first named, so that importing the package stays light."""
    if name in {"Campaign", "Objective"}:
        from nascreen import campaigns

        return getattr(campaigns, name)
    raise AttributeError(f"module 'nascreen' has no attribute {name!r}")
