// The first pages of tocsin: alerts, rules, a query, targets, silences, status.  No framework: each page
// fetches from the APIs that every Prometheus and Alertmanager client uses, and draws itself.
'use strict';

const page = document.getElementById('page');
const errorBox = document.getElementById('error');

// el('td', {class: 'number'}, 'text', child...): attributes beginning with "on" are listeners.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined));
  return node;
}

function table(headings, rows, empty) {
  if (rows.length === 0) return el('p', {class: 'empty'}, empty);
  return el('table', {},
    el('thead', {}, el('tr', {}, headings.map((text) => el('th', {scope: 'col'}, text)))),
    el('tbody', {}, rows.map((cells) => el('tr', {}, cells.map((cell) =>
      cell instanceof HTMLTableCellElement ? cell : el('td', {}, cell ?? ''))))));
}

const labels = (set, hide = []) => Object.entries(set)
  .filter(([name]) => !hide.includes(name))
  .map(([name, value]) => el('span', {class: 'label'}, `${name}="${value}"`));
const state = (name) => el('span', {class: `state ${name}`}, name);
const graphLink = (expr) => `#/query?g0.expr=${encodeURIComponent(expr)}`;

function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (!(seconds < 1e10) || !(seconds > -1e10)) return '';
  const [text, past] = [span(Math.abs(seconds)), seconds >= 0];
  return past ? `${text} ago` : `in ${text}`;
}
function span(seconds) {
  if (seconds < 0.01) return `${(seconds * 1000).toPrecision(2)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

async function get(path) {
  const response = await fetch(path);
  const text = await response.text();
  const fail = (message) => {
    throw Object.assign(new Error(message), {status: response.status, stopping: response.headers.get('X-Prometheus-Stopping') === 'true'});
  };
  let body;
  try { body = JSON.parse(text); } catch { fail(`${path}: ${response.status} ${text.slice(0, 300)}`); }
  if (body && body.status === 'error') fail(`${body.errorType}: ${body.error}`);
  if (!response.ok) fail(typeof body === 'string' ? body : body.message || `${path}: ${response.status}`);
  return body && body.status === 'success' ? body.data : body;
}

// `instead` where the server has no such path: each of the two services has a part of them.
const unlessThere = (instead) => (error) => {
  if (error.status !== 404 && error.status !== 410) throw error;
  return instead;
};

// ---- pages -----------------------------------------------------------------------------------

async function alertsPage() {
  const [rules, held] = await Promise.all([
    get('api/v1/rules?type=alert').catch(unlessThere({groups: []})),  // the Alertmanager alone has none
    get('api/v2/alerts').catch(unlessThere(null)),  // no Alertmanager in this process
  ]);
  const rows = [];
  for (const group of rules.groups) {
    for (const rule of group.rules) {
      for (const alert of rule.alerts || []) rows.push({alert, rule});
    }
  }
  rows.sort((a, b) => (a.alert.state === 'firing' ? 0 : 1) - (b.alert.state === 'firing' ? 0 : 1) ||
    a.rule.name.localeCompare(b.rule.name));
  const parts = [el('h1', {}, 'Alerts'),
    table(['State', 'Alert', 'Labels', 'Since', 'Value', ''], rows.map(({alert, rule}) => [
      state(alert.state),
      [el('a', {href: graphLink(rule.query)}, rule.name),
        el('div', {class: 'note'}, alert.annotations.summary || alert.annotations.description || '')],
      labels(alert.labels, ['alertname']),
      el('td', {class: 'narrow', title: alert.activeAt}, ago(alert.activeAt)),
      el('td', {class: 'number'}, shortNumber(alert.value)),
      el('td', {class: 'narrow'}, held === null ? '' : [el('a', {href: silenceLink(alert.labels)}, 'Silence'), ' ',
        el('a', {href: historyLink(alert.labels)}, 'Why?')]),
    ]), 'No rule has an alert now.')];
  if (held !== null) {
    parts.push(el('h2', {}, 'With the Alertmanager'), table(['State', 'Alert', 'Labels', 'Since', 'Receivers', 'Silenced or inhibited by', ''],
      held.map((alert) => [
        state(alert.status.state),
        alert.labels.alertname || '',
        labels(alert.labels, ['alertname']),
        el('td', {class: 'narrow', title: alert.startsAt}, ago(alert.startsAt)),
        alert.receivers.map((receiver) => receiver.name).join(', '),
        [...alert.status.silencedBy.map((id) => el('a', {href: `#/silences/${id}`}, `silence ${id.slice(0, 8)} `)),
          ...alert.status.inhibitedBy.map((print) => `alert ${print} `)],
        el('td', {class: 'narrow'}, el('a', {href: historyLink(alert.labels)}, 'Why?')),
      ]), 'It holds no alert.'));
  }
  return parts;
}

