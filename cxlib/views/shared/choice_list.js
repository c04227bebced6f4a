// A ranked list of which one entry can be chosen: buttons, so that keyboard and screen reader know it.
function render({ model, el }) {
  const list = document.createElement("ol");
  list.className = "cx-choices";
  el.appendChild(list);

  // What was chosen opens elsewhere on the page: whoever does not see it there is led to it, and on a
  // narrow page, where it only looks as if it came next, everybody.
  const lead = async () => {
    const find = () => [...document.querySelectorAll(".cx-opens")].find((one) => one.checkVisibility());
    for (let wait = 0; wait < 40 && !find(); wait += 1) await new Promise((go) => setTimeout(go, 50));
    const to = find(), top = to?.getBoundingClientRect().top;
    const seen = top >= 0 && top < innerHeight * 0.8;
    if (!to || !model.get("chosen") || (seen && getComputedStyle(list).display !== "contents")) return;
    to.tabIndex = -1;
    to.focus({ preventScroll: true });
    if (!seen) to.scrollIntoView({ block: "start" });
  };
  const mark = () => {
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.key === model.get("chosen")));
    }
  };
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !model.get("chosen")) return;
    model.set("chosen", "");
    model.save_changes();
  });
  const write = () => {
    list.setAttribute("aria-label", model.get("label"));
    list.replaceChildren(...model.get("items").map(([key, html]) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.key = key;
      button.innerHTML = html;
      button.addEventListener("click", () => {
        model.set("chosen", model.get("chosen") === key ? "" : key);
        model.save_changes();
        if (model.get("chosen")) lead();
      });
      item.append(button);
      return item;
    }));
    mark();
  };
  model.on("change:items", write);
  model.on("change:chosen", mark);
  write();
  return () => { model.off("change:items", write); model.off("change:chosen", mark); };
}

export default { render };
