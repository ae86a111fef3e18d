"""The composition root: makes everything once, hands it to everyone, and stops the process when anything is beyond repair."""
