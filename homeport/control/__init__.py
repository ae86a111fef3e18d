"""What should happen: level-triggered reconcilers over the store. Decisions pure, effects through drivers."""
