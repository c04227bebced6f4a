// The address of the page carries what is selected. On opening, what the address asks for is told to the kernel; from then
// on the address follows the selection. Parameters that are not ours stay, but for the token, which is nobody's to pass on.
function ownPart(model) {
  const names = new Set(model.get("names"));
  const ours = [...new URLSearchParams(location.search)].filter(([name]) => names.has(name));
  return String(new URLSearchParams(ours)).slice(0, model.get("longest"));
}

function addressOf(model) {
  const names = new Set([...model.get("names"), "token"]);
  const kept = [...new URLSearchParams(location.search)].filter(([name]) => !names.has(name));
  const search = String(new URLSearchParams([...kept, ...new URLSearchParams(model.get("selected"))]));
  return location.pathname + (search ? `?${search}` : "") + location.hash;
}

// A widget that the page does not know yet would miss what the kernel answers.
async function othersAreThere(model) {
  const manager = model.widget_manager;
  for (const id of model.get("others")) {
    while (!manager.has_model(id)) await new Promise((later) => setTimeout(later, 20));
    await manager.get_model(id);
  }
}

function tell(model, asked) {
  model.set("asked", asked);
  othersAreThere(model).then(() => model.save_changes());
}

function initialize({ model }) {
  const asked = ownPart(model);
  // Nothing asked: nothing to wait for.
  if (model.get("active") && asked) tell(model, asked);
}

// A slider tells screen readers positions: they are told its name and what stands beside it, too.
function sayValues(page) {
  for (const slider of page.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent.trim() || "Value";
    const said = slider.querySelector(".widget-readout")?.textContent.trim() ?? "";
    const handles = [...slider.querySelectorAll(".noUi-handle")];
    const values = handles.length === 2 ? said.split(/(?<=\d{4})\s*[-–]\s*/) : [said];
    handles.forEach((handle, i) => {
      const name = handles.length === 2 ? `${label} (${i ? "to" : "from"})` : label;
      const told = { "aria-label": name, "aria-valuetext": values[i] ?? said };
      for (const [key, value] of Object.entries(told)) {
        if (handle.getAttribute(key) !== value) handle.setAttribute(key, value);
      }
    });
  }
}

function watchSliders(el) {
  const page = el.closest(".cx-panel") ?? document.body;
  const watch = new MutationObserver(() => sayValues(page));
  const attributes = { attributes: true, attributeFilter: ["aria-valuetext"] };
  watch.observe(page, { childList: true, characterData: true, subtree: true, ...attributes });
  sayValues(page);
  return () => watch.disconnect();
}

function render({ model, el }) {
  let forget = () => {};
  // The widget is made before it stands on its page.
  requestAnimationFrame(() => { forget = watchSliders(el); });
  const close = offerLink({ model, el });
  return () => { forget(); close?.(); };
}

function offerLink({ model, el }) {
  if (!model.get("active")) return;
  const { copy, copied, byHand } = model.get("words");
  const button = document.createElement("button");
  const said = document.createElement("span");
  const field = document.createElement("input");
  Object.assign(button, { type: "button", textContent: copy, className: "cx-copy" });
  Object.assign(field, { type: "text", readOnly: true, hidden: true });
  field.setAttribute("aria-label", byHand);
  said.setAttribute("role", "status");
  el.append(button, said, field);

  button.addEventListener("click", async () => {
    const link = location.origin + addressOf(model);
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = copied;
      field.hidden = true;
    } catch {
      // The clipboard is closed to pages without encryption: the link is there to be copied by hand.
      said.textContent = byHand;
      Object.assign(field, { value: link, hidden: false });
      field.select();
    }
  });

  const follow = () => {
    const answered = model.get("answered") === model.get("asked");
    el.setAttribute("aria-busy", String(!answered));
    if (!answered) return;
    said.textContent = "";
    field.hidden = true;
    history.replaceState(history.state, "", addressOf(model));
  };
  // What is chosen on the page before it is live is in its address, too.
  const ask = () => {
    const asked = ownPart(model);
    if (asked === model.get("asked")) return;
    tell(model, asked);
    follow();
  };
  model.on("change:selected", follow);
  model.on("change:answered", follow);
  window.addEventListener("cx-asked", ask);
  follow();
  ask();
  return () => {
    window.removeEventListener("cx-asked", ask);
    model.off("change:selected", follow);
    model.off("change:answered", follow);
  };
}

export default { initialize, render };
