"""VNN-LIB 1.0: SMT-LIB text over ``X_i`` and ``Y_i``, read into an exact formula.

Read are ``declare-const NAME Real`` (and ``declare-fun NAME () Real``) and ``assert`` of
``and``, ``or``, ``true``, ``false`` and chains of ``<= >= < > =`` over linear arithmetic
(``+ - * /`` with constants).  Commands that do not change the meaning are skipped; after
``check-sat`` nothing may be declared or asserted, since that would belong to another question.

Source: https://www.vnnlib.org, Guidotti, Demarchi, Tacchella, Pulina: The Verification of
Neural Networks Library (VNN-LIB).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.vnnlib.formula import (
    DEEPEST,
    LINE_END,
    And,
    Declaration,
    Formula,
    LinearSum,
    Or,
    Place,
    VariableKind,
    comparison,
    difference,
    number,
    product_of,
    sum_of,
)

_TOKEN = re.compile(r"[()]|[^\s()]+")
_QUOTED = re.compile(r""";[^\r\n]*|"(?:[^"]|"")*"|\|[^|]*\||["|]""")
_NAME = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")  # one spelling for each
_SKIPPED = frozenset(("vnnlib-version", "set-logic", "set-info", "set-option", "get-model"))
_ASKED = frozenset(("check-sat", "exit"))  # what follows is no part of the question
_COMPARISONS = frozenset(("<=", ">=", "<", ">", "="))
_ARITHMETIC = frozenset("+-*/")


class Word(NamedTuple):
    """One token."""

    text: str
    line: int


class TokenGroup(NamedTuple):
    """``( … )``; ``line`` is that of its opening parenthesis."""

    items: list[Word | TokenGroup]
    line: int

    @property
    def text(self) -> str:
        """As written, shortened for messages."""
        whole = f"({' '.join(item.text for item in self.items[:8])})"
        return whole if len(whole) <= 60 else f"{whole[:57]}..."


def parse(
    text: str, source: str, network: Network, name: str
) -> tuple[Formula, tuple[Declaration, ...]]:
    """The conjunction of all assertions, and the declared variables in order.

    ``name`` is what the network is called; QueryError (with line and token) on text that is
    not VNN-LIB 1.0, or whose variables are not the network's inputs and outputs.
    """
    reader = _ReaderV1(source=source, network=network, name=name)
    for command in _groups(text, source):
        reader.read(command)
    reader.check_declared()
    return And(tuple(reader.assertions)), tuple(reader.declared)


def _unquoted(text: str, source: str) -> str:
    """The text without comments, and a plain word for every ``"string"`` and ``|symbol|``, so
    that what stands in them is no syntax; every line keeps its number."""

    def word(found: re.Match[str]) -> str:
        quoted = found[0]
        if quoted[0] == ";":
            return ""
        if len(quoted) == 1:
            line = 1 + len(LINE_END.findall(text, 0, found.start()))
            Place(source, line).error(
                "a string or symbol is never closed", expected=quoted, got="the end of the file"
            )
        if quoted[0] == "|" and _TOKEN.fullmatch(quoted) and ";" not in quoted:
            return quoted[1:-1]  # the same symbol as without bars
        return " string " + "\n" * len(LINE_END.findall(quoted))

    return _QUOTED.sub(word, text)


def _groups(text: str, source: str) -> list[TokenGroup]:
    """The top-level groups of the text."""
    top: list[TokenGroup] = []
    stack: list[TokenGroup] = []
    for line, content in enumerate(LINE_END.split(_unquoted(text, source)), start=1):
        words: dict[str, Word] = {}  # one for all places of a token in a line, which may be long
        for token in _TOKEN.findall(content):
            if token == "(":
                if len(stack) == DEEPEST:
                    Place(source, line).error(
                        "nesting", expected=f"at most {DEEPEST} levels", got="more"
                    )
                group = TokenGroup([], line)
                (stack[-1].items if stack else top).append(group)
                stack.append(group)
            elif token == ")":
                if not stack:
                    Place(source, line).error("parentheses", expected="'('", got="')'")
                stack.pop()
            elif stack:
                word = words.get(token)
                if word is None:
                    word = words[token] = Word(token, line)
                stack[-1].items.append(word)
            else:
                Place(source, line).error("command", expected="'('", got=repr(token[:40]))
    if stack:
        Place(source, stack[-1].line).error(
            "'(' is never closed", expected="')'", got="the end of the file"
        )
    return top


@dataclass(kw_only=True)
class _ReaderV1:
    """Reads commands one by one."""

    source: str
    network: Network
    name: str
    declared: list[Declaration] = field(default_factory=list)
    variables: dict[str, LinearSum] = field(default_factory=dict)
    assertions: list[Formula] = field(default_factory=list)
    asked: str = ""  # the command that ended the question

    def place(self, item: Word | TokenGroup) -> Place:
        return Place(self.source, item.line)

    def head(self, group: TokenGroup, expected: str) -> str:
        if not group.items or not isinstance(group.items[0], Word):
            self.place(group).error("expression", expected=expected, got=group.text)
        return group.items[0].text

    def read(self, command: TokenGroup) -> None:
        head = self.head(command, "a command")
        if self.asked and head not in _SKIPPED | _ASKED:
            self.place(command).error(
                f"{head[:40]!r} after {self.asked}",
                expected="one question a file",
                got=command.text,
            )
        if head in _ASKED:
            self.asked = head
        elif head == "assert":
            if len(command.items) != 2:
                self.place(command).error("assert", expected="one formula", got=command.text)
            self.assertions.append(self.formula(command.items[1]))
        elif head in ("declare-const", "declare-fun"):
            self.declare(command, head)
        elif head not in _SKIPPED:
            self.place(command).error(
                "command", expected="declare-const or assert", got=repr(head[:40])
            )

    def declare(self, command: TokenGroup, head: str) -> None:
        arguments = command.items[1:]
        middle = (
            len(arguments) == 3 and isinstance(arguments[1], TokenGroup) and not arguments[1].items
        )
        if head == "declare-fun" and middle:
            arguments = [arguments[0], arguments[2]]
        words = [item.text for item in arguments if isinstance(item, Word)]
        if len(arguments) != 2 or len(words) != 2 or words[1] != "Real":
            self.place(command).error(head, expected="a name and Real", got=command.text)
        match = _NAME.fullmatch(words[0])
        if match is None:
            self.place(command).error(
                "variable", expected="X_i for an input or Y_i for an output", got=repr(words[0])
            )
        if words[0] in self.variables:
            self.place(command).error("variable", expected="a new name", got=f"{words[0]} again")
        kind = VariableKind.INPUT if match[1] == "X" else VariableKind.OUTPUT
        node, index = INPUT if kind is VariableKind.INPUT else self.network.output, int(match[2])
        if index >= self.network.width(node):
            self.place(command).error(
                f"variable {words[0]}",
                expected=f"one of the network's {self.network.width(node)} {kind.value}s",
                got=f"index {index}",
            )
        self.variables[words[0]] = LinearSum({(node, index): Fraction(1)}, Fraction(0))
        self.declared.append(
            Declaration(
                name=words[0],
                element_type="real",
                shape=(),
                kind=kind,
                network=self.name,
                node=node,
                offset=index,
            )
        )

    def check_declared(self) -> None:
        for kind, size in (
            (VariableKind.INPUT, self.network.input_size),
            (VariableKind.OUTPUT, self.network.output_size),
        ):
            count = sum(item.kind is kind for item in self.declared)
            if count != size:
                raise QueryError(
                    f"{self.source} for {self.network.origin}",
                    expected=f"{size} declared {kind.value}s",
                    got=str(count),
                    fix="Give the network this query was written for",
                )

    def formula(self, item: Word | TokenGroup) -> Formula:
        if isinstance(item, Word):
            if item.text not in ("true", "false"):
                self.place(item).error("formula", expected="'('", got=repr(item.text[:40]))
            return And(()) if item.text == "true" else Or(())
        head, arguments = self.head(item, "a formula"), item.items[1:]
        if head in ("and", "or"):
            parts = tuple(self.formula(part) for part in arguments)
            return And(parts) if head == "and" else Or(parts)
        if head in ("not", "=>", "xor", "ite", "distinct", "let"):
            self.place(item).unsupported(
                "formula", expected="and, or or a comparison", got=repr(head)
            )
        if head not in _COMPARISONS:
            self.place(item).error(
                "formula", expected="and, or or a comparison", got=repr(head[:40])
            )
        if len(arguments) < 2:
            self.place(item).error(f"'{head}'", expected="two sides", got=item.text)
        return comparison(head, [self.linear(part) for part in arguments], item.line)

    def linear(self, item: Word | TokenGroup) -> LinearSum:
        if isinstance(item, Word):
            variable = self.variables.get(item.text)
            if variable is not None:
                return variable
            value = number(item.text, self.place(item))
            if value is None:
                self.place(item).error(
                    "term", expected="a declared variable or a number", got=repr(item.text[:40])
                )
            return LinearSum({}, value)
        head = self.head(item, "a term")
        if head not in _ARITHMETIC:
            self.place(item).error("term", expected="+, -, * or /", got=repr(head[:40]))
        parts = [self.linear(part) for part in item.items[1:]]
        if not parts:
            self.place(item).error(f"'{head}'", expected="an argument", got="none")
        match head:
            case "+":
                return sum_of(parts)
            case "-":
                return difference(parts)
            case "*":
                return product_of(parts, self.place(item), item.text)
            case _:
                return self.quotient(parts, item)

    def quotient(self, parts: Sequence[LinearSum], item: TokenGroup) -> LinearSum:
        result = parts[0]
        for part in parts[1:]:
            if part.terms:
                self.place(item).unsupported(
                    "quotient", expected="a constant divisor", got=item.text
                )
            if part.constant == 0:
                self.place(item).error("quotient", expected="a divisor ≠ 0", got=item.text)
            result = result.times(1 / part.constant)
        return result
