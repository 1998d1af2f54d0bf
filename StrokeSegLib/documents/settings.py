"""Settings of a command line, ``KEY=VALUE``."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from StrokeSegLib.errors import BundleError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

OF_ONE_METHOD = re.compile(r"[a-z0-9-]+:")
"""How a setting of one method alone begins."""

GROUPS = ("preparation", "prediction")


@dataclass(frozen=True)
class Setting:
    """One value that a run takes in place of its model's.

    Args:
        group: one of `GROUPS`.
        key, value: key and value in that group; the value is JSON, or a name, without quotes on a command line.
    """

    group: str
    key: str
    value: object


def settings_for(method: str, settings: Sequence[str]) -> list[str]:
    """Those without a method before the colon, and those with this one."""
    parted = [setting.partition(":") if OF_ONE_METHOD.match(setting) else ("", "", setting) for setting in settings]
    return [setting for owner, _, setting in parted if owner in ("", method)]


def setting_of(text: str) -> Setting:
    """A setting as ``preparation.KEY=VALUE`` or ``prediction.KEY=VALUE``.

    Raises:
        BundleError: something else.
    """
    group, _, rest = text.partition(".")
    key, equals, value = rest.partition("=")
    if group not in GROUPS or not equals:
        raise BundleError(f"Unknown setting “{text}”. Use preparation.KEY=VALUE or prediction.KEY=VALUE.")
    return Setting(group, key, value_of(text, value))


def value_of(setting: str, value: str) -> object:
    """A value as JSON or a name.

    Raises:
        BundleError: neither.
    """
    try:
        return json.loads(value, parse_constant=_not_a_number)
    except ValueError as error:
        if NAME.fullmatch(value) and value not in ("NaN", "Infinity"):
            return value
        raise BundleError(f"The value of “{setting}” must be a number, true, false, null, a name or a list.") from error


def _not_a_number(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
