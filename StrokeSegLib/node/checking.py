"""What an administrator wants to know before the first scan: destinations, disk, port, models and device."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.node.configuration import Configuration, Destination
from StrokeSegLib.node.folders import NodeFolders
from StrokeSegLib.node.receiving import server_context
from StrokeSegLib.node.sending import echo


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Args:
        name: what was checked.
        is_passed: whether it is as it should be.
        sentence: what was found.
    """

    name: str
    is_passed: bool
    sentence: str


def checks(configuration: Configuration) -> Iterator[Check]:
    """Check everything that a node needs, one after another; a check that fails stops no other.

    Args:
        configuration: the settings of a node that is not running.
    """
    yield _check("storage", partial(_storage, configuration))
    yield _check("port", partial(_port, configuration))
    if configuration.listen.tls is not None:
        yield _check("certificates", partial(_certificates, configuration))
    for destination in configuration.destinations:
        yield _check("destination", partial(_destination, configuration, destination))
    yield _check("models", partial(_models, configuration))
    yield _check("device", partial(_device, configuration))


def _check(name: str, found: Callable[[], str]) -> Check:
    try:
        return Check(name, True, found())
    except (StrokeSegError, OSError) as error:
        return Check(name, False, str(error))


def _storage(configuration: Configuration) -> str:
    free_gb, limit_gb = NodeFolders(configuration.storage).free_gb(), configuration.limits.free_disk_gb
    if free_gb < limit_gb:
        raise StrokeSegError(f"{free_gb:.1f} GiB are free, below limits.free_disk_gb = {limit_gb:g}. Make room.")
    return f"{configuration.storage} is writable, {free_gb:.1f} GiB are free."


def _port(configuration: Configuration) -> str:
    listen = configuration.listen
    with closing(socket.socket()) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((listen.host, listen.port))
        except OSError as error:
            raise StrokeSegError(
                f"{listen.host}, port {listen.port} cannot be used ({error.strerror}). Stop the program that uses it, "
                "or change listen.host or listen.port."
            ) from error
    return f"{listen.ae_title} can listen on {listen.host}, port {listen.port}."


def _certificates(configuration: Configuration) -> str:
    server_context(configuration.listen.tls)
    return "The certificates can be used."


def _destination(configuration: Configuration, destination: Destination) -> str:
    echo(destination, configuration)
    return f"“{destination.name}” answers C-ECHO."


def _models(configuration: Configuration) -> str:
    from StrokeSegLib import models
    from StrokeSegLib.methods import METHODS

    named = [models.find_bundle(name) for name in configuration.models]
    asked = {method for rule in configuration.rules for method in rule.methods} or set(METHODS)
    bundles = named + [models.default_bundle(method) for method in sorted(asked - {one.method for one in named})]
    return ", ".join(f"{bundle.name} {bundle.version}" for bundle in bundles) + "."


def _device(configuration: Configuration) -> str:
    from StrokeSegLib.inference.devices import choose_device

    return f"Networks run on {choose_device(configuration.device)}."
