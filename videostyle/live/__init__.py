"""Live rendering: from a camera to a window, a virtual camera, a file or a web page, frame by frame as they come."""
