"""Weights on disk: safetensors files of style networks, loss networks and style codes, and the gallery that lists them.

A *network file* holds the weights of a style network, the identity's code, and the sizes to build it from. A *style
file* holds one code, a few kilobytes, and names the network it belongs to by the checksum of that network's file. A
*predictor file* holds the network that predicts a code from a picture. All contain a card (style image, recipe, losses,
licence) in the file's own metadata. `models/manifest.json` lists the shipped files with their SHA-256.
"""

from videostyle.weights._files import read_file, read_style, save_style
from videostyle.weights.codes import Codes, load_codes, load_style, predicted_styles
from videostyle.weights.manifest import (
    GalleryEntry,
    gallery,
    models_folder,
    own_network,
    own_styles,
    read_manifest,
    styles_folder,
    write_manifest,
)
from videostyle.weights.networks import (
    Network,
    load_loss_network,
    load_network,
    read_network,
    save_loss_network,
    save_network,
)
from videostyle.weights.prediction import (
    Predictor,
    is_picture_name,
    load_predictor,
    picture_statistics,
    predict_code,
    predictor_digest,
    save_predictor,
    similar_styles,
)

__all__ = [
    "Codes",
    "GalleryEntry",
    "Network",
    "Predictor",
    "gallery",
    "is_picture_name",
    "load_codes",
    "load_loss_network",
    "load_network",
    "load_predictor",
    "load_style",
    "models_folder",
    "own_network",
    "own_styles",
    "picture_statistics",
    "predict_code",
    "predicted_styles",
    "predictor_digest",
    "read_file",
    "read_manifest",
    "read_network",
    "read_style",
    "save_loss_network",
    "save_network",
    "save_predictor",
    "save_style",
    "similar_styles",
    "styles_folder",
    "write_manifest",
]
