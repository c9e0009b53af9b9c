"""What a master counts for Prometheus. Figures about jobs come from the store when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reelmill import __version__
from reelmill.domain.job import STATUSES
from reelmill.domain.node import NODE_STATUSES, Node
from reelmill.store.counts import CountKey
from reelmill.store.room import waiting_by_queue

disable_created_metrics()  # a second series for each counter, which nobody asked for


class Metrics:
    """Counters of one master process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.submitted = self._counter("jobs_submitted", "Jobs accepted by this master.")
        self.refused = self._counter("jobs_refused", "Jobs refused by this master because a queue or tenant was full.")
        self.claims = self._counter("claims", "Claims of workers that were answered with jobs.")
        self.grants = self._counter("grants", "Jobs given to workers.")
        self.reports = self._counter("reports", "Reports of workers that counted.")
        self.stale = self._counter("stale_reports", "Reports of workers that came too late and were dropped.")
        self.expired = self._counter("leases_expired", "Leases that ran out because a worker stopped answering.")
        self.pruned = self._counter("jobs_pruned", "Jobs forgotten by this master because they ended long ago.")

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"reelmill_{name}", help_text, registry=self.registry)

    def render(self, counts: Mapping[CountKey, int], nodes: Iterable[Node], max_queued: int | None) -> bytes:
        """All metrics as Prometheus text; ``max_queued`` is the limit of each queue, None for none."""
        snapshot = CollectorRegistry()
        snapshot.register(_FarmCollector(counts, list(nodes), max_queued))
        return generate_latest(self.registry) + generate_latest(snapshot)


class _FarmCollector(Collector):
    def __init__(self, counts: Mapping[CountKey, int], nodes: list[Node], max_queued: int | None) -> None:
        self._counts = counts
        self._nodes = nodes
        self._max_queued = math.inf if max_queued is None else max_queued

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("reelmill_up", "1 while the master answers.", value=1)
        build = GaugeMetricFamily("reelmill_build_info", "The version of this master.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        labels = ["status", "queue", "priority", "scenario"]
        jobs = GaugeMetricFamily("reelmill_jobs", "Jobs by status, queue, priority and scenario.", labels=labels)
        for key, n in self._counts.items():
            jobs.add_metric(list(key), n)
        yield jobs
        by_status: dict[str, int] = dict.fromkeys(STATUSES, 0)
        for key, n in self._counts.items():
            by_status[key.status] += n
        totals = GaugeMetricFamily("reelmill_jobs_by_status", "Jobs by status.", labels=["status"])
        for status, n in by_status.items():
            totals.add_metric([status], n)
        yield totals
        waiting = GaugeMetricFamily("reelmill_queue_waiting", "Jobs that wait in each queue.", labels=["queue"])
        limits = GaugeMetricFamily("reelmill_queue_limit", "How many may, before it takes no more.", labels=["queue"])
        for queue, n in waiting_by_queue(self._counts).items():
            waiting.add_metric([queue], n)
            limits.add_metric([queue], self._max_queued)
        yield waiting
        yield limits
        nodes = GaugeMetricFamily("reelmill_nodes", "Nodes by status.", labels=["status"])
        for status in NODE_STATUSES:
            nodes.add_metric([status], sum(node.status == status for node in self._nodes))
        yield nodes
