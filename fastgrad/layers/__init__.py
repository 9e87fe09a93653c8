"""Layers, Jacobians and chains of layers: any function of tensors to tensors, with its hand-written backward pass."""
