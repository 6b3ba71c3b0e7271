// The page's behaviour: two languages, two themes, charts, one table, and news from a running study.
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
      const facts = JSON.stringify(JSON.parse(document.getElementById("facts").textContent), null, 2);
      link.href = URL.createObjectURL(new Blob([facts], { type: "application/json" }));
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    link.href = "#facts";
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
    startCopies();
    startDownload();
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
    if (place) window.scrollBy({ top: place.getBoundingClientRect().top - offset, behavior: "instant" });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (selected !== null) document.getElementById("find").setSelectionRange(selected, selected);
    await redraw();
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
  dark.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => {
    for (const part of all("details")) part.open = true;
  });
  start();
  window.finegrid = { refresh };
})();
