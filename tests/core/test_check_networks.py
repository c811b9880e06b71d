"""check_gradient(net, X, Y): the spellings of network objects."""

import numpy as np
import pytest

import seedbed as sb

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(7, 2))


def squares(y, t):
    return ((y - t) ** 2).mean()


def slope(y, t):
    return 2 * (y - t) / y.size


class Attributes:
    """A 3-4-2 network in W1, b1, W2 and b2, without loss and backward."""

    def __init__(self):
        random = np.random.default_rng(1)
        self.W1, self.b1 = random.normal(size=(3, 4)), random.normal(size=4)
        self.W2, self.b2 = random.normal(size=(4, 2)), random.normal(size=2)

    def forward(self, X):
        self.X, self.a1 = X, np.tanh(X @ self.W1 + self.b1)
        self.out = self.a1 @ self.W2 + self.b2
        return self.out

    def gradient_from(self, d):
        d1 = d @ self.W2.T * (1 - self.a1**2)
        return {"W1": self.X.T @ d1, "b1": d1.sum(0), "W2": self.a1.T @ d, "b2": d.sum(0)}


class Stored(Attributes):
    def loss(self, y_pred, y):
        return squares(y_pred, y)

    def backward(self, X, y):
        for name, value in self.gradient_from(slope(self.out, y)).items():
            setattr(self, f"d{name}", value)


class Returned(Attributes):
    def cost(self, X, Y):
        return squares(self.forward(X), Y)

    def backward(self, Y):
        return {f"d{name}": value for name, value in self.gradient_from(slope(self.out, Y)).items()}


class WithSlope(Attributes):
    def loss(self, y_true, y_pred):
        return squares(y_pred, y_true)

    def loss_grad(self, y_true, y_pred):
        return slope(y_pred, y_true)

    def backward(self, dout):
        self.grads = self.gradient_from(dout)


class LossInBackward(Attributes):
    def backprop(self, x, t):
        return squares(self.out, t), self.gradient_from(slope(self.out, t))


class LossInForward(Attributes):
    def forward(self, x, t):
        y = super().forward(x)
        self.t = t
        return y, squares(y, t)

    def backward(self):
        return list(self.gradient_from(slope(self.out, self.t)).values())


class WithRate(Attributes):
    """backward only updates; the gradient is the change over the rate."""

    def backward(self, X, y, lr):
        self.loss = squares(self.out, y)
        for name, value in self.gradient_from(slope(self.out, y)).items():
            setattr(self, name, getattr(self, name) - lr * value)


class Params:
    """loss(X, y) returns the loss and the gradients, or the scores without y."""

    def __init__(self):
        random = np.random.default_rng(2)
        self.params = {"W1": random.normal(size=(3, 2)), "b1": np.zeros(2)}

    def loss(self, X, y=None):
        scores = X @ self.params["W1"] + self.params["b1"]
        if y is None:
            return scores
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        value = -np.log(p[range(len(X)), y]).mean()
        p[range(len(X)), y] -= 1
        return value, {"W1": X.T @ p / len(X), "b1": p.mean(axis=0) * self.factor}

    factor = 1


class Parameter:
    def __init__(self, data):
        self.data, self.grad = data, None


class ParameterObjects:
    class Squares:
        def __call__(self, y, t):
            self.d = y - t
            return (self.d**2).mean()

        def backward(self):
            return 2 * self.d / self.d.size

    def __init__(self):
        self.w, self.b = Parameter(np.ones((3, 2))), Parameter(np.zeros((1, 2)))
        self.criterion = self.Squares()

    def parameters(self):
        yield from (self.w, self.b)

    def zero_grad(self):
        for each in self.parameters():
            each.grad = np.zeros_like(each.data)

    def forward(self, x):
        self.x = x
        return x @ self.w.data + self.b.data

    def backward(self, grad):
        self.w.grad += self.x.T @ grad
        self.b.grad += grad.sum(axis=0, keepdims=True)


class Columns:
    """Lists of weights and biases, examples as columns; backprop returns (biases, weights)."""

    def __init__(self):
        random = np.random.default_rng(3)
        self.weights = [random.normal(size=shape) for shape in ((4, 3), (2, 4))]
        self.biases = [random.normal(size=(n, 1)) for n in (4, 2)]

    def feedforward(self, a):
        self.activations = [a]
        for w, b in zip(self.weights, self.biases, strict=True):
            self.activations.append(np.tanh(w @ self.activations[-1] + b))
        return self.activations[-1]

    def cost(self, a, y):
        return 0.5 * ((a - y) ** 2).sum() / y.shape[1]

    def backprop(self, x, y):
        a0, a1, a2 = self.activations
        d2 = (a2 - y) * (1 - a2**2) / y.shape[1]
        d1 = self.weights[1].T @ d2 * (1 - a1**2)
        nabla_b = [d.sum(axis=1, keepdims=True) for d in (d1, d2)]
        return nabla_b, [d1 @ a0.T, d2 @ a1.T]


class LayerWithRate:
    def __init__(self, n_in, n_out, seed):
        self.weights = np.random.default_rng(seed).normal(size=(n_in, n_out))
        self.bias = np.zeros((1, n_out))

    def forward(self, x):
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, output_gradient, learning_rate):
        before = output_gradient @ self.weights.T
        self.weights -= learning_rate * self.x.T @ output_gradient
        self.bias -= learning_rate * output_gradient.sum(axis=0, keepdims=True)
        return self.passed_back(before, output_gradient)

    def passed_back(self, before, output_gradient):
        return before