const matchersOf = (set) => '{' + Object.entries(set).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',') + '}';
const silenceLink = (set) => '#/silences/new?filter=' + encodeURIComponent(matchersOf(set));
const historyLink = (set) => '#/history?filter=' + encodeURIComponent(matchersOf(set));

async function rulesPage() {
  const {groups} = await get('api/v1/rules');
  if (groups.length === 0) return [el('h1', {}, 'Rules'), el('p', {class: 'empty'}, 'No rule files are loaded (rule_files in the configuration).')];
  return [el('h1', {}, 'Rules'), ...groups.flatMap((group) => [
    el('h2', {}, group.name),
    el('p', {class: 'note'}, `${group.file}, every ${span(group.interval)}, last run ${ago(group.lastEvaluation)} in ${span(group.evaluationTime)}`),
    table(['Health', 'Rule', 'Expression', 'Took'], group.rules.map((rule) => [
      [state(rule.health), rule.state ? [' ', state(rule.state)] : []].flat(),
      [el('b', {}, rule.name), el('div', {}, labels(rule.labels || {})),
        rule.duration ? el('div', {class: 'note'}, `for ${span(rule.duration)}`) : ''],
      [el('a', {class: 'expr', href: graphLink(rule.query)}, rule.query),
        rule.lastError ? el('div', {class: 'err'}, rule.lastError) : ''],
      el('td', {class: 'number'}, span(rule.evaluationTime)),
    ]), 'The group is empty.')])];
}

async function targetsPage() {
  const {activeTargets} = await get('api/v1/targets?state=active');
  const pools = Map.groupBy ? Map.groupBy(activeTargets, (t) => t.scrapePool) : groupBy(activeTargets, (t) => t.scrapePool);
  return [el('h1', {}, 'Targets'), ...[...pools].flatMap(([pool, targets]) => [
    el('h2', {}, `${pool}: ${targets.filter((t) => t.health === 'up').length} of ${targets.length} up`),
    table(['Health', 'Address', 'Labels', 'Last scrape', 'Took', 'Error'], targets.map((target) => [
      state(target.health), el('a', {href: target.scrapeUrl}, target.scrapeUrl), labels(target.labels),
      el('td', {class: 'narrow'}, ago(target.lastScrape)),
      el('td', {class: 'number'}, span(target.lastScrapeDuration)),
      el('span', {class: 'err'}, target.lastError),
    ]), '')]), activeTargets.length ? '' : el('p', {class: 'empty'}, 'No targets: scrape_configs is empty or finds nothing.')];
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) || []), item]);
  return groups;
}

async function silencesPage(rest, query) {
  const silences = await get('api/v2/silences');
  const parts = [el('h1', {}, 'Silences')];
  if (rest === 'new') parts.push(silenceForm(query.get('filter') || ''));
  else parts.push(el('p', {}, el('a', {href: '#/silences/new'}, 'New silence')));
  const shown = rest && rest !== 'new' ? silences.filter((silence) => silence.id === rest) : silences;
  const order = {active: 0, pending: 1, expired: 2};
  shown.sort((a, b) => order[a.status.state] - order[b.status.state]);
  parts.push(table(['State', 'Matches', 'Comment', 'By', 'Ends', ''], shown.map((silence) => [
    state(silence.status.state),
    [silence.matchers.map((m) => el('span', {class: 'label'}, matcherText(m))),
      silence.schedule ? el('div', {class: 'note'}, `recurs: ${scheduleText(silence.schedule)}${silence.holdsNow ? ', holds now' : ''}`) : '',
      silence.receivers ? el('div', {class: 'note'}, `for ${silence.receivers.join(', ')} only`) : ''],
    silence.comment, silence.createdBy,
    el('td', {class: 'narrow', title: silence.endsAt}, ago(silence.endsAt)),
    silence.status.state === 'expired' ? '' : el('button', {class: 'small', onclick: () => expire(silence.id)}, 'Expire'),
  ]), 'No silences.'));
  return parts;
}

