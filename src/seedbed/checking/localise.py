"""Where a backward pass first goes wrong, from the last layer down."""

from __future__ import annotations

from collections.abc import Sequence

from seedbed.checking.data import Data
from seedbed.checking.evidence import Evidence, Fault
from seedbed.checking.infer_network import LayerBlocks, likely_chains


def localised(
    evidence: Evidence, faults: Sequence[Fault], wrong: Sequence[int], data: Data | None
) -> list[Fault]:
    """Return the faults with the place where the unknown ones begin, if the blocks make layers.

    Layers that agree, down to one that does not, show that what is passed back to it is wrong.
    """
    unknown = {i for fault in faults if fault.kind == "unknown" for i in fault.blocks}
    layers = _layers(evidence, data)
    if not unknown or len(layers) < 2:
        return list(faults)
    weights = [w for w, _, _ in layers]
    first = max((i for i, w in enumerate(weights) if w in unknown), default=None)
    if first is None:
        return list(faults)
    above = [i for w, b, _ in layers[first + 1 :] for i in (w, b) if i is not None]
    if any(i in unknown for i in above):
        return list(faults)
    below = [w for w in weights[:first] if w in wrong]
    if first == len(layers) - 1:
        place, kind = "the break is already in the last layer", "unknown"
    elif first and not below:
        place, kind = f"layer {first + 1} alone: what it passes back is right", "unknown"
    elif layers[first][1] is not None and layers[first][1] not in wrong:
        # the bias's gradient is δ's sum, so that δ is right
        place, kind = f"layer {first + 1}'s b agrees: what it is passed back is right", "unknown"
    else:
        place, kind = f"from layer {first + 2} to layer {first + 1}", "broken chain"
    found = [fault for fault in faults if fault.kind != "unknown"]
    return [*found, Fault(kind, tuple(sorted(unknown)), detail=place)]


def _layers(evidence: Evidence, data: Data | None) -> list[LayerBlocks]:
    """Return the layers that the blocks make, from the first to the last."""
    theta = evidence.theta
    if data is not None:
        ends = [(data.X.shape[1], data.T.shape[1])]
    else:
        matrices = [block.shape for block in theta if block.ndim == 2]
        matrices = [shape for shape in matrices if min(shape) > 1] or matrices
        if not matrices:
            return []
        widths = [1, *(n for shape in matrices[-1:] for n in shape)]
        ends = [(i, o) for i in matrices[0] for o in widths]
    columns = data is not None and data.examples == "columns"
    return next(iter(likely_chains(theta, list(dict.fromkeys(ends)), columns)), [])
