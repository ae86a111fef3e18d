"""What is: one in-memory, indexed, transactional, watched state; the database is its journal."""
