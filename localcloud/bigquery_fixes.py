"""Where sqlglot's DuckDB and BigQuery mean different things: each fix is one function on one node."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

# Typed overloads and errors that a single expression cannot have.
MACROS = (
    """CREATE OR REPLACE MACRO bq_trunc(u, d DATE) AS CAST(date_trunc(u, d) AS DATE),
    (u, d TIMESTAMP) AS date_trunc(u, d), (u, d TIMESTAMPTZ) AS date_trunc(u, d)""",
    """CREATE OR REPLACE MACRO bq_time(t TIMESTAMPTZ) AS CAST(CAST(t AS TIMESTAMP) AS TIME),
    (t TIMESTAMP) AS CAST(t AS TIME), (t TIME) AS t, (t VARCHAR) AS CAST(t AS TIME)""",
    """CREATE OR REPLACE MACRO bq_divide(a, b) AS CASE WHEN b = 0
    THEN error('division by zero: ' || a || ' / ' || b) ELSE a / b END""",
)

Fix = Callable[[Any], exp.Expr]


def fix(statement: exp.Expr) -> exp.Expr:
    """Give the statement BigQuery's meaning under DuckDB's generator; inner nodes come first."""
    for node in reversed(list(statement.dfs())):
        own = FIXES.get(type(node))
        fits = isinstance(node.parent, ONLY_UNDER.get(type(node), (exp.Expr, type(None))))
        if own and fits and not isinstance(node.parent, KEPT_UNDER.get(type(node), ())):
            node.replace(own(node.copy()))
    return statement


def _call(name: str, *arguments: Any) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _unit(node: exp.Expr) -> exp.Expr:
    return exp.Literal.string(node.args["unit"].name.lower())


def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    """Whole units that have passed, not boundaries that were crossed."""
    return _call("date_sub", _unit(node), node.expression, node.this)


def _int_div(node: exp.IntDiv) -> exp.Expr:
    parts = {"this": exp.paren(node.this), "expression": exp.paren(node.expression)}
    return exp.paren(exp.IntDiv(**parts))


def _divide(node: exp.Div) -> exp.Expr:
    divisor = node.expression
    if isinstance(divisor, exp.Literal) and divisor.name.strip("0.") != "":
        return node
    return _call("bq_divide", node.this, divisor)


def _ieee_divide(node: exp.Anonymous) -> exp.Expr:
    if node.name.upper() != "IEEE_DIVIDE":
        return node
    first, second = (exp.paren(one) for one in node.expressions)
    return exp.paren(exp.Div(this=exp.cast(first, "DOUBLE"), expression=second))


def _with_zone(node: exp.Expr) -> exp.Expr:
    return exp.cast(node, exp.DataType.Type.TIMESTAMPTZ)


def _as_date(node: exp.Expr) -> exp.Expr:
    return exp.cast(node, exp.DataType.Type.DATE)


def _date_trunc(node: exp.DateTrunc) -> exp.Expr:
    """DuckDB gives a timestamp for a date."""
    unit = node.args["unit"]
    if isinstance(unit, exp.WeekStart) or unit.name.upper() == "WEEK":
        return node
    name = unit.name.upper().replace("ISOWEEK", "WEEK")
    return _call("bq_trunc", exp.Literal.string(name), node.this)


def _extract(node: exp.Extract) -> exp.Expr:
    unit, value = node.this.name.upper(), node.expression
    if unit == "TIME":
        return _call("bq_time", value)
    if unit in ("DATE", "DATETIME"):
        return exp.cast(value, unit.replace("DATETIME", "TIMESTAMP"), dialect="duckdb")
    if unit == "WEEK" and not isinstance(node.this, exp.WeekStart):
        return exp.cast(_call("strftime", value, exp.Literal.string("%U")), "BIGINT")
    plain = exp.Extract(this=exp.var(unit.replace("ISOWEEK", "WEEK")), expression=value)
    if unit == "DAYOFWEEK":
        return exp.paren(exp.Add(this=plain, expression=exp.Literal.number(1)))
    if unit in ("MILLISECOND", "MICROSECOND"):
        size = exp.Literal.number(1000 if unit == "MILLISECOND" else 1_000_000)
        return exp.paren(exp.Mod(this=plain, expression=size))
    return plain


def _array_agg(node: exp.ArrayAgg) -> exp.Expr:
    """`LIMIT n` inside is a slice of the result."""
    return _sliced(node, node)


def _ignore_nulls(node: exp.IgnoreNulls) -> exp.Expr:
    inner = node.this
    return _sliced(inner, node) if isinstance(inner, exp.ArrayAgg) else node


def _sliced(aggregate: exp.ArrayAgg, whole: exp.Expr) -> exp.Expr:
    limit = aggregate.this
    if not isinstance(limit, exp.Limit):
        return whole
    aggregate.set("this", limit.this)
    return _call("list_slice", whole, exp.Literal.number(1), limit.expression)


def _literal(node: exp.Literal) -> exp.Expr:
    """1.5 is FLOAT64 in BigQuery and DECIMAL in DuckDB."""
    return node if node.is_string or node.name.isdigit() else exp.cast(node, "DOUBLE")


def _time(node: exp.TsOrDsToTime) -> exp.Expr:
    """DuckDB has no cast from a timestamp with a zone."""
    return _call("bq_time", node.this)


def _tuple(node: exp.Tuple) -> exp.Expr:
    """As a value it is a struct, with the names that BigQuery gives to fields without one."""
    pairs = enumerate(node.expressions, 1)
    fields = [exp.PropertyEQ(this=exp.to_identifier(f"_field_{n}"), expression=one) for n, one in pairs]
    return exp.Struct(expressions=fields)


def _data_type(node: exp.DataType) -> exp.Expr:
    if node.this in (exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY):
        return exp.DataType.build("BLOB", dialect="duckdb")  # whatever its length
    scales = {exp.DataType.Type.DECIMAL: 9, exp.DataType.Type.BIGDECIMAL: 18}
    if node.this not in scales or node.expressions:
        return node
    return exp.DataType.build(f"DECIMAL(38, {scales[node.this]})", dialect="duckdb")


FIXES: dict[type[exp.Expr], Fix] = {
    exp.TimestampDiff: _timestamp_diff,
    exp.IntDiv: _int_div,
    exp.Div: _divide,
    exp.Anonymous: _ieee_divide,
    exp.StrToTime: _with_zone,
    exp.UnixToTime: _with_zone,
    exp.DateAdd: _as_date,
    exp.DateSub: _as_date,
    exp.DateTrunc: _date_trunc,
    exp.Extract: _extract,
    exp.IgnoreNulls: _ignore_nulls,
    exp.ArrayAgg: _array_agg,
    exp.Literal: _literal,
    exp.DataType: _data_type,
    exp.TsOrDsToTime: _time,
    exp.Tuple: _tuple,
}

ONLY_UNDER: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.Tuple: (exp.Select, exp.Alias, exp.Array, exp.Tuple),
}

KEPT_UNDER: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.Literal: (exp.DataTypeParam, exp.Cast),
    exp.ArrayAgg: (exp.IgnoreNulls,),
}
