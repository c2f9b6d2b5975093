"""Recording: what gateways told, matched to messages, counted once, and acted upon."""
