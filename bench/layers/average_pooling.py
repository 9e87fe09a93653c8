"""Average pooling as a class that keeps what it needs; examples, channels, height, width."""

import numpy as np

MUTATED = ("backward",)


class AveragePooling:
    def __init__(self, size, stride):
        self.size = size
        self.stride = stride

    def forward(self, x):
        self.shape = x.shape
        n, c, h, w = x.shape
        self.rows = (h - self.size) // self.stride + 1
        self.cols = (w - self.size) // self.stride + 1
        out = np.zeros((n, c, self.rows, self.cols), dtype=x.dtype)
        for i in range(self.size):
            for j in range(self.size):
                bottom, right = i + self.stride * self.rows, j + self.stride * self.cols
                out += x[:, :, i : bottom : self.stride, j : right : self.stride]
        return out / (self.size * self.size)

    def backward(self, grad):
        dx = np.zeros(self.shape, dtype=grad.dtype)
        share = grad / (self.size * self.size)
        for i in range(self.size):
            for j in range(self.size):
                bottom = i + self.stride * self.rows
                right = j + self.stride * self.cols
                dx[:, :, i : bottom : self.stride, j : right : self.stride] += share
        return dx


def forward(x):
    layer = AveragePooling(size=3, stride=2)
    return layer.forward(x), layer


def backward(dout, layer):
    return layer.backward(dout)


def inputs(rng, dtype=np.float64, size="small"):
    n, c, h, w = {"small": (2, 2, 7, 8), "other": (3, 2, 7, 8), "large": (4, 3, 11, 10)}[size]
    return rng.normal(size=(n, c, h, w)).astype(dtype)
