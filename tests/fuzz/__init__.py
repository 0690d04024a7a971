"""Whatever comes in, from providers, visitors and databases: what must hold, and who tries it."""
