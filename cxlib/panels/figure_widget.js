// Draws the figure in the trait `figure` with plotly.js, which a page loads once: from the server's own
// static files where it has them (Voila), else from the kernel, through the connection that is already open.

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

function render({ model, el }) {
  const plot = document.createElement("div");
  // The class plotly gives it anyway: a page that waits for its figures can find it before plotly is there.
  plot.className = "cx-plot js-plotly-plot";
  plot.setAttribute("role", "img");
  el.appendChild(plot);
  let Plotly, drawing = false, again = false, clicks = 0, frame = 0;

  async function draw() {
    if (drawing) { again = true; return; }
    drawing = true;
    try {
      const { data, layout } = model.get("figure");
      plot.setAttribute("aria-label", model.get("alt"));
      if (!data) return;
      plot.style.minHeight = `${layout?.height ?? 360}px`;
      const first = !Plotly;
      Plotly = await plotly(model);
      // plotly writes defaults into what it is given: it gets its own copy.
      await Plotly.react(plot, structuredClone(data), structuredClone(layout), model.get("config"));
      if (first) {
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
      plot.textContent = "The figure could not be drawn. Reload the page, or read the table below.";
    } finally {
      drawing = false;
      if (again) { again = false; draw(); }
    }
  }

  const resize = new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (Plotly && plot.offsetParent !== null && plot._fullLayout) Plotly.Plots.resize(plot);
    });
  });
  resize.observe(el);
  model.on("change:figure", draw);
  draw();
  return () => {
    resize.disconnect();
    model.off("change:figure", draw);
    if (Plotly) Plotly.purge(plot);
  };
}

export default { render };
