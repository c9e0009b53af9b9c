"""What is in deploy/, each file judged by its own tool."""
