// The table of items: draws `props.value`, one page of rows at a time. Whatever a model or a probe wrote goes in as text,
// never as markup. Harmful requests, and what models made of them, are not in the page until somebody asks to see them.
const section = element.querySelector('.mf-items');
const find = (selector) => section.querySelector(selector);
const all = (selector) => [...section.querySelectorAll(selector)];
const MARKS = { refused: '⊘', answered: '●', invalid: '◌', unjudged: '–', right: '✓', wrong: '✗' };
const ANY = { language: 'all', kind: 'all', category: 'all' };
const PATIENCE = 8000; // ms after which an answer that did not come is waited for no longer
const state = { query: {}, open: new Set(), showAll: false, timer: null, flying: -Infinity, waiting: false };

function make(tag, kind, parent, text) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

// One request at a time is on its way; of those made meanwhile the last alone is sent, when the answer is there. Gradio's
// own "always_last" cannot do this: of an event that waited it repeats the data of the one just answered.
function ask(changes) {
  state.query = { ...state.query, page: 0, ...changes };
  section.setAttribute('aria-busy', 'true');
  state.waiting = performance.now() - state.flying < PATIENCE;
  if (!state.waiting) fly();
}

function fly() {
  state.waiting = false;
  state.flying = performance.now();
  trigger('narrow', { ...state.query });
}

// Cards: the paired difference of a measure in words, and its changes as filters

function drawCard(card) {
  const box = make('div', 'mf-change');
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', card.label);
  const head = make('div', 'mf-change-head', box);
  head.title = card.sentence;
  const seen = make('p', '', head);
  seen.setAttribute('aria-hidden', 'true');
  make('b', '', seen, `${card.label} ${card.arrow}`);
  make('span', 'mf-change-amount', seen, card.amount);
  make('span', `mf-change-word mf-${card.word.replace(' ', '-')}`, seen, card.word);
  make('small', '', seen, card.tells);
  make('p', 'mf-sr', head, card.sentence);
  const chips = make('p', 'mf-change-chips', box);
  for (const change of card.changes) chips.append(drawChip(change));
  return box;
}

function drawChip(change) {
  const chip = make('button', `mf-change-chip ${change.good ? 'mf-good' : 'mf-bad'}`);
  chip.type = 'button';
  chip.dataset.change = change.key;
  chip.title = change.title;
  chip.setAttribute('aria-pressed', String(state.query.change === change.key));
  make('span', '', chip, change.words);
  make('b', '', chip, String(change.count));
  return chip;
}

// Filters

function drawFilters(value) {
  for (const select of all('select[data-filter]')) {
    const name = select.dataset.filter;
    if (name === 'judge') {
      select.replaceChildren(...value.judges.map((judge, at) => new Option(judge, at ? judge : '')));
      select.closest('label').hidden = value.judges.length < 2;
    } else {
      const choices = [{ key: '', label: ANY[name], count: value.all }, ...(value.facets?.[name] ?? [])];
      select.replaceChildren(...choices.map((c) => new Option(`${c.label} (${c.count})`, c.key)));
    }
    select.value = state.query[name];
    select.classList.toggle('mf-used', Boolean(value.query[name]));
  }
  const search = find('input[type=search]');
  if (document.activeElement !== search) search.value = value.query.text;
  const used = ['language', 'kind', 'category', 'change', 'text'].some((name) => state.query[name]);
  find('.mf-clear').disabled = !used;
  find('.mf-count').textContent = `${value.first}–${value.last} of ${value.total}`;
  find('[data-step="-1"]').disabled = value.query.page <= 0;
  find('[data-step="1"]').disabled = value.query.page >= value.pages - 1;
  for (const button of all('[data-form]')) button.disabled = !value.total;
}

// What the verdicts are worth: the line is always there, the tables when somebody opens it

function cells(parent, tag, texts) {
  const line = make('tr', '', parent);
  texts.forEach((text, at) => { make(at === 0 ? 'th' : tag, '', line, text).scope = tag === 'th' ? 'col' : 'row'; });
  return line;
}

function captioned(selector, caption, heads, rows) {
  const table = find(selector);
  table.replaceChildren();
  table.hidden = !rows.length;
  make('caption', '', table, caption);
  if (heads) cells(make('thead', '', table), 'th', heads);
  const body = make('tbody', '', table);
  return rows.map((row) => cells(body, 'td', row));
}

