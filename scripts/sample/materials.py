"""Materials and sky, built from noise and a little brickwork; no image files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import bpy

Colour = tuple[float, float, float]
HAZE: Colour = (0.62, 0.74, 0.88)
HAZE_LENGTH = 1500.0
"""Metres over which the air hides all but 1/e of a surface."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a surface is made of: two colours mixed by noise or by a pattern."""

    first: Colour
    second: Colour
    scale: float = 3.0
    pattern: str = "noise"
    """noise, brick (x and z), planks, tiles or seams."""
    roughness: float = 0.8
    bump: float = 0.15
    through: float = 0.0
    """Share of light let through, for leaves and sails."""


LOOKS: dict[str, Look] = {
    "white wall": Look((0.80, 0.77, 0.70), (0.62, 0.59, 0.53), 0.9),
    "ochre wall": Look((0.78, 0.52, 0.22), (0.60, 0.38, 0.16), 0.8),
    "rose wall": Look((0.70, 0.33, 0.26), (0.55, 0.25, 0.20), 0.8),
    "blue wall": Look((0.30, 0.45, 0.58), (0.22, 0.34, 0.46), 0.8),
    "cream wall": Look((0.83, 0.71, 0.50), (0.66, 0.55, 0.38), 0.8),
    "green wall": Look((0.42, 0.53, 0.38), (0.32, 0.41, 0.29), 0.8),
    "red paint": Look((0.55, 0.055, 0.035), (0.40, 0.045, 0.03), 1.2, roughness=0.5),
    "door blue": Look((0.05, 0.14, 0.26), (0.04, 0.10, 0.20), 4.0, roughness=0.4),
    "shutter green": Look((0.07, 0.22, 0.14), (0.05, 0.16, 0.10), 4.0, roughness=0.5),
    "shutter red": Look((0.38, 0.06, 0.05), (0.28, 0.05, 0.04), 4.0, roughness=0.5),
    "stone": Look((0.36, 0.33, 0.29), (0.22, 0.20, 0.18), 0.9, "brick", 0.9, 0.5),
    "rock": Look((0.33, 0.30, 0.27), (0.13, 0.12, 0.11), 1.4, roughness=0.9, bump=0.7),
    "brick": Look((0.42, 0.16, 0.10), (0.30, 0.11, 0.08), 4.0, "brick", 0.9, 0.4),
    "paving": Look((0.42, 0.38, 0.32), (0.30, 0.27, 0.23), 1.2, roughness=0.9, bump=0.3),
    "roof red": Look((0.50, 0.17, 0.085), (0.33, 0.10, 0.055), 2.6, "tiles", 0.85, 0.8),
    "roof brown": Look((0.34, 0.16, 0.10), (0.22, 0.10, 0.07), 2.6, "tiles", 0.85, 0.8),
    "roof slate": Look((0.20, 0.22, 0.26), (0.12, 0.14, 0.17), 2.6, "tiles", 0.6, 0.6),
    "thatch": Look((0.20, 0.15, 0.10), (0.11, 0.085, 0.06), 6.0, roughness=0.95, bump=0.6),
    "glass": Look((0.035, 0.05, 0.065), (0.09, 0.11, 0.13), 0.6, roughness=0.12, bump=0.0),
    "lantern": Look((0.55, 0.60, 0.55), (0.75, 0.70, 0.45), 0.8, roughness=0.15, bump=0.0),
    "deck": Look((0.52, 0.36, 0.20), (0.38, 0.25, 0.13), 2.0, "planks", 0.6),
    "planks": Look((0.36, 0.25, 0.15), (0.21, 0.14, 0.085), 1.6, "planks", 0.85, 0.4),
    "planks dark": Look((0.17, 0.115, 0.075), (0.09, 0.06, 0.04), 2.0, roughness=0.85),
    "spar": Look((0.60, 0.43, 0.24), (0.48, 0.33, 0.18), 2.0, roughness=0.45),
    "wire": Look((0.10, 0.10, 0.11), (0.16, 0.16, 0.16), 2.0, roughness=0.5),
    "canvas": Look((0.76, 0.71, 0.60), (0.62, 0.57, 0.47), 1.3, "seams", 0.9, 0.2, 0.3),
    "sail white": Look((0.88, 0.85, 0.78), (0.74, 0.70, 0.62), 0.9, "seams", 0.85, 0.1, 0.35),
    "sail red": Look((0.58, 0.12, 0.055), (0.45, 0.085, 0.04), 0.9, "seams", 0.85, 0.1, 0.3),
    "sail ochre": Look((0.74, 0.42, 0.12), (0.60, 0.33, 0.09), 0.9, "seams", 0.85, 0.1, 0.3),
    "hull white": Look((0.82, 0.80, 0.75), (0.70, 0.68, 0.63), 0.8, roughness=0.35, bump=0.03),
    "hull navy": Look((0.035, 0.075, 0.17), (0.03, 0.055, 0.12), 0.8, roughness=0.3, bump=0.03),
    "hull green": Look((0.05, 0.22, 0.16), (0.04, 0.16, 0.12), 0.8, roughness=0.35, bump=0.03),
    "hull red": Look((0.50, 0.075, 0.05), (0.38, 0.06, 0.04), 0.8, roughness=0.35, bump=0.03),
    "hull teal": Look((0.10, 0.36, 0.40), (0.08, 0.28, 0.32), 0.8, roughness=0.35, bump=0.03),
    "grass": Look((0.17, 0.25, 0.055), (0.10, 0.17, 0.04), 2.0),
    "grass light": Look((0.34, 0.38, 0.10), (0.24, 0.30, 0.07), 2.0, through=0.3),
    "grass blade": Look((0.17, 0.27, 0.055), (0.11, 0.19, 0.04), 2.0, through=0.3),
    "grass dry": Look((0.47, 0.40, 0.18), (0.36, 0.31, 0.13), 2.0, through=0.3),
    "meadow": Look((0.20, 0.28, 0.075), (0.33, 0.34, 0.12), 0.11, bump=0.5),
    "hills": Look((0.10, 0.17, 0.075), (0.25, 0.26, 0.12), 0.013, bump=0.0),
    "leaf": Look((0.10, 0.20, 0.035), (0.075, 0.15, 0.03), 1.0, through=0.3, bump=0),
    "leaf light": Look((0.22, 0.32, 0.06), (0.16, 0.25, 0.05), 1.0, through=0.35, bump=0),
    "leaf dark": Look((0.05, 0.11, 0.03), (0.04, 0.085, 0.025), 1.0, through=0.2, bump=0),
    "bark": Look((0.17, 0.12, 0.085), (0.09, 0.065, 0.05), 5.0, bump=0.5),
    "flower red": Look((0.72, 0.05, 0.03), (0.60, 0.04, 0.03), 2.0, through=0.3, bump=0),
    "flower pink": Look((0.80, 0.28, 0.38), (0.70, 0.22, 0.30), 2.0, through=0.3, bump=0),
    "flower white": Look((0.88, 0.86, 0.80), (0.80, 0.78, 0.70), 2.0, through=0.3, bump=0),
    "flower yellow": Look((0.82, 0.58, 0.05), (0.75, 0.50, 0.05), 2.0, through=0.2, bump=0),
    "flag blue": Look((0.08, 0.22, 0.48), (0.07, 0.18, 0.40), 2.0, through=0.3, bump=0),
    "coat red": Look((0.55, 0.09, 0.06), (0.42, 0.07, 0.05), 5.0),
    "coat blue": Look((0.07, 0.13, 0.28), (0.05, 0.10, 0.22), 5.0),
    "coat green": Look((0.12, 0.22, 0.13), (0.09, 0.17, 0.10), 5.0),
    "trousers": Look((0.09, 0.09, 0.11), (0.06, 0.06, 0.08), 5.0),
    "skin": Look((0.66, 0.40, 0.28), (0.60, 0.36, 0.25), 2.0, bump=0),
    "hair": Look((0.10, 0.06, 0.04), (0.07, 0.04, 0.03), 8.0),
    "straw": Look((0.68, 0.52, 0.26), (0.55, 0.41, 0.20), 8.0),
    "gull": Look((0.84, 0.84, 0.83), (0.74, 0.75, 0.76), 2.0, through=0.15, bump=0),
    "gull grey": Look((0.45, 0.47, 0.50), (0.38, 0.40, 0.43), 2.0, bump=0),
    "black": Look((0.03, 0.03, 0.03), (0.02, 0.02, 0.02), 2.0),
}

