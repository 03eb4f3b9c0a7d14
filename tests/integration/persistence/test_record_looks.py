"""What the follower of orders and trades knows about record and database."""

import pytest

from tests.bus_builders import run_started
from tests.deadline import wait_until
from tests.integration.persistence.test_order_follower import (
    Desk,
    desk,  # noqa: F401 - a fixture
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


def test_how_far_the_record_is_known_to_be_is_no_older_than_a_look(
    desk: Desk,  # noqa: F811
    postgres_server: PostgresServer,
) -> None:
    begun = desk.publish(run_started())
    desk.wait_recorded(begun)
    for seq in (begun + 10, begun + 20):
        postgres_server.record_upto(seq)
        wait_until(lambda: desk.follower.recorded_seq == seq, "the record is looked at")  # noqa: B023


def test_a_database_that_answers_and_writes_nothing_is_away(
    desk: Desk,  # noqa: F811
    postgres_server: PostgresServer,
) -> None:
    wait_until(lambda: desk.follower.away is None, "connected")
    desk.stop()
    with postgres_server.connection() as connection:
        database = postgres_server.database
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        desk.start()
        wait_until(lambda: "read-only" in (desk.follower.away or ""), "away is seen")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    wait_until(lambda: desk.follower.away is None, "it is back")