// [{weekdays: ['saturday'], times: [{start_time, end_time}], location}] in a line.
const scheduleText = (intervals) => intervals.map((i) => [
  ...['weekdays', 'days_of_month', 'months', 'years'].filter((key) => i[key]).map((key) => i[key].join(', ')),
  (i.times || []).map((t) => `${t.start_time}-${t.end_time}`).join(', '), i.location || 'UTC'].filter((part) => part !== '').join(' ')).join('; ');

const matcherText = (m) => `${m.name}${m.isRegex ? (m.isEqual === false ? '!~' : '=~') : (m.isEqual === false ? '!=' : '=')}${JSON.stringify(m.value)}`;

function silenceForm(filter) {
  const field = (label, name, value, kind = '') => el('label', {class: kind}, label, el('input', {name, value, required: ''}));
  return el('form', {onsubmit: createSilence},
    el('div', {class: 'row'}, field('Matchers', 'filter', filter, 'wide')),
    el('div', {class: 'row'},
      field('For (30m, 2h, 1d)', 'duration', '2h'), field('By', 'author', localStorage.getItem('author') || ''),
      field('Comment', 'comment', '', 'wide'), el('button', {class: 'main'}, 'Silence')));
}

function parseMatchers(text) {
  const matchers = [];
  const pattern = /\s*,?\s*([^\s=!~,{}"]+|"(?:[^"\\]|\\.)*")\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^,]*?)\s*(?=,|$)/y;
  const body = text.trim().replace(/^\{/, '').replace(/\}$/, '');
  while (pattern.lastIndex < body.length) {
    const at = pattern.lastIndex;
    const found = pattern.exec(body);
    if (!found) throw new Error(`matchers: cannot read ${JSON.stringify(body.slice(at))}; write name="value", name=~"regex"`);
    const plain = (part) => part.startsWith('"') ? JSON.parse(part) : part;
    matchers.push({name: plain(found[1]), value: plain(found[3]), isRegex: found[2].includes('~'), isEqual: !found[2].startsWith('!')});
  }
  if (matchers.length === 0) throw new Error('matchers: at least one is needed, such as alertname="DiskFull"');
  return matchers;
}

async function createSilence(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    const parts = [...form.get('duration').matchAll(/(\d+)(ms|[smhdw])/g)];
    if (parts.length === 0) throw new Error(`for: "${form.get('duration')}" is no duration; write 30m, 2h or 1d`);
    const unit = {ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7, w: 6.048e8};
    const length = parts.reduce((sum, part) => sum + part[1] * unit[part[2]], 0);
    localStorage.setItem('author', form.get('author'));
    await fetch('api/v2/silences', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({
      matchers: parseMatchers(form.get('filter')), startsAt: new Date().toISOString(),
      endsAt: new Date(Date.now() + length).toISOString(), createdBy: form.get('author'), comment: form.get('comment'),
    })}).then(async (response) => { if (!response.ok) throw new Error(await response.text()); });
    location.hash = '#/silences';
  } catch (error) { showError(error); }
}

async function expire(id) {
  const response = await fetch(`api/v2/silence/${id}`, {method: 'DELETE'});
  if (!response.ok) return showError(new Error(await response.text()));
  draw();
}

// ---- history: why a notification was or was not sent, and what happened ------------------------