class UpdatedLayer(LayerWithRate):
    def passed_back(self, before, output_gradient):
        return output_gradient @ self.weights.T


class Layers:
    def __init__(self, layer=LayerWithRate):
        self.layers = [layer(3, 4, 0), layer(4, 2, 1)]

    def predict(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def loss(self, y_true, y_pred):
        return squares(y_pred, y_true)

    def loss_prime(self, y_true, y_pred):
        return slope(y_pred, y_true)

    def backward(self, grad, learning_rate):
        for layer in reversed(self.layers):
            grad = layer.backward(grad, learning_rate)


NETWORKS = [
    Stored, Returned, WithSlope, LossInBackward, LossInForward, WithRate, ParameterObjects, Layers
]  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_usual_spellings_are_understood(kind):
    net = kind()
    report = sb.check_gradient(net, X, Y)
    assert (report.verdict, report.examples) == ("agrees", "rows")
    assert sb.check_gradient(net, X=X, Y=1.01 * Y).loss != report.loss
    assert sb.check_gradient(net, None, X, Y).loss == report.loss  # its parameters are as before


def test_lists_with_examples_as_columns_and_class_numbers_are_understood():
    report = sb.check_gradient(Columns(), X.T, np.tanh(Y.T))
    assert (report.verdict, report.examples) == ("agrees", "columns")
    assert [block.name for block in report.blocks] == [
        "weights[0]", "weights[1]", "biases[0]", "biases[1]"
    ]  # fmt: skip
    net, classes = Params(), np.arange(7) % 2
    assert sb.check_gradient(net, X, classes).agrees
    net.factor = 7
    (mistake,) = sb.check_gradient(net, X, classes).mistakes
    assert (mistake.kind, mistake.blocks) == ("bias: sum for mean", ("b1",))


def test_an_update_within_backward_is_named_where_it_matters():
    (mistake,) = sb.check_gradient(Layers(UpdatedLayer), X, Y).mistakes
    assert mistake.kind == "update in the call"

    class OwnRate(WithRate):
        lr = 0.1

        def backward(self, X, y):
            super().backward(X, y, self.lr)

    assert sb.check_gradient(OwnRate(), X, Y).agrees

    class UpdatedFirst(OwnRate):
        def backward(self, X, y):
            before = self.W2
            step = self.lr * self.gradient_from(slope(self.out, y))["W2"]
            self.W2 = before - step
            super().backward(X, y)
            self.W2 = before - step

    (mistake,) = sb.check_gradient(UpdatedFirst(), X, Y).mistakes
    assert mistake.kind == "update in the call"
    assert mistake.blocks == ("W1", "b1", "W2", "b2")


def test_an_output_named_by_its_layer_is_understood():
    class A2(Attributes):
        def compute_cost(self, A2, Y):
            return squares(A2, Y)

        def backward(self, A2, Y):
            return self.gradient_from(slope(A2, Y))

    assert sb.check_gradient(A2(), X, Y).agrees


class NoBackward(Attributes):
    def loss(self, y, t):
        return squares(y, t)


class NoLoss(Attributes):
    def backward(self, Y):
        return self.gradient_from(slope(self.out, Y))


class NoGradient(Stored):
    def backward(self, X, y):
        self.secret = self.gradient_from(slope(self.out, y))


class NoParameters:
    def forward(self, x):
        return x


class StrangeName(Stored):
    def backward(self, X, y, q):
        super().backward(X, y)


class NoSlope(Attributes):
    def loss(self, y, t):
        return squares(y, t)

    def backward(self, dout):
        return self.gradient_from(dout)


class WholeNumbers(Stored):
    def __init__(self):
        super().__init__()
        self.b2 = np.zeros(2, dtype=int)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoBackward, "has no backward pass: looked for backward, backprop"),
        (NoLoss, "loss is not found: looked for loss, compute_loss, cost"),
        (NoGradient, "gradient is not found after backward: looked at what it returns"),
        (NoParameters, "has no parameters: looked for parameters, params, weights and biases"),
        (StrangeName, "backward's argument 'q' is not understood: name it X, Y"),
        (NoSlope, "backward takes dout, the loss's derivative by the output: looked for loss_grad"),
        (WholeNumbers, "b2 holds whole numbers: make it an array of floats"),
    ],
)
def test_what_was_looked_for_is_one_line(kind, words):
    with pytest.raises(sb.SeedbedError, match=words) as caught:
        sb.check_gradient(kind(), X, Y)
    assert "\n" not in str(caught.value)


def test_a_network_object_needs_data():
    with pytest.raises(sb.SettingError, match=r"checked on data: check_gradient\(net, X, Y\)"):
        sb.check_gradient(Stored())


def test_a_network_in_float32_is_checked_in_float64():
    net = Stored()
    for name in ("W1", "b1", "W2", "b2"):
        setattr(net, name, getattr(net, name).astype(np.float32))
    report = sb.check_gradient(net, X, Y)
    assert report.agrees
    assert max(block.error for block in report.blocks) < 1e-7
    assert net.W1.dtype == np.float32


def test_data_that_a_network_changes_are_as_before():
    class Centred(Stored):
        def forward(self, X):
            X -= X.mean(axis=0)
            return super().forward(X)

    x = X.copy()
    (mistake,) = sb.check_gradient(Centred(), x, Y).mistakes
    assert mistake.kind == "data changed"
    np.testing.assert_array_equal(x, X)
