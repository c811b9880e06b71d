"""What check_gradient returns: the verdict, the blocks of parameters and the mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seedbed import html

Verdict = Literal["agrees", "wrong", "inconclusive"]


@dataclass(frozen=True)
class Block:
    """One block of parameters, and how f's gradient compares there with the loss's derivative.

    verdict   "agrees"; "wrong"; or "inconclusive": the derivative is too imprecise to judge by
    error     the largest difference over the largest number of either; inf for a wrong size
    index     the place of the largest difference, ``given`` and ``expected`` the numbers there
    checked   the number of its parameters that were checked
    returned  the shape of f's gradient; it is wrong if θ - lr·dθ has another shape than θ
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    error: float
    index: tuple[int, ...]
    given: float
    expected: float
    checked: int
    returned: tuple[int, ...]

    @property
    def agrees(self) -> bool:
        """Whether the block's gradient is right."""
        return self.verdict == "agrees"

    def __str__(self) -> str:
        size = int(np.prod(self.shape))
        part = f" in {self.checked:,} of {size:,} places" if self.checked < size else ""
        if self.verdict == "inconclusive":
            return (
                f"inconclusive{part}: the loss is too coarse or has a kink there; check at "
                "another point, or in float64"
            )
        shapes = f"has shape {self.returned} and should have {self.shape}"
        if self.agrees:
            return f"agrees{part}, to {self.error:.1e}"
        if not np.isfinite(self.expected):
            return shapes
        place = ", ".join(map(str, self.index))
        if not np.isfinite(self.given):
            return f"is {self.given} at [{place}] and should be {self.expected:.6g}"
        if self.error <= 1e-6 and self.returned != self.shape:
            return f"{shapes}; its numbers agree"
        return (
            f"differs{part} by {self.error:.1e}; at [{place}] it is {self.given:.6g} and should "
            f"be {self.expected:.6g}"
        )


@dataclass(frozen=True)
class Mistake:
    """One mistake: its short name, its blocks, what is wrong and how to mend it."""

    kind: str
    blocks: tuple[str, ...]
    message: str
    remedy: str

    def __str__(self) -> str:
        blocks = f"{', '.join(self.blocks)}: " if self.blocks else ""
        return f"{blocks}{self.message}; {self.remedy}"


@dataclass(frozen=True, repr=False)
class GradientReport:
    """The result of ``check_gradient``.

    loss      at theta
    blocks    of parameters, each with its verdict
    mistakes  that explain the blocks that do not agree
    method    of computing the derivative: "complex steps" or "central differences"
    examples  "rows" or "columns": the axis of X and Y that counts them; None without X and Y
    notes     what else the reader should know
    """

    loss: float
    blocks: tuple[Block, ...]
    mistakes: tuple[Mistake, ...]
    method: str
    examples: Literal["rows", "columns"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of all blocks: "agrees", "wrong", or "inconclusive" if some could not be judged."""
        verdicts = {block.verdict for block in self.blocks}
        if self.mistakes or "wrong" in verdicts:
            return "wrong"
        return "inconclusive" if "inconclusive" in verdicts else "agrees"

    @property
    def agrees(self) -> bool:
        """Whether the gradient is right."""
        return self.verdict == "agrees"

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        if self.verdict == "inconclusive":
            names = ", ".join(b.name for b in self.blocks if b.verdict == "inconclusive")
            return f"inconclusive: it cannot be told whether the gradient of {names} is right"
        if self.agrees:
            checked = sum(block.checked for block in self.blocks)
            total = sum(int(np.prod(block.shape)) for block in self.blocks)
            part = f" in the {checked:,} of {total:,} parameters checked" if checked < total else ""
            return f"the gradient is the loss's derivative{part}"
        count = len(self.mistakes)
        return f"{count} mistake{'' if count == 1 else 's'} named"

    @property
    def _header(self) -> str:
        columns = "; examples are columns" if self.examples == "columns" else ""
        return f"loss {self.loss:.6g}; the derivative by {self.method}{columns}"

    def __repr__(self) -> str:
        return f"<GradientReport of {len(self.blocks)} blocks: {self.summary}>"

    def _repr_html_(self) -> str:
        rows = [[block.name, "×".join(map(str, block.shape)) or "1", str(block)]
                for block in self.blocks]  # fmt: skip
        good = {"agrees": True, "wrong": False, "inconclusive": None}[self.verdict]
        return html.block(
            html.heading(self.summary[0].upper() + self.summary[1:], good=good),
            html.paragraph(self._header, note=True),
            html.items(map(str, self.mistakes), ordered=True),
            html.table(["block", "shape", ""], rows, texts=(0, 1, 2)),
            *(html.paragraph(each, note=True) for each in self.notes),
        )

    def __str__(self) -> str:
        lines = [self._header]
        width = max(len(block.name) for block in self.blocks)
        for block in self.blocks:
            size = "×".join(map(str, block.shape)) or "1"
            lines.append(f"  {block.name:{width}}  {size:>9}  {block}")
        lines += [f"{number}. {mistake}" for number, mistake in enumerate(self.mistakes, 1)]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible types."""
        return {
            "verdict": self.verdict,
            "agrees": self.agrees,
            "loss": self.loss,
            "method": self.method,
            "examples": self.examples,
            "blocks": [
                {
                    key: list(value)
                    if isinstance(value, tuple)
                    else None
                    if isinstance(value, float) and not np.isfinite(value)
                    else value
                    for key, value in [*vars(block).items(), ("agrees", block.agrees)]
                }
                for block in self.blocks
            ],
            "mistakes": [{**vars(each), "blocks": list(each.blocks)} for each in self.mistakes],
            "notes": list(self.notes),
        }
