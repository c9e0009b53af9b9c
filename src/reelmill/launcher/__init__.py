"""The launcher: plans a set of jobs, submits it without losing or doubling one, and watches it to its end."""
