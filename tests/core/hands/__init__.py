"""Networks as three more people write them, each with a list of everyday mistakes.

A hand has ``MISTAKES``, the kind by which each mistake should be named, written before the check
was run on them, and ``arguments(mistake, seed)``, what ``check_gradient`` is called with.
"""

from hands import classes, columns, einsum

HANDS = {"classes and lists": classes, "columns": columns, "einsum": einsum}
