"""What each mistake is in words, and how it is mended."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "1/n missing": (
        "the gradient is as many times too large as there are rows",
        "divide by the number of rows, as the loss, a mean, does",
    ),
    "1/n twice": (
        "the gradient is as many times too small as there are rows",
        "divide by the number of rows once, or not at all where the loss is a sum",
    ),
    "1/outputs missing": (
        "the gradient is as many times too large as there are outputs",
        "divide by the number of outputs, as the loss, a mean over them too, does",
    ),
    "1/outputs twice": (
        "the gradient is as many times too small as there are outputs",
        "leave out the division by the number of outputs, which the loss does not have",
    ),
    "1/(n outputs) missing": (
        "the gradient is as many times too large as there are rows times outputs",
        "divide by both, as the loss, a mean over rows and outputs, does",
    ),
    "1/(n outputs) twice": (
        "the gradient is as many times too small as there are rows times outputs",
        "leave out the division by both, which the loss does not have",
    ),
    "twice": (
        "the gradient is twice what it should be",
        "a loss of ½ d² has the derivative d, not 2 d; or something is added twice",
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
        "look for a factor that the loss does not have",
    ),
    "transposed": (
        "the gradient is transposed",
        "for z = a W it is aᵀ δ; for z = W a it is δ aᵀ",
    ),
    "bias: mean for sum": (
        "the bias's gradient is a mean over the rows where it must be their sum",
        "sum δ over the rows, as the product for the weights does",
    ),
    "bias: sum for mean": (
        "the bias's gradient is as many times too large as there are rows",
        "divide it by the number of rows, as the weights' gradient is",
    ),
    "bias: wrong axis": (
        "the bias's gradient is taken over the units (axis 1), not over the rows (axis 0)",
        "sum δ over axis 0 (the shape fits where there are as many units as rows)",
    ),
    "bias: over all": (
        "the bias's gradient is one number, taken over rows and units",
        "sum δ over the rows alone (axis 0), so that each unit keeps its own",
    ),
    "shape": (
        "the gradient has another shape than its parameters",
        "return an array of the parameter's own shape",
    ),
    "not finite": (
        "the gradient holds numbers that are not finite",
        "look for 0/0, log 0 and what overflows, and write the formula so that it does not",
    ),
    "drawn anew": (
        "the gradient is another one each time at the same theta",
        "fix what it draws (its seed, its mask, its batch), so that it is a function",
    ),
    "grown by broadcasting": (
        "the gradient holds a row for each row of the data: it was not summed over them",
        "sum δ over axis 0; else the bias grows by broadcasting when it is updated",
    ),
    "slope of the activation": (
        "σ′ is applied to the activation, σ′(σ(z)), where it must be to the pre-activation",
        "use σ′(z), or write it by the activation: a (1 - a) for a sigmoid, 1 - a² for tanh",
    ),
    "slope missing": (
        "σ′ is missing",
        "multiply δ by σ′(z) of that layer",
    ),
    "weights transposed": (
        "δ is carried back through W where it must be through Wᵀ",
        "da = δ Wᵀ for z = a W; the shapes fit only because W is square",
    ),
    "mask missing": (
        "dropout's mask is not applied on the way back",
        "multiply da by the mask that the activations were multiplied with",
    ),
    "another loss": (
        "the gradient is that of another loss than the one returned",
        "return that loss, or its own derivative",
    ),
    "accumulated": (
        "the gradient grows from call to call: each adds to what was there",
        "set the gradient to zero before every backward pass",
    ),
    "stale": (
        "the gradient depends on the call before: an activation of that one is used",
        "compute all activations anew in each forward pass, and use those backward",
    ),
    "decay missing in the gradient": (
        "the loss has a penalty on the weights that the gradient lacks, or has too little of",
        "add λ W to the weights' gradient for a penalty of ½ λ ΣW² (2 λ W for λ ΣW²)",
    ),
    "decay missing in the loss": (
        "the gradient has a penalty on the weights that the loss lacks, or has too little of",
        "add ½ λ ΣW² to the loss for λ W in the gradient, or decay the weights apart from both",
    ),
    "decay of another strength": (
        "the penalty on the weights is of one strength in the loss and of another in the gradient",
        "a penalty of ½ λ ΣW² has the derivative λ W, one of λ ΣW² has 2 λ W",
    ),
    "unknown": (
        "the gradient is not the loss's derivative, and no usual mistake explains it",
        "look at the largest difference first, and check smaller parts",
    ),
}
"""By kind: what was done, and what to do."""
