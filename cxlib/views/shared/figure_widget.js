// Draws the figure in the trait `figure` with plotly.js, which a page loads once: from the server's own
// static files where it has them (Voila), else from the kernel, through the connection that is already open.
// Below it: what opens (table, meaning, sureness) and what takes it away (PNG, SVG, CSV).

function fromKernel(model) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("plotly.js did not arrive")), 60000);
    const receive = async (message, buffers) => {
      if (message?.type !== "plotly.js") return;
      model.off("msg:custom", receive);
      clearTimeout(timer);
      const address = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
      await import(address);
      URL.revokeObjectURL(address);
      resolve();
    };
    model.on("msg:custom", receive);
    model.send({ type: "plotly.js" });
  });
}

async function load(model) {
  const path = model.get("plotly_url");
  if (path && !globalThis.Plotly) {
    // A server without the file answers 404; the kernel has it.
    await import(new URL(path, location.origin).href).catch(() => {});
  }
  if (!globalThis.Plotly) await fromKernel(model);
  return globalThis.Plotly;
}

const plotly = (model) => (globalThis.cxPlotly ??= load(model));

const plain = (text) => new DOMParser().parseFromString(text, "text/html").body.textContent;

function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (longer.length > width && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

// A picture that leaves the page has to say by itself what it shows, and from when.
async function takePicture(model, plot, format) {
  const Plotly = await plotly(model);
  const { data, layout } = structuredClone(model.get("figure"));
  const width = Math.max(plot.clientWidth, 900);
  const title = wrap(model.get("alt"), Math.floor(width / 10));
  const credit = wrap(model.get("credit"), Math.floor(width / 7.5));
  const more = 28 + 24 * title.length + 18 * credit.length + 8;
  // plotly centres a title of several lines on its first one.
  const pad = { t: 16 + 10 * (title.length - 1), l: 16 };
  layout.title = { text: title.join("<br>"), subtitle: { text: credit.join("<br>") }, pad };
  layout.margin = { ...layout.margin, t: (layout.margin?.t ?? 10) + more };
  const height = (layout.height ?? 360) + more;
  Object.assign(layout, { width, height });
  const scale = format === "png" ? 2 : 1;
  await Plotly.downloadImage({ data, layout }, { format, filename: model.get("file"), width, height, scale });
}

// The data, table and CSV, are written only for those who ask: for most visitors they are the larger part of an answer.
function want(model, wanted) {
  if (model.get("wanted") === wanted) return;
  model.set("wanted", wanted);
  model.save_changes();
}

function data(model) {
  if (model.get("csv")) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const arrived = () => {
      clearTimeout(timer);
      model.off("change:csv", arrived);
      resolve();
    };
    const timer = setTimeout(() => {
      model.off("change:csv", arrived);
      reject(new Error("the data did not arrive"));
    }, 60000);
    model.on("change:csv", arrived);
    want(model, true);
  });
}

