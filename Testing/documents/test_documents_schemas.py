"""The schemas in the documentation are those by which the program reads and writes."""

import pytest
from write_schemas import DOCUMENTS, FOLDER, schema


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schema_in_the_documentation_is_up_to_date(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == schema(name), "run Documentation/write_schemas.py"
