"""From sources into the store: what is asked, what is planned, who decodes and encodes, and the one who commits."""
