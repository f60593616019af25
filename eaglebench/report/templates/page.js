"use strict";
// Texts of runs are added to the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const PAGE = 24; // predictions that are shown at once

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const searchTerms = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);
const includesAll = (text, terms) => terms.every((term) => text.includes(term));

// The table of runs.
const table = byId("run-table");
const groups = [...table.tBodies]; // one for each set of questions; its first row is its heading
const rows = [...table.querySelectorAll("tbody tr[data-index]")];
const texts = rows.map((row) => {
  const config = Object.entries(data.runs[row.dataset.index].config).map(([name, value]) => `${name}=${value}`);
  return [row.textContent, ...config].join("\n").toLowerCase();
});

function filterRuns() {
  const terms = searchTerms(byId("run-search"));
  const chosen = [...document.querySelectorAll("[data-filter]")].filter((select) => select.value);
  const fits = (row) => chosen.every(({ value, dataset: { filter } }) => {
    const own = row.dataset[filter];
    return filter === "experts" ? own.split("+").includes(value) : own === value;
  });
  let count = 0;
  rows.forEach((row, index) => {
    row.hidden = !(includesAll(texts[index], terms) && fits(row));
    count += !row.hidden;
  });
  for (const group of groups) group.hidden = [...group.rows].slice(1).every((row) => row.hidden);
  byId("run-count").textContent = `${count} of ${rows.length}`;
}

function sortRuns(header) {
  const column = header.cellIndex;
  const up = header.getAttribute("aria-sort") === "descending"
    || (!header.hasAttribute("aria-sort") && !header.classList.contains("number"));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[column];
    const text = column ? cell.textContent.trim() : row.querySelector(".label").textContent;
    if (!header.classList.contains("number")) return text.toLowerCase();
    const value = parseFloat(cell.dataset.value ?? text);
    return Number.isNaN(value) ? null : value;
  };
  const order = (one, other) => {
    if (one.key === null || other.key === null) return (one.key === null) - (other.key === null); // rows without a value are last
    const less = typeof one.key === "number" ? one.key - other.key : one.key.localeCompare(other.key, "en", { numeric: true });
    return up ? less : -less;
  };
  for (const group of groups) { // scores on different questions are never ranked together
    const keyed = [...group.rows].slice(1).map((row) => ({ row, key: key(row) })).sort(order);
    group.append(...keyed.map(({ row }) => row));
  }
}

byId("run-search").addEventListener("input", filterRuns);
document.querySelectorAll("[data-filter]").forEach((select) => select.addEventListener("change", filterRuns));
document.querySelectorAll(".sort").forEach((button) => button.addEventListener("click", () => sortRuns(button.parentNode)));
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
table.addEventListener("click", ({ target }) => {
  const which = target.dataset.pick;
  if (!which) return;
  const { index } = target.closest("tr").dataset;
  const dropped = which === "second" && byId("second").value === index;
  byId(which).value = dropped ? "" : index;
  showChosen();
  if (dropped) return;
  byId("compare").scrollIntoView();
  byId("compare-title").focus({ preventScroll: true });
});

// Compare runs.
const chosenRun = (which) => (byId(which).value === "" ? null : data.runs[byId(which).value]);
const chosenRuns = () => [["first", chosenRun("first")], ["second", chosenRun("second")]].filter(([, one]) => one);
let shown = PAGE;

function showChosen() {
  document.querySelectorAll("[data-pick]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.closest("tr").dataset.index === byId(button.dataset.pick).value));
  });
  byId("chosen").textContent = describeChosen();
  byId("problems").replaceChildren(...chosenRuns().flatMap(([, one]) => one.problems.map((text) => make("p", { class: "problem" }, `${one.name}: ${text}`))));
  drawCurves();
  offerFilters();
  shown = PAGE;
  showAnswers();
  showConfig();
}

function describeChosen() {
  const [one, other] = [chosenRun("first"), chosenRun("second")];
  const named = chosenRuns().map(([which, run]) => `${which === "first" ? "A" : "B"}: ${run.name}, score ${run.score?.toFixed(3) ?? "unknown"}.`);
  const apart = other && one.asked !== null && other.asked !== null && one.asked !== other.asked;
  return [...named, ...(apart ? ["They answered different questions: their scores cannot be compared. The predictions are those of questions that both answered."] : [])].join(" ");
}

function drawCurves() {
  const names = [...new Set(chosenRuns().flatMap(([, one]) => Object.keys(one.curves)))];
  const curves = names.map((name) => drawCurve(name, chosenRuns().filter(([, one]) => one.curves[name]?.length)));
  byId("curves").replaceChildren(...(curves.length ? curves : [make("p", { class: "empty" }, "No metrics.csv with curves.")]));
}