const wordsOf = {
  new: '', again: 'again', sender: 'says its sender', timeout: 'not repeated by its sender', repeat_not_due: 'already told, the repeat is not due',
  told_resolved: 'already told that it ended', never_told: 'was never announced', all_suppressed: 'all alerts are held back',
  no_integrations: 'the receiver has no integrations', still_sending: 'the flush before is still being sent',
  resolved_unwanted: 'ends are not wanted (send_resolved)',
};
const shownKinds = 'received,resolved,suppressed,released,request,unanswered,gave_up,recovered,silence,service,not_sent';

function eventText(event, alerts) {
  const names = (prints) => prints.length > 3 ? `${prints.length} alerts` : prints.map((print) => alerts[print]?.labels.alertname || print).join(', ');
  const parts = [];
  if (event.integration) parts.push(el('b', {}, event.integration), ' ');
  if (event.kind === 'request') {
    parts.push(event.reason, event.attempt > 1 ? `, attempt ${event.attempt}` : '', event.firing ? `, firing: ${names(event.firing)}` : '',
      event.resolved ? `, ended: ${names(event.resolved)}` : '', event.durationSeconds ? `, ${span(event.durationSeconds)}` : '',
      event.nextAttemptSeconds ? `, next attempt after ${span(event.nextAttemptSeconds)}` : '');
    if (event.text) parts.push(el('div', {class: 'err'}, event.text));
    return parts;
  }
  const alert = event.fingerprint && alerts[event.fingerprint];
  if (alert) parts.push(el('b', {}, alert.labels.alertname || ''), ' ', labels(alert.labels, ['alertname']));
  parts.push(wordsOf[event.cause] ?? (event.cause || '').replaceAll('_', ' '));
  if (event.by) parts.push(' ', event.by.map((by) => el('span', {class: 'label'}, by)));
  if (event.silence) parts.push(' ', el('a', {href: `#/silences/${event.silence}`}, event.silence.slice(0, 8)), ` ${event.matchers} by ${event.createdBy}: ${event.comment || ''}`);
  if (event.nextRepeat) parts.push(`, repeats ${ago(event.nextRepeat)}`);
  if (event.text) parts.push(' ', event.text);
  return parts;
}

async function historyPage(rest, query) {
  const filter = query.get('filter') || '';
  const from = query.get('from') || '24h';
  const kinds = query.get('kind') || shownKinds;
  const asked = new URLSearchParams({from, kind: kinds, limit: '500'});
  if (filter) asked.set('filter', filter);
  const [explained, journal] = await Promise.all([
    filter ? get('api/v2/explain?' + new URLSearchParams({filter})) : null,
    get('api/v2/journal?' + asked),
  ]);
  const parts = [el('h1', {}, filter ? 'Why, and what happened' : 'What happened'),
    el('form', {onsubmit: (event) => {
      event.preventDefault();
      location.hash = '#/history?' + new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value !== ''));
    }}, el('div', {class: 'row'},
      el('label', {class: 'wide'}, 'Matchers', el('input', {name: 'filter', value: filter, placeholder: 'alertname="DiskFull"'})),
      el('label', {}, 'Since', el('input', {name: 'from', value: from})), el('button', {class: 'main'}, 'Show')))];
  for (const alert of explained?.alerts || []) {
    parts.push(el('h2', {}, alert.summary), el('ul', {}, alert.sentences.map((sentence) => el('li', {}, sentence))));
  }
  if (explained) parts.push(...explained.general.map((sentence) => el('p', {class: 'note'}, sentence)));
  parts.push(el('h2', {}, 'Journal'), table(['When', 'What', '', 'Result'], journal.events.reverse().map((event) => [
    el('td', {class: 'narrow', title: event.at}, ago(event.at)), event.kind.replace('_', ' '), eventText(event, journal.alerts),
    el('td', {class: 'narrow'}, event.outcome ? [state(event.outcome), event.status ? ` ${event.status}` : ''] : ''),
  ]), 'The journal has nothing of this time.'));
  if (journal.more) parts.push(el('p', {class: 'note'}, 'There is more: narrow the matchers, or ask `tocsin journal`.'));
  return parts;
}

