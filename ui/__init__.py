"""What a person sees: the page, its tabs and components, and the service behind them."""
