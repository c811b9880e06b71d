"""Compare three learning rates on the digits, then search for a better setting."""

import warnings

from sklearn.datasets import load_digits

import seedbed as sb

X, Y = load_digits(return_X_y=True)
X /= 16


def recipe(lr):
    """Return the method with this learning rate."""
    network = sb.Network(64, [sb.Dense(32, sb.relu), sb.Dense(10)])
    return sb.Recipe(
        network=network, loss=sb.cross_entropy, optimizer=sb.Adam(lr), epochs=10, batch_size=64
    )


found = sb.compare({f"lr={lr}": recipe(lr) for lr in (0.003, 0.0031, 0.0003)}, X, Y)
print(found)
print("\nDecided:", sum(pair.verdict.is_final for pair in found.pairs), "of", len(found.pairs))

space = sb.Space(recipe(0.003), lr=sb.log_uniform(1e-4, 1e-1), dropout=[0.0, 0.1, 0.2])
with warnings.catch_warnings():
    warnings.simplefilter("error")
    print("\n" + str(sb.search(space, X, Y, budget=60)))
