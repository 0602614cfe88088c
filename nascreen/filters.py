"""Filters in the OPTIMADE grammar to SQL with bound values, on a fixed list of columns.

The grammar is that of the `optimade` package (OPTIMADE 1.2, J. Chem. Phys. / Digital Discovery: M. L. Evans et al.,
Digital Discovery 3, 1509 (2024), doi:10.1039/D4DD00039K). Of a person's text only numbers and texts reach the
database, each as a bound value; names must stand in the list, so that a filter can neither read files nor run code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NoReturn

from nascreen.chemistry import ATOMIC_NUMBER
from nascreen.errors import InputError, MissingExtraError

Kind = Literal["number", "text", "flag", "list"]
PREFIX = "_nascreen_"
MOST_CHARACTERS = 2000
MOST_NESTED = 40

_SQL_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_KIND_NAMES = {
    "number": "a number",
    "text": 'a text in double quotation marks, such as "glass"',
    "flag": "TRUE or FALSE",
    "list": "what HAS, HAS ALL, HAS ANY or LENGTH say",
}


@dataclass(frozen=True, slots=True)
class FilterColumn:
    """A column that a filter may name.

    Attributes:
        name: Its name, in lower case.
        kind: ``number``, ``text``, ``flag`` or ``list`` (of texts or numbers).
        description: What it is, with its unit.
        may_be_missing: Whether it can be without a value; a comparison with what is missing does not hold.
    """

    name: str
    kind: Kind
    description: str
    may_be_missing: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter as SQL.

    Attributes:
        sql: Condition with ``?`` for every value.
        values: The values, in order.
        foreign: Names of other providers that it holds, which are without value here.
    """

    sql: str
    values: tuple[float | int | str | bool, ...]
    foreign: tuple[str, ...] = ()


class FilterError(InputError):
    """A filter cannot be used; the message shows where, with a caret under the place."""


class UnsupportedFilterError(FilterError):
    """A filter uses a part of the grammar that is optional and not served, or compares different types."""


def _refuse(text: str, position: int, what: str, kind: type[FilterError] = FilterError) -> NoReturn:
    position = max(0, min(position, len(text)))
    start = max(0, position - 60)
    shown = "".join(c if c.isprintable() else " " for c in text[start : position + 40])
    dots = "..." if start else ""
    raise kind(f"The filter {what}\n  {dots}{shown}\n  {' ' * (len(dots) + position - start)}^")


@lru_cache(maxsize=1)
def _parser() -> Any:  # noqa: ANN401
    try:
        from lark import Lark
        from optimade.filterparser.lark_parser import AVAILABLE_PARSERS
    except ImportError as error:
        raise MissingExtraError("Filters need a parser; install it with: pip install nascreen[screen]") from error
    path = AVAILABLE_PARSERS[max(AVAILABLE_PARSERS)]["default"]
    # The package's own parser forgets the places of what it read, which the caret needs.
    return Lark(path.read_text(encoding="utf-8"), maybe_placeholders=False, propagate_positions=True)


_TERMINALS = {
    "OPERATOR": "<, <=, >, >=, = or !=", "IDENTIFIER": "a column", "ESCAPED_STRING": "a text", "SIGNED_INT": "a number",
    "SIGNED_FLOAT": "a number", "LPAR": "(", "RPAR": ")", "_AND": "AND", "_OR": "OR",
}  # fmt: skip


def _parse(text: str) -> Any:  # noqa: ANN401
    if len(text) > MOST_CHARACTERS:
        _refuse(text, MOST_CHARACTERS, f"has {len(text)} characters; at most {MOST_CHARACTERS} are read.")
    half = re.search("[\ud800-\udfff]", text)
    if half:
        _refuse(text, half.start(), "holds half a character, which no text has.")
    depth = 0
    for position, character in enumerate(re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: "x" * len(m[0]), text)):
        depth += (character == "(") - (character == ")")
        if depth > MOST_NESTED:
            _refuse(text, position, f"nests brackets deeper than {MOST_NESTED}.")
    from lark.exceptions import UnexpectedInput

    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        place = getattr(error, "pos_in_stream", None)
        place = len(text) if place is None or place < 0 else place
        expected = getattr(error, "allowed", None) or getattr(error, "expected", None) or ()
        names = sorted(
            {_TERMINALS.get(str(name), str(name).strip("_")) for name in expected} - {"WS", "BY", "DOT", "COLON"}
        )
        hint = f"; expected {', '.join(names)}" if names else ""
        _refuse(text, place, f"cannot be read at character {place + 1}{hint}.")


