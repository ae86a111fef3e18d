"""Importing this package declares its handlers."""
