"""Real media, made by the real ffmpeg, and the real probe process."""

from tests.films import ffmpeg, make_media, probe

__all__ = ["ffmpeg", "make_media", "probe"]
