"""What it costs: figures as ratios, measured in one run (`make bench`)."""
