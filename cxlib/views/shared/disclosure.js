// A heading that opens and closes what stands below it: the browser's own element, so that keyboard and screen reader
// know it. What it holds can change without closing it.
function render({ model, el }) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const content = document.createElement("div");
  details.className = "cx-disclosure";
  content.className = "cx-content";
  details.append(summary, content);
  el.appendChild(details);

  const write = () => { content.innerHTML = model.get("html"); };
  const name = () => { summary.textContent = model.get("heading"); };
  const turn = () => { details.open = model.get("opened"); };
  details.addEventListener("toggle", () => {
    if (model.get("opened") === details.open) return;
    model.set("opened", details.open);
    model.save_changes();
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    summary.focus();
  });
  model.on("change:html", write);
  model.on("change:heading", name);
  model.on("change:opened", turn);
  write(); name(); turn();
  return () => { model.off("change:html", write); model.off("change:heading", name); model.off("change:opened", turn); };
}

export default { render };
