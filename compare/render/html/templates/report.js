"use strict";
// Without this script the page still shows everything but the table of pairs and the change of panel.
const byId = (id) => document.getElementById(id);
const report = JSON.parse(byId("comparison").textContent);
const models = report.models;
const points = [...document.querySelectorAll(".point")];
const SVG = "http://www.w3.org/2000/svg";

const finite = (value) => typeof value === "number";
const nats = (value, digits = 2) => finite(value) ? value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−") : "–";
const signed = (value, digits = 2) => (finite(value) && Number(value.toFixed(digits)) > 0 ? "+" : "") + nats(value, digits);

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

// The plane: one point is in the tab order; arrows move along the rate, Escape goes back to the best.
const tip = byId("tip");
const best = Number(byId("panel-words").dataset.model);
let shown = -1;

function show(index) {
  if (index === shown) return;
  for (const [at, on] of [[shown, false], [index, true]]) {
    if (at < 0) continue;
    points[at].classList.toggle("on", on);
    byId(`region-${at}`)?.classList.toggle("on", on);
    document.querySelector(`tr[data-model="${at}"]`).classList.toggle("on", on);
  }
  shown = index;
  fill(index);
  const { e: x, f: y } = points[index].transform.baseVal.consolidate().matrix;
  const side = x > 500 ? "end" : x < 260 ? "start" : "middle";
  tip.setAttribute("text-anchor", side);
  tip.setAttribute("x", x + (side === "end" ? 10 : side === "start" ? -10 : 0));
  tip.setAttribute("y", y < 60 ? y + 40 : y - 22);
  tip.textContent = models[index].name;
}

function fill(index) {
  const row = models[index];
  const card = byId(`model-${index}`);
  const words = byId("panel-words");
  const title = element("h3");
  const link = element("a", row.name);
  link.href = `#model-${index}`;
  title.append(card.querySelector(".glyph").cloneNode(true), link);
  const about = element("p", `${row.family} β${row.beta}: ${card.querySelector("dd").lastChild.textContent.trim()}`);
  const numbers = element("p", "", "numbers");
  for (const [name, value] of [["R", row.rate_nats], ["D", row.distortion_nats], ["ELBO", row.elbo_nats]]) {
    const pair = element("span", `${name} `);
    pair.append(element("b", nats(value)));
    numbers.append(pair, " ");
  }
  numbers.append("nats");
  const standing = index === best ? "least R + D of all" : row.on_frontier ? "on the frontier"
    : row.dominated_by ? `surely beaten by ${row.dominated_by}` : "off the frontier, not surely beaten";
  const ignores = card.querySelector(".ignores");
  const said = ignores ? [ignores.cloneNode(true)] : [];
  words.replaceChildren(element("p", standing, "kind"), title, ...said, about, numbers);
  words.dataset.model = index;
  const pictures = card.querySelector(".pictures");
  byId("panel-pictures").replaceChildren(...(pictures ? [pictures.cloneNode(true)] : []));
}

function stop(index) {
  for (const [at, point] of points.entries()) point.tabIndex = at === index ? 0 : -1;
}

byId("svg").addEventListener("keydown", (event) => {
  const at = points.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1 }[event.key];
  let next = step === undefined ? undefined : (at + step + points.length) % points.length;
  if (event.key === "Home") next = 0;
  if (event.key === "End") next = points.length - 1;
  if (event.key === "Escape") next = best;
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  points[next].focus();
});
for (const [index, point] of points.entries()) {
  point.addEventListener("focus", () => { stop(index); show(index); });
}

// Pointing near a mark is enough, and tells marks that overlap apart: the nearest is meant.
function nearest(event) {
  const svg = byId("svg");
  const toScreen = svg.getScreenCTM();
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(toScreen.inverse());
  let found = -1, least = 26 / toScreen.a;
  for (const [index, point] of points.entries()) {
    const { e, f } = point.transform.baseVal.consolidate().matrix;
    const distance = Math.hypot(e - at.x, f - at.y);
    if (distance < least) [found, least] = [index, distance];
  }
  return found;
}
byId("svg").addEventListener("pointermove", (event) => {
  const index = nearest(event);
  if (index >= 0) show(index);
});
byId("svg").addEventListener("click", (event) => {
  const index = nearest(event);
  if (index < 0) return;
  event.preventDefault();
  points[index].focus();
  if (event.detail === 0 || event.pointerType !== "touch") location.hash = `model-${index}`;
});
stop(best);

