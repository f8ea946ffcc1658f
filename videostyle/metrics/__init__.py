"""Metrics of stylized films: temporal stability, content and style, measured over iterators of frames."""
