"""A hand that writes einsum over a list of arrays, for regression and for words in a table."""

import numpy as np

MISTAKES = {
    "letters swapped in dW": ["transposed"],
    "letters swapped on the way": ["weights transposed"],
    "bias sums b": ["bias: wrong axis"],
    "bias sums everything": ["bias: over all"],
    "bias keeps b": ["grown by broadcasting"],
    "outputs not divided": ["1/outputs missing"],
    "rows not divided": ["1/n missing"],
    "outputs for rows": ["averaged over another axis"],
    "the two of the square": ["half"],
    "slope of softplus forgotten": ["slope missing"],
    "softplus's slope at h": ["slope of the activation"],
    "softplus's slope as relu's": ["slope of another activation"],
    "the layer above's slope": ["slope of another layer"],
    "list in the order of the pass": ["blocks in another order"],
    "absolute error's": ["another loss: absolute_error"],
    "row after": ["embedding: wrong row"],
    "other column's row": ["embedding: wrong row"],
    "repeated rows": ["embedding: repeated rows"],
    "rows all": ["embedding: wrong row"],
    "float32 variance": ["cancellation"],
    "sums kept": ["accumulated"],
    "arrays updated": ["update in the call"],
    "targets centred in place": ["data changed"],
    "flat bias": ["keepdims lost"],
    "dropped column": ["shape"],
}
_WORDS = ("row after", "other column's row", "repeated rows", "rows all")


def softplus(z):
    return np.log1p(np.exp(z))


def logistic(z):
    return 1 / (1 + np.exp(-z))


def regression(mistake, rng):
    b, i, h, o = (int(rng.integers(*span)) for span in ((6, 13), (2, 5), (4, 7), (2, 5)))
    if mistake == "outputs for rows" and b == o:
        b += 1
    x, t = rng.normal(size=(b, i)), rng.normal(size=(b, o))
    theta = [
        rng.normal(size=(i, h)), rng.normal(size=h),
        rng.normal(size=(h, h)) / 2, rng.normal(size=h),
        rng.normal(size=(h, o)) / 2, rng.normal(size=o),
    ]  # fmt: skip
    if mistake == "flat bias":
        theta[5] = theta[5][:, None]
    total = [0.0 for _ in theta]

    def f(theta):
        w1, b1, w2, b2, w3, b3 = theta
        if mistake == "targets centred in place":
            t[...] -= t.mean(axis=0) / 2
        z1 = np.einsum("bi,ih->bh", x, w1) + b1
        h1 = softplus(z1)
        z2 = np.einsum("bh,hk->bk", h1, w2) + b2
        h2 = softplus(z2)
        y = np.einsum("bk,ko->bo", h2, w3) + b3.reshape(-1)
        r = y - t
        value = np.einsum("bo,bo->", r, r) / (b * o)
        if mistake == "outputs for rows":
            value = np.einsum("bo,bo->", r, r) / b
        dy = 2 * r / (b * o)
        if mistake == "outputs not divided":
            dy = 2 * r / b
        if mistake == "rows not divided":
            dy = 2 * r / o
        if mistake == "outputs for rows":
            dy = 2 * r / o
        if mistake == "the two of the square":
            dy = r / (b * o)
        if mistake == "absolute error's":
            dy = np.sign(r) / (b * o)
        bias = {"bias sums b": "bo->b", "bias sums everything": "bo->", "bias keeps b": "bo->bo"}
        bias = bias.get(mistake, "bo->o")
        weights = "bi,bo->oi" if mistake == "letters swapped in dW" else "bi,bo->io"
        dw3, db3 = np.einsum(weights, h2, dy), np.einsum(bias, dy)
        dh2 = np.einsum("bo,ko->bk", dy, w3)
        dz2 = dh2 * logistic(z2)
        dw2, db2 = np.einsum(weights, h1, dz2), np.einsum(bias, dz2)
        way = "bk,kh->bh" if mistake == "letters swapped on the way" else "bk,hk->bh"
        dh1 = np.einsum(way, dz2, w2)
        slope = logistic(z1)
        if mistake == "slope of softplus forgotten":
            slope = 1.0
        if mistake == "softplus's slope at h":
            slope = logistic(h1)
        if mistake == "softplus's slope as relu's":
            slope = (z1 > 0) * 1.0
        if mistake == "the layer above's slope":
            slope = logistic(z2)
        dz1 = dh1 * slope
        dw1, db1 = np.einsum(weights, x, dz1), np.einsum(bias, dz1)
        if mistake == "dropped column":
            dw1 = dw1[:, :-1]
        gradient = [dw1, db1, dw2, db2, dw3, db3]
        if mistake == "list in the order of the pass":
            gradient = [dw3, db3, dw2, db2, dw1, db1]
        if mistake == "sums kept":
            for k, g in enumerate(gradient):
                total[k] = total[k] + g
            gradient = list(total)
        if mistake == "arrays updated":
            for array, g in zip(theta, gradient, strict=True):
                array -= 0.1 * g.reshape(array.shape)
        return value, gradient

    return f, theta, x, t