function drawCurve(name, lines) {
  const [width, height, left, right, top, bottom] = [280, 130, 38, 6, 6, 18];
  const points = lines.flatMap(([, one]) => one.curves[name]);
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const [[x0, x1], [y0, y1]] = [span(points.map((point) => point[0])), span(points.map((point) => point[1]))];
  const x = (step) => left + ((width - left - right) * (step - x0)) / (x1 - x0 || 1);
  const y = (value) => height - bottom - ((height - top - bottom) * (value - y0)) / (y1 - y0 || 1);
  const text = (at, up, anchor, content) => makeSvg("text", { x: at, y: up, "text-anchor": anchor }, content);
  const short = (value) => String(Number(value.toPrecision(3)));
  const last = lines.map(([which, one]) => make("span", { class: `last ${which}` }, ` ${short(one.curves[name].at(-1)[1])}`));
  const path = ([which, one]) => {
    const d = one.curves[name].map(([step, value], index) => `${index ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return makeSvg("path", { d: one.curves[name].length > 1 ? d : `${d}h3`, class: which });
  };
  const plot = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}, steps ${x0} to ${x1}` },
    makeSvg("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, class: "axis" }),
    text(left - 4, top + 8, "end", short(y1)), text(left - 4, height - bottom, "end", y1 > y0 ? short(y0) : ""),
    text(left, height - 4, "start", `step ${x0}`), text(width - right, height - 4, "end", String(x1)),
    ...lines.map(path));
  return make("div", { class: "curve" }, make("div", {}, name, ", at the end", ...last), plot);
}

const OUTCOMES = {
  all: ["all", () => true],
  right: ["A right", (one) => one === 1],
  wrong: ["A wrong", (one) => one < 1],
};
const OUTCOMES_OF_TWO = {
  ...OUTCOMES,
  differ: ["A and B differ", (one, other, same) => !same],
  better: ["A better than B", (one, other) => one > other],
  worse: ["B better than A", (one, other) => one < other],
};

function offerFilters() {
  const offer = (select, options) => {
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    select.value = options.some(([value]) => value === before) ? before : options[0][0];
  };
  offer(byId("outcome"), Object.entries(chosenRun("second") ? OUTCOMES_OF_TWO : OUTCOMES).map(([value, [text]]) => [value, text]));
  const families = [...new Set(chosenRuns().flatMap(([, one]) => Object.keys(one.answers)).map((key) => data.questions[key][1]))].sort();
  offer(byId("family"), [["", "any"], ...families.map((name) => [name, name])]);
}

function showAnswers() {
  const [one, other] = [chosenRun("first"), chosenRun("second")];
  const fits = OUTCOMES_OF_TWO[byId("outcome").value][1];
  const [family, terms] = [byId("family").value, searchTerms(byId("answer-search"))];
  const answered = Object.keys(one.answers).filter((key) => !other || other.answers[key]);
  const found = answered.filter((key) => {
    const [, own, question, references] = data.questions[key];
    const [[answer, score], [second, otherScore]] = [one.answers[key], other ? other.answers[key] : []];
    const text = [question, answer, second ?? "", ...references].join("\n").toLowerCase();
    return fits(score, otherScore, answer === second) && (!family || own === family) && includesAll(text, terms);
  });
  const total = other ? `answered by both` : `of ${one.total} in all`;
  byId("answer-count").textContent = `${found.length} of ${answered.length} here, ${total}`;
  const none = make("p", { class: "empty" }, "No predictions to show.");
  byId("cards").replaceChildren(...(found.length ? found.slice(0, shown).map(makeCard) : [none]));
  byId("more").hidden = found.length <= shown;
}

function makeCard(key) {
  const [id, family, question, references, thumbnail] = data.questions[key];
  const uri = data.thumbnails[thumbnail];
  const answers = make("dl", { class: "answers" }, make("dt", {}, "reference"), make("dd", {}, references.join(" | ")));
  for (const [which, one] of chosenRuns()) {
    const [text, score] = one.answers[key];
    const mark = score === 1 ? "✓" : score > 0 ? `${score.toFixed(2)}` : "✗";
    answers.append(make("dt", { class: which }, which === "first" ? "A" : "B"), make("dd", { class: score === 1 ? "right" : "wrong" }, `${mark} ${text || "(nothing)"}`));
  }
  return make("article", { class: "card" },
    uri ? make("img", { src: uri, alt: `image of ${id}`, width: 84, height: 84 }) : make("div", { class: "none" }, "no image"),
    make("div", {}, make("div", { class: "about" }, `${family} · ${id}`), make("div", {}, question)),
    answers);
}

function showConfig() {
  const chosen = chosenRuns().map(([, one]) => one);
  const names = [...new Set(chosen.flatMap((one) => Object.keys(one.config)))];
  const terms = searchTerms(byId("config-search"));
  const differs = (name) => chosen.length > 1 && chosen[0].config[name] !== chosen[1].config[name];
  byId("differences").disabled = chosen.length < 2;
  const only = byId("differences").checked && chosen.length > 1;
  const lines = names.filter((name) => {
    const text = [name, ...chosen.map((one) => `${name}=${one.config[name]}`)].join("\n").toLowerCase();
    return includesAll(text, terms) && (!only || differs(name));
  });
  const heads = ["field", ...chosenRuns().map(([which]) => (which === "first" ? "A" : "B"))];
  byId("config").tHead.replaceChildren(make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
  byId("config").tBodies[0].replaceChildren(...lines.map((name) => {
    const values = chosen.map((one) => make("td", {}, one.config[name] ?? "-"));
    return make("tr", differs(name) ? { class: "differs" } : {}, make("td", {}, name), ...values);
  }));
  byId("config-count").textContent = `${lines.length} of ${names.length}`;
}

for (const id of ["first", "second"]) byId(id).addEventListener("change", showChosen);
for (const id of ["outcome", "family"]) byId(id).addEventListener("change", () => { shown = PAGE; showAnswers(); });
byId("answer-search").addEventListener("input", () => { shown = PAGE; showAnswers(); });
byId("more").addEventListener("click", () => { shown += PAGE; showAnswers(); });
byId("config-search").addEventListener("input", showConfig);
byId("differences").addEventListener("change", showConfig);

filterRuns();
if (data.runs.length) {
  byId("first").value = (rows.find((row) => row.dataset.state === "finished") ?? rows[0]).dataset.index;
  showChosen();
}
