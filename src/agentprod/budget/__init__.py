"""Money, tokens and time windows: prices, counts, totals, budgets."""
