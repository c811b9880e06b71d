"""The message and the remedy of each kind of mistake, for examples as rows or as columns."""

from __future__ import annotations

MESSAGES: dict[str, tuple[str, str]] = {
    "1/n missing": (
        "the gradient is too large by a factor of the number of {rows}",
        "divide by the number of {rows}: the loss is a mean",
    ),
    "1/n twice": (
        "the gradient is too small by a factor of the number of {rows}",
        "divide by the number of {rows} once, or not at all if the loss is a sum",
    ),
    "1/outputs missing": (
        "the gradient is too large by a factor of the number of outputs",
        "divide by the number of outputs: the loss is a mean over them, too",
    ),
    "1/outputs twice": (
        "the gradient is too small by a factor of the number of outputs",
        "don't divide by the number of outputs: the loss does not",
    ),
    "1/(n outputs) missing": (
        "the gradient is too large by a factor of {rows} times outputs",
        "divide by both: the loss is a mean over {rows} and outputs",
    ),
    "1/(n outputs) twice": (
        "the gradient is too small by a factor of {rows} times outputs",
        "don't divide by both: the loss does not",
    ),
    "twice": (
        "the gradient is twice what it should be",
        "the derivative of ½ d² is d, not 2 d; or a term is added twice",
    ),
    "half": (
        "the gradient is half of what it should be",
        "the derivative of d² is 2 d, not d",
    ),
    "sign": (
        "the gradient has the wrong sign",
        "the derivative by the prediction is y - t, not t - y; descent subtracts it",
    ),
    "factor": (
        "the gradient is a multiple of what it should be",
        "look for a factor that is not in the loss",
    ),
    "transposed": (
        "the gradient is transposed",
        "use aᵀ δ for z = a W, and δ aᵀ for z = W a",
    ),
    "bias: mean for sum": (
        "the bias's gradient is a mean over the {rows} instead of their sum",
        "sum δ over the {rows}, as the product for the weights does",
    ),
    "bias: sum for mean": (
        "the bias's gradient is too large by a factor of the number of {rows}",
        "divide it by the number of {rows}, like the weights' gradient",
    ),
    "bias: wrong axis": (
        "the bias's gradient is taken over the units (axis {other}), not over the {rows} "
        "(axis {axis})",
        "sum δ over axis {axis}; the shape fits only where there are as many units as {rows}",
    ),
    "bias: over all": (
        "the bias's gradient is one number, taken over {rows} and units",
        "sum δ over the {rows} (axis {axis}) only: each unit has its own gradient",
    ),
    "shape": (
        "the gradient's shape is not its parameters'",
        "return an array of the parameters' shape",
    ),
    "not finite": (
        "the gradient holds numbers that are not finite",
        "look for 0/0, log 0 and overflow, and rewrite the formula to avoid them",
    ),
    "zero": (
        "the gradient is 0 everywhere, and the derivative is not",
        "look for zeros that are returned unfilled, or a mask that is always 0",
    ),
    "not deterministic": (
        "the gradient changes from call to call at the same theta",
        "fix what it draws (its seed, its mask, its batch)",
    ),
    "one row only": (
        "the gradient is that of one {row} only",
        "add up over the {rows}: dW += … in a loop, not dW = …",
    ),
    "grown by broadcasting": (
        "the gradient has one {row} per {row} of the data: it was not summed over them",
        "sum δ over axis {axis}; otherwise the update broadcasts the bias to that shape",
    ),
    "slope of the activation": (
        "σ′ is applied to the activation, σ′(σ(z)), instead of the pre-activation",
        "use σ′(z), or write it in terms of a: a (1 - a) for sigmoid, 1 - a² for tanh",
    ),
    "slope with z for a": (
        "σ′ is written in terms of the activation a, but takes z",
        "use a (1 - a) for sigmoid, 1 - a² for tanh, with a = σ(z)",
    ),
    "slope missing": (
        "σ′ is missing",
        "multiply δ by σ′(z) of that layer",
    ),
    "weights transposed": (
        "δ is propagated through W instead of Wᵀ",
        "use {back}; the shapes fit only because W is square",
    ),
    "mask missing": (
        "dropout's mask is not applied in the backward pass",
        "multiply da by the mask of the forward pass",
    ),
    "another loss": (
        "the gradient is not the returned loss's, but another loss's",
        "return that loss, or the derivative of this one",
    ),
    "accumulated": (
        "the gradient accumulates from call to call",
        "set the gradient to zero before every backward pass",
    ),
    "stale": (
        "the gradient depends on an earlier call: the backward pass uses its activations",
        "recompute all activations in each forward pass, and use those",
    ),
    "decay missing in the gradient": (
        "the loss has a penalty on the weights that is missing or too weak in the gradient",
        "add λ W to the weights' gradient for a penalty of ½ λ ΣW² (2 λ W for λ ΣW²)",
    ),
    "decay missing in the loss": (
        "the gradient has a penalty on the weights that is missing or too weak in the loss",
        "add ½ λ ΣW² to the loss for λ W in the gradient, or decay the weights separately",
    ),
    "decay of another strength": (
        "the penalty on the weights has different strengths in the loss and in the gradient",
        "the derivative of ½ λ ΣW² is λ W, that of λ ΣW² is 2 λ W",
    ),
    "update in the call": (
        "the parameters change during the call",
        "return the gradient alone, and update after all layers have been passed back through",
    ),
    "data changed": (
        "the call changes its data in place",
        "copy before changing, or write d = a - b in place of a -= b",
    ),
    "keepdims lost": (
        "the gradient has lost an axis",
        "sum with keepdims=True, or reshape it to the parameter's shape",
    ),
    "averaged over another axis": (
        "the gradient is divided by the length of the wrong axis",
        "divide by the number of {rows}, X.shape[{axis}]",
    ),
    "blocks in another order": (
        "the gradients are in another order than their parameters",
        "return them in theta's order: a backward pass finds the last layer's first",
    ),
    "embedding: wrong row": (
        "the gradient is put into the wrong rows of the table",
        "add each example's derivative to the row that its forward pass read",
    ),
    "embedding: repeated rows": (
        "rows that occur more than once get the derivative of one occurrence only",
        "add all: np.add.at(dE, indices, d), as dE[indices] += d keeps the last",
    ),
    "cancellation": (
        "the gradient is wrong by rounding: numbers that are nearly equal are subtracted",
        "rewrite the formula without that difference, or compute it in float64",
    ),
    "softmax Jacobian missing": (
        "softmax's Jacobian is missing: δ is the derivative by the probabilities p",
        "multiply by it: δ = p (dp - Σ dp p); for cross-entropy that is p - t",
    ),
    "softmax Jacobian twice": (
        "softmax's Jacobian is applied to p - t, which includes it already",
        "use δ = p - t for cross-entropy of softmax",
    ),
    "softmax Jacobian's diagonal": (
        "softmax is treated as if each p depended on its own z only",
        "use δ = p (dp - Σ dp p); for cross-entropy that is p - t",
    ),
    "slope of another layer": (
        "σ′ is taken at another layer's z",
        "use the z of the layer whose dz it is: dz = da σ′(z)",
    ),
    "slope of another activation": (
        "σ′ is another activation's",
        "use the derivative of the activation that the forward pass applies",
    ),
    "slope not passed back": (
        "what a layer passes back is made of da, before σ′, instead of its dz",
        "use dz = da σ′(z) for the layer's weights and for what it passes back: {back}",
    ),
    "weights missing": (
        "δ of the layer above is used as da: the weights between them are missing",
        "use {back}",
    ),
    "mask of dA": (
        "relu's mask is taken from da, da > 0, instead of z > 0",
        "keep z of the forward pass, and set dz to 0 where z ≤ 0",
    ),
    "inputs of another layer": (
        "dW uses the inputs of another layer",
        "use the a that the forward pass multiplied by this W",
    ),
    "inputs before the activation": (
        "dW uses the layer below's z, before its activation",
        "use the a that the forward pass multiplied by this W",
    ),
    "small difference": (
        "the gradient differs from the derivative by less than 0.1 %",
        "look for a small number that only the loss has, such as ε in log(p + ε)",
    ),
    "broken chain": (
        "the layers above agree: what is passed back to these is wrong",
        "look at {back}, and at σ′(z) of the layer that receives it",
    ),
    "unknown": (
        "the gradient is not the loss's derivative, and no usual mistake explains it",
        "look at the largest difference first, and check smaller parts separately",
    ),
}
"""By kind: the message and the remedy; ``words`` fills in the names in braces."""


def words(examples: str | None) -> dict[str, str | int]:
    """Return the words for examples as rows, or as columns."""
    if examples == "columns":
        back = "da = Wᵀ δ for z = W a"
        return {"rows": "columns", "row": "column", "axis": 1, "other": 0, "back": back}
    back = "da = δ Wᵀ for z = a W"
    if examples is None:  # not known
        back += " (Wᵀ δ for z = W a)"
    return {"rows": "rows", "row": "row", "axis": 0, "other": 1, "back": back}
