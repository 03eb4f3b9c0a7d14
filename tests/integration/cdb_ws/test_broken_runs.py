"""A record that lacks an event: the feed is red, restarted too, until another run begins."""

import pytest
from msgspec.structs import replace

from services.kernel.events import ConditionName, topics
from services.runtime.embedded.process import free_port
from services.runtime.service.http_query import get_json
from tests.bus_builders import condition
from tests.integration.cdb_ws.conftest import WsOnBus

pytestmark = pytest.mark.integration
UNSTORABLE = "event 7 is UNSTORABLE"


@pytest.mark.parametrize("source", ["external", "synthetic"])
def test_a_broken_record_turns_the_feed_red_until_another_run_begins(
    ws: WsOnBus, source: str
) -> None:
    port = free_port()

    def wait_health(status: int, reason: str) -> None:
        def fits(_: object) -> bool:
            answer = get_json(f"http://127.0.0.1:{port}/health")
            return answer.status == status and reason in answer.body.get("reason", "")

        ws.wait_for(fits)

    process = ws.start(CDB_SOURCE=source, HTTP_PORT=str(port))
    run = ws.begin_run(source, speed="1")
    wait_health(200, "")
    # When the writer says what the record lacks
    broken = condition(topics.DB_WRITER)
    broken = replace(broken, name=ConditionName.RECORD_BROKEN, detail=UNSTORABLE)
    ws.writer.publish([replace(broken, run_id=run.run_id)])
    # Then the feed is red, and says what to do, also after a restart
    advice = f'RECORD_BROKEN: {UNSTORABLE}; claire reset --reason "..." begins a new run'
    wait_health(503, advice)
    process.kill()
    process.wait(10)
    ws.start(CDB_SOURCE=source, HTTP_PORT=str(port))
    wait_health(503, advice)
    # And the next run is not broken
    ws.runner.publish([replace(run, run_id="next", event_id="next")])
    wait_health(200, "")
