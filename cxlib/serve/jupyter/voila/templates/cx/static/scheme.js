// Light or dark: as the reader's system has it, until the reader turns the switch. Loaded before the page is shown, so that
// it does not flash; the style sheets follow `data-cx-scheme`, and figures follow the style sheets.
(() => {
  "use strict";
  const KEY = "cx-scheme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  // A browser may forbid pages, above all those opened as files, to keep anything.
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (scheme) => { try { localStorage.setItem(KEY, scheme); } catch { /* for this page only */ } };
  const scheme = () => root.dataset.cxScheme ?? (system.matches ? "dark" : "light");
  if (["dark", "light"].includes(kept())) root.dataset.cxScheme = kept();

  const wire = () => {
    for (const button of document.querySelectorAll(".cx-scheme")) {
      const name = () => { button.textContent = scheme() === "dark" ? button.dataset.light : button.dataset.dark; };
      button.hidden = false;
      name();
      system.addEventListener("change", name);
      button.addEventListener("click", () => {
        root.dataset.cxScheme = scheme() === "dark" ? "light" : "dark";
        keep(root.dataset.cxScheme);
        name();
      });
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", wire);
  else wire();
})();
