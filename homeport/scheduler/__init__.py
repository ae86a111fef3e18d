"""Where tasks go: pure placement over a view of the fleet that the store's changes keep up to date."""