// Cards: a link to one opens it, and paper shows them all.
function openTarget() {
  const target = location.hash.startsWith("#model-") && byId(location.hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((card) => { card.open = true; }));
document.querySelectorAll('a[href^="#model-"]').forEach((link) => link.addEventListener("click", () => {
  if (link.getAttribute("href") === location.hash) openTarget();
}));
openTarget();

// The table of models: a heading's button sorts by it, again the other way round.
function sort(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = [...head.parentNode.children].indexOf(head);
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = (row) => row.children[column].dataset.value;
  const numeric = head.classList.contains("n") || !isNaN(value(table.tBodies[0].rows[0]));
  const compare = numeric ? (a, b) => value(a) - value(b) : (a, b) => value(a).localeCompare(value(b));
  const rows = [...table.tBodies[0].rows].sort((a, b) => (up ? compare(a, b) : compare(b, a)));
  table.tBodies[0].append(...rows);
  byId("said").textContent = `Sorted by ${button.textContent}, ${up ? "ascending" : "descending"}`;
}
document.querySelectorAll(".sortable th button").forEach((button) => button.addEventListener("click", () => sort(button)));

// Pairs: every other model against the chosen one.
function turned(pair) {
  const flip = (d) => ({ ...d, mean: -d.mean, interval: [...d.interval].reverse().map((end) => (end === null ? null : -end)), wins: d.losses, losses: d.wins });
  const answers = { A: "B", B: "A", undecided: "undecided" };
  const stretches = pair.preference.stretches.map((one) => ({ ...one, answer: answers[one.answer] }));
  return { ...pair, a: pair.b, b: pair.a, rate: flip(pair.rate), distortion: flip(pair.distortion), total: flip(pair.total), preference: { ...pair.preference, stretches } };
}

// With the interval that holds together with those of all pairs.
function together(d, reach) {
  const known = finite(d.standard_error) && finite(reach);
  return { ...d, interval: known ? [d.mean - reach * d.standard_error, d.mean + reach * d.standard_error] : [null, null] };
}

function verdictClass(d) {
  if (d.interval[1] !== null && d.interval[1] < 0) return "favours";
  return d.interval[0] !== null && d.interval[0] > 0 ? "against" : "";
}

function range({ low, high }) {
  if (high === null) return low === 0 ? "every β" : `β > ${low.toPrecision(3)}`;
  return low === 0 ? `β < ${high.toPrecision(3)}` : `${low.toPrecision(3)} < β < ${high.toPrecision(3)}`;
}

function forest(d, reach) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", `forest ${verdictClass(d)}`);
  picture.setAttribute("viewBox", "0 0 190 16");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${signed(d.interval[0])} to ${signed(d.interval[1])}`);
  const x = (value) => 95 + 90 * value / reach;
  const [low, high] = d.interval.map((end, side) => x(end ?? (side ? reach : -reach)));
  for (const [name, attributes] of [
    ["path", { class: "zero", d: "M95 0V16" }],
    ["path", { class: "bar", d: `M${low} 8H${high}` }],
    ["circle", { cx: x(d.mean), cy: 8, r: 3.2 }],
  ]) {
    const part = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    picture.append(part);
  }
  return picture;
}

function pairRow(pair, reach) {
  const row = document.createElement("tr");
  const name = element("th", pair.a);
  name.scope = "row";
  const better = (answer) => pair.preference.stretches.filter((one) => one.answer === answer).map(range).join(", ");
  const picture = element("td");
  picture.append(forest(pair.total, reach));
  row.append(
    name,
    ...[pair.rate, pair.distortion, pair.total].map((d) => element("td", signed(d.mean), `n ${verdictClass(d)}`)),
    picture,
    element("td", pair.adjusted_p === null ? "–" : pair.adjusted_p < 0.001 ? "< 0.001" : pair.adjusted_p.toFixed(3), "n"),
    element("td", `${pair.total.wins} / ${pair.total.ties} / ${pair.total.losses}`, "n"),
    element("td", [better("A"), better("B") && `reference: ${better("B")}`].filter(Boolean).join("; ") || "undecided"),
  );
  return row;
}

function refer(reference) {
  const found = report.pairs.filter((pair) => pair.a === reference || pair.b === reference)
    .map((pair) => (pair.b === reference ? pair : turned(pair)))
    .map((pair) => ({ ...pair, ...Object.fromEntries(["rate", "distortion", "total"].map((name) => [name, together(pair[name], pair.reach)])) }))
    .sort((a, b) => a.total.mean - b.total.mean);
  const reach = Math.max(...found.flatMap((pair) => [pair.total.mean, ...pair.total.interval].map((end) => Math.abs(end ?? 0)))) || 1;
  byId("pair-table").tBodies[0].replaceChildren(...found.map((pair) => pairRow(pair, reach)));
}
const reference = byId("reference");
if (reference) {
  reference.disabled = false;
  reference.addEventListener("change", () => refer(reference.value));
  refer(reference.value);
}
