"use strict";
// Sorting, filtering and opening rows of the table of preconditions.
// The state can be given in the address: #sort=precision&dir=descending&status=proved&q=relu1&open=ID
(() => {
  const root = document.documentElement;
  const table = document.getElementById("list");
  if (!table) { root.dataset.ready = "empty"; return; }
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const fields = { kind: null, status: null, label: null };
  for (const name of Object.keys(fields)) fields[name] = document.getElementById(name);
  const search = document.getElementById("q");
  const count = document.getElementById("count");
  const none = document.getElementById("none");

  const items = [...body.querySelectorAll(":scope > tr.row")].map((row, index) => {
    const card = row.nextElementSibling;
    return { row, card, index, button: row.querySelector(".open"), text: row.textContent.toLowerCase(), keys: [] };
  });

  const keyOf = (item, column) => {
    if (!(column in item.keys)) {
      const cell = item.row.cells[column];
      item.keys[column] = "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim();
    }
    return item.keys[column];
  };
  const collator = new Intl.Collator(undefined, { numeric: true });

  function sort(column, direction) {
    const sign = direction === "descending" ? -1 : 1;
    const ordered = items.slice().sort((a, b) => {
      const x = keyOf(a, column), y = keyOf(b, column);
      const order = typeof x === "number" ? x - y : collator.compare(x, y);
      return sign * order || a.index - b.index;
    });
    const part = document.createDocumentFragment();
    for (const item of ordered) part.append(item.row, item.card);
    body.append(part);
    heads.forEach((head, k) => {
      if (k === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
    root.dataset.sort = heads[column].dataset.key;
  }

  function show(item, open) {
    item.button.setAttribute("aria-expanded", String(open));
    item.card.hidden = !open || item.row.hidden;
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const data = item.row.dataset;
      const fits = Object.entries(fields).every(([name, field]) => !field.value || data[name] === field.value)
        && words.every((word) => item.text.includes(word));
      item.row.hidden = !fits;
      item.card.hidden = !fits || item.button.getAttribute("aria-expanded") !== "true";
      shown += fits;
    }
    const total = items.length;
    count.textContent = shown === total ? `${total} preconditions` : `${shown} of ${total} preconditions`;
    none.hidden = shown > 0;
    root.dataset.shown = String(shown);
  }

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const numeric = head.classList.contains("num");
      const now = head.getAttribute("aria-sort");
      const first = numeric ? "descending" : "ascending";
      const second = numeric ? "ascending" : "descending";
      sort(column, now === first ? second : first);
    });
  });
  const byRow = new Map(items.map((item) => [item.row, item]));
  body.addEventListener("click", (event) => {
    const item = byRow.get(event.target.closest("tr.row"));
    if (!item || String(window.getSelection())) return;
    show(item, item.button.getAttribute("aria-expanded") !== "true");
  });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 80); });
  for (const field of Object.values(fields)) field.addEventListener("change", filter);
  document.getElementById("reset").addEventListener("click", () => {
    search.value = "";
    for (const field of Object.values(fields)) field.value = "";
    filter();
  });

  function fromAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const column = heads.findIndex((head) => head.dataset.key === wanted.get("sort"));
    if (column >= 0) sort(column, wanted.get("dir") === "descending" ? "descending" : "ascending");
    if (wanted.has("q")) search.value = wanted.get("q");
    for (const [name, field] of Object.entries(fields)) if (wanted.has(name)) field.value = wanted.get(name);
    filter();
    const open = items.find((item) => item.row.dataset.id === wanted.get("open"));
    if (open) { show(open, true); open.row.scrollIntoView({ block: "start" }); }
  }
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
  root.dataset.rows = String(items.length);
  root.dataset.ready = "yes";
})();
