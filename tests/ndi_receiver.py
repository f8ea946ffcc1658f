"""Another program on the network: it finds an NDI source by name, and keeps the first picture that it receives."""

import sys
import time

import numpy as np
from cyndilib import Finder, Receiver, VideoRecvFrame
from cyndilib.receiver import ReceiveFrameType
from cyndilib.wrapper.ndi_recv import RecvBandwidth, RecvColorFormat

name, target = sys.argv[1:]
finder, until = Finder(), time.monotonic() + 60
finder.open()
while not (found := [one for one in finder.get_source_names() if one.endswith(f"({name})")]):
    assert time.monotonic() < until, finder.get_source_names()
    finder.wait_for_sources(1)
receiver = Receiver(color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest)
frame = VideoRecvFrame()
receiver.set_video_frame(frame)
receiver.set_source(finder.get_source(found[0]))
while not receiver.receive(ReceiveFrameType.recv_video, 500) & ReceiveFrameType.recv_video:
    assert time.monotonic() < until, "no frame"
width, height = frame.get_resolution()
pixels = np.zeros(frame.get_buffer_size(), np.uint8)
frame.fill_p_data(pixels)
rows = pixels.reshape(height, frame.get_line_stride())
np.save(target, rows[:, : 4 * width].reshape(height, width, 4)[..., :3])
print(frame.get_frame_rate())
