"""With what: one folder per boundary to the outside world. Value types in and out, three error roots, no store."""
