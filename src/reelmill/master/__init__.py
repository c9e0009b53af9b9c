"""The master: the HTTP API, the scheduler, the settler, the reaper and the live page."""