class _Writer:
    """Writes the tree of a filter as SQL."""

    def __init__(
        self, text: str, columns: Mapping[str, FilterColumn], elements: Sequence[str], *, is_strict: bool
    ) -> None:
        self.text, self.columns, self.elements, self.is_strict = text, columns, elements, is_strict
        self.foreign: dict[str, None] = {}
        self.values: list[float | int | str | bool] = []

    def write(self, tree: Any) -> str:  # noqa: ANN401
        return str(getattr(self, f"_{tree.data}")(tree))

    def _filter(self, tree: Any) -> str:  # noqa: ANN401
        return " AND ".join(map(self.write, tree.children)) or "TRUE"

    def _expression(self, tree: Any) -> str:  # noqa: ANN401
        parts = [self.write(child) for child in tree.children if hasattr(child, "data")]
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _expression_clause(self, tree: Any) -> str:  # noqa: ANN401
        parts = [self.write(child) for child in tree.children if hasattr(child, "data")]
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _expression_phrase(self, tree: Any) -> str:  # noqa: ANN401
        *signs, inner = tree.children
        sql = self.write(inner)
        return f"(NOT {sql})" if signs else sql

    def _comparison(self, tree: Any) -> str:  # noqa: ANN401
        named = [node for node in tree.iter_subtrees_topdown() if node.data == "property"]
        foreign = [self._written(node) for node in named if self._is_foreign(node)]
        if foreign:
            self.foreign |= dict.fromkeys(foreign)
            words = [str(child) for child in tree.scan_values(lambda _: True)]
            return "TRUE" if words[-2:] == ["IS", "UNKNOWN"] else "FALSE"
        return self.write(tree.children[0])

    def _written(self, target: Any) -> str:  # noqa: ANN401
        return ".".join(map(str, target.children))

    def _name(self, target: Any) -> str:  # noqa: ANN401
        written = self._written(target)
        return written if self.is_strict else written.removeprefix(PREFIX)

    def _is_foreign(self, target: Any) -> bool:  # noqa: ANN401
        written = self._written(target)
        return self.is_strict and written.startswith("_") and not written.startswith(PREFIX)

    def _constant_first_comparison(self, tree: Any) -> str:  # noqa: ANN401
        constant, operator, other = tree.children
        target = other.children[0]
        if target.data != "property":
            what = "compares a value with a value; one side must be a column."
            _refuse(self.text, other.meta.start_pos, what, UnsupportedFilterError)
        return self._compared(target, _TURNED[str(operator)], constant.children[0])

    def _property_first_comparison(self, tree: Any) -> str:  # noqa: ANN401
        target, rhs = tree.children
        handler = {
            "value_op_rhs": self._value_op, "known_op_rhs": self._known_op, "fuzzy_string_op_rhs": self._fuzzy_op,
            "set_op_rhs": self._set_op, "length_op_rhs": self._length_op,
        }.get(str(rhs.data))  # fmt: skip
        if handler is None:
            what = "uses a correlated list, for which there are no columns."
            _refuse(self.text, rhs.meta.start_pos, what, UnsupportedFilterError)
        return handler(target, rhs)

    def _column(self, target: Any) -> FilterColumn:  # noqa: ANN401
        written, name = self._written(target), self._name(target)
        if name == "elements" or (name in self.columns and self.columns[name].kind == "list"):
            what = f"compares {name}; use {name} HAS, HAS ALL, HAS ANY or LENGTH."
            _refuse(self.text, target.meta.start_pos, what, UnsupportedFilterError)
        if self.is_strict and "." in written:
            what = f"names {written}, which lies in another property; such names are not served."
            _refuse(self.text, target.meta.start_pos, what, UnsupportedFilterError)
        if name not in self.columns:
            near = _nearest(name, self.columns)
            known = ", ".join(c for c in self.columns if not c.startswith("amount_"))
            meant = f" (did you mean {near}?)" if near else ""
            if self.is_strict:
                what = f"names {written}, which is no property{meant}; the information on the entries lists all."
                _refuse(self.text, target.meta.start_pos, what)
            _refuse(
                self.text, target.meta.start_pos,
                f"names {written}, which is no column{meant}; allowed are elements, {known}, and amount_ with an "
                f"element in lower case.",
            )  # fmt: skip
        return self.columns[name]

    def _bound(self, column: FilterColumn, value: Any) -> str:  # noqa: ANN401
        value = value.children[0] if value.data == "value" else value
        place = value.meta.start_pos
        found = {"number": "number", "string": "text", "bool": "flag"}.get(str(value.data))
        if value.data == "property":
            other = self._column(value)
            if (column.kind, other.kind) != ("number", "number"):
                what = "compares two columns that are not both numbers."
                _refuse(self.text, place, what, UnsupportedFilterError)
            return f'"{other.name}"'
        if found != column.kind:
            what = f"compares {column.name} with something else than {_KIND_NAMES[column.kind]}."
            _refuse(self.text, place, what, UnsupportedFilterError)
        written = self.text[value.meta.start_pos : value.meta.end_pos]
        if found == "number":
            self.values.append(float(written))
        elif found == "flag":
            self.values.append(written == "TRUE")
        else:
            self.values.append(_unquoted(written))
        return "?"

    def _held(self, column: FilterColumn, sql: str) -> str:
        return f"coalesce({sql}, FALSE)" if column.may_be_missing else f"({sql})"

    def _compared(self, target: Any, operator: str, value: Any) -> str:  # noqa: ANN401
        column = self._column(target)
        if column.kind == "flag" and operator not in {"=", "!="}:
            what = f"orders {column.name}, which is TRUE or FALSE; use = or !=."
            _refuse(self.text, target.meta.start_pos, what, UnsupportedFilterError)
        return self._held(column, f'"{column.name}" {_SQL_OPERATORS[operator]} {self._bound(column, value)}')

    def _value_op(self, target: Any, rhs: Any) -> str:  # noqa: ANN401
        return self._compared(target, str(rhs.children[0]), rhs.children[1])

    def _known_op(self, target: Any, rhs: Any) -> str:  # noqa: ANN401
        name = self._name(target)
        if name == "elements":
            name = "nelements"
        elif name not in self.columns or self.columns[name].kind != "list":
            name = self._column(target).name
        return f'("{name}" IS {"NOT " if str(rhs.children[-1]) == "KNOWN" else ""}NULL)'

    def _fuzzy_op(self, target: Any, rhs: Any) -> str:  # noqa: ANN401
        column = self._column(target)
        if column.kind != "text":
            what = f"searches in {column.name}, which is no text."
            _refuse(self.text, target.meta.start_pos, what, UnsupportedFilterError)
        function = {"CONTAINS": "contains", "STARTS": "starts_with", "ENDS": "suffix"}[str(rhs.children[0])]
        return self._held(column, f'{function}("{column.name}", {self._bound(column, rhs.children[-1])})')

    def _length_op(self, target: Any, rhs: Any) -> str:  # noqa: ANN401
        column = self._list(target)
        operator = str(rhs.children[-2]) if str(rhs.children[-2]) in _SQL_OPERATORS else "="
        self.values.append(int(rhs.children[-1].children[0]))
        length = '"nelements"' if column is None else f'len("{column.name}")'
        return f"coalesce({length} {_SQL_OPERATORS[operator]} ?, FALSE)"

    def _list(self, target: Any) -> FilterColumn | None:  # noqa: ANN401
        """Return the list that is asked for what it has; None for the elements."""
        name = self._name(target)
        if name == "elements":
            return None
        column = self.columns[name] if name in self.columns else self._column(target)
        if column.kind != "list":
            lists = ["elements", *(c.name for c in self.columns.values() if c.kind == "list")]
            are = "are lists" if len(lists) > 1 else "is a list"
            what = f"asks what a column HAS or its LENGTH; only {', '.join(lists)} {are}."
            _refuse(self.text, target.meta.start_pos, what, UnsupportedFilterError)
        return column

    def _set_op(self, target: Any, rhs: Any) -> str:  # noqa: ANN401
        column = self._list(target)
        words = [str(child) for child in rhs.children if not hasattr(child, "data")]
        last = rhs.children[-1]
        values = last.children if last.data == "value_list" else [last]
        operator = next((value for value in values if not hasattr(value, "data")), None)
        if operator is not None or any(word in _SQL_OPERATORS for word in words):
            what = f"orders {self._name(target)}; name them without an operator."
            place = rhs.meta.start_pos if operator is None else operator.start_pos
            _refuse(self.text, place, what, UnsupportedFilterError)
        quantity = words[-1]
        if column is not None:
            return self._listed(column, quantity, values, rhs)
        symbols = [self._symbol(value) for value in values]
        if quantity == "ONLY":
            absent = [f'"amount_{s.lower()}" = 0' for s in self.elements if s not in symbols]
            return f"({' AND '.join(absent) or 'TRUE'})"
        present = [f'"amount_{s.lower()}" > 0' if s in self.elements else "FALSE" for s in symbols]
        return f"({(' OR ' if quantity == 'ANY' else ' AND ').join(present)})"

    def _listed(self, column: FilterColumn, quantity: str, values: Sequence[Any], rhs: Any) -> str:  # noqa: ANN401
        if quantity == "ONLY":
            what = f"asks what {column.name} has ONLY; HAS, HAS ALL and HAS ANY are served."
            _refuse(self.text, rhs.meta.start_pos, what, UnsupportedFilterError)
        found = []
        for value in values:
            inner = value.children[0] if value.data == "value" else value
            if str(inner.data) not in {"string", "number"}:
                what = f"asks whether {column.name} has what is neither text nor number."
                _refuse(self.text, inner.meta.start_pos, what, UnsupportedFilterError)
            written = self.text[inner.meta.start_pos : inner.meta.end_pos]
            self.values.append(_unquoted(written) if inner.data == "string" else float(written))
            found.append(f'list_contains("{column.name}", ?)')
        return f"coalesce({(' OR ' if quantity == 'ANY' else ' AND ').join(found)}, FALSE)"

    def _symbol(self, value: Any) -> str:  # noqa: ANN401
        written = self.text[value.meta.start_pos : value.meta.end_pos]
        symbol = written.strip('"')
        if not written.startswith('"') or symbol not in ATOMIC_NUMBER:
            _refuse(self.text, value.meta.start_pos, 'names what is no element; write it such as "Sc".')
        return symbol


