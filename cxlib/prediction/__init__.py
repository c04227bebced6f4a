"""What could break next, and how good the same predictions were at past dates.

Handoffs are forecast by `cxlib.prediction.handoffs`, customers under way by
`cxlib.prediction.under_way`; `predict_breaks` holds both against what came, and says nothing where
that was no better than going by the past.
"""

from cxlib.prediction.predict import Prediction, predict_breaks

__all__ = ["Prediction", "predict_breaks"]
