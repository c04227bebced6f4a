"""What language comments are in, and how pleased they sound: from -1 to 1."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxlib.errors import InputError
from cxlib.statistics.rates import wilson
from cxlib.statistics.resampling import Estimates

FEWEST_PAIRS = 500
"""Pairs of comment and rating from which a log's own are better than a lexicon."""

FOLDS = 5
_LEAST_OF_A_CLASS = 50
_LEAST_SHARE = 0.03
_CLEAR_FROM = 20
"""Characters from which a comment tells which languages there are."""


def _missing(package: str) -> InputError:
    return InputError(f"comments need the package {package}: pip install 'cxlib[comments]'")


def detect_languages(texts: list[str]) -> list[str]:
    """Name the language of each text (ISO 639-1).

    Languages of at least 3 % of the longer texts are looked for first; short ones are then told
    apart among these.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise _missing("py3langid") from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    longer = [text for text in texts if len(text) >= _CLEAR_FROM] or texts
    sample = longer[:: max(len(longer) // 2_000, 1)]
    names, counts = np.unique([identifier.classify(t)[0] for t in sample], return_counts=True)
    common = names[counts >= max(_LEAST_SHARE * counts.sum(), 1)]
    identifier.set_languages(common.tolist() if len(common) else names.tolist())
    known = {text: str(identifier.classify(text)[0]) for text in set(texts)}
    return [known[text] for text in texts]


@dataclass(frozen=True, slots=True, eq=False)
class Sentiment:
    """How pleased comments sound: ``score`` from -1 to 1, NaN where it could not be told.

    ``accuracy``: share of the ``pairs`` (comments with a low or high rating) whose score has their
    sign, None below 30; ``base``: what always naming the commoner side would get right.
    """

    score: Estimates
    scorer: str
    accuracy: tuple[float, float, float] | None
    base: float | None
    pairs: int


def score_sentiment(
    texts: list[str],
    languages: list[str],
    liked: NDArray[np.integer],
    fold: NDArray[np.integer],
) -> Sentiment:
    """Score comments from -1 (displeased) to 1 (pleased).

    From `FEWEST_PAIRS` rated comments on, each is scored by a logistic regression that has seen
    none of its customer's (``fold``); below, by the lexicon, English alone. ``liked``: 1 with a
    high rating, 0 with a low one, -1 else. VADER: Hutto & Gilbert (2014),
    doi:10.1609/icwsm.v8i1.14550
    """
    lexicon = _lexicon(texts, languages)
    paired = liked >= 0
    classes = np.bincount(liked[paired], minlength=2)
    if paired.sum() >= FEWEST_PAIRS and classes.min() >= _LEAST_OF_A_CLASS:
        score, scorer = _learned(texts, lexicon, liked, fold % FOLDS), "own ratings"
    else:
        score, scorer = np.where(lexicon == 0, np.nan, lexicon), "lexicon"
    told = paired & np.isfinite(score)
    accuracy = None
    if told.sum() >= 30:
        right = float(((score[told] > 0) == (liked[told] == 1)).mean())
        low, high = wilson(np.array([right]), np.array([told.sum()], dtype=np.float64))
        accuracy = (right, float(low[0]), float(high[0]))
    base = float(np.bincount(liked[told]).max() / told.sum()) if told.any() else None
    return Sentiment(score, scorer, accuracy, base, int(paired.sum()))


def _lexicon(texts: list[str], languages: list[str]) -> Estimates:
    """VADER's compound score of English texts; 0 elsewhere."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise _missing("vadersentiment") from None
    analyzer = SentimentIntensityAnalyzer()
    return np.array(
        [
            analyzer.polarity_scores(text)["compound"] if language == "en" else 0.0
            for text, language in zip(texts, languages, strict=True)
        ]
    )


def _learned(
    texts: list[str], lexicon: Estimates, liked: NDArray[np.integer], fold: NDArray[np.integer]
) -> Estimates:
    """Scores out of fold."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    kinds: list[dict[str, Any]] = [
        {"analyzer": "word", "ngram_range": (1, 2), "min_df": 2},
        {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 5, "max_features": 50_000},
    ]
    score = np.full(len(texts), np.nan)
    for held in np.unique(fold):
        learn, apply = (fold != held) & (liked >= 0), np.flatnonzero(fold == held)
        if len(np.unique(liked[learn])) < 2:
            continue
        parts_learn, parts_apply = [], []
        for kind in kinds:
            words = TfidfVectorizer(sublinear_tf=True, **kind)
            parts_learn.append(words.fit_transform([texts[i] for i in np.flatnonzero(learn)]))
            parts_apply.append(words.transform([texts[i] for i in apply]))
        parts_learn.append(csr_matrix(2 * lexicon[learn][:, None]))
        parts_apply.append(csr_matrix(2 * lexicon[apply][:, None]))
        model = LogisticRegression(C=3.0, max_iter=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # steps left when nothing more is gained
            model.fit(hstack(parts_learn).tocsr(), liked[learn])
        chance = model.predict_proba(hstack(parts_apply).tocsr())[:, 1]
        # of low and high alike: how many there are of each says nothing about a comment
        odds = np.log(chance / (1 - chance)) - np.log(
            liked[learn].mean() / (1 - liked[learn].mean())
        )
        score[apply] = np.tanh(odds / 2)
    return score
