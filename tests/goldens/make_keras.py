"""Write keras.npz: what the networks of keras.applications compute, with the weights of `rule`.

    KERAS_BACKEND=jax python -m tests.goldens.make_keras [NAME ...]

Needs Keras. With names, the others in the file are kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

from jaxcnn.zoo import NETWORKS
from tests.goldens import rule

FILE = Path(__file__).with_name("keras.npz")
# our name -> Keras's; with variant="keras" where the network is also torchvision's
PEERS = {
    "densenet121": "DenseNet121", "densenet169": "DenseNet169", "densenet201": "DenseNet201",
    "inception_resnet_v2": "InceptionResNetV2", "inception_v3": "InceptionV3", "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2", "nasnet_large": "NASNetLarge", "nasnet_mobile": "NASNetMobile",
    "resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152", "resnet50v2": "ResNet50V2",
    "resnet101v2": "ResNet101V2", "resnet152v2": "ResNet152V2", "vgg16": "VGG16", "vgg19": "VGG19",
    "xception": "Xception",
}  # fmt: skip


def described(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a model's variables, in the order of `get_weights`."""
    depthwise = [layer.kernel.path for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    return [
        ("depthwise_kernel" if variable.path in depthwise else variable.name, tuple(variable.shape))
        for variable in model.weights
    ]


def goldens(name: str) -> dict[str, np.ndarray]:
    results = {}
    for number, size in enumerate(rule.sizes(name, NETWORKS[name].input, "keras")):
        keras.utils.clear_session()
        model = getattr(keras.applications, PEERS[name])(weights=None, input_shape=size, classifier_activation=None)
        variables = described(model)
        model.set_weights(rule.keras_weights(variables))
        logits = model(rule.image(size), training=False)
        results[f"{name}/logits{number}"] = keras.ops.convert_to_numpy(logits)[0]
        results[f"{name}/variables{number}"] = np.array(json.dumps(variables))
    return results


def main(names: list[str]) -> None:
    kept = dict(np.load(FILE)) if FILE.exists() and names else {}
    for name in names or [name for name in PEERS if name in NETWORKS]:
        kept = {key: value for key, value in kept.items() if not key.startswith(f"{name}/")}
        kept |= goldens(name)
        print(name, *(float(kept[f"{name}/logits{number}"].std()) for number in (0, 1)))
        np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main(sys.argv[1:])
