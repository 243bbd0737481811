"""Tries."""
import time
from pipeline import World
pytest_plugins = "pipeline_fixtures"

def test_one(world: World) -> None:
    t = time.monotonic()
    one = world.submit()
    world.drive()
    print("in process", time.monotonic() - t, world.story())
    for r in __import__("kit").row(one).events: print(r.at, r.from_stage, r.to_stage, r.reason)
    t = time.monotonic(); world.open_site(); print("site", time.monotonic() - t)
    t = time.monotonic()
    with world.pool() as pool:
        world.submit()
        world.wait_for_ends()
        print("pool", time.monotonic() - t, world.story())
        t = time.monotonic()
        world.submit()
        world.wait_for_ends()
        print("pool again", time.monotonic() - t, world.story())
        print(pool.workers())
        t = time.monotonic()
    print("end", time.monotonic() - t)
    world.assert_paid_once()
    print(pool.said()[-3000:])
