"""The full picture of the database: ``backoffice/docs/DATABASE_SCHEMA.sql``, from the database.

``python -m services.persistence.schema_dump`` starts a private PostgreSQL, applies all migrations
and writes the file; a test fails when it is stale. It reads the catalog itself because what
``pg_dump`` prints changes with its version.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from services.runtime.database import migrations
from services.runtime.database.connections import Connection, connect_to_read
from services.runtime.embedded import EmbeddedPostgres

FILE = Path(__file__).parents[2] / "backoffice" / "docs" / "DATABASE_SCHEMA.sql"

_HEAD = """\
-- Generated from backoffice/migrations by `python -m services.persistence.schema_dump`.
-- Do not edit: a test fails when this file is not what the migrations make.
"""
_TABLES = """
    SELECT c.oid, c.relname, obj_description(c.oid), pg_get_partkeydef(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname
"""
_COLUMNS = """
    SELECT quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c')
    ORDER BY position(contype::text IN 'pufc'), conname
"""
_INDEXES = """
    SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %s
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    ORDER BY c.relname
"""
_TRIGGERS = """
    SELECT pg_get_triggerdef(oid) FROM pg_trigger
    WHERE tgrelid = %s AND NOT tgisinternal ORDER BY tgname
"""
_GRANTS = """
    SELECT string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), a.grantee::regrole::text
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = %s AND a.grantee <> c.relowner GROUP BY a.grantee ORDER BY 2
"""
_FUNCTIONS = """
    SELECT pg_get_functiondef(p.oid), p.oid::regprocedure::text,
           array(SELECT a.grantee::regrole::text FROM aclexplode(p.proacl) a
                 WHERE a.grantee <> p.proowner AND a.grantee <> 0 ORDER BY 1)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'public' ORDER BY p.proname
"""


def describe(connection: Connection) -> str:
    """The schema of a migrated database as SQL text."""
    parts = [_HEAD]
    for definition, signature, grantees in connection.execute(_FUNCTIONS).fetchall():
        text = "\n".join(line.rstrip() for line in definition.strip().splitlines())
        grants = [f"\nGRANT EXECUTE ON FUNCTION {signature} TO {role};" for role in grantees]
        parts.append(f"{text};{''.join(grants)}\n")
    tables = connection.execute(_TABLES).fetchall()
    parts += ["\n".join(_table(connection, *table)) + "\n" for table in tables]
    return "\n".join(parts)


def _table(
    connection: Connection, oid: int, name: str, comment: str | None, partitioned: str | None
) -> Iterator[str]:
    columns = connection.execute(_COLUMNS, (oid,)).fetchall()
    body = []
    for column, kind, required, default, _ in columns:
        rest = f"{' NOT NULL' if required else ''}{f' DEFAULT {default}' if default else ''}"
        body.append(f"    {column} {kind}{rest}")
    for constraint, definition in connection.execute(_CONSTRAINTS, (oid,)).fetchall():
        body.append(f"    CONSTRAINT {constraint} {definition}")
    yield f"CREATE TABLE {name} ("
    yield ",\n".join(body)
    yield f"){f' PARTITION BY {partitioned}' if partitioned else ''};"
    if comment:
        yield f"COMMENT ON TABLE {name} IS {_quoted(comment)};"
    for column, *_, said in columns:
        if said:
            yield f"COMMENT ON COLUMN {name}.{column} IS {_quoted(said)};"
    for query in (_INDEXES, _TRIGGERS):
        for (definition,) in connection.execute(query, (oid,)).fetchall():
            yield f"{definition};"
    for rights, role in connection.execute(_GRANTS, (oid,)).fetchall():
        yield f"GRANT {rights} ON {name} TO {role};"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> int:
    """Write the file; returns the exit code."""
    with tempfile.TemporaryDirectory() as home, EmbeddedPostgres(Path(home)) as server:
        migrations.migrate(server.address)
        with connect_to_read(server.address, application="schema-dump") as connection:
            FILE.parent.mkdir(parents=True, exist_ok=True)
            FILE.write_text(describe(connection), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
