"""How a token stays fresh and is never lost: login, refresh and revocation of a slot in turns."""