def words(mistake, rng):
    """A table's vectors of two words, side by side, into a linear unit with squared error."""
    vocabulary, d, n = int(rng.integers(8, 14)), int(rng.integers(2, 5)), 7
    pairs = (
        rng.choice(vocabulary, size=(n, 2))
        if mistake != "row after"
        else rng.permutation(vocabulary)[:6].reshape(3, 2)
    )
    n = len(pairs)
    pairs[1, 0] = pairs[0, 0] if mistake == "repeated rows" else pairs[1, 0]
    score = rng.normal(size=(n, 1))
    theta = [rng.normal(size=(vocabulary, d)), rng.normal(size=(2 * d, 1)), rng.normal(size=1)]

    def f(theta):
        table, w, b = theta
        e = table[pairs].reshape(n, 2 * d)
        r = np.einsum("nd,do->no", e, w) + b - score
        dr = 2 * r / n
        de = np.einsum("no,do->nd", dr, w).reshape(n, 2, d)
        dtable = np.zeros_like(table)
        if mistake == "row after":
            np.add.at(dtable, (pairs + 1) % vocabulary, de)
        elif mistake == "other column's row":
            np.add.at(dtable, pairs[:, ::-1], de)
        elif mistake == "rows all":
            np.add.at(dtable, np.arange(2 * n).reshape(n, 2) % vocabulary, de)
        elif mistake == "repeated rows":
            dtable[pairs] += de
        else:
            np.add.at(dtable, pairs, de)
        return np.mean(r**2), [dtable, np.einsum("nd,no->do", e, dr), dr.sum(axis=0)]

    return f, theta, pairs, score


def scaled(mistake, rng):
    """Standardised products: the variance as E x² - (E x)², in float32."""
    x = (rng.normal(size=40) + 3000).astype(np.float32)
    t = rng.normal(size=40).astype(np.float32)
    theta = [np.float32(0.5 + rng.random(1)), np.float32(rng.normal(size=1))]

    def f(theta):
        scale, shift = theta
        u = scale * x
        variance = ((u - u.mean()) ** 2).mean()
        r = variance + shift - t
        dv = 2 * r.mean()
        # dv/dscale = 2 scale var(x), var(x) as E x² - (E x)²
        return (r * r).mean(), [np.atleast_1d(dv * 2 * scale * ((x * x).mean() - x.mean() ** 2)),
                                np.atleast_1d(dv)]  # fmt: skip

    return f, theta


def arguments(mistake="", seed=0):
    """Return what check_gradient is called with: f, a list of arrays and, mostly, x and t."""
    rng = np.random.default_rng([seed, 7])
    if mistake == "float32 variance":
        return scaled(mistake, rng)
    if mistake in _WORDS or (not mistake and seed % 3 == 2):
        return words(mistake, rng)
    return regression(mistake, rng)
