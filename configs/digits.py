"""LeNet-5 on scikit-learn's 1,797 handwritten digits: what `python train.py` does without a config."""

from jaxcnn.config import TrainConfig

config = TrainConfig()
