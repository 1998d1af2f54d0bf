"""The configuration of a node, read from a TOML file."""

import json
import re
import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from StrokeSegLib.documents.typing import Part
from StrokeSegLib.errors import StrokeSegError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Method = Literal["ncct-core-penumbra", "ncct-infarct", "ncct-aspects", "ctp-core", "ctp-threshold"]
"""Ids of `methods.METHODS`, which is not imported because it loads torch."""


AE_TITLE = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
"""Application Entity title (PS3.5, value representation AE)."""


def _ae_title(value: str) -> str:
    if not AE_TITLE.fullmatch(value):
        raise ValueError("should be 1 to 16 ASCII characters without backslash and without blanks at its ends")
    return value


def _network(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("should be a string with an IP address or network")
    return ip_network(value, strict=False)


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("should be a string with a path")
    return Path(value).expanduser()


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


AETitle = Annotated[str, AfterValidator(_ae_title), Field(examples=["CT1"])]
Port = Annotated[int, Field(ge=1, le=65535, examples=[11112])]

Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network), Field(examples=["192.168.1.20"])]

FilePath = Annotated[Path, BeforeValidator(_path)]


class Table(Part):
    """A table of the file."""


class Tls(Table):
    """Certificates of the node; a peer must show one that the authorities have signed.

    Args:
        certificate, key: the node's own, PEM files.
        authorities: PEM file with the certificates that peers and destinations are checked against.
    """

    certificate: FilePath = Field(examples=["node.pem"])
    key: FilePath = Field(examples=["node.key"])
    authorities: FilePath = Field(examples=["authorities.pem"])


class Listen(Table):
    """How the node is reached.

    Args:
        ae_title: Called AE title that peers must use.
        host: address to listen on.
        port: TCP port.
        tls: encryption with client certificates; without it the connection is plain.
        largest_associations: number of associations that are open at the same time.
        largest_data_set_mb: size in MiB above which an instance is refused.
    """

    ae_title: AETitle = Field(examples=["STROKESEG"])
    host: str = Field(default="0.0.0.0", examples=["0.0.0.0"])
    port: Port = 11112
    tls: Tls | None = None
    largest_associations: int = Field(default=10, ge=1, le=1000, examples=[10])
    largest_data_set_mb: int = Field(default=2048, ge=1, le=4096, examples=[2048])


class Peer(Table):
    """Who may send.

    Args:
        ae_title: Calling AE title.
        address: IP address or network that it calls from.
    """

    ae_title: AETitle
    address: Network

    def is_at(self, address: str) -> bool:
        """Whether an IP address is this peer's."""
        known = ip_address(address)
        return (getattr(known, "ipv4_mapped", None) or known) in self.address


class Destination(Table):
    """Where results are sent by C-STORE.

    Args:
        name: for messages and for the record of what was sent.
        ae_title: Called AE title of the destination.
        host, port: where it listens.
        tls: whether the connection is encrypted, with the certificates of ``listen.tls``.
    """

    name: str = Field(min_length=1, examples=["archive"])
    ae_title: AETitle = Field(examples=["ARCHIVE"])
    host: str = Field(min_length=1, examples=["192.168.1.30"])
    port: Port = Field(default=104, examples=[104])
    tls: bool = Field(default=False, examples=[False])


