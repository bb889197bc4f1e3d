"""Which rows of a table: comparisons of columns with values, joined by and, or, not and brackets. Nothing is evaluated."""

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_LONGEST = 1_000  # characters: the parser recurses
_EXAMPLE = "expected comparisons such as \"width > 40 and structure == 'DNC'\""
_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def rows_where(table: "DataFrame", text: str) -> "DataFrame":
    """Returns the rows of a table for which a condition holds; what is unknown holds for no comparison.

    Raises:
        InputError: If the text is no condition, or names another column, or compares a number with a text.
    """
    if len(text) > _LONGEST:
        raise InputError(f"expected a condition of at most {_LONGEST} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"{_EXAMPLE}, got {text!r}") from None
    return table[_mask(table, tree, text)]


def _mask(table: "DataFrame", node: ast.expr, text: str) -> "Series":
    match node:
        case ast.BoolOp(op=joined, values=[first, *others]):
            mask = _mask(table, first, text)
            for other in others:
                mask = mask & _mask(table, other, text) if isinstance(joined, ast.And) else mask | _mask(table, other, text)
            return mask
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return ~_mask(table, inner, text)
        case ast.Compare(left=ast.Name(id=column), ops=[compared], comparators=[value]) if type(compared) in _OPERATORS:
            return _compared(table, column, _OPERATORS[type(compared)], _literal(value, text))
        case _:
            raise InputError(f"{_EXAMPLE}, got {text!r}")


def _compared(table: "DataFrame", column: str, compare: Callable[[Any, Any], Any], value: Any) -> "Series":
    from pandas.api.types import is_numeric_dtype

    require_column(table, column)
    try:
        if is_numeric_dtype(table[column].dtype) == isinstance(value, str):
            raise TypeError  # pandas would call them different, and the table empty
        return compare(table[column], value).fillna(False).astype(bool) & table[column].notna()
    except (TypeError, OverflowError, UnicodeError):
        raise InputError(f"expected a value like those of {column}, {table[column].dtype}, got {value!r}") from None


def require_column(table: "DataFrame", column: str) -> None:
    """Refuses a column that a table does not have.

    Raises:
        InputError: With those that it has.
    """
    if column not in table.columns:
        raise InputError(f"expected a column among {', '.join(map(str, table.columns))}, got {column!r}")


def _literal(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case _:
            raise InputError(f"{_EXAMPLE}, got {text!r}")
