// Keeps a watched page up to date: says how far the study is, and takes a newer page when there is one.
// Nothing here writes HTML from data.
"use strict";
(() => {
  const EVERY = 2000; // milliseconds
  const HIDDEN_EVERY = 15000;
  const root = document.documentElement;
  const own = document.currentScript;
  let heard = null;
  let answered = true;
  let timer = 0;
  let asking = false;
  let taking = false;

  // Of the last epoch that has ended; nothing before the first.
  const scores = (job, loss, dev, end) =>
    (typeof job.loss === "number" ? loss + job.loss.toFixed(3) : "") +
    (typeof job.dev === "number" ? dev + job.dev.toFixed(4) + end : "");

  const WORDS = {
    en: {
      work: "Training",
      ready: "Preparing",
      idle: "Not at work",
      over: "Finished",
      silent: "No answer. Is finegrid watch still running? Trying again.",
      runs: (ended, all) => `${ended} of ${all} runs`,
      left: (time) => `about ${time} left`,
      needs: (count, time) => `${count} left` + (time ? `, about ${time} of work` : ""),
      bad: (count, status) => `${count} ${status}`,
      job: (job) => `${job.rows.length > 1 ? "rows" : "row"} ${spans(job.rows)} seed ${job.seed}: ` + (job.epoch ? `epoch ${job.epoch} of ${job.epochs}` : "starting") + scores(job, ", loss ", ", ", " on dev"),
      last: (time) => `last run ${time} ago`,
      older: "This page shows an earlier state.",
      units: ["s", "min", "h"],
    },
    zh: {
      work: "训练中",
      ready: "准备中",
      idle: "未在训练",
      over: "已完成",
      silent: "没有响应。finegrid watch 还在运行吗？正在重试。",
      runs: (ended, all) => `${ended} / ${all} 次运行`,
      left: (time) => `约剩 ${time}`,
      needs: (count, time) => `还剩 ${count} 次` + (time ? `，约需 ${time}` : ""),
      bad: (count, status) => `${count} 次${status === "failed" ? "失败" : "发散"}`,
      job: (job) => `第 ${spans(job.rows)} 行，种子 ${job.seed}：` + (job.epoch ? `第 ${job.epoch} / ${job.epochs} 轮` : "启动中") + scores(job, "，损失 ", "，验证集 ", ""),
      last: (time) => `上次运行结束于 ${time}前`,
      older: "本页显示的是较早的状态。",
      units: [" 秒", " 分钟", " 小时"],
    },
  };
  const lang = () => root.dataset.lang ?? (navigator.language.startsWith("zh") ? "zh" : "en");

  const duration = (seconds, [s, min, h]) => {
    const join = (count, unit) => `${count}${unit.startsWith(" ") ? "" : " "}${unit}`;
    if (seconds >= 0.0005 && seconds < 1) return join(seconds.toFixed(Math.min(3, 1 - Math.floor(Math.log10(seconds)))), s);
    if (seconds < 90) return join(Math.max(0, Math.round(seconds)), s);
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return join(minutes, min);
    return `${join(Math.floor(minutes / 60), h)} ${join(minutes % 60, min)}`;
  };
  // 1, 2, 3, 7 -> 1-3, 7; after three of these, an ellipsis
  const spans = (numbers) => {
    const found = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const last = found.at(-1);
      if (last && last[1] === number - 1) last[1] = number;
      else found.push([number, number]);
    }
    const told = found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
    return told.length > 3 ? `${told.slice(0, 3).join(", ")}, …` : told.join(", ");
  };

  // The strip

  const element = (name, kind, text = "") => {
    const made = document.createElement(name);
    made.className = kind;
    made.textContent = text;
    return made;
  };
  const strip = element("div", "watch");
  const line = strip.appendChild(element("p", "watch-line"));
  const trouble = strip.appendChild(element("p", "watch-trouble"));
  const bar = strip.appendChild(element("div", "watch-bar"));
  const done = bar.appendChild(element("span", "watch-done"));

  const parts = (words) => {
    const { work, runs } = heard;
    const time = (seconds) => duration(seconds, words.units);
    const bad = ["diverged", "failed"].filter((status) => runs?.[status]).map((status) => words.bad(runs[status], status));
    const last = heard.last_run === null ? [] : [words.last(time(heard.now - heard.last_run))];
    if (work) {
      const left = work.seconds_left === null ? [] : [words.left(time(work.seconds_left))];
      const count = work.runs.to_train ? [words.runs(work.runs.ended, work.runs.to_train)] : [work.doing];
      return [...count, ...left, ...bad, ...last, ...work.at_work.map(words.job)];
    }
    if (!runs) return last;
    const all = Object.values(runs).reduce((sum, count) => sum + count, 0);
    const count = [words.runs(all - runs.left, all)];
    const needs = runs.left ? [words.needs(runs.left, heard.seconds_left ? time(heard.seconds_left) : "")] : [];
    return [...count, ...needs, ...bad, ...last];
  };
  const draw = () => {
    const words = WORDS[lang()] ?? WORDS.en;
    const state = !answered ? "silent" : heard.work ? (heard.work.runs.to_train ? "work" : "ready") : heard.runs && !heard.runs.left ? "over" : "idle";
    strip.dataset.state = state;
    const said = answered ? parts(words) : [];
    line.replaceChildren(element("b", "watch-state", words[state]), ...said.map((part) => ` · ${part}`));
    const problem = answered ? heard.problem : "";
    trouble.hidden = !problem || own.dataset.kind !== "report";
    trouble.textContent = problem && `${words.older} ${problem}`;
    const runs = heard?.runs;
    const all = runs ? Object.values(runs).reduce((sum, count) => sum + count, 0) : 0;
    const share = heard?.work ? heard.work.share : all ? (all - runs.left) / all : 0;
    done.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  };

  // News

  const take = async () => {
    if (taking) return;
    taking = true;
    try {
      await takeNewer();
    } catch {
      // asked again soon
    }
    taking = false;
  };
  const takeNewer = async () => {
    const response = await fetch("/", { cache: "no-store", headers: { "If-None-Match": `"${own.dataset.revision}"` } });
    if (response.status !== 200) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const next = fresh.querySelector("script[data-revision]")?.dataset;
    if (!next || next.revision === own.dataset.revision) return; // made a moment ago: the server makes no newer one yet
    if (!window.finegrid?.refresh || own.dataset.kind !== "report" || next.kind !== "report") {
      location.reload();
      return;
    }
    own.dataset.revision = next.revision;
    await window.finegrid.refresh(fresh);
  };
  const ask = async () => {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const response = await fetch("/progress.json", { cache: "no-store" });
      heard = await response.json();
      answered = true;
      if (heard.revision !== own.dataset.revision) take(); // takes its time; what is at work is told meanwhile
    } catch {
      answered = false;
    }
    asking = false;
    timer = setTimeout(ask, document.hidden ? HIDDEN_EVERY : EVERY);
    draw();
  };

  const top = document.querySelector("header.top");
  if (top) top.append(strip);
  else document.body.prepend(strip);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  new MutationObserver(() => heard && draw()).observe(root, { attributeFilter: ["data-lang"] });
  ask();
})();
