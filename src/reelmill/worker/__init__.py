"""The worker: runs engines on one machine, under leases. Knows nothing of the store or the master's code."""