class Rule(Table):
    """Series that fulfil every condition that is given are segmented by these methods.

    Args:
        modality: DICOM modality.
        description: regular expression that is found in the series description, whatever its case.
        contrast: whether the header names a contrast agent.
        slices: least and greatest number of images in the series.
        methods: ids of methods; empty for what ``strokeseg segment`` chooses.
    """

    modality: str | None = Field(default=None, examples=["CT"])
    description: str | None = Field(default=None, examples=["head|brain"])
    contrast: bool | None = Field(default=None, examples=[False])
    slices: Annotated[tuple[int, int], BeforeValidator(_tuple)] | None = Field(default=None, examples=[[16, 400]])
    methods: Annotated[tuple[Method, ...], BeforeValidator(_tuple)] = Field(
        default=(), examples=[["ncct-core-penumbra", "ncct-aspects"]]
    )

    @field_validator("description")
    @classmethod
    def _is_expression(cls, description: str | None) -> str | None:
        try:
            re.compile(description or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        return description

    @field_validator("slices")
    @classmethod
    def _is_range(cls, slices: tuple[int, int] | None) -> tuple[int, int] | None:
        if slices is not None and not 1 <= slices[0] <= slices[1]:
            raise ValueError("should be the least and the greatest number of images, in this order")
        return slices


class Limits(Table):
    """How much the node keeps; studies whose results were sent are removed, the oldest first.

    Args:
        free_disk_gb: below this free space (GiB) instances are refused and no study is started.
        disk_gb: largest size of the storage in GiB.
        age_days: after which a finished study is removed.
        studies: largest number of studies.
    """

    free_disk_gb: float = Field(default=5.0, ge=0, strict=False, examples=[5])
    disk_gb: float = Field(default=500.0, gt=0, strict=False, examples=[500])
    age_days: float = Field(default=30.0, gt=0, strict=False, examples=[30])
    studies: int = Field(default=10_000, ge=1, examples=[10000])


class Retries(Table):
    """When a run that died, or a transfer that failed, is tried again; the delay doubles each time.

    Args:
        first_s: delay after the first failure, in seconds.
        longest_s: longest delay, in seconds.
        runs: how often a study is run whose worker dies; transfers are repeated until they succeed.
    """

    first_s: float = Field(default=30.0, gt=0, strict=False, examples=[30])
    longest_s: float = Field(default=3600.0, gt=0, strict=False, examples=[3600])
    runs: int = Field(default=3, ge=1, examples=[3])

    def delay_s(self, failures: int) -> float:
        """Delay after so many failures in a row (1 for the first), in seconds."""
        return min(self.first_s * 2.0 ** min(failures - 1, 60), self.longest_s)


class Configuration(Table):
    """A node.

    Args:
        storage: folder for received images, results and the queue.
        quiet_s: a study is complete when no image has arrived for so many seconds.
        workers: studies that are segmented at the same time.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        models: names or paths of model bundles, at most one for each method; a method without takes its default.
        listen: how the node is reached.
        peers: who may send.
        destinations: who receives the results; without any they stay in the storage.
        rules: which series go to which methods; without any, what ``strokeseg segment`` chooses.
        limits: how much is kept.
        retries: when something is tried again.
    """

    storage: FilePath = Field(examples=["/var/lib/strokeseg"])
    quiet_s: float = Field(default=60.0, gt=0, strict=False, examples=[60])
    workers: int = Field(default=1, ge=1, le=64, examples=[1])
    device: str = Field(default="auto", examples=["auto"])
    models: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = Field(default=(), examples=[["ncct-aspects-atlas"]])
    listen: Listen
    peers: Annotated[tuple[Peer, ...], BeforeValidator(_tuple)] = ()
    destinations: Annotated[tuple[Destination, ...], BeforeValidator(_tuple)] = ()
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_tuple)] = ()
    limits: Limits = Limits()
    retries: Retries = Retries()

    @model_validator(mode="after")
    def _is_consistent(self) -> "Configuration":
        if not self.peers:
            raise ValueError("no peer may send; add a table [[peers]] with ae_title and address")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have the same name; give each its own")
        if self.listen.tls is None and any(destination.tls for destination in self.destinations):
            raise ValueError("a destination uses TLS, but the node has no certificate; add the table [listen.tls]")
        return self


def read_configuration(path: Path) -> Configuration:
    """The configuration in a TOML file; relative paths in it start from the file's folder.

    Raises:
        StrokeSegError: the file cannot be read, or a key is unknown, missing or has an invalid value; the message names
            the key, the problem and an example.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StrokeSegError(f"{path} cannot be read ({error}); check the path.") from error
    except tomllib.TOMLDecodeError as error:
        raise StrokeSegError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    try:
        configuration = Configuration.model_validate(content)
    except ValidationError as error:
        problems = " ".join(_sentence(problem) for problem in error.errors())
        raise StrokeSegError(f"{path}: {problems}") from error
    return _from_folder(configuration, path.absolute().parent)


def _from_folder(configuration: Configuration, folder: Path) -> Configuration:
    listen = configuration.listen
    if listen.tls is not None:
        files = {name: folder / getattr(listen.tls, name) for name in Tls.model_fields}
        listen = listen.model_copy(update={"tls": listen.tls.model_copy(update=files)})
    return configuration.model_copy(update={"storage": folder / configuration.storage, "listen": listen})


def _sentence(problem: dict[str, Any]) -> str:
    """A validation error as key, problem and remedy."""
    location = problem["loc"]
    key = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in location)
    table, field = _field(location)
    if problem["type"] == "extra_forbidden":
        return f"Unknown key “{key}”. Remove it, or use one of: {', '.join(table.model_fields)}."
    if problem["type"] == "missing":
        return f"The key “{key}” is missing. Add it{_example(location, field)}."
    message = problem["msg"].removeprefix("Value error, ")
    if not location:
        return message[0].upper() + message[1:] + "."
    return f"The value of “{key}” is invalid: {message[0].lower()}{message[1:]}. Change it{_example(location, field)}."


def _example(location: tuple[int | str, ...], field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return f", for example as a table [{location[-1]}]" if field is not None else ""
    value = field.examples[0]
    return f", for example {_last_name(location)} = {json.dumps(value)}"


def _last_name(location: tuple[int | str, ...]) -> str:
    return next(str(part) for part in reversed(location) if isinstance(part, str))


def _field(location: tuple[int | str, ...]) -> tuple[type[Table], FieldInfo | None]:
    """The table that a key belongs to, and its field there; None for an unknown key."""
    table, field, inner = Configuration, None, Configuration
    for part in location:
        if isinstance(part, str):
            table = inner
            field = table.model_fields.get(part)
            inner = _table_in(field.annotation) if field is not None else None
        if inner is None:
            break
    return table, field


def _table_in(annotation: Any) -> type[Table] | None:
    """The table in the type of a field, such as ``tuple[Peer, ...]`` or ``Tls | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((table for table in map(_table_in, get_args(annotation)) if table is not None), None)
