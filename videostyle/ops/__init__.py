"""Operations: pure functions on pictures and flows."""
