"""How steady, how faithful, how painterly: scores over iterators of frames."""
