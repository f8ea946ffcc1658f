"""Train the code predictor of a network: codes of any picture, without learning.

    python scripts/train_predictor.py --photographs photographs --paintings paintings --folder work

Paintings whose names are in --held-back are not used, and named in the card. An interrupted run goes on where it
stopped. At the end the predictor and its card are written beside the network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from videostyle import weights
from videostyle.cli.terminal import shown_log
from videostyle.errors import UsageError
from videostyle.nets.code_predictor import CodePredictor
from videostyle.partial_files import atomic_write
from videostyle.train.data import list_photographs
from videostyle.train.predictor import PredictorConfig, gallery_statistics, train_predictor
from videostyle.weights import Network, save_predictor
from videostyle.weights.prediction import LOSS_NETWORK

MODELS = Path(__file__).parents[1] / "models"
HELD_BACK = [
    "byzantine_apse_mosaic",
    "canterbury_stained_glass",
    "caravaggio_calling_of_saint_matthew",
    "cezanne_mont_sainte_victoire",
    "delaunay_red_eiffel_tower",
    "durer_self_portrait",
    "gauguin_te_fare",
    "kandinsky_landscape",
    "kirchner_street_berlin",
    "klimt_adele_bloch_bauer",
    "limbourg_tres_riches_heures",
    "mondrian_tableau_composition_1913",
    "monet_water_lilies_1919",
    "seurat_grande_jatte",
    "turner_ulysses_deriding_polyphemus",
    "van_gogh_wheat_field_with_cypresses",
]
"""Paintings that no predictor is trained with, for `benchmarks/prediction.py`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="fast", help="the style network (default: %(default)s)")
    parser.add_argument("--photographs", type=Path, required=True, help="a folder, searched recursively")
    parser.add_argument("--paintings", type=Path, required=True, help="a folder, searched recursively")
    parser.add_argument("--textures", type=Path, help="a folder of further pictures, searched recursively")
    parser.add_argument("--gallery", type=Path, help="a folder of the gallery's paintings, by their styles' names")
    parser.add_argument("--start", type=Path, help="a predictor of earlier weights of the network, to begin with")
    parser.add_argument("--folder", type=Path, required=True, help="for views and checkpoints")
    parser.add_argument("--held-back", nargs="*", default=HELD_BACK, metavar="NAME")
    parser.add_argument("--steps", type=int, default=PredictorConfig.steps, help="(default: %(default)s)")
    parser.add_argument("--data", default="", help="what the paintings and textures are, for the card")
    parser.add_argument("--note", default="", help="a remark for the card")
    parser.add_argument("--licence", default="CC0 1.0", help="of the weights (default: %(default)s)")
    args = parser.parse_args()
    paintings = [path for path in list_photographs(args.paintings) if path.stem not in args.held_back]
    if not paintings:
        raise UsageError(f"{args.paintings}: holds no paintings but those that are held back")
    config = PredictorConfig(
        args.photographs,
        tuple(paintings),
        args.folder,
        network=args.network,
        textures=tuple(list_photographs(args.textures)) if args.textures else (),
        gallery=args.gallery,
        start=args.start,
        steps=args.steps,
    )
    with shown_log():
        net = train_predictor(config)
    network = weights.load_network(args.network)
    path = MODELS / args.network / "predictor.safetensors"
    gallery = bottlenecks(net, network, args.gallery) if args.gallery else {}
    card = {
        "data": args.data,
        "paintings": len(config.paintings),
        "textures": len(config.textures),
        "held_back": sorted(args.held_back),
        "recipe": {"steps": config.steps, "batch": config.batch, "crop": config.crop, "views": config.views},
        "note": args.note,
        "licence": args.licence,
    }
    save_predictor(path, net, network, card, gallery)
    atomic_write(path.with_suffix(".md"), card_text(path, card))
    weights.write_manifest(MODELS)


def bottlenecks(net: CodePredictor, network: Network, folder: Path) -> dict[str, torch.Tensor]:
    """Return the bottleneck of each painting of the gallery, by its style's name."""
    names = [entry.name for entry in weights.gallery() if entry.network == network.name]
    statistics = gallery_statistics(folder, names, net, weights.load_loss_network(LOSS_NETWORK))
    with torch.inference_mode():
        return dict(zip(names, net.embed(statistics), strict=True))


def card_text(path: Path, card: dict[str, object]) -> str:
    """Return the card for people."""
    recipe, held_back = card["recipe"], card["held_back"]
    assert isinstance(recipe, dict)
    assert isinstance(held_back, list)
    textures = f" and {card['textures']} textures" if card["textures"] else ""
    rows = [
        ("Network", f"predicts the style code of a picture for the network {path.parent.name} (Ghiasi et al. 2017)"),
        ("Size", f"{path.stat().st_size / 1e6:.2f} MB"),
        ("Trained on", f"{card['paintings']} paintings{textures}: {card['data']}"),
        ("Paintings held back for ever", ", ".join(name.replace("_", " ") for name in held_back)),
        (
            "Recipe",
            f"`scripts/train_predictor.py`: {recipe['steps']} steps of {recipe['batch']} crops of {recipe['crop']} px, "
            f"{recipe['views']} views of each painting beside the whole",
        ),
        ("Note", card["note"]),
        ("Licence of these weights", card["licence"]),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"# Code predictor of {path.parent.name}\n\n| | |\n| --- | --- |\n{table}\n"


if __name__ == "__main__":
    main()
