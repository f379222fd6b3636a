"""How good an encoder or an index is, in the numbers that papers print."""
