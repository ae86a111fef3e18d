"""What is true: ECS's nouns and rules. Frozen, pure, total; nothing here knows of time, chance or the outside world."""
