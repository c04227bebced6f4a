"""What could break next, and how good the same predictions were at past dates."""

from cxlib.prediction.predict import Prediction, predict_breaks

__all__ = ["Prediction", "predict_breaks"]