async function takeTable(model) {
  await data(model);
  // The mark at the start is what makes spreadsheets read names in UTF-8.
  const address = URL.createObjectURL(new Blob(["\ufeff", model.get("csv")], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: `${model.get("file")}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// A table of hundreds of rows costs more to lay out than the figure to draw: it is written when it is opened.
function fill(details) {
  if (!details.open || details.filled === details.html) return;
  details.lastChild.innerHTML = details.filled = details.html;
  for (const heading of details.querySelectorAll(".cx-table th")) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "cx-sort" });
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(heading));
    heading.append(button);
  }
}

const UNITS = { k: 1000, s: 1, min: 60, h: 3600, open: 3600, hour: 3600, hours: 3600, d: 86400, day: 86400, days: 86400 };
const DATE = /^(\d{1,2} [A-Z][a-z]+ \d{4}|\d{4}-\d\d-\d\d)/;
const numberIn = (cell) => {
  if (DATE.test(cell.textContent)) return Date.parse(cell.textContent);
  const [, sign, digits, unit] = cell.textContent.replace(/,/g, "").match(/([−-]?)(\d+(?:\.\d+)?)\s*([a-z]*)/) ?? [];
  return digits === undefined ? undefined : (sign ? -1 : 1) * Number(digits) * (UNITS[unit] ?? 1);
};

// A heading sorts its table: figures at first from the largest; what is not known stays at the end.
function sortBy(heading) {
  const { tBodies: [body], tHead } = heading.closest("table"), isNumber = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort") ?? (isNumber ? "ascending" : "descending");
  const up = before === "descending";
  for (const other of tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[heading.cellIndex];
    return isNumber ? numberIn(cell) : cell.textContent === "–" ? undefined : cell.textContent;
  };
  const rows = [...body.rows].map((row) => [key(row), row]);
  const compared = (a, b) => (isNumber ? a - b : a.localeCompare(b)) * (up ? 1 : -1);
  rows.sort(([a], [b]) => (a === undefined || b === undefined ? (a === undefined) - (b === undefined) : compared(a, b)));
  body.append(...rows.map(([, row]) => row));
}

function noteElement(turned) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const content = document.createElement("div");
  content.className = "cx-content";
  details.append(summary, content);
  details.addEventListener("toggle", () => {
    turned(details.open);
    fill(details);
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    summary.focus();
  });
  return details;
}

function below(model, plot, el) {
  if (!model.get("file")) return () => {};
  const box = document.createElement("div");
  const takeAway = document.createElement("span");
  box.className = "cx-below";
  takeAway.className = "cx-take-away";
  const { download } = model.get("words");
  takeAway.textContent = download;
  const button = (name, act) => {
    const one = document.createElement("button");
    Object.assign(one, { type: "button", textContent: name });
    one.setAttribute("aria-label", `${download} ${name}: ${model.get("label")}`);
    one.addEventListener("click", async () => {
      one.disabled = true;
      try { await act(); } catch (error) { console.error(error); } finally { one.disabled = false; }
    });
    takeAway.append(one);
    return one;
  };
  const pictures = [button("PNG", () => takePicture(model, plot, "png")), button("SVG", () => takePicture(model, plot, "svg"))];
  const csv = button("CSV", () => takeTable(model));
  box.append(takeAway);
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", model.get("label"));
  el.append(box);

  const write = () => {
    const notes = model.get("notes");
    const there = [...box.querySelectorAll("details")];
    // What is open stays open: only its content changes. The last one is the table.
    notes.forEach(([heading, html], i) => {
      const turned = (open) => { if (i === notes.length - 1) want(model, open); };
      const details = there[i] ?? box.insertBefore(noteElement(turned), takeAway);
      details.firstChild.textContent = plain(heading);
      details.html = html;
      fill(details);
    });
    there.slice(notes.length).forEach((details) => details.remove());
    csv.hidden = !notes.length;
  };
  const offer = () => { for (const picture of pictures) picture.hidden = !model.get("figure").data; };
  model.on("change:notes", write);
  model.on("change:figure", offer);
  write();
  offer();
  return () => {
    model.off("change:notes", write);
    model.off("change:figure", offer);
  };
}

// Figures come in light colours, each with its twin for a page that is dark, as the text around the figure tells.
const onDark = (element) => {
  const parts = getComputedStyle(element).color.match(/[\d.]+/g)?.slice(0, 3).map(Number) ?? [0];
  return Math.max(...parts) > 128;
};

// plotly writes defaults into what it is given: it gets its own copy.
function inItsScheme(model, dark) {
  const figure = model.get("figure"), twins = model.get("dark");
  if (!dark || !Object.keys(twins).length) return structuredClone(figure);
  const hex = (parts) => `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
  const text = JSON.stringify(figure)
    .replace(/#[0-9a-f]{6}\b/g, (colour) => twins[colour] ?? colour)
    .replace(/rgba\((\d+),(\d+),(\d+),/g, (colour, ...parts) => {
      const twin = twins[hex(parts.slice(0, 3))];
      return twin ? `rgba(${[1, 3, 5].map((i) => parseInt(twin.slice(i, i + 2), 16)).join(",")},` : colour;
    });
  return JSON.parse(text);
}

// Paper is not as wide as the window: a figure is drawn for the width it has there, or is to be read at; with a view box the
// style sheet can make the picture fit.
const onPaper = () => matchMedia("print").matches;
const paperWidth = (plot) => Number(getComputedStyle(plot).getPropertyValue("--cx-drawn-px")) || plot.clientWidth;
const fitForPaper = (plot) => {
  for (const svg of plot.querySelectorAll(".main-svg")) {
    svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
  }
};

// Calls back when the page may have turned dark, light, or to paper.
function watchScheme(turned) {
  const media = [matchMedia("(prefers-color-scheme: dark)"), matchMedia("print")];
  const marks = new MutationObserver(turned);
  marks.observe(document.documentElement, { attributes: true, attributeFilter: ["data-cx-scheme"] });
  for (const one of media) one.addEventListener("change", turned);
  window.addEventListener("resize", turned);
  return () => {
    window.removeEventListener("resize", turned);
    marks.disconnect();
    for (const one of media) one.removeEventListener("change", turned);
  };
}

function render({ model, el }) {
  const plot = document.createElement("div");
  plot.className = "cx-plot";
  el.appendChild(plot);
  const forget = below(model, plot, el);
  let Plotly, isDark, isPaper, drawing = false, again = false, clicks = 0, frame = 0;

  async function draw() {
    if (drawing) { again = true; return; }
    drawing = true;
    try {
      const { data, layout } = model.get("figure");
      if (!data) return; // words alone, with their data below: no picture to be named
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", model.get("alt"));
      // The class plotly gives it anyway: a page that waits for its figures can find it before plotly is there.
      plot.classList.add("js-plotly-plot");
      plot.style.minHeight = `${layout?.height ?? 360}px`;
      const first = !Plotly;
      Plotly = await plotly(model);
      isDark = onDark(plot);
      isPaper = onPaper();
      const shown = inItsScheme(model, isDark);
      if (isPaper) shown.layout.width = paperWidth(plot);
      await Plotly.react(plot, shown.data, shown.layout, model.get("config"));
      if (first) {
        fitForPaper(plot);
        plot.on("plotly_afterplot", () => fitForPaper(plot));
        plot.on("plotly_click", (event) => {
          const key = event.points.map((p) => p.customdata).find((k) => typeof k === "string");
          if (key === undefined) return;
          model.set("clicked", { key, count: ++clicks });
          model.save_changes();
        });
      }
      plot.dataset.drawn = String(Number(plot.dataset.drawn ?? 0) + 1);
    } catch (error) {
      console.error(error);
      plot.textContent = model.get("words").failed;
    } finally {
      drawing = false;
      if (again) { again = false; draw(); }
    }
  }

  const redraw = () => { if (Plotly && (onDark(plot) !== isDark || onPaper() !== isPaper)) draw(); };
  const resize = new ResizeObserver(() => {
    // The style sheet of the panel is a widget too: what is drawn before it is there may be in the wrong colours.
    redraw();
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (Plotly && !isPaper && plot.offsetParent !== null && plot._fullLayout) Plotly.Plots.resize(plot);
    });
  });
  resize.observe(el);
  const unwatch = watchScheme(redraw);
  model.on("change:figure", draw);
  draw();
  return () => {
    resize.disconnect();
    unwatch();
    model.off("change:figure", draw);
    forget();
    if (Plotly) Plotly.purge(plot);
  };
}

export default { render };