def _unquoted(written: str) -> str:
    return re.sub(r"\\(.)", r"\1", written[1:-1])


def _nearest(name: str, columns: Mapping[str, FilterColumn]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, columns, n=1, cutoff=0.6)), "")


def read_filter(
    text: str, columns: Sequence[FilterColumn], elements: Sequence[str], *, is_strict: bool = False
) -> Condition:
    """Read a filter.

    Args:
        text: Filter in the OPTIMADE grammar, such as ``elements HAS ALL "Na","Zr" AND conductivity_lo > 1e-4``.
            Names may carry the prefix ``_nascreen_``. Nothing means no filter.
        columns: What it may name; ``amount_`` columns and ``nelements`` must be among them.
        elements: Elements that have an amount.
        is_strict: Take names as the OPTIMADE specification tells a server: exactly as they stand in `columns`, and
            those of other providers (``_other_name``) as names of what is not known, not as errors.

    Returns:
        A condition with bound values.

    Raises:
        FilterError: If it cannot be read, or names what it may not; a caret stands under the place.
        UnsupportedFilterError: If it compares different types, or uses an optional part that is not served.
        MissingExtraError: If the parser is not installed.

    >>> read_filter("ea_ev < 0.3", [FilterColumn("ea_ev", "number", "Activation energy in eV")], [])
    Condition(sql='("ea_ev" < ?)', values=(0.3,), foreign=())
    """
    if not text.strip():
        return Condition("TRUE", ())
    writer = _Writer(text, {column.name: column for column in columns}, elements, is_strict=is_strict)
    sql = writer.write(_parse(text))
    return Condition(sql, tuple(writer.values), tuple(writer.foreign))
