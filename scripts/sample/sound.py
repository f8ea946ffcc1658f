"""The film's sound, synthesised: swell and wind, gulls, rigging against masts, a bell, a quiet chord."""

from __future__ import annotations

import numpy as np
from sample import motion

RATE = 48000


def _band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies in Hz, with soft shoulders; unit variance."""
    spectrum = np.fft.rfft(noise)
    f = np.fft.rfftfreq(noise.shape[-1], 1 / RATE)
    shape = 1 / (1 + (low / np.maximum(f, 1e-3)) ** 4) / (1 + (f / high) ** 4)
    out = np.fft.irfft(spectrum * shape, noise.shape[-1])
    return out / out.std()


def _at(track: np.ndarray, sound: np.ndarray, start: float, pan: float) -> None:
    """Add a mono sound to a stereo track; pan 0 is left, 1 is right."""
    first = int(start * RATE)
    part = sound[: max(0, track.shape[1] - first)]
    track[0, first : first + len(part)] += part * np.cos(pan * np.pi / 2)
    track[1, first : first + len(part)] += part * np.sin(pan * np.pi / 2)


def _struck(pitch: float, seconds: float, partials: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Struck metal: partials as (ratio, level), the high ones dying first."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = sum(
        level * np.sin(2 * np.pi * pitch * ratio * t) * np.exp(-t * (2.2 + 1.4 * ratio) / seconds * 1.6)
        for ratio, level in partials
    )
    return np.asarray(tone) * np.minimum(1, t / 0.002)


def _gull(pitch: float, calls: int) -> np.ndarray:
    """A few falling cries with overtones."""
    cries = []
    for i in range(calls):
        length = 0.34 - 0.035 * i
        t = np.arange(int(length * RATE)) / RATE
        s = t / length
        glide = (
            pitch
            * (0.82 + 0.5 * np.exp(-((s - 0.22) ** 2) / 0.035) - 0.22 * s)
            * (1 + 0.012 * np.sin(2 * np.pi * 31 * t))
        )
        phase = 2 * np.pi * np.cumsum(glide) / RATE
        voice = np.sin(phase) + 0.55 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase + 0.4)
        cries += [voice * np.sin(np.pi * s) ** 0.7 * (1 - 0.12 * i), np.zeros(int(0.09 * RATE))]
    cry = np.concatenate(cries)
    far = np.zeros(len(cry) + int(0.5 * RATE))
    for delay, level in ((0, 1.0), (0.11, 0.28), (0.19, 0.17), (0.33, 0.1)):  # the harbour answers
        first = int(delay * RATE)
        far[first : first + len(cry)] += level * cry
    return far


def soundtrack(seed: int = 5) -> np.ndarray:
    """All of it, (2, samples) float32 within -1..1."""
    rng = np.random.default_rng(seed)
    count = motion.FRAMES * RATE // motion.FPS
    t = np.arange(count) / RATE
    track = np.zeros((2, count))
    wind, surf, lap = rng.normal(size=(3, 2, count))
    cut = motion.CUT / motion.FPS
    second = motion.smoothstep(t, cut - 0.02, cut + 0.02)  # the quay is sheltered: less wind, more lapping
    track += (
        0.022 * _band(wind, 120, 700) * (1 + 0.35 * np.sin(0.9 * t + 1) + 0.2 * np.sin(2.1 * t)) * (1 - 0.5 * second)
    )
    swell = 0.35 + 0.65 * np.sin(np.pi * ((t + 0.6) % 2.9) / 2.9) ** 3
    track += 0.034 * _band(surf, 200, 2600) * swell * (1 - 0.6 * second)
    ripple = np.clip(np.sin(2 * np.pi * 0.83 * t) + 0.8 * np.sin(2 * np.pi * 1.31 * t + 1) - 0.3, 0, None)
    track += 0.03 * _band(lap, 350, 1500) * ripple * (0.4 + 0.8 * second)
    light = motion.smoothstep(t, 38 / motion.FPS, 70 / motion.FPS)  # the chord opens as the sun comes out
    for i, pitch in enumerate((146.83, 220.0, 293.66, 369.99, 440.0, 554.37)):
        level = 0.017 / (1 + 0.3 * i) * (1 if i < 3 else light)
        for side, detune in ((0, -0.35), (1, 0.35)):
            track[side] += level * np.sin(2 * np.pi * (pitch + detune) * t + i) * (1 + 0.15 * np.sin(0.7 * t + i))
    for start, pitch, calls, pan, level in (
        (1.1, 1050, 3, 0.7, 0.035),
        (3.2, 1240, 2, 0.25, 0.02),
        (5.4, 980, 3, 0.3, 0.026),
        (7.0, 1180, 2, 0.8, 0.02),
    ):
        _at(track, level * _gull(pitch, calls), start, pan)
    metal = ((1.0, 1.0), (2.76, 0.5), (5.4, 0.25))
    for start, pan in (
        (0.5, 0.2),
        (0.86, 0.24),
        (2.3, 0.15),
        (2.62, 0.3),
        (4.9, 0.6),
        (5.2, 0.4),
        (6.4, 0.7),
        (6.75, 0.65),
    ):
        _at(track, 0.014 * _struck(rng.uniform(1700, 2300), 0.5, metal), start, pan)
    for start in (4.7, 6.2):
        _at(
            track,
            0.05 * _struck(523.25, 2.6, ((0.5, 0.5), (1.0, 1.0), (1.19, 0.35), (2.0, 0.5), (2.74, 0.2))),
            start,
            0.6,
        )
    track *= motion.smoothstep(t, 0, 0.25) * (1 - motion.smoothstep(t, t[-1] - 0.5, t[-1]))
    return (track * 0.6 / np.abs(track).max()).astype(np.float32)
