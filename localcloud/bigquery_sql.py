"""BigQuery's SQL to DuckDB's: parsing, names, parameters, and errors in BigQuery's words."""
# ruff: noqa: S608 (names and texts are quoted)

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import TokenType

from localcloud.bigquery_fixes import fix
from localcloud.errors import ApiError

SERVED = (
    *(exp.Query, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable),
    *(exp.Create, exp.Drop, exp.Alter, exp.Export),
)
SUFFIX = "_TABLE_SUFFIX"
RESERVED = {word.upper() for word in BigQuery.Generator.RESERVED_KEYWORDS}

Resolve = Callable[[exp.Table], exp.Expr]


def invalid(message: str, reason: str = "invalidQuery") -> ApiError:
    """A query's refusal."""
    return ApiError("INVALID_ARGUMENT", message, reason=reason)


def parse(sql: str) -> list[exp.Expr]:
    """The statements of a query. Raises invalidQuery."""
    try:
        named = _named(sql)
        found = [one for one in sqlglot.parse(named, read="bigquery") if one is not None]
    except ParseError as error:
        detail = error.errors[0]
        word = str(detail["highlight"])
        raise invalid(f"Syntax error: Unexpected {_kind(word)} at {_place(detail)}") from None
    except TokenError as error:
        raise invalid(f"Syntax error: {error}") from None
    if not found:
        raise invalid("Syntax error: Unexpected end of statement at [1:1]")
    for one in found:
        _served(one, sql)
        _refuse_reserved(one, named)
    return found


def _named(sql: str) -> str:
    """Positional parameters as named ones, so that their order survives the tree."""
    tokens = sqlglot.tokenize(sql, read="bigquery")
    marks = [token.start for token in tokens if token.token_type == TokenType.PLACEHOLDER]
    for number, start in reversed(list(enumerate(marks))):
        sql = f"{sql[:start]}@positional_{number}{sql[start + 1 :]}"
    return sql


def _kind(word: str) -> str:
    if not word:
        return "end of script"
    if word.upper() in RESERVED:
        return f"keyword {word.upper()}"
    return f'identifier "{word}"' if re.fullmatch(r"\w+", word) else f'"{word}"'


def _place(detail: Mapping[str, Any]) -> str:
    """A parse error's place: sqlglot has the token's last column, BigQuery its first."""
    return f"[{detail['line']}:{max(int(detail['col']) - len(str(detail['highlight'])) + 1, 1)}]"


def _refuse_reserved(statement: exp.Expr, sql: str) -> None:
    """A reserved word is a name in backticks or behind a dot alone; sqlglot takes more than BigQuery."""
    for name in statement.find_all(exp.Identifier):
        start = name.meta.get("start")
        if name.quoted or name.name.upper() not in RESERVED or start is None:
            continue
        if not sql[:start].rstrip().endswith("."):
            raise invalid(f"Syntax error: Unexpected {_kind(name.name)} at {_at(sql, start)}")


def _served(statement: exp.Expr, sql: str) -> None:
    if isinstance(statement, exp.Create) and statement.find(exp.TemporaryProperty):
        raise invalid(f"the local BigQuery does not serve CREATE TEMP {statement.kind}")
    if isinstance(statement, SERVED):
        return
    words = sql.split()
    if isinstance(statement, exp.Transaction | exp.Commit | exp.Rollback):
        raise invalid("the local BigQuery does not serve transactions of several statements")
    if isinstance(statement, exp.Command | exp.Declare | exp.LoadData | exp.Set):
        raise invalid(f"the local BigQuery does not serve {words[0].upper()} statements")
    raise invalid(f"Syntax error: Unexpected {_kind(words[0])} at {position(sql, words[0])}")


def position(sql: str, name: str) -> str:
    """Where a name first stands in a query: [line:column]."""
    return _at(sql, _first(sql, name)[0])


def _at(sql: str, start: int) -> str:
    """An offset as [line:column]."""
    return f"[{sql.count(chr(10), 0, start) + 1}:{start - sql.rfind(chr(10), 0, start)}]"


def _first(sql: str, name: str) -> tuple[int, str]:
    """Where a name first stands, and its spelling there."""
    tokens = sqlglot.tokenize(sql, read="bigquery")
    found = ((token.start, token.text) for token in tokens if token.text.lower() == name.lower())
    return next(found, (0, name))


def statement_type(statement: exp.Expr) -> str:
    """A statement's kind in the words of a job's statistics."""
    if isinstance(statement, exp.Query):
        return "SELECT"
    if isinstance(statement, exp.Create | exp.Drop | exp.Alter):
        kind = statement.args.get("kind") or "TABLE"
        selects = kind == "TABLE" and statement.args.get("expression")
        return f"{statement.key.upper()}_{kind}{'_AS_SELECT' if selects else ''}"
    others = {"export": "EXPORT_DATA", "truncatetable": "TRUNCATE_TABLE"}
    return others.get(statement.key, statement.key.upper())


