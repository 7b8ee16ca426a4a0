"""Take the words off a picture: which pixels are letters, and what stood behind them."""
