"""Security Token Service: who am I."""

from homeport.api.sts import identity

__all__ = ["identity"]
