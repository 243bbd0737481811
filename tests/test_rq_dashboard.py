"""RQ's dashboard behind the desk's login: its pages work with our jobs, its faults are cured, nothing gets past the login."""
import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from api_kit import Api, on_sqlite
from desk_kit import LOGIN, SETTINGS

pytest_plugins = "api_fixtures"
pytestmark = on_sqlite

ROOT = "/admin/rq/"
SAME_SITE = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
CHANGES = ["job/x/delete", "job/x/requeue", "requeue/renders", "queue/renders/queued/empty", "queue/renders/compact"]


@pytest.fixture
def api(make_api: Callable[..., Api], shared_database: str) -> Api:
    return make_api(**SETTINGS)


@pytest.fixture
def queue(api: Api) -> Queue:
    found: Queue = api.parts.queues.queue("renders")
    return found


def get(api: Api, path: str, **headers: str) -> Any:
    return api.client.get(f"{ROOT}{path}", headers={**LOGIN, **headers})


def post(api: Api, path: str, **headers: str) -> Any:
    return api.client.post(f"{ROOT}{path}", headers={**LOGIN, **headers})


def chain(queue: Queue) -> tuple[Job, Job]:
    """A job, and one that waits for it."""
    first = queue.enqueue("builtins.len", "abc", job_id="create_video-song1-aa", description="create_video")
    second = queue.enqueue("builtins.len", "de", depends_on=first, job_id="create_video-song2-bb", description="create_video")
    return first, second


def work(queue: Queue) -> None:
    worker = SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="ERROR")


# ---- the login

def test_every_address_needs_the_login(api: Api) -> None:
    rules = [rule for rule in api.app.url_map.iter_rules() if rule.endpoint.startswith("rq_dashboard.")]
    assert len(rules) > 10
    adapter = api.app.url_map.bind("localhost")
    for number, rule in enumerate(rules):
        values = {name: 0 if name in ("instance_number", "per_page", "page") else "x" for name in rule.arguments}
        path = adapter.build(rule.endpoint, values)
        for method in (rule.methods or set()) - {"OPTIONS"}:  # five tries a minute from each address
            answer = api.client.open(path, method=method, environ_base={"REMOTE_ADDR": f"198.51.100.{number}"})
            assert answer.status_code == 401, (method, path)


def test_without_a_password_there_is_no_dashboard(make_api: Callable[..., Api], shared_database: str) -> None:
    assert make_api().client.get(ROOT).status_code == 404


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("headers", [
    {}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.localhost"},
])
def test_a_change_must_come_from_here(api: Api, path: str, headers: dict[str, str]) -> None:
    assert post(api, path, **headers).status_code == 403


def test_a_link_changes_nothing(api: Api, queue: Queue) -> None:
    job = queue.enqueue("builtins.int", "no number", job_id="broken")
    work(queue)
    assert get(api, "requeue/renders").status_code == 405
    assert job.get_status() == "failed"
    assert post(api, "requeue/renders", **SAME_SITE).get_json() == {"status": "OK", "count": 1}
    assert job.get_status() == "queued"


# ---- the pages

def test_the_pages_open_and_lead_back_to_the_desk(api: Api, queue: Queue) -> None:
    chain(queue)
    for path in ("", "0/view/queues", "0/view/workers", "0/view/jobs", "0/view/jobs/renders/queued/8/asc/1"):
        answer = api.client.get(f"{ROOT}{path}", headers=LOGIN, follow_redirects=True)
        assert answer.status_code == 200, path
        assert 'href="/admin">Back to the desk' in answer.text
        assert api.settings.redis_url not in answer.text
    assert api.client.get("/admin/rq", headers=LOGIN).status_code == 308