Socket: TypeAlias = bpy.types.NodeSocket


def _mix(tree: bpy.types.NodeTree, factor: Socket, a: Colour, b: Colour) -> Socket:
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    tree.links.new(factor, mix.inputs["Factor"])
    mix.inputs[6].default_value, mix.inputs[7].default_value = (*a, 1), (*b, 1)
    return mix.outputs[2]


def _noise(
    tree: bpy.types.NodeTree, at: Socket, scale: float, detail: float = 4, low: float = 0.35, high: float = 0.65
) -> Socket:
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, detail
    tree.links.new(at, noise.inputs["Vector"])
    spread = tree.nodes.new("ShaderNodeMapRange")
    spread.inputs["From Min"].default_value, spread.inputs["From Max"].default_value = low, high
    tree.links.new(noise.outputs["Fac"], spread.inputs["Value"])
    return spread.outputs["Result"]


def _math(tree: bpy.types.NodeTree, kind: str, *values: Socket | float) -> Socket:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = kind
    for value, socket in zip(values, node.inputs, strict=False):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node.outputs[0]


def _finish(tree: bpy.types.NodeTree, shader: Socket) -> None:
    """Put the air between the surface and the camera: it turns to the haze colour with distance."""
    distance = tree.nodes.new("ShaderNodeCameraData").outputs["View Distance"]
    clear = _math(tree, "POWER", 2.718, _math(tree, "MULTIPLY", distance, -1 / HAZE_LENGTH))
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (*HAZE, 1)
    emission.inputs["Strength"].default_value = 0.95
    mix = tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(clear, mix.inputs[0])
    tree.links.new(emission.outputs[0], mix.inputs[1])
    tree.links.new(shader, mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])


