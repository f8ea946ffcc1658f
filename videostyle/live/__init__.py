"""Live: from a camera to a window, a virtual camera, a file or a web page, painted as it comes."""
