"""The command line that does what a plan says."""

from __future__ import annotations

import shlex
from decimal import Decimal
from fractions import Fraction

from videostyle.plan import Blend, EncodeOptions, FlowOptions, RenderPlan, Span, StabilizeOptions, Style, Timeline


def command(plan: RenderPlan) -> str:
    """`videostyle stylize ...` for a POSIX shell; what is as by default is left out.

    The command line cannot say `queue_depth`, how large RAFT's pictures are, a region in several styles, nor keys of a
    timeline at thirds of a second.
    """
    return shlex.join(["videostyle", "stylize", *arguments(plan)])


def arguments(plan: RenderPlan) -> list[str]:
    """What follows `videostyle stylize`."""
    style, flow, steady, encode, span = plan.style, plan.flow, plan.stabilize, plan.encode, plan.span
    words = [plan.source, "-o", plan.output]
    for key in style.blends.keys:
        words += _pairs("--style", _weighted(key.value), _moment(style.blend, key.start, key.hold))
    if style.strength != Style.strength:
        for line in style.strengths.keys:
            words += _pairs("--strength", [repr(line.value)], _moment(style.strength, line.start, line.hold))
    options: list[tuple[str, object, object]] = [
        ("--brush", style.brush, Style.brush),
        ("--network", style.network, Style.network),
        ("--mask", style.mask, Style.mask),
        *(("--region", f"{region.blend[0][0]}={region.mask}", None) for region in style.regions),
        ("--mask-feather", style.feather, Style.feather),
        ("--size", plan.size, RenderPlan.size),
        ("--start", _seconds(span.start), _seconds(Span.start)),
        ("--end", None if span.end is None else _seconds(span.end), Span.end),
        ("--flow", flow.method, FlowOptions.method),
        ("--flow-weights", flow.weights, FlowOptions.weights),
        ("--statistics", style.statistics, Style.statistics),
        ("--seed", style.seed, Style.seed),
        ("--stabilize", steady.amount, StabilizeOptions.amount),
        ("--stabilize-mode", steady.mode, StabilizeOptions.mode),
        ("--engine", plan.engine, RenderPlan.engine),
        ("--device", plan.device, RenderPlan.device),
        ("--codec", encode.codec, EncodeOptions.codec),
        ("--crf", encode.crf, EncodeOptions.crf),
        ("--preset", encode.preset, EncodeOptions.preset),
        ("--pix-fmt", encode.pix_fmt, EncodeOptions.pix_fmt),
    ]
    for name, value, default in options:
        if value != default:
            words += [name, str(value)]
    flags = {
        "--keep-colors": style.keep_colors,
        "--download": flow.allow_download,
        "--overwrite": encode.overwrite,
    }
    return words + [name for name, is_set in flags.items() if is_set]


def _pairs(name: str, values: list[str], moment: str) -> list[str]:
    return [word for value in values for word in (name, value + moment)]


def _weighted(blend: Blend) -> list[str]:
    # One style alone weighs 1 unsaid, unless its name could be read as having a weight.
    if len(blend) == 1 and blend[0][1] == 1 and ":" not in blend[0][0]:
        return [blend[0][0]]
    return [f"{name}:{weight!r}" for name, weight in blend]


def _moment(value: object, start: Fraction, hold: Fraction) -> str:
    if not isinstance(value, Timeline):
        return ""
    return f"@{_seconds(start)}" + (f"-{_seconds(start + hold)}" if hold else "")


def _seconds(time: Fraction) -> str:
    """12.5 where decimals tell it exactly, 1/24 where they do not."""
    decimal = Decimal(time.numerator) / Decimal(time.denominator)
    return f"{decimal:f}" if Fraction(decimal) == time else str(time)
