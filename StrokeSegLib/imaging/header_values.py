"""Numbers from DICOM headers: every value is checked here before it is used."""

import math
from collections.abc import Sequence

import pydicom
from pydicom.multival import MultiValue

LONGEST_SHOWN = 24
"""Letters of a malformed value that a message shows; more may be free text that names a patient."""


class FaultyHeaderError(ValueError):
    """An attribute without which an image cannot be used is malformed; the message names it and what it says."""


class HeaderValues:
    """Attributes of one image: from the frame's functional group, the shared one, or the data set itself.

    Args:
        dataset: the file's header.
        frame: item of the Per-Frame Functional Groups, where there is one.
    """

    def __init__(self, dataset: pydicom.Dataset, frame: pydicom.Dataset | None = None):
        self._dataset, self._frame = dataset, frame
        self._shared = first_item(dataset, "SharedFunctionalGroupsSequence")

    def values(self, name: str, group: str | None = None) -> list:
        """All values of an attribute, not checked; empty where it is absent or empty.

        Raises:
            FaultyHeaderError: a value that does not have the type of its attribute.
        """
        for place in (self._frame, self._shared) if group else ():
            item = None if place is None else first_item(place, group)
            found = [] if item is None else _values(item, name)
            if found:
                return found
        return _values(self._dataset, name)

    def text(self, name: str, group: str | None = None) -> str:
        """An attribute's text, several values joined as DICOM writes them; empty where it is absent or malformed."""
        try:
            return "\\".join(str(value) for value in self.values(name, group)).strip(" \0")
        except FaultyHeaderError:
            return ""

    def number(self, name: str, group: str | None = None) -> float | None:
        """A number that the image can do without; None where it is absent, malformed or not finite."""
        try:
            found = self.values(name, group)
            value = float(found[0]) if found else math.nan
        except (FaultyHeaderError, TypeError, ValueError, OverflowError):
            return None
        return value if math.isfinite(value) else None

    def numbers(
        self, name: str, count: int, limits: tuple[float, float], group: str | None = None
    ) -> tuple[float, ...] | None:
        """Numbers that decide what the image shows or where it lies; None where the header has none.

        Args:
            name: keyword of the attribute.
            count: how many values it must have.
            limits: least and greatest value that can be right.
            group: keyword of the functional group that may hold it.

        Raises:
            FaultyHeaderError: another count, a value that is not a number, or one beyond the limits.
        """
        found = self.values(name, group)
        if not found:
            return None
        try:
            numbers = tuple(float(value) for value in found)
        except (TypeError, ValueError, OverflowError) as error:
            raise FaultyHeaderError(_sentence(name, found, "is not a number")) from error
        if len(numbers) != count:
            values = "1 value" if len(numbers) == 1 else f"{len(numbers)} values"
            raise FaultyHeaderError(_sentence(name, found, f"has {values} instead of {count}"))
        if not all(math.isfinite(number) for number in numbers):
            raise FaultyHeaderError(_sentence(name, found, "is not a number"))
        low, high = limits
        if not all(low <= number <= high for number in numbers):
            raise FaultyHeaderError(_sentence(name, found, f"is not between {low:g} and {high:g}"))
        return numbers

    def whole(self, name: str, limits: tuple[int, int], default: int | None = None) -> int:
        """A whole number without which the pixels cannot be read.

        Raises:
            FaultyHeaderError: it is malformed, beyond the limits, or absent without a default.
        """
        numbers = self.numbers(name, 1, limits)
        if numbers is None:
            if default is None:
                raise FaultyHeaderError(f"{spaced(name)} is missing")
            return default
        if numbers[0] != int(numbers[0]):
            raise FaultyHeaderError(_sentence(name, numbers, "is not a whole number"))
        return int(numbers[0])


def first_item(dataset: pydicom.Dataset, sequence: str) -> pydicom.Dataset | None:
    """The first item of a sequence; None where it is absent, empty or malformed."""
    items = sequence_items(dataset, sequence)
    return items[0] if items else None


def sequence_items(dataset: pydicom.Dataset, sequence: str) -> Sequence[pydicom.Dataset]:
    """The items of a sequence; none where it is absent or malformed."""
    try:
        items = dataset.get(sequence)
    except Exception:  # pydicom converts here, and raises nearly anything on a malformed value.
        return ()
    return items if isinstance(items, pydicom.Sequence) else ()


def spaced(keyword: str) -> str:
    """An attribute's name as DICOM spells it: Pixel Spacing."""
    return pydicom.datadict.dictionary_description(keyword)


def _values(dataset: pydicom.Dataset, name: str) -> list:
    try:
        value = dataset.get(name)
    except Exception as error:  # pydicom converts here, and raises nearly anything on a malformed value.
        raw = getattr(dataset.get_item(name), "value", b"")
        shown = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        raise FaultyHeaderError(_sentence(name, [shown], "is malformed")) from error
    if value is None or value == "":
        return []
    if isinstance(value, MultiValue | list | tuple):
        return [one for one in value if one is not None and one != ""] and list(value)
    return [value]


def _sentence(name: str, found: Sequence, fault: str) -> str:
    shown = "\\".join(str(value) for value in found).strip(" \0")
    shown = "".join(letter if letter.isprintable() else "?" for letter in shown)
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"
    return f"{spaced(name)} “{shown}” {fault}"
