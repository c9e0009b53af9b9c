"""The live page at /."""
