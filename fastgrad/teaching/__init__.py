"""What teaches rather than checks: demos, digits, training, descents and sweeps of the step."""
