"""The bus: words between masters and workers. It carries no truth; whatever it loses, only speed suffers."""
