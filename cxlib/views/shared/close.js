// Closes what stands in the nearest `.cx-closes`: by this button, or by Escape anywhere inside it.
function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "cx-close";
  el.append(button);
  const close = () => {
    model.set("pressed", model.get("pressed") + 1);
    model.save_changes();
    document.querySelector(model.get("leads_to"))?.focus();
  };
  const write = () => {
    button.textContent = model.get("label");
    button.hidden = !model.get("shown");
  };
  const key = (event) => {
    const within = el.closest(".cx-closes");
    if (event.key === "Escape" && !event.defaultPrevented && model.get("shown") && within?.contains(event.target)) close();
  };
  button.addEventListener("click", close);
  document.addEventListener("keydown", key);
  model.on("change:label change:shown", write);
  write();
  return () => { document.removeEventListener("keydown", key); model.off("change:label change:shown", write); };
}

export default { render };
