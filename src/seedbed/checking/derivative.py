"""Computes a loss's derivative, by complex steps or central differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.functions import Function
from seedbed.errors import DataError

_AGREEING, _CONTRADICTING = 30, 100
"""After differences confirm this many complex steps of a block in a row that agree with f's
gradient, or that contradict it, more of these are trusted."""
_COMPLEX_STEP = 1e-30
"""A complex step subtracts no near numbers, so a step this small has no truncation error."""
_AGREES = 1e-6
"""A slope that differs by less, relative to the largest, agrees with f's gradient."""
_DIRECTIONS = 2
"""Random directions along which the parameters outside the sample are judged."""
_WHOLE = 2000
"""A block up to this size is computed whole if f's gradient is right in some of its places."""


def derivative(
    function: Function,
    other_theta: Sequence[Array],
    given: Sequence[Array],
    max_parameters: int,
    random: np.random.Generator,
) -> tuple[list[Array], list[Array], str]:
    """Return the loss's derivative by each block, its error, and the name of the method.

    The method is complex steps where f accepts them (NumPy's analytic functions), else central
    differences. A complex step is silently wrong where f takes a real part or an absolute value, so
    differences confirm some of each block's, and those that contradict f's gradient, ``given``. At
    a kink, such as relu's, any value between the slopes of its two sides is right.

    Of more than ``max_parameters``, the larger blocks get a random sample; the rest are NaN. The
    slope along a random direction shows whether f's gradient is wrong outside the sample; halving
    the direction finds a place.

    The scale of f's arithmetic is estimated from its loss at ``other_theta``, too: at a minimum the
    loss may be almost 0. If both losses are float32 numbers, f is taken to compute in float32
    (``function.eps``).

    Sources: Squire, Trapp 1998 (complex steps); central differences with h = ε^(1/3) and h/2, whose
    difference estimates their error.
    Raises: DataError if the loss is not finite at theta.
    """
    theta = [block.copy() for block in function.theta]
    centre = float(np.real(function.loss(theta)))
    if not np.isfinite(centre):
        raise DataError(f"f's loss is {centre} at theta: check at a point where it is finite")
    try:
        other = float(np.real(function.loss(other_theta)))
    except Exception:  # f may raise anything where it is undefined
        other = np.nan
    scale = max(abs(centre), abs(other) if np.isfinite(other) else 0.0)
    if np.isfinite(other) and all(float(np.float32(loss)) == loss for loss in (centre, other)):
        function.eps = max(function.eps, float(np.finfo(np.float32).eps))
    analytic = function.is_numpy and function.eps < 1e-10
    most = _sample_size([block.size for block in theta], max_parameters)
    blocks = []
    for number, claimed in enumerate(given):
        block = _Block(function, theta, number, claimed, centre, scale, analytic)
        order = random.permutation(block.size)
        block.compute(order[:most])
        block.search(order[most:], random)
        analytic = block.analytic
        blocks.append(block)
    slopes, errors = [block.slopes for block in blocks], [block.errors for block in blocks]
    return slopes, errors, "complex steps" if analytic else "central differences"


def _sample_size(sizes: Sequence[int], limit: int) -> int:
    """Return the largest number of parameters per block with which all stay in the limit."""
    left = limit
    for number, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - number)
        if size > share:
            return max(share, 1)
        left -= size
    return max(sizes)


