"""reelmill: launch thousands of video transcodes and lose none of them."""

__version__ = "0.1.0"
