"""Keyframe stylization of a film: keyframes are chosen, painted, and propagated through each shot.

Intermediate results are kept in a folder beside the output, so that an interrupted run is resumed, and a changed
setting repeats only the stages that depend on it: choosing keyframes, painting them, tuning the network to them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from videostyle import __version__, interrupt
from videostyle.engines import choose_device, choose_engine
from videostyle.errors import SourceError, UsageError, VideostyleError
from videostyle.files import fit_name, make_folder, read_regular_file, sink_error
from videostyle.io import open_sink, open_source
from videostyle.io.images import draw_label, read_picture, write_picture
from videostyle.ops.filters import mix, shrink
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.ops.warp import warp
from videostyle.optimize.finetune import nearest_style, tune
from videostyle.optimize.keyframe_selection import choose_keys
from videostyle.optimize.motion import at_size
from videostyle.optimize.objective import Anchor
from videostyle.optimize.plan import KeyframePlan
from videostyle.optimize.propagate import KeyframePropagator, PaintedKey
from videostyle.optimize.stills import Gatys, check_paintings, read_painting
from videostyle.partial_files import PARTIAL, atomic_write, lock_folder, reserve_output
from videostyle.pipeline import fit, render
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.report import RenderReport
from videostyle.stages import run_stage
from videostyle.stylizers import load_stylizer
from videostyle.types import Flow, Frame

# Weight of the distance to the previous keyframes, warped onto this one, beside a style distance of about 0.1.
NEARNESS = 40.0
# Share of the steps for a keyframe that the previous one covers, which is nearly done: they begin at half size.
FOLLOWING_STEPS = 0.5
# Least share of new content in a keyframe for which the style loss is applied to it separately.
FRESH = 0.01

_LIST = "keys.json"


class _Chosen(BaseModel):
    """A keyframe in the folder of a stage."""

    number: Annotated[int, Field(ge=0)]
    time: Annotated[float, Field(allow_inf_nan=False)]
    is_cut: bool
    file: Annotated[str, Field(pattern=r"^key-\d{6,}\.png$")]


class _Listed(BaseModel):
    """List of the keyframes in the folder of a stage; it has more, for people."""

    keys: Annotated[list[_Chosen], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class KeyframeReport:
    """Report on a film stylized by its keyframes."""

    render: RenderReport
    keys: list[float]
    """Times of the keyframes, in seconds."""
    folder: str
    """Folder of the keyframes and the other intermediate results."""
    warnings: list[str]


def export_keyframes(
    plan: RenderPlan, folder: Path, every: int | None = None, on_progress: OnProgress = ignore
) -> list[Path]:
    """Write the keyframes of a film as pictures to paint over, with a contact sheet; return the paths of the pictures.

    Raises SourceError, SinkError, and UsageError if the folder is not empty.
    """
    try:
        make_folder(folder)
        # The list is written last, and its name is locked before the look into the folder: two runs cannot fill one.
        with reserve_output(folder / _LIST, overwrite=True) as write_list:
            if any(one.suffix != PARTIAL for one in folder.iterdir()):
                raise UsageError(f"{folder}: is not empty; name a new folder, so that nothing painted is lost")
            write_list(_choose(plan, folder, every, (), on_progress))
    except OSError as error:
        if isinstance(error, VideostyleError):
            raise
        raise sink_error(error.filename or folder, error) from error
    return [folder / one.file for one in _read_list(folder)]


def paint_keyframes(plan: KeyframePlan, on_progress: OnProgress = ignore) -> KeyframeReport:
    """Stylize a film by its keyframes: `videostyle keyframes`, in Python.

    Raises SourceError, SinkError, UsageError, WeightsError; intermediate results are kept, and used by the next run.
    """
    check_paintings(plan.style_images)
    for one in plan.style_images:
        read_painting(one)  # one that cannot be read is reported now, not after the keyframes are chosen
    film = plan.film
    output = Path(film.output)
    work = output.with_name(fit_name(output.stem, ".keyframes", output.parent))
    if plan.keys is not None and plan.keys.resolve().is_relative_to(work.resolve()):
        reason = f"is the folder in which the keyframes of {output} are made"
        raise UsageError(f"{plan.keys}: {reason}; copy them to another folder")
    device = choose_device(film.device, "torch")
    with open_source(film.source) as video:
        width, height = fit(film.size, video.info.width, video.info.height)
        # An output that cannot be written is reported now, not after hours of work.
        sources = [*film.files, *(str(one.image) for one in plan.style_images)]
        open_sink(film.output, video.info, film.encode, film.span, size=(width, height), sources=sources)
    with lock_folder(work, "another run of keyframes"):
        return _paint_keyframes(plan, work, (height, width), device, on_progress)


def _paint_keyframes(
    plan: KeyframePlan,
    work: Path,
    size: tuple[int, int],
    device: str,
    on_progress: OnProgress,
) -> KeyframeReport:
    """Stylize a film at `size` (H, W), with intermediate results in the folder `work`."""
    film = plan.film
    warnings: list[str] = []
    try:
        given = [one.number for one in _read_list(plan.keys)] if plan.keys is not None else []
        choice = _choice(film, plan.every, given)

        def choose(to: Path) -> None:
            atomic_write(to / _LIST, _choose(film, to, plan.every, given, on_progress))

        chosen = run_stage(work / "chosen", choice, choose)
        if plan.keys is not None:
            painted, warnings = plan.keys, _check_by_hand(plan.keys, work / "chosen", size)
            paintings = {"by hand": {one.file: _digest(plan.keys / one.file) for one in _read_list(plan.keys)}}
        else:
            painted = work / "painted"
            paintings = {**choice, "paintings": _gatys_settings(plan)}
            run_stage(
                painted, paintings, lambda folder: warnings.extend(_paint(plan, chosen, folder, device, on_progress))
            )
        listed = _read_list(chosen)
        pictures = [to_float(read_picture(str(painted / one.file))[:3]) for one in listed]
        pairs = [
            (to_float(read_picture(str(chosen / one.file))), picture)
            for one, picture in zip(listed, pictures, strict=True)
        ]
        options = plan.options
        style = nearest_style(pairs, film.style.network, options.loss_network, options.loss_network_weights)
        if plan.propagate != "warp":

            def tuned_into(folder: Path) -> None:
                file = folder / "tuned.safetensors"
                tune(
                    pairs,
                    style,
                    film.style.network,
                    file,
                    plan.tune_steps,
                    options.loss_network,
                    options.loss_network_weights,
                    device,
                    on_progress,
                )

            settings = {**paintings, "tune": plan.tune_steps, "style": style, "loss_network": options.loss_network}
            style = str(run_stage(work / "tuned", settings, tuned_into) / "tuned.safetensors")

        def propagating(progress: Progress) -> None:
            on_progress(replace(progress, stage="propagating"))

        blend = replace(film.style, blend=((style, 1.0),), strength=1.0, regions=())
        if plan.propagate == "learned":
            report = render(replace(film, style=blend), on_progress=propagating)
        else:
            fill = load_stylizer(blend, choose_engine(film.engine, device), device)
            keys = [PaintedKey(one.number, one.is_cut, picture) for one, picture in zip(listed, pictures, strict=True)]
            with KeyframePropagator(film.source, film.span, size, keys, fill) as propagator:
                report = render(replace(film, style=blend), stylizer=propagator, on_progress=propagating)
    except OSError as error:
        if isinstance(error, VideostyleError):
            raise
        raise sink_error(error.filename or work, error) from error
    except KeyboardInterrupt as error:
        error.add_note(f"keyframes painted so far are kept in {work}; the same command goes on from there")
        raise
    return KeyframeReport(report, [one.time for one in listed], str(work), [*warnings, *report.warnings])


def _read_list(folder: Path) -> list[_Chosen]:
    try:
        return _Listed.model_validate_json(read_regular_file(folder / _LIST)).keys
    except OSError as error:
        raise SourceError(f"{folder / _LIST}: cannot be read; give the folder that --export wrote") from error
    except ValueError as error:
        raise SourceError(f"{folder / _LIST}: is damaged; export the keyframes again") from error


def _choice(plan: RenderPlan, every: int | None, given: Sequence[int]) -> dict[str, Any]:
    """Return the settings on which the choice of keyframes depends."""
    path = Path(plan.source)
    known = path.stat() if path.exists() else None
    return {
        "videostyle": __version__,
        "film": str(path.absolute()),
        "bytes": known and known.st_size,
        "changed": known and known.st_mtime_ns,
        "span": asdict(plan.span),
        "size": plan.size,
        "every": every,
        "given": given,
    }


def _gatys_settings(plan: KeyframePlan) -> dict[str, Any]:
    style_images = [{**asdict(one), "content": _digest(one.image)} for one in plan.style_images]
    return {"style_images": style_images, "options": asdict(plan.options)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular_file(path)).hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def _choose(plan: RenderPlan, folder: Path, every: int | None, given: Collection[int], on_progress: OnProgress) -> str:
    """Write the keyframes, their flows to earlier ones and a contact sheet; return the content of their list."""
    listed: list[dict[str, Any]] = []
    sheet: list[tuple[str, Tensor]] = []
    with open_source(plan.source) as film:
        info = film.info
        width, height = fit(plan.size, info.width, info.height)
        expected = info.frames_in(plan.span)

        def counted(frames: Iterable[Frame]) -> Iterable[Frame]:
            for frame in frames:
                interrupt.check()
                yield frame
                on_progress(Progress("choosing keyframes", frame.index + 1, expected, "frames"))

        origin = info.start or Fraction(0)
        for key in choose_keys(counted(film.frames(plan.span)), origin, (height, width), every, given):
            file = f"key-{key.number:06d}.png"
            write_picture(folder / file, key.content[0])
            flows = {
                f"{number}.{name}": getattr(flow, name).half().numpy()
                for number, flow in enumerate(key.earlier)
                for name in ("vectors", "confidence")
            }
            np.savez_compressed((folder / file).with_suffix(".npz"), **flows)
            listed.append({"number": key.number, "time": round(float(key.time), 3), "is_cut": key.is_cut, "file": file})
            sheet.append((f"{float(key.time):.2f} s{'  new shot' if key.is_cut else ''}", key.content))
    if not listed:
        raise SourceError(f"{plan.source}: no frame in the part asked for")
    write_picture(folder / "sheet.jpg", _sheet(sheet))
    return json.dumps({"film": Path(plan.source).name, "size": [width, height], "keys": listed}, indent=1)


def _sheet(keys: Sequence[tuple[str, Tensor]], columns: int = 4, width: int = 320) -> Tensor:
    """Make a contact sheet (3, H, W) of the keyframes with their times."""
    tiles = []
    for label, content in keys:
        height = round(width * content.shape[2] / content.shape[3])
        tile = to_pixels(shrink(content, (height, width))[0]).permute(1, 2, 0).contiguous().numpy()
        draw_label(tile, label, (8, height - 10), 0.5)
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns if len(tiles) > columns else 0)
    rows = [np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)]
    return to_float(torch.from_numpy(np.vstack(rows)).permute(2, 0, 1))[0]


def _check_by_hand(folder: Path, chosen: Path, size: tuple[int, int]) -> list[str]:
    """Return warnings; raise SourceError if a keyframe is missing, UsageError if one has another size."""
    warnings = []
    for one in _read_list(chosen):
        file = folder / one.file
        if not file.is_file():
            raise SourceError(f"{file}: is missing; the keyframe at {one.time:g} s was exported under this name")
        pixels = read_picture(str(file))
        if tuple(pixels.shape[1:]) != size:
            raise UsageError(
                f"{file}: is {pixels.shape[2]}x{pixels.shape[1]}, the film is painted at {size[1]}x{size[0]}; "
                "save it at the size it was exported in"
            )
        if torch.equal(pixels[:3], read_picture(str(chosen / one.file))[:3]):
            warnings.append(f"{file}: is unchanged since the export; its part of the film stays unpainted")
    return warnings


def _paint(plan: KeyframePlan, chosen: Path, folder: Path, device: str, on_progress: OnProgress) -> list[str]:
    """Paint the keyframes that are not painted yet, each in agreement with those before it in its shot."""
    gatys = Gatys(plan.style_images, plan.options, device)
    following = replace(plan.options, steps=max(round(plan.options.steps * FOLLOWING_STEPS), 1))
    listed = _read_list(chosen)
    painted: list[Tensor] = []
    for place, one in enumerate(listed):
        file = folder / one.file
        if file.is_file():
            painted.append(to_float(read_picture(str(file))))
            continue
        content = to_float(read_picture(str(chosen / one.file)))
        size = content.shape[2], content.shape[3]
        flows = _flows(chosen / one.file)
        start, anchors, free = content, [], torch.ones(1, 1, *size)
        for back, flow in enumerate(flows, 1):
            found = at_size(flow, size)
            warped = warp(painted[place - back], found.vectors, "lanczos").clamp(0, 1)
            # Ruder et al. 2016: an earlier keyframe counts where the later ones have no confidence.
            mask = torch.minimum(found.confidence, free)
            anchors.append(Anchor(warped, mask, NEARNESS))
            start = mix(start, warped, mask)
            free = free - mask

        def report(progress: Progress, place: int = place) -> None:
            done = place + progress.share
            note = f"{place + 1} of {len(listed)}, {progress.note}"
            on_progress(Progress("painting keyframes", done, len(listed), "keyframes", note))

        if anchors:
            gatys.options = replace(following, smallest=max(max(size) // 2, 32))
        else:
            gatys.options = plan.options
        # A small share of new content, at the rim, needs no style loss of its own.
        fresh = free if anchors and float(free.mean()) > FRESH else None
        picture = gatys(content, start if anchors else None, anchors, report, fresh).picture.cpu()
        write_picture(file, picture[0])
        # Read back from the file, so that a resumed run gives the same result.
        painted.append(to_float(read_picture(str(file))))
    return gatys.warnings


def _flows(file: Path) -> list[Flow]:
    flows = file.with_suffix(".npz")
    try:
        with np.load(io.BytesIO(read_regular_file(flows))) as stored:
            count = len(stored.files) // 2
            return [
                Flow(*(torch.from_numpy(stored[f"{n}.{name}"]).float() for name in ("vectors", "confidence")))
                for n in range(count)
            ]
    except Exception as error:  # NumPy raises various errors for a damaged archive
        problem = f"{flows}: is damaged ({type(error).__name__}); remove {flows.parent} to choose the keyframes again"
        raise SourceError(problem) from error
