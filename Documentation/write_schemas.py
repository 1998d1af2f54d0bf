"""Write the JSON schemas of results and bundles: ``python Documentation/write_schemas.py``."""

import json
from pathlib import Path

from pydantic import BaseModel

from StrokeSegLib.documents.bundle import BundleDocument
from StrokeSegLib.documents.results import ResultsDocument

FOLDER = Path(__file__).resolve().parent / "schemas"

DOCUMENTS: dict[str, type[BaseModel]] = {"results.schema.json": ResultsDocument, "bundle.schema.json": BundleDocument}


def main() -> None:
    for name in DOCUMENTS:
        (FOLDER / name).write_text(schema(name), encoding="utf-8")


def schema(name: str) -> str:
    """One of the schemas as it is written."""
    return json.dumps(DOCUMENTS[name].model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
