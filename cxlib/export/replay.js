// Shows what a dashboard said when it was recorded (recording.py). There is no server behind this page: every answer is in
// it, compressed. The widgets are those of the served dashboard (WIDGETS, put in front of this script), on models that
// answer from the recording.
(async () => {
  "use strict";

  // ---- what is in the file ---------------------------------------------------------------------------------------------
  const unpack = (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const loadPlotly = async () => {
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([await unpack("cx-plotly")], { type: "text/javascript" }));
    await new Promise((resolve, reject) => {
      script.onload = resolve;
      script.onerror = () => reject(new Error("plotly.js did not start"));
      document.head.append(script);
    });
    URL.revokeObjectURL(script.src);
    return globalThis.Plotly;
  };
  // The figures wait for it; until then the words are there.
  globalThis.cxPlotly = loadPlotly();
  const recording = JSON.parse(await unpack("cx-recording"));

  const known = new Map();
  // A value by its number. Equal parts are the same object: nobody may change them.
  const value = (number) => {
    if (!known.has(number)) known.set(number, whole(recording.nodes[number]));
    return known.get(number);
  };
  const whole = (part) => {
    if (Array.isArray(part)) return part.map(whole);
    if (part === null || typeof part !== "object") return part;
    if ("$" in part) return value(part.$);
    const full = Object.fromEntries(Object.entries(part).map(([key, one]) => [key, whole(one)]));
    if (!full.pieces) return full;
    const { pieces, ...rest } = full;
    return { ...rest, bdata: btoa(pieces.map(atob).join("")) };
  };

  // ---- what is chosen --------------------------------------------------------------------------------------------------
  const filters = recording.choices.filter((choice) => choice.filter);
  const details = recording.choices.filter((choice) => !choice.filter);
  const chosen = Object.fromEntries(filters.map((choice) => [choice.widget, choice.first]));
  const selection = () => recording.selections[JSON.stringify(filters.map((choice) => chosen[choice.widget]))];
  const isKnown = (choice, key) =>
    key === selection().chosen[choice.widget] || key in selection().changes[choice.widget];
  const choose = (choice, key) => {
    chosen[choice.widget] = key;
    if (choice.filter && !recording.together) {
      for (const other of filters) if (other !== choice) chosen[other.widget] = other.first;
    }
    show();
  };
  const control = (choice) => document.getElementById(`cx-choice-${choice.widget}`);

  // ---- the widgets -----------------------------------------------------------------------------------------------------
  const models = new Map();
  class Model {
    constructor(traits) { this.traits = traits; this.heard = {}; }
    get(name) { return this.traits[name]; }
    on(names, act) { for (const name of names.split(" ")) (this.heard[name] ??= new Set()).add(act); }
    off(names, act) { for (const name of names.split(" ")) this.heard[name]?.delete(act); }
    set(name, now) { this.traits[name] = now; }
    // What comes from the recording.
    take(traits) {
      Object.assign(this.traits, traits);
      for (const name of Object.keys(traits)) for (const act of this.heard[`change:${name}`] ?? []) act();
    }
    send() {}
    // What comes from the reader: an entry of a list, something in a figure, or a button that closes.
    save_changes() {
      const list = details.find((choice) => choice.widget === this.widget);
      if (list) return choose(list, this.get("chosen"));
      const { key } = this.get("clicked") ?? {};
      // Heard once: whatever else is saved later was not clicked.
      this.set("clicked", {});
      for (const choice of details.filter((one) => one.nothing !== null)) {
        if (this.pressed !== this.get("pressed")) choose(choice, choice.nothing);
        else if (key !== undefined && isKnown(choice, key)) choose(choice, chosen[choice.widget] === key ? choice.nothing : key);
      }
      this.pressed = this.get("pressed");
    }
  }

  // ---- showing ---------------------------------------------------------------------------------------------------------
  let shown = [];
  const wanted = () => {
    const { shown: numbers, changes, chosen: first } = selection();
    const now = recording.slots.map(() => null);
    for (const [slot, number] of numbers) now[slot] = number;
    for (const choice of details) {
      if (chosen[choice.widget] === undefined || !isKnown(choice, chosen[choice.widget])) {
        chosen[choice.widget] = first[choice.widget];
      }
      for (const [slot, number] of changes[choice.widget][chosen[choice.widget]] ?? []) now[slot] = number;
    }
    return now;
  };
  const figure = (widget, now) => {
    const parts = { data: [], layout: null };
    recording.slots.forEach(([whose, trait, part], slot) => {
      if (whose !== widget || trait !== "figure" || now[slot] === null) return;
      if (part === "data") parts.data.push(value(now[slot]));
      else parts.layout = value(now[slot]);
    });
    return parts.layout ? parts : {};
  };
  const show = () => {
    const now = wanted();
    const news = new Map();
    recording.slots.forEach(([widget, trait], slot) => {
      if (now[slot] === shown[slot]) return;
      if (!news.has(widget)) news.set(widget, {});
      if (trait !== "figure") news.get(widget)[trait] = value(now[slot]);
      else news.get(widget).figure ??= figure(widget, now);
    });
    shown = now;
    for (const [widget, { hidden, value: html, ...traits }] of news) {
      const place = document.querySelector(`[data-widget="${widget}"]`);
      if (hidden !== undefined) place.hidden = hidden;
      if (html !== undefined) place.firstElementChild.innerHTML = html;
      if (!place.dataset.kind) continue;
      if (models.has(widget)) models.get(widget).take(traits);
      else {
        const model = new Model({ figure: {}, pressed: 0, ...traits });
        Object.assign(model, { widget, pressed: 0 });
        models.set(widget, model);
        WIDGETS[place.dataset.kind].render({ model, el: place });
      }
    }
    for (const choice of recording.choices) {
      if (control(choice)) control(choice).value = chosen[choice.widget];
      else models.get(choice.widget)?.take({ chosen: chosen[choice.widget] });
    }
  };
  for (const choice of recording.choices) {
    control(choice)?.addEventListener("change", (event) => choose(choice, event.target.value));
  }
  show();
  document.documentElement.dataset.cx = "live";
})().catch((error) => {
  console.error(error);
  document.getElementById("cx-notice").hidden = false;
});
