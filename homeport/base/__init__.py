"""What every layer needs and that knows nothing of ECS: time, identity, errors, logging, supervision."""