function drawJudges(value) {
  const found = value.agreement;
  const [first, other] = found?.judges ?? [value.judge, ''];
  panel.hidden = !found && !value.quality.length;
  panel.querySelector('summary').textContent = found?.line ?? `How well ${first} labels answers that were labelled by hand`;
  find('.mf-agreement-left').textContent = found?.left ?? '';
  const table = (found?.table ?? []).map((row, at) => [found.categories[at], ...row.map(String)]);
  const lines = captioned('.mf-confusion', `${first} down, ${other} across`, ['', ...(found?.categories ?? [])], table);
  lines.forEach((line, at) => { line.children[at + 1].className = 'mf-same'; });
  captioned('.mf-kappas', 'kappa by language', null, (found?.languages ?? []).map((one) => [one.name, one.kappa]));
  captioned('.mf-quality', `${first} on rows labelled by hand, held out`, ['', 'macro-F1', 'rows'], value.quality.map((one) => [one.name, one.f1, one.n]));
  const button = find('.mf-differ');
  button.hidden = !found;
  button.textContent = `show the ${found?.differ} items they differ on`;
  button.disabled = !found?.differ;
  button.setAttribute('aria-pressed', String(state.query.change === 'differ'));
}

function drawHead(value) {
  find('th[data-col=ours] b').textContent = value.ours.name;
  find('th[data-col=theirs] b').textContent = value.theirs?.name ?? '';
  section.classList.toggle('mf-single', !value.theirs);
  for (const head of all('th[data-col]')) head.removeAttribute('aria-sort');
  for (const button of all('button[data-sort]')) {
    const on = button.dataset.sort === value.query.sort;
    button.dataset.down = on ? String(value.query.down) : '';
    if (on) button.closest('th').setAttribute('aria-sort', value.query.down ? 'descending' : 'ascending');
  }
}

// Rows

function words(kind, text, language, parent) {
  const node = make('p', kind, parent, text);
  node.dir = 'auto';
  node.lang = language;
  return node;
}

function drawVerdict(side, parent) {
  if (!side.word) return make('p', 'mf-aside', parent, 'no answer');
  const line = make('p', 'mf-item-verdict', parent);
  const word = make('span', `mf-verdict mf-${side.word}`, line, `${MARKS[side.word] ?? ''} ${side.word}`);
  if (side.chrf !== null) make('small', '', line, `chrF ${side.chrf}`);
  if (side.reason) make('small', '', line, side.reason);
  if (side.other) make('small', 'mf-other-judge', line, `${props.value.agreement.judges[1]}: ${side.other}`);
  return word;
}

function drawOptions(row, side, parent) {
  const list = make('ol', 'mf-options', parent);
  row.options.forEach((text, at) => {
    const chosen = at === side.chosen;
    const line = make('li', chosen ? 'mf-chosen' : '', list);
    make('span', '', line, chosen ? '▸' : '').setAttribute('aria-hidden', 'true');
    const said = make('bdi', '', line, text);
    said.lang = row.language;
    make('span', 'mf-right-mark', line, at === row.answer ? '✓' : '').title = at === row.answer ? 'the right option' : '';
    make('small', '', line, side.scores[at] ?? '').title = 'log-probability per byte, nats';
    if (chosen || at === row.answer) make('span', 'mf-sr', line, [chosen ? 'chosen' : '', at === row.answer ? 'right' : ''].filter(Boolean).join(', '));
  });
}

function drawSide(row, side, name, hidden, label) {
  const cell = make('td', `mf-cell-${name}`);
  cell.dataset.label = label;
  if (!side) return cell;
  drawVerdict(side, cell);
  if (row.options.length) drawOptions(row, side, cell);
  else if (hidden) make('p', 'mf-withheld', cell, side.text.trim() ? 'hidden' : 'no words');
  else words(side.text.trim() ? 'mf-item-words' : 'mf-aside', side.text.trim() || 'no words', row.language, cell);
  return cell;
}

function drawPrompt(row, hidden) {
  const cell = make('td', 'mf-cell-prompt');
  if (!hidden) words('mf-item-words', row.prompt, row.language, cell);
  if (row.harmful) {
    const button = make('button', 'mf-reveal', cell, hidden ? 'show request and answers' : 'hide');
    button.type = 'button';
    button.dataset.reveal = row.id;
    button.setAttribute('aria-expanded', String(!hidden));
  }
  if (row.references.length) {
    const expected = make('p', 'mf-expected', cell);
    make('small', '', expected, 'expected ');
    const said = make('bdi', '', expected, row.references.join(' / '));
    said.lang = row.language;
  }
  return cell;
}

