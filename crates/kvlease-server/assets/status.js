// Updates the status page in place, and draws its history. All texts and figures come from the daemon, rendered:
// the page is fetched again, and what differs is replaced. The history comes as JSON, only what is new of it.
"use strict";

(() => {
  const PAGE_EVERY_MS = 5000;
  const HISTORY_EVERY_MS = 5000;
  const SAMPLES_MAX = 720;
  const CHART_HEIGHT = 200;

  const { root, span } = document.body.dataset;
  const pause = document.getElementById("pause");
  const trouble = document.getElementById("trouble");
  const history = { interval_s: 1, times: [], series: {} };
  const charts = new Map();

  // The charts: the values of their series at a sample, for which `at` reads one value.
  const each = (name) => (at) => at(name);
  const rate = (...names) => (at, seconds) => {
    const known = names.map(at).filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / seconds : null;
  };
  const ratio = (at) => {
    const asked = at("hits") + at("misses");
    return asked ? at("hits") / asked : null;
  };
  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const place = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
    const amount = value / 1024 ** place;
    return `${amount >= 100 || place === 0 ? amount.toFixed(0) : amount.toFixed(1)} ${units[place]}`;
  };
  const number = (value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
  const percent = (value) => `${Number((100 * value).toFixed(1))} %`;
  const time = (seconds) => {
    if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
    return seconds < 1 ? `${Number((seconds * 1e3).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;
  };
  const clock = (at) => new Date(at * 1000).toISOString().slice(11, 19);
  const CHARTS = {
    space: {
      show: bytes,
      lines: { objects: each("allocated_bytes"), pending: each("writing_bytes"), quarantine: each("quarantined_bytes"), "tiers below": each("tiers_used_bytes") },
    },
    ratio: { show: percent, range: [0, 1], lines: { "hit ratio": ratio } },
    misses: {
      show: number,
      lines: {
        absent: rate("misses_absent"),
        evicted: rate("misses_evicted"),
        elsewhere: rate("misses_elsewhere"),
        "still writing": rate("misses_still_writing"),
        corrupt: rate("misses_corrupt"),
        "too many leases": rate("misses_too_many_leases"),
        "lease quota": rate("misses_lease_quota"),
        "memory short": rate("misses_memory_short"),
        "no room": rate("misses_no_room"),
      },
    },
    bytes: {
      show: bytes,
      lines: {
        "taken in": rate("received_bytes", "lane_written_bytes"),
        sent: rate("sent_bytes"),
        "loaded from tiers": rate("tiers_loaded_bytes"),
        "stored in tiers": rate("tiers_stored_bytes"),
      },
    },
    rates: { show: number, lines: { "leases granted": rate("hits"), "objects stored": rate("stored_objects"), "objects evicted": rate("evicted_objects") } },
    latency: { show: time, lines: { lease: each("lease_p99_seconds"), get: each("get_p99_seconds"), put: each("put_p99_seconds") } },
    evictions: { show: bytes, lines: { evicted: rate("evicted_bytes") } },
    leases: { show: number, lines: { leases: each("leases"), "HTTP connections": each("connections"), "fast lane connections": each("lane_connections") } },
  };

  // Columns of a chart: the times, then each line.
  function columns(lines) {
    const { times, series, interval_s } = history;
    const seconds = times.map((at, place) => (place > 0 ? at - times[place - 1] : interval_s));
    const line = (value) =>
      times.map((_, place) => value((name) => (series[name] ?? [])[place] ?? null, seconds[place]));
    return [times, ...Object.values(lines).map(line)];
  }

  // The live curve comes from its table, whose cells have exact values.
  function curve() {
    const values = (row, cells) => [...row.querySelectorAll(`${cells} > data`)].map((data) => Number(data.value));
    const head = document.querySelector("#curve-live thead tr");
    if (!head) return null;
    const rows = [...document.querySelectorAll("#curve-rows tr")];
    const capacities = values(head, "th");
    const names = rows.map((row) => row.querySelector("th").textContent);
    // The third capacity is the arena's own.
    const times = capacities.map((capacity) => Math.log2(capacity / capacities[2]));
    return { names, data: [times, ...rows.map((row) => values(row, "td"))] };
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function options(names, show, range, width, x) {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const line = (label, place) => ({
      label,
      stroke: colour(`--series-${1 + (place % 8)}`),
      width: 2,
      points: { show: history.times.length < 3 },
      value: (_, value) => (value === null || value === undefined ? "–" : show(value)),
    });
    return {
      width,
      height: CHART_HEIGHT,
      scales: { x: x.scale, y: { range: range ?? ((_, __, most) => [0, most > 0 ? most * 1.05 : 1]) } },
      axes: [
        { ...axis, ...x.axis },
        { ...axis, size: 76, values: (_, ticks) => ticks.map(show), ...(show === bytes ? { incrs: BINARY } : {}) },
      ],
      series: [x.series, ...names.map(line)],
    };
  }

  const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);
  // Times of the day are in UTC, as in the tables.
  const OVER_TIME = {
    scale: { time: true },
    axis: { space: 90, values: (_, ticks) => ticks.map(clock) },
    series: { label: "UTC", value: (_, at) => (at === null || at === undefined ? "–" : clock(at)) },
  };
  const multiple = (power) => `${Number((2 ** power).toPrecision(3))}×`;
  const BY_CAPACITY = {
    scale: { time: false },
    axis: { splits: (plot) => plot.data[0], values: (_, ticks) => ticks.map(multiple) },
    series: { label: "capacity", value: (_, power) => (power === null || power === undefined ? "–" : multiple(power)) },
  };

  // Lines of a chart with their values; null if there are none yet.
  function content(name) {
    const found = name === "curve" ? curve() : { names: Object.keys(CHARTS[name].lines), data: columns(CHARTS[name].lines) };
    return found && found.data[0].length > 0 ? found : null;
  }

  function draw(figure, found) {
    const name = figure.dataset.chart;
    const place = figure.querySelector(".plot");
    const known = charts.get(name);
    if (known) {
      known.setData(found.data);
      return;
    }
    const [show, range, x] = name === "curve" ? [percent, [0, 1], BY_CAPACITY] : [CHARTS[name].show, CHARTS[name].range, OVER_TIME];
    charts.set(name, new uPlot(options(found.names, show, range, place.clientWidth, x), found.data, place));
  }

  function drawAll() {
    const figures = [...document.querySelectorAll("figure[data-chart]")];
    const drawn = figures.map((figure) => [figure, content(figure.dataset.chart)]).filter(([, found]) => found);
    // All of them have their place before the first one takes its width.
    drawn.forEach(([figure]) => {
      figure.hidden = false;
    });
    drawn.forEach(([figure, found]) => draw(figure, found));
  }

  function redraw() {
    charts.forEach((chart) => chart.destroy());
    charts.clear();
    drawAll();
  }

  async function get(url) {
    const reply = await fetch(url, { cache: "no-store" });
    if (!reply.ok) throw new Error(`the daemon answers ${reply.status}`);
    return reply;
  }

  async function updatePage() {
    const text = await (await get(location.href)).text();
    const next = new DOMParser().parseFromString(text, "text/html");
    if (next.body.dataset.root !== root) throw new Error("the daemon has another page here: load it again");
    document.querySelectorAll("[data-live]").forEach((part) => {
      const replacement = next.getElementById(part.id);
      if (replacement && replacement.innerHTML !== part.innerHTML) part.replaceChildren(...replacement.childNodes);
    });
  }

  async function updateHistory() {
    const since = history.times.at(-1) ?? 0;
    const more = await (await get(`${root}v1/history?span=${span}&since=${since}`)).json();
    const latest = (known, values) => known.concat(values).slice(-SAMPLES_MAX);
    history.interval_s = more.interval_s;
    history.times = latest(history.times, more.times);
    for (const [name, values] of Object.entries(more.series)) {
      history.series[name] = latest(history.series[name] ?? [], values);
    }
    drawAll();
  }

  // A restarted daemon, or one that is gone, is told and asked again.
  async function update(what) {
    try {
      await what();
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = `No update: ${error.message}`;
    }
  }

  function every(milliseconds, what) {
    const turn = async () => {
      if (pause.getAttribute("aria-pressed") === "false" && !document.hidden) await update(what);
      setTimeout(turn, milliseconds);
    };
    setTimeout(turn, milliseconds);
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") === "true";
    pause.setAttribute("aria-pressed", String(!paused));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) redraw();
    width = innerWidth;
  });
  update(updateHistory);
  every(PAGE_EVERY_MS, updatePage);
  every(HISTORY_EVERY_MS, updateHistory);
})();
