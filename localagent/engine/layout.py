"""Which layers go to which memory, and what that takes. Everything is in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .entry import MIB
from .fit import RUNTIME
from .machine import Gpu
from .weights import Layer, Weights

GPU_MARGIN = 512 * MIB
"""What the driver and the screen take of a graphics card, beside what they say."""
_Q8 = 34 / 64
"""Bytes of a number at q8_0 for each byte of it at f16."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`memory` is needed in main memory, of which `main_weights` are weights; `split` has the layers of each card."""

    context: int
    layers: int
    gpu_layers: int
    split: tuple[int, ...]
    memory: int
    gpu_memory: int
    main_weights: int


def lay_out(
    gpus: Sequence[Gpu], weights: Weights, context: int, batch: int, *, small: bool = False, flash: bool = True
) -> Layout:
    """As many layers on the cards as fit, the last ones first, spread by the cards' free memory.

    `small` keeps keys and values at q8_0. The engine puts the last layers on cards, too, and the output behind them.
    """
    compute = weights.compute(context, batch, flash=flash)
    behind = [Layer(weights.output, 0), *reversed(weights.layers)]
    costs = [_cost(layer, context, small) for layer in behind]
    split = _spread(gpus, costs, compute)
    moved = sum(split)
    there, here = sum(costs[:moved]), sum(costs[moved:])
    cards = there + compute * sum(1 for count in split if count)
    shared = cards if any(gpu.unified for gpu in gpus) else 0
    return Layout(
        context=context,
        layers=len(behind),
        gpu_layers=moved,
        split=split if moved else (),
        memory=here + weights.rest + compute + RUNTIME + shared,
        gpu_memory=cards if moved else 0,
        main_weights=weights.rest + sum(layer.bytes for layer in behind[moved:]),
    )


def _cost(layer: Layer, context: int, small: bool) -> int:
    return layer.bytes + round(layer.kv * context * (_Q8 if small else 1)) + layer.state


def _spread(gpus: Sequence[Gpu], costs: Sequence[int], compute: int) -> tuple[int, ...]:
    """How many of the layers (the last first) go to each card: its share where all fit, else as many as fit."""
    rooms = [max(0, gpu.room - GPU_MARGIN - compute) for gpu in gpus]
    if not costs or not any(rooms):
        return tuple(0 for _ in gpus)
    share = min(1.0, sum(costs) / sum(rooms))
    for slack in (0, max(costs)):
        limits = [min(room, int(room * share) + slack) for room in rooms]
        split = _fill(limits, costs)
        if sum(split) == len(costs):
            return split
    return _fill(rooms, costs)


def _fill(rooms: Sequence[int], costs: Sequence[int]) -> tuple[int, ...]:
    """The last card takes the last layers."""
    split, next_ = [0] * len(rooms), 0
    for card in reversed(range(len(rooms))):
        left = rooms[card]
        while next_ < len(costs) and costs[next_] <= left:
            left -= costs[next_]
            split[card] += 1
            next_ += 1
    return tuple(split)
