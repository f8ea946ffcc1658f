"""LR-ASPP on MobileNetV3 (Howard et al. 2019), of torchvision: 3.2 million weights."""

from __future__ import annotations

from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large

from videostyle.plan import SegmenterOptions
from videostyle.segmenters._torchvision import TorchvisionSegmenter, load_network


def build(options: SegmenterOptions, allow_download: bool, device: str) -> TorchvisionSegmenter:
    """Load LR-ASPP; raises WeightsError, see `load_network`."""
    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    weights = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    return load_network(net, "lraspp_mobilenet_v3_large", weights, options, allow_download, device)