async function queryPage(rest, query) {
  const expr = query.get('g0.expr') || '';
  const range = query.get('g0.range_input') || '1h';
  const input = el('textarea', {rows: 3, spellcheck: 'false', 'aria-label': 'Expression',
    placeholder: 'sum by (job) (rate(prometheus_http_requests_total[5m]))',
    onkeydown: (event) => { if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); run(); } }});
  input.value = expr;
  const run = () => {
    const next = `#/query?g0.expr=${encodeURIComponent(input.value)}&g0.range_input=${range}`;
    if (location.hash === next) draw(); else location.hash = next;
  };
  const parts = [el('h1', {}, 'Query'), el('form', {onsubmit: (event) => { event.preventDefault(); run(); }}, input,
    el('div', {class: 'row'}, el('button', {class: 'main'}, 'Run'), el('span', {class: 'note'}, 'Enter runs, Shift+Enter begins a line')))];
  if (!expr) return parts;
  const now = Date.now() / 1000;
  const [instant, series] = await Promise.all([
    get(`api/v1/query?query=${encodeURIComponent(expr)}&limit=1000`),
    get(`api/v1/query_range?query=${encodeURIComponent(expr)}&start=${now - 3600}&end=${now}&step=15&limit=200`).catch(() => null),
  ]);
  if (series && series.result.length) parts.push(graph(series.result, now - 3600, now));
  parts.push(el('h2', {}, `Now: ${instant.resultType}`));
  if (instant.resultType === 'scalar' || instant.resultType === 'string') parts.push(el('p', {class: 'expr'}, instant.result[1]));
  else parts.push(table(['Series', 'Value'], instant.result.map((row) => [
    [el('code', {}, row.metric.__name__ || ''), ' ', labels(row.metric, ['__name__'])],
    el('td', {class: 'number'}, row.value ? row.value[1] : row.values ? row.values.map(([t, v]) => `${v} @${t}`).join(' ') : 'histogram'),
  ]), 'Empty: nothing matches, or it was filtered out.'));
  return parts;
}

const colours = ['#c2410c', '#0369a1', '#15803d', '#7e22ce', '#b45309', '#be123c', '#0f766e', '#4338ca'];

function graph(result, start, end) {
  let low = Infinity, high = -Infinity;
  for (const {values = []} of result) for (const [, text] of values) {
    const value = Number(text);
    if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  if (low > high) return '';
  if (low === high) { low -= 1; high += 1; }
  const svgNs = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(svgNs, 'svg');
  svg.setAttribute('class', 'graph');
  svg.setAttribute('viewBox', '0 0 1000 300');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${result.length} series over the last hour, from ${shortNumber(low)} to ${shortNumber(high)}`);
  result.forEach(({metric, values = []}, i) => {
    let d = '', before = null;
    for (const [t, text] of values) {
      const value = Number(text);
      if (!Number.isFinite(value)) { before = null; continue; }
      const x = (t - start) / (end - start) * 1000, y = 290 - (value - low) / (high - low) * 280;
      d += `${before !== null && t - before < 31 ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
      before = t;
    }
    const path = document.createElementNS(svgNs, 'path');
    path.setAttribute('d', d);
    path.setAttribute('stroke', colours[i % colours.length]);
    const title = document.createElementNS(svgNs, 'title');
    title.textContent = JSON.stringify(metric);
    path.append(title);
    svg.append(path);
  });
  const clock = (t) => new Date(t * 1000).toLocaleTimeString();
  return el('div', {}, el('div', {class: 'axis'}, el('span', {}, `max ${shortNumber(high)}`)), svg,
    el('div', {class: 'axis'}, el('span', {}, `${clock(start)}, min ${shortNumber(low)}`), el('span', {}, clock(end))));
}

function shortNumber(value) {
  const number = Number(value);
  return Number.isFinite(number) ? String(Number(number.toPrecision(6))) : String(value);
}

const bar = (value, max) => el('progress', {value, max, 'aria-label': `${value} of ${max}`});

