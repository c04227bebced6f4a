"""Comments in two languages, made of words, with known topics, moods and personal data."""

from random import Random

from journey_oracle import contact

TOPICS = {
    "en": {
        "delivery": "parcel delivery courier driver package shipping doorstep tracking",
        "price": "price discount invoice expensive cheap voucher payment refund",
        "advice": "advice staff assistant explained friendly question counter answer",
    },
    "de": {
        "delivery": "paket lieferung bote zusteller sendung haustür versand termin",
        "price": "preis rabatt rechnung teuer günstig gutschein zahlung angebot",
        "advice": "beratung personal verkäufer erklärt freundlich frage theke antwort",
    },
}
GOOD = {"en": "great excellent perfect happy love", "de": "super toll perfekt zufrieden klasse"}
BAD = {"en": "terrible awful broken angry worst", "de": "schlecht furchtbar kaputt wütend mies"}
GLUE = {"en": "the was and with for", "de": "die war und mit für"}
STEPS = ["visit", "basket", "support"]
ABOUT = {"visit": "advice", "basket": "price", "support": "delivery"}


def write(dice, language, topic, rating):
    words = dice.sample(TOPICS[language][topic].split(), 4)
    mood = (GOOD if rating > 6.5 else BAD)[language].split()
    words += [dice.choice(mood), dice.choice(mood), *dice.sample(GLUE[language].split(), 3)]
    dice.shuffle(words)
    return " ".join(words).capitalize()


def comment_log(customers, *, seed=1, german=0.4, focus=0.7, extra=()):
    """One rated contact each with a comment; support is about delivery in `focus` of them.

    Returns contacts, and by customer (language, topic, rating, comment).
    """
    dice = Random(seed)
    log, truth = [], {}
    for number in range(customers):
        name, step = f"c{number:04}", dice.choice(STEPS)
        language = "de" if dice.random() < german else "en"
        topic = ABOUT[step] if dice.random() < focus else dice.choice([*ABOUT.values()])
        rating = float(dice.choice([1, 2, 3, 9, 10]))
        text = write(dice, language, topic, rating)
        if number < len(extra):
            text = f"{text} {extra[number]}"
        truth[name] = (language, topic, rating, text)
        log.append(contact(name, dice.uniform(0, 80), step, rating=rating))
    return log, truth
