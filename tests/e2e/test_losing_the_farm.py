"""kill -9 of the whole farm in the middle of the work: nothing is lost, nothing is done twice."""

from __future__ import annotations

import psutil

from .conftest import Commands, read_json, wait_for

JOBS = 200


def test_all_jobs_complete_once_after_the_farm_was_killed(commands: Commands) -> None:
    """P1, P2, P3, P6: 200 jobs, kill -9 in the middle, up again: 200 completed, each published once, no engine left."""
    farm = commands.up()
    options = ["--count", str(JOBS), "--scenario", "480p30-h264", "--duration", "0.2", "--delay", "0"]
    end = commands.run("launch", "--master", farm.url, *options, "--output", "results.json")
    assert 0 == end.returncode, end.stderr
    results = read_json(commands.folder / "results.json")
    assert JOBS == len({result["id"] for result in results})

    wait_for(lambda: farm.get("/jobs/summary")["by_status"].get("completed", 0), lambda n: n >= JOBS // 4)
    family = farm.family()
    farm.kill()
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert (len(family), []) == (len(gone), alive)

    again = commands.up()
    wait_for(lambda: again.get("/jobs/summary")["by_status"], lambda counts: counts == {"completed": JOBS}, 90)
    published = [
        sum(step["reason"] == "output published" for step in again.get(f"/jobs/{result['id']}/history")["history"])
        for result in results
    ]
    assert [1] * JOBS == published
    assert JOBS == len(list((commands.media / "outputs").iterdir()))
    assert [] == list((commands.media / ".reelmill" / "attempts").iterdir())
    assert 0 == again.stop()
