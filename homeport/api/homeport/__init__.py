"""Homeport's own operations, which AWS does not have. Importing the package declares every handler."""

from homeport.api.homeport import explain, explain_service

__all__ = ["explain", "explain_service"]
