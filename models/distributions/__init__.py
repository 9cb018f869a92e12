"""Laws, keyed noise, and draws from them."""
