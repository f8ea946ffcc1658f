"""DeepLabV3 on MobileNetV3 (Chen et al. 2017), of torchvision: 11 million weights, finer than LR-ASPP and slower."""

from __future__ import annotations

from torchvision.models.segmentation import DeepLabV3_MobileNet_V3_Large_Weights, deeplabv3_mobilenet_v3_large

from videostyle.plan import SegmenterOptions
from videostyle.segmenters._torchvision import TorchvisionSegmenter, load_network


def build(options: SegmenterOptions, allow_download: bool, device: str) -> TorchvisionSegmenter:
    """Load DeepLabV3; raises WeightsError, see `load_network`."""
    # torchvision's weights include those of an auxiliary classifier, which only training uses.
    net = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
    weights = DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    return load_network(net, "deeplabv3_mobilenet_v3_large", weights, options, allow_download, device)
