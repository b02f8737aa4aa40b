"""Maps: vectors to a few coordinates, kept in the store, drawn and exported."""
