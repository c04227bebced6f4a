"""What comments say: their language, how pleased they sound (-1 to 1), and what they are about.

Topics are kept only where they come again in halves of the customers.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
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
_MOST_PARTS = 50_000
_CLEAR_FROM = 20
"""Characters from which a comment tells which languages there are."""


_MISSING = "comments need the package {}: pip install 'cxlib[comments]'"


def detect_languages(texts: list[str]) -> list[str]:
    """Name the language of each text (ISO 639-1).

    Languages of at least 3 % of the longer texts are looked for first; short ones are then told
    apart among these.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise InputError(_MISSING.format("py3langid")) from None
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
    texts: list[str], languages: list[str], liked: NDArray[np.integer], fold: NDArray[np.integer]
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
        right = ((score[told] > 0) == (liked[told] == 1)).mean()
        low, high = wilson(right, told.sum())
        accuracy = (float(right), float(low), float(high))
    base = float(np.bincount(liked[told]).max() / told.sum()) if told.any() else None
    return Sentiment(score, scorer, accuracy, base, int(paired.sum()))


def _lexicon(texts: list[str], languages: list[str]) -> Estimates:
    """VADER's compound score of English texts; 0 elsewhere."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise InputError(_MISSING.format("vadersentiment")) from None
    score, told = SentimentIntensityAnalyzer().polarity_scores, zip(texts, languages, strict=True)
    return np.array([score(text)["compound"] if spoken == "en" else 0.0 for text, spoken in told])


def _learned(
    texts: list[str], lexicon: Estimates, liked: NDArray[np.integer], fold: NDArray[np.integer]
) -> Estimates:
    """Scores out of fold; words are counted once, and weighed and chosen without the fold's."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    words = CountVectorizer(ngram_range=(1, 2)).fit_transform(texts)
    parts = CountVectorizer(analyzer="char_wb", ngram_range=(2, 5)).fit_transform(texts)
    score = np.full(len(texts), np.nan)
    for held in np.unique(fold):
        learn, apply = (fold != held) & (liked >= 0), fold == held
        if len(np.unique(liked[learn])) < 2:
            continue
        told = [csr_matrix(2 * lexicon[:, None])]
        for counts, fewest, most in ((words, 2, None), (parts, 5, _MOST_PARTS)):
            seen = counts[learn]
            kept = np.flatnonzero(np.bincount(seen.indices, minlength=seen.shape[1]) >= fewest)
            often = np.asarray(seen[:, kept].sum(axis=0)).ravel()
            kept = np.sort(kept[np.argsort(-often)[:most]])
            weights = TfidfTransformer(sublinear_tf=True).fit(seen[:, kept])
            told.append(weights.transform(counts[:, kept]))
        features = hstack(told).tocsr()
        model = LogisticRegression(C=3.0, max_iter=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # steps left when nothing more is gained
            model.fit(features[learn], liked[learn])
        chance = model.predict_proba(features[apply])[:, 1]
        # of low and high alike: how many there are of each says nothing about a comment
        high = liked[learn].mean()
        odds = np.log(chance / (1 - chance)) - np.log(high / (1 - high))
        score[apply] = np.tanh(odds / 2)
    return score


RESAMPLES = 8
"""Halves of the customers in which topics are looked for again."""

STABLE = 0.4
"""Least mean overlap (Jaccard) of a topic's words with those it has in the halves."""

WORDS = 6
"""Words that name a topic."""

MOST_TOPICS = 14
"""Topics of one language that are looked for at most."""

_SIZES = (1.0, 0.7, 0.5, 0.3)
_MOST_TOLD, _WORTH = 0.75, 0.05
_LEAST_OF_TOP = 0.2
_WORD = r"(?u)\b[^\W\d_]{3,}\b"
_MOST_COMMON = 0.4
_LEAST_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Topics:
    """Words of each topic, their overlap with those in halves, and the topic of each text (-1:
    none).
    """

    words: list[tuple[str, ...]]
    stability: list[float]
    topic: NDArray[np.int64]


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words of a language that say nothing of what a text is about; none where not known."""
    known = json.loads(files("cxlib.statistics").joinpath("stop_words.json").read_text("utf-8"))
    return frozenset(known.get(language, "").split())


def find_topics(
    texts: list[str], customer: NDArray[np.integer], *, language: str, k: int, seed: int = 0
) -> Topics:
    """Find what texts of one language are about, by non-negative matrix factorisation.

    Words that at least `k` customers use take part; a topic is kept where its words come again in
    halves of the customers. There are as many topics as leave few texts without a stable one.
    Lee & Seung (1999), doi:10.1038/44565; Greene, O'Callaghan & Cunningham (2014),
    doi:10.1007/978-3-662-44848-9_32
    """
    weights, vocabulary = _weights(texts, customer, language, k)
    most = min(MOST_TOPICS, int(np.sqrt(len(texts) / 8)), len(vocabulary) // 4)
    found = Topics([], [], np.full(len(texts), -1, dtype=np.int64))
    for size in sorted({round(most * part) for part in _SIZES if most * part >= 2}, reverse=True):
        told = (found.topic >= 0).mean()
        if told >= _MOST_TOLD:
            break
        other = _topics(weights, vocabulary, customer, size, np.random.default_rng(seed))
        # fewer topics only where clearly more is told by them
        found = other if (other.topic >= 0).mean() > told + _WORTH else found
    return found


def _topics(
    weights: Any,
    vocabulary: list[str],
    customer: NDArray[np.integer],
    size: int,
    rng: np.random.Generator,
) -> Topics:
    """So many topics, without those whose words do not come again."""
    loads, parts = _factors(weights, size)
    words = [_top(part, vocabulary) for part in parts]
    people = np.unique(customer)
    overlap = np.zeros((size, RESAMPLES))
    for i in range(RESAMPLES):
        half = rng.choice(people, len(people) // 2, replace=False)
        _, again = _factors(weights[np.isin(customer, half)], size)
        overlap[:, i] = _matched(words, [_top(part, vocabulary) for part in again])
    stability = overlap.mean(axis=1)
    kept = np.flatnonzero(stability >= STABLE)
    part = loads * parts.sum(axis=1)
    whole = np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
    best = part.argmax(axis=1)
    clear = (part / whole).max(axis=1) >= _LEAST_WEIGHT
    number = np.full(size, -1)
    number[kept] = np.arange(len(kept))
    topic = np.where(clear & (part.sum(axis=1) > 1e-9), number[best], -1).astype(np.int64)
    return Topics([words[i] for i in kept], [float(stability[i]) for i in kept], topic)


def _weights(
    texts: list[str], customer: NDArray[np.integer], language: str, k: int
) -> tuple[Any, list[str]]:
    """TF-IDF of the words that enough customers use."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    stop = stop_words(language)
    try:
        counter = CountVectorizer(token_pattern=_WORD, binary=True)
        # what was masked is no word
        read = [text.replace("[", " _").replace("]", "_ ") for text in texts]
        counts = counter.fit_transform(read)
    except ValueError:  # no word at all
        return csr_matrix((len(texts), 0)), []
    names = counter.get_feature_names_out()
    _, who = np.unique(customer, return_inverse=True)
    deal = csr_matrix((np.ones(len(texts)), (who, np.arange(len(texts)))))
    users = np.asarray(((deal @ counts) > 0).sum(axis=0)).ravel()
    share = np.asarray(counts.sum(axis=0)).ravel() / len(texts)
    kept = (users >= k) & (share <= _MOST_COMMON) & np.array([n not in stop for n in names])
    if not kept.any():
        return csr_matrix((len(texts), 0)), []
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, kept]), names[kept].tolist()


def _factors(weights: Any, size: int) -> tuple[Estimates, Estimates]:
    from sklearn.decomposition import NMF

    model = NMF(size, init="nndsvd", max_iter=200, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps left when nothing more is gained
        return model.fit_transform(weights), model.components_


def _top(part: Estimates, vocabulary: list[str]) -> tuple[str, ...]:
    order = np.argsort(-part, kind="stable")[:WORDS]
    return tuple(vocabulary[i] for i in order if part[i] > _LEAST_OF_TOP * part.max())


def _matched(words: list[tuple[str, ...]], again: list[tuple[str, ...]]) -> Estimates:
    """Overlap of each topic with its match among others, one to one."""
    from scipy.optimize import linear_sum_assignment

    overlap = np.array([[len({*a} & {*b}) / max(len({*a, *b}), 1) for b in again] for a in words])
    mine, others = linear_sum_assignment(-overlap)
    found = np.zeros(len(words))
    found[mine] = overlap[mine, others]
    return found
