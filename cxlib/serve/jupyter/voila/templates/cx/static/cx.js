// What the page itself does: keep the first paint until the live dashboard is drawn, ask for the session that draws it, name
// what assistive technology needs named, say calmly when the session is gone, and end it when the page goes.
(() => {
  "use strict";
  const SWAP_AT_LATEST_MS = 20000;
  const QUIET_MS = 120;
  const WATCH_EVERY_MS = 30000;

  const LEAST_PATIENCE_MS = 60000;
  const UNREACHED = "The server cannot be reached at the moment. What you see is the selection before.";

  // anywidget gives a widget up for good after two seconds, which a busy machine or an old phone may take.
  const { timeout } = AbortSignal;
  AbortSignal.timeout = (ms) => timeout.call(AbortSignal, Math.max(ms, LEAST_PATIENCE_MS));

  let live = false;
  let wire;
  const goLive = (cells) => {
    live = true;
    wire?.close();
    const used = document.activeElement?.closest("#loading") && document.activeElement.labels?.[0]?.textContent;
    // What was opened on the first paint is open on the live page, too.
    const said = (details) => details.firstElementChild?.textContent.trim();
    const opened = new Set([...document.querySelectorAll("#loading details[open]")].map(said));
    for (const details of cells.querySelectorAll("details")) details.open ||= opened.has(said(details));
    document.getElementById("loading")?.remove();
    cells.classList.remove("cx-waiting");
    // Whoever was at a filter stays there.
    const label = used && [...cells.querySelectorAll(".widget-label")].find((one) => one.textContent === used);
    label?.parentElement.querySelector("select, .noUi-handle")?.focus();
    performance.mark("cx-live");
    document.documentElement.dataset.cx = "live";
    window.dispatchEvent(new Event("resize"));
  };
  // What takes long to draw is waited for no longer, but a page with an answer is not given up for an empty one.
  const isNoLess = (cells) =>
    !document.querySelector("#loading .cx-answer") || cells.querySelector(".cx-answer, .cx-error")?.textContent.trim();
  const isDrawn = (cells) =>
    !cells.querySelector('script[type="application/vnd.voila.cell-output+json"]') &&
    [...cells.querySelectorAll(".jp-OutputArea-output")].every((o) => o.childNodes.length && o.textContent !== "Loading widget...") &&
    [...cells.querySelectorAll(".js-plotly-plot")].every((f) => f.querySelector(".main-svg")) &&
    // A part that is busy is on its way to what the address asks for.
    !cells.querySelector("[aria-busy=true]");
  // ---- filters before there is a session ---------------------------------------------------------------------------------
  // The first paint is a form: what is chosen in it is asked for as another address of this page, which the server answers
  // from the snapshot. The live dashboard reads the address, and is told when it changes.
  let choosing = false, asking = 0;
  const repaint = async (form, button) => {
    const ours = new Set(form.dataset.names.split(" "));
    const kept = [...new URLSearchParams(location.search)].filter(([name]) => !ours.has(name));
    // The first option of a filter is what stands there where the address says nothing.
    const chosen = [...new FormData(form, button)].filter(([name]) => form.elements[name]?.selectedIndex !== 0);
    const search = String(new URLSearchParams([...kept, ...chosen]));
    history.replaceState(history.state, "", location.pathname + (search && `?${search}`) + location.hash);
    window.dispatchEvent(new Event("cx-asked"));
    const mine = ++asking;
    form.setAttribute("aria-busy", "true");
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("#loading form");
    if (mine !== asking || !form.isConnected) return;
    asking = 0;
    form.removeAttribute("aria-busy");
    if (!fresh) return notice(UNREACHED, true);
    const { id, name, value } = document.activeElement;
    form.replaceWith(fresh);
    (document.getElementById(id) ?? [...fresh.querySelectorAll("button")].find((one) => one.name === name && one.value === value))?.focus();
    if (button) fresh.querySelector(".cx-opens")?.scrollIntoView({ block: "nearest" });
  };
  const askFor = (event, button) => {
    const form = event.target.closest("#loading form");
    if (!form) return;
    event.preventDefault();
    choosing = false;
    repaint(form, button).catch(() => {
      asking = 0;
      form.removeAttribute("aria-busy");
      notice(UNREACHED, true);
    });
  };
  document.addEventListener("change", (event) => askFor(event));
  document.addEventListener("submit", (event) => askFor(event, event.submitter));
  // What was chosen before this script was there is asked for now.
  const early = document.querySelector("#loading form");
  const isChanged = (box) => box.selectedIndex !== Math.max(0, [...box.options].findIndex((one) => one.defaultSelected));
  if ([...(early?.querySelectorAll("select") ?? [])].some(isChanged)) early.dispatchEvent(new Event("change", { bubbles: true }));
  // A list that is open stays so: the live page comes when something was chosen, or the list is left.
  document.addEventListener("focusin", (event) => { choosing = event.target.matches("#loading select"); });
  document.addEventListener("focusout", () => { choosing = false; });

  const finished = () => {
    // Voila calls this when its scripts have run and every cell is in the page; widgets may still be on their way, so
    // wait until nothing has changed for a moment.
    const cells = document.getElementById("rendered_cells");
    if (!cells || live) return;
    const started = performance.now();
    let changed = started;
    const observer = new MutationObserver(() => (changed = performance.now()));
    observer.observe(cells, { childList: true, subtree: true });
    const look = () => {
      // Voila puts the cells into JupyterLab's shell, beside our page; they belong into its content.
      const shell = document.querySelector("body > .jp-LabShell");
      if (shell) document.getElementById("content").append(shell);
      const now = performance.now();
      if ((cells.closest("#content") && !choosing && !asking && isDrawn(cells) && now - changed > QUIET_MS) || (now - started > SWAP_AT_LATEST_MS && isNoLess(cells))) {
        observer.disconnect();
        goLive(cells);
      } else setTimeout(look, 30);
    };
    look();
  };
  window.themeLoaded = false;
  window.voila_process = () => {};
  window.voila_heartbeat = () => {};
  window.update_loading_text = () => {};
  window.display_cells = finished;
  window.voila_finish = () => {
    if (window.themeLoaded) finished();
  };
  // Set by the markup of stock Voila in an inline script, which the content security policy forbids here.
  window.cellLoaded = true;

  // ---- the figures of the first paint ----------------------------------------------------------------------------------
  // The widgets of the live page take plotly.js from this promise too, so that it is loaded once.
  const loadPlotly = () => {
    const address = document.body.dataset.plotlyUrl;
    const loading = import(new URL(address, location.origin).href).then(() => globalThis.Plotly);
    globalThis.cxPlotly = loading;
    loading.catch(() => (globalThis.cxPlotly = undefined));
    return loading;
  };
  const paint = async () => {
    const places = [...document.querySelectorAll("#loading .cx-paint")];
    if (!document.body.dataset.plotlyUrl) return;
    const Plotly = await loadPlotly();
    for (const place of places) {
      if (live || !place.isConnected) return;
      const { data, layout, config } = JSON.parse(place.querySelector("script").textContent);
      await Plotly.newPlot(place, data, layout, { ...config, staticPlot: true });
    }
    if (places.length) performance.mark("cx-painted");
  };
  paint().catch((error) => console.warn("first paint:", error));

  const kernel = () => {
    const config = document.getElementById("jupyter-config-data");
    return config ? JSON.parse(config.textContent).kernelId : null;
  };

  // ---- asking for a session ---------------------------------------------------------------------------------------------
  const xsrf = () => decodeURIComponent(document.cookie.match(/(?:^|;\s*)_xsrf=([^;]*)/)?.[1] ?? "");
  // Voila waits for the page to be loaded; it may be so already.
  const listen = window.addEventListener;
  window.addEventListener = function (type, act, ...how) {
    if (type !== "load" || document.readyState !== "complete") return listen.call(this, type, act, ...how);
    setTimeout(() => act.call(window, new Event("load")));
  };
  const stayAsPublished = () => {
    document.querySelectorAll(".cx-loading").forEach((line) => line.remove());
    document.getElementById("loading")?.removeAttribute("aria-busy");
  };
  const ask = async () => {
    const cells = document.getElementById("rendered_cells");
    const address = document.body.dataset.sessionUrl;
    if (!cells || !address) return;
    const answer = await fetch(address, {
      method: "POST", credentials: "same-origin", headers: { "X-XSRFToken": xsrf() },
    });
    cells.innerHTML = await answer.text();
    const scripts = [...cells.querySelectorAll("script[src]")];
    for (const script of scripts) script.remove();
    if (!answer.ok || !kernel()) {
      stayAsPublished();
      cells.classList.remove("cx-waiting");
      return;
    }
    // A session without a wire is ended soon: hold one until the widgets have theirs.
    const channels = new URL(`${document.body.dataset.kernelsUrl + kernel()}/channels?session_id=held`, location.href);
    channels.protocol = channels.protocol.replace("http", "ws");
    wire = new WebSocket(channels.href, "v1.kernel.websocket.jupyter.org");
    for (const { src } of scripts) {
      const script = Object.assign(document.createElement("script"), { src, async: false });
      document.body.append(script);
    }
  };
  // Only once the first paint is there, and only for somebody who sees the page.
  let asked = false;
  const askWhenSeen = () => {
    if (asked || document.visibilityState !== "visible" || document.prerendering) return;
    asked = true;
    document.removeEventListener("visibilitychange", askWhenSeen);
    document.removeEventListener("prerenderingchange", askWhenSeen);
    ask().catch(() => {
      stayAsPublished();
      notice("The server cannot be reached at the moment. What you see is still right.", true);
    });
  };
  requestAnimationFrame(() => setTimeout(askWhenSeen));
  document.addEventListener("visibilitychange", askWhenSeen);
  document.addEventListener("prerenderingchange", askWhenSeen);

  // ---- the session behind the page -------------------------------------------------------------------------------------
  const notice = (text, reload) => {
    const box = document.getElementById("cx-notice");
    if (!box || box.dataset.text === text) return;
    box.dataset.text = text;
    box.hidden = !text;
    box.textContent = text;
    if (reload) {
      const button = document.createElement("button");
      button.textContent = "Reload";
      button.addEventListener("click", () => location.reload());
      box.append(" ", button);
    }
  };
  const watch = async () => {
    const id = kernel();
    if (!id || document.visibilityState !== "visible") return;
    try {
      const answer = await fetch(document.body.dataset.kernelsUrl + id, { credentials: "same-origin" });
      if (answer.status === 404) {
        notice("This page has rested for a while and can no longer be filtered. What you see is still right.", true);
      } else if (answer.ok) notice("", false);
    } catch {
      notice("The server cannot be reached at the moment. What you see is still right; trying again.", false);
    }
  };
  setInterval(watch, WATCH_EVERY_MS);
  document.addEventListener("visibilitychange", watch);

  // `beforeunload`, which Voila listens to, is not sent on phones; `pagehide` is.
  window.addEventListener("pagehide", () => {
    const id = kernel();
    if (!id || !xsrf()) return;
    const form = new FormData();
    form.append("_xsrf", xsrf());
    navigator.sendBeacon(document.body.dataset.shutdownUrl + id, form);
  });
  // A page taken from the back/forward cache has lost its session: load it anew.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  // On a phone the row of views is wider than the page: the one shown is in sight.
  document.querySelector(".cx-views [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  // ---- names for assistive technology ----------------------------------------------------------------------------------
  const name = (element, attribute, value) => {
    if (value && element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  };
  const nameFigures = () =>
    document.querySelectorAll(".js-plotly-plot").forEach((figure) => {
      const title = figure.layout?.meta?.alt || figure.layout?.title?.text?.replace(/<[^>]*>/g, " ");
      figure.querySelectorAll(".main-svg").forEach((svg, i) => {
        if (i) return name(svg, "aria-hidden", "true");
        name(svg, "role", "img");
        name(svg, "aria-label", title || "Figure");
      });
      figure.querySelectorAll(".modebar-btn").forEach((button) => {
        name(button, "aria-label", button.getAttribute("data-title"));
      });
    });
  let queued = false;
  new MutationObserver(() => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      nameFigures();
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
