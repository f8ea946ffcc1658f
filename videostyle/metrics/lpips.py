"""Warped LPIPS: the difference of two neighbouring frames, as people see it, after warping."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet

from videostyle.errors import UsageError
from videostyle.torchvision_weights import load_weights


class Lpips:
    """LPIPS (Zhang et al. 2018), version 0.1 on AlexNet, computed by its authors' package."""

    def __init__(self, weights: Path | None = None, download: bool = False) -> None:
        """Load the network; `weights` is a state dict of torchvision's AlexNet, else the cached one or a download.

        Raises UsageError if the package is not installed, WeightsError.
        """
        try:
            import lpips
        except ImportError as error:
            raise UsageError("LPIPS needs a package: pip install lpips") from error

        loss_network = alexnet(weights=None)
        load_weights(loss_network, "alexnet", AlexNet_Weights.IMAGENET1K_V1, weights, download, "--lpips-weights")
        with warnings.catch_warnings():
            # The package still uses torchvision's interface from before 0.13, which warns.
            warnings.simplefilter("ignore", UserWarning)
            self._net: nn.Module = lpips.LPIPS(net="alex", spatial=True, pnet_rand=True, verbose=False)
        # The package's slices keep the layers' numbers: "slice2.3.weight" is "features.3.weight".
        own = loss_network.state_dict()
        slices = self._net.get_submodule("net")
        slices.load_state_dict({key: own[f"features.{key.partition('.')[2]}"] for key in slices.state_dict()})

    @torch.inference_mode()
    def __call__(self, picture: Tensor, moved: Tensor, valid: Tensor) -> float:
        """Compute the mean LPIPS of two pictures (1, 3, H, W) in 0..1 where `valid`, (1, 1, H, W), is 1.

        It is nan if no pixel is valid. Invalid pixels are made equal in both pictures, since the receptive fields of
        the features include them.
        """
        valid = valid.to(picture)
        distance = self._net(picture, torch.where(valid > 0, moved, picture), normalize=True)
        return ((distance * valid).sum() / valid.sum()).item()
