"""Everything that a person reads is plain English; these are the habits that made it read as if it were translated."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("StrokeSeg", "StrokeSegLib", "Training") for path in (ROOT / folder).rglob("*.py"))

DOCSTRINGS = {
    "begins with “Of”": r"^Of |^\w+(, \w+)*: of ",
    "“is no X” for “is not an X”": r"(?<!there )\b(is|are|was|were) no\b(?! longer| farther| further| more)",
    "begins with “By which” and the like": r"^(By|To|From|On|In|At|For) which ",
}
"""Patterns of a line of a docstring."""

MESSAGES = {
    "“there is no X” for “unknown X”": r"\b(is|are|was|were) no\b(?! longer)",
    "“not there” for “not available”": r"\bnot there\b",
    "“marked” for “segmented”": r"\bmark(s|ed)?\b",
    "“said” for “reported”": r"\bsaid\b",
    "“taken for”": r"\btaken for\b",
    "“laid onto”": r"\b(laid|laying) (the \w+( \w+)? )?onto\b",
    "“holds” for “contains”": r"\bholds?\b",
    "“whole” for “complete”": r"\b(is|no|a) whole (?!number)",
    "“go on” for “continue”": r"\b(go|goes|went) on\b",
    "“lies beside” and the like": r"\blies? (beside|elsewhere|together)\b",
    "“As asked” for “as requested”": r"\bAs asked\b",
    "“at will” for “optional”": r"\bat will\b",
}
"""Patterns of a message: a string of at least three words, a text of a form or of a report's template."""

EXAMPLES = {
    "begins with “Of”": "seed: of the deformations.",
    "“is no X” for “is not an X”": "The folder is no data set.",
    "begins with “By which” and the like": "By which the worker is told its threads.",
    "“there is no X” for “unknown X”": "There is no map called x.",
    "“not there” for “not available”": "The device “cuda” is not there.",
    "“marked” for “segmented”": "30% of the marked tissue lies outside the brain.",
    "“said” for “reported”": "Parts below 20 ml are said.",
    "“taken for”": "8 ml are taken for infarct.",
    "“laid onto”": "laying the head atlas onto the scan",
    "“holds” for “contains”": "The folder holds no cases.",
    "“whole” for “complete”": "The file is no whole zip file.",
    "“go on” for “continue”": "go on with the output folder",
    "“lies beside” and the like": "The map lies elsewhere than the scan.",
    "“As asked” for “as requested”": "As asked, only the left side is reported.",
    "“at will” for “optional”": "the column input, and others at will",
}
"""A sentence that each pattern recognises."""


def docstring_nodes(tree: ast.AST) -> list[ast.Constant]:
    """Docstrings, of attributes too."""
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return [node for node in statements if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def sentences(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and text of the strings that are not docstrings; an ellipsis stands for each value formatted in."""
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


@cache
def trees() -> dict[str, ast.AST]:
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


@cache
def docstring_lines() -> list[str]:
    """``file:line: text`` of every line of a docstring."""
    return [
        f"{file}:{node.lineno + index}: {line.strip()}"
        for file, tree in trees().items()
        for node in docstring_nodes(tree)
        for index, line in enumerate(node.value.splitlines())
    ]


@cache
def messages() -> list[str]:
    """``file:line: text`` of every message in the code, the forms and the templates of reports."""
    found = [f"{file}:{line}: {text}" for file, tree in trees().items() for line, text in sentences(tree)]
    for form in (ROOT / "StrokeSeg" / "Resources" / "UI").glob("*.ui"):
        texts = re.findall(r"<string[^>]*>([^<]*)</string>", form.read_text(encoding="utf-8"))
        found += [f"{form.name}:0: {text}" for text in texts]
    for template in (ROOT / "StrokeSegLib" / "reports").glob("*.j2"):
        texts = re.split(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", template.read_text(encoding="utf-8"))
        found += [f"{template.name}:0: {' '.join(text.split())}" for text in texts if text.strip()]
    return found


def having(habit: str, texts: list[str]) -> list[str]:
    return [text for text in texts if re.search(habit, text.split(": ", 1)[1])]


@pytest.mark.parametrize("habit", DOCSTRINGS.values(), ids=DOCSTRINGS.keys())
def test_docstrings_are_plain(habit):
    assert not (found := having(habit, docstring_lines())), "\n".join(found)


@pytest.mark.parametrize("habit", MESSAGES.values(), ids=MESSAGES.keys())
def test_messages_are_plain(habit):
    assert not (found := having(habit, messages())), "\n".join(found)


def test_each_habit_is_recognised_in_a_sentence_that_has_it():
    for habit, sentence in EXAMPLES.items():
        assert re.search((DOCSTRINGS | MESSAGES)[habit], sentence), habit
    assert EXAMPLES.keys() == (DOCSTRINGS | MESSAGES).keys()