def translate(statement: exp.Expr, resolve: Resolve, parameters: Mapping[str, str]) -> str:
    """One statement for DuckDB. `resolve` gives each table's place; `parameters` are expressions."""
    tree = statement.copy()
    _strip(tree)
    for table in list(_tables(tree)):
        table.replace(resolve(table))
    if isinstance(tree, exp.Query):
        _name_columns(tree)
    tree = fix(_fill(tree, parameters))
    generator = DuckDB().generator(unsupported_level=ErrorLevel.IGNORE)
    sql = generator.generate(tree)
    # A session is always in UTC here, so that times have one meaning.
    wrong = [words for words in generator.unsupported_messages if "timezone" not in words]
    if wrong:
        raise invalid(f"the local BigQuery cannot run this query: {'; '.join(wrong)}")
    return str(sql)


def _strip(tree: exp.Expr) -> None:
    """Partitions, clusters and options change nothing in a result."""
    if isinstance(tree, exp.Create):
        tree.set("properties", None)
        for constraint in list(tree.find_all(exp.ColumnConstraint)):
            if not isinstance(constraint.args.get("kind"), exp.NotNullColumnConstraint):
                constraint.pop()


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    common = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        local = not table.args.get("db") and table.name.lower() in common
        if not local and isinstance(table.this, exp.Identifier):
            yield table


def _name_columns(tree: exp.Query) -> None:
    """Columns without a name are f0_, f1_, …; a name may stand only once."""
    query: exp.Expr = tree
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return
    number, names = 0, set[str]()
    for one in list(query.expressions):
        if not isinstance(one, exp.Alias | exp.Column | exp.Star | exp.Dot):
            one.replace(exp.alias_(one.copy(), f"f{number}_"))
            number += 1
        elif one.alias_or_name.lower() in names - {"*"}:
            words = "Duplicate column names in the result are not supported."
            raise invalid(f"{words} Found duplicate(s): {one.alias_or_name}")
        names.add(one.alias_or_name.lower())


def _fill(tree: exp.Expr, parameters: Mapping[str, str]) -> exp.Expr:
    def value(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Parameter):
            return node
        if node.name not in parameters:
            raise invalid(f"Query parameter '{node.name}' not found")
        return exp.Var(this=f"({parameters[node.name]})")

    return tree.transform(value)


def expression(node: exp.Expr, parameters: Mapping[str, str]) -> str:
    """A constant expression for DuckDB."""
    holder = exp.Paren(this=node.copy())
    return fix(_fill(holder, parameters)).sql("duckdb")


def union(tables: list[tuple[str, str]], alias: str) -> exp.Expr:
    """A wildcard table: what its tables hold, each row with its table's suffix."""
    parts = (f"SELECT *, '{suffix}' AS {SUFFIX} FROM {name}" for name, suffix in tables)
    return subquery(" UNION ALL BY NAME ".join(parts), alias or "_wildcard")


def subquery(sql: str, alias: str) -> exp.Expr:
    """What stands for a table: a query of DuckDB's."""
    query = sqlglot.parse_one(sql, read="duckdb")
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias)))


def hide_suffix(select: exp.Expr | None) -> None:
    """`*` over a wildcard table leaves out its pseudo column."""
    stars = [one for one in getattr(select, "expressions", []) if isinstance(one, exp.Star)]
    for star in stars:
        star.set("except_", [*(star.args.get("except_") or []), exp.column(SUFFIX)])


# What DuckDB says → what BigQuery says; {0} is the first group, {at} its place in the query
ERRORS = (
    (r'(?:Referenced column|column named) "([^"]+)"', "Unrecognized name: {0} at {at}"),
    (r'Referenced table "([^"]+)"', "Unrecognized name: {0} at {at}"),
    (r"Function with name (\S+) does not exist", "Function not found: {0} at {at}"),
    (r"Could not convert string '([^']*)' to INT64", "Bad int64 value: {0}"),
    (r"Could not convert string '([^']*)' to DOUBLE", "Bad double value: {0}"),
    (r"[Dd]ivision by zero in expression \((.*?)\)", "division by zero: {0}"),
    (r"(division by zero: .*)", "{0}"),
    (r"SELECT clause without", "Syntax error: SELECT list must not be empty"),
    (r"Parser Error: (.*)", "Syntax error: {0}"),
    (r'column "([^"]+)" must appear in the GROUP BY',
     "SELECT list expression references column {0} which is neither grouped nor aggregated at {at}"),
)  # fmt: skip


def explain(error: duckdb.Error, sql: str) -> ApiError:
    """DuckDB's error in BigQuery's words."""
    message = str(error)
    for pattern, words in ERRORS:
        found = re.search(pattern, message)
        if found:
            name = found[1] if found.groups() else ""
            return invalid(words.format(_first(sql, name)[1], at=position(sql, name)))
    return invalid(message.splitlines()[0])
