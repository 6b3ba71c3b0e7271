// The page's behaviour: two languages, two themes, charts, one table, sheets of recipes, and news from a running
// study.
// Nothing here writes HTML from data.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const LANGS = { en: "en", zh: "zh-Hans" };

  // What a reader chose is remembered for this page. A browser may forbid that: then it is not.
  const remembered = (name) => {
    const asked = new URLSearchParams(location.search).get(name);
    if (asked) return asked;
    try {
      return localStorage.getItem(`finegrid ${location.pathname} ${name}`);
    } catch {
      return null;
    }
  };
  const remember = (name, value) => {
    try {
      localStorage.setItem(`finegrid ${location.pathname} ${name}`, value);
    } catch {
      // no storage
    }
  };

  const lang = () => root.dataset.lang;
  const theme = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  // Charts

  let specs = { value: {}, pool: [] };
  const drawings = new Map(); // name -> { key, view, place }

  const unfold = (piece) => {
    if (Array.isArray(piece)) return piece.map(unfold);
    if (piece === null || typeof piece !== "object") return piece;
    if ("$pool" in piece) return unfold(specs.pool[piece.$pool]);
    if ("$rows" in piece) {
      const columns = Object.entries(piece.columns).map(([name, column]) => [name, unfold(column)]);
      return Array.from({ length: piece.$rows }, (_, row) =>
        Object.fromEntries(columns.map(([name, column]) => [name, column.length === 1 ? column[0] : column[row]])),
      );
    }
    return Object.fromEntries(Object.entries(piece).map(([name, value]) => [name, unfold(value)]));
  };
  const readSpecs = () => {
    specs = JSON.parse(document.getElementById("charts").textContent);
  };

  const draw = async (figure) => {
    const name = figure.dataset.chart;
    const folded = specs.value[lang()]?.[theme()]?.[name];
    if (!folded || !window.vegaEmbed) return;
    const spec = unfold(folded);
    if (figure.runs) spec.datasets.runs = figure.runs; // a recipe's own
    const key = JSON.stringify(spec);
    const before = drawings.get(name);
    if (before?.key === key && figure.contains(before.place)) return;
    const place = document.createElement("div");
    place.className = "live drawing";
    const old = one(".live", figure);
    figure.insertBefore(place, old);
    drawings.set(name, { key, place, view: null });
    try {
      // `ast`: expressions are interpreted, so the page needs no eval and its policy forbids it.
      const made = await window.vegaEmbed(place, spec, {
        actions: false, ast: true, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
      });
      const now = drawings.get(name);
      if (now.place !== place) {
        made.finalize();
        place.remove();
        return;
      }
      now.view = made;
      before?.view?.finalize();
      for (const other of all(".live", figure)) if (other !== place) other.remove();
      const still = one(".still", figure);
      if (still) still.hidden = true;
      place.classList.remove("drawing");
      figure.style.minHeight = "";
      figure.dataset.drawn = `${lang()} ${theme()}`;
    } catch (problem) {
      console.error(name, problem);
      place.remove();
      drawings.delete(name);
    }
  };
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "900px" },
  );
  const redraw = () => Promise.all(all("[data-drawn]").map(draw));

  // Language and theme

  const setLang = (value) => {
    root.dataset.lang = value;
    root.lang = LANGS[value];
    const button = document.getElementById("language");
    button.lang = value === "en" ? LANGS.zh : LANGS.en;
  };
  const setTheme = (value) => {
    root.dataset.theme = value;
  };

  // The table of recipes

  const tableState = { column: null, direction: "descending", find: "", levels: {} };

  const startTable = () => {
    const table = document.getElementById("recipe-table");
    const form = one(".filters");
    if (!table || !form) return;
    form.hidden = false;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    const factors = headers.map((cell, index) => (cell.classList.contains("factor") ? index : -1)).filter((i) => i >= 0);
    const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const value = (row, column) => {
      const written = row.cells[column].dataset.value;
      return written === "" || written === undefined ? null : Number(written);
    };

    const sort = (column, direction) => {
      tableState.column = column;
      tableState.direction = direction;
      headers.forEach((cell, index) => {
        if (index === column) cell.setAttribute("aria-sort", direction);
        else cell.removeAttribute("aria-sort");
      });
      const sign = direction === "ascending" ? 1 : -1;
      const order = [...rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (x === null || y === null) return (x === null) - (y === null); // unknown ones last, either way
        return sign * (x - y);
      });
      body.append(...order);
    };
    const filter = () => {
      const sought = tableState.find.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const fits =
          sought.every((word) => words.get(row).includes(word)) &&
          Object.entries(tableState.levels).every(
            ([factor, level]) => !level || row.cells[factors[factor]].dataset.value === level,
          );
        row.hidden = !fits;
        shown += fits;
      }
      for (const count of all(".count", form)) count.textContent = String(shown);
      one(".reset", form).hidden = shown === rows.length;
    };

    headers.forEach((cell, column) => {
      if (!cell.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const now = cell.getAttribute("aria-sort");
        const first = cell.dataset.first ?? "ascending";
        sort(column, now ? (now === "ascending" ? "descending" : "ascending") : first);
      });
    });
    const find = document.getElementById("find");
    find.value = tableState.find;
    find.addEventListener("input", () => {
      tableState.find = find.value;
      filter();
    });
    const selects = all("select", form);
    for (const select of selects) {
      select.value = tableState.levels[select.dataset.factor] ?? "";
      select.addEventListener("change", () => {
        tableState.levels[select.dataset.factor] = select.value;
        filter();
      });
    }
    const reset = one(".reset", form);
    reset.addEventListener("click", () => {
      tableState.find = find.value = "";
      for (const select of selects) select.value = tableState.levels[select.dataset.factor] = "";
      filter();
      find.focus();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    if (tableState.column !== null) sort(tableState.column, tableState.direction);
    filter();
  };

  // Commands, data

  const copyText = async (line, code) => {
    try {
      await navigator.clipboard.writeText(line);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
  };
  const startCopies = () => {
    for (const button of all(".copy")) {
      button.hidden = false;
      const said = [...button.childNodes].map((node) => node.cloneNode(true));
      button.addEventListener("click", async () => {
        const code = one("code", button.parentElement);
        await copyText(code.textContent, code);
        const copied = document.getElementById("copied").content.cloneNode(true);
        button.replaceChildren(copied);
        setTimeout(() => button.replaceChildren(...said.map((node) => node.cloneNode(true))), 1600);
      });
    }
  };
  const startDownload = () => {
    const link = document.getElementById("download");
    link.closest("[hidden]").hidden = false;
    link.addEventListener("click", () => {
      const facts = JSON.stringify(readFacts(), null, 2);
      link.href = URL.createObjectURL(new Blob([facts], { type: "application/json" }));
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    link.href = "#facts";
  };

  const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/; // as `export` has it: no text that a spreadsheet takes for a formula
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const startEffectsFile = () => {
    const link = one(".effects-file");
    const { factors, seconds_per: per } = readFacts().verdict;
    link.closest("[hidden]").hidden = !factors.length;
    const heads = ["factor", "level", "baseline", "effect", "low", "high", "adjusted_low", "adjusted_high", "verdict"];
    const more = [`seconds_per_${per}`, "seconds_low", "seconds_high"];
    link.addEventListener("click", () => {
      const rows = factors.map((each) => [
        each.factor, each.levels[1], each.levels[0], each.effect, each.low, each.high, ...each.adjusted,
        one("main").dataset.unsettled === undefined ? each.verdict : "", each.seconds, ...(each.seconds_interval ?? [null, null]),
      ]);
      const text = [[...heads, ...more], ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
      link.href = URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv" }));
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    link.href = "#strategies";
  };

  // One recipe, or two of them, on a sheet of their own

  let folded = { text: null, facts: null };
  const readFacts = () => {
    const text = document.getElementById("facts").textContent;
    if (folded.text !== text) folded = { text, facts: JSON.parse(text) };
    return folded.facts;
  };
  let picked = []; // first rows of recipes, the one ticked first in front
  const MOST_TEXTS = 30;
  const MINUS = "−";
  const UNKNOWN = "–";
  const rounded = (value, digits) => {
    const text = Math.abs(value).toFixed(digits);
    return [text, Number(text) === 0];
  };
  const plain = (value, digits) => {
    if (value === null || value === undefined) return UNKNOWN;
    const [text, zero] = rounded(value, digits);
    return (value < 0 && !zero ? MINUS : "") + text;
  };
  const signed = (value, digits) => {
    if (value === null || value === undefined) return UNKNOWN;
    const [text, zero] = rounded(value, digits);
    return (zero ? "" : value < 0 ? MINUS : "+") + text;
  };
  const seconds = (value) => {
    if (value === null || value >= 100) return plain(value, 0);
    const small = value < 1 && value >= 0.0005 ? Math.min(1 - Math.floor(Math.log10(value)), 3) : 1;
    return plain(value, Math.max(1, small));
  };
  // A recipe's levels as the table has them: 1.0 and 2e-05 are other words in a script.
  const levelsOf = (recipe, factors) => {
    const cells = all(`#recipe-table tr[data-row="${recipe.rows[0]}"] .level`);
    return factors.map((name, index) => ({
      name, text: cells[index].textContent, moved: cells[index].classList.contains("moved"),
    }));
  };
  const node = (name, text, kind = "") => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.dir = "auto";
    made.textContent = text;
    return made;
  };
  const words = (id) => document.getElementById(id).content.cloneNode(true);
  const say = (part, values) => {
    for (const [name, value] of Object.entries(values)) {
      for (const slot of all(`[data-slot="${name}"]`, part)) slot.textContent = value;
    }
    return part;
  };
  const keep = (part, known) => {
    for (const each of all("[data-if]", part)) {
      const [, not, name] = /^(not )?(.*)$/.exec(each.dataset.if);
      if (Boolean(known[name]) === Boolean(not)) each.remove();
    }
  };
  const within = (part, name) => one(`[data-part="${name}"]`, part);
  const row = (cells) => {
    const made = document.createElement("tr");
    made.append(...cells);
    return made;
  };
  const head = (text) => {
    const made = node("th", text);
    made.scope = "row";
    return made;
  };

  const show = (part) => {
    const sheet = document.getElementById("sheet");
    document.getElementById("sheet-body").replaceChildren(part);
    if (!sheet.open) sheet.showModal();
    startScrolls(sheet);
    sheet.scrollTop = 0;
    one("h2", sheet).focus();
    for (const figure of all(".chart", sheet)) draw(figure);
  };

  const showRecipe = (first) => {
    const { recipes, curves, details, verdict, state } = readFacts();
    const recipe = recipes.find((each) => each.rows[0] === first);
    const at = details.rows.indexOf(first);
    const part = words("recipe-sheet");
    const own = curves.filter((each) => recipe.rows.includes(each.row));
    const [low, high] = recipe.test_interval;
    const digits = verdict.score_digits;
    const known = low !== null && high !== null;
    const wide = known && verdict.score_widest !== null && high - low > verdict.score_widest;
    keep(part, {
      known: known && !wide, wide, seconds: recipe.seconds !== null, memory: recipe.memory !== null,
      curves: own.length && specs.value.en?.light.recipe, confusion: details.confusion[at],
    });
    say(part, {
      rows: recipe.rows.join(", "), test: plain(recipe.test, digits), low: plain(low, digits), high: plain(high, digits),
      seconds: seconds(recipe.seconds), memory: recipe.memory === null ? "" : String(Math.round(recipe.memory / 2 ** 20)),
    });
    const levels = levelsOf(recipe, Object.keys(state.factors));
    const moved = levels.filter((each) => each.moved).map((each) => `${each.name} = ${each.text}`);
    const named = within(part, "moved");
    if (moved.length) named.append(...moved.flatMap((each, index) => (index ? ["; ", node("code", each)] : [node("code", each)])));
    else named.append(one('template[data-part="baseline"]', part).content.cloneNode(true));
    const base = recipes.find((each) => each.baseline);
    const baseline = base && levelsOf(base, Object.keys(state.factors));
    within(part, "settings").append(
      ...levels.map((each, index) =>
        row([head(each.name), node("td", each.text, each.moved ? "strong" : ""), node("td", baseline?.[index].text ?? UNKNOWN)]),
      ),
    );
    within(part, "runs").append(
      ...recipe.runs.map((run) => {
        const states = document.createElement("td");
        states.append(one(`template[data-state="${run.status}"]`, part).content.cloneNode(true));
        if (run.reason) states.append(" ", node("bdi", run.reason));
        const cells = [head(String(run.seed)), node("td", plain(run.test, digits), "num strong")];
        if (one("#sheet-runs + .scroll thead", part).rows[0].cells.length > 3) {
          cells.push(node("td", plain(run.dev, 2), "num"), node("td", run.best_epoch ?? UNKNOWN, "num"));
        }
        return row([...cells, states]);
      }),
    );
    const confusion = details.confusion[at];
    if (confusion) {
      const runs = recipe.runs.filter((run) => run.status === "done").length || 1;
      const top = row([document.createElement("td"), ...details.labels.map((label) => {
        const made = node("th", label);
        made.scope = "col";
        return made;
      })]);
      within(part, "confusion-head").append(top);
      within(part, "confusion").append(
        ...confusion.map((counts, gold) =>
          row([head(details.labels[gold]), ...counts.map((count, said) =>
            node("td", plain(count / runs, count % runs ? 1 : 0), `num${gold === said ? " strong" : count ? "" : " faint"}`),
          )]),
        ),
      );
    }
    const figure = one(".chart", part);
    if (figure) {
      figure.runs = own.flatMap((each) =>
        each.dev.map((dev, index) => ({
          seed: each.seed, epoch: index + 1, dev, loss: each.loss[index], chosen: index + 1 === each.best_epoch,
        })),
      );
    }
    show(part);
  };

  // Every two recipes stand in one list: 1 and 2, 1 and 3, ..., 2 and 3, ...
  const placeOfPair = (count, i, j) => i * count - (i * (i + 1)) / 2 + (j - i - 1);
  const findPair = (details, first, second) => {
    const [i, j] = [details.rows.indexOf(first), details.rows.indexOf(second)];
    const { difference, low, high, better, worse } = details.pairs;
    const at = placeOfPair(details.rows.length, Math.min(i, j), Math.max(i, j));
    const turned = (value) => (value === null ? null : -value);
    if (i < j) return { i, j, difference: difference[at], low: low[at], high: high[at], better: better[at], worse: worse[at] };
    return {
      i, j, difference: turned(difference[at]), low: turned(high[at]), high: turned(low[at]), better: worse[at], worse: better[at],
    };
  };

  const showPair = ([first, second]) => {
    const { recipes, details, verdict, state } = readFacts();
    const [one_, other] = [first, second].map((number) => recipes.find((each) => each.rows[0] === number));
    const pair = findPair(details, first, second);
    const part = words("pair-sheet");
    const digits = verdict.score_digits;
    const differ = details.texts
      .filter(({ right, said }) => right[pair.i] !== right[pair.j] || said[pair.i] !== said[pair.j])
      .sort((a, b) => Math.abs(b.right[pair.i] - b.right[pair.j]) - Math.abs(a.right[pair.i] - a.right[pair.j]));
    keep(part, {
      known: pair.low !== null && pair.high !== null, texts: pair.better !== undefined && details.texts.length,
      seconds: one_.seconds !== null && other.seconds !== null, some: differ.length,
    });
    say(part, {
      one: String(first), other: String(second), difference: signed(pair.difference, 2), low: signed(pair.low, 2), high: signed(pair.high, 2),
      test: plain(one_.test, digits), "other-test": plain(other.test, digits), seconds: seconds(one_.seconds),
      "other-seconds": seconds(other.seconds), better: String(pair.better), worse: String(pair.worse),
      shown: String(Math.min(differ.length, MOST_TEXTS)),
    });
    const levels = [one_, other].map((recipe) => levelsOf(recipe, Object.keys(state.factors)));
    within(part, "settings").append(
      ...levels[0].flatMap((each, index) => {
        const there = levels[1][index].text;
        return each.text === there ? [] : [row([head(each.name), node("td", each.text), node("td", there)])];
      }),
    );
    const said = (text, index) => {
      const made = document.createElement("td");
      const answer = text.said[index] === null ? UNKNOWN : details.answers[text.said[index]];
      made.append(node("bdi", answer, answer === text.gold ? "right" : "wrong"), ` ${plain(text.right[index], 0)} %`);
      return made;
    };
    within(part, "texts")?.append(
      ...differ.slice(0, MOST_TEXTS).map((text) => {
        const words = document.createElement("td");
        words.className = "said";
        words.append(...text.text.map((piece) => node("span", piece, "piece")));
        return row([node("td", String(text.row), "num faint"), words, node("td", text.gold), said(text, pair.i), said(text, pair.j)]);
      }),
    );
    show(part);
  };

  const tellPicked = () => {
    const place = one(".picked");
    const [first, second] = picked;
    const told = picked.length === 2 ? "picked-two" : picked.length ? "picked-one" : "picked-none";
    one("output", place).replaceChildren(say(words(told), { one: String(first), other: String(second) }));
    one(".compare", place).disabled = picked.length < 2;
    for (const box of all("#recipe-table .pick")) box.checked = picked.includes(Number(box.value));
  };
  const startDetails = () => {
    const table = document.getElementById("recipe-table");
    if (!table) return;
    const { details } = readFacts();
    picked = picked.filter((number) => details.rows.includes(number));
    for (const each of all(".for-scripts, .picked")) each.hidden = false;
    for (const line of table.tBodies[0].rows) {
      const first = Number(line.dataset.row);
      if (!details.rows.includes(first)) continue;
      const place = line.cells[0];
      const open = document.createElement("button");
      open.type = "button";
      open.className = "open";
      open.append(...place.childNodes, " ", words("open-words"));
      const label = document.createElement("label");
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", className: "pick", value: String(first) });
      label.append(box, say(words("pick-words"), { row: String(first) }));
      place.append(label, open);
      open.addEventListener("click", () => showRecipe(first));
      box.addEventListener("change", () => {
        picked = picked.filter((number) => number !== first);
        if (box.checked) picked = [...picked.slice(-1), first];
        tellPicked();
      });
      line.classList.add("opens");
      line.addEventListener("click", (event) => {
        if (event.target.closest("button, input, label") || String(getSelection())) return;
        showRecipe(first);
      });
    }
    one(".compare").addEventListener("click", () => showPair(picked));
    tellPicked();
  };

  // Tables that go on sideways

  const tellMore = (scroll) => {
    const { scrollLeft, scrollWidth, clientWidth } = scroll;
    const sides = [scrollLeft > 1 && "left", scrollLeft + clientWidth < scrollWidth - 1 && "right"].filter(Boolean);
    if (sides.length) scroll.dataset.more = sides.join(" ");
    else delete scroll.dataset.more;
  };
  const sized = new ResizeObserver((entries) => entries.forEach((entry) => tellMore(entry.target)));
  const startScrolls = (part) => {
    for (const scroll of all(".scroll", part)) {
      scroll.addEventListener("scroll", () => tellMore(scroll), { passive: true });
      sized.observe(scroll);
    }
  };

  // Where the reader is

  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const link = one(`.sections a[href="#${entry.target.id}"]`);
        if (entry.isIntersecting && link) {
          for (const other of all(".sections [aria-current]")) other.removeAttribute("aria-current");
          link.setAttribute("aria-current", "true");
        }
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );

  // Everything inside <main>, at first and after each refresh

  const start = () => {
    readSpecs();
    startTable();
    startDetails();
    startCopies();
    startDownload();
    startEffectsFile();
    startScrolls(one("main"));
    for (const section of all("main > section")) seen.observe(section);
    for (const figure of all(".chart")) near.observe(figure);
  };

  // A newer document of a running study takes this one's place; the reader stays where they are.
  const refresh = async (fresh) => {
    const top = all("main > section").find((section) => section.getBoundingClientRect().bottom > 60);
    const offset = top?.getBoundingClientRect().top ?? 0;
    const open = new Set(all("main details").flatMap((part, index) => (part.open ? [index] : [])));
    const focused = document.activeElement?.id;
    const selected = focused === "find" ? document.activeElement.selectionStart : null;
    const figures = new Map(all(".chart").map((figure) => [figure.dataset.chart, figure]));
    const main = document.importNode(one("main", fresh), true);
    for (const id of ["charts", "facts"]) {
      document.getElementById(id).textContent = fresh.getElementById(id).textContent;
    }
    for (const figure of all(".chart", main)) {
      const old = figures.get(figure.dataset.chart);
      if (!old?.dataset.drawn) continue;
      // The old drawing stays until the new one is ready.
      figure.style.minHeight = `${old.offsetHeight}px`;
      figure.dataset.drawn = old.dataset.drawn;
      one(".live", figure).replaceWith(...all(".live", old));
      const still = one(".still", figure);
      if (still) still.hidden = true;
    }
    one("main").replaceWith(main);
    document.title = fresh.title;
    one(".foot").replaceWith(document.importNode(one(".foot", fresh), true));
    all("main details").forEach((part, index) => (part.open = open.has(index)));
    start();
    const place = top && document.getElementById(top.id);
    const stay = () => place && window.scrollBy({ top: place.getBoundingClientRect().top - offset, behavior: "instant" });
    stay();
    const here = window.scrollY;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (selected !== null) document.getElementById("find").setSelectionRange(selected, selected);
    await redraw();
    if (window.scrollY === here) stay(); // new charts may be higher than the old ones; who has scrolled meanwhile is left alone
  };

  setLang(remembered("lang") in LANGS ? remembered("lang") : lang());
  if (["light", "dark"].includes(remembered("theme"))) setTheme(remembered("theme"));
  one(".switches").hidden = false;
  document.getElementById("language").addEventListener("click", () => {
    setLang(lang() === "en" ? "zh" : "en");
    remember("lang", lang());
    all(".chart").map(draw); // also those not looked at yet: print would show their pictures, in the other language
  });
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(theme() === "dark" ? "light" : "dark");
    remember("theme", theme());
    redraw();
  });
  const sheet = document.getElementById("sheet");
  one(".close", sheet).addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close()); // beside it
  dark.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => {
    for (const part of all("details")) part.open = true;
  });
  start();
  window.finegrid = { refresh };
})();