def test_both_jobs_of_a_chain_have_their_page(api: Api, queue: Queue) -> None:
    first, second = chain(queue)
    for job in (first, second):
        assert get(api, f"0/view/job/{job.id}").status_code == 200
    told = get(api, f"0/data/job/{second.id}.json").get_json()
    assert told["depends_on"] == [first.id] and told["depends_on_status"] == ["active"]
    assert told["status"] == "deferred" and told["origin"] == "renders"
    first.delete(delete_dependents=False)
    assert get(api, f"0/data/job/{second.id}.json").get_json()["depends_on_status"] == ["expired"]


def test_results_and_errors_of_json_jobs_are_shown(api: Api, queue: Queue) -> None:
    first, second = chain(queue)
    broken = queue.enqueue("builtins.int", "no number", job_id="broken", meta={"interval": 5})
    work(queue)
    assert get(api, f"0/data/job/{first.id}.json").get_json()["result"] == 3
    assert get(api, f"0/data/job/{second.id}.json").get_json()["result"] == 2
    told = get(api, f"0/data/job/{broken.id}.json").get_json()
    assert "invalid literal" in told["exc_info"] and told["metadata"] == '{"interval": 5}'
    listed = get(api, "0/data/jobs/renders/failed/8/asc/1.json").get_json()
    assert [job["id"] for job in listed["jobs"]] == ["broken"]


def test_a_busy_worker_is_shown_with_its_job(api: Api, queue: Queue) -> None:
    first, _ = chain(queue)
    worker = SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer, name="renders-worker")
    worker.register_birth()
    worker.set_current_job_id(first.id)
    workers = get(api, "0/data/workers.json").get_json()["workers"]
    worker.register_death()
    assert [(one["name"], one["current_job"]["job_id"]) for one in workers] == [("renders-worker", first.id)]
    assert get(api, "0/data/queues.json").get_json()["queues"][0]["deferred_job_registry_count"] == 1


def test_the_buttons_work(api: Api, queue: Queue) -> None:
    broken = queue.enqueue("builtins.int", "no number", job_id="broken", meta={"interval": 5})
    work(queue)
    assert post(api, f"job/{broken.id}/requeue", **SAME_SITE).get_json() == {"status": "OK"}
    assert queue.get_job_ids() == ["broken"]
    assert post(api, f"job/{broken.id}/requeue", **SAME_SITE).status_code == 409
    assert post(api, f"job/{broken.id}/delete", **SAME_SITE).get_json() == {"status": "OK"}
    queue.enqueue("builtins.len", "abc")
    assert post(api, "queue/renders/queued/empty", **SAME_SITE).get_json() == {"status": "OK"}
    assert queue.count == 0


@pytest.mark.parametrize("path", [
    "0/view/job/none", "0/data/job/none.json", "1/view/queues", "99/data/queues.json",
    "0/view/jobs/x');alert(1);('/queued/8/asc/1", "0/view/jobs/nobody/queued/8/asc/1",
    "0/data/jobs/renders/nonsense/8/asc/1.json", "0/data/jobs/renders/queued/x/asc/1.json",
])
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    assert get(api, path).status_code == 404


def test_without_redis_it_says_so(make_api: Callable[..., Api], shared_database: str) -> None:
    api = make_api(**SETTINGS, redis_url="redis://127.0.0.1:9/0")
    answer = get(api, "0/data/queues.json")
    assert answer.status_code == 503 and "Redis does not answer" in answer.text


# ---- what its pages may do

def test_only_its_own_script_runs(api: Api, queue: Queue) -> None:
    first, _ = chain(queue)
    answer = get(api, f"0/view/job/{first.id}")
    policy = answer.headers["Content-Security-Policy"]
    script = re.search(r'<script type="text/javascript">(.*?)</script>', answer.text, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'self' 'unsafe-eval' 'sha256-{digest}'; " in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in api.client.get("/admin", headers=LOGIN).headers["Content-Security-Policy"]


def test_files_of_the_dashboard_come_from_here(api: Api) -> None:
    for path in set(re.findall(r'(?:src|href)="(/admin/rq/static/[^"]+)"', get(api, "").text)):
        with api.client.get(path, headers=LOGIN) as answer:
            assert answer.status_code == 200, path
