"""AWS Certificate Manager, as far as imported certificates go: importing this package declares its handlers."""

from homeport.api.acm import certificates, tags

__all__ = ["certificates", "tags"]
