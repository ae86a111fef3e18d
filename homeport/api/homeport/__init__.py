"""Homeport's own operations, which AWS does not have. Importing the package declares every handler."""

from homeport.api.homeport import explain

__all__ = ["explain"]