// Before the storage is open nothing but how far the log is can be asked.
async function startingPage() {
  const {min, max, current} = await get('api/v1/status/walreplay');
  setTimeout(draw, 1000);
  const [done, all] = [Math.max(current - min, 0), max - min + 1];
  return [el('h1', {}, 'Starting'),
    el('p', {}, all > 1 ? `The write-ahead log is read: segment ${done + 1} of ${all}. ` : 'The database is opened, its write-ahead log read. ',
      all > 1 ? bar(done, all) : ''),
    el('p', {class: 'note'}, 'Scraping, rules and queries begin when it is done; this page then goes on by itself.')];
}

function compactionText({source, minTime, maxTime, series, ofSeries}) {
  if (source === undefined) return 'no block is being made';
  const clock = (t) => new Date(t).toISOString().slice(0, 16);
  return [`a block of ${clock(minTime)} to ${clock(maxTime)} is made from ${source === 'head' ? 'the head' : 'others'}: `,
    `${series} of ${ofSeries} series `, bar(series, ofSeries)];
}

async function statusPage() {
  const [build, runtime, tsdb, config, compaction] = await Promise.all([
    get('api/v1/status/buildinfo'), get('api/v1/status/runtimeinfo'), get('api/v1/status/tsdb'), get('api/v1/status/config'),
    get('api/v1/status/compaction')]);
  const rows = (object) => Object.entries(object).filter(([, v]) => typeof v !== 'object').map(([k, v]) => [k, el('code', {}, String(v))]);
  return [el('h1', {}, 'Status'), table(['', ''], [...rows(build), ...rows(runtime), ...rows(tsdb.headStats), ['compaction', compactionText(compaction)]], ''),
    el('h2', {}, 'Metrics with the most series'),
    table(['Metric', 'Series'], (tsdb.seriesCountByMetricName || []).map(({name, value}) => [name, el('td', {class: 'number'}, String(value))]), 'No series yet.'),
    el('h2', {}, 'Configuration'), el('pre', {class: 'expr'}, config.yaml)];
}

// ---- moving between pages ---------------------------------------------------------------------

const pages = {alerts: alertsPage, rules: rulesPage, query: queryPage, targets: targetsPage, silences: silencesPage, history: historyPage, status: statusPage};
const refreshed = ['alerts', 'rules', 'targets'];  // drawn again every 5 s
let drawing = 0;

function where() {
  const [path, search = ''] = (location.hash.slice(2) || 'alerts').split('?');
  const [name, rest = ''] = path.split('/');
  return {name: pages[name] ? name : 'alerts', rest, query: new URLSearchParams(search)};
}

function showError(error) {
  errorBox.textContent = error.message;
  errorBox.hidden = false;
}

async function draw() {
  const mine = ++drawing;
  const {name, rest, query} = where();
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `tocsin: ${name}`;
  try {
    const parts = await pages[name](rest, query);
    if (mine !== drawing) return;  // another page was asked for meanwhile
    errorBox.hidden = true;
    page.replaceChildren(...parts.filter((part) => part !== ''));
  } catch (error) {
    if (mine !== drawing) return;
    if (error.status === 503) {
      if (error.stopping) return showError(new Error('The server is stopping.'));
      const starting = await startingPage().catch(() => null);
      if (mine !== drawing) return;
      if (starting !== null) {
        errorBox.hidden = true;
        return page.replaceChildren(...starting);
      }
    }
    if (name === 'query') page.replaceChildren(...await queryPage('', new URLSearchParams()).catch(() => []));
    if (name === 'query') page.querySelector('textarea').value = query.get('g0.expr') || '';
    showError(error);
  }
}

// Links made by rules (generatorURL) are /graph?g0.expr=...; the server sends them here.
if (/\/(graph|query)$/.test(location.pathname)) {
  location.replace(location.pathname.replace(/(graph|query)$/, '') + '#/query' + location.search);
} else {
  window.addEventListener('hashchange', () => { page.replaceChildren(); draw(); page.focus(); });
  setInterval(() => { if (!document.hidden && refreshed.includes(where().name)) draw(); }, 5000);
  get('api/v1/status/buildinfo').then((build) => { document.getElementById('version').textContent = `${build.revision || ''} (Prometheus ${build.version})`; }).catch(() => {});
  draw();
}
