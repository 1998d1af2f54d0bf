"""Everything that a person reads is plain English; these are the habits that made it read as if it were translated."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("StrokeSeg", "StrokeSegLib", "Training") for path in (ROOT / folder).rglob("*.py"))

DOCSTRINGS = {
    "begins with “Of”": r"^\s*Of |^\s*\w+(, \w+)*: of ",
    "“is no X” for “is not an X”": r"(?<!there )\b(is|are|was|were) no\b(?! longer| farther| further| more)",
    "begins with “By which”, “To which” and the like": r"^\s*(By|To|From|On|In|At|For) which ",
}
"""By line of a docstring."""

MESSAGES = {
    "“is no X” for “is not an X”, or “there is no X” for “unknown X”": r"\b(is|are|was|were) no\b(?! longer)",
    "“there” for “available”": r"\bnot there\b",
    "“marked” for “segmented”": r"\bmark(s|ed)?\b",
    "“said” for “reported”": r"\bsaid\b",
    "“taken for”": r"\btaken for\b",
    "“laid onto”": r"\b(laid|laying) (the \w+( \w+)? )?onto\b",
    "“holds” for “contains”": r"\bholds?\b",
    "“whole” for “complete” or “verified”": r"\b(is|no|a) whole (?!number)",
    "“go on”": r"\b(go|goes|went) on\b",
    "“lies beside” and the like": r"\blies? (beside|elsewhere|together)\b",
    "“As asked”": r"\bAs asked\b",
    "“at will”": r"\bat will\b",
}
"""By sentence: string of a program or text of a form, with at least three words."""


def docstring_nodes(tree: ast.AST) -> list[ast.Constant]:
    """Docstrings, of attributes too."""
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return [node for node in statements if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def sentences(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and text of the strings that are no docstrings; what is formatted in is an ellipsis."""
    silent = {id(node) for node in docstring_nodes(tree)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            found.append((node.lineno, text))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            found.append((node.lineno, node.value))
    return [(line, text) for line, text in found if len(text.split()) >= 3]


@pytest.mark.parametrize("habit", DOCSTRINGS)
def test_docstrings_are_plain(habit):
    pattern = re.compile(DOCSTRINGS[habit])
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno + index}: {line.strip()}"
        for path in FILES
        for node in docstring_nodes(ast.parse(path.read_text(encoding="utf-8")))
        for index, line in enumerate(node.value.splitlines())
        if pattern.search(line)
    ]
    assert not found, "\n".join([habit, *found])


@pytest.mark.parametrize("habit", MESSAGES)
def test_messages_are_plain(habit):
    pattern = re.compile(MESSAGES[habit])
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in FILES
        for line, text in sentences(ast.parse(path.read_text(encoding="utf-8")))
        if pattern.search(text)
    ]
    for form in (ROOT / "StrokeSeg" / "Resources" / "UI").glob("*.ui"):
        texts = re.findall(r"<string[^>]*>([^<]*)</string>", form.read_text(encoding="utf-8"))
        found += [f"{form.relative_to(ROOT)}: {text}" for text in texts if pattern.search(text)]
    assert not found, "\n".join([habit, *found])
