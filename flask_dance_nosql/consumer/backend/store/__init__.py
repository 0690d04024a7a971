"""What an adapter of a database fulfils, and what every adapter needs."""