class _Block:
    """The derivative by one block, as far as it is computed.

    theta     of all blocks; changed and restored
    claimed   f's gradient of the block
    centre    the loss at theta
    scale     of f's arithmetic
    analytic  whether f accepts complex steps, as far as known
    """

    def __init__(
        self, function: Function, theta: list[Array], number: int, claimed: Array, centre: float,
        scale: float, analytic: bool,
    ) -> None:  # fmt: skip
        self.function, self.theta, self.number = function, theta, number
        self.centre, self.scale, self.analytic = centre, scale, analytic
        shape = theta[number].shape
        self.size = theta[number].size
        self.slopes, self.errors = np.full(shape, np.nan), np.full(shape, np.nan)
        self.has_claims = claimed.size == self.size
        self.claims = claimed.ravel() if self.has_claims else np.full(self.size, np.nan)
        self.largest = float(np.abs(claimed).max())
        self.confirmed = {True: 0, False: 0}  # steps that agree with f's gradient, or contradict it
        self.done, self.near = 0, 1e-3 * self.largest

    def compute(self, places: Array) -> None:
        """Compute the derivative at places of the block."""
        # the largest first: there a wrong complex step shows
        for place in places[np.argsort(-np.abs(self.claims[places]), kind="stable")]:
            line = self._line([place])
            exact = line.complex_step() if self.analytic else None
            self.analytic = self.analytic and exact is not None
            claim = float(self.claims[place])
            agrees = exact is not None and abs(claim - exact) <= 1e-6 * abs(exact)
            enough = self.confirmed[agrees] >= (_AGREEING if agrees else _CONTRADICTING)
            if exact is not None and (enough or (agrees and self.done >= _CONTRADICTING)):
                value, error = exact, line.complex_error(exact)
            else:
                value, error = line.confirmed(exact, self.near, claim)
                if value == exact:
                    self.confirmed[agrees] += 1
                    self.confirmed[True] += not agrees
                else:  # one complex step that is not confirmed starts the count again
                    self.confirmed = {True: 0, False: 0}
                if exact is not None and abs(exact - value) > 0.1 * abs(value):
                    self.near = 0.0
            self.slopes.flat[place], self.errors.flat[place] = value, error
            self.done += 1

    def search(self, rest: Array, random: np.random.Generator) -> None:
        """Look for a place outside the sample where f's gradient is wrong, and compute it there.

        If f's gradient is wrong in some places only, which ones tells the mistake: compute all.
        """
        if not rest.size or not self.has_claims or not np.isfinite(self.claims).all():
            return
        if self._right().all():
            for _ in range(_DIRECTIONS):
                signs = dict(zip(rest, random.choice([-1.0, 1.0], rest.size), strict=True))
                if self._differs(rest, signs):
                    self.compute(np.array([self._halved(rest, signs)]))
                    break
        right = self._right()
        if self.size <= _WHOLE and not right.all() and right.mean() > 0.25:
            self.compute(np.array([place for place in rest if np.isnan(self.slopes.flat[place])]))

    def _right(self) -> Array:
        """Return whether f's gradient is right at each place that is computed."""
        slopes, errors = self.slopes.ravel(), self.errors.ravel()
        known = np.isfinite(slopes)
        room = 10 * errors[known] + _AGREES * self.largest
        return np.asarray(np.abs(self.claims[known] - slopes[known]) <= room)

    def _differs(self, places: Array, signs: dict[int, float]) -> bool:
        """Return whether the loss's slope along a direction is not that of f's gradient."""
        line = self._line(places, np.array([signs[place] for place in places]))
        exact = line.complex_step() if self.analytic else None
        if exact is not None:
            slope, error = exact, line.complex_error(exact)
        else:
            slope, error, is_smooth = line.difference()
            if not is_smooth:
                slope, error, _ = line.difference(1e-2)
        claim = float(self.claims[places] @ line.signs)
        return bool(abs(slope - claim) > 10 * error + _AGREES * self.largest)

    def _halved(self, places: Array, signs: dict[int, float]) -> int:
        """Return one of the places along which the slope differs."""
        while len(places) > 1:
            half = places[: len(places) // 2]
            places = half if self._differs(half, signs) else places[len(places) // 2 :]
        return int(places[0])

    def _line(self, places: Iterable[int], signs: Array | None = None) -> _Line:
        where = np.asarray(places)
        signs = np.ones(len(where)) if signs is None else signs
        return _Line(self.function, self.theta, self.number, where, signs, self.centre, self.scale)


@dataclass(frozen=True)
class _Line:
    """A line through theta along which the loss is differentiated: one parameter, or several.

    theta          of all blocks; changed and restored
    number, places  the block, and the parameters' places in it
    signs          of each parameter's change
    centre, scale  the loss at theta, and the scale of f's arithmetic
    """

    function: Function
    theta: list[Array]
    number: int
    places: Array
    signs: Array
    centre: float
    scale: float

    def confirmed(self, exact: float | None, near: float, claim: float) -> tuple[float, float]:
        """Return the derivative and its estimated error.

        It is the complex step (``exact``) if differences agree with it, or come within ``near``:
        their noise may exceed a loss near 0, unless f's gradient (``claim``) has the difference's
        value. Otherwise it is the difference with the smallest error, of up to three step sizes; a
        step over which f does not change is ignored.
        """
        first = best = self.difference()
        noisy = False
        for shrink in (1.0, 1e-2, 1e-4):
            if shrink < 1:
                shorter = self.difference(shrink)
                # what looks like a kink, and more so with a shorter step, is noise
                noisy = noisy or (not first[2] and not shorter[2] and shorter[1] > 10 * first[1])
                # a loss that does not change over so short a step says nothing
                if shorter[0] and shorter[2] and (not best[2] or shorter[1] < best[1]):
                    best = shorter
            value, error, is_smooth = best
            distance = np.inf if exact is None else abs(exact - value)
            claimed = abs(claim - value) <= 0.1 * distance
            if exact is not None and (
                (distance <= near and (is_smooth or noisy) and not claimed)
                or (is_smooth and distance <= 10 * error)
            ):
                return exact, self.complex_error(exact)
            if exact is None and is_smooth and error <= 1e-3 * abs(value):
                break
        value, error, is_smooth = best
        return (value, error) if is_smooth else first[:2]

    def complex_error(self, exact: float) -> float:
        """Return the estimated error of a complex step."""
        return 1e-10 * abs(exact) + 1e-14 * self.scale

    def difference(self, shrink: float = 1.0) -> tuple[float, float, bool]:
        """Return the central difference, its estimated error, and whether f is smooth there."""
        block, eps = self.theta[self.number].reshape(-1), self.function.eps
        here = block[self.places]
        width = shrink * eps ** (1 / 3) * max(1.0, float(np.abs(here).max()))
        slopes, gaps = [], []
        for h in (width, width / 2):
            ends = []
            for value in (here + h * self.signs, here - h * self.signs):
                block[self.places] = value
                ends.append(float(np.real(self.function.loss(self.theta))))
            slopes.append((ends[0] - ends[1]) / (2 * h))
            gaps.append(abs(ends[0] - 2 * self.centre + ends[1]) / h)  # between one-sided slopes
        block[self.places] = here
        wide, narrow = slopes
        rounding = eps * max(self.scale, 1e-300) / width
        if gaps[1] > 0.75 * gaps[0] and gaps[1] > 100 * rounding:  # a smooth f's gap halves with h
            error = 0.055 * gaps[1]  # ten times the error is allowed: either side's slope is right
            return narrow, error, False
        return (4 * narrow - wide) / 3, abs(narrow - wide) + 4 * rounding, True

    def complex_step(self) -> float | None:
        """Return the derivative by a complex step; None if f takes no complex numbers."""
        moved = list(self.theta)
        block = moved[self.number].astype(np.complex128)
        block.reshape(-1)[self.places] += 1j * _COMPLEX_STEP * self.signs
        moved[self.number] = block
        try:
            with np.errstate(all="ignore"):
                loss = self.function.loss(moved)
        except Exception:  # f may raise anything on complex numbers
            return None
        return loss.imag / _COMPLEX_STEP if isinstance(loss, complex) else None
