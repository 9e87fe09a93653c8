"""What is shown rather than checked: demos, digits, training, descents and sweeps of the step."""
