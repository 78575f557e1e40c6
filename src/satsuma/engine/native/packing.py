"""Weights -> panels: the order in which the kernels read them.

A panel holds P columns of a weight, row by row, so that the innermost loop reads memory straight
through. N columns (the layer's outputs), K rows (its inputs); N is rounded up to whole panels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from satsuma.types import FloatArray, Int8Array, Precision

PRECISIONS = (Precision.FP32, Precision.INT8)  # those that the kernels have
_INT8_MAX = 127
INT8_GROUP = 4  # consecutive inputs that a lane of the int8 kernels multiplies at once
_TWO_GROUPS = 8  # inputs that one pass of their loop takes


@dataclass(frozen=True, slots=True)
class Target:
    """What one instruction set's kernels want.

    Attributes:
        name: of the instruction set.
        panel_columns: P.
        quad_limit: largest sum of one sign's int8 weights in the four places that its products
            add in 16 bits.
    """

    name: str
    panel_columns: int
    quad_limit: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model's weights are written: for which kernels, and in which arithmetic."""

    target: Target
    precision: Precision


def round_up(value: int, unit: int) -> int:
    """Return the next multiple of `unit`."""
    return -(-value // unit) * unit


def pack_panels(weight: FloatArray, target: Target) -> FloatArray:
    """Lay a weight (N, K) out as float panels (N / P, K, P); columns beyond N are 0."""
    num_columns, depth = weight.shape
    panels = round_up(num_columns, target.panel_columns) // target.panel_columns
    padded = np.zeros((panels * target.panel_columns, depth), np.float32)  # (N', K)
    padded[:num_columns] = weight
    return np.ascontiguousarray(padded.reshape(panels, -1, depth).transpose(0, 2, 1))


def pack_bias(bias: FloatArray, target: Target) -> FloatArray:
    """Extend a bias (N,) by zeros to whole panels (N',)."""
    return np.pad(bias, (0, -len(bias) % target.panel_columns)).astype(np.float32)


def quantize_panels(weight: FloatArray, target: Target) -> tuple[Int8Array, FloatArray, FloatArray]:
    """Quantise a weight (N, K) to int8, each output column by a scale of its own.

    Returns:
        Panels (N / P, K / 4, P, 4) int8, the columns' scales (N',) float32, and the sums (N',)
        float32 of each column's quantised weights, which bring in the activations' offsets.
    """
    num_columns, depth = weight.shape
    columns, rows = round_up(num_columns, target.panel_columns), round_up(depth, _TWO_GROUPS)
    padded = np.zeros((columns, rows), np.float32)  # (N', K')
    padded[:num_columns, :depth] = weight
    scale = column_scales(padded, target.quad_limit)  # (N',)
    quantized = np.rint(padded / scale[:, None]).astype(np.int8)  # (N', K')
    groups = quantized.reshape(-1, target.panel_columns, rows // INT8_GROUP, INT8_GROUP)
    panels = np.ascontiguousarray(groups.transpose(0, 2, 1, 3))
    sums = quantized.sum(axis=1, dtype=np.int64) * scale.astype(np.float64)  # (N',)
    return panels, scale, sums.astype(np.float32)


def column_scales(weight: FloatArray, quad_limit: int) -> FloatArray:
    """Choose each column's scale, for a weight (N, K) with K in whole pairs of groups: (N,).

    Where a processor adds four products in 16 bits, no four weights of one sign may be too large
    together. A bound on their sum costs far less precision than one on each of them, since a
    column's largest weights are seldom among the same four.
    """
    positive, negative = np.maximum(weight, 0), np.maximum(-weight, 0)
    quads = np.maximum(_sum_quads(positive), _sum_quads(negative))  # (N, K / 4)
    peaks = np.maximum(quads.max(axis=1) / quad_limit, np.abs(weight).max(axis=1) / _INT8_MAX)
    scales: FloatArray = np.where(peaks > 0, peaks, 1).astype(np.float32)
    return scales


def _sum_quads(weight: FloatArray) -> FloatArray:
    """Add what is added in 16 bits, places 0, 1, 4, 5 and 2, 3, 6, 7 of each 8: (N, K / 4)."""
    places = weight.reshape(len(weight), -1, 2, 2, 2)  # (N, K / 8, group, pair, neighbour)
    sums: FloatArray = places.sum(axis=(2, 4)).reshape(len(weight), -1)
    return sums
