"""Make the small loss network from VGG-19 and a folder of photographs.

    python scripts/distil_loss_network.py --weights vgg19_oxford.pt --photographs photographs

The shipped file is made so, with --name vgg19-caffe; torchvision's VGG-19 (--name vgg19) needs no --weights.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from videostyle.nets.vgg import build_loss_network
from videostyle.train.distil import distil
from videostyle.weights import write_manifest

MODELS = Path(__file__).parents[1] / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="vgg19-caffe", help="which network the weights are (default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="its state dict")
    parser.add_argument("--photographs", type=Path, required=True, help="a folder, searched recursively")
    parser.add_argument("--output", type=Path, default=MODELS / "loss_networks" / "vgg19-small.safetensors")
    parser.add_argument(
        "--bits", type=float, default=2.6, help="a weight, in the largest layers (default: %(default)s)"
    )
    parser.add_argument("--pictures", type=int, default=80, help="crops to see (default: %(default)s)")
    parser.add_argument("--side", type=int, default=224, help="of a crop, in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--made-from", default="", help="what the weights are and whose, for the card")
    parser.add_argument("--licence", default="CC BY 4.0", help="of the weights (default: %(default)s)")
    parser.add_argument("--data", default="", help="what the photographs are, for the card")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    card = distil(
        build_loss_network(args.name, args.weights),
        args.photographs,
        args.output,
        bits=args.bits,
        pictures=args.pictures,
        side=args.side,
        seed=args.seed,
        made_from=args.made_from,
        data=args.data,
        licence=args.licence,
    )
    for layer, errors in card.get("errors", {}).items():
        print(f"{layer}  features {errors['features']:.5f}  Gram {errors['gram']:.5f}")
    if args.output.is_relative_to(MODELS):
        write_manifest(MODELS)


if __name__ == "__main__":
    main()