def material(name: str) -> bpy.types.Material:
    """The material called `name` in `LOOKS`, or "water"; built once."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.cycles.emission_sampling = "NONE"  # the haze must not be sampled as a lamp
    tree = made.node_tree
    tree.nodes.clear()
    surface = tree.nodes.new("ShaderNodeBsdfPrincipled")
    if name == "water":
        at = tree.nodes.new("ShaderNodeUVMap").outputs[0]  # rest coordinates: streaks travel with the surface
        streaks = _noise(tree, at, 0.35, 3, 0.42, 0.7)
        tree.links.new(_mix(tree, streaks, (0.012, 0.075, 0.085), (0.035, 0.15, 0.15)), surface.inputs["Base Color"])
        surface.inputs["Roughness"].default_value = 0.17
        surface.inputs["IOR"].default_value = 1.33
        _finish(tree, surface.outputs[0])
        return made
    look = LOOKS[name]
    at = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
    stains = _noise(tree, at, look.scale, 3)
    fine = _noise(tree, at, look.scale * 7, 1)
    factor = _math(tree, "ADD", _math(tree, "MULTIPLY", stains, 0.7), _math(tree, "MULTIPLY", fine, 0.3))
    height = fine
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(at, split.inputs[0])
    x, y, z = split.outputs
    if look.pattern in ("brick", "tiles"):
        brick = tree.nodes.new("ShaderNodeTexBrick")
        where = tree.nodes.new("ShaderNodeCombineXYZ")
        tree.links.new(_math(tree, "ADD", x, y), where.inputs[0])
        tree.links.new(z, where.inputs[1])
        tree.links.new(where.outputs[0], brick.inputs["Vector"])
        brick.inputs["Scale"].default_value = look.scale
        brick.inputs["Mortar Size"].default_value = 0.035
        brick.inputs["Mortar Smooth"].default_value = 0.4
        brick.inputs["Color1"].default_value, brick.inputs["Color2"].default_value = (1, 1, 1, 1), (0.45, 0.45, 0.45, 1)
        brick.inputs["Mortar"].default_value = (0, 0, 0, 1)
        if look.pattern == "tiles":
            brick.inputs["Row Height"].default_value = 0.45
            brick.inputs["Brick Width"].default_value = 0.5
        tone = _math(tree, "SUBTRACT", 1.0, brick.outputs["Color"])
        factor = _math(tree, "ADD", _math(tree, "MULTIPLY", factor, 0.45), _math(tree, "MULTIPLY", tone, 0.75))
        height = _math(tree, "SUBTRACT", fine, _math(tree, "MULTIPLY", brick.outputs["Fac"], 2.0))
    elif look.pattern in ("planks", "seams"):
        along = z if look.pattern == "seams" else _math(tree, "ADD", y, z)
        wave = _math(
            tree, "FRACT", _math(tree, "MULTIPLY", along, look.scale * (1.6 if look.pattern == "planks" else 1.2))
        )
        edge = _math(tree, "LESS_THAN", wave, 0.1)
        factor = _math(tree, "ADD", _math(tree, "MULTIPLY", factor, 0.8), _math(tree, "MULTIPLY", edge, 0.6))
    clamp = tree.nodes.new("ShaderNodeClamp")
    tree.links.new(factor, clamp.inputs[0])
    colour = _mix(tree, clamp.outputs[0], look.first, look.second)
    tree.links.new(colour, surface.inputs["Base Color"])
    surface.inputs["Roughness"].default_value = look.roughness
    surface.inputs["Specular IOR Level"].default_value = 0.3
    if look.bump >= 0.2:  # a bump evaluates its pattern three times
        bump = tree.nodes.new("ShaderNodeBump")
        bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = look.bump, 0.1
        tree.links.new(height, bump.inputs["Height"])
        tree.links.new(bump.outputs[0], surface.inputs["Normal"])
    shader = surface.outputs[0]
    if look.through:
        inside = tree.nodes.new("ShaderNodeBsdfTranslucent")
        tree.links.new(colour, inside.inputs["Color"])
        mix = tree.nodes.new("ShaderNodeMixShader")
        mix.inputs[0].default_value = look.through
        tree.links.new(shader, mix.inputs[1])
        tree.links.new(inside.outputs[0], mix.inputs[2])
        shader = mix.outputs[0]
    _finish(tree, shader)
    return made


def sky(scene: bpy.types.Scene, sun: tuple[float, float, float], seed: float) -> None:
    """A sky gradient with cumulus from noise on a plane overhead, seen in perspective; it does not move."""
    world = bpy.data.worlds.new("sky")
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    at = tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(at, split.inputs[0])
    up = _math(tree, "MAXIMUM", split.outputs[2], 0.0)
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    tree.links.new(up, ramp.inputs[0])
    stops = (
        (0.0, (0.80, 0.83, 0.84)),
        (0.06, (0.62, 0.76, 0.90)),
        (0.22, (0.30, 0.53, 0.85)),
        (0.7, (0.11, 0.28, 0.64)),
    )
    elements = ramp.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(0.5)
    for element, (position, colour) in zip(elements, stops, strict=True):
        element.position, element.color = position, (*colour, 1)
    flat = _math(tree, "ADD", up, 0.13)
    where = tree.nodes.new("ShaderNodeCombineXYZ")
    tree.links.new(_math(tree, "DIVIDE", split.outputs[0], flat), where.inputs[0])
    tree.links.new(_math(tree, "DIVIDE", split.outputs[1], flat), where.inputs[1])
    where.inputs[2].default_value = seed
    shift = tree.nodes.new("ShaderNodeVectorMath")
    tree.links.new(where.outputs[0], shift.inputs[0])
    shift.inputs[1].default_value = (sun[0] * 0.16, sun[1] * 0.16, 0.1)
    body = _noise(tree, where.outputs[0], 0.82, 9, 0.50, 0.64)
    lit = _noise(tree, shift.outputs[0], 0.82, 6, 0.46, 0.76)  # thickness towards the sun: what lies in shade
    fade = tree.nodes.new("ShaderNodeMapRange")
    fade.inputs["From Min"].default_value, fade.inputs["From Max"].default_value = 0.0, 0.10
    fade.inputs["To Min"].default_value = 0.25
    tree.links.new(up, fade.inputs["Value"])
    cover = _math(tree, "MULTIPLY", body, fade.outputs["Result"])
    cloud = _mix(tree, lit, (1.06, 1.0, 0.93), (0.54, 0.57, 0.66))
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    tree.links.new(_math(tree, "MULTIPLY", cover, 0.94), mix.inputs["Factor"])
    tree.links.new(ramp.outputs[0], mix.inputs[6])
    tree.links.new(cloud, mix.inputs[7])
    background = tree.nodes.new("ShaderNodeBackground")
    tree.links.new(mix.outputs[2], background.inputs["Color"])
    strength = tree.nodes.new("ShaderNodeValue")
    strength.name = "sky light"
    tree.links.new(strength.outputs[0], background.inputs["Strength"])
    plain = tree.nodes.new(
        "ShaderNodeBackground"
    )  # what lights and mirrors see: no noise to evaluate, a fifth of the time
    hidden = tree.nodes.new("ShaderNodeMix")
    hidden.data_type = "RGBA"
    hidden.inputs["Factor"].default_value = 0.25
    tree.links.new(ramp.outputs[0], hidden.inputs[6])
    hidden.inputs[7].default_value = (0.85, 0.84, 0.83, 1)
    tree.links.new(hidden.outputs[2], plain.inputs["Color"])
    tree.links.new(strength.outputs[0], plain.inputs["Strength"])
    choose = tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(tree.nodes.new("ShaderNodeLightPath").outputs["Is Camera Ray"], choose.inputs[0])
    tree.links.new(plain.outputs[0], choose.inputs[1])
    tree.links.new(background.outputs[0], choose.inputs[2])
    tree.links.new(choose.outputs[0], tree.nodes.new("ShaderNodeOutputWorld").inputs["Surface"])
