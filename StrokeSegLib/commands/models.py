"""``strokeseg models``: bundles listed, shown, checked, installed and imported."""

import argparse
import json
import sys
from pathlib import Path


def add(commands) -> None:
    """Add the command and its actions to the parser's."""
    models = commands.add_parser("models", help="list, show, verify, install and import model bundles")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="list shipped and installed bundles").set_defaults(command=_list)
    show = actions.add_parser("show", help="show the description of a bundle")
    show.add_argument("name")
    show.set_defaults(command=_show)
    default = actions.add_parser("default", help="set a method's default model")
    default.add_argument("name", metavar="NAME")
    default.set_defaults(command=_default)
    verify = actions.add_parser("verify", help="check a bundle's files, hashes and network")
    verify.add_argument("bundle", type=Path)
    verify.set_defaults(command=_verify)
    install = actions.add_parser("install", help="install a bundle from a folder, a zip file or a URL")
    install.add_argument("source", metavar="FILE|URL")
    install.add_argument("--sha256", help="SHA-256 of the file; required for a URL")
    install.set_defaults(command=_install)
    imported = actions.add_parser("import", help="convert a published checkpoint to a bundle")
    imported.add_argument("checkpoint", type=Path)
    imported.add_argument("--method", required=True, metavar="ID")
    imported.add_argument("--output", type=Path, required=True, metavar="BUNDLE")
    imported.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    imported.set_defaults(command=_import)


def _list(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    known = models.list_bundles()
    defaults = models.default_hashes(known)
    for bundle in known:
        mark = "default" if bundle.sha256 in defaults else ""
        sys.stdout.write(f"{bundle.name:<40} {bundle.version:<10} {bundle.method:<20} {mark}".rstrip() + "\n")


def _default(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    bundle = models.find_bundle(options.name)
    models.make_default(bundle)
    sys.stdout.write(f"The default model of {bundle.method} is now {bundle.name} {bundle.version}.\n")


def _show(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    sys.stdout.write(json.dumps(models.find_bundle(options.name).description(), indent=2, ensure_ascii=False) + "\n")


def _verify(options: argparse.Namespace) -> None:
    from StrokeSegLib import methods, models

    bundle = models.verify(options.bundle, methods.check)
    sys.stdout.write(f"{bundle.name} {bundle.version} verified, sha256 {bundle.sha256}\n")


def _install(options: argparse.Namespace) -> None:
    from StrokeSegLib import methods, models

    bundle = models.install(options.source, methods.check, options.sha256)
    sys.stdout.write(f"{bundle.name} {bundle.version} is installed.\n")


def _import(options: argparse.Namespace) -> None:
    from StrokeSegLib import methods

    bundle = methods.import_checkpoint(options.checkpoint, options.method, options.output, options.settings)
    sys.stdout.write(f"{bundle.name} {bundle.version} written to {options.output}.\n")
