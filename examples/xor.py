"""Train XOR from a thousand seeds; print how many solve it and the spread of their losses."""

import numpy as np

import seedbed as sb

X, Y = sb.xor.data()
draw = {"init": sb.standard_normal, "bias_init": sb.standard_normal}
network = sb.Network(3, [sb.Dense(4, sb.sigmoid, **draw), sb.Dense(1, sb.sigmoid, **draw)])

population = sb.train(
    network, X, Y, loss=sb.squared_error, optimizer=sb.SGD(lr=1.0), epochs=2000, seeds=range(1000)
)

low, median, high = np.quantile(population.loss, [0.25, 0.5, 0.75])
print(f"{sb.xor.solved(population).mean():.1%} of {len(population)} seeds solve XOR")
print(f"mean squared error: median {median:.2g}, quartiles {low:.2g} to {high:.2g}")

best, worst = population[np.argmin(population.loss)], population[np.argmax(population.loss)]
print("inputs   target   luckiest seed   unluckiest seed   mean of all")
ends = best.predict(X)[0, :, 0], worst.predict(X)[0, :, 0], population.predict_mean(X)[:, 0]
for x, t, *outputs in zip(X, Y[:, 0], *ends, strict=True):
    print(f"{x}  {t:3.0f}", *(f"{y:15.3f}" for y in outputs))