function drawRow(row, value) {
  const line = make('tr');
  line.dataset.id = row.id;
  const hidden = row.harmful && !state.showAll && !state.open.has(row.id);
  const head = make('th', 'mf-cell-item', line);
  head.scope = 'row';
  make('code', '', head, row.id);
  make('small', '', head, [row.kind, row.category].filter(Boolean).join(' · '));
  line.append(drawPrompt(row, hidden), drawSide(row, row.ours, 'ours', hidden, value.ours.name));
  line.append(drawSide(row, row.theirs, 'theirs', hidden, value.theirs?.name ?? ''));
  const last = make('td', 'mf-cell-change', line);
  const change = value.cards.flatMap((card) => card.changes).find((c) => c.key === row.change);
  if (change) make('span', `mf-changed ${change.good ? 'mf-good' : 'mf-bad'}`, last, `${change.good ? '▲' : '▼'} ${change.words}`).title = change.title;
  return line;
}

function drawRows(value) {
  const body = find('.mf-rows tbody');
  const focus = document.activeElement?.dataset?.reveal;
  body.replaceChildren(...value.rows.map((row) => drawRow(row, value)));
  if (focus) body.querySelector(`[data-reveal="${CSS.escape(focus)}"]`)?.focus();
  find('.mf-none-found').hidden = Boolean(value.rows.length);
}

function draw() {
  const value = props.value;
  if (!value) return;
  state.flying = -Infinity;
  if (state.waiting) fly();
  section.setAttribute('aria-busy', String(state.flying > 0));
  section.classList.toggle('mf-nothing', !value.ours);
  find('.mf-items-empty').textContent = value.message;
  find('.mf-items-note').textContent = value.note ?? '';
  if (!value.ours) return;
  const turned = state.query.page !== value.query.page || state.query.sort !== value.query.sort;
  const focus = document.activeElement?.dataset?.change;
  if (state.flying < 0) state.query = { ...value.query };
  find('.mf-changes').replaceChildren(...value.cards.map(drawCard));
  if (focus) find(`[data-change="${CSS.escape(focus)}"]`)?.focus();
  drawFilters(value);
  drawJudges(value);
  drawHead(value);
  drawRows(value);
  if (turned) find('.mf-rows').scrollTop = 0;
}

// An export comes as text and is handed to the browser as a file; nothing is written on the server.
async function save(form) {
  const said = find('.mf-items-said');
  const { ours, theirs, probe, query } = props.value;
  const file = await server.items_file({ form, probe, query, ours: ours.id, theirs: theirs?.id ?? '' });
  said.textContent = file.problem ?? `Saved ${file.name}`;
  if (file.problem) { find('.mf-items-note').textContent = file.problem; return; }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([file.text], { type: `${file.type};charset=utf-8` }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function press(button) {
  const { change, step, form, sort, reveal } = button.dataset;
  if (change) ask({ change: state.query.change === change ? '' : change });
  else if (step) ask({ page: state.query.page + Number(step) });
  else if (form) save(form);
  else if (sort) ask({ sort, down: state.query.sort === sort ? !state.query.down : false });
  else if (reveal) { if (!state.open.delete(reveal)) state.open.add(reveal); drawRows(props.value); }
  else if (button.classList.contains('mf-clear')) { find('input[type=search]').value = ''; ask({ language: '', kind: '', category: '', change: '', text: '' }); }
  else if (button.classList.contains('mf-show-all')) {
    state.showAll = !state.showAll;
    state.open.clear();
    button.setAttribute('aria-pressed', String(state.showAll));
    button.textContent = state.showAll ? 'hide them' : 'show them';
    drawRows(props.value);
  }
}

section.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) press(button);
});
const panel = find('.mf-agreement');
panel.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && panel.open) { panel.open = false; panel.querySelector('summary').focus(); }
});
document.addEventListener('click', (event) => { if (panel.open && !panel.contains(event.target)) panel.open = false; });
section.addEventListener('change', (event) => {
  const name = event.target.dataset?.filter;
  if (name) ask({ [name]: event.target.value });
});
find('input[type=search]').addEventListener('input', (event) => {
  clearTimeout(state.timer);
  state.timer = setTimeout(() => ask({ text: event.target.value }), 250);
});

draw();
watch('value', draw);
