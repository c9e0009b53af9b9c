"""Engines: programs that encode. Each is a small class that turns a plan into a command and explains its failures."""
