// The Verdict tab of Locust's web UI, and the page of its own: one element that asks once a second.
// Whatever comes from a server or a plan goes into text nodes, never into markup.

const HERE = new URL('.', import.meta.url);
const EVERY_MS = 1000;
const RUNS_EVERY_MS = 10000;
const STATES = {
  pass: 'holds so far', fail: 'broken', warn: 'broken (warning)', no_data: 'no data', too_early: 'too early',
};
const FINAL = {pass: 'pass', fail: 'fail', warn: 'warning', no_data: 'no data'};
const STAGES = {
  idle: 'No run yet', preparing: 'A run is being prepared', running: 'Running', draining: 'Waiting for what is in flight',
  reporting: 'The report is being made', ended: 'Ended',
};

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const number = (value, digits = 0) => value.toLocaleString('en', {maximumFractionDigits: digits});
const rate = value => `${number(value, value < 100 ? 1 : 0)}/s`;
function time(ms) {
  if (ms === null) return '–';
  if (ms >= 9999.5) return `${number(ms / 1000, 1)} s`;
  return ms >= 999.5 ? `${number(ms / 1000, 2)} s` : `${number(ms, ms < 99.5 ? 1 : 0)} ms`;
}
function length(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}h ${m}m` : m ? `${m}m ${s}s` : `${s}s`;
}
const badge = (state, text) => make('span', {class: 'badge', 'data-state': state}, text);

function table(kind, caption, heads, rows) {
  const head = heads.map(([text, numeric]) => make('th', {scope: 'col', ...(numeric ? {class: 'number'} : {})}, text));
  return make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption},
    make('table', {class: kind}, make('caption', {}, caption), make('thead', {}, make('tr', {}, ...head)),
      make('tbody', {}, ...rows)));
}

function header(view) {
  if (!view.run) return [make('h2', {}, STAGES[view.stage])];
  const where = view.phase ? `${view.phase}: ${length(view.phase_left_s)} left, ${length(view.left_s)} in all` : STAGES[view.stage];
  const verdict = view.ended ? badge(view.ended.verdict, view.ended.verdict) : badge('', STAGES[view.stage]);
  return [
    make('h2', {}, view.title, ' ', verdict),
    make('p', {class: 'place'}, view.ended ? `Ended after ${length(view.now_s)}` : where),
    make('p', {class: 'quiet'}, `${view.plan} · ${view.host} · ${view.run}${view.rehearsal ? ' · rehearsal' : ''}`),
    axis(view),
  ];
}

function axis(view) {
  const bars = view.phases.map(phase => {
    const share = Math.min(Math.max((view.now_s - phase.start_s) / (phase.end_s - phase.start_s), 0), 1);
    const done = make('i');
    done.style.width = `${share * 100}%`;
    const bar = make('div', {title: `${phase.name}: ${length(phase.end_s - phase.start_s)}`}, share ? done : null, make('span', {}, phase.name));
    bar.style.flex = `${phase.end_s - phase.start_s} 1 0`;
    return bar;
  });
  return make('div', {class: 'axis', 'aria-hidden': 'true'}, ...bars);
}

function tiles(view) {
  const {traffic} = view;
  if (!traffic || view.stage === 'ended') return [];
  const [now] = traffic.windows;
  const shown = [
    ['offered', rate(traffic.offered_rps)], ['achieved', rate(now.rps)], ['start lag p99', time(now.lag_p99_ms)],
    ['in flight', number(traffic.in_flight)], ['waiting for a user', number(traffic.waiting)],
    ['users', number(traffic.users)], ['ended', number(traffic.ended)],
    ['failures', number(traffic.failures), traffic.failures], ['dropped', number(traffic.dropped), traffic.dropped],
  ];
  return [make('dl', {class: 'tiles'}, ...shown.map(([name, value, bad]) =>
    make('div', bad ? {class: 'bad'} : {}, make('dt', {}, name), make('dd', {'data-tile': name}, value))))];
}

function criteria(view) {
  const {ended, assessment} = view;
  const rows = (ended ?? assessment)?.criteria ?? [];
  const caption = ended ? 'As the report says' : assessment ? `Settled up to ${length(assessment.settled_s)} of ${length(view.now_s)}` : '';
  const nodes = [make('h3', {}, 'Criteria')];
  if (!ended && assessment?.problem) nodes.push(make('p', {class: 'problem'}, assessment.problem));
  if (!rows.length) {
    const why = assessment && !assessment.problem ? 'The plan has no criteria.' : 'Not judged yet.';
    return assessment?.problem ? nodes : [...nodes, make('p', {class: 'quiet'}, why)];
  }
  nodes.push(table('criteria', caption, [['State'], ['Criterion'], ['Measured', true], ['Limit', true]], rows.map(one => {
    const final = Boolean(ended) || one.final;
    return make('tr', {'data-state': one.state},
      make('td', {}, badge(one.state, (final ? FINAL : STATES)[one.state] ?? one.state)),
      make('th', {scope: 'row', class: 'name'}, `${one.metric} `, make('span', {class: 'quiet'}, one.where),
        ['no_data', 'too_early'].includes(one.state) ? make('div', {class: 'quiet'}, one.reason) : null),
      make('td', {class: 'number measured', 'data-label': 'measured'}, one.measured),
      make('td', {class: 'number', 'data-label': 'limit'}, one.limit));
  })));
  return nodes;
}

function reasons(view) {
  if (!view.ended) return [];
  return [make('h3', {}, 'Why'), make('ul', {}, ...view.ended.reasons.map(reason => make('li', {class: 'name'}, reason)))];
}

function windows(view) {
  if (!view.traffic || view.ended) return [];
  const cell = text => make('td', {class: 'number'}, text);
  const rows = view.traffic.windows.map(one => make('tr', {}, make('th', {scope: 'row'}, `last ${length(one.length_s)}`),
    ...[rate(one.rps), time(one.p50_ms), time(one.p95_ms), time(one.p99_ms), time(one.max_ms)].map(cell)));
  for (const phase of [...(view.assessment?.phases ?? [])].reverse()) {
    const figures = ['throughput_rps', 'latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms', 'latency_max_ms'];
    rows.push(make('tr', {}, make('th', {scope: 'row'}, `phase ${phase.name}`), ...figures.map(name => cell(phase.figures[name]))));
  }
  const heads = [['Window'], ['responses', true], ['p50', true], ['p95', true], ['p99', true], ['max', true]];
  return [make('h3', {}, 'Latency from the due time'), table('windows', 'Exact, from all samples', heads, rows)];
}

function health(view) {
  if (view.ended) return [];
  const checks = view.assessment?.health ?? [];
  const readings = view.assessment?.resources ?? [];
  const nodes = [];
  if (checks.length) nodes.push(make('h3', {}, 'Load generator'), make('ul', {class: 'plain'}, ...checks.map(check =>
    make('li', {}, badge(check.passed ? 'pass' : 'fail', check.passed ? 'well' : 'broken'), check.name,
      make('span', {class: 'quiet'}, `${check.measured} (limit ${check.limit})`)))));
  if (readings.length) nodes.push(make('h3', {}, 'Resources'), make('dl', {class: 'tiles'}, ...readings.map(reading =>
    make('div', {}, make('dt', {}, reading.label), make('dd', {}, reading.text)))));
  return nodes;
}

function pastRuns(runs, view) {
  if (!runs.length) return [];
  return [make('h3', {}, 'Runs'), make('ul', {class: 'plain runs'}, ...runs.map(run => {
    const name = run.verdict ? make('a', {href: new URL(`runs/${encodeURIComponent(run.id)}`, HERE), target: '_blank', rel: 'noopener'}, run.id) : run.id;
    const none = run.id === view?.run && !view.ended ? 'under way' : 'no report';
    return make('li', {}, badge(run.verdict ?? '', run.verdict ?? none), name);
  }))];
}

class Verdict extends HTMLElement {
  connectedCallback() {
    if (!this.shadowRoot) this.build();
    this.role = 'region';
    this.ariaLabel = 'Verdict';
    this.timer = setInterval(() => this.refresh(), EVERY_MS);
    this.runsTimer = setInterval(() => this.refreshRuns(), RUNS_EVERY_MS);
    this.refresh();
    this.refreshRuns();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    clearInterval(this.runsTimer);
  }

  build() {
    const root = this.attachShadow({mode: 'open'});
    this.parts = new Map();
    root.append(make('link', {rel: 'stylesheet', href: new URL('verdict.css', HERE)}));
    for (const name of ['trouble', 'header', 'tiles', 'reasons', 'criteria', 'windows', 'health', 'runs']) {
      const part = make('section', {id: name});
      this.parts.set(name, part);
      root.append(part);
    }
    this.said = make('p', {class: 'said', role: 'status'});
    root.append(this.said);
    this.states = new Map();
  }

  // A part is drawn anew when it changed: whatever has the focus elsewhere keeps it.
  draw(name, nodes) {
    const part = this.parts.get(name);
    const fresh = make('section', {}, ...nodes);
    if (part.innerHTML !== fresh.innerHTML) part.replaceChildren(...fresh.childNodes);
  }

  async ask(path) {
    const answer = await fetch(new URL(path, HERE), {cache: 'no-store'});
    if (!answer.ok || answer.redirected) throw new Error(answer.redirected ? 'log in again' : `status ${answer.status}`);
    return answer.json();
  }

  async refresh() {
    if (this.asking || document.hidden) return;
    this.asking = true;
    this.toggleAttribute('data-asked', true);
    try {
      this.show(await this.ask('state'));
      this.draw('trouble', []);
      this.parts.forEach(part => part.classList.remove('stale'));
    } catch (error) {
      this.draw('trouble', [make('p', {class: 'problem'}, `No news from the load generator: ${error.message}`)]);
      this.parts.forEach((part, name) => part.classList.toggle('stale', name !== 'trouble' && name !== 'runs'));
    } finally {
      this.asking = false;
    }
  }

  async refreshRuns() {
    try {
      this.draw('runs', pastRuns(await this.ask('runs'), this.view));
    } catch { /* the state tells that there is no news */ }
  }

  show(view) {
    const [r, g, b] = getComputedStyle(this).color.match(/[\d.]+/g).map(Number);
    this.setAttribute('theme', r + g + b > 382 ? 'dark' : 'light');
    this.setAttribute('stage', view.stage);
    for (const [name, of] of Object.entries({header, tiles, reasons, criteria, windows, health})) this.draw(name, of(view));
    if (this.stage && this.stage !== view.stage) this.refreshRuns();
    this.tell(view);
    this.view = view;
    this.stage = view.stage;
  }

  // For those who listen: what changed, not every figure.
  tell(view) {
    const news = this.stage === view.stage ? [] : [view.ended ? `${STAGES[view.stage]}: ${view.ended.verdict}` : STAGES[view.stage]];
    for (const one of view.assessment?.criteria ?? []) {
      const before = this.states.get(one.index);
      if (before !== one.state && (before || one.state === 'fail')) news.push(`${one.metric} ${one.where}: ${STATES[one.state]}, ${one.measured}`);
      this.states.set(one.index, one.state);
    }
    if (news.length) this.said.textContent = news.join('. ');
  }
}
customElements.define('proofload-verdict', Verdict);

// In Locust's page: Locust shows an empty tab of this name, and nothing of its DOM is changed but for what is added.
function place() {
  const list = document.querySelector('#root [role=tablist]');
  const tab = list && [...list.querySelectorAll('[role=tab]')].find(one => one.textContent.trim() === 'Verdict');
  const chosen = tab?.getAttribute('aria-selected') === 'true';
  const room = list?.closest('.MuiContainer-root') ?? list?.parentElement;
  const mine = document.querySelector('#root proofload-verdict');
  if (chosen && room && !mine) room.append(make('proofload-verdict'));
  if (!chosen && mine) mine.remove();
  const form = document.querySelector('#root main form');
  if (form && !document.querySelector('#proofload-runs')) {
    const link = make('p', {id: 'proofload-runs'}, make('a', {href: HERE}, 'Verdicts of earlier runs'));
    link.style.textAlign = 'center';
    link.firstChild.style.color = 'inherit';
    form.after(link);
  }
}

const root = document.querySelector('#root');
if (root) {
  let asked = false;
  new MutationObserver(() => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; place(); });
  }).observe(root, {childList: true, subtree: true, attributes: true, attributeFilter: ['aria-selected']});
  place();
} else {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const theme = () => {
    document.documentElement.dataset.theme = (localStorage.theme ?? (dark.matches ? 'dark' : 'light'));
  };
  dark.addEventListener('change', theme);
  theme();
}
