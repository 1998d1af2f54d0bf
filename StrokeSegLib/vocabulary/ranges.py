"""Ranges of settings, as annotations of their types; whoever reads a settings file checks them."""

from typing import Annotated

from annotated_types import Ge, Gt, Interval

Probability = Annotated[float, Interval(ge=0, le=1)]
Part = Annotated[float, Interval(gt=0, le=1)]
"""Fraction of a whole, above 0."""

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(0)]
