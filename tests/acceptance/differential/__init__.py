"""What the guard verified is what every framework behind it reads: the same request, through both, many times over."""
