"""Mean and standard deviation of the pixels that published weights were trained with, for RGB in [0, 1]."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, also used by open_clip and Vary
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # segment_anything, detectron2 (as 123.675 ... / 255), timm
IMAGENET_STD = (0.229, 0.224, 0.225)
