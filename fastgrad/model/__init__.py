"""What is a network? Its description, the forward pass at the base point, and what rounding may do to a gradient."""
